/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery by the numbers of its RFCs: F-RTO, reneging, D-SACK, RACK's window, PRR, shrunk windows, RTO. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/lib/fp_builder.h"

static struct fb b;

#define ACK MG_TCP_ACK
#define SEGS(from, to)                     \
	{                                  \
		(from) * 1000u, (to)*1000u \
	}
#define SACK1(cum, b0) FB_RX(&b, .ack = (cum)*1000, .nr_sack = 1, .sack = { b0 })

/* n segments are out, 100 ms ago; `more` wait behind them. */
static void send_segments(uint32_t n, uint16_t flags, uint32_t more)
{
	fb_open(&b,
		&(struct fb_conf){
			.cwnd = n * 1000, .flags = flags, .srtt_us = 100000, .iss = 0xfffff000u });
	fb_app_write(&b, n * 1000);
	assert_int_equal(fb_tx_pending(&b), n);
	fb_tx_clear(&b);
	if (more != 0)
		fb_app_write(&b, more * 1000);
	FB_TX_NONE(&b);
	b.now += FB_MS(100);
}

/* The retransmission timer goes off and the first segment leaves again. */
static void time_out(void)
{
	uint64_t before = fb_stat(&b, MG_FPS_RTOS);

	while (fb_stat(&b, MG_FPS_RTOS) == before)
		fb_run(&b, FB_MS(10));
	fb_tx_clear(&b);
	fb_set_cc(&b, 1000, 5000);
}

static bool was_undone(void)
{
	return fb_stat(&b, MG_FPS_UNDOS) == 1 && b.flow->recovery == MG_REC_OPEN &&
	       b.flow->lost_bytes == 0 && b.flow->cwnd >= 10000;
}

/* ---- F-RTO (RFC 5682) without SACK: section 2.1 ---- */

static void frto_basic_spurious(void **state)
{
	(void)state;
	send_segments(10, 0, 10);
	time_out();
	assert_int_equal(b.flow->frto, 1);
	FB_RX(&b, .ack = 1000); /* step 2b: new data, no retransmission */
	FB_TX(&b, 10000, 1000, ACK);
	FB_TX(&b, 11000, 1000, ACK);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 2000); /* step 3b: the originals are arriving */
	assert_true(was_undone());
	assert_int_equal(fb_stat(&b, MG_FPS_FRTO_SPURIOUS), 1);
	assert_int_equal(fb_stat(&b, MG_FPS_TX_RETRANS), 1);
	fb_close(&b);
}

static void frto_basic_real_loss(void **state)
{
	(void)state;
	send_segments(10, 0, 10);
	time_out();
	FB_RX(&b, .ack = 1000);
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 1000); /* step 3a: the new data made a duplicate */
	assert_int_equal(fb_stat(&b, MG_FPS_FRTO_SPURIOUS), 0);
	assert_int_equal(b.flow->recovery, MG_REC_LOSS);
	assert_true(b.flow->cwnd <= 3000);
	FB_TX(&b, 1000, 1000, ACK); /* now the rest leaves again */
	fb_close(&b);
}

/* Step 2a: a duplicate, or everything at once, decides for the ordinary way. */
static void frto_basic_step_2a(void **state)
{
	(void)state;
	send_segments(10, 0, 10);
	time_out();
	FB_RX(&b, .ack = 0);
	assert_int_equal(b.flow->frto, 0);
	FB_RX(&b, .ack = 1000);
	FB_TX(&b, 1000, 1000, ACK);
	fb_close(&b);

	send_segments(10, 0, 10);
	time_out();
	FB_RX(&b, .ack = 10000);
	assert_int_equal(b.flow->frto, 0);
	assert_int_equal(b.flow->recovery, MG_REC_OPEN);
	assert_int_equal(fb_stat(&b, MG_FPS_UNDOS), 0);
	fb_close(&b);
}

/* Without anything new to send, or no room for it, the ordinary way, too. */
static void frto_needs_new_data(void **state)
{
	(void)state;
	send_segments(10, 0, 0);
	time_out();
	FB_RX(&b, .ack = 1000);
	assert_int_equal(b.flow->frto, 0);
	FB_TX(&b, 1000, 1000, ACK);
	fb_close(&b);
}

