/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_value.c - see conf_value.h.
 *
 * Idea:    one parse and one format function per kind of value, chosen by the key's type. Numbers
 *          are kept as uint32_t or uint64_t, whichever the member's size says.
 */
#include "daemon/conf_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct suffix {
	const char *text;
	uint64_t factor;
};

static const struct suffix byte_suffixes[] = {
	{ "k", 1 << 10 }, { "kib", 1 << 10 }, { "m", 1 << 20 }, { "mib", 1 << 20 },
	{ "g", 1 << 30 }, { "gib", 1 << 30 }, { "b", 1 },       { NULL, 0 },
};

/* In microseconds. */
static const struct suffix time_suffixes[] = {
	{ "us", 1 },         { "ms", 1000 },      { "s", 1000000 },
	{ "min", 60000000 }, { "h", 3600000000 }, { NULL, 0 },
};

static void store(const struct mg_conf_key *key, void *dst, uint64_t v)
{
	uint32_t narrow = (uint32_t)v;

	if (key->size == sizeof(v))
		memcpy(dst, &v, sizeof(v));
	else
		memcpy(dst, &narrow, sizeof(narrow));
}

static uint64_t fetch(const struct mg_conf_key *key, const void *src)
{
	uint32_t narrow;
	uint64_t v;

	if (key->size == sizeof(v)) {
		memcpy(&v, src, sizeof(v));
		return v;
	}
	memcpy(&narrow, src, sizeof(narrow));
	return narrow;
}

/* How many microseconds one unit of the key is. */
static uint64_t unit_us(const struct mg_conf_key *key)
{
	if (strcmp(key->unit, "microseconds") == 0)
		return 1;
	return strcmp(key->unit, "milliseconds") == 0 ? 1000 : 1000000;
}

/* The factor of a suffix as a fraction num/den of the key's unit. 0 or -EINVAL. */
static int suffix_factor(const struct mg_conf_key *key, const char *text, uint64_t *ret_num,
			 uint64_t *ret_den)
{
	const struct suffix *s = key->type == MG_CONF_T_BYTES      ? byte_suffixes
				 : key->type == MG_CONF_T_DURATION ? time_suffixes
								   : NULL;

	*ret_num = 1;
	*ret_den = 1;
	while (*text == ' ')
		text++;
	if (*text == '\0')
		return 0;
	for (; s != NULL && s->text != NULL; s++) {
		if (strcasecmp(s->text, text) != 0)
			continue;
		*ret_num = s->factor;
		*ret_den = key->type == MG_CONF_T_DURATION ? unit_us(key) : 1;
		return 0;
	}
	return -EINVAL;
}

static int parse_number(const struct mg_conf_key *key, const char *text, uint64_t *ret)
{
	uint64_t v, num, den;
	char *end;

	if (key->word != NULL && strcmp(text, key->word) == 0) {
		*ret = key->word_value;
		return 0;
	}
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, key->type == MG_CONF_T_MODE ? 8 : 10);
	if (errno != 0 || suffix_factor(key, end, &num, &den) < 0)
		return -EINVAL;
	if (v > UINT64_MAX / num || v * num % den != 0)
		return -EINVAL;
	v = v * num / den;
	if (v < key->min || v > key->max)
		return -EINVAL;
	if ((key->flags & MG_CONF_F_POW2) != 0 && (v & (v - 1)) != 0)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int parse_bool(const char *text, bool *ret)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*ret = (i & 1) != 0;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_enum(const struct mg_conf_key *key, const char *text, uint64_t *ret)
{
	for (size_t i = 0; key->names[i] != NULL; i++) {
		if (strcmp(text, key->names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static bool is_name(const char *text)
{
	if (text[0] == '.' || text[0] == '-')
		return false;
	for (; *text != '\0'; text++) {
		if (!isalnum((unsigned char)*text) && strchr("._-", *text) == NULL)
			return false;
	}
	return true;
}

static bool is_printable(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || (unsigned char)*text == 0x7f)
			return false;
	}
	return true;
}

/* unix:/path (%t at its start will be absolute), or HOST:PORT with the port 1..65535. */
static bool is_endpoint(const char *text)
{
	const char *colon = strrchr(text, ':');
	char *end;
	unsigned long port;

	if (!is_printable(text) || strpbrk(text, " ,") != NULL)
		return false;
	if (strncmp(text, "unix:", 5) == 0)
		return text[5] == '/' || strncmp(text + 5, "%t/", 3) == 0;
	if (colon == NULL || colon == text || !isdigit((unsigned char)colon[1]))
		return false;
	port = strtoul(colon + 1, &end, 10);
	return *end == '\0' && port >= 1 && port <= 65535;
}

/* 0000:03:00.0 or 03:00.0 */
static bool is_pci(const char *text)
{
	unsigned domain, bus, slot, function;
	int used = 0;

	if (text[0] == '\0')
		return true;
	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &used) == 4)
		return text[used] == '\0';
	used = 0;
	if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function, &used) == 3)
		return text[used] == '\0';
	return false;
}

