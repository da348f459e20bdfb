/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.c - makes libmango calls as it is told, for tests that watch the other end.
 *
 * Idea:    one command a line on standard input, one line of answer on standard output: "ok [WORDS]" or
 *          "err ERRNO-NAME". Bytes are hexadecimal. Sockets have names.
 * Use:     mango_agent ADDRESS
 *            listen L PORT BACKLOG      accept L S            connect S ADDR PORT
 *            send S HEX                 sendn S COUNT         recv S COUNT (all of them, or "eof")
 *            recvn S COUNT (checks the pattern of sendn)      shutdown S rd|wr|rdwr
 *            close S                    abort S               setopt S NAME VALUE
 *            getopt S NAME              names S               sleep MS
 *            health                     config KEY            configure KEY VALUE
 *          Step by step: "socket S [nb]" makes one (nb: its calls do not block), then
 *            bind S ADDR PORT           listen S BACKLOG      connect S ADDR PORT
 *            fill S COUNT (until it would block; answers how many)
 *            poll S MS in|out (answers the events, or "none")
 *            sendurg S HEX              urgent S (answers how far ahead the mark is)
 *            info S (words of struct tcp_info)                forget (aborts every socket)
 *          test/wire links the same program against the kernel's sockets (test/wire/kernel_mango.c).
 * Threads: one; calls block.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include <libmango.h>

#define SOCKETS_MAX 1024
#define WORDS_MAX 4
#define LINE_MAX_BYTES (1 << 20)
#define BLOCK_BYTES 65536

struct named {
	char name[16];
	mango_socket_h sock;
};

struct agent {
	mango_ipc_h ipc;
	mango_tcp_h tcp;
	struct named sockets[SOCKETS_MAX];
	char line[LINE_MAX_BYTES];
	uint8_t bytes[LINE_MAX_BYTES / 2];
};

static int answer(mango_status_e status)
{
	const char *name = strerrorname_np(-(int)status);

	if (status == MANGO_STATUS_OK)
		printf("ok\n");
	else
		printf("err %s\n", name != NULL ? name : "?");
	return 0;
}

static struct named *find(struct agent *a, const char *name)
{
	for (uint32_t i = 0; i < SOCKETS_MAX; i++)
		if (a->sockets[i].sock != NULL && strcmp(a->sockets[i].name, name) == 0)
			return &a->sockets[i];
	return NULL;
}

static mango_socket_h sock_of(struct agent *a, const char *name)
{
	struct named *n = find(a, name);

	return n != NULL ? n->sock : NULL;
}

static void remember(struct agent *a, const char *name, mango_socket_h sock)
{
	struct named *n = find(a, name);

	for (uint32_t i = 0; n == NULL && i < SOCKETS_MAX; i++)
		if (a->sockets[i].sock == NULL)
			n = &a->sockets[i];
	if (n == NULL)
		return; /* the next use of the name says EBADF */
	(void)snprintf(n->name, sizeof(n->name), "%s", name);
	n->sock = sock;
}

