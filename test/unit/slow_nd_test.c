/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_nd_test.c - neighbour discovery, duplicate address detection, ICMPv6, and the way of IPv6 packets.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/eth.h"
#include "proto/wire/ipv6.h"
#include "test/lib/slow_builder.h"

static const struct mg_addr nobody;
static const struct mg_addr all_nodes = { .b = { 0xff, 2, [15] = 1 } };

static struct mg_addr peer_ll(struct sb *b)
{
	return mg_addr_link_local(&b->peer_mac);
}

static struct mg_addr us_ll(struct sb *b)
{
	return mg_addr_link_local(&b->mac);
}

static bool is_addr(const struct mg_addr *a, struct mg_addr b)
{
	return mg_addr_eq(a, &b);
}

/* Neighbour discovery tested on its own: the host speaks IPv6 and knows nobody. */
static void start(struct sb *b)
{
	sb_conf_family(b, true);
	sb_start(b, false);
}

struct says {
	uint8_t type, flags;
	struct mg_addr src, dst, target;
	const struct mg_mac *mac; /* NULL: no option */
};

static void says(struct sb *b, const struct says *w)
{
	const struct mg_nd_spec spec = { .type = w->type,
					 .flags = w->flags,
					 .src = &w->src,
					 .dst = &w->dst,
					 .target = &w->target,
					 .smac = &b->peer_mac,
					 .dmac = &b->mac,
					 .mac = w->mac };
	uint8_t frame[MG_ND_FRAME_MAX];

	sb_rx_frame(b, frame, mg_wire_nd_emit_frame(frame, &spec));
}

static void solicits(struct sb *b, struct mg_addr src, struct mg_addr target)
{
	says(b, &(struct says){ .type = MG_ICMP6_NEIGHBOR_SOLICIT,
				.src = src,
				.dst = mg_addr_solicited_node(&target),
				.target = target,
				.mac = mg_addr_is_any(&src) ? NULL : &b->peer_mac });
}

static void advertises(struct sb *b, uint8_t flags, struct mg_addr target, const struct mg_mac *mac)
{
	says(b, &(struct says){ .type = MG_ICMP6_NEIGHBOR_ADVERT,
				.flags = flags,
				.src = target,
				.dst = flags & MG_ND_SOLICITED ? SB_US6 : all_nodes,
				.target = target,
				.mac = mac });
}

/* The next frame must be neighbour discovery. */
static const struct mg_frame_view *tx_nd(struct sb *b, uint8_t type)
{
	const struct mg_frame_view *v = sb_tx_frame(b);

	assert_non_null(v);
	assert_int_equal(v->kind, MG_FRAME_ND);
	assert_int_equal(v->nd.type, type);
	assert_int_equal(v->ip.ttl, 255);
	return v;
}

static struct mg_neigh *neigh(struct sb *b)
{
	assert_int_equal(b->s->neighs.pool.nr_used, 1);
	return &b->s->neighs.entries[0];
}

static void test_answers_solicitations(void **state)
{
	struct sb b;
	const struct mg_frame_view *v;

	(void)state;
	start(&b);
	solicits(&b, SB_PEER6, SB_US6);
	v = tx_nd(&b, MG_ICMP6_NEIGHBOR_ADVERT);
	assert_true(is_addr(&v->ip.src, SB_US6) && is_addr(&v->ip.dst, SB_PEER6));
	assert_true(is_addr(&v->nd.target, SB_US6));
	assert_int_equal(v->nd.flags, MG_ND_SOLICITED | MG_ND_OVERRIDE);
	assert_memory_equal(&v->nd.mac, &b.mac, 6);
	assert_memory_equal(sb_pkt(&b.last)->data, b.peer_mac.b, 6);
	assert_int_equal(neigh(&b)->state,
			 MG_NEIGH_STALE); /* RFC 4861 7.2.3: known, not confirmed */
	solicits(&b, peer_ll(&b), us_ll(&b));
	assert_true(is_addr(&tx_nd(&b, MG_ICMP6_NEIGHBOR_ADVERT)->nd.target, us_ll(&b)));
	solicits(&b, SB_PEER6, sb_v6(9)); /* not us */
	sb_tx_none(&b);
	/* from an address that is not on the link: answered, but not learnt */
	solicits(&b, (struct mg_addr){ { 0x20, 1, [15] = 9 } }, SB_US6);
	assert_int_equal(b.s->neighs.pool.nr_used, 2);
	sb_free(&b);
}

