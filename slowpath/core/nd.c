/* SPDX-License-Identifier: Apache-2.0 */
/* nd.c - see nd.h. */
#include "slowpath/core/nd.h"

#include "proto/wire/eth.h"
#include "slowpath/core/engine.h"

#define DEFEND_NS (10 * MG_NS_PER_S) /* as for ARP */

static const struct mg_addr all_nodes = { .b = { 0xff, 2, [15] = 1 } };

/* RFC 2464 7 */
static struct mg_mac mac_of_group(const struct mg_addr *group)
{
	struct mg_mac mac = { { 0x33, 0x33 } };

	memcpy(mac.b + 2, group->b + 12, 4);
	return mac;
}

static uint32_t emit(struct mg_slow *s, const struct mg_nd_spec *spec)
{
	if (spec->type == MG_ICMP6_NEIGHBOR_SOLICIT)
		s->stats.nd_solicits_out++;
	else
		s->stats.nd_adverts_out++;
	return mg_wire_nd_emit_frame(mg_slow_out(s)->data, spec);
}

/* RFC 4861 7.2.2: to the solicited-node group, or to the address that is to be confirmed. */
void mg_nd_ask(struct mg_slow *s, struct mg_neigh *n)
{
	const struct mg_mac *own = &s->routes.ports[n->port].mac;
	struct mg_addr src, group = mg_addr_solicited_node(&n->addr);
	struct mg_mac dmac = mac_of_group(&group);
	bool is_probe = n->state == MG_NEIGH_PROBE;
	struct mg_nd_spec spec = {
		.type = MG_ICMP6_NEIGHBOR_SOLICIT,
		.src = &src,
		.dst = is_probe ? &n->addr : &group,
		.target = &n->addr,
		.smac = own,
		.dmac = is_probe ? &n->mac : &dmac,
		.mac = own,
	};
	struct mg_hop hop = { .addr = n->addr, .port = n->port };

	n->tries++; /* also without an address of ours: the end comes all the same */
	if (mg_routes_source(&s->routes, &n->addr, &hop, &src) == 0 &&
	    mg_routes_is_local(&s->routes, &src))
		mg_neigh_transmit(s, 0, n->port, emit(s, &spec));
}

/* dst_mac NULL: to a group. */
static void advertise(struct mg_slow *s, const struct mg_slow_addr *own, const struct mg_addr *dst,
		      const struct mg_mac *dst_mac, uint8_t flags)
{
	const struct mg_mac *smac = &s->routes.ports[own->port].mac;
	struct mg_mac group_mac = mac_of_group(dst);
	const struct mg_nd_spec spec = {
		.type = MG_ICMP6_NEIGHBOR_ADVERT,
		.src = &own->addr,
		.dst = dst,
		.target = &own->addr,
		.smac = smac,
		.dmac = dst_mac != NULL ? dst_mac : &group_mac,
		.mac = smac,
		.flags = flags,
	};
	struct mg_hop hop = { .addr = *dst, .port = own->port };
	uint32_t len = emit(s, &spec);

	if (dst_mac != NULL || mg_addr_is_multicast(dst))
		mg_neigh_transmit(s, 0, own->port, len);
	else
		mg_neigh_output(s, &hop, 0, len); /* it did not say where it is */
}

/* Somebody else says that our address is his. We keep it, and say so once in a while. */
static void conflict(struct mg_slow *s, uint32_t own)
{
	s->stats.nd_conflicts++;
	if (s->neighs.defended6_ns != 0 && s->now_ns < s->neighs.defended6_ns + DEFEND_NS)
		return;
	s->neighs.defended6_ns = s->now_ns;
	advertise(s, &s->routes.addrs[own], &all_nodes, NULL, MG_ND_OVERRIDE);
}

/* A neighbour's own words about itself: from our link, not from ourselves. */
static bool is_credible(struct mg_slow *s, const struct mg_addr *src, uint16_t port)
{
	return mg_routes_is_on_link(&s->routes, src, port) && mg_source_is_valid(s, src);
}

static void learn_from_solicit(struct mg_slow *s, const struct mg_frame_view *fv, uint16_t port)
{
	uint32_t idx;

	if (!fv->nd.has_mac || !is_credible(s, &fv->ip.src, port))
		return;
	idx = mg_neigh_find(s, &fv->ip.src, port);
	if (idx == MG_NEIGH_NONE)
		idx = mg_neigh_create(s, &fv->ip.src, port);
	if (idx != MG_NEIGH_NONE)
		mg_neigh_learn(s, idx, &fv->nd.mac, false);
}

/* RFC 4861 7.2.3, 7.2.4; RFC 4862 5.4.3 */
static void solicit_input(struct mg_slow *s, const struct mg_frame_view *fv, uint16_t port)
{
	uint32_t own = mg_routes_own(&s->routes, &fv->nd.target, port);
	bool from_nobody = mg_addr_is_any(&fv->ip.src);

	if (own == MG_ROUTES_NONE || s->routes.addr_state[own] == MG_ADDR_DUPLICATE) {
		s->stats.nd_ignored++;
	} else if (s->routes.addr_state[own] == MG_ADDR_TENTATIVE) {
		if (from_nobody)
			mg_dad_conflict(s, own); /* another one wants it at this moment */
		else
			s->stats.nd_ignored++;
	} else if (from_nobody) {
		advertise(s, &s->routes.addrs[own], &all_nodes, NULL, MG_ND_OVERRIDE);
	} else if (mg_routes_is_local(&s->routes, &fv->ip.src)) {
		conflict(s, own);
	} else {
		learn_from_solicit(s, fv, port);
		advertise(s, &s->routes.addrs[own], &fv->ip.src,
			  fv->nd.has_mac ? &fv->nd.mac : NULL, MG_ND_SOLICITED | MG_ND_OVERRIDE);
	}
}

