/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.c - from segment bytes to the view.
 */
#include "proto/wire/tcp.h"

#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/l4sum.h"
#include "proto/wire/tcp_opt.h"

#define FLAGS_MASK 0x1ff /* the three reserved bits are ignored (RFC 9293 3.1) */

/* RFC 7413 4.1.1: a cookie of 4 to 16 bytes, an even number, or none: one is asked for. */
static void parse_tfo(const uint8_t *opt, struct mg_seg *seg)
{
	uint32_t bytes = opt[1] - 2u;

	if (bytes != 0 &&
	    (bytes < MG_TFO_COOKIE_MIN || bytes > MG_TFO_COOKIE_MAX || bytes % 2 != 0))
		return;
	seg->tfo = opt + 2;
	seg->tfo_len = (uint8_t)bytes;
	seg->opts |= MG_SEG_OPT_TFO;
}

/* Options that count on a SYN only (RFC 9293 3.7.1, RFC 7323 1.3, RFC 2018 2, RFC 7413 4.1.1). */
static void parse_syn_opt(const uint8_t *opt, struct mg_seg *seg)
{
	if (opt[0] == MG_TCP_OPT_MSS && opt[1] == MG_TCP_OPTLEN_MSS) {
		if (mg_load_be16(opt + 2) == 0)
			return; /* nonsense: as if it were not there */
		seg->mss = mg_load_be16(opt + 2);
		seg->opts |= MG_SEG_OPT_MSS;
	} else if (opt[0] == MG_TCP_OPT_WS && opt[1] == MG_TCP_OPTLEN_WS) {
		/* RFC 7323 2.3: more than 14 is taken as 14. */
		seg->ws = (uint8_t)mg_min_u32(opt[2], MG_TCP_WS_MAX);
		seg->opts |= MG_SEG_OPT_WS;
	} else if (opt[0] == MG_TCP_OPT_SACK_PERM && opt[1] == MG_TCP_OPTLEN_SACK_PERM) {
		seg->opts |= MG_SEG_OPT_SACK_PERM;
	} else if (opt[0] == MG_TCP_OPT_TFO) {
		parse_tfo(opt, seg);
	}
}

static void parse_sack(const uint8_t *opt, struct mg_seg *seg)
{
	uint32_t bytes = opt[1] - 2u;

	if (bytes == 0 || bytes % 8 != 0)
		return;
	seg->nr_sack = (uint8_t)mg_min_u32(bytes / 8, MG_SACK_BLOCKS_MAX);
	for (uint32_t i = 0; i < seg->nr_sack; i++) {
		seg->sack[i].start = mg_load_be32(opt + 2 + 8 * i);
		seg->sack[i].end = mg_load_be32(opt + 6 + 8 * i);
	}
	seg->opts |= MG_SEG_OPT_SACK;
}

/* One option of opt[1] bytes, all of them there. What is unknown or of a wrong length is stepped over. */
static void parse_opt(const uint8_t *opt, struct mg_seg *seg)
{
	if (opt[0] == MG_TCP_OPT_TS && opt[1] == MG_TCP_OPTLEN_TS) {
		seg->tsval = mg_load_be32(opt + 2);
		seg->tsecr = mg_load_be32(opt + 6);
		seg->opts |= MG_SEG_OPT_TS;
	} else if (seg->flags & MG_TCP_SYN) {
		parse_syn_opt(opt, seg);
	} else if (opt[0] == MG_TCP_OPT_SACK) {
		parse_sack(opt, seg);
	}
}

static void parse_opts(const uint8_t *opt, uint32_t left, struct mg_seg *seg)
{
	while (left > 0 && opt[0] != MG_TCP_OPT_EOL) {
		uint32_t len = 1;

		if (opt[0] != MG_TCP_OPT_NOP) {
			if (left < 2)
				return;
			len = opt[1];
			/* MUST-7: an illegal length must not lead astray; the rest is ignored. */
			if (len < 2 || len > left)
				return;
			parse_opt(opt, seg);
		}
		opt += len;
		left -= len;
	}
}

static bool csum_is_ok(const struct mg_ip_view *ip)
{
	uint64_t sum = mg_csum_pseudo(&ip->src, &ip->dst, MG_IPPROTO_TCP, ip->l4_len);

	return mg_csum_is_ok(mg_l4_sum(sum, ip));
}

static void fill_fixed(const struct mg_ip_view *ip, struct mg_seg *seg)
{
	const uint8_t *p = ip->l4;

	seg->tuple.laddr = ip->dst;
	seg->tuple.raddr = ip->src;
	seg->tuple.lport = mg_load_be16(p + 2);
	seg->tuple.rport = mg_load_be16(p);
	seg->seq = mg_load_be32(p + 4);
	seg->ack = mg_load_be32(p + 8);
	seg->flags = mg_load_be16(p + 12) & FLAGS_MASK;
	seg->wnd = mg_load_be16(p + 14);
	seg->urg = mg_load_be16(p + 18);
	seg->opts = 0;
	seg->ecn = ip->ecn;
	seg->ttl = ip->ttl;
	seg->dscp = ip->dscp;
	seg->nr_sack = 0;
	seg->gso_size = 0;
	seg->l2 = NULL;
	seg->l3 = ip->l3;
	seg->l3_len = ip->hdr_len + ip->l4_first_len;
}

int mg_wire_tcp_parse(const struct mg_ip_view *ip, bool csum_verified, struct mg_seg *ret_seg)
{
	uint32_t hdr_len;

	if (ip->l4_first_len < MG_TCP_HLEN)
		return -MG_DROP_TCP_SHORT;
	hdr_len = (uint32_t)(ip->l4[12] >> 4) * 4;
	if (hdr_len < MG_TCP_HLEN || hdr_len > ip->l4_first_len)
		return -MG_DROP_TCP_DATA_OFF;
	if (!csum_verified && !csum_is_ok(ip))
		return -MG_DROP_TCP_CSUM;

	fill_fixed(ip, ret_seg);
	ret_seg->payload_len = ip->l4_len - hdr_len;
	ret_seg->payload.data = ip->l4 + hdr_len;
	ret_seg->payload.len = ip->l4_first_len - hdr_len;
	ret_seg->payload.next = ip->more;
	parse_opts(ip->l4 + MG_TCP_HLEN, hdr_len - MG_TCP_HLEN, ret_seg);
	return 0;
}
