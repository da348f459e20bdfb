/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipv4.h - IPv4 headers (RFC 791, RFC 1122 3.2.1).
 *
 * Idea:    options are stepped over, never interpreted; source routes are refused. The header checksum
 *          is verified unless the port did. Fragments are marked.
 * Threads: pure functions.
 */
#ifndef MG_IPV4_H
#define MG_IPV4_H
#include <stdint.h>

#include "proto/wire/ip.h"

/* 0 or a negative enum mg_drop. */
int mg_wire_ipv4_parse(const struct mg_ip_bytes *pkt, uint32_t rx_flags, struct mg_ip_view *ret_ip);
/* Writes MG_IPV4_HLEN bytes with their checksum and returns that. */
uint32_t mg_wire_ipv4_emit(uint8_t *dst, const struct mg_ip_spec *spec);
#endif
