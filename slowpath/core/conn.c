/* SPDX-License-Identifier: Apache-2.0 */
/* conn.c - see conn.h. */
#include "slowpath/core/conn.h"

#include <errno.h>

#include "proto/base/assert.h"
#include "proto/wire/ipv6.h"
#include "slowpath/core/close.h"
#include "slowpath/core/engine.h"

#define RTO_AFTER_SYN_LOSS_MS 3000 /* RFC 6298 5.7 */
#define CLOCK_US 1000              /* the granularity G of RFC 6298 */

static struct mg_slow_app *app_of(struct mg_slow *s, const struct mg_conn *c)
{
	return &s->apps[c->app];
}

struct mg_shm_window *mg_conn_window(struct mg_slow *s, const struct mg_conn *c)
{
	MG_DASSERT(c->flags & MG_CONN_WINDOW);
	return &app_of(s, c)->app->windows[c->window];
}

struct mg_conn *mg_conn_by_flow(struct mg_slow *s, uint32_t idx, uint32_t gen)
{
	return mg_pool_valid(&s->conn_pool, idx, gen) ? &s->conns[idx] : NULL;
}

struct mg_conn *mg_conn_by_window(struct mg_slow *s, const struct mg_slow_app *app, uint32_t window,
				  uint32_t gen)
{
	if (window >= app->app->nr_windows || !mg_pool_valid(&app->windows, window, gen))
		return NULL;
	return &s->conns[app->conn_of[window]];
}

static void count_conns(struct mg_slow_app *a, int by)
{
	a->nr_conns += (uint32_t)by;
	atomic_store_explicit(&a->app->nr_connections, a->nr_conns, memory_order_relaxed);
}

int mg_conn_new(struct mg_slow *s, struct mg_slow_app *app, struct mg_conn **ret_conn)
{
	const struct mg_slow_conf *conf = &s->conf;
	struct mg_conn *c;
	uint32_t idx, gen;

	if (mg_pool_alloc(&s->conn_pool, &idx, &gen) < 0) {
		s->stats.no_connection++;
		return -ENOBUFS;
	}
	c = &s->conns[idx];
	memset(c, 0, sizeof(*c));
	c->idx = idx;
	c->gen = gen;
	c->app = app->slot;
	c->flags = conf->keepalive ? MG_CONN_KEEPALIVE : 0;
	c->ttl = conf->ttl;
	c->tos = (uint8_t)(conf->dscp << 2);
	c->ka_count = conf->keepalive_count;
	c->ka_idle_ms = conf->keepalive_idle_ms;
	c->ka_intvl_ms = conf->keepalive_interval_ms;
	c->user_timeout_ms = conf->user_timeout_ms;
	c->linger_ms = -1;
	c->listener = MG_LISTENER_NONE;
	c->queue_next = MG_CONN_NONE;
	c->neigh = MG_NEIGH_NONE;
	c->pending_prev = MG_CONN_NONE;
	c->pending_next = MG_CONN_NONE;
	c->born_ns = s->now_ns;
	for (int i = 0; i < MG_CONN_T_NR; i++)
		c->deadline_ns[i] = MG_TIME_NEVER;
	count_conns(app, 1);
	s->nr_active++;
	*ret_conn = c;
	return 0;
}

void mg_conn_set_state(struct mg_slow *s, struct mg_conn *c, enum mg_tcp_state to)
{
	mg_state_set(&s->states, &c->state, to);
}

void mg_conn_hash(struct mg_slow *s, struct mg_conn *c, const struct mg_tuple *tuple)
{
	mg_tuples_add(&s->tuples, mg_tuples_ref(MG_TUPLES_CONN, c->idx), tuple);
	c->flags |= MG_CONN_HASHED;
	c->worker = (uint8_t)mg_slow_worker_of(s, tuple);
}

static void unhash(struct mg_slow *s, struct mg_conn *c)
{
	if (c->flags & MG_CONN_HASHED)
		mg_tuples_remove(&s->tuples, mg_tuples_ref(MG_TUPLES_CONN, c->idx));
	c->flags &= ~(uint32_t)MG_CONN_HASHED;
}

