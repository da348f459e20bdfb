/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_query_test.c - options, keepalive, congestion samples, questions about connections, counters.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/slow_builder.h"

static int set_option(struct sb *b, uint32_t option, int64_t value, const char *text)
{
	struct mg_conn *c = sb_conn(b);

	mg_ctl_init(b->msg, MG_CTL_TCP_SET_OPTION, 1, 1);
	b->msg->opt[0] = (struct mg_ctl_opt){
		.window = c->window, .gen = c->window_gen, .option = option, .value = value
	};
	if (text != NULL)
		strncpy(b->msg->opt[0].text, text, sizeof(b->msg->opt[0].text) - 1);
	return sb_ctl(b, MG_CTL_TCP_SET_OPTION, 1);
}

static int64_t get_option(struct sb *b, uint32_t option)
{
	struct mg_conn *c = sb_conn(b);

	mg_ctl_init(b->msg, MG_CTL_TCP_GET_OPTION, 1, 1);
	b->msg->opt[0] = (struct mg_ctl_opt){ .window = c->window,
					      .gen = c->window_gen,
					      .option = option };
	assert_int_equal(sb_ctl(b, MG_CTL_TCP_GET_OPTION, 1), 0);
	assert_int_equal(b->nr_replies, 1);
	return b->msg->opt[0].value;
}

static void test_options_round_trip(void **state)
{
	static const struct {
		uint32_t option;
		int64_t good, bad;
	} cases[] = {
		{ MG_CTL_OPT_KEEPALIVE, 1, INT64_MIN },
		{ MG_CTL_OPT_KEEPIDLE_S, 30, 0 },
		{ MG_CTL_OPT_KEEPINTVL_S, 5, 40000 },
		{ MG_CTL_OPT_KEEPCNT, 4, 128 },
		{ MG_CTL_OPT_USER_TIMEOUT_MS, 9000, -1 },
		{ MG_CTL_OPT_TTL, 7, 256 },
		{ MG_CTL_OPT_TOS, 0x20, 256 },
		{ MG_CTL_OPT_LINGER_MS, 5, -2 },
	};
	struct sb b;

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	for (size_t i = 0; i < MG_ARRAY_SIZE(cases); i++) {
		assert_int_equal(set_option(&b, cases[i].option, cases[i].good, NULL), 0);
		assert_int_equal(get_option(&b, cases[i].option), cases[i].good);
		if (cases[i].bad != INT64_MIN)
			assert_int_equal(set_option(&b, cases[i].option, cases[i].bad, NULL),
					 -EINVAL);
	}
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_OPT)->opt.opt, MG_FLOW_OPT_TTL);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_OPT)->opt.value, 0x20);
	assert_int_equal(set_option(&b, MG_CTL_OPT_MAXSEG, 512, NULL), 0);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_OPT)->opt.value, 512 - 12);
	assert_int_equal(set_option(&b, 999, 0, NULL), -ENOPROTOOPT);
	assert_int_equal(set_option(&b, MG_CTL_OPT_CONGESTION, 0, "cubic"), 0);
	assert_int_equal(set_option(&b, MG_CTL_OPT_CONGESTION, 0, "none"), -ENOENT);
	(void)get_option(&b, MG_CTL_OPT_CONGESTION);
	assert_string_equal(b.msg->opt[0].text, "cubic");
	b.msg->opt[0].gen += 2;
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_SET_OPTION, 1), -ENOTCONN);
	sb_free(&b);
}

/* ---- keepalive (RFC 9293 3.8.4) ---- */

static void test_keepalive_is_off_by_default(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	sb_wait(&b, 100000 * MG_NS_PER_S);
	sb_no_cmd(&b, MG_CMD_PROBE);
	sb_no_cmd(&b, MG_CMD_REPORT);
	sb_free(&b);
}

static void keepalive_on(struct sb *b)
{
	sb_new(b);
	(void)sb_established(b);
	assert_int_equal(set_option(b, MG_CTL_OPT_KEEPIDLE_S, 10, NULL), 0);
	assert_int_equal(set_option(b, MG_CTL_OPT_KEEPINTVL_S, 2, NULL), 0);
	assert_int_equal(set_option(b, MG_CTL_OPT_KEEPCNT, 2, NULL), 0);
	assert_int_equal(set_option(b, MG_CTL_OPT_KEEPALIVE, 1, NULL), 0);
}

