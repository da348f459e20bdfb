/* SPDX-License-Identifier: Apache-2.0 */
/* slow.c - see slow.h: memory, and who handles what. */
#include "slowpath/core/slow.h"

#include <errno.h>

#include "proto/base/assert.h"
#include "slowpath/core/close.h"
#include "slowpath/core/engine.h"
#include "slowpath/core/share.h"

#define TICK_NS 1000000 /* nothing here is in more of a hurry than a millisecond */
#define ALIGN 64

/* Carves one block; with base NULL it only counts. */
struct carver {
	uint8_t *base;
	size_t used;
};

static void *carve(struct carver *k, size_t bytes)
{
	void *p = k->base != NULL ? k->base + k->used : NULL;

	k->used += mg_align_up(bytes, ALIGN);
	return p;
}

static uint32_t nr_tuples(const struct mg_slow_limits *l)
{
	return l->conns_max + l->embryos_max + l->time_waits_max;
}

static struct mg_timer_ids timer_ids(const struct mg_slow_limits *l)
{
	struct mg_timer_ids t;

	t.embryos = l->conns_max; /* connections come first: their timer id is their index */
	t.neighs = t.embryos + l->embryos_max;
	t.apps = t.neighs + l->neighbours_max;
	t.query = t.apps + l->apps_max;
	t.drain = t.query + 1;
	t.dad = t.drain + 1;
	t.nr = t.dad + 1;
	return t;
}

static uint32_t neigh_heads(const struct mg_slow_limits *l)
{
	return mg_pow2_up_u32(mg_max_u32(l->neighbours_max, 16));
}

/* The addresses of all tables; the same walk counts and places. */
struct places {
	struct mg_slow *slow;
	void *wheel, *tuples, *conn_pool, *conns, *embryo_pool, *embryos, *listener_pool,
		*listeners;
	void *listener_heads, *tw_pool, *tws, *neigh_pool, *neighs, *neigh_heads, *slot_pool,
		*slots, *apps;
	void *frags;
	uint8_t *app_mem;
	size_t app_stride, app_pool_bytes, app_conn_bytes;
};

static size_t place(void *mem, const struct mg_slow_limits *l, struct places *ret)
{
	struct carver k = { .base = mem };

	ret->slow = carve(&k, sizeof(struct mg_slow));
	ret->wheel = carve(&k, mg_wheel_bytes(timer_ids(l).nr));
	ret->tuples = carve(&k, mg_tuples_bytes(nr_tuples(l)));
	ret->conn_pool = carve(&k, mg_pool_bytes(l->conns_max));
	ret->conns = carve(&k, l->conns_max * sizeof(struct mg_conn));
	ret->embryo_pool = carve(&k, mg_pool_bytes(l->embryos_max));
	ret->embryos = carve(&k, l->embryos_max * sizeof(struct mg_embryo));
	ret->listener_pool = carve(&k, mg_pool_bytes(l->listeners_max));
	ret->listeners = carve(&k, l->listeners_max * sizeof(struct mg_listener));
	ret->listener_heads = carve(&k, MG_LISTENER_HEADS * sizeof(uint32_t));
	ret->tw_pool = carve(&k, mg_pool_bytes(l->time_waits_max));
	ret->tws = carve(&k, l->time_waits_max * sizeof(struct mg_timewait));
	ret->neigh_pool = carve(&k, mg_pool_bytes(l->neighbours_max));
	ret->neighs = carve(&k, l->neighbours_max * sizeof(struct mg_neigh));
	ret->neigh_heads = carve(&k, neigh_heads(l) * sizeof(uint32_t));
	ret->slot_pool = carve(&k, mg_pool_bytes(l->arp_queue_max));
	ret->slots = carve(&k, l->arp_queue_max * sizeof(struct mg_neigh_slot));
	ret->frags = carve(&k, l->frags_max * sizeof(struct mg_frag));
	ret->apps = carve(&k, l->apps_max * sizeof(struct mg_slow_app));
	ret->app_pool_bytes = mg_align_up(mg_pool_bytes(l->app_windows_max), ALIGN);
	ret->app_conn_bytes = mg_align_up(l->app_windows_max * sizeof(uint32_t), ALIGN);
	ret->app_stride = ret->app_pool_bytes + ret->app_conn_bytes +
			  mg_align_up(mg_payload_bytes(l->app_payload_bytes_max), ALIGN);
	ret->app_mem = carve(&k, l->apps_max * ret->app_stride);
	return k.used;
}

