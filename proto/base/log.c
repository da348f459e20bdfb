/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - formats a line and hands it to the sink.
 */
#include "proto/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/bits.h"

static const char *const level_names[] = {
	[MG_LOG_ERROR] = "error",
	[MG_LOG_WARN] = "warn",
	[MG_LOG_INFO] = "info",
	[MG_LOG_DEBUG] = "debug",
};

/* One write per line, so that lines of several threads do not mix. */
static void to_stderr(char *line, size_t len)
{
	line[len] = '\n';
	/* A log that cannot be written has nowhere to complain to. */
	if (write(STDERR_FILENO, line, len + 1) < 0)
		return;
}

void mg_vlog(const struct mg_log *log, enum mg_log_level level, const char *module, const char *fmt,
	     va_list ap)
{
	char line[MG_LOG_LINE_MAX + 1]; /* one more for the newline */
	int head, body;

	if (!mg_log_on(log, level))
		return;
	head = snprintf(line, MG_LOG_LINE_MAX, "%s %s ", mg_log_level_name(level), module);
	if (head < 0 || head >= MG_LOG_LINE_MAX)
		return;
	body = vsnprintf(line + head, (size_t)(MG_LOG_LINE_MAX - head), fmt, ap);
	if (body < 0)
		return;
	if (log->fn != NULL)
		log->fn(log->ctx, level, line);
	else
		to_stderr(line, strlen(line));
}

void mg_log(const struct mg_log *log, enum mg_log_level level, const char *module, const char *fmt,
	    ...)
{
	va_list ap;

	va_start(ap, fmt);
	mg_vlog(log, level, module, fmt, ap);
	va_end(ap);
}

const char *mg_log_level_name(enum mg_log_level level)
{
	return (size_t)level < MG_ARRAY_SIZE(level_names) ? level_names[level] : "?";
}

int mg_log_level_parse(const char *name, enum mg_log_level *ret_level)
{
	for (size_t i = 0; i < MG_ARRAY_SIZE(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum mg_log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool mg_log_limit_pass(struct mg_log_limit *limit, uint64_t now_ns, uint64_t *ret_suppressed)
{
	if (now_ns - limit->start_ns >= limit->window_ns) {
		limit->start_ns = now_ns;
		limit->nr_window = 0;
	}
	if (limit->nr_window >= limit->burst) {
		limit->nr_suppressed++;
		return false;
	}
	limit->nr_window++;
	*ret_suppressed = limit->nr_suppressed;
	limit->nr_suppressed = 0;
	return true;
}
