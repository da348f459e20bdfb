/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timewait.h - TIME-WAIT: connections without flow, window or application, for 2 MSL.
 *
 * Idea:    all wait equally long, so a list in order of entry is the timer. It answers retransmitted FINs
 *          (and starts again), ignores resets (RFC 1337), and yields to a SYN that is surely new: a later
 *          timestamp or a later sequence number (RFC 6191, RFC 9293 MAY-2). Full: the oldest goes.
 * Threads: the slow path.
 */
#ifndef MG_TIMEWAIT_H
#define MG_TIMEWAIT_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/pool.h"
#include "slowpath/core/handshake.h"
#include "slowpath/core/tuples.h"

#define MG_TIMEWAIT_NONE UINT32_MAX

struct mg_slow;
struct mg_in;

struct mg_timewait {
	struct mg_tuple_node node; /* first: found through the table of tuples */
	uint32_t snd_nxt;
	uint32_t rcv_nxt;
	uint32_t rcv_wnd;
	uint32_t snd_wnd;
	uint32_t ts_recent;
	uint32_t ts_offset;
	uint32_t prev, next;
	uint64_t entered_ns;
	uint64_t expire_ns;
	uint8_t has_ts;
	uint8_t state;
};

struct mg_timewaits {
	struct mg_pool pool;
	struct mg_timewait *entries;
	uint32_t head, tail; /* oldest first */
};

struct mg_timewait_spec {
	const struct mg_tuple *tuple;
	uint32_t snd_nxt;
	uint32_t rcv_nxt;
	uint32_t rcv_wnd;
	uint32_t snd_wnd;
	uint32_t ts_recent;
	uint32_t ts_offset;
	bool has_ts;
};

/* The tuple must be in no table. */
void mg_timewait_add(struct mg_slow *s, const struct mg_timewait_spec *spec);
void mg_timewait_input(struct mg_slow *s, uint32_t idx, const struct mg_in *in);
void mg_timewait_expire(struct mg_slow *s);
uint64_t mg_timewait_next_ns(const struct mg_slow *s);
void mg_timewait_drop(struct mg_slow *s, uint32_t idx);
/* May an active open take this tuple (RFC 6191: our timestamps prove that it is new)? */
bool mg_timewait_may_reuse(const struct mg_slow *s, uint32_t idx);
#endif
