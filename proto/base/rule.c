/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, const char **ret_end, uint16_t *ret)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (end == text || v > UINT16_MAX)
		return -EINVAL;
	*ret_end = end;
	*ret = (uint16_t)v;
	return 0;
}

static int parse_ports(const char *text, struct mg_rule *rule)
{
	int err = parse_port(text, &text, &rule->port_first);

	rule->port_last = rule->port_first;
	if (err == 0 && *text == '-')
		err = parse_port(text + 1, &text, &rule->port_last);
	return err < 0 || *text != '\0' || rule->port_last < rule->port_first ? -EINVAL : 0;
}

/* Cuts "[v6]:port" or "v4:port" in two; an address without a port may have any number of colons. */
static int split_port(char *text, char **ret_addr, char **ret_port)
{
	char *close = strchr(text, ']'), *colon = strrchr(text, ':');

	*ret_addr = text;
	*ret_port = NULL;
	if (text[0] == '[') {
		if (close == NULL || (close[1] != '\0' && close[1] != ':'))
			return -EINVAL;
		*ret_addr = text + 1;
		*ret_port = close[1] == ':' ? close + 2 : NULL;
		*close = '\0';
	} else if (colon != NULL && strchr(text, ':') == colon) {
		*ret_port = colon + 1;
		*colon = '\0';
	}
	return 0;
}

static int parse_match(char *text, struct mg_rule *rule)
{
	char *addr, *port;
	int err = split_port(text, &addr, &port);

	rule->port_last = UINT16_MAX;
	if (err == 0 && port != NULL)
		err = parse_ports(port, rule);
	if (err < 0)
		return err;
	if (addr[0] == '\0' || strcmp(addr, "*") == 0) {
		rule->any_family = true;
		return port == NULL && addr[0] == '\0' ? -EINVAL : 0;
	}
	return mg_addr_parse_prefix(addr, &rule->addr, &rule->prefix);
}

static int parse_rule(char *text, struct mg_rule *rule)
{
	*rule = (struct mg_rule){ .kind = MG_RULE_MATCH };
	if (text[0] == '!') {
		rule->kernel = true;
		text++;
	}
	if (strcmp(text, "auto") == 0) {
		rule->kind = MG_RULE_AUTO;
		return rule->kernel ? -EINVAL : 0;
	}
	if (strcmp(text, "all") == 0 || strcmp(text, "none") == 0) {
		rule->kernel = rule->kernel != (text[0] == 'n');
		rule->any_family = true;
		rule->port_last = UINT16_MAX;
		return 0;
	}
	return parse_match(text, rule);
}

int mg_rule_parse(const char *text, struct mg_rule *ret_rule)
{
	char copy[MG_RULE_TEXT_MAX];
	size_t len = strlen(text);

	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len + 1);
	return parse_rule(copy, ret_rule);
}
