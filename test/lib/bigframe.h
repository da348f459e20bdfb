/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bigframe.h - what a port with large segments does, in software: splits frames, and merges them.
 *
 * Idea:    the engine may hand out a frame of many segments, with payload by reference and the checksum
 *          to be finished; and may be given one that was merged. Tests and the simulator have no such port:
 *          this is one. Splitting writes numbers, flags, lengths and checksums as RFC 9293 would have them for
 *          each segment by itself; merging joins what is next in sequence and alike in all else.
 * Use:     mg_bigframe_flatten(), then mg_bigframe_split(). mg_bigmerge_add() for each arrival, with
 *          mg_bigmerge_take() before anything else is done.
 * Threads: one.
 * Memory:  the caller's.
 */
#ifndef MG_TEST_BIGFRAME_H
#define MG_TEST_BIGFRAME_H
#include <stdbool.h>
#include <stdint.h>

#include "fastpath/core/fp.h"

#define MG_BIGFRAME_BYTES 66000

/* All of the packet in one piece, checksums finished; `whole_csum`: the IP header's was left out, too. */
uint32_t mg_bigframe_flatten(const struct mg_fp_pkt *pkt, bool whole_csum, uint8_t *buf);
/* Calls tx for each segment of a flat frame; once if gso_size is 0 or nothing is to split. */
void mg_bigframe_split(const struct mg_fp_pkt *pkt, const uint8_t *frame, uint32_t len,
		       void (*tx)(void *ctx, const uint8_t *frame, uint32_t len), void *ctx);

/* What was merged so far. */
struct mg_bigmerge {
	uint32_t len; /* 0: nothing */
	uint32_t end; /* sequence number behind it */
	uint32_t payload;
	uint32_t hdr_len;
	uint16_t gso_size;
	bool closed; /* its last segment was short or pushed */
	uint8_t frame[MG_BIGFRAME_BYTES];
};

/* True: the frame is part of it now. Else take what is there, and add or treat the frame by itself. */
bool mg_bigmerge_add(struct mg_bigmerge *m, const uint8_t *frame, uint32_t len);
#endif
