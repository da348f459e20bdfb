/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_transfer.c - sends or receives a file over one connection, with a checksum.
 *
 * Idea:    the file's bytes and nothing else, then the end of the stream; the receiver answers with the SHA-256
 *          of what came, in hex, which the sender compares with its own (a receiver that closes without an
 *          answer is told of, and no error). Blocking calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libmango.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "endpoint.h"
#include "sha256.h"

#define BUF_BYTES (256 * 1024)

struct args {
	const char *address;
	const char *send;
	const char *receive;
	struct endpoint addr;
};

struct handles {
	mango_ipc_h ipc;
	mango_tcp_h tcp;
	mango_socket_h listener;
	mango_socket_h sock;
};

static char buf[BUF_BYTES];

static int fail(const char *what, int status)
{
	fprintf(stderr, "file_transfer: %s: %s\n", what, mango_status_text(status));
	return 1;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void report(const char *verb, uint64_t bytes, double seconds, const char *hex)
{
	printf("%s %llu bytes in %.2f s (%.0f MiB/s), sha256 %s\n", verb, (unsigned long long)bytes,
	       seconds, (double)bytes / (1 << 20) / (seconds > 0 ? seconds : 1e-9), hex);
	(void)fflush(stdout);
}

/* The receiver's word about what it got; 0, 1 (it got something else), or -errno. */
static int check_answer(mango_socket_h sock, const char *hex)
{
	char answer[SHA256_HEX + 1] = "";
	size_t got = 0, n = 1;
	int err = 0;

	while (err == 0 && n > 0 && got < SHA256_HEX) {
		err = mango_socket_recv(sock, answer + got, SHA256_HEX - got, &n);
		got += err == 0 ? n : 0;
	}
	if (err < 0 && got == 0)
		return err;
	if (got == 0) {
		printf("no checksum was answered\n");
		return 0;
	}
	if (strncmp(answer, hex, SHA256_HEX - 1) != 0) {
		fprintf(stderr, "file_transfer: the receiver got something else: %s\n", answer);
		return 1;
	}
	printf("the receiver got the same\n");
	return 0;
}

static int send_file(struct handles *h, int fd)
{
	double start = now_s();
	char hex[SHA256_HEX];
	struct sha256 sum;
	uint64_t bytes = 0;
	ssize_t n;
	int err;

	sha256_init(&sum);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		err = mango_socket_send(h->sock, buf, (size_t)n, NULL);
		if (err < 0)
			return fail("send", err);
		sha256_add(&sum, buf, (size_t)n);
		bytes += (uint64_t)n;
	}
	if (n < 0)
		return fail("read", -errno);
	err = mango_socket_shutdown(h->sock, SHUT_WR);
	if (err < 0)
		return fail("shutdown", err);
	sha256_end(&sum, hex);
	err = check_answer(h->sock, hex);
	report("sent", bytes, now_s() - start, hex);
	return err < 0 ? fail("answer", err) : err;
}

static int write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int receive_file(struct handles *h, int fd)
{
	double start = now_s();
	char hex[SHA256_HEX];
	struct sha256 sum;
	uint64_t bytes = 0;
	size_t n = 0;
	int err;

	sha256_init(&sum);
	do {
		err = mango_socket_recv(h->sock, buf, sizeof(buf), &n);
		if (err < 0)
			return fail("receive", err);
		err = write_all(fd, buf, n);
		if (err < 0)
			return fail("write", err);
		sha256_add(&sum, buf, n);
		bytes += n;
	} while (n > 0);
	sha256_end(&sum, hex);
	err = mango_socket_send(h->sock, hex, SHA256_HEX - 1, NULL);
	report("received", bytes, now_s() - start, hex);
	return err < 0 ? fail("answer", err) : 0;
}

static int connect_to(struct handles *h, const struct args *args)
{
	int err = mango_socket_create(h->tcp, &h->sock);

	if (err == 0)
		err = mango_socket_connect(h->sock, &args->addr.any, endpoint_len(&args->addr));
	return err < 0 ? fail("connect", err) : 0;
}

static int accept_one(struct handles *h, const struct args *args)
{
	int err = mango_socket_create(h->tcp, &h->listener);

	if (err == 0)
		err = mango_socket_bind(h->listener, &args->addr.any, endpoint_len(&args->addr));
	if (err == 0)
		err = mango_socket_listen(h->listener, 1);
	if (err == 0) {
		printf("ready\n");
		(void)fflush(stdout);
		err = mango_socket_accept(h->listener, NULL, NULL, &h->sock);
	}
	return err < 0 ? fail("listen", err) : 0;
}

static int transfer(struct handles *h, const struct args *args)
{
	int fd, code;

	code = args->send != NULL ? connect_to(h, args) : accept_one(h, args);
	if (code != 0)
		return code;
	fd = args->send != NULL
		     ? open(args->send, O_RDONLY | O_CLOEXEC)
		     : open(args->receive, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return fail(args->send != NULL ? args->send : args->receive, -errno);
	code = args->send != NULL ? send_file(h, fd) : receive_file(h, fd);
	if (close(fd) < 0 && code == 0)
		code = fail("close", -errno);
	return code;
}

static int run(const struct args *args)
{
	struct handles h = { 0 };
	int code, err;

	err = mango_ipc_open(args->address, false, &h.ipc);
	if (err < 0)
		return fail("no daemon", err);
	err = mango_tcp_create(h.ipc, &h.tcp);
	code = err < 0 ? fail("attach", err) : transfer(&h, args);
	(void)mango_socket_destroy(h.sock);
	(void)mango_socket_destroy(h.listener);
	(void)mango_tcp_destroy(h.tcp);
	(void)mango_ipc_close(h.ipc);
	return code;
}

static void usage(FILE *to)
{
	fputs("usage: file_transfer [--address DAEMON] --send FILE --to ADDR [--port PORT]\n"
	      "       file_transfer [--address DAEMON] --receive FILE [--port PORT]\n"
	      "  --address  where mangod is (local:NAME, HOST:PORT, unix:PATH; default: MANGO_ADDRESS, local:mango)\n"
	      "  --send     connect to --to and send this file\n"
	      "  --receive  listen, and write what comes into this file\n"
	      "  --port     port (9001)\n",
	      to);
}

static int parse(int argc, char **argv, struct args *args)
{
	static const struct option options[] = {
		{ "address", 1, NULL, 'a' }, { "send", 1, NULL, 's' }, { "receive", 1, NULL, 'r' },
		{ "to", 1, NULL, 't' },      { "port", 1, NULL, 'p' }, { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool has_to = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'a')
			args->address = optarg;
		else if (c == 's')
			args->send = optarg;
		else if (c == 'r')
			args->receive = optarg;
		else if (c == 't')
			has_to = endpoint_set(&args->addr, optarg);
		else if (c == 'p')
			endpoint_set_port(&args->addr, (uint16_t)atoi(optarg));
		else
			return c == 'h' ? 1 : 2;
	}
	if (optind != argc || (args->send != NULL) == (args->receive != NULL))
		return 2;
	return args->send != NULL && !has_to ? 2 : 0;
}

int main(int argc, char **argv)
{
	struct args args = { .addr = endpoint_any(9001) };
	int code = parse(argc, argv, &args);

	if (code != 0) {
		usage(code == 1 ? stdout : stderr);
		return code == 1 ? 0 : 2;
	}
	return run(&args);
}
