/* SPDX-License-Identifier: Apache-2.0 */
/* stack.c - see stack.h. */
#include "test/lib/stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/base/assert.h"
#include "proto/base/msgring.h"
#include "proto/base/rng.h"
#include "proto/base/time.h"
#include "proto/wire/frame.h"
#include "slowpath/core/engine.h"
#include "test/lib/bigframe.h"
#include "test/lib/slow_conf.h"

#define RING_BYTES (4u << 20)
#define TAKEN_MAX 8
#define TURNS_MAX 10000 /* a turn that never gets quiet is a livelock */

struct mg_stack {
	struct mg_stack_conf conf;
	struct mg_fp *fp;
	struct mg_slow *slow;
	struct mg_taken {
		void *mem;
		size_t bytes;
	} taken[TAKEN_MAX];
	uint32_t nr_taken;
	struct mg_msgring events, commands;
	struct mg_app app;
	bool app_gone;
	bool replied;
	bool moved;
	uint32_t pkts_held;
	uint32_t starve;
	struct mg_rng rng;
	uint64_t now_ns;
	struct mg_bigmerge merge;
	uint8_t big[MG_BIGFRAME_BYTES];
};

static bool env_pkt_alloc(void *ctx, uint16_t port, uint32_t len, struct mg_fp_pkt *ret_pkt)
{
	struct mg_stack *s = ctx;

	MG_ASSERT(port == 0);
	if (s->starve != 0 && mg_rng_below(&s->rng, s->starve) == 0)
		return false;
	memset(ret_pkt, 0, sizeof(*ret_pkt));
	ret_pkt->handle = malloc(len);
	MG_ASSERT(ret_pkt->handle != NULL);
	ret_pkt->data = ret_pkt->handle;
	s->pkts_held++;
	return true;
}

static void send_segment(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct mg_stack *s = ctx;

	MG_ASSERT(len <= (uint32_t)s->conf.mtu + 14);
	s->conf.tx(s->conf.ctx, frame, len);
}

static void env_pkt_send(void *ctx, const struct mg_fp_pkt *pkt)
{
	struct mg_stack *s = ctx;

	uint32_t len = mg_bigframe_flatten(pkt, false, s->big);

	MG_ASSERT(s->conf.gso || len <= (uint32_t)s->conf.mtu + 14);
	mg_bigframe_split(pkt, s->big, len, send_segment, s);
	free(pkt->handle);
	s->pkts_held--;
	s->moved = true;
}

static bool push(struct mg_msgring *ring, const struct mg_msg *msg)
{
	void *room = mg_msgring_reserve(ring, msg->len);

	if (room == NULL)
		return false;
	memcpy(room, msg, msg->len);
	mg_msgring_commit(ring, msg->len);
	return true;
}

static bool env_event(void *ctx, const struct mg_msg *ev)
{
	struct mg_stack *s = ctx;

	return push(&s->events, ev);
}

static bool env_command(void *ctx, uint32_t worker, const struct mg_msg *cmd)
{
	struct mg_stack *s = ctx;

	MG_ASSERT(worker == 0);
	return push(&s->commands, cmd);
}

static void env_fp_wake(void *ctx, struct mg_app *app, uint32_t context)
{
	(void)ctx; /* the simulated application looks at its rings after every turn */
	(void)app;
	(void)context;
}

static void env_reply(void *ctx, const struct mg_slow_req *req)
{
	struct mg_stack *s = ctx;

	(void)req;
	s->replied = true;
}

static void env_app_gone(void *ctx, struct mg_app *app)
{
	struct mg_stack *s = ctx;

	MG_ASSERT(app == &s->app);
	s->app_gone = true;
}

static void env_drained(void *ctx)
{
	(void)ctx;
}

