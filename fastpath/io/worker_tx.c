/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_tx.c - how a worker sends: packets are collected per port and given away once per turn.
 *
 * Idea:    on kernel interfaces a transmit call is a system call, the dearest thing in a turn, so there is
 *          at most one per port and turn (or per MG_WORKER_TX_MAX packets). A worker without a queue of the
 *          port hands its packets to the one that has it. What a port does not take is lost, as on a wire,
 *          and counted; TCP sends it again.
 */
#include <string.h>

#include <rte_mbuf.h>

#include "fastpath/io/worker_int.h"

static struct rte_mempool *pool_of(const struct mg_worker_port *wp)
{
	return wp->port->pool[wp->queue >= 0 ? wp->queue : 0];
}

bool mg_worker_pkt_alloc(void *ctx, uint16_t port, uint32_t len, struct mg_fp_pkt *ret_pkt)
{
	struct mg_worker *w = ctx;
	struct rte_mbuf *m;

	if (mg_unlikely(port == w->local_port)) {
		if (len > MG_LOCAL_MTU) {
			mg_worker_count(w, MG_WS_tx_no_buffer, 1);
			return false;
		}
		ret_pkt->handle = NULL;
		ret_pkt->data = mg_local_room(w->conf.local, w->conf.number);
		return true;
	}
	m = rte_pktmbuf_alloc(pool_of(&w->ports[port]));
	if (m == NULL || rte_pktmbuf_tailroom(m) < len) {
		rte_pktmbuf_free(m);
		mg_worker_count(w, MG_WS_tx_no_buffer, 1);
		return false;
	}
	ret_pkt->handle = m;
	ret_pkt->data = rte_pktmbuf_mtod(m, uint8_t *);
	return true;
}

static void send_now(struct mg_worker *w, struct mg_worker_port *wp)
{
	uint64_t start = rte_rdtsc(), bytes = 0;
	uint32_t sent;

	for (uint32_t i = 0; i < wp->nr_tx; i++)
		bytes += wp->tx[i]->pkt_len;
	sent = mg_port_tx(wp->port, (uint16_t)wp->queue, wp->tx, (uint16_t)wp->nr_tx);
	if (sent < wp->nr_tx) /* the ring was full: the call has kicked it, so once more */
		sent += mg_port_tx(wp->port, (uint16_t)wp->queue, wp->tx + sent,
				   (uint16_t)(wp->nr_tx - sent));
	for (uint32_t i = sent; i < wp->nr_tx; i++)
		rte_pktmbuf_free(wp->tx[i]);
	mg_worker_count(w, MG_WS_tx_calls, 1);
	mg_worker_count(w, MG_WS_tx_packets, sent);
	mg_worker_count(w, MG_WS_tx_bytes, bytes);
	mg_worker_count(w, MG_WS_tx_full, wp->nr_tx - sent);
	wp->nr_tx = 0;
	start = rte_rdtsc() - start;
	w->io_cycles += start;
	mg_worker_count(w, MG_WS_tx_cycles, start);
}

static void collect(struct mg_worker *w, struct mg_worker_port *wp, struct rte_mbuf *m)
{
	if (wp->nr_tx == MG_WORKER_TX_MAX)
		send_now(w, wp);
	wp->tx[wp->nr_tx++] = m;
}

static void send_mbuf(struct mg_worker *w, uint16_t port, struct rte_mbuf *m)
{
	struct mg_worker_port *wp = &w->ports[port];

	if (wp->queue >= 0) {
		collect(w, wp, m);
		return;
	}
	m->port = wp->port->id;
	if (mg_steer_give(w->conf.steer, MG_STEER_TX, w->conf.number, wp->owner, m))
		return;
	rte_pktmbuf_free(m);
	mg_worker_count(w, MG_WS_steer_full, 1);
}

