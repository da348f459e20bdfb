/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_pmtu_test.c - path MTU: what routers say (RFC 1191), and what is found out without them (RFC 4821).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/slow_builder.h"

#define HDRS 40
#define TS 12
#define FULL (1500 - HDRS - TS)

static struct mg_ev_removed books;

static struct mg_conn *start(struct sb *b)
{
	struct mg_conn *c = sb_established(b);

	books = (struct mg_ev_removed){ .snd_una = c->hs.iss + 1, .snd_nxt = c->hs.iss + 5000 };
	return c;
}

/* A router complains about a segment in flight, and the worker says that it is one. */
static void too_big(struct sb *b, const struct mg_conn *c, uint32_t mtu)
{
	sb_rx_icmp_error(b, MG_ICMP_UNREACH, MG_ICMP_UNREACH_FRAG_NEEDED, mtu, &c->node.tuple,
			 c->hs.iss + 100);
	assert_non_null(sb_cmd(b, MG_CMD_REPORT));
	sb_report(b, &books);
}

/* The next command is this option with this value. */
static void expect_opt(struct sb *b, uint32_t opt, uint32_t value)
{
	const struct sb_cmd *c = sb_cmd(b, MG_CMD_SET_OPT);

	assert_non_null(c);
	assert_int_equal(c->opt.opt, opt);
	assert_int_equal(c->opt.value, value);
}

static void answer(struct sb *b, uint32_t bytes, enum mg_mtu_outcome outcome)
{
	sb_ev(b, MG_EV_MTU_PROBE, 0, MG_MTU_PROBE_VALUE(bytes, outcome));
}

static void test_routers_word(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = start(&b);
	sb_rx_icmp_error(&b, MG_ICMP_UNREACH, MG_ICMP_UNREACH_FRAG_NEEDED, 1280, &c->node.tuple,
			 c->hs.iss + 9000);
	assert_non_null(sb_cmd(&b, MG_CMD_REPORT));
	sb_report(&b, &books); /* not in flight: an attack (RFC 5927) */
	sb_no_cmd(&b, MG_CMD_SET_PMTU);
	too_big(&b, c, 1280);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_PMTU)->opt.value, 1280 - HDRS - TS);
	assert_int_equal(b.app->windows[c->window].mss, 1280 - HDRS - TS);
	too_big(&b, c, 1400); /* never up */
	sb_no_cmd(&b, MG_CMD_SET_PMTU);
	too_big(&b, c, 68);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_PMTU)->opt.value, 552 - HDRS - TS); /* the floor */
	too_big(&b, c, 1);
	sb_no_cmd(&b, MG_CMD_SET_PMTU);
	sb_free(&b);
}

/* Below the floor routers may cut what we send, of this connection and of the next to that place. */
static void test_below_the_floor(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = start(&b);
	too_big(&b, c, 552);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_PMTU)->opt.value, 552 - HDRS - TS);
	sb_no_cmd(&b, MG_CMD_SET_OPT);
	too_big(&b, c, 296);
	expect_opt(&b, MG_FLOW_OPT_FRAGMENT, 1); /* resends by itself */
	sb_no_cmd(&b, MG_CMD_SET_PMTU);
	too_big(&b, c, 296);
	sb_no_cmd(&b, MG_CMD_SET_OPT);
	assert_int_equal(b.s->stats.pmtu_fragments, 1);
	assert_int_equal(mg_pmtu_of(b.s, &c->node.tuple.raddr), 552);
	c->flags &= ~(uint32_t)MG_CONN_FRAGMENT; /* as another would begin */
	mg_pmtu_start(b.s, c);
	expect_opt(&b, MG_FLOW_OPT_FRAGMENT, 1);
	sb_free(&b);
}

/* RFC 1191 5: from 1500 bytes, without a number: the plateau below. */
static void test_plateaus(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = start(&b);
	too_big(&b, c, 0);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_PMTU)->opt.value, 1492 - HDRS - TS);
	sb_free(&b);
}

