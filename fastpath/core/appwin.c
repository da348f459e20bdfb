/* SPDX-License-Identifier: Apache-2.0 */
/*
 * appwin.c - looks at the application's line of a window; see appwin.h.
 *
 * Idea:    every word is loaded once and checked against what the flow knows before it counts.
 */
#include "fastpath/core/appwin.h"

#include "fastpath/core/engine.h"
#include "fastpath/core/notify.h"
#include "fastpath/core/ring.h"
#include "fastpath/core/rwnd.h"
#include "fastpath/core/wintab.h"

#define ORPHANS_PER_TURN \
	8 /* so that nobody can fill the slow path's ring by ringing dead windows */

void mg_appwin_stop(struct mg_fp *fp, struct mg_flow *f)
{
	f->run = MG_FLOW_STOPPED;
	f->rtx_ns = MG_TIME_NEVER;
	f->delack_ns = MG_TIME_NEVER;
	f->flags &= ~(uint32_t)(MG_FF_ACK_NOW | MG_FF_MORE);
	mg_fp_pend(fp, f);
}

static void broken(struct mg_fp *fp, struct mg_flow *f)
{
	mg_fp_count(fp, MG_FPS_APPS_BROKEN, 1);
	mg_appwin_stop(fp, f);
	mg_notify_event(fp, f, MG_EV_APP_BROKEN, 0);
}

/* False: it cannot have read that far. */
static bool take_rx_head(struct mg_flow *f, uint64_t rx_head)
{
	if (mg_flow_has(f, MG_FF_SHUT_RD))
		return true; /* reads no more: what arrives is thrown away */
	if (rx_head - f->rx_head > f->rx_tail - f->rx_head)
		return false;
	f->rx_head = rx_head;
	return true;
}

static bool take_tx_head(struct mg_flow *f, uint64_t tx_head)
{
	if (tx_head == f->tx_head || mg_flow_has(f, MG_FF_FIN_QUEUED))
		return true; /* what is written after the shutdown does not count */
	if (tx_head - f->tx_head > f->tx_una + f->tx_mask + 1 - f->tx_head)
		return false;
	f->tx_head = tx_head;
	f->flags &= ~(uint32_t)MG_FF_TX_TOLD;
	return true;
}

/* A mark that lies behind tx_head by now comes with the next doorbell; nonsense never gets there. */
static void take_tx_urg(struct mg_fp *fp, struct mg_flow *f, uint64_t tx_urg)
{
	if (tx_urg <= f->tx_urg || tx_urg > f->tx_head)
		return;
	mg_fp_count(fp, MG_FPS_TX_URG, 1);
	f->tx_urg = tx_urg;
	f->tx_urgent = 1;
	f->flags |= MG_FF_ACK_NOW; /* the peer learns of it even when its window is closed */
}

static void take_options(struct mg_flow *f, uint32_t a)
{
	uint32_t flags = f->flags & ~(uint32_t)(MG_FF_NODELAY | MG_FF_CORK | MG_FF_QUICKACK);

	flags |= (a & MG_SHM_AF_NODELAY ? MG_FF_NODELAY : 0u) |
		 (a & MG_SHM_AF_CORK ? MG_FF_CORK : 0u) |
		 (a & MG_SHM_AF_QUICKACK ? MG_FF_QUICKACK : 0u);
	if (f->opts & MG_FLOW_NODELAY)
		flags |= MG_FF_NODELAY;
	if ((flags & MG_FF_QUICKACK) && f->rx_unacked != 0)
		flags |= MG_FF_ACK_NOW;
	f->flags = flags;
}

/* Level-triggered: told once for each time that the application wrote and wants to know. */
static void take_want_tx(struct mg_flow *f, uint32_t a)
{
	uint32_t size = f->tx_mask + 1;

	if (!(a & MG_SHM_AF_WANT_TX)) {
		f->flags &= ~(uint32_t)(MG_FF_WANT_TX | MG_FF_TX_TOLD);
		return;
	}
	f->flags |= MG_FF_WANT_TX;
	if (mg_flow_has(f, MG_FF_TX_TOLD) || size - (uint32_t)(f->tx_head - f->tx_una) < size / 3)
		return;
	f->flags |= MG_FF_TX_TOLD | MG_FF_NOTIFY;
}

