/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipv6.c - IPv6 headers.
 */
#include "proto/wire/ipv6.h"

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/wire/ip6ext.h"

#define LABEL_MASK 0xfffffu
#define LABEL_SEED 0x6c6162656c366437ull /* keeps labels and table hashes apart */

static void fill_fixed(const uint8_t *p, struct mg_ip_view *ip)
{
	uint32_t tos = mg_load_be32(p) >> 20 & 0xff;

	ip->l3 = p;
	ip->version = 6;
	ip->ttl = p[7];
	ip->dscp = (uint8_t)(tos >> 2);
	ip->ecn = tos & 3;
	ip->dont_fragment = true;
}

static void fill_rest(const struct mg_ip_bytes *pkt, uint32_t total_len,
		      const struct mg_ip6ext_view *ext, struct mg_ip_view *ip)
{
	uint32_t hdr_len = MG_IPV6_HLEN + ext->len;

	ip->l4 = pkt->data + hdr_len;
	ip->more = total_len > pkt->len ? pkt->more : NULL;
	ip->l4_len = total_len - hdr_len;
	ip->l4_first_len = mg_min_u32(total_len, pkt->len) - hdr_len;
	ip->hdr_len = (uint16_t)hdr_len;
	ip->id = ext->frag_id;
	ip->frag_off = ext->frag_off;
	ip->proto = ext->proto;
	ip->is_fragment = ext->is_fragment;
	ip->more_fragments = ext->more_fragments;
}

int mg_wire_ipv6_parse(const struct mg_ip_bytes *pkt, struct mg_ip_view *ret_ip)
{
	const uint8_t *p = pkt->data;
	struct mg_ip6ext_view ext;
	uint32_t total_len;
	int err;

	if (pkt->len < MG_IPV6_HLEN)
		return -MG_DROP_IP_SHORT;
	if (p[0] >> 4 != 6)
		return -MG_DROP_IP_VERSION;
	total_len = MG_IPV6_HLEN + mg_load_be16(p + 4);
	if (total_len > pkt->len + mg_chunk_total(pkt->more))
		return -MG_DROP_IP_TOTAL_LEN;
	memcpy(ret_ip->src.b, p + 8, 16);
	memcpy(ret_ip->dst.b, p + 24, 16);
	/* ::ffff:a.b.c.d never appears on the wire (RFC 4291 2.5.5.2); it would pass for IPv4 here. */
	if (mg_addr_is_v4(&ret_ip->src) || mg_addr_is_v4(&ret_ip->dst))
		return -MG_DROP_IP6_MAPPED;
	err = mg_wire_ip6ext_walk(p[6], p + MG_IPV6_HLEN,
				  mg_min_u32(total_len, pkt->len) - MG_IPV6_HLEN, &ext);
	if (err < 0)
		return err;
	fill_fixed(p, ret_ip);
	fill_rest(pkt, total_len, &ext, ret_ip);
	return 0;
}

uint32_t mg_wire_ipv6_emit(uint8_t *dst, const struct mg_ip_spec *spec)
{
	MG_DASSERT(spec->l4_len <= UINT16_MAX);
	mg_store_be32(dst,
		      0x60000000u | (uint32_t)spec->tos << 20 | (spec->flow_label & LABEL_MASK));
	mg_store_be16(dst + 4, (uint16_t)spec->l4_len);
	dst[6] = spec->proto;
	dst[7] = spec->ttl;
	memcpy(dst + 8, spec->src->b, 16);
	memcpy(dst + 24, spec->dst->b, 16);
	return MG_IPV6_HLEN;
}

uint32_t mg_wire_ipv6_flow_label(const struct mg_tuple *tuple, uint64_t seed)
{
	uint32_t label;

	if (mg_addr_is_v4(&tuple->raddr))
		return 0;
	label = mg_tuple_hash(tuple, seed ^ LABEL_SEED) & LABEL_MASK;
	return label != 0 ? label : 1; /* 0 would say that there is none */
}
