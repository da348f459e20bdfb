/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack_fuzz.c - frames, time and calls against a whole host: connections in any state.
 *
 * Idea:    the input is a program of short operations on one host with both cores: it listens, connects, closes and
 *          aborts; the network sends segments whose numbers lie near the edges that the host itself showed in its
 *          last segment on that connection, ICMP errors that quote what it sent, fragments, ARP and raw bytes; time
 *          passes or jumps to the next timer; the application writes nonsense into its window now and
 *          then. After every operation both cores' invariants hold, every frame that left parses with right
 *          checksums, and in the end, with the application gone, nothing may be left.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/spsc.h"
#include "proto/base/time.h"
#include "proto/wire/checksum.h"
#include "proto/wire/frame.h"
#include "test/lib/stack.h"

#define PEERS 4
#define PORT 7
#define RING 4096u
#define WINDOWS 16

#define INPUT_MAX 2048 /* bytes: one run stays short */

struct in {
	const uint8_t *p;
	size_t left;
};

/* What the peer at one port knows of the host. */
struct peer {
	uint16_t port, our_port;
	uint32_t seq; /* what the host expects next, as it said */
	uint32_t ack; /* end of what it sent */
	uint32_t wnd, tsval, tsecr;
};

static bool v6;
static struct mg_stack *stack;
static struct peer peers[PEERS];
static uint8_t last[2048]; /* the last frame that left */
static uint32_t last_len;
static uint64_t now;
static uint32_t listener;
static struct mg_spsc bells; /* the application's end */
static const struct mg_mac us_mac = { { 2, 0, 0, 0, 0, 1 } };
static const struct mg_mac peer_mac = { { 2, 0, 0, 0, 0, 2 } };

