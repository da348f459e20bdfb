/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - see control.h.
 */
#include "daemon/control.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/bits.h"
#include "proto/base/time.h"

#define RETRY_NS 1000000ull       /* a full ring of the slow path empties in no time */
#define LATE_NS (2 * MG_NS_PER_S) /* what the slow path may take beyond its grace */
#define ADMIN_FD_MAX 65536u
#define LEAVE_NS MG_NS_PER_S /* for regions to come back */

struct mg_outgoing {
	struct mg_outgoing *next;
	struct mg_slow_req req;
};

/* ---- the line to the slow path ---- */

static void flush_outbox(struct mg_control *control)
{
	struct mg_outgoing *out;

	while ((out = control->outbox) != NULL) {
		if (!control->parts.link->request(control->parts.link->ctx, &out->req)) {
			mg_loop_timer_set(&control->loop, &control->retry,
					  mg_loop_now_ns() + RETRY_NS);
			return;
		}
		control->outbox = out->next;
		free(out);
	}
	control->outbox_end = &control->outbox;
}

static void on_retry(struct mg_loop_timer *timer)
{
	flush_outbox(mg_container_of(timer, struct mg_control, retry));
}

void mg_control_slow(struct mg_control *control, const struct mg_slow_req *req)
{
	const struct mg_slow_link *link = control->parts.link;
	struct mg_outgoing *out;

	if (control->outbox == NULL && link->request(link->ctx, req))
		return;
	out = malloc(sizeof(*out));
	while (out == NULL) { /* nothing else can be done that would keep the promise */
		mg_log(control->conf.log, MG_LOG_ERROR, "control", "error=\"out of memory\"");
		(void)usleep(RETRY_NS / MG_NS_PER_US);
		out = malloc(sizeof(*out));
	}
	out->next = NULL;
	out->req = *req;
	*control->outbox_end = out;
	control->outbox_end = &out->next;
	flush_outbox(control);
}

static void check_left(struct mg_control *control)
{
	if (control->phase == MG_CONTROL_LEAVING && control->sessions.nr_regions == 0)
		mg_loop_quit(&control->loop);
}

static void leave(struct mg_control *control)
{
	if (control->phase == MG_CONTROL_LEAVING)
		return;
	control->phase = MG_CONTROL_LEAVING;
	mg_loop_timer_set(&control->loop, &control->deadline, mg_loop_now_ns() + LEAVE_NS);
	mg_attach_close(&control->attach);
	mg_guards_drop_all(&control->guards);
	check_left(control);
}

static void on_answers(struct mg_loop_source *source, uint32_t events)
{
	struct mg_control *control = mg_container_of(source, struct mg_control, answers);
	struct mg_slow_answer answer;

	(void)events; /* EPOLLIN */
	while (control->parts.link->answer(control->parts.link->ctx, &answer)) {
		switch (answer.kind) {
		case MG_ANSWER_REPLY:
			mg_handler_slow_reply(&control->handler, &answer.req);
			break;
		case MG_ANSWER_APP_GONE:
			mg_sessions_app_gone(&control->sessions, answer.req.app);
			break;
		case MG_ANSWER_APP_BROKEN:
			mg_attach_kick(&control->attach, answer.req.app);
			mg_guards_drop(&control->guards,
				       mg_container_of(answer.req.app, struct mg_region, app));
			break;
		case MG_ANSWER_DRAINED:
			leave(control);
			break;
		}
	}
	if (control->outbox != NULL)
		flush_outbox(control);
	check_left(control);
}

/* ---- requests of gRPC's thread ---- */

static void on_requests(struct mg_loop_source *source, uint32_t events)
{
	struct mg_control *control = mg_container_of(source, struct mg_control, requests);
	struct mg_list_node *node;
	struct mg_list list;

	(void)events; /* EPOLLIN */
	mg_list_init(&list);
	mg_request_queue_take(&control->queue, &list);
	while ((node = mg_list_pop_front(&list)) != NULL)
		mg_handler_handle(&control->handler,
				  mg_container_of(node, struct mg_request, node));
}

/* ---- the end ---- */

static void on_deadline(struct mg_loop_timer *timer)
{
	struct mg_control *control = mg_container_of(timer, struct mg_control, deadline);

	if (control->phase == MG_CONTROL_DRAINING) {
		mg_log(control->conf.log, MG_LOG_WARN, "control", "event=drain-late");
		leave(control);
		return;
	}
	mg_log(control->conf.log, MG_LOG_WARN, "control", "event=leave-late regions=%u",
	       control->sessions.nr_regions);
	mg_loop_quit(&control->loop);
}

