/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - opening, requests, the end. The attachment is in attach.c. */
#include "libclient/core/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libclient/core/address.h"
#include "libclient/core/attach.h"
#include "libclient/core/client_list.h"
#include "libclient/core/ctx.h"
#include "libclient/core/share.h"
#include "libclient/core/transport_local.h"
#include "libclient/core/transport_module.h"

#define CONNECT_TIMEOUT_MS 5000u
#define REQUEST_TIMEOUT_MS 30000u
#define PROBE_EVERY 256u

static const struct mg_transport_params params = {
	.size = sizeof(struct mg_transport_params),
	.connect_timeout_ms = CONNECT_TIMEOUT_MS,
	.request_timeout_ms = REQUEST_TIMEOUT_MS,
};

static int open_control(struct mg_client *client, const struct mg_address *address)
{
	int err;

	client->ops = &mg_transport_local_ops;
	if (address->module[0] != '\0') {
		err = mg_transport_module_load(address->module, client->env.logp, &client->ops);
		if (err < 0)
			return err;
	} else if (strlen(address->target) < sizeof(client->attach_path)) {
		memcpy(client->attach_path, address->target, strlen(address->target) + 1);
	}
	return client->ops->open(address->target, &params, &client->control);
}

static struct mg_client *client_new(void)
{
	struct mg_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->refs = 1;
	client->attach_fd = -1;
	client->first_event_fd = -1;
	pthread_mutex_init(&client->lock, NULL);
	mg_env_read(&client->env);
	return client;
}

int mg_client_open(const char *address, struct mg_client **ret_client)
{
	struct mg_client *client;
	struct mg_address parsed;
	int err;

	err = mg_address_parse(address, &parsed);
	if (err < 0)
		return err;
	client = client_new();
	if (client == NULL)
		return -ENOMEM;
	err = open_control(client, &parsed);
	if (err < 0) {
		mg_log(client->env.logp, MG_LOG_ERROR, "client", "address=%s error=\"%s\"",
		       parsed.target, strerror(-err));
		mg_client_put(client);
		return err;
	}
	mg_client_list_add(client);
	*ret_client = client;
	return 0;
}

int mg_client_open_child_fd(int fd_take, const struct mg_ctl_token *share,
			    struct mg_client **ret_client)
{
	struct mg_client *client = client_new();
	int err;

	if (client == NULL) {
		close(fd_take);
		return -ENOMEM;
	}
	client->ops = &mg_transport_local_ops;
	client->parent = *share;
	mg_transport_local_path(fd_take, client->attach_path, sizeof(client->attach_path));
	err = mg_transport_local_adopt(fd_take, &params, &client->control);
	if (err < 0) {
		mg_client_put(client);
		return err;
	}
	mg_client_list_add(client);
	*ret_client = client;
	return 0;
}

struct mg_client *mg_client_ref(struct mg_client *client)
{
	pthread_mutex_lock(&client->lock);
	client->refs++;
	pthread_mutex_unlock(&client->lock);
	return client;
}

static void destroy(struct mg_client *client)
{
	mg_client_list_remove(client);
	mg_ctx_free_idle(client);
	mg_attach_undo(client);
	if (client->control != NULL)
		client->ops->close(client->control);
	pthread_mutex_destroy(&client->lock);
	free(client);
}

void mg_client_put(struct mg_client *client)
{
	uint32_t left;

	if (client == NULL)
		return;
	pthread_mutex_lock(&client->lock);
	left = --client->refs;
	pthread_mutex_unlock(&client->lock);
	if (left == 0)
		destroy(client);
}

int mg_client_attach(struct mg_client *client)
{
	int err = 0;

	if (mg_client_is_dead(client))
		return -ECONNRESET;
	pthread_mutex_lock(&client->lock);
	if (!client->attached)
		err = mg_attach(client, &params);
	pthread_mutex_unlock(&client->lock);
	return err;
}

int mg_client_context_open(struct mg_client *client, uint32_t *ret_context, int *ret_event_fd)
{
	bool first;

	pthread_mutex_lock(&client->lock);
	first = client->first_event_fd >= 0;
	if (first) {
		*ret_context = client->first_context;
		*ret_event_fd = client->first_event_fd;
		client->first_event_fd = -1;
	}
	pthread_mutex_unlock(&client->lock);
	return first ? 0 : mg_attach_context(client, ret_context, ret_event_fd);
}

struct mg_ctl_msg *mg_client_msg(uint16_t type, uint32_t count)
{
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));

	if (msg != NULL)
		mg_ctl_init(msg, type, 0, count);
	return msg;
}

static void note_refusal(struct mg_client *client, uint16_t type, const struct mg_ctl_msg *msg)
{
	mg_log(client->env.logp, MG_LOG_WARN, "client", "request=%s status=%d error=\"%s\"",
	       mg_ctl_type_name(type), msg->hdr.status,
	       msg->hdr.text[0] != '\0' ? msg->hdr.text : strerror(-msg->hdr.status));
	pthread_mutex_lock(&client->lock);
	memcpy(client->error_text, msg->hdr.text, sizeof(client->error_text));
	pthread_mutex_unlock(&client->lock);
}

int mg_client_request(struct mg_client *client, struct mg_ctl_msg *msg)
{
	uint16_t type = msg->hdr.type;
	int err;

	if (mg_client_is_dead(client))
		return -ECONNRESET;
	msg->hdr.token = client->token;
	err = client->ops->request(client->control, msg);
	if (err == -ECONNRESET && client->attach_fd >= 0)
		(void)mg_client_check(
			client); /* most likely the daemon, and not only this connection */
	if (err < 0)
		return err;
	if (msg->hdr.status < 0)
		note_refusal(client, type, msg);
	return msg->hdr.status <= 0 ? msg->hdr.status : -EPROTO;
}

int mg_client_send(struct mg_client *client, struct mg_ctl_msg *msg)
{
	if (mg_client_is_dead(client))
		return -ECONNRESET;
	msg->hdr.token = client->token;
	return client->ops->send(client->control, msg);
}

void mg_client_die(struct mg_client *client, const char *why)
{
	/* Relaxed will do: waits end by the attach socket's hang-up, not by this word. */
	if (atomic_exchange_explicit(&client->dead, 1, memory_order_relaxed) != 0)
		return;
	mg_log(client->env.logp, MG_LOG_WARN, "client", "error=\"daemon is gone: %s\"", why);
	/* Shuts the attach socket down as well, which every sleeping leader watches. */
	if (client->local != NULL)
		mg_transport_local_ops.abandon(client->local);
	if (client->control != NULL && client->control != client->local)
		client->ops->abandon(client->control);
}

bool mg_client_check(struct mg_client *client)
{
	struct pollfd pfd = { .fd = client->attach_fd, .events = POLLRDHUP };

	if (!mg_client_is_dead(client) && pfd.fd >= 0 && poll(&pfd, 1, 0) == 1)
		mg_client_die(client, "attach socket hung up");
	return mg_client_is_dead(client);
}

bool mg_client_probe(struct mg_client *client)
{
	if (mg_client_is_dead(client))
		return true;
	if (atomic_fetch_add_explicit(&client->probes, 1, memory_order_relaxed) % PROBE_EVERY !=
	    PROBE_EVERY - 1)
		return false;
	return mg_client_check(client);
}
