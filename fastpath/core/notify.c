/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.c - events up, entries and wake-ups to applications; see notify.h.
 */
#include "fastpath/core/notify.h"

#include "fastpath/core/engine.h"
#include "proto/base/sleep.h"

#define SAMPLE_LIMITED_MIN_NS (20 * 1000)
#define SAMPLE_IDLE_MIN_NS (10 * MG_NS_PER_MS)
#define SAMPLE_URGENT                                                                            \
	(MG_SAMPLE_LOSS | MG_SAMPLE_RTO | MG_SAMPLE_ECE | MG_SAMPLE_RECOVERED | MG_SAMPLE_UNDO | \
	 MG_SAMPLE_IDLE)

static struct mg_msg head(const struct mg_flow *f, uint16_t type, uint32_t len)
{
	return (struct mg_msg){
		.type = type, .port = f->port, .len = len, .flow = f->id, .gen = f->gen
	};
}

static bool push(struct mg_fp *fp, const struct mg_msg *ev)
{
	if (mg_likely(fp->env.event(fp->env.ctx, ev)))
		return true;
	mg_fp_count(fp, MG_FPS_EVENTS_FULL, 1);
	return false;
}

static bool push_books(struct mg_fp *fp, const struct mg_flow *f, uint16_t type)
{
	struct mg_ev_removed ev = {
		.msg = head(f, type, sizeof(ev)),
		.snd_una = f->snd_una,
		.snd_nxt = f->snd_nxt,
		.rcv_nxt = f->rcv_nxt,
		.snd_wnd = f->snd_wnd,
		.rcv_wnd = mg_flow_rcv_wnd(f),
		.srtt_us = mg_flow_srtt_us(f),
		.rttvar_us = f->rttvar4_us >> 2,
		.rto_us = f->rto_us,
		.cwnd_bytes = f->cwnd,
		.ssthresh_bytes = f->ssthresh,
		.inflight_bytes = mg_flow_pipe(f),
		.retrans = f->retrans,
		.ts_recent = f->ts_recent,
		.flags = (mg_flow_has(f, MG_FF_FIN_RCVD) ? MG_REMOVED_FIN_RCVD : 0u) |
			 (mg_flow_has(f, MG_FF_FIN_SENT) ? MG_REMOVED_FIN_SENT : 0u) |
			 (mg_flow_has(f, MG_FF_FIN_ACKED) ? MG_REMOVED_FIN_ACKED : 0u),
		.rx_bytes = f->rx_tail,
		.acked_bytes = f->tx_una,
		.tx_bytes = f->tx_una,
		.pacing_Bps = f->pacing_Bps,
		.last_rx_ns = f->last_rx_ns,
	};

	if (!mg_flow_has(f, MG_FF_FIN_ACKED))
		ev.tx_bytes += mg_flow_flight(f) - mg_flow_has(f, MG_FF_FIN_SENT);
	return push(fp, &ev.msg);
}

static bool push_one(struct mg_fp *fp, struct mg_flow *f, uint16_t type, uint32_t value)
{
	struct mg_ev_flow ev = { .msg = head(f, type, sizeof(ev)),
				 .count = f->timeouts,
				 .value = value };

	if (type == MG_EV_MTU_PROBE)
		ev.value = MG_MTU_PROBE_VALUE(f->mtup_bytes, f->mtup_outcome);
	if (type == MG_EV_REPORT)
		return push_books(fp, f, type);
	return push(fp, &ev.msg);
}

static void later(struct mg_fp *fp, struct mg_flow *f)
{
	f->aux_ns = mg_min_u64(f->aux_ns, fp->now_ns + MG_FP_RETRY_NS);
	mg_fp_pend(fp, f);
}

void mg_notify_event(struct mg_fp *fp, struct mg_flow *f, uint16_t type, uint32_t value)
{
	if (f->nr_ev == 0 && push_one(fp, f, type, value))
		return;
	for (uint8_t i = 0; i < f->nr_ev; i++) {
		if (f->ev[i] == (uint8_t)type)
			return;
	}
	/* Each of the ten kinds stands here at most once. */
	MG_ASSERT(f->nr_ev < MG_FLOW_EVENTS_MAX);
	f->ev[f->nr_ev++] = (uint8_t)type;
	if (type == MG_EV_APP_CLOSE)
		f->ev_value = value;
	later(fp, f);
}

