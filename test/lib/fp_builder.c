/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp_builder.c - one engine with one flow, driven by hand; see fp_builder.h.
 */
#include "test/lib/fp_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/wire/frame.h"
#include "test/lib/bigframe.h"

#define START_NS (100 * MG_NS_PER_S)

uint8_t fb_rx_pattern(uint64_t pos)
{
	return (uint8_t)(pos * 131 + (pos >> 8) * 7 + 3);
}

uint8_t fb_tx_pattern(uint64_t pos)
{
	return (uint8_t)(pos * 29 + (pos >> 8) * 11 + 5);
}

/* ---- The environment ---- */

static bool pkt_alloc(void *ctx, uint16_t port, uint32_t len, struct mg_fp_pkt *ret_pkt)
{
	struct fb *b = ctx;

	(void)port;
	if (b->starve != 0) {
		b->starve--;
		return false;
	}
	assert_true(len <= sizeof(b->buf));
	memset(b->buf, 0xee, len);
	ret_pkt->handle = b;
	ret_pkt->data = b->buf;
	return true;
}

static void pkt_send(void *ctx, const struct mg_fp_pkt *pkt)
{
	struct fb *b = ctx;
	struct mg_frame_view v;
	struct fb_out *o = &b->out[b->out_tail % FB_FRAMES];
	int err;

	assert_true(b->out_tail - b->out_head < FB_FRAMES);
	b->last_len = mg_bigframe_flatten(pkt, b->conf.tx_csum, b->last_frame);
	err = mg_wire_parse_frame(b->last_frame, b->last_len, b->conf.no_l2 ? MG_RX_NO_L2 : 0, &v);
	assert_int_equal(err, 0);
	assert_int_equal(v.kind, MG_FRAME_TCP);
	assert_true(mg_addr_eq(&v.seg.tuple.raddr, &b->flow->tuple.laddr));
	assert_int_equal(v.seg.tuple.lport, b->flow->tuple.rport);
	*o = (struct fb_out){
		.at_ns = b->now,
		.seq = v.seg.seq - b->conf.iss - 1,
		.ack = v.seg.ack - b->conf.irs - 1,
		.len = v.seg.payload_len,
		.wnd = (uint32_t)v.seg.wnd << b->conf.rcv_wscale,
		.flags = v.seg.flags,
		.gso = pkt->gso_size,
		.urg = v.seg.urg,
		.ecn = v.seg.ecn,
		.ts = (v.seg.opts & MG_SEG_OPT_TS) != 0,
		.tsval = v.seg.opts & MG_SEG_OPT_TS ? v.seg.tsval : 0,
		.tsecr = v.seg.opts & MG_SEG_OPT_TS ? v.seg.tsecr : 0,
		.nr_sack = v.seg.opts & MG_SEG_OPT_SACK ? v.seg.nr_sack : 0,
	};
	for (uint8_t i = 0; i < o->nr_sack; i++) {
		o->sack[i].start = v.seg.sack[i].start - b->conf.irs - 1;
		o->sack[i].end = v.seg.sack[i].end - b->conf.irs - 1;
	}
	for (uint32_t i = 0; i < o->len; i++)
		assert_int_equal(v.seg.payload.data[i], fb_tx_pattern((uint64_t)o->seq + i));
	b->out_tail++;
}

static bool event(void *ctx, const struct mg_msg *m)
{
	struct fb *b = ctx;
	const void *body = m;

	if (b->ev_full != 0) {
		b->ev_full--;
		return false;
	}
	assert_true(b->nr_ev < FB_EVENTS);
	b->ev[b->nr_ev].type = m->type;
	if (m->type == MG_EV_SAMPLE)
		b->ev[b->nr_ev].sample = *(const struct mg_ev_sample *)body;
	else if (m->type == MG_EV_RING)
		b->ev[b->nr_ev].ring = *(const struct mg_ev_ring *)body;
	else if (m->type == MG_EV_REMOVED || m->type == MG_EV_REPORT)
		b->ev[b->nr_ev].flags = ((const struct mg_ev_removed *)body)->flags;
	else if (m->type != MG_EV_APP_DEL && m->type != MG_EV_APP_RINGS &&
		 m->type != MG_EV_DOORBELL) {
		b->ev[b->nr_ev].count = ((const struct mg_ev_flow *)body)->count;
		b->ev[b->nr_ev].value = ((const struct mg_ev_flow *)body)->value;
	}
	b->nr_ev++;
	return true;
}

