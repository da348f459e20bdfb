/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls.h - what the files of calls share.
 *
 * Idea:    calls*.c define libc's functions: a look-up, our answer or libc's, errno. Nothing else is in them.
 * Threads: any.
 */
#ifndef MG_PRELOAD_CALLS_H
#define MG_PRELOAD_CALLS_H
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* send() with MSG_FASTOPEN: connects first, if it must. 0, or -1 and errno. */
int mg_calls_fastopen(int fd, const struct sockaddr *addr, socklen_t len);
/* Messages of other sockets, which may carry descriptors of ours. */
ssize_t mg_calls_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t mg_calls_sendmsg(int fd, const struct msghdr *msg, int flags);
/* The number `to` refers to what `from` does, as far as we know of it. */
void mg_calls_duped(int from, int to);
/* A number is about to be closed or overwritten by the program. */
void mg_calls_closing(int fd);
#endif
