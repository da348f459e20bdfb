/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bbr.c - BBR version 3 (draft-ietf-ccwg-bbr).
 *
 * Idea:    a model of the path - the largest delivery rate of the last two probing cycles, the smallest round
 *          trip of 10 s, and what losses say about how much may be in flight - sets the pace and the window.
 *          STARTUP doubles the rate until it grows no more, DRAIN empties the queue that this made, PROBE_BW
 *          goes round DOWN, CRUISE, REFILL, UP, and PROBE_RTT lets the queue drain every 5 s. Names are the
 *          draft's: inflight_hi is its inflight_longterm, bw_lo and inflight_lo its shortterm bounds.
 *          A sample stands for several ACKs: at least one in an eighth of a round trip, and one at once when
 *          something is lost. Loss is judged by what was lost since the range in question was sent.
 *          An ECN echo (RFC 3168) counts as one lossy round: it bounds the short-term model and ends probing.
 */
#include <assert.h>

#include "proto/base/assert.h"
#include "proto/base/time.h"
#include "proto/path/msg.h"
#include "slowpath/cc/algorithms.h"

#define INF32 UINT32_MAX
#define INF64 UINT64_MAX
#define BW_MAX_BPS (1ull << 40)
#define MIN_RTT_WINDOW_NS (10 * MG_NS_PER_S)
#define PROBE_RTT_INTERVAL_NS (5 * MG_NS_PER_S)
#define PROBE_RTT_NS (200 * MG_NS_PER_MS)
#define LOSS_PERCENT 2
#define STARTUP_LOSS_SEGS 6
#define BETA_PERCENT 70
#define HEADROOM_PERCENT 15
#define PACING_MARGIN_PERCENT 99 /* a little less than the estimate, so that no queue stays */
#define MIN_PIPE_SEGS 4
#define FULL_BW_ROUNDS 3
#define EXTRA_ACKED_ROUNDS 5 /* two slots of five rounds are the draft's filter of ten */

enum bbr_state { STARTUP, DRAIN, DOWN, CRUISE, REFILL, UP, PROBE_RTT, NR_STATES };

/* Where the ACKs of a bandwidth probe are. */
enum bbr_acks {
	ACKS_INIT,
	ACKS_REFILLING,
	ACKS_PROBE_STARTING,
	ACKS_PROBE_FEEDBACK,
	ACKS_PROBE_STOPPING
};

static const struct {
	const char *name;
	uint16_t pacing_percent;
	uint16_t cwnd_percent;
} states[NR_STATES] = {
	[STARTUP] = { "startup", 277, 200 },        [DRAIN] = { "drain", 50, 200 },
	[DOWN] = { "probe-bw-down", 90, 200 },      [CRUISE] = { "probe-bw-cruise", 100, 200 },
	[REFILL] = { "probe-bw-refill", 100, 200 }, [UP] = { "probe-bw-up", 125, 225 },
	[PROBE_RTT] = { "probe-rtt", 100, 50 },
};