static void drain(struct mg_control *control, uint64_t grace_ns)
{
	struct mg_slow_req req = { .type = MG_SLOW_REQ_DRAIN, .value = grace_ns };

	control->phase = MG_CONTROL_DRAINING;
	mg_loop_timer_set(&control->loop, &control->deadline,
			  mg_loop_now_ns() + grace_ns + LATE_NS);
	mg_control_slow(control, &req);
}

void mg_control_stop(struct mg_control *control)
{
	uint64_t grace_ms = control->conf.conf->daemon.drain_ms;

	if (control->phase == MG_CONTROL_LEAVING)
		return;
	if (control->phase == MG_CONTROL_DRAINING) {
		mg_log(control->conf.log, MG_LOG_INFO, "control", "event=drain-now");
		drain(control, 0);
		return;
	}
	mg_log(control->conf.log, MG_LOG_INFO, "control",
	       "event=draining sessions=%u grace_ms=%" PRIu64, control->sessions.nr_sessions,
	       grace_ms);
	if (control->conf.notify != NULL)
		control->conf.notify(control->conf.ctx, "STOPPING=1");
	control->handler.is_draining = true;
	mg_attach_drain(&control->attach);
	if (control->grpc != NULL)
		mg_grpc_server_set_serving(control->grpc, false);
	drain(control, mg_ms_to_ns(grace_ms));
}

static void on_signals(struct mg_loop_source *source, uint32_t events)
{
	struct mg_control *control = mg_container_of(source, struct mg_control, signals);
	struct signalfd_siginfo info;

	(void)events; /* EPOLLIN */
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		mg_log(control->conf.log, MG_LOG_INFO, "control", "event=signal number=%u pid=%u",
		       info.ssi_signo, info.ssi_pid);
		if (info.ssi_signo == SIGHUP)
			control->conf.reload(control->conf.ctx);
		else
			mg_control_stop(control);
	}
}

/* ---- what sessions and the handler ask for ---- */

static void session_slow(void *ctx, const struct mg_slow_req *req)
{
	mg_control_slow(ctx, req);
}

static void session_ended(void *ctx, const struct mg_ctl_token *token)
{
	struct mg_control *control = ctx;

	if (control->grpc != NULL)
		mg_grpc_server_end_session(control->grpc, token);
}

static void handler_health(void *ctx, struct mg_ctl_health *health)
{
	struct mg_control *control = ctx;
	struct mg_slow_totals totals = { 0 };

	control->parts.link->totals(control->parts.link->ctx, &totals);
	health->serving = MG_CTL_SERVING;
	health->pid = (uint32_t)getpid();
	health->uptime_ms = mg_ns_to_ms(mg_loop_now_ns() - control->start_ns);
	health->daemon_epoch = control->sessions.daemon_epoch;
	health->nr_workers = control->parts.nr_workers;
	health->nr_sessions = control->sessions.nr_sessions;
	health->nr_connections = totals.connections;
	health->nr_listeners = totals.listeners;
	(void)snprintf(health->version, sizeof(health->version), "%s", MG_VERSION);
	(void)snprintf(health->instance, sizeof(health->instance), "%s",
		       control->conf.conf->instance);
	(void)snprintf(health->attach_path, sizeof(health->attach_path), "%s",
		       control->attach_path); /* fits: sun_path */
}

static void handler_conf_changed(void *ctx)
{
	struct mg_control *control = ctx;

	control->conf.conf_changed(control->conf.ctx);
}

static bool handler_counter(void *ctx, uint32_t i, struct mg_ctl_counter *ret_counter)
{
	struct mg_control *control = ctx;

	return control->conf.counter(control->conf.ctx, i, ret_counter);
}

/* ---- start ---- */

static int fail(char *err, size_t errlen, const char *what, int res)
{
	(void)snprintf(err, errlen, "%s: %s", what, strerror(-res)); /* cut is fine */
	return res;
}

