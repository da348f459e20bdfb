/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery.c - finds and repairs losses; see recovery.h.
 */
#include "fastpath/core/recovery.h"

#include "fastpath/core/engine.h"
#include "fastpath/core/frto.h"
#include "fastpath/core/mtuprobe.h"
#include "fastpath/core/notify.h"
#include "fastpath/core/rtt.h"

#define REORDER_TIMER_MIN_NS MG_NS_PER_MS
#define PTO_MIN_NS MG_NS_PER_MS
#define PTO_DELACK_NS \
	(200 * MG_NS_PER_MS) /* what a peer may wait with one segment (RFC 8985 7.2) */
#define RENEGED_MIN_NS (10 * MG_NS_PER_MS)
#define RACK_MULT_MAX 16
#define RACK_PERSIST 16

void mg_recovery_init(struct mg_flow *f)
{
	f->rack_reo_ns = MG_TIME_NEVER;
	f->rack_mult = 1;
	f->sack_hint = MG_FLOW_NONE;
	f->fack = f->snd_una;
	f->recover = f->snd_una - 1;
	f->ecn_recover = f->snd_una - 1;
}

/* ---- Congestion state ---- */

static uint32_t half_flight(const struct mg_flow *f, uint32_t flight)
{
	return mg_max_u32(flight / 2, 2u * f->mss);
}

static void remember_for_undo(const struct mg_fp *fp, struct mg_flow *f)
{
	f->prior_cwnd = f->cwnd;
	f->prior_ssthresh = f->ssthresh;
	f->undo_una = f->snd_una;
	f->undo_retrans = 0;
	f->undo_ts = fp->now_ms + f->ts_offset;
	f->undo_valid = 1;
}

/* The reduction itself is the slow path's; until it answers, half of what was in flight is a safe guess. */
static void reduce(struct mg_flow *f, uint32_t sample_flag, uint32_t flight)
{
	f->samp.flags |= sample_flag;
	f->samp.prior_inflight = flight;
	f->ssthresh = half_flight(f, flight);
	if (f->opts & MG_FLOW_ECN)
		f->flags |= MG_FF_CWR;
	f->ecn_recover = f->snd_nxt;
}

/*
 * Until the slow path has said how much less it shall be, nothing more than half of what was in flight: the first new
 * data, which carries CWR, would meet the queue as it was, be marked, and cost a second reduction; and a slow path
 * that answers late would let the whole window out again. DCTCP takes less than half: there each ACK replaces
 * what left the network, no more.
 */
void mg_recovery_echo(struct mg_flow *f, uint32_t flight)
{
	uint32_t guess = half_flight(f, flight);

	if (f->opts & MG_FLOW_OWN_CWND)
		return;
	if (f->opts & MG_FLOW_DCTCP)
		guess = mg_max_u32(mg_flow_pipe(f), f->mss);
	f->cwnd = mg_min_u32(f->cwnd, guess);
}

static void enter_fast(struct mg_fp *fp, struct mg_flow *f, const struct mg_ack *a)
{
	uint32_t flight = mg_flow_flight(f) + (a != NULL ? a->acked : 0);
	/* What was SACKed before will not be delivered in recovery (RFC 9937 6). */
	uint32_t before = f->sacked_bytes -
			  (a != NULL ? mg_min_u32(a->sacked, f->sacked_bytes) : 0);

	mg_fp_count(fp, MG_FPS_FAST_RECOVERIES, 1);
	remember_for_undo(fp, f);
	f->recovery = MG_REC_FAST;
	f->recover = f->snd_nxt;
	f->recover_fs = mg_max_u32(mg_sub_sat_u32(flight, before), 1);
	f->prr_delivered = 0;
	f->prr_out = 0;
	f->flags &= ~(uint32_t)(MG_FF_TLP | MG_FF_TLP_RETX);
	reduce(f, MG_SAMPLE_LOSS, flight);
}

