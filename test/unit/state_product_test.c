/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_product_test.c - the product of states and segments, written from RFC 9293 3.10.7 and RFC 5961.
 *
 * Idea:    each of the eleven states (SYN-RECEIVED twice, by its origin) x nine kinds of segment x six places of
 *          SEG.SEQ around the receive window x four of SEG.ACK around what is in flight: a whole stack, both
 *          cores, is brought into the state by segments and calls, gets the one segment, and has 60 ms for its
 *          answer. What leaves - kind, SEQ, ACK - and the state after must be what expect() says, which knows
 *          nothing of our code. Where we do otherwise on purpose, it stands in deviate(), each with its reason.
 *          No options are negotiated, so that nothing but the segment itself decides.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/seq.h"
#include "proto/base/time.h"
#include "proto/wire/eth.h"
#include "proto/wire/frame.h"
#include "proto/wire/tcp.h"
#include "test/lib/stack.h"

#define US mg_addr_v4(0x0a4d0001)
#define PEER mg_addr_v4(0x0a4d0002)
#define PORT 7
#define PPORT 40000
#define PISS 0x7fffff00u /* the peer's ISN: its stream crosses 2^31 */
#define PWND 20000
#define DATA 5
#define SETTLE_NS (60 * MG_NS_PER_MS)

enum state {
	CLOSED,
	LISTEN,
	SYN_SENT,
	SYN_RCVD_PASSIVE,
	SYN_RCVD_ACTIVE,
	ESTABLISHED,
	CLOSE_WAIT,
	FIN_WAIT_1,
	CLOSING,
	LAST_ACK,
	FIN_WAIT_2,
	TIME_WAIT,
	NR_STATES
};

static const char *const state_names[] = { "CLOSED",
					   "LISTEN",
					   "SYN-SENT",
					   "SYN-RECEIVED (passive)",
					   "SYN-RECEIVED (active)",
					   "ESTABLISHED",
					   "CLOSE-WAIT",
					   "FIN-WAIT-1",
					   "CLOSING",
					   "LAST-ACK",
					   "FIN-WAIT-2",
					   "TIME-WAIT" };

enum kind { SYN, SYN_ACK, ACK, RST, RST_ACK, FIN, FIN_ACK, DATA_ACK, NONE, NR_KINDS };

static const struct {
	const char *name;
	uint16_t flags;
	uint32_t len;
} kinds[] = {
	{ "SYN", MG_TCP_SYN, 0 },
	{ "SYN-ACK", MG_TCP_SYN | MG_TCP_ACK, 0 },
	{ "ACK", MG_TCP_ACK, 0 },
	{ "RST", MG_TCP_RST, 0 },
	{ "RST-ACK", MG_TCP_RST | MG_TCP_ACK, 0 },
	{ "FIN", MG_TCP_FIN, 0 },
	{ "FIN-ACK", MG_TCP_FIN | MG_TCP_ACK, 0 },
	{ "data", MG_TCP_PSH | MG_TCP_ACK, DATA },
	{ "nothing", 0, 0 },
};

enum place { LEFT, LEFT_EDGE, INSIDE, LAST, RIGHT_EDGE, RIGHT, NR_PLACES };

static const char *const place_names[] = {
	"left of the window", "at its left edge",  "inside",
	"its last octet",     "at its right edge", "right of it"
};

enum ack { ANCIENT, OLD, VALID, FUTURE, NR_ACKS };

static const char *const ack_names[] = { "ancient", "old", "valid", "future" };

/* One host under test and what its peer knows. */
struct world {
	struct mg_stack *stack;
	struct mg_spsc bell;
	struct mg_spsc events;
	uint64_t now;
	struct mg_tuple tuple; /* as the host sees it */
	uint32_t rcv_nxt;      /* of the host, from its segments */
	uint32_t rcv_edge;
	uint32_t snd_una, snd_nxt;
	struct mg_seg out[16];
	uint32_t nr_out;
	bool has_window;
	uint32_t window, gen;
};

