/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window_ring_test.c - rings that change under the application: the library's side of proto/shm/abi.h, against
 *                      a worker that is played here, sane and broken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/shm/window.h"

#define PAGE MG_SHM_PAGE_BYTES
#define PAGES 64u

static struct {
	uint8_t *base;
	struct mg_shm_window win;
	struct mg_window w;
} t;

static void slot(struct mg_shm_ring *r, uint64_t start, uint32_t page, uint32_t bytes)
{
	atomic_store(&r->start, start);
	atomic_store(&r->page, page);
	atomic_store(&r->bytes, bytes);
}

/* Receive ring in page 0, transmit ring in page 1; both streams stand at `at`. */
static void begin(uint64_t at)
{
	memset(&t.win, 0, sizeof(t.win));
	slot(&t.win.rx_rings[0], 0, 0, PAGE);
	slot(&t.win.tx_rings[0], 0, 1, PAGE);
	t.win.gen = 1;
	atomic_store(&t.win.rx_head, at);
	atomic_store(&t.win.rx_tail, at);
	atomic_store(&t.win.tx_head, at);
	atomic_store(&t.win.tx_una, at);
	atomic_store(&t.win.state, MG_SHM_ST_OPEN);
	assert_int_equal(mg_window_bind(&t.w, t.base, PAGES * PAGE, &t.win, 0, 1), 0);
}

static int up(void **state)
{
	(void)state;
	t.base = aligned_alloc(PAGE, PAGES * PAGE);
	assert_non_null(t.base);
	return 0;
}

static int down(void **state)
{
	(void)state;
	free(t.base);
	return 0;
}

static uint8_t pattern(uint64_t pos)
{
	return (uint8_t)(pos * 7 + (pos >> 8));
}

static void put(uint32_t page, uint32_t bytes, uint64_t from, uint64_t to)
{
	for (uint64_t p = from; p < to; p++)
		t.base[page * PAGE + (p & (bytes - 1))] = pattern(p);
}

static void expect(const struct mg_span spans[MG_WINDOW_SPANS], uint64_t from, uint64_t n)
{
	uint64_t p = from;

	for (int i = 0; i < MG_WINDOW_SPANS; i++) {
		assert_true(spans[i].len == 0 ||
			    (spans[i].p >= t.base &&
			     spans[i].p + spans[i].len <= t.base + PAGES * PAGE));
		for (uint32_t k = 0; k < spans[i].len; k++, p++)
			if (spans[i].p[k] != pattern(p)) /* quicker than an assertion per byte */
				fail_msg("byte %llu", (unsigned long long)p);
	}
	assert_int_equal(p - from, n);
}

/* Bytes [head, seam) in a ring of one page, [seam, tail) in the next of `bytes`: every place of the seam. */
static void every_seam(uint32_t bytes, uint32_t before, uint32_t behind)
{
	struct mg_span spans[MG_WINDOW_SPANS];

	for (uint64_t seam = PAGE; seam < 2 * PAGE; seam++) {
		begin(seam - before);
		put(0, PAGE, seam - before, seam);
		put(2, bytes, seam, seam + behind);
		slot(&t.win.rx_rings[1], seam, 2, bytes);
		atomic_store(&t.win.rx_ring, 1);
		atomic_store(&t.win.rx_tail, seam + behind);
		assert_int_equal(mg_window_peek(&t.w, 0, spans), before + behind);
		expect(spans, seam - before, before + behind);
		/* From a place on either side, and up to it. */
		assert_int_equal(mg_window_peek(&t.w, before / 2, spans),
				 before - before / 2 + behind);
		expect(spans, seam - before + before / 2, before - before / 2 + behind);
		assert_int_equal(mg_window_peek(&t.w, before, spans), behind);
		expect(spans, seam, behind);
		(void)mg_window_consume(&t.w, before);
		assert_int_equal(mg_window_peek(&t.w, 0, spans), behind);
		expect(spans, seam, behind);
		(void)mg_window_consume(&t.w, behind);
		assert_int_equal(mg_window_peek(&t.w, 0, spans), 0);
	}
}

