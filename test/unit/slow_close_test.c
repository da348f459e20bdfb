/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_close_test.c - the end of connections: FIN orders, resets, orphans, giving up, TIME-WAIT, the death of an
 *          application in every state.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/slow_builder.h"

static void expect_window(struct sb *b, uint32_t window, uint32_t error)
{
	assert_int_equal(b->app->windows[window].state, MG_SHM_ST_CLOSED);
	assert_int_equal(b->app->windows[window].error, error);
}

/* ---- FIN orders ---- */

static const struct {
	uint16_t events[4];
	uint8_t states[4];
	bool time_wait;
} orders[] = {
	/* we close first */
	{ { MG_EV_FIN_SENT, MG_EV_FIN_ACKED, MG_EV_FIN_RCVD },
	  { MG_TCP_FIN_WAIT_1, MG_TCP_FIN_WAIT_2, MG_TCP_TIME_WAIT },
	  true },
	/* the peer closes first */
	{ { MG_EV_FIN_RCVD, MG_EV_FIN_SENT, MG_EV_FIN_ACKED },
	  { MG_TCP_CLOSE_WAIT, MG_TCP_LAST_ACK, MG_TCP_CLOSED },
	  false },
	/* both at once */
	{ { MG_EV_FIN_SENT, MG_EV_FIN_RCVD, MG_EV_FIN_ACKED },
	  { MG_TCP_FIN_WAIT_1, MG_TCP_CLOSING, MG_TCP_TIME_WAIT },
	  true },
};

static void test_fin_orders(void **state)
{
	(void)state;
	for (size_t n = 0; n < MG_ARRAY_SIZE(orders); n++) {
		struct sb b;
		struct mg_conn *c;
		struct mg_shm_event ev;
		uint32_t window;

		sb_new(&b);
		c = sb_established(&b);
		window = c->window;
		for (int i = 0; i < 3; i++) {
			sb_no_cmd(&b, MG_CMD_REMOVE);
			sb_ev(&b, orders[n].events[i], 0, 0);
			assert_int_equal(c->state, orders[n].states[i]);
		}
		assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_QUIET);
		sb_removed(&b);
		assert_int_equal(b.s->timewaits.pool.nr_used, orders[n].time_wait);
		expect_window(&b, window, 0);
		assert_true(sb_event(&b, &ev));
		/* unread bytes stay readable until the application lets go */
		sb_wait(&b, MG_NS_PER_S);
		assert_int_equal(b.s->conn_pool.nr_used, 1);
		sb_app_flags(&b, window, MG_SHM_AF_CLOSE);
		sb_doorbell(&b, window);
		assert_int_equal(b.s->conn_pool.nr_used, 0);
		assert_int_equal(b.nr_rings_freed, 2);
		sb_tx_none(&b);
		sb_free(&b);
	}
}

static void test_close_before_fins(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
	assert_int_equal(b.s->nr_orphans, 1);
	sb_ev(&b, MG_EV_FIN_SENT, 0, 0);
	sb_ev(&b, MG_EV_FIN_ACKED, 0, 0);
	assert_int_equal(c->state, MG_TCP_FIN_WAIT_2);
	sb_ev(&b, MG_EV_FIN_RCVD, 0, 0);
	sb_removed(&b);
	assert_int_equal(b.s->conn_pool.nr_used, 0); /* nobody waits for it */
	assert_int_equal(b.s->timewaits.pool.nr_used, 1);
	assert_int_equal(b.s->nr_orphans, 0);
	sb_free(&b);
}

static void test_close_with_unread_data_resets(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 17);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	assert_int_equal(b.s->conn_pool.nr_used, 0);
	assert_int_equal(b.s->timewaits.pool.nr_used, 0);
	sb_free(&b);
}

static void test_data_after_close_resets(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
	sb_ev(&b, MG_EV_FIN_SENT, 0, 0);
	sb_ev(&b, MG_EV_DATA_AFTER_CLOSE, 0, 0);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	assert_int_equal(b.s->conn_pool.nr_used, 0);
	sb_free(&b);
}

static void test_abort(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	sb_ev(&b, MG_EV_APP_ABORT, 0, 0);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	assert_int_equal(b.s->conn_pool.nr_used, 0);
	sb_free(&b);
}

