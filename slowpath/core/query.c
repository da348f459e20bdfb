/* SPDX-License-Identifier: Apache-2.0 */
/* query.c - see query.h. */
#include "slowpath/core/query.h"

#include <errno.h>

#include "proto/base/assert.h"
#include "slowpath/core/engine.h"

#define PATIENCE_NS \
	(200 * MG_NS_PER_MS) /* a worker that does not answer is busy: reply without it */

static uint32_t pid_of_context(const struct mg_app *app, uint32_t context)
{
	return atomic_load_explicit(&app->contexts[context].pid, memory_order_relaxed);
}

/* Of the process that gets its events. One that joined and left again was the last to have it. */
static uint32_t pid_of(const struct mg_slow *s, const struct mg_conn *c)
{
	uint32_t context = c->context;

	if ((c->contexts >> context & 1) == 0 && c->contexts != 0)
		context = (uint32_t)__builtin_ctz(c->contexts);
	return pid_of_context(s->apps[c->app].app, context);
}

static void fill_from_conn(struct mg_slow *s, const struct mg_conn *c,
			   struct mg_ctl_conn_info *info)
{
	memset(info, 0, sizeof(*info));
	info->tuple = c->node.tuple;
	info->state = c->state;
	info->window = c->window;
	info->gen = c->window_gen;
	info->worker = c->worker;
	info->pid = pid_of(s, c);
	info->app = s->apps[c->app].slot;
	info->flags = c->flags & MG_CONN_GUARDED ? MG_CTL_OBJECT_GUARDED : 0;
	info->srtt_us = c->srtt_us;
	info->mss = c->snd_mss;
	info->cwnd_bytes = c->cc.cwnd;
	info->ssthresh_bytes = c->cc.ssthresh;
	info->snd_wscale = c->hs.snd_ws;
	info->rcv_wscale = c->hs.rcv_ws;
	info->opts = c->hs.opts | (c->flags & MG_CONN_SYN_DATA ? MG_SEG_OPT_TFO : 0u);
	info->pacing_Bps = c->cc.pacing_Bps;
	info->age_ms = mg_ns_to_ms(s->now_ns - c->born_ns);
	info->ecn = c->hs.ecn != 0;
	memcpy(info->cc, mg_conn_cc(s, c)->name, sizeof(info->cc));
	if (mg_conn_is_synchronised(c) && c->cc.ops != NULL && c->cc.mss != 0)
		(void)strncpy(info->cc_phase, mg_cc_phase(&c->cc), sizeof(info->cc_phase) - 1);
}

static void fill_from_node(const struct mg_tuple_node *node, uint32_t state,
			   struct mg_ctl_conn_info *info)
{
	memset(info, 0, sizeof(*info));
	info->tuple = node->tuple;
	info->state = state;
}

static void fill_from_report(const struct mg_ev_removed *ev, struct mg_ctl_conn_info *info)
{
	info->srtt_us = ev->srtt_us;
	info->rttvar_us = ev->rttvar_us;
	info->rto_us = ev->rto_us;
	info->cwnd_bytes = ev->cwnd_bytes;
	info->ssthresh_bytes = ev->ssthresh_bytes;
	info->snd_wnd_bytes = ev->snd_wnd;
	info->rcv_wnd_bytes = ev->rcv_wnd;
	info->inflight_bytes = ev->inflight_bytes;
	info->retrans = ev->retrans;
	info->rx_bytes = ev->rx_bytes;
	info->tx_bytes = ev->tx_bytes;
	info->acked_bytes = ev->acked_bytes;
	info->pacing_Bps = ev->pacing_Bps;
}

static void expect_report(struct mg_slow *s, struct mg_conn *c, struct mg_ctl_conn_info *info)
{
	struct mg_queries *q = &s->queries;

	if (c->flow != MG_CONN_FLOW_LIVE || q->nr_reports >= MG_QUERY_REPORTS_MAX)
		return;
	q->reports[q->nr_reports++] = (struct mg_query_report){ .conn = c->idx,
								.gen = c->gen,
								.info = info };
	q->nr_missing++;
}

/* The n-th of connections, embryos and TIME-WAIT entries, in that order. False: this slot is empty. */
static bool fill_slot(struct mg_slow *s, uint32_t slot, struct mg_ctl_conn_info *info,
		      struct mg_conn **ret_conn)
{
	uint32_t i = slot;