static void test_keepalive_gives_up(void **state)
{
	struct sb b;
	struct mg_ev_removed books = { 0 };
	uint32_t window;

	(void)state;
	keepalive_on(&b);
	window = sb_conn(&b)->window;
	books.last_rx_ns = b.now_ns;
	sb_wait(&b, 9 * MG_NS_PER_S);
	sb_no_cmd(&b, MG_CMD_REPORT);
	for (int i = 0; i < 2; i++) {
		sb_wait(&b, 2100 * MG_NS_PER_MS);
		assert_non_null(sb_cmd(&b, MG_CMD_REPORT));
		sb_report(&b, &books);
		assert_non_null(sb_cmd(&b, MG_CMD_PROBE));
	}
	sb_wait(&b, 2100 * MG_NS_PER_MS);
	sb_report(&b, &books);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	assert_int_equal(b.app->windows[window].error, ETIMEDOUT);
	sb_free(&b);
}

static void test_keepalive_survives_one_missing_reply(void **state)
{
	struct sb b;
	struct mg_ev_removed books = { 0 };

	(void)state;
	keepalive_on(&b);
	books.last_rx_ns = b.now_ns;
	sb_wait(&b, 10100 * MG_NS_PER_MS);
	sb_report(&b, &books);
	sb_wait(&b, 2100 * MG_NS_PER_MS);
	sb_report(&b, &books); /* the first probe got no reply: a second one */
	assert_non_null(sb_cmd(&b, MG_CMD_PROBE));
	assert_non_null(sb_cmd(&b, MG_CMD_PROBE));
	books.last_rx_ns = b.now_ns + MG_NS_PER_MS;
	sb_wait(&b, 2100 * MG_NS_PER_MS);
	sb_report(&b, &books);
	sb_no_cmd(&b, MG_CMD_REMOVE);
	assert_int_equal(sb_conn(&b)->ka_probes, 0);
	books.inflight_bytes = 100; /* MUST-26: never while data is outstanding */
	sb_wait(&b, 10100 * MG_NS_PER_MS);
	sb_report(&b, &books);
	sb_no_cmd(&b, MG_CMD_PROBE);
	sb_free(&b);
}

/* ---- samples ---- */

static void test_samples_move_the_window(void **state)
{
	struct sb b;
	struct mg_conn *c;
	struct mg_ev_sample ev = { .flags = MG_SAMPLE_CWND_LIMITED,
				   .acked_bytes = 10 * (SB_MSS - 12),
				   .srtt_us = 10000 };
	const struct sb_cmd *cmd;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	ev.msg = (struct mg_msg){
		.type = MG_EV_SAMPLE, .len = sizeof(ev), .flow = c->idx, .gen = c->gen
	};
	mg_slow_event(b.s, 0, &ev.msg, b.now_ns);
	cmd = sb_cmd(&b, MG_CMD_SET_CC);
	assert_int_equal(cmd->cc.cwnd_bytes, 20 * (SB_MSS - 12));
	assert_int_equal(cmd->cc.pacing_Bps, 20ull * (SB_MSS - 12) * 2 * 100);
	ev.msg.gen += 2;
	mg_slow_event(b.s, 0, &ev.msg, b.now_ns);
	assert_int_equal(b.s->stats.events_stale, 1);
	sb_free(&b);
}

/* ---- questions ---- */

static void ask(struct sb *b, uint16_t type, uint32_t start)
{
	mg_ctl_init(b->msg, type, 1, 0);
	b->msg->hdr.start = start;
	(void)sb_ctl(b, type, 0);
}

static void test_connections(void **state)
{
	struct sb b;
	struct mg_ev_removed books = { .snd_wnd = 777, .rx_bytes = 5, .tx_bytes = 6, .rto_us = 8 };
	uint32_t window;

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	sb_rx(&b, &(struct sb_seg){ .sport = 999, .seq = 1, .flags = MG_TCP_SYN });
	ask(&b, MG_CTL_CONNECTIONS, 0);
	assert_int_equal(b.nr_replies, 0); /* until the worker has told */
	assert_non_null(sb_cmd(&b, MG_CMD_REPORT));
	sb_report(&b, &books);
	assert_int_equal(b.nr_replies, 1);
	assert_int_equal(b.msg->hdr.count, 2);
	assert_int_equal(b.msg->hdr.more, 0);
	assert_int_equal(b.msg->conn_info[0].state, MG_TCP_ESTABLISHED);
	assert_int_equal(b.msg->conn_info[0].snd_wnd_bytes, 777);
	assert_int_equal(b.msg->conn_info[0].rx_bytes, 5);
	assert_string_equal(b.msg->conn_info[0].cc, "reno");
	assert_int_equal(b.msg->conn_info[1].state, MG_TCP_SYN_RECEIVED);
	ask(&b, MG_CTL_CONNECTIONS, 1); /* the embryo only: nothing to wait for */
	assert_int_equal(b.nr_replies, 1);
	assert_int_equal(b.msg->hdr.count, 1);
	ask(&b, MG_CTL_CONNECTIONS, 0);
	sb_wait(&b, 300 * MG_NS_PER_MS); /* a worker that is silent does not hold us up */
	assert_int_equal(b.nr_replies, 1);
	assert_int_equal(b.msg->hdr.count, 2);
	ask(&b, MG_CTL_CONNECTIONS, 0);
	window = sb_conn(&b)->window;
	sb_ev(&b, MG_EV_APP_ABORT, 0, 0);
	sb_removed(&b); /* nor one that ends meanwhile */
	assert_int_equal(b.nr_replies, 1);
	assert_int_equal(b.app->windows[window].state, MG_SHM_ST_FREE);
	sb_free(&b);
}

