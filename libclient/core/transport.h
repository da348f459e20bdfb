/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.h - how control messages travel from the client core to mangod.
 *
 * Idea:    a transport is a table of functions. `local` (transport_local.c) is built in and uses the attach
 *          socket; gRPC (and one day iceoryx) are modules, shared objects that the core loads when an
 *          address asks for them, so that libmango.so itself links only libc. A module exports one object,
 *          `const struct mg_transport_ops mango_transport_module`, and nothing else.
 *          Messages are the structs of proto/ctl/ctl.h; the transport sets hdr.id, all else is the caller's.
 * Use:     ops->open("localhost:32847", &params, &t); fill msg; ops->request(t, msg); read msg; ops->close(t).
 * Threads: request() and send() may be called by any threads at the same time; abandon() by any thread;
 *          open() and close() by one, with no other call on that transport under way.
 * Memory:  messages belong to the caller. A struct mg_ctl_msg always has its full size (64 KiB).
 * Version: a module is refused unless version matches; `size` lets the table grow at its end.
 */
#ifndef MG_TRANSPORT_H
#define MG_TRANSPORT_H
#include <stdint.h>

#include "proto/ctl/ctl.h"

#define MG_TRANSPORT_VERSION 1
#define MG_TRANSPORT_SYMBOL "mango_transport_module"

/* One open transport; each implementation defines its own. */
struct mg_transport;

struct mg_transport_params {
	uint32_t size;               /* sizeof(struct mg_transport_params) of the caller */
	uint32_t connect_timeout_ms; /* for open(): how long an address may stay silent */
	uint32_t request_timeout_ms; /* for request(): how long a reply may take; 0: for ever */
};

struct mg_transport_ops {
	uint32_t version; /* MG_TRANSPORT_VERSION */
	uint32_t size;    /* sizeof(struct mg_transport_ops) of the implementation */
	const char *name; /* "grpc" */

	/*
	 * Connects, and returns when the other side answers. `address` is what the user gave to mango_ipc_open():
	 * "HOST:PORT" or "unix:/PATH" for grpc.
	 * 0; -ECONNREFUSED: nobody there, at once; -ETIMEDOUT; -EINVAL: not an address; -ENOMEM; other -errno.
	 */
	int (*open)(const char *address, const struct mg_transport_params *params,
		    struct mg_transport **ret_transport);

	/*
	 * Sends msg and waits for its reply, which overwrites msg (checked by mg_ctl_check()). Requests of
	 * several threads are under way at the same time; replies are matched by hdr.id, which the transport
	 * chooses. The outcome of the operation itself is in msg->hdr.status.
	 * 0: there is a reply; -ECONNRESET: the daemon or the connection to it is gone; -ETIMEDOUT: no reply in
	 * time (a late one is thrown away); -EPROTO, -EBADMSG: the reply is not one.
	 */
	int (*request)(struct mg_transport *transport, struct mg_ctl_msg *msg);

	/*
	 * Sends msg and does not wait; the reply is thrown away when it comes. Order with other messages of
	 * the same thread is kept. msg may be re-used at return. 0, -ECONNRESET, -EAGAIN (later, perhaps).
	 */
	int (*send)(struct mg_transport *transport, struct mg_ctl_msg *msg);

	/*
	 * The daemon is dead (the core knows it first, from the attach socket): requests under way and all
	 * later ones return -ECONNRESET at once. Never blocks.
	 */
	void (*abandon)(struct mg_transport *transport);

	/* NULL is allowed. Frees everything; ends threads that the transport started. */
	void (*close)(struct mg_transport *transport);
};
#endif
