/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctx.h - a context: the event rings and doorbell rings of one handle, and how threads wait on them.
 *
 * Idea:    what can become ready (a connection, a listener) is a *source* with an event count `seq` that
 *          moves at each change. Who waits takes the count, looks at the window (the truth), and sleeps until
 *          the count has moved. Readiness of many sources is followed by a *queue*: a list of watches whose
 *          source may be ready, with a count of its own.
 *          Leader and followers: of the threads that wait in a context one leads: it pops the rings, spins a
 *          little, then sleeps on the context's eventfd and the attach socket. The others sleep on a futex
 *          and are woken by whoever pops an entry of theirs. A leader that is done hands over. No thread of
 *          the library's own is needed for that.
 *          Doorbells: pushing is a store into a ring; the worker is only woken when it sleeps, once per
 *          sleep (abi.h, `sleeps`), and with batching on only at the next wait or flush.
 * Locks:   `lock` for the event rings and everything that hangs on them, `bell_lock` for the doorbell rings;
 *          bell_lock may be taken inside lock. The client's lock is never taken inside these.
 * Threads: any, unless a function says "locked" (caller holds `lock`).
 */
#ifndef MG_CTX_H
#define MG_CTX_H
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "libclient/core/client.h"
#include "proto/base/list.h"
#include "proto/base/spsc.h"
#include "proto/shm/window.h"

struct mg_conn;
struct mg_lst;

/* Sources that may be ready, for one consumer. */
struct mg_queue {
	struct mg_ctx *ctx;
	struct mg_list ready;     /* watches; locked */
	_Atomic uint32_t seq;     /* moves when a watch is added to it */
	struct mg_source *source; /* NULL, or what changes with it: a queue that is watched itself */
};

/* Something that can become ready. */
struct mg_source {
	struct mg_ctx *ctx;
	_Atomic uint32_t seq;
	struct mg_list watches; /* locked */
};

/* One queue's interest in one source. */
struct mg_watch {
	struct mg_list_node in_source;
	struct mg_list_node in_queue; /* linked while it may be ready */
	struct mg_source *source;
	struct mg_queue *queue;
};

/* What we know of a window. */
struct mg_slot {
	struct mg_conn *conn; /* who owns it */
	uint64_t queued; /* the use (generation + 1) that waits in, or went through, an accept queue */
};

struct mg_ctx {
	struct mg_client *client;
	struct mg_ctx *next_idle;
	struct mg_ctx *next_of_client; /* of all, for a forked child */
	uint32_t index;
	uint32_t life; /* of the context (abi.h): who holds a lock word under it is us */
	struct mg_shm_context *shm;
	int event_fd;     /* our end of a socket: a datagram when the daemon wakes us */
	int kick_fd;      /* our own eventfd */
	uint32_t spin_ns; /* at most; now and then less, see adapt_spin() */

	pthread_mutex_t lock;
	struct mg_spsc events[MG_SHM_PRODUCERS_MAX];
	struct mg_slot *slots; /* [nr_windows] */
	struct mg_list listeners;
	bool has_left; /* a shared listener: what is still announced for it is not ours */
	uint64_t next_cookie;
	struct mg_list waiters;          /* followers */
	const _Atomic uint32_t *led_seq; /* what the leader waits for; NULL: nobody leads */
	bool leader_sleeps;
	uint32_t rescan_seen;
	uint32_t spin_now_ns;

	pthread_mutex_t bell_lock;
	struct mg_spsc bells[MG_SHM_WORKERS_MAX];
	uint32_t woken[MG_SHM_WORKERS_MAX]; /* the worker's `sleeps` that we ended; bell_lock */
	_Atomic uint32_t owed;              /* bit w: worker w was rung but not woken yet */
	_Atomic uint64_t
		batcher; /* the thread whose wake-ups wait for its next mg_ctx_flush(); 0: none */
	_Atomic uint64_t wakes; /* eventfd writes, for tests and benches */
};

