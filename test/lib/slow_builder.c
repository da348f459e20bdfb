/* SPDX-License-Identifier: Apache-2.0 */
/* slow_builder.c - see slow_builder.h. */
#include "test/lib/slow_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/shm/window.h"
#include "proto/base/assert.h"
#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/eth.h"
#include "test/lib/slow_conf.h"

static bool on_command(void *ctx, uint32_t worker, const struct mg_msg *cmd)
{
	struct sb *b = ctx;
	struct sb_cmd *c;

	if (b->is_full)
		return false;
	assert_true(b->nr_cmds < SB_CMDS_MAX);
	assert_true(cmd->len <= SB_PKT_MAX);
	c = &b->cmds[b->nr_cmds++];
	c->worker = worker;
	memcpy(c->bytes, cmd, cmd->len);
	return true;
}

static void on_reply(void *ctx, const struct mg_slow_req *req)
{
	struct sb *b = ctx;

	assert_true((req->msg->hdr.type & MG_CTL_REPLY) != 0);
	b->nr_replies++;
}

static void on_app_gone(void *ctx, struct mg_app *app)
{
	struct sb *b = ctx;

	assert_ptr_equal(app, b->app);
	b->nr_gone++;
}

static void on_drained(void *ctx)
{
	((struct sb *)ctx)->nr_drained++;
}

static void on_wake(void *ctx, struct mg_app *app, uint32_t context)
{
	(void)app;
	(void)context;
	((struct sb *)ctx)->nr_wakes++;
}

static void on_ring_freed(void *ctx, struct mg_app *app, uint64_t off, uint32_t bytes)
{
	assert_true(off >= app->payload_off && off + bytes <= app->total_bytes);
	((struct sb *)ctx)->nr_rings_freed++;
}

void sb_conf_family(struct sb *b, bool v6)
{
	memset(b, 0, sizeof(*b));
	b->v6 = v6;
	b->now_ns = 1000 * MG_NS_PER_S;
	b->mac = (struct mg_mac){ { 2, 0, 0, 0, 0, 1 } };
	b->peer_mac = (struct mg_mac){ { 2, 0, 0, 0, 0, 2 } };
	b->conf = test_slow_conf();
	b->conf.keepalive_count = 3;
	b->conf.orphans_max = 16;
	b->conf.rcvbuf_bytes = SB_RING;
	b->conf.rcvbuf_max_bytes = 4 << 20;
	b->conf.sndbuf_bytes = SB_RING;
	b->conf.sndbuf_max_bytes = 4 << 20;
	memcpy(b->conf.congestion_control, "reno", sizeof("reno"));
	b->lim = (struct mg_slow_limits){
		.nr_workers = 1,
		.conns_max = 32,
		.listeners_max = 8,
		.embryos_max = 16,
		.time_waits_max = 4,
		.frags_max = 8,
		.neighbours_max = 4,
		.arp_queue_max = 16,
		.arp_queue_each_max = 8,
		.apps_max = 2,
		.app_windows_max = 32,
		.app_payload_bytes_max = 1 << 20,
		.hash_seed = 12345,
		.secret = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
	};
}

static void *take(size_t bytes)
{
	void *mem = aligned_alloc(64, mg_align_up(bytes, 64));

	assert_non_null(mem);
	memset(mem, 0xa5, bytes); /* the engine must not count on zeroes */
	return mem;
}

static void make_app(struct sb *b)
{
	struct mg_app_layout layout = {
		.nr_windows = b->lim.app_windows_max,
		.nr_contexts = 2,
		.nr_workers = b->lim.nr_workers,
		.payload_bytes = b->lim.app_payload_bytes_max,
	};
	struct mg_shm_header *hdr;
	const struct mg_shm_section *sec;
	size_t bytes = mg_app_region_bytes(&layout);
	struct mg_slow_req req = { .type = MG_SLOW_REQ_APP_ADD };

	b->region = take(bytes);
	memset(b->region, 0, bytes);
	b->app = calloc(1, sizeof(*b->app));
	assert_non_null(b->app);
	mg_app_region_format(b->region, &layout, 1);
	mg_app_bind(b->app, b->region, &layout);
	hdr = (struct mg_shm_header *)(void *)b->region;
	sec = &hdr->sections[MG_SHM_SEC_EVENTS];
	mg_spsc_attach_consumer(&b->events, b->region + sec->off, sec->entries,
				sizeof(struct mg_shm_event), 0);
	req.app = b->app;
	mg_slow_request(b->s, &req, b->now_ns);
}

