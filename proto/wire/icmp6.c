/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp6.c - ICMPv6 messages.
 */
#include "proto/wire/icmp6.h"

#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/eth.h"
#include "proto/wire/ipv6.h"
#include "proto/wire/l4sum.h"

#define QUOTE_L4_MIN 8
#define ND_OPT_SOURCE_MAC 1
#define ND_OPT_TARGET_MAC 2
#define ND_OPT_UNIT 8

static bool csum_is_ok(const struct mg_ip_view *ip)
{
	uint64_t sum = mg_csum_pseudo(&ip->src, &ip->dst, MG_IPPROTO_ICMPV6, ip->l4_len);

	return mg_csum_is_ok(mg_l4_sum(sum, ip));
}

static int check_message(const struct mg_ip_view *ip, uint32_t rx_flags)
{
	if (ip->l4_first_len < MG_ICMP_HLEN)
		return -MG_DROP_ICMP_SHORT;
	if (!(rx_flags & MG_RX_L4_CSUM_OK) && !csum_is_ok(ip))
		return -MG_DROP_ICMP_CSUM;
	return 0;
}

static enum mg_icmp_error unreach_error(uint8_t code)
{
	switch (code) {
	case MG_ICMP6_UNREACH_NO_ROUTE:
		return MG_ICMP_ERR_NET;
	case MG_ICMP6_UNREACH_PORT:
		return MG_ICMP_ERR_PORT;
	case MG_ICMP6_UNREACH_ADMIN:
	case MG_ICMP6_UNREACH_POLICY:
	case MG_ICMP6_UNREACH_REJECT:
		return MG_ICMP_ERR_ADMIN;
	default:
		return MG_ICMP_ERR_HOST;
	}
}

static enum mg_icmp_error error_of(uint8_t type, uint8_t code)
{
	switch (type) {
	case MG_ICMP6_UNREACH:
		return unreach_error(code);
	case MG_ICMP6_TOO_BIG:
		return MG_ICMP_ERR_TOO_BIG;
	case MG_ICMP6_TIME_EXCEEDED:
		return MG_ICMP_ERR_TIME;
	case MG_ICMP6_PARAM_PROBLEM: /* code 1: the next header is unknown there */
		return code == 1 ? MG_ICMP_ERR_PROTO : MG_ICMP_ERR_PARAM;
	default:
		return MG_ICMP_ERR_NONE;
	}
}

/* The packet of ours that the error is about: we send no extension headers. */
static int parse_quote(const uint8_t *q, uint32_t len, struct mg_icmp_view *icmp)
{
	const uint8_t *l4 = q + MG_IPV6_HLEN;

	if (len < MG_IPV6_HLEN + QUOTE_L4_MIN || q[0] >> 4 != 6)
		return -MG_DROP_ICMP_QUOTE;
	icmp->quote_l3_len = MG_IPV6_HLEN + mg_load_be16(q + 4);
	icmp->quote_proto = q[6];
	memcpy(icmp->quote.laddr.b, q + 8, 16);
	memcpy(icmp->quote.raddr.b, q + 24, 16);
	if (mg_addr_is_v4(&icmp->quote.laddr) || mg_addr_is_v4(&icmp->quote.raddr))
		return -MG_DROP_ICMP_QUOTE; /* would pass for a connection of IPv4 */
	icmp->quote.lport = mg_load_be16(l4);
	icmp->quote.rport = mg_load_be16(l4 + 2);
	icmp->quote_seq = mg_load_be32(l4 + 4);
	return 0;
}

int mg_wire_icmp6_parse(const struct mg_ip_view *ip, uint32_t rx_flags,
			struct mg_icmp_view *ret_icmp)
{
	const uint8_t *p = ip->l4;
	int err = check_message(ip, rx_flags);

	if (err < 0)
		return err;
	memset(ret_icmp, 0, sizeof(*ret_icmp));
	ret_icmp->type = p[0];
	ret_icmp->code = p[1];
	if (p[0] == MG_ICMP6_ECHO || p[0] == MG_ICMP6_ECHO_REPLY) {
		ret_icmp->is_echo = p[0] == MG_ICMP6_ECHO;
		ret_icmp->echo_id = mg_load_be16(p + 4);
		ret_icmp->echo_seq = mg_load_be16(p + 6);
	}
	ret_icmp->error = (uint8_t)error_of(p[0], p[1]);
	if (ret_icmp->error == MG_ICMP_ERR_NONE)
		return 0;
	ret_icmp->is_error = true;
	if (ret_icmp->error == MG_ICMP_ERR_TOO_BIG)
		ret_icmp->mtu = mg_load_be32(p + 4);
	return parse_quote(p + MG_ICMP_HLEN, ip->l4_first_len - MG_ICMP_HLEN, ret_icmp);
}

