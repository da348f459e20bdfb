/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_frame_test.c - classification; the quick way and the careful way agree; malformed frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/base/rng.h"
#include "proto/wire/checksum.h"
#include "proto/wire/frame.h"

static const struct mg_addr peer = { .b = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 1 } };
static const struct mg_addr us = { .b = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 2 } };

struct frame {
	uint8_t b[256];
	uint32_t len;
};

static struct frame build(uint16_t flags, uint8_t opts, uint32_t payload)
{
	struct mg_frame_spec spec = { .dmac = { .b = { 2, 0, 0, 0, 0, 2 } },
				      .smac = { .b = { 2, 0, 0, 0, 0, 1 } },
				      .src = &peer,
				      .dst = &us,
				      .payload_len = payload,
				      .ip_id = 7,
				      .ttl = 61,
				      .tos = 0xb8 | MG_ECN_ECT1,
				      .csum = MG_TX_CSUM_FULL,
				      .tcp = { .sport = 1000,
					       .dport = 80,
					       .seq = 0x01020304,
					       .ack = 0xa0b0c0d0,
					       .flags = flags,
					       .wnd = 0x7fff,
					       .urg = 9,
					       .mss = 1460,
					       .ws = 7,
					       .tsval = 111,
					       .tsecr = 222,
					       .opts = opts,
					       .nr_sack = 2,
					       .sack = { { 1, 2 }, { 3, 4 } } } };
	struct frame f = { .len = mg_wire_eth_ip_tcp_hdr_len(&spec) + payload };
	uint8_t *data = f.b + f.len - payload;

	for (uint32_t i = 0; i < payload; i++)
		data[i] = (uint8_t)(i * 7);
	spec.payload_sum = mg_csum_add(0, data, payload);
	assert_int_equal(mg_wire_emit_eth_ip_tcp(f.b, &spec), f.len - payload);
	return f;
}

static void assert_same_seg(const struct mg_seg *a, const struct mg_seg *b)
{
	assert_true(mg_tuple_eq(&a->tuple, &b->tuple));
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->ack, b->ack);
	assert_int_equal(a->payload_len, b->payload_len);
	assert_int_equal(a->wnd, b->wnd);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->urg, b->urg);
	assert_int_equal(a->opts, b->opts);
	assert_int_equal(a->ecn, b->ecn);
	assert_int_equal(a->ttl, b->ttl);
	assert_int_equal(a->dscp, b->dscp);
	assert_int_equal(a->gso_size, b->gso_size);
	assert_int_equal(a->l3_len, b->l3_len);
	assert_ptr_equal(a->l3, b->l3);
	assert_ptr_equal(a->payload.data, b->payload.data);
	assert_int_equal(a->payload.len, b->payload.len);
	assert_ptr_equal(a->payload.next, b->payload.next);
	if (a->opts & MG_SEG_OPT_TS)
		assert_true(a->tsval == b->tsval && a->tsecr == b->tsecr);
	if (a->opts & MG_SEG_OPT_SACK)
		assert_memory_equal(a->sack, b->sack, a->nr_sack * sizeof(a->sack[0]));
}

/* On a port without link layer the quick way is never taken: whatever one says, the other must. */
static void assert_both_ways_agree(const uint8_t *frame, uint32_t len, uint32_t rx_flags)
{
	struct mg_frame_view quick, careful;
	int err = mg_wire_parse_frame(frame, len, rx_flags, &quick);
	int want = mg_wire_parse_frame(frame + MG_ETH_HLEN, len - MG_ETH_HLEN,
				       rx_flags | MG_RX_NO_L2, &careful);

	assert_int_equal(err, want);
	if (err < 0)
		return;
	assert_int_equal(quick.kind, careful.kind);
	if (quick.kind != MG_FRAME_TCP)
		return;
	assert_ptr_equal(quick.seg.l2, frame);
	assert_null(careful.seg.l2);
	assert_same_seg(&quick.seg, &careful.seg);
}

