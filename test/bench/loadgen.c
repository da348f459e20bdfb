/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loadgen.c - the client of the benchmarks: kernel sockets, one thread, closed loop.
 *
 * Idea:    the same client for every candidate server, so that only the server differs. Modes:
 *          echo     each connection has one request of --size bytes outstanding; latency of each is kept
 *          send     one or more connections send as fast as they can (server: sink)
 *          recv     one or more connections receive as fast as they can (server: source)
 *          connect  connect, one request and answer, close; --conns of them at a time
 *          --line TEXT --answer N make the request that line with CR LF, and its answer any N bytes
 * Output:  one line of JSON on standard output. SIGTERM ends the run early, with the output so far.
 * Errors:  a wrong answer, a reset or a time-out ends the run with exit code 1 and a line on standard error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libclient/examples/endpoint.h"

#define CONNS_MAX 10000
#define SIZE_MAX_BYTES 65536
#define BULK_BYTES 262144
#define STALL_MS 10000
/* Latency histogram: 64 steps per power of two, in units of 16 ns. */
#define HIST_STEPS 64
#define HIST_POWERS 32

enum mode { MODE_ECHO, MODE_SEND, MODE_RECV, MODE_CONNECT };

struct conn {
	int fd;
	uint32_t sent, received; /* of the request under way */
	uint64_t start_ns;
	uint32_t number;
};

