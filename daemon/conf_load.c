/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_load.c - configuration files: libcyaml with a schema made from our table.
 *
 * Idea:    three steps, because libcyaml alone cannot give the messages that are wanted (it stops
 *          with a backtrace, knows nothing of our ranges and units, and keeps no lines):
 *          1. conf_scan.c walks libyaml's events: structure, and the line of every key;
 *          2. libcyaml loads the document; its schema arrays are made from the table
 *             (conf_tree.c) with every value a string, so that the table alone judges values;
 *          3. the loaded strings go through conf_value.c into struct mg_conf; a refused value is
 *             reported with its line from step 1.
 *          What libcyaml refuses after step 1 is reported in its own words.
 * Memory:  a copy of the settings is changed; the caller's struct is written on success only.
 */
#include "daemon/conf_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/conf_value.h"

struct load {
	const struct mg_conf_marks *marks;
	const char *file;
	struct mg_conf_err *err;
};

static int apply_level(struct load *l, const struct mg_conf_level *level,
		       const struct mg_conf_slot *slots, void *base, const char *path);

static void join(char *buf, size_t len, const char *path, const char *name)
{
	buf[0] = '\0';
	mg_conf_append(buf, len, "%s%s%s", path, path[0] != '\0' ? "." : "", name);
}

static int apply_row(struct load *l, const struct mg_conf_node *node,
		     const struct mg_conf_slot *slots, void *base, const char *path)
{
	const struct mg_conf_key *key = node->key;

	for (size_t i = 0; i < node->sub->n; i++) {
		char column[MG_CONF_KEY_MAX + 16];

		if ((node->sub->nodes[i].key->flags & MG_CONF_F_REQUIRED) == 0 ||
		    slots[i].p != NULL)
			continue;
		join(column, sizeof(column), path, node->sub->nodes[i].name);
		return mg_conf_err_fail(l->err, column,
					"found nothing, allowed: a value in every entry of %s",
					key->name);
	}
	mg_conf_value_defaults(key->columns, key->nr_columns, base, key->size);
	return apply_level(l, node->sub, slots, base, path);
}

static int apply_objects(struct load *l, const struct mg_conf_node *node,
			 const struct mg_conf_slot *slot, void *base, const char *path)
{
	const struct mg_conf_slot *rows = slot->p;
	int err = 0;

	memset(mg_conf_key_at(node->key, base, 0), 0, node->key->size * node->key->list_max);
	for (size_t i = 0; err == 0 && rows != NULL && i < slot->n; i++) {
		char row[MG_CONF_KEY_MAX + 16];

		row[0] = '\0';
		mg_conf_append(row, sizeof(row), "%s[%zu]", path, i);
		err = apply_row(l, node, rows + i * node->sub->n,
				mg_conf_key_at(node->key, base, i), row);
	}
	*mg_conf_key_count(node->key, base) = (uint32_t)slot->n;
	return err;
}

static int apply_node(struct load *l, const struct mg_conf_node *node,
		      const struct mg_conf_slot *slot, void *base, const char *path)
{
	if (node->key == NULL)
		return apply_level(l, node->sub, slot->p, base, path);
	if (node->sub != NULL)
		return apply_objects(l, node, slot, base, path);
	if (node->key->list_max > 0)
		return mg_conf_value_set_list(node->key, base, slot->p, slot->n, path, l->err);
	return mg_conf_value_set(node->key, base, slot->p, path, l->err);
}

static int apply_level(struct load *l, const struct mg_conf_level *level,
		       const struct mg_conf_slot *slots, void *base, const char *path)
{
	int err = 0;

	for (size_t i = 0; err == 0 && slots != NULL && i < level->n; i++) {
		char name[MG_CONF_KEY_MAX + 16];

		join(name, sizeof(name), path, level->nodes[i].name);
		if (slots[i].p != NULL || mg_conf_scan_is_empty_list(l->marks, name))
			err = apply_node(l, &level->nodes[i], &slots[i], base, name);
	}
	return err;
}

/* Keeps the first thing that libcyaml complains about. */
static void keep_message(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
	char *text = ctx;

	if (level < CYAML_LOG_ERROR || text[0] != '\0')
		return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)vsnprintf(text, MG_CONF_VALUE_MAX, format, args);
#pragma GCC diagnostic pop
	text[strcspn(text, "\n")] = '\0';
}

static int load_slots(struct load *l, const struct mg_conf_level *top, const char *buf, size_t len,
		      struct mg_conf *conf)
{
	char message[MG_CONF_VALUE_MAX] = "";
	const cyaml_config_t config = {
		.log_fn = keep_message,
		.log_ctx = message,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_WARNING,
		.flags = CYAML_CFG_NO_ALIAS,
	};
	const cyaml_schema_value_t schema = {
		.type = CYAML_MAPPING,
		.flags = CYAML_FLAG_POINTER_NULL_STR,
		.data_size = (uint32_t)(top->n * sizeof(struct mg_conf_slot)),
		.mapping = { .fields = top->fields },
	};
	cyaml_data_t *slots = NULL;
	cyaml_err_t bad = cyaml_load_data((const uint8_t *)buf, len, &config, &schema, &slots,
					  NULL);
	int err = 0;

