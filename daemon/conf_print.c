/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_print.c - see conf_print.h.
 */
#include "daemon/conf_print.h"

#include <string.h>

#include "daemon/conf_value.h"

#define WRAP_COLUMN 96

/* The section of a key: "ipc.grpc" of "ipc.grpc.listen"; a list of objects is its own. */
static void section_of(const struct mg_conf_key *key, char *buf, size_t len)
{
	const char *dot = strrchr(key->name, '.');
	size_t n = dot != NULL ? (size_t)(dot - key->name) : 0;

	buf[0] = '\0';
	if (key->columns != NULL)
		mg_conf_append(buf, len, "%s", key->name);
	else
		mg_conf_append(buf, len, "%.*s", (int)n, key->name);
}

static const struct mg_conf_section *find_section(const char *name)
{
	for (size_t i = 0; i < mg_conf_nr_sections; i++) {
		if (strcmp(mg_conf_sections[i].name, name) == 0)
			return &mg_conf_sections[i];
	}
	return NULL;
}

static const char *leaf_name(const struct mg_conf_key *key)
{
	const char *dot = strrchr(key->name, '.');

	return dot != NULL ? dot + 1 : key->name;
}

static const char *shown_default(const struct mg_conf_key *key)
{
	if (key->columns != NULL || (key->list_max > 0 && key->deflt[0] == '\0'))
		return "[]";
	if (key->deflt == NULL)
		return "none";
	return key->deflt[0] != '\0' ? key->deflt : "\"\"";
}

void mg_conf_print_help(FILE *out)
{
	char allowed[320];

	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		const struct mg_conf_key *key = &mg_conf_keys[i];

		mg_conf_value_allowed(key, allowed, sizeof(allowed));
		(void)fprintf(out, "  %-28s %s%s [%s]\n", key->name, allowed,
			      (key->flags & MG_CONF_F_LIVE) != 0 ? " *" : "", shown_default(key));
		for (size_t c = 0; c < key->nr_columns; c++) {
			mg_conf_value_allowed(&key->columns[c], allowed, sizeof(allowed));
			(void)fprintf(out, "    - %-24s %s [%s]\n", key->columns[c].name, allowed,
				      shown_default(&key->columns[c]));
		}
	}
	(void)fprintf(out, "  (* can change at run time: mangoctl config set KEY=VALUE)\n");
}

/* Words of `text`, wrapped, each line behind `prefix`. */
static void print_wrapped(FILE *out, const char *prefix, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, " ");

		if (column > 0 && column + 1 + n > WRAP_COLUMN) {
			(void)fprintf(out, "\n");
			column = 0;
		}
		column += n + 1;
		if (column == n + 1) {
			(void)fprintf(out, "%s", prefix);
			column += strlen(prefix);
		} else {
			(void)fprintf(out, " ");
		}
		(void)fprintf(out, "%.*s", (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
	(void)fprintf(out, "\n");
}

/* Every line of `text` behind `prefix`. */
static void print_lines(FILE *out, const char *prefix, const char *text)
{
	while (*text != '\0') {
		size_t n = strcspn(text, "\n");

		(void)fprintf(out, "%s%.*s\n", prefix, (int)n, text);
		text += n;
		text += text[0] == '\n';
	}
}

static bool needs_quotes(const struct mg_conf_key *key)
{
	return key->type >= MG_CONF_T_NAME && key->deflt[0] == '\0';
}

static void print_yaml_value(FILE *out, const struct mg_conf_key *key)
{
	const char *p = key->deflt;

	if (key->list_max == 0) {
		(void)fprintf(out, needs_quotes(key) ? "\"%s\"\n" : "%s\n", p);
		return;
	}
	(void)fprintf(out, "[");
	while (*p != '\0') {
		size_t n = strcspn(p, ",");

		(void)fprintf(out, "\"%.*s\"%s", (int)n, p, p[n] == ',' ? ", " : "");
		p += n;
		p += p[0] == ',';
	}
	(void)fprintf(out, "]\n");
}

static void print_yaml_objects(FILE *out, const struct mg_conf_key *key)
{
	char line[640], allowed[320];

	for (size_t c = 0; c < key->nr_columns; c++) {
		const struct mg_conf_key *column = &key->columns[c];

		mg_conf_value_allowed(column, allowed, sizeof(allowed));
		line[0] = '\0';
		mg_conf_append(line, sizeof(line), "%s (%s; default %s): %s", column->name, allowed,
			       shown_default(column), column->help);
		print_wrapped(out, "#   ", line);
	}
	(void)fprintf(out, "# Example:\n#   %s:\n", key->name);
	print_lines(out, "#   ", key->example);
	(void)fprintf(out, "%s: []\n", key->name);
}

static void print_yaml_key(FILE *out, const struct mg_conf_key *key, unsigned depth)
{
	static const char spaces[] = "        ";
	char line[640] = "", allowed[320], prefix[16] = "";

	mg_conf_append(prefix, sizeof(prefix), "%.*s# ", (int)(2 * depth), spaces);
	print_wrapped(out, prefix, key->help);
	if (key->columns != NULL) {
		print_yaml_objects(out, key);
		return;
	}
	mg_conf_value_allowed(key, allowed, sizeof(allowed));
	mg_conf_append(line, sizeof(line), "Allowed: %s.%s", allowed,
		       (key->flags & MG_CONF_F_LIVE) != 0 ? " At run time too." : "");
	print_wrapped(out, prefix, line);
	(void)fprintf(out, "%.*s%s: ", (int)(2 * depth), spaces, leaf_name(key));
	print_yaml_value(out, key);
}

/* "ipc:" and "  grpc:" of "ipc.grpc"; returns how many there are. */
static unsigned print_section_heads(FILE *out, const char *section)
{
	unsigned depth = 0;

	while (section[0] != '\0') {
		size_t n = strcspn(section, ".");

		(void)fprintf(out, "%s%.*s:\n", depth > 0 ? "  " : "", (int)n, section);
		section += n;
		section += section[0] == '.';
		depth++;
	}
	return depth;
}

void mg_conf_print_yaml(FILE *out)
{
	char section[MG_CONF_KEY_MAX], last[MG_CONF_KEY_MAX] = "\n";
	unsigned depth = 0;

	(void)fprintf(
		out,
		"# SPDX-License-Identifier: Apache-2.0\n"
		"# mangod's settings: every key, with its default. Keys that are left out have the "
		"same "
		"values.\n"
		"# Check a changed file with: mangod -c FILE -t\n"
		"# Made from the table in daemon/conf_schema.c (ninja config-docs); do not edit in "
		"the "
		"source tree.\n");
	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		const struct mg_conf_key *key = &mg_conf_keys[i];

		section_of(key, section, sizeof(section));
		if (strcmp(section, last) != 0) {
			(void)fprintf(out, "\n# --- %s\n", find_section(section)->help);
			depth = key->columns != NULL ? 0 : print_section_heads(out, section);
			memcpy(last, section, sizeof(last));
		}
		print_yaml_key(out, key, depth);
	}
}

