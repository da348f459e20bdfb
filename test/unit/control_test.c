/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_test.c - the control plane as clients see it: one table of requests, sent over the attach socket and
 * over gRPC (TCP and unix) by the transports of libmango to a real control thread with a made-up slow path; and
 * attaching, forking, dying, misbehaving and draining.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>

#include "daemon/control.h"
#include "libclient/core/transport.h"
#include "libclient/core/transport_local.h"
#include "test/lib/fake_slow.h"

extern const struct mg_transport_ops mango_transport_module;

#define NR_WORKERS 2
#define EPOCH 0x1122334455667788ull

struct world {
	struct mg_conf conf;
	struct mg_log log;
	struct fake_slow slow;
	struct mg_info info;
	struct mg_slow_limits limits;
	struct mg_control control;
	pthread_t thread;
	bool is_running;
	_Atomic int nr_conf_changed;
	_Atomic int nr_reloads;
	char dir[64];
	char attach_path[128];
	char grpc_unix[160];
	char grpc_tcp[64];
};

static struct world world;

static uint64_t now_ms(void)
{
	return mg_loop_now_ns() / 1000000;
}

static void nap_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* Waits until a counter has the value; at most two seconds. */
#define AWAIT(expr)                                \
	do {                                       \
		uint64_t end_ = now_ms() + 2000;   \
		while (!(expr) && now_ms() < end_) \
			nap_ms(1);                 \
		assert_true(expr);                 \
	} while (0)

static void conf_changed(void *ctx)
{
	((struct world *)ctx)->nr_conf_changed++;
}

static void reload(void *ctx)
{
	((struct world *)ctx)->nr_reloads++;
}

static bool counter(void *ctx, uint32_t i, struct mg_ctl_counter *ret)
{
	(void)ctx;
	if (i >= 2)
		return false;
	(void)snprintf(ret->name, sizeof(ret->name), "own.%u", i);
	ret->value = i + 100;
	return true;
}

static uint16_t free_port(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	close(fd);
	return ntohs(sa.sin_port);
}

static void *run(void *arg)
{
	(void)mg_control_run(&((struct world *)arg)->control);
	return NULL;
}

static void make_conf(struct world *w)
{
	mg_conf_init(&w->conf);
	(void)snprintf(w->conf.runtime_dir, sizeof(w->conf.runtime_dir), "%s/run/deep", w->dir);
	(void)snprintf(w->conf.instance, sizeof(w->conf.instance), "t");
	w->conf.app.region_bytes = 64 << 20;
	w->conf.app.connections_max = 256;
	w->conf.app.listeners_max = 4;
	w->conf.app.sessions_max = 8;
	w->conf.ipc.grpc.listen_count = 2;
	(void)snprintf(w->conf.ipc.grpc.listen[0], MG_CONF_TEXT_MAX, "%s", w->grpc_tcp);
	(void)snprintf(w->conf.ipc.grpc.listen[1], MG_CONF_TEXT_MAX, "unix:%%t/%%i/grpc.sock");
	(void)snprintf(w->grpc_unix, sizeof(w->grpc_unix), "unix:%s/t/grpc.sock",
		       w->conf.runtime_dir);
	(void)snprintf(w->attach_path, sizeof(w->attach_path), "%s/t/attach.sock",
		       w->conf.runtime_dir);
}

static int open_doorbell(void *ctx, uint32_t worker)
{
	(void)ctx;
	return worker < NR_WORKERS ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -EINVAL;
}

static int open_control(struct world *w, struct mg_control *control, char *err, size_t errlen)
{
	const struct mg_control_conf conf = {
		.log = &w->log,
		.conf = &w->conf,
		.ctx = w,
		.conf_changed = conf_changed,
		.reload = reload,
		.counter = counter,
	};
	const struct mg_control_parts parts = {
		.limits = &w->limits,
		.link = &w->slow.link,
		.daemon_epoch = EPOCH,
		.info = &w->info,
		.doorbells = { open_doorbell, w },
		.nr_workers = NR_WORKERS,
	};
	int res;

	memset(control, 0, sizeof(*control));
	res = mg_control_open(control, &conf, err, errlen);
	return res < 0 ? res : mg_control_start(control, &parts, err, errlen);
}

static int setup(void **state)
{
	struct world *w = &world;
	char err[512] = "";

	*state = w;
	memset(w, 0, sizeof(*w));
	w->log.level = getenv("MANGO_TEST_LOG") != NULL ? MG_LOG_DEBUG : MG_LOG_ERROR;
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/mango-control-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->grpc_tcp, sizeof(w->grpc_tcp), "127.0.0.1:%u", free_port());
	make_conf(w);
	w->limits = (struct mg_slow_limits){ .nr_workers = NR_WORKERS,
					     .apps_max = 8,
					     .app_windows_max = 256,
					     .app_payload_bytes_max = 64 << 20 };
	assert_int_equal(fake_slow_open(&w->slow), 0);
	assert_int_equal(mg_info_open(&w->info, NR_WORKERS, EPOCH), 0);
	if (open_control(w, &w->control, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	assert_int_equal(pthread_create(&w->thread, NULL, run, w), 0);
	w->is_running = true;
	return 0;
}

static void stop(struct world *w)
{
	if (!w->is_running)
		return;
	assert_int_equal(pthread_kill(w->thread, 0), 0);
	kill(getpid(), SIGTERM); /* blocked everywhere: the control thread reads it */
	assert_int_equal(pthread_join(w->thread, NULL), 0);
	w->is_running = false;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char path[256];

	stop(w);
	mg_control_close(&w->control);
	fake_slow_close(&w->slow);
	mg_info_close(&w->info);
	/* Nothing of the instance is left: its folder is gone, and ours are empty. */
	assert_int_equal(rmdir(w->conf.runtime_dir), 0);
	(void)snprintf(path, sizeof(path), "%s/run", w->dir);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(w->dir), 0);
	return 0;
}

/* ---- a bare client of the attach socket ---- */

struct attached {
	int fd;
	struct mg_ctl_attached a;
	uint32_t nr_fds;
	int fds[3 + MG_SHM_WORKERS_MAX];
};

static int raw_connect(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	assert_true(strlen(path) < sizeof(sa.sun_path));
	memcpy(sa.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* Sends msg, receives the reply over it. Returns bytes; 0: hung up. */
static ssize_t raw_call(int fd, struct mg_ctl_msg *msg, size_t len, struct attached *at)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 32)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	ssize_t n;

	if (len > 0 && send(fd, msg, len, MSG_NOSIGNAL) < 0)
		return 0;
	n = recvmsg(fd, &mh, 0);
	if (at != NULL)
		at->nr_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); n > 0 && c != NULL && at != NULL;
	     c = CMSG_NXTHDR(&mh, c)) {
		at->nr_fds = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(at->fds, CMSG_DATA(c), at->nr_fds * sizeof(int));
	}
	return n < 0 ? 0 : n;
}

