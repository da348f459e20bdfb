/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall.c - libc's syscall(), for programs that call the kernel by number.
 *
 * Idea:    a number whose function this library defines goes there; the rest goes to the kernel. What is different
 *          between a system call and libc's function of its name (sizes of signal sets, flags in place of variants)
 *          is put right here.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libclient/preload/confine.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sys.h"

/* Numbers are the caller's words; pointers among them are as good as the kernel would find them. */
#define P(type, word) ((type)(uintptr_t)(word))
#define I(word) ((int)(word))

struct words {
	long nr;
	long a[6];
};

/* True: *ret is the answer. */
static bool call_data(const struct words *w, long *ret)
{
	const long *a = w->a;

	switch (w->nr) {
	case SYS_read:
		*ret = read(I(a[0]), P(void *, a[1]), (size_t)a[2]);
		return true;
	case SYS_write:
		*ret = write(I(a[0]), P(void *, a[1]), (size_t)a[2]);
		return true;
	case SYS_readv:
		*ret = readv(I(a[0]), P(struct iovec *, a[1]), I(a[2]));
		return true;
	case SYS_writev:
		*ret = writev(I(a[0]), P(struct iovec *, a[1]), I(a[2]));
		return true;
	case SYS_recvfrom:
		*ret = recvfrom(I(a[0]), P(void *, a[1]), (size_t)a[2], I(a[3]),
				P(struct sockaddr *, a[4]), P(socklen_t *, a[5]));
		return true;
	case SYS_sendto:
		*ret = sendto(I(a[0]), P(void *, a[1]), (size_t)a[2], I(a[3]),
			      P(struct sockaddr *, a[4]), (socklen_t)a[5]);
		return true;
	case SYS_recvmsg:
		*ret = recvmsg(I(a[0]), P(struct msghdr *, a[1]), I(a[2]));
		return true;
	case SYS_sendmsg:
		*ret = sendmsg(I(a[0]), P(struct msghdr *, a[1]), I(a[2]));
		return true;
	case SYS_recvmmsg:
		*ret = recvmmsg(I(a[0]), P(struct mmsghdr *, a[1]), (unsigned int)a[2], I(a[3]),
				P(struct timespec *, a[4]));
		return true;
	case SYS_sendmmsg:
		*ret = sendmmsg(I(a[0]), P(struct mmsghdr *, a[1]), (unsigned int)a[2], I(a[3]));
		return true;
	case SYS_sendfile:
		*ret = sendfile(I(a[0]), I(a[1]), P(off_t *, a[2]), (size_t)a[3]);
		return true;
	case SYS_splice:
		*ret = splice(I(a[0]), P(off64_t *, a[1]), I(a[2]), P(off64_t *, a[3]),
			      (size_t)a[4], (unsigned int)a[5]);
		return true;
	default:
		return false;
	}
}

static bool call_socket(const struct words *w, long *ret)
{
	const long *a = w->a;
	struct sockaddr *addr = P(struct sockaddr *, a[1]);

	switch (w->nr) {
	case SYS_socket:
		*ret = socket(I(a[0]), I(a[1]), I(a[2]));
		return true;
	case SYS_bind:
		*ret = bind(I(a[0]), addr, (socklen_t)a[2]);
		return true;
	case SYS_connect:
		*ret = connect(I(a[0]), addr, (socklen_t)a[2]);
		return true;
	case SYS_listen:
		*ret = listen(I(a[0]), I(a[1]));
		return true;
	case SYS_accept:
		*ret = accept(I(a[0]), addr, P(socklen_t *, a[2]));
		return true;
	case SYS_accept4:
		*ret = accept4(I(a[0]), addr, P(socklen_t *, a[2]), I(a[3]));
		return true;
	case SYS_shutdown:
		*ret = shutdown(I(a[0]), I(a[1]));
		return true;
	case SYS_getsockname:
		*ret = getsockname(I(a[0]), addr, P(socklen_t *, a[2]));
		return true;
	case SYS_getpeername:
		*ret = getpeername(I(a[0]), addr, P(socklen_t *, a[2]));
		return true;
	case SYS_setsockopt:
		*ret = setsockopt(I(a[0]), I(a[1]), I(a[2]), P(void *, a[3]), (socklen_t)a[4]);
		return true;
	case SYS_getsockopt:
		*ret = getsockopt(I(a[0]), I(a[1]), I(a[2]), P(void *, a[3]), P(socklen_t *, a[4]));
		return true;
	default:
		return false;
	}
}

