/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.c - decides what leaves; see output.h.
 */
#include "fastpath/core/output.h"

#include "fastpath/core/engine.h"
#include "fastpath/core/frame.h"
#include "fastpath/core/frto.h"
#include "fastpath/core/mtuprobe.h"
#include "fastpath/core/notify.h"
#include "fastpath/core/pacer.h"
#include "fastpath/core/recovery.h"
#include "fastpath/core/rtt.h"

#define HOLD_OVERRIDE_NS (200 * MG_NS_PER_MS) /* RFC 9293 3.8.6.2.1: 0.1 to 1 second */
#define WAIT_FOR_MORE_US 250 /* the time in which the room that is waited for comes about */
#define FRAME_PAYLOAD_MAX (65535 - MG_IPV4_HLEN - MG_TCP_HLEN_MAX)
#define BLOCK_FLAGS (MG_FF_BLOCK_CWND | MG_FF_BLOCK_WND | MG_FF_BLOCK_HOLD | MG_FF_BLOCK_PACE)

/* What one pass knows and uses up. */
struct pass {
	uint32_t budget; /* wire segments left */
	bool stop;       /* no packet, no record */
	bool probe;      /* the next frame is larger than the path is known to carry */
};

static uint16_t ack_flags(const struct mg_flow *f)
{
	return (uint16_t)(MG_TCP_ACK | (mg_flow_has(f, MG_FF_ECE) ? MG_TCP_ECE : 0));
}

/* RFC 3168 6.1.4, 6.1.5: only new data can be marked; in a data centre more (RFC 8257 3.5). */
static uint8_t control_ecn(const struct mg_flow *f)
{
	return (f->opts & (MG_FLOW_ECN | MG_FLOW_ECT_ALL)) == (MG_FLOW_ECN | MG_FLOW_ECT_ALL)
		       ? MG_ECN_ECT0
		       : MG_ECN_NOT_ECT;
}

/* SACK blocks that a segment of `len` payload bytes has room for, next to timestamps. */
static uint8_t sack_room(const struct mg_flow *f, uint32_t len)
{
	uint32_t most = f->opts & MG_FLOW_TS ? 3 : 4;

	if (!(f->opts & MG_FLOW_SACK) || len + 12 > f->mss)
		return len == 0 ? (uint8_t)most : 0;
	return (uint8_t)mg_min_u32((f->mss - len - 4) / 8, most);
}

bool mg_output_ack(struct mg_fp *fp, struct mg_flow *f)
{
	struct mg_fp_segment s = { .seq = f->snd_nxt,
				   .flags = ack_flags(f),
				   .ecn = control_ecn(f),
				   .max_sacks = sack_room(f, 0) };

	if (!mg_frame_send(fp, f, &s))
		return false;
	mg_fp_count(fp, MG_FPS_TX_SEGS, 1);
	mg_fp_count(fp, MG_FPS_TX_ACKS, 1);
	return true;
}

bool mg_output_probe(struct mg_fp *fp, struct mg_flow *f, uint32_t seq)
{
	struct mg_fp_segment s = { .seq = seq,
				   .flags = ack_flags(f),
				   .max_sacks = sack_room(f, 0) };

	if (!mg_frame_send(fp, f, &s))
		return false;
	mg_fp_count(fp, MG_FPS_TX_SEGS, 1);
	mg_fp_count(fp, MG_FPS_TX_PROBES, 1);
	return true;
}

bool mg_output_rst(struct mg_fp *fp, struct mg_flow *f)
{
	struct mg_fp_segment s = { .seq = f->snd_nxt, .flags = MG_TCP_RST | MG_TCP_ACK };

	if (!mg_frame_send(fp, f, &s))
		return false;
	mg_fp_count(fp, MG_FPS_TX_SEGS, 1);
	mg_fp_count(fp, MG_FPS_TX_RST, 1);
	return true;
}

/* Without a packet or a record the flow comes back by its timer. */
static void put_off(struct mg_fp *fp, struct mg_flow *f, struct pass *p)
{
	f->aux_ns = mg_min_u64(f->aux_ns, fp->now_ns + MG_FP_RETRY_NS);
	p->stop = true;
}

static bool pacing_stops(struct mg_fp *fp, struct mg_flow *f)
{
	if (mg_likely(!mg_pacer_blocked(f, fp->now_ns)))
		return false;
	f->flags |= MG_FF_BLOCK_PACE;
	f->aux_ns = mg_min_u64(f->aux_ns, mg_pacer_wake_ns(f));
	return true;
}

/* Bytes that cwnd lets out now; never nothing while nothing is out. */
static uint32_t cwnd_room(const struct mg_flow *f)
{
	uint32_t pipe = mg_flow_pipe(f);

	if (pipe == 0)
		return mg_max_u32(f->cwnd, f->mss);
	return mg_sub_sat_u32(f->cwnd, pipe);
}

