/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/poll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/core/clock.h"
#include "libclient/preload/epoll.h"
#include "libclient/preload/face.h"
#include "libclient/preload/internal.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/sys.h"

#define ON_STACK 16

/* One descriptor of the call. */
struct entry {
	struct mg_obj *obj; /* NULL: the kernel's only; with a reference */
	bool kernel;        /* the kernel is asked */
	struct mg_watch watch;
};

struct round {
	struct pollfd *fds;
	nfds_t n;
	struct entry *entries;
	struct pollfd *kernel; /* [MG_WAIT_SLOTS + n], in the order of fds */
	nfds_t nr_kernel;
	struct mg_ctx *ctx; /* of those that can be waited for */
	bool has_dead;      /* a listener that waits for the next daemon */
};

bool mg_poll_serves(int fd)
{
	struct mg_obj *obj = mg_fd_get(fd);
	bool yes;

	if (mg_likely(obj == NULL))
		return false;
	if (obj->kind == MG_OBJ_SOCK) {
		enum mg_sock_kind kind = mg_sock_kind(mg_container_of(obj, struct mg_sock, obj));

		yes = kind == MG_SOCK_CONN || kind == MG_SOCK_LISTENER;
	} else {
		yes = atomic_load(&mg_container_of(obj, struct mg_ep, obj)->nr_items) > 0;
	}
	mg_obj_put(obj);
	return yes;
}

bool mg_poll_concerns(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++) {
		if (fds[i].fd >= 0 && mg_fd_peek(fds[i].fd) != NULL)
			return true;
	}
	return false;
}

static struct mg_source *source_of(struct mg_obj *obj)
{
	return obj->kind == MG_OBJ_SOCK ? mg_sock_source(mg_container_of(obj, struct mg_sock, obj))
					: mg_ep_source(mg_container_of(obj, struct mg_ep, obj));
}

/* A parent's: it is joined now. */
static void revive(struct mg_obj *obj)
{
	if (mg_likely(obj->fork_gen == mg_fork_gen))
		return;
	if (obj->kind == MG_OBJ_SOCK)
		mg_sock_revive(mg_container_of(obj, struct mg_sock, obj));
	else
		mg_ep_revive(mg_container_of(obj, struct mg_ep, obj));
}

/* What is to be asked about the object behind a descriptor; NULL: the kernel alone. */
static struct mg_source *look_at(struct round *r, int fd, struct mg_obj *obj)
{
	revive(obj);
	if (obj->kind == MG_OBJ_SOCK &&
	    !mg_sock_relisten(fd, mg_container_of(obj, struct mg_sock, obj)))
		r->has_dead = true;
	return source_of(obj);
}

/* Does the kernel have a say, too? In a set of ours, and for a listener on both. */
static bool is_kernels_too(struct mg_obj *obj)
{
	const struct mg_sock *s = mg_container_of(obj, struct mg_sock, obj);

	return obj->kind == MG_OBJ_EPOLL || (mg_sock_kind(s) == MG_SOCK_LISTENER && s->both);
}

static void ask_kernel(struct round *r, const struct pollfd *asked, struct mg_obj *obj)
{
	struct pollfd *p = &r->kernel[MG_WAIT_SLOTS + r->nr_kernel++];

	*p = *asked;
	if (obj != NULL && obj->kind == MG_OBJ_SOCK)
		p->fd = mg_sock_holder(mg_container_of(obj, struct mg_sock, obj), asked->fd);
	if (mg_fd_is_hidden(asked->fd)) /* not there, as far as the program knows */
		p->fd = 0x7fffffff;
}

/* Decides for each descriptor who is asked. */
static void classify(struct round *r)
{
	for (nfds_t i = 0; i < r->n; i++) {
		struct entry *e = &r->entries[i];
		int fd = r->fds[i].fd;
		struct mg_source *source;

		*e = (struct entry){ .kernel = true };
		if (fd >= 0)
			e->obj = mg_fd_get(fd);
		source = e->obj != NULL ? look_at(r, fd, e->obj) : NULL;
		if (source != NULL) {
			e->kernel = is_kernels_too(e->obj);
			if (!mg_client_is_dead(source->ctx->client))
				r->ctx = source->ctx;
		} else if (e->obj != NULL) {
			mg_obj_put(e->obj);
			e->obj = NULL;
		}
		if (e->kernel)
			ask_kernel(r, &r->fds[i], e->obj);
	}
}

static short ready_of(struct mg_obj *obj, short events)
{
	uint32_t ready = 0;
	struct mg_ep *set;

	if (obj->kind == MG_OBJ_SOCK) {
		ready = mg_sock_ready(mg_container_of(obj, struct mg_sock, obj), (uint32_t)events);
	} else {
		set = mg_container_of(obj, struct mg_ep, obj);
		mg_ctx_lock(set->queue.ctx);
		ready = mg_ep_is_ready(set) ? POLLIN : 0;
		mg_ctx_unlock(set->queue.ctx);
	}
	if ((ready & POLLIN) != 0)
		ready |= POLLRDNORM;
	if ((ready & POLLOUT) != 0)
		ready |= POLLWRNORM;
	return (short)(ready & ((uint32_t)(unsigned short)events | POLLERR | POLLHUP));
}

