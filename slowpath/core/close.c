/* SPDX-License-Identifier: Apache-2.0 */
/*
 * close.c - how connections end.
 *
 * Idea:    the worker sends and receives FINs in sequence and says so; this file turns that into states
 *          (RFC 9293 3.6), and decides what only the slow path can: when to give up, when a closed
 *          application's data calls for a reset, how many orphans there may be.
 */
#include "slowpath/core/close.h"

#include <errno.h>

#include "proto/base/assert.h"
#include "slowpath/core/engine.h"

#define R1 3             /* RFC 9293 SHLD-10: then ask whether the neighbour is still there */
#define ORPHAN_RETRIES 8 /* nobody waits for it any more */

static void wait_for_fin(struct mg_slow *s, struct mg_conn *c)
{
	if (c->flags & MG_CONN_ORPHAN)
		mg_conn_arm(s, c, MG_CONN_T_ORPHAN,
			    mg_time_after(s->now_ns, mg_ms_to_ns(s->conf.fin_timeout_ms)));
}

static void fin_rcvd(struct mg_slow *s, struct mg_conn *c)
{
	switch (c->state) {
	case MG_TCP_ESTABLISHED:
		mg_conn_set_state(s, c, MG_TCP_CLOSE_WAIT);
		break;
	case MG_TCP_FIN_WAIT_1:
		mg_conn_set_state(s, c, MG_TCP_CLOSING);
		break;
	case MG_TCP_FIN_WAIT_2:
		mg_conn_set_state(s, c, MG_TCP_TIME_WAIT);
		mg_conn_end(s, c, 0, false);
		break;
	default:
		s->stats.events_stale++;
		break;
	}
}

static void fin_sent(struct mg_slow *s, struct mg_conn *c)
{
	/* SYN-RECEIVED: its handshake has not ended (fastopen.h) */
	if (c->state == MG_TCP_ESTABLISHED || c->state == MG_TCP_SYN_RECEIVED)
		mg_conn_set_state(s, c, MG_TCP_FIN_WAIT_1);
	else if (c->state == MG_TCP_CLOSE_WAIT)
		mg_conn_set_state(s, c, MG_TCP_LAST_ACK);
	else
		s->stats.events_stale++;
}

static void fin_acked(struct mg_slow *s, struct mg_conn *c)
{
	switch (c->state) {
	case MG_TCP_FIN_WAIT_1:
		mg_conn_set_state(s, c, MG_TCP_FIN_WAIT_2);
		wait_for_fin(s, c);
		break;
	case MG_TCP_CLOSING:
		mg_conn_set_state(s, c, MG_TCP_TIME_WAIT);
		mg_conn_end(s, c, 0, false);
		break;
	case MG_TCP_LAST_ACK:
		mg_conn_end(s, c, 0, false);
		break;
	default:
		s->stats.events_stale++;
		break;
	}
}

/* RFC 9293 3.10.7.4, second check. In CLOSE-WAIT both ends agree that no more comes from there: EPIPE, as Linux. */
static void rst_rcvd(struct mg_slow *s, struct mg_conn *c)
{
	uint32_t error = ECONNRESET;

	s->stats.resets_in++;
	mg_fastopen_over(s, c, true);
	if (c->state == MG_TCP_CLOSE_WAIT)
		error = EPIPE;
	else if (c->state == MG_TCP_CLOSING || c->state == MG_TCP_LAST_ACK)
		error = 0;
	mg_conn_end(s, c, error, false);
}

static bool user_timeout_is_over(struct mg_slow *s, const struct mg_conn *c)
{
	return c->user_timeout_ms != 0 && c->user_timeout_ms != MG_USER_TIMEOUT_NEVER &&
	       s->now_ns >= c->rexmt_since_ns + mg_ms_to_ns(c->user_timeout_ms);
}

/* R1 and R2 (RFC 9293 3.8.3), the user timeout in R2's place when it is set. */
static void timed_out(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_flow *ev)
{
	uint32_t most = s->conf.retries;

	if (ev->count <= 1 || c->rexmt_since_ns == 0)
		c->rexmt_since_ns = s->now_ns;
	if (ev->count >= R1) {
		mg_neigh_suspect(s, c->neigh);
		if (c->soft_error == 0)
			c->soft_error = ETIMEDOUT; /* SHLD-9: who asks is told */
	}
	mg_pmtu_timed_out(s, c, ev);
	if (c->flags & MG_CONN_ORPHAN)
		most = mg_min_u32(most, ORPHAN_RETRIES);
	if (user_timeout_is_over(s, c)) {
		s->stats.timeouts_user++;
	} else if (ev->count > most &&
		   (c->user_timeout_ms == 0 || (c->flags & MG_CONN_ORPHAN) != 0)) {
		s->stats.timeouts_rexmt++;
	} else {
		return;
	}
	mg_conn_end(s, c, c->soft_error != 0 ? c->soft_error : ETIMEDOUT, true);
}

