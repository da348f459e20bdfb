/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr_test.c - address text, classes, prefixes, tuple hash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "proto/base/addr.h"
#include "proto/base/bits.h"

static struct mg_addr addr(const char *text)
{
	struct mg_addr a;

	assert_int_equal(mg_addr_parse(text, &a), 0);
	return a;
}

static void text_round_trip(void **state)
{
	static const char *const texts[] = { "0.0.0.0", "10.77.0.1", "255.255.255.255",       "::",
					     "::1",     "fd00::1:2", "2001:db8::ff00:42:8329" };
	char buf[MG_ADDR_STRLEN];

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(texts); i++) {
		struct mg_addr a = addr(texts[i]);

		assert_string_equal(mg_addr_format(&a, buf, sizeof(buf)), texts[i]);
	}
	struct mg_addr v4 = mg_addr_v4(0x0a4d0001), mapped = addr("::ffff:10.77.0.1");

	assert_true(mg_addr_eq(&v4, &mapped));
	assert_int_equal(mg_addr_to_v4(&mapped), 0x0a4d0001);
	assert_string_equal(mg_addr_format(&v4, buf, 4), "10."); /* cut, not overrun */
}

static void bad_text_is_refused(void **state)
{
	static const char *const texts[] = { "",        "1.2.3",    "1.2.3.256", "1.2.3.4.5",
					     "a.b.c.d", "1.2.3.4 ", ":::",       "1::2::3",
					     "fd00::g", "01.2.3.4x" };
	static const char *const prefixes[] = { "1.2.3.4/",           "1.2.3.4/33", "1.2.3.4/-1",
						"1.2.3.4/8x",         "fd00::/129", "/8",
						"1.2.3.4/99999999999" };
	struct mg_addr a;
	uint8_t prefix;

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(texts); i++)
		assert_int_equal(mg_addr_parse(texts[i], &a), -EINVAL);
	for (size_t i = 0; i < MG_ARRAY_SIZE(prefixes); i++)
		assert_int_equal(mg_addr_parse_prefix(prefixes[i], &a, &prefix), -EINVAL);
}

static void classes(void **state)
{
	static const struct {
		const char *text;
		bool any, multicast, loopback;
	} rows[] = {
		{ "0.0.0.0", true, false, false },    { "::", true, false, false },
		{ "224.0.0.1", false, true, false },  { "239.255.255.255", false, true, false },
		{ "ff02::1", false, true, false },    { "255.255.255.255", false, true, false },
		{ "127.0.0.1", false, false, true },  { "127.255.0.9", false, false, true },
		{ "::1", false, false, true },        { "10.0.0.1", false, false, false },
		{ "fd00::1", false, false, false },   { "223.255.255.255", false, false, false },
		{ "240.0.0.1", false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(rows); i++) {
		struct mg_addr a = addr(rows[i].text);

		assert_int_equal(mg_addr_is_any(&a), rows[i].any);
		assert_int_equal(mg_addr_is_multicast(&a), rows[i].multicast);
		assert_int_equal(mg_addr_is_loopback(&a), rows[i].loopback);
	}
}

static void prefixes(void **state)
{
	static const struct {
		const char *a, *net;
		bool in;
	} rows[] = {
		{ "10.0.0.77", "10.0.0.0/24", true },   { "10.0.1.77", "10.0.0.0/24", false },
		{ "10.0.0.1", "10.0.0.1", true },       { "10.0.0.2", "10.0.0.1", false },
		{ "1.2.3.4", "0.0.0.0/0", true },       { "10.0.0.127", "10.0.0.0/25", true },
		{ "10.0.0.128", "10.0.0.0/25", false }, { "10.0.0.1", "10.0.0.0/31", true },
		{ "fd00::1", "fd00::/8", true },        { "fe80::1", "fd00::/8", false },
		{ "fd00::1", "0.0.0.0/0", false },      { "1.2.3.4", "::/0", false },
		{ "fd00::2", "fd00::1/127", false },    { "fd00::1", "fd00::1/128", true },
	};

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(rows); i++) {
		struct mg_addr a = addr(rows[i].a), net;
		uint8_t prefix;

		assert_int_equal(mg_addr_parse_prefix(rows[i].net, &net, &prefix), 0);
		assert_int_equal(mg_addr_in_prefix(&a, &net, prefix), rows[i].in);
	}
	struct mg_addr net = addr("10.0.0.0");
	struct mg_addr far = addr("10.0.0.1");

	assert_false(
		mg_addr_in_prefix(&far, &net, 255)); /* more bits than there are: all of them */
}

static void tuple_hash_depends_on_everything(void **state)
{
	struct mg_tuple t = { .laddr = mg_addr_v4(0x0a000001),
			      .raddr = mg_addr_v4(0x0a000002),
			      .lport = 80,
			      .rport = 12345 };
	uint32_t base = mg_tuple_hash(&t, 1);
	struct mg_tuple u = t;

	(void)state;
	assert_int_equal(mg_tuple_hash(&u, 1), base);
	assert_int_not_equal(mg_tuple_hash(&t, 2), base);
	u.lport++;
	assert_int_not_equal(mg_tuple_hash(&u, 1), base);
	u = t;
	u.laddr = t.raddr;
	u.raddr = t.laddr;
	assert_int_not_equal(mg_tuple_hash(&u, 1), base);
	u = t;
	u.raddr = addr("fd00::1");
	assert_int_not_equal(mg_tuple_hash(&u, 1), base);
}

static void tuple_hash_spreads(void **state)
{
	uint32_t buckets[256] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 65536; i++) {
		struct mg_tuple t = { .laddr = mg_addr_v4(0x0a000001),
				      .raddr = mg_addr_v4(0x0a000002),
				      .lport = 80,
				      .rport = (uint16_t)i };

		buckets[mg_tuple_hash(&t, 7) & 255]++;
	}
	for (size_t i = 0; i < 256; i++)
		assert_in_range(buckets[i], 256 - 100, 256 + 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_round_trip),
		cmocka_unit_test(bad_text_is_refused),
		cmocka_unit_test(classes),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(tuple_hash_depends_on_everything),
		cmocka_unit_test(tuple_hash_spreads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
