/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errtext.c - see errtext.h.
 */
#include "fastpath/io/errtext.h"

#include <stdarg.h>
#include <stdio.h>

int mg_errtext(char *err, size_t errlen, int code, const char *fmt, ...)
{
	va_list ap;

	if (err != NULL && errlen > 0) {
		va_start(ap, fmt);
		(void)vsnprintf(err, errlen, fmt, ap); /* a cut message is still a message */
		va_end(ap);
	}
	return code;
}
