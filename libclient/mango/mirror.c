/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/mango/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/time.h"

struct mg_mirror {
	struct mg_list_node node; /* of the notifier */
	struct mg_socket *sock;
	struct mg_watch watch;
	int fd; /* the user's end */
	int ours;
	bool has_byte;
	bool is_full;
	bool is_ended; /* shut for writing */
	bool is_hung;  /* shut altogether */
};

struct mg_mirror_thread {
	pthread_t thread;
	struct mg_ctx *ctx;
	struct mg_queue queue;  /* locked */
	struct mg_list mirrors; /* locked */
	bool stop;              /* locked */
};

/* Descriptor to socket, in pages; lives as long as the process. */
#define PAGE_FDS 1024
#define NR_PAGES 1024

struct page {
	_Atomic(struct mg_socket *) sock[PAGE_FDS];
};

static _Atomic(struct page *) table[NR_PAGES];

static int table_set(int fd, struct mg_socket *sock)
{
	struct page *page, *fresh;

	if (fd < 0 || fd >= NR_PAGES * PAGE_FDS)
		return -EMFILE;
	page = atomic_load_explicit(&table[fd / PAGE_FDS], memory_order_acquire);
	if (page == NULL) {
		fresh = calloc(1, sizeof(*fresh));
		if (fresh == NULL)
			return -ENOMEM;
		if (atomic_compare_exchange_strong(&table[fd / PAGE_FDS], &page, fresh))
			page = fresh;
		else
			free(fresh);
	}
	/* release: pairs with the acquire in mg_mirror_find() */
	atomic_store_explicit(&page->sock[fd % PAGE_FDS], sock, memory_order_release);
	return 0;
}

struct mg_socket *mg_mirror_find(int fd)
{
	struct page *page;

	if (fd < 0 || fd >= NR_PAGES * PAGE_FDS)
		return NULL;
	page = atomic_load_explicit(&table[fd / PAGE_FDS], memory_order_acquire);
	return page == NULL
		       ? NULL
		       : atomic_load_explicit(&page->sock[fd % PAGE_FDS], memory_order_acquire);
}

/* The send and recv calls below are non-blocking and on both our own ends: only EAGAIN can happen. */

