/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/real.h"

#include <dlfcn.h>
#include <string.h>

#include "libclient/preload/sys.h"

struct mg_real mg_real;

/* A libc without this function: the program cannot have called it either. */
static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

const struct mg_real *mg_real_find(void)
{
	void *p;

#define MG_REAL_NAME(name)                      \
	p = dlsym(RTLD_NEXT, #name);            \
	if (p == NULL)                          \
		p = (void *)(uintptr_t)missing; \
	memcpy(&mg_real.name, &p, sizeof(p)); /* ISO C has no cast for this */
#include "libclient/preload/real.def"
#undef MG_REAL_NAME
	/* release: pairs with the acquire in mg_real_table() */
	atomic_store_explicit(&mg_real.ready, true, memory_order_release);
	return &mg_real;
}
