/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.c - see request.h.
 */
#include "daemon/request.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mg_request *mg_request_new(void)
{
	struct mg_request *request = malloc(sizeof(*request));

	if (request == NULL)
		return NULL;
	memset(request, 0, offsetof(struct mg_request, msg) + sizeof(request->msg.hdr));
	mg_list_node_init(&request->node);
	return request;
}

void mg_request_free(struct mg_request *request)
{
	free(request);
}

void mg_request_fail(struct mg_request *request, int status, const char *text)
{
	struct mg_ctl_hdr old = request->msg.hdr;

	mg_ctl_init(&request->msg, (uint16_t)(old.type | MG_CTL_REPLY), old.id, 0);
	request->msg.hdr.status = status;
	(void)snprintf(request->msg.hdr.text, sizeof(request->msg.hdr.text), "%s", /* cut is fine */
		       text != NULL ? text : strerror(-status));
}

int mg_request_queue_init(struct mg_request_queue *queue)
{
	queue->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (queue->wake_fd < 0)
		return -errno;
	mg_list_init(&queue->list);
	(void)pthread_mutex_init(&queue->lock, NULL); /* cannot fail without attributes */
	return 0;
}

void mg_request_queue_close(struct mg_request_queue *queue)
{
	if (queue->wake_fd < 0)
		return;
	close(queue->wake_fd);
	queue->wake_fd = -1;
	(void)pthread_mutex_destroy(&queue->lock); /* nobody holds it */
}

void mg_request_queue_push(struct mg_request_queue *queue, struct mg_request *request)
{
	uint64_t one = 1;
	bool was_empty;

	pthread_mutex_lock(&queue->lock);
	was_empty = mg_list_is_empty(&queue->list);
	mg_list_push_back(&queue->list, &request->node);
	pthread_mutex_unlock(&queue->lock);
	if (was_empty)
		(void)!write(queue->wake_fd, &one, sizeof(one)); /* EAGAIN: it is readable anyway */
}

void mg_request_queue_take(struct mg_request_queue *queue, struct mg_list *list)
{
	struct mg_list_node *node;
	uint64_t count;

	(void)!read(queue->wake_fd, &count, sizeof(count)); /* EAGAIN: nothing to reset */
	pthread_mutex_lock(&queue->lock);
	while ((node = mg_list_pop_front(&queue->list)) != NULL)
		mg_list_push_back(list, node);
	pthread_mutex_unlock(&queue->lock);
}
