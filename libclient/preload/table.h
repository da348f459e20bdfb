/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - from descriptor numbers to what we know of them.
 *
 * Idea:    an object stands for an open file description: a socket, or an epoll set. Each number that refers to it
 *          (dup) has an entry; entries and calls under way hold references, the last one ends the object, as the
 *          kernel does it. Objects live in memory that is only ever used for objects again, so that the look-up
 *          needs no lock: it takes a reference unless the count is 0, and looks at the entry once more.
 *          Descriptors of the library's own are marked, too: for the program they do not exist.
 * Threads: any; everything is lock-free but the allocation of objects.
 */
#ifndef MG_PRELOAD_TABLE_H
#define MG_PRELOAD_TABLE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bits.h"

enum mg_obj_kind {
	MG_OBJ_SOCK = 1,  /* struct mg_sock */
	MG_OBJ_EPOLL = 2, /* struct mg_ep */
	MG_OBJ_HIDDEN = 3 /* a descriptor of ours; not counted */
};

struct mg_obj {
	_Atomic uint32_t refs;   /* entries and calls under way; 0: free */
	_Atomic uint32_t nr_fds; /* entries */
	uint32_t kind;
	uint32_t fork_gen; /* of the process that uses it; see spawn.h */
	struct mg_obj *next_free;
};

#define MG_FD_PAGE 1024
#define MG_FD_PAGES 1024

struct mg_fd_page {
	_Atomic(struct mg_obj *) obj[MG_FD_PAGE];
};

extern _Atomic(struct mg_fd_page *) mg_fd_pages[MG_FD_PAGES];
extern struct mg_obj mg_fd_hidden;

/* Counts the forks up to this process: an object of another count was made by a parent; see guard.h. */
extern uint32_t mg_fork_gen;

/* Held over fork. */
void mg_obj_lock(void);
void mg_obj_unlock(void);

/* Called when the last reference goes; frees what the object holds, then calls mg_obj_free(). */
void mg_obj_end(struct mg_obj *obj);

static inline _Atomic(struct mg_obj *) *mg_fd_slot(int fd)
{
	struct mg_fd_page *page;

	if (mg_unlikely((unsigned int)fd >= MG_FD_PAGE * MG_FD_PAGES))
		return NULL;
	page = atomic_load_explicit(&mg_fd_pages[(unsigned int)fd / MG_FD_PAGE],
				    memory_order_acquire);
	return page == NULL ? NULL : &page->obj[(unsigned int)fd % MG_FD_PAGE];
}

/* What is there, without a reference: only good for comparing. */
static inline struct mg_obj *mg_fd_peek(int fd)
{
	_Atomic(struct mg_obj *) *slot = mg_fd_slot(fd);

	return slot == NULL ? NULL : atomic_load_explicit(slot, memory_order_acquire);
}

static inline bool mg_fd_is_hidden(int fd)
{
	return mg_unlikely(mg_fd_peek(fd) == &mg_fd_hidden);
}

static inline void mg_obj_put(struct mg_obj *obj)
{
	/* acq_rel: whoever ends it sees what all others did */
	if (atomic_fetch_sub_explicit(&obj->refs, 1, memory_order_acq_rel) == 1)
		mg_obj_end(obj);
}

/* True: a reference was taken. */
static inline bool mg_obj_tryget(struct mg_obj *obj)
{
	uint32_t refs = atomic_load_explicit(&obj->refs, memory_order_relaxed);

	do {
		if (refs == 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&obj->refs, &refs, refs + 1, memory_order_acquire, memory_order_relaxed));
	return true;
}

struct mg_obj *mg_fd_get_slow(_Atomic(struct mg_obj *) *slot);

/* The object behind a number with a reference for the caller; NULL: not ours (or hidden). */
static inline struct mg_obj *mg_fd_get(int fd)
{
	_Atomic(struct mg_obj *) *slot = mg_fd_slot(fd);

	if (slot == NULL || atomic_load_explicit(slot, memory_order_acquire) == NULL)
		return NULL;
	return mg_fd_get_slow(slot);
}

/* Sets up the page of a number: -ENOMEM, -EMFILE (a number beyond the table). */
int mg_fd_reserve(int fd);
/* The number refers to obj from now on (a reference of its own); what was there is let go. */
void mg_fd_set(int fd, struct mg_obj *obj);
/* The number refers to nothing of ours. True: it did. */
bool mg_fd_clear(int fd);
void mg_fd_hide(int fd);
void mg_fd_unhide(int fd);
/* Calls fn for each number with an entry, in order; a page that is not there costs nothing. */
void mg_fd_each(unsigned int first, unsigned int last,
		void (*fn)(int fd, struct mg_obj *obj, void *arg), void *arg);

/* A zeroed object of `bytes` (one size per kind) with one reference, the caller's. NULL: no memory. */
struct mg_obj *mg_obj_new(enum mg_obj_kind kind, size_t bytes);
/* Back to its pool; references are 0. */
void mg_obj_free(struct mg_obj *obj);
#endif
