/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_dpdk.c - see port.h. Bring a DPDK device up, and down without a trace.
 *
 * Three habits of DPDK 22.11's drivers are dealt with here. AF_XDP's fill ring takes 2,048 buffers
 * before the first packet, and its other rings as many again. AF_PACKET hears the host's own outgoing
 * packets. TAP raises a real-time signal for each packet, which would interrupt every sleep of the
 * process: the descriptor's O_ASYNC is taken away before the interface comes up; without the signal
 * the driver just reads.
 */
#include "fastpath/io/port.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "fastpath/io/errtext.h"
#include "fastpath/io/port_dev.h"
#include "fastpath/io/port_packet.h"
#include "fastpath/io/xdp.h"
#include "proto/base/bits.h"

#define POOL_CACHE 256
#define POOL_SLACK 2048       /* in flight between the rings: bursts, caches, reassembly */
#define POOL_PACKET 4096      /* packets to send, and the bursts that other workers hold */
#define POOL_OBJECT_EXTRA 192 /* header, trailer and alignment in a pool */
#define FRAME_OVERHEAD 22     /* Ethernet header, VLAN tag, checksum */
#define XDP_HEADROOM 256
#define TRY_OPEN_MAX 8 /* a closed XDP socket lets go of its queue a little later */
#define TRY_OPEN_PAUSE_US 40000

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

struct mg_port_undo {
	struct mg_port_conf conf; /* strings below */
	char interface[32];
	struct mg_netif netif; /* as it was */
	bool has_netif, set_mtu, set_up, promiscuous;
	int groups_fd; /* hears multicast while it is open; 0: none */
	bool plugged, configured, started;
	struct mg_xdp *xdp;
	bool has_xdp;
	struct mg_port_packet packet;
	ino_t rx_ino[MG_PORT_QUEUES_MAX]; /* of rx_fd: to know them again */
	char dev_name[MG_PORT_DEV_NAME_BYTES];
	char dev_args[MG_PORT_DEV_ARGS_BYTES];
	const struct mg_port_traits *traits;
};

/* What is passed from step to step while opening. */
struct opening {
	struct mg_port *port;
	struct mg_port_undo *undo;
	struct rte_eth_dev_info info;
	struct mg_rxfd_mark mark; /* before the device was made */
	char *err;
	size_t errlen;
};

/* ---- errors ---------------------------------------------------------------------------------- */

static bool library_there(const char *dpdk_name)
{
	char file[64];

	if (dpdk_name[0] == '\0')
		return true;
	(void)snprintf(file, sizeof(file), "librte_%s.so.23", dpdk_name);
	return dlopen(file, RTLD_LAZY | RTLD_NOLOAD) != NULL;
}

static const char *driver_of(enum mg_port_driver driver)
{
	switch (driver) {
	case MG_PORT_AF_PACKET:
		return "net_af_packet";
	case MG_PORT_AF_XDP:
		return "net_af_xdp";
	case MG_PORT_TAP:
		return "net_tap";
	case MG_PORT_PCI:
	case MG_PORT_VDEV:
	default:
		return "";
	}
}

static int plug_failed(const struct opening *o, int rc)
{
	const struct mg_port_conf *conf = &o->undo->conf;
	const struct mg_port_traits *t = mg_port_traits_of(driver_of(conf->driver));

	if (!library_there(t->dpdk_name))
		return mg_errtext(o->err, o->errlen, -ENOENT,
				  "port %s: DPDK's driver %s is not "
				  "installed; apt-get install %s",
				  o->port->name, t->dpdk_name, t->library);
	if (conf->driver == MG_PORT_PCI)
		return mg_errtext(o->err, o->errlen, -ENODEV,
				  "port %s: no device %s that DPDK can "
				  "drive; bind it to vfio-pci (dpdk-devbind.py) and see `lspci`",
				  o->port->name, o->undo->dev_name);
	if (rc == -EEXIST)
		return mg_errtext(o->err, o->errlen, rc,
				  "port %s: the name is in use by another port", o->port->name);
	/* Its code says nothing: -1, or whatever its own search ended with. */
	return mg_errtext(
		o->err, o->errlen, -EIO,
		"port %s: DPDK refused the device %s,%s: wrong "
		"arguments, or its driver is not installed (%s); log level debug shows why",
		o->port->name, o->undo->dev_name, o->undo->dev_args, t->library);
}