/* Several time-outs in a row, and then it was only a long delay. */
static void frto_after_several(void **state)
{
	(void)state;
	send_segments(10, 0, 10);
	time_out();
	time_out();
	time_out();
	FB_RX(&b, .ack = 1000);
	FB_TX(&b, 10000, 1000, ACK);
	FB_RX(&b, .ack = 3000);
	assert_true(was_undone());
	fb_close(&b);
	/* but not once retransmissions of more than the first were under way */
	send_segments(10, 0, 0);
	time_out();
	FB_RX(&b, .ack = 1000);
	time_out();
	assert_int_equal(b.flow->frto, 0);
	fb_close(&b);
}

/* ---- F-RTO with SACK: section 3 ---- */

static void frto_sack_spurious(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK, 10);
	time_out();
	FB_RX(&b, .ack = 2000); /* the second was sent once, and is here */
	assert_true(was_undone());
	assert_int_equal(fb_stat(&b, MG_FPS_FRTO_SPURIOUS), 1);
	fb_close(&b);

	send_segments(10, MG_FLOW_SACK, 10);
	time_out();
	FB_RX(&b, .ack = 1000); /* says nothing yet: new data, behind the tail loss probe's */
	FB_TX(&b, 11000, 1000, ACK);
	FB_RX(&b, .ack = 1000, .nr_sack = 1, .sack = { SEGS(3, 4) });
	assert_true(was_undone());
	fb_close(&b);
}

static void frto_sack_real_loss(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK, 10);
	time_out();
	FB_RX(&b, .ack = 1000);
	FB_TX(&b, 11000, 1000, ACK);
	FB_TX(&b, 12000, 1000, ACK);
	SACK1(1, SEGS(11, 12)); /* only the new data arrived */
	assert_int_equal(fb_stat(&b, MG_FPS_FRTO_SPURIOUS), 0);
	assert_int_equal(b.flow->recovery, MG_REC_LOSS);
	FB_TX(&b, 1000, 1000, ACK);
	fb_close(&b);
}

/* What had been SACKed before the time-out proves nothing when it is acknowledged after it. */
static void frto_knows_what_was_sacked(void **state)
{
	(void)state;
	send_segments(3, MG_FLOW_SACK, 10);
	SACK1(0, SEGS(1, 2));
	fb_tx_clear(&b);
	time_out();
	FB_RX(&b, .ack = 2000); /* the retransmission filled the hole */
	assert_int_equal(fb_stat(&b, MG_FPS_UNDOS), 0);
	fb_close(&b);
}

/* ---- Reneging (RFC 2018 section 8) ---- */

/* The left edge stops at what was SACKed: not true any more; found in half a round trip, not by the RTO. */
static void reneging_is_noticed(void **state)
{
	uint64_t start;

	(void)state;
	send_segments(10, MG_FLOW_SACK, 0);
	SACK1(0, SEGS(1, 5));
	FB_TX(&b, 0, 1000, ACK);
	fb_tx_clear(&b);
	b.now += FB_MS(100);
	start = b.now;
	FB_RX(&b, .ack = 1000);
	fb_tx_clear(&b);
	while (fb_stat(&b, MG_FPS_RENEGED) == 0)
		fb_run(&b, FB_MS(5));
	assert_true(b.now - start <= FB_MS(70));
	assert_int_equal(b.flow->sacked_bytes, 0);
	FB_TX(&b, 1000, 1000, ACK);
	fb_close(&b);
}

/* ---- D-SACK (RFC 2883, RFC 3708) ---- */

/* One block may tell of several segments. */
static void dsack_of_two_segments(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK, 0);
	SACK1(0, SEGS(2, 7));
	FB_TX(&b, 0, 1000, ACK);
	fb_set_cc(&b, 7000, 7000);
	SACK1(0, SEGS(2, 10));
	FB_TX(&b, 1000, 1000, ACK);
	b.now += FB_MS(10);
	FB_RX(&b, .ack = 10000, .nr_sack = 1, .sack = { SEGS(0, 2) });
	assert_true(was_undone());
	fb_close(&b);
}

