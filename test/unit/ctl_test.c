/* SPDX-License-Identifier: Apache-2.0 */
/* proto/ctl: lengths, checks and strings of control messages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/ctl/ctl.h"

static struct mg_ctl_msg msg;

/* test/e2e/rawclient.py writes these by hand: who changes them changes it, too. */
static_assert(sizeof(struct mg_ctl_hdr) == 296, "HDR");
static_assert(sizeof(struct mg_ctl_listen) == 72, "LISTEN");
static_assert(sizeof(struct mg_ctl_accept) == 16, "ACCEPT");
static_assert(sizeof(struct mg_ctl_connect) == 96, "CONNECT");

static void the_public_messages_come_first(void **state)
{
	(void)state;
	assert_int_equal(MG_CTL_HEALTH_CHECK, 0);
	assert_int_equal(MG_CTL_TCP_ABORT, 8);
	assert_string_equal(mg_ctl_type_name(MG_CTL_TCP_LISTEN), "TCP_LISTEN");
	assert_string_equal(mg_ctl_type_name(MG_CTL_TCP_LISTEN | MG_CTL_REPLY), "TCP_LISTEN");
	assert_string_equal(mg_ctl_type_name(999), "?");
}

static void what_init_makes_passes_check(void **state)
{
	(void)state;
	for (uint16_t type = 0; type < MG_CTL_NR; type++) {
		for (uint16_t reply = 0; reply < 2; reply++) {
			uint16_t t = (uint16_t)(type | (reply ? MG_CTL_REPLY : 0));
			uint32_t max = mg_ctl_items_max(t);

			mg_ctl_init(&msg, t, 7, max);
			assert_true(msg.hdr.bytes <= MG_CTL_MSG_MAX);
			assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), 0);
			assert_int_equal(msg.hdr.id, 7);
			mg_ctl_set_count(&msg, 0);
			assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), 0);
		}
	}
}

static void every_reply_with_items_fits_at_least_some(void **state)
{
	(void)state;
	assert_true(mg_ctl_items_max(MG_CTL_SET_CONFIG) >= 100);
	assert_int_equal(mg_ctl_items_max(MG_CTL_HEALTH_CHECK), 0);
	assert_true(mg_ctl_items_max(MG_CTL_HEALTH_CHECK | MG_CTL_REPLY) > 0);
	assert_int_equal(mg_ctl_items_max(77), 0);
}

static void wrong_lengths_are_refused(void **state)
{
	(void)state;
	mg_ctl_init(&msg, MG_CTL_TCP_CONNECT, 1, 2);
	assert_int_equal(mg_ctl_check(&msg, 0), -EBADMSG);
	assert_int_equal(mg_ctl_check(&msg, sizeof(msg.hdr) - 1), -EBADMSG);
	assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes - 1), -EBADMSG);
	msg.hdr.count = 3;
	assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), -EBADMSG);
	msg.hdr.count = UINT32_MAX; /* count * item wraps */
	assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), -EBADMSG);
	msg.hdr.count = 1;
	assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), -EBADMSG);
	msg.hdr.bytes = UINT32_MAX;
	assert_int_equal(mg_ctl_check(&msg, sizeof(msg)), -EBADMSG);
	mg_ctl_init(&msg, MG_CTL_CONTEXT_OPEN, 1, 0);
	msg.hdr.count = 1; /* of nothing */
	assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), -EBADMSG);
}

static void unknown_types_and_versions_are_refused(void **state)
{
	(void)state;
	mg_ctl_init(&msg, MG_CTL_TCP_CLOSE, 1, 0);
	msg.hdr.version = 2;
	assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), -EPROTO);
	mg_ctl_init(&msg, MG_CTL_TCP_CLOSE, 1, 0);
	msg.hdr.type = MG_CTL_NR;
	assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), -EPROTO);
}

static void strings_get_an_end(void **state)
{
	(void)state;
	mg_ctl_init(&msg, MG_CTL_SET_CONFIG, 1, 2);
	memset(msg.hdr.text, 'x', sizeof(msg.hdr.text));
	memset(msg.kv, 'x', 2 * sizeof(msg.kv[0]));
	assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), 0);
	assert_int_equal(strlen(msg.hdr.text), sizeof(msg.hdr.text) - 1);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(strlen(msg.kv[i].key), sizeof(msg.kv[i].key) - 1);
		assert_int_equal(strlen(msg.kv[i].value), sizeof(msg.kv[i].value) - 1);
		assert_int_equal(strlen(msg.kv[i].deflt), sizeof(msg.kv[i].deflt) - 1);
	}
	mg_ctl_init(&msg, MG_CTL_HEALTH_CHECK | MG_CTL_REPLY, 1, 1);
	memset(msg.health, 'x', sizeof(msg.health[0]));
	assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), 0);
	assert_int_equal(strlen(msg.health[0].attach_path), sizeof(msg.health[0].attach_path) - 1);
	assert_int_equal(strlen(msg.health[0].reason), sizeof(msg.health[0].reason) - 1);
	mg_ctl_init(&msg, MG_CTL_STATS | MG_CTL_REPLY, 1, 1);
	memset(msg.counter, 'x', sizeof(msg.counter[0]));
	assert_int_equal(mg_ctl_check(&msg, msg.hdr.bytes), 0);
	assert_int_equal(strlen(msg.counter[0].help), sizeof(msg.counter[0].help) - 1);
}

static void init_leaves_no_stale_bytes(void **state)
{
	(void)state;
	memset(&msg, 0x5a, sizeof(msg));
	mg_ctl_init(&msg, MG_CTL_TCP_LISTEN, 1, 1);
	assert_int_equal(msg.listen[0].flags, 0);
	assert_int_equal(msg.hdr.token.b[3], 0);
	assert_int_equal(msg.hdr.text[200], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_public_messages_come_first),
		cmocka_unit_test(what_init_makes_passes_check),
		cmocka_unit_test(every_reply_with_items_fits_at_least_some),
		cmocka_unit_test(wrong_lengths_are_refused),
		cmocka_unit_test(unknown_types_and_versions_are_refused),
		cmocka_unit_test(strings_get_an_end),
		cmocka_unit_test(init_leaves_no_stale_bytes),
	};

	return cmocka_run_group_tests_name("ctl", tests, NULL, NULL);
}