static int open_loop(struct mg_control *control)
{
	sigset_t set;
	int res = mg_loop_init(&control->loop);

	if (res < 0)
		return res;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	control->signals = (struct mg_loop_source){ signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
						    on_signals };
	if (control->signals.fd < 0)
		return -errno;
	res = mg_closer_new(&control->closer);
	if (res < 0)
		return res;
	res = mg_request_queue_init(&control->queue);
	if (res < 0)
		return res;
	control->requests = (struct mg_loop_source){ control->queue.wake_fd, on_requests };
	res = mg_loop_add(&control->loop, &control->signals, EPOLLIN);
	if (res == 0)
		res = mg_loop_add(&control->loop, &control->requests, EPOLLIN);
	return res;
}

static int start_sessions(struct mg_control *control)
{
	const struct mg_sessions_env sessions_env = { control, session_slow, session_ended };
	const struct mg_handler_env handler_env = { control, session_slow, handler_health,
						    handler_conf_changed, handler_counter };
	int res = mg_sessions_init(&control->sessions, control->conf.conf, &control->access,
				   control->parts.limits, &sessions_env);

	control->guards = (struct mg_guards){ &control->loop, &control->sessions, control->closer };
	control->sessions.daemon_epoch = control->parts.daemon_epoch;
	mg_handler_init(&control->handler, &handler_env, control->conf.conf, &control->sessions);
	return res;
}

static int owner_of_socket(const struct mg_conf *conf, struct mg_unix_listen *listen, char *err,
			   size_t errlen)
{
	if (conf->attach.user[0] != '\0' && mg_access_uid(conf->attach.user, &listen->uid) < 0) {
		(void)snprintf(err, errlen, "attach.user: this system has no user \"%s\"",
			       conf->attach.user);
		return -EINVAL;
	}
	if (conf->attach.group[0] != '\0' && mg_access_gid(conf->attach.group, &listen->gid) < 0) {
		(void)snprintf(err, errlen, "attach.group: this system has no group \"%s\"",
			       conf->attach.group);
		return -EINVAL;
	}
	return 0;
}

static int open_attach(struct mg_control *control, char *err, size_t errlen)
{
	struct mg_unix_listen listen = {
		.path = control->attach_path,
		.type = SOCK_SEQPACKET,
		.mode = control->conf.conf->attach.mode,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
	};
	int res = mg_conf_attach_path(control->conf.conf, control->attach_path,
				      sizeof(control->attach_path));

	if (res < 0)
		return fail(err, errlen, "runtime_dir and instance make too long a path", res);
	res = owner_of_socket(control->conf.conf, &listen, err, errlen);
	if (res == 0)
		res = mg_unix_listen(&listen, err, errlen);
	if (res < 0)
		return res;
	control->attach_fd = res;
	control->has_attach_path = true;
	return 0;
}

static int start_attach(struct mg_control *control)
{
	const struct mg_attach_conf attach_conf = {
		.log = control->conf.log,
		.loop = &control->loop,
		.handler = &control->handler,
		.sessions = &control->sessions,
		.guards = &control->guards,
		.access = &control->access,
		.info = control->parts.info,
		.doorbells = control->parts.doorbells,
		.nr_workers = control->parts.nr_workers,
	};
	int fd = control->attach_fd;

	control->attach_fd = -1;
	return mg_attach_open(&control->attach, &attach_conf, fd);
}

static int open_grpc(struct mg_control *control, char *err, size_t errlen)
{
	const struct mg_conf *conf = control->conf.conf;
	char endpoint[MG_CONF_TEXT_MAX];
	int res;

	mg_grpc_listen_init(&control->grpc_listen, &control->loop, &control->access,
			    control->conf.log);
	if (!conf->ipc.grpc.enabled)
		return 0;
	for (uint32_t i = 0; i < conf->ipc.grpc.listen_count; i++) {
		res = mg_conf_expand(conf, conf->ipc.grpc.listen[i], endpoint, sizeof(endpoint));
		if (res < 0)
			return fail(err, errlen, "ipc.grpc.listen", res);
		res = mg_grpc_listen_add(&control->grpc_listen, endpoint, err, errlen);
		if (res < 0)
			return res;
	}
	return 0;
}

/* A descriptor that is not reached by opening one after the other, as far as limits allow. */
static uint32_t upper_half(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 2 > ADMIN_FD_MAX)
		return ADMIN_FD_MAX;
	return (uint32_t)limit.rlim_cur / 2;
}

