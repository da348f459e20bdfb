/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mangod.c - see mangod.h.
 */
#include "daemon/mangod.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/control.h"
#include "daemon/info.h"
#include "daemon/net.h"
#include "daemon/notify.h"
#include "daemon/params.h"
#include "daemon/reload.h"
#include "fastpath/io/local.h"
#include "fastpath/io/steer.h"
#include "fastpath/io/worker.h"
#include "proto/base/time.h"
#include "slowpath/slow_thread.h"

#define ERR_BYTES 512

struct worker_thread {
	struct mg_daemon *daemon;
	struct mg_worker *worker;
	pthread_t thread;
	bool is_running;
};

struct mg_daemon {
	struct mg_daemon_args args;
	struct mg_conf *conf;
	const struct mg_log *log;
	struct mg_secrets secrets;
	struct mg_slow_limits limits;
	struct mg_control control;
	struct mg_net net;
	struct mg_info info;
	struct mg_slow_loop *slow;
	struct mg_slow_link link;
	pthread_t slow_thread;
	bool has_slow_thread;
	struct mg_steer *steer;
	struct mg_local *local;
	struct worker_thread workers[MG_SHM_WORKERS_MAX];
	_Atomic int thread_err; /* first error of a thread that ended by itself */
};

/* ---- the line between the control thread and the slow path ---- */

static_assert((int)MG_ANSWER_REPLY == (int)MG_SLOW_ANSWER_REPLY &&
		      (int)MG_ANSWER_APP_GONE == (int)MG_SLOW_ANSWER_APP_GONE &&
		      (int)MG_ANSWER_APP_BROKEN == (int)MG_SLOW_ANSWER_APP_BROKEN &&
		      (int)MG_ANSWER_DRAINED == (int)MG_SLOW_ANSWER_DRAINED,
	      "the same answers");

static_assert(MG_CONF_WORKERS_MAX == MG_SHM_WORKERS_MAX &&
		      MG_CONF_WORKERS_MAX == MG_PORT_QUEUES_MAX &&
		      MG_CONF_BURST_MAX == MG_PORT_BURST,
	      "the schema promises what the parts can do");

static bool link_request(void *ctx, const struct mg_slow_req *req)
{
	return mg_slow_loop_request(ctx, req);
}

static bool link_answer(void *ctx, struct mg_slow_answer *ret_answer)
{
	struct mg_slow_loop_answer answer;

	if (!mg_slow_loop_answer(ctx, &answer))
		return false;
	ret_answer->kind = (enum mg_slow_answer_kind)answer.kind;
	ret_answer->req = answer.req;
	return true;
}

static void link_totals(void *ctx, struct mg_slow_totals *ret_totals)
{
	mg_slow_loop_totals(ctx, ret_totals);
}

/* ---- what the control thread asks for ---- */

static void conf_changed(void *ctx)
{
	struct mg_daemon *d = ctx;
	struct mg_slow_conf tcp;
	struct mg_slow_req req = { .type = MG_SLOW_REQ_CONF, .conf = &tcp };
	const struct mg_worker_live live = {
		.spin_ns = mg_us_to_ns(d->conf->fastpath.spin_us),
		.challenge_ack_per_s = d->conf->tcp.challenge_ack_limit,
	};

	d->args.log->level = mg_params_log_level(d->conf);
	mg_params_tcp(d->conf, &tcp);
	mg_control_slow(&d->control, &req);
	for (uint32_t w = 0; w < d->limits.nr_workers; w++)
		mg_worker_set_live(d->workers[w].worker, &live);
	mg_log(d->log, MG_LOG_INFO, "config", "event=changed");
}

static void reload(void *ctx)
{
	struct mg_daemon *d = ctx;
	uint32_t nr = 0;

	if (d->args.conf_path == NULL)
		return;
	(void)mg_notify(
		"RELOADING=1"); /* a service manager that does not listen is its own affair */
	if (mg_reload(d->args.conf_path, d->conf, d->log, &nr) == 0) {
		mg_log(d->log, MG_LOG_INFO, "config", "event=reloaded changes=%u", nr);
		if (nr > 0)
			conf_changed(d);
	}
	(void)mg_notify("READY=1");
}

static void notify(void *ctx, const char *state)
{
	int err = mg_notify(state);

	if (err < 0)
		mg_log(((struct mg_daemon *)ctx)->log, MG_LOG_WARN, "mangod",
		       "event=notify error=\"%s\"", strerror(-err));
}

