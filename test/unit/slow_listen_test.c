/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_listen_test.c - LISTEN and SYN-RECEIVED of passive opens, the hand-over to the worker, accept queues.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/slow_builder.h"

#define SYN_OPTS (MG_SEG_OPT_MSS | MG_SEG_OPT_WS | MG_SEG_OPT_SACK_PERM | MG_SEG_OPT_TS)

static const struct sb_seg plain_syn = { .seq = SB_PISS, .flags = MG_TCP_SYN, .wnd = 64240 };

/* ---- LISTEN ---- */

static void test_listen_syn_gets_synack(void **state)
{
	struct sb b;
	const struct mg_seg *seg;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS,
				    .flags = MG_TCP_SYN,
				    .wnd = 64240,
				    .mss = 1400,
				    .ws = 7,
				    .tsval = 5000,
				    .opts = SYN_OPTS });
	seg = sb_tx(&b);
	assert_non_null(seg);
	assert_int_equal(seg->flags, MG_TCP_SYN | MG_TCP_ACK);
	assert_int_equal(seg->ack, SB_PISS + 1);
	assert_int_equal(seg->wnd, SB_RING);
	assert_int_equal(seg->opts, SYN_OPTS);
	assert_int_equal(seg->mss, SB_MSS);
	assert_int_equal(seg->ws, 7); /* 4 MiB >> 7 fits into 16 bits */
	assert_int_equal(seg->tsecr, 5000);
	assert_int_equal(seg->tuple.lport, SB_PORT);
	assert_int_equal(seg->tuple.rport, SB_PPORT);
	assert_memory_equal(seg->l2, b.peer_mac.b, 6);
	assert_int_equal(b.s->embryo_pool.nr_used, 1);
	sb_tx_none(&b);
	sb_free(&b);
}

static void test_listen_plain_syn_gets_plain_synack(void **state)
{
	struct sb b;
	const struct mg_seg *seg;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	sb_rx(&b, &plain_syn);
	seg = sb_tx(&b);
	assert_non_null(seg);
	assert_int_equal(seg->opts, MG_SEG_OPT_MSS);
	sb_free(&b);
}

static void test_listen_options_off(void **state)
{
	struct sb b;
	const struct mg_seg *seg;

	(void)state;
	sb_conf(&b);
	b.conf.timestamps = false;
	b.conf.sack = false;
	b.conf.window_scale = 0xff;
	b.conf.mss = 1000;
	sb_start(&b, true);
	sb_listen(&b, 8);
	sb_rx(&b, &(struct sb_seg){ .seq = 1, .flags = MG_TCP_SYN, .mss = 1400, .opts = SYN_OPTS });
	seg = sb_tx(&b);
	assert_non_null(seg);
	assert_int_equal(seg->opts, MG_SEG_OPT_MSS);
	assert_int_equal(seg->mss, 1000);
	sb_free(&b);
}

static void expect_rst(struct sb *b, uint32_t seq, uint32_t ack, uint16_t flags)
{
	const struct mg_seg *seg = sb_tx(b);

	assert_non_null(seg);
	assert_int_equal(seg->flags, flags);
	assert_int_equal(seg->seq, seq);
	if (flags & MG_TCP_ACK)
		assert_int_equal(seg->ack, ack);
}

static void test_closed_port(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	sb_rx(&b, &plain_syn);
	expect_rst(&b, 0, SB_PISS + 1, MG_TCP_RST | MG_TCP_ACK);
	sb_rx(&b, &(struct sb_seg){ .seq = 5, .ack = 99, .flags = MG_TCP_ACK, .len = 10 });
	expect_rst(&b, 99, 0, MG_TCP_RST);
	sb_rx(&b, &(struct sb_seg){ .seq = 5, .flags = MG_TCP_FIN, .len = 10 });
	expect_rst(&b, 0, 16, MG_TCP_RST | MG_TCP_ACK);
	sb_rx(&b, &(struct sb_seg){ .seq = 5, .flags = MG_TCP_RST });
	sb_rx(&b, &(struct sb_seg){ .seq = 5, .ack = 1, .flags = MG_TCP_RST | MG_TCP_ACK });
	sb_tx_none(&b);
	sb_free(&b);
}

static void test_listen_other_segments(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	sb_rx(&b, &(struct sb_seg){ .seq = 5, .ack = 99, .flags = MG_TCP_ACK });
	expect_rst(&b, 99, 0, MG_TCP_RST);
	sb_rx(&b, &(struct sb_seg){ .seq = 5, .ack = 99, .flags = MG_TCP_SYN | MG_TCP_ACK });
	expect_rst(&b, 99, 0, MG_TCP_RST);
	sb_rx(&b, &(struct sb_seg){ .seq = 5, .flags = MG_TCP_RST });
	sb_rx(&b, &(struct sb_seg){ .seq = 5, .flags = MG_TCP_FIN });
	sb_rx(&b, &(struct sb_seg){ .seq = 5, .flags = MG_TCP_SYN | MG_TCP_FIN });
	sb_rx(&b, &(struct sb_seg){ .seq = 5, .flags = 0, .len = 10 });
	sb_tx_none(&b);
	assert_int_equal(b.s->embryo_pool.nr_used, 0);
	sb_free(&b);
}

