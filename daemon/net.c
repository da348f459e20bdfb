/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.c - see net.h.
 */
#include "daemon/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fastpath/io/local.h"
#include "fastpath/io/eal.h"
#include "fastpath/io/netif.h"
#include "proto/base/bits.h"
#include "proto/wire/ipv6.h"

#define DEFAULT_MTU 1500
#define DPDK_BASE_MIB 48 /* beside the packet buffers: DPDK's tables, rings of the devices */

static void log_dpdk(void *ctx, enum mg_eal_log_level level, const char *line)
{
	static const enum mg_log_level levels[] = {
		[MG_EAL_LOG_ERROR] = MG_LOG_ERROR,
		[MG_EAL_LOG_WARNING] = MG_LOG_WARN,
		[MG_EAL_LOG_DEBUG] = MG_LOG_DEBUG,
	};
	const struct mg_net *net = ctx;

	mg_log(net->log, net->is_open ? levels[level] : MG_LOG_DEBUG, "dpdk", "%s", line);
}

static uint32_t mtu_of(const struct mg_conf_port *row)
{
	struct mg_netif netif;

	if (row->mtu != 0)
		return row->mtu;
	if (row->interface[0] != '\0' && mg_netif_get(row->interface, &netif) == 0)
		return netif.mtu;
	return DEFAULT_MTU;
}

/* Buffers of one queue: a fair share of the memory that memory.buffers of usual size would take. */
static uint32_t share_of_buffers(const struct mg_conf *conf, const struct mg_conf_port *row)
{
	uint64_t queues = row->queues != 0 ? row->queues : conf->fastpath.workers;
	uint64_t each = mg_port_buffer_bytes((uint16_t)mtu_of(row));
	uint64_t bytes = (uint64_t)conf->memory.buffers * mg_port_buffer_bytes(DEFAULT_MTU);

	if (conf->memory.dpdk_mib != 0 && bytes > (uint64_t)conf->memory.dpdk_mib << 19)
		bytes = (uint64_t)conf->memory.dpdk_mib << 19;
	return (uint32_t)(bytes / each / (conf->ports_count * queues));
}

static void describe_port(const struct mg_conf *conf, uint32_t i, struct mg_port_conf *ret_port)
{
	static const enum mg_port_driver drivers[] = {
		[MG_CONF_AF_PACKET] = MG_PORT_AF_PACKET,
		[MG_CONF_AF_XDP] = MG_PORT_AF_XDP,
		[MG_CONF_PACKET_GSO] = MG_PORT_PACKET_GSO,
		[MG_CONF_TAP] = MG_PORT_TAP,
	};
	const struct mg_conf_port *row = &conf->ports[i];

	*ret_port = (struct mg_port_conf){
		.name = row->name,
		.number = (uint16_t)i,
		.nr_queues = (uint16_t)row->queues,
		.mtu = (uint16_t)row->mtu,
		.offloads = row->offloads == MG_CONF_OFFLOADS_ON,
		.nr_bufs = share_of_buffers(conf, row),
	};
	if (row->pci[0] != '\0') {
		ret_port->driver = MG_PORT_PCI;
		ret_port->device = row->pci;
	} else if (row->vdev[0] != '\0') {
		ret_port->driver = MG_PORT_VDEV;
		ret_port->device = row->vdev;
	} else {
		ret_port->driver = drivers[row->driver];
		ret_port->interface = row->interface;
	}
}

static uint32_t memory_mib(const struct mg_conf *conf)
{
	uint64_t bytes = (uint64_t)DPDK_BASE_MIB << 20;

	if (conf->memory.dpdk_mib != 0)
		return conf->memory.dpdk_mib;
	for (uint32_t i = 0; i < conf->ports_count; i++) {
		struct mg_port_conf port;

		describe_port(conf, i, &port);
		bytes += mg_port_memory_bytes(&port);
	}
	return (uint32_t)(bytes >> 20);
}

static int open_eal(struct mg_net *net, const struct mg_conf *conf, char *err, size_t errlen)
{
	static const enum mg_eal_hugepages hugepages[] = {
		[MG_CONF_HUGE_AUTO] = MG_EAL_HUGEPAGES_AUTO,
		[MG_CONF_HUGE_ON] = MG_EAL_HUGEPAGES_ON,
		[MG_CONF_HUGE_OFF] = MG_EAL_HUGEPAGES_OFF,
	};
	const char *pci[MG_CONF_PORTS_MAX];
	struct mg_eal_conf eal = {
		.instance = conf->instance,
		.hugepages = hugepages[conf->memory.hugepages],
		.mem_mib = memory_mib(conf),
		.pci = pci,
		.log = log_dpdk,
		.log_ctx = net,
	};
	int res;

	for (uint32_t i = 0; i < conf->ports_count; i++) {
		if (conf->ports[i].pci[0] != '\0')
			pci[eal.nr_pci++] = conf->ports[i].pci;
	}
	res = mg_eal_init(&eal, err, errlen);
	net->has_eal = res == 0;
	return res;
}

static int open_port(struct mg_net *net, const struct mg_conf *conf, uint32_t i, char *err,
		     size_t errlen)
{
	struct mg_port_conf port;

	describe_port(conf, i, &port);
	return mg_port_open(&port, &net->ports[i], err, errlen);
}

int mg_net_open(struct mg_net *net, const struct mg_conf *conf, const struct mg_log *log, char *err,
		size_t errlen)
{
	int res;

	net->log = log;
	res = open_eal(net, conf, err, errlen);
	for (uint32_t i = 0; res == 0 && i < conf->ports_count; i++) {
		const struct mg_port *port = &net->ports[i];

		res = open_port(net, conf, i, err, errlen);
		if (res < 0)
			break;
		net->nr_ports++;
		mg_log(log, MG_LOG_INFO, "port",
		       "event=open name=%s mac=%02x:%02x:%02x:%02x:%02x:%02x mtu=%u queues=%u sleeps=%s",
		       port->name, port->mac[0], port->mac[1], port->mac[2], port->mac[3],
		       port->mac[4], port->mac[5], port->mtu, port->nr_queues,
		       port->rx_fd[0] >= 0 ? "yes" : "no");
	}
	net->is_open = res == 0;
	return res;
}

