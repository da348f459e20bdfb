/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_tree.c - see conf_tree.h.
 *
 * Idea:    for libcyaml every value is a string and everything is optional: conf_value.c judges
 *          values, conf_scan.c has judged the structure before.
 */
#include "daemon/conf_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int mg_conf_tree_find(const struct mg_conf_level *level, const char *name)
{
	for (size_t i = 0; i < level->n; i++) {
		if (strcmp(level->nodes[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

void mg_conf_tree_free(struct mg_conf_level *level)
{
	if (level == NULL)
		return;
	for (size_t i = 0; i < level->n; i++) {
		free(level->nodes[i].name);
		mg_conf_tree_free(level->nodes[i].sub);
	}
	free(level->nodes);
	free(level->fields);
	free(level);
}

static void describe_string(cyaml_schema_value_t *v)
{
	v->type = CYAML_STRING;
	v->flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL;
	v->data_size = sizeof(char);
	v->string.max = CYAML_UNLIMITED;
}

static void describe_mapping(cyaml_schema_value_t *v, const struct mg_conf_level *sub,
			     enum cyaml_flag flags)
{
	v->type = CYAML_MAPPING;
	v->flags = flags;
	v->data_size = (uint32_t)(sub->n * sizeof(struct mg_conf_slot));
	v->mapping.fields = sub->fields;
}

static void describe(struct mg_conf_node *node, size_t index, cyaml_schema_field_t *field)
{
	const enum cyaml_flag maybe = CYAML_FLAG_POINTER_NULL_STR | CYAML_FLAG_OPTIONAL;

	field->key = node->name;
	field->data_offset = (uint32_t)(index * sizeof(struct mg_conf_slot) +
					offsetof(struct mg_conf_slot, p));
	field->count_offset = (uint32_t)(index * sizeof(struct mg_conf_slot) +
					 offsetof(struct mg_conf_slot, n));
	field->count_size = sizeof(((struct mg_conf_slot *)0)->n);
	if (node->key == NULL) {
		describe_mapping(&field->value, node->sub, maybe);
		return;
	}
	if (node->key->list_max == 0) {
		describe_string(&field->value);
		return;
	}
	if (node->sub != NULL)
		describe_mapping(&node->entry, node->sub, CYAML_FLAG_DEFAULT);
	else
		describe_string(&node->entry);
	field->value.type = CYAML_SEQUENCE;
	field->value.flags = maybe;
	field->value.data_size = node->sub != NULL ? node->entry.data_size
						   : (uint32_t)sizeof(char *);
	field->value.sequence.entry = &node->entry;
	field->value.sequence.max = node->key->list_max;
}

/* How many of the keys from the first on lie in the same section below `skip`. */
static size_t section_keys(const struct mg_conf_key *keys, size_t n, size_t skip, size_t len)
{
	size_t i = 1;

	while (i < n && strncmp(keys[i].name, keys[0].name, skip + len + 1) == 0)
		i++;
	return i;
}

static int add_node(struct mg_conf_level *level, const struct mg_conf_key *keys, size_t n,
		    size_t skip, size_t *ret_used)
{
	const char *name = keys[0].name + skip;
	size_t len = strcspn(name, ".");
	struct mg_conf_node *node = &level->nodes[level->n];
	int err = 0;

	node->name = strndup(name, len);
	if (node->name == NULL)
		return -ENOMEM;
	level->n++; /* from here on mg_conf_tree_free() knows the node */
	*ret_used = 1;
	if (name[len] == '.') {
		*ret_used = section_keys(keys, n, skip, len);
		err = mg_conf_tree_build(keys, *ret_used, skip + len + 1, &node->sub);
	} else {
		node->key = &keys[0];
		if (node->key->columns != NULL)
			err = mg_conf_tree_build(node->key->columns, node->key->nr_columns, 0,
						 &node->sub);
	}
	if (err < 0)
		return err;
	describe(node, level->n - 1, &level->fields[level->n - 1]);
	return 0;
}

int mg_conf_tree_build(const struct mg_conf_key *keys, size_t n, size_t skip,
		       struct mg_conf_level **ret_level)
{
	struct mg_conf_level *level = calloc(1, sizeof(*level));
	size_t used;
	int err = -ENOMEM;

	if (level == NULL)
		return -ENOMEM;
	level->nodes = calloc(n, sizeof(*level->nodes));
	level->fields = calloc(n + 1, sizeof(*level->fields));
	if (level->nodes == NULL || level->fields == NULL)
		goto free_level;
	for (size_t i = 0; i < n; i += used) {
		err = add_node(level, keys + i, n - i, skip, &used);
		if (err < 0)
			goto free_level;
	}
	*ret_level = level;
	return 0;

free_level:
	mg_conf_tree_free(level);
	return err;
}
