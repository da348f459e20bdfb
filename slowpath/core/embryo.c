/* SPDX-License-Identifier: Apache-2.0 */
/* embryo.c - see embryo.h. */
#include "slowpath/core/embryo.h"

#include "proto/base/assert.h"
#include "proto/base/seq.h"
#include "slowpath/core/cookie.h"
#include "slowpath/core/engine.h"
#include "slowpath/core/isn.h"

#define EMBRYOS_PER_LISTENER_MIN 1024
#define COOKIE_LIFE_NS (128 * MG_NS_PER_S) /* two of its minutes */

static bool ecn_is_offered(const struct mg_seg *seg)
{
	return (seg->flags & (MG_TCP_ECE | MG_TCP_CWR)) == (MG_TCP_ECE | MG_TCP_CWR);
}

static const struct mg_cc_ops *cc_of(const struct mg_slow *s, const struct mg_listener *l)
{
	return l->cc_ops != NULL ? l->cc_ops : mg_cc_find(s->conf.congestion_control);
}

void mg_embryo_read_syn(const struct mg_slow *s, const struct mg_listener *l,
			const struct mg_seg *seg, struct mg_handshake *hs)
{
	mg_handshake_read(s, seg, hs);
	hs->ttl = l->ttl;
	hs->tos = l->tos;
	if (ecn_is_offered(seg))
		hs->ecn = mg_handshake_ecn_grant(s, cc_of(s, l));
	hs->ts_offset = mg_isn_ts_offset(&s->key, &seg->tuple);
}

uint64_t mg_embryo_rto_ns(const struct mg_slow *s, uint32_t retries)
{
	uint64_t ns = mg_ms_to_ns(s->conf.rto_initial_ms) << mg_min_u32(retries, 20);

	return mg_min_u64(ns, mg_max_u64(mg_ms_to_ns(s->conf.rto_max_ms), 1));
}

uint32_t mg_embryo_iss(const struct mg_slow *s, const struct mg_tuple *tuple, uint32_t floor_iss)
{
	uint32_t iss = mg_isn_make(&s->key, tuple, s->now_ns);

	return floor_iss != 0 && mg_seq_lt(iss, floor_iss) ? floor_iss : iss;
}

/* cookie: of Fast Open; NULL or empty: none. */
static void send_synack_first(struct mg_slow *s, struct mg_embryo *e,
			      const struct mg_tfo_cookie *cookie)
{
	struct mg_synack a = {
		.tuple = &e->node.tuple,
		.hs = &e->hs,
		.rcvbuf_bytes = e->rcvbuf_bytes,
		.tsval = mg_tsval(s, e->hs.ts_offset),
		.cookie = cookie,
	};

	mg_handshake_send(s, &a);
}

static void send_synack(struct mg_slow *s, struct mg_embryo *e)
{
	send_synack_first(s, e, NULL);
}

/* No room: the peer keeps the state. */
static void send_cookie(struct mg_slow *s, struct mg_listener *l, const struct mg_in *in)
{
	const struct mg_seg *seg = in->seg;
	struct mg_handshake hs = { 0 };
	struct mg_cookie ck = { 0 };
	uint32_t tsval;

	mg_embryo_read_syn(s, l, seg, &hs);
	if ((hs.opts & MG_SEG_OPT_TS) == 0) {
		hs.opts = 0; /* nothing to carry them */
		hs.ecn = 0;
		hs.rcv_ws = 0;
	}
	ck.has_sack = (hs.opts & MG_SEG_OPT_SACK_PERM) != 0;
	ck.has_ws = (hs.opts & MG_SEG_OPT_WS) != 0;
	ck.ws = hs.snd_ws;
	ck.has_ecn = hs.ecn != 0;
	tsval = mg_cookie_tsval(mg_tsval(s, hs.ts_offset), &ck);
	hs.iss = mg_cookie_make(&s->key, &seg->tuple, seg->seq, hs.mss, s->now_ns);
	l->cookie_until_ns = s->now_ns + COOKIE_LIFE_NS;
	s->stats.cookies_sent++;
	mg_handshake_send_synack(s, &seg->tuple, &hs, l->rcvbuf_bytes, tsval);
}

