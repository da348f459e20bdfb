/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert.c - the end of the program when an assertion is wrong.
 */
#include "proto/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void mg_assert_fail(const char *expr, const char *file, int line, const char *func)
{
	fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, func, expr);
	abort();
}
