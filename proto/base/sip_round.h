/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sip_round.h - the permutation inside SipHash, for siphash.c (2-4) and the tuple hash of addr.c (1-3).
 *
 * Threads: plain values.
 */
#ifndef MG_SIP_ROUND_H
#define MG_SIP_ROUND_H
#include <stdint.h>

struct mg_sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t mg_sip_rotl(uint64_t v, int by)
{
	return v << by | v >> (64 - by);
}

static inline struct mg_sip mg_sip_start(uint64_t k0, uint64_t k1)
{
	return (struct mg_sip){ .v0 = k0 ^ 0x736f6d6570736575ull,
				.v1 = k1 ^ 0x646f72616e646f6dull,
				.v2 = k0 ^ 0x6c7967656e657261ull,
				.v3 = k1 ^ 0x7465646279746573ull };
}

static inline void mg_sip_round(struct mg_sip *s)
{
	s->v0 += s->v1;
	s->v1 = mg_sip_rotl(s->v1, 13) ^ s->v0;
	s->v0 = mg_sip_rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = mg_sip_rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = mg_sip_rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = mg_sip_rotl(s->v1, 17) ^ s->v2;
	s->v2 = mg_sip_rotl(s->v2, 32);
}

static inline void mg_sip_word(struct mg_sip *s, uint64_t word, int rounds)
{
	s->v3 ^= word;
	for (int i = 0; i < rounds; i++)
		mg_sip_round(s);
	s->v0 ^= word;
}

static inline uint64_t mg_sip_end(struct mg_sip *s, int rounds)
{
	s->v2 ^= 0xff;
	for (int i = 0; i < rounds; i++)
		mg_sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}
#endif
