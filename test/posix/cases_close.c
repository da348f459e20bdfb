/* SPDX-License-Identifier: Apache-2.0 */
/* cases_close.c - ends: half and whole, in order and not, seen from here and from there. */
#include <signal.h>
#include <sys/wait.h>

#include "test/posix/conform.h"

static volatile sig_atomic_t nr_sigpipe;

static void on_sigpipe(int sig)
{
	(void)sig;
	nr_sigpipe++;
}

static void count_sigpipe(void)
{
	struct sigaction sa = { .sa_handler = on_sigpipe };

	(void)sigaction(SIGPIPE, &sa, NULL);
}

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

ON_BOTH(peer_closes)
{
	int fd = t_connected(t);
	char buf[8];

	t_peer_ok(t, "text abc");
	t_peer_ok(t, "close");
	t_sleep_ms(50);
	t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	T(recv(fd, buf, sizeof(buf), 0));
	t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	T(recv(fd, buf, sizeof(buf), 0));
	T(recv(fd, buf, sizeof(buf), 0));
	T(recv(fd, buf, sizeof(buf), MSG_PEEK));
	T(so_error(fd));
}

ON_BOTH(peer_closes_while_we_wait)
{
	int fd = t_connected(t);
	char buf[8];

	t_peer_ok(t, "later 80 close");
	T(recv(fd, buf, sizeof(buf), 0));
}

ON_BOTH(peer_closes_then_we_write)
{
	int fd = t_connected(t);
	char buf[8];

	count_sigpipe();
	t_peer_ok(t, "close");
	t_sleep_ms(50);
	T(send(fd, "abc", 3, 0));
	t_sleep_ms(100);
	t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	T(send(fd, "abc", 3, 0));
	t_say("%d SIGPIPE", (int)nr_sigpipe);
	T(send(fd, "abc", 3, MSG_NOSIGNAL));
	t_say("%d SIGPIPE", (int)nr_sigpipe);
	T(recv(fd, buf, sizeof(buf), 0));
	T(so_error(fd));
}

ON_BOTH(peer_resets)
{
	int fd = t_connected(t);
	char buf[8];

	count_sigpipe();
	t_peer_ok(t, "reset");
	t_sleep_ms(50);
	t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	T(recv(fd, buf, sizeof(buf), 0));
	T(recv(fd, buf, sizeof(buf), 0));
	T(send(fd, "abc", 3, 0));
	t_say("%d SIGPIPE", (int)nr_sigpipe);
	t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
}

ON_BOTH(peer_resets_then_so_error)
{
	int fd = t_connected(t);
	char buf[8];

	t_peer_ok(t, "reset");
	t_sleep_ms(50);
	T(so_error(fd));
	T(so_error(fd));
	T(recv(fd, buf, sizeof(buf), 0));
	T(send(fd, "abc", 3, MSG_NOSIGNAL));
}

ON_BOTH(peer_resets_then_we_write)
{
	int fd = t_connected(t);

	count_sigpipe();
	t_peer_ok(t, "reset");
	t_sleep_ms(50);
	T(send(fd, "abc", 3, 0));
	T(send(fd, "abc", 3, 0));
	t_say("%d SIGPIPE", (int)nr_sigpipe);
}

ON_BOTH(peer_resets_with_unread_data)
{
	int fd = t_connected(t);
	char buf[8];

	t_peer_ok(t, "text abc");
	t_sleep_ms(50);
	t_peer_ok(t, "reset");
	t_sleep_ms(50);
	T(recv(fd, buf, sizeof(buf), 0));
	T(recv(fd, buf, sizeof(buf), 0));
	T(recv(fd, buf, sizeof(buf), 0));
}

ON_BOTH(peer_resets_while_we_wait)
{
	int fd = t_connected(t);
	char buf[8];

	t_peer_ok(t, "later 80 reset");
	T(recv(fd, buf, sizeof(buf), 0));
	T(recv(fd, buf, sizeof(buf), 0));
}

ON_BOTH(names_after_the_end)
{
	int fd = t_connected(t);
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	t_peer_ok(t, "reset");
	t_sleep_ms(50);
	T(getpeername(fd, (struct sockaddr *)&a, &len));
	len = sizeof(a);
	T(getsockname(fd, (struct sockaddr *)&a, &len));
	T(shutdown(fd, SHUT_WR));
}

ON_BOTH(names_after_fin)
{
	int fd = t_connected(t);
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	t_peer_ok(t, "close");
	t_sleep_ms(50);
	T(getpeername(fd, (struct sockaddr *)&a, &len));
	t_sockaddr(t, "peer", &a, len);
	T(shutdown(fd, SHUT_WR));
	t_sleep_ms(50);
	len = sizeof(a);
	T(getpeername(fd, (struct sockaddr *)&a, &len));
}

ON_BOTH(we_close)
{
	int fd = t_connected(t);

	T(send(fd, "abc", 3, 0));
	T(close(fd));
	t_peer(t, "recv_eof");
	t_peer(t, "text abc");
}

ON_BOTH(we_close_with_unread_data)
{
	int fd = t_connected(t);

	t_peer_ok(t, "text abc");
	(void)t_wait(fd, POLLIN, 1000);
	T(close(fd));
	t_peer(t, "recv_eof");
}