/* MUST-57, MUST-63 */
static void test_listen_bad_sources(void **state)
{
	static const uint32_t bad[] = { 0,          0x7f000001, 0xe0000001, 0xffffffff,
					0x0a4d0001, 0x0a4d00ff, 0x00000005 };
	struct sb b;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	for (size_t i = 0; i < MG_ARRAY_SIZE(bad); i++) {
		struct sb_seg seg = plain_syn;

		seg.src = mg_addr_v4(bad[i]);
		sb_rx(&b, &seg);
		seg.dport = SB_PORT + 1; /* no listener: no reset either */
		sb_rx(&b, &seg);
	}
	for (int i = 0; i < 2; i++) {
		struct sb_seg seg = plain_syn;

		seg.dst = mg_addr_v4(i ? 0x0a4d00ff : 0xe0000001);
		sb_rx(&b, &seg);
		seg.dst = SB_US;
		seg.l2_broadcast = true;
		sb_rx(&b, &seg);
	}
	sb_rx(&b, &(struct sb_seg){ .seq = 1, .flags = MG_TCP_SYN, .dst = mg_addr_v4(0x0a4d0099) });
	sb_tx_none(&b);
	assert_int_equal(b.s->embryo_pool.nr_used, 0);
	sb_free(&b);
}

/* ---- SYN-RECEIVED ---- */

static void test_synrcvd_retransmits_and_gives_up(void **state)
{
	struct sb b;
	uint32_t iss;
	uint64_t gap_ns = MG_NS_PER_S;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	iss = sb_syn_received(&b);
	for (int i = 0; i < b.conf.synack_retries; i++) {
		sb_wait(&b, gap_ns - 2 * MG_NS_PER_MS);
		sb_tx_none(&b);
		sb_wait(&b, 4 * MG_NS_PER_MS);
		assert_int_equal(sb_tx(&b)->seq, iss);
		b.now_ns -= 2 * MG_NS_PER_MS; /* the timer ran on time, our waiting did not */
		gap_ns *= 2;
	}
	sb_wait(&b, gap_ns + MG_NS_PER_S);
	assert_int_equal(b.s->embryo_pool.nr_used, 0);
	assert_int_equal(b.s->stats.embryos_timed_out, 1);
	sb_tx_none(&b);
	sb_free(&b);
}

/*
 * RFC 4987 3.3: SYN-ACKs that are sent again, where so many of 16 places are taken: what is beyond the half gives up
 * after two, what is beyond three quarters after one.
 */
static void test_synrcvd_gives_up_early_under_pressure(void **state)
{
	static const struct {
		uint32_t used, again;
	} is[] = {
		{ 8, 8 * 5 },
		{ 9, 2 + 8 * 5 },
		{ 12, 4 * 2 + 8 * 5 },
		{ 16, 4 + 4 * 2 + 8 * 5 },
	};

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(is); i++) {
		struct sb b;

		sb_new(&b);
		sb_listen(&b, 64);
		assert_int_equal(b.conf.synack_retries, 5);
		for (uint32_t k = 0; k < is[i].used; k++) {
			sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS,
						    .flags = MG_TCP_SYN,
						    .opts = SYN_OPTS,
						    .mss = 1460,
						    .sport = (uint16_t)(2000 + k) });
			assert_non_null(sb_tx(&b));
		}
		assert_int_equal(b.s->embryo_pool.nr_used, is[i].used);
		sb_wait(&b, 120 * MG_NS_PER_S);
		assert_int_equal(b.s->embryo_pool.nr_used, 0);
		assert_int_equal(b.s->stats.embryos_timed_out, is[i].used);
		assert_int_equal(b.s->stats.synack_retrans, is[i].again);
		sb_free(&b);
	}
}

static void test_synrcvd_duplicate_syn(void **state)
{
	struct sb b;
	uint32_t iss;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	iss = sb_syn_received(&b);
	iss = iss == 0 ? 0 : iss;
	sb_rx(&b, &(struct sb_seg){
			  .seq = SB_PISS, .flags = MG_TCP_SYN, .opts = SYN_OPTS, .mss = 1460 });
	assert_int_equal(sb_tx(&b)->seq, iss);
	sb_free(&b);
}

static void test_synrcvd_rst(void **state)
{
	struct sb b;
	const struct mg_seg *seg;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	(void)sb_syn_received(&b);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS, .flags = MG_TCP_RST }); /* left of the window */
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1 + SB_RING, .flags = MG_TCP_RST });
	sb_tx_none(&b);
	sb_rx(&b,
	      &(struct sb_seg){ .seq = SB_PISS + 2, .flags = MG_TCP_RST }); /* inside: challenge */
	seg = sb_tx(&b);
	assert_int_equal(seg->flags, MG_TCP_ACK);
	assert_int_equal(seg->ack, SB_PISS + 1);
	assert_int_equal(b.s->embryo_pool.nr_used, 1);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1, .flags = MG_TCP_RST });
	assert_int_equal(b.s->embryo_pool.nr_used, 0);
	sb_tx_none(&b);
	(void)sb_syn_received(&b); /* MUST-11: back in LISTEN */
	sb_free(&b);
}

