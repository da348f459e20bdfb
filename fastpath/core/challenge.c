/* SPDX-License-Identifier: Apache-2.0 */
/*
 * challenge.c - budgets for ACKs that strangers provoke; see challenge.h.
 */
#include "fastpath/core/challenge.h"

#include "fastpath/core/engine.h"

#define FLOW_TOKENS 10

static bool flow_allows(struct mg_fp *fp, struct mg_flow *f)
{
	if (f->oow_ns == 0 || fp->now_ns - f->oow_ns >= MG_NS_PER_S) {
		f->oow_ns = fp->now_ns;
		f->oow_tokens = FLOW_TOKENS;
	}
	if (f->oow_tokens == 0) {
		mg_fp_count(fp, MG_FPS_CHALLENGE_LIMITED, 1);
		return false;
	}
	f->oow_tokens--;
	return true;
}

void mg_challenge_oow(struct mg_fp *fp, struct mg_flow *f)
{
	if (flow_allows(fp, f))
		f->flags |= MG_FF_ACK_NOW;
}

void mg_fp_set_challenge_limit(struct mg_fp *fp, uint32_t per_s)
{
	fp->conf.challenge_ack_per_s = per_s;
}

void mg_challenge(struct mg_fp *fp, struct mg_flow *f)
{
	if (fp->now_ns - fp->challenge_ns >= MG_NS_PER_S || fp->challenge_ns == 0) {
		uint32_t half = mg_max_u32(fp->conf.challenge_ack_per_s / 2, 1);

		fp->challenge_ns = fp->now_ns;
		fp->challenge_left = half + mg_rng_below(&fp->rng, half + 1);
	}
	if (fp->challenge_left == 0) {
		mg_fp_count(fp, MG_FPS_CHALLENGE_LIMITED, 1);
		return;
	}
	if (!flow_allows(fp, f))
		return;
	fp->challenge_left--;
	f->flags |= MG_FF_ACK_NOW;
	mg_fp_count(fp, MG_FPS_CHALLENGE_ACKS, 1);
}
