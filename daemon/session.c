/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - see session.h.
 */
#include "daemon/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/loop.h"
#include "proto/base/assert.h"
#include "proto/base/bits.h"

#define PAGE_BYTES 4096u
#define PAYLOAD_BYTES_MIN (256u * 1024) /* less could not hold the rings of two connections */
#define WINDOWS_MIN 16

int mg_sessions_init(struct mg_sessions *sessions, const struct mg_conf *conf,
		     struct mg_access *access, const struct mg_slow_limits *limits,
		     const struct mg_sessions_env *env)
{
	*sessions = (struct mg_sessions){
		.env = *env,
		.conf = conf,
		.access = access,
		.apps_max = limits->apps_max,
		.windows_max = limits->app_windows_max,
		.payload_max = limits->app_payload_bytes_max,
		.nr_workers = limits->nr_workers,
	};
	mg_list_init(&sessions->list);
	mg_list_init(&sessions->regions);
	for (uint32_t i = 0; i < MG_SESSION_BUCKETS; i++)
		mg_list_init(&sessions->buckets[i]);
	if (getrandom(&sessions->daemon_epoch, sizeof(sessions->daemon_epoch), 0) < 0)
		return -errno;
	sessions->ids = calloc((limits->apps_max + 63) / 64, sizeof(*sessions->ids));
	return sessions->ids == NULL ? -ENOMEM : 0;
}

static struct mg_list *bucket_of(struct mg_sessions *sessions, const struct mg_ctl_token *token)
{
	return &sessions->buckets[token->b[0] % MG_SESSION_BUCKETS];
}

/* Takes as long for a wrong token as for a right one. */
static bool token_eq(const struct mg_ctl_token *a, const struct mg_ctl_token *b)
{
	uint8_t diff = 0;

	for (int i = 0; i < MG_CTL_TOKEN_BYTES; i++)
		diff = (uint8_t)(diff | (a->b[i] ^ b->b[i]));
	return diff == 0;
}

struct mg_session *mg_session_find(struct mg_sessions *sessions, const struct mg_ctl_token *token)
{
	MG_LIST_FOREACH(it, bucket_of(sessions, token)) {
		struct mg_session *session = mg_container_of(it, struct mg_session, bucket);

		if (token_eq(&session->token, token))
			return session;
	}
	return NULL;
}

static bool take_id(struct mg_sessions *sessions, uint32_t *ret_id)
{
	for (uint32_t id = 0; id < sessions->apps_max; id++) {
		if ((sessions->ids[id / 64] >> (id % 64) & 1) == 0) {
			sessions->ids[id / 64] |= 1ull << (id % 64);
			*ret_id = id;
			return true;
		}
	}
	return false;
}

static void give_id(struct mg_sessions *sessions, uint32_t id)
{
	sessions->ids[id / 64] &= ~(1ull << (id % 64));
}

/* What fits into the bytes that the limits allow. 0 or -EINVAL. */
static int plan(const struct mg_sessions *sessions, const struct mg_access_limits *limits,
		struct mg_app_layout *ret_layout)
{
	struct mg_app_layout layout = { .nr_contexts = MG_REGION_CONTEXTS,
					.nr_workers = sessions->nr_workers };
	uint64_t fixed;

	layout.nr_windows = 1;
	while (layout.nr_windows < limits->connections_max &&
	       layout.nr_windows < sessions->windows_max)
		layout.nr_windows *= 2;
	fixed = mg_app_region_bytes(&layout);
	/* A window brings entries in every event ring: it must not be that they leave no room for data. */
	while (layout.nr_windows > WINDOWS_MIN && fixed > limits->region_bytes / 4) {
		layout.nr_windows /= 2;
		fixed = mg_app_region_bytes(&layout);
	}
	if (fixed + PAYLOAD_BYTES_MIN > limits->region_bytes)
		return -EINVAL;
	layout.payload_bytes = (limits->region_bytes - fixed) / PAGE_BYTES * PAGE_BYTES;
	if (layout.payload_bytes > sessions->payload_max)
		layout.payload_bytes = sessions->payload_max / PAGE_BYTES * PAGE_BYTES;
	*ret_layout = layout;
	return 0;
}

static int new_region(struct mg_sessions *sessions, const struct mg_peer *peer, uint32_t access,
		      struct mg_region **ret_region)
{
	struct mg_access_limits limits;
	struct mg_app_layout layout;
	struct mg_region *region;
	uint32_t id;
	int err;

	mg_access_limits(sessions->access, sessions->conf, access, &limits);
	err = plan(sessions, &limits, &layout);
	if (err < 0)
		return err;
	if (!take_id(sessions, &id))
		return -EDQUOT;
	err = mg_region_new(&layout, sessions->daemon_epoch, &region);
	if (err < 0)
		goto give_id;
	if (getrandom(&region->share, sizeof(region->share), 0) != (ssize_t)sizeof(region->share)) {
		err = -EIO;
		goto free_region;
	}
	region->app.id = id;
	region->app.pid = (uint32_t)peer->pid;
	region->uid = peer->uid;
	region->access = access;
	region->listeners_max = limits.listeners_max;
	region->connections_max = limits.connections_max;
	mg_list_push_back(&sessions->regions, &region->node);
	sessions->nr_regions++;
	*ret_region = region;
	return 0;

free_region:
	mg_region_free(region);
give_id:
	give_id(sessions, id);
	return err;
}

