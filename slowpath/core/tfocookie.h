/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tfocookie.h - TCP Fast Open cookies of the server (RFC 7413 4.1.2): who holds one has been seen at its address.
 *
 * Idea:    SipHash over both addresses, with a key that nobody outside knows: the same cookie for all connections of
 *          a host, another for each host. Two keys are good at a time. Without a configured key they are drawn from
 *          the engine's secret and a number that counts lifetimes, so a key is good for one lifetime and its cookies
 *          for one more. A configured key (the same on all servers behind one address) is good until another takes
 *          its place, and as the second key from then on.
 * Threads: the slow path; the functions of keys are pure.
 */
#ifndef MG_TFOCOOKIE_H
#define MG_TFOCOOKIE_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/addr.h"
#include "proto/base/siphash.h"
#include "proto/wire/seg.h"

#define MG_TFO_KEY_BYTES 16
#define MG_TFO_COOKIE_OURS 8 /* bytes of those that we give */

struct mg_tfo_cookie {
	uint8_t b[MG_TFO_COOKIE_MAX];
	uint8_t len; /* 0: none */
};

struct mg_tfo_keys {
	struct mg_siphash_key now;
	struct mg_siphash_key before;
	bool has_before;
};

/* Which key made it? */
enum mg_tfo_match {
	MG_TFO_NO_MATCH = 0,
	MG_TFO_MATCH = 1,
	MG_TFO_MATCH_BEFORE = 2, /* still good; the peer is to get a new one */
};

/* The keys of lifetime number `epoch`. */
void mg_tfo_keys_draw(const struct mg_siphash_key *secret, uint64_t epoch,
		      struct mg_tfo_keys *ret_keys);
void mg_tfo_key_load(const uint8_t bytes[MG_TFO_KEY_BYTES], struct mg_siphash_key *ret_key);
void mg_tfo_cookie_make(const struct mg_siphash_key *key, const struct mg_tuple *tuple,
			struct mg_tfo_cookie *ret_cookie);
enum mg_tfo_match mg_tfo_cookie_check(const struct mg_tfo_keys *keys, const struct mg_tuple *tuple,
				      const uint8_t *cookie, uint32_t len);
#endif
