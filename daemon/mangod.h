/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mangod.h - the daemon as a library: everything but the command line.
 *
 * Idea:    boot is a list of parts, each with a line of log when it fails, naming cause and cure; the end is the
 *          same list backwards. All state hangs off one struct mg_daemon.
 * Use:     mg_daemon_run() with signals SIGTERM, SIGINT and SIGHUP blocked; it returns when the daemon has ended.
 * Threads: the caller's becomes the control thread. Others: one per worker, one for the slow path (unless it is
 *          inline in worker 0), those of gRPC, those of DPDK.
 */
#ifndef MG_MANGOD_H
#define MG_MANGOD_H
#include "daemon/conf.h"
#include "proto/base/log.h"

struct mg_daemon_args {
	const char *conf_path; /* read again at SIGHUP; NULL: never */
	struct mg_conf *conf;  /* changed at run time */
	struct mg_log *log;    /* its level follows log.level */
};

/* 0 after an orderly end; -errno when something failed, which has been logged. */
int mg_daemon_run(const struct mg_daemon_args *args);
#endif
