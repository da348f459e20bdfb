/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conform.c - runs one case, or lists them; see conform.h.
 *
 * Use:     posix_conform --list
 *          posix_conform CASE PORT     CASE as listed: name, or name/active, name/passive; a suffix /v6 is possible
 *          Environment: CONFORM_PEER (the peer's unix socket), CONFORM_OURS, CONFORM_THEIRS (IPv4),
 *          CONFORM_OURS6, CONFORM_THEIRS6.
 */
#include "test/posix/conform.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/un.h>
#include <time.h>

#define CASES_MAX 1024

static struct {
	const char *name;
	tc_fn fn;
	int how;
} cases[CASES_MAX];
static int nr_cases;
static pthread_mutex_t say_lock = PTHREAD_MUTEX_INITIALIZER;

void tc_register(const char *name, tc_fn fn, int how)
{
	cases[nr_cases].name = name;
	cases[nr_cases].fn = fn;
	cases[nr_cases++].how = how;
}

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("cannot set the case up: ", stdout);
	(void)vfprintf(stdout, fmt, ap);
	va_end(ap);
	(void)fputs("\n", stdout);
	(void)fflush(stdout);
	_exit(3);
}

const char *t_errno(int err)
{
	const char *name = strerrorname_np(err);

	return name ? name : "E?";
}

void t_say(const char *fmt, ...)
{
	va_list ap;

	(void)pthread_mutex_lock(&say_lock);
	va_start(ap, fmt);
	(void)vfprintf(stdout, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stdout);
	(void)fflush(stdout); /* a case may be killed, or fork */
	(void)pthread_mutex_unlock(&say_lock);
}

void t_result(const char *call, long result, int err)
{
	if (result == -1)
		t_say("%s = -1 %s", call, t_errno(err));
	else
		t_say("%s = %ld", call, result);
}

void t_result_fd(const char *call, int result, int err)
{
	if (result < 0)
		t_say("%s = -1 %s", call, t_errno(err));
	else
		t_say("%s = a descriptor", call);
}

void t_bytes(const char *what, const void *data, size_t len)
{
	const unsigned char *p = data;
	unsigned sum = 0;
	bool is_text = len <= 64;

	for (size_t i = 0; i < len; i++) {
		sum = sum * 31 + p[i];
		is_text = is_text && p[i] >= 32 && p[i] < 127;
	}
	if (is_text)
		t_say("%s: \"%.*s\"", what, (int)len, (const char *)data);
	else
		t_say("%s: %zu bytes, sum %08x", what, len, sum);
}

void t_poll_bits(const char *what, unsigned events)
{
	static const struct {
		unsigned bit;
		const char *name;
	} bits[] = { { POLLIN, " IN" },         { POLLPRI, " PRI" },
		     { POLLOUT, " OUT" },       { POLLERR, " ERR" },
		     { POLLHUP, " HUP" },       { POLLNVAL, " NVAL" },
		     { POLLRDNORM, " RDNORM" }, { POLLRDBAND, " RDBAND" },
		     { POLLWRNORM, " WRNORM" }, { POLLWRBAND, " WRBAND" },
		     { 0x2000, " RDHUP" } };
	char text[128] = "";
	size_t n = 0;

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (events & bits[i].bit)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", bits[i].name);
	t_say("%s:%s", what, text[0] ? text : " none");
}

int64_t t_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void t_took(const char *what, int64_t since_ms, int64_t at_least_ms, int64_t at_most_ms)
{
	int64_t took = t_now_ms() - since_ms;

	t_say("%s took %s", what,
	      took < at_least_ms   ? "too little"
	      : took <= at_most_ms ? "its time"
				   : "too long");
}

void t_sleep_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

static void peer_line(struct tc *t, const char *line, char *answer, size_t size)
{
	size_t n = 0;

	if (write(t->control, line, strlen(line)) < 0)
		give_up("the peer is gone");
	while (n + 1 < size) {
		ssize_t r = read(t->control, answer + n, 1);

		if (r <= 0)
			give_up("the peer is gone after: %s", line);
		if (answer[n] == '\n')
			break;
		n++;
	}
	answer[n] = '\0';
}

/* One line for the peer, with its end. */
static void format_line(char *line, size_t room, const char *fmt, va_list ap)
{
	int n = vsnprintf(line, room - 1, fmt, ap);

	if (n < 0 || (size_t)n >= room - 1)
		give_up("too long a line for the peer: %s", fmt);
	line[n] = '\n';
	line[n + 1] = '\0';
}

void t_peer(struct tc *t, const char *fmt, ...)
{
	char line[256], answer[256];
	va_list ap;

	va_start(ap, fmt);
	format_line(line, sizeof(line), fmt, ap);
	va_end(ap);
	peer_line(t, line, answer, sizeof(answer));
	line[strcspn(line, "0123456789\n")] = '\0'; /* a port would differ */
	t_say("peer %s -> %s", line, answer);
}

void t_peer_ok(struct tc *t, const char *fmt, ...)
{
	char line[256], answer[256];
	va_list ap;

	va_start(ap, fmt);
	format_line(line, sizeof(line), fmt, ap);
	va_end(ap);
	peer_line(t, line, answer, sizeof(answer));
	if (strcmp(answer, "ok") != 0)
		give_up("peer, %.*s: %s", (int)strcspn(line, "\n"), line, answer);
}

void t_peer_refused_soon(struct tc *t, int k)
{
	char line[64], answer[256] = "";

	for (int i = 0; i < 20 && strcmp(answer, "ECONNREFUSED") != 0; i++) {
		t_sleep_ms(i == 0 ? 0 : 50);
		t_peer_ok(t, "use %d", k + i);
		(void)snprintf(line, sizeof(line), "connect %u\n", t->port);
		peer_line(t, line, answer, sizeof(answer));
	}
	t_say("peer connect -> %s", answer);
}

