/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's part of finding the path MTU (RFC 4821): one larger segment, and what became of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/fp_builder.h"

#define MSS 1000
#define BIG 1400

static struct fb b;

static void set_opt(uint16_t type, uint32_t opt, uint32_t value)
{
	struct mg_cmd_set_opt cmd = {
		.msg = { .type = type, .len = sizeof(cmd), .flow = 7, .gen = 1 },
		.opt = opt,
		.value = value,
	};

	fb_command(&b, &cmd.msg);
}

static void ask(uint32_t bytes)
{
	set_opt(MG_CMD_SET_OPT, MG_FLOW_OPT_MTU_PROBE, bytes);
}

static void expect(enum mg_mtu_outcome outcome)
{
	uint32_t value = b.ev[fb_event(&b, MG_EV_MTU_PROBE)].value;

	assert_int_equal(MG_MTU_PROBE_BYTES(value), BIG);
	assert_int_equal(MG_MTU_PROBE_OUTCOME(value), outcome);
	assert_int_equal(fb_events(&b, MG_EV_MTU_PROBE), 0);
}

static void open_flow(uint16_t flags)
{
	fb_open(&b, &(struct fb_conf){ .flags = flags, .srtt_us = 50000, .gso_bytes = 2 * BIG });
	ask(BIG);
}

/* Sends a probe and three segments behind it. */
static void send_probe(void)
{
	fb_app_write(&b, BIG + 3 * MSS);
	FB_TX(&b, 0, BIG, MG_TCP_ACK);
}

static void waits_for_data_and_window(void **state)
{
	(void)state;
	open_flow(MG_FLOW_SACK);
	fb_app_write(&b, 3 * MSS);
	FB_TX(&b, 0, 2 * MSS, MG_TCP_ACK); /* not enough behind it */
	FB_TX(&b, 2 * MSS, MSS, MG_TCP_ACK);
	FB_TX_NONE(&b);
	fb_app_write(&b, 20 * MSS); /* only 7 segments of cwnd are left: the probe takes its part */
	assert_int_equal(fb_stat(&b, MG_FPS_MTU_PROBES), 1);
	FB_TX(&b, 3 * MSS, BIG, MG_TCP_ACK);
	fb_close(&b);
}

static void one_that_fits(void **state)
{
	const struct fb_out *o;

	(void)state;
	open_flow(MG_FLOW_SACK | MG_FLOW_TS);
	fb_app_write(&b, BIG + 3 * MSS);
	o = fb_tx(&b);
	assert_int_equal(o->len, BIG);
	assert_int_equal(o->gso, 0);
	FB_RX(&b, .seq = 0, .ack = 700); /* a part of it says nothing yet */
	assert_int_equal(fb_events(&b, MG_EV_MTU_PROBE), 0);
	FB_RX(&b, .seq = 0, .ack = BIG);
	expect(MG_MTU_FITS);
	set_opt(MG_CMD_SET_OPT, MG_FLOW_OPT_MSS, BIG);
	fb_tx_clear(&b);
	FB_RX(&b, .seq = 0, .ack = BIG + 3 * MSS);
	fb_app_write(&b, BIG);
	FB_TX(&b, BIG + 3 * MSS, BIG, MG_TCP_ACK); /* as a matter of course from now on */
	fb_close(&b);
}

/* RFC 4821 7.7: found lost by what follows, sent again in pieces, and nobody slows down. */
static void one_that_does_not(void **state)
{
	uint32_t cwnd;

	(void)state;
	open_flow(MG_FLOW_SACK);
	send_probe();
	fb_tx_clear(&b);
	fb_run(&b, FB_MS(50));
	cwnd = b.flow->cwnd;
	FB_RX(&b, .seq = 0, .ack = 0, .nr_sack = 1, .sack = { { BIG, BIG + 3 * MSS } });
	fb_run(&b, FB_MS(20));
	expect(MG_MTU_TOO_LARGE);
	assert_int_equal(b.flow->recovery, MG_REC_OPEN);
	assert_int_equal(b.flow->cwnd, cwnd);
	assert_int_equal(fb_stat(&b, MG_FPS_FAST_RECOVERIES), 0);
	assert_int_equal(fb_stat(&b, MG_FPS_MTU_PROBES_LOST), 1);
	FB_TX(&b, 0, MSS, MG_TCP_ACK);
	FB_TX(&b, MSS, BIG - MSS, MG_TCP_ACK);
	FB_TX_NONE(&b);
	FB_RX(&b, .seq = 0, .ack = BIG + 3 * MSS);
	fb_close(&b);
}

static void losses_around_it_say_nothing(void **state)
{
	(void)state;
	open_flow(MG_FLOW_SACK);
	fb_app_write(&b, BIG + 5 * MSS);
	fb_tx_clear(&b);
	fb_run(&b, FB_MS(50));
	FB_RX(&b, .seq = 0, .ack = 0, .nr_sack = 1, .sack = { { BIG + MSS, BIG + 5 * MSS } });
	fb_run(&b, FB_MS(20));
	expect(MG_MTU_UNKNOWN);
	assert_int_equal(b.flow->recovery, MG_REC_FAST);
	fb_close(&b);
}

static void a_timeout_says_nothing(void **state)
{
	uint32_t i;

	(void)state;
	open_flow(MG_FLOW_SACK);
	send_probe();
	fb_run(&b, FB_MS(2000));
	expect(MG_MTU_UNKNOWN);
	i = fb_event(&b, MG_EV_TIMEOUT);
	assert_int_equal(b.ev[i].value, MSS);
	fb_close(&b);
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 100);
	fb_run(&b, FB_MS(1100));
	assert_int_equal(b.ev[fb_event(&b, MG_EV_TIMEOUT)].value, 100);
	fb_close(&b);
}

static void not_without_sack(void **state)
{
	(void)state;
	open_flow(0);
	expect(MG_MTU_UNKNOWN);
	fb_app_write(&b, 10 * MSS);
	assert_int_equal(fb_stat(&b, MG_FPS_MTU_PROBES), 0);
	fb_close(&b);
}

static void a_narrower_path_voids_it(void **state)
{
	(void)state;
	open_flow(MG_FLOW_SACK);
	send_probe();
	fb_tx_clear(&b);
	set_opt(MG_CMD_SET_PMTU, MG_FLOW_OPT_MSS, 500);
	FB_TX(&b, 0, 500, MG_TCP_ACK);
	FB_RX(&b, .seq = 0, .ack = BIG + 3 * MSS);
	assert_int_equal(fb_events(&b, MG_EV_MTU_PROBE), 0);
	fb_close(&b);
}

static void the_answer_outlives_a_full_ring(void **state)
{
	(void)state;
	open_flow(MG_FLOW_SACK);
	send_probe();
	b.ev_full = 4;
	FB_RX(&b, .seq = 0, .ack = BIG);
	fb_run(&b, FB_MS(20));
	expect(MG_MTU_FITS);
	fb_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_for_data_and_window),
		cmocka_unit_test(one_that_fits),
		cmocka_unit_test(one_that_does_not),
		cmocka_unit_test(losses_around_it_say_nothing),
		cmocka_unit_test(a_timeout_says_nothing),
		cmocka_unit_test(not_without_sack),
		cmocka_unit_test(a_narrower_path_voids_it),
		cmocka_unit_test(the_answer_outlives_a_full_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
