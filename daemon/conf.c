/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.c - defaults, GET_CONFIG and SET_CONFIG: settings by key.
 *
 * Idea:    a key as text is resolved to a row of the table and the struct it lives in: struct
 *          mg_conf, or a row of one of its lists ("ports[0].mtu"). All changes are made to a
 *          copy, checked there as a whole, and taken over at once.
 */
#include "daemon/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/conf_load.h"
#include "daemon/conf_near.h"
#include "daemon/conf_value.h"

const struct mg_conf_key *mg_conf_key_find(const struct mg_conf_key *keys, size_t n,
					   const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

void mg_conf_init(struct mg_conf *ret_conf)
{
	mg_conf_value_defaults(mg_conf_keys, mg_conf_nr_keys, ret_conf, sizeof(*ret_conf));
}

/* "NAME[INDEX].COLUMN" of an existing row. NULL: there is no such thing. */
static const struct mg_conf_key *resolve_row(const struct mg_conf *conf, const char *key,
					     const void **ret_base)
{
	const char *open = strchr(key, '[');
	const struct mg_conf_key *list;
	char name[MG_CONF_KEY_MAX];
	unsigned long index;
	char *end;

	if (open == NULL || (size_t)(open - key) >= sizeof(name) ||
	    !isdigit((unsigned char)open[1]))
		return NULL;
	memcpy(name, key, (size_t)(open - key));
	name[open - key] = '\0';
	list = mg_conf_key_find(mg_conf_keys, mg_conf_nr_keys, name);
	index = strtoul(open + 1, &end, 10);
	if (list == NULL || list->columns == NULL || index >= mg_conf_key_count_get(list, conf))
		return NULL;
	if (strncmp(end, "].", 2) != 0)
		return NULL;
	*ret_base = mg_conf_key_at_const(list, conf, index);
	return mg_conf_key_find(list->columns, list->nr_columns, end + 2);
}

static const struct mg_conf_key *resolve(const struct mg_conf *conf, const char *key,
					 const void **ret_base)
{
	const struct mg_conf_key *k = mg_conf_key_find(mg_conf_keys, mg_conf_nr_keys, key);

	*ret_base = conf;
	return k != NULL ? k : resolve_row(conf, key, ret_base);
}

/* An output that counts on when the buffer is full. */
struct text {
	char *buf;
	size_t len, used;
};

static void put(struct text *t, const char *s)
{
	for (; *s != '\0'; s++, t->used++) {
		if (t->used + 1 < t->len)
			t->buf[t->used] = *s;
	}
	if (t->len > 0)
		t->buf[t->used < t->len ? t->used : t->len - 1] = '\0';
}

/* A JSON string, which YAML reads as well. Values hold no control characters. */
static void put_quoted(struct text *t, const char *s)
{
	put(t, "\"");
	for (; *s != '\0'; s++) {
		char c[3] = { '\\', *s, '\0' };

		put(t, *s == '"' || *s == '\\' ? c : c + 1);
	}
	put(t, "\"");
}

static void put_cell(struct text *t, const struct mg_conf_key *column, const void *row)
{
	char value[MG_CONF_VALUE_MAX];

	if (column->list_max == 0) {
		mg_conf_value_get(column, row, value, sizeof(value));
		put_quoted(t, value);
		return;
	}
	put(t, "[");
	for (uint32_t i = 0; i < mg_conf_key_count_get(column, row); i++) {
		put(t, i > 0 ? ", " : "");
		mg_conf_value_format(column, mg_conf_key_at_const(column, row, i), value,
				     sizeof(value));
		put_quoted(t, value);
	}
	put(t, "]");
}

static void put_objects(struct text *t, const struct mg_conf_key *key, const void *base)
{
	put(t, "[");
	for (uint32_t r = 0; r < mg_conf_key_count_get(key, base); r++) {
		put(t, r > 0 ? ", {" : "{");
		for (size_t c = 0; c < key->nr_columns; c++) {
			put(t, c > 0 ? ", " : "");
			put_quoted(t, key->columns[c].name);
			put(t, ": ");
			put_cell(t, &key->columns[c], mg_conf_key_at_const(key, base, r));
		}
		put(t, "}");
	}
	put(t, "]");
}

int mg_conf_get(const struct mg_conf *conf, const char *key, char *buf, size_t len, size_t *ret_len)
{
	struct text t = { .buf = buf, .len = len };
	const void *base;
	const struct mg_conf_key *k = resolve(conf, key, &base);
	char value[MG_CONF_VALUE_MAX];

	if (k == NULL)
		return -ENOENT;
	put(&t, "");
	if (k->columns != NULL) {
		put_objects(&t, k, base);
	} else {
		mg_conf_value_get(k, base, value, sizeof(value));
		put(&t, value);
	}
	if (ret_len != NULL)
		*ret_len = t.used;
	return t.used < len ? 0 : -ENOSPC;
}

/* Is the key the one, or in the section, that was asked for? */
static bool matches(const char *key, const char *what)
{
	size_t len = strlen(what);

	if (strncmp(key, what, len) != 0)
		return false;
	return len == 0 || what[len - 1] == '.' || key[len] == '\0' || key[len] == '.' ||
	       key[len] == '[';
}

struct walk {
	const char *what;
	mg_conf_each_fn fn;
	void *arg;
	bool found;
};

static int visit(struct walk *w, const struct mg_conf_key *key, const void *base, const char *name,
		 bool is_live)
{
	char value[MG_CONF_VALUE_MAX], deflt[MG_CONF_VALUE_MAX] = "";
	struct mg_conf_item item = {
		.key = name, .value = value, .deflt = deflt, .is_live = is_live
	};

	if (!matches(name, w->what))
		return 0;
	w->found = true;
	if (key->columns != NULL)
		(void)snprintf(value, sizeof(value), "[]"); /* rows are visited one by one */
	else
		mg_conf_value_get(key, base, value, sizeof(value));
	(void)snprintf(deflt, sizeof(deflt), "%s",
		       key->columns != NULL ? "[]"
		       : key->deflt != NULL ? key->deflt
					    : "");
	item.is_default = strcmp(value, deflt) == 0;
	return w->fn(w->arg, &item);
}

static int visit_rows(struct walk *w, const struct mg_conf_key *key, const struct mg_conf *conf)
{
	const bool is_live = (key->flags & MG_CONF_F_LIVE) != 0;
	const uint32_t n = mg_conf_key_count_get(key, conf);
	char name[MG_CONF_KEY_MAX];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n * key->nr_columns; i++) {
		const struct mg_conf_key *column = &key->columns[i % key->nr_columns];
		size_t row = i / key->nr_columns;

		(void)snprintf(name, sizeof(name), "%s[%zu].%s", key->name, row, column->name);
		rc = visit(w, column, mg_conf_key_at_const(key, conf, row), name, is_live);
	}
	return n > 0 ? rc : visit(w, key, conf, key->name, is_live);
}

