/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closer_test.c - closing what applications passed: nobody waits for a close() that hangs.
 *
 * A close() that takes its time is that of a socket that lingers over data which its peer does not read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/closer.h"

#define LINGER_S 2
#define PATIENCE_MS 8000

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Waits until so many are pending; false: they are not in time. */
static bool pending_becomes(struct mg_closer *closer, uint32_t nr, int ms)
{
	uint64_t until = now_ms() + (uint64_t)ms;

	while (mg_closer_pending(closer) != nr) {
		if (now_ms() > until)
			return false;
		(void)poll(NULL, 0, 5);
	}
	return true;
}

static bool is_closed(int other_end)
{
	struct pollfd p = { .fd = other_end, .events = POLLIN };

	return poll(&p, 1, PATIENCE_MS) == 1 && (p.revents & POLLHUP) != 0;
}

/* A socket whose close() hangs; its peer is *ret_peer. */
static int lingering(int *ret_peer)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct linger l = { 1, LINGER_S };
	socklen_t len = sizeof(in);
	int ls = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static char buf[65536];

	assert_int_equal(bind(ls, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(ls, 1), 0);
	assert_int_equal(getsockname(ls, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(connect(s, (struct sockaddr *)&in, sizeof(in)), 0);
	*ret_peer = accept(ls, NULL, NULL);
	assert_true(*ret_peer >= 0);
	close(ls);
	while (send(s, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	return s;
}

static void closes_what_it_takes(void **state)
{
	struct mg_closer *closer;
	int p[2];

	(void)state;
	assert_int_equal(mg_closer_new(&closer), 0);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(pipe(p), 0);
		mg_closer_push(closer, p[1], 1000);
		assert_true(is_closed(p[0]));
		close(p[0]);
	}
	assert_true(pending_becomes(closer, 0, PATIENCE_MS));
	mg_closer_free(closer);
	mg_closer_free(NULL);
}

/* The pusher never waits, and those behind are closed by another thread. */
static void others_do_not_wait(void **state)
{
	struct mg_closer *closer;
	int peer[3], p[2];
	uint64_t start;

	(void)state;
	assert_int_equal(mg_closer_new(&closer), 0);
	start = now_ms();
	for (int i = 0; i < 3; i++)
		mg_closer_push(closer, lingering(&peer[i]), 1000);
	assert_true(now_ms() - start < LINGER_S * 1000);
	for (int i = 0; i < 20; i++) { /* whatever is stuck, a push sees to it */
		assert_int_equal(pipe(p), 0);
		mg_closer_push(closer, p[1], 1001);
		(void)poll(NULL, 0, 20);
		close(p[0]);
	}
	assert_true(now_ms() - start < LINGER_S * 1000);
	assert_true(pending_becomes(closer, 3, LINGER_S * 1000));
	assert_true(pending_becomes(closer, 0, PATIENCE_MS));
	for (int i = 0; i < 3; i++)
		close(peer[i]);
	mg_closer_free(closer);
}

/* Who has all threads hang is choked, and nobody else is; what he pushed is closed in the end. */
static void one_user_is_choked(void **state)
{
	int peer[MG_CLOSER_THREADS_MAX], p[2];
	struct mg_closer *closer;

	(void)state;
	assert_int_equal(mg_closer_new(&closer), 0);
	assert_int_equal(pipe(p), 0);
	for (int i = 0; i < MG_CLOSER_THREADS_MAX; i++) {
		mg_closer_push(closer, lingering(&peer[i]), 1000);
		(void)poll(NULL, 0, 60); /* the one before is stuck now */
	}
	assert_false(mg_closer_is_choked(closer, 1000));
	for (int i = 0; i < MG_CLOSER_PENDING_MAX; i++)
		mg_closer_push(closer, dup(p[1]), 1000);
	assert_true(mg_closer_is_choked(closer, 1000));
	assert_false(mg_closer_is_choked(closer, 1001));
	close(p[1]);
	assert_true(is_closed(p[0])); /* all copies are */
	assert_true(pending_becomes(closer, 0, PATIENCE_MS));
	assert_false(mg_closer_is_choked(closer, 1000));
	for (int i = 0; i < MG_CLOSER_THREADS_MAX; i++)
		close(peer[i]);
	close(p[0]);
	mg_closer_free(closer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closes_what_it_takes),
		cmocka_unit_test(others_do_not_wait),
		cmocka_unit_test(one_user_is_choked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