bool mg_wire_icmp6_is_nd(const struct mg_ip_view *ip)
{
	return ip->l4_first_len > 0 && ip->l4[0] >= MG_ICMP6_ROUTER_SOLICIT &&
	       ip->l4[0] <= MG_ICMP6_REDIRECT;
}

/* Bytes before the options. */
static uint32_t fixed_len(uint8_t type)
{
	switch (type) {
	case MG_ICMP6_ROUTER_SOLICIT:
		return 8;
	case MG_ICMP6_ROUTER_ADVERT:
		return 16;
	case MG_ICMP6_REDIRECT:
		return 40;
	default:
		return 24;
	}
}

static int parse_options(const uint8_t *p, uint32_t len, struct mg_nd_view *nd)
{
	uint8_t wanted = nd->type == MG_ICMP6_NEIGHBOR_ADVERT || nd->type == MG_ICMP6_REDIRECT
				 ? ND_OPT_TARGET_MAC
				 : ND_OPT_SOURCE_MAC;

	while (len > 0) {
		uint32_t n = len < 2 ? 0 : p[1] * (uint32_t)ND_OPT_UNIT;

		if (n == 0 || n > len)
			return -MG_DROP_ND_MALFORMED;
		if (p[0] == wanted && n == ND_OPT_UNIT && !nd->has_mac) {
			nd->has_mac = true;
			memcpy(nd->mac.b, p + 2, sizeof(nd->mac.b));
		}
		p += n;
		len -= n;
	}
	return 0;
}

static bool is_solicited_node(const struct mg_addr *dst, const struct mg_addr *target)
{
	struct mg_addr group = mg_addr_solicited_node(target);

	return mg_addr_eq(dst, &group);
}

/* RFC 4861 6.1.2, 7.1.1, 7.1.2, 8.1. */
static bool addresses_fit(const struct mg_ip_view *ip, const struct mg_nd_view *nd)
{
	bool from_nobody = mg_addr_is_any(&ip->src);

	switch (nd->type) {
	case MG_ICMP6_NEIGHBOR_SOLICIT:
		if (from_nobody && (nd->has_mac || !is_solicited_node(&ip->dst, &nd->target)))
			return false;
		return !mg_addr_is_multicast(&nd->target);
	case MG_ICMP6_NEIGHBOR_ADVERT:
		if (mg_addr_is_multicast(&ip->dst) && (nd->flags & MG_ND_SOLICITED) != 0)
			return false;
		return !from_nobody && !mg_addr_is_multicast(&nd->target);
	case MG_ICMP6_ROUTER_SOLICIT:
		return !from_nobody || !nd->has_mac;
	default:
		return mg_addr_is_link_local(&ip->src);
	}
}

int mg_wire_nd_parse(const struct mg_ip_view *ip, uint32_t rx_flags, struct mg_nd_view *ret_nd)
{
	const uint8_t *p = ip->l4;
	uint32_t len;
	int err = check_message(ip, rx_flags);

	if (err < 0)
		return err;
	if (ip->ttl != MG_ND_HOP_LIMIT)
		return -MG_DROP_ND_HOPLIMIT;
	memset(ret_nd, 0, sizeof(*ret_nd));
	ret_nd->type = p[0];
	len = fixed_len(p[0]);
	/* RFC 6980: such messages are never fragmented, so they lie in one piece */
	if (p[1] != 0 || ip->l4_len < len || ip->l4_first_len != ip->l4_len)
		return -MG_DROP_ND_MALFORMED;
	if (p[0] >= MG_ICMP6_NEIGHBOR_SOLICIT)
		memcpy(ret_nd->target.b, p + 8, 16);
	if (p[0] == MG_ICMP6_NEIGHBOR_ADVERT)
		ret_nd->flags = p[4] & (MG_ND_ROUTER | MG_ND_SOLICITED | MG_ND_OVERRIDE);
	if (mg_addr_is_v4(&ret_nd->target))
		return -MG_DROP_ND_MALFORMED;
	err = parse_options(p + len, ip->l4_len - len, ret_nd);
	if (err < 0)
		return err;
	if (ret_nd->has_mac && mg_mac_is_multicast(&ret_nd->mac))
		return -MG_DROP_ND_MALFORMED;
	return addresses_fit(ip, ret_nd) ? 0 : -MG_DROP_ND_MALFORMED;
}

