/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_builder.h - a slow path with an application and a worker that are played by the test.
 *
 * Idea:    segments go in by sb_rx(), and every command is caught in a list that the test reads: sb_tx() takes
 *          the next packet that was sent, sb_cmd() the next command to the flow. The builders bring a
 *          connection into any state by exactly the segments and events that lead there. sb_free() checks
 *          that nothing leaks: the application dies and every pool must be full again.
 *          A test compiled with SB_V6=1 has the same things said in IPv6. The builder's host always has both
 *          families: SB_US4 and SB_US6, and a link-local address.
 * Threads: one.
 */
#ifndef MG_TEST_SLOW_BUILDER_H
#define MG_TEST_SLOW_BUILDER_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/time.h"
#include "proto/wire/frame.h"
#include "slowpath/core/close.h"
#include "slowpath/core/engine.h"

#ifndef SB_V6
#define SB_V6 0
#endif

#define SB_US4 mg_addr_v4(0x0a4d0001)   /* 10.77.0.1 */
#define SB_PEER4 mg_addr_v4(0x0a4d0002) /* 10.77.0.2 */
#define SB_GATEWAY4 mg_addr_v4(0x0a4d00fe)
#define SB_US6 sb_v6(1) /* fd77::1 */
#define SB_PEER6 sb_v6(2)
#define SB_GATEWAY6 sb_v6(0xfe)
#define SB_US (SB_V6 ? SB_US6 : SB_US4)
#define SB_PEER (SB_V6 ? SB_PEER6 : SB_PEER4)
#define SB_GATEWAY (SB_V6 ? SB_GATEWAY6 : SB_GATEWAY4)
#define SB_MSS (SB_V6 ? 1440 : 1460) /* of the MTU of 1500 */
#define SB_MSS_DEFAULT (SB_V6 ? MG_MSS_DEFAULT_V6 : MG_MSS_DEFAULT_V4)
#define SB_PORT 7 /* we listen here */
#define SB_PPORT 40000
#define SB_PISS 1000 /* the peer's ISN */
#define SB_CMDS_MAX 4096
#define SB_PKT_MAX 2048
#define SB_RING 4096 /* payload rings */

struct sb_cmd {
	uint32_t worker;
	union {
		struct mg_msg msg;
		struct mg_cmd_install install;
		struct mg_cmd_remove remove;
		struct mg_cmd_set_cc cc;
		struct mg_cmd_set_opt opt;
		struct mg_cmd_set_nexthop hop;
		struct mg_msg_app app;
		uint8_t bytes[SB_PKT_MAX];
	};
};

/* Of a command that carries one. */
static inline const struct mg_msg_packet *sb_pkt(const struct sb_cmd *c)
{
	return (const struct mg_msg_packet *)(const void *)c->bytes;
}

struct sb {
	struct mg_slow *s;
	bool v6; /* the default peer speaks IPv6 */
	struct mg_slow_conf conf;
	struct mg_slow_limits lim;
	uint64_t now_ns;
	void *mem;
	uint8_t *region;
	struct mg_app *app;
	struct mg_mac mac, peer_mac;
	struct sb_cmd *cmds;
	uint32_t nr_cmds, next_cmd;
	bool is_full; /* the command ring takes nothing */
	uint32_t nr_replies, nr_gone, nr_drained, nr_wakes, nr_rings_freed;
	struct mg_ctl_msg *msg;
	uint32_t listener;
	struct mg_spsc events; /* the application's end */
	struct sb_cmd last;    /* what sb_tx() and sb_cmd() returned */
	struct mg_frame_view view;
};

/* A received segment; what is 0 is absent. */
struct sb_seg {
	uint32_t seq, ack;
	uint16_t flags, wnd;
	uint16_t sport, dport; /* 0: SB_PPORT to SB_PORT */
	uint16_t mss;
	uint8_t opts, ws;
	uint32_t tsval, tsecr;
	uint32_t len;            /* payload */
	struct mg_addr src, dst; /* zero: peer, us; of the builder's family */
	bool l2_broadcast;
	uint16_t reason;    /* enum mg_packet_reason */
	const uint8_t *tfo; /* with MG_SEG_OPT_TFO: the cookie */
	uint8_t tfo_len;
	const uint8_t *payload; /* NULL: zeros */
};

/* fd77::host */
static inline struct mg_addr sb_v6(uint8_t host)
{
	struct mg_addr a = { .b = { 0xfd, 0x77, [15] = host } };

	return a;
}

void sb_conf_family(struct sb *b, bool v6);
/* Defaults of the configuration, with small tables. */
static inline void sb_conf(struct sb *b)
{
	sb_conf_family(b, SB_V6);
}

/* The same after sb_conf() and the test's changes to b->conf and b->lim. */
void sb_start(struct sb *b, bool know_peer);

/* Builds everything, with the peer's address known (ARP and neighbour discovery are tested on their own). */
static inline void sb_new(struct sb *b)
{
	sb_conf(b);
	sb_start(b, true);
}

/* The application goes; everything must come back. */
void sb_free(struct sb *b);

void sb_rx(struct sb *b, const struct sb_seg *seg);
void sb_rx_frame(struct sb *b, const uint8_t *frame, uint32_t len);
/* An ICMP message from the peer; word: the second half of its header. */
void sb_rx_icmp(struct sb *b, uint8_t type, uint8_t code, uint32_t word, const void *body,
		uint32_t len);
/* An ICMP error about a segment of ours (1460 bytes of payload) with this sequence number. */
void sb_rx_icmp_error(struct sb *b, uint8_t type, uint8_t code, uint32_t word,
		      const struct mg_tuple *t, uint32_t seq);
/* Lets time pass, running timers. */
void sb_wait(struct sb *b, uint64_t ns);
/* The next packet, parsed: NULL if none was sent. Other commands in between are skipped. */
const struct mg_seg *sb_tx(struct sb *b);
const struct mg_frame_view *sb_tx_frame(struct sb *b);
void sb_tx_none(struct sb *b);
/* The next command of this type. */
const struct sb_cmd *sb_cmd(struct sb *b, uint16_t type);
void sb_no_cmd(struct sb *b, uint16_t type);
/* Forgets what was sent. */
void sb_clear(struct sb *b);

/* Requests; return the status. */
int sb_ctl(struct sb *b, uint16_t type, uint32_t count);
void sb_listen(struct sb *b, uint32_t backlog);
void sb_accept(struct sb *b, uint32_t credits);
int sb_connect(struct sb *b, uint32_t *ret_window);

/* What the worker says about the only flow. */
void sb_ev(struct sb *b, uint16_t type, uint32_t count, uint32_t value);
/* Answers a REMOVE. */
void sb_removed(struct sb *b);
/* Answers a REPORT. */
void sb_report(struct sb *b, const struct mg_ev_removed *books);
/* The application's flags on its window, and the doorbell of a window without flow. */
void sb_app_flags(struct sb *b, uint32_t window, uint32_t a_flags);
void sb_doorbell(struct sb *b, uint32_t window);
/* The application's next event; false: none. */
bool sb_event(struct sb *b, struct mg_shm_event *ret_ev);

/* The only connection. */
struct mg_conn *sb_conn(struct sb *b);
/* A passive handshake up to the embryo; returns our ISN. */
uint32_t sb_syn_received(struct sb *b);
/* Up to ESTABLISHED and accepted (passive); queues are clear afterwards. */
struct mg_conn *sb_established(struct sb *b);
/* An established connection, moved on to any synchronised state by the worker's events. */
struct mg_conn *sb_in_state(struct sb *b, enum mg_tcp_state state);
#endif
