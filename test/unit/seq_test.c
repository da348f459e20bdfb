/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seq_test.c - sequence numbers around the wrap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/base/bits.h"
#include "proto/base/seq.h"

static void orders_across_the_wrap(void **state)
{
	static const struct {
		uint32_t a, b;
		bool lt;
	} rows[] = {
		{ 0, 1, true },
		{ 1, 0, false },
		{ 5, 5, false },
		{ 0xffffffff, 0, true },
		{ 0, 0xffffffff, false },
		{ 0xfffffff0, 0x10, true },
		{ 0x7fffffff, 0x80000000, true },
		{ 0, 0x7fffffff, true },
		{ 0x80000001, 0, true },
		{ 1, 0x80000002, false },
	};

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(rows); i++) {
		uint32_t a = rows[i].a, b = rows[i].b;

		if (a - b == 0x80000000u) /* each is before the other */
			continue;
		assert_int_equal(mg_seq_lt(a, b), rows[i].lt);
		assert_int_equal(mg_seq_geq(a, b), !rows[i].lt);
		assert_int_equal(mg_seq_gt(b, a), rows[i].lt);
		assert_int_equal(mg_seq_leq(b, a), !rows[i].lt);
	}
}

static void diff_is_signed(void **state)
{
	(void)state;
	assert_int_equal(mg_seq_diff(0, 0xffffffff), 1);
	assert_int_equal(mg_seq_diff(0xffffffff, 0), -1);
	assert_int_equal(mg_seq_diff(100, 100), 0);
}

static void between_is_half_open(void **state)
{
	(void)state;
	assert_true(mg_seq_between(5, 5, 6));
	assert_false(mg_seq_between(6, 5, 6));
	assert_false(mg_seq_between(5, 5, 5));
	assert_true(mg_seq_between(1, 0xfffffff0, 2));
	assert_true(mg_seq_between(0xfffffff0, 0xfffffff0, 2));
	assert_false(mg_seq_between(2, 0xfffffff0, 2));
	assert_false(mg_seq_between(0xffffffef, 0xfffffff0, 2));
}

static void max_and_min(void **state)
{
	(void)state;
	assert_int_equal(mg_seq_max(0xffffffff, 1), 1);
	assert_int_equal(mg_seq_min(0xffffffff, 1), 0xffffffff);
	assert_int_equal(mg_seq_max(7, 7), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_across_the_wrap),
		cmocka_unit_test(diff_is_signed),
		cmocka_unit_test(between_is_half_open),
		cmocka_unit_test(max_and_min),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
