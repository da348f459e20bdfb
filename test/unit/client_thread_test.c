/* SPDX-License-Identifier: Apache-2.0 */
/* libmango: many threads on one handle, and the daemon's death. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "test/lib/client_world.h"

#define THREADS 6
#define ROUNDS 300

struct job {
	struct world *w;
	mango_tcp_h tcp;
	int result;
	size_t n;
	pthread_t thread;
};

static int echo_once(mango_socket_h sock, char c)
{
	char in = 0;
	size_t n = 0;
	int err = mango_socket_send(sock, &c, 1, NULL);

	if (err == 0)
		err = mango_socket_recv(sock, &in, 1, &n);
	if (err == 0 && (n != 1 || in != c))
		err = -EBADMSG;
	return err;
}

static void *client_main(void *arg)
{
	struct sockaddr_in addr = world_addr(WORLD_PORT);
	struct job *job = arg;
	mango_socket_h sock;

	job->result = 0;
	for (int i = 0; i < ROUNDS / 10 && job->result == 0; i++) {
		job->result = mango_socket_create(job->tcp, &sock);
		if (job->result == 0)
			job->result = mango_socket_connect(sock, (struct sockaddr *)&addr,
							   sizeof(addr));
		for (int k = 0; k < 10 && job->result == 0; k++)
			job->result = echo_once(sock, (char)('a' + k));
		(void)mango_socket_destroy(sock);
	}
	return NULL;
}

static void *server_main(void *arg)
{
	struct job *job = arg;
	mango_socket_h sock;
	char c;
	size_t n;

	for (;;) {
		job->result = mango_socket_accept(job->w->lst, NULL, NULL, &sock);
		if (job->result < 0)
			return NULL;
		while (mango_socket_recv(sock, &c, 1, &n) == 0 && n == 1)
			(void)mango_socket_send(sock, &c, 1, NULL);
		(void)mango_socket_destroy(sock);
	}
}

static void run_threads(struct world *w, mango_tcp_h client_tcp)
{
	struct job clients[THREADS], servers[THREADS];

	for (int i = 0; i < THREADS; i++) {
		clients[i] = (struct job){ .w = w, .tcp = client_tcp };
		servers[i] = (struct job){ .w = w, .tcp = w->tcp };
		pthread_create(&servers[i].thread, NULL, server_main, &servers[i]);
		pthread_create(&clients[i].thread, NULL, client_main, &clients[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(clients[i].thread, NULL);
		assert_int_equal(clients[i].result, 0);
	}
	assert_int_equal(mango_socket_shutdown(w->lst, SHUT_RDWR), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(servers[i].thread, NULL);
		assert_int_equal(servers[i].result, -EINVAL);
	}
}

/* Clients and servers are leaders and followers of one another. */
static void threads_share_one_handle(void **state)
{
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	run_threads(&w, w.tcp);
	world_down(&w);
}

static void threads_use_two_handles_and_two_workers(void **state)
{
	struct fake_daemon_conf conf = { .nr_workers = 2 };
	mango_tcp_h other;
	struct world w;

	(void)state;
	world_up(&w, &conf, NULL);
	assert_int_equal(mango_tcp_create(w.ipc, &other), 0);
	run_threads(&w, other);
	assert_int_equal(mango_tcp_destroy(other), 0);
	world_down(&w);
}

static void handles_are_used_again(void **state)
{
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL); /* room for 4 contexts */
	for (int i = 0; i < 20; i++) {
		mango_tcp_h tcp;

		assert_int_equal(mango_tcp_create(w.ipc, &tcp), 0);
		assert_int_equal(mango_tcp_destroy(tcp), 0);
	}
	/* The daemon keeps what the first handles leave when the IPC handle goes first. */
	world_pair(&w);
	assert_int_equal(mango_ipc_close(w.ipc), 0);
	w.ipc = NULL;
	assert_int_equal(mango_socket_send(w.client, "x", 1, NULL), 0);
	world_down(&w);
}

static void *notifier_user(void *arg)
{
	struct job *job = arg;
	int fd = mango_socket_get_fd(job->w->server);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char c;

	job->result = 0;
	for (int i = 0; i < ROUNDS && job->result == 0; i++) {
		if (poll(&pfd, 1, 5000) != 1) {
			job->result = -ETIMEDOUT;
			break;
		}
		do {
			job->result = mango_posix_read(fd, &c, 1, &job->n);
		} while (job->result == -EAGAIN);
		if (job->result == 0)
			job->result = mango_posix_write(fd, &c, 1, NULL);
	}
	return NULL;
}

/* The notifier thread leads, the client follows. */
static void a_descriptor_beside_blocking_calls(void **state)
{
	struct job job;
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	job = (struct job){ .w = &w };
	pthread_create(&job.thread, NULL, notifier_user, &job);
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(echo_once(w.client, (char)i), 0);
	pthread_join(job.thread, NULL);
	assert_int_equal(job.result, 0);
	world_down(&w);
}

/* The death of the daemon. */

static void *blocked_recv(void *arg)
{
	struct job *job = arg;
	char c;

	job->result = mango_socket_recv(job->w->client, &c, 1, &job->n);
	return NULL;
}

static void *blocked_accept(void *arg)
{
	struct job *job = arg;
	mango_socket_h sock;

	job->result = mango_socket_accept(job->w->lst, NULL, NULL, &sock);
	return NULL;
}