static int raw_attach(int fd, struct attached *at, const struct mg_ctl_attach *attach)
{
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	int status;

	mg_ctl_init(msg, MG_CTL_ATTACH, 5, 1);
	msg->attach[0] = *attach;
	memset(at, 0, sizeof(*at));
	at->fd = fd;
	assert_true(raw_call(fd, msg, msg->hdr.bytes, at) > 0);
	assert_int_equal(mg_ctl_check(msg, msg->hdr.bytes), 0);
	assert_int_equal(msg->hdr.type, MG_CTL_ATTACH | MG_CTL_REPLY);
	assert_int_equal(msg->hdr.id, 5);
	status = msg->hdr.status;
	if (status == 0)
		at->a = msg->attached[0];
	else
		assert_true(msg->hdr.text[0] != '\0');
	free(msg);
	return status;
}

static struct mg_ctl_attach attach_args(void)
{
	struct mg_ctl_attach a = { .abi_major = MG_SHM_ABI_MAJOR,
				   .abi_minor = MG_SHM_ABI_MINOR,
				   .abi_hash = mg_shm_abi_hash(),
				   .program = "test" };
	return a;
}

static void attach(struct world *w, struct attached *at)
{
	struct mg_ctl_attach a = attach_args();
	int fd = raw_connect(w->attach_path);

	assert_true(fd >= 0);
	assert_int_equal(raw_attach(fd, at, &a), 0);
}

static void detach(struct attached *at)
{
	for (uint32_t i = 0; i < at->nr_fds; i++)
		close(at->fds[i]);
	close(at->fd);
}

/* ---- one table of requests for all transports ---- */

struct row {
	const char *name;
	uint16_t type;
	uint32_t count;
	bool needs_token;
	int status;
	void (*fill)(struct mg_ctl_msg *msg);
	void (*check)(const struct mg_ctl_msg *msg);
};

static void check_health(const struct mg_ctl_msg *msg)
{
	assert_int_equal(msg->hdr.count, 1);
	assert_int_equal(msg->health[0].serving, MG_CTL_SERVING);
	assert_int_equal(msg->health[0].pid, getpid());
	assert_int_equal(msg->health[0].nr_workers, NR_WORKERS);
	assert_int_equal(msg->health[0].nr_connections, FAKE_SLOW_CONNECTIONS);
	assert_int_equal(msg->health[0].daemon_epoch, EPOCH);
	assert_string_equal(msg->health[0].attach_path, world.attach_path);
	assert_string_equal(msg->health[0].instance, "t");
}

static void fill_get(struct mg_ctl_msg *msg)
{
	(void)snprintf(msg->kv[0].key, sizeof(msg->kv[0].key), "tcp.rto_min_ms");
}

static void check_get(const struct mg_ctl_msg *msg)
{
	assert_int_equal(msg->hdr.count, 1);
	assert_string_equal(msg->kv[0].key, "tcp.rto_min_ms");
	assert_string_equal(msg->kv[0].deflt, "200");
	assert_true(msg->kv[0].flags & MG_CTL_KV_RUNTIME);
}

static void fill_get_unknown(struct mg_ctl_msg *msg)
{
	(void)snprintf(msg->kv[0].key, sizeof(msg->kv[0].key), "tcp.no_such_key");
}

static void check_text(const struct mg_ctl_msg *msg)
{
	assert_true(strlen(msg->hdr.text) > 0);
}

static void check_get_all(const struct mg_ctl_msg *msg)
{
	assert_true(msg->hdr.count > 20);
	assert_string_equal(msg->kv[0].key, "instance");
}

static void fill_set(struct mg_ctl_msg *msg)
{
	(void)snprintf(msg->kv[0].key, sizeof(msg->kv[0].key), "tcp.rto_min_ms");
	(void)snprintf(msg->kv[0].value, sizeof(msg->kv[0].value), "150");
	(void)snprintf(msg->kv[1].key, sizeof(msg->kv[1].key), "tcp.nagle");
	(void)snprintf(msg->kv[1].value, sizeof(msg->kv[1].value), "false");
}

static void check_set(const struct mg_ctl_msg *msg)
{
	assert_int_equal(msg->hdr.count, 2);
	assert_string_equal(msg->kv[0].value, "150");
	assert_string_equal(msg->kv[1].value, "false");
}

static void fill_set_bad(struct mg_ctl_msg *msg)
{
	(void)snprintf(msg->kv[0].key, sizeof(msg->kv[0].key), "tcp.rto_min_ms");
	(void)snprintf(msg->kv[0].value, sizeof(msg->kv[0].value), "99");
	(void)snprintf(msg->kv[1].key, sizeof(msg->kv[1].key), "tcp.nagle");
	(void)snprintf(msg->kv[1].value, sizeof(msg->kv[1].value), "perhaps");
}

static void fill_listen(struct mg_ctl_msg *msg)
{
	msg->listen[0].addr = mg_addr_v4(0);
	msg->listen[0].backlog = 77;
	msg->listen[0].cookie = 0xfeedfacecafebeefull;
}

static void check_listen(const struct mg_ctl_msg *msg)
{
	assert_int_equal(msg->hdr.count, 1);
	assert_int_equal(msg->listen[0].port, 49152);
	assert_int_equal(msg->listen[0].backlog, 77);
	assert_int_equal(msg->listen[0].cookie, 0xfeedfacecafebeefull);
}

static void fill_connect(struct mg_ctl_msg *msg)
{
	for (uint32_t i = 0; i < 40; i++) {
		msg->connect[i].tuple.raddr = mg_addr_v4(0x0a4d0002);
		msg->connect[i].tuple.rport = (uint16_t)(1 + i);
		msg->connect[i].cookie = i;
	}
}

static void check_connect(const struct mg_ctl_msg *msg)
{
	assert_int_equal(msg->hdr.count, 40);
	for (uint32_t i = 0; i < 40; i++) {
		assert_int_equal(msg->connect[i].gen, 1);
		assert_int_equal(msg->connect[i].cookie, i);
		assert_int_equal(msg->connect[i].tuple.rport, 1 + i);
	}
	assert_int_equal(msg->connect[39].window, msg->connect[0].window + 39);
}

static void fill_unknown_listener(struct mg_ctl_msg *msg)
{
	msg->listener[0].listener = 4000000;
}

static void fill_info(struct mg_ctl_msg *msg)
{
	msg->opt[0].option = MG_CTL_OPT_INFO;
}

static void check_info(const struct mg_ctl_msg *msg)
{
	assert_int_equal(msg->opt[0].value, 4711);
	assert_int_equal(msg->opt[0].info.mss, 1448);
}

static void check_connections(const struct mg_ctl_msg *msg)
{
	assert_int_equal(msg->hdr.count, FAKE_SLOW_CONNECTIONS);
	assert_int_equal(msg->conn_info[2].tuple.lport, 7002);
	assert_string_equal(msg->conn_info[0].cc, "cubic");
}

