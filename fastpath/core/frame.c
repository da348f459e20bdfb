/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.c - writes frames from a flow's template; see frame.h.
 */
#include "fastpath/core/frame.h"

#include "fastpath/core/engine.h"
#include "fastpath/core/rwnd.h"
#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/tcp.h"

#define TS_OPT_LEN 12
#define LEND_MIN 512 /* copying fewer bytes costs less than another piece */

/* The sums over the template; after every change to it. */
static void resum(struct mg_flow *f)
{
	const uint8_t *ip = f->tmpl + f->l2_len;

	f->pseudo_sum = mg_csum_pseudo(&f->tuple.laddr, &f->tuple.raddr, MG_IPPROTO_TCP, 0);
	f->ip_sum = f->is_v6 ? 0 : mg_csum_add(0, ip, MG_IPV4_HLEN);
}

void mg_frame_template(struct mg_fp *fp, struct mg_flow *f, const struct mg_cmd_install *cmd)
{
	bool l2 = mg_fp_port_of(fp, f)->has_l2;
	struct mg_frame_spec spec = {
		.dmac = cmd->dmac,
		.smac = cmd->smac,
		.src = &f->tuple.laddr,
		.dst = &f->tuple.raddr,
		.ttl = cmd->ttl,
		.tos = (uint8_t)(cmd->tos & 0xfc),
		.csum = MG_TX_CSUM_NONE,
		.flow_label = cmd->flow_label,
		.tcp = { .sport = f->tuple.lport,
			 .dport = f->tuple.rport,
			 .flags = MG_TCP_ACK,
			 .opts = f->opts & MG_FLOW_TS ? MG_SEG_OPT_TS : 0 },
	};
	uint8_t buf[MG_WIRE_HDR_MAX];
	uint32_t len = l2 ? mg_wire_emit_eth_ip_tcp(buf, &spec) : mg_wire_emit_ip_tcp(buf, &spec);

	MG_ASSERT(len <= sizeof(f->tmpl));
	memcpy(f->tmpl, buf, len);
	f->tmpl_len = (uint8_t)len;
	f->l2_len = l2 ? MG_ETH_HLEN : 0;
	f->is_v6 = !mg_addr_is_v4(&f->tuple.laddr);
	f->l3_len = f->is_v6 ? MG_IPV6_HLEN : MG_IPV4_HLEN;
	if (!f->is_v6) {
		mg_store_be16(f->tmpl + f->l2_len + 2, 0);  /* total length */
		mg_store_be16(f->tmpl + f->l2_len + 4, 0);  /* identification */
		mg_store_be16(f->tmpl + f->l2_len + 10, 0); /* checksum */
	}
	resum(f);
}

void mg_frame_set_nexthop(const struct mg_fp *fp, struct mg_flow *f,
			  const struct mg_cmd_set_nexthop *cmd)
{
	/* A template with a link header cannot go out of a port without, nor the other way round. */
	if (cmd->port >= fp->conf.nr_ports || fp->conf.ports[cmd->port].has_l2 != (f->l2_len != 0))
		return;
	f->port = (uint8_t)cmd->port;
	if (f->l2_len == 0)
		return;
	memcpy(f->tmpl, cmd->dmac.b, sizeof(cmd->dmac.b));
	memcpy(f->tmpl + sizeof(cmd->dmac.b), cmd->smac.b, sizeof(cmd->smac.b));
}

void mg_frame_set_ttl(struct mg_flow *f, uint8_t ttl)
{
	f->tmpl[f->l2_len + (f->is_v6 ? 7 : 8)] = ttl;
	resum(f);
}

void mg_frame_set_tos(struct mg_flow *f, uint8_t tos)
{
	uint8_t *ip = f->tmpl + f->l2_len;

	tos &= 0xfc;
	if (f->is_v6) {
		ip[0] = (uint8_t)(0x60 | tos >> 4);
		ip[1] = (uint8_t)((ip[1] & 0x0f) | tos << 4);
	} else {
		ip[1] = tos;
	}
	resum(f);
}

void mg_frame_allow_fragments(struct mg_flow *f)
{
	if (f->is_v6)
		return;
	memset(f->tmpl + f->l2_len + 6, 0, 2);
	resum(f);
}

