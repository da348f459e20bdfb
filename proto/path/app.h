/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app.h - an application's region as the daemon sees it.
 *
 * Idea:    the private, trusted description of one app region: where its windows and rings lie, and this
 *          daemon's own ring indices. Nothing here is ever re-read from shared memory.
 * Life:    the control thread makes it (mg_app_new), hands it to the slow path (REQ_APP_ADD), which tells
 *          the workers (MG_CMD_APP_ADD). On the way out the slow path removes its flows and windows, tells
 *          the workers (MG_CMD_APP_DEL), and gives it back when all have answered; then it is freed.
 * Threads: fields are constant after mg_app_new(), but for the ring handles: events[c][p] belongs to
 *          producer p (0 the slow path, w + 1 worker w), doorbells[c][w] to worker w. `wake` of a context is
 *          a datagram socket that any of them may write (daemon/region.h).
 */
#ifndef MG_PATH_APP_H
#define MG_PATH_APP_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/spsc.h"
#include "proto/shm/abi.h"

struct mg_app_context {
	struct mg_shm_context *shm;
	_Atomic uint32_t pid; /* of the process that holds it; for people */
	int wake_fd; /* a write wakes the application; whatever it answers means that it is awake or gone */
	struct mg_spsc events[MG_SHM_PRODUCERS_MAX];
	struct mg_spsc doorbells[MG_SHM_WORKERS_MAX];
};

struct mg_app {
	uint32_t id;   /* slot in every thread's table of apps */
	uint32_t pid;  /* of the process that attached first; for people */
	uint8_t *base; /* the mapping */
	uint64_t total_bytes;
	struct mg_shm_window *windows;
	uint32_t nr_windows;
	uint32_t nr_contexts;
	uint32_t nr_workers;
	/* Contexts that were ever handed out, a bit each: only there workers look for doorbells. By the control thread. */
	_Atomic uint32_t contexts_open;
	uint64_t payload_off; /* section of payload rings */
	uint64_t payload_bytes;
	struct mg_app_context contexts[MG_SHM_CONTEXTS_MAX];
	/* For people; by the slow path. */
	_Atomic uint32_t nr_connections;
	_Atomic uint32_t nr_listeners;
	/* Counters of broken or hostile behaviour; any thread adds (relaxed). */
	_Atomic uint64_t bad_doorbells;
	_Atomic uint64_t events_lost;
};

struct mg_app_layout {
	uint32_t nr_windows; /* power of two */
	uint32_t nr_contexts;
	uint32_t nr_workers;
	uint64_t payload_bytes; /* a multiple of 4096 */
};

/* Bytes of a region of this layout (page aligned); fills nothing. */
uint64_t mg_app_region_bytes(const struct mg_app_layout *layout);
/*
 * Lays a zeroed mapping of mg_app_region_bytes() out: header, sections, empty rings. The magic is stored
 * last (release).
 */
void mg_app_region_format(uint8_t *base, const struct mg_app_layout *layout, uint64_t daemon_epoch);
/* Fills `app` (zeroed by the caller) for a region formatted like that. wake fds are set to -1. */
void mg_app_bind(struct mg_app *app, uint8_t *base, const struct mg_app_layout *layout);

/*
 * Publishes "window changed" to the window's contexts (a bit each) as `producer`, after the caller stored what
 * changed: exchanges the dirty word, pushes the entries, counts what does not fit. dirty NULL: always. Returns the
 * contexts that got an entry (the caller wakes them, once per batch).
 */
uint32_t mg_app_notify(struct mg_app *app, uint32_t producer, uint32_t contexts,
		       const struct mg_shm_event *ev, _Atomic uint32_t *dirty);
#endif
