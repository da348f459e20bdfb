/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_tcp_test.c - TCP headers and options: RFC 9293, RFC 7323, RFC 2018.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/base/rng.h"
#include "proto/wire/checksum.h"
#include "proto/wire/tcp.h"

static const struct mg_addr peer = { .b = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 1 } };
static const struct mg_addr us = { .b = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 2 } };

/* An IP view over segment bytes, from the peer to us. */
static struct mg_ip_view around(const uint8_t *l4, uint32_t len)
{
	return (struct mg_ip_view){ .src = peer,
				    .dst = us,
				    .l3 = l4,
				    .l4 = l4,
				    .l4_len = len,
				    .l4_first_len = len,
				    .version = 4,
				    .proto = MG_IPPROTO_TCP,
				    .ttl = 64,
				    .ecn = MG_ECN_CE };
}

static int parse(const uint8_t *l4, uint32_t len, bool verified, struct mg_seg *seg)
{
	const struct mg_ip_view ip = around(l4, len);

	return mg_wire_tcp_parse(&ip, verified, seg);
}

/* A segment with these option bytes, padded with EOL, and a little payload. */
static uint32_t with_opts(uint8_t *buf, uint16_t flags, const uint8_t *opts, uint32_t opts_len)
{
	const struct mg_tcp_hdr_spec spec = { .sport = 1000, .dport = 80, .seq = 1, .flags = flags };
	uint32_t padded = (uint32_t)mg_align_up(opts_len, 4);

	mg_wire_tcp_emit(buf, &spec);
	memset(buf + MG_TCP_HLEN, 0, padded);
	memcpy(buf + MG_TCP_HLEN, opts, opts_len);
	buf[12] = (uint8_t)((MG_TCP_HLEN + padded) << 2);
	memcpy(buf + MG_TCP_HLEN + padded, "data", 4);
	return MG_TCP_HLEN + padded + 4;
}

static uint8_t opts_of(uint16_t flags, const uint8_t *opts, uint32_t len, struct mg_seg *seg)
{
	uint8_t buf[128];
	uint32_t n = with_opts(buf, flags, opts, len);

	assert_int_equal(parse(buf, n, true, seg), 0);
	assert_int_equal(seg->payload_len, 4); /* whatever the options: the segment stays */
	return seg->opts;
}

static void fixed_header_round_trip(void **state)
{
	const struct mg_tcp_hdr_spec spec = { .sport = 12345,
					      .dport = 80,
					      .seq = 0xfffffff0,
					      .ack = 0x12345678,
					      .flags = MG_TCP_ACK | MG_TCP_PSH | MG_TCP_URG |
						       MG_TCP_AE,
					      .wnd = 0xabcd,
					      .urg = 77 };
	struct mg_seg seg;
	uint8_t buf[64];

	(void)state;
	assert_int_equal(mg_wire_tcp_emit(buf, &spec), MG_TCP_HLEN);
	memcpy(buf + MG_TCP_HLEN, "hello", 5);
	assert_int_equal(parse(buf, MG_TCP_HLEN + 5, true, &seg), 0);
	assert_int_equal(seg.tuple.lport, 80);
	assert_int_equal(seg.tuple.rport, 12345);
	assert_true(mg_addr_eq(&seg.tuple.laddr, &us));
	assert_true(mg_addr_eq(&seg.tuple.raddr, &peer));
	assert_int_equal(seg.seq, 0xfffffff0);
	assert_int_equal(seg.ack, 0x12345678);
	assert_int_equal(seg.flags, spec.flags);
	assert_int_equal(seg.wnd, 0xabcd);
	assert_int_equal(seg.urg, 77);
	assert_int_equal(seg.opts, 0);
	assert_int_equal(seg.ecn, MG_ECN_CE);
	assert_int_equal(seg.payload_len, 5);
	assert_memory_equal(seg.payload.data, "hello", 5);
	assert_int_equal(mg_seg_len(&seg), 5);
}

