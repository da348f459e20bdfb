/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input.c - one segment, step by step; see input.h.
 */
#include "fastpath/core/input.h"

#include "fastpath/core/ack.h"
#include "fastpath/core/appwin.h"
#include "fastpath/core/challenge.h"
#include "fastpath/core/engine.h"
#include "fastpath/core/notify.h"
#include "fastpath/core/output.h"
#include "fastpath/core/rtt.h"

#define PAWS_STALE_MS \
	(24u * 24 * 60 * 60 * 1000) /* RFC 7323 5.5: an idle ts_recent outlives its use */
#define QUICK_ACK_NS MG_NS_PER_MS
/* What must not be under way for a segment to be predictable. */
#define UNUSUAL                                                                           \
	(MG_FF_FIN_SEEN | MG_FF_FIN_RCVD | MG_FF_SHUT_RD | MG_FF_APP_CLOSED | MG_FF_ECE | \
	 MG_FF_SYN_RCVD)

/* ---- Payload ---- */

/* Copies payload bytes [off, off + len) of the segment to their place in the ring, at position pos. */
static void copy_in(struct mg_flow *f, const struct mg_seg *seg, uint32_t off, uint64_t pos,
		    uint32_t len)
{
	uint32_t at = (uint32_t)pos & f->rx_mask;
	uint32_t first = mg_min_u32(len, f->rx_mask + 1 - at);

	if (mg_likely(seg->payload.next == NULL && first == len)) {
		memcpy(f->rx_ring + at, seg->payload.data + off, len);
		return;
	}
	mg_seg_copy(seg, off, f->rx_ring + at, first);
	if (first < len)
		mg_seg_copy(seg, off + first, f->rx_ring, len - first);
}

/* Delayed ACK (RFC 5681 4.2): at least every second full-sized segment, at once at the start. */
static void schedule_ack(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	uint32_t size = seg->gso_size != 0 ? seg->gso_size : seg->payload_len;
	uint64_t delay_ns;

	if (mg_unlikely(size > f->rcv_seg))
		f->rcv_seg = (uint16_t)mg_min_u32(size, f->rcv_mss);
	if (f->rx_unacked > f->rcv_seg || mg_flow_has(f, MG_FF_QUICKACK)) {
		f->flags |= MG_FF_ACK_NOW;
		return;
	}
	delay_ns = mg_us_to_ns(f->delack_us);
	if (f->quickacks != 0 && !mg_flow_has(f, MG_FF_PINGPONG)) {
		f->quickacks--;
		/* The end of a message gets a moment, in which the answer may come along. */
		if (size >= f->rcv_seg && !(seg->flags & MG_TCP_PSH)) {
			f->flags |= MG_FF_ACK_NOW;
			return;
		}
		delay_ns = mg_min_u64(delay_ns, QUICK_ACK_NS);
	}
	if (f->delack_ns == MG_TIME_NEVER)
		f->delack_ns = fp->now_ns + delay_ns;
}

static void deliver(struct mg_fp *fp, struct mg_flow *f, uint32_t len)
{
	f->rcv_nxt += len;
	f->rx_tail += len;
	f->rx_unacked += len;
	if (mg_unlikely(mg_flow_has(f, MG_FF_SHUT_RD))) {
		f->rx_head = f->rx_tail;
		mg_fp_count(fp, MG_FPS_RX_SHUT, len);
		return;
	}
	f->flags |= MG_FF_PUBLISH | MG_FF_NOTIFY;
	mg_fp_count(fp, MG_FPS_RX_BYTES, len);
}

/* The peer's FIN lies at rcv_nxt. */
static void take_fin(struct mg_fp *fp, struct mg_flow *f)
{
	f->rcv_nxt++;
	if (mg_seq_lt(f->rcv_adv, f->rcv_nxt))
		f->rcv_adv = f->rcv_nxt;
	f->flags |= MG_FF_FIN_RCVD | MG_FF_ACK_NOW | MG_FF_PUBLISH | MG_FF_NOTIFY;
	mg_reass_free_all(fp, f);
	mg_notify_event(fp, f, MG_EV_FIN_RCVD, 0);
}

