/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/core/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/core/conn.h"

#define CREDITS_MIN 16u
#define CREDITS_MAX 512u
#define CREDITS_SHARED 4u /* so that a process that is busy hoards none */

static struct mg_lst *find(struct mg_ctx *ctx, uint64_t cookie)
{
	MG_LIST_FOREACH(it, &ctx->listeners) {
		struct mg_lst *lst = mg_container_of(it, struct mg_lst, node);

		if (lst->cookie == cookie)
			return lst;
	}
	return NULL;
}

/*
 * Takes an offered connection: from now on it is ours alone, neither another process' nor the daemon's. The window may
 * have been used anew since the entry was sent: then *gen is told. False: somebody else has it.
 */
static bool claim(const struct mg_ctx *ctx, uint32_t index, uint32_t *gen)
{
	struct mg_shm_window *shm = &ctx->client->windows[index];

	/* acquire: state orders gen */
	if (atomic_load_explicit(&shm->state, memory_order_acquire) == MG_SHM_ST_FREE ||
	    shm->gen != *gen || !mg_window_claim(shm))
		return false;
	*gen = shm->gen;
	return true;
}

/* A connection that nobody wants. Locked. */
static void reset(struct mg_ctx *ctx, uint32_t index, uint32_t gen)
{
	if (!mg_client_is_dead(ctx->client) && claim(ctx, index, &gen))
		mg_ctx_reset(ctx, index, gen);
}

static int grow(struct mg_lst *lst)
{
	uint32_t size = lst->size * 2;
	struct mg_lst_entry *queue = calloc(size, sizeof(*queue));

	if (queue == NULL)
		return -ENOMEM;
	for (uint32_t i = lst->head; i != lst->tail; i++)
		queue[i & (size - 1)] = lst->queue[i & (lst->size - 1)];
	free(lst->queue);
	lst->queue = queue;
	lst->size = size;
	return 0;
}

/* Is this use of the window already known here, or let go? (After lost entries windows are looked through.) */
static bool is_known(const struct mg_ctx *ctx, uint32_t index, uint32_t gen)
{
	const struct mg_slot *slot = &ctx->slots[index];
	uint32_t flags = atomic_load_explicit(&ctx->client->windows[index].a_flags,
					      memory_order_relaxed);

	return slot->queued == gen + 1ull || slot->conn != NULL ||
	       (flags & (MG_SHM_AF_CLOSE | MG_SHM_AF_ABORT)) != 0;
}

void mg_lst_on_accepted(struct mg_ctx *ctx, uint64_t cookie, uint32_t index, uint32_t gen)
{
	struct mg_lst *lst = find(ctx, cookie);

	if (index >= ctx->client->nr_windows || cookie >= MG_COOKIE_CONNECT ||
	    is_known(ctx, index, gen))
		return;
	/* Of a shared listener that we have left: the daemon takes it back, for others. */
	if (lst == NULL && ctx->has_left)
		return;
	if (lst == NULL || (lst->tail - lst->head == lst->size && grow(lst) < 0)) {
		reset(ctx, index, gen);
		return;
	}
	ctx->slots[index].queued = gen + 1ull;
	lst->queue[lst->tail++ & (lst->size - 1)] = (struct mg_lst_entry){ index, gen };
	mg_ctx_changed(&lst->src);
}

void mg_lst_on_ended(struct mg_ctx *ctx, uint64_t cookie, int error)
{
	struct mg_lst *lst = find(ctx, cookie);

	if (lst == NULL)
		return;
	lst->error = error < 0 ? error : -ECONNABORTED;
	mg_ctx_changed(&lst->src);
}

/* Tells the daemon that `credits` more connections may be announced. */
static int grant(struct mg_lst *lst, uint32_t credits, uint32_t flags)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_ACCEPT, 1);
	int err;

	if (msg == NULL)
		return -ENOMEM;
	msg->accept[0].listener = lst->id;
	msg->accept[0].credits = credits;
	msg->accept[0].context = lst->src.ctx->index;
	msg->accept[0].flags = flags;
	err = mg_client_send(lst->src.ctx->client, msg);
	free(msg);
	return err;
}

