/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_tree.h - the schema table as a tree of sections, with the libcyaml schema made from it.
 *
 * Idea:    the table is flat ("ipc.grpc.enabled"), a file is nested. One level of the tree is one
 *          YAML mapping: the top, a section, or the columns of a list of objects. Every item of a
 *          level owns one struct mg_conf_slot in what libcyaml loads, whatever its kind.
 * Threads: built per load, constant afterwards.
 * Memory:  heap; mg_conf_tree_free() takes all of it back.
 */
#ifndef MG_CONF_TREE_H
#define MG_CONF_TREE_H
#include <cyaml/cyaml.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/conf_key.h"

/*
 * What libcyaml stores for an item: value: char *; list: char ** and n; section: slots; objects:
 * rows of slots.
 */
struct mg_conf_slot {
	void *p;
	uint64_t n;
};

struct mg_conf_level;

struct mg_conf_node {
	char *name;
	const struct mg_conf_key *key; /* NULL: a section */
	struct mg_conf_level *sub;     /* sections and lists of objects */
	cyaml_schema_value_t entry;    /* lists: what libcyaml expects of one entry */
};

struct mg_conf_level {
	struct mg_conf_node *nodes;
	size_t n;
	cyaml_schema_field_t *fields; /* n and the end mark */
};

/*
 * A level and all below it from a slice of a table; `skip` is the length of the prefix that names
 * it.
 */
int mg_conf_tree_build(const struct mg_conf_key *keys, size_t n, size_t skip,
		       struct mg_conf_level **ret_level);
void mg_conf_tree_free(struct mg_conf_level *level);

/* The index of the item of that name, or -1. */
int mg_conf_tree_find(const struct mg_conf_level *level, const char *name);
#endif
