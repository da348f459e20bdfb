/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frag.h - puts fragments of IP packets together (RFC 791, RFC 8200 4.5), within a bound.
 *
 * Idea:    a small table of packets under way, each with a buffer of its own and the ranges that have come. When the
 *          ranges cover the whole, the packet is written anew - first fragment's header without options, one piece
 *          - and goes through the normal input, its checksums unproven. TCP hardly ever comes in fragments, so
 *          everything suspicious is dropped: ranges that overlap take the whole packet along, with what of it is
 *          still to come (RFC 5722, for IPv4 likewise); headers cut in two (RFC 1858, RFC 3128, RFC 7112); lengths
 *          that are no multiple of eight; packets that are longer than ours ever are. What is not complete in 30
 *          (IPv4) or 60 (IPv6) seconds is forgotten, and its source told if the first fragment came. One source may have a quarter of the table; a full
 *          table forgets its oldest.
 * Threads: the slow path.
 * Memory:  the table from the caller.
 */
#ifndef MG_FRAG_H
#define MG_FRAG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/addr.h"
#include "slowpath/core/limit.h"

struct mg_slow;
struct mg_frame_view;
struct mg_msg_packet;

#define MG_FRAG_BYTES_MAX 9600 /* payload of one IP packet */
#define MG_FRAG_PIECES_MAX 64
#define MG_FRAG_L2_MAX 18
#define MG_FRAG_L3_MAX 96 /* of a first fragment's header kept, to be quoted */

struct mg_frag_piece {
	uint16_t off;
	uint16_t end;
};

struct mg_frag {
	struct mg_addr src, dst;
	uint64_t expire_ns; /* 0: free */
	uint32_t id;
	uint32_t have;  /* bytes that have come */
	uint32_t total; /* known once the last fragment is here; else 0 */
	uint16_t nr;    /* pieces */
	uint16_t port;
	uint8_t version;
	uint8_t proto; /* of the first fragment; IPv4: of all */
	uint8_t ttl;
	uint8_t dscp;
	uint8_t ecn_seen; /* a bit for each of enum mg_ecn */
	uint8_t l2_len;
	bool has_first;
	bool is_void;   /* overlapped: what comes is dropped until it expires */
	uint8_t l3_len; /* 0: too long, or not here yet */
	uint8_t l2[MG_FRAG_L2_MAX];
	uint8_t l3[MG_FRAG_L3_MAX];
	uint32_t first_bytes; /* carried by the first fragment */
	struct mg_frag_piece piece[MG_FRAG_PIECES_MAX];
	uint8_t data[MG_FRAG_BYTES_MAX];
};

struct mg_frags {
	struct mg_frag *entries;
	uint32_t count;
	uint32_t nr_used;
	uint64_t next_ns; /* not later than the first to expire */
	struct mg_limit told;
};

/* A fragment; when it completes its packet, that is received. */
void mg_frag_input(struct mg_slow *s, uint32_t worker, const struct mg_frame_view *fv,
		   const struct mg_msg_packet *pkt);
void mg_frag_expire(struct mg_slow *s);
uint64_t mg_frag_next_ns(const struct mg_slow *s);
#endif
