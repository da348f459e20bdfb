/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_load.h - a YAML text over a set of settings.
 *
 * Threads: plain values.
 */
#ifndef MG_CONF_LOAD_H
#define MG_CONF_LOAD_H
#include <stddef.h>

#include "daemon/conf_scan.h"

/*
 * Sets what the text names and leaves the rest of `conf`, which is half changed on error. The
 * marks are for later messages; they must be freed in every case. 0, -EINVAL (located message),
 * -ENOMEM.
 */
int mg_conf_load_over(struct mg_conf *conf, const char *buf, size_t len, const char *file,
		      struct mg_conf_marks *ret_marks, struct mg_conf_err *err);
#endif