static struct world w;

/* ---- The host's surroundings ---- */

static void on_tx(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct mg_frame_view v;

	(void)ctx;
	assert_int_equal(mg_wire_parse_frame(frame, len, 0, &v), 0);
	if (v.kind != MG_FRAME_TCP)
		return;
	assert_true(w.nr_out < 16);
	w.out[w.nr_out++] = v.seg;
	w.tuple = (struct mg_tuple){ .laddr = v.seg.tuple.raddr,
				     .raddr = v.seg.tuple.laddr,
				     .lport = v.seg.tuple.rport,
				     .rport = v.seg.tuple.lport };
	if (v.seg.flags & MG_TCP_RST)
		return;
	w.snd_nxt = v.seg.seq + mg_seg_len(&v.seg);
	if (v.seg.flags & MG_TCP_SYN)
		w.snd_una = v.seg.seq;
	if ((v.seg.flags & MG_TCP_ACK) == 0)
		return;
	w.rcv_nxt = v.seg.ack;
	w.rcv_edge = mg_seq_max(w.rcv_edge, v.seg.ack + v.seg.wnd);
}

static void turn(void)
{
	mg_stack_turn(w.stack, w.now);
	mg_stack_check(w.stack);
}

static void settle(void)
{
	uint64_t end = w.now + SETTLE_NS;

	while (mg_stack_next_ns(w.stack) <= end) {
		w.now = mg_max_u64(w.now, mg_stack_next_ns(w.stack));
		turn();
	}
	w.now = end;
	turn();
}

static void rx(uint16_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	uint8_t frame[256];
	struct mg_addr src = PEER, dst = US;
	struct mg_frame_spec spec = {
		.dmac = { { 2, 0, 0, 0, 0, 1 } },
		.smac = { { 2, 0, 0, 0, 0, 2 } },
		.src = &src,
		.dst = &dst,
		.payload_len = len,
		.ttl = 64,
		.csum = MG_TX_CSUM_FULL,
		.tcp = { .sport = w.tuple.rport,
			 .dport = w.tuple.lport,
			 .seq = seq,
			 .ack = ack,
			 .flags = flags,
			 .wnd = PWND,
			 .mss = 1460,
			 .opts = flags & MG_TCP_SYN ? MG_SEG_OPT_MSS : 0 },
	};
	uint32_t hdr;

	memset(frame, 0, sizeof(frame)); /* the payload, too: its sum is nothing */
	hdr = mg_wire_emit_eth_ip_tcp(frame, &spec);
	mg_stack_rx(w.stack, frame, hdr + len, w.now);
	turn();
}

static int ask(struct mg_ctl_msg *msg)
{
	msg->hdr.count = 1;
	assert_true(mg_stack_request(w.stack, msg, w.now));
	return msg->hdr.status;
}

static struct mg_ctl_msg *new_msg(uint16_t type)
{
	struct mg_ctl_msg *msg = calloc(1, sizeof(*msg));

	assert_non_null(msg);
	mg_ctl_init(msg, type, 1, type == MG_CTL_CONNECTIONS ? 0 : 1);
	return msg;
}

static void listen_here(void)
{
	struct mg_ctl_msg *msg = new_msg(MG_CTL_TCP_LISTEN);
	uint32_t id;

	msg->listen[0] = (struct mg_ctl_listen){ .addr = mg_addr_v4(0),
						 .port = PORT,
						 .backlog = 8 };
	assert_int_equal(ask(msg), 0);
	id = msg->listen[0].listener;
	mg_ctl_init(msg, MG_CTL_TCP_ACCEPT, 1, 1);
	msg->accept[0] = (struct mg_ctl_accept){ .listener = id, .credits = 8 };
	assert_int_equal(ask(msg), 0);
	free(msg);
}

