/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sessions.c - mangoctl sessions.
 */
#include <errno.h>

#include "daemon/cli/cli.h"
#include "daemon/cli/table.h"

struct output {
	struct cli_table table;
	json_t *list;
};

static void add_row(struct cli_table *t, const struct mango_session_info *s)
{
	char num[CLI_SHORT_MAX];

	cli_table_cell(t, "%u", s->app);
	cli_table_cell(t, "%u", s->pid);
	cli_table_cell(t, "%u", s->uid);
	cli_table_cell(t, "%s", s->pid != 0 ? s->program : "(guards)");
	cli_table_cell(t, "%u", s->contexts);
	cli_table_cell(t, "%u", s->processes);
	cli_table_cell(t, "%u", s->guards);
	cli_table_cell(t, "%u", s->connections);
	cli_table_cell(t, "%u", s->listeners);
	cli_table_cell(t, "%s", cli_table_bytes(s->resident_bytes, num));
	cli_table_cell(t, "%s", cli_table_bytes(s->region_bytes, num));
	cli_table_cell(t, "%s", cli_table_time_us(s->age_ms * 1000, num));
}

static json_t *row_json(const struct mango_session_info *s)
{
	return json_pack("{s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "app",
			 (json_int_t)s->app, "pid", (json_int_t)s->pid, "uid", (json_int_t)s->uid,
			 "program", s->program, "contexts", (json_int_t)s->contexts, "processes",
			 (json_int_t)s->processes, "guards", (json_int_t)s->guards, "connections",
			 (json_int_t)s->connections, "listeners", (json_int_t)s->listeners,
			 "resident_bytes", (json_int_t)s->resident_bytes, "region_bytes",
			 (json_int_t)s->region_bytes, "age_ms", (json_int_t)s->age_ms);
}

static int add(const void *item, void *arg)
{
	struct output *out = arg;

	if (out->list == NULL)
		add_row(&out->table, item);
	else if (json_array_append_new(out->list, row_json(item)) != 0)
		return -ENOMEM;
	return 0;
}

int cli_sessions(struct cli *cli, int argc, char **argv)
{
	static const char *const heads[] = { ">APP",    ">PID",      ">UID",    "PROGRAM",
					     ">CTX",    ">PROCS",    ">GUARDS", ">CONNS",
					     ">LISTEN", ">RESIDENT", ">REGION", ">AGE" };
	struct output out = { .list = cli->json ? json_array() : NULL };
	int error, code = CLI_OK;

	(void)argv; /* there must be none */
	if (argc > 1) {
		json_decref(out.list);
		return cli_usage(cli, "sessions takes no arguments");
	}
	cli_table_init(&out.table, heads, sizeof(heads) / sizeof(heads[0]));
	error = mango_ipc_query(cli->ipc, MANGO_QUERY_SESSIONS, add, &out);
	if (error == 0 && cli->json)
		code = cli_print_json_take(cli, json_pack("{s:O}", "sessions", out.list));
	else if (error == 0)
		error = cli_table_print(&out.table, cli->out);
	if (error < 0)
		code = cli_failed(cli, "sessions", error);
	json_decref(out.list);
	cli_table_free(&out.table);
	return code;
}
