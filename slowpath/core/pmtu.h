/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmtu.h - how large packets may be on the way to a destination.
 *
 * Idea:    a bounded cache, set-associative, remembers for some minutes what routers said (RFC 1191, RFC 8201) or
 *          probes found out. A connection whose full-sized segments time out again and again, though small ones get
 *          through or did, is on a path with a black hole: it goes down to a base size that works nearly everywhere
 *          (RFC 4821 7.7). From there, and after the time of what a router said is over, it asks the worker to
 *          probe upwards: first the largest size, then halving what is left. A size that was lost twice does not
 *          fit; what fits is used at once.
 *
 *            ICMP, validated ---> narrow --+                        +--> fits: use it, ask for more
 *            time-outs ---------> base ----+--(pmtu_expire_s, or    |
 *                                          |   at once from base)-->| probe
 *                                          +<--- no more to gain ---+--> lost twice: not so large
 * Threads: the slow path.
 */
#ifndef MG_PMTU_H
#define MG_PMTU_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/addr.h"

struct mg_slow;
struct mg_conn;
struct mg_ev_flow;

#define MG_PMTU_SETS 256
#define MG_PMTU_WAYS 4

struct mg_pmtu {
	struct mg_addr dst;
	uint32_t mtu;  /* 0: free */
	bool fragment; /* less was asked for than we go down to (RFC 1191 7.1's other choice) */
	uint64_t expire_ns;
};

struct mg_pmtus {
	struct mg_pmtu entries[MG_PMTU_SETS][MG_PMTU_WAYS];
};

/* The MTU towards dst: the port's, or less if that is known. */
uint32_t mg_pmtu_of(const struct mg_slow *s, const struct mg_addr *dst);
/* The same without what was learned. */
uint32_t mg_pmtu_of_port(const struct mg_slow *s, const struct mg_addr *dst);
/* A router says that packets of the connection's may have `mtu` bytes at most; it is believed. */
void mg_pmtu_narrow(struct mg_slow *s, struct mg_conn *c, uint32_t mtu);
/* A connection begins. */
void mg_pmtu_start(struct mg_slow *s, struct mg_conn *c);
/* Its retransmissions timed out. */
void mg_pmtu_timed_out(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_flow *ev);
/* The worker's answer to a probe. */
void mg_pmtu_probed(struct mg_slow *s, struct mg_conn *c, uint32_t value);
void mg_pmtu_timer(struct mg_slow *s, struct mg_conn *c);
#endif
