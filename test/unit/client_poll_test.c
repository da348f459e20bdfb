/* SPDX-License-Identifier: Apache-2.0 */
/* libmango: readiness: mango_tcp_poll(), batching, and kernel descriptors. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include "test/lib/client_world.h"

static int poll_n(struct world *w, struct mango_event *events, int max, int timeout_ms)
{
	int n = -1;

	assert_int_equal(mango_tcp_poll(w->tcp, events, max, timeout_ms, &n), 0);
	return n;
}

static void nothing_watched_nothing_reported(void **state)
{
	struct mango_event ev[4];
	struct world w;
	uint64_t start;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_send(w.client, "x", 1, NULL), 0);
	start = world_ms();
	assert_int_equal(poll_n(&w, ev, 4, 50), 0);
	assert_in_range(world_ms() - start, 45, 1000);
	world_down(&w);
}

static void readiness_is_a_level(void **state)
{
	struct mango_event ev[4];
	struct world w;
	char c;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_set_user_data(w.server, &w), 0);
	assert_int_equal(mango_socket_watch(w.server, MANGO_EVENT_IN), 0);
	assert_int_equal(poll_n(&w, ev, 4, 0), 0);
	assert_int_equal(mango_socket_send(w.client, "xy", 2, NULL), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(poll_n(&w, ev, 4, 1000), 1);
		assert_ptr_equal(ev[0].sock, w.server);
		assert_ptr_equal(ev[0].user_data, &w);
		assert_int_equal(ev[0].events, MANGO_EVENT_IN);
	}
	assert_int_equal(mango_socket_recv(w.server, &c, 1, NULL), 0);
	assert_int_equal(poll_n(&w, ev, 4, 0), 1);
	assert_int_equal(mango_socket_recv(w.server, &c, 1, NULL), 0);
	assert_int_equal(poll_n(&w, ev, 4, 0), 0);
	/* What came while nobody watched is seen when somebody does. */
	assert_int_equal(mango_socket_watch(w.server, 0), 0);
	assert_int_equal(mango_socket_send(w.client, "z", 1, NULL), 0);
	assert_int_equal(poll_n(&w, ev, 4, 30), 0);
	assert_int_equal(mango_socket_watch(w.server, MANGO_EVENT_IN), 0);
	assert_int_equal(poll_n(&w, ev, 4, 1000), 1);
	world_down(&w);
}

static void ends_are_always_reported(void **state)
{
	struct mango_event ev[4];
	struct world w;
	char c;
	size_t n;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_watch(w.server, MANGO_EVENT_IN | MANGO_EVENT_RDHUP), 0);
	assert_int_equal(mango_socket_shutdown(w.client, SHUT_WR), 0);
	assert_int_equal(poll_n(&w, ev, 4, 1000), 1);
	assert_int_equal(ev[0].events, MANGO_EVENT_IN | MANGO_EVENT_RDHUP);
	assert_int_equal(mango_socket_recv(w.server, &c, 1, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(mango_socket_watch(w.server, MANGO_EVENT_OUT), 0);
	assert_int_equal(poll_n(&w, ev, 4, 1000), 1);
	assert_int_equal(ev[0].events, MANGO_EVENT_OUT);
	assert_int_equal(mango_socket_abort(w.client), 0);
	do {
		assert_int_equal(poll_n(&w, ev, 4, 1000), 1);
	} while ((ev[0].events & MANGO_EVENT_HUP) == 0);
	assert_int_equal(ev[0].events, MANGO_EVENT_OUT | MANGO_EVENT_HUP | MANGO_EVENT_ERR);
	world_down(&w);
}

static void connect_and_accept_are_events(void **state)
{
	struct mango_socket_options opts = { .size = sizeof(opts), .nonblocking = 1 };
	struct sockaddr_in addr = world_addr(WORLD_PORT);
	bool connected = false, accepted = false;
	struct mango_event ev[4];
	struct world w;

	(void)state;
	world_up(&w, NULL, &opts);
	assert_int_equal(mango_socket_watch(w.lst, MANGO_EVENT_IN), 0);
	assert_int_equal(mango_socket_create(w.tcp, &w.client), 0);
	assert_int_equal(mango_socket_open(w.client, &opts), 0);
	assert_int_equal(mango_socket_watch(w.client, MANGO_EVENT_OUT), 0);
	(void)mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr));
	while (!connected || !accepted) {
		int n = poll_n(&w, ev, 4, 1000);

		assert_true(n > 0);
		for (int i = 0; i < n; i++) {
			if (ev[i].sock == w.lst && !accepted)
				assert_int_equal(mango_socket_accept(w.lst, NULL, NULL, &w.server),
						 0);
			accepted |= ev[i].sock == w.lst;
			connected |= ev[i].sock == w.client;
		}
	}
	assert_int_equal(mango_socket_accept(w.lst, NULL, NULL, &(mango_socket_h){ NULL }),
			 -EAGAIN);
	world_down(&w);
}

