/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ack.c - digests one acknowledgment; see ack.h.
 *
 * Idea:    the cumulative part frees records and ring space, then SACK, window and ECN are taken, and the
 *          detectors of recovery.c see the sum. The predicted case skips all that cannot matter to it.
 */
#include "fastpath/core/ack.h"

#include "fastpath/core/engine.h"
#include "fastpath/core/mtuprobe.h"
#include "fastpath/core/notify.h"
#include "fastpath/core/rate.h"
#include "fastpath/core/recovery.h"
#include "fastpath/core/ring.h"
#include "fastpath/core/rtt.h"
#include "fastpath/core/sack.h"

#define NEIGH_CONFIRM_NS MG_NS_PER_S

void mg_ack_deliver(struct mg_flow *f, const struct mg_txrec *r, uint32_t len, struct mg_ack *a)
{
	f->delivered += len;
	a->delivered += len;
	if (mg_unlikely(r->flags & MG_TXREC_RETX))
		a->retx_acked = true;
	else if (a->first_sent_ns == 0)
		a->first_sent_ns = r->sent_ns;
	if (mg_unlikely(f->recovery == MG_REC_LOSS) &&
	    (r->flags & (MG_TXREC_RETX | MG_TXREC_WAS_SACKED)) == 0 &&
	    mg_seq_leq(r->end, f->recover))
		a->orig_delivered = true;
	mg_rate_delivered(r, a);
	mg_recovery_rack_update(f, r, a);
}

/* snd_una moves to `ack`: records go, the ring's space is free. */
static void take_cumulative(struct mg_fp *fp, struct mg_flow *f, uint32_t ack, struct mg_ack *a)
{
	struct mg_txrec *recs = fp->recs.recs;
	uint32_t data;

	a->acked = ack - f->snd_una;
	while (f->rec_head != MG_FLOW_NONE && mg_seq_leq(recs[f->rec_head].end, ack)) {
		const struct mg_txrec *r = &recs[f->rec_head];

		if (!(r->flags & MG_TXREC_SACKED))
			mg_ack_deliver(f, r, r->end - r->start, a);
		mg_txrec_pop(fp, f);
	}
	if (f->rec_head != MG_FLOW_NONE && mg_seq_lt(recs[f->rec_head].start, ack)) {
		struct mg_txrec *r = &recs[f->rec_head];
		uint32_t part = ack - r->start;

		if (r->flags & MG_TXREC_SACKED)
			f->sacked_bytes -= part;
		else
			mg_ack_deliver(f, r, part, a);
		if (r->flags & MG_TXREC_LOST)
			f->lost_bytes -= part;
		r->start = ack;
	}
	data = a->acked;
	f->snd_una = ack;
	if (mg_unlikely(mg_flow_has(f, MG_FF_FIN_SENT)) && ack == f->snd_nxt && data > 0) {
		data--;
		f->flags |= MG_FF_FIN_ACKED;
		mg_notify_event(fp, f, MG_EV_FIN_ACKED, 0);
		f->flags |= MG_FF_NOTIFY;
	}
	f->tx_una += data;
	f->timeouts = 0;
	f->flags = (f->flags | MG_FF_PUBLISH) & ~(uint32_t)MG_FF_RTO_CC;
	/* The Nagle mark must not lie half the sequence space behind one day. */
	if (mg_seq_lt(f->snd_sml, ack))
		f->snd_sml = ack;
	/* Restarted by every ACK of new data (RFC 6298 5.3). */
	f->rto_base_ns = a->now_ns;
}

/* A round-trip sample, if this ACK gives a valid one. */
static void take_rtt(struct mg_fp *fp, struct mg_flow *f, const struct mg_ack *a)
{
	uint32_t ms;

	if (mg_likely(a->first_sent_ns != 0 && !a->retx_acked)) {
		mg_rtt_sample(f, (uint32_t)mg_min_u64(mg_ns_to_us(a->now_ns - a->first_sent_ns),
						      UINT32_MAX));
		return;
	}
	if (a->acked == 0 || !(f->opts & MG_FLOW_TS) || a->seg->tsecr == 0)
		return;
	ms = fp->now_ms + f->ts_offset - a->seg->tsecr;
	if (ms < 1000000)
		mg_rtt_sample(f, ms * 1000 + 500);
}

/* Did enough of the tx ring get free that the application wants to hear of it? */
static void check_tx_space(struct mg_flow *f)
{
	uint32_t size = f->tx_mask + 1;

	if ((f->flags & (MG_FF_WANT_TX | MG_FF_TX_TOLD)) != MG_FF_WANT_TX)
		return;
	if (size - (uint32_t)(f->tx_head - f->tx_una) < size / 3)
		return;
	f->flags |= MG_FF_TX_TOLD | MG_FF_NOTIFY;
}