ON_BOTH(we_reset)
{
	int fd = t_connected(t);
	struct linger l = { 1, 0 };

	T(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	T(send(fd, "abc", 3, 0));
	t_peer(t, "recv 3");
	T(close(fd));
	t_peer(t, "recv_eof");
}

ON_BOTH(close_lingers_until_acknowledged)
{
	int fd = t_connected(t);
	struct linger l = { 1, 2 };
	int64_t at;

	T(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	T(send(fd, "abc", 3, 0));
	at = t_now_ms();
	T(close(fd));
	t_took("close", at, 0, 500);
	t_peer(t, "recv_eof");
}

ON_BOTH(close_lingers_its_time)
{
	static char buf[4 << 20];
	struct linger l = { 1, 1 };
	int64_t at;
	int fd;

	t_peer_ok(t, "rcvbuf 4096");
	fd = t_connected(t);
	T(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	t_nonblock(fd);
	while (send(fd, buf, sizeof(buf), 0) > 0)
		;
	T(fcntl(fd, F_SETFL, O_RDWR));
	at = t_now_ms();
	T(close(fd));
	t_took("close", at, 900, 1600);
}

ON_BOTH(shutdown_write)
{
	int fd = t_connected(t);
	char buf[8];

	count_sigpipe();
	T(send(fd, "abc", 3, 0));
	T(shutdown(fd, SHUT_WR));
	T(send(fd, "def", 3, 0));
	t_say("%d SIGPIPE", (int)nr_sigpipe);
	t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	t_peer(t, "recv_eof");
	t_peer_ok(t, "text xyz");
	T(recv(fd, buf, sizeof(buf), 0));
	t_peer_ok(t, "close");
	T(recv(fd, buf, sizeof(buf), 0));
	t_sleep_ms(50);
	t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	T(shutdown(fd, SHUT_WR));
}

ON_BOTH(shutdown_read)
{
	int fd = t_connected(t);
	char buf[8];

	T(shutdown(fd, SHUT_RD));
	t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	T(recv(fd, buf, sizeof(buf), 0));
	t_peer(t, "text abc");
	t_sleep_ms(50);
	T(recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	T(send(fd, "def", 3, 0));
	t_peer(t, "recv 3");
}

ON_BOTH(shutdown_read_with_data)
{
	int fd = t_connected(t);
	char buf[8];

	t_peer_ok(t, "text abc");
	(void)t_wait(fd, POLLIN, 1000);
	T(shutdown(fd, SHUT_RD));
	T(recv(fd, buf, sizeof(buf), 0));
	T(recv(fd, buf, sizeof(buf), 0));
}

ON_BOTH(shutdown_both)
{
	int fd = t_connected(t);
	char buf[8];

	T(shutdown(fd, SHUT_RDWR));
	t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	T(recv(fd, buf, sizeof(buf), 0));
	T(send(fd, "abc", 3, MSG_NOSIGNAL));
	t_peer(t, "recv_eof");
	t_peer_ok(t, "close");
	t_sleep_ms(50);
	T(shutdown(fd, SHUT_RDWR));
	t_poll(fd, POLLIN | POLLOUT | POLLRDHUP, 0);
}

ON_BOTH(shutdown_wakes_a_reader)
{
	int fd = t_connected(t), pid;
	char buf[8];

	pid = fork();
	if (pid == 0) {
		t_sleep_ms(80);
		(void)shutdown(fd, SHUT_RDWR);
		_exit(0);
	}
	T(recv(fd, buf, sizeof(buf), 0));
	(void)waitpid(pid, NULL, 0);
}

ON_BOTH(write_after_reset_kills_without_handler)
{
	int fd = t_connected(t), pid, status = 0;

	t_peer_ok(t, "reset");
	t_sleep_ms(50);
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGPIPE, SIG_DFL);
		(void)!write(fd, "x", 1);
		(void)!write(fd, "x", 1);
		_exit(7);
	}
	(void)waitpid(pid, &status, 0);
	t_say("killed by SIGPIPE: %d", WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}

ON_BOTH(simultaneous_half_close)
{
	int fd = t_connected(t);
	char buf[8];

	T(shutdown(fd, SHUT_WR));
	t_peer_ok(t, "shut wr");
	t_peer(t, "recv_eof");
	T(recv(fd, buf, sizeof(buf), 0));
	T(close(fd));
	t_peer(t, "close");
}

ON_BOTH(exit_closes)
{
	int fd = t_connected(t), pid;

	pid = fork();
	if (pid == 0) {
		(void)send(fd, "bye", 3, 0);
		_exit(0);
	}
	(void)waitpid(pid, NULL, 0);
	t_peer(t, "recv 3");
	T(close(fd));
	t_peer(t, "recv_eof");
}

ON_BOTH(keepalive_options_on_a_connection)
{
	int fd = t_connected(t), v = 1;
	socklen_t len = sizeof(v);

	T(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)));
	v = 30;
	T(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof(v)));
	v = 0;
	T(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len));
	t_say("%d", v);
	v = 5000;
	T(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, sizeof(v)));
	v = 0;
	T(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, &len));
	t_say("%d", v);
}