/* RFC 4861 7.2.5: what an advertisement does to an entry. */
static void update_entry(struct mg_slow *s, uint32_t idx, const struct mg_nd_view *nd)
{
	struct mg_neigh *n = &s->neighs.entries[idx];
	bool solicited = (nd->flags & MG_ND_SOLICITED) != 0;

	if (n->state == MG_NEIGH_STATIC || (!n->has_mac && !nd->has_mac)) {
		s->stats.nd_ignored++;
	} else if (!nd->has_mac) {
		if (solicited)
			mg_neigh_confirm(s, idx);
	} else if (n->has_mac && !mg_mac_eq(&n->mac, &nd->mac) &&
		   (nd->flags & MG_ND_OVERRIDE) == 0) {
		mg_neigh_suspect(s, idx);
		s->stats.nd_ignored++;
	} else {
		mg_neigh_learn(s, idx, &nd->mac, solicited);
	}
}

static void advert_input(struct mg_slow *s, const struct mg_frame_view *fv, uint16_t port)
{
	uint32_t own = mg_routes_own(&s->routes, &fv->nd.target, port);
	uint32_t idx;

	if (own != MG_ROUTES_NONE) {
		if (s->routes.addr_state[own] == MG_ADDR_TENTATIVE)
			mg_dad_conflict(s, own);
		else if (s->routes.addr_state[own] == MG_ADDR_USABLE)
			conflict(s, own);
		return;
	}
	idx = mg_neigh_find(s, &fv->nd.target, port);
	if (idx == MG_NEIGH_NONE)
		s->stats.nd_ignored++;
	else
		update_entry(s, idx, &fv->nd);
}

/* Some ports hear what they say. */
static bool is_own_echo(const struct mg_slow *s, const struct mg_msg_packet *pkt,
			const struct mg_frame_view *fv)
{
	return fv->l2_len != 0 &&
	       memcmp(pkt->data + 6, s->routes.ports[pkt->msg.port].mac.b, 6) == 0;
}

void mg_nd_input(struct mg_slow *s, const struct mg_msg_packet *pkt, const struct mg_frame_view *fv)
{
	uint16_t port = pkt->msg.port;
	bool to_us = mg_addr_is_multicast(&fv->ip.dst) ||
		     mg_routes_own(&s->routes, &fv->ip.dst, port) != MG_ROUTES_NONE;

	s->stats.nd_in++;
	if (!to_us || !s->routes.ports[port].has_l2 || is_own_echo(s, pkt, fv)) {
		s->stats.nd_ignored++;
		return;
	}
	switch (fv->nd.type) {
	case MG_ICMP6_NEIGHBOR_SOLICIT:
		solicit_input(s, fv, port);
		break;
	case MG_ICMP6_NEIGHBOR_ADVERT:
		advert_input(s, fv, port);
		break;
	case MG_ICMP6_ROUTER_ADVERT:
		s->stats.nd_router_adverts++;
		break;
	case MG_ICMP6_REDIRECT:
		s->stats.nd_redirects++;
		break;
	default:
		s->stats.nd_ignored++;
		break;
	}
}

void mg_nd_announce(struct mg_slow *s)
{
	for (uint32_t i = 0; i < s->routes.nr_addrs; i++) {
		const struct mg_slow_addr *own = &s->routes.addrs[i];

		if (!mg_addr_is_v4(&own->addr) && s->routes.addr_state[i] == MG_ADDR_USABLE &&
		    s->routes.ports[own->port].has_l2)
			advertise(s, own, &all_nodes, NULL, MG_ND_OVERRIDE);
	}
}

/* From nobody, as the address is not ours yet. */
static void ask_for_own(struct mg_slow *s, const struct mg_slow_addr *own)
{
	static const struct mg_addr nobody;
	struct mg_addr group = mg_addr_solicited_node(&own->addr);
	struct mg_mac dmac = mac_of_group(&group);
	const struct mg_nd_spec spec = {
		.type = MG_ICMP6_NEIGHBOR_SOLICIT,
		.src = &nobody,
		.dst = &group,
		.target = &own->addr,
		.smac = &s->routes.ports[own->port].mac,
		.dmac = &dmac,
	};

	mg_neigh_transmit(s, 0, own->port, emit(s, &spec));
}

void mg_dad_start(struct mg_slow *s)
{
	if (s->conf.dad_ms == 0)
		return;
	for (uint32_t i = 0; i < s->routes.nr_addrs; i++) {
		const struct mg_slow_addr *own = &s->routes.addrs[i];

		if (mg_addr_is_v4(&own->addr) || !s->routes.ports[own->port].has_l2)
			continue;
		s->routes.addr_state[i] = MG_ADDR_TENTATIVE;
		ask_for_own(s, own);
	}
	mg_wheel_arm(&s->wheel, s->timer.dad,
		     mg_time_after(s->now_ns, mg_ms_to_ns(s->conf.dad_ms)));
}

void mg_dad_timer(struct mg_slow *s)
{
	for (uint32_t i = 0; i < s->routes.nr_addrs; i++)
		if (s->routes.addr_state[i] == MG_ADDR_TENTATIVE)
			s->routes.addr_state[i] = MG_ADDR_USABLE;
	if (s->conf.arp_gratuitous)
		mg_nd_announce(s);
}

void mg_dad_conflict(struct mg_slow *s, uint32_t addr_idx)
{
	s->stats.dad_failed++;
	s->routes.addr_state[addr_idx] = MG_ADDR_DUPLICATE;
}
