/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txrec.h - what was sent and is not acknowledged: ranges of sequence space with their send times.
 *
 * Idea:    the records of a flow cover [snd_una, snd_nxt) without gaps, in order. What is sent in one burst at
 *          one time is one record; SACKs and retransmissions split it; neighbours that are both SACKed, or
 *          both lost, become one again. So the list is about as long as there are bursts and holes.
 *          sacked_bytes and lost_bytes of the flow are the sums over the records so marked.
 *          When the pool is empty, new data extends the last record (losing only the exact send time).
 * Threads: one worker.
 * Memory:  a pool shared by the worker's flows; the caller's memory.
 */
#ifndef MG_TXREC_H
#define MG_TXREC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath/core/flow.h"

struct mg_fp;

enum mg_txrec_flag {
	MG_TXREC_SACKED = 1 << 0,
	MG_TXREC_LOST = 1 << 1, /* believed lost, not retransmitted since */
	MG_TXREC_RETX = 1 << 2, /* was retransmitted: no round-trip sample (Karn) */
	MG_TXREC_APP_LIMITED = 1 << 3,
	MG_TXREC_WAS_SACKED = 1 << 4, /* and then the marks were cleared: a time-out, reneging */
};

struct mg_txrec {
	uint32_t start;
	uint32_t end;
	uint32_t next;
	uint32_t prev;
	uint64_t sent_ns;   /* last transmission */
	uint64_t delivered; /* snapshots at that time, for the delivery rate */
	uint64_t delivered_ns;
	uint64_t first_sent_ns;
	uint16_t flags; /* enum mg_txrec_flag */
	uint16_t reserved;
	uint32_t lost;        /* lost_total, likewise */
	uint32_t tx_inflight; /* in flight with it */
	uint32_t reserved2;
};
static_assert(sizeof(struct mg_txrec) == 64, "one cache line");

struct mg_txrec_pool {
	struct mg_txrec *recs;
	uint32_t count;
	uint32_t nr_touched;
	uint32_t nr_used;
	uint32_t free_head; /* chained by next; MG_FLOW_NONE: empty */
};

static inline size_t mg_txrec_bytes(uint32_t count)
{
	return (size_t)count * sizeof(struct mg_txrec);
}

void mg_txrec_init(struct mg_txrec_pool *pool, void *mem, uint32_t count);

/* Is there a record to append to or to take? Ask before sending. */
bool mg_txrec_can_append(const struct mg_fp *fp, const struct mg_flow *f);
/* [snd_nxt, end) leaves now; the caller moves snd_nxt. mg_txrec_can_append() was true. */
void mg_txrec_append(struct mg_fp *fp, struct mg_flow *f, uint32_t end, uint64_t now_ns);
/* Makes `seq` a boundary; the record that begins there, or MG_FLOW_NONE if the pool is empty. start < seq < end. */
uint32_t mg_txrec_split(struct mg_fp *fp, struct mg_flow *f, uint32_t idx, uint32_t seq);
/* Removes the first record, whose marks count no more. */
void mg_txrec_pop(struct mg_fp *fp, struct mg_flow *f);
/* The mark and the sums; a record that is SACKED or LOST already is left alone. */
void mg_txrec_mark_sacked(struct mg_fp *fp, struct mg_flow *f, uint32_t idx);
void mg_txrec_mark_lost(struct mg_fp *fp, struct mg_flow *f, uint32_t idx);
/* No record is SACKED any more: the peer may have taken it back (RFC 2018 section 8). */
void mg_txrec_forget_sacks(struct mg_fp *fp, struct mg_flow *f);
/* The first `len` bytes of a LOST record leave again now; returns the record that now ends there. */
uint32_t mg_txrec_retransmitted(struct mg_fp *fp, struct mg_flow *f, uint32_t idx, uint32_t len,
				uint64_t now_ns);
/* Joins idx with its equal neighbours; returns the index of what is left. */
uint32_t mg_txrec_merge(struct mg_fp *fp, struct mg_flow *f, uint32_t idx);
void mg_txrec_free_all(struct mg_fp *fp, struct mg_flow *f);
/* Asserts the invariants above. */
void mg_txrec_check(const struct mg_fp *fp, const struct mg_flow *f);
#endif
