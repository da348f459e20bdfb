/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert_item.c - see convert_item.h.
 */
#include "proto/pb/convert_item.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mango.pb-c.h"
#include "proto/base/addr.h"
#include "proto/ctl/ctl.h"

#define CHUNK_BYTES 16384u
#define ALIGN 16u

struct mg_pb_chunk {
	struct mg_pb_chunk *next;
	size_t bytes;
	uint8_t mem[] __attribute__((aligned(16)));
};

static char empty[1];

void *mg_pb_arena_alloc(struct mg_pb_arena *arena, size_t bytes)
{
	struct mg_pb_chunk *chunk = arena->chunks;
	void *mem;

	bytes = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (chunk == NULL || bytes > chunk->bytes - arena->used) {
		size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;

		chunk = calloc(1, sizeof(*chunk) + size);
		if (chunk == NULL) {
			arena->failed = 1;
			return NULL;
		}
		chunk->bytes = size;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->used = 0;
	}
	mem = chunk->mem + arena->used;
	arena->used += bytes;
	return mem;
}

void mg_pb_arena_free(struct mg_pb_arena *arena)
{
	while (arena->chunks != NULL) {
		struct mg_pb_chunk *next = arena->chunks->next;

		free(arena->chunks);
		arena->chunks = next;
	}
}

int mg_pb_get_text(const char *text, char *buf, size_t size)
{
	size_t len = strlen(text);

	if (len >= size)
		return -EBADMSG;
	memcpy(buf, text, len + 1);
	return 0;
}

char *mg_pb_put_text(struct mg_pb_arena *arena, const char *buf, size_t size)
{
	size_t len = strnlen(buf, size);
	char *text;

	if (len == 0)
		return empty;
	text = mg_pb_arena_alloc(arena, len + 1);
	if (text == NULL)
		return empty;
	memcpy(text, buf, len);
	return text;
}

static char *put_addr(struct mg_pb_arena *arena, const struct mg_addr *addr)
{
	char text[MG_ADDR_STRLEN];

	return mg_pb_put_text(arena, mg_addr_format(addr, text, sizeof(text)), sizeof(text));
}

/* "" is "::": any address of any family. */
static int get_addr(const char *text, struct mg_addr *addr)
{
	if (text[0] == '\0') {
		memset(addr, 0, sizeof(*addr));
		return 0;
	}
	return mg_addr_parse(text, addr) < 0 ? -EBADMSG : 0;
}

static int get_u16(uint32_t value, uint16_t *ret_value)
{
	if (value > UINT16_MAX)
		return -EBADMSG;
	*ret_value = (uint16_t)value;
	return 0;
}

static void pack_health(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_health *c = ctl;
	Mango__V1__HealthCheckReply *p = pb;

	p->serving = (Mango__V1__Serving)c->serving;
	p->pid = c->pid;
	p->uptime_ms = c->uptime_ms;
	p->daemon_epoch = c->daemon_epoch;
	p->workers = c->nr_workers;
	p->sessions = c->nr_sessions;
	p->connections = c->nr_connections;
	p->listeners = c->nr_listeners;
	p->version = mg_pb_put_text(arena, c->version, sizeof(c->version));
	p->instance = mg_pb_put_text(arena, c->instance, sizeof(c->instance));
	p->attach_path = mg_pb_put_text(arena, c->attach_path, sizeof(c->attach_path));
	p->reason = mg_pb_put_text(arena, c->reason, sizeof(c->reason));
}

static int unpack_health(const void *pb, void *ctl)
{
	const Mango__V1__HealthCheckReply *p = pb;
	struct mg_ctl_health *c = ctl;

	c->serving = (uint32_t)p->serving;
	c->pid = p->pid;
	c->uptime_ms = p->uptime_ms;
	c->daemon_epoch = p->daemon_epoch;
	c->nr_workers = p->workers;
	c->nr_sessions = p->sessions;
	c->nr_connections = p->connections;
	c->nr_listeners = p->listeners;
	if (mg_pb_get_text(p->version, c->version, sizeof(c->version)) < 0 ||
	    mg_pb_get_text(p->instance, c->instance, sizeof(c->instance)) < 0 ||
	    mg_pb_get_text(p->attach_path, c->attach_path, sizeof(c->attach_path)) < 0 ||
	    mg_pb_get_text(p->reason, c->reason, sizeof(c->reason)) < 0)
		return -EBADMSG;
	return 0;
}

