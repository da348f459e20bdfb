/* SPDX-License-Identifier: Apache-2.0 */
/* guard.c - making guards and adopting them. Fork is in fork.c. */
#include "libclient/preload/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libclient/core/share.h"
#include "libclient/preload/epoll.h"
#include "libclient/preload/face.h"
#include "libclient/preload/internal.h"
#include "libclient/preload/sys.h"

#define NOTE_MAGIC 0x6d674e32u /* "mgN2" */
#define BATCH 64u

/* What waits in the pair for a program that gets the number. */
struct note {
	uint32_t magic;
	uint32_t kind; /* enum mg_sock_kind */
	uint32_t id;
	uint32_t gen;
	uint64_t cookie;
	struct mg_addr addr;
	uint16_t port;
	uint16_t family;
	uint8_t both;
	uint8_t nodelay;
	uint8_t cork;
	uint8_t oobinline;
	uint8_t linger_on;
	uint8_t reserved[3];
	int32_t linger_s;
	uint32_t lowat;
	int64_t rcvtimeo_us;
	int64_t sndtimeo_us;
	char session[MG_FACE_SESSION_MAX]; /* where it lives: who gets the number may have come from anywhere */
};

/* One guard in the making. */
struct making {
	struct mg_sock *s; /* with a reference */
	int app;           /* the application's end */
	int holder;
};

struct batch {
	uint32_t nr;
	struct making making[BATCH];
	struct mg_guard guard[BATCH];
};

static void fill_note(const struct mg_sock *s, struct note *note)
{
	bool is_conn = mg_sock_kind(s) == MG_SOCK_CONN;

	memset(note, 0, sizeof(*note));
	note->magic = NOTE_MAGIC;
	note->kind = mg_sock_kind(s);
	note->id = is_conn ? s->conn->w.index : s->lst->id;
	note->gen = is_conn ? s->conn->w.gen : 0;
	note->cookie = is_conn ? 0 : s->lst->cookie;
	note->addr = is_conn ? s->laddr : s->lst->addr;
	note->port = is_conn ? s->lport : s->lst->port;
	note->family = s->family;
	note->both = s->both;
	note->nodelay = s->nodelay;
	note->cork = s->cork;
	note->oobinline = s->oobinline;
	note->linger_on = s->linger_on;
	note->linger_s = s->linger_s;
	note->lowat = s->lowat;
	note->rcvtimeo_us = s->rcvtimeo_us;
	note->sndtimeo_us = s->sndtimeo_us;
	memcpy(note->session, mg_face_session_text(), sizeof(note->session));
}

