/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain.c - the daemon wants to stop: no new connections, the old ones may finish for a while, then reset.
 */
#include <errno.h>

#include "slowpath/core/close.h"
#include "slowpath/core/engine.h"

void mg_drain_begin(struct mg_slow *s, uint64_t grace_ns)
{
	s->is_draining = true;
	for (uint32_t i = 0; i < s->listener_pool.nr_touched; i++)
		if (mg_pool_is_live(&s->listener_pool, i))
			mg_listener_end(s, &s->listeners[i], -ESHUTDOWN);
	mg_wheel_arm(&s->wheel, s->timer.drain, mg_time_after(s->now_ns, grace_ns));
	mg_drain_step(s);
}

void mg_drain_timer(struct mg_slow *s)
{
	for (uint32_t i = 0; i < s->conn_pool.nr_touched && s->is_draining; i++)
		if (mg_pool_is_live(&s->conn_pool, i))
			mg_conn_end(s, &s->conns[i], ECONNABORTED, true);
}

void mg_drain_step(struct mg_slow *s)
{
	if (!s->is_draining || s->nr_active > 0)
		return;
	s->is_draining = false;
	s->is_drained = true;
	mg_wheel_cancel(&s->wheel, s->timer.drain);
	if (s->env.drained != NULL)
		s->env.drained(s->env.ctx);
}
