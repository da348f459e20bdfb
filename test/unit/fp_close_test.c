/* SPDX-License-Identifier: Apache-2.0 */
/* FIN both ways, half-close, resets by command, and the end of a flow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/lib/fp_builder.h"

static struct fb b;

#define ACK MG_TCP_ACK
#define FIN MG_TCP_FIN

static void command_remove(uint32_t how)
{
	struct mg_cmd_remove cmd = {
		.msg = { .type = MG_CMD_REMOVE, .len = sizeof(cmd), .flow = 7, .gen = 1 },
		.how = how
	};

	fb_command(&b, &cmd.msg);
}

/* ---- The peer's FIN ---- */

static void peer_closes(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .irs = 0xfffffffeu });
	FB_RX(&b, .seq = 0, .len = 100, .flags = ACK | FIN);
	FB_TX_ACK(&b, 101);
	(void)fb_event(&b, MG_EV_FIN_RCVD);
	assert_int_equal(fb_app_readable(&b), 100);
	assert_true(atomic_load(&b.win->w_flags) & MG_SHM_WF_RX_FIN);
	assert_true(fb_app_event(&b));
	/* Half-close: we still send. */
	fb_app_write(&b, 500);
	FB_TX(&b, 0, 500, ACK);
	FB_RX(&b, .seq = 101, .ack = 500);
	assert_int_equal(atomic_load(&b.win->tx_una), 500);
	/* Its FIN again: acknowledged again, told once. */
	FB_RX(&b, .seq = 0, .len = 100, .ack = 500, .flags = ACK | FIN);
	FB_TX_ACK(&b, 101);
	FB_RX(&b, .seq = 100, .ack = 500, .flags = ACK | FIN);
	FB_TX_ACK(&b, 101);
	assert_int_equal(fb_events(&b, MG_EV_FIN_RCVD), 0);
	/* Data beyond the FIN counts for nothing. */
	FB_RX(&b, .seq = 101, .ack = 500, .len = 10);
	assert_int_equal(fb_app_readable(&b), 100);
	fb_close(&b);
}

static void fin_out_of_order(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_SACK });
	FB_RX(&b, .seq = 1000, .len = 500, .flags = ACK | FIN);
	assert_int_equal(fb_events(&b, MG_EV_FIN_RCVD), 0);
	fb_tx_clear(&b);
	FB_RX(&b, .seq = 0, .len = 1000);
	FB_TX_ACK(&b, 1501);
	(void)fb_event(&b, MG_EV_FIN_RCVD);
	assert_int_equal(fb_app_readable(&b), 1500);
	fb_close(&b);
}

/* A FIN without data before it that is early is acknowledged each time (RFC 5681 4.2). */
static void fin_alone_out_of_order(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	for (int i = 0; i < 3; i++) {
		FB_RX(&b, .seq = 100, .flags = ACK | FIN);
		FB_TX_ACK(&b, 0);
	}
	FB_RX(&b, .seq = 0, .len = 100);
	FB_TX_ACK(&b, 101);
	(void)fb_event(&b, MG_EV_FIN_RCVD);
	fb_close(&b);
}

static void fin_alone_at_a_full_ring(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .rx_bytes = 4096, .rcv_adv = 4096 });
	FB_RX(&b, .seq = 0, .len = 4096);
	FB_RX(&b, .seq = 4096, .flags = ACK | FIN);
	(void)fb_event(&b, MG_EV_FIN_RCVD);
	fb_close(&b);
}

static void fin_beyond_the_window_is_cut(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .rx_bytes = 4096, .rcv_adv = 4096 });
	FB_RX(&b, .seq = 0, .len = 5000, .flags = ACK | FIN);
	assert_int_equal(fb_events(&b, MG_EV_FIN_RCVD), 0);
	assert_int_equal(fb_app_readable(&b), 4096);
	fb_tx_clear(&b);
	fb_app_read(&b, 4096, true);
	fb_tx_clear(&b);
	FB_RX(&b, .seq = 0, .len = 5000, .flags = ACK | FIN);
	(void)fb_event(&b, MG_EV_FIN_RCVD);
	assert_int_equal(fb_app_readable(&b), 904);
	fb_close(&b);
}

/* ---- Our FIN ---- */

