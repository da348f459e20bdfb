/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c - leader and followers: how threads sleep until something of theirs changes. */
#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libclient/core/clock.h"
#include "libclient/core/ctx.h"
#include "proto/base/bits.h"
#include "proto/base/sleep.h"

/* What a leader sleeps on. */
enum { EVENT, KICK, ATTACH, NR_SLOTS };
static_assert(NR_SLOTS == MG_WAIT_SLOTS, "what callers leave free");

/* A follower; on its thread's stack while it is listed. */
struct waiter {
	struct mg_list_node node;
	const _Atomic uint32_t *seq;
	_Atomic uint32_t woken;
	int wake_fd; /* >= 0: it sleeps on this and not on `woken` */
};

/* Locked: the waiter cannot leave its stack frame before we let the lock go. */
static void wake(struct waiter *w)
{
	const uint64_t one = 1;

	/* release: pairs with the acquire in follow() */
	if (atomic_exchange_explicit(&w->woken, 1, memory_order_release) != 0)
		return;
	if (w->wake_fd >= 0)
		(void)!write(w->wake_fd, &one, sizeof(one)); /* only its being readable matters */
	else
		(void)syscall(SYS_futex, &w->woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
			      0); /* cannot fail */
}

/* Locked. Gets the leader out of its sleep. */
static void kick(struct mg_ctx *ctx)
{
	const uint64_t one = 1;

	ctx->leader_sleeps = false; /* once is enough */
	(void)!write(ctx->kick_fd, &one,
		     sizeof(one)); /* EAGAIN: its counter is full, which wakes as well */
}

void mg_ctx_wake_waiters(struct mg_ctx *ctx, const _Atomic uint32_t *seq)
{
	MG_LIST_FOREACH(it, &ctx->waiters) {
		struct waiter *w = mg_container_of(it, struct waiter, node);

		if (w->seq == seq)
			wake(w);
	}
	if (ctx->leader_sleeps && ctx->led_seq == seq)
		kick(ctx);
}

static void wake_all(struct mg_ctx *ctx)
{
	MG_LIST_FOREACH(it, &ctx->waiters)
		wake(mg_container_of(it, struct waiter, node));
}

static bool has_moved(const _Atomic uint32_t *seq, uint32_t key)
{
	return mg_ctx_key(seq) != key;
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool rings_empty(const struct mg_ctx *ctx)
{
	for (uint32_t p = 0; p <= ctx->client->nr_workers; p++) {
		if (!mg_spsc_is_empty(&ctx->events[p]))
			return false;
	}
	return true;
}

/*
 * Spinning pays when the answer comes sooner than a sleep and a wake-up would cost. A spin that found nothing
 * halves the next one, down to nothing; every wait that was short all the same doubles it.
 */
static void adapt_spin(struct mg_ctx *ctx, uint64_t waited_ns)
{
	if (waited_ns <= ctx->spin_ns)
		ctx->spin_now_ns = ctx->spin_now_ns * 2 + 1000;
	else
		ctx->spin_now_ns /= 2;
	if (ctx->spin_now_ns > ctx->spin_ns)
		ctx->spin_now_ns = ctx->spin_ns;
}

/*
 * Locked; lets the lock go in between. True: something was dispatched, or the count moved.
 * Yielding gives a worker on the same core its turn, and costs little when nobody wants the core.
 */
static bool look_until(struct mg_ctx *ctx, const _Atomic uint32_t *seq, uint32_t key,
		       uint64_t until_ns)
{
	for (;;) {
		if (mg_ctx_dispatch(ctx) > 0 || has_moved(seq, key) ||
		    mg_client_is_dead(ctx->client))
			return true;
		if (mg_clock_ns() >= until_ns)
			return false;
		mg_ctx_unlock(ctx);
		pause_cpu();
		(void)sched_yield(); /* cannot fail */
		mg_ctx_lock(ctx);
	}
}

/* The worker is told, so that it keeps a core that both use while neither has anything to do. */
static bool spin(struct mg_ctx *ctx, const _Atomic uint32_t *seq, uint32_t key, uint64_t until_ns)
{
	bool found;

	atomic_store_explicit(&ctx->shm->polling, 1, memory_order_relaxed);
	found = look_until(ctx, seq, key, until_ns);
	atomic_store_explicit(&ctx->shm->polling, 0, memory_order_relaxed);
	return found;
}

/* The daemon writes one datagram for each sleep; what is left by chance wakes us once more. */
static void drain(const struct mg_ctx *ctx, const struct pollfd *pfd)
{
	uint64_t wakes[8];

	if (pfd[EVENT].revents != 0)
		(void)!read(ctx->event_fd, wakes, sizeof(wakes)); /* both do not block, and */
	if (pfd[KICK].revents != 0)
		(void)!read(ctx->kick_fd, wakes,
			    sizeof(wakes)); /* only their being empty matters */
}

/* How many of the caller's descriptors ppoll() found ready. */
static uint32_t count_ready(const struct mg_wait *wait)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < wait->nr_pfd; i++)
		n += wait->pfd[MG_WAIT_SLOTS + i].revents != 0;
	return n;
}

