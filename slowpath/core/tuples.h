/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tuples.h - one hash table from connection tuple to whoever holds it: connection, embryo or TIME-WAIT entry.
 *
 * Idea:    a tuple has at most one holder, so one look-up decides where a segment belongs. Chained, by
 *          references (kind above, index below) rather than pointers. The node is the first member of each
 *          holder, so a reference finds it by base and stride.
 * Threads: the slow path.
 * Memory:  heads from the caller; nodes lie in their holders.
 */
#ifndef MG_TUPLES_H
#define MG_TUPLES_H
#include <stddef.h>
#include <stdint.h>

#include "proto/base/addr.h"

#define MG_TUPLES_NONE 0u
#define MG_TUPLES_INDEX_MAX ((1u << 30) - 1)

enum mg_tuples_kind { MG_TUPLES_CONN = 1, MG_TUPLES_EMBRYO = 2, MG_TUPLES_TIMEWAIT = 3 };

struct mg_tuple_node {
	struct mg_tuple tuple;
	uint32_t hash;
	uint32_t next; /* reference */
};

struct mg_tuples {
	uint32_t *heads;
	uint32_t mask;
	uint32_t nr_used;
	uint64_t seed;
	uint8_t *base[4]; /* by kind: the array of holders */
	size_t stride[4];
};

static inline uint32_t mg_tuples_ref(enum mg_tuples_kind kind, uint32_t idx)
{
	return (uint32_t)kind << 30 | idx;
}

static inline enum mg_tuples_kind mg_tuples_kind(uint32_t ref)
{
	return (enum mg_tuples_kind)(ref >> 30);
}

static inline uint32_t mg_tuples_index(uint32_t ref)
{
	return ref & MG_TUPLES_INDEX_MAX;
}

size_t mg_tuples_bytes(uint32_t count);
void mg_tuples_init(struct mg_tuples *t, void *mem, uint32_t count, uint64_t seed);
void mg_tuples_set_kind(struct mg_tuples *t, enum mg_tuples_kind kind, void *base, size_t stride);
/* The holder's reference, or MG_TUPLES_NONE. */
uint32_t mg_tuples_find(const struct mg_tuples *t, const struct mg_tuple *tuple);
/* The holder's node: sets tuple, hash and link. The tuple must have no holder yet (asserted in debug). */
void mg_tuples_add(struct mg_tuples *t, uint32_t ref, const struct mg_tuple *tuple);
/* The holder must be in the table (asserted). */
void mg_tuples_remove(struct mg_tuples *t, uint32_t ref);
#endif
