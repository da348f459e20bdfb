/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle.h - how a worker waits when there is nothing to do.
 *
 * Idea:    a worker polls while there is work. After the last of it it spins for spin_ns, because the
 *          next packet often follows at once and a sleeping core is slow to wake; then it sleeps on
 *          its port's descriptors, its doorbell and its next timer. ppoll, not epoll: what nobody
 *          waits for costs the sender of a packet nothing, and while busy nobody waits.
 * Use:     each loop: mg_idle_busy() after work, else mg_idle_should_sleep(). To sleep: announce it
 *          where producers look, check every source once more, mg_idle_wait(), take the
 *          announcement back.
 *          Applications ring doorbells: each attachment has an eventfd of its own, of which only the edges are
 *          taken (an epoll set), so that whoever reads it, fills it or makes it block hurts nobody else. We close
 *          it once it is passed; the set forgets it when the application does. The bell is an eventfd that stays
 *          within the daemon.
 * Threads: one worker; mg_idle_ring() and mg_idle_doorbell_new() from any thread.
 * Memory:  the struct; an eventfd and an epoll set.
 */
#ifndef MG_IO_IDLE_H
#define MG_IO_IDLE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define MG_IDLE_FDS_MAX 34     /* the doorbells, the bell and the queues */
#define MG_IDLE_DOORBELLS_FD 0 /* in fds */
#define MG_IDLE_BELL_FD 1
#define MG_IDLE_NAP_MIN_NS 20000ull
#define MG_IDLE_NAP_MAX_NS 1000000ull

/* Why mg_idle_wait() came back; several at once are possible. */
enum mg_idle_reason {
	MG_IDLE_PORT = 1u << 0,
	MG_IDLE_DOORBELL = 1u << 1,
	MG_IDLE_TIMER = 1u << 2, /* the deadline has come */
	MG_IDLE_NAP = 1u << 3,   /* a source cannot wake us: look at it */
	MG_IDLE_SIGNAL = 1u << 4,
};

struct mg_idle {
	struct pollfd fds[MG_IDLE_FDS_MAX]; /* the doorbells, the bell, then the sources */
	unsigned int nr_fds;
	bool naps;       /* some source has no descriptor */
	uint64_t nap_ns; /* grows while nothing comes */
	uint64_t spin_ns;
	uint64_t busy_at_ns; /* when there was work last */
	uint64_t sleeps, wakes_port, wakes_doorbell, wakes_timer;
};

/* 0 or -errno; the descriptors are made here. */
int mg_idle_init(struct mg_idle *idle, uint64_t spin_ns);
void mg_idle_fini(struct mg_idle *idle);

/* A source: its descriptor, or -1 when it has none and must be looked at from time to time. */
int mg_idle_add(struct mg_idle *idle, int fd);

/*
 * A doorbell for one application, which rings it with a write of 8 bytes: a descriptor, the caller's to pass and
 * to close, or -errno.
 */
int mg_idle_doorbell_new(const struct mg_idle *idle);

/* The eventfd of the daemon's own threads; nobody else may have it. */
static inline int mg_idle_bell_fd(const struct mg_idle *idle)
{
	return idle->fds[MG_IDLE_BELL_FD].fd;
}

/* Wake the worker; costs a system call, so only when it said that it sleeps. */
void mg_idle_ring(const struct mg_idle *idle);

static inline void mg_idle_busy(struct mg_idle *idle, uint64_t now_ns)
{
	idle->busy_at_ns = now_ns;
	idle->nap_ns = MG_IDLE_NAP_MIN_NS;
}

static inline bool mg_idle_should_sleep(const struct mg_idle *idle, uint64_t now_ns)
{
	return now_ns - idle->busy_at_ns >= idle->spin_ns;
}

/* Sleep until a source is ready or deadline_ns (UINT64_MAX: none). Returns enum mg_idle_reason bits. */
unsigned int mg_idle_wait(struct mg_idle *idle, uint64_t now_ns, uint64_t deadline_ns);

#endif