/* Locked; lets the lock go while it sleeps. Says why it woke: 0, -EINTR or -ETIMEDOUT. */
static int sleep_once(struct mg_ctx *ctx, struct mg_wait *wait)
{
	struct pollfd own[MG_WAIT_SLOTS];
	struct pollfd *pfd = wait->pfd != NULL ? wait->pfd : own;
	struct timespec left = mg_clock_left(wait->deadline_ns);
	int n, err;

	pfd[EVENT] = (struct pollfd){ .fd = ctx->event_fd, .events = POLLIN };
	pfd[KICK] = (struct pollfd){ .fd = ctx->kick_fd, .events = POLLIN };
	pfd[ATTACH] = (struct pollfd){ .fd = ctx->client->attach_fd, .events = POLLRDHUP };
	mg_sleep_prepare(&ctx->shm->sleeping);
	if (!rings_empty(ctx) || has_moved(wait->seq, wait->key)) {
		mg_sleep_cancel(&ctx->shm->sleeping);
		return 0;
	}
	ctx->leader_sleeps = true; /* from here on who moves our count by hand writes the eventfd */
	mg_ctx_unlock(ctx);
	n = ppoll(pfd, MG_WAIT_SLOTS + wait->nr_pfd,
		  wait->deadline_ns == MG_TIME_NEVER ? NULL : &left, wait->sigmask);
	err = errno;
	mg_sleep_cancel(&ctx->shm->sleeping);
	if (n > 0) {
		drain(ctx, pfd);
		wait->nr_ready = count_ready(wait);
		if (pfd[ATTACH].revents != 0)
			mg_client_die(ctx->client, "attach socket hung up");
	}
	mg_ctx_lock(ctx);
	ctx->leader_sleeps = false;
	if (n < 0 && err == EINTR)
		return -EINTR;
	return n == 0 ? -ETIMEDOUT : 0;
}

/* Locked. Leads until something was dispatched or there is a reason to stop. */
static int lead(struct mg_ctx *ctx, struct mg_wait *wait)
{
	uint64_t start_ns = mg_clock_ns();
	uint64_t spin_ns = mg_min_u64(ctx->spin_now_ns,
				      mg_sub_sat_u64(wait->deadline_ns, start_ns));
	int err = 0;

	ctx->led_seq = wait->seq;
	if (!spin(ctx, wait->seq, wait->key, start_ns + spin_ns)) {
		err = sleep_once(ctx, wait);
		adapt_spin(ctx, mg_clock_ns() - start_ns);
		(void)mg_ctx_dispatch(ctx); /* the count tells */
	}
	ctx->led_seq = NULL;
	return err;
}

