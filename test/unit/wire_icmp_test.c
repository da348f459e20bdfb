/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_icmp_test.c - echo and errors that quote our packets.
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
#include "proto/wire/icmp.h"
#include "proto/wire/ipv4.h"

#define ROUTER 0x0a000001u
#define US 0x0a000002u
#define PEER 0xc0a80001u

/* An ICMP packet from the router to us, with the given ICMP bytes; the checksum is filled in. */
static uint32_t build(uint8_t *buf, const uint8_t *icmp, uint32_t icmp_len)
{
	struct mg_addr src = mg_addr_v4(ROUTER), dst = mg_addr_v4(US);
	const struct mg_ip_spec spec = { .src = &src,
					 .dst = &dst,
					 .l4_len = icmp_len,
					 .proto = MG_IPPROTO_ICMP,
					 .ttl = 64,
					 .tos = 0x10 };
	uint32_t len = mg_wire_ip_emit(buf, &spec);

	memcpy(buf + len, icmp, icmp_len);
	if (icmp_len >= 4) {
		memset(buf + len + 2, 0, 2);
		mg_csum_store(buf + len + 2, mg_csum_add(0, buf + len, icmp_len));
	}
	return len + icmp_len;
}

static int parse(const uint8_t *buf, uint32_t len, struct mg_ip_view *ip, struct mg_icmp_view *icmp)
{
	const struct mg_ip_bytes pkt = { .data = buf, .len = len };

	assert_int_equal(mg_wire_ip_parse(&pkt, 0, ip), 0);
	return mg_wire_icmp_parse(ip, 0, icmp);
}

static void echo_is_answered(void **state)
{
	static const uint8_t echo[] = { 8, 0, 0, 0, 0x12, 0x34, 0, 7, 'a', 'b', 'c' };
	struct mg_icmp_view icmp;
	struct mg_ip_view ip;
	uint8_t buf[128], reply[128];
	uint32_t len = build(buf, echo, sizeof(echo)), reply_len;

	(void)state;
	assert_int_equal(parse(buf, len, &ip, &icmp), 0);
	assert_int_equal(icmp.type, MG_ICMP_ECHO);
	assert_int_equal(icmp.echo_id, 0x1234);
	assert_int_equal(icmp.echo_seq, 7);
	assert_false(icmp.is_error);
	reply_len = mg_wire_icmp_echo_reply(reply, &ip, 64);
	assert_int_equal(reply_len, len);
	/* In place gives the same. */
	assert_int_equal(mg_wire_icmp_echo_reply(buf, &ip, 64), len);
	assert_memory_equal(buf, reply, len);
	assert_int_equal(parse(reply, reply_len, &ip, &icmp), 0);
	assert_int_equal(icmp.type, MG_ICMP_ECHO_REPLY);
	assert_int_equal(icmp.echo_id, 0x1234);
	assert_int_equal(mg_addr_to_v4(&ip.dst), ROUTER);
	assert_int_equal(mg_addr_to_v4(&ip.src), US);
	assert_int_equal(ip.dscp, 4); /* RFC 1122 3.2.2.6: the request's TOS */
	assert_memory_equal(reply + 28, "abc", 3);
}

static void echo_in_several_buffers(void **state)
{
	static const uint8_t echo[] = { 8, 0, 0, 0, 0, 1, 0, 7, 'a', 'b', 'c', 'd', 'e' };
	struct mg_icmp_view icmp;
	struct mg_ip_view ip;
	uint8_t buf[128], reply[128];
	uint32_t len = build(buf, echo, sizeof(echo));

	(void)state;
	for (uint32_t cut = 28; cut < len - 1; cut++) {
		const struct mg_chunk third = { .data = buf + cut + 1, .len = len - cut - 1 };
		const struct mg_chunk second = { .data = buf + cut, .len = 1, .next = &third };
		const struct mg_ip_bytes pkt = { .data = buf, .len = cut, .more = &second };

		assert_int_equal(mg_wire_ip_parse(&pkt, 0, &ip), 0);
		assert_int_equal(mg_wire_icmp_parse(&ip, 0, &icmp), 0);
		assert_int_equal(mg_wire_icmp_echo_reply(reply, &ip, 64), len);
		assert_memory_equal(reply + 28, "abcde", 5);
		assert_true(mg_csum_is_ok(mg_csum_add(0, reply + 20, len - 20)));
	}
}

