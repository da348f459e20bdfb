/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_call.c - see grpc_call.h.
 *
 *   UNARY    NEW -> request -> done(): one batch with metadata, message and status (STATUS) -> free
 *   SESSION  NEW -> WRITE (metadata), CLOSED and READ under way -> each READ: request, READ again ->
 *            done(): WRITE, one at a time -> half-closed and all answered: STATUS -> free
 *   CHECK    like UNARY without the handler.   WATCH  like SESSION without reading.
 */
#include "daemon/grpc_call.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>

#include "health.pb-c.h"
#include "proto/base/assert.h"
#include "proto/pb/convert.h"

const struct mg_grpc_method mg_grpc_methods[] = {
	{ NULL, MG_GRPC_UNKNOWN, 0 },
	{ "/mango.v1.Mango/HealthCheck", MG_GRPC_UNARY, MG_CTL_HEALTH_CHECK },
	{ "/mango.v1.Mango/GetConfig", MG_GRPC_UNARY, MG_CTL_GET_CONFIG },
	{ "/mango.v1.Mango/SetConfig", MG_GRPC_UNARY, MG_CTL_SET_CONFIG },
	{ "/mango.v1.Mango/Connections", MG_GRPC_UNARY, MG_CTL_CONNECTIONS },
	{ "/mango.v1.Mango/Listeners", MG_GRPC_UNARY, MG_CTL_LISTENERS },
	{ "/mango.v1.Mango/Stats", MG_GRPC_UNARY, MG_CTL_STATS },
	{ "/mango.v1.Mango/Sessions", MG_GRPC_UNARY, MG_CTL_SESSIONS },
	{ "/mango.v1.Mango/Session", MG_GRPC_SESSION, 0 },
	{ "/grpc.health.v1.Health/Check", MG_GRPC_CHECK, 0 },
	{ "/grpc.health.v1.Health/Watch", MG_GRPC_WATCH, 0 },
};
const uint32_t mg_grpc_nr_methods = sizeof(mg_grpc_methods) / sizeof(mg_grpc_methods[0]);

/* Two names are served; "" is the daemon as a whole. */
static const char service_name[] = "mango.v1.Mango";

static void maybe_free(struct mg_grpc_call *call)
{
	if (call->nr_ops > 0 || call->nr_requests > 0)
		return;
	mg_list_remove(&call->node);
	while (call->nr_out > 0)
		grpc_byte_buffer_destroy(call->out[--call->nr_out]);
	if (call->payload != NULL)
		grpc_byte_buffer_destroy(call->payload);
	if (call->core != NULL)
		grpc_call_unref(call->core);
	if (call->method->kind == MG_GRPC_UNKNOWN)
		grpc_call_details_destroy(&call->details);
	grpc_metadata_array_destroy(&call->metadata);
	free(call);
}

/* The core's own limits (message sizes, one batch of a kind at a time) are kept here, so it cannot fail. */
static void start(struct mg_grpc_call *call, enum mg_grpc_op tag, const grpc_op *ops, size_t n)
{
	grpc_call_error err = grpc_call_start_batch(call->core, ops, n, &call->tags[tag], NULL);

	MG_ASSERT(err == GRPC_CALL_OK);
	call->nr_ops++;
}

static void start_read(struct mg_grpc_call *call)
{
	grpc_op op;

	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_RECV_MESSAGE;
	op.data.recv_message.recv_message = &call->payload;
	call->is_reading = true;
	start(call, MG_GRPC_READ, &op, 1);
}

static void start_write(struct mg_grpc_call *call, grpc_byte_buffer *message)
{
	grpc_op op;

	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_SEND_MESSAGE;
	op.data.send_message.send_message = message;
	call->is_writing = true;
	start(call, MG_GRPC_WRITE, &op, 1);
	grpc_byte_buffer_destroy(message); /* the core has its own reference */
}

