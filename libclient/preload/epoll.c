/* SPDX-License-Identifier: Apache-2.0 */
/* epoll.c - who is in which set, and on which side. Waiting is in epoll_wait.c. */
#include "libclient/preload/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "libclient/core/clock.h"
#include "libclient/preload/face.h"
#include "libclient/preload/internal.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/sys.h"

#define TO_LIBC 1
#define EXCLUSIVE_OK \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

static pthread_mutex_t graph = PTHREAD_MUTEX_INITIALIZER;

void mg_ep_lock(void)
{
	pthread_mutex_lock(&graph);
}

void mg_ep_unlock(void)
{
	pthread_mutex_unlock(&graph);
}

struct mg_ep *mg_ep_get(int fd)
{
	struct mg_obj *obj = mg_fd_get(fd);

	if (obj == NULL)
		return NULL;
	if (obj->kind != MG_OBJ_EPOLL) {
		mg_obj_put(obj);
		return NULL;
	}
	if (mg_unlikely(obj->fork_gen != mg_fork_gen))
		mg_ep_revive(mg_container_of(obj, struct mg_ep, obj));
	return mg_container_of(obj, struct mg_ep, obj);
}

void mg_ep_put(struct mg_ep *set)
{
	mg_obj_put(&set->obj);
}

int mg_ep_new(int epfd)
{
	struct mg_obj *obj;
	struct mg_ep *set;

	if (mg_fd_reserve(epfd) < 0)
		return -ENOMEM;
	obj = mg_obj_new(MG_OBJ_EPOLL, sizeof(*set));
	if (obj == NULL)
		return -ENOMEM;
	set = mg_container_of(obj, struct mg_ep, obj);
	set->epfd = epfd;
	set->kick_fd = -1;
	mg_list_init(&set->items);
	mg_list_init(&set->parents);
	mg_list_init(&set->dead);
	mg_fd_set(epfd, obj);
	mg_obj_put(obj);
	return 0;
}

void mg_ep_make_kick(struct mg_ep *set, int epfd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	long fd;

	mg_ep_lock();
	if (set->kick_fd < 0) {
		fd = mg_sys(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fd >= 0) {
			set->kick_fd = mg_internal_fd((int)fd);
			/* A word that no program will choose by chance. */
			set->cookie = mg_clock_ns() * 0x9e3779b97f4a7c15ull ^ (uintptr_t)set;
			ev.data.u64 = set->cookie;
			(void)mg_sys(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, set->kick_fd, &ev);
		}
	}
	mg_ep_unlock();
}

void mg_ep_kick(struct mg_ep *set)
{
	const uint64_t one = 1;

	if (set->kick_fd >= 0 && atomic_load(&set->sleepers) > 0)
		(void)mg_sys(SYS_write, set->kick_fd, &one, sizeof(one));
}

struct mg_source *mg_ep_source(struct mg_ep *set)
{
	return set->queue.ctx == NULL ? NULL : &set->source;
}

/* What an item watches; NULL: nothing of mangod's. */
static struct mg_source *source_of(const struct mg_ep_item *item)
{
	return item->sock != NULL ? mg_sock_source(item->sock) : mg_ep_source(item->inner);
}

static void start_watch(struct mg_ep_item *item);

/* Graph held. From now on the set follows things of ctx. */
static void bind_queue(struct mg_ep *set, struct mg_ctx *ctx)
{
	if (set->queue.ctx == ctx)
		return;
	if (set->queue.ctx != NULL)
		mg_ep_retire(set);
	mg_ctx_lock(ctx);
	mg_queue_init(&set->queue, ctx);
	mg_source_init(&set->source, ctx);
	set->queue.source = &set->source;
	mg_ctx_unlock(ctx);
	MG_LIST_FOREACH(it, &set->parents)
		start_watch(mg_container_of(it, struct mg_ep_item, in_sock));
}

/* Graph held. mangod serves what the item is about. */
static void start_watch(struct mg_ep_item *item)
{
	struct mg_source *source = source_of(item);
	struct mg_ep *set = item->set;

	if (source == NULL || item->watch.source != NULL)
		return;
	bind_queue(set, source->ctx);
	item->armed = true;
	mg_ctx_lock(source->ctx);
	mg_watch_add(&item->watch, source, &set->queue);
	mg_ctx_unlock(source->ctx);
	(void)atomic_fetch_add(&set->nr_items, 1);
	mg_ep_kick(set);
}

