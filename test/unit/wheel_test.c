/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wheel_test.c - the timing wheel against a list of deadlines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proto/base/bits.h"
#include "proto/base/rng.h"
#include "proto/base/time.h"
#include "proto/base/wheel.h"

#define IDS 64
#define TICK 16384ull
#define START (77 * MG_NS_PER_S + 5)

struct model {
	struct mg_wheel w;
	struct mg_wheel_node mem[IDS];
	uint64_t deadline_ns[IDS]; /* 0: not armed */
	uint64_t armed_ns[IDS];
	uint64_t now_ns;
	struct mg_rng rng;
};

static void model_init(struct model *m, uint64_t seed)
{
	for (size_t i = 0; i < IDS; i++)
		m->deadline_ns[i] = 0;
	m->now_ns = START;
	mg_rng_init(&m->rng, seed);
	assert_true(mg_wheel_bytes(IDS) == sizeof(m->mem));
	mg_wheel_init(&m->w, m->mem, IDS, TICK, START);
}

static uint64_t earliest(const struct model *m)
{
	uint64_t min = MG_TIME_NEVER;

	for (size_t i = 0; i < IDS; i++) {
		if (m->deadline_ns[i] != 0)
			min = mg_min_u64(min, mg_max_u64(m->deadline_ns[i], m->armed_ns[i]));
	}
	return min;
}

static void arm(struct model *m, uint32_t id, uint64_t deadline_ns)
{
	mg_wheel_arm(&m->w, id, deadline_ns);
	m->deadline_ns[id] = deadline_ns;
	m->armed_ns[id] = m->now_ns;
}

/* Moves time, pops everything, and compares: nothing early, nothing a tick late. */
static uint32_t run_to(struct model *m, uint64_t now_ns)
{
	uint32_t id, nr = 0;

	m->now_ns = now_ns;
	mg_wheel_advance(&m->w, now_ns);
	while ((id = mg_wheel_pop(&m->w)) != MG_WHEEL_NONE) {
		assert_true(id < IDS);
		assert_true(m->deadline_ns[id] != 0);
		assert_true(m->deadline_ns[id] <= now_ns);
		assert_false(mg_wheel_is_armed(&m->w, id));
		m->deadline_ns[id] = 0;
		nr++;
	}
	for (uint32_t i = 0; i < IDS; i++) {
		assert_int_equal(mg_wheel_is_armed(&m->w, i), m->deadline_ns[i] != 0);
		if (m->deadline_ns[i] == 0)
			continue;
		/* Still waiting: due less than a tick ago at most, counted from when it was armed. */
		assert_true(mg_time_after(mg_max_u64(m->deadline_ns[i], m->armed_ns[i]), TICK) >
			    now_ns);
	}
	return nr;
}

static void empty_wheel_never_wakes(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 1);
	assert_true(mg_wheel_next_ns(&m.w) == MG_TIME_NEVER);
	assert_int_equal(run_to(&m, START + 3600 * MG_NS_PER_S), 0);
	assert_int_equal(mg_wheel_pop(&m.w), MG_WHEEL_NONE);
	mg_wheel_cancel(&m.w, 3);
	assert_false(mg_wheel_is_armed(&m.w, 3));
	assert_false(mg_wheel_is_armed(&m.w, IDS)); /* no such id */
}

static void fires_at_its_tick(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 1);
	arm(&m, 5, START + 3 * TICK);
	assert_true(mg_wheel_next_ns(&m.w) == START + 3 * TICK);
	assert_int_equal(run_to(&m, START + 3 * TICK - 1), 0);
	assert_int_equal(run_to(&m, START + 3 * TICK), 1);
	arm(&m, 5, m.now_ns + TICK / 2); /* within a tick: rounded up */
	assert_true(mg_wheel_next_ns(&m.w) == START + 4 * TICK);
	assert_int_equal(run_to(&m, START + 4 * TICK), 1);
	assert_true(mg_wheel_next_ns(&m.w) == MG_TIME_NEVER);
}

static void past_deadline_fires_at_the_next_tick(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 1);
	run_to(&m, START + 100 * TICK + 7);
	arm(&m, 1, START);
	arm(&m, 2, 1); /* before the wheel began */
	mg_wheel_advance(&m.w, m.now_ns);
	assert_int_equal(mg_wheel_pop(&m.w), MG_WHEEL_NONE); /* a handler cannot spin on itself */
	assert_int_equal(run_to(&m, START + 101 * TICK), 2);
}

static void rearm_moves_and_cancel_stops(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 1);
	arm(&m, 1, START + 10 * TICK);
	arm(&m, 1, START + 1000 * TICK);
	assert_int_equal(run_to(&m, START + 999 * TICK), 0);
	arm(&m, 1, START + 1001 * TICK);
	assert_int_equal(run_to(&m, START + 1001 * TICK), 1);
	arm(&m, 2, START + 2000 * TICK);
	mg_wheel_cancel(&m.w, 2);
	m.deadline_ns[2] = 0;
	assert_int_equal(run_to(&m, START + 3000 * TICK), 0);
	arm(&m, 3, START + 4000 * TICK);
	mg_wheel_arm(&m.w, 3, MG_TIME_NEVER);
	assert_false(mg_wheel_is_armed(&m.w, 3));
}

