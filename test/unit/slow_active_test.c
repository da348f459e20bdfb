/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_active_test.c - SYN-SENT, simultaneous open, SYN-RECEIVED of active opens, local ports.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/slow_builder.h"

#define SYN_OPTS (MG_SEG_OPT_MSS | MG_SEG_OPT_WS | MG_SEG_OPT_SACK_PERM | MG_SEG_OPT_TS)

struct active {
	struct sb b;
	uint32_t window;
	struct mg_seg syn;
};

static void begin(struct active *a)
{
	struct mg_seg const *seg;

	sb_new(&a->b);
	assert_int_equal(sb_connect(&a->b, &a->window), 0);
	seg = sb_tx(&a->b);
	assert_non_null(seg);
	a->syn = *seg;
}

/* A segment back to where the SYN came from. */
static void answer(struct active *a, struct sb_seg seg)
{
	seg.sport = SB_PPORT;
	seg.dport = a->syn.tuple.lport;
	sb_rx(&a->b, &seg);
}

static void expect_end(struct active *a, uint32_t error)
{
	struct mg_shm_event ev;
	struct mg_shm_window *w = &a->b.app->windows[a->window];

	assert_true(sb_event(&a->b, &ev));
	assert_int_equal(ev.kind, MG_SHM_EV_CONN);
	assert_int_equal(ev.index, a->window);
	assert_int_equal(ev.cookie, 88);
	assert_int_equal(w->state, MG_SHM_ST_CLOSED);
	assert_int_equal(w->error, error);
	assert_int_equal(a->b.s->tuples.nr_used, 0);
	sb_app_flags(&a->b, a->window, MG_SHM_AF_CLOSE);
	sb_doorbell(&a->b, a->window);
	assert_int_equal(a->b.s->conn_pool.nr_used, 0);
	assert_int_equal(w->state, MG_SHM_ST_FREE);
}

static void test_connect_sends_syn(void **state)
{
	struct active a;

	(void)state;
	begin(&a);
	assert_int_equal(a.syn.flags, MG_TCP_SYN);
	assert_int_equal(a.syn.opts, SYN_OPTS);
	assert_int_equal(a.syn.mss, SB_MSS);
	assert_int_equal(a.syn.tuple.rport, SB_PPORT);
	assert_true(a.syn.tuple.lport >= 32768);
	assert_int_equal(a.b.app->windows[a.window].state, MG_SHM_ST_CONNECTING);
	assert_int_equal(sb_conn(&a.b)->state, MG_TCP_SYN_SENT);
	sb_free(&a.b);
}

/* RFC 9293 MUST-48, MUST-49: from the SYN on. */
static void test_connect_with_ttl_and_tos(void **state)
{
	const struct mg_seg *seg;
	struct sb b;
	uint32_t window;

	(void)state;
	sb_new(&b);
	assert_int_equal(sb_connect(&b, &window), 0);
	sb_clear(&b);
	mg_ctl_init(b.msg, MG_CTL_TCP_CONNECT, 1, 1);
	b.msg->connect[0] = (struct mg_ctl_connect){
		.tuple = { .raddr = SB_PEER, .rport = SB_PPORT + 1, .laddr = mg_addr_v4(0) },
		.ttl = 17,
		.tos = 0xbb,
	};
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_CONNECT, 1), 0);
	seg = sb_tx(&b);
	assert_non_null(seg);
	assert_int_equal(seg->ttl, 17);
	assert_int_equal(seg->dscp, 0xb8 >> 2);
	sb_free(&b);
}

