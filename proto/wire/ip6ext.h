/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip6ext.h - the chain of IPv6 extension headers between the fixed header and what is carried (RFC 8200 4).
 *
 * Idea:    hop-by-hop (first only), destination options and routing headers are stepped over; their options
 *          are obeyed as far as a host must: an unknown one whose two highest bits are not 00 ends the packet
 *          (RFC 8200 4.2). A routing header with segments left is refused (type 0: RFC 5095; others
 *          would make us a router). A fragment header ends the walk: what is behind it belongs to
 *          reassembly, unless it is the whole packet (an atomic fragment, RFC 6946). The chain is bounded.
 * Threads: pure function.
 */
#ifndef MG_IP6EXT_H
#define MG_IP6EXT_H
#include <stdbool.h>
#include <stdint.h>

#define MG_IP6EXT_HEADERS_MAX 6 /* RFC 8200 4.1 recommends at most seven places for six kinds */
#define MG_IP6EXT_BYTES_MAX 512
#define MG_IP6EXT_OPTIONS_MAX 16 /* in one header, padding not counted (RFC 8504 5.3) */

struct mg_ip6ext_view {
	uint32_t len;  /* bytes of all headers walked over */
	uint8_t proto; /* what follows: enum mg_ipproto, or any other protocol */
	bool is_fragment;
	bool more_fragments;
	uint16_t frag_off; /* bytes */
	uint32_t frag_id;
};

/*
 * Walks from `next` (the fixed header's next header) over the `len` bytes at p, all in one piece. 0, or a
 * negative enum mg_drop.
 */
int mg_wire_ip6ext_walk(uint8_t next, const uint8_t *p, uint32_t len,
			struct mg_ip6ext_view *ret_ext);
#endif
