/* SPDX-License-Identifier: Apache-2.0 */
/*
 * active.c - active opens: SYN-SENT, and SYN-RECEIVED after a simultaneous open (RFC 9293 3.10.7.3, 3.5).
 */
#include <errno.h>

#include "proto/base/assert.h"
#include "proto/base/seq.h"
#include "slowpath/core/engine.h"
#include "slowpath/core/isn.h"

#define R2_SYN_NS (180 * MG_NS_PER_S) /* RFC 9293 MUST-23: three minutes at least, by default */
#define R2_SYN_RETRIES 6              /* with fewer the operator wants less */

static int check_peer(const struct mg_slow *s, const struct mg_tuple *t)
{
	if (t->rport == 0)
		return -EINVAL;
	if (mg_routes_is_broadcast(&s->routes, &t->raddr))
		return -EACCES;
	if (!mg_peer_is_valid(s, &t->raddr))
		return -ENETUNREACH;
	return 0;
}

/* *ret_floor: not 0, the tuple was in TIME-WAIT and the ISN must come after this. */
static int choose_port(struct mg_slow *s, struct mg_tuple *t, uint32_t *ret_floor)
{
	uint32_t ref, idx;

	*ret_floor = 0;
	if (t->lport == 0)
		return mg_ports_pick(s, t);
	ref = mg_tuples_find(&s->tuples, t);
	if (ref == MG_TUPLES_NONE)
		return 0;
	idx = mg_tuples_index(ref);
	if (mg_tuples_kind(ref) != MG_TUPLES_TIMEWAIT || !mg_timewait_may_reuse(s, idx))
		return -EADDRNOTAVAIL;
	*ret_floor = s->timewaits.entries[idx].snd_nxt + UINT16_MAX + 2;
	s->stats.time_wait_reused++;
	mg_timewait_drop(s, idx);
	return 0;
}

/* The way to the peer: a link-local one is on the link of our address, or on that of the given number. */
static int choose_way(const struct mg_slow *s, const struct mg_ctl_connect *connect,
		      struct mg_hop *ret_hop)
{
	const struct mg_tuple *t = &connect->tuple;
	bool is_bound = !mg_addr_is_any(&t->laddr);

	if (is_bound && mg_addr_is_v4(&t->laddr) != mg_addr_is_v4(&t->raddr))
		return -EINVAL;
	if (is_bound && !mg_routes_may_bind(&s->routes, &t->laddr))
		return -EADDRNOTAVAIL;
	if (mg_addr_is_link_local(&t->raddr) && !is_bound)
		return mg_routes_scope(&s->routes, &t->raddr, connect->scope, ret_hop);
	return mg_routes_hop(&s->routes, &t->laddr, &t->raddr, ret_hop);
}

static int choose_tuple(struct mg_slow *s, struct mg_ctl_connect *connect, struct mg_hop *ret_hop,
			uint32_t *ret_floor)
{
	struct mg_tuple *t = &connect->tuple;
	int err = check_peer(s, t);

	if (err == 0)
		err = choose_way(s, connect, ret_hop);
	if (err == 0 && mg_addr_is_any(&t->laddr))
		err = mg_routes_source(&s->routes, &t->raddr, ret_hop, &t->laddr);
	if (err == 0)
		err = choose_port(s, t, ret_floor);
	return err;
}

/* Not with a SYN that is sent again: the first may have been lost for its flags (RFC 3168 6.1.1.1). */
static uint8_t asked_ecn(const struct mg_slow *s, const struct mg_conn *c)
{
	return c->retries == 0 ? mg_handshake_ecn_ask(s, mg_conn_cc(s, c)) : MG_HANDSHAKE_NO_ECN;
}

static void send_syn(struct mg_slow *s, struct mg_conn *c)
{
	struct mg_out_seg o = {
		.tuple = &c->node.tuple,
		.seq = c->hs.iss,
		.flags = MG_TCP_SYN,
		.wnd = mg_handshake_syn_wnd(c->rcvbuf_bytes),
		.mss = mg_handshake_mss(s, &c->node.tuple),
		.opts = c->hs.opts | MG_SEG_OPT_MSS,
		.ws = c->hs.rcv_ws,
		.tsval = mg_tsval(s, c->hs.ts_offset),
		.ttl = c->ttl,
		.tos = c->tos,
	};
	uint8_t ecn = asked_ecn(s, c);
	struct mg_tfo_entry hint;

	mg_tfo_client_fill(s, c, &hint, &o);
	if (ecn != MG_HANDSHAKE_NO_ECN)
		o.flags |= MG_TCP_ECE | MG_TCP_CWR;
	if (ecn == MG_HANDSHAKE_ECN_ECT)
		o.tos = (uint8_t)(o.tos | MG_ECN_ECT0);
	mg_tcp_out(s, &o);
}