static void connect_there(void)
{
	struct mg_ctl_msg *msg = new_msg(MG_CTL_TCP_CONNECT);

	msg->connect[0].tuple = (struct mg_tuple){ .laddr = mg_addr_v4(0),
						   .raddr = PEER,
						   .rport = PPORT };
	assert_int_equal(ask(msg), 0);
	free(msg);
}

static void take_window(void)
{
	struct mg_shm_event ev;

	while (mg_spsc_pop(&w.events, &ev) == 1) {
		if (ev.kind != MG_SHM_EV_ACCEPTED)
			continue;
		w.has_window = true;
		w.window = ev.index;
		w.gen = ev.gen;
	}
	assert_true(w.has_window);
}

/* The application sends no more. */
static void shut(void)
{
	struct mg_shm_window *win = &mg_stack_app(w.stack)->windows[w.window];
	struct mg_shm_doorbell bell = { .index = w.window, .gen = w.gen };

	atomic_fetch_or(&win->a_flags, MG_SHM_AF_SHUT_WR);
	if (atomic_exchange(&win->a_dirty, 1) == 0)
		assert_int_equal(mg_spsc_push(&w.bell, &bell), 0);
	settle();
}

static void attach_rings(void)
{
	uint8_t *region = mg_stack_app(w.stack)->base;
	const struct mg_shm_header *hdr = (const struct mg_shm_header *)(void *)region;
	const struct mg_shm_section *ev = &hdr->sections[MG_SHM_SEC_EVENTS];
	const struct mg_shm_section *db = &hdr->sections[MG_SHM_SEC_DOORBELLS];

	mg_spsc_attach_consumer(&w.events, region + ev->off, ev->entries,
				sizeof(struct mg_shm_event), 0);
	mg_spsc_attach_producer(&w.bell, region + db->off, db->entries,
				sizeof(struct mg_shm_doorbell), 0);
}

static void open_world(void)
{
	struct mg_slow_neighbour peer = { .addr = PEER, .mac = { { 2, 0, 0, 0, 0, 2 } } };
	struct mg_stack_conf conf;

	mg_stack_conf_default(&conf);
	conf.addr = US;
	conf.mac = (struct mg_mac){ { 2, 0, 0, 0, 0, 1 } };
	conf.seed = 1;
	conf.now_ns = 1000 * MG_NS_PER_S;
	conf.conns_max = 4;
	conf.payload_bytes = 1 << 20;
	conf.tcp.timestamps = false;
	conf.tcp.sack = false;
	conf.tcp.window_scale = 0xff;
	conf.tcp.syn_cookies = false;
	conf.tcp.arp_gratuitous = false;
	conf.tx = on_tx;
	memset(&w, 0, sizeof(w));
	w.now = conf.now_ns;
	w.tuple = (struct mg_tuple){ .laddr = US, .raddr = PEER, .lport = PORT, .rport = PPORT };
	w.rcv_nxt = PISS + 1; /* where there is no window yet, one is thought of */
	w.rcv_edge = w.rcv_nxt + 1000;
	w.snd_una = 5000;
	w.snd_nxt = 5001;
	w.stack = mg_stack_new(&conf);
	assert_int_equal(mg_slow_add_neighbour(mg_stack_slow(w.stack), &peer), 0);
	attach_rings();
}

static void passive(bool finish)
{
	listen_here();
	w.rcv_edge = PISS + 1;
	rx(MG_TCP_SYN, PISS, 0, 0);
	if (!finish)
		return;
	w.snd_una = w.snd_nxt;
	rx(MG_TCP_ACK, PISS + 1, w.snd_nxt, 0);
	take_window();
	settle();
}

static void peer_fin(bool acks)
{
	if (acks)
		w.snd_una = w.snd_nxt;
	rx(MG_TCP_FIN | MG_TCP_ACK, w.rcv_nxt, w.snd_una, 0);
	settle();
}

