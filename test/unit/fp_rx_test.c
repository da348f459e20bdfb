/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving: sequence, reassembly, windows, the checks of RFC 9293 3.10.7.4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/lib/fp_builder.h"

static struct fb b;

static const uint32_t isns[] = { 1000, 0xfffffff0u, 0xffff8000u, 0x7ffffff0u, 0xffffffffu };

/* ---- In order ---- */

static void in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(isns); i++) {
		fb_open(&b, &(struct fb_conf){ .irs = isns[i], .iss = isns[i] ^ 0x55 });
		FB_RX(&b, .seq = 0, .len = 500);
		assert_int_equal(fb_app_readable(&b), 500);
		FB_TX_NONE(&b);
		FB_RX(&b, .seq = 500, .len = 1000);
		FB_TX_ACK(&b, 1500);
		fb_app_read(&b, 1500, false);
		assert_int_equal(fb_stat(&b, MG_FPS_RX_PREDICTED), 2);
		fb_close(&b);
	}
}

static void one_ack_for_a_burst(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	for (uint32_t i = 0; i < 20; i++)
		fb_rx_seg(&b, &(struct fb_seg){ .seq = i * 1000, .len = 1000 });
	fb_flush(&b);
	FB_TX_ACK(&b, 20000);
	FB_TX_NONE(&b);
	assert_true(fb_app_event(&b));
	assert_false(fb_app_event(&b));
	fb_close(&b);
}

static void ring_wraps_at_every_offset(void **state)
{
	(void)state;
	for (uint32_t lead = 1; lead < 4096; lead += 61) {
		fb_open(&b, &(struct fb_conf){ .rx_bytes = 4096, .rcv_adv = 4096 });
		for (uint32_t pos = 0; pos < 3 * 4096; pos += lead % 997 + 1) {
			uint32_t len = lead % 997 + 1;

			FB_RX(&b, .seq = pos, .len = len);
			assert_int_equal(fb_app_readable(&b), len);
			fb_app_read(&b, len, true);
		}
		fb_close(&b);
	}
}

/* ---- Out of order ---- */

static void gap_then_fill(void **state)
{
	const struct fb_out *o;

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(isns); i++) {
		fb_open(&b, &(struct fb_conf){ .irs = isns[i], .flags = MG_FLOW_SACK });
		FB_RX(&b, .seq = 1000, .len = 1000);
		o = fb_tx(&b);
		assert_non_null(o);
		assert_int_equal(o->ack, 0);
		assert_int_equal(o->nr_sack, 1);
		assert_int_equal(o->sack[0].start, 1000);
		assert_int_equal(o->sack[0].end, 2000);
		assert_int_equal(fb_app_readable(&b), 0);
		FB_RX(&b, .seq = 0, .len = 1000);
		o = fb_tx(&b);
		assert_int_equal(o->ack, 2000);
		assert_int_equal(o->nr_sack, 0);
		fb_app_read(&b, 2000, false);
		fb_close(&b);
	}
}

/* RFC 2018 section 4: the first block is the one that the segment changed, then the most recent others. */
static void sack_order(void **state)
{
	const struct fb_out *o;

	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_SACK });
	FB_RX(&b, .seq = 1000, .len = 500);
	FB_RX(&b, .seq = 3000, .len = 500);
	FB_RX(&b, .seq = 5000, .len = 500);
	FB_RX(&b, .seq = 7000, .len = 500);
	FB_RX(&b, .seq = 9000, .len = 500);
	fb_tx_clear(&b);
	FB_RX(&b, .seq = 3500, .len = 500);
	o = fb_tx(&b);
	assert_int_equal(o->nr_sack, 4);
	assert_int_equal(o->sack[0].start, 3000);
	assert_int_equal(o->sack[0].end, 4000);
	assert_int_equal(o->sack[1].start, 9000);
	assert_int_equal(o->sack[2].start, 7000);
	assert_int_equal(o->sack[3].start, 5000);
	/* Filling the first gap moves the cumulative part; blocks below it go. */
	FB_RX(&b, .seq = 0, .len = 1000);
	o = fb_tx(&b);
	assert_int_equal(o->ack, 1500);
	assert_int_equal(o->sack[0].start, 3000);
	fb_close(&b);
}

