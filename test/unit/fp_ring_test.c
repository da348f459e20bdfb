/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp_ring_test.c - fastpath/core/ring: when rings grow and shrink, and that no byte is lost on the way.
 *
 * Idea:    the slow path is played here: it hands out pieces of the region.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fastpath/core/ring.h"
#include "proto/base/rng.h"
#include "test/lib/fp_builder.h"

#define PIECE (64u << 10)
#define SPARE (4 * PIECE)

static struct fb b;
/* Two pieces for each direction: the one that is not in use. */
static uint64_t place(enum mg_ring_dir dir)
{
	uint64_t first = mg_align_up(b.app.payload_off + b.conf.rx_bytes + b.conf.tx_bytes, 4096) +
			 (uint64_t)dir * 2 * PIECE;
	const uint8_t *used = dir == MG_RING_RX ? b.flow->rx_ring : b.flow->tx_ring;

	return used == b.app.base + first ? first + PIECE : first;
}

/* Takes the newest event of this kind out; NULL: there was none. */
static const struct mg_ev_ring *ring_event(enum mg_ring_dir dir, enum mg_ring_what what)
{
	for (uint32_t i = 0; i < b.nr_ev; i++) {
		if (b.ev[i].type != MG_EV_RING || b.ev[i].ring.dir != dir ||
		    b.ev[i].ring.what != what)
			continue;
		b.ev[i].type = 0;
		return &b.ev[i].ring;
	}
	return NULL;
}

static void answer(enum mg_ring_dir dir, uint32_t bytes)
{
	struct mg_cmd_ring cmd = {
		.msg = { .type = MG_CMD_RING, .len = sizeof(cmd), .flow = 7, .gen = 1 },
		.dir = dir,
		.bytes = bytes,
		.off = bytes != 0 ? place(dir) : 0,
	};

	fb_command(&b, &cmd.msg);
}

static void open_small(uint32_t ring_idle_us)
{
	fb_open(&b, &(struct fb_conf){ .rx_bytes = 4096,
				       .tx_bytes = 4096,
				       .rx_max_bytes = 65536,
				       .tx_max_bytes = 65536,
				       .ring_idle_us = ring_idle_us,
				       .spare_bytes = SPARE,
				       .srtt_us = 10000,
				       .cwnd = 20000,
				       .rcv_wscale = 2 });
}

static uint64_t counter(enum mg_fp_stat stat)
{
	return atomic_load(&b.fp->stats[stat]);
}

static void a_fast_reader_gets_a_larger_ring(void **state)
{
	const struct mg_ev_ring *ev;

	(void)state;
	open_small(0);
	for (uint32_t i = 0; i < 20; i++) {
		FB_RX(&b, .seq = i * 1000, .len = 1000);
		fb_app_read(&b, 1000, true);
		fb_run(&b, FB_MS(3));
	}
	ev = ring_event(MG_RING_RX, MG_RING_WANT);
	assert_non_null(ev);
	assert_true(ev->bytes > 4096 && ev->bytes <= 65536);
	assert_null(ring_event(MG_RING_RX, MG_RING_WANT)); /* one at a time */
	answer(MG_RING_RX, ev->bytes);
	assert_int_equal(b.flow->rx_mask + 1, ev->bytes);
	assert_int_equal(counter(MG_FPS_RINGS_GROWN), 1);
	/* All was read: the old ring is free at once. */
	assert_non_null(ring_event(MG_RING_RX, MG_RING_OLD_FREE));
	FB_RX(&b, .seq = 20000, .len = 3000);
	fb_app_read(&b, 3000, true);
	fb_close(&b);
}

static void a_slow_reader_does_not(void **state)
{
	(void)state;
	open_small(0);
	FB_RX(&b, .seq = 0, .len = 3000);
	for (uint32_t i = 0; i < 20; i++) {
		fb_app_read(&b, 50, true);
		FB_RX(&b, .seq = 3000 + i * 50, .len = 50);
		fb_run(&b, FB_MS(12));
	}
	assert_null(ring_event(MG_RING_RX, MG_RING_WANT));
	fb_close(&b);
}

