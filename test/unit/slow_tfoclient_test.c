/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_tfoclient_test.c - TCP Fast Open, the client (RFC 7413): what SYNs carry, what their answers teach.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/lib/slow_builder.h"

#define TFO MG_SEG_OPT_TFO
#define COOKIE ((const uint8_t *)"cookie12")
#define OLD_MSS 1000

struct client {
	struct sb b;
	uint32_t window;
	uint16_t lport;
	uint32_t iss;
};

static void begin(struct client *k, uint32_t bits)
{
	sb_conf(&k->b);
	k->b.conf.fastopen = bits;
	sb_start(&k->b, true);
}

static struct mg_shm_window *window(struct client *k)
{
	return &k->b.app->windows[k->window];
}

static struct mg_conn *conn(struct client *k)
{
	return mg_conn_by_window(k->b.s, &k->b.s->apps[0], k->window, window(k)->gen);
}

static void open_with(struct client *k, uint32_t flags)
{
	struct mg_ctl_msg *msg = k->b.msg;

	mg_ctl_init(msg, MG_CTL_TCP_CONNECT, 1, 1);
	msg->connect[0] = (struct mg_ctl_connect){
		.tuple = { .raddr = SB_PEER, .rport = SB_PPORT, .laddr = mg_addr_v4(0) },
		.flags = flags,
		.cookie = 88,
	};
	assert_int_equal(sb_ctl(&k->b, MG_CTL_TCP_CONNECT, 1), 0);
	k->window = msg->connect[0].window;
}

static const struct mg_seg *syn(struct client *k)
{
	const struct mg_seg *seg = sb_tx(&k->b);

	assert_non_null(seg);
	assert_int_equal(seg->flags & (MG_TCP_SYN | MG_TCP_ACK), MG_TCP_SYN);
	k->lport = seg->tuple.lport;
	k->iss = seg->seq;
	return seg;
}

/* The SYN-ACK, for so many bytes of the SYN; with a cookie or without. */
static void synack(struct client *k, uint32_t acked, const uint8_t *cookie)
{
	sb_rx(&k->b, &(struct sb_seg){ .sport = SB_PPORT,
				       .dport = k->lport,
				       .seq = SB_PISS,
				       .ack = k->iss + 1 + acked,
				       .flags = MG_TCP_SYN | MG_TCP_ACK,
				       .wnd = 60000,
				       .mss = OLD_MSS,
				       .opts = MG_SEG_OPT_MSS | (cookie != NULL ? TFO : 0),
				       .tfo = cookie,
				       .tfo_len = cookie != NULL ? 8 : 0 });
}

/* The application writes n bytes of 'a', 'b', ... and rings. */
static void write_bytes(struct client *k, uint32_t n)
{
	struct mg_conn *c = conn(k);
	uint8_t *ring = k->b.app->base + k->b.app->payload_off + c->ring[MG_RING_TX].off;

	for (uint32_t i = 0; i < n; i++)
		ring[i] = (uint8_t)('a' + i % 26);
	atomic_store(&window(k)->tx_head, n);
	sb_app_flags(&k->b, k->window, MG_SHM_AF_SYN);
	sb_doorbell(&k->b, k->window);
}

/* A first connection, which brings the cookie. */
static void learn(struct client *k)
{
	const struct mg_seg *seg;

	open_with(k, MG_CTL_CONNECT_FASTOPEN);
	assert_int_equal(atomic_load(&window(k)->state), MG_SHM_ST_CONNECTING);
	seg = syn(k);
	assert_true(seg->opts & TFO);
	assert_int_equal(seg->tfo_len, 0);
	assert_int_equal(seg->payload_len, 0);
	synack(k, 0, COOKIE);
	sb_clear(&k->b);
}

/* A second one, up to the SYN with data. */
static const struct mg_seg *early(struct client *k, uint32_t n)
{
	learn(k);
	open_with(k, MG_CTL_CONNECT_FASTOPEN);
	assert_int_equal(atomic_load(&window(k)->state), MG_SHM_ST_WAITING);
	sb_tx_none(&k->b);
	write_bytes(k, n);
	assert_int_equal(atomic_load(&window(k)->state), MG_SHM_ST_CONNECTING);
	return syn(k);
}

static void test_off(void **state)
{
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_SERVER);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN);
	assert_false(syn(&k)->opts & TFO);
	sb_free(&k.b);
	begin(&k, MG_FASTOPEN_CLIENT);
	open_with(&k, 0);
	assert_false(syn(&k)->opts & TFO);
	sb_free(&k.b);
}

