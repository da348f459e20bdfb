/* SPDX-License-Identifier: Apache-2.0 */
/* cases_socket.c - sockets before they are connected: making, naming, listening, and what is refused. */
#include <sys/stat.h>

#include "test/posix/conform.h"

CASE(socket_types)
{
	(void)t;
	TF(socket(AF_INET, SOCK_STREAM, 0));
	TF(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
	TF(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	TF(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	TF(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	TF(socket(AF_INET, SOCK_DGRAM, 0));
	TF(socket(AF_INET6, SOCK_STREAM, 0));
	TF(socket(AF_INET, 77, 0));
	TF(socket(77, SOCK_STREAM, 0));
}

CASE(socket_flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)t;
	T(fcntl(fd, F_GETFL));
	T(fcntl(fd, F_GETFD));
	T(fcntl(fd, F_SETFL, O_RDWR));
	T(fcntl(fd, F_GETFL));
	T(fcntl(fd, F_SETFD, 0));
	T(fcntl(fd, F_GETFD));
}

CASE(socket_is_a_socket)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct stat st;

	(void)t;
	T(fstat(fd, &st));
	T(S_ISSOCK(st.st_mode));
	T(isatty(fd));
	T(lseek(fd, 0, SEEK_CUR));
	T(ftruncate(fd, 0));
	T(fsync(fd));
}

static void int_option(int fd, const char *name, int level, int opt)
{
	int value = -77;
	socklen_t len = sizeof(value);
	int r = getsockopt(fd, level, opt, &value, &len);

	if (r < 0)
		t_say("%s: %s", name, t_errno(errno));
	else
		t_say("%s: %d, length %u", name, value, len);
}
#define OPT(level, opt) int_option(fd, #opt, level, opt)

CASE(option_defaults)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)t;
	OPT(SOL_SOCKET, SO_TYPE);
	OPT(SOL_SOCKET, SO_DOMAIN);
	OPT(SOL_SOCKET, SO_PROTOCOL);
	OPT(SOL_SOCKET, SO_ACCEPTCONN);
	OPT(SOL_SOCKET, SO_ERROR);
	OPT(SOL_SOCKET, SO_REUSEADDR);
	OPT(SOL_SOCKET, SO_REUSEPORT);
	OPT(SOL_SOCKET, SO_KEEPALIVE);
	OPT(SOL_SOCKET, SO_OOBINLINE);
	OPT(SOL_SOCKET, SO_RCVLOWAT);
	OPT(SOL_SOCKET, SO_BROADCAST);
	OPT(SOL_SOCKET, SO_DONTROUTE);
	OPT(SOL_SOCKET, SO_PRIORITY);
	OPT(IPPROTO_TCP, TCP_NODELAY);
	OPT(IPPROTO_TCP, TCP_CORK);
	OPT(IPPROTO_TCP, TCP_MAXSEG);
	OPT(IPPROTO_TCP, TCP_KEEPIDLE);
	OPT(IPPROTO_TCP, TCP_KEEPINTVL);
	OPT(IPPROTO_TCP, TCP_KEEPCNT);
	OPT(IPPROTO_TCP, TCP_SYNCNT);
	OPT(IPPROTO_TCP, TCP_USER_TIMEOUT);
	OPT(IPPROTO_TCP, TCP_DEFER_ACCEPT);
	OPT(IPPROTO_TCP, TCP_LINGER2);
	OPT(IPPROTO_TCP, TCP_FASTOPEN);
	OPT(IPPROTO_TCP, TCP_NOTSENT_LOWAT);
	OPT(IPPROTO_IP, IP_TOS);
	OPT(IPPROTO_IP, IP_TTL);
	OPT(SOL_SOCKET, 9999);
	OPT(IPPROTO_TCP, 9999);
	OPT(9999, 1);
}

static void set_and_get(int fd, const char *name, int level, int opt, int value)
{
	int got = -77;
	socklen_t len = sizeof(got);

	if (setsockopt(fd, level, opt, &value, sizeof(value)) < 0) {
		t_say("%s = %d: %s", name, value, t_errno(errno));
		return;
	}
	(void)getsockopt(fd, level, opt, &got, &len);
	t_say("%s = %d: reads %d", name, value, got);
}
#define SET(level, opt, value) set_and_get(fd, #opt, level, opt, value)

