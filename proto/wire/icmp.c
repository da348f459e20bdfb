/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp.c - ICMP messages.
 */
#include "proto/wire/icmp.h"

#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/ipv4.h"
#include "proto/wire/l4sum.h"

#define QUOTE_L4_MIN 8 /* RFC 792: the IP header and 64 bits */

static enum mg_icmp_error unreach_error(uint8_t code)
{
	switch (code) {
	case MG_ICMP_UNREACH_NET:
	case 6:  /* network unknown */
	case 11: /* network unreachable for this type of service */
		return MG_ICMP_ERR_NET;
	case MG_ICMP_UNREACH_PROTO:
		return MG_ICMP_ERR_PROTO;
	case MG_ICMP_UNREACH_PORT:
		return MG_ICMP_ERR_PORT;
	case MG_ICMP_UNREACH_FRAG_NEEDED:
		return MG_ICMP_ERR_TOO_BIG;
	case 9:  /* network forbidden */
	case 10: /* host forbidden */
	case MG_ICMP_UNREACH_ADMIN:
		return MG_ICMP_ERR_ADMIN;
	default:
		return MG_ICMP_ERR_HOST;
	}
}

static enum mg_icmp_error error_of(uint8_t type, uint8_t code)
{
	switch (type) {
	case MG_ICMP_UNREACH:
		return unreach_error(code);
	case MG_ICMP_SOURCE_QUENCH:
		return MG_ICMP_ERR_QUENCH;
	case MG_ICMP_TIME_EXCEEDED:
		return MG_ICMP_ERR_TIME;
	case MG_ICMP_PARAM_PROBLEM:
		return MG_ICMP_ERR_PARAM;
	default:
		return MG_ICMP_ERR_NONE;
	}
}

/* The packet of ours that the error is about. */
static int parse_quote(const uint8_t *q, uint32_t len, struct mg_icmp_view *icmp)
{
	uint32_t hdr_len;

	if (len < MG_IPV4_HLEN + QUOTE_L4_MIN || q[0] >> 4 != 4)
		return -MG_DROP_ICMP_QUOTE;
	hdr_len = (q[0] & 0xfu) * 4;
	if (hdr_len < MG_IPV4_HLEN || len < hdr_len + QUOTE_L4_MIN)
		return -MG_DROP_ICMP_QUOTE;
	if ((mg_load_be16(q + 6) & 0x1fff) != 0) /* a later fragment has no ports */
		return -MG_DROP_ICMP_QUOTE;
	icmp->quote_l3_len = mg_load_be16(q + 2);
	icmp->quote_proto = q[9];
	icmp->quote.laddr = mg_addr_v4(mg_load_be32(q + 12));
	icmp->quote.raddr = mg_addr_v4(mg_load_be32(q + 16));
	icmp->quote.lport = mg_load_be16(q + hdr_len);
	icmp->quote.rport = mg_load_be16(q + hdr_len + 2);
	icmp->quote_seq = mg_load_be32(q + hdr_len + 4);
	return 0;
}

int mg_wire_icmp_parse(const struct mg_ip_view *ip, uint32_t rx_flags,
		       struct mg_icmp_view *ret_icmp)
{
	const uint8_t *p = ip->l4;

	if (ip->l4_first_len < MG_ICMP_HLEN)
		return -MG_DROP_ICMP_SHORT;
	if (!(rx_flags & MG_RX_L4_CSUM_OK) && !mg_csum_is_ok(mg_l4_sum(0, ip)))
		return -MG_DROP_ICMP_CSUM;
	memset(ret_icmp, 0, sizeof(*ret_icmp));
	ret_icmp->type = p[0];
	ret_icmp->code = p[1];
	if (p[0] == MG_ICMP_ECHO || p[0] == MG_ICMP_ECHO_REPLY) {
		ret_icmp->echo_id = mg_load_be16(p + 4);
		ret_icmp->echo_seq = mg_load_be16(p + 6);
	}
	ret_icmp->is_echo = p[0] == MG_ICMP_ECHO;
	ret_icmp->error = (uint8_t)error_of(p[0], p[1]);
	if (ret_icmp->error == MG_ICMP_ERR_NONE)
		return 0;
	ret_icmp->is_error = true;
	if (ret_icmp->error == MG_ICMP_ERR_TOO_BIG)
		ret_icmp->mtu = mg_load_be16(p + 6);
	return parse_quote(p + MG_ICMP_HLEN, ip->l4_first_len - MG_ICMP_HLEN, ret_icmp);
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

uint32_t mg_wire_icmp_echo_reply(uint8_t *dst, const struct mg_ip_view *ip, uint8_t ttl)
{
	const struct mg_ip_spec spec = {
		.src = &ip->dst,
		.dst = &ip->src,
		.l4_len = ip->l4_len,
		.id = (uint16_t)ip->id,
		.proto = MG_IPPROTO_ICMP,
		.ttl = ttl,
		.tos = (uint8_t)(ip->dscp << 2),
		.dont_fragment = ip->dont_fragment,
	};
	uint8_t *icmp = dst + MG_IPV4_HLEN;

	MG_ASSERT(ip->version == 4 && ip->l4_len >= MG_ICMP_HLEN);
	copy_l4(icmp, ip);
	icmp[0] = MG_ICMP_ECHO_REPLY;
	icmp[1] = 0;
	memset(icmp + 2, 0, 2);
	mg_csum_store(icmp + 2, mg_csum_add(0, icmp, ip->l4_len));
	return mg_wire_ipv4_emit(dst, &spec) + ip->l4_len;
}

uint32_t mg_wire_icmp_exceeded(uint8_t *dst, const struct mg_icmp_exceeded *e)
{
	const uint32_t room = MG_ICMP_EXCEEDED_MAX - MG_IPV4_HLEN - MG_ICMP_HLEN;
	uint32_t data_len = mg_min_u32(e->data_len, room - e->hdr_len);
	const struct mg_ip_spec spec = {
		.src = e->src,
		.dst = e->dst,
		.l4_len = MG_ICMP_HLEN + e->hdr_len + data_len,
		.proto = MG_IPPROTO_ICMP,
		.ttl = e->ttl,
	};
	uint8_t *icmp = dst + MG_IPV4_HLEN;

	MG_ASSERT(e->hdr_len < room);
	memset(icmp, 0, MG_ICMP_HLEN);
	icmp[0] = MG_ICMP_TIME_EXCEEDED;
	icmp[1] = 1;
	memcpy(icmp + MG_ICMP_HLEN, e->hdr, e->hdr_len);
	memcpy(icmp + MG_ICMP_HLEN + e->hdr_len, e->data, data_len);
	mg_csum_store(icmp + 2, mg_csum_add(0, icmp, spec.l4_len));
	return mg_wire_ipv4_emit(dst, &spec) + spec.l4_len;
}