static void check_stats(const struct mg_ctl_msg *msg)
{
	assert_int_equal(msg->hdr.count, 2);
	assert_int_equal(msg->hdr.more, 1);
	assert_string_equal(msg->counter[1].name, "own.1");
	assert_int_equal(msg->counter[1].value, 101);
}

static const struct row rows[] = {
	{ "health", MG_CTL_HEALTH_CHECK, 0, false, 0, NULL, check_health },
	{ "get one", MG_CTL_GET_CONFIG, 1, false, 0, fill_get, check_get },
	{ "get unknown", MG_CTL_GET_CONFIG, 1, false, -ENOENT, fill_get_unknown, check_text },
	{ "get all", MG_CTL_GET_CONFIG, 1, false, 0, NULL, check_get_all },
	{ "set two", MG_CTL_SET_CONFIG, 2, false, 0, fill_set, check_set },
	{ "set, one wrong", MG_CTL_SET_CONFIG, 2, false, -EINVAL, fill_set_bad, check_text },
	{ "set none", MG_CTL_SET_CONFIG, 0, false, -EINVAL, NULL, check_text },
	{ "listen", MG_CTL_TCP_LISTEN, 1, true, 0, fill_listen, check_listen },
	{ "accept", MG_CTL_TCP_ACCEPT, 3, true, 0, NULL, NULL },
	{ "connect", MG_CTL_TCP_CONNECT, 40, true, 0, fill_connect, check_connect },
	{ "close", MG_CTL_TCP_CLOSE, 100, true, 0, NULL, NULL },
	{ "abort", MG_CTL_TCP_ABORT, 1, true, 0, NULL, NULL },
	{ "set option", MG_CTL_TCP_SET_OPTION, 1, true, 0, NULL, NULL },
	{ "get option", MG_CTL_TCP_GET_OPTION, 1, true, 0, fill_info, check_info },
	{ "unknown listener", MG_CTL_TCP_LISTEN_CLOSE, 1, true, -ENOENT, fill_unknown_listener,
	  check_text },
	{ "connections", MG_CTL_CONNECTIONS, 0, false, 0, NULL, check_connections },
	{ "listeners", MG_CTL_LISTENERS, 0, false, 0, NULL, NULL },
	{ "stats", MG_CTL_STATS, 0, false, 0, NULL, check_stats },
};

static const struct mg_transport_params params = { sizeof(params), 2000, 5000 };

static void run_row(const struct mg_transport_ops *ops, struct mg_transport *t,
		    const struct row *row, const struct mg_ctl_token *token)
{
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));

	mg_ctl_init(msg, row->type, 0, row->count);
	memset(msg->items, 0, sizeof(msg->items));
	if (row->needs_token && token != NULL)
		msg->hdr.token = *token;
	if (row->fill != NULL)
		row->fill(msg);
	assert_int_equal(ops->request(t, msg), 0);
	if (msg->hdr.status != row->status)
		fail_msg("%s: %s: status %d \"%s\", wanted %d", ops->name, row->name,
			 msg->hdr.status, msg->hdr.text, row->status);
	assert_int_equal(msg->hdr.type, row->type | MG_CTL_REPLY);
	assert_int_equal(mg_ctl_check(msg, msg->hdr.bytes), 0);
	if (row->check != NULL)
		row->check(msg);
	free(msg);
}

static void run_rows(struct world *w, const struct mg_transport_ops *ops, const char *address)
{
	struct mg_transport *t = NULL;
	struct attached at;

	attach(w, &at);
	assert_int_equal(ops->open(address, &params, &t), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(ops, t, &rows[i], &at.a.token);
	assert_int_equal(w->conf.tcp.rto_min_ms, 150); /* and not 99: all or nothing */
	ops->close(t);
	detach(&at);
}

static void test_table_local(void **state)
{
	struct world *w = *state;

	run_rows(w, &mg_transport_local_ops, w->attach_path);
}

static void test_table_grpc_tcp(void **state)
{
	struct world *w = *state;

	run_rows(w, &mango_transport_module, w->grpc_tcp);
}

static void test_table_grpc_unix(void **state)
{
	struct world *w = *state;

	run_rows(w, &mango_transport_module, w->grpc_unix);
}

static void expect_status(const struct mg_transport_ops *ops, struct mg_transport *t, uint16_t type,
			  const struct mg_ctl_token *token, int status)
{
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));

	mg_ctl_init(msg, type, 0, 1);
	memset(msg->items, 0, mg_ctl_item_bytes(type));
	if (token != NULL)
		msg->hdr.token = *token;
	assert_int_equal(ops->request(t, msg), 0);
	assert_int_equal(msg->hdr.status, status);
	free(msg);
}

static void test_no_session(void **state)
{
	struct world *w = *state;
	struct mg_ctl_token wrong = { { 1, 2, 3 } };
	struct mg_transport *t;

	assert_int_equal(mg_transport_local_ops.open(w->attach_path, &params, &t), 0);
	expect_status(&mg_transport_local_ops, t, MG_CTL_TCP_LISTEN, NULL, -ESTALE);
	expect_status(&mg_transport_local_ops, t, MG_CTL_TCP_LISTEN, &wrong, -ESTALE);
	mg_transport_local_ops.close(t);
	for (int i = 0; i < 50;
	     i++) { /* the reply ends the stream, and has to come through all the same */
		assert_int_equal(mango_transport_module.open(w->grpc_tcp, &params, &t), 0);
		expect_status(&mango_transport_module, t, MG_CTL_TCP_LISTEN, &wrong, -ESTALE);
		mango_transport_module.close(t);
	}
	assert_int_equal(w->slow.nr_ctl, 0);
}

static void test_listeners_limit(void **state)
{
	struct world *w = *state;
	struct mg_transport *t;
	struct attached at;

	attach(w, &at);
	assert_int_equal(mango_transport_module.open(w->grpc_unix, &params, &t), 0);
	for (int i = 0; i < 4; i++)
		expect_status(&mango_transport_module, t, MG_CTL_TCP_LISTEN, &at.a.token, 0);
	expect_status(&mango_transport_module, t, MG_CTL_TCP_LISTEN, &at.a.token, -EMFILE);
	expect_status(&mango_transport_module, t, MG_CTL_TCP_LISTEN_CLOSE, &at.a.token, 0);
	expect_status(&mango_transport_module, t, MG_CTL_TCP_LISTEN, &at.a.token, 0);
	mango_transport_module.close(t);
	detach(&at);
}

/* ---- the gRPC transport ---- */

static void test_refused(void **state)
{
	struct world *w = *state;
	struct mg_transport *t;
	uint64_t start = now_ms();
	char address[64];

	(void)w;
	(void)snprintf(address, sizeof(address), "localhost:%u", free_port());
	assert_int_equal(mango_transport_module.open(address, &params, &t), -ECONNREFUSED);
	assert_int_equal(mango_transport_module.open("unix:/no/such/socket", &params, &t),
			 -ECONNREFUSED);
	assert_int_equal(mango_transport_module.open("nonsense", &params, &t), -EINVAL);
	assert_true(now_ms() - start < 200);
}

