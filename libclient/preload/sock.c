/* SPDX-License-Identifier: Apache-2.0 */
/* sock.c - socket objects: life, readiness, shutdown, names. */
#include "libclient/preload/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "libclient/core/clock.h"
#include "libclient/core/sockaddr.h"
#include "libclient/preload/confine.h"
#include "libclient/preload/epoll.h"
#include "libclient/preload/face.h"
#include "libclient/preload/guard.h"
#include "libclient/preload/internal.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sys.h"

int mg_sock_new(int fd, int family, bool nonblock, struct mg_sock **ret_sock)
{
	struct mg_obj *obj;
	struct mg_sock *s;
	int err = mg_fd_reserve(fd);

	if (err < 0)
		return err;
	obj = mg_obj_new(MG_OBJ_SOCK, sizeof(*s));
	if (obj == NULL)
		return -ENOMEM;
	s = mg_container_of(obj, struct mg_sock, obj);
	s->family = (uint16_t)family;
	s->laddr = mg_addr_v4(INADDR_ANY);
	atomic_init(&s->nonblock, nonblock);
	atomic_init(&s->lowat, 1);
	pthread_mutex_init(&s->rx_lock, NULL);
	pthread_mutex_init(&s->tx_lock, NULL);
	pthread_mutex_init(&s->lock, NULL);
	mg_list_init(&s->items);
	s->shadow = -1;
	*ret_sock = s;
	return 0;
}

/* What a guarded connection's end is waited for by: nobody tells those who have let go. */
#define LINGER_LOOK_MS 5

static int is_ours(const struct mg_ctl_guard *guard, void *arg)
{
	const struct mg_conn *conn = arg;

	return guard->kind == MG_CTL_GUARD_CONN && guard->id == conn->w.index &&
	       guard->gen == conn->w.gen;
}

static bool is_over(const struct mg_conn *conn)
{
	return conn->w.shm->gen != conn->w.gen || mg_window_state(&conn->w) == MG_SHM_ST_FREE ||
	       mg_conn_is_flushed(conn);
}

struct mg_sock *mg_sock_get_lingering(int fd)
{
	struct mg_sock *s = mg_sock_get_conn(fd);

	if (s != NULL && s->guarded && s->linger_on && s->linger_s > 0 && !s->nonblock)
		return s;
	if (s != NULL)
		mg_sock_put(s);
	return NULL;
}

void mg_sock_linger_shared(struct mg_sock *s)
{
	uint64_t deadline_ns = mg_clock_deadline((int64_t)s->linger_s * 1000);

	/* Other numbers or calls of ours have it, or other processes: not the last close(). */
	if (atomic_load(&s->obj.refs) == 1 && mg_sock_kind(s) == MG_SOCK_CONN &&
	    mg_client_guards(s->conn->src.ctx->client, is_ours, s->conn) == 0) {
		while (!is_over(s->conn) && mg_clock_ns() < deadline_ns)
			(void)mg_internal_poll(NULL, 0, LINGER_LOOK_MS); /* a signal: a look more */
	}
	mg_sock_put(s);
}

struct mg_sock *mg_sock_get_served(int fd)
{
	struct mg_sock *s = mg_sock_get(fd);
	enum mg_sock_kind kind;

	if (mg_likely(s == NULL))
		return NULL;
	kind = mg_sock_kind(s);
	if (kind == MG_SOCK_CONN || kind == MG_SOCK_LISTENER)
		return s;
	mg_sock_put(s);
	return NULL;
}

struct mg_sock *mg_sock_get_conn(int fd)
{
	struct mg_sock *s = mg_sock_get(fd);

	if (mg_likely(s == NULL))
		return NULL;
	if (mg_likely(mg_sock_kind(s) == MG_SOCK_CONN))
		return s;
	mg_sock_put(s);
	return NULL;
}

struct mg_source *mg_sock_source(const struct mg_sock *s)
{
	struct mg_lst *lst = s->lst;

	if (mg_sock_kind(s) == MG_SOCK_CONN)
		return s->conn != NULL ? &s->conn->src : NULL;
	return mg_sock_kind(s) == MG_SOCK_LISTENER && lst != NULL ? &lst->src : NULL;
}

void mg_sock_become(struct mg_sock *s, enum mg_sock_kind kind)
{
	/* release: pairs with the acquire in mg_sock_kind() */
	atomic_store_explicit(&s->kind, kind, memory_order_release);
	mg_ep_sock_moved(s);
}

/* SO_LINGER with a time: until everything is acknowledged. */
static void linger(struct mg_sock *s)
{
	struct mg_conn *conn = s->conn;
	uint64_t deadline_ns = mg_clock_deadline((int64_t)s->linger_s * 1000);
	uint32_t key;
	int err = mg_conn_shutdown(conn, MG_SHM_AF_SHUT_WR);

	while (err == 0) {
		key = mg_ctx_key(&conn->src.seq);
		if (mg_conn_is_flushed(conn))
			return;
		err = mg_ctx_wait(conn->src.ctx, &conn->src.seq, key, deadline_ns);
	}
}

