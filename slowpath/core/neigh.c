/* SPDX-License-Identifier: Apache-2.0 */
/* neigh.c - see neigh.h. */
#include "slowpath/core/neigh.h"

#include <errno.h>

#include "proto/base/assert.h"
#include "proto/wire/eth.h"
#include "slowpath/core/engine.h"

#define LOCK_NS MG_NS_PER_S               /* an address changes at most this often */
#define DELAY_NS (5 * MG_NS_PER_S)        /* RFC 4861 DELAY_FIRST_PROBE_TIME */
#define FAILED_RETRY_NS (5 * MG_NS_PER_S) /* a dead neighbour that flows still use */

static struct mg_neigh *entry(const struct mg_slow *s, uint32_t idx)
{
	MG_DASSERT(mg_pool_is_live(&s->neighs.pool, idx));
	return &s->neighs.entries[idx];
}

static uint32_t *head_of(struct mg_slow *s, const struct mg_addr *addr)
{
	struct mg_tuple t = { .raddr = *addr };

	return &s->neighs.heads[mg_tuple_hash(&t, s->tuples.seed) & s->neighs.mask];
}

uint32_t mg_neigh_find(struct mg_slow *s, const struct mg_addr *addr, uint16_t port)
{
	uint32_t idx = *head_of(s, addr);

	while (idx != MG_NEIGH_NONE) {
		const struct mg_neigh *n = entry(s, idx);

		if (n->port == port && mg_addr_eq(&n->addr, addr))
			return idx;
		idx = n->next;
	}
	return MG_NEIGH_NONE;
}

static void arm(struct mg_slow *s, uint32_t idx, uint64_t deadline_ns)
{
	entry(s, idx)->deadline_ns = deadline_ns;
	mg_wheel_arm(&s->wheel, s->timer.neighs + idx, deadline_ns);
}

static void drop_queue(struct mg_slow *s, struct mg_neigh *n)
{
	while (n->queue_head != MG_NEIGH_NONE) {
		uint32_t slot = n->queue_head;

		n->queue_head = s->neighs.slots[slot].next;
		mg_pool_free(&s->neighs.slot_pool, slot);
		s->stats.arp_queue_drops++;
	}
	n->queue_tail = MG_NEIGH_NONE;
	n->nr_queued = 0;
}

static void remove_entry(struct mg_slow *s, uint32_t idx)
{
	struct mg_neigh *n = entry(s, idx);
	uint32_t *link = head_of(s, &n->addr);

	MG_ASSERT(n->nr_users == 0);
	while (*link != idx)
		link = &entry(s, *link)->next;
	*link = n->next;
	drop_queue(s, n);
	mg_wheel_cancel(&s->wheel, s->timer.neighs + idx);
	mg_pool_free(&s->neighs.pool, idx);
}

/* The least recently used entry that nothing needs goes. */
static bool evict(struct mg_slow *s)
{
	uint32_t victim = MG_NEIGH_NONE;

	for (uint32_t i = 0; i < s->neighs.pool.nr_touched; i++) {
		const struct mg_neigh *n = &s->neighs.entries[i];

		if (!mg_pool_is_live(&s->neighs.pool, i) || n->nr_users > 0 ||
		    n->state == MG_NEIGH_STATIC)
			continue;
		if (victim == MG_NEIGH_NONE || n->used_ns < s->neighs.entries[victim].used_ns)
			victim = i;
	}
	if (victim == MG_NEIGH_NONE)
		return false;
	remove_entry(s, victim);
	return true;
}

uint32_t mg_neigh_create(struct mg_slow *s, const struct mg_addr *addr, uint16_t port)
{
	uint32_t idx, gen;
	uint32_t *head;

	if (mg_pool_alloc(&s->neighs.pool, &idx, &gen) < 0) {
		s->stats.arp_table_full++;
		if (!evict(s) || mg_pool_alloc(&s->neighs.pool, &idx, &gen) < 0)
			return MG_NEIGH_NONE;
	}
	head = head_of(s, addr);
	s->neighs.entries[idx] = (struct mg_neigh){
		.addr = *addr,
		.port = port,
		.state = MG_NEIGH_FAILED,
		.next = *head,
		.queue_head = MG_NEIGH_NONE,
		.queue_tail = MG_NEIGH_NONE,
		.used_ns = s->now_ns,
		.deadline_ns = MG_TIME_NEVER,
	};
	*head = idx;
	return idx;
}

