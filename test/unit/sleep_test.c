/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sleep_test.c - no wake-up is lost between a producer and a consumer that sleeps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/base/sleep.h"

#define ROUNDS 20000

struct line {
	_Atomic uint32_t flag;
	_Atomic uint32_t published;
	int fd;
};

static void *produce(void *arg)
{
	struct line *l = arg;

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		/* release: pairs with the acquire in consume_all() */
		atomic_store_explicit(&l->published, i, memory_order_release);
		if (mg_sleep_claim_wake(&l->flag))
			eventfd_write(l->fd, 1);
		if (i % 64 == 0)
			sched_yield();
	}
	return NULL;
}

/* False: slept longer than any scheduler takes, so a wake-up was lost. */
static bool sleep_on(struct line *l)
{
	struct pollfd pfd = { .fd = l->fd, .events = POLLIN };
	eventfd_t v;

	if (poll(&pfd, 1, 20000) != 1)
		return false;
	return eventfd_read(l->fd, &v) == 0;
}

static bool consume_all(struct line *l)
{
	uint32_t seen = 0, now;

	while (seen < ROUNDS) {
		now = atomic_load_explicit(&l->published, memory_order_acquire);
		if (now != seen) {
			seen = now;
			continue;
		}
		mg_sleep_prepare(&l->flag);
		if (atomic_load_explicit(&l->published, memory_order_acquire) != seen) {
			mg_sleep_cancel(&l->flag);
			continue;
		}
		if (!sleep_on(l))
			return false;
		mg_sleep_cancel(&l->flag);
	}
	return true;
}

static void nobody_sleeps_for_ever(void **state)
{
	static struct line l;
	pthread_t thread;

	(void)state;
	l.fd = eventfd(0, EFD_NONBLOCK);
	assert_true(l.fd >= 0);
	assert_int_equal(pthread_create(&thread, NULL, produce, &l), 0);
	assert_true(consume_all(&l));
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(l.fd);
}

static void only_sleepers_are_woken(void **state)
{
	_Atomic uint32_t flag = 0;

	(void)state;
	assert_false(mg_sleep_should_wake(&flag));
	mg_sleep_prepare(&flag);
	assert_true(mg_sleep_should_wake(&flag));
	assert_true(mg_sleep_claim_wake(&flag));
	assert_false(mg_sleep_claim_wake(&flag));
	mg_sleep_prepare(&flag);
	mg_sleep_cancel(&flag);
	assert_false(mg_sleep_should_wake(&flag));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_sleepers_are_woken),
		cmocka_unit_test(nobody_sleeps_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
