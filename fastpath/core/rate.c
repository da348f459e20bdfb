/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate.c - delivery rate samples; see rate.h.
 */
#include "fastpath/core/rate.h"

#include "proto/base/bits.h"

void mg_rate_sample(struct mg_flow *f, const struct mg_ack *a)
{
	uint64_t ns;

	if (a->delivered == 0)
		return;
	f->delivered_ns = a->now_ns;
	if (f->app_limited != 0 && f->delivered > f->app_limited)
		f->app_limited = 0;
	f->first_sent_ns = a->rate_sent_ns;
	ns = mg_max_u64(a->rate_sent_ns - a->rate_first_sent_ns, a->now_ns - a->rate_delivered_ns);
	/* Shorter than the path can be: compressed ACKs, no measure of it. */
	if (f->min_rtt_us == UINT32_MAX || ns < mg_us_to_ns(f->min_rtt_us))
		return;
	f->samp.rate_bytes = f->delivered - a->rate_delivered;
	f->samp.rate_ns = ns;
	if (a->rate_app_limited)
		f->samp.flags |= MG_SAMPLE_APP_LIMITED_RATE;
	else
		f->samp.flags &= ~(uint32_t)MG_SAMPLE_APP_LIMITED_RATE;
}