/* Both ways answer by mg_neigh_learn(). */
static void ask(struct mg_slow *s, struct mg_neigh *n)
{
	if (mg_addr_is_v4(&n->addr))
		mg_arp_ask(s, n);
	else
		mg_nd_ask(s, n);
}

static void begin(struct mg_slow *s, uint32_t idx, enum mg_neigh_state state)
{
	struct mg_neigh *n = entry(s, idx);

	n->state = (uint8_t)state;
	n->tries = 0;
	ask(s, n);
	arm(s, idx, mg_time_after(s->now_ns, mg_ms_to_ns(s->conf.arp_retry_ms)));
}

/*
 * It is used and may be stale. ARP has nothing to wait for and asks; neighbor discovery gives the layers above
 * time to see forward progress first (RFC 4861 7.3.3).
 */
static void doubt(struct mg_slow *s, uint32_t idx)
{
	struct mg_neigh *n = entry(s, idx);

	if (mg_addr_is_v4(&n->addr)) {
		begin(s, idx, MG_NEIGH_PROBE);
		return;
	}
	n->state = MG_NEIGH_DELAY;
	n->tries = 0;
	arm(s, idx, mg_time_after(s->now_ns, DELAY_NS));
}

uint32_t mg_neigh_get(struct mg_slow *s, const struct mg_hop *hop)
{
	uint32_t idx;
	struct mg_neigh *n;

	if (!s->routes.ports[hop->port].has_l2)
		return MG_NEIGH_NONE;
	idx = mg_neigh_find(s, &hop->addr, hop->port);
	if (idx == MG_NEIGH_NONE)
		idx = mg_neigh_create(s, &hop->addr, hop->port);
	if (idx == MG_NEIGH_NONE)
		return MG_NEIGH_NONE;
	n = entry(s, idx);
	n->used_ns = s->now_ns;
	if (n->state == MG_NEIGH_FAILED &&
	    s->now_ns >= n->changed_ns + mg_ms_to_ns(s->conf.arp_retry_ms))
		begin(s, idx, MG_NEIGH_INCOMPLETE);
	else if (n->state == MG_NEIGH_FAILED && n->changed_ns == 0)
		begin(s, idx, MG_NEIGH_INCOMPLETE);
	else if (n->state == MG_NEIGH_STALE)
		doubt(s, idx);
	return idx;
}

bool mg_neigh_mac(const struct mg_slow *s, uint32_t idx, struct mg_mac *ret_mac)
{
	if (idx == MG_NEIGH_NONE || !entry(s, idx)->has_mac)
		return false;
	*ret_mac = entry(s, idx)->mac;
	return true;
}

void mg_neigh_hold(struct mg_slow *s, uint32_t idx)
{
	if (idx != MG_NEIGH_NONE)
		entry(s, idx)->nr_users++;
}

void mg_neigh_put(struct mg_slow *s, uint32_t idx)
{
	if (idx == MG_NEIGH_NONE)
		return;
	MG_ASSERT(entry(s, idx)->nr_users > 0);
	entry(s, idx)->nr_users--;
}

void mg_neigh_transmit(struct mg_slow *s, uint32_t worker, uint16_t port, uint32_t len)
{
	struct mg_msg_packet *out = mg_slow_out(s);

	out->msg = (struct mg_msg){
		.type = MG_CMD_TX_PACKET,
		.port = port,
		.len = (uint32_t)sizeof(*out) + len,
	};
	out->bytes = len;
	out->flags = 0;
	out->reason = 0;
	s->stats.packets_out++;
	if (!s->env.command(s->env.ctx, worker, &out->msg))
		s->stats.packets_out_lost++;
}

static void enqueue(struct mg_slow *s, struct mg_neigh *n, uint32_t worker, uint32_t len)
{
	struct mg_neighs *t = &s->neighs;
	uint32_t slot, gen;

	if (len > MG_NEIGH_FRAME_MAX || n->nr_queued >= s->lim.arp_queue_each_max ||
	    mg_pool_alloc(&t->slot_pool, &slot, &gen) < 0) {
		s->stats.arp_queue_drops++;
		return;
	}
	t->slots[slot].next = MG_NEIGH_NONE;
	t->slots[slot].len = (uint16_t)len;
	t->slots[slot].worker = (uint16_t)worker;
	memcpy(t->slots[slot].frame, mg_slow_out(s)->data, len);
	if (n->queue_tail == MG_NEIGH_NONE)
		n->queue_head = slot;
	else
		t->slots[n->queue_tail].next = slot;
	n->queue_tail = slot;
	n->nr_queued++;
}

