/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - a connection: all that the slow path knows of it, from SYN-SENT (active) or ESTABLISHED (passive)
 *          until the application has let go and the worker has given the flow back.
 *
 * Idea:    the index is the flow id, the pool's generation its gen. `state` is the protocol's state; `flow`
 *          tells where the worker is: none yet, INSTALL waiting, live, REMOVE under way. A record ends when
 *          both the flow is gone and the application has released the window:
 *
 *            mg_conn_end() --> REMOVE --> MG_EV_REMOVED --> flow_gone: window CLOSED, tuple given up
 *                                                             |  (TIME-WAIT: moved to its table)
 *            AF_CLOSE/AF_ABORT, death, listener closed ---> MG_CONN_RELEASED --> window, rings, record free
 *
 *          Commands that find the worker's ring full are remembered as bits and retried at every flush.
 * Threads: the slow path.
 */
#ifndef MG_CONN_H
#define MG_CONN_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/path/msg.h"
#include "proto/shm/abi.h"
#include "slowpath/cc/cc.h"
#include "slowpath/core/handshake.h"
#include "slowpath/core/limit.h"
#include "slowpath/core/rings.h"
#include "slowpath/core/slow.h"
#include "slowpath/core/tuples.h"

#define MG_CONN_NONE UINT32_MAX
#define MG_USER_TIMEOUT_NEVER INT32_MAX /* RFC 9293 MUST-21: R2 may be infinite */

struct mg_slow_app;
struct mg_listener;

enum mg_conn_flow {
	MG_CONN_FLOW_NONE = 0,
	MG_CONN_FLOW_INSTALLING, /* the command waits for room */
	MG_CONN_FLOW_LIVE,
	MG_CONN_FLOW_REMOVING, /* until MG_EV_REMOVED */
	MG_CONN_FLOW_GONE,
};

/* In the order of their bits: each is taken once. */
enum mg_conn_flag {
	MG_CONN_PASSIVE = 1 << 0,
	MG_CONN_HASHED = 1 << 1,   /* in the table of tuples */
	MG_CONN_QUEUED = 1 << 2,   /* in its listener's accept queue: nobody knows of it */
	MG_CONN_RELEASED = 1 << 3, /* the application has let go */
	MG_CONN_ORPHAN = 1 << 4,   /* counted as such */
	MG_CONN_KEEPALIVE = 1 << 5,
	MG_CONN_CLOSE_ASKED = 1 << 6, /* by control, before the flow was there */
	MG_CONN_PENDING = 1 << 7,     /* in the list of connections with commands to retry */
	MG_CONN_RST_FIRST = 1 << 8,   /* REMOVE sends a reset */
	MG_CONN_WINDOW = 1 << 9,      /* holds a window and rings */
	MG_CONN_PROBED = 1 << 10,     /* a keepalive report is awaited */
	MG_CONN_SYN_LOST = 1 << 11,   /* our SYN or SYN-ACK was retransmitted */
	MG_CONN_ICMP = 1 << 12,       /* an ICMP error waits for the worker's report */
	MG_CONN_GUARDED = 1 << 13,    /* ends with its guard, not with a process */
	MG_CONN_OFFERED = 1 << 14,    /* announced by `listener`, perhaps not taken yet */
	MG_CONN_TFO = 1 << 15,        /* SYN-RECEIVED with a flow: no ACK of the SYN-ACK yet */
	MG_CONN_SYN_DATA = 1 << 16,   /* a SYN's data was taken, the peer's or ours */
	MG_CONN_ECHO = 1 << 17,       /* an echo was heard; the next MG_CMD_SET_CC answers it */
	MG_CONN_FRAGMENT = 1 << 18, /* routers may cut its packets: the path takes no useful size */
	MG_CONN_TFO_NO_COOKIE = 1 << 19, /* data in the SYN without a cookie */
	MG_CONN_RCV_FIXED = 1 << 20,     /* the application chose the size of its buffer */
	MG_CONN_SND_FIXED = 1 << 21,
};