bool mg_notify_retry(struct mg_fp *fp, struct mg_flow *f)
{
	uint8_t n = 0;

	if (mg_likely(f->nr_ev == 0))
		return true;
	while (n < f->nr_ev &&
	       push_one(fp, f, f->ev[n], f->ev[n] == MG_EV_APP_CLOSE ? f->ev_value : 0))
		n++;
	f->nr_ev = (uint8_t)(f->nr_ev - n);
	memmove(f->ev, f->ev + n, f->nr_ev);
	if (f->nr_ev != 0)
		f->aux_ns = mg_min_u64(f->aux_ns, fp->now_ns + MG_FP_RETRY_NS);
	return f->nr_ev == 0;
}

void mg_notify_hint(struct mg_fp *fp, struct mg_flow *f, uint16_t type)
{
	(void)push_one(fp, f, type, 0); /* comes again */
}

void mg_notify_timeout(struct mg_fp *fp, struct mg_flow *f, uint32_t kind)
{
	(void)push_one(fp, f, MG_EV_TIMEOUT, kind); /* the next expiry tells the count again */
}

bool mg_notify_removed(struct mg_fp *fp, struct mg_flow *f)
{
	return push_books(fp, f, MG_EV_REMOVED);
}

static bool sample_due(const struct mg_flow *f, uint64_t now_ns)
{
	uint64_t srtt_ns = mg_us_to_ns(mg_flow_srtt_us(f));
	uint64_t age = now_ns - f->sample_ns;

	if (f->samp.flags & SAMPLE_URGENT)
		return true;
	if (f->samp.acked_bytes == 0)
		return false;
	/*
	 * What duplicates deliver makes nothing grow before it is acknowledged or known as a loss: limited transmit lets
	 * one segment out for each (RFC 3042), slow start would add another (RFC 5681 3.1).
	 */
	if (mg_unlikely(f->dupacks != 0) && f->recovery == MG_REC_OPEN &&
	    !(f->opts & MG_FLOW_OWN_CWND))
		return false;
	if (f->samp.flags & (MG_SAMPLE_CWND_LIMITED | MG_SAMPLE_PACE_LIMITED))
		return age >= mg_max_u64(srtt_ns / 8, SAMPLE_LIMITED_MIN_NS) ||
		       f->samp.acked_bytes >= f->cwnd / 4;
	return age >= mg_max_u64(srtt_ns, SAMPLE_IDLE_MIN_NS);
}

/* Bytes over nanoseconds, without overflow. */
static uint64_t rate_Bps(uint64_t bytes, uint64_t ns)
{
	if (ns == 0)
		return 0;
	return bytes < UINT64_MAX / MG_NS_PER_S ? bytes * MG_NS_PER_S / ns
						: bytes / (ns / MG_NS_PER_S + 1);
}

void mg_notify_sample(struct mg_fp *fp, struct mg_flow *f)
{
	struct mg_ev_sample ev;

	if (mg_likely(!sample_due(f, fp->now_ns)))
		return;
	ev = (struct mg_ev_sample){
		.msg = head(f, MG_EV_SAMPLE, sizeof(ev)),
		.now_ns = fp->now_ns,
		.flags = f->samp.flags,
		.acked_bytes = f->samp.acked_bytes,
		.lost_bytes = f->samp.lost_bytes,
		.ecn_bytes = f->samp.ecn_bytes,
		.rtt_us = f->samp.rtt_us,
		.srtt_us = mg_flow_srtt_us(f),
		.inflight_bytes = mg_flow_pipe(f),
		.prior_inflight_bytes = f->samp.prior_inflight,
		.delivered_bytes = f->delivered,
		.delivery_Bps = rate_Bps(f->samp.rate_bytes, f->samp.rate_ns),
		.prior_delivered_bytes = f->samp.prior_delivered,
		.rate_bytes = (uint32_t)mg_min_u64(f->samp.rate_bytes, UINT32_MAX),
		.tx_inflight_bytes = f->samp.tx_inflight,
		.tx_lost_bytes = f->samp.tx_lost,
		.loss_tx_inflight_bytes = f->samp.loss_tx_inflight,
		.loss_tx_lost_bytes = f->samp.loss_tx_lost,
		.min_rtt_us = f->min_rtt_us == UINT32_MAX ? 0 : f->min_rtt_us,
	};
	if (!push(fp, &ev.msg)) {
		/* The deltas stay and go up with the next. */
		f->aux_ns = mg_min_u64(f->aux_ns, fp->now_ns + MG_FP_RETRY_NS);
		return;
	}
	mg_fp_count(fp, MG_FPS_SAMPLES, 1);
	f->sample_ns = fp->now_ns;
	f->samp = (struct mg_flow_sample){ 0 };
}