struct bbr {
	uint64_t max_bw_filter[2]; /* this cycle, the one before */
	uint64_t max_bw;
	uint64_t bw; /* what is used: within bw_lo */
	uint64_t bw_lo;
	uint64_t bw_latest;
	uint64_t full_bw;
	uint64_t round_bw; /* largest sample of this round */
	uint64_t undo_bw_lo;
	uint64_t next_round; /* delivered_bytes that end the round */
	uint64_t loss_round;
	uint64_t cycle_ns;
	uint64_t min_rtt_ns; /* when it was taken */
	uint64_t probe_rtt_min_ns;
	uint64_t probe_rtt_done_ns;
	uint64_t extra_start_ns;
	uint64_t extra_delivered;
	uint64_t last_ns; /* of the sample before */
	uint64_t probe_wait_ns;
	uint64_t random;
	uint32_t min_rtt_us;
	uint32_t probe_rtt_min_us;
	uint32_t inflight_hi;
	uint32_t inflight_lo;
	uint32_t inflight_latest;
	uint32_t undo_inflight_hi, undo_inflight_lo;
	uint32_t prior_cwnd;
	uint32_t extra_acked[2];
	uint32_t extra_rounds;
	uint32_t rounds_since_probe;
	uint32_t probe_up_acked;
	uint32_t probe_up_growth; /* inflight_hi grows by so much per window */
	uint32_t lost_in_round_bytes;
	uint32_t acked_in_round_bytes;
	uint8_t probe_up_rounds;
	uint8_t state; /* enum bbr_state */
	uint8_t undo_state;
	uint8_t acks; /* enum bbr_acks */
	uint8_t full_bw_count;
	bool full_bw_now;
	bool full_bw_reached;
	bool round_start;
	bool loss_round_start;
	bool loss_in_round;
	bool ece_in_round;
	bool probe_samples; /* what is acknowledged was sent while probing */
	bool probe_rtt_round_done;
	bool idle_restart;
	bool in_recovery;
	bool app_limited; /* this sample's rate */
};
static_assert(sizeof(struct bbr) <= MG_CC_PRIV_BYTES, "state must fit");

static struct bbr *bbr_of(struct mg_cc *cc)
{
	return (struct bbr *)(void *)cc->priv;
}

/* ---- Quantities ---- */

static uint32_t clamp32(uint64_t v)
{
	return (uint32_t)mg_min_u64(v, UINT32_MAX / 4);
}

/* Window fields that may be "none". */
static uint32_t percent_of(uint32_t v, uint32_t percent)
{
	return v == INF32 ? INF32 : (uint32_t)((uint64_t)v * percent / 100);
}

static uint32_t min_pipe(const struct mg_cc *cc)
{
	return MIN_PIPE_SEGS * cc->mss;
}

static uint32_t bdp(const struct mg_cc *cc, uint64_t bw, uint32_t percent)
{
	const struct bbr *b = (const struct bbr *)(const void *)cc->priv;

	if (b->min_rtt_us == INF32)
		return cc->iw_bytes;
	return clamp32(bw * mg_min_u32(b->min_rtt_us, 1u << 23) / MG_US_PER_S * percent / 100);
}

static uint32_t send_quantum(const struct mg_cc *cc)
{
	return (uint32_t)mg_clamp_u64(cc->pacing_Bps / 1000, 2 * cc->mss,
				      mg_max_u32(65536, 2 * cc->mss));
}

/* Room for what is sent and acknowledged in lumps. */
static uint32_t quantized(const struct mg_cc *cc, const struct bbr *b, uint64_t inflight)
{
	inflight = mg_max_u64(inflight, 3ull * send_quantum(cc));
	inflight = mg_max_u64(inflight, min_pipe(cc));
	if (b->state == UP)
		inflight += 2ull * cc->mss;
	return clamp32(inflight);
}

static uint32_t inflight_at(const struct mg_cc *cc, const struct bbr *b, uint64_t bw,
			    uint32_t percent)
{
	return quantized(cc, b, bdp(cc, bw, percent));
}

static uint32_t inflight_with_headroom(const struct mg_cc *cc, const struct bbr *b)
{
	uint32_t room;

	if (b->inflight_hi == INF32)
		return INF32;
	room = mg_max_u32(cc->mss, percent_of(b->inflight_hi, HEADROOM_PERCENT));
	return mg_max_u32(mg_sub_sat_u32(b->inflight_hi, room), min_pipe(cc));
}

static uint32_t target_inflight(const struct mg_cc *cc, const struct bbr *b)
{
	return mg_min_u32(bdp(cc, b->bw, 100), cc->cwnd);
}

static uint32_t probe_rtt_cwnd(const struct mg_cc *cc, const struct bbr *b)
{
	return mg_max_u32(bdp(cc, b->bw, states[PROBE_RTT].cwnd_percent), min_pipe(cc));
}

