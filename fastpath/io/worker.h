/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - a worker: one thread that moves packets between its queues and one fast-path engine.
 *
 * Idea:    a turn of the loop obeys the slow path's commands, takes a burst from each queue, answers
 *          doorbells, runs timers, flushes the engine, sends all that came of it with one call per
 *          port, and wakes each application at most once. The clock is read once per turn. What is
 *          not an established connection's is copied to the slow path. With nothing to do for
 *          spin_ns it sleeps (idle.h) until a queue, the doorbell or a timer calls.
 *          With several workers each flow lives on worker mg_tuple_hash() % nr_workers; packets that
 *          come in elsewhere are handed over (steer.h).
 *          With the slow path inline, its turn is part of worker 0's.
 * Use:     1. mg_worker_new()  2. mg_worker_run() in a thread of its own  3. mg_worker_stop() from any
 *          thread, join  4. mg_worker_free()
 * Threads: run: the worker's own. stop, counters, doorbells: any.
 * Memory:  the engine's and the worker's own, taken at new.
 */
#ifndef MG_IO_WORKER_H
#define MG_IO_WORKER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fastpath/core/fp.h"
#include "fastpath/io/port.h"
#include "proto/base/msgring.h"

#define MG_WORKER_PORTS_MAX 16

struct mg_worker;
struct mg_steer;
struct mg_local;

/* The slow path, when it runs inside this worker. */
struct mg_worker_inline {
	/* Does what is ready; returns when it wants to run again (UINT64_MAX: only for events). */
	uint64_t (*turn)(void *ctx, uint64_t now_ns);
	/* Is there anything for it right now? The last look before the worker sleeps. */
	bool (*is_pending)(void *ctx);
	void *ctx;
};

struct mg_worker_conf {
	uint32_t number;
	uint32_t nr_workers;
	const struct mg_port *ports; /* all; mg_msg.port is an index here; outlives the worker */
	uint32_t nr_ports;
	struct mg_fp_conf fp; /* worker, nr_ports and ports are filled in by mg_worker_new() */
	struct mg_msgring *commands;     /* from the slow path */
	struct mg_msgring *events;       /* to the slow path */
	_Atomic uint32_t *slow_sleeping; /* the slow path's own thread; NULL when inline here */
	int slow_wake_fd;                /* its eventfd; -1 when inline here */
	_Atomic uint32_t *sleeping;      /* this worker's words in the info page */
	_Atomic uint32_t *sleeps;
	uint64_t spin_ns;
	bool yield; /* give the core away between empty polls, when an application may want it */
	uint32_t burst;               /* packets taken at a time; 1..MG_PORT_BURST */
	int cpu;                      /* to pin to; -1: anywhere */
	struct mg_steer *steer;       /* NULL with one worker */
	struct mg_local *local;       /* NULL: no connections between ends here */
	struct mg_worker_inline slow; /* turn NULL: the slow path has its own thread */
};

/* 0 or -errno (-ENOMEM, -EINVAL). */
int mg_worker_new(const struct mg_worker_conf *conf, struct mg_worker **ret_worker);
void mg_worker_free(struct mg_worker *worker);

/* The loop; returns 0 after mg_worker_stop(), or -errno when the thread cannot be set up. */
int mg_worker_run(struct mg_worker *worker);
void mg_worker_stop(struct mg_worker *worker);

/* What may change while it runs; any one thread. In force at the worker's next turn. */
struct mg_worker_live {
	uint64_t spin_ns;
	uint32_t challenge_ack_per_s;
};
void mg_worker_set_live(struct mg_worker *worker, const struct mg_worker_live *live);

/*
 * A descriptor for one application, which wakes the worker by writing 8 bytes to it when the worker's sleeping word
 * is 1; the caller passes and closes it. Or -errno.
 */
int mg_worker_doorbell_new(const struct mg_worker *worker);
/* The eventfd for the same by the daemon's threads; never to be given away (idle.h). */
int mg_worker_bell_fd(const struct mg_worker *worker);

/* Counters of the worker, of what its ports' packets were dropped for, and of its engine. False past the end. */
bool mg_worker_counter(const struct mg_worker *worker, uint32_t i, const char **ret_name,
		       const char **ret_help, uint64_t *ret_value);
/* Turns of the loop so far: a watchdog sees whether it moves. */
uint64_t mg_worker_turns(const struct mg_worker *worker);
#endif
