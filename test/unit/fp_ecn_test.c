/* SPDX-License-Identifier: Apache-2.0 */
/* ECN in the worker: RFC 3168's echo and answer, RFC 8257's exact echo, who carries ECT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/lib/fp_builder.h"

static struct fb b;

#define ACK MG_TCP_ACK
#define ECE (MG_TCP_ACK | MG_TCP_ECE)
#define SEG(n, mark) FB_RX(&b, .seq = (n)*1000, .len = 1000, .ecn = (mark))

/* The next frame acknowledges so much, with or without ECE. */
static void expect_ack(uint32_t ack, uint16_t flags)
{
	const struct fb_out *o = fb_tx(&b);

	assert_non_null(o);
	assert_int_equal(o->len, 0);
	assert_int_equal(o->ack, ack);
	assert_int_equal(o->flags, flags);
}

/* ---- RFC 3168 ---- */

static void echo_until_cwr(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN });
	SEG(0, MG_ECN_CE);
	SEG(1, MG_ECN_ECT0);
	expect_ack(2000, ECE);
	SEG(2, MG_ECN_ECT0);
	SEG(3, MG_ECN_ECT1);
	expect_ack(4000, ECE);
	FB_RX(&b, .seq = 4000, .len = 1000, .flags = ACK | MG_TCP_CWR, .ecn = MG_ECN_ECT0);
	SEG(5, MG_ECN_ECT0);
	expect_ack(6000, ACK);
	/* CWR and a new mark on one segment: the mark counts */
	FB_RX(&b, .seq = 6000, .len = 1000, .flags = ACK | MG_TCP_CWR, .ecn = MG_ECN_CE);
	SEG(7, MG_ECN_ECT0);
	expect_ack(8000, ECE);
	fb_close(&b);
}

/* Not negotiated: marks and echoes are nothing, and nothing carries ECT. */
static void without_agreement(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	SEG(0, MG_ECN_CE);
	SEG(1, MG_ECN_CE);
	expect_ack(2000, ACK);
	fb_app_write(&b, 1000);
	assert_int_equal(fb_tx(&b)->ecn, MG_ECN_NOT_ECT);
	FB_RX(&b, .seq = 2000, .ack = 1000, .flags = ECE);
	assert_int_equal(fb_stat(&b, MG_FPS_RX_ECE), 0);
	assert_int_equal(fb_stat(&b, MG_FPS_RX_CE), 0);
	fb_close(&b);
}

/* 6.1.4, 6.1.5, 6.1.6: pure ACKs, retransmissions and probes are not ECN-capable. */
static void ect_on_new_data_only(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN });
	fb_app_write(&b, 1000);
	assert_int_equal(fb_tx(&b)->ecn, MG_ECN_ECT0);
	fb_run(&b, 2 * MG_NS_PER_S);
	assert_int_equal(fb_tx(&b)->ecn, MG_ECN_NOT_ECT); /* again */
	SEG(0, MG_ECN_ECT0);
	SEG(1, MG_ECN_ECT0);
	assert_int_equal(fb_tx(&b)->ecn, MG_ECN_NOT_ECT); /* pure ACK */
	FB_RX(&b, .seq = 2000, .ack = 1000, .wnd_zero = true);
	fb_app_write(&b, 1000);
	fb_tx_clear(&b);
	fb_run(&b, 3 * MG_NS_PER_S);
	assert_int_equal(fb_tx(&b)->ecn, MG_ECN_NOT_ECT); /* window probe */
	fb_close(&b);
}

/* 6.1.2: the answer to an echo is one CWR on new data, one sample, and nothing more in this window. */
static void cwr_once(void **state)
{
	uint32_t cwrs = 0;

	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN, .cwnd = 20000, .srtt_us = 50000 });
	fb_app_write(&b, 20000);
	fb_tx_clear(&b);
	b.now += FB_MS(50);
	fb_app_write(&b, 30000);
	for (uint32_t i = 1; i <= 20; i++)
		FB_RX(&b, .ack = i * 1000, .flags = ECE);
	for (const struct fb_out *o = fb_tx(&b); o != NULL; o = fb_tx(&b)) {
		cwrs += (o->flags & MG_TCP_CWR) != 0;
		assert_true(o->len == 0 || o->ecn == MG_ECN_ECT0);
	}
	assert_int_equal(cwrs, 1);
	fb_close(&b);
}