size_t mg_slow_bytes(const struct mg_slow_limits *limits)
{
	struct places p;

	return place(NULL, limits, &p);
}

static bool limits_are_valid(const struct mg_slow_limits *l)
{
	return l->nr_workers >= 1 && l->nr_workers <= MG_SHM_WORKERS_MAX &&
	       mg_is_pow2(l->conns_max) && l->listeners_max >= 1 &&
	       l->listeners_max <= MG_LISTENERS_MAX && l->embryos_max >= 1 &&
	       l->time_waits_max >= 1 && l->neighbours_max >= 1 && l->arp_queue_max >= 1 &&
	       l->arp_queue_each_max >= 1 && l->arp_queue_each_max <= UINT8_MAX &&
	       l->apps_max >= 1 && nr_tuples(l) <= MG_TUPLES_INDEX_MAX;
}

static bool conf_is_valid(const struct mg_slow_conf *c)
{
	return c->ttl > 0 && c->rto_initial_ms > 0 && c->rto_min_ms > 0 && c->arp_retries > 0 &&
	       c->initial_cwnd_segments > 0 && c->rcvbuf_max_bytes > 0 && c->sndbuf_max_bytes > 0 &&
	       c->ephemeral_first > 0 && c->ephemeral_first <= c->ephemeral_last &&
	       mg_cc_find(c->congestion_control) != NULL;
}

static void init_tables(struct mg_slow *s, const struct places *p)
{
	const struct mg_slow_limits *l = &s->lim;

	mg_wheel_init(&s->wheel, p->wheel, s->timer.nr, TICK_NS, l->now_ns);
	mg_tuples_init(&s->tuples, p->tuples, nr_tuples(l), l->hash_seed);
	mg_tuples_set_kind(&s->tuples, MG_TUPLES_CONN, p->conns, sizeof(struct mg_conn));
	mg_tuples_set_kind(&s->tuples, MG_TUPLES_EMBRYO, p->embryos, sizeof(struct mg_embryo));
	mg_tuples_set_kind(&s->tuples, MG_TUPLES_TIMEWAIT, p->tws, sizeof(struct mg_timewait));
	mg_pool_init(&s->conn_pool, p->conn_pool, l->conns_max);
	s->conns = p->conns;
	s->pending_head = MG_CONN_NONE;
	s->pending_tail = MG_CONN_NONE;
	mg_pool_init(&s->embryo_pool, p->embryo_pool, l->embryos_max);
	s->embryos = p->embryos;
	mg_pool_init(&s->listener_pool, p->listener_pool, l->listeners_max);
	s->listeners = p->listeners;
	s->listener_heads = p->listener_heads;
	memset(s->listener_heads, 0xff, MG_LISTENER_HEADS * sizeof(uint32_t));
	mg_pool_init(&s->timewaits.pool, p->tw_pool, l->time_waits_max);
	s->timewaits.entries = p->tws;
	s->timewaits.head = MG_TIMEWAIT_NONE;
	s->timewaits.tail = MG_TIMEWAIT_NONE;
	mg_pool_init(&s->neighs.pool, p->neigh_pool, l->neighbours_max);
	mg_pool_init(&s->neighs.slot_pool, p->slot_pool, l->arp_queue_max);
	s->neighs.entries = p->neighs;
	s->neighs.slots = p->slots;
	s->neighs.heads = p->neigh_heads;
	s->neighs.mask = neigh_heads(l) - 1;
	memset(s->neighs.heads, 0xff, neigh_heads(l) * sizeof(uint32_t));
	s->frags.entries = p->frags;
	s->frags.count = l->frags_max;
	for (uint32_t i = 0; i < l->frags_max; i++)
		s->frags.entries[i].expire_ns = 0;
	s->apps = p->apps;
	memset(s->apps, 0, l->apps_max * sizeof(struct mg_slow_app));
}

