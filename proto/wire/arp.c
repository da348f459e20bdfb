/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arp.c - ARP packets.
 *
 * Layout (RFC 826): hardware type 2, protocol type 2, lengths 1+1, operation 2, sha 6, spa 4, tha 6, tpa 4.
 */
#include "proto/wire/arp.h"

#include <string.h>

#include "proto/base/endian.h"
#include "proto/wire/eth.h"

#define HW_ETHERNET 1

int mg_wire_arp_parse(const uint8_t *data, uint32_t len, struct mg_arp_view *ret_arp)
{
	if (len < MG_ARP_LEN || mg_load_be16(data) != HW_ETHERNET ||
	    mg_load_be16(data + 2) != MG_ETHERTYPE_IPV4 || data[4] != 6 || data[5] != 4)
		return -MG_DROP_ARP_MALFORMED;
	ret_arp->op = mg_load_be16(data + 6);
	memcpy(ret_arp->sha.b, data + 8, 6);
	ret_arp->spa = mg_addr_v4(mg_load_be32(data + 14));
	memcpy(ret_arp->tha.b, data + 18, 6);
	ret_arp->tpa = mg_addr_v4(mg_load_be32(data + 24));
	return 0;
}

uint32_t mg_wire_arp_emit(uint8_t *dst, const struct mg_arp_view *arp)
{
	mg_store_be16(dst, HW_ETHERNET);
	mg_store_be16(dst + 2, MG_ETHERTYPE_IPV4);
	dst[4] = 6;
	dst[5] = 4;
	mg_store_be16(dst + 6, arp->op);
	memcpy(dst + 8, arp->sha.b, 6);
	mg_store_be32(dst + 14, mg_addr_to_v4(&arp->spa));
	memcpy(dst + 18, arp->tha.b, 6);
	mg_store_be32(dst + 24, mg_addr_to_v4(&arp->tpa));
	return MG_ARP_LEN;
}

uint32_t mg_wire_arp_emit_frame(uint8_t *dst, const struct mg_arp_view *arp)
{
	static const struct mg_mac broadcast = { .b = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
	const struct mg_mac *to = arp->op == MG_ARP_REQUEST ? &broadcast : &arp->tha;
	uint32_t n = mg_wire_eth_emit(dst, to, &arp->sha, MG_ETHERTYPE_ARP);

	return n + mg_wire_arp_emit(dst + n, arp);
}