static void set_offloads(const struct mg_port *port, struct rte_mbuf *m,
			 const struct mg_fp_pkt *pkt)
{
	if (!pkt->part_csum)
		return;
	m->tx_offload = rte_mbuf_tx_offload(pkt->l2_len, pkt->l3_len, pkt->l4_len, pkt->gso_size, 0,
					    0, 0);
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM |
		       (pkt->is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
	if (!pkt->is_v6 && (port->caps & MG_PORT_CAP_TX_IP_CSUM) != 0)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	if (pkt->gso_size != 0)
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
}

/* Nothing to do: what was lent is the application's. */
static void keep(void *addr, void *opaque)
{
	(void)addr;
	(void)opaque;
}

/* A buffer that points to lent payload at the end of the chain; false: none is free. */
static bool append_lent(struct mg_worker *w, uint16_t port, struct rte_mbuf *head, uint8_t *data,
			uint32_t bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool_of(&w->ports[port]));

	if (m == NULL)
		return false;
	rte_mbuf_ext_refcnt_update(&w->lent, 1);
	rte_pktmbuf_attach_extbuf(m, data, RTE_BAD_IOVA, (uint16_t)bytes, &w->lent);
	m->data_len = (uint16_t)bytes;
	m->pkt_len = bytes;
	if (rte_pktmbuf_chain(head, m) == 0)
		return true;
	rte_pktmbuf_free(m);
	return false;
}

void mg_worker_lend_init(struct mg_worker *w)
{
	w->lent.free_cb = keep;
	rte_mbuf_ext_refcnt_set(&w->lent, 1); /* ours: it never gets free */
}

static void send_local(struct mg_worker *w, const struct mg_fp_pkt *pkt)
{
	bool sent = mg_local_send(w->conf.local, w->conf.number, pkt, w->conf.fp.hash_seed);

	mg_worker_count(w, sent ? MG_WS_local_packets : MG_WS_local_full, 1);
	w->worked = true; /* for our own next turn, perhaps */
}

void mg_worker_pkt_send(void *ctx, const struct mg_fp_pkt *pkt)
{
	struct mg_worker *w = ctx;
	struct rte_mbuf *m = pkt->handle;

	if (mg_unlikely(pkt->port == w->local_port)) {
		send_local(w, pkt);
		return;
	}
	m->data_len = (uint16_t)pkt->len;
	m->pkt_len = pkt->len;
	for (uint32_t i = 0; i < 2 && pkt->lent[i].bytes != 0; i++) {
		if (append_lent(w, pkt->port, m, pkt->lent[i].data, pkt->lent[i].bytes))
			continue;
		rte_pktmbuf_free(m); /* as if the wire had lost it */
		mg_worker_count(w, MG_WS_tx_no_buffer, 1);
		return;
	}
	set_offloads(w->ports[pkt->port].port, m, pkt);
	send_mbuf(w, pkt->port, m);
}

void mg_worker_tx_frame(struct mg_worker *w, uint16_t port, const uint8_t *frame, uint32_t len)
{
	struct mg_fp_pkt pkt = { .port = port };
	bool local = port == w->local_port && w->conf.local != NULL;
	struct rte_mbuf *m;

	if ((port >= w->conf.nr_ports && !local) || !mg_worker_pkt_alloc(w, port, len, &pkt))
		return; /* counted */
	memcpy(pkt.data, frame, len);
	pkt.len = len;
	m = pkt.handle;
	if (m == NULL) {
		send_local(w, &pkt);
		return;
	}
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	send_mbuf(w, port, m);
}

/* What other workers gave us to send. */
static void take_handed(struct mg_worker *w)
{
	struct rte_mbuf *pkts[MG_PORT_BURST];
	uint32_t n = mg_steer_take(w->conf.steer, MG_STEER_TX, w->conf.number, pkts, MG_PORT_BURST);

	w->worked |= n > 0;
	for (uint32_t i = 0; i < n; i++)
		collect(w, &w->ports[w->port_of_dev[pkts[i]->port]], pkts[i]);
}

void mg_worker_tx_flush(struct mg_worker *w)
{
	if (w->conf.steer != NULL)
		take_handed(w);
	for (uint32_t i = 0; i < w->conf.nr_ports; i++)
		if (w->ports[i].nr_tx > 0)
			send_now(w, &w->ports[i]);
}
