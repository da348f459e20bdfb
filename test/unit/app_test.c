/* SPDX-License-Identifier: Apache-2.0 */
/* proto/path/app.c and proto/shm/window.h: layout of regions, notification, the application's side of windows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "proto/path/app.h"
#include "proto/shm/window.h"

#define RING 4096u

static const struct mg_app_layout layout = {
	.nr_windows = 8, .nr_contexts = 2, .nr_workers = 2, .payload_bytes = 64 * 4096
};

struct region {
	uint8_t *base;
	uint64_t bytes;
	struct mg_app app;
	struct mg_shm_window *shm;
	struct mg_window w;
};

static void set_ring(struct mg_shm_ring *slot, uint64_t start, uint64_t off, uint32_t bytes)
{
	atomic_store(&slot->start, start);
	atomic_store(&slot->page, (uint32_t)(off / MG_SHM_PAGE_BYTES));
	atomic_store(&slot->bytes, bytes);
}

static int up(void **state)
{
	struct region *r = calloc(1, sizeof(*r));

	r->bytes = mg_app_region_bytes(&layout);
	r->base = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r->base, MAP_FAILED);
	mg_app_region_format(r->base, &layout, 99);
	mg_app_bind(&r->app, r->base, &layout);
	r->shm = &r->app.windows[3];
	r->shm->gen = 5;
	r->shm->worker = 1;
	set_ring(&r->shm->rx_rings[0], 0, r->app.payload_off, RING);
	set_ring(&r->shm->tx_rings[0], 0, r->app.payload_off + RING, RING);
	atomic_store(&r->shm->state, MG_SHM_ST_OPEN);
	assert_int_equal(mg_window_bind(&r->w, r->base, r->bytes, r->shm, 3, 5), 0);
	*state = r;
	return 0;
}

static int down(void **state)
{
	struct region *r = *state;

	munmap(r->base, r->bytes);
	free(r);
	return 0;
}

static void sections_lie_apart_and_inside(void **state)
{
	struct region *r = *state;
	const struct mg_shm_header *hdr = (const struct mg_shm_header *)(const void *)r->base;
	uint64_t end = sizeof(*hdr);

	assert_int_equal(hdr->magic, MG_SHM_MAGIC);
	assert_int_equal(hdr->abi_hash, mg_shm_abi_hash());
	assert_int_not_equal(hdr->abi_hash, 0);
	assert_int_equal(hdr->total_bytes, r->bytes);
	assert_int_equal(r->bytes % 4096, 0);
	for (int i = 0; i <= MG_SHM_SEC_PAYLOAD; i++) {
		const struct mg_shm_section *s = &hdr->sections[i];

		assert_true(s->off >= end);
		assert_int_equal(s->off % 4096, 0);
		end = s->off + s->stride * s->count;
		assert_true(end <= r->bytes);
	}
	assert_int_equal(end, r->bytes);
	assert_int_equal(hdr->sections[MG_SHM_SEC_EVENTS].count, 2 * 3);
	assert_int_equal(hdr->sections[MG_SHM_SEC_EVENTS].entries, 16);
	assert_int_equal(hdr->sections[MG_SHM_SEC_DOORBELLS].count, 2 * 2);
	assert_int_equal(r->app.contexts[1].wake_fd, -1);
}

static void rings_do_not_overlap(void **state)
{
	struct region *r = *state;
	struct mg_shm_event ev = { .kind = MG_SHM_EV_CONN };
	struct mg_spsc consumer;

	for (uint32_t c = 0; c < 2; c++) {
		for (uint32_t p = 0; p < 3; p++) {
			ev.index = c * 8 + p;
			assert_int_not_equal(0, mg_app_notify(&r->app, p, 1u << c, &ev, NULL));
		}
	}
	for (uint32_t c = 0; c < 2; c++) {
		for (uint32_t p = 0; p < 3; p++) {
			const struct mg_spsc *h = &r->app.contexts[c].events[p];

			mg_spsc_attach_consumer(&consumer, h->shared, 16, sizeof(ev), 0);
			assert_int_equal(mg_spsc_pop(&consumer, &ev), 1);
			assert_int_equal(ev.index, c * 8 + p);
			assert_int_equal(mg_spsc_pop(&consumer, &ev), 0);
		}
	}
}

static void a_dirty_window_is_announced_once(void **state)
{
	struct region *r = *state;
	struct mg_shm_event ev = { .kind = MG_SHM_EV_CONN, .index = 3 };

	assert_int_not_equal(0, mg_app_notify(&r->app, 2, 1, &ev, &r->shm->w_dirty));
	assert_int_equal(0, mg_app_notify(&r->app, 2, 1, &ev, &r->shm->w_dirty));
	mg_window_take(&r->shm->w_dirty);
	assert_int_not_equal(0, mg_app_notify(&r->app, 2, 1, &ev, &r->shm->w_dirty));
}

static void a_full_ring_asks_for_a_rescan(void **state)
{
	struct region *r = *state;
	struct mg_shm_event ev = { .kind = MG_SHM_EV_ACCEPTED };

	for (int i = 0; i < 16; i++)
		assert_int_not_equal(0, mg_app_notify(&r->app, 0, 2, &ev, NULL));
	assert_int_equal(r->app.contexts[1].shm->rescan, 0);
	assert_int_not_equal(0, mg_app_notify(&r->app, 0, 2, &ev,
					      NULL)); /* it has to be woken all the same */
	assert_int_equal(r->app.contexts[1].shm->rescan, 1);
	assert_int_equal(r->app.contexts[0].shm->rescan, 0);
	assert_int_equal(r->app.events_lost, 1);
}