static void test_answers_who_looks_for_duplicates(void **state)
{
	struct sb b;
	const struct mg_frame_view *v;

	(void)state;
	start(&b);
	solicits(&b, nobody, SB_US6);
	v = tx_nd(&b, MG_ICMP6_NEIGHBOR_ADVERT);
	assert_true(is_addr(&v->ip.dst, all_nodes));
	assert_int_equal(v->nd.flags, MG_ND_OVERRIDE);
	assert_int_equal(sb_pkt(&b.last)->data[0], 0x33);
	assert_int_equal(b.s->neighs.pool.nr_used, 0);
	sb_free(&b);
}

static void test_resolves_and_queues(void **state)
{
	struct sb b;
	uint32_t window;
	const struct mg_frame_view *v;

	(void)state;
	start(&b);
	assert_int_equal(sb_connect(&b, &window), 0);
	v = tx_nd(&b, MG_ICMP6_NEIGHBOR_SOLICIT);
	assert_true(
		is_addr(&v->ip.dst, mg_addr_solicited_node(&(struct mg_addr[]){ SB_PEER6 }[0])));
	assert_true(is_addr(&v->ip.src, SB_US6) && is_addr(&v->nd.target, SB_PEER6));
	assert_memory_equal(sb_pkt(&b.last)->data, "\x33\x33\xff\0\0\x02", 6);
	assert_memory_equal(&v->nd.mac, &b.mac, 6);
	sb_tx_none(&b);                                  /* the SYN waits */
	advertises(&b, MG_ND_SOLICITED, SB_PEER6, NULL); /* says not where */
	assert_int_equal(neigh(&b)->state, MG_NEIGH_INCOMPLETE);
	advertises(&b, MG_ND_SOLICITED, SB_PEER6, &b.peer_mac);
	assert_int_equal(neigh(&b)->state, MG_NEIGH_REACHABLE);
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_SYN);
	assert_memory_equal(sb_pkt(&b.last)->data, b.peer_mac.b, 6);
	assert_memory_equal(sb_pkt(&b.last)->data + 12, "\x86\xdd", 2);
	sb_free(&b);
}

static void test_nobody_answers(void **state)
{
	struct sb b;
	uint32_t window, nr = 0;

	(void)state;
	start(&b);
	assert_int_equal(sb_connect(&b, &window), 0);
	sb_wait(&b, 3500 * MG_NS_PER_MS);
	while (sb_tx_frame(&b) != NULL)
		nr++;
	assert_int_equal(nr, 3);
	assert_int_equal(b.app->windows[window].state, MG_SHM_ST_CLOSED);
	assert_int_equal(b.app->windows[window].error, EHOSTUNREACH);
	sb_free(&b);
}

