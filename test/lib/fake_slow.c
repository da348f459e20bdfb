/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_slow.c - see fake_slow.h.
 */
#include "test/lib/fake_slow.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void push(struct fake_slow *fake, enum mg_slow_answer_kind kind,
		 const struct mg_slow_req *req)
{
	uint64_t one = 1;

	pthread_mutex_lock(&fake->lock);
	fake->answers[fake->tail++ % FAKE_SLOW_ANSWERS] = (struct mg_slow_answer){ .kind = kind,
										   .req = *req };
	pthread_mutex_unlock(&fake->lock);
	(void)!write(fake->link.answer_fd, &one, sizeof(one)); /* EAGAIN: it is readable anyway */
}

static void fill_connections(struct mg_ctl_msg *msg)
{
	uint32_t start = msg->hdr.start;
	uint32_t n = start < FAKE_SLOW_CONNECTIONS ? FAKE_SLOW_CONNECTIONS - start : 0;

	mg_ctl_init(msg, MG_CTL_CONNECTIONS | MG_CTL_REPLY, msg->hdr.id, n);
	memset(msg->items, 0, n * sizeof(msg->conn_info[0]));
	msg->hdr.start = start;
	for (uint32_t i = 0; i < n; i++) {
		struct mg_ctl_conn_info *info = &msg->conn_info[i];

		info->tuple.laddr = mg_addr_v4(0x0a4d0001);
		info->tuple.raddr = mg_addr_v4(0x0a4d0002);
		info->tuple.lport = (uint16_t)(7000 + start + i);
		info->tuple.rport = 40000;
		info->state = MG_TCP_ESTABLISHED;
		(void)snprintf(info->cc, sizeof(info->cc), "cubic");
	}
}

static void fill_options(struct mg_ctl_msg *msg)
{
	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		msg->opt[i].value = 4711;
		if (msg->opt[i].option == MG_CTL_OPT_INFO)
			msg->opt[i].info.mss = 1448;
	}
}

/* Turns the request into its reply, as the engine does. */
static void answer_ctl(struct fake_slow *fake, const struct mg_slow_req *req)
{
	struct mg_ctl_msg *msg = req->msg;

	msg->hdr.status = 0;
	switch ((enum mg_ctl_type)msg->hdr.type) {
	case MG_CTL_GUARD:
		for (uint32_t i = 0; i < msg->hdr.count; i++)
			msg->guard[i].status = msg->guard[i].id == FAKE_SLOW_NO_OBJECT ? -ENOENT
										       : 0;
		break;
	case MG_CTL_TCP_LISTEN:
		if (req->arg != 0 && fake->next_listener - fake->nr_closed >= req->arg) {
			msg->hdr.status = -EMFILE;
			mg_ctl_set_count(msg, 0);
			break;
		}
		msg->listen[0].listener = fake->next_listener++;
		if (msg->listen[0].port == 0)
			msg->listen[0].port = 49152;
		break;
	case MG_CTL_TCP_CONNECT:
		for (uint32_t i = 0; i < msg->hdr.count; i++) {
			msg->connect[i].window = fake->next_window++;
			msg->connect[i].gen = 1;
		}
		break;
	case MG_CTL_TCP_LISTEN_CLOSE:
		if (msg->listener[0].listener >= fake->next_listener) {
			mg_ctl_set_count(msg, 0);
			msg->hdr.status = -ENOENT;
			(void)snprintf(msg->hdr.text, sizeof(msg->hdr.text), "no such listener");
		} else {
			fake->nr_closed++;
		}
		break;
	case MG_CTL_TCP_GET_OPTION:
		fill_options(msg);
		break;
	case MG_CTL_CONNECTIONS:
		fill_connections(msg);
		break;
	case MG_CTL_LISTENERS:
	case MG_CTL_STATS:
		mg_ctl_init(msg, (uint16_t)(msg->hdr.type | MG_CTL_REPLY), msg->hdr.id, 0);
		break;
	default:
		break;
	}
	msg->hdr.type |= (uint16_t)MG_CTL_REPLY;
}

static bool request(void *ctx, const struct mg_slow_req *req)
{
	struct fake_slow *fake = ctx;

	if (fake->full)
		return false;
	switch ((enum mg_slow_req_type)req->type) {
	case MG_SLOW_REQ_CTL:
		fake->nr_ctl++;
		answer_ctl(fake, req);
		push(fake, MG_ANSWER_REPLY, req);
		break;
	case MG_SLOW_REQ_APP_ADD:
		fake->app = req->app;
		fake->nr_apps_added++;
		break;
	case MG_SLOW_REQ_APP_DEL:
		fake->nr_apps_deleted++;
		push(fake, MG_ANSWER_APP_GONE, req);
		break;
	case MG_SLOW_REQ_DRAIN:
		fake->nr_drains++;
		if (!fake->hold_drain || req->value == 0)
			push(fake, MG_ANSWER_DRAINED, req);
		break;
	case MG_SLOW_REQ_CONF:
		break;
	case MG_SLOW_REQ_HOLDER_GONE:
		fake->nr_holders_gone++;
		break;
	case MG_SLOW_REQ_UNGUARD:
		fake->nr_unguards++;
		break;
	}
	return true;
}

static bool answer(void *ctx, struct mg_slow_answer *ret_answer)
{
	struct fake_slow *fake = ctx;
	uint64_t count;
	bool has_one;

	(void)!read(fake->link.answer_fd, &count, sizeof(count)); /* EAGAIN: nothing to reset */
	if (fake->hold)
		return false;
	pthread_mutex_lock(&fake->lock);
	has_one = fake->head != fake->tail;
	if (has_one)
		*ret_answer = fake->answers[fake->head++ % FAKE_SLOW_ANSWERS];
	pthread_mutex_unlock(&fake->lock);
	return has_one;
}

static void totals(void *ctx, struct mg_slow_totals *ret_totals)
{
	(void)ctx;
	*ret_totals = (struct mg_slow_totals){ .connections = FAKE_SLOW_CONNECTIONS,
					       .listeners = 1 };
}

int fake_slow_open(struct fake_slow *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->link = (struct mg_slow_link){ fake, request, answer,
					    eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), totals };
	(void)pthread_mutex_init(&fake->lock, NULL); /* cannot fail without attributes */
	return fake->link.answer_fd < 0 ? -errno : 0;
}

void fake_slow_close(struct fake_slow *fake)
{
	close(fake->link.answer_fd);
	(void)pthread_mutex_destroy(&fake->lock); /* nobody holds it */
}

void fake_slow_release(struct fake_slow *fake)
{
	uint64_t one = 1;

	fake->hold = false;
	(void)!write(fake->link.answer_fd, &one, sizeof(one)); /* EAGAIN: it is readable anyway */
}