static void test_synrcvd_bad_ack_is_reset(void **state)
{
	struct sb b;
	uint32_t iss;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	iss = sb_syn_received(&b);
	for (int i = 0; i < 2; i++) {
		uint32_t ack = i ? iss + 2 : iss;

		sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
					    .ack = ack,
					    .flags = MG_TCP_ACK,
					    .opts = MG_SEG_OPT_TS,
					    .tsval = 5001 });
		expect_rst(&b, ack, 0, MG_TCP_RST);
	}
	assert_int_equal(b.s->embryo_pool.nr_used, 1);
	sb_free(&b);
}

static void test_synrcvd_timestamps(void **state)
{
	struct sb b;
	uint32_t iss;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	iss = sb_syn_received(&b);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1, .ack = iss + 1, .flags = MG_TCP_ACK });
	sb_tx_none(&b);
	assert_int_equal(b.s->stats.drop_no_timestamp, 1);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = iss + 1,
				    .flags = MG_TCP_ACK,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 4999 });
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_ACK);
	assert_int_equal(b.s->stats.drop_paws, 1);
	assert_null(sb_conn(&b));
	sb_free(&b);
}

static void test_synrcvd_new_syn_in_window(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	(void)sb_syn_received(&b);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 10,
				    .flags = MG_TCP_SYN,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 6000 });
	assert_int_equal(b.s->embryo_pool.nr_used,
			 0); /* RFC 9293 3.10.7.4, fourth: back to LISTEN */
	sb_tx_none(&b);
	sb_free(&b);
}

/* ---- waiting for data (TCP_DEFER_ACCEPT) ---- */

static void listen_deferred(struct sb *b, uint16_t seconds)
{
	sb_new(b);
	sb_listen(b, 8);
	sb_accept(b, 8);
	mg_ctl_init(b->msg, MG_CTL_TCP_SET_OPTION, 1, 1);
	b->msg->opt[0] = (struct mg_ctl_opt){ .window = b->listener,
					      .option = MG_CTL_OPT_LISTEN_DEFER_S,
					      .value = seconds };
	assert_int_equal(sb_ctl(b, MG_CTL_TCP_SET_OPTION, 1), 0);
}

static void ack_of(struct sb *b, uint32_t iss, uint16_t flags, uint32_t len)
{
	sb_rx(b, &(struct sb_seg){ .seq = SB_PISS + 1,
				   .ack = iss + 1,
				   .flags = (uint16_t)(MG_TCP_ACK | flags),
				   .wnd = 502,
				   .len = len,
				   .opts = MG_SEG_OPT_TS,
				   .tsval = 5010,
				   .tsecr = 1 });
}

static void test_deferred_until_data(void **state)
{
	struct mg_shm_event ev;
	struct sb b;
	uint32_t iss;

	(void)state;
	listen_deferred(&b, 5);
	iss = sb_syn_received(&b);
	b.now_ns += 10 * MG_NS_PER_MS;
	ack_of(&b, iss, 0, 0);
	assert_null(sb_conn(&b));
	assert_int_equal(b.s->stats.ack_deferred, 1);
	sb_wait(&b, 1500 * MG_NS_PER_MS); /* its timer runs, but nothing is sent */
	sb_tx_none(&b);
	ack_of(&b, iss, MG_TCP_PSH, 10);
	assert_true(sb_event(&b, &ev));
	assert_int_equal(ev.kind, MG_SHM_EV_ACCEPTED);
	/* the round trip is that of the first ACK, not of the data */
	assert_int_equal(sb_cmd(&b, MG_CMD_INSTALL)->install.srtt_us, 10000);
	sb_free(&b);
}

static void test_deferred_fin_counts(void **state)
{
	struct sb b;

	(void)state;
	listen_deferred(&b, 5);
	ack_of(&b, sb_syn_received(&b), MG_TCP_FIN, 0);
	assert_non_null(sb_conn(&b));
	sb_free(&b);
}

/* 3 s are two time-outs, of 1 and 2 s; at the second the SYN-ACK comes again, for an ACK that is taken. */
static void test_deferred_no_longer_than_asked(void **state)
{
	const struct mg_seg *seg;
	struct sb b;
	uint32_t iss;

	(void)state;
	listen_deferred(&b, 3);
	iss = sb_syn_received(&b);
	ack_of(&b, iss, 0, 0);
	sb_wait(&b, 1100 * MG_NS_PER_MS);
	seg = sb_tx(&b);
	assert_null(seg); /* one more time-out to go */
	ack_of(&b, iss, 0, 0);
	assert_null(sb_conn(&b));
	sb_wait(&b, 2100 * MG_NS_PER_MS);
	seg = sb_tx(&b);
	assert_non_null(seg);
	assert_int_equal(seg->flags, MG_TCP_SYN | MG_TCP_ACK);
	ack_of(&b, iss, 0, 0);
	assert_non_null(sb_conn(&b));
	sb_free(&b);
}

static void test_deferred_without_ack_is_as_ever(void **state)
{
	struct sb b;

	(void)state;
	listen_deferred(&b, 30);
	(void)sb_syn_received(&b);
	sb_wait(&b, 1100 * MG_NS_PER_MS);
	assert_non_null(sb_tx(&b));
	sb_wait(&b, 200 * MG_NS_PER_S);
	assert_int_equal(b.s->stats.embryos_timed_out, 1);
	assert_int_equal(b.s->embryo_pool.nr_used, 0);
	sb_clear(&b);
	sb_free(&b);
}

