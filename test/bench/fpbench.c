/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fpbench.c - the fast path's own cycles per request, without I/O.
 *
 * Idea:    an engine with N flows; each round a burst of segments with 64 bytes and the ACK of the last answer
 *          arrives, the application answers by writing into the rings and ringing, one flush sends. What is
 *          counted by the time-stamp counter is look-up, receive, doorbells and flush: all that a worker does but
 *          parsing and the port. The application's own part is not counted.
 * Use:     fpbench [FLOWS [ROUNDS]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#include "fastpath/core/fp.h"
#include "proto/base/bits.h"
#include "proto/base/time.h"

#define BURST 32
#define RING 65536
#define REQUEST 64

static uint8_t frame[2048];
static uint64_t nr_sent;

static bool pkt_alloc(void *ctx, uint16_t port, uint32_t len, struct mg_fp_pkt *ret_pkt)
{
	(void)ctx;
	(void)port;
	(void)len;
	ret_pkt->data = frame;
	return true;
}

static void pkt_send(void *ctx, const struct mg_fp_pkt *pkt)
{
	(void)ctx;
	(void)pkt;
	nr_sent++;
}

static bool event(void *ctx, const struct mg_msg *ev)
{
	(void)ctx;
	(void)ev;
	return true;
}

static void wake(void *ctx, struct mg_app *app, uint32_t context)
{
	(void)ctx;
	(void)app;
	(void)context;
}

static struct mg_tuple tuple_of(uint32_t i)
{
	struct mg_tuple t = { .lport = 80, .rport = (uint16_t)(1024 + i % 60000) };

	t.laddr = mg_addr_v4(0x0a4d0001);
	t.raddr = mg_addr_v4(0x0a4d0002 + i / 60000);
	return t;
}

static void *get(size_t bytes)
{
	void *p = aligned_alloc(4096, mg_align_up(bytes, 4096));

	if (p == NULL)
		exit(1);
	memset(p, 0, bytes);
	return p;
}

static struct mg_app app;

static void make_app(uint32_t n)
{
	struct mg_app_layout l = { .nr_windows = mg_pow2_up_u32(n),
				   .nr_contexts = 1,
				   .nr_workers = 1,
				   .payload_bytes = 2ull * RING * n };
	uint8_t *base = get(mg_app_region_bytes(&l));

	mg_app_region_format(base, &l, 1);
	mg_app_bind(&app, base, &l);
}

static struct mg_fp *make_engine(uint32_t n, bool csum)
{
	struct mg_fp_conf c = { .flows_max = n,
				.flows_local_max = n,
				.txrecs_max = 4 * n + 64,
				.ooo_max = n + 64,
				.apps_max = 1,
				.nr_ports = 1,
				.challenge_ack_per_s = 100,
				.hash_seed = 4711,
				.now_ns = MG_NS_PER_S,
				.ports = { { .has_l2 = true, .tx_csum = csum } } };
	struct mg_fp_env env = { NULL, pkt_alloc, pkt_send, event, wake };
	struct mg_msg_app add = { .msg = { .type = MG_CMD_APP_ADD, .len = sizeof(add) },
				  .app = &app };
	struct mg_fp *fp;

	if (mg_fp_init(get(mg_fp_bytes(&c)), &c, &env, &fp) != 0)
		exit(1);
	mg_fp_command(fp, &add.msg, c.now_ns);
	return fp;
}

static void install(struct mg_fp *fp, uint32_t i, bool ts)
{
	struct mg_cmd_install c = {
		.msg = { .type = MG_CMD_INSTALL, .len = sizeof(c), .flow = i, .gen = 1 },
		.tuple = tuple_of(i),
		.ttl = 64,
		.mss = 1448,
		.flags = ts ? MG_FLOW_TS | MG_FLOW_SACK : 0,
		.iss = 1,
		.irs = 1,
		.snd_una = 2,
		.snd_nxt = 2,
		.snd_wnd = 65535,
		.rcv_nxt = 2,
		.rcv_adv = 65537,
		.last_ack_sent = 2,
		.rcv_mss = 1460,
		.cwnd_bytes = 14480,
		.rto_us = 1000000,
		.rto_min_us = 200000,
		.rto_max_us = 120000000,
		.delack_us = 40000,
		.app = &app,
		.window = i,
		.contexts = 1,
		.window_gen = 1,
		.rx_bytes = RING,
		.tx_bytes = RING,
		.rx_off = app.payload_off + 2ull * RING * i,
		.tx_off = app.payload_off + 2ull * RING * i + RING,
	};

	mg_fp_command(fp, &c.msg, MG_NS_PER_S);
}

struct load {
	struct mg_fp *fp;
	uint32_t *pos; /* bytes exchanged so far, each way, per flow */
	uint32_t flows;
	bool ts;
	uint64_t rx, bells, flush; /* cycles */
	struct mg_spsc bell_ring;  /* the application's ends */
	struct mg_spsc event_ring;
};

static const uint8_t payload[REQUEST];

static void make_segment(const struct load *l, uint32_t i, uint64_t now, struct mg_seg *seg)
{
	*seg = (struct mg_seg){ .tuple = tuple_of(i),
				.seq = 2 + l->pos[i],
				.ack = 2 + l->pos[i],
				.payload_len = REQUEST,
				.wnd = 65535,
				.flags = MG_TCP_ACK | MG_TCP_PSH,
				.payload = { payload, REQUEST, NULL } };
	if (!l->ts)
		return;
	seg->opts = MG_SEG_OPT_TS;
	seg->tsval = seg->tsecr = (uint32_t)(now / 1000000);
}

static void attach_rings(struct load *l)
{
	l->bell_ring = app.contexts[0].doorbells[0];
	mg_spsc_attach_producer(&l->bell_ring, l->bell_ring.shared, l->bell_ring.mask + 1,
				l->bell_ring.stride, 0);
	l->event_ring = app.contexts[0].events[1];
	mg_spsc_attach_consumer(&l->event_ring, l->event_ring.shared, l->event_ring.mask + 1,
				l->event_ring.stride, 0);
}

static void answer(struct load *l, uint32_t i)
{
	struct mg_shm_window *w = &app.windows[i];
	struct mg_shm_doorbell bell = { i, 1 };

	l->pos[i] += REQUEST;
	atomic_store_explicit(&w->w_dirty, 0, memory_order_relaxed);
	atomic_store_explicit(&w->rx_head, l->pos[i], memory_order_release);
	atomic_store_explicit(&w->tx_head, l->pos[i], memory_order_release);
	atomic_store_explicit(&w->a_dirty, 1, memory_order_relaxed);
	if (mg_spsc_push(&l->bell_ring, &bell) != 0)
		exit(1);
}

static void burst(struct load *l, uint32_t from, uint32_t n, uint64_t now)
{
	struct mg_seg segs[BURST];
	struct mg_flow *flows[BURST];
	struct mg_shm_event ev;
	uint64_t t;

	for (uint32_t i = 0; i < n; i++)
		make_segment(l, (from + i) % l->flows, now, &segs[i]);
	t = __rdtsc();
	for (uint32_t i = 0; i < n; i++) {
		flows[i] = mg_fp_lookup(l->fp, &segs[i]);
		mg_fp_prefetch(flows[i]);
	}
	for (uint32_t i = 0; i < n; i++)
		(void)mg_fp_rx(l->fp, flows[i], &segs[i], now);
	l->rx += __rdtsc() - t;
	t = __rdtsc();
	mg_fp_flush(l->fp, now);
	l->flush += __rdtsc() - t;
	while (mg_spsc_pop(&l->event_ring, &ev) == 1)
		;
	for (uint32_t i = 0; i < n; i++)
		answer(l, (from + i) % l->flows);
	t = __rdtsc();
	(void)mg_fp_doorbells(l->fp, &app, 0, BURST, now);
	l->bells += __rdtsc() - t;
	t = __rdtsc();
	(void)mg_fp_timers(l->fp, now);
	mg_fp_flush(l->fp, now);
	l->flush += __rdtsc() - t;
}

static void measure(uint32_t flows, uint32_t rounds, bool ts, bool csum)
{
	struct load l = { .flows = flows, .ts = ts };
	uint32_t n = flows < BURST ? flows : BURST;
	uint64_t now = MG_NS_PER_S;
	uint64_t requests = 0;
	uint64_t sent = nr_sent;

	make_app(flows);
	attach_rings(&l);
	l.fp = make_engine(flows, csum);
	l.pos = calloc(flows, sizeof(*l.pos));
	if (l.pos == NULL)
		exit(1);
	for (uint32_t i = 0; i < flows; i++)
		install(l.fp, i, ts);
	mg_fp_flush(l.fp, now);
	for (uint32_t r = 0; r < rounds + 100; r++) {
		if (r == 100) {
			l.rx = l.bells = l.flush = 0;
			requests = 0;
			sent = nr_sent;
		}
		burst(&l, r * n % flows, n, now);
		now += 20000;
		requests += n;
	}
	printf("%6u flows, burst %2u, ts %d, csum %s: %4llu cycles per request (rx %llu, doorbell %llu, flush %llu),"
	       " %.3f frames\n",
	       flows, n, ts, csum ? "port" : "soft",
	       (unsigned long long)((l.rx + l.bells + l.flush) / requests),
	       (unsigned long long)(l.rx / requests), (unsigned long long)(l.bells / requests),
	       (unsigned long long)(l.flush / requests),
	       (double)(nr_sent - sent) / (double)requests);
	free(l.pos);
}

int main(int argc, char **argv)
{
	uint32_t flows = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
	uint32_t rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 20000;
	static const uint32_t few[] = { 1, 32, 64, 1024, 4096 };

	if (flows != 0) {
		measure(flows, rounds, true, false);
		return 0;
	}
	for (size_t i = 0; i < MG_ARRAY_SIZE(few); i++) {
		measure(few[i], rounds, true, false);
		measure(few[i], rounds, true, true);
	}
	return 0;
}
