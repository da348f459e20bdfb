/* SPDX-License-Identifier: Apache-2.0 */
/* cases_ready.c - readiness: poll, select and epoll in all their modes, with other descriptors among the sockets. */
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <time.h>

#include "test/posix/conform.h"

/* epoll_wait() written: how many, and by the number in data what. */
static int wait_for(int ep, int ms)
{
	struct epoll_event ev[8];
	int n = epoll_wait(ep, ev, 8, ms);

	t_say("epoll_wait = %d%s%s", n, n < 0 ? " " : "", n < 0 ? t_errno(errno) : "");
	for (unsigned want = 0; want < 16; want++) { /* the order is free */
		for (int i = 0; i < n; i++) {
			char what[32];

			if (ev[i].data.u32 != want)
				continue;
			(void)snprintf(what, sizeof(what), "  number %u", want);
			t_poll_bits(what, ev[i].events);
		}
	}
	return n;
}

static int add(int ep, int fd, unsigned events, unsigned number)
{
	struct epoll_event ev = { .events = events, .data.u32 = number };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int mod(int ep, int fd, unsigned events, unsigned number)
{
	struct epoll_event ev = { .events = events, .data.u32 = number };

	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

ON_BOTH(poll_basics)
{
	int fd = t_connected(t);
	char buf[8];

	t_poll(fd, POLLIN, 0);
	t_poll(fd, POLLIN, 50);
	t_poll(fd, POLLOUT, 0);
	t_poll(fd, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM, 0);
	t_poll(fd, 0, 0);
	t_peer_ok(t, "text abc");
	t_poll(fd, POLLIN, 1000);
	t_poll(fd, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLPRI, 0);
	(void)recv(fd, buf, sizeof(buf), 0);
	t_poll(fd, POLLIN, 0);
}

ON_BOTH(poll_wakes)
{
	int fd = t_connected(t);
	int64_t at = t_now_ms();

	t_peer_ok(t, "later 100 text abc");
	t_poll(fd, POLLIN, 2000);
	t_took("poll", at, 90, 600);
}

ON_BOTH(poll_many)
{
	int fd = t_connected(t), more = t_connected_more(t, 1), e = eventfd(0, 0);
	struct pollfd p[5] = { { .fd = fd, .events = POLLIN },
			       { .fd = -1, .events = POLLIN },
			       { .fd = more, .events = POLLIN },
			       { .fd = e, .events = POLLIN },
			       { .fd = 999, .events = POLLIN } };
	uint64_t one = 1;

	t_peer_ok(t, "text abc"); /* the peer uses connection 1 now */
	(void)!write(e, &one, 8);
	(void)t_wait(more, POLLIN, 1000);
	T(poll(p, 5, 0));
	for (int i = 0; i < 5; i++)
		t_poll_bits("revents", (unsigned short)p[i].revents);
	T(poll(p, 0, 10));
	T(poll(NULL, 0, 10));
}

ON_BOTH(poll_mixed_wakes_by_pipe)
{
	int fd = t_connected(t), p[2];
	struct pollfd pfd[2];

	(void)!pipe(p);
	pfd[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = p[0], .events = POLLIN };
	T(poll(pfd, 2, 20));
	(void)!write(p[1], "x", 1);
	T(poll(pfd, 2, 1000));
	t_poll_bits("socket", (unsigned short)pfd[0].revents);
	t_poll_bits("pipe", (unsigned short)pfd[1].revents);
	t_peer_ok(t, "text abc");
	(void)t_wait(fd, POLLIN, 1000);
	T(poll(pfd, 2, 1000));
}

static void nothing(int sig)
{
	(void)sig;
}

static void alarm_soon(void)
{
	struct sigaction sa = { .sa_handler = nothing };

	(void)sigaction(SIGALRM, &sa, NULL);
	(void)ualarm(80000, 0);
}

ON_BOTH(poll_interrupted)
{
	int fd = t_connected(t);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	alarm_soon();
	T(poll(&p, 1, 2000));
}

ON_BOTH(ppoll_mask)
{
	int fd = t_connected(t);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec ts = { 0, 200000000 };
	sigset_t block;

	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGALRM);
	alarm_soon();
	T(ppoll(&p, 1, &ts, &block));
	ts.tv_nsec = -1;
	T(ppoll(&p, 1, &ts, NULL));
}

ON_BOTH(recv_interrupted)
{
	int fd = t_connected(t);
	char buf[8];

	alarm_soon();
	T(recv(fd, buf, sizeof(buf), 0));
}

ON_BOTH(recv_restarted)
{
	int fd = t_connected(t);
	struct sigaction sa = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	char buf[8];

	(void)sigaction(SIGALRM, &sa, NULL);
	(void)ualarm(50000, 0);
	t_peer_ok(t, "later 150 text abc");
	T(recv(fd, buf, sizeof(buf), 0));
}

CASE(accept_interrupted)
{
	int fd = t_listener(t, 5);

	alarm_soon();
	T(accept(fd, NULL, NULL));
}

ON_BOTH(select_basics)
{
	int fd = t_connected(t), e = eventfd(0, 0);
	struct timeval tv = { 0, 0 };
	fd_set r, w, x;

	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(fd, &r);
	FD_SET(e, &r);
	FD_SET(fd, &w);
	FD_SET(fd, &x);
	T(select((fd > e ? fd : e) + 1, &r, &w, &x, &tv));
	t_say("r %d e %d w %d x %d", !!FD_ISSET(fd, &r), !!FD_ISSET(e, &r), !!FD_ISSET(fd, &w),
	      !!FD_ISSET(fd, &x));
	t_peer_ok(t, "later 60 text abc");
	FD_ZERO(&r);
	FD_SET(fd, &r);
	tv = (struct timeval){ 2, 0 };
	T(select(fd + 1, &r, NULL, NULL, &tv));
	t_say("r %d, time left %d", !!FD_ISSET(fd, &r), tv.tv_sec == 1);
	FD_ZERO(&r);
	tv = (struct timeval){ 0, 20000 };
	T(select(0, NULL, NULL, NULL, &tv));
	T(select(-1, NULL, NULL, NULL, &tv));
}

ON_BOTH(select_closed)
{
	int fd = t_connected(t);
	struct timeval tv = { 0, 0 };
	fd_set r;

	(void)close(fd);
	FD_ZERO(&r);
	FD_SET(fd, &r);
	T(select(fd + 1, &r, NULL, NULL, &tv));
}

ON_BOTH(pselect_timeout)
{
	int fd = t_connected(t);
	struct timespec ts = { 0, 60000000 };
	int64_t at = t_now_ms();
	fd_set r;

	FD_ZERO(&r);
	FD_SET(fd, &r);
	T(pselect(fd + 1, &r, NULL, NULL, &ts, NULL));
	t_took("pselect", at, 55, 300);
}

ON_BOTH(epoll_level)
{
	int fd = t_connected(t), ep = epoll_create1(0);
	char buf[2];

	T(add(ep, fd, EPOLLIN, 1));
	wait_for(ep, 0);
	t_peer_ok(t, "text abc");
	wait_for(ep, 1000);
	wait_for(ep, 0);
	(void)recv(fd, buf, 2, 0);
	wait_for(ep, 0);
	(void)recv(fd, buf, 2, 0);
	wait_for(ep, 0);
	T(mod(ep, fd, EPOLLIN | EPOLLOUT, 2));
	wait_for(ep, 0);
	T(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	wait_for(ep, 0);
}

ON_BOTH(epoll_edge)
{
	int fd = t_connected(t), ep = epoll_create1(0);
	char buf[16];

	T(add(ep, fd, EPOLLIN | EPOLLET, 1));
	wait_for(ep, 0);
	t_peer_ok(t, "text abc");
	wait_for(ep, 1000);
	wait_for(ep, 50);
	t_peer_ok(t, "text def");
	wait_for(ep, 1000);
	(void)recv(fd, buf, 2, 0);
	wait_for(ep, 50);
	(void)recv(fd, buf, sizeof(buf), 0);
	wait_for(ep, 0);
	t_peer_ok(t, "text ghi");
	wait_for(ep, 1000);
	T(mod(ep, fd, EPOLLIN | EPOLLET, 1));
	wait_for(ep, 0);
	wait_for(ep, 0);
}

ON_BOTH(epoll_edge_in_and_out)
{
	int fd = t_connected(t), ep = epoll_create1(0);

	T(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1));
	wait_for(ep, 0);
	wait_for(ep, 0);
	t_peer_ok(t, "text abc");
	wait_for(ep, 1000);
	wait_for(ep, 0);
}

ON_BOTH(epoll_edge_out_after_full)
{
	static char buf[65536];
	int fd, ep = epoll_create1(0), n;
	struct epoll_event ev;

	t_peer_ok(t, "rcvbuf 4096");
	fd = t_connected(t);
	t_nonblock(fd);
	T(add(ep, fd, EPOLLOUT | EPOLLET, 1));
	wait_for(ep, 0);
	while (send(fd, buf, sizeof(buf), 0) > 0 || t_wait(fd, POLLOUT, 100) != 0)
		;
	while (epoll_wait(ep, &ev, 1, 0) > 0)
		; /* room that came and went meanwhile */
	wait_for(ep, 50);
	t_peer_ok(t, "later 0 recv 100000000");
	n = epoll_wait(ep, &ev, 1, 2000);
	t_say("room came: %d", n);
	(void)close(fd);
}

ON_BOTH(epoll_oneshot)
{
	int fd = t_connected(t), ep = epoll_create1(0);

	T(add(ep, fd, EPOLLIN | EPOLLONESHOT, 1));
	t_peer_ok(t, "text abc");
	wait_for(ep, 1000);
	wait_for(ep, 0);
	t_peer_ok(t, "text def");
	wait_for(ep, 50);
	T(mod(ep, fd, EPOLLIN | EPOLLONESHOT, 2));
	wait_for(ep, 1000);
	wait_for(ep, 0);
}

ON_BOTH(epoll_rdhup)
{
	int fd = t_connected(t), ep = epoll_create1(0);
	char buf[8];

	T(add(ep, fd, EPOLLIN | EPOLLRDHUP, 1));
	t_peer_ok(t, "text abc");
	t_peer_ok(t, "close");
	t_sleep_ms(80);
	wait_for(ep, 1000);
	(void)recv(fd, buf, sizeof(buf), 0);
	wait_for(ep, 0);
	T(mod(ep, fd, 0, 1));
	wait_for(ep, 0);
	T(shutdown(fd, SHUT_WR));
	t_sleep_ms(50);
	wait_for(ep, 0);
}

ON_BOTH(epoll_edge_close)
{
	int fd = t_connected(t), ep = epoll_create1(0);

	T(add(ep, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, 1));
	t_peer_ok(t, "close");
	wait_for(ep, 1000);
	wait_for(ep, 50);
}

ON_BOTH(epoll_reset)
{
	int fd = t_connected(t), ep = epoll_create1(0);

	T(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 1));
	t_peer_ok(t, "reset");
	t_sleep_ms(50);
	wait_for(ep, 1000);
}

