/* SPDX-License-Identifier: Apache-2.0 */
/* data.c - receiving and sending on a connection, with the flags of recv() and send(). */
#include <errno.h>
#include <limits.h>
#include <signal.h>

#include "libclient/core/clock.h"
#include "libclient/core/iov.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/sys.h"

/* Calls that found nothing look so often whether they ask the right socket. */
#define STALE_LOOK_EVERY 64u

static int rest(const struct iovec *iov, int nr, uint64_t skip, struct iovec *out)
{
	return mg_iov_rest(iov, nr, skip, out, MG_SOCK_IOV_MAX);
}

/* An end by an error is told once; then it is an end of the stream, or a broken pipe. */
static int64_t tell_end(struct mg_sock *s, int64_t err, bool sending)
{
	int told;

	if (err == -EAGAIN || err == -ENOTCONN || err >= 0)
		return err;
	told = mg_sock_take_error(s);
	if (told != 0)
		return -told;
	return sending ? -EPIPE : 0;
}

/*
 * There is nothing to do: waits (deadline_ns given) or says so. Also the moment to see whether the number is still
 * the socket's: before each sleep, and now and then.
 */
static int pause_call(int fd, struct mg_sock *s, uint32_t key, uint64_t *deadline_ns,
		      int64_t timeout_us)
{
	bool look = deadline_ns != NULL ||
		    atomic_fetch_add_explicit(&s->fruitless, 1, memory_order_relaxed) %
				    STALE_LOOK_EVERY ==
			    STALE_LOOK_EVERY - 1;

	if (look && mg_sock_is_stale(fd, s))
		return -MG_ESTALE_FD;
	return deadline_ns != NULL ? mg_sock_wait(s, key, deadline_ns, timeout_us) : -EAGAIN;
}

int mg_sock_lock(struct mg_sock *s, enum mg_conn_lock_kind kind)
{
	pthread_mutex_t *mutex = kind == MG_LOCK_RX ? &s->rx_lock : &s->tx_lock;
	int err = 0;

	pthread_mutex_lock(mutex);
	if (mg_unlikely(mg_sock_kind(s) != MG_SOCK_CONN)) /* connect() failed, or took it back */
		err = kind == MG_LOCK_RX ? -ENOTCONN : -EPIPE;
	else if (mg_unlikely(s->guarded))
		err = mg_conn_lock(s->conn, kind);
	if (mg_unlikely(err < 0))
		pthread_mutex_unlock(mutex);
	return err;
}

void mg_sock_unlock(struct mg_sock *s, enum mg_conn_lock_kind kind)
{
	if (mg_unlikely(s->guarded))
		mg_conn_unlock(s->conn, kind);
	pthread_mutex_unlock(kind == MG_LOCK_RX ? &s->rx_lock : &s->tx_lock);
}

/* One look at what is there. */
static int64_t recv_once(struct mg_sock *s, const struct iovec *iov, int nr, uint64_t done,
			 int flags)
{
	struct iovec left[MG_SOCK_IOV_MAX];
	int64_t n = mg_sock_lock(s, MG_LOCK_RX);

	if (mg_unlikely(n < 0))
		return n;
	if (mg_unlikely((flags & MSG_TRUNC) != 0))
		n = mg_conn_skip(s->conn, mg_iov_bytes(iov, nr) - done);
	else if (mg_likely(done == 0 && nr <= MG_SOCK_IOV_MAX))
		n = mg_conn_recv(s->conn, iov, nr, (flags & MSG_PEEK) != 0);
	else
		n = mg_conn_recv(s->conn, left, rest(iov, nr, done, left), (flags & MSG_PEEK) != 0);
	mg_sock_unlock(s, MG_LOCK_RX);
	return n == -EAGAIN && atomic_load_explicit(&s->rd_shut, memory_order_relaxed) ? 0 : n;
}

/* How many bytes a blocking call waits for. */
static uint64_t target_of(const struct mg_sock *s, uint64_t bytes, int flags)
{
	uint32_t lowat = atomic_load_explicit(&s->lowat, memory_order_relaxed);

	if ((flags & MSG_WAITALL) != 0)
		return bytes;
	return lowat < bytes ? lowat : bytes;
}

