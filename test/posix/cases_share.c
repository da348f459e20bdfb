/* SPDX-License-Identifier: Apache-2.0 */
/* cases_share.c - descriptors copied, handed on, and used by several threads and processes. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test/posix/conform.h"

extern char **environ;

static int wait_child(int pid)
{
	int status = 0;

	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

ON_BOTH(dup_shares)
{
	int fd = t_connected(t), copy = dup(fd);
	char buf[8];

	T(send(copy, "abc", 3, 0));
	T(close(fd));
	T(send(copy, "def", 3, 0));
	t_peer(t, "recv 6");
	t_peer_ok(t, "text xyz");
	T(recv(copy, buf, sizeof(buf), 0));
	T(close(copy));
	t_peer(t, "recv_eof");
}

ON_BOTH(dup_shares_flags)
{
	int fd = t_connected(t), copy = dup(fd), c2;

	T(fcntl(copy, F_SETFL, O_RDWR | O_NONBLOCK));
	T(fcntl(fd, F_GETFL));
	T(fcntl(fd, F_SETFD, FD_CLOEXEC));
	T(fcntl(copy, F_GETFD));
	c2 = fcntl(fd, F_DUPFD_CLOEXEC, 50);
	t_say("at least 50: %d", c2 >= 50);
	T(fcntl(c2, F_GETFD));
	c2 = fcntl(fd, F_DUPFD, 60);
	t_say("at least 60: %d", c2 >= 60);
	T(fcntl(c2, F_GETFD));
}

ON_BOTH(dup2_over)
{
	int fd = t_connected(t), more = t_connected_more(t, 1);

	T(dup2(fd, more) == more);
	t_peer(t, "recv_eof"); /* connection 1 */
	T(send(more, "abc", 3, 0));
	t_peer_ok(t, "use 0");
	t_peer(t, "recv 3");
	T(dup2(fd, fd) == fd);
	T(dup3(fd, fd, 0));
	T(dup3(fd, 70, O_CLOEXEC));
	T(fcntl(70, F_GETFD));
	T(dup2(999, fd));
	T(send(fd, "abc", 3, 0));
}

ON_BOTH(dup2_of_a_file_over)
{
	int fd = t_connected(t), p[2];

	(void)!pipe(p);
	T(dup2(p[1], fd) == fd);
	t_peer(t, "recv_eof");
	T(write(fd, "abc", 3));
	char buf[8];
	T(read(p[0], buf, 8));
}

ON_BOTH(number_used_again)
{
	int fd = t_connected(t), again;
	char buf[8];

	T(close(fd));
	again = open("/dev/zero", O_RDONLY);
	t_say("same number: %d", again == fd);
	T(read(again, buf, 4));
	T(close(again));
	again = socket(AF_INET, SOCK_STREAM, 0);
	T(recv(again, buf, 4, 0));
}

ON_BOTH(raw_close_behind_the_back)
{
	int fd = t_connected(t), again;
	char buf[8];

	(void)syscall(SYS_close, fd);
	again = open("/dev/zero", O_RDONLY);
	t_say("same number: %d", again == fd);
	T(read(again, buf, 4));
	t_peer(t, "recv_eof");
}

ON_BOTH(close_all_from_three)
{
	int fd = t_connected(t);

	for (int i = 3; i < 190; i++)
		(void)close(i);
	t_peer(t, "recv_eof");
	(void)fd;
	TF(socket(AF_INET, SOCK_STREAM, 0));
	t_peer_ok(t, "use 1");
	t->port = (uint16_t)(t->port + 1);
	t->active = true;
	t_peer_ok(t, "listen %u", t->port);
	{
		struct sockaddr_storage a;
		socklen_t len = t_peer_addr(t, t->port, &a);
		int s = socket(AF_INET, SOCK_STREAM, 0);

		T(connect(s, (struct sockaddr *)&a, len));
		t_peer(t, "accept");
		T(send(s, "x", 1, 0));
		t_peer(t, "recv 1");
	}
}

