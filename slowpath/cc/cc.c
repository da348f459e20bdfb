/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cc.c - the list of algorithms, and what they have in common: who is called for which sample.
 *
 * Idea:    recovery, undo, restart after idle and pacing are the same for every algorithm and live here; an
 *          algorithm decides how much to grow and how far to fall. One reduction per window (RFC 5681 3.2,
 *          RFC 3168 6.1.2): a loss within recovery and an echo within the window of the last reduction
 *          are not heard.
 */
#include "slowpath/cc/cc.h"

#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/time.h"
#include "proto/path/msg.h"
#include "slowpath/cc/algorithms.h"

const struct mg_cc_ops *const mg_cc_all[] = {
	&mg_cc_cubic, &mg_cc_bbr, &mg_cc_dctcp, &mg_cc_reno, NULL,
};

const struct mg_cc_ops *mg_cc_find(const char *name)
{
	for (uint32_t i = 0; mg_cc_all[i] != NULL; i++)
		if (strncmp(mg_cc_all[i]->name, name, MG_CC_NAME_MAX) == 0)
			return mg_cc_all[i];
	return NULL;
}

void mg_cc_init(struct mg_cc *cc, const struct mg_cc_ops *ops, uint32_t mss, uint32_t iw_bytes,
		uint32_t rtt_us, uint64_t now_ns)
{
	MG_ASSERT(ops != NULL && mss > 0 && iw_bytes > 0);
	memset(cc, 0, sizeof(*cc));
	cc->ops = ops;
	cc->mss = mss;
	cc->iw_bytes = iw_bytes;
	cc->cwnd = iw_bytes;
	cc->ssthresh = MG_CC_SSTHRESH_INF;
	cc->prior_cwnd = cc->cwnd;
	cc->prior_ssthresh = cc->ssthresh;
	cc->srtt_us = rtt_us;
	ops->init(cc, now_ns);
}

void mg_cc_switch(struct mg_cc *cc, const struct mg_cc_ops *ops, uint64_t now_ns)
{
	MG_ASSERT(ops != NULL);
	cc->ops = ops;
	memset(cc->priv, 0, sizeof(cc->priv));
	cc->in_cwr = false;
	ops->init(cc, now_ns);
}

/*
 * The pace is what the window allows per round trip, and some more: doubled while slow start doubles the
 * window, a fifth more later, so that pacing itself never holds growth back (as Linux does).
 */
static void set_pacing(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	uint64_t wnd = mg_max_u32(cc->cwnd, s->inflight_bytes);
	uint64_t percent = cc->cwnd < cc->ssthresh / 2 ? 200 : 120;

	if (s->srtt_us == 0)
		return;
	cc->pacing_Bps = mg_max_u64(wnd * percent * (MG_US_PER_S / 100) / s->srtt_us, cc->mss);
}

static void remember(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	cc->prior_cwnd = cc->cwnd;
	cc->prior_ssthresh = cc->ssthresh;
	cc->round_end = s->delivered_bytes + mg_max_u32(s->prior_inflight_bytes, s->inflight_bytes);
}

static void lost(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	if (cc->in_recovery)
		return;
	if (s->delivered_bytes >= cc->round_end || (s->flags & MG_SAMPLE_LOSS) == 0) {
		remember(cc, s);
		cc->ops->on_loss(cc, s);
	}
	cc->in_recovery = true;
}

static void echoed(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	if (cc->in_recovery || s->delivered_bytes < cc->round_end)
		return;
	remember(cc, s);
	cc->ops->on_loss(cc, s);
	cc->in_cwr = true;
}

/* RFC 5681 3.1: a repeated time-out of the same data leaves ssthresh alone. */
static void timed_out(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	if (cc->in_rto && s->delivered_bytes == cc->rto_delivered) {
		cc->cwnd = cc->mss;
		return;
	}
	remember(cc, s);
	cc->ops->on_rto(cc, s);
	cc->in_recovery = false;
	cc->in_rto = true;
	cc->rto_delivered = s->delivered_bytes;
}

static void recovered(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	if (!cc->in_recovery)
		return;
	cc->in_recovery = false;
	cc->cwnd = mg_max_u32(cc->ssthresh, 2 * cc->mss);
	if (cc->ops->on_recovered != NULL)
		cc->ops->on_recovered(cc, s);
}

static void undone(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	cc->cwnd = mg_max_u32(cc->cwnd, cc->prior_cwnd);
	cc->ssthresh = mg_max_u32(cc->ssthresh, cc->prior_ssthresh);
	cc->in_recovery = false;
	cc->in_rto = false;
	cc->in_cwr = false;
	cc->round_end = 0;
	if (cc->ops->on_undo != NULL)
		cc->ops->on_undo(cc, s);
}

/* RFC 5681 4.1: the restart window. ssthresh remembers what the path took (RFC 7661's spirit). */
static void idled(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	if (cc->ops->on_idle != NULL) {
		cc->ops->on_idle(cc, s);
		return;
	}
	if (cc->keep_idle || cc->cwnd <= cc->iw_bytes)
		return;
	cc->ssthresh = mg_max_u32(cc->ssthresh, cc->cwnd / 4 * 3);
	cc->cwnd = cc->iw_bytes;
}

static void acked(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	if (cc->in_cwr && s->delivered_bytes >= cc->round_end)
		cc->in_cwr = false;
	if (s->acked_bytes == 0 || cc->in_recovery || cc->in_cwr)
		return;
	cc->ops->on_ack(cc, s);
}

/* Who is called for what. */
static void dispatch(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	uint32_t ssthresh = cc->ssthresh;

	if (cc->ops->on_any != NULL)
		cc->ops->on_any(cc, s);
	if (s->flags & MG_SAMPLE_UNDO)
		undone(cc, s);
	if ((s->flags & (MG_SAMPLE_LOSS | MG_SAMPLE_RTO)) == 0)
		acked(cc, s); /* before RECOVERED: what recovery delivered makes nothing grow */
	if (s->flags & MG_SAMPLE_IDLE)
		idled(cc, s); /* what was acknowledged came before the pause */
	if ((s->flags & MG_SAMPLE_RECOVERED) && cc->in_recovery)
		recovered(cc, s);
	if (s->flags & MG_SAMPLE_ECE)
		echoed(cc, s);
	if (s->flags & MG_SAMPLE_LOSS) {
		lost(cc, s);
		if ((s->flags & MG_SAMPLE_RECOVERED) && ssthresh != cc->ssthresh)
			recovered(cc, s);
	}
	if (s->flags & MG_SAMPLE_RTO)
		timed_out(cc, s);
	else if (s->acked_bytes > 0)
		cc->in_rto = false;
	set_pacing(cc, s);
}

const char *mg_cc_phase(const struct mg_cc *cc)
{
	if (cc->ops->phase != NULL)
		return cc->ops->phase(cc);
	if (cc->in_recovery)
		return "recovery";
	return mg_cc_in_slow_start(cc) ? "slow start" : "avoidance";
}

bool mg_cc_sample(struct mg_cc *cc, const struct mg_cc_sample *s)
{
	uint32_t cwnd = cc->cwnd, ssthresh = cc->ssthresh;
	uint64_t pacing_Bps = cc->pacing_Bps;

	if (s->srtt_us != 0)
		cc->srtt_us = s->srtt_us;
	if (cc->ops->on_sample != NULL)
		cc->ops->on_sample(cc, s);
	else
		dispatch(cc, s);
	MG_ASSERT(cc->cwnd >= cc->mss);
	return cwnd != cc->cwnd || ssthresh != cc->ssthresh || pacing_Bps != cc->pacing_Bps;
}