/* ---- Retransmission ---- */

static bool send_again(struct mg_fp *fp, struct mg_flow *f, const struct mg_txrec *r, uint32_t len)
{
	struct mg_fp_segment s = {
		.seq = r->start, .len = len, .flags = ack_flags(f), .ecn = control_ecn(f)
	};

	if (mg_flow_has(f, MG_FF_FIN_SENT) && r->start + len == f->snd_nxt) {
		s.flags |= MG_TCP_FIN;
		s.len--;
	}
	if (s.len != 0)
		s.flags |= MG_TCP_PSH;
	s.max_sacks = sack_room(f, s.len);
	return mg_frame_send(fp, f, &s);
}

static void note_retransmission(struct mg_fp *fp, struct mg_flow *f, uint32_t len)
{
	f->retrans++;
	if (f->undo_valid)
		f->undo_retrans++;
	f->prr_out += len;
	f->last_sent_ns = fp->now_ns;
	f->flags |= MG_FF_PUBLISH;
	mg_pacer_spend(f, len, fp->now_ns);
	mg_fp_count(fp, MG_FPS_TX_SEGS, 1);
	mg_fp_count(fp, MG_FPS_TX_RETRANS, 1);
	mg_fp_count(fp, MG_FPS_TX_RETRANS_BYTES, len);
}

/* Sends the first segment of a LOST record again; the record behind what was sent, or MG_FLOW_NONE: stop. */
static uint32_t retransmit(struct mg_fp *fp, struct mg_flow *f, uint32_t idx, struct pass *p)
{
	const struct mg_txrec *r = &fp->recs.recs[idx];
	uint32_t len = mg_min_u32(r->end - r->start, f->mss);

	/* After the peer shrank its window: only what lies inside; of a closed one the head, as a probe (SHLD-16). */
	if (idx != f->rec_head && mg_seq_geq(r->start, f->snd_una + f->snd_wnd))
		return MG_FLOW_NONE;
	if (mg_seq_gt(r->start + len, f->snd_una + f->snd_wnd) && f->snd_wnd != 0)
		len = f->snd_una + f->snd_wnd - r->start;
	if (cwnd_room(f) < len) {
		f->flags |= MG_FF_BLOCK_CWND;
		return MG_FLOW_NONE;
	}
	if (pacing_stops(fp, f))
		return MG_FLOW_NONE;
	if (!send_again(fp, f, r, len)) {
		put_off(fp, f, p);
		return MG_FLOW_NONE;
	}
	if (idx == f->rec_head)
		f->rto_base_ns = fp->now_ns;
	p->budget--;
	note_retransmission(fp, f, len);
	idx = mg_txrec_retransmitted(fp, f, idx, len, fp->now_ns);
	return fp->recs.recs[idx].next;
}

static void send_lost(struct mg_fp *fp, struct mg_flow *f, struct pass *p)
{
	const struct mg_txrec *recs = fp->recs.recs;
	uint32_t idx = f->rec_head;

	while (idx != MG_FLOW_NONE && f->lost_bytes != 0 && p->budget != 0) {
		if (recs[idx].flags & MG_TXREC_LOST)
			idx = retransmit(fp, f, idx, p);
		else
			idx = recs[idx].next;
	}
}

/* ---- New data ---- */

/* Largest payload of one frame. */
static uint32_t frame_max(const struct mg_fp *fp, const struct mg_flow *f, const struct pass *p)
{
	uint32_t gso = mg_min_u32(mg_fp_port_of(fp, f)->gso_bytes, FRAME_PAYLOAD_MAX);

	if (gso < 2u * f->mss || mg_flow_is_urgent(f)) /* each segment has a pointer of its own */
		return f->mss;
	gso = mg_min_u32(gso, p->budget * f->mss);
	/* What is paced leaves as the credit comes in, but not by single segments. */
	if (f->pace_ns_q10 != 0)
		gso = mg_min_u32(gso,
				 mg_max_u32(mg_pacer_credit_bytes(f, fp->now_ns), 2u * f->mss));
	return gso - gso % f->mss;
}

/*
 * A piece of a large frame is not worth a frame of its own while ACKs are on their way that will open the
 * window further: wait for a third of it. What is out then (more than two segments) makes the peer answer. But only
 * for so long: what waits is not in the network, and on a long path a third of the window is a third of the rate.
 */
static bool wait_for_more(const struct mg_flow *f, uint32_t len, uint32_t max)
{
	return len < mg_min_u32(max, f->cwnd / 3) && f->recovery == MG_REC_OPEN &&
	       (uint64_t)len * mg_flow_srtt_us(f) < (uint64_t)f->cwnd * WAIT_FOR_MORE_US;
}