	*ret_conn = NULL;
	if (i < s->conn_pool.nr_touched) {
		if (!mg_pool_is_live(&s->conn_pool, i))
			return false;
		fill_from_conn(s, &s->conns[i], info);
		*ret_conn = &s->conns[i];
		return true;
	}
	i -= s->conn_pool.nr_touched;
	if (i < s->embryo_pool.nr_touched) {
		if (!mg_pool_is_live(&s->embryo_pool, i))
			return false;
		fill_from_node(&s->embryos[i].node, MG_TCP_SYN_RECEIVED, info);
		return true;
	}
	i -= s->embryo_pool.nr_touched;
	if (!mg_pool_is_live(&s->timewaits.pool, i))
		return false;
	fill_from_node(&s->timewaits.entries[i].node, MG_TCP_TIME_WAIT, info);
	return true;
}

static void collect_connections(struct mg_slow *s, struct mg_ctl_msg *msg)
{
	uint32_t nr_slots = s->conn_pool.nr_touched + s->embryo_pool.nr_touched +
			    s->timewaits.pool.nr_touched;
	uint32_t max = mg_ctl_items_max(MG_CTL_CONNECTIONS | MG_CTL_REPLY);
	uint32_t skip = msg->hdr.start;
	uint32_t count = 0;

	msg->hdr.type |= MG_CTL_REPLY; /* the items are a reply's from here on */
	msg->hdr.more = 0;
	for (uint32_t slot = 0; slot < nr_slots; slot++) {
		struct mg_ctl_conn_info info;
		struct mg_conn *c;

		if (!fill_slot(s, slot, &info, &c))
			continue;
		if (skip > 0) {
			skip--;
			continue;
		}
		if (count == max) {
			msg->hdr.more = 1;
			break;
		}
		msg->conn_info[count] = info;
		if (c != NULL)
			expect_report(s, c, &msg->conn_info[count]);
		count++;
	}
	mg_ctl_set_count(msg, count);
}

static void collect_options(struct mg_slow *s, const struct mg_slow_req *req)
{
	const struct mg_slow_app *a = mg_apps_find(s, req->app);
	struct mg_ctl_msg *msg = req->msg;

	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		struct mg_ctl_opt *opt = &msg->opt[i];
		struct mg_conn *c = a != NULL ? mg_conn_by_window(s, a, opt->window, opt->gen)
					      : NULL;

		if (c == NULL) {
			opt->status = mg_option_none(s, opt, false);
		} else if (opt->option == MG_CTL_OPT_INFO) {
			opt->status = 0;
			fill_from_conn(s, c, &opt->info);
			expect_report(s, c, &opt->info);
		} else {
			mg_option_get(s, c, opt);
		}
		if (opt->status < 0 && msg->hdr.status == 0)
			msg->hdr.status = opt->status;
	}
}

static void run_next(struct mg_slow *s);

static void finish(struct mg_slow *s)
{
	struct mg_queries *q = &s->queries;
	struct mg_slow_req req = q->running;

	mg_wheel_cancel(&s->wheel, s->timer.query);
	q->running.type = 0;
	q->nr_reports = 0;
	q->nr_missing = 0;
	req.msg->hdr.type |= MG_CTL_REPLY;
	s->env.reply(s->env.ctx, &req);
	run_next(s);
}

static void run(struct mg_slow *s, const struct mg_slow_req *req)
{
	struct mg_queries *q = &s->queries;

	q->running = *req;
	q->nr_reports = 0;
	q->nr_missing = 0;
	req->msg->hdr.status = 0;
	if (req->msg->hdr.type == MG_CTL_CONNECTIONS)
		collect_connections(s, req->msg);
	else
		collect_options(s, req);
	mg_wheel_arm(&s->wheel, s->timer.query, s->now_ns + PATIENCE_NS);
	for (uint32_t i = 0; i < q->nr_reports; i++)
		mg_conn_command(s, &s->conns[q->reports[i].conn], MG_CONN_CMD_REPORT);
	if (q->nr_missing == 0)
		finish(s);
}

/* Bounded recursion: each finish() takes one out of a short queue. */
static void run_next(struct mg_slow *s)
{
	struct mg_queries *q = &s->queries;
	struct mg_slow_req req;

	if (q->nr_waiting == 0)
		return;
	req = q->waiting[q->first];
	q->first = (q->first + 1) % MG_QUERY_WAITING_MAX;
	q->nr_waiting--;
	run(s, &req);
}

void mg_query_ask(struct mg_slow *s, const struct mg_slow_req *req)
{
	struct mg_queries *q = &s->queries;

	if (q->running.type == 0) {
		run(s, req);
		return;
	}
	if (q->nr_waiting == MG_QUERY_WAITING_MAX) {
		req->msg->hdr.type |= MG_CTL_REPLY;
		mg_ctl_set_count(req->msg, 0);
		req->msg->hdr.status = -EBUSY;
		s->env.reply(s->env.ctx, req);
		return;
	}
	q->waiting[(q->first + q->nr_waiting++) % MG_QUERY_WAITING_MAX] = *req;
}

