/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.h - a listener: new connections arrive as events and wait here for accept.
 *
 * Idea:    the daemon sends an EV_ACCEPTED entry for each connection that is ready, as long as the listener
 *          has credits; they are granted ahead, many at a time, and topped up in batches while connections
 *          are accepted: no request per connection.
 *          Entries name the listener by a cookie, not by address: one that is unknown (just closed) gets its
 *          connection aborted.
 * Threads: any; accept by several. Close by the last user.
 */
#ifndef MG_LISTENER_H
#define MG_LISTENER_H
#include <stdbool.h>
#include <stdint.h>

#include "libclient/core/ctx.h"

/* Cookies of listeners count up from 1; connections made by connect all carry this one. */
#define MG_COOKIE_CONNECT (1ull << 63)

struct mg_lst_entry {
	uint32_t index;
	uint32_t gen;
};

struct mg_lst {
	struct mg_source src;
	struct mg_list_node node; /* of the context; all below is under its lock */
	uint64_t cookie;
	uint32_t id; /* the daemon's */
	struct mg_addr addr;
	uint16_t port;              /* as given by the daemon */
	int error;                  /* -errno: it ended */
	struct mg_lst_entry *queue; /* ring of `size` (power of two) */
	uint32_t size;
	uint32_t head;
	uint32_t tail;
	uint32_t credits;           /* granted in all at a time */
	uint32_t taken;             /* accepted since the last grant */
	bool guarded;               /* share.h: others have it, too; it ends with its descriptor */
	bool paused;                /* no credits with the daemon; accept and ready ask for some */
	struct mg_lst *next_former; /* the owner's: of a daemon that died */
};

struct mg_lst_params {
	struct mg_addr addr;
	uint16_t port;
	bool reuseport;
	bool v6only; /* of :: */
	uint32_t backlog;
	uint32_t rcvbuf_bytes; /* 0: default */
	uint32_t sndbuf_bytes;
	char congestion[16]; /* "": default */
	uint8_t ttl;         /* of its SYN-ACKs and connections; 0: default */
	uint8_t tos;         /* likewise */
	uint16_t defer_s;    /* connections are ready with data, or after so long; 0: at once */
	uint32_t fastopen;   /* MG_CTL_OPT_LISTEN_FASTOPEN */
	bool fastopen_no_cookie;
};

/* 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, ... */
int mg_lst_open(struct mg_ctx *ctx, const struct mg_lst_params *params, struct mg_lst **ret_lst);
/* MG_CTL_OPT_LISTEN_*; holds for the next SYN when it returns. 0, -ENOMEM, -ECONNRESET, what the daemon says. */
int mg_lst_set_option(struct mg_lst *lst, uint32_t option, int64_t value);
/* Connections nobody accepted are reset. Watches must be gone. */
void mg_lst_close(struct mg_lst *lst);
/*
 * Several processes are going to have it (after mg_client_guard()): connections that wait here go back, and few are
 * asked for at a time, when they are wanted.
 */
void mg_lst_share(struct mg_lst *lst);
/* No more connections for us; those that wait here go to others. Accept and ready ask for new ones. */
void mg_lst_pause(struct mg_lst *lst);
/* Takes part in a guarded listener; see mg_lst_join(). */
int mg_lst_adopt(struct mg_ctx *ctx, const struct mg_ctl_guard *guard, struct mg_lst **ret_lst);
/* Lets go of our part of a guarded listener; mg_lst_close() does so, too, when it is guarded. */
void mg_lst_drop(struct mg_lst *lst);
/* 0; -EAGAIN: none there; -errno: the listener ended. Never blocks. */
int mg_lst_accept(struct mg_lst *lst, struct mg_conn **ret_conn);
/* MG_READY_IN when accept has something to say. Locked. */
uint32_t mg_lst_ready(struct mg_lst *lst);

/* Locked; for dispatch. */
void mg_lst_on_accepted(struct mg_ctx *ctx, uint64_t cookie, uint32_t index, uint32_t gen);
void mg_lst_on_ended(struct mg_ctx *ctx, uint64_t cookie, int error);
#endif
