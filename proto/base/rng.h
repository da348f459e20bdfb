/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.h - a seeded pseudo-random generator (xoshiro256**): same seed, same numbers, on every machine.
 *
 * Idea:    for simulators, jitter and ephemeral port picks. Its output is predictable from a few numbers;
 *          what an attacker must not guess (ISNs, cookies, tokens) comes from siphash.h with a secret key.
 * Threads: one at a time per generator.
 */
#ifndef MG_RNG_H
#define MG_RNG_H
#include <stdint.h>

struct mg_rng {
	uint64_t s[4];
};

void mg_rng_init(struct mg_rng *rng, uint64_t seed);
uint64_t mg_rng_u64(struct mg_rng *rng);
uint32_t mg_rng_u32(struct mg_rng *rng);
/* Uniform in 0 .. bound-1; bound must not be 0. */
uint32_t mg_rng_below(struct mg_rng *rng, uint32_t bound);
#endif
