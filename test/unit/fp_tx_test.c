/* SPDX-License-Identifier: Apache-2.0 */
/* Sending: windows, Nagle, cork, probes, delayed ACKs, pacing, frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/base/endian.h"
#include "test/lib/fp_builder.h"

static struct fb b;

#define ACK MG_TCP_ACK
#define PSH MG_TCP_PSH
#define FIN MG_TCP_FIN

/* ---- Segments ---- */

static void segments_of_mss_and_psh_on_the_last(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 2500);
	assert_int_equal(fb_tx(&b)->flags, ACK);
	FB_TX(&b, 1000, 1000, ACK);
	FB_TX(&b, 2000, 500, ACK | PSH);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 2500);
	assert_int_equal(atomic_load(&b.win->tx_una), 2500);
	assert_int_equal(b.fp->recs.nr_used, 0);
	fb_close(&b);
}

static void sequence_numbers_wrap(void **state)
{
	(void)state;
	for (uint32_t back = 0; back < 3000; back += 333) {
		fb_open(&b, &(struct fb_conf){ .iss = 0u - 1 - back });
		for (uint32_t i = 0; i < 5; i++) {
			fb_app_write(&b, 1000);
			FB_TX(&b, i * 1000, 1000, ACK);
			FB_RX(&b, .ack = (i + 1) * 1000);
		}
		fb_close(&b);
	}
}

static void ring_wraps_at_every_offset(void **state)
{
	(void)state;
	for (uint32_t step = 1; step < 1000; step += 37) {
		fb_open(&b, &(struct fb_conf){ .tx_bytes = 4096, .tx_csum = step & 1 });
		for (uint32_t pos = 0; pos < 10000; pos += step) {
			fb_app_write(&b, step);
			FB_TX(&b, pos, step, ACK); /* bytes are compared by the builder */
			FB_RX(&b, .ack = pos + step);
		}
		fb_close(&b);
	}
}

static void families_ports_and_options(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 16; i++) {
		fb_open(&b, &(struct fb_conf){ .v6 = i & 1,
					       .no_l2 = (i & 2) != 0,
					       .tx_csum = (i & 4) != 0,
					       .flags = i & 8 ? MG_FLOW_TS : 0 });
		fb_app_write(&b, 1999);
		FB_TX(&b, 0, 1000, ACK);
		FB_TX(&b, 1000, 999, ACK);
		FB_RX(&b, .ack = 1999, .len = 1);
		fb_run(&b, FB_MS(50));
		FB_TX_ACK(&b, 1);
		fb_close(&b);
	}
}

static void frames_for_the_port_to_segment(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .gso_bytes = 65536, .tx_csum = true, .cwnd = 48000 });
	fb_app_write(&b, 30500);
	FB_TX(&b, 0, 30500, ACK | PSH);
	assert_int_equal(b.out[0].gso, 1000);
	FB_TX_NONE(&b);
	/* The window cuts to whole segments. */
	fb_app_write(&b, 20000);
	FB_TX(&b, 30500, 17000, ACK);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 47500);
	FB_TX(&b, 47500, 3000, ACK | PSH);
	FB_RX(&b, .ack = 50500);
	/* Small tails follow Nagle. */
	fb_app_write(&b, 100);
	FB_TX(&b, 50500, 100, ACK);
	fb_app_write(&b, 2100);
	FB_TX(&b, 50600, 2000, ACK);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 52600);
	FB_TX(&b, 52600, 100, ACK);
	fb_close(&b);
}

/* Each ACK lets a little more out; it is collected for a frame of a third of the window. */
static void large_frames_wait_for_acks(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .gso_bytes = 65536, .lends = true, .cwnd = 30000 });
	fb_app_write(&b, 50000);
	FB_TX(&b, 0, 30000, ACK);
	for (uint32_t acked = 2000; acked < 10000; acked += 2000) {
		FB_RX(&b, .ack = acked);
		FB_TX_NONE(&b);
	}
	FB_RX(&b, .ack = 10000);
	FB_TX(&b, 30000, 10000, ACK);
	/* All that is left is no piece of something larger. */
	FB_RX(&b, .ack = 40000);
	FB_TX(&b, 40000, 10000, ACK | PSH);
	fb_close(&b);
}

