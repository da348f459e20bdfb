/* SPDX-License-Identifier: Apache-2.0 */
/* connect.c - bind, listen and connect: where the policy is asked. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "libclient/core/clock.h"
#include "libclient/core/sockaddr.h"
#include "libclient/preload/face.h"
#include "libclient/preload/guard.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/sys.h"

#define TO_LIBC 1

/* The kernel's own bind(), for an address that it does not have, too: so ports are taken as programs expect. */
static int bind_free(int fd, const struct mg_sock *s, const struct sockaddr *addr, socklen_t len)
{
	int level = s->family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	int name = s->family == AF_INET6 ? 78 /* IPV6_FREEBIND */ : IP_FREEBIND;
	int on = 1, off = 0;
	long err;

	(void)mg_sys(SYS_setsockopt, fd, level, name, &on, sizeof(on)); /* bind tells */
	err = mg_sys(SYS_bind, fd, addr, len);
	(void)mg_sys(SYS_setsockopt, fd, level, name, &off, sizeof(off));
	return (int)err;
}

static int bind_locked(int fd, struct mg_sock *s, const struct sockaddr *addr, socklen_t len)
{
	struct mg_addr laddr;
	uint16_t lport;
	long err = mg_sys(SYS_bind, fd, addr, len);

	if (mg_sockaddr_parse(addr, len, &laddr, &lport) < 0)
		return (int)err;
	if (err == -EADDRNOTAVAIL && mg_policy_may_listen(mg_face_policy(), &laddr, lport) &&
	    mg_face_ctx() != NULL && mg_policy_is_own(mg_face_policy(), &laddr)) {
		err = bind_free(fd, s, addr, len);
		s->is_freebound = err == 0;
	}
	if (err == 0) {
		s->laddr = laddr;
		s->is_bound = true;
	}
	return (int)err;
}

int mg_sock_bind(int fd, struct mg_sock *s, const struct sockaddr *addr, socklen_t len)
{
	int err;

	if (mg_sock_kind(s) == MG_SOCK_CONN)
		return -EINVAL;
	if (mg_sock_kind(s) != MG_SOCK_NEW || addr == NULL)
		return TO_LIBC;
	pthread_mutex_lock(&s->lock);
	err = bind_locked(fd, s, addr, len);
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* What the kernel has for the holder's name: the port it chose, above all. */
static int holder_name(int fd, struct mg_addr *ret_addr, uint16_t *ret_port)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	long err = mg_sys(SYS_getsockname, fd, &ss, &len);

	return err < 0 ? (int)err
		       : mg_sockaddr_parse((struct sockaddr *)&ss, len, ret_addr, ret_port);
}

static int holder_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	(void)mg_sys(SYS_getsockopt, fd, level, name, &value, &len); /* 0 when there is none */
	return value;
}

/* The policy's word on listening where the holder is bound. */
static enum mg_verdict listen_verdict(int fd, const struct mg_sock *s)
{
	const struct mg_policy *policy = mg_face_policy();
	struct mg_addr addr = s->laddr;
	uint16_t port = 0;

	if (!s->is_bound && s->family == AF_INET6)
		memset(&addr, 0, sizeof(addr));
	if (s->is_bound)
		(void)holder_name(fd, &addr, &port); /* it is bound: it has a name */
	if (!mg_policy_may_listen(policy, &addr, port))
		return MG_TO_KERNEL;
	if (mg_face_ctx() == NULL)
		return mg_face_absent() != 0 ? MG_TO_MANGO : MG_TO_KERNEL;
	return mg_policy_listen(mg_face_policy(), &addr, port);
}

