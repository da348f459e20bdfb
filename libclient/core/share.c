/* SPDX-License-Identifier: Apache-2.0 */
/* share.c - guards, children, joining. The locks are in conn_lock.c. */
#include "libclient/core/share.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libclient/core/attach.h"
#include "libclient/core/transport_local.h"

static void fill_item(struct mg_ctl_guard *to, const struct mg_guard *from)
{
	*to = (struct mg_ctl_guard){
		.kind = from->kind,
		.id = from->id,
		.gen = from->gen,
		.inode = from->inode,
		.cookie = from->cookie,
		.addr = from->addr,
		.port = from->port,
	};
	static_assert(sizeof(to->blob) == sizeof(from->blob), "copied whole");
	memcpy(to->blob, from->blob, sizeof(to->blob));
}

static int guard_some(struct mg_client *client, struct mg_guard *items, uint32_t nr)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_GUARD, nr);
	int fds[MG_CTL_GUARDS_MAX];
	int err;

	if (msg == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr; i++) {
		fill_item(&msg->guard[i], &items[i]);
		fds[i] = items[i].fd;
	}
	err = mg_transport_local_pass_fds(client->local, msg, fds, nr);
	if (err == 0)
		err = msg->hdr.status <= 0 ? msg->hdr.status : -EPROTO;
	if (err == 0 && msg->hdr.count != nr)
		err = -EPROTO;
	for (uint32_t i = 0; i < nr; i++) {
		items[i].status = err < 0 ? err : msg->guard[i].status;
		if (err == 0 && items[i].status < 0)
			err = items[i].status;
	}
	free(msg);
	return err;
}

int mg_client_guard(struct mg_client *client, struct mg_guard *items, uint32_t nr)
{
	int first_err = 0;

	if (mg_client_is_dead(client))
		return -ECONNRESET;
	if (!client->attached)
		return -ENOTCONN;
	for (uint32_t done = 0; done < nr; done += MG_CTL_GUARDS_MAX) {
		uint32_t n = mg_min_u32(nr - done, MG_CTL_GUARDS_MAX);
		int err = guard_some(client, items + done, n);

		first_err = first_err == 0 ? err : first_err;
	}
	return first_err;
}

int mg_client_guards(struct mg_client *client,
		     int (*each)(const struct mg_ctl_guard *guard, void *arg), void *arg)
{
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	uint32_t start = 0;
	int err = 0;

	if (msg == NULL)
		return -ENOMEM;
	if (!client->attached || mg_client_is_dead(client))
		err = client->attached ? -ECONNRESET : -ENOTCONN;
	while (err == 0) {
		mg_ctl_init(msg, MG_CTL_GUARDS, 0, 0);
		msg->hdr.start = start;
		err = mg_transport_local_ops.request(client->local, msg);
		if (err == 0)
			err = msg->hdr.status;
		for (uint32_t i = 0; err == 0 && i < msg->hdr.count; i++)
			err = each(&msg->guard[i], arg);
		start += err == 0 ? msg->hdr.count : 0;
		if (err != 0 || msg->hdr.more == 0 || msg->hdr.count == 0)
			break;
	}
	free(msg);
	return err;
}

int mg_client_open_child(const char *address, const struct mg_ctl_token *share,
			 struct mg_client **ret_client)
{
	int err = mg_client_open(address, ret_client);

	if (err == 0)
		(*ret_client)->parent = *share;
	return err;
}

int mg_client_spare(const struct mg_client *client, int *ret_fd)
{
	if (client->attach_path[0] == '\0')
		return -ENOTCONN;
	return mg_transport_local_connect(client->attach_path, ret_fd);
}

int mg_client_session(const struct mg_client *client, char *buf, size_t len)
{
	size_t at = strlen(client->attach_path);

	if (!client->attached || at == 0)
		return -ENOTCONN;
	if (len < at + 1 + 2 * MG_CTL_TOKEN_BYTES + 1)
		return -ENAMETOOLONG;
	memcpy(buf, client->attach_path, at);
	buf[at++] = ':';
	for (int i = 0; i < MG_CTL_TOKEN_BYTES; i++, at += 2)
		(void)snprintf(buf + at, 3, "%02x", client->share.b[i]); /* fits */
	return 0;
}