/* Nothing new leaves between an echo and the slow path's answer; CWR goes with the first data behind it. */
static void echo_holds_back(void **state)
{
	const struct fb_out *o;

	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN, .cwnd = 10000, .srtt_us = 50000 });
	fb_app_write(&b, 30000);
	fb_tx_clear(&b);
	b.now += FB_MS(50);
	FB_RX(&b, .ack = 2000, .flags = ECE);
	FB_TX_NONE(&b);
	fb_answer_echo(&b, 5000, 5000);
	FB_RX(&b, .ack = 4000, .flags = ECE);
	FB_TX_NONE(&b); /* 6000 are out */
	FB_RX(&b, .ack = 6000, .flags = ECE);
	o = fb_tx(&b);
	assert_int_equal(o->seq, 10000);
	assert_true(o->flags & MG_TCP_CWR);
	FB_TX_NONE(&b);
	fb_close(&b);
}

/* A slow path that answers late: half of what was in flight at most, and no word from before the echo changes that. */
static void echo_without_answer(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN, .cwnd = 10000, .srtt_us = 50000 });
	fb_app_write(&b, 40000);
	fb_tx_clear(&b);
	b.now += FB_MS(50);
	FB_RX(&b, .ack = 1000, .flags = ECE);
	fb_set_cc(&b, 20000, 20000);
	for (uint32_t i = 2; i <= 5; i++)
		FB_RX(&b, .ack = i * 1000, .flags = ECE);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 6000, .flags = ECE);
	assert_true(fb_tx(&b)->flags & MG_TCP_CWR);
	FB_TX_NONE(&b);
	fb_answer_echo(&b, 7000, 7000);
	assert_int_equal(fb_tx(&b)->seq, 11000);
	assert_int_equal(fb_tx(&b)->seq, 12000);
	FB_TX_NONE(&b);
	fb_set_cc(&b, 8000, 7000); /* from now on every word counts again */
	assert_int_equal(fb_tx(&b)->seq, 13000);
	fb_close(&b);
}

/* The answer comes while a loss is repaired: it is heard, and so are those behind it. */
static void echo_answered_in_recovery(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){
			    .flags = MG_FLOW_ECN | MG_FLOW_SACK, .cwnd = 10000, .srtt_us = 50000 });
	fb_app_write(&b, 40000);
	b.now += FB_MS(50);
	FB_RX(&b, .ack = 1000, .flags = ECE);
	FB_RX(&b, .ack = 1000, .flags = ECE, .nr_sack = 1, .sack = { { 2000, 6000 } });
	fb_answer_echo(&b, 7000, 7000);
	FB_RX(&b, .ack = 10000);
	fb_set_cc(&b, 3000, 3000);
	assert_int_equal(b.flow->cwnd, 3000);
	fb_close(&b);
}

/* DCTCP takes little for few marks: until it says how much, each ACK lets out what it took from the network. */
static void dctcp_echo_without_answer(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN | MG_FLOW_DCTCP,
				       .cwnd = 10000,
				       .srtt_us = 50000 });
	fb_app_write(&b, 40000);
	fb_tx_clear(&b);
	b.now += FB_MS(50);
	FB_RX(&b, .ack = 1000, .flags = ECE);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 3000, .flags = ECE);
	assert_int_equal(fb_tx(&b)->seq, 10000);
	assert_int_equal(fb_tx(&b)->seq, 11000);
	FB_TX_NONE(&b);
	fb_close(&b);
}

