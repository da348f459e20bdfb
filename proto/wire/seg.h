/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seg.h - a received TCP segment as a checked view of packet bytes.
 *
 * Idea:    if a struct mg_seg exists, then every length, offset, option and checksum in it was right;
 *          nobody above proto/wire sees a malformed header. All numbers are in host order. The view
 *          borrows the packet's bytes: it is dead when the packet is freed.
 *          A segment may be larger than the MTU (GRO/TSO) and may continue in further buffers.
 * Threads: plain value.
 */
#ifndef MG_SEG_H
#define MG_SEG_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/addr.h"

enum mg_tcp_flag {
	MG_TCP_FIN = 0x001,
	MG_TCP_SYN = 0x002,
	MG_TCP_RST = 0x004,
	MG_TCP_PSH = 0x008,
	MG_TCP_ACK = 0x010,
	MG_TCP_URG = 0x020,
	MG_TCP_ECE = 0x040,
	MG_TCP_CWR = 0x080,
	MG_TCP_AE = 0x100,
};

/* ECN field of the IP header (RFC 3168). */
enum mg_ecn { MG_ECN_NOT_ECT = 0, MG_ECN_ECT1 = 1, MG_ECN_ECT0 = 2, MG_ECN_CE = 3 };

#define MG_SACK_BLOCKS_MAX 4
#define MG_TCP_WS_MAX 14
#define MG_TFO_COOKIE_MIN 4 /* bytes of a Fast Open cookie (RFC 7413 4.1.1) */
#define MG_TFO_COOKIE_MAX 16

struct mg_sack_block {
	uint32_t start; /* first sequence number of the block */
	uint32_t end;   /* one past the last */
};

enum mg_seg_opt {
	MG_SEG_OPT_MSS = 1 << 0,
	MG_SEG_OPT_WS = 1 << 1,
	MG_SEG_OPT_SACK_PERM = 1 << 2,
	MG_SEG_OPT_TS = 1 << 3,
	MG_SEG_OPT_SACK = 1 << 4,
	MG_SEG_OPT_UTO = 1 << 5,
	MG_SEG_OPT_TFO = 1 << 6,
};

/* Further bytes of a packet that does not lie in one piece. */
struct mg_chunk {
	const uint8_t *data;
	uint32_t len;
	const struct mg_chunk *next;
};

struct mg_seg {
	struct mg_tuple tuple; /* laddr/lport: destination of the packet, i.e. this host */
	uint32_t seq;
	uint32_t ack;
	uint32_t payload_len; /* all chunks together */
	uint16_t wnd;         /* as on the wire, unscaled */
	uint16_t flags;       /* enum mg_tcp_flag */
	uint16_t urg;         /* urgent pointer as on the wire */
	uint8_t opts;         /* enum mg_seg_opt: which of the following are valid */
	uint8_t ecn;          /* enum mg_ecn */
	uint8_t ttl;
	uint8_t dscp;
	uint8_t nr_sack;
	uint8_t ws;
	uint8_t tfo_len; /* bytes of the Fast Open cookie; 0: one is asked for */
	uint16_t mss;
	uint16_t gso_size; /* payload bytes per wire segment when the port merged several; else 0 */
	uint32_t tsval;
	uint32_t tsecr;
	struct mg_sack_block sack[MG_SACK_BLOCKS_MAX];
	const uint8_t *tfo;      /* the cookie */
	struct mg_chunk payload; /* payload.next is NULL for one-buffer packets */
	const uint8_t *l2;       /* start of the frame, NULL on ports without link layer */
	const uint8_t *l3;       /* start of the IP header */
	uint32_t l3_len;         /* IP header + TCP header + payload in the first buffer */
};

/* Sequence space the segment occupies: payload plus one each for SYN and FIN. */
static inline uint32_t mg_seg_len(const struct mg_seg *seg)
{
	return seg->payload_len + ((seg->flags & MG_TCP_SYN) != 0) +
	       ((seg->flags & MG_TCP_FIN) != 0);
}

/* Copies `len` bytes from payload offset `off`; the caller keeps off + len <= payload_len. */
void mg_seg_copy(const struct mg_seg *seg, uint32_t off, uint8_t *dst, uint32_t len);
#endif
