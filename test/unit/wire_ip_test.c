/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_ip_test.c - IP headers of both families: every field that can lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/ipv4.h"
#include "proto/wire/ipv6.h"

#define PAYLOAD 12

static uint32_t build(uint8_t *buf, bool v6)
{
	struct mg_addr src = mg_addr_v4(0x0a000001), dst = mg_addr_v4(0x0a000002);
	struct mg_ip_spec spec = { .src = &src,
				   .dst = &dst,
				   .l4_len = PAYLOAD,
				   .id = 0x1234,
				   .proto = MG_IPPROTO_TCP,
				   .ttl = 64,
				   .tos = 0x2e << 2 | MG_ECN_ECT0,
				   .dont_fragment = true };
	uint32_t len;

	if (v6) {
		memset(&src, 0x20, sizeof(src));
		memset(&dst, 0x30, sizeof(dst));
	}
	len = mg_wire_ip_emit(buf, &spec);
	assert_int_equal(len, mg_wire_ip_hdr_len(&spec));
	for (uint8_t i = 0; i < PAYLOAD; i++)
		buf[len + i] = i;
	return len + PAYLOAD;
}

static int parse(const uint8_t *buf, uint32_t len, struct mg_ip_view *ip)
{
	const struct mg_ip_bytes pkt = { .data = buf, .len = len };

	return mg_wire_ip_parse(&pkt, 0, ip);
}

static void round_trip(void **state)
{
	struct mg_ip_view ip;
	uint8_t buf[128];

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		uint32_t len = build(buf, v6 == 1);

		/* Link-layer padding behind the packet is cut off. */
		for (uint32_t pad = 0; pad < 20; pad++) {
			assert_int_equal(parse(buf, len + pad, &ip), 0);
			assert_int_equal(ip.l4_len, PAYLOAD);
			assert_int_equal(ip.l4_first_len, PAYLOAD);
		}
		assert_int_equal(ip.version, v6 ? 6 : 4);
		assert_int_equal(ip.proto, MG_IPPROTO_TCP);
		assert_int_equal(ip.ttl, 64);
		assert_int_equal(ip.dscp, 0x2e);
		assert_int_equal(ip.ecn, MG_ECN_ECT0);
		assert_int_equal(ip.id, v6 ? 0 : 0x1234);
		assert_true(ip.dont_fragment);
		assert_false(ip.is_fragment);
		assert_ptr_equal(ip.l4, buf + ip.hdr_len);
	}
	build(buf, false);
	assert_int_equal(parse(buf, 128, &ip), 0);
	assert_int_equal(mg_addr_to_v4(&ip.src), 0x0a000001);
	assert_int_equal(mg_addr_to_v4(&ip.dst), 0x0a000002);
}

static void every_truncation_is_refused(void **state)
{
	struct mg_ip_view ip;
	uint8_t buf[128];

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		uint32_t total = build(buf, v6 == 1);
		uint32_t hdr = v6 ? MG_IPV6_HLEN : MG_IPV4_HLEN;

		for (uint32_t len = 0; len < total; len++)
			assert_int_equal(parse(buf, len, &ip),
					 len < hdr ? -MG_DROP_IP_SHORT : -MG_DROP_IP_TOTAL_LEN);
	}
}

static void refresh_csum(uint8_t *buf)
{
	memset(buf + 10, 0, 2);
	mg_csum_store(buf + 10, mg_csum_add(0, buf, (buf[0] & 0xfu) * 4));
}

/* RFC 1122 3.2.1: version, header length, total length and checksum are checked. */
static void lying_v4_headers(void **state)
{
	static const struct {
		uint8_t off, value;
		int want;
	} rows[] = {
		{ 0, 0x55, -MG_DROP_IP_VERSION },   { 0, 0x05, -MG_DROP_IP_VERSION },
		{ 0, 0x44, -MG_DROP_IP_HDR_LEN },   { 0, 0x40, -MG_DROP_IP_HDR_LEN },
		{ 0, 0x4f, -MG_DROP_IP_HDR_LEN },   { 3, 19, -MG_DROP_IP_TOTAL_LEN },
		{ 3, 0, -MG_DROP_IP_TOTAL_LEN },    { 3, 33, -MG_DROP_IP_TOTAL_LEN },
		{ 2, 0xff, -MG_DROP_IP_TOTAL_LEN }, { 3, 20, 0 },
	};
	struct mg_ip_view ip;
	uint8_t buf[128];

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(rows); i++) {
		uint32_t len = build(buf, false);

		buf[rows[i].off] = rows[i].value;
		refresh_csum(buf);
		assert_int_equal(parse(buf, len, &ip), rows[i].want);
	}
}