/* Commands that are due; sent in this order. */
enum mg_conn_cmd {
	MG_CONN_CMD_INSTALL = 1 << 0,
	MG_CONN_CMD_NEXTHOP = 1 << 1,
	MG_CONN_CMD_PMTU = 1 << 2,
	MG_CONN_CMD_TTL = 1 << 3,
	MG_CONN_CMD_TOS = 1 << 4,
	MG_CONN_CMD_MSS = 1 << 5,
	MG_CONN_CMD_CC = 1 << 6,
	MG_CONN_CMD_CLOSE = 1 << 7,
	MG_CONN_CMD_PROBE = 1 << 8,
	MG_CONN_CMD_REPORT = 1 << 9,
	MG_CONN_CMD_CONTEXTS = 1 << 10,
	MG_CONN_CMD_REMOVE = 1 << 11,
	MG_CONN_CMD_MTU_PROBE = 1 << 12,
	MG_CONN_CMD_FRAGMENT = 1 << 13,
	MG_CONN_CMD_RING_RX = 1 << 20,
	MG_CONN_CMD_RING_TX = 1 << 21,
};

/* What each is for: the SYN's retransmission; keepalive; FIN-WAIT-2 of a closed application; a larger path MTU. */
enum mg_conn_timer {
	MG_CONN_T_REXMT,
	MG_CONN_T_KEEPALIVE,
	MG_CONN_T_ORPHAN,
	MG_CONN_T_PMTU,
	MG_CONN_T_NR
};

struct mg_conn {
	struct mg_tuple_node node; /* first: found through the table of tuples */
	uint32_t flags;            /* enum mg_conn_flag */
	uint8_t state;             /* enum mg_tcp_state */
	uint8_t flow;              /* enum mg_conn_flow */
	uint8_t ttl;
	uint8_t tos;
	uint8_t retries; /* of the SYN */
	uint8_t ka_count;
	uint8_t ka_probes; /* unanswered */
	uint8_t worker;
	uint16_t port;
	uint16_t snd_mss; /* effective */
	struct mg_handshake hs;
	uint32_t idx;
	uint32_t gen;
	uint32_t app; /* slot */
	uint32_t window;
	uint32_t window_gen;
	uint32_t context;  /* of the process that has it */
	uint32_t contexts; /* that get its events: a bit each */
	uint32_t listener; /* id, while queued or offered */
	uint32_t queue_next;
	uint32_t neigh;
	uint32_t pending; /* enum mg_conn_cmd */
	uint32_t pending_prev, pending_next;
	uint32_t snd_wnd; /* at INSTALL */
	uint32_t mss_max; /* TCP_MAXSEG; 0: none */
	uint32_t rcvbuf_bytes, sndbuf_bytes;
	uint32_t syn_bytes;          /* payload of the SYN that the worker got with INSTALL */
	uint32_t syn_sent;           /* bytes of the transmit ring that our SYN carried ... */
	uint32_t syn_acked;          /* ... and that its answer acknowledged */
	uint8_t tfo;                 /* enum mg_tfo_plan */
	uint32_t tfo_listener;       /* id, with MG_CONN_TFO */
	uint32_t adv_bytes;          /* receive window offered in the handshake */
	uint32_t icmp_seq;           /* what it quotes */
	uint32_t icmp_mtu;           /* 0: it is not about that */
	uint32_t icmp_error;         /* else what it says: errno */
	struct mg_conn_ring ring[2]; /* by enum mg_ring_dir */
	uint64_t cookie;
	struct mg_mac dmac;   /* last told to the worker */
	uint16_t mtup_bytes;  /* segment size being probed; 0: none */
	uint16_t mtup_high;   /* ... and the largest that may still fit */
	uint8_t mtup_lost;    /* probes of this size lost */
	uint8_t mtup_unknown; /* ... and without a result */
	uint32_t srtt_us;     /* of the handshake, later of the samples */
	uint32_t error;       /* what the application will be told: positive errno */
	uint32_t soft_error;
	uint32_t ka_idle_ms, ka_intvl_ms;
	uint32_t user_timeout_ms;
	int32_t linger_ms; /* -1: off */
	uint64_t ka_sent_ns;
	uint64_t sent_ns; /* our SYN */
	uint64_t born_ns;
	uint64_t rexmt_since_ns; /* first of a row of time-outs */
	uint64_t deadline_ns[MG_CONN_T_NR];
	struct mg_limit reinject_limit;
	struct mg_cc cc;
};