static void leave(struct mg_flow *f)
{
	if (f->recovery == MG_REC_FAST) {
		if (!(f->opts & MG_FLOW_OWN_CWND))
			f->cwnd = f->ssthresh;
		f->samp.flags |= MG_SAMPLE_RECOVERED;
	}
	if (f->rack_persist > 0 && --f->rack_persist == 0)
		f->rack_mult = 1;
	f->undo_end = f->snd_nxt;
	f->recovery = MG_REC_OPEN;
	f->frto = MG_FRTO_OFF;
	f->dupacks = 0;
	f->reno_sacked = 0;
}

static void undo(struct mg_fp *fp, struct mg_flow *f)
{
	struct mg_txrec *recs = fp->recs.recs;

	mg_fp_count(fp, MG_FPS_UNDOS, 1);
	for (uint32_t i = f->rec_head; i != MG_FLOW_NONE; i = recs[i].next)
		recs[i].flags &= (uint16_t)~MG_TXREC_LOST;
	f->lost_bytes = 0;
	f->undo_valid = 0;
	f->frto = MG_FRTO_OFF;
	f->cwnd = mg_max_u32(f->cwnd, f->prior_cwnd);
	f->ssthresh = mg_max_u32(f->ssthresh, f->prior_ssthresh);
	f->rto_backoff = 0;
	f->recovery = MG_REC_OPEN;
	f->dupacks = 0;
	f->reno_sacked = 0;
	f->samp.flags |= MG_SAMPLE_UNDO;
	f->flags &= ~(uint32_t)MG_FF_RTO_CC;
}

/* RFC 4015: the ACK of the first retransmission's range echoes a time before we retransmitted it. */
static bool eifel_says_spurious(const struct mg_flow *f, const struct mg_ack *a)
{
	return f->undo_valid && f->undo_retrans != 0 && a->acked != 0 && (f->opts & MG_FLOW_TS) &&
	       a->seg->tsecr != 0 && mg_seq_lt(a->seg->tsecr, f->undo_ts);
}

/* ---- RACK ---- */

static bool sent_after(uint64_t t1, uint32_t end1, uint64_t t2, uint32_t end2)
{
	return t1 > t2 || (t1 == t2 && mg_seq_gt(end1, end2));
}

void mg_recovery_rack_update(struct mg_flow *f, const struct mg_txrec *r, const struct mg_ack *a)
{
	uint64_t rtt_us = mg_ns_to_us(a->now_ns - r->sent_ns);

	/* The ACK of a retransmission may be one of the original: too early to be true (6.2 step 2). */
	if (mg_unlikely(r->flags & MG_TXREC_RETX) && rtt_us < f->min_rtt_us)
		return;
	f->rack_rtt_us = (uint32_t)mg_min_u64(rtt_us, UINT32_MAX);
	if (f->rack_xmit_ns == 0 || sent_after(r->sent_ns, r->end, f->rack_xmit_ns, f->rack_end)) {
		f->rack_xmit_ns = r->sent_ns;
		f->rack_end = r->end;
	}
}

static uint64_t reorder_window_ns(const struct mg_flow *f)
{
	bool many = f->dupacks >= MG_FLOW_DUPTHRESH ||
		    f->sacked_bytes > (MG_FLOW_DUPTHRESH - 1) * (uint32_t)f->mss;
	uint64_t us;

	if (!mg_flow_has(f, MG_FF_REORDER) && (f->recovery != MG_REC_OPEN || many))
		return 0;
	us = f->min_rtt_us == UINT32_MAX ? MG_US_PER_S / 1000
					 : (uint64_t)f->min_rtt_us * f->rack_mult / 4;
	return mg_us_to_ns(mg_min_u64(us, mg_max_u32(mg_flow_srtt_us(f), 1)));
}

