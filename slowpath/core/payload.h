/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload.h - hands out the payload section of one app region as power-of-two rings: a buddy allocator.
 *
 * Idea:    the section is cut into units of 4 KiB. A block of order o is 2^o units, aligned to its size; free
 *          blocks of an order form a list through arrays indexed by unit; a block's buddy is its unit xor
 *          2^o. Lowest addresses are not preferred: the list is LIFO, so memory that is warm stays in use.
 *          Sections whose size is no power of two are seeded with the largest aligned blocks that fit.
 *          All book-keeping is here, in private memory; nothing is read from the region.
 * Threads: the slow path.
 * Memory:  mg_payload_bytes(max) from the caller, once; init clears one byte per unit.
 */
#ifndef MG_PAYLOAD_H
#define MG_PAYLOAD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MG_PAYLOAD_UNIT_BYTES 4096u
#define MG_PAYLOAD_ORDERS 19 /* rings of 4 KiB .. 1 GiB */

struct mg_payload {
	uint32_t *next; /* [unit] of free block heads */
	uint32_t *prev;
	uint8_t *head; /* [unit] 0: not a block's first unit; else order + 1, | FREE */
	uint32_t nr_units;
	uint32_t nr_free_units;
	uint32_t free[MG_PAYLOAD_ORDERS]; /* first free block */
};

size_t mg_payload_bytes(uint64_t section_bytes_max);
/* mem is aligned to 8; section_bytes may be less than what mem was sized for (section_bytes_max). */
void mg_payload_init(struct mg_payload *p, void *mem, uint64_t section_bytes_max,
		     uint64_t section_bytes);
/* bytes: a power of two of at least one unit. *ret_off counts from the section's start. 0 or -ENOSPC. */
int mg_payload_alloc(struct mg_payload *p, uint32_t bytes, uint64_t *ret_off);
/* Exactly what was handed out (asserted). */
void mg_payload_free(struct mg_payload *p, uint64_t off, uint32_t bytes);
bool mg_payload_is_whole(const struct mg_payload *p);
#endif
