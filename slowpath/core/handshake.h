/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handshake.h - what the two SYN segments agree on, and how our own are written.
 *
 * Idea:    one small struct travels from embryo (or cookie, or active open) to connection and INSTALL.
 * Threads: the slow path.
 */
#ifndef MG_HANDSHAKE_H
#define MG_HANDSHAKE_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/seg.h"
#include "slowpath/core/tfocookie.h"

struct mg_slow;

#define MG_MSS_DEFAULT_V4 536 /* RFC 9293 MUST-15 */
#define MG_MSS_DEFAULT_V6 1220
#define MG_MSS_MIN \
	88 /* smaller offers would let a peer make us send mostly headers (CVE-2019-11479) */

struct mg_cc_ops;

enum mg_handshake_ecn {
	MG_HANDSHAKE_NO_ECN = 0,
	MG_HANDSHAKE_ECN = 1,
	MG_HANDSHAKE_ECN_ECT = 2, /* ... and SYNs carry ECT themselves (RFC 8257 3.5) */
};

struct mg_handshake {
	uint32_t iss;
	uint32_t irs;
	uint32_t ts_recent;
	uint32_t ts_offset;
	uint16_t mss;   /* the peer's */
	uint16_t wnd;   /* the peer's, unscaled, as in its SYN */
	uint8_t snd_ws; /* shift of the peer's window; 0 unless MG_SEG_OPT_WS */
	uint8_t rcv_ws; /* shift of ours; likewise */
	uint8_t opts;   /* agreed: MG_SEG_OPT_TS, _SACK_PERM, _WS */
	uint8_t ecn;    /* agreed; enum mg_handshake_ecn */
	uint8_t ttl;    /* of what we send; 0: configured */
	uint8_t tos;    /* likewise */
};

/* A control segment to be written. */
struct mg_out_seg {
	const struct mg_tuple *tuple;
	uint32_t seq;
	uint32_t ack;
	uint32_t tsval;
	uint32_t tsecr;
	uint16_t flags;
	uint16_t wnd; /* as on the wire */
	uint16_t mss;
	uint8_t opts; /* enum mg_seg_opt */
	uint8_t ws;
	uint8_t ttl; /* 0: configured */
	uint8_t tos;
	const struct mg_tfo_cookie *cookie; /* with MG_SEG_OPT_TFO; empty: asks for one */
	const uint8_t *data;                /* payload; perhaps in an application's memory */
	uint32_t data_bytes;
};

/* Writes and sends it, by route and neighbour. */
void mg_tcp_out(struct mg_slow *s, const struct mg_out_seg *o);

/* Our timestamp clock: milliseconds. */
uint32_t mg_tsval(const struct mg_slow *s, uint32_t ts_offset);
/* The MSS that we announce on a path that leaves by `port`. */
uint16_t mg_handshake_mss(const struct mg_slow *s, const struct mg_tuple *tuple);
/* The largest payload we may send: min(peer's, path's) less options (RFC 9293 MUST-16). */
uint16_t mg_handshake_snd_mss(const struct mg_slow *s, const struct mg_tuple *tuple,
			      const struct mg_handshake *hs, uint32_t mss_max);
/* The same on a path of that MTU. */
uint16_t mg_handshake_snd_mss_at(const struct mg_slow *s, const struct mg_tuple *tuple,
				 const struct mg_handshake *hs, uint32_t mss_max, uint32_t mtu);
/* Bytes of the IP and TCP headers without options. */
uint32_t mg_handshake_headers(const struct mg_tuple *tuple);
/* Smallest shift with which the largest receive buffer fits into the window field. */
uint8_t mg_handshake_rcv_ws(const struct mg_slow *s);
/* What `opts` we offer in a SYN. */
uint8_t mg_handshake_offer(const struct mg_slow *s);
/* Reads a SYN (or SYN-ACK): agreed are the options that both sides want. Fills all but iss and ts_offset. */
void mg_handshake_read(const struct mg_slow *s, const struct mg_seg *seg, struct mg_handshake *hs);
/* The window field of a SYN: never scaled. */
/* What we grant a peer that asks for ECN; enum mg_handshake_ecn. ops: the connection's algorithm. */
uint8_t mg_handshake_ecn_grant(const struct mg_slow *s, const struct mg_cc_ops *ops);
/* What we ask for. */
uint8_t mg_handshake_ecn_ask(const struct mg_slow *s, const struct mg_cc_ops *ops);
uint16_t mg_handshake_syn_wnd(uint32_t rcvbuf_bytes);
/* A SYN-ACK. */
struct mg_synack {
	const struct mg_tuple *tuple;
	const struct mg_handshake *hs;
	const struct mg_tfo_cookie *cookie; /* for the peer's next connection; NULL or empty: none */
	uint32_t rcvbuf_bytes;
	uint32_t tsval;
	uint32_t data_bytes; /* of the SYN, acknowledged with it (RFC 7413) */
};
void mg_handshake_send(struct mg_slow *s, const struct mg_synack *a);
/* SYN-ACK of a handshake. tsval as given: cookies carry options in it. */
void mg_handshake_send_synack(struct mg_slow *s, const struct mg_tuple *tuple,
			      const struct mg_handshake *hs, uint32_t rcvbuf_bytes, uint32_t tsval);
/* <SEQ=seq><ACK=ack><CTL=ACK>, with timestamps if agreed. */
void mg_handshake_send_ack(struct mg_slow *s, const struct mg_tuple *tuple,
			   const struct mg_handshake *hs, uint32_t seq, uint32_t ack, uint16_t wnd);
/* Ring sizes: power of two between one page and the configured maximum. */
uint32_t mg_rcvbuf_of(const struct mg_slow *s, uint32_t asked_bytes);
uint32_t mg_sndbuf_of(const struct mg_slow *s, uint32_t asked_bytes);
/* Can this be the address of a peer (RFC 9293 MUST-57, MUST-63)? */
bool mg_source_is_valid(const struct mg_slow *s, const struct mg_addr *src);
/* The same of the other end of a connection, which may be at one of our own addresses. */
bool mg_peer_is_valid(const struct mg_slow *s, const struct mg_addr *addr);
#endif
