/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - requests of a session, pipelined on one stream. See transport.h.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "libclient/transport_grpc/transport.h"
#include "proto/base/assert.h"

#define TAG(s, op) (&(s)->tags[(op)-MG_GRPC_TAG_OPEN])

/* Every function here runs with the lock held, but for the two at the end. */

static void start(struct mg_grpc_stream *s, enum mg_grpc_tag_op op, const grpc_op *ops, size_t n)
{
	grpc_call_error err = grpc_call_start_batch(s->call, ops, n, TAG(s, op), NULL);

	MG_ASSERT(err == GRPC_CALL_OK); /* at most one batch of a kind is under way */
	s->nr_ops++;
}

static void start_read(struct mg_grpc_stream *s)
{
	grpc_op op;

	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_RECV_MESSAGE;
	op.data.recv_message.recv_message = &s->in;
	start(s, MG_GRPC_TAG_READ, &op, 1);
}

static void start_write(struct mg_grpc_stream *s)
{
	grpc_op op;
	grpc_byte_buffer *bytes;

	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_SEND_MESSAGE;
	if (s->is_writing || s->is_over || s->nr_out == 0)
		return;
	bytes = s->out[0];
	s->nr_out--;
	memmove(&s->out[0], &s->out[1], s->nr_out * sizeof(s->out[0]));
	op.data.send_message.send_message = bytes;
	s->is_writing = true;
	start(s, MG_GRPC_TAG_WRITE, &op, 1);
	grpc_byte_buffer_destroy(bytes); /* the core has its own reference */
}

