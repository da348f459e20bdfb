/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share.h - several processes with one region: whose is what, and what ends with whom.
 *
 * Idea:    a process is known by the contexts that it holds (a bit each). A connection or listener ends with the
 *          process that has it, unless it is guarded: then it ends with its guard (daemon/guard.h) and survives
 *          any process. Events of a connection go to the contexts that joined it.
 * Threads: the slow path.
 */
#ifndef MG_SHARE_H
#define MG_SHARE_H
#include <stdint.h>

#include "proto/ctl/ctl.h"

struct mg_slow;
struct mg_slow_app;
struct mg_slow_req;

/* One item of GUARD. 0; -ENOENT: no such object, or not this process' own; -EEXIST; -EINVAL. */
int mg_share_guard(struct mg_slow *s, struct mg_slow_app *app, uint32_t holder,
		   const struct mg_ctl_guard *guard);
/* The last descriptor is gone: the object is closed as by close(). */
void mg_share_unguard(struct mg_slow *s, const struct mg_slow_req *req);
/* One item of MOVE. 0; -ENOTCONN; -EINVAL; -EPERM: it is not guarded and another process' own. */
int mg_share_move(struct mg_slow *s, struct mg_slow_app *app, uint32_t holder,
		  const struct mg_ctl_move *move);
/* The process that held these contexts is gone. */
void mg_share_holder_gone(struct mg_slow *s, struct mg_slow_app *app, uint32_t contexts);
#endif
