/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_thread.c - see slow_thread.h.
 *
 * Answers are never lost: each request that brings one takes a place when it is accepted and gives it back when
 * its answer is read, and the ring has room for all places and one unasked word about every application.
 */
#include "slowpath/slow_thread.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/assert.h"
#include "proto/base/sleep.h"
#include "proto/base/time.h"

#define COMMAND_BYTES (1u << 20)
#define EVENT_BYTES (4u << 20)
#define REQUEST_BYTES (1u << 18)
#define PLACES_MAX 2048
#define EVENTS_PER_TURN 256
#define REQUESTS_PER_TURN 64

struct worker_end {
	struct mg_msgring commands;
	struct mg_msgring events;
	_Atomic uint32_t *sleeping;
	int wake_fd;
	bool is_touched; /* got commands in this turn */
};

struct mg_slow_loop {
	struct mg_slow *slow;
	struct worker_end workers[MG_SHM_WORKERS_MAX];
	uint32_t nr_workers;
	bool is_inline;
	bool has_answered; /* in this turn */
	struct mg_msgring requests;
	struct mg_msgring answers;
	int wake_fd;
	int answer_fd;
	uint32_t nr_places_used; /* the control thread's */
	alignas(MG_CACHE_LINE) _Atomic uint32_t sleeping;
	_Atomic bool stop;
	_Atomic uint32_t totals[4];
	void *mem;
	size_t mem_bytes;
};

struct request_record {
	struct mg_slow_req req;
	struct mg_slow_conf conf; /* MG_SLOW_REQ_CONF */
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * MG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void ring_fd(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n; /* EAGAIN: it is readable already, which is all we want */
}

static void quiet_fd(int fd)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)n; /* EAGAIN: nobody rang */
}

static bool on_command(void *ctx, uint32_t worker, const struct mg_msg *cmd)
{
	struct mg_slow_loop *loop = ctx;
	struct worker_end *w = &loop->workers[worker];
	void *p;

	if (cmd->len > mg_msgring_max_len(&w->commands))
		return true; /* can never fit: as good as lost on the wire */
	p = mg_msgring_reserve(&w->commands, cmd->len);
	w->is_touched = true; /* also when full: it must be awake to make room */
	if (p == NULL)
		return false;
	memcpy(p, cmd, cmd->len);
	mg_msgring_commit(&w->commands, cmd->len);
	return true;
}

static void push_answer(struct mg_slow_loop *loop, uint32_t kind, const struct mg_slow_req *req)
{
	struct mg_slow_loop_answer *a = mg_msgring_reserve(&loop->answers, sizeof(*a));

	MG_ASSERT(a != NULL); /* places are counted */
	memset(a, 0, sizeof(*a));
	a->kind = kind;
	a->req = *req;
	mg_msgring_commit(&loop->answers, sizeof(*a));
	loop->has_answered = true;
}

static void on_reply(void *ctx, const struct mg_slow_req *req)
{
	push_answer(ctx, MG_SLOW_ANSWER_REPLY, req);
}

static void on_app_gone(void *ctx, struct mg_app *app)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_APP_DEL, .app = app };

	push_answer(ctx, MG_SLOW_ANSWER_APP_GONE, &req);
}

static void on_app_broken(void *ctx, struct mg_app *app)
{
	struct mg_slow_req req = { .app = app };

	push_answer(ctx, MG_SLOW_ANSWER_APP_BROKEN, &req);
}

static void on_drained(void *ctx)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_DRAIN };

	push_answer(ctx, MG_SLOW_ANSWER_DRAINED, &req);
}

static void on_wake(void *ctx, struct mg_app *app, uint32_t context)
{
	(void)ctx;
	if (app->contexts[context].wake_fd >= 0)
		ring_fd(app->contexts[context].wake_fd);
}

static size_t ring_bytes(const struct mg_slow_loop_conf *conf, uint32_t *ret_command,
			 uint32_t *ret_event)
{
	*ret_command = conf->command_bytes != 0 ? conf->command_bytes : COMMAND_BYTES;
	*ret_event = conf->event_bytes != 0 ? conf->event_bytes : EVENT_BYTES;
	return (size_t)conf->limits.nr_workers * (*ret_command + *ret_event);
}

