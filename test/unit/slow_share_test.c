/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_share_test.c - several processes with one region: contexts 0 and 1 are two of them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/shm/window.h"
#include "test/lib/slow_builder.h"

#define FIRST 1u /* the contexts of either process */
#define SECOND 2u

static struct mg_spsc second_events(struct sb *b)
{
	struct mg_spsc h = b->app->contexts[1].events[MG_SHM_PRODUCER_SLOW];
	struct mg_spsc mine;

	mg_spsc_attach_consumer(&mine, h.shared, h.mask + 1, h.stride, 0);
	return mine;
}

static int ctl_as(struct sb *b, uint16_t type, uint32_t holder)
{
	struct mg_slow_req req = {
		.type = MG_SLOW_REQ_CTL, .app = b->app, .msg = b->msg, .value = holder
	};

	b->msg->hdr.type = type;
	mg_slow_request(b->s, &req, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_check(b->s);
	return b->msg->hdr.status;
}

static int accept_as(struct sb *b, uint32_t context, uint32_t credits, uint32_t flags)
{
	mg_ctl_init(b->msg, MG_CTL_TCP_ACCEPT, 1, 1);
	b->msg->accept[0] = (struct mg_ctl_accept){ b->listener, credits, context, flags };
	return ctl_as(b, MG_CTL_TCP_ACCEPT, 1u << context);
}

static int guard_as(struct sb *b, uint32_t holder, uint32_t kind, uint32_t id, uint32_t gen)
{
	mg_ctl_init(b->msg, MG_CTL_GUARD, 1, 1);
	b->msg->guard[0].kind = kind;
	b->msg->guard[0].id = id;
	b->msg->guard[0].gen = gen;
	assert_int_equal(ctl_as(b, MG_CTL_GUARD, holder), 0);
	return b->msg->guard[0].status;
}

static int move_as(struct sb *b, uint32_t context, const struct mg_conn *c, uint32_t how)
{
	mg_ctl_init(b->msg, MG_CTL_TCP_MOVE, 1, 1);
	b->msg->move[0] = (struct mg_ctl_move){ c->window, c->window_gen, context, how };
	return ctl_as(b, MG_CTL_TCP_MOVE, 1u << context);
}

static void holder_gone(struct sb *b, uint32_t contexts)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_HOLDER_GONE,
				   .app = b->app,
				   .value = contexts };

	mg_slow_request(b->s, &req, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_check(b->s);
}

static void unguard(struct sb *b, uint32_t kind, uint32_t id, uint32_t gen)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_UNGUARD,
				   .arg = kind,
				   .app = b->app,
				   .value = (uint64_t)id << 32 | gen };

	mg_slow_request(b->s, &req, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_check(b->s);
}

/* One more connection from this port of the peer's. */
static void come(struct sb *b, uint16_t port)
{
	const struct mg_seg *seg;

	sb_rx(b,
	      &(struct sb_seg){ .sport = port, .seq = SB_PISS, .flags = MG_TCP_SYN, .wnd = 8000 });
	seg = sb_tx(b);
	assert_non_null(seg);
	sb_rx(b, &(struct sb_seg){ .sport = port,
				   .seq = SB_PISS + 1,
				   .ack = seg->seq + 1,
				   .flags = MG_TCP_ACK,
				   .wnd = 8000 });
}

static uint16_t peer_of(struct sb *b, const struct mg_shm_event *ev)
{
	assert_int_equal(ev->kind, MG_SHM_EV_ACCEPTED);
	return b->app->windows[ev->index].tuple.rport;
}

/* A listener that both accept from. */
static struct mg_spsc share_listener(struct sb *b)
{
	sb_new(b);
	sb_listen(b, 8);
	assert_int_equal(guard_as(b, FIRST, MG_CTL_GUARD_LISTENER, b->listener, 0), 0);
	assert_int_equal(guard_as(b, SECOND, MG_CTL_GUARD_LISTENER, b->listener, 0), -EEXIST);
	return second_events(b);
}

static void test_credits_are_served_in_turn(void **state)
{
	struct mg_shm_event ev;
	struct mg_spsc other;
	struct sb b;

	(void)state;
	other = share_listener(&b);
	assert_int_equal(accept_as(&b, 0, 2, 0), 0);
	assert_int_equal(accept_as(&b, 1, 2, 0), 0);
	for (uint16_t i = 0; i < 5; i++)
		come(&b, (uint16_t)(2000 + i));
	assert_true(sb_event(&b, &ev));
	assert_int_equal(peer_of(&b, &ev), 2000);
	assert_int_equal(mg_spsc_pop(&other, &ev), 1);
	assert_int_equal(peer_of(&b, &ev), 2001);
	assert_true(sb_event(&b, &ev));
	assert_int_equal(peer_of(&b, &ev), 2002);
	assert_int_equal(mg_spsc_pop(&other, &ev), 1);
	assert_int_equal(peer_of(&b, &ev), 2003);
	assert_false(sb_event(&b, &ev)); /* the fifth waits for a credit */
	assert_int_equal(mg_spsc_pop(&other, &ev), 0);
	sb_free(&b);
}

