/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert.c - see convert.h.
 *
 * Bodies come in few shapes. Every list body has its list as the first field, so that one struct reads
 * them all; the asserts below hold protoc-c to that.
 */
#include "proto/pb/convert.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mango.pb-c.h"
#include "proto/pb/convert_item.h"

enum shape {
	NONE = 0, /* this type does not travel by protobuf */
	EMPTY,    /* no fields */
	START,    /* struct start_body */
	KEY,      /* GetConfigRequest: one kv with a key */
	ONE,      /* the body is the item */
	LIST,     /* struct list_body */
	PAGE,     /* struct page_body */
};

struct row {
	enum shape shape;
	const ProtobufCMessageDescriptor *body;
	const struct mg_pb_item *item;
};

struct start_body {
	ProtobufCMessage base;
	uint32_t start;
};

struct list_body {
	ProtobufCMessage base;
	size_t n;
	ProtobufCMessage **items;
};

struct page_body {
	struct list_body list;
	uint32_t start;
	protobuf_c_boolean more;
};

#define ASSERT_START(type) \
	static_assert(offsetof(type, start) == offsetof(struct start_body, start), "shape START")
#define ASSERT_LIST(type, field)                                                          \
	static_assert(offsetof(type, n_##field) == offsetof(struct list_body, n) &&       \
			      offsetof(type, field) == offsetof(struct list_body, items), \
		      "shape LIST")
#define ASSERT_PAGE(type, field)                                                        \
	ASSERT_LIST(type, field);                                                       \
	static_assert(offsetof(type, start) == offsetof(struct page_body, start) &&     \
			      offsetof(type, more) == offsetof(struct page_body, more), \
		      "shape PAGE")
ASSERT_START(Mango__V1__ConnectionsRequest);
ASSERT_START(Mango__V1__ListenersRequest);
ASSERT_START(Mango__V1__StatsRequest);
ASSERT_START(Mango__V1__SessionsRequest);
ASSERT_LIST(Mango__V1__SetConfigRequest, settings);
ASSERT_LIST(Mango__V1__SetConfigReply, settings);
ASSERT_LIST(Mango__V1__TcpListen, items);
ASSERT_LIST(Mango__V1__TcpAccept, items);
ASSERT_LIST(Mango__V1__TcpConnect, items);
ASSERT_LIST(Mango__V1__TcpConnections, items);
ASSERT_LIST(Mango__V1__TcpListeners, items);
ASSERT_LIST(Mango__V1__TcpOptions, items);
ASSERT_LIST(Mango__V1__TcpMoves, items);
ASSERT_PAGE(Mango__V1__GetConfigReply, settings);
ASSERT_PAGE(Mango__V1__ConnectionsReply, connections);
ASSERT_PAGE(Mango__V1__ListenersReply, listeners);
ASSERT_PAGE(Mango__V1__StatsReply, counters);
ASSERT_PAGE(Mango__V1__SessionsReply, sessions);

#define BODY(name) &mango__v1__##name##__descriptor
static const struct row requests[MG_CTL_NR] = {
	[MG_CTL_HEALTH_CHECK] = { EMPTY, BODY(health_check_request), NULL },
	[MG_CTL_SET_CONFIG] = { LIST, BODY(set_config_request), &mg_pb_kv },
	[MG_CTL_GET_CONFIG] = { KEY, BODY(get_config_request), NULL },
	[MG_CTL_TCP_LISTEN] = { LIST, BODY(tcp_listen), &mg_pb_listen },
	[MG_CTL_TCP_ACCEPT] = { LIST, BODY(tcp_accept), &mg_pb_accept },
	[MG_CTL_TCP_CONNECT] = { LIST, BODY(tcp_connect), &mg_pb_connect },
	[MG_CTL_TCP_CLOSE] = { LIST, BODY(tcp_connections), &mg_pb_conn_ref },
	[MG_CTL_TCP_LISTEN_CLOSE] = { LIST, BODY(tcp_listeners), &mg_pb_listener_ref },
	[MG_CTL_TCP_ABORT] = { LIST, BODY(tcp_connections), &mg_pb_conn_ref },
	[MG_CTL_TCP_SET_OPTION] = { LIST, BODY(tcp_options), &mg_pb_opt },
	[MG_CTL_TCP_GET_OPTION] = { LIST, BODY(tcp_options), &mg_pb_opt },
	[MG_CTL_CONNECTIONS] = { START, BODY(connections_request), NULL },
	[MG_CTL_LISTENERS] = { START, BODY(listeners_request), NULL },
	[MG_CTL_STATS] = { START, BODY(stats_request), NULL },
	[MG_CTL_TCP_MOVE] = { LIST, BODY(tcp_moves), &mg_pb_move },
	[MG_CTL_SESSIONS] = { START, BODY(sessions_request), NULL },
};

static const struct row replies[MG_CTL_NR] = {
	[MG_CTL_HEALTH_CHECK] = { ONE, BODY(health_check_reply), &mg_pb_health },
	[MG_CTL_SET_CONFIG] = { LIST, BODY(set_config_reply), &mg_pb_kv },
	[MG_CTL_GET_CONFIG] = { PAGE, BODY(get_config_reply), &mg_pb_kv },
	[MG_CTL_TCP_LISTEN] = { LIST, BODY(tcp_listen), &mg_pb_listen },
	[MG_CTL_TCP_ACCEPT] = { LIST, BODY(tcp_accept), &mg_pb_accept },
	[MG_CTL_TCP_CONNECT] = { LIST, BODY(tcp_connect), &mg_pb_connect },
	[MG_CTL_TCP_CLOSE] = { LIST, BODY(tcp_connections), &mg_pb_conn_ref },
	[MG_CTL_TCP_LISTEN_CLOSE] = { LIST, BODY(tcp_listeners), &mg_pb_listener_ref },
	[MG_CTL_TCP_ABORT] = { LIST, BODY(tcp_connections), &mg_pb_conn_ref },
	[MG_CTL_TCP_SET_OPTION] = { LIST, BODY(tcp_options), &mg_pb_opt },
	[MG_CTL_TCP_GET_OPTION] = { LIST, BODY(tcp_options), &mg_pb_opt },
	[MG_CTL_CONNECTIONS] = { PAGE, BODY(connections_reply), &mg_pb_conn_info },
	[MG_CTL_LISTENERS] = { PAGE, BODY(listeners_reply), &mg_pb_listener_info },
	[MG_CTL_STATS] = { PAGE, BODY(stats_reply), &mg_pb_counter },
	[MG_CTL_TCP_MOVE] = { LIST, BODY(tcp_moves), &mg_pb_move },
	[MG_CTL_SESSIONS] = { PAGE, BODY(sessions_reply), &mg_pb_session_info },
};

/* The oneof's field number of a type, in Request and Reply alike. */
#define BODY_FIELD_BASE 10
static_assert(MANGO__V1__REQUEST__BODY_STATS == BODY_FIELD_BASE + MG_CTL_STATS, "numbering");
static_assert(MANGO__V1__REPLY__BODY_TCP_ABORT == BODY_FIELD_BASE + MG_CTL_TCP_ABORT, "numbering");
static_assert(MANGO__V1__REPLY__BODY_TCP_MOVE == BODY_FIELD_BASE + MG_CTL_TCP_MOVE, "numbering");
static_assert(MANGO__V1__REQUEST__BODY_SESSIONS == BODY_FIELD_BASE + MG_CTL_SESSIONS, "numbering");

static const struct row *row_of(uint16_t type)
{
	uint16_t plain = (uint16_t)(type & ~MG_CTL_REPLY);
	const struct row *row;

	if (plain >= MG_CTL_NR)
		return NULL;
	row = (type & MG_CTL_REPLY) != 0 ? &replies[plain] : &requests[plain];
	return row->shape == NONE ? NULL : row;
}

static void pack_items(struct mg_pb_arena *arena, const struct mg_ctl_msg *msg,
		       const struct row *row, struct list_body *list)
{
	uint32_t stride = mg_ctl_item_bytes(msg->hdr.type);
	ProtobufCMessage **items = mg_pb_arena_alloc(arena, msg->hdr.count * sizeof(*items));

	if (items == NULL)
		return;
	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		items[i] = mg_pb_arena_alloc(arena, row->item->desc->sizeof_message);
		if (items[i] == NULL)
			return;
		protobuf_c_message_init(row->item->desc, items[i]);
		row->item->pack(arena, msg->items + (size_t)i * stride, items[i]);
	}
	list->items = items;
	list->n = msg->hdr.count;
}

