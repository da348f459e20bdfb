/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp.h - the fast path's core: established TCP for one worker, without I/O.
 *
 * Idea:    a worker's engine owns its flows, its lookup table and its timer wheel. Segments, doorbells,
 *          commands and the clock go in; packets, events and application notifications come out through
 *          `struct mg_fp_env`. It never reads a clock, allocates, blocks or logs. What is not the common
 *          case of an established connection goes to the slow path as an event (proto/path/msg.h).
 * Use:     one turn of a worker's loop, `now_ns` read once:
 *          1. mg_fp_command() for each command of the slow path
 *          2. mg_fp_lookup() for all segments of a burst, then mg_fp_rx() for each (NULL flow: the caller
 *             hands the packet to the slow path)
 *          3. mg_fp_doorbells() for each application context
 *          4. mg_fp_timers()
 *          5. mg_fp_flush(): sends what the turn made ready: data and at most the ACKs that are due (a
 *             whole burst is processed before anything is acknowledged, RFC 9293 MUST-58, 59), pushes the
 *             applications' entries and wakes them, once each
 *          6. mg_fp_next_ns() tells when to come back.
 * Threads: one worker; no locks.
 * Memory:  all from mg_fp_init()'s caller, sized by mg_fp_bytes().
 */
#ifndef MG_FP_H
#define MG_FP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/path/app.h"
#include "proto/path/msg.h"
#include "proto/wire/seg.h"

struct mg_fp;
struct mg_flow;

/* What the sender of a packet must know about it. */
struct mg_fp_pkt {
	void *handle;  /* the environment's own (an mbuf) */
	uint8_t *data; /* where the frame starts */
	uint32_t len;  /* contiguous bytes there: headers and payload */
	/* With mg_fp_port.lends: more payload behind them, where the application wrote it; bytes 0: no more. */
	struct {
		uint8_t *data;
		uint32_t bytes;
	} lent[2];
	uint16_t port;
	uint8_t l2_len;
	uint8_t l3_len;
	uint8_t l4_len;
	uint8_t is_v6;
	bool part_csum; /* the TCP checksum is the port's to finish */
	uint16_t gso_size; /* payload bytes per wire segment when the frame is larger than the MTU; else 0 */
};

/*
 * The world below. `ctx` is handed back as it is. Calls never fail loudly: a NULL packet means that none is
 * free now; the engine counts it and tries again from its timer.
 */
struct mg_fp_env {
	void *ctx;
	/* A packet with room for `len` contiguous bytes, or NULL. Fills handle and data. */
	bool (*pkt_alloc)(void *ctx, uint16_t port, uint32_t len, struct mg_fp_pkt *ret_pkt);
	/*
	 * Takes the packet. With part_csum the TCP checksum field holds the pseudo-header's sum, over the length
	 * of the whole frame; with tx_csum the IP checksum is 0. Else both are right: see mg_fp_port.
	 */
	void (*pkt_send)(void *ctx, const struct mg_fp_pkt *pkt);
	/* Copies the record into the slow path's ring. False: full; the engine keeps what must not be lost and retries. */
	bool (*event)(void *ctx, const struct mg_msg *ev);
	/* An entry was pushed for this context and it sleeps: make it runnable. */
	void (*wake)(void *ctx, struct mg_app *app, uint32_t context);
};

/* What a port can do. */
struct mg_fp_port {
	bool tx_csum;       /* computes IPv4 and TCP checksums of all frames it sends */
	bool has_l2;        /* frames start with an Ethernet header */
	uint32_t gso_bytes; /* largest payload it segments itself, finishing the checksums; 0: none */
	bool lends; /* payload need not be copied: it is sent by reference before the turn ends, checksums too */
};

struct mg_fp_conf {
	uint32_t worker;    /* number of this worker */
	uint32_t flows_max; /* flow ids are 0..flows_max-1 (shared numbering of all workers) */
	uint32_t flows_local_max; /* how many of them may live here at a time */
	uint32_t txrecs_max;      /* records of transmitted ranges, shared by the worker's flows */
	uint32_t ooo_max;         /* out-of-order intervals, shared by the worker's flows */
	uint32_t apps_max;
	uint32_t nr_ports;
	uint32_t challenge_ack_per_s; /* per flow limit is derived; RFC 5961 section 7 */
	uint64_t hash_seed;           /* secret */
	uint64_t now_ns;
	struct mg_fp_port ports[16];
};

/* Bytes of memory (64-byte aligned) an engine of this configuration needs. */
size_t mg_fp_bytes(const struct mg_fp_conf *conf);
/* Builds an engine in `mem` (zeroed). 0, or -EINVAL for an impossible configuration. */
int mg_fp_init(void *mem, const struct mg_fp_conf *conf, const struct mg_fp_env *env,
	       struct mg_fp **ret_fp);

/* The flow of a segment, or NULL. Pure look-up; safe to call for a burst before any mg_fp_rx(). */
struct mg_flow *mg_fp_lookup(struct mg_fp *fp, const struct mg_seg *seg);
/* Brings the flow's first lines towards the cache. */
void mg_fp_prefetch(const struct mg_flow *flow);

enum mg_fp_verdict {
	MG_FP_DONE = 0,    /* consumed (delivered or dropped with a counter) */
	MG_FP_TO_SLOW = 1, /* not the common case: the caller copies the packet to the slow path */
};
enum mg_fp_verdict mg_fp_rx(struct mg_fp *fp, struct mg_flow *flow, const struct mg_seg *seg,
			    uint64_t now_ns);

/* Obeys one command; MG_CMD_TX_PACKET and MG_CMD_REINJECT are the caller's and ignored here. */
void mg_fp_command(struct mg_fp *fp, const struct mg_msg *cmd, uint64_t now_ns);
/* Takes at most `budget` doorbells of one context; returns how many there were. */
uint32_t mg_fp_doorbells(struct mg_fp *fp, struct mg_app *app, uint32_t context, uint32_t budget,
			 uint64_t now_ns);
/* Runs the timers that are due; returns how many. */
uint32_t mg_fp_timers(struct mg_fp *fp, uint64_t now_ns);
void mg_fp_flush(struct mg_fp *fp, uint64_t now_ns);
/* Did any application get an entry since the last call? Then it has work, and may want this core. */
bool mg_fp_take_told(struct mg_fp *fp);
/* When must mg_fp_timers() run again? UINT64_MAX: not before something else happens. */
uint64_t mg_fp_next_ns(const struct mg_fp *fp);

/* Applications this worker serves, for the caller's doorbell round. NULL: a free slot, or doorbell rings of nonsense. */
struct mg_app *mg_fp_app(const struct mg_fp *fp, uint32_t slot);
uint32_t mg_fp_nr_apps(const struct mg_fp *fp); /* slots in use: 0..n-1, some may be NULL */

/* Challenge ACKs a second, from the next second on. The worker's own thread. */
void mg_fp_set_challenge_limit(struct mg_fp *fp, uint32_t per_s);

/* Counters (fastpath/core/fp_stats.def): name, value; false past the end. Others may read them at any time. */
bool mg_fp_counter(const struct mg_fp *fp, uint32_t i, const char **ret_name, const char **ret_help,
		   uint64_t *ret_value);
/* Asserts every invariant of every flow (tests, simulator, fuzzers). */
void mg_fp_check(const struct mg_fp *fp);
#endif
