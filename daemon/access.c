/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.c - see access.h.
 */
#include "daemon/access.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59 /* Linux 4.13 */
#endif

#define NSS_BYTES 4096

static bool parse_number(const char *text, uint32_t *ret_value)
{
	char *end;
	unsigned long value;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (*end != '\0' || errno != 0 || value >= UINT32_MAX)
		return false;
	*ret_value = (uint32_t)value;
	return true;
}

int mg_access_uid(const char *name, uid_t *ret_uid)
{
	char buf[NSS_BYTES];
	struct passwd pw;
	struct passwd *found = NULL;

	if (parse_number(name, ret_uid))
		return 0;
	if (getpwnam_r(name, &pw, buf, sizeof(buf), &found) != 0 || found == NULL)
		return -ENOENT;
	*ret_uid = pw.pw_uid;
	return 0;
}

int mg_access_gid(const char *name, gid_t *ret_gid)
{
	char buf[NSS_BYTES];
	struct group gr;
	struct group *found = NULL;

	if (parse_number(name, ret_gid))
		return 0;
	if (getgrnam_r(name, &gr, buf, sizeof(buf), &found) != 0 || found == NULL)
		return -ENOENT;
	*ret_gid = gr.gr_gid;
	return 0;
}

static int init_row(struct mg_access_row *row, const struct mg_conf_access *conf, uint32_t i,
		    char *err, size_t errlen)
{
	row->is_any_user = strcmp(conf->user, "*") == 0;
	row->has_user = conf->user[0] != '\0' && !row->is_any_user;
	row->has_group = conf->group[0] != '\0' && strcmp(conf->group, "*") != 0;
	if (row->has_user && mg_access_uid(conf->user, &row->uid) < 0) {
		(void)snprintf(
			err, errlen, /* cut is fine */
			"access[%u].user: this system has no user \"%s\"; create it or correct the name",
			i, conf->user);
		return -EINVAL;
	}
	if (row->has_group && mg_access_gid(conf->group, &row->gid) < 0) {
		(void)snprintf(
			err, errlen, /* cut is fine */
			"access[%u].group: this system has no group \"%s\"; create it or correct the name",
			i, conf->group);
		return -EINVAL;
	}
	return 0;
}

int mg_access_init(struct mg_access *access, const struct mg_conf *conf, char *err, size_t errlen)
{
	*access = (struct mg_access){ .own_uid = geteuid(), .nr_rows = conf->access_count };
	for (uint32_t i = 0; i < conf->access_count; i++) {
		int res = init_row(&access->rows[i], &conf->access[i], i, err, errlen);

		if (res < 0)
			return res;
	}
	return 0;
}

int mg_peer_get(int fd, struct mg_peer *ret_peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	socklen_t groups_len = sizeof(ret_peer->groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret_peer = (struct mg_peer){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	/* Without them, or with more than fit, the peer has its primary group only. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, ret_peer->groups, &groups_len) == 0)
		ret_peer->nr_groups = (uint32_t)(groups_len / sizeof(gid_t));
	return 0;
}

bool mg_access_is_admin(const struct mg_access *access, uid_t uid)
{
	return uid == 0 || uid == access->own_uid;
}

static bool has_group(const struct mg_peer *peer, gid_t gid)
{
	if (peer->gid == gid)
		return true;
	for (uint32_t i = 0; i < peer->nr_groups; i++) {
		if (peer->groups[i] == gid)
			return true;
	}
	return false;
}

static bool fits(const struct mg_access_row *row, const struct mg_peer *peer)
{
	if (row->has_user && row->uid != peer->uid)
		return false;
	if (row->has_group && !has_group(peer, row->gid))
		return false;
	return row->has_user || row->has_group || row->is_any_user;
}

int mg_access_check(const struct mg_access *access, const struct mg_conf *conf,
		    const struct mg_peer *peer, uint32_t *ret_row)
{
	for (uint32_t i = 0; i < access->nr_rows; i++) {
		uint32_t max = conf->access[i].sessions_max;

		if (!fits(&access->rows[i], peer))
			continue;
		*ret_row = i;
		return max != 0 && access->rows[i].nr_sessions >= max ? -EDQUOT : 0;
	}
	*ret_row = access->nr_rows;
	return access->nr_rows == 0 && mg_access_is_admin(access, peer->uid) ? 0 : -EACCES;
}

void mg_access_limits(const struct mg_access *access, const struct mg_conf *conf, uint32_t row,
		      struct mg_access_limits *ret_limits)
{
	struct mg_access_limits limits = { conf->app.connections_max, conf->app.listeners_max,
					   conf->app.region_bytes };

	if (row < access->nr_rows) {
		const struct mg_conf_access *own = &conf->access[row];

		if (own->connections_max != 0)
			limits.connections_max = own->connections_max;
		if (own->listeners_max != 0)
			limits.listeners_max = own->listeners_max;
		if (own->region_bytes != 0)
			limits.region_bytes = own->region_bytes;
	}
	*ret_limits = limits;
}