/* On a long path that room takes too long to come about: it would be missing in the network. */
static void large_frames_wait_for_no_long_path(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){
			    .gso_bytes = 65536, .lends = true, .cwnd = 30000, .srtt_us = 50000 });
	fb_app_write(&b, 60000);
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 1000);
	assert_int_equal(fb_tx(&b)->len, 1000);
	FB_RX(&b, .ack = 3000);
	assert_int_equal(fb_tx(&b)->len, 2000);
	fb_close(&b);
}

/* Whatever is lost of a large frame goes out again by segments; the rest of it stays SACKed. */
static void parts_of_a_large_frame_again(void **state)
{
	(void)state;
	fb_open(&b,
		&(struct fb_conf){
			.gso_bytes = 65536, .lends = true, .cwnd = 40000, .flags = MG_FLOW_SACK });
	fb_app_write(&b, 20000);
	FB_TX(&b, 0, 20000, ACK | PSH);
	fb_run(&b, FB_MS(10));
	FB_RX(&b, .ack = 5000, .nr_sack = 1, .sack = { { 7000, 20000 } });
	fb_run(&b, FB_MS(2));
	FB_TX(&b, 5000, 1000, ACK | PSH);
	FB_TX(&b, 6000, 1000, ACK | PSH);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 20000);
	assert_int_equal(fb_stat(&b, MG_FPS_TX_RETRANS), 2);
	fb_close(&b);
}

/* The last segment of a frame is small: Nagle knows, as if it had gone alone. */
static void tail_of_a_large_frame(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .gso_bytes = 65536, .lends = true, .cwnd = 40000 });
	fb_app_write(&b, 4500);
	FB_TX(&b, 0, 4500, ACK | PSH);
	fb_app_write(&b, 100);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 4500);
	FB_TX(&b, 4500, 100, ACK | PSH);
	FB_RX(&b, .ack = 4600);
	fb_close(&b);
}

/* A paced flow's frames are as long as its credit: half a millisecond's at first; or two segments. */
static void paced_frames_are_short(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .gso_bytes = 65536,
				       .lends = true,
				       .cwnd = 60000,
				       .flags = MG_FLOW_PACING,
				       .pacing_Bps = 10000000 });
	fb_app_write(&b, 40000);
	FB_TX(&b, 0, 5000, ACK);
	FB_TX(&b, 5000, 2000, ACK);
	FB_TX_NONE(&b);
	fb_close(&b);
}

static void budget_and_fairness(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .cwnd = 1000000, .mss = 100, .snd_wnd = 60000 });
	fb_app_write(&b, 10000);
	assert_int_equal(fb_tx_pending(&b), 64);
	assert_int_equal(mg_fp_next_ns(b.fp), b.now);
	fb_flush(&b);
	assert_int_equal(fb_tx_pending(&b), 100);
	assert_true(mg_fp_next_ns(b.fp) > b.now);
	fb_close(&b);
}

static void no_packet_then_retry(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	b.starve = 3;
	fb_app_write(&b, 1500);
	FB_TX_NONE(&b);
	assert_int_equal(fb_stat(&b, MG_FPS_TX_NO_PACKET), 1);
	fb_run(&b, FB_MS(5));
	FB_TX(&b, 0, 1000, ACK);
	FB_TX(&b, 1000, 500, ACK);
	fb_close(&b);
}

/* ---- Windows ---- */

static void obeys_cwnd(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .cwnd = 3000 });
	fb_app_write(&b, 10000);
	assert_int_equal(fb_tx_pending(&b), 3);
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 1000);
	FB_TX(&b, 3000, 1000, ACK);
	FB_TX_NONE(&b);
	assert_true(b.ev[fb_event(&b, MG_EV_SAMPLE)].sample.flags & MG_SAMPLE_CWND_LIMITED);
	fb_set_cc(&b, 5000, 99999);
	assert_int_equal(fb_tx_pending(&b), 2);
	fb_close(&b);
}

static void obeys_the_peers_window(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .snd_wnd = 3000 });
	fb_app_write(&b, 10000);
	assert_int_equal(fb_tx_pending(&b), 3);
	fb_tx_clear(&b);
	/* Sender SWS avoidance: less than a segment and than half the largest window is not used (MUST-38). */
	FB_RX(&b, .ack = 1000, .wnd = 2500);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 1000, .wnd = 3000);
	FB_TX(&b, 3000, 1000, ACK);
	/* The window shrinks: nothing beyond it, no harm (MUST-34). */
	FB_RX(&b, .ack = 2000, .wnd = 500);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 4000, .wnd = 3000);
	assert_int_equal(fb_tx_pending(&b), 3);
	fb_close(&b);
}