ON_BOTH(close_range_call)
{
	int fd = t_connected(t);

	T(close_range((unsigned)fd, (unsigned)fd, 0));
	t_peer(t, "recv_eof");
	T(fcntl(fd, F_GETFD));
	T(close_range(3, 190, CLOSE_RANGE_CLOEXEC));
	T(close_range(5, 3, 0));
}

ON_BOTH(fork_child_uses_connection)
{
	int fd = t_connected(t), pid = fork();

	if (pid == 0) {
		char buf[8];

		(void)send(fd, "child", 5, 0);
		if (recv(fd, buf, 5, MSG_WAITALL) != 5 || memcmp(buf, "hello", 5) != 0)
			_exit(1);
		_exit(42);
	}
	t_peer(t, "recv 5");
	t_peer_ok(t, "text hello");
	T(wait_child(pid));
	T(send(fd, "parent", 6, 0));
	t_peer(t, "recv 6");
	T(close(fd));
	t_peer(t, "recv_eof");
}

/* Only what moves data; anything else kills. */
static int filter_calls(void)
{
	static const unsigned int allowed[] = { SYS_read,  SYS_write,         SYS_poll, SYS_ppoll,
						SYS_futex, SYS_clock_gettime, SYS_brk,  SYS_mmap,
						SYS_exit,  SYS_exit_group };
	enum { NR = sizeof(allowed) / sizeof(allowed[0]) };
	struct sock_filter f[NR + 3] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0) };
	struct sock_fprog prog = { NR + 3, f };

	for (unsigned int i = 0; i < NR; i++)
		f[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
							(unsigned char)(NR - i), 0);
	f[1 + NR] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL);
	f[2 + NR] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* As sshd's network process does it. */
static bool give_rights_up(void)
{
	const struct rlimit one = { 1, 1 };

	return chroot("/proc") == 0 && setresuid(65534, 65534, 65534) == 0 &&
	       setrlimit(RLIMIT_NOFILE, &one) == 0 && filter_calls() == 0;
}

ON_BOTH(fork_child_gives_rights_up)
{
	int fd = t_connected(t), pid = fork();

	if (pid == 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char buf[8];

		if (!give_rights_up() || poll(&p, 1, 5000) != 1 || read(fd, buf, 5) != 5 ||
		    write(fd, "child", 5) != 5 || read(fd, buf, 3) != 3)
			_exit(1);
		_exit(42);
	}
	t_sleep_ms(100);
	t_peer_ok(t, "text hello");
	t_peer(t, "recv 5");
	t_sleep_ms(50);
	t_peer_ok(t, "text end");
	T(wait_child(pid));
	T(send(fd, "parent", 6, 0));
	t_peer(t, "recv 6");
}

ON_BOTH(fork_last_holder_closes)
{
	int fd = t_connected(t), pid = fork(), status;

	if (pid == 0) {
		t_sleep_ms(200);
		(void)send(fd, "late", 4, 0);
		_exit(0);
	}
	T(close(fd));
	t_peer(t, "recv 4"); /* the child still has it */
	status = wait_child(pid);
	t_say("child %d", status);
	t_peer(t, "recv_eof");
}

ON_BOTH(fork_child_killed)
{
	int fd = t_connected(t), pid = fork();

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	t_sleep_ms(50);
	(void)kill(pid, SIGKILL);
	T(wait_child(pid));
	T(send(fd, "alive", 5, 0));
	t_peer(t, "recv 5");
}

CASE(fork_shared_listener)
{
	int fd = t_listener(t, 16), pid[2];
	int served = 0;

	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] != 0)
			continue;
		for (int n = 0; n < 3; n++) {
			int c = accept(fd, NULL, NULL);

			if (c < 0 || send(c, "hi", 2, 0) != 2)
				_exit(1);
			(void)close(c);
		}
		_exit(0);
	}
	T(close(fd));
	for (int i = 0; i < 6; i++) {
		t_peer_ok(t, "use %d", i);
		t_peer_ok(t, "connect %u", t->port);
		t_peer(t, "recv_eof");
		served++;
	}
	t_say("%d served", served);
	T(wait_child(pid[0]));
	T(wait_child(pid[1]));
	t_peer_refused_soon(t, 7); /* the listener has no holder any more; docs/preload.md: soon */
}

