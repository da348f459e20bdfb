/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork.c - fork, exec and spawn.
 *
 * Idea:    libc calls our handlers around every fork (daemon() and forkpty() too). Before: guards, and a connection
 *          to the daemon for the child, which may have another user then. In the child: everything of the daemon's
 *          is given back, locks are fresh, objects are joined when they are used.
 *          A program that is to be executed finds MANGO_SESSION in its environment.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libclient/core/share.h"
#include "libclient/preload/epoll.h"
#include "libclient/preload/face.h"
#include "libclient/preload/guard.h"
#include "libclient/preload/internal.h"
#include "libclient/preload/real.h"
#include "libclient/preload/stream.h"
#include "libclient/preload/sys.h"

uint32_t mg_fork_gen = 1;

static void before_fork(void)
{
	mg_guard_all();
	mg_face_fork_before();
	mg_ep_lock();
	mg_obj_lock();
	mg_stream_lock();
}

static void after_in_parent(void)
{
	mg_stream_unlock();
	mg_obj_unlock();
	mg_ep_unlock();
	mg_face_fork_parent();
}

/* What another thread of the parent was doing is nobody's business here. */
static void reset_object(int fd, struct mg_obj *obj, void *arg)
{
	(void)fd;
	(void)arg;
	if (obj->kind == MG_OBJ_HIDDEN)
		return;
	atomic_store(&obj->refs, atomic_load(&obj->nr_fds));
	if (obj->kind == MG_OBJ_SOCK)
		mg_sock_forked(mg_container_of(obj, struct mg_sock, obj));
	else
		mg_ep_forked(mg_container_of(obj, struct mg_ep, obj));
}

static void after_in_child(void)
{
	mg_stream_unlock();
	mg_obj_unlock();
	mg_ep_unlock();
	mg_fork_gen++;
	mg_internal_forked();
	mg_fd_each(0, ~0u, reset_object, NULL);
	mg_face_fork_child();
}

/* Descriptors that came through exec: guards among them are sockets. */
static void adopt_all(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fd == dirfd(dir) || !mg_guard_adopt(fd))
			continue;
		if (fd <= STDERR_FILENO)
			mg_stream_standard(fd);
	}
	(void)closedir(dir); /* it was only read */
}

static void keep_environment(void);

void mg_guard_init(void)
{
	keep_environment();
	(void)pthread_atfork(before_fork, after_in_parent,
			     after_in_child); /* without memory: no sharing */
	if (getenv("MANGO_SESSION") != NULL)
		adopt_all();
}

MG_EXPORT pid_t fork(void)
{
	mg_face_settle(); /* not in a handler: there the client core's locks are held */
	return MG_REAL(fork)();
}

/* The child must not share our memory while it has other sockets: it is a fork. */
MG_EXPORT pid_t vfork(void)
{
	return fork();
}

/* ---- environments ---- */

/*
 * A copy of env with MANGO_SESSION in it, or env itself when there is nothing to share. In pages of its own: exec may
 * be called where malloc() may not.
 */
struct environment {
	char **env;
	size_t bytes;
};

