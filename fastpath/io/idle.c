/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle.c - see idle.h.
 */
#include "fastpath/io/idle.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/assert.h"

#define TIMER_SLACK_NS 1ul /* the kernel's default of 50 us would be added to every deadline */

#define DOORBELLS_AT_ONCE 16

enum { DOORBELLS = MG_IDLE_DOORBELLS_FD, BELL = MG_IDLE_BELL_FD, OWN_FDS };

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

int mg_idle_init(struct mg_idle *idle, uint64_t spin_ns)
{
	int doorbells = epoll_create1(EPOLL_CLOEXEC);
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int err = -errno;

	if (doorbells < 0 || bell < 0) {
		close_fd(doorbells);
		close_fd(bell);
		return err;
	}
	memset(idle, 0, sizeof(*idle));
	idle->fds[DOORBELLS] = (struct pollfd){ .fd = doorbells, .events = POLLIN };
	idle->fds[BELL] = (struct pollfd){ .fd = bell, .events = POLLIN };
	idle->nr_fds = OWN_FDS;
	idle->spin_ns = spin_ns;
	idle->nap_ns = MG_IDLE_NAP_MIN_NS;
	return 0;
}

void mg_idle_fini(struct mg_idle *idle)
{
	for (unsigned int i = 0; i < OWN_FDS && idle->nr_fds > 0; i++)
		close_fd(idle->fds[i].fd);
	memset(idle, 0, sizeof(*idle));
}

int mg_idle_add(struct mg_idle *idle, int fd)
{
	MG_ASSERT(idle->nr_fds > 0);
	if (fd < 0) {
		idle->naps = true;
		return 0;
	}
	if (idle->nr_fds == MG_IDLE_FDS_MAX)
		return -ENOSPC;
	idle->fds[idle->nr_fds++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	return 0;
}

int mg_idle_doorbell_new(const struct mg_idle *idle)
{
	struct epoll_event edge = { .events = EPOLLIN | EPOLLET };
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	if (epoll_ctl(idle->fds[DOORBELLS].fd, EPOLL_CTL_ADD, fd, &edge) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

void mg_idle_ring(const struct mg_idle *idle)
{
	const uint64_t one = 1;

	/* EAGAIN: it has been rung so often that it cannot be overheard. */
	while (write(idle->fds[BELL].fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Takes edges, not counts: what is in a doorbell is its application's business. The bell is ours alone. */
static void answer(const struct mg_idle *idle, unsigned int which)
{
	struct epoll_event edges[DOORBELLS_AT_ONCE];
	uint64_t rings;

	if (which == BELL)
		(void)!read(idle->fds[BELL].fd, &rings,
			    sizeof(rings)); /* EAGAIN: nothing to take */
	else
		(void)epoll_wait(idle->fds[DOORBELLS].fd, edges, DOORBELLS_AT_ONCE,
				 0); /* those that are left call again */
}

static unsigned int reasons(struct mg_idle *idle)
{
	unsigned int why = 0;

	for (unsigned int i = 0; i < OWN_FDS; i++) {
		if (idle->fds[i].revents == 0)
			continue;
		answer(idle, i);
		why |= MG_IDLE_DOORBELL;
	}
	if ((why & MG_IDLE_DOORBELL) != 0)
		idle->wakes_doorbell++;
	for (unsigned int i = OWN_FDS; i < idle->nr_fds; i++)
		if (idle->fds[i].revents != 0)
			why |= MG_IDLE_PORT;
	if ((why & MG_IDLE_PORT) != 0)
		idle->wakes_port++;
	return why;
}

/* How long; UINT64_MAX: without end. A nap lengthens the next one. */
static uint64_t sleep_ns(struct mg_idle *idle, uint64_t now_ns, uint64_t deadline_ns, bool *ret_nap)
{
	uint64_t ns = UINT64_MAX;

	*ret_nap = false;
	if (deadline_ns != UINT64_MAX)
		ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	if (idle->naps && idle->nap_ns < ns) {
		ns = idle->nap_ns;
		*ret_nap = true;
		if (idle->nap_ns < MG_IDLE_NAP_MAX_NS)
			idle->nap_ns *= 2;
	}
	return ns;
}

unsigned int mg_idle_wait(struct mg_idle *idle, uint64_t now_ns, uint64_t deadline_ns)
{
	bool nap;
	uint64_t ns = sleep_ns(idle, now_ns, deadline_ns, &nap);
	const struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000u),
				     .tv_nsec = (long)(ns % 1000000000u) };
	int n;

	MG_DASSERT(idle->nr_fds > 0);
	if (idle->sleeps++ == 0)
		(void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0); /* of this thread */
	n = ppoll(idle->fds, idle->nr_fds, ns == UINT64_MAX ? NULL : &ts, NULL);
	if (n > 0)
		return reasons(idle);
	if (n < 0)
		return MG_IDLE_SIGNAL; /* EINTR; nothing else can happen with these arguments */
	if (nap)
		return MG_IDLE_NAP;
	idle->wakes_timer++;
	return MG_IDLE_TIMER;
}