/* Brings the host into a state by what leads there (figure 5). */
static void reach(enum state state)
{
	open_world();
	switch (state) {
	case LISTEN:
		listen_here();
		break;
	case SYN_SENT:
	case SYN_RCVD_ACTIVE:
		connect_there();
		if (state == SYN_RCVD_ACTIVE) {
			w.rcv_edge = PISS + 1;
			rx(MG_TCP_SYN, PISS, 0, 0);
		}
		break;
	case SYN_RCVD_PASSIVE:
		passive(false);
		break;
	case ESTABLISHED:
		passive(true);
		break;
	case CLOSE_WAIT:
	case LAST_ACK:
		passive(true);
		peer_fin(true);
		if (state == LAST_ACK)
			shut();
		break;
	case FIN_WAIT_1:
	case CLOSING:
		passive(true);
		shut();
		if (state == CLOSING)
			peer_fin(false);
		break;
	case FIN_WAIT_2:
	case TIME_WAIT:
		passive(true);
		shut();
		w.snd_una = w.snd_nxt;
		rx(MG_TCP_ACK, w.rcv_nxt, w.snd_nxt, 0);
		settle();
		if (state == TIME_WAIT)
			peer_fin(true);
		break;
	default:
		break;
	}
	w.nr_out = 0;
}

/* Where the connection stands; CLOSED also for one that is gone and for a listener without any. */
static enum state now_in(void)
{
	static const enum state of[MG_TCP_STATES] = {
		[MG_TCP_SYN_SENT] = SYN_SENT,       [MG_TCP_SYN_RECEIVED] = SYN_RCVD_ACTIVE,
		[MG_TCP_ESTABLISHED] = ESTABLISHED, [MG_TCP_CLOSE_WAIT] = CLOSE_WAIT,
		[MG_TCP_FIN_WAIT_1] = FIN_WAIT_1,   [MG_TCP_CLOSING] = CLOSING,
		[MG_TCP_LAST_ACK] = LAST_ACK,       [MG_TCP_FIN_WAIT_2] = FIN_WAIT_2,
	};
	struct mg_ctl_msg *msg = new_msg(MG_CTL_CONNECTIONS);
	struct mg_slow_totals totals;
	enum state state = CLOSED;

	mg_slow_totals(mg_stack_slow(w.stack), &totals);
	assert_true(mg_stack_request(w.stack, msg, w.now));
	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		if (msg->conn_info[i].state < MG_TCP_STATES &&
		    msg->conn_info[i].state != MG_TCP_CLOSED)
			state = of[msg->conn_info[i].state];
	}
	free(msg);
	if (totals.embryos != 0)
		return SYN_RCVD_PASSIVE;
	return totals.time_waits != 0 ? TIME_WAIT : state;
}

/* ---- What the RFCs say ---- */

enum reply { SILENCE, AN_ACK, A_RESET, A_SYN_ACK };

struct expected {
	enum reply reply;
	enum state state;
	uint32_t seq; /* of the reply */
	uint32_t ack; /* where it has one */
	bool has_ack;
};

struct segment {
	enum kind kind;
	uint32_t seq, ack;
	uint32_t len; /* SEG.LEN */
};

static bool has(const struct segment *g, uint16_t flag)
{
	return (kinds[g->kind].flags & flag) != 0;
}

static struct expected silence(enum state state)
{
	return (struct expected){ .reply = SILENCE, .state = state };
}

static struct expected ack_of(enum state state, uint32_t rcv_nxt)
{
	return (struct expected){
		.reply = AN_ACK, .state = state, .seq = w.snd_nxt, .ack = rcv_nxt, .has_ack = true
	};
}

/* 3.5.2: it must look as if it came from the other end. */
static struct expected reset_for(enum state state, const struct segment *g)
{
	if (has(g, MG_TCP_ACK))
		return (struct expected){ .reply = A_RESET, .state = state, .seq = g->ack };
	return (struct expected){
		.reply = A_RESET, .state = state, .ack = g->seq + g->len, .has_ack = true
	};
}

