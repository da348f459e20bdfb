/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtt.c - round-trip times and the RTO; see rtt.h.
 */
#include "fastpath/core/rtt.h"

#include "proto/base/bits.h"

#define GRANULARITY_US 1000
#define RTT_MAX_US (100u * 1000 * 1000)

static void set_rto(struct mg_flow *f)
{
	uint32_t rto = (f->srtt8_us >> 3) + mg_max_u32(GRANULARITY_US, f->rttvar4_us);

	f->rto_us = mg_clamp_u32(rto, f->rto_min_us, f->rto_max_us);
}

void mg_rtt_init(struct mg_flow *f, uint32_t srtt_us, uint32_t rttvar_us, uint32_t rto_us)
{
	f->min_rtt_us = srtt_us != 0 ? srtt_us : UINT32_MAX;
	srtt_us = mg_min_u32(srtt_us, RTT_MAX_US);
	f->srtt8_us = srtt_us * 8;
	f->rttvar4_us = mg_min_u32(rttvar_us, RTT_MAX_US) * 4;
	f->rto_us = mg_clamp_u32(rto_us, f->rto_min_us, f->rto_max_us);
	if (srtt_us != 0 && rto_us == 0)
		set_rto(f);
}

void mg_rtt_sample(struct mg_flow *f, uint32_t rtt_us)
{
	rtt_us = mg_clamp_u32(rtt_us, 1, RTT_MAX_US);
	if (mg_unlikely(f->srtt8_us == 0)) {
		f->srtt8_us = rtt_us * 8;
		f->rttvar4_us = rtt_us * 2;
	} else {
		int32_t err = (int32_t)(rtt_us - (f->srtt8_us >> 3));
		uint32_t dev = (uint32_t)(err < 0 ? -err : err);

		f->srtt8_us = (uint32_t)((int32_t)f->srtt8_us + err);
		f->rttvar4_us += dev - (f->rttvar4_us >> 2);
		if (f->srtt8_us == 0)
			f->srtt8_us = 1;
	}
	set_rto(f);
	f->rto_backoff = 0;
	f->min_rtt_us = mg_min_u32(f->min_rtt_us, rtt_us);
	if (f->samp.rtt_us == 0 || rtt_us < f->samp.rtt_us)
		f->samp.rtt_us = rtt_us;
}

uint64_t mg_rtt_rto_ns(const struct mg_flow *f)
{
	uint64_t us = (uint64_t)f->rto_us << mg_min_u32(f->rto_backoff, 20);

	return mg_us_to_ns(mg_min_u64(us, f->rto_max_us));
}
