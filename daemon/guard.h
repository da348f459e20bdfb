/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h - connections and listeners that live as long as a descriptor.
 *
 * Idea:    an application that is about to share a socket (fork, exec, SCM_RIGHTS) makes a pair of stream sockets,
 *          has one end as the descriptor of the socket and passes us the other: the kernel counts who holds
 *          theirs, through dup, fork, exec and kill -9, and ours hangs up when the last one is gone. Then the
 *          object is closed as by close() (MG_SLOW_REQ_UNGUARD).
 *          A region lives while a process or a guard of it lives.
 * Trust:   what was passed must be a connected stream socket of AF_UNIX; we read nothing from it and write
 *          nothing. It is closed by the closer, because the application may keep our close() from returning.
 * Threads: the control thread.
 */
#ifndef MG_GUARD_H
#define MG_GUARD_H
#include <stdbool.h>
#include <stdint.h>

#include "daemon/closer.h"
#include "daemon/loop.h"
#include "daemon/session.h"
#include "proto/ctl/ctl.h"

struct mg_guards {
	struct mg_loop *loop;
	struct mg_sessions *sessions;
	struct mg_closer *closer;
};

struct mg_guard;

/* May this be a guard? Asks nothing that a file of any kind could answer slowly. */
bool mg_guard_fits(int fd);
/* Takes fd, also on failure. It watches at once; mg_guard_settle() must follow. 0, -ENOMEM, -ENOSPC. */
int mg_guard_new(struct mg_guards *guards, struct mg_region *region,
		 const struct mg_ctl_guard *info, int fd_take, struct mg_guard **ret_guard);
/*
 * Makes a guard of each item and its descriptor, and puts it into the item's handle. 0; -errno: none was made. The
 * descriptors that were used are set to -1.
 */
int mg_guards_take(struct mg_guards *guards, struct mg_region *region, struct mg_ctl_msg *msg,
		   int *fds, uint32_t nr_fds);
/* The slow path's word: 0, it guards; -errno: it does not, and goes. */
void mg_guard_settle(struct mg_guard *guard, int status);
/* For a GUARD message that came back: settles each item's guard and takes the handles out. */
void mg_guards_settle_all(struct mg_ctl_msg *msg);
/* Every guard of the region goes; with the last process the region, too. */
void mg_guards_drop(struct mg_guards *guards, struct mg_region *region);
void mg_guards_drop_all(struct mg_guards *guards);
/* Fills items with the region's guards from `start` on; returns how many, *ret_more: there are others. */
uint32_t mg_guards_list(const struct mg_region *region, uint32_t start, uint32_t max,
			struct mg_ctl_guard *items, bool *ret_more);
#endif
