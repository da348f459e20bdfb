/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock.h - a stream socket of the program.
 *
 * Idea:    the program's descriptor is a real socket of the kernel's, the *holder*. Until the socket is
 *          connected or listens, the holder is all there is, and calls go to it. Then the policy decides: the
 *          kernel's (the object is forgotten, everything goes to libc from then on), or mangod's: data, readiness
 *          and ends come from a connection or listener of the client core, while the holder keeps the number, the
 *          options and what the kernel knows of names. A listener's holder listens, too: on a wildcard address it
 *          serves the kernel's addresses; on mangod's it keeps the port taken.
 * Threads: `lock` for what changes the socket; the fields in front are read without it. Data calls hold rx_lock or
 *          tx_lock while they copy, and nothing while they wait.
 * Memory:  an object of table.h; a connection lives until the object ends.
 */
#ifndef MG_PRELOAD_SOCK_H
#define MG_PRELOAD_SOCK_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "libclient/core/conn.h"
#include "libclient/core/listener.h"
#include "libclient/core/share.h"
#include "libclient/preload/table.h"

enum mg_sock_kind {
	MG_SOCK_NEW = 0,
	MG_SOCK_CONN = 1,     /* conn; connecting, open or ended */
	MG_SOCK_LISTENER = 2, /* lst, and the holder when `both` */
	MG_SOCK_KERNEL = 3,   /* decided: not ours */
};

#define MG_SOCK_OPTS_MAX 14
#define MG_SOCK_DAEMON_OPTS 16

/* An integer option that was set, to be repeated on accepted sockets' holders. */
struct mg_sock_opt {
	int16_t level;
	int16_t name;
	int32_t value;
};

struct mg_sock {
	struct mg_obj obj;
	_Atomic uint32_t kind; /* release: conn and lst are there */
	uint16_t family;
	bool both; /* a listener: the kernel's connections come here, too */
	_Atomic bool nonblock;
	_Atomic bool corked;     /* MSG_MORE holds the last bytes back; TCP_CORK does not count */
	_Atomic bool err_told;   /* the error that ended the connection was given out */
	_Atomic bool connecting; /* the outcome of connect() was not fetched */
	_Atomic bool shut;       /* a listener that was shut down */
	_Atomic bool rd_shut; /* SHUT_RD: what is there and still comes can be read, then it ends */
	_Atomic uint32_t accepting; /* calls that look at lst */
	_Atomic uint32_t fruitless; /* looks that found nothing, see mg_sock_is_stale() */
	bool cork;
	bool oobinline;
	bool linger_on;
	int32_t linger_s;
	_Atomic uint32_t lowat;   /* SO_RCVLOWAT, at least 1 */
	_Atomic uint32_t nospace; /* counts sends that found no room: for edges */
	_Atomic uint32_t turn;    /* accept: whose turn it is */
	struct mg_conn *conn;
	_Atomic(struct mg_lst *) lst;
	_Atomic int64_t rcvtimeo_us; /* 0: none */
	_Atomic int64_t sndtimeo_us;
	pthread_mutex_t rx_lock;
	pthread_mutex_t tx_lock;

	pthread_mutex_t lock; /* all below */
	struct mg_list items; /* of epoll sets; under the sets' lock */
	bool is_bound;
	bool is_freebound; /* to an address that the kernel does not have */
	bool must_replay;  /* accepted: the holder does not have opts yet */
	bool nodelay;
	bool had_error; /* connect() failed and its error was not given out */
	struct mg_addr laddr;
	uint16_t lport;
	uint32_t rcvbuf;
	uint32_t sndbuf;
	uint32_t defer_s;  /* TCP_DEFER_ACCEPT, for a listener */
	uint32_t fastopen; /* TCP_FASTOPEN of a listener; 0: off */
	bool fastopen_no_cookie;
	bool fastopen_connect; /* TCP_FASTOPEN_CONNECT */
	uint32_t daemon_set;   /* bit: enum mg_ctl_option */
	int32_t daemon_value[MG_SOCK_DAEMON_OPTS];
	char congestion[16];
	uint32_t nr_opts;
	struct mg_sock_opt opts[MG_SOCK_OPTS_MAX];
	uint64_t oob_taken; /* position behind the urgent octet that was read; under rx_lock */
	bool guarded;       /* the numbers refer to a guard (guard.h) */
	int shadow;         /* the holder then; -1: it is behind the numbers, or lost */
	uint32_t guard_id;
	uint32_t guard_gen;
	uint64_t guard_cookie;
	int32_t backlog;           /* of listen() */
	uint64_t relisten_ns;      /* not again before; see relisten.c */
	struct mg_lst *former_lst; /* of daemons that died, while somebody may still look */
	struct mg_conn *former;    /* of a connect that failed, while somebody may still look */
};

