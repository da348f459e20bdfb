/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_neigh_test.c - ARP: resolving, ageing, changes, conflicts; routes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/wire/eth.h"
#include "test/lib/slow_builder.h"

static bool is_addr(const struct mg_addr *a, struct mg_addr b)
{
	return mg_addr_eq(a, &b);
}

static void rx_arp(struct sb *b, const struct mg_arp_view *arp)
{
	uint8_t frame[64];

	sb_rx_frame(b, frame, mg_wire_arp_emit_frame(frame, arp));
}

static void peer_says(struct sb *b, uint16_t op, struct mg_addr spa, struct mg_addr tpa,
		      const struct mg_mac *sha)
{
	struct mg_arp_view arp = { .op = op, .sha = *sha, .tha = b->mac, .spa = spa, .tpa = tpa };

	rx_arp(b, &arp);
}

static const struct mg_arp_view *tx_arp(struct sb *b)
{
	const struct mg_frame_view *v = sb_tx_frame(b);

	if (v == NULL)
		return NULL;
	assert_int_equal(v->kind, MG_FRAME_ARP);
	return &v->arp;
}

static void start(struct sb *b)
{
	sb_conf(b);
	sb_start(b, false);
}

static void test_announces_at_start(void **state)
{
	struct sb b;
	const struct mg_arp_view *arp;

	(void)state;
	start(&b);
	mg_slow_start(b.s, b.now_ns);
	arp = tx_arp(&b);
	assert_int_equal(arp->op, MG_ARP_REQUEST);
	assert_true(is_addr(&arp->spa, SB_US) && is_addr(&arp->tpa, SB_US));
	assert_int_equal(sb_pkt(&b.last)->data[0], 0xff);
	b.s->conf.arp_gratuitous = false;
	sb_clear(&b);
	mg_slow_start(b.s, b.now_ns);
	assert_null(tx_arp(&b));
	sb_free(&b);
}

static void test_answers_requests_for_us(void **state)
{
	struct sb b;
	const struct mg_arp_view *arp;

	(void)state;
	start(&b);
	peer_says(&b, MG_ARP_REQUEST, SB_PEER, SB_US, &b.peer_mac);
	arp = tx_arp(&b);
	assert_int_equal(arp->op, MG_ARP_REPLY);
	assert_memory_equal(&arp->sha, &b.mac, 6);
	assert_memory_equal(&arp->tha, &b.peer_mac, 6);
	assert_true(is_addr(&arp->spa, SB_US) && is_addr(&arp->tpa, SB_PEER));
	assert_int_equal(b.s->neighs.pool.nr_used, 1); /* and remembers who asked */
	peer_says(&b, MG_ARP_REQUEST, SB_PEER, mg_addr_v4(0x0a4d0009), &b.peer_mac);
	peer_says(&b, MG_ARP_REPLY, mg_addr_v4(0x0a4d0007), SB_US, &b.peer_mac); /* unasked */
	peer_says(&b, MG_ARP_REQUEST, mg_addr_v4(0x01020304), mg_addr_v4(0x0a4d0009), &b.peer_mac);
	sb_tx_none(&b);
	assert_int_equal(b.s->neighs.pool.nr_used, 1);
	peer_says(&b, MG_ARP_REQUEST, mg_addr_v4(0), SB_US,
		  &b.peer_mac); /* RFC 5227 probe: answer, learn nothing */
	assert_non_null(tx_arp(&b));
	assert_int_equal(b.s->neighs.pool.nr_used, 1);
	sb_free(&b);
}

static void test_resolves_and_queues(void **state)
{
	struct sb b;
	uint32_t window;
	const struct mg_arp_view *arp;

	(void)state;
	start(&b);
	assert_int_equal(sb_connect(&b, &window), 0);
	arp = tx_arp(&b);
	assert_int_equal(arp->op, MG_ARP_REQUEST);
	assert_true(is_addr(&arp->tpa, SB_PEER) && is_addr(&arp->spa, SB_US));
	sb_tx_none(&b); /* the SYN waits */
	peer_says(&b, MG_ARP_REPLY, SB_PEER, SB_US, &b.peer_mac);
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_SYN);
	assert_memory_equal(sb_pkt(&b.last)->data, b.peer_mac.b, 6);
	sb_tx_none(&b);
	sb_free(&b);
}

static void nobody_answers(uint32_t retries, uint64_t after_ms)
{
	struct sb b;
	uint32_t window, nr = 0;

	start(&b);
	b.s->conf.arp_retries = retries;
	assert_int_equal(sb_connect(&b, &window), 0);
	sb_wait(&b, after_ms * MG_NS_PER_MS);
	while (tx_arp(&b) != NULL)
		nr++;
	assert_int_equal(nr, retries);
	assert_int_equal(b.app->windows[window].state, MG_SHM_ST_CLOSED);
	assert_int_equal(b.app->windows[window].error, EHOSTUNREACH);
	assert_int_equal(b.s->neighs.slot_pool.nr_used, 0);
	sb_free(&b);
}

static void test_nobody_answers(void **state)
{
	(void)state;
	nobody_answers(3, 3500);
	nobody_answers(1, 1500);
	nobody_answers(5, 5500);
}