void mg_neigh_output(struct mg_slow *s, const struct mg_hop *hop, uint32_t worker, uint32_t len)
{
	struct mg_neigh *n;
	uint32_t idx;
	bool has_l2 = s->routes.ports[hop->port].has_l2;
	uint8_t *data = mg_slow_out(s)->data;
	uint8_t frame[MG_NEIGH_FRAME_MAX];

	if (!has_l2) {
		mg_neigh_transmit(s, worker, hop->port, len);
		return;
	}
	/* asking builds its own frame in s->out: keep ours, if it can wait at all */
	memcpy(frame, data, mg_min_u32(len, sizeof(frame)));
	idx = mg_neigh_get(s, hop);
	memcpy(data, frame, mg_min_u32(len, sizeof(frame)));
	if (idx == MG_NEIGH_NONE) {
		s->stats.arp_queue_drops++;
		return;
	}
	n = entry(s, idx);
	if (n->has_mac) {
		memcpy(data, n->mac.b, sizeof(n->mac.b));
		mg_neigh_transmit(s, worker, hop->port, len);
	} else if (n->state == MG_NEIGH_INCOMPLETE) {
		enqueue(s, n, worker, len);
	} else {
		s->stats.arp_queue_drops++;
	}
}

static void send_queue(struct mg_slow *s, struct mg_neigh *n)
{
	while (n->queue_head != MG_NEIGH_NONE) {
		uint32_t idx = n->queue_head;
		struct mg_neigh_slot *slot = &s->neighs.slots[idx];

		n->queue_head = slot->next;
		memcpy(mg_slow_out(s)->data, slot->frame, slot->len);
		memcpy(mg_slow_out(s)->data, n->mac.b, sizeof(n->mac.b));
		mg_neigh_transmit(s, slot->worker, n->port, slot->len);
		mg_pool_free(&s->neighs.slot_pool, idx);
	}
	n->queue_tail = MG_NEIGH_NONE;
	n->nr_queued = 0;
}

/* Its flows get the new address. Rare: the whole table is walked. */
static void move_flows(struct mg_slow *s, uint32_t idx)
{
	if (entry(s, idx)->nr_users == 0)
		return;
	for (uint32_t i = 0; i < s->conn_pool.nr_touched; i++) {
		struct mg_conn *c = &s->conns[i];

		if (mg_pool_is_live(&s->conn_pool, i) && c->neigh == idx)
			mg_conn_command(s, c, MG_CONN_CMD_NEXTHOP);
	}
}

/* A new or another address; false: it changes too often to be believed. */
static bool take_mac(struct mg_slow *s, uint32_t idx, const struct mg_mac *mac)
{
	struct mg_neigh *n = entry(s, idx);

	if (n->has_mac) {
		if (s->now_ns < n->changed_ns + LOCK_NS && n->changed_ns != 0)
			return false;
		s->stats.neigh_changed++;
	}
	n->mac = *mac;
	n->has_mac = true;
	n->changed_ns = s->now_ns;
	return true;
}

void mg_neigh_learn(struct mg_slow *s, uint32_t idx, const struct mg_mac *mac, bool is_confirmed)
{
	struct mg_neigh *n = entry(s, idx);
	bool changed = !n->has_mac || !mg_mac_eq(&n->mac, mac);

	if (n->state == MG_NEIGH_STATIC)
		return;
	if (changed && !take_mac(s, idx, mac))
		return;
	if (is_confirmed) {
		n->state = MG_NEIGH_REACHABLE;
		n->tries = 0;
		n->confirmed_ns = s->now_ns;
		arm(s, idx, mg_time_after(s->now_ns, mg_ms_to_ns(s->conf.arp_reachable_ms)));
	} else if (changed) {
		n->state = MG_NEIGH_STALE;
		n->tries = 0;
		mg_wheel_cancel(&s->wheel, s->timer.neighs + idx);
		if (n->nr_users > 0 || n->nr_queued > 0)
			doubt(s, idx);
	}
	if (changed) {
		send_queue(s, n);
		move_flows(s, idx);
	}
}

