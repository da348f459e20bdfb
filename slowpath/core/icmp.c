/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp.c - ICMP: echo is answered; errors are believed as far as RFC 5927 lets us.
 *
 * Idea:    an error must quote a segment that we may have in flight: in SYN-SENT the very SYN, later a
 *          sequence number between SND.UNA and SND.NXT, which only the worker knows; so the error waits for
 *          its report. Errors never end a synchronised connection; in SYN-SENT only a closed port or protocol
 *          does (RFC 5461). Others are remembered until the peer is heard of again: the application can ask
 *          for them, and is told when retransmissions are over.
 */
#include <errno.h>

#include "proto/base/seq.h"
#include "proto/wire/eth.h"
#include "proto/wire/ipv6.h"
#include "slowpath/core/engine.h"

/* Where the answer to a packet goes, and from which address of ours. */
static int answer_hop(struct mg_slow *s, const struct mg_addr *src, uint16_t port,
		      struct mg_hop *ret_hop)
{
	*ret_hop = (struct mg_hop){ .addr = *src, .port = port };
	if (!mg_source_is_valid(s, src))
		return -EINVAL;
	return mg_addr_is_link_local(src) ? 0 : mg_routes_find(&s->routes, src, ret_hop);
}

/* The link-layer header, where there is one; its length. */
static uint32_t put_l2(struct mg_slow *s, const struct mg_hop *hop, bool v6, uint8_t *dst)
{
	struct mg_mac later = { { 0 } };

	if (!s->routes.ports[hop->port].has_l2)
		return 0;
	(void)mg_wire_eth_emit(dst, &later, &s->routes.ports[hop->port].mac,
			       v6 ? MG_ETHERTYPE_IPV6 : MG_ETHERTYPE_IPV4);
	return MG_ETH_HLEN;
}

static void echo(struct mg_slow *s, const struct mg_frame_view *fv, uint16_t port)
{
	struct mg_msg_packet *out = mg_slow_out(s);
	bool v6 = fv->ip.version == 6;
	uint32_t l3_len = (v6 ? MG_IPV6_HLEN : MG_IPV4_HLEN) + fv->ip.l4_len;
	struct mg_hop hop;
	uint32_t l2_len;

	if (answer_hop(s, &fv->ip.src, port, &hop) < 0) {
		s->stats.icmp_ignored++;
		return;
	}
	if (MG_ETH_HLEN + l3_len > MG_SLOW_FRAME_MAX || l3_len > s->routes.ports[hop.port].mtu) {
		s->stats.drop_too_long++;
		return;
	}
	l2_len = put_l2(s, &hop, v6, out->data);
	s->stats.icmp_echo++;
	if (v6)
		(void)mg_wire_icmp6_echo_reply(out->data + l2_len, &fv->ip, &fv->ip.dst,
					       s->conf.ttl);
	else
		(void)mg_wire_icmp_echo_reply(out->data + l2_len, &fv->ip, s->conf.ttl);
	mg_neigh_output(s, &hop, 0, l2_len + l3_len);
}

bool mg_icmp_exceeded(struct mg_slow *s, const struct mg_frag *f)
{
	struct mg_msg_packet *out = mg_slow_out(s);
	const struct mg_icmp_exceeded e = {
		.src = &f->dst,
		.dst = &f->src,
		.hdr = f->l3,
		.hdr_len = f->l3_len,
		.data = f->data,
		.data_len = f->first_bytes,
		.ttl = s->conf.ttl,
	};
	bool v6 = f->version == 6;
	struct mg_hop hop;
	uint32_t len;

	if (answer_hop(s, &f->src, f->port, &hop) < 0 ||
	    s->routes.ports[hop.port].mtu < (v6 ? MG_ICMP6_EXCEEDED_MAX : MG_ICMP_EXCEEDED_MAX))
		return false;
	len = put_l2(s, &hop, v6, out->data);
	len += v6 ? mg_wire_icmp6_exceeded(out->data + len, &e)
		  : mg_wire_icmp_exceeded(out->data + len, &e);
	mg_neigh_output(s, &hop, 0, len);
	return true;
}

/* RFC 1191 5 and 7.1: a router that does not tell; the next plateau below. */
static uint32_t plateau(uint32_t len)
{
	static const uint16_t table[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68 };

	for (uint32_t i = 0; i < MG_ARRAY_SIZE(table); i++)
		if (table[i] < len)
			return table[i];
	return 68;
}