static int request_listen(struct mg_lst *lst, const struct mg_lst_params *params)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_LISTEN, 1);
	struct mg_ctl_listen *item;
	int err;

	if (msg == NULL)
		return -ENOMEM;
	item = &msg->listen[0];
	item->addr = params->addr;
	item->port = params->port;
	item->flags = (uint16_t)((params->reuseport ? MG_CTL_LISTEN_REUSEPORT : 0) |
				 (params->v6only ? MG_CTL_LISTEN_V6ONLY : 0) |
				 (params->fastopen_no_cookie ? MG_CTL_LISTEN_TFO_NO_COOKIE : 0));
	item->fastopen = params->fastopen;
	item->backlog = params->backlog;
	item->context = lst->src.ctx->index;
	item->rcvbuf_bytes = params->rcvbuf_bytes;
	item->sndbuf_bytes = params->sndbuf_bytes;
	memcpy(item->congestion, params->congestion, sizeof(item->congestion));
	item->ttl = params->ttl;
	item->tos = params->tos;
	item->defer_s = params->defer_s;
	item->cookie = lst->cookie;
	err = mg_client_request(lst->src.ctx->client, msg);
	if (err == 0 && msg->hdr.count != 1)
		err = -EPROTO;
	lst->id = item->listener;
	lst->addr = item->addr;
	lst->port = item->port;
	free(msg);
	return err;
}

int mg_lst_set_option(struct mg_lst *lst, uint32_t option, int64_t value)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_SET_OPTION, 1);
	int err;

	if (msg == NULL)
		return -ENOMEM;
	memset(&msg->opt[0], 0, sizeof(msg->opt[0]));
	msg->opt[0].window = lst->id;
	msg->opt[0].option = option;
	msg->opt[0].value = value;
	err = mg_client_request(lst->src.ctx->client, msg);
	if (err == 0 && msg->hdr.count == 1 && msg->opt[0].status < 0)
		err = msg->opt[0].status;
	free(msg);
	return err;
}

static void request_close(struct mg_lst *lst)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_LISTEN_CLOSE, 1);

	if (msg == NULL)
		return;
	msg->listener[0].listener = lst->id;
	(void)mg_client_request(lst->src.ctx->client, msg); /* gone is gone; a refusal was logged */
	free(msg);
}

static void leave(struct mg_lst *lst)
{
	struct mg_ctx *ctx = lst->src.ctx;

	mg_ctx_lock(ctx);
	(void)mg_ctx_dispatch(ctx); /* what was announced meanwhile is to be reset too */
	mg_list_remove(&lst->node);
	while (lst->head != lst->tail) {
		struct mg_lst_entry e = lst->queue[lst->head++ & (lst->size - 1)];

		reset(ctx, e.index, e.gen);
	}
	mg_ctx_unlock(ctx);
	free(lst->queue);
	free(lst);
}

static struct mg_lst *lst_new(struct mg_ctx *ctx, uint32_t credits)
{
	struct mg_lst *lst = calloc(1, sizeof(*lst));

	if (lst == NULL)
		return NULL;
	mg_source_init(&lst->src, ctx);
	mg_list_node_init(&lst->node);
	lst->credits = credits;
	lst->size = mg_pow2_up_u32(credits);
	lst->queue = calloc(lst->size, sizeof(*lst->queue));
	if (lst->queue == NULL) {
		free(lst);
		return NULL;
	}
	return lst;
}

int mg_lst_open(struct mg_ctx *ctx, const struct mg_lst_params *params, struct mg_lst **ret_lst)
{
	struct mg_lst *lst = lst_new(ctx, mg_clamp_u32(params->backlog, CREDITS_MIN, CREDITS_MAX));
	int err;

	if (lst == NULL)
		return -ENOMEM;
	mg_ctx_lock(ctx);
	lst->cookie = ctx->next_cookie++;
	mg_list_push_back(&ctx->listeners, &lst->node);
	mg_ctx_unlock(ctx);
	err = request_listen(lst, params);
	if (err == 0) {
		err = grant(lst, lst->credits, 0);
		if (err < 0)
			request_close(lst);
	}
	if (err < 0) {
		leave(lst);
		return err;
	}
	*ret_lst = lst;
	return 0;
}

/* Locked. What waits here is not ours any more: the daemon gives it to others. */
static void forget_queue(struct mg_lst *lst)
{
	while (lst->head != lst->tail) {
		struct mg_lst_entry e = lst->queue[lst->head++ & (lst->size - 1)];

		lst->src.ctx->slots[e.index].queued = 0; /* it may come again */
	}
}

/* Locked. */
static void pause_locked(struct mg_lst *lst)
{
	if (lst->paused || lst->error != 0 || mg_client_is_dead(lst->src.ctx->client))
		return;
	if (grant(lst, 0, MG_CTL_ACCEPT_RETURN) < 0)
		return; /* the socket is full: they stay ours */
	lst->paused = true;
	lst->taken = 0;
	forget_queue(lst);
}

/* Locked. */
static void resume_locked(struct mg_lst *lst)
{
	if (lst->paused && lst->error == 0 && grant(lst, lst->credits, 0) == 0)
		lst->paused = false;
}

void mg_lst_pause(struct mg_lst *lst)
{
	mg_ctx_lock(lst->src.ctx);
	pause_locked(lst);
	mg_ctx_unlock(lst->src.ctx);
}

