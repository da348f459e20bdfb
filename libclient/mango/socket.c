/* SPDX-License-Identifier: Apache-2.0 */
/* socket.c - the life of a socket: create, bind, listen, accept, connect, close. Data is in io.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/core/clock.h"
#include "libclient/core/sockaddr.h"
#include "libclient/mango/handle.h"
#include "libclient/mango/mirror.h"

uint32_t mg_socket_ready(struct mg_socket *sock, uint32_t want)
{
	if (sock->kind == MG_SOCK_CONN)
		return mg_conn_ready(sock->conn, want);
	if (sock->kind == MG_SOCK_LISTENER)
		return sock->is_shut ? MG_READY_IN | MG_READY_HUP : mg_lst_ready(sock->lst);
	return 0;
}

void mg_socket_begin_watches(struct mg_socket *sock)
{
	if (sock->interest != 0)
		mg_watch_add(&sock->watch, mg_socket_source(sock), &sock->tcp->polled);
	mg_mirror_begin(sock);
}

void mg_socket_end_watches(struct mg_socket *sock)
{
	mg_watch_remove(&sock->watch);
	mg_mirror_end(sock);
}

void mg_socket_touched(struct mg_socket *sock)
{
	if (mg_likely(sock->mirror == NULL))
		return;
	mg_ctx_lock(sock->tcp->ctx);
	mg_mirror_update(sock);
	mg_ctx_unlock(sock->tcp->ctx);
}

int mg_socket_new(struct mg_tcp *tcp, struct mg_socket **ret_sock)
{
	struct mg_socket *sock = calloc(1, sizeof(*sock));

	if (sock == NULL)
		return -ENOMEM;
	sock->magic = MG_MAGIC_SOCKET;
	sock->kind = MG_SOCK_NEW;
	sock->tcp = tcp;
	sock->family = AF_INET;
	atomic_fetch_add(&tcp->nr_sockets, 1);
	*ret_sock = sock;
	return 0;
}

mango_status_e mango_socket_create(mango_tcp_h h, mango_socket_h *ret_sock)
{
	struct mg_tcp *tcp = mg_tcp_of(h);
	struct mg_socket *sock;
	int err;

	if (tcp == NULL)
		return -EBADF;
	if (ret_sock == NULL)
		return -EFAULT;
	*ret_sock = NULL;
	if (tcp->ctx == NULL || mg_client_check(tcp->ctx->client))
		return -ENOTCONN;
	err = mg_socket_new(tcp, &sock);
	if (err == 0)
		*ret_sock = sock;
	return err;
}

static void take_options(struct mg_sockopts *o, const struct mango_socket_options *from)
{
	o->nonblocking = from->nonblocking != 0;
	o->nodelay = from->nodelay != 0;
	o->reuseport = from->reuseport != 0;
	o->rcvbuf = from->rcvbuf;
	o->sndbuf = from->sndbuf;
	o->connect_timeout_ms = from->connect_timeout_ms;
	o->rcvtimeo_us = (int64_t)from->rcvtimeo_ms * 1000;
	o->sndtimeo_us = (int64_t)from->sndtimeo_ms * 1000;
	if (from->keepalive != 0) {
		o->daemon_set |= 1u << MG_CTL_OPT_KEEPALIVE;
		o->daemon_value[MG_CTL_OPT_KEEPALIVE] = 1;
	}
	if (from->congestion[0] != '\0') {
		o->daemon_set |= 1u << MG_CTL_OPT_CONGESTION;
		memcpy(o->congestion, from->congestion, sizeof(o->congestion));
	}
}

mango_status_e mango_socket_open(mango_socket_h h, const struct mango_socket_options *options)
{
	struct mg_socket *sock = mg_socket_of(h);
	struct mango_socket_options known = { 0 };

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (sock->kind != MG_SOCK_NEW || sock->is_bound)
		return -EALREADY;
	if (options == NULL)
		return MANGO_STATUS_OK;
	/* An older or newer program's struct: what both know. */
	if (options->size < offsetof(struct mango_socket_options, nodelay))
		return -EINVAL;
	memcpy(&known, options, options->size < sizeof(known) ? options->size : sizeof(known));
	if (known.connect_timeout_ms < 0 || known.rcvtimeo_ms < 0 || known.sndtimeo_ms < 0 ||
	    memchr(known.congestion, '\0', sizeof(known.congestion)) == NULL)
		return -EINVAL;
	take_options(&sock->opts, &known);
	return MANGO_STATUS_OK;
}

