/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pktsock.c - see pktsock.h.
 */
#include "fastpath/io/pktsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/bits.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

#define VNET_BYTES sizeof(struct virtio_net_hdr)
#define RING_BYTES (4u << 20)
#define BLOCK_BYTES (64u << 10)
#define SLOT_EXTRA 128 /* tpacket2_hdr, sockaddr_ll, virtio_net_hdr, Ethernet and VLAN headers */
#define SOCKET_BYTES (8 << 20)
#define LEND_MIN 256                 /* smaller frames are copied: cheaper than lending a slot */
#define SEND_MAX 64                  /* frames per sendmmsg() */
#define SEGS_MAX 8                   /* buffers of one frame */
#define CSUM_OFFSET 16               /* of the checksum in the TCP header */
#define STATUS_LENT TP_STATUS_LOSING /* neither the kernel's nor new */

/* A slot of the ring, lent to a buffer. */
struct slot {
	struct rte_mbuf_ext_shared_info shared;
	struct tpacket2_hdr *hdr;
};

struct mg_pktsock {
	struct mg_pktsock_conf conf;
	int fd;
	uint32_t nr_slots;
	uint32_t next; /* slot that the kernel fills next */
	struct slot *slots;
	uint8_t *map;
	size_t map_bytes;
	_Atomic uint64_t rx_packets, rx_bytes, rx_missed, rx_no_buffer;
	_Atomic uint64_t tx_packets, tx_bytes, tx_errors;
};

