/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seg.c - payload that lies in several buffers.
 */
#include "proto/wire/seg.h"

#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"

void mg_seg_copy(const struct mg_seg *seg, uint32_t off, uint8_t *dst, uint32_t len)
{
	const struct mg_chunk *chunk = &seg->payload;

	MG_DASSERT(len <= seg->payload_len && off <= seg->payload_len - len);
	for (; chunk != NULL && len > 0; chunk = chunk->next) {
		if (off >= chunk->len) {
			off -= chunk->len;
			continue;
		}
		uint32_t n = mg_min_u32(len, chunk->len - off);

		memcpy(dst, chunk->data + off, n);
		dst += n;
		len -= n;
		off = 0;
	}
	MG_DASSERT(len == 0);
}
