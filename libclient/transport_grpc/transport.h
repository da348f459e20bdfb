/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.h - the gRPC transport's own state. Private to libclient/transport_grpc.
 *
 * Idea:    one channel over one connected socket, one completion queue, one thread of ours that reads it (the
 *          core adds a few of its own, which sleep). What needs a session goes over one stream,
 *          opened when it is first needed; everything else is a unary call.
 *          Unary calls carry gRPC's deadline; requests on the stream wait with one of their own, and
 *          their replies are matched by id.
 * Fork:    gRPC's threads do not survive a fork: a child may do nothing with this transport but forget it.
 * Threads: any, under `lock`, which is never held while waiting.
 */
#ifndef MG_GRPC_TRANSPORT_H
#define MG_GRPC_TRANSPORT_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>

#include "libclient/core/transport.h"
#include "proto/base/bits.h"
#include "proto/base/list.h"
#include "proto/pb/convert.h"

#define MG_GRPC_OUT_MAX 256 /* messages waiting to be written */

enum mg_grpc_tag_op {
	MG_GRPC_TAG_UNARY,
	MG_GRPC_TAG_OPEN,
	MG_GRPC_TAG_READ,
	MG_GRPC_TAG_WRITE,
	MG_GRPC_TAG_END
};

struct mg_grpc_unary;

struct mg_grpc_tag {
	enum mg_grpc_tag_op op;
	struct mg_grpc_unary *unary;
};

/* One unary call; on the stack of its caller, who waits for it. */
struct mg_grpc_unary {
	struct mg_list_node node;
	struct mg_grpc_tag tag;
	pthread_cond_t cond;
	grpc_call *call;
	bool is_done;
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_byte_buffer *reply;
	grpc_status_code status;
	grpc_slice details;
};

/* One request on the stream; likewise. */
struct mg_grpc_waiter {
	struct mg_list_node node;
	pthread_cond_t cond;
	uint64_t id;
	bool is_done;
	int err;
	struct mg_ctl_msg *msg;
};

struct mg_grpc_stream {
	grpc_call *call; /* NULL: not open */
	uint32_t nr_ops;
	bool is_writing;
	bool is_over; /* the server ended it; goes when its operations are finished */
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_byte_buffer *in;
	grpc_status_code status;
	grpc_slice details;
	struct mg_grpc_tag tags[4]; /* OPEN, READ, WRITE, END */
	uint32_t nr_out;
	grpc_byte_buffer *out[MG_GRPC_OUT_MAX];
	struct mg_ctl_msg scratch; /* replies are unpacked here first */
};

struct mg_transport {
	grpc_channel *channel;
	grpc_completion_queue *cq;
	pthread_t thread;
	uint32_t timeout_ms;  /* 0: for ever */
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t idle;  /* nothing is under way any more */
	uint64_t next_id;
	bool is_dead;
	struct mg_list unaries;
	struct mg_list waiters;
	struct mg_grpc_stream stream;
};

/* When a request given up; a past deadline is never produced. */
gpr_timespec mg_grpc_deadline(uint32_t timeout_ms);
int mg_grpc_cond_init(pthread_cond_t *cond);
/* Bytes of `msg`; NULL with *ret_err. */
grpc_byte_buffer *mg_grpc_pack(const struct mg_ctl_msg *msg, enum mg_pb_form form, int *ret_err);
/* 0 or the error of mg_pb_unpack(). */
int mg_grpc_unpack(grpc_byte_buffer *bytes, enum mg_pb_form form, uint16_t type,
		   struct mg_ctl_msg *msg);

/* unary.c */
int mg_grpc_unary_request(struct mg_transport *t, struct mg_ctl_msg *msg, uint32_t timeout_ms);
/* Lock held. */
void mg_grpc_unary_finished(struct mg_transport *t, struct mg_grpc_unary *unary);
void mg_grpc_unary_cancel_all(struct mg_transport *t);

/* stream.c */
int mg_grpc_stream_request(struct mg_transport *t, struct mg_ctl_msg *msg);
int mg_grpc_stream_send(struct mg_transport *t, struct mg_ctl_msg *msg);
/* Lock held. */
void mg_grpc_stream_finished(struct mg_transport *t, enum mg_grpc_tag_op op, bool is_ok);
void mg_grpc_stream_cancel(struct mg_transport *t);
#endif
