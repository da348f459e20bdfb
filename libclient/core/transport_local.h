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
/* The socket, for watching its hang-up (POLLRDHUP). */
int mg_transport_local_fd(const struct mg_transport *t);
#endif
