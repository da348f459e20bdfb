/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env.h - what the environment tells the client library.
 *
 * Idea:    the library lives in someone else's process: it is silent unless MANGO_LOG is set, and it reads
 *          its few settings when an instance is opened, never later.
 *            MANGO_LOG          error, warn, info or debug: lines on stderr
 *            MANGO_ADDRESS      where mango_ipc_open(NULL) goes (local:mango)
 *            MANGO_RUNTIME_DIR  where instances keep their attach sockets (/run/mango)
 *            MANGO_MODULE_PATH  a folder to look for transport modules first
 *            MANGO_SPIN_US      how long a blocked call polls before it sleeps, at most
 * Threads: any; getenv() rules apply (do not change the environment at the same time).
 */
#ifndef MG_ENV_H
#define MG_ENV_H
#include <stdint.h>

#include "proto/base/log.h"

#define MG_ENV_RUNTIME_DIR "/run/mango"
#define MG_ENV_ADDRESS "local:mango"
#define MG_ENV_SPIN_US 60u
#define MG_ENV_SPIN_US_MAX 1000000u

struct mg_env {
	struct mg_log log;
	const struct mg_log *logp; /* &log, or NULL: silent */
	uint32_t spin_us;
};

void mg_env_read(struct mg_env *env);
/* The value, or the default when unset or empty. */
const char *mg_env_get(const char *name, const char *deflt);
#endif