struct load {
	enum mode mode;
	struct endpoint addr;
	uint32_t nr_conns, size;
	const char *line;     /* instead of numbered requests; its answer is not looked at */
	uint32_t answer_size; /* of each answer */
	uint64_t warm_ns, end_ns;
	int epoll;
	struct conn *conns;
	uint8_t *buf;
	bool counting;
	uint64_t requests, bytes;
	uint64_t hist[HIST_POWERS * HIST_STEPS];
	uint64_t max_ns;
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	stopped = number;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void note_latency(struct load *l, uint64_t ns)
{
	uint64_t v = ns / 16 + HIST_STEPS;
	uint32_t power = 63u - (uint32_t)__builtin_clzll(v) - 6;
	uint32_t step = (uint32_t)(v >> power) - HIST_STEPS;

	if (power >= HIST_POWERS)
		power = HIST_POWERS - 1;
	l->hist[power * HIST_STEPS + step]++;
	if (ns > l->max_ns)
		l->max_ns = ns;
}

static double percentile_us(const struct load *l, double p)
{
	uint64_t want = (uint64_t)((double)l->requests * p), seen = 0;

	for (uint32_t i = 0; i < HIST_POWERS * HIST_STEPS; i++) {
		seen += l->hist[i];
		if (seen > want)
			return (double)((((uint64_t)(i % HIST_STEPS) + HIST_STEPS)
					 << (i / HIST_STEPS)) -
					HIST_STEPS) *
			       16.0 / 1000.0;
	}
	return 0;
}

static int connect_now(const struct load *l)
{
	int one = 1, fd = socket(l->addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	if (connect(fd, &l->addr.any, endpoint_len(&l->addr)) < 0)
		die("connect");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		die("TCP_NODELAY");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		die("O_NONBLOCK");
	return fd;
}

static void watch(const struct load *l, struct conn *c, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	if (epoll_ctl(l->epoll, op, c->fd, &ev) < 0)
		die("epoll_ctl");
}

static void send_request(struct load *l, struct conn *c, uint64_t start_ns)
{
	ssize_t n;

	c->number++;
	if (l->line == NULL)
		memcpy(l->buf, &c->number, sizeof(c->number));
	c->received = 0;
	c->start_ns = start_ns;
	n = send(c->fd, l->buf, l->size, MSG_NOSIGNAL);
	if (n != (ssize_t)l->size)
		die("send of a request");
}

/* True when the answer is complete. */
static bool take_answer(struct load *l, struct conn *c)
{
	uint8_t answer[SIZE_MAX_BYTES];
	ssize_t n = recv(c->fd, answer, l->answer_size - c->received, 0);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
		die(n == 0 ? "the server closed" : "recv");
	if (l->line == NULL && c->received == 0 && n >= 4 && memcmp(answer, &c->number, 4) != 0) {
		errno = EBADMSG;
		die("the answer is not what was asked");
	}
	c->received += (uint32_t)n;
	return c->received == l->answer_size;
}

static void on_echo(struct load *l, struct conn *c)
{
	uint64_t now;

	if (!take_answer(l, c))
		return;
	now = now_ns();
	if (l->counting) {
		note_latency(l, now - c->start_ns);
		l->requests++;
	}
	send_request(l, c, now);
}

static void on_send(struct load *l, struct conn *c)
{
	ssize_t n = send(c->fd, l->buf, BULK_BYTES, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		die("send");
	if (n > 0 && l->counting)
		l->bytes += (uint64_t)n;
}

static void on_recv(struct load *l, struct conn *c)
{
	ssize_t n = recv(c->fd, l->buf, BULK_BYTES, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("recv");
	if (n > 0 && l->counting)
		l->bytes += (uint64_t)n;
}

static void start_connect(struct load *l, struct conn *c)
{
	c->start_ns = now_ns();
	c->sent = 0;
	c->fd = socket(l->addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		die("socket");
	if (connect(c->fd, &l->addr.any, endpoint_len(&l->addr)) < 0 && errno != EINPROGRESS)
		die("connect");
	watch(l, c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void on_connect(struct load *l, struct conn *c)
{
	uint64_t start_ns = c->start_ns;

	if (c->sent == 0) {
		send_request(l, c, start_ns);
		c->sent = l->size;
		watch(l, c, EPOLL_CTL_MOD, EPOLLIN);
		return;
	}
	if (!take_answer(l, c))
		return;
	if (close(c->fd) < 0)
		die("close");
	if (l->counting) {
		note_latency(l, now_ns() - start_ns);
		l->requests++;
	}
	start_connect(l, c);
}

static void start(struct load *l)
{
	/* Edges cost the client less; an answer that is not complete brings another edge. */
	static const uint32_t events[] = { EPOLLIN | EPOLLET, EPOLLOUT, EPOLLIN, 0 };

	for (uint32_t i = 0; i < l->nr_conns; i++) {
		struct conn *c = &l->conns[i];

		if (l->mode == MODE_CONNECT) {
			start_connect(l, c);
			continue;
		}
		c->fd = connect_now(l);
		watch(l, c, EPOLL_CTL_ADD, events[l->mode]);
	}
	for (uint32_t i = 0; i < l->nr_conns && l->mode == MODE_ECHO; i++)
		send_request(l, &l->conns[i], now_ns());
}

static void run(struct load *l)
{
	static void (*const handlers[])(struct load *, struct conn *) = { on_echo, on_send, on_recv,
									  on_connect };
	struct epoll_event evs[256];
	uint64_t now;

	for (now = now_ns(); now < l->end_ns && !stopped; now = now_ns()) {
		int n = epoll_wait(l->epoll, evs, 256, STALL_MS);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? ETIMEDOUT : errno;
			die("the server is silent");
		}
		l->counting = now >= l->warm_ns;
		for (int i = 0; i < n; i++)
			handlers[l->mode](l, evs[i].data.ptr);
	}
}

static void report(const struct load *l, double seconds)
{
	struct rusage ru;

	(void)getrusage(RUSAGE_SELF, &ru); /* cannot fail for oneself */
	printf("{\"requests\":%llu,\"per_s\":%.1f,\"bytes\":%llu,\"gbit_s\":%.4f,\"p50_us\":%.2f,\"p90_us\":%.2f,"
	       "\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f,\"client_cpu_s\":%.3f,\"seconds\":%.3f}\n",
	       (unsigned long long)l->requests, (double)l->requests / seconds,
	       (unsigned long long)l->bytes, (double)l->bytes * 8e-9 / seconds,
	       percentile_us(l, 0.50), percentile_us(l, 0.90), percentile_us(l, 0.99),
	       percentile_us(l, 0.999), (double)l->max_ns / 1000.0,
	       (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
		       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6,
	       seconds);
}

static int usage(int code)
{
	fprintf(code == 0 ? stdout : stderr,
		"usage: loadgen --mode echo|send|recv|connect --addr A --port P [--conns N] [--size B]\n"
		"               [--seconds S] [--warm S] [--line TEXT --answer BYTES]\n");
	return code;
}

static bool parse_mode(const char *name, enum mode *ret_mode)
{
	static const char *const names[] = { "echo", "send", "recv", "connect" };

	for (uint32_t i = 0; i < 4; i++) {
		if (strcmp(names[i], name) == 0) {
			*ret_mode = (enum mode)i;
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mode", 1, NULL, 'm' },  { "addr", 1, NULL, 'a' }, { "port", 1, NULL, 'p' },
		{ "conns", 1, NULL, 'c' }, { "size", 1, NULL, 's' }, { "seconds", 1, NULL, 't' },
		{ "warm", 1, NULL, 'w' },  { "line", 1, NULL, 'l' }, { "answer", 1, NULL, 'n' },
		{ "help", 0, NULL, 'h' },  { NULL, 0, NULL, 0 }
	};
	struct load l = { .nr_conns = 1, .size = 64, .addr = endpoint_any(0) };
	double seconds = 2, warm = 0.2;
	bool ok = true;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'm':
			ok &= parse_mode(optarg, &l.mode);
			break;
		case 'a':
			ok &= endpoint_set(&l.addr, optarg);
			break;
		case 'p':
			endpoint_set_port(&l.addr, (uint16_t)atoi(optarg));
			break;
		case 'c':
			l.nr_conns = (uint32_t)atoi(optarg);
			break;
		case 's':
			l.size = (uint32_t)atoi(optarg);
			break;
		case 't':
			seconds = atof(optarg);
			break;
		case 'w':
			warm = atof(optarg);
			break;
		case 'l':
			l.line = optarg;
			break;
		case 'n':
			l.answer_size = (uint32_t)atoi(optarg);
			break;
		case 'h':
			return usage(0);
		default:
			ok = false;
		}
	}
	if (l.line != NULL)
		l.size = (uint32_t)strlen(l.line) + 2;
	if (l.line == NULL)
		l.answer_size = l.size;
	if (!ok || l.answer_size == 0 || l.answer_size > SIZE_MAX_BYTES ||
	    l.addr.v4.sin_port == 0 || l.nr_conns == 0 || l.nr_conns > CONNS_MAX || l.size < 4 ||
	    l.size > SIZE_MAX_BYTES || seconds <= 0)
		return usage(2);
	l.conns = calloc(l.nr_conns, sizeof(*l.conns));
	l.buf = calloc(1, BULK_BYTES);
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l.conns == NULL || l.buf == NULL || l.epoll < 0)
		die("start");
	if (l.line != NULL) {
		memcpy(l.buf, l.line, l.size - 2);
		memcpy(l.buf + l.size - 2, "\r\n", 2);
	}
	(void)signal(SIGTERM, on_signal); /* cannot fail for SIGTERM */
	start(&l);
	l.warm_ns = now_ns() + (uint64_t)(warm * 1e9);
	l.end_ns = l.warm_ns + (uint64_t)(seconds * 1e9);
	run(&l);
	if (stopped)
		seconds = (double)(now_ns() - l.warm_ns) / 1e9;
	report(&l, seconds > 0 ? seconds : 1);
	free(l.conns);
	free(l.buf);
	return 0;
}