static void take_close(struct mg_fp *fp, struct mg_flow *f, uint32_t a)
{
	uint32_t unread;

	if ((a & MG_SHM_AF_SHUT_RD) && !mg_flow_has(f, MG_FF_SHUT_RD)) {
		f->flags |= MG_FF_SHUT_RD;
		f->rx_head =
			f->rx_tail; /* what it left unread holds nobody up; nothing is written over it */
	}
	if ((a & MG_SHM_AF_CLOSE) && !mg_flow_has(f, MG_FF_APP_CLOSED)) {
		f->flags |= MG_FF_APP_CLOSED;
		unread = (uint32_t)(f->rx_tail - f->rx_head);
		mg_notify_event(fp, f, MG_EV_APP_CLOSE, unread);
		/* With unread data the slow path resets (RFC 9293 3.6.1): no FIN that would say otherwise. */
		if (unread == 0)
			a |= MG_SHM_AF_SHUT_WR;
	}
	if (a & MG_SHM_AF_SHUT_WR)
		f->flags |= MG_FF_FIN_QUEUED;
}

/* `asked`: flags that the application set by other ways than its line. */
static void look(struct mg_fp *fp, struct mg_flow *f, uint32_t asked)
{
	const struct mg_shm_window *w = f->win;
	uint32_t a;
	uint64_t rx_head;
	uint64_t tx_head;
	uint64_t tx_urg;

	if (f->run != MG_FLOW_LIVE || mg_flow_has(f, MG_FF_APP_CLOSED))
		return;
	/* acquire: pairs with the application's release; flags first: what it wrote before SHUT_WR is seen */
	a = atomic_load_explicit(&w->a_flags, memory_order_acquire) | asked;
	/* acquire: pairs with the release of tx_head; the payload is in the ring */
	tx_head = atomic_load_explicit(&w->tx_head, memory_order_acquire);
	/* acquire: pairs with the release of rx_head; the application's reads of the ring are done */
	rx_head = atomic_load_explicit(&w->rx_head, memory_order_acquire);
	/* After tx_head: what it wrote into the new ring counts only there. */
	if (mg_unlikely((f->ring_busy & MG_RING_TX_OFFERED) && !mg_ring_adopted(fp, f))) {
		broken(fp, f);
		return;
	}
	if (mg_unlikely(!take_rx_head(f, rx_head) || !take_tx_head(f, tx_head))) {
		broken(fp, f);
		return;
	}
	mg_fp_pend(fp, f);
	tx_urg = atomic_load_explicit(&w->tx_urg, memory_order_relaxed);
	if (mg_unlikely(tx_urg != 0))
		take_tx_urg(fp, f, tx_urg);
	if (mg_unlikely(a & MG_SHM_AF_ABORT)) {
		mg_appwin_stop(fp, f);
		mg_notify_event(fp, f, MG_EV_APP_ABORT, 0);
		return;
	}
	take_options(f, a);
	take_want_tx(f, a);
	if (mg_unlikely(a & (MG_SHM_AF_SHUT_WR | MG_SHM_AF_SHUT_RD | MG_SHM_AF_CLOSE)))
		take_close(fp, f, a);
	if (mg_unlikely(mg_rwnd_update_due(f)))
		f->flags |= MG_FF_ACK_NOW;
}

void mg_appwin_look(struct mg_fp *fp, struct mg_flow *f)
{
	look(fp, f, 0);
}

void mg_appwin_recover(struct mg_fp *fp, struct mg_flow *f)
{
	/* acq_rel: as for a doorbell */
	(void)atomic_exchange_explicit(&f->win->a_dirty, 0, memory_order_acq_rel);
	look(fp, f, 0);
}

void mg_appwin_close(struct mg_fp *fp, struct mg_flow *f)
{
	look(fp, f, MG_SHM_AF_CLOSE);
}

void mg_appwin_refresh_rx(struct mg_fp *fp, struct mg_flow *f)
{
	/* acquire: as in mg_appwin_look() */
	if (!take_rx_head(f, atomic_load_explicit(&f->win->rx_head, memory_order_acquire)))
		broken(fp, f);
}