static void wake(void *ctx, struct mg_app *app, uint32_t context)
{
	struct fb *b = ctx;

	assert_ptr_equal(app, &b->app);
	assert_int_equal(context, 0);
	b->wakes++;
}

/* ---- Making one ---- */

static void fill_defaults(struct fb_conf *c)
{
	c->iss = c->iss != 0 ? c->iss : 1000;
	c->irs = c->irs != 0 ? c->irs : 5000;
	c->mss = c->mss != 0 ? c->mss : 1000;
	c->snd_wnd = c->snd_wnd != 0 ? c->snd_wnd : 60000;
	c->rx_bytes = c->rx_bytes != 0 ? c->rx_bytes : 65536;
	c->tx_bytes = c->tx_bytes != 0 ? c->tx_bytes : 65536;
	c->rcv_adv = c->rcv_adv != 0 ? c->rcv_adv : mg_min_u32(c->rx_bytes, 65535);
	c->cwnd = c->cwnd != 0 ? c->cwnd : 10u * c->mss;
	c->restart = c->restart != 0 ? c->restart : 10u * c->mss;
	c->delack_us = c->delack_us != 0 ? c->delack_us : 40000;
	c->txrecs_max = c->txrecs_max != 0 ? c->txrecs_max : 1024;
	c->ooo_max = c->ooo_max != 0 ? c->ooo_max : 256;
	c->challenge_per_s = c->challenge_per_s != 0 ? c->challenge_per_s : 1000;
}

static void make_app(struct fb *b)
{
	struct mg_app_layout layout = { .nr_windows = 4, .nr_contexts = 1, .nr_workers = 1 };
	uint64_t bytes;

	layout.payload_bytes = mg_align_up(
		(uint64_t)b->conf.rx_bytes + b->conf.tx_bytes + b->conf.spare_bytes, 4096);
	bytes = mg_app_region_bytes(&layout);
	b->region = aligned_alloc(4096, mg_align_up(bytes, 4096));
	assert_non_null(b->region);
	memset(b->region, 0, bytes);
	mg_app_region_format(b->region, &layout, 1);
	mg_app_bind(&b->app, b->region, &layout);
	b->win = &b->app.windows[1];
	/* The application's ends of the rings. */
	b->bells = b->app.contexts[0].doorbells[0];
	mg_spsc_attach_producer(&b->bells, b->bells.shared, b->bells.mask + 1, b->bells.stride, 0);
	b->events = b->app.contexts[0].events[1];
	mg_spsc_attach_consumer(&b->events, b->events.shared, b->events.mask + 1, b->events.stride,
				0);
}

static void make_engine(struct fb *b)
{
	struct mg_fp_conf conf = {
		.worker = 0,
		.flows_max = 64,
		.flows_local_max = 16,
		.txrecs_max = b->conf.txrecs_max,
		.ooo_max = b->conf.ooo_max,
		.apps_max = 4,
		.nr_ports = 1,
		.challenge_ack_per_s = b->conf.challenge_per_s,
		.hash_seed = 42,
		.now_ns = START_NS,
		.ports = { { .tx_csum = b->conf.tx_csum,
			     .has_l2 = !b->conf.no_l2,
			     .gso_bytes = b->conf.gso_bytes,
			     .lends = b->conf.lends } },
	};
	struct mg_fp_env env = { b, pkt_alloc, pkt_send, event, wake };
	size_t bytes = mg_fp_bytes(&conf);

	b->mem = aligned_alloc(64, mg_align_up(bytes, 64));
	assert_non_null(b->mem);
	memset(b->mem, 0, bytes);
	assert_int_equal(mg_fp_init(b->mem, &conf, &env, &b->fp), 0);
}