ON_BOTH(epoll_errors)
{
	int fd = t_connected(t), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };

	T(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	T(epoll_ctl(ep, EPOLL_CTL_DEL, fd, &ev));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	T(epoll_ctl(ep, 77, fd, &ev));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, 999, &ev));
	T(epoll_ctl(fd, EPOLL_CTL_ADD, ep, &ev));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev));
	T(epoll_ctl(ep, EPOLL_CTL_MOD, fd, NULL));
	T(epoll_wait(ep, &ev, 0, 0));
	T(epoll_wait(ep, &ev, -1, 0));
	T(epoll_wait(fd, &ev, 1, 0));
	T(epoll_wait(999, &ev, 1, 0));
	T(epoll_create(0));
	T(epoll_create1(77));
}

ON_BOTH(epoll_close_removes)
{
	int fd = t_connected(t), ep = epoll_create1(0);

	T(add(ep, fd, EPOLLIN | EPOLLOUT, 1));
	wait_for(ep, 0);
	T(close(fd));
	wait_for(ep, 0);
}

ON_BOTH(epoll_dup_keeps)
{
	int fd = t_connected(t), ep = epoll_create1(0), copy = dup(fd);

	T(add(ep, fd, EPOLLIN | EPOLLOUT, 1));
	T(add(ep, copy, EPOLLOUT, 2));
	wait_for(ep, 0);
	T(epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL));
	T(close(fd));
	wait_for(ep, 0);
	T(close(copy));
	wait_for(ep, 0);
}

