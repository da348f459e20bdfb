/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_file.c - the `preload:` section of a YAML file.
 *
 * Idea:    a program that is preloaded must not get a YAML library into its process. This reads the part of YAML
 *          that the section needs and is strict about it: `name: value`, `name: [a, b]`, and `name:` with "- a"
 *          lines below. Values may be quoted. Everything outside the section is skipped by its indentation.
 */
#include <errno.h>
#include <string.h>

#include "libclient/preload/policy.h"

#define LINE_MAX_BYTES 1024
#define VALUE_MAX_BYTES 2048

struct parser {
	struct mg_policy *policy;
	bool inside;   /* the section */
	char name[32]; /* of the list whose items come line by line */
	char value[VALUE_MAX_BYTES];
};

/* Cuts a comment and blanks at the end. */
static void trim(char *line)
{
	size_t len;
	char *hash = line;

	while ((hash = strchr(hash, '#')) != NULL) {
		if (hash == line || hash[-1] == ' ' || hash[-1] == '\t') {
			*hash = '\0';
			break;
		}
		hash++;
	}
	len = strlen(line);
	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t' || line[len - 1] == '\r'))
		line[--len] = '\0';
}

/* Takes quotes off, in place; returns the text. */
static char *unquote(char *text)
{
	size_t len = strlen(text);

	if (len >= 2 && (text[0] == '"' || text[0] == '\'') && text[len - 1] == text[0]) {
		text[len - 1] = '\0';
		return text + 1;
	}
	return text;
}

static int add(struct parser *p, char *item)
{
	size_t have = strlen(p->value), len;

	item = unquote(item);
	len = strlen(item);
	if (have + len + 2 > sizeof(p->value))
		return -EINVAL;
	if (have > 0)
		p->value[have++] = ',';
	memcpy(p->value + have, item, len + 1);
	return 0;
}

static int add_flow_list(struct parser *p, char *text)
{
	size_t len = strlen(text);
	char *item, *rest;
	int err = 0;

	if (text[len - 1] != ']')
		return -EINVAL;
	text[len - 1] = '\0';
	for (item = strtok_r(text + 1, ",", &rest); item != NULL && err == 0;
	     item = strtok_r(NULL, ",", &rest)) {
		item += strspn(item, " \t");
		trim(item);
		err = add(p, item);
	}
	return err;
}

/* The setting that was being read is complete. */
static int finish(struct parser *p)
{
	int err = p->name[0] == '\0' ? 0 : mg_policy_set(p->policy, p->name, p->value);

	p->name[0] = '\0';
	p->value[0] = '\0';
	return err < 0 ? -EINVAL : 0;
}

static int read_inside(struct parser *p, char *text)
{
	char *colon;
	int err;

	if (text[0] == '-' && text[1] == ' ') {
		text += 1 + strspn(text + 1, " \t");
		return p->name[0] == '\0' ? -EINVAL : add(p, text);
	}
	err = finish(p);
	colon = strchr(text, ':');
	if (err < 0 || colon == NULL || (size_t)(colon - text) >= sizeof(p->name) ||
	    (colon[1] != ' ' && colon[1] != '\0'))
		return -EINVAL;
	memcpy(p->name, text, (size_t)(colon - text));
	p->name[colon - text] = '\0';
	text = colon + 1 + strspn(colon + 1, " \t");
	if (text[0] == '\0')
		return 0;
	return text[0] == '[' ? add_flow_list(p, text) : add(p, text);
}

static int read_line(struct parser *p, char *line)
{
	char *text;
	int err = 0;

	trim(line);
	text = line + strspn(line, " ");
	if (text[0] == '\0')
		return 0;
	if (text[0] == '\t')
		return p->inside ? -EINVAL : 0;
	if (text == line && !(p->inside && text[0] == '-')) {
		err = p->inside ? finish(p) : 0;
		p->inside = strcmp(text, "preload:") == 0;
		if (!p->inside && strncmp(text, "preload:", 8) == 0)
			return -EINVAL; /* {a: b} in one line is not read here: better said than ignored */
		return err;
	}
	return p->inside ? read_inside(p, text) : 0;
}

int mg_policy_parse(struct mg_policy *policy, const char *text, uint32_t *ret_line)
{
	struct parser p = { .policy = policy };
	char line[LINE_MAX_BYTES];
	int err = 0;

	*ret_line = 0;
	while (*text != '\0' && err == 0) {
		size_t len = strcspn(text, "\n");

		(*ret_line)++;
		if (len >= sizeof(line))
			return -EINVAL;
		memcpy(line, text, len);
		line[len] = '\0';
		err = read_line(&p, line);
		text += len + (text[len] == '\n');
	}
	return err < 0 ? err : finish(&p);
}