static uint8_t u8(struct in *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static uint32_t u16(struct in *in)
{
	uint32_t hi = u8(in);

	return hi << 8 | u8(in);
}

/* The family of this run. */
static struct mg_addr addr_of(uint8_t host)
{
	const struct mg_addr addr6 = { .b = { 0xfd, 0x77, [15] = host } };

	return v6 ? addr6 : mg_addr_v4(0x0a4d0000u | host);
}

static struct mg_addr us_addr(void)
{
	return addr_of(1);
}

static struct mg_addr peer_addr(void)
{
	return addr_of(2);
}

/* The peers learn where the host is. */
static void tx(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct mg_frame_view v;

	(void)ctx;
	if (len <= sizeof(last)) {
		memcpy(last, frame, len);
		last_len = len;
	}
	MG_ASSERT(mg_wire_parse_frame(frame, len, 0, &v) == 0);
	if (v.kind != MG_FRAME_TCP)
		return;
	for (uint32_t i = 0; i < PEERS; i++) {
		struct peer *p = &peers[i];

		if (v.seg.tuple.lport != p->port)
			continue;
		p->our_port = v.seg.tuple.rport;
		p->ack = v.seg.seq + mg_seg_len(&v.seg);
		if (v.seg.flags & MG_TCP_ACK)
			p->seq = v.seg.ack;
		p->wnd = v.seg.wnd;
		p->tsval = v.seg.tsval;
		p->tsecr = v.seg.tsecr;
	}
}

static void rx(const uint8_t *frame, uint32_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* of its own size: what lies behind is poisoned */

	MG_ASSERT(copy != NULL);
	memcpy(copy, frame, len);
	mg_stack_rx(stack, copy, len, now);
	free(copy);
}

static uint32_t near(struct in *in, uint32_t edge, uint32_t span)
{
	switch (u8(in) & 7) {
	case 0:
		return edge - 1 - u8(in);
	case 1:
		return edge + u8(in);
	case 2:
		return edge + span - u8(in);
	case 3:
		return edge + span + u8(in);
	case 4:
		return edge + (u16(in) << 16) + u16(in);
	default:
		return edge;
	}
}

static void fill_options(struct in *in, struct mg_tcp_hdr_spec *t, const struct peer *p)
{
	uint32_t what = u8(in);

	t->opts = what & (MG_SEG_OPT_MSS | MG_SEG_OPT_WS | MG_SEG_OPT_SACK_PERM | MG_SEG_OPT_TS |
			  MG_SEG_OPT_SACK);
	t->mss = (uint16_t)u16(in);
	t->ws = u8(in) % 15;
	t->tsval = near(in, p->tsecr, 100);
	t->tsecr = near(in, p->tsval, 100);
	t->nr_sack = (t->opts & MG_SEG_OPT_SACK) ? 1 + u8(in) % 3 : 0;
	for (uint8_t i = 0; i < t->nr_sack; i++) {
		t->sack[i].start = near(in, p->ack, 2000) - 2000;
		t->sack[i].end = t->sack[i].start + u16(in) % 4000;
	}
}

static void op_segment(struct in *in)
{
	static const uint16_t usual[] = { MG_TCP_SYN,
					  MG_TCP_SYN | MG_TCP_ACK,
					  MG_TCP_ACK,
					  MG_TCP_RST,
					  MG_TCP_RST | MG_TCP_ACK,
					  MG_TCP_FIN,
					  MG_TCP_FIN | MG_TCP_ACK,
					  MG_TCP_ACK | MG_TCP_PSH,
					  MG_TCP_ACK | MG_TCP_URG,
					  0 };
	const struct mg_addr us = us_addr(), peer = peer_addr();
	uint32_t what = u8(in), flags = u8(in);
	const struct peer *p = &peers[what % PEERS];
	uint8_t frame[2048] = { 0 };
	struct mg_frame_spec spec = {
		.dmac = us_mac,
		.smac = peer_mac,
		.src = &peer,
		.dst = &us,
		.ttl = 64,
		.csum = MG_TX_CSUM_FULL,
		.tos = (uint8_t)(u8(in) & 3),
		.payload_len = what & 4 ? u16(in) % 1400 : 0,
	};
	uint32_t len;

	spec.tcp.sport = p->port;
	spec.tcp.dport = what & 8 ? PORT : p->our_port;
	spec.tcp.flags = flags & 128 ? (uint16_t)u16(in) & 0x1ff
				     : usual[flags % MG_ARRAY_SIZE(usual)];
	spec.tcp.seq = near(in, p->seq, p->wnd);
	spec.tcp.ack = near(in, p->ack, 2000);
	spec.tcp.wnd = what & 16 ? (uint16_t)u16(in) : 4000;
	spec.tcp.urg = (uint16_t)(spec.tcp.flags & MG_TCP_URG ? u16(in) : 0);
	if (what & 32)
		fill_options(in, &spec.tcp, p);
	len = mg_wire_eth_ip_tcp_hdr_len(&spec);
	spec.payload_sum = mg_csum_add(0, frame + len, spec.payload_len);
	(void)mg_wire_emit_eth_ip_tcp(frame, &spec);
	rx(frame, len + spec.payload_len);
}

/* An ICMP error that quotes the last packet that left, with a bit of damage now and then. */
static void op_icmp(struct in *in)
{
	const struct mg_addr us = us_addr(), peer = peer_addr();
	uint32_t l4_off = MG_ETH_HLEN + (v6 ? MG_IPV6_HLEN : MG_IPV4_HLEN);
	uint8_t frame[160] = { 0 }, *icmp = frame + l4_off;
	uint32_t quote = mg_min_u32(last_len > MG_ETH_HLEN ? last_len - MG_ETH_HLEN : 0,
				    v6 ? 68 : 48);
	struct mg_ip_spec ip = { .src = &peer,
				 .dst = &us,
				 .proto = v6 ? MG_IPPROTO_ICMPV6 : MG_IPPROTO_ICMP,
				 .ttl = 64,
				 .l4_len = 8 + quote };

	(void)mg_wire_eth_emit(frame, &us_mac, &peer_mac,
			       v6 ? MG_ETHERTYPE_IPV6 : MG_ETHERTYPE_IPV4);
	(void)mg_wire_ip_emit(frame + MG_ETH_HLEN, &ip);
	icmp[0] = u8(in) % 16;
	icmp[1] = u8(in) % 16;
	icmp[6] = u8(in) & 7;
	icmp[7] = u8(in);
	memcpy(icmp + 8, last + MG_ETH_HLEN, quote);
	if (u8(in) % 4 == 0 && quote != 0)
		icmp[8 + u8(in) % quote] ^= u8(in);
	mg_csum_store(icmp + 2,
		      mg_csum_add(v6 ? mg_csum_pseudo(&peer, &us, ip.proto, ip.l4_len) : 0, icmp,
				  8 + quote));
	rx(frame, l4_off + 8 + quote);
}

/* The last packet of the host itself, or bytes of the input, as if from the network. */
static void op_raw(struct in *in)
{
	uint8_t frame[2048];
	uint32_t len = 0;

	if (u8(in) & 1) {
		memcpy(frame, last, len = last_len);
		for (uint32_t n = u8(in) % 4; n > 0 && len != 0; n--)
			frame[u16(in) % len] ^= u8(in);
	} else {
		for (len = u8(in) % 120; in->left > 0 && len < 120; len++)
			frame[len] = u8(in);
		memset(frame + len, 0, sizeof(frame) - len);
	}
	memcpy(frame, us_mac.b, 6);
	rx(frame, len);
}

/* One fragment of a segment that starts as the host expects. */
static void op_fragment(struct in *in)
{
	const struct mg_addr us = us_addr(), peer = peer_addr();
	uint8_t frame[256] = { 0 }, *ip4 = frame + MG_ETH_HLEN;
	uint32_t len = 8 + u8(in) % 200, off = u8(in);
	struct mg_ip_spec ip = {
		.src = &peer, .dst = &us, .proto = 6, .ttl = 64, .l4_len = len, .id = u8(in) & 3
	};

	if (v6)
		return; /* its fragments are made otherwise */
	(void)mg_wire_eth_emit(frame, &us_mac, &peer_mac, 0x0800);
	(void)mg_wire_ip_emit(ip4, &ip);
	ip4[6] = (uint8_t)((off & 128 ? 0x20 : 0) | (u8(in) & 0x40));
	ip4[7] = (uint8_t)(off & 31);
	for (uint32_t i = 0; i < len; i++)
		ip4[20 + i] = u8(in);
	memset(ip4 + 10, 0, 2);
	mg_csum_store(ip4 + 10, mg_csum_add(0, ip4, 20));
	rx(frame, MG_ETH_HLEN + 20 + len);
}

static struct mg_ctl_msg *message(uint16_t type)
{
	struct mg_ctl_msg *msg = calloc(1, sizeof(*msg));

	MG_ASSERT(msg != NULL);
	mg_ctl_init(msg, type, 1, 1);
	return msg;
}

static void op_call(struct in *in)
{
	static struct mg_ctl_msg *msg;
	uint32_t what = u8(in);

	switch (what % 5) {
	case 0:
		msg = message(MG_CTL_TCP_LISTEN);
		msg->listen[0] = (struct mg_ctl_listen){ .addr = mg_addr_any(v6),
							 .port = PORT,
							 .backlog = u8(in) % 4 };
		(void)mg_stack_request(stack, msg, now);
		if (msg->hdr.status == 0)
			listener = msg->listen[0].listener;
		break;
	case 1:
		msg = message(MG_CTL_TCP_ACCEPT);
		msg->accept[0] = (struct mg_ctl_accept){ .listener = listener, .credits = u8(in) };
		(void)mg_stack_request(stack, msg, now);
		break;
	case 2:
		msg = message(MG_CTL_TCP_CONNECT);
		msg->connect[0].tuple = (struct mg_tuple){ .laddr = mg_addr_v4(0),
							   .raddr = peer_addr(),
							   .rport = peers[u8(in) % PEERS].port };
		(void)mg_stack_request(stack, msg, now);
		break;
	case 3:
		msg = message(MG_CTL_TCP_LISTEN_CLOSE);
		msg->listener[0].listener = listener;
		(void)mg_stack_request(stack, msg, now);
		break;
	default:
		msg = message(what & 64 ? MG_CTL_TCP_CLOSE : MG_CTL_TCP_ABORT);
		msg->conn[0].window = u8(in) % WINDOWS;
		msg->conn[0].gen = mg_stack_app(stack)->windows[u8(in) % WINDOWS].gen;
		(void)mg_stack_request(stack, msg, now);
		break;
	}
	free(msg);
}

/* The application's line of one window, in order or not. */
static void op_app(struct in *in)
{
	struct mg_shm_window *w = &mg_stack_app(stack)->windows[u8(in) % WINDOWS];
	struct mg_shm_doorbell entry;
	uint32_t what = u8(in);
	uint64_t room;

	if (atomic_load(&w->state) == MG_SHM_ST_FREE)
		return;
	if (what & 1)
		atomic_store(&w->rx_head, atomic_load(&w->rx_tail));
	room = RING - (atomic_load(&w->tx_head) - atomic_load(&w->tx_una));
	if ((what & 2) && room <= RING)
		atomic_fetch_add(&w->tx_head, mg_min_u64(room, u16(in)));
	if (what & 4)
		(void)atomic_fetch_or(&w->a_flags, 1u << u8(in) % 12);
	if ((what & 0xf8) == 0xf8)
		atomic_fetch_add(what & 1 ? &w->rx_head : &w->tx_head, (uint64_t)u16(in)
									       << u8(in) % 64);
	entry = (struct mg_shm_doorbell){ (uint32_t)(w - mg_stack_app(stack)->windows), w->gen };
	if (atomic_exchange(&w->a_dirty, 1) == 0)
		(void)mg_spsc_push(&bells, &entry);
}

static void op_time(struct in *in)
{
	uint64_t next = mg_stack_next_ns(stack);

	if (u8(in) & 1)
		now += (uint64_t)u16(in) << u8(in) % 20;
	else if (next != MG_TIME_NEVER && next > now)
		now = next;
}

/* The peer's address is known, or becomes it. */
static void op_nd(struct in *in)
{
	const struct mg_addr us = us_addr(), peer = peer_addr();
	uint8_t how = u8(in), frame[MG_ND_FRAME_MAX];
	bool asks = (how & 1) != 0;
	const struct mg_nd_spec nd = { .type = asks ? MG_ICMP6_NEIGHBOR_SOLICIT
						    : MG_ICMP6_NEIGHBOR_ADVERT,
				       .src = &peer,
				       .dst = &us,
				       .target = asks || (how & 2) != 0 ? &us : &peer,
				       .smac = &peer_mac,
				       .dmac = &us_mac,
				       .mac = how & 4 ? NULL : &peer_mac,
				       .flags = how };

	rx(frame, mg_wire_nd_emit_frame(frame, &nd));
}

static void op_arp(void)
{
	struct mg_arp_view arp = { .op = MG_ARP_REPLY,
				   .sha = peer_mac,
				   .tha = us_mac,
				   .spa = peer_addr(),
				   .tpa = us_addr() };
	uint8_t frame[64];

	rx(frame, mg_wire_arp_emit_frame(frame, &arp));
}

static void one_op(struct in *in)
{
	static void (*const ops[])(struct in *) = { op_segment, op_segment, op_segment, op_segment,
						    op_segment, op_call,    op_call,    op_app,
						    op_app,     op_time,    op_time,    op_icmp,
						    op_raw,     op_fragment };
	uint32_t what = u8(in) % (MG_ARRAY_SIZE(ops) + 1);

	if (what == MG_ARRAY_SIZE(ops) && v6)
		op_nd(in);
	else if (what == MG_ARRAY_SIZE(ops))
		op_arp();
	else
		ops[what](in);
	mg_stack_turn(stack, now);
	mg_stack_check(stack);
}

static void attach_bells(void)
{
	const struct mg_app *app = mg_stack_app(stack);
	const struct mg_shm_header *hdr = (const struct mg_shm_header *)(const void *)app->base;
	const struct mg_shm_section *sec = &hdr->sections[MG_SHM_SEC_DOORBELLS];

	mg_spsc_attach_producer(&bells, app->base + sec->off, sec->entries,
				sizeof(struct mg_shm_doorbell), 0);
}

static void setup(struct in *in)
{
	static const char *const algorithms[] = { "reno", "cubic" };
	struct mg_stack_conf conf;
	uint32_t how = u8(in);

	now = 1000 * MG_NS_PER_S;
	last_len = 0;
	listener = 0;
	for (uint32_t i = 0; i < PEERS; i++)
		peers[i] = (struct peer){ .port = (uint16_t)(1000 + i),
					  .our_port = PORT,
					  .seq = 0xfffffe00u,
					  .wnd = 4096 };
	mg_stack_conf_default(&conf);
	v6 = (how & 32) != 0;
	conf.addr = mg_addr_v4(0x0a4d0001);
	conf.addr6 = (struct mg_addr){ .b = { 0xfd, 0x77, [15] = 1 } };
	conf.tcp.dad_ms = how & 64 ? 300 : 0;
	conf.mac = us_mac;
	conf.seed = 7;
	conf.now_ns = now;
	conf.conns_max = WINDOWS;
	conf.payload_bytes = 1u << 20;
	conf.tx = tx;
	conf.tcp.rcvbuf_bytes = RING;
	conf.tcp.sndbuf_bytes = RING;
	conf.tcp.sack = how & 1;
	conf.tcp.timestamps = how & 2;
	conf.tcp.keepalive = how & 4;
	(void)strcpy(conf.tcp.congestion_control, algorithms[how >> 3 & 1]);
	stack = mg_stack_new(&conf);
	attach_bells();
	if (how & 16)
		mg_stack_starve(stack, 3);
}

/* The application dies, and all time passes: nothing is left. */
static void teardown(void)
{
	struct mg_slow_totals t;

	mg_stack_starve(stack, 0);
	mg_stack_kill_app(stack, now);
	for (int i = 0; i < 4000 && mg_stack_next_ns(stack) < now + 7200 * MG_NS_PER_S; i++) {
		now = mg_max_u64(mg_stack_next_ns(stack), now + 1);
		mg_stack_turn(stack, now);
	}
	mg_slow_totals(mg_stack_slow(stack), &t);
	MG_ASSERT(t.connections + t.embryos + t.time_waits == 0);
	MG_ASSERT(mg_stack_app_is_gone(stack));
	mg_stack_free(stack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size < INPUT_MAX ? size : INPUT_MAX };

	setup(&in);
	while (in.left != 0)
		one_op(&in);
	teardown();
	return 0;
}