static void v4_checksum_is_verified_unless_the_port_did(void **state)
{
	struct mg_ip_view ip;
	uint8_t buf[128];
	uint32_t len = build(buf, false);
	const struct mg_ip_bytes pkt = { .data = buf, .len = len };

	(void)state;
	for (uint32_t byte = 0; byte < MG_IPV4_HLEN; byte++) {
		buf[byte] ^= 1;
		assert_true(parse(buf, len, &ip) < 0);
		buf[byte] ^= 1;
	}
	buf[11] ^= 1;
	assert_int_equal(parse(buf, len, &ip), -MG_DROP_IP_CSUM);
	assert_int_equal(mg_wire_ip_parse(&pkt, MG_RX_L3_CSUM_OK, &ip), 0);
}

static void v4_options_are_stepped_over(void **state)
{
	struct mg_ip_view ip;
	uint8_t buf[128];

	(void)state;
	for (uint8_t ihl = 6; ihl <= 15; ihl++) {
		build(buf, false);
		memset(buf + 20, 1, (ihl - 5u) * 4); /* NOP */
		buf[0] = 0x40 | ihl;
		buf[3] = (uint8_t)(ihl * 4 + PAYLOAD);
		refresh_csum(buf);
		assert_int_equal(parse(buf, ihl * 4u + PAYLOAD, &ip), 0);
		assert_int_equal(ip.hdr_len, ihl * 4);
		assert_int_equal(ip.l4_len, PAYLOAD);
		assert_int_equal(parse(buf, ihl * 4u - 1, &ip), -MG_DROP_IP_HDR_LEN);
	}
}

/* MUST-50: what is known, unknown and malformed. */
static void v4_options(void **state)
{
	static const struct {
		uint8_t opt[8];
		int err;
	} cases[] = {
		{ { 0, 7, 99, 99 }, 0 },             /* EOL ends them */
		{ { 7, 7, 4, 0, 0, 0, 0, 0 }, 0 },   /* record route */
		{ { 68, 8, 5, 0 }, 0 },              /* timestamps */
		{ { 1, 148, 4, 0, 0, 1, 1, 1 }, 0 }, /* router alert */
		{ { 0x5e, 8 }, 0 },                  /* nobody knows */
		{ { 131, 7, 4, 10, 0, 0, 1 }, -MG_DROP_IP_SOURCE_ROUTE },
		{ { 1, 137, 7, 4, 10, 0, 0, 1 }, -MG_DROP_IP_SOURCE_ROUTE },
		{ { 1, 1, 7, 0 }, -MG_DROP_IP_OPTION },
		{ { 7, 1 }, -MG_DROP_IP_OPTION },
		{ { 7, 9 }, -MG_DROP_IP_OPTION },
		{ { 1, 1, 1, 1, 1, 1, 1, 7 }, -MG_DROP_IP_OPTION }, /* cut off */
	};
	struct mg_ip_view ip;
	uint8_t buf[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(buf, false);
		memcpy(buf + 20, cases[i].opt, 8);
		buf[0] = 0x47;
		buf[3] = 28 + PAYLOAD;
		refresh_csum(buf);
		assert_int_equal(parse(buf, 28 + PAYLOAD, &ip), cases[i].err);
	}
}

static void v4_fragments_are_marked(void **state)
{
	struct mg_ip_view ip;
	uint8_t buf[128];
	uint32_t len = build(buf, false);

	(void)state;
	mg_store_be16(buf + 6, 0x2000); /* first of several */
	refresh_csum(buf);
	assert_int_equal(parse(buf, len, &ip), 0);
	assert_true(ip.is_fragment);
	assert_int_equal(ip.frag_off, 0);
	mg_store_be16(buf + 6, 185); /* the last one */
	refresh_csum(buf);
	assert_int_equal(parse(buf, len, &ip), 0);
	assert_true(ip.is_fragment);
	assert_int_equal(ip.frag_off, 1480);
	assert_false(ip.dont_fragment);
}

/* `ext` between the fixed header and the payload of a TCP packet; the last header's next header is filled in. */
static uint32_t with_ext(uint8_t *buf, uint8_t first, const uint8_t *ext, uint32_t ext_len)
{
	uint32_t len = build(buf, true);

	memmove(buf + MG_IPV6_HLEN + ext_len, buf + MG_IPV6_HLEN, len - MG_IPV6_HLEN);
	memcpy(buf + MG_IPV6_HLEN, ext, ext_len);
	buf[6] = first;
	mg_store_be16(buf + 4, (uint16_t)(len - MG_IPV6_HLEN + ext_len));
	return len + ext_len;
}

