/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sleep.h - the sleeping-consumer protocol: no wake-up is lost, and none is sent to who is awake.
 *
 * Idea:    one flag per consumer, 1 while it sleeps or is about to.
 *
 *            consumer                                 producer
 *            C1  mg_sleep_prepare(): flag = 1         P1  publish (release store of an index)
 *                full fence                               full fence
 *            C2  look again: anything published?      P2  mg_sleep_should_wake(): flag == 1?
 *            C3  nothing: sleep; else cancel          P3  if so: write the eventfd
 *
 *          The argument: both sides store first and load the other's word afterwards, with a sequentially
 *          consistent fence between. Of two such fences one comes first in the total order S. Is it the
 *          consumer's, then P2, after the later fence, sees C1 and the producer wakes. Is it the
 *          producer's, then C2 sees P1 and the consumer does not sleep. Without the full fences both
 *          loads could pass the stores in the store buffers, both sides see the old values, and the
 *          consumer sleeps for ever; release and acquire do not forbid that. This is the only place in
 *          the tree with memory_order_seq_cst.
 *          The eventfd remembers a write between C2 and C3, so the sleep itself needs no care.
 * Threads: one consumer per flag, any number of producers. The flag may lie in shared memory; a peer that
 *          writes nonsense into it costs itself wake-ups or us a needless one, nothing else.
 */
#ifndef MG_SLEEP_H
#define MG_SLEEP_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* gcc cannot instrument fences for TSan and says so with a warning; an RMW is a fence to both. */
#if defined(__SANITIZE_THREAD__)
#define MG_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MG_TSAN 1
#endif
#endif
#ifndef MG_TSAN
#define MG_TSAN 0
#endif

/* Consumer, before its last look at the rings. After that: sleep, or mg_sleep_cancel(). */
static inline void mg_sleep_prepare(_Atomic uint32_t *flag)
{
	if (MG_TSAN) {
		(void)atomic_exchange_explicit(
			flag, 1, memory_order_seq_cst); /* the old value is of no use */
		return;
	}
	/* release: who finds us asleep may look at what was written before */
	atomic_store_explicit(flag, 1, memory_order_release);
	/* pairs with the one in mg_sleep_should_wake() */
	atomic_thread_fence(memory_order_seq_cst);
}

/* Consumer, when it is awake again or did not go to sleep. */
static inline void mg_sleep_cancel(_Atomic uint32_t *flag)
{
	atomic_store_explicit(flag, 0, memory_order_relaxed);
}

/* Producer, after it published: must the consumer be woken? */
static inline bool mg_sleep_should_wake(_Atomic uint32_t *flag)
{
	if (MG_TSAN)
		return atomic_fetch_add_explicit(flag, 0, memory_order_seq_cst) != 0;
	atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in mg_sleep_prepare() */
	return atomic_load_explicit(flag, memory_order_relaxed) != 0;
}

/* The same for a flag in memory that the producer may only read. */
static inline bool mg_sleep_should_wake_ro(const _Atomic uint32_t *flag)
{
	if (MG_TSAN) {
		_Atomic uint32_t fence = 0;

		(void)atomic_exchange_explicit(&fence, 1,
					       memory_order_seq_cst); /* a fence, to TSan too */
		return atomic_load_explicit(flag, memory_order_seq_cst) != 0;
	}
	atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in mg_sleep_prepare() */
	return atomic_load_explicit(flag, memory_order_relaxed) != 0;
}

/* Producers that want at most one wake-up per sleep: the first one to ask gets true. */
static inline bool mg_sleep_claim_wake(_Atomic uint32_t *flag)
{
	return mg_sleep_should_wake(flag) &&
	       atomic_exchange_explicit(flag, 0, memory_order_relaxed) != 0;
}
#endif
