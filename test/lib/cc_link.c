/* SPDX-License-Identifier: Apache-2.0 */
/* cc_link.c - see cc_link.h. */
#include "test/lib/cc_link.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/time.h"
#include "proto/path/msg.h"

#define HEADERS 66
#define URGENT (MG_SAMPLE_LOSS | MG_SAMPLE_ECE | MG_SAMPLE_RECOVERED)

void ccl_new(struct ccl *l, const struct mg_cc_ops *ops, uint64_t rate_Bps, uint64_t rtt_ns,
	     uint32_t buffer_bytes)
{
	memset(l, 0, sizeof(*l));
	l->ring = calloc(CCL_PACKETS, sizeof(*l->ring));
	MG_ASSERT(l->ring != NULL);
	l->rate_Bps = rate_Bps;
	l->rtt_ns = rtt_ns;
	l->buffer_bytes = buffer_bytes;
	l->now_ns = MG_NS_PER_S;
	l->srtt_us = (uint32_t)mg_ns_to_us(rtt_ns);
	mg_rng_init(&l->rng, 42);
	mg_cc_init(&l->cc, ops, CCL_MSS, 10 * CCL_MSS, l->srtt_us, l->now_ns);
}

void ccl_free(struct ccl *l)
{
	free(l->ring);
	l->ring = NULL;
}

static struct ccl_packet *at(struct ccl *l, uint64_t i)
{
	return &l->ring[i & (CCL_PACKETS - 1)];
}

static uint32_t depth(const struct ccl *l)
{
	return (uint32_t)(mg_sub_sat_u64(l->busy_ns, l->now_ns) * l->rate_Bps / MG_NS_PER_S);
}

static void send_one(struct ccl *l)
{
	struct ccl_packet *p = at(l, l->tail++);
	uint32_t queue = depth(l);

	MG_ASSERT(l->tail - l->head < CCL_PACKETS);
	if (l->inflight == 0) {
		l->first_sent_ns = l->now_ns;
		l->delivered_at_ns = l->now_ns;
	}
	l->inflight += CCL_MSS;
	l->sent_bytes += CCL_MSS;
	*p = (struct ccl_packet){
		.sent_ns = l->now_ns,
		.first_sent_ns = l->first_sent_ns,
		.delivered_ns = l->delivered_at_ns,
		.delivered = l->samp.delivered_bytes,
		.tx_inflight = l->inflight,
		.lost = l->lost_total,
		.app_limited = l->app_Bps != 0,
	};
	l->queue_sum += queue;
	l->queue_count++;
	l->queue_max = mg_max_u32(l->queue_max, queue);
	p->is_lost = queue + CCL_MSS + HEADERS > l->buffer_bytes + CCL_MSS + HEADERS ||
		     (l->loss_ppm != 0 && mg_rng_below(&l->rng, 1000000) < l->loss_ppm);
	if (!p->is_lost) {
		p->is_marked = l->mark_bytes != 0 && queue >= l->mark_bytes;
		l->busy_ns = mg_max_u64(l->busy_ns, l->now_ns) +
			     (CCL_MSS + HEADERS) * MG_NS_PER_S / l->rate_Bps;
	}
	p->back_ns = mg_max_u64(l->busy_ns, l->now_ns) + l->rtt_ns;
}

static bool is_paced(const struct ccl *l)
{
	return (l->cc.ops->flags & MG_CC_PACED) != 0;
}

/* When may the next segment leave; MG_TIME_NEVER: not before an ACK. */
static uint64_t send_at(struct ccl *l)
{
	uint64_t t = l->now_ns;

	if (l->inflight + CCL_MSS > l->cc.cwnd && l->inflight != 0) {
		l->samp.flags |= MG_SAMPLE_CWND_LIMITED;
		return MG_TIME_NEVER;
	}
	if (l->app_Bps != 0)
		t = mg_max_u64(t, l->app_credit_ns);
	if (is_paced(l) && l->pace_ns > t) {
		t = l->pace_ns;
		l->samp.flags |= MG_SAMPLE_PACE_LIMITED;
	}
	return t;
}

static void sent(struct ccl *l)
{
	if (is_paced(l))
		l->pace_ns = mg_max_u64(l->pace_ns, mg_sub_sat_u64(l->now_ns, MG_NS_PER_MS)) +
			     CCL_MSS * MG_NS_PER_S / mg_max_u64(l->cc.pacing_Bps, 1);
	if (l->app_Bps != 0)
		l->app_credit_ns = mg_max_u64(l->app_credit_ns, l->now_ns) +
				   CCL_MSS * MG_NS_PER_S / l->app_Bps;
}

static void emit(struct ccl *l)
{
	struct mg_cc_sample *s = &l->samp;
	uint64_t delivered = s->delivered_bytes;

	s->now_ns = l->now_ns;
	s->srtt_us = l->srtt_us;
	s->inflight_bytes = l->inflight;
	s->delivery_Bps = l->rate_ns != 0 ? l->rate_bytes * MG_NS_PER_S / l->rate_ns : 0;
	s->rate_bytes = (uint32_t)l->rate_bytes;
	(void)mg_cc_sample(&l->cc, s);
	MG_ASSERT(l->cc.cwnd >= CCL_MSS && l->cc.cwnd <= UINT32_MAX / 2);
	l->samples++;
	if (s->flags & (MG_SAMPLE_LOSS | MG_SAMPLE_ECE))
		l->reductions++;
	*s = (struct mg_cc_sample){ .delivered_bytes = delivered };
	l->rate_ns = 0;
	l->rate_bytes = 0;
	l->sample_ns = l->now_ns;
}

