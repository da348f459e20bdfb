/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window.h - the application's side of a connection window: read, write, ring.
 *
 * Idea:    a private handle holds what the library must not re-read from shared memory (ring places, sizes,
 *          its own positions); the operations are a load or a store each, and the rule when a doorbell has
 *          to be rung is in one place.
 * Use:     receive: n = mg_window_peek(w, 0, spans); copy; if (mg_window_consume(w, n)) ring;
 *          send:    mg_window_adopt(w); n = mg_window_reserve(w, len, spans); copy; mg_window_commit(w, n); ring;
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
#include <string.h>

#include "proto/base/bits.h"
#include "proto/shm/abi.h"

struct mg_window {
	struct mg_shm_window *shm;
	uint8_t *base; /* the region */
	uint64_t total;
	uint8_t *rx; /* the rings */
	uint8_t *tx;
	uint8_t *rx_old;           /* bytes before rx_start lie there */
	uint64_t rx_start;         /* ... and from here on in rx */
	_Atomic uint32_t rx_bytes; /* powers of two; relaxed, as the positions */
	_Atomic uint32_t tx_bytes;
	uint32_t rx_old_bytes;
	uint32_t rx_ring; /* their numbers */
	_Atomic uint32_t tx_ring;
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

/* What is readable lies in at most so many pieces: two in the ring before, two in the newest. */
#define MG_WINDOW_SPANS 4

static inline uint64_t mg_window_rx_head(const struct mg_window *w)
{
	return atomic_load_explicit(&w->rx_head, memory_order_relaxed);
}

static inline uint64_t mg_window_tx_head(const struct mg_window *w)
{
	return atomic_load_explicit(&w->tx_head, memory_order_relaxed);
}

static inline uint32_t mg_window_rx_bytes(const struct mg_window *w)
{
	return atomic_load_explicit(&w->rx_bytes, memory_order_relaxed);
}

static inline uint32_t mg_window_tx_bytes(const struct mg_window *w)
{
	return atomic_load_explicit(&w->tx_bytes, memory_order_relaxed);
}

/*
 * A ring's place, checked: the library must not be led outside of its region. NULL: it makes no sense. Its loads
 * are acquires, so that mg_window_sync_rx() looks at the counter after them.
 */
static inline uint8_t *mg_window_ring(const struct mg_window *w, const struct mg_shm_ring *r,
				      uint32_t *ret_bytes)
{
	uint64_t off = (uint64_t)atomic_load_explicit(&r->page, memory_order_acquire) *
		       MG_SHM_PAGE_BYTES;
	uint32_t bytes = atomic_load_explicit(&r->bytes, memory_order_acquire);

	if (!mg_is_pow2(bytes) || bytes > w->total || off > w->total - bytes)
		return NULL;
	*ret_bytes = bytes;
	return w->base + off;
}

/*
 * Takes the newest pair of receive rings over. The worker overwrites a slot only three numbers later; if that
 * happened while we read, the newer pair is read. 0, or -EBADMSG.
 */
static inline int mg_window_sync_rx(struct mg_window *w)
{
	const struct mg_shm_ring *slots = w->shm->rx_rings;

	for (int i = 0; i < 8; i++) {
		/* acquire: pairs with the worker's release; the slot is filled */
		uint32_t n = atomic_load_explicit(&w->shm->rx_ring, memory_order_acquire);
		const struct mg_shm_ring *now = &slots[n % MG_SHM_RING_SLOTS];
		const struct mg_shm_ring *old = &slots[(n - (n != 0)) % MG_SHM_RING_SLOTS];
		uint32_t bytes = 0, old_bytes = 0;
		uint8_t *p = mg_window_ring(w, now, &bytes);
		uint8_t *old_p = mg_window_ring(w, old, &old_bytes);
		/* acquire: the slots are read before the counter is looked at again */
		uint64_t start = atomic_load_explicit(&now->start, memory_order_acquire);

		if (atomic_load_explicit(&w->shm->rx_ring, memory_order_relaxed) - n > 1)
			continue;
		if (p == NULL || old_p == NULL)
			return -EBADMSG;
		w->rx = p;
		atomic_store_explicit(&w->rx_bytes, bytes, memory_order_relaxed);
		w->rx_old = old_p;
		w->rx_old_bytes = old_bytes;
		w->rx_start = start;
		w->rx_ring = n;
		return 0;
	}
	return -EBADMSG;
}

/* The transmit ring in use. 0, or -EBADMSG. */
static inline int mg_window_sync_tx(struct mg_window *w)
{
	/* acquire: pairs with the release of whoever adopted it, in this process or another */
	uint32_t n = atomic_load_explicit(&w->shm->tx_ring_used, memory_order_acquire);

	uint32_t bytes = 0;
	uint8_t *p = mg_window_ring(w, &w->shm->tx_rings[n % MG_SHM_RING_SLOTS], &bytes);

	if (p == NULL)
		return -EBADMSG;
	w->tx = p;
	atomic_store_explicit(&w->tx_bytes, bytes, memory_order_relaxed);
	atomic_store_explicit(&w->tx_ring, n, memory_order_relaxed);
	return 0;
}

/*
 * Binds a window that the daemon handed over as (index, gen), in the region of `total` bytes at `base`.
 * 0; -ESTALE: the window is of another generation; -EBADMSG: it makes no sense.
 */
static inline int mg_window_bind(struct mg_window *w, uint8_t *base, uint64_t total,
				 struct mg_shm_window *shm, uint32_t index, uint32_t gen)
{
	/* acquire: pairs with the slow path's release of `state`, which publishes lines 2 to 5 */
	uint32_t state = atomic_load_explicit(&shm->state, memory_order_acquire);