static bool take_embryo(struct mg_slow *s, const struct mg_listener *l, uint32_t *ret_idx)
{
	uint32_t gen;

	if (s->conf.syn_cookies_always)
		return false;
	if (s->conf.syn_cookies &&
	    l->nr_embryos >= mg_max_u32(l->backlog, EMBRYOS_PER_LISTENER_MIN))
		return false;
	return mg_pool_alloc(&s->embryo_pool, ret_idx, &gen) == 0;
}

void mg_embryo_syn(struct mg_slow *s, struct mg_listener *l, const struct mg_in *in,
		   uint32_t floor_iss)
{
	const struct mg_seg *seg = in->seg;
	struct mg_tfo_cookie cookie;
	struct mg_embryo *e;
	uint32_t idx;

	s->stats.syn_in++;
	if (seg->flags & MG_TCP_FIN) {
		s->stats.syn_dropped_flags++;
		return;
	}
	if (mg_listener_is_full(l)) {
		s->stats.syn_dropped_backlog++;
		l->dropped++;
		return;
	}
	if (mg_fastopen_syn(s, l, in, floor_iss, &cookie))
		return;
	if (!take_embryo(s, l, &idx)) {
		if (s->conf.syn_cookies) {
			send_cookie(s, l, in);
			return;
		}
		s->stats.syn_dropped_embryos++;
		l->dropped++;
		return;
	}
	e = &s->embryos[idx];
	memset(e, 0, sizeof(*e));
	mg_embryo_read_syn(s, l, seg, &e->hs);
	e->hs.iss = mg_embryo_iss(s, &seg->tuple, floor_iss);
	e->listener = l->id;
	e->rcvbuf_bytes = l->rcvbuf_bytes;
	e->sent_ns = s->now_ns;
	e->state = MG_TCP_LISTEN;
	mg_state_set(&s->states, &e->state, MG_TCP_SYN_RECEIVED);
	mg_tuples_add(&s->tuples, mg_tuples_ref(MG_TUPLES_EMBRYO, idx), &seg->tuple);
	l->nr_embryos++;
	mg_wheel_arm(&s->wheel, s->timer.embryos + idx,
		     mg_time_after(s->now_ns, mg_embryo_rto_ns(s, 0)));
	send_synack_first(s, e, &cookie);
}

void mg_embryo_drop(struct mg_slow *s, uint32_t idx)
{
	struct mg_listener *l = mg_listener_by_id(s, s->embryos[idx].listener);

	if (l != NULL)
		l->nr_embryos--;
	mg_wheel_cancel(&s->wheel, s->timer.embryos + idx);
	mg_tuples_remove(&s->tuples, mg_tuples_ref(MG_TUPLES_EMBRYO, idx));
	mg_pool_free(&s->embryo_pool, idx);
}

void mg_embryo_drop_all_of(struct mg_slow *s, uint32_t listener_id)
{
	for (uint32_t i = 0; i < s->embryo_pool.nr_touched; i++)
		if (mg_pool_is_live(&s->embryo_pool, i) && s->embryos[i].listener == listener_id)
			mg_embryo_drop(s, i);
}

/* Its ACK came without data, and it may wait for some beyond `more` further time-outs. */
static bool is_deferred(struct mg_slow *s, const struct mg_embryo *e, uint32_t more)
{
	const struct mg_listener *l = mg_listener_by_id(s, e->listener);

	return e->acked && l != NULL && e->timeouts + more < l->defer;
}

/* RFC 4987 3.3: when the table fills up, who does not answer soon makes room for others. */
static uint32_t synacks_again(const struct mg_slow *s)
{
	uint32_t used = s->embryo_pool.nr_used, max = s->embryo_pool.count;

	if (used <= max / 2)
		return s->conf.synack_retries;
	return mg_min_u32(s->conf.synack_retries, used <= max - max / 4 ? 2 : 1);
}