/* The window is the application's no more: what is left in it is of no meaning. */
static void reset_window(struct mg_shm_window *w)
{
	/* relaxed: nobody reads these before the release store of `state` */
	atomic_store_explicit(&w->rx_tail, 0, memory_order_relaxed);
	atomic_store_explicit(&w->tx_una, 0, memory_order_relaxed);
	atomic_store_explicit(&w->urg_pos, 0, memory_order_relaxed);
	atomic_store_explicit(&w->w_flags, 0, memory_order_relaxed);
	atomic_store_explicit(&w->w_dirty, 0, memory_order_relaxed);
	atomic_store_explicit(&w->srtt_us, 0, memory_order_relaxed);
	atomic_store_explicit(&w->rttvar_us, 0, memory_order_relaxed);
	atomic_store_explicit(&w->cwnd_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&w->snd_wnd_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&w->retrans, 0, memory_order_relaxed);
	atomic_store_explicit(&w->inflight_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&w->rx_ring, 0, memory_order_relaxed);
	atomic_store_explicit(&w->tx_ring, 0, memory_order_relaxed);
	atomic_store_explicit(&w->tx_ring_used, 0, memory_order_relaxed);
	atomic_store_explicit(&w->rx_head, 0, memory_order_relaxed);
	atomic_store_explicit(&w->tx_head, 0, memory_order_relaxed);
	atomic_store_explicit(&w->tx_urg, 0, memory_order_relaxed);
	atomic_store_explicit(&w->a_flags, 0, memory_order_relaxed);
	atomic_store_explicit(&w->a_dirty, 0, memory_order_relaxed);
	atomic_store_explicit(&w->error, 0, memory_order_relaxed);
	atomic_store_explicit(&w->s_dirty, 0, memory_order_relaxed);
	atomic_store_explicit(&w->claim, MG_SHM_CLAIM_NONE, memory_order_relaxed);
	atomic_store_explicit(&w->rx_lock, 0, memory_order_relaxed);
	atomic_store_explicit(&w->tx_lock, 0, memory_order_relaxed);
}

int mg_conn_open_window(struct mg_slow *s, struct mg_conn *c, uint32_t state)
{
	struct mg_slow_app *a = app_of(s, c);
	struct mg_shm_window *w;

	if (mg_pool_alloc(&a->windows, &c->window, &c->window_gen) < 0) {
		s->stats.no_window++;
		return -ENOSPC;
	}
	if (mg_rings_open(s, c) < 0) {
		mg_pool_free(&a->windows, c->window);
		return -ENOSPC;
	}
	c->flags |= MG_CONN_WINDOW;
	a->conn_of[c->window] = c->idx;
	w = mg_conn_window(s, c);
	reset_window(w);
	w->gen = c->window_gen;
	w->worker = c->worker;
	atomic_store_explicit(&w->contexts, c->contexts, memory_order_relaxed);
	w->cookie = c->cookie;
	w->mss = c->snd_mss;
	w->scope = mg_routes_scope_of(&s->routes, &c->node.tuple);
	w->tuple = c->node.tuple;
	/* release: publishes lines 2 to 5 to whoever loads the state with acquire */
	atomic_store_explicit(&w->state, state, memory_order_release);
	return 0;
}

static void close_window(struct mg_slow *s, struct mg_conn *c)
{
	struct mg_slow_app *a = app_of(s, c);

	if ((c->flags & MG_CONN_WINDOW) == 0)
		return;
	/* release: the application sees the end before the window can be used anew */
	atomic_store_explicit(&mg_conn_window(s, c)->state, MG_SHM_ST_FREE, memory_order_release);
	c->flags &= ~(uint32_t)MG_CONN_WINDOW;
	mg_rings_close(s, c);
	mg_pool_free(&a->windows, c->window);
}

static void push_entry(struct mg_slow *s, struct mg_conn *c, uint32_t kind, _Atomic uint32_t *dirty)
{
	struct mg_slow_app *a = app_of(s, c);
	struct mg_shm_event ev = {
		.kind = (uint16_t)kind,
		.index = c->window,
		.gen = c->window_gen,
		.listener = kind == MG_SHM_EV_ACCEPTED ? c->listener : 0,
		.cookie = c->cookie,
	};

	a->wake |= mg_app_notify(a->app, MG_SHM_PRODUCER_SLOW, c->contexts, &ev, dirty);
}