static void test_listener_options_are_checked(void **state)
{
	static const struct {
		uint32_t option;
		int64_t value;
		int status;
	} cases[] = {
		{ MG_CTL_OPT_LISTEN_TTL, 256, -EINVAL },
		{ MG_CTL_OPT_LISTEN_TTL, 0, 0 },
		{ MG_CTL_OPT_LISTEN_TOS, -1, -EINVAL },
		{ MG_CTL_OPT_LISTEN_TOS, 255, 0 },
		{ MG_CTL_OPT_LISTEN_DEFER_S, -5, -EINVAL },
		{ MG_CTL_OPT_LISTEN_DEFER_S, INT64_MAX, 0 },
	};
	struct sb b;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	for (size_t i = 0; i < MG_ARRAY_SIZE(cases); i++) {
		mg_ctl_init(b.msg, MG_CTL_TCP_SET_OPTION, 1, 1);
		b.msg->opt[0] = (struct mg_ctl_opt){ .window = b.listener,
						     .option = cases[i].option,
						     .value = cases[i].value };
		assert_int_equal(sb_ctl(&b, MG_CTL_TCP_SET_OPTION, 1), cases[i].status);
	}
	assert_int_equal(mg_listener_by_id(b.s, b.listener)->defer, UINT8_MAX);
	mg_ctl_init(b.msg, MG_CTL_TCP_SET_OPTION, 1, 1);
	b.msg->opt[0] = (struct mg_ctl_opt){ .window = b.listener + 1,
					     .option = MG_CTL_OPT_LISTEN_TTL };
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_SET_OPTION, 1), -ENOENT);
	sb_free(&b);
}

static void test_listener_ttl_and_tos(void **state)
{
	struct sb b;
	const struct mg_seg *seg;
	uint32_t iss;

	(void)state;
	sb_new(&b);
	mg_ctl_init(b.msg, MG_CTL_TCP_LISTEN, 1, 1);
	b.msg->listen[0] = (struct mg_ctl_listen){
		.port = SB_PORT,
		.backlog = 8,
		.ttl = 9,
		.tos = 0xbb,
	};
	if (!b.v6)
		b.msg->listen[0].addr = mg_addr_v4(0);
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_LISTEN, 1), 0);
	sb_rx(&b, &plain_syn);
	seg = sb_tx(&b);
	assert_non_null(seg);
	assert_int_equal(seg->ttl, 9);
	assert_int_equal(seg->dscp, 0xb8 >> 2);
	assert_int_equal(seg->ecn, 0);
	iss = seg->seq;
	sb_rx(&b, &(struct sb_seg){
			  .seq = SB_PISS + 1, .ack = iss + 1, .flags = MG_TCP_ACK, .wnd = 9 });
	assert_int_equal(sb_cmd(&b, MG_CMD_INSTALL)->install.ttl, 9);
	assert_int_equal(sb_conn(&b)->tos, 0xb8);
	sb_free(&b);
}

/* ---- the hand-over ---- */

static void test_install_is_exact(void **state)
{
	struct sb b;
	const struct mg_cmd_install *i;
	uint32_t iss;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	iss = sb_syn_received(&b);
	b.now_ns += 10 * MG_NS_PER_MS;
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = iss + 1,
				    .flags = MG_TCP_ACK,
				    .wnd = 502,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 5010,
				    .tsecr = 1 });
	i = &sb_cmd(&b, MG_CMD_INSTALL)->install;
	assert_int_equal(i->msg.len, sizeof(*i));
	assert_int_equal(i->msg.flow, sb_conn(&b)->idx);
	assert_int_equal(i->msg.gen, sb_conn(&b)->gen);
	assert_int_equal(i->tuple.lport, SB_PORT);
	assert_int_equal(i->tuple.rport, SB_PPORT);
	assert_memory_equal(&i->smac, &b.mac, 6);
	assert_memory_equal(&i->dmac, &b.peer_mac, 6);
	assert_int_equal(i->ttl, 64);
	assert_int_equal(i->snd_wscale, 7);
	assert_int_equal(i->rcv_wscale, 7);
	assert_int_equal(i->flags, MG_FLOW_TS | MG_FLOW_SACK | MG_FLOW_WS | MG_FLOW_PACING);
	assert_int_equal(i->mss, SB_MSS - 12);
	assert_int_equal(i->iss, iss);
	assert_int_equal(i->irs, SB_PISS);
	assert_int_equal(i->snd_una, iss + 1);
	assert_int_equal(i->snd_nxt, iss + 1);
	assert_int_equal(i->snd_wnd, 502 << 7);
	assert_int_equal(i->rcv_nxt, SB_PISS + 1);
	assert_int_equal(i->rcv_adv, SB_PISS + 1 + SB_RING);
	assert_int_equal(i->rcv_mss, SB_MSS);
	assert_int_equal(i->ts_recent, 5010);
	assert_int_equal(i->cwnd_bytes, 10 * (SB_MSS - 12));
	assert_int_equal(i->ssthresh_bytes, MG_CC_SSTHRESH_INF);
	assert_int_equal(i->srtt_us, 10000);
	assert_int_equal(i->rttvar_us, 5000);
	assert_int_equal(i->rto_us, 200000); /* 30 ms, but not below the minimum */
	assert_int_equal(i->rto_min_us, 200000);
	assert_int_equal(i->delack_us, 40000);
	assert_ptr_equal(i->app, b.app);
	assert_int_equal(i->rx_bytes, SB_RING);
	assert_int_equal(i->tx_bytes, SB_RING);
	assert_true(i->rx_off >= b.app->payload_off &&
		    i->rx_off + i->rx_bytes <= b.app->total_bytes);
	assert_true(i->rx_off != i->tx_off);
	sb_tx_none(&b);
	sb_no_cmd(&b, MG_CMD_REINJECT);
	sb_free(&b);
}

