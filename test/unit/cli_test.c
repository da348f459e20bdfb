/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_test.c - mangoctl against a daemon that is only played: output, JSON, exit codes.
 *
 * Idea:    this file is the library: its mango_* functions answer as `played` says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/cli/cli.h"
#include "daemon/cli/table.h"

static int the_ipc;
static struct {
	int open_error, error; /* of open, and of every request */
	const char *text;      /* the daemon's words */
	const char *address;   /* what open was given */
	int serving;
	uint32_t nr_rows;
	struct mango_config set[8];
	size_t nr_set;
	int open_count;
} played;

mango_status_e mango_ipc_open(const char *address, bool is_server, mango_ipc_h *ret_ipc)
{
	assert_false(is_server);
	played.address = address;
	if (played.open_error < 0)
		return (mango_status_e)played.open_error;
	played.open_count++;
	*ret_ipc = &the_ipc;
	return MANGO_STATUS_OK;
}

mango_status_e mango_ipc_close(mango_ipc_h ipc)
{
	assert_ptr_equal(ipc, &the_ipc);
	played.open_count--;
	return MANGO_STATUS_OK;
}

mango_status_e mango_ipc_error_text(mango_ipc_h ipc, char *buf, size_t len)
{
	assert_ptr_equal(ipc, &the_ipc);
	(void)snprintf(buf, len, "%s", played.text != NULL ? played.text : "");
	return MANGO_STATUS_OK;
}

mango_status_e mango_ipc_health_check(mango_ipc_h ipc, struct mango_health *ret_health)
{
	static const struct mango_health health = {
		.pid = 42,
		.uptime_ms = 3723000,
		.workers = 1,
		.connections = 64,
		.version = "0.1.0",
		.instance = "testbed",
		.attach_path = "/run/mango/testbed/attach.sock",
	};

	assert_ptr_equal(ipc, &the_ipc);
	*ret_health = health;
	ret_health->serving = played.serving;
	if (played.serving == MANGO_UNHEALTHY)
		strcpy(ret_health->reason, "port p0 is down");
	return (mango_status_e)played.error;
}

mango_status_e mango_ipc_set_configs(mango_ipc_h ipc, const struct mango_config *configs, size_t nr)
{
	assert_ptr_equal(ipc, &the_ipc);
	if (played.error < 0)
		return (mango_status_e)played.error;
	assert_true(nr <= 8);
	for (size_t i = 0; i < nr; i++) {
		played.set[i].key = strdup(configs[i].key);
		played.set[i].value = strdup(configs[i].value);
	}
	played.nr_set = nr;
	return MANGO_STATUS_OK;
}

mango_status_e mango_ipc_list_config(mango_ipc_h ipc, const char *prefix, mango_config_cb *cb,
				     void *user)
{
	static const struct mango_config configs[] = {
		{ "tcp.nagle", "true", "true", true, true },
		{ "tcp.rto_min_ms", "5", "200", true, false },
		{ "attach.user", "", "", false, true },
	};
	int rc = played.error;

	assert_ptr_equal(ipc, &the_ipc);
	for (size_t i = 0; rc == 0 && i < 3; i++) {
		if (strncmp(configs[i].key, prefix, strlen(prefix)) == 0)
			rc = cb(&configs[i], user);
	}
	return (mango_status_e)rc;
}

static struct sockaddr_storage address_of(const char *text, uint16_t port)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, text, &in.sin_addr), 1);
	memcpy(&storage, &in, sizeof(in));
	return storage;
}

static int give_connections(mango_query_cb *cb, void *user)
{
	const struct mango_connection_info c = {
		.local = address_of("10.77.0.1", 7),
		.remote = address_of("10.77.0.2", 40000),
		.state = "established",
		.congestion = "cubic",
		.congestion_phase = "slow start",
		.ssthresh_bytes = UINT32_MAX,
		.pacing_Bps = 2000000,
		.pid = 7,
		.srtt_us = 120,
		.rto_us = 200000,
		.cwnd_bytes = 14600,
		.rx_bytes = 268435456,
		.tx_bytes = 999,
		.age_ms = 61000,
		.sack = true,
	};
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < played.nr_rows; i++)
		rc = cb(&c, user);
	return rc;
}