int mg_conf_each(const struct mg_conf *conf, const char *what, mg_conf_each_fn fn, void *arg)
{
	struct walk w = { .what = what != NULL ? what : "", .fn = fn, .arg = arg };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < mg_conf_nr_keys; i++) {
		const struct mg_conf_key *key = &mg_conf_keys[i];

		if (key->columns != NULL)
			rc = visit_rows(&w, key, conf);
		else
			rc = visit(&w, key, conf, key->name, (key->flags & MG_CONF_F_LIVE) != 0);
	}
	return rc == 0 && !w.found ? -ENOENT : rc;
}

static int fail_no_key(const char *key, struct mg_conf_err *err)
{
	const char *near = mg_conf_near_key(key);
	char quote[MG_CONF_QUOTE_MAX];

	mg_conf_err_quote(key, quote);
	if (near != NULL)
		(void)mg_conf_err_fail(err, "",
				       "%s: found an unknown key, allowed: did you mean %s?", quote,
				       near);
	else
		(void)mg_conf_err_fail(err, "",
				       "%s: found an unknown key, allowed: the keys that "
				       "\"mangoctl "
				       "config get\" lists",
				       quote);
	return -ENOENT;
}

/* The YAML of the file in one line: only this key, so nothing may end the line. */
static int set_objects(struct mg_conf *conf, const struct mg_conf_key *key, const char *value,
		       struct mg_conf_err *err)
{
	size_t room = strlen(key->name) + strlen(value) + 4;
	struct mg_conf_marks marks = { 0 };
	char *line;
	int rc;

