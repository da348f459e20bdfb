/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spsc_test.c - the ring between processes: order, wrap, and a hostile other side.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "proto/base/rng.h"
#include "proto/base/spsc.h"

#define COUNT 8

struct entry {
	uint64_t a;
	uint64_t b;
	uint64_t c;
};

struct box {
	struct mg_spsc_shared shared;
	uint8_t slots[COUNT * sizeof(struct entry)];
};

static struct entry entry(uint64_t v)
{
	return (struct entry){ .a = v, .b = ~v, .c = v * 3 };
}

static void attach_both(struct box *b, struct mg_spsc *p, struct mg_spsc *c, uint32_t own)
{
	mg_spsc_init_shared(b, COUNT, sizeof(struct entry));
	mg_spsc_attach_producer(p, b, COUNT, sizeof(struct entry), own);
	mg_spsc_attach_consumer(c, b, COUNT, sizeof(struct entry), own);
}

static void fifo_and_full(void **state)
{
	struct box b;
	struct mg_spsc p, c;
	struct entry e;

	(void)state;
	assert_true(mg_spsc_bytes(COUNT, sizeof(struct entry)) <= sizeof(b));
	attach_both(&b, &p, &c, 0);
	assert_true(mg_spsc_is_empty(&c));
	assert_int_equal(mg_spsc_pop(&c, &e), 0);
	for (uint64_t i = 0; i < COUNT; i++) {
		e = entry(i);
		assert_false(mg_spsc_is_full(&p));
		assert_int_equal(mg_spsc_push(&p, &e), 0);
	}
	assert_true(mg_spsc_is_full(&p));
	assert_int_equal(mg_spsc_push(&p, &e), -ENOSPC);
	for (uint64_t i = 0; i < COUNT; i++) {
		struct entry want = entry(i);

		assert_int_equal(mg_spsc_pop(&c, &e), 1);
		assert_memory_equal(&e, &want, sizeof(e));
	}
	assert_int_equal(mg_spsc_pop(&c, &e), 0);
	assert_int_equal(mg_spsc_push(&p, &e), 0);
}

/* The indices run through 2^32 without anybody noticing. */
static void indices_wrap(void **state)
{
	struct box b;
	struct mg_spsc p, c;
	struct entry e;

	(void)state;
	attach_both(&b, &p, &c, UINT32_MAX - 20);
	for (uint64_t i = 0; i < 100; i++) {
		for (uint64_t k = 0; k <= i % COUNT; k++) {
			e = entry(i * 100 + k);
			assert_int_equal(mg_spsc_push(&p, &e), 0);
		}
		for (uint64_t k = 0; k <= i % COUNT; k++) {
			assert_int_equal(mg_spsc_pop(&c, &e), 1);
			assert_int_equal(e.a, i * 100 + k);
		}
		assert_int_equal(mg_spsc_pop(&c, &e), 0);
	}
}

static void hostile_producer_is_found_out(void **state)
{
	static const uint32_t lies[] = { COUNT + 1, 1000, 0x80000000u, UINT32_MAX };
	struct box b;
	struct mg_spsc p, c;
	struct entry e;

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(lies); i++) {
		attach_both(&b, &p, &c, 0);
		atomic_store(&b.shared.tail, lies[i]);
		assert_false(mg_spsc_is_empty(&c));
		assert_int_equal(mg_spsc_pop(&c, &e), -EBADMSG);
		assert_int_equal(mg_spsc_pop(&c, &e), -EBADMSG); /* and nothing moved */
	}
	/* Going back after entries were seen: the cached ones are still taken, then it shows. */
	attach_both(&b, &p, &c, 0);
	atomic_store(&b.shared.tail, 2);
	assert_int_equal(mg_spsc_pop(&c, &e), 1);
	atomic_store(&b.shared.tail, 0);
	assert_int_equal(mg_spsc_pop(&c, &e), 1);
	assert_int_equal(mg_spsc_pop(&c, &e), -EBADMSG);
}