static void every_truncation_is_refused(void **state)
{
	struct mg_tcp_hdr_spec spec = { .flags = MG_TCP_SYN,
					.opts = MG_SEG_OPT_MSS | MG_SEG_OPT_TS |
						MG_SEG_OPT_SACK_PERM | MG_SEG_OPT_WS };
	uint8_t buf[64];
	struct mg_seg seg;
	uint32_t len = mg_wire_tcp_emit(buf, &spec);

	(void)state;
	assert_int_equal(len, 40);
	for (uint32_t n = 0; n < len; n++)
		assert_int_equal(parse(buf, n, true, &seg),
				 n < MG_TCP_HLEN ? -MG_DROP_TCP_SHORT : -MG_DROP_TCP_DATA_OFF);
	for (uint8_t off = 0; off < 5; off++) { /* data offset below 5 */
		buf[12] = (uint8_t)(off << 4);
		assert_int_equal(parse(buf, len, true, &seg), -MG_DROP_TCP_DATA_OFF);
	}
}

/* RFC 9293 3.1: reserved bits must be ignored. */
static void reserved_bits_are_ignored(void **state)
{
	const struct mg_tcp_hdr_spec spec = { .flags = MG_TCP_ACK };
	uint8_t buf[64];
	struct mg_seg seg;

	(void)state;
	mg_wire_tcp_emit(buf, &spec);
	buf[12] |= 0x0e;
	assert_int_equal(parse(buf, MG_TCP_HLEN, true, &seg), 0);
	assert_int_equal(seg.flags, MG_TCP_ACK);
}

/* MUST-5, MUST-6: options in any segment, unaligned, unknown ones stepped over by their length. */
static void unknown_options_are_skipped(void **state)
{
	static const uint8_t opts[] = { 254, 5, 1, 2, 3, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 99, 2 };
	struct mg_seg seg;

	(void)state;
	assert_int_equal(opts_of(MG_TCP_ACK, opts, sizeof(opts), &seg), MG_SEG_OPT_TS);
	assert_int_equal(seg.tsval, 1);
	assert_int_equal(seg.tsecr, 2);
}

/* MUST-64: an option may begin at any byte. */
static void options_at_any_alignment(void **state)
{
	struct mg_seg seg;

	(void)state;
	for (uint32_t nops = 0; nops <= 30; nops++) {
		uint8_t opts[40];

		memset(opts, 1, sizeof(opts));
		memcpy(opts + nops,
		       (uint8_t[]){ 8, 10, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 }, 10);
		assert_int_equal(opts_of(MG_TCP_ACK, opts, nops + 10, &seg), MG_SEG_OPT_TS);
		assert_int_equal(seg.tsval, 0x11223344);
		assert_int_equal(seg.tsecr, 0x55667788);
	}
}

/* MUST-7: illegal lengths must not crash or mislead; what came before them counts. */
static void illegal_lengths_end_the_options(void **state)
{
	static const struct {
		uint8_t bytes[16];
		uint32_t len;
	} rows[] = {
		{ { 1, 1, 8, 0 }, 4 },                            /* zero: would loop for ever */
		{ { 1, 1, 8, 1 }, 4 },                            /* one: likewise */
		{ { 1, 1, 8, 11 }, 4 },                           /* beyond the header */
		{ { 1, 1, 1, 8 }, 4 },                            /* no room for the length */
		{ { 77, 255, 0, 0 }, 4 },                         /* unknown and beyond */
		{ { 77, 0, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, 12 }, /* nothing after it counts */
	};
	struct mg_seg seg;

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(rows); i++) {
		uint8_t opts[32] = { 3, 3, 7, 1 };

		assert_int_equal(opts_of(MG_TCP_ACK, rows[i].bytes, rows[i].len, &seg), 0);
		memcpy(opts + 4, rows[i].bytes, rows[i].len);
		assert_int_equal(opts_of(MG_TCP_SYN, opts, 4 + rows[i].len, &seg), MG_SEG_OPT_WS);
	}
}

