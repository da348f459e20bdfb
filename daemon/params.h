/* SPDX-License-Identifier: Apache-2.0 */
/*
 * params.h - from the configuration to what the two paths want to know.
 *
 * Threads: pure functions, but for mg_params_secrets().
 */
#ifndef MG_PARAMS_H
#define MG_PARAMS_H
#include <stdint.h>

#include "daemon/conf.h"
#include "fastpath/core/fp.h"
#include "proto/base/log.h"
#include "slowpath/core/slow.h"

/* Random numbers of this start of the daemon. */
struct mg_secrets {
	uint64_t daemon_epoch;
	uint64_t hash_seed;
	uint8_t slow[16];
};

/* 0 or -errno. */
int mg_params_secrets(struct mg_secrets *ret_secrets);
void mg_params_tcp(const struct mg_conf *conf, struct mg_slow_conf *ret_tcp);
void mg_params_limits(const struct mg_conf *conf, const struct mg_secrets *secrets,
		      struct mg_slow_limits *ret_limits);
/* Tables of one worker; number, ports and time are the worker's own business. */
void mg_params_fp(const struct mg_conf *conf, const struct mg_slow_limits *limits,
		  struct mg_fp_conf *ret_fp);
enum mg_log_level mg_params_log_level(const struct mg_conf *conf);
#endif
