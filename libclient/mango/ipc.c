/* SPDX-License-Identifier: Apache-2.0 */
/* ipc.c - mango_ipc_*(): opening, health, configuration. Lists are in query.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/mango/handle.h"

mango_status_e mango_ipc_open(const char *address, bool is_server, mango_ipc_h *ret_ipc)
{
	struct mg_ipc *ipc;
	int err;

	if (ret_ipc == NULL)
		return -EFAULT;
	*ret_ipc = NULL;
	if (is_server)
		return -ENOTSUP;
	ipc = calloc(1, sizeof(*ipc));
	if (ipc == NULL)
		return -ENOMEM;
	err = mg_client_open(address, &ipc->client);
	if (err < 0) {
		free(ipc);
		return err;
	}
	ipc->magic = MG_MAGIC_IPC;
	*ret_ipc = ipc;
	return MANGO_STATUS_OK;
}

mango_status_e mango_ipc_close(mango_ipc_h h)
{
	struct mg_ipc *ipc = mg_ipc_of(h);

	if (h == NULL)
		return MANGO_STATUS_OK;
	if (ipc == NULL)
		return -EBADF;
	ipc->magic = 0;
	mg_client_put(ipc->client);
	free(ipc);
	return MANGO_STATUS_OK;
}

static void copy_health(struct mango_health *to, const struct mg_ctl_health *from)
{
	memset(to, 0, sizeof(*to));
	to->serving = (int)from->serving;
	to->pid = from->pid;
	to->uptime_ms = from->uptime_ms;
	to->epoch = from->daemon_epoch;
	to->workers = from->nr_workers;
	to->sessions = from->nr_sessions;
	to->connections = from->nr_connections;
	to->listeners = from->nr_listeners;
	static_assert(sizeof(to->version) == sizeof(from->version), "copied whole");
	static_assert(sizeof(to->instance) == sizeof(from->instance), "copied whole");
	static_assert(sizeof(to->attach_path) == sizeof(from->attach_path), "copied whole");
	static_assert(sizeof(to->reason) == sizeof(from->reason), "copied whole");
	memcpy(to->version, from->version, sizeof(to->version));
	memcpy(to->instance, from->instance, sizeof(to->instance));
	memcpy(to->attach_path, from->attach_path, sizeof(to->attach_path));
	memcpy(to->reason, from->reason, sizeof(to->reason));
}

mango_status_e mango_ipc_health_check(mango_ipc_h h, struct mango_health *ret_health)
{
	struct mg_ipc *ipc = mg_ipc_of(h);
	struct mg_ctl_msg *msg;
	int err;

	if (ipc == NULL)
		return -EBADF;
	if (ret_health == NULL)
		return -EFAULT;
	msg = mg_client_msg(MG_CTL_HEALTH_CHECK, 0);
	if (msg == NULL)
		return -ENOMEM;
	err = mg_client_request(ipc->client, msg);
	if (err == 0 && msg->hdr.count != 1)
		err = -EPROTO;
	if (err == 0)
		copy_health(ret_health, &msg->health[0]);
	free(msg);
	return err;
}

static int fill_kv(struct mg_ctl_kv *kv, const char *key, const char *value)
{
	if (key == NULL || value == NULL)
		return -EFAULT;
	if (strlen(key) >= sizeof(kv->key))
		return -ENOENT; /* no key is that long */
	if (strlen(value) >= sizeof(kv->value))
		return -EINVAL;
	(void)snprintf(kv->key, sizeof(kv->key), "%s", key);       /* fits */
	(void)snprintf(kv->value, sizeof(kv->value), "%s", value); /* fits */
	return 0;
}

mango_status_e mango_ipc_set_configs(mango_ipc_h h, const struct mango_config *configs, size_t nr)
{
	struct mg_ipc *ipc = mg_ipc_of(h);
	struct mg_ctl_msg *msg;
	int err = 0;

	if (ipc == NULL)
		return -EBADF;
	if (configs == NULL)
		return -EFAULT;
	if (nr == 0 || nr > mg_ctl_items_max(MG_CTL_SET_CONFIG))
		return -EINVAL;
	msg = mg_client_msg(MG_CTL_SET_CONFIG, (uint32_t)nr);
	if (msg == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < nr && err == 0; i++)
		err = fill_kv(&msg->kv[i], configs[i].key, configs[i].value);
	if (err == 0)
		err = mg_client_request(ipc->client, msg);
	free(msg);
	return err;
}

mango_status_e mango_ipc_set_config(mango_ipc_h ipc, const char *key, const char *value)
{
	struct mango_config config = { .key = key, .value = value };

	return mango_ipc_set_configs(ipc, &config, 1);
}

static int copy_value(const char *value, char *buf, size_t len, size_t *ret_len)
{
	size_t n = strlen(value);

	if (ret_len != NULL)
		*ret_len = n;
	if (len > 0)
		(void)snprintf(buf, len, "%s", value); /* what does not fit is told */
	return n < len || (len == 0 && buf == NULL) ? 0 : -ERANGE;
}

mango_status_e mango_ipc_get_config(mango_ipc_h h, const char *key, char *buf, size_t len,
				    size_t *ret_len)
{
	struct mg_ipc *ipc = mg_ipc_of(h);
	struct mg_ctl_msg *msg;
	int err;

	if (ipc == NULL)
		return -EBADF;
	if (key == NULL || (buf == NULL && len > 0))
		return -EFAULT;
	msg = mg_client_msg(MG_CTL_GET_CONFIG, 1);
	if (msg == NULL)
		return -ENOMEM;
	err = fill_kv(&msg->kv[0], key, "");
	if (err == 0)
		err = mg_client_request(ipc->client, msg);
	/* A section would have been listed; a key is answered by itself. */
	if (err == 0 && (msg->hdr.count != 1 || strcmp(msg->kv[0].key, key) != 0))
		err = -ENOENT;
	if (err == 0)
		err = copy_value(msg->kv[0].value, buf, len, ret_len);
	free(msg);
	return err;
}

mango_status_e mango_ipc_error_text(mango_ipc_h h, char *buf, size_t len)
{
	struct mg_ipc *ipc = mg_ipc_of(h);

	if (ipc == NULL)
		return -EBADF;
	if (buf == NULL || len == 0)
		return -EFAULT;
	pthread_mutex_lock(&ipc->client->lock);
	(void)snprintf(buf, len, "%s", ipc->client->error_text); /* cut when it must be */
	pthread_mutex_unlock(&ipc->client->lock);
	return MANGO_STATUS_OK;
}
