/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - descriptors of the library's own in the program's table.
 *
 * Idea:    they sit at high numbers, close on exec, and are marked in the table (table.h), so that the program
 *          neither meets nor closes them. The client core uses plain names (close, read, ...); rename.h turns those
 *          into the functions below, which are system calls.
 * Threads: any.
 */
#ifndef MG_PRELOAD_INTERNAL_H
#define MG_PRELOAD_INTERNAL_H
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Moves a fresh descriptor up and marks it; returns the new number (the old one when there is no room). */
int mg_internal_fd(int fd);
/* An eventfd of the calling thread's own, for waits; -errno. Kept until the thread ends. */
int mg_internal_wake_fd(void);
/* In a child of fork: what belongs to the parent's threads is let go. */
void mg_internal_forked(void);

/* libc's functions for the client core. Descriptors that they make are moved up and marked. */
int mg_internal_close(int fd);
int mg_internal_socket(int domain, int type, int protocol);
int mg_internal_socketpair(int domain, int type, int protocol, int fds[2]);
int mg_internal_eventfd(unsigned int value, int flags);
int mg_internal_connect(int fd, const struct sockaddr *addr, socklen_t len);
int mg_internal_shutdown(int fd, int how);
int mg_internal_poll(struct pollfd *fds, nfds_t n, int timeout);
int mg_internal_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		      const sigset_t *sigmask);
ssize_t mg_internal_read(int fd, void *buf, size_t n);
ssize_t mg_internal_write(int fd, const void *buf, size_t n);
ssize_t mg_internal_send(int fd, const void *buf, size_t n, int flags);
ssize_t mg_internal_recv(int fd, void *buf, size_t n, int flags);
ssize_t mg_internal_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t mg_internal_sendmsg(int fd, const struct msghdr *msg, int flags);
int mg_internal_fcntl(int fd, int cmd, ...);
int mg_internal_dup3(int from, int to, int flags);
long mg_internal_syscall(long nr, ...);
#endif
