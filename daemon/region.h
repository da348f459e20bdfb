/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region.h - the shared memory of one application, as its file, mapping and contexts.
 *
 * Idea:    a sparse memfd, sealed against growing and shrinking before anyone else has it, mapped by the daemon
 *          and by the application. Its trusted description (struct mg_app) goes to the slow path and the
 *          workers; this struct belongs to the control thread. The numbers of all wake-up descriptors are
 *          taken at once, because the workers read them without locks.
 *          A context is handed to one process at a time. One that was given back is used again only when
 *          no fresh one is left; whoever gets it starts at the indices it finds in the rings.
 * Threads: the control thread; `app` as proto/path/app.h says.
 * Memory:  address space and file size of the whole region; pages when they are touched. A page that the
 *          application touched stays until the region goes.
 */
#ifndef MG_REGION_H
#define MG_REGION_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/list.h"
#include "proto/ctl/ctl.h"
#include "proto/path/app.h"

/* Threads and processes of one application that wait for events; libmango.h promises as many TCP handles. */
#define MG_REGION_CONTEXTS MG_SHM_CONTEXTS_MAX

struct mg_region {
	struct mg_list_node node; /* of all (session.c) */
	struct mg_app app;
	int fd;
	uid_t uid;
	uint32_t access;           /* row of the access list */
	struct mg_ctl_token share; /* who shows it joins */
	struct mg_list guards;     /* guard.c */
	uint32_t nr_guards;
	uint32_t nr_sessions; /* processes that hold it */
	bool is_leaving;      /* the slow path was told to let go */
	uint32_t listeners_max;
	uint32_t connections_max;
	uint32_t contexts_used; /* bit per context: somebody has it */
	uint32_t contexts_old;  /* bit per context: somebody had it */
};

/* layout->nr_contexts must be MG_REGION_CONTEXTS. 0 or -errno. */
int mg_region_new(const struct mg_app_layout *layout, uint64_t daemon_epoch,
		  struct mg_region **ret_region);
/* When no thread has the app any more. NULL is allowed. */
void mg_region_free(struct mg_region *region);

/*
 * The application's end of a context's wake-ups: a datagram socket that becomes readable when we write to wake_fd.
 * Who had the context before gets no more of them. *ret_fd is the caller's to pass and to close: we must not be
 * the last to close it. An open file that both sides have is no good: the application could take O_NONBLOCK off,
 * fill or empty it, hold a pipe's lock by a read into memory that it does not deliver, or likewise keep our close()
 * from returning by an epoll set around it. Of a socket pair it has one end, and nothing that we wait for.
 */
int mg_region_wake_open(const struct mg_region *region, uint32_t context, int *ret_fd);

/* pid: of the process that gets it, for people. 0 or -ENOSPC. */
int mg_region_context_open(struct mg_region *region, uint32_t pid, uint32_t *ret_context);
void mg_region_context_close(struct mg_region *region, uint32_t context);
#endif
