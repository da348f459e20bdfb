/* SPDX-License-Identifier: Apache-2.0 */
/* cases_linger.c - SO_LINGER on sockets that several processes have: what counts is the last close(). */
#include <signal.h>
#include <sys/wait.h>

#include "test/posix/conform.h"

/* A child that has all our descriptors until it is told. */
static int holder(void)
{
	int pid = fork();

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	return pid;
}

static void end(int pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static void set(int fd, int on, int seconds)
{
	struct linger l = { on, seconds };

	T(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
}

static void fill(int fd)
{
	static char buf[1 << 20];

	t_nonblock(fd);
	while (send(fd, buf, sizeof(buf), 0) > 0)
		;
	(void)fcntl(fd, F_SETFL, O_RDWR);
}

ON_BOTH(linger_set_then_shared_resets)
{
	int fd = t_connected(t), pid;

	set(fd, 1, 0);
	pid = holder();
	T(close(fd));
	t_sleep_ms(50);
	t_peer(t, "error");
	end(pid);
	t_peer(t, "recv_eof");
}

ON_BOTH(linger_set_while_shared_resets)
{
	int fd = t_connected(t), pid = holder();

	set(fd, 1, 0);
	end(pid);
	T(send(fd, "abc", 3, 0));
	t_peer(t, "recv 3");
	T(close(fd));
	t_peer(t, "recv_eof");
}

ON_BOTH(linger_taken_back_while_shared)
{
	int fd = t_connected(t), pid;

	set(fd, 1, 0);
	pid = holder();
	set(fd, 0, 0);
	end(pid);
	T(close(fd));
	t_peer(t, "recv_eof");
}

ON_BOTH(linger_set_in_the_child)
{
	struct linger l = { 1, 0 };
	int fd = t_connected(t), pid = fork();

	if (pid == 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		_exit(0);
	}
	(void)waitpid(pid, NULL, 0);
	l.l_onoff = 0;
	T(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &(socklen_t){ sizeof(l) }));
	t_say("onoff %d linger %d", l.l_onoff, l.l_linger);
	T(close(fd));
	t_peer(t, "recv_eof");
}

ON_BOTH(linger_shared_is_not_the_last)
{
	int64_t at;
	int fd, pid;

	t_peer_ok(t, "rcvbuf 4096");
	fd = t_connected(t);
	set(fd, 1, 3);
	pid = holder();
	fill(fd);
	at = t_now_ms();
	T(close(fd));
	t_took("close", at, 0, 1000);
	end(pid);
}

ON_BOTH(linger_shared_is_the_last)
{
	int64_t at;
	int fd;

	t_peer_ok(t, "rcvbuf 4096");
	fd = t_connected(t);
	set(fd, 1, 1);
	end(holder());
	fill(fd);
	at = t_now_ms();
	T(close(fd));
	t_took("close", at, 900, 1900);
}

ON_BOTH(linger_shared_until_acknowledged)
{
	int64_t at;
	int fd = t_connected(t);

	set(fd, 1, 5);
	end(holder());
	T(send(fd, "abc", 3, 0));
	at = t_now_ms();
	T(close(fd));
	t_took("close", at, 0, 1500);
	t_peer(t, "recv_eof");
}