/* Graph held. */
static void stop_watch(struct mg_ep_item *item)
{
	struct mg_ctx *ctx;

	if (item->watch.source == NULL) {
		if (mg_list_is_linked(&item->watch.in_queue)) {
			mg_list_remove(&item->watch.in_queue); /* of the dead */
			(void)atomic_fetch_sub(&item->set->nr_dead, 1);
		}
		return;
	}
	ctx = item->watch.source->ctx;
	mg_ctx_lock(ctx);
	mg_watch_remove(&item->watch);
	mg_ctx_unlock(ctx);
	(void)atomic_fetch_sub(&item->set->nr_items, 1);
}

void mg_ep_retire(struct mg_ep *set)
{
	struct mg_ctx *ctx = set->queue.ctx;

	if (ctx == NULL || !mg_client_is_dead(ctx->client))
		return;
	MG_LIST_FOREACH(it, &set->items) {
		struct mg_ep_item *item = mg_container_of(it, struct mg_ep_item, in_set);

		if (item->watch.source == NULL || item->watch.source->ctx != ctx)
			continue;
		stop_watch(item);
		item->armed = true;
		mg_list_push_back(&set->dead, &item->watch.in_queue);
		(void)atomic_fetch_add(&set->nr_dead, 1);
	}
	set->queue.ctx = NULL;
}

static long kernel_ctl(struct mg_ep_item *item, int op)
{
	struct epoll_event ev = { .events = item->events, .data.u64 = item->data };
	int fd = item->sock != NULL ? mg_sock_holder(item->sock, item->fd) : item->fd;

	return mg_sys(SYS_epoll_ctl, item->set->epfd, op, fd, &ev);
}

void mg_ep_sock_unregister(struct mg_sock *s)
{
	mg_ep_lock();
	MG_LIST_FOREACH(it, &s->items) {
		struct mg_ep_item *item = mg_container_of(it, struct mg_ep_item, in_sock);

		if (item->in_kernel)
			(void)kernel_ctl(item, EPOLL_CTL_DEL); /* gone by itself is fine, too */
	}
	mg_ep_unlock();
}

void mg_ep_sock_register(struct mg_sock *s)
{
	mg_ep_lock();
	MG_LIST_FOREACH(it, &s->items) {
		struct mg_ep_item *item = mg_container_of(it, struct mg_ep_item, in_sock);

		if (item->in_kernel)
			(void)kernel_ctl(item,
					 EPOLL_CTL_ADD); /* without memory: mangod's side only */
	}
	mg_ep_unlock();
}

static void forget_watch(struct mg_ep_item *item)
{
	memset(&item->watch, 0, sizeof(item->watch));
	mg_list_node_init(&item->watch.in_queue);
	mg_list_node_init(&item->watch.in_source);
}

void mg_ep_sock_forked(struct mg_sock *s)
{
	MG_LIST_FOREACH(it, &s->items)
		forget_watch(mg_container_of(it, struct mg_ep_item, in_sock));
}

void mg_ep_forked(struct mg_ep *set)
{
	MG_LIST_FOREACH(it, &set->items)
		forget_watch(mg_container_of(it, struct mg_ep_item, in_set));
	mg_list_init(&set->dead);
	set->nr_dead = 0;
	set->nr_items = 0;
	set->sleepers = 0;
	set->queue.ctx = NULL;
}

void mg_ep_revive(struct mg_ep *set)
{
	struct mg_sock *s;
	bool more;

	set->obj.fork_gen = mg_fork_gen;
	do {
		more = false;
		mg_ep_lock();
		MG_LIST_FOREACH(it, &set->items) {
			s = mg_container_of(it, struct mg_ep_item, in_set)->sock;
			more = s != NULL && s->obj.fork_gen != mg_fork_gen &&
			       mg_obj_tryget(&s->obj);
			if (more)
				break;
		}
		mg_ep_unlock();
		if (more) { /* joining moves items: without our lock */
			mg_sock_revive(s);
			mg_sock_put(s);
		}
	} while (more);
}

