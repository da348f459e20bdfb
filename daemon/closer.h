/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closer.h - closes descriptors that came from applications, where nobody waits for it.
 *
 * Idea:    close() of a file that somebody else made may take as long as he likes: a socket that lingers, a file
 *          of a file system that is a program, a member of an epoll set whose owner reads it into memory that he
 *          does not deliver. So a thread does it, and another one when that hangs. Who makes too many of them hang
 *          gets no more descriptors in (mg_closer_is_choked()).
 * Threads: any push; threads of its own close.
 * Memory:  one object per descriptor that waits.
 */
#ifndef MG_CLOSER_H
#define MG_CLOSER_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MG_CLOSER_THREADS_MAX 16
#define MG_CLOSER_PENDING_MAX 512 /* of one user */

struct mg_closer;

/* 0 or -ENOMEM. Threads start when they are needed. */
int mg_closer_new(struct mg_closer **ret_closer);
/* Leaves threads that hang behind, with what they need. NULL is allowed. */
void mg_closer_free(struct mg_closer *closer);
/* Takes fd. uid: whose it was. */
void mg_closer_push(struct mg_closer *closer, int fd_take, uid_t uid);
/* Are so many of this user's descriptors waiting that no more should come in? */
bool mg_closer_is_choked(struct mg_closer *closer, uid_t uid);
/* Descriptors that are not closed yet. */
uint32_t mg_closer_pending(struct mg_closer *closer);
#endif