/* Sends the status, after `message` (may be NULL) and with the errno for those who want to know it exactly. */
static void start_status(struct mg_grpc_call *call, grpc_status_code code, const char *text,
			 grpc_byte_buffer *message, int err)
{
	char number[16];
	grpc_metadata extra = { .key = grpc_slice_from_static_string("mango-errno") };
	grpc_slice details = grpc_slice_from_copied_string(text);
	grpc_op ops[4] = { { 0 } };
	size_t n = 0;

	(void)snprintf(number, sizeof(number), "%d", err); /* fits */
	extra.value = grpc_slice_from_copied_string(number);
	if (call->method->kind != MG_GRPC_SESSION && call->method->kind != MG_GRPC_WATCH) {
		ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
		ops[n].data.recv_close_on_server.cancelled = &call->cancelled_flag;
		ops[n++].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
	}
	if (message != NULL) {
		ops[n].data.send_message.send_message = message;
		ops[n++].op = GRPC_OP_SEND_MESSAGE;
	}
	ops[n].data.send_status_from_server.status = code;
	ops[n].data.send_status_from_server.status_details = &details;
	ops[n].data.send_status_from_server.trailing_metadata = &extra;
	ops[n].data.send_status_from_server.trailing_metadata_count = err != 0 ? 1 : 0;
	ops[n++].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
	call->is_status_sent = true;
	start(call, MG_GRPC_STATUS, ops, n);
	grpc_slice_unref(details);
	grpc_slice_unref(extra.value);
	if (message != NULL)
		grpc_byte_buffer_destroy(message);
}

static grpc_status_code status_code(int err)
{
	switch (-err) {
	case 0:
		return GRPC_STATUS_OK;
	case ENOENT:
		return GRPC_STATUS_NOT_FOUND;
	case EPERM:
	case EACCES:
		return GRPC_STATUS_PERMISSION_DENIED;
	case EINVAL:
	case EBADMSG:
		return GRPC_STATUS_INVALID_ARGUMENT;
	case ENOMEM:
	case ENOSPC:
	case EBUSY:
		return GRPC_STATUS_RESOURCE_EXHAUSTED;
	case EPROTO:
	case EOPNOTSUPP:
		return GRPC_STATUS_UNIMPLEMENTED;
	case ESTALE:
		return GRPC_STATUS_UNAUTHENTICATED;
	case ESHUTDOWN:
		return GRPC_STATUS_UNAVAILABLE;
	default:
		return GRPC_STATUS_UNKNOWN;
	}
}

/* Takes malloc()ed bytes. */
static grpc_byte_buffer *to_buffer_take(uint8_t *bytes, size_t len)
{
	grpc_slice slice = grpc_slice_new(bytes, len, free);
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);

	grpc_slice_unref(slice);
	return buffer;
}

/* Drops the payload. 0 or the error of mg_pb_unpack(). */
static int parse_payload(struct mg_grpc_call *call, enum mg_pb_form form, uint16_t type,
			 struct mg_ctl_msg *msg)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;
	int err = -EBADMSG;

	if (call->payload == NULL)
		return -EBADMSG;
	if (grpc_byte_buffer_reader_init(&reader, call->payload)) {
		slice = grpc_byte_buffer_reader_readall(&reader);
		err = mg_pb_unpack(GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice), form,
				   type, msg);
		grpc_slice_unref(slice);
		grpc_byte_buffer_reader_destroy(&reader);
	}
	grpc_byte_buffer_destroy(call->payload);
	call->payload = NULL;
	return err;
}

static void try_status(struct mg_grpc_call *call)
{
	if (call->is_status_sent || call->is_cancelled || call->is_writing)
		return;
	if (call->is_ending) {
		start_status(call, call->end_code, call->end_text, NULL, 0);
		return;
	}
	if (call->is_half_closed && call->nr_requests == 0 && call->nr_out == 0 &&
	    !call->is_reading)
		start_status(call, GRPC_STATUS_OK, "", NULL, 0);
}

static void try_write(struct mg_grpc_call *call)
{
	grpc_byte_buffer *message;

	if (call->is_writing || call->nr_out == 0 || call->is_status_sent || call->is_cancelled)
		return;
	message = call->out[0];
	call->nr_out--;
	memmove(&call->out[0], &call->out[1], call->nr_out * sizeof(call->out[0]));
	start_write(call, message);
}

/* Reads on, unless enough is under way: replies not yet taken by the client count. */
static void try_read(struct mg_grpc_call *call)
{
	if (call->is_reading || call->is_half_closed || call->is_ending || call->is_cancelled ||
	    call->nr_requests + call->nr_out >= MG_GRPC_PIPELINE)
		return;
	start_read(call);
}