static void receiving_crosses_every_seam(void **state)
{
	(void)state;
	every_seam(2 * PAGE, PAGE, PAGE);
	every_seam(2 * PAGE, 1, 2 * PAGE - 1);
	every_seam(8 * PAGE, 100, 5000);
	every_seam(PAGE, 0, PAGE);
}

/* The reader sleeps over several changes: its head was at each seam, so it misses nothing. */
static void changes_that_nobody_saw_do_no_harm(void **state)
{
	struct mg_span spans[MG_WINDOW_SPANS];

	(void)state;
	for (uint32_t n = 1; n < 12; n++) {
		begin(5000);
		for (uint32_t i = 1; i <= n; i++) {
			slot(&t.win.rx_rings[i % MG_SHM_RING_SLOTS], 5000, 2 * i, 2 * PAGE);
			atomic_store(&t.win.rx_ring, i);
		}
		put(2 * n, 2 * PAGE, 5000, 5000 + 2 * PAGE);
		atomic_store(&t.win.rx_tail, 5000 + 2 * PAGE);
		assert_int_equal(mg_window_peek(&t.w, 0, spans), 2 * PAGE);
		expect(spans, 5000, 2 * PAGE);
		assert_int_equal(mg_window_rx_bytes(&t.w), 2 * PAGE);
	}
}

/* A window that is taken over late (accept) is bound with both rings. */
static void binding_finds_both_rings(void **state)
{
	struct mg_span spans[MG_WINDOW_SPANS];

	(void)state;
	begin(0);
	put(0, PAGE, 0, 1000);
	put(4, 4 * PAGE, 1000, 9000);
	slot(&t.win.rx_rings[1], 1000, 4, 4 * PAGE);
	atomic_store(&t.win.rx_ring, 1);
	atomic_store(&t.win.rx_tail, 9000);
	assert_int_equal(mg_window_bind(&t.w, t.base, PAGES * PAGE, &t.win, 0, 1), 0);
	assert_int_equal(mg_window_peek(&t.w, 0, spans), 9000);
	expect(spans, 0, 9000);
}

static void nonsense_is_not_read(void **state)
{
	static const struct {
		uint64_t start;
		uint32_t page, bytes;
	} bad[] = {
		{ 100, 2, 3 * PAGE },        { 100, 2, 0 },           { 100, PAGES, PAGE },
		{ 100, UINT32_MAX, PAGE },   { 100, 0, 128 * PAGE },  { 100, 63, 2 * PAGE },
		{ 100 + 2 * PAGE, 2, PAGE }, { UINT64_MAX, 2, PAGE },
	};
	struct mg_span spans[MG_WINDOW_SPANS];

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin(100);
		slot(&t.win.rx_rings[1], bad[i].start, bad[i].page, bad[i].bytes);
		atomic_store(&t.win.rx_ring, 1);
		atomic_store(&t.win.rx_tail, 100 + 2 * PAGE + 1);
		assert_int_equal(mg_window_peek(&t.w, 0, spans), 0);
	}
	begin(100);
	slot(&t.win.tx_rings[1], 0, 62, 4 * PAGE);
	atomic_store(&t.win.tx_ring, 1);
	assert_false(mg_window_adopt(&t.w));
	assert_int_equal(atomic_load(&t.win.tx_ring_used), 0);
}

/* ---- Sending ---- */

static void send(uint32_t n)
{
	struct mg_span spans[2];
	uint64_t p = mg_window_tx_head(&t.w);

	assert_int_equal(mg_window_reserve(&t.w, n, spans), n);
	for (int i = 0; i < 2; i++)
		for (uint32_t k = 0; k < spans[i].len; k++)
			spans[i].p[k] = pattern(p++);
	mg_window_commit(&t.w, n);
}

