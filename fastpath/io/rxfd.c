/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rxfd.c - see rxfd.h.
 */
#include "fastpath/io/rxfd.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif

static bool is_marked(const struct mg_rxfd_mark *mark, int fd)
{
	return (mark->open[fd / 64] >> (fd % 64) & 1) != 0;
}

static bool is_kind(int fd, enum mg_rxfd_kind kind)
{
	char path[32], target[64];
	int domain = -1;
	socklen_t len = sizeof(domain);
	ssize_t n;

	switch (kind) {
	case MG_RXFD_PACKET:
	case MG_RXFD_XDP:
		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
			return false;
		return domain == (kind == MG_RXFD_PACKET ? AF_PACKET : AF_XDP);
	case MG_RXFD_TUN:
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n <= 0)
			return false;
		target[n] = '\0';
		return strcmp(target, "/dev/net/tun") == 0;
	case MG_RXFD_NONE:
	default:
		return false;
	}
}

int mg_rxfd_mark(struct mg_rxfd_mark *mark)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *e;

	memset(mark, 0, sizeof(*mark));
	if (dir == NULL)
		return -errno;
	while ((e = readdir(dir)) != NULL) {
		int fd = atoi(e->d_name); /* "." and ".." are 0: standard input is no port's */

		if (fd >= 0 && fd < MG_RXFD_MAX && fd != dirfd(dir))
			mark->open[fd / 64] |= 1ull << (fd % 64);
	}
	(void)closedir(dir);
	return 0;
}

size_t mg_rxfd_since(const struct mg_rxfd_mark *mark, enum mg_rxfd_kind kind, int *ret_fds,
		     size_t max)
{
	struct mg_rxfd_mark now;
	size_t n = 0;

	if (kind == MG_RXFD_NONE || mg_rxfd_mark(&now) < 0)
		return 0;
	for (int fd = 0; fd < MG_RXFD_MAX && n < max; fd++)
		if (is_marked(&now, fd) && !is_marked(mark, fd) && is_kind(fd, kind))
			ret_fds[n++] = fd;
	return n;
}
