/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netif.c - see netif.h. Plain ioctls: no netlink dump, no library.
 */
#include "fastpath/io/netif.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_request(const char *name, struct ifreq *ret_ifr)
{
	int fd;

	if (strlen(name) >= sizeof(ret_ifr->ifr_name))
		return -ENODEV;
	memset(ret_ifr, 0, sizeof(*ret_ifr));
	memcpy(ret_ifr->ifr_name, name, strlen(name));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int request(int fd, unsigned long op, struct ifreq *ifr)
{
	return ioctl(fd, op, ifr) < 0 ? -errno : 0;
}

/* Not every driver has channels; without them the counts stay 0 (unknown). */
static void get_channels(int fd, struct ifreq *ifr, struct mg_netif *netif)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };

	ifr->ifr_data = (void *)&ch;
	if (request(fd, SIOCETHTOOL, ifr) < 0)
		return;
	netif->rx_queues = (uint16_t)(ch.combined_count + ch.rx_count);
	netif->combined = (uint16_t)ch.combined_count;
	netif->rx_queues_max = (uint16_t)(ch.max_combined + ch.max_rx);
}

int mg_netif_get(const char *name, struct mg_netif *ret_netif)
{
	struct ifreq ifr;
	int fd, rc;

	memset(ret_netif, 0, sizeof(*ret_netif));
	fd = open_request(name, &ifr);
	if (fd < 0)
		return fd;
	rc = request(fd, SIOCGIFINDEX, &ifr);
	if (rc < 0)
		goto close_fd;
	ret_netif->index = (unsigned int)ifr.ifr_ifindex;
	rc = request(fd, SIOCGIFFLAGS, &ifr);
	if (rc < 0)
		goto close_fd;
	ret_netif->up = (ifr.ifr_flags & IFF_UP) != 0;
	rc = request(fd, SIOCGIFMTU, &ifr);
	if (rc < 0)
		goto close_fd;
	ret_netif->mtu = (uint16_t)(ifr.ifr_mtu > UINT16_MAX ? UINT16_MAX : ifr.ifr_mtu);
	rc = request(fd, SIOCGIFHWADDR, &ifr);
	if (rc < 0)
		goto close_fd;
	ret_netif->ethernet = ifr.ifr_hwaddr.sa_family == ARPHRD_ETHER;
	memcpy(ret_netif->mac, ifr.ifr_hwaddr.sa_data, sizeof(ret_netif->mac));
	get_channels(fd, &ifr, ret_netif);
close_fd:
	close(fd);
	return rc;
}

/* In the order that they need each other. */
static const struct {
	uint32_t bit, get, set;
} offloads[] = {
	{ MG_NETIF_TX_CSUM, ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM },
	{ MG_NETIF_SG, ETHTOOL_GSG, ETHTOOL_SSG },
	{ MG_NETIF_TSO, ETHTOOL_GTSO, ETHTOOL_STSO },
	{ MG_NETIF_GSO, ETHTOOL_GGSO, ETHTOOL_SGSO },
	{ MG_NETIF_GRO, ETHTOOL_GGRO, ETHTOOL_SGRO },
};

uint32_t mg_netif_get_offloads(const char *name)
{
	struct ethtool_value v;
	struct ifreq ifr;
	uint32_t on = 0;
	int fd = open_request(name, &ifr);

	if (fd < 0)
		return 0;
	ifr.ifr_data = (void *)&v;
	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++) {
		v = (struct ethtool_value){ .cmd = offloads[i].get };
		if (request(fd, SIOCETHTOOL, &ifr) == 0 && v.data != 0)
			on |= offloads[i].bit;
	}
	close(fd);
	return on;
}

int mg_netif_set_offloads(const char *name, uint32_t which, uint32_t want)
{
	struct ethtool_value v;
	struct ifreq ifr;
	int fd = open_request(name, &ifr);
	int err = 0, rc;

	if (fd < 0)
		return fd;
	ifr.ifr_data = (void *)&v;
	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++) {
		if ((which & offloads[i].bit) == 0)
			continue;
		v = (struct ethtool_value){ .cmd = offloads[i].set,
					    .data = (want & offloads[i].bit) != 0 };
		rc = request(fd, SIOCETHTOOL, &ifr);
		err = err == 0 ? rc : err;
	}
	close(fd);
	return err;
}

int mg_netif_set_mtu(const char *name, uint16_t mtu)
{
	struct ifreq ifr;
	int fd = open_request(name, &ifr);
	int rc;

	if (fd < 0)
		return fd;
	ifr.ifr_mtu = mtu;
	rc = request(fd, SIOCSIFMTU, &ifr);
	close(fd);
	return rc;
}

int mg_netif_set_up(const char *name, bool up)
{
	struct ifreq ifr;
	int fd = open_request(name, &ifr);
	int rc;

	if (fd < 0)
		return fd;
	rc = request(fd, SIOCGIFFLAGS, &ifr);
	if (rc < 0)
		goto close_fd;
	if (up)
		ifr.ifr_flags |= IFF_UP;
	else
		ifr.ifr_flags &= (short)~IFF_UP;
	rc = request(fd, SIOCSIFFLAGS, &ifr);
close_fd:
	close(fd);
	return rc;
}

int mg_netif_hear_groups(unsigned int index)
{
	const struct packet_mreq all = { .mr_ifindex = (int)index, .mr_type = PACKET_MR_ALLMULTI };
	/* without a protocol: it receives nothing itself */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* A line of if_inet6: 32 hex digits, index, prefix, scope, flags, name. */
static bool is_line_of(const char *line, const char *name, const uint8_t addr[16])
{
	char text[33], found[IF_NAMESIZE];

	for (int i = 0; i < 16; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", addr[i]); /* always fits */
	return strncmp(line, text, 32) == 0 &&
	       sscanf(line + 32, "%*x %*x %*x %*x %15s", found) == 1 && strcmp(found, name) == 0;
}

bool mg_netif_has_ip6(const char *name, const uint8_t addr[16])
{
	FILE *f = fopen("/proc/net/if_inet6", "re");
	bool found = false;
	char line[128];

	if (f == NULL)
		return false; /* a kernel without IPv6 */
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = is_line_of(line, name, addr);
	(void)fclose(f); /* was only read */
	return found;
}

bool mg_netif_running(const char *name)
{
	struct ifreq ifr;
	int fd = open_request(name, &ifr);
	bool running;

	if (fd < 0)
		return false;
	running = request(fd, SIOCGIFFLAGS, &ifr) == 0 && (ifr.ifr_flags & IFF_RUNNING) != 0;
	close(fd);
	return running;
}
