/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reno.c - Reno (RFC 5681) with appropriate byte counting (RFC 3465).
 *
 * Idea:    slow start adds what was acknowledged; congestion avoidance adds one MSS per window acknowledged.
 *          A sample stands for many ACKs, so RFC 3465's limit of L = 2 MSS per ACK is applied to the whole:
 *          at most doubling per sample. Multiplicative decrease takes half of the flight.
 */
#include <assert.h>

#include "proto/base/assert.h"
#include "proto/path/msg.h"
#include "slowpath/cc/algorithms.h"

struct reno {
	uint32_t acked_bytes; /* in congestion avoidance, since cwnd last grew */
};
static_assert(sizeof(struct reno) <= MG_CC_PRIV_BYTES, "state must fit");

static struct reno *reno_of(struct mg_cc *cc)
{
	return (struct reno *)(void *)cc->priv;
}

static void reno_init(struct mg_cc *cc, uint64_t now_ns)
{
	(void)now_ns; /* keeps no time */
	reno_of(cc)->acked_bytes = 0;
}

void mg_cc_reno_grow(struct mg_cc *cc, const struct mg_cc_sample *s, uint32_t *count)
{
	uint32_t left = s->acked_bytes;

	if ((s->flags & MG_SAMPLE_CWND_LIMITED) == 0)
		return;
	if (mg_cc_in_slow_start(cc)) {
		uint32_t use = mg_min_u32(mg_min_u32(left, cc->cwnd), cc->ssthresh - cc->cwnd);

		cc->cwnd = mg_cc_grown(cc, use);
		left -= use;
		if (mg_cc_in_slow_start(cc))
			return;
	}
	*count = (uint32_t)mg_min_u64((uint64_t)*count + mg_min_u32(left, cc->cwnd), UINT32_MAX);
	if (*count >= cc->cwnd) {
		*count -= cc->cwnd;
		cc->cwnd = mg_cc_grown(cc, cc->mss);
	}
}

static void reno_on_ack(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	mg_cc_reno_grow(cc, s, &reno_of(cc)->acked_bytes);
}

uint32_t mg_cc_half_flight(const struct mg_cc *cc, const struct mg_cc_sample *s)
{
	uint32_t flight = s->prior_inflight_bytes != 0 ? s->prior_inflight_bytes : cc->cwnd;

	return mg_max_u32(flight / 2, 2 * cc->mss);
}

static void reno_on_loss(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	cc->ssthresh = mg_cc_half_flight(cc, s);
	if (cc->abe && (s->flags & MG_SAMPLE_LOSS) == 0) /* RFC 8511 3.1: beta_ecn = 0.8 */
		cc->ssthresh = mg_max_u32((uint32_t)((uint64_t)cc->cwnd * 8 / 10), 2 * cc->mss);
	cc->cwnd = cc->ssthresh;
	reno_of(cc)->acked_bytes = 0;
}

static void reno_on_rto(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	cc->ssthresh = mg_cc_half_flight(cc, s);
	cc->cwnd = cc->mss;
	reno_of(cc)->acked_bytes = 0;
}

const struct mg_cc_ops mg_cc_reno = {
	.name = "reno",
	.init = reno_init,
	.on_ack = reno_on_ack,
	.on_loss = reno_on_loss,
	.on_rto = reno_on_rto,
};