static void we_close_with_data(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .iss = 0xfffffc00u });
	fb_app_write(&b, 10); /* Nagle would hold the next one */
	FB_TX(&b, 0, 10, ACK);
	fb_app_write(&b, 20);
	FB_TX_NONE(&b);
	fb_app_flags(&b, MG_SHM_AF_SHUT_WR);
	FB_TX(&b, 10, 20, ACK | FIN);
	(void)fb_event(&b, MG_EV_FIN_SENT);
	FB_RX(&b, .ack = 30);
	assert_int_equal(fb_events(&b, MG_EV_FIN_ACKED), 0);
	FB_RX(&b, .ack = 31);
	(void)fb_event(&b, MG_EV_FIN_ACKED);
	assert_true(atomic_load(&b.win->w_flags) & MG_SHM_WF_TX_DONE);
	assert_int_equal(atomic_load(&b.win->tx_una), 30);
	/* Half-close the other way: we still receive. */
	FB_RX(&b, .seq = 0, .ack = 31, .len = 1000);
	assert_int_equal(fb_app_readable(&b), 1000);
	fb_run(&b, FB_MS(50));
	FB_TX_ACK(&b, 1000);
	assert_int_equal(fb_tx(&b) == NULL, 1);
	fb_close(&b);
}

static void fin_is_lost(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 1500);
	fb_app_flags(&b, MG_SHM_AF_SHUT_WR);
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 1500);
	fb_run(&b, FB_MS(250));
	FB_TX(&b, 1500, 0, ACK | FIN);
	FB_RX(&b, .ack = 1501);
	(void)fb_event(&b, MG_EV_FIN_ACKED);
	assert_int_equal(fb_events(&b, MG_EV_FIN_SENT), 1);
	fb_run(&b, 10 * MG_NS_PER_S);
	FB_TX_NONE(&b);
	fb_close(&b);

	/* With its data. */
	fb_open(&b, &(struct fb_conf){ .flags = MG_FLOW_SACK });
	fb_app_write(&b, 1500);
	fb_app_flags(&b, MG_SHM_AF_SHUT_WR);
	fb_tx_clear(&b);
	fb_run(&b, FB_MS(1100));
	fb_set_cc(&b, 1000, 2000);
	fb_set_cc(&b, 5000, 2000);
	FB_TX(&b, 0, 1000, ACK);
	FB_TX(&b, 1000, 500, ACK | FIN);
	fb_close(&b);
}

static void simultaneous_close(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_flags(&b, MG_SHM_AF_SHUT_WR);
	FB_TX(&b, 0, 0, ACK | FIN);
	FB_RX(&b, .seq = 0, .ack = 0, .flags = ACK | FIN);
	FB_TX_ACK(&b, 1);
	FB_RX(&b, .seq = 1, .ack = 1);
	assert_int_equal(b.ev[0].type, MG_EV_FIN_SENT);
	assert_int_equal(b.ev[1].type, MG_EV_FIN_RCVD);
	assert_int_equal(b.ev[2].type, MG_EV_FIN_ACKED);
	fb_run(&b, 10 * MG_NS_PER_S);
	FB_TX_NONE(&b);
	fb_close(&b);
}

static void events_keep_their_order_when_the_ring_is_full(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	b.ev_full = 2;
	fb_app_flags(&b, MG_SHM_AF_SHUT_WR);
	FB_RX(&b, .seq = 0, .ack = 1, .flags = ACK | FIN);
	fb_run(&b, FB_MS(10));
	assert_int_equal(b.nr_ev, 3);
	assert_int_equal(b.ev[0].type, MG_EV_FIN_SENT);
	assert_int_equal(b.ev[1].type, MG_EV_FIN_ACKED);
	assert_int_equal(b.ev[2].type, MG_EV_FIN_RCVD);
	fb_close(&b);
}

/* ---- The application lets go ---- */

static void app_closes(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 100);
	fb_tx_clear(&b);
	fb_app_flags(&b, MG_SHM_AF_CLOSE);
	assert_int_equal(b.ev[fb_event(&b, MG_EV_APP_CLOSE)].value, 0);
	FB_TX(&b, 100, 0, ACK | FIN);
	/* More data for nobody: the slow path resets. */
	FB_RX(&b, .seq = 0, .ack = 101, .len = 10);
	(void)fb_event(&b, MG_EV_DATA_AFTER_CLOSE);
	command_remove(MG_REMOVE_RST);
	FB_TX(&b, 101, 0, ACK | MG_TCP_RST);
	assert_int_equal(b.ev[fb_event(&b, MG_EV_REMOVED)].flags,
			 MG_REMOVED_FIN_SENT | MG_REMOVED_FIN_ACKED);
	fb_close(&b);
}

static void app_closes_with_unread_data(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	FB_RX(&b, .seq = 0, .len = 100);
	fb_app_flags(&b, MG_SHM_AF_CLOSE);
	assert_int_equal(b.ev[fb_event(&b, MG_EV_APP_CLOSE)].value, 100);
	FB_TX_NONE(&b); /* no FIN: a reset follows */
	fb_close(&b);
}