void sb_start(struct sb *b, bool know_peer)
{
	struct mg_slow_env env = {
		.ctx = b,
		.command = on_command,
		.reply = on_reply,
		.app_gone = on_app_gone,
		.drained = on_drained,
		.wake = on_wake,
		.ring_freed = on_ring_freed,
	};
	struct mg_slow_port port = { .mac = b->mac, .mtu = 1500, .has_l2 = true };
	const struct mg_slow_addr addrs[] = {
		{ .addr = SB_US4, .prefix = 24 },
		{ .addr = SB_US6, .prefix = 64 },
		{ .addr = mg_addr_link_local(&b->mac), .prefix = 64 },
	};
	const struct mg_slow_route routes[] = {
		{ .net = mg_addr_v4(0), .via = SB_GATEWAY4 },
		{ .via = SB_GATEWAY6 },
	};
	struct mg_slow_neighbour peer = { .addr = b->v6 ? SB_PEER6 : SB_PEER4, .mac = b->peer_mac };
	uint16_t idx;

	b->lim.now_ns = b->now_ns;
	b->cmds = malloc(SB_CMDS_MAX * sizeof(*b->cmds));
	b->msg = calloc(1, sizeof(*b->msg));
	assert_true(b->cmds != NULL && b->msg != NULL);
	b->mem = take(mg_slow_bytes(&b->lim));
	assert_int_equal(mg_slow_init(b->mem, &b->lim, &b->conf, &env, &b->s), 0);
	assert_int_equal(mg_slow_add_port(b->s, &port, &idx), 0);
	for (uint32_t i = 0; i < MG_ARRAY_SIZE(addrs); i++)
		assert_int_equal(mg_slow_add_addr(b->s, &addrs[i]), 0);
	for (uint32_t i = 0; i < MG_ARRAY_SIZE(routes); i++)
		assert_int_equal(mg_slow_add_route(b->s, &routes[i]), 0);
	if (know_peer)
		assert_int_equal(mg_slow_add_neighbour(b->s, &peer), 0);
	make_app(b);
	sb_clear(b);
}

/* Plays a worker that obeys at once, for the end of a test. */
static void obey_all(struct sb *b)
{
	while (b->next_cmd < b->nr_cmds) {
		const struct sb_cmd *c = &b->cmds[b->next_cmd++];

		if (c->msg.type == MG_CMD_REMOVE) {
			struct mg_ev_removed ev = { .msg = c->msg };

			ev.msg.type = MG_EV_REMOVED;
			ev.msg.len = sizeof(ev);
			mg_slow_event(b->s, c->worker, &ev.msg, b->now_ns);
		} else if (c->msg.type == MG_CMD_APP_DEL) {
			struct mg_msg_app ev = c->app;

			ev.msg.type = MG_EV_APP_DEL;
			mg_slow_event(b->s, c->worker, &ev.msg, b->now_ns);
		}
	}
}

