/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert_share.c - items of messages about sharing: moves of connections, attached processes.
 */
#include "proto/pb/convert_item.h"

#include "mango.pb-c.h"
#include "proto/ctl/ctl.h"

static void pack_move(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_move *c = ctl;
	Mango__V1__Move *p = pb;

	(void)arena; /* no texts */
	p->window = c->window;
	p->gen = c->gen;
	p->context = c->context;
	p->how = c->how;
}

static int unpack_move(const void *pb, void *ctl)
{
	const Mango__V1__Move *p = pb;
	struct mg_ctl_move *c = ctl;

	c->window = p->window;
	c->gen = p->gen;
	c->context = p->context;
	c->how = p->how;
	return 0;
}

static void pack_session_info(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_session_info *c = ctl;
	Mango__V1__AttachedProcess *p = pb;

	p->app = c->app;
	p->pid = c->pid;
	p->uid = c->uid;
	p->contexts = c->contexts;
	p->processes = c->processes;
	p->guards = c->guards;
	p->connections = c->connections;
	p->listeners = c->listeners;
	p->region_bytes = c->region_bytes;
	p->resident_bytes = c->resident_bytes;
	p->age_ms = c->age_ms;
	p->program = mg_pb_put_text(arena, c->program, sizeof(c->program));
}

static int unpack_session_info(const void *pb, void *ctl)
{
	const Mango__V1__AttachedProcess *p = pb;
	struct mg_ctl_session_info *c = ctl;

	c->app = p->app;
	c->pid = p->pid;
	c->uid = p->uid;
	c->contexts = p->contexts;
	c->processes = p->processes;
	c->guards = p->guards;
	c->connections = p->connections;
	c->listeners = p->listeners;
	c->region_bytes = p->region_bytes;
	c->resident_bytes = p->resident_bytes;
	c->age_ms = p->age_ms;
	return mg_pb_get_text(p->program, c->program, sizeof(c->program));
}

const struct mg_pb_item mg_pb_move = { &mango__v1__move__descriptor, pack_move, unpack_move };
const struct mg_pb_item mg_pb_session_info = { &mango__v1__attached_process__descriptor,
					       pack_session_info, unpack_session_info };
