/* SPDX-License-Identifier: Apache-2.0 */
/* calls.c - the life of sockets, as the program sees it. */
#include <errno.h>
#include <netinet/in.h>

#include "libclient/preload/calls.h"
#include "libclient/preload/face.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"

#define TO_LIBC 1

static int result(int r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

MG_EXPORT int socket(int domain, int type, int protocol)
{
	int fd = MG_REAL(socket)(domain, type, protocol);
	struct mg_sock *s;

	if (fd < 0 || (domain != AF_INET && domain != AF_INET6) ||
	    (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM ||
	    (protocol != 0 && protocol != IPPROTO_TCP) || !mg_face_enabled())
		return fd;
	/* Without memory for it the socket is the kernel's. */
	if (mg_sock_new(fd, domain, (type & SOCK_NONBLOCK) != 0, &s) == 0) {
		mg_fd_set(fd, &s->obj);
		mg_sock_put(s);
	}
	return fd;
}

MG_EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct mg_sock *s = mg_sock_get(fd);
	int err = TO_LIBC;

	if (s != NULL) {
		err = mg_sock_bind(fd, s, addr, len);
		mg_sock_put(s);
	}
	return err == TO_LIBC ? MG_REAL(bind)(fd, addr, len) : result(err);
}

/* The policy has spoken for the kernel: nobody needs to look at this number again. */
static void forget_if_kernel(int fd, const struct mg_sock *s)
{
	if (mg_sock_kind(s) == MG_SOCK_KERNEL)
		(void)mg_fd_clear(fd);
}

MG_EXPORT int listen(int fd, int backlog)
{
	struct mg_sock *s = mg_sock_get(fd);
	int err = TO_LIBC;

	if (s != NULL) {
		err = mg_sock_listen(fd, s, backlog);
		forget_if_kernel(fd, s);
		mg_sock_put(s);
	}
	return err == TO_LIBC ? MG_REAL(listen)(fd, backlog) : result(err);
}

MG_EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct mg_sock *s = mg_sock_get(fd);
	int err = TO_LIBC;

	if (s != NULL) {
		err = mg_sock_connect(fd, s, addr, len);
		forget_if_kernel(fd, s);
		mg_sock_put(s);
	}
	return err == TO_LIBC ? MG_REAL(connect)(fd, addr, len) : result(err);
}

int mg_calls_fastopen(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct mg_sock *s = mg_sock_get(fd);
	int err = 0;

	if (s == NULL)
		return 0;
	if (mg_sock_kind(s) == MG_SOCK_NEW) {
		err = mg_sock_connect_fast(fd, s, addr, len);
		if (err == TO_LIBC)
			err = 0; /* the kernel's send() connects */
		forget_if_kernel(fd, s);
	}
	mg_sock_put(s);
	return result(err);
}

MG_EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct mg_sock *s = mg_sock_get_served(fd);
	int r;

	if (s == NULL)
		return MG_REAL(accept4)(fd, addr, len, flags);
	r = mg_sock_accept(fd, s, addr, len, flags);
	mg_sock_put(s);
	return result(r);
}

MG_EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct mg_sock *s = mg_sock_get_served(fd);
	int r;

	if (s == NULL)
		return MG_REAL(accept)(fd, addr, len);
	r = mg_sock_accept(fd, s, addr, len, 0);
	mg_sock_put(s);
	return result(r);
}

MG_EXPORT int shutdown(int fd, int how)
{
	struct mg_sock *s = mg_sock_get_served(fd);
	int r;

	if (s == NULL)
		return mg_fd_is_hidden(fd) ? result(-EBADF) : MG_REAL(shutdown)(fd, how);
	r = mg_sock_shutdown(fd, s, how);
	mg_sock_put(s);
	return result(r);
}

MG_EXPORT int getsockname(int fd, struct sockaddr *restrict addr, socklen_t *restrict len)
{
	struct mg_sock *s = mg_sock_get_served(fd);
	int r = TO_LIBC;

	if (s != NULL) {
		r = mg_sock_names(s, false, addr, len);
		mg_sock_put(s);
	}
	return r == TO_LIBC ? MG_REAL(getsockname)(fd, addr, len) : result(r);
}

MG_EXPORT int getpeername(int fd, struct sockaddr *restrict addr, socklen_t *restrict len)
{
	struct mg_sock *s = mg_sock_get_served(fd);
	int r = TO_LIBC;

	if (s != NULL) {
		r = mg_sock_names(s, true, addr, len);
		mg_sock_put(s);
	}
	return r == TO_LIBC ? MG_REAL(getpeername)(fd, addr, len) : result(r);
}

MG_EXPORT int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct mg_sock *s = mg_sock_get(fd);
	int r = TO_LIBC;

	if (s != NULL) {
		r = mg_sock_setsockopt(
			fd, s, &(struct mg_sockopt){ level, name, (void *)(uintptr_t)val, &len });
		mg_sock_put(s);
	}
	return r == TO_LIBC ? MG_REAL(setsockopt)(fd, level, name, val, len) : result(r);
}

MG_EXPORT int getsockopt(int fd, int level, int name, void *restrict val, socklen_t *restrict len)
{
	struct mg_sock *s = mg_sock_get(fd);
	int r = TO_LIBC;

	if (s != NULL) {
		r = mg_sock_getsockopt(fd, s, &(struct mg_sockopt){ level, name, val, len });
		mg_sock_put(s);
	}
	return r == TO_LIBC ? MG_REAL(getsockopt)(fd, level, name, val, len) : result(r);
}

MG_EXPORT int sockatmark(int fd)
{
	struct mg_sock *s = mg_sock_get_conn(fd);
	int64_t ahead;
	int at;

	if (s == NULL)
		return MG_REAL(sockatmark)(fd);
	at = mg_conn_urgent(s->conn, &ahead) && ahead == 1;
	mg_sock_put(s);
	return at;
}
