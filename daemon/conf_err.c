/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_err.c - see conf_err.h.
 *
 * Memory:  writes into the caller's struct only; what does not fit is cut, never lost silently:
 *          texts from a file are quoted and shortened before they get here.
 */
#include "daemon/conf_err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void mg_conf_append(char *buf, size_t len, const char *format, ...)
{
	size_t used = strnlen(buf, len);
	va_list args;

	if (used + 1 >= len)
		return;
	va_start(args, format);
	(void)vsnprintf(buf + used, len - used, format, args); /* a cut text is what is promised */
	va_end(args);
}

int mg_conf_err_fail(struct mg_conf_err *err, const char *key, const char *format, ...)
{
	char rest[sizeof(err->text)];
	va_list args;

	if (err == NULL)
		return -EINVAL;
	memset(err, 0, sizeof(*err));
	va_start(args, format);
	(void)vsnprintf(rest, sizeof(rest), format, args); /* cut if too long */
	va_end(args);
	mg_conf_append(err->key, sizeof(err->key), "%s", key);
	if (key[0] != '\0')
		mg_conf_append(err->text, sizeof(err->text), "%s: ", err->key);
	mg_conf_append(err->text, sizeof(err->text), "%s", rest);
	return -EINVAL;
}

void mg_conf_err_locate(struct mg_conf_err *err, const char *file, unsigned line)
{
	char text[sizeof(err->text)];

	if (err == NULL)
		return;
	memcpy(text, err->text, sizeof(text));
	err->file[0] = '\0';
	mg_conf_append(err->file, sizeof(err->file), "%s", file);
	err->line = line;
	err->text[0] = '\0';
	mg_conf_append(err->text, sizeof(err->text), "%s:", err->file);
	if (line > 0)
		mg_conf_append(err->text, sizeof(err->text), "%u:", line);
	mg_conf_append(err->text, sizeof(err->text), " %s", text);
}

const char *mg_conf_err_quote(const char *text, char buf[MG_CONF_QUOTE_MAX])
{
	const size_t keep = MG_CONF_QUOTE_MAX - 6; /* two quotes, three dots, the zero */
	size_t n = 0;

	buf[n++] = '"';
	for (; *text != '\0' && n < keep; text++) {
		unsigned char c = (unsigned char)*text;

		buf[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	buf[n] = '\0';
	(void)snprintf(buf + n, MG_CONF_QUOTE_MAX - n, "%s\"", *text != '\0' ? "..." : "");
	return buf;
}
