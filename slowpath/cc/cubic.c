/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cubic.c - CUBIC (RFC 9438) with HyStart++ (RFC 9406), in integers.
 *
 * Idea:    after a reduction the window follows W_cubic(t) = C (t - K)^3 + W_max, K = cbrt((W_max -
 *          cwnd_epoch) / C), C = 0.4, beta = 0.7; t in milliseconds, windows in bytes, the cube in thousandths
 *          of a segment. Where Reno would be faster (W_est), it follows Reno. The epoch's clock stands
 *          still while the application, not the window, limits sending (RFC 9438 4.2, 5.8).
 *          Slow start ends early when the round trip grows (HyStart++): five rounds at a quarter of the
 *          growth (CSS) make sure, then congestion avoidance.
 */
#include <assert.h>

#include "proto/base/assert.h"
#include "proto/base/time.h"
#include "proto/path/msg.h"
#include "slowpath/cc/algorithms.h"

#define BETA_NUM 7
#define BETA_DEN 10
#define ALPHA_NUM 9 /* 3 (1 - beta) / (1 + beta) = 9 / 17 */
#define ALPHA_DEN 17
#define T_MAX_MS 100000 /* (t - K)^3 fits 64 bits far beyond; nobody waits longer */

#define HYSTART_MIN_THRESH_US 4000
#define HYSTART_MAX_THRESH_US 16000
#define HYSTART_THRESH_DIV 8
#define HYSTART_SAMPLES 8
#define HYSTART_CSS_DIV 4
#define HYSTART_CSS_ROUNDS 5

/* What a reduction changes, kept for its undo (RFC 9438 4.9). */
struct cubic_epoch {
	uint64_t epoch_ns; /* start of the epoch; 0: none yet */
	uint32_t w_max;
	uint32_t w_est;
	uint32_t cwnd_prior; /* at the reduction that began the epoch */
	uint32_t k_ms;
};

struct cubic {
	struct cubic_epoch e;
	struct cubic_epoch undo;
	uint64_t limited_ns; /* when the application began to limit us; 0: it does not */
	uint64_t acc;        /* cubic growth: acked * (target - cwnd) not yet turned into bytes */
	uint64_t est_acc;    /* likewise of W_est, in 1 / 17 */
	/* HyStart++ */
	uint32_t round_rtt_us; /* smallest of this round; 0: none */
	uint32_t last_rtt_us;  /* of the round before */
	uint32_t css_base_us;  /* not 0: in CSS */
	uint64_t round_end;    /* delivered_bytes that end the round */
	uint16_t round_samples;
	uint16_t css_rounds;
	uint32_t css_acc;
};
static_assert(sizeof(struct cubic) <= MG_CC_PRIV_BYTES, "state must fit");

static struct cubic *cubic_of(struct mg_cc *cc)
{
	return (struct cubic *)(void *)cc->priv;
}

/* floor(cbrt(v)), bit by bit. */
static uint32_t cube_root(uint64_t v)
{
	uint64_t root = 0;

	for (int shift = 63; shift >= 0; shift -= 3) {
		uint64_t bit;

		root <<= 1;
		bit = 3 * root * (root + 1) + 1;
		if (v >> shift >= bit) {
			v -= bit << shift;
			root++;
		}
	}
	return (uint32_t)root;
}

static void hystart_reset(struct cubic *c)
{
	c->round_rtt_us = 0;
	c->last_rtt_us = 0;
	c->css_base_us = 0;
	c->round_end = 0;
	c->round_samples = 0;
	c->css_rounds = 0;
	c->css_acc = 0;
}

static void cubic_init(struct mg_cc *cc, uint64_t now_ns)
{
	struct cubic *c = cubic_of(cc);

	(void)now_ns; /* the epoch begins with congestion avoidance */
	*c = (struct cubic){ 0 };
	hystart_reset(c);
}

static void hystart_end_round(struct mg_cc *cc, struct cubic *c, const struct mg_cc_sample *s)
{
	if (c->css_base_us != 0 && ++c->css_rounds >= HYSTART_CSS_ROUNDS) {
		cc->ssthresh = cc->cwnd;
		c->css_base_us = 0;
	}
	c->last_rtt_us = c->round_rtt_us;
	c->round_rtt_us = 0;
	c->round_samples = 0;
	c->round_end = s->delivered_bytes + s->inflight_bytes;
}

