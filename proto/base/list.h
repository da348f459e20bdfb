/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - an intrusive doubly linked list by pointers, with a sentinel.
 *
 * Idea:    the node lies in the element; an unlinked node points to itself, so removal is always allowed
 *          and "is it on a list" is one comparison.
 * Use:     MG_LIST_FOREACH(it, &list) { struct foo *f = mg_container_of(it, struct foo, node); ... }
 *          The body may remove `it` itself only with MG_LIST_FOREACH_SAFE.
 * Threads: one at a time.
 * Memory:  the caller's.
 */
#ifndef MG_LIST_H
#define MG_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct mg_list_node {
	struct mg_list_node *next;
	struct mg_list_node *prev;
};

struct mg_list {
	struct mg_list_node head;
};

#define MG_LIST_FOREACH(it, list) \
	for (struct mg_list_node *it = (list)->head.next; it != &(list)->head; it = it->next)

#define MG_LIST_FOREACH_SAFE(it, list)                                           \
	for (struct mg_list_node *it = (list)->head.next, *it##_next = it->next; \
	     it != &(list)->head; it = it##_next, it##_next = it->next)

static inline void mg_list_node_init(struct mg_list_node *n)
{
	n->next = n;
	n->prev = n;
}

static inline void mg_list_init(struct mg_list *l)
{
	mg_list_node_init(&l->head);
}

static inline bool mg_list_is_empty(const struct mg_list *l)
{
	return l->head.next == &l->head;
}

static inline bool mg_list_is_linked(const struct mg_list_node *n)
{
	return n->next != n;
}

static inline void mg_list_insert_after(struct mg_list_node *at, struct mg_list_node *n)
{
	n->next = at->next;
	n->prev = at;
	at->next->prev = n;
	at->next = n;
}

static inline void mg_list_push_front(struct mg_list *l, struct mg_list_node *n)
{
	mg_list_insert_after(&l->head, n);
}

static inline void mg_list_push_back(struct mg_list *l, struct mg_list_node *n)
{
	mg_list_insert_after(l->head.prev, n);
}

/* Removing an unlinked (initialised) node does nothing. */
static inline void mg_list_remove(struct mg_list_node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	mg_list_node_init(n);
}

/* NULL when empty. */
static inline struct mg_list_node *mg_list_first(const struct mg_list *l)
{
	return mg_list_is_empty(l) ? NULL : l->head.next;
}

static inline struct mg_list_node *mg_list_last(const struct mg_list *l)
{
	return mg_list_is_empty(l) ? NULL : l->head.prev;
}

static inline struct mg_list_node *mg_list_pop_front(struct mg_list *l)
{
	struct mg_list_node *n = l->head.next;

	if (n == &l->head)
		return NULL;
	l->head.next = n->next;
	n->next->prev = &l->head;
	mg_list_node_init(n);
	return n;
}
#endif