static void test_syn_loss_shrinks_first_window(void **state)
{
	struct sb b;
	const struct mg_cmd_install *i;
	uint32_t iss;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	iss = sb_syn_received(&b);
	sb_wait(&b, 1100 * MG_NS_PER_MS);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = iss + 1,
				    .flags = MG_TCP_ACK,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 5010 });
	i = &sb_cmd(&b, MG_CMD_INSTALL)->install;
	assert_int_equal(i->cwnd_bytes, SB_MSS - 12);
	assert_int_equal(i->srtt_us, 0);
	assert_int_equal(i->rto_us, 3000000); /* RFC 6298 5.7 */
	sb_free(&b);
}

static void test_mss_rules(void **state)
{
	static const struct {
		uint16_t offer, expect;
	} cases[] = {
		{ 0, SB_MSS_DEFAULT }, { 1, MG_MSS_MIN }, { 536, 536 },
		{ SB_MSS, SB_MSS },    { 9000, SB_MSS },
	};

	(void)state;
	for (size_t n = 0; n < MG_ARRAY_SIZE(cases); n++) {
		struct sb b;
		uint32_t iss;

		sb_new(&b);
		sb_listen(&b, 8);
		sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS,
					    .flags = MG_TCP_SYN,
					    .mss = cases[n].offer,
					    .opts = cases[n].offer ? MG_SEG_OPT_MSS : 0 });
		iss = sb_tx(&b)->seq;
		sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
					    .ack = iss + 1,
					    .flags = MG_TCP_ACK,
					    .wnd = 100 });
		assert_int_equal(sb_cmd(&b, MG_CMD_INSTALL)->install.mss, cases[n].expect);
		sb_free(&b);
	}
}

static void test_data_in_final_ack_is_reinjected(void **state)
{
	struct sb b;
	uint32_t iss;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	iss = sb_syn_received(&b);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = iss + 1,
				    .flags = MG_TCP_ACK | MG_TCP_PSH,
				    .len = 20,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 5010 });
	assert_non_null(sb_cmd(&b, MG_CMD_INSTALL));
	assert_non_null(sb_cmd(&b, MG_CMD_REINJECT));
	/* and a segment that came up before the worker knew the flow */
	sb_rx(&b, &(struct sb_seg){
			  .seq = SB_PISS + 21, .ack = iss + 1, .flags = MG_TCP_ACK, .len = 20 });
	assert_non_null(sb_cmd(&b, MG_CMD_REINJECT));
	assert_int_equal(b.last.msg.flow, sb_conn(&b)->idx);
	/* what the flow itself declined must not go round in circles */
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 41,
				    .ack = iss + 1,
				    .flags = MG_TCP_ACK,
				    .len = 20,
				    .reason = MG_PKT_EXCEPTION });
	sb_no_cmd(&b, MG_CMD_REINJECT);
	sb_free(&b);
}

static void test_install_waits_for_room(void **state)
{
	struct sb b;
	uint32_t iss;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	iss = sb_syn_received(&b);
	sb_clear(&b);
	b.is_full = true;
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = iss + 1,
				    .flags = MG_TCP_ACK,
				    .len = 20,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 5010 });
	assert_int_equal(sb_conn(&b)->flow, MG_CONN_FLOW_INSTALLING);
	assert_true(mg_slow_next_ns(b.s) <= b.now_ns + MG_NS_PER_MS);
	sb_wait(&b, 5 * MG_NS_PER_MS);
	b.is_full = false;
	sb_wait(&b, 5 * MG_NS_PER_MS);
	assert_non_null(sb_cmd(&b, MG_CMD_INSTALL));
	assert_int_equal(sb_conn(&b)->flow, MG_CONN_FLOW_LIVE);
	sb_no_cmd(&b, MG_CMD_INSTALL);
	sb_free(&b);
}

/* ---- accept queue ---- */

static void finish(struct sb *b, uint16_t sport)
{
	uint32_t iss;

	sb_rx(b,
	      &(struct sb_seg){ .sport = sport, .seq = SB_PISS, .flags = MG_TCP_SYN, .wnd = 1000 });
	iss = sb_tx(b)->seq;
	sb_rx(b, &(struct sb_seg){
			 .sport = sport, .seq = SB_PISS + 1, .ack = iss + 1, .flags = MG_TCP_ACK });
}

