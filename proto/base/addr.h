/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr.h - addresses, ports and connection tuples, for both families.
 *
 * Idea:    every address is 16 bytes in network order; IPv4 is the mapped form ::ffff:a.b.c.d
 *          (RFC 4291 2.5.5.2), so tables, messages and the shared-memory ABI know one shape only.
 *          Ports are in host order everywhere but on the wire.
 * Threads: plain values.
 */
#ifndef MG_ADDR_H
#define MG_ADDR_H
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mg_addr {
	uint8_t b[16];
};

/* Local and remote as this host sees the connection. */
struct mg_tuple {
	struct mg_addr laddr;
	struct mg_addr raddr;
	uint16_t lport;
	uint16_t rport;
};
static_assert(sizeof(struct mg_tuple) == 36, "tuples are compared and hashed as bytes");

struct mg_mac {
	uint8_t b[6];
};

#define MG_ADDR_STRLEN 64 /* enough for "[v6]:port" */

/* The mapped form of an IPv4 address given in host order (10.77.0.1 is 0x0a4d0001). */
static inline struct mg_addr mg_addr_v4(uint32_t host_order)
{
	struct mg_addr a = { .b = { [10] = 0xff, [11] = 0xff } };

	a.b[12] = (uint8_t)(host_order >> 24);
	a.b[13] = (uint8_t)(host_order >> 16);
	a.b[14] = (uint8_t)(host_order >> 8);
	a.b[15] = (uint8_t)host_order;
	return a;
}

/* 0.0.0.0 or ::, the address of no host. */
static inline struct mg_addr mg_addr_any(bool v6)
{
	const struct mg_addr none = { { 0 } };

	return v6 ? none : mg_addr_v4(0);
}

/* Host order; meaningful only when mg_addr_is_v4(). */
static inline uint32_t mg_addr_to_v4(const struct mg_addr *a)
{
	return (uint32_t)a->b[12] << 24 | (uint32_t)a->b[13] << 16 | (uint32_t)a->b[14] << 8 |
	       a->b[15];
}

static inline bool mg_addr_is_v4(const struct mg_addr *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

static inline bool mg_addr_eq(const struct mg_addr *a, const struct mg_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static inline bool mg_tuple_eq(const struct mg_tuple *a, const struct mg_tuple *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* True for 0.0.0.0 (mapped or plain) and ::. */
bool mg_addr_is_any(const struct mg_addr *a);
/* 224/4 and ff00::/8; 255.255.255.255 counts as well. */
bool mg_addr_is_multicast(const struct mg_addr *a);
bool mg_addr_is_loopback(const struct mg_addr *a);
/* fe80::/10 */
bool mg_addr_is_link_local(const struct mg_addr *a);
/* fe80:: with the interface identifier of a MAC address (RFC 4291 appendix A). */
struct mg_addr mg_addr_link_local(const struct mg_mac *mac);
/* ff02::1:ffXX:XXXX, where the neighbor with that address listens (RFC 4291 2.7.1). */
struct mg_addr mg_addr_solicited_node(const struct mg_addr *a);
/* How many leading bits two addresses of one family share (counted within it); 0 for two families. */
uint32_t mg_addr_common_bits(const struct mg_addr *a, const struct mg_addr *b);

/* "10.0.0.1" or "fd00::1"; returns buf. len >= MG_ADDR_STRLEN never truncates. */
const char *mg_addr_format(const struct mg_addr *a, char *buf, size_t len);
/* 0, or -EINVAL. Accepts IPv4 dotted quads and IPv6 text. */
int mg_addr_parse(const char *text, struct mg_addr *ret_addr);
/* "10.0.0.1/24"; a missing prefix means a host route. Prefix counts within the family (0..32, 0..128). */
int mg_addr_parse_prefix(const char *text, struct mg_addr *ret_addr, uint8_t *ret_prefix);
/* Are the first `prefix` bits (counted within the family of net) equal? */
bool mg_addr_in_prefix(const struct mg_addr *a, const struct mg_addr *net, uint8_t prefix);

/*
 * A keyed hash of the tuple, for tables and steering: `seed` is secret and random per start, so that a
 * peer cannot aim at one bucket.
 */
uint32_t mg_tuple_hash(const struct mg_tuple *t, uint64_t seed);
#endif
