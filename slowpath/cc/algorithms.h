/* SPDX-License-Identifier: Apache-2.0 */
/*
 * algorithms.h - the tables of the algorithms, for the list in cc.c, and slow start, which they share.
 *
 * Threads: pure functions.
 */
#ifndef MG_CC_ALGORITHMS_H
#define MG_CC_ALGORITHMS_H
#include "proto/base/bits.h"
#include "slowpath/cc/cc.h"

extern const struct mg_cc_ops mg_cc_cubic;
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
#endif