static inline bool mg_conn_is_synchronised(const struct mg_conn *c)
{
	return c->state >= MG_TCP_ESTABLISHED;
}

/* Flags for what the application asked for; 0 bytes: it left the size to us. */
static inline uint32_t mg_conn_fixed(uint32_t rcvbuf_bytes, uint32_t sndbuf_bytes)
{
	return (rcvbuf_bytes != 0 ? MG_CONN_RCV_FIXED : 0u) |
	       (sndbuf_bytes != 0 ? MG_CONN_SND_FIXED : 0u);
}

struct mg_conn *mg_conn_by_flow(struct mg_slow *s, uint32_t idx, uint32_t gen);
/* The connection of an application's window; NULL when the reference is stale or nonsense. */
struct mg_conn *mg_conn_by_window(struct mg_slow *s, const struct mg_slow_app *app, uint32_t window,
				  uint32_t gen);
/* A record with configured defaults, in state CLOSED, without tuple or window. 0 or -ENOBUFS. */
int mg_conn_new(struct mg_slow *s, struct mg_slow_app *app, struct mg_conn **ret_conn);
/* Gives back a record whose flow is gone or never was: window, rings, tuple, timers. */
void mg_conn_free(struct mg_slow *s, struct mg_conn *c);
void mg_conn_set_state(struct mg_slow *s, struct mg_conn *c, enum mg_tcp_state to);
void mg_conn_hash(struct mg_slow *s, struct mg_conn *c, const struct mg_tuple *tuple);
/* The window and the rings of the sizes in c. 0 or -ENOSPC; state: enum mg_shm_state. */
int mg_conn_open_window(struct mg_slow *s, struct mg_conn *c, uint32_t state);
/* Its congestion control: the application's choice, or the configured one. */
/* By name into *ret_ops, NULL for "": the configured one. 0 or -ENOENT; the name need not be terminated. */
int mg_conn_cc_by_name(const char name[16], const struct mg_cc_ops **ret_ops);
const struct mg_cc_ops *mg_conn_cc(const struct mg_slow *s, const struct mg_conn *c);
/* Hands the connection to its worker. snd_wnd: scaled; ack: rcv_nxt is irs + 1. rtt_us 0: unknown. */
void mg_conn_install(struct mg_slow *s, struct mg_conn *c, const struct mg_seg *seg,
		     uint32_t rtt_us);
/* Tells the application (unless it does not know of the connection yet). */
void mg_conn_publish(struct mg_slow *s, struct mg_conn *c, uint32_t window_state);
void mg_conn_notify(struct mg_slow *s, struct mg_conn *c, uint32_t kind);
/* The same to contexts that may never have seen the last entry: always one entry. */
void mg_conn_tell(struct mg_slow *s, struct mg_conn *c, uint32_t kind);
/* Who gets its events from now on; the worker is told, and tells each of them to look. */
void mg_conn_set_contexts(struct mg_slow *s, struct mg_conn *c, uint32_t contexts);
struct mg_shm_window *mg_conn_window(struct mg_slow *s, const struct mg_conn *c);
/* Asks for commands (bits of enum mg_conn_cmd); sends what there is room for. */
void mg_conn_command(struct mg_slow *s, struct mg_conn *c, uint32_t cmds);
/* Retries; false when the ring is still full. */
bool mg_conn_flush(struct mg_slow *s, struct mg_conn *c);
void mg_conn_flush_pending(struct mg_slow *s);
void mg_conn_arm(struct mg_slow *s, struct mg_conn *c, enum mg_conn_timer timer,
		 uint64_t deadline_ns);
void mg_conn_timer(struct mg_slow *s, uint32_t idx);

/* Ends the protocol's part. error: positive errno for the application, 0: orderly. rst: the peer is told. */
void mg_conn_end(struct mg_slow *s, struct mg_conn *c, uint32_t error, bool rst);
/* The application lets go: frees the record now or when the flow has gone. */
void mg_conn_release(struct mg_slow *s, struct mg_conn *c);
/* The worker has given the flow back (ev may be NULL: there was none). */
void mg_conn_flow_gone(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_removed *ev);
#endif
