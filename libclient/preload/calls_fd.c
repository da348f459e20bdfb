/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls_fd.c - descriptors: close, dup, fcntl, ioctl.
 *
 * Idea:    the kernel does what is asked with the number, and the table follows. Descriptors of our own are not there
 *          for the program: closing everything leaves them, and dup2() onto one of their numbers is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "libclient/preload/calls.h"
#include "libclient/preload/epoll.h"
#include "libclient/preload/face.h"
#include "libclient/preload/internal.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/sys.h"

static int result(int r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

void mg_calls_closing(int fd)
{
	(void)mg_fd_clear(fd);
}

MG_EXPORT int close(int fd)
{
	struct mg_sock *lingering;
	int r;

	if (mg_likely(mg_fd_peek(fd) == NULL))
		return MG_REAL(close)(fd);
	if (mg_fd_is_hidden(fd))
		return result(-EBADF);
	lingering = mg_sock_get_lingering(fd);
	/* The number first: nobody may get it while the entry is there, and nobody does while it is taken. */
	mg_calls_closing(fd);
	r = MG_REAL(close)(fd);
	if (mg_unlikely(lingering != NULL))
		mg_sock_linger_shared(lingering);
	return r;
}

static void forget(int fd, struct mg_obj *obj, void *arg)
{
	(void)arg;
	if (obj != &mg_fd_hidden)
		mg_calls_closing(fd);
}

struct ranges {
	unsigned int next; /* to be closed from here on */
	unsigned int flags;
	long err;
};

/* Everything up to one of ours, which stays. */
static void close_before(int fd, struct mg_obj *obj, void *arg)
{
	struct ranges *r = arg;

	if (obj != &mg_fd_hidden)
		return;
	if ((unsigned int)fd > r->next)
		r->err = mg_sys(SYS_close_range, r->next, (unsigned int)fd - 1, r->flags);
	r->next = (unsigned int)fd + 1;
}

static int close_all(unsigned int first, unsigned int last, unsigned int flags)
{
	struct ranges r = { .next = first, .flags = flags };

	if (first > last ||
	    (flags & ~(unsigned int)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) != 0)
		return -EINVAL;
	if ((flags & CLOSE_RANGE_CLOEXEC) == 0)
		mg_fd_each(first, last, forget, NULL);
	mg_fd_each(first, last, close_before, &r);
	if (r.err == 0 && r.next <= last)
		r.err = mg_sys(SYS_close_range, r.next, last, flags);
	return (int)r.err;
}

MG_EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	return result(close_all(first, last, (unsigned int)flags));
}

MG_EXPORT void closefrom(int first)
{
	(void)close_all(first < 0 ? 0 : (unsigned int)first, ~0u, 0); /* has no result */
}

/* ---- dup ---- */

void mg_calls_duped(int from, int to)
{
	struct mg_obj *obj = mg_fd_get(from);

	if (obj == NULL)
		return;
	if (mg_fd_reserve(to) == 0)
		mg_fd_set(to, obj);
	mg_obj_put(obj);
}

MG_EXPORT int dup(int fd)
{
	int to;

	if (mg_likely(mg_fd_peek(fd) == NULL))
		return MG_REAL(dup)(fd);
	if (mg_fd_is_hidden(fd))
		return result(-EBADF);
	to = MG_REAL(dup)(fd);
	if (to >= 0)
		mg_calls_duped(fd, to);
	return to;
}

static int dup_onto(int fd, int to, int flags, bool is_dup2)
{
	int r;

	if (mg_fd_is_hidden(fd))
		return result(-EBADF);
	if (fd == to) /* libc knows what that is */
		return is_dup2 ? MG_REAL(dup2)(fd, to) : MG_REAL(dup3)(fd, to, flags);
	if (mg_fd_is_hidden(to))
		return result(-EBUSY); /* the kernel may say so, too; any other number is free */
	r = is_dup2 ? MG_REAL(dup2)(fd, to) : MG_REAL(dup3)(fd, to, flags);
	if (r < 0)
		return r;
	mg_calls_closing(to);
	mg_calls_duped(fd, to);
	return r;
}

MG_EXPORT int dup2(int fd, int to)
{
	if (mg_likely(mg_fd_peek(fd) == NULL && mg_fd_peek(to) == NULL))
		return MG_REAL(dup2)(fd, to);
	return dup_onto(fd, to, 0, true);
}

