/* SPDX-License-Identifier: Apache-2.0 */
/* scenario.c - see scenario.h. */
#include "test/sim/scenario.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/rng.h"
#include "proto/base/time.h"

#define PORT 7
#define START_NS (1000 * MG_NS_PER_S)    /* clocks do not start at 0 */
#define SILENCE_NS (400 * MG_NS_PER_S)   /* longer than the longest back-off between two probes */
#define PATIENCE_NS (2200 * MG_NS_PER_S) /* 15 retransmissions, or 5 keepalives */
#define END_NS (4 * 3600 * MG_NS_PER_S)  /* after START_NS: the world ends */
#define DRAIN_NS (1000 * MG_NS_PER_S)    /* for FIN-WAIT-2 and TIME-WAIT */

struct world {
	const struct mg_sim_scenario *sc;
	struct mg_sim_net *net;
	struct mg_stack *stack[2];
	struct mg_sim_app app[2];
	struct side {
		struct world *w;
		int host;
	} side[2];
	bool killed[2];
	uint64_t now_ns;
	uint64_t progress_ns; /* when a byte was last read or a connection ended */
	uint64_t progress;
	uint64_t moved;
	struct mg_sim_result *res;
};

static void tx(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct side *side = ctx;

	mg_sim_net_send(side->w->net, side->host, frame, len, side->w->now_ns);
}

static bool failed(const struct world *w)
{
	return w->res->failure[0] != '\0';
}

static void fail(struct world *w, const char *what)
{
	if (!failed(w))
		(void)snprintf(w->res->failure, sizeof(w->res->failure), "%s (at %.6f s)", what,
			       (double)(w->now_ns - START_NS) / 1e9);
}

static void settle_host(struct world *w, int h)
{
	uint32_t rounds = 0;

	do {
		mg_stack_turn(w->stack[h], w->now_ns);
		if (rounds++ > 100000) {
			fail(w, "livelock between stack and application");
			return;
		}
	} while (!w->killed[h] && mg_sim_app_step(&w->app[h], w->now_ns));
	mg_stack_check(w->stack[h]);
	if (w->app[h].failure[0] != '\0')
		fail(w, w->app[h].failure);
}

static void kill_due(struct world *w)
{
	for (int h = 0; h < 2; h++) {
		if (w->sc->kill_ns[h] == 0 || w->killed[h] ||
		    w->now_ns < START_NS + w->sc->kill_ns[h])
			continue;
		w->killed[h] = true;
		mg_stack_kill_app(w->stack[h], w->now_ns);
	}
}

static uint64_t next_moment(const struct world *w)
{
	uint64_t next = mg_sim_net_next_ns(w->net);

	for (int h = 0; h < 2; h++) {
		next = mg_min_u64(next, mg_stack_next_ns(w->stack[h]));
		if (!w->killed[h])
			next = mg_min_u64(next, mg_sim_app_next_ns(&w->app[h], w->now_ns));
		if (w->sc->kill_ns[h] != 0 && !w->killed[h])
			next = mg_min_u64(next, START_NS + w->sc->kill_ns[h]);
	}
	return next;
}

static void advance(struct world *w)
{
	uint64_t next = next_moment(w);
	struct mg_sim_frame frame;

	if (next == MG_TIME_NEVER) {
		w->now_ns = MG_TIME_NEVER;
		return;
	}
	w->now_ns = mg_max_u64(next, w->now_ns + 1); /* time moves: what is due now was done */
	while (mg_sim_net_recv(w->net, w->now_ns, &frame)) {
		mg_stack_rx(w->stack[frame.to], frame.bytes, frame.len, w->now_ns);
		free(frame.bytes);
	}
	kill_due(w);
	settle_host(w, 0);
	settle_host(w, 1);
}

static uint32_t open_conns(const struct world *w)
{
	uint32_t n = 0;

	for (int h = 0; h < 2; h++)
		if (!w->killed[h])
			n += mg_sim_app_open(&w->app[h]);
	return n;
}

