/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipv6.c - IPv6 headers.
 */
#include "proto/wire/ipv6.h"

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/endian.h"

/* Next headers that are extensions (RFC 8200 4, RFC 4302, RFC 6275 and others). */
static bool is_extension(uint8_t next)
{
	switch (next) {
	case 0:   /* hop-by-hop */
	case 43:  /* routing */
	case 44:  /* fragment */
	case 51:  /* authentication */
	case 60:  /* destination options */
	case 135: /* mobility */
	case 139: /* HIP */
	case 140: /* shim6 */
		return true;
	default:
		return false;
	}
}

int mg_wire_ipv6_parse(const struct mg_ip_bytes *pkt, struct mg_ip_view *ret_ip)
{
	const uint8_t *p = pkt->data;
	uint32_t total_len, tos;

	if (pkt->len < MG_IPV6_HLEN)
		return -MG_DROP_IP_SHORT;
	if (p[0] >> 4 != 6)
		return -MG_DROP_IP_VERSION;
	total_len = MG_IPV6_HLEN + mg_load_be16(p + 4);
	if (total_len > pkt->len + mg_chunk_total(pkt->more))
		return -MG_DROP_IP_TOTAL_LEN;
	if (is_extension(p[6]))
		return -MG_DROP_IP6_EXT;

	tos = mg_load_be32(p) >> 20 & 0xff;
	memcpy(ret_ip->src.b, p + 8, 16);
	memcpy(ret_ip->dst.b, p + 24, 16);
	/* ::ffff:a.b.c.d never appears on the wire (RFC 4291 2.5.5.2); it would pass for IPv4 here. */
	if (mg_addr_is_v4(&ret_ip->src) || mg_addr_is_v4(&ret_ip->dst))
		return -MG_DROP_IP_SRC;
	ret_ip->l3 = p;
	ret_ip->l4 = p + MG_IPV6_HLEN;
	ret_ip->more = total_len > pkt->len ? pkt->more : NULL;
	ret_ip->l4_len = total_len - MG_IPV6_HLEN;
	ret_ip->l4_first_len = mg_min_u32(total_len, pkt->len) - MG_IPV6_HLEN;
	ret_ip->hdr_len = MG_IPV6_HLEN;
	ret_ip->id = 0;
	ret_ip->frag_off = 0;
	ret_ip->version = 6;
	ret_ip->proto = p[6];
	ret_ip->ttl = p[7];
	ret_ip->dscp = (uint8_t)(tos >> 2);
	ret_ip->ecn = tos & 3;
	ret_ip->is_fragment = false;
	ret_ip->dont_fragment = true;
	return 0;
}

uint32_t mg_wire_ipv6_emit(uint8_t *dst, const struct mg_ip_spec *spec)
{
	MG_DASSERT(spec->l4_len <= UINT16_MAX);
	mg_store_be32(dst, 0x60000000u | (uint32_t)spec->tos << 20);
	mg_store_be16(dst + 4, (uint16_t)spec->l4_len);
	dst[6] = spec->proto;
	dst[7] = spec->ttl;
	memcpy(dst + 8, spec->src->b, 16);
	memcpy(dst + 24, spec->dst->b, 16);
	return MG_IPV6_HLEN;
}
