/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/face.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libclient/core/clock.h"
#include "libclient/core/env.h"
#include "libclient/core/share.h"
#include "libclient/preload/internal.h"
#include "libclient/preload/sys.h"

/* How long an absent daemon is not looked for again. */
#define RETRY_NS (200 * MG_NS_PER_MS)
#define FILE_MAX_BYTES (256u * 1024u) /* as mangod */
#define CONFIG_FILE "/etc/mango/preload.yaml"
#define SESSION_NAME "MANGO_SESSION="

static struct {
	pthread_mutex_t lock;
	_Atomic(struct mg_ctx *) ctx;
	struct mg_policy base; /* as set, without what mangod tells */
	_Atomic(struct mg_policy *) policy;
	uint64_t retry_ns;
	bool enabled;
	bool told_absent;
	/* Sharing: whose region new attachments join, and what others need for it. */
	bool join_share;   /* a parent's, by `share` */
	bool join_session; /* by `session` */
	struct mg_ctl_token share;
	int spare_fd; /* an open way to the daemon, for the child of a fork; -1: none */
	char session[sizeof(SESSION_NAME) + MG_FACE_SESSION_MAX]; /* as in the environment */
} face = { .lock = PTHREAD_MUTEX_INITIALIZER, .spare_fd = -1 };

static void say(const char *format, va_list args)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "mango: %s[%d]: ", program_invocation_short_name,
			 (int)getpid());
	int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);

	n = m < 0 ? n : n + m;
	if ((size_t)n > sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n] = '\n';
	(void)mg_sys(SYS_write, STDERR_FILENO, line, n + 1);
}

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

void mg_face_debug(const char *format, ...)
{
	va_list args;

	if (!face.base.debug)
		return;
	va_start(args, format);
	say(format, args);
	va_end(args);
}

static char *read_file(const char *path)
{
	long fd = mg_sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), n = 0;
	size_t len = 0;
	char *text;

	if (fd < 0) {
		errno = (int)-fd;
		return NULL;
	}
	text = calloc(1, FILE_MAX_BYTES);
	while (text != NULL && len < FILE_MAX_BYTES - 1) {
		n = mg_sys(SYS_read, fd, text + len, FILE_MAX_BYTES - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	(void)mg_sys(SYS_close, fd);
	return text;
}

static void read_settings_file(void)
{
	const char *named = mg_env_get("MANGO_CONFIG", NULL);
	const char *path = named != NULL ? named : CONFIG_FILE;
	uint32_t line = 0;
	char *text = read_file(path);

	if (text == NULL) {
		if (named != NULL)
			tell("%s: %s", path, strerror(errno));
		return;
	}
	if (mg_policy_parse(&face.base, text, &line) < 0)
		tell("%s:%u: not understood in the section preload; see docs/preload.md", path,
		     line);
	free(text);
}

static void read_environment(void)
{
	static const char *const settings[][2] = {
		{ "MANGO_LISTEN", "listen" },     { "MANGO_CONNECT", "connect" },
		{ "MANGO_PROGRAMS", "programs" }, { "MANGO_LOOPBACK", "loopback" },
		{ "MANGO_WILDCARD", "wildcard" }, { "MANGO_ABSENT", "absent" },
		{ "MANGO_DEBUG", "debug" },
	};

	for (size_t i = 0; i < MG_ARRAY_SIZE(settings); i++) {
		const char *value = mg_env_get(settings[i][0], NULL);

		if (value != NULL && mg_policy_set(&face.base, settings[i][1], value) < 0)
			tell("%s=%s is not understood and is left out", settings[i][0], value);
	}
}

void mg_face_init(void)
{
	mg_policy_init(&face.base);
	read_settings_file();
	read_environment();
	atomic_store(&face.policy, &face.base);
	face.enabled = mg_policy_wants_program(&face.base, program_invocation_short_name);
	mg_face_debug(face.enabled ? "accelerated where the policy says so"
				   : "left to the kernel: not one of the programs");
}

bool mg_face_enabled(void)
{
	return face.enabled;
}

const struct mg_policy *mg_face_policy(void)
{
	return atomic_load_explicit(&face.policy, memory_order_acquire);
}

static void take_nets(struct mg_policy *policy, const struct mg_ctl_msg *msg)
{
	for (uint32_t i = 0; i < msg->hdr.count; i++) {
		const struct mg_ctl_kv *kv = &msg->kv[i];
		const char *dot = strrchr(kv->key, '.');

		if (dot == NULL)
			continue;
		if (strncmp(kv->key, "ports[", 6) == 0 && strcmp(dot, ".addresses") == 0)
			mg_policy_add_nets(policy, kv->value, true);
		if (strncmp(kv->key, "routes[", 7) == 0 && strcmp(dot, ".to") == 0)
			mg_policy_add_nets(policy, kv->value, false);
	}
}

/* Asks the daemon for its addresses and routes. The old policy stays: somebody may be reading it. */
static int learn(struct mg_client *client)
{
	struct mg_policy *policy = malloc(sizeof(*policy));
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_GET_CONFIG, 1);
	uint32_t start = 0;
	bool more = policy != NULL && msg != NULL;
	int err = more ? 0 : -ENOMEM;

	if (more)
		*policy = face.base;
	while (more && err == 0) {
		mg_ctl_init(msg, MG_CTL_GET_CONFIG, 0, 1);
		msg->hdr.start = start;
		memset(msg->kv[0].key, 0, sizeof(msg->kv[0].key));
		err = mg_client_request(client, msg);
		if (err < 0)
			break;
		take_nets(policy, msg);
		more = msg->hdr.more != 0 && msg->hdr.count > 0;
		start = msg->hdr.start + msg->hdr.count;
	}
	free(msg);
	if (err < 0)
		free(policy);
	else
		atomic_store_explicit(&face.policy, policy, memory_order_release);
	return err;
}

