/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listeners.c - mangoctl listeners.
 */
#include <errno.h>

#include "daemon/cli/cli.h"
#include "daemon/cli/endpoint.h"
#include "daemon/cli/table.h"

struct output {
	struct cli_table table;
	json_t *list;
};

static void add_row(struct cli_table *t, const struct mango_listener_info *l)
{
	char text[CLI_ENDPOINT_MAX];

	cli_table_cell(t, "%s", cli_endpoint(&l->local, text));
	cli_table_cell(t, "%u", l->pid);
	cli_table_cell(t, "%u", l->backlog);
	cli_table_cell(t, "%u", l->pending);
	cli_table_cell(t, "%u", l->embryos);
	cli_table_cell(t, "%llu", (unsigned long long)l->accepted);
	cli_table_cell(t, "%llu", (unsigned long long)l->dropped);
}

static json_t *row_json(const struct mango_listener_info *l)
{
	char text[CLI_ENDPOINT_MAX];

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "local",
			 cli_endpoint(&l->local, text), "pid", (json_int_t)l->pid, "backlog",
			 (json_int_t)l->backlog, "pending", (json_int_t)l->pending, "embryos",
			 (json_int_t)l->embryos, "accepted", (json_int_t)l->accepted, "dropped",
			 (json_int_t)l->dropped, "app", (json_int_t)l->app, "holders",
			 (json_int_t)l->holders, "offered", (json_int_t)l->offered, "guarded",
			 l->guarded);
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

int cli_listeners(struct cli *cli, int argc, char **argv)
{
	static const char *const heads[] = { "LOCAL",    ">PID",      ">BACKLOG", ">PENDING",
					     ">EMBRYOS", ">ACCEPTED", ">DROPPED" };
	struct output out = { .list = cli->json ? json_array() : NULL };
	int error, code = CLI_OK;

	(void)argv; /* there must be none */
	if (argc > 1) {
		json_decref(out.list);
		return cli_usage(cli, "listeners takes no arguments");
	}
	cli_table_init(&out.table, heads, sizeof(heads) / sizeof(heads[0]));
	error = mango_ipc_query(cli->ipc, MANGO_QUERY_LISTENERS, add, &out);
	if (error == 0 && cli->json)
		code = cli_print_json_take(cli, json_pack("{s:O}", "listeners", out.list));
	else if (error == 0)
		error = cli_table_print(&out.table, cli->out);
	if (error < 0)
		code = cli_failed(cli, "listeners", error);
	json_decref(out.list);
	cli_table_free(&out.table);
	return code;
}