void mg_embryo_timer(struct mg_slow *s, uint32_t idx)
{
	struct mg_embryo *e = &s->embryos[idx];
	bool must_send;

	if (!mg_pool_is_live(&s->embryo_pool, idx))
		return;
	if (e->timeouts >= synacks_again(s) && !is_deferred(s, e, 0)) {
		s->stats.embryos_timed_out++;
		mg_embryo_drop(s, idx);
		return;
	}
	/* The last SYN-ACK of the wait brings an ACK that will be taken. */
	must_send = !is_deferred(s, e, 1);
	e->timeouts = (uint8_t)mg_min_u32(e->timeouts + 1u, UINT8_MAX);
	mg_wheel_arm(&s->wheel, s->timer.embryos + idx,
		     mg_time_after(s->now_ns, mg_embryo_rto_ns(s, e->timeouts)));
	if (!must_send)
		return;
	e->retries = (uint8_t)mg_min_u32(e->retries + 1u, UINT8_MAX);
	s->stats.synack_retrans++;
	send_synack(s, e);
}

struct mg_conn *mg_embryo_conn(struct mg_slow *s, struct mg_listener *l,
			       const struct mg_handshake *hs, const struct mg_seg *seg)
{
	struct mg_slow_app *a = &s->apps[l->app];
	struct mg_conn *c;

	if (a->state != MG_APP_LIVE || mg_conn_new(s, a, &c) < 0)
		return NULL;
	c->hs = *hs;
	c->cc.ops = l->cc_ops;
	c->context = mg_listener_next_context(l);
	c->contexts = 1u << c->context;
	c->cookie = l->cookie;
	c->flags |= MG_CONN_PASSIVE | MG_CONN_QUEUED | l->conn_flags;
	c->rcvbuf_bytes = l->rcvbuf_bytes;
	c->sndbuf_bytes = l->sndbuf_bytes;
	c->adv_bytes = mg_handshake_syn_wnd(l->rcvbuf_bytes);
	c->snd_mss = mg_handshake_snd_mss(s, &seg->tuple, hs, 0);
	if (hs->ttl != 0)
		c->ttl = hs->ttl;
	if (hs->tos != 0)
		c->tos = hs->tos;
	c->state = MG_TCP_SYN_RECEIVED;
	mg_conn_hash(s, c, &seg->tuple);
	if (mg_conn_open_window(s, c, MG_SHM_ST_OPEN) < 0) {
		mg_conn_free(s, c);
		return NULL;
	}
	return c;
}

/* By route, or back where the segment came from. */
void mg_embryo_path(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in)
{
	struct mg_hop hop;

	c->port = in->port;
	if (mg_routes_hop(&s->routes, &c->node.tuple.laddr, &c->node.tuple.raddr, &hop) == 0) {
		c->port = hop.port;
		c->neigh = mg_neigh_get(s, &hop);
		mg_neigh_hold(s, c->neigh);
	}
	if (!mg_neigh_mac(s, c->neigh, &c->dmac) && in->seg->l2 != NULL)
		memcpy(c->dmac.b, in->seg->l2 + sizeof(c->dmac.b), sizeof(c->dmac.b));
}

struct establish {
	struct mg_handshake hs;
	uint32_t rtt_us;
	bool syn_lost;
};

/* SYN-RECEIVED to ESTABLISHED; false when there is no room: the ACK is ignored, the SYN-ACK comes again. */
static bool establish(struct mg_slow *s, struct mg_listener *l, const struct establish *how,
		      const struct mg_in *in)
{
	struct mg_conn *c = mg_embryo_conn(s, l, &how->hs, in->seg);

	if (c == NULL) {
		s->stats.ack_ignored_room++;
		l->dropped++;
		return false;
	}
	if (how->syn_lost)
		c->flags |= MG_CONN_SYN_LOST;
	if (in->seg->opts & how->hs.opts & MG_SEG_OPT_TS && in->seg->seq == how->hs.irs + 1)
		c->hs.ts_recent = in->seg->tsval;
	mg_conn_set_state(s, c, MG_TCP_ESTABLISHED);
	mg_embryo_path(s, c, in);
	s->stats.established_passive++;
	mg_conn_install(s, c, in->seg, how->rtt_us);
	mg_listener_enqueue(s, l, c);
	if (in->seg->payload_len > 0 || (in->seg->flags & (MG_TCP_FIN | MG_TCP_URG)) != 0 ||
	    in->seg->seq != how->hs.irs + 1)
		mg_input_reinject(s, c, in);
	return true;
}