static void quick_and_careful_agree(void **state)
{
	static const uint8_t opts[] = { 0, MG_SEG_OPT_TS, MG_SEG_OPT_TS | MG_SEG_OPT_SACK,
					MG_SEG_OPT_SACK };
	static const uint16_t flags[] = {
		MG_TCP_ACK, MG_TCP_ACK | MG_TCP_PSH, MG_TCP_FIN | MG_TCP_ACK,
		MG_TCP_RST, MG_TCP_ACK | MG_TCP_URG, MG_TCP_SYN,
		MG_TCP_AE
	};

	(void)state;
	for (size_t o = 0; o < MG_ARRAY_SIZE(opts); o++) {
		for (size_t i = 0; i < MG_ARRAY_SIZE(flags); i++) {
			for (uint32_t payload = 0; payload < 40; payload++) {
				struct frame f = build(flags[i], opts[o], payload);
				struct mg_frame_view view;

				assert_int_equal(mg_wire_parse_frame(f.b, f.len, 0, &view), 0);
				assert_int_equal(view.kind, MG_FRAME_TCP);
				assert_int_equal(view.seg.payload_len, payload);
				assert_int_equal(view.seg.flags, flags[i]);
				assert_both_ways_agree(f.b, f.len, 0);
				assert_both_ways_agree(f.b, f.len + 10, 0); /* padding */
			}
		}
	}
}

/* Every byte of a good frame set to every value: both ways still say the same, with and without sums. */
static void every_changed_byte_agrees(void **state)
{
	static const uint8_t opts[] = { 0, MG_SEG_OPT_TS };

	(void)state;
	for (size_t o = 0; o < MG_ARRAY_SIZE(opts); o++) {
		for (uint32_t at = MG_ETH_HLEN; at < MG_ETH_HLEN + 60; at++) {
			for (uint32_t v = 0; v < 256; v++) {
				struct frame f = build(MG_TCP_ACK, opts[o], 20);

				f.b[at] = (uint8_t)v;
				/* An IPv6 header under the IPv4 EtherType: only a frame can tell. */
				if (f.b[MG_ETH_HLEN] >> 4 == 6)
					continue;
				assert_both_ways_agree(f.b, f.len, 0);
				assert_both_ways_agree(f.b, f.len,
						       MG_RX_L3_CSUM_OK | MG_RX_L4_CSUM_OK);
			}
		}
	}
}

/* In a heap block of exactly that size, so that a sanitizer sees one byte too many. */
static int parse_exact(const uint8_t *bytes, uint32_t len, uint32_t rx_flags,
		       struct mg_frame_view *view)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	err = mg_wire_parse_frame(copy, len, rx_flags, view);
	free(copy);
	return err;
}

static void every_truncation_is_refused(void **state)
{
	static const uint8_t opts[] = { 0, MG_SEG_OPT_TS, MG_SEG_OPT_TS | MG_SEG_OPT_SACK };
	struct mg_frame_view view;

	(void)state;
	for (size_t o = 0; o < MG_ARRAY_SIZE(opts); o++) {
		struct frame f = build(MG_TCP_ACK, opts[o], 5);

		for (uint32_t len = 0; len < f.len; len++) {
			int err = parse_exact(f.b, len, MG_RX_L3_CSUM_OK | MG_RX_L4_CSUM_OK, &view);

			assert_int_equal(err, len < 14    ? -MG_DROP_FRAME_SHORT
					      : len == 14 ? -MG_DROP_IP_SHORT
					      : len < 34  ? -MG_DROP_IP_SHORT
							  : -MG_DROP_IP_TOTAL_LEN);
		}
		assert_int_equal(parse_exact(f.b, f.len, 0, &view), 0);
	}
}