/* A small generator of its own: flows must not probe in step. */
static uint32_t random_below(struct bbr *b, uint32_t bound)
{
	b->random = b->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((b->random >> 33) % bound);
}

static bool is_probing(const struct bbr *b)
{
	return b->state == STARTUP || b->state == REFILL || b->state == UP;
}

static bool in_probe_bw(const struct bbr *b)
{
	return b->state >= DOWN && b->state <= UP;
}

/* ---- Rounds and states ---- */

static void start_round(struct bbr *b, const struct mg_cc_sample *s)
{
	b->next_round = s->delivered_bytes;
}

static void reset_full_bw(struct bbr *b)
{
	b->full_bw = 0;
	b->full_bw_count = 0;
	b->full_bw_now = false;
}

static void reset_short_term(struct bbr *b)
{
	b->bw_lo = INF64;
	b->inflight_lo = INF32;
}

static void start_down(struct bbr *b, const struct mg_cc_sample *s)
{
	b->loss_in_round = false;
	b->ece_in_round = false;
	b->bw_latest = 0;
	b->inflight_latest = 0;
	b->probe_up_growth = 0;
	b->rounds_since_probe = random_below(b, 2);
	b->probe_wait_ns = 2 * MG_NS_PER_S + mg_us_to_ns(random_below(b, 1000000));
	b->cycle_ns = s->now_ns;
	b->acks = ACKS_PROBE_STOPPING;
	start_round(b, s);
	b->state = DOWN;
}

static void start_refill(struct bbr *b, const struct mg_cc_sample *s)
{
	reset_short_term(b);
	b->probe_up_rounds = 0;
	b->probe_up_acked = 0;
	b->acks = ACKS_REFILLING;
	start_round(b, s);
	b->state = REFILL;
}

static void raise_slope(const struct mg_cc *cc, struct bbr *b)
{
	b->probe_up_growth = clamp32((uint64_t)cc->mss << b->probe_up_rounds);
	if (b->probe_up_rounds < 30)
		b->probe_up_rounds++;
}

static void start_up(const struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	b->acks = ACKS_PROBE_STARTING;
	start_round(b, s);
	reset_full_bw(b);
	b->full_bw = s->delivery_Bps;
	b->cycle_ns = s->now_ns;
	b->state = UP;
	raise_slope(cc, b);
}

static void save_cwnd(const struct mg_cc *cc, struct bbr *b)
{
	if (!b->in_recovery && b->state != PROBE_RTT)
		b->prior_cwnd = cc->cwnd;
	else
		b->prior_cwnd = mg_max_u32(b->prior_cwnd, cc->cwnd);
}

static void restore_cwnd(struct mg_cc *cc, const struct bbr *b)
{
	cc->cwnd = mg_max_u32(cc->cwnd, b->prior_cwnd);
}

/* ---- The model ---- */

static void advance_max_bw(struct bbr *b)
{
	if (b->max_bw_filter[0] == 0)
		return;
	b->max_bw_filter[1] = b->max_bw_filter[0];
	b->max_bw_filter[0] = 0;
	b->max_bw = b->max_bw_filter[1];
}

static void update_round(struct bbr *b, const struct mg_cc_sample *s)
{
	b->round_start = s->acked_bytes != 0 && s->prior_delivered_bytes >= b->next_round;
	if (!b->round_start)
		return;
	start_round(b, s);
	b->rounds_since_probe++;
}

static void update_max_bw(struct bbr *b, const struct mg_cc_sample *s)
{
	uint64_t rate = mg_min_u64(s->delivery_Bps, BW_MAX_BPS);

	update_round(b, s);
	if (rate == 0 || (b->app_limited && rate < b->max_bw))
		return;
	b->max_bw_filter[0] = mg_max_u64(b->max_bw_filter[0], rate);
	b->max_bw = mg_max_u64(b->max_bw_filter[0], b->max_bw_filter[1]);
}

/*
 * What the round's deliveries say was sent: the pace is a little below the estimate, and the losses that the model
 * tolerates are no sign of less room. Without this, a path that loses a packet in each round would be left
 * to decay by both, round after round, until the next probe.
 */
