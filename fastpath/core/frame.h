/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - makes a flow's frames.
 *
 * Idea:    link, IP and TCP header lie ready as a template per flow; a frame is the template, the numbers that
 *          change, options for SACK, and the payload copied out of the tx ring. Checksums are finished here
 *          unless the port does it; the sums of what never changes are kept with the template. This is
 *          the only place in the engine that writes bytes of packets.
 *          Where the port finishes the TCP checksum, its field holds the pseudo-header's sum with the length
 *          of the whole frame's segment, for GSO frames too (what virtio-net wants).
 * Threads: one worker.
 */
#ifndef MG_FP_FRAME_H
#define MG_FP_FRAME_H
#include <stdbool.h>
#include <stdint.h>

#include "fastpath/core/flow.h"

struct mg_fp;

/* One frame to send. */
struct mg_fp_segment {
	uint32_t seq;
	uint32_t len;      /* payload: from position tx_una + (seq - snd_una) of the tx ring */
	uint16_t flags;    /* enum mg_tcp_flag */
	uint16_t gso;      /* payload per wire segment; 0: one segment */
	uint8_t ecn;       /* enum mg_ecn */
	uint8_t max_sacks; /* 0: no SACK option */
};

/* Builds the template from an INSTALL. */
void mg_frame_template(struct mg_fp *fp, struct mg_flow *f, const struct mg_cmd_install *cmd);
void mg_frame_set_nexthop(const struct mg_fp *fp, struct mg_flow *f,
			  const struct mg_cmd_set_nexthop *cmd);
void mg_frame_set_ttl(struct mg_flow *f, uint8_t ttl);
void mg_frame_set_tos(struct mg_flow *f, uint8_t tos);
/* IPv4: no DF from now on. */
void mg_frame_allow_fragments(struct mg_flow *f);
/* False: no packet was free; nothing happened. */
bool mg_frame_send(struct mg_fp *fp, struct mg_flow *f, const struct mg_fp_segment *s);
#endif
