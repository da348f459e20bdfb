/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relisten.c - listeners that outlive the daemon.
 *
 * Idea:    a server opens its listeners once and has no reason to look after them. When the daemon dies, a listener
 *          has nothing to accept (but the kernel's connections, if it has both), and its holder keeps the port.
 *          Whoever uses it - accept(), poll(), epoll_wait() - tries to open it with the next daemon, and sleeps in
 *          pieces until it is there. Of a listener that several processes had each that uses it opens one of its own,
 *          which is why they are opened as with SO_REUSEPORT: the region that they shared is gone.
 * Threads: any; under the socket's lock. The former one stays until the socket ends: others may be looking at it.
 */
#include <errno.h>
#include <string.h>

#include "libclient/core/clock.h"
#include "libclient/preload/epoll.h"
#include "libclient/preload/face.h"
#include "libclient/preload/guard.h"
#include "libclient/preload/sock.h"

static bool is_dead(const struct mg_lst *lst)
{
	return mg_client_is_dead(lst->src.ctx->client);
}

/* Locked. */
static int open_anew(int fd, struct mg_sock *s, struct mg_lst **ret_lst)
{
	struct mg_ctx *ctx = mg_face_ctx();
	struct mg_lst_params params;

	if (ctx == NULL)
		return -ECONNREFUSED;
	mg_sock_listen_params(fd, s, &params);
	params.reuseport = params.reuseport || s->guarded;
	return mg_lst_open(ctx, &params, ret_lst);
}

/* Locked. */
static int relisten(int fd, struct mg_sock *s)
{
	struct mg_lst *old = s->lst, *lst;
	uint64_t now = mg_clock_ns();
	int err;

	if (now < s->relisten_ns)
		return -EAGAIN;
	s->relisten_ns = now + MG_RELISTEN_NS;
	err = open_anew(mg_sock_holder(s, fd), s, &lst);
	if (err < 0) {
		mg_face_debug("listener(%d), with the next daemon: %s", fd, strerror(-err));
		return err;
	}
	mg_guard_undo(s);
	mg_ep_sock_relisten(s, lst);
	old->next_former = s->former_lst;
	s->former_lst = old;
	mg_face_debug("listener(%d): opened with the next daemon", fd);
	return 0;
}

bool mg_sock_relisten(int fd, struct mg_sock *s)
{
	int saved = errno;
	bool lives = true;

	if (mg_likely(mg_sock_kind(s) != MG_SOCK_LISTENER || !is_dead(s->lst)))
		return true;
	pthread_mutex_lock(&s->lock);
	if (mg_sock_kind(s) == MG_SOCK_LISTENER && is_dead(s->lst))
		lives = relisten(fd, s) == 0;
	pthread_mutex_unlock(&s->lock);
	errno = saved;
	return lives;
}

int mg_sock_relisten_child(struct mg_sock *s)
{
	struct mg_lst *lst;
	int err;

	if (!s->guarded || s->shadow < 0)
		return -ENOTCONN;
	err = open_anew(s->shadow, s, &lst);
	if (err < 0)
		return err;
	s->lst = lst;
	mg_guard_undo(s);
	return 0;
}

uint64_t mg_sock_relisten_deadline(uint64_t deadline_ns)
{
	return mg_min_u64(deadline_ns, mg_time_after(mg_clock_ns(), MG_RELISTEN_NS));
}
