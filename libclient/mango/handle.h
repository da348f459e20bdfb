/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handle.h - what is behind the three handles of libmango.h.
 *
 * Idea:    a handle is a pointer whose first word says what it is, so that NULL, a handle of another kind and
 *          most freed ones give -EBADF. The core (libclient/core) knows nothing of blocking, options or
 *          descriptors; this face adds them.
 * Threads: see libmango.h.
 */
#ifndef MANGO_HANDLE_H
#define MANGO_HANDLE_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "libclient/core/client.h"
#include "libclient/core/conn.h"
#include "libclient/core/ctx.h"
#include "libclient/core/listener.h"

#define MANGO_NO_MACROS
#include "libclient/include/libmango.h"

enum mg_magic {
	MG_MAGIC_IPC = 0x6d676970,
	MG_MAGIC_TCP = 0x6d677463,
	MG_MAGIC_SOCKET = 0x6d67736f,
};

struct mg_ipc {
	uint32_t magic;
	struct mg_client *client;
};

struct mg_mirror_thread;

struct mg_tcp {
	uint32_t magic;
	pthread_mutex_t lock; /* ctx while it is set; notifier */
	struct mg_ctx *ctx;   /* NULL: no daemon yet */
	_Atomic uint32_t nr_sockets;
	struct mg_queue polled;            /* for mango_tcp_poll() */
	struct mg_mirror_thread *notifier; /* keeps descriptors; NULL: none was asked for */
};

/* Options as set, kept for connections to come. */
struct mg_sockopts {
	bool nonblocking;
	bool reuseaddr;
	bool reuseport;
	bool v6only; /* of a socket bound to :: */
	bool nodelay;
	bool cork;
	bool linger_on;
	int32_t linger_s;
	int32_t connect_timeout_ms; /* 0: none */
	int64_t rcvtimeo_us;        /* 0: none */
	int64_t sndtimeo_us;
	uint32_t rcvbuf; /* 0: default */
	uint32_t sndbuf;
	int fastopen; /* most connections of a listener before their handshake's end; 0: off */
	bool fastopen_no_cookie;
	bool fastopen_connect;
	/* The daemon's: value by enum mg_ctl_option; bit set in `daemon_set`: was set here. */
	uint32_t daemon_set;
	int32_t daemon_value[32];
	char congestion[16];
};

enum mg_sock_kind { MG_SOCK_NEW, MG_SOCK_LISTENER, MG_SOCK_CONN, MG_SOCK_CLOSED };

struct mg_mirror;

struct mg_socket {
	uint32_t magic;
	enum mg_sock_kind kind;
	struct mg_tcp *tcp;
	struct mg_lst *lst;   /* kind LISTENER */
	struct mg_conn *conn; /* kind CONN; also while connecting */
	struct mg_sockopts opts;
	int family; /* AF_INET or AF_INET6 */
	bool is_bound;
	bool is_connecting;   /* a non-blocking connect whose outcome nobody fetched */
	bool is_shut;         /* a listener was shut down */
	struct mg_addr laddr; /* as bound */
	uint16_t lport;
	uint32_t scope; /* of a link-local laddr, as bound */
	int error;      /* of a connect that failed: positive, for SO_ERROR */
	void *user_data;
	uint32_t interest; /* enum mango_event_bit; under the context's lock */
	struct mg_watch watch;
	struct mg_mirror *mirror;
};

static inline struct mg_ipc *mg_ipc_of(mango_ipc_h h)
{
	struct mg_ipc *ipc = h;

	return ipc != NULL && ipc->magic == MG_MAGIC_IPC ? ipc : NULL;
}

static inline struct mg_tcp *mg_tcp_of(mango_tcp_h h)
{
	struct mg_tcp *tcp = h;

	return tcp != NULL && tcp->magic == MG_MAGIC_TCP ? tcp : NULL;
}

static inline struct mg_socket *mg_socket_of(mango_socket_h h)
{
	struct mg_socket *sock = h;

	return sock != NULL && sock->magic == MG_MAGIC_SOCKET ? sock : NULL;
}

/* What can become ready; NULL for a new or closed socket. */
static inline struct mg_source *mg_socket_source(struct mg_socket *sock)
{
	if (sock->kind == MG_SOCK_CONN)
		return &sock->conn->src;
	return sock->kind == MG_SOCK_LISTENER ? &sock->lst->src : NULL;
}

/* Of the context's lock holder: what is ready, of `want` and the ends. */
uint32_t mg_socket_ready(struct mg_socket *sock, uint32_t want);
/* The socket has a source now: its watches begin. Locked. */
void mg_socket_begin_watches(struct mg_socket *sock);
/* Locked. */
void mg_socket_end_watches(struct mg_socket *sock);
/* A socket object without anything open. */
int mg_socket_new(struct mg_tcp *tcp, struct mg_socket **ret_sock);
/* After something was read or written: the descriptor, if there is one, may have to change. */
void mg_socket_touched(struct mg_socket *sock);

/* Sends the options that the daemon keeps for a connection that has just begun. */
int mg_option_apply(struct mg_socket *sock);
/* Moves data for mango_socket_*() and mango_posix_*(). */
int mg_socket_recvv(struct mg_socket *sock, const struct iovec *iov, int nr, size_t *ret);
int mg_socket_sendv(struct mg_socket *sock, const struct iovec *iov, int nr, size_t *ret);
#endif
