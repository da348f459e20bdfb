/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.c - sizes of a flow's payload rings; see ring.h.
 */
#include "fastpath/core/ring.h"

#include "fastpath/core/appwin.h"
#include "fastpath/core/engine.h"
#include "fastpath/core/rwnd.h"

#define RETRY_NS MG_NS_PER_S /* after "no room" */

static uint32_t size_of(const struct mg_flow *f, enum mg_ring_dir dir)
{
	return (dir == MG_RING_RX ? f->rx_mask : f->tx_mask) + 1;
}

static void set_step(struct mg_flow *f, enum mg_ring_dir dir, enum mg_flow_ring_step step)
{
	static const uint8_t busy[] = {
		[MG_RING_IDLE] = 0,
		[MG_RING_ASKING] = MG_RING_BUSY,
		[MG_RING_ASKED] = 0,
		[MG_RING_NEXT] = MG_RING_BUSY,
		[MG_RING_OFFERED] = MG_RING_TX_OFFERED,
		[MG_RING_OLD] = MG_RING_BUSY,
		[MG_RING_DONE] = MG_RING_BUSY,
		[MG_RING_REFUSING] = MG_RING_BUSY,
	};

	f->ring[dir].step = (uint8_t)step;
	f->ring_busy = busy[f->ring[MG_RING_RX].step] | busy[f->ring[MG_RING_TX].step];
}

/* When to look at the receive ring next; never, while it has the size it may have. */
static void next_measure(struct mg_fp *fp, struct mg_flow *f)
{
	const struct mg_flow_ring *r = &f->ring[MG_RING_RX];
	uint32_t rtt_us = mg_flow_srtt_us(f) != 0 ? mg_flow_srtt_us(f) : f->rs_rtt_us;

	f->rs_next_ns = MG_TIME_NEVER;
	if (size_of(f, MG_RING_RX) >= r->max_bytes || mg_flow_has(f, MG_FF_SHUT_RD))
		return;
	f->rs_ns = fp->now_ns;
	f->rs_head = f->rx_head;
	f->rs_edge = f->rcv_adv;
	/* Without a round-trip time the period ends with the window that is open now. */
	f->rs_next_ns = fp->now_ns + mg_us_to_ns(rtt_us);
}

void mg_ring_init(struct mg_fp *fp, struct mg_flow *f, const struct mg_cmd_install *cmd)
{
	f->ring[MG_RING_RX].min_bytes = cmd->rx_bytes;
	f->ring[MG_RING_RX].max_bytes = mg_max_u32(cmd->rx_max_bytes, cmd->rx_bytes);
	f->ring[MG_RING_TX].min_bytes = cmd->tx_bytes;
	f->ring[MG_RING_TX].max_bytes = mg_max_u32(cmd->tx_max_bytes, cmd->tx_bytes);
	f->ring_idle_us = cmd->ring_idle_us;
	f->ring_idle_ns = MG_TIME_NEVER;
	next_measure(fp, f);
}

/* ---- Asking ---- */

static void ask(struct mg_fp *fp, struct mg_flow *f, enum mg_ring_dir dir, uint32_t bytes)
{
	struct mg_flow_ring *r = &f->ring[dir];

	if (r->step != MG_RING_IDLE || fp->now_ns < r->retry_ns)
		return;
	r->bytes = bytes;
	set_step(f, dir, MG_RING_ASKING);
	mg_fp_pend(fp, f);
}

/* The smallest power of two that holds so much, within the limit. */
static uint32_t fitting(const struct mg_flow_ring *r, uint64_t need)
{
	return need >= r->max_bytes ? r->max_bytes : mg_pow2_up_u32((uint32_t)need);
}

void mg_ring_measure(struct mg_fp *fp, struct mg_flow *f)
{
	const struct mg_flow_ring *r = &f->ring[MG_RING_RX];
	uint64_t bytes;
	uint32_t want;

	if (mg_flow_srtt_us(f) == 0 && f->rs_rtt_us == 0) {
		if (mg_seq_lt(f->rcv_nxt, f->rs_edge))
			return;
		f->rs_rtt_us = (uint32_t)mg_min_u64(
			mg_max_u64(mg_ns_to_us(fp->now_ns - f->rs_ns), 1), MG_US_PER_S);
	}
	mg_appwin_refresh_rx(fp, f);
	if (f->run != MG_FLOW_LIVE)
		return;
	bytes = f->rx_head - f->rs_head;
	/* A sender in slow start will have doubled again before the larger window reaches it. */
	want = fitting(r, bytes > f->rs_bytes + f->rs_bytes / 4 ? 4 * bytes : 2 * bytes);
	f->rs_bytes = bytes;
	/* What it was before the idle time; the peer may still think so. */
	want = mg_max_u32(want, f->rs_former_bytes);
	if (want > size_of(f, MG_RING_RX) && (bytes != 0 || f->rs_former_bytes != 0))
		ask(fp, f, MG_RING_RX, want);
	next_measure(fp, f);
}

