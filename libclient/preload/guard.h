/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h - sockets that several processes have: by fork, exec, posix_spawn and SCM_RIGHTS.
 *
 * Idea:    just before a process multiplies, each socket that mangod serves becomes *guarded* (core/share.h): its
 *          numbers refer to one end of a pair of sockets from then on, so that the kernel counts the holders; the
 *          holder stays as a *shadow* for options and, of a listener, the kernel's connections. A note waits in the
 *          pair for whoever gets the number in another program: what it is, and the shadow (SCM_RIGHTS, peeked at).
 *          A child of fork keeps its table; an object is joined when it is first used. `mg_fork_gen` counts the
 *          forks between us and the first process; an object of another count has to be joined.
 * Threads: making guards and joining: any. The fork handlers: as fork() calls them.
 */
#ifndef MG_PRELOAD_GUARD_H
#define MG_PRELOAD_GUARD_H
#include <stdbool.h>

#include "libclient/preload/sock.h"

/* Registers the fork handlers; adopts what an exec left us. At start. */
void mg_guard_init(void);
/* Makes guards for all that mangod serves here. Waits for the daemon; what fails stays ours alone. */
void mg_guard_all(void);
/* The same for one number, if it is one of mangod's. */
void mg_guard_fd(int fd);
/* Is this descriptor a guard of somebody's? Then the socket behind it is ours, too, from now on. */
bool mg_guard_adopt(int fd);
/* The numbers refer to the plain holder again. Locked (the socket's). */
void mg_guard_undo(struct mg_sock *s);
#endif
