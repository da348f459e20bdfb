/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apps.h - the applications' regions: windows, payload rings, and their coming and going.
 *
 * Idea:    an app joins with every worker being told, and leaves in four steps: listeners closed; connections
 *          that were closed by the application before get time (tcp.fin_timeout_ms) to finish, all others are
 *          reset; when none is left every worker is told and answers; then it is given back.
 * Threads: the slow path.
 */
#ifndef MG_APPS_H
#define MG_APPS_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/pool.h"
#include "proto/path/app.h"
#include "slowpath/core/payload.h"

struct mg_slow;

enum mg_app_state { MG_APP_NONE = 0, MG_APP_LIVE, MG_APP_LEAVING, MG_APP_ENDING };

struct mg_slow_app {
	struct mg_app *app;
	uint8_t state; /* enum mg_app_state */
	bool broken;
	uint32_t slot;
	uint32_t add_pending; /* workers that could not be told yet */
	uint32_t del_pending;
	uint32_t del_awaited; /* workers that have not answered */
	uint32_t wake;        /* contexts that got entries */
	uint32_t nr_conns;
	uint32_t nr_listeners;
	uint64_t leave_by_ns; /* LEAVING: then what is left is reset */
	struct mg_pool windows;
	uint32_t *conn_of; /* by window */
	struct mg_payload payload;
	void *pool_mem;
	void *payload_mem;
};

/* NULL unless this very object has joined and not left. */
struct mg_slow_app *mg_apps_find(struct mg_slow *s, const struct mg_app *app);
void mg_apps_add(struct mg_slow *s, struct mg_app *app);
void mg_apps_del(struct mg_slow *s, struct mg_app *app);
/* The process that had it is gone: what it had closed may finish, all else is reset. */
struct mg_conn;
void mg_apps_abandon(struct mg_slow *s, struct mg_conn *c);
void mg_apps_deleted(struct mg_slow *s, uint32_t worker, const struct mg_app *app);
/* Retries commands and wakes contexts. */
void mg_apps_flush(struct mg_slow *s);
/* Goes on with leaving, when a connection is gone. */
void mg_apps_step(struct mg_slow *s, struct mg_slow_app *a);
/* Looks at what lingers. */
void mg_apps_timer(struct mg_slow *s, uint32_t slot);
void mg_apps_broken(struct mg_slow *s, struct mg_slow_app *a);
#endif
