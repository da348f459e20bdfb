/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/core/transport_local.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libclient/core/clock.h"
#include "proto/base/bits.h"
#include "proto/base/list.h"

#define PASS_MAX 253u /* SCM_MAX_FD of the kernel */

/* A request under way; lives on its thread's stack while it is on the list. */
struct waiter {
	struct mg_list_node node;
	pthread_cond_t cond;
	uint64_t id;
	struct mg_ctl_msg *msg; /* the reply goes here */
	int *fds;
	uint32_t fds_max;
	uint32_t nr_fds;
	const int *pass; /* go with the request */
	uint32_t nr_pass;
	bool done;
	int err;
};

struct mg_transport {
	int fd;
	uint32_t timeout_ms;
	pthread_mutex_t lock; /* everything below */
	struct mg_list waiters;
	uint64_t next_id;
	bool reading; /* somebody is in receive_one() and owns `inbox` */
	bool dead;
	struct mg_ctl_msg inbox;
};

struct received {
	ssize_t len; /* or -errno; -EAGAIN: nothing yet */
	uint32_t nr_fds;
	int fds[MG_TRANSPORT_FDS_MAX];
};

int mg_transport_local_connect(const char *path, int *ret_fd)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		err = errno;
		close(fd);
		/* No socket file, or nobody behind it: the daemon is not there. */
		return err == ENOENT || err == ENOTDIR ? -ECONNREFUSED : -err;
	}
	*ret_fd = fd;
	return 0;
}

void mg_transport_local_path(int fd, char *path, size_t len)
{
	struct sockaddr_un sa;
	socklen_t sa_len = sizeof(sa);
	size_t n;

	memset(&sa, 0, sizeof(sa));
	path[0] = '\0';
	if (getpeername(fd, (struct sockaddr *)&sa, &sa_len) < 0 || sa.sun_path[0] == '\0')
		return;
	n = strnlen(sa.sun_path, sizeof(sa.sun_path));
	if (n >= len)
		return;
	memcpy(path, sa.sun_path, n);
	path[n] = '\0';
}

static int init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int err = pthread_condattr_init(&attr);

	if (err != 0)
		return -err;
	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (err == 0)
		err = pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr); /* cannot fail on an initialised one */
	return -err;
}

int mg_transport_local_adopt(int fd_take, const struct mg_transport_params *params,
			     struct mg_transport **ret_transport)
{
	struct mg_transport *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		close(fd_take);
		return -ENOMEM;
	}
	t->fd = fd_take;
	t->timeout_ms = params->request_timeout_ms;
	t->next_id = 1;
	pthread_mutex_init(&t->lock, NULL);
	mg_list_init(&t->waiters);
	*ret_transport = t;
	return 0;
}

static int local_open(const char *address, const struct mg_transport_params *params,
		      struct mg_transport **ret_transport)
{
	int fd = -1;
	int err = mg_transport_local_connect(address, &fd);

	return err < 0 ? err : mg_transport_local_adopt(fd, params, ret_transport);
}

void mg_transport_local_orphan(struct mg_transport *t)
{
	close(t->fd);
	t->fd = -1;
	t->dead = true;
	t->reading = false;
	pthread_mutex_init(&t->lock, NULL);
	mg_list_init(&t->waiters);
}

static void close_fds(const int *fds, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		close(fds[i]);
}

/* Lock held. All requests fail; nobody will come back here. */
static void die(struct mg_transport *t)
{
	t->dead = true;
	MG_LIST_FOREACH(it, &t->waiters)
		pthread_cond_signal(&mg_container_of(it, struct waiter, node)->cond);
	(void)shutdown(t->fd,
		       SHUT_RDWR); /* wakes a reader in poll(); fails harmlessly when it hung up */
}

static void take_fds(struct msghdr *mh, struct received *r)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		uint32_t nr;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		nr = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		if (r->nr_fds + nr > MG_TRANSPORT_FDS_MAX) {
			close_fds((const int *)(const void *)CMSG_DATA(c), nr);
			continue;
		}
		memcpy(r->fds + r->nr_fds, CMSG_DATA(c), nr * sizeof(int));
		r->nr_fds += nr;
	}
}

/* Never blocks. */
static int put(struct mg_transport *t, const struct mg_ctl_msg *msg, const int *fds, uint32_t nr)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * PASS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { (void *)(uintptr_t)msg, msg->hdr.bytes };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (nr > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nr * sizeof(int));
	}
	do {
		n = sendmsg(t->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS)
		return -EAGAIN;
	return nr > 0 && errno == EBADF ? -EBADF : -ECONNRESET;
}

