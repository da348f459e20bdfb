/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - a bad network between two interfaces: frames go from one to the other and back, with delay, loss,
 *           reordering, duplication, corruption, a bottleneck, marks, and a smaller MTU (relay_link.h).
 *
 * Idea:    one thread, two packet sockets; frames in by recvmmsg(), out by sendmmsg() when they are due. To be
 *          able to carry a gigabit it does not wake for each frame: it sleeps `slop` between two looks
 *          while there is traffic, by which frames may be late.
 *          Anything that the interfaces carry passes; only IP packets are hurt. Offloads of the interfaces must be
 *          off (scripts/testbed does that).
 * Use:     relay --a IF --b IF [--seed N] [--control PATH] [--slop US] [DIRECTION:SETTING=VALUE]...
 *          DIRECTION is ab, ba or both; `relay --help` lists the settings. It prints "ready" when it relays,
 *          and its counters, in JSON, when SIGTERM ends it. On the control socket (unix, stream) a line is
 *          settings as above, answered by "ok" or "error ..."; or "stats", answered by the counters in JSON;
 *          or "reset", which zeroes them.
 * Threads: one.
 */
#include "test/lib/relay_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/bits.h"
#include "proto/base/time.h"

#define BATCH 32
#define FRAME_MAX (65536 + 14)
#define SOCKET_BYTES (64 << 20)
#define CLIENTS_MAX 8
#define LINE_MAX 1024
#define ROUNDS_MAX 16 /* batches from one side before the other has its turn */

struct client {
	int fd; /* -1: free */
	char line[LINE_MAX];
	size_t len;
};

static struct relay {
	int fd[2];
	struct relay_link link[2]; /* 0: a to b */
	uint8_t *rx;               /* [BATCH][FRAME_MAX] */
	int listener;              /* -1: none */
	const char *path;
	struct client client[CLIENTS_MAX];
	uint64_t slop_ns;
} relay = { .listener = -1, .slop_ns = 50 * MG_NS_PER_US };

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return (uint64_t)t.tv_sec * MG_NS_PER_S + (uint64_t)t.tv_nsec;
}

static int open_side(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct packet_mreq promisc = { .mr_type = PACKET_MR_PROMISC };
	int bytes = SOCKET_BYTES, on = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	at.sll_ifindex = (int)if_nametoindex(name);
	promisc.mr_ifindex = at.sll_ifindex;
	if (fd < 0 || at.sll_ifindex == 0)
		die(name);
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc)) < 0)
		die(name);
	return fd;
}

/* ---- Frames ---- */

/* One batch from a side; false: there was nothing. */
static bool receive(int side)
{
	struct relay_link *l = &relay.link[side];
	uint8_t answer[RELAY_ANSWER_MAX];
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	uint64_t now;
	int n;

	memset(msgs, 0, sizeof(msgs));
	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ relay.rx + (size_t)i * FRAME_MAX, FRAME_MAX };
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(relay.fd[side], msgs, BATCH, MSG_DONTWAIT, NULL);
	now = now_ns();
	for (int i = 0; i < n; i++) {
		uint32_t bytes = relay_link_offer(l, iov[i].iov_base, msgs[i].msg_len, now, answer);

		if (bytes != 0 && send(relay.fd[side], answer, bytes, MSG_DONTWAIT) < 0)
			l->stats.send_failed++;
	}
	return n > 0;
}

/* One batch of what is due; false: nothing is. */
static bool transmit(int side)
{
	struct relay_link *l = &relay.link[side];
	struct relay_frame *frames[BATCH];
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	uint64_t now = now_ns();
	unsigned n = 0;
	int sent = 0;

	memset(msgs, 0, sizeof(msgs));
	while (n < BATCH && (frames[n] = relay_link_take(l, now)) != NULL) {
		iov[n] = (struct iovec){ frames[n]->bytes, frames[n]->len };
		msgs[n].msg_hdr.msg_iov = &iov[n];
		msgs[n].msg_hdr.msg_iovlen = 1;
		n++;
	}
	if (n == 0)
		return false;
	for (unsigned done = 0; done < n; done += (unsigned)sent) {
		sent = sendmmsg(relay.fd[1 - side], msgs + done, n - done, MSG_DONTWAIT);
		if (sent <= 0) { /* as on any wire: lost */
			l->stats.send_failed++;
			sent = 1;
		}
	}
	for (unsigned i = 0; i < n; i++)
		free(frames[i]);
	return true;
}

