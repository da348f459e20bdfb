/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sessions.c - mangoctl sessions.
 */
#include "daemon/cli/list.h"

static void add_row(struct cli_table *t, const void *item)
{
	const struct mango_session_info *s = item;
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

static json_t *row_json(const void *item)
{
	const struct mango_session_info *s = item;

	return json_pack("{s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "app",
			 (json_int_t)s->app, "pid", (json_int_t)s->pid, "uid", (json_int_t)s->uid,
			 "program", s->program, "contexts", (json_int_t)s->contexts, "processes",
			 (json_int_t)s->processes, "guards", (json_int_t)s->guards, "connections",
			 (json_int_t)s->connections, "listeners", (json_int_t)s->listeners,
			 "resident_bytes", (json_int_t)s->resident_bytes, "region_bytes",
			 (json_int_t)s->region_bytes, "age_ms", (json_int_t)s->age_ms);
}

static const char *const heads[] = { ">APP",    ">PID",      ">UID",    "PROGRAM",
				     ">CTX",    ">PROCS",    ">GUARDS", ">CONNS",
				     ">LISTEN", ">RESIDENT", ">REGION", ">AGE" };

static const struct cli_list list = {
	.name = "sessions",
	.query = MANGO_QUERY_SESSIONS,
	.heads = heads,
	.nr_heads = sizeof(heads) / sizeof(heads[0]),
	.add_row = add_row,
	.row_json = row_json,
};

int cli_sessions(struct cli *cli, int argc, char **argv)
{
	(void)argv; /* there must be none */
	return cli_list_run(&list, cli, argc);
}
