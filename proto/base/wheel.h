/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wheel.h - a hierarchical timing wheel: one timer per id 0..n-1, from microseconds to years.
 *
 * Idea:    time is counted in ticks since mg_wheel_init(). A deadline lies in the level where its tick and
 *          the current tick first differ, in groups of 6 bits; so every occupied slot of a level lies
 *          ahead of the hand, the lowest occupied level holds the earliest timer, and one bitmap per
 *          level finds it. Advancing jumps from occupied slot to occupied slot, never tick by tick; a
 *          timer moves down at most once per level.
 *          A timer fires at the first tick not before its deadline: never early, less than one tick late.
 *          A deadline that is already past fires at the next tick (so that a handler which re-arms for
 *          "now" does not spin).
 * Use:     mg_wheel_advance(w, now); while ((id = mg_wheel_pop(w)) != MG_WHEEL_NONE) handle(id);
 *          sleep until mg_wheel_next_ns(w). A timer that is expired but not popped yet counts as armed: it
 *          may be cancelled and re-armed.
 * Threads: one at a time.
 * Memory:  the caller's, mg_wheel_bytes(nr_ids) bytes aligned to 8; nothing else is ever taken.
 */
#ifndef MG_WHEEL_H
#define MG_WHEEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MG_WHEEL_NONE UINT32_MAX
#define MG_WHEEL_LEVELS 8
#define MG_WHEEL_SLOT_BITS 6
#define MG_WHEEL_SLOTS (1 << MG_WHEEL_SLOT_BITS)
/* Lists: one per slot, and the list of the expired. */
#define MG_WHEEL_LISTS (MG_WHEEL_LEVELS * MG_WHEEL_SLOTS + 1)

struct mg_wheel_node {
	uint32_t next;
	uint32_t prev; /* of the first: the last */
	uint64_t tick; /* when it fires */
	uint32_t list; /* MG_WHEEL_NONE: not armed */
};

struct mg_wheel {
	uint64_t map[MG_WHEEL_LEVELS]; /* bit set: slot occupied */
	uint64_t tick;                 /* the hand */
	uint64_t base_ns;              /* time of tick 0 */
	struct mg_wheel_node *node;    /* [nr_ids] */
	uint32_t nr_ids;
	uint32_t nr_armed;
	uint32_t shift; /* a tick is 1 << shift ns */
	uint32_t head[MG_WHEEL_LISTS];
};

static inline size_t mg_wheel_bytes(uint32_t nr_ids)
{
	return (size_t)nr_ids * sizeof(struct mg_wheel_node);
}

/* tick_ns is rounded down to a power of two (50 us becomes 32.768 us). */
void mg_wheel_init(struct mg_wheel *w, void *mem, uint32_t nr_ids, uint64_t tick_ns,
		   uint64_t now_ns);
/* Arms, or moves to another deadline; O(1). MG_TIME_NEVER cancels. */
void mg_wheel_arm(struct mg_wheel *w, uint32_t id, uint64_t deadline_ns);
/* Nothing happens when it is not armed. */
void mg_wheel_cancel(struct mg_wheel *w, uint32_t id);
bool mg_wheel_is_armed(const struct mg_wheel *w, uint32_t id);
/*
 * When to call mg_wheel_advance() next: at this time the earliest timer fires (exact within the next 64
 * ticks), or may have to be sorted anew (further away); never later than the earliest timer fires.
 * UINT64_MAX when nothing is armed.
 */
uint64_t mg_wheel_next_ns(const struct mg_wheel *w);
/* now_ns may jump far and may stand still; going back is ignored. */
void mg_wheel_advance(struct mg_wheel *w, uint64_t now_ns);
/* The next expired id, which is no longer armed then; in order of ticks. MG_WHEEL_NONE: no more. */
uint32_t mg_wheel_pop(struct mg_wheel *w);
#endif
