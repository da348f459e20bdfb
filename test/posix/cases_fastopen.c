/* SPDX-License-Identifier: Apache-2.0 */
/* cases_fastopen.c - TCP Fast Open: listeners and connections that begin with data. */
#include "test/posix/conform.h"

static void set(int fd, int name, int value)
{
	t_say("set %d = %d", name, value);
	T(setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)));
}

/* Did a SYN carry data that counted? */
static void say_syn_data(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	(void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	t_say("syn data: %d", (info.tcpi_options & TCPI_OPT_SYN_DATA) != 0);
}

static void say_peer(struct tc *t, int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	T(getpeername(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "peer", &a, len);
}

/* Accepts what comes with a request of 100 bytes and answers it. */
static void serve_one(struct tc *t, int lfd)
{
	char buf[200];
	int fd = TF(accept(lfd, NULL, NULL));

	say_peer(t, fd);
	t_poll(fd, POLLIN | POLLOUT, 1000);
	T(recv(fd, buf, sizeof(buf), 0));
	T(send(fd, "answer", 6, 0));
	t_peer(t, "recv 6");
	say_syn_data(fd);
	(void)close(fd);
}

CASE(fastopen_listener)
{
	int lfd = t_listener(t, 8), value = 0;
	socklen_t len = sizeof(value);

	set(lfd, TCP_FASTOPEN, 5);
	T(getsockopt(lfd, IPPROTO_TCP, TCP_FASTOPEN, &value, &len));
	t_say("value %d", value);
	for (int i = 0; i < 3; i++) { /* the first may ask for a cookie */
		t_peer(t, "connect_fast %u 100", t->port);
		if (i > 0) {
			serve_one(t, lfd);
			t_peer(t, "syn_data");
		} else {
			char buf[200];
			int fd = TF(accept(lfd, NULL, NULL));

			T(recv(fd, buf, sizeof(buf), 0));
			(void)close(fd);
		}
	}
	set(lfd, TCP_FASTOPEN, 0);
	t_peer(t, "connect_fast %u 100", t->port);
	{
		char buf[200];
		int fd = TF(accept(lfd, NULL, NULL));

		T(recv(fd, buf, sizeof(buf), 0));
		say_syn_data(fd);
	}
}

/* A connection that brings the cookie, if there is none yet. */
static void learn(struct tc *t, struct sockaddr_storage *a, socklen_t *len)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	*len = t_peer_addr(t, t->port, a);
	t_peer_ok(t, "listen %u", t->port);
	t_peer_ok(t, "fastopen 16");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one));
	T(connect(fd, (struct sockaddr *)a, *len));
	T(send(fd, "first", 5, 0));
	t_peer(t, "accept");
	t_peer(t, "recv 5");
	t_peer(t, "close");
	(void)close(fd);
}

CASE(fastopen_connect)
{
	struct sockaddr_storage a;
	socklen_t len;
	char buf[8];
	int fd;

	learn(t, &a, &len);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	set(fd, TCP_FASTOPEN_CONNECT, 1);
	T(connect(fd, (struct sockaddr *)&a, len));
	t_poll(fd, POLLOUT, 0);
	T(send(fd, "second", 6, 0));
	t_peer(t, "accept");
	t_peer(t, "recv 6");
	t_peer(t, "text back");
	T(recv(fd, buf, sizeof(buf), 0));
	t_bytes("read", buf, 4);
	say_peer(t, fd);
	say_syn_data(fd);
	t_peer(t, "syn_data");
}

CASE(fastopen_connect_nonblocking)
{
	struct sockaddr_storage a;
	socklen_t len;
	char buf[8];
	int fd;

	learn(t, &a, &len);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	set(fd, TCP_FASTOPEN_CONNECT, 1);
	T(connect(fd, (struct sockaddr *)&a, len));
	t_poll(fd, POLLIN | POLLOUT, 0);
	T(send(fd, "second", 6, 0));
	t_peer(t, "accept");
	t_peer(t, "recv 6");
	t_poll(fd, POLLOUT, 1000);
	T(recv(fd, buf, sizeof(buf), 0));
	t_peer(t, "text back");
	(void)t_wait(fd, POLLIN, 1000);
	T(recv(fd, buf, sizeof(buf), 0));
	say_syn_data(fd);
}

CASE(fastopen_message)
{
	struct sockaddr_storage a;
	socklen_t len;
	int fd;

	learn(t, &a, &len);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	T(sendto(fd, "message", 7, MSG_FASTOPEN, (struct sockaddr *)&a, len));
	t_peer(t, "accept");
	t_peer(t, "recv 7");
	T(send(fd, "more", 4, 0));
	t_peer(t, "recv 4");
	say_syn_data(fd);
}

CASE(fastopen_message_refused)
{
	struct sockaddr_storage a;
	socklen_t len;
	char buf[8];
	int fd;

	learn(t, &a, &len);
	t_peer_ok(t, "unlisten");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	T(sendto(fd, "message", 7, MSG_FASTOPEN, (struct sockaddr *)&a, len));
	(void)t_wait(fd, POLLIN, 1000);
	T(recv(fd, buf, sizeof(buf), 0));
	T(recv(fd, buf, sizeof(buf), 0));
}

/* Nothing is sent before there is something to send. */
CASE(fastopen_connect_never_written)
{
	struct sockaddr_storage a;
	socklen_t len;
	int fd;

	learn(t, &a, &len);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	set(fd, TCP_FASTOPEN_CONNECT, 1);
	T(connect(fd, (struct sockaddr *)&a, len));
	t_sleep_ms(100);
	T(close(fd));
}