static void send_synack(struct mg_slow *s, struct mg_conn *c)
{
	mg_handshake_send_synack(s, &c->node.tuple, &c->hs, c->rcvbuf_bytes,
				 mg_tsval(s, c->hs.ts_offset));
}

static uint64_t rto_ns(const struct mg_slow *s, uint32_t retries)
{
	uint64_t ns = mg_ms_to_ns(s->conf.rto_initial_ms) << mg_min_u32(retries, 20);

	return mg_min_u64(ns, mg_max_u64(mg_ms_to_ns(s->conf.rto_max_ms), 1));
}

static void arm(struct mg_slow *s, struct mg_conn *c)
{
	uint64_t deadline_ns = mg_time_after(s->now_ns, rto_ns(s, c->retries));

	if (c->retries >= s->conf.syn_retries && s->conf.syn_retries >= R2_SYN_RETRIES)
		deadline_ns = mg_max_u64(deadline_ns, c->born_ns + R2_SYN_NS);
	if (c->user_timeout_ms != 0 && c->user_timeout_ms != MG_USER_TIMEOUT_NEVER)
		deadline_ns = mg_min_u64(deadline_ns, c->born_ns + mg_ms_to_ns(c->user_timeout_ms));
	mg_conn_arm(s, c, MG_CONN_T_REXMT, deadline_ns);
}

static void fill(struct mg_slow *s, struct mg_conn *c, const struct mg_ctl_connect *connect,
		 uint32_t floor_iss)
{
	c->context = connect->context;
	c->contexts = 1u << connect->context;
	c->cookie = connect->cookie;
	c->rcvbuf_bytes = mg_rcvbuf_of(s, connect->rcvbuf_bytes);
	c->sndbuf_bytes = mg_sndbuf_of(s, connect->sndbuf_bytes);
	c->flags |= mg_conn_fixed(connect->rcvbuf_bytes, connect->sndbuf_bytes);
	c->tfo = (uint8_t)mg_tfo_client_plan(s, &c->node.tuple, connect->flags);
	if (connect->flags & MG_CTL_CONNECT_TFO_NO_COOKIE)
		c->flags |= MG_CONN_TFO_NO_COOKIE;
	if (connect->ttl != 0)
		c->ttl = connect->ttl;
	if (connect->tos != 0)
		c->tos = connect->tos & 0xfc; /* the low bits are ECN's */
	c->hs.iss = mg_isn_make(&s->key, &c->node.tuple, s->now_ns);
	if (floor_iss != 0 && mg_seq_lt(c->hs.iss, floor_iss))
		c->hs.iss = floor_iss;
	c->hs.ts_offset = mg_isn_ts_offset(&s->key, &c->node.tuple);
	c->hs.opts = mg_handshake_offer(s);
	c->hs.rcv_ws = mg_handshake_rcv_ws(s);
	c->hs.mss = mg_handshake_mss(s, &c->node.tuple);
	c->snd_mss = mg_handshake_snd_mss(s, &c->node.tuple, &c->hs, 0);
	c->sent_ns = s->now_ns;
}

int mg_active_open(struct mg_slow *s, struct mg_slow_app *app, struct mg_ctl_connect *connect)
{
	const struct mg_cc_ops *ops;
	struct mg_conn *c;
	struct mg_hop hop;
	uint32_t floor_iss = 0;
	int err;

	if (connect->context >= app->app->nr_contexts)
		return -EINVAL;
	err = mg_conn_cc_by_name(connect->congestion, &ops);
	if (err < 0)
		return err;
	err = choose_tuple(s, connect, &hop, &floor_iss);
	if (err < 0)
		return err;
	err = mg_conn_new(s, app, &c);
	if (err < 0)
		return err;
	mg_conn_hash(s, c, &connect->tuple);
	c->cc.ops = ops;
	fill(s, c, connect, floor_iss);
	if (mg_conn_open_window(s, c,
				c->tfo == MG_TFO_PLAN_WAIT ? MG_SHM_ST_WAITING
							   : MG_SHM_ST_CONNECTING) < 0) {
		mg_conn_free(s, c);
		return -ENOBUFS;
	}
	mg_conn_set_state(s, c, MG_TCP_SYN_SENT);
	c->port = hop.port;
	c->neigh = mg_neigh_get(s, &hop);
	mg_neigh_hold(s, c->neigh);
	s->stats.connects++;
	if (c->tfo != MG_TFO_PLAN_WAIT) {
		send_syn(s, c);
		arm(s, c);
	}
	connect->window = c->window;
	connect->gen = c->window_gen;
	return 0;
}

