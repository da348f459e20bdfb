/* SPDX-License-Identifier: Apache-2.0 */
/* input.c - see input.h. */
#include "slowpath/core/input.h"

#include "proto/base/assert.h"
#include "proto/base/seq.h"
#include "proto/wire/eth.h"
#include "slowpath/core/engine.h"

#define REINJECT_PER_S \
	100000 /* per connection: a segment that finds no flow again and again must not spin */

bool mg_input_is_acceptable(const struct mg_seg *seg, uint32_t rcv_nxt, uint32_t rcv_wnd)
{
	uint32_t len = mg_seg_len(seg);

	if (rcv_wnd == 0)
		return len == 0 && seg->seq == rcv_nxt;
	if (mg_seq_between(seg->seq, rcv_nxt, rcv_nxt + rcv_wnd))
		return true;
	return len > 0 && mg_seq_between(seg->seq + len - 1, rcv_nxt, rcv_nxt + rcv_wnd);
}

bool mg_input_may_challenge(struct mg_slow *s)
{
	if (!mg_limit_pass(&s->challenge_limit, s->conf.challenge_ack_per_s, s->now_ns)) {
		s->stats.challenge_acks_limited++;
		return false;
	}
	s->stats.challenge_acks++;
	return true;
}

void mg_input_reset(struct mg_slow *s, const struct mg_seg *seg)
{
	struct mg_out_seg o = { .tuple = &seg->tuple, .flags = MG_TCP_RST };

	if (seg->flags & MG_TCP_RST)
		return;
	if (!mg_peer_is_valid(s, &seg->tuple.raddr)) {
		s->stats.drop_bad_source++;
		return;
	}
	if (!mg_limit_pass(&s->reset_limit, MG_SLOW_RESETS_PER_S, s->now_ns)) {
		s->stats.resets_limited++;
		return;
	}
	if (seg->flags & MG_TCP_ACK) {
		o.seq = seg->ack;
	} else {
		o.ack = seg->seq + mg_seg_len(seg);
		o.flags |= MG_TCP_ACK;
	}
	s->stats.resets_out++;
	mg_tcp_out(s, &o);
}

void mg_input_reinject(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in)
{
	struct mg_msg_packet *out = mg_slow_out(s);
	uint32_t bytes = in->pkt->bytes;

	if ((c->flow != MG_CONN_FLOW_LIVE && c->flow != MG_CONN_FLOW_REMOVING) ||
	    bytes > MG_SLOW_FRAME_MAX ||
	    !mg_limit_pass(&c->reinject_limit, REINJECT_PER_S, s->now_ns)) {
		s->stats.drop_reinject++;
		return;
	}
	*out = *in->pkt;
	out->msg.type = MG_CMD_REINJECT;
	out->msg.len = (uint32_t)sizeof(*out) + bytes;
	out->msg.flow = c->idx;
	out->msg.gen = c->gen;
	out->reason = 0;
	memcpy(out->data, in->pkt->data, bytes);
	if (s->env.command(s->env.ctx, c->worker, &out->msg))
		s->stats.reinjected++;
	else
		s->stats.drop_reinject++;
}

void mg_input_listen(struct mg_slow *s, const struct mg_in *in, uint32_t floor_iss)
{
	const struct mg_seg *seg = in->seg;
	struct mg_listener *l = mg_listener_find(s, &seg->tuple,
						 mg_tuple_hash(&seg->tuple, s->tuples.seed));

	if (seg->flags & MG_TCP_RST)
		return;
	if (l == NULL) {
		mg_input_reset(s, seg);
		return;
	}
	if (seg->flags & MG_TCP_ACK) {
		if ((seg->flags & MG_TCP_SYN) != 0 || !mg_embryo_cookie_ack(s, l, in))
			mg_input_reset(s, seg);
		return;
	}
	if ((seg->flags & MG_TCP_SYN) == 0) {
		s->stats.drop_stray++;
		return;
	}
	if (!mg_peer_is_valid(s, &seg->tuple.raddr)) {
		s->stats.drop_bad_source++;
		return;
	}
	mg_embryo_syn(s, l, in, floor_iss);
}

