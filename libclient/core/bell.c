/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bell.c - doorbells to the workers, and waking them.
 *
 * Idea:    a window's `a_dirty` keeps at most one entry per window in the ring. Waking is dear (13 us and more
 *          for a sleeping core), so it happens once per sleep of the worker and, in a batch, once per batch.
 *          owed: a thread that batches leaves its bit; any other thread that rings the same worker pays the
 *          debt, so that a doorbell never waits for a thread that is busy elsewhere unless it asked for it.
 */
#include <errno.h>
#include <unistd.h>

#include "libclient/core/ctx.h"
#include "proto/base/sleep.h"

/* An address that differs between the threads that live at the same time. */
static uint64_t self(void)
{
	static _Thread_local char me;

	return (uint64_t)(uintptr_t)&me;
}

static void write_eventfd(int fd)
{
	const uint64_t one = 1;
	ssize_t n;

	do {
		n = write(fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	/* EAGAIN: the counter is at its top, which wakes as well. */
}

static void wake(struct mg_ctx *ctx, uint32_t worker)
{
	const struct mg_client *c = ctx->client;
	uint32_t sleeps;
	bool again;

	if (!mg_sleep_should_wake_ro(&c->info->worker[worker].sleeping))
		return;
	/* acquire: pairs with the worker's release between moving `sleeps` and setting `sleeping` */
	sleeps = atomic_load_explicit(&c->info->worker[worker].sleeps, memory_order_acquire);
	pthread_mutex_lock(&ctx->bell_lock);
	again = sleeps != 0 && ctx->woken[worker] == sleeps;
	ctx->woken[worker] = sleeps;
	pthread_mutex_unlock(&ctx->bell_lock);
	if (again)
		return; /* it was woken out of this very sleep, and looks at the rings before the next */
	atomic_fetch_add_explicit(&ctx->wakes, 1, memory_order_relaxed);
	write_eventfd(c->worker_fd[worker]);
}

static bool is_batching(const struct mg_ctx *ctx)
{
	return atomic_load_explicit(&ctx->batcher, memory_order_relaxed) == self();
}

static bool is_owed(const struct mg_ctx *ctx, uint32_t bit)
{
	return (atomic_load_explicit(&ctx->owed, memory_order_relaxed) & bit) != 0;
}

static void push(struct mg_ctx *ctx, const struct mg_window *window)
{
	struct mg_shm_doorbell bell = { window->index, window->gen };
	int err;

	pthread_mutex_lock(&ctx->bell_lock);
	err = mg_spsc_push(&ctx->bells[window->worker], &bell);
	pthread_mutex_unlock(&ctx->bell_lock);
	if (mg_unlikely(err < 0))
		mg_client_die(ctx->client, "it broke a doorbell ring");
}

static void wake_or_owe(struct mg_ctx *ctx, uint32_t worker)
{
	if (is_batching(ctx))
		atomic_fetch_or_explicit(&ctx->owed, 1u << worker, memory_order_relaxed);
	else
		wake(ctx, worker);
}

void mg_ctx_ring(struct mg_ctx *ctx, struct mg_window *window)
{
	uint32_t bit = 1u << window->worker;

	/* Before the mark: whoever finds that set finds the debt, too, and need not wait for our flush. */
	if (is_batching(ctx) && !is_owed(ctx, bit))
		atomic_fetch_or_explicit(&ctx->owed, bit, memory_order_relaxed);
	if (mg_window_mark(window))
		push(ctx, window);
	else if (!is_owed(ctx, bit))
		return; /* whoever pushed the entry woke the worker as well */
	wake_or_owe(ctx, window->worker);
}

void mg_ctx_ring_last(struct mg_ctx *ctx, const struct mg_window *window)
{
	push(ctx, window);
	wake_or_owe(ctx, window->worker);
}

void mg_ctx_flush(struct mg_ctx *ctx)
{
	uint32_t owed;

	if (atomic_load_explicit(&ctx->owed, memory_order_relaxed) == 0)
		return;
	owed = atomic_exchange_explicit(&ctx->owed, 0, memory_order_relaxed);
	for (uint32_t w = 0; owed != 0; w++, owed >>= 1) {
		if (owed & 1)
			wake(ctx, w);
	}
}

void mg_ctx_set_batching(struct mg_ctx *ctx, bool on)
{
	atomic_store_explicit(&ctx->batcher, on ? self() : 0, memory_order_relaxed);
	if (!on)
		mg_ctx_flush(ctx);
}