void mg_ring_grow_tx(struct mg_fp *fp, struct mg_flow *f)
{
	const struct mg_flow_ring *r = &f->ring[MG_RING_TX];
	uint32_t size = size_of(f, MG_RING_TX);

	if (size >= r->max_bytes || f->tx_head - f->tx_una < size / 2 ||
	    mg_flow_has(f, MG_FF_FIN_QUEUED | MG_FF_APP_CLOSED))
		return;
	ask(fp, f, MG_RING_TX, fitting(r, 2 * (uint64_t)f->cwnd));
}

static bool is_idle(const struct mg_flow *f, enum mg_ring_dir dir)
{
	if (size_of(f, dir) <= f->ring[dir].min_bytes)
		return false;
	if (dir == MG_RING_TX)
		return f->tx_head == f->tx_una;
	return f->rx_head == f->rx_tail && f->ooo_head == MG_FLOW_NONE;
}

void mg_ring_idle(struct mg_fp *fp, struct mg_flow *f)
{
	uint64_t last = mg_max_u64(f->last_rx_ns, f->last_sent_ns);
	uint64_t limit = mg_us_to_ns(f->ring_idle_us);

	f->ring_idle_ns = MG_TIME_NEVER;
	if (size_of(f, MG_RING_RX) <= f->ring[MG_RING_RX].min_bytes &&
	    size_of(f, MG_RING_TX) <= f->ring[MG_RING_TX].min_bytes)
		return;
	f->ring_idle_ns = last + limit > fp->now_ns ? last + limit : fp->now_ns + limit / 2;
	if (fp->now_ns - last < limit || mg_flow_has(f, MG_FF_SHUT_RD | MG_FF_APP_CLOSED))
		return;
	mg_appwin_refresh_rx(fp, f);
	if (f->run != MG_FLOW_LIVE)
		return;
	for (enum mg_ring_dir dir = MG_RING_RX; dir <= MG_RING_TX; dir++) {
		if (is_idle(f, dir))
			ask(fp, f, dir, f->ring[dir].min_bytes);
	}
}

/* ---- Changing ---- */

/* Writes the number's slot, then the number. */
static void publish(struct mg_flow *f, enum mg_ring_dir dir, uint64_t start)
{
	struct mg_flow_ring *r = &f->ring[dir];
	bool rx = dir == MG_RING_RX;
	struct mg_shm_ring *slots = rx ? f->win->rx_rings : f->win->tx_rings;
	struct mg_shm_ring *slot = &slots[++r->number % MG_SHM_RING_SLOTS];

	/* relaxed: published by the number */
	atomic_store_explicit(&slot->start, start, memory_order_relaxed);
	atomic_store_explicit(&slot->page, (uint32_t)(r->off / MG_SHM_PAGE_BYTES),
			      memory_order_relaxed);
	atomic_store_explicit(&slot->bytes, r->bytes, memory_order_relaxed);
	/* release: pairs with the application's acquire; the slot is filled */
	atomic_store_explicit(rx ? &f->win->rx_ring : &f->win->tx_ring, r->number,
			      memory_order_release);
}

static void note_changed(struct mg_fp *fp, struct mg_flow *f, bool grown)
{
	mg_fp_count(fp, grown ? MG_FPS_RINGS_GROWN : MG_FPS_RINGS_SHRUNK, 1);
	if (f->ring_idle_ns == MG_TIME_NEVER && f->ring_idle_us != 0)
		f->ring_idle_ns = fp->now_ns + mg_us_to_ns(f->ring_idle_us);
}

static void switch_rx(struct mg_fp *fp, struct mg_flow *f)
{
	struct mg_flow_ring *r = &f->ring[MG_RING_RX];
	uint32_t size = size_of(f, MG_RING_RX);

	if (f->ooo_head != MG_FLOW_NONE)
		return; /* it lies in the old ring: wait until the gap is filled */
	if (f->rx_tail - f->rx_head > r->bytes || mg_flow_has(f, MG_FF_SHUT_RD)) {
		set_step(f, MG_RING_RX, MG_RING_REFUSING);
		return;
	}
	f->rs_former_bytes = r->bytes < size ? size : 0;
	f->rx_ring = f->app->base + r->off;
	f->rx_mask = r->bytes - 1;
	r->start = f->rx_tail;
	publish(f, MG_RING_RX, r->start);
	set_step(f, MG_RING_RX, MG_RING_OLD);
	note_changed(fp, f, r->bytes > size);
	next_measure(fp, f);
	if (f->rs_former_bytes != 0)
		f->rs_next_ns = fp->now_ns; /* the first data asks for it again */
	if (mg_rwnd_update_due(f))
		f->flags |= MG_FF_ACK_NOW;
}

