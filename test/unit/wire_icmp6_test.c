/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_icmp6_test.c - ICMPv6: echo, errors that quote our packets, and what neighbor discovery must refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/frame.h"
#include "proto/wire/ipv6.h"

static const struct mg_mac us_mac = { { 2, 0, 0, 0, 0, 1 } };
static const struct mg_mac peer_mac = { { 2, 0, 0, 0, 0, 2 } };

static struct mg_addr addr(const char *text)
{
	struct mg_addr a;

	assert_int_equal(mg_addr_parse(text, &a), 0);
	return a;
}

/* An ICMPv6 packet as a frame; the checksum is filled in. */
static uint32_t build(uint8_t *buf, const char *from, const char *to, uint8_t hop_limit,
		      const uint8_t *icmp, uint32_t icmp_len)
{
	struct mg_addr src = addr(from), dst = addr(to);
	const struct mg_ip_spec spec = { .src = &src,
					 .dst = &dst,
					 .l4_len = icmp_len,
					 .proto = MG_IPPROTO_ICMPV6,
					 .ttl = hop_limit };
	uint32_t len = mg_wire_eth_emit(buf, &us_mac, &peer_mac, MG_ETHERTYPE_IPV6);
	uint64_t sum = mg_csum_pseudo(&src, &dst, MG_IPPROTO_ICMPV6, icmp_len);

	len += mg_wire_ip_emit(buf + len, &spec);
	memcpy(buf + len, icmp, icmp_len);
	if (icmp_len >= 4) {
		memset(buf + len + 2, 0, 2);
		mg_csum_store(buf + len + 2, mg_csum_add(sum, buf + len, icmp_len));
	}
	return len + icmp_len;
}

static void echo_is_answered(void **state)
{
	static const uint8_t echo[] = { 128, 0, 0, 0, 0x12, 0x34, 0, 7, 'a', 'b', 'c' };
	struct mg_frame_view v;
	struct mg_addr us = addr("fd77::1");
	uint8_t buf[128], reply[128];
	uint32_t len = build(buf, "fd77::2", "fd77::1", 64, echo, sizeof(echo)), n;

	(void)state;
	assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), 0);
	assert_int_equal(v.kind, MG_FRAME_ICMP);
	assert_true(v.icmp.is_echo && !v.icmp.is_error);
	assert_int_equal(v.icmp.echo_id, 0x1234);
	assert_int_equal(v.icmp.echo_seq, 7);
	memcpy(reply, buf, 14);
	n = mg_wire_icmp6_echo_reply(reply + 14, &v.ip, &us, 64);
	assert_int_equal(n + 14, len);
	assert_int_equal(mg_wire_parse_frame(reply, len, 0, &v), 0);
	assert_int_equal(v.icmp.type, MG_ICMP6_ECHO_REPLY);
	assert_false(v.icmp.is_echo);
	assert_true(mg_addr_eq(&v.ip.src, &us));
	assert_memory_equal(reply + 14 + 40 + 8, "abc", 3);
	buf[len - 1] ^= 1;
	assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), -MG_DROP_ICMP_CSUM);
	len = build(buf, "fd77::2", "fd77::1", 64, echo, 7);
	assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), -MG_DROP_ICMP_SHORT);
	len = build(buf, "::", "fd77::1", 64, echo, sizeof(echo));
	assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), -MG_DROP_IP_SRC);
}

/* An error about a segment from fd77::1 port 1000 to 2001:db8::1 port 80. */
static uint32_t build_error(uint8_t *buf, uint8_t type, uint8_t code, uint32_t word, uint8_t next)
{
	struct mg_addr src = addr("fd77::1"), dst = addr("2001:db8::1");
	const struct mg_ip_spec spec = {
		.src = &src, .dst = &dst, .l4_len = 1000, .proto = next, .ttl = 60
	};
	uint8_t icmp[8 + 40 + 8] = { type, code };

	mg_store_be32(icmp + 4, word);
	(void)mg_wire_ip_emit(icmp + 8, &spec);
	mg_store_be16(icmp + 48, 1000);
	mg_store_be16(icmp + 50, 80);
	mg_store_be32(icmp + 52, 0xdeadbeef);
	return build(buf, "fd77::99", "fd77::1", 64, icmp, sizeof(icmp));
}