/* A receive without room: waits as another, takes nothing. */
static int64_t recv_nothing(int fd, struct mg_sock *s, int flags)
{
	bool wait = !atomic_load_explicit(&s->nonblock, memory_order_relaxed) &&
		    (flags & MSG_DONTWAIT) == 0;
	uint64_t deadline_ns = 0;
	uint32_t key;
	int err = 0;

	while (err == 0) {
		key = mg_ctx_key(&s->conn->src.seq);
		if ((mg_sock_ready(s, MG_READY_IN) & (MG_READY_IN | MG_READY_HUP)) != 0)
			return -mg_sock_take_error(s);
		err = pause_call(fd, s, key, wait ? &deadline_ns : NULL, s->rcvtimeo_us);
	}
	return err;
}

/* The rest of mg_sock_recv(): there was too little at the first look. */
static int64_t recv_slow(int fd, struct mg_sock *s, const struct iovec *iov, int nr, int flags,
			 uint64_t got)
{
	uint64_t bytes = mg_iov_bytes(iov, nr), target = target_of(s, bytes, flags),
		 deadline_ns = 0;
	bool wait = !atomic_load_explicit(&s->nonblock, memory_order_relaxed) &&
		    (flags & MSG_DONTWAIT) == 0;
	bool peek = (flags & MSG_PEEK) != 0;
	int64_t n;

	for (;;) {
		uint32_t key = mg_ctx_key(&s->conn->src.seq);

		n = recv_once(s, iov, nr, peek ? 0 : got, flags);
		if (n > 0) {
			got = peek ? (uint64_t)n : got + (uint64_t)n;
			if (got >= target)
				return (int64_t)got;
			if (!peek) /* the end may be there already, without a further event */
				continue;
		} else if (n != -EAGAIN) {
			break;
		}
		if (peek && n > 0 && (mg_sock_ready(s, MG_READY_IN) & MG_READY_RDHUP) != 0)
			return n;
		n = pause_call(fd, s, key, wait ? &deadline_ns : NULL, s->rcvtimeo_us);
		if (n < 0)
			break;
	}
	if (got > 0)
		return (int64_t)got;
	return n == -EINTR || n == -MG_ESTALE_FD ? n : tell_end(s, n, false);
}

/* MSG_OOB: the urgent octet, when it is kept apart from the stream. */
static int64_t recv_urgent(struct mg_sock *s, const struct iovec *iov, int nr, int flags)
{
	int64_t ahead;
	uint8_t octet;

	if (s->oobinline || !mg_conn_urgent(s->conn, &ahead) || ahead < 1 ||
	    s->oob_taken == mg_window_rx_head(&s->conn->w) + (uint64_t)ahead)
		return -EINVAL;
	if (mg_conn_peek_at(s->conn, (uint64_t)ahead - 1, &octet) < 0)
		return -EAGAIN;
	if ((flags & MSG_PEEK) == 0)
		s->oob_taken = mg_window_rx_head(&s->conn->w) + (uint64_t)ahead;
	for (int i = 0; i < nr && (flags & MSG_TRUNC) == 0; i++) {
		if (iov[i].iov_len == 0)
			continue;
		*(uint8_t *)iov[i].iov_base = octet;
		return 1;
	}
	return (flags & MSG_TRUNC) != 0 ? 1 : 0;
}

/*
 * Urgent data in the stream: a read stops before the octet, and one that begins at it skips it when it is kept apart.
 * Cuts the pieces; returns how many are left.
 */
static int cut_at_mark(struct mg_sock *s, const struct iovec *iov, int nr, struct iovec *out)
{
	int64_t ahead;
	uint64_t room;
	int n;

	if (!mg_conn_urgent(s->conn, &ahead) || ahead < 1)
		return -1;
	if (ahead == 1) {
		if (s->oobinline)
			return -1;
		if (mg_sock_lock(s, MG_LOCK_RX) == 0) {
			(void)mg_conn_skip(s->conn, 1); /* not here yet: nothing to skip */
			mg_sock_unlock(s, MG_LOCK_RX);
		}
		return -1;
	}
	room = (uint64_t)ahead - 1;
	n = rest(iov, nr, 0, out);
	for (int i = 0; i < n; i++) {
		if (out[i].iov_len >= room) {
			out[i].iov_len = room;
			return i + 1;
		}
		room -= out[i].iov_len;
	}
	return n;
}

