/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_scan.c - see conf_scan.h.
 *
 * Idea:    one function per kind of node: level (mapping), list, objects (list of mappings),
 *          value. Each is entered with the first event of its node in s->ev and leaves after its
 *          last one.
 */
#include "daemon/conf_scan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "daemon/conf_near.h"
#include "daemon/conf_value.h"

struct scan {
	yaml_parser_t parser;
	yaml_event_t ev; /* the current event, if has_ev */
	bool has_ev;
	const char *buf, *file;
	size_t len;
	char path[MG_CONF_KEY_MAX + MG_CONF_QUOTE_MAX];
	struct mg_conf_marks *marks;
	struct mg_conf_err *err;
};

void mg_conf_scan_free(struct mg_conf_marks *marks)
{
	free(marks->m);
	memset(marks, 0, sizeof(*marks));
}

static const struct mg_conf_mark *find(const struct mg_conf_marks *marks, const char *path)
{
	for (size_t i = 0; i < marks->n; i++) {
		if (strcmp(marks->m[i].path, path) == 0)
			return &marks->m[i];
	}
	return NULL;
}

static unsigned find_line(const struct mg_conf_marks *marks, const char *path)
{
	const struct mg_conf_mark *mark = find(marks, path);

	return mark != NULL ? mark->line : 0;
}

bool mg_conf_scan_is_empty_list(const struct mg_conf_marks *marks, const char *path)
{
	const struct mg_conf_mark *mark = find(marks, path);

	return mark != NULL && mark->is_empty_list;
}

unsigned mg_conf_scan_line(const struct mg_conf_marks *marks, const char *path)
{
	unsigned line = find_line(marks, path);
	char row[MG_CONF_KEY_MAX];
	const char *end = strrchr(path, ']');

	if (line > 0 || end == NULL || (size_t)(end - path) + 2 > sizeof(row))
		return line;
	memcpy(row, path, (size_t)(end - path) + 1);
	row[end - path + 1] = '\0';
	return find_line(marks, row);
}

static int add_mark(struct scan *s, unsigned line)
{
	struct mg_conf_marks *k = s->marks;

	if (k->n == k->room) {
		size_t room = k->room > 0 ? 2 * k->room : 64;
		struct mg_conf_mark *m = realloc(k->m, room * sizeof(*m));

		if (m == NULL)
			return -ENOMEM;
		k->m = m;
		k->room = room;
	}
	memset(&k->m[k->n], 0, sizeof(k->m[k->n]));
	mg_conf_append(k->m[k->n].path, sizeof(k->m[k->n].path), "%s", s->path);
	k->m[k->n].line = line;
	k->n++;
	return 0;
}

static unsigned event_line(const struct scan *s)
{
	return (unsigned)s->ev.start_mark.line + 1;
}

/* Appends a name or an index to the path; returns the old length for pop(). */
static size_t push(struct scan *s, const char *name)
{
	size_t len = strlen(s->path);

	mg_conf_append(s->path, sizeof(s->path), "%s%s", len > 0 ? "." : "", name);
	return len;
}

static size_t push_index(struct scan *s, size_t i)
{
	size_t len = strlen(s->path);

	mg_conf_append(s->path, sizeof(s->path), "[%zu]", i);
	return len;
}

static void pop(struct scan *s, size_t len)
{
	s->path[len] = '\0';
}

static int fail_here(struct scan *s, const char *found, const char *allowed)
{
	(void)mg_conf_err_fail(s->err, s->path, "found %s, allowed: %s", found, allowed);
	mg_conf_err_locate(s->err, s->file, event_line(s));
	return -EINVAL;
}

/* Is the line (from 0) indented by a tab? */
static bool has_tab(const struct scan *s, size_t line)
{
	const char *p = s->buf, *end = s->buf + s->len;

	for (; line > 0 && p != NULL; line--) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p != NULL ? p + 1 : NULL;
	}
	for (; p != NULL && p < end && (*p == ' ' || *p == '\t'); p++) {
		if (*p == '\t')
			return true;
	}
	return false;
}

static unsigned line_of_offset(const struct scan *s, size_t offset)
{
	unsigned line = 1;

	for (size_t i = 0; i < offset && i < s->len; i++)
		line += s->buf[i] == '\n';
	return line;
}

