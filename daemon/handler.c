/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handler.c - see handler.h.
 */
#include "daemon/handler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/guard.h"
#include "proto/base/assert.h"
#include "proto/base/bits.h"

#define QUERIES_MAX 8 /* what the slow path keeps */

void mg_handler_init(struct mg_handler *handler, const struct mg_handler_env *env,
		     struct mg_conf *conf, struct mg_sessions *sessions)
{
	*handler = (struct mg_handler){ .env = *env, .conf = conf, .sessions = sessions };
	mg_list_init(&handler->with_slow);
	mg_list_init(&handler->queries);
}

static void finish(struct mg_request *request)
{
	MG_ASSERT((request->msg.hdr.type & MG_CTL_REPLY) != 0);
	request->done(request);
}

static void fail(struct mg_request *request, int status, const char *text)
{
	mg_request_fail(request, status, text);
	finish(request);
}

/* Turns the header into that of a reply; the items stay as they are. */
static void begin_reply(struct mg_request *request, uint32_t count)
{
	struct mg_ctl_hdr *hdr = &request->msg.hdr;

	*hdr = (struct mg_ctl_hdr){ .version = MG_CTL_VERSION,
				    .type = (uint16_t)(hdr->type | MG_CTL_REPLY),
				    .id = hdr->id };
	mg_ctl_set_count(&request->msg, count);
}

static void copy_text(char *buf, size_t size, const char *text)
{
	(void)snprintf(buf, size, "%s", text); /* cut is fine */
}

static void handle_health(struct mg_handler *handler, struct mg_request *request)
{
	struct mg_ctl_health *health = &request->msg.health[0];

	begin_reply(request, 1);
	memset(health, 0, sizeof(*health));
	handler->env.health(handler->env.ctx, health);
	if (handler->is_draining) {
		health->serving = MG_CTL_DRAINING;
		copy_text(health->reason, sizeof(health->reason), "the daemon is stopping");
	}
	finish(request);
}

static void handle_set_config(struct mg_handler *handler, struct mg_request *request)
{
	struct mg_ctl_msg *msg = &request->msg;
	uint32_t n = msg->hdr.count;
	struct mg_conf_pair *pairs;
	struct mg_conf_err err;
	int res;

	if (!request->is_admin) {
		fail(request, -EPERM,
		     "only root and the daemon's user may change settings: be one of them, "
		     "and use the local or the unix address");
		return;
	}
	if (n == 0) {
		fail(request, -EINVAL, "no setting was named");
		return;
	}
	pairs = calloc(n, sizeof(*pairs));
	if (pairs == NULL) {
		fail(request, -ENOMEM, NULL);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		pairs[i] = (struct mg_conf_pair){ msg->kv[i].key, msg->kv[i].value };
	res = mg_conf_set_many(handler->conf, pairs, n, MG_CONF_LIVE, &err);
	free(pairs);
	if (res < 0) {
		fail(request, res, err.text);
		return;
	}
	handler->env.conf_changed(handler->env.ctx);
	for (uint32_t i = 0; i < n; i++)
		(void)mg_conf_get(handler->conf, msg->kv[i].key, msg->kv[i].value,
				  sizeof(msg->kv[i].value),
				  NULL); /* too long: stays as it was asked for */
	begin_reply(request, n);
	finish(request);
}

struct get_config {
	struct mg_ctl_msg *msg;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	uint32_t max;
	bool more;
};

static int get_one(void *arg, const struct mg_conf_item *item)
{
	struct get_config *get = arg;
	struct mg_ctl_kv *kv;

	if (get->index++ < get->start)
		return 0;
	if (get->count == get->max) {
		get->more = true;
		return 1;
	}
	kv = &get->msg->kv[get->count++];
	memset(kv, 0, sizeof(*kv));
	copy_text(kv->key, sizeof(kv->key), item->key);
	copy_text(kv->value, sizeof(kv->value), item->value);
	copy_text(kv->deflt, sizeof(kv->deflt), item->deflt != NULL ? item->deflt : "");
	kv->flags = (item->is_live ? (uint32_t)MG_CTL_KV_RUNTIME : 0) |
		    (item->is_default ? (uint32_t)MG_CTL_KV_DEFAULT : 0);
	return 0;
}

static void handle_get_config(struct mg_handler *handler, struct mg_request *request)
{
	struct get_config get = { .msg = &request->msg, .start = request->msg.hdr.start };
	char key[sizeof(request->msg.kv[0].key)] = "";
	char text[MG_CTL_TEXT_MAX];
	int res;

	if (request->msg.hdr.count > 0)
		memcpy(key, request->msg.kv[0].key, sizeof(key)); /* terminated by mg_ctl_check() */
	get.max = mg_ctl_items_max(MG_CTL_GET_CONFIG | MG_CTL_REPLY);
	res = mg_conf_each(handler->conf, key, get_one, &get);
	if (res < 0) {
		(void)snprintf(text, sizeof(text), "there is no setting or section \"%s\"",
			       key); /* cut is fine */
		fail(request, res, text);
		return;
	}
	begin_reply(request, get.count);
	request->msg.hdr.start = get.start;
	request->msg.hdr.more = get.more ? 1 : 0;
	finish(request);
}

static void to_slow(struct mg_handler *handler, struct mg_request *request, struct mg_app *app)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_CTL,
				   .arg = request->arg,
				   .app = app,
				   .msg = &request->msg,
				   .value = request->contexts,
				   .cookie = request };

	request->type = request->msg.hdr.type;
	request->app = app;
	mg_list_push_back(&handler->with_slow, &request->node);
	handler->env.slow(handler->env.ctx, &req);
}

