/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query.c - lists from the daemon: configuration, connections, listeners, counters.
 *
 * Idea:    a list comes in pages; the loop is one (walk), the items of each kind are converted one by one
 *          into the public structs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/core/sockaddr.h"
#include "libclient/mango/handle.h"
#include "proto/wire/seg.h"

/* Shows item i of a reply to the user's callback. */
typedef int show_fn(const struct mg_ctl_msg *msg, uint32_t i, void *cb_user);

struct show {
	show_fn *fn;
	mango_query_cb *query_cb;
	mango_config_cb *config_cb;
	void *user;
};

static int show_page(const struct mg_ctl_msg *msg, const struct show *show)
{
	int err = 0;

	for (uint32_t i = 0; i < msg->hdr.count && err == 0; i++)
		err = show->fn(msg, i, (void *)(uintptr_t)show);
	return err;
}

static int walk(struct mg_client *client, uint16_t type, const char *prefix,
		const struct show *show)
{
	struct mg_ctl_msg *msg = mg_client_msg(type, 0);
	uint32_t start = 0;
	bool more = true;
	int err = 0;

	if (msg == NULL)
		return -ENOMEM;
	while (more && err == 0) {
		mg_ctl_init(msg, type, 0, prefix != NULL ? 1 : 0);
		msg->hdr.start = start;
		if (prefix != NULL)
			(void)snprintf(msg->kv[0].key, sizeof(msg->kv[0].key), "%s",
				       prefix); /* fits */
		err = mg_client_request(client, msg);
		if (err < 0)
			break;
		more = msg->hdr.more != 0 && msg->hdr.count > 0;
		start = msg->hdr.start + msg->hdr.count;
		err = show_page(msg, show);
	}
	free(msg);
	return err;
}

static int show_config(const struct mg_ctl_msg *msg, uint32_t i, void *user)
{
	const struct show *show = user;
	const struct mg_ctl_kv *kv = &msg->kv[i];
	struct mango_config config = {
		.key = kv->key,
		.value = kv->value,
		.deflt = kv->deflt,
		.is_runtime = (kv->flags & MG_CTL_KV_RUNTIME) != 0,
		.is_default = (kv->flags & MG_CTL_KV_DEFAULT) != 0,
	};

	return show->config_cb(&config, show->user);
}

mango_status_e mango_ipc_list_config(mango_ipc_h h, const char *prefix, mango_config_cb *cb,
				     void *user)
{
	struct mg_ipc *ipc = mg_ipc_of(h);
	struct show show = { .fn = show_config, .config_cb = cb, .user = user };

	if (ipc == NULL)
		return -EBADF;
	if (cb == NULL)
		return -EFAULT;
	prefix = prefix != NULL ? prefix : "";
	if (strlen(prefix) >= sizeof(((struct mg_ctl_kv *)0)->key))
		return -ENOENT;
	return walk(ipc->client, MG_CTL_GET_CONFIG, prefix, &show);
}

/* enum mg_tcp_state, as ss(8) names them. */
static const char *state_name(uint32_t state)
{
	static const char *const names[] = { "closed",      "listen",     "syn-sent",   "syn-recv",
					     "established", "close-wait", "fin-wait-1", "closing",
					     "last-ack",    "fin-wait-2", "time-wait" };

	return state < MG_ARRAY_SIZE(names) ? names[state] : "?";
}

static void fill_address(struct sockaddr_storage *to, const struct mg_addr *addr, uint16_t port)
{
	socklen_t len = sizeof(*to);

	memset(to, 0, sizeof(*to));
	mg_sockaddr_fill(mg_addr_is_v4(addr) ? AF_INET : AF_INET6, addr, port,
			 (struct sockaddr *)to, &len);
}

