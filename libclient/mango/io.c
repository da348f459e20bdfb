/* SPDX-License-Identifier: Apache-2.0 */
/* io.c - data: mango_socket_send(), mango_socket_recv() and mango_posix_*(). */
#include <errno.h>
#include <limits.h>

#include "libclient/core/clock.h"
#include "libclient/core/iov.h"
#include "libclient/mango/handle.h"
#include "libclient/mango/mirror.h"

#define PIECES_MAX 64

static uint64_t deadline_us(int64_t timeout_us)
{
	return timeout_us <= 0 ? MG_TIME_NEVER
			       : mg_time_after(mg_clock_ns(), (uint64_t)timeout_us * 1000);
}

/* Waits until the count moves; a time-out is -EAGAIN to the caller, a signal nothing. */
static int wait_conn(struct mg_conn *conn, uint32_t key, uint64_t deadline_ns)
{
	int err = mg_ctx_wait(conn->src.ctx, &conn->src.seq, key, deadline_ns);

	if (err == -EINTR)
		return 0;
	return err == -ETIMEDOUT ? -EAGAIN : err;
}

static int64_t recv_loop(struct mg_socket *sock, const struct iovec *iov, int nr)
{
	struct mg_conn *conn = sock->conn;
	uint64_t deadline_ns = 0;
	uint32_t key;
	int64_t n;
	int err;

	for (;;) {
		key = mg_ctx_key(&conn->src.seq);
		n = mg_conn_recv(conn, iov, nr, false);
		if (n != -EAGAIN || sock->opts.nonblocking)
			return n;
		if (deadline_ns == 0)
			deadline_ns = deadline_us(sock->opts.rcvtimeo_us);
		err = wait_conn(conn, key, deadline_ns);
		if (err < 0)
			return err;
	}
}

int mg_socket_recvv(struct mg_socket *sock, const struct iovec *iov, int nr, size_t *ret)
{
	int64_t n;

	if (ret != NULL)
		*ret = 0;
	if (sock->kind != MG_SOCK_CONN)
		return sock->kind == MG_SOCK_CLOSED ? -EBADF : -ENOTCONN;
	n = recv_loop(sock, iov, nr);
	mg_socket_touched(sock);
	if (n < 0)
		return (int)n;
	if (ret != NULL)
		*ret = (size_t)n;
	return 0;
}

/* Sends until everything is taken, or something stands in the way, which is returned. */
static int send_loop(struct mg_socket *sock, const struct iovec *iov, int nr, bool urgent,
		     uint64_t *ret_done)
{
	uint64_t bytes = mg_iov_bytes(iov, nr);
	struct mg_conn *conn = sock->conn;
	struct iovec left[PIECES_MAX];
	uint64_t deadline_ns = 0;

	while (*ret_done < bytes) {
		uint32_t key = mg_ctx_key(&conn->src.seq);
		int pieces = mg_iov_rest(iov, nr, *ret_done, left, PIECES_MAX);
		int64_t n = urgent ? mg_conn_send_urgent(conn, left, pieces)
				   : mg_conn_send(conn, left, pieces);
		int err;

		if (n > 0) {
			*ret_done += (uint64_t)n;
			continue;
		}
		if (n != -EAGAIN || sock->opts.nonblocking)
			return (int)n;
		if ((mg_conn_ready(conn, MG_READY_OUT) & MG_READY_OUT) != 0)
			continue;
		if (deadline_ns == 0)
			deadline_ns = deadline_us(sock->opts.sndtimeo_us);
		err = wait_conn(conn, key, deadline_ns);
		if (err < 0)
			return err;
	}
	return 0;
}

/* Non-blocking and nobody to tell how much was taken: everything or nothing. */
static int check_fits(const struct mg_socket *sock, uint64_t bytes)
{
	mg_conn_adopt_ring(sock->conn); /* now, so that the room does not change behind our back */
	if (bytes > mg_window_tx_bytes(&sock->conn->w))
		return -EMSGSIZE;
	return mg_conn_status(sock->conn) == 0 && mg_window_writable(&sock->conn->w) < bytes
		       ? -EAGAIN
		       : 0;
}

