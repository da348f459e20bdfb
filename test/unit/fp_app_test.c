/* SPDX-License-Identifier: Apache-2.0 */
/* The application's side: untrusted positions, doorbells, entries, wake-ups; the flow tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/lib/fp_builder.h"

static struct fb b;

#define ACK MG_TCP_ACK

/* ---- Impossible positions ---- */

static void is_broken(void)
{
	fb_ring(&b);
	(void)fb_event(&b, MG_EV_APP_BROKEN);
	assert_int_equal(b.flow->run, MG_FLOW_STOPPED);
	fb_tx_clear(&b);
	FB_RX(&b, .seq = 100, .len = 10); /* nothing moves any more */
	fb_run(&b, 10 * MG_NS_PER_S);
	FB_TX_NONE(&b);
	assert_int_equal(fb_events(&b, MG_EV_APP_BROKEN), 0);
	fb_close(&b);
}

static void broken_positions(void **state)
{
	static const uint64_t rx[] = { 101, 99, 0x8000000000000000ull, UINT64_MAX, 1ull << 32 };
	static const uint64_t tx[] = { 65537 + 50, 99, UINT64_MAX, 1ull << 32 | 150, 1ull << 63 };

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(rx); i++) {
		fb_open(&b, &(struct fb_conf){ 0 });
		FB_RX(&b, .seq = 0, .len = 100);
		fb_app_read(&b, 100, true);
		atomic_store(&b.win->rx_head, rx[i]);
		is_broken();
	}
	for (size_t i = 0; i < MG_ARRAY_SIZE(tx); i++) {
		fb_open(&b, &(struct fb_conf){ 0 });
		fb_app_write(&b, 50);
		FB_RX(&b, .ack = 50);
		fb_app_write(&b, 50);
		atomic_store(&b.win->tx_head, tx[i]);
		is_broken();
	}
}

/* The worker's and the slow path's lines are the daemon's own copies' shadows: writing them changes nothing. */
static void daemons_lines_are_not_believed(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 100);
	fb_tx_clear(&b);
	atomic_store(&b.win->tx_una, 0xdead);
	atomic_store(&b.win->rx_tail, 0xdead);
	memset(b.win->rx_rings, 0xff, sizeof(b.win->rx_rings));
	memset(b.win->tx_rings, 0xff, sizeof(b.win->tx_rings));
	atomic_store(&b.win->rx_ring, UINT32_MAX);
	atomic_store(&b.win->tx_ring_used, UINT32_MAX);
	FB_RX(&b, .seq = 0, .ack = 100, .len = 100);
	assert_int_equal(atomic_load(&b.win->tx_una), 100);
	assert_int_equal(atomic_load(&b.win->rx_tail), 100);
	fb_close(&b);
}

static void writes_after_shutdown_do_not_count(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 10);
	fb_app_flags(&b, MG_SHM_AF_SHUT_WR);
	fb_tx_clear(&b);
	fb_app_write(&b, 10);
	FB_TX_NONE(&b);
	FB_RX(&b, .ack = 11);
	(void)fb_event(&b, MG_EV_FIN_ACKED);
	fb_close(&b);
}

/* ---- Doorbells ---- */

static uint32_t push_bell(uint32_t index, uint32_t gen)
{
	struct mg_shm_doorbell bell = { .index = index, .gen = gen };

	assert_int_equal(mg_spsc_push(&b.bells, &bell), 0);
	return mg_fp_doorbells(b.fp, &b.app, 0, 64, b.now);
}

static void doorbells(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	assert_int_equal(push_bell(4, 1), 1); /* no such window */
	assert_int_equal(push_bell(UINT32_MAX, 1), 1);
	assert_int_equal(fb_stat(&b, MG_FPS_DOORBELLS_BAD), 2);
	assert_int_equal(atomic_load(&b.app.bad_doorbells), 2);
	/* A window without a flow: of interest only when it is let go. */
	assert_int_equal(push_bell(2, 1), 1);
	assert_int_equal(fb_events(&b, MG_EV_DOORBELL), 0);
	atomic_store(&b.app.windows[2].a_flags, MG_SHM_AF_CLOSE);
	assert_int_equal(push_bell(2, 1), 1);
	(void)fb_event(&b, MG_EV_DOORBELL);
	fb_close(&b);
}

