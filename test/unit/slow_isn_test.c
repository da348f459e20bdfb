/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_isn_test.c - initial sequence numbers (RFC 6528), timestamp offsets, SYN cookies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/time.h"
#include "slowpath/core/cookie.h"
#include "slowpath/core/isn.h"

static const struct mg_siphash_key key = { 1, 2 }, other_key = { 1, 3 };

static struct mg_tuple tuple_of(uint16_t rport)
{
	struct mg_tuple t = {
		.laddr = mg_addr_v4(1), .raddr = mg_addr_v4(2), .lport = 80, .rport = rport
	};

	return t;
}

/* MUST-8: about 250,000 a second on one tuple */
static void test_slope(void **state)
{
	struct mg_tuple t = tuple_of(1);
	uint32_t first = mg_isn_make(&key, &t, 0);

	(void)state;
	for (uint64_t s = 1; s < 20000; s += 997)
		assert_int_equal(mg_isn_make(&key, &t, s * MG_NS_PER_S) - first,
				 (uint32_t)(s * 250000));
}

/* MUST-9: tuples tell nothing about each other; nor does the life before the restart */
static void test_unrelated(void **state)
{
	uint32_t bits = 0;
	struct mg_tuple a = tuple_of(1);

	(void)state;
	for (uint16_t p = 1; p <= 1000; p++) {
		struct mg_tuple t = tuple_of(p), u = tuple_of((uint16_t)(p + 1));

		bits += (uint32_t)__builtin_popcount(mg_isn_make(&key, &t, 5) ^
						     mg_isn_make(&key, &u, 5));
	}
	assert_in_range(bits, 15000, 17000); /* 16 of 32 differ on average */
	assert_int_not_equal(mg_isn_make(&key, &a, 5), mg_isn_make(&other_key, &a, 5));
	assert_int_not_equal(mg_isn_ts_offset(&key, &a),
			     (uint32_t)mg_isn_hash(&key, MG_ISN_SEQ, &a, 0));
}

static void test_cookie_keeps_mss(void **state)
{
	static const struct {
		uint16_t mss, kept;
	} cases[] = {
		{ 216, 216 },   { 535, 216 },   { 536, 536 },    { 1459, 1440 },
		{ 1460, 1460 }, { 8960, 8960 }, { 65535, 8960 },
	};
	struct mg_tuple t = tuple_of(1), u = tuple_of(2);
	uint64_t now_ns = 10000 * MG_NS_PER_S;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t iss = mg_cookie_make(&key, &t, 77, cases[i].mss, now_ns);
		uint16_t mss = 0;

		assert_true(mg_cookie_check(&key, &t, 77, iss, now_ns, &mss));
		assert_int_equal(mss, cases[i].kept);
		assert_true(mg_cookie_check(&key, &t, 77, iss, now_ns + 64 * MG_NS_PER_S, &mss));
		assert_false(mg_cookie_check(&key, &t, 77, iss, now_ns + 128 * MG_NS_PER_S, &mss));
		assert_false(mg_cookie_check(&key, &t, 78, iss, now_ns, &mss));
		assert_false(mg_cookie_check(&key, &u, 77, iss, now_ns, &mss));
		assert_false(mg_cookie_check(&other_key, &t, 77, iss, now_ns, &mss));
		assert_false(mg_cookie_check(&key, &t, 77, iss ^ 1u << 24, now_ns, &mss));
	}
}

static void test_cookie_keeps_options(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 128; i++) {
		struct mg_cookie in = { .has_ws = i & 1, .has_sack = i & 2, .has_ecn = i & 4 },
				 out = { 0 };
		uint32_t now = 0xffffffc0u + i;
		uint32_t ts;

		in.ws = in.has_ws ? (uint8_t)(i % 15) : 0;
		ts = mg_cookie_tsval(now, &in);
		assert_true((int32_t)(now - ts) >= 0 &&
			    now - ts < 128); /* never ahead, never far behind */
		mg_cookie_options(ts, &out);
		assert_int_equal(out.has_ws, in.has_ws);
		if (in.has_ws)
			assert_int_equal(out.ws, in.ws);
		assert_int_equal(out.has_sack, in.has_sack);
		assert_int_equal(out.has_ecn, in.has_ecn);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slope),
		cmocka_unit_test(test_unrelated),
		cmocka_unit_test(test_cookie_keeps_mss),
		cmocka_unit_test(test_cookie_keeps_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
