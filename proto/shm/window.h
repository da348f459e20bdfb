/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window.h - the application's side of a connection window: read, write, ring.
 *
 * Idea:    a private handle holds what the library must not re-read from shared memory (ring places, sizes,
 *          its own positions); the operations are a load or a store each, and the rule when a doorbell has
 *          to be rung is in one place.
 * Use:     receive: n = mg_window_peek(w, 0, spans); copy; if (mg_window_consume(w, n)) ring;
 *          send:    n = mg_window_reserve(w, len, spans); copy; mg_window_commit(w, n); ring;
 *          ring:    if (mg_window_mark(w)) push {index, gen} into the worker's doorbell ring and wake the
 *                   worker when it sleeps.
 *          event:   mg_window_take(&shm->w_dirty or s_dirty) first, then look at the positions.
 * Threads: receive operations by one thread at a time, send operations by one at a time (another, perhaps);
 *          mark and the flags by any.
 */
#ifndef MG_SHM_WINDOW_H
#define MG_SHM_WINDOW_H
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bits.h"
#include "proto/shm/abi.h"

struct mg_window {
	struct mg_shm_window *shm;
	uint8_t *rx; /* the rings */
	uint8_t *tx;
	uint32_t rx_bytes; /* powers of two */
	uint32_t tx_bytes;
	_Atomic uint64_t rx_head; /* ours: the shared word is only ever written from it */
	_Atomic uint64_t tx_head; /* both relaxed: one writer each; others look for readiness */
	_Atomic uint64_t rx_rung; /* rx_head that the worker was last told of */
	uint32_t index;
	uint32_t gen;
	uint32_t worker;
};

/* One contiguous piece of a ring. */
struct mg_span {
	uint8_t *p;
	uint32_t len;
};

static inline uint64_t mg_window_rx_head(const struct mg_window *w)
{
	return atomic_load_explicit(&w->rx_head, memory_order_relaxed);
}

static inline uint64_t mg_window_tx_head(const struct mg_window *w)
{
	return atomic_load_explicit(&w->tx_head, memory_order_relaxed);
}

/*
 * Binds a window that the daemon handed over as (index, gen), in the region of `total` bytes at `base`.
 * 0; -ESTALE: the window is of another generation; -EBADMSG: it makes no sense.
 */
static inline int mg_window_bind(struct mg_window *w, uint8_t *base, uint64_t total,
				 struct mg_shm_window *shm, uint32_t index, uint32_t gen)
{
	/* acquire: pairs with the slow path's release of `state`, which publishes lines 2 and 3 */
	uint32_t state = atomic_load_explicit(&shm->state, memory_order_acquire);
	uint64_t rx_off = shm->rx_off, tx_off = shm->tx_off;
	uint32_t rx_bytes = shm->rx_bytes, tx_bytes = shm->tx_bytes;

	if (state == MG_SHM_ST_FREE || shm->gen != gen)
		return -ESTALE;
	if (!mg_is_pow2(rx_bytes) || !mg_is_pow2(tx_bytes) || shm->worker >= MG_SHM_WORKERS_MAX)
		return -EBADMSG;
	if (rx_bytes > total || rx_off > total - rx_bytes || tx_bytes > total ||
	    tx_off > total - tx_bytes)
		return -EBADMSG;
	w->shm = shm;
	w->rx = base + rx_off;
	w->tx = base + tx_off;
	w->rx_bytes = rx_bytes;
	w->tx_bytes = tx_bytes;
	w->index = index;
	w->gen = gen;
	w->worker = shm->worker;
	atomic_init(&w->rx_head, atomic_load_explicit(&shm->rx_head, memory_order_relaxed));
	atomic_init(&w->tx_head, atomic_load_explicit(&shm->tx_head, memory_order_relaxed));
	atomic_init(&w->rx_rung, mg_window_rx_head(w));
	return 0;
}

static inline uint32_t mg_window_state(const struct mg_window *w)
{
	/* acquire: pairs with the slow path's release; `error` and the worker's last stores come before it */
	return atomic_load_explicit(&w->shm->state, memory_order_acquire);
}

/* Load these before the positions: see abi.h, end of stream. */
static inline uint32_t mg_window_wflags(const struct mg_window *w)
{
	/* acquire: pairs with the worker's release of w_flags after rx_tail and tx_una */
	return atomic_load_explicit(&w->shm->w_flags, memory_order_acquire);
}

/* Bytes that can be read now. */
static inline uint32_t mg_window_readable(const struct mg_window *w)
{
	/* acquire: pairs with the worker's release of rx_tail; the payload is in the ring */
	uint64_t tail = atomic_load_explicit(&w->shm->rx_tail, memory_order_acquire);
	uint64_t n = tail - mg_window_rx_head(w);

	/* More than the ring: a broken daemon, or another thread that read on after we looked at the tail. */
	return n > w->rx_bytes ? 0 : (uint32_t)n;
}

static inline uint32_t mg_window_spans(uint8_t *ring, uint32_t bytes, uint64_t pos, uint32_t len,
				       struct mg_span spans[2])
{
	uint32_t at = (uint32_t)pos & (bytes - 1);
	uint32_t first = mg_min_u32(len, bytes - at);

	spans[0] = (struct mg_span){ ring + at, first };
	spans[1] = (struct mg_span){ ring, len - first };
	return len;
}

