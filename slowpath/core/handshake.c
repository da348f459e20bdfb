/* SPDX-License-Identifier: Apache-2.0 */
/* handshake.c - see handshake.h. */
#include "slowpath/core/handshake.h"

#include "proto/wire/checksum.h"
#include "proto/wire/ipv6.h"
#include "proto/wire/tcp.h"
#include "slowpath/core/engine.h"

/* Copied first, then summed: its owner may write it meanwhile. */
static void put_data(uint8_t *at, const struct mg_out_seg *o, struct mg_frame_spec *spec)
{
	if (o->data_bytes == 0)
		return;
	memcpy(at, o->data, o->data_bytes);
	spec->payload_len = o->data_bytes;
	spec->payload_sum = mg_csum_add(0, at, o->data_bytes);
}

void mg_tcp_out(struct mg_slow *s, const struct mg_out_seg *o)
{
	struct mg_msg_packet *out = mg_slow_out(s);
	struct mg_frame_spec spec = {
		.src = &o->tuple->laddr,
		.dst = &o->tuple->raddr,
		.ttl = o->ttl != 0 ? o->ttl : s->conf.ttl,
		.tos = (uint8_t)(o->tos != 0 ? o->tos : s->conf.dscp << 2),
		.csum = MG_TX_CSUM_FULL,
		.flow_label = mg_wire_ipv6_flow_label(o->tuple, s->lim.hash_seed),
		.tcp = {
			.sport = o->tuple->lport,
			.dport = o->tuple->rport,
			.seq = o->seq,
			.ack = o->ack,
			.flags = o->flags,
			.wnd = o->wnd,
			.mss = o->mss,
			.tsval = o->tsval,
			.tsecr = o->tsecr,
			.opts = o->opts,
			.ws = o->ws,
		},
	};
	struct mg_hop hop;
	uint32_t len;

	if (o->cookie != NULL) {
		spec.tcp.tfo = o->cookie->b;
		spec.tcp.tfo_len = o->cookie->len;
	}
	if (mg_routes_hop(&s->routes, &o->tuple->laddr, &o->tuple->raddr, &hop) < 0) {
		s->stats.drop_no_route++;
		return;
	}
	if (!mg_routes_is_local(&s->routes, &o->tuple->laddr)) {
		s->stats.drop_tentative++;
		return;
	}
	if (s->routes.ports[hop.port].has_l2) {
		spec.smac = s->routes.ports[hop.port].mac;
		put_data(out->data + mg_wire_eth_ip_tcp_hdr_len(&spec), o, &spec);
		len = mg_wire_emit_eth_ip_tcp(out->data, &spec);
	} else {
		put_data(out->data + mg_wire_ip_tcp_hdr_len(&spec), o, &spec);
		len = mg_wire_emit_ip_tcp(out->data, &spec);
	}
	len += o->data_bytes;
	mg_neigh_output(s, &hop, mg_slow_worker_of(s, o->tuple), len);
}

uint32_t mg_tsval(const struct mg_slow *s, uint32_t ts_offset)
{
	return (uint32_t)mg_ns_to_ms(s->now_ns) + ts_offset;
}

uint32_t mg_handshake_headers(const struct mg_tuple *tuple)
{
	return mg_addr_is_v4(&tuple->raddr) ? MG_IPV4_HLEN + MG_TCP_HLEN
					    : MG_IPV6_HLEN + MG_TCP_HLEN;
}

static uint16_t mss_of_mtu(const struct mg_slow *s, const struct mg_tuple *tuple, uint32_t mtu)
{
	uint32_t mss = mg_clamp_u32(mg_sub_sat_u32(mtu, mg_handshake_headers(tuple)), 28,
				    UINT16_MAX);

	if (s->conf.mss != 0)
		mss = mg_min_u32(mss, s->conf.mss);
	return (uint16_t)mss;
}

uint16_t mg_handshake_mss(const struct mg_slow *s, const struct mg_tuple *tuple)
{
	struct mg_hop hop;
	uint32_t mtu = mg_addr_is_v4(&tuple->raddr) ? 576 : MG_IPV6_MTU_MIN;

	/* what we can receive depends on our port, not on the path (RFC 9293 3.7.1) */
	if (mg_routes_hop(&s->routes, &tuple->laddr, &tuple->raddr, &hop) == 0)
		mtu = s->routes.ports[hop.port].mtu;
	return mss_of_mtu(s, tuple, mtu);
}

