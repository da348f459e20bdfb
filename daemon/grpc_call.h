/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_call.h - one call of the gRPC server: its state machine. Private to daemon/grpc_*.c.
 *
 * Idea:    gRPC reports finished batches by tags; each call embeds one tag per kind of batch and counts
 *          what is pending. A call is freed when nothing is pending, no request of it is with the
 *          handler, and it was answered or cancelled.
 * Threads: every function with the server's lock held, by gRPC's thread or the control thread.
 */
#ifndef MG_GRPC_CALL_H
#define MG_GRPC_CALL_H
#include <stdbool.h>
#include <stdint.h>

#include <grpc/grpc.h>
#include <pthread.h>

#include "daemon/grpc_server.h"

#define MG_GRPC_REQUESTS_MAX 1024 /* of all calls together */

enum mg_grpc_kind {
	MG_GRPC_UNKNOWN, /* whatever we do not know */
	MG_GRPC_UNARY,
	MG_GRPC_SESSION,
	MG_GRPC_CHECK, /* grpc.health.v1 */
	MG_GRPC_WATCH,
};

struct mg_grpc_method {
	const char *name;
	enum mg_grpc_kind kind;
	uint16_t type; /* UNARY: enum mg_ctl_type */
};

enum mg_grpc_op {
	MG_GRPC_NEW,
	MG_GRPC_READ,
	MG_GRPC_WRITE,
	MG_GRPC_CLOSED,
	MG_GRPC_STATUS,
	MG_GRPC_OPS
};

struct mg_grpc_call;

struct mg_grpc_tag {
	struct mg_grpc_call *call;
	enum mg_grpc_op op;
};

struct mg_grpc_server {
	struct mg_grpc_conf conf;
	grpc_server *core;
	grpc_completion_queue *cq;
	grpc_server_credentials *creds;
	void **registered; /* per method; NULL for UNKNOWN */
	pthread_t thread;
	pthread_mutex_t lock; /* guards everything below and all calls */
	struct mg_list calls;
	uint32_t nr_requests;
	bool is_stopping;
	bool is_serving;
};

struct mg_grpc_call {
	struct mg_list_node node;
	struct mg_grpc_server *server;
	const struct mg_grpc_method *method;
	grpc_call *core;
	grpc_call_details details; /* UNKNOWN only */
	grpc_metadata_array metadata;
	gpr_timespec deadline;
	grpc_byte_buffer *payload; /* what arrived last */
	int cancelled_flag;        /* filled in by the core */
	struct mg_grpc_tag tags[MG_GRPC_OPS];
	uint32_t nr_ops;      /* batches under way */
	uint32_t nr_requests; /* with the handler */
	bool is_admin;
	bool is_reading;
	bool is_writing;
	bool is_half_closed; /* the client has said everything */
	bool is_cancelled;
	bool is_ending; /* end_code is to be sent as soon as no write is under way */
	bool is_status_sent;
	bool is_watch_stale; /* WATCH: the status changed while a message was under way */
	bool has_token;
	grpc_status_code end_code;
	const char *end_text; /* constant */
	struct mg_ctl_token token;
	uint32_t nr_out;
	grpc_byte_buffer
		*out[MG_GRPC_PIPELINE]; /* replies waiting for the one under way; oldest first */
};

extern const struct mg_grpc_method mg_grpc_methods[];
extern const uint32_t mg_grpc_nr_methods;

/* A call object for the next caller of a method; asks the core for it. */
void mg_grpc_call_expect(struct mg_grpc_server *server, uint32_t method);
/* A batch has finished. May free the call. */
void mg_grpc_call_event(struct mg_grpc_call *call, enum mg_grpc_op op, bool is_ok);
/* The session of this stream is over. */
void mg_grpc_call_end(struct mg_grpc_call *call, grpc_status_code code, const char *text);
void mg_grpc_call_status_changed(struct mg_grpc_call *call);
#endif
