/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_frag_test.c - fragments: put together in any order, dropped when they are not what honest hosts send.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/endian.h"
#include "proto/base/rng.h"
#include "proto/wire/checksum.h"
#include "proto/wire/eth.h"
#include "test/lib/slow_builder.h"

#define L3 MG_ETH_HLEN

struct frame {
	uint8_t b[1514];
	uint32_t len;
};

static struct sb b;

/* An echo request of `len` bytes of data: its answer repeats them, so we see what was put together. */
static struct frame echo(uint32_t len)
{
	struct mg_addr src = SB_PEER, dst = SB_US;
	struct mg_ip_spec ip = { .src = &src,
				 .dst = &dst,
				 .l4_len = 8 + len,
				 .id = 77,
				 .proto = MG_IPPROTO_ICMP,
				 .ttl = 64 };
	struct frame f = { .len = L3 + 20 + 8 + len };
	uint8_t *icmp = f.b + L3 + 20;

	(void)mg_wire_eth_emit(f.b, &b.mac, &b.peer_mac, MG_ETHERTYPE_IPV4);
	(void)mg_wire_ip_emit(f.b + L3, &ip);
	icmp[0] = MG_ICMP_ECHO;
	for (uint32_t i = 0; i < len; i++)
		icmp[8 + i] = (uint8_t)(i * 7);
	mg_csum_store(icmp + 2, mg_csum_add(0, icmp, 8 + len));
	return f;
}

/* A SYN for our listener, with payload behind the header so that there is something to cut. */
static struct frame syn(void)
{
	struct mg_addr src = SB_PEER, dst = SB_US;
	struct frame f = { .len = 0 };
	struct mg_frame_spec spec = {
		.dmac = b.mac,
		.smac = b.peer_mac,
		.src = &src,
		.dst = &dst,
		.payload_len = 100,
		.ttl = 64,
		.csum = MG_TX_CSUM_FULL,
		.tcp = { .sport = SB_PPORT,
			 .dport = SB_PORT,
			 .seq = SB_PISS,
			 .flags = MG_TCP_SYN,
			 .wnd = 1000 },
	};

	f.len = mg_wire_emit_eth_ip_tcp(f.b, &spec) + 100;
	return f;
}

/* Receives bytes [off, end) of what the packet carries, as a fragment. */
static void rx_as(const struct frame *whole, uint32_t off, uint32_t end, bool more, uint8_t tos,
		  uint16_t id)
{
	struct frame f;
	uint8_t *ip = f.b + L3;

	memcpy(f.b, whole->b, L3 + 20);
	memcpy(f.b + L3 + 20, whole->b + L3 + 20 + (end <= 1024 ? off : 0), end - off);
	ip[1] = tos;
	mg_store_be16(ip + 2, (uint16_t)(20 + end - off));
	mg_store_be16(ip + 4, id);
	mg_store_be16(ip + 6, (uint16_t)(off / 8 | (more ? 0x2000 : 0)));
	memset(ip + 10, 0, 2);
	mg_csum_store(ip + 10, mg_csum_add(0, ip, 20));
	sb_rx_frame(&b, f.b, L3 + 20 + end - off);
}

static void rx_part(const struct frame *whole, uint32_t off, uint32_t end)
{
	rx_as(whole, off, end, L3 + 20 + end < whole->len, 0, 77);
}

static void expect_echo(const struct frame *f)
{
	const struct mg_frame_view *v = sb_tx_frame(&b);

	assert_non_null(v);
	assert_int_equal(v->kind, MG_FRAME_ICMP);
	assert_int_equal(v->ip.l4_len, f->len - L3 - 20);
	assert_memory_equal(v->ip.l4 + 8, f->b + L3 + 28, v->ip.l4_len - 8);
	assert_int_equal(b.s->frags.nr_used, 0);
	sb_tx_none(&b);
}

static void test_any_order(void **state)
{
	static const uint8_t orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	static const uint16_t cuts[] = { 0, 400, 808, 1008 };

	(void)state;
	for (int o = 0; o < 6; o++) {
		struct frame f;

		sb_new(&b);
		f = echo(1000);
		for (int i = 0; i < 3; i++)
			rx_part(&f, cuts[orders[o][i]], cuts[orders[o][i] + 1]);
		expect_echo(&f);
		assert_int_equal(b.s->stats.frag_reassembled, 1);
		sb_free(&b);
	}
}

