/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port.h - a network port: queues of packet buffers, with something to sleep on.
 *
 * Idea:    a port is a DPDK device, with ethdev as the vtable, or packet sockets of our own
 *          (pktsock.h), which carry segments larger than the MTU. What is added here is what ethdev
 *          does not know about kernel interfaces: a descriptor per receive queue to sleep on,
 *          errors that name the cure, an XDP program that goes away with us, and putting the
 *          interface back as it was.
 * Use:     mg_port_open(); workers call mg_port_rx() and mg_port_tx() on queues of their own and
 *          sleep on mg_port.rx_fd[queue]; mg_port_close() when no worker uses it any more.
 * Threads: open and close from one thread; a queue belongs to one worker; the rest is read-only
 *          after open.
 * Memory:  one buffer pool per queue, sized so that every ring of the driver can be full at once.
 */
#ifndef MG_IO_PORT_H
#define MG_IO_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "fastpath/io/pktsock.h"

#define MG_PORT_QUEUES_MAX 16
#define MG_PORT_BURST 32
#define MG_PORT_NAME_BYTES 32

enum mg_port_driver {
	MG_PORT_AF_PACKET,  /* over a kernel interface, by packet sockets */
	MG_PORT_AF_XDP,     /* over a kernel interface, by XDP sockets */
	MG_PORT_PACKET_GSO, /* the same by packet sockets of our own, which carry large segments */
	MG_PORT_TAP,        /* makes a kernel interface */
	MG_PORT_PCI,        /* a device bound to vfio, named in mg_eal_conf.pci too */
	MG_PORT_VDEV,       /* any DPDK virtual device, as its string */
};

/* What a port does itself; what it does not, the worker does in software. */
enum mg_port_cap {
	MG_PORT_CAP_RX_CSUM = 1u << 0, /* RTE_MBUF_F_RX_*_CKSUM_* say what it found */
	MG_PORT_CAP_TX_IP_CSUM = 1u << 1,
	MG_PORT_CAP_TX_TCP_CSUM = 1u << 2,
	MG_PORT_CAP_TSO = 1u << 3,
	MG_PORT_CAP_MULTI_SEG = 1u << 4, /* chains of buffers may be sent */
	MG_PORT_CAP_RSS = 1u << 5, /* a flow's packets stay on one queue, by the device's hash */
	MG_PORT_CAP_TX_COPIES = 1u
				<< 6, /* what buffers point to is copied before transmit returns */
};

struct mg_port_conf {
	const char *name; /* unique in the process; letters, digits, '-', '_' */
	uint16_t number;  /* likewise; below MG_PORT_QUEUES_MAX */
	enum mg_port_driver driver;
	const char *interface; /* TAP: is made; the others': must exist */
	const char *device;    /* PCI: address; VDEV: "net_memif0,role=client,..." */
	uint16_t nr_queues;    /* 0: all that the interface uses (AF_XDP), else 1 */
	uint16_t mtu;          /* 0: as the interface has it (others: 1500) */
	bool has_mac;
	uint8_t mac[6];       /* without has_mac: the interface's (TAP: one next to it) */
	uint16_t busy_budget; /* AF_XDP: kernel busy polling by the worker; 0: off */
	bool offloads;        /* PACKET_GSO: switch the interface's own on, until close */
	uint32_t nr_bufs;     /* per queue; 0, or less than it: what the driver needs */
};

/* DPDK's memory that the port's buffers take: of one buffer, and of all that it will have. Needs no EAL. */
uint32_t mg_port_buffer_bytes(uint16_t mtu);
uint64_t mg_port_memory_bytes(const struct mg_port_conf *conf);

struct mg_port_undo;

struct mg_port {
	uint16_t id;        /* DPDK's, or above all of its own: mbuf.port */
	uint16_t nr_queues; /* receive queues = transmit queues */
	uint16_t mtu;
	uint8_t mac[6];
	uint32_t caps; /* enum mg_port_cap */
	struct rte_mempool *pool[MG_PORT_QUEUES_MAX];
	struct mg_pktsock *sock[MG_PORT_QUEUES_MAX]; /* PACKET_GSO; else NULL */
	int rx_fd[MG_PORT_QUEUES_MAX]; /* readable when the queue has packets; -1: nothing to sleep on */
	char name[MG_PORT_NAME_BYTES];
	struct mg_port_undo *undo; /* what close has to put back */
};

struct mg_port_stats {
	uint64_t rx_packets, rx_bytes, rx_missed, rx_no_buffer;
	uint64_t tx_packets, tx_bytes, tx_errors;
};

/* 0 or -errno with one line in err: cause and cure. Nothing is left behind on failure. */
int mg_port_open(const struct mg_port_conf *conf, struct mg_port *ret_port, char *err,
		 size_t errlen);
void mg_port_close(struct mg_port *port);

/*
 * Before a worker sleeps after it sent: what the kernel did not take at the last transmit call (it may
 * be short of memory, and the driver counts the packets as sent) would lie there until the next one.
 */
void mg_port_flush(const struct mg_port *port, uint16_t queue);

/* Asks the device; not for the packet loop. */
bool mg_port_link_up(const struct mg_port *port);
void mg_port_stats(const struct mg_port *port, struct mg_port_stats *ret_stats);

/* Up to n packets of a queue. Those of a pool of this port are sent without a copy. */
static inline uint16_t mg_port_rx(const struct mg_port *port, uint16_t queue,
				  struct rte_mbuf **bufs, uint16_t n)
{
	if (port->sock[queue] != NULL)
		return mg_pktsock_rx(port->sock[queue], bufs, n);
	return rte_eth_rx_burst(port->id, queue, bufs, n);
}

/*
 * Send up to n packets; the first ones, as many as it returns, are the port's from then on. Costs a
 * system call on kernel interfaces however few they are: collect and call once per loop.
 */
static inline uint16_t mg_port_tx(const struct mg_port *port, uint16_t queue,
				  struct rte_mbuf **bufs, uint16_t n)
{
	if (port->sock[queue] != NULL)
		return mg_pktsock_tx(port->sock[queue], bufs, n);
	return rte_eth_tx_burst(port->id, queue, bufs, n);
}

#endif
