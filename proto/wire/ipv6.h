/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipv6.h - IPv6 headers (RFC 8200): the fixed part.
 *
 * Idea:    a packet whose next header is an extension is refused with a reason of its own; nothing that
 *          TCP needs stands there.
 * Threads: pure functions.
 */
#ifndef MG_IPV6_H
#define MG_IPV6_H
#include <stdint.h>

#include "proto/wire/ip.h"

/* 0 or a negative enum mg_drop. */
int mg_wire_ipv6_parse(const struct mg_ip_bytes *pkt, struct mg_ip_view *ret_ip);
/* Writes MG_IPV6_HLEN bytes and returns that. */
uint32_t mg_wire_ipv6_emit(uint8_t *dst, const struct mg_ip_spec *spec);
#endif