static void test_credits_gate_events(void **state)
{
	struct sb b;
	struct mg_shm_event ev;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	for (uint16_t i = 0; i < 3; i++)
		finish(&b, (uint16_t)(2000 + i));
	assert_false(sb_event(&b, &ev));
	sb_accept(&b, 2);
	for (int i = 0; i < 2; i++) {
		assert_true(sb_event(&b, &ev));
		assert_int_equal(ev.kind, MG_SHM_EV_ACCEPTED);
		assert_int_equal(ev.cookie, 77);
		assert_int_equal(b.app->windows[ev.index].tuple.rport, 2000 + i);
		assert_int_equal(b.app->windows[ev.index].state, MG_SHM_ST_OPEN);
		assert_int_equal(b.app->windows[ev.index].gen, ev.gen);
	}
	assert_false(sb_event(&b, &ev));
	sb_accept(&b, 5);
	assert_true(sb_event(&b, &ev));
	assert_int_equal(b.s->listeners[0].credits[0], 4);
	sb_free(&b);
}

static void test_backlog_full(void **state)
{
	struct sb b;
	uint32_t iss;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 2);
	iss = sb_syn_received(&b);
	finish(&b, 2000);
	finish(&b, 2001);
	sb_clear(&b);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = iss + 1,
				    .flags = MG_TCP_ACK,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 5010 });
	assert_int_equal(b.s->embryo_pool.nr_used, 1); /* the ACK is ignored */
	assert_int_equal(b.s->stats.ack_ignored_backlog, 1);
	sb_rx(&b, &(struct sb_seg){ .sport = 2002, .seq = 1, .flags = MG_TCP_SYN });
	assert_int_equal(b.s->stats.syn_dropped_backlog, 1);
	sb_tx_none(&b);
	sb_accept(&b, 1);
	sb_wait(&b, 1100 * MG_NS_PER_MS); /* SYN-ACK again, and now there is room */
	assert_non_null(sb_tx(&b));
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = iss + 1,
				    .flags = MG_TCP_ACK,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 5010 });
	assert_int_equal(b.s->conn_pool.nr_used, 3);
	sb_free(&b);
}

static void test_no_payload_room(void **state)
{
	struct sb b;

	(void)state;
	sb_conf(&b);
	b.lim.app_payload_bytes_max = 3 * SB_RING;
	sb_start(&b, true);
	sb_listen(&b, 8);
	finish(&b, 2000);
	finish(&b, 2001);
	assert_int_equal(b.s->conn_pool.nr_used, 1);
	assert_int_equal(b.s->embryo_pool.nr_used, 1);
	assert_int_equal(b.s->stats.ack_ignored_room, 1);
	sb_free(&b);
}

static void test_listen_close_resets_queue(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	finish(&b, 2000);
	(void)sb_syn_received(&b);
	sb_clear(&b);
	mg_ctl_init(b.msg, MG_CTL_TCP_LISTEN_CLOSE, 1, 1);
	b.msg->listener[0].listener = b.listener;
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_LISTEN_CLOSE, 1), 0);
	assert_int_equal(b.s->embryo_pool.nr_used, 0);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	assert_int_equal(b.s->conn_pool.nr_used, 0);
	mg_ctl_init(b.msg, MG_CTL_TCP_LISTEN_CLOSE, 1, 1);
	b.msg->listener[0].listener = b.listener;
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_LISTEN_CLOSE, 1), -ENOENT);
	sb_free(&b);
}

static int listen_at(struct sb *b, uint32_t addr, uint16_t port, uint16_t flags)
{
	mg_ctl_init(b->msg, MG_CTL_TCP_LISTEN, 1, 1);
	b->msg->listen[0] = (struct mg_ctl_listen){
		.addr = addr == 0 ? mg_addr_any(SB_V6) : mg_addr_v4(addr),
		.port = port,
		.flags = flags,
		.backlog = 4,
	};
	return sb_ctl(b, MG_CTL_TCP_LISTEN, 1);
}

static void test_listen_conflicts(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	assert_int_equal(listen_at(&b, 0, 80, 0), 0);
	assert_int_equal(listen_at(&b, 0, 80, 0), -EADDRINUSE);
	assert_int_equal(listen_at(&b, 0x0a4d0001, 80, 0), -EADDRINUSE);
	assert_int_equal(listen_at(&b, 0, 80, MG_CTL_LISTEN_REUSEPORT), -EADDRINUSE);
	assert_int_equal(listen_at(&b, 0x0a4d0005, 81, 0), -EADDRNOTAVAIL);
	assert_int_equal(listen_at(&b, 0x0a4d0001, 82, MG_CTL_LISTEN_REUSEPORT), 0);
	assert_int_equal(listen_at(&b, 0x0a4d0001, 82, MG_CTL_LISTEN_REUSEPORT), 0);
	assert_int_equal(listen_at(&b, 0, 0, 0), 0);
	assert_true(b.msg->listen[0].port >= 32768);
	b.msg->listen[0].context = 9;
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_LISTEN, 1), -EINVAL);
	sb_free(&b);
}

static int listen_text(struct sb *b, const char *text, uint16_t flags)
{
	mg_ctl_init(b->msg, MG_CTL_TCP_LISTEN, 1, 1);
	b->msg->listen[0] = (struct mg_ctl_listen){ .port = 81, .flags = flags, .backlog = 4 };
	assert_int_equal(mg_addr_parse(text, &b->msg->listen[0].addr), 0);
	return sb_ctl(b, MG_CTL_TCP_LISTEN, 1);
}

