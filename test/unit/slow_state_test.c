/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_state_test.c - all 11 x 11 pairs of states against the edges of RFC 9293 figure 5, written out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "slowpath/core/state.h"

static const char *const edges[] = {
	/* passive and active OPEN, SEND on a listener */
	"CLOSED LISTEN",
	"CLOSED SYN-SENT",
	"LISTEN SYN-RECEIVED",
	"LISTEN SYN-SENT",
	/* handshakes; a reset brings a passive one back */
	"SYN-SENT SYN-RECEIVED",
	"SYN-SENT ESTABLISHED",
	"SYN-RECEIVED ESTABLISHED",
	"SYN-RECEIVED LISTEN",
	"SYN-RECEIVED FIN-WAIT-1",
	/* closing */
	"ESTABLISHED FIN-WAIT-1",
	"ESTABLISHED CLOSE-WAIT",
	"CLOSE-WAIT LAST-ACK",
	"FIN-WAIT-1 FIN-WAIT-2",
	"FIN-WAIT-1 CLOSING",
	"FIN-WAIT-1 TIME-WAIT",
	"FIN-WAIT-2 TIME-WAIT",
	"CLOSING TIME-WAIT",
	/* everything can end: reset, abort, time-out, last ACK, 2 MSL */
	"LISTEN CLOSED",
	"SYN-SENT CLOSED",
	"SYN-RECEIVED CLOSED",
	"ESTABLISHED CLOSED",
	"CLOSE-WAIT CLOSED",
	"FIN-WAIT-1 CLOSED",
	"CLOSING CLOSED",
	"LAST-ACK CLOSED",
	"FIN-WAIT-2 CLOSED",
	"TIME-WAIT CLOSED",
};

static bool is_edge(const char *from, const char *to)
{
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		size_t len = strlen(from);

		if (strncmp(edges[i], from, len) == 0 && edges[i][len] == ' ' &&
		    strcmp(edges[i] + len + 1, to) == 0)
			return true;
	}
	return false;
}

static void test_all_pairs(void **state)
{
	(void)state;
	for (uint32_t from = 0; from < MG_TCP_STATES; from++)
		for (uint32_t to = 0; to < MG_TCP_STATES; to++)
			assert_int_equal(mg_state_is_legal(from, to),
					 is_edge(mg_state_name(from), mg_state_name(to)));
}

static void test_out_of_range(void **state)
{
	(void)state;
	assert_false(mg_state_is_legal(MG_TCP_STATES, MG_TCP_CLOSED));
	assert_false(mg_state_is_legal(MG_TCP_CLOSED, 99));
	assert_string_equal(mg_state_name(99), "?");
}

static void test_set_counts(void **state)
{
	struct mg_state_counts counts = { 0 };
	uint8_t s = MG_TCP_CLOSED;

	(void)state;
	mg_state_set(&counts, &s, MG_TCP_SYN_SENT);
	mg_state_set(&counts, &s, MG_TCP_ESTABLISHED);
	assert_int_equal(s, MG_TCP_ESTABLISHED);
	assert_int_equal(counts.entered[MG_TCP_SYN_SENT], 1);
	assert_int_equal(counts.entered[MG_TCP_ESTABLISHED], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_pairs),
		cmocka_unit_test(test_out_of_range),
		cmocka_unit_test(test_set_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
