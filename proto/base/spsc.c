/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spsc.c - a ring whose other side may write anything, at any time, into the shared part.
 */
#include "proto/base/spsc.h"

#include <errno.h>
#include <string.h>

#include "proto/base/assert.h"

static void attach(struct mg_spsc *h, void *mem, uint32_t count, uint32_t stride, uint32_t own)
{
	MG_ASSERT(mg_is_pow2(count) && stride > 0);
	MG_ASSERT((uintptr_t)mem % MG_CACHE_LINE == 0);
	h->shared = mem;
	h->slots = (uint8_t *)mem + sizeof(struct mg_spsc_shared);
	h->mask = count - 1;
	h->stride = stride;
	h->own = own;
}

static uint8_t *slot_at(const struct mg_spsc *h, uint32_t index)
{
	return h->slots + (size_t)(index & h->mask) * h->stride;
}

void mg_spsc_init_shared(void *mem, uint32_t count, uint32_t stride)
{
	MG_ASSERT(mg_is_pow2(count) && stride > 0);
	MG_ASSERT((uintptr_t)mem % MG_CACHE_LINE == 0);
	memset(mem, 0, mg_spsc_bytes(count, stride));
}

void mg_spsc_attach_producer(struct mg_spsc *h, void *mem, uint32_t count, uint32_t stride,
			     uint32_t own)
{
	attach(h, mem, count, stride, own);
	h->peer = own - count; /* as if full: the first push looks */
	/* release: pairs with the acquire in mg_spsc_pop() */
	atomic_store_explicit(&h->shared->tail, own, memory_order_release);
}

void mg_spsc_attach_consumer(struct mg_spsc *h, void *mem, uint32_t count, uint32_t stride,
			     uint32_t own)
{
	attach(h, mem, count, stride, own);
	h->peer = own; /* as if empty: the first pop looks */
	/* release: pairs with the acquire in mg_spsc_push() */
	atomic_store_explicit(&h->shared->head, own, memory_order_release);
}

int mg_spsc_push(struct mg_spsc *h, const void *entry)
{
	uint32_t count = h->mask + 1;

	if (h->own - h->peer == count) {
		/* acquire: pairs with the release in mg_spsc_pop(); the slot was read before we reuse it */
		uint32_t head = atomic_load_explicit(&h->shared->head, memory_order_acquire);

		if (h->own - head > count)
			return -EBADMSG;
		h->peer = head;
		if (h->own - head == count)
			return -ENOSPC;
	}
	memcpy(slot_at(h, h->own), entry, h->stride);
	h->own++;
	/* release: pairs with the acquire in mg_spsc_pop(); publishes the slot */
	atomic_store_explicit(&h->shared->tail, h->own, memory_order_release);
	return 0;
}

int mg_spsc_pop(struct mg_spsc *h, void *ret_entry)
{
	if (h->own == h->peer) {
		/* acquire: pairs with the release in mg_spsc_push(); the slot is written */
		uint32_t tail = atomic_load_explicit(&h->shared->tail, memory_order_acquire);

		if (tail - h->own > h->mask + 1)
			return -EBADMSG;
		h->peer = tail;
		if (tail == h->own)
			return 0;
	}
	memcpy(ret_entry, slot_at(h, h->own), h->stride);
	h->own++;
	/* release: pairs with the acquire in mg_spsc_push(); the slot may be reused */
	atomic_store_explicit(&h->shared->head, h->own, memory_order_release);
	return 1;
}