/* Of one of two only: the other was needed. */
static void dsack_of_one_of_two(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK, 0);
	SACK1(0, SEGS(2, 7));
	fb_set_cc(&b, 7000, 7000);
	SACK1(0, SEGS(2, 10));
	b.now += FB_MS(10);
	FB_RX(&b, .ack = 10000, .nr_sack = 1, .sack = { SEGS(0, 1) });
	assert_int_equal(fb_stat(&b, MG_FPS_UNDOS), 0);
	assert_true(b.flow->cwnd < 10000);
	fb_close(&b);
}

/* Of part of a segment: reported (RFC 2883 4.3), and understood as the segment's. */
static void dsack_of_a_part(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_SACK });
	FB_RX(&b, .seq = 0, .len = 1000);
	FB_RX(&b, .seq = 500, .len = 1000);
	for (const struct fb_out *o = fb_tx(&b); o != NULL; o = fb_tx(&b)) {
		if (o->ack != 1500)
			continue;
		assert_int_equal(o->nr_sack, 1);
		assert_int_equal(o->sack[0].start, 500);
		assert_int_equal(o->sack[0].end, 1000);
	}
	fb_close(&b);
	send_segments(10, MG_FLOW_SACK, 0);
	SACK1(0, SEGS(1, 5));
	SACK1(0, SEGS(1, 10));
	FB_RX(&b, .ack = 10000, .nr_sack = 1, .sack = { { 200, 700 } });
	assert_true(was_undone());
	fb_close(&b);
}

/* Long after the recovery a D-SACK is about something else. */
static void dsack_too_late(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK, 0);
	SACK1(0, SEGS(1, 5));
	fb_set_cc(&b, 5000, 5000);
	FB_RX(&b, .ack = 10000);
	for (uint32_t i = 0; i < 4; i++) {
		fb_app_write(&b, 2000);
		b.now += FB_MS(100);
		FB_RX(&b, .ack = 12000 + i * 2000);
	}
	FB_RX(&b, .ack = 18000, .nr_sack = 1, .sack = { SEGS(11, 12) });
	assert_int_equal(fb_stat(&b, MG_FPS_UNDOS), 0);
	fb_close(&b);
}

/* ---- RACK (RFC 8985) ---- */

/* 6.2 step 4: a quarter of the smallest round trip more for each round with a D-SACK; back after 16 recoveries. */
static void rack_window_adapts(void **state)
{
	uint32_t una = 10;

	(void)state;
	send_segments(10, MG_FLOW_SACK, 0);
	assert_int_equal(b.flow->rack_mult, 1);
	SACK1(0, SEGS(1, 5));
	FB_RX(&b, .ack = 10000, .nr_sack = 1, .sack = { SEGS(0, 1) });
	assert_int_equal(b.flow->rack_mult, 2);
	FB_RX(&b, .ack = 10000, .nr_sack = 1, .sack = { SEGS(0, 1) });
	assert_int_equal(b.flow->rack_mult, 2); /* once per round trip */
	for (uint32_t i = 0; i < 16; i++) {
		assert_int_equal(b.flow->rack_mult, 2);
		fb_set_cc(&b, 10000, 10000);
		fb_app_write(&b, 10000);
		b.now += FB_MS(100);
		FB_RX(&b, .ack = una * 1000, .nr_sack = 1, .sack = { SEGS(una + 1, una + 10) });
		fb_run(&b, FB_MS(60)); /* reordering may have been learnt */
		assert_int_equal(b.flow->recovery, MG_REC_FAST);
		una += 10;
		b.now += FB_MS(50);
		FB_RX(&b, .ack = una * 1000);
		assert_int_equal(b.flow->recovery, MG_REC_OPEN);
	}
	assert_int_equal(b.flow->rack_mult, 1);
	fb_close(&b);
}

/* RFC 6675's rescue: the head and the very last segments are lost; RACK needs no time-out for the tail. */
static void tail_of_a_recovery(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK, 0);
	SACK1(0, SEGS(1, 8)); /* 0, 8 and 9 are lost */
	FB_TX(&b, 0, 1000, ACK);
	b.now += FB_MS(100);
	FB_RX(&b, .ack = 8000); /* the retransmission, sent later than 8 and 9, is here */
	fb_run(&b, FB_MS(40));
	FB_TX(&b, 8000, 1000, ACK);
	b.now += FB_MS(20);
	FB_RX(&b, .ack = 9000);
	fb_run(&b, FB_MS(40));
	FB_TX(&b, 9000, 1000, ACK);
	assert_int_equal(fb_stat(&b, MG_FPS_RTOS), 0);
	fb_close(&b);
}

