/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_arp_test.c - Ethernet and ARP, byte by byte and cut short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "proto/base/bits.h"
#include "proto/wire/arp.h"
#include "proto/wire/eth.h"

static const uint8_t request[] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x06, /* Ethernet */
	0,    1,    8,    0,    6,    4,    0,    1,                            /* request */
	0x02, 0,    0,    0,    0,    0x01, 10,   0, 0, 1, 0, 0,    0,    0,    0, 0, 10, 0, 0, 2,
};

static void request_round_trip(void **state)
{
	struct mg_arp_view arp;
	struct mg_eth_view eth;
	uint8_t buf[64];

	(void)state;
	assert_int_equal(mg_wire_eth_parse(request, sizeof(request), &eth), 0);
	assert_int_equal(eth.ethertype, MG_ETHERTYPE_ARP);
	assert_true(mg_mac_is_multicast(&eth.dst));
	assert_int_equal(mg_wire_arp_parse(request + eth.hdr_len, MG_ARP_LEN, &arp), 0);
	assert_int_equal(arp.op, MG_ARP_REQUEST);
	assert_int_equal(mg_addr_to_v4(&arp.spa), 0x0a000001);
	assert_int_equal(mg_addr_to_v4(&arp.tpa), 0x0a000002);
	assert_int_equal(mg_wire_arp_emit_frame(buf, &arp), sizeof(request));
	assert_memory_equal(buf, request, sizeof(request));
}

static void reply_goes_to_the_asker(void **state)
{
	const struct mg_arp_view arp = { .op = MG_ARP_REPLY,
					 .sha = { .b = { 2, 0, 0, 0, 0, 2 } },
					 .tha = { .b = { 2, 0, 0, 0, 0, 1 } },
					 .spa = mg_addr_v4(0x0a000002),
					 .tpa = mg_addr_v4(0x0a000001) };
	struct mg_arp_view back;
	uint8_t buf[64];

	(void)state;
	assert_int_equal(mg_wire_arp_emit_frame(buf, &arp), 42);
	assert_memory_equal(buf, arp.tha.b, 6);
	assert_int_equal(mg_wire_arp_parse(buf + MG_ETH_HLEN, 46, &back), 0); /* padded */
	assert_memory_equal(&back, &arp, sizeof(arp));
}

static void malformed_arp_is_refused(void **state)
{
	uint8_t buf[MG_ARP_LEN];
	struct mg_arp_view arp;

	(void)state;
	for (uint32_t len = 0; len < MG_ARP_LEN; len++)
		assert_int_equal(mg_wire_arp_parse(request + MG_ETH_HLEN, len, &arp),
				 -MG_DROP_ARP_MALFORMED);
	for (size_t i = 0; i < 6; i++) { /* hardware, protocol, lengths */
		memcpy(buf, request + MG_ETH_HLEN, sizeof(buf));
		buf[i] ^= 0x10;
		assert_int_equal(mg_wire_arp_parse(buf, sizeof(buf), &arp), -MG_DROP_ARP_MALFORMED);
	}
}

static void vlan_tag_is_stepped_over(void **state)
{
	static const uint8_t tagged[] = { 2, 0, 0, 0,    0, 2,    2,    0,    0,
					  0, 0, 1, 0x81, 0, 0x20, 0x07, 0x08, 0 };
	struct mg_eth_view eth;

	(void)state;
	assert_int_equal(mg_wire_eth_parse(tagged, sizeof(tagged), &eth), 0);
	assert_int_equal(eth.hdr_len, 18);
	assert_int_equal(eth.vlan_tci, 0x2007);
	assert_int_equal(eth.ethertype, MG_ETHERTYPE_IPV4);
	for (uint32_t len = 0; len < sizeof(tagged); len++)
		assert_int_equal(mg_wire_eth_parse(tagged, len, &eth), -MG_DROP_FRAME_SHORT);
}

static void mac_text(void **state)
{
	static const char *const bad[] = { "",
					   "02:00:00:00:00",
					   "02:00:00:00:00:0",
					   "02:00:00:00:00:001",
					   "02-00-00-00-00-01",
					   "0g:00:00:00:00:01",
					   "02:00:00:00:00:01 " };
	struct mg_mac mac;
	char buf[MG_MAC_STRLEN];

	(void)state;
	assert_int_equal(mg_mac_parse("02:aB:00:cd:00:01", &mac), 0);
	assert_string_equal(mg_mac_format(&mac, buf), "02:ab:00:cd:00:01");
	for (size_t i = 0; i < MG_ARRAY_SIZE(bad); i++)
		assert_int_equal(mg_mac_parse(bad[i], &mac), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_round_trip),
		cmocka_unit_test(reply_goes_to_the_asker),
		cmocka_unit_test(malformed_arp_is_refused),
		cmocka_unit_test(vlan_tag_is_stepped_over),
		cmocka_unit_test(mac_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
