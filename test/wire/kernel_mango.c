/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_mango.c - what test/lib/agent.c calls of libmango.h, made of the kernel's sockets.
 *
 * Idea:    the same agent, linked against this, drives the kernel's TCP as the device under test: what a case
 *          of test/wire demands of mango can be demanded of a TCP that everybody knows, and the case is proven.
 * Use:     kernel_agent (no address): the protocol of test/lib/agent.c on standard input and output.
 * Memory:  a struct per socket, freed by mango_socket_destroy(). What was set before the family is known is set
 *          again when bind or connect tells it.
 * Threads: one.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmango.h>

#define SETTINGS_MAX 16

struct setting {
	int level, name;
	socklen_t len;
	uint8_t value[32];
};

struct ksock {
	int fd;
	int family;
	int flags; /* of socket(): SOCK_NONBLOCK or nothing */
	uint32_t wanted;
	int nr_settings;
	struct setting settings[SETTINGS_MAX];
};

static struct ksock *polled; /* the last one that mango_socket_watch() was told of */

static int result(long r)
{
	return r < 0 ? -errno : 0;
}

static struct ksock *sock_make(int fd, int family)
{
	struct ksock *s = calloc(1, sizeof(*s));

	if (s != NULL) {
		s->fd = fd;
		s->family = family;
	}
	return s;
}

/* A socket of this family, with what was set before. */
static int family_take(struct ksock *s, int family)
{
	int fd;

	if (s->family == family)
		return 0;
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | s->flags, 0);
	if (fd < 0)
		return -errno;
	(void)close(s->fd);
	s->fd = fd;
	s->family = family;
	for (int i = 0; i < s->nr_settings; i++)
		(void)setsockopt(fd, s->settings[i].level, s->settings[i].name,
				 s->settings[i].value,
				 s->settings[i].len); /* of the other family: has no meaning here */
	return 0;
}

mango_status_e mango_ipc_open(const char *address, bool is_server, mango_ipc_h *ret_ipc)
{
	static char dummy;

	(void)address;
	(void)is_server;
	*ret_ipc = &dummy;
	return MANGO_STATUS_OK;
}

mango_status_e mango_ipc_close(mango_ipc_h ipc)
{
	(void)ipc;
	return MANGO_STATUS_OK;
}

mango_status_e mango_ipc_health_check(mango_ipc_h ipc, struct mango_health *ret_health)
{
	(void)ipc;
	memset(ret_health, 0, sizeof(*ret_health));
	ret_health->serving = MANGO_SERVING;
	memcpy(ret_health->instance, "kernel", sizeof("kernel"));
	return MANGO_STATUS_OK;
}

mango_status_e mango_ipc_set_config(mango_ipc_h ipc, const char *key, const char *value)
{
	(void)ipc;
	(void)key;
	(void)value;
	return MANGO_STATUS_NOTSUP;
}

mango_status_e mango_ipc_get_config(mango_ipc_h ipc, const char *key, char *buf, size_t len,
				    size_t *ret_len)
{
	(void)ipc;
	(void)key;
	(void)buf;
	(void)len;
	(void)ret_len;
	return MANGO_STATUS_NOTSUP;
}

mango_status_e(mango_tcp_create)(mango_tcp_h *ret_tcp)
{
	static char dummy;

	*ret_tcp = &dummy;
	return MANGO_STATUS_OK;
}

mango_status_e mango_tcp_set_ipc(mango_tcp_h tcp, mango_ipc_h ipc)
{
	(void)tcp;
	(void)ipc;
	return MANGO_STATUS_OK;
}

mango_status_e mango_tcp_destroy(mango_tcp_h tcp)
{
	(void)tcp;
	return MANGO_STATUS_OK;
}