static void test_unsolicited_answer_is_stale_and_unasked_ones_are_nothing(void **state)
{
	struct sb b;
	uint32_t window;

	(void)state;
	start(&b);
	advertises(&b, MG_ND_OVERRIDE, SB_PEER6, &b.peer_mac);
	assert_int_equal(b.s->neighs.pool.nr_used, 0);
	assert_int_equal(b.s->stats.nd_ignored, 1);
	assert_int_equal(sb_connect(&b, &window), 0);
	(void)tx_nd(&b, MG_ICMP6_NEIGHBOR_SOLICIT);
	advertises(&b, MG_ND_OVERRIDE, SB_PEER6, &b.peer_mac);
	assert_int_equal(neigh(&b)->state, MG_NEIGH_DELAY); /* stale, and used by the SYN */
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_SYN);
	sb_wait(&b, 4900 * MG_NS_PER_MS);
	while (sb_tx_frame(&b) != NULL) /* SYNs */
		assert_int_equal(b.view.kind, MG_FRAME_TCP);
	sb_wait(&b, 200 * MG_NS_PER_MS);
	assert_int_equal(neigh(&b)->state, MG_NEIGH_PROBE);
	assert_true(is_addr(&tx_nd(&b, MG_ICMP6_NEIGHBOR_SOLICIT)->ip.dst, SB_PEER6)); /* unicast */
	advertises(&b, MG_ND_SOLICITED, SB_PEER6, NULL);
	assert_int_equal(neigh(&b)->state, MG_NEIGH_REACHABLE);
	sb_free(&b);
}

static void test_override(void **state)
{
	struct sb b;
	struct mg_mac other = { { 2, 0, 0, 0, 0, 9 } };
	uint32_t window;

	(void)state;
	start(&b);
	assert_int_equal(sb_connect(&b, &window), 0);
	advertises(&b, MG_ND_SOLICITED, SB_PEER6, &b.peer_mac);
	sb_wait(&b, 2 * MG_NS_PER_S);
	sb_clear(&b);
	/* RFC 4861 7.2.5: without the flag another address is not taken, but makes us doubt */
	advertises(&b, 0, SB_PEER6, &other);
	assert_memory_equal(&neigh(&b)->mac, &b.peer_mac, 6);
	assert_int_equal(neigh(&b)->state, MG_NEIGH_PROBE);
	advertises(&b, MG_ND_OVERRIDE | MG_ND_SOLICITED, SB_PEER6, &other);
	assert_memory_equal(&neigh(&b)->mac, &other, 6);
	assert_int_equal(neigh(&b)->state, MG_NEIGH_REACHABLE);
	advertises(&b, MG_ND_OVERRIDE, SB_PEER6, &b.peer_mac); /* too soon to be believed */
	assert_memory_equal(&neigh(&b)->mac, &other, 6);
	sb_free(&b);
}

static void test_flow_keeps_its_neighbour(void **state)
{
	struct sb b;
	struct mg_mac other = { { 2, 0, 0, 0, 0, 9 } };

	(void)state;
	start(&b);
	solicits(&b, SB_PEER6, SB_US6);
	(void)sb_tx_frame(&b);
	(void)sb_established(&b);
	assert_int_equal(neigh(&b)->nr_users, 1);
	assert_int_equal(neigh(&b)->state, MG_NEIGH_DELAY);
	sb_ev(&b, MG_EV_NEIGH_CONFIRM, 0, 0); /* forward progress is as good as an answer */
	assert_int_equal(neigh(&b)->state, MG_NEIGH_REACHABLE);
	sb_clear(&b);
	sb_wait(&b, 31 * MG_NS_PER_S);
	assert_int_equal(neigh(&b)->state, MG_NEIGH_DELAY);
	sb_tx_none(&b);
	sb_wait(&b, 5 * MG_NS_PER_S);
	assert_int_equal(neigh(&b)->state, MG_NEIGH_PROBE);
	says(&b, &(struct says){ .type = MG_ICMP6_NEIGHBOR_ADVERT,
				 .flags = MG_ND_OVERRIDE | MG_ND_SOLICITED,
				 .src = SB_PEER6,
				 .dst = SB_US6,
				 .target = SB_PEER6,
				 .mac = &other });
	assert_memory_equal(&sb_cmd(&b, MG_CMD_SET_NEXTHOP)->hop.dmac, &other, 6);
	sb_free(&b);
}