/* A child that lives on and does nothing with what it inherited. */
static int idle_child(void)
{
	int pid = fork();

	if (pid == 0) {
		for (;;)
			(void)pause();
	}
	return pid;
}

static void end_child(int pid)
{
	(void)kill(pid, SIGKILL);
	(void)wait_child(pid);
}

CASE(fork_listener_that_was_looked_at)
{
	int fd = t_listener(t, 16), ep = epoll_create1(0), pid;
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	T(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	T(epoll_wait(ep, &ev, 1, 0));
	pid = idle_child();
	for (int i = 0; i < 3; i++) {
		t_peer_ok(t, "use %d", i);
		t_peer_ok(t, "connect %u", t->port);
		T(epoll_wait(ep, &ev, 1, 3000));
		TF(accept(fd, NULL, NULL));
	}
	end_child(pid);
}

CASE(fork_with_connections_not_accepted)
{
	int fd = t_listener(t, 16), pid;

	for (int i = 0; i < 3; i++) {
		t_peer_ok(t, "use %d", i);
		t_peer_ok(t, "connect %u", t->port);
	}
	t_sleep_ms(50);
	pid = idle_child();
	for (int i = 0; i < 3; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		T(poll(&p, 1, 3000));
		TF(accept(fd, NULL, NULL));
	}
	end_child(pid);
}

struct waiting {
	int fd;
	bool in_epoll;
	int accepted;
};

static void *accept_three(void *arg)
{
	struct waiting *w = arg;
	int ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };

	(void)epoll_ctl(ep, EPOLL_CTL_ADD, w->fd, &ev);
	while (w->accepted < 3) {
		if (w->in_epoll && epoll_wait(ep, &ev, 1, 3000) != 1)
			break;
		w->accepted += accept(w->fd, NULL, NULL) >= 0;
	}
	(void)close(ep);
	return NULL;
}

static void fork_beside_a_thread(struct tc *t, bool in_epoll)
{
	struct waiting w = { .fd = t_listener(t, 16), .in_epoll = in_epoll };
	pthread_t th;
	int pid;

	(void)pthread_create(&th, NULL, accept_three, &w);
	t_sleep_ms(50);
	pid = idle_child();
	for (int i = 0; i < 3; i++) {
		t_peer_ok(t, "use %d", i);
		t_peer_ok(t, "connect %u", t->port);
	}
	t_sleep_ms(100);
	t_say("accepted %d", w.accepted);
	end_child(pid);
}

CASE(fork_while_a_thread_accepts)
{
	fork_beside_a_thread(t, false);
}

CASE(fork_while_a_thread_waits_for_connections)
{
	fork_beside_a_thread(t, true);
}

struct churn {
	int fd;
	_Atomic bool stop;
};

static void *accept_all(void *arg)
{
	const struct churn *c = arg;
	int conn;

	while ((conn = accept(c->fd, NULL, NULL)) >= 0) {
		(void)!send(conn, "hi", 2, 0);
		(void)close(conn);
	}
	return NULL;
}

/* Processes that look whether there is a connection, and go. */
static void *come_and_go(void *arg)
{
	struct churn *c = arg;

	while (!c->stop) {
		int pid = fork();

		if (pid == 0) {
			struct pollfd p = { .fd = c->fd, .events = POLLIN };

			(void)poll(&p, 1, 3);
			(void)close(c->fd);
			t_sleep_ms(1);
			_exit(0);
		}
		(void)wait_child(pid);
	}
	return NULL;
}

CASE(fork_others_leave_the_listener)
{
	struct churn c = { .fd = t_listener(t, 64) };
	pthread_t servant, crowd[2];

	(void)pthread_create(&servant, NULL, accept_all, &c);
	for (int i = 0; i < 2; i++)
		(void)pthread_create(&crowd[i], NULL, come_and_go, &c);
	for (int i = 0; i < 200; i++) {
		t_peer_ok(t, "use %d", i % 8);
		t_peer_ok(t, "connect %u", t->port);
		t_peer(t, "recv 2");
		t_peer_ok(t, "close");
	}
	c.stop = true;
	for (int i = 0; i < 2; i++)
		(void)pthread_join(crowd[i], NULL);
}