/* The agent watches one socket at a time. */
mango_status_e mango_tcp_poll(mango_tcp_h tcp, struct mango_event *events, int max, int timeout_ms,
			      int *ret_n)
{
	struct pollfd p = { .fd = polled->fd, .events = (short)polled->wanted };
	int n = poll(&p, 1, timeout_ms);

	(void)tcp;
	(void)max;
	if (n < 0)
		return (mango_status_e)-errno;
	*ret_n = n;
	events[0].sock = polled;
	events[0].events = (uint32_t)(uint16_t)p.revents;
	return MANGO_STATUS_OK;
}

mango_status_e mango_socket_create(mango_tcp_h tcp, mango_socket_h *ret_sock)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)tcp;
	if (fd < 0)
		return (mango_status_e)-errno;
	*ret_sock = sock_make(fd, AF_INET);
	return *ret_sock != NULL ? MANGO_STATUS_OK : MANGO_STATUS_NOMEM;
}

mango_status_e mango_socket_open(mango_socket_h sock, const struct mango_socket_options *options)
{
	struct ksock *s = sock;
	int on = 1;

	if (options != NULL && options->nonblocking != 0) {
		s->flags = SOCK_NONBLOCK;
		if (ioctl(s->fd, FIONBIO, &on) < 0)
			return (mango_status_e)-errno;
	}
	return MANGO_STATUS_OK;
}

