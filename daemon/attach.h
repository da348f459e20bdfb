/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.h - the attach socket: where applications come in, and where the `local` transport lives.
 *
 * Idea:    a unix SEQPACKET socket; each datagram is one struct mg_ctl_msg. ATTACH gives the client its region,
 *          wake-ups, doorbells and token and makes the connection its session: when it hangs up, however it
 *          died, the session ends. All other requests go to the handler; they need no attachment where the
 *          handler does not ask for one (health, configuration, tables).
 *          A client has at most MG_ATTACH_PIPELINE requests and unread replies together; then it is not
 *          read until some are gone. One whose replies wait for MG_ATTACH_STALL_NS is dropped.
 * Threads: the control thread. Nothing here blocks.
 */
#ifndef MG_ATTACH_SERVER_H
#define MG_ATTACH_SERVER_H
#include <stdbool.h>
#include <stdint.h>

#include "daemon/guard.h"
#include "daemon/handler.h"
#include "daemon/info.h"
#include "daemon/loop.h"
#include "daemon/session.h"
#include "proto/base/log.h"

#define MG_ATTACH_PIPELINE 16
#define MG_ATTACH_STALL_NS 10000000000ull
#define MG_ATTACH_UNATTACHED_MAX \
	128 /* connections without a session; administrators have room for as many more */
#define MG_ATTACH_UNATTACHED_USER_MAX 32 /* of one user */

/* Where a client's doorbells come from: one for each worker, the client's own (fastpath/io/idle.h). */
struct mg_doorbells {
	int (*open)(void *ctx,
		    uint32_t worker); /* a descriptor that is closed when it is passed, or -errno */
	void *ctx;
};

struct mg_attach_conf {
	const struct mg_log *log;
	struct mg_loop *loop;
	struct mg_handler *handler;
	struct mg_sessions *sessions;
	struct mg_guards *guards;
	const struct mg_access *access;
	const struct mg_info *info;
	struct mg_doorbells doorbells;
	uint32_t nr_workers;
};

struct mg_attach {
	struct mg_attach_conf conf;
	struct mg_loop_source listener;
	struct mg_loop_timer retry; /* accept again, after the system had no descriptors */
	struct mg_list clients;
	uint32_t nr_clients;
	bool is_closed; /* no new attachments */
};

/* Takes the listening socket (instance.h). 0 or -errno. */
int mg_attach_open(struct mg_attach *attach, const struct mg_attach_conf *conf, int fd_take);
/* No new clients and no new sessions; those that are there go on. */
void mg_attach_drain(struct mg_attach *attach);
/* Hangs up on everyone. Requests that are with the handler must have been answered. */
void mg_attach_close(struct mg_attach *attach);
/* Hangs up on every process that holds this application. */
void mg_attach_kick(struct mg_attach *attach, const struct mg_app *app);
#endif