static void rack_detect(struct mg_fp *fp, struct mg_flow *f, uint64_t now_ns)
{
	struct mg_txrec *recs = fp->recs.recs;
	uint64_t wnd_ns = mg_us_to_ns(f->rack_rtt_us) + reorder_window_ns(f);
	uint32_t idx = f->rec_head;

	f->rack_reo_ns = MG_TIME_NEVER;
	if (f->rack_xmit_ns == 0)
		return;
	for (; idx != MG_FLOW_NONE; idx = recs[idx].next) {
		struct mg_txrec *r = &recs[idx];

		if (r->flags & (MG_TXREC_SACKED | MG_TXREC_LOST))
			continue;
		if (!sent_after(f->rack_xmit_ns, f->rack_end, r->sent_ns, r->end)) {
			if (!(r->flags & MG_TXREC_RETX))
				break; /* and so were all behind it */
			continue;
		}
		if (r->sent_ns + wnd_ns <= now_ns + MG_NS_PER_US) {
			mg_txrec_mark_lost(fp, f, idx);
			idx = mg_txrec_merge(fp, f, idx);
		} else {
			f->rack_reo_ns = mg_min_u64(f->rack_reo_ns, r->sent_ns + wnd_ns);
		}
	}
	if (f->rack_reo_ns != MG_TIME_NEVER)
		f->rack_reo_ns = mg_max_u64(f->rack_reo_ns, now_ns + REORDER_TIMER_MIN_NS);
}

void mg_recovery_reorder_timeout(struct mg_fp *fp, struct mg_flow *f, uint64_t now_ns)
{
	rack_detect(fp, f, now_ns);
	if (f->lost_bytes == 0 || f->recovery != MG_REC_OPEN || mg_mtuprobe_is_lost(fp, f))
		return;
	enter_fast(fp, f, NULL);
	f->cwnd = mg_flow_pipe(f) + f->mss; /* at least the first retransmission */
	if (f->opts & MG_FLOW_OWN_CWND)
		f->cwnd = mg_max_u32(f->cwnd, f->cc_cwnd);
}

void mg_recovery_dsack(struct mg_fp *fp, struct mg_flow *f, const struct mg_sack_block *b,
		       const struct mg_ack *a)
{
	/* The window was too narrow for this path: widen it once per round trip (RFC 8985 6.2 step 4). */
	if (mg_seq_gt(f->snd_una, f->rack_dsack_end) || f->rack_dsack_end == 0) {
		f->rack_dsack_end = f->snd_nxt;
		f->rack_mult = mg_min_u32(f->rack_mult + 1, RACK_MULT_MAX);
		f->rack_persist = RACK_PERSIST;
	}
	(void)a;
	if (f->recovery == MG_REC_OPEN && mg_seq_gt(f->snd_una, f->undo_end))
		f->undo_valid = 0; /* too late: it is about something else */
	/* RFC 3708: every retransmission of this episode was needless. */
	if (!f->undo_valid || f->undo_retrans == 0 || mg_seq_lt(b->start, f->undo_una))
		return;
	f->undo_retrans -= mg_min_u32(mg_div_up_u32(b->end - b->start, f->mss), f->undo_retrans);
	if (f->undo_retrans == 0)
		undo(fp, f);
}

/* ---- NewReno, for peers without SACK ---- */

static void mark_head_lost(struct mg_fp *fp, struct mg_flow *f)
{
	uint32_t idx = f->rec_head;
	const struct mg_txrec *r;

	if (idx == MG_FLOW_NONE)
		return;
	r = &fp->recs.recs[idx];
	if (r->end - r->start > f->mss)
		(void)mg_txrec_split(fp, f, idx, r->start + f->mss);
	mg_txrec_mark_lost(fp, f, idx);
}

