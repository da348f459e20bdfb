/* SPDX-License-Identifier: Apache-2.0 */
/*
 * siphash.h - SipHash-2-4, a keyed hash whose output cannot be guessed without the key.
 *
 * Use:     ISNs (RFC 6528), ephemeral ports (RFC 6056), SYN cookies, timestamp offsets. The key is random,
 *          drawn once per start, and never leaves the process.
 * Threads: pure function.
 */
#ifndef MG_SIPHASH_H
#define MG_SIPHASH_H
#include <stddef.h>
#include <stdint.h>

struct mg_siphash_key {
	uint64_t k0;
	uint64_t k1;
};

uint64_t mg_siphash24(const struct mg_siphash_key *key, const void *data, size_t len);
#endif
