/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.c - the far end of the conformance cases: kernel sockets, moved by one-line commands.
 *
 * Use:     conform_peer SOCKET-PATH ADDRESS ADDRESS6 FAR-ADDRESS FAR-ADDRESS6
 *          One connection to the unix socket is one case, served by a child of its own. Commands, each answered
 *          by one line ("ok", a result, or an errno's name):
 *          use K | listen PORT | accept | connect PORT | connect_from PORT LOCAL | send N | text WORD | oob WORD |
 *          fastopen N | connect_fast PORT N | syn_data | recv N | recv_eof | shut rd|wr | close | reset | unlisten | rcvbuf N | sndbuf N | nodelay | sleep MS | error | v6
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNS_MAX 64
#define PATIENCE_MS 5000

static const char *own[2], *far[2];
static int conns[CONNS_MAX], listener = -1, current, rcvbuf, sndbuf;
static bool v6;
static uint64_t sent[CONNS_MAX];
static FILE *out;

static void answer_errno(int result)
{
	(void)fprintf(out, "%s\n", result < 0 ? strerrorname_np(errno) : "ok");
}

static int endpoint(const char *text, int port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		(void)inet_pton(AF_INET6, text, &in6->sin6_addr);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	(void)inet_pton(AF_INET, text, &in->sin_addr);
	return sizeof(*in);
}

static int new_socket(void)
{
	int one = 1, fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (rcvbuf != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	if (sndbuf != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	return fd;
}

static void do_listen(int port)
{
	struct sockaddr_storage a;
	socklen_t len = (socklen_t)endpoint(own[v6], port, &a);

	listener = new_socket();
	if (bind(listener, (struct sockaddr *)&a, len) < 0) {
		answer_errno(-1);
		return;
	}
	answer_errno(listen(listener, 64));
}

static void do_accept(void)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	if (poll(&p, 1, PATIENCE_MS) <= 0) {
		(void)fputs("nobody\n", out);
		return;
	}
	conns[current] = accept(listener, NULL, NULL);
	sent[current] = 0;
	answer_errno(conns[current]);
}

/* `local` 0: any port. Gives up after a while, as a connect that nobody answers would only much later. */
static void do_connect(int port, int local)
{
	struct sockaddr_storage a, mine;
	socklen_t len = (socklen_t)endpoint(far[v6], port, &a), mlen;
	int fd = new_socket(), user_ms = PATIENCE_MS;

	mlen = (socklen_t)endpoint(own[v6], local, &mine);
	if (local != 0 && bind(fd, (struct sockaddr *)&mine, mlen) < 0) {
		answer_errno(-1);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms));
	conns[current] = fd;
	sent[current] = 0;
	answer_errno(connect(fd, (struct sockaddr *)&a, len));
	user_ms = 0;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms));
}

static char pattern(uint64_t pos);

/* With so many bytes in the SYN, if there is a cookie. */
static void do_connect_fast(int port, int n)
{
	struct sockaddr_storage a;
	socklen_t len = (socklen_t)endpoint(far[v6], port, &a);
	char buf[1024];

	conns[current] = new_socket();
	for (int i = 0; i < n && i < (int)sizeof(buf); i++)
		buf[i] = pattern((uint64_t)i);
	sent[current] = (uint64_t)n;
	answer_errno(sendto(conns[current], buf, (size_t)n, MSG_FASTOPEN | MSG_NOSIGNAL,
			    (struct sockaddr *)&a, len) == n
			     ? 0
			     : -1);
}

static void do_syn_data(void)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	(void)getsockopt(conns[current], IPPROTO_TCP, TCP_INFO, &info, &len);
	(void)fprintf(out, "%d\n", (info.tcpi_options & TCPI_OPT_SYN_DATA) != 0);
}

/* Byte `pos` of what a connection sends: lower-case letters in turn. */
static char pattern(uint64_t pos)
{
	return (char)('a' + pos % 26);
}

static void do_send(long n)
{
	char buf[65536];
	long done = 0;

	while (done < n) {
		size_t part = (size_t)(n - done < (long)sizeof(buf) ? n - done : (long)sizeof(buf));
		ssize_t r;

		for (size_t i = 0; i < part; i++)
			buf[i] = pattern(sent[current] + i);
		r = send(conns[current], buf, part, MSG_NOSIGNAL);
		if (r < 0) {
			answer_errno(-1);
			return;
		}
		sent[current] += (uint64_t)r;
		done += r;
	}
	answer_errno(0);
}

/* Reads n bytes, or to the end (n < 0), and tells how many and their sum. */
static void do_recv(long n)
{
	char buf[65536];
	long got = 0;
	unsigned sum = 0;
	const char *end = "";

	while (n < 0 || got < n) {
		size_t want = n < 0 || n - got > (long)sizeof(buf) ? sizeof(buf)
								   : (size_t)(n - got);
		struct pollfd p = { .fd = conns[current], .events = POLLIN };
		ssize_t r;

		if (poll(&p, 1, PATIENCE_MS) <= 0) {
			end = ", then nothing";
			break;
		}
		r = recv(conns[current], buf, want, 0);
		if (r <= 0) {
			end = r == 0 ? ", then the end" : strerrorname_np(errno);
			break;
		}
		for (ssize_t i = 0; i < r; i++)
			sum = sum * 31 + (unsigned char)buf[i];
		got += r;
	}
	(void)fprintf(out, "%ld bytes, sum %08x%s%s\n", got, sum, *end == 'E' ? ", " : "", end);
}

