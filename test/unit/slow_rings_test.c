/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_rings_test.c - slowpath/core/rings: who may grow how far, and that every piece comes back.
 *                     sb_free() asserts that the region is whole again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "slowpath/core/engine.h"
#include "test/lib/slow_builder.h"

#define MIB (1u << 20)

static void start(struct sb *b)
{
	sb_conf(b);
	b->conf.autotune = true;
	b->conf.autotune_idle_ms = 3000;
	sb_start(b, true);
}

static void ring_event(struct sb *b, enum mg_ring_dir dir, enum mg_ring_what what, uint32_t bytes)
{
	const struct mg_conn *c = sb_conn(b);
	struct mg_ev_ring ev = {
		.msg = { .type = MG_EV_RING, .len = sizeof(ev), .flow = c->idx, .gen = c->gen },
		.dir = dir,
		.what = what,
		.bytes = bytes,
	};

	mg_slow_event(b->s, 0, &ev.msg, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
}

static const struct mg_cmd_ring *answer(struct sb *b)
{
	const struct sb_cmd *cmd = sb_cmd(b, MG_CMD_RING);

	return cmd == NULL ? NULL : (const struct mg_cmd_ring *)(const void *)cmd->bytes;
}

static uint32_t free_bytes(const struct sb *b)
{
	return b->s->apps[0].payload.nr_free_units * MG_PAYLOAD_UNIT_BYTES;
}

static void only_what_the_application_left_open_grows(void **state)
{
	struct sb b;

	(void)state;
	start(&b);
	assert_int_equal(mg_rings_max(b.s, &(struct mg_conn){ 0 }, MG_RING_RX), 4 * MIB);
	assert_int_equal(
		mg_rings_max(b.s, &(struct mg_conn){ .flags = MG_CONN_RCV_FIXED }, MG_RING_RX), 0);
	assert_int_equal(mg_rings_max(b.s, &(struct mg_conn){ .flags = MG_CONN_RCV_FIXED },
				      MG_RING_TX),
			 4 * MIB);
	b.s->conf.autotune = false;
	assert_int_equal(mg_rings_max(b.s, &(struct mg_conn){ 0 }, MG_RING_TX), 0);
	sb_free(&b);
}

static void growing_and_shrinking(void **state)
{
	const struct mg_cmd_ring *cmd;
	uint32_t before;
	struct sb b;

	(void)state;
	start(&b);
	(void)sb_established(&b);
	before = free_bytes(&b);
	for (uint32_t bytes = 2 * SB_RING; bytes >= SB_RING; bytes /= 2) {
		for (enum mg_ring_dir dir = MG_RING_RX; dir <= MG_RING_TX; dir++) {
			ring_event(&b, dir, MG_RING_WANT, bytes);
			cmd = answer(&b);
			assert_non_null(cmd);
			assert_int_equal(cmd->dir, dir);
			assert_int_equal(cmd->bytes, bytes);
			assert_true(cmd->off >= b.app->payload_off &&
				    cmd->off + bytes <= b.app->total_bytes);
			assert_int_equal(cmd->off % MG_SHM_PAGE_BYTES, 0);
			ring_event(&b, dir, MG_RING_OLD_FREE, bytes);
			assert_int_equal(sb_conn(&b)->ring[dir].bytes, bytes);
		}
		assert_int_equal(free_bytes(&b), before - 2 * (bytes - SB_RING));
	}
	sb_free(&b);
}

static void what_is_refused_comes_back(void **state)
{
	uint32_t before;
	struct sb b;

	(void)state;
	start(&b);
	(void)sb_established(&b);
	before = free_bytes(&b);
	ring_event(&b, MG_RING_RX, MG_RING_WANT, 8 * SB_RING);
	assert_int_equal(free_bytes(&b), before - 8 * SB_RING);
	ring_event(&b, MG_RING_RX, MG_RING_NEW_FREE, 8 * SB_RING);
	assert_int_equal(free_bytes(&b), before);
	assert_int_equal(sb_conn(&b)->ring[MG_RING_RX].bytes, SB_RING);
	sb_free(&b);
}

/* The connection ends in the middle of a change. */
static void both_rings_come_back_at_the_end(void **state)
{
	struct sb b;

	(void)state;
	start(&b);
	(void)sb_established(&b);
	ring_event(&b, MG_RING_RX, MG_RING_WANT, 8 * SB_RING);
	ring_event(&b, MG_RING_TX, MG_RING_WANT, 4 * SB_RING);
	sb_clear(&b);
	sb_free(&b);
}

static void growth_leaves_room_for_others(void **state)
{
	const struct mg_cmd_ring *cmd;
	struct sb b;

	(void)state;
	start(&b);
	(void)sb_established(&b);
	ring_event(&b, MG_RING_RX, MG_RING_WANT, MIB / 2);
	assert_int_equal(answer(&b)->bytes, MIB / 2);
	/* An eighth of the region stays. */
	ring_event(&b, MG_RING_TX, MG_RING_WANT, MIB / 2);
	cmd = answer(&b);
	assert_non_null(cmd);
	assert_int_equal(cmd->bytes, 0);
	assert_int_equal(b.s->stats.rings_refused, 1);
	ring_event(&b, MG_RING_TX, MG_RING_WANT, MIB / 4);
	assert_int_equal(answer(&b)->bytes, MIB / 4);
	sb_free(&b);
}

static void answers_wait_for_room_in_the_ring(void **state)
{
	struct sb b;

	(void)state;
	start(&b);
	(void)sb_established(&b);
	b.is_full = true;
	ring_event(&b, MG_RING_TX, MG_RING_WANT, 2 * SB_RING);
	sb_no_cmd(&b, MG_CMD_RING);
	b.is_full = false;
	sb_wait(&b, 10000000);
	mg_slow_flush(b.s, b.now_ns);
	assert_int_equal(answer(&b)->bytes, 2 * SB_RING);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_the_application_left_open_grows),
		cmocka_unit_test(growing_and_shrinking),
		cmocka_unit_test(what_is_refused_comes_back),
		cmocka_unit_test(both_rings_come_back_at_the_end),
		cmocka_unit_test(growth_leaves_room_for_others),
		cmocka_unit_test(answers_wait_for_room_in_the_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
