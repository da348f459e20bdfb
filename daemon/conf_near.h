/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_near.h - which key was probably meant?
 *
 * Idea:    the nearest name by edit distance in the same section, else the same name in another
 *          one.
 * Threads: pure.
 */
#ifndef MG_CONF_NEAR_H
#define MG_CONF_NEAR_H
#include <stddef.h>

#include "daemon/conf_tree.h"

/* "did you mean X?" or the keys of the level at `path`, appended to buf. */
void mg_conf_near_hint(const struct mg_conf_level *level, const char *path, const char *name,
		       char *buf, size_t len);

/* The nearest key of the whole table, or NULL. For SET_CONFIG and the command line. */
const char *mg_conf_near_key(const char *name);
#endif
