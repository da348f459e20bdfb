/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipv4.c - IPv4 headers.
 */
#include "proto/wire/ipv4.h"

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/wire/checksum.h"

#define FRAG_DF 0x4000
#define FRAG_MF 0x2000
#define FRAG_OFF_MASK 0x1fff /* in units of 8 bytes */
#define OPT_EOL 0
#define OPT_NOP 1
#define OPT_LSRR 131
#define OPT_SSRR 137

static void fill_view(const uint8_t *p, struct mg_ip_view *ip)
{
	uint16_t frag = mg_load_be16(p + 6);

	ip->src = mg_addr_v4(mg_load_be32(p + 12));
	ip->dst = mg_addr_v4(mg_load_be32(p + 16));
	ip->l3 = p;
	ip->id = mg_load_be16(p + 4);
	ip->frag_off = (uint16_t)((frag & FRAG_OFF_MASK) * 8);
	ip->version = 4;
	ip->proto = p[9];
	ip->ttl = p[8];
	ip->dscp = p[1] >> 2;
	ip->ecn = p[1] & 3;
	ip->more_fragments = (frag & FRAG_MF) != 0;
	ip->is_fragment = (frag & (FRAG_MF | FRAG_OFF_MASK)) != 0;
	ip->dont_fragment = (frag & FRAG_DF) != 0;
}

/* Unknown options are stepped over (RFC 1122 3.2.1.8), route recorders and clocks, too: nobody reads them here. */
static int check_options(const uint8_t *opt, uint32_t left)
{
	while (left > 0 && opt[0] != OPT_EOL) {
		uint32_t len = 1;

		if (opt[0] == OPT_LSRR || opt[0] == OPT_SSRR)
			return -MG_DROP_IP_SOURCE_ROUTE;
		if (opt[0] != OPT_NOP) {
			if (left < 2 || opt[1] < 2 || opt[1] > left)
				return -MG_DROP_IP_OPTION;
			len = opt[1];
		}
		opt += len;
		left -= len;
	}
	return 0;
}

int mg_wire_ipv4_parse(const struct mg_ip_bytes *pkt, uint32_t rx_flags, struct mg_ip_view *ret_ip)
{
	const uint8_t *p = pkt->data;
	uint32_t hdr_len, total_len;

	if (pkt->len < MG_IPV4_HLEN)
		return -MG_DROP_IP_SHORT;
	if (p[0] >> 4 != 4)
		return -MG_DROP_IP_VERSION;
	hdr_len = (p[0] & 0xfu) * 4;
	if (hdr_len < MG_IPV4_HLEN || hdr_len > pkt->len)
		return -MG_DROP_IP_HDR_LEN;
	total_len = mg_load_be16(p + 2);
	if (total_len < hdr_len || total_len > pkt->len + mg_chunk_total(pkt->more))
		return -MG_DROP_IP_TOTAL_LEN;
	if (!(rx_flags & MG_RX_L3_CSUM_OK) && !mg_csum_is_ok(mg_csum_add(0, p, hdr_len)))
		return -MG_DROP_IP_CSUM;

	if (mg_unlikely(hdr_len > MG_IPV4_HLEN)) {
		int err = check_options(p + MG_IPV4_HLEN, hdr_len - MG_IPV4_HLEN);

		if (err < 0)
			return err;
	}
	fill_view(p, ret_ip);
	ret_ip->l4 = p + hdr_len;
	ret_ip->hdr_len = (uint16_t)hdr_len;
	ret_ip->l4_len = total_len - hdr_len;
	ret_ip->l4_first_len = mg_min_u32(total_len, pkt->len) - hdr_len;
	ret_ip->more = total_len > pkt->len ? pkt->more : NULL;
	return 0;
}

uint32_t mg_wire_ipv4_emit(uint8_t *dst, const struct mg_ip_spec *spec)
{
	uint32_t total = MG_IPV4_HLEN + spec->l4_len;
	uint32_t w0 = mg_be32(0x45000000u | (uint32_t)spec->tos << 16 | total);
	uint32_t w1 = mg_be32((uint32_t)spec->id << 16 | (spec->dont_fragment ? FRAG_DF : 0u));
	uint32_t w2 = mg_be32((uint32_t)spec->ttl << 24 | (uint32_t)spec->proto << 16);
	uint32_t src = mg_load_u32(spec->src->b + 12);
	uint32_t dst_addr = mg_load_u32(spec->dst->b + 12);
	uint64_t sum = (uint64_t)w0 + w1 + w2 + src + dst_addr;

	MG_DASSERT(total <= UINT16_MAX);
	memcpy(dst, &w0, 4);
	memcpy(dst + 4, &w1, 4);
	memcpy(dst + 8, &w2, 4);
	mg_csum_store(dst + 10, sum);
	memcpy(dst + 12, &src, 4);
	memcpy(dst + 16, &dst_addr, 4);
	return MG_IPV4_HLEN;
}
