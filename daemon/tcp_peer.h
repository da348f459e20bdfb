/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_peer.h - whose is the other end of a TCP connection over loopback?
 *
 * Idea:    the other end is a socket of this kernel, which knows its owner (sock_diag(7)).
 * Threads: any; blocks for one question to the kernel.
 */
#ifndef MG_TCP_PEER_H
#define MG_TCP_PEER_H
#include <sys/types.h>

/* 0; -ENOENT: not a socket of this namespace; other -errno. */
int mg_tcp_peer_uid(int fd, uid_t *ret_uid);
#endif
