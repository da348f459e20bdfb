/* SPDX-License-Identifier: Apache-2.0 */
/* apps.c - see apps.h. */
#include "slowpath/core/apps.h"

#include <errno.h>

#include "proto/base/assert.h"
#include "proto/base/sleep.h"
#include "slowpath/core/close.h"
#include "slowpath/core/engine.h"

/* How often is looked whether what lingers of an application needs its region still. */
#define LINGER_LOOK_NS (800 * MG_NS_PER_MS)

static uint32_t all_workers(const struct mg_slow *s)
{
	return s->lim.nr_workers >= 32 ? UINT32_MAX : (1u << s->lim.nr_workers) - 1;
}

struct mg_slow_app *mg_apps_find(struct mg_slow *s, const struct mg_app *app)
{
	for (uint32_t i = 0; i < s->nr_apps && app != NULL; i++)
		if (s->apps[i].state != MG_APP_NONE && s->apps[i].app == app)
			return &s->apps[i];
	return NULL;
}

static bool tell(struct mg_slow *s, struct mg_slow_app *a, uint32_t worker, uint16_t type)
{
	struct mg_msg_app cmd = { .msg = { .type = type, .len = sizeof(cmd) }, .app = a->app };

	return s->env.command(s->env.ctx, worker, &cmd.msg);
}

static void tell_workers(struct mg_slow *s, struct mg_slow_app *a)
{
	for (uint32_t w = 0; w < s->lim.nr_workers; w++) {
		uint32_t bit = 1u << w;

		if ((a->add_pending & bit) != 0 && tell(s, a, w, MG_CMD_APP_ADD))
			a->add_pending &= ~bit;
		if ((a->del_pending & bit) != 0 && (a->add_pending & bit) == 0 &&
		    tell(s, a, w, MG_CMD_APP_DEL))
			a->del_pending &= ~bit;
	}
}

static bool fits(const struct mg_slow *s, const struct mg_app *app)
{
	return app->id < s->lim.apps_max && app->nr_windows <= s->lim.app_windows_max &&
	       app->payload_bytes <= s->lim.app_payload_bytes_max &&
	       app->nr_contexts <= MG_SHM_CONTEXTS_MAX;
}

void mg_apps_add(struct mg_slow *s, struct mg_app *app)
{
	struct mg_slow_app *a;

	MG_ASSERT(fits(s, app) && s->apps[app->id].state == MG_APP_NONE); /* the caller's to keep */
	a = &s->apps[app->id];
	a->app = app;
	a->state = MG_APP_LIVE;
	a->broken = false;
	a->slot = app->id;
	a->add_pending = all_workers(s);
	a->del_pending = 0;
	a->del_awaited = 0;
	a->wake = 0;
	mg_pool_init(&a->windows, a->pool_mem, app->nr_windows);
	mg_payload_init(&a->payload, a->payload_mem, s->lim.app_payload_bytes_max,
			app->payload_bytes);
	s->nr_apps = mg_max_u32(s->nr_apps, a->slot + 1);
	tell_workers(s, a);
}

/*
 * What the death of an application means for one of its connections. What it had closed, or said at its exit to be
 * closed, ends in order; the peers of one that crashed or was killed are to know that.
 */
void mg_apps_abandon(struct mg_slow *s, struct mg_conn *c)
{
	const struct mg_slow_app *a = &s->apps[c->app];
	uint32_t a_flags = atomic_load_explicit(&a->app->windows[c->window].a_flags,
						memory_order_relaxed);

	if (c->flow == MG_CONN_FLOW_GONE) {
		mg_conn_release(s, c);
		return;
	}
	if ((c->flags & (MG_CONN_ORPHAN | MG_CONN_CLOSE_ASKED)) != 0)
		return; /* closed before, as the worker knows or learns: may finish */
	if ((mg_conn_is_synchronised(c) || (c->flags & MG_CONN_TFO) != 0) && !a->broken &&
	    (a_flags & (MG_SHM_AF_CLOSE | MG_SHM_AF_ABORT)) == MG_SHM_AF_CLOSE) {
		mg_close_asked(s, c); /* its doorbell may have died with it */
		return;
	}
	mg_close_abort(s, c);
}

static void for_each_conn(struct mg_slow *s, struct mg_slow_app *a,
			  void (*fn)(struct mg_slow *s, struct mg_conn *c))
{
	for (uint32_t w = 0; w < a->windows.nr_touched; w++)
		if (mg_pool_is_live(&a->windows, w))
			fn(s, &s->conns[a->conn_of[w]]);
}

