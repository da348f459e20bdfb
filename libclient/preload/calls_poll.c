/* SPDX-License-Identifier: Apache-2.0 */
/* calls_poll.c - poll, ppoll, select, pselect and the epoll calls, as the program sees them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "libclient/core/clock.h"
#include "libclient/preload/epoll.h"
#include "libclient/preload/face.h"
#include "libclient/preload/poll.h"
#include "libclient/preload/real.h"
#include "libclient/preload/table.h"

static int result(int n)
{
	if (n >= 0)
		return n;
	errno = -n;
	return -1;
}

static uint64_t deadline_of(const struct timespec *timeout)
{
	uint64_t ns;

	if (timeout == NULL)
		return MG_TIME_NEVER;
	ns = (uint64_t)timeout->tv_sec * MG_NS_PER_S + (uint64_t)timeout->tv_nsec;
	return ns == 0 ? 0 : mg_time_after(mg_clock_ns(), ns);
}

static uint64_t deadline_ms(int timeout)
{
	return timeout == 0 ? 0 : mg_clock_deadline(timeout);
}

static bool is_valid(const struct timespec *t)
{
	return t == NULL || (t->tv_sec >= 0 && t->tv_nsec >= 0 && t->tv_nsec < 1000000000);
}

MG_EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (mg_likely(!mg_poll_concerns(fds, n)))
		return MG_REAL(poll)(fds, n, timeout);
	return result(mg_poll(fds, n, deadline_ms(timeout), NULL));
}

MG_EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		    const sigset_t *sigmask)
{
	if (mg_likely(!mg_poll_concerns(fds, n)))
		return MG_REAL(ppoll)(fds, n, timeout, sigmask);
	if (!is_valid(timeout))
		return result(-EINVAL);
	return result(mg_poll(fds, n, deadline_of(timeout), sigmask));
}

MG_EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t bytes)
{
	if (bytes / sizeof(*fds) < n)
		abort(); /* as libc does */
	return poll(fds, n, timeout);
}

MG_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
			  const sigset_t *sigmask, size_t bytes)
{
	if (bytes / sizeof(*fds) < n)
		abort(); /* as libc does */
	return ppoll(fds, n, timeout, sigmask);
}

/* ---- select ---- */

/* Sets may be larger than fd_set when the program knows what it does. */
static bool has(const fd_set *set, int fd)
{
	return set != NULL &&
	       (((const unsigned long *)(const void *)set)[fd / (8 * (int)sizeof(long))] >>
			(fd % (8 * (int)sizeof(long))) &
		1) != 0;
}

static void put(fd_set *set, int fd)
{
	((unsigned long *)(void *)
		 set)[fd / (8 * (int)sizeof(long))] |= 1ul << (fd % (8 * (int)sizeof(long)));
}

static void clear(fd_set *set, int nfds)
{
	int words = (nfds + 8 * (int)sizeof(long) - 1) / (8 * (int)sizeof(long));

	if (set != NULL)
		memset(set, 0, (size_t)words * sizeof(long));
}

static bool select_concerns(int nfds, const fd_set *r, const fd_set *w, const fd_set *e)
{
	for (int fd = 0; fd < nfds; fd++) {
		if (mg_fd_peek(fd) != NULL && (has(r, fd) || has(w, fd) || has(e, fd)))
			return true;
	}
	return false;
}

static nfds_t from_sets(int nfds, const fd_set *const sets[3], struct pollfd *fds)
{
	nfds_t n = 0;

	for (int fd = 0; fd < nfds; fd++) {
		short events = (short)((has(sets[0], fd) ? POLLIN : 0) |
				       (has(sets[1], fd) ? POLLOUT : 0) |
				       (has(sets[2], fd) ? POLLPRI : 0));

		if (events != 0)
			fds[n++] = (struct pollfd){ .fd = fd, .events = events };
	}
	return n;
}

/* As the kernel: errors and hang-ups make readable, errors make writable. */
static int to_sets(const struct pollfd *fds, nfds_t n, fd_set *const sets[3])
{
	static const short meaning[3] = { POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI };
	static const short asked[3] = { POLLIN, POLLOUT, POLLPRI };
	int ready = 0;

	for (nfds_t i = 0; i < n; i++) {
		for (int k = 0; k < 3; k++) {
			if ((fds[i].events & asked[k]) == 0 || (fds[i].revents & meaning[k]) == 0)
				continue;
			put(sets[k], fds[i].fd);
			ready++;
		}
	}
	return ready;
}

