/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spsc.h - a single-producer single-consumer ring of fixed-size entries in memory that is shared with a
 *          process we do not trust.
 *
 * Idea:    the shared part holds the two indices (free-running, 32 bit, one cache line each) and the
 *          slots. Everything a side depends on - geometry, its own index, the last seen index of the
 *          peer - is in its private handle; of the shared part only the peer's index and slot contents
 *          are ever read, and an index that cannot be is answered with -EBADMSG: detach that peer.
 *          Entries are copied out before they are looked at; contents are the caller's to check.
 * Use:     mg_spsc_init_shared() once by whoever creates the memory; then one attach on each side.
 * Threads: one producer, one consumer, in any processes.
 * Memory:  the caller's, mg_spsc_bytes() bytes aligned to 64. No pointers inside.
 */
#ifndef MG_SPSC_H
#define MG_SPSC_H
#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bits.h"

/* The shared part; the slots follow. Changing it changes the shared-memory ABI. */
struct mg_spsc_shared {
	/* Written by the producer after each push: entries ever pushed. */
	alignas(MG_CACHE_LINE) _Atomic uint32_t tail;
	uint8_t pad0[MG_CACHE_LINE - sizeof(uint32_t)];
	/* Written by the consumer after each pop: entries ever popped. */
	alignas(MG_CACHE_LINE) _Atomic uint32_t head;
	uint8_t pad1[MG_CACHE_LINE - sizeof(uint32_t)];
};
static_assert(sizeof(struct mg_spsc_shared) == 2 * MG_CACHE_LINE, "shared-memory ABI");
static_assert(offsetof(struct mg_spsc_shared, head) == MG_CACHE_LINE, "shared-memory ABI");
static_assert(ATOMIC_INT_LOCK_FREE == 2, "a lock in shared memory could be held by the dead");

/* The private handle of one side. */
struct mg_spsc {
	struct mg_spsc_shared *shared;
	uint8_t *slots;
	uint32_t mask;
	uint32_t stride;
	uint32_t own;  /* our index: tail on the producer's side, head on the consumer's */
	uint32_t peer; /* the other one, last seen */
};

static inline size_t mg_spsc_bytes(uint32_t count, uint32_t stride)
{
	return sizeof(struct mg_spsc_shared) + (size_t)count * stride;
}

/* Zeroes the indices and the slots. count: power of two up to 2^31; stride: bytes per entry, > 0. */
void mg_spsc_init_shared(void *mem, uint32_t count, uint32_t stride);
/*
 * own: 0 for a new ring; our own index, remembered privately, when a side continues an existing one.
 * Geometry comes from the caller's own knowledge, never from the shared memory.
 */
void mg_spsc_attach_producer(struct mg_spsc *h, void *mem, uint32_t count, uint32_t stride,
			     uint32_t own);
void mg_spsc_attach_consumer(struct mg_spsc *h, void *mem, uint32_t count, uint32_t stride,
			     uint32_t own);
/* 0; -ENOSPC: full; -EBADMSG: the consumer's index is impossible. */
int mg_spsc_push(struct mg_spsc *h, const void *entry);
/* 1 and a copy of the entry; 0: empty; -EBADMSG: the producer's index is impossible. */
int mg_spsc_pop(struct mg_spsc *h, void *ret_entry);

/* Consumer's side: nothing to pop? A broken index counts as not empty, so that pop reports it. */
static inline bool mg_spsc_is_empty(const struct mg_spsc *h)
{
	/* acquire: pairs with the release in mg_spsc_push() */
	return h->own == atomic_load_explicit(&h->shared->tail, memory_order_acquire);
}

/* Producer's side: entries that the consumer has not taken yet? */
static inline bool mg_spsc_has_unread(const struct mg_spsc *h)
{
	/* relaxed: only a hint */
	return h->own != atomic_load_explicit(&h->shared->head, memory_order_relaxed);
}

/* Producer's side: room for another entry? For sleeping producers; a broken index counts as room. */
static inline bool mg_spsc_is_full(const struct mg_spsc *h)
{
	/* acquire: pairs with the release in mg_spsc_pop() */
	return h->own - atomic_load_explicit(&h->shared->head, memory_order_acquire) == h->mask + 1;
}
#endif
