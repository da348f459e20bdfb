/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cc_link_test.c - every congestion control on a modelled bottleneck: what all owe, then what each promises.
 *
 * Idea:    an algorithm that is added to mg_cc_all[] runs through the first part by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/base/bits.h"
#include "proto/base/time.h"
#include "proto/path/msg.h"
#include "slowpath/cc/algorithms.h"
#include "test/lib/cc_link.h"

#define MBIT(n) ((uint64_t)(n)*125000)
#define MS(n) ((uint64_t)(n)*MG_NS_PER_MS)
#define SEC(n) ((uint64_t)(n)*MG_NS_PER_S)

static struct ccl l;

static bool governs_itself(const struct mg_cc_ops *ops)
{
	return ops->on_sample != NULL;
}

/* A link with a buffer of so many percent of its bandwidth-delay product, after its first ten seconds. */
static void settled(const struct mg_cc_ops *ops, uint64_t rate_Bps, uint64_t rtt_ns,
		    uint32_t buffer_percent, uint32_t loss_ppm)
{
	uint64_t bdp = rate_Bps * mg_ns_to_us(rtt_ns) / MG_US_PER_S;

	ccl_new(&l, ops, rate_Bps, rtt_ns, (uint32_t)(bdp * buffer_percent / 100));
	l.loss_ppm = loss_ppm;
	ccl_run(&l, SEC(10));
	ccl_books(&l);
}

/* Thousandths of the link that the next seconds fill. */
static uint32_t goodput(uint64_t seconds)
{
	uint64_t since = l.now_ns;

	ccl_run(&l, SEC(seconds));
	return ccl_permille(&l, since);
}

/* ---- For every algorithm ---- */

static void fills_a_link(const struct mg_cc_ops *ops)
{
	settled(ops, MBIT(20), MS(40), 100, 0);
	assert_true(goodput(20) >= 930);
	ccl_free(&l);
}

static void survives_a_shallow_buffer(const struct mg_cc_ops *ops)
{
	settled(ops, MBIT(20), MS(40), 20, 0);
	assert_true(goodput(20) >= 700);
	assert_true(l.lost_bytes * 100 < l.sent_bytes);
	ccl_free(&l);
}

static void starts_fast(const struct mg_cc_ops *ops)
{
	ccl_new(&l, ops, MBIT(100), MS(40), 500000);
	assert_int_equal(l.cc.cwnd, 10 * CCL_MSS);
	ccl_run(&l, MS(39)); /* nothing comes back yet: no more than the window left */
	assert_true(l.sent_bytes <= 10 * CCL_MSS);
	ccl_run(&l, MS(260));
	/* at least 1.7 times as much in each round trip */
	assert_true(l.cc.cwnd >= 10 * CCL_MSS * 10);
	ccl_free(&l);
}

static void reacts_to_losses(const struct mg_cc_ops *ops)
{
	uint32_t clean, lossy;

	settled(ops, MBIT(20), MS(40), 100, 0);
	clean = goodput(5);
	l.loss_ppm = 200000; /* a fifth of everything: nobody may go on as if nothing was */
	lossy = goodput(20);
	assert_true(lossy < clean / 2);
	assert_true(l.cc.cwnd <= ccl_bdp(&l));
	ccl_free(&l);
}

static void reacts_to_marks(const struct mg_cc_ops *ops)
{
	settled(ops, MBIT(20), MS(40), 400, 0);
	l.mark_bytes = (uint32_t)ccl_bdp(&l) / 4;
	ccl_run(&l, SEC(10));
	ccl_books(&l);
	ccl_run(&l, SEC(10));
	/* the queue stays near the threshold, and no buffer overflows */
	assert_true(l.queue_sum / l.queue_count < ccl_bdp(&l));
	assert_int_equal(l.lost_bytes, 0);
	ccl_free(&l);
}

