/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app.c - lays an application's region out, and publishes changes of its windows.
 *
 * Idea:    the place of every section follows from the layout alone (place_sections), so that the daemon
 *          computes it from its own configuration and never from the region. Rings of a fresh memfd are all
 *          zero, which is what an empty ring looks like: nothing is touched but the header, and an idle
 *          region takes one page.
 * Threads: see app.h.
 */
#include "proto/path/app.h"

#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"

#define PAGE_BYTES 4096u

/* Two entries per window: one on its way for each side of a re-use. */
static uint32_t ring_entries(const struct mg_app_layout *layout)
{
	return 2 * layout->nr_windows;
}

static uint32_t nr_producers(const struct mg_app_layout *layout)
{
	return layout->nr_workers + 1;
}

static bool is_sane(const struct mg_app_layout *l)
{
	return mg_is_pow2(l->nr_windows) && l->nr_windows <= 1u << 24 && l->nr_contexts > 0 &&
	       l->nr_contexts <= MG_SHM_CONTEXTS_MAX && l->nr_workers > 0 &&
	       l->nr_workers <= MG_SHM_WORKERS_MAX && l->payload_bytes % PAGE_BYTES == 0;
}

static uint64_t place(struct mg_shm_section *sec, uint64_t off, uint64_t stride, uint32_t count,
		      uint32_t entries)
{
	sec->off = off;
	sec->stride = stride;
	sec->count = count;
	sec->entries = entries;
	return mg_align_up(off + stride * count, PAGE_BYTES);
}

/* Fills sections[MG_SHM_SEC_NR] and returns the bytes of the whole region. */
static uint64_t place_sections(const struct mg_app_layout *l, struct mg_shm_section *sections)
{
	uint32_t entries = ring_entries(l);
	uint64_t events = mg_align_up(mg_spsc_bytes(entries, sizeof(struct mg_shm_event)),
				      MG_CACHE_LINE);
	uint64_t bells = mg_align_up(mg_spsc_bytes(entries, sizeof(struct mg_shm_doorbell)),
				     MG_CACHE_LINE);
	uint64_t off = PAGE_BYTES;

	memset(sections, 0, MG_SHM_SEC_NR * sizeof(*sections));
	off = place(&sections[MG_SHM_SEC_CONTEXTS], off, sizeof(struct mg_shm_context),
		    l->nr_contexts, 0);
	off = place(&sections[MG_SHM_SEC_EVENTS], off, events, l->nr_contexts * nr_producers(l),
		    entries);
	off = place(&sections[MG_SHM_SEC_DOORBELLS], off, bells, l->nr_contexts * l->nr_workers,
		    entries);
	off = place(&sections[MG_SHM_SEC_WINDOWS], off, sizeof(struct mg_shm_window), l->nr_windows,
		    0);
	sections[MG_SHM_SEC_PAYLOAD] = (struct mg_shm_section){
		.off = off,
		.stride = PAGE_BYTES,
		.count = (uint32_t)(l->payload_bytes / PAGE_BYTES),
	};
	return off + l->payload_bytes;
}

uint64_t mg_app_region_bytes(const struct mg_app_layout *layout)
{
	struct mg_shm_section sections[MG_SHM_SEC_NR];

	MG_ASSERT(is_sane(layout));
	return place_sections(layout, sections);
}

void mg_app_region_format(uint8_t *base, const struct mg_app_layout *layout, uint64_t daemon_epoch)
{
	struct mg_shm_header *hdr = (struct mg_shm_header *)(void *)base;

	MG_ASSERT(is_sane(layout));
	hdr->abi_major = MG_SHM_ABI_MAJOR;
	hdr->abi_minor = MG_SHM_ABI_MINOR;
	hdr->abi_hash = mg_shm_abi_hash();
	hdr->total_bytes = place_sections(layout, hdr->sections);
	hdr->daemon_epoch = daemon_epoch;
	hdr->nr_workers = layout->nr_workers;
	hdr->nr_contexts = layout->nr_contexts;
	hdr->nr_windows = layout->nr_windows;
	/* release: pairs with the acquire of whoever maps the region; everything above is there */
	atomic_store_explicit(&hdr->magic, MG_SHM_MAGIC, memory_order_release);
}

void mg_app_bind(struct mg_app *app, uint8_t *base, const struct mg_app_layout *layout)
{
	struct mg_shm_section sec[MG_SHM_SEC_NR];
	const struct mg_shm_section *events = &sec[MG_SHM_SEC_EVENTS],
				    *bells = &sec[MG_SHM_SEC_DOORBELLS];

	MG_ASSERT(is_sane(layout));
	app->base = base;
	app->total_bytes = place_sections(layout, sec);
	app->windows = (struct mg_shm_window *)(void *)(base + sec[MG_SHM_SEC_WINDOWS].off);
	app->nr_windows = layout->nr_windows;
	app->nr_contexts = layout->nr_contexts;
	app->nr_workers = layout->nr_workers;
	app->payload_off = sec[MG_SHM_SEC_PAYLOAD].off;
	app->payload_bytes = layout->payload_bytes;
	for (uint32_t c = 0; c < layout->nr_contexts; c++) {
		struct mg_app_context *ctx = &app->contexts[c];

		ctx->shm = (struct mg_shm_context *)(void *)(base + sec[MG_SHM_SEC_CONTEXTS].off) +
			   c;
		ctx->wake_fd = -1;
		for (uint32_t p = 0; p < nr_producers(layout); p++)
			mg_spsc_attach_producer(&ctx->events[p],
						base + events->off +
							events->stride *
								(c * nr_producers(layout) + p),
						events->entries, sizeof(struct mg_shm_event), 0);
		for (uint32_t w = 0; w < layout->nr_workers; w++)
			mg_spsc_attach_consumer(
				&ctx->doorbells[w],
				base + bells->off + bells->stride * (c * layout->nr_workers + w),
				bells->entries, sizeof(struct mg_shm_doorbell), 0);
	}
}

static void push_one(struct mg_app *app, uint32_t producer, uint32_t context,
		     const struct mg_shm_event *ev)
{
	struct mg_app_context *ctx = &app->contexts[context];

	if (mg_spsc_push(&ctx->events[producer], ev) == 0)
		return;
	/* A full ring and a broken one are the same to us: the application has to look everywhere. */
	atomic_fetch_add_explicit(&app->events_lost, 1, memory_order_relaxed);
	/* release: pairs with the application's acquire of rescan; the change is visible before it */
	atomic_fetch_add_explicit(&ctx->shm->rescan, 1, memory_order_release);
}

uint32_t mg_app_notify(struct mg_app *app, uint32_t producer, uint32_t contexts,
		       const struct mg_shm_event *ev, _Atomic uint32_t *dirty)
{
	MG_ASSERT(((uint64_t)contexts >> app->nr_contexts) == 0 && producer <= app->nr_workers);
	/*
	 * release: publishes what the caller stored; acquire: pairs with the application's exchange to 0, so
	 * that an old 1 means its look at the window still comes.
	 */
	if (dirty != NULL && atomic_exchange_explicit(dirty, 1, memory_order_acq_rel) == 1)
		return 0;
	for (uint32_t left = contexts; left != 0; left &= left - 1)
		push_one(app, producer, (uint32_t)__builtin_ctz(left), ev);
	return contexts;
}