/* Graph held. */
static void free_item(struct mg_ep_item *item)
{
	stop_watch(item);
	if (item->in_kernel && item->sock != NULL && mg_sock_kind(item->sock) == MG_SOCK_LISTENER)
		(void)atomic_fetch_sub(&item->set->nr_both, 1);
	mg_list_remove(&item->in_sock);
	mg_list_remove(&item->in_set);
	free(item);
}

/* Graph held. To the side that the socket is on now. */
static void move_item(struct mg_ep_item *item)
{
	enum mg_sock_kind kind = mg_sock_kind(item->sock);
	bool to_kernel = kind == MG_SOCK_NEW || (kind == MG_SOCK_LISTENER && item->sock->both);

	if (kind == MG_SOCK_KERNEL) { /* it is in the kernel's set, and stays there */
		item->in_kernel = false;
		free_item(item);
		return;
	}
	if (kind == MG_SOCK_NEW)
		stop_watch(item);
	if (item->in_kernel && !to_kernel)
		(void)kernel_ctl(item, EPOLL_CTL_DEL); /* gone by itself is fine, too */
	else if (!item->in_kernel && to_kernel)
		(void)kernel_ctl(item, EPOLL_CTL_ADD);
	item->in_kernel = to_kernel;
	if (kind == MG_SOCK_LISTENER && to_kernel)
		(void)atomic_fetch_add(&item->set->nr_both, 1);
	start_watch(item);
}

void mg_ep_sock_moved(struct mg_sock *s)
{
	mg_ep_lock();
	MG_LIST_FOREACH_SAFE(it, &s->items)
		move_item(mg_container_of(it, struct mg_ep_item, in_sock));
	mg_ep_unlock();
}

void mg_ep_sock_relisten(struct mg_sock *s, struct mg_lst *lst)
{
	mg_ep_lock();
	MG_LIST_FOREACH(it, &s->items) {
		struct mg_ep_item *item = mg_container_of(it, struct mg_ep_item, in_sock);

		mg_ep_retire(item->set); /* what else the daemon left there */
		stop_watch(item);
	}
	s->lst = lst;
	MG_LIST_FOREACH(it, &s->items)
		start_watch(mg_container_of(it, struct mg_ep_item, in_sock));
	mg_ep_unlock();
}

void mg_ep_sock_ends(struct mg_sock *s)
{
	if (mg_list_is_empty(&s->items))
		return;
	mg_ep_lock();
	MG_LIST_FOREACH_SAFE(it, &s->items)
		free_item(mg_container_of(it, struct mg_ep_item, in_sock));
	mg_ep_unlock();
}

void mg_ep_end(struct mg_ep *set)
{
	mg_ep_lock();
	MG_LIST_FOREACH_SAFE(it, &set->items)
		free_item(mg_container_of(it, struct mg_ep_item, in_set));
	MG_LIST_FOREACH_SAFE(it, &set->parents)
		free_item(mg_container_of(it, struct mg_ep_item, in_sock));
	mg_internal_close(set->kick_fd);
	mg_ep_unlock();
	mg_obj_free(&set->obj);
}

static struct mg_ep_item *find(struct mg_list *list, const struct mg_ep *set, int fd)
{
	MG_LIST_FOREACH(it, list) {
		struct mg_ep_item *item = mg_container_of(it, struct mg_ep_item, in_sock);

		if (item->set == set && item->fd == fd)
			return item;
	}
	return NULL;
}

struct target {
	struct mg_sock *sock;
	struct mg_ep *inner;
	struct mg_list *list;
};

/* Graph held. Does the kernel's set hold it (too)? */
static bool lives_in_kernel(const struct target *t)
{
	if (t->inner != NULL || mg_sock_kind(t->sock) == MG_SOCK_NEW)
		return true;
	return mg_sock_kind(t->sock) == MG_SOCK_LISTENER && t->sock->both;
}

