/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/internal.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libclient/preload/confine.h"
#include "libclient/preload/sys.h"
#include "libclient/preload/table.h"

#define KERNEL_SIGSET_BYTES 8
/* Numbers that we take are at the end of what the limit allows, but not beyond this. */
#define HIGH_MAX 32000u
#define HIGH_ROOM 192u

static unsigned int high_base(void)
{
	struct rlimit limit = { .rlim_cur = 1024 };
	unsigned long top;

	(void)mg_sys(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	top = limit.rlim_cur > HIGH_MAX ? HIGH_MAX : (unsigned long)limit.rlim_cur;
	return top > 2 * HIGH_ROOM ? (unsigned int)top - HIGH_ROOM : (unsigned int)top / 2;
}

int mg_internal_fd(int fd)
{
	long high;

	if (fd < 0)
		return fd;
	high = mg_sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, high_base());
	if (high >= 0) {
		(void)mg_sys(SYS_close, fd);
		fd = (int)high;
	}
	mg_fd_hide(fd);
	return fd;
}

/* Wake-up descriptors of threads: closed when the thread ends. */
static pthread_key_t wake_key;
static pthread_once_t wake_once = PTHREAD_ONCE_INIT;
static _Thread_local int wake_fd; /* number + 1; 0: none yet */

static void end_thread(void *fd_plus_one)
{
	(void)mg_internal_close((int)(intptr_t)fd_plus_one - 1);
	wake_fd = 0;
}

static void make_key(void)
{
	(void)pthread_key_create(&wake_key, end_thread); /* without keys they stay until exit */
}

int mg_internal_wake_fd(void)
{
	long fd;

	if (mg_likely(wake_fd != 0))
		return wake_fd - 1;
	fd = mg_sys(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return (int)fd;
	fd = mg_internal_fd((int)fd);
	wake_fd = (int)fd + 1;
	(void)pthread_once(&wake_once, make_key);
	(void)pthread_setspecific(wake_key, (void *)(intptr_t)wake_fd);
	return (int)fd;
}

void mg_internal_forked(void)
{
	mg_confine_forked();
	if (wake_fd == 0)
		return;
	(void)mg_internal_close(wake_fd - 1);
	wake_fd = 0;
	(void)pthread_setspecific(wake_key, NULL);
}

int mg_internal_close(int fd)
{
	if (fd < 0)
		return 0;
	mg_fd_unhide(fd);
	return (int)mg_sys_ret(mg_sys(SYS_close, fd));
}

int mg_internal_socket(int domain, int type, int protocol)
{
	return mg_internal_fd((int)mg_sys_ret(mg_sys(SYS_socket, domain, type, protocol)));
}

int mg_internal_eventfd(unsigned int value, int flags)
{
	return mg_internal_fd((int)mg_sys_ret(mg_sys(SYS_eventfd2, value, flags)));
}

int mg_internal_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)mg_sys_ret(mg_sys(SYS_connect, fd, addr, len));
}

int mg_internal_shutdown(int fd, int how)
{
	return (int)mg_sys_ret(mg_sys(SYS_shutdown, fd, how));
}

int mg_internal_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		      const sigset_t *sigmask)
{
	struct timespec left; /* the kernel writes what is left into it */
	int ret;

	if (mg_confined() && mg_confined_wait(fds, n, timeout, sigmask, &ret))
		return ret;
	if (timeout != NULL)
		left = *timeout;
	return (int)mg_sys_ret(mg_sys(SYS_ppoll, fds, n, timeout != NULL ? &left : NULL, sigmask,
				      KERNEL_SIGSET_BYTES));
}

int mg_internal_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct timespec t = { timeout / 1000, (long)(timeout % 1000) * 1000000 };

	return mg_internal_ppoll(fds, n, timeout < 0 ? NULL : &t, NULL);
}

ssize_t mg_internal_read(int fd, void *buf, size_t n)
{
	return mg_sys_ret(mg_sys(SYS_read, fd, buf, n));
}

ssize_t mg_internal_write(int fd, const void *buf, size_t n)
{
	return mg_sys_ret(mg_sys(SYS_write, fd, buf, n));
}

ssize_t mg_internal_send(int fd, const void *buf, size_t n, int flags)
{
	if (mg_confined())
		return mg_sys_ret(-EPERM);
	return mg_sys_ret(mg_sys(SYS_sendto, fd, buf, n, flags, NULL, 0));
}

ssize_t mg_internal_recv(int fd, void *buf, size_t n, int flags)
{
	return mg_sys_ret(mg_sys(SYS_recvfrom, fd, buf, n, flags, NULL, NULL));
}

/* Descriptors that arrive are the library's: up with them. */
static void lift_fds(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			fd = mg_internal_fd(fd);
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
		}
	}
}

ssize_t mg_internal_recvmsg(int fd, struct msghdr *msg, int flags)
{
	long n = mg_sys(SYS_recvmsg, fd, msg, flags);

	if (n >= 0)
		lift_fds(msg);
	return mg_sys_ret(n);
}

ssize_t mg_internal_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (mg_confined())
		return mg_sys_ret(-EPERM);
	return mg_sys_ret(mg_sys(SYS_sendmsg, fd, msg, flags));
}

int mg_internal_socketpair(int domain, int type, int protocol, int fds[2])
{
	long err = mg_sys(SYS_socketpair, domain, type, protocol, fds);

	if (err < 0)
		return (int)mg_sys_ret(err);
	fds[0] = mg_internal_fd(fds[0]);
	fds[1] = mg_internal_fd(fds[1]);
	return 0;
}

int mg_internal_fcntl(int fd, int cmd, ...)
{
	va_list args;
	long arg;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	return (int)mg_sys_ret(mg_sys(SYS_fcntl, fd, cmd, arg));
}

int mg_internal_dup3(int from, int to, int flags)
{
	return (int)mg_sys_ret(mg_sys(SYS_dup3, from, to, flags));
}

long mg_internal_syscall(long nr, ...)
{
	va_list args;
	long a[6];

	va_start(args, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	return mg_sys_ret(mg_sys6(nr, a));
}
