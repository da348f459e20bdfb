/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_test.c - lines, levels, limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/log.h"
#include "proto/base/time.h"

struct sink {
	char line[MG_LOG_LINE_MAX + 1];
	int nr;
};

static void keep(void *ctx, enum mg_log_level level, const char *line)
{
	struct sink *s = ctx;

	(void)level;
	(void)snprintf(s->line, sizeof(s->line), "%s", line); /* lines are shorter */
	s->nr++;
}

static void formats_one_line(void **state)
{
	struct sink s = { .nr = 0 };
	struct mg_log log = { .fn = keep, .ctx = &s, .level = MG_LOG_INFO };

	(void)state;
	mg_log(&log, MG_LOG_WARN, "attach", "uid=%d error=%s", 7, "denied");
	assert_string_equal(s.line, "warn attach uid=7 error=denied");
	mg_log(&log, MG_LOG_DEBUG, "attach", "x=1");
	mg_log(NULL, MG_LOG_ERROR, "attach", "x=1");
	assert_int_equal(s.nr, 1);
}

static void cuts_what_is_too_long(void **state)
{
	struct sink s = { .nr = 0 };
	struct mg_log log = { .fn = keep, .ctx = &s, .level = MG_LOG_INFO };
	char text[2 * MG_LOG_LINE_MAX];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	mg_log(&log, MG_LOG_INFO, "m", "%s", text);
	assert_int_equal(strlen(s.line), MG_LOG_LINE_MAX - 1);
	mg_log(&log, MG_LOG_INFO, text, "y=1"); /* a module that leaves no room: no line */
	assert_int_equal(s.nr, 1);
}

static void names(void **state)
{
	enum mg_log_level level = MG_LOG_ERROR;

	(void)state;
	assert_int_equal(mg_log_level_parse("debug", &level), 0);
	assert_int_equal(level, MG_LOG_DEBUG);
	assert_int_equal(mg_log_level_parse("loud", &level), -EINVAL);
	assert_string_equal(mg_log_level_name(MG_LOG_ERROR), "error");
}

static void limits(void **state)
{
	struct mg_log_limit limit = { .window_ns = MG_NS_PER_S, .burst = 2 };
	uint64_t now = 5 * MG_NS_PER_S, suppressed = 99;

	(void)state;
	assert_true(mg_log_limit_pass(&limit, now, &suppressed));
	assert_int_equal(suppressed, 0);
	assert_true(mg_log_limit_pass(&limit, now + 1, &suppressed));
	assert_false(mg_log_limit_pass(&limit, now + 2, &suppressed));
	assert_false(mg_log_limit_pass(&limit, now + 3, &suppressed));
	assert_true(mg_log_limit_pass(&limit, now + MG_NS_PER_S, &suppressed));
	assert_int_equal(suppressed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_one_line),
		cmocka_unit_test(cuts_what_is_too_long),
		cmocka_unit_test(names),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
