/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_rx.c - how a worker receives: a burst from each queue, parsed, looked up, then processed.
 *
 * Idea:    the stages run over the whole burst, so that the memory each needs is on its way while the one
 *          before works on its neighbours. Packets of flows that live on another worker are handed over
 *          before anything else is done with them; what belongs to no flow is copied to the slow path.
 */
#include <string.h>

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "fastpath/core/flow.h"
#include "fastpath/io/worker_int.h"
#include "proto/base/bits.h"
#include "proto/wire/frame.h"

#define CHUNKS_MAX 8 /* buffers of one packet; more is dropped as malformed */

/* One packet on its way through the stages. */
struct item {
	struct rte_mbuf *m;
	struct mg_flow *flow;
	int drop; /* 0, or a negative enum mg_drop */
	struct mg_frame_view view;
	struct mg_chunk chunks[CHUNKS_MAX];
};

struct batch {
	uint16_t port;
	uint32_t nr;
	struct item items[MG_PORT_BURST];
};

static uint32_t rx_flags_of(const struct mg_port *port, const struct rte_mbuf *m)
{
	uint32_t flags = 0;

	if ((port->caps & MG_PORT_CAP_RX_CSUM) == 0)
		return 0;
	if ((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		flags |= MG_RX_L3_CSUM_OK;
	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		flags |= MG_RX_L4_CSUM_OK;
	return flags;
}

static const struct mg_chunk *chain(struct item *it)
{
	const struct rte_mbuf *m = it->m->next;
	uint32_t n = 0;

	for (; m != NULL && n < CHUNKS_MAX; m = m->next, n++) {
		it->chunks[n] = (struct mg_chunk){ .data = rte_pktmbuf_mtod(m, const uint8_t *),
						   .len = m->data_len };
		if (n > 0)
			it->chunks[n - 1].next = &it->chunks[n];
	}
	return n > 0 ? &it->chunks[0] : NULL;
}

static void parse(const struct mg_port *port, struct item *it)
{
	struct mg_frame_bytes in = {
		.data = rte_pktmbuf_mtod(it->m, const uint8_t *),
		.len = it->m->data_len,
		.rx_flags = rx_flags_of(port, it->m),
		.more = mg_unlikely(it->m->next != NULL) ? chain(it) : NULL,
		.gso_size = (it->m->ol_flags & RTE_MBUF_F_RX_LRO) != 0 ? it->m->tso_segsz : 0,
	};

	it->drop = mg_wire_parse_packet(&in, &it->view);
}

/* Room for a packet's way to the slow path; NULL: none. Then the frame is copied and bytes_to_slow() called. */
static struct mg_msg_packet *reserve_for_slow(struct mg_worker *w, uint16_t port, uint32_t frame,
					      uint16_t reason)
{
	uint32_t bytes = (uint32_t)sizeof(struct mg_msg_packet) + frame;
	struct mg_msg_packet *msg = NULL;

	if (bytes <= mg_msgring_max_len(w->conf.events))
		msg = mg_msgring_reserve(w->conf.events, bytes);
	if (msg == NULL) {
		mg_worker_count(w, MG_WS_slow_ring_full, 1);
		return NULL;
	}
	memset(msg, 0, sizeof(*msg));
	msg->msg.type = MG_EV_PACKET;
	msg->msg.port = port;
	msg->msg.len = bytes;
	msg->bytes = frame;
	msg->flags = MG_PKT_CSUM_OK;
	msg->reason = reason;
	return msg;
}

static void commit_to_slow(struct mg_worker *w, const struct mg_msg_packet *msg)
{
	mg_msgring_commit(w->conf.events, msg->msg.len);
	mg_worker_count(w, MG_WS_to_slow, 1);
	w->wake_slow = true;
}

static void to_slow(struct mg_worker *w, uint16_t port, const struct rte_mbuf *m, uint16_t reason)
{
	struct mg_msg_packet *msg = reserve_for_slow(w, port, m->pkt_len, reason);
	const void *data;

	if (msg == NULL)
		return;
	data = rte_pktmbuf_read(m, 0, m->pkt_len, msg->data);
	if (data != msg->data)
		memcpy(msg->data, data, m->pkt_len);
	commit_to_slow(w, msg);
}

static void process(struct mg_worker *w, uint16_t port, const struct item *it, uint64_t now_ns)
{
	if (mg_unlikely(it->drop < 0))
		mg_worker_bump(&w->drops[-it->drop], 1);
	else if (it->view.kind != MG_FRAME_TCP)
		to_slow(w, port, it->m, MG_PKT_NOT_TCP);
	else if (it->flow == NULL)
		to_slow(w, port, it->m, MG_PKT_NO_FLOW);
	else if (mg_unlikely(it->flow->port == w->local_port))
		mg_worker_bump(&w->drops[MG_DROP_IP_SRC], 1); /* both ends are here: a forgery */
	else if (mg_fp_rx(w->fp, it->flow, &it->view.seg, now_ns) == MG_FP_TO_SLOW)
		to_slow(w, port, it->m, MG_PKT_EXCEPTION);
}

static void process_batch(struct mg_worker *w, struct batch *b, uint64_t now_ns)
{
	for (uint32_t i = 0; i < b->nr; i++) {
		struct item *it = &b->items[i];

		it->flow = NULL;
		if (it->drop < 0 || it->view.kind != MG_FRAME_TCP)
			continue;
		it->flow = mg_fp_lookup(w->fp, &it->view.seg);
		if (it->flow != NULL)
			mg_fp_prefetch(it->flow);
	}
	for (uint32_t i = 0; i < b->nr; i++)
		process(w, b->port, &b->items[i], now_ns);
	for (uint32_t i = 0; i < b->nr; i++)
		rte_pktmbuf_free(b->items[i].m);
}

/* Which worker must see this packet? What is no flow's goes to worker 0, whose slow path may be inline. */
static uint32_t home_of(const struct mg_worker *w, const struct item *it)
{
	if (it->drop < 0 || it->view.kind != MG_FRAME_TCP)
		return w->conf.number;
	return mg_tuple_hash(&it->view.seg.tuple, w->conf.fp.hash_seed) % w->conf.nr_workers;
}

/* Gives away what belongs elsewhere and closes the gaps. */
static void steer(struct mg_worker *w, struct batch *b)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->nr; i++) {
		struct item *it = &b->items[i];
		uint32_t home = home_of(w, it);

		if (home == w->conf.number) {
			if (kept != i)
				b->items[kept] = *it;
			kept++;
		} else if (mg_steer_give(w->conf.steer, MG_STEER_RX, w->conf.number, home, it->m)) {
			mg_worker_count(w, MG_WS_steered, 1);
		} else {
			rte_pktmbuf_free(it->m);
			mg_worker_count(w, MG_WS_steer_full, 1);
		}
	}
	b->nr = kept;
}

