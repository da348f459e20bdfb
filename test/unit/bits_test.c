/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bits_test.c - integer helpers, byte order, time units.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/base/time.h"

static void powers_of_two(void **state)
{
	(void)state;
	assert_false(mg_is_pow2(0));
	assert_true(mg_is_pow2(1));
	assert_true(mg_is_pow2(1ull << 63));
	assert_false(mg_is_pow2(3));
	assert_int_equal(mg_log2_u32(1), 0);
	assert_int_equal(mg_log2_u32(0xffffffff), 31);
	assert_int_equal(mg_log2_u64(1ull << 40), 40);
	assert_int_equal(mg_pow2_up_u32(0), 1);
	assert_int_equal(mg_pow2_up_u32(5), 8);
	assert_int_equal(mg_pow2_up_u32(8), 8);
	assert_int_equal(mg_pow2_up_u64((1ull << 33) + 1), 1ull << 34);
	assert_int_equal(mg_align_up(0, 64), 0);
	assert_int_equal(mg_align_up(65, 64), 128);
	assert_int_equal(mg_align_down(127, 64), 64);
	assert_int_equal(mg_div_up_u32(9, 4), 3);
}

static void saturates(void **state)
{
	(void)state;
	assert_int_equal(mg_sub_sat_u32(3, 5), 0);
	assert_int_equal(mg_sub_sat_u64(5, 3), 2);
	assert_true(mg_add_sat_u64(UINT64_MAX, 1) == UINT64_MAX);
	assert_int_equal(mg_clamp_u32(7, 1, 5), 5);
	assert_int_equal(mg_clamp_u64(0, 1, 5), 1);
	assert_true(mg_time_after(5, MG_TIME_NEVER) == MG_TIME_NEVER);
	assert_int_equal(mg_time_after(5, mg_us_to_ns(2)), 2005);
}

static void byte_order_at_any_alignment(void **state)
{
	uint8_t b[16];

	(void)state;
	for (size_t off = 0; off < 8; off++) {
		mg_store_be16(b + off, 0x0102);
		assert_int_equal(b[off], 1);
		assert_int_equal(mg_load_be16(b + off), 0x0102);
		mg_store_be32(b + off, 0x01020304);
		assert_int_equal(b[off + 3], 4);
		assert_int_equal(mg_load_be32(b + off), 0x01020304);
		mg_store_be64(b + off, 0x0102030405060708ull);
		assert_int_equal(b[off + 7], 8);
		assert_true(mg_load_be64(b + off) == 0x0102030405060708ull);
		assert_true(mg_load_le64(b + off) == 0x0807060504030201ull);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(powers_of_two),
		cmocka_unit_test(saturates),
		cmocka_unit_test(byte_order_at_any_alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