static void forget(struct agent *a, const char *name)
{
	struct named *n = find(a, name);

	if (n == NULL)
		return;
	(void)mango_socket_destroy(n->sock);
	n->sock = NULL;
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t address_len(const union address *a)
{
	return a->any.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

static union address address(const char *addr, const char *port)
{
	union address a = { .v6 = { .sin6_family = AF_INET6 } };

	if (strchr(addr, ':') != NULL) {
		char host[INET6_ADDRSTRLEN] = "";
		const char *scope = strchr(addr, '%');

		(void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(addr, "%"), addr);
		a.v6.sin6_port = htons((uint16_t)atoi(port));
		a.v6.sin6_scope_id = scope != NULL ? (uint32_t)atoi(scope + 1) : 0;
		(void)inet_pton(AF_INET6, host, &a.v6.sin6_addr); /* wrong: :: */
		return a;
	}
	a = (union address){ .v4 = { .sin_family = AF_INET } };
	a.v4.sin_port = htons((uint16_t)atoi(port));
	(void)inet_pton(AF_INET, addr, &a.v4.sin_addr); /* wrong: 0.0.0.0 */
	return a;
}

static mango_status_e new_socket(struct agent *a, mango_socket_h *ret_sock)
{
	mango_status_e st = mango_socket_create(a->tcp, ret_sock);

	return st == MANGO_STATUS_OK ? mango_socket_open(*ret_sock, NULL) : st;
}

static int do_socket(struct agent *a, char **w)
{
	struct mango_socket_options options = { .size = sizeof(options) };
	mango_socket_h sock;
	mango_status_e st = mango_socket_create(a->tcp, &sock);

	options.nonblocking = w[2] != NULL && strcmp(w[2], "nb") == 0;
	if (st == MANGO_STATUS_OK)
		st = mango_socket_open(sock, &options);
	if (st == MANGO_STATUS_OK)
		remember(a, w[1], sock);
	return answer(st);
}

static int do_bind(struct agent *a, char **w)
{
	union address to = address(w[2], w[3]);

	return answer(mango_socket_bind(sock_of(a, w[1]), &to.any, address_len(&to)));
}

static int do_listen_on(struct agent *a, char **w)
{
	return answer(mango_socket_listen(sock_of(a, w[1]), atoi(w[2])));
}

static int do_listen(struct agent *a, char **w)
{
	union address at = address("0.0.0.0", w[2]);
	mango_socket_h sock;
	mango_status_e st = new_socket(a, &sock);

	if (st == MANGO_STATUS_OK)
		st = mango_socket_bind(sock, &at.any, address_len(&at));
	if (st == MANGO_STATUS_OK)
		st = mango_socket_listen(sock, atoi(w[3]));
	if (st == MANGO_STATUS_OK)
		remember(a, w[1], sock);
	return answer(st);
}

static int do_accept(struct agent *a, char **w)
{
	mango_socket_h sock;
	mango_status_e st = mango_socket_accept(sock_of(a, w[1]), NULL, NULL, &sock);

	if (st == MANGO_STATUS_OK)
		remember(a, w[2], sock);
	return answer(st);
}

static int do_connect(struct agent *a, char **w)
{
	union address to = address(w[2], w[3]);
	mango_socket_h sock = sock_of(a, w[1]);
	mango_status_e st = MANGO_STATUS_OK;

	if (sock != NULL)
		return answer(mango_socket_connect(sock, &to.any, address_len(&to)));
	st = new_socket(a, &sock);
	if (st == MANGO_STATUS_OK)
		st = mango_socket_connect(sock, &to.any, address_len(&to));
	if (st == MANGO_STATUS_OK)
		remember(a, w[1], sock);
	return answer(st);
}

static mango_status_e send_all(mango_socket_h sock, const uint8_t *buf, size_t len)
{
	mango_status_e st = MANGO_STATUS_OK;
	size_t n;

	for (; st == MANGO_STATUS_OK && len > 0; buf += n, len -= n)
		st = mango_socket_send(sock, buf, len, &n);
	return st;
}

/* Hexadecimal text to a->bytes; what is no number counts as 0. */
static size_t hex_in(struct agent *a, const char *hex)
{
	size_t len = strlen(hex) / 2;
	unsigned byte;

	for (size_t i = 0; i < len; i++)
		a->bytes[i] = sscanf(hex + 2 * i, "%2x", &byte) == 1 ? (uint8_t)byte : 0;
	return len;
}

static int do_send(struct agent *a, char **w)
{
	size_t len = hex_in(a, w[2]);

	return answer(send_all(sock_of(a, w[1]), a->bytes, len));
}

static int do_sendurg(struct agent *a, char **w)
{
	size_t len = hex_in(a, w[2]);

	return answer(mango_socket_send_urgent(sock_of(a, w[1]), a->bytes, len, NULL));
}

static int do_urgent(struct agent *a, char **w)
{
	int64_t ahead;
	mango_status_e st = mango_socket_urgent(sock_of(a, w[1]), &ahead);

	if (st != MANGO_STATUS_OK)
		return answer(st);
	printf("ok %lld\n", (long long)ahead);
	return 0;
}

static uint8_t pattern(uint64_t pos)
{
	return (uint8_t)((pos * 0x9e3779b97f4a7c15ull) >> 56);
}

static int do_sendn(struct agent *a, char **w)
{
	uint64_t left = strtoull(w[2], NULL, 10), pos = 0;
	mango_status_e st = MANGO_STATUS_OK;

	while (st == MANGO_STATUS_OK && left > 0) {
		size_t n = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;

		for (size_t i = 0; i < n; i++)
			a->bytes[i] = pattern(pos + i);
		st = send_all(sock_of(a, w[1]), a->bytes, n);
		pos += n;
		left -= n;
	}
	return answer(st);
}

static int do_fill(struct agent *a, char **w)
{
	size_t want = strtoull(w[2], NULL, 10), done = 0, n = 1;
	mango_status_e st = MANGO_STATUS_OK;

	while (st == MANGO_STATUS_OK && n > 0 && done < want) {
		size_t len = want - done < BLOCK_BYTES ? want - done : BLOCK_BYTES;

		for (size_t i = 0; i < len; i++)
			a->bytes[i] = pattern(done + i);
		n = 0;
		st = mango_socket_send(sock_of(a, w[1]), a->bytes, len, &n);
		done += n;
	}
	if (st != MANGO_STATUS_OK && st != MANGO_STATUS_AGAIN)
		return answer(st);
	printf("ok %zu\n", done);
	return 0;
}

static int do_recv(struct agent *a, char **w)
{
	size_t want = strtoull(w[2], NULL, 10), got = 0, n = 1;
	mango_status_e st = MANGO_STATUS_OK;

	while (st == MANGO_STATUS_OK && n > 0 && got < want && got < BLOCK_BYTES) {
		st = mango_socket_recv(sock_of(a, w[1]), a->bytes + got, want - got, &n);
		got += st == MANGO_STATUS_OK ? n : 0;
	}
	if (st != MANGO_STATUS_OK)
		return answer(st);
	printf("ok ");
	for (size_t i = 0; i < got; i++)
		printf("%02x", a->bytes[i]);
	printf(got == 0 ? "eof\n" : "\n");
	return 0;
}

static int do_recvn(struct agent *a, char **w)
{
	uint64_t left = strtoull(w[2], NULL, 10), pos = 0;
	mango_status_e st = MANGO_STATUS_OK;
	size_t n;

	while (left > 0) {
		st = mango_socket_recv(sock_of(a, w[1]), a->bytes,
				       left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES, &n);
		if (st != MANGO_STATUS_OK)
			return answer(st);
		if (n == 0)
			break;
		for (size_t i = 0; i < n; i++)
			if (a->bytes[i] != pattern(pos + i))
				return answer((mango_status_e)-EBADMSG);
		pos += n;
		left -= n;
	}
	printf("ok %llu\n", (unsigned long long)pos);
	return 0;
}

static int do_shutdown(struct agent *a, char **w)
{
	int how = strcmp(w[2], "rd") == 0 ? SHUT_RD : strcmp(w[2], "wr") == 0 ? SHUT_WR : SHUT_RDWR;

	return answer(mango_socket_shutdown(sock_of(a, w[1]), how));
}

static int do_close(struct agent *a, char **w)
{
	mango_status_e st = mango_socket_close(sock_of(a, w[1]));

	forget(a, w[1]);
	return answer(st);
}

static int do_abort(struct agent *a, char **w)
{
	mango_status_e st = mango_socket_abort(sock_of(a, w[1]));

	forget(a, w[1]);
	return answer(st);
}

static const struct option_name {
	const char *name;
	int level, option;
} option_names[] = {
	{ "nodelay", IPPROTO_TCP, TCP_NODELAY },
	{ "cork", IPPROTO_TCP, TCP_CORK },
	{ "user_timeout_ms", IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ "keepidle_s", IPPROTO_TCP, TCP_KEEPIDLE },
	{ "keepintvl_s", IPPROTO_TCP, TCP_KEEPINTVL },
	{ "keepcnt", IPPROTO_TCP, TCP_KEEPCNT },
	{ "maxseg", IPPROTO_TCP, TCP_MAXSEG },
	{ "quickack", IPPROTO_TCP, TCP_QUICKACK },
	{ "defer_accept", IPPROTO_TCP, TCP_DEFER_ACCEPT },
	{ "fastopen", IPPROTO_TCP, TCP_FASTOPEN },
	{ "fastopen_connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT },
	{ "reuseaddr", SOL_SOCKET, SO_REUSEADDR },
	{ "reuseport", SOL_SOCKET, SO_REUSEPORT },
	{ "oobinline", SOL_SOCKET, SO_OOBINLINE },
	{ "v6only", IPPROTO_IPV6, IPV6_V6ONLY },
	{ "hops", IPPROTO_IPV6, IPV6_UNICAST_HOPS },
	{ "tclass", IPPROTO_IPV6, IPV6_TCLASS },
	{ "recverr", IPPROTO_IP, IP_RECVERR },
	{ "keepalive", SOL_SOCKET, SO_KEEPALIVE },
	{ "error", SOL_SOCKET, SO_ERROR },
	{ "rcvbuf", SOL_SOCKET, SO_RCVBUF },
	{ "sndbuf", SOL_SOCKET, SO_SNDBUF },
	{ "ttl", IPPROTO_IP, IP_TTL },
	{ "tos", IPPROTO_IP, IP_TOS },
	{ "v6only", IPPROTO_IPV6, IPV6_V6ONLY },
	{ "tclass", IPPROTO_IPV6, IPV6_TCLASS },
	{ "hops", IPPROTO_IPV6, IPV6_UNICAST_HOPS },
};

static const struct option_name *find_option(const char *name)
{
	for (uint32_t i = 0; i < sizeof(option_names) / sizeof(option_names[0]); i++)
		if (strcmp(option_names[i].name, name) == 0)
			return &option_names[i];
	return NULL;
}

static mango_status_e set_time(mango_socket_h sock, int option, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	return mango_socket_set_option(sock, SOL_SOCKET, option, &tv, sizeof(tv));
}

static mango_status_e set_linger(mango_socket_h sock, int seconds)
{
	struct linger l = { .l_onoff = 1, .l_linger = seconds };

	return mango_socket_set_option(sock, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static int do_setopt(struct agent *a, char **w)
{
	const struct option_name *o = find_option(w[2]);
	int value = atoi(w[3]);

	if (strcmp(w[2], "rcvtimeo_ms") == 0)
		return answer(set_time(sock_of(a, w[1]), SO_RCVTIMEO, value));
	if (strcmp(w[2], "sndtimeo_ms") == 0)
		return answer(set_time(sock_of(a, w[1]), SO_SNDTIMEO, value));
	if (strcmp(w[2], "linger_s") == 0)
		return answer(set_linger(sock_of(a, w[1]), value));
	if (strcmp(w[2], "congestion") == 0)
		return answer(mango_socket_set_option(sock_of(a, w[1]), IPPROTO_TCP, TCP_CONGESTION,
						      w[3], (socklen_t)strlen(w[3])));
	if (o == NULL)
		return answer((mango_status_e)-ENOPROTOOPT);
	return answer(mango_socket_set_option(sock_of(a, w[1]), o->level, o->option, &value,
					      sizeof(value)));
}

static int get_congestion(mango_socket_h sock)
{
	char name[32] = "";
	socklen_t len = sizeof(name) - 1;
	mango_status_e st = mango_socket_get_option(sock, IPPROTO_TCP, TCP_CONGESTION, name, &len);

	if (st != MANGO_STATUS_OK)
		return answer(st);
	printf("ok %s\n", name);
	return 0;
}

static int do_getopt(struct agent *a, char **w)
{
	const struct option_name *o = find_option(w[2]);
	int value = 0;
	socklen_t len = sizeof(value);
	mango_status_e st;

	if (strcmp(w[2], "congestion") == 0)
		return get_congestion(sock_of(a, w[1]));

	if (o == NULL)
		return answer((mango_status_e)-ENOPROTOOPT);
	st = mango_socket_get_option(sock_of(a, w[1]), o->level, o->option, &value, &len);
	if (st != MANGO_STATUS_OK)
		return answer(st);
	printf("ok %d\n", value);
	return 0;
}

/* "ADDRESS PORT" */
static const char *address_text(const union address *a, char *buf, size_t len)
{
	char text[INET6_ADDRSTRLEN + 16] = "?";
	bool is_v6 = a->any.sa_family == AF_INET6;
	const void *bytes = is_v6 ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr;

	(void)inet_ntop(a->any.sa_family, bytes, text, sizeof(text)); /* "?" */
	if (is_v6 && a->v6.sin6_scope_id != 0)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%%%u",
			       a->v6.sin6_scope_id); /* there is room: such addresses are short */
	(void)snprintf(buf, len, "%s %u", text, ntohs(is_v6 ? a->v6.sin6_port : a->v4.sin_port));
	return buf;
}

static int do_names(struct agent *a, char **w)
{
	union address local, remote;
	socklen_t llen = sizeof(local), rlen = sizeof(remote);
	char ltext[64], rtext[64];
	mango_status_e st = mango_socket_getsockname(sock_of(a, w[1]), &local.any, &llen);

	if (st == MANGO_STATUS_OK)
		st = mango_socket_getpeername(sock_of(a, w[1]), &remote.any, &rlen);
	if (st != MANGO_STATUS_OK)
		return answer(st);
	printf("ok %s %s\n", address_text(&local, ltext, sizeof(ltext)),
	       address_text(&remote, rtext, sizeof(rtext)));
	return 0;
}

static int do_poll(struct agent *a, char **w)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} bits[] = {
		{ MANGO_EVENT_IN, " in" },   { 0x002, " pri" },
		{ MANGO_EVENT_OUT, " out" }, { MANGO_EVENT_ERR, " err" },
		{ MANGO_EVENT_HUP, " hup" }, { MANGO_EVENT_RDHUP, " rdhup" },
	};
	mango_socket_h sock = sock_of(a, w[1]);
	uint32_t wanted = strcmp(w[3], "out") == 0   ? MANGO_EVENT_OUT
			  : strcmp(w[3], "pri") == 0 ? 0x002
						     : MANGO_EVENT_IN | MANGO_EVENT_RDHUP;
	struct mango_event ev;
	mango_status_e st = mango_socket_watch(sock, wanted);
	int n = 0;

	if (st == MANGO_STATUS_OK)
		st = mango_tcp_poll(a->tcp, &ev, 1, atoi(w[2]), &n);
	if (sock != NULL)
		(void)mango_socket_watch(sock, 0);
	if (st != MANGO_STATUS_OK)
		return answer(st);
	printf("ok%s", n == 0 ? " none" : "");
	for (uint32_t i = 0; n > 0 && i < sizeof(bits) / sizeof(bits[0]); i++)
		if ((ev.events & bits[i].bit) != 0)
			printf("%s", bits[i].name);
	printf("\n");
	return 0;
}

static int do_info(struct agent *a, char **w)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	mango_status_e st;

	memset(&info, 0, sizeof(info));
	st = mango_socket_get_option(sock_of(a, w[1]), IPPROTO_TCP, TCP_INFO, &info, &len);
	if (st != MANGO_STATUS_OK)
		return answer(st);
	printf("ok state=%u cwnd=%u ssthresh=%u rtt_us=%u rto_us=%u mss=%u retrans=%u unacked=%u "
	       "options=%u\n",
	       info.tcpi_state, info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh, info.tcpi_rtt,
	       info.tcpi_rto, info.tcpi_snd_mss, info.tcpi_total_retrans, info.tcpi_unacked,
	       info.tcpi_options);
	return 0;
}

static int do_forget(struct agent *a, char **w)
{
	(void)w;
	for (uint32_t i = 0; i < SOCKETS_MAX; i++) {
		if (a->sockets[i].sock == NULL)
			continue;
		(void)mango_socket_abort(a->sockets[i].sock); /* a listener has nothing to abort */
		(void)mango_socket_destroy(a->sockets[i].sock);
		a->sockets[i].sock = NULL;
	}
	return answer(MANGO_STATUS_OK);
}

static int do_health(struct agent *a, char **w)
{
	struct mango_health health;
	mango_status_e st = mango_ipc_health_check(a->ipc, &health);

	(void)w;
	if (st != MANGO_STATUS_OK)
		return answer(st);
	printf("ok %s %s\n", health.instance,
	       health.serving == MANGO_SERVING ? "serving" : "not-serving");
	return 0;
}

static int do_config(struct agent *a, char **w)
{
	char value[512];
	mango_status_e st = mango_ipc_get_config(a->ipc, w[1], value, sizeof(value), NULL);

	if (st != MANGO_STATUS_OK)
		return answer(st);
	printf("ok %s\n", value);
	return 0;
}

static int do_configure(struct agent *a, char **w)
{
	return answer(mango_ipc_set_config(a->ipc, w[1], w[2]));
}

static int do_sleep(struct agent *a, char **w)
{
	long ms = atol(w[1]);
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)a;
	(void)nanosleep(&ts, NULL); /* shorter is fine */
	return answer(MANGO_STATUS_OK);
}

