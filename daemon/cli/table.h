/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - tables for people: columns as wide as their longest cell.
 *
 * Use:     cli_table_init(&t, heads, n); cli_table_cell(&t, "%u", x) row by row; cli_table_print(&t, out);
 *          cli_table_free(&t). A head that begins with ">" is a column of numbers, flush right.
 * Threads: plain values.
 * Memory:  heap; when it ends, cells are dropped and printing says so.
 */
#ifndef MG_CLI_TABLE_H
#define MG_CLI_TABLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct cli_table {
	const char *const *heads;
	size_t nr_columns;
	char **cells;
	size_t n, room;
	bool failed;
};

void cli_table_init(struct cli_table *t, const char *const *heads, size_t nr_columns);
void cli_table_cell(struct cli_table *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* 0 or -ENOMEM. Heads are printed even when there are no rows. */
int cli_table_print(const struct cli_table *t, FILE *out);
void cli_table_free(struct cli_table *t);

/* "4.2k", "17M": at most 5 characters and the zero. Returns buf. */
#define CLI_SHORT_MAX 24
const char *cli_table_bytes(unsigned long long bytes, char buf[CLI_SHORT_MAX]);
/* "850us", "12ms", "3.5s", "4h12m". Returns buf. */
const char *cli_table_time_us(unsigned long long us, char buf[CLI_SHORT_MAX]);
#endif