/* ---- Control ---- */

static size_t print_stats(char *buf, size_t size)
{
	size_t n = 0;

	for (int i = 0; i < 2; i++) {
		const struct relay_stats *s = &relay.link[i].stats;
		struct tpacket_stats kernel = { 0 };
		socklen_t len = sizeof(kernel);

		(void)getsockopt(relay.fd[i], SOL_PACKET, PACKET_STATISTICS, &kernel, &len);
		n += (size_t)snprintf(buf + n, size - n, "%s\"%s\": {", i == 0 ? "{" : ", ",
				      i == 0 ? "ab" : "ba");
#define RELAY_X(name)                                                     \
	n += (size_t)snprintf(buf + n, size - n, "\"%s\": %llu, ", #name, \
			      (unsigned long long)s->name);
		RELAY_COUNTERS(RELAY_X)
#undef RELAY_X
		n += (size_t)snprintf(buf + n, size - n, "\"kernel_lost\": %u}", kernel.tp_drops);
	}
	n += (size_t)snprintf(buf + n, size - n, "}\n");
	return n;
}

/* "ab:delay_us=1000"; NULL, or what is wrong. */
static const char *set_one(const char *text)
{
	unsigned long long value;
	char dir[8], name[32], end;
	bool known = true;

	if (sscanf(text, "%7[^:]:%31[^=]=%llu%c", dir, name, &value, &end) != 3)
		return "not DIRECTION:SETTING=VALUE";
	if (strcmp(dir, "ab") != 0 && strcmp(dir, "ba") != 0 && strcmp(dir, "both") != 0)
		return "not ab, ba or both";
	if (strcmp(dir, "ba") != 0)
		known = relay_link_set(&relay.link[0], name, value);
	if (strcmp(dir, "ab") != 0)
		known = relay_link_set(&relay.link[1], name, value);
	return known ? NULL : "no such setting";
}

static void obey(struct client *c)
{
	static char reply[4096];
	const char *wrong = NULL;
	char *save = NULL;

	if (strcmp(c->line, "stats") == 0) {
		(void)send(c->fd, reply, print_stats(reply, sizeof(reply)), MSG_NOSIGNAL);
		return; /* a client that does not take its answer will ask again */
	}
	if (strcmp(c->line, "reset") == 0) {
		for (int i = 0; i < 2; i++)
			memset(&relay.link[i].stats, 0, sizeof(relay.link[i].stats));
	} else {
		for (char *w = strtok_r(c->line, " ", &save); w != NULL && wrong == NULL;
		     w = strtok_r(NULL, " ", &save))
			wrong = set_one(w);
	}
	(void)snprintf(reply, sizeof(reply), wrong == NULL ? "ok\n" : "error %s\n", wrong);
	(void)send(c->fd, reply, strlen(reply), MSG_NOSIGNAL);
}

static void hang_up(struct client *c)
{
	(void)close(c->fd);
	c->fd = -1;
	c->len = 0;
}

static void serve(struct client *c)
{
	ssize_t n = recv(c->fd, c->line + c->len, sizeof(c->line) - 1 - c->len, MSG_DONTWAIT);
	char *end;

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		hang_up(c);
		return;
	}
	c->len += n > 0 ? (size_t)n : 0;
	c->line[c->len] = '\0';
	while ((end = strchr(c->line, '\n')) != NULL) {
		size_t used = (size_t)(end - c->line) + 1;

		*end = '\0';
		obey(c);
		c->len -= used;
		memmove(c->line, c->line + used, c->len + 1);
	}
	if (c->len == sizeof(c->line) - 1)
		hang_up(c);
}