/* RFC 9406 4.2: is the round trip growing, and does it stay grown? */
static void hystart_sample(struct mg_cc *cc, struct cubic *c, const struct mg_cc_sample *s)
{
	uint32_t thresh_us, nr = s->acked_bytes / cc->mss;

	if (s->delivered_bytes >= c->round_end)
		hystart_end_round(cc, c, s);
	if (s->rtt_us == 0)
		return;
	c->round_samples = (uint16_t)mg_min_u32(c->round_samples + mg_max_u32(nr, 1), UINT16_MAX);
	c->round_rtt_us = c->round_rtt_us == 0 ? s->rtt_us : mg_min_u32(c->round_rtt_us, s->rtt_us);
	if (c->round_samples < HYSTART_SAMPLES || c->last_rtt_us == 0)
		return;
	if (c->css_base_us != 0) {
		if (c->round_rtt_us < c->css_base_us)
			c->css_base_us = 0; /* it was a passing queue: slow start goes on */
		return;
	}
	thresh_us = mg_clamp_u32(c->last_rtt_us / HYSTART_THRESH_DIV, HYSTART_MIN_THRESH_US,
				 HYSTART_MAX_THRESH_US);
	if (c->round_rtt_us >= c->last_rtt_us + thresh_us) {
		c->css_base_us = mg_max_u32(c->round_rtt_us, 1);
		c->css_rounds = 0;
	}
}

/* Returns what of the acknowledged bytes slow start did not use. */
static uint32_t slow_start(struct mg_cc *cc, struct cubic *c, const struct mg_cc_sample *s)
{
	uint32_t use = mg_min_u32(mg_min_u32(s->acked_bytes, cc->cwnd), cc->ssthresh - cc->cwnd);
	uint32_t more = use;

	if (c->css_base_us != 0) {
		c->css_acc += use;
		more = c->css_acc / HYSTART_CSS_DIV;
		c->css_acc %= HYSTART_CSS_DIV;
	}
	cc->cwnd = mg_cc_grown(cc, more);
	return mg_cc_in_slow_start(cc) ? 0 : s->acked_bytes - use;
}

/* RFC 9438 4.2, figure 2. Without a reduction before (HyStart++, idle) the plateau is here. */
static void begin_epoch(struct mg_cc *cc, struct cubic *c, uint64_t now_ns)
{
	c->e.epoch_ns = now_ns;
	c->limited_ns = 0;
	c->acc = 0;
	c->est_acc = 0;
	c->e.w_est = cc->cwnd;
	if (c->e.w_max <= cc->cwnd) {
		c->e.w_max = cc->cwnd;
		c->e.k_ms = 0;
	} else {
		/* cbrt(dW / C) in seconds is cbrt(dW * 1e9 / C) in milliseconds; 1 / C = 2.5 */
		c->e.k_ms = cube_root((uint64_t)(c->e.w_max - cc->cwnd) * 2500000000ull / cc->mss);
	}
	if (c->e.cwnd_prior == 0)
		c->e.cwnd_prior = cc->cwnd;
}

/* W_cubic(t), bytes. */
static uint64_t w_cubic(const struct mg_cc *cc, const struct cubic *c, uint64_t t_ms)
{
	uint64_t off = t_ms > c->e.k_ms ? t_ms - c->e.k_ms : c->e.k_ms - t_ms;
	uint64_t bytes;

	off = mg_min_u64(off, T_MAX_MS);
	/* 0.4 off^3 / 1e9 segments, in thousandths */
	bytes = off * off * off / 2500000 * cc->mss / 1000;
	if (t_ms >= c->e.k_ms)
		return c->e.w_max + bytes;
	return mg_sub_sat_u64(c->e.w_max, bytes);
}

/* RFC 9438 4.3: what Reno with our beta would have by now. */
static void grow_est(struct mg_cc *cc, struct cubic *c, uint32_t acked)
{
	bool caught_up = c->e.w_est >= c->e.cwnd_prior;
	uint64_t unit = (uint64_t)cc->cwnd * ALPHA_DEN;

	c->est_acc += (uint64_t)acked * cc->mss * (caught_up ? ALPHA_DEN : ALPHA_NUM);
	c->e.w_est = (uint32_t)mg_min_u64(c->e.w_est + c->est_acc / unit, UINT32_MAX / 2);
	c->est_acc %= unit;
}

