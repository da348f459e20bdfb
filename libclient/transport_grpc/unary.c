/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unary.c - requests that need no session: one call each. See transport.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/transport_grpc/transport.h"

static const char *const methods[MG_CTL_NR] = {
	[MG_CTL_HEALTH_CHECK] = "/mango.v1.Mango/HealthCheck",
	[MG_CTL_SET_CONFIG] = "/mango.v1.Mango/SetConfig",
	[MG_CTL_GET_CONFIG] = "/mango.v1.Mango/GetConfig",
	[MG_CTL_CONNECTIONS] = "/mango.v1.Mango/Connections",
	[MG_CTL_LISTENERS] = "/mango.v1.Mango/Listeners",
	[MG_CTL_STATS] = "/mango.v1.Mango/Stats",
};

static void init(struct mg_grpc_unary *u)
{
	memset(u, 0, sizeof(*u));
	mg_list_node_init(&u->node);
	u->tag = (struct mg_grpc_tag){ .op = MG_GRPC_TAG_UNARY, .unary = u };
	grpc_metadata_array_init(&u->initial);
	grpc_metadata_array_init(&u->trailing);
	u->details = grpc_empty_slice();
}

static void clear(struct mg_grpc_unary *u)
{
	if (u->call != NULL)
		grpc_call_unref(u->call);
	if (u->reply != NULL)
		grpc_byte_buffer_destroy(u->reply);
	grpc_metadata_array_destroy(&u->initial);
	grpc_metadata_array_destroy(&u->trailing);
	grpc_slice_unref(u->details);
	(void)pthread_cond_destroy(&u->cond); /* nobody waits on it */
}

/* Lock held. */
static void start(struct mg_transport *t, struct mg_grpc_unary *u, const char *method,
		  grpc_byte_buffer *bytes, uint32_t timeout_ms)
{
	grpc_op ops[6] = { { 0 } };

	ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
	ops[1].op = GRPC_OP_SEND_MESSAGE;
	ops[1].data.send_message.send_message = bytes;
	ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
	ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &u->initial;
	ops[4].op = GRPC_OP_RECV_MESSAGE;
	ops[4].data.recv_message.recv_message = &u->reply;
	ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	ops[5].data.recv_status_on_client.trailing_metadata = &u->trailing;
	ops[5].data.recv_status_on_client.status = &u->status;
	ops[5].data.recv_status_on_client.status_details = &u->details;
	u->call = grpc_channel_create_call(t->channel, NULL, GRPC_PROPAGATE_DEFAULTS, t->cq,
					   grpc_slice_from_static_string(method), NULL,
					   mg_grpc_deadline(timeout_ms), NULL);
	mg_list_push_back(&t->unaries, &u->node);
	if (grpc_call_start_batch(u->call, ops, 6, &u->tag, NULL) != GRPC_CALL_OK) {
		mg_list_remove(&u->node);
		u->is_done = true;
		u->status = GRPC_STATUS_UNAVAILABLE;
	}
}

void mg_grpc_unary_finished(struct mg_transport *t, struct mg_grpc_unary *u)
{
	mg_list_remove(&u->node);
	u->is_done = true;
	pthread_cond_signal(&u->cond);
	if (mg_list_is_empty(&t->unaries))
		pthread_cond_broadcast(&t->idle);
}

void mg_grpc_unary_cancel_all(struct mg_transport *t)
{
	MG_LIST_FOREACH(it, &t->unaries)
		(void)grpc_call_cancel(mg_container_of(it, struct mg_grpc_unary, node)->call, NULL);
}

/* What the daemon said exactly; 0: it was not the daemon who spoke. */
static int daemon_errno(const struct mg_grpc_unary *u)
{
	static const char key[] = "mango-errno";

	for (size_t i = 0; i < u->trailing.count; i++) {
		const grpc_metadata *md = &u->trailing.metadata[i];
		char text[16];
		size_t len = GRPC_SLICE_LENGTH(md->value);

		if (grpc_slice_str_cmp(md->key, key) != 0 || len >= sizeof(text))
			continue;
		memcpy(text, GRPC_SLICE_START_PTR(md->value), len);
		text[len] = '\0';
		return (int)strtol(text, NULL, 10);
	}
	return 0;
}

static int transport_error(grpc_status_code status)
{
	switch (status) {
	case GRPC_STATUS_DEADLINE_EXCEEDED:
		return -ETIMEDOUT;
	case GRPC_STATUS_UNIMPLEMENTED:
	case GRPC_STATUS_INVALID_ARGUMENT:
		return -EPROTO;
	case GRPC_STATUS_RESOURCE_EXHAUSTED:
		return -ENOMEM;
	default:
		return -ECONNRESET;
	}
}

/* The outcome as a reply in msg. */
static int take_reply(struct mg_grpc_unary *u, struct mg_ctl_msg *msg)
{
	uint16_t type = (uint16_t)(msg->hdr.type | MG_CTL_REPLY);
	uint64_t id = msg->hdr.id;
	size_t len = GRPC_SLICE_LENGTH(u->details);
	int err;

	if (u->status == GRPC_STATUS_OK) {
		if (u->reply == NULL)
			return -EPROTO;
		err = mg_grpc_unpack(u->reply, MG_PB_UNARY, type, msg);
		msg->hdr.id = id;
		return err;
	}
	err = daemon_errno(u);
	if (err >= 0)
		return transport_error(u->status);
	mg_ctl_init(msg, type, id, 0);
	msg->hdr.status = err;
	len = len < sizeof(msg->hdr.text) ? len : sizeof(msg->hdr.text) - 1;
	memcpy(msg->hdr.text, GRPC_SLICE_START_PTR(u->details), len);
	return 0;
}

int mg_grpc_unary_request(struct mg_transport *t, struct mg_ctl_msg *msg, uint32_t timeout_ms)
{
	struct mg_grpc_unary u;
	grpc_byte_buffer *bytes;
	int err;

	bytes = mg_grpc_pack(msg, MG_PB_UNARY, &err);
	if (bytes == NULL)
		return err;
	init(&u);
	err = mg_grpc_cond_init(&u.cond);
	if (err < 0) {
		grpc_byte_buffer_destroy(bytes);
		return err;
	}
	pthread_mutex_lock(&t->lock);
	if (!t->is_dead) {
		msg->hdr.id = t->next_id++;
		start(t, &u, methods[msg->hdr.type], bytes, timeout_ms);
		while (!u.is_done)
			pthread_cond_wait(
				&u.cond,
				&t->lock); /* ends: the call has a deadline or is cancelled */
	} else {
		u.status = GRPC_STATUS_UNAVAILABLE;
	}
	pthread_mutex_unlock(&t->lock);
	grpc_byte_buffer_destroy(bytes);
	err = take_reply(&u, msg);
	clear(&u);
	return err;
}
