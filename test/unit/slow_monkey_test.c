/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_monkey_test.c - the slow path under a random mix of everything: segments that nearly fit, worker events in
 *          any order, full rings, hostile applications, time. After every step all invariants are
 *          checked; at the end of each seed everything must have come back.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/base/rng.h"
#include "test/lib/slow_builder.h"

#define SEEDS 60
#define STEPS 3000
#define PEERS 6

struct flow {
	uint32_t id, gen;
	bool is_live;
	bool removing;
};

struct monkey {
	struct sb b;
	struct mg_rng rng;
	struct flow flows[64];
	uint32_t last_seq[PEERS]; /* of what we sent to this peer port */
	uint32_t last_ack[PEERS];
	uint16_t last_lport[PEERS];
	uint32_t seen;
};

static uint32_t pick(struct monkey *m, uint32_t n)
{
	return mg_rng_below(&m->rng, n);
}

/* The worker's side of the commands since the last call. */
static void obey(struct monkey *m)
{
	struct sb *b = &m->b;

	for (; m->seen < b->nr_cmds; m->seen++) {
		const struct sb_cmd *c = &b->cmds[m->seen];
		struct flow *f = &m->flows[c->msg.flow % MG_ARRAY_SIZE(m->flows)];
		struct mg_frame_view v;

		if (c->msg.type == MG_CMD_INSTALL) {
			assert_false(f->is_live);
			*f = (struct flow){ .id = c->msg.flow, .gen = c->msg.gen, .is_live = true };
		} else if (c->msg.type == MG_CMD_REMOVE) {
			assert_true(f->is_live && f->gen == c->msg.gen && !f->removing);
			f->removing = true;
		} else if (c->msg.type == MG_CMD_TX_PACKET &&
			   mg_wire_parse_frame(sb_pkt(c)->data, sb_pkt(c)->bytes, 0, &v) == 0 &&
			   v.kind == MG_FRAME_TCP) {
			uint32_t peer = v.seg.tuple.lport % PEERS;

			m->last_seq[peer] = v.seg.seq;
			m->last_ack[peer] = v.seg.ack;
			m->last_lport[peer] = v.seg.tuple.rport;
		}
	}
	if (b->nr_cmds > SB_CMDS_MAX / 2) {
		sb_clear(b);
		m->seen = 0;
	}
}

static void send_removed(struct monkey *m, struct flow *f)
{
	struct mg_ev_removed ev = { .snd_nxt = mg_rng_u32(&m->rng),
				    .rcv_nxt = mg_rng_u32(&m->rng) };

	ev.msg = (struct mg_msg){
		.type = MG_EV_REMOVED, .len = sizeof(ev), .flow = f->id, .gen = f->gen
	};
	f->is_live = false;
	f->removing = false;
	mg_slow_event(m->b.s, 0, &ev.msg, m->b.now_ns);
}

static void worker_event(struct monkey *m)
{
	static const uint16_t types[] = {
		MG_EV_FIN_RCVD,         MG_EV_FIN_SENT,  MG_EV_FIN_ACKED, MG_EV_FIN_RCVD,
		MG_EV_FIN_SENT,         MG_EV_FIN_ACKED, MG_EV_TIMEOUT,   MG_EV_APP_CLOSE,
		MG_EV_NEIGH_CONFIRM,    MG_EV_REPORT,    MG_EV_SAMPLE,    MG_EV_FIN_ACKED,
		MG_EV_DATA_AFTER_CLOSE, MG_EV_RST_RCVD,  MG_EV_APP_ABORT,
	};
	struct flow *f = NULL;
	uint32_t first = pick(m, 32);
	union {
		struct mg_msg msg;
		struct mg_ev_flow flow;
		struct mg_ev_sample sample;
		struct mg_ev_removed books;
	} ev;

	for (uint32_t i = 0; i < 32 && f == NULL; i++)
		if (m->flows[(first + i) % 32].is_live)
			f = &m->flows[(first + i) % 32];
	if (f == NULL)
		return;
	if (f->removing && pick(m, 2)) {
		send_removed(m, f);
		return;
	}
	memset(&ev, 0, sizeof(ev));
	ev.msg = (struct mg_msg){ .type = types[pick(m, MG_ARRAY_SIZE(types))],
				  .len = sizeof(ev),
				  .flow = f->id,
				  .gen = f->gen - (pick(m, 20) == 0 ? 2u : 0u) };
	if (ev.msg.type == MG_EV_SAMPLE) {
		ev.sample.flags = mg_rng_u32(&m->rng) & 0xff;
		ev.sample.acked_bytes = pick(m, 100000);
		ev.sample.srtt_us = pick(m, 100000);
		ev.sample.rtt_us = pick(m, 100000);
		ev.sample.inflight_bytes = pick(m, 1000000);
		ev.sample.now_ns = m->b.now_ns;
	} else {
		ev.flow.count = pick(m, 18);
		ev.flow.value = pick(m, 4) ? 0 : pick(m, 100);
	}
	mg_slow_event(m->b.s, 0, &ev.msg, m->b.now_ns);
}

