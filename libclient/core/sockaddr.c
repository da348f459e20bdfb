/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/core/sockaddr.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

int mg_sockaddr_parse(const struct sockaddr *sa, socklen_t len, struct mg_addr *ret_addr,
		      uint16_t *ret_port)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (sa == NULL || len < sizeof(sa->sa_family))
		return -EINVAL;
	if (sa->sa_family == AF_INET) {
		if (len < sizeof(in))
			return -EINVAL;
		memcpy(&in, sa, sizeof(in));
		*ret_addr = mg_addr_v4(ntohl(in.sin_addr.s_addr));
		*ret_port = ntohs(in.sin_port);
		return 0;
	}
	if (sa->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (len < sizeof(in6))
		return -EINVAL;
	memcpy(&in6, sa, sizeof(in6));
	memcpy(ret_addr->b, &in6.sin6_addr, sizeof(ret_addr->b));
	*ret_port = ntohs(in6.sin6_port);
	return 0;
}

void mg_sockaddr_fill(int family, const struct mg_addr *addr, uint16_t port,
		      struct sockaddr *ret_sa, socklen_t *len)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	const void *from = &in6;
	socklen_t whole = sizeof(in6);

	if (family == AF_INET) {
		in.sin_addr.s_addr = mg_addr_is_v4(addr) ? htonl(mg_addr_to_v4(addr)) : 0;
		from = &in;
		whole = sizeof(in);
	} else {
		memcpy(&in6.sin6_addr, addr->b, sizeof(addr->b));
	}
	if (ret_sa != NULL)
		memcpy(ret_sa, from, *len < whole ? *len : whole);
	*len = whole;
}

uint32_t mg_sockaddr_scope(const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_in6 in6;

	if (len < sizeof(in6) || sa->sa_family != AF_INET6)
		return 0;
	memcpy(&in6, sa, sizeof(in6));
	return in6.sin6_scope_id;
}

void mg_sockaddr_set_scope(struct sockaddr *ret_sa, socklen_t room, uint32_t scope)
{
	struct sockaddr_in6 in6;

	if (ret_sa == NULL || room < sizeof(in6) || ret_sa->sa_family != AF_INET6)
		return;
	memcpy(&in6, ret_sa, sizeof(in6));
	if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr))
		in6.sin6_scope_id = scope;
	memcpy(ret_sa, &in6, sizeof(in6));
}