	if (bad != CYAML_OK) {
		(void)mg_conf_err_fail(
			l->err, "",
			"found something libcyaml refuses (%s: %s), allowed: plain YAML",
			cyaml_strerror(bad), message);
		mg_conf_err_locate(l->err, l->file, 0);
		return bad == CYAML_ERR_OOM ? -ENOMEM : -EINVAL;
	}
	if (slots != NULL)
		err = apply_level(l, top, slots, conf, "");
	if (err < 0)
		mg_conf_err_locate(l->err, l->file,
				   l->err != NULL ? mg_conf_scan_line(l->marks, l->err->key) : 0);
	(void)cyaml_free(&config, &schema, slots, 0); /* fails on NULL arguments only */
	return err;
}

int mg_conf_load_over(struct mg_conf *conf, const char *buf, size_t len, const char *file,
		      struct mg_conf_marks *ret_marks, struct mg_conf_err *err)
{
	struct load l = { .marks = ret_marks, .file = file, .err = err };
	struct mg_conf_level *top = NULL;
	int rc = mg_conf_tree_build(mg_conf_keys, mg_conf_nr_keys, 0, &top);

	memset(ret_marks, 0, sizeof(*ret_marks));
	if (rc < 0)
		return rc;
	rc = mg_conf_scan(buf, len, file, top, ret_marks, err);
	if (rc == 0)
		rc = load_slots(&l, top, buf, len, conf);
	mg_conf_tree_free(top);
	return rc;
}

static int parse_and_check(struct mg_conf *conf, const char *buf, size_t len, const char *name,
			   struct mg_conf_err *err)
{
	struct mg_conf_marks marks;
	unsigned line;
	int rc = mg_conf_load_over(conf, buf, len, name, &marks, err);

	if (rc == 0) {
		rc = mg_conf_check(conf, err);
		if (rc < 0) {
			line = mg_conf_scan_line(&marks, err->key);
			mg_conf_err_locate(err, name,
					   line > 0 ? line : mg_conf_scan_line(&marks, err->other));
		}
	}
	mg_conf_scan_free(&marks);
	return rc;
}

int mg_conf_parse(const char *buf, size_t len, const char *name, struct mg_conf *ret_conf,
		  struct mg_conf_err *err)
{
	struct mg_conf_err unwanted;
	struct mg_conf *conf;
	int rc;

	if (err == NULL)
		err = &unwanted;
	memset(err, 0, sizeof(*err));
	if (len > MG_CONF_FILE_MAX) {
		(void)mg_conf_err_fail(err, "", "found more than %d bytes, allowed: at most that",
				       MG_CONF_FILE_MAX);
		mg_conf_err_locate(err, name, 0);
		return -EFBIG;
	}
	conf = malloc(sizeof(*conf));
	if (conf == NULL)
		return -ENOMEM;
	mg_conf_init(conf);
	rc = parse_and_check(conf, buf, len, name, err);
	if (rc == 0)
		*ret_conf = *conf;
	else if (rc == -ENOMEM && err->text[0] == '\0')
		(void)snprintf(err->text, sizeof(err->text),
			       "%s: not enough memory to read the file", name);
	free(conf);
	return rc;
}

static int fail_file(struct mg_conf_err *err, const char *path, const char *what, int code)
{
	(void)mg_conf_err_fail(err, "", "%s: %s, allowed: a readable YAML file", what,
			       strerror(-code));
	mg_conf_err_locate(err, path, 0);
	return code;
}

/* Reads until the end; one byte past the limit is enough for the caller to see. Bytes or -errno. */
static ssize_t read_all(int fd, char *buf, size_t room)
{
	size_t used = 0;

	while (used < room) {
		ssize_t n = read(fd, buf + used, room - used);

		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

int mg_conf_load(const char *path, struct mg_conf *ret_conf, struct mg_conf_err *err)
{
	struct mg_conf_err unwanted;
	ssize_t n;
	char *buf;
	int fd, rc;

	if (err == NULL)
		err = &unwanted;
	memset(err, 0, sizeof(*err));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_file(err, path, "cannot be opened", -errno);
	rc = -ENOMEM;
	buf = malloc(MG_CONF_FILE_MAX + 1);
	if (buf == NULL) {
		(void)fail_file(err, path, "cannot be read", rc);
		goto close_file;
	}
	n = read_all(fd, buf, MG_CONF_FILE_MAX + 1);
	if (n < 0)
		rc = fail_file(err, path, "cannot be read", (int)n);
	else
		rc = mg_conf_parse(buf, (size_t)n, path, ret_conf, err);
	free(buf);
close_file:
	close(fd);
	return rc;
}
