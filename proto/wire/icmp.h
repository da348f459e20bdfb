/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp.h - ICMP for IPv4 (RFC 792, RFC 1191): echo, and errors that quote a packet of ours.
 *
 * Idea:    an error's quotation is parsed into a tuple as this host sees the connection (the quoted packet
 *          was sent by us, so its source is local) and the first 8 bytes of TCP, which hold the sequence
 *          number to check against the flow (RFC 5927 4.1). The quotation's own checksums are not
 *          verified: routers cut and rewrite.
 * Threads: pure functions.
 */
#ifndef MG_ICMP_H
#define MG_ICMP_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/ip.h"

#define MG_ICMP_HLEN 8

enum mg_icmp_type {
	MG_ICMP_ECHO_REPLY = 0,
	MG_ICMP_UNREACH = 3,
	MG_ICMP_SOURCE_QUENCH = 4,
	MG_ICMP_REDIRECT = 5,
	MG_ICMP_ECHO = 8,
	MG_ICMP_TIME_EXCEEDED = 11,
	MG_ICMP_PARAM_PROBLEM = 12,
};

/* Codes of MG_ICMP_UNREACH. */
enum mg_icmp_unreach {
	MG_ICMP_UNREACH_NET = 0,
	MG_ICMP_UNREACH_HOST = 1,
	MG_ICMP_UNREACH_PROTO = 2,
	MG_ICMP_UNREACH_PORT = 3,
	MG_ICMP_UNREACH_FRAG_NEEDED = 4,
	MG_ICMP_UNREACH_SRC_ROUTE = 5,
	MG_ICMP_UNREACH_ADMIN = 13,
};

/* What an error says, in the words of both families. */
enum mg_icmp_error {
	MG_ICMP_ERR_NONE = 0,
	MG_ICMP_ERR_NET,     /* no route to the destination */
	MG_ICMP_ERR_HOST,    /* ... or the last router does not find it */
	MG_ICMP_ERR_PROTO,   /* the destination does not speak the protocol */
	MG_ICMP_ERR_PORT,    /* nobody there */
	MG_ICMP_ERR_TOO_BIG, /* `mtu` says how much fits */
	MG_ICMP_ERR_ADMIN,   /* forbidden */
	MG_ICMP_ERR_TIME,    /* hop limit or reassembly time exceeded */
	MG_ICMP_ERR_PARAM,   /* a header field nobody understood */
	MG_ICMP_ERR_QUENCH,  /* IPv4 only; to be ignored (RFC 6633) */
};

/* Of either family; type and code are as on the wire, so `is_echo` and `error` are what to ask. */
struct mg_icmp_view {
	uint8_t type;
	uint8_t code;
	bool is_echo;        /* a request */
	bool is_error;       /* the quote_ fields are valid */
	uint8_t error;       /* enum mg_icmp_error */
	uint8_t quote_proto; /* ports and seq are valid for MG_IPPROTO_TCP; ports for UDP */
	uint16_t echo_id;    /* echo and echo reply */
	uint16_t echo_seq;
	uint32_t mtu;          /* next hop's, with TOO_BIG; 0: a router that does not tell */
	uint32_t quote_l3_len; /* total length of the quoted packet */
	struct mg_tuple quote;
	uint32_t quote_seq;
};

/* 0 or a negative enum mg_drop. A type that is not known passes with type and code only. */
int mg_wire_icmp_parse(const struct mg_ip_view *ip, uint32_t rx_flags,
		       struct mg_icmp_view *ret_icmp);
/*
 * Writes the reply to an echo request, from the IP header on, into dst, which has room for
 * MG_IPV4_HLEN + ip->l4_len bytes; returns that. The request's data is copied (RFC 1122 3.2.2.6), its
 * source becomes the destination. dst may be ip->l3 itself when the request is in one piece, without
 * IP options: turned around in place.
 */
uint32_t mg_wire_icmp_echo_reply(uint8_t *dst, const struct mg_ip_view *ip, uint8_t ttl);

#define MG_ICMP_EXCEEDED_MAX 576   /* RFC 1812 4.3.2.3: the whole message at most */
#define MG_ICMP6_EXCEEDED_MAX 1280 /* RFC 4443 3.3 */

/* "Fragment reassembly time exceeded": the first fragment's header as it came, and what followed it. */
struct mg_icmp_exceeded {
	const struct mg_addr *src;
	const struct mg_addr *dst;
	const uint8_t *hdr;
	uint32_t hdr_len;
	const uint8_t *data;
	uint32_t data_len; /* quoted as far as there is room */
	uint8_t ttl;
};
/*
 * Writes the message from the IP header on into dst, which has room for MG_ICMP_EXCEEDED_MAX bytes (IPv6:
 * MG_ICMP6_EXCEEDED_MAX); returns its length. RFC 792, RFC 4443 3.3.
 */
uint32_t mg_wire_icmp_exceeded(uint8_t *dst, const struct mg_icmp_exceeded *e);
#endif