static int give_listeners(mango_query_cb *cb, void *user)
{
	const struct mango_listener_info l = {
		.local = address_of("0.0.0.0", 80), .pid = 7, .backlog = 128, .accepted = 9
	};

	return cb(&l, user);
}

static int give_stats(mango_query_cb *cb, void *user)
{
	static const struct mango_counter counters[] = {
		{ "rx.packets", "frames received", 12 },
		{ "rx.drops", "frames dropped", 0 },
		{ "tx.packets", "frames sent", 3 },
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < 3; i++)
		rc = cb(&counters[i], user);
	return rc;
}

static int give_sessions(mango_query_cb *cb, void *user)
{
	static const struct mango_session_info sessions[] = {
		{ .program = "nginx", .app = 3, .pid = 77, .contexts = 1, .processes = 2 },
		{ .program = "", .app = 4, .guards = 2 },
	};
	int rc = cb(&sessions[0], user);

	return rc == 0 ? cb(&sessions[1], user) : rc;
}

mango_status_e mango_ipc_query(mango_ipc_h ipc, enum mango_query what, mango_query_cb *cb,
			       void *user)
{
	assert_ptr_equal(ipc, &the_ipc);
	if (played.error < 0)
		return (mango_status_e)played.error;
	switch (what) {
	case MANGO_QUERY_CONNECTIONS:
		return (mango_status_e)give_connections(cb, user);
	case MANGO_QUERY_LISTENERS:
		return (mango_status_e)give_listeners(cb, user);
	case MANGO_QUERY_STATS:
		return (mango_status_e)give_stats(cb, user);
	case MANGO_QUERY_SESSIONS:
		return (mango_status_e)give_sessions(cb, user);
	}
	return MANGO_STATUS_INVAL;
}

static void forget_set(void)
{
	for (size_t i = 0; i < played.nr_set; i++) {
		free((void *)(uintptr_t)played.set[i].key); /* ours, by strdup() */
		free((void *)(uintptr_t)played.set[i].value);
	}
	played.nr_set = 0;
}

static char *out_text, *err_text;

static int reset(void **state)
{
	(void)state;
	memset(&played, 0, sizeof(played));
	played.serving = MANGO_SERVING;
	played.nr_rows = 1;
	return 0;
}

static int clean(void **state)
{
	(void)state;
	forget_set();
	free(out_text);
	free(err_text);
	out_text = NULL;
	err_text = NULL;
	return 0;
}