/* What became of a doorbell. */
enum bell { BELL_TAKEN, BELL_TOLD, BELL_STUCK };

/* A doorbell for a window without a flow: the slow path must know when the application lets go, or writes. */
static enum bell orphan(struct mg_fp *fp, struct mg_fp_app_slot *slot,
			const struct mg_shm_doorbell *bell)
{
	const struct mg_shm_window *w = &slot->app->windows[bell->index];
	/* acquire: pairs with the application's release */
	uint32_t a = atomic_load_explicit(&w->a_flags, memory_order_acquire);
	struct mg_ev_doorbell ev = {
		.msg = { .type = MG_EV_DOORBELL, .len = sizeof(ev), .flow = MG_FLOW_NONE },
		.app = slot->app,
		.window = bell->index,
		.gen = bell->gen,
		.a_flags = a,
	};

	mg_fp_count(fp, MG_FPS_DOORBELLS_STALE, 1);
	if (!(a & (MG_SHM_AF_CLOSE | MG_SHM_AF_ABORT | MG_SHM_AF_SYN)))
		return BELL_TAKEN;
	if (fp->env.event(fp->env.ctx, &ev.msg))
		return BELL_TOLD;
	mg_fp_count(fp, MG_FPS_EVENTS_FULL, 1);
	slot->stash = ev;
	slot->stash_valid = true;
	fp->app_work = true;
	return BELL_STUCK;
}

static enum bell one_bell(struct mg_fp *fp, struct mg_fp_app_slot *slot,
			  const struct mg_shm_doorbell *bell)
{
	struct mg_flow *f;

	if (bell->index >= slot->app->nr_windows) {
		mg_fp_count(fp, MG_FPS_DOORBELLS_BAD, 1);
		atomic_fetch_add_explicit(&slot->app->bad_doorbells, 1, memory_order_relaxed);
		return BELL_TAKEN;
	}
	/* Before the look: a change after it rings again. acq_rel: pairs with the application's exchange. */
	(void)atomic_exchange_explicit(&slot->app->windows[bell->index].a_dirty, 0,
				       memory_order_acq_rel);
	f = mg_wintab_find(fp, slot->app->id, bell->index);
	if (f == NULL)
		return orphan(fp, slot, bell);
	/* Of whatever generation: by setting a_dirty it may have kept back the bell for this flow. */
	mg_appwin_look(fp, f);
	return BELL_TAKEN;
}

/* Its ring indices are nonsense: the next flush tells the slow path, which detaches it. */
static void broken_rings(struct mg_fp *fp, struct mg_fp_app_slot *slot)
{
	mg_fp_count(fp, MG_FPS_DOORBELLS_BAD, 1);
	mg_fp_count(fp, MG_FPS_APPS_BROKEN, 1);
	atomic_fetch_add_explicit(&slot->app->bad_doorbells, 1, memory_order_relaxed);
	slot->broken = true;
	slot->broken_untold = true;
	fp->app_work = true;
}

uint32_t mg_appwin_doorbells(struct mg_fp *fp, struct mg_app *app, uint32_t context,
			     uint32_t budget)
{
	struct mg_fp_app_slot *slot = &fp->apps[app->id];
	struct mg_spsc *ring = &app->contexts[context].doorbells[fp->conf.worker];
	struct mg_shm_doorbell bell;
	enum bell what = BELL_TAKEN;
	uint32_t told = 0;
	uint32_t n = 0;

	if (mg_unlikely(slot->app != app || slot->broken || slot->stash_valid))
		return 0;
	for (; n < budget && told < ORPHANS_PER_TURN && what != BELL_STUCK; n++) {
		int ret = mg_spsc_pop(ring, &bell);

		if (mg_unlikely(ret < 0))
			broken_rings(fp, slot);
		if (ret <= 0)
			break;
		what = one_bell(fp, slot, &bell);
		told += what == BELL_TOLD;
	}
	mg_fp_count(fp, MG_FPS_DOORBELLS, n);
	return n;
}