static int fail_syntax(struct scan *s)
{
	const yaml_parser_t *p = &s->parser;
	unsigned line = (unsigned)p->problem_mark.line + 1;

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR) {
		(void)mg_conf_err_fail(s->err, "",
				       "found bytes that are not text (%s), allowed: UTF-8 text",
				       p->problem != NULL ? p->problem : "unreadable");
		line = line_of_offset(s, p->problem_offset);
	} else if (has_tab(s, p->problem_mark.line)) {
		(void)mg_conf_err_fail(
			s->err, "", "found a tab before the key, allowed: spaces for indentation");
	} else {
		(void)mg_conf_err_fail(
			s->err, "",
			"found text that is not YAML (%s%s%s), allowed: \"key: value\" "
			"lines, indented by spaces",
			p->context != NULL ? p->context : "", p->context != NULL ? ": " : "",
			p->problem != NULL ? p->problem : "syntax error");
	}
	mg_conf_err_locate(s->err, s->file, line);
	return -EINVAL;
}

static int next(struct scan *s)
{
	if (s->has_ev)
		yaml_event_delete(&s->ev);
	s->has_ev = false;
	if (!yaml_parser_parse(&s->parser, &s->ev))
		return fail_syntax(s);
	s->has_ev = true;
	return 0;
}

static bool has_anchor(const yaml_event_t *ev)
{
	return ev->type == YAML_ALIAS_EVENT ||
	       (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.anchor != NULL) ||
	       (ev->type == YAML_SEQUENCE_START_EVENT && ev->data.sequence_start.anchor != NULL) ||
	       (ev->type == YAML_MAPPING_START_EVENT && ev->data.mapping_start.anchor != NULL);
}

/* The next event must begin a node. */
static int next_node(struct scan *s)
{
	int err = next(s);

	if (err < 0)
		return err;
	if (has_anchor(&s->ev))
		return fail_here(s, "an anchor or alias (& or *)", "values written out");
	if (s->ev.type == YAML_SCALAR_EVENT &&
	    memchr(s->ev.data.scalar.value, '\0', s->ev.data.scalar.length) != NULL)
		return fail_here(s, "a zero byte", "text");
	return 0;
}

static const char *scalar(const struct scan *s)
{
	return (const char *)s->ev.data.scalar.value;
}

/* Nothing, ~ or null without quotes. */
static bool is_null(const yaml_event_t *ev)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (ev->type != YAML_SCALAR_EVENT || ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp((const char *)ev->data.scalar.value, words[i]) == 0)
			return true;
	}
	return false;
}

/* The current node in words, for messages. */
static const char *node_kind(const struct scan *s, char buf[MG_CONF_QUOTE_MAX])
{
	if (s->ev.type == YAML_MAPPING_START_EVENT)
		return "a section (key: value)";
	if (s->ev.type == YAML_SEQUENCE_START_EVENT)
		return "a list";
	if (is_null(&s->ev))
		return "nothing";
	return mg_conf_err_quote(scalar(s), buf);
}

static int scan_level(struct scan *s, const struct mg_conf_level *level);

static int scan_value(struct scan *s, const struct mg_conf_key *key)
{
	char allowed[320], quote[MG_CONF_QUOTE_MAX];

	if (s->ev.type == YAML_SCALAR_EVENT && !is_null(&s->ev))
		return 0;
	mg_conf_value_allowed(key, allowed, sizeof(allowed));
	return fail_here(s, node_kind(s, quote), allowed);
}

static int scan_entry(struct scan *s, const struct mg_conf_node *node)
{
	char quote[MG_CONF_QUOTE_MAX];

	if (node->sub == NULL && s->ev.type == YAML_SCALAR_EVENT && !is_null(&s->ev))
		return 0;
	if (node->sub != NULL && s->ev.type == YAML_MAPPING_START_EVENT)
		return scan_level(s, node->sub);
	return fail_here(s, node_kind(s, quote),
			 node->sub != NULL ? "an object (key: value, ...) per entry"
					   : "one value per entry");
}