static void errors_tell_what_and_about_whom(void **state)
{
	static const struct {
		uint8_t type, code, error;
	} cases[] = {
		{ 1, 0, MG_ICMP_ERR_NET },   { 1, 1, MG_ICMP_ERR_ADMIN },
		{ 1, 2, MG_ICMP_ERR_HOST },  { 1, 3, MG_ICMP_ERR_HOST },
		{ 1, 4, MG_ICMP_ERR_PORT },  { 1, 5, MG_ICMP_ERR_ADMIN },
		{ 1, 6, MG_ICMP_ERR_ADMIN }, { 2, 0, MG_ICMP_ERR_TOO_BIG },
		{ 3, 0, MG_ICMP_ERR_TIME },  { 3, 1, MG_ICMP_ERR_TIME },
		{ 4, 0, MG_ICMP_ERR_PARAM }, { 4, 1, MG_ICMP_ERR_PROTO },
		{ 4, 2, MG_ICMP_ERR_PARAM },
	};
	struct mg_addr us = addr("fd77::1"), far = addr("2001:db8::1");
	struct mg_frame_view v;
	uint8_t buf[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t len = build_error(buf, cases[i].type, cases[i].code, 1400, MG_IPPROTO_TCP);

		assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), 0);
		assert_true(v.icmp.is_error);
		assert_int_equal(v.icmp.error, cases[i].error);
		assert_int_equal(v.icmp.mtu, cases[i].type == 2 ? 1400 : 0);
		assert_int_equal(v.icmp.quote_proto, MG_IPPROTO_TCP);
		assert_int_equal(v.icmp.quote_l3_len, 1040);
		assert_true(mg_addr_eq(&v.icmp.quote.laddr, &us));
		assert_true(mg_addr_eq(&v.icmp.quote.raddr, &far));
		assert_int_equal(v.icmp.quote.lport, 1000);
		assert_int_equal(v.icmp.quote.rport, 80);
		assert_int_equal(v.icmp.quote_seq, 0xdeadbeef);
	}
}

static void quotes_that_say_too_little_are_refused(void **state)
{
	struct mg_addr mapped = mg_addr_v4(0x0a4d0001);
	struct mg_frame_view v;
	uint8_t buf[256], icmp[56];
	uint32_t len;

	(void)state;
	(void)build_error(buf, 1, 4, 0, MG_IPPROTO_TCP);
	memcpy(icmp, buf + 54, sizeof(icmp));
	for (uint32_t cut = 8; cut < sizeof(icmp); cut++) {
		len = build(buf, "fd77::99", "fd77::1", 64, icmp, cut);
		assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), -MG_DROP_ICMP_QUOTE);
	}
	icmp[8] = 0x45;
	len = build(buf, "fd77::99", "fd77::1", 64, icmp, sizeof(icmp));
	assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), -MG_DROP_ICMP_QUOTE);
	icmp[8] = 0x60;
	memcpy(icmp + 16, mapped.b, 16);
	len = build(buf, "fd77::99", "fd77::1", 64, icmp, sizeof(icmp));
	assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), -MG_DROP_ICMP_QUOTE);
}

static uint32_t emit_nd(uint8_t *buf, uint8_t type, const char *from, const char *to,
			const char *target, bool option)
{
	struct mg_addr src = addr(from), dst = addr(to), tgt = addr(target);
	const struct mg_nd_spec spec = { .type = type,
					 .src = &src,
					 .dst = &dst,
					 .target = &tgt,
					 .smac = &peer_mac,
					 .dmac = &us_mac,
					 .mac = option ? &peer_mac : NULL,
					 .flags = MG_ND_SOLICITED | MG_ND_OVERRIDE };
	uint32_t len = mg_wire_nd_emit_frame(buf, &spec);

	assert_in_range(len, 1, MG_ND_FRAME_MAX);
	return len;
}

static void nd_round_trip(void **state)
{
	struct mg_addr target = addr("fd77::1");
	struct mg_frame_view v;
	uint8_t buf[128];

	(void)state;
	for (uint8_t type = MG_ICMP6_NEIGHBOR_SOLICIT; type <= MG_ICMP6_NEIGHBOR_ADVERT; type++) {
		for (int option = 0; option < 2; option++) {
			uint32_t len = emit_nd(buf, type, "fd77::2", "fd77::3", "fd77::1", option);

			assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), 0);
			assert_int_equal(v.kind, MG_FRAME_ND);
			assert_int_equal(v.nd.type, type);
			assert_int_equal(v.nd.has_mac, option);
			if (option)
				assert_memory_equal(&v.nd.mac, &peer_mac, 6);
			assert_true(mg_addr_eq(&v.nd.target, &target));
			assert_int_equal(v.nd.flags, type == MG_ICMP6_NEIGHBOR_SOLICIT
							     ? 0
							     : MG_ND_SOLICITED | MG_ND_OVERRIDE);
		}
	}
}

