/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo_client.c - sends messages to an echo server and waits for each to come back.
 *
 * Idea:    the plain blocking interface: connect, send, receive, and the time it takes.
 */
#include <errno.h>
#include <getopt.h>
#include <libmango.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "endpoint.h"

/* What the buffers on the way hold, so that both sides can send at the same time. */
#define BYTES_MAX 32768

struct args {
	const char *address;
	struct endpoint to;
	size_t bytes;
	uint32_t count;
};

static int fail(const char *what, int status)
{
	fprintf(stderr, "echo_client: %s: %s\n", what, mango_status_text(status));
	return 1;
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int exchange(mango_socket_h sock, const char *out, char *in, size_t bytes)
{
	size_t got = 0, n;
	int err = mango_socket_send(sock, out, bytes, NULL);

	while (err == 0 && got < bytes) {
		err = mango_socket_recv(sock, in + got, bytes - got, &n);
		if (err == 0 && n == 0)
			return -EPIPE;
		got += n;
	}
	if (err == 0 && memcmp(in, out, bytes) != 0)
		return -EBADMSG;
	return err;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int talk(mango_socket_h sock, const struct args *args)
{
	char *out = malloc(args->bytes), *in = malloc(args->bytes);
	double *us = calloc(args->count, sizeof(*us));
	int err = out == NULL || in == NULL || us == NULL ? -ENOMEM : 0;
	double start = now_us(), total;

	for (uint32_t i = 0; i < args->count && err == 0; i++) {
		double t = now_us();

		memset(out, (int)('a' + i % 26), args->bytes);
		err = exchange(sock, out, in, args->bytes);
		us[i] = now_us() - t;
	}
	total = now_us() - start;
	if (err == 0) {
		qsort(us, args->count, sizeof(*us), compare);
		printf("%u messages of %zu bytes: %.0f per s, p50 %.1f us, p99 %.1f us\n",
		       args->count, args->bytes, args->count / (total / 1e6), us[args->count / 2],
		       us[args->count - 1 - args->count / 100]);
	}
	free(out);
	free(in);
	free(us);
	return err < 0 ? fail("exchange", err) : 0;
}

static int run(const struct args *args)
{
	struct mango_socket_options options = { .size = sizeof(options), .nodelay = 1 };
	mango_socket_h sock = NULL;
	mango_ipc_h ipc = NULL;
	mango_tcp_h tcp = NULL;
	int code, err;

	err = mango_ipc_open(args->address, false, &ipc);
	if (err < 0)
		return fail("no daemon", err);
	err = mango_tcp_create(ipc, &tcp);
	if (err == 0)
		err = mango_socket_create(tcp, &sock);
	if (err == 0)
		err = mango_socket_open(sock, &options);
	if (err == 0)
		err = mango_socket_connect(sock, &args->to.any, endpoint_len(&args->to));
	code = err < 0 ? fail("connect", err) : talk(sock, args);
	(void)mango_socket_destroy(sock);
	(void)mango_tcp_destroy(tcp);
	(void)mango_ipc_close(ipc);
	return code;
}

static void usage(FILE *to)
{
	fputs("usage: echo_client [--address DAEMON] --to ADDR [--port PORT] [--bytes N] [--count N]\n"
	      "  --address  where mangod is (local:NAME, HOST:PORT, unix:PATH; default: MANGO_ADDRESS, local:mango)\n"
	      "  --to       the server's address\n"
	      "  --port     its port (7)\n"
	      "  --bytes    size of a message (64), at most 32768: it is sent whole before the answer is read\n"
	      "  --count    messages (1000)\n",
	      to);
}

static int parse(int argc, char **argv, struct args *args)
{
	static const struct option options[] = {
		{ "address", 1, NULL, 'a' }, { "to", 1, NULL, 't' },    { "port", 1, NULL, 'p' },
		{ "bytes", 1, NULL, 'b' },   { "count", 1, NULL, 'c' }, { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool has_to = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'a')
			args->address = optarg;
		else if (c == 't')
			has_to = endpoint_set(&args->to, optarg);
		else if (c == 'p')
			endpoint_set_port(&args->to, (uint16_t)atoi(optarg));
		else if (c == 'b')
			args->bytes = strtoul(optarg, NULL, 10);
		else if (c == 'c')
			args->count = (uint32_t)strtoul(optarg, NULL, 10);
		else
			return c == 'h' ? 1 : 2;
	}
	return has_to && optind == argc && args->bytes > 0 && args->bytes <= BYTES_MAX &&
			       args->count > 0
		       ? 0
		       : 2;
}

int main(int argc, char **argv)
{
	struct args args = { .to = endpoint_any(7), .bytes = 64, .count = 1000 };
	int code = parse(argc, argv, &args);

	if (code != 0) {
		usage(code == 1 ? stdout : stderr);
		return code == 1 ? 0 : 2;
	}
	return run(&args);
}
