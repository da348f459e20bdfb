/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/policy.h"

#include <errno.h>
#include <string.h>

#include "proto/base/bits.h"

static void auto_rules(struct mg_rules *rules)
{
	rules->nr = 1;
	rules->rule[0] = (struct mg_rule){ .kind = MG_RULE_AUTO };
}

void mg_policy_init(struct mg_policy *policy)
{
	memset(policy, 0, sizeof(*policy));
	auto_rules(&policy->listen);
	auto_rules(&policy->connect);
}

/* Copies the next word of a comma- or space-separated list; false: there is none. */
static bool next_word(const char **list, char *word, size_t size)
{
	size_t len;

	*list += strspn(*list, ", \t");
	len = strcspn(*list, ", \t");
	if (len == 0)
		return false;
	(void)memcpy(word, *list, len < size ? len : size - 1);
	word[len < size ? len : size - 1] = '\0';
	*list += len;
	return true;
}

static int parse_rules(struct mg_rules *rules, const char *list)
{
	struct mg_rules fresh = { 0 };
	char word[96];

	while (next_word(&list, word, sizeof(word))) {
		if (fresh.nr == MG_POLICY_RULES_MAX ||
		    mg_rule_parse(word, &fresh.rule[fresh.nr++]) < 0)
			return -EINVAL;
	}
	*rules = fresh;
	return 0;
}

