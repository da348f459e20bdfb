/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - see worker.h: setting a worker up, its loop, its sleep. */
#include "fastpath/io/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "fastpath/io/eal.h"
#include "fastpath/io/worker_int.h"
#include "proto/base/bits.h"
#include "proto/base/sleep.h"
#include "proto/base/time.h"

#define COMMANDS_PER_TURN 256
#define DOORBELLS_PER_TURN 128
#define GSO_BYTES 65536                       /* as much as IPv4 takes */
#define HOUSEKEEPING_NS (1000 * MG_NS_PER_MS) /* longest sleep */

static uint64_t clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
	return (uint64_t)ts.tv_sec * MG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- what the engine asks of the worker ----------------------------------------------------- */

static void wake_all(struct mg_worker *w)
{
	uint64_t one = 1, start;

	if (w->nr_wakes == 0)
		return;
	start = rte_rdtsc();
	for (uint32_t i = 0; i < w->nr_wakes; i++)
		(void)!write(w->wakes[i], &one, sizeof(one)); /* full: it is ringing already */
	mg_worker_count(w, MG_WS_app_wakes, w->nr_wakes);
	w->nr_wakes = 0;
	start = rte_rdtsc() - start;
	w->io_cycles += start;
	mg_worker_count(w, MG_WS_wake_cycles, start);
}

static bool env_event(void *ctx, const struct mg_msg *ev)
{
	struct mg_worker *w = ctx;
	void *room = mg_msgring_reserve(w->conf.events, ev->len);

	if (room == NULL)
		return false;
	if (mg_unlikely(ev->type == MG_EV_APP_DEL)) {
		/* Its eventfds are closed and its rings are gone as soon as this is heard. */
		wake_all(w);
		mg_worker_tx_flush(w);
	}
	memcpy(room, ev, ev->len);
	mg_msgring_commit(w->conf.events, ev->len);
	w->wake_slow = true;
	return true;
}

static void env_wake(void *ctx, struct mg_app *app, uint32_t context)
{
	struct mg_worker *w = ctx;

	if (w->nr_wakes == MG_WORKER_WAKES_MAX)
		wake_all(w);
	w->wakes[w->nr_wakes++] = app->contexts[context].wake_fd;
}

/* ---- setting up ------------------------------------------------------------------------------ */

/* Queues are dealt out round robin; a worker without one of a port sends through the owner of queue 0. */
static void deal_queues(struct mg_worker *w)
{
	const struct mg_worker_conf *c = &w->conf;

	for (uint16_t p = 0; p < c->nr_ports; p++) {
		struct mg_worker_port *wp = &w->ports[p];

		wp->port = &c->ports[p];
		wp->queue = -1;
		wp->owner = p % c->nr_workers;
		w->port_of_dev[wp->port->id] = p;
		for (uint16_t q = 0; q < wp->port->nr_queues; q++) {
			if ((p + q) % c->nr_workers != c->number)
				continue;
			w->queues[w->nr_queues++] = (struct mg_worker_queue){ .port = p,
									      .queue = q };
			if (wp->queue < 0)
				wp->queue = q;
		}
	}
}

static int add_sleep_sources(struct mg_worker *w)
{
	int err = 0;

	for (uint32_t i = 0; i < w->nr_queues && err == 0; i++)
		err = mg_idle_add(&w->idle,
				  w->conf.ports[w->queues[i].port].rx_fd[w->queues[i].queue]);
	return err;
}

static void free_engine(struct mg_worker *w)
{
	if (w->fp_mem != NULL)
		(void)munmap(w->fp_mem, w->fp_bytes);
}

static int new_engine(struct mg_worker *w)
{
	struct mg_fp_conf *fp = &w->conf.fp;
	struct mg_fp_env env = { .ctx = w,
				 .pkt_alloc = mg_worker_pkt_alloc,
				 .pkt_send = mg_worker_pkt_send,
				 .event = env_event,
				 .wake = env_wake };

	fp->worker = w->conf.number;
	fp->nr_ports = w->conf.nr_ports + (w->conf.local != NULL);
	fp->now_ns = clock_ns();
	for (uint32_t p = 0; p < w->conf.nr_ports; p++) {
		uint32_t caps = w->conf.ports[p].caps;

		fp->ports[p].has_l2 = true;
		fp->ports[p].tx_csum = (caps & MG_PORT_CAP_TX_TCP_CSUM) != 0 &&
				       (caps & MG_PORT_CAP_TX_IP_CSUM) != 0;
		/* Others' queues send later, when the payload may be gone; they get ordinary frames. */
		if ((caps & MG_PORT_CAP_TX_COPIES) == 0 || w->ports[p].queue < 0)
			continue;
		fp->ports[p].lends = true;
		fp->ports[p].gso_bytes = (caps & MG_PORT_CAP_TSO) != 0 ? GSO_BYTES : 0;
	}
	if (w->conf.local != NULL)
		fp->ports[w->local_port] = (struct mg_fp_port){ .tx_csum = true };
	w->fp_bytes = mg_fp_bytes(fp);
	/* Zero pages that the engine touches only as connections come. */
	w->fp_mem = mmap(NULL, w->fp_bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->fp_mem == MAP_FAILED) {
		w->fp_mem = NULL;
		return -ENOMEM;
	}
	return mg_fp_init(w->fp_mem, fp, &env, &w->fp);
}