static void segment(struct monkey *m)
{
	uint32_t peer = pick(m, PEERS);
	struct sb_seg seg = {
		.sport = (uint16_t)(SB_PPORT - SB_PPORT % PEERS + peer),
		.dport = pick(m, 3) ? SB_PORT : m->last_lport[peer],
		.seq = m->last_ack[peer] + pick(m, 4) - 1,
		.ack = m->last_seq[peer] + pick(m, 3),
		.flags = (uint16_t)pick(m, 32),
		.wnd = (uint16_t)mg_rng_u32(&m->rng),
		.len = pick(m, 3) ? 0 : pick(m, 100),
		.opts = (uint8_t)(pick(m, 2) ? pick(m, 16) : 0),
		.mss = (uint16_t)mg_rng_u32(&m->rng),
		.ws = (uint8_t)pick(m, 16),
		.tsval = pick(m, 10),
		.reason = (uint16_t)pick(m, 4),
	};

	if (pick(m, 2)) /* something that leads on */
		seg.flags = pick(m, 2) ? MG_TCP_ACK : MG_TCP_SYN;
	if (seg.flags == MG_TCP_ACK && pick(m, 2)) {
		seg.ack = m->last_seq[peer] + 1;
		seg.seq = m->last_ack[peer];
		seg.opts = MG_SEG_OPT_TS;
		seg.tsval = 9;
		seg.reason = MG_PKT_NO_FLOW;
	}
	sb_rx(&m->b, &seg);
}

static void application(struct monkey *m)
{
	const struct mg_pool *windows = &m->b.s->apps[m->b.app->id].windows;
	uint32_t window = pick(m, 32);
	struct mg_shm_event ev;

	for (uint32_t i = 0; i < 32 && !mg_pool_is_live(windows, window); i++)
		window = (window + 1) % 32;
	while (sb_event(&m->b, &ev))
		;
	sb_app_flags(&m->b, window, pick(m, 2) ? MG_SHM_AF_CLOSE : MG_SHM_AF_ABORT);
	sb_doorbell(&m->b, window);
}

