/* SPDX-License-Identifier: Apache-2.0 */
/*
 * splice.c - sendfile() and splice() with a connection at one end.
 *
 * Idea:    a file or a pipe is read straight into the transmit ring; a pipe is filled straight from the receive
 *          ring. One copy, no buffer in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "libclient/preload/calls.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/sys.h"

/* What Linux moves by one call at most. */
#define MOVE_MAX 0x7ffff000u
/* A pipe that can be written to takes so much without blocking. */
#define PIPE_PIECE 4096u

/* Where bytes come from, or go to. */
struct other {
	int fd;
	off_t *offset; /* NULL: as the descriptor stands */
	bool is_pipe;
	bool nonblock;
	int sock_fd; /* the connection's number */
};

static int64_t result(int64_t n)
{
	if (n >= 0)
		return n;
	errno = (int)-n;
	return -1;
}

static bool pipe_is_ready(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	struct timespec none = { 0, 0 };

	return mg_sys(SYS_ppoll, &pfd, 1, &none, NULL, 8) > 0;
}

static int64_t read_into(const struct other *from, const struct mg_span spans[2])
{
	struct iovec iov[2] = { { spans[0].p, spans[0].len }, { spans[1].p, spans[1].len } };
	int nr = spans[1].len > 0 ? 2 : 1;
	long n;

	if (from->is_pipe && from->nonblock && !pipe_is_ready(from->fd, POLLIN))
		return -EAGAIN;
	if (from->offset == NULL)
		return mg_sys(SYS_readv, from->fd, iov, nr);
	n = mg_sys(SYS_preadv, from->fd, iov, nr, *from->offset, 0);
	if (n > 0)
		*from->offset += n;
	return n;
}

/* One round from `from` into the transmit ring. 0: it is at its end. *ret_full: the ring has no room. */
static int64_t fill_once(struct mg_sock *s, const struct other *from, uint64_t max, bool *ret_full)
{
	struct mg_span spans[2];
	int64_t room, n = mg_sock_lock(s, MG_LOCK_TX);

	*ret_full = false;
	if (n < 0)
		return n;
	room = mg_conn_reserve(s->conn, max, spans);
	*ret_full = room == -EAGAIN;
	if (room > 0) {
		n = read_into(from, spans);
		mg_conn_commit(s->conn, n > 0 ? (uint32_t)n : 0);
	}
	mg_sock_unlock(s, MG_LOCK_TX);
	return room < 0 ? room : n;
}

/* No room: waits for it. 0: look again. */
static int64_t wait_for_room(struct mg_sock *s, uint32_t key, bool nonblock, uint64_t *deadline_ns)
{
	atomic_fetch_add_explicit(&s->nospace, 1, memory_order_relaxed);
	if ((mg_conn_ready(s->conn, MG_READY_OUT) & MG_READY_OUT) != 0)
		return 0;
	return nonblock ? -EAGAIN : mg_sock_wait(s, key, deadline_ns, s->sndtimeo_us);
}

static int64_t fill(struct mg_sock *s, const struct other *from, uint64_t count, bool nonblock)
{
	uint64_t done = 0, deadline_ns = 0;
	int64_t n = 0;
	bool full;

	if (count > MOVE_MAX)
		count = MOVE_MAX;
	while (done < count) {
		uint32_t key = mg_ctx_key(&s->conn->src.seq);

		n = fill_once(s, from, count - done, &full);
		if (n > 0) {
			done += (uint64_t)n;
			if (from->is_pipe)
				break; /* what there was; a pipe has no end to read up to */
			continue;
		}
		if (n == 0 || !full)
			break;
		n = wait_for_room(s, key, nonblock, &deadline_ns);
		if (n < 0)
			break;
	}
	return done > 0 ? (int64_t)done : mg_sock_sigpipe(n, 0);
}

MG_EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
	struct mg_sock *s = mg_sock_get_conn(out);
	struct other from = { .fd = in, .offset = offset };
	int64_t n;

	if (mg_likely(s == NULL))
		return MG_REAL(sendfile)(out, in, offset, count);
	n = mg_fd_peek(in) != NULL ? -EINVAL : fill(s, &from, count, s->nonblock);
	mg_sock_put(s);
	return (ssize_t)result(n);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t count)
	__attribute__((alias("sendfile"), visibility("default") MG_COPY(sendfile)));

/* Received bytes into a pipe, as much as it takes. */
static int64_t drain_once(struct mg_sock *s, const struct other *to, uint64_t max)
{
	struct mg_span spans[MG_WINDOW_SPANS];
	uint64_t done = 0;
	long n = mg_sock_lock(s, MG_LOCK_RX);

	if (n < 0)
		return n;
	while (done < max && mg_window_peek(&s->conn->w, 0, spans) > 0) {
		uint64_t len = mg_min_u64(mg_min_u64(spans[0].len, max - done), PIPE_PIECE);

		if ((to->nonblock || done > 0) && !pipe_is_ready(to->fd, POLLOUT)) {
			n = -EAGAIN;
			break;
		}
		n = mg_sys(SYS_write, to->fd, spans[0].p, len);
		if (n <= 0)
			break;
		(void)mg_conn_skip(s->conn, (uint64_t)n); /* they are there */
		done += (uint64_t)n;
	}
	mg_sock_unlock(s, MG_LOCK_RX);
	return done > 0 ? (int64_t)done : n;
}

static int64_t drain(struct mg_sock *s, const struct other *to, uint64_t count, bool nonblock)
{
	char octet;
	struct iovec iov = { &octet, 1 };
	int64_t n;

	if (count == 0)
		return 0;
	/* Waits, and says why there is nothing. */
	n = mg_sock_recv(to->sock_fd, s, &iov, 1, MSG_PEEK | (nonblock ? MSG_DONTWAIT : 0));
	return n <= 0 ? n : drain_once(s, to, count > MOVE_MAX ? MOVE_MAX : count);
}

MG_EXPORT ssize_t splice(int in, off64_t *in_off, int out, off64_t *out_off, size_t len,
			 unsigned int flags)
{
	bool nonblock = (flags & SPLICE_F_NONBLOCK) != 0;
	struct mg_sock *from = mg_sock_get_conn(in), *to = mg_sock_get_conn(out);
	int64_t n;

	if (mg_likely(from == NULL && to == NULL))
		return MG_REAL(splice)(in, in_off, out, out_off, len, flags);
	if (from != NULL && to != NULL)
		n = -EINVAL; /* one of them has to be a pipe */
	else if (in_off != NULL || out_off != NULL)
		n = -ESPIPE;
	else if (to != NULL)
		n = fill(to, &(struct other){ .fd = in, .is_pipe = true, .nonblock = nonblock },
			 len, to->nonblock);
	else
		n = drain(from,
			  &(struct other){
				  .fd = out, .is_pipe = true, .nonblock = nonblock, .sock_fd = in },
			  len, from->nonblock);
	if (from != NULL)
		mg_sock_put(from);
	if (to != NULL)
		mg_sock_put(to);
	return (ssize_t)result(n);
}
