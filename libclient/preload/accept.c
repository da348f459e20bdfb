/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept.c - accept() on a listener that mangod serves, and the kernel, perhaps.
 *
 * Idea:    mangod's queue and the holder's are looked at in turn, so that neither starves the other. Connections of
 *          the kernel are plain descriptors afterwards; mangod's get a holder of their own before they are taken,
 *          so that a process without free descriptors loses none.
 */
#include <errno.h>
#include <poll.h>

#include "libclient/core/clock.h"
#include "libclient/core/sockaddr.h"
#include "libclient/preload/face.h"
#include "libclient/preload/internal.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/sys.h"

static int adopt(struct mg_sock *s, struct mg_conn *conn, int holder, int flags,
		 struct mg_sock **ret)
{
	struct mg_sock *child;
	int err = mg_sock_new(holder, s->family, (flags & SOCK_NONBLOCK) != 0, &child);

	if (err < 0) {
		mg_conn_release(conn, true);
		return err;
	}
	mg_sock_inherit(child, s);
	mg_sock_begin_conn(child, conn);
	*ret = child;
	return 0;
}

/* One of mangod's; -EAGAIN: none there. */
static int accept_mango(struct mg_sock *s, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct mg_conn *conn = NULL;
	struct mg_sock *child = NULL;
	long holder;
	int err;

	if ((mg_sock_ready(s, MG_READY_IN) & MG_READY_IN) == 0) {
		mg_ctx_lock(s->lst->src.ctx);
		(void)mg_ctx_dispatch(s->lst->src.ctx); /* readiness tells */
		mg_ctx_unlock(s->lst->src.ctx);
		if ((mg_sock_ready(s, MG_READY_IN) & MG_READY_IN) == 0)
			return -EAGAIN;
	}
	holder = mg_sys(SYS_socket, s->family, SOCK_STREAM | flags, 0);
	if (holder < 0)
		return (int)holder;
	err = mg_lst_accept(s->lst, &conn);
	if (err == -ECONNRESET || err == -ECONNABORTED)
		err = -EAGAIN; /* the daemon is going: see relisten.c */
	if (err == 0)
		err = adopt(s, conn, (int)holder, flags, &child);
	if (err < 0) {
		(void)mg_sys(SYS_close, holder);
		return err;
	}
	if (addr != NULL) {
		socklen_t room = *len;

		mg_sockaddr_fill(s->family, &mg_conn_tuple(conn)->raddr, mg_conn_tuple(conn)->rport,
				 addr, len);
		mg_sockaddr_set_scope(addr, room, conn->w.shm->scope);
	}
	mg_fd_set((int)holder, &child->obj);
	mg_sock_put(child);
	return (int)holder;
}

static int accept_kernel(int fd, const struct mg_sock *s, struct sockaddr *addr, socklen_t *len,
			 int flags)
{
	return s->both ? (int)mg_sys(SYS_accept4, mg_sock_holder(s, fd), addr, len, flags)
		       : -EAGAIN;
}

static int accept_once(int fd, struct mg_sock *s, struct sockaddr *addr, socklen_t *len, int flags)
{
	bool kernel_first = s->both &&
			    atomic_fetch_add_explicit(&s->turn, 1, memory_order_relaxed) % 8 == 7;
	int r;

	r = kernel_first ? accept_kernel(fd, s, addr, len, flags)
			 : accept_mango(s, addr, len, flags);
	if (r != -EAGAIN)
		return r;
	return kernel_first ? accept_mango(s, addr, len, flags)
			    : accept_kernel(fd, s, addr, len, flags);
}

/* Sleeps until mangod or the kernel has one. */
static int wait_both(int fd, struct mg_sock *s, uint32_t key, uint64_t deadline_ns)
{
	struct pollfd pfd[MG_WAIT_SLOTS + 1] = { [MG_WAIT_SLOTS] = { .fd = mg_sock_holder(s, fd),
								     .events = POLLIN } };
	struct mg_wait wait = { .seq = &s->lst->src.seq,
				.key = key,
				.nr_pfd = s->both ? 1 : 0,
				.deadline_ns = deadline_ns,
				.pfd = s->both ? pfd : NULL,
				.wake_fd = s->both ? mg_internal_wake_fd() : -1 };

	return mg_ctx_wait_for(s->lst->src.ctx, &wait);
}

/* The daemon is gone: until the kernel has a connection, if it still listens, or it is time to look for the next one. */
static int wait_kernel(int fd, uint64_t deadline_ns)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN }; /* -1: passed over */
	struct timespec left = mg_clock_left(deadline_ns);
	long n = mg_sys(SYS_ppoll, &pfd, 1, deadline_ns == MG_TIME_NEVER ? NULL : &left, NULL, 8);

	return n < 0 ? (int)n : n == 0 ? -ETIMEDOUT : 0;
}

static int accept_loop(int fd, struct mg_sock *s, struct sockaddr *addr, socklen_t *len, int flags)
{
	uint64_t deadline_ns = MG_TIME_NEVER;
	uint32_t key;
	bool lives;
	int r;

	if (s->rcvtimeo_us > 0)
		deadline_ns = mg_time_after(mg_clock_ns(), (uint64_t)s->rcvtimeo_us * 1000);
	for (;;) {
		if (atomic_load(&s->shut) || mg_sock_kind(s) != MG_SOCK_LISTENER)
			return -EINVAL;
		lives = mg_sock_relisten(fd, s);
		key = mg_ctx_key(&s->lst->src.seq);
		r = accept_once(fd, s, addr, len, flags);
		if (r != -EAGAIN || s->nonblock || mg_sock_is_stale(fd, s))
			return r;
		r = lives ? wait_both(fd, s, key, deadline_ns)
			  : wait_kernel(s->both ? mg_sock_holder(s, fd) : -1,
					mg_sock_relisten_deadline(deadline_ns));
		if (r == -ETIMEDOUT && mg_clock_ns() >= deadline_ns)
			return -EAGAIN;
		if (r == -EINTR && (deadline_ns != MG_TIME_NEVER || !mg_signal_restarts()))
			return r;
	}
}

int mg_sock_accept(int fd, struct mg_sock *s, struct sockaddr *addr, socklen_t *len, int flags)
{
	int r;

	if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0 || mg_sock_kind(s) != MG_SOCK_LISTENER)
		return -EINVAL;
	/* Whoever takes the listener away (shutdown) waits for us to be gone. */
	(void)atomic_fetch_add(&s->accepting, 1);
	r = accept_loop(fd, s, addr, len, flags);
	(void)atomic_fetch_sub(&s->accepting, 1);
	return r;
}
