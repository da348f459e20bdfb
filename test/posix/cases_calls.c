/* SPDX-License-Identifier: Apache-2.0 */
/* cases_calls.c - calls and options beside the common ones, and signals in the calls that block. */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test/posix/conform.h"

ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags, struct sockaddr *addr,
		       socklen_t *len);
int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room);

static int status_of(int pid)
{
	int status = 0;

	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

ON_BOTH(checked_calls)
{
	int fd = t_connected(t), pid;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[16];

	t_peer_ok(t, "text abcdefghi");
	(void)t_wait(fd, POLLIN, 1000);
	T(__poll_chk(&p, 1, 0, sizeof(p)));
	T(__read_chk(fd, buf, 3, sizeof(buf)));
	T(__recv_chk(fd, buf, 3, sizeof(buf), 0));
	T(__recvfrom_chk(fd, buf, 3, sizeof(buf), 0, NULL, NULL));
	pid = fork();
	if (pid == 0) {
		(void)close(2);
		(void)!__read_chk(fd, buf, 17, sizeof(buf));
		_exit(0);
	}
	T(status_of(pid) == 1000 + SIGABRT);
}

ON_BOTH(recvmmsg_flags)
{
	int fd = t_connected(t);
	char a[4], b[4];
	struct iovec iov[2] = { { a, 4 }, { b, 4 } };
	struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } } };

	T(recvmmsg(fd, m, 2, MSG_DONTWAIT, NULL));
	t_peer_ok(t, "text abcdef");
	(void)t_wait(fd, POLLIN, 1000);
	T(recvmmsg(fd, m, 2, MSG_DONTWAIT, NULL));
	t_say("%u %u", m[0].msg_len, m[1].msg_len);
	t_peer_ok(t, "text xyz");
	T(recvmmsg(fd, m, 2, MSG_WAITFORONE, NULL));
	t_say("%u", m[0].msg_len);
	T(recvmmsg(fd, m, 0, MSG_DONTWAIT, NULL));
}