static uint64_t as_sent(const struct bbr *b, uint64_t delivered)
{
	uint64_t acked = mg_max_u32(b->acked_in_round_bytes, 1);
	uint64_t lost = b->lost_in_round_bytes;

	if (lost * 100 > (acked + lost) * LOSS_PERCENT)
		return delivered;
	delivered += delivered * (lost * 1000 / acked) / 1000;
	return delivered * 100 / PACING_MARGIN_PERCENT;
}

/* Outside of probing, losses bound what is used until the next probe. */
static void adapt_lower_bounds(const struct mg_cc *cc, struct bbr *b)
{
	if (is_probing(b) || !(b->loss_in_round || b->ece_in_round))
		return;
	if (b->bw_lo == INF64)
		b->bw_lo = b->max_bw;
	if (b->inflight_lo == INF32)
		b->inflight_lo = cc->cwnd;
	b->bw_lo = mg_max_u64(as_sent(b, b->bw_latest), b->bw_lo / 100 * BETA_PERCENT);
	b->inflight_lo = mg_max_u32(clamp32(as_sent(b, b->inflight_latest)),
				    percent_of(b->inflight_lo, BETA_PERCENT));
}

static void note_loss(struct bbr *b, const struct mg_cc_sample *s)
{
	if (!b->loss_in_round) {
		b->undo_state = b->state;
		b->undo_bw_lo = b->bw_lo;
		b->undo_inflight_hi = b->inflight_hi;
		b->undo_inflight_lo = b->inflight_lo;
		b->loss_round = s->delivered_bytes;
	}
	b->loss_in_round = true;
}

static void update_signals(const struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	b->loss_round_start = s->acked_bytes != 0 && s->prior_delivered_bytes >= b->loss_round;
	if (b->loss_round_start)
		b->loss_round = s->delivered_bytes;
	b->bw_latest = mg_max_u64(b->bw_latest, s->delivery_Bps);
	b->inflight_latest = mg_max_u32(b->inflight_latest, s->rate_bytes);
	b->lost_in_round_bytes = clamp32((uint64_t)b->lost_in_round_bytes + s->lost_bytes);
	b->acked_in_round_bytes = clamp32((uint64_t)b->acked_in_round_bytes + s->acked_bytes);
	update_max_bw(b, s);
	if (s->lost_bytes != 0)
		note_loss(b, s);
	if (s->flags & MG_SAMPLE_ECE)
		b->ece_in_round = true;
	b->round_bw = mg_max_u64(b->round_bw, b->app_limited ? 0 : s->delivery_Bps);
	if (b->loss_round_start)
		adapt_lower_bounds(cc, b);
}

static void update_aggregation(struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	uint64_t us = mg_ns_to_us(s->now_ns - b->extra_start_ns);
	uint64_t expected = b->bw * mg_min_u64(us, 1u << 23) / MG_US_PER_S;
	uint32_t extra;

	if (b->extra_delivered <= expected) {
		/* What arrived came since the sample before, not all at this moment. */
		b->extra_delivered = 0;
		b->extra_start_ns = b->last_ns;
		us = mg_ns_to_us(s->now_ns - b->last_ns);
		expected = b->bw * mg_min_u64(us, 1u << 23) / MG_US_PER_S;
	}
	b->extra_delivered += s->acked_bytes;
	extra = clamp32(mg_min_u64(mg_sub_sat_u64(b->extra_delivered, expected), cc->cwnd));
	if (b->round_start && ++b->extra_rounds >= (b->full_bw_reached ? EXTRA_ACKED_ROUNDS : 1)) {
		b->extra_rounds = 0;
		b->extra_acked[1] = b->extra_acked[0];
		b->extra_acked[0] = 0;
	}
	b->extra_acked[0] = mg_max_u32(b->extra_acked[0], extra);
}

