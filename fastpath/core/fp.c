/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp.c - the engine's frame: memory, look-up, the turn, the flush; see fp.h.
 *
 * Idea:    what a turn touches is put on one list. The flush walks it twice: first applications are told
 *          and woken, then packets are written, so that both work at the same time.
 */
#include "fastpath/core/fp.h"

#include <errno.h>

#include "fastpath/core/appwin.h"
#include "fastpath/core/command.h"
#include "fastpath/core/engine.h"
#include "fastpath/core/input.h"
#include "fastpath/core/notify.h"
#include "fastpath/core/output.h"
#include "fastpath/core/ring.h"
#include "fastpath/core/rwnd.h"
#include "fastpath/core/timer.h"

/* The engine's memory, piece by piece; with base NULL only the sizes count. */
struct layout {
	size_t engine, flows, ids, table, recs, ooos, pool, wheel, win_heads, apps, total;
};

static size_t place(size_t *total, size_t bytes)
{
	size_t at = *total;

	*total = (size_t)mg_align_up(at + bytes, MG_CACHE_LINE);
	return at;
}

static struct layout lay_out(const struct mg_fp_conf *c)
{
	struct layout l = { 0 };

	l.engine = place(&l.total, sizeof(struct mg_fp));
	l.flows = place(&l.total, (size_t)c->flows_local_max * sizeof(struct mg_flow));
	l.ids = place(&l.total, (size_t)c->flows_max * sizeof(uint32_t));
	l.table = place(&l.total, mg_table_bytes(c->flows_local_max));
	l.recs = place(&l.total, mg_txrec_bytes(c->txrecs_max));
	l.ooos = place(&l.total, mg_reass_bytes(c->ooo_max));
	l.pool = place(&l.total, mg_pool_bytes(c->flows_local_max));
	l.wheel = place(&l.total, mg_wheel_bytes(c->flows_local_max));
	l.win_heads = place(&l.total,
			    (size_t)mg_pow2_up_u32(c->flows_local_max) * sizeof(uint32_t));
	l.apps = place(&l.total, (size_t)c->apps_max * sizeof(struct mg_fp_app_slot));
	return l;
}

static bool conf_ok(const struct mg_fp_conf *c)
{
	return c->flows_local_max != 0 && c->flows_local_max <= 1u << 24 &&
	       c->flows_max >= c->flows_local_max && c->flows_max <= 1u << 28 &&
	       c->txrecs_max != 0 && c->ooo_max != 0 && c->apps_max != 0 &&
	       c->nr_ports <= MG_ARRAY_SIZE(c->ports) && c->worker < MG_SHM_WORKERS_MAX;
}

size_t mg_fp_bytes(const struct mg_fp_conf *conf)
{
	return lay_out(conf).total;
}

int mg_fp_init(void *mem, const struct mg_fp_conf *conf, const struct mg_fp_env *env,
	       struct mg_fp **ret_fp)
{
	struct layout l = lay_out(conf);
	uint8_t *base = mem;
	struct mg_fp *fp = mem;

	if (!conf_ok(conf))
		return -EINVAL;
	MG_ASSERT(((uintptr_t)mem & (MG_CACHE_LINE - 1)) == 0);
	fp->env = *env;
	fp->conf = *conf;
	mg_fp_set_now(fp, conf->now_ns);
	fp->pend_last = &fp->pend_first;
	fp->flows = (struct mg_flow *)(void *)(base + l.flows);
	fp->ids = (uint32_t *)(void *)(base + l.ids);
	fp->win_heads = (uint32_t *)(void *)(base + l.win_heads);
	fp->win_mask = mg_pow2_up_u32(conf->flows_local_max) - 1;
	fp->apps = (struct mg_fp_app_slot *)(void *)(base + l.apps);
	mg_table_init(&fp->table, base + l.table, conf->flows_local_max);
	mg_txrec_init(&fp->recs, base + l.recs, conf->txrecs_max);
	mg_reass_init(&fp->ooos, base + l.ooos, conf->ooo_max);
	mg_pool_init(&fp->pool, base + l.pool, conf->flows_local_max);
	mg_wheel_init(&fp->wheel, base + l.wheel, conf->flows_local_max, MG_FP_TICK_NS,
		      conf->now_ns);
	mg_rng_init(&fp->rng, conf->hash_seed ^ 0x6368616c6c656e67ull);
	*ret_fp = fp;
	return 0;
}

struct mg_flow *mg_fp_lookup(struct mg_fp *fp, const struct mg_seg *seg)
{
	uint32_t hash = mg_tuple_hash(&seg->tuple, fp->conf.hash_seed);

	return mg_table_find(&fp->table, fp->flows, &seg->tuple, hash);
}

void mg_fp_prefetch(const struct mg_flow *flow)
{
	const uint8_t *p = (const uint8_t *)flow;

	__builtin_prefetch(p + 64, 1);
	__builtin_prefetch(p + 128, 1);
	__builtin_prefetch(p + 192, 1);
	__builtin_prefetch(p + 256);
	__builtin_prefetch(p + 320);
	__builtin_prefetch(p + 384, 1);
}