/* A client that belongs where our sockets are: a parent's region, the environment's, or one of our own. */
static int open_client(struct mg_client **ret_client)
{
	const char *address = mg_env_get("MANGO_ADDRESS", MG_ENV_ADDRESS);
	int fd = face.spare_fd, err = -ENOENT;

	face.spare_fd = -1;
	if (face.join_share && fd >= 0)
		err = mg_client_open_child_fd(fd, &face.share, ret_client);
	else if (face.join_share)
		err = mg_client_open_child(address, &face.share, ret_client);
	else if (face.join_session)
		err = mg_client_open_session(mg_face_session_text(), ret_client);
	/* Once: after the daemon's death there is no such region any more. */
	face.join_share = false;
	face.join_session = false;
	return err == 0 ? 0 : mg_client_open(address, ret_client);
}

static void note_session(const struct mg_client *client)
{
	static const char name[] = SESSION_NAME;

	memcpy(face.session, name, sizeof(name));
	if (mg_client_session(client, face.session + sizeof(name) - 1, MG_FACE_SESSION_MAX) < 0)
		face.session[0] = '\0';
}

static int attach(struct mg_ctx **ret_ctx)
{
	struct mg_client *client;
	int err = open_client(&client);

	if (err < 0)
		return err;
	err = mg_ctx_open(client, ret_ctx);
	if (err == 0)
		err = learn(client);
	if (err == 0)
		note_session(client);
	mg_client_put(client); /* the context holds it */
	return err;
}

struct mg_ctx *mg_face_live_ctx(void)
{
	struct mg_ctx *ctx = atomic_load_explicit(&face.ctx, memory_order_acquire);

	return ctx == NULL || mg_client_is_dead(ctx->client) ? NULL : ctx;
}

/* Locked. */
static struct mg_ctx *attach_locked(void)
{
	struct mg_ctx *ctx = mg_face_live_ctx();
	uint64_t now = mg_clock_ns();
	int err;

	if (ctx != NULL || now < face.retry_ns)
		return ctx;
	err = attach(&ctx);
	if (err == 0) {
		face.told_absent = false;
		/* release: pairs with the acquire in mg_face_live_ctx() */
		atomic_store_explicit(&face.ctx, ctx, memory_order_release);
		return ctx;
	}
	face.retry_ns = now + RETRY_NS;
	if (!face.told_absent)
		tell("no mangod at %s (%s): %s", mg_env_get("MANGO_ADDRESS", MG_ENV_ADDRESS),
		     strerror(-err),
		     face.base.refuse ? "refusing its sockets" : "using the kernel's TCP");
	face.told_absent = true;
	return NULL;
}

struct mg_ctx *mg_face_ctx(void)
{
	struct mg_ctx *ctx = mg_face_live_ctx();
	int saved = errno;

	/* A dead daemon is noticed by the attach socket: look at it before something new is begun. */
	if (mg_likely(ctx != NULL && !mg_client_check(ctx->client)))
		return ctx;
	pthread_mutex_lock(&face.lock);
	ctx = attach_locked();
	pthread_mutex_unlock(&face.lock);
	errno = saved;
	return ctx;
}

int mg_face_absent(void)
{
	return face.base.refuse ? ENETDOWN : 0;
}

/* ---- fork and exec ---- */

const char *mg_face_session(void)
{
	return face.session[0] != '\0' ? face.session : NULL;
}

const char *mg_face_session_text(void)
{
	return face.session[0] != '\0' ? face.session + sizeof(SESSION_NAME) - 1 : face.session;
}

void mg_face_join(const char *session)
{
	pthread_mutex_lock(&face.lock);
	if (mg_face_live_ctx() == NULL && !face.join_share && session[0] != '\0') {
		face.join_session = true;
		(void)snprintf(face.session, sizeof(face.session), "%s%s", SESSION_NAME, session);
	} else if (strcmp(mg_face_session_text(), session) != 0) {
		mg_face_debug("a socket came from another application's region: it cannot be used");
	}
	pthread_mutex_unlock(&face.lock);
}

void mg_face_settle(void)
{
	if (mg_face_live_ctx() == NULL && (face.join_share || face.join_session))
		(void)mg_face_ctx(); /* said on stderr */
}

void mg_face_fork_before(void)
{
	struct mg_ctx *ctx = mg_face_live_ctx();

	pthread_mutex_lock(&face.lock);
	if (ctx == NULL)
		return;
	face.share = ctx->client->share;
	if (mg_client_spare(ctx->client, &face.spare_fd) < 0)
		face.spare_fd = -1; /* the child opens one itself */
}

void mg_face_fork_parent(void)
{
	if (face.spare_fd >= 0)
		(void)mg_internal_close(face.spare_fd);
	face.spare_fd = -1;
	pthread_mutex_unlock(&face.lock);
}

void mg_face_fork_child(void)
{
	struct mg_ctx *ctx = atomic_load(&face.ctx);

	pthread_mutex_init(&face.lock, NULL);
	face.retry_ns = 0;
	if (ctx == NULL)
		return;
	atomic_store(&face.ctx, NULL);
	face.join_share = !mg_client_is_dead(ctx->client);
	mg_client_forget(ctx->client);
}
