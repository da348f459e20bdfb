/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_check.c - what no single key can know: relations between settings.
 *
 * Idea:    a list of small checks, each about one relation; the first that fails names both keys.
 *          They look at settings only, never at the machine: whether an interface exists is for
 *          the start.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/conf_err.h"
#include "daemon/conf_key.h"

#define SOCKET_PATH_MAX 107     /* sockaddr_un */
#define BUFFER_BYTES 2560       /* a packet buffer with its headers */
#define IPV6_MTU_MIN 1280       /* RFC 8200 5 */
#define CONNECTION_OVERHEAD 512 /* window and ring entries of one connection in the app region */

/* Sets both keys of a relation. */
static int fail_pair(struct mg_conf_err *err, const char *key, const char *other, const char *text)
{
	(void)mg_conf_err_fail(err, key, "%s", text);
	if (err != NULL)
		mg_conf_append(err->other, sizeof(err->other), "%s", other);
	return -EINVAL;
}

struct order {
	const char *low_key;
	uint64_t low;
	const char *high_key;
	uint64_t high;
};

static int check_orders(const struct mg_conf *c, struct mg_conf_err *err)
{
	const struct order orders[] = {
		{ "tcp.rto_min_ms", c->tcp.rto_min_ms, "tcp.rto_max_ms", c->tcp.rto_max_ms },
		{ "tcp.rto_initial_ms", c->tcp.rto_initial_ms, "tcp.rto_max_ms",
		  c->tcp.rto_max_ms },
		{ "tcp.port_min", c->tcp.port_min, "tcp.port_max", c->tcp.port_max },
		{ "tcp.rcvbuf_bytes", c->tcp.rcvbuf_bytes, "tcp.rcvbuf_max_bytes",
		  c->tcp.rcvbuf_max_bytes },
		{ "tcp.sndbuf_bytes", c->tcp.sndbuf_bytes, "tcp.sndbuf_max_bytes",
		  c->tcp.sndbuf_max_bytes },
	};
	char text[160];

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		const struct order *o = &orders[i];

		if (o->low <= o->high)
			continue;
		(void)snprintf(text, sizeof(text), "found %llu, allowed: at most %s, which is %llu",
			       (unsigned long long)o->low, o->high_key,
			       (unsigned long long)o->high);
		return fail_pair(err, o->low_key, o->high_key, text);
	}
	return 0;
}

/* Two connections with default buffers must fit into a region. */
static int check_region(const struct mg_conf *c, const char *key, uint64_t bytes,
			struct mg_conf_err *err)
{
	unsigned long long one = c->tcp.rcvbuf_bytes + c->tcp.sndbuf_bytes + CONNECTION_OVERHEAD;
	unsigned long long need = 2 * one;

	if (bytes >= need)
		return 0;
	(void)mg_conf_err_fail(err, key,
			       "found %llu, allowed: room for connections of tcp.rcvbuf_bytes and "
			       "tcp.sndbuf_bytes, at least %llu",
			       (unsigned long long)bytes, need);
	return -EINVAL;
}

static int check_limits(const struct mg_conf *c, struct mg_conf_err *err)
{
	char text[160];
	uint64_t need = ((uint64_t)c->memory.buffers * BUFFER_BYTES + (8u << 20)) >> 20;

	if (c->memory.dpdk_mib != 0 && need > c->memory.dpdk_mib) {
		(void)snprintf(text, sizeof(text),
			       "found %u, allowed: at least %llu for %u memory.buffers",
			       c->memory.dpdk_mib, (unsigned long long)need, c->memory.buffers);
		return fail_pair(err, "memory.dpdk_mib", "memory.buffers", text);
	}
	return check_region(c, "app.region_bytes", c->app.region_bytes, err);
}

static int check_access(const struct mg_conf *c, struct mg_conf_err *err)
{
	char key[MG_CONF_KEY_MAX];
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < c->access_count; i++) {
		const struct mg_conf_access *a = &c->access[i];

		(void)snprintf(key, sizeof(key), "access[%u].user", i);
		if (a->user[0] == '\0' && a->group[0] == '\0')
			return mg_conf_err_fail(
				err, key,
				"found neither user nor group, allowed: one of them or both");
		(void)snprintf(key, sizeof(key), "access[%u].region_bytes", i);
		if (a->region_bytes > 0)
			rc = check_region(c, key, a->region_bytes, err);
	}
	return rc;
}

