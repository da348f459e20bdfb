/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cc_test.c - every congestion control that cc.c governs on an ideal path, then each against the numbers of its RFC.
 *             On a modelled link with a queue: cc_link_test.c.
 */
#include "test/unit/cc_driver.h"

#include <math.h>

/* ---- for every algorithm ---- */

static void test_common_slow_start_doubles(const struct mg_cc_ops *ops)
{
	struct ccd d;

	ccd_new(&d, ops, 20000);
	for (int i = 0; i < 5; i++) {
		uint32_t before = d.cc.cwnd;

		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 10);
		assert_in_range(d.cc.cwnd, before * 19 / 10, before * 2);
	}
	assert_int_equal(d.cc.pacing_Bps,
			 (uint64_t)d.cc.cwnd * 2 * 50); /* twice the window per round trip */
}

static void test_common_no_growth_when_not_limited(const struct mg_cc_ops *ops)
{
	struct ccd d;
	uint32_t before;

	ccd_new(&d, ops, 20000);
	before = d.cc.cwnd;
	for (int i = 0; i < 50; i++)
		ccd_round(&d, 0, 4);
	assert_int_equal(d.cc.cwnd, before);
	ccd_loss(&d);
	before = d.cc.cwnd;
	for (int i = 0; i < 50; i++)
		ccd_round(&d, 0, 4);
	assert_int_equal(d.cc.cwnd, before);
	/* and what was not limited does not count afterwards */
	ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 4);
	assert_true(d.cc.cwnd <= before + 2 * CC_MSS);
}

static void test_common_one_reduction_per_flight(const struct mg_cc_ops *ops)
{
	struct ccd d;
	uint32_t once;

	ccd_new(&d, ops, 20000);
	for (int i = 0; i < 6; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 10);
	ccd_sample(&d, MG_SAMPLE_LOSS, CC_MSS);
	once = d.cc.cwnd;
	for (int i = 0; i < 10; i++)
		ccd_sample(&d, i & 1 ? MG_SAMPLE_LOSS : MG_SAMPLE_ECE, CC_MSS);
	assert_int_equal(d.cc.cwnd, once);
	ccd_sample(&d, MG_SAMPLE_RECOVERED, CC_MSS);
	assert_int_equal(d.cc.cwnd, once);
	ccd_sample(&d, MG_SAMPLE_ECE, CC_MSS); /* still the same flight */
	assert_int_equal(d.cc.cwnd, once);
	ccd_round(&d, 0, 3);
	ccd_round(&d, 0, 3);
	ccd_sample(&d, MG_SAMPLE_ECE, CC_MSS); /* a new one */
	assert_true(d.cc.cwnd < once);
}

static void test_common_rto(const struct mg_cc_ops *ops)
{
	struct ccd d;
	uint32_t ssthresh, flight;

	ccd_new(&d, ops, 20000);
	for (int i = 0; i < 4; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 10);
	flight = d.cc.cwnd;
	ccd_sample(&d, MG_SAMPLE_RTO, 0);
	assert_int_equal(d.cc.cwnd, CC_MSS);
	assert_in_range(d.cc.ssthresh, flight / 2 - 1, flight * 7 / 10);
	ssthresh = d.cc.ssthresh;
	for (int i = 0; i < 3; i++)
		ccd_sample(&d, MG_SAMPLE_RTO, 0); /* the same data again: RFC 5681 3.1 */
	assert_int_equal(d.cc.ssthresh, ssthresh);
	while (d.cc.cwnd < ssthresh)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 1);
	assert_int_equal(d.cc.ssthresh, ssthresh);
}

static void test_common_never_below_two(const struct mg_cc_ops *ops)
{
	struct ccd d;

	ccd_new(&d, ops, 20000);
	for (int i = 0; i < 30; i++)
		ccd_loss(&d); /* the driver asserts */
	assert_int_equal(d.cc.cwnd, 2 * CC_MSS);
}

static void test_common_undo(const struct mg_cc_ops *ops)
{
	struct ccd d;
	uint32_t before;

	ccd_new(&d, ops, 20000);
	for (int i = 0; i < 4; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 10);
	before = d.cc.cwnd;
	ccd_sample(&d, MG_SAMPLE_RTO, 0);
	ccd_sample(&d, MG_SAMPLE_UNDO, CC_MSS);
	assert_int_equal(d.cc.cwnd, before);
	assert_int_equal(d.cc.ssthresh, MG_CC_SSTHRESH_INF);
}

