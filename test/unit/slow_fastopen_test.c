/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_fastopen_test.c - TCP Fast Open, the server (RFC 7413): cookies, connections before their handshake's end.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/shm/window.h"
#include "test/lib/slow_builder.h"

#define OPTS (MG_SEG_OPT_MSS | MG_SEG_OPT_WS | MG_SEG_OPT_SACK_PERM | MG_SEG_OPT_TS)
#define DATA ((const uint8_t *)"request")
#define LEN 7u

static uint16_t next_port;

static void begin(struct sb *b, uint32_t bits)
{
	sb_conf(b);
	b->conf.fastopen = bits;
	b->conf.fastopen_queue_max = 16;
	b->conf.fastopen_key_life_s = 86400;
	sb_start(b, true);
	next_port = SB_PPORT;
}

/* Makes the test's listener one with TCP_FASTOPEN. */
static void set_queue(struct sb *b, uint32_t option, int64_t value, int status)
{
	b->msg->opt[0] = (struct mg_ctl_opt){ .window = b->listener,
					      .option = option,
					      .value = value };
	assert_int_equal(sb_ctl(b, MG_CTL_TCP_SET_OPTION, 1), status);
}

static void listen_tfo(struct sb *b, uint32_t queue)
{
	sb_listen(b, 8);
	sb_accept(b, 8);
	set_queue(b, MG_CTL_OPT_LISTEN_FASTOPEN, queue, 0);
}

/* A SYN with a cookie (len 0: asks) and data, from a port of its own. */
static const struct mg_seg *syn(struct sb *b, const struct mg_tfo_cookie *cookie, uint32_t len)
{
	sb_rx(b, &(struct sb_seg){ .sport = next_port++,
				   .seq = SB_PISS,
				   .flags = MG_TCP_SYN,
				   .wnd = 64240,
				   .mss = 1400,
				   .ws = 7,
				   .tsval = 5000,
				   .opts = OPTS | MG_SEG_OPT_TFO,
				   .tfo = cookie->b,
				   .tfo_len = cookie->len,
				   .len = len,
				   .payload = DATA });
	return sb_tx(b);
}

static void take_cookie(const struct mg_seg *seg, struct mg_tfo_cookie *ret)
{
	assert_non_null(seg);
	assert_int_equal(seg->flags, MG_TCP_SYN | MG_TCP_ACK);
	assert_true(seg->opts & MG_SEG_OPT_TFO);
	assert_int_equal(seg->tfo_len, MG_TFO_COOKIE_OURS);
	memcpy(ret->b, seg->tfo, seg->tfo_len);
	ret->len = seg->tfo_len;
}

/* Asks for a cookie, and ends that handshake by a reset. */
static void ask(struct sb *b, struct mg_tfo_cookie *ret)
{
	struct mg_tfo_cookie none = { .len = 0 };

	take_cookie(syn(b, &none, 0), ret);
	assert_int_equal(b->s->embryo_pool.nr_used, 1);
	sb_rx(b, &(struct sb_seg){ .sport = (uint16_t)(next_port - 1),
				   .seq = SB_PISS + 1,
				   .flags = MG_TCP_RST,
				   .opts = 0 });
	assert_int_equal(b->s->embryo_pool.nr_used, 0);
	sb_clear(b);
}

/* Up to SYN-RECEIVED with a flow, and taken by the application. */
static struct mg_conn *early(struct sb *b)
{
	struct mg_tfo_cookie cookie;
	struct mg_shm_event ev;

	listen_tfo(b, 4);
	ask(b, &cookie);
	assert_non_null(syn(b, &cookie, LEN));
	assert_true(sb_event(b, &ev));
	assert_int_equal(ev.kind, MG_SHM_EV_ACCEPTED);
	assert_true(mg_window_claim(&b->app->windows[ev.index]));
	sb_clear(b);
	return sb_conn(b);
}