void mg_close_orphan(struct mg_slow *s, struct mg_conn *c)
{
	MG_ASSERT((c->flags & MG_CONN_ORPHAN) == 0);
	c->flags |= MG_CONN_ORPHAN;
	s->nr_orphans++;
	if (s->nr_orphans > s->conf.orphans_max) {
		s->stats.orphans_reset++;
		mg_conn_end(s, c, 0, true);
	} else if (c->state == MG_TCP_FIN_WAIT_2) {
		wait_for_fin(s, c);
	}
}

void mg_close_orphan_timer(struct mg_slow *s, struct mg_conn *c)
{
	if (c->state != MG_TCP_FIN_WAIT_2)
		return;
	s->stats.fin_wait2_timeouts++;
	mg_conn_end(s, c, 0, false);
}

static void app_closed(struct mg_slow *s, struct mg_conn *c, uint32_t unread_bytes)
{
	bool again = (c->flags & MG_CONN_RELEASED) != 0;

	c->flags |= MG_CONN_RELEASED;
	if (unread_bytes > 0) {
		s->stats.closed_unread++; /* RFC 9293 SHLD-3, RFC 2525 2.17 */
		mg_conn_end(s, c, 0, true);
	} else if (c->linger_ms == 0) {
		mg_conn_end(s, c, 0, true);
	} else if (!again) {
		mg_close_orphan(s, c);
	}
}

/* An application cannot let go of what it was never given: only a broken one tries. */
static bool is_unannounced(struct mg_slow *s, struct mg_conn *c)
{
	if ((c->flags & MG_CONN_QUEUED) == 0)
		return false;
	mg_conn_end(s, c, ECONNABORTED, true);
	return true;
}

void mg_close_event(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_flow *ev)
{
	if (c->flow == MG_CONN_FLOW_REMOVING) {
		/* it is ending already; only the application's word still counts */
		if (ev->msg.type == MG_EV_APP_CLOSE || ev->msg.type == MG_EV_APP_ABORT) {
			if ((c->flags & MG_CONN_QUEUED) == 0)
				c->flags |= MG_CONN_RELEASED;
		}
		return;
	}
	switch (ev->msg.type) {
	case MG_EV_FIN_RCVD:
		fin_rcvd(s, c);
		break;
	case MG_EV_FIN_SENT:
		fin_sent(s, c);
		break;
	case MG_EV_FIN_ACKED:
		fin_acked(s, c);
		break;
	case MG_EV_RST_RCVD:
		rst_rcvd(s, c);
		break;
	case MG_EV_TIMEOUT:
		timed_out(s, c, ev);
		break;
	case MG_EV_MTU_PROBE:
		mg_pmtu_probed(s, c, ev->value);
		break;
	case MG_EV_APP_CLOSE:
		if (!is_unannounced(s, c))
			app_closed(s, c, ev->value);
		break;
	case MG_EV_APP_ABORT:
		if (!is_unannounced(s, c)) {
			c->flags |= MG_CONN_RELEASED;
			mg_conn_end(s, c, ECONNABORTED, true);
		}
		break;
	case MG_EV_DATA_AFTER_CLOSE:
		s->stats.closed_late_data++;
		mg_conn_end(s, c, ECONNRESET, true);
		break;
	default:
		break;
	}
}

void mg_close_doorbell(struct mg_slow *s, const struct mg_ev_doorbell *ev)
{
	struct mg_slow_app *a = mg_apps_find(s, ev->app);
	struct mg_conn *c = a != NULL ? mg_conn_by_window(s, a, ev->window, ev->gen) : NULL;

	if (c == NULL || (c->flags & MG_CONN_QUEUED) != 0)
		return;
	if (ev->a_flags & MG_SHM_AF_SYN)
		mg_active_go(s, c);
	if (ev->a_flags & MG_SHM_AF_ABORT)
		mg_close_abort(s, c);
	else if (ev->a_flags & MG_SHM_AF_CLOSE && c->flow != MG_CONN_FLOW_LIVE &&
		 c->state != MG_TCP_SYN_RECEIVED) /* INSTALL will find the flag */
		mg_close_asked(s, c);
}

void mg_close_asked(struct mg_slow *s, struct mg_conn *c)
{
	c->flags |= MG_CONN_CLOSE_ASKED; /* whatever ends it now, nobody comes for the window */
	switch (c->flow) {
	case MG_CONN_FLOW_NONE:
		if (c->state == MG_TCP_SYN_RECEIVED)
			break; /* finish the handshake, then FIN */
		c->flags |= MG_CONN_RELEASED;
		mg_conn_end(s, c, ECONNABORTED, false);
		break;
	case MG_CONN_FLOW_INSTALLING:
	case MG_CONN_FLOW_LIVE:
		mg_conn_command(s, c, MG_CONN_CMD_CLOSE);
		break;
	default:
		mg_conn_release(s, c);
		break;
	}
}

void mg_close_abort(struct mg_slow *s, struct mg_conn *c)
{
	c->flags |= MG_CONN_RELEASED;
	if (c->flow == MG_CONN_FLOW_GONE)
		mg_conn_release(s, c);
	else
		mg_conn_end(s, c, ECONNABORTED, true);
}