static void test_close_by_control(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	mg_ctl_init(b.msg, MG_CTL_TCP_CLOSE, 1, 1);
	b.msg->conn[0] = (struct mg_ctl_conn_ref){ c->window, c->window_gen };
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_CLOSE, 1), 0);
	assert_non_null(sb_cmd(&b, MG_CMD_CLOSE));
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
	assert_int_equal(b.s->nr_orphans, 1);
	sb_free(&b);
}

static void test_linger_zero_resets(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	mg_ctl_init(b.msg, MG_CTL_TCP_SET_OPTION, 1, 1);
	b.msg->opt[0] = (struct mg_ctl_opt){ .window = c->window,
					     .gen = c->window_gen,
					     .option = MG_CTL_OPT_LINGER_MS,
					     .value = 0 };
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_SET_OPTION, 1), 0);
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_free(&b);
}

/* ---- resets from the peer, by state ---- */

static void test_rst_by_state(void **state)
{
	static const struct {
		uint8_t state;
		uint32_t error;
	} cases[] = {
		{ MG_TCP_ESTABLISHED, ECONNRESET },
		{ MG_TCP_CLOSE_WAIT, EPIPE },
		{ MG_TCP_FIN_WAIT_1, ECONNRESET },
		{ MG_TCP_FIN_WAIT_2, ECONNRESET },
		{ MG_TCP_CLOSING, 0 },
		{ MG_TCP_LAST_ACK, 0 },
	};

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(cases); i++) {
		struct sb b;
		struct mg_conn *c;
		uint32_t window;

		sb_new(&b);
		c = sb_in_state(&b, cases[i].state);
		window = c->window;
		sb_ev(&b, MG_EV_RST_RCVD, 0, 0);
		assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_QUIET);
		sb_removed(&b);
		expect_window(&b, window, cases[i].error);
		assert_int_equal(b.s->timewaits.pool.nr_used, 0);
		sb_free(&b);
	}
}

/* ---- giving up ---- */

static void test_r2(void **state)
{
	struct sb b;
	struct mg_conn *c;
	uint32_t window;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	window = c->window;
	for (uint32_t i = 1; i <= b.conf.retries; i++)
		sb_ev(&b, MG_EV_TIMEOUT, i, 0);
	sb_no_cmd(&b, MG_CMD_REMOVE);
	sb_ev(&b, MG_EV_TIMEOUT, b.conf.retries + 1, 0);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	expect_window(&b, window, ETIMEDOUT);
	sb_free(&b);
}

/* MUST-21: as long as it takes. */
static void test_user_timeout_never(void **state)
{
	struct sb b;

	(void)state;
	sb_conf(&b);
	b.conf.user_timeout_ms = MG_USER_TIMEOUT_NEVER;
	sb_start(&b, true);
	(void)sb_established(&b);
	for (uint32_t i = 1; i < 100; i++) {
		sb_wait(&b, 1000 * MG_NS_PER_S);
		sb_ev(&b, MG_EV_TIMEOUT, i, 100);
	}
	sb_no_cmd(&b, MG_CMD_REMOVE);
	sb_free(&b);
}

/* SHLD-10: the third retransmission in vain asks whether the next hop is still there. */
static void test_r1(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_conf(&b);
	sb_start(&b, true);
	c = sb_established(&b);
	c->neigh = mg_neigh_get(b.s, &(struct mg_hop){ .addr = SB_PEER, .port = 0 });
	b.s->neighs.entries[c->neigh].state = MG_NEIGH_REACHABLE; /* learned, not static */
	sb_ev(&b, MG_EV_TIMEOUT, 1, 100);
	sb_ev(&b, MG_EV_TIMEOUT, 2, 100);
	assert_int_equal(b.s->neighs.entries[c->neigh].state, MG_NEIGH_REACHABLE);
	assert_int_equal(c->soft_error, 0);
	sb_ev(&b, MG_EV_TIMEOUT, 3, 100);
	assert_int_equal(c->soft_error, ETIMEDOUT);
	assert_int_equal(b.s->neighs.entries[c->neigh].state, MG_NEIGH_PROBE);
	sb_free(&b);
}