/* One writer each. */
static void count(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* ---- open, close ----------------------------------------------------------------------------- */

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static void give_back(void *addr, void *opaque)
{
	struct tpacket2_hdr *hdr = opaque;

	(void)addr;
	/* release: our reads of the frame come before the kernel's next writes */
	__atomic_store_n(&hdr->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

static int map_ring(struct mg_pktsock *s)
{
	uint32_t slot_bytes = (uint32_t)mg_align_up(s->conf.mtu + SLOT_EXTRA, 64);
	uint32_t per_block = BLOCK_BYTES / slot_bytes;
	struct tpacket_req req = {
		.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = RING_BYTES / BLOCK_BYTES,
		.tp_frame_size = slot_bytes,
	};

	req.tp_frame_nr = req.tp_block_nr * per_block;
	if (setsockopt(s->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0)
		return -errno;
	s->map_bytes = (size_t)req.tp_block_size * req.tp_block_nr;
	s->map = mmap(NULL, s->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->map == MAP_FAILED) {
		s->map = NULL;
		return -errno;
	}
	s->slots = calloc(req.tp_frame_nr, sizeof(*s->slots));
	if (s->slots == NULL)
		return -ENOMEM;
	s->nr_slots = req.tp_frame_nr;
	for (uint32_t i = 0; i < s->nr_slots; i++) {
		size_t at = (size_t)(i / per_block) * BLOCK_BYTES +
			    (size_t)(i % per_block) * slot_bytes;

		s->slots[i].hdr = (struct tpacket2_hdr *)(void *)(s->map + at);
		s->slots[i].shared.free_cb = give_back;
		s->slots[i].shared.fcb_opaque = s->slots[i].hdr;
	}
	return 0;
}

static int configure(int fd)
{
	int rc = set_int(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);

	if (rc == 0)
		rc = set_int(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	if (rc == 0)
		rc = set_int(fd, SOL_PACKET, PACKET_COPY_THRESH, MG_PKTSOCK_FRAME_MAX);
	/* An old kernel: hears the host's own packets, no harm. */
	(void)set_int(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES) < 0)
		(void)set_int(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BYTES); /* what is allowed */
	if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BYTES) < 0)
		(void)set_int(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BYTES);
	return rc;
}

/* The sockets of several queues share the interface's frames by a hash over the flow. */
static int join_group(const struct mg_pktsock *s)
{
	int how = PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
	int id = 0;
	socklen_t len = sizeof(id);

	if (s->conf.nr_queues < 2)
		return 0;
	if (s->conf.group < 0)
		return set_int(s->fd, SOL_PACKET, PACKET_FANOUT,
			       (int)((uint32_t)(how | PACKET_FANOUT_FLAG_UNIQUEID) << 16));
	if (getsockopt(s->conf.group, SOL_PACKET, PACKET_FANOUT, &id, &len) < 0)
		return -errno;
	return set_int(s->fd, SOL_PACKET, PACKET_FANOUT,
		       (int)((uint32_t)how << 16 | ((uint32_t)id & 0xffff)));
}

int mg_pktsock_open(const struct mg_pktsock_conf *conf, struct mg_pktsock **ret_sock)
{
	const struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)conf->ifindex,
	};
	struct mg_pktsock *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return -ENOMEM;
	s->conf = *conf;
	s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = s->fd < 0 ? -errno : configure(s->fd);
	if (rc == 0)
		rc = map_ring(s);
	if (rc == 0 && bind(s->fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		rc = -errno;
	if (rc == 0)
		rc = join_group(s);
	if (rc < 0) {
		mg_pktsock_close(s);
		return rc;
	}
	*ret_sock = s;
	return 0;
}

void mg_pktsock_close(struct mg_pktsock *s)
{
	if (s == NULL)
		return;
	if (s->map != NULL)
		(void)munmap(s->map, s->map_bytes);
	if (s->fd >= 0)
		close(s->fd);
	free(s->slots);
	free(s);
}

int mg_pktsock_fd(const struct mg_pktsock *s)
{
	return s->fd;
}

/* ---- receive --------------------------------------------------------------------------------- */

/* What the kernel says about checksums and merging, in DPDK's words. */
static void take_vnet(struct rte_mbuf *m, const struct virtio_net_hdr *vnet)
{
	if ((vnet->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (vnet->gso_type != VIRTIO_NET_HDR_GSO_NONE && vnet->gso_size != 0) {
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
		m->tso_segsz = vnet->gso_size;
	}
}

/* A frame larger than a slot waits in the socket, whole. */
static struct rte_mbuf *fetch_large(struct mg_pktsock *s)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(s->conf.large);
	struct virtio_net_hdr vnet = { 0 };
	struct iovec iov[2] = { { &vnet, VNET_BYTES } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (m == NULL) {
		count(&s->rx_no_buffer, 1);
		(void)recv(s->fd, NULL, 0,
			   MSG_DONTWAIT); /* it must not stay in the next one's way */
		return NULL;
	}
	iov[1].iov_base = rte_pktmbuf_mtod(m, void *);
	iov[1].iov_len = rte_pktmbuf_tailroom(m);
	n = recvmsg(s->fd, &msg, MSG_DONTWAIT);
	if (n <= (ssize_t)VNET_BYTES || (msg.msg_flags & MSG_TRUNC) != 0 ||
	    n > (ssize_t)(VNET_BYTES + UINT16_MAX)) {
		count(&s->rx_missed, 1);
		rte_pktmbuf_free(m);
		return NULL;
	}
	m->data_len = (uint16_t)((size_t)n - VNET_BYTES);
	m->pkt_len = m->data_len;
	take_vnet(m, &vnet);
	return m;
}

static struct rte_mbuf *take_slot(struct mg_pktsock *s, struct slot *slot)
{
	const struct tpacket2_hdr *hdr = slot->hdr;
	uint8_t *data = (uint8_t *)slot->hdr + hdr->tp_mac;
	uint16_t len = (uint16_t)hdr->tp_snaplen;
	struct rte_mbuf *m = rte_pktmbuf_alloc(s->conf.pool);
	struct virtio_net_hdr vnet;

	if (m == NULL) {
		count(&s->rx_no_buffer, 1);
		return NULL;
	}
	memcpy(&vnet, data - VNET_BYTES, VNET_BYTES);
	if (len < LEND_MIN) {
		memcpy(rte_pktmbuf_mtod(m, void *), data, len);
		give_back(NULL, slot->hdr);
	} else {
		slot->hdr->tp_status = STATUS_LENT; /* the next round does not take it for a new one */
		rte_mbuf_ext_refcnt_set(&slot->shared, 1);
		rte_pktmbuf_attach_extbuf(m, data, RTE_BAD_IOVA, len, &slot->shared);
	}
	m->data_len = len;
	m->pkt_len = len;
	take_vnet(m, &vnet);
	return m;
}

/* The frame of a filled slot, or NULL. The slot goes back now or with the buffer. */
static struct rte_mbuf *take(struct mg_pktsock *s, struct slot *slot, uint32_t status)
{
	const struct tpacket2_hdr *hdr = slot->hdr;
	struct rte_mbuf *m = NULL;

	if ((status & TP_STATUS_COPY) != 0)
		m = fetch_large(s);
	else if (hdr->tp_snaplen != hdr->tp_len)
		count(&s->rx_missed, 1); /* too large, and the socket was full */
	else if ((status & TP_STATUS_VLAN_VALID) == 0 || (hdr->tp_vlan_tci & 0xfff) == 0)
		return take_slot(s, slot); /* no other network's */
	give_back(NULL, slot->hdr);
	return m;
}

uint16_t mg_pktsock_rx(struct mg_pktsock *s, struct rte_mbuf **bufs, uint16_t n)
{
	uint64_t bytes = 0;
	uint16_t got = 0;

	while (got < n) {
		struct slot *slot = &s->slots[s->next];
		/* acquire: the frame was written before its status */
		uint32_t status = __atomic_load_n(&slot->hdr->tp_status, __ATOMIC_ACQUIRE);
		struct rte_mbuf *m;

		if ((status & TP_STATUS_USER) == 0)
			break;
		m = take(s, slot, status);
		if (m == NULL && slot->hdr->tp_status == status)
			break; /* no buffer: it waits here */
		s->next = s->next + 1 == s->nr_slots ? 0 : s->next + 1;
		if (m == NULL)
			continue;
		m->port = s->conf.port;
		bytes += m->pkt_len;
		bufs[got++] = m;
	}
	if (got != 0) {
		count(&s->rx_packets, got);
		count(&s->rx_bytes, bytes);
	}
	return got;
}

/* ---- send ------------------------------------------------------------------------------------ */

struct sending {
	struct virtio_net_hdr vnet[SEND_MAX];
	struct iovec iov[SEND_MAX * (SEGS_MAX + 1)];
	struct mmsghdr msgs[SEND_MAX];
	uint32_t nr_iov;
};

static void put_vnet(const struct rte_mbuf *m, struct virtio_net_hdr *vnet)
{
	memset(vnet, 0, sizeof(*vnet));
	if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM) {
		vnet->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		vnet->csum_start = (uint16_t)(m->l2_len + m->l3_len);
		vnet->csum_offset = CSUM_OFFSET;
	}
	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0)
		return;
	vnet->gso_type = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0 ? VIRTIO_NET_HDR_GSO_TCPV6
								 : VIRTIO_NET_HDR_GSO_TCPV4;
	vnet->gso_size = m->tso_segsz;
	vnet->hdr_len = (uint16_t)(m->l2_len + m->l3_len + m->l4_len);
}

/* False: a chain that is too long. */
static bool put_frame(struct sending *tx, uint32_t i, const struct rte_mbuf *m)
{
	struct iovec *iov = &tx->iov[tx->nr_iov];
	uint32_t n = 1;

	put_vnet(m, &tx->vnet[i]);
	iov[0] = (struct iovec){ &tx->vnet[i], VNET_BYTES };
	for (; m != NULL && n <= SEGS_MAX; m = m->next)
		iov[n++] = (struct iovec){ rte_pktmbuf_mtod(m, void *), m->data_len };
	tx->msgs[i].msg_hdr = (struct msghdr){ .msg_iov = iov, .msg_iovlen = n };
	tx->nr_iov += n;
	return m == NULL;
}

/* Sends the first n frames; returns how many are done with: sent, or refused for ever and counted. */
static uint16_t send_some(struct mg_pktsock *s, struct rte_mbuf **bufs, uint16_t n)
{
	struct sending tx;
	uint16_t filled = 0, sent;
	uint64_t bytes = 0;
	int rc;

	tx.nr_iov = 0;
	while (filled < n && put_frame(&tx, filled, bufs[filled]))
		filled++;
	rc = filled != 0 ? sendmmsg(s->fd, tx.msgs, filled, MSG_DONTWAIT) : -1;
	if (rc < 0 && filled != 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
		return 0;
	sent = rc > 0 ? (uint16_t)rc : 0;
	for (uint16_t i = 0; i < sent; i++)
		bytes += bufs[i]->pkt_len;
	count(&s->tx_packets, sent);
	count(&s->tx_bytes, bytes);
	if (rc <= 0) { /* the kernel will never take this one, or the interface is down */
		count(&s->tx_errors, 1);
		sent = 1;
	}
	rte_pktmbuf_free_bulk(bufs, sent);
	return sent;
}

uint16_t mg_pktsock_tx(struct mg_pktsock *s, struct rte_mbuf **bufs, uint16_t n)
{
	uint16_t done = 0, now;

	while (done < n) {
		now = send_some(s, bufs + done, (uint16_t)RTE_MIN(n - done, SEND_MAX));
		if (now == 0)
			break;
		done = (uint16_t)(done + now);
	}
	return done;
}

void mg_pktsock_stats(struct mg_pktsock *s, struct mg_pktsock_stats *ret_stats)
{
	struct tpacket_stats st = { 0 };
	socklen_t len = sizeof(st);

	if (getsockopt(s->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
		count(&s->rx_missed, st.tp_drops); /* reading clears it */
	ret_stats->rx_packets = atomic_load_explicit(&s->rx_packets, memory_order_relaxed);
	ret_stats->rx_bytes = atomic_load_explicit(&s->rx_bytes, memory_order_relaxed);
	ret_stats->rx_missed = atomic_load_explicit(&s->rx_missed, memory_order_relaxed);
	ret_stats->rx_no_buffer = atomic_load_explicit(&s->rx_no_buffer, memory_order_relaxed);
	ret_stats->tx_packets = atomic_load_explicit(&s->tx_packets, memory_order_relaxed);
	ret_stats->tx_bytes = atomic_load_explicit(&s->tx_bytes, memory_order_relaxed);
	ret_stats->tx_errors = atomic_load_explicit(&s->tx_errors, memory_order_relaxed);
}
