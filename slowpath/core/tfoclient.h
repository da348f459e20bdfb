/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tfoclient.h - TCP Fast Open, the client (RFC 7413): what a SYN of ours carries, and what its answer taught us.
 *
 * Idea:    connect() with the option and a cookie in the cache only reserves port and window (state WAITING); the
 *          application writes into its transmit ring as into that of an open connection, and rings with
 *          MG_SHM_AF_SYN: then the SYN leaves with the cookie and as much of it as fits. Without a cookie the SYN
 *          leaves at once and asks for one. What the SYN-ACK did not acknowledge lies in the ring still, where
 *          INSTALL finds it: it is sent as if nothing had been. A SYN that is sent again carries neither.
 * Threads: the slow path.
 */
#ifndef MG_TFOCLIENT_H
#define MG_TFOCLIENT_H
#include <stdbool.h>
#include <stdint.h>

#include "slowpath/core/tfocache.h"

struct mg_slow;
struct mg_conn;
struct mg_seg;
struct mg_out_seg;

/* mg_conn.tfo */
enum mg_tfo_plan {
	MG_TFO_PLAN_NONE = 0, /* an ordinary SYN */
	MG_TFO_PLAN_SYN,      /* the first SYN has the option, or data */
	MG_TFO_PLAN_WAIT,     /* ... when the application has written */
};

/* For a connection that begins; flags: enum mg_ctl_connect_flag. */
enum mg_tfo_plan mg_tfo_client_plan(struct mg_slow *s, const struct mg_tuple *tuple,
				    uint32_t flags);
/* Adds to the first SYN what there is. *hint keeps the cookie while *o is used. */
void mg_tfo_client_fill(struct mg_slow *s, struct mg_conn *c, struct mg_tfo_entry *hint,
			struct mg_out_seg *o);
/* Is this an ACK of our SYN, and perhaps of its data? */
bool mg_tfo_client_is_acked(const struct mg_conn *c, const struct mg_seg *seg);
/* The handshake is done, by this segment. */
void mg_tfo_client_done(struct mg_slow *s, struct mg_conn *c, const struct mg_seg *seg);
#endif
