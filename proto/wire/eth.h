/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eth.h - Ethernet II headers, with at most one 802.1Q tag on receipt.
 *
 * Threads: pure functions.
 */
#ifndef MG_ETH_H
#define MG_ETH_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/addr.h"
#include "proto/wire/wire.h"

struct mg_eth_view {
	struct mg_mac dst;
	struct mg_mac src;
	uint16_t ethertype; /* of what follows hdr_len */
	uint16_t vlan_tci;  /* 0: untagged */
	uint8_t hdr_len;
};

/* 0 or -MG_DROP_FRAME_SHORT */
int mg_wire_eth_parse(const uint8_t *frame, uint32_t len, struct mg_eth_view *ret_eth);
/* Writes MG_ETH_HLEN bytes and returns that. */
uint32_t mg_wire_eth_emit(uint8_t *dst, const struct mg_mac *dmac, const struct mg_mac *smac,
			  uint16_t ethertype);

static inline bool mg_mac_is_multicast(const struct mg_mac *mac)
{
	return (mac->b[0] & 1) != 0;
}

static inline bool mg_mac_eq(const struct mg_mac *a, const struct mg_mac *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* "02:00:00:00:00:01"; buf holds at least MG_MAC_STRLEN bytes; returns buf. */
#define MG_MAC_STRLEN 18
const char *mg_mac_format(const struct mg_mac *mac, char *buf);
/* 0 or -EINVAL */
int mg_mac_parse(const char *text, struct mg_mac *ret_mac);
#endif
