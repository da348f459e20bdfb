/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txrec.c - records of what is out; see txrec.h.
 */
#include "fastpath/core/txrec.h"

#include "fastpath/core/engine.h"

void mg_txrec_init(struct mg_txrec_pool *pool, void *mem, uint32_t count)
{
	*pool = (struct mg_txrec_pool){ .recs = mem, .count = count, .free_head = MG_FLOW_NONE };
}

static bool pool_empty(const struct mg_txrec_pool *p)
{
	return p->free_head == MG_FLOW_NONE && p->nr_touched == p->count;
}

static uint32_t take(struct mg_txrec_pool *p)
{
	uint32_t idx = p->free_head;

	if (mg_likely(idx != MG_FLOW_NONE)) {
		p->free_head = p->recs[idx].next;
	} else {
		if (p->nr_touched == p->count)
			return MG_FLOW_NONE;
		idx = p->nr_touched++;
	}
	p->nr_used++;
	return idx;
}

static void give(struct mg_txrec_pool *p, uint32_t idx)
{
	p->recs[idx].next = p->free_head;
	p->free_head = idx;
	p->nr_used--;
}

/* Takes the record out of the flow's list. */
static void unlink_rec(struct mg_fp *fp, struct mg_flow *f, uint32_t idx)
{
	struct mg_txrec *recs = fp->recs.recs;
	struct mg_txrec *r = &recs[idx];

	if (r->prev == MG_FLOW_NONE)
		f->rec_head = r->next;
	else
		recs[r->prev].next = r->next;
	if (r->next == MG_FLOW_NONE)
		f->rec_tail = r->prev;
	else
		recs[r->next].prev = r->prev;
	if (f->sack_hint == idx)
		f->sack_hint = MG_FLOW_NONE;
	give(&fp->recs, idx);
}

/* May new data become part of the last record when there is no other place? */
static bool can_extend(const struct mg_fp *fp, const struct mg_flow *f)
{
	return f->rec_tail != MG_FLOW_NONE &&
	       (fp->recs.recs[f->rec_tail].flags & (MG_TXREC_SACKED | MG_TXREC_LOST)) == 0;
}

bool mg_txrec_can_append(const struct mg_fp *fp, const struct mg_flow *f)
{
	return mg_likely(!pool_empty(&fp->recs)) || can_extend(fp, f);
}

static void snapshot(struct mg_flow *f, struct mg_txrec *r, uint64_t now_ns)
{
	if (mg_flow_pipe(f) == 0) {
		f->first_sent_ns = now_ns;
		f->delivered_ns = now_ns;
	}
	r->sent_ns = now_ns;
	r->delivered = f->delivered;
	r->delivered_ns = f->delivered_ns;
	r->first_sent_ns = f->first_sent_ns;
	r->lost = f->lost_total;
	r->tx_inflight = mg_flow_pipe(f) + (r->end - r->start);
}

void mg_txrec_append(struct mg_fp *fp, struct mg_flow *f, uint32_t end, uint64_t now_ns)
{
	struct mg_txrec *recs = fp->recs.recs;
	uint32_t idx;

	if (f->rec_tail != MG_FLOW_NONE && recs[f->rec_tail].sent_ns == now_ns &&
	    (recs[f->rec_tail].flags & ~MG_TXREC_APP_LIMITED) == 0) {
		recs[f->rec_tail].end = end;
		recs[f->rec_tail].tx_inflight += end - f->snd_nxt;
		return;
	}
	idx = take(&fp->recs);
	if (idx == MG_FLOW_NONE) {
		MG_ASSERT(can_extend(fp, f));
		recs[f->rec_tail].end = end;
		mg_fp_count(fp, MG_FPS_TXREC_MERGED, 1);
		return;
	}
	recs[idx].start = f->snd_nxt;
	recs[idx].end = end;
	recs[idx].flags = f->app_limited != 0 ? MG_TXREC_APP_LIMITED : 0;
	recs[idx].next = MG_FLOW_NONE;
	recs[idx].prev = f->rec_tail;
	if (f->rec_tail == MG_FLOW_NONE)
		f->rec_head = idx;
	else
		recs[f->rec_tail].next = idx;
	f->rec_tail = idx;
	snapshot(f, &recs[idx], now_ns);
}

uint32_t mg_txrec_split(struct mg_fp *fp, struct mg_flow *f, uint32_t idx, uint32_t seq)
{
	struct mg_txrec *recs = fp->recs.recs;
	uint32_t right = take(&fp->recs);

	MG_DASSERT(mg_seq_lt(recs[idx].start, seq) && mg_seq_lt(seq, recs[idx].end));
	if (right == MG_FLOW_NONE) {
		mg_fp_count(fp, MG_FPS_TXREC_NONE, 1);
		return MG_FLOW_NONE;
	}
	recs[right] = recs[idx];
	recs[right].start = seq;
	recs[right].prev = idx;
	recs[idx].end = seq;
	recs[idx].next = right;
	if (recs[right].next == MG_FLOW_NONE)
		f->rec_tail = right;
	else
		recs[recs[right].next].prev = right;
	return right;
}

void mg_txrec_pop(struct mg_fp *fp, struct mg_flow *f)
{
	const struct mg_txrec *r = &fp->recs.recs[f->rec_head];
	uint32_t len = r->end - r->start;

	if (r->flags & MG_TXREC_SACKED)
		f->sacked_bytes -= len;
	else if (r->flags & MG_TXREC_LOST)
		f->lost_bytes -= len;
	unlink_rec(fp, f, f->rec_head);
}

