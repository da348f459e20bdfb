/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_loop_test.c - the slow path's event loop: requests and answers across threads, waking, inline turns, stop.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/time.h"
#include "slowpath/slow_thread.h"
#include "test/lib/slow_conf.h"

struct fixture {
	struct mg_slow_loop_conf conf;
	struct mg_slow_loop *loop;
	pthread_t thread;
	struct mg_app *app;
	uint8_t *region;
	int worker_fd;
	_Atomic uint32_t worker_sleeping;
};

static void setup(struct fixture *f, bool is_inline)
{
	struct mg_slow_port port = { .mac = { { 2, 0, 0, 0, 0, 1 } }, .mtu = 1500, .has_l2 = true };
	struct mg_slow_addr addr = { .addr = mg_addr_v4(0x0a4d0001), .prefix = 24 };
	uint16_t idx;

	memset(f, 0, sizeof(*f));
	f->conf.is_inline = is_inline;
	f->conf.tcp = test_slow_conf();
	f->conf.tcp.rcvbuf_bytes = 65536;
	f->conf.tcp.rcvbuf_max_bytes = 65536;
	f->conf.tcp.sndbuf_bytes = 65536;
	f->conf.tcp.sndbuf_max_bytes = 65536;
	memcpy(f->conf.tcp.congestion_control, "cubic", sizeof("cubic"));
	f->conf.limits = (struct mg_slow_limits){
		.nr_workers = 1,
		.conns_max = 16,
		.listeners_max = 4,
		.embryos_max = 16,
		.time_waits_max = 16,
		.neighbours_max = 16,
		.arp_queue_max = 16,
		.arp_queue_each_max = 8,
		.apps_max = 2,
		.app_windows_max = 16,
		.app_payload_bytes_max = 1 << 20,
		.hash_seed = 7,
	};
	assert_int_equal(mg_slow_loop_new(&f->conf, &f->loop), 0);
	assert_int_equal(mg_slow_add_port(mg_slow_loop_engine(f->loop), &port, &idx), 0);
	assert_int_equal(mg_slow_add_addr(mg_slow_loop_engine(f->loop), &addr), 0);
	f->worker_fd = eventfd(0, EFD_NONBLOCK);
	assert_true(f->worker_fd >= 0);
	mg_slow_loop_set_worker(f->loop, 0, f->worker_fd, &f->worker_sleeping);
}

static void teardown(struct fixture *f)
{
	mg_slow_loop_free(f->loop);
	close(f->worker_fd);
	free(f->app);
	free(f->region);
}

static void make_app(struct fixture *f)
{
	struct mg_app_layout layout = {
		.nr_windows = 16, .nr_contexts = 1, .nr_workers = 1, .payload_bytes = 1 << 20
	};
	size_t bytes = mg_app_region_bytes(&layout);
	struct mg_slow_req req = { .type = MG_SLOW_REQ_APP_ADD };

	f->region = aligned_alloc(4096, bytes);
	f->app = calloc(1, sizeof(*f->app));
	assert_true(f->region != NULL && f->app != NULL);
	memset(f->region, 0, bytes);
	mg_app_region_format(f->region, &layout, 1);
	mg_app_bind(f->app, f->region, &layout);
	req.app = f->app;
	assert_true(mg_slow_loop_request(f->loop, &req));
}

static void *run(void *arg)
{
	struct fixture *f = arg;

	return (void *)(intptr_t)mg_slow_loop_run(f->loop);
}

static void start(struct fixture *f)
{
	assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
}

