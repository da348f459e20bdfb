/* SPDX-License-Identifier: Apache-2.0 */
/* libmango: opening, connecting, data, ends, errors; against the fake daemon. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/shm/abi.h"
#include "test/lib/client_world.h"

static void expect_recv(mango_socket_h sock, const char *text)
{
	char buf[256];
	size_t got = 0, n;

	while (got < strlen(text)) {
		assert_int_equal(mango_socket_recv(sock, buf + got, sizeof(buf) - got, &n), 0);
		assert_true(n > 0);
		got += n;
	}
	assert_memory_equal(buf, text, got);
}

static void nobody_there_is_refused_at_once(void **state)
{
	uint64_t start = world_ms();
	mango_ipc_h ipc;

	(void)state;
	setenv("MANGO_RUNTIME_DIR", "/nonexistent", 1);
	assert_int_equal(mango_ipc_open("local:mango", false, &ipc), -ECONNREFUSED);
	assert_int_equal(mango_ipc_open(NULL, false, &ipc), -ECONNREFUSED);
	assert_null(ipc);
	assert_int_equal(mango_ipc_open("local:/nonexistent/x", false, &ipc), -ECONNREFUSED);
	unsetenv("MANGO_RUNTIME_DIR");
	assert_true(world_ms() - start < 1000);
}

static void nonsense_addresses_are_refused(void **state)
{
	mango_ipc_h ipc;

	(void)state;
	assert_int_equal(mango_ipc_open("local:", false, &ipc), -EINVAL);
	assert_int_equal(mango_ipc_open("local:../x", false, &ipc), -EINVAL);
	assert_int_equal(mango_ipc_open("nonsense", false, &ipc), -EINVAL);
	assert_int_equal(mango_ipc_open("host:", false, &ipc), -EINVAL);
	assert_int_equal(mango_ipc_open("unix:x", false, &ipc), -EINVAL);
	assert_int_equal(mango_ipc_open("iceoryx:x", false, &ipc), -ELIBACC);
	assert_int_equal(mango_ipc_open("local:x", true, &ipc), -ENOTSUP);
	assert_int_equal(mango_ipc_open("local:x", false, NULL), -EFAULT);
}

static void another_build_is_refused_clearly(void **state)
{
	struct fake_daemon_conf conf = { .wrong_hash = true };
	struct fake_daemon *d;
	mango_ipc_h ipc;
	mango_tcp_h tcp;

	(void)state;
	assert_int_equal(fake_daemon_start(&conf, &d), 0);
	assert_int_equal(mango_ipc_open(fake_daemon_address(d), false, &ipc), 0);
	assert_int_equal(mango_tcp_create(ipc, &tcp), -EPROTO);
	assert_null(tcp);
	assert_int_equal(mango_ipc_close(ipc), 0);
	fake_daemon_stop(d);
}

static void a_refused_user_is_told_why(void **state)
{
	struct fake_daemon_conf conf = { .refuse = true };
	struct fake_daemon *d;
	mango_ipc_h ipc;
	mango_tcp_h tcp;
	char text[256];

	(void)state;
	assert_int_equal(fake_daemon_start(&conf, &d), 0);
	assert_int_equal(mango_ipc_open(fake_daemon_address(d), false, &ipc), 0);
	assert_int_equal(mango_tcp_create(&tcp), 0);
	assert_int_equal(mango_tcp_set_ipc(tcp, ipc), -EACCES);
	assert_int_equal(mango_ipc_error_text(ipc, text, sizeof(text)), 0);
	assert_string_equal(text, "attach: user is not allowed");
	assert_int_equal(mango_tcp_destroy(tcp), 0);
	assert_int_equal(mango_ipc_close(ipc), 0);
	fake_daemon_stop(d);
}

static void handles_are_checked(void **state)
{
	mango_socket_h sock;
	mango_tcp_h tcp;
	struct world w;
	int n;

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_tcp_destroy(w.ipc), -EBADF);
	assert_int_equal(mango_socket_send(w.tcp, "x", 1, NULL), -EBADF);
	assert_int_equal(mango_socket_send(NULL, "x", 1, NULL), -EBADF);
	assert_int_equal(mango_ipc_close(NULL), 0);
	assert_int_equal(mango_socket_destroy(NULL), 0);
	assert_int_equal(mango_tcp_destroy(w.tcp), -EBUSY); /* the listener */
	assert_int_equal(mango_tcp_create(&tcp), 0);
	assert_int_equal(mango_socket_create(tcp, &sock), -ENOTCONN); /* no daemon yet */
	assert_int_equal(mango_tcp_poll(tcp, &(struct mango_event){ 0 }, 1, 0, &n), -ENOTCONN);
	assert_int_equal(mango_tcp_set_ipc(tcp, w.ipc), 0);
	assert_int_equal(mango_tcp_set_ipc(tcp, w.ipc), 0); /* again: nothing */
	assert_int_equal(mango_socket_create(tcp, &sock), 0);
	assert_int_equal(mango_socket_send(sock, "x", 1, NULL), -ENOTCONN);
	assert_int_equal(mango_socket_recv(sock, &n, 1, NULL), -ENOTCONN);
	assert_int_equal(mango_socket_shutdown(sock, SHUT_WR), -ENOTCONN);
	assert_int_equal(mango_socket_shutdown(sock, 17), -EINVAL);
	w.client = sock;
	assert_int_equal(mango_socket_accept(w.client, NULL, NULL, &sock), -EINVAL);
	assert_null(sock);
	assert_int_equal(mango_tcp_destroy(tcp), -EBUSY);
	assert_int_equal(mango_socket_destroy(w.client), 0);
	assert_int_equal(mango_tcp_destroy(tcp), 0);
	w.client = NULL;
	world_down(&w);
}