void sb_free(struct sb *b)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_APP_DEL, .app = b->app };

	b->is_full = false;
	b->next_cmd = 0; /* answers to what was answered before are stale, and ignored */
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_request(b->s, &req, b->now_ns);
	obey_all(b);
	sb_wait(b, b->s->conf.fin_timeout_ms * MG_NS_PER_MS + 2 * MG_NS_PER_S);
	obey_all(b);
	mg_slow_check(b->s);
	assert_int_equal(b->nr_gone, 1);
	assert_int_equal(b->s->conn_pool.nr_used, 0);
	assert_int_equal(b->s->embryo_pool.nr_used, 0);
	assert_int_equal(b->s->listener_pool.nr_used, 0);
	assert_int_equal(b->s->nr_orphans, 0);
	for (uint32_t i = 0; i < b->s->neighs.pool.nr_touched; i++)
		if (mg_pool_is_live(&b->s->neighs.pool, i))
			assert_int_equal(b->s->neighs.entries[i].nr_users, 0);
	sb_wait(b, 200 * MG_NS_PER_S);
	assert_int_equal(b->s->timewaits.pool.nr_used, 0);
	assert_int_equal(b->s->tuples.nr_used, 0);
	assert_int_equal(b->s->neighs.slot_pool.nr_used, 0);
	free(b->mem);
	free(b->region);
	free(b->app);
	free(b->cmds);
	free(b->msg);
}

void sb_rx_frame(struct sb *b, const uint8_t *frame, uint32_t len)
{
	_Alignas(8) uint8_t buf[sizeof(struct mg_msg_packet) + SB_PKT_MAX] = { 0 };
	struct mg_msg_packet *pkt = (struct mg_msg_packet *)(void *)buf;

	pkt->msg = (struct mg_msg){ .type = MG_EV_PACKET, .len = (uint32_t)sizeof(*pkt) + len };
	pkt->bytes = len;
	memcpy(pkt->data, frame, len);
	mg_slow_event(b->s, 0, &pkt->msg, b->now_ns);
	mg_slow_check(b->s);
}

void sb_rx_icmp(struct sb *b, uint8_t type, uint8_t code, uint32_t word, const void *body,
		uint32_t len)
{
	uint8_t frame[1600];
	struct mg_addr src = SB_PEER, dst = SB_US;
	struct mg_ip_spec ip = {
		.src = &src, .dst = &dst, .l4_len = 8 + len, .proto = MG_IPPROTO_ICMP, .ttl = 64
	};
	uint8_t *l4 = frame + MG_ETH_HLEN + MG_IPV4_HLEN;

	(void)mg_wire_eth_emit(frame, &b->mac, &b->peer_mac, MG_ETHERTYPE_IPV4);
	(void)mg_wire_ip_emit(frame + MG_ETH_HLEN, &ip);
	memset(l4, 0, 8);
	l4[0] = type;
	l4[1] = code;
	mg_store_be32(l4 + 4, word);
	memcpy(l4 + 8, body, len);
	mg_csum_store(l4 + 2, mg_csum_add(0, l4, 8 + len));
	sb_rx_frame(b, frame, MG_ETH_HLEN + MG_IPV4_HLEN + 8 + len);
}

void sb_rx_icmp_error(struct sb *b, uint8_t type, uint8_t code, uint32_t word,
		      const struct mg_tuple *t, uint32_t seq)
{
	uint8_t quote[64];
	struct mg_frame_spec spec = {
		.src = &t->laddr,
		.dst = &t->raddr,
		.payload_len = 1460,
		.ttl = 64,
		.csum = MG_TX_CSUM_NONE,
		.tcp = { .sport = t->lport, .dport = t->rport, .seq = seq, .flags = MG_TCP_ACK },
	};

	(void)mg_wire_emit_ip_tcp(quote, &spec);
	sb_rx_icmp(b, type, code, word, quote, MG_IPV4_HLEN + 8);
}

static bool is_zero(const struct mg_addr *a)
{
	static const struct mg_addr zero;

	return mg_addr_eq(a, &zero);
}