void mg_conn_notify(struct mg_slow *s, struct mg_conn *c, uint32_t kind)
{
	push_entry(s, c, kind, &mg_conn_window(s, c)->s_dirty);
}

void mg_conn_tell(struct mg_slow *s, struct mg_conn *c, uint32_t kind)
{
	/* release, acquire: as in mg_app_notify(); an entry on its way is no reason to send none */
	(void)atomic_exchange_explicit(&mg_conn_window(s, c)->s_dirty, 1, memory_order_acq_rel);
	push_entry(s, c, kind, NULL);
}

void mg_conn_set_contexts(struct mg_slow *s, struct mg_conn *c, uint32_t contexts)
{
	c->contexts = contexts;
	if (c->flags & MG_CONN_WINDOW)
		atomic_store_explicit(&mg_conn_window(s, c)->contexts, contexts,
				      memory_order_relaxed);
	mg_conn_command(s, c, MG_CONN_CMD_CONTEXTS);
}

void mg_conn_publish(struct mg_slow *s, struct mg_conn *c, uint32_t window_state)
{
	struct mg_shm_window *w;

	if ((c->flags & MG_CONN_WINDOW) == 0)
		return;
	w = mg_conn_window(s, c);
	atomic_store_explicit(&w->error, c->error, memory_order_relaxed);
	/* release: publishes lines 2 and 3 to whoever loads the state with acquire */
	atomic_store_explicit(&w->state, window_state, memory_order_release);
	if ((c->flags & (MG_CONN_QUEUED | MG_CONN_RELEASED)) == 0)
		mg_conn_notify(s, c, MG_SHM_EV_CONN);
}

static void link_pending(struct mg_slow *s, struct mg_conn *c)
{
	if (c->flags & MG_CONN_PENDING)
		return;
	s->stats.commands_deferred++;
	c->flags |= MG_CONN_PENDING;
	c->pending_prev = s->pending_tail;
	c->pending_next = MG_CONN_NONE;
	if (s->pending_tail == MG_CONN_NONE)
		s->pending_head = c->idx;
	else
		s->conns[s->pending_tail].pending_next = c->idx;
	s->pending_tail = c->idx;
}

static void unlink_pending(struct mg_slow *s, struct mg_conn *c)
{
	if ((c->flags & MG_CONN_PENDING) == 0)
		return;
	c->flags &= ~(uint32_t)MG_CONN_PENDING;
	if (c->pending_prev == MG_CONN_NONE)
		s->pending_head = c->pending_next;
	else
		s->conns[c->pending_prev].pending_next = c->pending_next;
	if (c->pending_next == MG_CONN_NONE)
		s->pending_tail = c->pending_prev;
	else
		s->conns[c->pending_next].pending_prev = c->pending_prev;
}

void mg_conn_free(struct mg_slow *s, struct mg_conn *c)
{
	struct mg_slow_app *a = app_of(s, c);

	MG_ASSERT(c->flow == MG_CONN_FLOW_NONE || c->flow == MG_CONN_FLOW_GONE);
	if (c->flow == MG_CONN_FLOW_NONE)
		s->nr_active--;
	unhash(s, c);
	unlink_pending(s, c);
	close_window(s, c);
	mg_neigh_put(s, c->neigh);
	mg_wheel_cancel(&s->wheel, c->idx);
	if (c->flags & MG_CONN_ORPHAN)
		s->nr_orphans--;
	if (c->state != MG_TCP_CLOSED)
		mg_conn_set_state(s, c, MG_TCP_CLOSED);
	mg_pool_free(&s->conn_pool, c->idx);
	count_conns(a, -1);
	mg_apps_step(s, a);
	mg_drain_step(s);
}

/* RFC 6298 2.2 and 5.7: from the handshake's sample, or without one. */
static void first_rto(const struct mg_slow *s, const struct mg_conn *c, uint32_t rtt_us,
		      struct mg_cmd_install *cmd)
{
	uint32_t rto_us = s->conf.rto_initial_ms * 1000;

