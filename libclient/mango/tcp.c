/* SPDX-License-Identifier: Apache-2.0 */
/* tcp.c - mango_tcp_*(): contexts, and the loop over many sockets. */
#include <errno.h>
#include <stdlib.h>

#include "libclient/core/clock.h"
#include "libclient/mango/handle.h"
#include "libclient/mango/mirror.h"

mango_status_e mango_tcp_create(mango_tcp_h *ret_tcp)
{
	struct mg_tcp *tcp;

	if (ret_tcp == NULL)
		return -EFAULT;
	*ret_tcp = NULL;
	tcp = calloc(1, sizeof(*tcp));
	if (tcp == NULL)
		return -ENOMEM;
	pthread_mutex_init(&tcp->lock, NULL);
	tcp->magic = MG_MAGIC_TCP;
	*ret_tcp = tcp;
	return MANGO_STATUS_OK;
}

mango_status_e mango_tcp_create_ipc(mango_ipc_h ipc, mango_tcp_h *ret_tcp)
{
	mango_status_e err = mango_tcp_create(ret_tcp);

	if (err != MANGO_STATUS_OK)
		return err;
	err = mango_tcp_set_ipc(*ret_tcp, ipc);
	if (err != MANGO_STATUS_OK) {
		(void)mango_tcp_destroy(*ret_tcp); /* nothing is open on it */
		*ret_tcp = NULL;
	}
	return err;
}

mango_status_e mango_tcp_set_ipc(mango_tcp_h h, mango_ipc_h ipc_h)
{
	struct mg_tcp *tcp = mg_tcp_of(h);
	struct mg_ipc *ipc = mg_ipc_of(ipc_h);
	int err = 0;

	if (tcp == NULL || ipc == NULL)
		return -EBADF;
	pthread_mutex_lock(&tcp->lock);
	if (tcp->ctx == NULL) {
		err = mg_ctx_open(ipc->client, &tcp->ctx);
		if (err == 0)
			mg_queue_init(&tcp->polled, tcp->ctx);
	} else if (tcp->ctx->client != ipc->client) {
		err = -EBUSY;
	}
	pthread_mutex_unlock(&tcp->lock);
	return err;
}

mango_status_e mango_tcp_destroy(mango_tcp_h h)
{
	struct mg_tcp *tcp = mg_tcp_of(h);

	if (h == NULL)
		return MANGO_STATUS_OK;
	if (tcp == NULL)
		return -EBADF;
	if (atomic_load(&tcp->nr_sockets) != 0)
		return -EBUSY;
	tcp->magic = 0;
	mg_mirror_stop(tcp);
	if (tcp->ctx != NULL)
		mg_ctx_close(tcp->ctx);
	pthread_mutex_destroy(&tcp->lock);
	free(tcp);
	return MANGO_STATUS_OK;
}

/* Locked. Looks at each watch of the queue once; those that are ready stay on it, behind the others. */
static int collect(struct mg_tcp *tcp, struct mango_event *events, int max)
{
	struct mg_list_node *node;
	struct mg_list again;
	int n = 0;

	mg_list_init(&again);
	while (n < max && (node = mg_list_pop_front(&tcp->polled.ready)) != NULL) {
		struct mg_watch *watch = mg_container_of(node, struct mg_watch, in_queue);
		struct mg_socket *sock = mg_container_of(watch, struct mg_socket, watch);
		uint32_t always = MANGO_EVENT_ERR | MANGO_EVENT_HUP;
		uint32_t ready = mg_socket_ready(sock, sock->interest) & (sock->interest | always);

		if (ready == 0)
			continue;
		events[n++] = (struct mango_event){ sock, sock->user_data, ready };
		mg_list_push_back(&again, node);
	}
	while ((node = mg_list_pop_front(&again)) != NULL)
		mg_list_push_back(&tcp->polled.ready, node);
	return n;
}

static int poll_once(struct mg_tcp *tcp, struct mango_event *events, int max)
{
	int n;

	mg_ctx_lock(tcp->ctx);
	(void)mg_ctx_dispatch(tcp->ctx); /* the queue tells */
	n = collect(tcp, events, max);
	mg_ctx_unlock(tcp->ctx);
	return n;
}

mango_status_e mango_tcp_poll(mango_tcp_h h, struct mango_event *events, int max, int timeout_ms,
			      int *ret_n)
{
	struct mg_tcp *tcp = mg_tcp_of(h);
	uint64_t deadline_ns = 0;
	uint32_t key;
	int err;

	if (tcp == NULL)
		return -EBADF;
	if (events == NULL || ret_n == NULL)
		return -EFAULT;
	if (max < 1)
		return -EINVAL;
	*ret_n = 0;
	if (tcp->ctx == NULL)
		return -ENOTCONN;
	mg_ctx_flush(tcp->ctx);
	for (;;) {
		if (mg_client_probe(tcp->ctx->client))
			return -ECONNRESET;
		key = mg_ctx_key(&tcp->polled.seq);
		*ret_n = poll_once(tcp, events, max);
		if (*ret_n > 0)
			return MANGO_STATUS_OK;
		if (timeout_ms == 0)
			return MANGO_STATUS_OK;
		if (deadline_ns == 0)
			deadline_ns = mg_clock_deadline(timeout_ms);
		err = mg_ctx_wait(tcp->ctx, &tcp->polled.seq, key, deadline_ns);
		if (err == -ETIMEDOUT)
			return MANGO_STATUS_OK;
		if (err < 0)
			return err;
	}
}

mango_status_e mango_tcp_set_batching(mango_tcp_h h, bool on)
{
	struct mg_tcp *tcp = mg_tcp_of(h);

	if (tcp == NULL)
		return -EBADF;
	if (tcp->ctx == NULL)
		return -ENOTCONN;
	mg_ctx_set_batching(tcp->ctx, on);
	return MANGO_STATUS_OK;
}

mango_status_e mango_tcp_flush(mango_tcp_h h)
{
	struct mg_tcp *tcp = mg_tcp_of(h);

	if (tcp == NULL)
		return -EBADF;
	if (tcp->ctx == NULL)
		return -ENOTCONN;
	mg_ctx_flush(tcp->ctx);
	return MANGO_STATUS_OK;
}