/* Puts note and holder into the pair, to be read at the application's end. */
static long send_note(int daemon_end, const struct note *note, int holder)
{
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = "" };
	struct iovec iov = { (void *)(uintptr_t)note, sizeof(*note) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control.room) };

	control.hdr.cmsg_level = SOL_SOCKET;
	control.hdr.cmsg_type = SCM_RIGHTS;
	control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.hdr), &holder, sizeof(holder));
	return mg_sys(SYS_sendmsg, daemon_end, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void fill_guard(const struct note *note, int daemon_end, uint64_t inode, struct mg_guard *g)
{
	memset(g, 0, sizeof(*g));
	g->kind = note->kind == MG_SOCK_CONN ? MG_GUARD_CONN : MG_GUARD_LISTENER;
	g->id = note->id;
	g->gen = note->gen;
	g->fd = daemon_end;
	g->inode = inode;
	g->cookie = note->cookie;
	g->addr = note->addr;
	g->port = note->port;
}

/* Locked (the socket's). Makes the pair. */
static int begin(struct mg_sock *s, int fd, struct batch *b)
{
	struct note note;
	struct stat st;
	int pair[2] = { -1, -1 };
	long err = mg_sys(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);

	if (err < 0)
		return (int)err;
	pair[1] = mg_internal_fd(pair[1]);
	fill_note(s, &note);
	err = send_note(pair[1], &note, fd);
	if (err >= 0 && s->nonblock)
		err = mg_sys(SYS_fcntl, pair[0], F_SETFL, O_NONBLOCK);
	if (err >= 0)
		err = fstat(pair[0], &st) < 0 ? -errno : 0;
	if (err < 0) {
		(void)mg_sys(SYS_close, pair[0]);
		(void)mg_internal_close(pair[1]);
		return (int)err;
	}
	fill_guard(&note, pair[1], st.st_ino, &b->guard[b->nr]);
	b->making[b->nr++] = (struct making){ .s = s, .app = pair[0], .holder = fd };
	return 0;
}

struct replacing {
	const struct mg_obj *obj;
	int with;
};

static void replace(int fd, struct mg_obj *obj, void *arg)
{
	const struct replacing *r = arg;
	long flags;

	if (obj != r->obj)
		return;
	flags = mg_sys(SYS_fcntl, fd, F_GETFD);
	if (flags >= 0)
		(void)mg_sys(SYS_dup3, r->with, fd, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
}

/* All numbers of the object refer to another descriptor from now on. */
static void replace_all(struct mg_sock *s, int with)
{
	struct replacing r = { .obj = &s->obj, .with = with };

	mg_fd_each(0, ~0u, replace, &r);
}

/* Locked (the socket's). The daemon has agreed. */
static void install(struct mg_sock *s, const struct making *m, const struct mg_guard *g)
{
	long shadow = mg_sys(SYS_fcntl, m->holder, F_DUPFD_CLOEXEC, 3);

	mg_ep_sock_unregister(s);
	s->shadow = shadow < 0 ? -1 : mg_internal_fd((int)shadow);
	s->guarded = true;
	s->guard_id = g->id;
	s->guard_gen = g->gen;
	if (mg_sock_kind(s) == MG_SOCK_CONN)
		s->conn->guarded = true;
	if (mg_sock_kind(s) == MG_SOCK_CONN && s->linger_on)
		mg_sock_tell_linger(s);
	if (mg_sock_kind(s) == MG_SOCK_LISTENER)
		mg_lst_share(s->lst);
	replace_all(s, m->app);
	mg_ep_sock_register(s);
}

static void finish(struct batch *b, struct mg_client *client)
{
	if (b->nr > 0)
		(void)mg_client_guard(client, b->guard, b->nr); /* each item tells */
	for (uint32_t i = 0; i < b->nr; i++) {
		struct making *m = &b->making[i];

		if (b->guard[i].status == 0)
			install(m->s, m, &b->guard[i]);
		else
			mg_face_debug("guard(%d): %s", m->holder, strerror(-b->guard[i].status));
		(void)mg_sys(SYS_close, m->app);
		(void)mg_internal_close(b->guard[i].fd);
		pthread_mutex_unlock(&m->s->lock);
		mg_obj_put(&m->s->obj);
	}
	b->nr = 0;
}

struct collecting {
	struct batch *batch;
	struct mg_client *client;
};

static bool may_guard(const struct mg_sock *s, const struct mg_client *client)
{
	const struct mg_source *source = mg_sock_source(s);

	return source != NULL && !s->guarded && s->obj.fork_gen == mg_fork_gen &&
	       source->ctx->client == client;
}

static void collect(int fd, struct mg_obj *obj, void *arg)
{
	struct collecting *c = arg;
	struct mg_sock *s;

	if (obj->kind != MG_OBJ_SOCK || !mg_obj_tryget(obj))
		return;
	s = mg_container_of(obj, struct mg_sock, obj);
	for (uint32_t i = 0; i < c->batch->nr; i++) {
		if (c->batch->making[i].s == s) { /* its lock is ours already */
			mg_obj_put(obj);
			return;
		}
	}
	pthread_mutex_lock(&s->lock);
	if (!may_guard(s, c->client) || begin(s, fd, c->batch) < 0) {
		pthread_mutex_unlock(&s->lock);
		mg_obj_put(obj);
	} else if (c->batch->nr == BATCH) {
		finish(c->batch, c->client);
	}
}

static void guard_range(unsigned int first, unsigned int last)
{
	struct mg_ctx *ctx = mg_face_live_ctx();
	struct collecting c = { .batch = calloc(1, sizeof(struct batch)) };
	int saved = errno;

	if (ctx != NULL && c.batch != NULL) {
		c.client = ctx->client;
		mg_fd_each(first, last, collect, &c);
		finish(c.batch, c.client);
	}
	free(c.batch);
	errno = saved;
}

void mg_guard_all(void)
{
	guard_range(0, ~0u);
}

void mg_guard_fd(int fd)
{
	struct mg_obj *obj = mg_fd_peek(fd);

	if (obj != NULL && obj->kind == MG_OBJ_SOCK)
		guard_range((unsigned int)fd, (unsigned int)fd);
}

void mg_guard_undo(struct mg_sock *s)
{
	long fresh = s->shadow;

	if (!s->guarded)
		return;
	if (fresh < 0)
		fresh = mg_sys(SYS_socket, s->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mg_ep_sock_unregister(s);
	if (fresh >= 0)
		replace_all(s, (int)fresh);
	if (s->shadow >= 0)
		(void)mg_internal_close(s->shadow);
	else if (fresh >= 0)
		(void)mg_sys(SYS_close, fresh);
	s->shadow = -1;
	s->guarded = false;
	mg_ep_sock_register(s);
}

/* ---- adopting ---- */

static bool read_note(int fd, struct note *note)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	if (mg_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    domain != AF_UNIX)
		return false;
	/* Without room for descriptors none is made. */
	return mg_sys(SYS_recvfrom, fd, note, sizeof(*note), MSG_PEEK | MSG_DONTWAIT, NULL, NULL) ==
		       (long)sizeof(*note) &&
	       note->magic == NOTE_MAGIC &&
	       (note->kind == MG_SOCK_CONN || note->kind == MG_SOCK_LISTENER) &&
	       (note->family == AF_INET || note->family == AF_INET6) &&
	       memchr(note->session, '\0', sizeof(note->session)) != NULL;
}

/* The holder that the note brings; -1. */
static int take_shadow(int fd)
{
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = "" };
	struct note note;
	struct iovec iov = { &note, sizeof(note) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control.room) };
	int shadow;

	if (mg_sys(SYS_recvmsg, fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0 ||
	    msg.msg_controllen < CMSG_LEN(sizeof(int)) || control.hdr.cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&shadow, CMSG_DATA(&control.hdr), sizeof(shadow));
	return mg_internal_fd(shadow);
}

struct finding {
	const struct note *note;
	struct mg_obj *found; /* with a reference */
};

static void find_twin(int fd, struct mg_obj *obj, void *arg)
{
	struct finding *f = arg;
	struct mg_sock *s;

	(void)fd; /* any of its numbers will do */
	if (f->found != NULL || obj->kind != MG_OBJ_SOCK || !mg_obj_tryget(obj))
		return;
	s = mg_container_of(obj, struct mg_sock, obj);
	if (s->guarded && mg_sock_kind(s) == f->note->kind && s->guard_id == f->note->id &&
	    s->guard_gen == f->note->gen)
		f->found = obj;
	else
		mg_obj_put(obj);
}

/* Another number of a socket that we have already: the same open file description. */
static bool adopt_twin(int fd, const struct note *note)
{
	struct finding f = { .note = note };

	mg_fd_each(0, ~0u, find_twin, &f);
	if (f.found == NULL)
		return false;
	if (mg_fd_reserve(fd) == 0)
		mg_fd_set(fd, f.found);
	mg_obj_put(f.found);
	return true;
}

bool mg_guard_adopt(int fd)
{
	struct mg_sock *s;
	struct note note;
	long flags;

	if (mg_fd_peek(fd) != NULL || !read_note(fd, &note))
		return false;
	if (adopt_twin(fd, &note))
		return true;
	mg_face_join(note.session);
	flags = mg_sys(SYS_fcntl, fd, F_GETFL);
	if (mg_sock_new(fd, note.family, (flags & O_NONBLOCK) != 0, &s) < 0)
		return false;
	s->guarded = true;
	s->guard_id = note.id;
	s->guard_gen = note.gen;
	s->guard_cookie = note.cookie;
	s->laddr = note.addr;
	s->lport = note.port;
	s->both = note.both != 0;
	s->nodelay = note.nodelay != 0;
	s->cork = note.cork != 0;
	s->oobinline = note.oobinline != 0;
	s->linger_on = note.linger_on != 0;
	s->linger_s = note.linger_s;
	s->lowat = note.lowat == 0 ? 1 : note.lowat;
	s->rcvtimeo_us = note.rcvtimeo_us;
	s->sndtimeo_us = note.sndtimeo_us;
	s->shadow = take_shadow(fd);
	s->obj.fork_gen = 0; /* to be joined */
	atomic_store_explicit(&s->kind, note.kind, memory_order_release);
	mg_fd_set(fd, &s->obj);
	mg_sock_put(s);
	return true;
}

/* ---- joining ---- */

/* Locked. -errno: it is gone for us. */
static int join(struct mg_sock *s)
{
	struct mg_ctx *ctx = s->guarded ? mg_face_ctx() : NULL;
	struct mg_lst *lst;
	int err;

	if (ctx == NULL)
		return -ENOTCONN;
	if (mg_sock_kind(s) == MG_SOCK_LISTENER) {
		err = mg_lst_join(ctx, s->guard_id, &lst);
		if (err == 0)
			s->lst = lst;
		return err;
	}
	err = mg_conn_join(ctx, s->guard_id, s->guard_gen, &s->conn);
	if (err == 0)
		s->conn->guarded = true;
	return err;
}

static void revive_locked(struct mg_sock *s)
{
	enum mg_sock_kind kind = mg_sock_kind(s);
	int err = kind == MG_SOCK_CONN || kind == MG_SOCK_LISTENER ? join(s) : 0;

	s->obj.fork_gen = mg_fork_gen;
	if (err < 0 && kind == MG_SOCK_LISTENER)
		err = mg_sock_relisten_child(s);
	if (err < 0) {
		mg_face_debug("join: %s", strerror(-err));
		mg_guard_undo(s);
		mg_sock_become(s, MG_SOCK_KERNEL);
	} else if (kind != MG_SOCK_NEW && kind != MG_SOCK_KERNEL) {
		mg_ep_sock_moved(s);
	}
}

void mg_sock_revive(struct mg_sock *s)
{
	int saved = errno;

	pthread_mutex_lock(&s->lock);
	if (s->obj.fork_gen != mg_fork_gen)
		revive_locked(s);
	pthread_mutex_unlock(&s->lock);
	errno = saved;
}
