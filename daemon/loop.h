/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - an event loop for one thread: descriptors and timers.
 *
 * Idea:    epoll over sources that their owners embed; a callback each. A source or timer may be removed
 *          from within any callback, also another's.
 * Use:     mg_loop_add(), mg_loop_timer_set(); mg_loop_run() until somebody calls mg_loop_quit().
 * Threads: one.
 * Memory:  sources and timers are the caller's; they must be removed before they go.
 */
#ifndef MG_LOOP_H
#define MG_LOOP_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "proto/base/list.h"

#define MG_LOOP_EVENTS 64

struct mg_loop_source {
	int fd;
	void (*fn)(struct mg_loop_source *source, uint32_t events);
};

struct mg_loop_timer {
	struct mg_list_node node;
	uint64_t at_ns;
	void (*fn)(struct mg_loop_timer *timer);
};

struct mg_loop {
	int epoll_fd;
	bool is_quitting;
	struct mg_list timers; /* soonest first */
	int nr_ready;
	struct epoll_event ready[MG_LOOP_EVENTS]; /* being worked off */
};

int mg_loop_init(struct mg_loop *loop);
void mg_loop_close(struct mg_loop *loop);

/* events: EPOLLIN, EPOLLOUT. 0 or -errno. */
int mg_loop_add(struct mg_loop *loop, struct mg_loop_source *source, uint32_t events);
void mg_loop_change(struct mg_loop *loop, struct mg_loop_source *source, uint32_t events);
/* Before the descriptor is closed. */
void mg_loop_remove(struct mg_loop *loop, struct mg_loop_source *source);

void mg_loop_timer_init(struct mg_loop_timer *timer, void (*fn)(struct mg_loop_timer *timer));
/* Moves the timer if it runs already. */
void mg_loop_timer_set(struct mg_loop *loop, struct mg_loop_timer *timer, uint64_t at_ns);
void mg_loop_timer_stop(struct mg_loop_timer *timer);

/* CLOCK_MONOTONIC. */
uint64_t mg_loop_now_ns(void);
/* 0, or -errno of epoll_wait(). */
int mg_loop_run(struct mg_loop *loop);
void mg_loop_quit(struct mg_loop *loop);
#endif