static void avoid(struct mg_cc *cc, struct cubic *c, const struct mg_cc_sample *s, uint32_t acked)
{
	uint64_t t_ms, target;

	if (c->e.epoch_ns == 0)
		begin_epoch(cc, c, s->now_ns);
	if (c->limited_ns != 0) {
		c->e.epoch_ns += s->now_ns - c->limited_ns;
		c->limited_ns = 0;
	}
	t_ms = mg_ns_to_ms(s->now_ns - c->e.epoch_ns);
	grow_est(cc, c, acked);
	if (w_cubic(cc, c, t_ms) < c->e.w_est) {
		cc->cwnd = mg_max_u32(cc->cwnd, c->e.w_est);
		return;
	}
	target = w_cubic(cc, c, t_ms + s->srtt_us / 1000);
	target = mg_clamp_u64(target, cc->cwnd, (uint64_t)cc->cwnd + cc->cwnd / 2);
	c->acc += (target - cc->cwnd) * acked;
	if (c->acc >= cc->cwnd) {
		uint64_t more = c->acc / cc->cwnd;

		c->acc %= cc->cwnd;
		cc->cwnd = mg_cc_grown(cc, mg_min_u64(more, target - cc->cwnd));
	}
}

static void cubic_on_ack(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	struct cubic *c = cubic_of(cc);
	uint32_t left = s->acked_bytes;

	if (mg_cc_in_slow_start(cc))
		hystart_sample(cc, c, s);
	if ((s->flags & MG_SAMPLE_CWND_LIMITED) == 0) {
		if (c->e.epoch_ns != 0 && c->limited_ns == 0)
			c->limited_ns = s->now_ns;
		return;
	}
	if (mg_cc_in_slow_start(cc))
		left = slow_start(cc, c, s);
	if (!mg_cc_in_slow_start(cc) && left > 0)
		avoid(cc, c, s, mg_min_u32(left, cc->cwnd));
}

/*
 * RFC 9438 4.6: the flight, which is the window unless the application did not use it. Whole segments leave: what of
 * the window was less than one is no restraint of the application.
 */
static uint32_t reduced_from(const struct mg_cc *cc, const struct mg_cc_sample *s)
{
	if (s->prior_inflight_bytes == 0 || cc->cwnd - cc->mss < s->prior_inflight_bytes)
		return cc->cwnd;
	return s->prior_inflight_bytes;
}

/* RFC 9438 4.6 and 4.7: multiplicative decrease, and fast convergence when the plateau sinks. */
static void reduce(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	struct cubic *c = cubic_of(cc);
	uint32_t flight = reduced_from(cc, s);

	c->undo = c->e;
	c->e.cwnd_prior = cc->cwnd;
	if (cc->cwnd < c->e.w_max)
		c->e.w_max = (uint32_t)((uint64_t)cc->cwnd * (BETA_DEN + BETA_NUM) /
					(2 * BETA_DEN));
	else
		c->e.w_max = cc->cwnd;
	cc->ssthresh = mg_max_u32((uint32_t)((uint64_t)flight * BETA_NUM / BETA_DEN), 2 * cc->mss);
	if (cc->abe && (s->flags & (MG_SAMPLE_LOSS | MG_SAMPLE_RTO)) == 0) /* RFC 8511: 0.85 */
		cc->ssthresh = mg_max_u32((uint32_t)((uint64_t)cc->cwnd * 17 / 20), 2 * cc->mss);
	c->e.epoch_ns = 0;
	c->limited_ns = 0;
	hystart_reset(c);
}

static void cubic_on_loss(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	reduce(cc, s);
	cc->cwnd = cc->ssthresh;
}

static void cubic_on_rto(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	reduce(cc, s);
	/* 4.8: after a time-out the plateau is where avoidance begins, and K is 0. */
	cubic_of(cc)->e.w_max = 0;
	cc->cwnd = cc->mss;
}

/* RFC 9438 4.9: as if the reduction had not been; cc.c has restored cwnd and ssthresh. */
static void cubic_on_undo(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	struct cubic *c = cubic_of(cc);

	(void)s;
	c->e = c->undo;
	c->limited_ns = 0;
	c->acc = 0;
	c->est_acc = 0;
}

/* The restart window, and a new epoch: the time spent idle is no reason to grow. */
static void cubic_on_idle(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	struct cubic *c = cubic_of(cc);

	(void)s;
	c->e.epoch_ns = 0;
	c->limited_ns = 0;
	hystart_reset(c);
	if (cc->keep_idle || cc->cwnd <= cc->iw_bytes)
		return;
	cc->ssthresh = mg_max_u32(cc->ssthresh, cc->cwnd / 4 * 3);
	cc->cwnd = cc->iw_bytes;
}

const struct mg_cc_ops mg_cc_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.on_ack = cubic_on_ack,
	.on_loss = cubic_on_loss,
	.on_rto = cubic_on_rto,
	.on_undo = cubic_on_undo,
	.on_idle = cubic_on_idle,
};