static void set_ring(struct mg_shm_ring *slot, uint64_t off, uint32_t bytes)
{
	atomic_store(&slot->page, (uint32_t)(off / MG_SHM_PAGE_BYTES));
	atomic_store(&slot->bytes, bytes);
}

/* What the SYN brought stands behind the command. */
static void install_with_syn(struct fb *b, const struct mg_cmd_install *cmd)
{
	uint32_t n = b->conf.syn_bytes;
	uint8_t bytes[sizeof(*cmd) + 4096] __attribute__((aligned(8)));
	struct mg_cmd_install *c = (struct mg_cmd_install *)(void *)bytes;

	assert_true(n <= 4096);
	*c = *cmd;
	c->msg.len += n;
	c->syn_bytes = n;
	c->rcv_nxt += n;
	c->last_ack_sent += n;
	for (uint32_t i = 0; i < n; i++)
		bytes[sizeof(*cmd) + i] = fb_rx_pattern(i);
	mg_fp_command(b->fp, &c->msg, b->now);
}

static void install(struct fb *b)
{
	const struct fb_conf *c = &b->conf;
	struct mg_cmd_install cmd = {
		.msg = { .type = MG_CMD_INSTALL, .len = sizeof(cmd), .flow = 7, .gen = 1 },
		.tuple = { .lport = 80, .rport = 4000 },
		.smac = { { 2, 0, 0, 0, 0, 1 } },
		.dmac = { { 2, 0, 0, 0, 0, 2 } },
		.ttl = 64,
		.snd_wscale = c->snd_wscale,
		.rcv_wscale = c->rcv_wscale,
		.flags = c->flags,
		.mss = c->mss,
		.iss = c->iss,
		.irs = c->irs,
		.snd_una = c->iss + 1,
		.snd_nxt = c->iss + 1,
		.snd_wnd = c->snd_wnd,
		.snd_wl1 = c->irs,
		.snd_wl2 = c->iss + 1,
		.rcv_nxt = c->irs + 1,
		.last_ack_sent = c->irs + 1,
		.rcv_adv = c->irs + 1 + c->rcv_adv,
		.rcv_mss = c->mss,
		.cwnd_bytes = c->cwnd,
		.restart_bytes = c->restart,
		.ssthresh_bytes = UINT32_MAX,
		.pacing_Bps = c->pacing_Bps,
		.srtt_us = c->srtt_us,
		.rttvar_us = c->srtt_us / 2,
		.rto_us = 1000000,
		.rto_min_us = 200000,
		.rto_max_us = 120000000,
		.delack_us = c->delack_us,
		.app = &b->app,
		.window = 1,
		.contexts = 1,
		.window_gen = 1,
		.rx_bytes = c->rx_bytes,
		.tx_bytes = c->tx_bytes,
		.rx_max_bytes = c->rx_max_bytes,
		.tx_max_bytes = c->tx_max_bytes,
		.ring_idle_us = c->ring_idle_us,
		.rx_off = b->app.payload_off,
		.tx_off = b->app.payload_off + c->rx_bytes,
	};

	cmd.ts_recent = (uint32_t)(START_NS / 1000000);
	cmd.tuple.laddr = mg_addr_v4(0x0a4d0001);
	cmd.tuple.raddr = mg_addr_v4(0x0a4d0002);
	if (c->v6) {
		assert_int_equal(mg_addr_parse("fd00::1", &cmd.tuple.laddr), 0);
		assert_int_equal(mg_addr_parse("fd00::2", &cmd.tuple.raddr), 0);
	}
	b->win->gen = 1;
	set_ring(&b->win->rx_rings[0], cmd.rx_off, cmd.rx_bytes);
	set_ring(&b->win->tx_rings[0], cmd.tx_off, cmd.tx_bytes);
	atomic_store(&b->win->state, MG_SHM_ST_OPEN);
	assert_int_equal(mg_window_bind(&b->w, b->app.base, b->app.total_bytes, b->win, 1, 1), 0);
	install_with_syn(b, &cmd);
	b->flow = &b->fp->flows[0];
	assert_int_equal(b->flow->run, MG_FLOW_LIVE);
	if (!c->keep_quick)
		b->flow->quickacks = 0;
}

