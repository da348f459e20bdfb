/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_near.c - see conf_near.h.
 */
#include "daemon/conf_near.h"

#include <string.h>

#include "daemon/conf_err.h"

#define NAME_MAX_LEN 63 /* longer names are near to nothing */

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/*
 * Edit distance with swapped neighbors as one edit (optimal string alignment); three rows.
 */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][NAME_MAX_LEN + 1];
	size_t *old = rows[0], *above = rows[1], *row = rows[2];
	size_t n = strlen(a), m = strlen(b);

	if (n > NAME_MAX_LEN || m > NAME_MAX_LEN)
		return SIZE_MAX;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *spare = old;

		old = above;
		above = row;
		row = spare;
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			row[j] = min3(above[j] + 1, row[j - 1] + 1,
				      above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min3(row[j], old[j - 2] + 1, SIZE_MAX);
		}
	}
	return row[m];
}

static bool is_near(size_t d, const char *name)
{
	size_t limit = strlen(name) / 3;

	return d <= (limit < 1 ? 1 : limit);
}

/* "b" of "a.b" */
static const char *last_part(const char *key)
{
	const char *dot = key != NULL ? strrchr(key, '.') : NULL;

	return dot != NULL ? dot + 1 : key;
}

/* A key of any section whose last part is `name`. */
static const char *same_name_elsewhere(const char *name)
{
	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		if (strcmp(last_part(mg_conf_keys[i].name), name) == 0)
			return mg_conf_keys[i].name;
	}
	return NULL;
}

static const char *nearest_in(const struct mg_conf_level *level, const char *name)
{
	const char *best = NULL;
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < level->n; i++) {
		size_t d = distance(level->nodes[i].name, name);

		if (d < least) {
			least = d;
			best = level->nodes[i].name;
		}
	}
	return best != NULL && is_near(least, name) ? best : NULL;
}

void mg_conf_near_hint(const struct mg_conf_level *level, const char *path, const char *name,
		       char *buf, size_t len)
{
	const char *near = nearest_in(level, name);
	const char *elsewhere = near == NULL ? same_name_elsewhere(name) : NULL;

	if (near != NULL) {
		mg_conf_append(buf, len, "did you mean %s%s%s?", path, path[0] != '\0' ? "." : "",
			       near);
		return;
	}
	if (elsewhere != NULL) {
		mg_conf_append(buf, len, "did you mean %s?", elsewhere);
		return;
	}
	for (size_t i = 0; i < level->n; i++) {
		if (strlen(buf) + strlen(level->nodes[i].name) + 8 > len) {
			mg_conf_append(buf, len, ", ...");
			return;
		}
		mg_conf_append(buf, len, "%s%s", i > 0 ? ", " : "", level->nodes[i].name);
	}
}

const char *mg_conf_near_key(const char *name)
{
	const char *best = NULL;
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		size_t d = distance(mg_conf_keys[i].name, name);

		if (d < least) {
			least = d;
			best = mg_conf_keys[i].name;
		}
	}
	return best != NULL && is_near(least, name) ? best : same_name_elsewhere(name);
}
