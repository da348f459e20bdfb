/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seq.h - arithmetic on TCP sequence numbers, modulo 2^32 (RFC 9293 3.4).
 *
 * Idea:    a comparison is the sign of the 32-bit difference, so it holds while two numbers are less than
 *          2^31 apart; at exactly 2^31 each is "before" the other.
 * Threads: plain values.
 */
#ifndef MG_SEQ_H
#define MG_SEQ_H
#include <stdbool.h>
#include <stdint.h>

/* a - b as a signed distance. */
static inline int32_t mg_seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static inline bool mg_seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool mg_seq_leq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool mg_seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool mg_seq_geq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

/* lo <= s < hi on the circle; exact for any lo, hi (an empty range holds nothing). */
static inline bool mg_seq_between(uint32_t s, uint32_t lo, uint32_t hi)
{
	return s - lo < hi - lo;
}

static inline uint32_t mg_seq_max(uint32_t a, uint32_t b)
{
	return mg_seq_gt(a, b) ? a : b;
}

static inline uint32_t mg_seq_min(uint32_t a, uint32_t b)
{
	return mg_seq_lt(a, b) ? a : b;
}
#endif
