/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_local.h - control messages as datagrams on the attach socket.
 *
 * Idea:    the attach socket (AF_UNIX, SEQPACKET) carries one struct mg_ctl_msg per datagram. A thread that
 *          waits for its reply reads the socket for all of them when nobody else does (one reader at a
 *          time), and hands the reader's place on when it has its own.
 *          ATTACH and CONTEXT_OPEN, whose replies carry descriptors, exist on this transport only.
 * Threads: see transport.h.
 */
#ifndef MG_TRANSPORT_LOCAL_H
#define MG_TRANSPORT_LOCAL_H
#include <stddef.h>

#include "libclient/core/transport.h"

#define MG_TRANSPORT_FDS_MAX 32

/* address: the socket's path. */
extern const struct mg_transport_ops mg_transport_local_ops;

/*
 * request() for messages whose reply carries descriptors: at most `max` are stored, the caller owns them;
 * more than that are closed.
 */
int mg_transport_local_request_fds(struct mg_transport *t, struct mg_ctl_msg *msg, int *ret_fds,
				   uint32_t max, uint32_t *ret_nr);
/* request() that passes descriptors along, at most 253; they stay the caller's. */
int mg_transport_local_pass_fds(struct mg_transport *t, struct mg_ctl_msg *msg, const int *fds,
				uint32_t nr);
/* A socket connected to an attach socket, CLOEXEC. 0 or -errno. */
int mg_transport_local_connect(const char *path, int *ret_fd);
/* A transport on a connected socket, which it takes, also on failure. */
int mg_transport_local_adopt(int fd_take, const struct mg_transport_params *params,
			     struct mg_transport **ret_transport);
/* Where a connected socket goes; "" if it has no path. */
void mg_transport_local_path(int fd, char *path, size_t len);
/* In a forked child: closes the socket, frees nothing; everything returns -ECONNRESET from now on. */
void mg_transport_local_orphan(struct mg_transport *t);
/* The socket, for watching its hang-up (POLLRDHUP). */
int mg_transport_local_fd(const struct mg_transport *t);
#endif