int mg_slow_init(void *mem, const struct mg_slow_limits *limits, const struct mg_slow_conf *conf,
		 const struct mg_slow_env *env, struct mg_slow **ret_slow)
{
	struct places p;
	struct mg_slow *s;

	if (!limits_are_valid(limits) || !conf_is_valid(conf))
		return -EINVAL;
	(void)place(mem, limits, &p);
	s = p.slow;
	memset(s, 0, sizeof(*s));
	s->conf = *conf;
	s->routes.loopback = conf->loopback;
	s->lim = *limits;
	s->env = *env;
	s->now_ns = limits->now_ns;
	s->timer = timer_ids(limits);
	memcpy(&s->key, limits->secret, sizeof(s->key));
	mg_rng_init(&s->rng, s->key.k0 ^ limits->hash_seed);
	init_tables(s, &p);
	mg_fastopen_configure(s, NULL);
	for (uint32_t i = 0; i < MG_PORTS_COUNTERS; i++)
		s->port_counters[i] = mg_rng_u32(&s->rng);
	for (uint32_t i = 0; i < limits->apps_max; i++) {
		uint8_t *at = p.app_mem + i * p.app_stride;

		s->apps[i].pool_mem = at;
		s->apps[i].conn_of = (uint32_t *)(void *)(at + p.app_pool_bytes);
		s->apps[i].payload_mem = at + p.app_pool_bytes + p.app_conn_bytes;
	}
	*ret_slow = s;
	return 0;
}

int mg_slow_add_port(struct mg_slow *s, const struct mg_slow_port *port, uint16_t *ret_port)
{
	return mg_routes_add_port(&s->routes, port, ret_port);
}

int mg_slow_add_addr(struct mg_slow *s, const struct mg_slow_addr *addr)
{
	return mg_routes_add_addr(&s->routes, addr);
}

int mg_slow_add_route(struct mg_slow *s, const struct mg_slow_route *route)
{
	return mg_routes_add_route(&s->routes, route);
}

int mg_slow_add_neighbour(struct mg_slow *s, const struct mg_slow_neighbour *neigh)
{
	return mg_neigh_add_static(s, neigh);
}

void mg_slow_start(struct mg_slow *s, uint64_t now_ns)
{
	s->now_ns = now_ns;
	mg_dad_start(s);
	if (s->conf.arp_gratuitous) {
		mg_arp_announce(s);
		mg_nd_announce(s);
	}
}

static void on_sample(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_sample *ev)
{
	struct mg_cc_sample sample = {
		.now_ns = ev->now_ns,
		.flags = ev->flags,
		.acked_bytes = ev->acked_bytes,
		.lost_bytes = ev->lost_bytes,
		.ecn_bytes = ev->ecn_bytes,
		.rtt_us = ev->rtt_us,
		.srtt_us = ev->srtt_us,
		.inflight_bytes = ev->inflight_bytes,
		.prior_inflight_bytes = ev->prior_inflight_bytes,
		.delivered_bytes = ev->delivered_bytes,
		.delivery_Bps = ev->delivery_Bps,
		.prior_delivered_bytes = ev->prior_delivered_bytes,
		.rate_bytes = ev->rate_bytes,
		.tx_inflight_bytes = ev->tx_inflight_bytes,
		.tx_lost_bytes = ev->tx_lost_bytes,
		.loss_tx_inflight_bytes = ev->loss_tx_inflight_bytes,
		.loss_tx_lost_bytes = ev->loss_tx_lost_bytes,
	};

	s->stats.samples++;
	c->srtt_us = ev->srtt_us;
	/* The worker holds back from an echo until it is answered. */
	if (ev->flags & MG_SAMPLE_ECE)
		c->flags |= MG_CONN_ECHO;
	if (mg_cc_sample(&c->cc, &sample) || (ev->flags & MG_SAMPLE_ECE) != 0)
		mg_conn_command(s, c, MG_CONN_CMD_CC);
}

static void on_report(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_removed *ev)
{
	uint32_t idx = c->idx, gen = c->gen;

	mg_query_report(s, c, ev);
	mg_icmp_report(s, c, ev);
	mg_keepalive_report(s, c, ev);
	MG_DASSERT(mg_pool_is_live(&s->conn_pool, idx) && c->gen == gen);
	(void)idx;
	(void)gen;
}

