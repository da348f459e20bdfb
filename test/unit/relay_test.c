/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay_test.c - test/lib/relay_link: what the bad network of the end-to-end tests does to frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/endian.h"
#include "proto/base/time.h"
#include "proto/wire/checksum.h"
#include "proto/wire/frame.h"
#include "test/lib/relay_link.h"

#define MS MG_NS_PER_MS
#define SEC MG_NS_PER_S

static struct relay_link l;
static uint8_t frame[2048], answer[RELAY_ANSWER_MAX];

/* An IPv4 frame of so many bytes that carries a number. */
static uint32_t make(uint32_t len, uint32_t number, uint8_t ecn, bool df)
{
	uint8_t *ip = frame + 14;

	memset(frame, 0, sizeof(frame));
	mg_store_be16(frame + 12, MG_ETHERTYPE_IPV4);
	frame[0] = 2;
	frame[5] = 0xd;
	frame[6] = 2;
	frame[11] = 0x5;
	ip[0] = 0x45;
	ip[1] = ecn;
	mg_store_be16(ip + 2, (uint16_t)(len - 14));
	ip[6] = df ? 0x40 : 0;
	ip[8] = 64;
	ip[9] = MG_IPPROTO_TCP;
	mg_store_be32(ip + 12, 0x0a4d0001);
	mg_store_be32(ip + 16, 0x0a4d0002);
	mg_csum_store(ip + 10, mg_csum_add(0, ip, 20));
	mg_store_be32(ip + 20, number);
	return len;
}

static uint32_t number_of(const struct relay_frame *f)
{
	return mg_load_be32(f->bytes + 34);
}

static void begin(uint64_t seed)
{
	relay_link_free(&l);
	relay_link_init(&l, seed);
}

static void offer(uint32_t count, uint64_t at_ns)
{
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(relay_link_offer(&l, frame, make(100, i, 0, false), at_ns, answer),
				 0);
}

/* Takes all that is under way; their numbers and how many. */
static uint32_t drain(uint32_t *ret_numbers, uint32_t max)
{
	struct relay_frame *f;
	uint64_t last_ns = 0;
	uint32_t n = 0;

	while ((f = relay_link_take(&l, UINT64_MAX)) != NULL) {
		assert_true(f->due_ns >= last_ns);
		last_ns = f->due_ns;
		if (ret_numbers != NULL && n < max)
			ret_numbers[n] = number_of(f);
		n++;
		free(f);
	}
	return n;
}

static void a_frame_waits_for_its_delay(void **state)
{
	struct relay_frame *f;

	(void)state;
	begin(1);
	assert_true(relay_link_set(&l, "delay_us", 5000));
	assert_false(relay_link_set(&l, "delay", 5000));
	offer(1, SEC);
	assert_int_equal(relay_link_next_ns(&l), SEC + 5 * MS);
	assert_null(relay_link_take(&l, SEC + 5 * MS - 1));
	f = relay_link_take(&l, SEC + 5 * MS);
	assert_non_null(f);
	assert_memory_equal(f->bytes, frame, 100);
	free(f);
	assert_int_equal(relay_link_next_ns(&l), UINT64_MAX);
}

static void jitter_keeps_the_order(void **state)
{
	uint32_t numbers[500];

	(void)state;
	begin(2);
	relay_link_set(&l, "jitter_us", 20000);
	offer(500, SEC);
	assert_int_equal(drain(numbers, 500), 500);
	for (uint32_t i = 0; i < 500; i++)
		assert_int_equal(numbers[i], i);
}

static void some_are_lost_doubled_and_held_back(void **state)
{
	uint32_t n, numbers[20000], late = 0;

	(void)state;
	begin(3);
	relay_link_set(&l, "loss_ppm", 100000);
	relay_link_set(&l, "dup_ppm", 50000);
	relay_link_set(&l, "reorder_ppm", 20000);
	relay_link_set(&l, "reorder_us", 1000);
	for (uint32_t i = 0; i < 10000; i++)
		relay_link_offer(&l, frame, make(100, i, 0, false), SEC + i * 100000ull, answer);
	n = drain(numbers, 20000);
	assert_int_equal(n, 10000 - l.stats.lost + l.stats.duplicated);
	assert_true(l.stats.lost > 900 && l.stats.lost < 1100);
	assert_true(l.stats.duplicated > 350 && l.stats.duplicated < 550);
	for (uint32_t i = 1; i < n; i++)
		late += numbers[i] < numbers[i - 1];
	assert_true(late > 100 && late < 300);
}

static void the_same_seed_is_the_same_fate(void **state)
{
	uint32_t numbers[2][400], n[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin(4);
		relay_link_set(&l, "loss_ppm", 300000);
		relay_link_set(&l, "burst_ppm", 20000);
		relay_link_set(&l, "burst_len", 5);
		offer(400, SEC + (uint64_t)i * 77 * MS);
		n[i] = drain(numbers[i], 400);
	}
	assert_int_equal(n[0], n[1]);
	assert_memory_equal(numbers[0], numbers[1], n[0] * sizeof(numbers[0][0]));
}

static void bursts_take_frames_in_a_row(void **state)
{
	uint32_t numbers[1000], n;

	(void)state;
	begin(5);
	relay_link_set(&l, "burst_ppm", 5000);
	relay_link_set(&l, "burst_len", 7);
	offer(1000, SEC);
	n = drain(numbers, 1000);
	assert_true(n < 1000);
	for (uint32_t i = 1; i < n; i++)
		assert_true(numbers[i] - numbers[i - 1] == 1 || numbers[i] - numbers[i - 1] >= 8);
}