static const char *type_name(const struct mg_conf_key *key)
{
	static const char *const names[] = {
		[MG_CONF_T_BOOL] = "bool",         [MG_CONF_T_NUMBER] = "number",
		[MG_CONF_T_BYTES] = "bytes",       [MG_CONF_T_DURATION] = "duration",
		[MG_CONF_T_MODE] = "mode",         [MG_CONF_T_ENUM] = "choice",
		[MG_CONF_T_NAME] = "name",         [MG_CONF_T_USER] = "user",
		[MG_CONF_T_TEXT] = "text",         [MG_CONF_T_PATH] = "path",
		[MG_CONF_T_ENDPOINT] = "endpoint", [MG_CONF_T_PCI] = "text",
		[MG_CONF_T_ADDR] = "address",      [MG_CONF_T_PREFIX] = "prefix",
		[MG_CONF_T_MAC] = "MAC address",   [MG_CONF_T_OBJECTS] = "objects",
	};

	return names[key->type];
}

/* `text` inside a table cell. */
static void print_cell(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
		(void)fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

static void print_row(FILE *out, const struct mg_conf_key *key, const char *list, bool is_live)
{
	char allowed[320];

	mg_conf_value_allowed(key, allowed, sizeof(allowed));
	(void)fprintf(out, "| `%s%s%s` | %s%s | ", list, list[0] != '\0' ? "[]." : "", key->name,
		      key->list_max > 0 ? "list of " : "", type_name(key));
	print_cell(out, allowed);
	(void)fprintf(out, " | `%s` | %s | %s | ", shown_default(key),
		      key->unit != NULL ? key->unit : "-", is_live ? "yes" : "no");
	print_cell(out, key->help);
	(void)fprintf(out, " |\n");
}

static void print_example(FILE *out, const struct mg_conf_key *key)
{
	(void)fprintf(out, "\n```yaml\n%s:\n%s```\n", key->name, key->example);
}

static void print_section(FILE *out, const char *name)
{
	const struct mg_conf_section *s = find_section(name);

	(void)fprintf(out, "\n## %s%s%s%s\n\n", s->help, name[0] != '\0' ? " (`" : "", name,
		      name[0] != '\0' ? "`)" : "");
	(void)fprintf(out, "| key | type | allowed | default | unit | at run time | meaning |\n"
			   "|---|---|---|---|---|---|---|\n");
}

void mg_conf_print_markdown(FILE *out)
{
	char section[MG_CONF_KEY_MAX], last[MG_CONF_KEY_MAX] = "\n";

	(void)fprintf(
		out,
		"<!-- Made from daemon/conf_schema.c by `ninja config-docs`; do not edit. -->\n"
		"# Settings of mangod\n\n"
		"`mangod -c FILE` reads YAML; the dots of a key are levels of the file. `mangod -c "
		"FILE -t` "
		"checks a file.\n`mangoctl config get [KEY]` shows what is in force, `mangoctl "
		"config set "
		"KEY=VALUE...` changes the keys marked\n*at run time*: all of them or, if one is "
		"wrong, "
		"none. Bytes may be written as `64KiB` or `1GiB`, durations with\n`us`, `ms`, `s`, "
		"`min` or "
		"`h`. A commented file with every default: `config/mangod.yaml`.\n");
	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		const struct mg_conf_key *key = &mg_conf_keys[i];
		const bool is_live = (key->flags & MG_CONF_F_LIVE) != 0;

		section_of(key, section, sizeof(section));
		if (strcmp(section, last) != 0)
			print_section(out, section);
		memcpy(last, section, sizeof(last));
		print_row(out, key, "", is_live);
		for (size_t c = 0; c < key->nr_columns; c++)
			print_row(out, &key->columns[c], key->name, is_live);
		if (key->columns != NULL)
			print_example(out, key);
	}
}
