/* SPDX-License-Identifier: Apache-2.0 */
/* libmango: urgent data, against the fake daemon; and what a POSIX face builds on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libclient/mango/handle.h"
#include "test/lib/client_world.h"

static uint32_t polled(struct world *w, uint32_t interest)
{
	struct mango_event ev;
	int n;

	assert_int_equal(mango_socket_watch(w->server, interest), 0);
	assert_int_equal(mango_tcp_poll(w->tcp, &ev, 1, 50, &n), 0);
	assert_int_equal(mango_socket_watch(w->server, 0), 0);
	return n == 1 ? ev.events : 0;
}

static void await_mark(struct world *w, int64_t ahead)
{
	int64_t got = 0;

	for (int i = 0; i < 2000; i++) {
		if (mango_socket_urgent(w->server, &got) == 0 && got == ahead)
			return;
		world_sleep_ms(1);
		(void)polled(w, 0);
	}
	assert_int_equal(got, ahead);
}

static void comes_in_line_with_a_mark(void **state)
{
	struct world w;
	char buf[16];
	int64_t ahead;
	size_t n;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_urgent(w.server, &ahead), -EAGAIN);
	assert_int_equal(mango_socket_urgent(w.lst, &ahead), -ENOTCONN);
	assert_int_equal(mango_socket_urgent(w.server, NULL), -EFAULT);
	assert_int_equal(mango_socket_send(w.client, "ab", 2, NULL), 0);
	assert_int_equal(mango_socket_send_urgent(w.client, "!", 1, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(mango_socket_send(w.client, "cd", 2, NULL), 0);
	await_mark(&w, 3);
	assert_int_equal(polled(&w, MANGO_EVENT_PRI), MANGO_EVENT_PRI);
	assert_int_equal(mango_socket_recv(w.server, buf, 2, &n), 0);
	assert_int_equal(mango_socket_urgent(w.server, &ahead), 0);
	assert_int_equal(ahead, 1); /* at the mark, as BSD counts */
	assert_int_equal(polled(&w, MANGO_EVENT_PRI), MANGO_EVENT_PRI);
	assert_int_equal(mango_socket_recv(w.server, buf + 2, 3, &n), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(buf, "ab!cd", 5);
	assert_int_equal(mango_socket_urgent(w.server, &ahead), 0);
	assert_int_equal(ahead, -2);
	assert_int_equal(polled(&w, MANGO_EVENT_PRI), 0);
	world_down(&w);
}

/* The receiver has no room, and yet it knows. */
static void is_told_ahead_of_its_data(void **state)
{
	struct fake_daemon_conf conf = { .ring_bytes = 4096 };
	static char bulk[4096];
	struct world w;

	(void)state;
	world_up(&w, &conf, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_send(w.client, bulk, sizeof(bulk), NULL), 0);
	assert_int_equal(mango_socket_send_urgent(w.client, "x", 1, NULL), 0);
	await_mark(&w, 4097);
	world_down(&w);
}

/* MSG_OOB of a face: looks at the octet, reads up to it, and steps over it. */
static void what_a_face_needs(void **state)
{
	struct world w;
	struct mg_conn *conn;
	uint8_t octet = 0;
	int64_t ahead;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	conn = mg_socket_of(w.server)->conn;
	assert_int_equal(mg_conn_peek_at(conn, 0, &octet), -EAGAIN);
	assert_int_equal(mango_socket_send_urgent(w.client, "abcX", 4, NULL), 0);
	await_mark(&w, 4);
	assert_true(mg_conn_urgent(conn, &ahead));
	while (mg_conn_peek_at(conn, (uint64_t)ahead - 1, &octet) == -EAGAIN)
		(void)polled(&w, MANGO_EVENT_IN);
	assert_int_equal(octet, 'X');
	assert_int_equal(mg_conn_peek_at(conn, 4, &octet), -EAGAIN);
	world_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_in_line_with_a_mark),
		cmocka_unit_test(is_told_ahead_of_its_data),
		cmocka_unit_test(what_a_face_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