static bool call_fd(const struct words *w, long *ret)
{
	const long *a = w->a;

	switch (w->nr) {
	case SYS_close:
		*ret = close(I(a[0]));
		return true;
	case SYS_close_range:
		*ret = close_range((unsigned int)a[0], (unsigned int)a[1], I(a[2]));
		return true;
	case SYS_dup:
		*ret = dup(I(a[0]));
		return true;
	case SYS_dup3:
		*ret = dup3(I(a[0]), I(a[1]), I(a[2]));
		return true;
	case SYS_fcntl:
		*ret = fcntl(I(a[0]), I(a[1]), a[2]);
		return true;
	case SYS_ioctl:
		*ret = ioctl(I(a[0]), (unsigned long)a[1], P(void *, a[2]));
		return true;
#ifdef SYS_dup2
	case SYS_dup2:
		*ret = dup2(I(a[0]), I(a[1]));
		return true;
#endif
	default:
		return false;
	}
}

static bool call_epoll(const struct words *w, long *ret)
{
	const long *a = w->a;
	struct epoll_event *events = P(struct epoll_event *, a[1]);

	switch (w->nr) {
	case SYS_epoll_create1:
		*ret = epoll_create1(I(a[0]));
		return true;
	case SYS_epoll_ctl:
		*ret = epoll_ctl(I(a[0]), I(a[1]), I(a[2]), P(struct epoll_event *, a[3]));
		return true;
	case SYS_epoll_pwait:
		*ret = epoll_pwait(I(a[0]), events, I(a[2]), I(a[3]), P(sigset_t *, a[4]));
		return true;
	case SYS_epoll_pwait2:
		*ret = epoll_pwait2(I(a[0]), events, I(a[2]), P(struct timespec *, a[3]),
				    P(sigset_t *, a[4]));
		return true;
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
		*ret = epoll_wait(I(a[0]), events, I(a[2]), I(a[3]));
		return true;
	case SYS_epoll_create:
		*ret = epoll_create(I(a[0]));
		return true;
#endif
	default:
		return false;
	}
}

/* pselect6's last word: where the mask is, and its size. */
struct packed_mask {
	const sigset_t *mask;
	size_t bytes;
};

static bool call_poll(const struct words *w, long *ret)
{
	const long *a = w->a;
	const struct packed_mask *packed;

	switch (w->nr) {
	case SYS_ppoll:
		*ret = ppoll(P(struct pollfd *, a[0]), (nfds_t)a[1], P(struct timespec *, a[2]),
			     P(sigset_t *, a[3]));
		return true;
	case SYS_pselect6:
		packed = P(const struct packed_mask *, a[5]);
		*ret = pselect(I(a[0]), P(fd_set *, a[1]), P(fd_set *, a[2]), P(fd_set *, a[3]),
			       P(struct timespec *, a[4]), packed != NULL ? packed->mask : NULL);
		return true;
#ifdef SYS_poll
	case SYS_poll:
		*ret = poll(P(struct pollfd *, a[0]), (nfds_t)a[1], I(a[2]));
		return true;
	case SYS_select:
		*ret = select(I(a[0]), P(fd_set *, a[1]), P(fd_set *, a[2]), P(fd_set *, a[3]),
			      P(struct timeval *, a[4]));
		return true;
#endif
	default:
		return false;
	}
}

MG_EXPORT long syscall(long nr, ...)
{
	struct words w = { .nr = nr };
	va_list args;
	long ret;

	va_start(args, nr);
	for (int i = 0; i < 6; i++)
		w.a[i] = va_arg(args, long);
	va_end(args);
	if (nr == SYS_futex) /* by far the most */
		return mg_sys_ret(mg_sys6(nr, w.a));
	if (nr == SYS_prctl || nr == SYS_seccomp)
		return mg_confine_syscall(nr, w.a);
	if (call_data(&w, &ret) || call_socket(&w, &ret) || call_fd(&w, &ret) ||
	    call_epoll(&w, &ret) || call_poll(&w, &ret))
		return ret;
	return mg_sys_ret(mg_sys6(nr, w.a));
}