static bool is_rule(const char *text)
{
	struct mg_rule rule;

	return strpbrk(text, ", ") == NULL && mg_rule_parse(text, &rule) == 0;
}

static bool is_program(const char *text)
{
	text += text[0] == '!';
	return text[0] != '\0' && is_printable(text) && strpbrk(text, ", /!") == NULL;
}

static int parse_string(const struct mg_conf_key *key, const char *text, char *dst)
{
	size_t len = strlen(text);
	uint64_t max = key->max > 0 ? key->max : key->size - 1;
	bool fits = true;

	if (len < key->min || len > max || len >= key->size)
		return -EINVAL;
	switch (key->type) {
	case MG_CONF_T_NAME:
		fits = is_name(text);
		break;
	case MG_CONF_T_USER:
		fits = strcmp(text, "*") == 0 || is_name(text);
		break;
	case MG_CONF_T_PATH:
		fits = text[0] == '/' && is_printable(text);
		break;
	case MG_CONF_T_ENDPOINT:
		fits = is_endpoint(text);
		break;
	case MG_CONF_T_RULE:
		fits = is_rule(text);
		break;
	case MG_CONF_T_PROGRAM:
		fits = is_program(text);
		break;
	case MG_CONF_T_PCI:
		fits = is_pci(text);
		break;
	default:
		fits = is_printable(text);
		break;
	}
	if (!fits)
		return -EINVAL;
	memset(dst, 0, key->size);
	memcpy(dst, text, len);
	return 0;
}

static int parse_addr(const char *text, struct mg_addr *ret)
{
	struct mg_addr a;

	if (mg_addr_parse(text, &a) < 0)
		return -EINVAL;
	*ret = a;
	return 0;
}

static int parse_prefix(const char *text, struct mg_conf_prefix *ret)
{
	struct mg_conf_prefix p = { 0 };

	if (strchr(text, '/') == NULL)
		return -EINVAL; /* a forgotten prefix length would silently become a host route */
	if (mg_addr_parse_prefix(text, &p.addr, &p.bits) < 0)
		return -EINVAL;
	*ret = p;
	return 0;
}

/* Six pairs of hex digits with colons; neither multicast nor all zero. */
static int parse_mac(const char *text, struct mg_mac *ret)
{
	static const struct mg_mac none;
	struct mg_mac m;

	if (strlen(text) != 17)
		return -EINVAL;
	for (size_t i = 0; i < 6; i++) {
		const char *p = text + 3 * i;
		char pair[3] = { p[0], p[1], '\0' };

		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]))
			return -EINVAL;
		if (i < 5 && p[2] != ':')
			return -EINVAL;
		m.b[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	if ((m.b[0] & 1) != 0 || memcmp(&m, &none, sizeof(m)) == 0)
		return -EINVAL;
	*ret = m;
	return 0;
}

int mg_conf_value_parse(const struct mg_conf_key *key, const char *text, void *dst)
{
	uint64_t v = 0;
	int err;

	switch (key->type) {
	case MG_CONF_T_BOOL:
		return parse_bool(text, dst);
	case MG_CONF_T_NUMBER:
	case MG_CONF_T_BYTES:
	case MG_CONF_T_DURATION:
	case MG_CONF_T_MODE:
	case MG_CONF_T_ENUM:
		err = key->type == MG_CONF_T_ENUM ? parse_enum(key, text, &v)
						  : parse_number(key, text, &v);
		if (err == 0)
			store(key, dst, v);
		return err;
	case MG_CONF_T_ADDR:
		return parse_addr(text, dst);
	case MG_CONF_T_PREFIX:
		return parse_prefix(text, dst);
	case MG_CONF_T_MAC:
		return parse_mac(text, dst);
	case MG_CONF_T_OBJECTS:
		return -EINVAL;
	default:
		return parse_string(key, text, dst);
	}
}

static void format_number(const struct mg_conf_key *key, uint64_t v, char *buf, size_t len)
{
	if (key->word != NULL && v == key->word_value)
		(void)snprintf(buf, len, "%s", key->word);
	else if (key->type == MG_CONF_T_MODE)
		(void)snprintf(buf, len, "%04" PRIo64, v);
	else
		(void)snprintf(buf, len, "%" PRIu64, v);
}