static void test_cookie_is_granted(void **state)
{
	struct mg_tfo_cookie a, c;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	listen_tfo(&b, 4);
	ask(&b, &a);
	ask(&b, &c);
	assert_memory_equal(a.b, c.b, a.len);
	assert_int_equal(b.s->stats.fastopen_cookie_reqd, 2);
	sb_free(&b);
}

static void test_off_by_bit_and_by_listener(void **state)
{
	struct mg_tfo_cookie none = { .len = 0 };
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_CLIENT);
	listen_tfo(&b, 4);
	assert_false(syn(&b, &none, 0)->opts & MG_SEG_OPT_TFO);
	sb_free(&b);
	begin(&b, MG_FASTOPEN_SERVER);
	sb_listen(&b, 8);
	assert_false(syn(&b, &none, 0)->opts & MG_SEG_OPT_TFO);
	sb_free(&b);
	begin(&b, MG_FASTOPEN_SERVER | MG_FASTOPEN_SERVER_ALL);
	sb_listen(&b, 8);
	assert_true(syn(&b, &none, 0)->opts & MG_SEG_OPT_TFO);
	sb_free(&b);
}

static void test_data_is_delivered_before_the_handshake_ends(void **state)
{
	struct mg_tfo_cookie cookie;
	const struct sb_cmd *cmd;
	const struct mg_seg *seg;
	struct mg_shm_event ev;
	struct mg_conn *c;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	listen_tfo(&b, 4);
	ask(&b, &cookie);
	seg = syn(&b, &cookie, LEN);
	assert_non_null(seg);
	assert_int_equal(seg->ack, SB_PISS + 1 + LEN);
	assert_int_equal(seg->wnd, SB_RING - LEN);
	assert_false(seg->opts & MG_SEG_OPT_TFO);
	b.next_cmd = 0;
	cmd = sb_cmd(&b, MG_CMD_INSTALL);
	assert_non_null(cmd);
	assert_true(cmd->install.flags & MG_FLOW_SYN_RCVD);
	assert_int_equal(cmd->install.syn_bytes, LEN);
	assert_int_equal(cmd->install.msg.len, sizeof(cmd->install) + LEN);
	assert_memory_equal(cmd->bytes + sizeof(cmd->install), DATA, LEN);
	assert_int_equal(cmd->install.rcv_nxt, SB_PISS + 1 + LEN);
	assert_int_equal(cmd->install.rcv_adv, SB_PISS + 1 + SB_RING);
	assert_int_equal(cmd->install.snd_wnd, 64240); /* a SYN's is not scaled */
	assert_true(sb_event(&b, &ev));
	assert_int_equal(ev.kind, MG_SHM_EV_ACCEPTED);
	c = sb_conn(&b);
	assert_int_equal(c->state, MG_TCP_SYN_RECEIVED);
	assert_int_equal(b.s->embryo_pool.nr_used, 0);
	assert_int_equal(b.s->stats.fastopen_passive, 1);
	sb_ev(&b, MG_EV_SYN_ACKED, 0, 0);
	assert_int_equal(c->state, MG_TCP_ESTABLISHED);
	assert_int_equal(b.s->stats.established_passive, 1);
	sb_clear(&b);
	sb_wait(&b, 10 * MG_NS_PER_S);
	sb_tx_none(&b);
	sb_free(&b);
}

static void test_wrong_cookies(void **state)
{
	struct mg_tfo_cookie right, wrong = { .b = "12345678", .len = 8 }, fresh;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	listen_tfo(&b, 4);
	ask(&b, &right);
	for (uint8_t len = 4; len <= 16; len = (uint8_t)(len + 4)) {
		const struct mg_seg *seg;

		wrong.len = len;
		seg = syn(&b, &wrong, LEN);
		take_cookie(seg, &fresh);
		assert_int_equal(seg->ack, SB_PISS + 1);
		assert_memory_equal(fresh.b, right.b, right.len);
	}
	assert_int_equal(b.s->stats.fastopen_passive_fail, 4);
	assert_int_equal(b.s->embryo_pool.nr_used, 4);
	sb_no_cmd(&b, MG_CMD_INSTALL);
	sb_free(&b);
}