static void newreno(struct mg_fp *fp, struct mg_flow *f, struct mg_ack *a)
{
	uint32_t flight = mg_flow_flight(f);

	if (a->acked != 0) {
		uint32_t counted = mg_min_u32(f->reno_sacked, mg_sub_sat_u32(a->acked, f->mss));

		a->delivered = mg_max_u32(mg_sub_sat_u32(a->delivered, counted), 1);
		f->reno_sacked -= counted;
		if (f->recovery == MG_REC_OPEN)
			f->reno_sacked = 0;
		f->dupacks = 0;
		if (f->recovery == MG_REC_FAST && mg_seq_lt(f->snd_una, f->recover))
			mark_head_lost(fp, f); /* a partial ACK tells of the next hole */
		return;
	}
	if (!a->dupack)
		return;
	f->dupacks = (uint8_t)mg_min_u32(f->dupacks + 1u, 255);
	if (f->reno_sacked + f->mss + f->lost_bytes < flight) {
		f->reno_sacked += f->mss;
		a->delivered += f->mss;
	}
	/* The careful variant (RFC 6582 3.2 step 2): not for duplicates of our own retransmissions. */
	if (f->dupacks == MG_FLOW_DUPTHRESH && f->recovery == MG_REC_OPEN &&
	    mg_seq_gt(f->snd_una, f->recover))
		mark_head_lost(fp, f);
}

/* ---- Proportional rate reduction ---- */

static void prr(struct mg_flow *f, const struct mg_ack *a)
{
	uint32_t pipe = mg_flow_pipe(f);
	int64_t snd;

	if (a->delivered == 0 && f->prr_out != 0)
		return;
	f->prr_delivered += a->delivered;
	if (pipe > f->ssthresh) {
		uint64_t share = (uint64_t)f->prr_delivered * f->ssthresh;

		snd = (int64_t)((share + f->recover_fs - 1) / f->recover_fs) - f->prr_out;
	} else {
		snd = (int64_t)f->prr_delivered - f->prr_out;
		if (snd < (int64_t)a->delivered)
			snd = a->delivered;
		if (a->acked != 0 && f->lost_bytes <= a->prior_lost)
			snd += f->mss; /* SafeACK */
		if (snd > (int64_t)(f->ssthresh - pipe))
			snd = f->ssthresh - pipe;
	}
	if (snd < 0)
		snd = 0;
	if (f->prr_out == 0 && snd < f->mss)
		snd = f->mss; /* the fast retransmit itself */
	f->cwnd = pipe + (uint32_t)snd;
}

/* cwnd in fast recovery: by PRR, or as the algorithm says; the fast retransmit leaves in any case. */
static void govern(struct mg_flow *f, const struct mg_ack *a)
{
	if (!(f->opts & MG_FLOW_OWN_CWND)) {
		prr(f, a);
		return;
	}
	f->cwnd = f->cc_cwnd;
	if (f->prr_out == 0)
		f->cwnd = mg_max_u32(f->cwnd, mg_flow_pipe(f) + f->mss);
}

/* ---- The whole ---- */

/* The original was lost and the probe has repaired it: one reduction, no recovery. */
static void tlp_repaired(struct mg_flow *f, const struct mg_ack *a)
{
	reduce(f, MG_SAMPLE_LOSS | MG_SAMPLE_RECOVERED, mg_flow_flight(f) + a->acked);
	if (!(f->opts & MG_FLOW_OWN_CWND))
		f->cwnd = mg_min_u32(f->cwnd, f->ssthresh);
}

void mg_recovery_tlp_acked(struct mg_fp *fp, struct mg_flow *f, const struct mg_ack *a)
{
	bool settled = !mg_flow_has(f, MG_FF_TLP_RETX) || a->dsack;

	(void)fp;
	if (!mg_flow_has(f, MG_FF_TLP) || mg_seq_lt(a->seg->ack, f->tlp_end))
		return;
	/*
	 * RFC 8985 7.4.2: a D-SACK, or a duplicate ACK where there is none, says that both copies arrived. An
	 * ACK that goes beyond the probe without either says that only one did.
	 */
	if (!settled && mg_seq_gt(a->seg->ack, f->tlp_end)) {
		tlp_repaired(f, a);
		settled = true;
	} else if (a->acked == 0 && a->seg->payload_len == 0 && !(a->seg->opts & MG_SEG_OPT_SACK)) {
		settled = true;
	}
	if (settled)
		f->flags &= ~(uint32_t)(MG_FF_TLP | MG_FF_TLP_RETX);
}