static void do_close(bool reset)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };
	int err;

	if (reset)
		(void)setsockopt(conns[current], SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	err = close(conns[current]);
	conns[current] = -1;
	answer_errno(err);
}

static void do_error(void)
{
	int err = 0;
	socklen_t len = sizeof(err);

	(void)getsockopt(conns[current], SOL_SOCKET, SO_ERROR, &err, &len);
	(void)fprintf(out, "%s\n", err ? strerrorname_np(err) : "none");
}

static void obey_data(const char *word, const char *arg)
{
	long n = atol(arg);

	if (strcmp(word, "send") == 0)
		do_send(n);
	else if (strcmp(word, "text") == 0)
		answer_errno((int)send(conns[current], arg, strlen(arg), MSG_NOSIGNAL));
	else if (strcmp(word, "oob") == 0)
		answer_errno((int)send(conns[current], arg, strlen(arg), MSG_NOSIGNAL | MSG_OOB));
	else if (strcmp(word, "recv") == 0)
		do_recv(n);
	else if (strcmp(word, "recv_eof") == 0)
		do_recv(-1);
	else if (strcmp(word, "shut") == 0)
		answer_errno(shutdown(conns[current], arg[0] == 'r' ? SHUT_RD : SHUT_WR));
	else
		(void)fprintf(out, "what is '%s'?\n", word);
}

static void obey(const char *word, const char *arg, int arg2)
{
	int n = atoi(arg), one = 1;

	if (strcmp(word, "use") == 0 && n >= 0 && n < CONNS_MAX)
		current = n, answer_errno(0);
	else if (strcmp(word, "v6") == 0)
		v6 = n != 0, answer_errno(0);
	else if (strcmp(word, "listen") == 0)
		do_listen(n);
	else if (strcmp(word, "unlisten") == 0)
		answer_errno(close(listener));
	else if (strcmp(word, "accept") == 0)
		do_accept();
	else if (strcmp(word, "connect") == 0)
		do_connect(n, 0);
	else if (strcmp(word, "fastopen") == 0)
		answer_errno(setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &n, sizeof(n)));
	else if (strcmp(word, "connect_fast") == 0)
		do_connect_fast(n, arg2);
	else if (strcmp(word, "syn_data") == 0)
		do_syn_data();
	else if (strcmp(word, "connect_from") == 0)
		do_connect(n, arg2);
	else if (strcmp(word, "close") == 0 || strcmp(word, "reset") == 0)
		do_close(word[0] == 'r');
	else if (strcmp(word, "rcvbuf") == 0)
		rcvbuf = n, answer_errno(0);
	else if (strcmp(word, "sndbuf") == 0)
		sndbuf = n, answer_errno(0);
	else if (strcmp(word, "nodelay") == 0)
		answer_errno(
			setsockopt(conns[current], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	else if (strcmp(word, "sleep") == 0)
		(void)poll(NULL, 0, n), answer_errno(0);
	else if (strcmp(word, "error") == 0)
		do_error();
	else
		obey_data(word, arg);
}

/* "later MS COMMAND": answers at once and does it after a while; its answer goes nowhere. */
static void serve(int fd)
{
	FILE *in = fdopen(fd, "r"), *back = fdopen(dup(fd), "w"),
	     *nowhere = fopen("/dev/null", "w");
	char line[256];

	while (in != NULL && back != NULL && nowhere != NULL && fgets(line, sizeof(line), in)) {
		char word[64] = "", arg[128] = "", arg2[64] = "", arg3[32] = "";
		int n = sscanf(line, "%63s %127s %63s %31s", word, arg, arg2, arg3);

		if (n < 1)
			continue;
		out = back;
		if (strcmp(word, "later") == 0) {
			answer_errno(0);
			(void)fflush(back);
			(void)poll(NULL, 0, atoi(arg));
			out = nowhere;
			obey(arg2, arg3, 0);
			continue;
		}
		obey(word, arg, atoi(arg2));
		(void)fflush(back);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc != 6 || strlen(argv[1]) >= sizeof(un.sun_path)) {
		(void)fprintf(stderr, "usage: conform_peer PATH ADDR ADDR6 FAR FAR6\n");
		return 2;
	}
	own[0] = argv[2];
	own[1] = argv[3];
	far[0] = argv[4];
	far[1] = argv[5];
	(void)signal(SIGCHLD, SIG_IGN);
	memcpy(un.sun_path, argv[1], strlen(argv[1]) + 1);
	(void)unlink(argv[1]);
	if (bind(s, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(s, 128) < 0) {
		perror(argv[1]);
		return 1;
	}
	for (;;) {
		int fd = accept(s, NULL, NULL);

		if (fd >= 0 && fork() == 0) {
			(void)close(s);
			serve(fd);
		}
		(void)close(fd);
	}
}
