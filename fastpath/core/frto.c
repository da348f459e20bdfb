/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frto.c - detects spurious time-outs; see frto.h.
 */
#include "fastpath/core/frto.h"

#include "proto/base/bits.h"

#define NEW_SEGS 2

void mg_frto_timeout(struct mg_flow *f)
{
	/* Again without an answer: still only the first segment was sent twice. */
	bool only_head = f->recovery != MG_REC_LOSS || f->frto == MG_FRTO_FIRST;

	f->frto = only_head ? MG_FRTO_FIRST : MG_FRTO_OFF;
}

/* Is there anything that was never sent, and room for it? */
static bool has_new_data(const struct mg_flow *f)
{
	return !mg_flow_has(f, MG_FF_FIN_SENT) && mg_flow_tx_end(f) != f->snd_nxt &&
	       mg_seq_lt(f->snd_nxt, f->snd_una + f->snd_wnd);
}

static void first_ack(struct mg_flow *f, const struct mg_ack *a)
{
	f->frto = MG_FRTO_OFF;
	if (a->acked == 0 || mg_seq_geq(f->snd_una, f->recover) || !has_new_data(f))
		return;
	f->frto = MG_FRTO_NEW;
	f->cwnd = mg_max_u32(f->cwnd, mg_flow_pipe(f) + NEW_SEGS * f->mss);
}

bool mg_frto_on_ack(struct mg_flow *f, const struct mg_ack *a)
{
	bool has_sack = (f->opts & MG_FLOW_SACK) != 0;

	if (f->recovery != MG_REC_LOSS || f->frto == MG_FRTO_OFF)
		return false;
	if (has_sack && a->orig_delivered)
		return true;
	if (a->acked == 0 && a->sacked == 0 && !a->dupack)
		return false; /* a window update, data: says nothing */
	if (f->frto == MG_FRTO_FIRST) {
		first_ack(f, a);
		return false;
	}
	f->frto = MG_FRTO_OFF;
	if (a->acked != 0 && !has_sack)
		return true;
	if (a->acked == 0) /* section 2.1, step 3a */
		f->cwnd = mg_min_u32(f->cwnd, 3u * f->mss);
	return false;
}
