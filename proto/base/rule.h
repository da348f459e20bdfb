/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule.h - one rule about addresses and ports, as text and as data.
 *
 * Idea:    a rule of the preload library's policy is
 *            [!]ADDRESS[/PREFIX][:PORT[-PORT]]   mangod takes it (with "!": the kernel)
 *            [!]:PORT[-PORT]                     whatever the address
 *            auto                                mangod's own addresses and routes
 *            all, none
 *          An IPv6 address with a port stands in brackets. The library decides by rules; mangod checks them in the
 *          file that both read.
 * Threads: plain data.
 */
#ifndef MG_BASE_RULE_H
#define MG_BASE_RULE_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/addr.h"

#define MG_RULE_TEXT_MAX 96 /* with the terminating zero */

enum mg_rule_kind { MG_RULE_MATCH, MG_RULE_AUTO };

struct mg_rule {
	uint8_t kind;
	bool kernel;     /* "!" */
	bool any_family; /* no address was given */
	uint8_t prefix;  /* within the address' family */
	struct mg_addr addr;
	uint16_t port_first;
	uint16_t port_last;
};

/* -EINVAL: it is none. */
int mg_rule_parse(const char *text, struct mg_rule *ret_rule);
#endif
