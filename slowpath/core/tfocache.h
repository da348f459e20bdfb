/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tfocache.h - what the client knows of servers with TCP Fast Open (RFC 7413 4.1.3): cookie, MSS, losses.
 *
 * Idea:    a bounded, set-associative table by both addresses, because a cookie is for the one that asked; in a full
 *          set what was used longest ago goes. A handshake whose SYN had the option and was answered only without it
 *          counts as a loss; after two in a row the option is left out for a while, twice as long each time
 *          (4.1.3.1, 7.1): a middlebox on that path may drop such SYNs. One that gets through ends that.
 * Threads: the slow path.
 * Memory:  in the engine's block.
 */
#ifndef MG_TFOCACHE_H
#define MG_TFOCACHE_H
#include <stdbool.h>
#include <stdint.h>

#include "slowpath/core/tfocookie.h"

struct mg_slow;

#define MG_TFO_CACHE_SETS 256
#define MG_TFO_CACHE_WAYS 4

struct mg_tfo_entry {
	struct mg_addr laddr;
	struct mg_addr raddr;
	struct mg_tfo_cookie cookie; /* len 0: none */
	uint8_t lost;                /* in a row */
	uint16_t mss;                /* the server's */
	uint64_t lost_ns;            /* the last one */
	uint64_t used_ns;            /* 0: free */
};

struct mg_tfo_cache {
	struct mg_tfo_entry entries[MG_TFO_CACHE_SETS][MG_TFO_CACHE_WAYS];
};

/* What to do with a SYN of this tuple. */
enum mg_tfo_advice {
	MG_TFO_ASK = 0,   /* nothing is known: ask for a cookie */
	MG_TFO_USE = 1,   /* *ret_entry has one */
	MG_TFO_LEAVE = 2, /* the option gets lost there */
};

/* ret_entry: a copy, zeroed when nothing is known. */
enum mg_tfo_advice mg_tfo_cache_look(struct mg_slow *s, const struct mg_tuple *tuple,
				     struct mg_tfo_entry *ret_entry);
/* A SYN-ACK to a SYN with the option. cookie: what it brought, or NULL; is_lost: the option did not get there. */
void mg_tfo_cache_note(struct mg_slow *s, const struct mg_tuple *tuple,
		       const struct mg_tfo_cookie *cookie, uint16_t mss, bool is_lost);
#endif
