/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_peer.c - see tcp_peer.h.
 */
#include "daemon/tcp_peer.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_BYTES 4096

struct question {
	struct nlmsghdr nl;
	struct inet_diag_req_v2 req;
};

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static void put_end(const union address *a, __be16 *port, __be32 *addr)
{
	if (a->sa.sa_family == AF_INET) {
		*port = a->in.sin_port;
		memcpy(addr, &a->in.sin_addr, sizeof(a->in.sin_addr));
	} else {
		*port = a->in6.sin6_port;
		memcpy(addr, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
	}
}

/* The socket with our ends swapped. 0 or -errno. */
static int make_question(int fd, struct question *q)
{
	union address own;
	union address peer;
	socklen_t own_len = sizeof(own);
	socklen_t peer_len = sizeof(peer);

	memset(&own, 0, sizeof(own));
	memset(&peer, 0, sizeof(peer));
	if (getsockname(fd, &own.sa, &own_len) < 0 || getpeername(fd, &peer.sa, &peer_len) < 0)
		return -errno;
	*q = (struct question){
		.nl = { .nlmsg_len = sizeof(*q),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST },
		.req = { .sdiag_family = (uint8_t)own.sa.sa_family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = ~0u },
	};
	put_end(&peer, &q->req.id.idiag_sport, q->req.id.idiag_src);
	put_end(&own, &q->req.id.idiag_dport, q->req.id.idiag_dst);
	q->req.id.idiag_cookie[0] = q->req.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return 0;
}

static int read_answer(int nl, uid_t *ret_uid)
{
	union {
		struct nlmsghdr nl;
		uint8_t bytes[REPLY_BYTES];
	} reply;
	const struct inet_diag_msg *msg = NLMSG_DATA(&reply.nl);
	ssize_t len = recv(nl, &reply, sizeof(reply), 0);

	if (len < 0)
		return -errno;
	if (!NLMSG_OK(&reply.nl, (size_t)len))
		return -EPROTO;
	if (reply.nl.nlmsg_type == NLMSG_ERROR &&
	    reply.nl.nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)) &&
	    ((const struct nlmsgerr *)NLMSG_DATA(&reply.nl))->error < 0)
		return ((const struct nlmsgerr *)NLMSG_DATA(&reply.nl))->error;
	if (reply.nl.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    reply.nl.nlmsg_len < NLMSG_LENGTH(sizeof(*msg)))
		return -EPROTO;
	*ret_uid = msg->idiag_uid;
	return 0;
}

int mg_tcp_peer_uid(int fd, uid_t *ret_uid)
{
	struct question q;
	int err = make_question(fd, &q);
	int nl;

	if (err < 0)
		return err;
	nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (nl < 0)
		return -errno;
	err = send(nl, &q, sizeof(q), 0) < 0 ? -errno : read_answer(nl, ret_uid);
	close(nl);
	return err;
}
