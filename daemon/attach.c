/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.c - see attach.h.
 */
#include "daemon/attach.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/attach_recv.h"
#include "proto/base/assert.h"
#include "proto/base/bits.h"

#define RETRY_NS 100000000ull
#define SNDBUF_BYTES (256 * 1024)
#define FDS_MAX (3 + MG_SHM_WORKERS_MAX)

struct client {
	struct mg_list_node node;
	struct mg_loop_source source; /* .fd -1: hung up, waits for its requests */
	struct mg_attach *attach;
	struct mg_peer peer;
	struct mg_session *session; /* NULL: not attached */
	struct mg_list out;         /* replies that did not fit into the socket; oldest first */
	struct mg_loop_timer stall; /* set while `out` is not empty */
	uint32_t nr_out;
	uint32_t nr_requests; /* with the handler */
	uint32_t events;      /* what the loop watches */
};

static void maybe_free(struct client *client)
{
	if (client->source.fd >= 0 || client->nr_requests > 0)
		return;
	mg_list_remove(&client->node);
	client->attach->nr_clients--;
	free(client);
}

/* Closes the connection and ends its session. The object goes when its last request is back. */
static void hang_up(struct client *client, const char *why)
{
	struct mg_attach *attach = client->attach;
	struct mg_list_node *node;

	if (client->source.fd < 0)
		return;
	mg_log(attach->conf.log, client->session != NULL ? MG_LOG_INFO : MG_LOG_DEBUG, "attach",
	       "event=%s pid=%d uid=%u program=\"%s\" reason=\"%s\"",
	       client->session != NULL ? "detached" : "closed", (int)client->peer.pid,
	       client->peer.uid, client->session != NULL ? client->session->program : "", why);
	mg_loop_remove(attach->conf.loop, &client->source);
	close(client->source.fd);
	client->source.fd = -1;
	mg_loop_timer_stop(&client->stall);
	while ((node = mg_list_pop_front(&client->out)) != NULL)
		mg_request_free(mg_container_of(node, struct mg_request, node));
	client->nr_out = 0;
	if (client->session != NULL)
		mg_session_end(attach->conf.sessions, client->session);
	client->session = NULL;
}

static void drop(struct client *client, const char *why)
{
	hang_up(client, why);
	maybe_free(client);
}

static void on_stall(struct mg_loop_timer *timer)
{
	drop(mg_container_of(timer, struct client, stall), "it does not read its replies");
}

/* Read while there is room for replies; be told about room in the socket while some wait. */
static void watch(struct client *client)
{
	uint32_t events = 0;

	if (client->source.fd < 0)
		return;
	if (client->nr_requests + client->nr_out < MG_ATTACH_PIPELINE)
		events |= EPOLLIN;
	if (client->nr_out > 0)
		events |= EPOLLOUT;
	if (events != client->events)
		mg_loop_change(client->attach->conf.loop, &client->source, events);
	client->events = events;
}