static void control(struct monkey *m)
{
	struct sb *b = &m->b;
	uint32_t window = pick(m, 32), ignored;

	switch (pick(m, 6)) {
	case 0:
		(void)sb_connect(b, &ignored);
		break;
	case 1:
		mg_ctl_init(b->msg, MG_CTL_TCP_ACCEPT, 1, 1);
		b->msg->accept[0] = (struct mg_ctl_accept){
			.listener = b->listener,
			.credits = 1 + pick(m, 8),
			.context = pick(m, 2),
			.flags = pick(m, 4) == 0 ? MG_CTL_ACCEPT_RETURN : 0,
		};
		(void)sb_ctl(b, MG_CTL_TCP_ACCEPT, 1);
		break;
	case 2:
	case 3:
		mg_ctl_init(b->msg, MG_CTL_TCP_CLOSE, 1, 1);
		b->msg->conn[0] = (struct mg_ctl_conn_ref){ window, b->app->windows[window].gen };
		(void)sb_ctl(b, pick(m, 2) ? MG_CTL_TCP_CLOSE : MG_CTL_TCP_ABORT, 1);
		break;
	case 4:
		mg_ctl_init(b->msg, MG_CTL_TCP_SET_OPTION, 1, 1);
		b->msg->opt[0] = (struct mg_ctl_opt){ .window = window,
						      .gen = b->app->windows[window].gen,
						      .option = pick(m, 12),
						      .value = pick(m, 200) };
		(void)sb_ctl(b, MG_CTL_TCP_SET_OPTION, 1);
		break;
	default:
		if (b->s->queries.running.type != 0)
			break; /* the one message object is taken */
		mg_ctl_init(b->msg, MG_CTL_CONNECTIONS, 1, 0);
		(void)sb_ctl(b, MG_CTL_CONNECTIONS, 0);
		sb_wait(b, 300 * MG_NS_PER_MS);
		break;
	}
}

static void listener(struct monkey *m)
{
	struct sb *b = &m->b;

	if (b->s->listener_pool.nr_used > 0) {
		mg_ctl_init(b->msg, MG_CTL_TCP_LISTEN_CLOSE, 1, 1);
		b->msg->listener[0].listener = b->listener;
		assert_int_equal(sb_ctl(b, MG_CTL_TCP_LISTEN_CLOSE, 1), 0);
	} else {
		sb_listen(b, 1 + pick(m, 5));
	}
}

static void step(struct monkey *m)
{
	uint32_t dice = pick(m, 100);

	if (dice < 50)
		segment(m);
	else if (dice < 75)
		worker_event(m);
	else if (dice < 83)
		control(m);
	else if (dice < 91)
		application(m);
	else if (dice < 92)
		listener(m);
	else if (dice < 94)
		m->b.is_full = pick(m, 3) == 0;
	else
		sb_wait(&m->b, pick(m, 5) ? pick(m, 5000000) : pick(m, 20) * MG_NS_PER_S);
	mg_slow_flush(m->b.s, m->b.now_ns);
	obey(m);
	mg_slow_check(m->b.s);
}

/* What the worker still owes, before sb_free() plays the end. */
static void settle(struct monkey *m)
{
	struct sb *b = &m->b;

	b->is_full = false;
	mg_slow_flush(b->s, b->now_ns);
	obey(m);
	for (uint32_t i = 0; i < MG_ARRAY_SIZE(m->flows); i++)
		if (m->flows[i].is_live && m->flows[i].removing)
			send_removed(m, &m->flows[i]);
	sb_clear(b);
}

static void test_monkey(void **state)
{
	const char *one = getenv("SEED");
	uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
	uint64_t end = one != NULL ? first + 1 : first + SEEDS;

	uint64_t sum[MG_TCP_STATES] = { 0 };

	(void)state;
	for (uint64_t seed = first; seed < end; seed++) {
		struct monkey *m = calloc(1, sizeof(*m));

		assert_non_null(m);
		mg_rng_init(&m->rng, seed);
		sb_conf(&m->b);
		m->b.conf.orphans_max = 3;
		m->b.conf.syn_cookies = seed & 1;
		m->b.conf.keepalive = seed & 2;
		m->b.conf.keepalive_idle_ms = 1000;
		m->b.lim.app_payload_bytes_max = 40 * SB_RING;
		if (one != NULL || seed % 20 == 0)
			printf("SEED=%llu\n", (unsigned long long)seed);
		sb_start(&m->b, seed & 4);
		sb_listen(&m->b, 3);
		for (int i = 0; i < STEPS; i++)
			step(m);
		settle(m);
		for (size_t i = 0; i < MG_ARRAY_SIZE(sum); i++)
			sum[i] += m->b.s->states.entered[i];
		sb_free(&m->b);
		free(m);
	}
	for (uint32_t i = 0; i < MG_TCP_STATES && one == NULL; i++)
		assert_true(sum[i] >= 5); /* it got everywhere */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_monkey),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
