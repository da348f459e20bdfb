/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - free list and generations.
 */
#include "proto/base/pool.h"

#include <errno.h>

#include "proto/base/assert.h"

void mg_pool_init(struct mg_pool *pool, void *mem, uint32_t count)
{
	MG_ASSERT(count < MG_POOL_NONE);
	MG_ASSERT((uintptr_t)mem % sizeof(uint32_t) == 0);
	pool->gen = mem;
	pool->next = pool->gen + count;
	pool->count = count;
	pool->nr_touched = 0;
	pool->nr_used = 0;
	pool->free_head = MG_POOL_NONE;
}

int mg_pool_alloc(struct mg_pool *pool, uint32_t *ret_idx, uint32_t *ret_gen)
{
	uint32_t idx = pool->free_head;

	if (idx != MG_POOL_NONE) {
		pool->free_head = pool->next[idx];
	} else if (pool->nr_touched < pool->count) {
		idx = pool->nr_touched++;
		pool->gen[idx] = 0;
	} else {
		return -ENOSPC;
	}
	pool->gen[idx]++;
	pool->nr_used++;
	MG_DASSERT(pool->gen[idx] & 1);
	*ret_idx = idx;
	*ret_gen = pool->gen[idx];
	return 0;
}

void mg_pool_free(struct mg_pool *pool, uint32_t idx)
{
	MG_ASSERT(mg_pool_is_live(pool, idx));
	pool->gen[idx]++;
	pool->next[idx] = pool->free_head;
	pool->free_head = idx;
	pool->nr_used--;
}
