/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.c - opening and closing, dispatch of events, watches. Waiting is in wait.c, doorbells in bell.c. */
#include "libclient/core/ctx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libclient/core/conn.h"
#include "libclient/core/listener.h"
#include "proto/base/sleep.h"

/* Entries popped from one ring under one hold of the lock. */
#define DISPATCH_BUDGET 512u

/* A context that another process had before goes on where it left its rings. */
static uint32_t head_of(const void *ring)
{
	return atomic_load_explicit(&((const struct mg_spsc_shared *)ring)->head,
				    memory_order_relaxed);
}

static uint32_t tail_of(const void *ring)
{
	return atomic_load_explicit(&((const struct mg_spsc_shared *)ring)->tail,
				    memory_order_relaxed);
}

static void bind_rings(struct mg_ctx *ctx)
{
	struct mg_client *c = ctx->client;
	const struct mg_shm_section *ev = &c->sections[MG_SHM_SEC_EVENTS];
	const struct mg_shm_section *db = &c->sections[MG_SHM_SEC_DOORBELLS];

	for (uint32_t p = 0; p <= c->nr_workers; p++) {
		uint8_t *ring = c->region + ev->off +
				ev->stride * (ctx->index * (c->nr_workers + 1) + p);

		mg_spsc_attach_consumer(&ctx->events[p], ring, ev->entries,
					sizeof(struct mg_shm_event), head_of(ring));
	}
	for (uint32_t w = 0; w < c->nr_workers; w++) {
		uint8_t *ring = c->region + db->off + db->stride * (ctx->index * c->nr_workers + w);

		mg_spsc_attach_producer(&ctx->bells[w], ring, db->entries,
					sizeof(struct mg_shm_doorbell), tail_of(ring));
	}
}