static void open_stream(struct mg_transport *t)
{
	struct mg_grpc_stream *s = &t->stream;
	grpc_op ops[2] = { { 0 } };

	for (int i = 0; i < 4; i++)
		s->tags[i] = (struct mg_grpc_tag){ .op = (enum mg_grpc_tag_op)(MG_GRPC_TAG_OPEN +
									       i) };
	grpc_metadata_array_init(&s->initial);
	grpc_metadata_array_init(&s->trailing);
	s->details = grpc_empty_slice();
	s->call = grpc_channel_create_call(t->channel, NULL, GRPC_PROPAGATE_DEFAULTS, t->cq,
					   grpc_slice_from_static_string("/mango.v1.Mango/Session"),
					   NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	ops[0].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	ops[0].data.recv_status_on_client.trailing_metadata = &s->trailing;
	ops[0].data.recv_status_on_client.status = &s->status;
	ops[0].data.recv_status_on_client.status_details = &s->details;
	start(s, MG_GRPC_TAG_END, ops, 1);
	ops[0] = (grpc_op){ .op = GRPC_OP_SEND_INITIAL_METADATA };
	ops[1] = (grpc_op){ .op = GRPC_OP_RECV_INITIAL_METADATA };
	ops[1].data.recv_initial_metadata.recv_initial_metadata = &s->initial;
	start(s, MG_GRPC_TAG_OPEN, ops, 2);
	start_read(s);
}

static void close_stream(struct mg_transport *t)
{
	struct mg_grpc_stream *s = &t->stream;

	while (s->nr_out > 0)
		grpc_byte_buffer_destroy(s->out[--s->nr_out]);
	if (s->in != NULL)
		grpc_byte_buffer_destroy(s->in);
	s->in = NULL;
	grpc_call_unref(s->call);
	grpc_metadata_array_destroy(&s->initial);
	grpc_metadata_array_destroy(&s->trailing);
	grpc_slice_unref(s->details);
	s->call = NULL;
	s->is_over = false; /* the next request opens another one */
	pthread_cond_broadcast(&t->idle);
}

static void finish(struct mg_grpc_waiter *waiter, int err)
{
	mg_list_remove(&waiter->node);
	waiter->err = err;
	waiter->is_done = true;
	pthread_cond_signal(&waiter->cond);
}

static void fail_all(struct mg_transport *t)
{
	MG_LIST_FOREACH_SAFE(it, &t->waiters)
		finish(mg_container_of(it, struct mg_grpc_waiter, node), -ECONNRESET);
}

/* Replies that nobody waits for (sent without waiting, or given up) are thrown away. */
static void take_reply(struct mg_transport *t)
{
	struct mg_ctl_msg *reply = &t->stream.scratch;

	if (mg_grpc_unpack(t->stream.in, MG_PB_STREAM, MG_CTL_REPLY, reply) < 0) {
		(void)grpc_call_cancel(t->stream.call,
				       NULL); /* all requests fail when its status comes */
		return;
	}
	MG_LIST_FOREACH_SAFE(it, &t->waiters) {
		struct mg_grpc_waiter *waiter = mg_container_of(it, struct mg_grpc_waiter, node);

		if (waiter->id != reply->hdr.id)
			continue;
		memcpy(waiter->msg, reply, reply->hdr.bytes);
		finish(waiter, 0);
		return;
	}
}

static void on_read(struct mg_transport *t, bool is_ok)
{
	struct mg_grpc_stream *s = &t->stream;

	if (!is_ok || s->in == NULL)
		return; /* the end: the status follows */
	take_reply(t);
	grpc_byte_buffer_destroy(s->in);
	s->in = NULL;
	start_read(s); /* after the status, too: a message may come behind it */
}

void mg_grpc_stream_finished(struct mg_transport *t, enum mg_grpc_tag_op op, bool is_ok)
{
	struct mg_grpc_stream *s = &t->stream;

	s->nr_ops--;
	if (op == MG_GRPC_TAG_READ)
		on_read(t, is_ok);
	if (op == MG_GRPC_TAG_WRITE) {
		s->is_writing = false;
		if (is_ok)
			start_write(s);
	}
	if (op == MG_GRPC_TAG_END)
		s->is_over = true;
	if (!s->is_over || s->nr_ops > 0)
		return;
	/* Only now: what was read last may be told behind the status. */
	fail_all(t);
	close_stream(t);
}

void mg_grpc_stream_cancel(struct mg_transport *t)
{
	fail_all(t);
	if (t->stream.call != NULL)
		(void)grpc_call_cancel(t->stream.call, NULL);
}

/* Takes the bytes. 0, -ECONNRESET, -EAGAIN. */
static int write_take(struct mg_transport *t, grpc_byte_buffer *bytes)
{
	struct mg_grpc_stream *s = &t->stream;
	int err = 0;

	if (t->is_dead || s->is_over)
		err = -ECONNRESET;
	else if (s->nr_out == MG_GRPC_OUT_MAX)
		err = -EAGAIN;
	if (err < 0) {
		grpc_byte_buffer_destroy(bytes);
		return err;
	}
	if (s->call == NULL)
		open_stream(t);
	s->out[s->nr_out++] = bytes;
	start_write(s);
	return 0;
}

static void wait_for(struct mg_transport *t, struct mg_grpc_waiter *waiter)
{
	struct timespec end;

	(void)clock_gettime(CLOCK_MONOTONIC, &end); /* cannot fail */
	end.tv_sec += t->timeout_ms / 1000;
	end.tv_nsec += (long)(t->timeout_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	while (!waiter->is_done) {
		int err = t->timeout_ms == 0
				  ? pthread_cond_wait(&waiter->cond, &t->lock)
				  : pthread_cond_timedwait(&waiter->cond, &t->lock, &end);

		if (err == ETIMEDOUT && !waiter->is_done)
			finish(waiter, -ETIMEDOUT);
	}
}

int mg_grpc_stream_request(struct mg_transport *t, struct mg_ctl_msg *msg)
{
	struct mg_grpc_waiter waiter = { .msg = msg };
	grpc_byte_buffer *bytes;
	int err;

	mg_list_node_init(&waiter.node);
	err = mg_grpc_cond_init(&waiter.cond);
	if (err < 0)
		return err;
	pthread_mutex_lock(&t->lock);
	msg->hdr.id = waiter.id = t->next_id++;
	bytes = mg_grpc_pack(msg, MG_PB_STREAM, &err);
	if (bytes != NULL)
		err = write_take(t, bytes);
	if (err == 0) {
		mg_list_push_back(&t->waiters, &waiter.node);
		wait_for(t, &waiter);
		err = waiter.err;
	}
	pthread_mutex_unlock(&t->lock);
	(void)pthread_cond_destroy(&waiter.cond); /* nobody waits on it */
	return err;
}

int mg_grpc_stream_send(struct mg_transport *t, struct mg_ctl_msg *msg)
{
	grpc_byte_buffer *bytes;
	int err;

	pthread_mutex_lock(&t->lock);
	msg->hdr.id = t->next_id++;
	bytes = mg_grpc_pack(msg, MG_PB_STREAM, &err);
	if (bytes != NULL)
		err = write_take(t, bytes);
	pthread_mutex_unlock(&t->lock);
	return err;
}
