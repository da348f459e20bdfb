/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.h - processes that give rights up: another user, another root directory, a filter of system calls.
 *
 * Idea:    a child of fork joins its parent's region when it first uses a socket. One that is about to become
 *          somebody with fewer rights does so now, while it may: chroot(), the calls that change the user, and
 *          seccomp are the signs. Under a filter only what moves data is left: reading, writing and one descriptor
 *          in ppoll(), which stands for all that a wait looks at. Nothing is said to the daemon any more.
 * Threads: any; the process becomes confined once.
 */
#ifndef MG_PRELOAD_CONFINE_H
#define MG_PRELOAD_CONFINE_H
#include <poll.h>
#include <signal.h>
#include <stdbool.h>

/* A filter of system calls is on. */
bool mg_confined(void);
/*
 * Waits in place of ppoll() on the descriptors that a wait of the context has in front, when they are all there is.
 * True: *ret is the answer.
 */
bool mg_confined_wait(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		      const sigset_t *sigmask, int *ret);
/* In a child of fork: what was prepared is the parent's. */
void mg_confine_forked(void);
/* prctl() and seccomp() through syscall(). */
long mg_confine_syscall(long nr, const long a[6]);
#endif
