/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_dev.c - see port_dev.h.
 */
#include "fastpath/io/port_dev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_common.h>

#include "fastpath/io/errtext.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif

#define PACKET_FRAME_OVERHEAD 64 /* tpacket2 header, Ethernet and VLAN headers, rounded */

static const struct mg_port_traits traits[] = {
	{ "net_af_packet", "librte-net-af-packet23", MG_RXFD_PACKET, 512, 0, true },
	{ "net_af_xdp", "librte-net-af-xdp23", MG_RXFD_XDP, 2048, 3, true },
	{ "net_tap", "librte-net-tap23", MG_RXFD_TUN, 512, 1, true },
};
static const struct mg_port_traits traits_other = {
	"", "librte-meta-allpmds", MG_RXFD_NONE, 1024, 2, false,
};

const struct mg_port_traits *mg_port_traits_of(const char *dpdk_name)
{
	for (size_t i = 0; i < sizeof(traits) / sizeof(traits[0]); i++)
		if (strcmp(traits[i].dpdk_name, dpdk_name) == 0)
			return &traits[i];
	return &traits_other;
}

/* ---- checks ---------------------------------------------------------------------------------- */

/* Making the interface is what may be forbidden; it goes away with the descriptor. */
static int try_tap(const char *interface)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -1;
	memcpy(ifr.ifr_name, interface, strlen(interface));
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static int check_permission(const struct mg_port_conf *conf, char *err, size_t errlen)
{
	int fd;

	if (conf->driver == MG_PORT_TAP)
		fd = try_tap(conf->interface);
	else
		fd = socket(conf->driver == MG_PORT_AF_XDP ? AF_XDP : AF_PACKET,
			    SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	switch (errno) {
	case EPERM:
	case EACCES:
		return mg_errtext(err, errlen, -EPERM,
				  "port %s: not permitted to open %s; run as root "
				  "or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF",
				  conf->name, conf->interface);
	case EAFNOSUPPORT:
		return mg_errtext(err, errlen, -EAFNOSUPPORT,
				  "port %s: this kernel has no AF_XDP; "
				  "use driver: af_packet",
				  conf->name);
	case ENOENT:
	case ENODEV:
		return mg_errtext(err, errlen, -ENODEV,
				  "port %s: /dev/net/tun is missing; load the "
				  "module (modprobe tun) or give the container the device",
				  conf->name);
	default:
		return mg_errtext(err, errlen, -errno, "port %s: cannot open %s: %s", conf->name,
				  conf->interface, strerror(errno));
	}
}

static int check_queues(const struct mg_port_conf *conf, const struct mg_netif *netif,
			uint16_t *nr_queues, char *err, size_t errlen)
{
	uint16_t have = netif->rx_queues;

	if (conf->driver != MG_PORT_AF_XDP || have == 0)
		return 0;
	if (have > 1 && netif->combined < have)
		return mg_errtext(
			err, errlen, -EINVAL,
			"port %s: interface %s has %u receive queues that "
			"are not combined channels, which DPDK's AF_XDP driver does not take; "
			"ethtool -L %s rx 1 tx 1 (of a veth first on its peer), or driver: "
			"af_packet",
			conf->name, conf->interface, have, conf->interface);
	if (*nr_queues == 0)
		*nr_queues = have;
	if (*nr_queues > have)
		return mg_errtext(
			err, errlen, -EINVAL,
			"port %s: interface %s has %u receive queues, "
			"not %u; set queues: %u or give it more (ethtool -L %s, at most %u)",
			conf->name, conf->interface, have, *nr_queues, have, conf->interface,
			netif->rx_queues_max);
	if (*nr_queues < have)
		return mg_errtext(
			err, errlen, -EINVAL,
			"port %s: interface %s spreads packets over "
			"%u receive queues and the port takes %u: the rest would be lost; "
			"set queues: %u (or 0) or ethtool -L %s",
			conf->name, conf->interface, have, *nr_queues, have, conf->interface);
	return 0;
}

static int check_interface(const struct mg_port_conf *conf, struct mg_netif *netif,
			   uint16_t *nr_queues, char *err, size_t errlen)
{
	int rc = mg_netif_get(conf->interface, netif);

	if (rc == -ENODEV)
		return mg_errtext(err, errlen, rc,
				  "port %s: interface %s does not exist in this "
				  "network namespace; see `ip link` and correct interface:",
				  conf->name, conf->interface);
	if (rc < 0)
		return mg_errtext(err, errlen, rc, "port %s: cannot ask about interface %s: %s",
				  conf->name, conf->interface, strerror(-rc));
	if (!netif->ethernet)
		return mg_errtext(err, errlen, -EINVAL,
				  "port %s: interface %s is not Ethernet; "
				  "choose another",
				  conf->name, conf->interface);
	return check_queues(conf, netif, nr_queues, err, errlen);
}

static int check_given(const struct mg_port_conf *conf, char *err, size_t errlen)
{
	bool by_interface = conf->driver <= MG_PORT_TAP;
	const char *what = by_interface ? conf->interface : conf->device;

	if (conf->name == NULL || conf->name[0] == '\0' || strlen(conf->name) >= MG_PORT_NAME_BYTES)
		return mg_errtext(err, errlen, -EINVAL,
				  "port: needs a name of at most %d characters",
				  MG_PORT_NAME_BYTES - 1);
	if (what == NULL || what[0] == '\0')
		return mg_errtext(err, errlen, -EINVAL, "port %s: needs %s", conf->name,
				  by_interface ? "interface:" : "pci: or vdev:");
	if (by_interface && strlen(what) >= IFNAMSIZ)
		return mg_errtext(err, errlen, -EINVAL,
				  "port %s: interface %s: names have at most %d "
				  "characters",
				  conf->name, what, IFNAMSIZ - 1);
	if (conf->nr_queues > MG_PORT_QUEUES_MAX)
		return mg_errtext(err, errlen, -EINVAL, "port %s: queues: at most %d", conf->name,
				  MG_PORT_QUEUES_MAX);
	return 0;
}

/* A tap of that name that is there already and up would queue packets before we listen. */
static int check_tap(const struct mg_port_conf *conf, char *err, size_t errlen)
{
	struct mg_netif netif;

	if (mg_netif_get(conf->interface, &netif) < 0)
		return 0;
	return mg_errtext(err, errlen, -EEXIST,
			  "port %s: interface %s exists already; remove it (ip "
			  "link del %s) or choose another name",
			  conf->name, conf->interface, conf->interface);
}

int mg_port_dev_check(const struct mg_port_conf *conf, struct mg_netif *ret_netif,
		      uint16_t *ret_nr_queues, char *err, size_t errlen)
{
	int rc;

	memset(ret_netif, 0, sizeof(*ret_netif));
	*ret_nr_queues = conf->nr_queues;
	rc = check_given(conf, err, errlen);
	if (rc == 0 && conf->driver == MG_PORT_TAP)
		rc = check_tap(conf, err, errlen);
	if (rc == 0 && conf->driver <= MG_PORT_TAP)
		rc = check_permission(conf, err, errlen);
	if (rc == 0 && conf->driver < MG_PORT_TAP)
		rc = check_interface(conf, ret_netif, ret_nr_queues, err, errlen);
	if (*ret_nr_queues == 0)
		*ret_nr_queues = 1;
	return rc;
}

/* ---- names ----------------------------------------------------------------------------------- */

static void af_packet_args(const struct mg_port_conf *conf, uint16_t nr_queues, uint16_t mtu,
			   char *args)
{
	unsigned int frame = 2048;
	unsigned int block = 16384;

	/* The driver wants whole frames in a block, the kernel whole pages. */
	if (frame < (unsigned int)mtu + PACKET_FRAME_OVERHEAD) {
		frame = RTE_ALIGN_CEIL((unsigned int)mtu + PACKET_FRAME_OVERHEAD, 4096u);
		block = frame;
	}
	(void)snprintf(args, MG_PORT_DEV_ARGS_BYTES,
		       "iface=%s,qpairs=%u,framesz=%u,blocksz=%u,framecnt=1024,qdisc_bypass=1",
		       conf->interface, nr_queues, frame, block);
}

static int split_vdev(const char *device, char *name, char *args)
{
	const char *comma = strchr(device, ',');
	size_t n = comma != NULL ? (size_t)(comma - device) : strlen(device);

	if (n >= MG_PORT_DEV_NAME_BYTES)
		return -ENAMETOOLONG;
	memcpy(name, device, n);
	name[n] = '\0';
	if (comma != NULL && strlen(comma + 1) >= MG_PORT_DEV_ARGS_BYTES)
		return -ENAMETOOLONG;
	if (comma != NULL)
		memcpy(args, comma + 1, strlen(comma + 1) + 1);
	return 0;
}

int mg_port_dev_name(const struct mg_port_conf *conf, uint16_t nr_queues, uint16_t mtu, char *name,
		     char *args)
{
	args[0] = '\0';
	switch (conf->driver) {
	case MG_PORT_AF_PACKET:
		(void)snprintf(name, MG_PORT_DEV_NAME_BYTES, "net_af_packet_%s", conf->name);
		af_packet_args(conf, nr_queues, mtu, args);
		return 0;
	case MG_PORT_AF_XDP:
		(void)snprintf(name, MG_PORT_DEV_NAME_BYTES, "net_af_xdp_%s", conf->name);
		(void)snprintf(args, MG_PORT_DEV_ARGS_BYTES,
			       "iface=%s,start_queue=0,queue_count=%u,busy_budget=%u",
			       conf->interface, nr_queues, conf->busy_budget);
		return 0;
	case MG_PORT_TAP:
		(void)snprintf(name, MG_PORT_DEV_NAME_BYTES, "net_tap_%s", conf->name);
		(void)snprintf(args, MG_PORT_DEV_ARGS_BYTES, "iface=%s", conf->interface);
		return 0;
	case MG_PORT_PCI:
		(void)snprintf(name, MG_PORT_DEV_NAME_BYTES, "%s", conf->device);
		return 0;
	case MG_PORT_VDEV:
		return split_vdev(conf->device, name, args);
	default:
		return -EINVAL;
	}
}
