/* SPDX-License-Identifier: Apache-2.0 */
/*
 * neigh.h - the cache of neighbours: whose link-layer address is it (states after RFC 4861 7.3.2).
 *
 * Idea:    one cache for both families; ARP (arp.c) and neighbour discovery (nd.c) ask and answer for it.
 *          INCOMPLETE (asking, packets wait), REACHABLE (confirmed lately), STALE (known, unconfirmed,
 *          unused), DELAY (IPv6: used while stale; will be asked unless it shows life), PROBE (asking the
 *          known address), FAILED (nobody answers), STATIC (from the configuration). An entry that flows use holds a count of them and is kept fresh: when its time
 *          is over it is probed; a worker's sign of forward progress confirms it as well as a reply.
 *          A changed address goes to the flows by MG_CMD_SET_NEXTHOP, at most once a second per entry, so
 *          that forged replies cannot keep us busy.
 * Threads: the slow path.
 * Memory:  entries and queue slots from the engine's block.
 */
#ifndef MG_NEIGH_H
#define MG_NEIGH_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/pool.h"
#include "proto/wire/arp.h"
#include "slowpath/core/nd.h"
#include "slowpath/core/route.h"

#define MG_NEIGH_NONE UINT32_MAX
#define MG_NEIGH_FRAME_MAX 256 /* of a packet that waits */

enum mg_neigh_state {
	MG_NEIGH_INCOMPLETE = 1,
	MG_NEIGH_REACHABLE,
	MG_NEIGH_STALE,
	MG_NEIGH_DELAY,
	MG_NEIGH_PROBE,
	MG_NEIGH_FAILED,
	MG_NEIGH_STATIC,
};

struct mg_neigh {
	struct mg_addr addr;
	struct mg_mac mac; /* valid but in INCOMPLETE and FAILED */
	uint16_t port;
	uint8_t state; /* enum mg_neigh_state */
	uint8_t tries;
	uint8_t nr_queued;
	bool has_mac;
	uint32_t nr_users; /* flows */
	uint32_t next;     /* hash chain */
	uint32_t queue_head, queue_tail;
	uint64_t confirmed_ns;
	uint64_t changed_ns;
	uint64_t used_ns;
	uint64_t deadline_ns;
};

struct mg_neigh_slot {
	uint32_t next;
	uint16_t len;
	uint16_t worker;
	uint8_t frame[MG_NEIGH_FRAME_MAX];
};

struct mg_neighs {
	struct mg_pool pool;
	struct mg_pool slot_pool;
	struct mg_neigh *entries;
	struct mg_neigh_slot *slots;
	uint32_t *heads;
	uint32_t mask;
	uint64_t defended_ns;
	uint64_t defended6_ns;
};

struct mg_slow;

/* Resolves (asks, when it must); MG_NEIGH_NONE when the table is full. Ports without link layer: NONE. */
uint32_t mg_neigh_get(struct mg_slow *s, const struct mg_hop *hop);
bool mg_neigh_mac(const struct mg_slow *s, uint32_t idx, struct mg_mac *ret_mac);
void mg_neigh_hold(struct mg_slow *s, uint32_t idx);
void mg_neigh_put(struct mg_slow *s, uint32_t idx);
/* Sends the frame of `len` bytes that stands in s->out; its destination address is filled in here. */
void mg_neigh_output(struct mg_slow *s, const struct mg_hop *hop, uint32_t worker, uint32_t len);
/* Sends the frame of `len` bytes in s->out as it is. */
void mg_neigh_transmit(struct mg_slow *s, uint32_t worker, uint16_t port, uint32_t len);
/* The worker saw forward progress through it / data is retransmitted in vain. */
void mg_neigh_confirm(struct mg_slow *s, uint32_t idx);
void mg_neigh_suspect(struct mg_slow *s, uint32_t idx);
void mg_neigh_timer(struct mg_slow *s, uint32_t idx);
int mg_neigh_add_static(struct mg_slow *s, const struct mg_slow_neighbour *n);
/* For arp.c and nd.c: an entry or MG_NEIGH_NONE; a new one, for which something else may have to go. */
uint32_t mg_neigh_find(struct mg_slow *s, const struct mg_addr *addr, uint16_t port);
uint32_t mg_neigh_create(struct mg_slow *s, const struct mg_addr *addr, uint16_t port);
/* Its link-layer address was told. is_confirmed: in answer to us, so that it is reachable. */
void mg_neigh_learn(struct mg_slow *s, uint32_t idx, const struct mg_mac *mac, bool is_confirmed);

/* arp.c */
void mg_arp_ask(struct mg_slow *s, struct mg_neigh *n);
void mg_arp_input(struct mg_slow *s, const struct mg_arp_view *arp, uint16_t port);
/* Gratuitous ARP for every IPv4 address of ours. */
void mg_arp_announce(struct mg_slow *s);
#endif