static uint32_t answer_bytes(const struct mg_slow_limits *limits)
{
	uint32_t nr = PLACES_MAX + limits->apps_max + 1;
	uint32_t record = (uint32_t)mg_align_up(sizeof(struct mg_slow_loop_answer),
						MG_MSGRING_ALIGN) +
			  MG_MSGRING_ALIGN;

	return mg_pow2_up_u32(2 * nr * record); /* twice: what is skipped at the end */
}

static void init_rings(struct mg_slow_loop *loop, const struct mg_slow_loop_conf *conf, uint8_t *at)
{
	uint32_t command_bytes, event_bytes;

	(void)ring_bytes(conf, &command_bytes, &event_bytes);
	for (uint32_t w = 0; w < loop->nr_workers; w++) {
		mg_msgring_init(&loop->workers[w].commands, at, command_bytes);
		at += command_bytes;
		mg_msgring_init(&loop->workers[w].events, at, event_bytes);
		at += event_bytes;
		loop->workers[w].wake_fd = -1;
	}
	mg_msgring_init(&loop->requests, at, REQUEST_BYTES);
	at += REQUEST_BYTES;
	mg_msgring_init(&loop->answers, at, answer_bytes(&conf->limits));
}

/* The loop itself, then the rings, then the engine: one mapping, taken lazily page by page. */
static int map_memory(const struct mg_slow_loop_conf *conf, struct mg_slow_loop **ret_loop,
		      uint8_t **ret_rings, uint8_t **ret_engine)
{
	uint32_t command_bytes, event_bytes;
	size_t own = mg_align_up(sizeof(struct mg_slow_loop), 4096);
	size_t rings = ring_bytes(conf, &command_bytes, &event_bytes) + REQUEST_BYTES +
		       answer_bytes(&conf->limits);
	size_t bytes = own + mg_align_up(rings, 4096) + mg_slow_bytes(&conf->limits);
	uint8_t *mem;

	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (mem == MAP_FAILED)
		return -ENOMEM;
	*ret_loop = (struct mg_slow_loop *)(void *)mem;
	(*ret_loop)->mem = mem;
	(*ret_loop)->mem_bytes = bytes;
	*ret_rings = mem + own;
	*ret_engine = mem + own + mg_align_up(rings, 4096);
	return 0;
}

static bool conf_is_valid(const struct mg_slow_loop_conf *conf)
{
	return conf->limits.nr_workers >= 1 && conf->limits.nr_workers <= MG_SHM_WORKERS_MAX &&
	       (conf->command_bytes == 0 || mg_is_pow2(conf->command_bytes)) &&
	       (conf->event_bytes == 0 || mg_is_pow2(conf->event_bytes));
}

int mg_slow_loop_new(const struct mg_slow_loop_conf *conf, struct mg_slow_loop **ret_loop)
{
	struct mg_slow_limits limits = conf->limits;
	struct mg_slow_loop *loop;
	uint8_t *rings, *engine;
	struct mg_slow_env env = {
		.command = on_command,
		.reply = on_reply,
		.app_gone = on_app_gone,
		.drained = on_drained,
		.wake = on_wake,
		.app_broken = on_app_broken,
		/* ring_freed: no. The application may hold the file's lock for ever, and a hole needs it. */
	};
	int err;

	if (!conf_is_valid(conf))
		return -EINVAL;
	err = map_memory(conf, &loop, &rings, &engine);
	if (err < 0)
		return err;
	loop->nr_workers = limits.nr_workers;
	loop->is_inline = conf->is_inline;
	limits.now_ns = clock_ns();
	env.ctx = loop;
	init_rings(loop, conf, rings);
	err = mg_slow_init(engine, &limits, &conf->tcp, &env, &loop->slow);
	if (err < 0)
		goto unmap;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0) {
		err = -errno;
		goto unmap;
	}
	loop->answer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->answer_fd < 0) {
		err = -errno;
		goto close_wake;
	}
	*ret_loop = loop;
	return 0;

close_wake:
	close(loop->wake_fd);
unmap:
	munmap(loop->mem, loop->mem_bytes);
	return err;
}

void mg_slow_loop_free(struct mg_slow_loop *loop)
{
	if (loop == NULL)
		return;
	close(loop->answer_fd);
	close(loop->wake_fd);
	munmap(loop->mem, loop->mem_bytes);
}

struct mg_slow *mg_slow_loop_engine(struct mg_slow_loop *loop)
{
	return loop->slow;
}

