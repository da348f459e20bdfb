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
	int source[2], door;

	(void)state;
	assert_int_equal(pipe(source), 0);
	assert_int_equal(mg_idle_init(&idle, 0), 0);
	assert_int_equal(mg_idle_add(&idle, source[0]), 0);
	assert_int_equal(wait_ms(&idle, 1), MG_IDLE_TIMER);
	door = mg_idle_doorbell_new(&idle);
	assert_true(door >= 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(door, &one, sizeof(one)), sizeof(one));
		assert_int_equal(wait_ms(&idle, 1000), MG_IDLE_DOORBELL);
		assert_int_equal(wait_ms(&idle, 1), MG_IDLE_TIMER);
	}
	close(door);
	assert_int_equal(wait_ms(&idle, 1), MG_IDLE_TIMER);
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

/* Takes every ring of its own doorbell away, through a descriptor that blocks. */
static void *thief(void *arg)
{
	int fd = *(const int *)arg;
	uint64_t count;

	for (;;)
		if (read(fd, &count, sizeof(count)) < 0 || count >= 1ull << 32)
			return NULL;
}

/* What one application does to its doorbell neither blocks the worker nor takes another's rings. */
static void test_doorbell_in_bad_hands(void **state)
{
	const uint64_t one = 1, end = 1ull << 32, most = UINT64_MAX - 1;
	struct mg_idle idle;
	pthread_t thread;
	int bad, full, good;

	(void)state;
	assert_int_equal(mg_idle_init(&idle, 0), 0);
	bad = mg_idle_doorbell_new(&idle);
	full = mg_idle_doorbell_new(&idle);
	good = mg_idle_doorbell_new(&idle);
	assert_int_equal(fcntl(bad, F_SETFL, 0), 0);
	assert_int_equal(fcntl(full, F_SETFL, 0), 0);
	assert_int_equal(write(full, &most, sizeof(most)), sizeof(most));
	assert_int_equal(pthread_create(&thread, NULL, thief, &bad), 0);
	alarm(10); /* a worker that hangs would hang here */
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(write(bad, &one, sizeof(one)), sizeof(one));
		while (wait_ms(&idle, 0) == MG_IDLE_DOORBELL)
			;
		assert_int_equal(write(good, &one, sizeof(one)), sizeof(one));
		assert_int_equal(wait_ms(&idle, 1000), MG_IDLE_DOORBELL);
		mg_idle_ring(&idle);
		assert_int_equal(wait_ms(&idle, 1000), MG_IDLE_DOORBELL);
	}
	alarm(0);
	assert_int_equal(write(bad, &end, sizeof(end)), sizeof(end));
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(bad);
	close(full);
	close(good);
	mg_idle_fini(&idle);
}

/* The set has room for everyone, and forgets who is gone. */
static void test_many_doorbells(void **state)
{
	const uint64_t one = 1;
	struct mg_idle idle;
	int fds[100];
	int calls = 0;

	(void)state;
	assert_int_equal(mg_idle_init(&idle, 0), 0);
	for (int i = 0; i < 100; i++) {
		fds[i] = mg_idle_doorbell_new(&idle);
		assert_int_equal(write(fds[i], &one, sizeof(one)), sizeof(one));
	}
	while (wait_ms(&idle, 0) == MG_IDLE_DOORBELL)
		calls++;
	assert_in_range(calls, 1, 10);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(write(fds[i], &one, sizeof(one)), sizeof(one));
		close(fds[i]);
	}
	assert_int_equal(wait_ms(&idle, 1), MG_IDLE_TIMER);
	mg_idle_fini(&idle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_doorbell_in_bad_hands),
		cmocka_unit_test(test_many_doorbells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
