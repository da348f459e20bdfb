/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl.c - lengths and checks of control messages.
 *
 * Idea:    one table says what the items of each request and reply are; everything else follows from it.
 * Threads: pure functions on the caller's message.
 */
#include "proto/ctl/ctl.h"

#include <errno.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"

struct shape {
	const char *name;
	uint32_t request_bytes; /* of one item; 0: none */
	uint32_t reply_bytes;
};

#define ITEM(type) (uint32_t)sizeof(struct mg_ctl_##type)

static const struct shape shapes[MG_CTL_NR] = {
	[MG_CTL_HEALTH_CHECK] = { "HEALTH_CHECK", 0, ITEM(health) },
	[MG_CTL_SET_CONFIG] = { "SET_CONFIG", ITEM(kv), ITEM(kv) },
	[MG_CTL_GET_CONFIG] = { "GET_CONFIG", ITEM(kv), ITEM(kv) },
	[MG_CTL_TCP_LISTEN] = { "TCP_LISTEN", ITEM(listen), ITEM(listen) },
	[MG_CTL_TCP_ACCEPT] = { "TCP_ACCEPT", ITEM(accept), ITEM(accept) },
	[MG_CTL_TCP_CONNECT] = { "TCP_CONNECT", ITEM(connect), ITEM(connect) },
	[MG_CTL_TCP_CLOSE] = { "TCP_CLOSE", ITEM(conn_ref), ITEM(conn_ref) },
	[MG_CTL_TCP_LISTEN_CLOSE] = { "TCP_LISTEN_CLOSE", ITEM(listener_ref), ITEM(listener_ref) },
	[MG_CTL_TCP_ABORT] = { "TCP_ABORT", ITEM(conn_ref), ITEM(conn_ref) },
	[MG_CTL_TCP_SET_OPTION] = { "TCP_SET_OPTION", ITEM(opt), ITEM(opt) },
	[MG_CTL_TCP_GET_OPTION] = { "TCP_GET_OPTION", ITEM(opt), ITEM(opt) },
	[MG_CTL_ATTACH] = { "ATTACH", ITEM(attach), ITEM(attached) },
	[MG_CTL_CONTEXT_OPEN] = { "CONTEXT_OPEN", 0, ITEM(attached) },
	[MG_CTL_CONNECTIONS] = { "CONNECTIONS", 0, ITEM(conn_info) },
	[MG_CTL_LISTENERS] = { "LISTENERS", 0, ITEM(listener_info) },
	[MG_CTL_STATS] = { "STATS", 0, ITEM(counter) },
	[MG_CTL_TCP_MOVE] = { "TCP_MOVE", ITEM(move), ITEM(move) },
	[MG_CTL_GUARD] = { "GUARD", ITEM(guard), ITEM(guard) },
	[MG_CTL_GUARDS] = { "GUARDS", 0, ITEM(guard) },
	[MG_CTL_SESSIONS] = { "SESSIONS", 0, ITEM(session_info) },
};

static const struct shape *shape_of(uint16_t type)
{
	uint16_t base = type & (uint16_t)~MG_CTL_REPLY;

	return base < MG_CTL_NR ? &shapes[base] : NULL;
}

uint32_t mg_ctl_item_bytes(uint16_t type)
{
	const struct shape *shape = shape_of(type);

	if (shape == NULL)
		return 0;
	return type & MG_CTL_REPLY ? shape->reply_bytes : shape->request_bytes;
}

uint32_t mg_ctl_items_max(uint16_t type)
{
	uint32_t bytes = mg_ctl_item_bytes(type);

	return bytes == 0 ? 0 : (uint32_t)sizeof(((struct mg_ctl_msg *)0)->items) / bytes;
}

void mg_ctl_set_count(struct mg_ctl_msg *msg, uint32_t count)
{
	MG_ASSERT(count <= mg_ctl_items_max(msg->hdr.type));
	msg->hdr.count = count;
	msg->hdr.bytes = (uint32_t)sizeof(msg->hdr) + count * mg_ctl_item_bytes(msg->hdr.type);
}

