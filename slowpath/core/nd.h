/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nd.h - neighbour discovery for IPv6 (RFC 4861) and duplicate address detection (RFC 4862 5.4).
 *
 * Idea:    the messages only; the cache they fill is neigh.h's. Solicitations and advertisements are
 *          answered and believed as RFC 4861 7.2 says; routers' advertisements and redirects are counted
 *          and ignored: addresses and routes come from the configuration. At the start each address is
 *          tentative for conf.dad_ms: it receives and sends nothing; who objects makes it unusable.
 * Threads: the slow path.
 */
#ifndef MG_ND_H
#define MG_ND_H
#include <stdint.h>

#include "proto/path/msg.h"
#include "proto/wire/frame.h"

struct mg_slow;
struct mg_neigh;

void mg_nd_ask(struct mg_slow *s, struct mg_neigh *n);
/* fv: of kind MG_FRAME_ND, the view of pkt. */
void mg_nd_input(struct mg_slow *s, const struct mg_msg_packet *pkt,
		 const struct mg_frame_view *fv);
/* Unsolicited advertisements of every usable IPv6 address (RFC 4861 7.2.6). */
void mg_nd_announce(struct mg_slow *s);
/* Every IPv6 address becomes tentative and is asked for. */
void mg_dad_start(struct mg_slow *s);
/* Nobody objected: tentative addresses become usable. */
void mg_dad_timer(struct mg_slow *s);
/* Somebody else has the address, and it is still tentative. */
void mg_dad_conflict(struct mg_slow *s, uint32_t addr_idx);
#endif