#define V6ONLY MG_CTL_LISTEN_V6ONLY
#define REUSE MG_CTL_LISTEN_REUSEPORT

/* Every pair, in both orders, as Linux judges it. */
static void test_families_conflict_as_on_linux(void **state)
{
	static const struct {
		const char *a;
		uint16_t a_flags;
		const char *b;
		uint16_t b_flags;
		int expect;
	} cases[] = {
		{ "::", 0, "0.0.0.0", 0, -EADDRINUSE },
		{ "::", 0, "10.77.0.1", 0, -EADDRINUSE },
		{ "::", 0, "fd77::1", 0, -EADDRINUSE },
		{ "::", 0, "::", V6ONLY, -EADDRINUSE },
		{ "::", V6ONLY, "0.0.0.0", 0, 0 },
		{ "::", V6ONLY, "10.77.0.1", 0, 0 },
		{ "::", V6ONLY, "fd77::1", 0, -EADDRINUSE },
		{ "fd77::1", 0, "0.0.0.0", 0, 0 },
		{ "fd77::1", 0, "10.77.0.1", 0, 0 },
		{ "fd77::1", 0, "fd77::1", V6ONLY, -EADDRINUSE },
		{ "::ffff:10.77.0.1", 0, "10.77.0.1", 0, -EADDRINUSE },
		{ "::ffff:0.0.0.0", 0, "::", V6ONLY, 0 },
		{ "::", REUSE, "0.0.0.0", REUSE, 0 },
		{ "::", REUSE, "0.0.0.0", 0, -EADDRINUSE },
	};

	(void)state;
	for (size_t i = 0; i < 2 * MG_ARRAY_SIZE(cases); i++) {
		const char *first = i & 1 ? cases[i / 2].b : cases[i / 2].a;
		const char *then = i & 1 ? cases[i / 2].a : cases[i / 2].b;
		uint16_t first_flags = i & 1 ? cases[i / 2].b_flags : cases[i / 2].a_flags;
		uint16_t then_flags = i & 1 ? cases[i / 2].a_flags : cases[i / 2].b_flags;
		struct sb b;

		sb_new(&b);
		assert_int_equal(listen_text(&b, first, first_flags), 0);
		assert_int_equal(listen_text(&b, then, then_flags), cases[i / 2].expect);
		sb_free(&b);
	}
}

/* Who gets a SYN of that family? The index of the listener, or -1. */
static int who(struct sb *b, struct mg_addr src, struct mg_addr dst)
{
	sb_clear(b);
	sb_rx(b, &(struct sb_seg){
			 .seq = 1, .flags = MG_TCP_SYN, .src = src, .dst = dst, .dport = 81 });
	for (uint32_t i = 0; i < b->s->listener_pool.nr_touched; i++) {
		if (b->s->listeners[i].nr_embryos > 0) {
			mg_embryo_drop_all_of(b->s, b->s->listeners[i].id);
			return (int)i;
		}
	}
	return -1;
}

static void test_listener_of_the_family_comes_first(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	assert_int_equal(listen_text(&b, "::", REUSE), 0);
	assert_int_equal(who(&b, SB_PEER6, SB_US6), 0);
	assert_int_equal(who(&b, SB_PEER4, SB_US4), 0);
	assert_int_equal(listen_text(&b, "0.0.0.0", REUSE), 0);
	assert_int_equal(who(&b, SB_PEER6, SB_US6), 0);
	assert_int_equal(who(&b, SB_PEER4, SB_US4), 1);
	assert_int_equal(listen_text(&b, "fd77::1", REUSE), 0);
	assert_int_equal(who(&b, SB_PEER6, SB_US6), 2);
	sb_free(&b);
	sb_new(&b);
	assert_int_equal(listen_text(&b, "::", V6ONLY), 0);
	assert_int_equal(who(&b, SB_PEER6, SB_US6), 0);
	assert_int_equal(who(&b, SB_PEER4, SB_US4), -1);
	assert_int_equal(b.s->stats.resets_out, 1);
	assert_int_equal(listen_text(&b, "10.77.0.1", V6ONLY), -EINVAL);
	sb_free(&b);
}

static void test_reuseport_spreads(void **state)
{
	struct sb b;
	uint32_t used = 0;

	(void)state;
	sb_new(&b);
	for (int i = 0; i < 2; i++)
		assert_int_equal(listen_at(&b, 0, SB_PORT, MG_CTL_LISTEN_REUSEPORT), 0);
	for (uint16_t i = 0; i < 16; i++)
		sb_rx(&b, &(struct sb_seg){
				  .sport = (uint16_t)(3000 + i), .seq = 1, .flags = MG_TCP_SYN });
	for (int i = 0; i < 2; i++)
		used += b.s->listeners[i].nr_embryos > 2;
	assert_int_equal(used, 2);
	sb_free(&b);
}

/* ---- SYN cookies ---- */

