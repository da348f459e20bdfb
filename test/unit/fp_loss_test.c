/* SPDX-License-Identifier: Apache-2.0 */
/* Losses: RTO, fast retransmit with SACK and without, PRR, tail loss probes, undo. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/lib/fp_builder.h"

static struct fb b;

#define ACK MG_TCP_ACK

/* A SACK block of whole segments [from, to). */
#define SEGS(from, to)                     \
	{                                  \
		(from) * 1000u, (to)*1000u \
	}

/* The peer has segments < cum and the blocks. */
#define SACK1(cum, b0) FB_RX(&b, .ack = (cum)*1000, .nr_sack = 1, .sack = { b0 })

static void send_segments(uint32_t n, uint16_t flags)
{
	fb_open(&b,
		&(struct fb_conf){
			.cwnd = n * 1000, .flags = flags, .srtt_us = 100000, .iss = 0xfffff000u });
	fb_app_write(&b, n * 1000);
	assert_int_equal(fb_tx_pending(&b), n);
	fb_tx_clear(&b);
	b.now += FB_MS(100);
}

/* Takes the first sample with this flag. */
static const struct mg_ev_sample *sample_with(uint32_t flag)
{
	for (uint32_t i = 0; i < b.nr_ev; i++) {
		if (b.ev[i].type != MG_EV_SAMPLE || !(b.ev[i].sample.flags & flag))
			continue;
		b.ev[i].type = 0;
		return &b.ev[i].sample;
	}
	fail_msg("no sample with flag %x", flag);
	return NULL;
}

/* ---- Retransmission time-out ---- */

static void rto_backs_off(void **state)
{
	uint64_t start;
	uint64_t gap;

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	start = b.now;
	fb_app_write(&b, 3000);
	fb_tx_clear(&b);
	fb_run(&b, 16 * MG_NS_PER_S);
	for (uint32_t i = 0; i < 4; i++) {
		const struct fb_out *o = fb_tx(&b);

		assert_non_null(o);
		assert_int_equal(o->seq, 0);
		assert_int_equal(o->len, 1000);
		gap = o->at_ns - start;
		assert_true(gap >= (MG_NS_PER_S << i) && gap < (MG_NS_PER_S << i) + FB_MS(1));
		start = o->at_ns;
	}
	FB_TX_NONE(&b); /* one segment per time-out */
	assert_int_equal(fb_events(&b, MG_EV_TIMEOUT), 4);
	assert_int_equal(b.ev[fb_event(&b, MG_EV_TIMEOUT)].count, 1);
	assert_int_equal(b.ev[fb_event(&b, MG_EV_TIMEOUT)].count, 2);
	assert_int_equal(fb_events(&b, MG_EV_SAMPLE), 1); /* one reduction */
	(void)sample_with(MG_SAMPLE_RTO);
	fb_close(&b);
}

/* Karn: no sample from a retransmission; the backed-off RTO stays until a valid one. */
static void karn(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .srtt_us = 50000 });
	fb_app_write(&b, 1000);
	fb_run(&b, 4 * MG_NS_PER_S);
	fb_tx_clear(&b);
	assert_int_equal(b.flow->srtt8_us, 400000);
	FB_RX(&b, .ack = 1000);
	assert_int_equal(b.flow->srtt8_us, 400000);
	assert_true(b.flow->rto_backoff >= 1);
	fb_app_write(&b, 1000);
	b.now += FB_MS(50);
	FB_RX(&b, .ack = 2000);
	assert_int_equal(b.flow->rto_backoff, 0);
	fb_close(&b);
}

/* With timestamps the echo tells which one was acknowledged. */
static void timestamps_time_retransmissions(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .srtt_us = 50000, .flags = MG_FLOW_TS });
	fb_app_write(&b, 1000);
	fb_run(&b, 1500 * MG_NS_PER_MS);
	FB_RX(&b, .ack = 1000, .tsecr = (uint32_t)(b.now / 1000000) - 60);
	assert_int_equal(b.flow->rto_backoff, 0);
	assert_in_range(b.flow->srtt8_us >> 3, 50000, 53000);
	fb_close(&b);
}