	cmd->rto_min_us = s->conf.rto_min_ms * 1000;
	cmd->rto_max_us = s->conf.rto_max_ms * 1000;
	if (rtt_us != 0) {
		cmd->srtt_us = rtt_us;
		cmd->rttvar_us = rtt_us / 2;
		rto_us = rtt_us + mg_max_u32(CLOCK_US, 4 * cmd->rttvar_us);
	} else if (c->flags & MG_CONN_SYN_LOST) {
		rto_us = mg_max_u32(rto_us, RTO_AFTER_SYN_LOSS_MS * 1000);
	}
	cmd->rto_us = mg_clamp_u32(rto_us, cmd->rto_min_us,
				   mg_max_u32(cmd->rto_max_us, cmd->rto_min_us));
}

/* Of MG_FLOW_CC_MASK. */
static uint32_t cc_flags(const struct mg_slow *s, const struct mg_conn *c)
{
	uint32_t is = c->cc.ops->flags, flags = 0;

	if (s->conf.pacing || is & MG_CC_PACED)
		flags |= MG_FLOW_PACING;
	if (is & MG_CC_OWN_CWND)
		flags |= MG_FLOW_OWN_CWND;
	if (is & MG_CC_EXACT_CE && c->hs.ecn)
		flags |= MG_FLOW_DCTCP | (s->conf.ecn_everywhere ? MG_FLOW_ECT_ALL : 0u);
	return flags;
}

static uint16_t flow_options(const struct mg_slow *s, const struct mg_conn *c)
{
	uint32_t flags = 0;

	if (c->hs.opts & MG_SEG_OPT_TS)
		flags |= MG_FLOW_TS;
	if (c->hs.opts & MG_SEG_OPT_SACK_PERM)
		flags |= MG_FLOW_SACK;
	if (c->hs.opts & MG_SEG_OPT_WS)
		flags |= MG_FLOW_WS;
	if (c->hs.ecn)
		flags |= MG_FLOW_ECN;
	if (!s->conf.nagle)
		flags |= MG_FLOW_NODELAY;
	if (c->flags & MG_CONN_TFO)
		flags |= MG_FLOW_SYN_RCVD;
	return (uint16_t)(flags | cc_flags(s, c));
}

/* INSTALL, with the payload of the SYN behind it (RFC 7413); what finds no room is sent again by the peer. */
static bool send_with_data(struct mg_slow *s, struct mg_conn *c, struct mg_cmd_install *cmd)
{
	const struct mg_seg *seg = s->install_data;
	struct mg_cmd_install *out = (struct mg_cmd_install *)(void *)s->out;
	uint32_t bytes;

	if (seg == NULL || seg->payload_len == 0)
		return s->env.command(s->env.ctx, c->worker, &cmd->msg);
	bytes = mg_min_u32(seg->payload_len, mg_min_u32(c->rcvbuf_bytes, c->adv_bytes));
	bytes = mg_min_u32(bytes, MG_SLOW_FRAME_MAX - (uint32_t)sizeof(*cmd));
	cmd->syn_bytes = bytes;
	cmd->rcv_nxt += bytes;
	cmd->last_ack_sent += bytes;
	cmd->msg.len = (uint32_t)sizeof(*cmd) + bytes;
	*out = *cmd;
	mg_seg_copy(seg, 0, (uint8_t *)(out + 1), bytes);
	if (!s->env.command(s->env.ctx, c->worker, &out->msg))
		return false;
	c->syn_bytes = bytes;
	return true;
}