/* Zeroed memory of its own; NULL when there is none. */
static char **pages(size_t bytes)
{
	long p = mg_sys(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	return p < 0 && p > -4096 ? NULL : (char **)p;
}

static void drop_pages(char **p, size_t bytes)
{
	int saved = errno;

	(void)mg_sys(SYS_munmap, p, bytes);
	errno = saved;
}

static bool is_session(const char *entry)
{
	return strncmp(entry, "MANGO_SESSION=", 14) == 0;
}

/*
 * What brought this library here and told it what to do. A program that makes its own environment for what it executes
 * (nginx's upgrade) still hands sockets on, and they need us there.
 */
#define KEPT_MAX 32
static struct {
	char *entries[KEPT_MAX];
	size_t n;
} kept;

static void keep_environment(void)
{
	for (char **v = environ; v != NULL && *v != NULL && kept.n < KEPT_MAX; v++) {
		if (strncmp(*v, "LD_PRELOAD=", 11) != 0 &&
		    (strncmp(*v, "MANGO_", 6) != 0 || is_session(*v)))
			continue;
		kept.entries[kept.n] = strdup(*v);
		kept.n += kept.entries[kept.n] != NULL;
	}
}

static bool has_name(char *const env[], const char *entry)
{
	size_t len = strcspn(entry, "=") + 1;

	for (size_t i = 0; env[i] != NULL; i++)
		if (strncmp(env[i], entry, len) == 0)
			return true;
	return false;
}

static struct environment with_session(char *const env[])
{
	const char *session = mg_face_session();
	struct environment e = { .env = (char **)(uintptr_t)env };
	size_t n = 0, k = 0;
	char **copy;

	if (session == NULL || env == NULL)
		return e;
	while (env[n] != NULL)
		n++;
	copy = pages((n + 2 + kept.n) * sizeof(char *));
	if (copy == NULL)
		return e;
	e = (struct environment){ copy, (n + 2 + kept.n) * sizeof(char *) };
	for (size_t i = 0; i < n; i++) {
		if (!is_session(env[i]))
			e.env[k++] = env[i];
	}
	for (size_t i = 0; i < kept.n; i++) {
		if (!has_name(env, kept.entries[i]))
			e.env[k++] = kept.entries[i];
	}
	e.env[k] = (char *)(uintptr_t)session;
	return e;
}

/* What the next program gets in place of env: guards stand for its sockets, and it can join them. */
static struct environment hand_over(char *const env[])
{
	mg_guard_all();
	return with_session(env);
}

/* It did not come to that, or not in this process. */
static void take_back(const struct environment *e)
{
	if (e->bytes > 0)
		drop_pages(e->env, e->bytes);
}

/* ---- exec ---- */

MG_EXPORT int execve(const char *path, char *const argv[], char *const env[])
{
	struct environment e = hand_over(env);
	int r = MG_REAL(execve)(path, argv, e.env);

	take_back(&e);
	return r;
}

MG_EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

MG_EXPORT int execvpe(const char *file, char *const argv[], char *const env[])
{
	struct environment e = hand_over(env);
	int r = MG_REAL(execvpe)(file, argv, e.env);

	take_back(&e);
	return r;
}

MG_EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

MG_EXPORT int fexecve(int fd, char *const argv[], char *const env[])
{
	struct environment e = hand_over(env);
	int r = MG_REAL(fexecve)(fd, argv, e.env);

	take_back(&e);
	return r;
}

/* ---- execl() and its kin ---- */

#define WORDS_MAX 4096
#define WORDS_BYTES (WORDS_MAX * sizeof(char *))

typedef int exec_fn(const char *name, char *const argv[], char *const env[]);

/* Words in pages of their own; behind the NULL that ends them the environment may follow. */
static int exec_words(exec_fn *exec, const char *name, const char *first, va_list args,
		      bool env_follows)
{
	char **argv = pages(WORDS_BYTES);
	int r = -1;
	size_t n = 0;

	if (argv == NULL) {
		errno = ENOMEM;
		return -1;
	}
	argv[n] = (char *)(uintptr_t)first;
	while (argv[n] != NULL && n + 1 < WORDS_MAX)
		argv[++n] = va_arg(args, char *);
	if (argv[n] == NULL)
		r = exec(name, argv, env_follows ? va_arg(args, char **) : environ);
	else
		errno = E2BIG;
	drop_pages(argv, WORDS_BYTES);
	return r;
}

MG_EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list args;
	int r;

	va_start(args, arg);
	r = exec_words(execve, path, arg, args, false);
	va_end(args);
	return r;
}

MG_EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list args;
	int r;

	va_start(args, arg);
	r = exec_words(execvpe, file, arg, args, false);
	va_end(args);
	return r;
}

MG_EXPORT int execle(const char *path, const char *arg, ...)
{
	va_list args;
	int r;

	va_start(args, arg);
	r = exec_words(execve, path, arg, args, true);
	va_end(args);
	return r;
}

/* ---- spawn ---- */

MG_EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path,
			  const posix_spawn_file_actions_t *actions,
			  const posix_spawnattr_t *restrict attr, char *const argv[restrict],
			  char *const env[restrict])
{
	struct environment e = hand_over(env);
	int r = MG_REAL(posix_spawn)(pid, path, actions, attr, argv, e.env);

	take_back(&e);
	return r;
}

MG_EXPORT int posix_spawnp(pid_t *restrict pid, const char *restrict file,
			   const posix_spawn_file_actions_t *actions,
			   const posix_spawnattr_t *restrict attr, char *const argv[restrict],
			   char *const env[restrict])
{
	struct environment e = hand_over(env);
	int r = MG_REAL(posix_spawnp)(pid, file, actions, attr, argv, e.env);

	take_back(&e);
	return r;
}