static void detect(struct mg_fp *fp, struct mg_flow *f, struct mg_ack *a)
{
	if (!(f->opts & MG_FLOW_SACK)) {
		newreno(fp, f, a);
		return;
	}
	if (a->acked != 0)
		f->dupacks = 0;
	if (a->sacked != 0)
		f->dupacks = (uint8_t)mg_min_u32(f->dupacks + 1u, 255);
	if (a->delivered != 0 || a->dupack)
		rack_detect(fp, f, a->now_ns);
}

void mg_recovery_on_ack(struct mg_fp *fp, struct mg_flow *f, struct mg_ack *a)
{
	uint32_t lost;

	if (mg_unlikely(f->frto != MG_FRTO_OFF) && mg_frto_on_ack(f, a) && f->undo_valid) {
		mg_fp_count(fp, MG_FPS_FRTO_SPURIOUS, 1);
		undo(fp, f);
	}
	if (eifel_says_spurious(f, a))
		undo(fp, f);
	if (f->recovery != MG_REC_OPEN && a->acked != 0 && mg_seq_geq(f->snd_una, f->recover))
		leave(f);
	if (mg_flow_has(f, MG_FF_TLP))
		mg_recovery_tlp_acked(fp, f, a);
	lost = f->lost_bytes; /* probes and smaller segments (path MTU) are marked lost, too */
	detect(fp, f, a);
	mg_mtuprobe_on_ack(fp, f);
	if (mg_mtuprobe_is_lost(fp, f))
		lost = f->lost_bytes;
	if (f->recovery == MG_REC_OPEN && f->lost_bytes > lost)
		enter_fast(fp, f, a);
	if (f->recovery == MG_REC_FAST)
		govern(f, a);
}

bool mg_recovery_is_reneged(const struct mg_fp *fp, const struct mg_flow *f)
{
	return f->rec_head != MG_FLOW_NONE &&
	       (fp->recs.recs[f->rec_head].flags & MG_TXREC_SACKED) != 0;
}

uint64_t mg_recovery_reneged_ns(const struct mg_flow *f)
{
	return mg_max_u64(mg_us_to_ns(mg_flow_srtt_us(f) / 2), RENEGED_MIN_NS);
}

void mg_recovery_rto(struct mg_fp *fp, struct mg_flow *f, uint64_t now_ns)
{
	struct mg_txrec *recs = fp->recs.recs;
	uint32_t flight = mg_flow_flight(f);
	bool first = f->rto_backoff == 0;
	uint32_t bytes = mg_min_u32(recs[f->rec_head].end - recs[f->rec_head].start, f->mss);

	mg_fp_count(fp, MG_FPS_RTOS, 1);
	mg_mtuprobe_timeout(fp, f);
	if (mg_recovery_is_reneged(fp, f))
		mg_fp_count(fp, MG_FPS_RENEGED, 1);
	if (first && f->recovery != MG_REC_LOSS)
		remember_for_undo(fp, f);
	mg_frto_timeout(f);
	mg_txrec_forget_sacks(fp, f);
	for (uint32_t i = f->rec_head; i != MG_FLOW_NONE; i = recs[i].next) {
		mg_txrec_mark_lost(fp, f, i);
		i = mg_txrec_merge(fp, f, i);
	}
	if (first)
		reduce(f, MG_SAMPLE_RTO, flight);
	f->recovery = MG_REC_LOSS;
	f->recover = f->snd_nxt;
	f->cwnd = f->mss;
	f->flags |= MG_FF_RTO_CC;
	f->flags &= ~(uint32_t)(MG_FF_TLP | MG_FF_TLP_RETX);
	f->dupacks = 0;
	f->reno_sacked = 0;
	f->rack_reo_ns = MG_TIME_NEVER;
	f->rto_base_ns = now_ns;
	if (f->rto_backoff < 32)
		f->rto_backoff++;
	f->timeouts++;
	mg_notify_timeout(fp, f, bytes);
}