/* Nothing behind the SYN: neither data nor FIN. */
static bool is_bare(const struct mg_seg *seg)
{
	return seg->payload_len == 0 && (seg->flags & MG_TCP_FIN) == 0;
}

/* 0: a SYN-ACK was sent again, and nobody knows which one is acknowledged (Karn). */
static uint32_t round_trip_us(const struct mg_slow *s, const struct mg_embryo *e)
{
	uint64_t took_ns = e->acked ? e->sent_ns : s->now_ns - e->sent_ns;

	if (e->retries > 0)
		return 0;
	return (uint32_t)mg_clamp_u64(mg_ns_to_us(took_ns), 1, UINT32_MAX / 8);
}

static void final_ack(struct mg_slow *s, uint32_t idx, const struct mg_in *in)
{
	struct mg_embryo *e = &s->embryos[idx];
	struct mg_listener *l = mg_listener_by_id(s, e->listener);
	struct mg_embryo old = *e;
	struct establish how = { .hs = e->hs, .syn_lost = e->retries > 0 };

	MG_ASSERT(l != NULL);
	if (mg_listener_is_full(l)) {
		s->stats.ack_ignored_backlog++;
		l->dropped++;
		return;
	}
	if (e->timeouts < l->defer && is_bare(in->seg)) {
		if (!e->acked)
			e->sent_ns = s->now_ns - e->sent_ns;
		e->acked = true;
		s->stats.ack_deferred++;
		return;
	}
	how.rtt_us = round_trip_us(s, e);
	/* the tuple has one holder: the embryo goes first, and comes back if there is no room */
	mg_tuples_remove(&s->tuples, mg_tuples_ref(MG_TUPLES_EMBRYO, idx));
	if (!establish(s, l, &how, in)) {
		mg_tuples_add(&s->tuples, mg_tuples_ref(MG_TUPLES_EMBRYO, idx), &old.node.tuple);
		return;
	}
	l->nr_embryos--;
	mg_wheel_cancel(&s->wheel, s->timer.embryos + idx);
	mg_pool_free(&s->embryo_pool, idx);
}

static void repeat_synack(struct mg_slow *s, struct mg_embryo *e, const struct mg_seg *seg)
{
	if (!ecn_is_offered(seg)) /* the peer fell back, and so do we (RFC 3168 6.1.1) */
		e->hs.ecn = MG_HANDSHAKE_NO_ECN;
	s->stats.syn_retrans_in++;
	if (!mg_input_may_challenge(s))
		return;
	s->stats.synack_retrans++;
	e->retries = (uint8_t)mg_max_u32(e->retries, 1); /* no round trip from this one (Karn) */
	send_synack(s, e);
}

static void challenge(struct mg_slow *s, const struct mg_embryo *e)
{
	if (!mg_input_may_challenge(s))
		return;
	mg_handshake_send_ack(s, &e->node.tuple, &e->hs, e->hs.iss + 1, e->hs.irs + 1,
			      mg_handshake_syn_wnd(e->rcvbuf_bytes));
}

/* RFC 7323 5.2 R1 and 3.2: false, the segment is to be dropped. */
static bool timestamp_is_good(struct mg_slow *s, const struct mg_embryo *e,
			      const struct mg_seg *seg)
{
	if ((e->hs.opts & MG_SEG_OPT_TS) == 0 || (seg->flags & MG_TCP_RST) != 0)
		return true;
	if ((seg->opts & MG_SEG_OPT_TS) == 0) {
		s->stats.drop_no_timestamp++;
		return false;
	}
	if (mg_seq_lt(seg->tsval, e->hs.ts_recent)) {
		s->stats.drop_paws++;
		challenge(s, e);
		return false;
	}
	return true;
}

