/* SPDX-License-Identifier: Apache-2.0 */
/* route.c - see route.h. */
#include "slowpath/core/route.h"

#include <errno.h>

static bool prefix_is_valid(const struct mg_addr *addr, uint8_t prefix)
{
	return prefix <= (mg_addr_is_v4(addr) ? 32 : 128);
}

/* "any" of routes is plain :: for both families unless mapped: compare within the family of dst. */
static bool same_family(const struct mg_addr *a, const struct mg_addr *b)
{
	return mg_addr_is_v4(a) == mg_addr_is_v4(b);
}

int mg_routes_add_port(struct mg_routes *r, const struct mg_slow_port *port, uint16_t *ret_port)
{
	if (port->mtu < 68)
		return -EINVAL;
	if (r->nr_ports >= MG_SLOW_PORTS_MAX)
		return -ENOSPC;
	r->ports[r->nr_ports] = *port;
	*ret_port = (uint16_t)r->nr_ports++;
	if (port->is_local) {
		r->has_local = true;
		r->local_port = *ret_port;
	}
	return 0;
}

int mg_routes_add_addr(struct mg_routes *r, const struct mg_slow_addr *addr)
{
	if (addr->port >= r->nr_ports || !prefix_is_valid(&addr->addr, addr->prefix) ||
	    mg_addr_is_any(&addr->addr) || mg_addr_is_multicast(&addr->addr))
		return -EINVAL;
	if (mg_routes_may_bind(r, &addr->addr))
		return -EEXIST;
	if (r->nr_addrs >= MG_SLOW_ADDRS_MAX)
		return -ENOSPC;
	r->addrs[r->nr_addrs++] = *addr;
	return 0;
}

int mg_routes_add_route(struct mg_routes *r, const struct mg_slow_route *route)
{
	if (route->port >= r->nr_ports || !prefix_is_valid(&route->net, route->prefix))
		return -EINVAL;
	if (r->nr_routes >= MG_SLOW_ROUTES_MAX)
		return -ENOSPC;
	r->routes[r->nr_routes++] = *route;
	return 0;
}

static bool is_loopback(const struct mg_routes *r, const struct mg_addr *addr)
{
	return r->has_local && r->loopback && mg_addr_is_loopback(addr);
}

bool mg_routes_is_local(const struct mg_routes *r, const struct mg_addr *addr)
{
	if (is_loopback(r, addr))
		return true;
	for (uint32_t i = 0; i < r->nr_addrs; i++)
		if (r->addr_state[i] == MG_ADDR_USABLE && mg_addr_eq(&r->addrs[i].addr, addr))
			return true;
	return false;
}

uint32_t mg_routes_own(const struct mg_routes *r, const struct mg_addr *addr, uint16_t port)
{
	for (uint32_t i = 0; i < r->nr_addrs; i++)
		if (r->addrs[i].port == port && mg_addr_eq(&r->addrs[i].addr, addr))
			return i;
	return MG_ROUTES_NONE;
}

bool mg_routes_is_local_on(const struct mg_routes *r, const struct mg_addr *addr, uint16_t port)
{
	uint32_t i = mg_routes_own(r, addr, port);

	return i != MG_ROUTES_NONE && r->addr_state[i] == MG_ADDR_USABLE;
}

bool mg_routes_is_for(const struct mg_routes *r, const struct mg_addr *addr, uint16_t port)
{
	if (r->has_local && port == r->local_port)
		return mg_routes_is_local(r, addr);
	if (mg_addr_is_loopback(addr))
		return false; /* RFC 1122 3.2.1.3 (g), RFC 4291 2.5.3: never on a wire */
	return mg_addr_is_link_local(addr) ? mg_routes_is_local_on(r, addr, port)
					   : mg_routes_is_local(r, addr);
}

bool mg_routes_may_bind(const struct mg_routes *r, const struct mg_addr *addr)
{
	if (is_loopback(r, addr))
		return true;
	for (uint32_t i = 0; i < r->nr_addrs; i++)
		if (mg_addr_eq(&r->addrs[i].addr, addr))
			return r->addr_state[i] != MG_ADDR_DUPLICATE;
	return false;
}

