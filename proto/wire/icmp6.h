/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp6.h - ICMPv6 (RFC 4443) and neighbor discovery (RFC 4861 4, 6.1, 7.1, 8.1): bytes to view and back.
 *
 * Idea:    echo and errors fill the view of icmp.h, so that those above know one kind only. Neighbor discovery
 *          has a view of its own; if it exists, the message passed every check that RFC 4861 asks of a host
 *          before it looks at the contents: hop limit 255, code 0, lengths, options, addresses that fit.
 * Threads: pure functions.
 */
#ifndef MG_ICMP6_H
#define MG_ICMP6_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/icmp.h"

enum mg_icmp6_type {
	MG_ICMP6_UNREACH = 1,
	MG_ICMP6_TOO_BIG = 2,
	MG_ICMP6_TIME_EXCEEDED = 3,
	MG_ICMP6_PARAM_PROBLEM = 4,
	MG_ICMP6_ECHO = 128,
	MG_ICMP6_ECHO_REPLY = 129,
	MG_ICMP6_ROUTER_SOLICIT = 133,
	MG_ICMP6_ROUTER_ADVERT = 134,
	MG_ICMP6_NEIGHBOR_SOLICIT = 135,
	MG_ICMP6_NEIGHBOR_ADVERT = 136,
	MG_ICMP6_REDIRECT = 137,
};

/* Codes of MG_ICMP6_UNREACH. */
enum mg_icmp6_unreach {
	MG_ICMP6_UNREACH_NO_ROUTE = 0,
	MG_ICMP6_UNREACH_ADMIN = 1,
	MG_ICMP6_UNREACH_SCOPE = 2, /* beyond the scope of the source address */
	MG_ICMP6_UNREACH_ADDR = 3,
	MG_ICMP6_UNREACH_PORT = 4,
	MG_ICMP6_UNREACH_POLICY = 5,
	MG_ICMP6_UNREACH_REJECT = 6,
};

#define MG_ND_HOP_LIMIT 255
#define MG_ND_FRAME_MAX 86 /* Ethernet, IPv6, solicitation or advertisement with one option */

enum mg_nd_flag { MG_ND_ROUTER = 0x80, MG_ND_SOLICITED = 0x40, MG_ND_OVERRIDE = 0x20 };

struct mg_nd_view {
	uint8_t type;  /* enum mg_icmp6_type, ROUTER_SOLICIT to REDIRECT */
	uint8_t flags; /* enum mg_nd_flag, of an advertisement */
	bool has_mac;
	struct mg_mac
		mac; /* source's (solicitations) or target's (NA, redirect) link-layer address */
	struct mg_addr target; /* NS, NA, redirect */
};

/* What to write. */
struct mg_nd_spec {
	const struct mg_addr *src;
	const struct mg_addr *dst;
	const struct mg_addr *target;
	const struct mg_mac *smac; /* of the frame */
	const struct mg_mac *dmac;
	const struct mg_mac *mac; /* the option; NULL: none */
	uint8_t type;             /* MG_ICMP6_NEIGHBOR_SOLICIT or _ADVERT */
	uint8_t flags;            /* enum mg_nd_flag */
};

/* Is it one of those that mg_wire_nd_parse() reads? */
bool mg_wire_icmp6_is_nd(const struct mg_ip_view *ip);
/* Echo and errors. 0 or a negative enum mg_drop; other types pass with type and code only. */
int mg_wire_icmp6_parse(const struct mg_ip_view *ip, uint32_t rx_flags,
			struct mg_icmp_view *ret_icmp);
int mg_wire_nd_parse(const struct mg_ip_view *ip, uint32_t rx_flags, struct mg_nd_view *ret_nd);
/* As mg_wire_icmp_echo_reply(); src: the address that answers, which a multicast request does not tell. */
uint32_t mg_wire_icmp6_echo_reply(uint8_t *dst, const struct mg_ip_view *ip,
				  const struct mg_addr *src, uint8_t hop_limit);
/* A whole frame; at most MG_ND_FRAME_MAX bytes. */
/* See icmp.h. */
uint32_t mg_wire_icmp6_exceeded(uint8_t *dst, const struct mg_icmp_exceeded *e);
uint32_t mg_wire_nd_emit_frame(uint8_t *dst, const struct mg_nd_spec *spec);
#endif