void mg_stack_conf_default(struct mg_stack_conf *conf)
{
	memset(conf, 0, sizeof(*conf));
	conf->prefix = 24;
	conf->mtu = 1500;
	conf->conns_max = 64;
	conf->payload_bytes = 32u << 20;
	conf->tcp = test_slow_conf();
	conf->tcp.idle_restart = true;
	conf->tcp.keepalive_count = 9;
	conf->tcp.orphans_max = 1024;
	conf->tcp.autotune = true;
	conf->tcp.autotune_idle_ms = 5000;
	conf->tcp.rcvbuf_bytes = 65536;
	conf->tcp.rcvbuf_max_bytes = 1u << 20;
	conf->tcp.sndbuf_bytes = 65536;
	conf->tcp.sndbuf_max_bytes = 1u << 20;
	memcpy(conf->tcp.congestion_control, "cubic", sizeof("cubic"));
}

/* Zeroed, page-aligned, and touched only where it is used: a host is large and most worlds are small. */
static void *take(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	MG_ASSERT(mem != MAP_FAILED);
	return mem;
}

/* Remembers what it takes, so that all of it can be given back. */
static void *take_for(struct mg_stack *s, size_t bytes)
{
	struct mg_taken *t = &s->taken[s->nr_taken++];

	MG_ASSERT(s->nr_taken <= TAKEN_MAX);
	*t = (struct mg_taken){ .mem = take(bytes), .bytes = bytes };
	return t->mem;
}

static void new_fp(struct mg_stack *s)
{
	const struct mg_stack_conf *c = &s->conf;
	struct mg_fp_conf conf = {
		.worker = 0,
		.flows_max = c->conns_max,
		.flows_local_max = c->conns_max,
		.txrecs_max = 4096,
		.ooo_max = 1024,
		.apps_max = 4,
		.nr_ports = 1,
		.challenge_ack_per_s = c->tcp.challenge_ack_per_s,
		.hash_seed = c->seed ^ 0x5eed,
		.now_ns = c->now_ns,
	};
	struct mg_fp_env env = { .ctx = s,
				 .pkt_alloc = env_pkt_alloc,
				 .pkt_send = env_pkt_send,
				 .event = env_event,
				 .wake = env_fp_wake };

	conf.ports[0].has_l2 = true;
	conf.ports[0].gso_bytes = c->gso ? 65536 : 0;
	conf.ports[0].lends = c->gso;
	MG_ASSERT(mg_fp_init(take_for(s, mg_fp_bytes(&conf)), &conf, &env, &s->fp) == 0);
}

static void new_slow(struct mg_stack *s)
{
	const struct mg_stack_conf *c = &s->conf;
	struct mg_slow_limits lim = {
		.nr_workers = 1,
		.conns_max = c->conns_max,
		.listeners_max = 16,
		.embryos_max = 64,
		.time_waits_max = 256,
		.frags_max = 8,
		.neighbours_max = 16,
		.arp_queue_max = 16,
		.arp_queue_each_max = 8,
		.apps_max = 4,
		.app_windows_max = c->conns_max,
		.app_payload_bytes_max = c->payload_bytes,
		.hash_seed = c->seed ^ 0x5eed,
		.now_ns = c->now_ns,
	};
	struct mg_slow_env env = { .ctx = s,
				   .command = env_command,
				   .reply = env_reply,
				   .app_gone = env_app_gone,
				   .drained = env_drained,
				   .wake = env_fp_wake };
	struct mg_slow_port port = { .mac = c->mac, .mtu = c->mtu, .has_l2 = true };
	struct mg_slow_addr addr = { .addr = c->addr, .prefix = c->prefix };
	uint16_t idx;

	for (unsigned i = 0; i < sizeof(lim.secret); i++)
		lim.secret[i] = (uint8_t)mg_rng_u32(&s->rng);
	MG_ASSERT(mg_slow_init(take_for(s, mg_slow_bytes(&lim)), &lim, &c->tcp, &env, &s->slow) ==
		  0);
	MG_ASSERT(mg_slow_add_port(s->slow, &port, &idx) == 0 && idx == 0);
	MG_ASSERT(mg_slow_add_addr(s->slow, &addr) == 0);
	if (mg_addr_is_any(&c->addr6))
		return;
	addr = (struct mg_slow_addr){ .addr = c->addr6, .prefix = 64 };
	MG_ASSERT(mg_slow_add_addr(s->slow, &addr) == 0);
	addr.addr = mg_addr_link_local(&c->mac);
	MG_ASSERT(mg_slow_add_addr(s->slow, &addr) == 0);
}