ON_BOTH(epoll_mixed)
{
	int fd = t_connected(t), ep = epoll_create1(0), e = eventfd(0, EFD_NONBLOCK);
	int tm = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), p[2];
	struct itimerspec in = { .it_value = { 0, 30000000 } };
	uint64_t n = 1;

	(void)!pipe(p);
	T(add(ep, fd, EPOLLIN, 1));
	T(add(ep, e, EPOLLIN, 2));
	T(add(ep, tm, EPOLLIN, 3));
	T(add(ep, p[0], EPOLLIN, 4));
	wait_for(ep, 0);
	(void)timerfd_settime(tm, 0, &in, NULL);
	wait_for(ep, 1000);
	(void)!read(tm, &n, 8);
	n = 1;
	(void)!write(e, &n, 8);
	(void)!write(p[1], "x", 1);
	t_peer_ok(t, "text abc");
	(void)t_wait(fd, POLLIN, 1000);
	wait_for(ep, 1000);
	(void)!read(e, &n, 8);
	wait_for(ep, 0);
}

ON_BOTH(epoll_many_sockets)
{
	int fd[8], ep = epoll_create1(0);
	struct epoll_event ev[8];
	unsigned seen = 0;

	fd[0] = t_connected(t);
	for (int i = 1; i < 8; i++)
		fd[i] = t_connected_more(t, i);
	for (unsigned i = 0; i < 8; i++)
		(void)add(ep, fd[i], EPOLLIN, i);
	for (int i = 0; i < 8; i += 2) {
		t_peer_ok(t, "use %d", i);
		t_peer_ok(t, "text abc");
	}
	t_sleep_ms(50);
	for (int n, round = 0; round < 10 && (n = epoll_wait(ep, ev, 2, 100)) > 0; round++) {
		for (int i = 0; i < n; i++) {
			char buf[8];

			seen |= 1u << ev[i].data.u32;
			(void)recv(fd[ev[i].data.u32], buf, sizeof(buf), 0);
		}
	}
	t_say("seen %x", seen);
	wait_for(ep, 0);
}

