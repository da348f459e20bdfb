/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate.c - delivery rate samples; see rate.h.
 */
#include "fastpath/core/rate.h"

#include "proto/base/bits.h"

/* b1 / t1 < b2 / t2, without dividing; all below 2^63. */
static bool is_slower(uint64_t b1, uint64_t t1, uint64_t b2, uint64_t t2)
{
	return (unsigned __int128)b1 * t2 < (unsigned __int128)b2 * t1;
}

void mg_rate_sample(struct mg_flow *f, const struct mg_ack *a)
{
	uint64_t bytes, ns;

	if (a->delivered == 0)
		return;
	f->delivered_ns = a->now_ns;
	if (f->app_limited != 0 && f->delivered > f->app_limited)
		f->app_limited = 0;
	f->first_sent_ns = a->rate_sent_ns;
	f->samp.prior_delivered = a->rate_delivered;
	f->samp.tx_inflight = a->rate_tx_inflight;
	f->samp.tx_lost = f->lost_total - a->rate_lost;
	ns = mg_max_u64(a->rate_sent_ns - a->rate_first_sent_ns, a->now_ns - a->rate_delivered_ns);
	/* Shorter than the path can be: compressed ACKs, no measure of it. */
	if (f->min_rtt_us == UINT32_MAX || ns < mg_us_to_ns(f->min_rtt_us))
		return;
	bytes = f->delivered - a->rate_delivered;
	if (f->samp.rate_ns != 0 && is_slower(bytes, ns, f->samp.rate_bytes, f->samp.rate_ns))
		return;
	f->samp.rate_bytes = bytes;
	f->samp.rate_ns = ns;
	if (a->rate_app_limited)
		f->samp.flags |= MG_SAMPLE_APP_LIMITED_RATE;
	else
		f->samp.flags &= ~(uint32_t)MG_SAMPLE_APP_LIMITED_RATE;
}