static void sack_has_three_blocks_beside_timestamps(void **state)
{
	const struct fb_out *o;

	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_SACK | MG_FLOW_TS });
	for (uint32_t i = 0; i < 5; i++)
		FB_RX(&b, .seq = 1000 + 2000 * i, .len = 100);
	for (uint32_t i = 0; i < 5; i++)
		o = fb_tx(&b);
	assert_int_equal(o->nr_sack, 3);
	assert_true(o->ts);
	fb_close(&b);
}

static void overlaps(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_SACK });
	FB_RX(&b, .seq = 2000, .len = 1000);
	FB_RX(&b, .seq = 2500, .len = 1000);
	FB_RX(&b, .seq = 1500, .len = 1000);
	FB_RX(&b, .seq = 500, .len = 3500);
	assert_int_equal(b.flow->nr_ooo, 1);
	FB_RX(&b, .seq = 0, .len = 600);
	assert_int_equal(fb_app_readable(&b), 4000);
	fb_app_read(&b, 4000, false);
	FB_RX(&b, .seq = 3500, .len = 1000);
	assert_int_equal(fb_app_readable(&b), 500);
	fb_app_read(&b, 500, false);
	fb_close(&b);
}

/* Any permutation with overlaps gives the same bytes: compare with the pattern. */
static void random_arrival(void **state)
{
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 7);
	for (uint32_t round = 0; round < 200; round++) {
		uint32_t base = 0;

		fb_open(&b, &(struct fb_conf){ .irs = isns[round % 5],
					       .rx_bytes = 8192,
					       .rcv_adv = 8192,
					       .flags = round & 1 ? MG_FLOW_SACK : 0 });
		for (uint32_t i = 0; i < 300; i++) {
			uint32_t seq = base + mg_rng_below(&rng, 8192);
			uint32_t len = 1 + mg_rng_below(&rng, 1000);

			if (i % 4 == 0)
				seq = b.flow->rcv_nxt - b.conf.irs - 1 -
				      mg_rng_below(&rng, base > 100 ? 100 : 1);
			fb_rx_seg(&b, &(struct fb_seg){ .seq = seq, .len = len });
			if (i % 3 == 0)
				fb_flush(&b);
			fb_app_read(&b, mg_rng_below(&rng, fb_app_readable(&b) + 1), i % 5 == 0);
			base = (uint32_t)b.app_read;
			fb_tx_clear(&b);
		}
		fb_flush(&b);
		fb_app_read(&b, fb_app_readable(&b), true);
		assert_true(b.app_read > 8192);
		fb_tx_clear(&b);
		fb_close(&b);
	}
}

static void pool_of_intervals_runs_out(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .ooo_max = 2, .flags = MG_FLOW_SACK });
	FB_RX(&b, .seq = 1000, .len = 100);
	FB_RX(&b, .seq = 2000, .len = 100);
	FB_RX(&b, .seq = 3000, .len = 100);
	assert_int_equal(fb_stat(&b, MG_FPS_RX_OOO_FULL), 1);
	FB_RX(&b, .seq = 0, .len = 2050);
	assert_int_equal(fb_app_readable(&b), 2100);
	FB_RX(&b, .seq = 3000, .len = 100);
	FB_RX(&b, .seq = 2100, .len = 900);
	assert_int_equal(fb_app_readable(&b), 3100);
	fb_close(&b);
}

/* ---- Duplicates, D-SACK ---- */

static void duplicate_is_acked_with_dsack(void **state)
{
	const struct fb_out *o;

	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_SACK });
	FB_RX(&b, .seq = 0, .len = 1000);
	fb_tx_clear(&b);
	FB_RX(&b, .seq = 0, .len = 1000);
	o = fb_tx(&b);
	assert_int_equal(o->ack, 1000);
	assert_int_equal(o->nr_sack, 1);
	assert_int_equal(o->sack[0].start, 0);
	assert_int_equal(o->sack[0].end, 1000);
	/* Once only. */
	FB_RX(&b, .seq = 2000, .len = 100);
	o = fb_tx(&b);
	assert_int_equal(o->nr_sack, 1);
	assert_int_equal(o->sack[0].start, 2000);
	/* Duplicate of what is out of order: D-SACK first, then the block around it. */
	FB_RX(&b, .seq = 2000, .len = 100);
	o = fb_tx(&b);
	assert_int_equal(o->nr_sack, 2);
	assert_int_equal(o->sack[0].start, 2000);
	assert_int_equal(o->sack[1].start, 2000);
	fb_close(&b);
}

