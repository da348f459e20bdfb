/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - two-choice buckets from tuple to flow; see table.h.
 */
#include "fastpath/core/table.h"

#include "proto/base/assert.h"
#include "proto/base/bits.h"

uint32_t mg_table_buckets(uint32_t flows)
{
	return mg_pow2_up_u32(mg_max_u32(flows / (MG_TABLE_WAYS / 2), 2));
}

void mg_table_init(struct mg_table *t, void *mem, uint32_t flows)
{
	t->buckets = mem;
	t->mask = mg_table_buckets(flows) - 1;
	t->overflow = 0;
}

/* The low bits choose the worker, so they are the same for all flows here: mix before taking bits. */
static struct mg_table_bucket *bucket(const struct mg_table *t, uint32_t hash, int which)
{
	uint64_t mixed = (uint64_t)hash *
			 (which == 0 ? 0x9e3779b97f4a7c15ull : 0xd6e8feb86659fd93ull);

	return &t->buckets[(uint32_t)(mixed >> 32) & t->mask];
}

static struct mg_flow *find_in(const struct mg_table_bucket *b, struct mg_flow *flows,
			       const struct mg_tuple *tuple, uint32_t hash)
{
	for (uint32_t i = 0; i < MG_TABLE_WAYS; i++) {
		if (b->tag[i] != hash || b->idx[i] == 0)
			continue;
		if (mg_likely(mg_tuple_eq(&flows[b->idx[i] - 1].tuple, tuple)))
			return &flows[b->idx[i] - 1];
	}
	return NULL;
}

struct mg_flow *mg_table_find(const struct mg_table *t, struct mg_flow *flows,
			      const struct mg_tuple *tuple, uint32_t hash)
{
	struct mg_flow *f = find_in(bucket(t, hash, 0), flows, tuple, hash);

	if (mg_likely(f != NULL))
		return f;
	f = find_in(bucket(t, hash, 1), flows, tuple, hash);
	if (f != NULL)
		return f;
	for (uint32_t i = t->overflow; i != 0; i = flows[i - 1].ovf_next) {
		if (flows[i - 1].hash == hash && mg_tuple_eq(&flows[i - 1].tuple, tuple))
			return &flows[i - 1];
	}
	return NULL;
}

static uint32_t nr_used(const struct mg_table_bucket *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < MG_TABLE_WAYS; i++)
		n += b->idx[i] != 0;
	return n;
}

void mg_table_insert(struct mg_table *t, struct mg_flow *flows, struct mg_flow *f)
{
	struct mg_table_bucket *a = bucket(t, f->hash, 0);
	struct mg_table_bucket *b = bucket(t, f->hash, 1);
	uint32_t local = (uint32_t)(f - flows) + 1;

	MG_DASSERT(mg_table_find(t, flows, &f->tuple, f->hash) == NULL);
	/* The first bucket is preferred while it is roomy: most look-ups then touch one line. */
	if (nr_used(a) >= MG_TABLE_WAYS - 2 && nr_used(b) < nr_used(a))
		a = b;
	for (uint32_t i = 0; i < MG_TABLE_WAYS; i++) {
		if (a->idx[i] != 0)
			continue;
		a->tag[i] = f->hash;
		a->idx[i] = local;
		return;
	}
	f->ovf_next = t->overflow;
	t->overflow = local;
}

static bool remove_from(struct mg_table_bucket *b, uint32_t local)
{
	for (uint32_t i = 0; i < MG_TABLE_WAYS; i++) {
		if (b->idx[i] != local)
			continue;
		b->idx[i] = 0;
		b->tag[i] = 0;
		return true;
	}
	return false;
}

void mg_table_remove(struct mg_table *t, struct mg_flow *flows, struct mg_flow *f)
{
	uint32_t local = (uint32_t)(f - flows) + 1;
	uint32_t *link = &t->overflow;

	if (remove_from(bucket(t, f->hash, 0), local) || remove_from(bucket(t, f->hash, 1), local))
		return;
	while (*link != 0 && *link != local)
		link = &flows[*link - 1].ovf_next;
	MG_ASSERT(*link == local);
	*link = f->ovf_next;
}
