/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conform.h - cases of socket calls whose results are written down, to be compared between two stacks.
 *
 * Idea:    a case makes calls and each writes one line: the call's text, its result, its errno. The same program
 *          runs on the kernel's sockets and, preloaded, on mango's; test/posix/run.py compares the lines. So a case
 *          says nothing about what is right: the kernel says it. What differs by nature (numbers of ports and
 *          descriptors, exact times) is never written.
 *          The far end is a process in the other namespace (conform_peer), told what to do over a unix socket.
 * Use:     CASE(name) { ... } in any cases_*.c; ON_BOTH(name) runs it on a connection that the far end made and
 *          on one that the case made. T(call) writes a result, TF(call) one that is a descriptor.
 * Threads: one, but for the cases that make more; t_say() is safe from any.
 */
#ifndef MG_POSIX_CONFORM_H
#define MG_POSIX_CONFORM_H
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct tc {
	const char *name;
	uint16_t port; /* of this case: free to listen on, at either end */
	bool active;   /* ON_BOTH: the case connects */
	bool v6;
	int control; /* to the peer process */
};

typedef void (*tc_fn)(struct tc *t);

enum { TC_ONCE, TC_BOTH };
void tc_register(const char *name, tc_fn fn, int how);

#define CASE_HOW(name, how)                                            \
	static void case_##name(struct tc *t);                         \
	static void __attribute__((constructor)) register_##name(void) \
	{                                                              \
		tc_register(#name, case_##name, how);                  \
	}                                                              \
	static void case_##name(struct tc *t)
#define CASE(name) CASE_HOW(name, TC_ONCE)
#define ON_BOTH(name) CASE_HOW(name, TC_BOTH)

/* Makes the call, writes "text = result [errno]" and gives the result. */
#define T(call)                          \
	({                               \
		errno = 0;               \
		long r_ = (long)(call);  \
		int e_ = errno;          \
		t_result(#call, r_, e_); \
		errno = e_;              \
		r_;                      \
	})
/* The same where only "a descriptor" or the error matters. */
#define TF(call)                            \
	({                                  \
		errno = 0;                  \
		int r_ = (int)(call);       \
		int e_ = errno;             \
		t_result_fd(#call, r_, e_); \
		errno = e_;                 \
		r_;                         \
	})

void t_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void t_result(const char *call, long result, int err);
void t_result_fd(const char *call, int result, int err);
const char *t_errno(int err);
/* Bytes, as text when printable. */
void t_bytes(const char *what, const void *data, size_t len);
/* revents or epoll events by name. */
void t_poll_bits(const char *what, unsigned events);
/* Milliseconds since some moment; t_took() writes which of a few coarse classes a duration is in. */
int64_t t_now_ms(void);
void t_took(const char *what, int64_t since_ms, int64_t at_least_ms, int64_t at_most_ms);

/* Tells the peer; writes "peer: command -> answer". */
void t_peer(struct tc *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The peer connects until it is refused, for a second at most; with its connections from number k on. */
void t_peer_refused_soon(struct tc *t, int k);
/* The same as t_peer(), silently: set-up. Exits the program if the answer is not "ok". */
void t_peer_ok(struct tc *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Addresses of this end and the other one, with the case's port. */
socklen_t t_our_addr(const struct tc *t, uint16_t port, struct sockaddr_storage *ret);
socklen_t t_peer_addr(const struct tc *t, uint16_t port, struct sockaddr_storage *ret);
/* "ours", "peer's", "any", "mapped ..." instead of numbers; the port as "own", "zero" or "other". */
void t_sockaddr(const struct tc *t, const char *what, const struct sockaddr_storage *a,
		socklen_t len);

/* Set-up that has to work; nothing is written. */
int t_socket(const struct tc *t);
int t_listener(struct tc *t, int backlog);
/* A connection, as t->active says; the peer's end is its connection 0. */
int t_connected(struct tc *t);
/* Another connection of the same kind: the peer's number k. Passive ones need t_connected() before. */
int t_connected_more(struct tc *t, int k);
void t_nonblock(int fd);
/* Waits for events at most so long; revents, silently. */
short t_wait(int fd, short events, int ms);
/* poll() of one descriptor, written. */
void t_poll(int fd, short events, int ms);
void t_sleep_ms(int ms);
#endif