static void test_no_connection_is_lost_with_a_process(void **state)
{
	struct mg_shm_event ev;
	struct mg_spsc other;
	struct sb b;

	(void)state;
	other = share_listener(&b);
	assert_int_equal(accept_as(&b, 0, 4, 0), 0);
	come(&b, 2000);
	come(&b, 2001);
	come(&b, 2002);
	assert_true(sb_event(&b, &ev));
	assert_true(mg_window_claim(
		&b.app->windows[ev.index])); /* accepted: it dies with its process */
	sb_clear(&b);
	holder_gone(&b, FIRST);
	assert_non_null(sb_cmd(&b, MG_CMD_REMOVE));
	sb_no_cmd(&b, MG_CMD_REMOVE);
	assert_int_equal(b.s->listeners[b.listener & 0xffff].nr_queued, 2);
	assert_int_equal(accept_as(&b, 1, 4, 0), 0);
	assert_int_equal(mg_spsc_pop(&other, &ev), 1);
	assert_int_equal(peer_of(&b, &ev), 2001);
	assert_int_equal(mg_spsc_pop(&other, &ev), 1);
	assert_int_equal(peer_of(&b, &ev), 2002);
	assert_int_equal(b.app->windows[ev.index].claim, MG_SHM_CLAIM_OFFERED);
	sb_free(&b);
}

static void test_credits_are_given_back(void **state)
{
	struct mg_shm_event ev;
	struct mg_spsc other;
	struct sb b;

	(void)state;
	other = share_listener(&b);
	assert_int_equal(accept_as(&b, 0, 4, 0), 0);
	come(&b, 2000);
	assert_int_equal(accept_as(&b, 1, 1, 0), 0);
	assert_int_equal(accept_as(&b, 0, 0, MG_CTL_ACCEPT_RETURN), 0);
	assert_true(sb_event(&b, &ev));
	assert_int_equal(mg_spsc_pop(&other, &ev), 1); /* it went to the other one */
	assert_int_equal(peer_of(&b, &ev), 2000);
	/* Both have an entry of it; one gets it. */
	assert_true(mg_window_claim(&b.app->windows[ev.index]));
	assert_false(mg_window_claim(&b.app->windows[ev.index]));
	sb_free(&b);
}

static void test_listener_ends_with_its_guard(void **state)
{
	struct mg_shm_event ev;
	struct sb b;

	(void)state;
	(void)share_listener(&b);
	assert_int_equal(accept_as(&b, 0, 1, 0), 0);
	come(&b, 2000);
	come(&b, 2001);
	assert_true(sb_event(&b, &ev));
	holder_gone(&b, FIRST);
	assert_int_equal(b.s->listener_pool.nr_used, 1);
	sb_clear(&b);
	unguard(&b, MG_CTL_GUARD_LISTENER, b.listener, 0);
	assert_int_equal(b.s->listener_pool.nr_used, 0);
	/* What was offered and what waited is reset. */
	assert_non_null(sb_cmd(&b, MG_CMD_REMOVE));
	assert_non_null(sb_cmd(&b, MG_CMD_REMOVE));
	sb_free(&b);
}

static void test_own_listener_ends_with_its_process(void **state)
{
	struct sb b;

	(void)state;
	sb_new(&b);
	sb_listen(&b, 8);
	holder_gone(&b, SECOND);
	assert_int_equal(b.s->listener_pool.nr_used, 1);
	holder_gone(&b, FIRST);
	assert_int_equal(b.s->listener_pool.nr_used, 0);
	sb_free(&b);
}

static void test_guarded_connection_survives(void **state)
{
	struct mg_shm_event ev;
	struct mg_spsc other;
	struct mg_conn *c;
	struct sb b;

	(void)state;
	sb_new(&b);
	other = second_events(&b);
	c = sb_established(&b);
	assert_int_equal(move_as(&b, 1, c, MG_CTL_MOVE_JOIN), -EPERM); /* another's own */
	assert_int_equal(guard_as(&b, SECOND, MG_CTL_GUARD_CONN, c->window, c->window_gen),
			 -ENOENT);
	assert_int_equal(guard_as(&b, FIRST, MG_CTL_GUARD_CONN, c->window, c->window_gen + 1),
			 -ENOENT);
	assert_int_equal(guard_as(&b, FIRST, MG_CTL_GUARD_CONN, c->window, c->window_gen), 0);
	/* An entry lies in the first one's ring: the second gets one all the same. */
	atomic_store(&b.app->windows[c->window].s_dirty, 1);
	assert_int_equal(move_as(&b, 1, c, MG_CTL_MOVE_JOIN), 0);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_CONTEXTS)->opt.value, FIRST | SECOND);
	assert_int_equal(mg_spsc_pop(&other, &ev), 1);
	assert_int_equal(ev.kind, MG_SHM_EV_CONN);
	holder_gone(&b, FIRST);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_CONTEXTS)->opt.value, SECOND);
	sb_no_cmd(&b, MG_CMD_REMOVE);
	assert_int_equal(move_as(&b, 1, c, MG_CTL_MOVE_LEAVE), 0);
	assert_int_equal(sb_cmd(&b, MG_CMD_SET_CONTEXTS)->opt.value, 0);
	holder_gone(&b, SECOND);
	assert_int_equal(c->state, MG_TCP_ESTABLISHED);
	unguard(&b, MG_CTL_GUARD_CONN, c->window, c->window_gen);
	assert_non_null(sb_cmd(&b, MG_CMD_CLOSE));
	/* Whatever comes first, the window is free afterwards. */
	sb_ev(&b, MG_EV_RST_RCVD, 0, 0);
	sb_removed(&b);
	assert_int_equal(b.s->conn_pool.nr_used, 0);
	sb_free(&b);
}