static void fill(struct batch *b, struct rte_mbuf **pkts, uint32_t n, const struct mg_port *port)
{
	b->nr = n;
	for (uint32_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], const void *));
	for (uint32_t i = 0; i < n; i++) {
		b->items[i].m = pkts[i];
		parse(port, &b->items[i]);
	}
}

static void rx_queue(struct mg_worker *w, const struct mg_worker_queue *q, struct batch *b,
		     uint64_t now_ns)
{
	const struct mg_port *port = &w->conf.ports[q->port];
	struct rte_mbuf *pkts[MG_PORT_BURST];
	uint64_t start = rte_rdtsc(), bytes = 0;
	uint32_t n = mg_port_rx(port, q->queue, pkts, (uint16_t)w->conf.burst);

	start = rte_rdtsc() - start;
	w->io_cycles += start;
	if (n == 0)
		return;
	w->worked = true;
	mg_worker_count(w, MG_WS_rx_cycles, start);
	for (uint32_t i = 0; i < n; i++)
		bytes += pkts[i]->pkt_len;
	mg_worker_count(w, MG_WS_rx_packets, n);
	mg_worker_count(w, MG_WS_rx_bytes, bytes);
	b->port = q->port;
	fill(b, pkts, n, port);
	if (w->conf.steer != NULL)
		steer(w, b);
	process_batch(w, b, now_ns);
}

/* Packets that other workers received for our flows; each may be of another port. */
static void rx_handed(struct mg_worker *w, struct batch *b, uint64_t now_ns)
{
	struct rte_mbuf *pkts[MG_PORT_BURST];
	uint32_t n = mg_steer_take(w->conf.steer, MG_STEER_RX, w->conf.number, pkts, MG_PORT_BURST);

	w->worked |= n > 0;
	for (uint32_t i = 0; i < n; i++) {
		b->port = w->port_of_dev[pkts[i]->port];
		fill(b, &pkts[i], 1, &w->conf.ports[b->port]);
		process_batch(w, b, now_ns);
	}
}

void mg_worker_rx_frame(struct mg_worker *w, uint16_t port, const uint8_t *frame, uint32_t len,
			uint64_t now_ns)
{
	uint32_t flags = MG_RX_L3_CSUM_OK | MG_RX_L4_CSUM_OK;
	struct mg_msg_packet *msg;
	struct mg_frame_view view;
	struct mg_flow *flow;
	uint16_t reason = MG_PKT_NO_FLOW;

	if (port == w->local_port)
		flags |= MG_RX_NO_L2;
	if (mg_wire_parse_frame(frame, len, flags, &view) < 0 || view.kind != MG_FRAME_TCP)
		return; /* none that we sent, or that the slow path had parsed */
	flow = mg_fp_lookup(w->fp, &view.seg);
	if (flow != NULL) {
		if (mg_fp_rx(w->fp, flow, &view.seg, now_ns) != MG_FP_TO_SLOW)
			return;
		reason = MG_PKT_EXCEPTION;
	}
	msg = reserve_for_slow(w, port, len, reason);
	if (msg == NULL)
		return;
	memcpy(msg->data, frame, len);
	commit_to_slow(w, msg);
}

static void rx_all_local(struct mg_worker *w, uint64_t now_ns)
{
	for (uint32_t from = 0; from < w->conf.nr_workers; from++) {
		const uint8_t *frame;
		uint32_t len;

		for (uint32_t n = 0; n < MG_PORT_BURST; n++) {
			frame = mg_local_peek(w->conf.local, from, w->conf.number, &len);
			if (frame == NULL)
				break;
			w->worked = true;
			mg_worker_rx_frame(w, w->local_port, frame, len, now_ns);
			mg_local_done(w->conf.local, from, w->conf.number);
		}
	}
}

void mg_worker_rx(struct mg_worker *w, uint64_t now_ns)
{
	struct batch b;

	for (uint32_t i = 0; i < w->nr_queues; i++)
		rx_queue(w, &w->queues[i], &b, now_ns);
	if (w->conf.steer != NULL)
		rx_handed(w, &b, now_ns);
	if (w->conf.local != NULL)
		rx_all_local(w, now_ns);
}
