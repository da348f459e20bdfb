/* SPDX-License-Identifier: Apache-2.0 */
/*
 * l4sum.c - sums over a chain of buffers, whose lengths may be odd.
 */
#include "proto/wire/l4sum.h"

#include "proto/base/bits.h"
#include "proto/wire/checksum.h"

uint64_t mg_l4_sum(uint64_t sum, const struct mg_ip_view *ip)
{
	uint32_t off = ip->l4_first_len;

	sum = mg_csum_add(sum, ip->l4, ip->l4_first_len);
	for (const struct mg_chunk *c = ip->more; c != NULL && off < ip->l4_len; c = c->next) {
		uint32_t n = mg_min_u32(c->len, ip->l4_len - off);

		sum = mg_csum_combine(sum, mg_csum_add(0, c->data, n), off);
		off += n;
	}
	return sum;
}