void mg_sock_listen_params(int fd, const struct mg_sock *s, struct mg_lst_params *params)
{
	*params = (struct mg_lst_params){
		.addr = s->laddr,
		.port = s->lport,
		.reuseport = holder_int(fd, SOL_SOCKET, SO_REUSEPORT) != 0,
		.backlog = s->backlog < 1 ? 1 : (uint32_t)s->backlog,
		.rcvbuf_bytes = s->rcvbuf,
		.sndbuf_bytes = s->sndbuf,
		.fastopen = s->fastopen,
		.fastopen_no_cookie = s->fastopen_no_cookie,
	};
	if (s->family == AF_INET6)
		params->v6only = holder_int(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0;
	mg_sock_listen_options(s, params);
}

/* The holder listens with the kernel; mangod takes the same name. */
static int open_listener(int fd, struct mg_sock *s, int backlog, enum mg_verdict verdict)
{
	struct mg_ctx *ctx = mg_face_ctx();
	struct mg_lst_params params;
	struct mg_lst *lst = NULL;
	int err;

	if (ctx == NULL)
		return -mg_face_absent();
	s->backlog = backlog;
	mg_sock_listen_params(fd, s, &params);
	err = (int)mg_sys(SYS_listen, fd, backlog);
	if (err == 0)
		err = holder_name(fd, &params.addr, &params.port);
	if (err == 0)
		err = mg_lst_open(ctx, &params, &lst);
	if (err < 0)
		return err;
	s->lst = lst;
	s->both = verdict == MG_TO_BOTH;
	s->laddr = params.addr;
	s->lport = params.port;
	if (s->both) /* accept() looks at both, and waits for neither in the kernel */
		(void)mg_sys(SYS_fcntl, fd, F_SETFL,
			     mg_sys(SYS_fcntl, fd, F_GETFL, 0) | O_NONBLOCK);
	return 0;
}

static int listen_locked(int fd, struct mg_sock *s, int backlog)
{
	enum mg_verdict verdict;
	int err;

	if (mg_sock_kind(s) == MG_SOCK_CONN)
		return -EINVAL;
	if (mg_sock_kind(s) != MG_SOCK_NEW) {
		s->backlog = backlog;
		return TO_LIBC; /* a new backlog for the holder will do */
	}
	verdict = listen_verdict(fd, s);
	mg_face_debug("listen(%d): %s", fd,
		      verdict == MG_TO_KERNEL ? "kernel"
		      : verdict == MG_TO_BOTH ? "mangod and kernel"
					      : "mangod");
	if (verdict == MG_TO_KERNEL) {
		mg_sock_become(s, MG_SOCK_KERNEL);
		return TO_LIBC;
	}
	err = open_listener(fd, s, backlog, verdict);
	if (err < 0 && verdict == MG_TO_BOTH) {
		mg_face_debug("listen(%d): mangod: %s; kernel only", fd, strerror(-err));
		if (err == -EADDRINUSE)
			return err;
		mg_sock_become(s, MG_SOCK_KERNEL);
		return TO_LIBC;
	}
	if (err == 0)
		mg_sock_become(s, MG_SOCK_LISTENER);
	return err;
}

int mg_sock_listen(int fd, struct mg_sock *s, int backlog)
{
	int err;

	pthread_mutex_lock(&s->lock);
	err = listen_locked(fd, s, backlog);
	pthread_mutex_unlock(&s->lock);
	return err;
}

void mg_sock_begin_conn(struct mg_sock *s, struct mg_conn *conn)
{
	if (s->nodelay)
		mg_window_set(&conn->w, MG_SHM_AF_NODELAY);
	if (s->cork)
		mg_window_set(&conn->w, MG_SHM_AF_CORK);
	if (s->nodelay || s->cork)
		mg_ctx_ring(conn->src.ctx, &conn->w);
	s->conn = conn;
	atomic_store_explicit(&s->err_told, false, memory_order_relaxed);
	if (s->daemon_set != 0)
		mg_sock_send_options(s);
	mg_sock_become(s, MG_SOCK_CONN);
}

/* The connection is over before it began: the socket is new again. */
void mg_sock_forget_conn(struct mg_sock *s)
{
	struct mg_conn *conn = s->conn;

	mg_guard_undo(s);
	mg_sock_become(s, MG_SOCK_NEW);
	mg_ctx_lock(conn->src.ctx);
	mg_ctx_changed(&conn->src);
	mg_ctx_unlock(conn->src.ctx);
	/* No call moves data any more when we have had both locks; somebody may still wait for a change. */
	pthread_mutex_lock(&s->rx_lock);
	pthread_mutex_lock(&s->tx_lock);
	mg_conn_leave(conn, true);
	pthread_mutex_unlock(&s->tx_lock);
	pthread_mutex_unlock(&s->rx_lock);
	s->connecting = false;
	s->rd_shut = false;
	conn->next_former = s->former;
	s->former = conn;
}

/* connect() on a socket that has a connection. */
static int connect_again(struct mg_sock *s)
{
	int err = mg_conn_status(s->conn);

	if (!s->connecting)
		return -EISCONN;
	if (err == -EINPROGRESS)
		return -EALREADY;
	s->connecting = false;
	if (err == 0)
		return 0;
	err = -mg_sock_take_error(s);
	mg_sock_forget_conn(s);
	return err == 0 ? -ECONNABORTED : err;
}

static enum mg_verdict connect_verdict(const struct mg_sock *s, const struct mg_addr *addr,
				       uint16_t port)
{
	if (!mg_policy_may_connect(mg_face_policy(), addr, port) || mg_addr_is_any(addr))
		return MG_TO_KERNEL;
	if (mg_face_ctx() == NULL)
		return mg_face_absent() != 0 ? MG_TO_MANGO : MG_TO_KERNEL;
	/* From an address of the kernel's there is no way through mangod. */
	if (s->is_bound && !mg_addr_is_any(&s->laddr) &&
	    !mg_policy_is_own(mg_face_policy(), &s->laddr))
		return MG_TO_KERNEL;
	return mg_policy_connect(mg_face_policy(), addr, port);
}

static int start_connect(int fd, struct mg_sock *s, const struct mg_conn_params *params)
{
	struct mg_ctx *ctx = mg_face_ctx();
	struct mg_conn *conn;
	int err;

	if (ctx == NULL)
		return -mg_face_absent();
	err = mg_conn_connect(ctx, params, &conn);
	if (err == -ECONNRESET && mg_client_is_dead(ctx->client))
		err = -ENETDOWN;
	if (err < 0)
		return err;
	s->connecting = !mg_conn_is_waiting(
		conn); /* Fast Open: the outcome is told to those who send */
	mg_sock_begin_conn(s, conn);
	mg_face_debug("connect(%d): mangod", fd);
	return 0;
}

static int connect_new(int fd, struct mg_sock *s, const struct sockaddr *addr, socklen_t len,
		       bool fast)
{
	struct mg_conn_params params = { .rcvbuf_bytes = s->rcvbuf, .sndbuf_bytes = s->sndbuf };
	struct mg_addr laddr;

	if (addr == NULL ||
	    mg_sockaddr_parse(addr, len, &params.tuple.raddr, &params.tuple.rport) < 0)
		return TO_LIBC; /* the kernel knows the right error */
	if (addr->sa_family != s->family)
		return TO_LIBC;
	params.scope = mg_sockaddr_scope(addr, len);
	if (fast || s->fastopen_connect)
		params.flags |= MG_CTL_CONNECT_FASTOPEN;
	if (s->fastopen_no_cookie)
		params.flags |= MG_CTL_CONNECT_TFO_NO_COOKIE;
	if (connect_verdict(s, &params.tuple.raddr, params.tuple.rport) == MG_TO_KERNEL) {
		mg_sock_become(s, MG_SOCK_KERNEL);
		return TO_LIBC;
	}
	params.tuple.laddr = mg_addr_v4(INADDR_ANY);
	if (!mg_addr_is_v4(&params.tuple.raddr))
		memset(&params.tuple.laddr, 0, sizeof(params.tuple.laddr));
	if (s->is_bound && holder_name(fd, &laddr, &params.tuple.lport) == 0 &&
	    !mg_addr_is_any(&laddr))
		params.tuple.laddr = laddr;
	return start_connect(fd, s, &params);
}

/* Waits for the outcome of an active open. */
static int await_conn(struct mg_sock *s)
{
	uint64_t deadline_ns = 0;
	uint32_t key;
	int err;

	for (;;) {
		key = mg_ctx_key(&s->conn->src.seq);
		if (mg_conn_status(s->conn) != -EINPROGRESS)
			return 0;
		err = mg_sock_wait(s, key, &deadline_ns, s->sndtimeo_us);
		if (err < 0)
			return err == -EAGAIN ? -EINPROGRESS : err;
	}
}

static int finish_connect(struct mg_sock *s)
{
	int err;

	pthread_mutex_lock(&s->lock);
	err = mg_sock_kind(s) == MG_SOCK_CONN && s->connecting ? connect_again(s) : 0;
	pthread_mutex_unlock(&s->lock);
	return err;
}

static int do_connect(int fd, struct mg_sock *s, const struct sockaddr *addr, socklen_t len,
		      bool fast)
{
	bool again = false, waits;
	int err;

	pthread_mutex_lock(&s->lock);
	switch (mg_sock_kind(s)) {
	case MG_SOCK_LISTENER:
		err = -EISCONN;
		break;
	case MG_SOCK_CONN:
		if (addr != NULL && len >= sizeof(addr->sa_family) &&
		    addr->sa_family == AF_UNSPEC) {
			mg_sock_forget_conn(s);
			pthread_mutex_unlock(&s->lock);
			return 0;
		}
		again = true;
		err = s->connecting && !s->nonblock ? 0 : connect_again(s);
		break;
	case MG_SOCK_NEW:
		err = connect_new(fd, s, addr, len, fast);
		break;
	default:
		err = TO_LIBC;
	}
	waits = err == 0 && !again && !s->connecting;
	pthread_mutex_unlock(&s->lock);
	if (err != 0 || (again && s->nonblock) || waits)
		return err;
	if (s->nonblock) /* as over a network: the outcome comes later */
		return -EINPROGRESS;
	err = await_conn(s);
	return err < 0 ? err : finish_connect(s);
}

int mg_sock_connect(int fd, struct mg_sock *s, const struct sockaddr *addr, socklen_t len)
{
	return do_connect(fd, s, addr, len, false);
}

int mg_sock_connect_fast(int fd, struct mg_sock *s, const struct sockaddr *addr, socklen_t len)
{
	return do_connect(fd, s, addr, len, true);
}
