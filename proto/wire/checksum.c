/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum.c - one's complement sums, eight bytes at a time.
 *
 * Four accumulators let the additions with carry of one round run beside each other: 1448 bytes in 30 ns
 * on the machine this was written on. Copying word by word in the same loop took 51 ns there, memcpy() and
 * then the sum 40 ns, because memcpy() uses the widest registers there are; so mg_csum_copy() is that, in
 * blocks that stay in the first-level cache.
 */
#include "proto/wire/checksum.h"

#include "proto/base/endian.h"

#define COPY_BLOCK 4096u
static_assert(COPY_BLOCK % 2 == 0, "each block starts at an even offset of the whole");

/* The last 0..7 bytes; an odd one counts as if a zero followed. */
static uint64_t add_tail(uint64_t sum, const uint8_t *p, uint32_t len)
{
	uint64_t word = 0;

	memcpy(&word, p, len);
	return mg_csum_sum(sum, word);
}

uint64_t mg_csum_add(uint64_t sum, const void *data, uint32_t len)
{
	const uint8_t *p = data;
	uint64_t a = 0, b = 0, c = 0;

	for (; len >= 32; len -= 32, p += 32) {
		sum = mg_csum_sum(sum, mg_load_u64(p));
		a = mg_csum_sum(a, mg_load_u64(p + 8));
		b = mg_csum_sum(b, mg_load_u64(p + 16));
		c = mg_csum_sum(c, mg_load_u64(p + 24));
	}
	for (; len >= 8; len -= 8, p += 8)
		sum = mg_csum_sum(sum, mg_load_u64(p));
	sum = mg_csum_sum(sum, mg_csum_sum(a, mg_csum_sum(b, c)));
	return len > 0 ? add_tail(sum, p, len) : sum;
}

uint64_t mg_csum_copy(uint64_t sum, void *dst, const void *src, uint32_t len)
{
	const uint8_t *from = src;
	uint8_t *to = dst;

	for (; len > COPY_BLOCK; len -= COPY_BLOCK, from += COPY_BLOCK, to += COPY_BLOCK) {
		memcpy(to, from, COPY_BLOCK);
		sum = mg_csum_add(sum, to, COPY_BLOCK);
	}
	memcpy(to, from, len);
	return mg_csum_add(sum, to, len);
}

uint64_t mg_csum_pseudo(const struct mg_addr *src, const struct mg_addr *dst, uint8_t proto,
			uint32_t l4_len)
{
	/* As 32-bit words: the 16-bit ones they consist of add up to the same. */
	uint64_t sum = (uint64_t)mg_be32((uint32_t)proto) + mg_be32(l4_len);

	if (mg_addr_is_v4(src))
		return sum + mg_load_u32(src->b + 12) + mg_load_u32(dst->b + 12);
	for (uint32_t i = 0; i < sizeof(src->b); i += 4)
		sum += (uint64_t)mg_load_u32(src->b + i) + mg_load_u32(dst->b + i);
	return sum;
}

void mg_csum_update16(void *field, uint16_t old_be, uint16_t new_be)
{
	/* HC' = ~(~HC + ~m + m') */
	uint64_t sum = (uint16_t)~mg_load_u16(field);

	sum += (uint16_t)~old_be;
	sum += new_be;
	mg_csum_store(field, sum);
}