/* The daemon's half: number and wake-ups. */
static int open_context(struct mg_ctx *ctx, uint32_t nr_contexts)
{
	int err = mg_client_context_open(ctx->client, &ctx->index, &ctx->event_fd);

	if (err < 0)
		return err;
	ctx->kick_fd = -1;
	if (ctx->index >= nr_contexts)
		err = -EPROTO;
	else if ((ctx->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		err = -errno;
	if (err < 0)
		close(ctx->event_fd);
	return err;
}

static int ctx_new(struct mg_client *client, struct mg_ctx **ret_ctx)
{
	const struct mg_shm_section *sec = &client->sections[MG_SHM_SEC_CONTEXTS];
	struct mg_ctx *ctx = calloc(1, sizeof(*ctx));
	int err;

	if (ctx == NULL)
		return -ENOMEM;
	ctx->client = client;
	ctx->slots = calloc(client->nr_windows, sizeof(*ctx->slots));
	if (ctx->slots == NULL) {
		free(ctx);
		return -ENOMEM;
	}
	err = open_context(ctx, sec->count);
	if (err < 0) {
		free(ctx->slots);
		free(ctx);
		return err;
	}
	ctx->shm = (struct mg_shm_context *)(void *)(client->region + sec->off +
						     sec->stride * ctx->index);
	ctx->spin_ns = client->env.spin_us * 1000u;
	ctx->spin_now_ns = ctx->spin_ns;
	ctx->life = atomic_load_explicit(&ctx->shm->life, memory_order_acquire);
	mg_sleep_cancel(&ctx->shm->sleeping); /* who had it before may have died asleep */
	ctx->rescan_seen = atomic_load_explicit(&ctx->shm->rescan, memory_order_relaxed);
	/* Listeners are found by cookie: no two of the region, of whatever process, have the same. */
	ctx->next_cookie = ((uint64_t)ctx->index << 24 | (ctx->life & 0xffffff)) << 32 | 1;
	pthread_mutex_init(&ctx->lock, NULL);
	pthread_mutex_init(&ctx->bell_lock, NULL);
	mg_list_init(&ctx->listeners);
	mg_list_init(&ctx->waiters);
	bind_rings(ctx);
	pthread_mutex_lock(&client->lock);
	ctx->next_of_client = client->contexts;
	client->contexts = ctx;
	pthread_mutex_unlock(&client->lock);
	*ret_ctx = ctx;
	return 0;
}

int mg_ctx_open(struct mg_client *client, struct mg_ctx **ret_ctx)
{
	struct mg_ctx *ctx;
	int err;

	err = mg_client_attach(client);
	if (err < 0)
		return err;
	pthread_mutex_lock(&client->lock);
	ctx = client->idle;
	if (ctx != NULL)
		client->idle = ctx->next_idle;
	pthread_mutex_unlock(&client->lock);
	if (ctx == NULL) {
		err = ctx_new(client, &ctx);
		if (err < 0)
			return err;
	}
	(void)mg_client_ref(client);
	*ret_ctx = ctx;
	return 0;
}

void mg_ctx_close(struct mg_ctx *ctx)
{
	struct mg_client *client = ctx->client;

	mg_ctx_set_batching(ctx, false);
	pthread_mutex_lock(&client->lock);
	ctx->next_idle = client->idle;
	client->idle = ctx;
	pthread_mutex_unlock(&client->lock);
	mg_client_put(client);
}

static void leave_client(struct mg_ctx *ctx)
{
	struct mg_ctx **link = &ctx->client->contexts;

	while (*link != ctx)
		link = &(*link)->next_of_client;
	*link = ctx->next_of_client;
}

void mg_ctx_free_idle(struct mg_client *client)
{
	struct mg_ctx *ctx;

	while ((ctx = client->idle) != NULL) {
		client->idle = ctx->next_idle;
		leave_client(ctx);
		close(ctx->event_fd);
		close(ctx->kick_fd);
		pthread_mutex_destroy(&ctx->lock);
		pthread_mutex_destroy(&ctx->bell_lock);
		free(ctx->slots);
		free(ctx);
	}
}

void mg_ctx_forget(struct mg_ctx *ctx)
{
	struct mg_list_node *node;

	for (uint32_t i = 0; i < ctx->client->nr_windows; i++)
		free(ctx->slots[i].conn);
	while ((node = mg_list_pop_front(&ctx->listeners)) != NULL) {
		struct mg_lst *lst = mg_container_of(node, struct mg_lst, node);

		free(lst->queue);
		free(lst);
	}
	close(ctx->event_fd);
	close(ctx->kick_fd);
	free(ctx->slots);
	free(ctx);
}

void mg_ctx_reset(struct mg_ctx *ctx, uint32_t index, uint32_t gen)
{
	struct mg_client *client = ctx->client;
	struct mg_window w;

	if (index >= client->nr_windows || mg_client_is_dead(client) ||
	    mg_window_bind(&w, client->region, client->region_bytes, &client->windows[index], index,
			   gen) < 0 ||
	    w.worker >= client->nr_workers)
		return;
	mg_window_set(&w, MG_SHM_AF_ABORT);
	mg_ctx_ring_last(ctx, &w);
}

void mg_source_init(struct mg_source *source, struct mg_ctx *ctx)
{
	source->ctx = ctx;
	atomic_init(&source->seq, 0);
	mg_list_init(&source->watches);
}

void mg_queue_init(struct mg_queue *queue, struct mg_ctx *ctx)
{
	queue->ctx = ctx;
	queue->source = NULL;
	atomic_init(&queue->seq, 0);
	mg_list_init(&queue->ready);
}

void mg_watch_queue(struct mg_watch *watch)
{
	struct mg_queue *q = watch->queue;

	if (mg_list_is_linked(&watch->in_queue)) {
		if (mg_unlikely(q->source != NULL)) /* nobody may have looked at the queue itself */
			mg_ctx_changed(q->source);
		return;
	}
	mg_list_push_back(&q->ready, &watch->in_queue);
	/* release: pairs with the acquire in mg_ctx_key() */
	atomic_fetch_add_explicit(&q->seq, 1, memory_order_release);
	mg_ctx_wake_waiters(q->ctx, &q->seq);
	if (mg_unlikely(q->source != NULL))
		mg_ctx_changed(q->source);
}

void mg_watch_add(struct mg_watch *watch, struct mg_source *source, struct mg_queue *queue)
{
	watch->source = source;
	watch->queue = queue;
	mg_list_node_init(&watch->in_queue);
	mg_list_push_back(&source->watches, &watch->in_source);
	mg_watch_queue(watch);
}

void mg_watch_remove(struct mg_watch *watch)
{
	if (watch->source == NULL)
		return;
	mg_list_remove(&watch->in_source);
	mg_list_remove(&watch->in_queue);
	watch->source = NULL;
}

void mg_ctx_changed(struct mg_source *source)
{
	/* release: pairs with the acquire in mg_ctx_key() */
	atomic_fetch_add_explicit(&source->seq, 1, memory_order_release);
	mg_ctx_wake_waiters(source->ctx, &source->seq);
	MG_LIST_FOREACH(it, &source->watches)
		mg_watch_queue(mg_container_of(it, struct mg_watch, in_source));
}

static void on_conn(struct mg_ctx *ctx, uint32_t producer, const struct mg_shm_event *ev)
{
	struct mg_conn *conn;

	if (ev->index >= ctx->client->nr_windows)
		return;
	conn = ctx->slots[ev->index].conn;
	/*
	 * No owner yet (the reply to connect is on its way, or nobody accepted it), or an older use of the
	 * window: the dirty word stays set, and is taken when an owner registers.
	 */
	if (conn == NULL || conn->w.gen != ev->gen)
		return;
	mg_window_take(producer == MG_SHM_PRODUCER_SLOW ? &conn->w.shm->s_dirty
							: &conn->w.shm->w_dirty);
	mg_conn_adopt_ring(conn);
	mg_ctx_changed(&conn->src);
}

static void on_event(struct mg_ctx *ctx, uint32_t producer, const struct mg_shm_event *ev)
{
	switch (ev->kind) {
	case MG_SHM_EV_CONN:
		on_conn(ctx, producer, ev);
		break;
	case MG_SHM_EV_ACCEPTED:
		mg_lst_on_accepted(ctx, ev->cookie, ev->index, ev->gen);
		break;
	case MG_SHM_EV_LISTENER:
		mg_lst_on_ended(ctx, ev->cookie, (int32_t)ev->index);
		break;
	default: /* a newer daemon's */
		break;
	}
}

/* Entries were lost: look at every window of ours. */
static void rescan(struct mg_ctx *ctx)
{
	for (uint32_t i = 0; i < ctx->client->nr_windows; i++) {
		struct mg_shm_window *shm = &ctx->client->windows[i];
		struct mg_conn *conn = ctx->slots[i].conn;

		if (conn != NULL) {
			mg_window_take(&shm->s_dirty);
			mg_window_take(&shm->w_dirty);
			mg_ctx_changed(&conn->src);
			continue;
		}
		/* Offered to us, and not only waiting in the daemon's queue. acquire: as for an entry. */
		if (atomic_load_explicit(&shm->claim, memory_order_acquire) ==
			    MG_SHM_CLAIM_OFFERED &&
		    (atomic_load_explicit(&shm->contexts, memory_order_relaxed) >> ctx->index &
		     1) != 0)
			mg_lst_on_accepted(ctx, shm->cookie, i, shm->gen);
	}
}

uint32_t mg_ctx_dispatch(struct mg_ctx *ctx)
{
	struct mg_client *client = ctx->client;
	struct mg_shm_event ev;
	uint32_t total = 0, lost;

	for (uint32_t p = 0; p <= client->nr_workers; p++) {
		uint32_t n = 0;
		int r = 0;

		while (n < DISPATCH_BUDGET && (r = mg_spsc_pop(&ctx->events[p], &ev)) == 1) {
			on_event(ctx, p, &ev);
			n++;
		}
		if (r < 0)
			mg_client_die(client, "it broke an event ring");
		total += n;
	}
	/* acquire: pairs with the release in mg_app_notify() */
	lost = atomic_load_explicit(&ctx->shm->rescan, memory_order_acquire);
	if (mg_unlikely(lost != ctx->rescan_seen)) {
		ctx->rescan_seen = lost;
		rescan(ctx);
		total++;
	}
	return total;
}
