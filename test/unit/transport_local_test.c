/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_local_test.c - requests on the attach socket whose replies come late, out of order, or for nobody.
 *
 * The test is the daemon: it has the other end of the pair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libclient/core/transport_local.h"

#define OPS mg_transport_local_ops

struct world {
	struct mg_transport *t;
	int daemon;
};

/* One request on a thread of its own. */
struct call {
	struct mg_transport *t;
	struct mg_ctl_msg msg;
	uint16_t type;
	uint32_t tag; /* of a LISTEN: its backlog */
	int err;
	pthread_t thread;
};

static void begin_world(struct world *w, uint32_t timeout_ms)
{
	const struct mg_transport_params params = { .size = sizeof(params),
						    .request_timeout_ms = timeout_ms };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	w->daemon = pair[1];
	assert_int_equal(mg_transport_local_adopt(pair[0], &params, &w->t), 0);
}

static void end_world(struct world *w)
{
	OPS.close(w->t);
	close(w->daemon);
}

static void *run_call(void *arg)
{
	struct call *c = arg;

	mg_ctl_init(&c->msg, c->type, 0, c->type == MG_CTL_TCP_LISTEN ? 1 : 0);
	if (c->type == MG_CTL_TCP_LISTEN) {
		memset(&c->msg.listen[0], 0, sizeof(c->msg.listen[0]));
		c->msg.listen[0].backlog = c->tag;
	}
	c->err = OPS.request(c->t, &c->msg);
	return NULL;
}

static void begin_call(struct call *c, struct world *w, uint16_t type, uint32_t tag)
{
	c->t = w->t;
	c->type = type;
	c->tag = tag;
	assert_int_equal(pthread_create(&c->thread, NULL, run_call, c), 0);
}

static int end_call(struct call *c)
{
	assert_int_equal(pthread_join(c->thread, NULL), 0);
	return c->err;
}

/* What the daemon gets next. */
static void get(struct world *w, struct mg_ctl_msg *msg)
{
	struct pollfd p = { .fd = w->daemon, .events = POLLIN };
	ssize_t n;

	assert_int_equal(poll(&p, 1, 5000), 1);
	n = recv(w->daemon, msg, sizeof(*msg), 0);
	assert_true(n > 0);
	assert_int_equal(mg_ctl_check(msg, (size_t)n), 0);
}

static void answer(struct world *w, struct mg_ctl_msg *msg)
{
	msg->hdr.type |= MG_CTL_REPLY;
	assert_int_equal(send(w->daemon, msg, msg->hdr.bytes, MSG_NOSIGNAL), msg->hdr.bytes);
}

static void answer_listen(struct world *w, struct mg_ctl_msg *msg, uint32_t listener)
{
	msg->listen[0].listener = listener;
	answer(w, msg);
}

static struct mg_ctl_msg first, second;

static void replies_out_of_order(void **state)
{
	static struct call a, b;
	struct world w;

	(void)state;
	begin_world(&w, 0);
	begin_call(&a, &w, MG_CTL_TCP_LISTEN, 1);
	get(&w, &first);
	begin_call(&b, &w, MG_CTL_TCP_LISTEN, 2);
	get(&w, &second);
	answer_listen(&w, &second, 200 + second.listen[0].backlog);
	answer_listen(&w, &first, 200 + first.listen[0].backlog);
	assert_int_equal(end_call(&a), 0);
	assert_int_equal(end_call(&b), 0);
	assert_int_equal(a.msg.listen[0].listener, 201);
	assert_int_equal(b.msg.listen[0].listener, 202);
	end_world(&w);
}

/* A late reply is nobody's: the next request gets its own, and what was made too late is taken back. */
static void late_reply_is_undone(void **state)
{
	static struct call a, b;
	struct world w;

	(void)state;
	begin_world(&w, 100);
	begin_call(&a, &w, MG_CTL_TCP_LISTEN, 1);
	get(&w, &first);
	assert_int_equal(end_call(&a), -ETIMEDOUT);
	begin_call(&b, &w, MG_CTL_HEALTH_CHECK, 0);
	get(&w, &second);
	answer_listen(&w, &first, 77);
	answer(&w, &second);
	assert_int_equal(end_call(&b), 0);
	assert_int_equal(b.msg.hdr.type, MG_CTL_HEALTH_CHECK | MG_CTL_REPLY);
	get(&w, &second);
	assert_int_equal(second.hdr.type, MG_CTL_TCP_LISTEN_CLOSE);
	assert_int_equal(second.listener[0].listener, 77);
	end_world(&w);
}

/* A late refusal made nothing, and a reply that nobody asked for is harmless. */
static void late_refusal_and_strays(void **state)
{
	static struct call a, b;
	struct world w;
	struct pollfd p;

	(void)state;
	begin_world(&w, 100);
	begin_call(&a, &w, MG_CTL_TCP_LISTEN, 1);
	get(&w, &first);
	assert_int_equal(end_call(&a), -ETIMEDOUT);
	begin_call(&b, &w, MG_CTL_HEALTH_CHECK, 0);
	get(&w, &second);
	first.hdr.status = -EADDRINUSE;
	answer(&w, &first);
	first.hdr.id = 999999;
	first.hdr.type = MG_CTL_HEALTH_CHECK;
	mg_ctl_set_count(&first, 0);
	answer(&w, &first);
	answer(&w, &second);
	assert_int_equal(end_call(&b), 0);
	p = (struct pollfd){ .fd = w.daemon, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 50), 0); /* nothing to undo */
	end_world(&w);
}

/* The end of the daemon ends every request under way. */
static void the_end_reaches_all(void **state)
{
	static struct call c[4];
	struct world w;

	(void)state;
	begin_world(&w, 0);
	for (int i = 0; i < 4; i++) {
		begin_call(&c[i], &w, MG_CTL_HEALTH_CHECK, 0);
		get(&w, &first);
	}
	assert_int_equal(shutdown(w.daemon, SHUT_RDWR), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(end_call(&c[i]), -ECONNRESET);
	end_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_out_of_order),
		cmocka_unit_test(late_reply_is_undone),
		cmocka_unit_test(late_refusal_and_strays),
		cmocka_unit_test(the_end_reaches_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