static void test_user_timeout(void **state)
{
	struct sb b;

	(void)state;
	sb_conf(&b);
	b.conf.user_timeout_ms = 5000;
	sb_start(&b, true);
	(void)sb_established(&b);
	sb_ev(&b, MG_EV_TIMEOUT, 1, 0);
	sb_wait(&b, 4 * MG_NS_PER_S);
	sb_ev(&b, MG_EV_TIMEOUT, 2, 0);
	sb_no_cmd(&b, MG_CMD_REMOVE);
	sb_wait(&b, 2 * MG_NS_PER_S);
	sb_ev(&b, MG_EV_TIMEOUT, 3, 0);
	assert_non_null(sb_cmd(&b, MG_CMD_REMOVE));
	assert_int_equal(b.s->stats.timeouts_user, 1);
	sb_free(&b);
}

static void test_fin_wait_2_of_an_orphan_ends(void **state)
{
	struct sb b;

	(void)state;
	for (int closed_first = 0; closed_first < 2; closed_first++) {
		sb_new(&b);
		if (closed_first) {
			(void)sb_established(&b);
			sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
			sb_ev(&b, MG_EV_FIN_SENT, 0, 0);
			sb_ev(&b, MG_EV_FIN_ACKED, 0, 0);
		} else {
			(void)sb_in_state(&b, MG_TCP_FIN_WAIT_2);
			sb_wait(&b,
				300 * MG_NS_PER_S); /* half-closed: for ever, as long as the application lives */
			sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
		}
		sb_wait(&b, 59 * MG_NS_PER_S);
		sb_no_cmd(&b, MG_CMD_REMOVE);
		sb_wait(&b, 2 * MG_NS_PER_S);
		assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_QUIET);
		sb_removed(&b);
		assert_int_equal(b.s->conn_pool.nr_used, 0);
		sb_free(&b);
	}
}

static void test_orphan_limit(void **state)
{
	struct sb b;

	(void)state;
	sb_conf(&b);
	b.conf.orphans_max = 0;
	sb_start(&b, true);
	(void)sb_established(&b);
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	assert_int_equal(b.s->stats.orphans_reset, 1);
	sb_free(&b);
}

/* ---- TIME-WAIT ---- */

static void enter_time_wait(struct sb *b)
{
	struct mg_conn *c = sb_in_state(b, MG_TCP_TIME_WAIT);

	sb_app_flags(b, c->window, MG_SHM_AF_CLOSE);
	sb_removed(b);
	assert_int_equal(b->s->conn_pool.nr_used, 0); /* the flag was seen */
	sb_clear(b);
}

static void test_time_wait_answers_fin_and_restarts(void **state)
{
	struct sb b;
	const struct mg_seg *seg;

	(void)state;
	sb_new(&b);
	enter_time_wait(&b);
	sb_wait(&b, 50 * MG_NS_PER_S);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = 1,
				    .flags = MG_TCP_FIN | MG_TCP_ACK,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 9000 });
	seg = sb_tx(&b);
	assert_int_equal(seg->flags, MG_TCP_ACK);
	assert_int_equal(seg->ack, SB_PISS + 2);
	sb_wait(&b, 59 * MG_NS_PER_S);
	assert_int_equal(b.s->timewaits.pool.nr_used, 1);
	sb_wait(&b, 2 * MG_NS_PER_S);
	assert_int_equal(b.s->timewaits.pool.nr_used, 0);
	sb_free(&b);
}

/* The worker has let go, its word is still on the way, and the peer sends its FIN again. */
static void test_time_wait_answers_what_came_on_the_way(void **state)
{
	struct sb b;
	struct mg_conn *c;
	const struct mg_seg *seg;
	const struct sb_cmd *cmd;
	uint8_t frame[SB_PKT_MAX];
	uint32_t len;

	(void)state;
	sb_new(&b);
	c = sb_in_state(&b, MG_TCP_TIME_WAIT);
	sb_app_flags(&b, c->window, MG_SHM_AF_CLOSE);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = 1,
				    .flags = MG_TCP_FIN | MG_TCP_ACK,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 9000 });
	cmd = sb_cmd(&b, MG_CMD_REINJECT); /* the worker has no such flow, and sends it up again */
	assert_non_null(cmd);
	len = sb_pkt(cmd)->bytes;
	memcpy(frame, sb_pkt(cmd)->data, len);
	sb_clear(&b);
	sb_removed(&b);
	sb_rx_frame(&b, frame, len);
	seg = sb_tx(&b);
	assert_non_null(seg);
	assert_int_equal(seg->flags, MG_TCP_ACK);
	assert_int_equal(seg->ack, SB_PISS + 2);
	sb_tx_none(&b);
	sb_free(&b);
}