static void on_removed(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_removed *ev)
{
	if (c->flow == MG_CONN_FLOW_LIVE) { /* the worker had no room for it */
		c->error = ENOBUFS;
		mg_conn_set_state(s, c, MG_TCP_CLOSED);
	}
	mg_conn_flow_gone(s, c, ev);
}

static void on_flow_event(struct mg_slow *s, const struct mg_msg *ev)
{
	struct mg_conn *c = mg_conn_by_flow(s, ev->flow, ev->gen);

	if (c == NULL || (c->flow != MG_CONN_FLOW_LIVE && c->flow != MG_CONN_FLOW_REMOVING)) {
		s->stats.events_stale++;
		return;
	}
	switch (ev->type) {
	case MG_EV_SAMPLE:
		if (c->flow == MG_CONN_FLOW_LIVE)
			on_sample(s, c, (const struct mg_ev_sample *)(const void *)ev);
		break;
	case MG_EV_REMOVED:
		on_removed(s, c, (const struct mg_ev_removed *)(const void *)ev);
		break;
	case MG_EV_REPORT:
		on_report(s, c, (const struct mg_ev_removed *)(const void *)ev);
		break;
	case MG_EV_RING:
		mg_rings_event(s, c, (const struct mg_ev_ring *)(const void *)ev);
		break;
	case MG_EV_NEIGH_CONFIRM:
		mg_neigh_confirm(s, c->neigh);
		c->soft_error = 0; /* whoever complained, it gets through */
		break;
	case MG_EV_SYN_ACKED:
		if (c->flow == MG_CONN_FLOW_LIVE)
			mg_fastopen_acked(s, c);
		break;
	case MG_EV_APP_BROKEN:
		mg_apps_broken(s, &s->apps[c->app]);
		mg_conn_end(s, c, ECONNRESET, true);
		break;
	default:
		mg_close_event(s, c, (const struct mg_ev_flow *)(const void *)ev);
		break;
	}
}

static void app_rings(struct mg_slow *s, const struct mg_app *app)
{
	struct mg_slow_app *a = mg_apps_find(s, app);

	if (a != NULL)
		mg_apps_broken(s, a);
	else
		s->stats.events_stale++;
}

void mg_slow_event(struct mg_slow *s, uint32_t worker, const struct mg_msg *ev, uint64_t now_ns)
{
	s->now_ns = now_ns;
	switch (ev->type) {
	case MG_EV_PACKET:
		mg_input_packet(s, worker, (const struct mg_msg_packet *)(const void *)ev);
		break;
	case MG_EV_APP_DEL:
		mg_apps_deleted(s, worker, ((const struct mg_msg_app *)(const void *)ev)->app);
		break;
	case MG_EV_APP_RINGS:
		app_rings(s, ((const struct mg_msg_app *)(const void *)ev)->app);
		break;
	case MG_EV_DOORBELL:
		mg_close_doorbell(s, (const struct mg_ev_doorbell *)(const void *)ev);
		break;
	default:
		on_flow_event(s, ev);
		break;
	}
}

static int each_conn_ref(struct mg_slow *s, struct mg_slow_app *a, struct mg_ctl_msg *msg,
			 void (*fn)(struct mg_slow *s, struct mg_conn *c))
{
	int status = 0;

	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		struct mg_conn *c = mg_conn_by_window(s, a, msg->conn[i].window, msg->conn[i].gen);

		if (c == NULL || (c->flags & MG_CONN_QUEUED) != 0)
			status = status == 0 ? -ENOTCONN : status;
		else
			fn(s, c);
	}
	return status;
}

static int do_connects(struct mg_slow *s, struct mg_slow_app *a, struct mg_ctl_msg *msg)
{
	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		struct mg_ctl_connect *item = &msg->connect[i];

		item->status = s->is_draining || s->is_drained ? -ESHUTDOWN
							       : mg_active_open(s, a, item);
		s->stats.requests_failed += item->status < 0;
	}
	return msg->hdr.count == 1 ? msg->connect[0].status : 0;
}

