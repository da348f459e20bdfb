/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.c - xoshiro256** 1.0 by Blackman and Vigna, its state filled by splitmix64 as they advise.
 */
#include "proto/base/rng.h"

#include "proto/base/assert.h"

static uint64_t rotl(uint64_t v, int by)
{
	return v << by | v >> (64 - by);
}

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void mg_rng_init(struct mg_rng *rng, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		rng->s[i] = splitmix64(&seed);
}

uint64_t mg_rng_u64(struct mg_rng *rng)
{
	uint64_t *s = rng->s;
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint32_t mg_rng_u32(struct mg_rng *rng)
{
	return (uint32_t)(mg_rng_u64(rng) >> 32);
}

uint32_t mg_rng_below(struct mg_rng *rng, uint32_t bound)
{
	MG_ASSERT(bound != 0);
	/* Lemire's multiplication; the few numbers that would make it uneven are drawn again. */
	uint32_t uneven = -bound % bound;
	uint64_t m;

	do {
		m = (uint64_t)mg_rng_u32(rng) * bound;
	} while ((uint32_t)m < uneven);
	return (uint32_t)(m >> 32);
}