static void put_token(struct mg_pb_arena *arena, const struct mg_ctl_hdr *hdr,
		      ProtobufCBinaryData *token)
{
	static const struct mg_ctl_token zero;

	if (memcmp(&hdr->token, &zero, sizeof(zero)) == 0)
		return;
	token->data = mg_pb_arena_alloc(arena, MG_CTL_TOKEN_BYTES);
	if (token->data == NULL)
		return;
	memcpy(token->data, hdr->token.b, MG_CTL_TOKEN_BYTES);
	token->len = MG_CTL_TOKEN_BYTES;
}

static ProtobufCMessage *pack_body(struct mg_pb_arena *arena, const struct mg_ctl_msg *msg,
				   const struct row *row)
{
	ProtobufCMessage *body = mg_pb_arena_alloc(arena, row->body->sizeof_message);
	struct page_body *page = (void *)body;

	if (body == NULL)
		return NULL;
	protobuf_c_message_init(row->body, body);
	if (row->shape == LIST || row->shape == PAGE)
		pack_items(arena, msg, row, &page->list);
	if (row->shape == PAGE) {
		page->start = msg->hdr.start;
		page->more = msg->hdr.more != 0;
	}
	if (row->shape == START)
		((struct start_body *)(void *)body)->start = msg->hdr.start;
	if (row->shape == ONE && msg->hdr.count > 0)
		row->item->pack(arena, msg->items, body);
	if (row->shape == KEY) {
		Mango__V1__GetConfigRequest *get = (void *)body;

		if (msg->hdr.count > 0)
			get->key = mg_pb_put_text(arena, msg->kv[0].key, sizeof(msg->kv[0].key));
		get->start = msg->hdr.start;
	}
	if (msg->hdr.type == MG_CTL_SET_CONFIG)
		put_token(arena, &msg->hdr, &((Mango__V1__SetConfigRequest *)(void *)body)->token);
	return body;
}

