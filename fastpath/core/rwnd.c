/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rwnd.c - the window that we offer; see rwnd.h.
 */
#include "fastpath/core/rwnd.h"

#include "proto/base/bits.h"

/* How far the ring lets the edge go. */
static uint32_t ring_edge(const struct mg_flow *f)
{
	uint32_t unit = 1u << f->rcv_wscale;
	uint32_t reserve = unit * 8 <= f->rx_mask ? unit - 1 : 0;
	uint32_t room = mg_sub_sat_u32(mg_flow_rx_free(f), reserve);

	return f->rcv_nxt + mg_min_u32(room, 65535u << f->rcv_wscale);
}

void mg_rwnd_init(struct mg_flow *f, uint32_t adv)
{
	uint32_t edge = ring_edge(f);

	f->rcv_adv = mg_seq_max(adv, f->rcv_nxt);
	/* What the handshake offered, but for the reserve. */
	f->rcv_edge = mg_seq_min(f->rcv_adv, edge);
}

uint16_t mg_rwnd_select(struct mg_flow *f)
{
	uint32_t edge = ring_edge(f);
	uint32_t unit_mask = (1u << f->rcv_wscale) - 1;
	uint32_t wnd;

	if (mg_seq_diff(edge, f->rcv_edge) >= (int32_t)mg_min_u32((f->rx_mask + 1) / 2, f->rcv_mss))
		f->rcv_edge = edge;
	/* After the ring shrank, and the reader stopped: say so, or the peer takes it for loss and gives up. */
	if (mg_unlikely(mg_flow_rx_free(f) == 0) && mg_seq_gt(f->rcv_edge, edge))
		f->rcv_edge = edge;
	if (mg_seq_lt(f->rcv_edge, f->rcv_nxt))
		f->rcv_edge = f->rcv_nxt;
	wnd = (f->rcv_edge - f->rcv_nxt + unit_mask) >> f->rcv_wscale;
	wnd = mg_min_u32(wnd, 65535);
	if (mg_seq_gt(f->rcv_nxt + (wnd << f->rcv_wscale), f->rcv_adv))
		f->rcv_adv = f->rcv_nxt + (wnd << f->rcv_wscale);
	return (uint16_t)wnd;
}

bool mg_rwnd_update_due(const struct mg_flow *f)
{
	uint32_t half = (f->rx_mask + 1) / 2;
	int32_t gain = mg_seq_diff(ring_edge(f), f->rcv_edge);

	/* While the peer has half the ring to fill, its next data will carry the news. */
	return mg_seq_diff(f->rcv_edge, f->rcv_nxt) < (int32_t)half &&
	       gain >= (int32_t)mg_min_u32(2u * f->rcv_mss, half);
}