/* No lock held. A follower that waits for descriptors, too: it is woken by one of its own. */
static int poll_as_follower(const struct waiter *w, struct mg_wait *wait)
{
	struct timespec left = mg_clock_left(wait->deadline_ns);
	/* What a leader fills in the first slots is not a follower's business. */
	struct pollfd *pfd = &wait->pfd[MG_WAIT_SLOTS - 1];
	uint64_t wakes;
	int n, err = 0;

	pfd[0] = (struct pollfd){ .fd = w->wake_fd, .events = POLLIN };
	n = ppoll(pfd, 1 + wait->nr_pfd, wait->deadline_ns == MG_TIME_NEVER ? NULL : &left,
		  wait->sigmask);
	if (n < 0)
		err = errno == EINTR ? -EINTR : 0;
	else if (n > 0)
		wait->nr_ready = count_ready(wait);
	if (n > 0 && pfd[0].revents != 0)
		(void)!read(w->wake_fd, &wakes, sizeof(wakes)); /* does not block */
	return err;
}

/* Locked; lets the lock go while it sleeps. */
static int follow(struct mg_ctx *ctx, struct mg_wait *wait)
{
	struct waiter w = { .seq = wait->seq, .wake_fd = wait->pfd != NULL ? wait->wake_fd : -1 };
	struct timespec left = mg_clock_left(wait->deadline_ns);
	int err = 0;

	mg_list_push_back(&ctx->waiters, &w.node);
	mg_ctx_unlock(ctx);
	/* acquire: pairs with the release in wake() */
	if (wait->pfd != NULL)
		err = poll_as_follower(&w, wait);
	else if (atomic_load_explicit(&w.woken, memory_order_acquire) == 0 &&
		 syscall(SYS_futex, &w.woken, FUTEX_WAIT_PRIVATE, 0,
			 wait->deadline_ns == MG_TIME_NEVER ? NULL : &left, NULL, 0) < 0 &&
		 errno == EINTR)
		err = -EINTR;
	mg_ctx_lock(ctx);
	mg_list_remove(&w.node);
	return err;
}

/* Locked. A leader left: somebody who still waits takes its place. */
static void hand_over(struct mg_ctx *ctx)
{
	struct mg_list_node *next = mg_list_first(&ctx->waiters);

	if (mg_client_is_dead(ctx->client))
		wake_all(ctx);
	else if (next != NULL && ctx->led_seq == NULL)
		wake(mg_container_of(next, struct waiter, node));
}

/* Is there a reason to stop waiting, other than that the count moved? */
static int why_stop(const struct mg_ctx *ctx, const struct mg_wait *wait, int err)
{
	if (mg_client_is_dead(ctx->client))
		return -ECONNRESET;
	if (err == -EINTR)
		return err;
	if (wait->deadline_ns != MG_TIME_NEVER && mg_clock_ns() >= wait->deadline_ns)
		return -ETIMEDOUT;
	return 0;
}

int mg_ctx_wait_for(struct mg_ctx *ctx, struct mg_wait *wait)
{
	int err = 0, stop = 0;

	wait->nr_ready = 0;
	mg_ctx_flush(ctx);
	mg_ctx_lock(ctx);
	while (!has_moved(wait->seq, wait->key) && wait->nr_ready == 0) {
		stop = why_stop(ctx, wait, err);
		if (stop < 0)
			break;
		err = ctx->led_seq != NULL ? follow(ctx, wait) : lead(ctx, wait);
	}
	if (has_moved(wait->seq, wait->key) || wait->nr_ready > 0)
		stop = 0;
	hand_over(ctx);
	mg_ctx_unlock(ctx);
	return stop;
}

int mg_ctx_wait(struct mg_ctx *ctx, const _Atomic uint32_t *seq, uint32_t key, uint64_t deadline_ns)
{
	struct mg_wait wait = { .seq = seq, .key = key, .deadline_ns = deadline_ns };

	return mg_ctx_wait_for(ctx, &wait);
}
