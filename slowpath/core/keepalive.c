/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keepalive.c - is the peer of a silent connection still there (RFC 9293 3.8.4)?
 *
 * Idea:    only the worker knows when it last heard something, so the timer asks for a report first. The
 *          report says: heard lately - come back later; silent - probe, and count; silent after all
 *          probes - give up. Nothing is probed while data is outstanding: retransmission does that.
 */
#include <errno.h>

#include "slowpath/core/close.h"
#include "slowpath/core/engine.h"

static void come_back(struct mg_slow *s, struct mg_conn *c, uint64_t deadline_ns)
{
	mg_conn_arm(s, c, MG_CONN_T_KEEPALIVE, deadline_ns);
}

void mg_keepalive_start(struct mg_slow *s, struct mg_conn *c)
{
	bool is_on = (c->flags & MG_CONN_KEEPALIVE) != 0 && mg_conn_is_synchronised(c);

	c->ka_probes = 0;
	come_back(s, c,
		  is_on ? mg_time_after(s->now_ns, mg_ms_to_ns(c->ka_idle_ms)) : MG_TIME_NEVER);
}

void mg_keepalive_timer(struct mg_slow *s, struct mg_conn *c)
{
	if ((c->flags & MG_CONN_KEEPALIVE) == 0 || c->flow == MG_CONN_FLOW_REMOVING)
		return;
	c->flags |= MG_CONN_PROBED;
	mg_conn_command(s, c, MG_CONN_CMD_REPORT);
}

static bool is_dead(struct mg_slow *s, const struct mg_conn *c, uint64_t silent_ns)
{
	if (c->user_timeout_ms != 0) /* Linux: TCP_USER_TIMEOUT overrides the count */
		return c->ka_probes > 0 && silent_ns >= mg_ms_to_ns(c->user_timeout_ms);
	(void)s;
	return c->ka_probes >= c->ka_count;
}

void mg_keepalive_report(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_removed *ev)
{
	uint64_t silent_ns = mg_sub_sat_u64(s->now_ns, ev->last_rx_ns);

	if ((c->flags & MG_CONN_PROBED) == 0)
		return;
	c->flags &= ~(uint32_t)MG_CONN_PROBED;
	if ((c->flags & MG_CONN_KEEPALIVE) == 0 || c->flow != MG_CONN_FLOW_LIVE)
		return;
	if (ev->inflight_bytes > 0) {
		come_back(s, c, mg_time_after(s->now_ns, mg_ms_to_ns(c->ka_idle_ms)));
		return;
	}
	if (ev->last_rx_ns > c->ka_sent_ns)
		c->ka_probes = 0;
	if (c->ka_probes == 0 && silent_ns < mg_ms_to_ns(c->ka_idle_ms)) {
		come_back(s, c, mg_time_after(ev->last_rx_ns, mg_ms_to_ns(c->ka_idle_ms)));
		return;
	}
	if (is_dead(s, c, silent_ns)) {
		s->stats.timeouts_keepalive++;
		mg_conn_end(s, c, c->soft_error != 0 ? c->soft_error : ETIMEDOUT, true);
		return;
	}
	c->ka_probes++;
	c->ka_sent_ns = s->now_ns;
	s->stats.keepalive_probes++;
	mg_conn_command(s, c, MG_CONN_CMD_PROBE);
	come_back(s, c, mg_time_after(s->now_ns, mg_ms_to_ns(c->ka_intvl_ms)));
}