static int set_option(struct mg_slow *s, struct mg_slow_app *a, struct mg_ctl_opt *opt)
{
	struct mg_conn *c;

	if (opt->option == MG_CTL_OPT_LISTEN_FASTOPEN ||
	    opt->option == MG_CTL_OPT_LISTEN_FASTOPEN_NO_COOKIE)
		return mg_fastopen_set(s, a, opt);
	if (opt->option >= MG_CTL_OPT_LISTEN_TTL && opt->option <= MG_CTL_OPT_LISTEN_DEFER_S)
		return mg_listener_option(s, a, opt);
	c = mg_conn_by_window(s, a, opt->window, opt->gen);
	return c != NULL ? mg_option_set(s, c, opt) : mg_option_none(s, opt, true);
}

static int do_options(struct mg_slow *s, struct mg_slow_app *a, struct mg_ctl_msg *msg)
{
	int status = 0;

	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		struct mg_ctl_opt *opt = &msg->opt[i];

		opt->status = set_option(s, a, opt);
		status = status == 0 ? opt->status : status;
	}
	return status;
}

static int do_accepts(struct mg_slow *s, struct mg_slow_app *a, struct mg_ctl_msg *msg)
{
	int status = 0;

	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		int err = mg_listener_accept(s, a, &msg->accept[i]);

		status = status == 0 ? err : status;
	}
	return status;
}

static int do_listen_closes(struct mg_slow *s, struct mg_slow_app *a, struct mg_ctl_msg *msg)
{
	int status = 0;

	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		int err = mg_listener_close(s, a, msg->listener[i].listener);

		status = status == 0 ? err : status;
	}
	return status;
}

static int do_moves(struct mg_slow *s, struct mg_slow_app *a, uint32_t holder,
		    struct mg_ctl_msg *msg)
{
	int status = 0;

	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		int err = mg_share_move(s, a, holder, &msg->move[i]);

		status = status == 0 ? err : status;
	}
	return status;
}

/* Each item has its own outcome. */
static int do_guards(struct mg_slow *s, struct mg_slow_app *a, uint32_t holder,
		     struct mg_ctl_msg *msg)
{
	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		msg->guard[i].status = mg_share_guard(s, a, holder, &msg->guard[i]);
		s->stats.requests_failed += msg->guard[i].status < 0;
	}
	return 0;
}

/* Requests that belong to one application. */
static int app_request(struct mg_slow *s, struct mg_slow_app *a, const struct mg_slow_req *req)
{
	struct mg_ctl_msg *msg = req->msg;
	uint32_t holder = (uint32_t)req->value;

	switch (msg->hdr.type) {
	case MG_CTL_TCP_LISTEN:
		if (msg->hdr.count != 1)
			return -EINVAL;
		if (s->is_draining || s->is_drained)
			return -ESHUTDOWN;
		return mg_listener_open(s, a, &msg->listen[0], req->arg);
	case MG_CTL_TCP_ACCEPT:
		return do_accepts(s, a, msg);
	case MG_CTL_TCP_CONNECT:
		return do_connects(s, a, msg);
	case MG_CTL_TCP_CLOSE:
		return each_conn_ref(s, a, msg, mg_close_asked);
	case MG_CTL_TCP_LISTEN_CLOSE:
		return do_listen_closes(s, a, msg);
	case MG_CTL_TCP_ABORT:
		return each_conn_ref(s, a, msg, mg_close_abort);
	case MG_CTL_TCP_SET_OPTION:
		return do_options(s, a, msg);
	case MG_CTL_TCP_MOVE:
		return do_moves(s, a, holder, msg);
	case MG_CTL_GUARD:
		return do_guards(s, a, holder, msg);
	default:
		return -EOPNOTSUPP;
	}
}

static void ctl_request(struct mg_slow *s, const struct mg_slow_req *req)
{
	struct mg_ctl_msg *msg = req->msg;
	struct mg_slow_app *a = mg_apps_find(s, req->app);

	msg->hdr.status = 0;
	switch (msg->hdr.type) {
	case MG_CTL_CONNECTIONS:
	case MG_CTL_TCP_GET_OPTION:
		mg_query_ask(s, req); /* replies by itself */
		return;
	case MG_CTL_LISTENERS:
		mg_query_listeners(s, req);
		break;
	case MG_CTL_STATS:
		mg_query_stats(s, msg);
		break;
	default:
		msg->hdr.status = a != NULL && a->state == MG_APP_LIVE ? app_request(s, a, req)
								       : -ENOTCONN;
		break;
	}
	s->stats.requests_failed += msg->hdr.status < 0;
	msg->hdr.type |= MG_CTL_REPLY;
	s->env.reply(s->env.ctx, req);
}

