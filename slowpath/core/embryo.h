/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embryo.h - passive handshakes that are not finished: small records in a bounded table.
 *
 * Idea:    a SYN makes an embryo (SYN-RECEIVED) that remembers what the final ACK needs and retransmits the
 *          SYN-ACK with back-off. The ACK makes a connection. When there is no room, a SYN cookie carries
 *          the same by way of the peer. A reset brings the listener back to where it was: the embryo goes.
 * Threads: the slow path.
 */
#ifndef MG_EMBRYO_H
#define MG_EMBRYO_H
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "slowpath/core/handshake.h"
#include "slowpath/core/tuples.h"

struct mg_slow;
struct mg_in;
struct mg_listener;
struct mg_conn;

struct mg_embryo {
	struct mg_tuple_node node; /* first: found through the table of tuples */
	struct mg_handshake hs;
	uint32_t listener; /* id */
	uint64_t sent_ns;  /* the SYN-ACK, for the round trip; when `acked`: how long that was */
	uint32_t rcvbuf_bytes;
	uint8_t retries;  /* SYN-ACKs sent again */
	uint8_t timeouts; /* of the timer; no SYN-ACK while it waits for data */
	uint8_t state;
	bool acked; /* the handshake is done, but there is no data yet (TCP_DEFER_ACCEPT) */
};
static_assert(sizeof(struct mg_embryo) <= 96, "embryos are small");

/* A SYN for a listener. floor_iss: 0, or the ISN must come after this (reuse of TIME-WAIT). */
void mg_embryo_syn(struct mg_slow *s, struct mg_listener *l, const struct mg_in *in,
		   uint32_t floor_iss);
void mg_embryo_input(struct mg_slow *s, uint32_t idx, const struct mg_in *in);
/* An ACK for a listener that nobody knows: may be a cookie. False: it is not. */
bool mg_embryo_cookie_ack(struct mg_slow *s, struct mg_listener *l, const struct mg_in *in);
void mg_embryo_timer(struct mg_slow *s, uint32_t idx);
void mg_embryo_drop(struct mg_slow *s, uint32_t idx);
void mg_embryo_drop_all_of(struct mg_slow *s, uint32_t listener_id);

/* What fastopen.c needs of the same. The SYN's side of the handshake, but iss. */
void mg_embryo_read_syn(const struct mg_slow *s, const struct mg_listener *l,
			const struct mg_seg *seg, struct mg_handshake *hs);
uint32_t mg_embryo_iss(const struct mg_slow *s, const struct mg_tuple *tuple, uint32_t floor_iss);
/* A connection in SYN-RECEIVED with everything that can run out. NULL: no room now. */
struct mg_conn *mg_embryo_conn(struct mg_slow *s, struct mg_listener *l,
			       const struct mg_handshake *hs, const struct mg_seg *seg);
/* Its next hop. */
void mg_embryo_path(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in);
/* The SYN-ACK's time-out after so many retransmissions. */
uint64_t mg_embryo_rto_ns(const struct mg_slow *s, uint32_t retries);
#endif