static void reacts_to_a_timeout(const struct mg_cc_ops *ops)
{
	uint32_t before;

	settled(ops, MBIT(20), MS(40), 100, 0);
	before = l.cc.cwnd;
	ccl_timeout(&l);
	assert_int_equal(l.cc.cwnd, CCL_MSS);
	ccl_timeout(&l);
	assert_int_equal(l.cc.cwnd, CCL_MSS);
	assert_true(l.cc.ssthresh >= 2 * CCL_MSS);
	ccl_run(&l, SEC(1));
	assert_true(l.cc.cwnd > before / 4); /* and comes back */
	assert_true(goodput(20) >= 850);
	ccl_free(&l);
}

static void undo_gives_it_back(const struct mg_cc_ops *ops)
{
	uint32_t before;

	settled(ops, MBIT(20), MS(40), 100, 0);
	before = l.cc.cwnd;
	ccl_timeout(&l);
	l.samp.flags |= MG_SAMPLE_UNDO;
	l.samp.acked_bytes = CCL_MSS;
	l.samp.now_ns = l.now_ns;
	l.samp.srtt_us = l.srtt_us;
	(void)mg_cc_sample(&l.cc, &l.samp);
	assert_true(l.cc.cwnd >= before);
	l.samp.flags = 0;
	l.samp.acked_bytes = 0;
	ccl_free(&l);
}

/* What an application that offers a tenth does not use must not become a burst. */
static void does_not_grow_unused(const struct mg_cc_ops *ops)
{
	uint32_t before;

	ccl_new(&l, ops, MBIT(100), MS(40), 500000);
	l.app_Bps = MBIT(2);
	ccl_run(&l, SEC(2));
	before = l.cc.cwnd;
	ccl_run(&l, SEC(20));
	assert_true(l.cc.cwnd <= mg_max_u32(before, 30 * CCL_MSS));
	assert_true(goodput(5) >= 15); /* nor does it starve */
	ccl_free(&l);
}

static void restarts_after_idling(const struct mg_cc_ops *ops)
{
	settled(ops, MBIT(20), MS(40), 100, 0);
	ccl_idle(&l, SEC(30));
	if (!governs_itself(ops))
		assert_int_equal(l.cc.cwnd, 10 * CCL_MSS);
	ccl_books(&l);
	assert_true(goodput(10) >= 850);
	ccl_free(&l);
}

static void keeps_the_window_if_told_so(const struct mg_cc_ops *ops)
{
	uint32_t before;

	settled(ops, MBIT(20), MS(40), 100, 0);
	l.cc.keep_idle = true;
	before = l.cc.cwnd;
	ccl_idle(&l, SEC(30));
	assert_true(l.cc.cwnd >= before / 2);
	ccl_free(&l);
}

/* From 8 kbit/s and a minute to 100 Gbit/s and 10 us: floors, no overflow (the link asserts both). */
static void extremes(const struct mg_cc_ops *ops)
{
	static const struct {
		uint64_t rate_Bps, rtt_ns;
		uint32_t buffer;
		uint64_t run_ns;
	} path[] = {
		{ 1000, SEC(2), 8000, SEC(600) },
		{ 12500000000ull, 10000, 200000, MS(20) },
		{ MBIT(1000), MS(500), 40000000, SEC(8) },
		{ MBIT(1), SEC(60), 4000000, SEC(1200) },
	};

	for (uint32_t i = 0; i < MG_ARRAY_SIZE(path); i++) {
		ccl_new(&l, ops, path[i].rate_Bps, path[i].rtt_ns, path[i].buffer);
		ccl_run(&l, path[i].run_ns / 2);
		ccl_timeout(&l);
		ccl_run(&l, path[i].run_ns / 2);
		assert_true(l.delivered_bytes > 0);
		assert_true(l.cc.ssthresh >= 2 * CCL_MSS);
		ccl_free(&l);
	}
}