/* Nagle, Minshall's way: one small segment may be out; and CORK. A FIN or urgent data sends everything. */
static bool hold_small(const struct mg_flow *f)
{
	if (mg_flow_has(f, MG_FF_FIN_QUEUED | MG_FF_OVERRIDE) || mg_flow_is_urgent(f))
		return false;
	if (mg_flow_has(f, MG_FF_CORK))
		return true;
	return !mg_flow_has(f, MG_FF_NODELAY) && mg_seq_gt(f->snd_sml, f->snd_una);
}

/* What is more than whole segments; without a division for ordinary frames. */
static uint32_t partial(uint32_t len, uint32_t mss)
{
	if (mg_likely(len <= mss))
		return len < mss ? len : 0;
	return len % mss;
}

/* Payload of the next frame of new data; 0: none now, and a BLOCK flag says why. */
static uint32_t next_len(const struct mg_fp *fp, struct mg_flow *f, struct pass *p)
{
	uint32_t avail = mg_flow_tx_end(f) - f->snd_nxt;
	int32_t wnd_left = mg_seq_diff(f->snd_una + f->snd_wnd, f->snd_nxt);
	uint32_t wnd = wnd_left > 0 ? (uint32_t)wnd_left : 0;
	uint32_t room = cwnd_room(f);
	uint32_t max = frame_max(fp, f, p);
	uint32_t len = mg_min_u32(avail, max);
	uint32_t tail;

	p->probe = mg_unlikely(f->mtup_state == MG_MTUPROBE_ASKED) &&
		   mg_mtuprobe_is_due(f, avail, mg_min_u32(room, wnd));
	if (p->probe)
		return f->mtup_bytes;
	if (len > room) {
		len = room;
		if (len < f->mss || (max > f->mss && wait_for_more(f, len, max))) {
			f->flags |= MG_FF_BLOCK_CWND;
			return 0;
		}
	}
	if (len > wnd) {
		len = wnd;
		/* Sender SWS avoidance: a useful piece of the largest window, or wait (MUST-38). */
		if (len < f->mss &&
		    (len == 0 || (len < f->max_wnd / 2 && !mg_flow_has(f, MG_FF_OVERRIDE)))) {
			f->flags |= MG_FF_BLOCK_WND;
			return 0;
		}
	}
	tail = partial(len, f->mss);
	if (tail == 0)
		return len;
	if (len < avail) /* only full segments, unless the peer's window allows no more */
		return len > tail ? len - tail : len;
	if (!hold_small(f))
		return len;
	if (len > tail)
		return len - tail;
	f->flags |= MG_FF_BLOCK_HOLD;
	return 0;
}

/* After a pause longer than the RTO the window is old news (RFC 5681 4.1). */
static void check_idle(struct mg_fp *fp, struct mg_flow *f)
{
	if (f->last_sent_ns == 0 || fp->now_ns - f->last_sent_ns <= mg_us_to_ns(f->rto_us))
		return;
	f->samp.flags |= MG_SAMPLE_IDLE;
	if (!(f->opts & MG_FLOW_OWN_CWND) && f->restart_cwnd != 0)
		f->cwnd = mg_min_u32(f->cwnd, mg_max_u32(f->restart_cwnd, f->mss));
}

static void note_sent(struct mg_fp *fp, struct mg_flow *f, uint32_t len, uint32_t seq_len)
{
	uint64_t now = fp->now_ns;

	if (mg_flow_flight(f) == 0)
		f->rto_base_ns = now;
	mg_txrec_append(fp, f, f->snd_nxt + seq_len, now);
	f->snd_nxt += seq_len;
	f->prr_out += seq_len;
	f->last_sent_ns = now;
	if (len < f->mss || partial(len, f->mss) != 0)
		f->snd_sml = f->snd_nxt;
	mg_pacer_spend(f, len, now);
	mg_fp_count(fp, MG_FPS_TX_BYTES, len);
}

