/* SPDX-License-Identifier: Apache-2.0 */
/* epoll_wait.c - what is due, and waiting for it. */
#include <errno.h>

#include "libclient/core/clock.h"
#include "libclient/preload/epoll.h"
#include "libclient/preload/internal.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/sys.h"

/* While there is always something of mangod's, the kernel's part is looked at this often. */
#define KERNEL_LOOK_NS (50 * MG_NS_PER_US)
#define RELISTEN_AT_ONCE 16u
#define LASTING (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)

bool mg_ep_is_ready(struct mg_ep *set)
{
	MG_LIST_FOREACH(it, &set->queue.ready) {
		struct mg_watch *watch = mg_container_of(it, struct mg_watch, in_queue);

		if (mg_ep_item_due(mg_container_of(watch, struct mg_ep_item, watch)) != 0)
			return true;
	}
	return false;
}

/* What can move without any bit changing: a listener's queue, a connection's stream. */
static uint64_t tail_of(const struct mg_ep_item *item)
{
	if (item->sock == NULL)
		return atomic_load_explicit(&item->inner->queue.seq, memory_order_relaxed);
	if (mg_sock_kind(item->sock) == MG_SOCK_LISTENER)
		return item->sock->lst->tail;
	return atomic_load_explicit(&item->sock->conn->w.shm->rx_tail, memory_order_acquire);
}

static uint32_t ready_of(const struct mg_ep_item *item)
{
	uint32_t ready;

	if (item->sock == NULL)
		ready = mg_ep_is_ready(item->inner) ? EPOLLIN : 0;
	else
		ready = mg_sock_ready_locked(item->sock, item->events & (EPOLLIN | EPOLLOUT));
	if ((ready & EPOLLIN) != 0)
		ready |= EPOLLRDNORM;
	if ((ready & EPOLLOUT) != 0)
		ready |= EPOLLWRNORM;
	return ready;
}

uint32_t mg_ep_item_due(struct mg_ep_item *item)
{
	uint32_t mask;

	if (item->is_off)
		return 0;
	/* Before the look, so that what comes after it is an edge of its own. */
	item->look_tail = tail_of(item);
	item->look_nospace = item->sock != NULL ? atomic_load_explicit(&item->sock->nospace,
								       memory_order_relaxed)
						: 0;
	mask = ready_of(item) & (item->events | EPOLLERR | EPOLLHUP);
	if (mask == 0 || (item->events & EPOLLET) == 0 || item->armed)
		return mask;
	if ((mask & EPOLLIN) != 0 && item->look_tail != item->seen_tail)
		return mask;
	if ((mask & LASTING & ~item->seen_bits) != 0)
		return mask;
	if ((mask & EPOLLOUT) != 0 && item->look_nospace != item->seen_nospace)
		return mask;
	return 0;
}

void mg_ep_item_reported(struct mg_ep_item *item, uint32_t mask)
{
	item->armed = false;
	item->seen_tail = item->look_tail;
	item->seen_nospace = item->look_nospace;
	item->seen_bits = mask & LASTING;
	if ((item->events & EPOLLONESHOT) != 0)
		item->is_off = true;
}

static void emit(struct mg_ep_item *item, uint32_t mask, struct epoll_event *ev)
{
	ev->events = mask;
	ev->data.u64 = item->data;
	mg_ep_item_reported(item, mask);
}

/* Takes what is due from the queue. Level-triggered items go to its end, as Linux has it. */
static int harvest(struct mg_ep *set, struct epoll_event *events, int max)
{
	struct mg_ctx *ctx = set->queue.ctx;
	struct mg_list again;
	struct mg_list_node *node;
	int n = 0;

	mg_list_init(&again);
	mg_ctx_lock(ctx);
	(void)mg_ctx_dispatch(ctx); /* the queue tells */
	while (n < max && (node = mg_list_pop_front(&set->queue.ready)) != NULL) {
		struct mg_watch *watch = mg_container_of(node, struct mg_watch, in_queue);
		struct mg_ep_item *item = mg_container_of(watch, struct mg_ep_item, watch);
		uint32_t mask = mg_ep_item_due(item);

		if (mask == 0)
			continue;
		emit(item, mask, &events[n++]);
		if ((item->events & (EPOLLET | EPOLLONESHOT)) == 0)
			mg_list_push_back(&again, node);
	}
	while ((node = mg_list_pop_front(&again)) != NULL)
		mg_list_push_back(&set->queue.ready, node);
	mg_ctx_unlock(ctx);
	return n;
}

