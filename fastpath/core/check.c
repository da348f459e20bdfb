/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - the invariants of flows and engine, for tests, simulator and fuzzers.
 *
 * Idea:    what must hold between any two calls: order of positions, sums over records, and that a flow with
 *          data out or a duty has a timer, so that no stall can go unnoticed.
 */
#include "fastpath/core/engine.h"
#include "fastpath/core/ring.h"

static void check_rx(const struct mg_flow *f)
{
	MG_ASSERT(f->rx_head <= f->rx_tail);
	MG_ASSERT(f->rx_tail - f->rx_head <= (uint64_t)f->rx_mask + 1);
	MG_ASSERT(mg_seq_leq(f->rcv_nxt, f->rcv_adv));
	MG_ASSERT(mg_seq_leq(f->last_ack_sent, f->rcv_nxt));
	MG_ASSERT(f->nr_sack <= MG_SACK_BLOCKS_MAX);
	MG_ASSERT(!mg_flow_has(f, MG_FF_FIN_RCVD) || f->rcv_nxt == f->fin_seq + 1);
	MG_ASSERT(!mg_flow_has(f, MG_FF_FIN_RCVD) || f->ooo_head == MG_FLOW_NONE);
}

static void check_tx(const struct mg_flow *f)
{
	uint32_t fin_out = mg_flow_has(f, MG_FF_FIN_SENT) && !mg_flow_has(f, MG_FF_FIN_ACKED);

	MG_ASSERT(mg_seq_leq(f->snd_una, f->snd_nxt));
	MG_ASSERT(f->tx_una <= f->tx_head);
	MG_ASSERT(f->tx_head - f->tx_una <= (uint64_t)f->tx_mask + 1);
	MG_ASSERT(mg_flow_flight(f) <= f->tx_head - f->tx_una + fin_out);
	MG_ASSERT(f->sacked_bytes + f->lost_bytes <= mg_flow_flight(f));
	MG_ASSERT(f->cwnd >= 1);
	MG_ASSERT(!mg_flow_has(f, MG_FF_FIN_ACKED) ||
		  (f->snd_una == f->snd_nxt && f->tx_una == f->tx_head));
	MG_ASSERT(!mg_flow_has(f, MG_FF_FIN_SENT) || mg_flow_has(f, MG_FF_FIN_QUEUED));
	MG_ASSERT(f->opts & MG_FLOW_SACK || f->sacked_bytes == 0);
	MG_ASSERT(f->rto_us >= f->rto_min_us && f->rto_us <= f->rto_max_us);
}

/* With data outstanding, or a duty, something must bring the flow back: progress is never left to luck. */
static void check_timers(const struct mg_flow *f)
{
	uint64_t at = mg_min_u64(mg_min_u64(f->rtx_ns, f->delack_ns), f->aux_ns);

	if (f->run != MG_FLOW_LIVE || mg_flow_has(f, MG_FF_PENDING))
		return;
	MG_ASSERT(f->armed_ns <= at);
	MG_ASSERT(mg_flow_flight(f) == 0 || f->rtx_ns != MG_TIME_NEVER);
	MG_ASSERT(f->rx_unacked == 0 || f->delack_ns != MG_TIME_NEVER ||
		  f->aux_ns != MG_TIME_NEVER);
	MG_ASSERT(!mg_flow_has(f, MG_FF_BLOCK_WND) || f->rtx_ns != MG_TIME_NEVER);
}

void mg_flow_check(const struct mg_flow *f)
{
	MG_ASSERT(f->run != MG_FLOW_FREE);
	MG_ASSERT(f->nr_ev <= MG_FLOW_EVENTS_MAX);
	if (f->run == MG_FLOW_REMOVING)
		return;
	check_rx(f);
	check_tx(f);
	mg_ring_check(f);
	check_timers(f);
}

void mg_fp_check(const struct mg_fp *fp)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < fp->pool.nr_touched; i++) {
		struct mg_flow *f = &fp->flows[i];

		if (!mg_pool_is_live(&fp->pool, i))
			continue;
		nr++;
		MG_ASSERT(fp->ids[f->id] == i + 1);
		mg_flow_check(f);
		if (f->run == MG_FLOW_REMOVING)
			continue;
		MG_ASSERT(mg_table_find(&fp->table, fp->flows, &f->tuple, f->hash) == f);
		MG_ASSERT(fp->apps[f->app_slot].app == f->app);
		mg_txrec_check(fp, f);
		mg_reass_check(fp, f);
	}
	MG_ASSERT(nr == fp->pool.nr_used);
	MG_ASSERT(fp->recs.nr_used <= fp->recs.count && fp->ooos.nr_used <= fp->ooos.count);
}