static socklen_t address(const char *env4, const char *env6, bool v6, uint16_t port,
			 struct sockaddr_storage *ret)
{
	const char *text = getenv(v6 ? env6 : env4);
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		if (text == NULL || inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
			give_up("%s is not set", env6);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	if (text == NULL || inet_pton(AF_INET, text, &in->sin_addr) != 1)
		give_up("%s is not set", env4);
	return sizeof(*in);
}

socklen_t t_our_addr(const struct tc *t, uint16_t port, struct sockaddr_storage *ret)
{
	return address("CONFORM_OURS", "CONFORM_OURS6", t->v6, port, ret);
}

socklen_t t_peer_addr(const struct tc *t, uint16_t port, struct sockaddr_storage *ret)
{
	return address("CONFORM_THEIRS", "CONFORM_THEIRS6", t->v6, port, ret);
}

static bool is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return memcmp(&a6->sin6_addr, &b6->sin6_addr, 16) == 0;
}

void t_sockaddr(const struct tc *t, const char *what, const struct sockaddr_storage *a,
		socklen_t len)
{
	struct sockaddr_storage ours, theirs, any;
	const struct sockaddr_in6 *in6 = (const void *)a;
	uint16_t port = ntohs(in6->sin6_port); /* at the same place in both */
	const char *who = "other";

	(void)t_our_addr(t, 0, &ours);
	(void)t_peer_addr(t, 0, &theirs);
	memset(&any, 0, sizeof(any));
	any.ss_family = a->ss_family;
	if (is_same(a, &ours))
		who = "ours";
	else if (is_same(a, &theirs))
		who = "theirs";
	else if (is_same(a, &any))
		who = "any";
	else if (a->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		who = "mapped";
	t_say("%s: family %d, length %u, %s, port %s", what, a->ss_family, len, who,
	      port == 0         ? "zero"
	      : port == t->port ? "own"
				: "other");
}

int t_socket(const struct tc *t)
{
	int one = 1, fd = socket(t->v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		give_up("socket: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		give_up("SO_REUSEADDR: %s", strerror(errno));
	return fd;
}

int t_listener(struct tc *t, int backlog)
{
	struct sockaddr_storage a;
	socklen_t len = t_our_addr(t, t->port, &a);
	int fd = t_socket(t);

	if (bind(fd, (struct sockaddr *)&a, len) < 0)
		give_up("bind: %s", strerror(errno));
	if (listen(fd, backlog) < 0)
		give_up("listen: %s", strerror(errno));
	return fd;
}

static int the_listener = -1;

static int one_connection(struct tc *t, int k)
{
	struct sockaddr_storage a;
	socklen_t len;
	int fd;

	if (!t->active) {
		if (the_listener < 0)
			the_listener = t_listener(t, 64);
		t_peer_ok(t, "use %d", k);
		t_peer_ok(t, "connect %u", t->port);
		fd = accept(the_listener, NULL, NULL);
		if (fd < 0)
			give_up("accept: %s", strerror(errno));
		return fd;
	}
	if (k == 0)
		t_peer_ok(t, "listen %u", t->port);
	len = t_peer_addr(t, t->port, &a);
	fd = socket(t->v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, len) < 0)
		give_up("connect: %s", strerror(errno));
	t_peer_ok(t, "use %d", k);
	t_peer_ok(t, "accept");
	return fd;
}

int t_connected(struct tc *t)
{
	return one_connection(t, 0);
}

int t_connected_more(struct tc *t, int k)
{
	return one_connection(t, k);
}

void t_nonblock(int fd)
{
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		give_up("O_NONBLOCK: %s", strerror(errno));
}

short t_wait(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

void t_poll(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n = poll(&p, 1, ms);

	t_say("poll = %d", n);
	t_poll_bits("revents", (unsigned short)p.revents);
}

static int list_cases(void)
{
	for (int i = 0; i < nr_cases; i++) {
		if (cases[i].how == TC_BOTH)
			printf("%s/passive\n%s/active\n", cases[i].name, cases[i].name);
		else
			printf("%s\n", cases[i].name);
	}
	return 0;
}

static int connect_control(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const char *path = getenv("CONFORM_PEER");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), high;

	if (path == NULL || strlen(path) >= sizeof(un.sun_path))
		give_up("CONFORM_PEER is not set");
	memcpy(un.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		give_up("%s: %s", path, strerror(errno));
	high = fcntl(fd, F_DUPFD_CLOEXEC, 200); /* out of the way of what cases number */
	(void)close(fd);
	return high;
}

int main(int argc, char **argv)
{
	struct tc t = { .port = 0 };
	char name[128];

	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list_cases();
	if (argc != 3) {
		(void)fprintf(stderr, "usage: posix_conform --list | CASE PORT\n");
		return 2;
	}
	(void)snprintf(name, sizeof(name), "%s", argv[1]);
	t.port = (uint16_t)atoi(argv[2]);
	t.v6 = strstr(name, "/v6") != NULL;
	t.active = strstr(name, "/active") != NULL;
	name[strcspn(name, "/")] = '\0';
	(void)signal(SIGPIPE, SIG_DFL);
	(void)alarm(20);
	for (int i = 0; i < nr_cases; i++) {
		if (strcmp(cases[i].name, name) != 0)
			continue;
		t.name = cases[i].name;
		t.control = connect_control();
		cases[i].fn(&t);
		t_say("end");
		return 0;
	}
	give_up("no case '%s'", name);
}