/* Payload out of the ring, in at most two pieces; returns its sum, if that is wanted. */
static uint64_t copy_payload(const struct mg_flow *f, uint8_t *dst, uint32_t seq, uint32_t len,
			     bool sum)
{
	uint32_t off = (uint32_t)(f->tx_una + (uint32_t)(seq - f->snd_una)) & f->tx_mask;
	uint32_t first = mg_min_u32(len, f->tx_mask + 1 - off);
	uint64_t s = 0;

	if (!sum) {
		memcpy(dst, f->tx_ring + off, first);
		if (mg_unlikely(first < len))
			memcpy(dst + first, f->tx_ring, len - first);
		return 0;
	}
	s = mg_csum_copy(0, dst, f->tx_ring + off, first);
	if (mg_unlikely(first < len))
		s = mg_csum_combine(s, mg_csum_copy(0, dst + first, f->tx_ring, len - first),
				    first);
	return s;
}

/* The same pieces by reference. */
static void lend_payload(const struct mg_flow *f, uint32_t seq, uint32_t len, struct mg_fp_pkt *pkt)
{
	uint32_t off = (uint32_t)(f->tx_una + (uint32_t)(seq - f->snd_una)) & f->tx_mask;
	uint32_t first = mg_min_u32(len, f->tx_mask + 1 - off);

	pkt->lent[0].data = f->tx_ring + off;
	pkt->lent[0].bytes = first;
	pkt->lent[1].data = f->tx_ring;
	pkt->lent[1].bytes = len - first;
}

/* NOP NOP SACK; returns its length. */
static uint32_t put_sacks(uint8_t *p, const struct mg_sack_block *blocks, uint8_t n)
{
	p[0] = 1;
	p[1] = 1;
	p[2] = 5;
	p[3] = (uint8_t)(2 + 8 * n);
	for (uint8_t i = 0; i < n; i++) {
		mg_store_be32(p + 4 + 8 * i, blocks[i].start);
		mg_store_be32(p + 8 + 8 * i, blocks[i].end);
	}
	return 4 + 8u * n;
}

static void put_ip(struct mg_flow *f, uint8_t *ip, uint32_t l4_len, const struct mg_fp_segment *s,
		   bool offload)
{
	uint16_t total = (uint16_t)(l4_len + f->l3_len);
	uint64_t sum;

	if (f->is_v6) {
		mg_store_be16(ip + 4, (uint16_t)l4_len);
		ip[1] = (uint8_t)(ip[1] | s->ecn << 4);
		return;
	}
	ip[1] = (uint8_t)(ip[1] | s->ecn);
	mg_store_be16(ip + 2, total);
	mg_store_be16(ip + 4, f->ip_id);
	if (!offload) {
		sum = mg_csum_sum(f->ip_sum,
				  (uint64_t)mg_be16(total) + mg_be16(f->ip_id) + mg_be16(s->ecn));
		mg_csum_store(ip + 10, sum);
	}
	f->ip_id = (uint16_t)(f->ip_id + 1 + (s->gso != 0 ? MG_FP_BURST_SEGS : 0));
}

/* RFC 9293 3.8.5: the pointer names the octet behind the urgent data (MUST-62), or as far as it reaches. */
static void put_urgent(const struct mg_flow *f, uint8_t *tcp, const struct mg_fp_segment *s)
{
	int64_t ahead = (int64_t)(f->tx_urg - f->tx_una) - mg_seq_diff(s->seq, f->snd_una);

	if (ahead <= 0 || (s->flags & MG_TCP_RST))
		return;
	tcp[13] |= MG_TCP_URG;
	mg_store_be16(tcp + 18, (uint16_t)mg_min_u64((uint64_t)ahead, UINT16_MAX));
}

/* Numbers, flags, window, options; returns the TCP header's length. */
static uint32_t put_tcp(struct mg_fp *fp, struct mg_flow *f, uint8_t *tcp,
			const struct mg_fp_segment *s, const struct mg_sack_block *sacks,
			uint8_t nr_sacks)
{
	uint32_t len = MG_TCP_HLEN;

	mg_store_be32(tcp + 4, s->seq);
	mg_store_be32(tcp + 8, f->rcv_nxt);
	mg_store_be16(tcp + 14, mg_rwnd_select(f));
	if (f->opts & MG_FLOW_TS) {
		mg_store_be32(tcp + 24, fp->now_ms + f->ts_offset);
		mg_store_be32(tcp + 28, f->ts_recent);
		len += TS_OPT_LEN;
	}
	if (mg_unlikely(nr_sacks != 0))
		len += put_sacks(tcp + len, sacks, nr_sacks);
	mg_store_be16(tcp + 12, (uint16_t)(len / 4 << 12 | s->flags));
	if (mg_unlikely(mg_flow_is_urgent(f)))
		put_urgent(f, tcp, s);
	return len;
}

