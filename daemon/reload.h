/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.h - reads the configuration file again (SIGHUP).
 *
 * Idea:    a wrong file changes nothing. Of a right one the keys that can change at run time are taken over, all
 *          or none; the others that differ are named in the log: they need a restart.
 * Threads: the control thread.
 */
#ifndef MG_RELOAD_H
#define MG_RELOAD_H
#include <stdint.h>

#include "daemon/conf.h"
#include "proto/base/log.h"

/* 0 with the number of changed keys; or the error of mg_conf_load() or mg_conf_set_many(), logged. */
int mg_reload(const char *path, struct mg_conf *conf, const struct mg_log *log,
	      uint32_t *ret_nr_changed);
#endif