static void stop(struct fixture *f)
{
	void *res;

	mg_slow_loop_stop(f->loop);
	assert_int_equal(pthread_join(f->thread, &res), 0);
	assert_null(res);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* Plays the worker: the next command of this type, waiting a while for it. */
static const struct mg_msg *command(struct fixture *f, uint16_t type)
{
	struct mg_msgring *ring = mg_slow_loop_commands(f->loop, 0);

	for (int i = 0; i < 5000; i++) {
		uint32_t len;
		const struct mg_msg *msg = mg_msgring_peek(ring, &len);

		if (msg == NULL) {
			usleep(1000);
		} else if (msg->type == type) {
			return msg;
		} else {
			mg_msgring_release(ring);
		}
	}
	return NULL;
}

static void answer_app_del(struct fixture *f)
{
	const struct mg_msg *msg = command(f, MG_CMD_APP_DEL);
	struct mg_msgring *events = mg_slow_loop_events(f->loop, 0);
	struct mg_msg_app *ev = mg_msgring_reserve(events, sizeof(*ev));

	assert_non_null(msg);
	assert_non_null(ev);
	*ev = *(const struct mg_msg_app *)(const void *)msg;
	ev->msg.type = MG_EV_APP_DEL;
	mg_msgring_commit(events, sizeof(*ev));
	mg_msgring_release(mg_slow_loop_commands(f->loop, 0));
	if (atomic_load(mg_slow_loop_sleeping(f->loop)) != 0)
		assert_int_equal(eventfd_write(mg_slow_loop_wake_fd(f->loop), 1), 0);
}

static void wait_answer(struct fixture *f, uint32_t kind, struct mg_slow_loop_answer *ret_answer)
{
	do /* the descriptor may still be readable for an answer that was taken */
		assert_true(is_readable(mg_slow_loop_answer_fd(f->loop), 5000));
	while (!mg_slow_loop_answer(f->loop, ret_answer));
	assert_int_equal(ret_answer->kind, kind);
}

static void listen_once(struct fixture *f, struct mg_ctl_msg *msg, uint16_t port)
{
	struct mg_slow_req req = {
		.type = MG_SLOW_REQ_CTL, .app = f->app, .msg = msg, .cookie = msg
	};

	mg_ctl_init(msg, MG_CTL_TCP_LISTEN, 5, 1);
	msg->listen[0] = (struct mg_ctl_listen){ .addr = mg_addr_v4(0),
						 .port = port,
						 .backlog = 4 };
	assert_true(mg_slow_loop_request(f->loop, &req));
}

static void test_requests_across_threads(void **state)
{
	struct fixture f;
	struct mg_ctl_msg *msg = calloc(1, sizeof(*msg));
	struct mg_slow_loop_answer a;
	struct mg_slow_totals totals;
	struct mg_slow_req req = { .type = MG_SLOW_REQ_APP_DEL };

	(void)state;
	setup(&f, false);
	start(&f);
	make_app(&f);
	for (uint16_t i = 0; i < 4; i++) {
		usleep(2000); /* so that it sleeps, mostly */
		listen_once(&f, msg, (uint16_t)(80 + i));
		wait_answer(&f, MG_SLOW_ANSWER_REPLY, &a);
		assert_ptr_equal(a.req.msg, msg);
		assert_ptr_equal(a.req.cookie, msg);
		assert_int_equal(msg->hdr.status, 0);
		assert_int_equal(msg->hdr.type, MG_CTL_TCP_LISTEN | MG_CTL_REPLY);
	}
	assert_false(mg_slow_loop_answer(f.loop, &a));
	assert_false(is_readable(mg_slow_loop_answer_fd(f.loop), 0));
	for (int i = 0; i < 1000; i++) {
		mg_slow_loop_totals(f.loop, &totals);
		if (totals.listeners == 4)
			break;
		usleep(1000);
	}
	assert_int_equal(totals.listeners, 4);
	req.app = f.app;
	assert_true(mg_slow_loop_request(f.loop, &req));
	answer_app_del(&f);
	wait_answer(&f, MG_SLOW_ANSWER_APP_GONE, &a);
	assert_ptr_equal(a.req.app, f.app);
	stop(&f);
	teardown(&f);
	free(msg);
}

static void test_conf_is_copied_and_drain_answers(void **state)
{
	struct fixture f;
	struct mg_slow_loop_answer a;
	struct mg_slow_conf conf;
	struct mg_slow_req req = { .type = MG_SLOW_REQ_CONF, .conf = &conf };

	(void)state;
	setup(&f, false);
	conf = f.conf.tcp;
	conf.ttl = 9;
	assert_true(mg_slow_loop_request(f.loop, &req));
	memset(&conf, 0xff, sizeof(conf)); /* no longer ours to keep */
	req = (struct mg_slow_req){ .type = MG_SLOW_REQ_DRAIN, .value = MG_NS_PER_S };
	assert_true(mg_slow_loop_request(f.loop, &req));
	start(&f);
	wait_answer(&f, MG_SLOW_ANSWER_DRAINED, &a);
	stop(&f);
	teardown(&f);
}

static void test_worker_is_woken_only_when_asleep(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, true);
	atomic_store(&f.worker_sleeping, 0);
	make_app(&f);
	assert_false(is_readable(f.worker_fd, 0));
	atomic_store(&f.worker_sleeping, 1);
	assert_true(mg_slow_loop_request(f.loop,
					 &(struct mg_slow_req){ .type = MG_SLOW_REQ_HOLDER_GONE }));
	assert_true(is_readable(f.worker_fd, 0)); /* inline: the request rings worker 0 */
	teardown(&f);
}