void sb_rx(struct sb *b, const struct sb_seg *seg)
{
	_Alignas(8) uint8_t buf[sizeof(struct mg_msg_packet) + SB_PKT_MAX] = { 0 };
	struct mg_msg_packet *pkt = (struct mg_msg_packet *)(void *)buf;
	struct mg_addr src = !is_zero(&seg->src) ? seg->src : b->v6 ? SB_PEER6 : SB_PEER4;
	struct mg_addr dst = !is_zero(&seg->dst) ? seg->dst : b->v6 ? SB_US6 : SB_US4;
	struct mg_frame_spec spec = {
		.dmac = b->mac,
		.smac = b->peer_mac,
		.src = &src,
		.dst = &dst,
		.payload_len = seg->len,
		.ttl = 64,
		.csum = MG_TX_CSUM_FULL,
		.tcp = {
			.sport = seg->sport ? seg->sport : SB_PPORT,
			.dport = seg->dport ? seg->dport : SB_PORT,
			.seq = seg->seq,
			.ack = seg->ack,
			.flags = seg->flags,
			.wnd = seg->wnd,
			.mss = seg->mss,
			.opts = seg->opts,
			.ws = seg->ws,
			.tfo = seg->tfo,
			.tfo_len = seg->tfo_len,
			.tsval = seg->tsval,
			.tsecr = seg->tsecr,
		},
	};
	uint32_t len;

	if (seg->payload != NULL)
		spec.payload_sum = mg_csum_add(0, seg->payload, seg->len);
	if (seg->l2_broadcast)
		memset(&spec.dmac, 0xff, sizeof(spec.dmac));
	len = mg_wire_emit_eth_ip_tcp(pkt->data, &spec);
	if (seg->payload != NULL)
		memcpy(pkt->data + len, seg->payload, seg->len);
	len += seg->len;
	pkt->msg = (struct mg_msg){ .type = MG_EV_PACKET, .len = (uint32_t)sizeof(*pkt) + len };
	pkt->bytes = len;
	pkt->reason = seg->reason;
	mg_slow_event(b->s, 0, &pkt->msg, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_check(b->s);
}

void sb_wait(struct sb *b, uint64_t ns)
{
	uint64_t end_ns = b->now_ns + ns;

	while (mg_slow_next_ns(b->s) <= end_ns) {
		b->now_ns = mg_max_u64(b->now_ns, mg_slow_next_ns(b->s));
		mg_slow_timers(b->s, b->now_ns);
		mg_slow_flush(b->s, b->now_ns);
	}
	b->now_ns = end_ns;
	mg_slow_timers(b->s, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_check(b->s);
}

const struct mg_frame_view *sb_tx_frame(struct sb *b)
{
	const struct sb_cmd *c = sb_cmd(b, MG_CMD_TX_PACKET);

	if (c == NULL)
		return NULL;
	assert_int_equal(sb_pkt(c)->bytes + sizeof(struct mg_msg_packet), c->msg.len);
	assert_int_equal(mg_wire_parse_frame(sb_pkt(c)->data, sb_pkt(c)->bytes, 0, &b->view), 0);
	if (b->view.kind ==
	    MG_FRAME_TCP) { /* parsed as received: turn it round, so that tuples read as ours */
		struct mg_tuple t = b->view.seg.tuple;

		b->view.seg.tuple = (struct mg_tuple){
			.laddr = t.raddr, .raddr = t.laddr, .lport = t.rport, .rport = t.lport
		};
	}
	return &b->view;
}

const struct mg_seg *sb_tx(struct sb *b)
{
	const struct mg_frame_view *v = sb_tx_frame(b);

	if (v == NULL)
		return NULL;
	assert_int_equal(v->kind, MG_FRAME_TCP);
	return &v->seg;
}

const struct sb_cmd *sb_cmd(struct sb *b, uint16_t type)
{
	while (b->next_cmd < b->nr_cmds) {
		b->last = b->cmds[b->next_cmd++];
		if (b->last.msg.type == type)
			return &b->last;
	}
	return NULL;
}

void sb_no_cmd(struct sb *b, uint16_t type)
{
	for (uint32_t i = b->next_cmd; i < b->nr_cmds; i++)
		assert_int_not_equal(b->cmds[i].msg.type, type);
}

void sb_tx_none(struct sb *b)
{
	sb_no_cmd(b, MG_CMD_TX_PACKET);
}

void sb_clear(struct sb *b)
{
	b->nr_cmds = 0;
	b->next_cmd = 0;
}

int sb_ctl(struct sb *b, uint16_t type, uint32_t count)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_CTL, .app = b->app, .msg = b->msg };

	b->msg->hdr.type = type;
	b->msg->hdr.count = count;
	b->nr_replies = 0;
	mg_slow_request(b->s, &req, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_check(b->s);
	return b->msg->hdr.status;
}

void sb_listen(struct sb *b, uint32_t backlog)
{
	mg_ctl_init(b->msg, MG_CTL_TCP_LISTEN, 1, 1);
	b->msg->listen[0] = (struct mg_ctl_listen){
		.addr = mg_addr_any(b->v6),
		.port = SB_PORT,
		.backlog = backlog,
		.cookie = 77,
	};
	assert_int_equal(sb_ctl(b, MG_CTL_TCP_LISTEN, 1), 0);
	assert_int_equal(b->nr_replies, 1);
	b->listener = b->msg->listen[0].listener;
}

void sb_accept(struct sb *b, uint32_t credits)
{
	mg_ctl_init(b->msg, MG_CTL_TCP_ACCEPT, 1, 1);
	b->msg->accept[0] = (struct mg_ctl_accept){ .listener = b->listener, .credits = credits };
	assert_int_equal(sb_ctl(b, MG_CTL_TCP_ACCEPT, 1), 0);
}

int sb_connect(struct sb *b, uint32_t *ret_window)
{
	int err;

	mg_ctl_init(b->msg, MG_CTL_TCP_CONNECT, 1, 1);
	b->msg->connect[0] = (struct mg_ctl_connect){
		.tuple = { .raddr = b->v6 ? SB_PEER6 : SB_PEER4,
			   .rport = SB_PPORT,
			   .laddr = mg_addr_v4(0) },
		.cookie = 88,
	};
	err = sb_ctl(b, MG_CTL_TCP_CONNECT, 1);
	*ret_window = b->msg->connect[0].window;
	return err;
}

struct mg_conn *sb_conn(struct sb *b)
{
	struct mg_conn *found = NULL;

	for (uint32_t i = 0; i < b->s->conn_pool.nr_touched; i++) {
		if (!mg_pool_is_live(&b->s->conn_pool, i))
			continue;
		assert_null(found);
		found = &b->s->conns[i];
	}
	return found;
}

void sb_ev(struct sb *b, uint16_t type, uint32_t count, uint32_t value)
{
	struct mg_conn *c = sb_conn(b);
	struct mg_ev_flow ev = { .count = count, .value = value };

	assert_non_null(c);
	ev.msg = (struct mg_msg){ .type = type, .len = sizeof(ev), .flow = c->idx, .gen = c->gen };
	mg_slow_event(b->s, c->worker, &ev.msg, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_check(b->s);
}

void sb_removed(struct sb *b)
{
	struct mg_conn *c = sb_conn(b);
	struct mg_ev_removed ev = { 0 };

	assert_non_null(c);
	assert_int_equal(c->flow, MG_CONN_FLOW_REMOVING);
	ev.msg = (struct mg_msg){
		.type = MG_EV_REMOVED, .len = sizeof(ev), .flow = c->idx, .gen = c->gen
	};
	ev.snd_nxt = c->hs.iss + 2; /* SYN and FIN */
	ev.snd_una = ev.snd_nxt;
	ev.rcv_nxt = c->hs.irs + 2;
	ev.snd_wnd = 60000;
	ev.rcv_wnd = 60000;
	ev.ts_recent = c->hs.ts_recent;
	mg_slow_event(b->s, c->worker, &ev.msg, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_check(b->s);
}

void sb_report(struct sb *b, const struct mg_ev_removed *books)
{
	struct mg_conn *c = sb_conn(b);
	struct mg_ev_removed ev = *books;

	assert_non_null(c);
	ev.msg = (struct mg_msg){
		.type = MG_EV_REPORT, .len = sizeof(ev), .flow = c->idx, .gen = c->gen
	};
	mg_slow_event(b->s, c->worker, &ev.msg, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_check(b->s);
}

void sb_app_flags(struct sb *b, uint32_t window, uint32_t a_flags)
{
	atomic_store(&b->app->windows[window].a_flags, a_flags);
}

void sb_doorbell(struct sb *b, uint32_t window)
{
	struct mg_ev_doorbell ev = {
		.msg = { .type = MG_EV_DOORBELL, .len = sizeof(ev) },
		.app = b->app,
		.window = window,
		.gen = b->app->windows[window].gen,
		.a_flags = atomic_load(&b->app->windows[window].a_flags),
	};

	mg_slow_event(b->s, 0, &ev.msg, b->now_ns);
	mg_slow_flush(b->s, b->now_ns);
	mg_slow_check(b->s);
}

bool sb_event(struct sb *b, struct mg_shm_event *ret_ev)
{
	if (mg_spsc_pop(&b->events, ret_ev) != 1)
		return false;
	atomic_store(&b->app->windows[ret_ev->index % b->app->nr_windows].s_dirty, 0);
	return true;
}

uint32_t sb_syn_received(struct sb *b)
{
	const struct mg_seg *seg;

	sb_rx(b, &(struct sb_seg){ .seq = SB_PISS,
				   .flags = MG_TCP_SYN,
				   .wnd = 64240,
				   .mss = 1460,
				   .ws = 7,
				   .tsval = 5000,
				   .opts = MG_SEG_OPT_MSS | MG_SEG_OPT_WS | MG_SEG_OPT_SACK_PERM |
					   MG_SEG_OPT_TS });
	seg = sb_tx(b);
	assert_non_null(seg);
	assert_int_equal(seg->flags, MG_TCP_SYN | MG_TCP_ACK);
	return seg->seq;
}

struct mg_conn *sb_established(struct sb *b)
{
	struct mg_shm_event ev;
	uint32_t iss;

	sb_listen(b, 8);
	sb_accept(b, 1);
	iss = sb_syn_received(b);
	b->now_ns += 10 * MG_NS_PER_MS;
	sb_rx(b, &(struct sb_seg){ .seq = SB_PISS + 1,
				   .ack = iss + 1,
				   .flags = MG_TCP_ACK,
				   .wnd = 502,
				   .opts = MG_SEG_OPT_TS,
				   .tsval = 5010,
				   .tsecr = 1 });
	assert_true(sb_event(b, &ev));
	assert_int_equal(ev.kind, MG_SHM_EV_ACCEPTED);
	assert_int_equal(ev.cookie, 77);
	assert_true(mg_window_claim(&b->app->windows[ev.index]));
	sb_clear(b);
	assert_non_null(sb_conn(b));
	assert_int_equal(sb_conn(b)->state, MG_TCP_ESTABLISHED);
	return sb_conn(b);
}

struct mg_conn *sb_in_state(struct sb *b, enum mg_tcp_state state)
{
	static const uint16_t paths[MG_TCP_STATES][4] = {
		[MG_TCP_CLOSE_WAIT] = { MG_EV_FIN_RCVD },
		[MG_TCP_FIN_WAIT_1] = { MG_EV_FIN_SENT },
		[MG_TCP_CLOSING] = { MG_EV_FIN_SENT, MG_EV_FIN_RCVD },
		[MG_TCP_LAST_ACK] = { MG_EV_FIN_RCVD, MG_EV_FIN_SENT },
		[MG_TCP_FIN_WAIT_2] = { MG_EV_FIN_SENT, MG_EV_FIN_ACKED },
		[MG_TCP_TIME_WAIT] = { MG_EV_FIN_SENT, MG_EV_FIN_ACKED, MG_EV_FIN_RCVD },
	};
	struct mg_conn *c = sb_established(b);

	for (int i = 0; i < 4 && paths[state][i] != 0; i++)
		sb_ev(b, paths[state][i], 0, 0);
	assert_int_equal(c->state, state);
	return c;
}