static void new_app(struct mg_stack *s)
{
	struct mg_app_layout layout = { .nr_windows = s->conf.conns_max,
					.nr_contexts = 1,
					.nr_workers = 1,
					.payload_bytes = s->conf.payload_bytes };
	struct mg_slow_req req = { .type = MG_SLOW_REQ_APP_ADD, .app = &s->app };
	uint8_t *region;

	region = take_for(s, mg_app_region_bytes(&layout));
	mg_app_region_format(region, &layout, s->conf.seed);
	mg_app_bind(&s->app, region, &layout);
	mg_slow_request(s->slow, &req, s->conf.now_ns);
}

struct mg_stack *mg_stack_new(const struct mg_stack_conf *conf)
{
	struct mg_stack *s = take(sizeof(*s));

	s->conf = *conf;
	s->now_ns = conf->now_ns;
	mg_rng_init(&s->rng, conf->seed);
	mg_msgring_init(&s->events, take_for(s, RING_BYTES), RING_BYTES);
	mg_msgring_init(&s->commands, take_for(s, RING_BYTES), RING_BYTES);
	new_fp(s);
	new_slow(s);
	new_app(s);
	mg_slow_start(s->slow, conf->now_ns);
	mg_stack_turn(s, conf->now_ns);
	return s;
}

void mg_stack_free(struct mg_stack *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->nr_taken; i++)
		(void)munmap(s->taken[i].mem, s->taken[i].bytes);
	(void)munmap(s, sizeof(*s));
}

static void to_slow(struct mg_stack *s, const uint8_t *frame, uint32_t len, uint16_t reason)
{
	uint32_t bytes = (uint32_t)sizeof(struct mg_msg_packet) + len;
	struct mg_msg_packet *msg = mg_msgring_reserve(&s->events, bytes);

	if (msg == NULL)
		return; /* as in the daemon: a full ring drops packets */
	memset(msg, 0, sizeof(*msg));
	msg->msg = (struct mg_msg){ .type = MG_EV_PACKET, .len = bytes };
	msg->bytes = len;
	msg->reason = reason;
	msg->flags = MG_PKT_CSUM_OK;
	memcpy(msg->data, frame, len);
	mg_msgring_commit(&s->events, bytes);
}

static void rx(struct mg_stack *s, const uint8_t *frame, uint32_t len, uint16_t gso_size,
	       uint64_t now_ns)
{
	const struct mg_frame_bytes in = { .data = frame, .len = len, .gso_size = gso_size };
	struct mg_frame_view view;
	struct mg_flow *flow;

	if (mg_wire_parse_packet(&in, &view) < 0)
		return;
	if (view.kind != MG_FRAME_TCP) {
		to_slow(s, frame, len, MG_PKT_NOT_TCP);
		return;
	}
	flow = mg_fp_lookup(s->fp, &view.seg);
	if (flow == NULL)
		to_slow(s, frame, len, MG_PKT_NO_FLOW);
	else if (mg_fp_rx(s->fp, flow, &view.seg, now_ns) == MG_FP_TO_SLOW)
		to_slow(s, frame, len, MG_PKT_EXCEPTION);
}

/* What was merged is received before anything else happens. */
static void take_merged(struct mg_stack *s, uint64_t now_ns)
{
	struct mg_bigmerge *m = &s->merge;
	uint32_t len = m->len;

	m->len = 0;
	if (len != 0)
		rx(s, m->frame, len, m->payload > m->gso_size ? m->gso_size : 0, now_ns);
}

void mg_stack_rx(struct mg_stack *s, const uint8_t *frame, uint32_t len, uint64_t now_ns)
{
	s->now_ns = now_ns;
	if (!s->conf.gro) {
		rx(s, frame, len, 0, now_ns);
		return;
	}
	if (mg_bigmerge_add(&s->merge, frame, len))
		return;
	take_merged(s, now_ns);
	if (!mg_bigmerge_add(&s->merge, frame, len))
		rx(s, frame, len, 0, now_ns);
}