static int add(struct mg_ep *set, const struct target *t, int fd, const struct epoll_event *ev)
{
	struct mg_ep_item *item;
	long err = 0;

	if ((ev->events & EPOLLEXCLUSIVE) != 0 && (ev->events & ~(uint32_t)EXCLUSIVE_OK) != 0)
		return -EINVAL;
	if (find(t->list, set, fd) != NULL)
		return -EEXIST;
	item = calloc(1, sizeof(*item));
	if (item == NULL)
		return -ENOMEM;
	item->set = set;
	item->sock = t->sock;
	item->inner = t->inner;
	item->fd = fd;
	item->events = ev->events;
	item->data = ev->data.u64;
	item->in_kernel = lives_in_kernel(t);
	if (item->in_kernel)
		err = kernel_ctl(item, EPOLL_CTL_ADD);
	if (err < 0) {
		free(item);
		return (int)err;
	}
	if (item->in_kernel)
		(void)atomic_fetch_add(&set->nr_kernel, 1);
	if (item->in_kernel && t->sock != NULL && mg_sock_kind(t->sock) == MG_SOCK_LISTENER)
		(void)atomic_fetch_add(&set->nr_both, 1);
	mg_list_push_back(t->list, &item->in_sock);
	mg_list_push_back(&set->items, &item->in_set);
	start_watch(item);
	return 0;
}

static int modify(struct mg_ep_item *item, const struct epoll_event *ev)
{
	struct mg_ctx *ctx = item->watch.source != NULL ? item->watch.source->ctx : NULL;
	long err = 0;

	if (((item->events | ev->events) & EPOLLEXCLUSIVE) != 0)
		return -EINVAL;
	if (ctx != NULL)
		mg_ctx_lock(ctx);
	item->events = ev->events;
	item->data = ev->data.u64;
	item->is_off = false;
	item->armed = true;
	if (ctx != NULL) {
		mg_watch_queue(&item->watch);
		mg_ctx_unlock(ctx);
		mg_ep_kick(item->set);
	}
	if (item->in_kernel)
		err = kernel_ctl(item, EPOLL_CTL_MOD);
	return (int)err;
}

static int ctl_locked(struct mg_ep *set, const struct target *t, int op, int fd,
		      const struct epoll_event *ev)
{
	struct mg_ep_item *item = find(t->list, set, fd);
	long err = 0;

	if (op == EPOLL_CTL_ADD)
		return add(set, t, fd, ev);
	if (item == NULL)
		return lives_in_kernel(t) ? TO_LIBC : -ENOENT;
	if (op == EPOLL_CTL_MOD)
		return modify(item, ev);
	if (item->in_kernel) {
		err = kernel_ctl(item, EPOLL_CTL_DEL);
		(void)atomic_fetch_sub(&set->nr_kernel, 1);
	}
	free_item(item);
	return (int)err;
}

static int ctl_plain(struct mg_ep *set, int epfd, int op, int fd, struct epoll_event *event)
{
	int r = MG_REAL(epoll_ctl)(epfd, op, fd, event);

	if (r == 0 && op == EPOLL_CTL_ADD)
		(void)atomic_fetch_add(&set->nr_kernel, 1);
	return r < 0 ? -errno : 0;
}

int mg_ep_ctl(struct mg_ep *set, int epfd, int op, int fd, struct epoll_event *event)
{
	struct mg_obj *obj = mg_fd_get(fd);
	struct target t = { 0 };
	int err;

	if (obj == NULL)
		return mg_fd_is_hidden(fd) ? -EBADF : ctl_plain(set, epfd, op, fd, event);
	if (obj->kind == MG_OBJ_SOCK) {
		t.sock = mg_container_of(obj, struct mg_sock, obj);
		if (mg_unlikely(obj->fork_gen != mg_fork_gen))
			mg_sock_revive(t.sock);
		t.list = &t.sock->items;
	} else {
		t.inner = mg_container_of(obj, struct mg_ep, obj);
		t.list = &t.inner->parents;
	}
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
		err = -EINVAL;
	else if (event == NULL && op != EPOLL_CTL_DEL)
		err = -EFAULT;
	else if (t.sock != NULL && mg_sock_kind(t.sock) == MG_SOCK_KERNEL)
		err = TO_LIBC;
	else {
		mg_ep_lock();
		err = ctl_locked(set, &t, op, fd, event);
		mg_ep_unlock();
	}
	mg_obj_put(obj);
	return err == TO_LIBC ? ctl_plain(set, epfd, op, fd, event) : err;
}