static void test_synsent_synack_establishes(void **state)
{
	struct active a;
	const struct mg_seg *ack;
	const struct mg_cmd_install *i;
	struct mg_shm_event ev;

	(void)state;
	begin(&a);
	a.b.now_ns += 20 * MG_NS_PER_MS;
	answer(&a, (struct sb_seg){ .seq = SB_PISS,
				    .ack = a.syn.seq + 1,
				    .flags = MG_TCP_SYN | MG_TCP_ACK,
				    .wnd = 65160,
				    .mss = 1460,
				    .ws = 9,
				    .opts = SYN_OPTS,
				    .tsval = 700,
				    .tsecr = a.syn.tsval });
	ack = sb_tx(&a.b);
	assert_int_equal(ack->flags, MG_TCP_ACK);
	assert_int_equal(ack->seq, a.syn.seq + 1);
	assert_int_equal(ack->ack, SB_PISS + 1);
	assert_int_equal(ack->tsecr, 700);
	assert_int_equal(ack->wnd, SB_RING >> 7);
	i = &sb_cmd(&a.b, MG_CMD_INSTALL)->install;
	assert_int_equal(i->snd_wnd, 65160); /* a SYN's window is never scaled */
	assert_int_equal(i->snd_wscale, 9);
	assert_int_equal(i->iss, a.syn.seq);
	assert_int_equal(i->irs, SB_PISS);
	assert_int_equal(i->rcv_adv, SB_PISS + 1 + SB_RING);
	assert_int_equal(i->srtt_us, 20000);
	assert_int_equal(i->mss, SB_MSS - 12);
	assert_true(sb_event(&a.b, &ev));
	assert_int_equal(ev.kind, MG_SHM_EV_CONN);
	assert_int_equal(a.b.app->windows[a.window].state, MG_SHM_ST_OPEN);
	sb_wait(&a.b, 300 * MG_NS_PER_S);
	sb_tx_none(&a.b); /* no more SYNs */
	sb_free(&a.b);
}

static void test_synsent_peer_without_options(void **state)
{
	struct active a;
	const struct mg_cmd_install *i;

	(void)state;
	begin(&a);
	answer(&a, (struct sb_seg){ .seq = SB_PISS,
				    .ack = a.syn.seq + 1,
				    .flags = MG_TCP_SYN | MG_TCP_ACK,
				    .wnd = 1000 });
	assert_int_equal(sb_tx(&a.b)->wnd, SB_RING);
	i = &sb_cmd(&a.b, MG_CMD_INSTALL)->install;
	assert_int_equal(i->flags & (MG_FLOW_TS | MG_FLOW_SACK | MG_FLOW_WS), 0);
	assert_int_equal(i->mss, SB_MSS_DEFAULT);
	assert_int_equal(i->rcv_wscale, 0);
	sb_free(&a.b);
}

static void test_synsent_retransmits_three_minutes(void **state)
{
	struct active a;
	uint32_t nr = 0;
	uint64_t start_ns;

	(void)state;
	begin(&a);
	start_ns = a.b.now_ns;
	while (sb_conn(&a.b)->flow != MG_CONN_FLOW_GONE) {
		sb_wait(&a.b, 100 * MG_NS_PER_MS);
		if (sb_tx(&a.b) != NULL)
			nr++;
		assert_true(a.b.now_ns < start_ns + 200 * MG_NS_PER_S);
	}
	assert_int_equal(nr, 6);
	assert_true(a.b.now_ns >= start_ns + 180 * MG_NS_PER_S); /* MUST-23 */
	assert_int_equal(a.b.s->stats.connects_timed_out, 1);
	expect_end(&a, ETIMEDOUT);
	sb_free(&a.b);
}

static void test_synsent_refused(void **state)
{
	struct active a;

	(void)state;
	begin(&a);
	answer(&a, (struct sb_seg){ .flags = MG_TCP_RST }); /* no ACK */
	answer(&a, (struct sb_seg){ .flags = MG_TCP_RST | MG_TCP_ACK, .ack = a.syn.seq }); /* old */
	answer(&a, (struct sb_seg){ .flags = MG_TCP_RST | MG_TCP_ACK,
				    .ack = a.syn.seq + 2 }); /* future */
	assert_int_equal(sb_conn(&a.b)->state, MG_TCP_SYN_SENT);
	sb_tx_none(&a.b);
	answer(&a, (struct sb_seg){ .flags = MG_TCP_RST | MG_TCP_ACK, .ack = a.syn.seq + 1 });
	expect_end(&a, ECONNREFUSED);
	sb_tx_none(&a.b);
	sb_free(&a.b);
}