/* A context of the (attached) client; holds a reference to it. An idle one is used again. */
int mg_ctx_open(struct mg_client *client, struct mg_ctx **ret_ctx);
/* Nothing may be open on it any more. The daemon keeps its half, so it is kept for the next open. */
void mg_ctx_close(struct mg_ctx *ctx);
/* With the client's last reference. */
void mg_ctx_free_idle(struct mg_client *client);
/* Frees it and what hangs on it, without locks; for a child of fork. */
void mg_ctx_forget(struct mg_ctx *ctx);
/* Locked. A connection of ours that nobody wants: RST. One that is not ours (another use of the window) is left alone. */
void mg_ctx_reset(struct mg_ctx *ctx, uint32_t index, uint32_t gen);

static inline void mg_ctx_lock(struct mg_ctx *ctx)
{
	pthread_mutex_lock(&ctx->lock);
}

static inline void mg_ctx_unlock(struct mg_ctx *ctx)
{
	pthread_mutex_unlock(&ctx->lock);
}

/* Locked. Pops what the rings hold (a bounded number) and spreads it; returns how many entries. */
uint32_t mg_ctx_dispatch(struct mg_ctx *ctx);
/* Locked. The source changed: moves its count, queues its watches, wakes who waits. */
void mg_ctx_changed(struct mg_source *source);
/* Locked. The count moved: wakes who waits for it, follower or sleeping leader. */
void mg_ctx_wake_waiters(struct mg_ctx *ctx, const _Atomic uint32_t *seq);

/*
 * Waits until *seq differs from `key`. Take the key first, then look at what you wait for, then call this.
 * 0: it moved (look again); -ETIMEDOUT; -EINTR: a signal was handled; -ECONNRESET: the daemon is gone.
 */
int mg_ctx_wait(struct mg_ctx *ctx, const _Atomic uint32_t *seq, uint32_t key,
		uint64_t deadline_ns);
/*
 * The same, woken by kernel descriptors as well and with a signal mask of its own, as ppoll() has it. `pfd` has
 * MG_WAIT_SLOTS entries to spare in front of the caller's; `wake_fd` is an eventfd of the calling thread's own.
 * 0: the count moved, or (nr_ready > 0) one of the caller's descriptors is ready.
 */
#define MG_WAIT_SLOTS 3u
struct mg_wait {
	const _Atomic uint32_t *seq;
	uint32_t key;
	uint32_t nr_pfd; /* the caller's */
	uint64_t deadline_ns;
	struct pollfd *pfd;      /* NULL: none, and no mask */
	const sigset_t *sigmask; /* NULL: as it is */
	int wake_fd;
	uint32_t nr_ready; /* out */
};
int mg_ctx_wait_for(struct mg_ctx *ctx, struct mg_wait *wait);
static inline uint32_t mg_ctx_key(const _Atomic uint32_t *seq)
{
	/* acquire: pairs with the release in mg_ctx_changed(): what is seen after is not older than the key */
	return atomic_load_explicit(seq, memory_order_acquire);
}

/* Publishes "window changed" to its worker; call after the change is stored. */
void mg_ctx_ring(struct mg_ctx *ctx, struct mg_window *window);
/*
 * The same after MG_SHM_AF_CLOSE or _ABORT. The window may be another connection's already, perhaps of another
 * context and worker: its a_dirty is not touched, or that one's next doorbell would be kept back.
 */
void mg_ctx_ring_last(struct mg_ctx *ctx, const struct mg_window *window);
/* Wakes the workers that are owed it. */
void mg_ctx_flush(struct mg_ctx *ctx);
/*
 * From now on (on = true) the calling thread's doorbells wake nobody until it waits or flushes. At most one
 * thread per context does so.
 */
void mg_ctx_set_batching(struct mg_ctx *ctx, bool on);

void mg_source_init(struct mg_source *source, struct mg_ctx *ctx);
void mg_queue_init(struct mg_queue *queue, struct mg_ctx *ctx);
/* Locked. A new watch starts out as perhaps ready. */
void mg_watch_add(struct mg_watch *watch, struct mg_source *source, struct mg_queue *queue);
/* Locked. Removing one that was never added (zeroed) does nothing. */
void mg_watch_remove(struct mg_watch *watch);
/* Locked. Looks at it (again) at the queue's next round. */
void mg_watch_queue(struct mg_watch *watch);
#endif
