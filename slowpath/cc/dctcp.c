/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dctcp.c - DCTCP (RFC 8257).
 *
 * Idea:    the receiver echoes exactly which bytes were marked; alpha estimates their share, once per window of
 *          data: alpha = (1 - g) alpha + g M, g = 1 / 16, in units of 1 / 65536. An echo takes alpha / 2 of the
 *          window, once per window; a loss takes half (section 3.5); growth is Reno's. Without ECN there are no
 *          echoes and it is Reno.
 */
#include <assert.h>

#include "proto/base/assert.h"
#include "proto/path/msg.h"
#include "slowpath/cc/algorithms.h"

#define ONE 65536u
#define G_SHIFT 4

struct dctcp {
	uint64_t window_end; /* delivered_bytes that end the observation window */
	uint64_t acked_bytes;
	uint64_t marked_bytes;
	uint32_t alpha;  /* of ONE */
	uint32_t growth; /* Reno's count */
};
static_assert(sizeof(struct dctcp) <= MG_CC_PRIV_BYTES, "state must fit");

static struct dctcp *dctcp_of(struct mg_cc *cc)
{
	return (struct dctcp *)(void *)cc->priv;
}

/* Section 4.2: alpha begins at 1, so that the first mark is taken as seriously as a loss. */
static void dctcp_init(struct mg_cc *cc, uint64_t now_ns)
{
	(void)now_ns; /* keeps no time */
	*dctcp_of(cc) = (struct dctcp){ .alpha = ONE };
}

/* Section 3.3, steps 1 to 8. */
static void dctcp_on_any(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	struct dctcp *d = dctcp_of(cc);
	uint64_t share;

	d->acked_bytes += s->acked_bytes;
	d->marked_bytes += mg_min_u32(s->ecn_bytes, s->acked_bytes);
	if (s->delivered_bytes < d->window_end)
		return;
	d->window_end = s->delivered_bytes + s->inflight_bytes;
	if (d->acked_bytes == 0)
		return;
	share = d->marked_bytes * ONE / d->acked_bytes;
	d->alpha = (uint32_t)(d->alpha - (d->alpha >> G_SHIFT) + (share >> G_SHIFT));
	if (share == 0 && d->alpha < ONE >> 10)
		d->alpha = 0; /* or the shift would leave a rest for ever */
	d->alpha = mg_min_u32(d->alpha, ONE);
	d->acked_bytes = 0;
	d->marked_bytes = 0;
}

static void dctcp_on_ack(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	mg_cc_reno_grow(cc, s, &dctcp_of(cc)->growth);
}

static void dctcp_on_loss(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	struct dctcp *d = dctcp_of(cc);

	if (s->flags & MG_SAMPLE_LOSS)
		cc->ssthresh = mg_cc_half_flight(cc, s);
	else
		cc->ssthresh = mg_max_u32((uint32_t)(cc->cwnd -
						     ((uint64_t)cc->cwnd * d->alpha / (2 * ONE))),
					  2 * cc->mss);
	cc->cwnd = mg_min_u32(cc->cwnd, cc->ssthresh);
	d->growth = 0;
}

static void dctcp_on_rto(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	cc->ssthresh = mg_cc_half_flight(cc, s);
	cc->cwnd = cc->mss;
	dctcp_of(cc)->growth = 0;
}

uint32_t mg_cc_dctcp_alpha(const struct mg_cc *cc)
{
	return ((const struct dctcp *)(const void *)cc->priv)->alpha;
}

const struct mg_cc_ops mg_cc_dctcp = {
	.name = "dctcp",
	.flags = MG_CC_EXACT_CE | MG_CC_NEEDS_ECN,
	.init = dctcp_init,
	.on_any = dctcp_on_any,
	.on_ack = dctcp_on_ack,
	.on_loss = dctcp_on_loss,
	.on_rto = dctcp_on_rto,
};