mango_status_e mango_socket_bind(mango_socket_h h, const struct sockaddr *addr, socklen_t len)
{
	struct mg_socket *sock = mg_socket_of(h);
	int err;

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (addr == NULL)
		return -EFAULT;
	if (sock->kind != MG_SOCK_NEW || sock->is_bound)
		return -EINVAL;
	err = mg_sockaddr_parse(addr, len, &sock->laddr, &sock->lport);
	if (err < 0)
		return err;
	if (sock->opts.v6only && addr->sa_family == AF_INET6 && mg_addr_is_v4(&sock->laddr))
		return -EINVAL;
	sock->scope = mg_sockaddr_scope(addr, len);
	sock->family = addr->sa_family;
	sock->is_bound = true;
	return MANGO_STATUS_OK;
}

/* A new socket finds its daemon dead: that is not a reset of anything. */
static int new_error(const struct mg_socket *sock, int err)
{
	return err == -ECONNRESET && mg_client_is_dead(sock->tcp->ctx->client) ? -ENOTCONN : err;
}

/* What the SYN has to know already; 0: not set. */
static int32_t set_value(const struct mg_socket *sock, uint32_t option)
{
	return sock->opts.daemon_set & 1u << option ? sock->opts.daemon_value[option] : 0;
}

mango_status_e mango_socket_listen(mango_socket_h h, int backlog)
{
	struct mg_socket *sock = mg_socket_of(h);
	struct mg_lst_params params;
	int err;

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (sock->kind == MG_SOCK_LISTENER)
		return MANGO_STATUS_OK;
	if (sock->kind != MG_SOCK_NEW)
		return -EINVAL;
	params = (struct mg_lst_params){
		.addr = sock->is_bound ? sock->laddr : mg_addr_v4(INADDR_ANY),
		.port = sock->lport,
		.reuseport = sock->opts.reuseport,
		.v6only = sock->opts.v6only && sock->family == AF_INET6,
		.backlog = backlog < 1 ? 1 : (uint32_t)backlog,
		.rcvbuf_bytes = sock->opts.rcvbuf,
		.sndbuf_bytes = sock->opts.sndbuf,
		.fastopen = (uint32_t)sock->opts.fastopen,
		.fastopen_no_cookie = sock->opts.fastopen_no_cookie,
	};
	memcpy(params.congestion, sock->opts.congestion, sizeof(params.congestion));
	params.ttl = (uint8_t)set_value(sock, MG_CTL_OPT_TTL);
	params.tos = (uint8_t)set_value(sock, MG_CTL_OPT_TOS);
	params.defer_s = (uint16_t)mg_min_u32(
		(uint32_t)sock->opts.daemon_value[MG_CTL_OPT_LISTEN_DEFER_S], UINT16_MAX);
	err = mg_lst_open(sock->tcp->ctx, &params, &sock->lst);
	if (err < 0)
		return new_error(sock, err);
	mg_ctx_lock(sock->tcp->ctx);
	sock->kind = MG_SOCK_LISTENER;
	mg_socket_begin_watches(sock);
	mg_ctx_unlock(sock->tcp->ctx);
	return MANGO_STATUS_OK;
}

/* A connection's deadline: us from now; 0: never. */
static uint64_t deadline_us(int64_t timeout_us)
{
	return timeout_us <= 0 ? MG_TIME_NEVER
			       : mg_time_after(mg_clock_ns(), (uint64_t)timeout_us * 1000);
}

static int accept_conn(struct mg_socket *sock, struct mg_conn **ret_conn)
{
	struct mg_lst *lst = sock->lst;
	uint64_t deadline_ns = 0;
	uint32_t key;
	int err;

	for (;;) {
		key = mg_ctx_key(&lst->src.seq);
		if (sock->is_shut)
			return -EINVAL;
		err = mg_lst_accept(lst, ret_conn);
		if (err != -EAGAIN || sock->opts.nonblocking)
			return err;
		if (deadline_ns == 0)
			deadline_ns = deadline_us(sock->opts.rcvtimeo_us);
		err = mg_ctx_wait(sock->tcp->ctx, &lst->src.seq, key, deadline_ns);
		if (err == -ETIMEDOUT)
			return -EAGAIN;
		if (err < 0 && err != -EINTR)
			return err;
	}
}