static void test_synsent_bad_ack_is_reset(void **state)
{
	struct active a;

	(void)state;
	begin(&a);
	for (int i = 0; i < 4; i++) {
		const struct mg_seg *seg;
		uint32_t ack = a.syn.seq + (i & 1 ? 2 : 0);
		uint16_t flags = (uint16_t)(MG_TCP_ACK | (i & 2 ? MG_TCP_SYN : 0));

		answer(&a, (struct sb_seg){ .seq = SB_PISS, .ack = ack, .flags = flags });
		seg = sb_tx(&a.b);
		assert_int_equal(seg->flags, MG_TCP_RST);
		assert_int_equal(seg->seq, ack);
	}
	answer(&a, (struct sb_seg){ .seq = SB_PISS,
				    .ack = a.syn.seq + 1,
				    .flags = MG_TCP_ACK }); /* no SYN */
	answer(&a, (struct sb_seg){ .seq = SB_PISS, .flags = MG_TCP_FIN });
	sb_tx_none(&a.b);
	assert_int_equal(sb_conn(&a.b)->state, MG_TCP_SYN_SENT);
	sb_free(&a.b);
}

static void test_synsent_application_lets_go(void **state)
{
	struct active a;

	(void)state;
	begin(&a);
	sb_app_flags(&a.b, a.window, MG_SHM_AF_CLOSE);
	sb_doorbell(&a.b, a.window);
	assert_int_equal(a.b.s->conn_pool.nr_used, 0);
	sb_tx_none(&a.b);
	sb_free(&a.b);
	begin(&a);
	mg_ctl_init(a.b.msg, MG_CTL_TCP_ABORT, 1, 1);
	a.b.msg->conn[0] = (struct mg_ctl_conn_ref){ a.window, a.b.app->windows[a.window].gen + 2 };
	assert_int_equal(sb_ctl(&a.b, MG_CTL_TCP_ABORT, 1), -ENOTCONN); /* stale */
	a.b.msg->conn[0].gen -= 2;
	assert_int_equal(sb_ctl(&a.b, MG_CTL_TCP_ABORT, 1), 0);
	assert_int_equal(a.b.s->conn_pool.nr_used, 0);
	sb_free(&a.b);
}

/* ---- simultaneous open (RFC 9293 3.5, figure 8) ---- */

static void cross_syns(struct active *a)
{
	const struct mg_seg *seg;

	begin(a);
	answer(a, (struct sb_seg){ .seq = SB_PISS,
				   .flags = MG_TCP_SYN,
				   .wnd = 5000,
				   .mss = 1460,
				   .ws = 3,
				   .opts = SYN_OPTS,
				   .tsval = 700 });
	seg = sb_tx(&a->b);
	assert_int_equal(seg->flags, MG_TCP_SYN | MG_TCP_ACK);
	assert_int_equal(seg->seq, a->syn.seq);
	assert_int_equal(seg->ack, SB_PISS + 1);
	assert_int_equal(sb_conn(&a->b)->state, MG_TCP_SYN_RECEIVED);
}

static void test_simultaneous_open_by_ack(void **state)
{
	struct active a;

	(void)state;
	cross_syns(&a);
	answer(&a, (struct sb_seg){ .seq = SB_PISS + 1,
				    .ack = a.syn.seq + 1,
				    .flags = MG_TCP_ACK,
				    .wnd = 100,
				    .opts = MG_SEG_OPT_TS,
				    .tsval = 701,
				    .len = 7 });
	assert_int_equal(sb_conn(&a.b)->state, MG_TCP_ESTABLISHED);
	assert_int_equal(sb_cmd(&a.b, MG_CMD_INSTALL)->install.snd_wnd, 100 << 3);
	assert_non_null(sb_cmd(&a.b, MG_CMD_REINJECT));
	sb_free(&a.b);
}

static void test_simultaneous_open_by_synack(void **state)
{
	struct active a;

	(void)state;
	cross_syns(&a);
	answer(&a, (struct sb_seg){ .seq = SB_PISS,
				    .ack = a.syn.seq + 1,
				    .flags = MG_TCP_SYN | MG_TCP_ACK,
				    .wnd = 5000,
				    .opts = SYN_OPTS,
				    .mss = 1460,
				    .ws = 3,
				    .tsval = 701 });
	assert_int_equal(sb_conn(&a.b)->state, MG_TCP_ESTABLISHED);
	assert_int_equal(sb_cmd(&a.b, MG_CMD_INSTALL)->install.snd_wnd, 5000);
	sb_free(&a.b);
}

