/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/core/env.h"

#include <stdlib.h>

const char *mg_env_get(const char *name, const char *deflt)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : deflt;
}

static uint32_t parse_u32(const char *text, uint32_t deflt, uint32_t max)
{
	char *end;
	unsigned long v;

	if (text == NULL)
		return deflt;
	v = strtoul(text, &end, 10);
	if (end == text || *end != '\0' || v > max)
		return deflt;
	return (uint32_t)v;
}

void mg_env_read(struct mg_env *env)
{
	const char *level = mg_env_get("MANGO_LOG", NULL);

	env->log = (struct mg_log){ .level = MG_LOG_INFO };
	env->logp = level != NULL ? &env->log : NULL;
	if (level != NULL && mg_log_level_parse(level, &env->log.level) < 0)
		env->log.level = MG_LOG_INFO; /* "1" and the like */
	env->spin_us = parse_u32(mg_env_get("MANGO_SPIN_US", NULL), MG_ENV_SPIN_US,
				 MG_ENV_SPIN_US_MAX);
}
