/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reass.c - intervals beyond a gap and the SACK blocks for them; see reass.h.
 */
#include "fastpath/core/reass.h"

#include "fastpath/core/engine.h"

void mg_reass_init(struct mg_reass_pool *pool, void *mem, uint32_t count)
{
	*pool = (struct mg_reass_pool){ .items = mem, .count = count, .free_head = MG_FLOW_NONE };
}

static uint32_t take(struct mg_reass_pool *p)
{
	uint32_t idx = p->free_head;

	if (idx != MG_FLOW_NONE) {
		p->free_head = p->items[idx].next;
	} else {
		if (p->nr_touched == p->count)
			return MG_FLOW_NONE;
		idx = p->nr_touched++;
	}
	p->nr_used++;
	return idx;
}

static void give(struct mg_reass_pool *p, uint32_t idx)
{
	p->items[idx].next = p->free_head;
	p->free_head = idx;
	p->nr_used--;
}

/* The block that changed goes first; blocks that lie within it vanish. */
static void sack_touch(struct mg_flow *f, uint32_t start, uint32_t end)
{
	struct mg_sack_block out[MG_SACK_BLOCKS_MAX];
	uint8_t n = 1;

	out[0] = (struct mg_sack_block){ start, end };
	for (uint8_t i = 0; i < f->nr_sack && n < MG_SACK_BLOCKS_MAX; i++) {
		if (mg_seq_leq(start, f->sack[i].start) && mg_seq_leq(f->sack[i].end, end))
			continue;
		out[n++] = f->sack[i];
	}
	for (uint8_t i = 0; i < n; i++)
		f->sack[i] = out[i];
	f->nr_sack = n;
}

static void sack_drop_before(struct mg_flow *f, uint32_t seq)
{
	uint8_t n = 0;

	for (uint8_t i = 0; i < f->nr_sack; i++) {
		if (mg_seq_gt(f->sack[i].start, seq))
			f->sack[n++] = f->sack[i];
	}
	f->nr_sack = n;
}

bool mg_reass_insert(struct mg_fp *fp, struct mg_flow *f, uint32_t start, uint32_t end,
		     bool *ret_dup)
{
	struct mg_reass *items = fp->ooos.items;
	uint32_t *link = &f->ooo_head;
	uint32_t idx;

	*ret_dup = false;
	while (*link != MG_FLOW_NONE && mg_seq_lt(items[*link].end, start))
		link = &items[*link].next;
	idx = *link;
	if (idx == MG_FLOW_NONE || mg_seq_lt(end, items[idx].start)) {
		idx = f->nr_ooo < MG_FP_OOO_PER_FLOW ? take(&fp->ooos) : MG_FLOW_NONE;
		if (idx == MG_FLOW_NONE)
			return false;
		items[idx] = (struct mg_reass){ start, end, *link };
		*link = idx;
		f->nr_ooo++;
	} else {
		*ret_dup = mg_seq_leq(items[idx].start, start) && mg_seq_leq(end, items[idx].end);
		items[idx].start = mg_seq_min(items[idx].start, start);
		items[idx].end = mg_seq_max(items[idx].end, end);
	}
	while (items[idx].next != MG_FLOW_NONE &&
	       mg_seq_leq(items[items[idx].next].start, items[idx].end)) {
		uint32_t next = items[idx].next;

		items[idx].end = mg_seq_max(items[idx].end, items[next].end);
		items[idx].next = items[next].next;
		give(&fp->ooos, next);
		f->nr_ooo--;
	}
	sack_touch(f, items[idx].start, items[idx].end);
	return true;
}

uint32_t mg_reass_advance(struct mg_fp *fp, struct mg_flow *f, uint32_t seq)
{
	const struct mg_reass *items = fp->ooos.items;

	while (f->ooo_head != MG_FLOW_NONE && mg_seq_leq(items[f->ooo_head].start, seq)) {
		uint32_t idx = f->ooo_head;

		seq = mg_seq_max(seq, items[idx].end);
		f->ooo_head = items[idx].next;
		give(&fp->ooos, idx);
		f->nr_ooo--;
	}
	sack_drop_before(f, seq);
	return seq;
}

void mg_reass_note_dup(struct mg_flow *f, uint32_t start, uint32_t end)
{
	if (!(f->opts & MG_FLOW_SACK) || start == end)
		return;
	f->dsack = (struct mg_sack_block){ start, end };
	f->dsack_valid = 1;
}

uint8_t mg_reass_sacks(const struct mg_fp *fp, const struct mg_flow *f, uint8_t max,
		       struct mg_sack_block *ret)
{
	uint8_t n = 0;

	(void)fp;
	if (f->dsack_valid && n < max)
		ret[n++] = f->dsack;
	for (uint8_t i = 0; i < f->nr_sack && n < max; i++)
		ret[n++] = f->sack[i];
	return n;
}

void mg_reass_free_all(struct mg_fp *fp, struct mg_flow *f)
{
	while (f->ooo_head != MG_FLOW_NONE) {
		uint32_t idx = f->ooo_head;

		f->ooo_head = fp->ooos.items[idx].next;
		give(&fp->ooos, idx);
	}
	f->nr_ooo = 0;
	f->nr_sack = 0;
}

void mg_reass_check(const struct mg_fp *fp, const struct mg_flow *f)
{
	const struct mg_reass *items = fp->ooos.items;
	uint32_t last = f->rcv_nxt;
	uint32_t n = 0;

	for (uint32_t i = f->ooo_head; i != MG_FLOW_NONE; i = items[i].next) {
		MG_ASSERT(i < fp->ooos.nr_touched);
		MG_ASSERT(mg_seq_gt(items[i].start, last)); /* a gap before each */
		MG_ASSERT(mg_seq_gt(items[i].end, items[i].start));
		MG_ASSERT(items[i].end - f->rcv_nxt <= mg_flow_rx_free(f));
		last = items[i].end;
		n++;
	}
	MG_ASSERT(n == f->nr_ooo);
	for (uint8_t i = 0; i < f->nr_sack; i++)
		MG_ASSERT(mg_seq_gt(f->sack[i].start, f->rcv_nxt) &&
			  mg_seq_gt(f->sack[i].end, f->sack[i].start));
}