static void test_common_idle_restart(const struct mg_cc_ops *ops)
{
	struct ccd d;
	uint32_t before;

	ccd_new(&d, ops, 20000);
	for (int i = 0; i < 4; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 10);
	ccd_loss(&d);
	before = d.cc.cwnd;
	d.now_ns += 100 * MG_NS_PER_S;
	ccd_sample(&d, MG_SAMPLE_IDLE, 0);
	assert_int_equal(d.cc.cwnd, 10 * CC_MSS);
	assert_true(d.cc.ssthresh >= before / 2);
	ccd_sample(&d, MG_SAMPLE_IDLE, 0);
	assert_int_equal(d.cc.cwnd, 10 * CC_MSS);
	/* acknowledged before the pause, told with it */
	ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 10);
	ccd_sample(&d, MG_SAMPLE_IDLE | MG_SAMPLE_CWND_LIMITED, 10 * CC_MSS);
	assert_int_equal(d.cc.cwnd, 10 * CC_MSS);
}

static void test_common_switch_keeps_window(const struct mg_cc_ops *ops)
{
	struct ccd d;
	uint32_t cwnd, ssthresh;

	ccd_new(&d, mg_cc_all[0], 20000);
	ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 10);
	ccd_loss(&d);
	cwnd = d.cc.cwnd;
	ssthresh = d.cc.ssthresh;
	mg_cc_switch(&d.cc, ops, d.now_ns);
	assert_int_equal(d.cc.cwnd, cwnd);
	assert_int_equal(d.cc.ssthresh, ssthresh);
	ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 10);
}

static void test_common_driver(void **state)
{
	(void)state;
	for (uint32_t i = 0; mg_cc_all[i] != NULL; i++) {
		assert_ptr_equal(mg_cc_find(mg_cc_all[i]->name), mg_cc_all[i]);
		if (mg_cc_all[i]->on_sample != NULL)
			continue; /* governs itself: cc_link_test.c */
		test_common_slow_start_doubles(mg_cc_all[i]);
		test_common_no_growth_when_not_limited(mg_cc_all[i]);
		test_common_one_reduction_per_flight(mg_cc_all[i]);
		test_common_rto(mg_cc_all[i]);
		test_common_never_below_two(mg_cc_all[i]);
		test_common_undo(mg_cc_all[i]);
		test_common_idle_restart(mg_cc_all[i]);
		test_common_switch_keeps_window(mg_cc_all[i]);
	}
	assert_null(mg_cc_find("vegas"));
	assert_null(mg_cc_find(""));
}

/* ---- Reno (RFC 5681) ---- */

static void test_reno_halves_and_adds_one_per_round(void **state)
{
	struct ccd d;
	uint32_t flight;

	(void)state;
	ccd_new(&d, mg_cc_find("reno"), 20000);
	for (int i = 0; i < 5; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 10);
	flight = d.cc.cwnd;
	ccd_loss(&d);
	assert_int_equal(d.cc.cwnd, flight / 2);
	for (int i = 0; i < 20; i++) {
		uint32_t before = d.cc.cwnd;

		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 8);
		assert_true(d.cc.cwnd <= before + CC_MSS);
	}
	assert_in_range(d.cc.cwnd, flight / 2 + 18 * CC_MSS, flight / 2 + 20 * CC_MSS);
	assert_in_range(d.cc.pacing_Bps, (uint64_t)d.cc.cwnd * 60 - 60,
			(uint64_t)d.cc.cwnd * 60); /* 1.2 per 20 ms */
}

/* ---- CUBIC (RFC 9438) ---- */

static void to_window(struct ccd *d, uint32_t segments)
{
	while (d->cc.cwnd < segments * CC_MSS)
		ccd_round(d, MG_SAMPLE_CWND_LIMITED, 16);
	d->cc.cwnd = segments * CC_MSS;
}

static void test_cubic_curve(void **state)
{
	struct ccd d;
	uint64_t start_ns;
	uint32_t w_max = 1000 * CC_MSS;

	(void)state;
	ccd_new(&d, mg_cc_find("cubic"), 100000); /* 100 ms: far from the Reno-friendly region */
	to_window(&d, 1000);
	ccd_loss(&d);
	assert_in_range(d.cc.cwnd, w_max / 10 * 7 - CC_MSS,
			w_max / 10 * 7 + CC_MSS); /* beta = 0.7 */
	start_ns = d.now_ns;
	/* K = cbrt(1000 * 0.3 / 0.4) = 9.086 s: the plateau */
	while (d.now_ns < start_ns + 9086 * MG_NS_PER_MS) {
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
		assert_true(d.cc.cwnd <= w_max + w_max / 100);
	}
	assert_in_range(d.cc.cwnd, w_max - w_max / 50, w_max + w_max / 100);
	/* 5 s later: W_max + 0.4 * 5^3 = + 50 segments */
	while (d.now_ns < start_ns + 14086 * MG_NS_PER_MS)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	assert_in_range(d.cc.cwnd, w_max + 44 * CC_MSS, w_max + 56 * CC_MSS);
}