static int show_connection(const struct mg_ctl_msg *msg, uint32_t i, void *user)
{
	const struct show *show = user;
	const struct mg_ctl_conn_info *c = &msg->conn_info[i];
	struct mango_connection_info info = {
		.state = state_name(c->state),
		.congestion = c->cc,
		.congestion_phase = c->cc_phase,
		.ecn = c->ecn != 0,
		.pid = c->pid,
		.worker = c->worker,
		.app = c->app,
		.guarded = (c->flags & MG_CTL_OBJECT_GUARDED) != 0,
		.srtt_us = c->srtt_us,
		.rttvar_us = c->rttvar_us,
		.rto_us = c->rto_us,
		.mss = c->mss,
		.cwnd_bytes = c->cwnd_bytes,
		.ssthresh_bytes = c->ssthresh_bytes,
		.snd_wnd_bytes = c->snd_wnd_bytes,
		.rcv_wnd_bytes = c->rcv_wnd_bytes,
		.inflight_bytes = c->inflight_bytes,
		.retransmits = c->retrans,
		.snd_wscale = c->snd_wscale,
		.rcv_wscale = c->rcv_wscale,
		.timestamps = (c->opts & MG_SEG_OPT_TS) != 0,
		.sack = (c->opts & MG_SEG_OPT_SACK_PERM) != 0,
		.rx_bytes = c->rx_bytes,
		.tx_bytes = c->tx_bytes,
		.acked_bytes = c->acked_bytes,
		.pacing_Bps = c->pacing_Bps,
		.age_ms = c->age_ms,
	};

	fill_address(&info.local, &c->tuple.laddr, c->tuple.lport);
	fill_address(&info.remote, &c->tuple.raddr, c->tuple.rport);
	return show->query_cb(&info, show->user);
}

static int show_listener(const struct mg_ctl_msg *msg, uint32_t i, void *user)
{
	const struct show *show = user;
	const struct mg_ctl_listener_info *l = &msg->listener_info[i];
	struct mango_listener_info info = {
		.pid = l->pid,
		.backlog = l->backlog,
		.pending = l->pending,
		.embryos = l->embryos,
		.accepted = l->accepted,
		.dropped = l->dropped,
		.app = l->app,
		.holders = l->holders,
		.offered = l->offered,
		.guarded = (l->object_flags & MG_CTL_OBJECT_GUARDED) != 0,
	};

	fill_address(&info.local, &l->addr, l->port);
	return show->query_cb(&info, show->user);
}

static int show_counter(const struct mg_ctl_msg *msg, uint32_t i, void *user)
{
	const struct show *show = user;
	const struct mg_ctl_counter *c = &msg->counter[i];
	struct mango_counter counter = { .name = c->name, .help = c->help, .value = c->value };

	return show->query_cb(&counter, show->user);
}

static int show_session(const struct mg_ctl_msg *msg, uint32_t i, void *user)
{
	const struct show *show = user;
	const struct mg_ctl_session_info *s = &msg->session[i];
	struct mango_session_info info = {
		.program = s->program,
		.app = s->app,
		.pid = s->pid,
		.uid = s->uid,
		.contexts = s->contexts,
		.processes = s->processes,
		.guards = s->guards,
		.connections = s->connections,
		.listeners = s->listeners,
		.region_bytes = s->region_bytes,
		.resident_bytes = s->resident_bytes,
		.age_ms = s->age_ms,
	};

	return show->query_cb(&info, show->user);
}

mango_status_e mango_ipc_query(mango_ipc_h h, enum mango_query what, mango_query_cb *cb, void *user)
{
	struct mg_ipc *ipc = mg_ipc_of(h);
	struct show show = { .query_cb = cb, .user = user };
	uint16_t type;

	if (ipc == NULL)
		return -EBADF;
	if (cb == NULL)
		return -EFAULT;
	switch (what) {
	case MANGO_QUERY_CONNECTIONS:
		type = MG_CTL_CONNECTIONS;
		show.fn = show_connection;
		break;
	case MANGO_QUERY_LISTENERS:
		type = MG_CTL_LISTENERS;
		show.fn = show_listener;
		break;
	case MANGO_QUERY_STATS:
		type = MG_CTL_STATS;
		show.fn = show_counter;
		break;
	case MANGO_QUERY_SESSIONS:
		type = MG_CTL_SESSIONS;
		show.fn = show_session;
		break;
	default:
		return -EINVAL;
	}
	return walk(ipc->client, type, NULL, &show);
}
