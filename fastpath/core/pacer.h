/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pacer.h - spreads a flow's segments over time.
 *
 * Idea:    pace_next_ns is when the credit of what was sent is used up. A flow may send while that is not in
 *          the future; unused time counts for at most pace_burst_ns. So over any interval t at most
 *          rate * (t + burst) + one frame leaves. Bytes are payload's, as those of delivery rates.
 * Use:     mg_pacer_set() on a new rate; mg_pacer_blocked() before, mg_pacer_spend() after each frame.
 * Threads: pure functions of the flow.
 */
#ifndef MG_PACER_H
#define MG_PACER_H
#include "fastpath/core/flow.h"
#include "proto/base/bits.h"

#define MG_PACER_WAKE_NS (64 * 1000) /* no more often than that */

/* 0: not paced. */
void mg_pacer_set(struct mg_flow *f, uint64_t rate_Bps);

static inline bool mg_pacer_blocked(const struct mg_flow *f, uint64_t now_ns)
{
	return f->pace_ns_q10 != 0 && f->pace_next_ns > now_ns;
}

/*
 * When to come back: at high rates a little later than the next segment's time, so that one wake-up sends a few. The
 * unused time is credit.
 */
static inline uint64_t mg_pacer_wake_ns(const struct mg_flow *f)
{
	uint64_t gap_ns = (uint64_t)f->mss * f->pace_ns_q10 >> 10;

	return f->pace_next_ns + (gap_ns < MG_PACER_WAKE_NS ? MG_PACER_WAKE_NS - gap_ns : 0);
}

/* Bytes that the credit of a paced flow lets out at once. */
static inline uint32_t mg_pacer_credit_bytes(const struct mg_flow *f, uint64_t now_ns)
{
	uint64_t ns = mg_min_u64(mg_sub_sat_u64(now_ns, f->pace_next_ns), f->pace_burst_ns);

	return (uint32_t)mg_min_u64((ns << 10) / f->pace_ns_q10, UINT32_MAX);
}

void mg_pacer_spend(struct mg_flow *f, uint32_t bytes, uint64_t now_ns);
#endif