/* A parent's: it is joined, or becomes the kernel's. See guard.h. */
void mg_sock_revive(struct mg_sock *s);

/* The socket behind a number, with a reference; NULL: none of ours. */
static inline struct mg_sock *mg_sock_get(int fd)
{
	struct mg_obj *obj = mg_fd_get(fd);

	if (mg_likely(obj == NULL))
		return NULL;
	if (mg_unlikely(obj->kind != MG_OBJ_SOCK)) {
		mg_obj_put(obj);
		return NULL;
	}
	if (mg_unlikely(obj->fork_gen != mg_fork_gen))
		mg_sock_revive(mg_container_of(obj, struct mg_sock, obj));
	return mg_container_of(obj, struct mg_sock, obj);
}

/* The kernel's socket behind it. */
static inline int mg_sock_holder(const struct mg_sock *s, int fd)
{
	return mg_unlikely(s->shadow >= 0) ? s->shadow : fd;
}

static inline void mg_sock_put(struct mg_sock *s)
{
	mg_obj_put(&s->obj);
}

static inline enum mg_sock_kind mg_sock_kind(const struct mg_sock *s)
{
	/* acquire: pairs with the release in mg_sock_become() */
	return (enum mg_sock_kind)atomic_load_explicit(&s->kind, memory_order_acquire);
}

/* The same if mangod serves it; NULL: libc does. */
struct mg_sock *mg_sock_get_served(int fd);
struct mg_sock *mg_sock_get_conn(int fd);

/* A socket object for the descriptor. -errno. */
int mg_sock_new(int fd, int family, bool nonblock, struct mg_sock **ret_sock);
/* In a child of fork: nothing of the daemon's is left. */
void mg_sock_forked(struct mg_sock *s);
/* A guarded connection whose last close() waits (SO_LINGER), with a reference; NULL: this is none. */
struct mg_sock *mg_sock_get_lingering(int fd);
/* After the number was closed. Gives the reference back. */
void mg_sock_linger_shared(struct mg_sock *s);
/* mangod ends a guarded connection: it has to know whether by a reset. Locked. */
void mg_sock_tell_linger(struct mg_sock *s);
/* The end of the last reference. */
void mg_sock_end(struct mg_sock *s);
/* Changes the kind and tells the epoll sets. Locked. */
void mg_sock_become(struct mg_sock *s, enum mg_sock_kind kind);
struct mg_source *mg_sock_source(const struct mg_sock *s);
/*
 * A listener whose daemon died is opened anew with the next one; rarely more than a look. False: there is none yet, and
 * whoever waits looks again after MG_RELISTEN_NS.
 */
#define MG_RELISTEN_NS 200000000ull
bool mg_sock_relisten(int fd, struct mg_sock *s);
/* Locked. A child's of a listener that cannot be joined: as its own, with whatever daemon there is. -errno. */
int mg_sock_relisten_child(struct mg_sock *s);
/* The time to sleep until then: MG_RELISTEN_NS from now, but not beyond the deadline. */
uint64_t mg_sock_relisten_deadline(uint64_t deadline_ns);
/* What of POLLIN, POLLOUT, ... holds, and POLLERR, POLLHUP, POLLRDHUP. `want` as for mg_conn_ready(). */
uint32_t mg_sock_ready(struct mg_sock *s, uint32_t want);
/* The same with the context's lock held. */
uint32_t mg_sock_ready_locked(struct mg_sock *s, uint32_t want);
/* The error that ended the connection, once; 0: none, or it was told. */
int mg_sock_take_error(struct mg_sock *s);

