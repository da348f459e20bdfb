/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kserver.c - the benchmarks' reference: the same server as the mango example, on the kernel's TCP.
 *
 * Idea:    one thread, epoll, level-triggered; `--busy` polls without ever sleeping (and with SO_BUSY_POLL), which
 *          shows how much of a user-space stack's gain is only that it does not sleep.
 *          Modes: echo (default), sink (reads and throws away), source (sends as fast as it can).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libclient/examples/endpoint.h"

#define BUF_BYTES 262144
#define BUSY_POLL_US 50

enum mode { MODE_ECHO, MODE_SINK, MODE_SOURCE };

struct server {
	enum mode mode;
	bool busy;
	int epoll, listener;
	uint8_t buf[BUF_BYTES];
};

static int die(const char *what)
{
	fprintf(stderr, "kserver: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void watch(const struct server *s, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

static void set_options(const struct server *s, int fd)
{
	int one = 1, us = BUSY_POLL_US;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		die("TCP_NODELAY");
	if (s->busy && setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) < 0)
		die("SO_BUSY_POLL");
}

static void on_accept(const struct server *s)
{
	for (;;) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
			return;
		if (fd < 0)
			die("accept");
		set_options(s, fd);
		watch(s, fd, s->mode == MODE_SOURCE ? EPOLLOUT : EPOLLIN);
	}
}

static void echo_all(int fd, const uint8_t *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return; /* the peer went away: the next recv says so */
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
}

static void on_conn(struct server *s, int fd)
{
	ssize_t n = s->mode == MODE_SOURCE ? send(fd, s->buf, BUF_BYTES, MSG_NOSIGNAL)
					   : recv(fd, s->buf, BUF_BYTES, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		(void)close(fd); /* takes it out of the epoll set, too */
	else if (s->mode == MODE_ECHO)
		echo_all(fd, s->buf, (size_t)n);
}

static void serve(struct server *s)
{
	struct epoll_event evs[256];

	for (;;) {
		int n = epoll_wait(s->epoll, evs, 256, s->busy ? 0 : -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			if (evs[i].data.fd == s->listener)
				on_accept(s);
			else
				on_conn(s, evs[i].data.fd);
		}
	}
}

static void open_listener(struct server *s, struct endpoint *addr)
{
	int one = 1;

	s->listener = socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listener < 0)
		die("socket");
	if (setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		die("SO_REUSEADDR");
	if (bind(s->listener, &addr->any, endpoint_len(addr)) < 0)
		die("bind");
	if (listen(s->listener, 4096) < 0)
		die("listen");
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0)
		die("epoll_create1");
	watch(s, s->listener, EPOLLIN);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "addr", 1, NULL, 'a' },   { "port", 1, NULL, 'p' }, { "sink", 0, NULL, 'k' },
		{ "source", 0, NULL, 's' }, { "busy", 0, NULL, 'b' }, { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	static struct server s;
	struct endpoint addr = endpoint_any(0);
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			(void)endpoint_set(&addr, optarg);
			break; /* wrong: stays 0.0.0.0 */
		case 'p':
			endpoint_set_port(&addr, (uint16_t)atoi(optarg));
			break;
		case 'k':
			s.mode = MODE_SINK;
			break;
		case 's':
			s.mode = MODE_SOURCE;
			break;
		case 'b':
			s.busy = true;
			break;
		default:
			printf("usage: kserver --port P [--addr A] [--sink|--source] [--busy]\n");
			return c == 'h' ? 0 : 2;
		}
	}
	open_listener(&s, &addr);
	printf("ready\n");
	(void)fflush(stdout);
	serve(&s);
	return 0;
}