	if (state == MG_SHM_ST_FREE || shm->gen != gen)
		return -ESTALE;
	if (shm->worker >= MG_SHM_WORKERS_MAX)
		return -EBADMSG;
	w->shm = shm;
	w->base = base;
	w->total = total;
	w->index = index;
	w->gen = gen;
	w->worker = shm->worker;
	atomic_init(&w->rx_head, atomic_load_explicit(&shm->rx_head, memory_order_relaxed));
	atomic_init(&w->tx_head, atomic_load_explicit(&shm->tx_head, memory_order_relaxed));
	atomic_init(&w->rx_rung, mg_window_rx_head(w));
	if (mg_window_sync_rx(w) < 0 || mg_window_sync_tx(w) < 0)
		return -EBADMSG;
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

	/* More than a region: a broken daemon, or another thread that read on after we looked at the tail. */
	return n > w->total ? 0 : (uint32_t)n;
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

static inline uint32_t mg_window_no_spans(struct mg_span spans[MG_WINDOW_SPANS])
{
	for (int i = 0; i < MG_WINDOW_SPANS; i++)
		spans[i] = (struct mg_span){ NULL, 0 };
	return 0;
}

/*
 * The readable bytes after the first `skip`, in order, in pieces of which some may be empty; returns how many.
 * After a change of rings they lie on both sides of the seam.
 */
static inline uint32_t mg_window_peek(struct mg_window *w, uint32_t skip,
				      struct mg_span spans[MG_WINDOW_SPANS])
{
	uint32_t n = mg_window_readable(w);
	uint64_t pos = mg_window_rx_head(w);
	uint64_t end = pos + n;
	uint32_t bytes, in_old;