static struct expected syn_ack_for(const struct segment *g, enum state state)
{
	return (struct expected){ .reply = A_SYN_ACK,
				  .state = state,
				  .seq = UINT32_MAX,
				  .ack = g->seq + 1,
				  .has_ack = true };
}

/* 3.10.7.1, 3.10.7.2 */
static struct expected closed_or_listen(enum state state, const struct segment *g)
{
	if (has(g, MG_TCP_RST))
		return silence(CLOSED);
	if (state == CLOSED || has(g, MG_TCP_ACK))
		return reset_for(CLOSED, g);
	return has(g, MG_TCP_SYN) ? syn_ack_for(g, SYN_RCVD_PASSIVE) : silence(CLOSED);
}

/* 3.10.7.3 */
static struct expected syn_sent(const struct segment *g)
{
	if (has(g, MG_TCP_ACK) && (mg_seq_leq(g->ack, w.snd_una) || mg_seq_gt(g->ack, w.snd_nxt)))
		return has(g, MG_TCP_RST) ? silence(SYN_SENT) : reset_for(SYN_SENT, g);
	if (has(g, MG_TCP_RST))
		return silence(has(g, MG_TCP_ACK) ? CLOSED : SYN_SENT);
	if (!has(g, MG_TCP_SYN))
		return silence(SYN_SENT);
	return has(g, MG_TCP_ACK) ? ack_of(ESTABLISHED, g->seq + 1)
				  : syn_ack_for(g, SYN_RCVD_ACTIVE);
}

/* 3.10.7.4, first: table 6. */
static bool acceptable(const struct segment *g)
{
	uint32_t wnd = w.rcv_edge - w.rcv_nxt;

	if (g->len == 0)
		return wnd == 0 ? g->seq == w.rcv_nxt
				: mg_seq_between(g->seq, w.rcv_nxt, w.rcv_edge);
	return wnd != 0 && (mg_seq_between(g->seq, w.rcv_nxt, w.rcv_edge) ||
			    mg_seq_between(g->seq + g->len - 1, w.rcv_nxt, w.rcv_edge));
}

/* Second, with RFC 5961 3. */
static struct expected reset_in(enum state state, const struct segment *g)
{
	if (g->seq != w.rcv_nxt)
		return ack_of(state, w.rcv_nxt);
	return silence(CLOSED); /* or LISTEN, for a passive open: the same to now_in() */
}

/* Seventh and eighth: text and FIN. rcv_nxt moves only with what is next in sequence. */
static struct expected text_and_fin(enum state state, const struct segment *g)
{
	bool reads = state == ESTABLISHED || state == FIN_WAIT_1 || state == FIN_WAIT_2;
	bool next = g->seq == w.rcv_nxt;
	uint32_t rcv_nxt = w.rcv_nxt;

	if (g->kind == DATA_ACK && reads)
		return ack_of(state, next ? rcv_nxt + DATA : rcv_nxt);
	if (!has(g, MG_TCP_FIN))
		return silence(state);
	if (!next)
		return reads ? ack_of(state, rcv_nxt) : silence(state);
	if (state == ESTABLISHED)
		return ack_of(CLOSE_WAIT, rcv_nxt + 1);
	if (state == FIN_WAIT_1)
		return ack_of(CLOSING, rcv_nxt + 1);
	if (state == FIN_WAIT_2)
		return ack_of(TIME_WAIT, rcv_nxt + 1);
	return silence(state); /* "remain in" it */
}

/* Fifth: the ACK field, with RFC 5961 5. */
static struct expected ack_field(enum state state, const struct segment *g)
{
	bool acks_all = g->ack == w.snd_nxt;

