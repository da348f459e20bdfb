/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_server.c - see grpc_server.h. What happens to one call is in grpc_call.c.
 */
#include "daemon/grpc_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include "daemon/grpc_call.h"
#include "proto/base/bits.h"
#include "proto/pb/convert.h"

#define STREAMS_PER_CONNECTION 128
#define METADATA_BYTES_MAX 16384

/* gRPC's thread: hands finished batches to their calls until the queue is shut down. */
static void *run(void *arg)
{
	struct mg_grpc_server *server = arg;

	for (;;) {
		grpc_event event = grpc_completion_queue_next(server->cq,
							      gpr_inf_future(GPR_CLOCK_MONOTONIC),
							      NULL);
		struct mg_grpc_tag *tag = event.tag;

		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		if (event.type != GRPC_OP_COMPLETE)
			continue;
		if (tag == NULL) { /* the server has shut down: every call has ended */
			grpc_completion_queue_shutdown(server->cq);
			continue;
		}
		pthread_mutex_lock(&server->lock);
		mg_grpc_call_event(tag->call, tag->op, event.success != 0);
		pthread_mutex_unlock(&server->lock);
	}
}

static void create_core(struct mg_grpc_server *server)
{
	grpc_arg args[] = {
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)(uintptr_t)GRPC_ARG_MAX_CONCURRENT_STREAMS,
		  .value.integer = STREAMS_PER_CONNECTION },
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)(uintptr_t)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		  .value.integer = MG_PB_BYTES_MAX },
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)(uintptr_t)GRPC_ARG_MAX_METADATA_SIZE,
		  .value.integer = METADATA_BYTES_MAX },
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)(uintptr_t)GRPC_ARG_ENABLE_CHANNELZ,
		  .value.integer = 0 },
	};
	grpc_channel_args list = { .num_args = sizeof(args) / sizeof(args[0]), .args = args };

	server->cq = grpc_completion_queue_create_for_next(NULL);
	server->core = grpc_server_create(&list, NULL);
	server->creds = grpc_insecure_server_credentials_create();
	grpc_server_register_completion_queue(server->core, server->cq, NULL);
	for (uint32_t i = 0; i < mg_grpc_nr_methods; i++) {
		const struct mg_grpc_method *m = &mg_grpc_methods[i];

		if (m->kind != MG_GRPC_UNKNOWN)
			server->registered[i] = grpc_server_register_method(
				server->core, m->name, NULL,
				m->kind == MG_GRPC_SESSION
					? GRPC_SRM_PAYLOAD_NONE
					: GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER,
				0);
	}
	grpc_server_start(server->core);
}

static void destroy(struct mg_grpc_server *server)
{
	grpc_server_destroy(server->core);
	grpc_completion_queue_destroy(server->cq);
	grpc_server_credentials_release(server->creds);
	grpc_shutdown_blocking();
	(void)pthread_mutex_destroy(&server->lock); /* nobody holds it */
	free(server->registered);
	free(server);
}

int mg_grpc_server_start(const struct mg_grpc_conf *conf, struct mg_grpc_server **ret_server)
{
	struct mg_grpc_server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return -ENOMEM;
	server->registered = calloc(mg_grpc_nr_methods, sizeof(*server->registered));
	if (server->registered == NULL) {
		free(server);
		return -ENOMEM;
	}
	server->conf = *conf;
	server->is_serving = true;
	mg_list_init(&server->calls);
	(void)pthread_mutex_init(&server->lock, NULL); /* cannot fail without attributes */
	grpc_init();
	create_core(server);
	pthread_mutex_lock(&server->lock);
	for (uint32_t i = 0; i < mg_grpc_nr_methods; i++)
		mg_grpc_call_expect(server, i);
	pthread_mutex_unlock(&server->lock);
	if (pthread_create(&server->thread, NULL, run, server) != 0) {
		grpc_server_shutdown_and_notify(server->core, server->cq, NULL);
		(void)run(server); /* until all is over */
		destroy(server);
		return -EAGAIN;
	}
	(void)pthread_setname_np(server->thread, "mango-grpc"); /* only a name */
	*ret_server = server;
	return 0;
}

void mg_grpc_server_adopt(struct mg_grpc_server *server, int fd)
{
	grpc_server_add_channel_from_fd(server->core, fd, server->creds);
}

void mg_grpc_server_set_serving(struct mg_grpc_server *server, bool is_serving)
{
	pthread_mutex_lock(&server->lock);
	if (server->is_serving != is_serving) {
		server->is_serving = is_serving;
		MG_LIST_FOREACH_SAFE(it, &server->calls)
			mg_grpc_call_status_changed(mg_container_of(it, struct mg_grpc_call, node));
	}
	pthread_mutex_unlock(&server->lock);
}

void mg_grpc_server_end_session(struct mg_grpc_server *server, const struct mg_ctl_token *token)
{
	pthread_mutex_lock(&server->lock);
	MG_LIST_FOREACH_SAFE(it, &server->calls) {
		struct mg_grpc_call *call = mg_container_of(it, struct mg_grpc_call, node);

		if (call->method->kind == MG_GRPC_SESSION && call->has_token &&
		    memcmp(&call->token, token, sizeof(*token)) == 0)
			mg_grpc_call_end(call, GRPC_STATUS_UNAUTHENTICATED, "the session is over");
	}
	pthread_mutex_unlock(&server->lock);
}

void mg_grpc_server_shut(struct mg_grpc_server *server)
{
	if (server == NULL)
		return;
	pthread_mutex_lock(&server->lock);
	server->is_stopping = true;
	pthread_mutex_unlock(&server->lock);
}

void mg_grpc_server_stop(struct mg_grpc_server *server)
{
	if (server == NULL)
		return;
	grpc_server_shutdown_and_notify(server->core, server->cq, NULL);
	grpc_server_cancel_all_calls(server->core);
	(void)pthread_join(server->thread, NULL); /* it is ours and was not joined */
	destroy(server);
}
