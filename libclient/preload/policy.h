/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - which sockets go to mangod, and which stay with the kernel.
 *
 * Idea:    two lists of rules (proto/base/rule.h), one for listen and one for connect; the first rule that fits
 *          decides, and what no rule fits goes to the kernel. Both lists are "auto" unless set.
 *          Programs are chosen by name ("nginx,redis-server", "!sshd" for all but). The settings come from a
 *          file's `preload:` section and then from the environment (docs/preload.md).
 * Threads: a policy is plain data, constant once it is made.
 * Memory:  none of its own.
 */
#ifndef MG_PRELOAD_POLICY_H
#define MG_PRELOAD_POLICY_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/addr.h"
#include "proto/base/rule.h"

#define MG_POLICY_RULES_MAX 64
#define MG_POLICY_NETS_MAX 96
#define MG_POLICY_PROGRAMS_MAX 512

struct mg_rules {
	uint32_t nr;
	struct mg_rule rule[MG_POLICY_RULES_MAX];
};

/* What mangod told about itself. */
struct mg_net {
	struct mg_addr addr;
	uint8_t prefix;
	bool is_own; /* an address of mangod's with its subnet; else a route */
};

enum mg_wildcard { MG_WILDCARD_BOTH, MG_WILDCARD_MANGO, MG_WILDCARD_KERNEL };

struct mg_policy {
	struct mg_rules listen;
	struct mg_rules connect;
	char programs[MG_POLICY_PROGRAMS_MAX]; /* empty: all */
	bool loopback;                         /* 127/8 and ::1 count as mangod's */
	bool refuse;                           /* no daemon: fail instead of using the kernel */
	bool debug;
	enum mg_wildcard wildcard;
	uint32_t nr_nets;
	struct mg_net net[MG_POLICY_NETS_MAX];
};

enum mg_verdict { MG_TO_KERNEL, MG_TO_MANGO, MG_TO_BOTH };

void mg_policy_init(struct mg_policy *policy);
/* One setting by its name in the file ("listen", "connect", "programs", ...). -ENOENT: no such name; -EINVAL. */
int mg_policy_set(struct mg_policy *policy, const char *name, const char *value);
/*
 * The `preload:` section of a YAML text: `name: value` or a list of values ("- x" lines or [x, y]). Other sections
 * are skipped. 0, or -EINVAL with the line's number.
 */
int mg_policy_parse(struct mg_policy *policy, const char *text, uint32_t *ret_line);
/* "10.0.0.1/24,10.1.0.0/16" is added to what mangod has. */
void mg_policy_add_nets(struct mg_policy *policy, const char *list, bool is_own);

bool mg_policy_wants_program(const struct mg_policy *policy, const char *name);
/* Is it possible at all, before mangod is asked? False: the kernel, without attaching. */
bool mg_policy_may_connect(const struct mg_policy *policy, const struct mg_addr *addr,
			   uint16_t port);
bool mg_policy_may_listen(const struct mg_policy *policy, const struct mg_addr *addr,
			  uint16_t port);
enum mg_verdict mg_policy_connect(const struct mg_policy *policy, const struct mg_addr *addr,
				  uint16_t port);
enum mg_verdict mg_policy_listen(const struct mg_policy *policy, const struct mg_addr *addr,
				 uint16_t port);
/* Is it one of mangod's own addresses (or loopback, when that is mangod's)? */
bool mg_policy_is_own(const struct mg_policy *policy, const struct mg_addr *addr);
#endif