/* Samples of pure nonsense: numbers that no worker sends must not break an invariant. */
static void nonsense(const struct mg_cc_ops *ops)
{
	struct mg_rng rng;
	struct mg_cc cc;
	uint64_t now = SEC(1);

	mg_rng_init(&rng, 7);
	mg_cc_init(&cc, ops, CCL_MSS, 10 * CCL_MSS, 0, now);
	for (uint32_t i = 0; i < 20000; i++) {
		struct mg_cc_sample s = {
			.now_ns = now += mg_rng_u64(&rng) >> (24 + mg_rng_below(&rng, 30)),
			.flags = mg_rng_u32(&rng) & mg_rng_u32(&rng) & 0x1ff,
			.acked_bytes = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.lost_bytes = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.ecn_bytes = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.rtt_us = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.srtt_us = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.inflight_bytes = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.prior_inflight_bytes = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.delivered_bytes = mg_rng_u64(&rng) >> mg_rng_below(&rng, 64),
			.prior_delivered_bytes = mg_rng_u64(&rng) >> mg_rng_below(&rng, 64),
			.delivery_Bps = mg_rng_u64(&rng) >> mg_rng_below(&rng, 64),
			.rate_bytes = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.tx_inflight_bytes = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.tx_lost_bytes = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.loss_tx_inflight_bytes = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
			.loss_tx_lost_bytes = mg_rng_u32(&rng) >> mg_rng_below(&rng, 32),
		};

		(void)mg_cc_sample(&cc, &s);
		assert_in_range(cc.cwnd, CCL_MSS, UINT32_MAX / 2);
		assert_true(cc.ssthresh >= 2 * CCL_MSS);
		assert_non_null(mg_cc_phase(&cc));
	}
}

static void every_algorithm(void **state)
{
	(void)state;
	for (uint32_t i = 0; mg_cc_all[i] != NULL; i++) {
		const struct mg_cc_ops *ops = mg_cc_all[i];

		print_message("%s\n", ops->name);
		fills_a_link(ops);
		survives_a_shallow_buffer(ops);
		starts_fast(ops);
		reacts_to_losses(ops);
		reacts_to_marks(ops);
		reacts_to_a_timeout(ops);
		undo_gives_it_back(ops);
		does_not_grow_unused(ops);
		restarts_after_idling(ops);
		keeps_the_window_if_told_so(ops);
		extremes(ops);
		nonsense(ops);
	}
}

/* ---- Loss-based ones: the window follows 1 / sqrt(p) ---- */

/* Mean window in hundredths of a segment, where so many of a million segments are lost at random and nothing else. */
static uint32_t mean_window(const char *name, uint64_t rtt_ns, uint32_t loss_ppm)
{
	uint64_t since, ns = rtt_ns * 400, took, segments;

	ccl_new(&l, mg_cc_find(name), MBIT(1000), rtt_ns, 100000000);
	l.loss_ppm = loss_ppm;
	ccl_run(&l, ns);
	ccl_books(&l);
	since = l.now_ns;
	while (l.lost_bytes / CCL_MSS < 1200)
		ccl_run(&l, ns);
	segments = l.delivered_bytes / CCL_MSS;
	took = l.now_ns - since;
	ccl_free(&l);
	return (uint32_t)(segments * 100 * mg_ns_to_us(rtt_ns) / mg_ns_to_us(took));
}

struct formula {
	uint64_t rtt_ns;
	uint32_t loss_ppm;
	uint32_t window; /* hundredths of a segment */
};

static void follows(const char *name, const struct formula *f, uint32_t n, uint32_t from,
		    uint32_t to)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t is = mean_window(name, f[i].rtt_ns, f[i].loss_ppm);

		print_message("%s, %u ppm: %u.%02u segments, %u.%02u by the formula\n", name,
			      f[i].loss_ppm, is / 100, is % 100, f[i].window / 100,
			      f[i].window % 100);
		assert_in_range(is * 100 / f[i].window, from, to);
	}
}

/* RFC 5681 as Mathis et al. computed it: W = sqrt(3 / 2p), for losses at equal distances; and RFC 9438 5.1, 5.2. */
static const struct formula by_root[] = { { MS(10), 300, 7071 },
					  { MS(10), 1000, 3873 },
					  { MS(50), 3000, 2236 },
					  { MS(50), 10000, 1225 } };

/* At random distances it is up to 7 % more, the round trip of recovery, which adds nothing, takes it back. */
static void reno_follows_mathis(void **state)
{
	(void)state;
	follows("reno", by_root, MG_ARRAY_SIZE(by_root), 87, 108);
}