static void test_routers_and_redirects_are_ignored(void **state)
{
	struct sb b;
	uint8_t frame[128] = { 0 }, *icmp = frame + MG_ETH_HLEN + MG_IPV6_HLEN;
	struct mg_addr src, dst;
	struct mg_ip_spec ip = { .src = &src, .dst = &dst, .proto = MG_IPPROTO_ICMPV6, .ttl = 255 };

	(void)state;
	start(&b);
	src = peer_ll(&b);
	for (uint8_t type = 134; type <= 137; type = (uint8_t)(type + 3)) {
		dst = type == 134 ? all_nodes : SB_US6;
		ip.l4_len = type == 134 ? 16 : 40;
		(void)mg_wire_eth_emit(frame, &b.mac, &b.peer_mac, MG_ETHERTYPE_IPV6);
		(void)mg_wire_ip_emit(frame + MG_ETH_HLEN, &ip);
		memset(icmp, 0, 40);
		icmp[0] = type;
		mg_csum_store(icmp + 2, mg_csum_add(mg_csum_pseudo(&src, &dst, ip.proto, ip.l4_len),
						    icmp, ip.l4_len));
		sb_rx_frame(&b, frame, MG_ETH_HLEN + MG_IPV6_HLEN + ip.l4_len);
	}
	assert_int_equal(b.s->stats.nd_router_adverts, 1);
	assert_int_equal(b.s->stats.nd_redirects, 1);
	assert_int_equal(b.s->routes.nr_routes, 2);
	sb_tx_none(&b);
	sb_free(&b);
}

static void test_conflict_is_counted_and_answered_once(void **state)
{
	struct sb b;

	(void)state;
	start(&b);
	advertises(&b, MG_ND_OVERRIDE, SB_US6, &b.peer_mac);
	assert_true(is_addr(&tx_nd(&b, MG_ICMP6_NEIGHBOR_ADVERT)->ip.dst, all_nodes));
	advertises(&b, MG_ND_OVERRIDE, SB_US6, &b.peer_mac);
	sb_tx_none(&b);
	assert_int_equal(b.s->stats.nd_conflicts, 2);
	assert_true(mg_routes_is_local(&b.s->routes, &(struct mg_addr[]){ SB_US6 }[0]));
	sb_free(&b);
}

static void test_dad_asks_waits_and_announces(void **state)
{
	struct sb b;
	const struct mg_frame_view *v;
	uint32_t window;

	(void)state;
	sb_conf_family(&b, true);
	b.conf.dad_ms = 300;
	sb_start(&b, true);
	mg_slow_start(b.s, b.now_ns);
	for (int i = 0; i < 2; i++) { /* fd77::1 and the link-local one */
		v = tx_nd(&b, MG_ICMP6_NEIGHBOR_SOLICIT);
		assert_true(is_addr(&v->ip.src, nobody));
		assert_false(v->nd.has_mac);
		assert_true(is_addr(&v->ip.dst, mg_addr_solicited_node(&v->nd.target)));
	}
	assert_int_equal(sb_tx_frame(&b)->kind, MG_FRAME_ARP);
	sb_listen(&b, 8); /* may be bound to it, but nothing comes in or goes out yet */
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS, .flags = MG_TCP_SYN, .wnd = 1000 });
	solicits(&b, SB_PEER6, SB_US6);
	assert_int_equal(sb_connect(&b, &window), 0);
	sb_tx_none(&b);
	assert_int_equal(b.s->stats.drop_not_ours, 1);
	assert_int_equal(b.s->stats.drop_tentative, 1);
	sb_wait(&b, 301 * MG_NS_PER_MS);
	for (int i = 0; i < 2; i++)
		assert_int_equal(tx_nd(&b, MG_ICMP6_NEIGHBOR_ADVERT)->nd.flags, MG_ND_OVERRIDE);
	sb_wait(&b, MG_NS_PER_S);
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_SYN);
	sb_free(&b);
}