static void set_counter(struct mg_ctl_counter *c, const char *who, uint32_t i, const char *name,
			const char *help, uint64_t value)
{
	(void)snprintf(c->name, sizeof(c->name), "%s%u.%s", who, i, name); /* cut is fine */
	(void)snprintf(c->help, sizeof(c->help), "%s", help);              /* likewise */
	c->value = value;
}

/* The i-th of what a port counts. */
static bool port_counter(const struct mg_port *port, uint32_t i, struct mg_ctl_counter *c)
{
	struct mg_port_stats s;
	const struct {
		const char *name;
		const char *help;
		const uint64_t *value;
	} rows[] = {
		{ "rx_packets", "packets received", &s.rx_packets },
		{ "rx_bytes", "bytes received", &s.rx_bytes },
		{ "rx_missed", "packets that the queues had no room for", &s.rx_missed },
		{ "rx_no_buffer", "packets lost for want of a buffer", &s.rx_no_buffer },
		{ "tx_packets", "packets sent", &s.tx_packets },
		{ "tx_bytes", "bytes sent", &s.tx_bytes },
		{ "tx_errors", "packets that could not be sent", &s.tx_errors },
	};

	if (i >= sizeof(rows) / sizeof(rows[0]))
		return false;
	mg_port_stats(port, &s);
	(void)snprintf(c->name, sizeof(c->name), "port.%s.%s", port->name,
		       rows[i].name); /* cut is fine */
	(void)snprintf(c->help, sizeof(c->help), "%s", rows[i].help);
	c->value = *rows[i].value;
	return true;
}

/* Workers one after the other, then ports. */
static bool counter(void *ctx, uint32_t i, struct mg_ctl_counter *ret_counter)
{
	struct mg_daemon *d = ctx;
	const char *name;
	const char *help;
	uint64_t value;

	for (uint32_t w = 0; w < d->limits.nr_workers; w++) {
		uint32_t n = 0;

		if (mg_worker_counter(d->workers[w].worker, i, &name, &help, &value)) {
			set_counter(ret_counter, "worker", w, name, help, value);
			return true;
		}
		while (mg_worker_counter(d->workers[w].worker, n, &name, &help, &value))
			n++;
		i -= n;
	}
	for (uint32_t p = 0; p < d->net.nr_ports; p++) {
		uint32_t n = 0;

		if (port_counter(&d->net.ports[p], i, ret_counter))
			return true;
		while (port_counter(&d->net.ports[p], n, ret_counter))
			n++;
		i -= n;
	}
	return false;
}

/* ---- boot, part by part ---- */

static int open_control(struct mg_daemon *d, char *err)
{
	const struct mg_control_conf conf = {
		.log = d->log,
		.conf = d->conf,
		.ctx = d,
		.conf_changed = conf_changed,
		.reload = reload,
		.counter = counter,
		.notify = notify,
	};

	return mg_control_open(&d->control, &conf, err, ERR_BYTES);
}

/* As many descriptors as we may have: each session takes about forty. */
static void raise_limits(const struct mg_daemon *d)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			mg_log(d->log, MG_LOG_WARN, "mangod", "event=rlimit error=\"%s\"",
			       strerror(errno));
	}
}

static int say(char *err, const char *what, int res, const char *cure)
{
	(void)snprintf(err, ERR_BYTES, "%s: %s%s", what, strerror(-res), cure); /* cut is fine */
	return res;
}

static int open_slow(struct mg_daemon *d, char *err)
{
	struct mg_slow_loop_conf conf = {
		.limits = d->limits,
		.is_inline = d->conf->slowpath.thread == MG_CONF_SLOW_INLINE,
	};
	int res;

	mg_params_tcp(d->conf, &conf.tcp);
	res = mg_slow_loop_new(&conf, &d->slow);
	if (res < 0)
		return say(err, "the slow path", res,
			   "; lower tcp.connections_max, app.connections_max or app.sessions_max");
	d->link = (struct mg_slow_link){ d->slow, link_request, link_answer,
					 mg_slow_loop_answer_fd(d->slow), link_totals };
	return mg_net_tell_slow(&d->net, d->conf, mg_slow_loop_engine(d->slow), err, ERR_BYTES);
}

static uint64_t inline_turn(void *ctx, uint64_t now_ns)
{
	return mg_slow_loop_turn(ctx, now_ns);
}

static bool inline_is_pending(void *ctx)
{
	return mg_slow_loop_is_pending(ctx);
}

