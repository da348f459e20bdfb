/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_local_test.c - connections whose both ends are here, and what a wire may not claim to be.
 *
 * The port of local connections is played by handing each packet that leaves by it back in, as the workers do.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/slow_builder.h"

static struct mg_addr addr(const char *text)
{
	struct mg_addr a;

	assert_int_equal(mg_addr_parse(text, &a), 0);
	return a;
}

static uint16_t start(struct sb *b, bool loopback)
{
	const struct mg_slow_port port = { .mtu = 9216, .is_local = true };
	uint16_t number;

	sb_conf_family(b, false);
	b->conf.loopback = loopback;
	sb_start(b, true);
	assert_int_equal(mg_slow_add_port(b->s, &port, &number), 0);
	return number;
}

static void listen_on(struct sb *b, const struct mg_addr *a, int status)
{
	mg_ctl_init(b->msg, MG_CTL_TCP_LISTEN, 1, 1);
	b->msg->listen[0] = (struct mg_ctl_listen){ .addr = *a, .port = SB_PORT, .backlog = 8 };
	assert_int_equal(sb_ctl(b, MG_CTL_TCP_LISTEN, 1), status);
	b->listener = b->msg->listen[0].listener;
}

static int connect_to(struct sb *b, const struct mg_addr *a, uint16_t port)
{
	mg_ctl_init(b->msg, MG_CTL_TCP_CONNECT, 1, 1);
	b->msg->connect[0] = (struct mg_ctl_connect){ .tuple = { .raddr = *a, .rport = port },
						      .cookie = 88 };
	b->msg->connect[0].tuple.laddr = mg_addr_is_v4(a) ? mg_addr_v4(0)
							  : (struct mg_addr){ { 0 } };
	return sb_ctl(b, MG_CTL_TCP_CONNECT, 1);
}

/* Whatever leaves by the local port comes in there. Returns how many packets there were. */
static uint32_t reflect(struct sb *b, uint16_t local)
{
	const struct sb_cmd *c;
	uint32_t n = 0;

	while ((c = sb_cmd(b, MG_CMD_TX_PACKET)) != NULL) {
		_Alignas(8) uint8_t buf[sizeof(c->bytes)];
		struct mg_msg_packet *pkt = (struct mg_msg_packet *)(void *)buf;

		assert_int_equal(c->msg.port, local);
		memcpy(buf, c->bytes, sizeof(buf));
		pkt->msg.type = MG_EV_PACKET;
		pkt->flags = MG_PKT_CSUM_OK;
		pkt->reason = MG_PKT_NO_FLOW;
		mg_slow_event(b->s, 0, &pkt->msg, b->now_ns);
		mg_slow_flush(b->s, b->now_ns);
		mg_slow_check(b->s);
		n++;
	}
	return n;
}

static void both_ends_meet(const char *text)
{
	struct mg_addr a = addr(text);
	uint32_t established = 0;
	uint16_t local;
	struct sb b;

	local = start(&b, true);
	listen_on(&b, &a, 0);
	sb_accept(&b, 1);
	assert_int_equal(connect_to(&b, &a, SB_PORT), 0);
	assert_int_equal(reflect(&b, local), 3); /* SYN, SYN-ACK, ACK */
	assert_int_equal(b.s->conn_pool.nr_used, 2);
	for (uint32_t i = 0; i < b.s->conn_pool.nr_touched; i++) {
		const struct mg_conn *c = &b.s->conns[i];

		if (!mg_pool_is_live(&b.s->conn_pool, i))
			continue;
		established += c->state == MG_TCP_ESTABLISHED;
		assert_true(mg_addr_eq(&c->node.tuple.laddr, &a));
		assert_true(mg_addr_eq(&c->node.tuple.raddr, &a));
	}
	assert_int_equal(established, 2);
	assert_int_equal(b.s->stats.drop_martian, 0);
	sb_clear(&b);
	sb_free(&b);
}

static void test_own_addresses_and_loopback(void **state)
{
	(void)state;
	both_ends_meet("10.77.0.1");
	both_ends_meet("fd77::1");
	both_ends_meet("127.0.0.1");
	both_ends_meet("127.9.8.7");
	both_ends_meet("::1");
}

static void test_refused_locally(void **state)
{
	static const char *const to[] = { "10.77.0.1", "fd77::1", "127.0.0.1", "::1" };

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(to); i++) {
		struct mg_addr a = addr(to[i]);
		struct mg_shm_event ev;
		struct sb b;
		uint16_t local = start(&b, true);

		assert_int_equal(connect_to(&b, &a, SB_PORT), 0);
		assert_int_equal(reflect(&b, local), 2); /* SYN, RST */
		assert_true(sb_event(&b, &ev));
		assert_int_equal(b.app->windows[ev.index].error, ECONNREFUSED);
		sb_clear(&b);
		sb_free(&b);
	}
}

