/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_scan.h - first pass over a configuration file: is its structure right, and on which line
 * is what?
 *
 * Idea:    libcyaml stops at a fault with a backtrace in its own words and forgets the lines of
 *          what it has loaded. So libyaml's events are walked first, beside the tree of the
 *          schema: syntax, unknown and repeated keys, wrong nesting, too long lists and aliases
 *          are reported here, and the line of every key is kept for the judges that come later.
 *          The walk ends at the first fault; so its depth is bounded by the schema's (libyaml
 *          needs quadratic time for deep nesting), and libcyaml only sees documents that fit the
 *          schema.
 * Threads: plain values.
 * Memory:  heap, freed by mg_conf_scan_free().
 */
#ifndef MG_CONF_SCAN_H
#define MG_CONF_SCAN_H
#include <stdbool.h>
#include <stddef.h>

#include "daemon/conf_err.h"
#include "daemon/conf_tree.h"

struct mg_conf_mark {
	char path[MG_CONF_KEY_MAX];
	unsigned line;
	bool is_empty_list; /* [] was written, which libcyaml does not tell from nothing */
};

struct mg_conf_marks {
	struct mg_conf_mark *m;
	size_t n, room;
};

/* 0, -EINVAL with a located message, -ENOMEM. `ret_marks` must be freed in every case. */
int mg_conf_scan(const char *buf, size_t len, const char *file, const struct mg_conf_level *top,
		 struct mg_conf_marks *ret_marks, struct mg_conf_err *err);
void mg_conf_scan_free(struct mg_conf_marks *marks);

/* The line of a key or of the row it is missing in; 0: it does not stand in the file. */
unsigned mg_conf_scan_line(const struct mg_conf_marks *marks, const char *path);

/* Does the file say that this list is empty? */
bool mg_conf_scan_is_empty_list(const struct mg_conf_marks *marks, const char *path);
#endif