static int parse_bool(const char *value, bool *ret)
{
	static const char *const yes[] = { "1", "yes", "true", "on" };
	static const char *const no[] = { "0", "no", "false", "off" };

	for (size_t i = 0; i < MG_ARRAY_SIZE(yes); i++) {
		if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
			*ret = strcmp(value, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_word(const char *value, const char *const *words, uint32_t nr, uint32_t *ret)
{
	for (uint32_t i = 0; i < nr; i++) {
		if (strcmp(value, words[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_wildcard(struct mg_policy *policy, const char *value)
{
	static const char *const words[] = { "both", "mango", "kernel" };
	uint32_t which = 0;
	int err = parse_word(value, words, MG_ARRAY_SIZE(words), &which);

	if (err == 0)
		policy->wildcard = (enum mg_wildcard)which;
	return err;
}

static int set_absent(struct mg_policy *policy, const char *value)
{
	static const char *const words[] = { "kernel", "refuse" };
	uint32_t which = 0;
	int err = parse_word(value, words, MG_ARRAY_SIZE(words), &which);

	if (err == 0)
		policy->refuse = which == 1;
	return err;
}

static int set_programs(struct mg_policy *policy, const char *value)
{
	size_t len = strlen(value);

	if (len >= sizeof(policy->programs))
		return -EINVAL;
	memcpy(policy->programs, value, len + 1);
	return 0;
}

int mg_policy_set(struct mg_policy *policy, const char *name, const char *value)
{
	if (strcmp(name, "listen") == 0)
		return parse_rules(&policy->listen, value);
	if (strcmp(name, "connect") == 0)
		return parse_rules(&policy->connect, value);
	if (strcmp(name, "programs") == 0)
		return set_programs(policy, value);
	if (strcmp(name, "loopback") == 0)
		return parse_bool(value, &policy->loopback);
	if (strcmp(name, "wildcard") == 0)
		return set_wildcard(policy, value);
	if (strcmp(name, "absent") == 0)
		return set_absent(policy, value);
	if (strcmp(name, "debug") == 0)
		return parse_bool(value, &policy->debug);
	return -ENOENT;
}

void mg_policy_add_nets(struct mg_policy *policy, const char *list, bool is_own)
{
	char word[96];

	while (policy->nr_nets < MG_POLICY_NETS_MAX && next_word(&list, word, sizeof(word))) {
		struct mg_net *net = &policy->net[policy->nr_nets];

		if (mg_addr_parse_prefix(word, &net->addr, &net->prefix) < 0)
			continue;
		net->is_own = is_own;
		policy->nr_nets++;
	}
}

bool mg_policy_wants_program(const struct mg_policy *policy, const char *name)
{
	const char *list = policy->programs;
	bool only_excluded = true, listed = false;
	char word[96];

	while (next_word(&list, word, sizeof(word))) {
		bool excluded = word[0] == '!';

		if (strcmp(word + excluded, name) == 0)
			return !excluded;
		only_excluded = only_excluded && excluded;
		listed = true;
	}
	return !listed || only_excluded;
}

bool mg_policy_is_own(const struct mg_policy *policy, const struct mg_addr *addr)
{
	if (mg_addr_is_loopback(addr))
		return policy->loopback;
	for (uint32_t i = 0; i < policy->nr_nets; i++) {
		if (policy->net[i].is_own && mg_addr_eq(&policy->net[i].addr, addr))
			return true;
	}
	return false;
}

static bool is_reachable(const struct mg_policy *policy, const struct mg_addr *addr)
{
	if (mg_addr_is_loopback(addr))
		return policy->loopback;
	for (uint32_t i = 0; i < policy->nr_nets; i++) {
		const struct mg_net *net = &policy->net[i];

		if (mg_addr_is_v4(&net->addr) == mg_addr_is_v4(addr) &&
		    mg_addr_in_prefix(addr, &net->addr, net->prefix))
			return true;
	}
	return false;
}

static bool fits(const struct mg_rule *rule, const struct mg_addr *addr, uint16_t port)
{
	if (port < rule->port_first || port > rule->port_last)
		return false;
	if (rule->any_family)
		return true;
	return mg_addr_is_v4(&rule->addr) == mg_addr_is_v4(addr) &&
	       mg_addr_in_prefix(addr, &rule->addr, rule->prefix);
}

/* The rule that decides; NULL: none fits. */
static const struct mg_rule *decide(const struct mg_rules *rules, const struct mg_addr *addr,
				    uint16_t port)
{
	for (uint32_t i = 0; i < rules->nr; i++) {
		const struct mg_rule *rule = &rules->rule[i];

		if (rule->kind == MG_RULE_AUTO || fits(rule, addr, port))
			return rule;
	}
	return NULL;
}

static bool may(const struct mg_policy *policy, const struct mg_rules *rules,
		const struct mg_addr *addr, uint16_t port)
{
	const struct mg_rule *rule = decide(rules, addr, port);

	if (rule == NULL || rule->kernel)
		return false;
	return rule->kind == MG_RULE_MATCH || !mg_addr_is_loopback(addr) || policy->loopback;
}

bool mg_policy_may_connect(const struct mg_policy *policy, const struct mg_addr *addr,
			   uint16_t port)
{
	return may(policy, &policy->connect, addr, port);
}

bool mg_policy_may_listen(const struct mg_policy *policy, const struct mg_addr *addr, uint16_t port)
{
	return may(policy, &policy->listen, addr, port);
}

enum mg_verdict mg_policy_connect(const struct mg_policy *policy, const struct mg_addr *addr,
				  uint16_t port)
{
	const struct mg_rule *rule = decide(&policy->connect, addr, port);

	if (rule == NULL || rule->kernel)
		return MG_TO_KERNEL;
	if (rule->kind == MG_RULE_AUTO && !is_reachable(policy, addr))
		return MG_TO_KERNEL;
	return MG_TO_MANGO;
}

enum mg_verdict mg_policy_listen(const struct mg_policy *policy, const struct mg_addr *addr,
				 uint16_t port)
{
	const struct mg_rule *rule = decide(&policy->listen, addr, port);

	if (rule == NULL || rule->kernel)
		return MG_TO_KERNEL;
	if (mg_addr_is_any(addr)) {
		if (policy->wildcard == MG_WILDCARD_KERNEL)
			return MG_TO_KERNEL;
		return policy->wildcard == MG_WILDCARD_MANGO ? MG_TO_MANGO : MG_TO_BOTH;
	}
	if (rule->kind == MG_RULE_AUTO && !mg_policy_is_own(policy, addr))
		return MG_TO_KERNEL;
	return MG_TO_MANGO;
}