static void impossible_windows_are_not_bound(void **state)
{
	struct region *r = *state;
	struct mg_window w;

	assert_int_equal(mg_window_bind(&w, r->base, r->bytes, r->shm, 3, 4), -ESTALE);
	atomic_store(&r->shm->rx_rings[0].bytes, RING + 1);
	assert_int_equal(mg_window_bind(&w, r->base, r->bytes, r->shm, 3, 5), -EBADMSG);
	atomic_store(&r->shm->rx_rings[0].bytes, RING);
	set_ring(&r->shm->tx_rings[0], 0, r->bytes, RING);
	assert_int_equal(mg_window_bind(&w, r->base, r->bytes, r->shm, 3, 5), -EBADMSG);
	atomic_store(&r->shm->tx_rings[0].page, UINT32_MAX);
	assert_int_equal(mg_window_bind(&w, r->base, r->bytes, r->shm, 3, 5), -EBADMSG);
	atomic_store(&r->shm->tx_rings[0].page, 0);
	r->shm->worker = MG_SHM_WORKERS_MAX;
	assert_int_equal(mg_window_bind(&w, r->base, r->bytes, r->shm, 3, 5), -EBADMSG);
	atomic_store(&r->shm->state, MG_SHM_ST_FREE);
	assert_int_equal(mg_window_bind(&w, r->base, r->bytes, r->shm, 3, 5), -ESTALE);
}

static void reading_goes_round_the_ring(void **state)
{
	struct region *r = *state;
	struct mg_span spans[MG_WINDOW_SPANS];
	const uint8_t *ring = r->base + r->app.payload_off;

	assert_int_equal(mg_window_peek(&r->w, 0, spans), 0);
	atomic_store(&r->shm->rx_tail, 4000);
	assert_int_equal(mg_window_readable(&r->w), 4000);
	(void)mg_window_consume(&r->w, 4000);
	assert_int_equal(r->shm->rx_head, 4000);
	atomic_store(&r->shm->rx_tail, 4000 + RING);
	assert_int_equal(mg_window_peek(&r->w, 0, spans), RING);
	assert_int_equal(spans[0].len, 96);
	assert_ptr_equal(spans[0].p, ring + 4000);
	assert_int_equal(spans[1].len, 4000);
	assert_ptr_equal(spans[1].p, ring);
	assert_int_equal(mg_window_peek(&r->w, 100, spans), RING - 100);
	assert_ptr_equal(spans[0].p, ring + 4);
	assert_int_equal(mg_window_peek(&r->w, RING + 7, spans), 0);
	/* A broken daemon: more than the ring. */
	atomic_store(&r->shm->rx_tail, 4001 + RING);
	assert_int_equal(mg_window_peek(&r->w, 0, spans), 0);
	atomic_store(&r->shm->rx_tail, 3999);
	assert_int_equal(mg_window_readable(&r->w), 0);
}