static bool send_install(struct mg_slow *s, struct mg_conn *c)
{
	const struct mg_slow_app *a = app_of(s, c);
	const struct mg_handshake *hs = &c->hs;
	struct mg_cmd_install cmd = {
		.msg = { .type = MG_CMD_INSTALL,
			 .port = c->port,
			 .len = sizeof(cmd),
			 .flow = c->idx,
			 .gen = c->gen },
		.tuple = c->node.tuple,
		.smac = s->routes.ports[c->port].mac,
		.dmac = c->dmac,
		.ttl = c->ttl,
		.tos = c->tos,
		.snd_wscale = hs->snd_ws,
		.rcv_wscale = hs->rcv_ws,
		.flags = flow_options(s, c),
		.mss = c->snd_mss,
		.iss = hs->iss,
		.irs = hs->irs,
		.snd_una = hs->iss + 1 + c->syn_acked,
		.snd_nxt = hs->iss + 1 + c->syn_acked,
		.snd_wnd = c->snd_wnd,
		.snd_wl1 = hs->irs,
		.snd_wl2 = hs->iss + 1 + c->syn_acked,
		.rcv_nxt = hs->irs + 1,
		.ts_recent = hs->ts_recent,
		.ts_offset = hs->ts_offset,
		.last_ack_sent = hs->irs + 1,
		.rcv_adv = hs->irs + 1 + c->adv_bytes,
		.rcv_mss = mg_handshake_mss(s, &c->node.tuple),
		.cwnd_bytes = c->cc.cwnd,
		.ssthresh_bytes = c->cc.ssthresh,
		.pacing_Bps = c->cc.pacing_Bps,
		.delack_us = s->conf.delayed_ack_ms * 1000,
		.restart_bytes = s->conf.idle_restart ? c->cc.iw_bytes : 0,
		.flow_label = mg_wire_ipv6_flow_label(&c->node.tuple, s->lim.hash_seed),
		.app = a->app,
		.window = c->window,
		.contexts = c->contexts,
		.window_gen = c->window_gen,
		.rx_bytes = c->rcvbuf_bytes,
		.tx_bytes = c->sndbuf_bytes,
		.rx_max_bytes = mg_rings_max(s, c, MG_RING_RX),
		.tx_max_bytes = mg_rings_max(s, c, MG_RING_TX),
		.ring_idle_us = s->conf.autotune_idle_ms * 1000,
		.rx_off = a->app->payload_off + c->ring[MG_RING_RX].off,
		.tx_off = a->app->payload_off + c->ring[MG_RING_TX].off,
	};

	first_rto(s, c, c->srtt_us, &cmd);
	if (a->add_pending & 1u << c->worker || !send_with_data(s, c, &cmd))
		return false;
	c->flow = MG_CONN_FLOW_LIVE;
	return true;
}

static bool send_simple(struct mg_slow *s, struct mg_conn *c, uint16_t type)
{
	struct mg_cmd_flow cmd = {
		.msg = { .type = type,
			 .port = c->port,
			 .len = sizeof(cmd),
			 .flow = c->idx,
			 .gen = c->gen },
	};

	return s->env.command(s->env.ctx, c->worker, &cmd.msg);
}

static bool send_opt(struct mg_slow *s, struct mg_conn *c, uint16_t type, uint32_t opt,
		     uint32_t value)
{
	struct mg_cmd_set_opt cmd = {
		.msg = { .type = type,
			 .port = c->port,
			 .len = sizeof(cmd),
			 .flow = c->idx,
			 .gen = c->gen },
		.opt = opt,
		.value = value,
	};

	return s->env.command(s->env.ctx, c->worker, &cmd.msg);
}

static bool send_nexthop(struct mg_slow *s, struct mg_conn *c)
{
	struct mg_cmd_set_nexthop cmd = {
		.msg = { .type = MG_CMD_SET_NEXTHOP,
			 .port = c->port,
			 .len = sizeof(cmd),
			 .flow = c->idx,
			 .gen = c->gen },
		.smac = s->routes.ports[c->port].mac,
		.dmac = c->dmac,
		.port = c->port,
	};

	if (mg_neigh_mac(s, c->neigh, &c->dmac))
		cmd.dmac = c->dmac;
	return s->env.command(s->env.ctx, c->worker, &cmd.msg);
}

static bool send_cc(struct mg_slow *s, struct mg_conn *c)
{
	struct mg_cmd_set_cc cmd = {
		.msg = { .type = MG_CMD_SET_CC,
			 .port = c->port,
			 .len = sizeof(cmd),
			 .flow = c->idx,
			 .gen = c->gen },
		.cwnd_bytes = c->cc.cwnd,
		.ssthresh_bytes = c->cc.ssthresh,
		.pacing_Bps = c->cc.pacing_Bps,
		.flags = cc_flags(s, c),
		.echo = (c->flags & MG_CONN_ECHO) != 0,
	};

	if (!s->env.command(s->env.ctx, c->worker, &cmd.msg))
		return false;
	c->flags &= ~(uint32_t)MG_CONN_ECHO;
	return true;
}