/* RFC 9293 3.10.7.4 for SYN-RECEIVED of a passive open, RFC 5961 3.2 for its resets. */
void mg_embryo_input(struct mg_slow *s, uint32_t idx, const struct mg_in *in)
{
	struct mg_embryo *e = &s->embryos[idx];
	const struct mg_seg *seg = in->seg;
	uint32_t rcv_nxt = e->hs.irs + 1;

	if ((seg->flags & (MG_TCP_SYN | MG_TCP_ACK | MG_TCP_RST)) == MG_TCP_SYN &&
	    seg->seq == e->hs.irs) {
		repeat_synack(s, e, seg);
		return;
	}
	if (!timestamp_is_good(s, e, seg))
		return;
	if (!mg_input_is_acceptable(seg, rcv_nxt, mg_handshake_syn_wnd(e->rcvbuf_bytes))) {
		s->stats.drop_stray++;
		if ((seg->flags & MG_TCP_RST) == 0)
			challenge(s, e);
		return;
	}
	if (seg->flags & MG_TCP_RST) {
		if (seg->seq == rcv_nxt) {
			s->stats.embryos_reset++;
			mg_embryo_drop(s, idx);
		} else {
			challenge(s, e);
		}
		return;
	}
	if (seg->flags & MG_TCP_SYN) {
		mg_embryo_drop(s, idx); /* back to LISTEN: the peer begins anew */
		return;
	}
	if ((seg->flags & MG_TCP_ACK) == 0) {
		s->stats.drop_stray++;
		return;
	}
	if (seg->ack != e->hs.iss + 1) {
		s->stats.ack_invalid++;
		mg_input_reset(s, seg);
		return;
	}
	final_ack(s, idx, in);
}

bool mg_embryo_cookie_ack(struct mg_slow *s, struct mg_listener *l, const struct mg_in *in)
{
	const struct mg_seg *seg = in->seg;
	struct establish how = { .syn_lost = false };
	struct mg_cookie ck = { 0 };

	if (!s->conf.syn_cookies || s->now_ns >= l->cookie_until_ns)
		return false;
	how.hs.irs = seg->seq - 1;
	how.hs.iss = seg->ack - 1;
	if (!mg_cookie_check(&s->key, &seg->tuple, how.hs.irs, how.hs.iss, s->now_ns, &ck.mss)) {
		s->stats.cookies_failed++;
		return false;
	}
	how.hs.ts_offset = mg_isn_ts_offset(&s->key, &seg->tuple);
	how.hs.ttl = l->ttl;
	how.hs.tos = l->tos;
	how.hs.mss = ck.mss;
	how.hs.wnd = seg->wnd;
	if (seg->opts & MG_SEG_OPT_TS && s->conf.timestamps) {
		mg_cookie_options(seg->tsecr, &ck);
		how.hs.opts = MG_SEG_OPT_TS;
		how.hs.ts_recent = seg->tsval;
		if (ck.has_sack && s->conf.sack)
			how.hs.opts |= MG_SEG_OPT_SACK_PERM;
		if (ck.has_ws && s->conf.window_scale != 0xff) {
			how.hs.opts |= MG_SEG_OPT_WS;
			how.hs.snd_ws = ck.ws;
			how.hs.rcv_ws = mg_handshake_rcv_ws(s);
		}
		if (ck.has_ecn)
			how.hs.ecn = mg_handshake_ecn_grant(s,
							    mg_cc_find(s->conf.congestion_control));
	}
	s->stats.cookies_accepted++;
	if (mg_listener_is_full(l)) {
		s->stats.ack_ignored_backlog++;
		l->dropped++;
		return true;
	}
	(void)establish(s, l, &how,
			in); /* no room: the peer's data or keepalive brings the cookie again */
	return true;
}
