/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_icmp_test.c - ICMP: echo, and what errors do to connections (RFC 1122 4.2.3.9, RFC 5461, RFC 5927).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/slow_builder.h"

static bool is_addr(const struct mg_addr *a, struct mg_addr b)
{
	return mg_addr_eq(a, &b);
}

static void test_echo(void **state)
{
	struct sb b;
	uint8_t data[100];
	const struct mg_frame_view *v;

	(void)state;
	sb_new(&b);
	memset(data, 'x', sizeof(data));
	sb_rx_icmp(&b, MG_ICMP_ECHO, 0, 0x12340005, data, sizeof(data));
	v = sb_tx_frame(&b);
	assert_non_null(v);
	assert_int_equal(v->kind, MG_FRAME_ICMP);
	assert_int_equal(v->icmp.type, MG_ICMP_ECHO_REPLY);
	assert_int_equal(v->icmp.echo_id, 0x1234);
	assert_int_equal(v->icmp.echo_seq, 5);
	assert_true(is_addr(&v->ip.dst, SB_PEER) && is_addr(&v->ip.src, SB_US));
	assert_int_equal(v->ip.l4_len, 108);
	sb_free(&b);
}

/* Every error there is, with what connect() is told: at once, or when nobody has answered. */
static const struct {
	uint8_t type, code;
	int error;
	bool at_once;
} errors[] = {
	{ MG_ICMP_UNREACH, MG_ICMP_UNREACH_NET, ENETUNREACH, false },
	{ MG_ICMP_UNREACH, MG_ICMP_UNREACH_HOST, EHOSTUNREACH, false },
	{ MG_ICMP_UNREACH, MG_ICMP_UNREACH_PROTO, ENOPROTOOPT, true },
	{ MG_ICMP_UNREACH, MG_ICMP_UNREACH_PORT, ECONNREFUSED, true },
	{ MG_ICMP_UNREACH, MG_ICMP_UNREACH_SRC_ROUTE, EHOSTUNREACH, false },
	{ MG_ICMP_UNREACH, MG_ICMP_UNREACH_ADMIN, EHOSTUNREACH, false },
	{ MG_ICMP_TIME_EXCEEDED, 0, EHOSTUNREACH, false },
	{ MG_ICMP_TIME_EXCEEDED, 1, EHOSTUNREACH, false },
	{ MG_ICMP_PARAM_PROBLEM, 0, EPROTO, false },
};

static void test_in_syn_sent(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct sb b;
		struct mg_seg syn;
		uint32_t window;

		sb_new(&b);
		assert_int_equal(sb_connect(&b, &window), 0);
		syn = *sb_tx(&b);
		/* not our SYN: somebody guesses */
		sb_rx_icmp_error(&b, errors[i].type, errors[i].code, 0, &syn.tuple, syn.seq + 1);
		assert_int_equal(b.s->stats.icmp_invalid, 1);
		assert_int_equal(sb_conn(&b)->soft_error, 0);
		sb_rx_icmp_error(&b, errors[i].type, errors[i].code, 0, &syn.tuple, syn.seq);
		if (!errors[i].at_once) {
			assert_int_equal(sb_conn(&b)->state, MG_TCP_SYN_SENT); /* MUST-56 */
			assert_int_equal(sb_conn(&b)->soft_error, errors[i].error);
			sb_wait(&b, 200 * MG_NS_PER_S);
		}
		assert_int_equal(b.app->windows[window].state, MG_SHM_ST_CLOSED);
		assert_int_equal(b.app->windows[window].error, errors[i].error);
		sb_free(&b);
	}
}

static uint32_t soft_error(struct sb *b, const struct mg_conn *c)
{
	mg_ctl_init(b->msg, MG_CTL_TCP_GET_OPTION, 1, 1);
	b->msg->opt[0] = (struct mg_ctl_opt){ .window = c->window,
					      .gen = c->window_gen,
					      .option = MG_CTL_OPT_SOFT_ERROR };
	assert_int_equal(sb_ctl(b, MG_CTL_TCP_GET_OPTION, 1), 0);
	return (uint32_t)b->msg->opt[0].value;
}

/* Synchronised: none of them ends it (RFC 5927 5.2), all can be asked for (MUST-47). */
static void test_established_is_soft(void **state)
{
	struct mg_ev_removed books = { 0 };
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	books.snd_una = c->hs.iss + 1;
	books.snd_nxt = c->hs.iss + 1001;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		sb_rx_icmp_error(&b, errors[i].type, errors[i].code, 0, &c->node.tuple,
				 c->hs.iss + 501);
		assert_non_null(sb_cmd(&b, MG_CMD_REPORT));
		sb_report(&b, &books);
		assert_int_equal(c->state, MG_TCP_ESTABLISHED);
		assert_int_equal(b.s->stats.icmp_soft, i + 1);
		assert_int_equal(soft_error(&b, c), errors[i].error);
		assert_int_equal(soft_error(&b, c), 0);
	}
	sb_no_cmd(&b, MG_CMD_REMOVE);
	sb_free(&b);
}