static void test_time_wait_other_segments(void **state)
{
	struct sb b;
	uint32_t ack;

	(void)state;
	sb_new(&b);
	enter_time_wait(&b);
	ack = b.s->timewaits.entries[0].snd_nxt;
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 2, .flags = MG_TCP_RST }); /* RFC 1337 */
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 2, .ack = ack, .flags = MG_TCP_ACK });
	sb_rx(&b,
	      &(struct sb_seg){ .seq = SB_PISS + 2, .ack = ack, .flags = MG_TCP_ACK, .len = 5 });
	sb_tx_none(&b);
	sb_rx(&b,
	      &(struct sb_seg){ .seq = SB_PISS - 9, .ack = ack, .flags = MG_TCP_ACK, .len = 5 });
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_ACK);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 2, .ack = ack + 1, .flags = MG_TCP_ACK });
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_ACK);
	assert_int_equal(b.s->timewaits.pool.nr_used, 1);
	sb_free(&b);
}

static void test_time_wait_reuse(void **state)
{
	static const struct {
		uint32_t seq, tsval;
		bool ts, reuse;
	} cases[] = {
		{ SB_PISS - 5, 6000, true, true },   /* later timestamp */
		{ SB_PISS + 99, 5005, true, false }, /* earlier timestamp, whatever SEQ says */
		{ SB_PISS + 99, 5010, true, true },  /* same timestamp, later SEQ */
		{ SB_PISS + 2, 5010, true, false },  { SB_PISS + 3, 0, false, true },
		{ SB_PISS + 1, 0, false, false },
	};

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(cases); i++) {
		struct sb b;
		uint32_t old_snd_nxt;
		const struct mg_seg *seg;

		sb_new(&b);
		enter_time_wait(&b);
		old_snd_nxt = b.s->timewaits.entries[0].snd_nxt;
		sb_rx(&b, &(struct sb_seg){ .seq = cases[i].seq,
					    .flags = MG_TCP_SYN,
					    .wnd = 100,
					    .opts = cases[i].ts ? MG_SEG_OPT_TS : 0,
					    .tsval = cases[i].tsval });
		seg = sb_tx(&b);
		assert_non_null(seg);
		assert_int_equal(seg->flags, cases[i].reuse ? MG_TCP_SYN | MG_TCP_ACK : MG_TCP_ACK);
		assert_int_equal(b.s->timewaits.pool.nr_used, !cases[i].reuse);
		if (cases[i].reuse)
			assert_true((int32_t)(seg->seq - old_snd_nxt) > UINT16_MAX);
		sb_free(&b);
	}
}

/* The same from our side: a connect from that port to that peer (RFC 6191 2, the second list). */
static void test_time_wait_reuse_by_connect(void **state)
{
	static const struct {
		bool ts;
		uint64_t wait_ns;
		int err;
	} cases[] = {
		{ true, 2 * MG_NS_PER_S, 0 }, /* our timestamps have moved on */
		{ true, MG_NS_PER_S / 10, -EADDRNOTAVAIL },
		{ false, 2 * MG_NS_PER_S, -EADDRNOTAVAIL }, /* nothing tells old from new */
	};

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(cases); i++) {
		const struct mg_seg *seg;
		uint32_t old_snd_nxt;
		struct sb b;

		sb_new(&b);
		enter_time_wait(&b);
		b.s->timewaits.entries[0].has_ts = cases[i].ts;
		old_snd_nxt = b.s->timewaits.entries[0].snd_nxt;
		sb_wait(&b, cases[i].wait_ns);
		mg_ctl_init(b.msg, MG_CTL_TCP_CONNECT, 1, 1);
		b.msg->connect[0].tuple = b.s->timewaits.entries[0].node.tuple;
		assert_int_equal(sb_ctl(&b, MG_CTL_TCP_CONNECT, 1), cases[i].err);
		assert_int_equal(b.s->stats.time_wait_reused, cases[i].err == 0);
		assert_int_equal(b.s->timewaits.pool.nr_used, cases[i].err != 0);
		seg = sb_tx(&b);
		if (cases[i].err == 0) {
			assert_int_equal(seg->flags, MG_TCP_SYN);
			assert_true((seg->opts & MG_SEG_OPT_TS) != 0);
			assert_true((int32_t)(seg->seq - old_snd_nxt) > UINT16_MAX);
		} else {
			assert_null(seg);
		}
		sb_free(&b);
	}
}

