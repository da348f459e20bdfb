/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_payload_test.c - the allocator of payload rings against a naive model: one byte per unit.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/rng.h"
#include "slowpath/core/payload.h"

#define UNIT MG_PAYLOAD_UNIT_BYTES
#define UNITS_MAX 512

struct model {
	struct mg_payload p;
	void *mem;
	uint8_t used[UNITS_MAX];
	struct {
		uint64_t off;
		uint32_t bytes;
	} live[UNITS_MAX];
	uint32_t nr_live;
	uint32_t units;
};

static void model_new(struct model *m, uint32_t units)
{
	memset(m, 0, sizeof(*m));
	m->units = units;
	m->mem = malloc(mg_payload_bytes((uint64_t)UNITS_MAX * UNIT));
	assert_non_null(m->mem);
	memset(m->mem, 0xa5, mg_payload_bytes((uint64_t)UNITS_MAX * UNIT));
	mg_payload_init(&m->p, m->mem, (uint64_t)UNITS_MAX * UNIT, (uint64_t)units * UNIT);
}

static bool model_alloc(struct model *m, uint32_t bytes)
{
	uint64_t off;

	if (mg_payload_alloc(&m->p, bytes, &off) < 0)
		return false;
	assert_int_equal(off % bytes, 0); /* aligned to its size */
	assert_true(off + bytes <= (uint64_t)m->units * UNIT);
	for (uint64_t u = off / UNIT; u < (off + bytes) / UNIT; u++) {
		assert_int_equal(m->used[u], 0);
		m->used[u] = 1;
	}
	m->live[m->nr_live].off = off;
	m->live[m->nr_live++].bytes = bytes;
	return true;
}

static void model_free(struct model *m, uint32_t i)
{
	uint64_t off = m->live[i].off;
	uint32_t bytes = m->live[i].bytes;

	memset(m->used + off / UNIT, 0, bytes / UNIT);
	m->live[i] = m->live[--m->nr_live];
	mg_payload_free(&m->p, off, bytes);
}

static void model_end(struct model *m)
{
	while (m->nr_live > 0)
		model_free(m, 0);
	assert_true(mg_payload_is_whole(&m->p));
	free(m->mem);
}

/* Is there a free, aligned run of this size? Buddies must then find it, however things lie. */
static bool model_has_room(const struct model *m, uint32_t units)
{
	for (uint32_t at = 0; at + units <= m->units; at += units) {
		uint32_t n = 0;

		while (n < units && !m->used[at + n])
			n++;
		if (n == units)
			return true;
	}
	return false;
}

static void test_against_model(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 3, 7, 64, 100, 511, 512 };

	(void)state;
	for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
		struct model m;
		struct mg_rng rng;

		model_new(&m, sizes[n]);
		mg_rng_init(&rng, n);
		for (int i = 0; i < 5000; i++) {
			uint32_t units = 1u << mg_rng_below(&rng, 8);

			if (mg_rng_below(&rng, 2) && m.nr_live > 0) {
				model_free(&m, mg_rng_below(&rng, m.nr_live));
			} else {
				bool room = model_has_room(&m, units);

				assert_int_equal(model_alloc(&m, units * UNIT), room);
			}
		}
		model_end(&m);
	}
}

static void test_whole_section_in_one(void **state)
{
	struct model m;

	(void)state;
	model_new(&m, 512);
	for (int i = 0; i < 3; i++) {
		assert_true(model_alloc(&m, 512 * UNIT));
		assert_false(model_alloc(&m, UNIT));
		model_free(&m, 0);
	}
	model_end(&m);
}

static void test_empty_section(void **state)
{
	struct model m;

	(void)state;
	model_new(&m, 0);
	assert_false(model_alloc(&m, UNIT));
	model_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_whole_section_in_one),
		cmocka_unit_test(test_empty_section),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