static int sendv(struct mg_socket *sock, const struct iovec *iov, int nr, bool urgent, size_t *ret)
{
	uint64_t done = 0;
	int err = 0;

	if (ret != NULL)
		*ret = 0;
	if (sock->kind != MG_SOCK_CONN)
		return sock->kind == MG_SOCK_CLOSED ? -EBADF : -ENOTCONN;
	if (ret == NULL && sock->opts.nonblocking)
		err = check_fits(sock, mg_iov_bytes(iov, nr));
	if (err == 0)
		err = send_loop(sock, iov, nr, urgent, &done);
	mg_socket_touched(sock);
	if (ret == NULL)
		return err;
	*ret = (size_t)done;
	return done > 0 ? 0 : err;
}

int mg_socket_sendv(struct mg_socket *sock, const struct iovec *iov, int nr, size_t *ret)
{
	return sendv(sock, iov, nr, false, ret);
}

mango_status_e mango_socket_send_urgent(mango_socket_h h, const void *buf, size_t len,
					size_t *ret_sent)
{
	struct mg_socket *sock = mg_socket_of(h);
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	if (sock == NULL)
		return -EBADF;
	if (buf == NULL && len > 0)
		return -EFAULT;
	return sendv(sock, &iov, 1, true, ret_sent);
}

mango_status_e mango_socket_urgent(mango_socket_h h, int64_t *ret_ahead)
{
	struct mg_socket *sock = mg_socket_of(h);

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (ret_ahead == NULL)
		return -EFAULT;
	if (sock->kind != MG_SOCK_CONN)
		return -ENOTCONN;
	return mg_conn_urgent(sock->conn, ret_ahead) ? 0 : -EAGAIN;
}

mango_status_e mango_socket_send(mango_socket_h h, const void *buf, size_t len, size_t *ret_sent)
{
	struct mg_socket *sock = mg_socket_of(h);
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	if (sock == NULL)
		return -EBADF;
	if (buf == NULL && len > 0)
		return -EFAULT;
	return mg_socket_sendv(sock, &iov, 1, ret_sent);
}

mango_status_e mango_socket_recv(mango_socket_h h, void *buf, size_t len, size_t *ret_received)
{
	struct mg_socket *sock = mg_socket_of(h);
	struct iovec iov = { buf, len };

	if (sock == NULL)
		return -EBADF;
	if (buf == NULL && len > 0)
		return -EFAULT;
	return mg_socket_recvv(sock, &iov, 1, ret_received);
}

static int check_iov(const struct iovec *iov, int iovcnt)
{
	if (iovcnt < 0 || iovcnt > IOV_MAX)
		return -EINVAL;
	return iov == NULL && iovcnt > 0 ? -EFAULT : 0;
}

mango_status_e mango_posix_readv(int fd, const struct iovec *iov, int iovcnt, size_t *ret)
{
	struct mg_socket *sock = mg_mirror_find(fd);
	int err = check_iov(iov, iovcnt);

	if (sock == NULL)
		return -EBADF;
	return err < 0 ? err : mg_socket_recvv(sock, iov, iovcnt, ret);
}

mango_status_e mango_posix_writev(int fd, const struct iovec *iov, int iovcnt, size_t *ret)
{
	struct mg_socket *sock = mg_mirror_find(fd);
	int err = check_iov(iov, iovcnt);

	if (sock == NULL)
		return -EBADF;
	return err < 0 ? err : mg_socket_sendv(sock, iov, iovcnt, ret);
}

mango_status_e mango_posix_read(int fd, void *buf, size_t len, size_t *ret)
{
	struct iovec iov = { buf, len };

	return buf == NULL && len > 0 ? -EFAULT : mango_posix_readv(fd, &iov, 1, ret);
}

mango_status_e mango_posix_write(int fd, const void *buf, size_t len, size_t *ret)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	return buf == NULL && len > 0 ? -EFAULT : mango_posix_writev(fd, &iov, 1, ret);
}
