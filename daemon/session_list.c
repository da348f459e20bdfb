/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_list.c - the table of attached processes, for operators.
 */
#include <string.h>
#include <sys/stat.h>

#include "daemon/loop.h"
#include "daemon/session.h"
#include "proto/base/bits.h"
#include "proto/base/time.h"

#define BLOCK_BYTES 512 /* the unit of st_blocks */

static void fill_region(const struct mg_region *region, struct mg_ctl_session_info *info)
{
	struct stat st;

	memset(info, 0, sizeof(*info));
	info->app = region->app.id;
	info->uid = region->uid;
	info->processes = region->nr_sessions;
	info->guards = region->nr_guards;
	info->connections = atomic_load_explicit(&region->app.nr_connections, memory_order_relaxed);
	info->listeners = atomic_load_explicit(&region->app.nr_listeners, memory_order_relaxed);
	info->region_bytes = region->app.total_bytes;
	if (fstat(region->fd, &st) == 0)
		info->resident_bytes = (uint64_t)st.st_blocks * BLOCK_BYTES;
}

static void fill_session(const struct mg_session *session, struct mg_ctl_session_info *info)
{
	fill_region(session->region, info);
	info->pid = (uint32_t)session->peer.pid;
	info->uid = session->peer.uid;
	info->contexts = (uint32_t)__builtin_popcount(session->contexts);
	info->age_ms = mg_ns_to_ms(mg_loop_now_ns() - session->since_ns);
	memcpy(info->program, session->program, sizeof(info->program));
}

uint32_t mg_sessions_list(const struct mg_sessions *sessions, uint32_t start, uint32_t max,
			  struct mg_ctl_session_info *items, bool *ret_more)
{
	uint32_t i = 0, n = 0;

	MG_LIST_FOREACH(it, &sessions->list) {
		if (i++ >= start && n < max)
			fill_session(mg_container_of(it, struct mg_session, node), &items[n++]);
	}
	MG_LIST_FOREACH(it, &sessions->regions) {
		const struct mg_region *region = mg_container_of(it, struct mg_region, node);

		if (region->nr_sessions == 0 && i++ >= start && n < max)
			fill_region(region, &items[n++]);
	}
	*ret_more = start + n < i;
	return n;
}