/* Somebody listens and says nothing. */
static void test_silent(void **state)
{
	const struct mg_transport_params quick = { sizeof(quick), 200, 200 };
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t start = now_ms();
	struct mg_transport *t;
	char address[64];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(sa.sin_port));
	assert_int_equal(mango_transport_module.open(address, &quick, &t), -ETIMEDOUT);
	assert_true(now_ms() - start < 1500);
	close(fd);
}

struct hammer {
	struct world *w;
	const struct mg_transport_ops *ops;
	struct mg_transport *t;
	struct mg_ctl_token token;
	int nr_ok;
};

static void *hammer(void *arg)
{
	struct hammer *h = arg;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));

	for (int i = 0; i < 200; i++) {
		mg_ctl_init(msg, MG_CTL_TCP_CONNECT, 0, 1);
		memset(msg->items, 0, sizeof(msg->connect[0]));
		msg->hdr.token = h->token;
		msg->connect[0].cookie = (uint64_t)(uintptr_t)h + (uint64_t)i;
		if (h->ops->request(h->t, msg) == 0 && msg->hdr.status == 0 &&
		    msg->connect[0].cookie == (uint64_t)(uintptr_t)h + (uint64_t)i)
			h->nr_ok++;
	}
	free(msg);
	return NULL;
}