static int check_socket(const struct mg_conf *c, const char *key, const char *text,
			struct mg_conf_err *err)
{
	char path[2 * MG_CONF_TEXT_MAX];

	if (mg_conf_expand(c, text, path, sizeof(path)) == 0 && strlen(path) <= SOCKET_PATH_MAX)
		return 0;
	return mg_conf_err_fail(
		err, key, "found a socket path of %zu characters (%.60s...), allowed: at most %d",
		strlen(path), path, SOCKET_PATH_MAX);
}

static int check_sockets(const struct mg_conf *c, struct mg_conf_err *err)
{
	char key[MG_CONF_KEY_MAX];
	int rc = check_socket(c, "runtime_dir", "%t/%i/attach.sock", err);

	for (uint32_t i = 0; rc == 0 && i < c->ipc.grpc.listen_count; i++) {
		const char *text = c->ipc.grpc.listen[i];

		(void)snprintf(key, sizeof(key), "ipc.grpc.listen[%u]", i);
		if (strncmp(text, "unix:", 5) == 0)
			rc = check_socket(c, key, text + 5, err);
		for (uint32_t j = 0; rc == 0 && j < i; j++) {
			if (strcmp(c->ipc.grpc.listen[j], text) == 0)
				rc = mg_conf_err_fail(err, key, "found %s twice, allowed: once",
						      text);
		}
	}
	if (rc == 0 && c->ipc.grpc.enabled && c->ipc.grpc.listen_count == 0)
		rc = fail_pair(
			err, "ipc.grpc.listen", "ipc.grpc.enabled",
			"found no address, allowed: at least one, or ipc.grpc.enabled: false");
	return rc;
}

static int check_cores(const struct mg_conf *c, struct mg_conf_err *err)
{
	char text[160];

	if (c->fastpath.cores_count > 0 && c->fastpath.cores_count != c->fastpath.workers) {
		(void)snprintf(text, sizeof(text),
			       "found %u, allowed: one for each of %u fastpath.workers, or none",
			       c->fastpath.cores_count, c->fastpath.workers);
		return fail_pair(err, "fastpath.cores", "fastpath.workers", text);
	}
	for (uint32_t i = 0; i < c->fastpath.cores_count; i++) {
		for (uint32_t j = 0; j < i; j++) {
			if (c->fastpath.cores[i] == c->fastpath.cores[j])
				return mg_conf_err_fail(err, "fastpath.cores",
							"found core %u twice, allowed: once",
							c->fastpath.cores[i]);
		}
	}
	if (c->slowpath.thread == MG_CONF_SLOW_INLINE && c->slowpath.core != MG_CONF_ANY_CORE)
		return fail_pair(err, "slowpath.core", "slowpath.thread",
				 "found a core, allowed: any, because slowpath.thread is inline");
	return 0;
}