static ProtobufCMessage *wrap_request(struct mg_pb_arena *arena, const struct mg_ctl_msg *msg,
				      ProtobufCMessage *body)
{
	Mango__V1__Request *request = mg_pb_arena_alloc(arena, sizeof(*request));

	if (request == NULL)
		return NULL;
	mango__v1__request__init(request);
	request->id = msg->hdr.id;
	put_token(arena, &msg->hdr, &request->token);
	request->body_case = (Mango__V1__Request__BodyCase)(BODY_FIELD_BASE + msg->hdr.type);
	request->health_check = (void *)body; /* all members of the union are pointers to a body */
	return &request->base;
}

static ProtobufCMessage *wrap_reply(struct mg_pb_arena *arena, const struct mg_ctl_msg *msg,
				    ProtobufCMessage *body)
{
	Mango__V1__Reply *reply = mg_pb_arena_alloc(arena, sizeof(*reply));
	unsigned int plain = msg->hdr.type & ~MG_CTL_REPLY;

	if (reply == NULL)
		return NULL;
	mango__v1__reply__init(reply);
	reply->id = msg->hdr.id;
	reply->status = msg->hdr.status;
	reply->text = mg_pb_put_text(arena, msg->hdr.text, sizeof(msg->hdr.text));
	reply->body_case = (Mango__V1__Reply__BodyCase)(BODY_FIELD_BASE + plain);
	reply->health_check = (void *)body;
	return &reply->base;
}

static int serialise(const ProtobufCMessage *pb, uint8_t **ret_buf, size_t *ret_len)
{
	size_t len = protobuf_c_message_get_packed_size(pb);
	uint8_t *buf = malloc(len > 0 ? len : 1);

	if (buf == NULL)
		return -ENOMEM;
	*ret_len = protobuf_c_message_pack(pb, buf);
	*ret_buf = buf;
	return 0;
}

int mg_pb_pack(const struct mg_ctl_msg *msg, enum mg_pb_form form, uint8_t **ret_buf,
	       size_t *ret_len)
{
	const struct row *row = row_of(msg->hdr.type);
	struct mg_pb_arena arena = { 0 };
	ProtobufCMessage *pb;
	int err = -ENOMEM;

	if (row == NULL || msg->hdr.count > mg_ctl_items_max(msg->hdr.type))
		return -EPROTO;
	pb = pack_body(&arena, msg, row);
	if (pb != NULL && form == MG_PB_STREAM)
		pb = (msg->hdr.type & MG_CTL_REPLY) != 0 ? wrap_reply(&arena, msg, pb)
							 : wrap_request(&arena, msg, pb);
	if (pb != NULL && !arena.failed)
		err = serialise(pb, ret_buf, ret_len);
	mg_pb_arena_free(&arena);
	return err;
}

static int unpack_items(const struct list_body *list, const struct row *row, struct mg_ctl_msg *msg)
{
	uint32_t stride = mg_ctl_item_bytes(msg->hdr.type);
	int err;

	if (list->n > mg_ctl_items_max(msg->hdr.type))
		return -EBADMSG;
	memset(msg->items, 0, list->n * stride);
	for (size_t i = 0; i < list->n; i++) {
		err = row->item->unpack(list->items[i], msg->items + i * stride);
		if (err < 0)
			return err;
	}
	mg_ctl_set_count(msg, (uint32_t)list->n);
	return 0;
}

static int unpack_one(const ProtobufCMessage *body, const struct row *row, struct mg_ctl_msg *msg)
{
	memset(msg->items, 0, mg_ctl_item_bytes(msg->hdr.type));
	mg_ctl_set_count(msg, 1);
	return row->item->unpack(body, msg->items);
}

static int unpack_key(const Mango__V1__GetConfigRequest *get, struct mg_ctl_msg *msg)
{
	msg->hdr.start = get->start;
	memset(msg->items, 0, mg_ctl_item_bytes(msg->hdr.type));
	mg_ctl_set_count(msg, 1);
	return mg_pb_get_text(get->key, msg->kv[0].key, sizeof(msg->kv[0].key));
}

