/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_listen.c - see grpc_listen.h.
 */
#include "daemon/grpc_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/attach_recv.h"
#include "daemon/instance.h"
#include "daemon/tcp_peer.h"
#include "proto/base/bits.h"

#define BACKLOG 128
#define RETRY_NS 100000000ull
#define SOCKET_MODE 0660

void mg_grpc_listen_init(struct mg_grpc_listen *listen, struct mg_loop *loop,
			 const struct mg_access *access, const struct mg_log *log)
{
	*listen = (struct mg_grpc_listen){ .log = log, .loop = loop, .access = access };
	mg_loop_timer_init(&listen->retry, NULL);
}

static int keep(struct mg_grpc_listen *listen, int fd, const char *path)
{
	struct mg_grpc_socket *socket;

	if (listen->nr_sockets == MG_GRPC_SOCKETS_MAX) {
		close(fd);
		return -ENOSPC;
	}
	socket = &listen->sockets[listen->nr_sockets++];
	socket->source.fd = fd;
	socket->listen = listen;
	(void)snprintf(socket->path, sizeof(socket->path), "%s", path); /* its length was checked */
	return 0;
}

static int add_unix(struct mg_grpc_listen *listen, const char *path, char *err, size_t errlen)
{
	struct mg_unix_listen conf = { .path = path,
				       .type = SOCK_STREAM,
				       .mode = SOCKET_MODE,
				       .uid = (uid_t)-1,
				       .gid = (gid_t)-1 };
	int fd = mg_unix_listen(&conf, err, errlen);

	return fd < 0 ? fd : keep(listen, fd, path);
}

static bool is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >>
			24) == 127;
	return sa->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
}

static int add_tcp_addr(struct mg_grpc_listen *listener, const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;
	int err;

	if (fd < 0)
		return -errno;
	/* A port in TIME-WAIT may be taken again; one that is listened on may not. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return keep(listener, fd, "");
}

static int explain(const char *endpoint, int code, char *err, size_t errlen)
{
	const char *cure = "";

	if (code == -EADDRINUSE)
		cure = "; another program listens there: stop it, or change ipc.grpc.listen";
	else if (code == -EACCES)
		cure = "; ports below 1024 need root: change ipc.grpc.listen";
	else if (code == -EADDRNOTAVAIL)
		cure = "; this machine (or namespace) does not have the address: change ipc.grpc.listen";
	(void)snprintf(err, errlen, "gRPC cannot listen on %s: %s%s", endpoint, strerror(-code),
		       cure); /* cut is fine */
	return code;
}

static int add_tcp(struct mg_grpc_listen *listen, const char *endpoint, const struct addrinfo *list,
		   char *err, size_t errlen)
{
	int first_err = 0;
	int nr_ok = 0;

	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
		int res;

		if (!is_loopback(ai->ai_addr)) {
			(void)snprintf(
				err, errlen, /* cut is fine */
				"gRPC cannot listen on %s: it is not a loopback address, and there is no TLS yet; "
				"use localhost:PORT or unix:PATH in ipc.grpc.listen",
				endpoint);
			return -EACCES;
		}
		res = add_tcp_addr(listen, ai);
		if (res == 0)
			nr_ok++;
		else if (res != -EADDRNOTAVAIL && res != -EAFNOSUPPORT)
			return explain(endpoint, res, err, errlen);
		else
			first_err = first_err == 0 ? res : first_err;
	}
	return nr_ok > 0 ? 0 : explain(endpoint, first_err, err, errlen);
}

int mg_grpc_listen_add(struct mg_grpc_listen *listen, const char *endpoint, char *err,
		       size_t errlen)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list;
	char host[MG_CONF_TEXT_MAX];
	char *name = host;
	char *colon;
	int res;

	if (strncmp(endpoint, "unix:", 5) == 0)
		return add_unix(listen, endpoint + 5, err, errlen);
	(void)snprintf(host, sizeof(host), "%s", endpoint); /* the schema checked its length */
	colon = strrchr(host, ':');
	if (colon == NULL)
		return explain(endpoint, -EINVAL, err, errlen);
	*colon = '\0';
	if (host[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		name++;
	}
	/* "localhost" is the loopback addresses, whatever a resolver says or lacks (RFC 6761 6.3). */
	res = getaddrinfo(strcmp(name, "localhost") == 0 ? NULL : name, colon + 1, &hints, &list);
	if (res != 0) {
		(void)snprintf(err, errlen, "gRPC cannot listen on %s: %s; change ipc.grpc.listen",
			       endpoint, gai_strerror(res)); /* cut is fine */
		return -EINVAL;
	}
	res = add_tcp(listen, endpoint, list, err, errlen);
	freeaddrinfo(list);
	return res;
}