/* A known kind with a wrong length is an unknown option. */
static void wrong_lengths_of_known_options(void **state)
{
	static const uint8_t rows[][12] = {
		{ 2, 3, 1, 1 }, { 2, 5, 1, 1, 1 },
		{ 3, 2, 1, 1 }, { 3, 4, 7, 7 },
		{ 4, 3, 1, 1 }, { 8, 9, 0, 0, 0, 0, 0, 0, 0 },
		{ 5, 2, 1, 1 }, { 5, 9, 0, 0, 0, 0, 0, 0, 0 },
	};
	struct mg_seg seg;

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(rows); i++) {
		assert_int_equal(opts_of(MG_TCP_SYN, rows[i], 12, &seg), 0);
		assert_int_equal(opts_of(MG_TCP_ACK, rows[i], 12, &seg), 0);
	}
}

static void end_of_options_ends_them(void **state)
{
	static const uint8_t opts[] = { 0, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 };
	struct mg_seg seg;

	(void)state;
	assert_int_equal(opts_of(MG_TCP_ACK, opts, sizeof(opts), &seg), 0);
}

/* RFC 9293 3.7.1, RFC 7323 1.3, RFC 2018 2: these count on SYN only; SACK blocks never do there. */
static void syn_options_count_on_syn_only(void **state)
{
	static const uint8_t opts[] = { 2, 4, 5, 0xb4, 4, 2, 3, 3, 7 };
	static const uint8_t sack[] = { 5, 10, 0, 0, 0, 1, 0, 0, 0, 9 };
	struct mg_seg seg;

	(void)state;
	assert_int_equal(opts_of(MG_TCP_ACK, opts, sizeof(opts), &seg), 0);
	assert_int_equal(opts_of(MG_TCP_SYN, opts, sizeof(opts), &seg),
			 MG_SEG_OPT_MSS | MG_SEG_OPT_SACK_PERM | MG_SEG_OPT_WS);
	assert_int_equal(seg.mss, 1460);
	assert_int_equal(seg.ws, 7);
	assert_int_equal(opts_of(MG_TCP_SYN | MG_TCP_ACK, opts, sizeof(opts), &seg) & MG_SEG_OPT_WS,
			 MG_SEG_OPT_WS);
	assert_int_equal(opts_of(MG_TCP_SYN, sack, sizeof(sack), &seg), 0);
	assert_int_equal(opts_of(MG_TCP_ACK, sack, sizeof(sack), &seg), MG_SEG_OPT_SACK);
}

/* RFC 7323 2.3: a shift above 14 is taken as 14. A zero MSS is none. */
static void odd_values(void **state)
{
	static const uint8_t ws[] = { 3, 3, 15 }, ws255[] = { 3, 3, 255 }, mss0[] = { 2, 4, 0, 0 };
	static const uint8_t mss_then_mss0[] = { 2, 4, 5, 0xb4, 2, 4, 0, 0 };
	struct mg_seg seg;

	(void)state;
	assert_int_equal(opts_of(MG_TCP_SYN, ws, sizeof(ws), &seg), MG_SEG_OPT_WS);
	assert_int_equal(seg.ws, MG_TCP_WS_MAX);
	assert_int_equal(opts_of(MG_TCP_SYN, ws255, sizeof(ws255), &seg), MG_SEG_OPT_WS);
	assert_int_equal(seg.ws, MG_TCP_WS_MAX);
	assert_int_equal(opts_of(MG_TCP_SYN, mss0, sizeof(mss0), &seg), 0);
	assert_int_equal(opts_of(MG_TCP_SYN, mss_then_mss0, sizeof(mss_then_mss0), &seg),
			 MG_SEG_OPT_MSS);
	assert_int_equal(seg.mss, 1460);
}

