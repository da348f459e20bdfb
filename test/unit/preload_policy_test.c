/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preload_policy_test.c - which sockets go to mangod: rules, the settings file, programs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/preload/policy.h"
#include "proto/base/bits.h"

static struct mg_addr addr(const char *text)
{
	struct mg_addr a;

	assert_int_equal(mg_addr_parse(text, &a), 0);
	return a;
}

static enum mg_verdict connects(const struct mg_policy *p, const char *to, uint16_t port)
{
	struct mg_addr a = addr(to);

	return mg_policy_connect(p, &a, port);
}

static enum mg_verdict listens(const struct mg_policy *p, const char *on, uint16_t port)
{
	struct mg_addr a = addr(on);

	return mg_policy_listen(p, &a, port);
}

static void make(struct mg_policy *p)
{
	mg_policy_init(p);
	mg_policy_add_nets(p, "10.77.0.1/24,fd77::1/64", true);
	mg_policy_add_nets(p, "10.99.0.0/16", false);
}

static void by_default_what_is_mangods(void **state)
{
	struct mg_policy p;

	(void)state;
	make(&p);
	assert_int_equal(connects(&p, "10.77.0.9", 80), MG_TO_MANGO);
	assert_int_equal(connects(&p, "10.99.3.4", 80), MG_TO_MANGO);
	assert_int_equal(connects(&p, "10.78.0.9", 80), MG_TO_KERNEL);
	assert_int_equal(connects(&p, "127.0.0.1", 80), MG_TO_KERNEL);
	assert_int_equal(connects(&p, "fd77::99", 80), MG_TO_MANGO);
	assert_int_equal(connects(&p, "fd78::99", 80), MG_TO_KERNEL);
	assert_int_equal(listens(&p, "10.77.0.1", 80), MG_TO_MANGO);
	assert_int_equal(listens(&p, "10.77.0.2", 80), MG_TO_KERNEL);
	assert_int_equal(listens(&p, "0.0.0.0", 80), MG_TO_BOTH);
	assert_int_equal(listens(&p, "::", 80), MG_TO_BOTH);
	assert_int_equal(listens(&p, "127.0.0.1", 80), MG_TO_KERNEL);
}

static void loopback_and_wildcard_by_setting(void **state)
{
	struct mg_policy p;

	(void)state;
	make(&p);
	assert_int_equal(mg_policy_set(&p, "loopback", "yes"), 0);
	assert_int_equal(connects(&p, "127.0.0.1", 80), MG_TO_MANGO);
	assert_int_equal(listens(&p, "127.0.0.1", 80), MG_TO_MANGO);
	assert_int_equal(mg_policy_set(&p, "wildcard", "kernel"), 0);
	assert_int_equal(listens(&p, "0.0.0.0", 80), MG_TO_KERNEL);
	assert_int_equal(mg_policy_set(&p, "wildcard", "mango"), 0);
	assert_int_equal(listens(&p, "0.0.0.0", 80), MG_TO_MANGO);
}

static void first_rule_that_fits_decides(void **state)
{
	struct mg_policy p;

	(void)state;
	make(&p);
	assert_int_equal(
		mg_policy_set(&p, "connect", "!:22,!10.77.0.9:80-90, auto, 192.0.2.0/24:443"), 0);
	assert_int_equal(connects(&p, "10.77.0.2", 22), MG_TO_KERNEL);
	assert_int_equal(connects(&p, "10.77.0.9", 85), MG_TO_KERNEL);
	assert_int_equal(connects(&p, "10.77.0.9", 91), MG_TO_MANGO);
	/* auto answers for everything: what comes after it is never reached */
	assert_int_equal(connects(&p, "192.0.2.1", 443), MG_TO_KERNEL);
	assert_int_equal(mg_policy_set(&p, "connect", "192.0.2.0/24:443,auto"), 0);
	assert_int_equal(connects(&p, "192.0.2.1", 443), MG_TO_MANGO);
	assert_int_equal(connects(&p, "192.0.2.1", 444), MG_TO_KERNEL);
	assert_int_equal(mg_policy_set(&p, "connect", "[fd99::1]:80,none"), 0);
	assert_int_equal(connects(&p, "fd99::1", 80), MG_TO_MANGO);
	assert_int_equal(connects(&p, "10.77.0.2", 80), MG_TO_KERNEL);
	assert_int_equal(mg_policy_set(&p, "listen", "all"), 0);
	assert_int_equal(listens(&p, "192.0.2.9", 1), MG_TO_MANGO);
}

static void attaches_only_when_it_may_matter(void **state)
{
	struct mg_addr lo = addr("127.0.0.1"), any = addr("10.1.2.3");
	struct mg_policy p;

	(void)state;
	mg_policy_init(&p);
	assert_false(mg_policy_may_connect(&p, &lo, 80));
	assert_true(mg_policy_may_connect(&p, &any, 80));
	assert_int_equal(mg_policy_set(&p, "connect", "none"), 0);
	assert_false(mg_policy_may_connect(&p, &any, 80));
	assert_true(mg_policy_may_listen(&p, &any, 80));
}