static void holder_gone(struct mg_slow *s, const struct mg_slow_req *req)
{
	struct mg_slow_app *a = mg_apps_find(s, req->app);

	if (a != NULL && a->state == MG_APP_LIVE)
		mg_share_holder_gone(s, a, (uint32_t)req->value);
}

static void configure(struct mg_slow *s, const struct mg_slow_conf *conf)
{
	struct mg_slow_conf old = s->conf;

	if (!conf_is_valid(conf)) {
		s->stats.requests_failed++;
		return;
	}
	s->conf = *conf;
	mg_fastopen_configure(s, &old);
}

void mg_slow_request(struct mg_slow *s, const struct mg_slow_req *req, uint64_t now_ns)
{
	s->now_ns = now_ns;
	s->stats.requests++;
	switch (req->type) {
	case MG_SLOW_REQ_CTL:
		ctl_request(s, req);
		break;
	case MG_SLOW_REQ_APP_ADD:
		mg_apps_add(s, req->app);
		break;
	case MG_SLOW_REQ_APP_DEL:
		mg_apps_del(s, req->app);
		break;
	case MG_SLOW_REQ_CONF:
		configure(s, req->conf);
		break;
	case MG_SLOW_REQ_HOLDER_GONE:
		holder_gone(s, req);
		break;
	case MG_SLOW_REQ_UNGUARD:
		mg_share_unguard(s, req);
		break;
	case MG_SLOW_REQ_DRAIN:
		mg_drain_begin(s, req->value);
		break;
	default:
		s->stats.requests_failed++;
		break;
	}
}

static void fire(struct mg_slow *s, uint32_t id)
{
	if (id < s->timer.embryos)
		mg_conn_timer(s, id);
	else if (id < s->timer.neighs)
		mg_embryo_timer(s, id - s->timer.embryos);
	else if (id < s->timer.apps)
		mg_neigh_timer(s, id - s->timer.neighs);
	else if (id < s->timer.query)
		mg_apps_timer(s, id - s->timer.apps);
	else if (id == s->timer.query)
		mg_query_timer(s);
	else if (id == s->timer.drain)
		mg_drain_timer(s);
	else
		mg_dad_timer(s);
}

void mg_slow_timers(struct mg_slow *s, uint64_t now_ns)
{
	uint32_t id;

	s->now_ns = now_ns;
	mg_wheel_advance(&s->wheel, now_ns);
	while ((id = mg_wheel_pop(&s->wheel)) != MG_WHEEL_NONE)
		fire(s, id);
	mg_timewait_expire(s);
	mg_frag_expire(s);
}

void mg_slow_flush(struct mg_slow *s, uint64_t now_ns)
{
	s->now_ns = now_ns;
	mg_apps_flush(s);
	mg_conn_flush_pending(s);
}

/* Commands that wait for room are retried within a millisecond. */
uint64_t mg_slow_next_ns(const struct mg_slow *s)
{
	uint64_t next_ns = mg_min_u64(mg_wheel_next_ns(&s->wheel), mg_timewait_next_ns(s));
	bool is_waiting = s->pending_head != MG_CONN_NONE;

	next_ns = mg_min_u64(next_ns, mg_frag_next_ns(s));
	for (uint32_t i = 0; i < s->nr_apps && !is_waiting; i++)
		is_waiting = s->apps[i].state != MG_APP_NONE &&
			     (s->apps[i].add_pending | s->apps[i].del_pending) != 0;
	return is_waiting ? mg_min_u64(next_ns, s->now_ns + MG_NS_PER_MS) : next_ns;
}

void mg_slow_totals(const struct mg_slow *s, struct mg_slow_totals *ret_totals)
{
	*ret_totals = (struct mg_slow_totals){
		.connections = s->nr_active,
		.listeners = s->listener_pool.nr_used,
		.embryos = s->embryo_pool.nr_used,
		.time_waits = s->timewaits.pool.nr_used,
	};
}
