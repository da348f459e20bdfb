/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.c - the gRPC transport module: its life and its table of functions. See transport.h.
 */
#include "libclient/transport_grpc/transport.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include "libclient/transport_grpc/connect.h"

gpr_timespec mg_grpc_deadline(uint32_t timeout_ms)
{
	if (timeout_ms == 0)
		return gpr_inf_future(GPR_CLOCK_MONOTONIC);
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
			    gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
}

int mg_grpc_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int err = pthread_condattr_init(&attr);

	if (err != 0)
		return -err;
	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (err == 0)
		err = pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr); /* cannot fail on an initialised one */
	return -err;
}

grpc_byte_buffer *mg_grpc_pack(const struct mg_ctl_msg *msg, enum mg_pb_form form, int *ret_err)
{
	grpc_byte_buffer *buffer;
	grpc_slice slice;
	uint8_t *bytes;
	size_t len;

	*ret_err = mg_pb_pack(msg, form, &bytes, &len);
	if (*ret_err < 0)
		return NULL;
	slice = grpc_slice_new(bytes, len, free);
	buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

int mg_grpc_unpack(grpc_byte_buffer *bytes, enum mg_pb_form form, uint16_t type,
		   struct mg_ctl_msg *msg)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;
	int err;

	if (!grpc_byte_buffer_reader_init(&reader, bytes))
		return -EBADMSG;
	slice = grpc_byte_buffer_reader_readall(&reader);
	err = mg_pb_unpack(GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice), form, type, msg);
	grpc_slice_unref(slice);
	grpc_byte_buffer_reader_destroy(&reader);
	return err;
}

/* The transport's thread: hands finished operations to whoever waits. */
static void *run(void *arg)
{
	struct mg_transport *t = arg;

	for (;;) {
		grpc_event event = grpc_completion_queue_next(t->cq,
							      gpr_inf_future(GPR_CLOCK_MONOTONIC),
							      NULL);
		struct mg_grpc_tag *tag = event.tag;

		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		if (event.type != GRPC_OP_COMPLETE)
			continue;
		pthread_mutex_lock(&t->lock);
		if (tag->op == MG_GRPC_TAG_UNARY)
			mg_grpc_unary_finished(t, tag->unary);
		else
			mg_grpc_stream_finished(t, tag->op, event.success != 0);
		pthread_mutex_unlock(&t->lock);
	}
}

static grpc_channel *new_channel(const char *address, int fd)
{
	grpc_arg args[] = {
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)(uintptr_t)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		  .value.integer = MG_PB_BYTES_MAX },
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)(uintptr_t)GRPC_ARG_ENABLE_RETRIES,
		  .value.integer = 0 },
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)(uintptr_t)GRPC_ARG_ENABLE_CHANNELZ,
		  .value.integer = 0 },
	};
	grpc_channel_args list = { .num_args = sizeof(args) / sizeof(args[0]), .args = args };
	grpc_channel_credentials *creds = grpc_insecure_credentials_create();
	grpc_channel *channel = grpc_channel_create_from_fd(address, fd, creds, &list);

	grpc_channel_credentials_release(creds);
	return channel;
}

/* Frees what open made; the thread has ended. */
static void destroy(struct mg_transport *t)
{
	if (t->channel != NULL)
		grpc_channel_destroy(t->channel);
	grpc_completion_queue_destroy(t->cq);
	grpc_shutdown_blocking(); /* no thread of its is left to run while the process ends */
	(void)pthread_cond_destroy(&t->idle);  /* nobody waits on it */
	(void)pthread_mutex_destroy(&t->lock); /* nobody holds it */
	free(t);
}

static int start(struct mg_transport *t, const char *address, int fd)
{
	sigset_t all;
	sigset_t old;
	int err;

	/* Signals are the application's: none of the threads here or in gRPC takes them. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	grpc_init();
	t->cq = grpc_completion_queue_create_for_next(NULL);
	t->channel = new_channel(address, fd);
	err = -pthread_create(&t->thread, NULL, run, t);
	if (err < 0) {
		grpc_completion_queue_shutdown(t->cq);
		(void)run(t); /* until the queue says that it has shut down */
		destroy(t);
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

/* Is there a mangod on the other side? */
static int say_hello(struct mg_transport *t, uint32_t timeout_ms)
{
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	int err;

	if (msg == NULL)
		return -ENOMEM;
	mg_ctl_init(msg, MG_CTL_HEALTH_CHECK, 0, 0);
	err = mg_grpc_unary_request(t, msg, timeout_ms);
	free(msg);
	return err;
}

static void grpc_close(struct mg_transport *t);

static int grpc_open(const char *address, const struct mg_transport_params *params,
		     struct mg_transport **ret_transport)
{
	struct mg_transport *t;
	int fd = mg_grpc_connect(address, params->connect_timeout_ms);
	int err;

	if (fd < 0)
		return fd;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->timeout_ms = params->request_timeout_ms;
	t->next_id = 1;
	mg_list_init(&t->unaries);
	mg_list_init(&t->waiters);
	(void)pthread_mutex_init(&t->lock, NULL); /* cannot fail without attributes */
	(void)pthread_cond_init(&t->idle, NULL);
	err = start(t, address, fd);
	if (err < 0)
		return err;
	err = say_hello(t, params->connect_timeout_ms);
	if (err < 0) {
		grpc_close(t);
		return err;
	}
	*ret_transport = t;
	return 0;
}

static int grpc_request(struct mg_transport *t, struct mg_ctl_msg *msg)
{
	switch ((enum mg_ctl_type)msg->hdr.type) {
	case MG_CTL_HEALTH_CHECK:
	case MG_CTL_SET_CONFIG:
	case MG_CTL_GET_CONFIG:
	case MG_CTL_CONNECTIONS:
	case MG_CTL_LISTENERS:
	case MG_CTL_STATS:
		return mg_grpc_unary_request(t, msg, t->timeout_ms);
	default:
		return mg_grpc_stream_request(t, msg);
	}
}

static void grpc_abandon(struct mg_transport *t)
{
	pthread_mutex_lock(&t->lock);
	t->is_dead = true;
	mg_grpc_unary_cancel_all(t);
	mg_grpc_stream_cancel(t);
	pthread_mutex_unlock(&t->lock);
}

static void grpc_close(struct mg_transport *t)
{
	if (t == NULL)
		return;
	grpc_abandon(t);
	pthread_mutex_lock(&t->lock);
	while (t->stream.call != NULL || !mg_list_is_empty(&t->unaries))
		pthread_cond_wait(&t->idle, &t->lock);
	pthread_mutex_unlock(&t->lock);
	grpc_completion_queue_shutdown(t->cq);
	(void)pthread_join(t->thread, NULL); /* it is ours and was not joined */
	destroy(t);
}

__attribute__((visibility("default"))) extern const struct mg_transport_ops mango_transport_module;
const struct mg_transport_ops mango_transport_module = {
	.version = MG_TRANSPORT_VERSION,
	.size = sizeof(struct mg_transport_ops),
	.name = "grpc",
	.open = grpc_open,
	.request = grpc_request,
	.send = mg_grpc_stream_send,
	.abandon = grpc_abandon,
	.close = grpc_close,
};
