/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_fuzz.c - any bytes as a received frame.
 *
 * Idea:    what the parser lets through must lie inside the frame: the fuzzer reads every byte that
 *          the view names, and AddressSanitizer says when one is outside. The first input byte is the
 *          port's receive flags, so that both ways, checksum verified here and by the port, are taken.
 * Use:     scripts/fuzz frame
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool right)
{
	if (!right)
		abort();
}

static void check_segment(const struct mg_seg *seg, const uint8_t *frame, uint32_t len)
{
	uint8_t *copy = malloc(seg->payload_len + 1u);

	require(copy != NULL);
	require(seg->l3 >= frame && seg->l3 <= frame + len);
	require(seg->l3_len <= (uint32_t)(frame + len - seg->l3));
	require(seg->payload_len <= seg->l3_len);
	require(seg->nr_sack <= MG_SACK_BLOCKS_MAX);
	require((seg->opts & MG_SEG_OPT_WS) == 0 || seg->ws <= MG_TCP_WS_MAX);
	mg_seg_copy(seg, 0, copy, seg->payload_len);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_frame_view view;
	uint8_t *frame;
	uint32_t len;

	if (size < 1 || size > 65536)
		return -1;
	len = (uint32_t)(size - 1);
	frame = malloc(len > 0 ? len : 1); /* of its own size: the byte after it is poisoned */
	require(frame != NULL);
	memcpy(frame, data + 1, len);
	memset(&view, 0, sizeof(view));
	if (mg_wire_parse_frame(frame, len, data[0], &view) == 0 && view.kind == MG_FRAME_TCP)
		check_segment(&view.seg, frame, len);
	free(frame);
	return 0;
}