static uint32_t errno_of(const struct mg_icmp_view *icmp)
{
	switch (icmp->error) {
	case MG_ICMP_ERR_NET:
		return ENETUNREACH;
	case MG_ICMP_ERR_PROTO:
		return ENOPROTOOPT;
	case MG_ICMP_ERR_PORT:
		return ECONNREFUSED;
	case MG_ICMP_ERR_PARAM:
		return EPROTO;
	case MG_ICMP_ERR_ADMIN:
		return mg_addr_is_v4(&icmp->quote.raddr) ? EHOSTUNREACH : EACCES;
	default:
		return EHOSTUNREACH;
	}
}

/* RFC 1122 4.2.3.9 with RFC 5927 5.2, which counts "prohibited" of IPv6 among them. */
static bool is_hard(const struct mg_icmp_view *icmp)
{
	if (icmp->error == MG_ICMP_ERR_ADMIN && !mg_addr_is_v4(&icmp->quote.raddr))
		return true;
	return icmp->error == MG_ICMP_ERR_PROTO || icmp->error == MG_ICMP_ERR_PORT;
}

/* RFC 8201 4: nobody may ask for less of IPv6 than 1280; RFC 1191 5: or for nothing in particular of IPv4. */
static uint32_t mtu_of(const struct mg_icmp_view *icmp)
{
	if (!mg_addr_is_v4(&icmp->quote.raddr))
		return mg_max_u32(icmp->mtu, MG_IPV6_MTU_MIN);
	return icmp->mtu != 0 ? icmp->mtu : plateau(icmp->quote_l3_len);
}

static void opening_error(struct mg_slow *s, struct mg_conn *c, const struct mg_icmp_view *icmp)
{
	if (icmp->quote_seq != c->hs.iss) {
		s->stats.icmp_invalid++;
		return;
	}
	if (icmp->error == MG_ICMP_ERR_TOO_BIG)
		return; /* a SYN fits everywhere */
	c->soft_error = errno_of(icmp);
	if (!is_hard(icmp))
		return;
	s->stats.connects_unreachable++;
	mg_active_fail(s, c, c->soft_error);
}

static void error_for_conn(struct mg_slow *s, struct mg_conn *c, const struct mg_icmp_view *icmp)
{
	if (c->flow == MG_CONN_FLOW_NONE) {
		opening_error(s, c, icmp);
		return;
	}
	if (c->flow != MG_CONN_FLOW_LIVE || c->flags & MG_CONN_ICMP)
		return; /* one at a time is enough: routers repeat themselves */
	c->flags |= MG_CONN_ICMP;
	c->icmp_seq = icmp->quote_seq;
	c->icmp_error = errno_of(icmp);
	c->icmp_mtu = 0;
	if (icmp->error == MG_ICMP_ERR_TOO_BIG)
		c->icmp_mtu = mtu_of(icmp);
	mg_conn_command(s, c, MG_CONN_CMD_REPORT);
}

/* The worker's books tell whether the quoted segment can be ours. */
void mg_icmp_report(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_removed *ev)
{
	if ((c->flags & MG_CONN_ICMP) == 0)
		return;
	c->flags &= ~(uint32_t)MG_CONN_ICMP;
	if (!mg_seq_between(c->icmp_seq, ev->snd_una, ev->snd_nxt)) {
		s->stats.icmp_invalid++;
		return;
	}
	if (c->icmp_mtu != 0) {
		mg_pmtu_narrow(s, c, c->icmp_mtu);
		return;
	}
	s->stats.icmp_soft++;
	c->soft_error = c->icmp_error;
}

static void error_input(struct mg_slow *s, const struct mg_icmp_view *icmp)
{
	uint32_t ref;

	if (icmp->error == MG_ICMP_ERR_QUENCH || icmp->quote_proto != MG_IPPROTO_TCP) {
		s->stats.icmp_ignored++; /* RFC 6633; redirects are not followed */
		return;
	}
	s->stats.icmp_errors++;
	ref = mg_tuples_find(&s->tuples, &icmp->quote);
	if (ref == MG_TUPLES_NONE) {
		s->stats.icmp_invalid++;
		return;
	}
	/* embryos go on retransmitting, TIME-WAIT has nothing to lose */
	if (mg_tuples_kind(ref) == MG_TUPLES_CONN)
		error_for_conn(s, &s->conns[mg_tuples_index(ref)], icmp);
}

void mg_icmp_input(struct mg_slow *s, const struct mg_frame_view *fv, uint16_t port)
{
	if (!mg_routes_is_for(&s->routes, &fv->ip.dst, port)) {
		s->stats.drop_not_ours++;
		return;
	}
	if (fv->icmp.is_echo)
		echo(s, fv, port);
	else if (fv->icmp.is_error)
		error_input(s, &fv->icmp);
	else
		s->stats.icmp_ignored++;
}
