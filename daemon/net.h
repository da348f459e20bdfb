/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - the ports of the daemon, and what the slow path has to know about them.
 *
 * Idea:    opens EAL and every configured port; then ports, addresses, routes and static neighbours go into
 *          the slow path's engine, where a port's number is its row in the configuration.
 * Threads: one, at start and at the end.
 */
#ifndef MG_NET_H
#define MG_NET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/conf.h"
#include "fastpath/io/port.h"
#include "proto/base/log.h"
#include "slowpath/core/slow.h"

struct mg_net {
	const struct mg_log *log;
	bool is_open; /* until then our own line says what went wrong, and DPDK's are for debugging */
	bool has_eal;
	uint32_t nr_ports;
	struct mg_port ports[MG_CONF_PORTS_MAX];
};

/* 0 or -errno with one line in err; mg_net_close() is due even then. The struct must be zeroed. */
int mg_net_open(struct mg_net *net, const struct mg_conf *conf, const struct mg_log *log, char *err,
		size_t errlen);
void mg_net_close(struct mg_net *net);
/* Likewise. */
int mg_net_tell_slow(const struct mg_net *net, const struct mg_conf *conf, struct mg_slow *slow,
		     char *err, size_t errlen);
#endif