void mg_neigh_confirm(struct mg_slow *s, uint32_t idx)
{
	struct mg_neigh *n;

	if (idx == MG_NEIGH_NONE)
		return;
	n = entry(s, idx);
	if (!n->has_mac || n->state == MG_NEIGH_STATIC)
		return;
	n->confirmed_ns = s->now_ns;
	if (n->state != MG_NEIGH_REACHABLE) {
		n->state = MG_NEIGH_REACHABLE;
		n->tries = 0;
		arm(s, idx, mg_time_after(s->now_ns, mg_ms_to_ns(s->conf.arp_reachable_ms)));
	}
}

void mg_neigh_suspect(struct mg_slow *s, uint32_t idx)
{
	if (idx == MG_NEIGH_NONE)
		return;
	if (entry(s, idx)->state >= MG_NEIGH_REACHABLE && entry(s, idx)->state <= MG_NEIGH_DELAY)
		begin(s, idx, MG_NEIGH_PROBE);
}

/* Nobody answers: active opens through it end, flows keep the address they have and hope. */
static void fail(struct mg_slow *s, uint32_t idx)
{
	struct mg_neigh *n = entry(s, idx);

	s->stats.arp_failed++;
	n->state = MG_NEIGH_FAILED;
	n->has_mac = false;
	n->changed_ns = s->now_ns;
	drop_queue(s, n);
	arm(s, idx, s->now_ns + FAILED_RETRY_NS);
	for (uint32_t i = 0; i < s->conn_pool.nr_touched && n->nr_users > 0; i++) {
		struct mg_conn *c = &s->conns[i];

		if (!mg_pool_is_live(&s->conn_pool, i) || c->neigh != idx)
			continue;
		c->soft_error = EHOSTUNREACH;
		if (c->state == MG_TCP_SYN_SENT) {
			s->stats.connects_unreachable++;
			mg_active_fail(s, c, EHOSTUNREACH);
		}
	}
}

void mg_neigh_timer(struct mg_slow *s, uint32_t idx)
{
	struct mg_neigh *n;
	uint64_t stale_ns;

	if (!mg_pool_is_live(&s->neighs.pool, idx))
		return;
	n = entry(s, idx);
	switch (n->state) {
	case MG_NEIGH_INCOMPLETE:
	case MG_NEIGH_PROBE:
		if (n->tries >= s->conf.arp_retries && n->state == MG_NEIGH_PROBE) {
			begin(s, idx,
			      MG_NEIGH_INCOMPLETE); /* perhaps it has a new address; the old one serves on */
		} else if (n->tries >= s->conf.arp_retries) {
			fail(s, idx);
		} else {
			ask(s, n);
			arm(s, idx, mg_time_after(s->now_ns, mg_ms_to_ns(s->conf.arp_retry_ms)));
		}
		break;
	case MG_NEIGH_REACHABLE:
		stale_ns = mg_time_after(n->confirmed_ns, mg_ms_to_ns(s->conf.arp_reachable_ms));
		if (s->now_ns < stale_ns)
			arm(s, idx, stale_ns);
		else if (n->nr_users > 0)
			doubt(s, idx);
		else
			n->state = MG_NEIGH_STALE;
		break;
	case MG_NEIGH_DELAY:
		begin(s, idx, MG_NEIGH_PROBE);
		break;
	case MG_NEIGH_FAILED:
		if (n->nr_users > 0)
			begin(s, idx, MG_NEIGH_INCOMPLETE);
		else
			remove_entry(s, idx);
		break;
	default:
		break;
	}
}

int mg_neigh_add_static(struct mg_slow *s, const struct mg_slow_neighbour *n)
{
	uint32_t idx;

	if (n->port >= s->routes.nr_ports || mg_mac_is_multicast(&n->mac))
		return -EINVAL;
	idx = mg_neigh_find(s, &n->addr, n->port);
	if (idx == MG_NEIGH_NONE)
		idx = mg_neigh_create(s, &n->addr, n->port);
	if (idx == MG_NEIGH_NONE)
		return -ENOSPC;
	entry(s, idx)->mac = n->mac;
	entry(s, idx)->has_mac = true;
	entry(s, idx)->state = MG_NEIGH_STATIC;
	return 0;
}