void mg_lst_share(struct mg_lst *lst)
{
	mg_ctx_lock(lst->src.ctx);
	lst->guarded = true;
	lst->credits = CREDITS_SHARED;
	pause_locked(lst);
	/* Who sleeps on it, or has looked before, wants connections still: the next look says so to the daemon. */
	mg_ctx_changed(&lst->src);
	mg_ctx_unlock(lst->src.ctx);
}

int mg_lst_adopt(struct mg_ctx *ctx, const struct mg_ctl_guard *guard, struct mg_lst **ret_lst)
{
	struct mg_lst *lst;

	mg_ctx_lock(ctx);
	lst = find(ctx, guard->cookie);
	mg_ctx_unlock(ctx);
	if (lst != NULL)
		return -EEXIST;
	lst = lst_new(ctx, CREDITS_SHARED);
	if (lst == NULL)
		return -ENOMEM;
	lst->id = guard->id;
	lst->cookie = guard->cookie;
	lst->addr = guard->addr;
	lst->port = guard->port;
	lst->guarded = true;
	lst->paused = true; /* until somebody wants a connection */
	mg_ctx_lock(ctx);
	mg_list_push_back(&ctx->listeners, &lst->node);
	mg_ctx_unlock(ctx);
	*ret_lst = lst;
	return 0;
}

/* Whatever was offered to us, or is on its way, goes to others; nothing more is offered. */
static void give_all_back(struct mg_lst *lst)
{
	struct mg_ctx *ctx = lst->src.ctx;
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_ACCEPT, 1);

	if (msg == NULL)
		return; /* they go when the process does */
	msg->accept[0].listener = lst->id;
	msg->accept[0].context = ctx->index;
	msg->accept[0].flags = MG_CTL_ACCEPT_RETURN;
	(void)mg_client_request(ctx->client, msg); /* gone is gone */
	free(msg);
}

void mg_lst_drop(struct mg_lst *lst)
{
	struct mg_ctx *ctx = lst->src.ctx;

	mg_ctx_lock(ctx);
	ctx->has_left = true;
	mg_list_remove(&lst->node);
	forget_queue(lst);
	mg_ctx_unlock(ctx);
	if (!lst->paused && lst->error == 0)
		give_all_back(lst);
	free(lst->queue);
	free(lst);
}

void mg_lst_close(struct mg_lst *lst)
{
	if (lst->guarded) {
		mg_lst_drop(lst);
		return;
	}
	if (lst->error == 0)
		request_close(lst);
	leave(lst);
}

/* Locked. How many credits to give back now; they count as given. */
static uint32_t credits_due(struct mg_lst *lst)
{
	uint32_t due = lst->taken;

	if (due < lst->credits / 2)
		return 0;
	lst->taken = 0;
	return due;
}

/* Locked. 0; -EAGAIN: it went elsewhere; -ENOMEM: it was reset. */
static int take_one(struct mg_lst *lst, struct mg_conn **ret_conn)
{
	struct mg_ctx *ctx = lst->src.ctx;
	struct mg_lst_entry e = lst->queue[lst->head++ & (lst->size - 1)];
	int err;

	lst->taken++;
	if (!claim(ctx, e.index, &e.gen)) {
		ctx->slots[e.index].queued = 0; /* taken back, or another's; it may come again */
		return -EAGAIN;
	}
	err = mg_conn_adopt(ctx, e.index, e.gen, ret_conn);
	if (err < 0)
		mg_ctx_reset(ctx, e.index, e.gen);
	return err == -ESTALE ? -EAGAIN : err;
}

int mg_lst_accept(struct mg_lst *lst, struct mg_conn **ret_conn)
{
	struct mg_ctx *ctx = lst->src.ctx;
	uint32_t due;
	int err = -EAGAIN;

	if (mg_client_is_dead(ctx->client))
		return -ECONNRESET;
	mg_ctx_lock(ctx);
	if (lst->head == lst->tail)
		(void)mg_ctx_dispatch(ctx); /* the queue tells */
	while (lst->head != lst->tail && err < 0)
		err = take_one(lst, ret_conn);
	if (err < 0)
		resume_locked(lst);
	if (err == -EAGAIN && lst->error != 0)
		err = lst->error;
	due = credits_due(lst);
	mg_ctx_unlock(ctx);
	if (due > 0 && grant(lst, due, 0) < 0) {
		mg_ctx_lock(ctx);
		lst->taken += due; /* with the next one */
		mg_ctx_unlock(ctx);
	}
	if (err == -EAGAIN && mg_client_probe(ctx->client))
		err = -ECONNRESET;
	return err;
}

uint32_t mg_lst_ready(struct mg_lst *lst)
{
	if (mg_unlikely(lst->paused))
		resume_locked(lst);
	return lst->head != lst->tail || lst->error != 0 || mg_client_is_dead(lst->src.ctx->client)
		       ? MG_READY_IN
		       : 0;
}
