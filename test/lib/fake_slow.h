/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_slow.h - a slow path that is made up: it answers every request at once, plausibly.
 *
 * Idea:    behind struct mg_slow_link, for tests of the control plane. Listeners get rising ids, connects rising
 *          windows; CONNECTIONS has three rows; closing an unknown listener is -ENOENT. What it was
 *          asked is counted. `hold` keeps answers back; `full` refuses requests.
 * Threads: the control thread; counters and switches from any.
 */
#ifndef MG_TEST_FAKE_SLOW_H
#define MG_TEST_FAKE_SLOW_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/slow_link.h"

#define FAKE_SLOW_ANSWERS 4096
#define FAKE_SLOW_CONNECTIONS 3
#define FAKE_SLOW_NO_OBJECT 999 /* a guard of this id is refused */

struct fake_slow {
	struct mg_slow_link link;
	pthread_mutex_t lock;
	uint32_t head;
	uint32_t tail;
	struct mg_slow_answer answers[FAKE_SLOW_ANSWERS];
	uint32_t next_listener;
	uint32_t nr_closed; /* listeners */
	uint32_t next_window;
	_Atomic uint32_t nr_ctl;
	_Atomic uint32_t nr_apps_added;
	struct mg_app *_Atomic app; /* added last */
	_Atomic uint32_t nr_apps_deleted;
	_Atomic uint32_t nr_drains;
	_Atomic uint32_t nr_holders_gone;
	_Atomic uint32_t nr_unguards;
	_Atomic bool hold;
	_Atomic bool full;
	_Atomic bool hold_drain;
};

int fake_slow_open(struct fake_slow *fake);
void fake_slow_close(struct fake_slow *fake);
/* Lets held answers go. */
void fake_slow_release(struct fake_slow *fake);
#endif
