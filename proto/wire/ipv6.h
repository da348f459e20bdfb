/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipv6.h - IPv6 headers (RFC 8200): the fixed part; ip6ext.h walks over what may follow it.
 *
 * Idea:    extension headers count as header: l4 is what they carry. A fragment passes, marked.
 * Threads: pure functions.
 */
#ifndef MG_IPV6_H
#define MG_IPV6_H
#include <stdint.h>

#include "proto/wire/ip.h"

#define MG_IPV6_MTU_MIN 1280 /* RFC 8200 5 */

/* 0 or a negative enum mg_drop. */
int mg_wire_ipv6_parse(const struct mg_ip_bytes *pkt, struct mg_ip_view *ret_ip);
/* Writes MG_IPV6_HLEN bytes and returns that. */
uint32_t mg_wire_ipv6_emit(uint8_t *dst, const struct mg_ip_spec *spec);
/*
 * The flow label of a connection (RFC 6437): 20 bits, the same for its whole life, not to be guessed. `seed` is
 * secret; it may be that of the tables: the label tells nothing about their hash. 0 for IPv4.
 */
uint32_t mg_wire_ipv6_flow_label(const struct mg_tuple *tuple, uint64_t seed);
#endif