static void hammer_all(struct world *w, const struct mg_transport_ops *ops, const char *address)
{
	pthread_t threads[8];
	struct hammer hammers[8];
	struct attached at;
	struct mg_transport *t;

	attach(w, &at);
	assert_int_equal(ops->open(address, &params, &t), 0);
	for (int i = 0; i < 8; i++) {
		hammers[i] = (struct hammer){ w, ops, t, at.a.token, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &hammers[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(hammers[i].nr_ok, 200);
	}
	ops->close(t);
	detach(&at);
}

static void test_many_threads_local(void **state)
{
	struct world *w = *state;

	hammer_all(w, &mg_transport_local_ops, w->attach_path);
}

static void test_many_threads_grpc(void **state)
{
	struct world *w = *state;

	hammer_all(w, &mango_transport_module, w->grpc_tcp);
}

/* More requests under way than the server takes at a time; the slow path holds them back and then lets go. */
static void test_pipelining(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	struct mg_transport *t;
	struct attached at;

	attach(w, &at);
	assert_int_equal(mango_transport_module.open(w->grpc_tcp, &params, &t), 0);
	w->slow.hold = true;
	for (int i = 0; i < 200; i++) {
		mg_ctl_init(msg, MG_CTL_TCP_ACCEPT, 0, 1);
		memset(msg->items, 0, sizeof(msg->accept[0]));
		msg->hdr.token = at.a.token;
		assert_int_equal(mango_transport_module.send(t, msg), 0);
	}
	AWAIT(w->slow.nr_ctl >= MG_GRPC_PIPELINE);
	nap_ms(50);
	assert_int_equal(w->slow.nr_ctl, MG_GRPC_PIPELINE);
	fake_slow_release(&w->slow);
	AWAIT(w->slow.nr_ctl == 200);
	mango_transport_module.close(t);
	detach(&at);
	free(msg);
}

/* The session dies: requests on its stream fail, and the transport is still good for others. */
static void test_stream_ends_with_session(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	struct mg_transport *t;
	struct attached at;
	int err;

	attach(w, &at);
	assert_int_equal(mango_transport_module.open(w->grpc_tcp, &params, &t), 0);
	expect_status(&mango_transport_module, t, MG_CTL_TCP_LISTEN, &at.a.token, 0);
	detach(&at);
	AWAIT(w->slow.nr_apps_deleted == 1);
	nap_ms(50);
	mg_ctl_init(msg, MG_CTL_TCP_LISTEN, 0, 1);
	memset(msg->items, 0, sizeof(msg->listen[0]));
	msg->hdr.token = at.a.token;
	err = mango_transport_module.request(t, msg);
	assert_true(err == -ECONNRESET || (err == 0 && msg->hdr.status == -ESTALE));
	attach(w, &at);
	nap_ms(50);
	expect_status(&mango_transport_module, t, MG_CTL_TCP_LISTEN, &at.a.token, 0);
	mango_transport_module.close(t);
	detach(&at);
	free(msg);
}

static void *abandon_soon(void *arg)
{
	nap_ms(100);
	mango_transport_module.abandon(arg);
	return NULL;
}

static void test_abandon(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	struct mg_transport *t;
	struct attached at;
	pthread_t thread;

	attach(w, &at);
	assert_int_equal(mango_transport_module.open(w->grpc_tcp, &params, &t), 0);
	w->slow.hold = true;
	pthread_create(&thread, NULL, abandon_soon, t);
	mg_ctl_init(msg, MG_CTL_TCP_ACCEPT, 0, 1);
	memset(msg->items, 0, sizeof(msg->accept[0]));
	msg->hdr.token = at.a.token;
	assert_int_equal(mango_transport_module.request(t, msg), -ECONNRESET);
	mg_ctl_init(msg, MG_CTL_HEALTH_CHECK, 0, 0);
	assert_int_equal(mango_transport_module.request(t, msg), -ECONNRESET);
	pthread_join(thread, NULL);
	fake_slow_release(&w->slow);
	mango_transport_module.close(t);
	detach(&at);
	free(msg);
}

static void test_request_timeout(void **state)
{
	const struct mg_transport_params quick = { sizeof(quick), 2000, 100 };
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	struct mg_transport *t;
	struct attached at;

	attach(w, &at);
	assert_int_equal(mango_transport_module.open(w->grpc_tcp, &quick, &t), 0);
	w->slow.hold = true;
	mg_ctl_init(msg, MG_CTL_TCP_ACCEPT, 0, 1);
	memset(msg->items, 0, sizeof(msg->accept[0]));
	msg->hdr.token = at.a.token;
	assert_int_equal(mango_transport_module.request(t, msg), -ETIMEDOUT);
	mg_ctl_init(msg, MG_CTL_CONNECTIONS, 0, 0);
	assert_int_equal(mango_transport_module.request(t, msg), -ETIMEDOUT);
	fake_slow_release(&w->slow);
	nap_ms(50);
	expect_status(&mango_transport_module, t, MG_CTL_TCP_LISTEN, &at.a.token, 0);
	mango_transport_module.close(t);
	detach(&at);
	free(msg);
}

/* ---- attaching ---- */

/* Every write of ours wakes; whatever the application does to its end, no write of ours blocks. */
static void check_wake(const struct mg_app *app, int end)
{
	struct pollfd pfd = { .fd = end, .events = POLLIN };
	const uint64_t one = 1;
	uint64_t got;

	assert_int_equal(fcntl(app->contexts[0].wake_fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(poll(&pfd, 1, 0), 0);
		assert_int_equal(write(app->contexts[0].wake_fd, &one, sizeof(one)), sizeof(one));
		assert_int_equal(poll(&pfd, 1, 0), 1);
		assert_int_equal(read(end, &got, sizeof(got)), sizeof(got));
	}
	assert_int_equal(fcntl(end, F_SETFL, 0), 0);
	assert_int_equal(send(end, &one, sizeof(one), MSG_NOSIGNAL | MSG_DONTWAIT), -1);
	for (int i = 0; i < 1000; i++)
		(void)!write(app->contexts[0].wake_fd, &one, sizeof(one));
	assert_int_equal(write(app->contexts[0].wake_fd, &one, sizeof(one)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(poll(&pfd, 1, 0), 1);
	assert_int_equal(shutdown(end, SHUT_RDWR), 0);
	assert_int_equal(write(app->contexts[0].wake_fd, &one, sizeof(one)), -1); /* no SIGPIPE */
}

static void test_attach(void **state)
{
	struct world *w = *state;
	struct mg_shm_header *hdr;
	struct mg_shm_info *info;
	struct attached at;

	attach(w, &at);
	assert_int_equal(at.nr_fds, 3 + NR_WORKERS);
	assert_int_equal(at.a.nr_workers, NR_WORKERS);
	assert_int_equal(at.a.context, 0);
	assert_int_equal(at.a.daemon_epoch, EPOCH);
	hdr = mmap(NULL, at.a.region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, at.fds[0], 0);
	assert_true(hdr != MAP_FAILED);
	assert_int_equal(hdr->magic, MG_SHM_MAGIC);
	assert_int_equal(hdr->abi_hash, mg_shm_abi_hash());
	assert_int_equal(hdr->nr_windows, 256);
	assert_int_equal(hdr->total_bytes, at.a.region_bytes);
	munmap(hdr, at.a.region_bytes);
	/* Sealed: neither size nor seals can be changed; the info page cannot be written. */
	assert_int_equal(ftruncate(at.fds[0], 4096), -1);
	assert_int_equal(ftruncate(at.fds[0], (off_t)at.a.region_bytes * 2), -1);
	assert_int_equal(fcntl(at.fds[0], F_ADD_SEALS, F_SEAL_WRITE), -1);
	info = mmap(NULL, sizeof(*info), PROT_READ | PROT_WRITE, MAP_SHARED, at.fds[1], 0);
	assert_true(info == MAP_FAILED);
	info = mmap(NULL, sizeof(*info), PROT_READ, MAP_SHARED, at.fds[1], 0);
	assert_true(info != MAP_FAILED);
	assert_int_equal(info->magic, MG_SHM_MAGIC);
	munmap(info, sizeof(*info));
	assert_int_equal(w->slow.nr_apps_added, 1);
	check_wake(w->slow.app, at.fds[2]);
	detach(&at);
	AWAIT(w->slow.nr_apps_deleted == 1);
}

static void test_attach_abi(void **state)
{
	struct world *w = *state;
	struct mg_ctl_attach a = attach_args();
	struct attached at;
	int fd = raw_connect(w->attach_path);

	a.abi_hash ^= 1;
	assert_int_equal(raw_attach(fd, &at, &a), -EPROTO);
	a = attach_args();
	a.abi_major++;
	assert_int_equal(raw_attach(fd, &at, &a), -EPROTO);
	a = attach_args();
	assert_int_equal(raw_attach(fd, &at, &a), 0); /* the connection is still good */
	assert_int_equal(raw_attach(fd, &at, &a), -EALREADY);
	close(fd);
}

static void test_attach_limit(void **state)
{
	struct world *w = *state;
	struct mg_ctl_attach a = attach_args();
	struct attached at[8];
	struct attached more;
	int fd;

	for (int i = 0; i < 8; i++)
		attach(w, &at[i]);
	fd = raw_connect(w->attach_path);
	assert_int_equal(raw_attach(fd, &more, &a), -EDQUOT);
	detach(&at[3]);
	AWAIT(w->slow.nr_apps_deleted == 1);
	nap_ms(20);
	assert_int_equal(raw_attach(fd, &more, &a), 0);
	for (int i = 0; i < 8; i++) {
		if (i != 3)
			detach(&at[i]);
	}
	detach(&more);
	AWAIT(w->slow.nr_apps_deleted == 9);
}

static void test_contexts_and_fork(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	struct mg_ctl_attach a = attach_args();
	struct attached parent;
	struct attached child;
	struct attached extra = { 0 };
	int fd;

	attach(w, &parent);
	mg_ctl_init(msg, MG_CTL_CONTEXT_OPEN, 9, 0);
	assert_true(raw_call(parent.fd, msg, msg->hdr.bytes, &extra) > 0);
	assert_int_equal(msg->hdr.status, 0);
	assert_int_equal(extra.nr_fds, 1);
	assert_int_equal(msg->attached[0].context, 1);
	a.parent = parent.a.token;
	fd = raw_connect(w->attach_path);
	assert_int_equal(raw_attach(fd, &child, &a), 0);
	assert_int_equal(child.a.context, 2);
	assert_memory_not_equal(&child.a.token, &parent.a.token, sizeof(child.a.token));
	assert_int_equal(w->slow.nr_apps_added, 1); /* the same region */
	detach(&parent);
	nap_ms(50);
	assert_int_equal(w->slow.nr_apps_deleted, 0); /* the child holds it */
	a.parent = parent.a.token;
	fd = raw_connect(w->attach_path);
	assert_int_equal(raw_attach(fd, &extra, &a), -ENOENT); /* that token died */
	close(fd);
	detach(&child);
	AWAIT(w->slow.nr_apps_deleted == 1);
	free(msg);
}

/* ---- guards ---- */

static int nr_open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 65536; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Sends a GUARD with these descriptors. Returns the reply's status, or 1: hung up. */
static int raw_guard(int fd, struct mg_ctl_msg *msg, const int *fds, uint32_t nr)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 253)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = msg, .iov_len = msg->hdr.bytes };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (nr > 0) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nr * sizeof(int));
	}
	if (sendmsg(fd, &mh, MSG_NOSIGNAL) < 0)
		return 1;
	return raw_call(fd, msg, 0, NULL) > 0 ? msg->hdr.status : 1;
}

/* Guards the connection (window, 1) by a fresh pair; returns the application's end. */
static int guard_conn(int fd, uint32_t window, int *ret_status)
{
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	mg_ctl_init(msg, MG_CTL_GUARD, 1, 1);
	msg->guard[0].kind = MG_CTL_GUARD_CONN;
	msg->guard[0].id = window;
	msg->guard[0].gen = 1;
	msg->guard[0].inode = 1000 + window;
	memset(msg->guard[0].blob, 0x5a, sizeof(msg->guard[0].blob));
	*ret_status = raw_guard(fd, msg, &pair[1], 1);
	if (*ret_status == 0) {
		*ret_status = msg->guard[0].status;
		assert_int_equal(msg->guard[0].handle, 0); /* no pointer of the daemon's gets out */
	}
	close(pair[1]);
	free(msg);
	return pair[0];
}