/* A retransmission never carries CWR (6.1.2: "the first new data packet"); the next new segment does. */
static void cwr_waits_for_new_data(void **state)
{
	const struct fb_out *o;

	(void)state;
	fb_open(&b, &(struct fb_conf){
			    .flags = MG_FLOW_ECN | MG_FLOW_SACK, .cwnd = 5000, .srtt_us = 50000 });
	fb_app_write(&b, 8000);
	fb_tx_clear(&b);
	b.now += FB_MS(50);
	FB_RX(&b, .ack = 0, .nr_sack = 1, .sack = { { 1000, 4000 } });
	o = fb_tx(&b);
	assert_int_equal(o->seq, 0);
	assert_false(o->flags & MG_TCP_CWR);
	fb_set_cc(&b, 3500, 3500);
	FB_RX(&b, .ack = 5000);
	o = fb_tx(&b);
	assert_int_equal(o->seq, 5000);
	assert_true(o->flags & MG_TCP_CWR);
	fb_close(&b);
}

/* ---- RFC 8257 3.2 ---- */

static void dctcp_acks_change_of_marking(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN | MG_FLOW_DCTCP });
	SEG(0, MG_ECN_ECT0); /* delayed */
	FB_TX_NONE(&b);
	SEG(1, MG_ECN_CE); /* the state changes: what came before is acknowledged, unmarked */
	expect_ack(1000, ACK);
	FB_TX_NONE(&b); /* and the marked one is delayed in turn */
	SEG(2, MG_ECN_CE);
	expect_ack(3000, ECE);
	SEG(3, MG_ECN_CE);
	FB_TX_NONE(&b);
	SEG(4, MG_ECN_ECT0);
	expect_ack(4000, ECE);
	SEG(5, MG_ECN_ECT0);
	expect_ack(6000, ACK);
	assert_int_equal(fb_stat(&b, MG_FPS_TX_CE_CHANGES), 2);
	assert_int_equal(fb_stat(&b, MG_FPS_RX_CE), 3);
	fb_close(&b);
}

/* Nothing is owed: the change costs no ACK. CWR says nothing to this receiver. */
static void dctcp_change_with_nothing_owed(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN | MG_FLOW_DCTCP });
	SEG(0, MG_ECN_ECT0);
	SEG(1, MG_ECN_ECT0);
	expect_ack(2000, ACK);
	SEG(2, MG_ECN_CE);
	FB_TX_NONE(&b);
	FB_RX(&b, .seq = 3000, .len = 1000, .flags = ACK | MG_TCP_CWR, .ecn = MG_ECN_CE);
	expect_ack(4000, ECE);
	/* a pure ACK has no mark and changes nothing */
	FB_RX(&b, .seq = 4000);
	SEG(4, MG_ECN_CE);
	SEG(5, MG_ECN_CE);
	expect_ack(6000, ECE);
	fb_close(&b);
}

/* In one burst the ACKs still speak for one kind each. */
static void dctcp_burst(void **state)
{
	static const uint8_t marks[8] = { 2, 2, 3, 3, 3, 2, 3, 2 };
	static const struct {
		uint32_t ack;
		uint16_t flags;
	} expected[] = { { 2000, ACK }, { 5000, ECE }, { 6000, ACK }, { 7000, ECE } };

	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN | MG_FLOW_DCTCP });
	for (uint32_t i = 0; i < 8; i++)
		fb_rx_seg(&b, &(struct fb_seg){ .seq = i * 1000, .len = 1000, .ecn = marks[i] });
	fb_flush(&b);
	for (uint32_t i = 0; i < 4; i++)
		expect_ack(expected[i].ack, expected[i].flags);
	fb_run(&b, FB_MS(50)); /* the last one alone: delayed */
	expect_ack(8000, ACK);
	fb_close(&b);
}

/* The share that a sender computes from the echoes is the share that was marked, in bytes. */
static void dctcp_bytes_are_exact(void **state)
{
	uint64_t marked = 0, echoed = 0;
	uint32_t acked = 0;

	(void)state;
	srand(5);
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN | MG_FLOW_DCTCP, .rx_bytes = 65536 });
	for (uint32_t i = 0; i < 2000; i++) {
		uint8_t ecn = rand() % 3 == 0 ? MG_ECN_CE : MG_ECN_ECT0;

		marked += ecn == MG_ECN_CE ? 1000 : 0;
		SEG(i, ecn);
		fb_app_read(&b, 1000, true);
		if (i == 1999)
			fb_run(&b, FB_MS(100));
		for (const struct fb_out *o = fb_tx(&b); o != NULL; o = fb_tx(&b)) {
			if (o->flags & MG_TCP_ECE)
				echoed += o->ack - acked;
			acked = o->ack;
		}
	}
	assert_int_equal(acked, 2000000);
	assert_int_equal(echoed, marked);
	fb_close(&b);
}

