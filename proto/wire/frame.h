/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - one received frame, classified and checked: the first thing that happens to every packet.
 *
 * Idea:    the common frame - Ethernet, IPv4 without options, TCP with no option or NOP NOP timestamps - is
 *          recognised by a few compares and filled in straight; everything else goes through the parsers
 *          one by one. Both ways give the same view (the unit test compares them).
 * Use:     err = mg_wire_parse_frame(data, len, flags, &fv); err < 0: count -err, drop.
 *          switch (fv.kind) ...
 * Threads: pure functions.
 */
#ifndef MG_FRAME_H
#define MG_FRAME_H
#include <stdint.h>

#include "proto/wire/arp.h"
#include "proto/wire/eth.h"
#include "proto/wire/icmp.h"
#include "proto/wire/icmp6.h"
#include "proto/wire/ip.h"
#include "proto/wire/seg.h"
#include "proto/wire/tcp.h"

enum mg_frame_kind {
	MG_FRAME_TCP,      /* seg is valid */
	MG_FRAME_ARP,      /* arp is valid */
	MG_FRAME_ICMP,     /* icmp and ip are valid; of either family */
	MG_FRAME_ND,       /* nd and ip are valid: IPv6 neighbor discovery */
	MG_FRAME_IP_OTHER, /* ip is valid: another protocol */
	MG_FRAME_FRAGMENT, /* ip is valid: a piece of a packet, whatever it carries */
};

struct mg_frame_view {
	uint8_t kind;      /* enum mg_frame_kind */
	uint8_t l2_len;    /* 0 on ports without link layer */
	uint16_t vlan_tci; /* 0: untagged */
	union {
		struct mg_seg seg;
		struct mg_arp_view arp;
		struct {
			struct mg_ip_view ip;
			union {
				struct mg_icmp_view icmp;
				struct mg_nd_view nd;
			};
		};
	};
};

/* A frame that may lie in several buffers and may be several wire segments merged. */
struct mg_frame_bytes {
	const uint8_t *data;
	uint32_t len;                /* of the first buffer; holds all headers */
	uint32_t rx_flags;           /* enum mg_rx_flag */
	const struct mg_chunk *more; /* NULL: in one piece */
	uint16_t gso_size;           /* payload bytes per wire segment; 0: not merged */
};

/* One buffer, one segment. 0 or a negative enum mg_drop. */
int mg_wire_parse_frame(const uint8_t *frame, uint32_t len, uint32_t rx_flags,
			struct mg_frame_view *ret_view);
/* The general form. */
int mg_wire_parse_packet(const struct mg_frame_bytes *in, struct mg_frame_view *ret_view);
#endif