static void note_progress(struct mg_fp *fp, struct mg_flow *f, const struct mg_ack *a)
{
	f->samp.acked_bytes += a->delivered;
	check_tx_space(f);
	if (mg_unlikely(f->tx_mask / 2 < f->cwnd))
		mg_ring_grow_tx(fp, f);
	if (a->now_ns - f->neigh_ns < NEIGH_CONFIRM_NS)
		return;
	f->neigh_ns = a->now_ns;
	mg_notify_hint(fp, f, MG_EV_NEIGH_CONFIRM);
}

void mg_ack_fast(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg, uint64_t now_ns)
{
	struct mg_ack a = { .now_ns = now_ns, .seg = seg, .prior_una = f->snd_una };

	take_cumulative(fp, f, seg->ack, &a);
	f->snd_wl2 = seg->ack;
	f->dupacks = 0;
	take_rtt(fp, f, &a);
	mg_rate_sample(f, &a);
	if (mg_unlikely(mg_flow_has(f, MG_FF_TLP)))
		mg_recovery_tlp_acked(fp, f, &a);
	if (mg_unlikely(f->mtup_state != MG_MTUPROBE_NONE))
		mg_mtuprobe_on_ack(fp, f);
	note_progress(fp, f, &a);
}

/* RFC 9293 3.10.7.4: the window of a newer segment counts. */
static void take_window(struct mg_flow *f, const struct mg_seg *seg, struct mg_ack *a)
{
	uint32_t wnd = (uint32_t)seg->wnd << f->snd_wscale;

	if (!(mg_seq_lt(f->snd_wl1, seg->seq) ||
	      (f->snd_wl1 == seg->seq && mg_seq_leq(f->snd_wl2, seg->ack))))
		return;
	a->wnd_changed = wnd != f->snd_wnd;
	f->snd_wnd = wnd;
	f->snd_wl1 = seg->seq;
	f->snd_wl2 = seg->ack;
	f->max_wnd = mg_max_u32(f->max_wnd, wnd);
	/* The peer answers but has no room: probing goes on for as long as it does (MUST-37, SHLD-17). */
	if (wnd == 0 || f->rtx_kind == MG_RTX_PERSIST)
		f->timeouts = 0;
	if (wnd != 0 && f->rtx_kind == MG_RTX_PERSIST)
		f->rto_backoff = 0;
}

static void take_ecn(struct mg_fp *fp, struct mg_flow *f, const struct mg_ack *a)
{
	if (!(f->opts & MG_FLOW_ECN) || !(a->seg->flags & MG_TCP_ECE))
		return;
	mg_fp_count(fp, MG_FPS_RX_ECE, 1);
	f->samp.ecn_bytes += a->delivered;
	/* At most one reduction per window of data. */
	if (mg_seq_leq(f->snd_una, f->ecn_recover) || mg_flow_flight(f) == 0)
		return;
	f->ecn_recover = f->snd_nxt;
	f->flags |= MG_FF_CWR;
	f->samp.flags |= MG_SAMPLE_ECE;
	f->samp.prior_inflight = mg_flow_flight(f) + a->acked;
	f->echo_asked = 1;
	mg_recovery_echo(f, f->samp.prior_inflight);
}

void mg_ack_process(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg, uint64_t now_ns)
{
	struct mg_ack a = {
		.now_ns = now_ns, .seg = seg, .prior_una = f->snd_una, .prior_lost = f->lost_bytes
	};
	uint32_t flight = mg_flow_flight(f);

	mg_fp_pend(fp, f);
	if (mg_seq_lt(seg->ack, f->snd_una)) {
		if ((seg->opts & MG_SEG_OPT_SACK) && (f->opts & MG_FLOW_SACK))
			mg_sack_process(fp, f, &a);
		return;
	}
	if (seg->ack != f->snd_una)
		take_cumulative(fp, f, seg->ack, &a);
	if ((seg->opts & MG_SEG_OPT_SACK) && (f->opts & MG_FLOW_SACK))
		mg_sack_process(fp, f, &a);
	take_window(f, seg, &a);
	take_rtt(fp, f, &a);
	take_ecn(fp, f, &a);
	a.dupack = a.acked == 0 && flight != 0 && seg->payload_len == 0 && !a.wnd_changed &&
		   (seg->flags & (MG_TCP_FIN | MG_TCP_SYN)) == 0;
	if (a.dupack)
		mg_fp_count(fp, MG_FPS_RX_DUPACK, 1);
	mg_rate_sample(f, &a);
	mg_recovery_on_ack(fp, f, &a);
	if (a.delivered != 0)
		note_progress(fp, f, &a);
}
