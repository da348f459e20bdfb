/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - stdio on a socket.
 *
 * Idea:    libc's streams read and write their descriptors without going through the names that this library
 *          defines. So fdopen() on a socket makes a stream of its own kind (fopencookie) that calls read(), write()
 *          and close() here. fileno() is told of it; freopen() on such a stream is not supported.
 * Threads: any.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/stream.h"

int __dprintf_chk(int fd, int flag, const char *format, ...);
int __vdprintf_chk(int fd, int flag, const char *format, va_list args);

struct stream {
	struct stream *next;
	FILE *file;
	int fd;
};

static struct {
	pthread_mutex_t lock;
	struct stream *first;
	_Atomic uint32_t nr;
} streams = { .lock = PTHREAD_MUTEX_INITIALIZER };

void mg_stream_lock(void)
{
	pthread_mutex_lock(&streams.lock);
}

void mg_stream_unlock(void)
{
	pthread_mutex_unlock(&streams.lock);
}

void mg_stream_flush(void)
{
	if (atomic_load(&streams.nr) == 0 || pthread_mutex_trylock(&streams.lock) != 0)
		return;
	for (const struct stream *s = streams.first; s != NULL; s = s->next) {
		if (ftrylockfile(s->file) != 0)
			continue;
		(void)fflush_unlocked(s->file); /* nobody is left to be told */
		funlockfile(s->file);
	}
	pthread_mutex_unlock(&streams.lock);
}

static ssize_t stream_read(void *cookie, char *buf, size_t n)
{
	return read(((struct stream *)cookie)->fd, buf, n);
}

static ssize_t stream_write(void *cookie, const char *buf, size_t n)
{
	ssize_t done = write(((struct stream *)cookie)->fd, buf, n);

	return done < 0 ? 0 : done; /* as fopencookie() wants an error to be told */
}

static int stream_close(void *cookie)
{
	struct stream *stream = cookie, **at;
	int r;

	pthread_mutex_lock(&streams.lock);
	for (at = &streams.first; *at != NULL; at = &(*at)->next) {
		if (*at == stream) {
			*at = stream->next;
			(void)atomic_fetch_sub(&streams.nr, 1);
			break;
		}
	}
	pthread_mutex_unlock(&streams.lock);
	r = close(stream->fd);
	free(stream);
	return r;
}

static FILE *open_stream(int fd, const char *mode)
{
	const cookie_io_functions_t calls = { .read = stream_read,
					      .write = stream_write,
					      .close = stream_close };
	struct stream *stream = malloc(sizeof(*stream));

	if (stream == NULL)
		return NULL;
	stream->fd = fd;
	stream->file = fopencookie(stream, mode, calls);
	if (stream->file == NULL) {
		free(stream);
		return NULL;
	}
	pthread_mutex_lock(&streams.lock);
	stream->next = streams.first;
	streams.first = stream;
	(void)atomic_fetch_add(&streams.nr, 1);
	pthread_mutex_unlock(&streams.lock);
	return stream->file;
}

void mg_stream_standard(int fd)
{
	FILE **const standard[] = { &stdin, &stdout, &stderr };
	FILE *file = open_stream(fd, fd == STDIN_FILENO ? "r" : "w");

	if (file == NULL)
		return;
	if (fd == STDERR_FILENO)
		(void)setvbuf(file, NULL, _IONBF, 0); /* without a buffer it is slow, not wrong */
	*standard[fd] = file;
}

MG_EXPORT FILE *fdopen(int fd, const char *mode)
{
	struct mg_sock *s = mg_sock_get(fd);
	bool ours = s != NULL && mg_sock_kind(s) != MG_SOCK_KERNEL;

	if (s != NULL)
		mg_sock_put(s);
	return ours ? open_stream(fd, mode) : MG_REAL(fdopen)(fd, mode);
}

/* -1: not one of ours. */
static int find_fd(const FILE *file)
{
	int fd = -1;

	pthread_mutex_lock(&streams.lock);
	for (const struct stream *s = streams.first; s != NULL && fd < 0; s = s->next) {
		if (s->file == file)
			fd = s->fd;
	}
	pthread_mutex_unlock(&streams.lock);
	return fd;
}

MG_EXPORT int fileno(FILE *file)
{
	int fd = atomic_load(&streams.nr) == 0 ? -1 : find_fd(file);

	return fd >= 0 ? fd : MG_REAL(fileno)(file);
}

MG_EXPORT int fileno_unlocked(FILE *file)
{
	int fd = atomic_load(&streams.nr) == 0 ? -1 : find_fd(file);

	return fd >= 0 ? fd : MG_REAL(fileno_unlocked)(file);
}

MG_EXPORT int vdprintf(int fd, const char *format, va_list args)
{
	char *text = NULL;
	int len = vasprintf(&text, format, args), done = 0;

	while (done < len) {
		ssize_t n = write(fd, text + done, (size_t)(len - done));

		if (n < 0) {
			len = -1;
			break;
		}
		done += (int)n;
	}
	free(text);
	return len;
}

MG_EXPORT int dprintf(int fd, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vdprintf(fd, format, args);
	va_end(args);
	return n;
}

MG_EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list args)
{
	(void)flag; /* how strictly %n is looked at */
	return vdprintf(fd, format, args);
}

MG_EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list args;
	int n;

	(void)flag; /* as above */
	va_start(args, format);
	n = vdprintf(fd, format, args);
	va_end(args);
	return n;
}