static const struct {
	const char *name;
	int nr_words;
	int (*run)(struct agent *a, char **words);
} commands[] = {
	{ "socket", 2, do_socket },       { "socket", 3, do_socket },
	{ "bind", 4, do_bind },           { "listen", 3, do_listen_on },
	{ "fill", 3, do_fill },           { "poll", 4, do_poll },
	{ "sendurg", 3, do_sendurg },     { "urgent", 2, do_urgent },
	{ "info", 2, do_info },           { "forget", 1, do_forget },
	{ "listen", 4, do_listen },       { "accept", 3, do_accept },
	{ "connect", 4, do_connect },     { "send", 3, do_send },
	{ "sendn", 3, do_sendn },         { "recv", 3, do_recv },
	{ "recvn", 3, do_recvn },         { "close", 2, do_close },
	{ "shutdown", 3, do_shutdown },   { "abort", 2, do_abort },
	{ "setopt", 4, do_setopt },       { "getopt", 3, do_getopt },
	{ "names", 2, do_names },         { "sleep", 2, do_sleep },
	{ "health", 1, do_health },       { "config", 2, do_config },
	{ "configure", 3, do_configure },
};

static void obey(struct agent *a)
{
	char *words[WORDS_MAX + 1] = { NULL };
	int n = 0;

	for (char *w = strtok(a->line, " \n"); w != NULL && n < WORDS_MAX; w = strtok(NULL, " \n"))
		words[n++] = w;
	for (uint32_t i = 0; n > 0 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, words[0]) == 0 && commands[i].nr_words == n) {
			(void)commands[i].run(a, words);
			return;
		}
	}
	printf("err EINVAL\n");
}

