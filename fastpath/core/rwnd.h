/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rwnd.h - the receive window that we offer.
 *
 * Idea:    room is what the rx ring has left. rcv_edge, the right edge that we stand for, moves right only in
 *          steps of min(MSS, half the ring) (receiver SWS avoidance, RFC 9293 3.8.6.2.2) and never left
 *          (SHLD-14). On the wire the distance is rounded up to the scale's unit, for which the ring keeps
 *          one unit in reserve; so what we offered always has room.
 * Threads: pure functions of the flow.
 */
#ifndef MG_RWND_H
#define MG_RWND_H
#include "fastpath/core/flow.h"

/* At INSTALL, with ring and scale in place; adv is the right edge offered so far. */
void mg_rwnd_init(struct mg_flow *f, uint32_t adv);
/* Moves the edges for a segment that leaves now; returns the window field. */
uint16_t mg_rwnd_select(struct mg_flow *f);
/* The reader made room: is it worth a window update of its own? */
bool mg_rwnd_update_due(const struct mg_flow *f);
#endif
