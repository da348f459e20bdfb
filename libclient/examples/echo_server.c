/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo_server.c - a server for thousands of connections on libmango.
 *
 * Idea:    one thread around mango_tcp_poll(), everything non-blocking. What a client does not take at once is
 *          kept per connection, and nothing more is read from it until it has gone.
 *          echo    sends back what comes (default)
 *          sink    reads and throws away
 *          source  sends as fast as the client takes it
 *          digest  reads to the end, then answers with the SHA-256 of everything, in hex, and a newline
 * Ends:    by SIGTERM or SIGINT, or with the daemon (exit code 1).
 */
#include <errno.h>
#include <getopt.h>
#include <libmango.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint.h"
#include "sha256.h"

#define BUF_BYTES 65536
#define EVENTS_MAX 256
#define ACCEPTS_PER_ROUND 64
#define POLL_MS 1000

enum mode { MODE_ECHO, MODE_SINK, MODE_SOURCE, MODE_DIGEST };

struct conn {
	mango_socket_h sock;
	struct conn *next, *prev;
	char *left; /* not taken by the client yet */
	size_t left_len, left_off;
	bool ending; /* nothing more is to come after what is left */
	struct sha256 digest;
};

struct server {
	enum mode mode;
	bool busy;
	mango_ipc_h ipc;
	mango_tcp_h tcp;
	mango_socket_h listener;
	struct conn conns; /* head of the list */
	uint64_t accepted;
	char buf[BUF_BYTES];
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	(void)sig; /* either ends us */
	stopped = 1;
}

static int fail(const char *what, int status)
{
	fprintf(stderr, "echo_server: %s: %s\n", what, mango_status_text(status));
	return 1;
}

static void conn_free(struct conn *c)
{
	c->prev->next = c->next;
	c->next->prev = c->prev;
	(void)mango_socket_destroy(c->sock);
	free(c->left);
	free(c);
}

static uint32_t first_interest(enum mode mode)
{
	return mode == MODE_SOURCE ? MANGO_EVENT_IN | MANGO_EVENT_OUT : MANGO_EVENT_IN;
}

static void conn_new(struct server *s, mango_socket_h sock)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		(void)mango_socket_abort(sock);
		(void)mango_socket_destroy(sock);
		return;
	}
	c->sock = sock;
	c->next = s->conns.next;
	c->prev = &s->conns;
	c->next->prev = c;
	c->prev->next = c;
	sha256_init(&c->digest);
	s->accepted++;
	(void)mango_socket_set_user_data(sock, c);
	(void)mango_socket_watch(sock, first_interest(s->mode));
}

/* 0, or why the listener ended. */
static int on_listener(struct server *s)
{
	mango_socket_h sock;
	int err;

	for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
		err = mango_socket_accept(s->listener, NULL, NULL, &sock);
		if (err == -ECONNABORTED) { /* the daemon is stopping: the connections may finish */
			(void)mango_socket_destroy(s->listener);
			s->listener = NULL;
		}
		if (err < 0)
			return err == -EAGAIN || err == -ECONNABORTED ? 0 : err;
		conn_new(s, sock);
	}
	return 0;
}

/* Keeps what was not taken; reading stops until it is. */
static int keep(struct conn *c, const char *buf, size_t len)
{
	c->left = malloc(len);
	if (c->left == NULL)
		return -ENOMEM;
	memcpy(c->left, buf, len);
	c->left_len = len;
	c->left_off = 0;
	return mango_socket_watch(c->sock, MANGO_EVENT_OUT);
}

static int put(struct conn *c, const char *buf, size_t len)
{
	size_t n = 0;
	int err = mango_socket_send(c->sock, buf, len, &n);

	if (err < 0 && err != -EAGAIN)
		return err;
	return n < len ? keep(c, buf + n, len - n) : 0;
}

/* 1: all gone; 0: some is left. */
static int put_left(struct server *s, struct conn *c)
{
	size_t n = 0;
	int err = mango_socket_send(c->sock, c->left + c->left_off, c->left_len - c->left_off, &n);

	if (err < 0)
		return err == -EAGAIN ? 0 : err;
	c->left_off += n;
	if (c->left_off < c->left_len)
		return 0;
	free(c->left);
	c->left = NULL;
	err = mango_socket_watch(c->sock, first_interest(s->mode));
	return err < 0 ? err : 1;
}

static int answer_digest(struct conn *c)
{
	char line[SHA256_HEX + 1];

	sha256_end(&c->digest, line);
	line[SHA256_HEX - 1] = '\n';
	c->ending = true;
	return put(c, line, SHA256_HEX);
}

static int on_data(struct server *s, struct conn *c)
{
	size_t n = 0;
	int err = mango_socket_recv(c->sock, s->buf, sizeof(s->buf), &n);

	if (err < 0)
		return err == -EAGAIN ? 0 : err;
	if (n == 0) {
		if (s->mode == MODE_DIGEST && !c->ending) {
			err = answer_digest(c);
			return err < 0 || c->left == NULL ? -ESHUTDOWN : 0;
		}
		return -ESHUTDOWN;
	}
	if (s->mode == MODE_ECHO)
		return put(c, s->buf, n);
	if (s->mode == MODE_DIGEST)
		sha256_add(&c->digest, s->buf, n);
	return 0;
}

static int pour(struct server *s, struct conn *c)
{
	size_t n;
	int err;

	do {
		err = mango_socket_send(c->sock, s->buf, sizeof(s->buf), &n);
	} while (err == 0 && n == sizeof(s->buf));
	return err == -EAGAIN ? 0 : err;
}

