/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mtuprobe.c - see mtuprobe.h.
 */
#include "fastpath/core/mtuprobe.h"

#include "fastpath/core/engine.h"
#include "fastpath/core/notify.h"

#define FOLLOWERS 3 /* segments behind the probe, that tell of its loss */

static void tell(struct mg_fp *fp, struct mg_flow *f, enum mg_mtu_outcome outcome)
{
	f->mtup_state = MG_MTUPROBE_NONE;
	f->mtup_outcome = (uint8_t)outcome;
	mg_notify_event(fp, f, MG_EV_MTU_PROBE, 0); /* its value is put together when it leaves */
}

void mg_mtuprobe_ask(struct mg_fp *fp, struct mg_flow *f, uint32_t bytes)
{
	if (f->mtup_state == MG_MTUPROBE_OUT)
		return; /* its answer comes first */
	f->mtup_state = MG_MTUPROBE_NONE;
	f->mtup_bytes = (uint16_t)mg_min_u32(bytes, UINT16_MAX);
	if (bytes == 0)
		return;
	if (bytes <= f->mss || !(f->opts & MG_FLOW_SACK))
		tell(fp, f, MG_MTU_UNKNOWN);
	else
		f->mtup_state = MG_MTUPROBE_ASKED;
}

void mg_mtuprobe_cancel(struct mg_flow *f)
{
	f->mtup_state = MG_MTUPROBE_NONE;
}

bool mg_mtuprobe_is_due(const struct mg_flow *f, uint32_t avail, uint32_t room)
{
	uint32_t want = f->mtup_bytes + FOLLOWERS * (uint32_t)f->mss;

	return f->mtup_state == MG_MTUPROBE_ASKED && f->recovery == MG_REC_OPEN &&
	       (f->lost_bytes | f->sacked_bytes | f->rto_backoff) == 0 && !mg_flow_is_urgent(f) &&
	       avail >= want && room >= want;
}

void mg_mtuprobe_sent(struct mg_fp *fp, struct mg_flow *f)
{
	mg_fp_count(fp, MG_FPS_MTU_PROBES, 1);
	f->mtup_state = MG_MTUPROBE_OUT;
	f->mtup_start = f->snd_nxt;
}

void mg_mtuprobe_on_ack(struct mg_fp *fp, struct mg_flow *f)
{
	if (f->mtup_state != MG_MTUPROBE_OUT ||
	    mg_seq_lt(f->snd_una, f->mtup_start + f->mtup_bytes))
		return;
	tell(fp, f, MG_MTU_FITS);
}

bool mg_mtuprobe_is_lost(struct mg_fp *fp, struct mg_flow *f)
{
	const struct mg_txrec *recs = fp->recs.recs;
	uint32_t end = f->mtup_start + f->mtup_bytes;
	uint32_t lost = 0;
	bool alone;

	if (f->mtup_state != MG_MTUPROBE_OUT)
		return false;
	for (uint32_t i = f->rec_head; i != MG_FLOW_NONE && mg_seq_lt(recs[i].start, end);
	     i = recs[i].next) {
		if ((recs[i].flags & MG_TXREC_LOST) && mg_seq_gt(recs[i].end, f->mtup_start))
			lost += mg_seq_min(recs[i].end, end) -
				mg_seq_max(recs[i].start, f->mtup_start);
	}
	if (lost == 0)
		return false;
	alone = lost == f->mtup_bytes && f->lost_bytes == lost;
	tell(fp, f, alone ? MG_MTU_TOO_LARGE : MG_MTU_UNKNOWN);
	if (!alone)
		return false;
	mg_fp_count(fp, MG_FPS_MTU_PROBES_LOST, 1);
	f->samp.lost_bytes = mg_sub_sat_u32(f->samp.lost_bytes, lost);
	return true;
}

void mg_mtuprobe_timeout(struct mg_fp *fp, struct mg_flow *f)
{
	if (f->mtup_state == MG_MTUPROBE_OUT)
		tell(fp, f, MG_MTU_UNKNOWN);
}
