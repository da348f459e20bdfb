/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_packet.c - see port_packet.h.
 */
#include "fastpath/io/port_packet.h"

#include <linux/if_packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "fastpath/io/errtext.h"
#include "fastpath/io/pktown.h"

#define LARGE_CACHE 16

static int make_large_pool(struct mg_port_packet *p, const struct mg_port *port, char *err,
			   size_t errlen)
{
	const unsigned int room = UINT16_MAX; /* as much as a buffer can have */
	char name[RTE_MEMPOOL_NAMESIZE];

	(void)snprintf(name, sizeof(name), "p%u.large", port->id);
	p->large = rte_pktmbuf_pool_create(name, MG_PORT_PACKET_LARGE_BUFS * port->nr_queues,
					   LARGE_CACHE, 0, (uint16_t)room, SOCKET_ID_ANY);
	if (p->large == NULL)
		return mg_errtext(err, errlen, -ENOMEM,
				  "port %s: needs %u MiB for large segments; raise "
				  "memory.dpdk_mib",
				  port->name,
				  (MG_PORT_PACKET_LARGE_BUFS * port->nr_queues * room >> 20) + 1);
	return 0;
}

static int open_queues(const struct mg_port_packet *p, const struct mg_netif *netif,
		       struct mg_port *port, char *err, size_t errlen)
{
	struct mg_pktsock_conf conf = {
		.ifindex = netif->index,
		.mtu = port->mtu,
		.port = port->id,
		.group = -1,
		.nr_queues = port->nr_queues,
		.large = p->large,
	};
	int rc;

	for (uint16_t q = 0; q < port->nr_queues; q++) {
		conf.pool = port->pool[q];
		rc = mg_pktsock_open(&conf, &port->sock[q]);
		if (rc < 0)
			return mg_errtext(err, errlen, rc,
					  "port %s: cannot open a packet socket with large "
					  "segments: %s; try driver: af_packet",
					  port->name, strerror(-rc));
		port->rx_fd[q] = mg_pktsock_fd(port->sock[q]);
		if (q == 0)
			conf.group = port->rx_fd[q];
	}
	return 0;
}

/* An address that is not the interface's: it has to let all frames in. */
static int choose_mac(const struct mg_port_conf *conf, const struct mg_netif *netif,
		      struct mg_port *port)
{
	const struct packet_mreq all = { .mr_ifindex = (int)netif->index,
					 .mr_type = PACKET_MR_PROMISC };

	memcpy(port->mac, conf->has_mac ? conf->mac : netif->mac, sizeof(port->mac));
	if (memcmp(port->mac, netif->mac, sizeof(port->mac)) == 0)
		return 0;
	return setsockopt(port->rx_fd[0], SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all));
}

/* What the device refuses, the kernel goes on doing for it. */
static void switch_on(struct mg_port_packet *p, const char *interface)
{
	uint32_t before = mg_netif_get_offloads(interface);

	(void)snprintf(p->interface, sizeof(p->interface), "%s", interface);
	(void)mg_netif_set_offloads(interface, MG_NETIF_OFFLOADS & ~before, MG_NETIF_OFFLOADS);
	p->offloads = mg_netif_get_offloads(interface) & ~before;
}

int mg_port_packet_open(struct mg_port_packet *p, const struct mg_port_conf *conf,
			const struct mg_netif *netif, struct mg_port *port, char *err,
			size_t errlen)
{
	int rc = make_large_pool(p, port, err, errlen);

	if (rc == 0)
		rc = open_queues(p, netif, port, err, errlen);
	if (rc < 0)
		return rc;
	if (choose_mac(conf, netif, port) < 0)
		return mg_errtext(err, errlen, -EIO,
				  "port %s: interface %s does not take all frames for another "
				  "address; leave mac: out",
				  port->name, conf->interface);
	port->caps = MG_PORT_CAP_RX_CSUM | MG_PORT_CAP_TX_TCP_CSUM | MG_PORT_CAP_TSO |
		     MG_PORT_CAP_MULTI_SEG | MG_PORT_CAP_TX_COPIES;
	if (port->nr_queues > 1)
		port->caps |= MG_PORT_CAP_RSS;
	p->own = mg_pktown_new(netif->index);
	if (conf->offloads)
		switch_on(p, conf->interface);
	return 0;
}

void mg_port_packet_close(struct mg_port_packet *p, struct mg_port *port)
{
	mg_pktown_free(p->own);
	if (p->offloads != 0) /* the interface may be gone by now */
		(void)mg_netif_set_offloads(p->interface, p->offloads, 0);
	for (uint16_t q = 0; q < port->nr_queues; q++) {
		mg_pktsock_close(port->sock[q]);
		port->sock[q] = NULL;
	}
	rte_mempool_free(p->large);
	memset(p, 0, sizeof(*p));
}

void mg_port_packet_stats(const struct mg_port *port, struct mg_port_stats *ret_stats)
{
	memset(ret_stats, 0, sizeof(*ret_stats));
	for (uint16_t q = 0; q < port->nr_queues; q++) {
		struct mg_pktsock_stats st;

		mg_pktsock_stats(port->sock[q], &st);
		ret_stats->rx_packets += st.rx_packets;
		ret_stats->rx_bytes += st.rx_bytes;
		ret_stats->rx_missed += st.rx_missed;
		ret_stats->rx_no_buffer += st.rx_no_buffer;
		ret_stats->tx_packets += st.tx_packets;
		ret_stats->tx_bytes += st.tx_bytes;
		ret_stats->tx_errors += st.tx_errors;
	}
}
