/* SPDX-License-Identifier: Apache-2.0 */
/* cases_connect.c - connecting: at once, in the background, refused, given up, twice. */
#include <signal.h>

#include "test/posix/conform.h"

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

CASE(connect_blocking)
{
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	t_peer_ok(t, "listen %u", t->port);
	T(connect(fd, (struct sockaddr *)&a, len));
	t_peer(t, "accept");
	len = sizeof(a);
	T(getpeername(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "peer", &a, len);
	len = sizeof(a);
	T(getsockname(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "name", &a, len);
	t_poll(fd, POLLIN | POLLOUT, 0);
}

CASE(connect_v6)
{
	struct sockaddr_storage a;
	socklen_t len;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	t->v6 = true;
	t_peer_ok(t, "v6 1");
	t_peer_ok(t, "listen %u", t->port);
	len = t_peer_addr(t, t->port, &a);
	T(connect(fd, (struct sockaddr *)&a, len));
	t_peer(t, "accept");
	T(send(fd, "hello", 5, 0));
	t_peer(t, "recv 5");
	len = sizeof(a);
	T(getsockname(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "name", &a, len);
}

CASE(connect_mapped)
{
	struct sockaddr_storage a;
	struct sockaddr_in6 m = { .sin6_family = AF_INET6, .sin6_port = htons(t->port) };
	const struct sockaddr_in *in = (const void *)&a;
	socklen_t len;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	(void)t_peer_addr(t, t->port, &a);
	m.sin6_addr.s6_addr[10] = m.sin6_addr.s6_addr[11] = 0xff;
	memcpy(m.sin6_addr.s6_addr + 12, &in->sin_addr, 4);
	t_peer_ok(t, "listen %u", t->port);
	T(connect(fd, (struct sockaddr *)&m, sizeof(m)));
	t_peer(t, "accept");
	len = sizeof(a);
	T(getpeername(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "peer", &a, len);
	len = sizeof(a);
	T(getsockname(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "name", &a, len);
}

CASE(connect_refused)
{
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	T(connect(fd, (struct sockaddr *)&a, len));
	T(so_error(fd));
	t_poll(fd, POLLIN | POLLOUT, 0);
	t_peer_ok(t, "listen %u", t->port);
	T(connect(fd, (struct sockaddr *)&a, len));
	t_peer(t, "accept");
}

CASE(connect_nonblocking)
{
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	t_peer_ok(t, "listen %u", t->port);
	T(connect(fd, (struct sockaddr *)&a, len));
	t_poll(fd, POLLOUT, 1000);
	T(so_error(fd));
	T(connect(fd, (struct sockaddr *)&a, len));
	T(connect(fd, (struct sockaddr *)&a, len));
	t_peer(t, "accept");
}

CASE(connect_nonblocking_refused)
{
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char buf[4];

	T(connect(fd, (struct sockaddr *)&a, len));
	t_poll(fd, POLLIN | POLLOUT, 1000);
	T(so_error(fd));
	T(so_error(fd));
	t_poll(fd, POLLIN | POLLOUT, 0);
	T(recv(fd, buf, 4, 0));
}

CASE(connect_nonblocking_refused_by_connect)
{
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	T(connect(fd, (struct sockaddr *)&a, len));
	(void)t_wait(fd, POLLOUT, 1000);
	T(connect(fd, (struct sockaddr *)&a, len));
	T(so_error(fd));
}

/* Nobody has this address: neither refused nor accepted. Nor did another case look for it, and knows that already. */
static socklen_t nobody(const struct tc *t, struct sockaddr_storage *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)a;
	socklen_t len = t_peer_addr(t, t->port, a);

	in->sin_addr.s_addr = htonl((ntohl(in->sin_addr.s_addr) & ~0xffu) | (20u + t->port % 200u));
	return len;
}

CASE(connect_under_way)
{
	struct sockaddr_storage a;
	socklen_t len = nobody(t, &a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char buf[4];

	T(connect(fd, (struct sockaddr *)&a, len));
	T(connect(fd, (struct sockaddr *)&a, len));
	t_poll(fd, POLLIN | POLLOUT, 0);
	T(recv(fd, buf, 4, 0));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	T(so_error(fd));
	len = sizeof(a);
	T(getpeername(fd, (struct sockaddr *)&a, &len));
	T(listen(fd, 5));
	T(shutdown(fd, SHUT_WR));
	T(close(fd));
}

CASE(connect_to_nobody)
{
	struct sockaddr_storage a;
	socklen_t len = nobody(t, &a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	T(connect(fd, (struct sockaddr *)&a, len));
}

CASE(connect_timeout)
{
	struct sockaddr_storage a;
	socklen_t len = nobody(t, &a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval tv = { 0, 200000 };
	int64_t at;

	T(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	at = t_now_ms();
	T(connect(fd, (struct sockaddr *)&a, len));
	t_took("connect", at, 190, 500);
}

CASE(connect_twice)
{
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	int fd;

	t->active = true;
	fd = t_connected(t);
	T(connect(fd, (struct sockaddr *)&a, len));
	T(send(fd, "x", 1, 0));
	t_peer(t, "recv 1");
}

CASE(connect_errors)
{
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	struct sockaddr_in bcast = { .sin_family = AF_INET,
				     .sin_port = htons(t->port),
				     .sin_addr = { 0xffffffff } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	T(connect(fd, (struct sockaddr *)&a, 3));
	T(connect(fd, NULL, len));
	a.ss_family = AF_UNIX;
	T(connect(fd, (struct sockaddr *)&a, len));
	T(connect(fd, (struct sockaddr *)&bcast, sizeof(bcast)));
	bcast.sin_addr.s_addr = htonl(0xe0000001);
	T(connect(fd, (struct sockaddr *)&bcast, sizeof(bcast)));
	bcast.sin_addr.s_addr = htonl(0xc6336401); /* TEST-NET-2: no route */
	T(connect(fd, (struct sockaddr *)&bcast, sizeof(bcast)));
}

CASE(connect_bound)
{
	struct sockaddr_storage a;
	socklen_t len = t_our_addr(t, (uint16_t)(t->port + 1), &a);
	int fd = t_socket(t);

	T(bind(fd, (struct sockaddr *)&a, len));
	t_peer_ok(t, "listen %u", t->port);
	len = t_peer_addr(t, t->port, &a);
	T(connect(fd, (struct sockaddr *)&a, len));
	t_peer(t, "accept");
	len = sizeof(a);
	T(getsockname(fd, (struct sockaddr *)&a, &len));
	t_say("same port: %d", ntohs(((struct sockaddr_in *)(void *)&a)->sin_port) == t->port + 1);
}

CASE(connect_unspec)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fd;

	t->active = true;
	fd = t_connected(t);
	T(connect(fd, &none, sizeof(none)));
	T(getpeername(fd, (struct sockaddr *)&a, &len));
	t_peer(t, "recv_eof");
	len = t_peer_addr(t, t->port, &a);
	T(connect(fd, (struct sockaddr *)&a, len));
	t_peer(t, "accept");
	T(send(fd, "x", 1, 0));
	t_peer(t, "recv 1");
}

static void on_alarm(int sig)
{
	(void)sig;
}

CASE(connect_interrupted)
{
	struct sockaddr_storage a;
	socklen_t len = nobody(t, &a);
	struct sigaction sa = { .sa_handler = on_alarm };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)sigaction(SIGALRM, &sa, NULL);
	(void)ualarm(100000, 0);
	T(connect(fd, (struct sockaddr *)&a, len));
	T(close(fd));
}

CASE(sendto_ignores_the_address)
{
	struct sockaddr_storage a;
	socklen_t len = t_our_addr(t, 1, &a);
	int fd;

	t->active = true;
	fd = t_connected(t);
	T(sendto(fd, "hello", 5, 0, (struct sockaddr *)&a, len));
	t_peer(t, "recv 5");
}

CASE(recvfrom_gives_no_address)
{
	struct sockaddr_storage a = { .ss_family = 77 };
	socklen_t len = sizeof(a);
	char buf[8];
	int fd;

	t->active = true;
	fd = t_connected(t);
	t_peer_ok(t, "text hello");
	T(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&a, &len));
	t_say("length %u, family %d", len, a.ss_family);
}

CASE(many_connects_at_once)
{
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	struct pollfd p[20];
	int done = 0;

	t_peer_ok(t, "listen %u", t->port);
	for (int i = 0; i < 20; i++) {
		p[i] = (struct pollfd){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
					.events = POLLOUT };
		if (connect(p[i].fd, (struct sockaddr *)&a, len) < 0 && errno != EINPROGRESS)
			t_say("%s", t_errno(errno));
	}
	for (int round = 0; round < 100 && done < 20; round++) {
		(void)poll(p, 20, 100);
		for (int i = 0; i < 20; i++) {
			if (p[i].fd < 0 || !(p[i].revents & POLLOUT))
				continue;
			t_say("error %d", so_error(p[i].fd));
			p[i].fd = -1;
			done++;
		}
	}
	t_say("%d done", done);
}