static uint32_t list_guards(int fd, struct mg_ctl_msg *msg)
{
	mg_ctl_init(msg, MG_CTL_GUARDS, 2, 0);
	assert_true(raw_call(fd, msg, msg->hdr.bytes, NULL) > 0);
	assert_int_equal(msg->hdr.status, 0);
	return msg->hdr.count;
}

static void test_guards(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	struct mg_ctl_attach a = attach_args();
	int before = nr_open_fds(), status, ends[3];
	struct attached at, child;

	attach(w, &at);
	for (uint32_t i = 0; i < 3; i++) {
		ends[i] = guard_conn(at.fd, i, &status);
		assert_int_equal(status, 0);
	}
	status = 0;
	close(guard_conn(at.fd, FAKE_SLOW_NO_OBJECT, &status));
	assert_int_equal(status, -ENOENT);
	assert_int_equal(list_guards(at.fd, msg), 3);
	assert_int_equal(msg->guard[1].inode, 1001);
	assert_int_equal(msg->guard[1].blob[31], 0x5a);
	assert_int_equal(msg->guard[1].handle, 0);
	/* A duplicate holds it; the last close does not. */
	status = dup(ends[0]);
	close(ends[0]);
	nap_ms(20);
	assert_int_equal(w->slow.nr_unguards, 0);
	close(status);
	AWAIT(w->slow.nr_unguards == 1);
	/* The process dies; its guards hold the region, and its token `share` opens it. */
	detach(&at);
	AWAIT(w->slow.nr_holders_gone == 1);
	assert_int_equal(w->slow.nr_apps_deleted, 0);
	a.parent = at.a.token;
	status = raw_connect(w->attach_path);
	assert_int_equal(raw_attach(status, &child, &a),
			 -ENOENT); /* the session's own token died */
	close(status);
	a.parent = at.a.share;
	assert_int_equal(raw_attach(raw_connect(w->attach_path), &child, &a), 0);
	assert_int_equal(child.a.app, at.a.app);
	assert_int_equal(w->slow.nr_apps_added, 1);
	assert_int_equal(list_guards(child.fd, msg), 2);
	detach(&child);
	AWAIT(w->slow.nr_holders_gone == 2);
	close(ends[1]);
	AWAIT(w->slow.nr_unguards == 2);
	assert_int_equal(w->slow.nr_apps_deleted, 0);
	close(ends[2]);
	AWAIT(w->slow.nr_apps_deleted == 1);
	AWAIT(nr_open_fds() == before);
	a.parent = at.a.share;
	status = raw_connect(w->attach_path);
	assert_int_equal(raw_attach(status, &child, &a), -ENOENT);
	close(status);
	free(msg);
}

/* The client that passes them is gone, and so are they; nobody else notices. */
static void expect_odd(struct world *w, const int *fds, uint32_t nr)
{
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	struct attached at;

	attach(w, &at);
	mg_ctl_init(msg, MG_CTL_GUARD, 1, nr);
	for (uint32_t i = 0; i < nr; i++)
		msg->guard[i].kind = MG_CTL_GUARD_CONN;
	if (raw_guard(at.fd, msg, fds, nr) != 1)
		assert_int_equal(raw_call(at.fd, msg, 0, NULL), 0);
	detach(&at);
	free(msg);
}

static void test_odd_guards(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	int before = nr_open_fds(), fds[250], pair[2], pipes[2];
	struct attached at, other;

	attach(w, &other);
	fds[0] = open("/dev/null", O_RDWR);
	expect_odd(w, fds, 1);
	close(fds[0]);
	fds[0] = memfd_create("file", 0);
	expect_odd(w, fds, 1);
	close(fds[0]);
	assert_int_equal(pipe(pipes), 0);
	expect_odd(w, pipes, 2);
	close(pipes[0]);
	close(pipes[1]);
	expect_odd(w, &other.fd, 1); /* an attach socket */
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	expect_odd(w, fds, 1);
	close(fds[0]);
	fds[0] = raw_connect(w->attach_path);
	attach(w, &at);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	/* More items than descriptors, and the other way round: refused, the session goes on. */
	mg_ctl_init(msg, MG_CTL_GUARD, 1, 2);
	assert_int_equal(raw_guard(at.fd, msg, pair, 1), -EBADMSG);
	mg_ctl_init(msg, MG_CTL_GUARD, 1, 1);
	assert_int_equal(raw_guard(at.fd, msg, pair, 2), -EBADMSG);
	mg_ctl_init(msg, MG_CTL_GUARD, 1, 0);
	assert_int_equal(raw_guard(at.fd, msg, NULL, 0), -EBADMSG);
	/* Without a session, and with a message that wants none. */
	mg_ctl_init(msg, MG_CTL_GUARD, 1, 1);
	(void)raw_guard(fds[0], msg, pair, 1); /* refused by the kernel, or by us */
	mg_ctl_init(msg, MG_CTL_HEALTH_CHECK, 1, 0);
	(void)raw_guard(at.fd, msg, pair, 1);
	assert_int_equal(raw_call(at.fd, msg, 0, NULL), 0);
	close(fds[0]);
	close(pair[0]);
	close(pair[1]);
	detach(&at);
	/* A pair that hung up before: its object is closed. */
	attach(w, &at);
	close(guard_conn(at.fd, 1, pair));
	AWAIT(w->slow.nr_unguards >= 1);
	detach(&at);
	/* The other one is well. */
	assert_int_equal(list_guards(other.fd, msg), 0);
	detach(&other);
	AWAIT(w->slow.nr_apps_deleted == w->slow.nr_apps_added);
	AWAIT(nr_open_fds() == before);
	free(msg);
}

/* Sends 130 more; their ends go to `ends`. */
static int guard_many(int fd, struct mg_ctl_msg *msg, int *ends)
{
	int fds[130], pair[2], status;

	mg_ctl_init(msg, MG_CTL_GUARD, 1, 130);
	for (uint32_t i = 0; i < 130; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		fds[i] = pair[1];
		ends[i] = pair[0];
		msg->guard[i].kind = MG_CTL_GUARD_CONN;
		msg->guard[i].id = i;
	}
	status = raw_guard(fd, msg, fds, 130);
	for (uint32_t i = 0; i < 130; i++)
		close(fds[i]);
	return status;
}

/* As many as there may be objects, and no more, however often they are sent. */
static void test_thousands_of_guards(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	int before = nr_open_fds(), ends[260], more[130];
	struct attached at;

	attach(w, &at);
	/* 260: 256 connections and 4 listeners */
	assert_int_equal(guard_many(at.fd, msg, ends), 0);
	assert_int_equal(guard_many(at.fd, msg, ends + 130), 0);
	for (int round = 0; round < 75; round++) {
		assert_int_equal(guard_many(at.fd, msg, more), -EDQUOT);
		for (uint32_t i = 0; i < 130; i++)
			close(more[i]);
	}
	assert_int_equal(w->slow.nr_unguards, 0);
	detach(&at);
	for (uint32_t i = 0; i < 260; i++)
		close(ends[i]);
	AWAIT(w->slow.nr_apps_deleted == 1);
	assert_int_equal(w->slow.nr_unguards, 260);
	AWAIT(nr_open_fds() == before);
	free(msg);
}

