/* SPDX-License-Identifier: Apache-2.0 */
/* tfoclient.c - see tfoclient.h. */
#include "slowpath/core/tfoclient.h"

#include "proto/base/assert.h"
#include "proto/wire/wire.h"
#include "slowpath/core/engine.h"

static bool needs_no_cookie(const struct mg_slow *s, uint32_t connect_flags)
{
	return (s->conf.fastopen & MG_FASTOPEN_CLIENT_NO_COOKIE) != 0 ||
	       (connect_flags & MG_CTL_CONNECT_TFO_NO_COOKIE) != 0;
}

enum mg_tfo_plan mg_tfo_client_plan(struct mg_slow *s, const struct mg_tuple *tuple, uint32_t flags)
{
	struct mg_tfo_entry e;
	enum mg_tfo_advice advice;

	if ((flags & MG_CTL_CONNECT_FASTOPEN) == 0 || (s->conf.fastopen & MG_FASTOPEN_CLIENT) == 0)
		return MG_TFO_PLAN_NONE;
	advice = mg_tfo_cache_look(s, tuple, &e);
	if (advice == MG_TFO_LEAVE)
		return MG_TFO_PLAN_NONE;
	return advice == MG_TFO_USE || needs_no_cookie(s, flags) ? MG_TFO_PLAN_WAIT
								 : MG_TFO_PLAN_SYN;
}

/* RFC 7413 4.1.3: no more than the server said that it takes, and than the path is known to. Options count. */
static uint32_t room_of(const struct mg_slow *s, const struct mg_conn *c, uint16_t mss)
{
	const struct mg_tuple *t = &c->node.tuple;
	uint32_t path = mg_sub_sat_u32(mg_pmtu_of(s, &t->raddr), mg_handshake_headers(t));

	if (mss == 0)
		mss = mg_addr_is_v4(&t->raddr) ? MG_MSS_DEFAULT_V4 : MG_MSS_DEFAULT_V6;
	path = mg_min_u32(path, MG_SLOW_FRAME_MAX - MG_WIRE_HDR_MAX);
	return mg_sub_sat_u32(mg_min_u32(path, mss), MG_TCP_OPTS_MAX);
}

/* A SYN with data cannot wait for the neighbour's address: it is too long for the queue. */
static bool can_leave(const struct mg_slow *s, const struct mg_conn *c)
{
	struct mg_mac mac;

	return !s->routes.ports[c->port].has_l2 || mg_neigh_mac(s, c->neigh, &mac);
}

/* What the application has written; nothing of it is believed. */
static uint32_t written(struct mg_slow *s, const struct mg_conn *c)
{
	/* acquire: pairs with the application's release; the payload is in the ring */
	uint64_t head = atomic_load_explicit(&mg_conn_window(s, c)->tx_head, memory_order_acquire);

	return head <= c->sndbuf_bytes ? (uint32_t)head : 0; /* the worker will find it out */
}

static void add_data(struct mg_slow *s, struct mg_conn *c, uint16_t mss, struct mg_out_seg *o)
{
	const struct mg_app *app = s->apps[c->app].app;

	if (!can_leave(s, c))
		return;
	o->data = app->base + app->payload_off + c->ring[MG_RING_TX].off;
	o->data_bytes = mg_min_u32(written(s, c), room_of(s, c, mss));
	c->syn_sent = o->data_bytes;
}

void mg_tfo_client_fill(struct mg_slow *s, struct mg_conn *c, struct mg_tfo_entry *hint,
			struct mg_out_seg *o)
{
	enum mg_tfo_advice advice;
	bool free = (c->flags & MG_CONN_TFO_NO_COOKIE) != 0 || needs_no_cookie(s, 0);

	if (c->tfo == MG_TFO_PLAN_NONE || c->retries > 0)
		return;
	advice = mg_tfo_cache_look(s, &c->node.tuple, hint);
	if (advice == MG_TFO_LEAVE) {
		c->tfo = MG_TFO_PLAN_NONE;
		return;
	}
	if (!free) {
		o->opts |= MG_SEG_OPT_TFO;
		o->cookie = &hint->cookie;
	}
	if (free || advice == MG_TFO_USE)
		add_data(s, c, hint->mss, o);
}

bool mg_tfo_client_is_acked(const struct mg_conn *c, const struct mg_seg *seg)
{
	return seg->ack - (c->hs.iss + 1) <= c->syn_sent;
}

static void take_cookie(const struct mg_seg *seg, struct mg_tfo_cookie *ret)
{
	MG_ASSERT(seg->tfo_len <= sizeof(ret->b));
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->b, seg->tfo, seg->tfo_len);
	ret->len = seg->tfo_len;
}

void mg_tfo_client_done(struct mg_slow *s, struct mg_conn *c, const struct mg_seg *seg)
{
	bool has_cookie = (seg->flags & MG_TCP_SYN) != 0 && (seg->opts & MG_SEG_OPT_TFO) != 0 &&
			  seg->tfo_len > 0;
	uint16_t mss = (seg->flags & MG_TCP_SYN) != 0 && (seg->opts & MG_SEG_OPT_MSS) ? seg->mss
										      : 0;
	struct mg_tfo_cookie cookie;

	if (c->tfo == MG_TFO_PLAN_NONE)
		return;
	c->syn_acked = seg->ack - (c->hs.iss + 1);
	if (c->syn_acked > 0) {
		c->flags |= MG_CONN_SYN_DATA;
		s->stats.fastopen_active++;
	} else if (c->syn_sent > 0) {
		s->stats.fastopen_active_fail++;
	}
	if (has_cookie)
		take_cookie(seg, &cookie);
	mg_tfo_cache_note(s, &c->node.tuple, has_cookie ? &cookie : NULL, mss,
			  c->retries > 0 && !has_cookie && c->syn_acked == 0);
}
