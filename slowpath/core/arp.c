/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arp.c - ARP: asking, answering, announcing, and who else claims our addresses (RFC 826, RFC 5227).
 */
#include "proto/wire/eth.h"
#include "slowpath/core/engine.h"

#define DEFEND_NS (10 * MG_NS_PER_S) /* RFC 5227 DEFEND_INTERVAL */

static void send_arp(struct mg_slow *s, uint16_t port, const struct mg_arp_view *arp)
{
	struct mg_msg_packet *out = mg_slow_out(s);
	uint32_t len = mg_wire_arp_emit_frame(out->data, arp);

	if (arp->op == MG_ARP_REQUEST && mg_mac_is_multicast(&arp->tha) == false &&
	    !mg_mac_eq(&arp->tha, &(struct mg_mac){ { 0 } }))
		memcpy(out->data, arp->tha.b, sizeof(arp->tha.b)); /* a unicast probe */
	mg_neigh_transmit(s, 0, port, len);
}

void mg_arp_ask(struct mg_slow *s, struct mg_neigh *n)
{
	struct mg_hop hop = { .addr = n->addr, .port = n->port };
	struct mg_arp_view arp = { .op = MG_ARP_REQUEST,
				   .sha = s->routes.ports[n->port].mac,
				   .tpa = n->addr };

	if (mg_routes_source(&s->routes, &n->addr, &hop, &arp.spa) < 0)
		return;
	if (n->state == MG_NEIGH_PROBE)
		arp.tha = n->mac;
	s->stats.arp_requests_out++;
	n->tries++;
	send_arp(s, n->port, &arp);
}

static void reply(struct mg_slow *s, const struct mg_arp_view *arp, uint16_t port)
{
	struct mg_arp_view answer = {
		.op = MG_ARP_REPLY,
		.sha = s->routes.ports[port].mac,
		.tha = arp->sha,
		.spa = arp->tpa,
		.tpa = arp->spa,
	};

	s->stats.arp_replies_out++;
	send_arp(s, port, &answer);
}

static void announce(struct mg_slow *s, const struct mg_slow_addr *own)
{
	struct mg_arp_view arp = {
		.op = MG_ARP_REQUEST,
		.sha = s->routes.ports[own->port].mac,
		.spa = own->addr,
		.tpa = own->addr,
	};

	s->stats.arp_requests_out++;
	send_arp(s, own->port, &arp);
}

/* RFC 5227 2.4: somebody else says that our address is his. We keep it, and say so once in a while. */
static void conflict(struct mg_slow *s, const struct mg_addr *addr)
{
	s->stats.arp_conflicts++;
	if (s->neighs.defended_ns != 0 && s->now_ns < s->neighs.defended_ns + DEFEND_NS)
		return;
	s->neighs.defended_ns = s->now_ns;
	for (uint32_t i = 0; i < s->routes.nr_addrs; i++)
		if (mg_addr_eq(&s->routes.addrs[i].addr, addr))
			announce(s, &s->routes.addrs[i]);
}

void mg_arp_input(struct mg_slow *s, const struct mg_arp_view *arp, uint16_t port)
{
	bool for_us = mg_routes_is_local_on(&s->routes, &arp->tpa, port);
	uint32_t idx;

	s->stats.arp_in++;
	if (mg_mac_is_multicast(&arp->sha) || mg_mac_eq(&arp->sha, &s->routes.ports[port].mac)) {
		s->stats.arp_ignored++;
		return;
	}
	if (mg_routes_is_local_on(&s->routes, &arp->spa, port)) {
		conflict(s, &arp->spa);
		return;
	}
	idx = mg_neigh_find(s, &arp->spa, port);
	/* RFC 826: merge; a new entry only from who wants to talk to us, and only for our own subnet */
	if (idx == MG_NEIGH_NONE && for_us && arp->op == MG_ARP_REQUEST &&
	    !mg_addr_is_any(&arp->spa) && mg_routes_is_on_link(&s->routes, &arp->spa, port) &&
	    mg_source_is_valid(s, &arp->spa))
		idx = mg_neigh_create(s, &arp->spa, port);
	if (idx != MG_NEIGH_NONE)
		mg_neigh_learn(s, idx, &arp->sha, true);
	if (for_us && arp->op == MG_ARP_REQUEST)
		reply(s, arp, port);
	else if (idx == MG_NEIGH_NONE)
		s->stats.arp_ignored++;
}

void mg_arp_announce(struct mg_slow *s)
{
	for (uint32_t i = 0; i < s->routes.nr_addrs; i++) {
		const struct mg_slow_addr *own = &s->routes.addrs[i];

		if (mg_addr_is_v4(&own->addr) && s->routes.ports[own->port].has_l2)
			announce(s, own);
	}
}