/* What names a context of another process, or of none. */
static void test_contexts_of_others(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	struct mg_ctl_attach a = attach_args();
	struct attached at, child;

	attach(w, &at);
	a.parent = at.a.share;
	assert_int_equal(raw_attach(raw_connect(w->attach_path), &child, &a), 0);
	for (uint32_t context = 0; context < 40; context++) {
		int want = context == child.a.context ? 0 : -EINVAL;

		mg_ctl_init(msg, MG_CTL_TCP_LISTEN, 1, 1);
		msg->listen[0].context = context;
		assert_true(raw_call(child.fd, msg, msg->hdr.bytes, NULL) > 0);
		assert_int_equal(msg->hdr.status, want);
		mg_ctl_init(msg, MG_CTL_TCP_ACCEPT, 1, 1);
		msg->accept[0].context = context;
		assert_true(raw_call(child.fd, msg, msg->hdr.bytes, NULL) > 0);
		assert_int_equal(msg->hdr.status, want);
		mg_ctl_init(msg, MG_CTL_TCP_MOVE, 1, 1);
		msg->move[0].context = context == 7 ? UINT32_MAX : context;
		assert_true(raw_call(child.fd, msg, msg->hdr.bytes, NULL) > 0);
		assert_int_equal(msg->hdr.status, want);
	}
	detach(&child);
	detach(&at);
	free(msg);
}

/* The next one past the limit is hung up on; there is room again when some have gone. */
static void test_grpc_connections_run_out(void **state)
{
	struct world *w = *state;
	const struct mg_transport_ops *ops = &mango_transport_module;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct pollfd pfd = { .events = POLLIN };
	struct mg_transport *t;
	int fds[MG_GRPC_CONNECTIONS_MAX + 1];

	assert_true(strlen(w->grpc_unix + 5) < sizeof(sa.sun_path));
	memcpy(sa.sun_path, w->grpc_unix + 5, strlen(w->grpc_unix + 5));
	for (int i = 0; i <= MG_GRPC_CONNECTIONS_MAX; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
	}
	pfd.fd = fds[MG_GRPC_CONNECTIONS_MAX];
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	assert_true((pfd.revents & POLLHUP) != 0);
	pfd.fd = fds[MG_GRPC_CONNECTIONS_MAX - 1];
	assert_false(poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP) != 0);
	for (int i = 0; i <= MG_GRPC_CONNECTIONS_MAX; i++)
		close(fds[i]);
	for (int tries = 0; ops->open(w->grpc_unix, &params, &t) < 0; tries++) {
		assert_true(tries < 2000);
		nap_ms(1);
	}
	ops->close(t);
}

static void test_contexts_run_out(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	struct attached at;
	struct attached extra;

	attach(w, &at);
	for (int i = 1; i <= MG_REGION_CONTEXTS; i++) {
		mg_ctl_init(msg, MG_CTL_CONTEXT_OPEN, 9, 0);
		assert_true(raw_call(at.fd, msg, msg->hdr.bytes, &extra) > 0);
		assert_int_equal(msg->hdr.status, i < MG_REGION_CONTEXTS ? 0 : -ENOSPC);
		if (extra.nr_fds == 1)
			close(extra.fds[0]);
	}
	detach(&at);
	free(msg);
}

static void test_killed(void **state)
{
	struct world *w = *state;
	int pipefd[2];
	uint64_t start;
	pid_t pid;
	char ok;

	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	if (pid == 0) {
		struct attached at;
		struct mg_ctl_attach a = attach_args();
		int fd = raw_connect(w->attach_path);

		ok = raw_attach(fd, &at, &a) == 0 ? 'y' : 'n';
		(void)!write(pipefd[1], &ok, 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(pipefd[0], &ok, 1), 1);
	assert_int_equal(ok, 'y');
	assert_int_equal(w->slow.nr_apps_added, 1);
	start = now_ms();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	AWAIT(w->slow.nr_apps_deleted == 1);
	assert_true(now_ms() - start < 1000);
	close(pipefd[0]);
	close(pipefd[1]);
}

/* A child that attached sees end of file, whatever it sent. */
static void expect_dropped(int fd, const void *bytes, size_t len)
{
	char buf[64];

	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
	assert_true(recv(fd, buf, sizeof(buf), 0) <= 0);
	close(fd);
}

static void test_broken_messages(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = calloc(1, sizeof(*msg));
	struct mg_transport *t;

	expect_dropped(raw_connect(w->attach_path), "x", 1);
	mg_ctl_init(msg, MG_CTL_HEALTH_CHECK, 1, 0);
	msg->hdr.version = 99;
	expect_dropped(raw_connect(w->attach_path), msg, msg->hdr.bytes);
	mg_ctl_init(msg, MG_CTL_TCP_CONNECT, 1, 3);
	expect_dropped(raw_connect(w->attach_path), msg, msg->hdr.bytes - 8);
	mg_ctl_init(msg, MG_CTL_TCP_CONNECT, 1, 0);
	msg->hdr.count = UINT32_MAX;
	expect_dropped(raw_connect(w->attach_path), msg, msg->hdr.bytes);
	mg_ctl_init(msg, MG_CTL_HEALTH_CHECK | MG_CTL_REPLY, 1, 1);
	expect_dropped(raw_connect(w->attach_path), msg, msg->hdr.bytes);
	mg_ctl_init(msg, MG_CTL_HEALTH_CHECK, 1, 0);
	msg->hdr.type = 77;
	expect_dropped(raw_connect(w->attach_path), msg, msg->hdr.bytes);
	/* And the daemon is well. */
	assert_int_equal(mg_transport_local_ops.open(w->attach_path, &params, &t), 0);
	run_row(&mg_transport_local_ops, t, &rows[0], NULL);
	mg_transport_local_ops.close(t);
	free(msg);
}

/* Asks and asks and never reads: it stops itself, and nobody else notices. */
static void test_client_that_does_not_read(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = calloc(1, sizeof(*msg));
	struct mg_transport *t;
	int fd = raw_connect(w->attach_path);
	int sent = 0;
	uint64_t start;

	mg_ctl_init(msg, MG_CTL_GET_CONFIG, 1, 1); /* a large answer */
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 2000; i++) {
		if (send(fd, msg, msg->hdr.bytes, MSG_NOSIGNAL) > 0)
			sent++;
		else
			nap_ms(1);
		if (sent > 300)
			break;
	}
	assert_true(sent < 300);
	assert_int_equal(mg_transport_local_ops.open(w->attach_path, &params, &t), 0);
	start = now_ms();
	run_row(&mg_transport_local_ops, t, &rows[0], NULL);
	assert_true(now_ms() - start < 500);
	mg_transport_local_ops.close(t);
	close(fd);
	free(msg);
}