static bool send_remove(struct mg_slow *s, struct mg_conn *c)
{
	struct mg_cmd_remove cmd = {
		.msg = { .type = MG_CMD_REMOVE,
			 .port = c->port,
			 .len = sizeof(cmd),
			 .flow = c->idx,
			 .gen = c->gen },
		.how = c->flags & MG_CONN_RST_FIRST ? MG_REMOVE_RST : MG_REMOVE_QUIET,
	};

	return s->env.command(s->env.ctx, c->worker, &cmd.msg);
}

static bool send_one(struct mg_slow *s, struct mg_conn *c, uint32_t cmd)
{
	switch (cmd) {
	case MG_CONN_CMD_INSTALL:
		return send_install(s, c);
	case MG_CONN_CMD_NEXTHOP:
		return send_nexthop(s, c);
	case MG_CONN_CMD_PMTU:
		return send_opt(s, c, MG_CMD_SET_PMTU, MG_FLOW_OPT_MSS, c->snd_mss);
	case MG_CONN_CMD_TTL:
		return send_opt(s, c, MG_CMD_SET_OPT, MG_FLOW_OPT_TTL, c->ttl);
	case MG_CONN_CMD_TOS:
		return send_opt(s, c, MG_CMD_SET_OPT, MG_FLOW_OPT_TOS, c->tos);
	case MG_CONN_CMD_MSS:
		return send_opt(s, c, MG_CMD_SET_OPT, MG_FLOW_OPT_MSS, c->snd_mss);
	case MG_CONN_CMD_FRAGMENT:
		return send_opt(s, c, MG_CMD_SET_OPT, MG_FLOW_OPT_FRAGMENT, 1);
	case MG_CONN_CMD_MTU_PROBE:
		return send_opt(s, c, MG_CMD_SET_OPT, MG_FLOW_OPT_MTU_PROBE, c->mtup_bytes);
	case MG_CONN_CMD_CC:
		return send_cc(s, c);
	case MG_CONN_CMD_CLOSE:
		return send_simple(s, c, MG_CMD_CLOSE);
	case MG_CONN_CMD_PROBE:
		return send_simple(s, c, MG_CMD_PROBE);
	case MG_CONN_CMD_REPORT:
		return send_simple(s, c, MG_CMD_REPORT);
	case MG_CONN_CMD_CONTEXTS:
		return send_opt(s, c, MG_CMD_SET_CONTEXTS, 0, c->contexts);
	case MG_CONN_CMD_REMOVE:
		return send_remove(s, c);
	case MG_CONN_CMD_RING_RX:
		return mg_rings_answer(s, c, MG_RING_RX);
	case MG_CONN_CMD_RING_TX:
		return mg_rings_answer(s, c, MG_RING_TX);
	default:
		MG_ASSERT(false);
	}
}

bool mg_conn_flush(struct mg_slow *s, struct mg_conn *c)
{
	while (c->pending != 0) {
		uint32_t cmd = c->pending & (0u - c->pending);

		if (!send_one(s, c, cmd))
			return false;
		c->pending &= ~cmd;
	}
	return true;
}

void mg_conn_command(struct mg_slow *s, struct mg_conn *c, uint32_t cmds)
{
	if (c->flow == MG_CONN_FLOW_NONE || c->flow == MG_CONN_FLOW_GONE)
		return;
	if (c->flow == MG_CONN_FLOW_REMOVING)
		cmds &= MG_CONN_CMD_REMOVE;
	c->pending |= cmds;
	if (c->flags & MG_CONN_PENDING)
		return; /* behind what already waits */
	if (!mg_conn_flush(s, c))
		link_pending(s, c);
}

void mg_conn_flush_pending(struct mg_slow *s)
{
	uint32_t idx = s->pending_head;
	uint32_t full = 0;

	while (idx != MG_CONN_NONE) {
		struct mg_conn *c = &s->conns[idx];

		idx = c->pending_next;
		if (full & 1u << c->worker)
			continue;
		if (mg_conn_flush(s, c))
			unlink_pending(s, c);
		else if ((app_of(s, c)->add_pending & 1u << c->worker) == 0)
			full |= 1u << c->worker;
	}
}