CASE(fork_per_connection)
{
	int fd = t_listener(t, 16);

	for (int i = 0; i < 4; i++) {
		int c, pid;

		t_peer_ok(t, "use %d", i);
		t_peer_ok(t, "connect %u", t->port);
		c = accept(fd, NULL, NULL);
		pid = fork();
		if (pid == 0) {
			char buf[8];
			ssize_t n;

			(void)close(fd);
			while ((n = recv(c, buf, sizeof(buf), 0)) > 0)
				(void)send(c, buf, (size_t)n, 0);
			_exit(0);
		}
		(void)close(c);
		t_peer_ok(t, "text hello");
		t_peer(t, "recv 5");
		t_peer_ok(t, "shut wr");
		t_peer(t, "recv_eof");
		T(wait_child(pid));
	}
}

CASE(fork_child_listens)
{
	int pid = fork();

	if (pid == 0) {
		int fd = t_listener(t, 4), c;

		t_peer_ok(t, "connect %u", t->port);
		c = accept(fd, NULL, NULL);
		(void)send(c, "abc", 3, 0);
		t_peer(t, "recv 3");
		_exit(c >= 0 ? 0 : 1);
	}
	T(wait_child(pid));
}

ON_BOTH(vfork_and_exec)
{
	int fd = t_connected(t), pid;

	pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): what is tested */
	if (pid == 0) {
		(void)execl("/bin/true", "true", (char *)NULL);
		_exit(9);
	}
	T(wait_child(pid));
	T(send(fd, "abc", 3, 0));
	t_peer(t, "recv 3");
}

ON_BOTH(exec_inherits)
{
	int fd = t_connected(t), pid = fork();

	if (pid == 0) {
		(void)dup2(fd, 0);
		(void)dup2(fd, 1);
		(void)execl("/bin/sh", "sh", "-c", "read line; echo got $line", (char *)NULL);
		_exit(9);
	}
	(void)close(fd);
	t_peer_ok(t, "send 5");
	t_peer_ok(t, "shut wr");
	T(wait_child(pid));
	t_peer(t, "recv_eof");
}

ON_BOTH(spawn_inherits)
{
	char *argv[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
			 (char *)(uintptr_t) "cat", NULL };
	posix_spawn_file_actions_t fa;
	int fd = t_connected(t);
	pid_t pid = -1;

	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_adddup2(&fa, fd, 0);
	(void)posix_spawn_file_actions_adddup2(&fa, fd, 1);
	(void)posix_spawn_file_actions_addclose(&fa, fd);
	T(posix_spawn(&pid, "/bin/sh", &fa, NULL, argv, environ));
	(void)close(fd);
	t_peer_ok(t, "text hello");
	t_peer_ok(t, "shut wr");
	t_peer(t, "recv_eof");
	T(wait_child(pid));
}

ON_BOTH(cloexec_closes)
{
	int fd = t_connected(t), pid;

	T(fcntl(fd, F_SETFD, FD_CLOEXEC));
	pid = fork();
	if (pid == 0) {
		(void)execl("/bin/sleep", "sleep", "1", (char *)NULL);
		_exit(9);
	}
	t_sleep_ms(100);
	T(close(fd));
	t_peer(t, "recv_eof"); /* at once: the program that was started does not hold it */
	T(kill(pid, SIGKILL));
	(void)wait_child(pid);
}

ON_BOTH(exec_fails)
{
	int fd = t_connected(t), pid = fork();

	if (pid == 0) {
		(void)execl("/nonexistent", "x", (char *)NULL);
		_exit(send(fd, "abc", 3, 0) == 3 ? 5 : 6);
	}
	T(wait_child(pid));
	t_peer(t, "recv 3");
}

ON_BOTH(pass_by_unix_socket)
{
	int fd = t_connected(t), sv[2], pid;
	char control[CMSG_SPACE(sizeof(int))] = "", data = 'x';
	struct iovec v = { &data, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	(void)socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	pid = fork();
	if (pid == 0) {
		int got;

		(void)close(fd);
		if (recvmsg(sv[1], &m, 0) != 1 || CMSG_FIRSTHDR(&m) == NULL)
			_exit(1);
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(got));
		_exit(send(got, "passed", 6, 0) == 6 ? 0 : 2);
	}
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	T(sendmsg(sv[0], &m, 0));
	T(wait_child(pid));
	t_peer(t, "recv 6");
}