static void drop_region(struct mg_sessions *sessions, struct mg_region *region)
{
	give_id(sessions, region->app.id);
	mg_list_remove(&region->node);
	sessions->nr_regions--;
	mg_region_free(region);
}

/* Only for the same user. A token of one of its sessions will do as well. */
static int join_region(struct mg_sessions *sessions, const struct mg_peer *peer,
		       const struct mg_ctl_token *share, struct mg_region **ret_region)
{
	struct mg_session *session = mg_session_find(sessions, share);
	struct mg_region *found = session != NULL ? session->region : NULL;

	MG_LIST_FOREACH(it, &sessions->regions) {
		struct mg_region *region = mg_container_of(it, struct mg_region, node);

		if (token_eq(&region->share, share))
			found = region;
	}
	if (found == NULL || found->is_leaving || found->uid != peer->uid)
		return -ENOENT;
	*ret_region = found;
	return 0;
}

static int take_region(struct mg_sessions *sessions, const struct mg_peer *peer, uint32_t access,
		       const struct mg_ctl_token *parent, struct mg_region **ret_region)
{
	static const struct mg_ctl_token zero;

	if (token_eq(parent, &zero))
		return new_region(sessions, peer, access, ret_region);
	return join_region(sessions, peer, parent, ret_region);
}

static void tell_slow(struct mg_sessions *sessions, enum mg_slow_req_type type,
		      struct mg_region *region, uint64_t value)
{
	struct mg_slow_req req = { .type = type, .app = &region->app, .value = value };

	sessions->env.slow(sessions->env.ctx, &req);
}

static void enlist(struct mg_sessions *sessions, struct mg_session *session)
{
	struct mg_region *region = session->region;

	mg_list_push_back(&sessions->list, &session->node);
	mg_list_push_back(bucket_of(sessions, &session->token), &session->bucket);
	sessions->nr_sessions++;
	sessions->access->rows[session->access].nr_sessions++;
	region->nr_sessions++;
	if (region->nr_sessions == 1 && region->nr_guards == 0) /* it is new */
		tell_slow(sessions, MG_SLOW_REQ_APP_ADD, region, 0);
}

int mg_session_begin(struct mg_sessions *sessions, const struct mg_peer *peer,
		     const struct mg_ctl_attach *attach, struct mg_session **ret_session,
		     uint32_t *ret_context)
{
	struct mg_session *session;
	uint32_t access;
	int err;

	err = mg_access_check(sessions->access, sessions->conf, peer, &access);
	if (err == 0 && sessions->nr_sessions >= sessions->conf->app.sessions_max)
		err = -EDQUOT;
	if (err < 0)
		return err;
	session = calloc(1, sizeof(*session));
	if (session == NULL)
		return -ENOMEM;
	session->peer = *peer;
	session->access = access;
	session->since_ns = mg_loop_now_ns();
	memcpy(session->program, attach->program, sizeof(session->program) - 1);
	if (getrandom(&session->token, sizeof(session->token), 0) !=
	    (ssize_t)sizeof(session->token)) {
		err = -EIO;
		goto free_session;
	}
	err = take_region(sessions, peer, access, &attach->parent, &session->region);
	if (err < 0)
		goto free_session;
	err = mg_session_context_open(session, ret_context);
	if (err < 0)
		goto put_region;
	enlist(sessions, session);
	*ret_session = session;
	return 0;

put_region:
	if (session->region->nr_sessions == 0 && session->region->nr_guards == 0)
		drop_region(sessions, session->region);
free_session:
	free(session);
	return err;
}

int mg_session_context_open(struct mg_session *session, uint32_t *ret_context)
{
	int err = mg_region_context_open(session->region, (uint32_t)session->peer.pid, ret_context);

	if (err == 0)
		session->contexts |= 1u << *ret_context;
	return err;
}

void mg_session_end(struct mg_sessions *sessions, struct mg_session *session)
{
	struct mg_region *region = session->region;
	uint32_t contexts = session->contexts;

	for (uint32_t c = 0; c < MG_REGION_CONTEXTS; c++) {
		if ((session->contexts >> c & 1) != 0)
			mg_region_context_close(region, c);
	}
	mg_list_remove(&session->node);
	mg_list_remove(&session->bucket);
	sessions->nr_sessions--;
	sessions->access->rows[session->access].nr_sessions--;
	sessions->env.ended(sessions->env.ctx, &session->token);
	free(session);
	region->nr_sessions--;
	if (region->nr_sessions > 0 || region->nr_guards > 0)
		tell_slow(sessions, MG_SLOW_REQ_HOLDER_GONE, region, contexts);
	mg_sessions_region_step(sessions, region);
}

void mg_sessions_region_step(struct mg_sessions *sessions, struct mg_region *region)
{
	if (region->nr_sessions > 0 || region->nr_guards > 0 || region->is_leaving)
		return;
	region->is_leaving = true;
	tell_slow(sessions, MG_SLOW_REQ_APP_DEL, region, 0);
}

void mg_sessions_app_gone(struct mg_sessions *sessions, struct mg_app *app)
{
	struct mg_region *region = mg_container_of(app, struct mg_region, app);

	MG_ASSERT(region->nr_sessions == 0 && region->nr_guards == 0);
	drop_region(sessions, region);
}

void mg_sessions_close(struct mg_sessions *sessions)
{
	if (sessions->ids == NULL)
		return;
	MG_LIST_FOREACH_SAFE(it, &sessions->regions)
		drop_region(sessions, mg_container_of(it, struct mg_region, node));
	free(sessions->ids);
	sessions->ids = NULL;
}