/* ev NULL: there will be none. One connection may be asked about more than once. */
static void settle(struct mg_slow *s, const struct mg_conn *c, const struct mg_ev_removed *ev)
{
	struct mg_queries *q = &s->queries;

	if (q->running.type == 0 || q->nr_missing == 0)
		return;
	for (uint32_t i = 0; i < q->nr_reports; i++) {
		struct mg_query_report *r = &q->reports[i];

		if (r->info == NULL || r->conn != c->idx || r->gen != c->gen)
			continue;
		if (ev != NULL)
			fill_from_report(ev, r->info);
		r->info = NULL;
		q->nr_missing--;
	}
	if (q->nr_missing == 0)
		finish(s);
}

void mg_query_report(struct mg_slow *s, const struct mg_conn *c, const struct mg_ev_removed *ev)
{
	settle(s, c, ev);
}

void mg_query_forget(struct mg_slow *s, const struct mg_conn *c)
{
	settle(s, c, NULL);
}

void mg_query_timer(struct mg_slow *s)
{
	if (s->queries.running.type != 0)
		finish(s);
}

/* The process that opened it, or one that accepts. */
static uint32_t pid_of_listener(const struct mg_slow *s, const struct mg_listener *l)
{
	const struct mg_app *app = s->apps[l->app].app;
	uint32_t pid = pid_of_context(app, l->context);

	return pid == 0 && l->creditors != 0
		       ? pid_of_context(app, (uint32_t)__builtin_ctz(l->creditors))
		       : pid;
}

static uint32_t count_offered(struct mg_slow *s, const struct mg_listener *l)
{
	const struct mg_slow_app *a = &s->apps[l->app];
	uint32_t n = 0;

	for (uint32_t w = 0; w < a->windows.nr_touched; w++) {
		const struct mg_conn *c = &s->conns[a->conn_of[w]];

		n += mg_pool_is_live(&a->windows, w) && (c->flags & MG_CONN_OFFERED) != 0 &&
		     c->listener == l->id &&
		     atomic_load_explicit(&mg_conn_window(s, c)->claim, memory_order_relaxed) ==
			     MG_SHM_CLAIM_OFFERED;
	}
	return n;
}

void mg_query_listeners(struct mg_slow *s, const struct mg_slow_req *req)
{
	struct mg_ctl_msg *msg = req->msg;
	uint32_t max = mg_ctl_items_max(MG_CTL_LISTENERS | MG_CTL_REPLY);
	uint32_t skip = msg->hdr.start;
	uint32_t count = 0;

	msg->hdr.type |= MG_CTL_REPLY;
	msg->hdr.more = 0;
	for (uint32_t i = 0; i < s->listener_pool.nr_touched; i++) {
		const struct mg_listener *l = &s->listeners[i];

		if (!mg_pool_is_live(&s->listener_pool, i))
			continue;
		if (skip > 0) {
			skip--;
			continue;
		}
		if (count == max) {
			msg->hdr.more = 1;
			break;
		}
		msg->listener_info[count++] = (struct mg_ctl_listener_info){
			.addr = l->addr,
			.port = l->port,
			.flags = l->flags,
			.listener = l->id,
			.pid = pid_of_listener(s, l),
			.app = l->app,
			.object_flags = l->guarded ? MG_CTL_OBJECT_GUARDED : 0,
			.holders = (uint32_t)__builtin_popcount(l->creditors),
			.offered = count_offered(s, l),
			.backlog = l->backlog,
			.pending = l->nr_queued,
			.embryos = l->nr_embryos,
			.accepted = l->accepted,
			.dropped = l->dropped,
		};
	}
	mg_ctl_set_count(msg, count);
}

static void copy_text(char *dst, size_t size, const char *src)
{
	size_t len = strnlen(src, size - 1);

	memcpy(dst, src, len);
	memset(dst + len, 0, size - len);
}

void mg_query_stats(struct mg_slow *s, struct mg_ctl_msg *msg)
{
	uint32_t max = mg_ctl_items_max(MG_CTL_STATS | MG_CTL_REPLY);
	uint32_t count = 0;
	const char *name, *help;
	uint64_t value;

	msg->hdr.type |= MG_CTL_REPLY;
	while (count < max && mg_slow_counter(s, msg->hdr.start + count, &name, &help, &value)) {
		struct mg_ctl_counter *item = &msg->counter[count++];

		copy_text(item->name, sizeof(item->name), name);
		copy_text(item->help, sizeof(item->help), help);
		item->value = value;
	}
	msg->hdr.more = mg_slow_counter(s, msg->hdr.start + count, &name, &help, &value);
	mg_ctl_set_count(msg, count);
}