/* What is left of a segment after trimming to what is new and fits. */
struct piece {
	uint32_t seq;
	uint32_t off; /* in the payload */
	uint32_t len;
};

/* False: nothing is left. */
static bool trim(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg, struct piece *p)
{
	uint32_t room = mg_min_u32(mg_flow_rcv_wnd(f), mg_flow_rx_free(f));

	*p = (struct piece){ .seq = seg->seq, .len = seg->payload_len };
	if (mg_seq_lt(p->seq, f->rcv_nxt)) {
		p->off = mg_min_u32(f->rcv_nxt - p->seq, p->len);
		mg_reass_note_dup(f, p->seq, p->seq + p->off);
		p->seq += p->off;
		p->len -= p->off;
		f->flags |= MG_FF_ACK_NOW;
	}
	if (mg_flow_has(f, MG_FF_FIN_SEEN) && mg_seq_gt(p->seq + p->len, f->fin_seq)) {
		mg_fp_count(fp, MG_FPS_RX_AFTER_FIN, 1);
		p->len = mg_seq_lt(p->seq, f->fin_seq) ? f->fin_seq - p->seq : 0;
	}
	if (p->seq + p->len - f->rcv_nxt > room) {
		mg_fp_count(fp, room == 0 ? MG_FPS_RX_ZERO_WINDOW : MG_FPS_RX_TRIMMED, 1);
		f->flags |= MG_FF_ACK_NOW;
		p->len = p->seq - f->rcv_nxt < room ? room - (p->seq - f->rcv_nxt) : 0;
	}
	return p->len != 0;
}

static void take_in_order(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg,
			  const struct piece *p)
{
	uint32_t end = p->seq + p->len;

	if (mg_unlikely(f->ooo_head != MG_FLOW_NONE)) {
		end = mg_reass_advance(fp, f, end);
		f->flags |= MG_FF_ACK_NOW; /* all or part of a gap was filled (RFC 5681 4.2) */
	}
	if (!mg_flow_has(f, MG_FF_SHUT_RD))
		copy_in(f, seg, p->off, f->rx_tail, p->len);
	deliver(fp, f, end - p->seq);
	schedule_ack(fp, f, seg);
}

static void take_out_of_order(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg,
			      const struct piece *p)
{
	bool dup;

	f->flags |= MG_FF_ACK_NOW;
	if (!mg_reass_insert(fp, f, p->seq, p->seq + p->len, &dup)) {
		mg_fp_count(fp, MG_FPS_RX_OOO_FULL, 1);
		return;
	}
	mg_fp_count(fp, dup ? MG_FPS_RX_DUP : MG_FPS_RX_OOO, 1);
	if (dup)
		mg_reass_note_dup(f, p->seq, p->seq + p->len);
	else if (!mg_flow_has(f, MG_FF_SHUT_RD))
		copy_in(f, seg, p->off, f->rx_tail + (p->seq - f->rcv_nxt), p->len);
}

static void take_payload(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	struct piece p;

	if (seg->payload_len == 0)
		return;
	if (mg_flow_has(f, MG_FF_FIN_RCVD)) {
		mg_fp_count(fp, MG_FPS_RX_AFTER_FIN, 1); /* "this should not occur": ignored */
		return;
	}
	if (mg_flow_has(f, MG_FF_APP_CLOSED) &&
	    mg_seq_gt(seg->seq + seg->payload_len, f->rcv_nxt)) {
		mg_fp_count(fp, MG_FPS_RX_AFTER_CLOSE, 1);
		mg_notify_hint(fp, f, MG_EV_DATA_AFTER_CLOSE);
		return;
	}
	if (!trim(fp, f, seg, &p))
		return;
	if (p.seq == f->rcv_nxt)
		take_in_order(fp, f, seg, &p);
	else
		take_out_of_order(fp, f, seg, &p);
}