static void expect_queue(uint32_t each)
{
	struct sb b;

	start(&b);
	b.s->lim.arp_queue_each_max = each;
	for (uint16_t i = 0; i < 30; i++)
		sb_rx(&b, &(struct sb_seg){
				  .sport = (uint16_t)(i + 1), .seq = 1, .flags = MG_TCP_SYN });
	assert_int_equal(b.s->neighs.slot_pool.nr_used, mg_min_u32(each, b.lim.arp_queue_max));
	assert_int_equal(b.s->stats.arp_queue_drops, 30 - mg_min_u32(each, b.lim.arp_queue_max));
	sb_free(&b);
}

static void test_queue_is_bounded(void **state)
{
	(void)state;
	expect_queue(8);
	expect_queue(1);
	expect_queue(64); /* all neighbours together */
}

static void test_gateway_is_asked_for_others(void **state)
{
	struct sb b;
	const struct mg_arp_view *arp;

	(void)state;
	start(&b);
	sb_rx(&b, &(struct sb_seg){ .src = mg_addr_v4(0x08080808), .seq = 1, .flags = MG_TCP_SYN });
	arp = tx_arp(&b);
	assert_true(is_addr(&arp->tpa, SB_GATEWAY));
	sb_free(&b);
}

static void expect_nexthop(struct sb *b, const struct mg_mac *mac)
{
	const struct sb_cmd *c = sb_cmd(b, MG_CMD_SET_NEXTHOP);

	assert_non_null(c);
	assert_memory_equal(&c->hop.dmac, mac, 6);
}

static void test_change_reaches_flows_at_most_once_a_second(void **state)
{
	struct sb b;
	struct mg_mac other = { { 2, 0, 0, 0, 0, 9 } }, third = { { 2, 0, 0, 0, 0, 10 } };

	(void)state;
	start(&b);
	peer_says(&b, MG_ARP_REQUEST, SB_PEER, SB_US, &b.peer_mac);
	(void)sb_tx_frame(&b);
	(void)sb_established(&b);
	sb_wait(&b, 2 * MG_NS_PER_S);
	peer_says(&b, MG_ARP_REPLY, SB_PEER, SB_PEER, &other); /* gratuitous */
	expect_nexthop(&b, &other);
	peer_says(&b, MG_ARP_REPLY, SB_PEER, SB_PEER, &third);
	sb_no_cmd(&b, MG_CMD_SET_NEXTHOP);
	sb_wait(&b, 1100 * MG_NS_PER_MS);
	peer_says(&b, MG_ARP_REPLY, SB_PEER, SB_PEER, &third);
	expect_nexthop(&b, &third);
	assert_int_equal(b.s->stats.neigh_changed, 2);
	sb_free(&b);
}

static void test_ageing(void **state)
{
	struct sb b;
	struct mg_neigh *n;
	const struct mg_arp_view *arp;

	(void)state;
	start(&b);
	peer_says(&b, MG_ARP_REQUEST, SB_PEER, SB_US, &b.peer_mac);
	(void)sb_tx_frame(&b);
	n = &b.s->neighs.entries[0];
	assert_int_equal(n->state, MG_NEIGH_REACHABLE);
	sb_wait(&b, 31 * MG_NS_PER_S);
	assert_int_equal(n->state, MG_NEIGH_STALE);
	sb_tx_none(&b);
	/* using it asks, but sends at once */
	sb_rx(&b, &(struct sb_seg){ .seq = 1, .flags = MG_TCP_SYN });
	arp = tx_arp(&b);
	assert_int_equal(arp->op, MG_ARP_REQUEST);
	assert_memory_equal(sb_pkt(&b.last)->data, b.peer_mac.b, 6); /* unicast */
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_RST | MG_TCP_ACK);
	assert_int_equal(n->state, MG_NEIGH_PROBE);
	peer_says(&b, MG_ARP_REPLY, SB_PEER, SB_US, &b.peer_mac);
	assert_int_equal(n->state, MG_NEIGH_REACHABLE);
	sb_free(&b);
}

static void test_used_neighbour_is_kept_fresh(void **state)
{
	struct sb b;
	struct mg_neigh *n;

	(void)state;
	start(&b);
	peer_says(&b, MG_ARP_REQUEST, SB_PEER, SB_US, &b.peer_mac);
	(void)sb_tx_frame(&b);
	(void)sb_established(&b);
	n = &b.s->neighs.entries[0];
	assert_int_equal(n->nr_users, 1);
	sb_wait(&b, 20 * MG_NS_PER_S);
	sb_ev(&b, MG_EV_NEIGH_CONFIRM, 0, 0); /* forward progress is as good as a reply */
	sb_wait(&b, 20 * MG_NS_PER_S);
	sb_tx_none(&b);
	assert_int_equal(n->state, MG_NEIGH_REACHABLE);
	sb_wait(&b, 11 * MG_NS_PER_S);
	assert_int_equal(n->state, MG_NEIGH_PROBE);
	sb_wait(&b, 7 * MG_NS_PER_S); /* unicast, then broadcast, then given up for now */
	assert_int_equal(n->state, MG_NEIGH_FAILED);
	assert_int_equal(sb_conn(&b)->state, MG_TCP_ESTABLISHED);
	sb_wait(&b, 6 * MG_NS_PER_S);
	assert_int_equal(n->state, MG_NEIGH_INCOMPLETE); /* tries again for its flow */
	peer_says(&b, MG_ARP_REPLY, SB_PEER, SB_US, &b.peer_mac);
	expect_nexthop(&b, &b.peer_mac);
	sb_free(&b);
}

