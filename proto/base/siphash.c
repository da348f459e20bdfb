/* SPDX-License-Identifier: Apache-2.0 */
/*
 * siphash.c - SipHash-2-4 by Aumasson and Bernstein.
 */
#include "proto/base/siphash.h"

#include "proto/base/endian.h"
#include "proto/base/sip_round.h"

uint64_t mg_siphash24(const struct mg_siphash_key *key, const void *data, size_t len)
{
	const uint8_t *p = data;
	struct mg_sip s = mg_sip_start(key->k0, key->k1);
	uint64_t last = (uint64_t)len << 56;
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8)
		mg_sip_word(&s, mg_load_le64(p), 2);
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	mg_sip_word(&s, last, 2);
	return mg_sip_end(&s, 4);
}