static void format_prefix(const struct mg_conf_prefix *p, char *buf, size_t len)
{
	char text[MG_ADDR_STRLEN];

	(void)snprintf(buf, len, "%s/%u", mg_addr_format(&p->addr, text, sizeof(text)), p->bits);
}

void mg_conf_value_format(const struct mg_conf_key *key, const void *src, char *buf, size_t len)
{
	const struct mg_mac *m = src;
	char text[MG_ADDR_STRLEN];

	switch (key->type) {
	case MG_CONF_T_BOOL:
		(void)snprintf(buf, len, "%s", *(const bool *)src ? "true" : "false");
		break;
	case MG_CONF_T_NUMBER:
	case MG_CONF_T_BYTES:
	case MG_CONF_T_DURATION:
	case MG_CONF_T_MODE:
		format_number(key, fetch(key, src), buf, len);
		break;
	case MG_CONF_T_ENUM:
		(void)snprintf(buf, len, "%s", key->names[fetch(key, src)]);
		break;
	case MG_CONF_T_ADDR:
		(void)snprintf(buf, len, "%s", mg_addr_format(src, text, sizeof(text)));
		break;
	case MG_CONF_T_PREFIX:
		format_prefix(src, buf, len);
		break;
	case MG_CONF_T_MAC:
		(void)snprintf(buf, len, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1], m->b[2],
			       m->b[3], m->b[4], m->b[5]);
		break;
	default:
		(void)snprintf(buf, len, "%s", (const char *)src);
		break;
	}
}

static void allowed_number(const struct mg_conf_key *key, char *buf, size_t len)
{
	const char *format = key->type == MG_CONF_T_MODE ? "%04" PRIo64 "..%04" PRIo64
							 : "%" PRIu64 "..%" PRIu64;
	char range[64];

	/* The two formats above are the only ones. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(range, sizeof(range), format, key->min, key->max);
#pragma GCC diagnostic pop
	mg_conf_append(buf, len, "%s", range);
	if (key->type == MG_CONF_T_MODE)
		mg_conf_append(buf, len, " (octal)");
	else if (key->unit != NULL)
		mg_conf_append(buf, len, " (%s%s)", key->unit,
			       (key->flags & MG_CONF_F_POW2) != 0 ? ", a power of two" : "");
	if (key->word != NULL)
		mg_conf_append(buf, len, " or %s", key->word);
}

static void allowed_enum(const struct mg_conf_key *key, char *buf, size_t len)
{
	for (size_t i = 0; key->names[i] != NULL; i++)
		mg_conf_append(buf, len, "%s%s",
			       i == 0                      ? ""
			       : key->names[i + 1] == NULL ? " or "
							   : ", ",
			       key->names[i]);
}

static void allowed_string(const struct mg_conf_key *key, char *buf, size_t len)
{
	const char *what = key->type == MG_CONF_T_NAME   ? "letters, digits, . _ and -"
			   : key->type == MG_CONF_T_USER ? "a name, a number or *"
			   : key->type == MG_CONF_T_PATH ? "an absolute path"
							 : "printable text";

	mg_conf_append(buf, len, "%s, %s%" PRIu64 " characters", what,
		       key->min > 0 ? "1.." : "at most ", key->max);
}

static void allowed_element(const struct mg_conf_key *key, char *buf, size_t len)
{
	switch (key->type) {
	case MG_CONF_T_BOOL:
		mg_conf_append(buf, len, "true or false");
		break;
	case MG_CONF_T_NUMBER:
	case MG_CONF_T_BYTES:
	case MG_CONF_T_DURATION:
	case MG_CONF_T_MODE:
		allowed_number(key, buf, len);
		break;
	case MG_CONF_T_ENUM:
		allowed_enum(key, buf, len);
		break;
	case MG_CONF_T_ENDPOINT:
		mg_conf_append(buf, len, "HOST:PORT or unix:/PATH");
		break;
	case MG_CONF_T_RULE:
		mg_conf_append(buf, len, "auto, all, none, or [!]ADDRESS[/BITS][:PORT[-PORT]]");
		break;
	case MG_CONF_T_PROGRAM:
		mg_conf_append(buf, len, "a program's name, or !NAME");
		break;
	case MG_CONF_T_PCI:
		mg_conf_append(buf, len, "a PCI address such as 0000:03:00.0");
		break;
	case MG_CONF_T_ADDR:
		mg_conf_append(buf, len, "an IP address such as 192.0.2.1 or 2001:db8::1");
		break;
	case MG_CONF_T_PREFIX:
		mg_conf_append(
			buf, len,
			"IP address and prefix length such as 192.0.2.10/24 or 2001:db8::10/64");
		break;
	case MG_CONF_T_MAC:
		mg_conf_append(buf, len, "a unicast MAC address such as 02:00:00:00:00:01");
		break;
	case MG_CONF_T_OBJECTS:
		mg_conf_append(buf, len, "objects");
		break;
	default:
		allowed_string(key, buf, len);
		break;
	}
}

void mg_conf_value_allowed(const struct mg_conf_key *key, char *buf, size_t len)
{
	buf[0] = '\0';
	if (key->list_max > 0)
		mg_conf_append(buf, len, "a list of at most %u: ", key->list_max);
	allowed_element(key, buf, len);
}

static int fail_value(const struct mg_conf_key *key, const char *text, const char *path,
		      struct mg_conf_err *err)
{
	char allowed[320] = "", quote[MG_CONF_QUOTE_MAX];

	allowed_element(key, allowed, sizeof(allowed));
	return mg_conf_err_fail(err, path, "found %s, allowed: %s", mg_conf_err_quote(text, quote),
				allowed);
}

int mg_conf_value_set_list(const struct mg_conf_key *key, void *base, const char *const *texts,
			   size_t n, const char *path, struct mg_conf_err *err)
{
	size_t total = 0;
	char allowed[320], entry[MG_CONF_KEY_MAX + 16];

	if (n > key->list_max) {
		mg_conf_value_allowed(key, allowed, sizeof(allowed));
		return mg_conf_err_fail(err, path, "found %zu entries, allowed: %s", n, allowed);
	}
	memset(mg_conf_key_at(key, base, 0), 0, key->size * key->list_max);
	for (size_t i = 0; i < n; i++) {
		total += strlen(texts[i]) + 1;
		if (mg_conf_value_parse(key, texts[i], mg_conf_key_at(key, base, i)) == 0)
			continue;
		(void)snprintf(entry, sizeof(entry), "%s[%zu]", path, i);
		return fail_value(key, texts[i], entry, err);
	}
	if (total > MG_CONF_VALUE_MAX)
		return mg_conf_err_fail(
			err, path, "found %zu characters, allowed: at most %d for the whole list",
			total - 1, MG_CONF_VALUE_MAX - 1);
	*mg_conf_key_count(key, base) = (uint32_t)n;
	return 0;
}

/* Splits "[a, b]" or "a,b" in place. Returns the number of pieces; only `max` are stored. */
static size_t split_list(char *text, const char **ret_pieces, size_t max)
{
	size_t len = strlen(text), n = 0;
	char *save = NULL;

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text[len - 1] = '\0';
		text++;
	}
	for (char *p = strtok_r(text, ", ", &save); p != NULL; p = strtok_r(NULL, ", ", &save)) {
		if (n < max)
			ret_pieces[n] = p;
		n++;
	}
	return n;
}

