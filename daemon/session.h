/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - the attached processes and their regions.
 *
 * Idea:    a session is one attachment of one process. Most have a region of their own; a forked child, or a
 *          program that it became, shows the region's `share` token and joins it. When the last session and the
 *          last guard (guard.h) of a region are gone, the slow path is told to let go of the application
 *          (MG_SLOW_REQ_APP_DEL), and when it says that every thread has (mg_sessions_app_gone), the region is
 *          freed. A session that ends before takes along what is its own (MG_SLOW_REQ_HOLDER_GONE).
 *          Tokens are 128 random bits: whoever knows one speaks for the session, on any transport.
 * Threads: the control thread.
 */
#ifndef MG_SESSION_H
#define MG_SESSION_H
#include <stdbool.h>
#include <stdint.h>

#include "daemon/access.h"
#include "daemon/conf.h"
#include "daemon/region.h"
#include "proto/base/list.h"
#include "proto/ctl/ctl.h"
#include "slowpath/core/slow.h"

#define MG_SESSION_BUCKETS 256

struct mg_session {
	struct mg_list_node node;   /* of all */
	struct mg_list_node bucket; /* by token */
	struct mg_ctl_token token;
	struct mg_region *region;
	struct mg_peer peer;
	uint32_t contexts; /* bit per context it holds */
	uint32_t access;   /* row that let it in */
	uint64_t since_ns;
	char program[64];
	void *client; /* of the attach server: who holds it open */
};

struct mg_sessions_env {
	void *ctx;
	/* To the slow path, in order; never refused. */
	void (*slow)(void *ctx, const struct mg_slow_req *req);
	/* A session is over: forget its token. */
	void (*ended)(void *ctx, const struct mg_ctl_token *token);
};

struct mg_sessions {
	struct mg_sessions_env env;
	const struct mg_conf *conf;
	struct mg_access *access;
	struct mg_list list;
	struct mg_list regions; /* until they are freed */
	struct mg_list buckets[MG_SESSION_BUCKETS];
	uint32_t nr_sessions;
	uint32_t nr_regions;
	uint32_t apps_max;    /* of the slow path */
	uint32_t windows_max; /* likewise, of one region */
	uint64_t payload_max;
	uint32_t nr_workers;
	uint64_t daemon_epoch;
	uint64_t *ids; /* bit per app id in use */
};

/* The limits are those that the slow path was made with. 0 or -ENOMEM. */
int mg_sessions_init(struct mg_sessions *sessions, const struct mg_conf *conf,
		     struct mg_access *access, const struct mg_slow_limits *limits,
		     const struct mg_sessions_env *env);
/* Frees regions that are left; only when the slow path and the workers have stopped. */
void mg_sessions_close(struct mg_sessions *sessions);

/*
 * 0; -EACCES: not on the access list; -EDQUOT: too many sessions; -ENOSPC: no context left; -ENOENT: no such parent;
 * -EINVAL: the configured region is too small; -ENOMEM, -EMFILE and what else the system says.
 */
int mg_session_begin(struct mg_sessions *sessions, const struct mg_peer *peer,
		     const struct mg_ctl_attach *attach, struct mg_session **ret_session,
		     uint32_t *ret_context);
void mg_session_end(struct mg_sessions *sessions, struct mg_session *session);
/* Another context for the same process. 0 or -ENOSPC. */
int mg_session_context_open(struct mg_session *session, uint32_t *ret_context);

/* After a process or a guard has gone: was it the last? */
void mg_sessions_region_step(struct mg_sessions *sessions, struct mg_region *region);
/* Attached processes, and regions that only guards hold; as mg_guards_list(). */
uint32_t mg_sessions_list(const struct mg_sessions *sessions, uint32_t start, uint32_t max,
			  struct mg_ctl_session_info *items, bool *ret_more);

/* NULL: unknown. */
struct mg_session *mg_session_find(struct mg_sessions *sessions, const struct mg_ctl_token *token);
void mg_sessions_app_gone(struct mg_sessions *sessions, struct mg_app *app);
#endif
