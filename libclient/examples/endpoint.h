/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.h - an address and a port of either family, from the words of a command line.
 *
 * Use:     struct endpoint e = endpoint_any(7); endpoint_set(&e, "fe80::2%1"); connect(..., &e.any, endpoint_len(&e))
 * Threads: plain values.
 */
#ifndef ENDPOINT_H
#define ENDPOINT_H
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct endpoint {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

/* 0.0.0.0 */
static inline struct endpoint endpoint_any(uint16_t port)
{
	struct endpoint e = { .v4 = { .sin_family = AF_INET, .sin_port = htons(port) } };

	return e;
}

static inline bool endpoint_is_v6(const struct endpoint *e)
{
	return e->any.sa_family == AF_INET6;
}

static inline socklen_t endpoint_len(const struct endpoint *e)
{
	return endpoint_is_v6(e) ? sizeof(e->v6) : sizeof(e->v4);
}

static inline void endpoint_set_port(struct endpoint *e, uint16_t port)
{
	if (endpoint_is_v6(e))
		e->v6.sin6_port = htons(port);
	else
		e->v4.sin_port = htons(port);
}

/* "192.0.2.1", "2001:db8::1", "fe80::1%2" (the scope id as a number); the port stays. False: none of these. */
static inline bool endpoint_set(struct endpoint *e, const char *text)
{
	in_port_t port = endpoint_is_v6(e) ? e->v6.sin6_port : e->v4.sin_port;
	struct endpoint v4 = { .v4 = { .sin_family = AF_INET, .sin_port = port } };
	struct endpoint v6 = { .v6 = { .sin6_family = AF_INET6, .sin6_port = port } };
	const char *percent = strchr(text, '%');
	char host[INET6_ADDRSTRLEN] = "";
	size_t len = percent != NULL ? (size_t)(percent - text) : strlen(text);

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	if (percent != NULL)
		v6.v6.sin6_scope_id = (uint32_t)strtoul(percent + 1, NULL, 10);
	else if (inet_pton(AF_INET, host, &v4.v4.sin_addr) == 1) {
		*e = v4;
		return true;
	}
	if (inet_pton(AF_INET6, host, &v6.v6.sin6_addr) != 1)
		return false;
	*e = v6;
	return true;
}
#endif
