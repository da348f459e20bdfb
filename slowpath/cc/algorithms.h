/* SPDX-License-Identifier: Apache-2.0 */
/*
 * algorithms.h - the tables of the algorithms, for the list in cc.c, and what several of them share.
 *
 * Threads: pure functions.
 */
#ifndef MG_CC_ALGORITHMS_H
#define MG_CC_ALGORITHMS_H
#include "proto/base/bits.h"
#include "slowpath/cc/cc.h"

extern const struct mg_cc_ops mg_cc_bbr;
extern const struct mg_cc_ops mg_cc_cubic;
extern const struct mg_cc_ops mg_cc_dctcp;
extern const struct mg_cc_ops mg_cc_reno;

static inline bool mg_cc_in_slow_start(const struct mg_cc *cc)
{
	return cc->cwnd < cc->ssthresh;
}

/* cwnd + more, without wrapping. */
static inline uint32_t mg_cc_grown(const struct mg_cc *cc, uint64_t more)
{
	return (uint32_t)mg_min_u64((uint64_t)cc->cwnd + more, UINT32_MAX / 2);
}

/* Half of what was in flight, but two segments (RFC 5681 equation 4). */
uint32_t mg_cc_half_flight(const struct mg_cc *cc, const struct mg_cc_sample *s);
/* Slow start and Reno's avoidance; `count` is the algorithm's. */
void mg_cc_reno_grow(struct mg_cc *cc, const struct mg_cc_sample *s, uint32_t *count);
/* DCTCP's alpha in 1 / 65536, for tests. */
uint32_t mg_cc_dctcp_alpha(const struct mg_cc *cc);
#endif