/* W_cubic(t) = 0.4 (t - K)^3 + W_max, computed in doubles, over three epochs' length. */
static double w_cubic_segments(double w_max, double t)
{
	double k = cbrt(w_max * 0.3 / 0.4);

	return 0.4 * (t - k) * (t - k) * (t - k) + w_max;
}

static void test_cubic_against_doubles(void **state)
{
	static const uint32_t windows[] = { 200, 1000, 10000, 100000 };

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		double w_max = windows[i], k = cbrt(w_max * 0.3 / 0.4);
		struct ccd d;
		uint64_t start_ns;

		ccd_new(&d, mg_cc_find("cubic"), 200000);
		to_window(&d, windows[i]);
		ccd_loss(&d);
		ccd_sample(&d, MG_SAMPLE_CWND_LIMITED, CC_MSS); /* the epoch begins */
		start_ns = d.now_ns;
		while (d.now_ns < start_ns + (uint64_t)(k * 2e9)) {
			double t, low, high;

			ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 32);
			t = (double)(d.now_ns - start_ns) / 1e9;
			low = w_cubic_segments(w_max, t - 0.2) * 0.995 - 1;
			high = w_cubic_segments(w_max, t + 0.2) * 1.005 + 1;
			assert_true((double)d.cc.cwnd / CC_MSS >= low);
			assert_true((double)d.cc.cwnd / CC_MSS <= high);
		}
	}
}

/* RFC 9438 4.8: after a time-out avoidance begins at a plateau of its own, with K = 0. */
static void test_cubic_after_a_timeout(void **state)
{
	struct ccd d;
	uint32_t begin;

	(void)state;
	ccd_new(&d, mg_cc_find("cubic"), 100000);
	to_window(&d, 1000);
	ccd_sample(&d, MG_SAMPLE_RTO, 0);
	assert_in_range(d.cc.ssthresh, 699 * CC_MSS, 701 * CC_MSS);
	while (d.cc.cwnd < d.cc.ssthresh)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	begin = d.cc.cwnd;
	for (int i = 0; i < 50; i++) /* 5 s: 0.4 x 5^3 = 50 segments, not back to 1000 */
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	assert_in_range(d.cc.cwnd, begin + 30 * CC_MSS, begin + 70 * CC_MSS);
}

