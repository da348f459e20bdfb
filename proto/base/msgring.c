/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msgring.c - records in a byte ring.
 *
 * A record never straddles the end of the ring: a skip record covers the rest when it would. Since a record
 * is at most a little more than a quarter of the ring, an empty ring always has room for one.
 */
#include "proto/base/msgring.h"

#include <assert.h>

#include "proto/base/assert.h"

struct record {
	uint32_t bytes; /* of the whole record, a multiple of MG_MSGRING_ALIGN */
	uint32_t len;   /* of the message; 0: skip record */
	uint32_t pad[2];
};
static_assert(sizeof(struct record) == MG_MSGRING_ALIGN, "messages behind it are aligned");
static_assert(MG_MSGRING_BYTES_MIN / 4 + 2 * MG_MSGRING_ALIGN <= MG_MSGRING_BYTES_MIN / 2,
	      "a record and the skip before it fit into an empty ring");

static struct record *record_at(const struct mg_msgring *ring, uint32_t pos)
{
	return (struct record *)(void *)(ring->mem + (pos & ring->mask));
}

static uint32_t record_bytes(uint32_t len)
{
	return (uint32_t)mg_align_up(sizeof(struct record) + len, MG_MSGRING_ALIGN);
}

/* Producer: are `bytes` free behind `tail`? Asks the consumer's index only when it must. */
static bool has_room(struct mg_msgring *ring, uint32_t tail, uint32_t bytes)
{
	if (mg_likely(ring->bytes - (tail - ring->head_seen) >= bytes))
		return true;
	/* acquire: pairs with the release in mg_msgring_release(); the record was read before we reuse it */
	ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
	return ring->bytes - (tail - ring->head_seen) >= bytes;
}

void mg_msgring_init(struct mg_msgring *ring, void *mem, uint32_t bytes)
{
	MG_ASSERT(mg_is_pow2(bytes) && bytes >= MG_MSGRING_BYTES_MIN &&
		  bytes <= MG_MSGRING_BYTES_MAX);
	MG_ASSERT((uintptr_t)mem % MG_MSGRING_ALIGN == 0);
	ring->mem = mem;
	ring->bytes = bytes;
	ring->mask = bytes - 1;
	ring->head_seen = 0;
	ring->reserve_pos = 0;
	ring->reserve_len = 0;
	ring->tail_seen = 0;
	atomic_init(&ring->tail, 0);
	atomic_init(&ring->head, 0);
}

void *mg_msgring_reserve(struct mg_msgring *ring, uint32_t len)
{
	MG_ASSERT(len > 0 && len <= mg_msgring_max_len(ring));
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed); /* our own */
	uint32_t need = record_bytes(len);
	uint32_t to_end = ring->bytes - (tail & ring->mask);
	uint32_t skip = need > to_end ? to_end : 0;

	if (!has_room(ring, tail, skip + need))
		return NULL;
	if (skip > 0)
		*record_at(ring, tail) = (struct record){ .bytes = skip };
	ring->reserve_pos = tail + skip;
	ring->reserve_len = len;
	return record_at(ring, ring->reserve_pos) + 1;
}

void mg_msgring_commit(struct mg_msgring *ring, uint32_t len)
{
	MG_ASSERT(len > 0 && len <= ring->reserve_len);
	uint32_t bytes = record_bytes(len);

	*record_at(ring, ring->reserve_pos) = (struct record){ .bytes = bytes, .len = len };
	ring->reserve_len = 0;
	/* release: pairs with the acquire in mg_msgring_peek(); publishes header, message and any skip */
	atomic_store_explicit(&ring->tail, ring->reserve_pos + bytes, memory_order_release);
}

const void *mg_msgring_peek(struct mg_msgring *ring, uint32_t *ret_len)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed); /* our own */

	if (head == ring->tail_seen) {
		/* acquire: pairs with the release in mg_msgring_commit() */
		ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
		if (head == ring->tail_seen)
			return NULL;
	}
	struct record *rec = record_at(ring, head);

	if (rec->len == 0) {
		/* A skip is published together with the record behind it. */
		head += rec->bytes;
		/* release: pairs with the acquire in has_room() */
		atomic_store_explicit(&ring->head, head, memory_order_release);
		MG_DASSERT(head != ring->tail_seen);
		rec = record_at(ring, head);
	}
	*ret_len = rec->len;
	return rec + 1;
}

void mg_msgring_release(struct mg_msgring *ring)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed); /* our own */

	MG_ASSERT(head != ring->tail_seen);
	/* release: pairs with the acquire in has_room(); we are done reading the record */
	atomic_store_explicit(&ring->head, head + record_at(ring, head)->bytes,
			      memory_order_release);
}