struct mg_msgring *mg_slow_loop_commands(struct mg_slow_loop *loop, uint32_t worker)
{
	MG_ASSERT(worker < loop->nr_workers);
	return &loop->workers[worker].commands;
}

struct mg_msgring *mg_slow_loop_events(struct mg_slow_loop *loop, uint32_t worker)
{
	MG_ASSERT(worker < loop->nr_workers);
	return &loop->workers[worker].events;
}

_Atomic uint32_t *mg_slow_loop_sleeping(struct mg_slow_loop *loop)
{
	return &loop->sleeping;
}

int mg_slow_loop_wake_fd(const struct mg_slow_loop *loop)
{
	return loop->wake_fd;
}

void mg_slow_loop_set_worker(struct mg_slow_loop *loop, uint32_t worker, int wake_fd,
			     _Atomic uint32_t *sleeping)
{
	MG_ASSERT(worker < loop->nr_workers);
	loop->workers[worker].wake_fd = wake_fd;
	loop->workers[worker].sleeping = sleeping;
}

static void take_events(struct mg_slow_loop *loop, uint32_t worker, uint64_t now_ns)
{
	struct mg_msgring *ring = &loop->workers[worker].events;
	const struct mg_msg *ev;
	uint32_t len;

	for (uint32_t n = 0; n < EVENTS_PER_TURN && (ev = mg_msgring_peek(ring, &len)) != NULL;
	     n++) {
		mg_slow_event(loop->slow, worker, ev, now_ns);
		mg_msgring_release(ring);
	}
}

static void take_requests(struct mg_slow_loop *loop, uint64_t now_ns)
{
	const struct request_record *r;
	uint32_t len;

	for (uint32_t n = 0; n < REQUESTS_PER_TURN; n++) {
		struct mg_slow_req req;

		r = mg_msgring_peek(&loop->requests, &len);
		if (r == NULL)
			break;
		req = r->req;
		if (req.type == MG_SLOW_REQ_CONF)
			req.conf = &r->conf;
		mg_slow_request(loop->slow, &req, now_ns);
		mg_msgring_release(&loop->requests);
	}
}

static void wake_others(struct mg_slow_loop *loop)
{
	for (uint32_t i = 0; i < loop->nr_workers; i++) {
		struct worker_end *w = &loop->workers[i];

		if (!w->is_touched)
			continue;
		w->is_touched = false;
		if ((loop->is_inline && i == 0) || w->sleeping == NULL)
			continue;
		if (mg_sleep_should_wake(w->sleeping))
			ring_fd(w->wake_fd);
	}
	if (loop->has_answered)
		ring_fd(loop->answer_fd);
	loop->has_answered = false;
}

static void publish_totals(struct mg_slow_loop *loop)
{
	struct mg_slow_totals t;

	mg_slow_totals(loop->slow, &t);
	/* relaxed: for people */
	atomic_store_explicit(&loop->totals[0], t.connections, memory_order_relaxed);
	atomic_store_explicit(&loop->totals[1], t.listeners, memory_order_relaxed);
	atomic_store_explicit(&loop->totals[2], t.embryos, memory_order_relaxed);
	atomic_store_explicit(&loop->totals[3], t.time_waits, memory_order_relaxed);
}

uint64_t mg_slow_loop_turn(struct mg_slow_loop *loop, uint64_t now_ns)
{
	for (uint32_t w = 0; w < loop->nr_workers; w++)
		take_events(loop, w, now_ns);
	take_requests(loop, now_ns);
	if (mg_slow_next_ns(loop->slow) <= now_ns)
		mg_slow_timers(loop->slow, now_ns);
	mg_slow_flush(loop->slow, now_ns);
	publish_totals(loop);
	wake_others(loop);
	return mg_slow_loop_is_pending(loop) ? now_ns : mg_slow_next_ns(loop->slow);
}

bool mg_slow_loop_is_pending(struct mg_slow_loop *loop)
{
	for (uint32_t w = 0; w < loop->nr_workers; w++)
		if (!mg_msgring_is_empty(&loop->workers[w].events))
			return true;
	return !mg_msgring_is_empty(&loop->requests);
}