static void obey(struct mg_stack *s, const struct mg_msg *cmd, uint64_t now_ns)
{
	const struct mg_msg_packet *pkt = (const struct mg_msg_packet *)cmd;

	if (cmd->type == MG_CMD_TX_PACKET)
		s->conf.tx(s->conf.ctx, pkt->data, pkt->bytes);
	else if (cmd->type == MG_CMD_REINJECT)
		mg_stack_rx(s, pkt->data, pkt->bytes, now_ns);
	else
		mg_fp_command(s->fp, cmd, now_ns);
}

static void one_round(struct mg_stack *s, uint64_t now_ns)
{
	const struct mg_msg *msg;

	while ((msg = mg_msgring_peek(&s->events, &(uint32_t){ 0 })) != NULL) {
		s->moved = true;
		mg_slow_event(s->slow, 0, msg, now_ns);
		mg_msgring_release(&s->events);
	}
	mg_slow_timers(s->slow, now_ns);
	mg_slow_flush(s->slow, now_ns);
	while ((msg = mg_msgring_peek(&s->commands, &(uint32_t){ 0 })) != NULL) {
		s->moved = true;
		obey(s, msg, now_ns);
		mg_msgring_release(&s->commands);
	}
	for (uint32_t i = 0; i < mg_fp_nr_apps(s->fp); i++)
		if (mg_fp_app(s->fp, i) != NULL &&
		    mg_fp_doorbells(s->fp, mg_fp_app(s->fp, i), 0, 64, now_ns) > 0)
			s->moved = true;
	mg_fp_timers(s->fp, now_ns);
	mg_fp_flush(s->fp, now_ns);
}

void mg_stack_turn(struct mg_stack *s, uint64_t now_ns)
{
	uint32_t turns = 0;

	s->now_ns = now_ns;
	take_merged(s, now_ns);
	do {
		MG_ASSERT(turns++ < TURNS_MAX);
		s->moved = false;
		one_round(s, now_ns);
	} while (s->moved);
	MG_ASSERT(s->pkts_held == 0);
}

uint64_t mg_stack_next_ns(const struct mg_stack *s)
{
	return mg_min_u64(mg_fp_next_ns(s->fp), mg_slow_next_ns(s->slow));
}

bool mg_stack_request(struct mg_stack *s, struct mg_ctl_msg *msg, uint64_t now_ns)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_CTL, .app = &s->app, .msg = msg };

	s->replied = false;
	mg_slow_request(s->slow, &req, now_ns);
	mg_stack_turn(s, now_ns);
	return s->replied;
}

void mg_stack_kill_app(struct mg_stack *s, uint64_t now_ns)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_APP_DEL, .app = &s->app };

	mg_slow_request(s->slow, &req, now_ns);
	mg_stack_turn(s, now_ns);
}

struct mg_app *mg_stack_app(struct mg_stack *s)
{
	return &s->app;
}

struct mg_slow *mg_stack_slow(struct mg_stack *s)
{
	return s->slow;
}

struct mg_fp *mg_stack_fp(struct mg_stack *s)
{
	return s->fp;
}

bool mg_stack_app_is_gone(const struct mg_stack *s)
{
	return s->app_gone;
}

uint32_t mg_stack_pkts_held(const struct mg_stack *s)
{
	return s->pkts_held;
}

void mg_stack_starve(struct mg_stack *s, uint32_t one_in_n)
{
	s->starve = one_in_n;
}

uint64_t mg_stack_held_bytes(const struct mg_stack *s)
{
	const struct mg_payload *p = &s->slow->apps[0].payload;

	return (uint64_t)(p->nr_units - p->nr_free_units) * MG_PAYLOAD_UNIT_BYTES;
}

void mg_stack_check(const struct mg_stack *s)
{
	mg_fp_check(s->fp);
	mg_slow_check(s->slow);
}

uint64_t mg_stack_counter(const struct mg_stack *s, const char *name)
{
	const char *n, *help;
	uint64_t value;

	for (uint32_t i = 0; mg_fp_counter(s->fp, i, &n, &help, &value); i++)
		if (strcmp(n, name) == 0)
			return value;
	for (uint32_t i = 0; mg_slow_counter(s->slow, i, &n, &help, &value); i++)
		if (strcmp(n, name) == 0)
			return value;
	return 0;
}
