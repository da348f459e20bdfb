/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isn.h - numbers that nobody outside may guess: initial sequence numbers, timestamp offsets, cookies' hashes.
 *
 * Idea:    ISN = M + F(tuple, key) (RFC 6528): M ticks every 4 us, F is SipHash with a key drawn at start. So
 *          a later connection of the same tuple starts further on, and other tuples tell nothing.
 * Threads: pure functions.
 */
#ifndef MG_ISN_H
#define MG_ISN_H
#include <stdint.h>

#include "proto/base/addr.h"
#include "proto/base/siphash.h"

/* What a hash is for; keeps the uses of one key apart. */
enum mg_isn_use {
	MG_ISN_SEQ = 1,
	MG_ISN_TS_OFFSET = 2,
	MG_ISN_COOKIE = 3,
	MG_ISN_PORT_OFFSET = 4,
	MG_ISN_PORT_INDEX = 5,
};

uint64_t mg_isn_hash(const struct mg_siphash_key *key, enum mg_isn_use use,
		     const struct mg_tuple *tuple, uint64_t salt);
uint32_t mg_isn_make(const struct mg_siphash_key *key, const struct mg_tuple *tuple,
		     uint64_t now_ns);
/* Our TSval is milliseconds plus this (RFC 7323 5.4: not the same for all). */
uint32_t mg_isn_ts_offset(const struct mg_siphash_key *key, const struct mg_tuple *tuple);
#endif