static void dad_meets(bool advert)
{
	struct sb b;
	uint32_t window;

	sb_conf_family(&b, true);
	b.conf.dad_ms = 300;
	sb_start(&b, true);
	mg_slow_start(b.s, b.now_ns);
	if (advert)
		advertises(&b, MG_ND_OVERRIDE, SB_US6, &b.peer_mac);
	else
		solicits(&b, nobody, SB_US6); /* wants it at the same time */
	assert_int_equal(b.s->stats.dad_failed, 1);
	sb_wait(&b, MG_NS_PER_S);
	sb_clear(&b);
	assert_false(mg_routes_is_local(&b.s->routes, &(struct mg_addr[]){ SB_US6 }[0]));
	assert_true(mg_routes_is_local(&b.s->routes, &(struct mg_addr[]){ us_ll(&b) }[0]));
	solicits(&b, SB_PEER6, SB_US6); /* not ours to defend */
	sb_tx_none(&b);
	assert_int_equal(sb_connect(&b, &window), -EADDRNOTAVAIL);
	sb_free(&b);
}

static void test_dad_finds_a_duplicate(void **state)
{
	(void)state;
	dad_meets(true);
	dad_meets(false);
}

static void test_own_echo_is_no_duplicate(void **state)
{
	struct sb b;

	(void)state;
	sb_conf_family(&b, true);
	b.conf.dad_ms = 300;
	sb_start(&b, true);
	mg_slow_start(b.s, b.now_ns);
	b.peer_mac = b.mac; /* the port hears what it sent */
	solicits(&b, nobody, SB_US6);
	assert_int_equal(b.s->stats.dad_failed, 0);
	sb_free(&b);
}

/* An ICMPv6 message of the peer; returns the frame's length. */
static uint32_t icmp_frame(struct sb *b, uint8_t *frame, struct mg_addr src, struct mg_addr dst,
			   const uint8_t *icmp, uint32_t len)
{
	const struct mg_ip_spec ip = {
		.src = &src, .dst = &dst, .l4_len = len, .proto = MG_IPPROTO_ICMPV6, .ttl = 64
	};
	uint8_t *l4 = frame + MG_ETH_HLEN + MG_IPV6_HLEN;

	(void)mg_wire_eth_emit(frame, &b->mac, &b->peer_mac, MG_ETHERTYPE_IPV6);
	(void)mg_wire_ip_emit(frame + MG_ETH_HLEN, &ip);
	memcpy(l4, icmp, len);
	memset(l4 + 2, 0, 2);
	mg_csum_store(l4 + 2, mg_csum_add(mg_csum_pseudo(&src, &dst, ip.proto, len), l4, len));
	return MG_ETH_HLEN + MG_IPV6_HLEN + len;
}

static void test_echo(void **state)
{
	static const uint8_t echo[] = { 128, 0, 0, 0, 0x12, 0x34, 0, 5, 'x', 'y', 'z' };
	struct sb b;
	uint8_t frame[128];
	const struct mg_frame_view *v;

	(void)state;
	sb_conf_family(&b, true);
	sb_start(&b, true);
	sb_rx_frame(&b, frame, icmp_frame(&b, frame, SB_PEER6, SB_US6, echo, sizeof(echo)));
	v = sb_tx_frame(&b);
	assert_non_null(v);
	assert_int_equal(v->kind, MG_FRAME_ICMP);
	assert_int_equal(v->icmp.type, MG_ICMP6_ECHO_REPLY);
	assert_int_equal(v->icmp.echo_seq, 5);
	assert_true(is_addr(&v->ip.dst, SB_PEER6) && is_addr(&v->ip.src, SB_US6));
	assert_int_equal(v->ip.l4_len, sizeof(echo));
	/* over the link alone */
	sb_rx_frame(&b, frame, icmp_frame(&b, frame, peer_ll(&b), us_ll(&b), echo, sizeof(echo)));
	assert_true(is_addr(&tx_nd(&b, MG_ICMP6_NEIGHBOR_SOLICIT)->nd.target, peer_ll(&b)));
	advertises(&b, MG_ND_SOLICITED, peer_ll(&b), &b.peer_mac);
	assert_true(is_addr(&sb_tx_frame(&b)->ip.src, us_ll(&b)));
	sb_rx_frame(&b, frame, icmp_frame(&b, frame, SB_PEER6, sb_v6(3), echo, sizeof(echo)));
	sb_tx_none(&b);
	sb_free(&b);
}