static void check_full_bw(struct bbr *b)
{
	uint64_t bw = b->round_bw;

	if (!b->round_start)
		return;
	b->round_bw = 0;
	if (b->full_bw_now || bw == 0)
		return;
	if (bw >= b->full_bw + b->full_bw / 4) {
		reset_full_bw(b);
		b->full_bw = bw;
		return;
	}
	b->full_bw_now = ++b->full_bw_count >= FULL_BW_ROUNDS;
	if (b->full_bw_now)
		b->full_bw_reached = true;
}

/* ---- Startup and drain ---- */

static void check_startup(const struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	uint64_t all = (uint64_t)b->lost_in_round_bytes + b->acked_in_round_bytes;
	bool high = b->in_recovery && b->lost_in_round_bytes >= STARTUP_LOSS_SEGS * cc->mss &&
		    (uint64_t)b->lost_in_round_bytes * 100 > all * LOSS_PERCENT;

	if (b->state != STARTUP)
		return;
	if (b->loss_round_start && (high || b->ece_in_round) && !b->full_bw_reached) {
		b->full_bw_reached = true;
		b->inflight_hi = mg_max_u32(bdp(cc, b->max_bw, 100), b->inflight_latest);
	}
	if (!b->full_bw_reached)
		return;
	b->state = DRAIN;
	start_round(b, s);
}

static void check_drain(const struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	if (b->state == DRAIN && s->inflight_bytes <= inflight_at(cc, b, b->max_bw, 100))
		start_down(b, s);
}

/* ---- Probing for bandwidth ---- */

static void too_high(const struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s,
		     uint32_t tx_inflight)
{
	b->probe_samples = false; /* once per probe */
	if (!b->app_limited)
		b->inflight_hi = mg_max_u32(tx_inflight,
					    percent_of(target_inflight(cc, b), BETA_PERCENT));
	if (b->state == UP)
		start_down(b, s);
}

static bool is_too_high(uint32_t lost, uint32_t tx_inflight)
{
	return (uint64_t)lost * 100 > (uint64_t)tx_inflight * LOSS_PERCENT;
}

/* How much was in flight when the share of losses passed the threshold, some way into the lost range. */
static uint32_t inflight_at_loss(const struct mg_cc *cc, const struct mg_cc_sample *s)
{
	uint32_t size = mg_min_u32(cc->mss, s->loss_tx_inflight_bytes);
	uint32_t before = s->loss_tx_inflight_bytes - size;
	uint64_t lost_before = mg_sub_sat_u32(s->loss_tx_lost_bytes, size);
	uint64_t allowed = (uint64_t)before * LOSS_PERCENT;

	return before + clamp32(mg_sub_sat_u64(allowed, lost_before * 100) / (100 - LOSS_PERCENT));
}

static void handle_loss(const struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	if (!b->probe_samples)
		return;
	if (s->lost_bytes != 0 && s->loss_tx_inflight_bytes != 0 &&
	    is_too_high(s->loss_tx_lost_bytes, s->loss_tx_inflight_bytes))
		too_high(cc, b, s, inflight_at_loss(cc, s));
	else if (s->flags & MG_SAMPLE_ECE && b->state == UP)
		too_high(cc, b, s, mg_max_u32(s->tx_inflight_bytes, min_pipe(cc)));
}

static void probe_upward(const struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	uint64_t more;

	if ((s->flags & MG_SAMPLE_CWND_LIMITED) == 0 || cc->cwnd < b->inflight_hi)
		return;
	b->probe_up_acked = clamp32((uint64_t)b->probe_up_acked + s->acked_bytes);
	more = (uint64_t)b->probe_up_acked * b->probe_up_growth / mg_max_u32(cc->cwnd, 1);
	if (more >= cc->mss) {
		b->probe_up_acked = 0;
		b->inflight_hi = clamp32(b->inflight_hi + more);
	}
	if (b->round_start)
		raise_slope(cc, b);
}

