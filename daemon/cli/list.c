/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cli/list.h"

#include <errno.h>

struct output {
	const struct cli_list *list;
	struct cli_table table;
	json_t *array; /* NULL: for people */
};

static int add(const void *item, void *arg)
{
	struct output *out = arg;

	if (out->array == NULL)
		out->list->add_row(&out->table, item);
	else if (json_array_append_new(out->array, out->list->row_json(item)) != 0)
		return -ENOMEM;
	return 0;
}

int cli_list_run(const struct cli_list *list, struct cli *cli, int argc)
{
	struct output out = { .list = list };
	int error, code = CLI_OK;

	if (argc > 1)
		return cli_usage(cli, "%s takes no arguments", list->name);
	out.array = cli->json ? json_array() : NULL;
	cli_table_init(&out.table, list->heads, list->nr_heads);
	error = mango_ipc_query(cli->ipc, list->query, add, &out);
	if (error == 0 && cli->json)
		code = cli_print_json_take(cli, json_pack("{s:O}", list->name, out.array));
	else if (error == 0)
		error = cli_table_print(&out.table, cli->out);
	if (error < 0)
		code = cli_failed(cli, list->name, error);
	json_decref(out.array);
	cli_table_free(&out.table);
	return code;
}