static void rto_repairs_everything(void **state)
{
	(void)state;
	send_segments(10, 0);
	fb_run(&b, 2 * MG_NS_PER_S);
	FB_TX(&b, 0, 1000, ACK);
	fb_tx_clear(&b);
	fb_set_cc(&b, 1000, 5000);
	FB_RX(&b, .ack = 1000);
	FB_TX(&b, 1000, 1000, ACK);
	fb_set_cc(&b, 2000, 5000);
	FB_TX(&b, 2000, 1000, ACK);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 3000);
	fb_set_cc(&b, 4000, 5000);
	assert_int_equal(fb_tx_pending(&b), 4);
	FB_RX(&b, .ack = 10000); /* the rest had arrived long ago */
	assert_int_equal(b.flow->recovery, MG_REC_OPEN);
	assert_int_equal(b.flow->lost_bytes, 0);
	fb_close(&b);
}

/* A window that was computed before the time-out does not count after it. */
static void stale_cwnd_after_rto(void **state)
{
	(void)state;
	send_segments(10, 0);
	fb_run(&b, 2 * MG_NS_PER_S);
	fb_tx_clear(&b);
	fb_set_cc(&b, 20000, UINT32_MAX);
	FB_TX_NONE(&b);
	fb_set_cc(&b, 1000, 5000);
	fb_set_cc(&b, 3000, 5000);
	assert_int_equal(fb_tx_pending(&b), 2);
	fb_close(&b);
}

/* RFC 2018: after a time-out SACK marks count no more: the peer may have reneged. */
static void reneging(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK);
	SACK1(0, SEGS(1, 10));
	FB_TX(&b, 0, 1000, ACK);
	fb_run(&b, 5 * MG_NS_PER_S);
	assert_int_equal(b.flow->sacked_bytes, 0);
	assert_true(b.flow->lost_bytes >= 9000);
	fb_tx_clear(&b);
	fb_set_cc(&b, 1000, 2000);
	FB_RX(&b, .ack = 1000);
	FB_TX(&b, 1000, 1000, ACK); /* though it was SACKed once */
	fb_close(&b);
}

/* In one turn segments come before timers: the ACK that is in hand already counts. */
static void ack_beats_the_timer(void **state)
{
	(void)state;
	send_segments(3, MG_FLOW_SACK);
	b.now += 5 * MG_NS_PER_S;
	fb_rx_seg(&b, &(struct fb_seg){ .ack = 3000 });
	(void)mg_fp_timers(b.fp, b.now);
	fb_flush(&b);
	assert_int_equal(fb_stat(&b, MG_FPS_RTOS), 0);
	FB_TX_NONE(&b);
	fb_close(&b);
}

/* ---- Fast retransmit with SACK: patterns of lost segments ---- */

static void lose_the_first(void **state)
{
	const struct mg_ev_sample *s;

	(void)state;
	send_segments(10, MG_FLOW_SACK);
	SACK1(0, SEGS(1, 2));
	FB_TX_NONE(&b);
	SACK1(0, SEGS(1, 3));
	FB_TX_NONE(&b);
	SACK1(0, SEGS(1, 4));
	FB_TX(&b, 0, 1000, ACK);
	FB_TX_NONE(&b);
	assert_int_equal(b.flow->recovery, MG_REC_FAST);
	s = sample_with(MG_SAMPLE_LOSS);
	assert_int_equal(s->prior_inflight_bytes, 10000);
	assert_int_equal(s->lost_bytes, 1000);
	fb_set_cc(&b, 7000, 7000);
	SACK1(0, SEGS(1, 10));
	b.now += FB_MS(100);
	FB_RX(&b, .ack = 10000);
	assert_int_equal(b.flow->recovery, MG_REC_OPEN);
	assert_int_equal(b.flow->cwnd, 7000);
	assert_int_equal(fb_stat(&b, MG_FPS_TX_RETRANS), 1);
	(void)sample_with(MG_SAMPLE_RECOVERED);
	fb_close(&b);
}

