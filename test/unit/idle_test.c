/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's sleep: what wakes it, and what applications do to its doorbell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "fastpath/io/idle.h"

#define MS 1000000ull

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

static unsigned int wait_ms(struct mg_idle *idle, uint64_t ms)
{
	uint64_t now = now_ns();

	return mg_idle_wait(idle, now, now + ms * MS);
}

static void test_reasons(void **state)
{
	const uint64_t one = 1;
	struct mg_idle idle;
	int source[2];

	(void)state;
	assert_int_equal(pipe(source), 0);
	assert_int_equal(mg_idle_init(&idle, 0), 0);
	assert_int_equal(mg_idle_add(&idle, source[0]), 0);
	assert_int_equal(wait_ms(&idle, 1), MG_IDLE_TIMER);
	assert_int_equal(write(mg_idle_doorbell_fd(&idle), &one, sizeof(one)), sizeof(one));
	assert_int_equal(wait_ms(&idle, 1000), MG_IDLE_DOORBELL);
	mg_idle_ring(&idle);
	mg_idle_ring(&idle);
	assert_int_equal(wait_ms(&idle, 1000), MG_IDLE_DOORBELL);
	assert_int_equal(wait_ms(&idle, 1), MG_IDLE_TIMER); /* answered */
	assert_int_equal(write(source[1], "x", 1), 1);
	assert_int_equal(wait_ms(&idle, 1000), MG_IDLE_PORT);
	mg_idle_fini(&idle);
	close(source[0]);
	close(source[1]);
}

/* Takes every ring away before the worker does, through a descriptor that blocks. */
static void *thief(void *arg)
{
	int fd = *(const int *)arg;
	uint64_t count;

	for (;;)
		if (read(fd, &count, sizeof(count)) < 0 || count >= 1ull << 32)
			return NULL;
}

static void test_doorbell_in_bad_hands(void **state)
{
	const uint64_t one = 1, end = 1ull << 32;
	struct mg_idle idle;
	pthread_t thread;
	int fd;

	(void)state;
	assert_int_equal(mg_idle_init(&idle, 0), 0);
	fd = mg_idle_doorbell_fd(&idle);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, thief, &fd), 0);
	alarm(10); /* a worker that hangs would hang here */
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
		(void)wait_ms(&idle, 1);
		mg_idle_ring(&idle);
		assert_true((wait_ms(&idle, 1000) & MG_IDLE_DOORBELL) !=
			    0); /* ours is not theirs */
	}
	alarm(0);
	assert_int_equal(write(fd, &end, sizeof(end)), sizeof(end));
	/* One of the two gets it; the thief does when nobody competes. */
	assert_int_equal(pthread_join(thread, NULL), 0);
	mg_idle_fini(&idle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_doorbell_in_bad_hands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