static void watch_progress(struct world *w)
{
	uint64_t progress = w->app[0].moved_bytes + w->app[1].moved_bytes - open_conns(w);
	const struct mg_sim_link *l = w->sc->link;
	uint64_t dead_ns = mg_max_u64(l[0].dead_until_ns, l[1].dead_until_ns);

	if (w->app[0].moved_bytes + w->app[1].moved_bytes != w->moved) {
		w->moved = w->app[0].moved_bytes + w->app[1].moved_bytes;
		w->res->moved_ns = w->now_ns - START_NS;
	}
	if (progress != w->progress || w->now_ns < dead_ns) {
		w->progress = progress;
		w->progress_ns = w->now_ns;
	}
	if (w->now_ns - w->progress_ns > SILENCE_NS)
		fail(w, "silent stall");
	if (w->sc->vanish_ns != 0 && w->now_ns > START_NS + w->sc->vanish_ns + PATIENCE_NS)
		fail(w, "a connection outlived its vanished peer");
}

/* A neighbour that cannot be found to connect to, while the link is dead, is no fault (RFC 1122 2.3.2.2; as in Linux). */
static bool is_unreachable(const struct mg_sim_conn *c)
{
	return c->is_client && c->end == MG_SIM_RESET && c->error == EHOSTUNREACH && !c->opened;
}

/* Only where frames can vanish in a row is that a legitimate end. */
static bool may_be_unreachable(const struct mg_sim_scenario *sc)
{
	for (int d = 0; d < 2; d++)
		if (sc->link[d].dead_until_ns != 0 || sc->link[d].burst_ppm != 0)
			return true;
	return false;
}

static const struct mg_sim_conn *peer_of(const struct world *w, int h, const struct mg_sim_conn *c)
{
	const struct mg_sim_app *other = &w->app[1 - h];

	for (uint32_t i = 0; i < other->nr_conns; i++)
		if (other->conns[i].key == c->key)
			return &other->conns[i];
	return NULL;
}

/* A SYN with data opens the server's end at once: it ends with the client that gets no answer. */
static bool ends_with_peer(const struct world *w, int h, const struct mg_sim_conn *c)
{
	const struct mg_sim_conn *p = peer_of(w, h, c);

	return c->end == MG_SIM_RESET && p != NULL && p->plan.fastopen && is_unreachable(p);
}

static void check_streams(struct world *w)
{
	for (int h = 0; h < 2; h++) {
		for (uint32_t i = 0; i < w->app[h].nr_conns && !w->killed[h]; i++) {
			const struct mg_sim_conn *c = &w->app[h].conns[i];
			bool fine = c->end == MG_SIM_FINISHED || c->end == MG_SIM_ABORTED ||
				    c->end == MG_SIM_LEFT ||
				    (c->end == MG_SIM_RESET && w->sc->may_reset) ||
				    (may_be_unreachable(w->sc) &&
				     (is_unreachable(c) || ends_with_peer(w, h, c)));
			char what[96];

			if (fine)
				continue;
			(void)snprintf(
				what, sizeof(what),
				"%s connection %u ended as %d, errno %d, sent %llu read %llu",
				h == 0 ? "client" : "server", i, (int)c->end, c->error,
				(unsigned long long)c->tx_pos, (unsigned long long)c->rx_pos);
			fail(w, what);
		}
	}
}

/* Both ends finished in order: each read all that the other wrote. */
static void check_totals(struct world *w)
{
	for (uint32_t i = 0; i < w->app[0].nr_conns; i++) {
		const struct mg_sim_conn *c = &w->app[0].conns[i], *p = peer_of(w, 0, c);

		if (c->end != MG_SIM_FINISHED || p == NULL || p->end != MG_SIM_FINISHED)
			continue;
		if (c->rx_pos != p->tx_pos || p->rx_pos != c->tx_pos)
			fail(w, "a stream was cut short");
	}
}

static void watch_memory(struct world *w)
{
	for (int h = 0; h < 2; h++) {
		uint64_t held = mg_stack_held_bytes(w->stack[h]);

		w->res->held_max_bytes[h] = mg_max_u64(w->res->held_max_bytes[h], held);
		if (!w->app[0].conns[0].shut)
			w->res->held_idle_bytes[h] = held;
	}
}

