/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip.h - what the layers above need to know of an IP header, of either family.
 *
 * Idea:    mg_wire_ip_parse() looks at the version and leaves the rest to ipv4.c (ipv6.c). The packet may
 *          continue in further buffers; lengths say which count they mean.
 * Threads: pure functions.
 */
#ifndef MG_IP_H
#define MG_IP_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/addr.h"
#include "proto/wire/seg.h"
#include "proto/wire/wire.h"

struct mg_ip_view {
	struct mg_addr src;
	struct mg_addr dst;
	const uint8_t *l3;
	const uint8_t *l4;
	const struct mg_chunk *more; /* where the packet continues, NULL: in one piece */
	uint32_t l4_len;             /* of the whole packet, link-layer padding cut off */
	uint32_t l4_first_len;       /* of that, in the first buffer */
	uint32_t id;                 /* 16 bits of IPv4; of an IPv6 fragment header */
	uint16_t hdr_len;            /* with options or extension headers */
	uint16_t frag_off;           /* bytes */
	uint8_t version;
	uint8_t proto; /* enum mg_ipproto */
	uint8_t ttl;
	uint8_t dscp;
	uint8_t ecn; /* enum mg_ecn */
	bool is_fragment;
	bool more_fragments;
	bool dont_fragment;
};

/* A packet that begins with its IP header. */
struct mg_ip_bytes {
	const uint8_t *data;
	uint32_t len;                /* of the first buffer */
	const struct mg_chunk *more; /* NULL: in one piece */
};

/* What to write into an IP header. */
struct mg_ip_spec {
	const struct mg_addr *src;
	const struct mg_addr *dst;
	uint32_t l4_len;
	uint16_t id; /* IPv4 */
	uint8_t proto;
	uint8_t ttl;
	uint8_t tos; /* dscp << 2 | ecn */
	bool dont_fragment;
	uint32_t flow_label; /* IPv6 */
};

/* Bytes in the chain from `chunk` on. */
uint64_t mg_chunk_total(const struct mg_chunk *chunk);

/* 0 or a negative enum mg_drop; rx_flags: enum mg_rx_flag. Fragments pass, marked. */
int mg_wire_ip_parse(const struct mg_ip_bytes *pkt, uint32_t rx_flags, struct mg_ip_view *ret_ip);
/* Bytes of the header that mg_wire_ip_emit() will write. */
uint32_t mg_wire_ip_hdr_len(const struct mg_ip_spec *spec);
uint32_t mg_wire_ip_emit(uint8_t *dst, const struct mg_ip_spec *spec);
#endif
