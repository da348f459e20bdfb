/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_fuzz.c - any bytes as a configuration file.
 *
 * Idea:    a verdict always comes with a text; what libyaml's walk lets through, libcyaml takes; what
 *          was accepted is consistent, and what GET says of it SET takes back.
 * Use:     scripts/fuzz conf
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool right)
{
	if (!right)
		abort();
}

static int take_back(void *arg, const struct mg_conf_item *item)
{
	require(strlen(item->key) < MG_CONF_KEY_MAX && strlen(item->value) < MG_CONF_VALUE_MAX);
	if (strcmp(item->value, "[]") != 0)
		require(mg_conf_set(arg, item->key, item->value, MG_CONF_BOOT, NULL) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mg_conf conf, copy;
	struct mg_conf_err err;
	int rc = mg_conf_parse((const char *)data, size, "f", &conf, &err);

	if (rc != 0) {
		require(rc == -EINVAL || rc == -EFBIG);
		require(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
		require(strncmp(err.text, "f: found something", 18) !=
			0); /* libcyaml's own complaint */
		return 0;
	}
	require(mg_conf_check(&conf, NULL) == 0);
	if (size % 8 == 0) { /* slow: not every time */
		copy = conf;
		require(mg_conf_each(&conf, NULL, take_back, &copy) == 0);
		require(memcmp(&copy, &conf, sizeof(conf)) == 0);
	}
	return 0;
}