static int scan_list(struct scan *s, const struct mg_conf_node *node)
{
	char allowed[64], quote[MG_CONF_QUOTE_MAX];
	size_t len;
	int err;

	if (is_null(&s->ev))
		return 0;
	(void)snprintf(allowed, sizeof(allowed), "a list of at most %u %s", node->key->list_max,
		       node->sub != NULL ? "objects (- key: value)" : "entries ([a, b])");
	if (s->ev.type != YAML_SEQUENCE_START_EVENT)
		return fail_here(s, node_kind(s, quote), allowed);
	for (size_t i = 0;; i++) {
		err = next_node(s);
		if (err < 0)
			return err;
		if (s->ev.type == YAML_SEQUENCE_END_EVENT) {
			if (i == 0) /* the newest mark is that of this list */
				s->marks->m[s->marks->n - 1].is_empty_list = true;
			return 0;
		}
		if (i == node->key->list_max)
			return fail_here(s, "one entry more", allowed);
		len = push_index(s, i);
		err = add_mark(s, event_line(s));
		if (err == 0)
			err = scan_entry(s, node);
		if (err < 0)
			return err;
		pop(s, len);
	}
}

static int scan_section(struct scan *s, const struct mg_conf_level *level)
{
	char quote[MG_CONF_QUOTE_MAX];

	if (is_null(&s->ev))
		return 0; /* all its keys are commented out */
	if (s->ev.type != YAML_MAPPING_START_EVENT)
		return fail_here(s, node_kind(s, quote),
				 "a section (indented \"key: value\" lines)");
	return scan_level(s, level);
}

static int scan_node(struct scan *s, const struct mg_conf_node *node)
{
	if (node->key == NULL)
		return scan_section(s, node->sub);
	if (node->key->list_max > 0)
		return scan_list(s, node);
	return scan_value(s, node->key);
}

static int fail_unknown(struct scan *s, const struct mg_conf_level *level, const char *name)
{
	char hint[512] = "", clean[MG_CONF_QUOTE_MAX];
	size_t len;

	mg_conf_near_hint(level, s->path, name, hint, sizeof(hint));
	mg_conf_err_quote(name, clean);
	clean[strlen(clean) - 1] = '\0';
	len = push(s, clean + 1); /* the name without its quotes */
	(void)mg_conf_err_fail(s->err, s->path, "found an unknown key, allowed: %s", hint);
	mg_conf_err_locate(s->err, s->file, event_line(s));
	pop(s, len);
	return -EINVAL;
}

/* The current event is a key of this level. */
static int scan_pair(struct scan *s, const struct mg_conf_level *level)
{
	char found[64];
	unsigned line;
	size_t len;
	int i, err;

	if (s->ev.type != YAML_SCALAR_EVENT)
		return fail_here(s, "a list or an object where a key should be", "key: value");
	i = mg_conf_tree_find(level, scalar(s));
	if (i < 0)
		return fail_unknown(s, level, scalar(s));
	len = push(s, level->nodes[i].name);
	line = find_line(s->marks, s->path);
	if (line > 0) {
		(void)snprintf(found, sizeof(found), "a second time (first in line %u)", line);
		return fail_here(s, found, "every key once");
	}
	err = add_mark(s, event_line(s));
	if (err == 0)
		err = next_node(s);
	if (err == 0)
		err = scan_node(s, &level->nodes[i]);
	if (err == 0)
		pop(s, len);
	return err;
}

static int scan_level(struct scan *s, const struct mg_conf_level *level)
{
	for (;;) {
		int err = next_node(s);

		if (err < 0 || s->ev.type == YAML_MAPPING_END_EVENT)
			return err;
		err = scan_pair(s, level);
		if (err < 0)
			return err;
	}
}

/* STREAM-START, then nothing or one document. */
static int scan_stream(struct scan *s, const struct mg_conf_level *top)
{
	int err = next(s);

	if (err == 0)
		err = next(s);
	if (err < 0 || s->ev.type == YAML_STREAM_END_EVENT)
		return err;
	err = next_node(s);
	if (err == 0)
		err = scan_section(s, top);
	if (err == 0)
		err = next(s); /* DOCUMENT-END */
	if (err == 0)
		err = next(s);
	if (err < 0 || s->ev.type == YAML_STREAM_END_EVENT)
		return err;
	return fail_here(s, "a second document (---)", "one document");
}

int mg_conf_scan(const char *buf, size_t len, const char *file, const struct mg_conf_level *top,
		 struct mg_conf_marks *ret_marks, struct mg_conf_err *err)
{
	struct scan s = { .buf = buf, .len = len, .file = file, .marks = ret_marks, .err = err };
	int rc;

	memset(ret_marks, 0, sizeof(*ret_marks));
	if (!yaml_parser_initialize(&s.parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&s.parser, (const unsigned char *)buf, len);
	rc = scan_stream(&s, top);
	if (s.has_ev)
		yaml_event_delete(&s.ev);
	yaml_parser_delete(&s.parser);
	return rc;
}
