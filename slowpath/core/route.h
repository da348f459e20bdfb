/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h - ports, our addresses, routes: who are we, and which way out.
 *
 * Idea:    a short list each, searched linearly: hundreds at most, and only the slow path looks. An address
 *          brings its connected route. The longest prefix wins, of equals the first.
 * Threads: the slow path.
 */
#ifndef MG_ROUTE_H
#define MG_ROUTE_H
#include <stdbool.h>
#include <stdint.h>

#include "slowpath/core/slow.h"

/* RFC 4862 5.4; IPv4 addresses are always usable. */
enum mg_addr_state { MG_ADDR_USABLE = 0, MG_ADDR_TENTATIVE, MG_ADDR_DUPLICATE };

#define MG_ROUTES_NONE UINT32_MAX

struct mg_routes {
	struct mg_slow_port ports[MG_SLOW_PORTS_MAX];
	struct mg_slow_addr addrs[MG_SLOW_ADDRS_MAX];
	struct mg_slow_route routes[MG_SLOW_ROUTES_MAX];
	uint8_t addr_state[MG_SLOW_ADDRS_MAX]; /* enum mg_addr_state */
	uint32_t nr_ports;
	uint32_t nr_addrs;
	uint32_t nr_routes;
	bool has_local;      /* local_port is one */
	bool loopback;       /* mg_slow_conf.loopback */
	uint16_t local_port; /* the last one */
};

/* The first hop towards an address. */
struct mg_hop {
	struct mg_addr addr; /* of the neighbour: the destination itself or a gateway */
	uint16_t port;
};

/* 0, -EINVAL, -ENOSPC, -EEXIST */
int mg_routes_add_port(struct mg_routes *r, const struct mg_slow_port *port, uint16_t *ret_port);
int mg_routes_add_addr(struct mg_routes *r, const struct mg_slow_addr *addr);
int mg_routes_add_route(struct mg_routes *r, const struct mg_slow_route *route);
/* Ours and usable. */
bool mg_routes_is_local(const struct mg_routes *r, const struct mg_addr *addr);
/* ... for a packet that came in by `port`: link-local addresses count there only. */
bool mg_routes_is_for(const struct mg_routes *r, const struct mg_addr *addr, uint16_t port);
/* The index of our address on that port, usable or not; MG_ROUTES_NONE. */
uint32_t mg_routes_own(const struct mg_routes *r, const struct mg_addr *addr, uint16_t port);
/* May something be bound to it: ours, and not another's? */
bool mg_routes_may_bind(const struct mg_routes *r, const struct mg_addr *addr);
/* Ours, and on that port. */
bool mg_routes_is_local_on(const struct mg_routes *r, const struct mg_addr *addr, uint16_t port);
/* Within the subnet of one of the port's addresses. */
bool mg_routes_is_on_link(const struct mg_routes *r, const struct mg_addr *addr, uint16_t port);
/* 255.255.255.255 or the broadcast address of one of our subnets. */
bool mg_routes_is_broadcast(const struct mg_routes *r, const struct mg_addr *addr);
/* 0 or -ENETUNREACH. For link-local addresses mg_routes_hop() knows better. */
int mg_routes_find(const struct mg_routes *r, const struct mg_addr *dst, struct mg_hop *ret_hop);
/*
 * The way of a packet from src, an address of ours. A link-local destination is on the link of src (our
 * addresses tell the links apart: no two ports have the same).
 */
int mg_routes_hop(const struct mg_routes *r, const struct mg_addr *src, const struct mg_addr *dst,
		  struct mg_hop *ret_hop);
/*
 * The hop to a link-local address of a link that is named by number: a port from 1, or 0 (and with one port
 * anything) for the only one. 0 or -EINVAL.
 */
int mg_routes_scope(const struct mg_routes *r, const struct mg_addr *dst, uint32_t scope,
		    struct mg_hop *ret_hop);
/* The number of the link that the tuple's link-local addresses are on; 0: it has none. */
uint32_t mg_routes_scope_of(const struct mg_routes *r, const struct mg_tuple *tuple);
/*
 * Our address to use towards dst over that hop (IPv6: RFC 6724 5, by scope, label and longest prefix). 0 or
 * -EADDRNOTAVAIL.
 */
int mg_routes_source(const struct mg_routes *r, const struct mg_addr *dst, const struct mg_hop *hop,
		     struct mg_addr *ret_addr);
#endif
