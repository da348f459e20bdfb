/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_packet.h - a port over packet sockets of our own, one per queue.
 *
 * Idea:    the part of opening a port that takes the place of a DPDK device: sockets, a pool for frames beyond
 *          the MTU, and the interface's frames kept from the kernel.
 * Use:     by port_dpdk.c, after the queues' pools are made.
 * Threads: as port.h.
 */
#ifndef MG_IO_PORT_PACKET_H
#define MG_IO_PORT_PACKET_H

#include <stddef.h>

#include "fastpath/io/netif.h"
#include "fastpath/io/port.h"

#define MG_PORT_PACKET_LARGE_BUFS \
	96 /* per queue: a burst, and what is still in hand of the one before */
#define MG_PORT_PACKET_LARGE_BYTES (MG_PORT_PACKET_LARGE_BUFS * 67000u)

struct mg_pktown;

/* What close has to take down; zero: nothing. */
struct mg_port_packet {
	struct rte_mempool *large;
	struct mg_pktown *own;
	uint32_t offloads; /* enum mg_netif_offload that were switched on */
	char interface[32];
};

/* Fills the port's sockets, descriptors, address and capabilities. 0 or -errno with a line in err. */
int mg_port_packet_open(struct mg_port_packet *p, const struct mg_port_conf *conf,
			const struct mg_netif *netif, struct mg_port *port, char *err,
			size_t errlen);
void mg_port_packet_close(struct mg_port_packet *p, struct mg_port *port);
void mg_port_packet_stats(const struct mg_port *port, struct mg_port_stats *ret_stats);

#endif
