/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_emit.c - from numbers to header bytes.
 *
 * Headers are written in whole 32-bit words, and summed as they are written: reading them back in wider
 * pieces would wait until the stores have left the store buffer (25 instead of 16 ns, built by clang).
 */
#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/eth.h"
#include "proto/wire/tcp.h"
#include "proto/wire/tcp_opt.h"

#define TS_BYTES 12 /* with its padding */
#define OPT_BYTES 4 /* likewise MSS, SACK-permitted, window scale */
#define SACK_HEAD_BYTES 4
#define SACK_BLOCK_BYTES 8
#define CSUM_OFF 16 /* of the checksum field in the header */

/* Kind, length, cookie, padding. */
static uint32_t tfo_bytes(const struct mg_tcp_hdr_spec *spec)
{
	return (uint32_t)mg_align_up(2u + spec->tfo_len, 4);
}

/* Everything but SACK blocks. */
static uint32_t fixed_opts_len(const struct mg_tcp_hdr_spec *spec)
{
	uint32_t len = 0;

	if (spec->opts & MG_SEG_OPT_MSS)
		len += OPT_BYTES;
	if (spec->opts & MG_SEG_OPT_TS)
		len += TS_BYTES; /* SACK-permitted takes the place of its padding */
	else if (spec->opts & MG_SEG_OPT_SACK_PERM)
		len += OPT_BYTES;
	if (spec->opts & MG_SEG_OPT_WS)
		len += OPT_BYTES;
	if (spec->opts & MG_SEG_OPT_TFO)
		len += tfo_bytes(spec);
	return len;
}

/* Blocks that fit beside the other options. */
static uint32_t sack_blocks(const struct mg_tcp_hdr_spec *spec, uint32_t fixed_len)
{
	uint32_t room = (MG_TCP_OPTS_MAX - SACK_HEAD_BYTES - fixed_len) / SACK_BLOCK_BYTES;

	if (!(spec->opts & MG_SEG_OPT_SACK))
		return 0;
	return mg_min_u32(spec->nr_sack, mg_min_u32(room, MG_SACK_BLOCKS_MAX));
}

static uint32_t opts_len(const struct mg_tcp_hdr_spec *spec)
{
	uint32_t len = fixed_opts_len(spec);
	uint32_t nr = sack_blocks(spec, len);

	return nr > 0 ? len + SACK_HEAD_BYTES + nr * SACK_BLOCK_BYTES : len;
}

uint32_t mg_wire_tcp_hdr_len(const struct mg_tcp_hdr_spec *spec)
{
	if (mg_likely((spec->opts & ~(uint32_t)MG_SEG_OPT_TS) == 0))
		return MG_TCP_HLEN + (spec->opts != 0 ? TS_BYTES : 0u);
	return MG_TCP_HLEN + opts_len(spec);
}

/* Where the next word goes, and the sum of those before. */
struct cursor {
	uint8_t *p;
	uint64_t sum;
};

static inline void put_word(struct cursor *c, uint32_t word)
{
	uint32_t be = mg_be32(word);

	memcpy(c->p, &be, sizeof(be));
	c->p += sizeof(be);
	c->sum += be;
}

static void put_sack(struct cursor *c, const struct mg_tcp_hdr_spec *spec, uint32_t nr)
{
	put_word(c, MG_TCP_OPT_WORD(MG_TCP_OPT_SACK, 2 + nr * SACK_BLOCK_BYTES));
	for (uint32_t i = 0; i < nr; i++) {
		put_word(c, spec->sack[i].start);
		put_word(c, spec->sack[i].end);
	}
}

/* The padding comes first, as before the others. */
static void put_tfo(struct cursor *c, const struct mg_tcp_hdr_spec *spec)
{
	uint8_t bytes[2 + 2 + MG_TFO_COOKIE_MAX + 2];
	uint32_t all = tfo_bytes(spec), pad = all - 2u - spec->tfo_len;

	memset(bytes, MG_TCP_OPT_NOP, sizeof(bytes));
	bytes[pad] = MG_TCP_OPT_TFO;
	bytes[pad + 1] = (uint8_t)(2 + spec->tfo_len);
	if (spec->tfo_len != 0)
		memcpy(bytes + pad + 2, spec->tfo, spec->tfo_len);
	for (uint32_t i = 0; i < all; i += 4)
		put_word(c, mg_load_be32(bytes + i));
}