static int start_grpc(struct mg_control *control)
{
	const struct mg_grpc_conf grpc_conf = { .log = control->conf.log,
						.queue = &control->queue,
						.admin_fd_min = upper_half() };
	int res;

	if (!control->conf.conf->ipc.grpc.enabled)
		return 0;
	res = mg_grpc_server_start(&grpc_conf, &control->grpc);
	return res < 0 ? res
		       : mg_grpc_listen_start(&control->grpc_listen, control->grpc,
					      grpc_conf.admin_fd_min);
}

static int open_parts(struct mg_control *control, char *err, size_t errlen)
{
	int res = open_loop(control);

	if (res < 0)
		return fail(err, errlen, "the event loop", res);
	res = mg_access_init(&control->access, control->conf.conf, err, errlen);
	if (res < 0)
		return res;
	res = mg_instance_open(&control->instance, control->conf.conf, err, errlen);
	if (res < 0)
		return res;
	res = open_attach(control, err, errlen);
	if (res < 0)
		return res;
	return open_grpc(control, err, errlen);
}

int mg_control_open(struct mg_control *control, const struct mg_control_conf *conf, char *err,
		    size_t errlen)
{
	int res;

	control->conf = *conf;
	control->start_ns = mg_loop_now_ns();
	control->loop.epoll_fd = control->signals.fd = control->queue.wake_fd = -1;
	control->instance.lock_fd = control->attach.listener.fd = control->attach_fd = -1;
	control->answers.fd = -1;
	control->outbox_end = &control->outbox;
	mg_list_init(&control->attach.clients);
	mg_list_init(&control->handler.with_slow);
	mg_list_init(&control->handler.queries);
	mg_loop_timer_init(&control->deadline, on_deadline);
	mg_loop_timer_init(&control->retry, on_retry);
	mg_loop_timer_init(&control->attach.retry, NULL);
	mg_loop_timer_init(&control->grpc_listen.retry, NULL);
	res = open_parts(control, err, errlen);
	if (res < 0)
		mg_control_close(control);
	return res;
}

int mg_control_start(struct mg_control *control, const struct mg_control_parts *parts, char *err,
		     size_t errlen)
{
	int res;

	control->parts = *parts;
	control->answers = (struct mg_loop_source){ parts->link->answer_fd, on_answers };
	res = start_sessions(control);
	if (res == 0)
		res = mg_loop_add(&control->loop, &control->answers, EPOLLIN);
	if (res < 0)
		return fail(err, errlen, "the table of sessions", res);
	res = start_attach(control);
	if (res < 0)
		return fail(err, errlen, "the attach socket", res);
	res = start_grpc(control);
	if (res < 0)
		return fail(err, errlen, "gRPC cannot start", res);
	control->phase = MG_CONTROL_SERVING;
	return 0;
}

int mg_control_run(struct mg_control *control)
{
	return mg_loop_run(&control->loop);
}

/* Requests that gRPC's thread still pushed while the loop was on its way out. */
static void fail_queued(struct mg_control *control)
{
	if (control->queue.wake_fd < 0 || control->phase == MG_CONTROL_OPENED)
		return;
	control->handler.is_draining = true;
	on_requests(&control->requests, EPOLLIN);
	mg_handler_abandon(&control->handler);
}

static void drop_outbox(struct mg_control *control)
{
	struct mg_outgoing *out;

	while ((out = control->outbox) != NULL) {
		control->outbox = out->next;
		free(out);
	}
	control->outbox_end = &control->outbox;
}

void mg_control_close(struct mg_control *control)
{
	mg_grpc_listen_close(&control->grpc_listen);
	mg_handler_abandon(&control->handler);
	mg_attach_close(&control->attach);
	mg_grpc_server_shut(control->grpc);
	fail_queued(control);
	drop_outbox(control);
	mg_grpc_server_stop(control->grpc);
	control->grpc = NULL;
	if (control->guards.sessions != NULL)
		mg_guards_drop_all(&control->guards);
	drop_outbox(control);
	mg_sessions_close(&control->sessions);
	mg_closer_free(control->closer);
	control->closer = NULL;
	if (control->attach_fd >= 0)
		close(control->attach_fd);
	control->attach_fd = -1;
	if (control->has_attach_path)
		(void)unlink(control->attach_path); /* the daemon goes; nothing to do about it */
	control->has_attach_path = false;
	mg_instance_close(&control->instance);
	mg_request_queue_close(&control->queue);
	if (control->signals.fd >= 0)
		close(control->signals.fd);
	control->signals.fd = -1;
	mg_loop_close(&control->loop);
}
