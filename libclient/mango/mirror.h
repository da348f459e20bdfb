/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror.h - a kernel descriptor that shows a socket's readiness.
 *
 * Idea:    one end of an AF_UNIX stream pair, of which we keep the other. Readable: a byte of ours lies in it.
 *          Not writable: its small send buffer is full (of our making). End of the stream: our end is shut
 *          for writing; both directions: shut altogether. One thread per TCP handle, started by the first
 *          descriptor, follows the sockets' changes; whoever reads or writes puts the descriptor right at
 *          once.
 *          The table from descriptors to sockets is the process', for mango_posix_*().
 * Threads: everything under the context's lock, but the table (lock-free look-up).
 */
#ifndef MANGO_MIRROR_H
#define MANGO_MIRROR_H
#include "libclient/mango/handle.h"

/* Makes the descriptor, or returns the one there is. The descriptor, or -errno. */
int mg_mirror_open(struct mg_socket *sock);
/* Locked: shows what is. NULL mirror: nothing. */
void mg_mirror_update(struct mg_socket *sock);
/* Locked: the socket has, or no longer has, a source. */
void mg_mirror_begin(struct mg_socket *sock);
void mg_mirror_end(struct mg_socket *sock);
/* Closes the descriptor. */
void mg_mirror_close(struct mg_socket *sock);
/* Ends the thread; no socket is left. */
void mg_mirror_stop(struct mg_tcp *tcp);
/* NULL: not a descriptor of ours. */
struct mg_socket *mg_mirror_find(int fd);
#endif
