/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region.c - see region.h.
 */
#include "daemon/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/assert.h"

/* A sealed file of that size, mapped. */
static int open_backing(struct mg_region *region, uint64_t bytes)
{
	void *base;

	region->fd = memfd_create("mango-region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (region->fd < 0)
		return -errno;
	if (ftruncate(region->fd, (off_t)bytes) < 0 ||
	    fcntl(region->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, region->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	region->app.base = base;
	region->app.total_bytes = bytes;
	/* A core dump of the daemon need not hold the data of its applications. */
	(void)madvise(base, bytes, MADV_DONTDUMP);
	return 0;
}

/* Places for the wake-ups, so that their numbers never change while other threads use them. */
static int open_wakes(struct mg_app *app)
{
	for (uint32_t c = 0; c < app->nr_contexts; c++) {
		app->contexts[c].wake_fd = socket(AF_UNIX,
						  SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (app->contexts[c].wake_fd < 0)
			return -errno;
	}
	return 0;
}

int mg_region_new(const struct mg_app_layout *layout, uint64_t daemon_epoch,
		  struct mg_region **ret_region)
{
	struct mg_region *region = calloc(1, sizeof(*region));
	int err;

	MG_ASSERT(layout->nr_contexts == MG_REGION_CONTEXTS);
	if (region == NULL)
		return -ENOMEM;
	region->fd = -1;
	mg_list_init(&region->guards);
	for (uint32_t c = 0; c < MG_SHM_CONTEXTS_MAX; c++)
		region->app.contexts[c].wake_fd = -1;
	err = open_backing(region, mg_app_region_bytes(layout));
	if (err < 0)
		goto free_region;
	mg_app_region_format(region->app.base, layout, daemon_epoch);
	mg_app_bind(&region->app, region->app.base, layout);
	err = open_wakes(&region->app);
	if (err < 0)
		goto free_region;
	*ret_region = region;
	return 0;

free_region:
	mg_region_free(region);
	return err;
}

void mg_region_free(struct mg_region *region)
{
	if (region == NULL)
		return;
	for (uint32_t c = 0; c < MG_SHM_CONTEXTS_MAX; c++) {
		if (region->app.contexts[c].wake_fd >= 0)
			close(region->app.contexts[c].wake_fd);
	}
	if (region->app.base != NULL)
		(void)munmap(region->app.base,
			     region->app.total_bytes); /* ours, whole: cannot fail */
	if (region->fd >= 0)
		close(region->fd);
	free(region);
}

int mg_region_wake_open(const struct mg_region *region, uint32_t context, int *ret_fd)
{
	const int least = 1;
	int pair[2];
	int err = 0;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	/* Nothing comes back, descriptors neither, and a few wake-ups that wait are enough. */
	(void)shutdown(pair[0], SHUT_RD);                                        /* cannot fail */
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)); /* nor this */
	if (dup3(pair[0], region->app.contexts[context].wake_fd, O_CLOEXEC) < 0)
		err = -errno;
	close(pair[0]);
	if (err < 0)
		close(pair[1]);
	else
		*ret_fd = pair[1];
	return err;
}

/* Whoever holds a lock word as the former owner of the context is dead from now on (abi.h). */
static void move_life(struct mg_region *region, uint32_t context, uint32_t pid)
{
	struct mg_app_context *ctx = &region->app.contexts[context];

	atomic_fetch_add_explicit(&ctx->shm->life, 1, memory_order_release);
	atomic_store_explicit(&ctx->pid, pid, memory_order_relaxed);
}

int mg_region_context_open(struct mg_region *region, uint32_t pid, uint32_t *ret_context)
{
	uint32_t all = UINT32_MAX >> (32 - MG_REGION_CONTEXTS);
	uint32_t fresh = all & ~region->contexts_used & ~region->contexts_old;
	uint32_t usable = fresh != 0 ? fresh : all & ~region->contexts_used;

	if (usable == 0)
		return -ENOSPC;
	*ret_context = (uint32_t)__builtin_ctz(usable);
	region->contexts_used |= 1u << *ret_context;
	move_life(region, *ret_context, pid);
	/* Before the application can ring there: it hears of the context by a message that is sent later. */
	atomic_fetch_or_explicit(&region->app.contexts_open, 1u << *ret_context,
				 memory_order_relaxed);
	return 0;
}

void mg_region_context_close(struct mg_region *region, uint32_t context)
{
	MG_ASSERT((region->contexts_used >> context & 1) != 0);
	region->contexts_used &= ~(1u << context);
	region->contexts_old |= 1u << context;
	move_life(region, context, 0);
}