/* 7.3: one probe per flight; 7.4.2: its end is settled by what comes back. */
static void one_probe_per_flight(void **state)
{
	(void)state;
	send_segments(5, MG_FLOW_SACK, 0);
	FB_RX(&b, .ack = 1000);
	fb_run(&b, FB_MS(210));
	assert_int_equal(fb_stat(&b, MG_FPS_TX_TLP), 1);
	fb_run(&b, FB_MS(60));
	assert_int_equal(fb_stat(&b, MG_FPS_TX_TLP), 1);
	fb_close(&b);
}

/* ---- PRR (RFC 9937) ---- */

/* 20 out, one lost, ssthresh 14: after the last duplicate 14 x 19 / 20 segments have left, about evenly. */
static void prr_proportional(void **state)
{
	uint32_t sent = 0;

	(void)state;
	send_segments(20, MG_FLOW_SACK, 30);
	SACK1(0, SEGS(1, 4));
	fb_set_cc(&b, 14000, 14000);
	assert_int_equal(b.flow->recover_fs, 20000);
	for (uint32_t i = 5; i <= 20; i++) {
		SACK1(0, SEGS(1, i));
		while (fb_tx(&b) != NULL)
			sent++;
		/* never ahead of its share: ceil(delivered x ssthresh / RecoverFS) */
		assert_true(sent * 1000 <= ((i - 1) * 1000 * 14 + 19) / 20 + 1000);
		assert_true((sent + 2) * 1000 >= (i - 1) * 1000 * 14 / 20);
	}
	assert_in_range(sent, 13, 14);
	b.now += FB_MS(100);
	FB_RX(&b, .ack = 20000 + 12000);
	assert_int_equal(b.flow->cwnd, 14000);
	fb_close(&b);
}

/* Section 6: what had been SACKed before does not count in RecoverFS. */
static void prr_counts_earlier_sacks(void **state)
{
	(void)state;
	send_segments(20, MG_FLOW_SACK, 30);
	SACK1(0, SEGS(1, 2));
	SACK1(0, SEGS(1, 3));
	assert_int_equal(b.flow->recovery, MG_REC_OPEN);
	fb_tx_clear(&b);
	SACK1(0, SEGS(1, 4));
	assert_int_equal(b.flow->recovery, MG_REC_FAST);
	/* 20 and two by limited transmit, less the two that were SACKed before */
	assert_int_equal(b.flow->recover_fs, 20000);
	fb_close(&b);
}

/* Below ssthresh: as much as was delivered, one more when the left edge moves without further loss. */
static void prr_slow_start_bound(void **state)
{
	(void)state;
	send_segments(20, MG_FLOW_SACK, 30);
	SACK1(0, SEGS(15, 20)); /* fifteen are lost at once */
	fb_set_cc(&b, 10000, 10000);
	assert_int_equal(fb_tx_pending(&b), 5); /* five were delivered */
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 1000, .nr_sack = 1, .sack = { SEGS(15, 20) });
	assert_int_equal(fb_tx_pending(&b), 2);
	FB_TX(&b, 5000, 1000, ACK);
	FB_TX(&b, 6000, 1000, ACK);
	fb_close(&b);
}

/* What duplicates deliver is told only with the ACK that covers it, or with the loss. */
static void duplicates_make_nothing_grow(void **state)
{
	uint32_t before;

	(void)state;
	send_segments(10, 0, 10);
	before = fb_events(&b, MG_EV_SAMPLE);
	for (uint32_t i = 0; i < 2; i++) {
		b.now += FB_MS(50);
		FB_RX(&b, .ack = 0);
	}
	assert_int_equal(fb_events(&b, MG_EV_SAMPLE), before);
	b.now += FB_MS(50);
	FB_RX(&b, .ack = 1000); /* it was only reordering */
	assert_int_equal(fb_events(&b, MG_EV_SAMPLE), before + 1);
	fb_close(&b);
}

/* ---- After the peer shrank its window (SHLD-15, 16, 17) ---- */