/* An error about a segment of ours. */
static void rx_error(struct sb *b, uint8_t type, uint8_t code, uint32_t word,
		     const struct mg_tuple *t, uint32_t seq)
{
	uint8_t frame[256], icmp[8 + MG_IPV6_HLEN + MG_TCP_HLEN] = { type, code };
	const struct mg_frame_spec spec = {
		.src = &t->laddr,
		.dst = &t->raddr,
		.ttl = 60,
		.payload_len = 1000,
		.csum = MG_TX_CSUM_NONE,
		.tcp = { .sport = t->lport, .dport = t->rport, .seq = seq, .flags = MG_TCP_ACK },
	};

	mg_store_be32(icmp + 4, word);
	assert_int_equal(mg_wire_emit_ip_tcp(icmp + 8, &spec), sizeof(icmp) - 8);
	sb_rx_frame(b, frame, icmp_frame(b, frame, SB_GATEWAY6, SB_US6, icmp, sizeof(icmp)));
}

static void open_meets(uint8_t type, uint8_t code, bool ends, uint32_t error)
{
	struct sb b;
	struct mg_conn *c;
	uint32_t window;

	sb_conf_family(&b, true);
	b.conf.syn_retries = 1;
	sb_start(&b, true);
	assert_int_equal(sb_connect(&b, &window), 0);
	c = sb_conn(&b);
	rx_error(&b, type, code, 0, &c->node.tuple, c->hs.iss + 1); /* not our SYN */
	assert_int_equal(b.app->windows[window].state, MG_SHM_ST_CONNECTING);
	assert_int_equal(b.s->stats.icmp_invalid, 1);
	rx_error(&b, type, code, 0, &c->node.tuple, c->hs.iss);
	if (!ends) {
		assert_int_equal(b.app->windows[window].state, MG_SHM_ST_CONNECTING);
		sb_wait(&b, 10 * MG_NS_PER_S);
	}
	assert_int_equal(b.app->windows[window].state, MG_SHM_ST_CLOSED);
	assert_int_equal(b.app->windows[window].error, error);
	sb_free(&b);
}

static void test_errors_of_opens(void **state)
{
	(void)state;
	open_meets(1, 4, true, ECONNREFUSED);
	open_meets(4, 1, true, ENOPROTOOPT);
	open_meets(1, 0, false, ENETUNREACH);
	open_meets(1, 1, true, EACCES);
	open_meets(1, 3, false, EHOSTUNREACH);
	open_meets(3, 0, false, EHOSTUNREACH);
}

static void packet_too_big(uint32_t mtu, uint32_t want_mss)
{
	struct sb b;
	struct mg_conn *c;
	struct mg_ev_removed books = { 0 };

	sb_conf_family(&b, true);
	sb_start(&b, true);
	c = sb_established(&b);
	books.snd_una = c->hs.iss + 1;
	books.snd_nxt = c->hs.iss + 5001;
	rx_error(&b, 2, 0, mtu, &c->node.tuple, c->hs.iss + 1);
	sb_report(&b, &books);
	assert_int_equal(c->snd_mss, want_mss);
	sb_free(&b);
}

static void test_packet_too_big(void **state)
{
	(void)state;
	packet_too_big(1400, 1400 - 60 - 12);
	packet_too_big(1280, 1280 - 60 - 12);
	packet_too_big(600, 1280 - 60 - 12); /* RFC 8201 4: never less */
	packet_too_big(9000, 1500 - 60 - 12);
}