	if (!has(g, MG_TCP_ACK))
		return silence(state);
	if (state == SYN_RCVD_PASSIVE || state == SYN_RCVD_ACTIVE) {
		if (!mg_seq_gt(g->ack, w.snd_una) || mg_seq_gt(g->ack, w.snd_nxt))
			return reset_for(state, g);
		return text_and_fin(ESTABLISHED, g);
	}
	if (mg_seq_gt(g->ack, w.snd_nxt) || mg_seq_lt(g->ack, w.snd_una - PWND))
		return ack_of(state, w.rcv_nxt);
	if (state == LAST_ACK && acks_all)
		return silence(CLOSED);
	if (state == CLOSING && acks_all)
		return silence(TIME_WAIT);
	if (state == FIN_WAIT_1 && acks_all)
		state = FIN_WAIT_2;
	return text_and_fin(state, g);
}

static struct expected expect(enum state state, const struct segment *g)
{
	if (state == CLOSED || state == LISTEN)
		return closed_or_listen(state, g);
	if (state == SYN_SENT)
		return syn_sent(g);
	if (!acceptable(g))
		return has(g, MG_TCP_RST) ? silence(state) : ack_of(state, w.rcv_nxt);
	if (has(g, MG_TCP_RST))
		return reset_in(state, g);
	if (has(g, MG_TCP_SYN)) /* fourth, with RFC 5961 4 */
		return state == SYN_RCVD_PASSIVE ? silence(CLOSED) : ack_of(state, w.rcv_nxt);
	return ack_field(state, g);
}

/* ---- Where we do otherwise on purpose; docs/rfc.md has these rows, too ---- */

static struct expected deviate(enum state state, const struct segment *g, struct expected e)
{
	/* RFC 1337 2.1: a reset must not end TIME-WAIT early. */
	if (state == TIME_WAIT && has(g, MG_TCP_RST))
		return silence(TIME_WAIT);
	/* MAY-2: a new incarnation, told by its later sequence number. */
	if (state == TIME_WAIT && g->kind == SYN && mg_seq_gt(g->seq, w.rcv_nxt))
		return syn_ack_for(g, SYN_RCVD_PASSIVE);
	/*
	 * A peer that has filled our window acknowledges from the octet behind it. While what it sent is still on
	 * its way to us, table 6 would have us drop its ACKs; Linux and the BSDs take them, and so do we.
	 */
	if (state >= ESTABLISHED && state != TIME_WAIT && g->seq == w.rcv_edge && g->len == 0 &&
	    (kinds[g->kind].flags & ~(uint32_t)MG_TCP_ACK) == 0)
		return ack_field(state, g);
	return e;
}

/* ---- The product ---- */

static const char *reply_text(enum reply reply, uint32_t seq, uint32_t ack, bool has_ack, char *buf,
			      size_t len)
{
	static const char *const names[] = { "silence", "ACK", "RST", "SYN-ACK" };

	if (reply == SILENCE)
		return names[0];
	(void)snprintf(buf, len, "%s seq %u%s%u", names[reply], seq, has_ack ? " ack " : " no ack ",
		       has_ack ? ack : 0);
	return buf;
}

static enum reply reply_of(const struct mg_seg *seg)
{
	if (seg->flags & MG_TCP_RST)
		return A_RESET;
	return seg->flags & MG_TCP_SYN ? A_SYN_ACK : AN_ACK;
}

static bool matches(const struct expected *e, enum state after)
{
	const struct mg_seg *o = &w.out[0];

	if (e->state != after || w.nr_out != (e->reply != SILENCE))
		return false;
	if (e->reply == SILENCE)
		return true;
	return reply_of(o) == e->reply && o->payload_len == 0 && (o->flags & MG_TCP_FIN) == 0 &&
	       (e->reply == A_SYN_ACK || o->seq == e->seq) &&
	       ((o->flags & MG_TCP_ACK) != 0) == e->has_ack && (!e->has_ack || o->ack == e->ack);
}

static void complain(enum state state, enum kind kind, enum place place, enum ack ack,
		     const struct expected *e, enum state after)
{
	char a[80], b[80] = "silence";

	if (w.nr_out != 0)
		(void)reply_text(reply_of(&w.out[0]), w.out[0].seq, w.out[0].ack,
				 (w.out[0].flags & MG_TCP_ACK) != 0, b, sizeof(b));
	print_error("%s: %s %s, ACK %s: want %s, %s; got %s (%u segments), %s\n",
		    state_names[state], kinds[kind].name, place_names[place], ack_names[ack],
		    reply_text(e->reply, e->seq, e->ack, e->has_ack, a, sizeof(a)),
		    state_names[e->state], b, w.nr_out, state_names[after]);
}