bool mg_ring_adopted(struct mg_fp *fp, struct mg_flow *f)
{
	struct mg_flow_ring *r = &f->ring[MG_RING_TX];
	uint32_t size = size_of(f, MG_RING_TX);

	/* acquire: pairs with the library's release; what is unacknowledged was copied */
	if (atomic_load_explicit(&f->win->tx_ring_used, memory_order_acquire) != r->number)
		return true;
	if (f->tx_head - f->tx_una > r->bytes)
		return false;
	f->tx_ring = f->app->base + r->off;
	f->tx_mask = r->bytes - 1;
	set_step(f, MG_RING_TX, MG_RING_DONE);
	note_changed(fp, f, r->bytes > size);
	return true;
}

void mg_ring_answer(struct mg_fp *fp, struct mg_flow *f, const struct mg_cmd_ring *cmd)
{
	enum mg_ring_dir dir = cmd->dir;
	struct mg_flow_ring *r = &f->ring[dir];

	if (dir > MG_RING_TX || r->step != MG_RING_ASKED)
		return;
	if (cmd->bytes == 0) {
		mg_fp_count(fp, MG_FPS_RINGS_NO_ROOM, 1);
		r->retry_ns = fp->now_ns + RETRY_NS;
		set_step(f, dir, MG_RING_IDLE);
		return;
	}
	MG_ASSERT(mg_is_pow2(cmd->bytes) && cmd->off % MG_SHM_PAGE_BYTES == 0);
	r->off = cmd->off;
	r->bytes = cmd->bytes;
	if (f->run != MG_FLOW_LIVE) {
		set_step(f, dir, MG_RING_REFUSING);
	} else if (dir == MG_RING_RX) {
		set_step(f, dir, MG_RING_NEXT);
	} else {
		publish(f, dir, 0);
		set_step(f, dir, MG_RING_OFFERED);
		f->flags |= MG_FF_NOTIFY; /* a sleeping application gives an idle ring back */
	}
	mg_fp_pend(fp, f);
}

/* ---- Telling ---- */

static bool tell(struct mg_fp *fp, struct mg_flow *f, enum mg_ring_dir dir, enum mg_ring_what what)
{
	struct mg_ev_ring ev = {
		.msg = { .type = MG_EV_RING,
			 .port = f->port,
			 .len = sizeof(ev),
			 .flow = f->id,
			 .gen = f->gen },
		.dir = dir,
		.what = what,
		.bytes = f->ring[dir].bytes,
	};

	if (fp->env.event(fp->env.ctx, &ev.msg))
		return true;
	mg_fp_count(fp, MG_FPS_EVENTS_FULL, 1);
	f->aux_ns = mg_min_u64(f->aux_ns, fp->now_ns + MG_FP_RETRY_NS);
	return false;
}

static void step(struct mg_fp *fp, struct mg_flow *f, enum mg_ring_dir dir)
{
	struct mg_flow_ring *r = &f->ring[dir];

	if (r->step == MG_RING_NEXT)
		switch_rx(fp, f);
	/* After a shutdown for reading rx_head says nothing about what the application has read. */
	if (r->step == MG_RING_OLD && f->rx_head >= r->start && !mg_flow_has(f, MG_FF_SHUT_RD))
		set_step(f, dir, MG_RING_DONE);
	if (r->step == MG_RING_ASKING && tell(fp, f, dir, MG_RING_WANT))
		set_step(f, dir, MG_RING_ASKED);
	else if (r->step == MG_RING_DONE && tell(fp, f, dir, MG_RING_OLD_FREE))
		set_step(f, dir, MG_RING_IDLE);
	else if (r->step == MG_RING_REFUSING && tell(fp, f, dir, MG_RING_NEW_FREE))
		set_step(f, dir, MG_RING_IDLE);
}

void mg_ring_step(struct mg_fp *fp, struct mg_flow *f)
{
	step(fp, f, MG_RING_RX);
	step(fp, f, MG_RING_TX);
}

void mg_ring_check(const struct mg_flow *f)
{
	const struct mg_flow_ring *rx = &f->ring[MG_RING_RX];

	MG_ASSERT(rx->step <= MG_RING_REFUSING && rx->step != MG_RING_OFFERED);
	MG_ASSERT(f->ring[MG_RING_TX].step <= MG_RING_REFUSING &&
		  f->ring[MG_RING_TX].step != MG_RING_NEXT &&
		  f->ring[MG_RING_TX].step != MG_RING_OLD);
	MG_ASSERT(((f->ring_busy & MG_RING_TX_OFFERED) != 0) ==
		  (f->ring[MG_RING_TX].step == MG_RING_OFFERED));
	/* Whatever is out of order lies in the newest ring. */
	MG_ASSERT(rx->step != MG_RING_OLD || rx->start <= f->rx_tail);
	for (int i = 0; i < 2; i++)
		MG_ASSERT(size_of(f, (enum mg_ring_dir)i) <= f->ring[i].max_bytes);
}
