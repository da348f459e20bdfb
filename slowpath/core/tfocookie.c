/* SPDX-License-Identifier: Apache-2.0 */
/* tfocookie.c - see tfocookie.h. */
#include "slowpath/core/tfocookie.h"

#include <string.h>

#include "proto/base/endian.h"

static void draw(const struct mg_siphash_key *secret, uint64_t epoch, struct mg_siphash_key *ret)
{
	/* what it is for, so that no other use of the secret hashes the same */
	uint64_t in[3] = { 0x5446304b45590000ull, epoch, 0 };

	ret->k0 = mg_siphash24(secret, in, sizeof(in));
	in[2] = 1;
	ret->k1 = mg_siphash24(secret, in, sizeof(in));
}

void mg_tfo_keys_draw(const struct mg_siphash_key *secret, uint64_t epoch,
		      struct mg_tfo_keys *ret_keys)
{
	draw(secret, epoch, &ret_keys->now);
	ret_keys->has_before = epoch > 0;
	if (ret_keys->has_before)
		draw(secret, epoch - 1, &ret_keys->before);
}

static uint64_t load_be64(const uint8_t *p)
{
	return (uint64_t)mg_load_be32(p) << 32 | mg_load_be32(p + 4);
}

void mg_tfo_key_load(const uint8_t bytes[MG_TFO_KEY_BYTES], struct mg_siphash_key *ret_key)
{
	ret_key->k0 = load_be64(bytes);
	ret_key->k1 = load_be64(bytes + 8);
}

void mg_tfo_cookie_make(const struct mg_siphash_key *key, const struct mg_tuple *tuple,
			struct mg_tfo_cookie *ret_cookie)
{
	struct mg_addr in[2] = { tuple->raddr, tuple->laddr };
	uint64_t hash = mg_siphash24(key, in, sizeof(in));

	memset(ret_cookie, 0, sizeof(*ret_cookie));
	mg_store_be32(ret_cookie->b, (uint32_t)(hash >> 32));
	mg_store_be32(ret_cookie->b + 4, (uint32_t)hash);
	ret_cookie->len = MG_TFO_COOKIE_OURS;
}

static bool is_of(const struct mg_siphash_key *key, const struct mg_tuple *tuple,
		  const uint8_t *cookie, uint32_t len)
{
	struct mg_tfo_cookie right;

	mg_tfo_cookie_make(key, tuple, &right);
	return len == right.len && memcmp(right.b, cookie, len) == 0;
}

enum mg_tfo_match mg_tfo_cookie_check(const struct mg_tfo_keys *keys, const struct mg_tuple *tuple,
				      const uint8_t *cookie, uint32_t len)
{
	if (is_of(&keys->now, tuple, cookie, len))
		return MG_TFO_MATCH;
	if (keys->has_before && is_of(&keys->before, tuple, cookie, len))
		return MG_TFO_MATCH_BEFORE;
	return MG_TFO_NO_MATCH;
}