static void a_fixed_size_stays(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){
			    .rx_bytes = 4096, .tx_bytes = 4096, .srtt_us = 10000, .cwnd = 20000 });
	for (uint32_t i = 0; i < 20; i++) {
		FB_RX(&b, .seq = i * 1000, .len = 1000, .ack = i * 1000);
		fb_app_read(&b, 1000, true);
		fb_app_write(&b, 1000);
		fb_run(&b, FB_MS(6));
	}
	assert_null(ring_event(MG_RING_RX, MG_RING_WANT));
	assert_null(ring_event(MG_RING_TX, MG_RING_WANT));
	fb_close(&b);
}

/* Until the application has read up to the seam the old ring is kept. */
static void unread_bytes_hold_the_old_ring(void **state)
{
	(void)state;
	open_small(0);
	FB_RX(&b, .seq = 0, .len = 2000);
	fb_app_read(&b, 500, true);
	b.flow->ring[MG_RING_RX].step = MG_RING_ASKED;
	answer(MG_RING_RX, 16384);
	assert_int_equal(b.flow->ring[MG_RING_RX].step, MG_RING_OLD);
	FB_RX(&b, .seq = 2000, .len = 8000);
	fb_app_read(&b, 1499, true);
	assert_null(ring_event(MG_RING_RX, MG_RING_OLD_FREE));
	fb_app_read(&b, 8001, true);
	assert_non_null(ring_event(MG_RING_RX, MG_RING_OLD_FREE));
	fb_close(&b);
}

static void what_is_out_of_order_keeps_the_ring(void **state)
{
	(void)state;
	open_small(0);
	FB_RX(&b, .seq = 1000, .len = 1000);
	b.flow->ring[MG_RING_RX].step = MG_RING_ASKED;
	answer(MG_RING_RX, 16384);
	assert_int_equal(b.flow->ring[MG_RING_RX].step, MG_RING_NEXT);
	FB_RX(&b, .seq = 0, .len = 1000);
	assert_int_equal(b.flow->ring[MG_RING_RX].step, MG_RING_OLD);
	FB_RX(&b, .seq = 2000, .len = 5000);
	fb_app_read(&b, 7000, true);
	assert_non_null(ring_event(MG_RING_RX, MG_RING_OLD_FREE));
	fb_close(&b);
}

static void no_room_is_counted_and_not_asked_again_at_once(void **state)
{
	(void)state;
	open_small(0);
	for (uint32_t i = 0; i < 40; i++) {
		FB_RX(&b, .seq = i * 1000, .len = 1000);
		fb_app_read(&b, 1000, true);
		fb_run(&b, FB_MS(3));
		if (ring_event(MG_RING_RX, MG_RING_WANT) != NULL)
			answer(MG_RING_RX, 0);
	}
	assert_int_equal(counter(MG_FPS_RINGS_NO_ROOM), 1);
	assert_int_equal(b.flow->rx_mask, 4095);
	fb_close(&b);
}

static void a_full_transmit_ring_grows_with_cwnd(void **state)
{
	const struct mg_ev_ring *ev;

	(void)state;
	open_small(0);
	fb_app_write(&b, 4096);
	FB_RX(&b, .ack = 1000);
	ev = ring_event(MG_RING_TX, MG_RING_WANT);
	assert_non_null(ev);
	assert_int_equal(ev->bytes, 65536); /* 2 * cwnd, as a power of two */
	answer(MG_RING_TX, 32768);
	assert_int_equal(b.flow->tx_mask, 4095); /* an offer, so far */
	assert_true(mg_window_is_offered(&b.w));
	fb_app_write(&b, 20000);
	assert_int_equal(b.flow->tx_mask, 32767);
	assert_non_null(ring_event(MG_RING_TX, MG_RING_OLD_FREE));
	/* What leaves is checked against the pattern by the builder, retransmissions too. */
	fb_run(&b, FB_MS(5000));
	FB_RX(&b, .ack = 24096);
	fb_close(&b);
}

static void a_lying_library_is_found_out(void **state)
{
	(void)state;
	open_small(0);
	fb_app_write(&b, 4096);
	b.flow->ring[MG_RING_TX].step = MG_RING_ASKED;
	answer(MG_RING_TX, 16384);
	/* Says that it uses a ring that nobody offered: not believed, and then it wrote too much. */
	atomic_store(&b.win->tx_ring_used, 77);
	fb_ring(&b);
	assert_int_equal(b.flow->tx_mask, 4095);
	atomic_store(&b.win->tx_head, 5000);
	fb_ring(&b);
	assert_int_equal(b.flow->run, MG_FLOW_STOPPED);
	fb_close(&b);
}