static bool in_subnet(const struct mg_slow_addr *own, const struct mg_addr *addr)
{
	return same_family(&own->addr, addr) && mg_addr_in_prefix(addr, &own->addr, own->prefix);
}

bool mg_routes_is_on_link(const struct mg_routes *r, const struct mg_addr *addr, uint16_t port)
{
	for (uint32_t i = 0; i < r->nr_addrs; i++)
		if (r->addrs[i].port == port && in_subnet(&r->addrs[i], addr))
			return true;
	return false;
}

bool mg_routes_is_broadcast(const struct mg_routes *r, const struct mg_addr *addr)
{
	uint32_t v4;

	if (!mg_addr_is_v4(addr))
		return false;
	v4 = mg_addr_to_v4(addr);
	if (v4 == UINT32_MAX)
		return true;
	for (uint32_t i = 0; i < r->nr_addrs; i++) {
		const struct mg_slow_addr *own = &r->addrs[i];

		/* RFC 3021: /31 and /32 have no broadcast address */
		if (mg_addr_is_v4(&own->addr) && own->prefix < 31 && in_subnet(own, addr) &&
		    (v4 | UINT32_MAX << (32 - own->prefix)) == UINT32_MAX)
			return true;
	}
	return false;
}

int mg_routes_find(const struct mg_routes *r, const struct mg_addr *dst, struct mg_hop *ret_hop)
{
	int best = -1;

	if (r->has_local && mg_routes_is_local(r, dst)) {
		*ret_hop = (struct mg_hop){ .addr = *dst, .port = r->local_port };
		return 0;
	}
	for (uint32_t i = 0; i < r->nr_addrs; i++) {
		const struct mg_slow_addr *own = &r->addrs[i];

		if (own->prefix > best && in_subnet(own, dst)) {
			best = own->prefix;
			*ret_hop = (struct mg_hop){ .addr = *dst, .port = own->port };
		}
	}
	for (uint32_t i = 0; i < r->nr_routes; i++) {
		const struct mg_slow_route *route = &r->routes[i];

		if (route->prefix > best && same_family(&route->net, dst) &&
		    mg_addr_in_prefix(dst, &route->net, route->prefix)) {
			best = route->prefix;
			*ret_hop = (struct mg_hop){
				.addr = mg_addr_is_any(&route->via) ? *dst : route->via,
				.port = route->port,
			};
		}
	}
	return best < 0 ? -ENETUNREACH : 0;
}

int mg_routes_hop(const struct mg_routes *r, const struct mg_addr *src, const struct mg_addr *dst,
		  struct mg_hop *ret_hop)
{
	if (!mg_addr_is_link_local(dst) || (r->has_local && mg_routes_is_local(r, dst)))
		return mg_routes_find(r, dst, ret_hop);
	for (uint32_t i = 0; i < r->nr_addrs; i++) {
		if (!mg_addr_eq(&r->addrs[i].addr, src))
			continue;
		*ret_hop = (struct mg_hop){ .addr = *dst, .port = r->addrs[i].port };
		return 0;
	}
	return mg_routes_find(r, dst, ret_hop);
}

int mg_routes_scope(const struct mg_routes *r, const struct mg_addr *dst, uint32_t scope,
		    struct mg_hop *ret_hop)
{
	uint32_t nr = r->nr_ports - r->has_local;

	if (nr == 1)
		scope = 1;
	if (scope == 0 || scope > nr)
		return -EINVAL;
	*ret_hop = (struct mg_hop){ .addr = *dst, .port = (uint16_t)(scope - 1) };
	return 0;
}

uint32_t mg_routes_scope_of(const struct mg_routes *r, const struct mg_tuple *tuple)
{
	if (!mg_addr_is_link_local(&tuple->raddr) && !mg_addr_is_link_local(&tuple->laddr))
		return 0;
	for (uint32_t i = 0; i < r->nr_addrs; i++)
		if (mg_addr_eq(&r->addrs[i].addr, &tuple->laddr))
			return r->addrs[i].port + 1u;
	return 0;
}