static bool is_query(uint16_t type)
{
	return type == MG_CTL_CONNECTIONS || type == MG_CTL_TCP_GET_OPTION;
}

/* The slow path asks workers for these, one after the other, and keeps few: the others wait here. */
static void query_to_slow(struct mg_handler *handler, struct mg_request *request,
			  struct mg_app *app)
{
	request->app = app;
	if (handler->nr_queries >= QUERIES_MAX) {
		mg_list_push_back(&handler->queries, &request->node);
		return;
	}
	handler->nr_queries++;
	to_slow(handler, request, app);
}

static void next_query(struct mg_handler *handler)
{
	struct mg_list_node *node = mg_list_pop_front(&handler->queries);
	struct mg_request *request;

	handler->nr_queries--;
	if (node == NULL)
		return;
	request = mg_container_of(node, struct mg_request, node);
	handler->nr_queries++;
	to_slow(handler, request, request->app);
}

static void handle_sessions(struct mg_handler *handler, struct mg_request *request)
{
	uint32_t start = request->msg.hdr.start;
	bool more;
	uint32_t n = mg_sessions_list(handler->sessions, start,
				      mg_ctl_items_max(MG_CTL_SESSIONS | MG_CTL_REPLY),
				      request->msg.session, &more);

	begin_reply(request, n);
	request->msg.hdr.start = start;
	request->msg.hdr.more = more ? 1 : 0;
	finish(request);
}

/* Pages of our own counters first; the slow path's begin where ours end. */
static void handle_stats(struct mg_handler *handler, struct mg_request *request)
{
	uint32_t max = mg_ctl_items_max(MG_CTL_STATS | MG_CTL_REPLY);
	uint32_t start = request->msg.hdr.start;
	struct mg_ctl_counter counter;
	uint32_t own = 0;
	uint32_t n = 0;

	while (memset(&counter, 0, sizeof(counter)),
	       handler->env.counter(handler->env.ctx, own, &counter)) {
		if (own++ >= start && n < max)
			request->msg.counter[n++] = counter;
	}
	if (n == 0) {
		request->msg.hdr.start = start - own;
		request->stats_base = own;
		to_slow(handler, request, NULL);
		return;
	}
	begin_reply(request, n);
	request->msg.hdr.start = start;
	request->msg.hdr.more = 1; /* at least the slow path's */
	finish(request);
}

/* The session that speaks; NULL: the request has been failed. */
static struct mg_session *need_session(struct mg_handler *handler, struct mg_request *request)
{
	struct mg_session *session = request->session;

	if (session == NULL)
		session = mg_session_find(handler->sessions, &request->msg.hdr.token);
	if (session == NULL)
		fail(request, -ESTALE,
		     "there is no such session: attach first, and send the token that it gave");
	return session;
}

/* Every context that the request names is one of the process that asks. */
static bool contexts_are_own(const struct mg_session *session, const struct mg_ctl_msg *msg)
{
	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		uint32_t context;

		switch (msg->hdr.type) {
		case MG_CTL_TCP_LISTEN:
			context = msg->listen[i].context;
			break;
		case MG_CTL_TCP_ACCEPT:
			context = msg->accept[i].context;
			break;
		case MG_CTL_TCP_CONNECT:
			context = msg->connect[i].context;
			break;
		case MG_CTL_TCP_MOVE:
			context = msg->move[i].context;
			break;
		default:
			return true;
		}
		if (context >= MG_REGION_CONTEXTS || (session->contexts >> context & 1) == 0)
			return false;
	}
	return true;
}

