/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counters.c - the counters by number, for whoever shows them; and the invariants of the whole engine.
 */
#include "proto/base/assert.h"
#include "slowpath/core/engine.h"

struct counter {
	const char *name;
	const char *help;
	size_t off;
};

static const struct counter counters[] = {
#define MG_SLOW_STAT(name, help) { "slow_" #name, help, offsetof(struct mg_slow_stats, name) },
#include "slowpath/core/slow_stats.def"
#undef MG_SLOW_STAT
};

/* Gauges come after the counters. */
enum {
	GAUGE_CONNECTIONS,
	GAUGE_LISTENERS,
	GAUGE_EMBRYOS,
	GAUGE_TIME_WAITS,
	GAUGE_ORPHANS,
	GAUGE_NEIGHBOURS,
	GAUGES
};

static const char *const gauges[GAUGES][2] = {
	[GAUGE_CONNECTIONS] = { "slow_connections", "connections now" },
	[GAUGE_LISTENERS] = { "slow_listeners", "listeners now" },
	[GAUGE_EMBRYOS] = { "slow_embryos", "handshakes under way now" },
	[GAUGE_TIME_WAITS] = { "slow_time_wait_now", "TIME-WAIT entries now" },
	[GAUGE_ORPHANS] = { "slow_orphans", "closing connections of gone applications now" },
	[GAUGE_NEIGHBOURS] = { "slow_neighbours", "known neighbours now" },
};

static uint64_t gauge(const struct mg_slow *s, uint32_t i)
{
	const uint64_t values[GAUGES] = {
		[GAUGE_CONNECTIONS] = s->nr_active,
		[GAUGE_LISTENERS] = s->listener_pool.nr_used,
		[GAUGE_EMBRYOS] = s->embryo_pool.nr_used,
		[GAUGE_TIME_WAITS] = s->timewaits.pool.nr_used,
		[GAUGE_ORPHANS] = s->nr_orphans,
		[GAUGE_NEIGHBOURS] = s->neighs.pool.nr_used,
	};

	return values[i];
}

bool mg_slow_counter(const struct mg_slow *s, uint32_t i, const char **ret_name,
		     const char **ret_help, uint64_t *ret_value)
{
	if (i < MG_ARRAY_SIZE(counters)) {
		*ret_name = counters[i].name;
		*ret_help = counters[i].help;
		memcpy(ret_value, (const uint8_t *)&s->stats + counters[i].off, sizeof(*ret_value));
		return true;
	}
	i -= (uint32_t)MG_ARRAY_SIZE(counters);
	if (i >= GAUGES)
		return false;
	*ret_name = gauges[i][0];
	*ret_help = gauges[i][1];
	*ret_value = gauge(s, i);
	return true;
}

static void check_conn(const struct mg_slow *s, const struct mg_conn *c)
{
	const struct mg_slow_app *a = &s->apps[c->app];
	bool is_active = c->flow != MG_CONN_FLOW_GONE;

	MG_ASSERT(c->state < MG_TCP_STATES && c->flow <= MG_CONN_FLOW_GONE);
	MG_ASSERT(a->state == MG_APP_LIVE || a->state == MG_APP_LEAVING);
	MG_ASSERT((c->flags & MG_CONN_WINDOW) != 0 && a->conn_of[c->window] == c->idx);
	MG_ASSERT(mg_pool_valid(&a->windows, c->window, c->window_gen));
	MG_ASSERT(is_active == ((c->flags & MG_CONN_HASHED) != 0));
	MG_ASSERT(is_active || c->state == MG_TCP_CLOSED);
	MG_ASSERT(is_active || (c->flags & MG_CONN_RELEASED) == 0);
	MG_ASSERT((c->pending != 0) == ((c->flags & MG_CONN_PENDING) != 0));
	MG_ASSERT((c->flags & MG_CONN_QUEUED) == 0 || (c->flags & MG_CONN_PASSIVE) != 0);
	MG_ASSERT((c->flags & MG_CONN_QUEUED) == 0 || (c->flags & MG_CONN_RELEASED) == 0);
	if (c->flow == MG_CONN_FLOW_LIVE || c->flow == MG_CONN_FLOW_INSTALLING)
		MG_ASSERT((mg_conn_is_synchronised(c) && c->state != MG_TCP_TIME_WAIT) ||
			  (c->flags & MG_CONN_TFO) != 0);
	if (is_active)
		MG_ASSERT(mg_tuples_find(&s->tuples, &c->node.tuple) ==
			  mg_tuples_ref(MG_TUPLES_CONN, c->idx));
}

static void check_conns(const struct mg_slow *s)
{
	uint32_t nr_active = 0, nr_orphans = 0, nr_pending = 0;

	for (uint32_t i = 0; i < s->conn_pool.nr_touched; i++) {
		const struct mg_conn *c = &s->conns[i];

		if (!mg_pool_is_live(&s->conn_pool, i))
			continue;
		check_conn(s, c);
		nr_active += c->flow != MG_CONN_FLOW_GONE;
		nr_orphans += (c->flags & MG_CONN_ORPHAN) != 0;
		nr_pending += (c->flags & MG_CONN_PENDING) != 0;
	}
	MG_ASSERT(nr_active == s->nr_active && nr_orphans == s->nr_orphans);
	for (uint32_t i = s->pending_head; i != MG_CONN_NONE; i = s->conns[i].pending_next)
		nr_pending--;
	MG_ASSERT(nr_pending == 0);
}

static void check_listeners(const struct mg_slow *s)
{
	uint32_t nr_embryos = 0;

	for (uint32_t i = 0; i < s->listener_pool.nr_touched; i++) {
		const struct mg_listener *l = &s->listeners[i];
		uint32_t nr = 0;

		if (!mg_pool_is_live(&s->listener_pool, i))
			continue;
		MG_ASSERT(l->state == MG_TCP_LISTEN);
		for (uint32_t c = l->queue_head; c != MG_CONN_NONE; c = s->conns[c].queue_next) {
			MG_ASSERT(s->conns[c].listener == l->id &&
				  (s->conns[c].flags & MG_CONN_QUEUED) != 0);
			nr++;
		}
		MG_ASSERT(nr == l->nr_queued);
		nr_embryos += l->nr_embryos;
	}
	MG_ASSERT(nr_embryos == s->embryo_pool.nr_used);
}

static void check_apps(const struct mg_slow *s)
{
	uint32_t nr_conns = 0, nr_listeners = 0;

	for (uint32_t i = 0; i < s->nr_apps; i++) {
		const struct mg_slow_app *a = &s->apps[i];

		if (a->state == MG_APP_NONE)
			continue;
		MG_ASSERT(a->windows.nr_used == a->nr_conns);
		nr_conns += a->nr_conns;
		nr_listeners += a->nr_listeners;
	}
	MG_ASSERT(nr_conns == s->conn_pool.nr_used && nr_listeners == s->listener_pool.nr_used);
}

void mg_slow_check(const struct mg_slow *s)
{
	check_conns(s);
	check_listeners(s);
	check_apps(s);
	MG_ASSERT(s->tuples.nr_used ==
		  s->nr_active + s->embryo_pool.nr_used + s->timewaits.pool.nr_used);
}