static int step_failed(const struct opening *o, int rc, const char *step)
{
	if (rc == -ENOMEM)
		return mg_errtext(o->err, o->errlen, rc,
				  "port %s: out of memory at %s; raise "
				  "memory.dpdk_mib",
				  o->port->name, step);
	return mg_errtext(o->err, o->errlen, rc,
			  "port %s: %s failed: %s (log level debug shows "
			  "why)",
			  o->port->name, step, strerror(-rc));
}

/* The driver does not tell why. An XDP socket is refused while another one has the queue. */
static int rx_setup_failed(const struct opening *o, int rc)
{
	if (o->undo->traits->fd_kind != MG_RXFD_XDP)
		return step_failed(o, rc, "receive queue set-up");
	return mg_errtext(o->err, o->errlen, -EBUSY,
			  "port %s: cannot bind to the queues of %s; if "
			  "another process uses it by AF_XDP, stop it (log level debug shows why)",
			  o->port->name, o->undo->interface);
}

/* ---- the kernel's side ----------------------------------------------------------------------- */

static int prepare_interface(struct opening *o)
{
	struct mg_port_undo *u = o->undo;
	const struct mg_port_conf *conf = &u->conf;
	int rc;

	u->has_netif = conf->driver < MG_PORT_TAP;
	if (!u->has_netif)
		return 0;
	if (conf->mtu != 0 && conf->mtu != u->netif.mtu) {
		rc = mg_netif_set_mtu(u->interface, conf->mtu);
		if (rc < 0)
			return mg_errtext(o->err, o->errlen, rc,
					  "port %s: interface %s does not take "
					  "mtu %u: %s; choose a smaller one",
					  conf->name, u->interface, conf->mtu, strerror(-rc));
		u->set_mtu = true;
	}
	if (!u->netif.up) {
		rc = mg_netif_set_up(u->interface, true);
		if (rc < 0)
			return mg_errtext(o->err, o->errlen, rc,
					  "port %s: cannot bring interface %s "
					  "up: %s",
					  conf->name, u->interface, strerror(-rc));
		u->set_up = true;
	}
	/* IPv6 asks for neighbours by multicast; an interface that refuses may hear it all the same */
	u->groups_fd = RTE_MAX(mg_netif_hear_groups(u->netif.index), 0);
	if (conf->driver != MG_PORT_AF_XDP)
		return 0;
	u->has_xdp = true;
	return mg_xdp_attach(u->interface, u->netif.index, o->port->nr_queues, &u->xdp, o->err,
			     o->errlen);
}

static void restore_interface(struct mg_port_undo *u)
{
	/* The interface may be gone by now: nothing here can or need be reported. */
	if (u->has_xdp)
		mg_xdp_detach(NULL, u->netif.index);
	if (u->set_mtu)
		(void)mg_netif_set_mtu(u->interface, u->netif.mtu);
	if (u->set_up)
		(void)mg_netif_set_up(u->interface, false);
	if (u->groups_fd > 0)
		close(u->groups_fd);
}

/* ---- the device ------------------------------------------------------------------------------ */

static int plug(struct opening *o)
{
	struct mg_port_undo *u = o->undo;
	int rc;

	(void)mg_rxfd_mark(&o->mark); /* without it there are no descriptors to sleep on */
	rc = mg_port_dev_name(&u->conf, o->port->nr_queues, o->port->mtu, u->dev_name, u->dev_args);
	if (rc < 0)
		return plug_failed(o, rc);
	if (u->conf.driver != MG_PORT_PCI) {
		rc = rte_eal_hotplug_add("vdev", u->dev_name, u->dev_args);
		if (rc < 0)
			return plug_failed(o, rc);
		u->plugged = true;
	}
	rc = rte_eth_dev_get_port_by_name(u->dev_name, &o->port->id);
	if (rc < 0)
		return plug_failed(o, rc);
	rc = rte_eth_dev_info_get(o->port->id, &o->info);
	if (rc < 0)
		return plug_failed(o, rc);
	u->traits = mg_port_traits_of(o->info.driver_name);
	return 0;
}

