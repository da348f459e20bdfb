/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reass.h - data that arrived beyond rcv_nxt.
 *
 * Idea:    the rx ring is addressed by stream position, so a segment beyond a gap is copied straight to its
 *          place; what is remembered is only which ranges are there: ascending, disjoint, not touching
 *          intervals, bounded per flow and per worker. The SACK blocks to send are kept beside them, the
 *          one that changed last first (RFC 2018 section 4), and one D-SACK (RFC 2883).
 * Threads: one worker.
 * Memory:  a pool shared by the worker's flows; the caller's memory.
 */
#ifndef MG_REASS_H
#define MG_REASS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath/core/flow.h"

struct mg_fp;

struct mg_reass {
	uint32_t start;
	uint32_t end;
	uint32_t next;
};

struct mg_reass_pool {
	struct mg_reass *items;
	uint32_t count;
	uint32_t nr_touched;
	uint32_t nr_used;
	uint32_t free_head;
};

static inline size_t mg_reass_bytes(uint32_t count)
{
	return (size_t)count * sizeof(struct mg_reass);
}

void mg_reass_init(struct mg_reass_pool *pool, void *mem, uint32_t count);
/*
 * [start, end) is (about to be) in the ring; start > rcv_nxt. False: no interval was free and nothing was
 * noted. *ret_dup: all of it was there already.
 */
bool mg_reass_insert(struct mg_fp *fp, struct mg_flow *f, uint32_t start, uint32_t end,
		     bool *ret_dup);
/* rcv_nxt moved to `seq`: forgets what lies before and returns where the data now ends in order. */
uint32_t mg_reass_advance(struct mg_fp *fp, struct mg_flow *f, uint32_t seq);
/* [start, end) came although it was here: report it once (RFC 2883). */
void mg_reass_note_dup(struct mg_flow *f, uint32_t start, uint32_t end);
/* SACK blocks for the next segment, D-SACK first; at most max. */
uint8_t mg_reass_sacks(const struct mg_fp *fp, const struct mg_flow *f, uint8_t max,
		       struct mg_sack_block *ret);
void mg_reass_free_all(struct mg_fp *fp, struct mg_flow *f);
void mg_reass_check(const struct mg_fp *fp, const struct mg_flow *f);
#endif