static void sack_blocks_are_read(void **state)
{
	uint8_t opts[40] = { 1, 1, 5, 34 };
	struct mg_seg seg;

	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		mg_store_be32(opts + 4 + 4 * i, 100 * i);
	for (uint8_t n = 1; n <= 4; n++) {
		opts[3] = (uint8_t)(2 + 8 * n);
		assert_int_equal(opts_of(MG_TCP_ACK, opts, 4u + 8 * n, &seg), MG_SEG_OPT_SACK);
		assert_int_equal(seg.nr_sack, n);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(seg.sack[i].start, 200 * i);
			assert_int_equal(seg.sack[i].end, 200 * i + 100);
		}
	}
}

static void emit_spec(const struct mg_tcp_hdr_spec *spec, const uint8_t *want, uint32_t want_len)
{
	uint8_t buf[64];

	assert_int_equal(mg_wire_tcp_hdr_len(spec), MG_TCP_HLEN + want_len);
	assert_int_equal(mg_wire_tcp_emit(buf, spec), MG_TCP_HLEN + want_len);
	assert_int_equal(buf[12] >> 4, (MG_TCP_HLEN + want_len) / 4);
	assert_memory_equal(buf + MG_TCP_HLEN, want, want_len);
}

/* The layouts Linux sends. */
static void emitted_option_layouts(void **state)
{
	static const uint8_t syn[] = { 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
				       0, 1, 0, 0,    0, 2, 1, 3,  3, 8 };
	static const uint8_t synack_no_ts[] = { 2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 8 };
	static const uint8_t syn_ts_only[] = { 2, 4, 5, 0xb4, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 };
	static const uint8_t ts[] = { 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 };
	static const uint8_t ts_sack[] = { 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2,
					   1, 1, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4 };
	struct mg_tcp_hdr_spec spec = {
		.flags = MG_TCP_SYN, .mss = 1460, .ws = 8, .tsval = 1, .tsecr = 2
	};

	(void)state;
	spec.opts = MG_SEG_OPT_MSS | MG_SEG_OPT_SACK_PERM | MG_SEG_OPT_TS | MG_SEG_OPT_WS;
	emit_spec(&spec, syn, sizeof(syn));
	spec.opts = MG_SEG_OPT_MSS | MG_SEG_OPT_SACK_PERM | MG_SEG_OPT_WS;
	emit_spec(&spec, synack_no_ts, sizeof(synack_no_ts));
	spec.opts = MG_SEG_OPT_MSS | MG_SEG_OPT_TS;
	emit_spec(&spec, syn_ts_only, sizeof(syn_ts_only));
	spec.flags = MG_TCP_ACK;
	spec.opts = MG_SEG_OPT_TS;
	emit_spec(&spec, ts, sizeof(ts));
	spec.opts = MG_SEG_OPT_TS | MG_SEG_OPT_SACK;
	emit_spec(&spec, ts, sizeof(ts)); /* no blocks: no option */
	spec.nr_sack = 1;
	spec.sack[0] = (struct mg_sack_block){ .start = 3, .end = 4 };
	emit_spec(&spec, ts_sack, sizeof(ts_sack));
	spec.nr_sack = 200; /* cut to what fits */
	assert_int_equal(mg_wire_tcp_hdr_len(&spec), 60);
	spec.opts = MG_SEG_OPT_SACK;
	assert_int_equal(mg_wire_tcp_hdr_len(&spec), 56);
}

