/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp_fuzz.c - any sequence of segments, timers, calls and commands against one established flow.
 *
 * Idea:    the input is a program of short operations. Numbers in segments are taken relative to the flow's own,
 *          so that most land near the edges of the windows; the application writes nonsense positions now
 *          and then. After every operation all invariants hold (mg_fp_check), every frame that leaves parses
 *          with right checksums, and what the application reads is what the peer sent at that position.
 */
#include <stdlib.h>
#include <string.h>

#include "fastpath/core/appwin.h"
#include "fastpath/core/engine.h"
#include "proto/wire/frame.h"

#define RING 4096u
#define ISS 0xffffe000u
#define IRS 0xfffff800u

struct in {
	const uint8_t *p;
	size_t left;
};

static struct mg_app app;
static uint8_t *region;
static void *mem;
static struct mg_fp *fp;
static struct mg_flow *flow;
static uint64_t now;
static uint8_t buf[70000];
static uint32_t starve, full;
static uint64_t app_read;

static uint8_t u8(struct in *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static uint32_t u16(struct in *in)
{
	uint32_t hi = u8(in);

	return hi << 8 | u8(in);
}

static uint8_t pattern(uint32_t seq)
{
	return (uint8_t)(seq * 131 + (seq >> 8) * 7 + 3);
}

static bool pkt_alloc(void *ctx, uint16_t port, uint32_t len, struct mg_fp_pkt *ret_pkt)
{
	(void)ctx;
	(void)port;
	if (starve != 0) {
		starve--;
		return false;
	}
	MG_ASSERT(len <= sizeof(buf));
	ret_pkt->data = buf;
	return true;
}

static void pkt_send(void *ctx, const struct mg_fp_pkt *pkt)
{
	struct mg_frame_view v;

	(void)ctx;
	MG_ASSERT(mg_wire_parse_frame(pkt->data, pkt->len, 0, &v) == 0);
	MG_ASSERT(v.kind == MG_FRAME_TCP);
	MG_ASSERT(mg_seq_leq(v.seg.seq + v.seg.payload_len, flow->snd_una + RING + 1));
}

static bool event(void *ctx, const struct mg_msg *ev)
{
	(void)ctx;
	(void)ev;
	if (full == 0)
		return true;
	full--;
	return false;
}

static void wake(void *ctx, struct mg_app *a, uint32_t context)
{
	(void)ctx;
	(void)a;
	(void)context;
}

static void install(struct in *in, uint32_t gen)
{
	struct mg_cmd_install c = {
		.msg = { .type = MG_CMD_INSTALL, .len = sizeof(c), .flow = 3, .gen = gen },
		.tuple = { .lport = 80, .rport = 4000 },
		.ttl = 64,
		.mss = 500,
		.flags = u8(in) & (MG_FLOW_TS | MG_FLOW_SACK | MG_FLOW_ECN | MG_FLOW_PACING),
		.snd_wscale = u8(in) % 3,
		.rcv_wscale = u8(in) % 6,
		.iss = ISS,
		.irs = IRS,
		.snd_una = ISS + 1,
		.snd_nxt = ISS + 1,
		.snd_wnd = 8000,
		.snd_wl1 = IRS,
		.snd_wl2 = ISS + 1,
		.rcv_nxt = IRS + 1,
		.last_ack_sent = IRS + 1,
		.rcv_adv = IRS + 1 + 2048,
		.rcv_mss = 500,
		.cwnd_bytes = 5000,
		.ssthresh_bytes = UINT32_MAX,
		.rto_us = 1000000,
		.rto_min_us = 200000,
		.rto_max_us = 60000000,
		.delack_us = 40000,
		.app = &app,
		.window = 1,
		.contexts = 1,
		.window_gen = gen,
		.rx_bytes = RING,
		.tx_bytes = RING,
		.rx_off = app.payload_off,
		.tx_off = app.payload_off + RING,
		.ts_recent = 1000,
	};

	memset(&app.windows[1], 0, sizeof(app.windows[1]));
	app_read = 0;
	c.tuple.laddr = mg_addr_v4(0x0a4d0001);
	c.tuple.raddr = mg_addr_v4(0x0a4d0002);
	mg_fp_command(fp, &c.msg, now);
}

static void setup(struct in *in)
{
	struct mg_app_layout l = {
		.nr_windows = 2, .nr_contexts = 1, .nr_workers = 1, .payload_bytes = 2 * RING
	};
	struct mg_fp_conf c = { .flows_max = 4,
				.flows_local_max = 2,
				.txrecs_max = 4 + u8(in) % 64,
				.ooo_max = 1 + u8(in) % 32,
				.apps_max = 1,
				.nr_ports = 1,
				.challenge_ack_per_s = 10,
				.hash_seed = 1,
				.ports = { { .has_l2 = true } } };
	struct mg_fp_env env = { NULL, pkt_alloc, pkt_send, event, wake };
	struct mg_msg_app add = { .msg = { .type = MG_CMD_APP_ADD, .len = sizeof(add) },
				  .app = &app };
	size_t bytes;

	now = MG_NS_PER_S;
	c.now_ns = now;
	starve = full = 0;
	bytes = mg_align_up(mg_app_region_bytes(&l), 4096);
	region = aligned_alloc(4096, bytes);
	memset(region, 0, bytes);
	memset(&app, 0, sizeof(app));
	mg_app_region_format(region, &l, 1);
	mg_app_bind(&app, region, &l);
	bytes = mg_align_up(mg_fp_bytes(&c), 64);
	mem = aligned_alloc(64, bytes);
	memset(mem, 0, bytes);
	MG_ASSERT(mg_fp_init(mem, &c, &env, &fp) == 0);
	mg_fp_command(fp, &add.msg, now);
	install(in, 1);
	flow = &fp->flows[0];
}

/* A number near one of the flow's edges. */
static uint32_t near(struct in *in, uint32_t a, uint32_t b)
{
	uint32_t how = u8(in);
	uint32_t base = how & 1 ? a : b;

	switch (how >> 1 & 3) {
	case 0:
		return base;
	case 1:
		return base + u8(in);
	case 2:
		return base - u8(in);
	default:
		return base + u16(in) - 32768;
	}
}

static void op_segment(struct in *in)
{
	static uint8_t payload[2048];
	struct mg_seg seg = { .tuple = flow->tuple };
	uint32_t what = u8(in);

	seg.seq = what & 1 ? flow->rcv_nxt : near(in, flow->rcv_nxt, flow->rcv_adv);
	seg.ack = what & 2 ? flow->snd_nxt : near(in, flow->snd_una, flow->snd_nxt);
	seg.payload_len = what & 4 ? u16(in) % sizeof(payload) : 0;
	seg.flags = what & 8 ? (uint16_t)(u16(in) & 0x1ff) : MG_TCP_ACK;
	seg.wnd = what & 16 ? (uint16_t)u16(in) : 4000;
	seg.urg = (uint16_t)(seg.flags & MG_TCP_URG ? u16(in) : 0);
	seg.ecn = seg.flags & MG_TCP_CWR ? u8(in) & 3 : 0;
	if (what & 32 || (flow->opts & MG_FLOW_TS)) {
		seg.opts |= MG_SEG_OPT_TS;
		seg.tsval = what & 64 ? near(in, flow->ts_recent, flow->ts_recent + 100)
				      : fp->now_ms;
		seg.tsecr = fp->now_ms - (what & 64 ? u8(in) : 0);
	}
	if (what & 128) {
		seg.opts |= MG_SEG_OPT_SACK;
		seg.nr_sack = (uint8_t)(1 + u8(in) % 4);
		for (uint8_t i = 0; i < seg.nr_sack; i++) {
			seg.sack[i].start = near(in, flow->snd_una, flow->snd_nxt);
			seg.sack[i].end = seg.sack[i].start + u16(in) % 3000;
		}
	}
	for (uint32_t i = 0; i < seg.payload_len; i++)
		payload[i] = pattern(seg.seq + i);
	seg.payload.data = payload;
	seg.payload.len = seg.payload_len;
	(void)mg_fp_rx(fp, flow, &seg, now);
}

static void op_read(struct in *in)
{
	struct mg_shm_window *w = &app.windows[1];
	uint64_t n = atomic_load(&w->rx_tail) - app_read;
	uint64_t want = u16(in);

	MG_ASSERT(n <= RING);
	if (flow->flags & (MG_FF_SHUT_RD | MG_FF_APP_CLOSED))
		return;
	for (uint64_t i = 0; i < n && i < want; i++, app_read++)
		MG_ASSERT(app.base[app.payload_off + (app_read & (RING - 1))] ==
			  pattern(IRS + 1 + (uint32_t)app_read));
	atomic_store(&w->rx_head, app_read);
}

static void op_write(struct in *in)
{
	struct mg_shm_window *w = &app.windows[1];
	uint64_t head = atomic_load(&w->tx_head);
	uint64_t room = RING - (head - atomic_load(&w->tx_una));

	if (room <= RING)
		atomic_store(&w->tx_head, head + mg_min_u64(room, u16(in)));
	mg_appwin_look(fp, flow);
}

static void op_command(struct in *in)
{
	struct mg_cmd_set_cc cc = {
		.msg = { .type = MG_CMD_SET_CC, .len = sizeof(cc), .flow = 3, .gen = flow->gen }
	};
	struct mg_cmd_set_opt opt = { .msg = cc.msg };
	struct mg_cmd_remove rm = { .msg = cc.msg };

	switch (u8(in) % 6) {
	case 0:
	case 1:
		cc.cwnd_bytes = u16(in);
		cc.ssthresh_bytes = u16(in);
		cc.pacing_Bps = (uint64_t)u16(in) << u8(in) % 24;
		cc.flags = flow->opts & MG_FLOW_CC_MASK;
		if (cc.pacing_Bps == 0)
			cc.flags = u16(in);
		mg_fp_command(fp, &cc.msg, now);
		break;
	case 2:
		opt.msg.type = MG_CMD_SET_PMTU;
		opt.value = u16(in) % 1000;
		mg_fp_command(fp, &opt.msg, now);
		break;
	case 3:
		opt.msg.type = MG_CMD_SET_OPT;
		opt.opt = u8(in) % 7;
		opt.value = u16(in) + 100;
		if (opt.opt != MG_FLOW_OPT_MSS || opt.value < 1000)
			mg_fp_command(fp, &opt.msg, now);
		break;
	case 4:
		opt.msg.type = u8(in) & 1 ? MG_CMD_PROBE : MG_CMD_REPORT;
		mg_fp_command(fp, &opt.msg, now);
		break;
	default:
		rm.msg.type = MG_CMD_REMOVE;
		rm.how = u8(in) & 1;
		full = 0;
		mg_fp_command(fp, &rm.msg, now);
		mg_fp_flush(fp, now);
		if (flow->run == MG_FLOW_FREE)
			install(in, flow->gen + 1);
		break;
	}
}

static void op_time(struct in *in)
{
	uint64_t next = mg_fp_next_ns(fp);

	if (u8(in) & 1)
		now += (uint64_t)u16(in) << u8(in) % 20;
	else if (next != UINT64_MAX && next > now)
		now = next;
	(void)mg_fp_timers(fp, now);
}

static void one_op(struct in *in)
{
	struct mg_shm_window *w = &app.windows[1];

	switch (u8(in) % 12) {
	case 0:
	case 1:
	case 2:
	case 3:
		op_segment(in);
		return;
	case 4:
		op_read(in);
		return;
	case 5:
		op_write(in);
		break;
	case 6:
		op_time(in);
		break;
	case 7:
		op_command(in);
		break;
	case 8:
		starve = u8(in) & 3;
		full = u8(in) & 3;
		break;
	case 9:
		(void)atomic_fetch_or(&w->a_flags,
				      u16(in) & 0x71f &
					      ~(uint32_t)(u8(in) & 15 ? MG_SHM_AF_ABORT : 0));
		mg_appwin_look(fp, flow);
		break;
	case 10:
		if (u8(in) == 77)
			atomic_fetch_add(u8(in) & 1 ? &w->rx_head : &w->tx_head,
					 (uint64_t)u16(in) << u8(in) % 64);
		mg_appwin_look(fp, flow);
		break;
	default:
		break;
	}
	mg_fp_flush(fp, now);
	mg_fp_check(fp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size };

	setup(&in);
	while (in.left != 0)
		one_op(&in);
	mg_fp_flush(fp, now);
	mg_fp_check(fp);
	free(mem);
	free(region);
	return 0;
}
