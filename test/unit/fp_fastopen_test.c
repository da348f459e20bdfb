/* SPDX-License-Identifier: Apache-2.0 */
/* TCP Fast Open in the worker (RFC 7413): a flow whose SYN-ACK is not acknowledged yet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/fp_builder.h"

static struct fb b;

#define ACK MG_TCP_ACK
#define EARLY MG_FLOW_SYN_RCVD

static bool is_early(void)
{
	return (b.flow->flags & MG_FF_SYN_RCVD) != 0;
}

static void data_of_the_syn_can_be_read(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = EARLY, .syn_bytes = 700 });
	fb_flush(&b);
	assert_true(fb_app_event(&b));
	assert_int_equal(fb_app_readable(&b), 700);
	fb_app_read(&b, 700, true);
	FB_TX_NONE(&b); /* the SYN-ACK acknowledges it */
	fb_run(&b, MG_NS_PER_S);
	FB_TX_NONE(&b);
	assert_true(is_early());
	fb_close(&b);
}

static void the_answer_goes_out_at_once(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = EARLY, .syn_bytes = 700 });
	fb_app_write(&b, 300);
	FB_TX(&b, 0, 300, ACK | MG_TCP_PSH);
	FB_RX(&b, .seq = 700, .ack = 300);
	assert_false(is_early());
	(void)fb_event(&b, MG_EV_SYN_ACKED);
	assert_int_equal(mg_flow_flight(b.flow), 0);
	fb_close(&b);
}

static void a_plain_ack_ends_the_handshake(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = EARLY });
	fb_run(&b, FB_MS(20));
	FB_RX(&b, .seq = 0, .ack = 0);
	assert_false(is_early());
	assert_int_equal(fb_events(&b, MG_EV_SYN_ACKED), 1);
	assert_in_range(mg_flow_srtt_us(b.flow), 19000, 21000); /* the handshake's round trip */
	FB_RX(&b, .seq = 0, .ack = 0);
	assert_int_equal(fb_events(&b, MG_EV_SYN_ACKED), 1);
	fb_close(&b);
}

/* Karn: after the initial time-out the SYN-ACK was sent twice. */
static void no_sample_from_a_repeated_synack(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = EARLY });
	fb_run(&b, FB_MS(1200));
	FB_RX(&b, .seq = 0, .ack = 0);
	assert_false(is_early());
	assert_int_equal(b.flow->srtt8_us, 0);
	fb_close(&b);
}

static void data_with_the_ack_is_taken(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = EARLY, .syn_bytes = 100 });
	FB_RX(&b, .seq = 100, .len = 400, .ack = 0);
	assert_false(is_early());
	assert_int_equal(fb_app_readable(&b), 500);
	fb_app_read(&b, 500, true);
	fb_close(&b);
}

static void the_syn_again_is_the_slow_paths(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = EARLY, .syn_bytes = 100 });
	FB_RX(&b, .seq = UINT32_MAX, .flags = MG_TCP_SYN, .len = 100);
	assert_int_equal(b.to_slow, 1);
	FB_TX_NONE(&b);
	/* another one is answered as ever (RFC 5961 4) */
	FB_RX(&b, .seq = 150, .flags = MG_TCP_SYN);
	assert_int_equal(b.to_slow, 1);
	FB_TX_ACK(&b, 100);
	assert_true(is_early());
	/* and afterwards so is the first */
	FB_RX(&b, .seq = 100, .ack = 0);
	FB_RX(&b, .seq = UINT32_MAX, .flags = MG_TCP_SYN, .len = 100);
	assert_int_equal(b.to_slow, 1);
	fb_close(&b);
}

static void acks_of_what_was_never_sent(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = EARLY });
	FB_RX(&b, .seq = 0, .ack = UINT32_MAX); /* of the SYN-ACK's own number */
	FB_RX(&b, .seq = 0, .ack = 1);
	assert_int_equal(b.to_slow, 2);
	assert_true(is_early());
	FB_TX_NONE(&b);
	fb_close(&b);
}

static void a_reset_ends_it(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = EARLY, .syn_bytes = 100 });
	FB_RX(&b, .seq = 101, .flags = MG_TCP_RST); /* RFC 5961 3.2 */
	FB_TX_ACK(&b, 100);
	assert_int_equal(fb_events(&b, MG_EV_RST_RCVD), 0);
	FB_RX(&b, .seq = 100, .flags = MG_TCP_RST);
	assert_int_equal(fb_events(&b, MG_EV_RST_RCVD), 1);
	fb_close(&b);
}

/* The SYN-ACK was lost: the answer before it is sent again, and the handshake ends late. */
static void the_answer_is_repeated(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = EARLY, .syn_bytes = 100 });
	fb_app_write(&b, 300);
	FB_TX(&b, 0, 300, ACK | MG_TCP_PSH);
	fb_run(&b, FB_MS(1100));
	FB_TX(&b, 0, 300, ACK | MG_TCP_PSH);
	FB_RX(&b, .seq = 100, .ack = 0);
	assert_false(is_early());
	FB_RX(&b, .seq = 100, .ack = 300);
	assert_int_equal(mg_flow_flight(b.flow), 0);
	fb_close(&b);
}

static void the_event_waits_for_room(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .flags = EARLY });
	b.ev_full = 1;
	FB_RX(&b, .seq = 0, .ack = 0);
	fb_run(&b, FB_MS(5));
	assert_int_equal(fb_events(&b, MG_EV_SYN_ACKED), 1);
	fb_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_of_the_syn_can_be_read),
		cmocka_unit_test(the_answer_goes_out_at_once),
		cmocka_unit_test(a_plain_ack_ends_the_handshake),
		cmocka_unit_test(no_sample_from_a_repeated_synack),
		cmocka_unit_test(data_with_the_ack_is_taken),
		cmocka_unit_test(the_syn_again_is_the_slow_paths),
		cmocka_unit_test(acks_of_what_was_never_sent),
		cmocka_unit_test(a_reset_ends_it),
		cmocka_unit_test(the_answer_is_repeated),
		cmocka_unit_test(the_event_waits_for_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