/* The readable bytes after the first `skip`, in at most two pieces (the second may be empty); returns how many. */
static inline uint32_t mg_window_peek(const struct mg_window *w, uint32_t skip,
				      struct mg_span spans[2])
{
	uint32_t n = mg_window_readable(w);

	skip = mg_min_u32(skip, n);
	return mg_window_spans(w->rx, w->rx_bytes, mg_window_rx_head(w) + skip, n - skip, spans);
}

/* Gives the first n readable bytes back. True: the worker should be told (mark and ring). */
static inline bool mg_window_consume(struct mg_window *w, uint32_t n)
{
	uint64_t head = mg_window_rx_head(w) + n;
	uint64_t rung = atomic_load_explicit(&w->rx_rung, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&w->shm->rx_tail, memory_order_relaxed);
	/* What the peer may still send, as far as is known; negative when the worker looked in between. */
	int64_t open = (int64_t)(rung + w->rx_bytes - tail);

	atomic_store_explicit(&w->rx_head, head, memory_order_relaxed);
	/* release: pairs with the worker's acquire; our reads of the ring are over */
	atomic_store_explicit(&w->shm->rx_head, head, memory_order_release);
	return open < (int64_t)w->rx_bytes / 2 && head - rung >= w->rx_bytes / 4;
}

/* Room for bytes to send. */
static inline uint32_t mg_window_writable(const struct mg_window *w)
{
	/* acquire: pairs with the worker's release of tx_una; it no longer reads the bytes before it */
	uint64_t una = atomic_load_explicit(&w->shm->tx_una, memory_order_acquire);
	uint64_t used = mg_window_tx_head(w) - una;

	return used > w->tx_bytes ? 0 : w->tx_bytes - (uint32_t)used; /* a broken daemon: no room */
}

/* Enough room to call the connection writable: a third of the ring, as MG_SHM_AF_WANT_TX has it. */
static inline bool mg_window_is_roomy(const struct mg_window *w)
{
	return mg_window_writable(w) >= w->tx_bytes / 3;
}

/* Where the next bytes go: at most len, in at most two pieces; returns how many fit. Nothing is published. */
static inline uint32_t mg_window_reserve(const struct mg_window *w, uint64_t len,
					 struct mg_span spans[2])
{
	uint32_t room = mg_window_writable(w);
	uint32_t n = len < room ? (uint32_t)len : room;

	return mg_window_spans(w->tx, w->tx_bytes, mg_window_tx_head(w), n, spans);
}

/* The first n reserved bytes are to be sent. Then ring. */
static inline void mg_window_commit(struct mg_window *w, uint32_t n)
{
	uint64_t head = mg_window_tx_head(w) + n;

	atomic_store_explicit(&w->tx_head, head, memory_order_relaxed);
	/* release: pairs with the worker's acquire; the payload is in the ring */
	atomic_store_explicit(&w->shm->tx_head, head, memory_order_release);
}

/* The same, and what was written so far is urgent. */
static inline void mg_window_commit_urgent(struct mg_window *w, uint32_t n)
{
	/* relaxed: published by the release of tx_head */
	atomic_store_explicit(&w->shm->tx_urg, mg_window_tx_head(w) + n, memory_order_relaxed);
	mg_window_commit(w, n);
}

/* Has the peer sent urgent data? Then where the newest of it ends: a position that may be read or yet to come. */
static inline bool mg_window_urgent(const struct mg_window *w, uint64_t *ret_pos)
{
	if ((mg_window_wflags(w) & MG_SHM_WF_URG) == 0)
		return false;
	*ret_pos = atomic_load_explicit(&w->shm->urg_pos, memory_order_relaxed);
	return true;
}

/* Sets bits of a_flags; then ring. */
static inline void mg_window_set(struct mg_window *w, uint32_t aflags)
{
	/* release: pairs with the worker's acquire; positions stored before count before the flag */
	(void)atomic_fetch_or_explicit(&w->shm->a_flags, aflags,
				       memory_order_release); /* old value unused */
}

/* Clears option bits (then ring) or MG_SHM_AF_WANT_TX (no need to). */
static inline void mg_window_clear(struct mg_window *w, uint32_t aflags)
{
	(void)atomic_fetch_and_explicit(&w->shm->a_flags, ~aflags,
					memory_order_release); /* old value unused */
}

/* "The window changed." True: no entry is on its way; the caller pushes one. */
static inline bool mg_window_mark(struct mg_window *w)
{
	uint64_t head = atomic_load_explicit(&w->shm->rx_head, memory_order_relaxed);

	atomic_store_explicit(&w->rx_rung, head, memory_order_relaxed);
	/* release: publishes what changed; acquire: an old 1 was seen before the worker's exchange to 0 */
	return atomic_exchange_explicit(&w->shm->a_dirty, 1, memory_order_acq_rel) == 0;
}

/* Consumer of an event entry: from now on changes bring a new one. Before looking at what changed. */
static inline void mg_window_take(_Atomic uint32_t *dirty)
{
	/* acquire: pairs with the producer's exchange to 1; release: keeps later loads behind it on both sides */
	(void)atomic_exchange_explicit(dirty, 0, memory_order_acq_rel); /* old value unused */
}
#endif