static int get_token(const ProtobufCBinaryData *token, struct mg_ctl_hdr *hdr)
{
	if (token->len == 0)
		return 0;
	if (token->len != MG_CTL_TOKEN_BYTES)
		return -EBADMSG;
	memcpy(hdr->token.b, token->data, MG_CTL_TOKEN_BYTES);
	return 0;
}

static int unpack_body(const ProtobufCMessage *body, const struct row *row, struct mg_ctl_msg *msg)
{
	const struct page_body *page = (const void *)body;
	int err;

	switch (row->shape) {
	case START:
		msg->hdr.start = ((const struct start_body *)(const void *)body)->start;
		return 0;
	case KEY:
		return unpack_key((const void *)body, msg);
	case ONE:
		return unpack_one(body, row, msg);
	case PAGE:
		msg->hdr.start = page->start;
		msg->hdr.more = page->more ? 1 : 0;
		return unpack_items(&page->list, row, msg);
	case LIST:
		err = unpack_items(&page->list, row, msg);
		if (err == 0 && msg->hdr.type == MG_CTL_SET_CONFIG)
			err = get_token(
				&((const Mango__V1__SetConfigRequest *)(const void *)body)->token,
				&msg->hdr);
		return err;
	case EMPTY:
	case NONE:
		break;
	}
	return 0;
}

static int unpack_unary(const uint8_t *buf, size_t len, uint16_t type, struct mg_ctl_msg *msg)
{
	const struct row *row = row_of(type);
	ProtobufCMessage *body;
	int err;

	if (row == NULL)
		return -EPROTO;
	body = protobuf_c_message_unpack(row->body, NULL, len, buf);
	if (body == NULL)
		return -EBADMSG;
	mg_ctl_init(msg, type, 0, 0);
	err = unpack_body(body, row, msg);
	protobuf_c_message_free_unpacked(body, NULL);
	return err;
}

/* Starts the message of a stream body. The number of the oneof's field is the type. */
static const struct row *start_stream(unsigned int body_case, const void *body, uint64_t id,
				      uint16_t dir, struct mg_ctl_msg *msg)
{
	const struct row *row;
	uint16_t type;

	if (body == NULL || body_case < BODY_FIELD_BASE || body_case >= BODY_FIELD_BASE + MG_CTL_NR)
		return NULL;
	type = (uint16_t)((body_case - BODY_FIELD_BASE) | dir);
	row = row_of(type);
	if (row != NULL)
		mg_ctl_init(msg, type, id, 0);
	return row;
}

static int unpack_request(const uint8_t *buf, size_t len, struct mg_ctl_msg *msg)
{
	Mango__V1__Request *request = mango__v1__request__unpack(NULL, len, buf);
	const struct row *row;
	int err = -EPROTO;

	if (request == NULL)
		return -EBADMSG;
	row = start_stream((unsigned int)request->body_case, request->health_check, request->id, 0,
			   msg);
	if (row != NULL)
		err = get_token(&request->token, &msg->hdr);
	if (row != NULL && err == 0)
		err = unpack_body(&request->health_check->base, row, msg);
	mango__v1__request__free_unpacked(request, NULL);
	return err;
}

static int unpack_reply(const uint8_t *buf, size_t len, struct mg_ctl_msg *msg)
{
	Mango__V1__Reply *reply = mango__v1__reply__unpack(NULL, len, buf);
	const struct row *row;
	int err = -EPROTO;

	if (reply == NULL)
		return -EBADMSG;
	row = start_stream((unsigned int)reply->body_case, reply->health_check, reply->id,
			   MG_CTL_REPLY, msg);
	if (row != NULL) {
		msg->hdr.status = reply->status;
		err = mg_pb_get_text(reply->text, msg->hdr.text, sizeof(msg->hdr.text));
	}
	if (row != NULL && err == 0)
		err = unpack_body(&reply->health_check->base, row, msg);
	mango__v1__reply__free_unpacked(reply, NULL);
	return err;
}

int mg_pb_unpack(const uint8_t *buf, size_t len, enum mg_pb_form form, uint16_t type,
		 struct mg_ctl_msg *ret_msg)
{
	int err;

	if (len > MG_PB_BYTES_MAX)
		return -EBADMSG;
	if (form == MG_PB_UNARY)
		err = unpack_unary(buf, len, type, ret_msg);
	else if ((type & MG_CTL_REPLY) != 0)
		err = unpack_reply(buf, len, ret_msg);
	else
		err = unpack_request(buf, len, ret_msg);
	return err < 0 ? err : mg_ctl_check(ret_msg, ret_msg->hdr.bytes);
}