static void pack_kv(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_kv *c = ctl;
	Mango__V1__Setting *p = pb;

	p->key = mg_pb_put_text(arena, c->key, sizeof(c->key));
	p->value = mg_pb_put_text(arena, c->value, sizeof(c->value));
	p->default_value = mg_pb_put_text(arena, c->deflt, sizeof(c->deflt));
	p->runtime = (c->flags & MG_CTL_KV_RUNTIME) != 0;
	p->is_default = (c->flags & MG_CTL_KV_DEFAULT) != 0;
}

static int unpack_kv(const void *pb, void *ctl)
{
	const Mango__V1__Setting *p = pb;
	struct mg_ctl_kv *c = ctl;

	c->flags = (p->runtime ? (uint32_t)MG_CTL_KV_RUNTIME : 0) |
		   (p->is_default ? (uint32_t)MG_CTL_KV_DEFAULT : 0);
	if (mg_pb_get_text(p->key, c->key, sizeof(c->key)) < 0 ||
	    mg_pb_get_text(p->value, c->value, sizeof(c->value)) < 0 ||
	    mg_pb_get_text(p->default_value, c->deflt, sizeof(c->deflt)) < 0)
		return -EBADMSG;
	return 0;
}

static uint16_t listen_flags(bool reuseport, bool v6only, bool tfo_no_cookie)
{
	return (uint16_t)((reuseport ? MG_CTL_LISTEN_REUSEPORT : 0) |
			  (v6only ? MG_CTL_LISTEN_V6ONLY : 0) |
			  (tfo_no_cookie ? MG_CTL_LISTEN_TFO_NO_COOKIE : 0));
}

static void pack_listen(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_listen *c = ctl;
	Mango__V1__Listen *p = pb;

	p->address = put_addr(arena, &c->addr);
	p->port = c->port;
	p->reuseport = (c->flags & MG_CTL_LISTEN_REUSEPORT) != 0;
	p->v6only = (c->flags & MG_CTL_LISTEN_V6ONLY) != 0;
	p->backlog = c->backlog;
	p->context = c->context;
	p->listener = c->listener;
	p->rcvbuf_bytes = c->rcvbuf_bytes;
	p->sndbuf_bytes = c->sndbuf_bytes;
	p->cookie = c->cookie;
	p->fastopen = c->fastopen;
	p->fastopen_no_cookie = (c->flags & MG_CTL_LISTEN_TFO_NO_COOKIE) != 0;
	p->congestion_control = mg_pb_put_text(arena, c->congestion, sizeof(c->congestion));
	p->ttl = c->ttl;
	p->tos = c->tos;
	p->defer_s = c->defer_s;
}

static int unpack_listen(const void *pb, void *ctl)
{
	const Mango__V1__Listen *p = pb;
	struct mg_ctl_listen *c = ctl;

	c->flags = listen_flags(p->reuseport, p->v6only, p->fastopen_no_cookie);
	c->backlog = p->backlog;
	c->context = p->context;
	c->listener = p->listener;
	c->rcvbuf_bytes = p->rcvbuf_bytes;
	c->sndbuf_bytes = p->sndbuf_bytes;
	c->cookie = p->cookie;
	c->fastopen = p->fastopen;
	if (p->ttl > UINT8_MAX || p->tos > UINT8_MAX || get_u16(p->defer_s, &c->defer_s) < 0)
		return -EBADMSG;
	c->ttl = (uint8_t)p->ttl;
	c->tos = (uint8_t)p->tos;
	if (get_u16(p->port, &c->port) < 0 ||
	    mg_pb_get_text(p->congestion_control, c->congestion, sizeof(c->congestion)) < 0)
		return -EBADMSG;
	return get_addr(p->address, &c->addr);
}

