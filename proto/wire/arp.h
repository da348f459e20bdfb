/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arp.h - ARP for IPv4 on Ethernet (RFC 826): bytes to view and back.
 *
 * Threads: pure functions.
 */
#ifndef MG_ARP_H
#define MG_ARP_H
#include <stdint.h>

#include "proto/base/addr.h"
#include "proto/wire/wire.h"

#define MG_ARP_LEN 28

enum mg_arp_op { MG_ARP_REQUEST = 1, MG_ARP_REPLY = 2 };

struct mg_arp_view {
	uint16_t op; /* enum mg_arp_op; other values pass */
	struct mg_mac sha;
	struct mg_mac tha;
	struct mg_addr spa;
	struct mg_addr tpa;
};

/* From the byte after the link-layer header. 0 or -MG_DROP_ARP_MALFORMED. */
int mg_wire_arp_parse(const uint8_t *data, uint32_t len, struct mg_arp_view *ret_arp);
/* Writes MG_ARP_LEN bytes and returns that. */
uint32_t mg_wire_arp_emit(uint8_t *dst, const struct mg_arp_view *arp);
/* A whole frame: Ethernet header (request: broadcast; reply: to arp->tha) and ARP, 42 bytes. */
uint32_t mg_wire_arp_emit_frame(uint8_t *dst, const struct mg_arp_view *arp);
#endif
