/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_daemon.h - a daemon for tests of the client library: the attach socket, regions, windows and events, and
 *                 a network that is a loop: connections between listeners and connects of its own sessions.
 *
 * Idea:    one thread plays the control thread, the slow path and all workers, by the contract of
 *          proto/shm/abi.h (doorbells, dirty words, sleeping), with bytes copied from one window's transmit
 *          ring into the other's receive ring. No packets, no TCP.
 *          Ports with a meaning: connecting to FAKE_PORT_SILENT is never answered; to a port without listener
 *          is refused.
 * Threads: start and stop by one; the rest by any.
 */
#ifndef MG_FAKE_DAEMON_H
#define MG_FAKE_DAEMON_H
#include <stdbool.h>
#include <stdint.h>

#define FAKE_PORT_SILENT 9

struct fake_daemon;

struct fake_daemon_conf {
	const char *path;     /* of the attach socket; NULL: in a folder of its own under /tmp */
	uint32_t nr_windows;  /* 0: 256 */
	uint32_t nr_contexts; /* 0: 4 */
	uint32_t nr_workers;  /* 0: 1 */
	uint32_t ring_bytes;  /* 0: 65536 */
	bool wrong_hash;      /* regions of another build */
	bool refuse;          /* attach is answered by -EACCES */
	bool no_sleeps;       /* the worker does not count its sleeps */
};

/* 0 or -errno. conf NULL: defaults. */
int fake_daemon_start(const struct fake_daemon_conf *conf, struct fake_daemon **ret_daemon);
/* "local:/tmp/.../attach.sock" */
const char *fake_daemon_address(const struct fake_daemon *d);
/* Dies: sockets close, nothing else is said. Frees it. NULL is allowed. */
void fake_daemon_stop(struct fake_daemon *d);

/* While held, no byte moves and no end is passed on. */
void fake_daemon_hold(struct fake_daemon *d, bool hold);
/* From now on entries of event rings are lost with a rescan, as if rings were full. */
void fake_daemon_lose_events(struct fake_daemon *d, bool lose);
/* What happened so far. */
struct fake_daemon_stats {
	uint64_t wakes;     /* times a sleeping worker was woken by its eventfd */
	uint64_t doorbells; /* entries taken */
	uint64_t requests;  /* control messages */
	uint64_t app_wakes; /* eventfds of applications written */
	uint32_t windows;   /* in use */
	uint32_t listeners;
	uint32_t sessions;
};
void fake_daemon_stats(struct fake_daemon *d, struct fake_daemon_stats *ret_stats);
#endif
