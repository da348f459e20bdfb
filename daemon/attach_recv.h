/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach_recv.h - one datagram of an application, with the descriptors that came with it.
 *
 * Idea:    there is always room for as many descriptors as the kernel passes at a time, so that it never drops one
 *          itself: that would be a close() on this thread (closer.h). Who may pass none cannot, where the kernel
 *          has SO_PASSRIGHTS.
 * Threads: any.
 */
#ifndef MG_ATTACH_RECV_H
#define MG_ATTACH_RECV_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/ctl/ctl.h"

#define MG_ATTACH_FDS_MAX 253 /* SCM_MAX_FD */

struct mg_attach_in {
	ssize_t len; /* of the message; 0: hung up; -errno */
	pid_t pid;   /* who sent it, by the kernel; 0: not told */
	bool is_cut; /* descriptors were lost: we had none left */
	uint32_t nr_fds;
	int fds[MG_ATTACH_FDS_MAX];
};

/* The socket of a client that is new: its messages name their sender, and carry no descriptors. */
void mg_attach_recv_init(int fd);
/* From now on they may carry descriptors. */
void mg_attach_recv_allow_fds(int fd, bool allow);
void mg_attach_recv(int fd, struct mg_ctl_msg *msg, struct mg_attach_in *ret_in);
#endif