int mg_worker_new(const struct mg_worker_conf *conf, struct mg_worker **ret_worker)
{
	struct mg_worker *w;
	int err;

	if (conf->nr_ports + (conf->local != NULL) > MG_WORKER_PORTS_MAX || conf->burst == 0 ||
	    conf->burst > MG_PORT_BURST || conf->number >= conf->nr_workers ||
	    (conf->nr_workers > 1 && conf->steer == NULL))
		return -EINVAL;
	w = aligned_alloc(64, mg_align_up(sizeof(*w), 64));
	if (w == NULL)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->conf = *conf;
	w->local_port = conf->local != NULL ? (uint16_t)conf->nr_ports : UINT16_MAX;
	deal_queues(w);
	mg_worker_lend_init(w);
	err = mg_idle_init(&w->idle, conf->spin_ns);
	if (err < 0)
		goto free_worker;
	err = add_sleep_sources(w);
	if (err < 0)
		goto fini_idle;
	err = new_engine(w);
	if (err < 0)
		goto free_memory;
	*ret_worker = w;
	return 0;

free_memory:
	free_engine(w);
fini_idle:
	mg_idle_fini(&w->idle);
free_worker:
	free(w);
	return err;
}

void mg_worker_free(struct mg_worker *w)
{
	if (w == NULL)
		return;
	for (uint32_t p = 0; p < w->conf.nr_ports; p++)
		for (uint32_t i = 0; i < w->ports[p].nr_tx; i++)
			rte_pktmbuf_free(w->ports[p].tx[i]);
	free_engine(w);
	mg_idle_fini(&w->idle);
	free(w);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void obey(struct mg_worker *w, const struct mg_msg *cmd, uint64_t now_ns)
{
	const struct mg_msg_packet *pkt = (const struct mg_msg_packet *)cmd;

	if (cmd->type == MG_CMD_TX_PACKET)
		mg_worker_tx_frame(w, cmd->port, pkt->data, pkt->bytes);
	else if (cmd->type == MG_CMD_REINJECT)
		mg_worker_rx_frame(w, cmd->port, pkt->data, pkt->bytes, now_ns);
	else
		mg_fp_command(w->fp, cmd, now_ns);
}

static void take_commands(struct mg_worker *w, uint64_t now_ns)
{
	const struct mg_msg *cmd;
	uint32_t len;

	for (uint32_t i = 0; i < COMMANDS_PER_TURN; i++) {
		cmd = mg_msgring_peek(w->conf.commands, &len);
		if (cmd == NULL)
			return;
		w->worked = true;
		obey(w, cmd, now_ns);
		mg_msgring_release(w->conf.commands);
	}
}

static uint32_t open_contexts(const struct mg_app *app)
{
	return atomic_load_explicit(&app->contexts_open, memory_order_relaxed);
}

static void take_doorbells(struct mg_worker *w, uint64_t now_ns)
{
	uint32_t nr_apps = mg_fp_nr_apps(w->fp);

	for (uint32_t a = 0; a < nr_apps; a++) {
		struct mg_app *app = mg_fp_app(w->fp, a);

		if (app == NULL)
			continue;
		for (uint32_t open = open_contexts(app); open != 0; open &= open - 1) {
			uint32_t c = (uint32_t)__builtin_ctz(open);

			if (!mg_spsc_is_empty(&app->contexts[c].doorbells[w->conf.number]) &&
			    mg_fp_doorbells(w->fp, app, c, DOORBELLS_PER_TURN, now_ns) > 0)
				w->worked = true;
		}
	}
}

/* Inline: the slow path takes what this turn gave it, and its answers are obeyed at once. */
static void slow_turn(struct mg_worker *w, uint64_t now_ns)
{
	if (w->conf.slow.turn == NULL) {
		if (w->wake_slow && mg_sleep_should_wake(w->conf.slow_sleeping))
			(void)!write(w->conf.slow_wake_fd, &(uint64_t){ 1 },
				     sizeof(uint64_t)); /* full: ringing */
		w->wake_slow = false;
		return;
	}
	if (!w->wake_slow && now_ns < w->slow_next_ns && !w->conf.slow.is_pending(w->conf.slow.ctx))
		return;
	w->worked |= w->wake_slow;
	w->wake_slow = false;
	w->slow_next_ns = w->conf.slow.turn(w->conf.slow.ctx, now_ns);
	take_commands(w, now_ns);
}

/* New settings. A change that comes in between is taken with the next turn, which it announces again. */
static void take_live(struct mg_worker *w)
{
	if (!atomic_load_explicit(&w->is_changed, memory_order_relaxed))
		return;
	/* acquire: pairs with the release in mg_worker_set_live() */
	(void)atomic_exchange_explicit(&w->is_changed, false, memory_order_acquire);
	w->idle.spin_ns = atomic_load_explicit(&w->live_spin_ns, memory_order_relaxed);
	mg_fp_set_challenge_limit(w->fp, atomic_load_explicit(&w->live_challenge_ack_per_s,
							      memory_order_relaxed));
}

static void turn(struct mg_worker *w, uint64_t now_ns)
{
	w->worked = false;
	w->io_cycles = 0;
	take_live(w);
	take_commands(w, now_ns);
	mg_worker_rx(w, now_ns);
	take_doorbells(w, now_ns);
	if (mg_fp_next_ns(w->fp) <= now_ns && mg_fp_timers(w->fp, now_ns) > 0)
		w->worked = true;
	mg_fp_flush(w->fp, now_ns);
	slow_turn(w, now_ns);
	if (w->worked)
		mg_fp_flush(w->fp, now_ns);
	mg_worker_tx_flush(w);
	if (w->conf.steer != NULL)
		mg_steer_ring(w->conf.steer, w->conf.number);
	if (w->conf.local != NULL)
		mg_local_ring(w->conf.local, w->conf.number);
	wake_all(w);
}

static bool is_pending(const struct mg_worker *w)
{
	if (!mg_msgring_is_empty(w->conf.commands) || w->wake_slow)
		return true;
	if (w->conf.slow.turn != NULL && w->conf.slow.is_pending(w->conf.slow.ctx))
		return true;
	if (w->conf.local != NULL && mg_local_is_pending(w->conf.local, w->conf.number))
		return true;
	if (w->conf.steer != NULL && mg_steer_is_pending(w->conf.steer, w->conf.number))
		return true;
	for (uint32_t a = 0; a < mg_fp_nr_apps(w->fp); a++) {
		const struct mg_app *app = mg_fp_app(w->fp, a);

		for (uint32_t open = app != NULL ? open_contexts(app) : 0; open != 0;
		     open &= open - 1)
			if (!mg_spsc_is_empty(
				    &app->contexts[__builtin_ctz(open)].doorbells[w->conf.number]))
				return true;
	}
	return false;
}

static void go_to_sleep(struct mg_worker *w, uint64_t now_ns)
{
	uint64_t deadline_ns = mg_min_u64(mg_fp_next_ns(w->fp), now_ns + HOUSEKEEPING_NS);

	if (w->conf.slow.turn != NULL)
		deadline_ns = mg_min_u64(deadline_ns, w->slow_next_ns);
	if (deadline_ns <= now_ns)
		return;
	for (uint32_t i = 0; i < w->nr_queues; i++)
		mg_port_flush(&w->conf.ports[w->queues[i].port], w->queues[i].queue);
	/* Who wakes us remembers out of which sleep: one eventfd write for each, not for each doorbell. */
	mg_worker_bump32(w->conf.sleeps);
	/* Before the flag, whose store is a release: who sees us asleep sees the number. */
	mg_sleep_prepare(w->conf.sleeping);
	if (!is_pending(w) && !atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		mg_worker_count(w, MG_WS_sleeps, 1);
		(void)mg_idle_wait(&w->idle, now_ns,
				   deadline_ns); /* whatever it was, the next turn finds it */
	}
	mg_sleep_cancel(w->conf.sleeping);
}

static void account(struct mg_worker *w, uint64_t start_tsc)
{
	mg_worker_count(w, MG_WS_turns, 1);
	if (!w->worked)
		return;
	mg_worker_count(w, MG_WS_busy_turns, 1);
	mg_worker_count(w, MG_WS_own_cycles, rte_rdtsc() - start_tsc - w->io_cycles);
}

static int enter_thread(const struct mg_worker *w)
{
	cpu_set_t set;

	(void)prctl(PR_SET_TIMERSLACK, 1, 0, 0,
		    0); /* later wake-ups are all that is lost without it */
	if (w->conf.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((uint32_t)w->conf.cpu, &set);
		if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
			return -EINVAL;
	}
	return mg_eal_thread_enter();
}

/* Has it entries that it did not take, or something else to do than to wait for some? Its own word is believed. */
static bool context_wants_core(const struct mg_app_context *c, uint32_t worker)
{
	if (mg_spsc_has_unread(&c->events[1 + worker]))
		return true;
	return (atomic_load_explicit(&c->shm->polling, memory_order_relaxed) |
		atomic_load_explicit(&c->shm->sleeping, memory_order_relaxed)) == 0;
}

static bool apps_want_core(const struct mg_worker *w)
{
	for (uint32_t a = 0; a < mg_fp_nr_apps(w->fp); a++) {
		const struct mg_app *app = mg_fp_app(w->fp, a);

		for (uint32_t open = app != NULL ? open_contexts(app) : 0; open != 0;
		     open &= open - 1)
			if (context_wants_core(&app->contexts[__builtin_ctz(open)], w->conf.number))
				return true;
	}
	return false;
}

static void give_core_away(struct mg_worker *w)
{
	mg_worker_count(w, MG_WS_yields, 1);
	(void)sched_yield(); /* never fails on Linux */
}

int mg_worker_run(struct mg_worker *w)
{
	int err = enter_thread(w);

	if (err < 0)
		return err;
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		uint64_t now_ns = clock_ns(), start_tsc = rte_rdtsc();

		turn(w, now_ns);
		account(w, start_tsc);
		if (w->worked)
			mg_idle_busy(&w->idle, now_ns);
		else if (mg_idle_should_sleep(&w->idle, now_ns))
			go_to_sleep(w, now_ns);
		else if (w->conf.yield && apps_want_core(w))
			give_core_away(w);
	}
	mg_eal_thread_leave();
	return 0;
}