static void *blocked_send(void *arg)
{
	static char big[200000];
	struct job *job = arg;

	job->result = mango_socket_send(job->w->server, big, sizeof(big), NULL);
	return NULL;
}

static void *blocked_connect(void *arg)
{
	struct sockaddr_in addr = world_addr(FAKE_PORT_SILENT);
	struct job *job = arg;
	mango_socket_h sock;

	job->result = mango_socket_create(job->w->tcp, &sock);
	if (job->result == 0)
		job->result = mango_socket_connect(sock, (struct sockaddr *)&addr, sizeof(addr));
	(void)mango_socket_destroy(sock);
	return NULL;
}

static void death_wakes_everybody(void **state)
{
	void *(*const mains[])(void *) = { blocked_recv, blocked_accept, blocked_send,
					   blocked_connect };
	struct job jobs[4];
	struct mango_event ev[1];
	struct mango_health h;
	mango_socket_h sock;
	struct pollfd pfd;
	struct world w;
	uint64_t start;
	char c;
	int n;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	fake_daemon_hold(w.d, true);
	pfd = (struct pollfd){ .fd = mango_socket_get_fd(w.client), .events = POLLIN };
	for (int i = 0; i < 4; i++) {
		jobs[i] = (struct job){ .w = &w };
		pthread_create(&jobs[i].thread, NULL, mains[i], &jobs[i]);
	}
	world_sleep_ms(100);
	fake_daemon_stop(w.d);
	w.d = NULL;
	start = world_ms();
	for (int i = 0; i < 4; i++) {
		pthread_join(jobs[i].thread, NULL);
		assert_int_equal(jobs[i].result, -ECONNRESET);
	}
	assert_in_range(world_ms() - start, 0, 200);
	assert_int_equal(poll(&pfd, 1, 1000), 1);
	assert_true((pfd.revents & POLLHUP) != 0);
	assert_int_equal(mango_socket_recv(w.client, &c, 1, NULL), -ECONNRESET);
	assert_int_equal(mango_socket_send(w.client, &c, 1, NULL), -ECONNRESET);
	assert_int_equal(mango_socket_shutdown(w.client, SHUT_WR), -ECONNRESET);
	assert_int_equal(mango_ipc_health_check(w.ipc, &h), -ECONNRESET);
	assert_int_equal(mango_tcp_poll(w.tcp, ev, 1, 1000, &n), -ECONNRESET);
	assert_int_equal(mango_socket_create(w.tcp, &sock), -ENOTCONN);
	world_down(&w);
}

static void death_is_noticed_without_waiting(void **state)
{
	struct mango_socket_options opts = { .size = sizeof(opts), .nonblocking = 1 };
	struct world w;
	size_t n;
	char c;
	int err = -EAGAIN;

	(void)state;
	world_up(&w, NULL, &opts);
	world_pair(&w);
	fake_daemon_stop(w.d);
	w.d = NULL;
	for (int i = 0; i < 1000 && err == -EAGAIN; i++)
		err = mango_socket_recv(w.server, &c, 1, &n);
	assert_int_equal(err, -ECONNRESET);
	world_down(&w);
}

/* A server that always has something ready never waits, and learns of it all the same. */
static void a_busy_loop_notices_death(void **state)
{
	struct mango_event ev[1];
	struct world w;
	int err = 0, n;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_watch(w.server, MANGO_EVENT_OUT), 0);
	fake_daemon_stop(w.d);
	w.d = NULL;
	for (int i = 0; i < 1000 && err == 0; i++)
		err = mango_tcp_poll(w.tcp, ev, 1, -1, &n);
	assert_int_equal(err, -ECONNRESET);
	world_down(&w);
}

static void new_sockets_of_a_dead_daemon_are_not_connected(void **state)
{
	struct sockaddr_in addr = world_addr(WORLD_PORT);
	mango_socket_h sock;
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_socket_create(w.tcp, &sock), 0);
	fake_daemon_stop(w.d);
	w.d = NULL;
	assert_int_equal(mango_socket_connect(sock, (struct sockaddr *)&addr, sizeof(addr)),
			 -ENOTCONN);
	assert_int_equal(mango_socket_listen(sock, 1), -ENOTCONN);
	assert_int_equal(mango_socket_destroy(sock), 0);
	world_down(&w);
}

static void a_new_daemon_is_attached_to(void **state)
{
	struct world w;

	(void)state;
	for (int i = 0; i < 3; i++) {
		world_up(&w, NULL, NULL);
		world_pair(&w);
		fake_daemon_stop(w.d);
		w.d = NULL;
		world_down(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_share_one_handle),
		cmocka_unit_test(threads_use_two_handles_and_two_workers),
		cmocka_unit_test(handles_are_used_again),
		cmocka_unit_test(a_descriptor_beside_blocking_calls),
		cmocka_unit_test(death_wakes_everybody),
		cmocka_unit_test(death_is_noticed_without_waiting),
		cmocka_unit_test(a_busy_loop_notices_death),
		cmocka_unit_test(new_sockets_of_a_dead_daemon_are_not_connected),
		cmocka_unit_test(a_new_daemon_is_attached_to),
	};

	return cmocka_run_group_tests_name("client_thread", tests, NULL, NULL);
}