static void adapt_long_term(const struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	if (b->acks == ACKS_PROBE_STARTING && b->round_start)
		b->acks = ACKS_PROBE_FEEDBACK;
	if (b->acks == ACKS_PROBE_STOPPING && b->round_start) {
		b->probe_samples = false;
		b->acks = ACKS_INIT;
		if (in_probe_bw(b) && !b->app_limited)
			advance_max_bw(b);
	}
	if (is_too_high(s->tx_lost_bytes, s->tx_inflight_bytes)) {
		if (b->probe_samples)
			too_high(cc, b, s, s->tx_inflight_bytes);
		return;
	}
	if (b->inflight_hi == INF32)
		return;
	b->inflight_hi = mg_max_u32(b->inflight_hi, s->tx_inflight_bytes);
	if (b->state == UP)
		probe_upward(cc, b, s);
}

/* As often as Reno would lose on such a path, so that both get along; or after two to three seconds. */
static bool is_time_to_probe(const struct mg_cc *cc, const struct bbr *b,
			     const struct mg_cc_sample *s)
{
	uint32_t reno_rounds = mg_min_u32(target_inflight(cc, b) / cc->mss, 63);

	return s->now_ns - b->cycle_ns > b->probe_wait_ns || b->rounds_since_probe >= reno_rounds;
}

static bool is_time_to_cruise(const struct mg_cc *cc, const struct bbr *b,
			      const struct mg_cc_sample *s)
{
	return s->inflight_bytes <= inflight_with_headroom(cc, b) &&
	       s->inflight_bytes <= inflight_at(cc, b, b->max_bw, 100);
}

static bool is_time_to_go_down(const struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	if ((s->flags & MG_SAMPLE_CWND_LIMITED) && cc->cwnd >= b->inflight_hi) {
		reset_full_bw(b); /* inflight_hi, not the path, is the limit: go on */
		b->full_bw = s->delivery_Bps;
		return false;
	}
	return b->full_bw_now;
}

static void update_cycle(const struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	if (!b->full_bw_reached)
		return;
	adapt_long_term(cc, b, s);
	switch (b->state) {
	case DOWN:
		if (is_time_to_probe(cc, b, s))
			start_refill(b, s);
		else if (is_time_to_cruise(cc, b, s))
			b->state = CRUISE;
		break;
	case CRUISE:
		if (is_time_to_probe(cc, b, s))
			start_refill(b, s);
		break;
	case REFILL:
		if (b->round_start) {
			b->probe_samples = true;
			start_up(cc, b, s);
		}
		break;
	case UP:
		if (is_time_to_go_down(cc, b, s))
			start_down(b, s);
		break;
	default:
		break;
	}
}

/* ---- Probing for the round-trip time ---- */

static void exit_probe_rtt(struct bbr *b, const struct mg_cc_sample *s)
{
	reset_short_term(b);
	if (!b->full_bw_reached) {
		b->state = STARTUP;
		return;
	}
	start_down(b, s);
	b->state = CRUISE;
}

static void check_probe_rtt_done(struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	if (b->probe_rtt_done_ns == 0 || s->now_ns <= b->probe_rtt_done_ns)
		return;
	b->probe_rtt_min_ns = s->now_ns;
	exit_probe_rtt(b, s);
	restore_cwnd(cc, b);
}

static void in_probe_rtt(struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	if (b->probe_rtt_done_ns == 0) {
		if (s->inflight_bytes > probe_rtt_cwnd(cc, b))
			return;
		b->probe_rtt_done_ns = s->now_ns + PROBE_RTT_NS;
		b->probe_rtt_round_done = false;
		start_round(b, s);
		return;
	}
	if (b->round_start)
		b->probe_rtt_round_done = true;
	if (b->probe_rtt_round_done)
		check_probe_rtt_done(cc, b, s);
}