enum mg_fp_verdict mg_fp_rx(struct mg_fp *fp, struct mg_flow *flow, const struct mg_seg *seg,
			    uint64_t now_ns)
{
	mg_fp_set_now(fp, now_ns);
	return mg_likely(mg_input_segment(fp, flow, seg)) ? MG_FP_DONE : MG_FP_TO_SLOW;
}

uint32_t mg_fp_doorbells(struct mg_fp *fp, struct mg_app *app, uint32_t context, uint32_t budget,
			 uint64_t now_ns)
{
	mg_fp_set_now(fp, now_ns);
	return mg_appwin_doorbells(fp, app, context, budget);
}

uint32_t mg_fp_timers(struct mg_fp *fp, uint64_t now_ns)
{
	uint32_t n = 0;
	uint32_t id;

	mg_fp_set_now(fp, now_ns);
	mg_wheel_advance(&fp->wheel, now_ns);
	while ((id = mg_wheel_pop(&fp->wheel)) != MG_WHEEL_NONE) {
		mg_timer_fire(fp, &fp->flows[id]);
		n++;
	}
	return n;
}

/* An ACK that would offer less than half the ring by what we know: the application may have read since. */
static void refresh_window(struct mg_fp *fp, struct mg_flow *f)
{
	if (mg_flow_has(f, MG_FF_ACK_NOW) && mg_flow_rx_free(f) <= f->rx_mask / 2)
		mg_appwin_refresh_rx(fp, f);
}

static void flush_flow(struct mg_fp *fp, struct mg_flow *f)
{
	bool told = mg_notify_retry(fp, f);

	if (mg_unlikely(f->run == MG_FLOW_REMOVING)) {
		mg_command_finish_remove(fp, f, told);
		return;
	}
	if (mg_likely(f->run == MG_FLOW_LIVE)) {
		if (f->rx_unacked != 0 && fp->now_ns >= f->rs_next_ns)
			mg_ring_measure(fp, f);
		if (mg_unlikely(f->ring_busy & MG_RING_BUSY))
			mg_ring_step(fp, f);
		refresh_window(fp, f);
		mg_output_flow(fp, f);
		mg_notify_sample(fp, f);
	}
	mg_timer_update(fp, f);
	if (mg_flow_has(f, MG_FF_MORE))
		mg_fp_pend(fp, f);
}

bool mg_fp_take_told(struct mg_fp *fp)
{
	bool told = fp->told;

	fp->told = false;
	return told;
}

void mg_fp_flush(struct mg_fp *fp, uint64_t now_ns)
{
	struct mg_flow *list;
	struct mg_flow *next;

	mg_fp_set_now(fp, now_ns);
	if (mg_unlikely(fp->app_work))
		mg_command_app_work(fp);
	list = fp->pend_first;
	/* Applications first: they can work while we write packets. */
	for (struct mg_flow *f = list; f != NULL; f = f->pend_next)
		mg_notify_app(fp, f);
	mg_notify_wake(fp);
	fp->pend_first = NULL;
	fp->pend_last = &fp->pend_first;
	for (struct mg_flow *f = list; f != NULL; f = next) {
		next = f->pend_next;
		f->flags &= ~(uint32_t)MG_FF_PENDING;
		flush_flow(fp, f);
	}
}

uint64_t mg_fp_next_ns(const struct mg_fp *fp)
{
	uint64_t next = mg_wheel_next_ns(&fp->wheel);

	if (fp->pend_first != NULL)
		return fp->now_ns;
	if (fp->app_work)
		return mg_min_u64(next, fp->now_ns + MG_FP_RETRY_NS);
	return next;
}

struct mg_app *mg_fp_app(const struct mg_fp *fp, uint32_t slot)
{
	return slot < fp->nr_apps && !fp->apps[slot].broken ? fp->apps[slot].app : NULL;
}

uint32_t mg_fp_nr_apps(const struct mg_fp *fp)
{
	return fp->nr_apps;
}

void mg_fp_command(struct mg_fp *fp, const struct mg_msg *cmd, uint64_t now_ns)
{
	mg_fp_set_now(fp, now_ns);
	mg_command_obey(fp, cmd);
}

static const struct {
	const char *name;
	const char *help;
} stat_info[] = {
#define MG_FP_STAT_X(id, name, help) { name, help },
#include "fastpath/core/fp_stats.def"
#undef MG_FP_STAT_X
};

bool mg_fp_counter(const struct mg_fp *fp, uint32_t i, const char **ret_name, const char **ret_help,
		   uint64_t *ret_value)
{
	static_assert(MG_ARRAY_SIZE(stat_info) == MG_FPS_NR, "one list, two tables");

	if (i >= MG_FPS_NR)
		return false;
	*ret_name = stat_info[i].name;
	*ret_help = stat_info[i].help;
	*ret_value = atomic_load_explicit(&fp->stats[i], memory_order_relaxed);
	return true;
}
