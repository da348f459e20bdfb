/* SPDX-License-Identifier: Apache-2.0 */
/* init.c - the start of the library in a program, and the end of objects. */
#include <errno.h>

#include "libclient/preload/calls.h"
#include "libclient/preload/epoll.h"
#include "libclient/preload/face.h"
#include "libclient/preload/guard.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"

void mg_obj_end(struct mg_obj *obj)
{
	if (obj->kind == MG_OBJ_SOCK)
		mg_sock_end(mg_container_of(obj, struct mg_sock, obj));
	else
		mg_ep_end(mg_container_of(obj, struct mg_ep, obj));
}

__attribute__((constructor)) static void start(void)
{
	int saved = errno;

	(void)mg_real_find(); /* it is a table in this library */
	mg_face_init();
	if (mg_face_enabled())
		mg_guard_init();
	errno = saved;
}