/* False: not as expected. */
static bool one_case(enum state state, enum kind kind, enum place place, enum ack ack)
{
	struct segment g = { .kind = kind, .len = kinds[kind].len };
	struct expected e;
	enum state after;
	bool good;

	reach(state);
	if (state >= SYN_RCVD_PASSIVE)
		assert_int_equal(now_in(), state);
	g.len += has(&g, MG_TCP_SYN) + has(&g, MG_TCP_FIN);
	g.seq = (const uint32_t[]){ w.rcv_nxt - 10, w.rcv_nxt,  w.rcv_nxt + 100,
				    w.rcv_edge - 1, w.rcv_edge, w.rcv_edge + 100 }[place];
	g.ack = (const uint32_t[]){ w.snd_una - PWND - 100, w.snd_una - 1, w.snd_nxt,
				    w.snd_nxt + 1 }[ack];
	if (state == SYN_SENT || state == SYN_RCVD_PASSIVE || state == SYN_RCVD_ACTIVE)
		g.ack += ack == OLD; /* the SYN itself is old, and nothing before it ever was */
	e = deviate(state, &g, expect(state, &g));
	rx(kinds[kind].flags, g.seq, has(&g, MG_TCP_ACK) ? g.ack : 0, kinds[kind].len);
	settle();
	after = now_in();
	good = matches(&e, after);
	if (!good)
		complain(state, kind, place, ack, &e, after);
	mg_stack_free(w.stack);
	return good;
}

static void product_of(enum state state)
{
	uint32_t nr = 0, bad = 0;

	for (int kind = 0; kind < NR_KINDS; kind++) {
		bool any_ack = (kinds[kind].flags & MG_TCP_ACK) != 0;

		for (int place = 0; place < NR_PLACES; place++) {
			for (int ack = any_ack ? 0 : VALID; ack < (any_ack ? NR_ACKS : FUTURE);
			     ack++) {
				nr++;
				bad += !one_case((enum state)state, (enum kind)kind,
						 (enum place)place, (enum ack)ack);
			}
		}
	}
	assert_int_equal(nr, 6 * (5 * 4 + 4));
	assert_int_equal(bad, 0);
}

#define STATE_TEST(name, state)         \
	static void name(void **unused) \
	{                               \
		(void)unused;           \
		product_of(state);      \
	}
STATE_TEST(closed, CLOSED)
STATE_TEST(listening, LISTEN)
STATE_TEST(syn_is_sent, SYN_SENT)
STATE_TEST(syn_received_by_passive_open, SYN_RCVD_PASSIVE)
STATE_TEST(syn_received_by_active_open, SYN_RCVD_ACTIVE)
STATE_TEST(established, ESTABLISHED)
STATE_TEST(close_wait, CLOSE_WAIT)
STATE_TEST(fin_wait_1, FIN_WAIT_1)
STATE_TEST(closing, CLOSING)
STATE_TEST(last_ack, LAST_ACK)
STATE_TEST(fin_wait_2, FIN_WAIT_2)
STATE_TEST(time_wait, TIME_WAIT)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closed),
		cmocka_unit_test(listening),
		cmocka_unit_test(syn_is_sent),
		cmocka_unit_test(syn_received_by_passive_open),
		cmocka_unit_test(syn_received_by_active_open),
		cmocka_unit_test(established),
		cmocka_unit_test(close_wait),
		cmocka_unit_test(fin_wait_1),
		cmocka_unit_test(closing),
		cmocka_unit_test(last_ack),
		cmocka_unit_test(fin_wait_2),
		cmocka_unit_test(time_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
