/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input.h - packets that the workers hand up: who are they for?
 *
 * Threads: the slow path.
 */
#ifndef MG_INPUT_H
#define MG_INPUT_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/path/msg.h"
#include "proto/wire/frame.h"
#include "slowpath/core/limit.h"

struct mg_slow;
struct mg_conn;
struct mg_slow_app;
struct mg_ctl_connect;

/* A segment and where it came from. */
struct mg_in {
	const struct mg_seg *seg;
	const struct mg_msg_packet *pkt;
	uint32_t worker;
	uint16_t port;
};

void mg_input_packet(struct mg_slow *s, uint32_t worker, const struct mg_msg_packet *pkt);
/* The flow was installed just now and must see this packet: hands it down. */
void mg_input_reinject(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in);
/* RFC 9293 3.10.7.1: a reset for a segment that belongs to nobody. */
void mg_input_reset(struct mg_slow *s, const struct mg_seg *seg);
/* A SYN or ACK that no connection knows: listener or reset. */
void mg_input_listen(struct mg_slow *s, const struct mg_in *in, uint32_t floor_iss);
/* May a challenge ACK (or any answer to what may be forged) leave? Counts. */
bool mg_input_may_challenge(struct mg_slow *s);
/* RFC 9293 3.10.7.4, first check: is the segment in the window? */
bool mg_input_is_acceptable(const struct mg_seg *seg, uint32_t rcv_nxt, uint32_t rcv_wnd);

void mg_icmp_input(struct mg_slow *s, const struct mg_frame_view *fv, uint16_t port);
/* The worker's books, which a "fragmentation needed" waited for. */
struct mg_frag;
/* Tells the source that its packet did not come whole in time. False: there is no way to it. */
bool mg_icmp_exceeded(struct mg_slow *s, const struct mg_frag *f);
void mg_icmp_report(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_removed *ev);

/* Active opens: SYN-SENT, and SYN-RECEIVED after a simultaneous open. */
int mg_active_open(struct mg_slow *s, struct mg_slow_app *app, struct mg_ctl_connect *connect);
void mg_active_input(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in);
/* The application has written: a SYN that waited for that leaves. */
void mg_active_go(struct mg_slow *s, struct mg_conn *c);
void mg_active_timer(struct mg_slow *s, struct mg_conn *c);
/* Ends an open that cannot succeed. error: positive errno. */
void mg_active_fail(struct mg_slow *s, struct mg_conn *c, uint32_t error);
#endif
