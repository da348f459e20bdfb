/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip.c - chooses between the families.
 */
#include "proto/wire/ip.h"

#include "proto/wire/ipv4.h"
#include "proto/wire/ipv6.h"

uint64_t mg_chunk_total(const struct mg_chunk *chunk)
{
	uint64_t total = 0;

	for (; chunk != NULL; chunk = chunk->next)
		total += chunk->len;
	return total;
}

int mg_wire_ip_parse(const struct mg_ip_bytes *pkt, uint32_t rx_flags, struct mg_ip_view *ret_ip)
{
	if (pkt->len == 0)
		return -MG_DROP_IP_SHORT;
	switch (pkt->data[0] >> 4) {
	case 4:
		return mg_wire_ipv4_parse(pkt, rx_flags, ret_ip);
	case 6:
		return mg_wire_ipv6_parse(pkt, ret_ip);
	default:
		return -MG_DROP_IP_VERSION;
	}
}

uint32_t mg_wire_ip_hdr_len(const struct mg_ip_spec *spec)
{
	return mg_addr_is_v4(spec->src) ? MG_IPV4_HLEN : MG_IPV6_HLEN;
}

uint32_t mg_wire_ip_emit(uint8_t *dst, const struct mg_ip_spec *spec)
{
	return mg_addr_is_v4(spec->src) ? mg_wire_ipv4_emit(dst, spec)
					: mg_wire_ipv6_emit(dst, spec);
}
