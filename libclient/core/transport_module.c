/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/core/transport_module.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "libclient/core/env.h"

/* The folder of the library that this code is in; "" when it cannot be told. */
static void own_folder(char *buf, size_t len)
{
	static const char anchor;
	Dl_info info;
	const char *slash;

	buf[0] = '\0';
	if (dladdr(&anchor, &info) == 0 || info.dli_fname == NULL)
		return;
	slash = strrchr(info.dli_fname, '/');
	if (slash != NULL && (size_t)(slash - info.dli_fname) < len)
		(void)snprintf(buf, len, "%.*s", (int)(slash - info.dli_fname),
			       info.dli_fname); /* fits */
}

static void *try_load(const char *folder, const char *sub, const char *name,
		      const struct mg_log *log)
{
	char path[PATH_MAX];
	void *so;
	int n;

	if (folder != NULL && folder[0] == '\0')
		return NULL;
	n = folder == NULL ? snprintf(path, sizeof(path), "libmango_%s.so", name)
			   : snprintf(path, sizeof(path), "%s/%slibmango_%s.so", folder, sub, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return NULL;
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (so == NULL) {
		const char *why = dlerror();

		mg_log(log, MG_LOG_DEBUG, "transport", "module=%s error=\"%s\"", path,
		       why != NULL ? why : "?");
	}
	return so;
}

static int check(const struct mg_transport_ops *ops, const char *name, const struct mg_log *log)
{
	if (ops == NULL) {
		mg_log(log, MG_LOG_ERROR, "transport", "module=%s error=\"no symbol %s\"", name,
		       MG_TRANSPORT_SYMBOL);
		return -ELIBBAD;
	}
	if (ops->version != MG_TRANSPORT_VERSION || ops->size < sizeof(*ops)) {
		mg_log(log, MG_LOG_ERROR, "transport",
		       "module=%s version=%u wanted=%u error=\"other version\"", name, ops->version,
		       MG_TRANSPORT_VERSION);
		return -ELIBBAD;
	}
	return 0;
}

int mg_transport_module_load(const char *name, const struct mg_log *log,
			     const struct mg_transport_ops **ret_ops)
{
	const struct mg_transport_ops *ops;
	char own[PATH_MAX];
	void *so;
	int err;

	own_folder(own, sizeof(own));
	so = try_load(mg_env_get("MANGO_MODULE_PATH", ""), "", name, log);
	if (so == NULL)
		so = try_load(own, "", name, log);
	if (so == NULL)
		so = try_load(own, "mango/", name, log);
	if (so == NULL) /* in a build tree */
		so = try_load(own, "transport_grpc/", name, log);
	if (so == NULL)
		so = try_load(NULL, "", name, log);
	if (so == NULL) {
		mg_log(log, MG_LOG_ERROR, "transport",
		       "module=libmango_%s.so error=\"cannot be loaded; MANGO_LOG=debug tells where was looked\"",
		       name);
		return -ELIBACC;
	}
	ops = dlsym(so, MG_TRANSPORT_SYMBOL);
	err = check(ops, name, log);
	if (err == 0)
		*ret_ops = ops;
	return err;
}