/* ---- Windows ---- */

static void window_follows_the_reader(void **state)
{
	const struct fb_out *o;

	(void)state;
	fb_open(&b, &(struct fb_conf){ .rx_bytes = 8192, .rcv_adv = 8192 });
	for (uint32_t i = 0; i < 8; i++)
		FB_RX(&b, .seq = i * 1000, .len = 1000);
	fb_run(&b, FB_MS(50));
	while (fb_tx_pending(&b) > 1)
		(void)fb_tx(&b);
	o = fb_tx(&b);
	assert_int_equal(o->ack, 8000);
	assert_int_equal(o->wnd, 192);
	/* Beyond the window: cut, acknowledged. */
	FB_RX(&b, .seq = 8000, .len = 1000);
	o = fb_tx(&b);
	assert_int_equal(o->ack, 8192);
	assert_int_equal(o->wnd, 0);
	FB_RX(&b, .seq = 8192, .len = 1);
	o = fb_tx(&b);
	assert_int_equal(o->ack, 8192);
	assert_int_equal(o->wnd, 0);
	/* SWS avoidance: a few bytes free are not offered (MUST-39). */
	fb_app_read(&b, 100, true);
	FB_TX_NONE(&b);
	FB_RX(&b, .seq = 8192, .len = 1);
	assert_int_equal(fb_tx(&b)->wnd, 0);
	/* Two segments free: a window update. */
	fb_app_read(&b, 1900, true);
	o = fb_tx(&b);
	assert_non_null(o);
	assert_int_equal(o->wnd, 2000);
	FB_TX_NONE(&b);
	fb_close(&b);
}

/* SHLD-14, and never more than there is room for, at any scale. */
static void right_edge_never_moves_left(void **state)
{
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 3);
	for (uint8_t scale = 0; scale <= 10; scale++) {
		uint32_t edge = 0;
		uint32_t sent = 0;

		fb_open(&b, &(struct fb_conf){
				    .rcv_wscale = scale, .rx_bytes = 32768, .rcv_adv = 32768 });
		for (uint32_t i = 0; i < 2000; i++) {
			uint32_t len = 1 + mg_rng_below(&rng, 1400);
			const struct fb_out *o;

			len = mg_min_u32(len, mg_flow_rcv_wnd(b.flow));
			if (len != 0)
				FB_RX(&b, .seq = sent, .len = len);
			sent += len;
			assert_int_equal(b.flow->rcv_nxt - b.conf.irs - 1,
					 sent); /* all of it was taken */
			fb_run(&b, FB_MS(mg_rng_below(&rng, 60)));
			while ((o = fb_tx(&b)) != NULL) {
				/* Rounding to the scale's unit may retract less than one (RFC 7323 2.4). */
				assert_true(mg_seq_geq(o->ack + o->wnd + (1u << scale) - 1, edge));
				assert_true(o->ack + o->wnd <= b.app_read + 32768);
				edge = mg_seq_max(edge, o->ack + o->wnd);
			}
			fb_app_read(&b, mg_rng_below(&rng, fb_app_readable(&b) + 1),
				    mg_rng_below(&rng, 3) == 0);
		}
		fb_close(&b);
	}
}

/* ---- Timestamps (RFC 7323) ---- */

static void paws(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_TS });
	FB_RX(&b, .seq = 0, .len = 1000, .tsval = 200000);
	FB_RX(&b, .seq = 1000, .len = 1000, .tsval = 199999);
	assert_int_equal(fb_stat(&b, MG_FPS_RX_PAWS), 1);
	assert_int_equal(fb_app_readable(&b), 1000);
	FB_TX_ACK(&b, 1000);
	FB_RX(&b, .seq = 1000, .len = 1000, .tsval = 200000);
	assert_int_equal(fb_app_readable(&b), 2000);
	/* A reset is exempt. */
	FB_RX(&b, .seq = 2000, .flags = MG_TCP_RST, .tsval = 1);
	(void)fb_event(&b, MG_EV_RST_RCVD);
	fb_close(&b);
}