static void writability_comes_back(void **state)
{
	struct mango_socket_options opts = { .size = sizeof(opts), .nonblocking = 1 };
	static char big[65536];
	struct mango_event ev[4];
	struct world w;
	size_t n;

	(void)state;
	world_up(&w, NULL, &opts);
	world_pair(&w);
	fake_daemon_hold(w.d, true);
	world_sleep_ms(20);
	assert_int_equal(mango_socket_watch(w.server, MANGO_EVENT_OUT), 0);
	assert_int_equal(poll_n(&w, ev, 4, 0), 1);
	assert_int_equal(mango_socket_send(w.server, big, sizeof(big), &n), 0);
	assert_int_equal(n, sizeof(big));
	assert_int_equal(poll_n(&w, ev, 4, 30), 0);
	fake_daemon_hold(w.d, false);
	assert_int_equal(poll_n(&w, ev, 4, 1000), 1);
	assert_int_equal(ev[0].events, MANGO_EVENT_OUT);
	world_down(&w);
}

static void many_ready_sockets_take_turns(void **state)
{
	enum { PAIRS = 40 };
	mango_socket_h client[PAIRS], server[PAIRS];
	int seen[PAIRS] = { 0 };
	struct mango_event ev[8];
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	for (int i = 0; i < PAIRS; i++) {
		world_pair(&w);
		client[i] = w.client;
		server[i] = w.server;
		assert_int_equal(mango_socket_set_user_data(server[i], &seen[i]), 0);
		assert_int_equal(mango_socket_watch(server[i], MANGO_EVENT_IN), 0);
		assert_int_equal(mango_socket_send(client[i], "x", 1, NULL), 0);
	}
	world_sleep_ms(50);
	for (int round = 0; round < PAIRS / 8 * 3; round++) {
		assert_int_equal(poll_n(&w, ev, 8, 1000), 8);
		for (int i = 0; i < 8; i++)
			++*(int *)ev[i].user_data;
	}
	for (int i = 0; i < PAIRS; i++) {
		assert_in_range(seen[i], 2, 4);
		(void)mango_socket_destroy(client[i]);
		(void)mango_socket_destroy(server[i]);
	}
	w.client = NULL;
	w.server = NULL;
	world_down(&w);
}

static void a_batch_wakes_once(void **state)
{
	enum { PAIRS = 32 };
	mango_socket_h client[PAIRS], server[PAIRS];
	struct fake_daemon_stats before, after;
	struct mango_event ev[4];
	struct world w;
	char c;

	(void)state;
	world_up(&w, NULL, NULL);
	for (int i = 0; i < PAIRS; i++) {
		world_pair(&w);
		client[i] = w.client;
		server[i] = w.server;
	}
	assert_int_equal(mango_tcp_set_batching(w.tcp, true), 0);
	world_sleep_ms(50);
	fake_daemon_stats(w.d, &before);
	for (int i = 0; i < PAIRS; i++)
		assert_int_equal(mango_socket_send(client[i], "x", 1, NULL), 0);
	world_sleep_ms(50);
	fake_daemon_stats(w.d, &after);
	assert_int_equal(after.wakes, before.wakes); /* held back */
	assert_int_equal(poll_n(&w, ev, 4, 0), 0);
	for (int i = 0; i < PAIRS; i++)
		assert_int_equal(mango_socket_recv(server[i], &c, 1, NULL), 0);
	fake_daemon_stats(w.d, &after);
	assert_in_range(after.wakes - before.wakes, 1, 4);
	assert_in_range(after.doorbells - before.doorbells, PAIRS, PAIRS + 2);
	/* A flush alone does it as well. */
	assert_int_equal(mango_socket_send(client[0], "x", 1, NULL), 0);
	assert_int_equal(mango_tcp_flush(w.tcp), 0);
	before = after;
	for (int i = 0; i < 2000 && after.doorbells == before.doorbells; i++) {
		world_sleep_ms(1);
		fake_daemon_stats(w.d, &after);
	}
	assert_true(after.doorbells > before.doorbells);
	for (int i = 0; i < PAIRS; i++) {
		(void)mango_socket_destroy(client[i]);
		(void)mango_socket_destroy(server[i]);
	}
	w.client = NULL;
	w.server = NULL;
	world_down(&w);
}

static void on_alarm(int sig)
{
	(void)sig; /* interrupts, nothing else */
}