static void test_mss(void **state)
{
	struct sb b;
	const struct mg_seg *seg;

	(void)state;
	sb_conf_family(&b, true);
	b.conf.timestamps = false;
	sb_start(&b, true);
	sb_listen(&b, 8);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS, .flags = MG_TCP_SYN, .wnd = 1000 });
	seg = sb_tx(&b);
	assert_int_equal(seg->mss, 1440);
	assert_int_equal(b.s->embryos[0].hs.mss, 1220); /* RFC 9293 MUST-15 */
	sb_free(&b);
}

static void test_packets_carry_label_class_and_hop_limit(void **state)
{
	struct sb b;
	const uint8_t *ip;
	uint32_t window, label;

	(void)state;
	sb_conf_family(&b, true);
	b.conf.dscp = 46;
	b.conf.ttl = 33;
	sb_start(&b, true);
	assert_int_equal(sb_connect(&b, &window), 0);
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_SYN);
	ip = sb_pkt(&b.last)->data + MG_ETH_HLEN;
	label = mg_load_be32(ip) & 0xfffff;
	assert_int_equal(mg_load_be32(ip) >> 20, 0x600 | 46 << 2);
	assert_int_equal(ip[7], 33);
	assert_int_not_equal(label, 0);
	sb_wait(&b, 1500 * MG_NS_PER_MS);
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_SYN);
	ip = sb_pkt(&b.last)->data + MG_ETH_HLEN;
	assert_int_equal(mg_load_be32(ip) & 0xfffff, label); /* RFC 6437: for the flow's life */
	sb_free(&b);
}

static void refused_source(struct mg_addr src, bool parses)
{
	struct sb b;

	sb_conf_family(&b, true);
	sb_start(&b, true);
	sb_listen(&b, 8);
	sb_rx(&b, &(struct sb_seg){ .seq = 1, .flags = MG_TCP_SYN, .src = src });
	assert_int_equal(b.s->stats.drop_parse, !parses);
	assert_int_equal(b.s->stats.drop_bad_source, parses);
	sb_tx_none(&b);
	sb_free(&b);
}

static void test_sources_that_nobody_has(void **state)
{
	(void)state;
	refused_source((struct mg_addr){ { 0xff, 2, [15] = 1 } }, false);
	refused_source((struct mg_addr){ { [15] = 1 } }, true); /* ::1 */
	refused_source(SB_US6, true);
}

static void test_gateway_and_link_local_peers(void **state)
{
	struct sb b;
	struct mg_addr far = { { 0x20, 1, 0xd, 0xb8, [15] = 1 } };

	(void)state;
	start(&b);
	sb_rx(&b, &(struct sb_seg){ .src = far, .seq = 1, .flags = MG_TCP_SYN });
	assert_true(is_addr(&tx_nd(&b, MG_ICMP6_NEIGHBOR_SOLICIT)->nd.target, SB_GATEWAY6));
	sb_rx(&b, &(struct sb_seg){
			  .src = peer_ll(&b), .dst = us_ll(&b), .seq = 1, .flags = MG_TCP_SYN });
	assert_true(is_addr(&tx_nd(&b, MG_ICMP6_NEIGHBOR_SOLICIT)->nd.target, peer_ll(&b)));
	sb_free(&b);
}

static struct mg_addr parse(const char *text)
{
	struct mg_addr a;

	assert_int_equal(mg_addr_parse(text, &a), 0);
	return a;
}