ON_BOTH(not_a_file)
{
	int fd = t_connected(t);
	struct stat st;

	T(lseek(fd, 0, SEEK_CUR));
	T(ftruncate(fd, 0));
	T(fsync(fd));
	T(fdatasync(fd));
	T(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	T(fstat(fd, &st));
	t_say("a socket: %d", S_ISSOCK(st.st_mode));
	T(fchdir(fd));
	T(isatty(fd));
	T(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
	T(pread(fd, &st, 1, 0));
	T(pwrite(fd, "x", 1, 0));
	T(fcntl(fd, F_GETLK, &(struct flock){ .l_type = F_RDLCK }) >= 0);
}

ON_BOTH(ioctls)
{
	int fd = t_connected(t), on = 1, n = -1;

	T(ioctl(fd, FIONBIO, &on));
	T(fcntl(fd, F_GETFL));
	on = 0;
	T(ioctl(fd, FIONBIO, &on));
	T(fcntl(fd, F_GETFL));
	T(ioctl(fd, FIOCLEX));
	T(fcntl(fd, F_GETFD));
	T(ioctl(fd, FIONCLEX));
	T(fcntl(fd, F_GETFD));
	t_peer_ok(t, "text abcde");
	(void)t_wait(fd, POLLIN, 1000);
	T(ioctl(fd, FIONREAD, &n));
	t_say("%d", n);
	T(send(fd, "abc", 3, 0));
	t_peer(t, "recv 3");
	t_sleep_ms(60);
	T(ioctl(fd, TIOCOUTQ, &n));
	t_say("%d", n);
	T(ioctl(fd, 0x12345678, &n));
}

ON_BOTH(options_of_a_connection)
{
	static const struct {
		const char *name;
		int level, option;
	} opts[] = {
		{ "SO_TYPE", SOL_SOCKET, SO_TYPE },
		{ "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN },
		{ "SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL },
		{ "SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN },
		{ "SO_ERROR", SOL_SOCKET, SO_ERROR },
		{ "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE },
		{ "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE },
		{ "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT },
		{ "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY },
		{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY },
		{ "TCP_CORK", IPPROTO_TCP, TCP_CORK },
		{ "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE },
		{ "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL },
		{ "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT },
		{ "TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT },
		{ "TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2 },
		{ "TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT },
		{ "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT },
		{ "TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT },
		{ "IP_TOS", IPPROTO_IP, IP_TOS },
		{ "IP_TTL", IPPROTO_IP, IP_TTL },
		{ "IP_MTU", IPPROTO_IP, IP_MTU },
	};
	int fd = t_connected(t);

	for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
		int value = -1, r;
		socklen_t len = sizeof(value);

		r = getsockopt(fd, opts[i].level, opts[i].option, &value, &len);
		t_say("%s = %d %d length %u", opts[i].name, r, value, len);
	}
}

ON_BOTH(options_set_on_a_connection)
{
	static const struct {
		const char *name;
		int level, option, value;
	} opts[] = {
		{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1 },
		{ "TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 1 },
		{ "TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4096 },
		{ "TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, 5 },
		{ "TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 3 },
		{ "TCP_WINDOW_CLAMP", IPPROTO_TCP, TCP_WINDOW_CLAMP, 65536 },
		{ "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 7 },
		{ "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, -1 },
		{ "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 20000 },
		{ "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 20000 },
		{ "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1 },
		{ "SO_INCOMING_CPU", SOL_SOCKET, SO_INCOMING_CPU, 0 },
		{ "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 2 },
		{ "IP_TOS", IPPROTO_IP, IP_TOS, 0x20 },
		{ "IP_TTL", IPPROTO_IP, IP_TTL, 33 },
		{ "IP_TTL", IPPROTO_IP, IP_TTL, 1000 },
		{ "TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 1 },
	};
	int fd = t_connected(t);

	for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
		int value = -1, r, err;
		socklen_t len = sizeof(value);

		errno = 0;
		r = setsockopt(fd, opts[i].level, opts[i].option, &opts[i].value, sizeof(int));
		err = errno;
		(void)getsockopt(fd, opts[i].level, opts[i].option, &value, &len);
		t_say("%s = %d: %d %s, reads %d", opts[i].name, opts[i].value, r,
		      err != 0 ? t_errno(err) : "ok", value);
	}
	T(send(fd, "abc", 3, 0));
	t_peer(t, "recv 3");
}

ON_BOTH(sendfile_positions)
{
	char path[] = "/tmp/conform-XXXXXX", buf[16];
	int fd = t_connected(t), file = mkstemp(path);
	off_t at = 3;

	(void)unlink(path);
	(void)!write(file, "0123456789", 10);
	T(sendfile(fd, file, &at, 4));
	t_say("at %ld", (long)at);
	T(sendfile(fd, file, &at, 100));
	t_say("at %ld", (long)at);
	T(sendfile(fd, file, &at, 100));
	T(lseek(file, 8, SEEK_SET));
	T(sendfile(fd, file, NULL, 100));
	T(lseek(file, 0, SEEK_CUR));
	t_peer(t, "recv 9");
	T(sendfile(file, fd, NULL, 1));
	at = -1;
	T(sendfile(fd, file, &at, 1));
	T(sendfile(fd, 999, NULL, 1));
	T(close(file));
	T(recv(fd, buf, 1, MSG_DONTWAIT));
}

ON_BOTH(splice_both_ways)
{
	int fd = t_connected(t), p[2];
	char buf[32];

	T(pipe(p));
	T(splice(fd, NULL, p[1], NULL, 10, SPLICE_F_NONBLOCK));
	t_peer_ok(t, "text hello");
	(void)t_wait(fd, POLLIN, 1000);
	T(splice(fd, NULL, p[1], NULL, 100, 0));
	T(read(p[0], buf, sizeof(buf)));
	T(write(p[1], "world", 5));
	T(splice(p[0], NULL, fd, NULL, 100, SPLICE_F_MORE));
	T(send(fd, "!", 1, 0));
	t_peer(t, "recv 6");
	T(tee(fd, p[1], 10, 0));
	t_peer_ok(t, "close");
	t_sleep_ms(50);
	T(splice(fd, NULL, p[1], NULL, 100, 0));
}

/* ---- signals ---- */

static volatile sig_atomic_t nr_signals;

static void on_signal(int sig)
{
	(void)sig;
	nr_signals++;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	(void)sigaction(sig, &sa, NULL);
}

ON_BOTH(send_interrupted)
{
	static char buf[4 << 20];
	int fd, err;
	ssize_t n;

	t_peer_ok(t, "rcvbuf 4096");
	fd = t_connected(t);
	t_nonblock(fd);
	while (send(fd, buf, sizeof(buf), 0) > 0)
		;
	T(fcntl(fd, F_SETFL, O_RDWR));
	handle(SIGALRM, 0);
	(void)ualarm(100000, 0);
	n = send(fd, buf, sizeof(buf), 0);
	err = errno;
	/* With what found room before, if any did. */
	t_say("interrupted: %d", n < 0 ? err == EINTR : n > 0 && n < (ssize_t)sizeof(buf));
	t_say("%d signals", (int)nr_signals);
}

CASE(accept_restarted)
{
	int fd = t_listener(t, 5);

	handle(SIGALRM, SA_RESTART);
	(void)ualarm(60000, 0);
	t_peer_ok(t, "later 150 connect %u", t->port);
	TF(accept(fd, NULL, NULL));
	t_say("%d signals", (int)nr_signals);
}

ON_BOTH(time_out_is_not_restarted)
{
	int fd = t_connected(t);
	struct timeval tv = { 2, 0 };
	char c;

	T(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	handle(SIGALRM, SA_RESTART);
	(void)ualarm(60000, 0);
	T(recv(fd, &c, 1, 0));
}

ON_BOTH(poll_is_never_restarted)
{
	int fd = t_connected(t), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	fd_set r;

	handle(SIGALRM, SA_RESTART);
	(void)ualarm(60000, 0);
	T(poll(&p, 1, 2000));
	(void)ualarm(60000, 0);
	FD_ZERO(&r);
	FD_SET(fd, &r);
	T(select(fd + 1, &r, NULL, NULL, &(struct timeval){ 2, 0 }));
	T(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	(void)ualarm(60000, 0);
	T(epoll_wait(ep, &ev, 1, 2000));
}

ON_BOTH(masks_hold_for_the_wait)
{
	int fd = t_connected(t), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec ts = { 0, 100000000 };
	sigset_t block, none;
	fd_set r;

	handle(SIGUSR1, 0);
	(void)sigemptyset(&none);
	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &block, NULL);
	(void)raise(SIGUSR1);
	T(ppoll(&p, 1, &ts, &none));
	t_say("%d signals", (int)nr_signals);
	(void)raise(SIGUSR1);
	FD_ZERO(&r);
	FD_SET(fd, &r);
	T(pselect(fd + 1, &r, NULL, NULL, &ts, &none));
	t_say("%d signals", (int)nr_signals);
	T(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	(void)raise(SIGUSR1);
	T(epoll_pwait(ep, &ev, 1, 100, &none));
	t_say("%d signals", (int)nr_signals);
	(void)raise(SIGUSR1);
	T(poll(&p, 1, 20));
	t_say("%d signals", (int)nr_signals);
}

/* ---- sets ---- */

struct sleeper {
	int ep;
	int got;
};

static void *sleep_in_set(void *arg)
{
	struct sleeper *s = arg;
	struct epoll_event ev;

	s->got = epoll_wait(s->ep, &ev, 1, 400);
	return NULL;
}

CASE(epoll_exclusive_wakes)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	struct sleeper s[2] = { { epoll_create1(0), 0 }, { epoll_create1(0), 0 } };
	int fd = t_listener(t, 5);
	pthread_t thread[2];

	for (int i = 0; i < 2; i++) {
		T(epoll_ctl(s[i].ep, EPOLL_CTL_ADD, fd, &ev));
		(void)pthread_create(&thread[i], NULL, sleep_in_set, &s[i]);
	}
	T(epoll_ctl(s[0].ep, EPOLL_CTL_MOD, fd, &ev));
	t_sleep_ms(60);
	t_peer_ok(t, "connect %u", t->port);
	for (int i = 0; i < 2; i++)
		(void)pthread_join(thread[i], NULL);
	t_say("somebody woke: %d", s[0].got + s[1].got >= 1);
	TF(accept(fd, NULL, NULL));
}

ON_BOTH(epoll_nested_edges)
{
	int fd = t_connected(t), inner = epoll_create1(0), outer = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET }, got;
	char buf[8];

	T(epoll_ctl(inner, EPOLL_CTL_ADD, fd, &ev));
	ev.events = EPOLLIN;
	T(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &ev));
	T(epoll_ctl(inner, EPOLL_CTL_ADD, inner, &ev));
	T(epoll_wait(outer, &got, 1, 0));
	t_peer_ok(t, "text abc");
	T(epoll_wait(outer, &got, 1, 1000));
	t_poll(outer, POLLIN, 0);
	T(epoll_wait(inner, &got, 1, 0));
	T(epoll_wait(outer, &got, 1, 0));
	T(recv(fd, buf, sizeof(buf), 0));
	T(close(inner));
	T(epoll_wait(outer, &got, 1, 0));
}

ON_BOTH(select_many_numbers)
{
	int fd = t_connected(t), high = fcntl(fd, F_DUPFD, 1000);
	fd_set r, w;

	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(high, &r);
	FD_SET(high, &w);
	T(select(high + 1, &r, &w, NULL, &(struct timeval){ 0, 0 }));
	t_say("%d %d", FD_ISSET(high, &r) != 0, FD_ISSET(high, &w) != 0);
	t_peer_ok(t, "text abc");
	FD_ZERO(&r);
	FD_SET(high, &r);
	T(select(high + 1, &r, NULL, NULL, NULL));
	T(select(-1, &r, NULL, NULL, NULL));
	T(select(high + 1, &r, NULL, NULL, &(struct timeval){ -1, 0 }));
}

ON_BOTH(poll_wrong)
{
	int fd = t_connected(t);
	struct pollfd p[3] = { { .fd = -5, .events = POLLIN, .revents = 77 },
			       { .fd = 900, .events = POLLIN },
			       { .fd = fd, .events = 0 } };

	T(poll(p, 3, 0));
	t_say("%d", p[0].revents);
	t_poll_bits("900", (unsigned short)p[1].revents);
	t_poll_bits("fd", (unsigned short)p[2].revents);
	T(poll(NULL, 0, 1));
	t_peer_ok(t, "reset");
	t_sleep_ms(50);
	T(poll(&p[2], 1, 0));
	t_poll_bits("reset", (unsigned short)p[2].revents);
}

/* ---- numbers ---- */

ON_BOTH(closefrom_call)
{
	int fd = t_connected(t), copy = dup2(fd, 120);

	closefrom(60);
	T(fcntl(copy, F_GETFD));
	T(send(fd, "abc", 3, 0));
	t_say("still"); /* the peer's line went with the numbers */
}

ON_BOTH(numbers_are_the_lowest)
{
	int fd = t_connected(t), low = dup(fd), a, b;

	T(close(low));
	a = dup(fd);
	t_say("the same again: %d", a == low);
	T(close(a));
	b = socket(AF_INET, SOCK_STREAM, 0);
	t_say("the same again: %d", b == low);
	T(dup2(fd, b) == b);
	T(send(b, "abc", 3, 0));
	t_peer(t, "recv 3");
}

ON_BOTH(stdin_is_a_connection)
{
	int fd = t_connected(t);
	char line[32] = "";

	T(dup2(fd, 0));
	T(close(fd));
	t_peer_ok(t, "text a_line");
	t_peer_ok(t, "shut wr");
	T(read(0, line, sizeof(line)));
	t_bytes("line", line, 6);
	T(read(0, line, sizeof(line)));
}

ON_BOTH(raw_calls)
{
	int fd = t_connected(t);
	char buf[8];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct pollfd p = { .fd = fd, .events = POLLIN };

	t_peer_ok(t, "text abcdef");
	T(syscall(SYS_ppoll, &p, 1, NULL, NULL, 8));
	T(syscall(SYS_recvfrom, fd, buf, 2, 0, NULL, NULL));
	T(syscall(SYS_readv, fd, &(struct iovec){ buf, 2 }, 1));
	T(syscall(SYS_recvmsg, fd, &msg, 0));
	T(syscall(SYS_sendto, fd, "abc", 3, MSG_NOSIGNAL, NULL, 0));
	T(syscall(SYS_writev, fd, &(struct iovec){ buf, 2 }, 1));
	t_peer(t, "recv 5");
	T(syscall(SYS_shutdown, fd, SHUT_WR));
	t_peer(t, "recv_eof");
	T(syscall(SYS_dup, fd) > fd);
	T(syscall(SYS_close, fd));
}
