/* SPDX-License-Identifier: Apache-2.0 */
/* listener.c - see listener.h. */
#include "slowpath/core/listener.h"

#include <errno.h>

#include "proto/base/assert.h"
#include "slowpath/core/close.h"
#include "slowpath/core/engine.h"

#define GEN_MASK 0xffffu
#define TOS_MASK 0xfc /* the low bits are ECN's */

static uint32_t id_of(uint32_t idx, uint32_t gen)
{
	return (gen & GEN_MASK) << 16 | idx;
}

struct mg_listener *mg_listener_by_id(struct mg_slow *s, uint32_t id)
{
	uint32_t idx = id & 0xffff;

	if (!mg_pool_is_live(&s->listener_pool, idx) || s->listeners[idx].id != id)
		return NULL;
	return &s->listeners[idx];
}

static uint32_t *head_of(const struct mg_slow *s, uint16_t port)
{
	return &s->listener_heads[port & (MG_LISTENER_HEADS - 1)];
}

/* 3: this very address; 2: any of its family; 1: an IPv4 one to a :: that takes both; 0: no. */
static int match(const struct mg_listener *l, const struct mg_addr *addr)
{
	bool v4 = mg_addr_is_v4(addr);

	if (!mg_addr_is_any(&l->addr))
		return mg_addr_eq(&l->addr, addr) ? 3 : 0;
	if (mg_addr_is_v4(&l->addr) == v4)
		return 2;
	return v4 && (l->flags & MG_CTL_LISTEN_V6ONLY) == 0;
}

/* The n-th listener with at least this quality; counts them in *ret_nr. */
static struct mg_listener *nth(struct mg_slow *s, const struct mg_tuple *t, int quality, uint32_t n,
			       uint32_t *ret_nr)
{
	struct mg_listener *found = NULL;
	uint32_t nr = 0;

	for (uint32_t i = *head_of(s, t->lport); i != MG_LISTENER_NONE; i = s->listeners[i].next) {
		struct mg_listener *l = &s->listeners[i];

		if (l->port != t->lport || match(l, &t->laddr) != quality)
			continue;
		if (nr++ == n)
			found = l;
	}
	*ret_nr = nr;
	return found;
}

struct mg_listener *mg_listener_find(struct mg_slow *s, const struct mg_tuple *tuple, uint32_t hash)
{
	for (int quality = 3; quality >= 1; quality--) {
		uint32_t nr;
		struct mg_listener *l = nth(s, tuple, quality, 0, &nr);

		if (nr > 1)
			l = nth(s, tuple, quality, hash % nr, &nr);
		if (l != NULL)
			return l;
	}
	return NULL;
}

bool mg_listener_has_port(const struct mg_slow *s, uint16_t port)
{
	for (uint32_t i = *head_of(s, port); i != MG_LISTENER_NONE; i = s->listeners[i].next)
		if (s->listeners[i].port == port)
			return true;
	return false;
}

/* Does `a` take what is meant for `b`, or for some of what `b` stands for? */
static bool covers(const struct mg_addr *a, uint16_t flags, const struct mg_addr *b)
{
	if (!mg_addr_is_any(a))
		return mg_addr_eq(a, b);
	if (mg_addr_is_v4(a) == mg_addr_is_v4(b))
		return true;
	return !mg_addr_is_v4(a) && (flags & MG_CTL_LISTEN_V6ONLY) == 0;
}

/* As Linux judges it: a :: that takes both families stands in the way of every IPv4 address, too. */
static bool in_conflict(const struct mg_listener *l, const struct mg_ctl_listen *listen)
{
	if (l->port != listen->port || (!covers(&l->addr, l->flags, &listen->addr) &&
					!covers(&listen->addr, listen->flags, &l->addr)))
		return false;
	return (l->flags & listen->flags & MG_CTL_LISTEN_REUSEPORT) == 0;
}