static void check_fin(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	uint32_t at = seg->seq + seg->payload_len;

	if ((seg->flags & MG_TCP_FIN) && !mg_flow_has(f, MG_FF_FIN_RCVD))
		f->flags |= MG_FF_ACK_NOW; /* out of order it is told each time, as data is */
	if ((seg->flags & MG_TCP_FIN) && !mg_flow_has(f, MG_FF_FIN_SEEN)) {
		/* Beyond the window it counts as little as the data before it; but a closed window takes it. */
		if (at - f->rcv_nxt > mg_min_u32(mg_flow_rcv_wnd(f), mg_flow_rx_free(f)))
			return;
		f->flags |= MG_FF_FIN_SEEN;
		f->fin_seq = at;
	}
	if (mg_flow_has(f, MG_FF_FIN_SEEN) && !mg_flow_has(f, MG_FF_FIN_RCVD) &&
	    f->rcv_nxt == f->fin_seq)
		take_fin(fp, f);
}

/* ---- The steps of RFC 9293 3.10.7.4 ---- */

static bool timestamp_ok(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	if (!(f->opts & MG_FLOW_TS) || (seg->flags & MG_TCP_RST))
		return true;
	if (!(seg->opts & MG_SEG_OPT_TS)) {
		mg_fp_count(fp, MG_FPS_RX_NO_TIMESTAMP, 1);
		return false;
	}
	if (mg_seq_geq(seg->tsval, f->ts_recent) || fp->now_ms - f->ts_recent_ms > PAWS_STALE_MS)
		return true;
	mg_fp_count(fp, MG_FPS_RX_PAWS, 1);
	if (mg_seg_len(seg) != 0) {
		if (mg_seq_leq(seg->seq + seg->payload_len, f->rcv_nxt))
			mg_reass_note_dup(f, seg->seq, seg->seq + seg->payload_len);
		f->flags |= MG_FF_ACK_NOW;
	} else {
		mg_challenge_oow(fp, f);
	}
	return false;
}

static void take_timestamp(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	if (!(f->opts & MG_FLOW_TS) || mg_seq_gt(seg->seq, f->last_ack_sent))
		return;
	if (mg_seq_lt(seg->tsval, f->ts_recent) && fp->now_ms - f->ts_recent_ms <= PAWS_STALE_MS)
		return;
	f->ts_recent = seg->tsval;
	f->ts_recent_ms = fp->now_ms;
}

/* Second step: RST. RFC 5961 3.2. */
static void take_reset(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	if (seg->seq == f->rcv_nxt) {
		mg_fp_count(fp, MG_FPS_RX_RST, 1);
		mg_appwin_stop(fp, f);
		mg_notify_event(fp, f, MG_EV_RST_RCVD, 0);
	} else if (mg_seq_between(seg->seq, f->rcv_nxt, f->rcv_nxt + mg_flow_rcv_wnd(f))) {
		mg_fp_count(fp, MG_FPS_RX_RST_CHALLENGED, 1);
		mg_challenge(fp, f);
	} else {
		mg_fp_count(fp, MG_FPS_RX_RST_DROPPED, 1);
	}
}

/* First step: is any of it in the window? A closed window still takes ACKs, at both its edges. */
static bool sequence_ok(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	uint32_t len = mg_seg_len(seg);
	uint32_t edge = f->rcv_nxt + mg_flow_rcv_wnd(f);

	if (len == 0) {
		if (mg_seq_geq(seg->seq, f->last_ack_sent) && mg_seq_leq(seg->seq, edge))
			return true;
		mg_fp_count(fp, MG_FPS_RX_OUT_OF_WINDOW, 1);
		mg_challenge_oow(fp, f);
		return false;
	}
	if (mg_seq_gt(seg->seq + len, f->rcv_nxt) &&
	    (mg_seq_lt(seg->seq, edge) || (seg->seq == edge && edge == f->rcv_nxt)))
		return true;
	if (mg_seq_leq(seg->seq + len, f->rcv_nxt)) {
		mg_fp_count(fp, MG_FPS_RX_DUP, 1);
		mg_reass_note_dup(f, seg->seq, seg->seq + seg->payload_len);
	} else {
		mg_fp_count(fp, MG_FPS_RX_OUT_OF_WINDOW, 1);
	}
	f->flags |= MG_FF_ACK_NOW;
	return false;
}