/*
 * A thread that let a window go rang late, and its mark of a_dirty kept back the bell of the window's next use:
 * the late bell has to do for both.
 */
static void late_doorbell_of_a_former_use(void **state)
{
	uint8_t *ring;

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	ring = b.app.base + b.app.payload_off + b.conf.rx_bytes;
	for (uint32_t i = 0; i < 10; i++)
		ring[i] = fb_tx_pattern(i);
	atomic_store(&b.win->a_dirty, 1); /* the late thread's */
	atomic_store(&b.win->tx_head, 10);
	assert_int_equal(push_bell(1, 9), 1);
	assert_int_equal(atomic_load(&b.win->a_dirty), 0);
	fb_flush(&b);
	FB_TX(&b, 0, 10, ACK | MG_TCP_PSH);
	assert_int_equal(fb_events(&b, MG_EV_DOORBELL), 0);
	fb_close(&b);
}

static void few_dead_windows_in_a_turn(void **state)
{
	struct mg_shm_doorbell bell = { .index = 2, .gen = 1 };
	uint32_t rung = 0;

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	atomic_store(&b.app.windows[2].a_flags, MG_SHM_AF_CLOSE);
	for (uint32_t turn = 0; turn < 10; turn++) {
		while (mg_spsc_push(&b.bells, &bell) == 0)
			rung++;
		assert_in_range(mg_fp_doorbells(b.fp, &b.app, 0, 64, b.now), 1, 8);
	}
	assert_in_range(fb_events(&b, MG_EV_DOORBELL), 10, 80);
	assert_in_range(rung, 10, 80);
	fb_close(&b);
}

static void doorbell_event_waits_for_room(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	atomic_store(&b.app.windows[2].a_flags, MG_SHM_AF_CLOSE);
	b.ev_full = 2;
	assert_int_equal(push_bell(2, 5), 1);
	assert_int_equal(push_bell(3, 5), 0); /* not before the first was told */
	fb_run(&b, FB_MS(5));
	(void)fb_event(&b, MG_EV_DOORBELL);
	assert_int_equal(mg_fp_doorbells(b.fp, &b.app, 0, 64, b.now), 1);
	fb_close(&b);
}

static void broken_doorbell_ring(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	atomic_store(&b.bells.shared->tail, 0x12345678);
	assert_int_equal(mg_fp_doorbells(b.fp, &b.app, 0, 64, b.now), 0);
	fb_flush(&b);
	(void)fb_event(&b, MG_EV_APP_RINGS);
	assert_int_equal(mg_fp_doorbells(b.fp, &b.app, 0, 64, b.now), 0);
	fb_close(&b);
}

/* Without a single flow, too; and the worker may sleep: nobody looks at these rings any more. */
static void broken_doorbell_ring_of_an_idle_application(void **state)
{
	struct mg_cmd_remove cmd = {
		.msg = { .type = MG_CMD_REMOVE, .len = sizeof(cmd), .flow = 7, .gen = 1 }
	};

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_command(&b, &cmd.msg);
	atomic_store(&b.bells.shared->tail, 0x12345678);
	b.ev_full = 1;
	assert_int_equal(mg_fp_doorbells(b.fp, &b.app, 0, 64, b.now), 0);
	assert_null(mg_fp_app(b.fp, 0));
	fb_run(&b, FB_MS(5));
	(void)fb_event(&b, MG_EV_APP_RINGS);
	assert_int_equal(fb_events(&b, MG_EV_APP_RINGS), 0); /* once */
	fb_close(&b);
}

static void budget_of_doorbells(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	for (uint32_t i = 0; i < 4; i++) {
		struct mg_shm_doorbell bell = { .index = 1, .gen = 1 };

		assert_int_equal(mg_spsc_push(&b.bells, &bell), 0);
	}
	assert_int_equal(mg_fp_doorbells(b.fp, &b.app, 0, 3, b.now), 3);
	assert_int_equal(mg_fp_doorbells(b.fp, &b.app, 0, 3, b.now), 1);
	fb_close(&b);
}

