/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netif.h - what the kernel says about one of its network interfaces.
 *
 * Idea:    the ports over kernel interfaces need to know the interface before a driver touches it
 *          (so that the error is ours and clear), and have to put it back as it was afterwards.
 * Use:     mg_netif_get(), then mg_netif_set_up()/set_mtu(); undo with the values kept from get.
 * Threads: any; each call opens and closes a socket of its own, in the caller's network namespace.
 * Memory:  the caller's struct.
 */
#ifndef MG_IO_NETIF_H
#define MG_IO_NETIF_H

#include <stdbool.h>
#include <stdint.h>

struct mg_netif {
	unsigned int index;
	uint16_t mtu;
	uint16_t rx_queues;     /* receive queues in use now; 0: the kernel does not say */
	uint16_t combined;      /* how many of them are paired with a transmit queue */
	uint16_t rx_queues_max; /* what `ethtool -L` could set; 0: unknown */
	uint8_t mac[6];
	bool up;
	bool ethernet;
};

/* -ENODEV: no such interface; other negative errno: the kernel refused. */
int mg_netif_get(const char *name, struct mg_netif *ret_netif);

/* What a device may do for its stack; a bit each. */
enum mg_netif_offload {
	MG_NETIF_TX_CSUM = 1u << 0,
	MG_NETIF_SG = 1u << 1,
	MG_NETIF_TSO = 1u << 2,
	MG_NETIF_GSO = 1u << 3,
	MG_NETIF_GRO = 1u << 4,
};
#define MG_NETIF_OFFLOADS 0x1fu

/* Those that are on; 0 also when the interface cannot say. */
uint32_t mg_netif_get_offloads(const char *name);
/* Switches those of `which` on or off as `want` has them. 0, or the first refusal; the others are done. */
int mg_netif_set_offloads(const char *name, uint32_t which, uint32_t want);

int mg_netif_set_mtu(const char *name, uint16_t mtu);
int mg_netif_set_up(const char *name, bool up);

/*
 * Makes the interface hear all multicast groups (neighbour discovery speaks in them) while the returned
 * descriptor is open; a negative errno otherwise. The kernel forgets it when the process dies.
 */
int mg_netif_hear_groups(unsigned int index);

/* Has the kernel this very IPv6 address on the interface? */
bool mg_netif_has_ip6(const char *name, const uint8_t addr[16]);

/* Is there carrier? false also when the interface is gone. */
bool mg_netif_running(const char *name);

#endif
