/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ports.h - ephemeral ports by double hashing (RFC 6056 algorithm 4).
 *
 * Idea:    where the search begins is a secret function of the two addresses and the remote port, plus a
 *          counter out of a small table picked by a second one; so successive connections to one peer take
 *          successive ports, and nobody can tell the next from another's. A port serves many tuples; one
 *          that a listener has is never taken.
 * Threads: the slow path.
 */
#ifndef MG_PORTS_H
#define MG_PORTS_H
#include <stdint.h>

#include "proto/base/addr.h"

#define MG_PORTS_COUNTERS 64

struct mg_slow;

/* Sets tuple->lport. 0 or -EADDRNOTAVAIL. A TIME-WAIT entry that may be reused is given up as a last resort. */
int mg_ports_pick(struct mg_slow *s, struct mg_tuple *tuple);
/* A port for a listener on port 0. 0 or -EADDRINUSE. */
int mg_ports_pick_listen(struct mg_slow *s, uint16_t *ret_port);
#endif