/* Expired but not popped yet: another timer's handler may still cancel or move it. */
static void expired_timers_can_be_cancelled(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 1);
	for (uint32_t id = 0; id < 3; id++)
		mg_wheel_arm(&m.w, id, START + (id + 1) * TICK);
	mg_wheel_advance(&m.w, START + 10 * TICK);
	assert_true(mg_wheel_next_ns(&m.w) <= START + 10 * TICK);
	assert_true(mg_wheel_is_armed(&m.w, 1));
	mg_wheel_cancel(&m.w, 1);
	mg_wheel_arm(&m.w, 2, START + 20 * TICK);
	assert_int_equal(mg_wheel_pop(&m.w), 0);
	assert_int_equal(mg_wheel_pop(&m.w), MG_WHEEL_NONE);
	mg_wheel_advance(&m.w, START + 20 * TICK);
	assert_int_equal(mg_wheel_pop(&m.w), 2);
}

static void pops_in_order_of_time(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 1);
	for (uint32_t id = 0; id < IDS; id++)
		mg_wheel_arm(&m.w, id, START + (IDS - id) * 777 * TICK);
	mg_wheel_advance(&m.w, START + 3600 * MG_NS_PER_S);
	for (uint32_t id = IDS; id-- > 0;)
		assert_int_equal(mg_wheel_pop(&m.w), id);
}

/* A virtual clock: from one next_ns() to the next; a timer days away costs a handful of steps. */
static void far_jumps_take_few_steps(void **state)
{
	struct model m;
	uint64_t far = START + 100ull * 86400 * MG_NS_PER_S;
	int steps = 0;

	(void)state;
	model_init(&m, 1);
	arm(&m, 9, far);
	for (; mg_wheel_is_armed(&m.w, 9); steps++) {
		uint64_t next = mg_wheel_next_ns(&m.w);

		assert_true(next <= far + TICK);
		assert_true(next > m.now_ns);
		run_to(&m, next);
	}
	assert_true(steps <= MG_WHEEL_LEVELS);
	assert_true(m.now_ns >= far && m.now_ns < far + TICK);
	/* The end of time is a deadline like any other. */
	arm(&m, 9, MG_TIME_NEVER - 1);
	run_to(&m, far + 86400 * MG_NS_PER_S);
	assert_true(mg_wheel_is_armed(&m.w, 9));
}

static void time_does_not_go_back(void **state)
{
	struct model m;

	(void)state;
	model_init(&m, 1);
	run_to(&m, START + 100 * TICK);
	arm(&m, 0, START + 101 * TICK);
	mg_wheel_advance(&m.w, START + 50 * TICK);
	mg_wheel_advance(&m.w, 0);
	assert_true(mg_wheel_next_ns(&m.w) == START + 101 * TICK);
}

static uint64_t random_delta(struct mg_rng *rng)
{
	/* From below a tick to days, evenly in the logarithm. */
	return mg_rng_u64(rng) >> (63 - mg_rng_below(rng, 48));
}

static void agrees_with_a_model(void **state)
{
	struct model m;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		model_init(&m, seed);
		for (int step = 0; step < 5000; step++) {
			uint32_t id = mg_rng_below(&m.rng, IDS);
			uint64_t next = mg_wheel_next_ns(&m.w);

			/* Never later than a tick after the earliest deadline. */
			if (earliest(&m) == MG_TIME_NEVER)
				assert_true(next == MG_TIME_NEVER);
			else
				assert_true(next <= mg_time_after(earliest(&m), TICK));
			switch (mg_rng_below(&m.rng, 8)) {
			case 0:
				mg_wheel_cancel(&m.w, id);
				m.deadline_ns[id] = 0;
				break;
			case 1:
				run_to(&m, m.now_ns + (random_delta(&m.rng) >> 8));
				break;
			case 2:
				if (next != MG_TIME_NEVER && next > m.now_ns)
					run_to(&m, next);
				break;
			case 3:
				run_to(&m, m.now_ns + mg_rng_below(&m.rng, 3 * TICK));
				break;
			default:
				arm(&m, id, m.now_ns + random_delta(&m.rng));
				break;
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_wheel_never_wakes),
		cmocka_unit_test(fires_at_its_tick),
		cmocka_unit_test(past_deadline_fires_at_the_next_tick),
		cmocka_unit_test(rearm_moves_and_cancel_stops),
		cmocka_unit_test(expired_timers_can_be_cancelled),
		cmocka_unit_test(pops_in_order_of_time),
		cmocka_unit_test(far_jumps_take_few_steps),
		cmocka_unit_test(time_does_not_go_back),
		cmocka_unit_test(agrees_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