/* Without tcp.loopback 127/8 and ::1 are nobody's. */
static void test_loopback_is_not_ours_by_default(void **state)
{
	static const char *const to[] = { "127.0.0.1", "::1" };

	(void)state;
	for (size_t i = 0; i < MG_ARRAY_SIZE(to); i++) {
		struct mg_addr a = addr(to[i]);
		struct sb b;

		(void)start(&b, false);
		listen_on(&b, &a, -EADDRNOTAVAIL);
		assert_int_equal(connect_to(&b, &a, SB_PORT), -ENETUNREACH);
		sb_tx_none(&b);
		sb_free(&b);
	}
}

/* A wire has neither our addresses as a source nor loopback at either end. */
static void test_martians_from_the_wire(void **state)
{
	static const struct {
		const char *src, *dst;
		bool is_source;
	} martians[] = {
		{ "10.77.0.1", "10.77.0.1", true }, { "127.0.0.1", "10.77.0.1", true },
		{ "127.0.0.1", "127.0.0.1", true }, { "10.77.0.2", "127.0.0.1", false },
		{ "fd77::1", "fd77::1", true },     { "::1", "fd77::1", true },
		{ "fd77::2", "::1", false },
	};

	(void)state;
	for (int loopback = 0; loopback < 2; loopback++) {
		uint64_t sources = 0, others = 0;
		struct sb b;

		(void)start(&b, loopback != 0);
		sb_listen(&b, 8);
		for (size_t i = 0; i < MG_ARRAY_SIZE(martians); i++) {
			bool v6 = strchr(martians[i].src, ':') != NULL;

			if (v6)
				continue; /* the listener is IPv4's; below */
			sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS,
						    .flags = MG_TCP_SYN,
						    .wnd = 1000,
						    .src = addr(martians[i].src),
						    .dst = addr(martians[i].dst) });
			sources += martians[i].is_source;
			others += !martians[i].is_source;
		}
		for (size_t i = 0; i < MG_ARRAY_SIZE(martians); i++) {
			if (strchr(martians[i].src, ':') == NULL)
				continue;
			sb_rx(&b, &(struct sb_seg){ .seq = SB_PISS,
						    .ack = 7,
						    .flags = MG_TCP_ACK,
						    .src = addr(martians[i].src),
						    .dst = addr(martians[i].dst) });
			sources += martians[i].is_source;
			others += !martians[i].is_source;
		}
		assert_int_equal(b.s->stats.drop_martian, sources);
		assert_int_equal(b.s->stats.drop_not_ours, others);
		assert_int_equal(b.s->embryo_pool.nr_used, 0);
		sb_tx_none(&b); /* not even a reset */
		sb_free(&b);
	}
}

/* The reset that would end a local connection, from the wire. */
static void test_martian_harms_no_local_connection(void **state)
{
	struct mg_addr a = addr("10.77.0.1");
	const struct mg_conn *c;
	uint16_t local;
	uint32_t at = 0;
	struct sb b;

	(void)state;
	local = start(&b, false);
	listen_on(&b, &a, 0);
	assert_int_equal(connect_to(&b, &a, SB_PORT), 0);
	assert_int_equal(reflect(&b, local), 3);
	while (at < b.s->conn_pool.nr_touched && b.s->conns[at].node.tuple.lport != SB_PORT)
		at++;
	assert_true(at < b.s->conn_pool.nr_touched);
	c = &b.s->conns[at];
	sb_clear(&b);
	sb_rx(&b, &(struct sb_seg){ .seq = c->hs.irs + 1,
				    .flags = MG_TCP_RST,
				    .sport = c->node.tuple.rport,
				    .src = a,
				    .dst = a });
	assert_int_equal(b.s->stats.drop_martian, 1);
	assert_int_equal(b.s->conn_pool.nr_used, 2);
	assert_int_equal(c->state, MG_TCP_ESTABLISHED);
	assert_int_equal(b.nr_cmds, 0);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_addresses_and_loopback),
		cmocka_unit_test(test_refused_locally),
		cmocka_unit_test(test_loopback_is_not_ours_by_default),
		cmocka_unit_test(test_martians_from_the_wire),
		cmocka_unit_test(test_martian_harms_no_local_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