/* The friendly region: as Reno on average; a little more, as alpha is 1 above the former window (4.3). */
static void cubic_follows_its_formula_on_short_paths(void **state)
{
	(void)state;
	follows("cubic", by_root, MG_ARRAY_SIZE(by_root), 90, 118);
}

/* W = (C (3 + beta) / 4 (1 - beta))^(1/4) RTT^(3/4) / p^(3/4) where that is more than Reno has. */
static void cubic_follows_its_formula_on_long_paths(void **state)
{
	static const struct formula by_cube[] = { { MS(200), 300, 13826 },
						  { MS(400), 1000, 9426 } };

	(void)state;
	follows("cubic", by_cube, MG_ARRAY_SIZE(by_cube), 95, 120);
}

/* RFC 9438: on a long fat path it is faster than Reno after a loss, and on a short one as fast. */
static void cubic_beats_reno_on_long_paths(void **state)
{
	uint32_t reno, cubic;

	(void)state;
	settled(mg_cc_find("reno"), MBIT(400), MS(100), 100, 30);
	reno = goodput(60);
	ccl_free(&l);
	settled(mg_cc_find("cubic"), MBIT(400), MS(100), 100, 30);
	cubic = goodput(60);
	ccl_free(&l);
	assert_true(cubic >= reno * 13 / 10);
	settled(mg_cc_find("reno"), MBIT(50), MS(2), 100, 5000);
	reno = goodput(20);
	ccl_free(&l);
	settled(mg_cc_find("cubic"), MBIT(50), MS(2), 100, 5000);
	cubic = goodput(20);
	ccl_free(&l);
	assert_in_range(cubic, reno * 8 / 10, reno * 14 / 10);
}

/* ---- DCTCP (RFC 8257) ---- */

/* Short queues at a full link: K = BDP / 7 and more is enough. */
static void dctcp_keeps_queues_short(void **state)
{
	uint32_t mark, share;

	(void)state;
	ccl_new(&l, mg_cc_find("dctcp"), MBIT(1000), 500000, 400000);
	mark = (uint32_t)ccl_bdp(&l) / 3;
	l.mark_bytes = mark;
	ccl_run(&l, SEC(1));
	ccl_books(&l);
	share = goodput(2);
	assert_true(share >= 950);
	assert_true(l.queue_sum / l.queue_count < 2ull * mark);
	assert_int_equal(l.lost_bytes, 0);
	assert_true(mg_cc_dctcp_alpha(&l.cc) < 32768);
	assert_true(mg_cc_dctcp_alpha(&l.cc) > 0);
	ccl_free(&l);
}

/* alpha follows the share of marked bytes: one sixteenth of the way per window. */
static void dctcp_alpha(void **state)
{
	struct mg_cc cc;
	double alpha = 1.0;
	uint64_t delivered = 0;

	(void)state;
	mg_cc_init(&cc, mg_cc_find("dctcp"), CCL_MSS, 10 * CCL_MSS, 100, SEC(1));
	assert_int_equal(mg_cc_dctcp_alpha(&cc), 65536);
	for (uint32_t i = 0; i < 200; i++) {
		/* a quarter is marked at first, then nothing */
		struct mg_cc_sample s = { .now_ns = SEC(1) + i,
					  .acked_bytes = 100000,
					  .ecn_bytes = i < 100 ? 25000 : 0,
					  .inflight_bytes = 100000,
					  .srtt_us = 100 };

		delivered += s.acked_bytes;
		s.delivered_bytes = delivered;
		(void)mg_cc_sample(&cc, &s);
		alpha = alpha * 15 / 16 + (i < 100 ? 0.25 : 0.0) / 16;
		assert_in_range(mg_cc_dctcp_alpha(&cc) + 80, (uint32_t)(alpha * 65536),
				(uint32_t)(alpha * 65536) + 160);
	}
	assert_int_equal(mg_cc_dctcp_alpha(&cc), 0);
}