mango_status_e mango_socket_bind(mango_socket_h sock, const struct sockaddr *addr, socklen_t len)
{
	struct ksock *s = sock;
	int on = 1, err;

	if (s == NULL)
		return MANGO_STATUS_BADF;
	err = family_take(s, addr->sa_family);
	if (err < 0)
		return (mango_status_e)err;
	/* mango never lets TIME-WAIT stand in the way of a listener */
	if (setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return (mango_status_e)-errno;
	return (mango_status_e)result(bind(s->fd, addr, len));
}

mango_status_e mango_socket_listen(mango_socket_h sock, int backlog)
{
	struct ksock *s = sock;

	return s == NULL ? MANGO_STATUS_BADF : (mango_status_e)result(listen(s->fd, backlog));
}

mango_status_e mango_socket_accept(mango_socket_h sock, struct sockaddr *ret_addr, socklen_t *len,
				   mango_socket_h *ret_sock)
{
	struct ksock *s = sock;
	int fd;

	if (s == NULL)
		return MANGO_STATUS_BADF;
	fd = accept4(s->fd, ret_addr, len, SOCK_CLOEXEC);
	if (fd < 0)
		return (mango_status_e)-errno;
	*ret_sock = sock_make(fd, s->family);
	return *ret_sock != NULL ? MANGO_STATUS_OK : MANGO_STATUS_NOMEM;
}

mango_status_e mango_socket_connect(mango_socket_h sock, const struct sockaddr *addr, socklen_t len)
{
	struct ksock *s = sock;
	int err = s == NULL ? -EBADF : family_take(s, addr->sa_family);

	return (mango_status_e)(err < 0 ? err : result(connect(s->fd, addr, len)));
}

mango_status_e mango_socket_send(mango_socket_h sock, const void *buf, size_t len, size_t *ret_sent)
{
	struct ksock *s = sock;
	ssize_t n = s == NULL ? 0 : send(s->fd, buf, len, MSG_NOSIGNAL);

	if (s == NULL)
		return MANGO_STATUS_BADF;
	if (n >= 0 && ret_sent != NULL)
		*ret_sent = (size_t)n;
	return (mango_status_e)result(n);
}

mango_status_e mango_socket_send_urgent(mango_socket_h sock, const void *buf, size_t len,
					size_t *ret_sent)
{
	struct ksock *s = sock;
	ssize_t n = s == NULL ? 0 : send(s->fd, buf, len, MSG_NOSIGNAL | MSG_OOB);

	if (s == NULL)
		return MANGO_STATUS_BADF;
	if (n >= 0 && ret_sent != NULL)
		*ret_sent = (size_t)n;
	return (mango_status_e)result(n);
}

/* The kernel only tells whether the mark is here (1), or further ahead (2 stands for it). */
mango_status_e mango_socket_urgent(mango_socket_h sock, int64_t *ret_ahead)
{
	struct ksock *s = sock;
	struct pollfd p = { .fd = s == NULL ? -1 : s->fd, .events = POLLPRI };
	int is_here = 0;

	if (s == NULL)
		return MANGO_STATUS_BADF;
	if (ioctl(s->fd, SIOCATMARK, &is_here) < 0)
		return (mango_status_e)-errno;
	if (is_here == 0 && poll(&p, 1, 0) <= 0)
		return MANGO_STATUS_AGAIN;
	*ret_ahead = is_here != 0 ? 1 : 2;
	return MANGO_STATUS_OK;
}

mango_status_e mango_socket_recv(mango_socket_h sock, void *buf, size_t len, size_t *ret_received)
{
	struct ksock *s = sock;
	ssize_t n = s == NULL ? 0 : recv(s->fd, buf, len, 0);

	if (s == NULL)
		return MANGO_STATUS_BADF;
	if (n >= 0 && ret_received != NULL)
		*ret_received = (size_t)n;
	return (mango_status_e)result(n);
}

mango_status_e mango_socket_shutdown(mango_socket_h sock, int how)
{
	struct ksock *s = sock;

	return s == NULL ? MANGO_STATUS_BADF : (mango_status_e)result(shutdown(s->fd, how));
}

mango_status_e mango_socket_close(mango_socket_h sock)
{
	struct ksock *s = sock;
	int err;

	if (s == NULL || s->fd < 0)
		return MANGO_STATUS_BADF;
	err = result(close(s->fd));
	s->fd = -1;
	return (mango_status_e)err;
}

mango_status_e mango_socket_abort(mango_socket_h sock)
{
	struct ksock *s = sock;
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (s == NULL || s->fd < 0)
		return MANGO_STATUS_BADF;
	(void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); /* else: a FIN */
	return mango_socket_close(sock);
}

mango_status_e mango_socket_destroy(mango_socket_h sock)
{
	struct ksock *s = sock;

	if (s != NULL && s->fd >= 0)
		(void)close(s->fd); /* nothing to be done about it */
	free(s);
	return MANGO_STATUS_OK;
}

mango_status_e mango_socket_set_option(mango_socket_h sock, int level, int name, const void *val,
				       socklen_t len)
{
	struct ksock *s = sock;

	if (s == NULL)
		return MANGO_STATUS_BADF;
	if (s->nr_settings < SETTINGS_MAX && len <= sizeof(s->settings[0].value)) {
		struct setting *set = &s->settings[s->nr_settings++];

		*set = (struct setting){ .level = level, .name = name, .len = len };
		memcpy(set->value, val, len);
	}
	if (setsockopt(s->fd, level, name, val, len) == 0)
		return MANGO_STATUS_OK;
	return (mango_status_e)(level == IPPROTO_IPV6 && s->family == AF_INET ? 0 : -errno);
}

mango_status_e mango_socket_get_option(mango_socket_h sock, int level, int name, void *ret_val,
				       socklen_t *len)
{
	struct ksock *s = sock;

	return s == NULL ? MANGO_STATUS_BADF
			 : (mango_status_e)result(getsockopt(s->fd, level, name, ret_val, len));
}

mango_status_e mango_socket_getsockname(mango_socket_h sock, struct sockaddr *ret_addr,
					socklen_t *len)
{
	struct ksock *s = sock;

	return s == NULL ? MANGO_STATUS_BADF
			 : (mango_status_e)result(getsockname(s->fd, ret_addr, len));
}

mango_status_e mango_socket_getpeername(mango_socket_h sock, struct sockaddr *ret_addr,
					socklen_t *len)
{
	struct ksock *s = sock;

	return s == NULL ? MANGO_STATUS_BADF
			 : (mango_status_e)result(getpeername(s->fd, ret_addr, len));
}

mango_status_e mango_socket_watch(mango_socket_h sock, uint32_t events)
{
	struct ksock *s = sock;

	if (s == NULL)
		return MANGO_STATUS_BADF;
	s->wanted = events;
	polled = s;
	return MANGO_STATUS_OK;
}