static void exactly_the_nth(void **state)
{
	uint32_t numbers[10];

	(void)state;
	begin(6);
	relay_link_set(&l, "drop_nth", 4);
	offer(10, SEC);
	assert_int_equal(drain(numbers, 10), 9);
	assert_int_equal(numbers[2], 2);
	assert_int_equal(numbers[3], 4);
}

static void the_bottleneck_spaces_and_overflows(void **state)
{
	struct relay_frame *f;

	(void)state;
	begin(7);
	relay_link_set(&l, "rate_kbit", 8000); /* a byte is 1 us */
	relay_link_set(&l, "queue_bytes", 550);
	offer(10, SEC);
	assert_int_equal(l.stats.queue_lost, 5);
	assert_int_equal(l.stats.queue_max_bytes, 500);
	for (uint64_t i = 1; i <= 5; i++) {
		f = relay_link_take(&l, SEC + i * 100000);
		assert_non_null(f);
		assert_int_equal(f->due_ns, SEC + i * 100000);
		free(f);
	}
	relay_link_set(&l, "queue_packets", 2);
	offer(10, 2 * SEC);
	assert_int_equal(l.stats.queue_lost, 13);
	assert_int_equal(drain(NULL, 0), 2);
}

static void a_long_queue_marks_who_understands(void **state)
{
	struct relay_frame *f;
	uint32_t marked = 0;

	(void)state;
	begin(8);
	relay_link_set(&l, "rate_kbit", 8000);
	relay_link_set(&l, "queue_bytes", 100000);
	relay_link_set(&l, "ce_bytes", 450);
	for (uint32_t i = 0; i < 10; i++)
		relay_link_offer(&l, frame, make(100, i, i % 2 ? 2 : 0, false), SEC, answer);
	while ((f = relay_link_take(&l, UINT64_MAX)) != NULL) {
		bool ce = (f->bytes[15] & 3) == 3;

		assert_true(!ce || (number_of(f) >= 4 && number_of(f) % 2 == 1));
		assert_true(mg_csum_is_ok(mg_csum_add(0, f->bytes + 14, 20)));
		marked += ce;
		free(f);
	}
	assert_int_equal(marked, 3);
	assert_int_equal(l.stats.ce_marked, 3);
}

static void the_sender_of_a_long_packet_is_told(void **state)
{
	struct mg_frame_view view;
	uint32_t n;

	(void)state;
	begin(9);
	relay_link_set(&l, "mtu", 500);
	assert_int_equal(relay_link_offer(&l, frame, make(515, 1, 0, true), SEC, answer), 0);
	relay_link_set(&l, "icmp", 1);
	assert_int_equal(relay_link_offer(&l, frame, make(514, 1, 0, true), SEC, answer), 0);
	assert_int_equal(relay_link_offer(&l, frame, make(515, 1, 0, false), SEC, answer), 0);
	n = relay_link_offer(&l, frame, make(1000, 1, 0, true), SEC, answer);
	assert_true(n > 0 && n <= RELAY_ANSWER_MAX);
	assert_int_equal(mg_wire_parse_frame(answer, n, 0, &view), 0);
	assert_int_equal(mg_load_be16(answer + 14 + 20 + 6), 500);
	assert_memory_equal(answer, frame + 6, 6);
	assert_int_equal(mg_load_be32(answer + 14 + 16), 0x0a4d0001);
	assert_int_equal(l.stats.too_big, 3);
	assert_int_equal(drain(NULL, 0), 1);
}

static void damage_flips_one_bit_behind_the_link_header(void **state)
{
	struct relay_frame *f;

	(void)state;
	begin(10);
	relay_link_set(&l, "corrupt_ppm", 1000000);
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t bits = 0;

		relay_link_offer(&l, frame, make(100, i, 0, false), SEC, answer);
		f = relay_link_take(&l, UINT64_MAX);
		assert_non_null(f);
		assert_memory_equal(f->bytes, frame, 14);
		for (uint32_t k = 14; k < 100; k++)
			bits += (uint32_t)__builtin_popcount(f->bytes[k] ^ frame[k]);
		assert_int_equal(bits, 1);
		free(f);
	}
}

/* Address resolution of the links themselves is delayed, but never lost, damaged or doubled. */
static void arp_passes(void **state)
{
	(void)state;
	begin(11);
	relay_link_set(&l, "loss_ppm", 1000000);
	relay_link_set(&l, "corrupt_ppm", 1000000);
	relay_link_set(&l, "dup_ppm", 1000000);
	make(60, 0, 0, false);
	mg_store_be16(frame + 12, MG_ETHERTYPE_ARP);
	relay_link_offer(&l, frame, 60, SEC, answer);
	assert_int_equal(drain(NULL, 0), 1);
	relay_link_set(&l, "down", 1);
	relay_link_offer(&l, frame, 60, SEC, answer);
	assert_int_equal(drain(NULL, 0), 0);
}

static int end(void **state)
{
	(void)state;
	relay_link_free(&l);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_waits_for_its_delay),
		cmocka_unit_test(jitter_keeps_the_order),
		cmocka_unit_test(some_are_lost_doubled_and_held_back),
		cmocka_unit_test(the_same_seed_is_the_same_fate),
		cmocka_unit_test(bursts_take_frames_in_a_row),
		cmocka_unit_test(exactly_the_nth),
		cmocka_unit_test(the_bottleneck_spaces_and_overflows),
		cmocka_unit_test(a_long_queue_marks_who_understands),
		cmocka_unit_test(the_sender_of_a_long_packet_is_told),
		cmocka_unit_test(damage_flips_one_bit_behind_the_link_header),
		cmocka_unit_test(arp_passes),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
