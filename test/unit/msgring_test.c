/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msgring_test.c - messages come out as they went in, whatever their lengths and the wrap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "proto/base/msgring.h"
#include "proto/base/rng.h"

#define BYTES 1024

struct box {
	struct mg_msgring ring;
	alignas(MG_MSGRING_ALIGN) uint8_t mem[BYTES];
};

static void fill(uint8_t *p, uint32_t len, uint32_t seq)
{
	for (uint32_t i = 0; i < len; i++)
		p[i] = (uint8_t)(seq * 31 + i);
}

static void check(const uint8_t *p, uint32_t len, uint32_t seq)
{
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(p[i], (uint8_t)(seq * 31 + i));
}

static void passes_one_message(void **state)
{
	struct box b;
	uint32_t len = 0;

	(void)state;
	mg_msgring_init(&b.ring, b.mem, BYTES);
	assert_true(mg_msgring_is_empty(&b.ring));
	assert_null(mg_msgring_peek(&b.ring, &len));
	uint8_t *p = mg_msgring_reserve(&b.ring, 100);

	assert_non_null(p);
	assert_int_equal((uintptr_t)p % MG_MSGRING_ALIGN, 0);
	assert_null(mg_msgring_peek(&b.ring, &len)); /* not before the commit */
	fill(p, 60, 1);
	mg_msgring_commit(&b.ring, 60);
	assert_false(mg_msgring_is_empty(&b.ring));
	const uint8_t *q = mg_msgring_peek(&b.ring, &len);

	assert_int_equal(len, 60);
	check(q, len, 1);
	assert_ptr_equal(mg_msgring_peek(&b.ring, &len), q);
	mg_msgring_release(&b.ring);
	assert_true(mg_msgring_is_empty(&b.ring));
	assert_null(mg_msgring_peek(&b.ring, &len));
}

static void full_ring_refuses_and_recovers(void **state)
{
	struct box b;
	uint32_t nr = 0, len;

	(void)state;
	mg_msgring_init(&b.ring, b.mem, BYTES);
	while (mg_msgring_reserve(&b.ring, 48) != NULL) {
		mg_msgring_commit(&b.ring, 48);
		nr++;
	}
	assert_int_equal(nr, BYTES / 64);
	assert_non_null(mg_msgring_peek(&b.ring, &len));
	mg_msgring_release(&b.ring);
	assert_non_null(mg_msgring_reserve(&b.ring, 48));
	assert_null(mg_msgring_reserve(&b.ring, 49));
}

static void second_reserve_replaces_the_first(void **state)
{
	struct box b;
	uint32_t len;

	(void)state;
	mg_msgring_init(&b.ring, b.mem, BYTES);
	void *p = mg_msgring_reserve(&b.ring, 100);

	assert_ptr_equal(mg_msgring_reserve(&b.ring, 16), p);
	mg_msgring_commit(&b.ring, 16);
	assert_non_null(mg_msgring_peek(&b.ring, &len));
	assert_int_equal(len, 16);
}

/* Wherever the indices stand, an empty ring takes the longest message. */
static void longest_message_always_fits_an_empty_ring(void **state)
{
	struct box b;
	uint32_t len;

	(void)state;
	mg_msgring_init(&b.ring, b.mem, BYTES);
	for (uint32_t i = 0; i < 3 * BYTES; i++) {
		uint32_t want = i % 2 == 0 ? mg_msgring_max_len(&b.ring) : 1 + i % 37;
		uint8_t *p = mg_msgring_reserve(&b.ring, want);

		assert_non_null(p);
		assert_true(p >= b.mem && p + want <= b.mem + BYTES);
		fill(p, want, i);
		mg_msgring_commit(&b.ring, want);
		const uint8_t *q = mg_msgring_peek(&b.ring, &len);

		assert_int_equal(len, want);
		check(q, len, i);
		mg_msgring_release(&b.ring);
	}
}

static void random_lengths_keep_order(void **state)
{
	struct box b;
	struct mg_rng rng, replay;
	uint32_t in = 0, out = 0, len;

	(void)state;
	mg_rng_init(&rng, 3);
	mg_rng_init(&replay, 9);
	struct mg_rng lens = replay;

	mg_msgring_init(&b.ring, b.mem, BYTES);
	for (int step = 0; step < 200000; step++) {
		if (mg_rng_below(&rng, 2) == 0) {
			struct mg_rng before = lens;
			uint32_t want = 1 + mg_rng_below(&lens, mg_msgring_max_len(&b.ring));
			uint8_t *p = mg_msgring_reserve(&b.ring, want);

			if (p == NULL) {
				lens = before;
				continue;
			}
			fill(p, want, in++);
			mg_msgring_commit(&b.ring, want);
		} else {
			const uint8_t *q = mg_msgring_peek(&b.ring, &len);

			if (q == NULL) {
				assert_int_equal(in, out);
				continue;
			}
			assert_int_equal(len,
					 1 + mg_rng_below(&replay, mg_msgring_max_len(&b.ring)));
			check(q, len, out++);
			mg_msgring_release(&b.ring);
		}
	}
	assert_true(in > 10000);
}

#define NR_THREADED 100000

static void *produce(void *arg)
{
	struct box *b = arg;
	struct mg_rng rng;

	mg_rng_init(&rng, 5);
	for (uint32_t i = 0; i < NR_THREADED; i++) {
		uint32_t len = 4 + mg_rng_below(&rng, 120);
		uint8_t *p;

		while ((p = mg_msgring_reserve(&b->ring, len)) == NULL)
			sched_yield();
		fill(p, len, i);
		mg_msgring_commit(&b->ring, len);
	}
	return NULL;
}

static void two_threads(void **state)
{
	static struct box b;
	struct mg_rng rng;
	pthread_t thread;
	uint32_t len;

	(void)state;
	mg_rng_init(&rng, 5);
	mg_msgring_init(&b.ring, b.mem, BYTES);
	assert_int_equal(pthread_create(&thread, NULL, produce, &b), 0);
	for (uint32_t i = 0; i < NR_THREADED; i++) {
		const uint8_t *q;

		while ((q = mg_msgring_peek(&b.ring, &len)) == NULL)
			sched_yield();
		if (len != 4 + mg_rng_below(&rng, 120) || q[0] != (uint8_t)(i * 31) ||
		    q[len - 1] != (uint8_t)(i * 31 + len - 1))
			fail_msg("message %u is broken", i);
		mg_msgring_release(&b.ring);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(mg_msgring_is_empty(&b.ring));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes_one_message),
		cmocka_unit_test(full_ring_refuses_and_recovers),
		cmocka_unit_test(second_reserve_replaces_the_first),
		cmocka_unit_test(longest_message_always_fits_an_empty_ring),
		cmocka_unit_test(random_lengths_keep_order),
		cmocka_unit_test(two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