static void nd_validity(void **state)
{
	static const struct {
		uint8_t type;
		const char *src, *dst, *target;
		bool option;
		int drop;
	} cases[] = {
		{ 135, "::", "ff02::1:ff00:1", "fd77::1", false, 0 },
		{ 135, "::", "ff02::1:ff00:1", "fd77::1", true, MG_DROP_ND_MALFORMED },
		{ 135, "::", "ff02::1:ff00:2", "fd77::1", false, MG_DROP_ND_MALFORMED },
		{ 135, "::", "fd77::1", "fd77::1", false, MG_DROP_ND_MALFORMED },
		{ 135, "fd77::2", "ff02::1:ff00:1", "ff02::1", true, MG_DROP_ND_MALFORMED },
		{ 135, "fd77::2", "ff02::1:ff00:1", "::ffff:1.2.3.4", true, MG_DROP_ND_MALFORMED },
		{ 136, "fd77::2", "ff02::1", "fd77::2", true,
		  MG_DROP_ND_MALFORMED }, /* solicited */
		{ 136, "::", "fd77::1", "fd77::2", true, MG_DROP_ND_MALFORMED },
		{ 136, "fd77::2", "fd77::1", "ff02::2", true, MG_DROP_ND_MALFORMED },
	};
	struct mg_frame_view v;
	uint8_t buf[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t len = emit_nd(buf, cases[i].type, cases[i].src, cases[i].dst,
				       cases[i].target, cases[i].option);

		assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), -cases[i].drop);
	}
}

static void nd_from_beyond_the_link_is_refused(void **state)
{
	static const uint8_t types[] = { 133, 134, 135, 136, 137 };
	uint8_t icmp[48] = { 0 }, buf[128];
	struct mg_frame_view v;

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++) {
		static const uint8_t lens[] = { 8, 16, 24, 24, 40 };
		uint32_t len;

		icmp[0] = types[i];
		len = build(buf, "fe80::2", "fd77::1", 254, icmp, lens[i]);
		assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), -MG_DROP_ND_HOPLIMIT);
		len = build(buf, "fe80::2", "fd77::1", 255, icmp, lens[i]);
		assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), 0);
		len = build(buf, "fe80::2", "fd77::1", 255, icmp, lens[i] - 1u);
		assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v),
				 lens[i] == 8 ? -MG_DROP_ICMP_SHORT : -MG_DROP_ND_MALFORMED);
		icmp[1] = 1;
		len = build(buf, "fe80::2", "fd77::1", 255, icmp, lens[i]);
		assert_int_equal(mg_wire_parse_frame(buf, len, 0, &v), -MG_DROP_ND_MALFORMED);
		icmp[1] = 0;
	}
	icmp[0] = MG_ICMP6_ROUTER_ADVERT; /* and redirect: only from link-local addresses */
	assert_int_equal(mg_wire_parse_frame(buf, build(buf, "fd77::2", "ff02::1", 255, icmp, 16),
					     0, &v),
			 -MG_DROP_ND_MALFORMED);
}

static void nd_options_are_bounded(void **state)
{
	uint8_t icmp[24 + 16] = { 136 }, buf[128];
	struct mg_frame_view v;

	(void)state;
	icmp[4] = MG_ND_SOLICITED;
	icmp[8] = 0xfd;
	icmp[24] = 2; /* an option of length 0 never ends */
	assert_int_equal(mg_wire_parse_frame(buf, build(buf, "fd77::2", "fd77::1", 255, icmp, 32),
					     0, &v),
			 -MG_DROP_ND_MALFORMED);
	icmp[25] = 3;
	assert_int_equal(mg_wire_parse_frame(buf, build(buf, "fd77::2", "fd77::1", 255, icmp, 40),
					     0, &v),
			 -MG_DROP_ND_MALFORMED);
	icmp[25] = 2; /* of another link layer: not for us, but no reason to refuse */
	assert_int_equal(mg_wire_parse_frame(buf, build(buf, "fd77::2", "fd77::1", 255, icmp, 40),
					     0, &v),
			 0);
	assert_false(v.nd.has_mac);
	icmp[24] = 77; /* unknown ones are stepped over */
	icmp[25] = 1;
	icmp[32] = 2;
	icmp[33] = 1;
	memcpy(icmp + 34, peer_mac.b, 6);
	assert_int_equal(mg_wire_parse_frame(buf, build(buf, "fd77::2", "fd77::1", 255, icmp, 40),
					     0, &v),
			 0);
	assert_true(v.nd.has_mac);
	icmp[34] = 3; /* a group is nobody's address */
	assert_int_equal(mg_wire_parse_frame(buf, build(buf, "fd77::2", "fd77::1", 255, icmp, 40),
					     0, &v),
			 -MG_DROP_ND_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_is_answered),
		cmocka_unit_test(errors_tell_what_and_about_whom),
		cmocka_unit_test(quotes_that_say_too_little_are_refused),
		cmocka_unit_test(nd_round_trip),
		cmocka_unit_test(nd_validity),
		cmocka_unit_test(nd_from_beyond_the_link_is_refused),
		cmocka_unit_test(nd_options_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
