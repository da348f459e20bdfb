/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash_test.c - SipHash against its published vectors; the generator against itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/base/bits.h"
#include "proto/base/rng.h"
#include "proto/base/siphash.h"

/* Key 00..0f, data 00 01 02 ..: the first and some further vectors of the reference implementation. */
static void siphash_vectors(void **state)
{
	static const struct {
		size_t len;
		uint64_t want;
	} rows[] = {
		{ 0, 0x726fdb47dd0e0e31ull },  { 1, 0x74f839c593dc67fdull },
		{ 2, 0x0d6c8009d9a94f5aull },  { 3, 0x85676696d7fb7e2dull },
		{ 7, 0xab0200f58b01d137ull },  { 8, 0x93f5f5799a932462ull },
		{ 15, 0xa129ca6149be45e5ull },
	};
	const struct mg_siphash_key key = { .k0 = 0x0706050403020100ull,
					    .k1 = 0x0f0e0d0c0b0a0908ull };
	uint8_t data[16];

	(void)state;
	for (uint8_t i = 0; i < sizeof(data); i++)
		data[i] = i;
	for (size_t i = 0; i < MG_ARRAY_SIZE(rows); i++)
		assert_true(mg_siphash24(&key, data, rows[i].len) == rows[i].want);
}

static void rng_repeats_and_spreads(void **state)
{
	struct mg_rng a, b, c;
	uint32_t buckets[10] = { 0 };
	int same = 0;

	(void)state;
	mg_rng_init(&a, 42);
	mg_rng_init(&b, 42);
	mg_rng_init(&c, 43);
	for (int i = 0; i < 1000; i++) {
		uint64_t v = mg_rng_u64(&a);

		assert_true(v == mg_rng_u64(&b));
		same += v == mg_rng_u64(&c);
	}
	assert_int_equal(same, 0);
	for (int i = 0; i < 100000; i++)
		buckets[mg_rng_below(&a, 10)]++;
	for (size_t i = 0; i < 10; i++)
		assert_in_range(buckets[i], 9500, 10500);
	assert_int_equal(mg_rng_below(&a, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_vectors),
		cmocka_unit_test(rng_repeats_and_spreads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
