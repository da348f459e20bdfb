/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pktsock.h - one queue of a kernel interface: a packet socket that carries large segments.
 *
 * Idea:    each frame carries a virtio-net header, so the kernel takes one frame of up to 64 KiB with the
 *          length of its segments, and gives what it merged in the same way; checksums may be left to it.
 *          Frames are received in a ring that the kernel fills, without a system call; those that fit
 *          are lent out of it until the buffer is freed. Larger ones are fetched from the socket. A burst is
 *          sent with one sendmmsg(), which copies: what the buffers point to need only live until it returns.
 *          The transmit ring of packet sockets is not used: a veth lets go of a frame before its
 *          receiver has read it, and the slot would be written again under its eyes.
 * Use:     mg_pktsock_open(), mg_pktsock_rx() and mg_pktsock_tx(), mg_pktsock_close() when every received
 *          buffer has been freed.
 * Threads: one worker; received buffers may be freed by any.
 * Memory:  the ring (about 8 MiB of kernel memory per queue), the caller's buffer pools.
 */
#ifndef MG_IO_PKTSOCK_H
#define MG_IO_PKTSOCK_H

#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#define MG_PKTSOCK_FRAME_MAX 65550 /* Ethernet header, largest IP packet, and a little */

struct mg_pktsock;

struct mg_pktsock_conf {
	unsigned int ifindex;
	uint16_t mtu;
	uint16_t port;             /* for mbuf.port */
	int group;                 /* fan-out: descriptor of the first queue's socket; -1: none */
	uint16_t nr_queues;        /* sockets of the group */
	struct rte_mempool *pool;  /* headers of received frames; small frames whole */
	struct rte_mempool *large; /* frames beyond the MTU */
};

struct mg_pktsock_stats {
	uint64_t rx_packets, rx_bytes, rx_missed, rx_no_buffer;
	uint64_t tx_packets, tx_bytes, tx_errors;
};

/* 0 or -errno (-EPERM, -ENOMEM, ...). */
int mg_pktsock_open(const struct mg_pktsock_conf *conf, struct mg_pktsock **ret_sock);
void mg_pktsock_close(struct mg_pktsock *sock);

/* Readable when frames wait; the socket's own. */
int mg_pktsock_fd(const struct mg_pktsock *sock);

/* Up to n frames; merged ones have RTE_MBUF_F_RX_LRO and tso_segsz. */
uint16_t mg_pktsock_rx(struct mg_pktsock *sock, struct rte_mbuf **bufs, uint16_t n);
/* The first ones, as many as it returns, were copied and freed. Chains and RTE_MBUF_F_TX_TCP_SEG are welcome. */
uint16_t mg_pktsock_tx(struct mg_pktsock *sock, struct rte_mbuf **bufs, uint16_t n);

void mg_pktsock_stats(struct mg_pktsock *sock, struct mg_pktsock_stats *ret_stats);

#endif