static void a_smaller_ring_cannot_hold_more(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){
			    .tx_bytes = 16384, .tx_max_bytes = 65536, .spare_bytes = SPARE });
	fb_app_write(&b, 10000);
	b.flow->ring[MG_RING_TX].step = MG_RING_ASKED;
	answer(MG_RING_TX, 8192);
	atomic_store(&b.win->tx_ring_used, 1); /* although it does not fit */
	fb_ring(&b);
	assert_int_equal(b.flow->run, MG_FLOW_STOPPED);
	assert_int_equal(counter(MG_FPS_APPS_BROKEN), 1);
	fb_close(&b);
}

static void expect_ack(uint32_t ack, uint32_t wnd)
{
	const struct fb_out *o = fb_tx(&b);

	assert_non_null(o);
	assert_int_equal(o->ack, ack);
	assert_int_equal(o->wnd, wnd);
}

static void idle_rings_shrink_and_come_back(void **state)
{
	const struct mg_ev_ring *ev;

	(void)state;
	open_small(1000000);
	fb_app_write(&b, 4096);
	FB_RX(&b, .seq = 0, .len = 1000, .ack = 4096);
	b.flow->ring[MG_RING_RX].step = MG_RING_ASKED;
	b.flow->ring[MG_RING_TX].step = MG_RING_ASKED;
	answer(MG_RING_RX, 32768);
	answer(MG_RING_TX, 32768);
	fb_app_read(&b, 1000, true);
	(void)mg_window_adopt(&b.w);
	fb_ring(&b);
	assert_int_equal(b.flow->tx_mask, 32767);
	FB_RX(&b, .seq = 1000, .len = 1000, .ack = 4096); /* its ACK offers the larger window */
	fb_app_read(&b, 1000, true);
	b.nr_ev = 0;
	fb_run(&b, FB_MS(900));
	assert_null(ring_event(MG_RING_RX, MG_RING_WANT));
	fb_run(&b, FB_MS(2000));
	ev = ring_event(MG_RING_RX, MG_RING_WANT);
	assert_non_null(ev);
	assert_int_equal(ev->bytes, 4096);
	ev = ring_event(MG_RING_TX, MG_RING_WANT);
	assert_non_null(ev);
	assert_int_equal(ev->bytes, 4096);
	while (fb_app_event(&b))
		;
	answer(MG_RING_RX, 4096);
	answer(MG_RING_TX, 4096);
	assert_true(fb_app_event(&b)); /* so that a sleeping application moves */
	assert_true(mg_window_adopt(&b.w));
	fb_ring(&b);
	assert_int_equal(b.flow->rx_mask, 4095);
	assert_int_equal(b.flow->tx_mask, 4095);
	assert_int_equal(counter(MG_FPS_RINGS_SHRUNK), 2);
	assert_non_null(ring_event(MG_RING_RX, MG_RING_OLD_FREE));
	assert_non_null(ring_event(MG_RING_TX, MG_RING_OLD_FREE));
	fb_tx_clear(&b);
	/* The window that was offered stands while there is any room; what does not fit into the ring is cut. */
	FB_RX(&b, .seq = 2000, .len = 1000, .ack = 4096);
	ev = ring_event(MG_RING_RX, MG_RING_WANT);
	assert_non_null(ev);                /* although nobody has read anything */
	assert_int_equal(ev->bytes, 32768); /* what it was */
	fb_run(&b, FB_MS(50));
	expect_ack(3000, 31768);
	FB_RX(&b, .seq = 3000, .len = 10000, .ack = 4096);
	assert_int_equal(fb_app_readable(&b), 4096);
	assert_int_equal(counter(MG_FPS_RX_TRIMMED), 1);
	/* Full, and still small: the peer must probe, not retransmit. */
	expect_ack(6096, 0);
	/* It comes back with room. */
	answer(MG_RING_RX, 32768);
	expect_ack(6096, 28672);
	FB_RX(&b, .seq = 6096, .len = 10000, .ack = 4096);
	assert_int_equal(fb_app_readable(&b), 14096);
	fb_close(&b);
}

static void events_that_find_no_room_are_told_later(void **state)
{
	(void)state;
	open_small(0);
	fb_app_write(&b, 4096);
	b.ev_full = 3;
	FB_RX(&b, .ack = 1000);
	assert_null(ring_event(MG_RING_TX, MG_RING_WANT));
	fb_run(&b, FB_MS(10));
	assert_non_null(ring_event(MG_RING_TX, MG_RING_WANT));
	fb_close(&b);
}

