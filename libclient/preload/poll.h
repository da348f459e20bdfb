/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll.h - poll() and select() over descriptors of both kinds.
 *
 * Idea:    without a socket of mangod's among them the call is libc's. Else the first look asks each side without
 *          waiting; only when there is nothing are watches set up, for the time of the sleep.
 * Threads: any. Nothing outlives the call.
 */
#ifndef MG_PRELOAD_POLL_H
#define MG_PRELOAD_POLL_H
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* Does mangod serve one of these? */
bool mg_poll_concerns(const struct pollfd *fds, nfds_t n);
bool mg_poll_serves(int fd);
/* poll()'s result, or -errno. deadline_ns: 0 does not wait. */
int mg_poll(struct pollfd *fds, nfds_t n, uint64_t deadline_ns, const sigset_t *sigmask);
#endif
