/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sack.c - SACK blocks become marks on records; see sack.h.
 */
#include "fastpath/core/sack.h"

#include "fastpath/core/engine.h"
#include "fastpath/core/recovery.h"

/* Marks what the record shares with [start, end); returns the record to go on from, or MG_FLOW_NONE. */
static uint32_t mark_part(struct mg_fp *fp, struct mg_flow *f, uint32_t idx,
			  const struct mg_sack_block *b, struct mg_ack *a)
{
	struct mg_txrec *recs = fp->recs.recs;
	uint32_t next = recs[idx].next;

	if (mg_seq_lt(recs[idx].start, b->start)) {
		idx = mg_txrec_split(fp, f, idx, b->start);
		if (idx == MG_FLOW_NONE)
			return next;
	}
	if (mg_seq_gt(recs[idx].end, b->end) && mg_txrec_split(fp, f, idx, b->end) == MG_FLOW_NONE)
		return MG_FLOW_NONE;
	/* Delivered below what came earlier, and never sent twice: the path reorders (RFC 8985 6.2 step 3). */
	if (mg_seq_leq(recs[idx].end, a->prior_fack) && !(recs[idx].flags & MG_TXREC_RETX))
		f->flags |= MG_FF_REORDER;
	mg_ack_deliver(f, &recs[idx], recs[idx].end - recs[idx].start, a);
	a->sacked += recs[idx].end - recs[idx].start;
	mg_txrec_mark_sacked(fp, f, idx);
	idx = mg_txrec_merge(fp, f, idx);
	f->sack_hint = idx;
	return recs[idx].next;
}

static void mark_range(struct mg_fp *fp, struct mg_flow *f, const struct mg_sack_block *b,
		       struct mg_ack *a)
{
	const struct mg_txrec *recs = fp->recs.recs;
	uint32_t idx = f->rec_head;

	if (f->sack_hint != MG_FLOW_NONE && mg_seq_leq(recs[f->sack_hint].start, b->start))
		idx = f->sack_hint;
	while (idx != MG_FLOW_NONE && mg_seq_lt(recs[idx].start, b->end)) {
		if (mg_seq_leq(recs[idx].end, b->start) || (recs[idx].flags & MG_TXREC_SACKED))
			idx = recs[idx].next;
		else
			idx = mark_part(fp, f, idx, b, a);
	}
}

/* Is the first block a report of duplicate data? */
static bool is_dsack(const struct mg_seg *seg)
{
	const struct mg_sack_block *b = seg->sack;

	if (mg_seq_leq(b[0].end, seg->ack))
		return true;
	return seg->nr_sack > 1 && mg_seq_leq(b[1].start, b[0].start) &&
	       mg_seq_leq(b[0].end, b[1].end);
}

static void one_block(struct mg_fp *fp, struct mg_flow *f, const struct mg_sack_block *block,
		      struct mg_ack *a)
{
	struct mg_sack_block b = *block;

	if (mg_seq_geq(b.start, b.end) || mg_seq_gt(b.end, f->snd_nxt) ||
	    mg_seq_diff(f->snd_una, b.start) > (int32_t)mg_max_u32(f->max_wnd, 65535)) {
		mg_fp_count(fp, MG_FPS_RX_SACK_BAD, 1);
		return;
	}
	if (mg_seq_leq(b.end, f->snd_una))
		return; /* old news */
	b.start = mg_seq_max(b.start, f->snd_una);
	mark_range(fp, f, &b, a);
	if (f->sacked_bytes != 0 && mg_seq_gt(b.end, f->fack))
		f->fack = b.end;
}

void mg_sack_process(struct mg_fp *fp, struct mg_flow *f, struct mg_ack *a)
{
	const struct mg_seg *seg = a->seg;
	uint8_t first = 0;

	if (seg->nr_sack == 0)
		return;
	if (mg_seq_lt(f->fack, f->snd_una))
		f->fack = f->snd_una;
	a->prior_fack = f->fack;
	if (mg_seq_lt(seg->sack[0].start, seg->sack[0].end) && is_dsack(seg)) {
		a->dsack = true;
		first = 1;
		mg_fp_count(fp, MG_FPS_RX_DSACK, 1);
		mg_recovery_dsack(fp, f, &seg->sack[0], a);
	}
	for (uint8_t i = first; i < seg->nr_sack && i < MG_SACK_BLOCKS_MAX; i++)
		one_block(fp, f, &seg->sack[i], a);
}