static void test_data_goes_with_the_syn(void **state)
{
	const struct sb_cmd *cmd;
	const struct mg_seg *seg;
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	seg = early(&k, 300);
	assert_true(seg->opts & TFO);
	assert_int_equal(seg->tfo_len, 8);
	assert_memory_equal(seg->tfo, COOKIE, 8);
	assert_int_equal(seg->payload_len, 300);
	assert_int_equal(seg->payload.data[0], 'a');
	assert_int_equal(seg->payload.data[299], 'a' + 299 % 26);
	synack(&k, 300, NULL);
	seg = sb_tx(&k.b);
	assert_non_null(seg);
	assert_int_equal(seg->flags, MG_TCP_ACK);
	assert_int_equal(seg->seq, k.iss + 301);
	k.b.next_cmd = 0;
	cmd = sb_cmd(&k.b, MG_CMD_INSTALL);
	assert_non_null(cmd);
	assert_int_equal(cmd->install.snd_una, k.iss + 301);
	assert_int_equal(cmd->install.snd_nxt, k.iss + 301);
	assert_int_equal(cmd->install.snd_wl2, k.iss + 301);
	assert_int_equal(cmd->install.iss, k.iss);
	assert_int_equal(k.b.s->stats.fastopen_active, 1);
	assert_int_equal(conn(&k)->state, MG_TCP_ESTABLISHED);
	sb_free(&k.b);
}

static void test_what_is_not_acknowledged_is_the_workers(void **state)
{
	const struct sb_cmd *cmd;
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	(void)early(&k, 300);
	synack(&k, 0, NULL);
	assert_int_equal(sb_tx(&k.b)->seq, k.iss + 1);
	k.b.next_cmd = 0;
	cmd = sb_cmd(&k.b, MG_CMD_INSTALL);
	assert_int_equal(cmd->install.snd_una, k.iss + 1);
	assert_int_equal(k.b.s->stats.fastopen_active_fail, 1);
	sb_free(&k.b);
	begin(&k, MG_FASTOPEN_CLIENT);
	(void)early(&k, 300);
	synack(&k, 100, NULL); /* a part of it */
	assert_int_equal(sb_tx(&k.b)->seq, k.iss + 101);
	k.b.next_cmd = 0;
	assert_int_equal(sb_cmd(&k.b, MG_CMD_INSTALL)->install.snd_una, k.iss + 101);
	sb_free(&k.b);
}

static void test_ack_of_more_than_was_sent(void **state)
{
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	(void)early(&k, 300);
	synack(&k, 301, NULL);
	assert_int_equal(sb_tx(&k.b)->flags, MG_TCP_RST);
	assert_int_equal(conn(&k)->state, MG_TCP_SYN_SENT);
	synack(&k, UINT32_MAX, NULL);
	assert_int_equal(sb_tx(&k.b)->flags, MG_TCP_RST);
	sb_free(&k.b);
}

/* No more than the server's MSS less all options, though there is more. */
static void test_data_is_cut_to_the_servers_mss(void **state)
{
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	assert_int_equal(early(&k, 3000)->payload_len, OLD_MSS - 40);
	sb_free(&k.b);
}

/* A position that cannot be is not believed. */
static void test_impossible_position(void **state)
{
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	learn(&k);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN);
	atomic_store(&window(&k)->tx_head, UINT64_MAX - 5);
	sb_app_flags(&k.b, k.window, MG_SHM_AF_SYN);
	sb_doorbell(&k.b, k.window);
	assert_int_equal(syn(&k)->payload_len, 0);
	sb_free(&k.b);
}

static void test_syn_again_is_bare(void **state)
{
	const struct mg_seg *seg;
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	(void)early(&k, 300);
	sb_wait(&k.b, 1100 * MG_NS_PER_MS);
	seg = syn(&k);
	assert_false(seg->opts & TFO);
	assert_int_equal(seg->payload_len, 0);
	synack(&k, 300, NULL); /* the first one had come through */
	assert_int_equal(sb_tx(&k.b)->seq, k.iss + 301);
	assert_int_equal(conn(&k)->state, MG_TCP_ESTABLISHED);
	sb_free(&k.b);
}

/* Lets a handshake succeed only by its second SYN. */
static void lose_one(struct client *k)
{
	open_with(k, MG_CTL_CONNECT_FASTOPEN);
	write_bytes(k, 10);
	assert_true(syn(k)->opts & TFO);
	sb_wait(&k->b, 1100 * MG_NS_PER_MS);
	assert_false(syn(k)->opts & TFO);
	synack(k, 0, NULL);
	sb_clear(&k->b);
}

static void test_black_hole(void **state)
{
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	learn(&k);
	lose_one(&k);
	lose_one(&k);
	assert_int_equal(k.b.s->stats.fastopen_blackhole, 1);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN); /* at once, and without */
	assert_int_equal(atomic_load(&window(&k)->state), MG_SHM_ST_CONNECTING);
	assert_false(syn(&k)->opts & TFO);
	synack(&k, 0, NULL);
	sb_clear(&k.b);
	sb_wait(&k.b, 241 * MG_NS_PER_S); /* a minute, doubled twice */
	sb_clear(&k.b);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN);
	assert_int_equal(atomic_load(&window(&k)->state), MG_SHM_ST_WAITING);
	write_bytes(&k, 10);
	assert_true(syn(&k)->opts & TFO);
	synack(&k, 10, NULL);
	sb_clear(&k.b);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN); /* forgiven */
	assert_int_equal(atomic_load(&window(&k)->state), MG_SHM_ST_WAITING);
	sb_free(&k.b);
}

