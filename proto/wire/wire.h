/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - constants and flags that all of proto/wire shares.
 *
 * Idea:    parse functions take bytes and a length and fill a checked view, or return the negative of an
 *          enum mg_drop and leave the view undefined. Emit functions write into a buffer that is large
 *          enough (the header says how large) and return how much they wrote.
 * Threads: pure functions throughout.
 */
#ifndef MG_WIRE_H
#define MG_WIRE_H
#include "proto/wire/drop.h"

#define MG_ETH_HLEN 14
#define MG_VLAN_HLEN 4
#define MG_IPV4_HLEN 20
#define MG_IPV4_HLEN_MAX 60
#define MG_IPV6_HLEN 40
#define MG_TCP_HLEN 20
#define MG_TCP_HLEN_MAX 60
#define MG_TCP_OPTS_MAX 40
/* Ethernet + IPv6 + TCP with all options: room for any header we write. */
#define MG_WIRE_HDR_MAX (MG_ETH_HLEN + MG_IPV6_HLEN + MG_TCP_HLEN_MAX)

enum mg_ethertype {
	MG_ETHERTYPE_IPV4 = 0x0800,
	MG_ETHERTYPE_ARP = 0x0806,
	MG_ETHERTYPE_VLAN = 0x8100,
	MG_ETHERTYPE_IPV6 = 0x86dd,
};

enum mg_ipproto {
	MG_IPPROTO_ICMP = 1,
	MG_IPPROTO_TCP = 6,
	MG_IPPROTO_UDP = 17,
	MG_IPPROTO_ICMPV6 = 58,
};

/* What a port says about a received frame. */
enum mg_rx_flag {
	MG_RX_L3_CSUM_OK = 1 << 0, /* IPv4 header checksum verified, or not worth verifying */
	MG_RX_L4_CSUM_OK = 1 << 1, /* likewise TCP, UDP, ICMP */
	MG_RX_NO_L2 = 1 << 2,      /* the frame begins with the IP header */
};

/* What is to stand in the checksum field of an emitted TCP header. */
enum mg_tx_csum {
	MG_TX_CSUM_FULL, /* the checksum; the caller supplies the payload's sum */
	MG_TX_CSUM_PSEUDO, /* the pseudo-header's sum, with length: checksum offload, virtio-net header */
	MG_TX_CSUM_TSO,  /* the pseudo-header's sum without length: DPDK's TSO convention */
	MG_TX_CSUM_NONE, /* zero: nobody will look (local short-cut, hardware that inserts all) */
};
#endif