static void begin_conn(struct mg_socket *sock, struct mg_conn *conn)
{
	if (sock->opts.nodelay)
		mg_conn_set_flag(conn, MG_SHM_AF_NODELAY, true);
	if (sock->opts.cork)
		mg_conn_set_flag(conn, MG_SHM_AF_CORK, true);
	mg_ctx_lock(sock->tcp->ctx);
	sock->conn = conn;
	sock->kind = MG_SOCK_CONN;
	mg_socket_begin_watches(sock);
	mg_ctx_unlock(sock->tcp->ctx);
	(void)mg_option_apply(sock); /* options that are refused leave the daemon's defaults */
}

/* An address of the socket's, in its family, with the link that it is on. */
static void fill_address(const struct mg_socket *sock, const struct mg_addr *addr, uint16_t port,
			 struct sockaddr *ret_addr, socklen_t *len)
{
	socklen_t room = *len;
	uint32_t scope = sock->scope;

	if (sock->kind == MG_SOCK_CONN)
		scope = sock->conn->w.shm->scope;
	mg_sockaddr_fill(sock->family, addr, port, ret_addr, len);
	mg_sockaddr_set_scope(ret_addr, room, scope);
}

mango_status_e mango_socket_accept(mango_socket_h h, struct sockaddr *ret_addr, socklen_t *len,
				   mango_socket_h *ret_sock)
{
	struct mg_socket *sock = mg_socket_of(h), *child;
	struct mg_conn *conn = NULL;
	const struct mg_tuple *t;
	int err;

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (ret_sock == NULL || (ret_addr != NULL && len == NULL))
		return -EFAULT;
	*ret_sock = NULL;
	if (sock->kind != MG_SOCK_LISTENER)
		return -EINVAL;
	err = mg_socket_new(sock->tcp, &child);
	if (err < 0)
		return err;
	err = accept_conn(sock, &conn);
	mg_socket_touched(sock);
	if (err < 0) {
		(void)mango_socket_destroy(child); /* nothing is open on it */
		return err;
	}
	child->opts = sock->opts;
	child->family = sock->family;
	begin_conn(child, conn);
	t = mg_conn_tuple(conn);
	if (ret_addr != NULL)
		fill_address(child, &t->raddr, t->rport, ret_addr, len);
	*ret_sock = child;
	return MANGO_STATUS_OK;
}

/* The connection is over before it began: the socket is new again. */
static void forget_conn(struct mg_socket *sock)
{
	struct mg_conn *conn = sock->conn;

	mg_ctx_lock(sock->tcp->ctx);
	mg_socket_end_watches(sock);
	sock->kind = MG_SOCK_NEW;
	sock->conn = NULL;
	mg_ctx_unlock(sock->tcp->ctx);
	mg_conn_release(conn, true);
}

/* Waits for the outcome of an active open. */
static int await_conn(struct mg_socket *sock)
{
	struct mg_conn *conn = sock->conn;
	uint64_t deadline_ns = deadline_us((int64_t)sock->opts.connect_timeout_ms * 1000);
	uint32_t key;
	int err;

	for (;;) {
		key = mg_ctx_key(&conn->src.seq);
		err = mg_conn_status(conn);
		if (err != -EINPROGRESS)
			return err == -ENOTCONN ? -ECONNRESET : err;
		err = mg_ctx_wait(conn->src.ctx, &conn->src.seq, key, deadline_ns);
		if (err < 0 && err != -EINTR)
			return err;
	}
}

/* connect() on a socket that has a connection. */
static int connect_again(struct mg_socket *sock)
{
	int err = mg_conn_status(sock->conn);

	if (!sock->is_connecting)
		return -EISCONN;
	if (err == -EINPROGRESS)
		return -EALREADY;
	sock->is_connecting = false;
	if (err < 0)
		forget_conn(sock);
	return err;
}