uint16_t mg_handshake_snd_mss(const struct mg_slow *s, const struct mg_tuple *tuple,
			      const struct mg_handshake *hs, uint32_t mss_max)
{
	return mg_handshake_snd_mss_at(s, tuple, hs, mss_max, mg_pmtu_of(s, &tuple->raddr));
}

uint16_t mg_handshake_snd_mss_at(const struct mg_slow *s, const struct mg_tuple *tuple,
				 const struct mg_handshake *hs, uint32_t mss_max, uint32_t mtu)
{
	uint32_t mss = mg_min_u32(hs->mss, mss_of_mtu(s, tuple, mtu));

	if (mss_max != 0)
		mss = mg_min_u32(mss, mss_max);
	if (hs->opts & MG_SEG_OPT_TS)
		mss = mg_max_u32(mss, 12 + 16) - 12;
	return (uint16_t)mss;
}

uint8_t mg_handshake_rcv_ws(const struct mg_slow *s)
{
	uint8_t most = s->conf.window_scale > MG_TCP_WS_MAX ? MG_TCP_WS_MAX : s->conf.window_scale;
	uint8_t ws = 0;

	while (ws < most && s->conf.rcvbuf_max_bytes >> ws > UINT16_MAX)
		ws++;
	return ws;
}

uint8_t mg_handshake_offer(const struct mg_slow *s)
{
	uint32_t opts = MG_SEG_OPT_MSS;

	if (s->conf.window_scale != 0xff)
		opts |= MG_SEG_OPT_WS;
	if (s->conf.sack)
		opts |= MG_SEG_OPT_SACK_PERM;
	if (s->conf.timestamps)
		opts |= MG_SEG_OPT_TS;
	return (uint8_t)opts;
}

void mg_handshake_read(const struct mg_slow *s, const struct mg_seg *seg, struct mg_handshake *hs)
{
	bool v4 = mg_addr_is_v4(&seg->tuple.raddr);

	hs->irs = seg->seq;
	hs->wnd = seg->wnd;
	hs->opts = (uint8_t)(seg->opts & mg_handshake_offer(s) & ~(uint32_t)MG_SEG_OPT_MSS);
	hs->mss = v4 ? MG_MSS_DEFAULT_V4 : MG_MSS_DEFAULT_V6;
	if (seg->opts & MG_SEG_OPT_MSS)
		hs->mss = seg->mss < MG_MSS_MIN ? MG_MSS_MIN : seg->mss;
	hs->snd_ws = 0;
	hs->rcv_ws = 0;
	if (hs->opts & MG_SEG_OPT_WS) {
		hs->snd_ws = seg->ws > MG_TCP_WS_MAX ? MG_TCP_WS_MAX : seg->ws; /* RFC 7323 2.3 */
		hs->rcv_ws = mg_handshake_rcv_ws(s);
	}
	hs->ts_recent = hs->opts & MG_SEG_OPT_TS ? seg->tsval : 0;
	hs->ecn = 0;
}

static bool needs_ecn(const struct mg_cc_ops *ops)
{
	return ops != NULL && (ops->flags & MG_CC_NEEDS_ECN) != 0;
}

static uint8_t ecn_kind(const struct mg_slow *s, const struct mg_cc_ops *ops)
{
	return needs_ecn(ops) && s->conf.ecn_everywhere ? MG_HANDSHAKE_ECN_ECT : MG_HANDSHAKE_ECN;
}

uint8_t mg_handshake_ecn_grant(const struct mg_slow *s, const struct mg_cc_ops *ops)
{
	if (s->conf.ecn == MG_SLOW_ECN_OFF && !needs_ecn(ops))
		return MG_HANDSHAKE_NO_ECN;
	return ecn_kind(s, ops);
}

uint8_t mg_handshake_ecn_ask(const struct mg_slow *s, const struct mg_cc_ops *ops)
{
	if (s->conf.ecn != MG_SLOW_ECN_ON && !needs_ecn(ops))
		return MG_HANDSHAKE_NO_ECN;
	return ecn_kind(s, ops);
}

uint16_t mg_handshake_syn_wnd(uint32_t rcvbuf_bytes)
{
	return (uint16_t)mg_min_u32(rcvbuf_bytes, UINT16_MAX);
}

