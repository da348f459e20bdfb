/* SPDX-License-Identifier: Apache-2.0 */
/* calls_data.c - reading and writing, as the program sees it: mangod's connection, or libc. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/preload/calls.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"

static ssize_t result(int64_t n)
{
	if (mg_likely(n >= 0))
		return (ssize_t)n;
	errno = (int)-n;
	return -1;
}

/* A descriptor that libc is to be asked about: not if it is one of ours. */
#define LIBC(fd, call)                                \
	do {                                          \
		if (mg_unlikely(mg_fd_is_hidden(fd))) \
			return (int)result(-EBADF);   \
		return call;                          \
	} while (0)

/* The number was closed or replaced behind our back: whatever it is now, libc knows. */
static ssize_t recv_libc(int fd, const struct iovec *iov, int nr, int flags)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)nr };

	return flags != 0 ? MG_REAL(recvmsg)(fd, &msg, flags) : MG_REAL(readv)(fd, iov, nr);
}

static ssize_t send_libc(int fd, const struct iovec *iov, int nr, int flags)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)nr };

	return flags != 0 ? MG_REAL(sendmsg)(fd, &msg, flags) : MG_REAL(writev)(fd, iov, nr);
}

static ssize_t recv_iov(int fd, struct mg_sock *s, const struct iovec *iov, int nr, int flags)
{
	int64_t n = mg_sock_recv(fd, s, iov, nr, flags);

	mg_sock_put(s);
	if (mg_unlikely(n == -MG_ESTALE_FD))
		return recv_libc(fd, iov, nr, flags);
	return result(n);
}

static ssize_t send_iov(int fd, struct mg_sock *s, const struct iovec *iov, int nr, int flags)
{
	int64_t n = mg_sock_sigpipe(mg_sock_send(fd, s, iov, nr, flags), flags);

	mg_sock_put(s);
	if (mg_unlikely(n == -MG_ESTALE_FD))
		return send_libc(fd, iov, nr, flags);
	return result(n);
}

MG_EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	struct iovec iov = { buf, n };

	if (mg_likely(s == NULL))
		LIBC(fd, MG_REAL(read)(fd, buf, n));
	if (mg_unlikely(n == 0)) {
		mg_sock_put(s);
		return 0;
	}
	return recv_iov(fd, s, &iov, 1, 0);
}

MG_EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	struct iovec iov = { (void *)(uintptr_t)buf, n };

	if (mg_likely(s == NULL))
		LIBC(fd, MG_REAL(write)(fd, buf, n));
	return send_iov(fd, s, &iov, 1, 0);
}

static int check_iov(const struct iovec *iov, int nr)
{
	if (nr < 0 || nr > IOV_MAX)
		return -EINVAL;
	if (iov == NULL && nr > 0)
		return -EFAULT;
	for (int i = 0; i < nr; i++) {
		if ((ssize_t)iov[i].iov_len < 0)
			return -EINVAL;
	}
	return 0;
}

MG_EXPORT ssize_t readv(int fd, const struct iovec *iov, int nr)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	int err;

	if (mg_likely(s == NULL))
		LIBC(fd, MG_REAL(readv)(fd, iov, nr));
	err = check_iov(iov, nr);
	if (err < 0) {
		mg_sock_put(s);
		return result(err);
	}
	return recv_iov(fd, s, iov, nr, 0);
}

MG_EXPORT ssize_t writev(int fd, const struct iovec *iov, int nr)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	int err;

	if (mg_likely(s == NULL))
		LIBC(fd, MG_REAL(writev)(fd, iov, nr));
	err = check_iov(iov, nr);
	if (err < 0) {
		mg_sock_put(s);
		return result(err);
	}
	return send_iov(fd, s, iov, nr, 0);
}

MG_EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	struct iovec iov = { buf, n };

	if (mg_likely(s == NULL))
		LIBC(fd, MG_REAL(recv)(fd, buf, n, flags));
	return recv_iov(fd, s, &iov, 1, flags);
}

MG_EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t n, int flags,
			   struct sockaddr *restrict addr, socklen_t *restrict len)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	struct iovec iov = { buf, n };

	if (mg_likely(s == NULL))
		LIBC(fd, MG_REAL(recvfrom)(fd, buf, n, flags, addr, len));
	if (addr != NULL && len != NULL)
		*len = 0; /* a stream has no senders */
	return recv_iov(fd, s, &iov, 1, flags);
}

MG_EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	struct iovec iov = { (void *)(uintptr_t)buf, n };

	if (mg_likely(s == NULL))
		LIBC(fd, MG_REAL(send)(fd, buf, n, flags));
	return send_iov(fd, s, &iov, 1, flags);
}