CASE(option_set_socket)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)t;
	SET(SOL_SOCKET, SO_REUSEADDR, 1);
	SET(SOL_SOCKET, SO_REUSEADDR, 5);
	SET(SOL_SOCKET, SO_REUSEPORT, 1);
	SET(SOL_SOCKET, SO_KEEPALIVE, 1);
	SET(SOL_SOCKET, SO_KEEPALIVE, 0);
	SET(SOL_SOCKET, SO_OOBINLINE, 1);
	SET(SOL_SOCKET, SO_RCVLOWAT, 100);
	SET(SOL_SOCKET, SO_RCVLOWAT, 0);
	SET(SOL_SOCKET, SO_RCVLOWAT, -1);
	SET(SOL_SOCKET, SO_PRIORITY, 3);
	SET(SOL_SOCKET, SO_TYPE, 1);
	SET(SOL_SOCKET, SO_ERROR, 1);
	SET(SOL_SOCKET, SO_ACCEPTCONN, 1);
}

CASE(option_set_buffers)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)t;
	SET(SOL_SOCKET, SO_RCVBUF, 8192);
	SET(SOL_SOCKET, SO_RCVBUF, 65536);
	SET(SOL_SOCKET, SO_RCVBUF, 1);
	SET(SOL_SOCKET, SO_SNDBUF, 8192);
	SET(SOL_SOCKET, SO_SNDBUF, 65536);
	SET(SOL_SOCKET, SO_SNDBUF, 1);
}

CASE(option_set_tcp)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)t;
	SET(IPPROTO_TCP, TCP_NODELAY, 1);
	SET(IPPROTO_TCP, TCP_NODELAY, 0);
	SET(IPPROTO_TCP, TCP_CORK, 1);
	SET(IPPROTO_TCP, TCP_MAXSEG, 1000);
	SET(IPPROTO_TCP, TCP_MAXSEG, 10);
	SET(IPPROTO_TCP, TCP_KEEPIDLE, 10);
	SET(IPPROTO_TCP, TCP_KEEPIDLE, 0);
	SET(IPPROTO_TCP, TCP_KEEPIDLE, 40000);
	SET(IPPROTO_TCP, TCP_KEEPINTVL, 5);
	SET(IPPROTO_TCP, TCP_KEEPINTVL, 40000);
	SET(IPPROTO_TCP, TCP_KEEPCNT, 3);
	SET(IPPROTO_TCP, TCP_KEEPCNT, 200);
	SET(IPPROTO_TCP, TCP_SYNCNT, 2);
	SET(IPPROTO_TCP, TCP_SYNCNT, 0);
	SET(IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
	SET(IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
	SET(IPPROTO_TCP, TCP_LINGER2, 10);
	SET(IPPROTO_TCP, TCP_QUICKACK, 1);
	SET(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
	SET(IPPROTO_TCP, 9999, 1);
}

CASE(option_set_ip)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)t;
	SET(IPPROTO_IP, IP_TOS, 0x10);
	SET(IPPROTO_IP, IP_TOS, 0xff);
	SET(IPPROTO_IP, IP_TTL, 5);
	SET(IPPROTO_IP, IP_TTL, 256);
	SET(IPPROTO_IP, IP_TTL, -1);
	SET(IPPROTO_IP, IP_TTL, 0);
}

CASE(option_set_ip6)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	(void)t;
	OPT(IPPROTO_IPV6, IPV6_V6ONLY);
	SET(IPPROTO_IPV6, IPV6_V6ONLY, 1);
	SET(IPPROTO_IPV6, IPV6_V6ONLY, 0);
	SET(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7);
	SET(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 300);
	SET(IPPROTO_IPV6, IPV6_TCLASS, 0x20);
}

CASE(option_wrong_lengths)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), v = 1;
	char c = 1;
	socklen_t len = 2;

	(void)t;
	T(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &c, 1));
	T(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &c, 1));
	T(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof(v)));
	T(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, &len));
	t_say("length %u", len);
	T(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, NULL));
	T(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, &len));
}

CASE(option_linger)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct linger l = { 1, 7 };
	socklen_t len = sizeof(l);

	(void)t;
	T(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	memset(&l, 0, sizeof(l));
	T(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	t_say("onoff %d linger %d length %u", l.l_onoff, l.l_linger, len);
	T(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4));
}

