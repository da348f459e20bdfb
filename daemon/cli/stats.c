/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.c - mangoctl stats.
 *
 * Idea:    people see what has happened (counters that are not 0); programs get every counter.
 */
#include <errno.h>
#include <string.h>

#include "daemon/cli/cli.h"
#include "daemon/cli/table.h"

struct output {
	struct cli_table table;
	json_t *object;
	const char *prefix;
	bool all;
};

static int add(const void *item, void *arg)
{
	const struct mango_counter *c = item;
	struct output *out = arg;

	if (strncmp(c->name, out->prefix, strlen(out->prefix)) != 0)
		return 0;
	if (out->object != NULL)
		return json_object_set_new(out->object, c->name,
					   json_integer((json_int_t)c->value)) != 0
			       ? -ENOMEM
			       : 0;
	if (c->value == 0 && !out->all)
		return 0;
	cli_table_cell(&out->table, "%s", c->name);
	cli_table_cell(&out->table, "%llu", (unsigned long long)c->value);
	cli_table_cell(&out->table, "%s", c->help);
	return 0;
}

int cli_stats(struct cli *cli, int argc, char **argv)
{
	static const char *const heads[] = { "COUNTER", ">VALUE", "MEANING" };
	struct output out = { .prefix = argc > 1 ? argv[1] : "", .all = cli->all };
	int error, code = CLI_OK;

	if (argc > 2)
		return cli_usage(cli, "stats takes one prefix");
	out.object = cli->json ? json_object() : NULL;
	cli_table_init(&out.table, heads, sizeof(heads) / sizeof(heads[0]));
	error = mango_ipc_query(cli->ipc, MANGO_QUERY_STATS, add, &out);
	if (error == 0 && cli->json)
		code = cli_print_json_take(cli, json_pack("{s:O}", "stats", out.object));
	else if (error == 0)
		error = cli_table_print(&out.table, cli->out);
	if (error < 0)
		code = cli_failed(cli, "stats", error);
	json_decref(out.object);
	cli_table_free(&out.table);
	return code;
}
