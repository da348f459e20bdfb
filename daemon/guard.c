/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.c - see guard.h.
 */
#include "daemon/guard.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "proto/base/bits.h"

struct mg_guard {
	struct mg_list_node node;     /* of the region */
	struct mg_loop_source source; /* .fd -1: hung up, waits for the slow path's word */
	struct mg_guards *guards;
	struct mg_region *region;
	struct mg_ctl_guard info;
	bool is_pending; /* the slow path has not answered yet */
};

static bool has_option(int fd, int option, int want)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == want;
}

bool mg_guard_fits(int fd)
{
	return has_option(fd, SO_DOMAIN, AF_UNIX) && has_option(fd, SO_TYPE, SOCK_STREAM) &&
	       has_option(fd, SO_ACCEPTCONN, 0);
}

static void hang_up(struct mg_guard *guard)
{
	if (guard->source.fd < 0)
		return;
	mg_loop_remove(guard->guards->loop, &guard->source);
	mg_closer_push(guard->guards->closer, guard->source.fd, guard->region->uid);
	guard->source.fd = -1;
}

/* The region may go with it. */
static void drop(struct mg_guard *guard)
{
	struct mg_region *region = guard->region;
	struct mg_sessions *sessions = guard->guards->sessions;

	hang_up(guard);
	mg_list_remove(&guard->node);
	free(guard);
	region->nr_guards--;
	mg_sessions_region_step(sessions, region);
}

static void close_object(const struct mg_guard *guard)
{
	struct mg_slow_req req = {
		.type = MG_SLOW_REQ_UNGUARD,
		.arg = guard->info.kind,
		.app = &guard->region->app,
		.value = (uint64_t)guard->info.id << 32 | guard->info.gen,
	};
	struct mg_sessions *sessions = guard->guards->sessions;

	sessions->env.slow(sessions->env.ctx, &req);
}

/* Behind the request to guard it: if that is refused, the object has another guard or is not there. */
static void on_guard(struct mg_loop_source *source, uint32_t events)
{
	struct mg_guard *guard = mg_container_of(source, struct mg_guard, source);

	(void)events; /* nobody asked for anything but the end */
	hang_up(guard);
	if (guard->is_pending)
		return;
	close_object(guard);
	drop(guard);
}

int mg_guard_new(struct mg_guards *guards, struct mg_region *region,
		 const struct mg_ctl_guard *info, int fd_take, struct mg_guard **ret_guard)
{
	struct mg_guard *guard = calloc(1, sizeof(*guard));
	int err = -ENOMEM;

	if (guard == NULL)
		goto refuse;
	guard->source = (struct mg_loop_source){ .fd = fd_take, .fn = on_guard };
	guard->guards = guards;
	guard->region = region;
	guard->info = *info;
	guard->is_pending = true;
	err = mg_loop_add(guards->loop, &guard->source, EPOLLRDHUP);
	if (err < 0)
		goto refuse;
	mg_list_push_back(&region->guards, &guard->node);
	region->nr_guards++;
	*ret_guard = guard;
	return 0;

refuse:
	free(guard);
	mg_closer_push(guards->closer, fd_take, region->uid);
	return err;
}

static int check_all(struct mg_guards *guards, const struct mg_region *region,
		     const struct mg_ctl_msg *msg, const int *fds, uint32_t nr_fds)
{
	uint32_t max = region->connections_max + region->listeners_max;

	if (msg->hdr.count == 0 || msg->hdr.count > MG_CTL_GUARDS_MAX || nr_fds != msg->hdr.count)
		return -EBADMSG;
	for (uint32_t i = 0; i < nr_fds; i++)
		if (!mg_guard_fits(fds[i]))
			return -ENOTSOCK;
	if (region->nr_guards + nr_fds > max)
		return -EDQUOT;
	return mg_closer_is_choked(guards->closer, region->uid) ? -EBUSY : 0;
}

int mg_guards_take(struct mg_guards *guards, struct mg_region *region, struct mg_ctl_msg *msg,
		   int *fds, uint32_t nr_fds)
{
	int err = check_all(guards, region, msg, fds, nr_fds);

	if (err < 0)
		return err;
	for (uint32_t i = 0; i < nr_fds; i++)
		msg->guard[i].handle = 0;
	for (uint32_t i = 0; i < nr_fds && err == 0; i++) {
		struct mg_ctl_guard info = msg->guard[i];
		struct mg_guard *guard;

		info.status = 0;
		err = mg_guard_new(guards, region, &info, fds[i], &guard);
		fds[i] = -1;
		if (err == 0)
			msg->guard[i].handle = (uint64_t)(uintptr_t)guard;
	}
	if (err < 0) {
		msg->hdr.status = err;
		mg_guards_settle_all(msg);
	}
	return err;
}

void mg_guard_settle(struct mg_guard *guard, int status)
{
	guard->is_pending = false;
	if (status == 0 && guard->source.fd >= 0)
		return;
	if (status == 0)
		close_object(guard); /* the last descriptor went in between */
	drop(guard);
}

void mg_guards_settle_all(struct mg_ctl_msg *msg)
{
	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		struct mg_guard *guard = (struct mg_guard *)(uintptr_t)msg->guard[i].handle;
		int status = msg->hdr.status < 0 ? msg->hdr.status : msg->guard[i].status;

		msg->guard[i].handle = 0;
		if (guard != NULL)
			mg_guard_settle(guard, status);
	}
}

void mg_guards_drop(struct mg_guards *guards, struct mg_region *region)
{
	(void)guards;
	region->nr_guards++; /* holds it */
	MG_LIST_FOREACH_SAFE(it, &region->guards) {
		struct mg_guard *guard = mg_container_of(it, struct mg_guard, node);

		if (guard->is_pending)
			hang_up(guard);
		else
			drop(guard);
	}
	region->nr_guards--;
	mg_sessions_region_step(guards->sessions, region);
}

void mg_guards_drop_all(struct mg_guards *guards)
{
	MG_LIST_FOREACH_SAFE(it, &guards->sessions->regions)
		mg_guards_drop(guards, mg_container_of(it, struct mg_region, node));
}

/* Its end is there, but was not looked at yet: who closed the last descriptor must not be told that there is one. */
static bool has_hung_up(const struct mg_guard *guard)
{
	struct pollfd pfd = { .fd = guard->source.fd, .events = POLLRDHUP };

	return poll(&pfd, 1, 0) == 1;
}

uint32_t mg_guards_list(const struct mg_region *region, uint32_t start, uint32_t max,
			struct mg_ctl_guard *items, bool *ret_more)
{
	uint32_t i = 0, n = 0;

	*ret_more = false;
	MG_LIST_FOREACH(it, &region->guards) {
		const struct mg_guard *guard = mg_container_of(it, struct mg_guard, node);

		if (guard->is_pending || guard->source.fd < 0 || has_hung_up(guard) || i++ < start)
			continue;
		if (n == max) {
			*ret_more = true;
			break;
		}
		items[n++] = guard->info;
	}
	return n;
}