static int start_connect(struct mg_socket *sock, const struct sockaddr *addr, socklen_t len)
{
	struct mg_conn_params params = { .rcvbuf_bytes = sock->opts.rcvbuf,
					 .sndbuf_bytes = sock->opts.sndbuf };
	struct mg_conn *conn;
	int err;

	memcpy(params.congestion, sock->opts.congestion, sizeof(params.congestion));
	err = mg_sockaddr_parse(addr, len, &params.tuple.raddr, &params.tuple.rport);
	if (err < 0)
		return err;
	if (sock->is_bound && sock->family != addr->sa_family)
		return -EAFNOSUPPORT;
	if (addr->sa_family == AF_INET6 && sock->opts.v6only && mg_addr_is_v4(&params.tuple.raddr))
		return -ENETUNREACH;
	params.scope = mg_sockaddr_scope(addr, len);
	params.ttl = (uint8_t)set_value(sock, MG_CTL_OPT_TTL);
	params.tos = (uint8_t)set_value(sock, MG_CTL_OPT_TOS);
	sock->family = addr->sa_family;
	params.tuple.laddr = sock->is_bound ? sock->laddr : mg_addr_v4(INADDR_ANY);
	if (!sock->is_bound && !mg_addr_is_v4(&params.tuple.raddr))
		memset(&params.tuple.laddr, 0, sizeof(params.tuple.laddr));
	params.tuple.lport = sock->lport;
	if (sock->opts.fastopen_connect)
		params.flags |= MG_CTL_CONNECT_FASTOPEN;
	if (sock->opts.fastopen_no_cookie)
		params.flags |= MG_CTL_CONNECT_TFO_NO_COOKIE;
	err = mg_conn_connect(sock->tcp->ctx, &params, &conn);
	if (err < 0)
		return new_error(sock, err);
	begin_conn(sock, conn);
	return 0;
}

mango_status_e mango_socket_connect(mango_socket_h h, const struct sockaddr *addr, socklen_t len)
{
	struct mg_socket *sock = mg_socket_of(h);
	int err;

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (addr == NULL)
		return -EFAULT;
	if (sock->kind == MG_SOCK_LISTENER)
		return -EISCONN;
	if (sock->kind == MG_SOCK_CONN)
		return connect_again(sock);
	err = start_connect(sock, addr, len);
	if (err < 0)
		return err;
	if (sock->opts.nonblocking) {
		sock->is_connecting = true;
		err = mg_conn_status(sock->conn);
		return err == -EINPROGRESS ? err : connect_again(sock);
	}
	err = await_conn(sock);
	if (err < 0)
		forget_conn(sock);
	return err;
}

static int shutdown_listener(struct mg_socket *sock)
{
	mg_ctx_lock(sock->tcp->ctx);
	sock->is_shut = true;
	mg_ctx_changed(&sock->lst->src);
	mg_ctx_unlock(sock->tcp->ctx);
	return 0;
}

mango_status_e mango_socket_shutdown(mango_socket_h h, int how)
{
	struct mg_socket *sock = mg_socket_of(h);
	uint32_t flags;
	int err;

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (sock->kind == MG_SOCK_LISTENER)
		return shutdown_listener(sock);
	if (sock->kind != MG_SOCK_CONN)
		return -ENOTCONN;
	flags = how == SHUT_RD ? MG_SHM_AF_SHUT_RD : MG_SHM_AF_SHUT_WR;
	if (how == SHUT_RDWR)
		flags |= MG_SHM_AF_SHUT_RD;
	err = mg_conn_shutdown(sock->conn, flags);
	mg_socket_touched(sock);
	return err;
}

/* SO_LINGER with a time: until everything is acknowledged. */
static void linger(struct mg_socket *sock)
{
	struct mg_conn *conn = sock->conn;
	uint64_t deadline_ns = deadline_us((int64_t)sock->opts.linger_s * 1000000);
	uint32_t key;
	int err = mg_conn_shutdown(conn, MG_SHM_AF_SHUT_WR);

	while (err == 0 || err == -EINTR) {
		key = mg_ctx_key(&conn->src.seq);
		if (mg_conn_is_flushed(conn))
			return;
		err = mg_ctx_wait(conn->src.ctx, &conn->src.seq, key, deadline_ns);
	}
}