static void reasons(void **state)
{
	static const struct {
		uint32_t at;
		uint8_t value;
		int want;
	} rows[] = {
		{ 12, 0x88, -MG_DROP_ETH_TYPE }, { 0, 0x01, -MG_DROP_TCP_DST },
		{ 0, 0xff, -MG_DROP_TCP_DST },   { 14, 0x46, -MG_DROP_IP_CSUM },
		{ 24, 0xff, -MG_DROP_IP_CSUM },  { 20, 0x20, -MG_DROP_IP_CSUM },
		{ 50, 0x12, -MG_DROP_TCP_CSUM }, { 46, 0x10, -MG_DROP_TCP_CSUM },
		{ 13, 0xdd, -MG_DROP_ETH_TYPE },
	};
	struct mg_frame_view view;

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(rows); i++) {
		struct frame f = build(MG_TCP_ACK, MG_SEG_OPT_TS, 5);

		f.b[rows[i].at] = rows[i].value;
		if (rows[i].at == 46) /* the data offset is looked at before the sum */
			assert_int_equal(mg_wire_parse_frame(f.b, f.len, 0, &view),
					 -MG_DROP_TCP_DATA_OFF);
		else
			assert_int_equal(mg_wire_parse_frame(f.b, f.len, 0, &view), rows[i].want);
	}
}

/* MUST-57, MUST-63: no TCP to or from more than one host. */
static void bad_addresses_are_refused(void **state)
{
	static const struct {
		uint32_t src, dst;
		int want;
	} rows[] = {
		{ 0xe0000001, 0x0a000002, -MG_DROP_IP_SRC },
		{ 0xffffffff, 0x0a000002, -MG_DROP_IP_SRC },
		{ 0x00000000, 0x0a000002, -MG_DROP_IP_SRC },
		{ 0x0a000001, 0xe0000001, -MG_DROP_TCP_DST },
		{ 0x0a000001, 0xffffffff, -MG_DROP_TCP_DST },
		{ 0xf0000001, 0xf0000002, 0 },
		{ 0x00000001, 0x0a000002, 0 },
	};
	const uint32_t verified = MG_RX_L3_CSUM_OK | MG_RX_L4_CSUM_OK;
	struct mg_frame_view view;

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(rows); i++) {
		struct frame f = build(MG_TCP_ACK, MG_SEG_OPT_TS, 5);

		mg_store_be32(f.b + 26, rows[i].src);
		mg_store_be32(f.b + 30, rows[i].dst);
		assert_int_equal(mg_wire_parse_frame(f.b, f.len, verified, &view), rows[i].want);
		assert_both_ways_agree(f.b, f.len, verified);
	}
}

static void fragments_are_told_apart(void **state)
{
	struct frame f = build(MG_TCP_ACK, 0, 5);
	struct mg_frame_view view;

	(void)state;
	for (uint32_t bits = 1; bits < 0x4000; bits <<= 1) {
		mg_store_be16(f.b + 20, (uint16_t)bits);
		assert_int_equal(mg_wire_parse_frame(f.b, f.len, MG_RX_L3_CSUM_OK, &view), 0);
		assert_int_equal(view.kind, MG_FRAME_FRAGMENT);
		assert_int_equal(view.ip.frag_off, (bits & 0x1fff) * 8);
	}
	f.b[0] |= 1; /* in a broadcast frame */
	assert_int_equal(mg_wire_parse_frame(f.b, f.len, MG_RX_L3_CSUM_OK, &view),
			 -MG_DROP_IP_FRAGMENT);
	f.b[0] &= 0xfe;
	mg_store_be16(f.b + 20, 0x8000); /* the reserved bit means nothing */
	assert_int_equal(mg_wire_parse_frame(f.b, f.len, MG_RX_L3_CSUM_OK, &view), 0);
}