/* Segments 1, 4..11, 16 (of 1..20) are lost, all else arrives: each is sent once more, in order, nothing else. */
static void lose_many(void **state)
{
	static const uint8_t lost[] = { 0, 3, 4, 5, 6, 7, 8, 9, 10, 15 };
	bool have[20];
	uint32_t next = 0;

	(void)state;
	send_segments(20, MG_FLOW_SACK);
	for (uint32_t i = 0; i < 20; i++)
		have[i] = true;
	for (size_t i = 0; i < sizeof(lost); i++)
		have[lost[i]] = false;
	SACK1(0, SEGS(1, 2));
	SACK1(0, SEGS(1, 3));
	FB_RX(&b, .ack = 0, .nr_sack = 2, .sack = { SEGS(11, 12), SEGS(1, 3) });
	FB_RX(&b, .ack = 0, .nr_sack = 2, .sack = { SEGS(11, 15), SEGS(1, 3) });
	FB_RX(&b, .ack = 0, .nr_sack = 3, .sack = { SEGS(16, 20), SEGS(11, 15), SEGS(1, 3) });
	for (uint32_t rounds = 0; rounds < 40 && b.flow->snd_una != b.flow->snd_nxt; rounds++) {
		const struct fb_out *o;
		uint32_t cum = 0;

		while ((o = fb_tx(&b)) != NULL) {
			assert_true(next < sizeof(lost));
			assert_int_equal(o->seq, lost[next] * 1000u);
			assert_int_equal(o->len, 1000);
			have[lost[next++]] = true;
		}
		b.now += FB_MS(10);
		while (cum < 20 && have[cum])
			cum++;
		FB_RX(&b, .ack = cum * 1000);
	}
	assert_int_equal(next, sizeof(lost));
	assert_int_equal(fb_stat(&b, MG_FPS_FAST_RECOVERIES), 1);
	assert_int_equal(fb_stat(&b, MG_FPS_RTOS), 0);
	fb_close(&b);
}

/* PRR: with half the flight as ssthresh, one segment leaves for about two that are delivered. */
static void prr_halves_smoothly(void **state)
{
	(void)state;
	send_segments(20, MG_FLOW_SACK);
	fb_app_write(&b, 30000);
	SACK1(0, SEGS(1, 4));
	fb_set_cc(&b, 10000, 10000);
	for (uint32_t i = 5; i <= 20; i++)
		SACK1(0, SEGS(1, i));
	/* 19 segments were delivered: about 10 out, the first of them the retransmission. */
	assert_in_range(fb_tx_pending(&b), 9, 11);
	FB_TX(&b, 0, 1000, ACK);
	FB_TX(&b, 20000, 1000, ACK);
	assert_true(mg_flow_pipe(b.flow) <= 11000);
	fb_close(&b);
}

/* RFC 3042: each of the first two duplicates lets one new segment out. */
static void limited_transmit(void **state)
{
	(void)state;
	for (uint16_t flags = 0; flags <= MG_FLOW_SACK; flags = (uint16_t)(flags + MG_FLOW_SACK)) {
		send_segments(10, flags);
		fb_app_write(&b, 5000);
		FB_TX_NONE(&b);
		FB_RX(&b, .ack = 0, .nr_sack = flags ? 1 : 0, .sack = { SEGS(1, 2) });
		FB_TX(&b, 10000, 1000, ACK);
		FB_RX(&b, .ack = 0, .nr_sack = flags ? 1 : 0, .sack = { SEGS(1, 3) });
		FB_TX(&b, 11000, 1000, ACK);
		FB_RX(&b, .ack = 0, .nr_sack = flags ? 1 : 0, .sack = { SEGS(1, 4) });
		FB_TX(&b, 0, 1000, ACK);
		fb_close(&b);
	}
}

/* A retransmission that is lost again is found without a time-out. */
static void lost_retransmission(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK);
	fb_app_write(&b, 10000);
	SACK1(0, SEGS(1, 6));
	FB_TX(&b, 0, 1000, ACK);
	SACK1(0, SEGS(1, 10));
	assert_true(fb_tx_pending(&b) >= 1); /* new data goes out behind it */
	fb_tx_clear(&b);
	b.now += FB_MS(100);
	SACK1(0, SEGS(1, 11));
	fb_run(&b, FB_MS(30));
	assert_true(fb_tx_pending(&b) >= 1);
	FB_TX(&b, 0, 1000, ACK);
	assert_int_equal(fb_stat(&b, MG_FPS_RTOS), 0);
	fb_close(&b);
}

