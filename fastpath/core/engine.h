/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - the inside of struct mg_fp, for the files of this folder only.
 *
 * Idea:    pools of transmit records and out-of-order intervals are free lists threaded through the elements,
 *          with a mark of how many were ever touched, so that unused memory stays untouched. Flows that have
 *          something to do stand on one list until the flush.
 * Threads: one worker; counters may be read by others.
 */
#ifndef MG_FP_ENGINE_H
#define MG_FP_ENGINE_H
#include <stdatomic.h>

#include "fastpath/core/flow.h"
#include "fastpath/core/fp.h"
#include "fastpath/core/reass.h"
#include "fastpath/core/table.h"
#include "fastpath/core/txrec.h"
#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/pool.h"
#include "proto/base/rng.h"
#include "proto/base/wheel.h"

enum mg_fp_stat {
#define MG_FP_STAT_X(id, name, help) MG_FPS_##id,
#include "fastpath/core/fp_stats.def"
#undef MG_FP_STAT_X
	MG_FPS_NR
};

#define MG_FP_TICK_NS 16384          /* of the timing wheel */
#define MG_FP_BURST_SEGS 64          /* segments per flow and flush */
#define MG_FP_RETRY_NS (1000 * 1000) /* after a missing packet or a full ring */
#define MG_FP_OOO_PER_FLOW 128

/* One application, by mg_app.id. */
struct mg_fp_app_slot {
	struct mg_app *app;
	uint32_t nr_flows;
	uint32_t wake_mask; /* contexts that got entries in this flush */
	bool deleting;      /* APP_DEL is to be answered */
	bool broken;        /* its doorbell rings are nonsense: they are left alone */
	bool broken_untold; /* ... and the slow path does not know yet */
	bool stash_valid;   /* a DOORBELL event that found the slow path's ring full */
	struct mg_ev_doorbell stash;
};

struct mg_fp {
	struct mg_fp_env env;
	uint64_t now_ns;
	uint32_t now_ms;
	uint32_t nr_apps; /* slots ever used */
	struct mg_flow *pend_first;
	struct mg_flow **pend_last;
	struct mg_flow *flows; /* [conf.flows_local_max] */
	uint32_t *ids;         /* [conf.flows_max]: local index + 1, 0: not here */
	struct mg_table table;
	struct mg_txrec_pool recs;
	struct mg_reass_pool ooos;
	struct mg_pool pool;
	struct mg_wheel wheel;
	uint32_t *win_heads; /* window table: chains of local index + 1 */
	uint32_t win_mask;
	struct mg_fp_app_slot *apps; /* [conf.apps_max] */
	bool app_work;               /* some slot has a stash or a deletion to report */
	bool wake_any;
	bool told; /* entries went to some application since mg_fp_take_told() */
	/* RFC 5961 7: a budget of challenge ACKs, of random size in each second. */
	uint64_t challenge_ns;
	uint32_t challenge_left;
	struct mg_rng rng;
	struct mg_fp_conf conf;
	_Atomic uint64_t stats[MG_FPS_NR];
};

/* One writer: no locked instruction is needed. */
static inline void mg_fp_count(struct mg_fp *fp, enum mg_fp_stat stat, uint64_t n)
{
	_Atomic uint64_t *c = &fp->stats[stat];

	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint32_t mg_fp_local(const struct mg_fp *fp, const struct mg_flow *f)
{
	return (uint32_t)(f - fp->flows);
}

/* Puts the flow on the list that mg_fp_flush() walks. */
static inline void mg_fp_pend(struct mg_fp *fp, struct mg_flow *f)
{
	if (f->flags & MG_FF_PENDING)
		return;
	f->flags |= MG_FF_PENDING;
	f->pend_next = NULL;
	*fp->pend_last = f;
	fp->pend_last = &f->pend_next;
}

static inline void mg_fp_set_now(struct mg_fp *fp, uint64_t now_ns)
{
	if (now_ns == fp->now_ns)
		return;
	fp->now_ns = now_ns;
	fp->now_ms = (uint32_t)mg_ns_to_ms(now_ns);
}

static inline const struct mg_fp_port *mg_fp_port_of(const struct mg_fp *fp,
						     const struct mg_flow *f)
{
	return &fp->conf.ports[f->port];
}
#endif