int mg_conn_cc_by_name(const char name[16], const struct mg_cc_ops **ret_ops)
{
	char text[17] = { 0 };

	memcpy(text, name, 16);
	*ret_ops = text[0] != '\0' ? mg_cc_find(text) : NULL;
	return text[0] != '\0' && *ret_ops == NULL ? -ENOENT : 0;
}

const struct mg_cc_ops *mg_conn_cc(const struct mg_slow *s, const struct mg_conn *c)
{
	const struct mg_cc_ops *ops = c->cc.ops;

	if (ops == NULL)
		ops = mg_cc_find(s->conf.congestion_control);
	return ops != NULL ? ops : mg_cc_all[0];
}

void mg_conn_install(struct mg_slow *s, struct mg_conn *c, const struct mg_seg *seg,
		     uint32_t rtt_us)
{
	const struct mg_cc_ops *ops = mg_conn_cc(s, c);
	uint32_t mss = c->snd_mss;
	uint32_t iw;

	/* RFC 6928; RFC 5681 3.1: one segment if the SYN or SYN-ACK was lost */
	iw = mg_min_u32(s->conf.initial_cwnd_segments * mss,
			mg_max_u32(2 * mss, s->conf.initial_cwnd_segments * 1460));
	if (c->flags & MG_CONN_SYN_LOST)
		iw = mss;
	mg_cc_init(&c->cc, ops, mss, mg_max_u32(iw, mss), rtt_us, s->now_ns);
	c->cc.abe = s->conf.ecn_abe;
	c->cc.keep_idle = !s->conf.idle_restart;
	if (rtt_us != 0 && c->cc.pacing_Bps == 0)
		c->cc.pacing_Bps = (uint64_t)c->cc.cwnd * 2 * MG_US_PER_S / rtt_us;
	c->srtt_us = rtt_us;
	c->snd_wnd = (uint32_t)seg->wnd << (seg->flags & MG_TCP_SYN ? 0 : c->hs.snd_ws);
	c->flow = MG_CONN_FLOW_INSTALLING;
	mg_conn_command(s, c, MG_CONN_CMD_INSTALL);
	mg_keepalive_start(s, c);
	mg_pmtu_start(s, c);
	if (c->flags & MG_CONN_CLOSE_ASKED)
		mg_conn_command(s, c, MG_CONN_CMD_CLOSE);
}

void mg_conn_arm(struct mg_slow *s, struct mg_conn *c, enum mg_conn_timer timer,
		 uint64_t deadline_ns)
{
	uint64_t first_ns = MG_TIME_NEVER;

	c->deadline_ns[timer] = deadline_ns;
	for (int i = 0; i < MG_CONN_T_NR; i++)
		first_ns = mg_min_u64(first_ns, c->deadline_ns[i]);
	mg_wheel_arm(&s->wheel, c->idx, first_ns);
}

/* Of the SYN, or the SYN-ACK. */
static void synchronise_timer(struct mg_slow *s, struct mg_conn *c)
{
	if (c->flags & MG_CONN_TFO)
		mg_fastopen_timer(s, c);
	else
		mg_active_timer(s, c);
}

void mg_conn_timer(struct mg_slow *s, uint32_t idx)
{
	struct mg_conn *c = &s->conns[idx];
	uint32_t gen = c->gen;

	for (int i = 0; i < MG_CONN_T_NR; i++) {
		if (!mg_pool_valid(&s->conn_pool, idx, gen))
			return;
		if (c->deadline_ns[i] > s->now_ns)
			continue;
		c->deadline_ns[i] = MG_TIME_NEVER;
		if (i == MG_CONN_T_REXMT)
			synchronise_timer(s, c);
		else if (i == MG_CONN_T_KEEPALIVE)
			mg_keepalive_timer(s, c);
		else if (i == MG_CONN_T_PMTU)
			mg_pmtu_timer(s, c);
		else
			mg_close_orphan_timer(s, c);
	}
	if (mg_pool_valid(&s->conn_pool, idx, gen)) /* arms what is left */
		mg_conn_arm(s, c, MG_CONN_T_REXMT, c->deadline_ns[MG_CONN_T_REXMT]);
}

