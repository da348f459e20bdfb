/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - commands that print a list of the daemon's: a table, or an array named like the command.
 *
 * Use:     a static const struct cli_list per command; cli_list_run() is the whole command.
 * Threads: plain values.
 */
#ifndef MG_CLI_LIST_H
#define MG_CLI_LIST_H
#include "daemon/cli/cli.h"
#include "daemon/cli/table.h"

struct cli_list {
	const char *name; /* of the command, and of the array */
	enum mango_query query;
	const char *const *heads; /* as cli_table_init() takes them */
	size_t nr_heads;
	/* One item, of the type that the query lists. NULL: no memory. */
	void (*add_row)(struct cli_table *t, const void *item);
	json_t *(*row_json)(const void *item);
};

/* Takes no arguments (argc is 1). Returns an enum cli_exit. */
int cli_list_run(const struct cli_list *list, struct cli *cli, int argc);
#endif