static void test_simultaneous_open_refused(void **state)
{
	struct active a;

	(void)state;
	cross_syns(&a);
	answer(&a, (struct sb_seg){ .seq = SB_PISS + 2, .flags = MG_TCP_RST });
	assert_int_equal(sb_tx(&a.b)->flags, MG_TCP_ACK); /* RFC 5961: challenge */
	answer(&a, (struct sb_seg){ .seq = SB_PISS + 1, .flags = MG_TCP_RST });
	expect_end(&a, ECONNREFUSED); /* MUST-11 */
	sb_free(&a.b);
}

static void test_simultaneous_open_retransmits_synack(void **state)
{
	struct active a;

	(void)state;
	cross_syns(&a);
	sb_wait(&a.b, 1100 * MG_NS_PER_MS);
	assert_int_equal(sb_tx(&a.b)->flags, MG_TCP_SYN | MG_TCP_ACK);
	sb_app_flags(&a.b, a.window, MG_SHM_AF_ABORT);
	sb_doorbell(&a.b, a.window);
	assert_true((sb_tx(&a.b)->flags & MG_TCP_RST) != 0);
	assert_int_equal(a.b.s->conn_pool.nr_used, 0);
	sb_free(&a.b);
}

/* ---- where to, from where ---- */

static int connect_to(struct sb *b, uint32_t raddr, uint16_t rport, uint32_t laddr, uint16_t lport)
{
	mg_ctl_init(b->msg, MG_CTL_TCP_CONNECT, 1, 1);
	b->msg->connect[0].tuple = (struct mg_tuple){ .laddr = mg_addr_v4(laddr),
						      .raddr = mg_addr_v4(raddr),
						      .lport = lport,
						      .rport = rport };
	return sb_ctl(b, MG_CTL_TCP_CONNECT, 1);
}

static void test_connect_checks(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	assert_int_equal(connect_to(&b, 0x0a4d0002, 0, 0, 0), -EINVAL);
	assert_int_equal(connect_to(&b, 0, 80, 0, 0), -ENETUNREACH);
	assert_int_equal(connect_to(&b, 0xe0000001, 80, 0, 0), -ENETUNREACH);
	assert_int_equal(connect_to(&b, 0x0a4d00ff, 80, 0, 0), -EACCES);
	assert_int_equal(connect_to(&b, 0xffffffff, 80, 0, 0), -EACCES);
	assert_int_equal(connect_to(&b, 0x0a4d0001, 80, 0, 0),
			 -ENETUNREACH); /* ourselves: not yet */
	assert_int_equal(connect_to(&b, 0x0a4d0002, 80, 0x01020304, 0), -EADDRNOTAVAIL);
	sb_tx_none(&b);
	assert_int_equal(connect_to(&b, 0x0a4d0002, 80, 0x0a4d0001, 5555), 0);
	assert_int_equal(connect_to(&b, 0x0a4d0002, 80, 0x0a4d0001, 5555), -EADDRNOTAVAIL);
	assert_int_equal(connect_to(&b, 0x0a4d0002, 81, 0x0a4d0001, 5555), 0);
	sb_free(&b);
}

static void test_ports_are_unique_and_spread(void **state)
{
	struct sb b;
	uint16_t ports[30];

	(void)state;
	sb_conf(&b);
	b.conf.ephemeral_first = 40000;
	b.conf.ephemeral_last = 40030;
	sb_start(&b, true);
	mg_ctl_init(b.msg, MG_CTL_TCP_LISTEN, 1, 1);
	b.msg->listen[0] = (struct mg_ctl_listen){ .addr = mg_addr_v4(0),
						   .port = 40007,
						   .backlog = 1 };
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_LISTEN, 1), 0);
	for (int i = 0; i < 30; i++) {
		assert_int_equal(connect_to(&b, 0x0a4d0002, 80, 0, 0), 0);
		ports[i] = b.msg->connect[0].tuple.lport;
		assert_true(ports[i] >= 40000 && ports[i] <= 40030 && ports[i] != 40007);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(ports[i], ports[j]);
	}
	assert_int_equal(connect_to(&b, 0x0a4d0002, 80, 0, 0), -EADDRNOTAVAIL);
	assert_int_equal(connect_to(&b, 0x0a4d0002, 81, 0, 0), 0); /* another tuple */
	sb_free(&b);
}

