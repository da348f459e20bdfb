/* SPDX-License-Identifier: Apache-2.0 */
/* confine.c - see confine.h. */
#include "libclient/preload/confine.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "libclient/preload/face.h"
#include "libclient/preload/internal.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/sys.h"

/* What a wait of the context looks at, in its order (core/wait.c). */
enum { EVENT, KICK, ATTACH, OWN };

static struct {
	_Atomic bool is_confined;
	bool has_set;
	int set; /* an epoll set of own[] */
	int own[OWN];
} confined;

bool mg_confined(void)
{
	return mg_unlikely(atomic_load_explicit(&confined.is_confined, memory_order_relaxed));
}

/* ---- before: everything inherited is joined ---- */

static void settle_one(int fd, struct mg_obj *obj, void *arg)
{
	(void)fd;
	(void)arg;
	if (obj->kind != MG_OBJ_SOCK || obj->fork_gen == mg_fork_gen || !mg_obj_tryget(obj))
		return;
	mg_sock_revive(mg_container_of(obj, struct mg_sock, obj));
	mg_obj_put(obj);
}

static void settle(void)
{
	int saved = errno;

	if (mg_face_enabled())
		mg_fd_each(0, ~0u, settle_one, NULL);
	errno = saved;
}

static void watch(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	(void)mg_sys(SYS_epoll_ctl, confined.set, EPOLL_CTL_ADD, fd, &ev);
}

/* All that waiting takes is there before a filter is, or a limit for descriptors. */
static void prepare(void)
{
	struct mg_ctx *ctx;
	long set;

	settle();
	ctx = mg_face_live_ctx();
	if (ctx == NULL || confined.has_set)
		return;
	set = mg_sys(SYS_epoll_create1, EPOLL_CLOEXEC);
	if (set < 0)
		return; /* waits look at each descriptor, if the filter lets them */
	confined.set = mg_internal_fd((int)set);
	confined.own[EVENT] = ctx->event_fd;
	confined.own[KICK] = ctx->kick_fd;
	confined.own[ATTACH] = ctx->client->attach_fd;
	watch(ctx->event_fd, EPOLLIN);
	watch(ctx->kick_fd, EPOLLIN);
	watch(ctx->client->attach_fd, EPOLLRDHUP);
	confined.has_set = true;
	(void)mg_internal_wake_fd(); /* made now, or never */
}

/* Spinning gives the core away, which filters seldom allow. */
static void begin(void)
{
	struct mg_ctx *ctx = mg_face_live_ctx();

	if (ctx == NULL)
		return;
	ctx->spin_ns = 0;
	ctx->spin_now_ns = 0;
	atomic_store_explicit(&confined.is_confined, true, memory_order_relaxed);
}

void mg_confine_forked(void)
{
	if (confined.has_set)
		(void)mg_internal_close(confined.set);
	confined.has_set = false;
}

/* ---- after ---- */

static int ppoll_one(int fd, short events, const struct timespec *timeout, const sigset_t *sigmask)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	struct timespec left;

	if (timeout != NULL)
		left = *timeout;
	return (int)mg_sys_ret(
		mg_sys(SYS_ppoll, &pfd, 1, timeout != NULL ? &left : NULL, sigmask, 8));
}

bool mg_confined_wait(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		      const sigset_t *sigmask, int *ret)
{
	const struct timespec none = { 0, 0 };
	int err;

	if (!confined.has_set || n != OWN || fds[EVENT].fd != confined.own[EVENT])
		return false;
	*ret = ppoll_one(confined.set, POLLIN, timeout, sigmask);
	for (int i = 0; i < OWN; i++)
		fds[i].revents = 0;
	if (*ret <= 0)
		return true;
	err = errno;
	/* Which of the two is not worth a call: reading them does not block. */
	fds[EVENT].revents = fds[KICK].revents = POLLIN;
	if (ppoll_one(fds[ATTACH].fd, POLLRDHUP, &none, NULL) > 0)
		fds[ATTACH].revents = POLLRDHUP;
	errno = err;
	return true;
}

/* ---- the signs ---- */

MG_EXPORT int chroot(const char *path)
{
	prepare();
	return MG_REAL(chroot)(path);
}

MG_EXPORT int setuid(uid_t uid)
{
	prepare();
	return MG_REAL(setuid)(uid);
}

MG_EXPORT int seteuid(uid_t uid)
{
	prepare();
	return MG_REAL(seteuid)(uid);
}

MG_EXPORT int setreuid(uid_t real, uid_t effective)
{
	prepare();
	return MG_REAL(setreuid)(real, effective);
}

MG_EXPORT int setresuid(uid_t real, uid_t effective, uid_t kept)
{
	prepare();
	return MG_REAL(setresuid)(real, effective, kept);
}

static long control(unsigned long option, const unsigned long a[4])
{
	bool filters = option == PR_SET_SECCOMP;
	int r;

	if (filters)
		prepare();
	r = MG_REAL(prctl)((int)option, a[0], a[1], a[2], a[3]);
	if (filters && r == 0)
		begin();
	return r;
}

MG_EXPORT int prctl(int option, ...)
{
	unsigned long a[4];
	va_list args;

	va_start(args, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(args, unsigned long);
	va_end(args);
	return (int)control((unsigned int)option, a);
}

long mg_confine_syscall(long nr, const long a[6])
{
	long r;

	if (nr == SYS_prctl)
		return control((unsigned long)a[0],
			       (unsigned long[4]){ (unsigned long)a[1], (unsigned long)a[2],
						   (unsigned long)a[3], (unsigned long)a[4] });
	prepare();
	r = mg_sys_ret(mg_sys6(nr, a));
	if (r == 0 && (a[0] == SECCOMP_SET_MODE_FILTER || a[0] == SECCOMP_SET_MODE_STRICT))
		begin();
	return r;
}