/* Each connection has to be told, whoever was told first. */
static void test_second_connection_of_a_destination(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = start(&b);
	c->snd_mss = 1200; /* as if another had brought the path down meanwhile */
	too_big(&b, c, 1100);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_PMTU)->opt.value, 1100 - HDRS - TS);
	c->snd_mss = FULL;
	too_big(&b, c, 1100);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_PMTU)->opt.value, 1100 - HDRS - TS);
	sb_free(&b);
}

/* The next connection begins with what was learned, until that is old. */
static void test_is_remembered_for_a_while(void **state)
{
	struct sb b;
	struct mg_conn *c;
	struct mg_addr peer = SB_PEER;

	(void)state;
	sb_new(&b);
	c = start(&b);
	too_big(&b, c, 1300);
	assert_int_equal(mg_pmtu_of(b.s, &peer), 1300);
	b.now_ns += 599 * MG_NS_PER_S;
	mg_slow_timers(b.s, b.now_ns);
	assert_int_equal(mg_pmtu_of(b.s, &peer), 1300);
	b.now_ns += 2 * MG_NS_PER_S;
	mg_slow_timers(b.s, b.now_ns);
	assert_int_equal(mg_pmtu_of(b.s, &peer), 1500);
	sb_free(&b);
}

static void test_memory_is_bounded(void **state)
{
	struct mg_addr last = SB_PEER;
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = start(&b);
	for (uint32_t i = 0; i < 5000; i++) {
		last = mg_addr_v4(0x0b000000 + i);
		c->node.tuple.raddr = last;
		mg_pmtu_narrow(b.s, c, 1000);
		assert_int_equal(mg_pmtu_of(b.s, &last), 1000);
	}
	c->node.tuple.raddr = SB_PEER;
	sb_free(&b);
}

/* RFC 1191 6.3, with a probe instead of a leap. */
static void test_tries_a_larger_one_later(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = start(&b);
	too_big(&b, c, 1300);
	sb_clear(&b);
	sb_wait(&b, 590 * MG_NS_PER_S);
	sb_no_cmd(&b, MG_CMD_SET_OPT);
	sb_wait(&b, 11 * MG_NS_PER_S);
	expect_opt(&b, MG_FLOW_OPT_MTU_PROBE, FULL);
	answer(&b, FULL, MG_MTU_FITS);
	expect_opt(&b, MG_FLOW_OPT_MSS, FULL);
	assert_int_equal(c->snd_mss, FULL);
	sb_no_cmd(&b, MG_CMD_SET_OPT); /* no more to gain */
	sb_wait(&b, 2000 * MG_NS_PER_S);
	sb_no_cmd(&b, MG_CMD_SET_OPT);
	sb_free(&b);
}

/* Three time-outs of full-sized segments: a black hole. From the base it finds back to what fits. */
static void test_black_hole(void **state)
{
	uint32_t fits = 1313, probes = 0;
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = start(&b);
	sb_ev(&b, MG_EV_TIMEOUT, 1, FULL);
	sb_ev(&b, MG_EV_TIMEOUT, 2, FULL);
	sb_no_cmd(&b, MG_CMD_SET_PMTU);
	sb_ev(&b, MG_EV_TIMEOUT, 3, FULL);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_PMTU)->opt.value, 1024 - TS);
	expect_opt(&b, MG_FLOW_OPT_MTU_PROBE, FULL);
	while (c->mtup_bytes != 0) {
		answer(&b, c->mtup_bytes, c->mtup_bytes <= fits ? MG_MTU_FITS : MG_MTU_TOO_LARGE);
		assert_true(probes++ < 30);
	}
	assert_in_range(c->snd_mss, fits - 8, fits);
	assert_int_equal(mg_pmtu_of(b.s, &c->node.tuple.raddr), c->snd_mss + HDRS + TS);
	assert_int_equal(b.s->stats.pmtu_black_holes, 1);
	sb_free(&b);
}