static void publish(struct mg_flow *f)
{
	struct mg_shm_window *w = f->win;
	uint32_t w_flags = (mg_flow_has(f, MG_FF_FIN_RCVD) ? MG_SHM_WF_RX_FIN : 0u) |
			   (mg_flow_has(f, MG_FF_FIN_ACKED) ? MG_SHM_WF_TX_DONE : 0u) |
			   (mg_flow_has(f, MG_FF_URG) ? MG_SHM_WF_URG : 0u);

	atomic_store_explicit(&w->srtt_us, mg_flow_srtt_us(f), memory_order_relaxed);
	atomic_store_explicit(&w->rttvar_us, f->rttvar4_us >> 2, memory_order_relaxed);
	atomic_store_explicit(&w->cwnd_bytes, f->cwnd, memory_order_relaxed);
	atomic_store_explicit(&w->snd_wnd_bytes, f->snd_wnd, memory_order_relaxed);
	atomic_store_explicit(&w->retrans, f->retrans, memory_order_relaxed);
	atomic_store_explicit(&w->inflight_bytes, mg_flow_flight(f), memory_order_relaxed);
	atomic_store_explicit(&w->urg_pos, f->urg_pos, memory_order_relaxed);
	/* release: pairs with the application's acquire of tx_una; its ring space may be written again */
	atomic_store_explicit(&w->tx_una, f->tx_una, memory_order_release);
	/* release: pairs with the application's acquire of rx_tail; the payload is in the ring */
	if (!mg_flow_has(f, MG_FF_SHUT_RD)) /* what was thrown away is not */
		atomic_store_explicit(&w->rx_tail, f->rx_tail, memory_order_release);
	/* release: pairs with the application's acquire of w_flags; who sees the end sees every byte before */
	atomic_store_explicit(&w->w_flags, w_flags, memory_order_release);
}

static void push_entry(struct mg_fp *fp, struct mg_flow *f, _Atomic uint32_t *dirty)
{
	const struct mg_shm_event ev = { .kind = MG_SHM_EV_CONN,
					 .index = f->window,
					 .gen = f->window_gen };
	uint32_t told = mg_app_notify(f->app, fp->conf.worker + 1, f->contexts, &ev, dirty);

	if (told == 0)
		return;
	mg_fp_count(fp, MG_FPS_NOTIFIES, 1);
	fp->apps[f->app_slot].wake_mask |= told;
	fp->wake_any = true;
}

void mg_notify_app(struct mg_fp *fp, struct mg_flow *f)
{
	if (!mg_flow_has(f, MG_FF_PUBLISH | MG_FF_NOTIFY))
		return;
	publish(f);
	f->flags &= ~(uint32_t)MG_FF_PUBLISH;
	if (!mg_flow_has(f, MG_FF_NOTIFY))
		return;
	f->flags &= ~(uint32_t)MG_FF_NOTIFY;
	if (mg_flow_has(f, MG_FF_APP_CLOSED))
		return; /* nobody listens */
	push_entry(fp, f, &f->win->w_dirty);
}

void mg_notify_move(struct mg_fp *fp, struct mg_flow *f, uint32_t contexts)
{
	if ((uint64_t)contexts >> f->app->nr_contexts != 0)
		return;
	f->contexts = contexts;
	publish(f);
	if (mg_flow_has(f, MG_FF_APP_CLOSED))
		return;
	/*
	 * An entry may lie in a ring that nobody reads any more, and keep the dirty word set: one more goes out
	 * whatever the word says. release, acquire: as in mg_app_notify().
	 */
	(void)atomic_exchange_explicit(&f->win->w_dirty, 1, memory_order_acq_rel);
	push_entry(fp, f, NULL);
}

void mg_notify_wake(struct mg_fp *fp)
{
	if (!fp->wake_any)
		return;
	fp->wake_any = false;
	for (uint32_t i = 0; i < fp->nr_apps; i++) {
		struct mg_fp_app_slot *s = &fp->apps[i];

		while (s->wake_mask != 0) {
			uint32_t c = (uint32_t)__builtin_ctz(s->wake_mask);

			s->wake_mask &= s->wake_mask - 1;
			if (s->app == NULL)
				continue;
			fp->told = true;
			/* One wake-up for each sleep: the claim takes the flag back. */
			if (!mg_sleep_claim_wake(&s->app->contexts[c].shm->sleeping))
				continue;
			fp->env.wake(fp->env.ctx, s->app, c);
			mg_fp_count(fp, MG_FPS_WAKES, 1);
		}
	}
}