/* MUST-54: what is not in flight was not sent by us lately. */
static void test_must_quote_what_is_in_flight(void **state)
{
	struct mg_ev_removed books = { 0 };
	struct mg_tuple other;
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	books.snd_una = c->hs.iss + 1;
	books.snd_nxt = c->hs.iss + 1001;
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t seq = i == 0 ? c->hs.iss : c->hs.iss + 1001;

		sb_rx_icmp_error(&b, MG_ICMP_UNREACH, MG_ICMP_UNREACH_HOST, 0, &c->node.tuple, seq);
		sb_report(&b, &books);
		assert_int_equal(c->soft_error, 0);
		assert_int_equal(b.s->stats.icmp_invalid, i + 1);
	}
	other = c->node.tuple;
	other.rport++; /* nor of another connection */
	sb_rx_icmp_error(&b, MG_ICMP_UNREACH, MG_ICMP_UNREACH_HOST, 0, &other, c->hs.iss + 1);
	assert_int_equal(b.s->stats.icmp_invalid, 3);
	sb_free(&b);
}

/* The last complaint is what the application learns when the peer stays silent, and nothing if it spoke again. */
static void test_is_the_reason_of_giving_up(void **state)
{
	struct mg_ev_removed books = { 0 };

	(void)state;
	for (int heard = 0; heard < 2; heard++) {
		struct sb b;
		struct mg_conn *c;
		uint32_t window;

		sb_new(&b);
		c = sb_established(&b);
		window = c->window;
		books.snd_una = c->hs.iss + 1;
		books.snd_nxt = c->hs.iss + 1001;
		sb_rx_icmp_error(&b, MG_ICMP_UNREACH, MG_ICMP_UNREACH_HOST, 0, &c->node.tuple,
				 c->hs.iss + 1);
		sb_report(&b, &books);
		if (heard)
			sb_ev(&b, MG_EV_NEIGH_CONFIRM, 0, 0);
		sb_ev(&b, MG_EV_TIMEOUT, 16, 1000);
		sb_removed(&b);
		assert_int_equal(b.app->windows[window].error, heard ? ETIMEDOUT : EHOSTUNREACH);
		sb_free(&b);
	}
}

/* MUST-55, RFC 6633; redirects are not followed either. */
static void test_source_quench_and_redirect_are_ignored(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	sb_rx_icmp_error(&b, MG_ICMP_SOURCE_QUENCH, 0, 0, &c->node.tuple, c->hs.iss + 1);
	sb_rx_icmp_error(&b, MG_ICMP_REDIRECT, 1, 0x0a4d00fe, &c->node.tuple, c->hs.iss + 1);
	assert_int_equal(b.s->stats.icmp_ignored, 2);
	assert_int_equal(b.s->stats.icmp_errors, 0);
	assert_int_equal(b.nr_cmds, 0);
	sb_free(&b);
}

/* A handshake goes on: its SYN-ACK is repeated until it is over. */
static void test_embryos_do_not_care(void **state)
{
	struct sb b;
	struct mg_tuple t = {
		.laddr = SB_US, .raddr = SB_PEER, .lport = SB_PORT, .rport = SB_PPORT
	};
	uint32_t iss;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	iss = sb_syn_received(&b);
	sb_rx_icmp_error(&b, MG_ICMP_UNREACH, MG_ICMP_UNREACH_PORT, 0, &t, iss);
	assert_int_equal(b.s->embryo_pool.nr_used, 1);
	sb_free(&b);
}

static void test_cut_short(void **state)
{
	struct sb b;
	struct mg_conn *c;
	uint8_t quote[40] = { 0x45 };

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	sb_rx_icmp(&b, MG_ICMP_UNREACH, MG_ICMP_UNREACH_PORT, 0, quote, 20);
	sb_rx_icmp(&b, MG_ICMP_UNREACH, MG_ICMP_UNREACH_PORT, 0, quote, 0);
	quote[0] = 0x4f;
	sb_rx_icmp(&b, MG_ICMP_UNREACH, MG_ICMP_UNREACH_PORT, 0, quote, 40);
	quote[0] = 0x60;
	sb_rx_icmp(&b, MG_ICMP_UNREACH, MG_ICMP_UNREACH_PORT, 0, quote, 40);
	assert_int_equal(c->state, MG_TCP_ESTABLISHED);
	assert_int_equal(b.nr_cmds, 0);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_in_syn_sent),
		cmocka_unit_test(test_established_is_soft),
		cmocka_unit_test(test_must_quote_what_is_in_flight),
		cmocka_unit_test(test_is_the_reason_of_giving_up),
		cmocka_unit_test(test_source_quench_and_redirect_are_ignored),
		cmocka_unit_test(test_embryos_do_not_care),
		cmocka_unit_test(test_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