static void run_until_ended(struct world *w)
{
	while (!failed(w) && open_conns(w) > 0) {
		advance(w);
		if (w->now_ns == MG_TIME_NEVER)
			fail(w, "nothing left to happen, connections open");
		else if (w->now_ns > START_NS + END_NS)
			fail(w, "the world's time is over");
		else
			watch_progress(w);
		watch_memory(w);
	}
}

/* Everything that was taken is given back, and the hosts fall silent. */
static void run_until_drained(struct world *w)
{
	uint64_t until_ns = w->now_ns + DRAIN_NS;
	struct mg_slow_totals t;

	while (!failed(w) && next_moment(w) < until_ns)
		advance(w);
	for (int h = 0; h < 2 && !failed(w); h++) {
		mg_slow_totals(mg_stack_slow(w->stack[h]), &t);
		if (t.connections + t.embryos + t.time_waits != 0)
			fail(w, h == 0 ? "client host keeps state" : "server host keeps state");
		if (w->killed[h] && !mg_stack_app_is_gone(w->stack[h]))
			fail(w, "a dead application's region is still held");
	}
}

static void check_storm(struct world *w)
{
	uint64_t limit;

	w->res->retrans = mg_stack_counter(w->stack[0], "tx_retransmits") +
			  mg_stack_counter(w->stack[1], "tx_retransmits");
	w->res->rings_grown = mg_stack_counter(w->stack[0], "rings_grown") +
			      mg_stack_counter(w->stack[1], "rings_grown");
	w->res->rings_shrunk = mg_stack_counter(w->stack[0], "rings_shrunk") +
			       mg_stack_counter(w->stack[1], "rings_shrunk");
	w->res->frames = mg_sim_net_frames(w->net);
	w->res->lost = mg_sim_net_lost(w->net);
	limit = 200 + w->res->frames /
			      2; /* reordering and duplication may cost much, but not everything */
	if (w->res->retrans > limit)
		fail(w, "retransmission storm");
}

static void start(struct world *w)
{
	const struct mg_sim_scenario *sc = w->sc;
	struct mg_sim_link link[2] = { sc->link[0], sc->link[1] };

	w->now_ns = START_NS;
	w->progress_ns = START_NS;
	w->net = mg_sim_net_new(sc->seed, link);
	if (sc->pcap != NULL)
		mg_sim_net_capture(w->net, sc->pcap);
	for (int h = 0; h < 2; h++) {
		struct mg_stack_conf conf = sc->host[h];

		w->side[h] = (struct side){ .w = w, .host = h };
		conf.ctx = &w->side[h];
		conf.tx = tx;
		conf.now_ns = START_NS;
		w->stack[h] = mg_stack_new(&conf);
		mg_stack_starve(w->stack[h], sc->starve[h]);
		mg_sim_app_init(&w->app[h], w->stack[h], sc->seed);
		for (uint32_t i = 0; i < sc->nr_drop[h]; i++)
			mg_sim_net_drop_nth(w->net, h, sc->drop_nth[h][i]);
	}
	w->app[1].accept_plan = sc->server;
	if (mg_sim_app_listen(&w->app[1], PORT, 64, START_NS) < 0)
		fail(w, "listen was refused");
	for (uint32_t i = 0; i < sc->nr_clients; i++)
		if (mg_sim_app_connect(&w->app[0],
				       sc->client_v6[i] ? sc->host[1].addr6 : sc->host[1].addr,
				       PORT, &sc->client[i], START_NS) < 0)
			fail(w, "connect was refused");
	settle_host(w, 1);
	settle_host(w, 0);
}

void mg_sim_scenario_run(const struct mg_sim_scenario *sc, struct mg_sim_result *ret_result)
{
	struct world *w = calloc(1, sizeof(*w));

	MG_ASSERT(w != NULL);
	memset(ret_result, 0, sizeof(*ret_result));
	w->sc = sc;
	w->res = ret_result;
	start(w);
	run_until_ended(w);
	check_streams(w);
	check_totals(w);
	ret_result->virtual_ns = w->now_ns - START_NS;
	run_until_drained(w);
	check_storm(w);
	ret_result->bytes = w->app[0].moved_bytes + w->app[1].moved_bytes;
	ret_result->ok = !failed(w);
	mg_stack_free(w->stack[0]);
	mg_stack_free(w->stack[1]);
	mg_sim_net_free(w->net);
	free(w);
}
