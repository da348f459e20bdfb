/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - mango_status_text(). */
#include <string.h>

#include "libclient/mango/handle.h"

const char *mango_status_text(int status)
{
	static _Thread_local char unknown[64];

	if (status == 0)
		return "success";
	/* The GNU form: returns a constant for known values, and fills the buffer for others. */
	return strerror_r(status < 0 ? -status : status, unknown, sizeof(unknown));
}
