/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum_test.c - the fast sums against RFC 1071 word by word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/base/endian.h"
#include "proto/base/rng.h"
#include "proto/wire/checksum.h"

#define BYTES 4096

/* RFC 1071 4.1, without any cleverness; not complemented, host order. */
static uint16_t naive(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t fold_be(uint64_t sum)
{
	uint16_t v = mg_csum_fold(sum);

	return mg_load_be16(&v);
}

static void fill(struct mg_rng *rng, uint8_t *p, uint32_t len)
{
	/* Now and then only 0xff: the carries. */
	bool ones = mg_rng_below(rng, 8) == 0;

	for (uint32_t i = 0; i < len; i++)
		p[i] = ones ? 0xff : (uint8_t)mg_rng_u32(rng);
}

static void rfc1071_example(void **state)
{
	static const uint8_t data[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	(void)state;
	assert_int_equal(fold_be(mg_csum_add(0, data, sizeof(data))), 0xddf2);
}

static void add_equals_naive(void **state)
{
	static uint8_t buf[BYTES + 8];
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 1);
	for (int i = 0; i < 20000; i++) {
		uint32_t off = mg_rng_below(&rng, 8);
		uint32_t len = i < 2000 ? (uint32_t)i % 200 : mg_rng_below(&rng, 600);

		fill(&rng, buf + off, len);
		assert_int_equal(fold_be(mg_csum_add(0, buf + off, len)), naive(buf + off, len));
	}
}

static void copy_copies_and_sums(void **state)
{
	static uint8_t src[BYTES + 8], dst[BYTES + 16];
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 2);
	for (int i = 0; i < 20000; i++) {
		uint32_t soff = mg_rng_below(&rng, 8), doff = mg_rng_below(&rng, 8);
		uint32_t len = i < 2000 ? (uint32_t)i % 200 : mg_rng_below(&rng, 600);

		fill(&rng, src + soff, len);
		memset(dst, 0xaa, doff + len + 8);
		uint64_t sum = mg_csum_copy(5, dst + doff, src + soff, len);

		assert_memory_equal(dst + doff, src + soff, len);
		assert_int_equal(dst[doff + len], 0xaa);
		assert_int_equal(mg_csum_fold(sum), mg_csum_fold(mg_csum_add(5, src + soff, len)));
	}
}

static void parts_combine_at_any_offset(void **state)
{
	static uint8_t buf[BYTES];
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 3);
	for (int i = 0; i < 5000; i++) {
		uint32_t len = 1 + mg_rng_below(&rng, 500);
		uint64_t sum = 0;

		fill(&rng, buf, len);
		for (uint32_t off = 0, n; off < len; off += n) {
			n = 1 + mg_rng_below(&rng, len - off);
			sum = mg_csum_combine(sum, mg_csum_add(0, buf + off, n), off);
		}
		assert_int_equal(fold_be(sum), naive(buf, len));
	}
}

static void stored_checksum_verifies(void **state)
{
	static uint8_t buf[BYTES];
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 4);
	for (int i = 0; i < 5000; i++) {
		uint32_t len = 20 + mg_rng_below(&rng, 500);
		uint32_t flip = mg_rng_below(&rng, len);

		fill(&rng, buf, len);
		memset(buf + 10, 0, 2);
		mg_csum_store(buf + 10, mg_csum_add(0, buf, len));
		assert_true(mg_csum_is_ok(mg_csum_add(0, buf, len)));
		buf[flip] ^= (uint8_t)(1u << mg_rng_below(&rng, 8));
		assert_false(mg_csum_is_ok(mg_csum_add(0, buf, len)));
	}
}

static void update_equals_recompute(void **state)
{
	uint8_t buf[40];
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 5);
	for (int i = 0; i < 20000; i++) {
		uint16_t old_be, new_be = (uint16_t)mg_rng_u32(&rng);

		fill(&rng, buf, sizeof(buf));
		memset(buf + 10, 0, 2);
		mg_csum_store(buf + 10, mg_csum_add(0, buf, sizeof(buf)));
		old_be = mg_load_u16(buf + 8);
		memcpy(buf + 8, &new_be, 2);
		mg_csum_update16(buf + 10, old_be, new_be);
		assert_true(mg_csum_is_ok(mg_csum_add(0, buf, sizeof(buf))));
	}
}

static void pseudo_headers(void **state)
{
	/* RFC 9293 3.1 figure 2: source, destination, zero and protocol, length. */
	static const uint8_t v4[] = { 10, 0, 0, 1, 192, 168, 255, 254, 0, 6, 0x12, 0x34 };
	struct mg_addr src = mg_addr_v4(0x0a000001), dst = mg_addr_v4(0xc0a8fffe);
	uint8_t v6[40] = { 0 };

	(void)state;
	assert_int_equal(fold_be(mg_csum_pseudo(&src, &dst, 6, 0x1234)), naive(v4, sizeof(v4)));
	/* RFC 8200 8.1: addresses, 32-bit length, zeros and next header. */
	for (uint8_t i = 0; i < 32; i++)
		v6[i] = (uint8_t)(0xc0 + i);
	memcpy(src.b, v6, 16);
	memcpy(dst.b, v6 + 16, 16);
	mg_store_be32(v6 + 32, 0x12345);
	v6[39] = 58;
	assert_int_equal(fold_be(mg_csum_pseudo(&src, &dst, 58, 0x12345)), naive(v6, sizeof(v6)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc1071_example),
		cmocka_unit_test(add_equals_naive),
		cmocka_unit_test(copy_copies_and_sums),
		cmocka_unit_test(parts_combine_at_any_offset),
		cmocka_unit_test(stored_checksum_verifies),
		cmocka_unit_test(update_equals_recompute),
		cmocka_unit_test(pseudo_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