static int open_worker(struct mg_daemon *d, uint32_t w)
{
	bool is_inline = d->conf->slowpath.thread == MG_CONF_SLOW_INLINE;
	struct mg_worker_conf conf = {
		.number = w,
		.nr_workers = d->limits.nr_workers,
		.ports = d->net.ports,
		.nr_ports = d->net.nr_ports,
		.commands = mg_slow_loop_commands(d->slow, w),
		.events = mg_slow_loop_events(d->slow, w),
		.slow_sleeping = mg_slow_loop_sleeping(d->slow),
		.slow_wake_fd = mg_slow_loop_wake_fd(d->slow),
		.sleeping = &d->info.shm->worker[w].sleeping,
		.sleeps = &d->info.shm->worker[w].sleeps,
		.spin_ns = mg_us_to_ns(d->conf->fastpath.spin_us),
		.yield = true,
		.burst = d->conf->fastpath.burst,
		.cpu = w < d->conf->fastpath.cores_count ? (int)d->conf->fastpath.cores[w] : -1,
		.steer = d->steer,
		.local = d->local,
	};
	int res;

	mg_params_fp(d->conf, &d->limits, &conf.fp);
	if (is_inline && w == 0) {
		conf.slow_sleeping = NULL;
		conf.slow_wake_fd = -1;
		conf.slow = (struct mg_worker_inline){ inline_turn, inline_is_pending, d->slow };
	} else if (is_inline) { /* who wakes the slow path wakes worker 0 */
		conf.slow_sleeping = &d->info.shm->worker[0].sleeping;
		conf.slow_wake_fd = mg_worker_bell_fd(d->workers[0].worker);
	}
	res = mg_worker_new(&conf, &d->workers[w].worker);
	if (res < 0)
		return res;
	d->workers[w].daemon = d;
	mg_slow_loop_set_worker(d->slow, w, mg_worker_bell_fd(d->workers[w].worker), conf.sleeping);
	mg_local_set_bell(d->local, w, conf.sleeping, mg_worker_bell_fd(d->workers[w].worker));
	if (d->steer != NULL)
		mg_steer_set_bell(d->steer, w,
				  (struct mg_steer_bell){
					  conf.sleeping, mg_worker_bell_fd(d->workers[w].worker) });
	return 0;
}

static int open_workers(struct mg_daemon *d, char *err)
{
	int res = mg_info_open(&d->info, d->limits.nr_workers, d->secrets.daemon_epoch);

	if (res < 0)
		return say(err, "the page of the workers", res, "");
	if (d->limits.nr_workers > 1)
		res = mg_steer_new(d->conf->instance, d->limits.nr_workers, &d->steer);
	if (res == 0)
		res = mg_local_new(d->limits.nr_workers, &d->local);
	for (uint32_t w = 0; res == 0 && w < d->limits.nr_workers; w++)
		res = open_worker(d, w);
	return res < 0 ? say(err, "the workers", res,
			     "; lower tcp.connections_max or fastpath.workers")
		       : 0;
}

/* A thread that ends with an error takes the daemon with it, in an orderly way. */
static void thread_ended(struct mg_daemon *d, const char *what, int res)
{
	int none = 0;

	if (res == 0)
		return;
	mg_log(d->log, MG_LOG_ERROR, "mangod", "thread=%s error=\"%s\"", what, strerror(-res));
	(void)atomic_compare_exchange_strong(&d->thread_err, &none, res);
	(void)kill(getpid(), SIGTERM); /* the control thread reads it */
}

static void *run_worker(void *arg)
{
	struct worker_thread *t = arg;

	thread_ended(t->daemon, "worker", mg_worker_run(t->worker));
	return NULL;
}

static void *run_slow(void *arg)
{
	struct mg_daemon *d = arg;

	thread_ended(d, "slowpath", mg_slow_loop_run(d->slow));
	return NULL;
}

static int start_slow(struct mg_daemon *d)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	int res;

	if (d->conf->slowpath.thread == MG_CONF_SLOW_INLINE)
		return 0;
	(void)pthread_attr_init(&attr); /* cannot fail on Linux */
	if (d->conf->slowpath.core != MG_CONF_ANY_CORE) {
		CPU_ZERO(&cpus);
		CPU_SET(d->conf->slowpath.core, &cpus);
		(void)pthread_attr_setaffinity_np(&attr, sizeof(cpus),
						  &cpus); /* pthread_create() tells */
	}
	res = -pthread_create(&d->slow_thread, &attr, run_slow, d);
	(void)pthread_attr_destroy(&attr); /* cannot fail */
	d->has_slow_thread = res == 0;
	if (res == 0)
		(void)pthread_setname_np(d->slow_thread, "mango-slow"); /* only a name */
	return res;
}

