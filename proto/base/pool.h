/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - hands out indices 0..count-1 with generations, so that a stale handle is detected.
 *
 * Idea:    a LIFO free list (warm slots first) in an array of u32, and a generation per slot that is odd
 *          while the slot is live. A handle is (index, generation); it is valid while both match. Slots
 *          never used yet are not touched, so that a large pool costs no memory until it is needed.
 *          The caller keeps the elements themselves, in an array indexed alike.
 * Threads: one at a time; handles are plain values.
 * Memory:  the caller's, mg_pool_bytes(count) bytes aligned to 4, any content.
 */
#ifndef MG_POOL_H
#define MG_POOL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bits.h"

#define MG_POOL_NONE UINT32_MAX

struct mg_pool {
	uint32_t *next; /* free list links; valid below nr_touched */
	uint32_t *gen;  /* odd while live; valid below nr_touched */
	uint32_t count;
	uint32_t nr_touched; /* slots from here on were never handed out */
	uint32_t nr_used;
	uint32_t free_head; /* MG_POOL_NONE: empty */
};

static inline size_t mg_pool_bytes(uint32_t count)
{
	return (size_t)count * 2 * sizeof(uint32_t);
}

/* count < MG_POOL_NONE */
void mg_pool_init(struct mg_pool *pool, void *mem, uint32_t count);
/* 0, or -ENOSPC when all are live. */
int mg_pool_alloc(struct mg_pool *pool, uint32_t *ret_idx, uint32_t *ret_gen);
/* idx must be live (asserted): check handles from outside with mg_pool_valid() first. */
void mg_pool_free(struct mg_pool *pool, uint32_t idx);

/* Any values may be asked, also such that came from another process. */
static inline bool mg_pool_valid(const struct mg_pool *pool, uint32_t idx, uint32_t gen)
{
	return mg_likely(idx < pool->nr_touched) && pool->gen[idx] == gen && (gen & 1) != 0;
}

static inline bool mg_pool_is_live(const struct mg_pool *pool, uint32_t idx)
{
	return idx < pool->nr_touched && (pool->gen[idx] & 1) != 0;
}

/* The generation of a live slot. */
static inline uint32_t mg_pool_gen(const struct mg_pool *pool, uint32_t idx)
{
	return pool->gen[idx];
}

/* Handle as one number, for messages: generation above, index below. */
static inline uint64_t mg_pool_handle(uint32_t idx, uint32_t gen)
{
	return (uint64_t)gen << 32 | idx;
}

static inline uint32_t mg_pool_handle_idx(uint64_t handle)
{
	return (uint32_t)handle;
}

static inline uint32_t mg_pool_handle_gen(uint64_t handle)
{
	return (uint32_t)(handle >> 32);
}
#endif