void mg_txrec_mark_sacked(struct mg_fp *fp, struct mg_flow *f, uint32_t idx)
{
	struct mg_txrec *r = &fp->recs.recs[idx];
	uint32_t len = r->end - r->start;

	if (r->flags & MG_TXREC_SACKED)
		return;
	if (r->flags & MG_TXREC_LOST) {
		f->lost_bytes -= len;
		r->flags &= (uint16_t)~MG_TXREC_LOST;
	}
	f->sacked_bytes += len;
	r->flags |= MG_TXREC_SACKED;
}

void mg_txrec_forget_sacks(struct mg_fp *fp, struct mg_flow *f)
{
	struct mg_txrec *recs = fp->recs.recs;

	for (uint32_t i = f->rec_head; i != MG_FLOW_NONE; i = recs[i].next) {
		if (recs[i].flags & MG_TXREC_SACKED)
			recs[i].flags = (uint16_t)((recs[i].flags & ~MG_TXREC_SACKED) |
						   MG_TXREC_WAS_SACKED);
	}
	f->sacked_bytes = 0;
	f->fack = f->snd_una;
}

void mg_txrec_mark_lost(struct mg_fp *fp, struct mg_flow *f, uint32_t idx)
{
	struct mg_txrec *r = &fp->recs.recs[idx];
	uint32_t len = r->end - r->start;

	if (r->flags & (MG_TXREC_SACKED | MG_TXREC_LOST))
		return;
	r->flags |= MG_TXREC_LOST;
	f->lost_bytes += len;
	f->samp.lost_bytes += len;
	f->lost_total += len;
	f->samp.loss_tx_inflight = r->tx_inflight;
	f->samp.loss_tx_lost = f->lost_total - r->lost;
}

/* Equal enough to be one range? */
static bool alike(const struct mg_txrec *a, const struct mg_txrec *b)
{
	if (a->flags & b->flags & MG_TXREC_SACKED)
		return true;
	if ((a->flags ^ b->flags) &
	    (MG_TXREC_SACKED | MG_TXREC_LOST | MG_TXREC_RETX | MG_TXREC_WAS_SACKED))
		return false;
	return (a->flags & MG_TXREC_LOST) != 0 || a->sent_ns == b->sent_ns;
}

static void absorb_next(struct mg_fp *fp, struct mg_flow *f, uint32_t idx)
{
	struct mg_txrec *recs = fp->recs.recs;
	uint32_t next = recs[idx].next;

	recs[idx].end = recs[next].end;
	recs[idx].flags |= recs[next].flags;
	recs[idx].sent_ns = mg_max_u64(recs[idx].sent_ns, recs[next].sent_ns);
	unlink_rec(fp, f, next);
}

uint32_t mg_txrec_merge(struct mg_fp *fp, struct mg_flow *f, uint32_t idx)
{
	const struct mg_txrec *recs = fp->recs.recs;

	if (recs[idx].next != MG_FLOW_NONE && alike(&recs[idx], &recs[recs[idx].next]))
		absorb_next(fp, f, idx);
	if (recs[idx].prev != MG_FLOW_NONE && alike(&recs[idx], &recs[recs[idx].prev])) {
		idx = recs[idx].prev;
		absorb_next(fp, f, idx);
	}
	return idx;
}

uint32_t mg_txrec_retransmitted(struct mg_fp *fp, struct mg_flow *f, uint32_t idx, uint32_t len,
				uint64_t now_ns)
{
	struct mg_txrec *r = &fp->recs.recs[idx];

	MG_DASSERT(r->flags & MG_TXREC_LOST);
	/* Without a record for the rest, all of it counts as sent again: RACK or the RTO will find out. */
	if (len < r->end - r->start)
		(void)mg_txrec_split(fp, f, idx, r->start + len);
	f->lost_bytes -= r->end - r->start;
	r->flags = (uint16_t)((r->flags & ~MG_TXREC_LOST) | MG_TXREC_RETX);
	snapshot(f, r, now_ns);
	return mg_txrec_merge(fp, f, idx);
}

void mg_txrec_free_all(struct mg_fp *fp, struct mg_flow *f)
{
	while (f->rec_head != MG_FLOW_NONE)
		mg_txrec_pop(fp, f);
}

void mg_txrec_check(const struct mg_fp *fp, const struct mg_flow *f)
{
	const struct mg_txrec *recs = fp->recs.recs;
	uint32_t seq = f->snd_una;
	uint32_t prev = MG_FLOW_NONE;
	uint32_t sacked = 0;
	uint32_t lost = 0;

	for (uint32_t i = f->rec_head; i != MG_FLOW_NONE; i = recs[i].next) {
		const struct mg_txrec *r = &recs[i];

		MG_ASSERT(i < fp->recs.nr_touched);
		MG_ASSERT(r->prev == prev);
		MG_ASSERT(r->start == seq);
		MG_ASSERT(mg_seq_gt(r->end, r->start));
		MG_ASSERT((r->flags & (MG_TXREC_SACKED | MG_TXREC_LOST)) !=
			  (MG_TXREC_SACKED | MG_TXREC_LOST));
		if (r->flags & MG_TXREC_SACKED)
			sacked += r->end - r->start;
		if (r->flags & MG_TXREC_LOST)
			lost += r->end - r->start;
		seq = r->end;
		prev = i;
	}
	MG_ASSERT(seq == f->snd_nxt);
	MG_ASSERT(f->rec_tail == prev);
	MG_ASSERT(sacked == f->sacked_bytes);
	MG_ASSERT(lost == f->lost_bytes);
	MG_ASSERT(f->sack_hint == MG_FLOW_NONE || f->sack_hint < fp->recs.nr_touched);
}
