/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listeners.c - mangoctl listeners.
 */
#include "daemon/cli/endpoint.h"
#include "daemon/cli/list.h"

static void add_row(struct cli_table *t, const void *item)
{
	const struct mango_listener_info *l = item;
	char text[CLI_ENDPOINT_MAX];

	cli_table_cell(t, "%s", cli_endpoint(&l->local, text));
	cli_table_cell(t, "%u", l->pid);
	cli_table_cell(t, "%u", l->backlog);
	cli_table_cell(t, "%u", l->pending);
	cli_table_cell(t, "%u", l->embryos);
	cli_table_cell(t, "%llu", (unsigned long long)l->accepted);
	cli_table_cell(t, "%llu", (unsigned long long)l->dropped);
}

static json_t *row_json(const void *item)
{
	const struct mango_listener_info *l = item;
	char text[CLI_ENDPOINT_MAX];

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "local",
			 cli_endpoint(&l->local, text), "pid", (json_int_t)l->pid, "backlog",
			 (json_int_t)l->backlog, "pending", (json_int_t)l->pending, "embryos",
			 (json_int_t)l->embryos, "accepted", (json_int_t)l->accepted, "dropped",
			 (json_int_t)l->dropped, "app", (json_int_t)l->app, "holders",
			 (json_int_t)l->holders, "offered", (json_int_t)l->offered, "guarded",
			 l->guarded);
}

static const char *const heads[] = { "LOCAL",    ">PID",      ">BACKLOG", ">PENDING",
				     ">EMBRYOS", ">ACCEPTED", ">DROPPED" };

static const struct cli_list list = {
	.name = "listeners",
	.query = MANGO_QUERY_LISTENERS,
	.heads = heads,
	.nr_heads = sizeof(heads) / sizeof(heads[0]),
	.add_row = add_row,
	.row_json = row_json,
};

int cli_listeners(struct cli *cli, int argc, char **argv)
{
	(void)argv; /* there must be none */
	return cli_list_run(&list, cli, argc);
}