static void pack_accept(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_accept *c = ctl;
	Mango__V1__AcceptCredit *p = pb;

	(void)arena; /* no texts */
	p->listener = c->listener;
	p->credits = c->credits;
	p->context = c->context;
	p->flags = c->flags;
}

static int unpack_accept(const void *pb, void *ctl)
{
	const Mango__V1__AcceptCredit *p = pb;
	struct mg_ctl_accept *c = ctl;

	c->listener = p->listener;
	c->credits = p->credits;
	c->context = p->context;
	c->flags = p->flags;
	return 0;
}

static void pack_connect(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_connect *c = ctl;
	Mango__V1__Connect *p = pb;

	p->local_address = put_addr(arena, &c->tuple.laddr);
	p->local_port = c->tuple.lport;
	p->remote_address = put_addr(arena, &c->tuple.raddr);
	p->remote_port = c->tuple.rport;
	p->context = c->context;
	p->cookie = c->cookie;
	p->rcvbuf_bytes = c->rcvbuf_bytes;
	p->sndbuf_bytes = c->sndbuf_bytes;
	p->flags = c->flags;
	p->window = c->window;
	p->gen = c->gen;
	p->status = c->status;
	p->scope = c->scope;
	p->congestion_control = mg_pb_put_text(arena, c->congestion, sizeof(c->congestion));
	p->ttl = c->ttl;
	p->tos = c->tos;
}

static int unpack_connect(const void *pb, void *ctl)
{
	const Mango__V1__Connect *p = pb;
	struct mg_ctl_connect *c = ctl;

	c->context = p->context;
	c->cookie = p->cookie;
	c->rcvbuf_bytes = p->rcvbuf_bytes;
	c->sndbuf_bytes = p->sndbuf_bytes;
	c->flags = p->flags;
	c->window = p->window;
	c->gen = p->gen;
	c->status = p->status;
	c->scope = p->scope;
	if (p->ttl > UINT8_MAX || p->tos > UINT8_MAX)
		return -EBADMSG;
	c->ttl = (uint8_t)p->ttl;
	c->tos = (uint8_t)p->tos;
	if (get_u16(p->local_port, &c->tuple.lport) < 0 ||
	    get_u16(p->remote_port, &c->tuple.rport) < 0 ||
	    mg_pb_get_text(p->congestion_control, c->congestion, sizeof(c->congestion)) < 0 ||
	    get_addr(p->local_address, &c->tuple.laddr) < 0)
		return -EBADMSG;
	return get_addr(p->remote_address, &c->tuple.raddr);
}

static void pack_conn_ref(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_conn_ref *c = ctl;
	Mango__V1__ConnectionRef *p = pb;

	(void)arena; /* no texts */
	p->window = c->window;
	p->gen = c->gen;
}

static int unpack_conn_ref(const void *pb, void *ctl)
{
	const Mango__V1__ConnectionRef *p = pb;
	struct mg_ctl_conn_ref *c = ctl;

	c->window = p->window;
	c->gen = p->gen;
	return 0;
}

static void pack_listener_ref(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_listener_ref *c = ctl;
	Mango__V1__ListenerRef *p = pb;

	(void)arena; /* no texts */
	p->listener = c->listener;
}

static int unpack_listener_ref(const void *pb, void *ctl)
{
	const Mango__V1__ListenerRef *p = pb;
	struct mg_ctl_listener_ref *c = ctl;

	c->listener = p->listener;
	return 0;
}