static void scaled_window_is_unsigned(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .snd_wnd = 65535u << 8,
				       .snd_wscale = 8,
				       .tx_bytes = 1 << 20,
				       .cwnd = 1 << 20,
				       .mss = 1400 });
	fb_app_write(&b, 300000);
	while (mg_fp_next_ns(b.fp) == b.now)
		fb_flush(&b);
	assert_int_equal(b.flow->snd_nxt - b.flow->snd_una, 300000);
	fb_close(&b);
}

static void zero_window_probes(void **state)
{
	uint64_t last;
	uint64_t gap = 0;

	(void)state;
	fb_open(&b, &(struct fb_conf){ .srtt_us = 1000 });
	FB_RX(&b, .ack = 0, .wnd_zero = true);
	fb_app_write(&b, 3000);
	FB_TX_NONE(&b);
	last = b.now;
	for (uint32_t i = 0; i < 6; i++) {
		const struct fb_out *o;

		fb_run(&b, 130 * MG_NS_PER_S);
		o = fb_tx(&b);
		assert_non_null(o);
		assert_int_equal(o->seq, (uint32_t)-1);
		assert_int_equal(o->len, 0);
		fb_tx_clear(&b);
		FB_RX(&b, .ack = 0,
		      .wnd_zero = true); /* answered: not counted against it (MUST-37) */
		(void)last;
	}
	(void)gap;
	assert_int_equal(b.flow->timeouts, 0);
	FB_RX(&b, .ack = 0, .wnd = 5000);
	assert_int_equal(fb_tx_pending(&b), 3);
	fb_close(&b);
}

/* SHLD-29, 30: the first probe after one RTO, then ever longer. */
static void probes_back_off(void **state)
{
	uint64_t at[5];

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .ack = 0, .wnd_zero = true);
	at[0] = b.now;
	fb_app_write(&b, 3000);
	fb_run(&b, 40 * MG_NS_PER_S);
	for (uint32_t i = 1; i < 5; i++)
		at[i] = fb_tx(&b)->at_ns;
	for (uint32_t i = 1; i < 5; i++) {
		uint64_t gap = at[i] - at[i - 1];

		assert_true(gap >= (MG_NS_PER_S << (i - 1)) &&
			    gap < (MG_NS_PER_S << (i - 1)) + FB_MS(1));
	}
	assert_true(fb_events(&b, MG_EV_TIMEOUT) >= 4);
	assert_int_equal(b.ev[fb_event(&b, MG_EV_TIMEOUT)].value, MG_TIMEOUT_PERSIST);
	fb_close(&b);
}

static void fin_waits_for_a_closed_window(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .ack = 0, .wnd_zero = true);
	fb_app_flags(&b, MG_SHM_AF_SHUT_WR);
	FB_TX_NONE(&b);
	fb_run(&b, 2 * MG_NS_PER_S);
	FB_TX(&b, (uint32_t)-1, 0, ACK);
	FB_RX(&b, .ack = 0, .wnd = 1000);
	FB_TX(&b, 0, 0, ACK | FIN);
	fb_close(&b);
}

/* ---- Nagle, cork ---- */

static void nagle(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 10);
	FB_TX(&b, 0, 10, ACK);
	fb_app_write(&b, 10);
	fb_app_write(&b, 10);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 10);
	FB_TX(&b, 10, 20, ACK);
	/* Minshall: full segments out do not hold back a small one. */
	FB_RX(&b, .ack = 30);
	fb_app_write(&b, 2010);
	FB_TX(&b, 30, 1000, ACK);
	FB_TX(&b, 1030, 1000, ACK);
	FB_TX(&b, 2030, 10, ACK);
	/* The rest until a full segment is there. */
	fb_app_write(&b, 990);
	FB_TX_NONE(&b);
	fb_app_write(&b, 10);
	FB_TX(&b, 2040, 1000, ACK);
	fb_close(&b);
}