/* Reordering by less than a quarter of the round trip: no retransmission. */
static void reordering_is_not_loss(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK);
	SACK1(0, SEGS(1, 3));
	fb_run(&b, FB_MS(10));
	FB_RX(&b, .ack = 3000);
	FB_RX(&b, .ack = 10000);
	FB_TX_NONE(&b);
	assert_int_equal(fb_stat(&b, MG_FPS_TX_RETRANS), 0);
	/* Reordering within SACKed data is learnt: then even many SACKs wait for the time to pass. */
	fb_app_write(&b, 10000);
	b.now += FB_MS(100);
	SACK1(10, SEGS(12, 13));
	FB_RX(&b, .ack = 10000, .nr_sack = 1, .sack = { SEGS(11, 13) });
	assert_true(mg_flow_has(b.flow, MG_FF_REORDER));
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 10000, .nr_sack = 1, .sack = { SEGS(11, 16) });
	FB_TX_NONE(&b);
	fb_run(&b, FB_MS(40));
	FB_TX(&b, 10000, 1000, ACK);
	fb_close(&b);
}

static void sack_nonsense_is_ignored(void **state)
{
	(void)state;
	send_segments(4, MG_FLOW_SACK);
	SACK1(0, SEGS(3, 5)); /* beyond what was sent */
	SACK1(0, SEGS(3, 2)); /* backwards */
	SACK1(0, SEGS(2, 2)); /* empty */
	FB_RX(&b, .ack = 0, .nr_sack = 1, .sack = { { 0x70000000, 0x70001000 } });
	assert_int_equal(b.flow->sacked_bytes, 0);
	assert_true(fb_stat(&b, MG_FPS_RX_SACK_BAD) >= 3);
	/* Cuts through segments. */
	FB_RX(&b, .ack = 0, .nr_sack = 1, .sack = { { 500, 1500 } });
	assert_int_equal(b.flow->sacked_bytes, 1000);
	FB_RX(&b, .ack = 700);
	assert_int_equal(b.flow->sacked_bytes, 800);
	fb_close(&b);
}

/* Differential: random SACKs against a map of bytes. */
static void scoreboard_against_a_map(void **state)
{
	static bool map[40000];
	struct mg_rng rng;

	(void)state;
	mg_rng_init(&rng, 11);
	for (uint32_t round = 0; round < 100; round++) {
		uint32_t una = 0;

		fb_open(&b, &(struct fb_conf){ .cwnd = 40000,
					       .flags = MG_FLOW_SACK,
					       .srtt_us = 100000,
					       .iss = 0u - round * 777,
					       .txrecs_max = round % 4 == 0 ? 6 : 1024 });
		memset(map, 0, sizeof(map));
		fb_app_write(&b, 20000);
		b.now += FB_MS(1);
		fb_app_write(&b, 20000);
		for (uint32_t i = 0; i < 60; i++) {
			uint32_t start = una + mg_rng_below(&rng, 40000 - una);
			uint32_t end = start + mg_rng_below(&rng, mg_min_u32(4000, 40000 - start)) +
				       1;
			uint32_t sacked = 0;

			if (mg_rng_below(&rng, 8) == 0)
				una = mg_min_u32(una + mg_rng_below(&rng, 3000), 39000);
			b.now += FB_US(mg_rng_below(&rng, 3000));
			FB_RX(&b, .ack = una, .nr_sack = 1, .sack = { { start, end } });
			if (end > una && b.flow->snd_nxt - b.conf.iss - 1 >= end)
				memset(map + start, 1, end - start);
			for (uint32_t k = una; k < 40000; k++)
				sacked += map[k];
			if (fb_stat(&b, MG_FPS_TXREC_NONE) == 0 &&
			    fb_stat(&b, MG_FPS_TXREC_MERGED) == 0 && fb_stat(&b, MG_FPS_RTOS) == 0)
				assert_int_equal(b.flow->sacked_bytes, sacked);
			fb_tx_clear(&b);
		}
		FB_RX(&b, .ack = 40000);
		assert_int_equal(b.fp->recs.nr_used, 0);
		fb_close(&b);
	}
}