bool mg_recovery_tlp_allowed(const struct mg_flow *f)
{
	return (f->opts & MG_FLOW_SACK) && f->recovery == MG_REC_OPEN && f->sacked_bytes == 0 &&
	       !mg_flow_has(f, MG_FF_TLP) && f->rto_backoff == 0 && f->srtt8_us != 0;
}

uint64_t mg_recovery_pto_ns(const struct mg_flow *f)
{
	uint64_t ns = mg_us_to_ns(mg_flow_srtt_us(f)) * 2;

	if (mg_flow_flight(f) <= f->mss)
		ns += PTO_DELACK_NS;
	return mg_max_u64(ns, PTO_MIN_NS);
}

void mg_recovery_tlp(struct mg_fp *fp, struct mg_flow *f, uint64_t now_ns)
{
	const struct mg_txrec *recs = fp->recs.recs;
	const struct mg_flow_sample blamed = f->samp;
	uint32_t lost_total = f->lost_total;
	uint32_t idx = f->rec_tail;

	f->flags |= MG_FF_TLP;
	f->tlp_end = f->snd_nxt;
	f->rto_base_ns = now_ns;
	mg_fp_count(fp, MG_FPS_TX_TLP, 1);
	/* New data probes as well, and repairs nothing needlessly. */
	if (!mg_flow_has(f, MG_FF_FIN_SENT) && mg_flow_tx_end(f) != f->snd_nxt &&
	    mg_seq_lt(f->snd_nxt, f->snd_una + f->snd_wnd)) {
		f->cwnd = mg_max_u32(f->cwnd, mg_flow_pipe(f) + f->mss);
		f->tlp_end = f->snd_nxt + 1;
		return;
	}
	f->flags |= MG_FF_TLP_RETX;
	if (recs[idx].end - recs[idx].start > f->mss) {
		uint32_t right = mg_txrec_split(fp, f, idx, recs[idx].end - f->mss);

		idx = right != MG_FLOW_NONE ? right : idx;
	}
	mg_txrec_mark_lost(fp, f, idx);
	f->samp = blamed;
	f->lost_total = lost_total;
	f->cwnd = mg_max_u32(f->cwnd, mg_flow_pipe(f) + f->mss);
}

void mg_recovery_set_cc(struct mg_flow *f, const struct mg_cmd_set_cc *cmd)
{
	uint32_t cwnd = mg_max_u32(cmd->cwnd_bytes, f->mss);

	f->opts = (uint16_t)((f->opts & ~(uint32_t)MG_FLOW_CC_MASK) |
			     (cmd->flags & MG_FLOW_CC_MASK));
	if (cmd->echo)
		f->echo_asked = 0;
	if (f->recovery == MG_REC_FAST && !(f->opts & MG_FLOW_OWN_CWND)) {
		/* An answer to what was before the loss would set no limit. */
		if (cmd->ssthresh_bytes < f->recover_fs)
			f->ssthresh = mg_max_u32(cmd->ssthresh_bytes, f->mss);
		return;
	}
	if (f->flags & MG_FF_RTO_CC) {
		if (cwnd > 2u * f->mss)
			return; /* from before the time-out */
		f->flags &= ~(uint32_t)MG_FF_RTO_CC;
	}
	if (f->echo_asked)
		return; /* from before the echo */
	f->cc_cwnd = cwnd;
	f->cwnd = cwnd;
	f->ssthresh = cmd->ssthresh_bytes;
}

void mg_recovery_resend_all(struct mg_fp *fp, struct mg_flow *f)
{
	const struct mg_txrec *recs = fp->recs.recs;
	const struct mg_flow_sample blamed = f->samp;
	uint32_t lost_total = f->lost_total;

	for (uint32_t i = f->rec_head; i != MG_FLOW_NONE; i = recs[i].next) {
		if (recs[i].flags & MG_TXREC_SACKED)
			continue;
		mg_txrec_mark_lost(fp, f, i);
		i = mg_txrec_merge(fp, f, i);
	}
	f->samp = blamed;
	f->lost_total = lost_total;
}
