/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_emit.c - from numbers to header bytes.
 *
 * Headers are written in whole 32-bit words and summed in the same words, so that the sum reads what was
 * just stored straight from the store buffer.
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

static uint8_t *put_word(uint8_t *p, uint32_t word)
{
	mg_store_be32(p, word);
	return p + 4;
}

static uint8_t *put_sack(uint8_t *p, const struct mg_tcp_hdr_spec *spec, uint32_t nr)
{
	p = put_word(p, MG_TCP_OPT_WORD(MG_TCP_OPT_SACK, 2 + nr * SACK_BLOCK_BYTES));
	for (uint32_t i = 0; i < nr; i++) {
		p = put_word(p, spec->sack[i].start);
		p = put_word(p, spec->sack[i].end);
	}
	return p;
}

/* In the order Linux uses, each option padded to whole words. */
static uint8_t *put_opts(uint8_t *p, const struct mg_tcp_hdr_spec *spec)
{
	bool sack_perm = (spec->opts & MG_SEG_OPT_SACK_PERM) != 0;
	uint32_t nr_sack = sack_blocks(spec, fixed_opts_len(spec));

	if (spec->opts & MG_SEG_OPT_MSS)
		p = put_word(p, 0x02040000u | spec->mss);
	if (spec->opts & MG_SEG_OPT_TS) {
		p = put_word(p, sack_perm ? 0x0402080au : MG_TCP_OPT_TS_WORD);
		p = put_word(p, spec->tsval);
		p = put_word(p, spec->tsecr);
	} else if (sack_perm) {
		p = put_word(p, MG_TCP_OPT_WORD(MG_TCP_OPT_SACK_PERM, MG_TCP_OPTLEN_SACK_PERM));
	}
	if (spec->opts & MG_SEG_OPT_WS)
		p = put_word(p, 0x01030300u | spec->ws);
	if (nr_sack > 0)
		p = put_sack(p, spec, nr_sack);
	return p;
}

uint32_t mg_wire_tcp_emit(uint8_t *dst, const struct mg_tcp_hdr_spec *spec)
{
	uint32_t len = mg_wire_tcp_hdr_len(spec);
	uint8_t *p = dst;

	p = put_word(p, (uint32_t)spec->sport << 16 | spec->dport);
	p = put_word(p, spec->seq);
	p = put_word(p, spec->ack);
	p = put_word(p, len << 26 | (uint32_t)spec->flags << 16 | spec->wnd);
	p = put_word(p, spec->urg);
	if (mg_likely(spec->opts == MG_SEG_OPT_TS)) {
		p = put_word(p, MG_TCP_OPT_TS_WORD);
		p = put_word(p, spec->tsval);
		p = put_word(p, spec->tsecr);
	} else if (spec->opts != 0) {
		p = put_opts(p, spec);
	}
	MG_DASSERT(p == dst + len && spec->flags <= 0x1ff);
	return len;
}

static uint64_t sum_words(uint64_t sum, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 4)
		sum += mg_load_u32(p + i);
	return sum;
}

/* What the port wants to find in the checksum field, which is zero until now. */
static void put_csum(uint8_t *tcp, uint32_t hdr_len, const struct mg_frame_spec *spec)
{
	uint32_t l4_len = hdr_len + spec->payload_len;
	uint64_t sum;

	switch ((enum mg_tx_csum)spec->csum) {
	case MG_TX_CSUM_FULL:
		sum = mg_csum_pseudo(spec->src, spec->dst, MG_IPPROTO_TCP, l4_len);
		sum = mg_csum_sum(sum_words(sum, tcp, hdr_len), spec->payload_sum);
		mg_csum_store(tcp + 16, sum);
		return;
	case MG_TX_CSUM_PSEUDO:
		mg_csum_store_raw(tcp + 16, mg_csum_pseudo(spec->src, spec->dst, MG_IPPROTO_TCP, l4_len));
		return;
	case MG_TX_CSUM_TSO:
		mg_csum_store_raw(tcp + 16, mg_csum_pseudo(spec->src, spec->dst, MG_IPPROTO_TCP, 0));
		return;
	case MG_TX_CSUM_NONE:
		return;
	}
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
	};
	uint32_t ip_len = mg_wire_ip_emit(dst, &ip);

	mg_wire_tcp_emit(dst + ip_len, &spec->tcp);
	put_csum(dst + ip_len, tcp_len, spec);
	return ip_len + tcp_len;
}

uint32_t mg_wire_emit_eth_ip_tcp(uint8_t *dst, const struct mg_frame_spec *spec)
{
	uint16_t type = mg_addr_is_v4(spec->src) ? MG_ETHERTYPE_IPV4 : MG_ETHERTYPE_IPV6;
	uint32_t eth_len = mg_wire_eth_emit(dst, &spec->dmac, &spec->smac, type);

	return eth_len + mg_wire_emit_ip_tcp(dst + eth_len, spec);
}