static void v6_unknown_extensions_and_mapped_addresses_are_refused(void **state)
{
	static const uint8_t kinds[] = { 51, 135, 139, 140 };
	static const uint8_t ext[8] = { MG_IPPROTO_TCP, 0 };
	struct mg_addr mapped = mg_addr_v4(0x0a000001);
	struct mg_ip_view ip;
	uint8_t buf[128];
	uint32_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds); i++) {
		len = with_ext(buf, kinds[i], ext, sizeof(ext));
		assert_int_equal(parse(buf, len, &ip), -MG_DROP_IP6_EXT);
	}
	len = with_ext(buf, 59, ext, sizeof(ext)); /* no next header: nothing for anybody */
	assert_int_equal(parse(buf, len, &ip), -MG_DROP_IP6_EXT);
	for (uint32_t at = 8; at <= 24; at += 16) {
		len = build(buf, true);
		memcpy(buf + at, mapped.b, 16); /* would pass for IPv4 */
		assert_int_equal(parse(buf, len, &ip), -MG_DROP_IP6_MAPPED);
	}
}

static void v6_extensions_are_stepped_over(void **state)
{
	/* hop-by-hop with a router alert and padding; destination options with PadN; routing, none left */
	static const uint8_t ext[] = {
		60, 0, 5, 2, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, MG_IPPROTO_TCP,
		0,  4, 0, 0, 0, 0, 0
	};
	struct mg_ip_view ip;
	uint8_t buf[128];
	uint32_t len = with_ext(buf, 0, ext, sizeof(ext));

	(void)state;
	assert_int_equal(parse(buf, len, &ip), 0);
	assert_int_equal(ip.proto, MG_IPPROTO_TCP);
	assert_int_equal(ip.hdr_len, MG_IPV6_HLEN + sizeof(ext));
	assert_int_equal(ip.l4_len, PAYLOAD);
	assert_ptr_equal(ip.l4, buf + MG_IPV6_HLEN + sizeof(ext));
	assert_false(ip.is_fragment);
	for (uint32_t cut = 0; cut < sizeof(ext); cut++) { /* the chain does not end in time */
		mg_store_be16(buf + 4, (uint16_t)cut);
		assert_int_equal(parse(buf, len, &ip), -MG_DROP_IP_SHORT);
	}
}

static void v6_bad_extensions_are_refused(void **state)
{
	static const struct {
		uint8_t first;
		uint8_t ext[16];
		int drop;
	} cases[] = {
		{ 43, { MG_IPPROTO_TCP, 0, 0, 0 }, MG_DROP_IP6_ROUTING },   /* type 0: never */
		{ 43, { MG_IPPROTO_TCP, 0, 2, 1 }, MG_DROP_IP6_ROUTING },   /* segments left */
		{ 60, { MG_IPPROTO_TCP, 0, 0x42, 0 }, MG_DROP_IP6_OPTION }, /* discard */
		{ 60, { MG_IPPROTO_TCP, 0, 0x82, 0 }, MG_DROP_IP6_OPTION }, /* and tell */
		{ 60, { MG_IPPROTO_TCP, 0, 0xc2, 4 }, MG_DROP_IP6_OPTION }, /* a jumbogram */
		{ 60, { MG_IPPROTO_TCP, 0, 1, 5 }, MG_DROP_IP6_OPTION },    /* beyond its header */
		{ 60, { MG_IPPROTO_TCP, 0, 1, 3, 0, 0, 0, 1 }, MG_DROP_IP6_OPTION }, /* no length */
		{ 60, { MG_IPPROTO_TCP, 200 }, MG_DROP_IP_SHORT },
		{ 60, { 0, 0, 1, 4, 0, 0, 0, 0, MG_IPPROTO_TCP, 0, 1, 4 }, MG_DROP_IP6_CHAIN },
	};
	struct mg_ip_view ip;
	uint8_t buf[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t len = with_ext(buf, cases[i].first, cases[i].ext, 16);

		assert_int_equal(parse(buf, len, &ip), -cases[i].drop);
	}
}

static void v6_chains_are_bounded(void **state)
{
	uint8_t ext[8 * 7], buf[256];
	struct mg_ip_view ip;
	uint32_t len;

	(void)state;
	memset(ext, 0, sizeof(ext));
	for (uint32_t i = 0; i < 7; i++) {
		ext[8 * i] = 60;
		ext[8 * i + 2] = 1; /* PadN */
		ext[8 * i + 3] = 4;
	}
	ext[8 * 5] = MG_IPPROTO_TCP;
	len = with_ext(buf, 60, ext, 8 * 6);
	assert_int_equal(parse(buf, len, &ip), 0);
	ext[8 * 5] = 60;
	ext[8 * 6] = MG_IPPROTO_TCP;
	len = with_ext(buf, 60, ext, 8 * 7);
	assert_int_equal(parse(buf, len, &ip), -MG_DROP_IP6_CHAIN);
}