/* The sender's side: every byte acknowledged with ECE is told, the reduction is asked for once per window. */
static void dctcp_sender_counts_bytes(void **state)
{
	uint64_t bytes = 0;
	uint32_t asked = 0;

	(void)state;
	fb_open(&b, &(struct fb_conf){
			    .flags = MG_FLOW_ECN | MG_FLOW_DCTCP, .cwnd = 20000, .srtt_us = 1000 });
	fb_app_write(&b, 20000);
	for (uint32_t i = 1; i <= 20; i++) {
		b.now += FB_MS(1);
		FB_RX(&b, .ack = i * 1000, .flags = i % 4 == 0 ? ECE : ACK);
	}
	fb_run(&b, FB_MS(50));
	for (uint32_t i = 0; i < b.nr_ev; i++) {
		if (b.ev[i].type != MG_EV_SAMPLE)
			continue;
		bytes += b.ev[i].sample.ecn_bytes;
		asked += (b.ev[i].sample.flags & MG_SAMPLE_ECE) != 0;
	}
	assert_int_equal(bytes + b.flow->samp.ecn_bytes, 5000); /* some still to be told */
	assert_int_equal(asked, 1);
	fb_close(&b);
}

/* A change of algorithm changes the echo of a living flow. */
static void dctcp_by_command(void **state)
{
	struct mg_cmd_set_cc cmd = {
		.msg = { .type = MG_CMD_SET_CC, .len = sizeof(cmd), .flow = 7, .gen = 1 },
		.cwnd_bytes = 10000,
		.ssthresh_bytes = UINT32_MAX,
		.flags = MG_FLOW_DCTCP,
	};

	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN | MG_FLOW_SACK });
	SEG(0, MG_ECN_CE);
	SEG(1, MG_ECN_ECT0);
	expect_ack(2000, ECE);
	fb_command(&b, &cmd.msg);
	assert_int_equal(b.flow->opts, MG_FLOW_ECN | MG_FLOW_SACK | MG_FLOW_DCTCP);
	SEG(2, MG_ECN_ECT0);
	SEG(3, MG_ECN_ECT0);
	expect_ack(4000, ACK);
	fb_close(&b);
}

/* ---- RFC 8257 3.5 ---- */

static void ect_everywhere_by_choice(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN | MG_FLOW_DCTCP | MG_FLOW_ECT_ALL });
	fb_app_write(&b, 1000);
	assert_int_equal(fb_tx(&b)->ecn, MG_ECN_ECT0);
	fb_run(&b, 2 * MG_NS_PER_S);
	assert_int_equal(fb_tx(&b)->ecn, MG_ECN_ECT0);
	SEG(0, MG_ECN_ECT0);
	SEG(1, MG_ECN_ECT0);
	assert_int_equal(fb_tx(&b)->ecn, MG_ECN_ECT0);
	fb_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_until_cwr),
		cmocka_unit_test(without_agreement),
		cmocka_unit_test(ect_on_new_data_only),
		cmocka_unit_test(cwr_once),
		cmocka_unit_test(echo_holds_back),
		cmocka_unit_test(echo_without_answer),
		cmocka_unit_test(echo_answered_in_recovery),
		cmocka_unit_test(dctcp_echo_without_answer),
		cmocka_unit_test(cwr_waits_for_new_data),
		cmocka_unit_test(dctcp_acks_change_of_marking),
		cmocka_unit_test(dctcp_change_with_nothing_owed),
		cmocka_unit_test(dctcp_burst),
		cmocka_unit_test(dctcp_bytes_are_exact),
		cmocka_unit_test(dctcp_sender_counts_bytes),
		cmocka_unit_test(dctcp_by_command),
		cmocka_unit_test(ect_everywhere_by_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