static void welcome(void)
{
	int fd = accept4(relay.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (int i = 0; i < CLIENTS_MAX && fd >= 0; i++) {
		if (relay.client[i].fd >= 0)
			continue;
		relay.client[i].fd = fd;
		return;
	}
	if (fd >= 0)
		(void)close(fd);
}

static void listen_at(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(at.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	memcpy(at.sun_path, path, strlen(path) + 1);
	(void)unlink(path); /* of one that was killed */
	relay.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (relay.listener < 0 || bind(relay.listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(relay.listener, CLIENTS_MAX) < 0)
		die(path);
	relay.path = path;
}

/* ---- The loop ---- */

static void wait_until(uint64_t at_ns)
{
	struct pollfd fds[3 + CLIENTS_MAX];
	struct timespec t, *timeout = NULL;
	uint64_t now = now_ns(), ns = at_ns > now ? at_ns - now : 0;
	nfds_t n = 3;

	fds[0] = (struct pollfd){ relay.fd[0], POLLIN, 0 };
	fds[1] = (struct pollfd){ relay.fd[1], POLLIN, 0 };
	fds[2] = (struct pollfd){ relay.listener, POLLIN, 0 };
	for (int i = 0; i < CLIENTS_MAX; i++)
		fds[n++] = (struct pollfd){ relay.client[i].fd, POLLIN, 0 };
	if (at_ns != MG_TIME_NEVER) {
		t = (struct timespec){ .tv_sec = (time_t)(ns / MG_NS_PER_S),
				       .tv_nsec = (long)(ns % MG_NS_PER_S) };
		timeout = &t;
	}
	if (ppoll(fds, n, timeout, NULL) <= 0)
		return;
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (fds[3 + i].fd >= 0 && fds[3 + i].revents != 0)
			serve(&relay.client[i]);
	if (fds[2].revents != 0)
		welcome();
}

static void run(void)
{
	struct timespec slop = { .tv_nsec = (long)relay.slop_ns };

	while (!stop) {
		bool busy = false;

		for (int side = 0; side < 2; side++) {
			for (int i = 0; i < ROUNDS_MAX && receive(side); i++)
				busy = true;
			while (transmit(side))
				busy = true;
		}
		if (busy && relay.slop_ns != 0) {
			(void)nanosleep(&slop, NULL); /* a signal ends it sooner */
			continue;
		}
		if (!busy)
			wait_until(mg_min_u64(relay_link_next_ns(&relay.link[0]),
					      relay_link_next_ns(&relay.link[1])));
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: relay --a IF --b IF [--seed N] [--control PATH] [--slop US] "
			"[ab|ba|both:SETTING=VALUE]...\nsettings:\n");
#define RELAY_X(name, help) fprintf(stderr, "  %-14s %s\n", #name, help);
	RELAY_SETTINGS(RELAY_X)
#undef RELAY_X
	return 2;
}

static bool parse(int argc, char **argv, const char *names[2])
{
	static const struct option options[] = {
		{ "a", 1, NULL, 'a' },       { "b", 1, NULL, 'b' },    { "seed", 1, NULL, 's' },
		{ "control", 1, NULL, 'c' }, { "slop", 1, NULL, 'l' }, { NULL, 0, NULL, 0 }
	};
	uint64_t seed = 1;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'a' || c == 'b')
			names[c - 'a'] = optarg;
		else if (c == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 'c')
			listen_at(optarg);
		else if (c == 'l')
			relay.slop_ns = mg_min_u64(strtoull(optarg, NULL, 10), 100000) *
					MG_NS_PER_US;
		else
			return false;
	}
	for (int i = 0; i < 2; i++)
		relay_link_init(&relay.link[i], seed * 2 + (uint64_t)i);
	for (; optind < argc; optind++) {
		const char *wrong = set_one(argv[optind]);

		if (wrong == NULL)
			continue;
		fprintf(stderr, "relay: %s: %s\n", argv[optind], wrong);
		return false;
	}
	return names[0] != NULL && names[1] != NULL;
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_signal };
	const char *names[2] = { NULL, NULL };
	static char stats[4096];

	for (int i = 0; i < CLIENTS_MAX; i++)
		relay.client[i].fd = -1;
	if (!parse(argc, argv, names))
		return usage();
	relay.rx = malloc((size_t)BATCH * FRAME_MAX);
	if (relay.rx == NULL)
		die("memory");
	for (int i = 0; i < 2; i++)
		relay.fd[i] = open_side(names[i]);
	(void)prctl(PR_SET_TIMERSLACK, 1UL); /* without it frames come a little later */
	(void)sigaction(SIGTERM, &act, NULL);
	(void)sigaction(SIGINT, &act, NULL);
	printf("ready\n");
	(void)fflush(stdout);
	run();
	(void)print_stats(stats, sizeof(stats));
	(void)fputs(stats, stdout);
	if (relay.path != NULL)
		(void)unlink(relay.path);
	for (int i = 0; i < 2; i++)
		relay_link_free(&relay.link[i]);
	free(relay.rx);
	return 0;
}
