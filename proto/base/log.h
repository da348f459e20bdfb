/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one sink for log lines: "level module key=value ...".
 *
 * Idea:    a struct mg_log is passed to whoever may log (the cores never do); there is no global. Lines are
 *          formatted on the stack, cut at MG_LOG_LINE_MAX, one write per line. Repeated messages go
 *          through a struct mg_log_limit.
 * Use:     mg_log(log, MG_LOG_WARN, "attach", "uid=%u error=%s", uid, text);
 * Threads: any, as long as the sink is (stderr is); a limit belongs to one thread.
 */
#ifndef MG_LOG_H
#define MG_LOG_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mg_log_level { MG_LOG_ERROR, MG_LOG_WARN, MG_LOG_INFO, MG_LOG_DEBUG };

#define MG_LOG_LINE_MAX 1024

/* line has no newline at the end. */
typedef void mg_log_fn(void *ctx, enum mg_log_level level, const char *line);

struct mg_log {
	mg_log_fn *fn; /* NULL: stderr */
	void *ctx;
	enum mg_log_level level; /* what is less important than this is dropped */
};

/* log == NULL drops everything. */
void mg_log(const struct mg_log *log, enum mg_log_level level, const char *module, const char *fmt,
	    ...) __attribute__((format(printf, 4, 5)));
void mg_vlog(const struct mg_log *log, enum mg_log_level level, const char *module, const char *fmt,
	     va_list ap) __attribute__((format(printf, 4, 0)));

static inline bool mg_log_on(const struct mg_log *log, enum mg_log_level level)
{
	return log != NULL && level <= log->level;
}

/* "error", "warn", "info", "debug" */
const char *mg_log_level_name(enum mg_log_level level);
/* 0 or -EINVAL */
int mg_log_level_parse(const char *name, enum mg_log_level *ret_level);

/* At most `burst` lines per `window_ns`; zeroed otherwise. */
struct mg_log_limit {
	uint64_t window_ns;
	uint32_t burst;
	uint32_t nr_window;
	uint64_t start_ns;
	uint64_t nr_suppressed; /* since the last line that passed */
};

/* True: log it, and mention *ret_suppressed when it is not 0. */
bool mg_log_limit_pass(struct mg_log_limit *limit, uint64_t now_ns, uint64_t *ret_suppressed);
#endif