static void test_inline_turns(void **state)
{
	struct fixture f;
	struct mg_ctl_msg *msg = calloc(1, sizeof(*msg));
	struct mg_slow_loop_answer a;

	(void)state;
	setup(&f, true);
	assert_false(mg_slow_loop_is_pending(f.loop));
	assert_int_equal(mg_slow_loop_turn(f.loop, 5), UINT64_MAX);
	make_app(&f);
	listen_once(&f, msg, 80);
	assert_true(mg_slow_loop_is_pending(f.loop));
	(void)mg_slow_loop_turn(f.loop, 6);
	assert_false(mg_slow_loop_is_pending(f.loop));
	assert_true(mg_slow_loop_answer(f.loop, &a));
	assert_int_equal(msg->hdr.status, 0);
	teardown(&f);
	free(msg);
}

static void test_places_bound_the_answers(void **state)
{
	struct fixture f;
	struct mg_ctl_msg *msg = calloc(1, sizeof(*msg));
	struct mg_slow_req req = { .type = MG_SLOW_REQ_CTL, .msg = msg };
	struct mg_slow_loop_answer a;
	uint32_t nr = 0, answers = 0;

	(void)state;
	setup(&f, true);
	mg_ctl_init(msg, MG_CTL_LISTENERS, 1, 0);
	for (int i = 0; i < 20000; i++) {
		if (mg_slow_loop_request(f.loop, &req))
			nr++;
		else
			(void)mg_slow_loop_turn(f.loop, 10);
		msg->hdr.type = MG_CTL_LISTENERS;
	}
	while (mg_slow_loop_is_pending(f.loop))
		(void)mg_slow_loop_turn(f.loop, 10);
	while (mg_slow_loop_answer(f.loop, &a))
		answers++;
	assert_int_equal(nr, answers);
	assert_true(mg_slow_loop_request(f.loop, &req));
	teardown(&f);
	free(msg);
}

static void test_bad_limits(void **state)
{
	struct fixture f;
	struct mg_slow_loop *loop;

	(void)state;
	setup(&f, false);
	f.conf.limits.conns_max = 17;
	assert_int_equal(mg_slow_loop_new(&f.conf, &loop), -EINVAL);
	f.conf.limits.conns_max = 16;
	f.conf.limits.nr_workers = 0;
	assert_int_equal(mg_slow_loop_new(&f.conf, &loop), -EINVAL);
	f.conf.limits.nr_workers = 1;
	strcpy(f.conf.tcp.congestion_control, "none");
	assert_int_equal(mg_slow_loop_new(&f.conf, &loop), -EINVAL);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_across_threads),
		cmocka_unit_test(test_conf_is_copied_and_drain_answers),
		cmocka_unit_test(test_worker_is_woken_only_when_asleep),
		cmocka_unit_test(test_inline_turns),
		cmocka_unit_test(test_places_bound_the_answers),
		cmocka_unit_test(test_bad_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