/* Reads one datagram into the inbox; no lock is held, t->reading is ours. */
static void receive_one(struct mg_transport *t, uint64_t deadline_ns, struct received *r)
{
	char control[CMSG_SPACE(sizeof(int) * MG_TRANSPORT_FDS_MAX)];
	struct iovec iov = { &t->inbox, sizeof(t->inbox) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control) };
	struct pollfd pfd = { .fd = t->fd, .events = POLLIN };

	r->nr_fds = 0;
	if (deadline_ns != 0) {
		struct timespec left = mg_clock_left(deadline_ns);

		(void)ppoll(&pfd, 1, deadline_ns == MG_TIME_NEVER ? NULL : &left,
			    NULL); /* recvmsg tells */
	}
	r->len = recvmsg(t->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (r->len < 0) {
		r->len = errno == EINTR ? -EAGAIN : -errno;
		return;
	}
	take_fds(&mh, r);
	if (r->len == 0 || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
		r->len = -ECONNRESET;
}

/*
 * Lock held. A reply that nobody waits for any more: what it gave is given back, or it would be the daemon's to keep
 * until we detach. Replies to send() come here as well, and give nothing.
 */
static void undo(struct mg_transport *t)
{
	struct mg_ctl_msg *in = &t->inbox;
	uint32_t count = in->hdr.count, n = 0;

	if (in->hdr.type == (MG_CTL_TCP_CONNECT | MG_CTL_REPLY)) {
		for (uint32_t i = 0; i < count; i++) {
			struct mg_ctl_connect item = in->connect[i];

			if (item.status == 0) /* the shorter items never run into the longer ones */
				in->conn[n++] = (struct mg_ctl_conn_ref){ item.window, item.gen };
		}
		in->hdr.type = MG_CTL_TCP_ABORT;
	} else if (in->hdr.type == (MG_CTL_TCP_LISTEN | MG_CTL_REPLY)) {
		for (uint32_t i = 0; i < count; i++)
			in->listener[n++] = (struct mg_ctl_listener_ref){ in->listen[i].listener,
									  0 };
		in->hdr.type = MG_CTL_TCP_LISTEN_CLOSE;
	}
	if (n == 0 || in->hdr.status < 0)
		return;
	mg_ctl_set_count(in, n);
	in->hdr.id = t->next_id++;
	(void)put(t, in, NULL, 0); /* full: it stays until we detach */
}

static struct waiter *find_waiter(struct mg_transport *t, uint64_t id)
{
	MG_LIST_FOREACH(it, &t->waiters) {
		struct waiter *w = mg_container_of(it, struct waiter, node);

		if (w->id == id && !w->done)
			return w;
	}
	return NULL;
}

/* Lock held. Gives the inbox to whom it belongs. */
static void deliver(struct mg_transport *t, struct received *r)
{
	struct waiter *w;

	if (r->len == -EAGAIN)
		return;
	if (r->len < 0) {
		die(t);
		close_fds(r->fds, r->nr_fds);
		return;
	}
	w = (size_t)r->len >= sizeof(t->inbox.hdr) ? find_waiter(t, t->inbox.hdr.id) : NULL;
	if (w == NULL) { /* of a send(), or too late */
		if (mg_ctl_check(&t->inbox, (size_t)r->len) == 0)
			undo(t);
		close_fds(r->fds, r->nr_fds);
		return;
	}
	w->done = true;
	w->err = mg_ctl_check(&t->inbox, (size_t)r->len);
	if (w->err == 0 && t->inbox.hdr.type != (w->msg->hdr.type | MG_CTL_REPLY))
		w->err = -EPROTO;
	if (w->err == 0)
		memcpy(w->msg, &t->inbox, (size_t)r->len);
	if (w->err == 0 && r->nr_fds <= w->fds_max) {
		if (r->nr_fds > 0)
			memcpy(w->fds, r->fds, r->nr_fds * sizeof(int));
		w->nr_fds = r->nr_fds;
	} else {
		close_fds(r->fds, r->nr_fds);
	}
	pthread_cond_signal(&w->cond);
}

/* Lock held; returns with it held. */
static void read_once(struct mg_transport *t, uint64_t deadline_ns)
{
	struct received r;

	t->reading = true;
	pthread_mutex_unlock(&t->lock);
	receive_one(t, deadline_ns, &r);
	pthread_mutex_lock(&t->lock);
	t->reading = false;
	deliver(t, &r);
}

/* Lock held. Waits for w's reply. */
static int await(struct mg_transport *t, struct waiter *w, uint64_t deadline_ns)
{
	while (!w->done) {
		if (t->dead)
			return -ECONNRESET;
		if (deadline_ns != MG_TIME_NEVER && mg_clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
		if (!t->reading) {
			read_once(t, deadline_ns);
		} else if (deadline_ns == MG_TIME_NEVER) {
			pthread_cond_wait(&w->cond, &t->lock);
		} else {
			struct timespec at = { (time_t)(deadline_ns / MG_NS_PER_S),
					       (long)(deadline_ns % MG_NS_PER_S) };
			(void)pthread_cond_timedwait(&w->cond, &t->lock,
						     &at); /* the loop looks at the clock */
		}
	}
	return w->err;
}

/* Lock held. Somebody else has to read from now on. */
static void hand_over(struct mg_transport *t)
{
	struct mg_list_node *next = mg_list_first(&t->waiters);

	if (next != NULL && !t->reading)
		pthread_cond_signal(&mg_container_of(next, struct waiter, node)->cond);
}

/* Locked, so that no reply can come into msg before it is gone; lets the lock go while the socket is full. */
static int put_locked(struct mg_transport *t, const struct waiter *w, uint64_t deadline_ns)
{
	struct pollfd pfd = { .fd = t->fd, .events = POLLOUT };
	struct timespec left;
	int err;

	while (!t->dead) {
		err = put(t, w->msg, w->pass, w->nr_pass);
		if (err != -EAGAIN)
			return err;
		left = mg_clock_left(deadline_ns);
		if (left.tv_sec == 0 && left.tv_nsec == 0)
			return -ETIMEDOUT;
		pthread_mutex_unlock(&t->lock);
		(void)ppoll(&pfd, 1, deadline_ns == MG_TIME_NEVER ? NULL : &left,
			    NULL); /* put() tells */
		pthread_mutex_lock(&t->lock);
	}
	return -ECONNRESET;
}

static int request(struct mg_transport *t, struct waiter *w)
{
	uint64_t deadline_ns = mg_clock_deadline(t->timeout_ms == 0 ? -1 : (int64_t)t->timeout_ms);
	int err = init_cond(&w->cond);

	if (err < 0)
		return err;
	pthread_mutex_lock(&t->lock);
	w->id = t->next_id++;
	w->msg->hdr.id = w->id;
	mg_list_push_back(&t->waiters, &w->node);
	err = put_locked(t, w, deadline_ns);
	if (err == 0)
		err = await(t, w, deadline_ns);
	else if (err == -ECONNRESET && !t->dead)
		die(t);
	mg_list_remove(&w->node);
	hand_over(t);
	pthread_mutex_unlock(&t->lock);
	(void)pthread_cond_destroy(&w->cond); /* nobody can be on it */
	return err;
}

int mg_transport_local_request_fds(struct mg_transport *t, struct mg_ctl_msg *msg, int *ret_fds,
				   uint32_t max, uint32_t *ret_nr)
{
	struct waiter w = { .msg = msg, .fds = ret_fds, .fds_max = max };
	int err = request(t, &w);

	*ret_nr = w.nr_fds;
	return err;
}

int mg_transport_local_pass_fds(struct mg_transport *t, struct mg_ctl_msg *msg, const int *fds,
				uint32_t nr)
{
	struct waiter w = { .msg = msg, .pass = fds, .nr_pass = nr };

	return nr > PASS_MAX ? -EINVAL : request(t, &w);
}

static int local_request(struct mg_transport *t, struct mg_ctl_msg *msg)
{
	uint32_t nr;

	return mg_transport_local_request_fds(t, msg, NULL, 0, &nr);
}

static int local_send(struct mg_transport *t, struct mg_ctl_msg *msg)
{
	struct received r;
	bool reader, dead;

	pthread_mutex_lock(&t->lock);
	msg->hdr.id = t->next_id++;
	reader = !t->reading;
	dead = t->dead;
	t->reading = true;
	pthread_mutex_unlock(&t->lock);
	/* Replies of earlier sends must not fill the socket: take what is there when nobody reads. */
	do {
		if (!reader)
			break;
		receive_one(t, 0, &r);
		pthread_mutex_lock(&t->lock);
		deliver(t, &r);
		pthread_mutex_unlock(&t->lock);
	} while (r.len > 0);
	if (reader) {
		pthread_mutex_lock(&t->lock);
		t->reading = false;
		dead = t->dead;
		hand_over(t);
		pthread_mutex_unlock(&t->lock);
	}
	return dead ? -ECONNRESET : put(t, msg, NULL, 0);
}

static void local_abandon(struct mg_transport *t)
{
	pthread_mutex_lock(&t->lock);
	die(t);
	pthread_mutex_unlock(&t->lock);
}

static void local_close(struct mg_transport *t)
{
	if (t == NULL)
		return;
	if (t->fd >= 0)
		close(t->fd);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int mg_transport_local_fd(const struct mg_transport *t)
{
	return t->fd;
}

const struct mg_transport_ops mg_transport_local_ops = {
	.version = MG_TRANSPORT_VERSION,
	.size = sizeof(struct mg_transport_ops),
	.name = "local",
	.open = local_open,
	.request = local_request,
	.send = local_send,
	.abandon = local_abandon,
	.close = local_close,
};
