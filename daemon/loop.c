/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.c - see loop.h.
 */
#include "daemon/loop.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/time.h"

int mg_loop_init(struct mg_loop *loop)
{
	*loop = (struct mg_loop){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	mg_list_init(&loop->timers);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void mg_loop_close(struct mg_loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

int mg_loop_add(struct mg_loop *loop, struct mg_loop_source *source, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &ev) < 0 ? -errno : 0;
}

void mg_loop_change(struct mg_loop *loop, struct mg_loop_source *source, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = source };
	int err = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &ev);

	MG_ASSERT(err == 0); /* it was added */
}

void mg_loop_remove(struct mg_loop *loop, struct mg_loop_source *source)
{
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd,
			NULL); /* fails only if it was not added */
	for (int i = 0; i < loop->nr_ready; i++) {
		if (loop->ready[i].data.ptr == source)
			loop->ready[i].data.ptr = NULL;
	}
}

void mg_loop_timer_init(struct mg_loop_timer *timer, void (*fn)(struct mg_loop_timer *timer))
{
	mg_list_node_init(&timer->node);
	timer->fn = fn;
}

void mg_loop_timer_set(struct mg_loop *loop, struct mg_loop_timer *timer, uint64_t at_ns)
{
	struct mg_list_node *before = &loop->timers.head;

	mg_list_remove(&timer->node);
	timer->at_ns = at_ns;
	MG_LIST_FOREACH(it, &loop->timers) {
		if (mg_container_of(it, struct mg_loop_timer, node)->at_ns > at_ns)
			break;
		before = it;
	}
	mg_list_insert_after(before, &timer->node);
}

void mg_loop_timer_stop(struct mg_loop_timer *timer)
{
	mg_list_remove(&timer->node);
}

uint64_t mg_loop_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * MG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int timeout_ms(const struct mg_loop *loop)
{
	struct mg_list_node *first = mg_list_first(&loop->timers);
	uint64_t now_ns;
	uint64_t at_ns;

	if (first == NULL)
		return -1;
	at_ns = mg_container_of(first, struct mg_loop_timer, node)->at_ns;
	now_ns = mg_loop_now_ns();
	if (at_ns <= now_ns)
		return 0;
	at_ns = (at_ns - now_ns + MG_NS_PER_MS - 1) /
		MG_NS_PER_MS; /* rounded up: no spinning before the time */
	return at_ns > INT_MAX ? INT_MAX : (int)at_ns;
}

static void run_timers(struct mg_loop *loop)
{
	uint64_t now_ns = mg_loop_now_ns();
	struct mg_list_node *first;

	while ((first = mg_list_first(&loop->timers)) != NULL) {
		struct mg_loop_timer *timer = mg_container_of(first, struct mg_loop_timer, node);

		if (timer->at_ns > now_ns)
			return;
		mg_list_remove(&timer->node);
		timer->fn(timer);
	}
}

int mg_loop_run(struct mg_loop *loop)
{
	loop->is_quitting = false;
	while (!loop->is_quitting) {
		int n = epoll_wait(loop->epoll_fd, loop->ready, MG_LOOP_EVENTS, timeout_ms(loop));

		if (n < 0 && errno != EINTR)
			return -errno;
		loop->nr_ready = n < 0 ? 0 : n;
		for (int i = 0; i < loop->nr_ready; i++) {
			struct mg_loop_source *source = loop->ready[i].data.ptr;

			if (source != NULL)
				source->fn(source, loop->ready[i].events);
		}
		loop->nr_ready = 0;
		run_timers(loop);
	}
	return 0;
}

void mg_loop_quit(struct mg_loop *loop)
{
	loop->is_quitting = true;
}