static void update_min_rtt(struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	bool expired = s->now_ns > b->probe_rtt_min_ns + PROBE_RTT_INTERVAL_NS;

	if (s->rtt_us != 0 && (s->rtt_us < b->probe_rtt_min_us || expired)) {
		b->probe_rtt_min_us = s->rtt_us;
		b->probe_rtt_min_ns = s->now_ns;
	}
	if (b->probe_rtt_min_us < b->min_rtt_us || s->now_ns > b->min_rtt_ns + MIN_RTT_WINDOW_NS) {
		b->min_rtt_us = b->probe_rtt_min_us;
		b->min_rtt_ns = b->probe_rtt_min_ns;
	}
	if (b->state != PROBE_RTT && expired && !b->idle_restart) {
		save_cwnd(cc, b);
		b->state = PROBE_RTT;
		b->probe_rtt_done_ns = 0;
		b->acks = ACKS_PROBE_STOPPING;
		start_round(b, s);
	}
	if (b->state == PROBE_RTT)
		in_probe_rtt(cc, b, s);
	if (s->acked_bytes != 0)
		b->idle_restart = false;
}

/* ---- Window and pace ---- */

static void set_pace(struct mg_cc *cc, const struct bbr *b, uint32_t percent)
{
	uint64_t rate = b->bw * percent / 100 * PACING_MARGIN_PERCENT / 100;

	if (rate != 0 && (b->full_bw_reached || rate > cc->pacing_Bps))
		cc->pacing_Bps = mg_max_u64(rate, cc->mss);
}

static void bound_cwnd(struct mg_cc *cc, const struct bbr *b)
{
	uint32_t cap = INF32;

	if (b->state == PROBE_RTT)
		cc->cwnd = mg_min_u32(cc->cwnd, probe_rtt_cwnd(cc, b));
	if (in_probe_bw(b) && b->state != CRUISE)
		cap = b->inflight_hi;
	else if (b->state == PROBE_RTT || b->state == CRUISE)
		cap = inflight_with_headroom(cc, b);
	cap = mg_max_u32(mg_min_u32(cap, b->inflight_lo), min_pipe(cc));
	cc->cwnd = mg_min_u32(cc->cwnd, cap);
}

static void set_cwnd(struct mg_cc *cc, const struct bbr *b, const struct mg_cc_sample *s)
{
	uint64_t extra = mg_max_u32(b->extra_acked[0], b->extra_acked[1]);
	uint32_t most = quantized(cc, b, bdp(cc, b->bw, states[b->state].cwnd_percent) + extra);

	if (b->in_recovery && s->lost_bytes != 0)
		cc->cwnd = mg_max_u32(mg_sub_sat_u32(cc->cwnd, s->lost_bytes), cc->mss);
	if (b->full_bw_reached)
		cc->cwnd = mg_min_u32(mg_cc_grown(cc, s->acked_bytes), most);
	else if (cc->cwnd < most || s->delivered_bytes < cc->iw_bytes)
		cc->cwnd = mg_cc_grown(cc, s->acked_bytes);
	cc->cwnd = mg_clamp_u32(cc->cwnd, min_pipe(cc), UINT32_MAX / 2);
	bound_cwnd(cc, b);
}

/* ---- What the worker tells ---- */

static void undo(struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	b->in_recovery = false;
	b->loss_in_round = false;
	reset_full_bw(b);
	b->bw_lo = mg_max_u64(b->bw_lo, b->undo_bw_lo);
	b->inflight_lo = mg_max_u32(b->inflight_lo, b->undo_inflight_lo);
	b->inflight_hi = mg_max_u32(b->inflight_hi, b->undo_inflight_hi);
	restore_cwnd(cc, b);
	if (b->state == PROBE_RTT || b->state == b->undo_state)
		return;
	if (b->undo_state == STARTUP) {
		b->state = STARTUP;
		b->full_bw_reached = false;
	} else if (b->undo_state == UP) {
		start_up(cc, b, s);
	}
}

