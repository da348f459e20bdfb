/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - one daemon as a process of ours sees it: a control transport and an attachment.
 *
 * Idea:    opening makes the control transport only (enough for health and configuration). The attachment
 *          - region, info page, wake-up descriptors, token - is made when the first connection or listener
 *          needs it, over the attach socket, whichever transport carries the control messages.
 *          The attach socket's hang-up is the daemon's death: `dead` is set, every wait ends, and everything
 *          returns -ECONNRESET from then on. A new client attaches to a new daemon.
 * Threads: any, except open and the last put.
 * Memory:  counted references; contexts hold one each.
 */
#ifndef MG_CLIENT_H
#define MG_CLIENT_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "libclient/core/env.h"
#include "libclient/core/transport.h"
#include "proto/shm/abi.h"

struct mg_ctx;

struct mg_client {
	/* Constant after mg_client_open(). */
	struct mg_env env;
	const struct mg_transport_ops *ops;
	struct mg_transport *control;

	char attach_path[108];      /* of the attach socket; "": not known yet, or not by path */
	struct mg_ctl_token parent; /* attaching joins the region of this share token; zero: none */
	struct mg_client *next;     /* of all in this process (fork.c) */

	pthread_mutex_t lock; /* attaching; the contexts; error_text */
	uint32_t refs;
	char error_text[MG_CTL_TEXT_MAX]; /* why the daemon refused the last request */

	/* Constant once `attached`. */
	bool attached;
	struct mg_transport *local; /* the attach socket; the same as control for local addresses */
	int attach_fd;
	struct mg_ctl_token token;
	struct mg_ctl_token share; /* with it another process may join our region */
	uint8_t *region;
	uint64_t region_bytes;
	const struct mg_shm_info *info; /* read-only page */
	uint32_t nr_workers;
	uint32_t nr_windows;
	uint64_t daemon_epoch;
	struct mg_shm_section sections[MG_SHM_SEC_NR]; /* our copy, checked */
	struct mg_shm_window *windows;
	int worker_fd[MG_SHM_WORKERS_MAX];
	uint32_t first_context;
	int first_event_fd; /* of the context that came with the attachment; -1: taken */

	bool is_orphan;          /* we are a forked child: it was the parent's */
	_Atomic uint32_t dead;   /* 1: the daemon is gone */
	_Atomic uint32_t probes; /* thins out mg_client_probe() */
	struct mg_ctx *idle;     /* contexts of closed handles, for the next ones */
	struct mg_ctx *contexts; /* all; lock */
};

/* 0; -EINVAL: not an address; -ECONNREFUSED: no daemon; -ELIBACC, -ELIBBAD: transport module; other -errno. */
int mg_client_open(const char *address, struct mg_client **ret_client);
struct mg_client *mg_client_ref(struct mg_client *client);
/* The last one closes everything. NULL is allowed. */
void mg_client_put(struct mg_client *client);

/*
 * Makes the attachment if there is none yet. 0; -EPROTO: library and daemon were built with different
 * shared-memory layouts; -EACCES: the daemon does not let this user in; -ECONNREFUSED; -ECONNRESET.
 */
int mg_client_attach(struct mg_client *client);
/* Gets a further context: its number and its eventfd, which the caller owns. */
int mg_client_context_open(struct mg_client *client, uint32_t *ret_context, int *ret_event_fd);

/*
 * Sends msg with our token over the control transport; the reply overwrites it. Returns the daemon's status, or
 * why there is none (-ECONNRESET, -ETIMEDOUT, ...).
 */
int mg_client_request(struct mg_client *client, struct mg_ctl_msg *msg);
/* The same without waiting. */
int mg_client_send(struct mg_client *client, struct mg_ctl_msg *msg);
/* A message of the full size, or NULL; free() it. */
struct mg_ctl_msg *mg_client_msg(uint16_t type, uint32_t count);

static inline bool mg_client_is_dead(const struct mg_client *client)
{
	return atomic_load_explicit(&client->dead, memory_order_relaxed) != 0;
}

/* The daemon is gone (or broken: `why` for the log). Ends all waits. Takes no context's lock. */
void mg_client_die(struct mg_client *client, const char *why);
/*
 * For callers that found nothing to do and will not wait: now and then looks whether the daemon still lives,
 * at most every 256th call costs a system call. True: it is dead.
 */
bool mg_client_probe(struct mg_client *client);
/* The same, always with a look. */
bool mg_client_check(struct mg_client *client);
#endif