static void pack_conn_info(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_conn_info *c = ctl;
	Mango__V1__Connection *p = pb;

	p->local_address = put_addr(arena, &c->tuple.laddr);
	p->local_port = c->tuple.lport;
	p->remote_address = put_addr(arena, &c->tuple.raddr);
	p->remote_port = c->tuple.rport;
	p->state = c->state;
	p->window = c->window;
	p->gen = c->gen;
	p->worker = c->worker;
	p->pid = c->pid;
	p->srtt_us = c->srtt_us;
	p->rttvar_us = c->rttvar_us;
	p->rto_us = c->rto_us;
	p->mss = c->mss;
	p->cwnd_bytes = c->cwnd_bytes;
	p->ssthresh_bytes = c->ssthresh_bytes;
	p->snd_wnd_bytes = c->snd_wnd_bytes;
	p->rcv_wnd_bytes = c->rcv_wnd_bytes;
	p->inflight_bytes = c->inflight_bytes;
	p->retrans = c->retrans;
	p->snd_wscale = c->snd_wscale;
	p->rcv_wscale = c->rcv_wscale;
	p->opts = c->opts;
	p->rx_bytes = c->rx_bytes;
	p->tx_bytes = c->tx_bytes;
	p->acked_bytes = c->acked_bytes;
	p->pacing_bytes_per_s = c->pacing_Bps;
	p->age_ms = c->age_ms;
	p->app = c->app;
	p->flags = c->flags;
	p->congestion_control = mg_pb_put_text(arena, c->cc, sizeof(c->cc));
	p->congestion_phase = mg_pb_put_text(arena, c->cc_phase, sizeof(c->cc_phase));
	p->ecn = c->ecn != 0;
}

static int unpack_conn_info(const void *pb, void *ctl)
{
	const Mango__V1__Connection *p = pb;
	struct mg_ctl_conn_info *c = ctl;

	c->state = p->state;
	c->window = p->window;
	c->gen = p->gen;
	c->worker = p->worker;
	c->pid = p->pid;
	c->srtt_us = p->srtt_us;
	c->rttvar_us = p->rttvar_us;
	c->rto_us = p->rto_us;
	c->mss = p->mss;
	c->cwnd_bytes = p->cwnd_bytes;
	c->ssthresh_bytes = p->ssthresh_bytes;
	c->snd_wnd_bytes = p->snd_wnd_bytes;
	c->rcv_wnd_bytes = p->rcv_wnd_bytes;
	c->inflight_bytes = p->inflight_bytes;
	c->retrans = p->retrans;
	c->snd_wscale = p->snd_wscale;
	c->rcv_wscale = p->rcv_wscale;
	c->opts = p->opts;
	c->rx_bytes = p->rx_bytes;
	c->tx_bytes = p->tx_bytes;
	c->acked_bytes = p->acked_bytes;
	c->pacing_Bps = p->pacing_bytes_per_s;
	c->age_ms = p->age_ms;
	c->ecn = p->ecn != 0;
	c->app = p->app;
	c->flags = p->flags;
	if (get_u16(p->local_port, &c->tuple.lport) < 0 ||
	    get_u16(p->remote_port, &c->tuple.rport) < 0 ||
	    get_addr(p->local_address, &c->tuple.laddr) < 0 ||
	    get_addr(p->remote_address, &c->tuple.raddr) < 0)
		return -EBADMSG;
	if (mg_pb_get_text(p->congestion_phase, c->cc_phase, sizeof(c->cc_phase)) < 0)
		return -EBADMSG;
	return mg_pb_get_text(p->congestion_control, c->cc, sizeof(c->cc));
}

/* `info` travels only where it is the answer. */
static void pack_opt(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_opt *c = ctl;
	Mango__V1__Option *p = pb;

	p->window = c->window;
	p->gen = c->gen;
	p->option = c->option;
	p->status = c->status;
	p->value = c->value;
	p->text = mg_pb_put_text(arena, c->text, sizeof(c->text));
	if (c->option != MG_CTL_OPT_INFO)
		return;
	p->info = mg_pb_arena_alloc(arena, sizeof(*p->info));
	if (p->info == NULL)
		return;
	mango__v1__connection__init(p->info);
	pack_conn_info(arena, &c->info, p->info);
}