/* INSTALL has not left yet: nobody but us can tell the peer. */
static void send_reset(struct mg_slow *s, const struct mg_conn *c)
{
	struct mg_out_seg o = {
		.tuple = &c->node.tuple,
		.seq = c->hs.iss + 1,
		.ack = c->hs.irs + 1,
		.flags = MG_TCP_RST | MG_TCP_ACK,
	};

	s->stats.resets_out++;
	mg_tcp_out(s, &o);
}

void mg_conn_end(struct mg_slow *s, struct mg_conn *c, uint32_t error, bool rst)
{
	bool is_ours = c->flow == MG_CONN_FLOW_INSTALLING || c->state == MG_TCP_SYN_RECEIVED;

	if (c->flow == MG_CONN_FLOW_REMOVING || c->flow == MG_CONN_FLOW_GONE)
		return;
	c->error = error;
	if (c->state != MG_TCP_TIME_WAIT && c->state != MG_TCP_CLOSED)
		mg_conn_set_state(s, c, MG_TCP_CLOSED);
	if (rst)
		c->flags |= MG_CONN_RST_FIRST;
	if (c->flow == MG_CONN_FLOW_LIVE) {
		c->flow = MG_CONN_FLOW_REMOVING;
		c->pending = 0;
		mg_conn_command(s, c, MG_CONN_CMD_REMOVE);
		return;
	}
	if (rst && is_ours)
		send_reset(s, c);
	mg_conn_flow_gone(s, c, NULL);
}

void mg_conn_release(struct mg_slow *s, struct mg_conn *c)
{
	c->flags |= MG_CONN_RELEASED;
	if (c->flow == MG_CONN_FLOW_GONE)
		mg_conn_free(s, c);
}

/* Copied once; the worker may have seen the flag or not, we do not care. */
static bool app_let_go(struct mg_slow *s, const struct mg_conn *c)
{
	uint32_t a_flags = atomic_load_explicit(&mg_conn_window(s, c)->a_flags,
						memory_order_relaxed);

	return (a_flags & (MG_SHM_AF_CLOSE | MG_SHM_AF_ABORT)) != 0;
}

static void enter_time_wait(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_removed *ev)
{
	struct mg_timewait_spec spec = {
		.tuple = &c->node.tuple,
		.snd_nxt = ev->snd_nxt,
		.rcv_nxt = ev->rcv_nxt,
		.rcv_wnd = ev->rcv_wnd,
		.snd_wnd = ev->snd_wnd,
		.ts_recent = ev->ts_recent,
		.ts_offset = c->hs.ts_offset,
		.has_ts = (c->hs.opts & MG_SEG_OPT_TS) != 0,
	};

	mg_timewait_add(s, &spec);
}

void mg_conn_flow_gone(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_removed *ev)
{
	bool time_wait = c->state == MG_TCP_TIME_WAIT && ev != NULL;

	mg_query_forget(s, c);
	mg_fastopen_over(s, c, false);
	unlink_pending(s, c);
	unhash(s, c);
	c->pending = 0;
	c->flow = MG_CONN_FLOW_GONE;
	s->nr_active--;
	for (int i = 0; i < MG_CONN_T_NR; i++)
		c->deadline_ns[i] = MG_TIME_NEVER;
	mg_wheel_cancel(&s->wheel, c->idx);
	mg_neigh_put(s, c->neigh);
	c->neigh = MG_NEIGH_NONE;
	if (time_wait)
		enter_time_wait(s, c, ev);
	if (c->state != MG_TCP_CLOSED)
		mg_conn_set_state(s, c, MG_TCP_CLOSED);
	mg_conn_publish(s, c, MG_SHM_ST_CLOSED);
	if ((c->flags & MG_CONN_WINDOW) != 0 && (c->flags & MG_CONN_QUEUED) == 0 &&
	    ((c->flags & MG_CONN_CLOSE_ASKED) != 0 || app_let_go(s, c)))
		c->flags |= MG_CONN_RELEASED;
	if (c->flags & MG_CONN_RELEASED)
		mg_conn_free(s, c);
	else
		mg_drain_step(s);
}