static void paws_forgets_after_24_days(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_TS });
	FB_RX(&b, .seq = 0, .len = 1000, .tsval = 200000);
	fb_run(&b, 23ull * 24 * 3600 * MG_NS_PER_S);
	FB_RX(&b, .seq = 1000, .len = 1000, .tsval = 199000);
	assert_int_equal(fb_app_readable(&b), 1000);
	fb_run(&b, 2ull * 24 * 3600 * MG_NS_PER_S);
	FB_RX(&b, .seq = 1000, .len = 1000, .tsval = 199000);
	assert_int_equal(fb_app_readable(&b), 2000);
	FB_RX(&b, .seq = 2000, .len = 1000, .tsval = 199001);
	assert_int_equal(fb_app_readable(&b), 3000);
	fb_close(&b);
}

static void missing_timestamp_is_dropped(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_TS });
	FB_RX(&b, .seq = 0, .len = 1000, .no_ts = true);
	assert_int_equal(fb_stat(&b, MG_FPS_RX_NO_TIMESTAMP), 1);
	assert_int_equal(fb_app_readable(&b), 0);
	FB_TX_NONE(&b);
	fb_close(&b);
}

/* TS.Recent comes from the segment that the next ACK's left edge lies in. */
static void ts_recent(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_TS });
	FB_RX(&b, .seq = 0, .len = 1000, .tsval = 150000);
	FB_RX(&b, .seq = 1000, .len = 1000, .tsval = 150010);
	assert_int_equal(fb_tx(&b)->tsecr,
			 150000); /* delayed ACK: the first of the two (RFC 7323 4.3) */
	FB_RX(&b, .seq = 3000, .len = 1000, .tsval = 150020);
	assert_int_equal(fb_tx(&b)->tsecr, 150000); /* beyond a gap: not taken */
	FB_RX(&b, .seq = 2000, .len = 1000, .tsval = 150030);
	assert_int_equal(fb_tx(&b)->tsecr, 150030);
	fb_close(&b);
}

/* ---- RST and SYN (RFC 5961) ---- */

static void resets(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .seq = 1, .flags = MG_TCP_RST);
	FB_TX_ACK(&b, 0); /* in the window, not exact: challenge */
	FB_RX(&b, .seq = (uint32_t)-1, .flags = MG_TCP_RST);
	FB_RX(&b, .seq = 65535, .flags = MG_TCP_RST);
	FB_TX_NONE(&b);
	assert_int_equal(fb_stat(&b, MG_FPS_RX_RST_DROPPED), 2);
	assert_int_equal(fb_events(&b, MG_EV_RST_RCVD), 0);
	FB_RX(&b, .seq = 0, .len = 10, .flags = MG_TCP_RST | MG_TCP_ACK); /* SHLD-2: with data */
	(void)fb_event(&b, MG_EV_RST_RCVD);
	assert_int_equal(b.flow->run, MG_FLOW_STOPPED);
	FB_RX(&b, .seq = 0, .len = 100);
	FB_TX_NONE(&b);
	fb_close(&b);
}

/* MUST-66: RST and URG count at a closed window. */
static void reset_at_zero_window(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .rx_bytes = 4096, .rcv_adv = 4096 });
	FB_RX(&b, .seq = 0, .len = 4096);
	fb_tx_clear(&b);
	FB_RX(&b, .seq = 4096, .len = 10, .flags = MG_TCP_ACK | MG_TCP_URG, .urg = 5);
	assert_true(atomic_load(&b.win->w_flags) & MG_SHM_WF_URG);
	assert_int_equal(atomic_load(&b.win->urg_pos), 4101);
	FB_RX(&b, .seq = 4096, .flags = MG_TCP_RST);
	(void)fb_event(&b, MG_EV_RST_RCVD);
	fb_close(&b);
}

static void syn_is_challenged(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .seq = 0, .flags = MG_TCP_SYN);
	FB_TX_ACK(&b, 0);
	FB_RX(&b, .seq = 0x70000000, .flags = MG_TCP_SYN | MG_TCP_ACK);
	FB_TX_ACK(&b, 0);
	assert_int_equal(b.flow->run, MG_FLOW_LIVE);
	fb_close(&b);
}