MG_EXPORT int dup3(int fd, int to, int flags)
{
	if (mg_likely(mg_fd_peek(fd) == NULL && mg_fd_peek(to) == NULL))
		return MG_REAL(dup3)(fd, to, flags);
	return dup_onto(fd, to, flags, false);
}

/* ---- fcntl and ioctl ---- */

static int set_flags(int fd, long flags)
{
	struct mg_sock *s = mg_sock_get(fd);
	int r;

	if (s == NULL)
		return MG_REAL(fcntl)(fd, F_SETFL, flags);
	/* The kernel's half of a listener never blocks: we wait for both. */
	r = MG_REAL(fcntl)(fd, F_SETFL, s->both && s->shadow < 0 ? flags | O_NONBLOCK : flags);
	if (r == 0)
		s->nonblock = (flags & O_NONBLOCK) != 0;
	mg_sock_put(s);
	return r;
}

static int get_flags(int fd)
{
	struct mg_sock *s = mg_sock_get(fd);
	int r = MG_REAL(fcntl)(fd, F_GETFL, 0l);

	if (s == NULL)
		return r;
	if (r >= 0)
		r = s->nonblock ? r | O_NONBLOCK : r & ~O_NONBLOCK;
	mg_sock_put(s);
	return r;
}

MG_EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list args;
	long arg;
	int r;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	if (mg_likely(mg_fd_peek(fd) == NULL))
		return MG_REAL(fcntl)(fd, cmd, arg);
	if (mg_fd_is_hidden(fd))
		return result(-EBADF);
	switch (cmd) {
	case F_SETFL:
		return set_flags(fd, arg);
	case F_GETFL:
		return get_flags(fd);
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		r = MG_REAL(fcntl)(fd, cmd, arg);
		if (r >= 0)
			mg_calls_duped(fd, r);
		return r;
	default:
		return MG_REAL(fcntl)(fd, cmd, arg);
	}
}

int fcntl64(int fd, int cmd, ...)
	__attribute__((alias("fcntl"), visibility("default") MG_COPY(fcntl)));

static int set_nonblocking(int fd, struct mg_sock *s, const int *on)
{
	int value = *on != 0 || (s->both && s->shadow < 0) ? 1 : 0;
	long err = mg_sys(SYS_ioctl, fd, FIONBIO, &value);

	if (err == 0)
		s->nonblock = *on != 0;
	return (int)err;
}

/* Bytes up to the end of the stream, or to the urgent octet. */
static int readable(struct mg_sock *s)
{
	uint32_t n = mg_window_readable(&s->conn->w);
	int64_t ahead;

	if (mg_conn_urgent(s->conn, &ahead) && ahead > 1 && !s->oobinline && (int64_t)n >= ahead)
		return (int)(ahead - 1);
	return (int)n;
}

static int unsent(const struct mg_sock *s)
{
	uint64_t una = atomic_load_explicit(&s->conn->w.shm->tx_una, memory_order_acquire);

	return (int)(mg_window_tx_head(&s->conn->w) - una);
}

/* 1: libc is to do it. */
static int ioctl_conn(struct mg_sock *s, unsigned long request, int *value)
{
	int64_t ahead;

	switch (request) {
	case FIONREAD:
		*value = readable(s);
		return 0;
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		*value = unsent(s);
		return 0;
	case SIOCATMARK:
		*value = mg_conn_urgent(s->conn, &ahead) && ahead == 1;
		return 0;
	default:
		return 1;
	}
}

MG_EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct mg_sock *s;
	va_list args;
	void *arg;
	int r = 1;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	s = mg_sock_get(fd);
	if (mg_likely(s == NULL))
		return mg_fd_is_hidden(fd) ? result(-EBADF) : MG_REAL(ioctl)(fd, request, arg);
	if (request == FIONBIO && arg != NULL)
		r = set_nonblocking(fd, s, arg);
	else if (mg_sock_kind(s) == MG_SOCK_CONN && arg != NULL)
		r = ioctl_conn(s, request, arg);
	mg_sock_put(s);
	return r == 1 ? MG_REAL(ioctl)(fd, request, arg) : result(r);
}