static void closed_by_control(void **state)
{
	struct mg_cmd_flow cmd = {
		.msg = { .type = MG_CMD_CLOSE, .len = sizeof(cmd), .flow = 7, .gen = 1 }
	};

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 100);
	fb_tx_clear(&b);
	fb_command(&b, &cmd.msg);
	assert_int_equal(b.ev[fb_event(&b, MG_EV_APP_CLOSE)].value, 0);
	FB_TX(&b, 100, 0, ACK | FIN);
	fb_app_flags(&b, MG_SHM_AF_CLOSE); /* once is enough */
	FB_TX_NONE(&b);
	fb_close(&b);
}

static void app_aborts(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_flags(&b, MG_SHM_AF_ABORT);
	(void)fb_event(&b, MG_EV_APP_ABORT);
	command_remove(MG_REMOVE_RST);
	FB_TX(&b, 0, 0, ACK | MG_TCP_RST);
	(void)fb_event(&b, MG_EV_REMOVED);
	fb_close(&b);
}

static void shut_for_reading(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .rx_bytes = 4096, .rcv_adv = 4096 });
	fb_app_flags(&b, MG_SHM_AF_SHUT_RD);
	for (uint32_t i = 0; i < 20; i++)
		FB_RX(&b, .seq = i * 1000, .len = 1000);
	fb_run(&b, FB_MS(100));
	assert_int_equal(b.flow->last_ack_sent - b.conf.irs - 1, 20000);
	assert_int_equal(fb_app_readable(&b), 0);
	fb_ring(&b);
	assert_int_equal(fb_events(&b, MG_EV_APP_BROKEN), 0);
	fb_close(&b);
}

/* ---- Removal ---- */

static void removed_when_the_slow_path_can_hear_it(void **state)
{
	struct mg_msg_app del = { .msg = { .type = MG_CMD_APP_DEL, .len = sizeof(del) },
				  .app = &b.app };

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 3000);
	FB_RX(&b, .seq = 2000, .len = 10);
	b.ev_full = 3;
	command_remove(MG_REMOVE_QUIET);
	assert_int_equal(fb_events(&b, MG_EV_REMOVED), 0);
	fb_command(&b, &del.msg);
	assert_int_equal(fb_events(&b, MG_EV_APP_DEL), 0); /* not before its last flow */
	fb_run(&b, FB_MS(10));
	(void)fb_event(&b, MG_EV_REMOVED);
	(void)fb_event(&b, MG_EV_APP_DEL);
	assert_int_equal(b.fp->recs.nr_used, 0);
	assert_int_equal(b.fp->ooos.nr_used, 0);
	assert_int_equal(b.fp->pool.nr_used, 0);
	assert_null(mg_fp_app(b.fp, 0));
	assert_int_equal(b.fp->wheel.nr_armed, 0);
	fb_close(&b);
}

static void owed_ack_leaves_before_removal(void **state)
{
	struct mg_cmd_remove cmd = {
		.msg = { .type = MG_CMD_REMOVE, .len = sizeof(cmd), .flow = 7, .gen = 1 }
	};

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_rx_seg(&b, &(struct fb_seg){ .flags = ACK | FIN });
	mg_fp_command(b.fp, &cmd.msg, b.now);
	fb_flush(&b);
	FB_TX_ACK(&b, 1);
	fb_close(&b);
}

static void report(void **state)
{
	struct mg_cmd_flow cmd = {
		.msg = { .type = MG_CMD_REPORT, .len = sizeof(cmd), .flow = 7, .gen = 1 }
	};

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_command(&b, &cmd.msg);
	(void)fb_event(&b, MG_EV_REPORT);
	assert_int_equal(b.flow->run, MG_FLOW_LIVE);
	fb_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peer_closes),
		cmocka_unit_test(fin_out_of_order),
		cmocka_unit_test(fin_alone_out_of_order),
		cmocka_unit_test(fin_alone_at_a_full_ring),
		cmocka_unit_test(fin_beyond_the_window_is_cut),
		cmocka_unit_test(we_close_with_data),
		cmocka_unit_test(fin_is_lost),
		cmocka_unit_test(simultaneous_close),
		cmocka_unit_test(events_keep_their_order_when_the_ring_is_full),
		cmocka_unit_test(app_closes),
		cmocka_unit_test(app_closes_with_unread_data),
		cmocka_unit_test(closed_by_control),
		cmocka_unit_test(app_aborts),
		cmocka_unit_test(shut_for_reading),
		cmocka_unit_test(removed_when_the_slow_path_can_hear_it),
		cmocka_unit_test(owed_ack_leaves_before_removal),
		cmocka_unit_test(report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