static void test_time_wait_table_full(void **state)
{
	struct sb b;
	struct mg_timewait_spec spec = { .snd_nxt = 1, .rcv_nxt = 2 };
	struct mg_tuple t = { .laddr = SB_US, .raddr = SB_PEER, .lport = 9 };

	(void)state;
	sb_new(&b);
	spec.tuple = &t;
	for (uint16_t i = 0; i < b.lim.time_waits_max + 2; i++) {
		t.rport = (uint16_t)(i + 1);
		b.s->now_ns = b.now_ns;
		mg_timewait_add(b.s, &spec);
		mg_slow_check(b.s);
	}
	assert_int_equal(b.s->timewaits.pool.nr_used, b.lim.time_waits_max);
	assert_int_equal(b.s->stats.time_wait_evicted, 2);
	t.rport = 1; /* the oldest went */
	assert_int_equal(mg_tuples_find(&b.s->tuples, &t), MG_TUPLES_NONE);
	sb_free(&b);
}

/* ---- the death of an application, in every state; sb_free() looks for leaks ---- */

static void test_app_dies_in_every_state(void **state)
{
	(void)state;
	for (int st = MG_TCP_ESTABLISHED; st <= MG_TCP_TIME_WAIT; st++) {
		for (int closed = 0; closed < 2; closed++) {
			struct sb b;

			sb_new(&b);
			(void)sb_in_state(&b, (enum mg_tcp_state)st);
			if (closed)
				sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
			sb_free(&b);
		}
	}
}

static void test_app_dies_while_opening(void **state)
{
	struct sb b;
	uint32_t window;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 4);
	(void)sb_syn_received(&b);
	assert_int_equal(sb_connect(&b, &window), 0);
	sb_free(&b);
}

static void app_dies(struct sb *b)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_APP_DEL, .app = b->app };

	mg_slow_request(b->s, &req, b->now_ns);
}

static void test_app_dies_and_open_connections_are_reset(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	app_dies(&b);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	assert_int_equal(b.nr_gone, 0);
	sb_no_cmd(&b, MG_CMD_APP_DEL); /* flows first */
	sb_removed(&b);
	assert_non_null(sb_cmd(&b, MG_CMD_APP_DEL));
	sb_free(&b);
}

/* An orderly exit says in the window what close() would have; no doorbell rings any more. */
static void says_closed(struct sb *b, uint32_t window)
{
	atomic_fetch_or(&b->app->windows[window].a_flags, MG_SHM_AF_CLOSE);
}

static void test_app_exits_and_open_connections_are_closed(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	says_closed(&b, sb_established(&b)->window);
	app_dies(&b);
	assert_non_null(sb_cmd(&b, MG_CMD_CLOSE));
	sb_no_cmd(&b, MG_CMD_REMOVE);
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
	sb_ev(&b, MG_EV_FIN_SENT, 0, 0);
	sb_no_cmd(&b, MG_CMD_REMOVE);
	assert_int_equal(b.nr_gone, 0);
	sb_ev(&b, MG_EV_FIN_ACKED, 0, 0);
	sb_wait(&b, 900 * MG_NS_PER_MS); /* the region is not needed for the peer's FIN */
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_QUIET);
	sb_no_cmd(&b, MG_CMD_APP_DEL); /* flows first */
	sb_removed(&b);
	assert_non_null(sb_cmd(&b, MG_CMD_APP_DEL));
	sb_free(&b);
}

static void test_app_exits_with_unread_data(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	says_closed(&b, sb_established(&b)->window);
	app_dies(&b);
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 10);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	sb_free(&b);
}

/* send(); close(); exit(): the data must still arrive, however slow the peer or the network */
static void test_app_dies_after_close_and_data_may_finish(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
	app_dies(&b);
	sb_wait(&b, b.s->conf.fin_timeout_ms * MG_NS_PER_MS - 900 * MG_NS_PER_MS);
	sb_no_cmd(&b, MG_CMD_REMOVE);
	sb_wait(&b, 1800 * MG_NS_PER_MS); /* but not for ever */
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	sb_free(&b);
}

