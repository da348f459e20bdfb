/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exit.c - the end of the process.
 *
 * Idea:    a program that ends in order has closed its sockets, whether it called close() or not: what it sent arrives,
 *          and then FIN. mangod cannot tell that from a program that was killed, whose peers get RST. So the windows
 *          say it, in the last moment before the process goes. Guarded sockets are not meant: the kernel counts
 *          their holders.
 * Threads: any; _exit() may come from a signal handler, so nothing here takes a lock but the streams.
 */
#include <stdlib.h>
#include <unistd.h>

#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/stream.h"
#include "libclient/preload/sys.h"

static void say_closed(int fd, struct mg_obj *obj, void *arg)
{
	struct mg_sock *s;

	(void)arg;
	if (obj->kind != MG_OBJ_SOCK || obj->fork_gen != mg_fork_gen || mg_fd_get(fd) != obj)
		return; /* a parent's, or gone meanwhile */
	s = mg_container_of(obj, struct mg_sock, obj);
	if (mg_sock_kind(s) == MG_SOCK_CONN && s->conn != NULL && !s->guarded)
		mg_conn_leave_at_exit(s->conn, s->linger_on && s->linger_s == 0);
	/* The reference stays: nothing ends any more. */
}

static void close_all(void)
{
	mg_fd_each(0, ~0u, say_closed, NULL);
}

/* exit(), or main() returned. libc empties its streams later, but ours have to be before. */
__attribute__((destructor)) static void at_exit(void)
{
	mg_stream_flush();
	close_all();
}

MG_EXPORT void _exit(int status)
{
	close_all();
	for (;;)
		(void)mg_sys(SYS_exit_group, status);
}

MG_EXPORT void _Exit(int status)
{
	_exit(status);
}
