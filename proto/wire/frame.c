/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.c - classification of received frames; the quick way and the careful way.
 */
#include "proto/wire/frame.h"

#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/tcp_opt.h"

#define QUICK_HLEN (MG_ETH_HLEN + MG_IPV4_HLEN + MG_TCP_HLEN)
#define TS_HLEN (MG_TCP_HLEN + 12)

/* The first octet tells most unicast addresses; the few unsure ones take the careful way. */
static bool is_plain_unicast(const uint8_t *v4)
{
	return v4[0] != 0 && v4[0] < 0xe0;
}

/* To one station; IPv4 without options or fragments; from one host to one host; TCP. */
static bool is_quick_ip(const uint8_t *eth, const uint8_t *ip)
{
	return mg_load_be16(eth + 12) == MG_ETHERTYPE_IPV4 && (eth[0] & 1) == 0 && ip[0] == 0x45 &&
	       (mg_load_be16(ip + 6) & 0x3fff) == 0 && ip[9] == MG_IPPROTO_TCP &&
	       is_plain_unicast(ip + 12) && is_plain_unicast(ip + 16);
}

/* Length of a TCP header without SYN and with no option or just NOP NOP timestamps; else 0. */
static uint32_t quick_tcp_hlen(const uint8_t *tcp, uint32_t len)
{
	if (tcp[13] & MG_TCP_SYN)
		return 0;
	if (tcp[12] >> 4 == TS_HLEN / 4 && len >= TS_HLEN &&
	    mg_load_be32(tcp + MG_TCP_HLEN) == MG_TCP_OPT_TS_WORD)
		return TS_HLEN;
	return tcp[12] >> 4 == MG_TCP_HLEN / 4 ? MG_TCP_HLEN : 0;
}

static bool quick_csum_is_ok(const uint8_t *ip, uint32_t l4_len, uint32_t rx_flags)
{
	uint64_t sum;

	if (!(rx_flags & MG_RX_L3_CSUM_OK) && !mg_csum_is_ok(mg_csum_add(0, ip, MG_IPV4_HLEN)))
		return false;
	if (rx_flags & MG_RX_L4_CSUM_OK)
		return true;
	/* The pseudo-header is protocol, length, and both addresses, which lie before the segment. */
	sum = (uint64_t)mg_be32(MG_IPPROTO_TCP) + mg_be32(l4_len);
	return mg_csum_is_ok(mg_csum_add(sum, ip + 12, 8 + l4_len));
}

static void fill_quick(const uint8_t *frame, uint32_t hdr_len, uint32_t l4_len, struct mg_seg *seg)
{
	const uint8_t *ip = frame + MG_ETH_HLEN;
	const uint8_t *tcp = ip + MG_IPV4_HLEN;

	seg->tuple.laddr = mg_addr_v4(mg_load_be32(ip + 16));
	seg->tuple.raddr = mg_addr_v4(mg_load_be32(ip + 12));
	seg->tuple.lport = mg_load_be16(tcp + 2);
	seg->tuple.rport = mg_load_be16(tcp);
	seg->seq = mg_load_be32(tcp + 4);
	seg->ack = mg_load_be32(tcp + 8);
	seg->payload_len = l4_len - hdr_len;
	seg->wnd = mg_load_be16(tcp + 14);
	seg->flags = mg_load_be16(tcp + 12) & 0x1ff;
	seg->urg = mg_load_be16(tcp + 18);
	seg->opts = 0;
	seg->ecn = ip[1] & 3;
	seg->ttl = ip[8];
	seg->dscp = ip[1] >> 2;
	seg->nr_sack = 0;
	seg->payload.data = tcp + hdr_len;
	seg->payload.len = seg->payload_len;
	seg->payload.next = NULL;
	seg->l2 = frame;
	seg->l3 = ip;
	seg->l3_len = MG_IPV4_HLEN + l4_len;
	if (hdr_len == TS_HLEN) {
		seg->opts = MG_SEG_OPT_TS;
		seg->tsval = mg_load_be32(tcp + MG_TCP_HLEN + 4);
		seg->tsecr = mg_load_be32(tcp + MG_TCP_HLEN + 8);
	}
}

/* False: not the common frame, or something is wrong with it; the careful way finds out what. */
static bool parse_quick(const struct mg_frame_bytes *in, struct mg_frame_view *view)
{
	const uint8_t *ip = in->data + MG_ETH_HLEN;
	uint32_t ip_len, hdr_len;

	if (in->len < QUICK_HLEN || !is_quick_ip(in->data, ip))
		return false;
	ip_len = mg_load_be16(ip + 2);
	if (ip_len < MG_IPV4_HLEN + MG_TCP_HLEN || ip_len > in->len - MG_ETH_HLEN)
		return false;
	hdr_len = quick_tcp_hlen(ip + MG_IPV4_HLEN, ip_len - MG_IPV4_HLEN);
	if (hdr_len == 0 || !quick_csum_is_ok(ip, ip_len - MG_IPV4_HLEN, in->rx_flags))
		return false;
	view->kind = MG_FRAME_TCP;
	view->l2_len = MG_ETH_HLEN;
	view->vlan_tci = 0;
	fill_quick(in->data, hdr_len, ip_len - MG_IPV4_HLEN, &view->seg);
	view->seg.gso_size = in->gso_size;
	return true;
}