void mg_worker_stop(struct mg_worker *w)
{
	atomic_store_explicit(&w->stop, true, memory_order_relaxed);
	mg_idle_ring(&w->idle);
}

void mg_worker_set_live(struct mg_worker *w, const struct mg_worker_live *live)
{
	atomic_store_explicit(&w->live_spin_ns, live->spin_ns, memory_order_relaxed);
	atomic_store_explicit(&w->live_challenge_ack_per_s, live->challenge_ack_per_s,
			      memory_order_relaxed);
	/* release: pairs with the acquire in take_live(); publishes the values */
	atomic_store_explicit(&w->is_changed, true, memory_order_release);
}

int mg_worker_doorbell_new(const struct mg_worker *w)
{
	return mg_idle_doorbell_new(&w->idle);
}

int mg_worker_bell_fd(const struct mg_worker *w)
{
	return mg_idle_bell_fd(&w->idle);
}

/* ---- counters -------------------------------------------------------------------------------- */

static const struct {
	const char *name, *help;
} stat_texts[] = {
#define MG_WORKER_STAT(name, help) { "worker_" #name, help },
#include "fastpath/io/worker_stats.def"
#undef MG_WORKER_STAT
};
static_assert(MG_ARRAY_SIZE(stat_texts) == MG_WS_NR, "one text per counter");

bool mg_worker_counter(const struct mg_worker *w, uint32_t i, const char **ret_name,
		       const char **ret_help, uint64_t *ret_value)
{
	const struct mg_drop_info *drop;

	if (i < MG_WS_NR) {
		*ret_name = stat_texts[i].name;
		*ret_help = stat_texts[i].help;
		*ret_value = atomic_load_explicit(&w->stats[i], memory_order_relaxed);
		return true;
	}
	i -= MG_WS_NR - 1; /* MG_DROP_NONE counts nothing */
	if (i < MG_DROP_NR) {
		drop = mg_drop_info((enum mg_drop)i);
		*ret_name = drop->name;
		*ret_help = drop->help;
		*ret_value = atomic_load_explicit(&w->drops[i], memory_order_relaxed);
		return true;
	}
	return mg_fp_counter(w->fp, i - MG_DROP_NR, ret_name, ret_help, ret_value);
}

uint64_t mg_worker_turns(const struct mg_worker *w)
{
	return atomic_load_explicit(&w->stats[MG_WS_turns], memory_order_relaxed);
}
