/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closer.c - see closer.h.
 */
#include "daemon/closer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/bits.h"
#include "proto/base/list.h"
#include "proto/base/time.h"

#define STUCK_NS (20 * MG_NS_PER_MS) /* longer than this no close of a decent file takes */
#define LEAVE_MS 200

struct item {
	struct mg_list_node node;
	int fd;
	uid_t uid;
};

struct mg_closer {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* something was pushed, or it ends */
	struct mg_list queue; /* waiting */
	struct mg_list busy;  /* being closed */
	uint32_t nr_threads;
	uint32_t nr_idle;
	uint64_t progress_ns; /* when a close was begun or done */
	bool is_ending;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
	return (uint64_t)ts.tv_sec * MG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Lock held; returns with it held. */
static void close_one(struct mg_closer *closer, struct mg_list_node *node)
{
	struct item *item = mg_container_of(node, struct item, node);

	mg_list_push_back(&closer->busy, &item->node);
	closer->progress_ns = now_ns();
	pthread_mutex_unlock(&closer->lock);
	(void)close(item->fd); /* not ours: whatever it says */
	pthread_mutex_lock(&closer->lock);
	closer->progress_ns = now_ns();
	mg_list_remove(&item->node);
	free(item);
}

static void *run(void *arg)
{
	struct mg_closer *closer = arg;
	struct mg_list_node *node;

	pthread_mutex_lock(&closer->lock);
	for (;;) {
		node = mg_list_pop_front(&closer->queue);
		if (node != NULL) {
			close_one(closer, node);
			continue;
		}
		if (closer->is_ending)
			break;
		closer->nr_idle++;
		pthread_cond_wait(&closer->work, &closer->lock);
		closer->nr_idle--;
	}
	closer->nr_threads--;
	pthread_mutex_unlock(&closer->lock);
	return NULL;
}

/* Lock held. */
static void start_thread(struct mg_closer *closer)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;

	(void)sigfillset(&all); /* nor do these fail */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, run, closer) == 0) /* else: at the next push */
		closer->nr_threads++;
	(void)pthread_attr_destroy(&attr);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int mg_closer_new(struct mg_closer **ret_closer)
{
	struct mg_closer *closer = calloc(1, sizeof(*closer));

	if (closer == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&closer->lock, NULL); /* cannot fail without attributes */
	(void)pthread_cond_init(&closer->work, NULL);
	mg_list_init(&closer->queue);
	mg_list_init(&closer->busy);
	*ret_closer = closer;
	return 0;
}

static bool all_gone(struct mg_closer *closer)
{
	bool gone;

	pthread_mutex_lock(&closer->lock);
	closer->is_ending = true;
	pthread_cond_broadcast(&closer->work);
	gone = closer->nr_threads == 0;
	pthread_mutex_unlock(&closer->lock);
	return gone;
}

void mg_closer_free(struct mg_closer *closer)
{
	struct mg_list_node *node;

	if (closer == NULL)
		return;
	for (int i = 0; i < LEAVE_MS && !all_gone(closer); i++)
		(void)usleep(1000);
	if (!all_gone(closer))
		return; /* they hang: the process ends without them */
	while ((node = mg_list_pop_front(&closer->queue)) != NULL) {
		struct item *item = mg_container_of(node, struct item, node);

		(void)close(item->fd); /* no thread could be had */
		free(item);
	}
	(void)pthread_cond_destroy(&closer->work);
	(void)pthread_mutex_destroy(&closer->lock);
	free(closer);
}

void mg_closer_push(struct mg_closer *closer, int fd_take, uid_t uid)
{
	struct item *item = malloc(sizeof(*item));
	bool is_stuck;

	if (item == NULL) {
		(void)close(fd_take); /* the lesser evil */
		return;
	}
	*item = (struct item){ .fd = fd_take, .uid = uid };
	mg_list_node_init(&item->node);
	pthread_mutex_lock(&closer->lock);
	mg_list_push_back(&closer->queue, &item->node);
	is_stuck = closer->nr_idle == 0 && now_ns() - closer->progress_ns > STUCK_NS;
	if (closer->nr_threads == 0 || (is_stuck && closer->nr_threads < MG_CLOSER_THREADS_MAX))
		start_thread(closer);
	pthread_cond_signal(&closer->work);
	pthread_mutex_unlock(&closer->lock);
}

static uint32_t count(const struct mg_list *list, uid_t uid)
{
	uint32_t n = 0;

	MG_LIST_FOREACH(it, list)
		n += mg_container_of(it, struct item, node)->uid == uid;
	return n;
}

bool mg_closer_is_choked(struct mg_closer *closer, uid_t uid)
{
	uint32_t n;

	pthread_mutex_lock(&closer->lock);
	n = count(&closer->queue, uid) + count(&closer->busy, uid);
	pthread_mutex_unlock(&closer->lock);
	return n >= MG_CLOSER_PENDING_MAX;
}

uint32_t mg_closer_pending(struct mg_closer *closer)
{
	uint32_t n = 0;

	pthread_mutex_lock(&closer->lock);
	MG_LIST_FOREACH(it, &closer->queue)
		n++;
	MG_LIST_FOREACH(it, &closer->busy)
		n++;
	pthread_mutex_unlock(&closer->lock);
	return n;
}
