/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.c - see endpoint.h.
 */
#include "daemon/cli/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const char *v4(const struct sockaddr_storage *addr, char buf[CLI_ENDPOINT_MAX])
{
	char text[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_in in;

	memcpy(&in, addr, sizeof(in));
	if (in.sin_addr.s_addr == htonl(INADDR_ANY))
		(void)snprintf(text, sizeof(text), "*");
	else
		(void)inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text)); /* there is room */
	(void)snprintf(buf, CLI_ENDPOINT_MAX, "%s:%u", text, ntohs(in.sin_port));
	return buf;
}

static const char *v6(const struct sockaddr_storage *addr, char buf[CLI_ENDPOINT_MAX])
{
	char text[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_in6 in6;

	memcpy(&in6, addr, sizeof(in6));
	(void)inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text)); /* there is room */
	(void)snprintf(buf, CLI_ENDPOINT_MAX, "[%s]:%u", text, ntohs(in6.sin6_port));
	return buf;
}

const char *cli_endpoint(const struct sockaddr_storage *addr, char buf[CLI_ENDPOINT_MAX])
{
	if (addr->ss_family == AF_INET)
		return v4(addr, buf);
	if (addr->ss_family == AF_INET6)
		return v6(addr, buf);
	(void)snprintf(buf, CLI_ENDPOINT_MAX, "-");
	return buf;
}