/* Its last holder exits: both ends of that are seen at once, and the first is a close. */
static void test_guard_ends_just_before_its_holder(void **state)
{
	struct mg_conn *c;
	struct sb b;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	assert_int_equal(guard_as(&b, FIRST, MG_CTL_GUARD_CONN, c->window, c->window_gen), 0);
	unguard(&b, MG_CTL_GUARD_CONN, c->window, c->window_gen);
	holder_gone(&b, FIRST);
	assert_non_null(sb_cmd(&b, MG_CMD_CLOSE));
	sb_no_cmd(&b, MG_CMD_REMOVE);
	sb_ev(&b, MG_EV_APP_CLOSE, 0, 0);
	sb_ev(&b, MG_EV_FIN_SENT, 0, 0);
	assert_int_equal(c->state, MG_TCP_FIN_WAIT_1);
	sb_free(&b);
}

/* SO_LINGER with 0 s: what the last descriptor's end does is a reset. */
static void test_guarded_connection_that_lingers_not(void **state)
{
	struct mg_conn *c;
	struct sb b;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	assert_int_equal(guard_as(&b, FIRST, MG_CTL_GUARD_CONN, c->window, c->window_gen), 0);
	mg_ctl_init(b.msg, MG_CTL_TCP_SET_OPTION, 1, 1);
	b.msg->opt[0] = (struct mg_ctl_opt){ .window = c->window,
					     .gen = c->window_gen,
					     .option = MG_CTL_OPT_LINGER_MS };
	assert_int_equal(ctl_as(&b, MG_CTL_TCP_SET_OPTION, FIRST), 0);
	unguard(&b, MG_CTL_GUARD_CONN, c->window, c->window_gen);
	assert_int_equal(sb_cmd(&b, MG_CMD_REMOVE)->remove.how, MG_REMOVE_RST);
	sb_removed(&b);
	assert_int_equal(b.s->conn_pool.nr_used, 0);
	sb_free(&b);
}

static void test_moves_that_make_no_sense(void **state)
{
	struct mg_conn *c;
	struct sb b;

	(void)state;
	sb_new(&b);
	c = sb_established(&b);
	assert_int_equal(move_as(&b, 0, c, MG_CTL_MOVE_LEAVE), -EPERM); /* nobody would be left */
	assert_int_equal(move_as(&b, 0, c, 9), -EINVAL);
	assert_int_equal(move_as(&b, 31, c, MG_CTL_MOVE_TAKE), -EINVAL);
	assert_int_equal(move_as(&b, 0, c, MG_CTL_MOVE_TAKE), 0);
	assert_int_equal(guard_as(&b, FIRST, 7, 0, 0), -EINVAL);
	assert_int_equal(guard_as(&b, FIRST, MG_CTL_GUARD_CONN, UINT32_MAX, 1), -ENOENT);
	assert_int_equal(guard_as(&b, FIRST, MG_CTL_GUARD_LISTENER, UINT32_MAX, 1), -ENOENT);
	unguard(&b, MG_CTL_GUARD_CONN, c->window, c->window_gen); /* it has none: nothing happens */
	unguard(&b, MG_CTL_GUARD_LISTENER, b.listener, 0);
	unguard(&b, 9, UINT32_MAX, 0);
	assert_int_equal(c->state, MG_TCP_ESTABLISHED);
	assert_int_equal(b.s->listener_pool.nr_used, 1);
	sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_credits_are_served_in_turn),
		cmocka_unit_test(test_no_connection_is_lost_with_a_process),
		cmocka_unit_test(test_credits_are_given_back),
		cmocka_unit_test(test_listener_ends_with_its_guard),
		cmocka_unit_test(test_own_listener_ends_with_its_process),
		cmocka_unit_test(test_guarded_connection_survives),
		cmocka_unit_test(test_guard_ends_just_before_its_holder),
		cmocka_unit_test(test_guarded_connection_that_lingers_not),
		cmocka_unit_test(test_moves_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