static void show_readable(struct mg_mirror *m, bool readable)
{
	char byte = 0;

	if (readable == m->has_byte || m->is_ended)
		return;
	if (readable)
		(void)!send(m->ours, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		(void)!recv(m->fd, &byte, 1, MSG_DONTWAIT);
	m->has_byte = readable;
}

static void show_writable(struct mg_mirror *m, bool writable)
{
	char junk[4096];

	if (writable == !m->is_full)
		return;
	if (writable) {
		while (recv(m->ours, junk, sizeof(junk), MSG_DONTWAIT) > 0)
			;
	} else {
		memset(junk, 0, sizeof(junk));
		while (send(m->fd, junk, sizeof(junk), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			;
	}
	m->is_full = !writable;
}

void mg_mirror_update(struct mg_socket *sock)
{
	struct mg_mirror *m = sock->mirror;
	uint32_t ready;

	if (m == NULL || m->is_hung || mg_socket_source(sock) == NULL)
		return;
	ready = mg_socket_ready(sock, MG_READY_IN | MG_READY_OUT);
	if (sock->kind == MG_SOCK_CONN)
		show_writable(m, (ready & MG_READY_OUT) != 0);
	show_readable(m, (ready & MG_READY_IN) != 0);
	if ((ready & MG_READY_RDHUP) != 0 && !m->is_ended) {
		(void)shutdown(m->ours, SHUT_WR); /* cannot fail on a connected pair */
		m->is_ended = true;
	}
	if ((ready & MG_READY_HUP) != 0) {
		(void)shutdown(m->ours, SHUT_RDWR);
		m->is_hung = true;
	}
}

void mg_mirror_begin(struct mg_socket *sock)
{
	if (sock->mirror == NULL)
		return;
	mg_watch_add(&sock->mirror->watch, mg_socket_source(sock), &sock->tcp->notifier->queue);
	mg_mirror_update(sock);
}

void mg_mirror_end(struct mg_socket *sock)
{
	if (sock->mirror != NULL)
		mg_watch_remove(&sock->mirror->watch);
}

/* Locked. */
static void update_queued(struct mg_mirror_thread *t)
{
	struct mg_list_node *node;

	while ((node = mg_list_pop_front(&t->queue.ready)) != NULL) {
		struct mg_watch *watch = mg_container_of(node, struct mg_watch, in_queue);

		mg_mirror_update(mg_container_of(watch, struct mg_mirror, watch)->sock);
	}
}

/* Locked. The daemon died. */
static void update_all(struct mg_mirror_thread *t)
{
	MG_LIST_FOREACH(it, &t->mirrors)
		mg_mirror_update(mg_container_of(it, struct mg_mirror, node)->sock);
}

static void *run(void *arg)
{
	struct mg_mirror_thread *t = arg;
	bool stop;
	int err = 0;

	do {
		uint32_t key = mg_ctx_key(&t->queue.seq);

		mg_ctx_lock(t->ctx);
		(void)mg_ctx_dispatch(t->ctx); /* the queue tells */
		update_queued(t);
		stop = t->stop;
		mg_ctx_unlock(t->ctx);
		if (!stop)
			err = mg_ctx_wait(t->ctx, &t->queue.seq, key, MG_TIME_NEVER);
	} while (!stop && err != -ECONNRESET);
	mg_ctx_lock(t->ctx);
	update_all(t);
	mg_ctx_unlock(t->ctx);
	return NULL;
}

static int start(struct mg_tcp *tcp)
{
	struct mg_mirror_thread *t = calloc(1, sizeof(*t));
	sigset_t all, old;
	int err;

	if (t == NULL)
		return -ENOMEM;
	t->ctx = tcp->ctx;
	mg_queue_init(&t->queue, tcp->ctx);
	mg_list_init(&t->mirrors);
	/* The program's signals are not for a thread that it does not know. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&t->thread, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err != 0) {
		free(t);
		return -err;
	}
	tcp->notifier = t;
	return 0;
}

static int start_once(struct mg_tcp *tcp)
{
	int err = 0;

	pthread_mutex_lock(&tcp->lock);
	if (tcp->notifier == NULL)
		err = start(tcp);
	pthread_mutex_unlock(&tcp->lock);
	return err;
}

void mg_mirror_stop(struct mg_tcp *tcp)
{
	struct mg_mirror_thread *t = tcp->notifier;

	if (t == NULL)
		return;
	mg_ctx_lock(t->ctx);
	t->stop = true;
	/* release: as in mg_ctx_changed() */
	atomic_fetch_add_explicit(&t->queue.seq, 1, memory_order_release);
	mg_ctx_wake_waiters(t->ctx, &t->queue.seq);
	mg_ctx_unlock(t->ctx);
	pthread_join(t->thread, NULL);
	free(t);
	tcp->notifier = NULL;
}

static int make_pair(struct mg_mirror *m)
{
	int pair[2], small = 1; /* the kernel's minimum is used */

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small,
			 sizeof(small)); /* only makes filling cheaper */
	m->fd = pair[0];
	m->ours = pair[1];
	return 0;
}

int mg_mirror_open(struct mg_socket *sock)
{
	struct mg_mirror *m;
	int err;

	if (sock->mirror != NULL)
		return sock->mirror->fd;
	err = start_once(sock->tcp);
	if (err < 0)
		return err;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->sock = sock;
	err = make_pair(m);
	if (err < 0)
		goto free_mirror;
	err = table_set(m->fd, sock);
	if (err < 0)
		goto close_pair;
	mg_ctx_lock(sock->tcp->ctx);
	sock->mirror = m;
	mg_list_push_back(&sock->tcp->notifier->mirrors, &m->node);
	if (mg_socket_source(sock) != NULL)
		mg_mirror_begin(sock);
	mg_ctx_unlock(sock->tcp->ctx);
	return m->fd;

close_pair:
	close(m->fd);
	close(m->ours);
free_mirror:
	free(m);
	return err;
}

void mg_mirror_close(struct mg_socket *sock)
{
	struct mg_mirror *m = sock->mirror;

	if (m == NULL)
		return;
	mg_ctx_lock(sock->tcp->ctx);
	mg_watch_remove(&m->watch);
	mg_list_remove(&m->node);
	sock->mirror = NULL;
	mg_ctx_unlock(sock->tcp->ctx);
	(void)table_set(m->fd, NULL); /* its page is there */
	close(m->fd);
	close(m->ours);
	free(m);
}
