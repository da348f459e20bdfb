/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.h - who may attach, and with what limits.
 *
 * Idea:    the access list of the configuration with its names looked up once, at start. The first row that
 *          fits a peer counts. Without rows: root and the user who runs the daemon.
 *          Root and that user are also the ones who may change the configuration (admins).
 * Threads: built once, then constant, but for nr_sessions (control thread).
 */
#ifndef MG_ACCESS_H
#define MG_ACCESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/conf.h"

#define MG_ACCESS_GROUPS_MAX 64

/* Who is at the other end of a unix socket. */
struct mg_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	uint32_t nr_groups; /* supplementary */
	gid_t groups[MG_ACCESS_GROUPS_MAX];
};

struct mg_access_row {
	bool is_any_user;
	bool has_user;
	bool has_group;
	uid_t uid;
	gid_t gid;
	uint32_t nr_sessions; /* that came in by this row */
};

struct mg_access {
	uid_t own_uid;
	uint32_t nr_rows;
	struct mg_access_row rows[MG_CONF_ACCESS_MAX + 1];
};

/* Limits of one attachment; from the row, or from app.*. */
struct mg_access_limits {
	uint32_t connections_max;
	uint32_t listeners_max;
	uint64_t region_bytes;
};

/* 0; -EINVAL with one line in err: a name that this system does not know. */
int mg_access_init(struct mg_access *access, const struct mg_conf *conf, char *err, size_t errlen);
/* A user or group by name or number. 0 or -ENOENT. */
int mg_access_uid(const char *name, uid_t *ret_uid);
int mg_access_gid(const char *name, gid_t *ret_gid);

/* SO_PEERCRED and SO_PEERGROUPS. 0 or -errno. */
int mg_peer_get(int fd, struct mg_peer *ret_peer);
bool mg_access_is_admin(const struct mg_access *access, uid_t uid);

/* The row that lets the peer in. 0; -EACCES: none does; -EDQUOT: as many sessions of that row as it allows. */
int mg_access_check(const struct mg_access *access, const struct mg_conf *conf,
		    const struct mg_peer *peer, uint32_t *ret_row);
void mg_access_limits(const struct mg_access *access, const struct mg_conf *conf, uint32_t row,
		      struct mg_access_limits *ret_limits);
#endif
