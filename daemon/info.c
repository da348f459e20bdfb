/* SPDX-License-Identifier: Apache-2.0 */
/*
 * info.c - see info.h.
 */
#include "daemon/info.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

static int map(struct mg_info *info)
{
	void *mem;

	if (ftruncate(info->fd, sizeof(*info->shm)) < 0)
		return -errno;
	mem = mmap(NULL, sizeof(*info->shm), PROT_READ | PROT_WRITE, MAP_SHARED, info->fd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	info->shm = mem;
	if (fcntl(info->fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	return 0;
}

int mg_info_open(struct mg_info *info, uint32_t nr_workers, uint64_t daemon_epoch)
{
	int err;

	*info = (struct mg_info){ .fd = memfd_create("mango-info",
						     MFD_CLOEXEC | MFD_ALLOW_SEALING) };
	if (info->fd < 0)
		return -errno;
	err = map(info);
	if (err < 0) {
		mg_info_close(info);
		return err;
	}
	info->shm->daemon_epoch = daemon_epoch;
	info->shm->nr_workers = nr_workers;
	/* release: pairs with the acquire in the library, which then reads the rest */
	atomic_store_explicit(&info->shm->magic, MG_SHM_MAGIC, memory_order_release);
	return 0;
}

void mg_info_close(struct mg_info *info)
{
	if (info->shm != NULL)
		(void)munmap(info->shm, sizeof(*info->shm)); /* ours, whole: cannot fail */
	if (info->fd >= 0)
		close(info->fd);
	*info = (struct mg_info){ .fd = -1 };
}