int mg_conf_value_set(const struct mg_conf_key *key, void *base, const char *text, const char *path,
		      struct mg_conf_err *err)
{
	const char *pieces[MG_CONF_ROUTES_MAX];
	char copy[2 * MG_CONF_VALUE_MAX] = "";

	if (key->list_max == 0) {
		if (mg_conf_value_parse(key, text, mg_conf_key_at(key, base, 0)) < 0)
			return fail_value(key, text, path, err);
		return 0;
	}
	if (strlen(text) >= sizeof(copy))
		return mg_conf_err_fail(err, path, "found %zu characters, allowed: at most %d",
					strlen(text), MG_CONF_VALUE_MAX - 1);
	memcpy(copy, text, strlen(text));
	return mg_conf_value_set_list(key, base, pieces,
				      split_list(copy, pieces, MG_CONF_ROUTES_MAX), path, err);
}

void mg_conf_value_get(const struct mg_conf_key *key, const void *base, char *buf, size_t len)
{
	char text[MG_CONF_VALUE_MAX];
	uint32_t n = key->list_max > 0 ? mg_conf_key_count_get(key, base) : 1;

	buf[0] = '\0';
	for (uint32_t i = 0; i < n; i++) {
		mg_conf_value_format(key, mg_conf_key_at_const(key, base, i), text, sizeof(text));
		mg_conf_append(buf, len, "%s%s", i > 0 ? "," : "", text);
	}
}

void mg_conf_value_defaults(const struct mg_conf_key *keys, size_t n, void *base, size_t size)
{
	memset(base, 0, size);
	for (size_t i = 0; i < n; i++) {
		if (keys[i].deflt != NULL &&
		    mg_conf_value_set(&keys[i], base, keys[i].deflt, keys[i].name, NULL) < 0)
			abort(); /* a default outside its own range: conf_test finds it */
	}
}