void fb_open(struct fb *b, const struct fb_conf *conf)
{
	struct mg_msg_app add = { .msg = { .type = MG_CMD_APP_ADD, .len = sizeof(add) },
				  .app = &b->app };

	memset(b, 0, sizeof(*b));
	b->conf = *conf;
	fill_defaults(&b->conf);
	b->now = START_NS;
	b->peer_wnd = (uint16_t)(b->conf.snd_wnd >> b->conf.snd_wscale);
	make_app(b);
	make_engine(b);
	mg_fp_command(b->fp, &add.msg, b->now);
	install(b);
	fb_flush(b);
	assert_int_equal(fb_tx_pending(b), 0);
}

void fb_close(struct fb *b)
{
	mg_fp_check(b->fp);
	free(b->mem);
	free(b->region);
}

/* ---- Driving it ---- */

void fb_flush(struct fb *b)
{
	mg_fp_flush(b->fp, b->now);
	mg_fp_check(b->fp);
}

void fb_rx_seg(struct fb *b, const struct fb_seg *s)
{
	static uint8_t payload[65536];
	struct mg_seg seg = {
		.tuple = b->flow->tuple,
		.seq = s->seq + b->conf.irs + 1,
		.ack = s->ack + b->conf.iss + 1,
		.payload_len = s->len,
		.flags = s->flags != 0 ? s->flags : MG_TCP_ACK,
		.urg = s->urg,
		.ecn = s->ecn,
		.nr_sack = s->nr_sack,
		.ttl = 64,
	};

	if (s->wnd != 0 || s->wnd_zero)
		b->peer_wnd = s->wnd;
	seg.wnd = b->peer_wnd;
	if ((b->conf.flags & MG_FLOW_TS) && !s->no_ts) {
		seg.opts |= MG_SEG_OPT_TS;
		seg.tsval = s->tsval != 0 ? s->tsval : (uint32_t)(b->now / 1000000);
		seg.tsecr = s->tsecr != 0 ? s->tsecr : (uint32_t)(b->now / 1000000);
	}
	if (s->nr_sack != 0)
		seg.opts |= MG_SEG_OPT_SACK;
	for (uint8_t i = 0; i < s->nr_sack; i++) {
		seg.sack[i].start = s->sack[i].start + b->conf.iss + 1;
		seg.sack[i].end = s->sack[i].end + b->conf.iss + 1;
	}
	for (uint32_t i = 0; i < s->len; i++)
		payload[i] = fb_rx_pattern((uint32_t)(s->seq + i));
	seg.payload.data = payload;
	seg.payload.len = s->len;
	if (b->flow->run == MG_FLOW_LIVE)
		assert_ptr_equal(mg_fp_lookup(b->fp, &seg), b->flow);
	b->to_slow += mg_fp_rx(b->fp, b->flow, &seg, b->now) == MG_FP_TO_SLOW;
}

void fb_run(struct fb *b, uint64_t ns)
{
	uint64_t end = b->now + ns;

	for (;;) {
		uint64_t next = mg_fp_next_ns(b->fp);

		if (next > end)
			break;
		b->now = mg_max_u64(b->now, next);
		(void)mg_fp_timers(b->fp, b->now);
		fb_flush(b);
	}
	b->now = end;
	(void)mg_fp_timers(b->fp, b->now);
	fb_flush(b);
}

void fb_ring(struct fb *b)
{
	struct mg_shm_doorbell bell = { .index = 1, .gen = 1 };

	if (atomic_exchange(&b->win->a_dirty, 1) == 0)
		assert_int_equal(mg_spsc_push(&b->bells, &bell), 0);
	(void)mg_fp_doorbells(b->fp, &b->app, 0, 64, b->now);
	fb_flush(b);
}

void fb_app_write_urgent(struct fb *b, uint32_t n)
{
	atomic_store(&b->win->tx_urg, b->app_written + n);
	fb_app_write(b, n);
}