void mg_apps_del(struct mg_slow *s, struct mg_app *app)
{
	struct mg_slow_app *a = mg_apps_find(s, app);

	if (a == NULL || a->state != MG_APP_LIVE)
		return;
	for (uint32_t i = 0; i < s->listener_pool.nr_touched; i++)
		if (mg_pool_is_live(&s->listener_pool, i) && s->listeners[i].app == a->slot)
			mg_listener_end(s, &s->listeners[i], 0);
	a->state = MG_APP_LEAVING;
	a->leave_by_ns = mg_time_after(s->now_ns, mg_ms_to_ns(s->conf.fin_timeout_ms));
	mg_wheel_arm(&s->wheel, s->timer.apps + a->slot, s->now_ns + LINGER_LOOK_NS);
	for_each_conn(s, a, mg_apps_abandon);
	mg_apps_step(s, a);
}

static void cut(struct mg_slow *s, struct mg_conn *c)
{
	if (c->flow == MG_CONN_FLOW_GONE) {
		mg_conn_release(s, c);
		return;
	}
	c->flags |= MG_CONN_RELEASED;
	s->stats.orphans_reset += c->flow != MG_CONN_FLOW_REMOVING;
	mg_conn_end(s, c, 0, c->state != MG_TCP_FIN_WAIT_2);
}

/* All was delivered: what is left to do needs no window. */
static void cut_delivered(struct mg_slow *s, struct mg_conn *c)
{
	if (c->flow == MG_CONN_FLOW_GONE || c->state == MG_TCP_FIN_WAIT_2)
		cut(s, c);
}

void mg_apps_timer(struct mg_slow *s, uint32_t slot)
{
	struct mg_slow_app *a = &s->apps[slot];

	if (a->state != MG_APP_LEAVING)
		return;
	for_each_conn(s, a, s->now_ns >= a->leave_by_ns ? cut : cut_delivered);
	if (a->state == MG_APP_LEAVING)
		mg_wheel_arm(&s->wheel, s->timer.apps + a->slot, s->now_ns + LINGER_LOOK_NS);
}

void mg_apps_step(struct mg_slow *s, struct mg_slow_app *a)
{
	if (a->state != MG_APP_LEAVING || a->nr_conns > 0 || a->nr_listeners > 0)
		return;
	MG_ASSERT(a->windows.nr_used == 0 && mg_payload_is_whole(&a->payload));
	a->state = MG_APP_ENDING;
	mg_wheel_cancel(&s->wheel, s->timer.apps + a->slot);
	a->del_pending = all_workers(s);
	a->del_awaited = all_workers(s);
	tell_workers(s, a);
}

void mg_apps_deleted(struct mg_slow *s, uint32_t worker, const struct mg_app *app)
{
	struct mg_slow_app *a = mg_apps_find(s, app);
	struct mg_app *gone;

	if (a == NULL || a->state != MG_APP_ENDING) {
		s->stats.events_stale++;
		return;
	}
	a->del_awaited &= ~(1u << worker);
	if (a->del_awaited != 0)
		return;
	gone = a->app;
	a->app = NULL;
	a->state = MG_APP_NONE;
	if (s->env.app_gone != NULL)
		s->env.app_gone(s->env.ctx, gone);
}

static void wake_contexts(struct mg_slow *s, struct mg_slow_app *a)
{
	while (a->wake != 0) {
		uint32_t context = (uint32_t)__builtin_ctz(a->wake);

		a->wake &= a->wake - 1;
		if (mg_sleep_claim_wake(&a->app->contexts[context].shm->sleeping))
			s->env.wake(s->env.ctx, a->app, context);
	}
}

void mg_apps_flush(struct mg_slow *s)
{
	for (uint32_t i = 0; i < s->nr_apps; i++) {
		struct mg_slow_app *a = &s->apps[i];

		if (a->state == MG_APP_NONE)
			continue;
		if ((a->add_pending | a->del_pending) != 0)
			tell_workers(s, a);
		if (a->app != NULL)
			wake_contexts(s, a);
	}
}

void mg_apps_broken(struct mg_slow *s, struct mg_slow_app *a)
{
	if (a->broken || a->state != MG_APP_LIVE)
		return;
	a->broken = true;
	s->stats.broken_apps++;
	if (s->env.app_broken != NULL)
		s->env.app_broken(s->env.ctx, a->app);
}