void mg_ctl_init(struct mg_ctl_msg *msg, uint16_t type, uint64_t id, uint32_t count)
{
	memset(&msg->hdr, 0, sizeof(msg->hdr));
	msg->hdr.version = MG_CTL_VERSION;
	msg->hdr.type = type;
	msg->hdr.id = id;
	mg_ctl_set_count(msg, count);
	/* Items too: no stale bytes of this process leave it in paddings and tails of strings. */
	memset(msg->items, 0, msg->hdr.bytes - sizeof(msg->hdr));
}

#define TERMINATE(array) ((array)[sizeof(array) - 1] = '\0')

static void terminate_health(struct mg_ctl_health *h)
{
	TERMINATE(h->version);
	TERMINATE(h->instance);
	TERMINATE(h->attach_path);
	TERMINATE(h->reason);
}

static void terminate_kv(struct mg_ctl_kv *kv)
{
	TERMINATE(kv->key);
	TERMINATE(kv->value);
	TERMINATE(kv->deflt);
}

static void terminate_opt(struct mg_ctl_opt *opt)
{
	TERMINATE(opt->text);
	TERMINATE(opt->info.cc);
	TERMINATE(opt->info.cc_phase);
}

static void terminate_counter(struct mg_ctl_counter *c)
{
	TERMINATE(c->name);
	TERMINATE(c->help);
}

static void terminate_item(struct mg_ctl_msg *msg, uint32_t i)
{
	switch (msg->hdr.type) {
	case MG_CTL_HEALTH_CHECK | MG_CTL_REPLY:
		terminate_health(&msg->health[i]);
		break;
	case MG_CTL_SET_CONFIG:
	case MG_CTL_SET_CONFIG | MG_CTL_REPLY:
	case MG_CTL_GET_CONFIG:
	case MG_CTL_GET_CONFIG | MG_CTL_REPLY:
		terminate_kv(&msg->kv[i]);
		break;
	case MG_CTL_TCP_SET_OPTION:
	case MG_CTL_TCP_SET_OPTION | MG_CTL_REPLY:
	case MG_CTL_TCP_GET_OPTION:
	case MG_CTL_TCP_GET_OPTION | MG_CTL_REPLY:
		terminate_opt(&msg->opt[i]);
		break;
	case MG_CTL_TCP_LISTEN:
	case MG_CTL_TCP_LISTEN | MG_CTL_REPLY:
		TERMINATE(msg->listen[i].congestion);
		break;
	case MG_CTL_TCP_CONNECT:
	case MG_CTL_TCP_CONNECT | MG_CTL_REPLY:
		TERMINATE(msg->connect[i].congestion);
		break;
	case MG_CTL_ATTACH:
		TERMINATE(msg->attach[i].program);
		break;
	case MG_CTL_CONNECTIONS | MG_CTL_REPLY:
		TERMINATE(msg->conn_info[i].cc);
		TERMINATE(msg->conn_info[i].cc_phase);
		break;
	case MG_CTL_SESSIONS | MG_CTL_REPLY:
		TERMINATE(msg->session[i].program);
		break;
	case MG_CTL_STATS | MG_CTL_REPLY:
		terminate_counter(&msg->counter[i]);
		break;
	default: /* no strings */
		break;
	}
}

int mg_ctl_check(struct mg_ctl_msg *msg, size_t len)
{
	uint32_t count, bytes;

	if (len < sizeof(msg->hdr) || len > MG_CTL_MSG_MAX || msg->hdr.bytes != len)
		return -EBADMSG;
	if (msg->hdr.version != MG_CTL_VERSION || shape_of(msg->hdr.type) == NULL)
		return -EPROTO;
	count = msg->hdr.count;
	bytes = mg_ctl_item_bytes(msg->hdr.type);
	if (count > mg_ctl_items_max(msg->hdr.type) ||
	    len != sizeof(msg->hdr) + (size_t)count * bytes)
		return -EBADMSG;
	TERMINATE(msg->hdr.text);
	for (uint32_t i = 0; i < count; i++)
		terminate_item(msg, i);
	return 0;
}

const char *mg_ctl_type_name(uint16_t type)
{
	const struct shape *shape = shape_of(type);

	return shape == NULL ? "?" : shape->name;
}