static void health_and_config(void **state)
{
	struct mango_health h;
	char buf[32], text[256];
	struct world w;
	size_t len;

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_ipc_health_check(w.ipc, &h), 0);
	assert_int_equal(h.serving, MANGO_SERVING);
	assert_int_equal(h.pid, getpid());
	assert_string_equal(h.instance, "test");
	assert_int_equal(h.listeners, 1);
	assert_int_equal(mango_ipc_set_config(w.ipc, "log.level", "debug"), 0);
	assert_int_equal(mango_ipc_get_config(w.ipc, "log.level", buf, sizeof(buf), &len), 0);
	assert_string_equal(buf, "debug");
	assert_int_equal(len, 5);
	assert_int_equal(mango_ipc_get_config(w.ipc, "log.level", buf, 3, &len), -ERANGE);
	assert_string_equal(buf, "de");
	assert_int_equal(len, 5);
	assert_int_equal(mango_ipc_get_config(w.ipc, "log.level", NULL, 0, &len), 0);
	assert_int_equal(mango_ipc_get_config(w.ipc, "log.", buf, sizeof(buf), NULL), -ENOENT);
	assert_int_equal(mango_ipc_set_config(w.ipc, "no.such", "1"), -ENOENT);
	assert_int_equal(mango_ipc_error_text(w.ipc, text, sizeof(text)), 0);
	assert_string_equal(text, "no.such: no such key");
	world_down(&w);
}

static int count_config(const struct mango_config *config, void *user)
{
	assert_non_null(strchr(config->key, '.'));
	assert_true(config->is_runtime);
	(*(int *)user)++;
	return 0;
}

static int count_counter(const void *item, void *user)
{
	const struct mango_counter *c = item;

	assert_int_equal(c->value, *(uint64_t *)user);
	(*(uint64_t *)user)++;
	return *(uint64_t *)user == 650 ? -E2BIG : 0;
}

static int check_connection(const void *item, void *user)
{
	const struct mango_connection_info *c = item;
	const struct sockaddr_in *remote = (const struct sockaddr_in *)&c->remote;

	assert_string_equal(c->state, "established");
	assert_string_equal(c->congestion, "cubic");
	assert_int_equal(remote->sin_family, AF_INET);
	(*(int *)user)++;
	return 0;
}