static mango_status_e open_agent(struct agent *a, const char *address)
{
	mango_status_e st = mango_ipc_open(address, false, &a->ipc);

	if (st == MANGO_STATUS_OK)
		st = mango_tcp_create(&a->tcp);
	if (st == MANGO_STATUS_OK)
		st = mango_tcp_set_ipc(a->tcp, a->ipc);
	return st;
}

static void close_agent(struct agent *a)
{
	for (uint32_t i = 0; i < SOCKETS_MAX; i++)
		if (a->sockets[i].sock != NULL)
			(void)mango_socket_destroy(a->sockets[i].sock);
	(void)mango_tcp_destroy(a->tcp);
	(void)mango_ipc_close(a->ipc);
}

int main(int argc, char **argv)
{
	static struct agent a; /* large */
	mango_status_e st;

	if (argc != 2)
		return 2;
	st = open_agent(&a, argv[1]);
	if (st != MANGO_STATUS_OK)
		fprintf(stderr, "mango_agent: %s: %s\n", argv[1], strerror(-(int)st));
	while (st == MANGO_STATUS_OK && fgets(a.line, sizeof(a.line), stdin) != NULL) {
		obey(&a);
		(void)fflush(stdout);
	}
	close_agent(&a);
	return st == MANGO_STATUS_OK ? 0 : 1;
}