/* ip's payload in one piece; dst may be where it lies already. */
static void copy_l4(uint8_t *dst, const struct mg_ip_view *ip)
{
	uint32_t off = ip->l4_first_len;

	memmove(dst, ip->l4, ip->l4_first_len);
	for (const struct mg_chunk *c = ip->more; c != NULL && off < ip->l4_len; c = c->next) {
		uint32_t n = mg_min_u32(c->len, ip->l4_len - off);

		memcpy(dst + off, c->data, n);
		off += n;
	}
}

static void store_csum(uint8_t *icmp, const struct mg_ip_spec *spec)
{
	uint64_t sum = mg_csum_pseudo(spec->src, spec->dst, MG_IPPROTO_ICMPV6, spec->l4_len);

	memset(icmp + 2, 0, 2);
	mg_csum_store(icmp + 2, mg_csum_add(sum, icmp, spec->l4_len));
}

uint32_t mg_wire_icmp6_echo_reply(uint8_t *dst, const struct mg_ip_view *ip,
				  const struct mg_addr *src, uint8_t hop_limit)
{
	struct mg_addr from = *src, to = ip->src; /* the view may lie over dst */
	const struct mg_ip_spec spec = {
		.src = &from,
		.dst = &to,
		.l4_len = ip->l4_len,
		.proto = MG_IPPROTO_ICMPV6,
		.ttl = hop_limit,
		.tos = (uint8_t)(ip->dscp << 2),
	};
	uint8_t *icmp = dst + MG_IPV6_HLEN;

	MG_ASSERT(ip->version == 6 && ip->l4_len >= MG_ICMP_HLEN);
	copy_l4(icmp, ip);
	icmp[0] = MG_ICMP6_ECHO_REPLY;
	icmp[1] = 0;
	store_csum(icmp, &spec);
	return mg_wire_ipv6_emit(dst, &spec) + spec.l4_len;
}

uint32_t mg_wire_icmp6_exceeded(uint8_t *dst, const struct mg_icmp_exceeded *e)
{
	const uint32_t room = MG_ICMP6_EXCEEDED_MAX - MG_IPV6_HLEN - MG_ICMP_HLEN;
	uint32_t data_len = mg_min_u32(e->data_len, room - e->hdr_len);
	const struct mg_ip_spec spec = {
		.src = e->src,
		.dst = e->dst,
		.l4_len = MG_ICMP_HLEN + e->hdr_len + data_len,
		.proto = MG_IPPROTO_ICMPV6,
		.ttl = e->ttl,
	};
	uint8_t *icmp = dst + MG_IPV6_HLEN;

	MG_ASSERT(e->hdr_len < room);
	memset(icmp, 0, MG_ICMP_HLEN);
	icmp[0] = MG_ICMP6_TIME_EXCEEDED;
	icmp[1] = 1;
	memcpy(icmp + MG_ICMP_HLEN, e->hdr, e->hdr_len);
	memcpy(icmp + MG_ICMP_HLEN + e->hdr_len, e->data, data_len);
	store_csum(icmp, &spec);
	return mg_wire_ipv6_emit(dst, &spec) + spec.l4_len;
}

uint32_t mg_wire_nd_emit_frame(uint8_t *dst, const struct mg_nd_spec *nd)
{
	uint32_t fixed = fixed_len(nd->type);
	const struct mg_ip_spec spec = {
		.src = nd->src,
		.dst = nd->dst,
		.l4_len = fixed + (nd->mac != NULL ? ND_OPT_UNIT : 0u),
		.proto = MG_IPPROTO_ICMPV6,
		.ttl = MG_ND_HOP_LIMIT,
	};
	uint32_t len = mg_wire_eth_emit(dst, nd->dmac, nd->smac, MG_ETHERTYPE_IPV6);
	uint8_t *p;

	len += mg_wire_ipv6_emit(dst + len, &spec);
	p = dst + len;
	memset(p, 0, fixed);
	p[0] = nd->type;
	p[4] = nd->type == MG_ICMP6_NEIGHBOR_ADVERT ? nd->flags : 0;
	memcpy(p + 8, nd->target->b, 16);
	if (nd->mac != NULL) {
		p[fixed] = nd->type == MG_ICMP6_NEIGHBOR_ADVERT ? ND_OPT_TARGET_MAC
								: ND_OPT_SOURCE_MAC;
		p[fixed + 1] = 1;
		memcpy(p + fixed + 2, nd->mac->b, sizeof(nd->mac->b));
	}
	store_csum(p, &spec);
	return len + spec.l4_len;
}