void mg_sock_forked(struct mg_sock *s)
{
	s->conn = NULL;
	s->lst = NULL;
	s->former = NULL;
	s->former_lst = NULL;
	s->accepting = 0;
	pthread_mutex_init(&s->rx_lock, NULL);
	pthread_mutex_init(&s->tx_lock, NULL);
	pthread_mutex_init(&s->lock, NULL);
	mg_ep_sock_forked(s);
}

bool mg_sock_is_stale(int fd, const struct mg_sock *s)
{
	int domain = 0;
	socklen_t len = sizeof(domain);
	long err;

	if (mg_confined()) /* no questions */
		return false;
	err = mg_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	if (err == 0 && (domain == s->family || domain == AF_UNIX))
		return false;
	if (mg_fd_peek(fd) == &s->obj)
		(void)mg_fd_clear(fd);
	return true;
}

void mg_sock_end(struct mg_sock *s)
{
	enum mg_sock_kind kind = mg_sock_kind(s);
	bool abort = s->linger_on && s->linger_s == 0 && !s->guarded; /* then mangod does it */
	struct mg_lst *former_lst;
	struct mg_conn *former;
	int saved = errno;

	if (s->conn != NULL && kind == MG_SOCK_CONN && !s->guarded && s->linger_on &&
	    s->linger_s > 0 && !s->nonblock)
		linger(s);
	mg_ep_sock_ends(s);
	if (kind == MG_SOCK_CONN && s->conn != NULL)
		mg_conn_release(s->conn, abort);
	else if (kind == MG_SOCK_LISTENER && s->lst != NULL)
		mg_lst_close(s->lst);
	while ((former_lst = s->former_lst) != NULL) {
		s->former_lst = former_lst->next_former;
		mg_lst_close(former_lst);
	}
	if (s->shadow >= 0)
		(void)mg_internal_close(s->shadow);
	while ((former = s->former) != NULL) {
		s->former = former->next_former;
		mg_conn_free(former);
	}
	pthread_mutex_destroy(&s->rx_lock);
	pthread_mutex_destroy(&s->tx_lock);
	pthread_mutex_destroy(&s->lock);
	mg_obj_free(&s->obj);
	errno = saved;
}

/* As the kernel says it: a reset after the peer's FIN is a broken pipe. */
static int error_of(const struct mg_sock *s)
{
	int err = mg_conn_status(s->conn);

	if (err == 0 || err == -EINPROGRESS || err == -ENOTCONN)
		return 0;
	if (err == -ECONNRESET && (mg_window_wflags(&s->conn->w) & MG_SHM_WF_RX_FIN) != 0)
		return EPIPE;
	return -err;
}

int mg_sock_take_error(struct mg_sock *s)
{
	int err = error_of(s);

	if (err == 0 || atomic_exchange_explicit(&s->err_told, true, memory_order_relaxed))
		return 0;
	return err;
}

/* Locked (context). A daemon that died leaves nothing to accept; the listener is opened anew, see relisten.c. */
static uint32_t listener_ready(struct mg_sock *s, struct mg_lst *lst)
{
	if (atomic_load_explicit(&s->shut, memory_order_relaxed))
		return MG_READY_IN | MG_READY_OUT | MG_READY_RDHUP | MG_READY_HUP;
	if (mg_unlikely(mg_client_is_dead(lst->src.ctx->client) || lst->error != 0))
		return 0;
	return mg_lst_ready(lst);
}

uint32_t mg_sock_ready(struct mg_sock *s, uint32_t want)
{
	struct mg_lst *lst;
	uint32_t ready;

	if (mg_sock_kind(s) != MG_SOCK_LISTENER)
		return mg_sock_ready_locked(s, want);
	lst = s->lst;
	mg_ctx_lock(lst->src.ctx);
	ready = listener_ready(s, lst);
	mg_ctx_unlock(lst->src.ctx);
	return ready;
}

uint32_t mg_sock_ready_locked(struct mg_sock *s, uint32_t want)
{
	uint32_t ready, lowat;

	if (mg_sock_kind(s) == MG_SOCK_LISTENER)
		return listener_ready(s, s->lst);
	ready = mg_conn_ready(s->conn, want);
	lowat = atomic_load_explicit(&s->lowat, memory_order_relaxed);
	if (mg_unlikely(atomic_load_explicit(&s->rd_shut, memory_order_relaxed))) {
		ready |= MG_READY_IN | MG_READY_RDHUP;
		if ((atomic_load_explicit(&s->conn->w.shm->a_flags, memory_order_relaxed) &
		     MG_SHM_AF_SHUT_WR) != 0)
			ready |= MG_READY_HUP;
	}
	if (mg_unlikely(lowat > 1) && (ready & (MG_READY_RDHUP | MG_READY_ERR)) == 0 &&
	    mg_window_readable(&s->conn->w) < lowat)
		ready &= ~(uint32_t)MG_READY_IN;
	if ((ready & MG_READY_ERR) != 0 && atomic_load_explicit(&s->err_told, memory_order_relaxed))
		ready &= ~(uint32_t)MG_READY_ERR;
	return ready;
}