static void note_caps(struct opening *o)
{
	const uint64_t rx_tcp = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	const uint64_t tx = o->info.tx_offload_capa;
	uint32_t caps = 0;

	if ((tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0)
		caps |= MG_PORT_CAP_MULTI_SEG;
	if (!o->undo->traits->software) {
		if ((o->info.rx_offload_capa & rx_tcp) == rx_tcp)
			caps |= MG_PORT_CAP_RX_CSUM;
		if ((tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0)
			caps |= MG_PORT_CAP_TX_IP_CSUM;
		if ((tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0)
			caps |= MG_PORT_CAP_TX_TCP_CSUM;
		if ((tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0)
			caps |= MG_PORT_CAP_TSO;
		if (o->info.flow_type_rss_offloads != 0 && o->port->nr_queues > 1)
			caps |= MG_PORT_CAP_RSS;
	}
	o->port->caps = caps;
}

static int configure(struct opening *o)
{
	struct rte_eth_conf conf = { 0 };
	uint32_t caps = o->port->caps;
	int rc;

	if ((caps & MG_PORT_CAP_RX_CSUM) != 0)
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM |
					RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	if ((caps & MG_PORT_CAP_TX_IP_CSUM) != 0)
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	if ((caps & MG_PORT_CAP_TX_TCP_CSUM) != 0)
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	if ((caps & MG_PORT_CAP_TSO) != 0)
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
	if ((caps & MG_PORT_CAP_MULTI_SEG) != 0)
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if ((caps & MG_PORT_CAP_RSS) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = o->info.flow_type_rss_offloads &
						   (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP);
	}
	if (!o->undo->has_netif && o->port->mtu <= o->info.max_mtu)
		conf.rxmode.mtu = o->port->mtu;
	if (o->port->nr_queues > o->info.max_rx_queues ||
	    o->port->nr_queues > o->info.max_tx_queues)
		return mg_errtext(o->err, o->errlen, -EINVAL,
				  "port %s: the device has %u receive and "
				  "%u transmit queues, not %u; lower queues:",
				  o->port->name, o->info.max_rx_queues, o->info.max_tx_queues,
				  o->port->nr_queues);
	rc = rte_eth_dev_configure(o->port->id, o->port->nr_queues, o->port->nr_queues, &conf);
	if (rc < 0)
		return step_failed(o, rc, "configure");
	o->undo->configured = true;
	return 0;
}

static uint32_t buffer_room(uint16_t mtu)
{
	uint32_t room = (uint32_t)mtu + FRAME_OVERHEAD + XDP_HEADROOM;

	/* af_packet wants room for a whole frame of its ring, which is pages for larger MTUs. */
	if (room > RTE_MBUF_DEFAULT_DATAROOM)
		room = RTE_ALIGN_CEIL(room, 4096u);
	else
		room = RTE_MBUF_DEFAULT_DATAROOM;
	return room + RTE_PKTMBUF_HEADROOM;
}

uint32_t mg_port_buffer_bytes(uint16_t mtu)
{
	return buffer_room(mtu) + (uint32_t)sizeof(struct rte_mbuf) + POOL_OBJECT_EXTRA;
}

/* Packet sockets lend frames out of their own ring: more buffers than a few bursts would only lie there. */
static uint32_t pool_size(const struct mg_port_conf *conf, const struct mg_port_traits *t)
{
	uint32_t least = (uint32_t)t->ring_size * t->rings + POOL_SLACK;

	if (conf->driver == MG_PORT_PACKET_GSO)
		return POOL_PACKET;
	return mg_max_u32(conf->nr_bufs, least);
}

uint64_t mg_port_memory_bytes(const struct mg_port_conf *conf)
{
	const char *name = driver_of(conf->driver);
	const struct mg_port_traits *t = mg_port_traits_of(name);
	struct mg_netif netif = { 0 };
	uint16_t mtu = conf->mtu;
	uint64_t queues;

	if (conf->interface != NULL)
		(void)mg_netif_get(conf->interface, &netif); /* open tells what is wrong with it */
	if (mtu == 0)
		mtu = netif.mtu != 0 ? netif.mtu : RTE_ETHER_MTU;
	queues = mg_max_u32(conf->nr_queues != 0 ? conf->nr_queues : netif.rx_queues, 1);
	return queues * ((uint64_t)pool_size(conf, t) * mg_port_buffer_bytes(mtu) +
			 (conf->driver == MG_PORT_PACKET_GSO ? MG_PORT_PACKET_LARGE_BYTES : 0));
}

static int make_pool(struct opening *o, uint16_t queue)
{
	uint32_t n = pool_size(&o->undo->conf, o->undo->traits);
	uint32_t room = buffer_room(o->port->mtu);
	char name[RTE_MEMPOOL_NAMESIZE];

	(void)snprintf(name, sizeof(name), "p%u.%u", o->port->id, queue);
	o->port->pool[queue] = rte_pktmbuf_pool_create(name, n - 1, POOL_CACHE, 0, (uint16_t)room,
						       SOCKET_ID_ANY);
	if (o->port->pool[queue] == NULL)
		return mg_errtext(o->err, o->errlen, -ENOMEM,
				  "port %s: queue %u needs %u MiB for "
				  "packet buffers; raise memory.dpdk_mib",
				  o->port->name, queue, (n * (room + 256) >> 20) + 1);
	return 0;
}

/* Drivers that open a descriptor per queue do it here; what is new is this queue's. */
static int setup_queue(struct opening *o, uint16_t queue)
{
	uint16_t nr_rx = o->undo->traits->ring_size;
	uint16_t nr_tx = nr_rx;
	struct mg_rxfd_mark mark;
	struct stat st;
	bool marked;
	int rc;

	rc = make_pool(o, queue);
	if (rc < 0)
		return rc;
	(void)rte_eth_dev_adjust_nb_rx_tx_desc(o->port->id, &nr_rx, &nr_tx);
	marked = mg_rxfd_mark(&mark) == 0;
	rc = rte_eth_rx_queue_setup(o->port->id, queue, nr_rx,
				    (unsigned int)rte_eth_dev_socket_id(o->port->id), NULL,
				    o->port->pool[queue]);
	if (rc < 0)
		return rx_setup_failed(o, rc);
	o->port->rx_fd[queue] = -1;
	if (marked)
		(void)mg_rxfd_since(&mark, o->undo->traits->fd_kind, &o->port->rx_fd[queue], 1);
	if (o->port->rx_fd[queue] >= 0 && fstat(o->port->rx_fd[queue], &st) == 0)
		o->undo->rx_ino[queue] = st.st_ino;
	rc = rte_eth_tx_queue_setup(o->port->id, queue, nr_tx,
				    (unsigned int)rte_eth_dev_socket_id(o->port->id), NULL);
	if (rc < 0)
		return step_failed(o, rc, "transmit queue set-up");
	return 0;
}

/*
 * AF_PACKET opened all its sockets when the device was made, queue by queue. Its queue structure
 * starts with the descriptor; that is believed only if it is one of the sockets seen.
 */
static void find_packet_fds(struct opening *o)
{
	int fds[MG_PORT_QUEUES_MAX];
	size_t n = mg_rxfd_since(&o->mark, MG_RXFD_PACKET, fds, MG_PORT_QUEUES_MAX);
	const int on = 1;

	for (size_t i = 0; i < n; i++) /* an old kernel: hears the host's own packets, no harm */
		(void)setsockopt(fds[i], SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	for (uint16_t q = 0; q < o->port->nr_queues; q++) {
		const int *first = rte_eth_fp_ops[o->port->id].rxq.data[q];

		for (size_t i = 0; first != NULL && i < n; i++)
			if (fds[i] == *first)
				o->port->rx_fd[q] = fds[i];
	}
}

static void silence_tap(const struct opening *o)
{
	int fds[4 * MG_PORT_QUEUES_MAX];
	size_t n = mg_rxfd_since(&o->mark, MG_RXFD_TUN, fds, 4 * MG_PORT_QUEUES_MAX);

	for (size_t i = 0; i < n; i++) {
		int flags = fcntl(fds[i], F_GETFL);

		if (flags >= 0)
			(void)fcntl(fds[i], F_SETFL, flags & ~O_ASYNC);
	}
}

/* ---- addresses ------------------------------------------------------------------------------- */

static void choose_mac(struct opening *o)
{
	const struct mg_port_conf *conf = &o->undo->conf;
	struct rte_ether_addr addr = { { 0 } };
	bool same;

	(void)rte_eth_macaddr_get(o->port->id, &addr); /* zero when the device has none */
	same = !conf->has_mac || memcmp(conf->mac, addr.addr_bytes, sizeof(conf->mac)) == 0;
	memcpy(o->port->mac, same ? addr.addr_bytes : conf->mac, sizeof(o->port->mac));
	/* Both ends of a tap have the kernel's address: ours is the next one, as a veth's would be. */
	if (o->undo->traits->fd_kind == MG_RXFD_TUN) {
		if (!conf->has_mac)
			o->port->mac[5] ^= 1;
		return;
	}
	if (!same && rte_eth_promiscuous_enable(o->port->id) == 0)
		o->undo->promiscuous = true;
}

static int start(struct opening *o)
{
	int rc;

	if (!o->undo->has_netif && o->undo->conf.mtu != 0) {
		rc = rte_eth_dev_set_mtu(o->port->id, o->port->mtu);
		if (rc < 0 && rc != -ENOTSUP)
			return step_failed(o, rc, "mtu");
	}
	if (o->undo->traits->fd_kind == MG_RXFD_TUN)
		silence_tap(o);
	rc = rte_eth_dev_start(o->port->id);
	if (rc < 0)
		return step_failed(o, rc, "start");
	o->undo->started = true;
	if (!o->undo->has_netif) /* devices without a filter do not know the word, and need not */
		(void)rte_eth_allmulticast_enable(o->port->id);
	if (o->undo->traits->fd_kind == MG_RXFD_PACKET)
		find_packet_fds(o);
	choose_mac(o);
	return 0;
}

/* ---- open, close ----------------------------------------------------------------------------- */

/* Packet sockets of our own: no device, but the same pools and the same undo. */
static int open_packet(struct opening *o)
{
	struct mg_port_undo *u = o->undo;
	int rc = 0;

	o->port->id = (uint16_t)(RTE_MAX_ETHPORTS - 1 - u->conf.number);
	for (uint16_t q = 0; rc == 0 && q < o->port->nr_queues; q++)
		rc = make_pool(o, q);
	if (rc == 0)
		rc = mg_port_packet_open(&u->packet, &u->conf, &u->netif, o->port, o->err,
					 o->errlen);
	return rc;
}

static int bring_up(struct opening *o)
{
	int rc = prepare_interface(o);

	if (rc == 0 && o->undo->conf.driver == MG_PORT_PACKET_GSO)
		return open_packet(o);
	if (rc == 0)
		rc = plug(o);
	if (rc < 0)
		return rc;
	note_caps(o);
	rc = configure(o);
	for (uint16_t q = 0; rc == 0 && q < o->port->nr_queues; q++)
		rc = setup_queue(o, q);
	return rc < 0 ? rc : start(o);
}

static uint16_t choose_mtu(const struct mg_port_conf *conf, const struct mg_netif *netif)
{
	if (conf->mtu != 0)
		return conf->mtu;
	return netif->mtu != 0 ? netif->mtu : RTE_ETHER_MTU;
}

static int try_open(const struct mg_port_conf *conf, struct mg_port *port, char *err, size_t errlen)
{
	struct opening o = { .port = port, .err = err, .errlen = errlen };
	struct mg_netif netif;
	uint16_t nr_queues;
	int rc;

	memset(port, 0, sizeof(*port));
	rc = mg_port_dev_check(conf, &netif, &nr_queues, err, errlen);
	if (rc < 0)
		return rc;
	o.undo = calloc(1, sizeof(*o.undo));
	if (o.undo == NULL)
		return mg_errtext(err, errlen, -ENOMEM, "port %s: out of memory", conf->name);
	port->undo = o.undo;
	port->nr_queues = nr_queues;
	port->mtu = choose_mtu(conf, &netif);
	(void)snprintf(port->name, sizeof(port->name), "%s", conf->name);
	for (uint16_t q = 0; q < MG_PORT_QUEUES_MAX; q++)
		port->rx_fd[q] = -1;
	o.undo->conf = *conf;
	o.undo->netif = netif;
	o.undo->traits = mg_port_traits_of("");
	if (conf->interface != NULL)
		(void)snprintf(o.undo->interface, sizeof(o.undo->interface), "%s", conf->interface);

	rc = bring_up(&o);
	if (rc < 0)
		mg_port_close(port);
	return rc;
}

int mg_port_open(const struct mg_port_conf *conf, struct mg_port *ret_port, char *err,
		 size_t errlen)
{
	int rc = try_open(conf, ret_port, err, errlen);

	for (int i = 1; rc == -EBUSY && conf->driver == MG_PORT_AF_XDP && i < TRY_OPEN_MAX; i++) {
		rte_delay_us_sleep(TRY_OPEN_PAUSE_US);
		rc = try_open(conf, ret_port, err, errlen);
	}
	return rc;
}

/* 22.11's driver forgets to close its XDP sockets; the queue would stay taken. */
static void close_forgotten(const struct mg_port *port)
{
	const struct mg_port_undo *u = port->undo;
	struct stat st;

	if (u->traits->fd_kind != MG_RXFD_XDP)
		return;
	for (uint16_t q = 0; q < port->nr_queues; q++)
		if (port->rx_fd[q] >= 0 && fstat(port->rx_fd[q], &st) == 0 &&
		    st.st_ino == u->rx_ino[q])
			close(port->rx_fd[q]);
}

void mg_port_close(struct mg_port *port)
{
	struct mg_port_undo *u = port->undo;

	if (u == NULL)
		return;
	mg_port_packet_close(&u->packet, port);
	if (u->promiscuous)
		(void)rte_eth_promiscuous_disable(port->id);
	/* Before the driver closes: it complains when it finds the program held by a link. */
	if (u->has_xdp)
		mg_xdp_detach(u->xdp, u->netif.index);
	if (u->started)
		(void)rte_eth_dev_stop(port->id);
	if (u->plugged)
		(void)rte_eal_hotplug_remove("vdev", u->dev_name); /* closes the device, too */
	else if (u->configured)
		(void)rte_eth_dev_close(port->id);
	close_forgotten(port);
	restore_interface(u);
	for (uint16_t q = 0; q < port->nr_queues; q++)
		rte_mempool_free(port->pool[q]);
	free(u);
	memset(port, 0, sizeof(*port));
}

void mg_port_flush(const struct mg_port *port, uint16_t queue)
{
	enum mg_rxfd_kind kind = port->undo->traits->fd_kind;

	if (port->sock[queue] != NULL)
		return; /* nothing waits in it */
	if ((kind == MG_RXFD_PACKET || kind == MG_RXFD_XDP) && port->rx_fd[queue] >= 0)
		(void)send(port->rx_fd[queue], NULL, 0,
			   MSG_DONTWAIT); /* refused again: TCP repeats */
}

bool mg_port_link_up(const struct mg_port *port)
{
	struct rte_eth_link link = { 0 };

	if (port->undo->has_netif)
		return mg_netif_running(port->undo->interface);
	return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status != 0;
}

void mg_port_stats(const struct mg_port *port, struct mg_port_stats *ret_stats)
{
	struct rte_eth_stats st = { 0 };

	if (port->sock[0] != NULL) {
		mg_port_packet_stats(port, ret_stats);
		return;
	}
	(void)rte_eth_stats_get(port->id, &st); /* zero for a device that counts nothing */
	*ret_stats = (struct mg_port_stats){
		.rx_packets = st.ipackets,
		.rx_bytes = st.ibytes,
		.rx_missed = st.imissed,
		.rx_no_buffer = st.rx_nombuf,
		.tx_packets = st.opackets,
		.tx_bytes = st.obytes,
		.tx_errors = st.oerrors,
	};
}
