/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errtext.h - one-line errors that name the cause and the cure.
 *
 * Idea:    opening a port can fail for reasons that only a sentence explains. The functions of this
 *          folder take (err, errlen) and return a negative errno; the sentence goes into err.
 * Use:     return mg_errtext(err, errlen, -ENODEV, "interface %s: does not exist; ...", name);
 * Threads: any.
 * Memory:  the caller's buffer; err may be NULL.
 */
#ifndef MG_IO_ERRTEXT_H
#define MG_IO_ERRTEXT_H

#include <stddef.h>

#define MG_ERRTEXT_BYTES 256 /* enough for every message of this folder */

/* Write the message (cut to errlen) and return code. */
__attribute__((format(printf, 4, 5))) int mg_errtext(char *err, size_t errlen, int code,
						     const char *fmt, ...);

#endif
