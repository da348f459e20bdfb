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

static void v6_extensions_and_mapped_addresses_are_refused(void **state)
{
	static const uint8_t ext[] = { 0, 43, 44, 51, 60, 135, 139, 140 };
	struct mg_ip_view ip;
	uint8_t buf[128];
	uint32_t len = build(buf, true);

	(void)state;
	for (size_t i = 0; i < sizeof(ext); i++) {
		buf[6] = ext[i];
		assert_int_equal(parse(buf, len, &ip), -MG_DROP_IP6_EXT);
	}
	buf[6] = MG_IPPROTO_TCP;
	assert_int_equal(parse(buf, len, &ip), 0);
	struct mg_addr mapped = mg_addr_v4(0x0a000001);

	memcpy(buf + 8, mapped.b, 16); /* would pass for IPv4 */
	assert_int_equal(parse(buf, len, &ip), -MG_DROP_IP_SRC);
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
		cmocka_unit_test(v4_fragments_are_marked),
		cmocka_unit_test(v6_extensions_and_mapped_addresses_are_refused),
		cmocka_unit_test(packet_in_several_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