/* Runs "mangoctl LINE", words separated by one space. */
static int run(const char *line)
{
	static char copy[256]; /* what open was given stays looked at after the run */
	char *argv[16], *save = NULL;
	size_t out_len, err_len;
	FILE *out, *err;
	int argc = 0, code;

	(void)clean(NULL);
	(void)snprintf(copy, sizeof(copy), "mangoctl %s", line);
	for (char *p = strtok_r(copy, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	argv[argc] = NULL;
	out = open_memstream(&out_text, &out_len);
	err = open_memstream(&err_text, &err_len);
	assert_true(out != NULL && err != NULL);
	code = cli_run(argc, argv, out, err);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(fclose(err), 0);
	assert_int_equal(played.open_count, 0);
	return code;
}

static void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static json_t *json_out(void)
{
	json_error_t error;
	json_t *root = json_loads(out_text, 0, &error);

	if (root == NULL)
		fail_msg("line %d: %s in:\n%s", error.line, error.text, out_text);
	return root;
}

static void wrong_usage(void **state)
{
	static const char *const lines[] = {
		"",
		"frobnicate",
		"--frobnicate",
		"health now",
		"config",
		"config frob",
		"config get a b",
		"config set",
		"config set tcp.nagle",
		"config set =1",
		"listeners x",
		"connections x",
		"stats a b",
		"health --address",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (run(lines[i]) != CLI_USAGE)
			fail_msg("mangoctl %s", lines[i]);
		assert_true(err_text[0] != '\0');
		assert_string_equal(out_text, "");
	}
}

static void help_and_version(void **state)
{
	(void)state;
	played.open_error = -ECONNREFUSED; /* needs no daemon */
	assert_int_equal(run("--help"), CLI_OK);
	for (size_t i = 0; i < cli_nr_commands; i++)
		assert_has(out_text, cli_commands[i].help);
	assert_int_equal(run("--version"), CLI_OK);
	assert_has(out_text, "mangoctl ");
}

static void unreachable(void **state)
{
	static const int errors[] = { -ECONNREFUSED, -ENOENT, -ETIMEDOUT, -ELIBACC };

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		played.open_error = errors[i];
		assert_int_equal(run("health --address local:x"), CLI_UNREACHABLE);
		assert_string_equal(played.address, "local:x");
		assert_has(err_text, "local:x");
	}
	played.open_error = -EINVAL;
	assert_int_equal(run("health -a %%"), CLI_USAGE);
	played.open_error = -EACCES;
	assert_int_equal(run("health"), CLI_REFUSED);
	assert_null(played.address);
	played.open_error = 0;
	played.error = -ECONNRESET;
	assert_int_equal(run("health"), CLI_UNREACHABLE);
	assert_int_equal(run("stats"), CLI_UNREACHABLE);
	played.error = -EPROTO;
	assert_int_equal(run("connections"), CLI_REFUSED);
}

static void health(void **state)
{
	json_t *root;

	(void)state;
	assert_int_equal(run("health"), CLI_OK);
	assert_string_equal(out_text, "testbed: serving\n"
				      "  version      0.1.0\n"
				      "  pid          42, up 1h02m\n"
				      "  attach       /run/mango/testbed/attach.sock\n"
				      "  workers      1\n"
				      "  sessions     0\n"
				      "  connections  64\n"
				      "  listeners    0\n");
	played.serving = MANGO_UNHEALTHY;
	assert_int_equal(run("health"), CLI_REFUSED);
	assert_has(out_text, "testbed: unhealthy: port p0 is down\n");
	played.serving = MANGO_DRAINING;
	assert_int_equal(run("--json health"), CLI_REFUSED);
	root = json_out();
	assert_string_equal(json_string_value(json_object_get(root, "status")), "draining");
	assert_int_equal(json_integer_value(json_object_get(root, "uptime_ms")), 3723000);
	json_decref(root);
}

static void config_get(void **state)
{
	json_t *root, *row;

	(void)state;
	assert_int_equal(run("config get"), CLI_OK);
	assert_string_equal(out_text, "KEY             VALUE  DEFAULT  AT RUN TIME\n"
				      "tcp.nagle       true   =        yes\n"
				      "tcp.rto_min_ms  5      200      yes\n"
				      "attach.user     \"\"     =        no\n");
	assert_int_equal(run("config get tcp.rto_min_ms"), CLI_OK);
	assert_string_equal(out_text, "5\n");
	assert_int_equal(run("config get tcp.rto_min_ms --json"), CLI_OK);
	root = json_out();
	row = json_array_get(json_object_get(root, "config"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "default")), "200");
	assert_true(json_is_true(json_object_get(row, "runtime")));
	assert_true(json_is_false(json_object_get(row, "is_default")));
	json_decref(root);
	played.error = -ENOENT;
	played.text = "there is no setting or section \"x\"";
	assert_int_equal(run("config get x"), CLI_REFUSED);
	assert_string_equal(err_text,
			    "mangoctl: config get: there is no setting or section \"x\"\n");
	assert_string_equal(out_text, "");
}

static void config_set(void **state)
{
	json_t *root;

	(void)state;
	assert_int_equal(run("config set tcp.nagle=false log.level="), CLI_OK);
	assert_int_equal(played.nr_set, 2);
	assert_string_equal(played.set[0].key, "tcp.nagle");
	assert_string_equal(played.set[0].value, "false");
	assert_string_equal(played.set[1].value, "");
	assert_string_equal(out_text, "tcp.nagle = false\nlog.level = \n");
	assert_int_equal(run("config set tcp.nagle=a=b --json"), CLI_OK);
	root = json_out();
	assert_string_equal(json_string_value(
				    json_object_get(json_object_get(root, "set"), "tcp.nagle")),
			    "a=b");
	json_decref(root);
	played.error = -EINVAL;
	played.text = "tcp.nagle: found \"maybe\", allowed: true or false";
	assert_int_equal(run("config set tcp.nagle=maybe"), CLI_REFUSED);
	assert_has(err_text, played.text);
}