/* ---- Without SACK ---- */

static void newreno(void **state)
{
	(void)state;
	send_segments(10, 0); /* 1, 4 and 7 of 1..10 are lost */
	for (uint32_t i = 0; i < 2; i++)
		FB_RX(&b, .ack = 0);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 0);
	FB_TX(&b, 0, 1000, ACK);
	for (uint32_t i = 0; i < 4; i++)
		FB_RX(&b, .ack = 0);
	FB_TX_NONE(&b);
	b.now += FB_MS(100);
	FB_RX(&b, .ack = 3000); /* partial */
	FB_TX(&b, 3000, 1000, ACK);
	FB_TX_NONE(&b);
	b.now += FB_MS(100);
	FB_RX(&b, .ack = 6000);
	FB_TX(&b, 6000, 1000, ACK);
	assert_int_equal(b.flow->recovery, MG_REC_FAST);
	b.now += FB_MS(100);
	FB_RX(&b, .ack = 10000);
	assert_int_equal(b.flow->recovery, MG_REC_OPEN);
	assert_int_equal(fb_stat(&b, MG_FPS_FAST_RECOVERIES), 1);
	assert_int_equal(fb_stat(&b, MG_FPS_TX_RETRANS), 3);
	fb_close(&b);
}

/* Window updates and data segments are no duplicates. */
static void not_every_repetition_is_a_duplicate(void **state)
{
	(void)state;
	send_segments(5, 0);
	for (uint32_t i = 0; i < 6; i++)
		FB_RX(&b, .ack = 0, .wnd = (uint16_t)(50000 + i));
	for (uint32_t i = 0; i < 6; i++)
		FB_RX(&b, .seq = i * 10, .ack = 0, .len = 10);
	fb_tx_clear(&b);
	assert_int_equal(fb_stat(&b, MG_FPS_TX_RETRANS), 0);
	fb_close(&b);
}

/* ---- Tail loss probe (RFC 8985 7) ---- */

static void tail_loss(void **state)
{
	const struct fb_out *o;
	uint64_t sent;

	(void)state;
	send_segments(10, MG_FLOW_SACK);
	FB_RX(&b, .ack = 9000); /* the last is lost */
	sent = b.now;
	fb_run(&b, FB_MS(1000));
	o = fb_tx(&b);
	assert_non_null(o);
	assert_int_equal(o->seq, 9000);
	assert_true(o->at_ns - sent < FB_MS(550));
	FB_RX(&b, .ack = 10000);
	fb_close(&b);

	/* The last three: the probe's SACK starts fast recovery, long before an RTO. */
	send_segments(10, MG_FLOW_SACK);
	FB_RX(&b, .ack = 7000);
	fb_run(&b, FB_MS(199));
	FB_TX_NONE(&b);
	fb_run(&b, FB_MS(10));
	FB_TX(&b, 9000, 1000, ACK);
	FB_TX_NONE(&b);
	b.now += FB_MS(100);
	SACK1(7, SEGS(9, 10));
	fb_run(&b, FB_MS(30));
	FB_TX(&b, 7000, 1000, ACK);
	FB_TX_NONE(&b); /* PRR: one for one */
	FB_RX(&b, .ack = 8000, .nr_sack = 1, .sack = { SEGS(9, 10) });
	FB_TX(&b, 8000, 1000, ACK);
	assert_int_equal(fb_stat(&b, MG_FPS_RTOS), 0);
	fb_close(&b);
}