static void test_black_hole_goes_deeper(void **state)
{
	static const uint32_t steps[] = { 1024 - TS, 506, 500 };
	struct sb b;

	(void)state;
	sb_new(&b);
	(void)start(&b);
	for (uint32_t i = 0; i < 3; i++) {
		sb_ev(&b, MG_EV_TIMEOUT, 3 + 2 * i, FULL);
		assert_int_equal(sb_cmd(&b, MG_CMD_SET_PMTU)->opt.value, steps[i]);
		sb_ev(&b, MG_EV_TIMEOUT, 4 + 2 * i, FULL);
		sb_no_cmd(&b, MG_CMD_SET_PMTU);
	}
	sb_ev(&b, MG_EV_TIMEOUT, 9, 500);
	sb_no_cmd(&b, MG_CMD_SET_PMTU); /* not below the floor */
	sb_free(&b);
}

/* Short segments and closed windows say nothing about sizes; and it can be turned off. */
static void test_no_black_hole(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	(void)start(&b);
	for (uint32_t i = 1; i < 8; i++) {
		sb_ev(&b, MG_EV_TIMEOUT, i, 500);
		sb_ev(&b, MG_EV_TIMEOUT, i, MG_TIMEOUT_PERSIST);
	}
	sb_no_cmd(&b, MG_CMD_SET_PMTU);
	sb_free(&b);
	sb_conf(&b);
	b.conf.mtu_probing = MG_MTU_PROBING_OFF;
	sb_start(&b, true);
	(void)start(&b);
	for (uint32_t i = 1; i < 8; i++)
		sb_ev(&b, MG_EV_TIMEOUT, i, FULL);
	sb_no_cmd(&b, MG_CMD_SET_PMTU);
	sb_free(&b);
}

static void test_one_loss_is_no_proof(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_new(&b);
	c = start(&b);
	sb_ev(&b, MG_EV_TIMEOUT, 3, FULL);
	sb_clear(&b);
	answer(&b, FULL, MG_MTU_TOO_LARGE);
	expect_opt(&b, MG_FLOW_OPT_MTU_PROBE, FULL); /* once more */
	answer(&b, FULL, MG_MTU_TOO_LARGE);
	expect_opt(&b, MG_FLOW_OPT_MTU_PROBE, (1012 + FULL - 1 + 1) / 2);
	answer(&b, FULL, MG_MTU_FITS); /* an answer to an older question */
	sb_no_cmd(&b, MG_CMD_SET_OPT);
	answer(&b, c->mtup_bytes, MG_MTU_UNKNOWN); /* asked again, a second later */
	sb_no_cmd(&b, MG_CMD_SET_OPT);
	sb_wait(&b, 1100 * MG_NS_PER_MS);
	expect_opt(&b, MG_FLOW_OPT_MTU_PROBE, (1012 + FULL - 1 + 1) / 2);
	sb_free(&b);
}

static void test_always_begins_small(void **state)
{
	struct sb b;
	struct mg_conn *c;

	(void)state;
	sb_conf(&b);
	b.conf.mtu_probing = MG_MTU_PROBING_ALWAYS;
	sb_start(&b, true);
	c = start(&b);
	assert_int_equal(c->snd_mss, 1024 - TS);
	assert_int_equal(c->mtup_bytes, FULL);
	answer(&b, FULL, MG_MTU_FITS);
	assert_int_equal(c->snd_mss, FULL);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routers_word),
		cmocka_unit_test(test_below_the_floor),
		cmocka_unit_test(test_plateaus),
		cmocka_unit_test(test_second_connection_of_a_destination),
		cmocka_unit_test(test_is_remembered_for_a_while),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_tries_a_larger_one_later),
		cmocka_unit_test(test_black_hole),
		cmocka_unit_test(test_black_hole_goes_deeper),
		cmocka_unit_test(test_no_black_hole),
		cmocka_unit_test(test_one_loss_is_no_proof),
		cmocka_unit_test(test_always_begins_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