CASE(epoll_listener)
{
	int fd = t_listener(t, 5), ep = epoll_create1(0);

	t_nonblock(fd);
	T(add(ep, fd, EPOLLIN, 1));
	wait_for(ep, 0);
	t_peer_ok(t, "connect %u", t->port);
	wait_for(ep, 1000);
	TF(accept(fd, NULL, NULL));
	wait_for(ep, 0);
}

CASE(epoll_listener_edge)
{
	int fd = t_listener(t, 5), ep = epoll_create1(0);

	t_nonblock(fd);
	T(add(ep, fd, EPOLLIN | EPOLLET, 1));
	t_peer_ok(t, "connect %u", t->port);
	wait_for(ep, 1000);
	wait_for(ep, 50);
	t_peer_ok(t, "use 1");
	t_peer_ok(t, "connect %u", t->port);
	wait_for(ep, 1000);
	TF(accept(fd, NULL, NULL));
	TF(accept(fd, NULL, NULL));
	T(accept(fd, NULL, NULL));
}

CASE(epoll_before_connect)
{
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0);

	T(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1));
	wait_for(ep, 0);
	t_peer_ok(t, "listen %u", t->port);
	T(connect(fd, (struct sockaddr *)&a, len));
	wait_for(ep, 1000);
	t_peer_ok(t, "accept");
	t_peer_ok(t, "text abc");
	wait_for(ep, 1000);
}

