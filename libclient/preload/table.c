/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/table.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "libclient/preload/sys.h"

#define CHUNK_BYTES (256u * 1024u)
#define NR_KINDS 3

_Atomic(struct mg_fd_page *) mg_fd_pages[MG_FD_PAGES];
struct mg_obj mg_fd_hidden = { .kind = MG_OBJ_HIDDEN };

/* Free objects by kind. */
static struct {
	pthread_mutex_t lock;
	struct mg_obj *free[NR_KINDS];
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *map(size_t bytes)
{
	long p = mg_sys(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	return p < 0 && p > -4096 ? NULL : (void *)p;
}

int mg_fd_reserve(int fd)
{
	struct mg_fd_page *page, *none = NULL;
	unsigned int i = (unsigned int)fd / MG_FD_PAGE;

	if (i >= MG_FD_PAGES)
		return -EMFILE;
	if (atomic_load_explicit(&mg_fd_pages[i], memory_order_acquire) != NULL)
		return 0;
	page = map(sizeof(*page));
	if (page == NULL)
		return -ENOMEM;
	/* release: pairs with the acquire in mg_fd_slot() */
	if (!atomic_compare_exchange_strong_explicit(&mg_fd_pages[i], &none, page,
						     memory_order_acq_rel, memory_order_acquire))
		(void)mg_sys(SYS_munmap, page, sizeof(*page));
	return 0;
}

struct mg_obj *mg_fd_get_slow(_Atomic(struct mg_obj *) *slot)
{
	struct mg_obj *obj;

	for (;;) {
		obj = atomic_load_explicit(slot, memory_order_acquire);
		if (obj == NULL || obj == &mg_fd_hidden)
			return NULL;
		if (!mg_obj_tryget(obj))
			continue; /* on its way out, and its entry is, too */
		if (atomic_load_explicit(slot, memory_order_acquire) == obj)
			return obj;
		mg_obj_put(obj);
	}
}

static void let_go(struct mg_obj *old)
{
	if (old == NULL || old == &mg_fd_hidden)
		return;
	(void)atomic_fetch_sub_explicit(&old->nr_fds, 1, memory_order_relaxed);
	mg_obj_put(old);
}

void mg_fd_set(int fd, struct mg_obj *obj)
{
	_Atomic(struct mg_obj *) *slot = mg_fd_slot(fd);

	(void)atomic_fetch_add_explicit(&obj->refs, 1, memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&obj->nr_fds, 1, memory_order_relaxed);
	let_go(atomic_exchange_explicit(slot, obj, memory_order_acq_rel));
}

bool mg_fd_clear(int fd)
{
	_Atomic(struct mg_obj *) *slot = mg_fd_slot(fd);
	struct mg_obj *old;

	if (slot == NULL || atomic_load_explicit(slot, memory_order_relaxed) == NULL)
		return false;
	old = atomic_exchange_explicit(slot, NULL, memory_order_acq_rel);
	let_go(old);
	return old != NULL && old != &mg_fd_hidden;
}

void mg_fd_hide(int fd)
{
	if (mg_fd_reserve(fd) == 0)
		let_go(atomic_exchange_explicit(mg_fd_slot(fd), &mg_fd_hidden,
						memory_order_acq_rel));
}

void mg_fd_unhide(int fd)
{
	_Atomic(struct mg_obj *) *slot = mg_fd_slot(fd);
	struct mg_obj *hidden = &mg_fd_hidden;

	if (slot != NULL)
		(void)atomic_compare_exchange_strong(slot, &hidden, NULL);
}

void mg_fd_each(unsigned int first, unsigned int last,
		void (*fn)(int fd, struct mg_obj *obj, void *arg), void *arg)
{
	for (unsigned int fd = first; fd <= last && fd < MG_FD_PAGE * MG_FD_PAGES; fd++) {
		struct mg_obj *obj;

		if (atomic_load_explicit(&mg_fd_pages[fd / MG_FD_PAGE], memory_order_acquire) ==
		    NULL) {
			fd |= MG_FD_PAGE - 1;
			continue;
		}
		obj = mg_fd_peek((int)fd);
		if (obj != NULL)
			fn((int)fd, obj, arg);
	}
}

void mg_obj_lock(void)
{
	pthread_mutex_lock(&pool.lock);
}

void mg_obj_unlock(void)
{
	pthread_mutex_unlock(&pool.lock);
}

/* Locked. Cuts a new chunk into objects. */
static void refill(enum mg_obj_kind kind, size_t bytes)
{
	uint8_t *chunk = map(CHUNK_BYTES);

	for (size_t off = 0; chunk != NULL && off + bytes <= CHUNK_BYTES; off += bytes) {
		struct mg_obj *obj = (struct mg_obj *)(void *)(chunk + off);

		obj->next_free = pool.free[kind];
		pool.free[kind] = obj;
	}
}

struct mg_obj *mg_obj_new(enum mg_obj_kind kind, size_t bytes)
{
	struct mg_obj *obj;

	bytes = (bytes + 63) & ~(size_t)63;
	pthread_mutex_lock(&pool.lock);
	if (pool.free[kind] == NULL)
		refill(kind, bytes);
	obj = pool.free[kind];
	if (obj != NULL)
		pool.free[kind] = obj->next_free;
	pthread_mutex_unlock(&pool.lock);
	if (obj == NULL)
		return NULL;
	/* All but the count, which a look-up that comes too late may be reading. */
	memset(&obj->nr_fds, 0, bytes - offsetof(struct mg_obj, nr_fds));
	obj->kind = kind;
	obj->fork_gen = mg_fork_gen;
	atomic_store_explicit(&obj->refs, 1, memory_order_release);
	return obj;
}

void mg_obj_free(struct mg_obj *obj)
{
	pthread_mutex_lock(&pool.lock);
	obj->next_free = pool.free[obj->kind];
	pool.free[obj->kind] = obj;
	pthread_mutex_unlock(&pool.lock);
}