CASE(option_timeouts)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval tv = { 2, 500000 };
	socklen_t len = sizeof(tv);

	(void)t;
	T(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	memset(&tv, 0, sizeof(tv));
	T(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	t_say("%ld s, length %u", (long)tv.tv_sec, len);
	tv.tv_usec = 2000000;
	T(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	T(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, 3));
}

CASE(option_congestion)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char name[32] = "";
	socklen_t len = sizeof(name);

	(void)t;
	T(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	T(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	t_say("%s, length %u", name, len);
	T(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
	T(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 6));
	len = 3;
	T(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	t_say("length %u", len);
}

CASE(option_tcp_info_unconnected)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct tcp_info info;
	socklen_t len = sizeof(info);

	(void)t;
	T(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	t_say("state %u", info.tcpi_state);
}

CASE(option_on_others)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0), p[2];

	(void)t;
	T(close(fd));
	T(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
	T(pipe(p));
	T(setsockopt(p[0], SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
	T(listen(p[0], 1));
	T(shutdown(p[0], SHUT_RD));
}

CASE(bind_names)
{
	struct sockaddr_storage a;
	socklen_t len = t_our_addr(t, t->port, &a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	T(bind(fd, (struct sockaddr *)&a, len));
	len = sizeof(a);
	T(getsockname(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "name", &a, len);
	T(bind(fd, (struct sockaddr *)&a, len));
	len = sizeof(a);
	T(getpeername(fd, (struct sockaddr *)&a, &len));
}

CASE(bind_port_zero)
{
	struct sockaddr_storage a;
	socklen_t len = t_our_addr(t, 0, &a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	T(bind(fd, (struct sockaddr *)&a, len));
	len = sizeof(a);
	T(getsockname(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "name", &a, len);
}

CASE(bind_errors)
{
	struct sockaddr_storage a;
	socklen_t len = t_our_addr(t, t->port, &a);
	int fd = socket(AF_INET, SOCK_STREAM, 0), fd2 = socket(AF_INET, SOCK_STREAM, 0);

	T(bind(fd, (struct sockaddr *)&a, 3));
	T(bind(fd, (struct sockaddr *)&a, len));
	T(listen(fd, 1));
	T(bind(fd2, (struct sockaddr *)&a, len));
	(void)t_peer_addr(t, t->port, &a);
	T(bind(fd2, (struct sockaddr *)&a, len));
	a.ss_family = AF_UNIX;
	T(bind(fd2, (struct sockaddr *)&a, len));
	T(bind(-1, (struct sockaddr *)&a, len));
	T(bind(fd2, NULL, len));
}

CASE(bind_same_port_reuse)
{
	struct sockaddr_storage a;
	socklen_t len = t_our_addr(t, t->port, &a);
	int one = 1, fd = t_socket(t), fd2 = t_socket(t);

	T(bind(fd, (struct sockaddr *)&a, len));
	T(bind(fd2, (struct sockaddr *)&a, len));
	T(listen(fd, 5));
	T(listen(fd2, 5));
	T(close(fd));
	T(listen(fd2, 5));
	(void)one;
}

CASE(reuseport_two_listeners)
{
	struct sockaddr_storage a;
	socklen_t len = t_our_addr(t, t->port, &a);
	int one = 1, fd[2];

	for (int i = 0; i < 2; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		T(setsockopt(fd[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
		T(bind(fd[i], (struct sockaddr *)&a, len));
		T(listen(fd[i], 5));
	}
	t_peer(t, "connect %u", t->port);
	t_sleep_ms(50);
	t_say("one is ready: %d", !!t_wait(fd[0], POLLIN, 0) + !!t_wait(fd[1], POLLIN, 0));
}

CASE(name_of_unbound)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	T(getsockname(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "name", &a, len);
	len = sizeof(a);
	T(getpeername(fd, (struct sockaddr *)&a, &len));
	len = 4;
	T(getsockname(fd, (struct sockaddr *)&a, &len));
	t_say("length %u", len);
}

CASE(unconnected_calls)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), n = -1;
	char buf[8];

	(void)t;
	T(recv(fd, buf, sizeof(buf), 0));
	T(read(fd, buf, sizeof(buf)));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	T(accept(fd, NULL, NULL));
	T(shutdown(fd, SHUT_RDWR));
	T(shutdown(fd, 77));
	T(ioctl(fd, FIONREAD, &n));
	t_say("%d", n);
	t_poll(fd, POLLIN | POLLOUT, 0);
}

CASE(closed_descriptor)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char buf[8];

	(void)t;
	T(close(fd));
	T(close(fd));
	T(recv(fd, buf, sizeof(buf), 0));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	T(listen(fd, 1));
	T(accept(fd, NULL, NULL));
	T(shutdown(fd, SHUT_WR));
	T(fcntl(fd, F_GETFL));
	t_poll(fd, POLLIN, 0);
	T(dup(fd));
}

CASE(listen_unbound)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0), v;

	T(listen(fd, 3));
	T(getsockname(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "name", &a, len);
	len = sizeof(v);
	T(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	t_say("%d", v);
}

CASE(listen_twice)
{
	int fd = t_listener(t, 5);

	T(listen(fd, 10));
	T(listen(fd, -1));
	t_peer(t, "connect %u", t->port);
	TF(accept(fd, NULL, NULL));
}

CASE(listener_calls)
{
	int fd = t_listener(t, 5);
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	char buf[4];

	T(recv(fd, buf, 4, 0));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	T(connect(fd, (struct sockaddr *)&a, len));
	t_poll(fd, POLLIN | POLLOUT, 0);
	len = sizeof(a);
	T(getpeername(fd, (struct sockaddr *)&a, &len));
	T(ioctl(fd, FIONREAD, &len));
}

CASE(accept_nonblocking)
{
	int fd = t_listener(t, 5), c;

	t_nonblock(fd);
	T(accept(fd, NULL, NULL));
	t_peer(t, "connect %u", t->port);
	t_poll(fd, POLLIN, 1000);
	c = TF(accept(fd, NULL, NULL));
	T(fcntl(c, F_GETFL));
	T(accept(fd, NULL, NULL));
	t_poll(fd, POLLIN, 0);
}

CASE(accept4_flags)
{
	int fd = t_listener(t, 5), c;

	t_peer_ok(t, "connect %u", t->port);
	c = TF(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	T(fcntl(c, F_GETFL));
	T(fcntl(c, F_GETFD));
	t_peer_ok(t, "use 1");
	t_peer_ok(t, "connect %u", t->port);
	T(accept4(fd, NULL, NULL, 0x7));
	c = TF(accept4(fd, NULL, NULL, 0));
	T(fcntl(c, F_GETFL));
	T(fcntl(c, F_GETFD));
}

CASE(accept_address)
{
	int fd = t_listener(t, 5), c;
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	t_peer_ok(t, "connect %u", t->port);
	c = TF(accept(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "accepted", &a, len);
	len = sizeof(a);
	T(getsockname(c, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "name", &a, len);
	len = sizeof(a);
	T(getpeername(c, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "peer", &a, len);
	t_peer_ok(t, "use 1");
	t_peer_ok(t, "connect %u", t->port);
	len = 4;
	TF(accept(fd, (struct sockaddr *)&a, &len));
	t_say("length %u", len);
}

CASE(accept_inherits)
{
	int fd = t_listener(t, 5), c, one = 1, seven = 7;

	T(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
	T(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	T(setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &seven, sizeof(seven)));
	T(setsockopt(fd, IPPROTO_IP, IP_TTL, &seven, sizeof(seven)));
	t_peer_ok(t, "connect %u", t->port);
	c = fd;
	fd = accept(c, NULL, NULL);
	OPT(SOL_SOCKET, SO_KEEPALIVE);
	OPT(IPPROTO_TCP, TCP_NODELAY);
	OPT(IPPROTO_TCP, TCP_KEEPCNT);
	OPT(IPPROTO_IP, IP_TTL);
	OPT(SOL_SOCKET, SO_ACCEPTCONN);
	OPT(SOL_SOCKET, SO_REUSEADDR);
}

CASE(accept_many)
{
	int fd = t_listener(t, 64), n = 0;

	for (int i = 0; i < 20; i++) {
		t_peer_ok(t, "use %d", i);
		t_peer_ok(t, "connect %u", t->port);
	}
	t_nonblock(fd);
	for (int i = 0; i < 40 && n < 20; i++) {
		if (accept(fd, NULL, NULL) >= 0)
			n++;
		else
			(void)t_wait(fd, POLLIN, 200);
	}
	t_say("%d accepted", n);
	T(accept(fd, NULL, NULL));
}

CASE(accept_of_a_reset_connection)
{
	int fd = t_listener(t, 5), c;
	char buf[8];

	t_peer_ok(t, "connect %u", t->port);
	t_peer_ok(t, "reset");
	t_sleep_ms(100);
	t_poll(fd, POLLIN, 0);
	c = TF(accept(fd, NULL, NULL));
	T(recv(c, buf, sizeof(buf), 0));
}

CASE(accept_of_a_finished_connection)
{
	int fd = t_listener(t, 5), c;
	char buf[8];

	t_peer_ok(t, "connect %u", t->port);
	t_peer_ok(t, "text bye");
	t_peer_ok(t, "close");
	t_sleep_ms(100);
	c = TF(accept(fd, NULL, NULL));
	T(recv(c, buf, sizeof(buf), 0));
	t_bytes("got", buf, 3);
	T(recv(c, buf, sizeof(buf), 0));
}

CASE(listener_closed_with_a_connection_waiting)
{
	int fd = t_listener(t, 5);

	t_peer_ok(t, "connect %u", t->port);
	t_sleep_ms(50);
	T(close(fd));
	t_peer(t, "recv_eof");
	t_peer(t, "use 1");
	t_peer(t, "connect %u", t->port);
}

CASE(listener_shut_down)
{
	int fd = t_listener(t, 5);

	T(shutdown(fd, SHUT_RD));
	T(accept(fd, NULL, NULL));
	t_peer(t, "connect %u", t->port);
	t_poll(fd, POLLIN, 0);
	T(listen(fd, 5));
	t_peer(t, "connect %u", t->port);
	TF(accept(fd, NULL, NULL));
}

CASE(accept_timeout)
{
	int fd = t_listener(t, 5);
	struct timeval tv = { 0, 150000 };
	int64_t at;

	T(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	at = t_now_ms();
	T(accept(fd, NULL, NULL));
	t_took("accept", at, 140, 400);
}

CASE(defer_accept)
{
	int fd = t_listener(t, 5), sec = 5;

	T(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &sec, sizeof(sec)));
	t_peer_ok(t, "connect %u", t->port);
	t_poll(fd, POLLIN, 100);
	t_peer_ok(t, "text hello");
	t_poll(fd, POLLIN, 1000);
	TF(accept(fd, NULL, NULL));
}

CASE(wildcard_listener)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(t->port) };
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int fd = t_socket(t), c;

	T(bind(fd, (struct sockaddr *)&any, sizeof(any)));
	T(listen(fd, 5));
	T(getsockname(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "name", &a, len);
	t_peer_ok(t, "connect %u", t->port);
	c = TF(accept(fd, NULL, NULL));
	len = sizeof(a);
	T(getsockname(c, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "accepted", &a, len);
}

CASE(wildcard_listener_and_loopback)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(t->port) };
	int fd = t_socket(t), c, s = socket(AF_INET, SOCK_STREAM, 0);
	char buf[8];

	T(bind(fd, (struct sockaddr *)&any, sizeof(any)));
	T(listen(fd, 5));
	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	T(connect(s, (struct sockaddr *)&any, sizeof(any)));
	t_poll(fd, POLLIN, 1000);
	c = TF(accept(fd, NULL, NULL));
	T(send(s, "hello", 5, 0));
	T(recv(c, buf, sizeof(buf), 0));
	t_peer_ok(t, "connect %u", t->port);
	t_poll(fd, POLLIN, 1000);
	TF(accept(fd, NULL, NULL));
}

CASE(dual_stack_listener)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(t->port) };
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int one = 1, fd = socket(AF_INET6, SOCK_STREAM, 0), c;

	T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	T(bind(fd, (struct sockaddr *)&any, sizeof(any)));
	T(listen(fd, 5));
	t_peer(t, "connect %u", t->port);
	c = TF(accept(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "accepted", &a, len);
	len = sizeof(a);
	T(getsockname(c, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "name", &a, len);
	t_peer_ok(t, "v6 1");
	t_peer_ok(t, "use 1");
	t_peer(t, "connect %u", t->port);
	t->v6 = true;
	len = sizeof(a);
	(void)TF(accept(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "accepted", &a, len);
}

CASE(v6only_listener)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(t->port) };
	int one = 1, fd = socket(AF_INET6, SOCK_STREAM, 0);

	T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	T(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	T(bind(fd, (struct sockaddr *)&any, sizeof(any)));
	T(listen(fd, 5));
	t_peer(t, "connect %u", t->port);
	t_peer_ok(t, "v6 1");
	t_peer(t, "connect %u", t->port);
	TF(accept(fd, NULL, NULL));
}
