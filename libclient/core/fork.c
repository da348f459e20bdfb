/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork.c - what a forked child must not do with its parent's clients.
 *
 * Idea:    a list of all clients of the process. In a child each is dead at once: the attach socket is closed, or the
 *          daemon would take the parent for alive as long as the child lives; locks that vanished threads may hold
 *          are new; every call returns -ECONNRESET and touches nothing of the shared memory. Who wants more uses
 *          share.h.
 * Threads: the list has a lock, which is held over fork(). vfork() and clone() without handlers are the caller's care.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "libclient/core/attach.h"
#include "libclient/core/client_list.h"
#include "libclient/core/ctx.h"
#include "libclient/core/share.h"
#include "libclient/core/transport_local.h"

static struct {
	pthread_mutex_t lock;
	pthread_once_t once;
	struct mg_client *first;
} all = { .lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT };

static void before(void)
{
	pthread_mutex_lock(&all.lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&all.lock);
}

/* Nobody else runs here, and nobody who waited came along. */
static void renew_ctx(struct mg_ctx *ctx)
{
	pthread_mutex_init(&ctx->lock, NULL);
	pthread_mutex_init(&ctx->bell_lock, NULL);
	mg_list_init(&ctx->waiters);
	ctx->led_seq = NULL;
	ctx->leader_sleeps = false;
}

static void orphan(struct mg_client *client)
{
	atomic_store_explicit(&client->dead, 1, memory_order_relaxed);
	pthread_mutex_init(&client->lock, NULL);
	for (struct mg_ctx *ctx = client->contexts; ctx != NULL; ctx = ctx->next_of_client)
		renew_ctx(ctx);
	if (client->local != NULL)
		mg_transport_local_orphan(client->local);
	else if (client->ops == &mg_transport_local_ops && client->control != NULL)
		mg_transport_local_orphan(client->control);
	client->attach_fd = -1;
	client->is_orphan = true;
}

static void in_child(void)
{
	pthread_mutex_init(&all.lock, NULL);
	for (struct mg_client *client = all.first; client != NULL; client = client->next)
		orphan(client);
}

static void watch_forks(void)
{
	(void)pthread_atfork(before, in_parent, in_child); /* no memory: then forks go unwatched */
}

void mg_client_list_add(struct mg_client *client)
{
	(void)pthread_once(&all.once, watch_forks); /* cannot fail */
	pthread_mutex_lock(&all.lock);
	client->next = all.first;
	all.first = client;
	pthread_mutex_unlock(&all.lock);
}

void mg_client_list_remove(struct mg_client *client)
{
	pthread_mutex_lock(&all.lock);
	for (struct mg_client **link = &all.first; *link != NULL; link = &(*link)->next) {
		if (*link == client) {
			*link = client->next;
			break;
		}
	}
	pthread_mutex_unlock(&all.lock);
}

void mg_client_forget(struct mg_client *client)
{
	struct mg_ctx *ctx;

	if (!client->is_orphan)
		orphan(client); /* a child that no handler saw */
	for (struct mg_client **link = &all.first; *link != NULL; link = &(*link)->next) {
		if (*link == client) {
			*link = client->next;
			break;
		}
	}
	while ((ctx = client->contexts) != NULL) {
		client->contexts = ctx->next_of_client;
		mg_ctx_forget(ctx);
	}
	client->idle = NULL;
	mg_attach_undo(client);
	if (client->ops == &mg_transport_local_ops)
		client->ops->close(client->control);
	free(client); /* gRPC's part stays: its threads are gone, and it cannot be closed without them */
}
