/* SPDX-License-Identifier: Apache-2.0 */
/* Urgent data (RFC 9293 3.8.5, RFC 6093): the pointer in both directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/fp_builder.h"

#define ACK_URG (MG_TCP_ACK | MG_TCP_URG)

static struct fb b;

static uint64_t urg_pos(void)
{
	assert_true((atomic_load(&b.win->w_flags) & MG_SHM_WF_URG) != 0);
	return atomic_load(&b.win->urg_pos);
}

/* ---- Receiving ---- */

static void stays_in_line_and_is_told(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .seq = 0, .len = 3, .flags = ACK_URG, .urg = 3);
	assert_int_equal(urg_pos(), 3);
	assert_int_equal(fb_app_readable(&b), 3);
	assert_true(fb_app_event(&b)); /* MUST-32 */
	fb_close(&b);
}

/* MUST-31: the pointers of several segments reach further than any one of them can. */
static void further_ahead_than_a_pointer_reaches(void **state)
{
	uint32_t mark = 100000;

	(void)state;
	fb_open(&b, &(struct fb_conf){ .rx_bytes = 1 << 17, .rcv_wscale = 2, .rcv_adv = 131072 });
	for (uint32_t seq = 0; seq < mark; seq += 1000) {
		uint32_t ahead = mg_min_u32(mark - seq, 65535);

		FB_RX(&b, .seq = seq, .len = 1000, .flags = ACK_URG, .urg = (uint16_t)ahead);
		assert_int_equal(urg_pos(), seq + ahead);
	}
	assert_int_equal(urg_pos(), mark);
	assert_int_equal(fb_app_readable(&b), mark);
	fb_close(&b);
}

static void a_pointer_tells_before_its_data(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .seq = 0, .flags = ACK_URG, .urg = 500); /* nothing but the news */
	assert_int_equal(urg_pos(), 500);
	assert_int_equal(fb_app_readable(&b), 0);
	assert_true(fb_app_event(&b));
	FB_RX(&b, .seq = 0, .flags = ACK_URG, .urg = 500); /* no news */
	assert_false(fb_app_event(&b));
	FB_RX(&b, .seq = 0, .flags = ACK_URG, .urg = 400); /* never back */
	assert_int_equal(urg_pos(), 500);
	assert_int_equal(fb_stat(&b, MG_FPS_RX_URG), 1);
	fb_close(&b);
}

/* MUST-66 */
static void a_closed_window_lets_it_through(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .rx_bytes = 4096 });
	FB_RX(&b, .seq = 0, .len = 2048);
	FB_RX(&b, .seq = 2048, .len = 2048);
	fb_tx_clear(&b);
	(void)fb_app_event(&b);
	FB_RX(&b, .seq = 4096, .len = 10, .flags = ACK_URG, .urg = 10);
	assert_int_equal(urg_pos(), 4106);
	assert_int_equal(fb_app_readable(&b), 4096);
	assert_true(fb_app_event(&b));
	fb_close(&b);
}

static void out_of_order_and_odd_pointers(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .seq = 1000, .len = 100, .flags = ACK_URG, .urg = 100);
	assert_int_equal(urg_pos(), 1100); /* the gap does not matter */
	fb_close(&b);
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .seq = 0, .len = 100, .flags = ACK_URG, .urg = 0); /* points at nothing */
	assert_int_equal(atomic_load(&b.win->w_flags), 0);
	FB_RX(&b, .seq = 100, .len = 100, .urg = 50); /* without the flag it is no pointer */
	assert_int_equal(atomic_load(&b.win->w_flags), 0);
	FB_RX(&b, .seq = 90000, .len = 100, .flags = ACK_URG, .urg = 50); /* beyond the window */
	assert_int_equal(atomic_load(&b.win->w_flags), 0);
	FB_RX(&b, .seq = 0, .len = 100, .flags = ACK_URG, .urg = 50); /* an old segment */
	assert_int_equal(atomic_load(&b.win->w_flags), 0);
	FB_RX(&b, .seq = 200, .len = 0, .flags = ACK_URG | MG_TCP_FIN, .urg = 1);
	assert_int_equal(urg_pos(), 201);
	FB_RX(&b, .seq = 201, .len = 0, .flags = ACK_URG,
	      .urg = 9); /* after the end: nothing comes */
	assert_int_equal(urg_pos(), 201);
	fb_close(&b);
}

/* ---- Sending ---- */

/* MUST-62 */
static void pointer_names_the_octet_behind(void **state)
{
	const struct fb_out *o;

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write_urgent(&b, 3);
	o = fb_tx(&b);
	assert_int_equal(o->flags, ACK_URG | MG_TCP_PSH);
	assert_int_equal(o->urg, 3);
	assert_int_equal(o->len, 3);
	FB_TX_NONE(&b); /* the data said it: no ACK of its own */
	FB_RX(&b, .seq = 0, .ack = 3);
	fb_app_write(&b, 5);
	o = fb_tx(&b);
	assert_int_equal(o->flags, MG_TCP_ACK | MG_TCP_PSH);
	assert_int_equal(o->urg, 0);
	fb_close(&b);
}