/* Type, code, rest of header, then the quoted IP header and 8 bytes of TCP. */
static uint32_t build_error(uint8_t *buf, uint8_t type, uint8_t code, uint16_t mtu)
{
	struct mg_addr src = mg_addr_v4(US), dst = mg_addr_v4(PEER);
	const struct mg_ip_spec spec = { .src = &src,
					 .dst = &dst,
					 .l4_len = 1480,
					 .proto = MG_IPPROTO_TCP,
					 .ttl = 1,
					 .dont_fragment = true };
	uint8_t icmp[36] = { type, code };

	mg_store_be16(icmp + 6, mtu);
	mg_wire_ip_emit(icmp + 8, &spec);
	mg_store_be16(icmp + 28, 43210);
	mg_store_be16(icmp + 30, 80);
	mg_store_be32(icmp + 32, 0xdeadbeef);
	return build(buf, icmp, sizeof(icmp));
}

/* RFC 5927 4.1: the quotation names the connection and the sequence number. */
static void error_quotes_our_segment(void **state)
{
	struct mg_icmp_view icmp;
	struct mg_ip_view ip;
	uint8_t buf[128];
	uint32_t len = build_error(buf, MG_ICMP_UNREACH, MG_ICMP_UNREACH_FRAG_NEEDED, 1400);

	(void)state;
	assert_int_equal(parse(buf, len, &ip, &icmp), 0);
	assert_true(icmp.is_error);
	assert_int_equal(icmp.mtu, 1400);
	assert_int_equal(icmp.quote_proto, MG_IPPROTO_TCP);
	assert_int_equal(icmp.quote_l3_len, 1500);
	assert_int_equal(mg_addr_to_v4(&icmp.quote.laddr), US);
	assert_int_equal(mg_addr_to_v4(&icmp.quote.raddr), PEER);
	assert_int_equal(icmp.quote.lport, 43210);
	assert_int_equal(icmp.quote.rport, 80);
	assert_int_equal(icmp.quote_seq, 0xdeadbeef);
	len = build_error(buf, MG_ICMP_TIME_EXCEEDED, 0, 1400);
	assert_int_equal(parse(buf, len, &ip, &icmp), 0);
	assert_int_equal(icmp.mtu, 0); /* only FRAG_NEEDED has one */
}

static void short_and_bad_quotes_are_refused(void **state)
{
	struct mg_icmp_view icmp;
	struct mg_ip_view ip;
	uint8_t buf[128], whole[128];
	uint32_t len = build_error(whole, MG_ICMP_UNREACH, MG_ICMP_UNREACH_PORT, 0);

	(void)state;
	for (uint32_t icmp_len = 0; icmp_len < len - 20; icmp_len++) {
		uint32_t n = build(buf, whole + 20, icmp_len);

		assert_int_equal(parse(buf, n, &ip, &icmp), icmp_len < MG_ICMP_HLEN
								    ? -MG_DROP_ICMP_SHORT
								    : -MG_DROP_ICMP_QUOTE);
	}
	static const struct {
		uint8_t off, value;
	} rows[] = { { 28, 0x65 }, { 28, 0x44 }, { 28, 0x4f }, { 28, 0x46 }, { 35, 1 } };

	for (size_t i = 0; i < MG_ARRAY_SIZE(rows); i++) {
		uint8_t lie[128];

		memcpy(lie, whole, len);
		lie[rows[i].off] = rows[i].value;
		build(buf, lie + 20, len - 20);
		assert_int_equal(parse(buf, len, &ip, &icmp), -MG_DROP_ICMP_QUOTE);
	}
}

static void checksum_is_verified(void **state)
{
	struct mg_icmp_view icmp;
	struct mg_ip_view ip;
	uint8_t buf[128];
	uint32_t len = build_error(buf, MG_ICMP_UNREACH, MG_ICMP_UNREACH_PORT, 0);

	(void)state;
	buf[40] ^= 4;
	assert_int_equal(parse(buf, len, &ip, &icmp), -MG_DROP_ICMP_CSUM);
	assert_int_equal(mg_wire_icmp_parse(&ip, MG_RX_L4_CSUM_OK, &icmp), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_is_answered),
		cmocka_unit_test(echo_in_several_buffers),
		cmocka_unit_test(error_quotes_our_segment),
		cmocka_unit_test(short_and_bad_quotes_are_refused),
		cmocka_unit_test(checksum_is_verified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