static int select_mixed(int nfds, fd_set *sets[3], uint64_t deadline_ns, const sigset_t *sigmask)
{
	const fd_set *const from[3] = { sets[0], sets[1], sets[2] };
	struct pollfd few[64], *fds = few;
	nfds_t n;
	int ready;

	if (nfds > 64)
		fds = calloc((size_t)nfds, sizeof(*fds));
	if (fds == NULL)
		return -ENOMEM;
	n = from_sets(nfds, from, fds);
	ready = mg_poll(fds, n, deadline_ns, sigmask);
	for (nfds_t i = 0; i < n && ready > 0; i++) {
		if ((fds[i].revents & POLLNVAL) != 0)
			ready = -EBADF;
	}
	if (ready >= 0) {
		for (int k = 0; k < 3; k++)
			clear(sets[k], nfds);
		ready = to_sets(fds, n, sets);
	}
	if (fds != few)
		free(fds);
	return ready;
}

MG_EXPORT int select(int nfds, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
{
	fd_set *sets[3] = { r, w, e };
	uint64_t deadline_ns = MG_TIME_NEVER, us;
	struct timespec left;
	int n;

	if (mg_likely(!select_concerns(nfds, r, w, e)))
		return MG_REAL(select)(nfds, r, w, e, timeout);
	if (timeout != NULL) {
		if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
			return result(-EINVAL);
		us = (uint64_t)timeout->tv_sec * 1000000 + (uint64_t)timeout->tv_usec;
		deadline_ns = us == 0 ? 0 : mg_time_after(mg_clock_ns(), us * 1000);
	}
	n = select_mixed(nfds, sets, deadline_ns, NULL);
	if (timeout != NULL && deadline_ns != 0) { /* Linux says what is left */
		left = mg_clock_left(deadline_ns);
		*timeout = (struct timeval){ left.tv_sec, left.tv_nsec / 1000 };
	}
	return result(n);
}

MG_EXPORT int pselect(int nfds, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout,
		      const sigset_t *sigmask)
{
	fd_set *sets[3] = { r, w, e };

	if (mg_likely(!select_concerns(nfds, r, w, e)))
		return MG_REAL(pselect)(nfds, r, w, e, timeout, sigmask);
	if (!is_valid(timeout))
		return result(-EINVAL);
	return result(select_mixed(nfds, sets, deadline_of(timeout), sigmask));
}

/* ---- epoll ---- */

static int created(int epfd)
{
	if (epfd >= 0 && mg_face_enabled())
		(void)mg_ep_new(epfd); /* without memory the set is the kernel's alone */
	return epfd;
}

MG_EXPORT int epoll_create(int size)
{
	return created(MG_REAL(epoll_create)(size));
}

MG_EXPORT int epoll_create1(int flags)
{
	return created(MG_REAL(epoll_create1)(flags));
}

MG_EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	struct mg_ep *set = mg_ep_get(epfd);
	int err;

	if (set == NULL) {
		if (mg_fd_is_hidden(epfd) || mg_fd_is_hidden(fd))
			return result(-EBADF);
		return MG_REAL(epoll_ctl)(epfd, op, fd, event);
	}
	err = mg_ep_ctl(set, epfd, op, fd, event);
	mg_ep_put(set);
	return result(err);
}

static int ep_wait(struct mg_ep *set, int epfd, const struct mg_ep_wait *call)
{
	int n;

	if (call->max <= 0)
		n = -EINVAL;
	else if (call->events == NULL)
		n = -EFAULT;
	else
		n = mg_ep_wait(set, epfd, call);
	mg_ep_put(set);
	return result(n);
}

MG_EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout,
			  const sigset_t *sigmask)
{
	struct mg_ep *set = mg_ep_get(epfd);

	if (set == NULL)
		return MG_REAL(epoll_pwait)(epfd, events, max, timeout, sigmask);
	return ep_wait(set, epfd,
		       &(struct mg_ep_wait){ events, max, deadline_ms(timeout), sigmask });
}

MG_EXPORT int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	struct mg_ep *set = mg_ep_get(epfd);

	if (set == NULL)
		return MG_REAL(epoll_wait)(epfd, events, max, timeout);
	return ep_wait(set, epfd, &(struct mg_ep_wait){ events, max, deadline_ms(timeout), NULL });
}

MG_EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int max,
			   const struct timespec *timeout, const sigset_t *sigmask)
{
	struct mg_ep *set = mg_ep_get(epfd);

	if (set == NULL)
		return MG_REAL(epoll_pwait2)(epfd, events, max, timeout, sigmask);
	if (!is_valid(timeout)) {
		mg_ep_put(set);
		return result(-EINVAL);
	}
	return ep_wait(set, epfd,
		       &(struct mg_ep_wait){ events, max, deadline_of(timeout), sigmask });
}
