/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cookie.h - SYN cookies (RFC 4987 3.6): a handshake whose state the peer keeps for us.
 *
 * Idea:    the ISN of the SYN-ACK is  hash24(tuple, irs, minute, mss index) | mss index (3 bits) above | minute
 *          mod 32 (5 bits) at the top.  With timestamps the low six bits of our TSval carry the peer's window
 *          scale (4 bits, 15: none), SACK-permitted and ECN; they come back in TSecr. A cookie is good in the
 *          minute it was made and the next.
 * Threads: pure functions.
 */
#ifndef MG_COOKIE_H
#define MG_COOKIE_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/addr.h"
#include "proto/base/siphash.h"

#define MG_COOKIE_TS_BITS 6
#define MG_COOKIE_NO_WS 15

/* What survives in a cookie. */
struct mg_cookie {
	uint16_t mss;
	bool has_ts;
	bool has_sack;
	bool has_ecn;
	bool has_ws;
	uint8_t ws;
};

/* The ISN that stands for this handshake; mss is rounded down to what the cookie can say. */
uint32_t mg_cookie_make(const struct mg_siphash_key *key, const struct mg_tuple *tuple,
			uint32_t irs, uint16_t mss, uint64_t now_ns);
/* TSval with the options in its low bits: never ahead of `tsval`. */
uint32_t mg_cookie_tsval(uint32_t tsval, const struct mg_cookie *c);
/* Does this ISN, seen as the ACK less one, come from us? Fills mss. */
bool mg_cookie_check(const struct mg_siphash_key *key, const struct mg_tuple *tuple, uint32_t irs,
		     uint32_t iss, uint64_t now_ns, uint16_t *ret_mss);
/* The options out of a TSecr that mg_cookie_tsval() made. */
void mg_cookie_options(uint32_t tsecr, struct mg_cookie *ret_cookie);
#endif
