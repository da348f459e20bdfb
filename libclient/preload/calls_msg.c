/* SPDX-License-Identifier: Apache-2.0 */
/* calls_msg.c - messages on other sockets, which may carry sockets of ours (SCM_RIGHTS). */
#include "libclient/preload/calls.h"
#include "libclient/preload/real.h"

ssize_t mg_calls_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return MG_REAL(recvmsg)(fd, msg, flags);
}

ssize_t mg_calls_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return MG_REAL(sendmsg)(fd, msg, flags);
}