static void test_random_cuts(void **state)
{
	struct mg_rng r;
	struct frame f;

	(void)state;
	mg_rng_init(&r, 1);
	sb_new(&b);
	f = echo(1000);
	for (int round = 0; round < 300; round++) {
		uint16_t at[64], n = 0;

		for (uint32_t off = 0; off < 1008 && n < 63; off += 8 * (1 + mg_rng_below(&r, 30)))
			at[n++] = (uint16_t)off;
		at[n] = 1008;
		for (uint16_t left = n, seen = 0; left > 0;) {
			uint16_t i = (uint16_t)mg_rng_below(&r, n);

			seen = 0;
			for (uint16_t k = 0; k < n; k++) {
				if (at[(i + k) % n] & 1)
					continue; /* sent already: marked by an odd offset */
				i = (uint16_t)((i + k) % n);
				seen = 1;
				break;
			}
			assert_int_equal(seen, 1);
			rx_part(&f, at[i], i + 1 == n ? 1008 : at[i + 1] & ~1u);
			at[i] |= 1;
			left--;
		}
		expect_echo(&f);
		sb_clear(&b);
	}
	sb_free(&b);
}

static void test_tcp_goes_its_way(void **state)
{
	struct frame f;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	f = syn();
	rx_part(&f, 24, 120);
	rx_part(&f, 0, 24);
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_SYN | MG_TCP_ACK);
	f.b[L3 + 60] ^= 1; /* the checksum covers the whole, and it is looked at */
	rx_part(&f, 24, 120);
	rx_part(&f, 0, 24);
	sb_tx_none(&b);
	assert_int_equal(b.s->stats.drop_parse, 1);
	sb_free(&b);
}

/* RFC 5722: all of it goes, and what comes later, too. Exact repetitions are the network's. */
static void test_overlaps(void **state)
{
	static const struct {
		uint16_t off, end;
	} bad[] = { { 392, 808 }, { 0, 408 }, { 8, 16 }, { 0, 808 } };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct frame f;

		sb_new(&b);
		f = echo(1000);
		rx_part(&f, 0, 400);
		rx_part(&f, 0, 400);
		rx_as(&f, bad[i].off, bad[i].end, true, 0, 77);
		rx_part(&f, 400, 808);
		rx_part(&f, 808, 1008);
		sb_tx_none(&b);
		assert_int_equal(b.s->stats.frag_overlaps, 1);
		sb_wait(&b, 31 * MG_NS_PER_S); /* forgotten: the number may be used again */
		rx_part(&f, 0, 400);
		rx_part(&f, 400, 808);
		rx_part(&f, 808, 1008);
		expect_echo(&f);
		sb_free(&b);
	}
}

static void test_two_ends(void **state)
{
	struct frame f;

	(void)state;
	sb_new(&b);
	f = echo(1000);
	rx_as(&f, 400, 800, false, 0, 77);
	rx_as(&f, 800, 1008, false, 0, 77);
	rx_as(&f, 0, 400, true, 0, 77);
	sb_tx_none(&b);
	rx_as(&f, 800, 1008, true, 0, 78); /* more behind ... */
	rx_as(&f, 400, 800, false, 0, 78); /* ... the end */
	rx_as(&f, 0, 400, true, 0, 78);
	sb_tx_none(&b);
	assert_int_equal(b.s->stats.frag_overlaps, 2);
	sb_free(&b);
}

static void test_dishonest_ones(void **state)
{
	struct frame f;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	f = syn();
	rx_as(&f, 0, 8, true, 0, 1);           /* RFC 1858: the flags lie in the second one */
	rx_as(&f, 8, 120, false, 0, 1);        /* RFC 3128: over the header */
	rx_as(&f, 0, 23, true, 0, 2);          /* not a multiple of eight */
	rx_as(&f, 24, 24, false, 0, 3);        /* nothing in it */
	rx_as(&f, 9600, 9600 + 8, true, 0, 4); /* longer than anything here */
	assert_int_equal(b.s->stats.frag_bad, 5);
	assert_int_equal(b.s->frags.nr_used, 0);
	sb_tx_none(&b);
	sb_free(&b);
}

/* RFC 792: the source is told, with the first fragment's header as it came and what followed it. */
static void test_tells_the_source(void **state)
{
	struct mg_addr us = SB_US, peer = SB_PEER;
	const struct mg_frame_view *v;
	struct frame f;

	(void)state;
	sb_new(&b);
	f = echo(1000);
	rx_part(&f, 0, 600);
	sb_wait(&b, 31 * MG_NS_PER_S);
	v = sb_tx_frame(&b);
	assert_non_null(v);
	assert_int_equal(v->kind, MG_FRAME_ICMP);
	assert_int_equal(v->icmp.type, MG_ICMP_TIME_EXCEEDED);
	assert_int_equal(v->icmp.code, 1);
	assert_true(mg_addr_eq(&v->ip.src, &us) && mg_addr_eq(&v->ip.dst, &peer));
	assert_int_equal(v->ip.l4_len, MG_ICMP_EXCEEDED_MAX - 20);
	assert_int_equal(mg_load_be16(v->ip.l4 + 8 + 2), 620);    /* total length */
	assert_int_equal(mg_load_be16(v->ip.l4 + 8 + 4), 77);     /* identification */
	assert_int_equal(mg_load_be16(v->ip.l4 + 8 + 6), 0x2000); /* more fragments, the first */
	assert_memory_equal(v->ip.l4 + 28, f.b + L3 + 20, v->ip.l4_len - 28);
	assert_int_equal(b.s->stats.frag_told, 1);
	sb_free(&b);
}