static int check_listen(struct mg_slow *s, const struct mg_slow_app *app,
			struct mg_ctl_listen *listen)
{
	if (listen->context >= app->app->nr_contexts)
		return -EINVAL;
	if ((listen->flags & MG_CTL_LISTEN_V6ONLY) != 0 && mg_addr_is_v4(&listen->addr))
		return -EINVAL;
	if (!mg_addr_is_any(&listen->addr) && !mg_routes_may_bind(&s->routes, &listen->addr))
		return -EADDRNOTAVAIL;
	if (listen->port == 0)
		return mg_ports_pick_listen(s, &listen->port);
	for (uint32_t i = *head_of(s, listen->port); i != MG_LISTENER_NONE;
	     i = s->listeners[i].next)
		if (in_conflict(&s->listeners[i], listen))
			return -EADDRINUSE;
	return 0;
}

/* How many time-outs of the SYN-ACK, with their back-off, it takes for that time to pass. */
static uint8_t timeouts_in(const struct mg_slow *s, uint64_t seconds)
{
	uint64_t ms = s->conf.rto_initial_ms, passed = ms;
	uint8_t nr = seconds > 0;

	while (nr > 0 && nr < UINT8_MAX && seconds * 1000 > passed) {
		ms = mg_min_u64(ms * 2, s->conf.rto_max_ms);
		passed += mg_max_u64(ms, 1);
		nr++;
	}
	return nr;
}

