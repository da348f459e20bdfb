/* SPDX-License-Identifier: Apache-2.0 */
/* share.c - see share.h. */
#include "slowpath/core/share.h"

#include <errno.h>

#include "slowpath/core/close.h"
#include "slowpath/core/engine.h"

/* holder 0: whoever asks is trusted. */
static bool has_it(uint32_t holder, uint32_t context)
{
	return holder == 0 || (holder >> context & 1) != 0;
}

/* The application's: neither in a queue nor offered to somebody who has not taken it. */
static struct mg_conn *owned_conn(struct mg_slow *s, const struct mg_slow_app *app, uint32_t window,
				  uint32_t gen)
{
	struct mg_conn *c = mg_conn_by_window(s, app, window, gen);

	if (c == NULL || (c->flags & (MG_CONN_QUEUED | MG_CONN_RELEASED)) != 0)
		return NULL;
	if ((c->flags & MG_CONN_OFFERED) == 0)
		return c;
	/* relaxed: only the word itself matters */
	if (atomic_load_explicit(&mg_conn_window(s, c)->claim, memory_order_relaxed) !=
	    MG_SHM_CLAIM_TAKEN)
		return NULL;
	c->flags &= ~(uint32_t)MG_CONN_OFFERED;
	c->listener = MG_LISTENER_NONE;
	return c;
}

static int guard_conn(struct mg_slow *s, struct mg_slow_app *app, uint32_t holder,
		      const struct mg_ctl_guard *guard)
{
	struct mg_conn *c = owned_conn(s, app, guard->id, guard->gen);

	if (c == NULL)
		return -ENOENT;
	if (c->flags & MG_CONN_GUARDED)
		return -EEXIST;
	if (!has_it(holder, c->context))
		return -ENOENT;
	/* Rings that change would have to change in every process. */
	c->flags |= MG_CONN_GUARDED | MG_CONN_RCV_FIXED | MG_CONN_SND_FIXED;
	return 0;
}

static int guard_listener(struct mg_slow *s, const struct mg_slow_app *app, uint32_t holder,
			  const struct mg_ctl_guard *guard)
{
	struct mg_listener *l = mg_listener_by_id(s, guard->id);

	if (l == NULL || l->app != app->slot)
		return -ENOENT;
	if (l->guarded)
		return -EEXIST;
	if (!has_it(holder, l->context))
		return -ENOENT;
	l->guarded = true;
	return 0;
}

int mg_share_guard(struct mg_slow *s, struct mg_slow_app *app, uint32_t holder,
		   const struct mg_ctl_guard *guard)
{
	switch (guard->kind) {
	case MG_CTL_GUARD_CONN:
		return guard_conn(s, app, holder, guard);
	case MG_CTL_GUARD_LISTENER:
		return guard_listener(s, app, holder, guard);
	default:
		return -EINVAL;
	}
}

void mg_share_unguard(struct mg_slow *s, const struct mg_slow_req *req)
{
	struct mg_slow_app *a = mg_apps_find(s, req->app);
	uint32_t id = (uint32_t)(req->value >> 32), gen = (uint32_t)req->value;
	struct mg_listener *l;
	struct mg_conn *c;

	if (a == NULL || a->state != MG_APP_LIVE)
		return;
	if (req->arg == MG_CTL_GUARD_LISTENER) {
		l = mg_listener_by_id(s, id);
		if (l == NULL || l->app != a->slot || !l->guarded)
			return;
		s->stats.guards_closed++;
		mg_listener_end(s, l, 0);
		return;
	}
	c = mg_conn_by_window(s, a, id, gen);
	if (c == NULL || (c->flags & MG_CONN_GUARDED) == 0)
		return; /* somebody closed it by hand */
	s->stats.guards_closed++;
	c->flags &= ~(uint32_t)MG_CONN_GUARDED;
	if (c->linger_ms == 0)
		mg_close_abort(s,
			       c); /* SO_LINGER, as whoever closes it himself resets it himself */
	else
		mg_close_asked(s, c);
}

int mg_share_move(struct mg_slow *s, struct mg_slow_app *app, uint32_t holder,
		  const struct mg_ctl_move *move)
{
	struct mg_conn *c = owned_conn(s, app, move->window, move->gen);
	uint32_t bit;

	if (c == NULL)
		return -ENOTCONN;
	if (move->context >= app->app->nr_contexts)
		return -EINVAL;
	if ((c->flags & MG_CONN_GUARDED) == 0 &&
	    (!has_it(holder, c->context) || move->how == MG_CTL_MOVE_LEAVE))
		return -EPERM;
	bit = 1u << move->context;
	switch (move->how) {
	case MG_CTL_MOVE_LEAVE:
		mg_conn_set_contexts(s, c, c->contexts & ~bit);
		return 0;
	case MG_CTL_MOVE_JOIN:
	case MG_CTL_MOVE_TAKE:
		c->context = move->context;
		mg_conn_set_contexts(s, c, move->how == MG_CTL_MOVE_TAKE ? bit : c->contexts | bit);
		mg_conn_tell(s, c, MG_SHM_EV_CONN);
		return 0;
	default:
		return -EINVAL;
	}
}

static void leave_listener(struct mg_slow *s, struct mg_listener *l, uint32_t contexts)
{
	if (!l->guarded && (contexts >> l->context & 1) != 0) {
		mg_listener_end(s, l, 0);
		return;
	}
	for (uint32_t left = l->creditors & contexts; left != 0; left &= left - 1)
		l->credits[__builtin_ctz(left)] = 0;
	l->creditors &= ~contexts;
}

static void leave_conn(struct mg_slow *s, struct mg_conn *c, uint32_t contexts)
{
	if ((c->flags & MG_CONN_QUEUED) != 0)
		return;
	if ((c->flags & MG_CONN_OFFERED) != 0 && (c->contexts & contexts) != 0 &&
	    mg_listener_take_back(s, c))
		return;
	if (c->flags & MG_CONN_GUARDED) {
		if (c->contexts & contexts)
			mg_conn_set_contexts(s, c, c->contexts & ~contexts);
	} else if ((contexts >> c->context & 1) != 0) {
		mg_apps_abandon(s, c);
	}
}

void mg_share_holder_gone(struct mg_slow *s, struct mg_slow_app *a, uint32_t contexts)
{
	s->stats.holders_gone++;
	for (uint32_t i = 0; i < s->listener_pool.nr_touched; i++)
		if (mg_pool_is_live(&s->listener_pool, i) && s->listeners[i].app == a->slot)
			leave_listener(s, &s->listeners[i], contexts);
	/* The newest first: what is taken back goes to the head of its queue. */
	for (uint32_t w = a->windows.nr_touched; w-- > 0;)
		if (mg_pool_is_live(&a->windows, w))
			leave_conn(s, &s->conns[a->conn_of[w]], contexts);
	for (uint32_t i = 0; i < s->listener_pool.nr_touched; i++)
		if (mg_pool_is_live(&s->listener_pool, i) && s->listeners[i].app == a->slot)
			mg_listener_serve(s, &s->listeners[i]);
}