static void connections(void **state)
{
	json_t *root, *rows;

	(void)state;
	assert_int_equal(run("connections"), CLI_OK);
	assert_string_equal(
		out_text,
		"STATE        LOCAL        PEER             PID  WORKER    RX   TX    RTT    RTO  CC     PHASE       CWND"
		"  SSTHRESH  PACE/S  IN FLIGHT  RETRANS  AGE\n"
		"established  10.77.0.1:7  10.77.0.2:40000    7       0  268M  999  120us  200ms  cubic  slow start   14k"
		"         -    2.0M          0        0  61s\n");
	played.nr_rows = 0;
	assert_int_equal(run("connections"), CLI_OK);
	assert_has(out_text, "STATE");
	played.nr_rows = 1000;
	assert_int_equal(run("connections --json"), CLI_OK);
	root = json_out();
	rows = json_object_get(root, "connections");
	assert_int_equal(json_array_size(rows), 1000);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 999), "remote")),
			    "10.77.0.2:40000");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "srtt_us")),
			 120);
	json_decref(root);
}

static void listeners(void **state)
{
	json_t *root;

	(void)state;
	assert_int_equal(run("listeners"), CLI_OK);
	assert_string_equal(out_text, "LOCAL  PID  BACKLOG  PENDING  EMBRYOS  ACCEPTED  DROPPED\n"
				      "*:80     7      128        0        0         9        0\n");
	assert_int_equal(run("listeners --json"), CLI_OK);
	root = json_out();
	assert_int_equal(json_array_size(json_object_get(root, "listeners")), 1);
	json_decref(root);
}

static void sessions(void **state)
{
	json_t *root;

	(void)state;
	assert_int_equal(run("sessions"), CLI_OK);
	assert_has(out_text, "nginx");
	assert_has(out_text, "(guards)");
	assert_int_equal(run("sessions --json"), CLI_OK);
	root = json_out();
	assert_int_equal(json_array_size(json_object_get(root, "sessions")), 2);
	json_decref(root);
	assert_int_equal(run("sessions all"), CLI_USAGE);
}

static void stats(void **state)
{
	json_t *root;

	(void)state;
	assert_int_equal(run("stats"), CLI_OK);
	assert_string_equal(out_text, "COUNTER     VALUE  MEANING\n"
				      "rx.packets     12  frames received\n"
				      "tx.packets      3  frames sent\n");
	assert_int_equal(run("stats rx --all"), CLI_OK);
	assert_has(out_text, "rx.drops");
	assert_null(strstr(out_text, "tx.packets"));
	assert_int_equal(run("stats --json"), CLI_OK);
	root = json_out();
	assert_int_equal(json_object_size(json_object_get(root, "stats")), 3);
	json_decref(root);
}

static void short_forms(void **state)
{
	static const struct {
		unsigned long long value;
		const char *text;
	} bytes[] = { { 0, "0" },       { 999, "999" },      { 1000, "1.0k" },     { 9999, "9.9k" },
		      { 10000, "10k" }, { 1500000, "1.5M" }, { UINT64_MAX, "18E" } },
	  times[] = { { 0, "0us" },
		      { 9999, "9999us" },
		      { 10000, "10ms" },
		      { 12345678, "12s" },
		      { 600000000, "10m00s" },
		      { 3600000000, "1h00m" },
		      { 36000000000, "10h00m" },
		      { 864000000000, "10d00h" } };
	char buf[CLI_SHORT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
		assert_string_equal(cli_table_bytes(bytes[i].value, buf), bytes[i].text);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		assert_string_equal(cli_table_time_us(times[i].value, buf), times[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(wrong_usage, reset, clean),
		cmocka_unit_test_setup_teardown(help_and_version, reset, clean),
		cmocka_unit_test_setup_teardown(unreachable, reset, clean),
		cmocka_unit_test_setup_teardown(health, reset, clean),
		cmocka_unit_test_setup_teardown(config_get, reset, clean),
		cmocka_unit_test_setup_teardown(config_set, reset, clean),
		cmocka_unit_test_setup_teardown(connections, reset, clean),
		cmocka_unit_test_setup_teardown(listeners, reset, clean),
		cmocka_unit_test_setup_teardown(sessions, reset, clean),
		cmocka_unit_test_setup_teardown(stats, reset, clean),
		cmocka_unit_test(short_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