/* An echo takes alpha / 2, a loss a half. */
static void dctcp_reductions(void **state)
{
	struct mg_cc cc;
	struct mg_cc_sample s = { .now_ns = SEC(1), .srtt_us = 100, .delivered_bytes = 1000000 };
	uint32_t alpha, cwnd;

	(void)state;
	mg_cc_init(&cc, mg_cc_find("dctcp"), CCL_MSS, 100 * CCL_MSS, 100, SEC(1));
	for (uint32_t i = 0; i < 20; i++) { /* windows without marks: alpha decays */
		s.acked_bytes = 100 * CCL_MSS;
		s.delivered_bytes += s.acked_bytes;
		s.inflight_bytes = 100 * CCL_MSS;
		(void)mg_cc_sample(&cc, &s);
	}
	cwnd = cc.cwnd;
	s.flags = MG_SAMPLE_ECE;
	s.ecn_bytes = 0;
	s.acked_bytes = 0;
	s.prior_inflight_bytes = cwnd;
	s.delivered_bytes++;
	(void)mg_cc_sample(&cc, &s);
	alpha = mg_cc_dctcp_alpha(&cc);
	assert_in_range(alpha, 1, 65535);
	assert_int_equal(cc.cwnd, cwnd - (uint32_t)((uint64_t)cwnd * alpha / 131072));
	s.flags = MG_SAMPLE_LOSS;
	cwnd = cc.cwnd;
	s.prior_inflight_bytes = cwnd;
	s.delivered_bytes += 10000000;
	(void)mg_cc_sample(&cc, &s);
	assert_int_equal(cc.cwnd, cwnd / 2);
}

/* ---- ABE (RFC 8511) ---- */

static void abe_costs_less(void **state)
{
	static const struct {
		const char *name;
		uint32_t loss, echo; /* hundredths that are left */
	} is[] = { { "reno", 50, 80 }, { "cubic", 70, 85 } };

	(void)state;
	for (uint32_t i = 0; i < 2 * MG_ARRAY_SIZE(is); i++) {
		struct mg_cc cc;
		struct mg_cc_sample s = { .now_ns = SEC(1),
					  .flags = i & 1 ? MG_SAMPLE_ECE : MG_SAMPLE_LOSS,
					  .srtt_us = 1000,
					  .delivered_bytes = 1,
					  .prior_inflight_bytes = 100 * CCL_MSS };
		uint32_t percent = i & 1 ? is[i / 2].echo : is[i / 2].loss;

		mg_cc_init(&cc, mg_cc_find(is[i / 2].name), CCL_MSS, 100 * CCL_MSS, 1000, SEC(1));
		cc.abe = true;
		(void)mg_cc_sample(&cc, &s);
		assert_in_range(cc.cwnd, percent * CCL_MSS - 2, percent * CCL_MSS + 2);
	}
}

/* ---- BBR ---- */

static bool in_phase(const char *name)
{
	return strcmp(mg_cc_phase(&l.cc), name) == 0;
}

/* STARTUP, DRAIN, then the cycle; the estimates are the path's. */
static void bbr_goes_through_its_states(void **state)
{
	/* the first DOWN is over at once: DRAIN did its work */
	static const char *const cycle[] = { "probe-bw-cruise", "probe-bw-refill", "probe-bw-up",
					     "probe-bw-down", "probe-bw-cruise" };
	uint32_t at = 0;

	(void)state;
	ccl_new(&l, mg_cc_find("bbr"), MBIT(50), MS(40), 2000000);
	assert_true(in_phase("startup"));
	/* 2.77 times the initial window per round trip of the handshake */
	assert_in_range(l.cc.pacing_Bps, 10 * CCL_MSS * 25 * 27 / 10, 10 * CCL_MSS * 25 * 28 / 10);
	while (in_phase("startup"))
		ccl_run(&l, MS(5));
	assert_true(in_phase("drain"));
	assert_true(l.now_ns < SEC(1) + MS(800));
	while (in_phase("drain"))
		ccl_run(&l, MS(1));
	for (uint64_t end = l.now_ns + SEC(4); at < MG_ARRAY_SIZE(cycle) && l.now_ns < end;) {
		if (in_phase(cycle[at]))
			at++;
		else
			ccl_run(&l, MS(1));
	}
	assert_int_equal(at, MG_ARRAY_SIZE(cycle));
	ccl_free(&l);
}