static void v6_fragments_are_marked(void **state)
{
	uint8_t ext[8] = { MG_IPPROTO_TCP, 0, 0, 1, 0x12, 0x34, 0x56, 0x78 };
	struct mg_ip_view ip;
	uint8_t buf[128];
	uint32_t len = with_ext(buf, 44, ext, sizeof(ext));

	(void)state;
	assert_int_equal(parse(buf, len, &ip), 0);
	assert_true(ip.is_fragment && ip.more_fragments);
	assert_int_equal(ip.frag_off, 0);
	assert_int_equal(ip.id, 0x12345678);
	assert_int_equal(ip.proto, MG_IPPROTO_TCP);
	mg_store_be16(ext + 2, 1480);
	len = with_ext(buf, 44, ext, sizeof(ext));
	assert_int_equal(parse(buf, len, &ip), 0);
	assert_true(ip.is_fragment && !ip.more_fragments);
	assert_int_equal(ip.frag_off, 1480);
	assert_int_equal(ip.l4_len, PAYLOAD);
	mg_store_be16(ext + 2, 0); /* RFC 6946: atomic, a whole packet */
	len = with_ext(buf, 44, ext, sizeof(ext));
	assert_int_equal(parse(buf, len, &ip), 0);
	assert_false(ip.is_fragment);
}

static void flow_labels(void **state)
{
	struct mg_tuple t = { .lport = 1, .rport = 2 };
	uint32_t label;
	struct mg_addr a = { .b = { 0xfd, [15] = 1 } }, b = { .b = { 0xfd, [15] = 2 } };
	const struct mg_ip_spec spec = {
		.src = &a, .dst = &b, .l4_len = 0, .flow_label = 0xabcde, .tos = 0xff
	};
	uint8_t buf[64];

	(void)state;
	t.laddr = a;
	t.raddr = b;
	label = mg_wire_ipv6_flow_label(&t, 77);
	assert_in_range(label, 1, 0xfffff);
	assert_int_equal(mg_wire_ipv6_flow_label(&t, 77), label);
	assert_int_not_equal(mg_wire_ipv6_flow_label(&t, 78), label);
	assert_int_not_equal(mg_tuple_hash(&t, 77) & 0xfffff, label);
	t.rport++;
	assert_int_not_equal(mg_wire_ipv6_flow_label(&t, 77), label);
	t.raddr = mg_addr_v4(1);
	assert_int_equal(mg_wire_ipv6_flow_label(&t, 77), 0);
	(void)mg_wire_ip_emit(buf, &spec);
	assert_int_equal(mg_load_be32(buf), 0x6ffabcde);
}

static void packet_in_several_buffers(void **state)
{
	struct mg_ip_view ip;
	uint8_t buf[128];
	uint32_t len = build(buf, false);

	(void)state;
	for (uint32_t cut = MG_IPV4_HLEN; cut < len; cut++) {
		const struct mg_chunk second = { .data = buf + cut, .len = len - cut };
		const struct mg_ip_bytes pkt = { .data = buf, .len = cut, .more = &second };
		const struct mg_chunk shorter = { .data = buf + cut, .len = len - cut - 1 };
		const struct mg_ip_bytes cut_pkt = { .data = buf, .len = cut, .more = &shorter };

		assert_int_equal(mg_wire_ip_parse(&pkt, 0, &ip), 0);
		assert_int_equal(ip.l4_len, PAYLOAD);
		assert_int_equal(ip.l4_first_len, cut - MG_IPV4_HLEN);
		assert_ptr_equal(ip.more, &second);
		assert_int_equal(mg_wire_ip_parse(&cut_pkt, 0, &ip), -MG_DROP_IP_TOTAL_LEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(lying_v4_headers),
		cmocka_unit_test(v4_checksum_is_verified_unless_the_port_did),
		cmocka_unit_test(v4_options_are_stepped_over),
		cmocka_unit_test(v4_options),
		cmocka_unit_test(v4_fragments_are_marked),
		cmocka_unit_test(v6_unknown_extensions_and_mapped_addresses_are_refused),
		cmocka_unit_test(v6_extensions_are_stepped_over),
		cmocka_unit_test(v6_bad_extensions_are_refused),
		cmocka_unit_test(v6_chains_are_bounded),
		cmocka_unit_test(v6_fragments_are_marked),
		cmocka_unit_test(flow_labels),
		cmocka_unit_test(packet_in_several_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