static int parse_token(const char *hex, struct mg_ctl_token *ret_token)
{
	if (strlen(hex) != 2 * MG_CTL_TOKEN_BYTES ||
	    strspn(hex, "0123456789abcdef") != 2 * MG_CTL_TOKEN_BYTES)
		return -EINVAL;
	for (int i = 0; i < MG_CTL_TOKEN_BYTES; i++) {
		char digits[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		ret_token->b[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return 0;
}

int mg_client_open_session(const char *text, struct mg_client **ret_client)
{
	char address[sizeof("local:") + sizeof((*ret_client)->attach_path)];
	const char *colon = strrchr(text, ':');
	struct mg_ctl_token share;
	struct mg_client *client;
	int n, err;

	if (colon == NULL || text[0] != '/' || parse_token(colon + 1, &share) < 0)
		return -EINVAL;
	n = snprintf(address, sizeof(address), "local:%.*s", (int)(colon - text), text);
	if (n < 0 || (size_t)n >= sizeof(address))
		return -EINVAL;
	err = mg_client_open_child(address, &share, &client);
	if (err < 0)
		return err;
	err = mg_client_attach(client);
	if (err < 0) {
		mg_client_put(client);
		return err;
	}
	*ret_client = client;
	return 0;
}

/* Waits for the reply, or (wait false) does without. */
static int move(struct mg_ctx *ctx, const struct mg_window *w, uint32_t how, bool wait)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_MOVE, 1);
	int err;

	if (msg == NULL)
		return -ENOMEM;
	msg->move[0] = (struct mg_ctl_move){
		.window = w->index, .gen = w->gen, .context = ctx->index, .how = how
	};
	err = wait ? mg_client_request(ctx->client, msg) : mg_client_send(ctx->client, msg);
	free(msg);
	return err;
}

int mg_conn_join(struct mg_ctx *ctx, uint32_t window, uint32_t gen, struct mg_conn **ret_conn)
{
	struct mg_conn *conn;
	int err;

	mg_ctx_lock(ctx);
	err = window < ctx->client->nr_windows && ctx->slots[window].conn != NULL
		      ? -EEXIST
		      : mg_conn_adopt(ctx, window, gen, &conn);
	mg_ctx_unlock(ctx);
	if (err < 0)
		return err;
	conn->guarded = true;
	/* The object is there before the first entry comes. */
	err = move(ctx, &conn->w, MG_CTL_MOVE_JOIN, true);
	if (err < 0) {
		mg_ctx_lock(ctx);
		ctx->slots[window].conn = NULL;
		mg_ctx_unlock(ctx);
		free(conn);
		return err;
	}
	*ret_conn = conn;
	return 0;
}

void mg_conn_drop(struct mg_conn *conn)
{
	struct mg_ctx *ctx = conn->src.ctx;

	mg_ctx_lock(ctx);
	ctx->slots[conn->w.index].conn = NULL;
	mg_ctx_unlock(ctx);
	/* Lost, it costs us entries that nobody takes. */
	(void)move(ctx, &conn->w, MG_CTL_MOVE_LEAVE, false);
	free(conn);
}

struct search {
	uint32_t id;
	struct mg_ctl_guard found;
};

static int is_it(const struct mg_ctl_guard *guard, void *arg)
{
	struct search *search = arg;

	if (guard->kind != MG_CTL_GUARD_LISTENER || guard->id != search->id)
		return 0;
	search->found = *guard;
	return 1;
}

int mg_lst_join(struct mg_ctx *ctx, uint32_t id, struct mg_lst **ret_lst)
{
	struct search search = { .id = id };
	int res = mg_client_guards(ctx->client, is_it, &search);

	if (res <= 0)
		return res < 0 ? res : -ENOENT;
	return mg_lst_adopt(ctx, &search.found, ret_lst);
}