/* The worker's view of the ring in use. */
static void expect_sent(uint64_t from, uint64_t to)
{
	uint32_t n = atomic_load(&t.win.tx_ring_used) % MG_SHM_RING_SLOTS;
	const struct mg_shm_ring *r = &t.win.tx_rings[n];

	for (uint64_t p = from; p < to; p++)
		if (t.base[r->page * PAGE + (p & (r->bytes - 1))] != pattern(p))
			fail_msg("byte %llu", (unsigned long long)p);
}

static void sending_moves_at_every_place(void **state)
{
	(void)state;
	for (uint64_t at = PAGE; at < 2 * PAGE; at++) {
		begin(at);
		send(PAGE);
		atomic_store(&t.win.tx_una, at + 1000);
		slot(&t.win.tx_rings[1], 0, 8, 4 * PAGE);
		atomic_store(&t.win.tx_ring, 1);
		assert_true(mg_window_is_offered(&t.w));
		assert_true(mg_window_adopt(&t.w));
		assert_false(mg_window_is_offered(&t.w));
		assert_int_equal(atomic_load(&t.win.tx_ring_used), 1);
		expect_sent(at + 1000, at + PAGE);
		assert_int_equal(mg_window_writable(&t.w), 3 * PAGE + 1000);
		send(3 * PAGE + 1000);
		expect_sent(at + 1000, at + 1000 + 4 * PAGE);
		assert_false(mg_window_adopt(&t.w));
	}
}

static void a_smaller_ring_waits_until_the_rest_fits(void **state)
{
	(void)state;
	begin(0);
	slot(&t.win.tx_rings[1], 0, 8, 4 * PAGE);
	atomic_store(&t.win.tx_ring, 1);
	assert_true(mg_window_adopt(&t.w));
	send(2 * PAGE);
	slot(&t.win.tx_rings[2], 0, 20, PAGE);
	atomic_store(&t.win.tx_ring, 2);
	assert_false(mg_window_adopt(&t.w));
	assert_int_equal(atomic_load(&t.win.tx_ring_used), 1);
	atomic_store(&t.win.tx_una, PAGE - 1);
	assert_false(mg_window_adopt(&t.w));
	atomic_store(&t.win.tx_una, PAGE);
	assert_true(mg_window_adopt(&t.w));
	expect_sent(PAGE, 2 * PAGE);
	assert_int_equal(mg_window_writable(&t.w), 0);
}

/* A broken daemon's acknowledgment must not make us copy beyond the ring. */
static void nothing_is_copied_for_an_impossible_acknowledgment(void **state)
{
	(void)state;
	begin(5000);
	send(100);
	slot(&t.win.tx_rings[1], 0, 8, 16 * PAGE);
	atomic_store(&t.win.tx_ring, 1);
	atomic_store(&t.win.tx_una, 5101);
	assert_false(mg_window_adopt(&t.w));
	atomic_store(&t.win.tx_una, 0);
	assert_false(mg_window_adopt(&t.w));
}

/* Two processes of one application hold the connection: who comes second follows. */
static void the_second_process_follows(void **state)
{
	struct mg_window other;

	(void)state;
	begin(0);
	assert_int_equal(mg_window_bind(&other, t.base, PAGES * PAGE, &t.win, 0, 1), 0);
	slot(&t.win.tx_rings[1], 0, 8, 4 * PAGE);
	atomic_store(&t.win.tx_ring, 1);
	assert_true(mg_window_adopt(&t.w));
	assert_true(mg_window_adopt(&other));
	assert_ptr_equal(other.tx, t.w.tx);
	assert_int_equal(mg_window_tx_bytes(&other), 4 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(receiving_crosses_every_seam),
		cmocka_unit_test(changes_that_nobody_saw_do_no_harm),
		cmocka_unit_test(binding_finds_both_rings),
		cmocka_unit_test(nonsense_is_not_read),
		cmocka_unit_test(sending_moves_at_every_place),
		cmocka_unit_test(a_smaller_ring_waits_until_the_rest_fits),
		cmocka_unit_test(nothing_is_copied_for_an_impossible_acknowledgment),
		cmocka_unit_test(the_second_process_follows),
	};

	return cmocka_run_group_tests(tests, up, down);
}