CASE(epoll_connect_refused)
{
	struct sockaddr_storage a;
	socklen_t len = t_peer_addr(t, t->port, &a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0);

	T(connect(fd, (struct sockaddr *)&a, len));
	T(add(ep, fd, EPOLLIN | EPOLLOUT, 1));
	t_sleep_ms(50);
	wait_for(ep, 1000);
}

CASE(epoll_before_listen)
{
	struct sockaddr_storage a;
	socklen_t len = t_our_addr(t, t->port, &a);
	int fd = t_socket(t), ep = epoll_create1(0);

	T(add(ep, fd, EPOLLIN, 1));
	wait_for(ep, 0);
	T(bind(fd, (struct sockaddr *)&a, len));
	T(listen(fd, 5));
	wait_for(ep, 0);
	t_peer_ok(t, "connect %u", t->port);
	wait_for(ep, 1000);
}

ON_BOTH(epoll_nested)
{
	int fd = t_connected(t), inner = epoll_create1(0), outer = epoll_create1(0);
	struct pollfd p = { .fd = inner, .events = POLLIN };

	T(add(inner, fd, EPOLLIN, 1));
	T(add(outer, inner, EPOLLIN, 2));
	wait_for(outer, 0);
	T(poll(&p, 1, 0));
	t_peer_ok(t, "text abc");
	wait_for(outer, 1000);
	wait_for(inner, 0);
	T(poll(&p, 1, 0));
}

ON_BOTH(epoll_in_poll_wakes)
{
	int fd = t_connected(t), ep = epoll_create1(0);

	T(add(ep, fd, EPOLLIN, 1));
	t_peer_ok(t, "later 80 text abc");
	t_poll(ep, POLLIN, 2000);
	wait_for(ep, 0);
}

ON_BOTH(epoll_interrupted)
{
	int fd = t_connected(t), ep = epoll_create1(0);

	T(add(ep, fd, EPOLLIN, 1));
	alarm_soon();
	wait_for(ep, 2000);
}

ON_BOTH(epoll_pwait2_timeout)
{
	int fd = t_connected(t), ep = epoll_create1(0);
	struct timespec ts = { 0, 50000000 };
	struct epoll_event ev;
	int64_t at = t_now_ms();

	T(add(ep, fd, EPOLLIN, 1));
	T(epoll_pwait2(ep, &ev, 1, &ts, NULL));
	t_took("epoll_pwait2", at, 45, 300);
	T(epoll_pwait(ep, &ev, 1, 10, NULL));
}

ON_BOTH(epoll_exclusive)
{
	int fd = t_connected(t), ep = epoll_create1(0);

	T(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE, 1));
	T(mod(ep, fd, EPOLLIN, 1));
	t_peer_ok(t, "text abc");
	wait_for(ep, 1000);
	T(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	T(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1));
}

ON_BOTH(epoll_udp_and_tcp)
{
	int fd = t_connected(t), ep = epoll_create1(0), u = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in lo = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) },
				  .sin_port = htons(t->port) };

	T(bind(u, (struct sockaddr *)&lo, sizeof(lo)));
	T(add(ep, fd, EPOLLIN, 1));
	T(add(ep, u, EPOLLIN, 2));
	T(sendto(u, "x", 1, 0, (struct sockaddr *)&lo, sizeof(lo)));
	wait_for(ep, 1000);
	t_peer_ok(t, "text abc");
	(void)t_wait(fd, POLLIN, 1000);
	wait_for(ep, 1000);
}
