/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fastopen.h - TCP Fast Open, the server (RFC 7413): connections that begin before their handshake ends.
 *
 * Idea:    a SYN with a right cookie makes a connection at once, instead of an embryo: window, rings, INSTALL with the
 *          SYN's payload, the accept queue. The slow path keeps what is the handshake's - the SYN-ACK's retransmission,
 *          giving up - and the state SYN-RECEIVED (MG_CONN_TFO), until the worker has seen the acknowledgment of the
 *          SYN-ACK (MG_EV_SYN_ACKED). What the worker does not take on the way there (SYNs, ACKs of what was never
 *          sent) comes here.
 *          A listener has so many of them at most; one that is reset counts for a minute on (RFC 7413 5.1), so that
 *          who spoofs addresses gains nothing by resets. Beyond that SYNs are treated as without the option.
 * Threads: the slow path.
 */
#ifndef MG_FASTOPEN_H
#define MG_FASTOPEN_H
#include <stdbool.h>
#include <stdint.h>

#include "slowpath/core/tfocookie.h"

struct mg_slow;
struct mg_slow_app;
struct mg_slow_conf;
struct mg_listener;
struct mg_conn;
struct mg_in;
struct mg_ctl_opt;

/* tcp.fastopen: bits, as Linux counts them. */
enum mg_fastopen_bit {
	MG_FASTOPEN_CLIENT = 0x1,
	MG_FASTOPEN_SERVER = 0x2,
	MG_FASTOPEN_CLIENT_NO_COOKIE = 0x4,   /* data in every SYN that may have some */
	MG_FASTOPEN_SERVER_NO_COOKIE = 0x200, /* data is taken without a cookie */
	MG_FASTOPEN_SERVER_ALL = 0x400,       /* every listener, not those that ask for it */
};

#define MG_FASTOPEN_SLOTS 4 /* of 20 s each: resets count for 60 to 80 s */

/* Of a listener. */
struct mg_fastopen_queue {
	uint32_t max; /* 0: off */
	uint32_t nr;  /* handshakes that have not ended */
	uint32_t resets[MG_FASTOPEN_SLOTS];
	uint64_t slot; /* number of the newest */
	bool no_cookie;
};

/* The keys of cookies, from the configuration; also after it changed. */
void mg_fastopen_configure(struct mg_slow *s, const struct mg_slow_conf *old);
/*
 * A SYN for a listener with room in its backlog. True: it has a connection now. False: an ordinary handshake, whose
 * SYN-ACK carries *ret_cookie, if there is one.
 */
bool mg_fastopen_syn(struct mg_slow *s, struct mg_listener *l, const struct mg_in *in,
		     uint32_t floor_iss, struct mg_tfo_cookie *ret_cookie);
/* A segment that the worker handed up before the handshake's end. */
void mg_fastopen_input(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in);
/* The SYN-ACK's retransmission. */
void mg_fastopen_timer(struct mg_slow *s, struct mg_conn *c);
/* The worker has seen the SYN-ACK acknowledged. */
void mg_fastopen_acked(struct mg_slow *s, struct mg_conn *c);
/* It ends before its handshake does. is_reset: by the peer. */
void mg_fastopen_over(struct mg_slow *s, struct mg_conn *c, bool is_reset);
/* The queue's limit: TCP_FASTOPEN of a listener. 0 or -errno. */
int mg_fastopen_set(struct mg_slow *s, const struct mg_slow_app *app, const struct mg_ctl_opt *opt);
#endif