/* RFC 9438 4.9: an undone reduction leaves no trace: window, plateau and clock are as before. */
static void test_cubic_undo_leaves_no_trace(void **state)
{
	struct ccd d, twin;

	(void)state;
	ccd_new(&d, mg_cc_find("cubic"), 100000);
	to_window(&d, 1000);
	ccd_loss(&d);
	for (int i = 0; i < 30; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	twin = d;
	ccd_sample(&d, MG_SAMPLE_LOSS, 0);
	assert_true(d.cc.cwnd < twin.cc.cwnd);
	ccd_sample(&d, MG_SAMPLE_UNDO, 0);
	assert_int_equal(d.cc.cwnd, twin.cc.cwnd);
	for (int i = 0; i < 100; i++) {
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
		ccd_round(&twin, MG_SAMPLE_CWND_LIMITED, 16);
		assert_in_range(d.cc.cwnd, twin.cc.cwnd - CC_MSS, twin.cc.cwnd + CC_MSS);
	}
}

static void test_cubic_half_way(void **state)
{
	struct ccd d;
	uint64_t start_ns;

	(void)state;
	ccd_new(&d, mg_cc_find("cubic"), 100000);
	to_window(&d, 1000);
	ccd_loss(&d);
	start_ns = d.now_ns;
	while (d.now_ns < start_ns + 4543 * MG_NS_PER_MS)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	/* W(K / 2) = 1000 - 0.4 * 4.543^3 = 962.5 segments */
	assert_in_range(d.cc.cwnd, 950 * CC_MSS, 970 * CC_MSS);
}

static void test_cubic_is_friendly_on_short_paths(void **state)
{
	struct ccd d;
	uint32_t before;

	(void)state;
	ccd_new(&d, mg_cc_find("cubic"), 1000); /* 1 ms */
	to_window(&d, 100);
	ccd_loss(&d);
	before = d.cc.cwnd;
	for (int i = 0; i < 40; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 8);
	/* alpha = 9 / 17 segments a round until W_max was reached again */
	assert_in_range(d.cc.cwnd, before + 17 * CC_MSS, before + 25 * CC_MSS);
}

/* RFC 9438 4.6: seven tenths of the flight; of the window, where less than a segment of it was left over. */
static void test_cubic_reduces_what_was_used(void **state)
{
	static const struct {
		uint32_t flight, left; /* bytes; cwnd is 40.5 segments */
	} is[] = { { 40 * CC_MSS, 405 * CC_MSS / 10 * 7 / 10 },
		   { 43 * CC_MSS, 405 * CC_MSS / 10 * 7 / 10 },
		   { 39 * CC_MSS, 39 * CC_MSS * 7 / 10 },
		   { 10 * CC_MSS, 10 * CC_MSS * 7 / 10 } };

	(void)state;
	for (uint32_t i = 0; i < MG_ARRAY_SIZE(is); i++) {
		struct mg_cc cc;
		struct mg_cc_sample s = { .now_ns = MG_NS_PER_S,
					  .flags = MG_SAMPLE_LOSS,
					  .srtt_us = 10000,
					  .delivered_bytes = 1,
					  .prior_inflight_bytes = is[i].flight };

		mg_cc_init(&cc, mg_cc_find("cubic"), CC_MSS, 405 * CC_MSS / 10, 10000, MG_NS_PER_S);
		(void)mg_cc_sample(&cc, &s);
		assert_int_equal(cc.cwnd, is[i].left);
	}
}

static void test_cubic_fast_convergence(void **state)
{
	struct ccd d;
	uint32_t second;

	(void)state;
	ccd_new(&d, mg_cc_find("cubic"), 100000);
	to_window(&d, 1000);
	ccd_loss(&d);
	for (int i = 0; i < 5; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	second = d.cc.cwnd;
	assert_true(second < 1000 * CC_MSS);
	ccd_loss(&d); /* below the old plateau: the new one is at 0.85 of this */
	for (int i = 0; i < 85; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	assert_in_range(d.cc.cwnd, second / 100 * 80, second / 100 * 88);
}

static void test_cubic_clock_stops_while_application_limits(void **state)
{
	struct ccd d;
	uint32_t before;

	(void)state;
	ccd_new(&d, mg_cc_find("cubic"), 100000);
	to_window(&d, 1000);
	ccd_loss(&d);
	ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	before = d.cc.cwnd;
	for (int i = 0; i < 500; i++)
		ccd_round(&d, 0, 2);
	ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	assert_true(d.cc.cwnd < before + 40 * CC_MSS); /* not fifty seconds' worth */
}

/* ---- HyStart++ (RFC 9406) ---- */

static void test_hystart_leaves_slow_start_when_rtt_grows(void **state)
{
	struct ccd d;

	(void)state;
	ccd_new(&d, mg_cc_find("cubic"), 40000);
	for (int i = 0; i < 5; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	assert_int_equal(d.cc.ssthresh, MG_CC_SSTHRESH_INF);
	for (int i = 0; i < 12 && d.cc.ssthresh == MG_CC_SSTHRESH_INF; i++) {
		d.rtt_us += 8000;
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	}
	assert_int_not_equal(d.cc.ssthresh, MG_CC_SSTHRESH_INF); /* no loss was needed */
}

static void test_hystart_goes_on_after_a_passing_queue(void **state)
{
	struct ccd d;

	(void)state;
	ccd_new(&d, mg_cc_find("cubic"), 40000);
	for (int i = 0; i < 4; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	d.rtt_us = 60000;
	ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	d.rtt_us = 40000;
	for (int i = 0; i < 6; i++)
		ccd_round(&d, MG_SAMPLE_CWND_LIMITED, 16);
	assert_int_equal(d.cc.ssthresh, MG_CC_SSTHRESH_INF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_common_driver),
		cmocka_unit_test(test_reno_halves_and_adds_one_per_round),
		cmocka_unit_test(test_cubic_curve),
		cmocka_unit_test(test_cubic_against_doubles),
		cmocka_unit_test(test_cubic_after_a_timeout),
		cmocka_unit_test(test_cubic_undo_leaves_no_trace),
		cmocka_unit_test(test_cubic_half_way),
		cmocka_unit_test(test_cubic_is_friendly_on_short_paths),
		cmocka_unit_test(test_cubic_reduces_what_was_used),
		cmocka_unit_test(test_cubic_fast_convergence),
		cmocka_unit_test(test_cubic_clock_stops_while_application_limits),
		cmocka_unit_test(test_hystart_leaves_slow_start_when_rtt_grows),
		cmocka_unit_test(test_hystart_goes_on_after_a_passing_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