static void open_to_all(const char *socket_path)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s", socket_path);
	for (char *p = strchr(path + 5, '/'); p != NULL; p = strchr(p + 1, '/')) {
		*p = '\0';
		assert_int_equal(chmod(path, 0755), 0);
		*p = '/';
	}
	assert_int_equal(chmod(path, 0666), 0);
}

/* As another user: how many of n idle connections are kept. */
static int nr_kept(const char *path, int n)
{
	struct pollfd pfd[200];
	int kept = 0;

	for (int i = 0; i < n; i++)
		pfd[i] = (struct pollfd){ .fd = raw_connect(path), .events = POLLIN };
	nap_ms(300);
	(void)poll(pfd, (nfds_t)n, 0);
	for (int i = 0; i < n; i++)
		kept += pfd[i].fd >= 0 && pfd[i].revents == 0;
	return kept;
}

/* Connections without a session: few for each user, so that everybody else still gets in. */
static void test_crowd(void **state)
{
	struct world *w = *state;
	struct mg_transport *t;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	open_to_all(w->attach_path);
	pid = fork();
	if (pid == 0) {
		int kept = setuid(65534) == 0 ? nr_kept(w->attach_path, 100) : 255;

		_exit(kept);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), MG_ATTACH_UNATTACHED_USER_MAX);
	assert_int_equal(mg_transport_local_ops.open(w->attach_path, &params, &t), 0);
	run_row(&mg_transport_local_ops, t, &rows[0], NULL);
	mg_transport_local_ops.close(t);
}

/* ---- the instance ---- */

static void test_second_daemon(void **state)
{
	struct world *w = *state;
	struct mg_control *second = malloc(sizeof(*second));
	char err[512] = "";
	struct mg_transport *t;

	assert_int_equal(open_control(w, second, err, sizeof(err)), -EBUSY);
	assert_non_null(strstr(err, "runs already"));
	/* The first one is unharmed. */
	assert_int_equal(mg_transport_local_ops.open(w->attach_path, &params, &t), 0);
	mg_transport_local_ops.close(t);
	free(second);
}

static void test_port_busy(void **state)
{
	struct world *w = *state;
	struct mg_control *second = malloc(sizeof(*second));
	char err[512] = "";

	(void)snprintf(w->conf.instance, sizeof(w->conf.instance), "u");
	assert_int_equal(open_control(w, second, err, sizeof(err)), -EADDRINUSE);
	assert_non_null(strstr(err, "another program listens there"));
	assert_non_null(strstr(err, w->grpc_tcp));
	(void)snprintf(w->conf.ipc.grpc.listen[0], MG_CONF_TEXT_MAX, "0.0.0.0:0");
	assert_int_equal(open_control(w, second, err, sizeof(err)), -EACCES);
	assert_non_null(strstr(err, "loopback"));
	(void)snprintf(w->conf.instance, sizeof(w->conf.instance), "t");
	free(second);
}

static void test_stale_socket(void **state)
{
	struct world *w = *state;
	struct mg_control *second = malloc(sizeof(*second));
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char err[512] = "";
	char dir[160];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	(void)snprintf(w->conf.instance, sizeof(w->conf.instance), "s");
	(void)snprintf(dir, sizeof(dir), "%s/s", w->conf.runtime_dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/run/deep/s/attach.sock", w->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd); /* the file stays, as after a kill -9 */
	w->conf.ipc.grpc.enabled = false;
	assert_int_equal(open_control(w, second, err, sizeof(err)), 0);
	fd = raw_connect(sa.sun_path);
	assert_true(fd >= 0);
	close(fd);
	mg_control_close(second);
	assert_int_equal(access(dir, F_OK), -1);
	(void)snprintf(w->conf.instance, sizeof(w->conf.instance), "t");
	free(second);
}

/* ---- draining ---- */

static void test_drain(void **state)
{
	struct world *w = *state;
	struct mg_ctl_msg *msg = malloc(sizeof(*msg));
	struct mg_transport *t;
	struct attached at;
	char byte;

	attach(w, &at);
	assert_int_equal(mango_transport_module.open(w->grpc_tcp, &params, &t), 0);
	w->slow.hold_drain = true;
	kill(getpid(), SIGTERM);
	AWAIT(w->slow.nr_drains == 1);
	mg_ctl_init(msg, MG_CTL_HEALTH_CHECK, 0, 0);
	assert_int_equal(mango_transport_module.request(t, msg), 0);
	assert_int_equal(msg->health[0].serving, MG_CTL_DRAINING);
	assert_int_equal(raw_connect(w->attach_path), -ECONNREFUSED); /* no new sessions */
	expect_status(&mango_transport_module, t, MG_CTL_TCP_LISTEN, &at.a.token, -ESHUTDOWN);
	expect_status(&mango_transport_module, t, MG_CTL_TCP_ACCEPT, &at.a.token,
		      0);        /* old ones go on */
	kill(getpid(), SIGTERM); /* at once */
	AWAIT(w->slow.nr_drains == 2);
	assert_int_equal(recv(at.fd, &byte, 1, 0), 0);
	AWAIT(w->slow.nr_apps_deleted == 1);
	pthread_join(w->thread, NULL);
	w->is_running = false;
	mango_transport_module.close(t);
	detach(&at);
	free(msg);
}

static void test_hangup_reloads(void **state)
{
	struct world *w = *state;

	kill(getpid(), SIGHUP);
	AWAIT(w->nr_reloads == 1);
}

/* The slow path's ring is full for a while: nothing is lost, nothing blocks. */
static void test_slow_path_full(void **state)
{
	struct world *w = *state;
	struct attached at;

	w->slow.full = true;
	attach(w, &at);
	assert_int_equal(w->slow.nr_apps_added, 0);
	detach(&at);
	nap_ms(20);
	w->slow.full = false;
	AWAIT(w->slow.nr_apps_deleted == 1);
	assert_int_equal(w->slow.nr_apps_added, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_table_local),
		TEST(test_table_grpc_tcp),
		TEST(test_table_grpc_unix),
		TEST(test_no_session),
		TEST(test_listeners_limit),
		TEST(test_refused),
		TEST(test_silent),
		TEST(test_many_threads_local),
		TEST(test_many_threads_grpc),
		TEST(test_pipelining),
		TEST(test_stream_ends_with_session),
		TEST(test_abandon),
		TEST(test_request_timeout),
		TEST(test_attach),
		TEST(test_attach_abi),
		TEST(test_attach_limit),
		TEST(test_contexts_and_fork),
		TEST(test_contexts_run_out),
		TEST(test_guards),
		TEST(test_odd_guards),
		TEST(test_thousands_of_guards),
		TEST(test_contexts_of_others),
		TEST(test_grpc_connections_run_out),
		TEST(test_killed),
		TEST(test_broken_messages),
		TEST(test_crowd),
		TEST(test_client_that_does_not_read),
		TEST(test_second_daemon),
		TEST(test_port_busy),
		TEST(test_stale_socket),
		TEST(test_drain),
		TEST(test_hangup_reloads),
		TEST(test_slow_path_full),
	};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