/* ---- Entries and wake-ups ---- */

static void one_entry_one_wake(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	for (uint32_t i = 0; i < 8; i++)
		fb_rx_seg(&b, &(struct fb_seg){ .seq = i * 100, .len = 100 });
	fb_flush(&b);
	assert_int_equal(b.wakes, 0); /* it is awake */
	assert_true(fb_app_event(&b));
	assert_false(fb_app_event(&b));
	atomic_store(&b.app.contexts[0].shm->sleeping, 1);
	FB_RX(&b, .seq = 800, .len = 100);
	assert_int_equal(b.wakes, 1);
	FB_RX(&b, .seq = 900, .len = 100); /* the entry is still there: level-triggered */
	assert_int_equal(b.wakes, 1);
	assert_true(fb_app_event(&b));
	assert_false(fb_app_event(&b));
	fb_close(&b);
}

static void nobody_is_told_of_acks(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	fb_app_write(&b, 5000);
	FB_RX(&b, .ack = 5000);
	assert_false(fb_app_event(&b));
	fb_close(&b);
}

static void told_of_free_space_once(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ .tx_bytes = 8192, .cwnd = 100000 });
	fb_app_write(&b, 8192);
	fb_app_flags(&b, MG_SHM_AF_WANT_TX);
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 1000);
	assert_false(fb_app_event(&b)); /* not worth it yet */
	FB_RX(&b, .ack = 4000);
	assert_true(fb_app_event(&b));
	FB_RX(&b, .ack = 8000);
	assert_false(fb_app_event(&b)); /* told */
	/* It writes on: told again. */
	fb_app_write(&b, 8000);
	fb_tx_clear(&b);
	FB_RX(&b, .ack = 16000);
	assert_true(fb_app_event(&b));
	/* Space that is there already is told at once. */
	fb_app_flags(&b, 0);
	fb_app_flags(&b, MG_SHM_AF_WANT_TX);
	assert_true(fb_app_event(&b));
	fb_close(&b);
}

/* ---- Install ---- */

static struct mg_cmd_install another(uint32_t flow, uint16_t port)
{
	struct mg_cmd_install c = {
		.msg = { .type = MG_CMD_INSTALL, .len = sizeof(c), .flow = flow, .gen = 1 },
		.tuple = b.flow->tuple,
		.ttl = 64,
		.mss = 1000,
		.iss = 1,
		.irs = 1,
		.snd_una = 2,
		.snd_nxt = 2,
		.rcv_nxt = 2,
		.snd_wnd = 1000,
		.rcv_adv = 2,
		.rcv_mss = 1000,
		.cwnd_bytes = 10000,
		.rto_us = 1000000,
		.rto_min_us = 200000,
		.rto_max_us = 1000000,
		.app = &b.app,
		.window = flow % 4,
		.window_gen = 1,
		.rx_bytes = 4096,
		.tx_bytes = 4096,
		.rx_off = b.app.payload_off,
		.tx_off = b.app.payload_off + 65536,
	};

	c.tuple.rport = port;
	return c;
}

static void many_flows(void **state)
{
	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	for (uint32_t i = 0; i < 20; i++) {
		struct mg_cmd_install c = another(20 + i, (uint16_t)(5000 + i));

		mg_fp_command(b.fp, &c.msg, b.now);
	}
	/* 16 may live here, one was here: five are refused. */
	assert_int_equal(fb_stat(&b, MG_FPS_INSTALL_FULL), 5);
	assert_int_equal(fb_events(&b, MG_EV_REMOVED), 5);
	fb_flush(&b);
	for (uint32_t i = 0; i < 20; i++) {
		struct mg_seg seg = { .tuple = another(0, (uint16_t)(5000 + i)).tuple };
		struct mg_flow *f = mg_fp_lookup(b.fp, &seg);

		assert_int_equal(f != NULL, i < 15);
		if (f != NULL)
			assert_int_equal(f->id, 20 + i);
	}
	for (uint32_t i = 0; i < 15; i += 2) {
		struct mg_cmd_remove c = {
			.msg = { .type = MG_CMD_REMOVE, .len = sizeof(c), .flow = 20 + i, .gen = 1 }
		};

		mg_fp_command(b.fp, &c.msg, b.now);
	}
	fb_flush(&b);
	for (uint32_t i = 0; i < 15; i++) {
		struct mg_seg seg = { .tuple = another(0, (uint16_t)(5000 + i)).tuple };

		assert_int_equal(mg_fp_lookup(b.fp, &seg) != NULL, i % 2);
	}
	fb_close(&b);
}

