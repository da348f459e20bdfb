/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msgring.h - a single-producer single-consumer ring of variable-length messages within one process.
 *
 * Idea:    a byte ring of 16-byte units. A record is a 16-byte header and the message, in one piece: what
 *          does not fit before the end of the ring starts at its beginning, behind a skip record.
 *          Both sides trust each other (for rings between processes see spsc.h).
 * Use:     p = mg_msgring_reserve(r, max); fill; mg_msgring_commit(r, len);
 *          while ((p = mg_msgring_peek(r, &len)) != NULL) { use; mg_msgring_release(r); }
 * Threads: one producer thread, one consumer thread; or both the same.
 * Memory:  the caller's; lives as long as the ring.
 */
#ifndef MG_MSGRING_H
#define MG_MSGRING_H
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/bits.h"

#define MG_MSGRING_ALIGN 16
#define MG_MSGRING_BYTES_MIN 256
#define MG_MSGRING_BYTES_MAX (1u << 30)

struct mg_msgring {
	/* Set at init, read by both. */
	alignas(MG_CACHE_LINE) uint8_t *mem;
	uint32_t bytes;
	uint32_t mask;

	/* Written by the producer. Indices are bytes, free-running. */
	alignas(MG_CACHE_LINE) _Atomic uint32_t tail;
	uint32_t head_seen;   /* last seen head */
	uint32_t reserve_pos; /* index of the reserved record */
	uint32_t reserve_len; /* message bytes reserved; 0: none */

	/* Written by the consumer. */
	alignas(MG_CACHE_LINE) _Atomic uint32_t head;
	uint32_t tail_seen; /* last seen tail */
};

/* bytes: power of two within the limits above; mem aligned to MG_MSGRING_ALIGN. */
void mg_msgring_init(struct mg_msgring *ring, void *mem, uint32_t bytes);

/* The longest message: a quarter of the ring, so that an empty ring always takes one. */
static inline uint32_t mg_msgring_max_len(const struct mg_msgring *ring)
{
	return ring->bytes / 4;
}

/* Producer. NULL when full. A second reserve before the commit replaces the first. 1 <= len <= max_len. */
void *mg_msgring_reserve(struct mg_msgring *ring, uint32_t len);
/* Producer. Publishes the reserved message, len bytes of it (1 <= len <= reserved). */
void mg_msgring_commit(struct mg_msgring *ring, uint32_t len);
/* Consumer. The oldest message, or NULL; the same again until mg_msgring_release(). */
const void *mg_msgring_peek(struct mg_msgring *ring, uint32_t *ret_len);
/* Consumer. Gives back the message of the last peek, which was not NULL. */
void mg_msgring_release(struct mg_msgring *ring);

/* Either side; for the sleeping protocol of sleep.h and for statistics. */
static inline bool mg_msgring_is_empty(const struct mg_msgring *ring)
{
	/* acquire: pairs with the release in mg_msgring_commit() */
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);

	return tail == atomic_load_explicit(&ring->head, memory_order_relaxed);
}
#endif