static int unpack_opt(const void *pb, void *ctl)
{
	const Mango__V1__Option *p = pb;
	struct mg_ctl_opt *c = ctl;

	c->window = p->window;
	c->gen = p->gen;
	c->option = p->option;
	c->status = p->status;
	c->value = p->value;
	if (mg_pb_get_text(p->text, c->text, sizeof(c->text)) < 0)
		return -EBADMSG;
	return p->info == NULL ? 0 : unpack_conn_info(p->info, &c->info);
}

static void pack_listener_info(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_listener_info *c = ctl;
	Mango__V1__Listener *p = pb;

	p->address = put_addr(arena, &c->addr);
	p->port = c->port;
	p->reuseport = (c->flags & MG_CTL_LISTEN_REUSEPORT) != 0;
	p->v6only = (c->flags & MG_CTL_LISTEN_V6ONLY) != 0;
	p->listener = c->listener;
	p->pid = c->pid;
	p->backlog = c->backlog;
	p->pending = c->pending;
	p->embryos = c->embryos;
	p->accepted = c->accepted;
	p->dropped = c->dropped;
	p->app = c->app;
	p->flags = c->object_flags;
	p->holders = c->holders;
	p->offered = c->offered;
}

static int unpack_listener_info(const void *pb, void *ctl)
{
	const Mango__V1__Listener *p = pb;
	struct mg_ctl_listener_info *c = ctl;

	c->flags = listen_flags(p->reuseport, p->v6only, false);
	c->listener = p->listener;
	c->pid = p->pid;
	c->backlog = p->backlog;
	c->pending = p->pending;
	c->embryos = p->embryos;
	c->accepted = p->accepted;
	c->dropped = p->dropped;
	c->app = p->app;
	c->object_flags = p->flags;
	c->holders = p->holders;
	c->offered = p->offered;
	if (get_u16(p->port, &c->port) < 0)
		return -EBADMSG;
	return get_addr(p->address, &c->addr);
}

static void pack_counter(struct mg_pb_arena *arena, const void *ctl, void *pb)
{
	const struct mg_ctl_counter *c = ctl;
	Mango__V1__Counter *p = pb;

	p->name = mg_pb_put_text(arena, c->name, sizeof(c->name));
	p->value = c->value;
	p->help = mg_pb_put_text(arena, c->help, sizeof(c->help));
}

static int unpack_counter(const void *pb, void *ctl)
{
	const Mango__V1__Counter *p = pb;
	struct mg_ctl_counter *c = ctl;

	c->value = p->value;
	if (mg_pb_get_text(p->name, c->name, sizeof(c->name)) < 0)
		return -EBADMSG;
	return mg_pb_get_text(p->help, c->help, sizeof(c->help));
}

const struct mg_pb_item mg_pb_health = { &mango__v1__health_check_reply__descriptor, pack_health,
					 unpack_health };
const struct mg_pb_item mg_pb_kv = { &mango__v1__setting__descriptor, pack_kv, unpack_kv };
const struct mg_pb_item mg_pb_listen = { &mango__v1__listen__descriptor, pack_listen,
					 unpack_listen };
const struct mg_pb_item mg_pb_accept = { &mango__v1__accept_credit__descriptor, pack_accept,
					 unpack_accept };
const struct mg_pb_item mg_pb_connect = { &mango__v1__connect__descriptor, pack_connect,
					  unpack_connect };
const struct mg_pb_item mg_pb_conn_ref = { &mango__v1__connection_ref__descriptor, pack_conn_ref,
					   unpack_conn_ref };
const struct mg_pb_item mg_pb_listener_ref = { &mango__v1__listener_ref__descriptor,
					       pack_listener_ref, unpack_listener_ref };
const struct mg_pb_item mg_pb_opt = { &mango__v1__option__descriptor, pack_opt, unpack_opt };
const struct mg_pb_item mg_pb_conn_info = { &mango__v1__connection__descriptor, pack_conn_info,
					    unpack_conn_info };
const struct mg_pb_item mg_pb_listener_info = { &mango__v1__listener__descriptor,
						pack_listener_info, unpack_listener_info };
const struct mg_pb_item mg_pb_counter = { &mango__v1__counter__descriptor, pack_counter,
					  unpack_counter };