static void test_app_dies_before_its_doorbell_was_seen(void **state)
{
	struct sb b;
	struct mg_conn *c;
	struct mg_slow_req req = { .type = MG_SLOW_REQ_APP_DEL };

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	sb_app_flags(&b, c->window, MG_SHM_AF_CLOSE);
	req.app = b.app;
	mg_slow_request(b.s, &req, b.now_ns);
	assert_non_null(sb_cmd(&b, MG_CMD_CLOSE));
	sb_no_cmd(&b, MG_CMD_REMOVE);
	sb_free(&b);
}

static void test_app_with_broken_rings(void **state)
{
	struct sb b;
	struct mg_msg_app ev = { .msg = { .type = MG_EV_APP_RINGS, .len = sizeof(ev) } };

	(void)state;
	sb_new(&b);
	mg_slow_event(b.s, 0, &ev.msg, b.now_ns); /* of one that has gone */
	assert_int_equal(b.s->stats.broken_apps, 0);
	ev.app = b.app;
	mg_slow_event(b.s, 0, &ev.msg, b.now_ns);
	mg_slow_event(b.s, 0, &ev.msg, b.now_ns); /* every worker sees its own ring */
	assert_int_equal(b.s->stats.broken_apps, 1);
	sb_free(&b);
}

static void test_remove_waits_for_room(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	b.is_full = true;
	sb_ev(&b, MG_EV_APP_ABORT, 0, 0);
	assert_int_equal(sb_conn(&b)->flow, MG_CONN_FLOW_REMOVING);
	b.is_full = false;
	sb_wait(&b, 2 * MG_NS_PER_MS);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	assert_int_equal(b.s->conn_pool.nr_used, 0);
	sb_free(&b);
}

/* ---- draining ---- */

static void test_drain(void **state)
{
	struct sb b;
	struct mg_slow_req req = { .type = MG_SLOW_REQ_DRAIN, .value = 5 * MG_NS_PER_S };
	struct mg_shm_event ev;
	uint32_t window;

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	mg_slow_request(b.s, &req, b.now_ns);
	assert_true(sb_event(&b, &ev));
	assert_int_equal(ev.kind, MG_SHM_EV_LISTENER);
	assert_int_equal(ev.index, ESHUTDOWN);
	assert_int_equal(sb_connect(&b, &window), -ESHUTDOWN);
	sb_wait(&b, 4 * MG_NS_PER_S);
	sb_no_cmd(&b, MG_CMD_REMOVE);
	sb_wait(&b, 2 * MG_NS_PER_S);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	assert_int_equal(b.nr_drained, 0);
	sb_removed(&b);
	assert_int_equal(b.nr_drained, 1);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fin_orders),
		cmocka_unit_test(test_close_before_fins),
		cmocka_unit_test(test_close_with_unread_data_resets),
		cmocka_unit_test(test_data_after_close_resets),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_close_by_control),
		cmocka_unit_test(test_linger_zero_resets),
		cmocka_unit_test(test_rst_by_state),
		cmocka_unit_test(test_r2),
		cmocka_unit_test(test_r1),
		cmocka_unit_test(test_user_timeout),
		cmocka_unit_test(test_user_timeout_never),
		cmocka_unit_test(test_fin_wait_2_of_an_orphan_ends),
		cmocka_unit_test(test_orphan_limit),
		cmocka_unit_test(test_time_wait_answers_fin_and_restarts),
		cmocka_unit_test(test_time_wait_answers_what_came_on_the_way),
		cmocka_unit_test(test_time_wait_other_segments),
		cmocka_unit_test(test_time_wait_reuse),
		cmocka_unit_test(test_time_wait_reuse_by_connect),
		cmocka_unit_test(test_time_wait_table_full),
		cmocka_unit_test(test_app_dies_in_every_state),
		cmocka_unit_test(test_app_dies_while_opening),
		cmocka_unit_test(test_app_dies_and_open_connections_are_reset),
		cmocka_unit_test(test_app_exits_and_open_connections_are_closed),
		cmocka_unit_test(test_app_exits_with_unread_data),
		cmocka_unit_test(test_app_dies_after_close_and_data_may_finish),
		cmocka_unit_test(test_app_dies_before_its_doorbell_was_seen),
		cmocka_unit_test(test_app_with_broken_rings),
		cmocka_unit_test(test_remove_waits_for_room),
		cmocka_unit_test(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