void mg_active_go(struct mg_slow *s, struct mg_conn *c)
{
	if (c->tfo != MG_TFO_PLAN_WAIT || c->state != MG_TCP_SYN_SENT)
		return;
	c->tfo = MG_TFO_PLAN_SYN;
	c->born_ns = s->now_ns;
	c->sent_ns = s->now_ns;
	mg_conn_publish(s, c, MG_SHM_ST_CONNECTING);
	send_syn(s, c);
	arm(s, c);
}

void mg_active_fail(struct mg_slow *s, struct mg_conn *c, uint32_t error)
{
	mg_conn_end(s, c, error, false);
}

void mg_active_timer(struct mg_slow *s, struct mg_conn *c)
{
	bool user_timeout = c->user_timeout_ms != 0 &&
			    s->now_ns >= c->born_ns + mg_ms_to_ns(c->user_timeout_ms);

	if (c->state != MG_TCP_SYN_SENT && c->state != MG_TCP_SYN_RECEIVED)
		return;
	if (user_timeout || c->retries >= s->conf.syn_retries) {
		s->stats.connects_timed_out++;
		s->stats.fastopen_active_fail += c->syn_sent > 0;
		mg_active_fail(s, c, c->soft_error != 0 ? c->soft_error : ETIMEDOUT);
		return;
	}
	c->retries++;
	c->flags |= MG_CONN_SYN_LOST;
	if (c->state == MG_TCP_SYN_SENT) {
		s->stats.syn_retrans++;
		send_syn(s, c);
	} else {
		s->stats.synack_retrans++;
		send_synack(s, c);
	}
	arm(s, c);
}

/* What the peer's SYN agrees to, of what we offered. */
static void agree(struct mg_slow *s, struct mg_conn *c, const struct mg_seg *seg)
{
	uint8_t offered = c->hs.opts;

	mg_handshake_read(s, seg, &c->hs);
	c->hs.opts &= offered;
	if ((c->hs.opts & MG_SEG_OPT_WS) == 0) {
		c->hs.snd_ws = 0;
		c->hs.rcv_ws = 0;
	}
	c->snd_mss = mg_handshake_snd_mss(s, &c->node.tuple, &c->hs, c->mss_max);
}

/* The window of our ACK, as it goes on the wire. */
static uint16_t ack_window(struct mg_conn *c)
{
	uint16_t wnd = (uint16_t)mg_min_u32(c->rcvbuf_bytes >> c->hs.rcv_ws, UINT16_MAX);

	c->adv_bytes = (uint32_t)wnd << c->hs.rcv_ws;
	return wnd;
}

/* owes_ack: for the peer's SYN, if that has not been acknowledged by our SYN-ACK. */
static void establish(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in, bool owes_ack)
{
	uint32_t rtt_us = 0;
	uint16_t wnd = owes_ack ? ack_window(c) : 0;

	if (c->retries == 0)
		rtt_us = (uint32_t)mg_clamp_u64(mg_ns_to_us(s->now_ns - c->sent_ns), 1,
						UINT32_MAX / 8);
	mg_conn_set_state(s, c, MG_TCP_ESTABLISHED);
	mg_conn_arm(s, c, MG_CONN_T_REXMT, MG_TIME_NEVER);
	s->stats.established_active++;
	mg_tfo_client_done(s, c, in->seg);
	if (owes_ack)
		mg_handshake_send_ack(s, &c->node.tuple, &c->hs, c->hs.iss + 1 + c->syn_acked,
				      c->hs.irs + 1, wnd);
	if (!mg_neigh_mac(s, c->neigh, &c->dmac) && in->seg->l2 != NULL)
		memcpy(c->dmac.b, in->seg->l2 + sizeof(c->dmac.b), sizeof(c->dmac.b));
	s->apps[c->app].app->windows[c->window].mss = c->snd_mss; /* published with the state */
	mg_conn_install(s, c, in->seg, rtt_us);
	mg_conn_publish(s, c, MG_SHM_ST_OPEN);
}