static int shutdown_listener(int fd, struct mg_sock *s)
{
	/* As Linux: the port is given up, those who wait in accept() are told, and it may listen again. */
	pthread_mutex_lock(&s->lock);
	if (mg_sock_kind(s) == MG_SOCK_LISTENER) {
		atomic_store(&s->shut, true);
		mg_ctx_lock(s->lst->src.ctx);
		mg_ctx_changed(&s->lst->src);
		mg_ctx_unlock(s->lst->src.ctx);
		mg_guard_undo(s);
		mg_sock_become(s, MG_SOCK_NEW);
		while (atomic_load(&s->accepting) > 0)
			(void)sched_yield(); /* cannot fail */
		mg_lst_close(s->lst);
		s->lst = NULL;
		atomic_store(&s->shut, false);
		(void)mg_sys(SYS_shutdown, fd, SHUT_RDWR); /* it listened for the kernel's side */
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* shutdown() while the connection is being made takes it back. */
static bool shutdown_connecting(struct mg_sock *s)
{
	bool was;

	pthread_mutex_lock(&s->lock);
	was = mg_sock_kind(s) == MG_SOCK_CONN && mg_conn_status(s->conn) == -EINPROGRESS;
	if (was)
		mg_sock_forget_conn(s);
	pthread_mutex_unlock(&s->lock);
	return was;
}

/* SHUT_RD is ours alone: the peer is not told, and its data is still taken, as Linux does. */
static void shutdown_reading(struct mg_sock *s)
{
	atomic_store_explicit(&s->rd_shut, true, memory_order_relaxed);
	mg_ctx_lock(s->conn->src.ctx);
	mg_ctx_changed(&s->conn->src);
	mg_ctx_unlock(s->conn->src.ctx);
}

int mg_sock_shutdown(int fd, struct mg_sock *s, int how)
{
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (mg_sock_kind(s) == MG_SOCK_LISTENER)
		return how == SHUT_WR ? 0 : shutdown_listener(fd, s);
	if (mg_conn_status(s->conn) == -EINPROGRESS && shutdown_connecting(s))
		return 0;
	if (mg_window_state(&s->conn->w) != MG_SHM_ST_OPEN)
		return -ENOTCONN;
	if (how != SHUT_WR && s->guarded) /* others are to see it, too */
		(void)mg_conn_shutdown(s->conn, MG_SHM_AF_SHUT_RD);
	if (how != SHUT_WR)
		shutdown_reading(s);
	return how == SHUT_RD ? 0 : mg_conn_shutdown(s->conn, MG_SHM_AF_SHUT_WR);
}

int mg_sock_names(struct mg_sock *s, bool peer, struct sockaddr *addr, socklen_t *len)
{
	const struct mg_tuple *t;
	socklen_t room;

	if (mg_sock_kind(s) != MG_SOCK_CONN) {
		if (peer || s->shadow < 0)
			return 1;
		return (int)mg_sys(SYS_getsockname, s->shadow, addr, len);
	}
	if (addr == NULL || len == NULL)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	t = mg_conn_tuple(s->conn);
	if (peer && mg_window_state(&s->conn->w) != MG_SHM_ST_OPEN)
		return -ENOTCONN;
	room = *len;
	mg_sockaddr_fill(s->family, peer ? &t->raddr : &t->laddr, peer ? t->rport : t->lport, addr,
			 len);
	mg_sockaddr_set_scope(addr, room, s->conn->w.shm->scope);
	return 0;
}

/*
 * ppoll(), in which waits sleep, does not say which handler ran. When all handlers of the process want calls
 * to be restarted, so does this one; a process that mixes them gets EINTR, which it has to expect anyway.
 */
bool mg_signal_restarts(void)
{
	struct sigaction act;

	for (int sig = 1; sig < NSIG; sig++) {
		if (sigaction(sig, NULL, &act) < 0 || act.sa_handler == SIG_DFL ||
		    act.sa_handler == SIG_IGN)
			continue;
		if ((act.sa_flags & SA_RESTART) == 0)
			return false;
	}
	return true;
}

int mg_sock_wait(struct mg_sock *s, uint32_t key, uint64_t *deadline_ns, int64_t timeout_us)
{
	struct mg_source *src = mg_sock_source(s);
	int err;

	if (*deadline_ns == 0)
		*deadline_ns = timeout_us <= 0
				       ? MG_TIME_NEVER
				       : mg_time_after(mg_clock_ns(), (uint64_t)timeout_us * 1000);
	err = mg_ctx_wait(src->ctx, &src->seq, key, *deadline_ns);
	if (err == -ETIMEDOUT)
		return -EAGAIN;
	if (err == -EINTR && timeout_us <= 0 && mg_signal_restarts())
		return 0;
	return err == -ECONNRESET ? 0 : err; /* the next look says it, too */
}
