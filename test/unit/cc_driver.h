/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cc_driver.h - drives one congestion control over an ideal path: windows of data, round trips, losses.
 *
 * Idea:    the invariants that hold for every algorithm are asserted after every sample: at least 2 MSS
 *          except after a time-out, no growth when the window does not limit, one reduction per flight.
 */
#ifndef MG_TEST_CC_DRIVER_H
#define MG_TEST_CC_DRIVER_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/bits.h"
#include "proto/base/time.h"
#include "proto/path/msg.h"
#include "slowpath/cc/cc.h"

#define CC_MSS 1448

struct ccd {
	struct mg_cc cc;
	uint64_t now_ns;
	uint64_t delivered;
	uint32_t rtt_us;
	bool after_rto;
};

static inline void ccd_new(struct ccd *d, const struct mg_cc_ops *ops, uint32_t rtt_us)
{
	memset(d, 0, sizeof(*d));
	d->now_ns = MG_NS_PER_S;
	d->rtt_us = rtt_us;
	mg_cc_init(&d->cc, ops, CC_MSS, 10 * CC_MSS, rtt_us, d->now_ns);
	assert_int_equal(d->cc.cwnd, 10 * CC_MSS);
	assert_int_equal(d->cc.ssthresh, MG_CC_SSTHRESH_INF);
}

static inline void ccd_sample(struct ccd *d, uint32_t flags, uint32_t acked)
{
	uint32_t before = d->cc.cwnd;
	struct mg_cc_sample s = {
		.now_ns = d->now_ns,
		.flags = flags,
		.acked_bytes = acked,
		.rtt_us = d->rtt_us,
		.srtt_us = d->rtt_us,
		.inflight_bytes = before,
		.prior_inflight_bytes = flags & (MG_SAMPLE_LOSS | MG_SAMPLE_RTO | MG_SAMPLE_ECE)
						? before
						: 0,
	};

	d->delivered += acked;
	s.delivered_bytes = d->delivered;
	(void)mg_cc_sample(&d->cc, &s);
	if (flags & MG_SAMPLE_RTO)
		d->after_rto = true;
	else if (d->cc.cwnd >= 2 * CC_MSS)
		d->after_rto = false;
	assert_true(d->cc.cwnd >= (d->after_rto ? 1 : 2) * CC_MSS);
	assert_true(d->cc.ssthresh >= 2 * CC_MSS);
	if (!(flags & (MG_SAMPLE_CWND_LIMITED | MG_SAMPLE_UNDO)))
		assert_true(d->cc.cwnd <= before);
	assert_true(d->cc.pacing_Bps > 0);
}

/* One round trip: the whole window is acknowledged in `parts` samples. */
static inline void ccd_round(struct ccd *d, uint32_t flags, uint32_t parts)
{
	uint32_t window = d->cc.cwnd;

	for (uint32_t i = 0; i < parts; i++) {
		d->now_ns += mg_us_to_ns(d->rtt_us) / parts;
		ccd_sample(d, flags, window / parts);
	}
}

/* A loss, a round trip of recovery, and its end. */
static inline void ccd_loss(struct ccd *d)
{
	uint32_t window = d->cc.cwnd;

	ccd_sample(d, MG_SAMPLE_LOSS | MG_SAMPLE_CWND_LIMITED, CC_MSS);
	d->now_ns += mg_us_to_ns(d->rtt_us);
	ccd_sample(d, MG_SAMPLE_RECOVERED | MG_SAMPLE_CWND_LIMITED, window);
}
#endif