/* Without the first fragment, about what was dishonest, or to answer an error: nothing. And not many. */
static void test_tells_not_everybody(void **state)
{
	struct frame f;

	(void)state;
	sb_new(&b);
	f = echo(1000);
	rx_as(&f, 400, 1008, false, 0, 1); /* no first */
	rx_as(&f, 0, 400, true, 0, 2);
	rx_as(&f, 392, 800, true, 0, 2); /* an overlap */
	f.b[L3 + 20] = MG_ICMP_UNREACH;
	rx_as(&f, 0, 400, true, 0, 3);
	sb_wait(&b, 31 * MG_NS_PER_S);
	assert_int_equal(b.s->frags.nr_used, 0);
	sb_tx_none(&b);
	f = echo(1000);
	for (uint32_t round = 0; round < 16; round++) {
		for (uint16_t id = 0; id < b.s->frags.count / 4; id++)
			rx_as(&f, 0, 400, true, 0, id);
	}
	sb_wait(&b, 31 * MG_NS_PER_S);
	assert_in_range(b.s->stats.frag_told, 1, 10);
	sb_clear(&b);
	sb_free(&b);
}

static void test_forgets_after_its_time(void **state)
{
	struct frame f;

	(void)state;
	sb_new(&b);
	f = echo(1000);
	rx_part(&f, 0, 400);
	sb_wait(&b, 29 * MG_NS_PER_S);
	assert_int_equal(b.s->frags.nr_used, 1);
	sb_wait(&b, 2 * MG_NS_PER_S);
	assert_int_equal(b.s->frags.nr_used, 0);
	assert_int_equal(b.s->stats.frag_timed_out, 1);
	assert_non_null(sb_tx_frame(&b)); /* time exceeded */
	rx_part(&f, 400, 808);
	rx_part(&f, 808, 1008);
	sb_tx_none(&b);
	sb_free(&b);
}

/* One source has a quarter of the table; the others stay. */
static void test_shares(void **state)
{
	struct frame f, other;

	(void)state;
	sb_new(&b);
	other = echo(1000);
	other.b[L3 + 15] = 9; /* 10.77.0.9 */
	rx_as(&other, 0, 400, true, 0, 7);
	f = echo(1000);
	for (uint16_t id = 100; id < 200; id++)
		rx_as(&f, 0, 400, true, 0, id);
	assert_int_equal(b.s->frags.nr_used, 1 + b.lim.frags_max / 4);
	rx_as(&f, 400, 1008, false, 0, 199);
	assert_non_null(sb_tx_frame(&b));
	for (uint32_t i = 0; i < 100; i++) { /* and many sources: the oldest goes */
		f.b[L3 + 15] = (uint8_t)(20 + i);
		rx_as(&f, 0, 400, true, 0, 1);
	}
	assert_int_equal(b.s->frags.nr_used, b.lim.frags_max);
	sb_free(&b);
}

static void test_none_without_a_table(void **state)
{
	struct frame f;

	(void)state;
	sb_conf(&b);
	b.lim.frags_max = 0;
	sb_start(&b, true);
	f = echo(1000);
	rx_part(&f, 0, 400);
	rx_part(&f, 400, 1008);
	sb_tx_none(&b);
	sb_free(&b);
}

/* RFC 3168 5.3 */
static void test_ecn(void **state)
{
	struct frame f;

	(void)state;
	sb_new(&b);
	f = echo(1000);
	rx_as(&f, 0, 400, true, MG_ECN_CE, 1);
	rx_as(&f, 400, 1008, false, MG_ECN_NOT_ECT, 1);
	sb_tx_none(&b);
	rx_as(&f, 0, 400, true, MG_ECN_CE, 2);
	rx_as(&f, 400, 1008, false, MG_ECN_ECT0, 2);
	assert_non_null(sb_tx_frame(&b));
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_random_cuts),
		cmocka_unit_test(test_tcp_goes_its_way),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_two_ends),
		cmocka_unit_test(test_dishonest_ones),
		cmocka_unit_test(test_tells_the_source),
		cmocka_unit_test(test_tells_not_everybody),
		cmocka_unit_test(test_forgets_after_its_time),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_none_without_a_table),
		cmocka_unit_test(test_ecn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