static void lists_come_in_pages(void **state)
{
	struct world w;
	uint64_t nr = 0;
	int n = 0;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_ipc_list_config(w.ipc, NULL, count_config, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(mango_ipc_list_config(w.ipc, "tcp.", count_config, &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(mango_ipc_query(w.ipc, MANGO_QUERY_STATS, count_counter, &nr), -E2BIG);
	nr = 651;
	assert_int_equal(mango_ipc_query(w.ipc, 77, count_counter, &nr), -EINVAL);
	n = 0;
	assert_int_equal(mango_ipc_query(w.ipc, MANGO_QUERY_CONNECTIONS, check_connection, &n), 0);
	assert_int_equal(n, 2);
	world_down(&w);
}

static void bytes_go_both_ways(void **state)
{
	struct sockaddr_in name, peer;
	socklen_t len = sizeof(name);
	struct world w;
	size_t sent;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_send(w.client, "hello", 5, &sent), 0);
	assert_int_equal(sent, 5);
	expect_recv(w.server, "hello");
	assert_int_equal(mango_socket_send(w.server, "there", 5, NULL), 0);
	expect_recv(w.client, "there");
	assert_int_equal(mango_socket_getsockname(w.client, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(len, sizeof(name));
	assert_int_equal(mango_socket_getpeername(w.server, (struct sockaddr *)&peer, &len), 0);
	assert_int_equal(name.sin_port, peer.sin_port);
	assert_int_equal(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	len = 4;
	assert_int_equal(mango_socket_getsockname(w.lst, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(ntohs(name.sin_port), WORLD_PORT);
	assert_int_equal(len, sizeof(name));
	assert_int_equal(mango_socket_connect(w.client, (struct sockaddr *)&peer, sizeof(peer)),
			 -EISCONN);
	world_down(&w);
}

static void *send_much(void *arg)
{
	struct world *w = arg;
	uint8_t *buf = malloc(1 << 20);
	uint32_t x = 1;

	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < 1 << 20; i++) {
			x = x * 1664525 + 1013904223;
			buf[i] = (uint8_t)(x >> 24);
		}
		assert_int_equal(mango_socket_send(w->client, buf, 1 << 20, NULL), 0);
	}
	assert_int_equal(mango_socket_shutdown(w->client, SHUT_WR), 0);
	free(buf);
	return NULL;
}

/* More than the rings hold, in odd pieces, blocking on both sides. */
static void bulk_arrives_in_order(void **state)
{
	struct fake_daemon_conf conf = { .ring_bytes = 16384 };
	uint32_t x = 1;
	uint64_t total = 0;
	pthread_t thread;
	uint8_t buf[7777];
	struct world w;
	size_t n;

	(void)state;
	world_up(&w, &conf, NULL);
	world_pair(&w);
	pthread_create(&thread, NULL, send_much, &w);
	do {
		assert_int_equal(
			mango_socket_recv(w.server, buf, 1 + (size_t)(total % sizeof(buf)), &n), 0);
		for (size_t i = 0; i < n; i++) {
			x = x * 1664525 + 1013904223;
			assert_int_equal(buf[i], (uint8_t)(x >> 24));
		}
		total += n;
	} while (n > 0);
	assert_int_equal(total, 4 << 20);
	pthread_join(thread, NULL);
	world_down(&w);
}

static void end_of_stream_is_zero(void **state)
{
	struct world w;
	char c = 0;
	size_t n = 99;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_send(w.client, "x", 1, NULL), 0);
	assert_int_equal(mango_socket_shutdown(w.client, SHUT_WR), 0);
	assert_int_equal(mango_socket_send(w.client, "y", 1, NULL), -EPIPE);
	expect_recv(w.server, "x");
	assert_int_equal(mango_socket_recv(w.server, &c, 1, &n), 0);
	assert_int_equal(n, 0);
	/* The other direction lives. */
	assert_int_equal(mango_socket_send(w.server, "z", 1, NULL), 0);
	expect_recv(w.client, "z");
	assert_int_equal(mango_socket_close(w.server), 0);
	assert_int_equal(mango_socket_send(w.server, "y", 1, NULL), -EBADF);
	assert_int_equal(mango_socket_recv(w.client, &c, 1, &n), 0);
	assert_int_equal(n, 0);
	world_down(&w);
}

static void a_reset_comes_after_the_data(void **state)
{
	struct world w;
	char c;
	size_t n;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_send(w.client, "abc", 3, NULL), 0);
	world_sleep_ms(20);
	assert_int_equal(mango_socket_abort(w.client), 0);
	world_sleep_ms(20);
	expect_recv(w.server, "abc");
	assert_int_equal(mango_socket_recv(w.server, &c, 1, &n), -ECONNRESET);
	assert_int_equal(mango_socket_send(w.server, &c, 1, &n), -ECONNRESET);
	world_down(&w);
}

/* Others write there, too: what is no errno must not be taken for so many bytes sent. */
static void an_error_that_is_none(void **state)
{
	struct mg_shm_window *shm;
	struct world w;
	size_t n = 99;
	char c = 0;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	shm = world_window(w.client);
	atomic_store(&shm->error, UINT32_MAX - 1);
	atomic_store(&shm->state, MG_SHM_ST_CLOSED);
	assert_int_equal(mango_socket_send(w.client, "xyz", 3, &n), -EPIPE);
	assert_int_equal(n, 0);
	assert_int_equal(mango_socket_recv(w.client, &c, 1, &n), 0);
	assert_int_equal(n, 0);
	world_down(&w);
}

static void refused_and_silent_connects(void **state)
{
	struct sockaddr_in addr = world_addr(1234);
	struct mango_socket_options opts = { .size = sizeof(opts), .connect_timeout_ms = 60 };
	uint64_t start;
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_socket_create(w.tcp, &w.client), 0);
	assert_int_equal(mango_socket_open(w.client, &opts), 0);
	assert_int_equal(mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr)),
			 -ECONNREFUSED);
	addr = world_addr(FAKE_PORT_SILENT);
	start = world_ms();
	assert_int_equal(mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr)),
			 -ETIMEDOUT);
	assert_in_range(world_ms() - start, 50, 1000);
	/* It can be tried again. */
	addr = world_addr(WORLD_PORT);
	assert_int_equal(mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(mango_socket_connect(w.client, (struct sockaddr *)&addr, 3), -EISCONN);
	world_down(&w);
}