static void shrunk_window(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK, 5);
	FB_RX(&b, .ack = 0, .wnd = 2500);
	FB_TX_NONE(&b); /* nothing new */
	time_out();
	fb_set_cc(&b, 1000, 5000);
	FB_RX(&b, .ack = 1000, .wnd = 1500);
	fb_set_cc(&b, 8000, 8000);
	/* the window ends at 2500: what lies inside leaves again, and no more */
	FB_TX(&b, 1000, 1000, ACK);
	FB_TX(&b, 2000, 500, ACK);
	FB_TX_NONE(&b);
	/* back as it was: all of it */
	FB_RX(&b, .ack = 2500, .wnd = 60000);
	FB_TX(&b, 2500, 1000, ACK);
	fb_close(&b);
}

/* To nothing: the head goes on as a probe, and while the peer answers nobody gives up (SHLD-17). */
static void shrunk_to_nothing(void **state)
{
	(void)state;
	send_segments(4, MG_FLOW_SACK, 5);
	FB_RX(&b, .ack = 0, .wnd_zero = true);
	for (uint32_t i = 0; i < 6; i++) {
		time_out();
		FB_RX(&b, .ack = 0, .wnd_zero = true);
		assert_int_equal(b.flow->timeouts, 0);
	}
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 4000, .wnd = 60000);
	fb_set_cc(&b, 2000, 2000);
	FB_TX(&b, 4000, 1000, ACK);
	fb_close(&b);
}

/* ---- RTO (RFC 6298) ---- */

static void rtt_numbers(void **state)
{
	static const struct {
		uint32_t rtt_ms, srtt_us, rttvar_us;
	} steps[] = {
		{ 100, 100000, 50000 }, /* the first: R, R / 2 */
		{ 140, 105000, 47500 }, /* 3/4 50 + 1/4 40; 7/8 100 + 1/8 140 */
		{ 60, 99375, 46875 },   /* 3/4 47.5 + 1/4 45; 7/8 105 + 1/8 60 */
		{ 1000, 211953, 260312 },
	};

	(void)state;
	fb_open(&b, &(struct fb_conf){ .cwnd = 1000 });
	for (uint32_t i = 0; i < MG_ARRAY_SIZE(steps); i++) {
		uint32_t rto_us;

		fb_app_write(&b, 1000);
		b.now += FB_MS(steps[i].rtt_ms);
		FB_RX(&b, .ack = (i + 1) * 1000);
		assert_in_range(b.flow->srtt8_us / 8, steps[i].srtt_us - 3, steps[i].srtt_us + 3);
		assert_in_range(b.flow->rttvar4_us / 4, steps[i].rttvar_us - 3,
				steps[i].rttvar_us + 3);
		rto_us = b.flow->srtt8_us / 8 + b.flow->rttvar4_us;
		assert_int_equal(b.flow->rto_us, mg_max_u32(rto_us, b.flow->rto_min_us));
	}
	fb_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frto_basic_spurious),
		cmocka_unit_test(frto_basic_real_loss),
		cmocka_unit_test(frto_basic_step_2a),
		cmocka_unit_test(frto_needs_new_data),
		cmocka_unit_test(frto_after_several),
		cmocka_unit_test(frto_sack_spurious),
		cmocka_unit_test(frto_sack_real_loss),
		cmocka_unit_test(frto_knows_what_was_sacked),
		cmocka_unit_test(reneging_is_noticed),
		cmocka_unit_test(dsack_of_two_segments),
		cmocka_unit_test(dsack_of_one_of_two),
		cmocka_unit_test(dsack_of_a_part),
		cmocka_unit_test(dsack_too_late),
		cmocka_unit_test(rack_window_adapts),
		cmocka_unit_test(tail_of_a_recovery),
		cmocka_unit_test(one_probe_per_flight),
		cmocka_unit_test(prr_proportional),
		cmocka_unit_test(prr_counts_earlier_sacks),
		cmocka_unit_test(prr_slow_start_bound),
		cmocka_unit_test(duplicates_make_nothing_grow),
		cmocka_unit_test(shrunk_window),
		cmocka_unit_test(shrunk_to_nothing),
		cmocka_unit_test(rtt_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