/* Whatever is emitted is parsed back the same. */
static void all_option_sets_round_trip(void **state)
{
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 1);
	for (int i = 0; i < 20000; i++) {
		bool syn = mg_rng_below(&rng, 2) == 0;
		uint32_t mask = syn ? MG_SEG_OPT_MSS | MG_SEG_OPT_WS | MG_SEG_OPT_SACK_PERM |
						MG_SEG_OPT_TS
				    : MG_SEG_OPT_TS | MG_SEG_OPT_SACK;
		struct mg_tcp_hdr_spec spec = { .flags = syn ? MG_TCP_SYN : MG_TCP_ACK,
						.mss = (uint16_t)(1 + mg_rng_below(&rng, 65535)),
						.ws = (uint8_t)mg_rng_below(&rng, 15),
						.tsval = mg_rng_u32(&rng),
						.tsecr = mg_rng_u32(&rng),
						.opts = (uint8_t)(mg_rng_u32(&rng) & mask),
						.nr_sack = (uint8_t)(1 + mg_rng_below(&rng, 3)) };
		uint8_t buf[64];
		struct mg_seg seg;

		for (uint32_t k = 0; k < spec.nr_sack; k++)
			spec.sack[k] = (struct mg_sack_block){ mg_rng_u32(&rng), mg_rng_u32(&rng) };
		uint32_t len = mg_wire_tcp_emit(buf, &spec);

		assert_int_equal(parse(buf, len, true, &seg), 0);
		assert_int_equal(seg.opts, spec.opts);
		assert_int_equal(seg.payload_len, 0);
		if (spec.opts & MG_SEG_OPT_TS)
			assert_true(seg.tsval == spec.tsval && seg.tsecr == spec.tsecr);
		if (spec.opts & MG_SEG_OPT_MSS)
			assert_int_equal(seg.mss, spec.mss);
		if (spec.opts & MG_SEG_OPT_WS)
			assert_int_equal(seg.ws, spec.ws);
		if (spec.opts & MG_SEG_OPT_SACK) {
			assert_int_equal(seg.nr_sack, spec.nr_sack);
			assert_memory_equal(seg.sack, spec.sack,
					    spec.nr_sack * sizeof(spec.sack[0]));
		}
	}
}

static struct mg_frame_spec frame_spec(const struct mg_addr *src, const struct mg_addr *dst)
{
	return (struct mg_frame_spec){ .src = src,
				       .dst = dst,
				       .ttl = 64,
				       .csum = MG_TX_CSUM_FULL,
				       .tcp = { .sport = 1000,
						.dport = 80,
						.seq = 5,
						.ack = 6,
						.flags = MG_TCP_ACK,
						.wnd = 512,
						.tsval = 7,
						.tsecr = 8,
						.opts = MG_SEG_OPT_TS } };
}

static void whole_packets_carry_right_checksums(void **state)
{
	static const struct mg_addr v6a = { .b = { 0xfd, [15] = 1 } },
				    v6b = { .b = { 0xfd, [15] = 2 } };
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 4);
	for (uint32_t len = 0; len < 1500; len += 7) {
		struct mg_frame_spec spec = len % 2 ? frame_spec(&peer, &us)
						    : frame_spec(&v6a, &v6b);
		uint8_t buf[2048], payload[1500];
		struct mg_ip_view ip;
		struct mg_seg seg;

		for (uint32_t i = 0; i < len; i++)
			payload[i] = (uint8_t)mg_rng_u32(&rng);
		uint32_t hdr = mg_wire_ip_tcp_hdr_len(&spec);

		spec.payload_len = len;
		spec.payload_sum = mg_csum_copy(0, buf + hdr, payload, len);
		assert_int_equal(mg_wire_emit_ip_tcp(buf, &spec), hdr);
		const struct mg_ip_bytes pkt = { .data = buf, .len = hdr + len };

		assert_int_equal(mg_wire_ip_parse(&pkt, 0, &ip), 0);
		assert_int_equal(mg_wire_tcp_parse(&ip, false, &seg), 0);
		assert_int_equal(seg.payload_len, len);
		assert_memory_equal(seg.payload.data, payload, len);
		assert_true(mg_addr_eq(&seg.tuple.raddr, spec.src));
		buf[hdr - 1] ^= 1;
		assert_int_equal(mg_wire_tcp_parse(&ip, false, &seg), -MG_DROP_TCP_CSUM);
	}
}