int mg_conf_port_index(const struct mg_conf *conf, const char *name)
{
	for (uint32_t i = 0; i < conf->ports_count; i++) {
		if (strcmp(conf->ports[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

static bool port_holds(const struct mg_conf_port *port, const struct mg_addr *addr)
{
	if (mg_addr_is_link_local(addr))
		return true; /* every port has such an address */
	for (uint32_t i = 0; i < port->addresses_count; i++) {
		if (mg_addr_in_prefix(addr, &port->addresses[i].addr, port->addresses[i].bits))
			return true;
	}
	return false;
}

int mg_conf_port_for(const struct mg_conf *conf, const struct mg_addr *addr)
{
	for (uint32_t i = 0; i < conf->ports_count; i++) {
		if (port_holds(&conf->ports[i], addr))
			return (int)i;
	}
	return -1;
}

/* Exactly one device, and no other port has it. */
static int check_device(const struct mg_conf *c, uint32_t i, struct mg_conf_err *err)
{
	const struct mg_conf_port *p = &c->ports[i];
	int devices = (p->interface[0] != '\0') + (p->pci[0] != '\0') + (p->vdev[0] != '\0');
	char key[MG_CONF_KEY_MAX];

	(void)snprintf(key, sizeof(key), "ports[%u]", i);
	if (devices != 1)
		return mg_conf_err_fail(err, key,
					"found %s, allowed: exactly one of interface, pci and vdev",
					devices == 0 ? "no device" : "several devices");
	for (uint32_t j = 0; j < i; j++) {
		const struct mg_conf_port *q = &c->ports[j];

		if (strcmp(p->name, q->name) == 0)
			return mg_conf_err_fail(
				err, key, "found the name %s twice (ports[%u]), allowed: once",
				p->name, j);
		if (strcmp(p->interface, q->interface) == 0 && strcmp(p->pci, q->pci) == 0 &&
		    strcmp(p->vdev, q->vdev) == 0)
			return mg_conf_err_fail(
				err, key, "found the device of ports[%u] again, allowed: once", j);
	}
	if (p->queues > c->fastpath.workers)
		return mg_conf_err_fail(err, key,
					"found %u queues, allowed: at most one for each of %u "
					"fastpath.workers",
					p->queues, c->fastpath.workers);
	return 0;
}

static const char *bad_v4(const struct mg_conf_prefix *p)
{
	uint32_t host = mg_addr_to_v4(&p->addr);
	uint32_t mask = p->bits == 0 ? 0 : UINT32_MAX << (32 - p->bits);

	if (p->bits < 31 && (host & ~mask) == 0)
		return "the address of the subnet itself";
	if (p->bits < 31 && (host & ~mask) == ~mask)
		return "the broadcast address of the subnet";
	return NULL;
}

static const char *bad_v6(const struct mg_conf_prefix *p)
{
	const struct mg_addr none = { { 0 } };
	struct mg_addr host = p->addr;

	/* RFC 4291 2.6.1: the subnet-router anycast address; RFC 6164: not of /127 */
	for (uint32_t i = 0; i < p->bits; i++)
		host.b[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
	return p->bits < 127 && mg_addr_eq(&host, &none) ? "the address of the subnet itself"
							 : NULL;
}

/* May the port have this address at all? NULL, or what it is. */
static const char *bad_address(const struct mg_conf_prefix *p)
{
	if (p->bits == 0)
		return "a prefix of length 0";
	if (mg_addr_is_any(&p->addr))
		return "no address";
	if (mg_addr_is_multicast(&p->addr))
		return "a multicast or broadcast address";
	if (mg_addr_is_loopback(&p->addr))
		return "a loopback address";
	return mg_addr_is_v4(&p->addr) ? bad_v4(p) : bad_v6(p);
}

/* Two addresses of one port may share a subnet; two ports may not, but for the link-local one. */
static bool collide(const struct mg_conf_prefix *a, const struct mg_conf_prefix *b, bool same_port)
{
	uint8_t bits = a->bits < b->bits ? a->bits : b->bits;

	if (mg_addr_eq(&a->addr, &b->addr))
		return true;
	if (mg_addr_is_link_local(&a->addr) && mg_addr_is_link_local(&b->addr))
		return false;
	return !same_port && mg_addr_in_prefix(&a->addr, &b->addr, bits);
}

static int check_collisions(const struct mg_conf *c, uint32_t port, uint32_t index,
			    struct mg_conf_err *err)
{
	const struct mg_conf_prefix *a = &c->ports[port].addresses[index];
	char key[MG_CONF_KEY_MAX], text[MG_ADDR_STRLEN];

	for (uint32_t i = 0; i <= port; i++) {
		uint32_t n = i == port ? index : c->ports[i].addresses_count;

		for (uint32_t j = 0; j < n; j++) {
			if (!collide(a, &c->ports[i].addresses[j], i == port))
				continue;
			(void)snprintf(key, sizeof(key), "ports[%u].addresses[%u]", port, index);
			return mg_conf_err_fail(
				err, key,
				"found %s, allowed: no overlap with ports[%u].addresses[%u]",
				mg_addr_format(&a->addr, text, sizeof(text)), i, j);
		}
	}
	return 0;
}

static int check_addresses(const struct mg_conf *c, uint32_t port, struct mg_conf_err *err)
{
	char key[MG_CONF_KEY_MAX];
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < c->ports[port].addresses_count; i++) {
		const char *bad = bad_address(&c->ports[port].addresses[i]);

		(void)snprintf(key, sizeof(key), "ports[%u].addresses[%u]", port, i);
		if (bad != NULL)
			return mg_conf_err_fail(err, key, "found %s, allowed: an address of a host",
						bad);
		if (!mg_addr_is_v4(&c->ports[port].addresses[i].addr) && c->ports[port].mtu != 0 &&
		    c->ports[port].mtu < IPV6_MTU_MIN)
			return mg_conf_err_fail(err, key,
						"found an IPv6 address, allowed: with a "
						"ports[%u].mtu of %d or more",
						port, IPV6_MTU_MIN);
		rc = check_collisions(c, port, i, err);
	}
	return rc;
}

static int check_ports(const struct mg_conf *c, struct mg_conf_err *err)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < c->ports_count; i++) {
		rc = check_device(c, i, err);
		if (rc == 0)
			rc = check_addresses(c, i, err);
	}
	return rc;
}

/* `port` is a name that must exist, or empty: then the address must lie in a port's subnet. */
static int check_reach(const struct mg_conf *c, const char *row, const char *port,
		       const struct mg_addr *addr, struct mg_conf_err *err)
{
	char text[MG_ADDR_STRLEN], key[MG_CONF_KEY_MAX];
	int index = mg_conf_port_index(c, port);

	(void)snprintf(key, sizeof(key), "%s.port", row);
	if (port[0] != '\0' && index < 0)
		return mg_conf_err_fail(err, key, "found %s, allowed: the name of a port", port);
	if (mg_addr_is_any(addr))
		return port[0] != '\0'
			       ? 0
			       : mg_conf_err_fail(err, row,
						  "found neither via nor port, allowed: one of "
						  "them or both");
	if (mg_addr_is_link_local(addr) && index < 0 && c->ports_count > 1)
		return mg_conf_err_fail(err, key,
					"found none, allowed: the name of the port whose link has "
					"the link-local address");
	if (index >= 0 ? port_holds(&c->ports[index], addr) : mg_conf_port_for(c, addr) >= 0)
		return 0;
	return mg_conf_err_fail(
		err, row,
		"found %s, which is in no subnet of %s, allowed: an address in a subnet of "
		"ports[].addresses",
		mg_addr_format(addr, text, sizeof(text)), port[0] != '\0' ? port : "any port");
}

static int check_routes(const struct mg_conf *c, struct mg_conf_err *err)
{
	char row[MG_CONF_NAME_MAX];
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < c->routes_count; i++) {
		const struct mg_conf_route *r = &c->routes[i];

		(void)snprintf(row, sizeof(row), "routes[%u]", i);
		for (uint32_t j = 0; j < i; j++) {
			const struct mg_conf_route *q = &c->routes[j];

			if (r->to.bits == q->to.bits &&
			    mg_addr_is_v4(&r->to.addr) == mg_addr_is_v4(&q->to.addr) &&
			    mg_addr_in_prefix(&r->to.addr, &q->to.addr, q->to.bits))
				return mg_conf_err_fail(
					err, row,
					"found the destination of routes[%u] again, allowed: "
					"once",
					j);
		}
		if (!mg_addr_is_any(&r->via) &&
		    mg_addr_is_v4(&r->via) != mg_addr_is_v4(&r->to.addr))
			return mg_conf_err_fail(
				err, row,
				"found a via of the other family, allowed: IPv4 via IPv4, IPv6 via "
				"IPv6");
		rc = check_reach(c, row, r->port, &r->via, err);
	}
	return rc;
}

static int check_neighbors(const struct mg_conf *c, struct mg_conf_err *err)
{
	char row[MG_CONF_NAME_MAX];
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < c->neighbors_count; i++) {
		const struct mg_conf_neighbor *n = &c->neighbors[i];

		(void)snprintf(row, sizeof(row), "neighbors[%u]", i);
		for (uint32_t j = 0; j < i; j++) {
			if (mg_addr_eq(&n->address, &c->neighbors[j].address))
				return mg_conf_err_fail(
					err, row,
					"found the address of neighbors[%u] again, allowed: "
					"once",
					j);
		}
		rc = check_reach(c, row, n->port, &n->address, err);
	}
	return rc;
}

static int check_fastopen(const struct mg_conf *c, struct mg_conf_err *err)
{
	size_t len = strlen(c->tcp.fastopen_key);

	if (len == 0 || (len == 32 && strspn(c->tcp.fastopen_key, "0123456789abcdefABCDEF") == 32))
		return 0;
	return mg_conf_err_fail(err, "tcp.fastopen_key",
				"found %zu characters, allowed: 32 hexadecimal digits, or nothing",
				len);
}

int mg_conf_check(const struct mg_conf *conf, struct mg_conf_err *err)
{
	int (*const checks[])(const struct mg_conf *, struct mg_conf_err *) = {
		check_orders, check_limits, check_access,    check_sockets,  check_cores,
		check_ports,  check_routes, check_neighbors, check_fastopen,
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(checks) / sizeof(checks[0]); i++)
		rc = checks[i](conf, err);
	return rc;
}