static void challenges_are_limited(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .challenge_per_s = 8 });
	for (uint32_t i = 0; i < 1000; i++) {
		FB_RX(&b, .seq = 1 + i, .flags = MG_TCP_RST);
		b.now += FB_US(100);
	}
	assert_true(fb_tx_pending(&b) >= 4 && fb_tx_pending(&b) <= 8);
	mg_fp_set_challenge_limit(b.fp, 2);
	fb_tx_clear(&b);
	b.now += MG_NS_PER_S;
	for (uint32_t i = 0; i < 100; i++)
		FB_RX(&b, .seq = 1 + i, .flags = MG_TCP_RST);
	assert_in_range(fb_tx_pending(&b), 1, 2);
	fb_close(&b);
}

/* ---- ACK field (RFC 5961 5) ---- */

static void ack_ranges(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .snd_wnd = 5000 });
	fb_app_write(&b, 3000);
	fb_tx_clear(&b);
	FB_RX(&b, .seq = 0, .ack = 3000);
	FB_RX(&b, .seq = 0, .ack = 3001, .len = 10); /* never sent */
	FB_TX_ACK(&b, 0);
	assert_int_equal(fb_app_readable(&b), 0);
	FB_RX(&b, .seq = 0, .ack = 3000u - 5001, .len = 10); /* below MAX.SND.WND */
	FB_TX_ACK(&b, 0);
	assert_int_equal(fb_app_readable(&b), 0);
	FB_RX(&b, .seq = 0, .ack = 3000u - 5000,
	      .len = 10); /* old but acceptable: the data counts */
	assert_int_equal(fb_app_readable(&b), 10);
	FB_RX(&b, .seq = 10, .len = 10, .flags = MG_TCP_PSH); /* no ACK bit */
	assert_int_equal(fb_app_readable(&b), 10);
	assert_int_equal(fb_stat(&b, MG_FPS_RX_NO_ACK), 1);
	fb_close(&b);
}

/* A probe below the window is answered (keepalive, zero-window probe). */
static void keepalive_probe_is_answered(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .seq = (uint32_t)-1);
	FB_TX_ACK(&b, 0);
	FB_RX(&b, .seq = (uint32_t)-1, .len = 1);
	FB_TX_ACK(&b, 0);
	fb_close(&b);
}

/* ---- ECN (RFC 3168) ---- */

static void ecn_echo_until_cwr(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_ECN });
	FB_RX(&b, .seq = 0, .len = 2000, .ecn = MG_ECN_CE);
	assert_int_equal(fb_tx(&b)->flags, MG_TCP_ACK | MG_TCP_ECE);
	FB_RX(&b, .seq = 2000, .len = 2000, .ecn = MG_ECN_ECT0);
	assert_int_equal(fb_tx(&b)->flags, MG_TCP_ACK | MG_TCP_ECE);
	FB_RX(&b, .seq = 4000, .len = 2000, .ecn = MG_ECN_ECT0, .flags = MG_TCP_ACK | MG_TCP_CWR);
	assert_int_equal(fb_tx(&b)->flags, MG_TCP_ACK);
	fb_app_write(&b, 100);
	assert_int_equal(fb_tx(&b)->ecn, MG_ECN_ECT0);
	FB_RX(&b, .seq = 6000, .ack = 100, .flags = MG_TCP_ACK | MG_TCP_ECE);
	(void)fb_stat(&b, MG_FPS_RX_ECE);
	fb_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(one_ack_for_a_burst),
		cmocka_unit_test(ring_wraps_at_every_offset),
		cmocka_unit_test(gap_then_fill),
		cmocka_unit_test(sack_order),
		cmocka_unit_test(sack_has_three_blocks_beside_timestamps),
		cmocka_unit_test(overlaps),
		cmocka_unit_test(random_arrival),
		cmocka_unit_test(pool_of_intervals_runs_out),
		cmocka_unit_test(duplicate_is_acked_with_dsack),
		cmocka_unit_test(window_follows_the_reader),
		cmocka_unit_test(right_edge_never_moves_left),
		cmocka_unit_test(paws),
		cmocka_unit_test(paws_forgets_after_24_days),
		cmocka_unit_test(missing_timestamp_is_dropped),
		cmocka_unit_test(ts_recent),
		cmocka_unit_test(resets),
		cmocka_unit_test(reset_at_zero_window),
		cmocka_unit_test(syn_is_challenged),
		cmocka_unit_test(challenges_are_limited),
		cmocka_unit_test(ack_ranges),
		cmocka_unit_test(keepalive_probe_is_answered),
		cmocka_unit_test(ecn_echo_until_cwr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