/*
 * Does the number still stand for this socket? A program may have closed or replaced it by system calls that we did
 * not see. A system call each: for calls that are about to sleep. False: the entry is gone, libc is to be asked.
 */
bool mg_sock_is_stale(int fd, const struct mg_sock *s);

/* Is to be restarted after -EINTR, as SA_RESTART has it? */
bool mg_signal_restarts(void);

/* The calls; 0 or -errno; 1: libc is to do it. */
int mg_sock_bind(int fd, struct mg_sock *s, const struct sockaddr *addr, socklen_t len);
int mg_sock_listen(int fd, struct mg_sock *s, int backlog);
int mg_sock_connect(int fd, struct mg_sock *s, const struct sockaddr *addr, socklen_t len);
/* The same of a send with MSG_FASTOPEN, on a new socket. */
int mg_sock_connect_fast(int fd, struct mg_sock *s, const struct sockaddr *addr, socklen_t len);
int mg_sock_shutdown(int fd, struct mg_sock *s, int how);
/* The new descriptor, or -errno. flags: SOCK_NONBLOCK, SOCK_CLOEXEC. */
int mg_sock_accept(int fd, struct mg_sock *s, struct sockaddr *addr, socklen_t *len, int flags);
int mg_sock_names(struct mg_sock *s, bool peer, struct sockaddr *addr, socklen_t *len);
/* *len is the room for val, and what was used of it. */
struct mg_sockopt {
	int level;
	int name;
	void *val;
	socklen_t *len;
};
int mg_sock_setsockopt(int fd, struct mg_sock *s, const struct mg_sockopt *opt);
int mg_sock_getsockopt(int fd, struct mg_sock *s, const struct mg_sockopt *opt);
/* Sends the options that the daemon keeps for a connection that begins. */
void mg_sock_send_options(struct mg_sock *s);
/* What a listener is opened with, as its holder (fd) and options say. */
void mg_sock_listen_params(int fd, const struct mg_sock *s, struct mg_lst_params *params);
/* What a listener that is opened has of them. */
void mg_sock_listen_options(const struct mg_sock *s, struct mg_lst_params *params);
/* What accepted sockets take over. */
void mg_sock_inherit(struct mg_sock *child, const struct mg_sock *parent);

/* The connection is over before it began, or was taken back: the socket is new again. Locked. */
void mg_sock_forget_conn(struct mg_sock *s);
/* Begins a connection: flags and options that were set before. Locked. */
void mg_sock_begin_conn(struct mg_sock *s, struct mg_conn *conn);

/* The receiving or the sending side, against threads and other processes. 0; -errno: not locked, not connected. */
int mg_sock_lock(struct mg_sock *s, enum mg_conn_lock_kind kind);
void mg_sock_unlock(struct mg_sock *s, enum mg_conn_lock_kind kind);

#define MG_SOCK_IOV_MAX 64
/* Data; bytes or -errno. msg_flags as recv() and send(). -MG_ESTALE_FD: the number is not this socket's any more. */
#define MG_ESTALE_FD 4000
int64_t mg_sock_recv(int fd, struct mg_sock *s, const struct iovec *iov, int nr, int msg_flags);
int64_t mg_sock_send(int fd, struct mg_sock *s, const struct iovec *iov, int nr, int msg_flags);
/* -EPIPE raises SIGPIPE unless msg_flags say otherwise; returns n. */
int64_t mg_sock_sigpipe(int64_t n, int msg_flags);
/* Waits until the connection changes; 0: look again; -errno for the caller. */
int mg_sock_wait(struct mg_sock *s, uint32_t key, uint64_t *deadline_ns, int64_t timeout_us);
#endif
