/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_call.c - one gRPC call by hand, for tests that want bytes of their own choice in it.
 *
 * Idea:    a stock client as far as the wire is concerned (gRPC's C core), but the request is whatever bytes the
 *          caller gives, right or wrong, and the answer is shown as bytes.
 * Use:     grpc_call TARGET METHOD [HEX]...      e.g. grpc_call localhost:32847 /grpc.health.v1.Health/Check ""
 *          Every HEX is one request message; several, or none, make sense for streams. Output: one line
 *          "message HEX" per answer, then "status CODE TEXT". Exit code 0 when the call got as far as a status.
 * Threads: one.
 */
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_S 10

struct call {
	grpc_completion_queue *queue;
	grpc_channel *channel;
	grpc_call *call;
	grpc_metadata_array initial, trailing;
	grpc_status_code status;
	grpc_slice details;
};

static gpr_timespec deadline(void)
{
	return gpr_time_add(gpr_now(GPR_CLOCK_REALTIME),
			    gpr_time_from_seconds(DEADLINE_S, GPR_TIMESPAN));
}

/* Runs one batch to its end; false when it failed. */
static int batch(struct call *c, const grpc_op *ops, size_t n)
{
	grpc_event ev;

	if (grpc_call_start_batch(c->call, ops, n, c, NULL) != GRPC_CALL_OK) {
		fprintf(stderr, "grpc_call: the batch is not one\n");
		exit(1);
	}
	ev = grpc_completion_queue_next(c->queue, deadline(), NULL);
	if (ev.type != GRPC_OP_COMPLETE) {
		fprintf(stderr, "grpc_call: no answer within %d s\n", DEADLINE_S);
		exit(1);
	}
	return ev.success;
}

static grpc_byte_buffer *message_of(const char *hex)
{
	size_t len = strlen(hex) / 2;
	grpc_slice slice = grpc_slice_malloc(len);
	grpc_byte_buffer *buffer;
	unsigned byte;

	for (size_t i = 0; i < len; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			exit(2);
		GRPC_SLICE_START_PTR(slice)[i] = (uint8_t)byte;
	}
	buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

static void send_message(struct call *c, const char *hex)
{
	grpc_byte_buffer *buffer = message_of(hex);
	grpc_op op[] = { { .op = GRPC_OP_SEND_MESSAGE } };

	op[0].data.send_message.send_message = buffer;
	(void)batch(c, op, 1); /* the status tells what went wrong */
	grpc_byte_buffer_destroy(buffer);
}

static void show(grpc_byte_buffer *buffer)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;

	if (!grpc_byte_buffer_reader_init(&reader, buffer))
		exit(1);
	slice = grpc_byte_buffer_reader_readall(&reader);
	printf("message ");
	for (size_t i = 0; i < GRPC_SLICE_LENGTH(slice); i++)
		printf("%02x", GRPC_SLICE_START_PTR(slice)[i]);
	printf("\n");
	grpc_slice_unref(slice);
	grpc_byte_buffer_reader_destroy(&reader);
}

/* False: there are no more. */
static int receive_message(struct call *c)
{
	grpc_byte_buffer *buffer = NULL;
	grpc_op op[] = { { .op = GRPC_OP_RECV_MESSAGE } };

	op[0].data.recv_message.recv_message = &buffer;
	if (!batch(c, op, 1) || buffer == NULL)
		return 0;
	show(buffer);
	grpc_byte_buffer_destroy(buffer);
	return 1;
}

static void run(struct call *c, char **messages)
{
	grpc_op first[] = { { .op = GRPC_OP_SEND_INITIAL_METADATA },
			    { .op = GRPC_OP_RECV_INITIAL_METADATA,
			      .data.recv_initial_metadata.recv_initial_metadata = &c->initial } };
	grpc_op half = { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT };
	grpc_op last = { .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
			 .data.recv_status_on_client = { .trailing_metadata = &c->trailing,
							 .status = &c->status,
							 .status_details = &c->details } };
	char *text;

	(void)batch(c, &first[0], 1); /* here and below: the status tells */
	for (; *messages != NULL; messages++)
		send_message(c, *messages);
	(void)batch(c, &half, 1);
	(void)batch(c, &first[1], 1);
	while (receive_message(c))
		;
	(void)batch(c, &last, 1);
	text = grpc_slice_to_c_string(c->details);
	printf("status %d %s\n", (int)c->status, text);
	gpr_free(text);
	grpc_slice_unref(c->details);
}

static void end(struct call *c)
{
	grpc_call_unref(c->call);
	grpc_metadata_array_destroy(&c->initial);
	grpc_metadata_array_destroy(&c->trailing);
	grpc_channel_destroy(c->channel);
	grpc_completion_queue_shutdown(c->queue);
	while (grpc_completion_queue_next(c->queue, deadline(), NULL).type == GRPC_OP_COMPLETE)
		;
	grpc_completion_queue_destroy(c->queue);
}

int main(int argc, char **argv)
{
	grpc_channel_credentials *creds;
	grpc_slice method;
	struct call c = { .status = GRPC_STATUS_UNKNOWN };

	if (argc < 3)
		return 2;
	grpc_init();
	creds = grpc_insecure_credentials_create();
	c.queue = grpc_completion_queue_create_for_next(NULL);
	c.channel = grpc_channel_create(argv[1], creds, NULL);
	grpc_channel_credentials_release(creds);
	method = grpc_slice_from_copied_string(argv[2]);
	c.call = grpc_channel_create_call(c.channel, NULL, GRPC_PROPAGATE_DEFAULTS, c.queue, method,
					  NULL, deadline(), NULL);
	grpc_slice_unref(method);
	grpc_metadata_array_init(&c.initial);
	grpc_metadata_array_init(&c.trailing);
	run(&c, argv + 3);
	end(&c);
	grpc_shutdown_blocking();
	return 0;
}
