/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_value.h - values of every type of the schema: from text, to text, and what is allowed.
 *
 * Idea:    text is the only outside form: YAML scalars, key=value pairs and defaults go through
 *          mg_conf_value_set(), so a value is judged the same wherever it comes from.
 * Threads: plain values.
 */
#ifndef MG_CONF_VALUE_H
#define MG_CONF_VALUE_H
#include <stddef.h>

#include "daemon/conf_err.h"
#include "daemon/conf_key.h"

/* Stores one element at `dst`. 0, or -EINVAL without a message (see mg_conf_value_allowed). */
int mg_conf_value_parse(const struct mg_conf_key *key, const char *text, void *dst);

/* One element as text. */
void mg_conf_value_format(const struct mg_conf_key *key, const void *src, char *buf, size_t len);

/* "1..60000 (milliseconds)": what is allowed for this key, for people. */
void mg_conf_value_allowed(const struct mg_conf_key *key, char *buf, size_t len);

/* Stores n texts as the key's list in `base`; `path` is for messages. 0 or -EINVAL. */
int mg_conf_value_set_list(const struct mg_conf_key *key, void *base, const char *const *texts,
			   size_t n, const char *path, struct mg_conf_err *err);

/* A value, or a list with commas. Not for lists of objects. */
int mg_conf_value_set(const struct mg_conf_key *key, void *base, const char *text, const char *path,
		      struct mg_conf_err *err);

/* The whole value (lists with commas). Not for lists of objects. */
void mg_conf_value_get(const struct mg_conf_key *key, const void *base, char *buf, size_t len);

/* Zeroes a struct that `keys` describe and gives every key its default. */
void mg_conf_value_defaults(const struct mg_conf_key *keys, size_t n, void *base, size_t size);
#endif