static void non_blocking_says_again(void **state)
{
	struct mango_socket_options opts = { .size = sizeof(opts), .nonblocking = 1 };
	struct sockaddr_in addr = world_addr(WORLD_PORT);
	mango_socket_h sock;
	int err, tries = 0, value = -1;
	socklen_t len = sizeof(value);
	struct world w;
	char big[70000] = { 0 };
	size_t n;

	(void)state;
	world_up(&w, NULL, &opts);
	assert_int_equal(mango_socket_accept(w.lst, NULL, NULL, &sock), -EAGAIN);
	assert_int_equal(mango_socket_create(w.tcp, &w.client), 0);
	assert_int_equal(mango_socket_open(w.client, &opts), 0);
	err = mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr));
	while ((err == -EINPROGRESS || err == -EALREADY) && tries++ < 1000) {
		world_sleep_ms(1);
		err = mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr));
	}
	assert_int_equal(err, 0);
	assert_int_equal(mango_socket_get_option(w.client, SOL_SOCKET, SO_ERROR, &value, &len), 0);
	assert_int_equal(value, 0);
	assert_int_equal(mango_socket_accept(w.lst, NULL, NULL, &w.server), 0);
	assert_int_equal(mango_socket_recv(w.client, big, 1, &n), -EAGAIN);
	assert_int_equal(mango_socket_recv(w.server, big, 1, &n), -EAGAIN); /* inherited */
	fake_daemon_hold(w.d, true);
	world_sleep_ms(20);
	assert_int_equal(mango_socket_send(w.client, big, sizeof(big), NULL), -EMSGSIZE);
	assert_int_equal(mango_socket_send(w.client, big, 60000, NULL), 0);
	assert_int_equal(mango_socket_send(w.client, big, 6000, NULL),
			 -EAGAIN); /* all or nothing */
	assert_int_equal(mango_socket_send(w.client, big, 6000, &n), 0);
	assert_int_equal(n, 5536);
	assert_int_equal(mango_socket_send(w.client, big, 6000, &n), -EAGAIN);
	assert_int_equal(n, 0);
	fake_daemon_hold(w.d, false);
	world_down(&w);
}

