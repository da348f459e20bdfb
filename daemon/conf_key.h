/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_key.h - one row of the schema table, and the table.
 *
 * Idea:    a row says everything about one key; no code names a key twice. A key is a value, a
 *          list of values (list_max > 0), or a list of objects, which has a table of its own for
 *          the columns.
 * Use:     inside daemon/conf*.c; other code reads struct mg_conf.
 * Threads: constant.
 */
#ifndef MG_CONF_KEY_H
#define MG_CONF_KEY_H
#include <stddef.h>
#include <stdint.h>

#include "daemon/conf.h"

enum mg_conf_type {
	MG_CONF_T_BOOL,
	MG_CONF_T_NUMBER,
	MG_CONF_T_BYTES,    /* a number; K, M, G, KiB, MiB, GiB are understood */
	MG_CONF_T_DURATION, /* a number in `unit`; us, ms, s, min, h are understood */
	MG_CONF_T_MODE,     /* octal */
	MG_CONF_T_ENUM,
	MG_CONF_T_NAME,     /* letters, digits, . _ - */
	MG_CONF_T_USER,     /* a name or a number or * */
	MG_CONF_T_TEXT,     /* printable */
	MG_CONF_T_PATH,     /* absolute */
	MG_CONF_T_ENDPOINT, /* HOST:PORT or unix:PATH */
	MG_CONF_T_RULE,     /* proto/base/rule.h */
	MG_CONF_T_PROGRAM,  /* a file's name, perhaps with ! in front */
	MG_CONF_T_PCI,
	MG_CONF_T_ADDR,
	MG_CONF_T_PREFIX, /* ADDR/BITS, host bits allowed */
	MG_CONF_T_MAC,
	MG_CONF_T_OBJECTS,
};

enum mg_conf_flag {
	MG_CONF_F_LIVE = 1 << 0,     /* can change at run time */
	MG_CONF_F_POW2 = 1 << 1,     /* a power of two */
	MG_CONF_F_REQUIRED = 1 << 2, /* in a row: may not be left out */
};

struct mg_conf_key {
	const char *name; /* the whole path; in rows the column only */
	enum mg_conf_type type;
	uint32_t flags;      /* enum mg_conf_flag */
	size_t offset;       /* in struct mg_conf; in rows in the row's struct */
	size_t size;         /* of one element */
	uint32_t list_max;   /* > 0: a list, stored as an array and a uint32_t count */
	size_t count_offset; /* lists */
	uint64_t min;        /* numbers: the range; strings: the length */
	uint64_t max;
	const char *word; /* numbers: stands for word_value, which may lie outside the range */
	uint64_t word_value;
	const char *const *names; /* enums: NULL-terminated, index = value */
	const char *deflt;        /* as text; lists with commas; NULL: nothing */
	const char *unit;         /* in words, plural */
	const char *help;         /* one or more sentences */
	const char *example; /* lists of objects: rows for the commented example, one per line */
	const struct mg_conf_key *columns; /* lists of objects */
	size_t nr_columns;
};

/* Keys of one section stand together; sections in the order of the documentation. */
extern const struct mg_conf_key mg_conf_keys[];
extern const size_t mg_conf_nr_keys;

/* One line about each section, for documentation. */
struct mg_conf_section {
	const char *name;
	const char *help;
};
extern const struct mg_conf_section mg_conf_sections[];
extern const size_t mg_conf_nr_sections;

/* The key of that name (no rows), or NULL. */
const struct mg_conf_key *mg_conf_key_find(const struct mg_conf_key *keys, size_t n,
					   const char *name);

static inline uint8_t *mg_conf_key_at(const struct mg_conf_key *key, void *base, size_t index)
{
	return (uint8_t *)base + key->offset + index * key->size;
}

static inline const uint8_t *mg_conf_key_at_const(const struct mg_conf_key *key, const void *base,
						  size_t index)
{
	return (const uint8_t *)base + key->offset + index * key->size;
}

static inline uint32_t *mg_conf_key_count(const struct mg_conf_key *key, void *base)
{
	return (uint32_t *)(void *)((uint8_t *)base + key->count_offset);
}

static inline uint32_t mg_conf_key_count_get(const struct mg_conf_key *key, const void *base)
{
	return *(const uint32_t *)(const void *)((const uint8_t *)base + key->count_offset);
}
#endif