static void test_new_cookie_takes_the_place(void **state)
{
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	(void)early(&k, 10);
	synack(&k, 0, (const uint8_t *)"newer678");
	sb_clear(&k.b);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN);
	write_bytes(&k, 10);
	assert_memory_equal(syn(&k)->tfo, "newer678", 8);
	sb_free(&k.b);
}

static void test_without_cookies(void **state)
{
	const struct mg_seg *seg;
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT | MG_FASTOPEN_CLIENT_NO_COOKIE);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN);
	write_bytes(&k, 3000);
	seg = syn(&k);
	assert_false(seg->opts & TFO);
	assert_int_equal(seg->payload_len,
			 SB_MSS_DEFAULT - 40); /* nothing is known of the server */
	sb_free(&k.b);
	begin(&k, MG_FASTOPEN_CLIENT);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN | MG_CTL_CONNECT_TFO_NO_COOKIE);
	write_bytes(&k, 20);
	assert_int_equal(syn(&k)->payload_len, 20);
	sb_free(&k.b);
}

/* A SYN with data is too long to wait for the neighbour's address: it leaves without, and the cookie comes along. */
static void test_unknown_neighbour(void **state)
{
	struct client k;

	(void)state;
	sb_conf(&k.b);
	k.b.conf.fastopen = MG_FASTOPEN_CLIENT;
	sb_start(&k.b, false);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN | MG_CTL_CONNECT_TFO_NO_COOKIE);
	write_bytes(&k, 1000);
	assert_int_equal(conn(&k)->syn_sent, 0);
	assert_int_equal(k.b.s->stats.drop_too_long, 0);
	sb_free(&k.b);
}

static void test_waiting_ends(void **state)
{
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	learn(&k);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN);
	sb_app_flags(&k.b, k.window, MG_SHM_AF_CLOSE);
	sb_doorbell(&k.b, k.window);
	sb_tx_none(&k.b);
	assert_int_equal(atomic_load(&window(&k)->state), MG_SHM_ST_FREE);
	open_with(&k, MG_CTL_CONNECT_FASTOPEN); /* for the application's death */
	sb_wait(&k.b, 300 * MG_NS_PER_S);
	sb_tx_none(&k.b);
	sb_free(&k.b);
}

static void test_refused(void **state)
{
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	(void)early(&k, 10);
	sb_rx(&k.b, &(struct sb_seg){ .sport = SB_PPORT,
				      .dport = k.lport,
				      .ack = k.iss + 11,
				      .flags = MG_TCP_RST | MG_TCP_ACK });
	assert_int_equal(atomic_load(&window(&k)->state), MG_SHM_ST_CLOSED);
	assert_int_equal(atomic_load(&window(&k)->error), ECONNREFUSED);
	sb_free(&k.b);
}

static void test_simultaneous_open(void **state)
{
	const struct mg_seg *seg;
	struct client k;

	(void)state;
	begin(&k, MG_FASTOPEN_CLIENT);
	(void)early(&k, 10);
	sb_rx(&k.b, &(struct sb_seg){ .sport = SB_PPORT,
				      .dport = k.lport,
				      .seq = SB_PISS,
				      .flags = MG_TCP_SYN,
				      .wnd = 60000 });
	seg = sb_tx(&k.b);
	assert_int_equal(seg->flags, MG_TCP_SYN | MG_TCP_ACK);
	sb_rx(&k.b, &(struct sb_seg){ .sport = SB_PPORT,
				      .dport = k.lport,
				      .seq = SB_PISS + 1,
				      .ack = k.iss + 11,
				      .flags = MG_TCP_ACK,
				      .wnd = 60000 });
	assert_int_equal(conn(&k)->state, MG_TCP_ESTABLISHED);
	assert_int_equal(conn(&k)->syn_acked, 10);
	sb_free(&k.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_data_goes_with_the_syn),
		cmocka_unit_test(test_what_is_not_acknowledged_is_the_workers),
		cmocka_unit_test(test_ack_of_more_than_was_sent),
		cmocka_unit_test(test_data_is_cut_to_the_servers_mss),
		cmocka_unit_test(test_impossible_position),
		cmocka_unit_test(test_syn_again_is_bare),
		cmocka_unit_test(test_black_hole),
		cmocka_unit_test(test_new_cookie_takes_the_place),
		cmocka_unit_test(test_without_cookies),
		cmocka_unit_test(test_unknown_neighbour),
		cmocka_unit_test(test_waiting_ends),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_simultaneous_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