static void lose(struct ccl *l, const struct ccl_packet *p)
{
	l->lost_bytes += CCL_MSS;
	l->lost_total += CCL_MSS;
	l->samp.lost_bytes += CCL_MSS;
	l->samp.loss_tx_inflight_bytes = p->tx_inflight;
	l->samp.loss_tx_lost_bytes = l->lost_total - p->lost;
	if (l->in_recovery)
		return;
	l->in_recovery = true;
	l->recover = l->tail;
	l->samp.flags |= MG_SAMPLE_LOSS;
	l->samp.prior_inflight_bytes = l->inflight + CCL_MSS;
}

static void take_rate(struct ccl *l, const struct ccl_packet *p)
{
	uint64_t ns = mg_max_u64(p->sent_ns - p->first_sent_ns, l->now_ns - p->delivered_ns);
	uint64_t bytes = l->samp.delivered_bytes - p->delivered;

	l->delivered_at_ns = l->now_ns;
	l->first_sent_ns = p->sent_ns;
	l->samp.prior_delivered_bytes = p->delivered;
	l->samp.tx_inflight_bytes = p->tx_inflight;
	l->samp.tx_lost_bytes = l->lost_total - p->lost;
	if (ns < l->rtt_ns || (l->rate_ns != 0 && bytes * l->rate_ns < l->rate_bytes * ns))
		return;
	l->rate_bytes = bytes;
	l->rate_ns = ns;
	if (p->app_limited)
		l->samp.flags |= MG_SAMPLE_APP_LIMITED_RATE;
}

static void arrive(struct ccl *l, const struct ccl_packet *p)
{
	uint32_t rtt_us = (uint32_t)mg_ns_to_us(l->now_ns - p->sent_ns);

	l->delivered_bytes += CCL_MSS;
	l->samp.delivered_bytes += CCL_MSS;
	l->samp.acked_bytes += CCL_MSS;
	l->samp.rtt_us = l->samp.rtt_us == 0 ? rtt_us : mg_min_u32(l->samp.rtt_us, rtt_us);
	l->srtt_us = l->srtt_us - l->srtt_us / 8 + rtt_us / 8;
	take_rate(l, p);
	if (p->is_marked) {
		l->marked_bytes += CCL_MSS;
		l->samp.ecn_bytes += CCL_MSS;
		if (l->head >= l->ece_until) {
			l->ece_until = l->tail;
			l->samp.flags |= MG_SAMPLE_ECE;
			l->samp.prior_inflight_bytes = l->inflight + CCL_MSS;
		}
	}
	if (l->in_recovery && l->head >= l->recover) {
		l->in_recovery = false;
		l->samp.flags |= MG_SAMPLE_RECOVERED;
	}
}

static void acknowledge(struct ccl *l)
{
	const struct ccl_packet *p = at(l, l->head);

	l->inflight -= CCL_MSS;
	if (p->is_lost)
		lose(l, p);
	else
		arrive(l, p);
	l->head++;
}

static bool due(const struct ccl *l)
{
	uint64_t age = l->now_ns - l->sample_ns;

	if (l->samp.flags & URGENT)
		return true;
	return l->samp.acked_bytes != 0 &&
	       (age >= mg_us_to_ns(l->srtt_us) / 8 || l->samp.acked_bytes >= l->cc.cwnd / 4);
}

void ccl_run(struct ccl *l, uint64_t ns)
{
	uint64_t until = l->now_ns + ns;

	for (;;) {
		uint64_t ack = l->head != l->tail ? at(l, l->head)->back_ns : MG_TIME_NEVER;
		uint64_t send = send_at(l);
		uint64_t next = mg_min_u64(ack, send);

		if (next > until)
			break;
		l->now_ns = mg_max_u64(l->now_ns, next);
		if (ack <= send) {
			acknowledge(l);
			(void)send_at(l); /* what limits now? */
			if (due(l))
				emit(l);
		} else {
			send_one(l);
			sent(l);
		}
	}
	l->now_ns = until;
}

void ccl_timeout(struct ccl *l)
{
	l->samp.flags |= MG_SAMPLE_RTO;
	l->samp.prior_inflight_bytes = l->inflight;
	l->samp.lost_bytes += l->inflight;
	l->lost_total += l->inflight;
	l->inflight = 0;
	l->head = l->tail;
	l->in_recovery = false;
	l->busy_ns = l->now_ns;
	emit(l);
}

void ccl_idle(struct ccl *l, uint64_t ns)
{
	while (l->head != l->tail) {
		l->now_ns = mg_max_u64(l->now_ns, at(l, l->head)->back_ns);
		acknowledge(l);
	}
	emit(l);
	l->now_ns += ns;
	l->samp.flags |= MG_SAMPLE_IDLE;
	emit(l);
}

void ccl_books(struct ccl *l)
{
	l->delivered_bytes = 0;
	l->lost_bytes = 0;
	l->marked_bytes = 0;
	l->sent_bytes = 0;
	l->queue_sum = 0;
	l->queue_count = 0;
	l->queue_max = 0;
	l->reductions = 0;
	l->samples = 0;
}

uint32_t ccl_permille(const struct ccl *l, uint64_t since_ns)
{
	uint64_t could = l->rate_Bps * mg_ns_to_us(l->now_ns - since_ns) / MG_US_PER_S;

	could = could * CCL_MSS / (CCL_MSS + HEADERS);
	return (uint32_t)(l->delivered_bytes * 1000 / mg_max_u64(could, 1));
}

uint64_t ccl_bdp(const struct ccl *l)
{
	return l->rate_Bps * mg_ns_to_us(l->rtt_ns) / MG_US_PER_S;
}
