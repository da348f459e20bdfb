/* SPDX-License-Identifier: Apache-2.0 */
/* rings.c - see rings.h. */
#include "slowpath/core/rings.h"

#include <errno.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "slowpath/core/conn.h"
#include "slowpath/core/engine.h"

#define RESERVE_SHIFT 3 /* growth leaves an eighth of the region to new connections */

static struct mg_slow_app *app_of(struct mg_slow *s, const struct mg_conn *c)
{
	return &s->apps[c->app];
}

static void give(struct mg_slow *s, struct mg_slow_app *a, uint64_t off, uint32_t bytes)
{
	if (bytes == 0)
		return;
	mg_payload_free(&a->payload, off, bytes);
	if (s->env.ring_freed != NULL)
		s->env.ring_freed(s->env.ctx, a->app, a->app->payload_off + off, bytes);
}

/* Number 0 of a direction; before the window's state is stored. */
static void publish(const struct mg_slow_app *a, struct mg_shm_ring *slot,
		    const struct mg_conn_ring *r)
{
	/* relaxed: published by the release of `state` */
	atomic_store_explicit(&slot->start, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->page,
			      (uint32_t)((a->app->payload_off + r->off) / MG_SHM_PAGE_BYTES),
			      memory_order_relaxed);
	atomic_store_explicit(&slot->bytes, r->bytes, memory_order_relaxed);
}

int mg_rings_open(struct mg_slow *s, struct mg_conn *c)
{
	struct mg_conn_ring *rx = &c->ring[MG_RING_RX], *tx = &c->ring[MG_RING_TX];
	struct mg_slow_app *a = app_of(s, c);
	struct mg_shm_window *w = &a->app->windows[c->window];

	*rx = (struct mg_conn_ring){ .bytes = c->rcvbuf_bytes };
	*tx = (struct mg_conn_ring){ .bytes = c->sndbuf_bytes };
	if (mg_payload_alloc(&a->payload, rx->bytes, &rx->off) < 0)
		goto none;
	if (mg_payload_alloc(&a->payload, tx->bytes, &tx->off) < 0)
		goto free_rx;
	publish(a, &w->rx_rings[0], rx);
	publish(a, &w->tx_rings[0], tx);
	return 0;

free_rx:
	mg_payload_free(&a->payload, rx->off, rx->bytes);
none:
	s->stats.no_payload++;
	return -ENOSPC;
}

void mg_rings_close(struct mg_slow *s, struct mg_conn *c)
{
	for (int i = 0; i < 2; i++) {
		struct mg_conn_ring *r = &c->ring[i];

		give(s, app_of(s, c), r->off, r->bytes);
		give(s, app_of(s, c), r->next_off, r->next_bytes);
		*r = (struct mg_conn_ring){ 0 };
	}
}

uint32_t mg_rings_max(const struct mg_slow *s, const struct mg_conn *c, enum mg_ring_dir dir)
{
	bool rx = dir == MG_RING_RX;

	if (!s->conf.autotune || (c->flags & (rx ? MG_CONN_RCV_FIXED : MG_CONN_SND_FIXED)) != 0)
		return 0;
	/* As if so much had been asked for: rounded and limited. */
	return rx ? mg_rcvbuf_of(s, s->conf.rcvbuf_max_bytes)
		  : mg_sndbuf_of(s, s->conf.sndbuf_max_bytes);
}

static bool leaves_room(const struct mg_payload *p, uint32_t bytes)
{
	uint32_t units = bytes / MG_PAYLOAD_UNIT_BYTES;

	return p->nr_free_units >= units + (p->nr_units >> RESERVE_SHIFT);
}

static void want(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_ring *ev)
{
	struct mg_slow_app *a = app_of(s, c);
	struct mg_conn_ring *r = &c->ring[ev->dir];

	MG_ASSERT(r->next_bytes == 0);
	if ((ev->bytes > r->bytes && !leaves_room(&a->payload, ev->bytes)) ||
	    mg_payload_alloc(&a->payload, ev->bytes, &r->next_off) < 0)
		s->stats.rings_refused++;
	else
		r->next_bytes = ev->bytes;
	mg_conn_command(s, c, ev->dir == MG_RING_RX ? MG_CONN_CMD_RING_RX : MG_CONN_CMD_RING_TX);
}

void mg_rings_event(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_ring *ev)
{
	struct mg_conn_ring *r = &c->ring[ev->dir];
	struct mg_conn_ring was = *r;

	if (c->flow != MG_CONN_FLOW_LIVE || (c->flags & MG_CONN_WINDOW) == 0)
		return; /* all are given back together */
	if (ev->what == MG_RING_WANT) {
		want(s, c, ev);
		return;
	}
	MG_ASSERT(was.next_bytes != 0);
	if (ev->what == MG_RING_OLD_FREE) {
		*r = (struct mg_conn_ring){ .off = was.next_off, .bytes = was.next_bytes };
		give(s, app_of(s, c), was.off, was.bytes);
	} else {
		*r = (struct mg_conn_ring){ .off = was.off, .bytes = was.bytes };
		give(s, app_of(s, c), was.next_off, was.next_bytes);
	}
}

bool mg_rings_answer(struct mg_slow *s, struct mg_conn *c, enum mg_ring_dir dir)
{
	const struct mg_conn_ring *r = &c->ring[dir];
	struct mg_cmd_ring cmd = {
		.msg = { .type = MG_CMD_RING,
			 .port = c->port,
			 .len = sizeof(cmd),
			 .flow = c->idx,
			 .gen = c->gen },
		.dir = dir,
		.bytes = r->next_bytes,
		.off = app_of(s, c)->app->payload_off + r->next_off,
	};

	return s->env.command(s->env.ctx, c->worker, &cmd.msg);
}