/* Everything that carries an ACK settles what we owed. */
static void note_ack_sent(struct mg_flow *f, const struct mg_fp_segment *s, bool sacks)
{
	f->last_ack_sent = f->rcv_nxt;
	f->rx_unacked = 0;
	f->delack_ns = MG_TIME_NEVER;
	if (sacks)
		f->dsack_valid = 0;
	/* A frame that had no room for blocks leaves the duty to tell about them. */
	if (s->max_sacks != 0 || (f->nr_sack | f->dsack_valid) == 0)
		f->flags &= ~(uint32_t)MG_FF_ACK_NOW;
}

/* The TCP checksum, or the sum over the pseudo-header for the port to start from. */
static void put_tcp_sum(const struct mg_flow *f, uint8_t *tcp, uint32_t tcp_len, uint32_t len,
			uint64_t payload_sum, bool part)
{
	uint64_t sum = mg_csum_sum(payload_sum, f->pseudo_sum);

	sum = mg_csum_sum(sum, mg_be16((uint16_t)(tcp_len + len)));
	mg_store_be16(tcp + 16, 0);
	if (part)
		mg_csum_store_raw(tcp + 16, sum);
	else
		mg_csum_store(tcp + 16, mg_csum_add(sum, tcp, tcp_len));
}

bool mg_frame_send(struct mg_fp *fp, struct mg_flow *f, const struct mg_fp_segment *s)
{
	const struct mg_fp_port *port = mg_fp_port_of(fp, f);
	bool lend = port->lends && s->len >= LEND_MIN;
	bool part = port->tx_csum || s->gso != 0 || lend;
	uint32_t inside = lend ? 0 : s->len; /* payload that is copied */
	struct mg_sack_block sacks[MG_SACK_BLOCKS_MAX];
	uint32_t l4_off = (uint32_t)f->l2_len + f->l3_len;
	uint32_t tcp_len = f->tmpl_len - l4_off;
	struct mg_fp_pkt pkt;
	uint8_t nr_sacks = 0;
	uint8_t *tcp;
	uint64_t sum = 0;

	if (mg_unlikely((f->nr_sack | f->dsack_valid) != 0) && (f->opts & MG_FLOW_SACK))
		nr_sacks = mg_reass_sacks(fp, f, s->max_sacks, sacks);
	if (nr_sacks != 0)
		tcp_len += 4 + 8u * nr_sacks;
	/* Never less than the whole template, so that copying it needs no length. */
	if (mg_unlikely(!fp->env.pkt_alloc(fp->env.ctx, f->port,
					   mg_max_u32(l4_off + tcp_len + inside, sizeof(f->tmpl)),
					   &pkt))) {
		mg_fp_count(fp, MG_FPS_TX_NO_PACKET, 1);
		return false;
	}
	memcpy(pkt.data, f->tmpl, sizeof(f->tmpl));
	tcp = pkt.data + l4_off;
	MG_DASSERT(f->snd_una == s->seq || s->len == 0 || mg_seq_lt(f->snd_una, s->seq));
	tcp_len = put_tcp(fp, f, tcp, s, sacks, nr_sacks);
	put_ip(f, pkt.data + f->l2_len, tcp_len + s->len, s, port->tx_csum);
	pkt.lent[0].bytes = 0;
	if (lend)
		lend_payload(f, s->seq, s->len, &pkt);
	else if (s->len != 0)
		sum = copy_payload(f, tcp + tcp_len, s->seq, s->len, !part);
	put_tcp_sum(f, tcp, tcp_len, s->len, sum, part);
	pkt.len = l4_off + tcp_len + inside;
	pkt.part_csum = part;
	pkt.port = f->port;
	pkt.l2_len = f->l2_len;
	pkt.l3_len = f->l3_len;
	pkt.l4_len = (uint8_t)tcp_len;
	pkt.is_v6 = f->is_v6;
	pkt.gso_size = s->gso;
	fp->env.pkt_send(fp->env.ctx, &pkt);
	mg_fp_count(fp, MG_FPS_TX_FRAMES, 1);
	note_ack_sent(f, s, nr_sacks != 0);
	return true;
}