static void what_was_written_before_install_is_sent(void **state)
{
	struct mg_cmd_install c;

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	c = another(9, 4000);
	c.tuple.rport = 4000;
	c.tuple.lport = 81;
	c.window = 2;
	b.conf.iss = 1;
	atomic_store(&b.app.windows[2].tx_head, 300);
	for (uint32_t i = 0; i < 300; i++)
		b.app.base[c.tx_off + i] = fb_tx_pattern(i);
	b.flow = &b.fp->flows[1];
	mg_fp_command(b.fp, &c.msg, b.now);
	fb_flush(&b);
	FB_TX(&b, 0, 300, ACK);
	fb_close(&b);
}

/* A table so small that both buckets overflow. */
static void table_overflows(void **state)
{
	enum { N = 64 };
	static struct mg_flow flows[N];
	static _Alignas(64) struct mg_table_bucket mem[2];
	struct mg_table t;

	(void)state;
	memset(mem, 0, sizeof(mem));
	mg_table_init(&t, mem, 8);
	assert_int_equal(mg_table_buckets(8), 2);
	for (uint32_t i = 0; i < N; i++) {
		memset(&flows[i], 0, sizeof(flows[i]));
		flows[i].tuple.rport = (uint16_t)i;
		flows[i].hash = mg_tuple_hash(&flows[i].tuple, 1);
		mg_table_insert(&t, flows, &flows[i]);
	}
	for (uint32_t i = 0; i < N; i++)
		assert_ptr_equal(mg_table_find(&t, flows, &flows[i].tuple, flows[i].hash),
				 &flows[i]);
	for (uint32_t i = 0; i < N; i += 3)
		mg_table_remove(&t, flows, &flows[i]);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(mg_table_find(&t, flows, &flows[i].tuple, flows[i].hash) != NULL,
				 i % 3 != 0);
}

static void counters_have_names(void **state)
{
	const char *name;
	const char *help;
	uint64_t value;
	uint32_t n = 0;

	(void)state;
	fb_open(&b, &(struct fb_conf){ 0 });
	while (mg_fp_counter(b.fp, n, &name, &help, &value)) {
		assert_non_null(name);
		assert_non_null(help);
		n++;
	}
	assert_int_equal(n, MG_FPS_NR);
	fb_close(&b);
}

static void impossible_configurations(void **state)
{
	struct mg_fp_conf conf = { .flows_max = 1, .flows_local_max = 2 };
	struct mg_fp_env env = { 0 };
	struct mg_fp *fp;
	static _Alignas(64) uint8_t mem[64];

	(void)state;
	assert_int_equal(mg_fp_init(mem, &conf, &env, &fp), -22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_positions),
		cmocka_unit_test(daemons_lines_are_not_believed),
		cmocka_unit_test(writes_after_shutdown_do_not_count),
		cmocka_unit_test(doorbells),
		cmocka_unit_test(doorbell_event_waits_for_room),
		cmocka_unit_test(broken_doorbell_ring),
		cmocka_unit_test(broken_doorbell_ring_of_an_idle_application),
		cmocka_unit_test(late_doorbell_of_a_former_use),
		cmocka_unit_test(few_dead_windows_in_a_turn),
		cmocka_unit_test(budget_of_doorbells),
		cmocka_unit_test(one_entry_one_wake),
		cmocka_unit_test(nobody_is_told_of_acks),
		cmocka_unit_test(told_of_free_space_once),
		cmocka_unit_test(many_flows),
		cmocka_unit_test(what_was_written_before_install_is_sent),
		cmocka_unit_test(table_overflows),
		cmocka_unit_test(counters_have_names),
		cmocka_unit_test(impossible_configurations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