static void test_conflict_is_counted_and_defended(void **state)
{
	struct sb b;

	(void)state;
	start(&b);
	for (int i = 0; i < 3; i++)
		peer_says(&b, MG_ARP_REPLY, SB_US, SB_US, &b.peer_mac);
	assert_int_equal(b.s->stats.arp_conflicts, 3);
	assert_true(is_addr(&tx_arp(&b)->tpa, SB_US));
	sb_tx_none(&b);
	assert_int_equal(b.s->neighs.pool.nr_used, 0);
	sb_free(&b);
}

static void test_table_full_evicts_unused(void **state)
{
	struct sb b;

	(void)state;
	start(&b);
	for (uint32_t i = 0; i < 10; i++) {
		b.now_ns += MG_NS_PER_MS;
		peer_says(&b, MG_ARP_REQUEST, mg_addr_v4(0x0a4d0010 + i), SB_US, &b.peer_mac);
	}
	assert_int_equal(b.s->neighs.pool.nr_used, b.lim.neighbours_max);
	sb_free(&b);
}

/* ---- routes ---- */

static void test_longest_prefix(void **state)
{
	struct mg_routes r = { 0 };
	struct mg_slow_port port = { .mtu = 1500 };
	struct mg_hop hop;
	struct mg_addr dst = mg_addr_v4(0x0a010203), src;
	uint16_t p;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(mg_routes_add_port(&r, &port, &p), 0);
	assert_int_equal(mg_routes_find(&r, &dst, &hop), -ENETUNREACH);
	assert_int_equal(
		mg_routes_add_addr(&r, &(struct mg_slow_addr){ mg_addr_v4(0xc0a80001), 24, 0 }), 0);
	assert_int_equal(mg_routes_add_addr(&r, &(struct mg_slow_addr){ mg_addr_v4(0xc0a80001), 24,
									1 }),
			 -EEXIST);
	assert_int_equal(mg_routes_add_addr(&r, &(struct mg_slow_addr){ mg_addr_v4(0xc0a80101), 24,
									9 }),
			 -EINVAL);
	assert_int_equal(mg_routes_add_addr(&r, &(struct mg_slow_addr){ mg_addr_v4(0xc0a80101), 33,
									1 }),
			 -EINVAL);
	assert_int_equal(
		mg_routes_add_addr(&r, &(struct mg_slow_addr){ mg_addr_v4(0xc0a80101), 24, 1 }), 0);
	assert_int_equal(mg_routes_add_route(&r, &(struct mg_slow_route){ mg_addr_v4(0), 0, 0,
									  mg_addr_v4(0xc0a800fe) }),
			 0);
	assert_int_equal(mg_routes_add_route(&r,
					     &(struct mg_slow_route){ mg_addr_v4(0x0a000000), 8, 1,
								      mg_addr_v4(0xc0a801fe) }),
			 0);
	assert_int_equal(mg_routes_add_route(&r,
					     &(struct mg_slow_route){ mg_addr_v4(0x0a010000), 16, 1,
								      mg_addr_v4(0xc0a801fd) }),
			 0);
	assert_int_equal(mg_routes_find(&r, &dst, &hop), 0);
	assert_int_equal(hop.port, 1);
	assert_int_equal(mg_addr_to_v4(&hop.addr), 0xc0a801fd);
	assert_int_equal(mg_routes_source(&r, &dst, &hop, &src), 0);
	assert_int_equal(mg_addr_to_v4(&src), 0xc0a80101);
	dst = mg_addr_v4(0x08080808);
	assert_int_equal(mg_routes_find(&r, &dst, &hop), 0);
	assert_int_equal(hop.port, 0);
	dst = mg_addr_v4(0xc0a80155);
	assert_int_equal(mg_routes_find(&r, &dst, &hop), 0);
	assert_true(mg_addr_eq(&hop.addr, &dst));
	dst = mg_addr_v4(0xc0a801ff);
	assert_true(mg_routes_is_broadcast(&r, &dst));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_announces_at_start),
		cmocka_unit_test(test_answers_requests_for_us),
		cmocka_unit_test(test_resolves_and_queues),
		cmocka_unit_test(test_nobody_answers),
		cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_gateway_is_asked_for_others),
		cmocka_unit_test(test_change_reaches_flows_at_most_once_a_second),
		cmocka_unit_test(test_ageing),
		cmocka_unit_test(test_used_neighbour_is_kept_fresh),
		cmocka_unit_test(test_conflict_is_counted_and_defended),
		cmocka_unit_test(test_table_full_evicts_unused),
		cmocka_unit_test(test_longest_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
