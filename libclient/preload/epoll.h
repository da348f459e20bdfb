/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll.h - epoll sets that hold sockets of mangod's beside the kernel's descriptors.
 *
 * Idea:    a set is a real epoll descriptor with what the kernel can watch, and a queue of the client core with the
 *          watches of what mangod serves. epoll_wait() looks at the queue first (no system call while there is
 *          work), at the kernel's part at bounded intervals, and sleeps on both. Edge, one-shot and level are
 *          computed from what the window showed when the last event was given out.
 *          A socket that is not decided yet is in the kernel's set; the item changes sides with the socket. A set
 *          that holds no socket of mangod's costs one look-up.
 * Locks:   `graph` (one for the process) for who is in which set; the context's lock for readiness. graph first.
 * Threads: any.
 */
#ifndef MG_PRELOAD_EPOLL_H
#define MG_PRELOAD_EPOLL_H
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "libclient/core/ctx.h"
#include "libclient/preload/table.h"

struct mg_sock;
struct mg_lst;
struct mg_ep;

/* One socket in one set. */
struct mg_ep_item {
	struct mg_watch watch;
	struct mg_list_node in_sock; /* graph */
	struct mg_list_node in_set;  /* graph */
	struct mg_ep *set;
	struct mg_sock *sock; /* or */
	struct mg_ep *inner;  /* a set in a set */
	int fd;               /* as it was added */
	bool in_kernel;       /* the kernel's set has it, too (graph) */
	bool is_off;          /* one-shot, and shot (context) */
	uint32_t events;      /* context */
	uint64_t data;
	/* What was there when it was last reported: for edges (context). */
	uint64_t seen_tail;
	uint32_t seen_bits;
	uint32_t seen_nospace;
	uint64_t look_tail; /* what the last look saw */
	uint32_t look_nospace;
	bool armed; /* the next look reports whatever is ready */
};

struct mg_ep {
	struct mg_obj obj;
	int epfd;
	int kick_fd;                /* in the kernel's set: ends a sleep there; -1: none yet */
	uint64_t cookie;            /* its data */
	_Atomic uint32_t nr_items;  /* those that mangod serves */
	_Atomic uint32_t nr_kernel; /* what the kernel watches, about */
	_Atomic uint32_t sleepers;  /* in the kernel's epoll_wait() */
	_Atomic uint64_t looked_ns; /* at the kernel's part */
	_Atomic bool kernel_busy;   /* the last look found something: look at each call */
	_Atomic uint32_t nr_both;   /* listeners that are on both sides */
	struct mg_list items;       /* graph */
	struct mg_list parents;     /* graph; items of sets that this is in */
	_Atomic uint32_t nr_dead;
	struct mg_list dead;     /* graph; items whose daemon is gone */
	struct mg_queue queue;   /* queue.ctx NULL: none yet */
	struct mg_source source; /* for sets that this is in; under the context's lock */
};

struct mg_ep *mg_ep_get(int fd);
void mg_ep_put(struct mg_ep *set);
/* A set for a fresh epoll descriptor. */
int mg_ep_new(int epfd);
void mg_ep_end(struct mg_ep *set);

/* 0, -errno, or 1: libc is to do it. */
int mg_ep_ctl(struct mg_ep *set, int epfd, int op, int fd, struct epoll_event *event);

struct mg_ep_wait {
	struct epoll_event *events;
	int max;
	uint64_t deadline_ns; /* 0: do not wait */
	const sigset_t *sigmask;
};
/* Wakes those who sleep in the kernel's epoll_wait() although there is a queue to look at now. */
void mg_ep_kick(struct mg_ep *set);
/* Makes sure there is something to kick them with. */
void mg_ep_make_kick(struct mg_ep *set, int epfd);
/* Items whose daemon has died leave the queue for the list of the dead. */
void mg_ep_retire(struct mg_ep *set);
/* Locked (context). Notes that `item` was reported. */
void mg_ep_item_reported(struct mg_ep_item *item, uint32_t mask);
void mg_ep_lock(void);
void mg_ep_unlock(void);
/* The number of events, or -errno. */
int mg_ep_wait(struct mg_ep *set, int epfd, const struct mg_ep_wait *call);
/* Is something of mangod's ready in it? Locked (context). */
bool mg_ep_is_ready(struct mg_ep *set);

/* The kernel's sets forget the socket, and know it again when its holder has another number. */
void mg_ep_sock_unregister(struct mg_sock *s);
void mg_ep_sock_register(struct mg_sock *s);
/* In a child of fork: nothing is watched any more ... */
void mg_ep_sock_forked(struct mg_sock *s);
void mg_ep_forked(struct mg_ep *set);
/* ... until the set is used: its sockets are joined. */
void mg_ep_revive(struct mg_ep *set);
/* The socket has changed sides. */
void mg_ep_sock_moved(struct mg_sock *s);
/* A listener has another `lst` from now on; the graph is held over the change. */
void mg_ep_sock_relisten(struct mg_sock *s, struct mg_lst *lst);
/* The socket ends: it leaves all sets. */
void mg_ep_sock_ends(struct mg_sock *s);

/* Locked (context). The set's readiness for whoever watches it; NULL: it has no context yet. */
struct mg_source *mg_ep_source(struct mg_ep *set);
/* Locked (context). What is to be reported of an item now; 0: nothing. Pure but for the socket's readiness. */
uint32_t mg_ep_item_due(struct mg_ep_item *item);
#endif