static void bbr_probes_rtt(void **state)
{
	uint64_t in = 0, least = UINT64_MAX;

	(void)state;
	settled(mg_cc_find("bbr"), MBIT(50), MS(40), 200, 0);
	for (uint64_t end = l.now_ns + SEC(10); l.now_ns < end;) {
		ccl_run(&l, MS(2));
		if (!in_phase("probe-rtt"))
			continue;
		in += MS(2);
		least = mg_min_u64(least, l.inflight);
	}
	/* each time 200 ms and the draining before, at half of what the path holds */
	assert_in_range(in, MS(200), MS(800));
	assert_true(least <= ccl_bdp(&l) * 6 / 10);
	ccl_free(&l);
}

static void bbr_keeps_the_queue_short(void **state)
{
	(void)state;
	settled(mg_cc_find("bbr"), MBIT(50), MS(40), 800, 0);
	assert_true(goodput(20) >= 930);
	assert_true(l.queue_max <= ccl_bdp(&l) * 3 / 2);
	assert_true(l.queue_sum / l.queue_count <= ccl_bdp(&l) / 4);
	assert_int_equal(l.lost_bytes, 0);
	ccl_free(&l);
}

/* A percent of random losses is below what the model tolerates. */
static void bbr_stands_losses(void **state)
{
	(void)state;
	settled(mg_cc_find("bbr"), MBIT(100), MS(40), 100, 10000);
	assert_true(goodput(30) >= 800);
	ccl_free(&l);
	settled(mg_cc_find("bbr"), MBIT(100), MS(40), 100, 1000);
	assert_true(goodput(30) >= 880);
	ccl_free(&l);
}

/* The path gets slower, later faster: the model follows, down within a few cycles, up within one or two. */
static void bbr_follows_the_path(void **state)
{
	(void)state;
	settled(mg_cc_find("bbr"), MBIT(50), MS(40), 200, 0);
	l.rate_Bps = MBIT(10);
	ccl_run(&l, SEC(8));
	ccl_books(&l);
	assert_true(goodput(8) >= 900);
	assert_true(l.queue_sum / l.queue_count <= 2 * ccl_bdp(&l));
	l.rate_Bps = MBIT(50);
	ccl_run(&l, SEC(8));
	ccl_books(&l);
	assert_true(goodput(8) >= 900);
	/* and a longer way is noticed when the smallest round trip has expired */
	l.rtt_ns = MS(80);
	ccl_run(&l, SEC(20));
	ccl_books(&l);
	assert_true(goodput(10) >= 850);
	ccl_free(&l);
}

/* Rates that the application, not the path, made are no measure of the path. */
static void bbr_ignores_limited_rates(void **state)
{
	uint64_t pace;

	(void)state;
	settled(mg_cc_find("bbr"), MBIT(50), MS(40), 200, 0);
	pace = l.cc.pacing_Bps;
	l.app_Bps = MBIT(1);
	ccl_run(&l, SEC(20));
	assert_true(l.cc.pacing_Bps >= pace / 2);
	l.app_Bps = 0;
	ccl_books(&l);
	assert_true(goodput(1) >= 800);
	ccl_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_algorithm),
		cmocka_unit_test(reno_follows_mathis),
		cmocka_unit_test(cubic_follows_its_formula_on_short_paths),
		cmocka_unit_test(cubic_follows_its_formula_on_long_paths),
		cmocka_unit_test(cubic_beats_reno_on_long_paths),
		cmocka_unit_test(dctcp_keeps_queues_short),
		cmocka_unit_test(dctcp_alpha),
		cmocka_unit_test(dctcp_reductions),
		cmocka_unit_test(abe_costs_less),
		cmocka_unit_test(bbr_goes_through_its_states),
		cmocka_unit_test(bbr_probes_rtt),
		cmocka_unit_test(bbr_keeps_the_queue_short),
		cmocka_unit_test(bbr_stands_losses),
		cmocka_unit_test(bbr_follows_the_path),
		cmocka_unit_test(bbr_ignores_limited_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
