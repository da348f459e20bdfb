/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_listen.h - the listening sockets of the gRPC server.
 *
 * Idea:    "HOST:PORT" and "unix:PATH" become sockets of the control thread's loop; what comes in goes to the
 *          server with the right that its user has. On TCP the kernel is asked (sock_diag) whose socket the other
 *          end is. Hosts must be loopback: there is no TLS.
 *          All addresses of a host are taken; one that this machine cannot have (::1 without IPv6) is
 *          passed over as long as another works.
 * Threads: the control thread.
 */
#ifndef MG_GRPC_LISTEN_H
#define MG_GRPC_LISTEN_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/access.h"
#include "daemon/grpc_server.h"
#include "daemon/loop.h"
#include "proto/base/log.h"

#define MG_GRPC_SOCKETS_MAX 16

struct mg_grpc_listen;

struct mg_grpc_socket {
	struct mg_loop_source source;
	struct mg_grpc_listen *listen;
	char path[MG_CONF_TEXT_MAX]; /* unix: is removed at the end */
};

/* Connections at the same time; the last quarter is for administrators. Streams of each: grpc_server.c. */
#define MG_GRPC_CONNECTIONS_MAX 256

/* A socket that gRPC has, as long as its number still means the same. */
struct mg_grpc_connection {
	int fd;
	ino_t ino;
};

struct mg_grpc_listen {
	const struct mg_log *log;
	struct mg_loop *loop;
	struct mg_grpc_server *server;
	const struct mg_access *access;
	uint32_t admin_fd_min; /* administrators' connections have numbers from here on, others below */
	struct mg_loop_timer retry;
	uint32_t nr_sockets;
	struct mg_grpc_socket sockets[MG_GRPC_SOCKETS_MAX];
	uint32_t nr_connections;
	struct mg_grpc_connection connections[MG_GRPC_CONNECTIONS_MAX];
};

void mg_grpc_listen_init(struct mg_grpc_listen *listen, struct mg_loop *loop,
			 const struct mg_access *access, const struct mg_log *log);
/* 0 or -errno with one line of cause and cure. Nothing is accepted before mg_grpc_listen_start(). */
int mg_grpc_listen_add(struct mg_grpc_listen *listen, const char *endpoint, char *err,
		       size_t errlen);
/* admin_fd_min: that of the server's mg_grpc_conf. */
int mg_grpc_listen_start(struct mg_grpc_listen *listen, struct mg_grpc_server *server,
			 uint32_t admin_fd_min);
void mg_grpc_listen_close(struct mg_grpc_listen *listen);
#endif
