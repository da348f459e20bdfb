/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_test.c - handles: unique while live, stale for ever after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "proto/base/pool.h"
#include "proto/base/rng.h"

#define N 8

static void hands_out_each_slot_once(void **state)
{
	uint32_t mem[2 * N], idx, gen;
	struct mg_pool pool;
	bool seen[N] = { false };

	(void)state;
	memset(mem, 0xa5, sizeof(mem)); /* any content will do */
	assert_int_equal(mg_pool_bytes(N), sizeof(mem));
	mg_pool_init(&pool, mem, N);
	for (int i = 0; i < N; i++) {
		assert_int_equal(mg_pool_alloc(&pool, &idx, &gen), 0);
		assert_true(idx < N && !seen[idx]);
		seen[idx] = true;
		assert_true(mg_pool_valid(&pool, idx, gen));
		assert_int_equal(mg_pool_gen(&pool, idx), gen);
	}
	assert_int_equal(mg_pool_alloc(&pool, &idx, &gen), -ENOSPC);
	assert_int_equal(pool.nr_used, N);
}

static void is_lifo(void **state)
{
	uint32_t mem[2 * N], a, b, c, gen;
	struct mg_pool pool;

	(void)state;
	mg_pool_init(&pool, mem, N);
	assert_int_equal(mg_pool_alloc(&pool, &a, &gen), 0);
	assert_int_equal(mg_pool_alloc(&pool, &b, &gen), 0);
	mg_pool_free(&pool, a);
	assert_int_equal(mg_pool_alloc(&pool, &c, &gen), 0);
	assert_int_equal(c, a);
}

static void stale_and_wild_handles_are_refused(void **state)
{
	uint32_t mem[2 * N], idx, gen, idx2, gen2;
	struct mg_pool pool;

	(void)state;
	mg_pool_init(&pool, mem, N);
	assert_false(mg_pool_valid(&pool, 0, 0));
	assert_int_equal(mg_pool_alloc(&pool, &idx, &gen), 0);
	mg_pool_free(&pool, idx);
	assert_false(mg_pool_valid(&pool, idx, gen));
	assert_false(mg_pool_valid(&pool, idx, gen + 1)); /* the generation of a free slot */
	assert_false(mg_pool_is_live(&pool, idx));
	assert_int_equal(mg_pool_alloc(&pool, &idx2, &gen2), 0);
	assert_int_equal(idx2, idx);
	assert_int_not_equal(gen2, gen);
	assert_false(mg_pool_valid(&pool, idx, gen));
	assert_false(mg_pool_valid(&pool, N, gen));
	assert_false(mg_pool_valid(&pool, UINT32_MAX, gen));
	uint64_t handle = mg_pool_handle(idx2, gen2);

	assert_int_equal(mg_pool_handle_idx(handle), idx2);
	assert_int_equal(mg_pool_handle_gen(handle), gen2);
}

static void agrees_with_a_model(void **state)
{
	uint32_t mem[2 * N], idx, gen;
	uint32_t live_gen[N] = { 0 }; /* 0: free */
	struct mg_pool pool;
	struct mg_rng rng;
	uint32_t nr = 0;

	(void)state;
	mg_rng_init(&rng, 1);
	mg_pool_init(&pool, mem, N);
	for (int step = 0; step < 20000; step++) {
		uint32_t pick = mg_rng_below(&rng, N);

		if (mg_rng_below(&rng, 2) == 0) {
			int err = mg_pool_alloc(&pool, &idx, &gen);

			assert_int_equal(err, nr == N ? -ENOSPC : 0);
			if (err == 0) {
				assert_int_equal(live_gen[idx], 0);
				live_gen[idx] = gen;
				nr++;
			}
		} else if (live_gen[pick] != 0) {
			mg_pool_free(&pool, pick);
			assert_false(mg_pool_valid(&pool, pick, live_gen[pick]));
			live_gen[pick] = 0;
			nr--;
		}
		assert_int_equal(pool.nr_used, nr);
		for (uint32_t i = 0; i < N; i++)
			assert_int_equal(mg_pool_is_live(&pool, i), live_gen[i] != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hands_out_each_slot_once),
		cmocka_unit_test(is_lifo),
		cmocka_unit_test(stale_and_wild_handles_are_refused),
		cmocka_unit_test(agrees_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
