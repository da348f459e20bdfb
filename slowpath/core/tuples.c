/* SPDX-License-Identifier: Apache-2.0 */
/* tuples.c - see tuples.h. */
#include "slowpath/core/tuples.h"

#include "proto/base/assert.h"
#include "proto/base/bits.h"

static struct mg_tuple_node *node_of(const struct mg_tuples *t, uint32_t ref)
{
	uint32_t kind = mg_tuples_kind(ref);

	MG_DASSERT(kind != 0 && t->base[kind] != NULL);
	return (struct mg_tuple_node *)(void *)(t->base[kind] +
						mg_tuples_index(ref) * t->stride[kind]);
}

static uint32_t nr_heads(uint32_t count)
{
	return mg_pow2_up_u32(mg_max_u32(count, 64));
}

size_t mg_tuples_bytes(uint32_t count)
{
	return nr_heads(count) * sizeof(uint32_t);
}

void mg_tuples_init(struct mg_tuples *t, void *mem, uint32_t count, uint64_t seed)
{
	memset(t, 0, sizeof(*t));
	memset(mem, 0, mg_tuples_bytes(count));
	t->heads = mem;
	t->mask = nr_heads(count) - 1;
	t->seed = seed;
}

void mg_tuples_set_kind(struct mg_tuples *t, enum mg_tuples_kind kind, void *base, size_t stride)
{
	t->base[kind] = base;
	t->stride[kind] = stride;
}

uint32_t mg_tuples_find(const struct mg_tuples *t, const struct mg_tuple *tuple)
{
	uint32_t hash = mg_tuple_hash(tuple, t->seed);
	uint32_t ref = t->heads[hash & t->mask];

	while (ref != MG_TUPLES_NONE) {
		const struct mg_tuple_node *n = node_of(t, ref);

		if (n->hash == hash && mg_tuple_eq(&n->tuple, tuple))
			return ref;
		ref = n->next;
	}
	return MG_TUPLES_NONE;
}

void mg_tuples_add(struct mg_tuples *t, uint32_t ref, const struct mg_tuple *tuple)
{
	struct mg_tuple_node *n = node_of(t, ref);
	uint32_t *head;

	MG_DASSERT(mg_tuples_find(t, tuple) == MG_TUPLES_NONE);
	n->tuple = *tuple;
	n->hash = mg_tuple_hash(tuple, t->seed);
	head = &t->heads[n->hash & t->mask];
	n->next = *head;
	*head = ref;
	t->nr_used++;
}

void mg_tuples_remove(struct mg_tuples *t, uint32_t ref)
{
	struct mg_tuple_node *n = node_of(t, ref);
	uint32_t *link = &t->heads[n->hash & t->mask];

	while (*link != ref) {
		MG_ASSERT(*link != MG_TUPLES_NONE);
		link = &node_of(t, *link)->next;
	}
	*link = n->next;
	n->next = MG_TUPLES_NONE;
	t->nr_used--;
}