static void test_synack_is_repeated_then_given_up(void **state)
{
	struct mg_shm_event ev;
	struct mg_conn *c;
	struct sb b;
	uint32_t n = 0;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	c = early(&b);
	for (uint32_t s = 0; s < 200 && c->flow == MG_CONN_FLOW_LIVE; s++) {
		const struct mg_seg *seg;

		sb_wait(&b, MG_NS_PER_S);
		if (c->flow != MG_CONN_FLOW_LIVE)
			break;
		while ((seg = sb_tx(&b)) != NULL) {
			assert_int_equal(seg->flags, MG_TCP_SYN | MG_TCP_ACK);
			assert_int_equal(seg->ack, SB_PISS + 1 + LEN);
			n++;
		}
	}
	assert_int_equal(n, b.conf.synack_retries);
	assert_int_equal(c->flow, MG_CONN_FLOW_REMOVING);
	sb_removed(&b);
	assert_true(sb_event(&b, &ev));
	assert_int_equal(atomic_load(&b.app->windows[c->window].state), MG_SHM_ST_CLOSED);
	assert_int_equal(atomic_load(&b.app->windows[c->window].error), ETIMEDOUT);
	sb_free(&b);
}

static void test_what_the_worker_hands_up(void **state)
{
	struct mg_conn *c;
	const struct mg_seg *seg;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	c = early(&b);
	sb_rx(&b, &(struct sb_seg){ .sport = (uint16_t)(next_port - 1),
				    .seq = SB_PISS,
				    .flags = MG_TCP_SYN,
				    .reason = MG_PKT_EXCEPTION });
	seg = sb_tx(&b);
	assert_non_null(seg);
	assert_int_equal(seg->flags, MG_TCP_SYN | MG_TCP_ACK);
	assert_int_equal(seg->ack, SB_PISS + 1 + LEN);
	sb_rx(&b, &(struct sb_seg){ .sport = (uint16_t)(next_port - 1),
				    .seq = SB_PISS + 1 + LEN,
				    .ack = c->hs.iss,
				    .flags = MG_TCP_ACK,
				    .reason = MG_PKT_EXCEPTION });
	seg = sb_tx(&b);
	assert_non_null(seg);
	assert_int_equal(seg->flags, MG_TCP_RST);
	assert_int_equal(seg->seq, c->hs.iss);
	assert_int_equal(c->state, MG_TCP_SYN_RECEIVED);
	sb_free(&b);
}

static void test_resets_count_for_a_minute(void **state)
{
	struct mg_tfo_cookie cookie;
	struct mg_conn *c;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	c = early(&b);
	set_queue(&b, MG_CTL_OPT_LISTEN_FASTOPEN, 1, 0);
	sb_ev(&b, MG_EV_RST_RCVD, 0, 0);
	assert_int_equal(c->error, ECONNRESET);
	sb_removed(&b);
	sb_clear(&b);
	sb_wait(&b, 59 * MG_NS_PER_S);
	mg_tfo_cookie_make(&b.s->tfo_keys.now, &c->node.tuple, &cookie);
	assert_int_equal(syn(&b, &cookie, LEN)->ack, SB_PISS + 1);
	assert_int_equal(b.s->stats.fastopen_listen_overflow, 1);
	sb_wait(&b, 22 * MG_NS_PER_S);
	sb_clear(&b);
	assert_int_equal(syn(&b, &cookie, LEN)->ack, SB_PISS + 1 + LEN);
	sb_free(&b);
}

