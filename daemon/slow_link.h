/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_link.h - the control thread's line to the slow path, wherever that runs.
 *
 * Idea:    requests go down, answers come up, both in order and by copy. Behind it are the rings of the slow
 *          path's event loop, or, in tests, a slow path that is made up.
 * Threads: the control thread on this side.
 */
#ifndef MG_SLOW_LINK_H
#define MG_SLOW_LINK_H
#include <stdbool.h>
#include <stdint.h>

#include "slowpath/core/slow.h"

enum mg_slow_answer_kind {
	MG_ANSWER_REPLY,      /* to `req`, of type MG_SLOW_REQ_CTL */
	MG_ANSWER_APP_GONE,   /* nobody uses `req.app` any more */
	MG_ANSWER_APP_BROKEN, /* `req.app` wrote nonsense into its region */
	MG_ANSWER_DRAINED,
};

struct mg_slow_answer {
	enum mg_slow_answer_kind kind;
	struct mg_slow_req req;
};

struct mg_slow_link {
	void *ctx;
	/* False: no room now. */
	bool (*request)(void *ctx, const struct mg_slow_req *req);
	/* The next answer; false: none now. Resets answer_fd. */
	bool (*answer)(void *ctx, struct mg_slow_answer *ret_answer);
	int answer_fd; /* readable when there are answers */
	/* For the health check; as of a moment ago. */
	void (*totals)(void *ctx, struct mg_slow_totals *ret_totals);
};
#endif
