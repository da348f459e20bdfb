/* SPDX-License-Identifier: Apache-2.0 */
/* tfocache.c - see tfocache.h. */
#include "slowpath/core/tfocache.h"

#include "slowpath/core/engine.h"

#define LOSSES_IN_PATIENCE 1
#define PAUSE_NS (60 * MG_NS_PER_S)
#define PAUSE_DOUBLINGS_MAX 10

static struct mg_tfo_entry *set_of(struct mg_slow *s, const struct mg_tuple *tuple)
{
	struct mg_addr in[2] = { tuple->laddr, tuple->raddr };

	return s->tfo_cache.entries[mg_siphash24(&s->key, in, sizeof(in)) % MG_TFO_CACHE_SETS];
}

static struct mg_tfo_entry *find(struct mg_tfo_entry *set, const struct mg_tuple *tuple)
{
	for (uint32_t i = 0; i < MG_TFO_CACHE_WAYS; i++)
		if (set[i].used_ns != 0 && mg_addr_eq(&set[i].raddr, &tuple->raddr) &&
		    mg_addr_eq(&set[i].laddr, &tuple->laddr))
			return &set[i];
	return NULL;
}

/* A free place, or that of what was used longest ago. */
static struct mg_tfo_entry *make(struct mg_tfo_entry *set, const struct mg_tuple *tuple)
{
	struct mg_tfo_entry *e = &set[0];

	for (uint32_t i = 1; i < MG_TFO_CACHE_WAYS; i++)
		if (set[i].used_ns < e->used_ns)
			e = &set[i];
	*e = (struct mg_tfo_entry){ .laddr = tuple->laddr, .raddr = tuple->raddr };
	return e;
}

static bool is_paused(const struct mg_slow *s, const struct mg_tfo_entry *e)
{
	uint32_t doublings = mg_min_u32(e->lost, PAUSE_DOUBLINGS_MAX);

	return e->lost > LOSSES_IN_PATIENCE && s->now_ns < e->lost_ns + (PAUSE_NS << doublings);
}

enum mg_tfo_advice mg_tfo_cache_look(struct mg_slow *s, const struct mg_tuple *tuple,
				     struct mg_tfo_entry *ret_entry)
{
	struct mg_tfo_entry *e = find(set_of(s, tuple), tuple);

	*ret_entry = (struct mg_tfo_entry){ .mss = 0 };
	if (e == NULL)
		return MG_TFO_ASK;
	e->used_ns = mg_max_u64(s->now_ns, 1);
	*ret_entry = *e;
	if (is_paused(s, e))
		return MG_TFO_LEAVE;
	return e->cookie.len != 0 ? MG_TFO_USE : MG_TFO_ASK;
}

void mg_tfo_cache_note(struct mg_slow *s, const struct mg_tuple *tuple,
		       const struct mg_tfo_cookie *cookie, uint16_t mss, bool is_lost)
{
	struct mg_tfo_entry *set = set_of(s, tuple);
	struct mg_tfo_entry *e = find(set, tuple);

	if (e == NULL && cookie == NULL && !is_lost)
		return; /* nothing worth a place */
	if (e == NULL)
		e = make(set, tuple);
	e->used_ns = mg_max_u64(s->now_ns, 1);
	if (mss != 0)
		e->mss = mss;
	if (cookie != NULL)
		e->cookie = *cookie;
	if (!is_lost) {
		e->lost = 0;
		return;
	}
	e->lost = (uint8_t)mg_min_u32(e->lost + 1u, UINT8_MAX);
	e->lost_ns = s->now_ns;
	s->stats.fastopen_blackhole += e->lost == LOSSES_IN_PATIENCE + 1;
}