/* MUST-48, MUST-49: from the first segment on. */
static void test_ttl_and_tos_of_the_syn(void **state)
{
	struct sb b;
	const struct mg_seg *syn;

	(void)state;
	sb_new(&b);
	mg_ctl_init(b.msg, MG_CTL_TCP_CONNECT, 1, 1);
	b.msg->connect[0] = (struct mg_ctl_connect){
		.tuple = { .raddr = SB_PEER, .rport = SB_PPORT, .laddr = mg_addr_v4(0) },
		.ttl = 9,
		.tos = 0xb8,
	};
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_CONNECT, 1), 0);
	syn = sb_tx(&b);
	assert_int_equal(syn->ttl, 9);
	assert_int_equal(syn->dscp, 0xb8 >> 2);
	assert_int_equal(syn->ecn, 0);
	sb_free(&b);
}

/* Who asks for nothing gets what is configured, in the data segments, too. */
static void test_configured_ttl_and_tos(void **state)
{
	struct sb b;
	struct mg_seg syn;
	const struct sb_cmd *install;
	uint32_t window;

	(void)state;
	sb_conf(&b);
	b.conf.ttl = 33;
	b.conf.dscp = 10;
	sb_start(&b, true);
	assert_int_equal(sb_connect(&b, &window), 0);
	syn = *sb_tx(&b);
	assert_int_equal(syn.ttl, 33);
	assert_int_equal(syn.dscp, 10);
	sb_rx(&b, &(struct sb_seg){ .seq = 1,
				    .ack = syn.seq + 1,
				    .flags = MG_TCP_SYN | MG_TCP_ACK,
				    .wnd = 1000,
				    .sport = SB_PPORT,
				    .dport = syn.tuple.lport });
	install = sb_cmd(&b, MG_CMD_INSTALL);
	assert_non_null(install);
	assert_int_equal(install->install.ttl, 33);
	assert_int_equal(install->install.tos, 10 << 2);
	sb_free(&b);
}

/* MUST-41, MUST-42: a listener beside a connection of the same port, and both get what is theirs. */
static void test_listen_on_the_port_of_a_connection(void **state)
{
	struct sb b;
	struct mg_seg syn;

	(void)state;
	sb_new(&b);
	mg_ctl_init(b.msg, MG_CTL_TCP_CONNECT, 1, 1);
	b.msg->connect[0] = (struct mg_ctl_connect){
		.tuple = { .raddr = SB_PEER, .rport = 99, .laddr = mg_addr_v4(0), .lport = SB_PORT },
	};
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_CONNECT, 1), 0);
	syn = *sb_tx(&b);
	assert_int_equal(syn.tuple.lport, SB_PORT);
	sb_listen(&b, 8);
	(void)sb_syn_received(&b); /* for the listener */
	assert_int_equal(sb_conn(&b)->state, MG_TCP_SYN_SENT);
	sb_rx(&b, &(struct sb_seg){ .seq = 1,
				    .ack = syn.seq + 1,
				    .flags = MG_TCP_SYN | MG_TCP_ACK,
				    .wnd = 1000,
				    .sport = 99 });
	assert_int_equal(sb_conn(&b)->state, MG_TCP_ESTABLISHED);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ttl_and_tos_of_the_syn),
		cmocka_unit_test(test_configured_ttl_and_tos),
		cmocka_unit_test(test_listen_on_the_port_of_a_connection),
		cmocka_unit_test(test_connect_sends_syn),
		cmocka_unit_test(test_connect_with_ttl_and_tos),
		cmocka_unit_test(test_synsent_synack_establishes),
		cmocka_unit_test(test_synsent_peer_without_options),
		cmocka_unit_test(test_synsent_retransmits_three_minutes),
		cmocka_unit_test(test_synsent_refused),
		cmocka_unit_test(test_synsent_bad_ack_is_reset),
		cmocka_unit_test(test_synsent_application_lets_go),
		cmocka_unit_test(test_simultaneous_open_by_ack),
		cmocka_unit_test(test_simultaneous_open_by_synack),
		cmocka_unit_test(test_simultaneous_open_refused),
		cmocka_unit_test(test_simultaneous_open_retransmits_synack),
		cmocka_unit_test(test_connect_checks),
		cmocka_unit_test(test_ports_are_unique_and_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