int64_t mg_sock_recv(int fd, struct mg_sock *s, const struct iovec *iov, int nr, int flags)
{
	struct iovec cut[MG_SOCK_IOV_MAX];
	int64_t n;
	int pieces;

	if (mg_unlikely((flags & (MSG_OOB | MSG_ERRQUEUE)) != 0))
		return (flags & MSG_OOB) != 0 ? recv_urgent(s, iov, nr, flags) : -EAGAIN;
	if (mg_unlikely(mg_iov_bytes(iov, nr) == 0))
		return recv_nothing(fd, s, flags);
	if (mg_unlikely((mg_window_wflags(&s->conn->w) & MG_SHM_WF_URG) != 0)) {
		pieces = cut_at_mark(s, iov, nr, cut);
		if (pieces > 0) {
			iov = cut;
			nr = pieces;
		}
	}
	n = recv_once(s, iov, nr, 0, flags);
	if (mg_likely(n > 0) &&
	    (mg_likely((flags & MSG_WAITALL) == 0) || (flags & MSG_PEEK) == 0) &&
	    (uint64_t)n >= target_of(s, mg_iov_bytes(iov, nr), flags))
		return n;
	if (n > 0)
		return recv_slow(fd, s, iov, nr, flags, (flags & MSG_PEEK) != 0 ? 0 : (uint64_t)n);
	return n == -EAGAIN ? recv_slow(fd, s, iov, nr, flags, 0) : tell_end(s, n, false);
}

/* MSG_MORE: as TCP_CORK for this call; the next one without it lets go. Under tx_lock. */
static void hold_back(struct mg_sock *s, bool more)
{
	if (more == s->corked)
		return;
	s->corked = more;
	if (more)
		mg_window_set(&s->conn->w, MG_SHM_AF_CORK);
	else if (!s->cork)
		mg_window_clear(&s->conn->w, MG_SHM_AF_CORK);
}

static int64_t send_once(struct mg_sock *s, const struct iovec *iov, int nr, uint64_t done,
			 int flags)
{
	struct iovec left[MG_SOCK_IOV_MAX];
	int64_t n = mg_sock_lock(s, MG_LOCK_TX);

	if (mg_unlikely(n < 0))
		return n;
	if (mg_unlikely(((flags & MSG_MORE) != 0) != s->corked))
		hold_back(s, (flags & MSG_MORE) != 0);
	if (mg_unlikely((flags & MSG_OOB) != 0))
		n = mg_conn_send_urgent(s->conn, left, rest(iov, nr, done, left));
	else if (mg_likely(done == 0 && nr <= MG_SOCK_IOV_MAX))
		n = mg_conn_send(s->conn, iov, nr);
	else
		n = mg_conn_send(s->conn, left, rest(iov, nr, done, left));
	mg_sock_unlock(s, MG_LOCK_TX);
	return n;
}

/* No room: 0 when there is some after all; else an event will come when there is. */
static bool ask_for_room(struct mg_sock *s)
{
	atomic_fetch_add_explicit(&s->nospace, 1, memory_order_relaxed);
	return (mg_conn_ready(s->conn, MG_READY_OUT) & MG_READY_OUT) != 0;
}

static int64_t send_slow(int fd, struct mg_sock *s, const struct iovec *iov, int nr, int flags,
			 uint64_t done)
{
	uint64_t bytes = mg_iov_bytes(iov, nr), deadline_ns = 0;
	bool wait = !atomic_load_explicit(&s->nonblock, memory_order_relaxed) &&
		    (flags & MSG_DONTWAIT) == 0;
	int64_t n = 0;

	while (done < bytes) {
		uint32_t key = mg_ctx_key(&s->conn->src.seq);

		n = send_once(s, iov, nr, done, flags);
		if (n > 0) {
			done += (uint64_t)n;
			continue;
		}
		if (n != -EAGAIN)
			break;
		if (ask_for_room(s))
			continue;
		n = pause_call(fd, s, key, wait ? &deadline_ns : NULL, s->sndtimeo_us);
		if (n < 0)
			break;
	}
	if (done > 0)
		return (int64_t)done;
	return n == -EINTR || n == -MG_ESTALE_FD ? n : tell_end(s, n, true);
}

int64_t mg_sock_send(int fd, struct mg_sock *s, const struct iovec *iov, int nr, int flags)
{
	int64_t n = send_once(s, iov, nr, 0, flags);

	if (mg_likely(n > 0 && (uint64_t)n == mg_iov_bytes(iov, nr)))
		return n;
	if (n >= 0 || n == -EAGAIN)
		return n == 0 ? 0 : send_slow(fd, s, iov, nr, flags, n > 0 ? (uint64_t)n : 0);
	return tell_end(s, n, true);
}

int64_t mg_sock_sigpipe(int64_t n, int flags)
{
	if (mg_unlikely(n == -EPIPE && (flags & MSG_NOSIGNAL) == 0))
		(void)mg_sys(SYS_tgkill, mg_sys(SYS_getpid), mg_sys(SYS_gettid), SIGPIPE);
	return n;
}
