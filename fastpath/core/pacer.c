/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pacer.c - credit for paced sending; see pacer.h.
 */
#include "fastpath/core/pacer.h"

#include "proto/base/bits.h"

#define BURST_SEGS 4
#define BURST_MIN_NS (500 * 1000) /* a worker may come so late without losing rate */
#define BURST_BYTES 65536
#define RATE_MIN_BPS 1000

void mg_pacer_set(struct mg_flow *f, uint64_t rate_Bps)
{
	uint64_t q10, burst_ns;

	f->pacing_Bps = rate_Bps;
	f->pace_ns_q10 = 0;
	if (rate_Bps == 0 || !(f->opts & MG_FLOW_PACING))
		return;
	q10 = (MG_NS_PER_S << 10) / mg_max_u64(rate_Bps, RATE_MIN_BPS);
	f->pace_ns_q10 = (uint32_t)mg_clamp_u64(q10, 1, UINT32_MAX);
	burst_ns = mg_min_u64(BURST_MIN_NS, (uint64_t)BURST_BYTES * f->pace_ns_q10 >> 10);
	burst_ns = mg_max_u64(burst_ns, 2 * MG_PACER_WAKE_NS);
	burst_ns = mg_max_u64(burst_ns, (uint64_t)f->mss * BURST_SEGS * f->pace_ns_q10 >> 10);
	f->pace_burst_ns = (uint32_t)mg_min_u64(burst_ns, UINT32_MAX);
}

void mg_pacer_spend(struct mg_flow *f, uint32_t bytes, uint64_t now_ns)
{
	uint64_t from;

	if (f->pace_ns_q10 == 0)
		return;
	from = mg_max_u64(f->pace_next_ns, mg_sub_sat_u64(now_ns, f->pace_burst_ns));
	f->pace_next_ns = from + ((uint64_t)bytes * f->pace_ns_q10 >> 10);
}