	/* Not before the tail was loaded: whoever sees bytes in a ring sees the ring. */
	if (mg_unlikely(atomic_load_explicit(&w->shm->rx_ring, memory_order_relaxed) !=
			w->rx_ring) &&
	    mg_window_sync_rx(w) < 0)
		return mg_window_no_spans(spans);
	bytes = mg_window_rx_bytes(w);
	/* What a sane daemon does not do: we would read bytes twice. */
	if (mg_unlikely(end > w->rx_start && end - mg_max_u64(pos, w->rx_start) > bytes))
		return mg_window_no_spans(spans);
	skip = mg_min_u32(skip, n);
	pos += skip;
	n -= skip;
	spans[2] = spans[3] = (struct mg_span){ w->rx, 0 };
	if (mg_likely(pos >= w->rx_start))
		return mg_window_spans(w->rx, bytes, pos, n, spans);
	if (w->rx_start - pos > w->rx_old_bytes)
		return mg_window_no_spans(spans);
	in_old = (uint32_t)mg_min_u64(n, w->rx_start - pos);
	(void)mg_window_spans(w->rx_old, w->rx_old_bytes, pos, in_old, spans);
	if (n > in_old)
		(void)mg_window_spans(w->rx, bytes, w->rx_start, n - in_old, spans + 2);
	return n;
}

/* Gives the first n readable bytes back. True: the worker should be told (mark and ring). */
static inline bool mg_window_consume(struct mg_window *w, uint32_t n)
{
	uint64_t head = mg_window_rx_head(w) + n;
	uint64_t rung = atomic_load_explicit(&w->rx_rung, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&w->shm->rx_tail, memory_order_relaxed);
	/* What the peer may still send, as far as is known; negative when the worker looked in between. */
	uint32_t bytes = mg_window_rx_bytes(w);
	int64_t open = (int64_t)(rung + bytes - tail);

	atomic_store_explicit(&w->rx_head, head, memory_order_relaxed);
	/* release: pairs with the worker's acquire; our reads of the ring are over */
	atomic_store_explicit(&w->shm->rx_head, head, memory_order_release);
	return open < (int64_t)bytes / 2 && head - rung >= bytes / 4;
}

/* Is there a transmit ring to move to? */
static inline bool mg_window_is_offered(const struct mg_window *w)
{
	return atomic_load_explicit(&w->shm->tx_ring, memory_order_relaxed) !=
	       atomic_load_explicit(&w->tx_ring, memory_order_relaxed);
}

/*
 * Moves to the transmit ring that the worker offers, if it does and what is unacknowledged fits. By the one
 * sender. True: it moved; ring the doorbell when you send, or at once, so that the worker learns of it.
 */
static inline bool mg_window_adopt(struct mg_window *w)
{
	/* acquire: pairs with the worker's release; the slot is filled */
	uint32_t n = atomic_load_explicit(&w->shm->tx_ring, memory_order_acquire);
	uint32_t size = mg_window_tx_bytes(w), bytes = 0;
	uint64_t una, head = mg_window_tx_head(w);
	struct mg_span from[2], to[2];
	uint8_t *ring;

	if (mg_likely(n == atomic_load_explicit(&w->tx_ring, memory_order_relaxed)))
		return false;
	/* acquire: as in mg_window_sync_tx() */
	if (atomic_load_explicit(&w->shm->tx_ring_used, memory_order_acquire) == n)
		return mg_window_sync_tx(w) == 0; /* another process of the application did it */
	ring = mg_window_ring(w, &w->shm->tx_rings[n % MG_SHM_RING_SLOTS], &bytes);
	/* acquire: pairs with the worker's release; what is before it is not read any more */
	una = atomic_load_explicit(&w->shm->tx_una, memory_order_acquire);
	if (ring == NULL || head - una > bytes || head - una > size)
		return false;
	(void)mg_window_spans(w->tx, size, una, (uint32_t)(head - una), from);
	for (int i = 0; i < 2; i++) {
		(void)mg_window_spans(ring, bytes, una, from[i].len, to);
		memcpy(to[0].p, from[i].p, to[0].len);
		memcpy(to[1].p, from[i].p + to[0].len, to[1].len);
		una += from[i].len;
	}
	w->tx = ring;
	atomic_store_explicit(&w->tx_bytes, bytes, memory_order_relaxed);
	atomic_store_explicit(&w->tx_ring, n, memory_order_relaxed);
	/* release: pairs with the worker's acquire; all that is unacknowledged lies in the new ring */
	atomic_store_explicit(&w->shm->tx_ring_used, n, memory_order_release);
	return true;
}

/* Room for bytes to send. */
static inline uint32_t mg_window_writable(const struct mg_window *w)
{
	/* acquire: pairs with the worker's release of tx_una; it no longer reads the bytes before it */
	uint64_t una = atomic_load_explicit(&w->shm->tx_una, memory_order_acquire);
	uint64_t used = mg_window_tx_head(w) - una;

	uint32_t bytes = mg_window_tx_bytes(w);

	return used > bytes ? 0 : bytes - (uint32_t)used; /* a broken daemon: no room */
}

/* Enough room to call the connection writable: a third of the ring, as MG_SHM_AF_WANT_TX has it. */
static inline bool mg_window_is_roomy(const struct mg_window *w)
{
	return mg_window_writable(w) >= mg_window_tx_bytes(w) / 3;
}

/* Where the next bytes go: at most len, in at most two pieces; returns how many fit. Nothing is published. */
static inline uint32_t mg_window_reserve(const struct mg_window *w, uint64_t len,
					 struct mg_span spans[2])
{
	uint32_t room = mg_window_writable(w);
	uint32_t n = len < room ? (uint32_t)len : room;

	return mg_window_spans(w->tx, mg_window_tx_bytes(w), mg_window_tx_head(w), n, spans);
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

/*
 * Takes a connection that was offered: true for one of all who try, false for all of them when the daemon has taken the
 * offer back. From then on it is the caller's to bind, or to reset.
 */
static inline bool mg_window_claim(struct mg_shm_window *shm)
{
	uint32_t offered = MG_SHM_CLAIM_OFFERED;

	/* acq_rel: against others who try; the daemon's relaxed store came with the entry */
	return atomic_compare_exchange_strong_explicit(&shm->claim, &offered, MG_SHM_CLAIM_TAKEN,
						       memory_order_acq_rel, memory_order_relaxed);
}

/* Consumer of an event entry: from now on changes bring a new one. Before looking at what changed. */
static inline void mg_window_take(_Atomic uint32_t *dirty)
{
	/* acquire: pairs with the producer's exchange to 1; release: keeps later loads behind it on both sides */
	(void)atomic_exchange_explicit(dirty, 0, memory_order_acq_rel); /* old value unused */
}
#endif