/* In the order Linux uses, each option padded to whole words. */
static void put_opts(struct cursor *c, const struct mg_tcp_hdr_spec *spec)
{
	bool sack_perm = (spec->opts & MG_SEG_OPT_SACK_PERM) != 0;
	uint32_t nr_sack = sack_blocks(spec, fixed_opts_len(spec));

	if (spec->opts & MG_SEG_OPT_MSS)
		put_word(c, 0x02040000u | spec->mss);
	if (spec->opts & MG_SEG_OPT_TS) {
		put_word(c, sack_perm ? 0x0402080au : MG_TCP_OPT_TS_WORD);
		put_word(c, spec->tsval);
		put_word(c, spec->tsecr);
	} else if (sack_perm) {
		put_word(c, MG_TCP_OPT_WORD(MG_TCP_OPT_SACK_PERM, MG_TCP_OPTLEN_SACK_PERM));
	}
	if (spec->opts & MG_SEG_OPT_WS)
		put_word(c, 0x01030300u | spec->ws);
	if (spec->opts & MG_SEG_OPT_TFO)
		put_tfo(c, spec);
	if (nr_sack > 0)
		put_sack(c, spec, nr_sack);
}

/* Writes the header with a zero checksum field; returns the sum of its words. */
static inline uint64_t put_hdr(uint8_t *dst, const struct mg_tcp_hdr_spec *spec, uint32_t len)
{
	struct cursor c = { .p = dst };

	put_word(&c, (uint32_t)spec->sport << 16 | spec->dport);
	put_word(&c, spec->seq);
	put_word(&c, spec->ack);
	put_word(&c, len << 26 | (uint32_t)spec->flags << 16 | spec->wnd);
	put_word(&c, spec->urg);
	if (mg_likely(spec->opts == MG_SEG_OPT_TS)) {
		put_word(&c, MG_TCP_OPT_TS_WORD);
		put_word(&c, spec->tsval);
		put_word(&c, spec->tsecr);
	} else if (spec->opts != 0) {
		put_opts(&c, spec);
	}
	MG_DASSERT(c.p == dst + len && spec->flags <= 0x1ff);
	return c.sum;
}

uint32_t mg_wire_tcp_emit(uint8_t *dst, const struct mg_tcp_hdr_spec *spec)
{
	uint32_t len = mg_wire_tcp_hdr_len(spec);

	(void)put_hdr(dst, spec, len); /* the sum is for those who know the rest of the packet */
	return len;
}

/* What the port wants to find in the checksum field, which is zero until now. */
static void put_csum(uint8_t *field, uint64_t hdr_sum, uint32_t l4_len,
		     const struct mg_frame_spec *spec)
{
	uint64_t pseudo;

	if (spec->csum == MG_TX_CSUM_NONE)
		return;
	pseudo = mg_csum_pseudo(spec->src, spec->dst, MG_IPPROTO_TCP,
				spec->csum == MG_TX_CSUM_TSO ? 0 : l4_len);
	if (spec->csum == MG_TX_CSUM_FULL)
		mg_csum_store(field, mg_csum_sum(pseudo + hdr_sum, spec->payload_sum));
	else
		mg_csum_store_raw(field, pseudo);
}

uint32_t mg_wire_ip_tcp_hdr_len(const struct mg_frame_spec *spec)
{
	return (mg_addr_is_v4(spec->src) ? MG_IPV4_HLEN : MG_IPV6_HLEN) +
	       mg_wire_tcp_hdr_len(&spec->tcp);
}

uint32_t mg_wire_eth_ip_tcp_hdr_len(const struct mg_frame_spec *spec)
{
	return MG_ETH_HLEN + mg_wire_ip_tcp_hdr_len(spec);
}

uint32_t mg_wire_emit_ip_tcp(uint8_t *dst, const struct mg_frame_spec *spec)
{
	uint32_t tcp_len = mg_wire_tcp_hdr_len(&spec->tcp);
	const struct mg_ip_spec ip = {
		.src = spec->src,
		.dst = spec->dst,
		.l4_len = tcp_len + spec->payload_len,
		.id = spec->ip_id,
		.proto = MG_IPPROTO_TCP,
		.ttl = spec->ttl,
		.tos = spec->tos,
		.dont_fragment = true,
		.flow_label = spec->flow_label,
	};
	uint32_t ip_len = mg_wire_ip_emit(dst, &ip);

	uint64_t hdr_sum = put_hdr(dst + ip_len, &spec->tcp, tcp_len);

	put_csum(dst + ip_len + CSUM_OFF, hdr_sum, ip.l4_len, spec);
	return ip_len + tcp_len;
}

uint32_t mg_wire_emit_eth_ip_tcp(uint8_t *dst, const struct mg_frame_spec *spec)
{
	uint16_t type = mg_addr_is_v4(spec->src) ? MG_ETHERTYPE_IPV4 : MG_ETHERTYPE_IPV6;
	uint32_t eth_len = mg_wire_eth_emit(dst, &spec->dmac, &spec->smac, type);

	return eth_len + mg_wire_emit_ip_tcp(dst + eth_len, spec);
}