void mg_net_close(struct mg_net *net)
{
	while (net->nr_ports > 0)
		mg_port_close(&net->ports[--net->nr_ports]);
	if (net->has_eal)
		mg_eal_cleanup();
	net->has_eal = false;
}

static int refuse(int res, const char *what, const char *name, char *err, size_t errlen)
{
	(void)snprintf(err, errlen, "%s %s: %s", what, name, /* cut is fine */
		       res == -ENOSPC ? "there are more than mangod has room for" : strerror(-res));
	return res;
}

/*
 * Made of the MAC address; where the kernel has made its own of the same MAC, another one: two hosts in one
 * machine, who must not have one address.
 */
static struct mg_addr link_local_of(const struct mg_conf_port *row, const struct mg_mac *mac)
{
	struct mg_addr addr = mg_addr_link_local(mac);

	if (row->interface[0] != '\0' && mg_netif_has_ip6(row->interface, addr.b)) {
		addr.b[11] = 'm'; /* instead of ff:fe, which EUI-64 has there */
		addr.b[12] = 'g';
	}
	return addr;
}

/* Addresses in fe80::/64 on every port that IPv6 fits through (RFC 4291 2.1). */
static int tell_link_local(const struct mg_conf_port *row, const struct mg_slow_port *port,
			   uint16_t number, struct mg_slow *slow)
{
	struct mg_slow_addr addr = { link_local_of(row, &port->mac), 64, number };

	for (uint32_t a = 0; a < row->addresses_count; a++)
		if (mg_addr_is_link_local(&row->addresses[a].addr))
			return 0;
	return port->mtu >= MG_IPV6_MTU_MIN ? mg_slow_add_addr(slow, &addr) : 0;
}

static int tell_port(const struct mg_net *net, const struct mg_conf *conf, uint32_t i,
		     struct mg_slow *slow, char *err, size_t errlen)
{
	struct mg_slow_port port = { .mtu = net->ports[i].mtu, .has_l2 = true };
	uint16_t number;
	int res;

	memcpy(port.mac.b, net->ports[i].mac, sizeof(port.mac.b));
	res = mg_slow_add_port(slow, &port, &number);
	for (uint32_t a = 0; res == 0 && a < conf->ports[i].addresses_count; a++) {
		struct mg_slow_addr addr = { conf->ports[i].addresses[a].addr,
					     conf->ports[i].addresses[a].bits, number };

		res = mg_slow_add_addr(slow, &addr);
	}
	if (res == 0)
		res = tell_link_local(&conf->ports[i], &port, number, slow);
	return res < 0 ? refuse(res, "port", conf->ports[i].name, err, errlen) : 0;
}

/* The port by its name, or the one whose subnet has the address. */
static int port_for(const struct mg_conf *conf, const char *name, const struct mg_addr *addr)
{
	return name[0] != '\0' ? mg_conf_port_index(conf, name) : mg_conf_port_for(conf, addr);
}

static int tell_route(const struct mg_conf *conf, uint32_t i, struct mg_slow *slow, char *err,
		      size_t errlen)
{
	const struct mg_conf_route *row = &conf->routes[i];
	int port = port_for(conf, row->port, &row->via);
	struct mg_slow_route route = { row->to.addr, row->to.bits, (uint16_t)port, row->via };
	char text[MG_ADDR_STRLEN];
	int res = port < 0 ? -EINVAL : mg_slow_add_route(slow, &route);

	mg_addr_format(&row->to.addr, text, sizeof(text));
	return res < 0 ? refuse(res, "route to", text, err, errlen) : 0;
}

static int tell_neighbour(const struct mg_conf *conf, uint32_t i, struct mg_slow *slow, char *err,
			  size_t errlen)
{
	const struct mg_conf_neighbor *row = &conf->neighbors[i];
	int port = port_for(conf, row->port, &row->address);
	struct mg_slow_neighbour neighbour = { row->address, row->mac, (uint16_t)port };
	char text[MG_ADDR_STRLEN];
	int res = port < 0 ? -EINVAL : mg_slow_add_neighbour(slow, &neighbour);

	mg_addr_format(&row->address, text, sizeof(text));
	return res < 0 ? refuse(res, "neighbor", text, err, errlen) : 0;
}

/* Behind the devices, as the workers have it. */
static int tell_local(struct mg_slow *slow, char *err, size_t errlen)
{
	const struct mg_slow_port port = { .mtu = MG_LOCAL_MTU, .is_local = true };
	uint16_t number;
	int res = mg_slow_add_port(slow, &port, &number);

	return res < 0 ? refuse(res, "port", "of local connections", err, errlen) : 0;
}

int mg_net_tell_slow(const struct mg_net *net, const struct mg_conf *conf, struct mg_slow *slow,
		     char *err, size_t errlen)
{
	int res = 0;

	for (uint32_t i = 0; res == 0 && i < net->nr_ports; i++)
		res = tell_port(net, conf, i, slow, err, errlen);
	for (uint32_t i = 0; res == 0 && i < conf->routes_count; i++)
		res = tell_route(conf, i, slow, err, errlen);
	for (uint32_t i = 0; res == 0 && i < conf->neighbors_count; i++)
		res = tell_neighbour(conf, i, slow, err, errlen);
	return res < 0 ? res : tell_local(slow, err, errlen);
}
