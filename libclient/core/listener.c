/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/core/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/core/conn.h"

#define CREDITS_MIN 16u
#define CREDITS_MAX 512u

static struct mg_lst *find(struct mg_ctx *ctx, uint64_t cookie)
{
	MG_LIST_FOREACH(it, &ctx->listeners) {
		struct mg_lst *lst = mg_container_of(it, struct mg_lst, node);

		if (lst->cookie == cookie)
			return lst;
	}
	return NULL;
}

/* A connection that nobody wants. Locked. */
static void reset(struct mg_ctx *ctx, uint32_t index, uint32_t gen)
{
	struct mg_client *client = ctx->client;
	struct mg_window w;

	if (mg_window_bind(&w, client->region, client->region_bytes, &client->windows[index], index,
			   gen) < 0 ||
	    w.worker >= client->nr_workers)
		return;
	mg_window_set(&w, MG_SHM_AF_ABORT);
	mg_ctx_ring_last(ctx, &w);
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
static int grant(struct mg_lst *lst, uint32_t credits)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_ACCEPT, 1);
	int err;

	if (msg == NULL)
		return -ENOMEM;
	msg->accept[0].listener = lst->id;
	msg->accept[0].credits = credits;
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
				 (params->v6only ? MG_CTL_LISTEN_V6ONLY : 0));
	item->backlog = params->backlog;
	item->context = lst->src.ctx->index;
	item->rcvbuf_bytes = params->rcvbuf_bytes;
	item->sndbuf_bytes = params->sndbuf_bytes;
	memcpy(item->congestion, params->congestion, sizeof(item->congestion));
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

int mg_lst_open(struct mg_ctx *ctx, const struct mg_lst_params *params, struct mg_lst **ret_lst)
{
	struct mg_lst *lst = calloc(1, sizeof(*lst));
	int err;

	if (lst == NULL)
		return -ENOMEM;
	mg_source_init(&lst->src, ctx);
	mg_list_node_init(&lst->node);
	lst->credits = mg_clamp_u32(params->backlog, CREDITS_MIN, CREDITS_MAX);
	lst->size = mg_pow2_up_u32(lst->credits);
	lst->queue = calloc(lst->size, sizeof(*lst->queue));
	if (lst->queue == NULL) {
		free(lst);
		return -ENOMEM;
	}
	mg_ctx_lock(ctx);
	lst->cookie = ctx->next_cookie++;
	mg_list_push_back(&ctx->listeners, &lst->node);
	mg_ctx_unlock(ctx);
	err = request_listen(lst, params);
	if (err == 0) {
		err = grant(lst, lst->credits);
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

void mg_lst_close(struct mg_lst *lst)
{
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
	while (lst->head != lst->tail && err < 0) {
		struct mg_lst_entry e = lst->queue[lst->head++ & (lst->size - 1)];

		lst->taken++;
		err = mg_conn_adopt(ctx, e.index, e.gen, ret_conn);
	}
	if (err == -EAGAIN && lst->error != 0)
		err = lst->error;
	due = credits_due(lst);
	mg_ctx_unlock(ctx);
	if (due > 0 && grant(lst, due) < 0) {
		mg_ctx_lock(ctx);
		lst->taken += due; /* with the next one */
		mg_ctx_unlock(ctx);
	}
	if (err == -EAGAIN && mg_client_probe(ctx->client))
		err = -ECONNRESET;
	return err;
}

uint32_t mg_lst_ready(const struct mg_lst *lst)
{
	return lst->head != lst->tail || lst->error != 0 || mg_client_is_dead(lst->src.ctx->client)
		       ? MG_READY_IN
		       : 0;
}