/* What is addressed to or claims to come from more than one host is not for TCP (MUST-57, MUST-63). */
static int parse_tcp(const struct mg_frame_bytes *in, const struct mg_eth_view *eth,
		     const struct mg_ip_view *ip, struct mg_frame_view *view)
{
	int err;

	if ((eth != NULL && mg_mac_is_multicast(&eth->dst)) || mg_addr_is_multicast(&ip->dst))
		return -MG_DROP_TCP_DST;
	err = mg_wire_tcp_parse(ip, (in->rx_flags & MG_RX_L4_CSUM_OK) != 0, &view->seg);
	if (err < 0)
		return err;
	view->kind = MG_FRAME_TCP;
	view->seg.gso_size = in->gso_size;
	view->seg.l2 = eth != NULL ? in->data : NULL;
	return 0;
}

static int parse_icmp(const struct mg_frame_bytes *in, struct mg_frame_view *view)
{
	bool v6 = view->ip.version == 6;

	view->kind = MG_FRAME_ICMP;
	if (!v6)
		return mg_wire_icmp_parse(&view->ip, in->rx_flags, &view->icmp);
	if (!mg_wire_icmp6_is_nd(&view->ip))
		return mg_wire_icmp6_parse(&view->ip, in->rx_flags, &view->icmp);
	view->kind = MG_FRAME_ND;
	return mg_wire_nd_parse(&view->ip, in->rx_flags, &view->nd);
}

/* Only who has no address yet may come from none: RFC 4862 5.4.2. */
static bool may_come_from_nobody(const struct mg_ip_view *ip)
{
	return ip->version == 6 && ip->proto == MG_IPPROTO_ICMPV6 && mg_wire_icmp6_is_nd(ip);
}

/* eth is NULL on ports without link layer. */
static int parse_ip(const struct mg_frame_bytes *in, const struct mg_eth_view *eth,
		    struct mg_frame_view *view)
{
	const struct mg_ip_bytes pkt = {
		.data = in->data + view->l2_len,
		.len = in->len - view->l2_len,
		.more = in->more,
	};
	struct mg_ip_view ip;
	int err;

	err = mg_wire_ip_parse(&pkt, in->rx_flags, &ip);
	if (err < 0)
		return err;
	if (eth != NULL && (eth->ethertype == MG_ETHERTYPE_IPV6) != (ip.version == 6))
		return -MG_DROP_IP_VERSION;
	if (mg_addr_is_multicast(&ip.src) ||
	    (mg_addr_is_any(&ip.src) && !may_come_from_nobody(&ip)))
		return -MG_DROP_IP_SRC;
	if (mg_unlikely(ip.is_fragment)) {
		if ((eth != NULL && mg_mac_is_multicast(&eth->dst)) ||
		    mg_addr_is_multicast(&ip.dst))
			return -MG_DROP_IP_FRAGMENT;
		view->ip = ip;
		view->kind = MG_FRAME_FRAGMENT;
		return 0;
	}
	if (ip.proto == MG_IPPROTO_TCP)
		return parse_tcp(in, eth, &ip, view);
	view->ip = ip;
	view->kind = MG_FRAME_IP_OTHER;
	if (ip.proto != (ip.version == 4 ? MG_IPPROTO_ICMP : MG_IPPROTO_ICMPV6))
		return 0;
	return parse_icmp(in, view);
}

static int parse_careful(const struct mg_frame_bytes *in, struct mg_frame_view *view)
{
	struct mg_eth_view eth;
	int err;

	view->l2_len = 0;
	view->vlan_tci = 0;
	if (in->rx_flags & MG_RX_NO_L2)
		return parse_ip(in, NULL, view);
	err = mg_wire_eth_parse(in->data, in->len, &eth);
	if (err < 0)
		return err;
	view->l2_len = eth.hdr_len;
	view->vlan_tci = eth.vlan_tci;
	switch (eth.ethertype) {
	case MG_ETHERTYPE_IPV4:
	case MG_ETHERTYPE_IPV6:
		return parse_ip(in, &eth, view);
	case MG_ETHERTYPE_ARP:
		view->kind = MG_FRAME_ARP;
		return mg_wire_arp_parse(in->data + eth.hdr_len, in->len - eth.hdr_len, &view->arp);
	default:
		return -MG_DROP_ETH_TYPE;
	}
}

int mg_wire_parse_packet(const struct mg_frame_bytes *in, struct mg_frame_view *ret_view)
{
	if (mg_likely(!(in->rx_flags & MG_RX_NO_L2)) && mg_likely(parse_quick(in, ret_view)))
		return 0;
	return parse_careful(in, ret_view);
}

int mg_wire_parse_frame(const uint8_t *frame, uint32_t len, uint32_t rx_flags,
			struct mg_frame_view *ret_view)
{
	const struct mg_frame_bytes in = { .data = frame, .len = len, .rx_flags = rx_flags };

	return mg_wire_parse_packet(&in, ret_view);
}
