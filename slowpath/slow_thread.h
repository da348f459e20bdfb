/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_thread.h - the slow path's engine with its rings, its clock and its thread.
 *
 * Idea:    one engine, a pair of message rings per worker, one request ring from and one answer ring to the
 *          control thread. A turn takes what is there (bounded), runs timers that are due, flushes, and
 *          wakes whoever got something and sleeps, once each. With a thread of its own the loop sleeps
 *          between turns (proto/base/sleep.h); inline, worker 0 calls the turn.
 * Use:     1. mg_slow_loop_new()  2. ports, addresses, routes into mg_slow_loop_engine()  3. make the workers
 *          with this loop's rings, mg_slow_loop_set_worker() each  4. mg_slow_loop_run() in a thread, or
 *          mg_slow_loop_turn() in worker 0's loop  5. mg_slow_loop_stop(), join, mg_slow_loop_free()
 * Threads: run, turn, is_pending: the slow path's. request, answer: the control thread. stop, totals: any.
 * Memory:  everything at new.
 */
#ifndef MG_SLOW_THREAD_H
#define MG_SLOW_THREAD_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/msgring.h"
#include "slowpath/core/slow.h"

struct mg_slow_loop;

struct mg_slow_loop_conf {
	struct mg_slow_limits limits; /* now_ns is filled in by mg_slow_loop_new() */
	struct mg_slow_conf tcp;
	bool is_inline;         /* runs in worker 0: requests ring that worker's doorbell */
	uint32_t command_bytes; /* of each worker's rings, powers of two; 0: sensible */
	uint32_t event_bytes;
};

enum mg_slow_loop_answer_kind {
	MG_SLOW_ANSWER_REPLY = 0,      /* to `req`, of type MG_SLOW_REQ_CTL */
	MG_SLOW_ANSWER_APP_GONE = 1,   /* nobody uses req.app any more */
	MG_SLOW_ANSWER_APP_BROKEN = 2, /* req.app wrote nonsense into its region */
	MG_SLOW_ANSWER_DRAINED = 3,
};

struct mg_slow_loop_answer {
	uint32_t kind; /* enum mg_slow_loop_answer_kind */
	uint32_t reserved;
	struct mg_slow_req req;
};

/* 0 or -errno (-ENOMEM, -EINVAL for impossible limits or parameters). */
int mg_slow_loop_new(const struct mg_slow_loop_conf *conf, struct mg_slow_loop **ret_loop);
/* Workers and control thread must not use its rings any more. NULL does nothing. */
void mg_slow_loop_free(struct mg_slow_loop *loop);
/* For set-up before the first turn, and for counters. */
struct mg_slow *mg_slow_loop_engine(struct mg_slow_loop *loop);

/* What a worker needs to be made. */
struct mg_msgring *mg_slow_loop_commands(struct mg_slow_loop *loop, uint32_t worker);
struct mg_msgring *mg_slow_loop_events(struct mg_slow_loop *loop, uint32_t worker);
_Atomic uint32_t *mg_slow_loop_sleeping(struct mg_slow_loop *loop);
int mg_slow_loop_wake_fd(const struct mg_slow_loop *loop);
/* How to wake it, once it is made; before the first turn. */
void mg_slow_loop_set_worker(struct mg_slow_loop *loop, uint32_t worker, int wake_fd,
			     _Atomic uint32_t *sleeping);

/* Until mg_slow_loop_stop(). 0 or -errno. */
int mg_slow_loop_run(struct mg_slow_loop *loop);
void mg_slow_loop_stop(struct mg_slow_loop *loop);
/* One turn; returns when the next is due (now_ns: at once, UINT64_MAX: only when something comes). */
uint64_t mg_slow_loop_turn(struct mg_slow_loop *loop, uint64_t now_ns);
/* Is there anything in the rings? */
bool mg_slow_loop_is_pending(struct mg_slow_loop *loop);

/* By copy (req->conf's contents too). False: no room now. */
bool mg_slow_loop_request(struct mg_slow_loop *loop, const struct mg_slow_req *req);
/* The next answer; false: none now, and answer_fd is quiet until there is one. */
bool mg_slow_loop_answer(struct mg_slow_loop *loop, struct mg_slow_loop_answer *ret_answer);
int mg_slow_loop_answer_fd(const struct mg_slow_loop *loop);
/* As of the last turn. */
void mg_slow_loop_totals(const struct mg_slow_loop *loop, struct mg_slow_totals *ret_totals);
#endif