static void other_kinds(void **state)
{
	struct frame f = build(MG_TCP_ACK, 0, 5), tagged;
	struct mg_frame_view view;

	(void)state;
	f.b[23] = MG_IPPROTO_UDP;
	assert_int_equal(mg_wire_parse_frame(f.b, f.len, MG_RX_L3_CSUM_OK, &view), 0);
	assert_int_equal(view.kind, MG_FRAME_IP_OTHER);
	assert_int_equal(view.ip.proto, MG_IPPROTO_UDP);
	f.b[23] = MG_IPPROTO_ICMP;
	f.b[34] = MG_ICMP_ECHO;
	assert_int_equal(
		mg_wire_parse_frame(f.b, f.len, MG_RX_L3_CSUM_OK | MG_RX_L4_CSUM_OK, &view), 0);
	assert_int_equal(view.kind, MG_FRAME_ICMP);
	assert_int_equal(view.icmp.type, MG_ICMP_ECHO);
	assert_int_equal(view.ip.l4_len, 25);

	f = build(MG_TCP_ACK, MG_SEG_OPT_TS, 5);
	memcpy(tagged.b, f.b, 12);
	memcpy(tagged.b + 12, (uint8_t[]){ 0x81, 0, 0x00, 0x05 }, 4);
	memcpy(tagged.b + 16, f.b + 12, f.len - 12);
	assert_int_equal(mg_wire_parse_frame(tagged.b, f.len + 4, 0, &view), 0);
	assert_int_equal(view.kind, MG_FRAME_TCP);
	assert_int_equal(view.vlan_tci, 5);
	assert_int_equal(view.l2_len, 18);
	assert_int_equal(view.seg.tsval, 111);

	const struct mg_arp_view arp = { .op = MG_ARP_REQUEST, .spa = peer, .tpa = us };

	f.len = mg_wire_arp_emit_frame(f.b, &arp);
	assert_int_equal(mg_wire_parse_frame(f.b, 60, 0, &view), 0);
	assert_int_equal(view.kind, MG_FRAME_ARP);
	assert_true(mg_addr_eq(&view.arp.tpa, &us));
}

static void merged_segment_in_several_buffers(void **state)
{
	struct frame f = build(MG_TCP_ACK, MG_SEG_OPT_TS, 40);
	const struct mg_chunk rest = { .data = f.b + f.len - 30, .len = 30 };
	const struct mg_frame_bytes in = {
		.data = f.b, .len = f.len - 30, .more = &rest, .gso_size = 20
	};
	struct mg_frame_view view;
	uint8_t copy[40];

	(void)state;
	assert_int_equal(mg_wire_parse_packet(&in, &view), 0);
	assert_int_equal(view.seg.payload_len, 40);
	assert_int_equal(view.seg.payload.len, 10);
	assert_ptr_equal(view.seg.payload.next, &rest);
	assert_int_equal(view.seg.gso_size, 20);
	mg_seg_copy(&view.seg, 0, copy, 40);
	assert_memory_equal(copy, f.b + f.len - 40, 40);
}

/* Random bytes, and good frames with random damage: no answer but 0 or a reason; views stay inside. */
static void random_bytes_are_survived(void **state)
{
	struct mg_frame_view view;
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 11);
	for (int i = 0; i < 200000; i++) {
		struct frame f = build(MG_TCP_ACK, (uint8_t)mg_rng_u32(&rng) & MG_SEG_OPT_TS, 30);
		uint32_t hits = 1 + mg_rng_below(&rng, 6);
		uint32_t from = mg_rng_below(&rng, 2) ? 0 : 12;
		uint32_t len = mg_rng_below(&rng, 4) ? f.len : mg_rng_below(&rng, f.len + 1);

		for (uint32_t k = 0; k < (i % 4 == 0 ? f.len : hits); k++)
			f.b[from + mg_rng_below(&rng, f.len - from)] = (uint8_t)mg_rng_u32(&rng);
		int err = parse_exact(f.b, len, mg_rng_u32(&rng) & 7, &view);

		assert_true(err <= 0 && err > -MG_DROP_NR);
		if (err == 0 && view.kind == MG_FRAME_TCP)
			assert_true(view.seg.payload_len <= len && view.seg.l3_len <= len);
	}
}

static void drop_table_is_complete(void **state)
{
	(void)state;
	for (int i = 0; i < MG_DROP_NR; i++) {
		const struct mg_drop_info *info = mg_drop_info((enum mg_drop)i);

		assert_non_null(info->name);
		assert_non_null(info->help);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(info->name, mg_drop_info((enum mg_drop)k)->name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quick_and_careful_agree),
		cmocka_unit_test(every_changed_byte_agrees),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(reasons),
		cmocka_unit_test(bad_addresses_are_refused),
		cmocka_unit_test(fragments_are_told_apart),
		cmocka_unit_test(other_kinds),
		cmocka_unit_test(merged_segment_in_several_buffers),
		cmocka_unit_test(random_bytes_are_survived),
		cmocka_unit_test(drop_table_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