MG_EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
			 socklen_t len)
{
	struct mg_sock *s;
	struct iovec iov = { (void *)(uintptr_t)buf, n };

	if (mg_unlikely((flags & MSG_FASTOPEN) != 0 && addr != NULL) &&
	    mg_calls_fastopen(fd, addr, len) < 0)
		return -1;
	s = mg_sock_get_conn(fd);
	if (mg_likely(s == NULL))
		LIBC(fd, MG_REAL(sendto)(fd, buf, n, flags, addr, len));
	return send_iov(fd, s, &iov, 1, flags);
}

/* ---- messages ---- */

MG_EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	int err;

	if (mg_likely(s == NULL))
		LIBC(fd, mg_calls_recvmsg(fd, msg, flags));
	err = msg == NULL ? -EFAULT : check_iov(msg->msg_iov, (int)msg->msg_iovlen);
	if (err < 0 || msg->msg_iovlen > IOV_MAX) {
		mg_sock_put(s);
		return result(err < 0 ? err : -EMSGSIZE);
	}
	msg->msg_namelen = 0;
	msg->msg_controllen = 0;
	msg->msg_flags = (flags & MSG_OOB) != 0 ? MSG_OOB : 0;
	return recv_iov(fd, s, msg->msg_iov, (int)msg->msg_iovlen, flags & ~MSG_CMSG_CLOEXEC);
}

MG_EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct mg_sock *s;
	int err;

	if (mg_unlikely((flags & MSG_FASTOPEN) != 0) && msg->msg_name != NULL &&
	    mg_calls_fastopen(fd, msg->msg_name, msg->msg_namelen) < 0)
		return -1;
	s = mg_sock_get_conn(fd);
	if (mg_likely(s == NULL))
		LIBC(fd, mg_calls_sendmsg(fd, msg, flags));
	err = msg == NULL ? -EFAULT : check_iov(msg->msg_iov, (int)msg->msg_iovlen);
	if (err < 0 || msg->msg_iovlen > IOV_MAX) {
		mg_sock_put(s);
		return result(err < 0 ? err : -EMSGSIZE);
	}
	return send_iov(fd, s, msg->msg_iov, (int)msg->msg_iovlen, flags);
}

MG_EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags,
		       struct timespec *timeout)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	unsigned int i;

	if (mg_likely(s == NULL))
		LIBC(fd, MG_REAL(recvmmsg)(fd, msgs, n, flags, timeout));
	mg_sock_put(s);
	for (i = 0; i < n; i++) {
		ssize_t got = recvmsg(fd, &msgs[i].msg_hdr, flags & ~MSG_WAITFORONE);

		if (got < 0)
			break;
		msgs[i].msg_len = (unsigned int)got;
		if ((flags & MSG_WAITFORONE) != 0)
			flags |= MSG_DONTWAIT;
		if (got == 0 && msgs[i].msg_hdr.msg_iovlen > 0) {
			i++;
			break; /* the end of the stream is told once */
		}
	}
	return i > 0 || n == 0 ? (int)i : -1;
}

MG_EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	unsigned int i;

	if (mg_likely(s == NULL))
		LIBC(fd, MG_REAL(sendmmsg)(fd, msgs, n, flags));
	mg_sock_put(s);
	for (i = 0; i < n; i++) {
		ssize_t sent = sendmsg(fd, &msgs[i].msg_hdr, flags);

		if (sent < 0)
			break;
		msgs[i].msg_len = (unsigned int)sent;
	}
	return i > 0 || n == 0 ? (int)i : -1;
}

/* ---- with an offset, which a socket does not have ---- */

static bool is_conn(int fd)
{
	struct mg_sock *s = mg_sock_get_conn(fd);

	if (s != NULL)
		mg_sock_put(s);
	return s != NULL;
}

static ssize_t recv_nowait(int fd, const struct iovec *iov, int nr)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)nr };

	return recvmsg(fd, &msg, MSG_DONTWAIT);
}

MG_EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int nr, off_t offset, int flags)
{
	if (mg_likely(!is_conn(fd)))
		LIBC(fd, MG_REAL(preadv2)(fd, iov, nr, offset, flags));
	if (offset != -1)
		return result(-ESPIPE);
	return (flags & RWF_NOWAIT) != 0 ? recv_nowait(fd, iov, nr) : readv(fd, iov, nr);
}

MG_EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int nr, off_t offset, int flags)
{
	if (mg_likely(!is_conn(fd)))
		LIBC(fd, MG_REAL(pwritev2)(fd, iov, nr, offset, flags));
	return offset == -1 ? writev(fd, iov, nr) : result(-ESPIPE);
}

/* ---- fortified forms: as libc, they end a program that would overrun ---- */

MG_EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	if (n > room)
		abort();
	return read(fd, buf, n);
}

MG_EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
	if (n > room)
		abort();
	return recv(fd, buf, n, flags);
}

/* NOLINTNEXTLINE(readability-function-size): seven parameters, as glibc has it */
MG_EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t buflen, int flags,
				 struct sockaddr *addr, socklen_t *addrlen)
{
	if (len > buflen)
		abort();
	return recvfrom(fd, buf, len, flags, addr, addrlen);
}
