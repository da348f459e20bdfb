/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - from a segment's tuple to its flow.
 *
 * Idea:    buckets of one cache-line pair: eight tags and eight indices. A tuple may live in either of two
 *          buckets, derived from its keyed hash; the emptier one gets it. At most two buckets are looked
 *          at, and the table is sized to be half full, so a bucket overflows practically never; if it does,
 *          the flow goes on a chain that is looked at last.
 * Threads: one worker.
 * Memory:  the caller's, zeroed, mg_table_bytes().
 */
#ifndef MG_TABLE_H
#define MG_TABLE_H
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath/core/flow.h"

#define MG_TABLE_WAYS 8

struct mg_table_bucket {
	alignas(64) uint32_t tag[MG_TABLE_WAYS]; /* the whole hash */
	uint32_t idx[MG_TABLE_WAYS];             /* local flow index + 1; 0: empty */
};
static_assert(sizeof(struct mg_table_bucket) == 64, "one cache line");

struct mg_table {
	struct mg_table_bucket *buckets;
	uint32_t mask;
	uint32_t overflow; /* local flow index + 1; 0: none */
};

/* Buckets for so many flows: a power of two. */
uint32_t mg_table_buckets(uint32_t flows);
static inline size_t mg_table_bytes(uint32_t flows)
{
	return (size_t)mg_table_buckets(flows) * sizeof(struct mg_table_bucket);
}
void mg_table_init(struct mg_table *t, void *mem, uint32_t flows);
struct mg_flow *mg_table_find(const struct mg_table *t, struct mg_flow *flows,
			      const struct mg_tuple *tuple, uint32_t hash);
/* f->tuple and f->hash are set. */
void mg_table_insert(struct mg_table *t, struct mg_flow *flows, struct mg_flow *f);
void mg_table_remove(struct mg_table *t, struct mg_flow *flows, struct mg_flow *f);
#endif
