/* SPDX-License-Identifier: Apache-2.0 */
/* cookie.c - see cookie.h. */
#include "slowpath/core/cookie.h"

#include "proto/base/bits.h"
#include "proto/base/time.h"
#include "slowpath/core/isn.h"

#define MINUTE_NS (64 * MG_NS_PER_S)
#define HASH_BITS 24
#define HASH_MASK ((1u << HASH_BITS) - 1)
#define MINUTE_SHIFT 27

static const uint16_t mss_table[8] = { 216, 536, 1024, 1220, 1440, 1460, 4312, 8960 };

static uint32_t hash24(const struct mg_siphash_key *key, const struct mg_tuple *tuple, uint32_t irs,
		       uint64_t minute, uint32_t index)
{
	uint64_t salt = minute << 35 | (uint64_t)index << 32 | irs;

	return (uint32_t)mg_isn_hash(key, MG_ISN_COOKIE, tuple, salt) & HASH_MASK;
}

static uint32_t cookie_of(const struct mg_siphash_key *key, const struct mg_tuple *tuple,
			  uint32_t irs, uint64_t minute, uint32_t index)
{
	return (uint32_t)(minute & 31) << MINUTE_SHIFT | index << HASH_BITS |
	       hash24(key, tuple, irs, minute, index);
}

uint32_t mg_cookie_make(const struct mg_siphash_key *key, const struct mg_tuple *tuple,
			uint32_t irs, uint16_t mss, uint64_t now_ns)
{
	uint32_t index = MG_ARRAY_SIZE(mss_table) - 1;

	while (index > 0 && mss_table[index] > mss)
		index--;
	return cookie_of(key, tuple, irs, now_ns / MINUTE_NS, index);
}

uint32_t mg_cookie_tsval(uint32_t tsval, const struct mg_cookie *c)
{
	uint32_t low = (c->has_ws ? c->ws : MG_COOKIE_NO_WS) | (uint32_t)c->has_sack << 4 |
		       (uint32_t)c->has_ecn << 5;
	uint32_t ts = (tsval & ~((1u << MG_COOKIE_TS_BITS) - 1)) | low;

	return (int32_t)(ts - tsval) > 0 ? ts - (1u << MG_COOKIE_TS_BITS) : ts;
}

bool mg_cookie_check(const struct mg_siphash_key *key, const struct mg_tuple *tuple, uint32_t irs,
		     uint32_t iss, uint64_t now_ns, uint16_t *ret_mss)
{
	uint64_t minute = now_ns / MINUTE_NS;
	uint32_t index = iss >> HASH_BITS & 7;

	for (uint64_t age = 0; age < 2 && age <= minute; age++) {
		if (cookie_of(key, tuple, irs, minute - age, index) == iss) {
			*ret_mss = mss_table[index];
			return true;
		}
	}
	return false;
}

void mg_cookie_options(uint32_t tsecr, struct mg_cookie *ret_cookie)
{
	ret_cookie->has_ts = true;
	ret_cookie->ws = tsecr & 15;
	ret_cookie->has_ws = ret_cookie->ws != MG_COOKIE_NO_WS;
	ret_cookie->has_sack = (tsecr & 1u << 4) != 0;
	ret_cookie->has_ecn = (tsecr & 1u << 5) != 0;
}