/* Listeners among the dead are opened anew, if they can be. True: there are some that cannot be yet. */
static bool relisten_dead(struct mg_ep *set)
{
	struct mg_sock *some[RELISTEN_AT_ONCE];
	int fds[RELISTEN_AT_ONCE];
	uint32_t n = 0;
	bool left = false;

	mg_ep_lock();
	MG_LIST_FOREACH(it, &set->dead) {
		struct mg_watch *watch = mg_container_of(it, struct mg_watch, in_queue);
		struct mg_ep_item *item = mg_container_of(watch, struct mg_ep_item, watch);

		if (n == RELISTEN_AT_ONCE || item->sock == NULL ||
		    mg_sock_kind(item->sock) != MG_SOCK_LISTENER ||
		    !mg_obj_tryget(&item->sock->obj))
			continue;
		some[n] = item->sock;
		fds[n++] = item->fd;
	}
	mg_ep_unlock();
	for (uint32_t i = 0; i < n; i++) { /* they move in the graph: without its lock */
		left = !mg_sock_relisten(fds[i], some[i]) || left;
		mg_sock_put(some[i]);
	}
	return left;
}

static int harvest_dead(struct mg_ep *set, struct epoll_event *events, int max)
{
	int n = 0;

	mg_ep_lock();
	MG_LIST_FOREACH(it, &set->dead) {
		struct mg_watch *watch = mg_container_of(it, struct mg_watch, in_queue);
		struct mg_ep_item *item = mg_container_of(watch, struct mg_ep_item, watch);
		uint32_t mask = n < max && item->sock != NULL ? mg_ep_item_due(item) : 0;

		if (mask != 0)
			emit(item, mask, &events[n++]);
	}
	mg_ep_unlock();
	return n;
}

/* Drops our own wake-up from what the kernel gave. */
static int filter_kick(struct mg_ep *set, struct epoll_event *events, int n)
{
	uint64_t wakes;

	for (int i = 0; i < n && set->kick_fd >= 0; i++) {
		if (events[i].data.u64 != set->cookie)
			continue;
		(void)mg_sys(SYS_read, set->kick_fd, &wakes, sizeof(wakes));
		events[i] = events[--n];
		break;
	}
	return n;
}

/* A listener on both sides is one descriptor: one event. */
static int merge_both(struct epoll_event *events, int n, int more)
{
	int kept = n;

	for (int i = n; i < n + more; i++) {
		int j = 0;

		while (j < n && events[j].data.u64 != events[i].data.u64)
			j++;
		if (j < n)
			events[j].events |= events[i].events;
		else
			events[kept++] = events[i];
	}
	return kept;
}

/* A look at the kernel's part, behind the n events there are. */
static int look_at_kernel(struct mg_ep *set, int epfd, struct epoll_event *events, int n, int max)
{
	long more;

	if (n == max || atomic_load_explicit(&set->nr_kernel, memory_order_relaxed) == 0)
		return n;
	if (n > 0) {
		uint64_t now = mg_clock_ns();

		if (!atomic_load_explicit(&set->kernel_busy, memory_order_relaxed) &&
		    now - atomic_load_explicit(&set->looked_ns, memory_order_relaxed) <
			    KERNEL_LOOK_NS)
			return n;
		atomic_store_explicit(&set->looked_ns, now, memory_order_relaxed);
	}
	more = mg_sys(SYS_epoll_pwait, epfd, events + n, max - n, 0, NULL, 8);
	atomic_store_explicit(&set->kernel_busy, more > 0, memory_order_relaxed);
	if (more <= 0)
		return n;
	more = filter_kick(set, events + n, (int)more);
	if (atomic_load_explicit(&set->nr_both, memory_order_relaxed) > 0 && n > 0)
		return merge_both(events, n, (int)more);
	return n + (int)more;
}

