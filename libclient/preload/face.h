/* SPDX-License-Identifier: Apache-2.0 */
/*
 * face.h - the process' one attachment to mangod, and the policy.
 *
 * Idea:    nothing is opened before a socket might belong to mangod. Then the attachment is made, mangod tells
 *          its addresses and routes, and the verdicts follow. When the daemon dies the attachment stays behind
 *          with its connections, which fail, and the next socket finds the new daemon.
 * Threads: any; mg_face_ctx() takes a lock only to attach.
 */
#ifndef MG_PRELOAD_FACE_H
#define MG_PRELOAD_FACE_H
#include <stdbool.h>

#include "libclient/core/ctx.h"
#include "libclient/preload/policy.h"

/* Reads the settings; once, at start. */
void mg_face_init(void);
/* Is this program to be accelerated at all? */
bool mg_face_enabled(void);
const struct mg_policy *mg_face_policy(void);
/*
 * The context that everything new lives in; attaches when needed. NULL: there is no daemon (said once on stderr).
 */
struct mg_ctx *mg_face_ctx(void);
/* The same without attaching: NULL when there is none, or it is dead. */
struct mg_ctx *mg_face_live_ctx(void);
/* errno for a socket that the policy gives to mangod when there is none; 0: the kernel takes it. */
int mg_face_absent(void);

/* "MANGO_SESSION=..." for a program that is to be executed; NULL: there is nothing to share. */
const char *mg_face_session(void);
/* The same without the name: "PATH:TOKEN" of our region, or "". MG_FACE_SESSION_MAX bytes can be read. */
#define MG_FACE_SESSION_MAX 256
const char *mg_face_session_text(void);
/*
 * A socket of that region came to us, by exec or SCM_RIGHTS: whoever is attached nowhere yet joins it when it is used.
 * A process has one region: sockets of another one end.
 */
void mg_face_join(const char *session);
/*
 * A child that forks before it has used anything joins its parent's region now: only who is attached can open the
 * way for a child that will have another user.
 */
void mg_face_settle(void);
/* Around fork; see fork.c. */
void mg_face_fork_before(void);
void mg_face_fork_parent(void);
void mg_face_fork_child(void);

/* One line on stderr when MANGO_DEBUG is set. */
void mg_face_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