static void nodelay(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_flags(&b, MG_SHM_AF_NODELAY);
	for (uint32_t i = 0; i < 5; i++) {
		fb_app_write(&b, 1);
		FB_TX(&b, i, 1, ACK);
	}
	fb_close(&b);
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_NODELAY });
	fb_app_write(&b, 1);
	fb_app_write(&b, 1);
	assert_int_equal(fb_tx_pending(&b), 2);
	fb_close(&b);
}

static void cork(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_flags(&b, MG_SHM_AF_CORK | MG_SHM_AF_NODELAY);
	fb_app_write(&b, 1500);
	FB_TX(&b, 0, 1000, ACK);
	FB_RX(&b, .ack = 1000);
	FB_TX_NONE(&b);
	fb_app_flags(&b, 0); /* uncorked */
	FB_TX(&b, 1000, 500, ACK);
	FB_RX(&b, .ack = 1500);
	/* Nothing waits for ever. */
	fb_app_flags(&b, MG_SHM_AF_CORK);
	fb_app_write(&b, 100);
	fb_run(&b, FB_MS(199));
	FB_TX_NONE(&b);
	fb_run(&b, FB_MS(2));
	FB_TX(&b, 1500, 100, ACK);
	fb_close(&b);
}

/* ---- Acknowledging ---- */

static void delayed_ack(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .seq = 0, .len = 100);
	fb_run(&b, FB_MS(39));
	FB_TX_NONE(&b);
	fb_run(&b, FB_MS(2));
	FB_TX_ACK(&b, 100);
	FB_TX_NONE(&b);
	/* Every second full-sized segment at once. */
	for (uint32_t i = 0; i < 10; i++)
		FB_RX(&b, .seq = 100 + i * 1000, .len = 1000);
	assert_int_equal(fb_tx_pending(&b), 5);
	fb_tx_clear(&b);
	/* The option: at once. */
	fb_app_flags(&b, MG_SHM_AF_QUICKACK);
	fb_tx_clear(&b);
	FB_RX(&b, .seq = 10100, .len = 1);
	FB_TX_ACK(&b, 10101);
	fb_close(&b);
}

static void quick_acks_at_the_start(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .keep_quick = true });
	for (uint32_t i = 0; i < 5; i++) {
		FB_RX(&b, .seq = i * 1000, .len = 1000);
		FB_TX_ACK(&b, (i + 1) * 1000);
	}
	/* The end of a message: a millisecond for the answer. */
	FB_RX(&b, .seq = 5000, .len = 10, .flags = ACK | PSH);
	FB_TX_NONE(&b);
	fb_run(&b, FB_MS(2));
	FB_TX_ACK(&b, 5010);
	fb_close(&b);
}

/* Requests and responses: no segment but those that carry data. */
static void conversation_has_no_pure_acks(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .keep_quick = true, .flags = MG_FLOW_TS | MG_FLOW_SACK });
	for (uint32_t i = 0; i < 100; i++) {
		FB_RX(&b, .seq = i * 64, .ack = i * 64, .len = 64, .flags = ACK | PSH);
		assert_true(fb_app_event(&b));
		fb_app_read(&b, 64, false);
		b.now += FB_US(20);
		fb_app_write(&b, 64);
		FB_TX(&b, i * 64, 64, ACK | PSH);
		b.now += FB_US(30);
	}
	fb_run(&b, FB_MS(1));
	FB_TX_NONE(&b);
	assert_int_equal(fb_stat(&b, MG_FPS_TX_ACKS), 0);
	assert_int_equal(fb_stat(&b, MG_FPS_RX_PREDICTED), 100);
	assert_true(fb_stat(&b, MG_FPS_SAMPLES) <= 2);
	fb_close(&b);
}

/* ---- Pacing ---- */

static void pacing_spreads(void **state)
{
	uint64_t first;
	uint64_t last = 0;
	const struct fb_out *o;
	uint32_t n = 0;

	(void)state;
	/* 1 MB/s: with headers 1054 bytes, 1.054 ms per segment. */
	fb_open(&b,
		&(struct fb_conf){ .flags = MG_FLOW_PACING, .pacing_Bps = 1000000, .cwnd = 60000 });
	fb_app_write(&b, 40000);
	fb_run(&b, FB_MS(100));
	first = b.out[0].at_ns;
	while ((o = fb_tx(&b)) != NULL) {
		last = o->at_ns;
		n++;
	}
	assert_int_equal(n, 40);
	assert_true(last - first > FB_MS(34) && last - first < FB_MS(44));
	fb_close(&b);
}

