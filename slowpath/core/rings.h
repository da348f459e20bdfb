/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rings.h - a connection's payload rings: the first two, and their successors.
 *
 * Idea:    a direction has one ring, and while its worker changes to another size (fastpath/core/ring.h), two.
 *          Growth leaves an eighth of the region alone, so that new connections find room.
 * Threads: the slow path.
 */
#ifndef MG_RINGS_H
#define MG_RINGS_H
#include <stdint.h>

#include "proto/path/msg.h"

struct mg_slow;
struct mg_conn;

struct mg_conn_ring {
	uint64_t off, next_off; /* within the payload section */
	uint32_t bytes;         /* 0: none */
	uint32_t next_bytes;    /* of the successor; 0: no change is under way */
};

/* The rings that the connection begins with. 0 or -ENOSPC. */
int mg_rings_open(struct mg_slow *s, struct mg_conn *c);
void mg_rings_close(struct mg_slow *s, struct mg_conn *c);
/* MG_EV_RING */
void mg_rings_event(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_ring *ev);
/* Sends the answer to a wish; false: the worker's ring is full. */
bool mg_rings_answer(struct mg_slow *s, struct mg_conn *c, enum mg_ring_dir dir);
/* How far a direction's ring may grow. */
uint32_t mg_rings_max(const struct mg_slow *s, const struct mg_conn *c, enum mg_ring_dir dir);
#endif
