/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - what the slow path tells the worker to do.
 *
 * Idea:    one handler per command of proto/path/msg.h. A command names a flow by id and generation; if that
 *          life is over, the command is stale and only counted. REMOVE takes a flow out of the tables at
 *          once; the slot is free again when MG_EV_REMOVED went up and the flush has let go of it.
 * Threads: one worker.
 */
#ifndef MG_COMMAND_H
#define MG_COMMAND_H
#include "fastpath/core/flow.h"

struct mg_fp;

void mg_command_obey(struct mg_fp *fp, const struct mg_msg *cmd);
/* From the flush: tells REMOVED and frees the slot, or comes back later. */
void mg_command_finish_remove(struct mg_fp *fp, struct mg_flow *f, bool told);
/* From the flush: events of applications that found the slow path's ring full. */
void mg_command_app_work(struct mg_fp *fp);
#endif
