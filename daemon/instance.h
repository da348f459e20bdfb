/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.h - the folder of one daemon: RUNTIME_DIR/INSTANCE with its lock and its sockets.
 *
 * Idea:    a lock on a file decides who runs the instance; the kernel lets go of it when a daemon dies, so
 *          sockets that a dead daemon left are simply replaced by the next holder.
 * Use:     mg_instance_open(), then sockets; mg_instance_close() removes everything that was made.
 * Threads: one, at start and at the end.
 */
#ifndef MG_INSTANCE_H
#define MG_INSTANCE_H
#include <stddef.h>
#include <sys/types.h>

#include "daemon/conf.h"

struct mg_instance {
	char dir[MG_CONF_PATH_MAX + MG_CONF_NAME_MAX + 2];
	int lock_fd; /* -1: not held */
};

/* 0; -EBUSY: a daemon runs it; other -errno. One line with cause and cure in err. */
int mg_instance_open(struct mg_instance *instance, const struct mg_conf *conf, char *err,
		     size_t errlen);
void mg_instance_close(struct mg_instance *instance);

struct mg_unix_listen {
	const char *path;
	int type; /* SOCK_STREAM, SOCK_SEQPACKET */
	mode_t mode;
	uid_t uid; /* -1: as it is */
	gid_t gid;
};

/* A listening, non-blocking socket; what was at the path is replaced if it is a socket. The descriptor, or -errno. */
int mg_unix_listen(const struct mg_unix_listen *conf, char *err, size_t errlen);
#endif