/* What hardware and the virtio-net header expect: finishing the sum over the segment gives the checksum. */
static void offloaded_checksums(void **state)
{
	struct mg_frame_spec spec = frame_spec(&peer, &us);
	uint8_t full[128], part[128];
	uint32_t hdr;

	(void)state;
	spec.payload_len = 4;
	hdr = mg_wire_ip_tcp_hdr_len(&spec);
	memcpy(full + hdr, "abcd", 4);
	memcpy(part + hdr, "abcd", 4);
	spec.payload_sum = mg_csum_add(0, "abcd", 4);
	mg_wire_emit_ip_tcp(full, &spec);
	spec.csum = MG_TX_CSUM_PSEUDO;
	mg_wire_emit_ip_tcp(part, &spec);
	mg_csum_store(part + 36, mg_csum_add(0, part + 20, hdr - 20 + 4));
	assert_memory_equal(full, part, hdr + 4);

	spec.csum = MG_TX_CSUM_TSO;
	mg_wire_emit_ip_tcp(part, &spec);
	uint16_t want = mg_csum_fold(mg_csum_pseudo(&peer, &us, 6, 0));

	assert_int_equal(mg_load_u16(part + 36), want);
	spec.csum = MG_TX_CSUM_NONE;
	mg_wire_emit_ip_tcp(part, &spec);
	assert_int_equal(mg_load_u16(part + 36), 0);
}

static void checksum_spans_buffers_of_odd_length(void **state)
{
	struct mg_frame_spec spec = frame_spec(&peer, &us);
	uint8_t buf[128], copy[32];
	uint32_t hdr = mg_wire_ip_tcp_hdr_len(&spec);

	(void)state;
	spec.payload_len = 20;
	spec.payload_sum = mg_csum_copy(0, buf + hdr, "0123456789abcdefghij", 20);
	mg_wire_emit_ip_tcp(buf, &spec);
	for (uint32_t a = 1; a < 19; a++) {
		const struct mg_chunk c3 = { .data = buf + hdr + a + 1,
					     .len = 19 - a + 5 }; /* padding */
		const struct mg_chunk c2 = { .data = buf + hdr + a, .len = 1, .next = &c3 };
		const struct mg_ip_bytes pkt = { .data = buf, .len = hdr + a, .more = &c2 };
		struct mg_ip_view ip;
		struct mg_seg seg;

		assert_int_equal(mg_wire_ip_parse(&pkt, 0, &ip), 0);
		assert_int_equal(mg_wire_tcp_parse(&ip, false, &seg), 0);
		assert_int_equal(seg.payload_len, 20);
		assert_int_equal(seg.payload.len, a);
		for (uint32_t off = 0; off < 20; off++) {
			mg_seg_copy(&seg, off, copy, 20 - off);
			assert_memory_equal(copy, &"0123456789abcdefghij"[off], 20 - off);
			mg_seg_copy(&seg, off, copy, 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_header_round_trip),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(reserved_bits_are_ignored),
		cmocka_unit_test(unknown_options_are_skipped),
		cmocka_unit_test(options_at_any_alignment),
		cmocka_unit_test(illegal_lengths_end_the_options),
		cmocka_unit_test(wrong_lengths_of_known_options),
		cmocka_unit_test(end_of_options_ends_them),
		cmocka_unit_test(syn_options_count_on_syn_only),
		cmocka_unit_test(odd_values),
		cmocka_unit_test(sack_blocks_are_read),
		cmocka_unit_test(emitted_option_layouts),
		cmocka_unit_test(all_option_sets_round_trip),
		cmocka_unit_test(whole_packets_carry_right_checksums),
		cmocka_unit_test(offloaded_checksums),
		cmocka_unit_test(checksum_spans_buffers_of_odd_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