/* Fifth step: the ACK field. RFC 5961 5.2. */
static bool ack_ok(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	if (!(seg->flags & MG_TCP_ACK)) {
		mg_fp_count(fp, MG_FPS_RX_NO_ACK, 1);
		return false;
	}
	if (mg_seq_gt(seg->ack, f->snd_nxt)) {
		mg_fp_count(fp, MG_FPS_RX_ACK_FUTURE, 1);
		mg_challenge(fp, f);
		return false;
	}
	if (mg_seq_diff(f->snd_una, seg->ack) > (int32_t)mg_min_u32(f->max_wnd, INT32_MAX)) {
		mg_fp_count(fp, MG_FPS_RX_ACK_OLD, 1);
		mg_challenge(fp, f);
		return false;
	}
	return true;
}

/*
 * RFC 8257 3.2: each ACK speaks for segments of one kind. When CE changes, what came before is acknowledged at once,
 * with the old state.
 */
static void take_ce_exactly(struct mg_fp *fp, struct mg_flow *f, bool ce)
{
	if (ce == mg_flow_has(f, MG_FF_ECE))
		return;
	if (f->rx_unacked != 0 || mg_flow_has(f, MG_FF_ACK_NOW)) {
		mg_fp_count(fp, MG_FPS_TX_CE_CHANGES, 1);
		(void)mg_output_ack(fp, f); /* without a packet the next ACK speaks for both */
	}
	f->flags ^= MG_FF_ECE;
}

static void take_ecn(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	if (!(f->opts & MG_FLOW_ECN))
		return;
	if (f->opts & MG_FLOW_DCTCP) {
		mg_fp_count(fp, MG_FPS_RX_CE, seg->ecn == MG_ECN_CE);
		if (mg_seg_len(seg) != 0)
			take_ce_exactly(fp, f, seg->ecn == MG_ECN_CE);
		return;
	}
	if (seg->flags & MG_TCP_CWR)
		f->flags &= ~(uint32_t)MG_FF_ECE;
	if (seg->ecn != MG_ECN_CE)
		return;
	mg_fp_count(fp, MG_FPS_RX_CE, 1);
	f->flags |= MG_FF_ECE;
}

/* Seventh step: the urgent pointer; the data itself stays in line (RFC 6093). */
static void take_urgent(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	uint64_t pos;

	if (!(seg->flags & MG_TCP_URG) || seg->urg == 0 || mg_flow_has(f, MG_FF_FIN_RCVD))
		return;
	if (mg_seq_lt(seg->seq + seg->urg, f->rcv_nxt))
		return;
	pos = f->rx_tail + (seg->seq + seg->urg - f->rcv_nxt);
	if (mg_flow_has(f, MG_FF_URG) && pos <= f->urg_pos)
		return;
	mg_fp_count(fp, MG_FPS_RX_URG, 1);
	f->urg_pos = pos;
	f->flags |= MG_FF_URG | MG_FF_PUBLISH | MG_FF_NOTIFY;
}

/* The handshake ends; its round trip is a sample, unless the SYN-ACK may have been sent twice (Karn). */
static void syn_acked(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	uint64_t since_ns = fp->now_ns - f->neigh_ns; /* not confirmed yet: since INSTALL */
	uint32_t ms = fp->now_ms + f->ts_offset - seg->tsecr;

	f->flags &= ~MG_FF_SYN_RCVD;
	mg_notify_event(fp, f, MG_EV_SYN_ACKED, 0);
	if (f->srtt8_us != 0)
		return;
	if (since_ns < mg_us_to_ns(f->rto_us))
		mg_rtt_sample(f, (uint32_t)mg_max_u64(mg_ns_to_us(since_ns), 1));
	else if ((f->opts & MG_FLOW_TS) && seg->tsecr != 0 && ms < 1000000)
		mg_rtt_sample(f, ms * 1000 + 500);
}

/* RFC 9293 3.10.7.4, SYN-RECEIVED: the SYN again, or an ACK of what was never sent. The slow path answers those. */
static bool is_handshake(const struct mg_flow *f, const struct mg_seg *seg)
{
	uint32_t irs = f->rcv_nxt - 1 - (uint32_t)f->rx_tail;

	if (!mg_flow_has(f, MG_FF_SYN_RCVD) || (seg->flags & MG_TCP_RST) != 0)
		return false;
	if (seg->flags & MG_TCP_SYN)
		return seg->seq == irs;
	return (seg->flags & MG_TCP_ACK) != 0 &&
	       (mg_seq_lt(seg->ack, f->snd_una) || mg_seq_gt(seg->ack, f->snd_nxt));
}