/* 0; -EAGAIN: no room; other -errno: the client is gone. */
static int send_msg(struct client *client, const struct mg_ctl_msg *msg, const int *fds,
		    uint32_t nr_fds)
{
	union {
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = msg->hdr.bytes };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (nr_fds > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nr_fds * sizeof(int));
	}
	return sendmsg(client->source.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Sends the reply in `request`, now or later, and frees it. May drop the client, but never free it. */
static void reply_take(struct client *client, struct mg_request *request)
{
	int err = client->nr_out > 0 ? -EAGAIN : send_msg(client, &request->msg, NULL, 0);

	if (err == -EAGAIN) {
		if (client->nr_out == 0)
			mg_loop_timer_set(client->attach->conf.loop, &client->stall,
					  mg_loop_now_ns() + MG_ATTACH_STALL_NS);
		mg_list_push_back(&client->out, &request->node);
		client->nr_out++;
		return;
	}
	mg_request_free(request);
	if (err < 0)
		hang_up(client, strerror(-err));
}

static void done(struct mg_request *request)
{
	struct client *client = request->owner;

	client->nr_requests--;
	if (client->source.fd >= 0)
		reply_take(client, request);
	else
		mg_request_free(request);
	watch(client);
	maybe_free(client);
}

/*
 * What a client gets besides the memory: a context's wake-ups and, when it attaches, doorbells. They go to fds[*n]
 * and on; those up to *n are to be closed, also after an error.
 */
static int open_fds(struct client *client, uint32_t context, bool is_attach, int *fds, uint32_t *n)
{
	const struct mg_attach_conf *conf = &client->attach->conf;
	int err = mg_region_wake_open(client->session->region, context, &fds[*n]);

	if (err < 0)
		return err;
	(*n)++;
	for (uint32_t w = 0; is_attach && w < conf->nr_workers; w++) {
		int fd = conf->doorbells.open(conf->doorbells.ctx, w);

		if (fd < 0)
			return fd;
		fds[(*n)++] = fd;
	}
	return 0;
}

/* A reply that carries descriptors; there is always room for it unless the client misbehaves. */
static void reply_attached(struct client *client, struct mg_request *request, uint32_t context)
{
	const struct mg_attach_conf *conf = &client->attach->conf;
	struct mg_region *region = client->session->region;
	bool is_attach = request->msg.hdr.type == MG_CTL_ATTACH;
	uint64_t id = request->msg.hdr.id;
	int fds[FDS_MAX] = { region->fd, conf->info->fd };
	uint32_t first = is_attach ? 2 : 0; /* of those made for this client alone */
	uint32_t n = first;
	int err;

	mg_ctl_init(&request->msg, (uint16_t)(request->msg.hdr.type | MG_CTL_REPLY), id, 1);
	request->msg.attached[0] = (struct mg_ctl_attached){
		.token = client->session->token,
		.context = context,
		.nr_workers = conf->nr_workers,
		.region_bytes = region->app.total_bytes,
		.daemon_epoch = conf->sessions->daemon_epoch,
		.connections_max = region->connections_max,
		.share = region->share,
		.app = region->app.id,
	};
	err = open_fds(client, context, is_attach, fds, &n);
	if (err == 0)
		err = client->nr_out > 0 ? -EAGAIN : send_msg(client, &request->msg, fds, n);
	while (n > first)
		close(fds[--n]);
	mg_request_free(request);
	if (err < 0)
		hang_up(client, strerror(-err));
}

/* Takes a request that this server itself answers with an error. */
static void refuse_take(struct client *client, struct mg_request *request, int err,
			const char *text)
{
	mg_request_fail(request, err, text);
	mg_log(client->attach->conf.log, MG_LOG_WARN, "attach",
	       "event=refused pid=%d uid=%u error=\"%s\"", (int)client->peer.pid, client->peer.uid,
	       request->msg.hdr.text);
	reply_take(client, request);
}

static bool abi_fits(const struct mg_ctl_attach *a)
{
	return a->abi_major == MG_SHM_ABI_MAJOR && a->abi_hash == mg_shm_abi_hash();
}

static const char *attach_error(int err)
{
	switch (-err) {
	case EACCES:
		return "this user may not attach: add a row to `access` in the daemon's configuration";
	case EDQUOT:
		return "too many sessions: raise app.sessions_max, or sessions_max of the access row";
	case ENOSPC:
		return "the application has no event context left: close one, or attach without a parent";
	case ENOENT:
		return "there is no session with the parent's token: its process has ended";
	case EINVAL:
		return "app.region_bytes is too small for app.connections_max: raise the one or lower the other";
	case EMFILE:
	case ENFILE:
		return "the daemon has no descriptors left: raise LimitNOFILE (ulimit -n) of the daemon";
	default:
		return NULL;
	}
}

static void attach_take(struct client *client, struct mg_request *request,
			const struct mg_attach_in *in)
{
	struct mg_attach *attach = client->attach;
	const struct mg_ctl_attach *a = &request->msg.attach[0];
	struct mg_session *session;
	char text[MG_CTL_TEXT_MAX];
	uint32_t context;
	int err;

	if (request->msg.hdr.count != 1 || client->session != NULL || attach->is_closed) {
		err = attach->is_closed         ? -ESHUTDOWN
		      : client->session != NULL ? -EALREADY
						: -EBADMSG;
		refuse_take(client, request, err,
			    attach->is_closed ? "the daemon is stopping" : NULL);
		return;
	}
	if (!abi_fits(a)) {
		(void)snprintf(text, sizeof(text), /* fits */
			       "the library speaks shared-memory ABI %u (%016" PRIx64
			       "), mangod speaks %u (%016" PRIx64
			       "): install libmango and mangod of the same version",
			       a->abi_major, a->abi_hash, MG_SHM_ABI_MAJOR, mg_shm_abi_hash());
		refuse_take(client, request, -EPROTO, text);
		return;
	}
	/* Who connected may have been this process' parent; the rights are his. */
	if (in->pid > 0)
		client->peer.pid = in->pid;
	err = mg_session_begin(attach->conf.sessions, &client->peer, a, &session, &context);
	if (err < 0) {
		refuse_take(client, request, err, attach_error(err));
		return;
	}
	session->client = client;
	client->session = session;
	mg_attach_recv_allow_fds(client->source.fd, true);
	mg_log(attach->conf.log, MG_LOG_INFO, "attach",
	       "event=attached pid=%d uid=%u program=\"%s\" app=%u context=%u windows=%u region_bytes=%" PRIu64,
	       (int)client->peer.pid, client->peer.uid, session->program, session->region->app.id,
	       context, session->region->app.nr_windows, session->region->app.total_bytes);
	reply_attached(client, request, context);
}

static void context_take(struct client *client, struct mg_request *request)
{
	uint32_t context;
	int err = client->session == NULL ? -ENOTCONN
					  : mg_session_context_open(client->session, &context);

	if (err == -ENOTCONN)
		refuse_take(client, request, err, "attach first");
	else if (err < 0)
		refuse_take(client, request, err, attach_error(err));
	else
		reply_attached(client, request, context);
}

static void handle_take(struct client *client, struct mg_request *request)
{
	request->done = done;
	request->owner = client;
	request->session = client->session;
	request->is_admin = mg_access_is_admin(client->attach->conf.access, client->peer.uid);
	client->nr_requests++;
	mg_handler_handle(client->attach->conf.handler, request);
}

static const char *guard_error(int err)
{
	switch (-err) {
	case ENOTSOCK:
		return "a guard is one end of a pair of stream sockets";
	case EDQUOT:
		return "this application has too many guards: one per connection and listener (app.connections_max, "
		       "app.listeners_max)";
	case EBUSY:
		return "too many descriptors of this user wait to be closed";
	case EMFILE:
		return "the daemon has no descriptors left: raise LimitNOFILE (ulimit -n) of the daemon";
	case ENOTCONN:
		return "attach first";
	default:
		return NULL;
	}
}

static void guard_take(struct client *client, struct mg_request *request, struct mg_attach_in *in)
{
	struct mg_guards *guards = client->attach->conf.guards;
	int err = -ENOTCONN;

	if (in->is_cut)
		err = -EMFILE;
	else if (client->session != NULL)
		err = mg_guards_take(guards, client->session->region, &request->msg, in->fds,
				     in->nr_fds);
	if (err < 0) {
		refuse_take(client, request, err, guard_error(err));
		if (err == -ENOTSOCK) /* no library of ours does that */
			hang_up(client, "it passed odd descriptors");
		return;
	}
	in->nr_fds = 0; /* taken, all of them */
	request->done = done;
	request->owner = client;
	request->session = client->session;
	client->nr_requests++;
	mg_handler_guard(client->attach->conf.handler, request);
}

static void guards_take(struct client *client, struct mg_request *request)
{
	uint32_t start = request->msg.hdr.start, n;
	uint64_t id = request->msg.hdr.id;
	bool more;

	if (client->session == NULL) {
		refuse_take(client, request, -ENOTCONN, "attach first");
		return;
	}
	n = mg_guards_list(client->session->region, start,
			   mg_ctl_items_max(MG_CTL_GUARDS | MG_CTL_REPLY), request->msg.guard,
			   &more);
	memset(&request->msg.hdr, 0, sizeof(request->msg.hdr));
	request->msg.hdr.version = MG_CTL_VERSION;
	request->msg.hdr.type = MG_CTL_GUARDS | MG_CTL_REPLY;
	request->msg.hdr.id = id;
	request->msg.hdr.start = start;
	request->msg.hdr.more = more ? 1 : 0;
	mg_ctl_set_count(&request->msg, n);
	reply_take(client, request);
}

static void dispatch_take(struct client *client, struct mg_request *request,
			  struct mg_attach_in *in)
{
	uint16_t type = request->msg.hdr.type;

	if (type == MG_CTL_ATTACH)
		attach_take(client, request, in);
	else if (type == MG_CTL_CONTEXT_OPEN)
		context_take(client, request);
	else if (type == MG_CTL_GUARD)
		guard_take(client, request, in);
	else if (type == MG_CTL_GUARDS)
		guards_take(client, request);
	else
		handle_take(client, request);
}

/* Why this datagram is the client's last; NULL: it is fine. */
static const char *fault_of(struct mg_request *request, const struct mg_attach_in *in)
{
	if (in->len < 0)
		return strerror((int)-in->len);
	if (in->len == 0)
		return "it has gone";
	if ((size_t)in->len > sizeof(request->msg))
		return "a message too long";
	if (mg_ctl_check(&request->msg, (size_t)in->len) < 0 ||
	    (request->msg.hdr.type & MG_CTL_REPLY) != 0)
		return "a broken message";
	if (in->nr_fds > 0 && request->msg.hdr.type != MG_CTL_GUARD)
		return "it passed descriptors that nobody asked for";
	return NULL;
}

/* One datagram. False: nothing more to read now, or the client was dropped. */
static bool read_one(struct client *client)
{
	struct mg_request *request = mg_request_new();
	struct mg_closer *closer = client->attach->conf.guards->closer;
	struct mg_attach_in in;
	const char *fault;

	if (request == NULL) {
		hang_up(client, "out of memory");
		return false;
	}
	mg_attach_recv(client->source.fd, &request->msg, &in);
	fault = fault_of(request, &in);
	if (fault == NULL) {
		dispatch_take(client, request, &in);
	} else {
		mg_request_free(request);
		if (in.len != -EAGAIN && in.len != -EINTR)
			hang_up(client, fault);
	}
	for (uint32_t i = 0; i < in.nr_fds; i++)
		if (in.fds[i] >= 0)
			mg_closer_push(closer, in.fds[i], client->peer.uid);
	return fault == NULL;
}

static void write_out(struct client *client)
{
	while (client->nr_out > 0) {
		struct mg_request *request = mg_container_of(mg_list_first(&client->out),
							     struct mg_request, node);
		int err = send_msg(client, &request->msg, NULL, 0);

		if (err == -EAGAIN)
			return;
		if (err < 0) {
			hang_up(client, strerror(-err));
			return;
		}
		mg_list_remove(&request->node);
		client->nr_out--;
		mg_request_free(request);
		mg_loop_timer_stop(&client->stall);
		if (client->nr_out > 0)
			mg_loop_timer_set(client->attach->conf.loop, &client->stall,
					  mg_loop_now_ns() + MG_ATTACH_STALL_NS);
	}
}

/* At most a pipeline per turn, so that one client cannot keep the thread. */
static void on_client(struct mg_loop_source *source, uint32_t events)
{
	struct client *client = mg_container_of(source, struct client, source);

	client->nr_requests++; /* holds the object */
	if ((events & EPOLLOUT) != 0)
		write_out(client);
	for (int i = 0;
	     i < MG_ATTACH_PIPELINE && client->source.fd >= 0 && (events & EPOLLIN) != 0 &&
	     client->nr_requests - 1 + client->nr_out < MG_ATTACH_PIPELINE;
	     i++) {
		if (!read_one(client))
			break;
	}
	/* A hang-up with nothing (more) to read. */
	if (client->source.fd >= 0 && (events & (EPOLLHUP | EPOLLERR)) != 0 &&
	    (events & EPOLLIN) == 0)
		hang_up(client, "it has gone");
	client->nr_requests--;
	watch(client);
	maybe_free(client);
}

/* Is there room for one more without a session? So that no user keeps the others out, nor all together the operator. */
static bool has_room(const struct mg_attach *attach, const struct mg_peer *peer)
{
	const struct mg_attach_conf *conf = &attach->conf;
	uint32_t max = conf->sessions->nr_sessions + MG_ATTACH_UNATTACHED_MAX;
	uint32_t of_user = 0;

	if (mg_access_is_admin(conf->access, peer->uid))
		return attach->nr_clients < max + MG_ATTACH_UNATTACHED_MAX;
	MG_LIST_FOREACH(it, &attach->clients) {
		const struct client *other = mg_container_of(it, struct client, node);

		of_user += other->session == NULL && other->peer.uid == peer->uid;
	}
	return attach->nr_clients < max && of_user < MG_ATTACH_UNATTACHED_USER_MAX;
}

static void add_client(struct mg_attach *attach, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	int size = SNDBUF_BYTES;

	if (client == NULL || mg_peer_get(fd, &client->peer) < 0 ||
	    !has_room(attach, &client->peer))
		goto refuse;
	/* So that the largest message always fits into an empty socket; the default does too, usually. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	mg_attach_recv_init(fd);
	client->attach = attach;
	client->source = (struct mg_loop_source){ .fd = fd, .fn = on_client };
	client->events = EPOLLIN;
	mg_list_init(&client->out);
	mg_loop_timer_init(&client->stall, on_stall);
	if (mg_loop_add(attach->conf.loop, &client->source, EPOLLIN) < 0)
		goto refuse;
	mg_list_push_back(&attach->clients, &client->node);
	attach->nr_clients++;
	return;

refuse:
	close(fd);
	free(client);
}

static void on_retry(struct mg_loop_timer *timer)
{
	struct mg_attach *attach = mg_container_of(timer, struct mg_attach, retry);

	if (attach->listener.fd >= 0)
		mg_loop_change(attach->conf.loop, &attach->listener, EPOLLIN);
}

static void on_listener(struct mg_loop_source *source, uint32_t events)
{
	struct mg_attach *attach = mg_container_of(source, struct mg_attach, listener);
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events; /* EPOLLIN */
	if (fd >= 0) {
		add_client(attach, fd);
		return;
	}
	if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
		return;
	mg_log(attach->conf.log, MG_LOG_WARN, "attach", "event=accept error=\"%s\"",
	       strerror(errno));
	mg_loop_change(attach->conf.loop, source, 0);
	mg_loop_timer_set(attach->conf.loop, &attach->retry, mg_loop_now_ns() + RETRY_NS);
}

int mg_attach_open(struct mg_attach *attach, const struct mg_attach_conf *conf, int fd_take)
{
	int err;

	*attach = (struct mg_attach){ .conf = *conf,
				      .listener = { .fd = fd_take, .fn = on_listener } };
	mg_list_init(&attach->clients);
	mg_loop_timer_init(&attach->retry, on_retry);
	err = mg_loop_add(conf->loop, &attach->listener, EPOLLIN);
	if (err < 0) {
		close(fd_take);
		attach->listener.fd = -1;
	}
	return err;
}

void mg_attach_drain(struct mg_attach *attach)
{
	attach->is_closed = true;
	mg_loop_timer_stop(&attach->retry);
	if (attach->listener.fd < 0)
		return;
	mg_loop_remove(attach->conf.loop, &attach->listener);
	close(attach->listener.fd);
	attach->listener.fd = -1;
}

void mg_attach_close(struct mg_attach *attach)
{
	mg_attach_drain(attach);
	MG_LIST_FOREACH_SAFE(it, &attach->clients)
		drop(mg_container_of(it, struct client, node), "the daemon is stopping");
}

void mg_attach_kick(struct mg_attach *attach, const struct mg_app *app)
{
	MG_LIST_FOREACH_SAFE(it, &attach->clients) {
		struct client *client = mg_container_of(it, struct client, node);

		if (client->session != NULL && &client->session->region->app == app)
			drop(client, "it broke its shared memory");
	}
}
