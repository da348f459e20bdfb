/* SPDX-License-Identifier: Apache-2.0 */
/* ECN's negotiation (RFC 3168 6.1.1) from both sides and in each mode; who asks for it besides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test/lib/slow_builder.h"

#define SETUP (MG_TCP_ECE | MG_TCP_CWR)

static struct sb b;

static void start(uint8_t mode, const char *algorithm)
{
	sb_conf(&b);
	b.conf.ecn = mode;
	(void)snprintf(b.conf.congestion_control, sizeof(b.conf.congestion_control), "%s",
		       algorithm);
	sb_start(&b, true);
}

/* What our SYN asks, and whether the connection has ECN after this SYN-ACK. */
static void connects(uint8_t mode, const char *algorithm, uint16_t asks, uint16_t synack, bool has)
{
	const struct mg_cmd_install *i;
	const struct mg_seg *syn;
	uint32_t window;

	start(mode, algorithm);
	assert_int_equal(sb_connect(&b, &window), 0);
	syn = sb_tx(&b);
	assert_int_equal(syn->flags, MG_TCP_SYN | asks);
	assert_int_equal(syn->ecn, MG_ECN_NOT_ECT);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS,
				    .ack = syn->seq + 1,
				    .flags = (uint16_t)(MG_TCP_SYN | MG_TCP_ACK | synack),
				    .wnd = 1000,
				    .sport = SB_PPORT,
				    .dport = syn->tuple.lport });
	i = &sb_cmd(&b, MG_CMD_INSTALL)->install;
	assert_int_equal((i->flags & MG_FLOW_ECN) != 0, has);
	assert_int_equal((i->flags & MG_FLOW_DCTCP) != 0, has && strcmp(algorithm, "dctcp") == 0);
	sb_free(&b);
}

static void active_open(void **state)
{
	(void)state;
	connects(MG_SLOW_ECN_OFF, "cubic", 0, 0, false);
	connects(MG_SLOW_ECN_OFF, "cubic", 0, MG_TCP_ECE, false); /* not asked for */
	connects(MG_SLOW_ECN_ACCEPT, "cubic", 0, MG_TCP_ECE, false);
	connects(MG_SLOW_ECN_ON, "cubic", SETUP, MG_TCP_ECE, true);
	connects(MG_SLOW_ECN_ON, "cubic", SETUP, 0, false);
	/* a peer that only copies the flags back knows nothing of ECN */
	connects(MG_SLOW_ECN_ON, "cubic", SETUP, SETUP, false);
	connects(MG_SLOW_ECN_ON, "reno", SETUP, MG_TCP_CWR, false);
}

static void dctcp_asks_in_any_mode(void **state)
{
	(void)state;
	connects(MG_SLOW_ECN_OFF, "dctcp", SETUP, MG_TCP_ECE, true);
	connects(MG_SLOW_ECN_ON, "dctcp", SETUP, 0, false); /* and does without */
}

/* What our SYN-ACK says to this SYN, and what the connection has. */
static void accepts(uint8_t mode, const char *algorithm, uint16_t syn, uint16_t grants)
{
	const struct mg_cmd_install *i;
	const struct mg_seg *synack;

	start(mode, algorithm);
	sb_listen(&b, 8);
	sb_rx(&b, &(struct sb_seg){
			  .seq = SB_PISS, .flags = (uint16_t)(MG_TCP_SYN | syn), .wnd = 1000 });
	synack = sb_tx(&b);
	assert_int_equal(synack->flags, MG_TCP_SYN | MG_TCP_ACK | grants);
	assert_int_equal(synack->ecn, MG_ECN_NOT_ECT);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = synack->seq + 1,
				    .flags = MG_TCP_ACK,
				    .wnd = 1000 });
	i = &sb_cmd(&b, MG_CMD_INSTALL)->install;
	assert_int_equal((i->flags & MG_FLOW_ECN) != 0, grants != 0);
	sb_free(&b);
}

static void passive_open(void **state)
{
	(void)state;
	accepts(MG_SLOW_ECN_OFF, "cubic", SETUP, 0);
	accepts(MG_SLOW_ECN_ACCEPT, "cubic", SETUP, MG_TCP_ECE);
	accepts(MG_SLOW_ECN_ON, "cubic", SETUP, MG_TCP_ECE);
	accepts(MG_SLOW_ECN_ON, "cubic", 0, 0);
	accepts(MG_SLOW_ECN_ON, "cubic", MG_TCP_ECE, 0); /* both, or it is no request */
	accepts(MG_SLOW_ECN_ON, "cubic", MG_TCP_CWR, 0);
	accepts(MG_SLOW_ECN_OFF, "dctcp", SETUP, MG_TCP_ECE);
}

/* 6.1.1.1: our SYN got lost, perhaps for its flags: the next has none, and then no answer counts. */
static void lost_syn_falls_back(void **state)
{
	const struct mg_seg *syn;
	uint32_t window;

	(void)state;
	start(MG_SLOW_ECN_ON, "cubic");
	assert_int_equal(sb_connect(&b, &window), 0);
	assert_int_equal(sb_tx(&b)->flags, MG_TCP_SYN | SETUP);
	sb_wait(&b, 1100 * MG_NS_PER_MS);
	syn = sb_tx(&b);
	assert_int_equal(syn->flags, MG_TCP_SYN);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS,
				    .ack = syn->seq + 1,
				    .flags = MG_TCP_SYN | MG_TCP_ACK | MG_TCP_ECE,
				    .wnd = 1000,
				    .sport = SB_PPORT,
				    .dport = syn->tuple.lport });
	assert_false(sb_cmd(&b, MG_CMD_INSTALL)->install.flags & MG_FLOW_ECN);
	sb_free(&b);
}

/* The peer's second SYN asks no more: nor do we. */
static void peer_falls_back(void **state)
{
	const struct mg_seg *synack;

	(void)state;
	start(MG_SLOW_ECN_ON, "cubic");
	sb_listen(&b, 8);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS, .flags = MG_TCP_SYN | SETUP, .wnd = 1000 });
	assert_true(sb_tx(&b)->flags & MG_TCP_ECE);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS, .flags = MG_TCP_SYN, .wnd = 1000 });
	synack = sb_tx(&b);
	assert_int_equal(synack->flags, MG_TCP_SYN | MG_TCP_ACK);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = synack->seq + 1,
				    .flags = MG_TCP_ACK,
				    .wnd = 1000 });
	assert_false(sb_cmd(&b, MG_CMD_INSTALL)->install.flags & MG_FLOW_ECN);
	sb_free(&b);
}

/* RFC 8257 3.5, by choice: SYN and SYN-ACK can be marked. */
static void ect_on_syns(void **state)
{
	uint32_t window;

	(void)state;
	sb_conf(&b);
	b.conf.ecn_everywhere = true;
	strcpy(b.conf.congestion_control, "dctcp");
	sb_start(&b, true);
	assert_int_equal(sb_connect(&b, &window), 0);
	assert_int_equal(sb_tx(&b)->ecn, MG_ECN_ECT0);
	sb_listen(&b, 8);
	sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS, .flags = MG_TCP_SYN | SETUP, .wnd = 1000 });
	assert_int_equal(sb_tx(&b)->ecn, MG_ECN_ECT0);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(active_open),     cmocka_unit_test(dctcp_asks_in_any_mode),
		cmocka_unit_test(passive_open),    cmocka_unit_test(lost_syn_falls_back),
		cmocka_unit_test(peer_falls_back), cmocka_unit_test(ect_on_syns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
