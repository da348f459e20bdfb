/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - one control request on its way through the daemon, whatever carried it here.
 *
 * Idea:    a transport makes it, the handler turns `msg` into the reply (at once, or when the slow path has
 *          answered) and calls done(), which sends the reply and frees or re-uses the object. `session` is set
 *          by transports that know it; others leave it to the token in the message.
 * Threads: the handler and done() run on the control thread. gRPC's thread makes requests and passes them
 *          over by a struct mg_request_queue.
 * Memory:  64 KiB each, because the reply is written over the request; transports bound how many they have.
 */
#ifndef MG_REQUEST_H
#define MG_REQUEST_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/list.h"
#include "proto/ctl/ctl.h"

struct mg_session;

struct mg_request {
	struct mg_list_node node; /* queue, or the handler's list of what is under way */
	void (*done)(struct mg_request *request);
	void *owner;                /* the transport's: a client, a call */
	struct mg_session *session; /* borrowed; NULL: none, or by the token */
	bool is_admin;              /* may change the configuration */
	/* The handler's, while the slow path has `msg`. */
	uint16_t type;
	uint32_t arg;      /* mg_slow_req.arg */
	uint32_t contexts; /* of the process that asks; 0: nobody's */
	struct mg_app *app;
	uint32_t stats_base; /* counters before the slow path's */
	struct mg_ctl_msg msg;
};

/* With an initialised list node; everything but msg is zero. NULL: no memory. */
struct mg_request *mg_request_new(void);
void mg_request_free(struct mg_request *request);

/* Turns the request's message into a reply without items. `text` may be NULL. */
void mg_request_fail(struct mg_request *request, int status, const char *text);

/* From any thread to the control thread. */
struct mg_request_queue {
	pthread_mutex_t lock;
	struct mg_list list;
	int wake_fd; /* eventfd: readable when there are requests */
};

int mg_request_queue_init(struct mg_request_queue *queue);
/* Must be empty. */
void mg_request_queue_close(struct mg_request_queue *queue);
void mg_request_queue_push(struct mg_request_queue *queue, struct mg_request *request);
/* Control thread: everything that is queued goes to the end of `list`; the eventfd is reset. */
void mg_request_queue_take(struct mg_request_queue *queue, struct mg_list *list);
#endif
