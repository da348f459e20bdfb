/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_int.h - the inside of struct mg_worker, for the worker_*.c files only.
 *
 * Threads: the worker's; `stop` and the counters are read and written by others as well.
 */
#ifndef MG_IO_WORKER_INT_H
#define MG_IO_WORKER_INT_H
#include <stdalign.h>

#include <rte_cycles.h>

#include "fastpath/io/idle.h"
#include "fastpath/io/local.h"
#include "fastpath/io/steer.h"
#include "fastpath/io/worker.h"
#include "proto/wire/drop.h"

#define MG_WORKER_TX_MAX 256 /* packets collected per port between two transmit calls */
#define MG_WORKER_WAKES_MAX 64

enum mg_worker_stat {
#define MG_WORKER_STAT(name, help) MG_WS_##name,
#include "fastpath/io/worker_stats.def"
#undef MG_WORKER_STAT
	MG_WS_NR
};

/* What the worker collected for one port, and the queue it sends on. */
struct mg_worker_port {
	const struct mg_port *port;
	int32_t queue; /* of this worker; -1: packets go to worker `owner` */
	uint32_t owner;
	uint32_t nr_tx;
	struct rte_mbuf *tx[MG_WORKER_TX_MAX];
};

/* A receive queue of this worker. */
struct mg_worker_queue {
	uint16_t port; /* index in ports */
	uint16_t queue;
};

struct mg_worker {
	struct mg_worker_conf conf;
	struct mg_fp *fp;
	void *fp_mem;
	size_t fp_bytes;
	struct mg_idle idle;
	uint16_t local_port; /* of connections between ends here: behind the last device; UINT16_MAX: none */
	uint32_t nr_queues;
	struct mg_worker_queue queues[MG_WORKER_PORTS_MAX * MG_PORT_QUEUES_MAX];
	struct mg_worker_port ports[MG_WORKER_PORTS_MAX];
	uint16_t port_of_dev[RTE_MAX_ETHPORTS]; /* DPDK's port id to our index */
	bool wake_slow;                         /* events were pushed in this turn */
	uint32_t nr_wakes;
	int wakes[MG_WORKER_WAKES_MAX];       /* eventfds to write at the turn's end */
	struct rte_mbuf_ext_shared_info lent; /* of buffers that point into applications' rings */
	uint64_t slow_next_ns;
	uint64_t io_cycles; /* of this turn: not our own code */
	bool worked;        /* something was found in this turn */
	alignas(64) _Atomic bool stop;
	_Atomic bool
		is_changed; /* live_* below: written by the control thread, taken by the worker */
	_Atomic uint64_t live_spin_ns;
	_Atomic uint32_t live_challenge_ack_per_s;
	alignas(64) _Atomic uint64_t stats[MG_WS_NR];
	_Atomic uint64_t drops[MG_DROP_NR];
};

/* One writer: no locked instruction is needed. */
static inline void mg_worker_bump(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline void mg_worker_bump32(_Atomic uint32_t *c)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static inline void mg_worker_count(struct mg_worker *w, enum mg_worker_stat stat, uint64_t n)
{
	mg_worker_bump(&w->stats[stat], n);
}

/* Receiving (worker_rx.c): every queue and every other worker's hand-overs once. */
void mg_worker_rx(struct mg_worker *w, uint64_t now_ns);
/*
 * Treats one frame, which stays the caller's, as received: from another connection of ours, or back from the slow
 * path. What is not for a flow goes to the slow path like any other.
 */
void mg_worker_rx_frame(struct mg_worker *w, uint16_t port, const uint8_t *frame, uint32_t len,
			uint64_t now_ns);

/* Sending (worker_tx.c). */
bool mg_worker_pkt_alloc(void *ctx, uint16_t port, uint32_t len, struct mg_fp_pkt *ret_pkt);
void mg_worker_pkt_send(void *ctx, const struct mg_fp_pkt *pkt);
void mg_worker_lend_init(struct mg_worker *w);
/* A complete frame of the slow path. */
void mg_worker_tx_frame(struct mg_worker *w, uint16_t port, const uint8_t *frame, uint32_t len);
/* Gives everything collected to the ports: one call each. */
void mg_worker_tx_flush(struct mg_worker *w);
#endif