static void hostile_consumer_is_found_out(void **state)
{
	static const uint32_t lies[] = { COUNT + 1, 1000, 0x80000000u, UINT32_MAX };
	struct box b;
	struct mg_spsc p, c;
	struct entry e = entry(0);

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(lies); i++) {
		attach_both(&b, &p, &c, 0);
		for (int k = 0; k < COUNT; k++)
			(void)mg_spsc_push(&p,
					   &e); /* the last ones only matter: the ring is full */
		atomic_store(&b.shared.head, lies[i]);
		assert_int_equal(mg_spsc_push(&p, &e), -EBADMSG);
	}
}

/* Slots and indices full of random nonsense, all the time: no answer but the documented ones. */
static void random_nonsense_is_survived(void **state)
{
	struct box b;
	struct mg_spsc p, c;
	struct mg_rng rng;
	struct entry e = entry(1);

	(void)state;
	mg_rng_init(&rng, 8);
	attach_both(&b, &p, &c, 0);
	for (int i = 0; i < 100000; i++) {
		uint32_t v = mg_rng_below(&rng, 2) ? mg_rng_u32(&rng)
						   : c.own + mg_rng_below(&rng, 20);

		atomic_store(mg_rng_below(&rng, 2) ? &b.shared.tail : &b.shared.head, v);
		int err = mg_spsc_push(&p, &e);

		assert_true(err == 0 || err == -ENOSPC || err == -EBADMSG);
		err = mg_spsc_pop(&c, &e);
		assert_true(err == 0 || err == 1 || err == -EBADMSG);
		assert_true(p.mask == COUNT - 1 && c.mask == COUNT - 1);
	}
}

/* A side that comes back continues at its own index; entries of the other side wait for it. */
static void consumer_resumes(void **state)
{
	struct box b;
	struct mg_spsc p, c, again;
	struct entry e;

	(void)state;
	attach_both(&b, &p, &c, 0);
	for (uint64_t i = 0; i < 5; i++) {
		e = entry(i);
		assert_int_equal(mg_spsc_push(&p, &e), 0);
	}
	assert_int_equal(mg_spsc_pop(&c, &e), 1);
	mg_spsc_attach_consumer(&again, &b, COUNT, sizeof(struct entry), c.own);
	for (uint64_t i = 1; i < 5; i++) {
		assert_int_equal(mg_spsc_pop(&again, &e), 1);
		assert_int_equal(e.a, i);
	}
	assert_int_equal(mg_spsc_pop(&again, &e), 0);
	struct mg_spsc p2;

	mg_spsc_attach_producer(&p2, &b, COUNT, sizeof(struct entry), p.own);
	assert_int_equal(mg_spsc_push(&p2, &e), 0);
	assert_int_equal(mg_spsc_pop(&again, &e), 1);
}

#define NR_THREADED 200000

static void *produce(void *arg)
{
	struct mg_spsc *p = arg;

	for (uint64_t i = 0; i < NR_THREADED; i++) {
		struct entry e = entry(i);

		while (mg_spsc_push(p, &e) == -ENOSPC)
			sched_yield();
	}
	return NULL;
}

static void two_threads(void **state)
{
	static struct box b;
	struct mg_spsc p, c;
	pthread_t thread;
	struct entry e;

	(void)state;
	attach_both(&b, &p, &c, UINT32_MAX - 1000);
	assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
	for (uint64_t i = 0; i < NR_THREADED; i++) {
		int got;

		while ((got = mg_spsc_pop(&c, &e)) == 0)
			sched_yield();
		if (got != 1 || e.a != i || e.b != ~i || e.c != i * 3)
			fail_msg("entry %lu is broken", (unsigned long)i);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fifo_and_full),
		cmocka_unit_test(indices_wrap),
		cmocka_unit_test(hostile_producer_is_found_out),
		cmocka_unit_test(hostile_consumer_is_found_out),
		cmocka_unit_test(random_nonsense_is_survived),
		cmocka_unit_test(consumer_resumes),
		cmocka_unit_test(two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
