/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr.c - text forms, classes of addresses, and the tuple hash.
 */
#include "proto/base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/base/sip_round.h"

static_assert(MG_ADDR_STRLEN >= INET6_ADDRSTRLEN, "any address fits");

static const struct mg_addr v4_any = { .b = { [10] = 0xff, [11] = 0xff } };
static const struct mg_addr v6_any;
static const struct mg_addr v6_loopback = { .b = { [15] = 1 } };

bool mg_addr_is_any(const struct mg_addr *a)
{
	return mg_addr_eq(a, &v4_any) || mg_addr_eq(a, &v6_any);
}

bool mg_addr_is_multicast(const struct mg_addr *a)
{
	if (mg_addr_is_v4(a))
		return (a->b[12] & 0xf0) == 0xe0 || mg_addr_to_v4(a) == 0xffffffff;
	return a->b[0] == 0xff;
}

bool mg_addr_is_loopback(const struct mg_addr *a)
{
	if (mg_addr_is_v4(a))
		return a->b[12] == 127;
	return mg_addr_eq(a, &v6_loopback);
}

bool mg_addr_is_link_local(const struct mg_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

struct mg_addr mg_addr_link_local(const struct mg_mac *mac)
{
	struct mg_addr a = { .b = { 0xfe, 0x80, [11] = 0xff, [12] = 0xfe } };

	memcpy(a.b + 8, mac->b, 3);
	memcpy(a.b + 13, mac->b + 3, 3);
	a.b[8] ^= 2; /* the universal/local bit stands inverted */
	return a;
}

struct mg_addr mg_addr_solicited_node(const struct mg_addr *a)
{
	struct mg_addr group = { .b = { 0xff, 2, [11] = 1, [12] = 0xff } };

	memcpy(group.b + 13, a->b + 13, 3);
	return group;
}

uint32_t mg_addr_common_bits(const struct mg_addr *a, const struct mg_addr *b)
{
	uint32_t from = mg_addr_is_v4(a) ? 12 : 0;

	if (mg_addr_is_v4(a) != mg_addr_is_v4(b))
		return 0;
	for (uint32_t i = from; i < sizeof(a->b); i++) {
		uint32_t diff = a->b[i] ^ b->b[i];

		if (diff != 0)
			return (i - from) * 8 + (uint32_t)__builtin_clz(diff) - 24;
	}
	return (uint32_t)(sizeof(a->b) - from) * 8;
}

const char *mg_addr_format(const struct mg_addr *a, char *buf, size_t len)
{
	char text[INET6_ADDRSTRLEN] = "";
	bool v4 = mg_addr_is_v4(a);

	/* The buffer is large enough and the families are known: this does not fail. */
	(void)inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->b + 12 : a->b, text, sizeof(text));
	(void)snprintf(buf, len, "%s", text); /* the caller chose the length */
	return buf;
}

int mg_addr_parse(const char *text, struct mg_addr *ret_addr)
{
	struct mg_addr a = v4_any;

	if (inet_pton(AF_INET, text, a.b + 12) != 1 && inet_pton(AF_INET6, text, a.b) != 1)
		return -EINVAL;
	*ret_addr = a;
	return 0;
}

/* Decimal digits and nothing else, 0..max. */
static int parse_bits(const char *text, uint8_t max, uint8_t *ret_bits)
{
	uint32_t v = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (uint32_t)(*text - '0');
		if (v > max)
			return -EINVAL;
	}
	*ret_bits = (uint8_t)v;
	return 0;
}

int mg_addr_parse_prefix(const char *text, struct mg_addr *ret_addr, uint8_t *ret_prefix)
{
	char host[MG_ADDR_STRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	struct mg_addr a;
	uint8_t bits;
	int err;

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	err = mg_addr_parse(host, &a);
	if (err < 0)
		return err;
	bits = mg_addr_is_v4(&a) ? 32 : 128;
	if (slash != NULL) {
		err = parse_bits(slash + 1, bits, &bits);
		if (err < 0)
			return err;
	}
	*ret_addr = a;
	*ret_prefix = bits;
	return 0;
}

bool mg_addr_in_prefix(const struct mg_addr *a, const struct mg_addr *net, uint8_t prefix)
{
	bool v4 = mg_addr_is_v4(net);

	if (v4 != mg_addr_is_v4(a))
		return false;
	const uint8_t *pa = v4 ? a->b + 12 : a->b;
	const uint8_t *pn = v4 ? net->b + 12 : net->b;
	uint32_t bits = mg_min_u32(prefix, v4 ? 32 : 128);
	uint32_t whole = bits / 8;

	if (memcmp(pa, pn, whole) != 0)
		return false;
	return bits % 8 == 0 || (pa[whole] ^ pn[whole]) >> (8 - bits % 8) == 0;
}

/*
 * SipHash-1-3, the variant made for hash tables. Two words for IPv4, five for IPv6; the ports' word says
 * which, so that the two forms do not meet.
 */
uint32_t mg_tuple_hash(const struct mg_tuple *t, uint64_t seed)
{
	struct mg_sip s = mg_sip_start(seed, seed ^ 0x9e3779b97f4a7c15ull);
	uint64_t ports = (uint64_t)t->lport << 16 | t->rport;
	uint64_t h;

	if (mg_addr_is_v4(&t->laddr) && mg_addr_is_v4(&t->raddr)) {
		uint64_t l = mg_load_u32(t->laddr.b + 12);
		uint64_t r = mg_load_u32(t->raddr.b + 12);

		mg_sip_word(&s, l << 32 | r, 1);
		mg_sip_word(&s, ports | 4ull << 32, 1);
	} else {
		mg_sip_word(&s, mg_load_u64(t->laddr.b), 1);
		mg_sip_word(&s, mg_load_u64(t->laddr.b + 8), 1);
		mg_sip_word(&s, mg_load_u64(t->raddr.b), 1);
		mg_sip_word(&s, mg_load_u64(t->raddr.b + 8), 1);
		mg_sip_word(&s, ports | 6ull << 32, 1);
	}
	h = mg_sip_end(&s, 3);
	return (uint32_t)(h ^ h >> 32);
}