/* ---- Anything in any order ---- */

struct walk {
	struct mg_rng rng;
	uint32_t sent; /* of the peer's stream, relative */
	uint32_t acked;
};

static void change_ring(struct walk *k)
{
	enum mg_ring_dir dir = mg_rng_below(&k->rng, 2) ? MG_RING_RX : MG_RING_TX;
	struct mg_flow_ring *r = &b.flow->ring[dir];

	while (ring_event(dir, MG_RING_OLD_FREE) || ring_event(dir, MG_RING_NEW_FREE))
		;
	if (ring_event(dir, MG_RING_WANT) == NULL) {
		if (r->step != MG_RING_IDLE)
			return;
		r->step = MG_RING_ASKED;
	}
	answer(dir, mg_rng_below(&k->rng, 8) == 0 ? 0 : 4096u << mg_rng_below(&k->rng, 5));
}

static void one_step(struct walk *k)
{
	uint32_t room = mg_min_u32(mg_flow_rcv_wnd(b.flow), 60000);
	uint32_t n = 1 + mg_rng_below(&k->rng, 3000);
	uint32_t rcv = b.flow->rcv_nxt - b.conf.irs - 1;

	switch (mg_rng_below(&k->rng, 7)) {
	case 0:
		FB_RX(&b, .seq = rcv, .len = n, .ack = k->acked);
		break;
	case 1:
		if (room > 0)
			FB_RX(&b, .seq = rcv + mg_rng_below(&k->rng, room), .len = n,
			      .ack = k->acked);
		break;
	case 2:
		fb_app_read(&b, mg_rng_below(&k->rng, fb_app_readable(&b) + 1),
			    mg_rng_below(&k->rng, 2));
		break;
	case 3:
		(void)mg_window_adopt(&b.w);
		n = mg_min_u32(n, mg_window_writable(&b.w));
		if (n > 0)
			fb_app_write(&b, n);
		break;
	case 4:
		k->acked += mg_rng_below(&k->rng, mg_flow_flight(b.flow) + 1);
		FB_RX(&b, .seq = rcv, .ack = k->acked);
		break;
	case 5:
		fb_run(&b, FB_US(1 + mg_rng_below(&k->rng, 20000)));
		break;
	default:
		change_ring(k);
		break;
	}
	while (fb_app_event(&b))
		;
	b.out_head = b.out_tail = 0;
	if (b.nr_ev > FB_EVENTS / 2)
		b.nr_ev = 0; /* what they wanted is forced anyway */
}

static void no_byte_is_lost_in_any_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct walk k = { .sent = 0 };

		mg_rng_init(&k.rng, seed);
		fb_open(&b, &(struct fb_conf){
				    .rx_bytes = 4096u << seed % 3,
				    .tx_bytes = 4096u << seed % 4,
				    .rx_max_bytes = 65536,
				    .tx_max_bytes = 65536,
				    .ring_idle_us = seed % 2 ? 5000 : 0,
				    .spare_bytes = SPARE,
				    .srtt_us = seed % 5 ? 10000 : 0,
				    .flags = seed % 3 ? MG_FLOW_SACK : 0,
				    .iss = seed % 7 ? 1000 : (uint32_t)0 - 20000,
				    .irs = seed % 7 ? 5000 : (uint32_t)0 - 20000,
				    .cwnd = 8000,
				    .rcv_wscale = 2,
			    });
		for (uint32_t i = 0; i < 600; i++)
			one_step(&k);
		assert_int_equal(b.flow->run, MG_FLOW_LIVE);
		fb_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fast_reader_gets_a_larger_ring),
		cmocka_unit_test(a_slow_reader_does_not),
		cmocka_unit_test(a_fixed_size_stays),
		cmocka_unit_test(unread_bytes_hold_the_old_ring),
		cmocka_unit_test(what_is_out_of_order_keeps_the_ring),
		cmocka_unit_test(no_room_is_counted_and_not_asked_again_at_once),
		cmocka_unit_test(a_full_transmit_ring_grows_with_cwnd),
		cmocka_unit_test(a_lying_library_is_found_out),
		cmocka_unit_test(a_smaller_ring_cannot_hold_more),
		cmocka_unit_test(idle_rings_shrink_and_come_back),
		cmocka_unit_test(events_that_find_no_room_are_told_later),
		cmocka_unit_test(no_byte_is_lost_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
