/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_lock.c - the lock words of a window, for processes that share a connection.
 *
 * Idea:    a futex whose value names the holder by its context and that context's `life`, which the daemon moves on
 *          when the process is gone: who waits sees that nobody will unlock and takes the lock over. No process
 *          ids, which mean nothing in another namespace and are used again.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libclient/core/share.h"

#define LOOK_AGAIN_NS 20000000L /* nobody wakes us when the holder dies */

static _Atomic uint32_t *word_of(const struct mg_conn *conn, enum mg_conn_lock_kind kind)
{
	return kind == MG_LOCK_RX ? &conn->w.shm->rx_lock : &conn->w.shm->tx_lock;
}

static bool is_alive(const struct mg_ctx *ctx, uint32_t word)
{
	const struct mg_shm_section *sec = &ctx->client->sections[MG_SHM_SEC_CONTEXTS];
	uint32_t context = (word >> 24) - 1;
	const struct mg_shm_context *shm;

	if (context >= sec->count)
		return false;
	shm = (const struct mg_shm_context *)(const void *)(ctx->client->region + sec->off +
							    sec->stride * context);
	/* acquire: pairs with the daemon's; what the dead one stored is seen */
	return (atomic_load_explicit(&shm->life, memory_order_acquire) & MG_SHM_LOCK_LIFE_MASK) ==
	       (word >> 1 & MG_SHM_LOCK_LIFE_MASK);
}

/* Another process may have moved the positions. */
static void reload(struct mg_window *w, enum mg_conn_lock_kind kind)
{
	if (kind == MG_LOCK_RX)
		atomic_store_explicit(&w->rx_head,
				      atomic_load_explicit(&w->shm->rx_head, memory_order_relaxed),
				      memory_order_relaxed);
	else
		atomic_store_explicit(&w->tx_head,
				      atomic_load_explicit(&w->shm->tx_head, memory_order_relaxed),
				      memory_order_relaxed);
}

/* Not PRIVATE: the word is in shared memory. */
static void sleep_on(_Atomic uint32_t *word, uint32_t value)
{
	const struct timespec ts = { .tv_nsec = LOOK_AGAIN_NS };

	(void)syscall(SYS_futex, word, FUTEX_WAIT, value, &ts, NULL, 0); /* the loop looks */
}

int mg_conn_lock(struct mg_conn *conn, enum mg_conn_lock_kind kind)
{
	struct mg_ctx *ctx = conn->src.ctx;
	_Atomic uint32_t *word = word_of(conn, kind);
	uint32_t mine = MG_SHM_LOCK_OWNER(ctx->index, ctx->life), seen = 0;

	/* acquire: pairs with the release of who had it before */
	while (!atomic_compare_exchange_strong_explicit(word, &seen, mine, memory_order_acquire,
							memory_order_relaxed)) {
		if (mg_client_is_dead(ctx->client))
			return -ECONNRESET;
		mine |= MG_SHM_LOCK_WAITERS; /* others may wait behind us */
		if (seen == 0 || !is_alive(ctx, seen))
			continue; /* with what was seen: it is free, or a dead one's */
		if ((seen & MG_SHM_LOCK_WAITERS) == 0 &&
		    !atomic_compare_exchange_strong_explicit(word, &seen,
							     seen | MG_SHM_LOCK_WAITERS,
							     memory_order_relaxed,
							     memory_order_relaxed))
			continue;
		sleep_on(word, seen | MG_SHM_LOCK_WAITERS);
		seen = 0;
	}
	reload(&conn->w, kind);
	return 0;
}

void mg_conn_unlock(struct mg_conn *conn, enum mg_conn_lock_kind kind)
{
	_Atomic uint32_t *word = word_of(conn, kind);

	/* release: pairs with the acquire of who comes next */
	if (atomic_exchange_explicit(word, 0, memory_order_release) & MG_SHM_LOCK_WAITERS)
		(void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0); /* cannot fail */
}