static void test_queue_has_a_limit(void **state)
{
	struct mg_tfo_cookie cookie;
	const struct mg_seg *seg;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	listen_tfo(&b, 2);
	ask(&b, &cookie);
	assert_int_equal(syn(&b, &cookie, LEN)->ack, SB_PISS + 1 + LEN);
	assert_int_equal(syn(&b, &cookie, LEN)->ack, SB_PISS + 1 + LEN);
	seg = syn(&b, &cookie, LEN);
	assert_int_equal(seg->ack, SB_PISS + 1);
	assert_false(seg->opts & MG_SEG_OPT_TFO);
	assert_int_equal(b.s->stats.fastopen_listen_overflow, 1);
	assert_int_equal(b.s->embryo_pool.nr_used, 1);
	set_queue(&b, MG_CTL_OPT_LISTEN_FASTOPEN, 1000, 0);
	for (int i = 0; i < 14 - 2; i++) {
		seg = syn(&b, &cookie, LEN);
		if (seg == NULL) /* the backlog is full first */
			break;
	}
	set_queue(&b, MG_CTL_OPT_LISTEN_FASTOPEN, -1, -EINVAL);
	b.listener++;
	set_queue(&b, MG_CTL_OPT_LISTEN_FASTOPEN, 1, -ENOENT);
	b.listener--;
	sb_free(&b);
}

static void test_acknowledged_ones_leave_the_queue(void **state)
{
	struct mg_conn *c;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	c = early(&b);
	assert_int_equal(mg_listener_by_id(b.s, b.listener)->tfo.nr, 1);
	sb_ev(&b, MG_EV_SYN_ACKED, 0, 0);
	assert_int_equal(mg_listener_by_id(b.s, b.listener)->tfo.nr, 0);
	sb_ev(&b, MG_EV_RST_RCVD, 0, 0); /* an ordinary reset: counts for nothing */
	assert_int_equal(mg_listener_by_id(b.s, b.listener)->tfo.resets[0] +
				 mg_listener_by_id(b.s, b.listener)->tfo.resets[1] +
				 mg_listener_by_id(b.s, b.listener)->tfo.resets[2] +
				 mg_listener_by_id(b.s, b.listener)->tfo.resets[3],
			 0);
	(void)c;
	sb_free(&b);
}

static void reconfigure(struct sb *b, const char *key)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_CONF, .conf = &b->conf };

	b->conf.fastopen_has_key = key != NULL;
	if (key != NULL)
		memcpy(b->conf.fastopen_key, key, sizeof(b->conf.fastopen_key));
	mg_slow_request(b->s, &req, b->now_ns);
}

static void test_cookies_of_the_key_before(void **state)
{
	struct mg_tfo_cookie drawn, first, second;
	const struct mg_seg *seg;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	listen_tfo(&b, 8);
	ask(&b, &drawn);
	reconfigure(&b, "0123456789abcdef");
	seg = syn(&b, &drawn, LEN);
	assert_int_equal(seg->ack, SB_PISS + 1 + LEN); /* good, and a new one comes along */
	take_cookie(seg, &first);
	assert_memory_not_equal(first.b, drawn.b, drawn.len);
	assert_int_equal(b.s->stats.fastopen_passive_alt_key, 1);
	reconfigure(&b, "0123456789abcdef"); /* the same: nothing changes */
	assert_int_equal(syn(&b, &drawn, LEN)->ack, SB_PISS + 1 + LEN);
	reconfigure(&b, "fedcba9876543210");
	take_cookie(syn(&b, &first, LEN), &second);
	seg = syn(&b, &drawn, LEN);
	assert_int_equal(seg->ack, SB_PISS + 1);
	assert_int_equal(b.s->stats.fastopen_passive_fail, 1);
	sb_free(&b);
}

static void test_drawn_keys_age(void **state)
{
	struct mg_tfo_cookie old, fresh;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	b.conf.fastopen_key_life_s = 60;
	reconfigure(&b, NULL);
	listen_tfo(&b, 8);
	ask(&b, &old);
	sb_wait(&b, 61 * MG_NS_PER_S);
	take_cookie(syn(&b, &old, LEN), &fresh);
	assert_memory_not_equal(old.b, fresh.b, old.len);
	sb_wait(&b, 61 * MG_NS_PER_S);
	sb_clear(&b);
	assert_int_equal(syn(&b, &old, LEN)->ack, SB_PISS + 1);
	sb_free(&b);
}