static void *poke(void *arg)
{
	world_sleep_ms(50);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void a_signal_ends_poll_but_not_recv(void **state)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct timeval tv = { 0, 150000 };
	pthread_t self = pthread_self(), thread;
	struct mango_event ev[1];
	struct world w;
	uint64_t start;
	char c;
	int n;

	(void)state;
	sigaction(SIGUSR1, &action, NULL);
	world_up(&w, NULL, NULL);
	world_pair(&w);
	pthread_create(&thread, NULL, poke, &self);
	assert_int_equal(mango_tcp_poll(w.tcp, ev, 1, 5000, &n), -EINTR);
	pthread_join(thread, NULL);
	assert_int_equal(
		mango_socket_set_option(w.client, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	start = world_ms();
	pthread_create(&thread, NULL, poke, &self);
	assert_int_equal(mango_socket_recv(w.client, &c, 1, NULL), -EAGAIN);
	assert_in_range(world_ms() - start, 145, 2000);
	pthread_join(thread, NULL);
	world_down(&w);
}

/* Descriptors. */

static short wait_fd(int fd, short events, short until, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	uint64_t start = world_ms();

	do {
		(void)poll(&pfd, 1, 10);
		if ((pfd.revents & until) == until)
			break;
	} while (world_ms() - start < (uint64_t)timeout_ms);
	return pfd.revents;
}

static void a_descriptor_shows_data(void **state)
{
	struct world w;
	size_t n;
	char c = 0;
	int fd;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	fd = mango_socket_get_fd(w.server);
	assert_true(fd >= 0);
	assert_int_equal(mango_socket_get_fd(w.server), fd);
	assert_int_equal(wait_fd(fd, POLLIN | POLLOUT, POLLOUT, 50), POLLOUT);
	assert_int_equal(mango_socket_send(w.client, "xy", 2, NULL), 0);
	assert_int_equal(wait_fd(fd, POLLIN, POLLIN, 1000), POLLIN);
	assert_int_equal(mango_posix_read(fd, &c, 1, &n), 0);
	assert_int_equal(c, 'x');
	assert_int_equal(wait_fd(fd, POLLIN, POLLIN, 50), POLLIN);
	assert_int_equal(mango_posix_read(fd, &c, 1, &n), 0);
	assert_int_equal(wait_fd(fd, POLLIN, POLLIN, 50), 0); /* at once */
	assert_int_equal(mango_posix_write(fd, "a", 1, NULL), 0);
	assert_int_equal(mango_socket_recv(w.client, &c, 1, &n), 0);
	assert_int_equal(c, 'a');
	assert_int_equal(mango_posix_read(0, &c, 1, &n), -EBADF);
	assert_int_equal(mango_posix_read(-1, &c, 1, &n), -EBADF);
	assert_int_equal(mango_posix_read(1 << 30, &c, 1, &n), -EBADF);
	world_down(&w);
	assert_int_equal(mango_posix_write(fd, "a", 1, NULL), -EBADF);
}

static void vectors_go_through_a_descriptor(void **state)
{
	char a[3], b[10], c[4];
	struct iovec out[3] = { { (void *)(uintptr_t) "abc", 3 },
				{ NULL, 0 },
				{ (void *)(uintptr_t) "defg", 4 } };
	struct iovec in[3] = { { a, 3 }, { c, 0 }, { b, 10 } };
	struct world w;
	size_t n;
	int fd;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	fd = mango_socket_get_fd(w.client);
	assert_int_equal(mango_posix_writev(fd, out, 3, &n), 0);
	assert_int_equal(n, 7);
	world_sleep_ms(30);
	fd = mango_socket_get_fd(w.server);
	assert_int_equal(mango_posix_readv(fd, in, 3, &n), 0);
	assert_int_equal(n, 7);
	assert_memory_equal(a, "abc", 3);
	assert_memory_equal(b, "defg", 4);
	assert_int_equal(mango_posix_readv(fd, in, -1, &n), -EINVAL);
	assert_int_equal(mango_posix_readv(fd, NULL, 1, &n), -EFAULT);
	world_down(&w);
}

static void a_descriptor_shows_a_full_buffer(void **state)
{
	struct mango_socket_options opts = { .size = sizeof(opts), .nonblocking = 1 };
	static char big[65536];
	struct world w;
	size_t n;
	int fd;

	(void)state;
	world_up(&w, NULL, &opts);
	world_pair(&w);
	fd = mango_socket_get_fd(w.server);
	fake_daemon_hold(w.d, true);
	world_sleep_ms(20);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(mango_posix_write(fd, big, sizeof(big), &n), 0);
		assert_int_equal(n, sizeof(big));
		assert_int_equal(wait_fd(fd, POLLOUT, POLLOUT, 50), 0);
		fake_daemon_hold(w.d, false);
		assert_int_equal(wait_fd(fd, POLLOUT, POLLOUT, 1000), POLLOUT);
		for (size_t got = 0; got < sizeof(big); got += n)
			assert_int_equal(mango_socket_recv(w.client, big, sizeof(big), &n), 0);
		fake_daemon_hold(w.d, true);
		world_sleep_ms(20);
	}
	fake_daemon_hold(w.d, false);
	world_down(&w);
}

static void a_descriptor_shows_the_end(void **state)
{
	struct world w;
	size_t n = 9;
	char c;
	int fd;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	fd = mango_socket_get_fd(w.server);
	assert_int_equal(mango_socket_send(w.client, "x", 1, NULL), 0);
	assert_int_equal(mango_socket_shutdown(w.client, SHUT_WR), 0);
	assert_int_equal(wait_fd(fd, POLLIN | POLLRDHUP, POLLIN | POLLRDHUP, 1000),
			 POLLIN | POLLRDHUP);
	assert_int_equal(mango_posix_read(fd, &c, 1, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(mango_posix_read(fd, &c, 1, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(wait_fd(fd, POLLIN | POLLRDHUP, POLLIN | POLLRDHUP, 50),
			 POLLIN | POLLRDHUP);
	assert_int_equal(mango_socket_abort(w.client), 0);
	assert_true((wait_fd(fd, POLLIN, POLLHUP, 1000) & POLLHUP) != 0);
	assert_int_equal(mango_posix_write(fd, "x", 1, NULL), -ECONNRESET);
	world_down(&w);
}

static void a_listener_has_a_descriptor_for_epoll(void **state)
{
	struct mango_socket_options opts = { .size = sizeof(opts), .nonblocking = 1 };
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0), fd;
	mango_socket_h extra;
	struct world w;

	(void)state;
	world_up(&w, NULL, &opts);
	fd = mango_socket_get_fd(w.lst);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	assert_int_equal(epoll_wait(ep, &ev, 1, 30), 0);
	assert_int_equal(mango_socket_accept(w.lst, NULL, NULL, &extra), -EAGAIN);
	world_pair(&w);
	assert_int_equal(epoll_wait(ep, &ev, 1, 30), 0); /* taken already */
	assert_int_equal(mango_socket_create(w.tcp, &extra), 0);
	assert_int_equal(mango_socket_connect(extra, (struct sockaddr *)&(struct sockaddr_in){ 0 },
					      1),
			 -EINVAL);
	assert_int_equal(mango_socket_destroy(extra), 0);
	close(ep);
	world_down(&w);
}

static void a_connecting_descriptor_becomes_writable(void **state)
{
	struct mango_socket_options opts = { .size = sizeof(opts), .nonblocking = 1 };
	struct sockaddr_in addr = world_addr(FAKE_PORT_SILENT);
	struct world w;
	int fd, value = -1;
	socklen_t len = sizeof(value);

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_socket_create(w.tcp, &w.client), 0);
	assert_int_equal(mango_socket_open(w.client, &opts), 0);
	fd = mango_socket_get_fd(w.client);
	assert_int_equal(mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr)),
			 -EINPROGRESS);
	assert_int_equal(wait_fd(fd, POLLIN | POLLOUT, POLLOUT, 50), 0);
	assert_int_equal(mango_socket_destroy(w.client), 0);
	assert_int_equal(mango_socket_create(w.tcp, &w.client), 0);
	assert_int_equal(mango_socket_open(w.client, &opts), 0);
	fd = mango_socket_get_fd(w.client);
	addr = world_addr(WORLD_PORT);
	(void)mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr));
	assert_int_equal(wait_fd(fd, POLLIN | POLLOUT, POLLOUT, 1000), POLLOUT);
	assert_int_equal(mango_socket_get_option(w.client, SOL_SOCKET, SO_ERROR, &value, &len), 0);
	assert_int_equal(value, 0);
	world_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_watched_nothing_reported),
		cmocka_unit_test(readiness_is_a_level),
		cmocka_unit_test(ends_are_always_reported),
		cmocka_unit_test(connect_and_accept_are_events),
		cmocka_unit_test(writability_comes_back),
		cmocka_unit_test(many_ready_sockets_take_turns),
		cmocka_unit_test(a_batch_wakes_once),
		cmocka_unit_test(a_signal_ends_poll_but_not_recv),
		cmocka_unit_test(a_descriptor_shows_data),
		cmocka_unit_test(vectors_go_through_a_descriptor),
		cmocka_unit_test(a_descriptor_shows_a_full_buffer),
		cmocka_unit_test(a_descriptor_shows_the_end),
		cmocka_unit_test(a_listener_has_a_descriptor_for_epoll),
		cmocka_unit_test(a_connecting_descriptor_becomes_writable),
	};

	return cmocka_run_group_tests_name("client_poll", tests, NULL, NULL);
}
