/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forker.c - a server of several processes on libmango's core, for tests that kill them.
 *
 * Idea:    listens, guards the listener, forks; each child joins it and echoes what its connections say. With a peer,
 *          the parent connects to it first, and every process shares that connection: locks a side, sends a line
 *          or takes what is there. "ready" is said once all children serve.
 * Use:     mango_forker ADDRESS PORT CHILDREN [PEER-ADDR PEER-PORT]
 *          Ends when its standard input does; children when their parent has gone (if it was not killed, they are).
 * Threads: one per process.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/core/share.h"

#define CONNS_MAX 64
#define CHILDREN_MAX 16

struct world {
	const char *address;
	struct mg_client *client;
	struct mg_ctx *ctx;
	struct mg_lst *lst;
	struct mg_conn *shared; /* NULL: none */
	struct mg_conn *conns[CONNS_MAX];
	/* What a child needs to know. */
	struct mg_ctl_token share;
	uint32_t listener, window, gen;
};

static void die(const char *what, int err)
{
	fprintf(stderr, "forker %d: %s: %s\n", (int)getpid(), what, strerror(-err));
	_exit(1);
}

/* Makes a guard; our end stays open for as long as the process and its children have it. */
static void guard(struct world *w, struct mg_guard *g)
{
	struct stat st;
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || fstat(pair[0], &st) < 0)
		die("socketpair", -errno);
	g->fd = pair[1];
	g->inode = st.st_ino;
	err = mg_client_guard(w->client, g, 1);
	close(pair[1]);
	if (err < 0)
		die("guard", err);
}

static void open_shared(struct world *w, const char *addr, uint16_t port)
{
	struct in_addr in;
	struct mg_conn_params params = { 0 };
	struct mg_guard g = { .kind = MG_GUARD_CONN };
	int err;

	(void)inet_pton(AF_INET, addr, &in); /* the test's */
	params.tuple.laddr = mg_addr_v4(0);
	params.tuple.raddr = mg_addr_v4(ntohl(in.s_addr));
	params.tuple.rport = port;
	err = mg_conn_connect(w->ctx, &params, &w->shared);
	while (err == 0 && (err = mg_conn_status(w->shared)) == -EINPROGRESS) {
		usleep(1000);
		err = 0;
	}
	if (err < 0)
		die("connect", err);
	g.id = w->shared->w.index;
	g.gen = w->shared->w.gen;
	guard(w, &g);
	w->shared->guarded = true;
	w->window = g.id;
	w->gen = g.gen;
}

static void open_listener(struct world *w, uint16_t port)
{
	struct mg_lst_params params = { .addr = mg_addr_v4(0), .port = port, .backlog = 64 };
	struct mg_guard g = { .kind = MG_GUARD_LISTENER };
	int err = mg_lst_open(w->ctx, &params, &w->lst);

	if (err < 0)
		die("listen", err);
	g.id = w->lst->id;
	g.cookie = w->lst->cookie;
	g.addr = w->lst->addr;
	g.port = w->lst->port;
	guard(w, &g);
	mg_lst_share(w->lst);
	w->listener = w->lst->id;
	w->share = w->client->share;
}

static void join(struct world *w)
{
	int err;

	mg_client_forget(w->client);
	memset(w->conns, 0, sizeof(w->conns));
	err = mg_client_open_child(w->address, &w->share, &w->client);
	if (err == 0)
		err = mg_ctx_open(w->client, &w->ctx);
	if (err == 0)
		err = mg_lst_join(w->ctx, w->listener, &w->lst);
	if (err == 0 && w->shared != NULL)
		err = mg_conn_join(w->ctx, w->window, w->gen, &w->shared);
	if (err < 0)
		die("join", err);
}

static void take_new(struct world *w)
{
	for (int i = 0; i < CONNS_MAX; i++)
		if (w->conns[i] == NULL && mg_lst_accept(w->lst, &w->conns[i]) < 0)
			return;
}

static void echo(struct world *w)
{
	char buf[4096] = { 0 };

	for (int i = 0; i < CONNS_MAX; i++) {
		struct iovec iov = { buf, sizeof(buf) };
		int64_t n;

		if (w->conns[i] == NULL)
			continue;
		n = mg_conn_recv(w->conns[i], &iov, 1, false);
		if (n > 0) {
			iov.iov_len = (size_t)n;
			(void)mg_conn_send(w->conns[i], &iov,
					   1); /* the peer asks little at a time */
		} else if (n != -EAGAIN) {
			mg_conn_release(w->conns[i], false);
			w->conns[i] = NULL;
		}
	}
}

/* Lines of one length, so that a torn one shows at the peer; what comes back is thrown away. */
static void chat(struct world *w)
{
	char line[64], buf[4096];
	struct iovec out = { line, sizeof(line) }, in = { buf, sizeof(buf) };

	if (w->shared == NULL)
		return;
	memset(line, 'a' + getpid() % 26, sizeof(line));
	line[sizeof(line) - 1] = '\n';
	if (mg_conn_lock(w->shared, MG_LOCK_TX) == 0) {
		if (mg_window_writable(&w->shared->w) >= sizeof(line))
			(void)mg_conn_send(w->shared, &out, 1);
		mg_conn_unlock(w->shared, MG_LOCK_TX);
	}
	if (mg_conn_lock(w->shared, MG_LOCK_RX) == 0) {
		(void)mg_conn_recv(w->shared, &in, 1, false);
		mg_conn_unlock(w->shared, MG_LOCK_RX);
	}
}

static void serve(struct world *w)
{
	for (;;) {
		take_new(w);
		echo(w);
		chat(w);
		if (mg_client_check(w->client))
			die("the daemon", -ECONNRESET);
		usleep(500);
	}
}

int main(int argc, char **argv)
{
	struct world w = { 0 };
	int nr = argc > 3 ? atoi(argv[3]) : 0, err;
	int ready[2];
	char byte;

	if (argc < 4 || nr > CHILDREN_MAX || pipe(ready) < 0)
		return 2;
	w.address = argv[1];
	err = mg_client_open(w.address, &w.client);
	if (err == 0)
		err = mg_ctx_open(w.client, &w.ctx);
	if (err < 0)
		die("open", err);
	open_listener(&w, (uint16_t)atoi(argv[2]));
	if (argc > 5)
		open_shared(&w, argv[4], (uint16_t)atoi(argv[5]));
	for (int i = 0; i < nr; i++) {
		if (fork() == 0) {
			close(STDIN_FILENO);
			join(&w);
			(void)!write(ready[1], "", 1); /* the test would miss it */
			close(ready[0]);
			close(ready[1]);
			serve(&w);
		}
	}
	for (int i = 0; i < nr; i++)
		if (read(ready[0], &byte, 1) != 1)
			return 1;
	printf("ready\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
