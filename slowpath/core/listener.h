/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.h - listeners: address, port, and the queue of established connections nobody accepted yet.
 *
 * Idea:    found by port, then by address: an exact one before "any" of its family, and that before a ::
 *          that takes IPv4 as well; of a REUSEPORT group the tuple's hash
 *          picks one. The queue holds connections without their event; accept credits let them out, each to
 *          the context that gave the credit, in turn. An offer is the application's when it moves the window's
 *          claim word; until then it can be taken back (mg_listener_take_back()), so that none is lost with
 *          a process. A
 *          queue longer than the backlog stops new handshakes. An id is index and generation.
 * Threads: the slow path.
 */
#ifndef MG_LISTENER_H
#define MG_LISTENER_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/addr.h"
#include "proto/ctl/ctl.h"
#include "proto/shm/abi.h"
#include "slowpath/core/fastopen.h"

#define MG_LISTENER_NONE UINT32_MAX
#define MG_LISTENER_HEADS 1024
#define MG_LISTENERS_MAX 65535

struct mg_slow;
struct mg_conn;
struct mg_slow_app;

struct mg_listener {
	struct mg_addr addr;
	uint16_t port;
	uint16_t flags; /* enum mg_ctl_listen_flag */
	uint8_t state;  /* LISTEN while it lives */
	uint32_t next;  /* hash chain */
	uint32_t id;
	uint32_t app;     /* slot */
	uint32_t context; /* of the process that has it */
	uint32_t backlog;
	bool guarded;       /* ends with its guard, not with a process */
	uint32_t creditors; /* contexts with credits: a bit each */
	uint32_t turn;      /* where the next look for one begins */
	uint16_t credits[MG_SHM_CONTEXTS_MAX];
	uint32_t queue_head, queue_tail; /* connections */
	uint32_t nr_queued;
	uint32_t nr_embryos;
	uint32_t rcvbuf_bytes, sndbuf_bytes;
	uint8_t ttl;         /* of its SYN-ACKs and connections; 0: configured */
	uint8_t tos;         /* likewise */
	uint8_t defer;       /* time-outs that a connection without data may wait; 0: none */
	uint32_t conn_flags; /* of its connections: MG_CONN_RCV_FIXED, MG_CONN_SND_FIXED */
	const struct mg_cc_ops *cc_ops; /* of its connections; NULL: the configured one */
	uint64_t cookie;
	uint64_t accepted;
	uint64_t dropped;
	struct mg_fastopen_queue tfo;
	uint64_t cookie_until_ns; /* cookies were sent: ACKs may bring them until then */
};

/* NULL when the id is stale or nonsense. */
struct mg_listener *mg_listener_by_id(struct mg_slow *s, uint32_t id);
/* Whose is a SYN (or a cookie's ACK) of this tuple? NULL: nobody's. */
struct mg_listener *mg_listener_find(struct mg_slow *s, const struct mg_tuple *tuple,
				     uint32_t hash);
bool mg_listener_has_port(const struct mg_slow *s, uint16_t port);
/* Fills in id and port. limit: listeners of the app, 0: any. 0, -EADDRINUSE, -EADDRNOTAVAIL, -ENOBUFS, -EMFILE, -EINVAL. */
int mg_listener_open(struct mg_slow *s, struct mg_slow_app *app, struct mg_ctl_listen *listen,
		     uint32_t limit);
int mg_listener_accept(struct mg_slow *s, struct mg_slow_app *app,
		       const struct mg_ctl_accept *accept);
/* Which context gets the next connection; without credits: the owner's. */
uint32_t mg_listener_next_context(const struct mg_listener *l);
/*
 * A connection that was offered and not taken comes back, to the head of the queue; false: it was taken. The listener
 * serves it again at mg_listener_serve(); one whose listener has ended is reset.
 */
bool mg_listener_take_back(struct mg_slow *s, struct mg_conn *c);
void mg_listener_serve(struct mg_slow *s, struct mg_listener *l);
int mg_listener_close(struct mg_slow *s, const struct mg_slow_app *app, uint32_t id);
/* Without asking whose; error: what the application is told by an event, 0: nothing. */
void mg_listener_end(struct mg_slow *s, struct mg_listener *l, int error);
/* MG_CTL_OPT_LISTEN_*. 0, -ENOENT, -EINVAL, -ENOPROTOOPT. */
int mg_listener_option(struct mg_slow *s, const struct mg_slow_app *app,
		       const struct mg_ctl_opt *opt);
bool mg_listener_is_full(const struct mg_listener *l);
/* An established connection joins the queue; it is announced when a credit is there. */
void mg_listener_enqueue(struct mg_slow *s, struct mg_listener *l, struct mg_conn *c);
#endif
