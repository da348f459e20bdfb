/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach_recv.c - see attach_recv.h.
 */
#include "daemon/attach_recv.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

void mg_attach_recv_init(int fd)
{
	int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)); /* only for people */
	mg_attach_recv_allow_fds(fd, false);
}

void mg_attach_recv_allow_fds(int fd, bool allow)
{
	int on = allow;

	/* An older kernel passes them always; then we throw them away. */
	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on));
}

static void take_control(struct msghdr *mh, struct mg_attach_in *in)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS && bytes <= sizeof(in->fds)) {
			memcpy(in->fds, CMSG_DATA(c), bytes);
			in->nr_fds = (uint32_t)(bytes / sizeof(int));
		} else if (c->cmsg_type == SCM_CREDENTIALS && bytes == sizeof(struct ucred)) {
			struct ucred cred;

			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			in->pid = cred.pid;
		}
	}
}

void mg_attach_recv(int fd, struct mg_ctl_msg *msg, struct mg_attach_in *ret_in)
{
	union {
		char buf[CMSG_SPACE(MG_ATTACH_FDS_MAX * sizeof(int)) +
			 CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };

	ret_in->pid = 0;
	ret_in->is_cut = false;
	ret_in->nr_fds = 0;
	ret_in->len = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	if (ret_in->len < 0) {
		ret_in->len = -errno;
		return;
	}
	take_control(&mh, ret_in);
	ret_in->is_cut = (mh.msg_flags & MSG_CTRUNC) != 0;
}