/* Asks mangod's side; the kernel's answers are in r->kernel. Returns how many are ready. */
static int collect(struct round *r)
{
	nfds_t k = 0;
	int ready = 0;

	for (nfds_t i = 0; i < r->n; i++) {
		struct entry *e = &r->entries[i];

		r->fds[i].revents = 0;
		if (e->kernel)
			r->fds[i].revents = r->kernel[MG_WAIT_SLOTS + k++].revents;
		if (e->obj != NULL)
			r->fds[i].revents = (short)(r->fds[i].revents |
						    ready_of(e->obj, r->fds[i].events));
		ready += r->fds[i].revents != 0;
	}
	return ready;
}

/* A look at everything without waiting. */
static int look(struct round *r)
{
	struct timespec none = { 0, 0 };
	long n = 0;

	if (r->ctx != NULL) {
		mg_ctx_lock(r->ctx);
		(void)mg_ctx_dispatch(r->ctx); /* readiness tells */
		mg_ctx_unlock(r->ctx);
	}
	if (r->nr_kernel > 0)
		n = mg_sys(SYS_ppoll, r->kernel + MG_WAIT_SLOTS, r->nr_kernel, &none, NULL, 8);
	return n < 0 ? (int)n : collect(r);
}

static void set_watches(struct round *r, struct mg_queue *queue)
{
	mg_queue_init(queue, r->ctx);
	mg_ctx_lock(r->ctx);
	for (nfds_t i = 0; i < r->n; i++) {
		struct mg_source *source = r->entries[i].obj != NULL ? source_of(r->entries[i].obj)
								     : NULL;

		if (source != NULL && source->ctx == r->ctx)
			mg_watch_add(&r->entries[i].watch, source, queue);
	}
	mg_ctx_unlock(r->ctx);
}

static void end_watches(struct round *r)
{
	mg_ctx_lock(r->ctx);
	for (nfds_t i = 0; i < r->n; i++)
		mg_watch_remove(&r->entries[i].watch);
	mg_ctx_unlock(r->ctx);
}

/* What was queued so far has been looked at. */
static void empty_queue(struct round *r, struct mg_queue *queue)
{
	mg_ctx_lock(r->ctx);
	while (mg_list_pop_front(&queue->ready) != NULL)
		;
	mg_ctx_unlock(r->ctx);
}

static int wait_loop(struct round *r, uint64_t deadline_ns, const sigset_t *sigmask)
{
	struct mg_queue queue;
	struct mg_wait wait = { .seq = &queue.seq,
				.nr_pfd = (uint32_t)r->nr_kernel,
				.deadline_ns = deadline_ns,
				.pfd = r->kernel,
				.sigmask = sigmask,
				.wake_fd = mg_internal_wake_fd() };
	int n, err;

	set_watches(r, &queue);
	do {
		empty_queue(r, &queue);
		wait.key = mg_ctx_key(&queue.seq);
		n = look(r);
		if (n != 0)
			break;
		err = mg_ctx_wait_for(r->ctx, &wait);
		if (err == -ETIMEDOUT || err == -ECONNRESET)
			n = look(r);
		else if (err < 0)
			n = err;
		if (err == -ECONNRESET) /* nothing but listeners: until the next daemon */
			r->has_dead = true;
	} while (n == 0 && err != -ETIMEDOUT && err != -ECONNRESET);
	end_watches(r);
	return n;
}

/* Nothing that could change but through the kernel. */
static int wait_in_kernel(struct round *r, uint64_t deadline_ns, const sigset_t *sigmask)
{
	struct timespec left = mg_clock_left(deadline_ns);
	long n = mg_sys(SYS_ppoll, r->kernel + MG_WAIT_SLOTS, r->nr_kernel,
			deadline_ns == MG_TIME_NEVER ? NULL : &left, sigmask, 8);

	return n < 0 ? (int)n : collect(r);
}

static int poll_round(struct round *r, uint64_t deadline_ns, const sigset_t *sigmask)
{
	int n;

	r->nr_kernel = 0;
	r->ctx = NULL;
	r->has_dead = false;
	classify(r);
	n = look(r);
	if (r->has_dead && deadline_ns != 0)
		deadline_ns = mg_sock_relisten_deadline(deadline_ns);
	if (n == 0 && deadline_ns != 0)
		n = r->ctx != NULL ? wait_loop(r, deadline_ns, sigmask)
				   : wait_in_kernel(r, deadline_ns, sigmask);
	for (nfds_t i = 0; i < r->n; i++) {
		if (r->entries[i].obj != NULL)
			mg_obj_put(r->entries[i].obj);
	}
	return n;
}

int mg_poll(struct pollfd *fds, nfds_t n, uint64_t deadline_ns, const sigset_t *sigmask)
{
	struct entry few[ON_STACK];
	struct pollfd few_kernel[MG_WAIT_SLOTS + ON_STACK];
	struct round r = { .fds = fds, .n = n, .entries = few, .kernel = few_kernel };
	int ret;

	if (n > ON_STACK) {
		r.entries = calloc(n, sizeof(*r.entries));
		r.kernel = calloc(MG_WAIT_SLOTS + n, sizeof(*r.kernel));
		if (r.entries == NULL || r.kernel == NULL) {
			free(r.entries);
			free(r.kernel);
			return -ENOMEM;
		}
	}
	do {
		ret = poll_round(&r, deadline_ns, sigmask);
	} while (ret == 0 && r.has_dead && deadline_ns != 0 && mg_clock_ns() < deadline_ns);
	if (n > ON_STACK) {
		free(r.entries);
		free(r.kernel);
	}
	return ret;
}