/* Who can open the unix socket (0660) is the daemon's user, its group, or root. */
static bool is_admin(const struct mg_grpc_socket *socket, int fd)
{
	struct mg_peer peer;
	uid_t uid;

	if (socket->path[0] != '\0')
		return mg_peer_get(fd, &peer) == 0 &&
		       mg_access_is_admin(socket->listen->access, peer.uid);
	return mg_tcp_peer_uid(fd, &uid) == 0 && mg_access_is_admin(socket->listen->access, uid);
}

/* Forgets those that gRPC has closed: it does not tell. A number that was given to another file has another inode. */
static void forget_closed(struct mg_grpc_listen *listen)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < listen->nr_connections; i++) {
		struct stat st;

		if (fstat(listen->connections[i].fd, &st) == 0 &&
		    st.st_ino == listen->connections[i].ino)
			listen->connections[kept++] = listen->connections[i];
	}
	listen->nr_connections = kept;
}

/* False: there are too many already. */
static bool remember(struct mg_grpc_listen *listen, int fd, bool admin)
{
	uint32_t max = admin ? MG_GRPC_CONNECTIONS_MAX : MG_GRPC_CONNECTIONS_MAX / 4 * 3;
	struct stat st;

	if (listen->nr_connections >= max)
		forget_closed(listen);
	if (listen->nr_connections >= max || fstat(fd, &st) < 0)
		return false;
	listen->connections[listen->nr_connections++] = (struct mg_grpc_connection){ fd,
										     st.st_ino };
	return true;
}

/*
 * Gives an administrator's connection a number from admin_fd_min on, and refuses all others that have one there. 0 or
 * -errno; fd is closed then.
 */
static int place(const struct mg_grpc_listen *listen, bool admin, int *fd)
{
	uint32_t min = listen->admin_fd_min;
	int old = *fd;
	int err;

	if (admin == ((uint32_t)old >= min))
		return 0;
	if (!admin) { /* so many descriptors are open */
		close(old);
		return -EMFILE;
	}
	*fd = fcntl(old, F_DUPFD_CLOEXEC, (int)min);
	err = *fd < 0 ? -errno : 0;
	close(old);
	return err;
}

static void on_retry(struct mg_loop_timer *timer)
{
	struct mg_grpc_listen *listen = mg_container_of(timer, struct mg_grpc_listen, retry);

	for (uint32_t i = 0; i < listen->nr_sockets; i++)
		mg_loop_change(listen->loop, &listen->sockets[i].source, EPOLLIN);
}

static void on_socket(struct mg_loop_source *source, uint32_t events)
{
	struct mg_grpc_socket *socket = mg_container_of(source, struct mg_grpc_socket, source);
	struct mg_grpc_listen *listen = socket->listen;
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int one = 1;

	(void)events; /* EPOLLIN */
	if (fd >= 0) {
		bool admin = is_admin(socket, fd);

		if (place(listen, admin, &fd) < 0)
			return;
		if (socket->path[0] == '\0')
			(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		else
			mg_attach_recv_allow_fds(fd, false); /* gRPC would close what it gets */
		if (remember(listen, fd, admin))
			mg_grpc_server_adopt(listen->server, fd);
		else
			close(fd);
		return;
	}
	if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
		return;
	mg_log(listen->log, MG_LOG_WARN, "grpc", "event=accept error=\"%s\"", strerror(errno));
	for (uint32_t i = 0; i < listen->nr_sockets; i++)
		mg_loop_change(listen->loop, &listen->sockets[i].source, 0);
	mg_loop_timer_set(listen->loop, &listen->retry, mg_loop_now_ns() + RETRY_NS);
}

int mg_grpc_listen_start(struct mg_grpc_listen *listen, struct mg_grpc_server *server,
			 uint32_t admin_fd_min)
{
	listen->server = server;
	listen->admin_fd_min = admin_fd_min;
	listen->retry.fn = on_retry;
	for (uint32_t i = 0; i < listen->nr_sockets; i++) {
		int err;

		listen->sockets[i].source.fn = on_socket;
		err = mg_loop_add(listen->loop, &listen->sockets[i].source, EPOLLIN);
		if (err < 0)
			return err;
	}
	return 0;
}

void mg_grpc_listen_close(struct mg_grpc_listen *listen)
{
	mg_loop_timer_stop(&listen->retry);
	while (listen->nr_sockets > 0) {
		struct mg_grpc_socket *socket = &listen->sockets[--listen->nr_sockets];

		mg_loop_remove(listen->loop, &socket->source);
		close(socket->source.fd);
		if (socket->path[0] != '\0')
			(void)unlink(socket->path); /* the daemon goes; nothing to do about it */
	}
}
