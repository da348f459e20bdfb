/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/core/address.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "libclient/core/env.h"

static const char *after(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static int parse_local(const char *name, struct mg_address *ret)
{
	int n;

	if (name[0] == '\0')
		return -EINVAL;
	if (name[0] == '/') {
		n = snprintf(ret->target, sizeof(ret->target), "%s", name);
	} else {
		if (strchr(name, '/') != NULL || name[0] == '.')
			return -EINVAL;
		n = snprintf(ret->target, sizeof(ret->target), "%s/%s/attach.sock",
			     mg_env_get("MANGO_RUNTIME_DIR", MG_ENV_RUNTIME_DIR), name);
	}
	/* A path has to fit into a sockaddr_un with its end. */
	if (n < 0 || (size_t)n >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return -ENAMETOOLONG;
	return 0;
}

static int parse_module(const char *module, const char *target, struct mg_address *ret)
{
	int n = snprintf(ret->target, sizeof(ret->target), "%s", target);

	if (n < 0 || (size_t)n >= sizeof(ret->target))
		return -ENAMETOOLONG;
	(void)snprintf(ret->module, sizeof(ret->module), "%s", module); /* short by construction */
	return 0;
}

/* HOST:PORT, [V6]:PORT */
static bool has_port(const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;

	return colon != NULL && colon != text && digits > 0 && digits <= 5 &&
	       colon[1 + digits] == '\0';
}

int mg_address_parse(const char *text, struct mg_address *ret_address)
{
	const char *rest;

	memset(ret_address, 0, sizeof(*ret_address));
	if (text == NULL || text[0] == '\0')
		text = mg_env_get("MANGO_ADDRESS", MG_ENV_ADDRESS);
	rest = after(text, "local:");
	if (rest != NULL)
		return parse_local(rest, ret_address);
	rest = after(text, "iceoryx:");
	if (rest != NULL)
		return rest[0] == '\0' ? -EINVAL : parse_module("iceoryx", rest, ret_address);
	rest = after(text, "unix:");
	if (rest != NULL)
		return rest[0] != '/' ? -EINVAL : parse_module("grpc", text, ret_address);
	return has_port(text) ? parse_module("grpc", text, ret_address) : -EINVAL;
}