	if (strpbrk(value, "\n\r") != NULL || strlen(value) > MG_CONF_FILE_MAX / 2)
		return mg_conf_err_fail(err, key->name,
					"found several lines, allowed: [{key: value, ...}, ...]");
	line = malloc(room);
	if (line == NULL)
		return -ENOMEM;
	(void)snprintf(line, room, "%s: %s\n", key->name, value);
	rc = mg_conf_load_over(conf, line, strlen(line), key->name, &marks, err);
	mg_conf_scan_free(&marks);
	free(line);
	return rc;
}

static int set_one(struct mg_conf *conf, const struct mg_conf_pair *pair, enum mg_conf_when when,
		   struct mg_conf_err *err)
{
	const void *base;
	const struct mg_conf_key *key = resolve(conf, pair->key, &base);

	if (key == NULL)
		return fail_no_key(pair->key, err);
	if (when == MG_CONF_LIVE && (base != conf || (key->flags & MG_CONF_F_LIVE) == 0)) {
		(void)mg_conf_err_fail(err, pair->key,
				       "found a change at run time, allowed: in the file, with a "
				       "restart of mangod");
		return -EPERM;
	}
	if (key->columns != NULL)
		return set_objects(conf, key, pair->value, err);
	return mg_conf_value_set(key,
				 (uint8_t *)conf + ((const uint8_t *)base - (const uint8_t *)conf),
				 pair->value, pair->key, err);
}

int mg_conf_set_many(struct mg_conf *conf, const struct mg_conf_pair *pairs, size_t n,
		     enum mg_conf_when when, struct mg_conf_err *err)
{
	struct mg_conf *next = malloc(sizeof(*next));
	int rc = 0;

	if (next == NULL)
		return -ENOMEM;
	*next = *conf;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = set_one(next, &pairs[i], when, err);
	if (rc == 0)
		rc = mg_conf_check(next, err);
	if (rc == 0)
		*conf = *next;
	free(next);
	return rc;
}

int mg_conf_set(struct mg_conf *conf, const char *key, const char *value, enum mg_conf_when when,
		struct mg_conf_err *err)
{
	const struct mg_conf_pair pair = { .key = key, .value = value };

	return mg_conf_set_many(conf, &pair, 1, when, err);
}

int mg_conf_expand(const struct mg_conf *conf, const char *text, char *buf, size_t len)
{
	struct text t = { .buf = buf, .len = len };

	put(&t, "");
	for (; *text != '\0'; text++) {
		char c[2] = { *text, '\0' };

		if (strncmp(text, "%i", 2) == 0)
			put(&t, conf->instance);
		else if (strncmp(text, "%t", 2) == 0)
			put(&t, conf->runtime_dir);
		else
			put(&t, c);
		text += strncmp(text, "%i", 2) == 0 || strncmp(text, "%t", 2) == 0;
	}
	return t.used < len ? 0 : -ENAMETOOLONG;
}

int mg_conf_attach_path(const struct mg_conf *conf, char *buf, size_t len)
{
	return mg_conf_expand(conf, "%t/%i/attach.sock", buf, len);
}