static void handle_tcp(struct mg_handler *handler, struct mg_request *request)
{
	uint16_t type = request->msg.hdr.type;
	struct mg_session *session = need_session(handler, request); /* NULL: the request is gone */

	if (session == NULL)
		return;
	if (handler->is_draining && (type == MG_CTL_TCP_LISTEN || type == MG_CTL_TCP_CONNECT)) {
		fail(request, -ESHUTDOWN, "the daemon is stopping");
		return;
	}
	if (!contexts_are_own(session, &request->msg)) {
		fail(request, -EINVAL, "the event context is not one of this process");
		return;
	}
	request->contexts = session->contexts;
	request->arg = session->region->listeners_max;
	if (is_query(type))
		query_to_slow(handler, request, &session->region->app);
	else
		to_slow(handler, request, &session->region->app);
}

void mg_handler_guard(struct mg_handler *handler, struct mg_request *request)
{
	request->contexts = request->session->contexts;
	to_slow(handler, request, &request->session->region->app);
}

void mg_handler_handle(struct mg_handler *handler, struct mg_request *request)
{
	switch ((enum mg_ctl_type)request->msg.hdr.type) {
	case MG_CTL_HEALTH_CHECK:
		handle_health(handler, request);
		return;
	case MG_CTL_SET_CONFIG:
		handle_set_config(handler, request);
		return;
	case MG_CTL_GET_CONFIG:
		handle_get_config(handler, request);
		return;
	case MG_CTL_CONNECTIONS:
		query_to_slow(handler, request, NULL);
		return;
	case MG_CTL_LISTENERS:
		to_slow(handler, request, NULL);
		return;
	case MG_CTL_SESSIONS:
		handle_sessions(handler, request);
		return;
	case MG_CTL_STATS:
		handle_stats(handler, request);
		return;
	case MG_CTL_TCP_LISTEN:
	case MG_CTL_TCP_ACCEPT:
	case MG_CTL_TCP_CONNECT:
	case MG_CTL_TCP_CLOSE:
	case MG_CTL_TCP_LISTEN_CLOSE:
	case MG_CTL_TCP_ABORT:
	case MG_CTL_TCP_SET_OPTION:
	case MG_CTL_TCP_GET_OPTION:
	case MG_CTL_TCP_MOVE:
		handle_tcp(handler, request);
		return;
	case MG_CTL_ATTACH:
	case MG_CTL_CONTEXT_OPEN:
	case MG_CTL_GUARD:
	case MG_CTL_GUARDS:
	case MG_CTL_NR:
		break;
	}
	fail(request, -EPROTO, "the attach socket alone takes this request");
}

/* What the slow path refused for our limits, in words. */
static void explain(struct mg_request *request)
{
	if (request->type == MG_CTL_TCP_LISTEN && request->msg.hdr.status == -EMFILE)
		(void)snprintf(request->msg.hdr.text, sizeof(request->msg.hdr.text), /* fits */
			       "this application may have %u listeners (app.listeners_max)",
			       request->arg);
}

void mg_handler_slow_reply(struct mg_handler *handler, const struct mg_slow_req *req)
{
	struct mg_request *request = req->cookie;
	uint16_t type = request->type;

	mg_list_remove(&request->node);
	request->msg.hdr.type = (uint16_t)(type | MG_CTL_REPLY);
	if (type == MG_CTL_STATS)
		request->msg.hdr.start += request->stats_base;
	if (type == MG_CTL_GUARD)
		mg_guards_settle_all(&request->msg);
	explain(request);
	finish(request);
	if (is_query(type))
		next_query(handler);
}

void mg_handler_abandon(struct mg_handler *handler)
{
	struct mg_list_node *node;

	while ((node = mg_list_pop_front(&handler->with_slow)) != NULL) {
		struct mg_request *request = mg_container_of(node, struct mg_request, node);

		request->msg.hdr.type = request->type;
		if (request->type == MG_CTL_GUARD) {
			request->msg.hdr.status = -ESHUTDOWN;
			mg_guards_settle_all(&request->msg);
		}
		fail(request, -ESHUTDOWN, "the daemon has stopped");
	}
	while ((node = mg_list_pop_front(&handler->queries)) != NULL)
		fail(mg_container_of(node, struct mg_request, node), -ESHUTDOWN,
		     "the daemon has stopped");
	handler->nr_queries = 0;
}