static int source_v4(const struct mg_routes *r, const struct mg_addr *dst, const struct mg_hop *hop,
		     struct mg_addr *ret_addr)
{
	const struct mg_slow_addr *found = NULL;

	for (uint32_t i = 0; i < r->nr_addrs; i++) {
		const struct mg_slow_addr *own = &r->addrs[i];

		if (own->port != hop->port || !same_family(&own->addr, dst))
			continue;
		if (in_subnet(own, &hop->addr)) {
			found = own;
			break;
		}
		if (found == NULL)
			found = own;
	}
	if (found == NULL)
		return -EADDRNOTAVAIL;
	*ret_addr = found->addr;
	return 0;
}

/* RFC 6724 3.1 and 2.1, of unicast addresses: the scope, and the label of the default policy table. */
static uint32_t scope_of(const struct mg_addr *a)
{
	return mg_addr_is_link_local(a) ? 2 : 14;
}

static uint32_t label_of(const struct mg_addr *a)
{
	if ((a->b[0] & 0xfe) == 0xfc)
		return 13; /* fc00::/7 */
	if (a->b[0] == 0x20 && a->b[1] == 0x02)
		return 2; /* 2002::/16 */
	if (a->b[0] == 0x20 && a->b[1] == 0x01 && a->b[2] == 0 && a->b[3] == 0)
		return 5; /* 2001::/32 */
	return 1;
}

/* RFC 6724 5, rules 1, 2, 6 and 8. Temporary, home and deprecated addresses do not exist here. */
static bool is_better(const struct mg_slow_addr *a, const struct mg_slow_addr *b,
		      const struct mg_addr *dst)
{
	uint32_t scope_a = scope_of(&a->addr), scope_b = scope_of(&b->addr);
	uint32_t bits_a = mg_addr_common_bits(&a->addr, dst);
	uint32_t bits_b = mg_addr_common_bits(&b->addr, dst);
	bool fits_a = label_of(&a->addr) == label_of(dst);

	if (mg_addr_eq(&a->addr, dst) || mg_addr_eq(&b->addr, dst))
		return mg_addr_eq(&a->addr, dst);
	if (scope_a != scope_b)
		return (scope_a < scope_b) ==
		       ((scope_a < scope_b ? scope_a : scope_b) >= scope_of(dst));
	if (fits_a != (label_of(&b->addr) == label_of(dst)))
		return fits_a;
	bits_a = bits_a < a->prefix ? bits_a : a->prefix;
	bits_b = bits_b < b->prefix ? bits_b : b->prefix;
	return bits_a > bits_b;
}

static int source_v6(const struct mg_routes *r, const struct mg_addr *dst, const struct mg_hop *hop,
		     struct mg_addr *ret_addr)
{
	const struct mg_slow_addr *found = NULL;

	for (uint32_t i = 0; i < r->nr_addrs; i++) {
		const struct mg_slow_addr *own = &r->addrs[i];

		if (own->port != hop->port || mg_addr_is_v4(&own->addr) ||
		    r->addr_state[i] == MG_ADDR_DUPLICATE)
			continue;
		if (found == NULL || is_better(own, found, dst))
			found = own;
	}
	/* an answer to a link-local address does not come from beyond the link */
	if (found == NULL || scope_of(&found->addr) < scope_of(dst))
		return -EADDRNOTAVAIL;
	*ret_addr = found->addr;
	return 0;
}

int mg_routes_source(const struct mg_routes *r, const struct mg_addr *dst, const struct mg_hop *hop,
		     struct mg_addr *ret_addr)
{
	if (r->has_local && hop->port == r->local_port) {
		*ret_addr = *dst;
		return 0;
	}
	return mg_addr_is_v4(dst) ? source_v4(r, dst, hop, ret_addr)
				  : source_v6(r, dst, hop, ret_addr);
}
