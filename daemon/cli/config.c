/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - mangoctl config get and config set.
 *
 * Idea:    `config get KEY` of one key prints its value and nothing else, for scripts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/cli/cli.h"
#include "daemon/cli/table.h"

#define SET_MAX 64 /* pairs of one command */

struct output {
	struct cli_table table;
	json_t *list;
	const char *key; /* what was asked for */
	char *only;      /* the value of exactly that key */
};

static json_t *row_json(const struct mango_config *c)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:b}", "key", c->key, "value", c->value, "default",
			 c->deflt, "is_default", c->is_default, "runtime", c->is_runtime);
}

static const char *shown(const char *value)
{
	return value[0] != '\0' ? value : "\"\"";
}

static int add(const struct mango_config *c, void *user)
{
	struct output *out = user;

	if (out->list != NULL)
		return json_array_append_new(out->list, row_json(c)) != 0 ? -ENOMEM : 0;
	if (strcmp(c->key, out->key) == 0) {
		out->only = strdup(c->value);
		return out->only == NULL ? -ENOMEM : 0;
	}
	cli_table_cell(&out->table, "%s", c->key);
	cli_table_cell(&out->table, "%s", shown(c->value));
	cli_table_cell(&out->table, "%s", c->is_default ? "=" : shown(c->deflt));
	cli_table_cell(&out->table, "%s", c->is_runtime ? "yes" : "no");
	return 0;
}

static int config_get(struct cli *cli, int argc, char **argv)
{
	static const char *const heads[] = { "KEY", "VALUE", "DEFAULT", "AT RUN TIME" };
	struct output out = { .key = argc > 2 ? argv[2] : "" };
	int error, code = CLI_OK;

	if (argc > 3)
		return cli_usage(cli, "config get takes one key or section");
	out.list = cli->json ? json_array() : NULL;
	cli_table_init(&out.table, heads, sizeof(heads) / sizeof(heads[0]));
	error = mango_ipc_list_config(cli->ipc, out.key, add, &out);
	if (error == 0 && cli->json)
		code = cli_print_json_take(cli, json_pack("{s:O}", "config", out.list));
	else if (error == 0 && out.only != NULL)
		(void)fprintf(cli->out, "%s\n", out.only); /* run_command() looks at the stream */
	else if (error == 0)
		error = cli_table_print(&out.table, cli->out);
	if (error < 0)
		code = cli_failed(cli, "config get", error);
	json_decref(out.list);
	free(out.only);
	cli_table_free(&out.table);
	return code;
}

/* Cuts KEY=VALUE in place; 0 or an exit code. */
static int read_pair(struct cli *cli, char *text, struct mango_config *ret_config)
{
	char *equals = strchr(text, '=');

	if (equals == NULL || equals == text)
		return cli_usage(cli, "%s is not KEY=VALUE", text);
	*equals = '\0';
	ret_config->key = text;
	ret_config->value = equals + 1;
	return 0;
}

static int print_set(struct cli *cli, const struct mango_config *configs, size_t n)
{
	json_t *set = cli->json ? json_object() : NULL;
	int bad = 0;

	for (size_t i = 0; bad == 0 && i < n; i++) {
		if (!cli->json)
			(void)fprintf(cli->out, "%s = %s\n", configs[i].key, configs[i].value);
		else
			bad = json_object_set_new(set, configs[i].key,
						  json_string(configs[i].value));
	}
	if (!cli->json)
		return CLI_OK;
	if (bad == 0)
		return cli_print_json_take(cli, json_pack("{s:o}", "set", set));
	json_decref(set);
	return cli_print_json_take(cli, NULL);
}

static int config_set(struct cli *cli, int argc, char **argv)
{
	struct mango_config configs[SET_MAX] = { 0 };
	size_t n = argc > 2 ? (size_t)argc - 2 : 0;
	int error, code = CLI_OK;

	if (n == 0)
		return cli_usage(cli, "config set needs KEY=VALUE");
	if (n > SET_MAX)
		return cli_usage(cli, "config set takes at most %d pairs", SET_MAX);
	for (size_t i = 0; code == CLI_OK && i < n; i++)
		code = read_pair(cli, argv[i + 2], &configs[i]);
	if (code != CLI_OK)
		return code;
	error = mango_ipc_set_configs(cli->ipc, configs, n);
	return error < 0 ? cli_failed(cli, "config set", error) : print_set(cli, configs, n);
}

int cli_config(struct cli *cli, int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "get") == 0)
		return config_get(cli, argc, argv);
	if (argc > 1 && strcmp(argv[1], "set") == 0)
		return config_set(cli, argc, argv);
	return cli_usage(cli, "config needs get or set");
}
