/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handler.h - the one place where control requests are answered, whatever carried them.
 *
 * Idea:    health, configuration and counters are answered at once; TCP_* and the tables go to the slow path
 *          with the message itself, which comes back as the reply. Who may do what is decided here:
 *          TCP_* need a session (of the transport, or by the token), SET_CONFIG an administrator.
 * Use:     mg_handler_handle() per request; mg_handler_slow_reply() per answer of the slow path;
 *          request->done() is called exactly once for each request, perhaps before handle() returns.
 * Threads: the control thread.
 */
#ifndef MG_HANDLER_H
#define MG_HANDLER_H
#include <stdbool.h>
#include <stdint.h>

#include "daemon/conf.h"
#include "daemon/request.h"
#include "daemon/session.h"
#include "slowpath/core/slow.h"

struct mg_handler_env {
	void *ctx;
	/* To the slow path, in order; never refused. The answer comes by mg_handler_slow_reply(). */
	void (*slow)(void *ctx, const struct mg_slow_req *req);
	/* Everything but is_draining; the struct is zeroed. */
	void (*health)(void *ctx, struct mg_ctl_health *ret_health);
	/* The configuration was changed. */
	void (*conf_changed)(void *ctx);
	/* Counter number i of those that the slow path does not keep; false: there are no more. */
	bool (*counter)(void *ctx, uint32_t i, struct mg_ctl_counter *ret_counter);
};

struct mg_handler {
	struct mg_handler_env env;
	struct mg_conf *conf;
	struct mg_sessions *sessions;
	struct mg_list with_slow; /* requests that wait for the slow path */
	struct mg_list queries;   /* that wait for their turn there */
	uint32_t nr_queries;      /* there */
	bool is_draining;         /* no new listeners and connections */
};

void mg_handler_init(struct mg_handler *handler, const struct mg_handler_env *env,
		     struct mg_conf *conf, struct mg_sessions *sessions);
void mg_handler_handle(struct mg_handler *handler, struct mg_request *request);
/* A GUARD of the attach socket, whose items have guards (guard.h); request->session is set. */
void mg_handler_guard(struct mg_handler *handler, struct mg_request *request);
/* The answer to a request of type MG_SLOW_REQ_CTL. */
void mg_handler_slow_reply(struct mg_handler *handler, const struct mg_slow_req *req);
/* The slow path has stopped: whatever waits for it fails. */
void mg_handler_abandon(struct mg_handler *handler);
#endif