/* One frame of new data and, behind the last byte, the FIN; len may be 0 then. */
static bool send_new(struct mg_fp *fp, struct mg_flow *f, uint32_t len, struct pass *p)
{
	struct mg_fp_segment s = { .seq = f->snd_nxt, .len = len, .flags = ack_flags(f) };
	bool last = f->snd_nxt + len == mg_flow_tx_end(f);
	bool fin = last && mg_flow_has(f, MG_FF_FIN_QUEUED) &&
		   mg_seq_lt(f->snd_nxt + len, f->snd_una + f->snd_wnd);
	uint32_t segs = 1;

	if (!mg_txrec_can_append(fp, f)) {
		mg_fp_count(fp, MG_FPS_TXREC_NONE, 1);
		return false;
	}
	if (f->opts & MG_FLOW_ECN && len != 0) {
		s.ecn = MG_ECN_ECT0;
		s.flags |= mg_flow_has(f, MG_FF_CWR) ? MG_TCP_CWR : 0;
	}
	s.flags |= (last && len != 0 ? MG_TCP_PSH : 0) | (fin ? MG_TCP_FIN : 0);
	if (mg_unlikely(p->probe)) {
		s.max_sacks = 0; /* exactly of its size */
	} else if (len > f->mss) {
		s.gso = f->mss;
		segs = mg_div_up_u32(len, f->mss);
	} else {
		s.max_sacks = (f->nr_sack | f->dsack_valid) != 0 ? sack_room(f, len) : 0;
	}
	/* The answer carries the ACK: this is a conversation (delayed ACKs from now on). */
	if (f->rx_unacked != 0) {
		f->flags |= MG_FF_PINGPONG;
		f->quickacks = 0;
	}
	if (!mg_frame_send(fp, f, &s))
		return false;
	if (mg_unlikely(p->probe))
		mg_mtuprobe_sent(fp, f);
	if (len != 0)
		f->flags &= ~(uint32_t)(MG_FF_CWR | MG_FF_OVERRIDE);
	note_sent(fp, f, len, len + fin);
	p->budget -= mg_min_u32(segs, p->budget);
	mg_fp_count(fp, MG_FPS_TX_SEGS, segs);
	if (fin) {
		f->flags |= MG_FF_FIN_SENT;
		mg_notify_event(fp, f, MG_EV_FIN_SENT, 0);
	}
	return true;
}

/* Everything is sent: a rate measured from now on says what the application wrote, not what the path takes. */
static void note_app_limited(struct mg_flow *f)
{
	uint32_t pipe = mg_flow_pipe(f);

	if (f->lost_bytes == 0 && pipe < f->cwnd)
		f->app_limited = mg_max_u64(f->delivered + pipe, 1);
}

static void send_data(struct mg_fp *fp, struct mg_flow *f, struct pass *p)
{
	if (mg_flow_flight(f) == 0 && f->snd_nxt != mg_flow_tx_end(f))
		check_idle(fp, f);
	while (p->budget != 0 && !p->stop && !mg_flow_has(f, MG_FF_FIN_SENT)) {
		uint32_t len;

		if (f->snd_nxt == mg_flow_tx_end(f)) {
			note_app_limited(f);
			break;
		}
		if (pacing_stops(fp, f))
			break;
		len = next_len(fp, f, p);
		if (len == 0)
			break;
		if (!send_new(fp, f, len, p))
			put_off(fp, f, p);
	}
	p->probe = false;
	if (p->stop || !mg_flow_has(f, MG_FF_FIN_QUEUED) || mg_flow_has(f, MG_FF_FIN_SENT) ||
	    f->snd_nxt != mg_flow_tx_end(f))
		return;
	if (mg_seq_geq(f->snd_nxt, f->snd_una + f->snd_wnd))
		f->flags |= MG_FF_BLOCK_WND;
	else if (!send_new(fp, f, 0, p))
		put_off(fp, f, p);
}

/* Is there anything that more budget would send at once? */
static bool wants_more(const struct mg_flow *f)
{
	if (mg_flow_has(f, BLOCK_FLAGS))
		return false;
	return f->lost_bytes != 0 ||
	       (!mg_flow_has(f, MG_FF_FIN_SENT) && f->snd_nxt != mg_flow_tx_end(f));
}

void mg_output_flow(struct mg_fp *fp, struct mg_flow *f)
{
	struct pass p = { .budget = MG_FP_BURST_SEGS };

	f->flags &= ~(uint32_t)(BLOCK_FLAGS | MG_FF_MORE);
	if (mg_unlikely(f->lost_bytes != 0) && f->frto != MG_FRTO_NEW)
		send_lost(fp, f, &p);
	/* New data must not overtake what waits for cwnd to be repaired. */
	if (!mg_flow_has(f, MG_FF_FIN_SENT) && !p.stop && !mg_flow_has(f, MG_FF_BLOCK_CWND))
		send_data(fp, f, &p);
	if (mg_flow_has(f, MG_FF_BLOCK_CWND))
		f->samp.flags |= MG_SAMPLE_CWND_LIMITED;
	if (mg_unlikely(mg_flow_has(f, MG_FF_BLOCK_PACE)))
		f->samp.flags |= MG_SAMPLE_PACE_LIMITED;
	if (mg_flow_has(f, MG_FF_BLOCK_HOLD) && mg_flow_flight(f) == 0)
		f->aux_ns = mg_min_u64(f->aux_ns, fp->now_ns + HOLD_OVERRIDE_NS);
	if (p.budget == 0 && wants_more(f))
		f->flags |= MG_FF_MORE;
	if (mg_flow_has(f, MG_FF_ACK_NOW) && !p.stop && !mg_output_ack(fp, f))
		put_off(fp, f, &p);
}