static int end(struct mg_socket *sock, bool abort)
{
	enum mg_sock_kind kind = sock->kind;
	const struct mg_sockopts *o = &sock->opts;

	if (kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (kind == MG_SOCK_CONN && !abort && o->linger_on && o->linger_s > 0)
		linger(sock);
	abort = abort || (o->linger_on && o->linger_s == 0);
	mg_mirror_close(sock);
	if (kind != MG_SOCK_NEW) {
		mg_ctx_lock(sock->tcp->ctx);
		mg_socket_end_watches(sock);
		mg_ctx_unlock(sock->tcp->ctx);
	}
	sock->kind = MG_SOCK_CLOSED;
	if (kind == MG_SOCK_CONN)
		mg_conn_release(sock->conn, abort);
	else if (kind == MG_SOCK_LISTENER)
		mg_lst_close(sock->lst);
	sock->conn = NULL;
	sock->lst = NULL;
	return 0;
}

mango_status_e mango_socket_close(mango_socket_h h)
{
	struct mg_socket *sock = mg_socket_of(h);

	return sock == NULL ? -EBADF : end(sock, false);
}

mango_status_e mango_socket_abort(mango_socket_h h)
{
	struct mg_socket *sock = mg_socket_of(h);

	return sock == NULL ? -EBADF : end(sock, true);
}

mango_status_e mango_socket_destroy(mango_socket_h h)
{
	struct mg_socket *sock = mg_socket_of(h);

	if (h == NULL)
		return MANGO_STATUS_OK;
	if (sock == NULL)
		return -EBADF;
	(void)end(sock, false); /* closed already is fine */
	sock->magic = 0;
	atomic_fetch_sub(&sock->tcp->nr_sockets, 1);
	free(sock);
	return MANGO_STATUS_OK;
}

mango_status_e mango_socket_getsockname(mango_socket_h h, struct sockaddr *ret_addr, socklen_t *len)
{
	struct mg_socket *sock = mg_socket_of(h);
	struct mg_addr addr = mg_addr_v4(INADDR_ANY);
	uint16_t port;

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (ret_addr == NULL || len == NULL)
		return -EFAULT;
	addr = sock->is_bound ? sock->laddr : addr;
	port = sock->lport;
	if (sock->kind == MG_SOCK_LISTENER) {
		addr = sock->lst->addr;
		port = sock->lst->port;
	} else if (sock->kind == MG_SOCK_CONN) {
		addr = mg_conn_tuple(sock->conn)->laddr;
		port = mg_conn_tuple(sock->conn)->lport;
	}
	fill_address(sock, &addr, port, ret_addr, len);
	return MANGO_STATUS_OK;
}

mango_status_e mango_socket_getpeername(mango_socket_h h, struct sockaddr *ret_addr, socklen_t *len)
{
	struct mg_socket *sock = mg_socket_of(h);
	const struct mg_tuple *t;

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (ret_addr == NULL || len == NULL)
		return -EFAULT;
	if (sock->kind != MG_SOCK_CONN || mg_window_state(&sock->conn->w) == MG_SHM_ST_CONNECTING)
		return -ENOTCONN;
	t = mg_conn_tuple(sock->conn);
	fill_address(sock, &t->raddr, t->rport, ret_addr, len);
	return MANGO_STATUS_OK;
}

mango_status_e mango_socket_set_user_data(mango_socket_h h, void *user_data)
{
	struct mg_socket *sock = mg_socket_of(h);

	if (sock == NULL)
		return -EBADF;
	mg_ctx_lock(sock->tcp->ctx);
	sock->user_data = user_data;
	mg_ctx_unlock(sock->tcp->ctx);
	return MANGO_STATUS_OK;
}

mango_status_e mango_socket_watch(mango_socket_h h, uint32_t events)
{
	struct mg_socket *sock = mg_socket_of(h);
	struct mg_source *source;

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	mg_ctx_lock(sock->tcp->ctx);
	source = mg_socket_source(sock);
	sock->interest = events;
	if (events == 0)
		mg_watch_remove(&sock->watch);
	else if (source != NULL && sock->watch.source == NULL)
		mg_watch_add(&sock->watch, source, &sock->tcp->polled);
	else if (source != NULL)
		mg_watch_queue(&sock->watch); /* what it did not care for may be there */
	mg_ctx_unlock(sock->tcp->ctx);
	return MANGO_STATUS_OK;
}

int mango_socket_get_fd(mango_socket_h h)
{
	struct mg_socket *sock = mg_socket_of(h);

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	return mg_mirror_open(sock);
}