/* Linux's check: a TSecr that we cannot have sent since the open began belongs to another life. */
static bool tsecr_is_ours(const struct mg_slow *s, const struct mg_conn *c,
			  const struct mg_seg *seg)
{
	uint32_t first = (uint32_t)mg_ns_to_ms(c->born_ns) + c->hs.ts_offset;

	if ((seg->opts & c->hs.opts & MG_SEG_OPT_TS) == 0 || seg->tsecr == 0)
		return true;
	return mg_seq_geq(seg->tsecr, first) &&
	       mg_seq_leq(seg->tsecr, mg_tsval(s, c->hs.ts_offset));
}

static void syn_sent(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in)
{
	const struct mg_seg *seg = in->seg;
	bool has_ack = (seg->flags & MG_TCP_ACK) != 0;

	if (has_ack && (!mg_tfo_client_is_acked(c, seg) || !tsecr_is_ours(s, c, seg))) {
		s->stats.ack_invalid++;
		mg_input_reset(s, seg);
		return;
	}
	if (seg->flags & MG_TCP_RST) {
		if (!has_ack)
			return;
		s->stats.resets_in++;
		s->stats.connects_refused++;
		mg_active_fail(s, c, ECONNREFUSED);
		return;
	}
	if ((seg->flags & MG_TCP_SYN) == 0) {
		s->stats.drop_stray++;
		return;
	}
	agree(s, c, seg);
	if (has_ack) {
		if ((seg->flags & (MG_TCP_ECE | MG_TCP_CWR)) == MG_TCP_ECE)
			c->hs.ecn = asked_ecn(s, c);
		establish(s, c, in, true);
		return;
	}
	s->stats.simultaneous_opens++;
	mg_conn_set_state(s, c, MG_TCP_SYN_RECEIVED);
	c->adv_bytes = mg_handshake_syn_wnd(c->rcvbuf_bytes);
	send_synack(s, c);
	arm(s, c);
}

static void challenge(struct mg_slow *s, struct mg_conn *c)
{
	if (mg_input_may_challenge(s))
		mg_handshake_send_ack(s, &c->node.tuple, &c->hs, c->hs.iss + 1, c->hs.irs + 1,
				      mg_handshake_syn_wnd(c->rcvbuf_bytes));
}

/* False: the segment is consumed. */
static bool syn_received_checks(struct mg_slow *s, struct mg_conn *c, const struct mg_seg *seg)
{
	uint32_t rcv_nxt = c->hs.irs + 1;

	if (!mg_input_is_acceptable(seg, rcv_nxt, mg_handshake_syn_wnd(c->rcvbuf_bytes))) {
		s->stats.drop_stray++;
		if ((seg->flags & MG_TCP_RST) == 0)
			challenge(s, c);
		return false;
	}
	if (seg->flags & MG_TCP_RST) {
		if (seg->seq != rcv_nxt) {
			challenge(s, c);
			return false;
		}
		s->stats.resets_in++;
		s->stats.connects_refused++;
		mg_active_fail(s, c, ECONNREFUSED); /* MUST-11: it began as an active open */
		return false;
	}
	if (seg->flags & MG_TCP_SYN) {
		challenge(s, c);
		return false;
	}
	return true;
}

static void syn_received(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in)
{
	const struct mg_seg *seg = in->seg;
	uint32_t kind = seg->flags & (MG_TCP_SYN | MG_TCP_ACK | MG_TCP_RST);
	bool is_their_synack = kind == (MG_TCP_SYN | MG_TCP_ACK) && seg->seq == c->hs.irs;

	if (kind == MG_TCP_SYN && seg->seq == c->hs.irs) {
		s->stats.syn_retrans_in++;
		if (mg_input_may_challenge(s))
			send_synack(s, c);
		return;
	}
	if (!is_their_synack && !syn_received_checks(s, c, seg))
		return;
	if ((seg->flags & MG_TCP_ACK) == 0) {
		s->stats.drop_stray++;
		return;
	}
	if (!mg_tfo_client_is_acked(c, seg)) {
		s->stats.ack_invalid++;
		mg_input_reset(s, seg);
		return;
	}
	establish(s, c, in, is_their_synack);
	if (!is_their_synack && (seg->payload_len > 0 || (seg->flags & MG_TCP_FIN) != 0))
		mg_input_reinject(s, c, in);
}

void mg_active_input(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in)
{
	MG_ASSERT(c->state == MG_TCP_SYN_SENT || c->state == MG_TCP_SYN_RECEIVED);
	if (c->state == MG_TCP_SYN_SENT)
		syn_sent(s, c, in);
	else
		syn_received(s, c, in);
}