static void test_cookie_round_trip(void **state)
{
	struct sb b;
	const struct mg_cmd_install *i;
	struct mg_seg seg;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	for (uint16_t n = 0; n < b.lim.embryos_max; n++)
		sb_rx(&b, &(struct sb_seg){
				  .sport = (uint16_t)(3000 + n), .seq = 1, .flags = MG_TCP_SYN });
	sb_clear(&b);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS,
				    .flags = MG_TCP_SYN,
				    .wnd = 64240,
				    .mss = 1460,
				    .ws = 7,
				    .tsval = 5000,
				    .opts = SYN_OPTS });
	seg = *sb_tx(&b);
	assert_int_equal(b.s->stats.cookies_sent, 1);
	assert_int_equal(seg.opts, SYN_OPTS);
	assert_int_equal(b.s->embryo_pool.nr_used, b.lim.embryos_max);
	b.now_ns += 63 * MG_NS_PER_S;
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = seg.seq + 2,
				    .flags = MG_TCP_ACK,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 5001,
				    .tsecr = seg.tsval });
	assert_int_equal(b.s->stats.cookies_failed, 1);
	expect_rst(&b, seg.seq + 2, 0, MG_TCP_RST);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = seg.seq + 1,
				    .flags = MG_TCP_ACK,
				    .wnd = 502,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 5001,
				    .tsecr = seg.tsval,
				    .len = 5 });
	assert_int_equal(b.s->stats.cookies_accepted, 1);
	i = &sb_cmd(&b, MG_CMD_INSTALL)->install;
	assert_int_equal(i->mss, SB_MSS - 12);
	assert_int_equal(i->snd_wscale, 7);
	assert_int_equal(i->rcv_wscale, 7);
	assert_int_equal(i->flags & (MG_FLOW_TS | MG_FLOW_SACK | MG_FLOW_WS),
			 MG_FLOW_TS | MG_FLOW_SACK | MG_FLOW_WS);
	assert_int_equal(i->irs, SB_PISS);
	assert_int_equal(i->iss, seg.seq);
	assert_int_equal(i->snd_wnd, 502 << 7);
	assert_non_null(sb_cmd(&b, MG_CMD_REINJECT));
	sb_free(&b);
}

static void test_cookies_always(void **state)
{
	struct sb b;

	(void)state;
	sb_conf(&b);
	b.conf.syn_cookies_always = true;
	sb_start(&b, true);
	sb_listen(&b, 8);
	sb_rx(&b, &plain_syn);
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_SYN | MG_TCP_ACK);
	assert_int_equal(b.s->stats.cookies_sent, 1);
	assert_int_equal(b.s->embryo_pool.nr_used, 0);
	sb_free(&b);
}

static void test_no_cookies_drops(void **state)
{
	struct sb b;

	(void)state;
	sb_conf(&b);
	b.conf.syn_cookies = false;
	sb_start(&b, true);
	sb_listen(&b, 8);
	for (uint16_t n = 0; n < b.lim.embryos_max; n++)
		sb_rx(&b, &(struct sb_seg){
				  .sport = (uint16_t)(3000 + n), .seq = 1, .flags = MG_TCP_SYN });
	sb_clear(&b);
	sb_rx(&b, &plain_syn);
	sb_tx_none(&b);
	assert_int_equal(b.s->stats.syn_dropped_embryos, 1);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listen_syn_gets_synack),
		cmocka_unit_test(test_listen_plain_syn_gets_plain_synack),
		cmocka_unit_test(test_listen_options_off),
		cmocka_unit_test(test_closed_port),
		cmocka_unit_test(test_listen_other_segments),
		cmocka_unit_test(test_listen_bad_sources),
		cmocka_unit_test(test_synrcvd_retransmits_and_gives_up),
		cmocka_unit_test(test_synrcvd_gives_up_early_under_pressure),
		cmocka_unit_test(test_synrcvd_duplicate_syn),
		cmocka_unit_test(test_synrcvd_rst),
		cmocka_unit_test(test_synrcvd_bad_ack_is_reset),
		cmocka_unit_test(test_synrcvd_timestamps),
		cmocka_unit_test(test_synrcvd_new_syn_in_window),
		cmocka_unit_test(test_install_is_exact),
		cmocka_unit_test(test_syn_loss_shrinks_first_window),
		cmocka_unit_test(test_mss_rules),
		cmocka_unit_test(test_data_in_final_ack_is_reinjected),
		cmocka_unit_test(test_install_waits_for_room),
		cmocka_unit_test(test_credits_gate_events),
		cmocka_unit_test(test_backlog_full),
		cmocka_unit_test(test_no_payload_room),
		cmocka_unit_test(test_listen_close_resets_queue),
		cmocka_unit_test(test_listen_conflicts),
		cmocka_unit_test(test_families_conflict_as_on_linux),
		cmocka_unit_test(test_listener_of_the_family_comes_first),
		cmocka_unit_test(test_reuseport_spreads),
		cmocka_unit_test(test_deferred_until_data),
		cmocka_unit_test(test_deferred_fin_counts),
		cmocka_unit_test(test_deferred_no_longer_than_asked),
		cmocka_unit_test(test_deferred_without_ack_is_as_ever),
		cmocka_unit_test(test_listener_options_are_checked),
		cmocka_unit_test(test_listener_ttl_and_tos),
		cmocka_unit_test(test_cookie_round_trip),
		cmocka_unit_test(test_cookies_always),
		cmocka_unit_test(test_no_cookies_drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
