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
	return 0;
}

int mg_routes_add_addr(struct mg_routes *r, const struct mg_slow_addr *addr)
{
	if (addr->port >= r->nr_ports || !prefix_is_valid(&addr->addr, addr->prefix) ||
	    mg_addr_is_any(&addr->addr) || mg_addr_is_multicast(&addr->addr))
		return -EINVAL;
	if (mg_routes_is_local(r, &addr->addr))
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

bool mg_routes_is_local(const struct mg_routes *r, const struct mg_addr *addr)
{
	for (uint32_t i = 0; i < r->nr_addrs; i++)
		if (mg_addr_eq(&r->addrs[i].addr, addr))
			return true;
	return false;
}

bool mg_routes_is_local_on(const struct mg_routes *r, const struct mg_addr *addr, uint16_t port)
{
	for (uint32_t i = 0; i < r->nr_addrs; i++)
		if (r->addrs[i].port == port && mg_addr_eq(&r->addrs[i].addr, addr))
			return true;
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

int mg_routes_source(const struct mg_routes *r, const struct mg_addr *dst, const struct mg_hop *hop,
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