void mg_handshake_send(struct mg_slow *s, const struct mg_synack *a)
{
	const struct mg_handshake *hs = a->hs;
	struct mg_out_seg o = {
		.tuple = a->tuple,
		.seq = hs->iss,
		.ack = hs->irs + 1 + a->data_bytes,
		.flags = (uint16_t)(MG_TCP_SYN | MG_TCP_ACK | (hs->ecn ? MG_TCP_ECE : 0)),
		.wnd = mg_handshake_syn_wnd(a->rcvbuf_bytes),
		.mss = mg_handshake_mss(s, a->tuple),
		.opts = hs->opts | MG_SEG_OPT_MSS,
		.ws = hs->rcv_ws,
		.tsval = a->tsval,
		.tsecr = hs->ts_recent,
		.ttl = hs->ttl,
		.tos = hs->tos,
	};

	o.wnd = (uint16_t)(o.wnd - mg_min_u32(o.wnd, a->data_bytes)); /* it lies in the buffer */
	if (hs->ecn == MG_HANDSHAKE_ECN_ECT)
		o.tos = (uint8_t)((o.tos != 0 ? o.tos : s->conf.dscp << 2) | MG_ECN_ECT0);
	if (a->cookie != NULL && a->cookie->len > 0) {
		o.opts |= MG_SEG_OPT_TFO;
		o.cookie = a->cookie;
	}
	s->stats.synack_out++;
	mg_tcp_out(s, &o);
}

void mg_handshake_send_synack(struct mg_slow *s, const struct mg_tuple *tuple,
			      const struct mg_handshake *hs, uint32_t rcvbuf_bytes, uint32_t tsval)
{
	struct mg_synack a = {
		.tuple = tuple, .hs = hs, .rcvbuf_bytes = rcvbuf_bytes, .tsval = tsval
	};

	mg_handshake_send(s, &a);
}

void mg_handshake_send_ack(struct mg_slow *s, const struct mg_tuple *tuple,
			   const struct mg_handshake *hs, uint32_t seq, uint32_t ack, uint16_t wnd)
{
	struct mg_out_seg o = {
		.tuple = tuple,
		.seq = seq,
		.ack = ack,
		.flags = MG_TCP_ACK,
		.wnd = wnd,
		.opts = hs->opts & MG_SEG_OPT_TS,
		.tsval = mg_tsval(s, hs->ts_offset),
		.tsecr = hs->ts_recent,
		.ttl = hs->ttl,
		.tos = hs->tos,
	};

	mg_tcp_out(s, &o);
}

static uint32_t buf_of(uint32_t asked, uint32_t deflt, uint32_t max)
{
	uint32_t most = mg_max_u32(max, MG_PAYLOAD_UNIT_BYTES);
	uint32_t bytes = mg_clamp_u32(asked != 0 ? asked : deflt, MG_PAYLOAD_UNIT_BYTES, most);

	if (bytes > 1u << 30)
		return 1u << 30;
	bytes = mg_pow2_up_u32(bytes);
	return bytes > most ? bytes / 2 : bytes;
}

uint32_t mg_rcvbuf_of(const struct mg_slow *s, uint32_t asked_bytes)
{
	return buf_of(asked_bytes, s->conf.rcvbuf_bytes, s->conf.rcvbuf_max_bytes);
}

uint32_t mg_sndbuf_of(const struct mg_slow *s, uint32_t asked_bytes)
{
	return buf_of(asked_bytes, s->conf.sndbuf_bytes, s->conf.sndbuf_max_bytes);
}

bool mg_peer_is_valid(const struct mg_slow *s, const struct mg_addr *addr)
{
	return mg_source_is_valid(s, addr) ||
	       (s->routes.has_local && mg_routes_is_local(&s->routes, addr));
}

bool mg_source_is_valid(const struct mg_slow *s, const struct mg_addr *src)
{
	if (mg_addr_is_any(src) || mg_addr_is_multicast(src) || mg_addr_is_loopback(src))
		return false;
	if (mg_addr_is_v4(src) && mg_addr_to_v4(src) >> 24 == 0)
		return false;
	return !mg_routes_is_broadcast(&s->routes, src) && !mg_routes_is_local(&s->routes, src);
}
