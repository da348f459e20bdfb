/* SPDX-License-Identifier: Apache-2.0 */
/*
 * close.h - the end of a connection: FIN events, letting go, orphans, giving up, keepalive, draining.
 *
 * Threads: the slow path.
 */
#ifndef MG_CLOSE_H
#define MG_CLOSE_H
#include <stdint.h>

#include "proto/path/msg.h"

struct mg_slow;
struct mg_conn;
struct mg_slow_app;

/* The worker's events about FIN, RST, close, time-outs; conn is live. */
void mg_close_event(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_flow *ev);
/* A doorbell for a window without a flow. Untrusted. */
void mg_close_doorbell(struct mg_slow *s, const struct mg_ev_doorbell *ev);
/* What the application asked by control: TCP_CLOSE and TCP_ABORT. */
void mg_close_asked(struct mg_slow *s, struct mg_conn *c);
void mg_close_abort(struct mg_slow *s, struct mg_conn *c);
/* The application is gone: counts the orphan, limits them. */
void mg_close_orphan(struct mg_slow *s, struct mg_conn *c);
void mg_close_orphan_timer(struct mg_slow *s, struct mg_conn *c);

void mg_keepalive_start(struct mg_slow *s, struct mg_conn *c);
void mg_keepalive_timer(struct mg_slow *s, struct mg_conn *c);
void mg_keepalive_report(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_removed *ev);

void mg_drain_begin(struct mg_slow *s, uint64_t grace_ns);
void mg_drain_timer(struct mg_slow *s);
/* A connection went away: was it the last? */
void mg_drain_step(struct mg_slow *s);
#endif
