/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eth.c - Ethernet headers.
 */
#include "proto/wire/eth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/endian.h"

int mg_wire_eth_parse(const uint8_t *frame, uint32_t len, struct mg_eth_view *ret_eth)
{
	if (len < MG_ETH_HLEN)
		return -MG_DROP_FRAME_SHORT;
	memcpy(ret_eth->dst.b, frame, 6);
	memcpy(ret_eth->src.b, frame + 6, 6);
	ret_eth->ethertype = mg_load_be16(frame + 12);
	ret_eth->vlan_tci = 0;
	ret_eth->hdr_len = MG_ETH_HLEN;
	if (ret_eth->ethertype != MG_ETHERTYPE_VLAN)
		return 0;
	if (len < MG_ETH_HLEN + MG_VLAN_HLEN)
		return -MG_DROP_FRAME_SHORT;
	ret_eth->vlan_tci = mg_load_be16(frame + 14);
	ret_eth->ethertype = mg_load_be16(frame + 16);
	ret_eth->hdr_len = MG_ETH_HLEN + MG_VLAN_HLEN;
	return 0;
}

uint32_t mg_wire_eth_emit(uint8_t *dst, const struct mg_mac *dmac, const struct mg_mac *smac,
			  uint16_t ethertype)
{
	memcpy(dst, dmac->b, 6);
	memcpy(dst + 6, smac->b, 6);
	mg_store_be16(dst + 12, ethertype);
	return MG_ETH_HLEN;
}

const char *mg_mac_format(const struct mg_mac *mac, char *buf)
{
	const uint8_t *b = mac->b;

	/* 17 characters and the end, always. */
	(void)snprintf(buf, MG_MAC_STRLEN, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3],
		       b[4], b[5]);
	return buf;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -EINVAL;
}

int mg_mac_parse(const char *text, struct mg_mac *ret_mac)
{
	struct mg_mac mac;

	if (strnlen(text, MG_MAC_STRLEN) != MG_MAC_STRLEN - 1)
		return -EINVAL;
	for (int i = 0; i < 6; i++, text += 3) {
		int hi = hex_digit(text[0]);
		int lo = hex_digit(text[1]);

		if (hi < 0 || lo < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*ret_mac = mac;
	return 0;
}