static void sleep_until(struct mg_slow_loop *loop, uint64_t next_ns)
{
	struct pollfd fd = { .fd = loop->wake_fd, .events = POLLIN };
	uint64_t now_ns = clock_ns();
	uint64_t left_ns = mg_sub_sat_u64(next_ns, now_ns);
	struct timespec ts = {
		.tv_sec = (time_t)(left_ns / MG_NS_PER_S),
		.tv_nsec = (long)(left_ns % MG_NS_PER_S),
	};

	if (left_ns == 0)
		return;
	/* an error or a signal is a wake-up like any other */
	(void)ppoll(&fd, 1, next_ns == MG_TIME_NEVER ? NULL : &ts, NULL);
	if (fd.revents & POLLIN)
		quiet_fd(loop->wake_fd);
}

int mg_slow_loop_run(struct mg_slow_loop *loop)
{
	/* acquire: pairs with the release in mg_slow_loop_stop() */
	while (!atomic_load_explicit(&loop->stop, memory_order_acquire)) {
		uint64_t now_ns = clock_ns();
		uint64_t next_ns = mg_slow_loop_turn(loop, now_ns);

		if (next_ns <= now_ns)
			continue;
		mg_sleep_prepare(&loop->sleeping);
		if (!mg_slow_loop_is_pending(loop) &&
		    !atomic_load_explicit(&loop->stop, memory_order_acquire))
			sleep_until(loop, next_ns);
		mg_sleep_cancel(&loop->sleeping);
	}
	return 0;
}

void mg_slow_loop_stop(struct mg_slow_loop *loop)
{
	/* release: pairs with the acquire in mg_slow_loop_run() */
	atomic_store_explicit(&loop->stop, true, memory_order_release);
	ring_fd(loop->wake_fd);
}

static bool brings_answer(uint32_t type)
{
	return type == MG_SLOW_REQ_CTL || type == MG_SLOW_REQ_APP_DEL || type == MG_SLOW_REQ_DRAIN;
}

static void wake_self(struct mg_slow_loop *loop)
{
	struct worker_end *w = &loop->workers[0];

	if (!loop->is_inline) {
		if (mg_sleep_should_wake(&loop->sleeping))
			ring_fd(loop->wake_fd);
	} else if (w->sleeping != NULL && mg_sleep_should_wake(w->sleeping)) {
		ring_fd(w->wake_fd);
	}
}

bool mg_slow_loop_request(struct mg_slow_loop *loop, const struct mg_slow_req *req)
{
	uint32_t len = req->type == MG_SLOW_REQ_CONF ? sizeof(struct request_record)
						     : sizeof(struct mg_slow_req);
	struct request_record *r;

	if (brings_answer(req->type) && loop->nr_places_used >= PLACES_MAX)
		return false;
	r = mg_msgring_reserve(&loop->requests, len);
	if (r == NULL)
		return false;
	r->req = *req;
	if (req->type == MG_SLOW_REQ_CONF)
		r->conf = *req->conf;
	mg_msgring_commit(&loop->requests, len);
	loop->nr_places_used += brings_answer(req->type);
	wake_self(loop);
	return true;
}

bool mg_slow_loop_answer(struct mg_slow_loop *loop, struct mg_slow_loop_answer *ret_answer)
{
	const struct mg_slow_loop_answer *a;
	uint32_t len;

	a = mg_msgring_peek(&loop->answers, &len);
	if (a == NULL) {
		/* quiet first, look again after: an answer in between rings anew */
		quiet_fd(loop->answer_fd);
		a = mg_msgring_peek(&loop->answers, &len);
	}
	if (a == NULL)
		return false;
	*ret_answer = *a;
	mg_msgring_release(&loop->answers);
	if (ret_answer->kind != MG_SLOW_ANSWER_APP_BROKEN)
		loop->nr_places_used--;
	return true;
}

int mg_slow_loop_answer_fd(const struct mg_slow_loop *loop)
{
	return loop->answer_fd;
}

void mg_slow_loop_totals(const struct mg_slow_loop *loop, struct mg_slow_totals *ret_totals)
{
	/* relaxed: for people */
	ret_totals->connections = atomic_load_explicit(&loop->totals[0], memory_order_relaxed);
	ret_totals->listeners = atomic_load_explicit(&loop->totals[1], memory_order_relaxed);
	ret_totals->embryos = atomic_load_explicit(&loop->totals[2], memory_order_relaxed);
	ret_totals->time_waits = atomic_load_explicit(&loop->totals[3], memory_order_relaxed);
}