static void advance(struct mg_grpc_call *call)
{
	try_write(call);
	try_read(call);
	try_status(call);
	maybe_free(call);
}

void mg_grpc_call_end(struct mg_grpc_call *call, grpc_status_code code, const char *text)
{
	if (call->core == NULL || call->is_status_sent || call->is_cancelled)
		return;
	call->is_ending = true;
	call->end_code = code;
	call->end_text = text;
	if (call->is_writing) /* perhaps for ever, if the client does not read */
		(void)grpc_call_cancel_with_status(call->core, code, text, NULL);
	advance(call);
}

static void reply_on_stream(struct mg_grpc_call *call, const struct mg_ctl_msg *msg)
{
	uint8_t *bytes;
	size_t len;

	if (call->is_cancelled || call->is_ending)
		return;
	if (mg_pb_pack(msg, MG_PB_STREAM, &bytes, &len) < 0) {
		mg_grpc_call_end(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	MG_ASSERT(call->nr_out < MG_GRPC_PIPELINE);
	call->out[call->nr_out++] = to_buffer_take(bytes, len);
}

static void reply_unary(struct mg_grpc_call *call, const struct mg_ctl_msg *msg)
{
	int err = msg->hdr.status;
	uint8_t *bytes;
	size_t len;

	if (err == 0)
		err = mg_pb_pack(msg, MG_PB_UNARY, &bytes, &len);
	if (err == 0)
		start_status(call, GRPC_STATUS_OK, "", to_buffer_take(bytes, len), 0);
	else
		start_status(call, status_code(err),
			     msg->hdr.text[0] != '\0' ? msg->hdr.text : strerror(-err), NULL, err);
}

/* There is no such session (any more): the replies that say so come through. */
static void end_after_replies(struct mg_grpc_call *call)
{
	if (!call->is_ending) {
		call->is_ending = true;
		call->end_code = GRPC_STATUS_UNAUTHENTICATED;
		call->end_text = "the session is over";
	}
	advance(call);
}

/* Control thread. */
static void done(struct mg_request *request)
{
	struct mg_grpc_call *call = request->owner;
	struct mg_grpc_server *server = call->server;

	pthread_mutex_lock(&server->lock);
	call->nr_requests--;
	server->nr_requests--;
	if (call->method->kind == MG_GRPC_UNARY) {
		reply_unary(call, &request->msg);
	} else {
		reply_on_stream(call, &request->msg);
		if (request->msg.hdr.status == -ESTALE)
			end_after_replies(call);
		else
			advance(call);
	}
	pthread_mutex_unlock(&server->lock);
	mg_request_free(request);
}

/* NULL: too much is under way already. */
static struct mg_request *new_request(struct mg_grpc_call *call)
{
	struct mg_request *request;

	if (call->server->is_stopping || call->server->nr_requests >= MG_GRPC_REQUESTS_MAX)
		return NULL;
	request = mg_request_new();
	if (request == NULL)
		return NULL;
	request->done = done;
	request->owner = call;
	request->is_admin = call->is_admin;
	return request;
}

static void submit(struct mg_grpc_call *call, struct mg_request *request)
{
	call->nr_requests++;
	call->server->nr_requests++;
	mg_request_queue_push(call->server->conf.queue, request);
}

static void begin_unary(struct mg_grpc_call *call)
{
	struct mg_request *request = new_request(call);
	int err;

	if (request == NULL) {
		start_status(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "too many requests under way",
			     NULL, -EBUSY);
		return;
	}
	err = parse_payload(call, MG_PB_UNARY, call->method->type, &request->msg);
	if (err == 0) {
		submit(call, request);
		return;
	}
	mg_request_free(request);
	start_status(call, status_code(err), "this is not a message of the method", NULL, err);
}

/* The first token on a stream is the stream's; later requests may leave it out. */
static void bind_token(struct mg_grpc_call *call, struct mg_ctl_hdr *hdr)
{
	static const struct mg_ctl_token zero;

	if (memcmp(&hdr->token, &zero, sizeof(zero)) == 0) {
		hdr->token = call->token;
	} else if (!call->has_token) {
		call->token = hdr->token;
		call->has_token = true;
	}
}

static void take_request(struct mg_grpc_call *call)
{
	struct mg_request *request = new_request(call);
	int err;

	if (request == NULL) {
		mg_grpc_call_end(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "too many requests under way");
		return;
	}
	err = parse_payload(call, MG_PB_STREAM, 0, &request->msg);
	if (err < 0) {
		mg_request_free(request);
		mg_grpc_call_end(call, status_code(err), "this is not a Request");
		return;
	}
	bind_token(call, &request->msg.hdr);
	submit(call, request);
	advance(call);
}

/* Whatever kind of stream: metadata at once, and tell us when the client is gone. */
static void begin_stream(struct mg_grpc_call *call)
{
	grpc_op op;

	memset(&op, 0, sizeof(op));
	op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
	op.data.recv_close_on_server.cancelled = &call->cancelled_flag;
	start(call, MG_GRPC_CLOSED, &op, 1);
	op = (grpc_op){ .op = GRPC_OP_SEND_INITIAL_METADATA };
	call->is_writing = true;
	start(call, MG_GRPC_WRITE, &op, 1);
}

static grpc_byte_buffer *health_message(Grpc__Health__V1__HealthCheckResponse__ServingStatus status)
{
	Grpc__Health__V1__HealthCheckResponse
		response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	uint8_t bytes[16];
	grpc_slice slice;
	grpc_byte_buffer *buffer;

	response.status = status;
	slice = grpc_slice_from_copied_buffer(
		(const char *)bytes,
		grpc__health__v1__health_check_response__pack(&response, bytes));
	buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

/* SERVICE_UNKNOWN for names that are not ours; UNKNOWN: not a message. */
static Grpc__Health__V1__HealthCheckResponse__ServingStatus health_status(struct mg_grpc_call *call)
{
	Grpc__Health__V1__HealthCheckRequest *request = NULL;
	Grpc__Health__V1__HealthCheckResponse__ServingStatus
		status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN;
	grpc_byte_buffer_reader reader;
	grpc_slice slice;

	if (call->payload == NULL || !grpc_byte_buffer_reader_init(&reader, call->payload))
		return status;
	slice = grpc_byte_buffer_reader_readall(&reader);
	request = grpc__health__v1__health_check_request__unpack(NULL, GRPC_SLICE_LENGTH(slice),
								 GRPC_SLICE_START_PTR(slice));
	grpc_slice_unref(slice);
	grpc_byte_buffer_reader_destroy(&reader);
	if (request == NULL)
		return status;
	if (request->service[0] != '\0' && strcmp(request->service, service_name) != 0)
		status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
	else if (call->server->is_serving)
		status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	else
		status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
	grpc__health__v1__health_check_request__free_unpacked(request, NULL);
	return status;
}

static void begin_check(struct mg_grpc_call *call)
{
	Grpc__Health__V1__HealthCheckResponse__ServingStatus status = health_status(call);

	if (status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN)
		start_status(call, GRPC_STATUS_INVALID_ARGUMENT, "this is not a HealthCheckRequest",
			     NULL, 0);
	else if (status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN)
		start_status(call, GRPC_STATUS_NOT_FOUND, "no such service", NULL, 0);
	else
		start_status(call, GRPC_STATUS_OK, "", health_message(status), 0);
}

/* The payload stays: it names the service for later messages. */
static void tell_watcher(struct mg_grpc_call *call)
{
	Grpc__Health__V1__HealthCheckResponse__ServingStatus status = health_status(call);

	call->is_watch_stale = false;
	if (status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN)
		mg_grpc_call_end(call, GRPC_STATUS_INVALID_ARGUMENT,
				 "this is not a HealthCheckRequest");
	else
		start_write(call, health_message(status));
}

void mg_grpc_call_status_changed(struct mg_grpc_call *call)
{
	if (call->method->kind != MG_GRPC_WATCH || call->core == NULL || call->is_cancelled ||
	    call->is_status_sent)
		return;
	if (call->is_writing)
		call->is_watch_stale = true;
	else
		tell_watcher(call);
}

/*
 * Our name for a connection is its descriptor; the core says "fd:17". A call may outlive its connection, whose number
 * may then be another's: therefore administrators have numbers that nobody else gets (grpc_listen.c).
 */
static bool peer_is_admin(struct mg_grpc_call *call)
{
	char *peer = grpc_call_get_peer(call->core);
	unsigned int fd;
	bool is_admin = false;

	if (peer != NULL && sscanf(peer, "fd:%u", &fd) == 1)
		is_admin = fd >= call->server->conf.admin_fd_min;
	gpr_free(peer);
	return is_admin;
}

static void begin(struct mg_grpc_call *call)
{
	call->is_admin = peer_is_admin(call);
	switch (call->method->kind) {
	case MG_GRPC_UNKNOWN:
		start_status(call, GRPC_STATUS_UNIMPLEMENTED, "mangod has no such method", NULL,
			     -EOPNOTSUPP);
		return;
	case MG_GRPC_UNARY:
		begin_unary(call);
		return;
	case MG_GRPC_CHECK:
		begin_check(call);
		return;
	case MG_GRPC_SESSION:
		begin_stream(call);
		start_read(call);
		return;
	case MG_GRPC_WATCH:
		begin_stream(call);
		call->is_watch_stale = true;
		call->is_half_closed = false; /* it ends when the client leaves, or we do */
		return;
	}
}

static void on_new(struct mg_grpc_call *call, bool is_ok)
{
	if (!is_ok || call->server->is_stopping) {
		call->is_cancelled = true;
		maybe_free(call);
		return;
	}
	mg_grpc_call_expect(call->server, (uint32_t)(call->method - mg_grpc_methods));
	begin(call);
}

static void on_read(struct mg_grpc_call *call, bool is_ok)
{
	call->is_reading = false;
	if (is_ok && call->payload != NULL && !call->is_ending && !call->is_cancelled) {
		take_request(call);
		return;
	}
	call->is_half_closed = true;
	advance(call);
}

static void on_write(struct mg_grpc_call *call, bool is_ok)
{
	call->is_writing = false;
	if (!is_ok)
		call->is_cancelled = true;
	if (call->is_watch_stale && !call->is_cancelled && !call->is_ending)
		tell_watcher(call);
	else
		advance(call);
}

void mg_grpc_call_event(struct mg_grpc_call *call, enum mg_grpc_op op, bool is_ok)
{
	call->nr_ops--;
	switch (op) {
	case MG_GRPC_NEW:
		on_new(call, is_ok);
		return;
	case MG_GRPC_READ:
		on_read(call, is_ok);
		return;
	case MG_GRPC_WRITE:
		on_write(call, is_ok);
		return;
	case MG_GRPC_CLOSED:
		call->is_cancelled = call->is_cancelled || !is_ok || call->cancelled_flag != 0;
		advance(call);
		return;
	case MG_GRPC_STATUS:
		maybe_free(call);
		return;
	case MG_GRPC_OPS:
		break;
	}
	MG_ASSERT(false);
}

void mg_grpc_call_expect(struct mg_grpc_server *server, uint32_t method)
{
	struct mg_grpc_call *call = calloc(1, sizeof(*call));
	grpc_call_error err;

	if (call == NULL)
		return; /* callers of this method wait until the next one is expected */
	call->server = server;
	call->method = &mg_grpc_methods[method];
	for (int op = 0; op < MG_GRPC_OPS; op++)
		call->tags[op] = (struct mg_grpc_tag){ .call = call, .op = (enum mg_grpc_op)op };
	grpc_metadata_array_init(&call->metadata);
	mg_list_push_back(&server->calls, &call->node);
	call->nr_ops = 1;
	if (call->method->kind == MG_GRPC_UNKNOWN) {
		grpc_call_details_init(&call->details);
		err = grpc_server_request_call(server->core, &call->core, &call->details,
					       &call->metadata, server->cq, server->cq,
					       &call->tags[MG_GRPC_NEW]);
	} else {
		err = grpc_server_request_registered_call(
			server->core, server->registered[method], &call->core, &call->deadline,
			&call->metadata,
			call->method->kind == MG_GRPC_SESSION ? NULL : &call->payload, server->cq,
			server->cq, &call->tags[MG_GRPC_NEW]);
	}
	MG_ASSERT(err == GRPC_CALL_OK);
}