static int ms_left(uint64_t deadline_ns)
{
	uint64_t now, ms;

	if (deadline_ns == MG_TIME_NEVER)
		return -1;
	if (deadline_ns == 0)
		return 0;
	now = mg_clock_ns();
	if (now >= deadline_ns)
		return 0;
	ms = (deadline_ns - now + MG_NS_PER_MS - 1) / MG_NS_PER_MS;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* Nothing of mangod's in the set: the kernel's epoll_wait(), ended early when that changes. */
static int wait_in_kernel(struct mg_ep *set, int epfd, const struct mg_ep_wait *call)
{
	int n;

	if (call->deadline_ns == 0)
		return (n = MG_REAL(epoll_pwait)(epfd, call->events, call->max, 0, call->sigmask)) <
				       0
			       ? -errno
			       : filter_kick(set, call->events, n);
	if (set->kick_fd < 0)
		mg_ep_make_kick(set, epfd);
	(void)atomic_fetch_add(&set->sleepers, 1);
	if (atomic_load(&set->nr_items) > 0) {
		(void)atomic_fetch_sub(&set->sleepers, 1);
		return 0;
	}
	n = MG_REAL(epoll_pwait)(epfd, call->events, call->max, ms_left(call->deadline_ns),
				 call->sigmask);
	(void)atomic_fetch_sub(&set->sleepers, 1);
	return n < 0 ? -errno : filter_kick(set, call->events, n);
}

static int sleep_on_both(struct mg_ep *set, int epfd, uint32_t key, const struct mg_ep_wait *call)
{
	struct pollfd pfd[MG_WAIT_SLOTS + 1] = { [MG_WAIT_SLOTS] = { .fd = epfd,
								     .events = POLLIN } };
	bool kernel = atomic_load_explicit(&set->nr_kernel, memory_order_relaxed) > 0;
	bool polls = kernel || call->sigmask != NULL;
	struct mg_wait wait = { .seq = &set->queue.seq,
				.key = key,
				.nr_pfd = kernel ? 1 : 0,
				.deadline_ns = call->deadline_ns,
				.pfd = polls ? pfd : NULL,
				.sigmask = call->sigmask,
				.wake_fd = polls ? mg_internal_wake_fd() : -1 };

	return mg_ctx_wait_for(set->queue.ctx, &wait);
}

/* One round over all parts of the set. */
static int look(struct mg_ep *set, int epfd, const struct mg_ep_wait *call, uint32_t *ret_key)
{
	int n = 0;

	if (mg_unlikely(atomic_load_explicit(&set->nr_dead, memory_order_relaxed) > 0))
		n = harvest_dead(set, call->events, call->max);
	if (mg_likely(set->queue.ctx != NULL)) {
		*ret_key = mg_ctx_key(&set->queue.seq);
		n += harvest(set, call->events + n, call->max - n);
	}
	return look_at_kernel(set, epfd, call->events, n, call->max);
}

static bool has_passed(uint64_t deadline_ns)
{
	return deadline_ns == 0 || (deadline_ns != MG_TIME_NEVER && mg_clock_ns() >= deadline_ns);
}

int mg_ep_wait(struct mg_ep *set, int epfd, const struct mg_ep_wait *whole)
{
	struct mg_ep_wait piece, *call = &piece;
	uint32_t key = 0;
	bool mixed;
	int n;

	for (;;) {
		piece = *whole;
		if (mg_unlikely(atomic_load_explicit(&set->nr_dead, memory_order_relaxed) > 0) &&
		    relisten_dead(set) && whole->deadline_ns != 0)
			piece.deadline_ns = mg_sock_relisten_deadline(whole->deadline_ns);
		mixed = atomic_load(&set->nr_items) > 0;
		if (mixed && mg_unlikely(mg_client_is_dead(set->queue.ctx->client))) {
			mg_ep_lock();
			mg_ep_retire(set);
			mg_ep_unlock();
			continue;
		}
		if (mixed || atomic_load(&set->nr_dead) > 0) {
			n = look(set, epfd, call, &key);
			if (n > 0 || has_passed(whole->deadline_ns))
				return n;
		}
		n = mixed ? sleep_on_both(set, epfd, key, call) : wait_in_kernel(set, epfd, call);
		if (n != 0 && !(mixed && (n == -ETIMEDOUT || n == -ECONNRESET)))
			return n;
		if (!mixed && has_passed(whole->deadline_ns))
			return 0;
	}
}