static void refuses_what_is_no_rule(void **state)
{
	static const char *const wrong[] = { "10.0.0.0/33", "10.0.0.1:70000",
					     "!auto",       "fd00::1]",
					     ":9-3",        "somewhere",
					     "[fd00::1]x",  ":" };
	struct mg_policy p;

	(void)state;
	mg_policy_init(&p);
	for (size_t i = 0; i < MG_ARRAY_SIZE(wrong); i++)
		assert_int_equal(mg_policy_set(&p, "listen", wrong[i]), -EINVAL);
	assert_int_equal(mg_policy_set(&p, "listens", "auto"), -ENOENT);
	assert_int_equal(mg_policy_set(&p, "absent", "panic"), -EINVAL);
	assert_int_equal(p.listen.nr, 1); /* as it was */
}

static void programs(void **state)
{
	struct mg_policy p;

	(void)state;
	mg_policy_init(&p);
	assert_true(mg_policy_wants_program(&p, "nginx"));
	assert_int_equal(mg_policy_set(&p, "programs", "nginx,redis-server"), 0);
	assert_true(mg_policy_wants_program(&p, "redis-server"));
	assert_false(mg_policy_wants_program(&p, "sh"));
	assert_int_equal(mg_policy_set(&p, "programs", "!sshd,!sh"), 0);
	assert_true(mg_policy_wants_program(&p, "nginx"));
	assert_false(mg_policy_wants_program(&p, "sh"));
}

static void settings_file(void **state)
{
	static const char text[] = "instance: mango\n"
				   "tcp:\n  listen: not ours\n"
				   "preload:   # for programs\n"
				   "  listen: [ ':80', \"10.0.0.0/8\" ]\n"
				   "  connect:\n"
				   "  - '!:22'   # ssh\n"
				   "  - auto\n"
				   "  loopback: yes\n"
				   "\n"
				   "  programs: nginx\n"
				   "log:\n  level: info\n";
	struct mg_policy p;
	uint32_t line;

	(void)state;
	make(&p);
	assert_int_equal(mg_policy_parse(&p, text, &line), 0);
	assert_int_equal(p.listen.nr, 2);
	assert_int_equal(p.connect.nr, 2);
	assert_true(p.loopback);
	assert_string_equal(p.programs, "nginx");
	assert_int_equal(listens(&p, "192.0.2.1", 80), MG_TO_MANGO);
	assert_int_equal(connects(&p, "10.77.0.3", 22), MG_TO_KERNEL);
}

/* mangod's own example: one file serves both. */
static void settings_from_mangods_file(void **state)
{
	const char *root = getenv("MANGO_SRC");
	struct mg_policy p, plain;
	static char text[1 << 17];
	char path[512];
	uint32_t line;
	size_t n;
	FILE *in;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/config/mangod.yaml", root != NULL ? root : ".");
	in = fopen(path, "r");
	assert_non_null(in);
	n = fread(text, 1, sizeof(text) - 1, in);
	(void)fclose(in); /* was only read */
	text[n] = '\0';
	assert_non_null(strstr(text, "\npreload:\n"));
	mg_policy_init(&p);
	mg_policy_init(&plain);
	if (mg_policy_parse(&p, text, &line) != 0)
		fail_msg("%s:%u", path, line);
	assert_memory_equal(&p, &plain, sizeof(p));
}

static void settings_file_is_strict(void **state)
{
	static const struct {
		const char *text;
		uint32_t line;
	} wrong[] = {
		{ "preload:\n  listen :80\n", 2 },
		{ "preload:\n  loopback: perhaps\n  debug: no\n", 3 },
		{ "preload:\n\n  - lost\n", 3 },
		{ "preload:\n  listens: auto\nlog: x\n", 3 },
		{ "preload:\n  listen: [a\n", 2 },
		{ "preload:\n\tlisten: auto\n", 2 },
		{ "log:\n  level: info\npreload: {loopback: yes}\n", 3 },
	};
	struct mg_policy p;
	uint32_t line;

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(wrong); i++) {
		mg_policy_init(&p);
		assert_int_equal(mg_policy_parse(&p, wrong[i].text, &line), -EINVAL);
		assert_int_equal(line, wrong[i].line);
	}
	assert_int_equal(mg_policy_parse(&p, "", &line), 0);
	assert_int_equal(mg_policy_parse(&p, "other: 1\n", &line), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_default_what_is_mangods),
		cmocka_unit_test(loopback_and_wildcard_by_setting),
		cmocka_unit_test(first_rule_that_fits_decides),
		cmocka_unit_test(attaches_only_when_it_may_matter),
		cmocka_unit_test(refuses_what_is_no_rule),
		cmocka_unit_test(programs),
		cmocka_unit_test(settings_file),
		cmocka_unit_test(settings_from_mangods_file),
		cmocka_unit_test(settings_file_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