static void every_segment_up_to_the_mark_points_at_it(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .gso_bytes = 65000 });
	fb_app_write_urgent(&b, 3500);
	fb_app_write(&b, 1000);
	for (uint32_t i = 0; i < 4; i++) {
		const struct fb_out *o = fb_tx(&b);

		assert_int_equal(o->seq, i * 1000);
		assert_int_equal(o->gso, 0); /* one pointer cannot serve a train */
		assert_int_equal(o->flags & MG_TCP_URG, MG_TCP_URG);
		assert_int_equal(o->urg, 3500 - i * 1000);
	}
	FB_TX(&b, 3500, 1000, MG_TCP_ACK);
	fb_close(&b);
}

static void nagle_lets_it_go(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 10);
	FB_TX(&b, 0, 10, MG_TCP_ACK);
	fb_app_write(&b, 10);
	FB_TX_NONE(&b);
	fb_app_write_urgent(&b, 1);
	FB_TX(&b, 10, 11, ACK_URG);
	fb_close(&b);
}

static void a_closed_window_hears_of_it(void **state)
{
	const struct fb_out *o;

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .seq = 0, .wnd_zero = true);
	fb_app_write_urgent(&b, 7);
	o = fb_tx(&b);
	assert_int_equal(o->seq, 0);
	assert_int_equal(o->len, 0);
	assert_int_equal(o->flags, ACK_URG);
	assert_int_equal(o->urg, 7);
	fb_run(&b, FB_MS(1100)); /* and again with the probe */
	o = fb_tx(&b);
	assert_int_equal(o->seq, (uint32_t)-1);
	assert_int_equal(o->flags, ACK_URG);
	assert_int_equal(o->urg, 8);
	FB_RX(&b, .seq = 0, .wnd = 1000);
	o = fb_tx(&b);
	assert_int_equal(o->len, 7);
	assert_int_equal(o->urg, 7);
	fb_close(&b);
}

static void a_far_mark_is_approached(void **state)
{
	uint32_t mark = 100000, seen = 0;

	(void)state;
	fb_open(&b,
		&(struct fb_conf){
			.tx_bytes = 1 << 17, .snd_wnd = 120000, .snd_wscale = 2, .cwnd = 200000 });
	fb_app_write_urgent(&b, mark);
	fb_run(&b, FB_MS(10));
	for (const struct fb_out *o = fb_tx(&b); o != NULL; o = fb_tx(&b)) {
		assert_int_equal(o->urg, mg_min_u32(mark - o->seq, 65535));
		seen += o->len;
	}
	assert_int_equal(seen, mark);
	fb_close(&b);
}

static void retransmissions_keep_it_and_resets_do_not(void **state)
{
	struct mg_cmd_remove rst = {
		.msg = { .type = MG_CMD_REMOVE, .len = sizeof(rst), .flow = 7, .gen = 1 },
		.how = MG_REMOVE_RST,
	};

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write_urgent(&b, 100);
	fb_tx_clear(&b);
	fb_run(&b, FB_MS(1100));
	assert_int_equal(fb_tx(&b)->urg, 100);
	fb_tx_clear(&b);
	fb_command(&b, &rst.msg);
	assert_int_equal(fb_tx(&b)->flags, MG_TCP_RST | MG_TCP_ACK);
	fb_close(&b);
}

/* The word is the application's: what cannot be is not believed. */
static void nonsense_marks(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	atomic_store(&b.win->tx_urg, UINT64_MAX);
	fb_app_write(&b, 10);
	FB_TX(&b, 0, 10, MG_TCP_ACK);
	atomic_store(&b.win->tx_urg, 11); /* of what is not written yet */
	fb_ring(&b);
	FB_TX_NONE(&b);
	FB_RX(&b, .seq = 0, .ack = 10);
	fb_app_write(&b, 5); /* now it is */
	assert_int_equal(fb_tx(&b)->urg, 1);
	atomic_store(&b.win->tx_urg, 3); /* back */
	fb_ring(&b);
	FB_TX_NONE(&b);
	assert_int_equal(fb_stat(&b, MG_FPS_TX_URG), 1);
	fb_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stays_in_line_and_is_told),
		cmocka_unit_test(further_ahead_than_a_pointer_reaches),
		cmocka_unit_test(a_pointer_tells_before_its_data),
		cmocka_unit_test(a_closed_window_lets_it_through),
		cmocka_unit_test(out_of_order_and_odd_pointers),
		cmocka_unit_test(pointer_names_the_octet_behind),
		cmocka_unit_test(every_segment_up_to_the_mark_points_at_it),
		cmocka_unit_test(nagle_lets_it_go),
		cmocka_unit_test(a_closed_window_hears_of_it),
		cmocka_unit_test(a_far_mark_is_approached),
		cmocka_unit_test(retransmissions_keep_it_and_resets_do_not),
		cmocka_unit_test(nonsense_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