static void test_info_option(void **state)
{
	struct sb b;
	struct mg_ev_removed books = { .rto_us = 4242 };
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	mg_ctl_init(b.msg, MG_CTL_TCP_GET_OPTION, 1, 1);
	b.msg->opt[0] = (struct mg_ctl_opt){ .window = c->window,
					     .gen = c->window_gen,
					     .option = MG_CTL_OPT_INFO };
	(void)sb_ctl(&b, MG_CTL_TCP_GET_OPTION, 1);
	assert_int_equal(b.nr_replies, 0);
	sb_report(&b, &books);
	assert_int_equal(b.nr_replies, 1);
	assert_int_equal(b.msg->opt[0].info.rto_us, 4242);
	assert_int_equal(b.msg->opt[0].info.state, MG_TCP_ESTABLISHED);
	sb_free(&b);
}

static void test_listeners_and_stats(void **state)
{
	struct sb b;
	bool found = false;
	uint32_t start = 0;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 3);
	(void)sb_syn_received(&b);
	ask(&b, MG_CTL_LISTENERS, 0);
	assert_int_equal(b.msg->hdr.count, 1);
	assert_int_equal(b.msg->listener_info[0].port, SB_PORT);
	assert_int_equal(b.msg->listener_info[0].embryos, 1);
	assert_int_equal(b.msg->listener_info[0].backlog, 3);
	do {
		ask(&b, MG_CTL_STATS, start);
		for (uint32_t i = 0; i < b.msg->hdr.count; i++)
			if (strcmp(b.msg->counter[i].name, "slow_syn_in") == 0)
				found = b.msg->counter[i].value == 1;
		start += b.msg->hdr.count;
	} while (b.msg->hdr.more);
	assert_true(found);
	sb_free(&b);
}

static void test_requests_of_strangers(void **state)
{
	struct sb b;
	struct mg_app stranger = { 0 };
	struct mg_slow_req req = { .type = MG_SLOW_REQ_CTL, .app = &stranger };

	(void)state;
	sb_new(&b);
	mg_ctl_init(b.msg, MG_CTL_TCP_LISTEN, 1, 1);
	req.msg = b.msg;
	mg_slow_request(b.s, &req, b.now_ns);
	assert_int_equal(b.msg->hdr.status, -ENOTCONN);
	sb_free(&b);
}

/* Windows and generations in a doorbell are whatever a hostile application wrote. */
static void test_hostile_doorbells(void **state)
{
	struct sb b;
	struct mg_ev_doorbell ev = { .msg = { .type = MG_EV_DOORBELL, .len = sizeof(ev) },
				     .a_flags = UINT32_MAX };

	(void)state;
	sb_new(&b);
	(void)sb_established(&b);
	ev.app = b.app;
	for (uint32_t i = 0; i < 64; i++) {
		ev.window = i * 0x04000001u;
		ev.gen = i;
		if (ev.window == sb_conn(&b)->window && ev.gen == sb_conn(&b)->window_gen)
			continue;
		mg_slow_event(b.s, 0, &ev.msg, b.now_ns);
		mg_slow_check(b.s);
	}
	assert_int_equal(sb_conn(&b)->state, MG_TCP_ESTABLISHED);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_round_trip),
		cmocka_unit_test(test_keepalive_is_off_by_default),
		cmocka_unit_test(test_keepalive_gives_up),
		cmocka_unit_test(test_keepalive_survives_one_missing_reply),
		cmocka_unit_test(test_samples_move_the_window),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_info_option),
		cmocka_unit_test(test_listeners_and_stats),
		cmocka_unit_test(test_requests_of_strangers),
		cmocka_unit_test(test_hostile_doorbells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
