/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum.h - the Internet checksum (RFC 1071), fast, in parts.
 *
 * Idea:    a running sum is a uint64_t over the bytes as they lie in memory (one's complement sums do not
 *          care about byte order until they are stored), folded to 16 bits at the end only. Parts can be
 *          summed in any order; one that starts at an odd offset goes through mg_csum_combine().
 * Use:     sum = mg_csum_pseudo(&src, &dst, 6, len); sum = mg_csum_add(sum, seg, len);
 *          verify: mg_csum_is_ok(sum). emit (field zero while summing): mg_csum_store(field, sum).
 * Threads: pure functions.
 */
#ifndef MG_CHECKSUM_H
#define MG_CHECKSUM_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/base/addr.h"

/* a + b with end-around carry. */
static inline uint64_t mg_csum_sum(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

/* To 16 bits, not complemented, as it lies in memory. */
static inline uint16_t mg_csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Over data with its checksum field in place: right? */
static inline bool mg_csum_is_ok(uint64_t sum)
{
	return mg_csum_fold(sum) == 0xffff;
}

/* Writes the complement into a checksum field; any alignment. */
static inline void mg_csum_store(void *field, uint64_t sum)
{
	uint16_t v = (uint16_t)~mg_csum_fold(sum);

	memcpy(field, &v, sizeof(v));
}

/* Writes the sum itself: what offloading hardware wants to find (the pseudo-header's sum). */
static inline void mg_csum_store_raw(void *field, uint64_t sum)
{
	uint16_t v = mg_csum_fold(sum);

	memcpy(field, &v, sizeof(v));
}

/* Adds bytes that start at an even offset of the summed whole. Any alignment in memory, any length. */
uint64_t mg_csum_add(uint64_t sum, const void *data, uint32_t len);
/* Copies and adds while the bytes are in the nearest cache; otherwise as mg_csum_add(). The areas do not overlap. */
uint64_t mg_csum_copy(uint64_t sum, void *dst, const void *src, uint32_t len);

/* sum + part, where part is the sum of bytes that start at offset part_off of the whole. */
static inline uint64_t mg_csum_combine(uint64_t sum, uint64_t part, uint32_t part_off)
{
	if (part_off & 1)
		part = __builtin_bswap16(mg_csum_fold(part));
	return mg_csum_sum(sum, part);
}

/*
 * The pseudo-header of TCP, UDP (RFC 9293 3.1) and ICMPv6 (RFC 8200 8.1). Both addresses are of one
 * family; the mapped form makes the IPv4 one. l4_len 0 gives what hardware wants for TSO.
 */
uint64_t mg_csum_pseudo(const struct mg_addr *src, const struct mg_addr *dst, uint8_t proto,
			uint32_t l4_len);

/* The checksum field at `field` after a 16-bit word of the covered data changed (RFC 1624, eqn. 3). */
void mg_csum_update16(void *field, uint16_t old_be, uint16_t new_be);
#endif