void fb_app_write(struct fb *b, uint32_t n)
{
	struct mg_span spans[2];
	uint64_t pos = b->app_written;

	(void)mg_window_adopt(&b->w);
	assert_int_equal(mg_window_reserve(&b->w, n, spans), n);
	for (int i = 0; i < 2; i++)
		for (uint32_t k = 0; k < spans[i].len; k++)
			spans[i].p[k] = fb_tx_pattern((uint32_t)pos++);
	b->app_written = pos;
	mg_window_commit(&b->w, n);
	fb_ring(b);
}

uint32_t fb_app_readable(struct fb *b)
{
	return (uint32_t)(atomic_load(&b->win->rx_tail) - b->app_read);
}

void fb_app_read(struct fb *b, uint32_t n, bool ring)
{
	struct mg_span spans[MG_WINDOW_SPANS];
	uint64_t end = b->app_read + n;

	assert_int_equal(mg_window_peek(&b->w, 0, spans), fb_app_readable(b));
	assert_true(n <= fb_app_readable(b));
	for (int i = 0; i < MG_WINDOW_SPANS; i++)
		for (uint32_t k = 0; k < spans[i].len && b->app_read < end; k++)
			assert_int_equal(spans[i].p[k], fb_rx_pattern((uint32_t)b->app_read++));
	assert_int_equal(b->app_read, end);
	(void)mg_window_consume(&b->w, n);
	if (ring)
		fb_ring(b);
}

void fb_app_flags(struct fb *b, uint32_t a_flags)
{
	atomic_store(&b->win->a_flags, a_flags);
	fb_ring(b);
}

bool fb_app_event(struct fb *b)
{
	struct mg_shm_event ev;

	if (mg_spsc_pop(&b->events, &ev) != 1)
		return false;
	assert_int_equal(ev.kind, MG_SHM_EV_CONN);
	assert_int_equal(ev.index, 1);
	assert_int_equal(ev.gen, 1);
	atomic_store(&b->win->w_dirty, 0);
	return true;
}

void fb_command(struct fb *b, const struct mg_msg *cmd)
{
	mg_fp_command(b->fp, cmd, b->now);
	fb_flush(b);
}

static void set_cc(struct fb *b, uint32_t cwnd, uint32_t ssthresh, uint32_t echo)
{
	struct mg_cmd_set_cc cmd = {
		.msg = { .type = MG_CMD_SET_CC, .len = sizeof(cmd), .flow = 7, .gen = 1 },
		.cwnd_bytes = cwnd,
		.ssthresh_bytes = ssthresh,
		.pacing_Bps = b->conf.pacing_Bps,
		.flags = b->flow->opts & MG_FLOW_CC_MASK,
		.echo = echo,
	};

	fb_command(b, &cmd.msg);
}

void fb_set_cc(struct fb *b, uint32_t cwnd, uint32_t ssthresh)
{
	set_cc(b, cwnd, ssthresh, 0);
}

void fb_answer_echo(struct fb *b, uint32_t cwnd, uint32_t ssthresh)
{
	set_cc(b, cwnd, ssthresh, 1);
}

/* ---- Looking at it ---- */

const struct fb_out *fb_tx(struct fb *b)
{
	return b->out_head == b->out_tail ? NULL : &b->out[b->out_head++ % FB_FRAMES];
}

uint32_t fb_tx_pending(const struct fb *b)
{
	return b->out_tail - b->out_head;
}

void fb_tx_clear(struct fb *b)
{
	b->out_head = b->out_tail;
}

uint32_t fb_events(const struct fb *b, uint16_t type)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->nr_ev; i++)
		n += b->ev[i].type == type;
	return n;
}

uint32_t fb_event(struct fb *b, uint16_t type)
{
	for (uint32_t i = 0; i < b->nr_ev; i++) {
		if (b->ev[i].type != type)
			continue;
		b->ev[i].type = 0;
		return i;
	}
	fail_msg("no event of type %u", type);
	return 0;
}

uint64_t fb_stat(const struct fb *b, enum mg_fp_stat stat)
{
	return atomic_load(&b->fp->stats[stat]);
}
