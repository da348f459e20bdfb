/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.c - chooses and runs a flow's deadlines; see timer.h.
 */
#include "fastpath/core/timer.h"

#include "fastpath/core/engine.h"
#include "fastpath/core/frame.h"
#include "fastpath/core/notify.h"
#include "fastpath/core/output.h"
#include "fastpath/core/recovery.h"
#include "fastpath/core/ring.h"
#include "fastpath/core/rtt.h"

/* With nothing in flight: data or a FIN that the peer's window holds back is probed for. */
static void choose_idle(const struct mg_fp *fp, struct mg_flow *f)
{
	if (!mg_flow_has(f, MG_FF_BLOCK_WND)) {
		f->rtx_kind = MG_RTX_NONE;
		f->rtx_ns = MG_TIME_NEVER;
		return;
	}
	if (f->rtx_kind != MG_RTX_PERSIST) {
		f->rtx_kind = MG_RTX_PERSIST;
		f->rto_base_ns = fp->now_ns;
		f->rto_backoff = 0;
	}
	f->rtx_ns = f->rto_base_ns + mg_rtt_rto_ns(f);
}

static void choose_rtx(const struct mg_fp *fp, struct mg_flow *f)
{
	uint64_t at;

	if (mg_flow_flight(f) == 0) {
		choose_idle(fp, f);
		return;
	}
	f->rtx_kind = MG_RTX_RTO;
	f->rtx_ns = f->rto_base_ns + mg_rtt_rto_ns(f);
	if (mg_unlikely(f->sacked_bytes != 0) && mg_recovery_is_reneged(fp, f))
		f->rtx_ns = mg_min_u64(f->rtx_ns, f->rto_base_ns + mg_recovery_reneged_ns(f));
	if (mg_unlikely(f->rack_reo_ns != MG_TIME_NEVER)) {
		if (f->rack_reo_ns < f->rtx_ns) {
			f->rtx_kind = MG_RTX_REORDER;
			f->rtx_ns = f->rack_reo_ns;
		}
		return;
	}
	if (!mg_recovery_tlp_allowed(f))
		return;
	at = mg_max_u64(f->rto_base_ns, f->last_sent_ns) + mg_recovery_pto_ns(f);
	if (at < f->rtx_ns) {
		f->rtx_kind = MG_RTX_TLP;
		f->rtx_ns = at;
	}
}

void mg_timer_update(struct mg_fp *fp, struct mg_flow *f)
{
	uint64_t at;

	if (mg_unlikely(f->run != MG_FLOW_LIVE)) {
		f->rtx_ns = MG_TIME_NEVER;
		f->delack_ns = MG_TIME_NEVER;
		f->ring_idle_ns = MG_TIME_NEVER;
	} else {
		choose_rtx(fp, f);
	}
	at = mg_min_u64(mg_min_u64(f->rtx_ns, f->delack_ns),
			mg_min_u64(f->aux_ns, f->ring_idle_ns));
	if (at >= f->armed_ns)
		return;
	f->armed_ns = at;
	mg_wheel_arm(&fp->wheel, mg_fp_local(fp, f), at);
}

static void persist(struct mg_fp *fp, struct mg_flow *f)
{
	mg_fp_count(fp, MG_FPS_PERSISTS, 1);
	f->timeouts++;
	f->rto_base_ns = fp->now_ns;
	if (f->rto_backoff < 32)
		f->rto_backoff++;
	mg_notify_timeout(fp, f, MG_TIMEOUT_PERSIST);
	if (f->snd_wnd != 0)
		f->flags |= MG_FF_OVERRIDE; /* a window too small to be worth a segment: use it now */
	else
		(void)mg_output_probe(fp, f,
				      f->snd_una - 1); /* no packet: the next expiry tries again */
}

static void fire_rtx(struct mg_fp *fp, struct mg_flow *f)
{
	switch ((enum mg_flow_timer)f->rtx_kind) {
	case MG_RTX_RTO:
		mg_recovery_rto(fp, f, fp->now_ns);
		break;
	case MG_RTX_TLP:
		mg_recovery_tlp(fp, f, fp->now_ns);
		break;
	case MG_RTX_REORDER:
		mg_recovery_reorder_timeout(fp, f, fp->now_ns);
		break;
	case MG_RTX_PERSIST:
		persist(fp, f);
		break;
	case MG_RTX_NONE:
		break;
	}
}

void mg_timer_fire(struct mg_fp *fp, struct mg_flow *f)
{
	uint64_t now = fp->now_ns;
	bool due = false;

	f->armed_ns = MG_TIME_NEVER;
	mg_fp_count(fp, MG_FPS_TIMERS, 1);
	/* What came in earlier in this turn may have acknowledged what the timer is about. */
	if (f->run == MG_FLOW_LIVE && mg_flow_has(f, MG_FF_PENDING))
		choose_rtx(fp, f);
	if (f->run == MG_FLOW_LIVE && f->rtx_ns <= now) {
		fire_rtx(fp, f);
		due = true;
	}
	if (f->delack_ns <= now) {
		f->delack_ns = MG_TIME_NEVER;
		f->flags = (f->flags | MG_FF_ACK_NOW) & ~(uint32_t)MG_FF_PINGPONG;
		mg_fp_count(fp, MG_FPS_TX_DELAYED_ACKS, 1);
		due = true;
	}
	if (f->aux_ns <= now) {
		f->aux_ns = MG_TIME_NEVER;
		if (mg_flow_has(f, MG_FF_BLOCK_HOLD) && mg_flow_flight(f) == 0)
			f->flags |= MG_FF_OVERRIDE;
		due = true;
	}
	if (f->ring_idle_ns <= now)
		mg_ring_idle(fp, f);
	if (due) {
		mg_fp_pend(fp, f);
		return;
	}
	mg_fp_count(fp, MG_FPS_TIMERS_LAZY, 1);
	mg_timer_update(fp, f);
}