/* A segment for a connection that the worker should have known. */
static void conn_input(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in)
{
	if (c->flow == MG_CONN_FLOW_NONE) {
		mg_active_input(s, c, in);
		return;
	}
	/*
	 * The worker lets go, and its word is on the way: by way of the worker the segment comes back behind that
	 * word, and finds TIME-WAIT.
	 */
	if (c->flow == MG_CONN_FLOW_REMOVING && c->state == MG_TCP_TIME_WAIT) {
		mg_input_reinject(s, c, in);
		return;
	}
	if (c->flow == MG_CONN_FLOW_REMOVING || in->pkt->reason == MG_PKT_FLOW_STOPPED) {
		s->stats.drop_flow_stopped++;
		return;
	}
	if (in->pkt->reason == MG_PKT_EXCEPTION && (c->flags & MG_CONN_TFO) != 0) {
		mg_fastopen_input(s, c, in);
		return;
	}
	if (in->pkt->reason == MG_PKT_EXCEPTION) {
		s->stats.drop_flow_exception++;
		return;
	}
	mg_input_reinject(s, c, in); /* it was on its way when INSTALL was */
}

static void tcp_input(struct mg_slow *s, const struct mg_in *in)
{
	const struct mg_seg *seg = in->seg;
	struct mg_mac dst;
	uint32_t ref;

	if (seg->l2 != NULL) {
		memcpy(dst.b, seg->l2, sizeof(dst.b));
		if (mg_mac_is_multicast(&dst)) {
			s->stats.drop_l2_broadcast++;
			return;
		}
	}
	/* Nobody but us sends from our addresses, and not by a wire. */
	if (s->routes.has_local && in->port != s->routes.local_port &&
	    (mg_addr_is_loopback(&seg->tuple.raddr) ||
	     mg_routes_is_local(&s->routes, &seg->tuple.raddr))) {
		s->stats.drop_martian++;
		return;
	}
	if (!mg_routes_is_for(&s->routes, &seg->tuple.laddr, in->port)) {
		s->stats.drop_not_ours++;
		return;
	}
	ref = mg_tuples_find(&s->tuples, &seg->tuple);
	if (ref == MG_TUPLES_NONE)
		mg_input_listen(s, in, 0);
	else if (mg_tuples_kind(ref) == MG_TUPLES_CONN)
		conn_input(s, &s->conns[mg_tuples_index(ref)], in);
	else if (mg_tuples_kind(ref) == MG_TUPLES_EMBRYO)
		mg_embryo_input(s, mg_tuples_index(ref), in);
	else
		mg_timewait_input(s, mg_tuples_index(ref), in);
}

void mg_input_packet(struct mg_slow *s, uint32_t worker, const struct mg_msg_packet *pkt)
{
	struct mg_frame_view fv;
	uint32_t rx_flags = 0;

	s->stats.packets_in++;
	if (pkt->msg.port >= s->routes.nr_ports || pkt->bytes > pkt->msg.len - sizeof(*pkt)) {
		s->stats.drop_parse++;
		return;
	}
	if (pkt->flags & MG_PKT_CSUM_OK)
		rx_flags |= MG_RX_L3_CSUM_OK | MG_RX_L4_CSUM_OK;
	if (!s->routes.ports[pkt->msg.port].has_l2)
		rx_flags |= MG_RX_NO_L2;
	if (mg_wire_parse_frame(pkt->data, pkt->bytes, rx_flags, &fv) < 0) {
		s->stats.drop_parse++;
		return;
	}
	switch (fv.kind) {
	case MG_FRAME_TCP: {
		struct mg_in in = {
			.seg = &fv.seg, .pkt = pkt, .worker = worker, .port = pkt->msg.port
		};

		tcp_input(s, &in);
		break;
	}
	case MG_FRAME_ARP:
		mg_arp_input(s, &fv.arp, pkt->msg.port);
		break;
	case MG_FRAME_ND:
		mg_nd_input(s, pkt, &fv);
		break;
	case MG_FRAME_ICMP:
		mg_icmp_input(s, &fv, pkt->msg.port);
		break;
	case MG_FRAME_FRAGMENT:
		mg_frag_input(s, worker, &fv, pkt);
		break;
	default:
		s->stats.drop_ip_other++;
		break;
	}
}
