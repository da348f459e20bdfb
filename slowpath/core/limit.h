/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit.h - a token bucket: at most `per_s` events a second, in bursts of up to one second's worth.
 *
 * Threads: one at a time. Zeroed: full at the first use.
 */
#ifndef MG_LIMIT_H
#define MG_LIMIT_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/bits.h"
#include "proto/base/time.h"

struct mg_limit {
	uint64_t at_ns;  /* tokens are counted up to here */
	uint64_t tokens; /* in 1e-9 events */
};

/* True: go ahead, one token is taken. */
static inline bool mg_limit_pass(struct mg_limit *limit, uint32_t per_s, uint64_t now_ns)
{
	uint64_t passed_ns = mg_min_u64(mg_sub_sat_u64(now_ns, limit->at_ns), MG_NS_PER_S);
	uint64_t full = (uint64_t)per_s * MG_NS_PER_S;

	if (limit->at_ns == 0)
		limit->tokens = full;
	limit->at_ns = mg_max_u64(now_ns, 1);
	limit->tokens = mg_min_u64(full, limit->tokens + passed_ns * per_s);
	if (limit->tokens < MG_NS_PER_S)
		return false;
	limit->tokens -= MG_NS_PER_S;
	return true;
}
#endif