static int start_workers(struct mg_daemon *d)
{
	char name[16];

	for (uint32_t w = 0; w < d->limits.nr_workers; w++) {
		int res = -pthread_create(&d->workers[w].thread, NULL, run_worker, &d->workers[w]);

		if (res < 0)
			return res;
		d->workers[w].is_running = true;
		(void)snprintf(name, sizeof(name), "mango-w%u", w % MG_SHM_WORKERS_MAX); /* fits */
		(void)pthread_setname_np(d->workers[w].thread, name); /* only a name */
	}
	return 0;
}

static int start_threads(struct mg_daemon *d, char *err)
{
	int res;

	mg_slow_start(mg_slow_loop_engine(d->slow), mg_loop_now_ns());
	res = start_slow(d);
	if (res == 0)
		res = start_workers(d);
	return res < 0 ? say(err, "cannot start a thread", res,
			     "; are fastpath.cores and slowpath.core cores of "
			     "this machine, and is ulimit -u large enough?")
		       : 0;
}

static int open_doorbell(void *ctx, uint32_t worker)
{
	return mg_worker_doorbell_new(((struct mg_daemon *)ctx)->workers[worker].worker);
}

static int start_control(struct mg_daemon *d, char *err)
{
	const struct mg_control_parts parts = {
		.limits = &d->limits,
		.link = &d->link,
		.daemon_epoch = d->secrets.daemon_epoch,
		.info = &d->info,
		.doorbells = { open_doorbell, d },
		.nr_workers = d->limits.nr_workers,
	};

	return mg_control_start(&d->control, &parts, err, ERR_BYTES);
}

static int boot(struct mg_daemon *d, char *err)
{
	int res = mg_params_secrets(&d->secrets);

	if (res < 0)
		return say(err, "random numbers", res, "");
	mg_params_limits(d->conf, &d->secrets, &d->limits);
	raise_limits(d);
	res = mg_net_open(&d->net, d->conf, d->log, err, ERR_BYTES);
	if (res == 0)
		res = open_slow(d, err);
	if (res == 0)
		res = open_workers(d, err);
	if (res == 0)
		res = start_threads(d, err);
	if (res == 0)
		res = start_control(d, err);
	return res;
}

/* ---- and back ---- */

static void stop_threads(struct mg_daemon *d)
{
	if (d->has_slow_thread) {
		mg_slow_loop_stop(d->slow);
		(void)pthread_join(d->slow_thread, NULL); /* it is ours and was not joined */
	}
	for (uint32_t w = 0; w < d->limits.nr_workers; w++) {
		if (!d->workers[w].is_running)
			continue;
		mg_worker_stop(d->workers[w].worker);
		(void)pthread_join(d->workers[w].thread, NULL); /* likewise */
	}
}

static void close_parts(struct mg_daemon *d)
{
	for (uint32_t w = 0; w < d->limits.nr_workers; w++)
		mg_worker_free(d->workers[w].worker);
	mg_steer_free(d->steer);
	mg_local_free(d->local);
	mg_slow_loop_free(d->slow);
	mg_info_close(&d->info);
	mg_net_close(&d->net);
}

static int serve(struct mg_daemon *d)
{
	char path[MG_CONF_PATH_MAX + MG_CONF_NAME_MAX + 16] = "";

	(void)mg_conf_attach_path(d->conf, path, sizeof(path)); /* it was opened: it fits */
	mg_log(d->log, MG_LOG_INFO, "mangod",
	       "event=ready version=%s instance=%s pid=%ld workers=%u slowpath=%s ports=%u attach=%s grpc=%s",
	       MG_VERSION, d->conf->instance, (long)getpid(), d->limits.nr_workers,
	       d->has_slow_thread ? "thread" : "inline", d->net.nr_ports, path,
	       d->conf->ipc.grpc.enabled ? d->conf->ipc.grpc.listen[0] : "off");
	notify(d, "READY=1");
	return mg_control_run(&d->control);
}

int mg_daemon_run(const struct mg_daemon_args *args)
{
	struct mg_daemon *d = calloc(1, sizeof(*d));
	char err[ERR_BYTES] = "";
	int res;

	if (d == NULL)
		return -ENOMEM;
	d->args = *args;
	d->conf = args->conf;
	d->log = args->log;
	d->info.fd = -1;
	res = open_control(d, err);
	if (res < 0)
		goto free_daemon;
	res = boot(d, err);
	if (res == 0)
		res = serve(d);
	stop_threads(d);
	mg_control_close(&d->control);
	close_parts(d);
	if (res == 0)
		res = d->thread_err;
	if (res == 0)
		mg_log(d->log, MG_LOG_INFO, "mangod", "event=ended");
free_daemon:
	if (res < 0 && err[0] != '\0')
		mg_log(d->log, MG_LOG_ERROR, "mangod", "%s", err);
	free(d);
	return res;
}