static void pass(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", data = 'x';
	struct iovec v = { &data, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	T(sendmsg(sock, &m, 0));
}

static int take(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], data;
	struct iovec v = { &data, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(sock, &m, 0) == 1 && m.msg_controllen >= CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* A process that was there before the first socket was: what it gets is all that it knows. */
static int earlier_child(int *ret_sock, void (*fn)(int fd))
{
	int sv[2], pid;

	(void)socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	pid = fork();
	if (pid == 0) {
		(void)close(sv[0]);
		fn(take(sv[1]));
	}
	(void)close(sv[1]);
	*ret_sock = sv[0];
	return pid;
}

static void say_passed(int fd)
{
	_exit(send(fd, "passed", 6, 0) == 6 ? 0 : 2);
}

ON_BOTH(pass_to_an_earlier_process)
{
	int sock, pid = earlier_child(&sock, say_passed), fd = t_connected(t);

	pass(sock, fd);
	T(wait_child(pid));
	t_peer(t, "recv 6");
	T(send(fd, "back", 4, 0));
	t_peer(t, "recv 4");
}

ON_BOTH(pass_and_close)
{
	int sock, pid = earlier_child(&sock, say_passed), fd = t_connected(t);

	pass(sock, fd);
	T(close(fd));
	t_peer(t, "recv 6");
	T(wait_child(pid));
	t_peer(t, "recv_eof");
}

static void serve_two(int fd)
{
	for (int i = 0; i < 2; i++) {
		int c = accept(fd, NULL, NULL);

		if (c < 0 || send(c, "hi", 2, 0) != 2)
			_exit(1);
		(void)close(c);
	}
	_exit(0);
}

CASE(pass_listener_to_an_earlier_process)
{
	int sock, pid = earlier_child(&sock, serve_two), fd = t_listener(t, 16);

	pass(sock, fd);
	T(close(fd));
	for (int i = 0; i < 2; i++) {
		t_peer_ok(t, "use %d", i);
		t_peer_ok(t, "connect %u", t->port);
		t_peer(t, "recv 2");
		t_peer(t, "recv_eof");
	}
	T(wait_child(pid));
}

/* The end of a process closes what it had open: nothing that was sent is lost. */
static void exit_unclosed(struct tc *t, int how)
{
	static char data[60000];
	int pid;

	t_peer_ok(t, "rcvbuf 8192"); /* most of it waits with us */
	pid = fork();
	if (pid == 0) {
		int fd = t_connected(t);

		(void)send(fd, data, sizeof(data), 0);
		if (how == SIGKILL)
			(void)kill(getpid(), SIGKILL);
		_exit(0);
	}
	T(wait_child(pid));
	t_sleep_ms(1200);
	t_peer(t, "recv %zu", sizeof(data));
	t_peer(t, "recv_eof");
}

ON_BOTH(exit_without_close)
{
	exit_unclosed(t, 0);
}

ON_BOTH(killed_without_close)
{
	exit_unclosed(t, SIGKILL);
}

struct job {
	int fd;
	_Atomic long result;
	int err;
};

static void *reader(void *arg)
{
	struct job *j = arg;
	char buf[16];

	j->result = recv(j->fd, buf, sizeof(buf), 0);
	j->err = errno;
	return NULL;
}

ON_BOTH(threads_read_and_write)
{
	struct job j = { .fd = t_connected(t) };
	pthread_t th;

	(void)pthread_create(&th, NULL, reader, &j);
	t_sleep_ms(50);
	T(send(j.fd, "abc", 3, 0));
	t_peer(t, "recv 3");
	t_peer_ok(t, "text hello");
	(void)pthread_join(th, NULL);
	t_say("reader %ld", j.result);
}

ON_BOTH(threads_two_readers)
{
	int fd = t_connected(t);
	struct job j[2] = { { .fd = fd }, { .fd = fd } };
	pthread_t th[2];

	for (int i = 0; i < 2; i++)
		(void)pthread_create(&th[i], NULL, reader, &j[i]);
	t_sleep_ms(50);
	t_peer_ok(t, "text abc");
	while (j[0].result == 0 && j[1].result == 0)
		t_sleep_ms(
			1); /* or a slow one would read both texts, and the other wait for ever */
	t_peer_ok(t, "text def");
	for (int i = 0; i < 2; i++)
		(void)pthread_join(th[i], NULL);
	t_say("together %ld", j[0].result + j[1].result);
}

ON_BOTH(thread_shutdown_wakes_reader)
{
	struct job j = { .fd = t_connected(t) };
	pthread_t th;

	(void)pthread_create(&th, NULL, reader, &j);
	t_sleep_ms(80);
	T(shutdown(j.fd, SHUT_RDWR));
	(void)pthread_join(th, NULL);
	t_say("reader %ld", j.result);
}

static void *acceptor(void *arg)
{
	struct job *j = arg;

	j->result = accept(j->fd, NULL, NULL) >= 0;
	return NULL;
}

CASE(threads_accept)
{
	int fd = t_listener(t, 16);
	struct job j[4];
	pthread_t th[4];

	for (int i = 0; i < 4; i++) {
		j[i] = (struct job){ .fd = fd };
		(void)pthread_create(&th[i], NULL, acceptor, &j[i]);
	}
	t_sleep_ms(50);
	for (int i = 0; i < 4; i++) {
		t_peer_ok(t, "use %d", i);
		t_peer_ok(t, "connect %u", t->port);
	}
	for (int i = 0; i < 4; i++) {
		(void)pthread_join(th[i], NULL);
		t_say("accepted %ld", j[i].result);
	}
}

struct shared_set {
	int ep, fd;
	int served;
	pthread_mutex_t lock;
};

static void *worker(void *arg)
{
	struct shared_set *s = arg;
	struct epoll_event ev;
	char buf[64];

	while (epoll_wait(s->ep, &ev, 1, 600) == 1) {
		if (recv(ev.data.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0) {
			(void)pthread_mutex_lock(&s->lock);
			s->served++;
			(void)pthread_mutex_unlock(&s->lock);
		}
		ev.events = EPOLLIN | EPOLLONESHOT;
		(void)epoll_ctl(s->ep, EPOLL_CTL_MOD, ev.data.fd, &ev);
	}
	return NULL;
}

ON_BOTH(threads_share_an_epoll_set)
{
	struct shared_set s = { .ep = epoll_create1(0), .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t th[3];
	int fd[4];

	fd[0] = t_connected(t);
	for (int i = 1; i < 4; i++)
		fd[i] = t_connected_more(t, i);
	for (int i = 0; i < 4; i++) {
		struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT, .data.fd = fd[i] };

		(void)epoll_ctl(s.ep, EPOLL_CTL_ADD, fd[i], &ev);
	}
	for (int i = 0; i < 3; i++)
		(void)pthread_create(&th[i], NULL, worker, &s);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++) {
			t_peer_ok(t, "use %d", i);
			t_peer_ok(t, "text abc");
		}
		t_sleep_ms(60);
	}
	for (int i = 0; i < 3; i++)
		(void)pthread_join(th[i], NULL);
	t_say("served %d", s.served);
}

ON_BOTH(thread_close_while_reading)
{
	struct job j = { .fd = t_connected(t) };
	pthread_t th;

	(void)pthread_create(&th, NULL, reader, &j);
	t_sleep_ms(50);
	t_peer_ok(t, "later 100 text abc");
	T(close(j.fd));
	(void)pthread_join(th, NULL);
	t_say("the reader ended: %d", j.result == 3 || j.result == -1);
}

CASE(limit_of_descriptors)
{
	struct rlimit r = { 30, 30 };
	int n = 0;

	(void)t;
	T(setrlimit(RLIMIT_NOFILE, &r));
	while (n < 40 && socket(AF_INET, SOCK_STREAM, 0) >= 0)
		n++;
	t_say("errno %s", t_errno(errno));
	t_say("more than 20: %d", n > 20);
}
