/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.h - TCP headers and options (RFC 9293 3.1-3.2, RFC 7323, RFC 2018): segment bytes to view and back.
 *
 * Idea:    parse accepts options anywhere, unaligned, in any order (MUST-4..7, MUST-64); unknown ones are
 *          stepped over by their length; at an impossible length the rest of the options is ignored and
 *          the segment kept, as Linux does. MSS, window scale, SACK-permitted and Fast Open (RFC 7413)
 *          count on SYN only.
 *          Emit writes the layouts that Linux writes, so that middleboxes have seen them before.
 * Threads: pure functions.
 */
#ifndef MG_TCP_H
#define MG_TCP_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/ip.h"
#include "proto/wire/seg.h"

/* Sequence numbers and flags in, header out. Options by bit in `opts` (enum mg_seg_opt). */
struct mg_tcp_hdr_spec {
	uint16_t sport;
	uint16_t dport;
	uint32_t seq;
	uint32_t ack;
	uint16_t flags; /* enum mg_tcp_flag */
	uint16_t wnd;   /* as on the wire, scaled */
	uint16_t urg;
	uint16_t mss;
	uint32_t tsval;
	uint32_t tsecr;
	uint8_t opts;
	uint8_t ws;
	uint8_t tfo_len;    /* bytes of the Fast Open cookie, even; 0: asks for one */
	const uint8_t *tfo; /* not beside SACK */
	uint8_t nr_sack;    /* cut to what fits: 4 blocks, 3 beside timestamps */
	struct mg_sack_block sack[MG_SACK_BLOCKS_MAX];
};

/*
 * The segment at ip->l4. 0 or a negative enum mg_drop. Fills everything in *ret_seg but l2 (set to NULL)
 * and gso_size (set to 0); unused option fields are left undefined, `opts` says which are valid.
 */
int mg_wire_tcp_parse(const struct mg_ip_view *ip, bool csum_verified, struct mg_seg *ret_seg);

/* 20..60, a multiple of 4. */
uint32_t mg_wire_tcp_hdr_len(const struct mg_tcp_hdr_spec *spec);
/* Writes the header with a zero checksum field and returns its length. */
uint32_t mg_wire_tcp_emit(uint8_t *dst, const struct mg_tcp_hdr_spec *spec);

/* Everything around a TCP payload. */
struct mg_frame_spec {
	struct mg_mac dmac;
	struct mg_mac smac;
	const struct mg_addr *src;
	const struct mg_addr *dst;
	uint64_t payload_sum; /* mg_csum_add() of the payload, for MG_TX_CSUM_FULL */
	uint32_t payload_len;
	uint16_t ip_id; /* IPv4; DF is set, so any value will do (RFC 6864) */
	uint8_t ttl;
	uint8_t tos;         /* dscp << 2 | ecn */
	uint8_t csum;        /* enum mg_tx_csum */
	uint32_t flow_label; /* IPv6 */
	struct mg_tcp_hdr_spec tcp;
};

/* Lengths of the two below, without and with the Ethernet header; never more than MG_WIRE_HDR_MAX. */
uint32_t mg_wire_ip_tcp_hdr_len(const struct mg_frame_spec *spec);
uint32_t mg_wire_eth_ip_tcp_hdr_len(const struct mg_frame_spec *spec);
/* IP and TCP headers with checksums; the payload is to stand behind. The family is that of src. */
uint32_t mg_wire_emit_ip_tcp(uint8_t *dst, const struct mg_frame_spec *spec);
/* The same behind an Ethernet header. */
uint32_t mg_wire_emit_eth_ip_tcp(uint8_t *dst, const struct mg_frame_spec *spec);
#endif