static void input_slow(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	if (!timestamp_ok(fp, f, seg))
		return;
	if (seg->flags & MG_TCP_RST) {
		take_reset(fp, f, seg);
		return;
	}
	if (seg->flags & MG_TCP_SYN) {
		mg_fp_count(fp, MG_FPS_RX_SYN_CHALLENGED, 1);
		mg_challenge(fp, f);
		return;
	}
	if (!sequence_ok(fp, f, seg) || !ack_ok(fp, f, seg))
		return;
	if (mg_unlikely(mg_flow_has(f, MG_FF_SYN_RCVD)))
		syn_acked(fp, f, seg);
	take_timestamp(fp, f, seg);
	f->last_rx_ns = fp->now_ns;
	mg_ack_process(fp, f, seg, fp->now_ns);
	take_ecn(fp, f, seg);
	take_urgent(fp, f, seg);
	take_payload(fp, f, seg);
	check_fin(fp, f, seg);
}

/* Is this the next segment in sequence, and nothing unusual about it or under way? */
static bool predicted(const struct mg_flow *f, const struct mg_seg *seg)
{
	if ((seg->flags & ~(uint32_t)MG_TCP_PSH) != MG_TCP_ACK || seg->seq != f->rcv_nxt)
		return false;
	if ((f->flags & UNUSUAL) != 0 ||
	    (f->sacked_bytes | f->lost_bytes | f->recovery | f->dupacks) != 0)
		return false;
	if (seg->ack - f->snd_una > f->snd_nxt - f->snd_una || f->ooo_head != MG_FLOW_NONE)
		return false;
	if (seg->opts != (f->opts & MG_FLOW_TS ? MG_SEG_OPT_TS : 0) || seg->ecn == MG_ECN_CE)
		return false;
	if ((f->opts & MG_FLOW_TS) && mg_seq_lt(seg->tsval, f->ts_recent))
		return false;
	if (seg->ack == f->snd_una && seg->payload_len == 0)
		return false; /* a duplicate, a probe, or a window update */
	/* Windows drift from segment to segment; only closing and opening is an event. */
	if ((uint32_t)seg->wnd << f->snd_wscale != f->snd_wnd &&
	    (seg->wnd == 0 || f->snd_wnd == 0 || f->rtx_kind == MG_RTX_PERSIST))
		return false;
	return seg->payload_len <= mg_flow_rcv_wnd(f) && seg->payload_len <= mg_flow_rx_free(f);
}

static void input_fast(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	uint32_t wnd = (uint32_t)seg->wnd << f->snd_wscale;

	mg_fp_count(fp, MG_FPS_RX_PREDICTED, 1);
	if ((f->opts & MG_FLOW_TS) && mg_seq_leq(seg->seq, f->last_ack_sent)) {
		f->ts_recent = seg->tsval;
		f->ts_recent_ms = fp->now_ms;
	}
	f->last_rx_ns = fp->now_ns;
	if (seg->ack != f->snd_una)
		mg_ack_fast(fp, f, seg, fp->now_ns);
	f->snd_wl1 = seg->seq;
	f->snd_wl2 = seg->ack;
	if (mg_unlikely(wnd != f->snd_wnd)) {
		f->snd_wnd = wnd;
		f->max_wnd = mg_max_u32(f->max_wnd, wnd);
	}
	if (seg->payload_len == 0)
		return;
	copy_in(f, seg, 0, f->rx_tail, seg->payload_len);
	deliver(fp, f, seg->payload_len);
	schedule_ack(fp, f, seg);
}

bool mg_input_segment(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg)
{
	mg_fp_count(fp, MG_FPS_RX_SEGS, 1);
	if (mg_unlikely(f->run != MG_FLOW_LIVE)) {
		mg_fp_count(fp, MG_FPS_RX_STOPPED, 1);
		return true;
	}
	mg_fp_pend(fp, f);
	if (mg_likely(predicted(f, seg))) {
		input_fast(fp, f, seg);
		return true;
	}
	if (mg_unlikely(is_handshake(f, seg)))
		return false;
	input_slow(fp, f, seg);
	return true;
}
