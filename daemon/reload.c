/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c - see reload.h.
 */
#include "daemon/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 256

struct texts {
	char key[MG_CONF_KEY_MAX];
	char value[MG_CONF_VALUE_MAX];
};

struct reload {
	const struct mg_conf *old;
	const struct mg_log *log;
	uint32_t nr;
	struct mg_conf_pair pairs[KEYS_MAX];
	struct texts texts[KEYS_MAX];
};

static int compare_one(void *arg, const struct mg_conf_item *item)
{
	struct reload *r = arg;
	char old[MG_CONF_VALUE_MAX] = "";
	struct texts *t;

	if (mg_conf_get(r->old, item->key, old, sizeof(old), NULL) == 0 &&
	    strcmp(old, item->value) == 0)
		return 0;
	if (!item->is_live) {
		mg_log(r->log, MG_LOG_WARN, "config",
		       "event=needs-restart key=%s old=\"%s\" new=\"%s\"", item->key, old,
		       item->value);
		return 0;
	}
	if (r->nr == KEYS_MAX)
		return -E2BIG;
	t = &r->texts[r->nr];
	(void)snprintf(t->key, sizeof(t->key), "%s", item->key); /* keys fit */
	(void)snprintf(t->value, sizeof(t->value), "%s",
		       item->value); /* so do values of single keys */
	r->pairs[r->nr] = (struct mg_conf_pair){ t->key, t->value };
	r->nr++;
	mg_log(r->log, MG_LOG_INFO, "config", "event=change key=%s old=\"%s\" new=\"%s\"",
	       item->key, old, item->value);
	return 0;
}

static int apply(struct mg_conf *conf, const struct mg_conf *file, struct reload *r)
{
	struct mg_conf_err err;
	int res = mg_conf_each(file, NULL, compare_one, r);

	if (res == 0 && r->nr > 0)
		res = mg_conf_set_many(conf, r->pairs, r->nr, MG_CONF_LIVE, &err);
	if (res < 0)
		mg_log(r->log, MG_LOG_ERROR, "config", "event=reload-refused error=\"%s\"",
		       res == -E2BIG ? "too many changes" : err.text);
	return res;
}

int mg_reload(const char *path, struct mg_conf *conf, const struct mg_log *log,
	      uint32_t *ret_nr_changed)
{
	struct mg_conf *file = malloc(sizeof(*file));
	struct reload *r = calloc(1, sizeof(*r));
	struct mg_conf_err err;
	int res = -ENOMEM;

	if (file != NULL && r != NULL) {
		res = mg_conf_load(path, file, &err);
		if (res < 0)
			mg_log(log, MG_LOG_ERROR, "config", "event=reload-refused error=\"%s\"",
			       err.text);
	}
	if (res == 0) {
		r->old = conf;
		r->log = log;
		res = apply(conf, file, r);
		*ret_nr_changed = r->nr;
	}
	free(r);
	free(file);
	return res;
}
