/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - see table.h.
 */
#include "daemon/cli/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void cli_table_init(struct cli_table *t, const char *const *heads, size_t nr_columns)
{
	memset(t, 0, sizeof(*t));
	t->heads = heads;
	t->nr_columns = nr_columns;
}

void cli_table_free(struct cli_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	memset(t, 0, sizeof(*t));
}

static bool make_room(struct cli_table *t)
{
	size_t room = t->room > 0 ? 2 * t->room : 64;
	char **cells;

	if (t->n < t->room)
		return true;
	cells = realloc(t->cells, room * sizeof(*cells));
	if (cells == NULL)
		return false;
	t->cells = cells;
	t->room = room;
	return true;
}

void cli_table_cell(struct cli_table *t, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int len;

	if (t->failed)
		return;
	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0 || !make_room(t)) {
		t->failed = true;
		free(len < 0 ? NULL : text);
		return;
	}
	t->cells[t->n++] = text;
}

static const char *head_text(const struct cli_table *t, size_t column)
{
	return t->heads[column] + (t->heads[column][0] == '>');
}

static size_t column_width(const struct cli_table *t, size_t column)
{
	size_t width = strlen(head_text(t, column));

	for (size_t i = column; i < t->n; i += t->nr_columns) {
		if (strlen(t->cells[i]) > width)
			width = strlen(t->cells[i]);
	}
	return width;
}

static void print_cell(const struct cli_table *t, size_t column, const char *text, FILE *out)
{
	int width = (int)column_width(t, column);

	if (t->heads[column][0] == '>')
		(void)fprintf(out, "%*s", width, text);
	else if (column + 1 < t->nr_columns)
		(void)fprintf(out, "%-*s", width, text);
	else
		(void)fprintf(out, "%s", text);
	(void)fprintf(out, "%s", column + 1 < t->nr_columns ? "  " : "\n");
}

int cli_table_print(const struct cli_table *t, FILE *out)
{
	size_t column = 0;

	if (t->failed)
		return -ENOMEM;
	for (size_t c = 0; c < t->nr_columns; c++)
		print_cell(t, c, head_text(t, c), out);
	for (size_t i = 0; i < t->n; i++) {
		print_cell(t, column, t->cells[i], out);
		column = column + 1 < t->nr_columns ? column + 1 : 0;
	}
	return 0;
}

const char *cli_table_bytes(unsigned long long bytes, char buf[CLI_SHORT_MAX])
{
	static const char units[] = "kMGTPE";
	unsigned long long whole = bytes, tenths = 0;
	size_t unit = 0;

	if (bytes < 1000) {
		(void)snprintf(buf, CLI_SHORT_MAX, "%llu", bytes);
		return buf;
	}
	for (; whole >= 1000; unit++) {
		tenths = whole % 1000 / 100;
		whole /= 1000;
	}
	if (whole < 10)
		(void)snprintf(buf, CLI_SHORT_MAX, "%llu.%llu%c", whole, tenths, units[unit - 1]);
	else
		(void)snprintf(buf, CLI_SHORT_MAX, "%llu%c", whole, units[unit - 1]);
	return buf;
}

const char *cli_table_time_us(unsigned long long us, char buf[CLI_SHORT_MAX])
{
	unsigned long long s = us / 1000000;

	if (us < 10000)
		(void)snprintf(buf, CLI_SHORT_MAX, "%lluus", us);
	else if (us < 10000000)
		(void)snprintf(buf, CLI_SHORT_MAX, "%llums", us / 1000);
	else if (s < 600)
		(void)snprintf(buf, CLI_SHORT_MAX, "%llus", s);
	else if (s < 3600)
		(void)snprintf(buf, CLI_SHORT_MAX, "%llum%02llus", s / 60, s % 60);
	else if (s < 172800)
		(void)snprintf(buf, CLI_SHORT_MAX, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		(void)snprintf(buf, CLI_SHORT_MAX, "%llud%02lluh", s / 86400, s / 3600 % 24);
	return buf;
}