static void probe_was_needless(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK);
	FB_RX(&b, .ack = 5000);
	(void)fb_events(&b, MG_EV_SAMPLE);
	fb_run(&b, FB_MS(250));
	FB_TX(&b, 9000, 1000, ACK);
	FB_RX(&b, .ack = 10000);
	FB_RX(&b, .ack = 10000, .nr_sack = 1, .sack = { SEGS(9, 10) });
	assert_int_equal(fb_stat(&b, MG_FPS_RX_DSACK), 1);
	assert_false(mg_flow_has(b.flow, MG_FF_TLP));
	assert_int_equal(b.flow->cwnd, 10000);
	fb_close(&b);

	/* No D-SACK, and the peer goes on: one segment was lost, one reduction. */
	send_segments(10, MG_FLOW_SACK);
	FB_RX(&b, .ack = 5000);
	fb_run(&b, FB_MS(250));
	FB_TX(&b, 9000, 1000, ACK);
	FB_RX(&b, .ack = 10000);
	assert_int_equal(b.flow->cwnd, 10000);
	fb_app_write(&b, 1000);
	FB_TX(&b, 10000, 1000, ACK);
	FB_RX(&b, .ack = 11000);
	(void)sample_with(MG_SAMPLE_LOSS);
	assert_true(b.flow->cwnd < 10000);
	fb_close(&b);
}

/* ---- Undo ---- */

static void spurious_timeout_by_timestamp(void **state)
{
	uint32_t ts;

	(void)state;
	send_segments(10, MG_FLOW_SACK | MG_FLOW_TS);
	ts = (uint32_t)(b.now / 1000000) - 100;
	fb_run(&b, FB_MS(1200));
	assert_true(fb_stat(&b, MG_FPS_RTOS) >= 1);
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 2000, .tsecr = ts); /* of the originals: they were only late */
	assert_int_equal(fb_stat(&b, MG_FPS_UNDOS), 1);
	assert_int_equal(b.flow->recovery, MG_REC_OPEN);
	assert_int_equal(b.flow->lost_bytes, 0);
	assert_int_equal(b.flow->cwnd, 10000);
	FB_TX_NONE(&b);
	fb_close(&b);
}

static void needless_recovery_by_dsack(void **state)
{
	(void)state;
	send_segments(10, MG_FLOW_SACK);
	SACK1(0, SEGS(1, 5));
	FB_TX(&b, 0, 1000, ACK);
	SACK1(0, SEGS(1, 9));
	FB_RX(&b, .ack = 9000, .nr_sack = 1, .sack = { SEGS(0, 1) }); /* both copies arrived */
	assert_int_equal(fb_stat(&b, MG_FPS_UNDOS), 1);
	assert_int_equal(b.flow->cwnd, 10000);
	assert_true(b.flow->rack_mult > 1);
	fb_close(&b);
}

/* ---- Pools, packets, path MTU ---- */

static void pool_of_records_runs_out(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .txrecs_max = 3, .flags = MG_FLOW_SACK, .cwnd = 30000 });
	for (uint32_t i = 0; i < 20; i++) {
		fb_app_write(&b, 1000);
		b.now += FB_US(10);
	}
	assert_int_equal(fb_tx_pending(&b), 20);
	assert_true(fb_stat(&b, MG_FPS_TXREC_MERGED) >= 17);
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 0, .nr_sack = 2, .sack = { SEGS(5, 6), SEGS(2, 3) });
	assert_true(fb_stat(&b, MG_FPS_TXREC_NONE) >= 1);
	FB_RX(&b, .ack = 20000);
	assert_int_equal(b.fp->recs.nr_used, 0);
	fb_close(&b);
}

static void smaller_path(void **state)
{
	struct mg_cmd_set_opt cmd = {
		.msg = { .type = MG_CMD_SET_PMTU, .len = sizeof(cmd), .flow = 7, .gen = 1 },
		.value = 400
	};

	(void)state;
	send_segments(3, MG_FLOW_SACK);
	fb_command(&b, &cmd.msg);
	for (uint32_t i = 0; i < 7; i++)
		FB_TX(&b, i * 400, 400, ACK);
	FB_TX(&b, 2800, 200, ACK);
	FB_RX(&b, .ack = 400);
	assert_int_equal(b.flow->recovery, MG_REC_OPEN); /* no blame */
	fb_close(&b);
}