/* RFC 6724 5 over a port with these addresses, and another port with fd99::1 and fe80::2. */
static void test_source_selection(void **state)
{
	static const char *const own[] = { "192.0.2.1",     "fe80::1",     "fd77::1",
					   "fd77:0:0:1::1", "2001:db8::1", "2001:db8:1::1" };
	static const struct {
		const char *dst, *src;
	} cases[] = {
		{ "fd77::2", "fd77::1" },
		{ "fd77:0:0:1::9", "fd77:0:0:1::1" },
		{ "fd88::1", "fd77::1" },
		{ "2001:db8::9", "2001:db8::1" },
		{ "2001:db8:1::9", "2001:db8:1::1" },
		{ "2607:f8b0::1", "2001:db8::1" },
		{ "fe80::9", "fe80::1" },
		{ "2001:db8:1::1", "2001:db8:1::1" },
		{ "192.0.2.7", "192.0.2.1" },
	};
	const struct mg_slow_port port = { .mtu = 1500, .has_l2 = true };
	struct mg_routes r = { 0 };
	struct mg_slow_addr a = { .prefix = 64 };
	struct mg_addr src, dst;
	struct mg_hop hop;
	uint16_t idx;

	(void)state;
	assert_int_equal(mg_routes_add_port(&r, &port, &idx), 0);
	assert_int_equal(mg_routes_add_port(&r, &port, &idx), 0);
	for (size_t i = 0; i < MG_ARRAY_SIZE(own); i++) {
		a.addr = parse(own[i]);
		a.prefix = i == 0 ? 24 : 64;
		assert_int_equal(mg_routes_add_addr(&r, &a), 0);
	}
	a = (struct mg_slow_addr){ .addr = parse("fe80::2"), .prefix = 64, .port = 1 };
	assert_int_equal(mg_routes_add_addr(&r, &a), 0);
	for (size_t i = 0; i < MG_ARRAY_SIZE(cases); i++) {
		dst = parse(cases[i].dst);
		hop = (struct mg_hop){ .addr = dst, .port = 0 };
		assert_int_equal(mg_routes_source(&r, &dst, &hop, &src), 0);
		assert_true(is_addr(&src, parse(cases[i].src)));
	}
	dst = parse("fe80::9");
	hop = (struct mg_hop){ .addr = dst, .port = 1 };
	assert_int_equal(mg_routes_source(&r, &dst, &hop, &src), 0);
	assert_true(is_addr(&src, parse("fe80::2")));
	dst = parse("2001:db8::9"); /* a link-local address is no sender beyond the link */
	assert_int_equal(mg_routes_source(&r, &dst, &hop, &src), -EADDRNOTAVAIL);
	/* the link of a link-local destination: by our address, or by number */
	dst = parse("fe80::9");
	assert_int_equal(mg_routes_hop(&r, &(struct mg_addr[]){ parse("fe80::2") }[0], &dst, &hop),
			 0);
	assert_int_equal(hop.port, 1);
	assert_int_equal(mg_routes_scope(&r, &dst, 1, &hop), 0);
	assert_int_equal(hop.port, 0);
	assert_int_equal(mg_routes_scope(&r, &dst, 0, &hop), -EINVAL);
	assert_int_equal(mg_routes_scope(&r, &dst, 3, &hop), -EINVAL);
	assert_true(mg_routes_is_for(&r, &(struct mg_addr[]){ parse("fe80::2") }[0], 1));
	assert_false(mg_routes_is_for(&r, &(struct mg_addr[]){ parse("fe80::2") }[0], 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_solicitations),
		cmocka_unit_test(test_answers_who_looks_for_duplicates),
		cmocka_unit_test(test_resolves_and_queues),
		cmocka_unit_test(test_nobody_answers),
		cmocka_unit_test(test_unsolicited_answer_is_stale_and_unasked_ones_are_nothing),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_flow_keeps_its_neighbour),
		cmocka_unit_test(test_routers_and_redirects_are_ignored),
		cmocka_unit_test(test_conflict_is_counted_and_answered_once),
		cmocka_unit_test(test_dad_asks_waits_and_announces),
		cmocka_unit_test(test_dad_finds_a_duplicate),
		cmocka_unit_test(test_own_echo_is_no_duplicate),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_errors_of_opens),
		cmocka_unit_test(test_packet_too_big),
		cmocka_unit_test(test_mss),
		cmocka_unit_test(test_packets_carry_label_class_and_hop_limit),
		cmocka_unit_test(test_sources_that_nobody_has),
		cmocka_unit_test(test_gateway_and_link_local_peers),
		cmocka_unit_test(test_source_selection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