static void timeouts_of_receive_send_and_accept(void **state)
{
	struct timeval tv = { 0, 40000 };
	char big[100000] = { 0 };
	mango_socket_h sock;
	struct world w;
	uint64_t start;
	size_t n;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(
		mango_socket_set_option(w.client, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(
		mango_socket_set_option(w.client, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(mango_socket_set_option(w.lst, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)),
			 0);
	start = world_ms();
	assert_int_equal(mango_socket_recv(w.client, big, 1, &n), -EAGAIN);
	assert_in_range(world_ms() - start, 35, 1000);
	assert_int_equal(mango_socket_accept(w.lst, NULL, NULL, &sock), -EAGAIN);
	fake_daemon_hold(w.d, true);
	world_sleep_ms(20);
	start = world_ms();
	assert_int_equal(mango_socket_send(w.client, big, sizeof(big), &n), 0);
	assert_int_equal(n, 65536);
	assert_in_range(world_ms() - start, 35, 1000);
	assert_int_equal(mango_socket_send(w.client, big, sizeof(big), &n), -EAGAIN);
	fake_daemon_hold(w.d, false);
	world_down(&w);
}

static void lost_events_are_made_up_for(void **state)
{
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	fake_daemon_lose_events(w.d, true);
	world_pair(&w);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(mango_socket_send(w.client, "hello", 5, NULL), 0);
		expect_recv(w.server, "hello");
		assert_int_equal(mango_socket_send(w.server, "there", 5, NULL), 0);
		expect_recv(w.client, "there");
	}
	assert_int_equal(mango_socket_destroy(w.client), 0);
	assert_int_equal(mango_socket_destroy(w.server), 0);
	world_pair(&w);
	expect_recv(w.client, "");
	world_down(&w);
}

static void many_connections_need_few_requests(void **state)
{
	struct fake_daemon_stats before, after;
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	fake_daemon_stats(w.d, &before);
	for (int i = 0; i < 500; i++) {
		world_pair(&w);
		assert_int_equal(mango_socket_send(w.server, "x", 1, NULL), 0);
		assert_int_equal(mango_socket_destroy(w.server), 0);
		expect_recv(w.client, "x");
		assert_int_equal(mango_socket_destroy(w.client), 0);
		w.client = NULL;
		w.server = NULL;
	}
	fake_daemon_stats(w.d, &after);
	/* One to connect each; accepting costs one for half a backlog. */
	assert_in_range(after.requests - before.requests, 500, 500 + 500 / 32 + 2);
	for (int i = 0; i < 1000 && after.windows > 0; i++) {
		world_sleep_ms(1);
		fake_daemon_stats(w.d, &after);
	}
	assert_int_equal(after.windows, 0);
	world_down(&w);
}

static void closing_a_listener_resets_who_waits(void **state)
{
	struct sockaddr_in addr = world_addr(WORLD_PORT);
	struct world w;
	size_t n;
	char c;

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_socket_create(w.tcp, &w.client), 0);
	assert_int_equal(mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(mango_socket_close(w.lst), 0);
	assert_int_equal(mango_socket_recv(w.client, &c, 1, &n), -ECONNRESET);
	assert_int_equal(mango_socket_destroy(w.client), 0);
	assert_int_equal(mango_socket_create(w.tcp, &w.client), 0);
	assert_int_equal(mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr)),
			 -ECONNREFUSED);
	world_down(&w);
}

/* Its announcement lies in the listener's ring, and nobody looks there after the close. */
static void closing_a_listener_resets_who_was_just_announced(void **state)
{
	struct sockaddr_in addr = world_addr(WORLD_PORT);
	struct timeval tv = { 2, 0 };
	mango_tcp_h other;
	struct world w;
	size_t n;
	char c;

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_tcp_create(w.ipc, &other), 0);
	assert_int_equal(mango_socket_create(other, &w.client), 0);
	assert_int_equal(
		mango_socket_set_option(w.client, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(mango_socket_close(w.lst), 0);
	assert_int_equal(mango_socket_recv(w.client, &c, 1, &n), -ECONNRESET);
	assert_int_equal(mango_socket_destroy(w.client), 0);
	w.client = NULL;
	assert_int_equal(mango_tcp_destroy(other), 0);
	world_down(&w);
}

static void a_taken_port_is_told(void **state)
{
	struct sockaddr_in addr = world_addr(WORLD_PORT);
	mango_socket_h sock;
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_socket_create(w.tcp, &sock), 0);
	assert_int_equal(mango_socket_bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(mango_socket_bind(sock, (struct sockaddr *)&addr, sizeof(addr)), -EINVAL);
	assert_int_equal(mango_socket_listen(sock, 1), -EADDRINUSE);
	assert_int_equal(mango_socket_destroy(sock), 0);
	world_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_there_is_refused_at_once),
		cmocka_unit_test(nonsense_addresses_are_refused),
		cmocka_unit_test(another_build_is_refused_clearly),
		cmocka_unit_test(a_refused_user_is_told_why),
		cmocka_unit_test(handles_are_checked),
		cmocka_unit_test(health_and_config),
		cmocka_unit_test(lists_come_in_pages),
		cmocka_unit_test(bytes_go_both_ways),
		cmocka_unit_test(bulk_arrives_in_order),
		cmocka_unit_test(end_of_stream_is_zero),
		cmocka_unit_test(a_reset_comes_after_the_data),
		cmocka_unit_test(an_error_that_is_none),
		cmocka_unit_test(refused_and_silent_connects),
		cmocka_unit_test(non_blocking_says_again),
		cmocka_unit_test(timeouts_of_receive_send_and_accept),
		cmocka_unit_test(lost_events_are_made_up_for),
		cmocka_unit_test(many_connections_need_few_requests),
		cmocka_unit_test(closing_a_listener_resets_who_waits),
		cmocka_unit_test(closing_a_listener_resets_who_was_just_announced),
		cmocka_unit_test(a_taken_port_is_told),
	};

	return cmocka_run_group_tests_name("client_conn", tests, NULL, NULL);
}
