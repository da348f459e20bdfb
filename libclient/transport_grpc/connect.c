/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect.c - see connect.h.
 */
#include "libclient/transport_grpc/connect.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HOST_MAX 256

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* 0 or -errno of the connection attempt. */
static int await(int fd, uint32_t timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int64_t end = now_ms() + timeout_ms;
	socklen_t len = sizeof(int);
	int err = 0;

	for (;;) {
		int64_t left = end - now_ms();
		int n = poll(&pfd, 1, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);

		if (n > 0)
			break;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return -errno;
	return -err;
}

static int connect_to(const struct sockaddr *sa, socklen_t len, uint32_t timeout_ms)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, sa, len) < 0)
		err = errno == EINPROGRESS ? await(fd, timeout_ms) : -errno;
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

static int connect_unix(const char *path, uint32_t timeout_ms)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (path[0] != '/' || strlen(path) >= sizeof(sa.sun_path))
		return -EINVAL;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = connect_to((const struct sockaddr *)&sa, sizeof(sa), timeout_ms);
	return fd == -ENOENT || fd == -ENOTDIR ? -ECONNREFUSED : fd;
}

/* Splits HOST:PORT in place. */
static bool split(char *text, char **ret_host, char **ret_port)
{
	char *colon = strrchr(text, ':');

	if (colon == NULL || colon == text || colon[1] == '\0')
		return false;
	*colon = '\0';
	*ret_host = text;
	*ret_port = colon + 1;
	if (text[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		*ret_host = text + 1;
	}
	return true;
}

static int connect_tcp(const char *address, uint32_t timeout_ms)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list;
	char text[HOST_MAX];
	char *host;
	char *port;
	int first_err = 0;
	int fd = -1;
	int one = 1;

	if (snprintf(text, sizeof(text), "%s", address) >= (int)sizeof(text) ||
	    !split(text, &host, &port))
		return -EINVAL;
	/* "localhost" is the loopback addresses, whatever a resolver says or lacks (RFC 6761 6.3). */
	if (getaddrinfo(strcmp(host, "localhost") == 0 ? NULL : host, port, &hints, &list) != 0)
		return -EINVAL;
	for (struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next) {
		fd = connect_to(ai->ai_addr, ai->ai_addrlen, timeout_ms);
		/* "refused" says more than that another family is missing. */
		if (fd < 0 && (first_err == 0 || fd == -ECONNREFUSED))
			first_err = fd;
	}
	freeaddrinfo(list);
	if (fd < 0)
		return first_err;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
			 sizeof(one)); /* only a matter of speed */
	return fd;
}

int mg_grpc_connect(const char *address, uint32_t timeout_ms)
{
	if (timeout_ms == 0)
		timeout_ms = INT_MAX;
	if (strncmp(address, "unix:", 5) == 0)
		return connect_unix(address + 5, timeout_ms);
	return connect_tcp(address, timeout_ms);
}