int mg_listener_option(struct mg_slow *s, const struct mg_slow_app *app,
		       const struct mg_ctl_opt *opt)
{
	struct mg_listener *l = mg_listener_by_id(s, opt->window);

	if (l == NULL || l->app != app->slot)
		return -ENOENT;
	if (opt->value < 0)
		return -EINVAL;
	switch (opt->option) {
	case MG_CTL_OPT_LISTEN_TTL:
		if (opt->value > UINT8_MAX)
			return -EINVAL;
		l->ttl = (uint8_t)opt->value;
		return 0;
	case MG_CTL_OPT_LISTEN_TOS:
		if (opt->value > UINT8_MAX)
			return -EINVAL;
		l->tos = (uint8_t)opt->value & TOS_MASK;
		return 0;
	case MG_CTL_OPT_LISTEN_DEFER_S:
		l->defer = timeouts_in(s, mg_min_u64((uint64_t)opt->value, UINT32_MAX));
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static void count_listeners(struct mg_slow_app *a, int by)
{
	a->nr_listeners += (uint32_t)by;
	atomic_store_explicit(&a->app->nr_listeners, a->nr_listeners, memory_order_relaxed);
}

int mg_listener_open(struct mg_slow *s, struct mg_slow_app *app, struct mg_ctl_listen *listen,
		     uint32_t limit)
{
	const struct mg_cc_ops *ops;
	struct mg_listener *l;
	uint32_t idx, gen;
	uint32_t *head;
	int err;

	err = check_listen(s, app, listen);
	if (err == 0)
		err = mg_conn_cc_by_name(listen->congestion, &ops);
	if (err < 0)
		return err;
	if (limit != 0 && app->nr_listeners >= limit)
		return -EMFILE;
	if (mg_pool_alloc(&s->listener_pool, &idx, &gen) < 0)
		return -ENOBUFS;
	head = head_of(s, listen->port);
	l = &s->listeners[idx];
	*l = (struct mg_listener){
		.addr = listen->addr,
		.port = listen->port,
		.flags = listen->flags,
		.next = *head,
		.id = id_of(idx, gen),
		.app = app->slot,
		.context = listen->context,
		.backlog = mg_clamp_u32(listen->backlog, 1, 65535),
		.queue_head = MG_CONN_NONE,
		.queue_tail = MG_CONN_NONE,
		.rcvbuf_bytes = mg_rcvbuf_of(s, listen->rcvbuf_bytes),
		.sndbuf_bytes = mg_sndbuf_of(s, listen->sndbuf_bytes),
		.conn_flags = mg_conn_fixed(listen->rcvbuf_bytes, listen->sndbuf_bytes),
		.cc_ops = ops,
		.cookie = listen->cookie,
		.ttl = listen->ttl,
		.tos = listen->tos & TOS_MASK,
		.defer = timeouts_in(s, listen->defer_s),
		.tfo = { .max = listen->fastopen,
			 .no_cookie = (listen->flags & MG_CTL_LISTEN_TFO_NO_COOKIE) != 0 },
	};
	mg_state_set(&s->states, &l->state, MG_TCP_LISTEN);
	*head = idx;
	count_listeners(app, 1);
	listen->listener = l->id;
	listen->rcvbuf_bytes = l->rcvbuf_bytes;
	listen->sndbuf_bytes = l->sndbuf_bytes;
	return 0;
}

uint32_t mg_listener_next_context(const struct mg_listener *l)
{
	uint32_t after = l->creditors & ~((1u << l->turn) - 1);

	if (l->creditors == 0)
		return l->context;
	return (uint32_t)__builtin_ctz(after != 0 ? after : l->creditors);
}

static void take_credit(struct mg_listener *l, uint32_t context)
{
	if (--l->credits[context] == 0)
		l->creditors &= ~(1u << context);
	l->turn = (context + 1) % MG_SHM_CONTEXTS_MAX;
}

static void offer(struct mg_slow *s, struct mg_conn *c, uint32_t context)
{
	c->flags &= ~(uint32_t)MG_CONN_QUEUED;
	c->flags |= MG_CONN_OFFERED;
	c->context = context;
	if (c->contexts != 1u << context)
		mg_conn_set_contexts(s, c, 1u << context);
	/* relaxed: the entry's push publishes it */
	atomic_store_explicit(&mg_conn_window(s, c)->claim, MG_SHM_CLAIM_OFFERED,
			      memory_order_relaxed);
	mg_conn_tell(s, c, MG_SHM_EV_ACCEPTED);
}

static struct mg_conn *pop(struct mg_slow *s, struct mg_listener *l)
{
	struct mg_conn *c = &s->conns[l->queue_head];

	l->queue_head = c->queue_next;
	if (l->queue_head == MG_CONN_NONE)
		l->queue_tail = MG_CONN_NONE;
	l->nr_queued--;
	c->queue_next = MG_CONN_NONE;
	return c;
}

void mg_listener_serve(struct mg_slow *s, struct mg_listener *l)
{
	while (l->creditors != 0 && l->queue_head != MG_CONN_NONE) {
		uint32_t context = mg_listener_next_context(l);

		take_credit(l, context);
		l->accepted++;
		offer(s, pop(s, l), context);
	}
}

void mg_listener_enqueue(struct mg_slow *s, struct mg_listener *l, struct mg_conn *c)
{
	c->listener = l->id;
	c->queue_next = MG_CONN_NONE;
	c->flags |= MG_CONN_QUEUED;
	if (l->queue_tail == MG_CONN_NONE)
		l->queue_head = c->idx;
	else
		s->conns[l->queue_tail].queue_next = c->idx;
	l->queue_tail = c->idx;
	l->nr_queued++;
	mg_listener_serve(s, l);
}

bool mg_listener_is_full(const struct mg_listener *l)
{
	return l->nr_queued >= l->backlog;
}

static void reset_unwanted(struct mg_slow *s, struct mg_conn *c)
{
	c->listener = MG_LISTENER_NONE;
	c->flags &= ~(uint32_t)MG_CONN_QUEUED;
	c->flags |= MG_CONN_RELEASED;
	if (c->flow == MG_CONN_FLOW_GONE)
		mg_conn_free(s, c);
	else
		mg_conn_end(s, c, ECONNABORTED, true);
}

static void requeue(struct mg_listener *l, struct mg_conn *c)
{
	c->flags |= MG_CONN_QUEUED;
	c->queue_next = l->queue_head;
	l->queue_head = c->idx;
	if (l->queue_tail == MG_CONN_NONE)
		l->queue_tail = c->idx;
	l->nr_queued++;
	l->accepted--;
}

bool mg_listener_take_back(struct mg_slow *s, struct mg_conn *c)
{
	uint32_t offered = MG_SHM_CLAIM_OFFERED;
	struct mg_listener *l = mg_listener_by_id(s, c->listener);

	MG_ASSERT((c->flags & (MG_CONN_OFFERED | MG_CONN_WINDOW)) ==
		  (MG_CONN_OFFERED | MG_CONN_WINDOW));
	c->flags &= ~(uint32_t)MG_CONN_OFFERED;
	/* acquire: who took it did so before it touched anything else of the window */
	if (!atomic_compare_exchange_strong_explicit(&mg_conn_window(s, c)->claim, &offered,
						     MG_SHM_CLAIM_NONE, memory_order_acq_rel,
						     memory_order_acquire)) {
		c->listener = MG_LISTENER_NONE;
		return false;
	}
	s->stats.offers_taken_back++;
	if (l != NULL)
		requeue(l, c);
	else
		reset_unwanted(s, c);
	return true;
}

/* All that this listener offered to these contexts and nobody took. The newest first, so that the order stays. */
static void take_all_back(struct mg_slow *s, const struct mg_slow_app *a, uint32_t id,
			  uint32_t contexts)
{
	for (uint32_t w = a->windows.nr_touched; w-- > 0;) {
		struct mg_conn *c = &s->conns[a->conn_of[w]];

		if (mg_pool_is_live(&a->windows, w) && (c->flags & MG_CONN_OFFERED) != 0 &&
		    c->listener == id && (c->contexts & contexts) != 0)
			(void)mg_listener_take_back(s, c); /* taken: it is theirs */
	}
}

int mg_listener_accept(struct mg_slow *s, struct mg_slow_app *app,
		       const struct mg_ctl_accept *accept)
{
	struct mg_listener *l = mg_listener_by_id(s, accept->listener);
	uint32_t context = accept->context;

	if (l == NULL || l->app != app->slot)
		return -ENOENT;
	if (context >= app->app->nr_contexts)
		return -EINVAL;
	if (accept->flags & MG_CTL_ACCEPT_RETURN) {
		l->credits[context] = 0;
		l->creditors &= ~(1u << context);
		take_all_back(s, app, l->id, 1u << context);
	}
	l->credits[context] = (uint16_t)mg_min_u64((uint64_t)l->credits[context] + accept->credits,
						   UINT16_MAX);
	if (l->credits[context] > 0)
		l->creditors |= 1u << context;
	mg_listener_serve(s, l);
	return 0;
}

static void tell_ended(struct mg_slow *s, const struct mg_listener *l, int error)
{
	struct mg_slow_app *a = &s->apps[l->app];
	_Atomic uint32_t dirty = 0; /* listeners have no window: each end is its own entry */
	struct mg_shm_event ev = {
		.kind = MG_SHM_EV_LISTENER,
		.index = (uint32_t)-error,
		.listener = l->id,
		.cookie = l->cookie,
	};

	a->wake |= mg_app_notify(a->app, MG_SHM_PRODUCER_SLOW, 1u << l->context | l->creditors, &ev,
				 &dirty);
}

/* What was established but never accepted is reset, as Linux does. */
static void reset_queue(struct mg_slow *s, struct mg_listener *l)
{
	while (l->queue_head != MG_CONN_NONE)
		reset_unwanted(s, pop(s, l));
}

void mg_listener_end(struct mg_slow *s, struct mg_listener *l, int error)
{
	uint32_t idx = l->id & 0xffff;
	uint32_t *link = head_of(s, l->port);
	struct mg_slow_app *a = &s->apps[l->app];

	while (*link != idx) {
		MG_ASSERT(*link != MG_LISTENER_NONE);
		link = &s->listeners[*link].next;
	}
	*link = l->next;
	mg_embryo_drop_all_of(s, l->id);
	count_listeners(a, -1); /* before connections go: they may be what its leaving waits for */
	take_all_back(s, a, l->id, UINT32_MAX);
	reset_queue(s, l);
	if (error != 0)
		tell_ended(s, l, error);
	mg_state_set(&s->states, &l->state, MG_TCP_CLOSED);
	l->id = 0;
	mg_pool_free(&s->listener_pool, idx);
}

int mg_listener_close(struct mg_slow *s, const struct mg_slow_app *app, uint32_t id)
{
	struct mg_listener *l = mg_listener_by_id(s, id);

	if (l == NULL || l->app != app->slot)
		return -ENOENT;
	mg_listener_end(s, l, 0);
	return 0;
}
