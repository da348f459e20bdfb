/* SPDX-License-Identifier: Apache-2.0 */
/*
 * info.h - the daemon-wide page that tells applications which workers sleep.
 *
 * Idea:    a memfd with one struct mg_shm_info. The daemon maps it for writing first; then a seal forbids
 *          writing to everyone who maps it later.
 * Threads: made and freed by the control thread; line w is written by worker w.
 */
#ifndef MG_INFO_H
#define MG_INFO_H
#include <stdint.h>

#include "proto/shm/abi.h"

struct mg_info {
	struct mg_shm_info *shm;
	int fd;
};

/* 0 or -errno. */
int mg_info_open(struct mg_info *info, uint32_t nr_workers, uint64_t daemon_epoch);
void mg_info_close(struct mg_info *info);
#endif