static void probe_command(void **state)
{
	struct mg_cmd_flow cmd = {
		.msg = { .type = MG_CMD_PROBE, .len = sizeof(cmd), .flow = 7, .gen = 1 }
	};

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_command(&b, &cmd.msg);
	FB_TX(&b, (uint32_t)-1, 0, ACK);
	cmd.msg.gen = 2;
	fb_command(&b, &cmd.msg);
	FB_TX_NONE(&b);
	assert_int_equal(fb_stat(&b, MG_FPS_COMMANDS_STALE), 1);
	fb_close(&b);
}

static void options_change_the_template(void **state)
{
	struct mg_cmd_set_opt opt = {
		.msg = { .type = MG_CMD_SET_OPT, .len = sizeof(opt), .flow = 7, .gen = 1 }
	};
	struct mg_cmd_set_nexthop hop = {
		.msg = { .type = MG_CMD_SET_NEXTHOP, .len = sizeof(hop), .flow = 7, .gen = 1 },
		.smac = { { 2, 0, 0, 0, 0, 9 } },
		.dmac = { { 2, 0, 0, 0, 0, 8 } },
	};

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	opt.opt = MG_FLOW_OPT_TTL;
	opt.value = 7;
	fb_command(&b, &opt.msg);
	opt.opt = MG_FLOW_OPT_TOS;
	opt.value = 0xb8;
	fb_command(&b, &opt.msg);
	fb_command(&b, &hop.msg);
	fb_app_write(&b, 10);
	FB_TX(&b, 0, 10, ACK);
	assert_int_equal(b.last_frame[14 + 1], 0xb8);
	assert_int_equal(b.last_frame[14 + 8], 7);
	assert_int_equal(b.last_frame[5], 8);
	assert_int_equal(b.last_frame[11], 9);
	assert_int_equal(b.last_frame[14 + 6], 0x40);
	opt.opt = MG_FLOW_OPT_FRAGMENT; /* no DF, and what is in flight leaves again */
	opt.value = 1;
	fb_command(&b, &opt.msg);
	FB_TX(&b, 0, 10, ACK);
	assert_int_equal(b.last_frame[14 + 6], 0);
	fb_close(&b);
}

static void window_field_on_the_wire(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .rcv_wscale = 4, .rx_bytes = 1 << 20, .rcv_adv = 65535 });
	FB_RX(&b, .seq = 0, .len = 2000);
	assert_true(fb_tx(&b)->wnd > 1000000);
	fb_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_of_mss_and_psh_on_the_last),
		cmocka_unit_test(sequence_numbers_wrap),
		cmocka_unit_test(ring_wraps_at_every_offset),
		cmocka_unit_test(families_ports_and_options),
		cmocka_unit_test(frames_for_the_port_to_segment),
		cmocka_unit_test(large_frames_wait_for_acks),
		cmocka_unit_test(large_frames_wait_for_no_long_path),
		cmocka_unit_test(parts_of_a_large_frame_again),
		cmocka_unit_test(tail_of_a_large_frame),
		cmocka_unit_test(paced_frames_are_short),
		cmocka_unit_test(budget_and_fairness),
		cmocka_unit_test(no_packet_then_retry),
		cmocka_unit_test(obeys_cwnd),
		cmocka_unit_test(obeys_the_peers_window),
		cmocka_unit_test(scaled_window_is_unsigned),
		cmocka_unit_test(zero_window_probes),
		cmocka_unit_test(probes_back_off),
		cmocka_unit_test(fin_waits_for_a_closed_window),
		cmocka_unit_test(nagle),
		cmocka_unit_test(nodelay),
		cmocka_unit_test(cork),
		cmocka_unit_test(delayed_ack),
		cmocka_unit_test(quick_acks_at_the_start),
		cmocka_unit_test(conversation_has_no_pure_acks),
		cmocka_unit_test(pacing_spreads),
		cmocka_unit_test(probe_command),
		cmocka_unit_test(options_change_the_template),
		cmocka_unit_test(window_field_on_the_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