/* Sending resumes with nothing in flight: at the estimated rate, not at a probing one. */
static void resume(struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	b->idle_restart = true;
	b->extra_start_ns = s->now_ns;
	b->extra_delivered = 0;
	if (in_probe_bw(b))
		set_pace(cc, b, 100);
	else if (b->state == PROBE_RTT)
		check_probe_rtt_done(cc, b, s);
}

static void take_flags(struct mg_cc *cc, struct bbr *b, const struct mg_cc_sample *s)
{
	b->app_limited = (s->flags & MG_SAMPLE_APP_LIMITED_RATE) != 0 || b->state == PROBE_RTT;
	if (s->flags & MG_SAMPLE_UNDO)
		undo(cc, b, s);
	if (s->flags & MG_SAMPLE_IDLE)
		resume(cc, b, s);
	if ((s->flags & MG_SAMPLE_RECOVERED) && b->in_recovery) {
		b->in_recovery = false;
		restore_cwnd(cc, b);
	}
	if ((s->flags & (MG_SAMPLE_LOSS | MG_SAMPLE_RECOVERED)) == MG_SAMPLE_LOSS) {
		save_cwnd(cc, b);
		b->in_recovery = true;
	}
}

static void bbr_on_sample(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	struct bbr *b = bbr_of(cc);

	take_flags(cc, b, s);
	if (s->flags & MG_SAMPLE_RTO) {
		save_cwnd(cc, b);
		b->in_recovery = true;
		note_loss(b, s);
		cc->cwnd = cc->mss; /* nothing counts as in flight any more */
		b->last_ns = s->now_ns;
		return;
	}
	update_signals(cc, b, s);
	update_aggregation(cc, b, s);
	check_full_bw(b);
	check_startup(cc, b, s);
	check_drain(cc, b, s);
	handle_loss(cc, b, s);
	update_cycle(cc, b, s);
	update_min_rtt(cc, b, s);
	if (b->loss_round_start) {
		b->bw_latest = s->delivery_Bps;
		b->inflight_latest = s->rate_bytes;
		b->loss_in_round = false;
		b->ece_in_round = false;
		b->lost_in_round_bytes = 0;
		b->acked_in_round_bytes = 0;
	}
	b->bw = mg_min_u64(b->max_bw, b->bw_lo);
	set_pace(cc, b, states[b->state].pacing_percent);
	set_cwnd(cc, b, s);
	b->last_ns = s->now_ns;
}

static void bbr_init(struct mg_cc *cc, uint64_t now_ns)
{
	struct bbr *b = bbr_of(cc);
	uint32_t rtt_us = cc->srtt_us != 0 ? cc->srtt_us : 1000;

	*b = (struct bbr){
		.state = STARTUP,
		.bw_lo = INF64,
		.undo_bw_lo = INF64,
		.inflight_hi = INF32,
		.inflight_lo = INF32,
		.undo_inflight_hi = INF32,
		.undo_inflight_lo = INF32,
		.min_rtt_us = cc->srtt_us != 0 ? cc->srtt_us : INF32,
		.probe_rtt_min_us = cc->srtt_us != 0 ? cc->srtt_us : INF32,
		.min_rtt_ns = now_ns,
		.probe_rtt_min_ns = now_ns,
		.cycle_ns = now_ns,
		.extra_start_ns = now_ns,
		.last_ns = now_ns,
		.prior_cwnd = cc->cwnd,
		.random = now_ns ^ (uint64_t)cc->mss << 48,
	};
	cc->in_recovery = false;
	cc->pacing_Bps = mg_max_u64((uint64_t)cc->cwnd * MG_US_PER_S / rtt_us *
					    states[STARTUP].pacing_percent / 100,
				    cc->mss);
}

static const char *bbr_phase(const struct mg_cc *cc)
{
	return states[((const struct bbr *)(const void *)cc->priv)->state].name;
}

const struct mg_cc_ops mg_cc_bbr = {
	.name = "bbr",
	.flags = MG_CC_PACED | MG_CC_OWN_CWND,
	.init = bbr_init,
	.on_sample = bbr_on_sample,
	.phase = bbr_phase,
};