static void writing_goes_round_the_ring(void **state)
{
	struct region *r = *state;
	struct mg_span spans[2];

	assert_int_equal(mg_window_reserve(&r->w, UINT64_MAX, spans), RING);
	assert_int_equal(mg_window_reserve(&r->w, 4000, spans), 4000);
	mg_window_commit(&r->w, 4000);
	assert_int_equal(r->shm->tx_head, 4000);
	assert_int_equal(mg_window_writable(&r->w), 96);
	assert_false(mg_window_is_roomy(&r->w));
	atomic_store(&r->shm->tx_una, 2000);
	assert_true(mg_window_is_roomy(&r->w));
	assert_int_equal(mg_window_reserve(&r->w, 1000, spans), 1000);
	assert_int_equal(spans[0].len, 96);
	assert_int_equal(spans[1].len, 904);
	/* A broken daemon: acknowledges what was not sent. */
	atomic_store(&r->shm->tx_una, 4001);
	assert_int_equal(mg_window_writable(&r->w), 0);
}

/* The rule of proto/shm/window.h: tell the worker when the peer may be waiting. */
static void consuming_rings_when_the_window_was_nearly_closed(void **state)
{
	struct region *r = *state;

	atomic_store(&r->shm->rx_tail, RING); /* full */
	assert_false(mg_window_consume(&r->w, 1000));
	assert_true(mg_window_consume(&r->w, 24)); /* a quarter */
	assert_true(mg_window_mark(&r->w));
	assert_false(mg_window_consume(&r->w, 1023));
	assert_true(mg_window_consume(&r->w, 1));
	assert_false(mg_window_mark(&r->w)); /* the entry of before is still on its way */
	mg_window_take(&r->shm->a_dirty);
	/* From here on less than half was taken by the peer: no need. */
	assert_false(mg_window_consume(&r->w, 2048));
	assert_true(mg_window_mark(&r->w)); /* for another reason: that counts as well */
	atomic_store(&r->shm->rx_tail, RING + 2048);
	assert_false(mg_window_consume(&r->w, 1024));
	assert_false(mg_window_consume(&r->w, 1024));
	/* The worker looked by itself and let more come than we knew of. */
	atomic_store(&r->shm->rx_tail, 2 * RING + 2048);
	assert_true(mg_window_consume(&r->w, 1));
}

static void flags_are_set_and_cleared(void **state)
{
	struct region *r = *state;

	mg_window_set(&r->w, MG_SHM_AF_NODELAY);
	mg_window_set(&r->w, MG_SHM_AF_WANT_TX);
	assert_int_equal(r->shm->a_flags, MG_SHM_AF_NODELAY | MG_SHM_AF_WANT_TX);
	mg_window_clear(&r->w, MG_SHM_AF_WANT_TX);
	assert_int_equal(r->shm->a_flags, MG_SHM_AF_NODELAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sections_lie_apart_and_inside, up, down),
		cmocka_unit_test_setup_teardown(rings_do_not_overlap, up, down),
		cmocka_unit_test_setup_teardown(a_dirty_window_is_announced_once, up, down),
		cmocka_unit_test_setup_teardown(a_full_ring_asks_for_a_rescan, up, down),
		cmocka_unit_test_setup_teardown(impossible_windows_are_not_bound, up, down),
		cmocka_unit_test_setup_teardown(reading_goes_round_the_ring, up, down),
		cmocka_unit_test_setup_teardown(writing_goes_round_the_ring, up, down),
		cmocka_unit_test_setup_teardown(consuming_rings_when_the_window_was_nearly_closed,
						up, down),
		cmocka_unit_test_setup_teardown(flags_are_set_and_cleared, up, down),
	};

	return cmocka_run_group_tests_name("app", tests, NULL, NULL);
}
