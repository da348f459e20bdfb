/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_server.h - mangod's control plane over gRPC (proto/mango.proto, proto/health.proto).
 *
 * Idea:    gRPC's C core with one completion queue and one thread. Sockets are our own (grpc_listen.h) and are
 *          handed to the core once accepted: so a busy address or a missing right is an errno, nothing
 *          shares our port by SO_REUSEPORT, and unix sockets get the mode we want.
 *          Calls turn bytes into struct mg_request for the control thread; its replies are sent from there
 *          (starting a batch is thread-safe). A session stream has at most MG_GRPC_PIPELINE requests under
 *          way; then it is not read until some are answered, so a client that does not read its replies
 *          stops itself.
 * Use:     mg_grpc_server_start(); mg_grpc_server_adopt() per accepted socket; on the way out
 *          mg_grpc_server_stop().
 * Threads: all functions on the control thread. The server has one thread of its own, the core a few more,
 *          all of them asleep while nothing comes. Signals must be blocked before start.
 */
#ifndef MG_GRPC_SERVER_H
#define MG_GRPC_SERVER_H
#include <stdbool.h>

#include "daemon/request.h"
#include "proto/base/log.h"

#define MG_GRPC_PIPELINE 64

struct mg_grpc_server;

struct mg_grpc_conf {
	const struct mg_log *log;
	struct mg_request_queue *queue; /* where requests go */
	uint32_t admin_fd_min; /* who is connected by a descriptor from here on may change settings */
};

/* 0; -ENOMEM; -EAGAIN: no thread. */
int mg_grpc_server_start(const struct mg_grpc_conf *conf, struct mg_grpc_server **ret_server);
/* A connected socket, non-blocking, that the server closes. */
void mg_grpc_server_adopt(struct mg_grpc_server *server, int fd);
/* What the health service says; watchers are told. */
void mg_grpc_server_set_serving(struct mg_grpc_server *server, bool is_serving);
/* Ends the streams of a session that is over. */
void mg_grpc_server_end_session(struct mg_grpc_server *server, const struct mg_ctl_token *token);
/* From now on no call makes a request any more. */
void mg_grpc_server_shut(struct mg_grpc_server *server);
/* After mg_grpc_server_shut(): takes no new calls, cancels what is open, waits for the thread. Requests must have been answered. NULL is allowed. */
void mg_grpc_server_stop(struct mg_grpc_server *server);
#endif
