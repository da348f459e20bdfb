/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_err.h - one clear message per wrong setting.
 *
 * Idea:    the place that finds a fault knows key, found and allowed; the place that reads the
 *          file knows file and line. The first calls mg_conf_err_fail(), the second
 *          mg_conf_err_locate().
 * Threads: plain values.
 */
#ifndef MG_CONF_ERR_H
#define MG_CONF_ERR_H
#include <stdarg.h>
#include <stddef.h>

#include "daemon/conf.h"

/*
 * Sets "KEY: " and the formatted rest; returns -EINVAL. `err` may be NULL. An empty key is left
 * out.
 */
int mg_conf_err_fail(struct mg_conf_err *err, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "FILE:LINE: " before the text; line 0 leaves the line out. */
void mg_conf_err_locate(struct mg_conf_err *err, const char *file, unsigned line);

/*
 * Copies untrusted text for a message: printable, at most some 60 characters, in quotes. Returns
 * buf.
 */
#define MG_CONF_QUOTE_MAX 72
const char *mg_conf_err_quote(const char *text, char buf[MG_CONF_QUOTE_MAX]);

/* snprintf at the end of a text of buf[len]; what does not fit is cut. */
void mg_conf_append(char *buf, size_t len, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#endif