/* The flight with which a flow of that cwnd goes on after a pause. */
static uint32_t flight_after_idling(uint32_t cwnd, uint32_t restart)
{
	uint32_t flight;

	fb_open(&b, &(struct fb_conf){ .cwnd = cwnd, .restart = restart, .srtt_us = 10000 });
	fb_app_write(&b, 1000);
	b.now += FB_MS(10);
	FB_RX(&b, .ack = 1000);
	fb_run(&b, 5 * MG_NS_PER_S);
	fb_tx_clear(&b);
	fb_app_write(&b, 40000);
	flight = fb_tx_pending(&b);
	fb_close(&b);
	return flight;
}

/* RFC 5681 4.1: RW = min(IW, cwnd). */
static void restart_window(void **state)
{
	(void)state;
	assert_int_equal(flight_after_idling(50000, 4000), 4);
	assert_int_equal(flight_after_idling(50000, 20000), 20);
	assert_int_equal(flight_after_idling(3000, 20000), 3);
}

static void idle_restart(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .cwnd = 50000, .srtt_us = 10000 });
	fb_app_write(&b, 1000);
	b.now += FB_MS(10);
	FB_RX(&b, .ack = 1000);
	fb_run(&b, 5 * MG_NS_PER_S);
	fb_tx_clear(&b);
	fb_app_write(&b, 40000);
	assert_int_equal(fb_tx_pending(&b), 10);
	(void)sample_with(MG_SAMPLE_IDLE);
	fb_close(&b);
}

static void rate_samples(void **state)
{
	uint64_t best = 0;

	(void)state;
	fb_open(&b, &(struct fb_conf){ .cwnd = 10000, .srtt_us = 10000 });
	fb_app_write(&b, 60000);
	/* A path that delivers one segment per millisecond. */
	for (uint32_t i = 1; i <= 40; i++) {
		b.now += FB_MS(1);
		FB_RX(&b, .ack = i * 1000);
	}
	for (uint32_t i = 0; i < b.nr_ev; i++) {
		if (b.ev[i].type == MG_EV_SAMPLE)
			best = b.ev[i].sample.delivery_Bps;
	}
	assert_in_range(best, 900000, 1100000);
	fb_close(&b);
}

static void ecn_reduces_once_per_window(void **state)
{
	uint32_t n = 0;

	(void)state;
	send_segments(10, MG_FLOW_ECN);
	fb_app_write(&b, 20000);
	for (uint32_t i = 1; i <= 10; i++)
		FB_RX(&b, .ack = i * 1000, .flags = ACK | MG_TCP_ECE);
	for (uint32_t i = 0; i < b.nr_ev; i++)
		n += b.ev[i].type == MG_EV_SAMPLE && (b.ev[i].sample.flags & MG_SAMPLE_ECE) != 0;
	assert_int_equal(n, 1);
	assert_true(fb_tx(&b)->flags & MG_TCP_CWR); /* with the next new data, once */
	assert_false(fb_tx(&b)->flags & MG_TCP_CWR);
	fb_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rto_backs_off),
		cmocka_unit_test(karn),
		cmocka_unit_test(timestamps_time_retransmissions),
		cmocka_unit_test(rto_repairs_everything),
		cmocka_unit_test(stale_cwnd_after_rto),
		cmocka_unit_test(reneging),
		cmocka_unit_test(ack_beats_the_timer),
		cmocka_unit_test(lose_the_first),
		cmocka_unit_test(lose_many),
		cmocka_unit_test(prr_halves_smoothly),
		cmocka_unit_test(limited_transmit),
		cmocka_unit_test(lost_retransmission),
		cmocka_unit_test(reordering_is_not_loss),
		cmocka_unit_test(sack_nonsense_is_ignored),
		cmocka_unit_test(scoreboard_against_a_map),
		cmocka_unit_test(newreno),
		cmocka_unit_test(not_every_repetition_is_a_duplicate),
		cmocka_unit_test(tail_loss),
		cmocka_unit_test(probe_was_needless),
		cmocka_unit_test(spurious_timeout_by_timestamp),
		cmocka_unit_test(needless_recovery_by_dsack),
		cmocka_unit_test(pool_of_records_runs_out),
		cmocka_unit_test(smaller_path),
		cmocka_unit_test(idle_restart),
		cmocka_unit_test(restart_window),
		cmocka_unit_test(rate_samples),
		cmocka_unit_test(ecn_reduces_once_per_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
