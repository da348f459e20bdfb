/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha256.h - SHA-256 (FIPS 180-4), for the examples' checksums.
 *
 * Use:     sha256_init(&h); sha256_add(&h, p, n); ... sha256_end(&h, hex);
 * Threads: one at a time per state.
 */
#ifndef SHA256_H
#define SHA256_H
#include <stddef.h>
#include <stdint.h>

#define SHA256_HEX 65 /* 64 digits and the end */

struct sha256 {
	uint32_t h[8];
	uint64_t bytes;
	uint8_t block[64];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
void sha256_end(struct sha256 *s, char ret_hex[SHA256_HEX]);
#endif
