/* SPDX-License-Identifier: Apache-2.0 */
/* calls_msg.c - messages on other sockets, which may carry sockets of ours (SCM_RIGHTS). */
#include <string.h>

#include "libclient/preload/calls.h"
#include "libclient/preload/face.h"
#include "libclient/preload/guard.h"
#include "libclient/preload/real.h"

/* Calls fn for each descriptor that the message carries. */
static void each_fd(const struct msghdr *msg, void (*fn)(int fd))
{
	struct msghdr *m = (struct msghdr *)(uintptr_t)
		msg; /* CMSG_NXTHDR wants it so; it is only read */
	int fd;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		size_t nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			fn(fd);
		}
	}
}

static void adopt(int fd)
{
	(void)mg_guard_adopt(fd); /* anything else is just a descriptor */
}

ssize_t mg_calls_recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t n = MG_REAL(recvmsg)(fd, msg, flags);

	if (n >= 0 && msg->msg_control != NULL && msg->msg_controllen > 0 && mg_face_enabled())
		each_fd(msg, adopt);
	return n;
}

ssize_t mg_calls_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (msg != NULL && msg->msg_control != NULL && msg->msg_controllen > 0)
		each_fd(msg, mg_guard_fd);
	return MG_REAL(sendmsg)(fd, msg, flags);
}