static void test_without_room_in_the_ring_only_the_syn_counts(void **state)
{
	struct mg_tfo_cookie cookie;
	const struct sb_cmd *cmd;
	struct mg_conn *c;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	listen_tfo(&b, 4);
	ask(&b, &cookie);
	b.is_full = true;
	assert_null(syn(&b, &cookie, LEN));
	b.is_full = false;
	c = sb_conn(&b);
	assert_int_equal(c->flow, MG_CONN_FLOW_INSTALLING);
	sb_wait(&b, 2 * MG_NS_PER_MS);
	cmd = sb_cmd(&b, MG_CMD_INSTALL);
	assert_non_null(cmd);
	assert_int_equal(cmd->install.syn_bytes, 0);
	assert_int_equal(cmd->install.rcv_nxt, SB_PISS + 1);
	sb_wait(&b, 2 * MG_NS_PER_S);
	assert_int_equal(sb_tx(&b)->ack, SB_PISS + 1);
	sb_free(&b);
}

static void test_fin_before_the_ack(void **state)
{
	struct mg_conn *c;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	c = early(&b);
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
	sb_ev(&b, MG_EV_FIN_SENT, 0, 0);
	assert_int_equal(c->state, MG_TCP_FIN_WAIT_1);
	sb_ev(&b, MG_EV_SYN_ACKED, 0, 0);
	assert_int_equal(c->state, MG_TCP_FIN_WAIT_1);
	sb_ev(&b, MG_EV_FIN_ACKED, 0, 0);
	assert_int_equal(c->state, MG_TCP_FIN_WAIT_2);
	sb_free(&b);
}

static void test_listener_ends(void **state)
{
	struct mg_tfo_cookie cookie;
	struct mg_conn *c;
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	sb_listen(&b, 8);
	set_queue(&b, MG_CTL_OPT_LISTEN_FASTOPEN, 4, 0);
	ask(&b, &cookie);
	assert_non_null(syn(&b, &cookie, LEN));
	c = sb_conn(&b);
	assert_true(c->flags & MG_CONN_QUEUED);
	b.msg->listener[0].listener = b.listener;
	assert_int_equal(sb_ctl(&b, MG_CTL_TCP_LISTEN_CLOSE, 1), 0);
	assert_int_equal(c->flow, MG_CONN_FLOW_REMOVING);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	sb_free(&b);
}

static void test_without_cookies(void **state)
{
	struct sb b;

	(void)state;
	begin(&b, MG_FASTOPEN_SERVER);
	listen_tfo(&b, 4);
	sb_rx(&b,
	      &(struct sb_seg){ .seq = SB_PISS, .flags = MG_TCP_SYN, .len = LEN, .payload = DATA });
	assert_int_equal(sb_tx(&b)->ack, SB_PISS + 1);
	set_queue(&b, MG_CTL_OPT_LISTEN_FASTOPEN_NO_COOKIE, 1, 0);
	sb_rx(&b, &(struct sb_seg){ .sport = 4711,
				    .seq = SB_PISS,
				    .flags = MG_TCP_SYN,
				    .len = LEN,
				    .payload = DATA });
	assert_int_equal(sb_tx(&b)->ack, SB_PISS + 1 + LEN);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cookie_is_granted),
		cmocka_unit_test(test_off_by_bit_and_by_listener),
		cmocka_unit_test(test_data_is_delivered_before_the_handshake_ends),
		cmocka_unit_test(test_wrong_cookies),
		cmocka_unit_test(test_synack_is_repeated_then_given_up),
		cmocka_unit_test(test_what_the_worker_hands_up),
		cmocka_unit_test(test_resets_count_for_a_minute),
		cmocka_unit_test(test_queue_has_a_limit),
		cmocka_unit_test(test_acknowledged_ones_leave_the_queue),
		cmocka_unit_test(test_cookies_of_the_key_before),
		cmocka_unit_test(test_drawn_keys_age),
		cmocka_unit_test(test_without_room_in_the_ring_only_the_syn_counts),
		cmocka_unit_test(test_fin_before_the_ack),
		cmocka_unit_test(test_listener_ends),
		cmocka_unit_test(test_without_cookies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
