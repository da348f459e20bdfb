/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - the inside of struct mg_slow: every table of the slow path, for the files of slowpath/core only.
 *
 * Idea:    one object, one block of memory, carved in slow.c. Timers of all kinds share one wheel; the ranges
 *          of its ids tell them apart.
 * Threads: the slow path.
 */
#ifndef MG_ENGINE_H
#define MG_ENGINE_H
#include <stdalign.h>
#include <stdint.h>

#include "proto/base/pool.h"
#include "proto/base/rng.h"
#include "proto/base/siphash.h"
#include "proto/base/time.h"
#include "proto/base/wheel.h"
#include "slowpath/core/apps.h"
#include "slowpath/core/conn.h"
#include "slowpath/core/embryo.h"
#include "slowpath/core/fastopen.h"
#include "slowpath/core/frag.h"
#include "slowpath/core/input.h"
#include "slowpath/core/limit.h"
#include "slowpath/core/listener.h"
#include "slowpath/core/neigh.h"
#include "slowpath/core/pmtu.h"
#include "slowpath/core/ports.h"
#include "slowpath/core/query.h"
#include "slowpath/core/route.h"
#include "slowpath/core/slow.h"
#include "slowpath/core/state.h"
#include "slowpath/core/timewait.h"
#include "slowpath/core/tfoclient.h"
#include "slowpath/core/tuples.h"

#define MG_SLOW_FRAME_MAX 9728 /* largest frame the slow path builds */
#define MG_SLOW_RESETS_PER_S 10000

struct mg_slow_stats {
#define MG_SLOW_STAT(name, help) uint64_t name;
#include "slowpath/core/slow_stats.def"
#undef MG_SLOW_STAT
};

/* Ranges of timer ids. */
struct mg_timer_ids {
	uint32_t embryos;
	uint32_t neighs;
	uint32_t apps;
	uint32_t query;
	uint32_t drain;
	uint32_t dad;
	uint32_t nr;
};

struct mg_slow {
	struct mg_slow_conf conf;
	struct mg_slow_limits lim;
	struct mg_slow_env env;
	uint64_t now_ns; /* of the call under way */
	struct mg_siphash_key key;
	struct mg_rng rng;
	struct mg_slow_stats stats;
	struct mg_state_counts states;
	struct mg_wheel wheel;
	struct mg_timer_ids timer;

	struct mg_routes routes;
	struct mg_neighs neighs;
	struct mg_tuples tuples;

	struct mg_pool conn_pool;
	struct mg_conn *conns;
	uint32_t pending_head; /* connections with commands to retry */
	uint32_t pending_tail;
	uint32_t nr_orphans;
	uint32_t nr_active; /* connections whose flow is not gone yet */

	struct mg_pool embryo_pool;
	struct mg_embryo *embryos;
	struct mg_pool listener_pool;
	struct mg_listener *listeners;
	uint32_t *listener_heads;
	struct mg_timewaits timewaits;
	struct mg_slow_app *apps;
	uint32_t nr_apps; /* slots in use: 0..n-1 */
	uint32_t port_counters[MG_PORTS_COUNTERS];
	struct mg_pmtus pmtus;
	struct mg_frags frags;
	struct mg_queries queries;
	struct mg_tfo_cache tfo_cache;
	struct mg_tfo_keys tfo_keys;
	uint64_t tfo_epoch;
	bool tfo_drawn; /* tfo_keys are those of tfo_epoch */
	/* The SYN whose payload leaves with the INSTALL under way; NULL: none. */
	const struct mg_seg *install_data;
	bool is_draining; /* no new connections */
	bool is_drained;  /* and none left: it stays so */
	struct mg_limit reset_limit;
	struct mg_limit challenge_limit;

	/* A packet that was put together: header of the event, then the frame. */
	alignas(16) uint8_t frag_out[sizeof(struct mg_msg_packet) + MG_SLOW_FRAME_MAX];
	/* The packet that is being built: header of the command, then the frame. */
	alignas(16) uint8_t out[sizeof(struct mg_msg_packet) + MG_SLOW_FRAME_MAX];
};

static inline struct mg_msg_packet *mg_slow_out(struct mg_slow *s)
{
	return (struct mg_msg_packet *)(void *)s->out;
}

static inline uint32_t mg_slow_worker_of(const struct mg_slow *s, const struct mg_tuple *tuple)
{
	return mg_tuple_hash(tuple, s->lim.hash_seed) % s->lim.nr_workers;
}
#endif