/* Below 0: the connection is over. */
static int on_conn(struct server *s, struct conn *c, uint32_t events)
{
	int err;

	if (c->left != NULL) {
		err = put_left(s, c);
		if (err <= 0)
			return err;
		if (c->ending)
			return -ESHUTDOWN;
	}
	if (s->mode == MODE_SOURCE && (events & MANGO_EVENT_OUT) != 0) {
		err = pour(s, c);
		if (err < 0)
			return err;
	}
	return (events & ~(uint32_t)MANGO_EVENT_OUT) != 0 || s->mode != MODE_SOURCE ? on_data(s, c)
										    : 0;
}

static int serve(struct server *s)
{
	struct mango_event events[EVENTS_MAX];
	int n, err;

	while (!stopped) {
		/* Not for ever: a signal may come just before it goes to sleep. */
		err = mango_tcp_poll(s->tcp, events, EVENTS_MAX, s->busy ? 0 : POLL_MS, &n);
		if (err == -EINTR)
			continue;
		if (err < 0)
			return fail("poll", err);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].user_data;

			if (c != NULL && on_conn(s, c, events[i].events) < 0)
				conn_free(c);
			err = c == NULL ? on_listener(s) : 0;
			if (err < 0)
				return fail("accept", err);
		}
	}
	return 0;
}

static int open_listener(struct server *s, const char *address, const struct endpoint *addr)
{
	struct mango_socket_options options = { .size = sizeof(options),
						.nonblocking = 1,
						.nodelay = 1 };
	int err;

	err = mango_ipc_open(address, false, &s->ipc);
	if (err < 0)
		return fail("no daemon", err);
	err = mango_tcp_create(s->ipc, &s->tcp);
	if (err < 0)
		return fail("attach", err);
	/* Every round ends in mango_tcp_poll(), as batching wants it. */
	err = mango_tcp_set_batching(s->tcp, true);
	if (err == 0)
		err = mango_socket_create(s->tcp, &s->listener);
	if (err == 0)
		err = mango_socket_open(s->listener, &options);
	if (err == 0)
		err = mango_socket_bind(s->listener, &addr->any, endpoint_len(addr));
	if (err == 0)
		err = mango_socket_listen(s->listener, 4096);
	if (err == 0)
		err = mango_socket_watch(s->listener, MANGO_EVENT_IN);
	return err < 0 ? fail("listen", err) : 0;
}

static void shut(struct server *s)
{
	struct conn *next;

	for (struct conn *c = s->conns.next; c != &s->conns; c = next) {
		next = c->next;
		conn_free(c);
	}
	(void)mango_socket_destroy(s->listener);
	(void)mango_tcp_destroy(s->tcp);
	(void)mango_ipc_close(s->ipc);
}

static void usage(FILE *to)
{
	fputs("usage: echo_server [--address DAEMON] [--bind ADDR] [--port PORT]\n"
	      "                   [--echo | --sink | --source | --digest] [--busy]\n"
	      "  --address  where mangod is (local:NAME, HOST:PORT, unix:PATH; default: MANGO_ADDRESS, local:mango)\n"
	      "  --bind     local address (0.0.0.0: all IPv4 ones of mangod; ::: those of IPv6 as well)\n"
	      "  --port     port (7)\n"
	      "  --echo     send back what comes (default)\n"
	      "  --sink     read and throw away\n"
	      "  --source   send as fast as the client takes it\n"
	      "  --digest   read to the end, then answer with the SHA-256 of it\n"
	      "  --busy     never sleep\n",
	      to);
}

static int parse(int argc, char **argv, struct server *s, const char **address,
		 struct endpoint *addr)
{
	static const struct option options[] = {
		{ "address", 1, NULL, 'a' }, { "bind", 1, NULL, 'b' }, { "port", 1, NULL, 'p' },
		{ "echo", 0, NULL, 'e' },    { "sink", 0, NULL, 'k' }, { "source", 0, NULL, 's' },
		{ "digest", 0, NULL, 'd' },  { "busy", 0, NULL, 'y' }, { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const char modes[] = "eksd"; /* in the order of enum mode */
	const char *mode;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		mode = strchr(modes, c);
		if (mode != NULL) {
			s->mode = (enum mode)(mode - modes);
		} else if (c == 'a') {
			*address = optarg;
		} else if (c == 'b') {
			if (!endpoint_set(addr, optarg))
				return 2;
		} else if (c == 'p') {
			endpoint_set_port(addr, (uint16_t)atoi(optarg));
		} else if (c == 'y') {
			s->busy = true;
		} else {
			return c == 'h' ? 1 : 2;
		}
	}
	return optind == argc ? 0 : 2;
}

int main(int argc, char **argv)
{
	static struct server s;
	struct endpoint addr = endpoint_any(7);
	struct sigaction action = { .sa_handler = on_signal };
	const char *address = NULL;
	int code = parse(argc, argv, &s, &address, &addr);

	if (code != 0) {
		usage(code == 1 ? stdout : stderr);
		return code == 1 ? 0 : 2;
	}
	s.conns.next = &s.conns;
	s.conns.prev = &s.conns;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	code = open_listener(&s, address, &addr);
	if (code == 0) {
		printf("ready\n");
		(void)fflush(stdout);
		code = serve(&s);
	}
	shut(&s);
	return code;
}
