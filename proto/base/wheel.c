/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wheel.c - lists of ids in slots; see the header for why the lowest occupied level comes first.
 *
 * Invariant: a timer armed for tick t, with the hand at h < t, lies in level L = (highest bit of t ^ h) / 6,
 * slot (t >> 6L) & 63. When the hand moves to h' without passing an occupied slot, t and h' still first
 * differ in the same group of bits, so nothing has to be sorted anew.
 */
#include "proto/base/wheel.h"

#include <stdalign.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/time.h"

#define EXPIRED (MG_WHEEL_LISTS - 1)
#define TICK_MAX ((1ull << (MG_WHEEL_LEVELS * MG_WHEEL_SLOT_BITS)) - 1)

static_assert(MG_WHEEL_SLOTS == 64, "one bitmap word per level");

/* Lists are circular; the head's prev is the tail. */
static void list_append(struct mg_wheel *w, uint32_t list, uint32_t id)
{
	struct mg_wheel_node *n = &w->node[id];
	uint32_t head = w->head[list];

	n->list = list;
	if (head == MG_WHEEL_NONE) {
		n->next = id;
		n->prev = id;
		w->head[list] = id;
		if (list != EXPIRED)
			w->map[list / MG_WHEEL_SLOTS] |= 1ull << list % MG_WHEEL_SLOTS;
		return;
	}
	n->next = head;
	n->prev = w->node[head].prev;
	w->node[n->prev].next = id;
	w->node[head].prev = id;
}

static void list_unlink(struct mg_wheel *w, uint32_t id)
{
	struct mg_wheel_node *n = &w->node[id];
	uint32_t list = n->list;

	n->list = MG_WHEEL_NONE;
	if (n->next == id) {
		w->head[list] = MG_WHEEL_NONE;
		if (list != EXPIRED)
			w->map[list / MG_WHEEL_SLOTS] &= ~(1ull << list % MG_WHEEL_SLOTS);
		return;
	}
	w->node[n->prev].next = n->next;
	w->node[n->next].prev = n->prev;
	if (w->head[list] == id)
		w->head[list] = n->next;
}

/* The list a timer for node.tick belongs to, as seen from the hand. */
static uint32_t list_for(const struct mg_wheel *w, uint64_t tick)
{
	if (tick <= w->tick)
		return EXPIRED;
	uint32_t level = mg_log2_u64(tick ^ w->tick) / MG_WHEEL_SLOT_BITS;
	uint32_t slot = (uint32_t)(tick >> level * MG_WHEEL_SLOT_BITS) % MG_WHEEL_SLOTS;

	return level * MG_WHEEL_SLOTS + slot;
}

/* The lowest occupied level, or MG_WHEEL_LEVELS. */
static uint32_t first_level(const struct mg_wheel *w)
{
	uint32_t level = 0;

	while (level < MG_WHEEL_LEVELS && w->map[level] == 0)
		level++;
	return level;
}

static uint64_t time_of(const struct mg_wheel *w, uint64_t tick)
{
	if (tick > UINT64_MAX >> w->shift)
		return MG_TIME_NEVER;
	return mg_add_sat_u64(w->base_ns, tick << w->shift);
}

/* Where the first occupied slot of a level begins. */
static uint64_t first_tick(const struct mg_wheel *w, uint32_t level)
{
	uint32_t shift = level * MG_WHEEL_SLOT_BITS;
	uint64_t slot = (uint64_t)__builtin_ctzll(w->map[level]);
	uint64_t above = w->tick >> (shift + MG_WHEEL_SLOT_BITS) << (shift + MG_WHEEL_SLOT_BITS);

	return above | slot << shift;
}

/* The hand has reached the slot: its timers expire or move to lower levels. */
static void empty_slot(struct mg_wheel *w, uint32_t level)
{
	uint32_t list = level * MG_WHEEL_SLOTS + (uint32_t)__builtin_ctzll(w->map[level]);

	while (w->head[list] != MG_WHEEL_NONE) {
		uint32_t id = w->head[list];

		list_unlink(w, id);
		list_append(w, list_for(w, w->node[id].tick), id);
	}
}

void mg_wheel_init(struct mg_wheel *w, void *mem, uint32_t nr_ids, uint64_t tick_ns,
		   uint64_t now_ns)
{
	MG_ASSERT(tick_ns > 0 && nr_ids < MG_WHEEL_NONE);
	MG_ASSERT((uintptr_t)mem % alignof(struct mg_wheel_node) == 0);
	for (uint32_t i = 0; i < MG_WHEEL_LEVELS; i++)
		w->map[i] = 0;
	for (uint32_t i = 0; i < MG_WHEEL_LISTS; i++)
		w->head[i] = MG_WHEEL_NONE;
	w->tick = 0;
	w->base_ns = now_ns;
	w->node = mem;
	w->nr_ids = nr_ids;
	w->nr_armed = 0;
	w->shift = mg_log2_u64(tick_ns);
	for (uint32_t id = 0; id < nr_ids; id++)
		w->node[id].list = MG_WHEEL_NONE;
}

/* The first tick that is not before the deadline and still lies ahead. */
static uint64_t tick_for(const struct mg_wheel *w, uint64_t deadline_ns)
{
	uint64_t from_base = mg_sub_sat_u64(deadline_ns, w->base_ns);
	uint64_t tick = from_base >> w->shift;

	if (tick << w->shift != from_base)
		tick++;
	return mg_clamp_u64(tick, w->tick + 1, TICK_MAX);
}

void mg_wheel_arm(struct mg_wheel *w, uint32_t id, uint64_t deadline_ns)
{
	MG_ASSERT(id < w->nr_ids);
	mg_wheel_cancel(w, id);
	if (deadline_ns == MG_TIME_NEVER)
		return;
	w->node[id].tick = tick_for(w, deadline_ns);
	list_append(w, list_for(w, w->node[id].tick), id);
	w->nr_armed++;
}

void mg_wheel_cancel(struct mg_wheel *w, uint32_t id)
{
	MG_ASSERT(id < w->nr_ids);
	if (w->node[id].list == MG_WHEEL_NONE)
		return;
	list_unlink(w, id);
	w->nr_armed--;
}

bool mg_wheel_is_armed(const struct mg_wheel *w, uint32_t id)
{
	return id < w->nr_ids && w->node[id].list != MG_WHEEL_NONE;
}

uint64_t mg_wheel_next_ns(const struct mg_wheel *w)
{
	if (w->nr_armed == 0)
		return MG_TIME_NEVER;
	if (w->head[EXPIRED] != MG_WHEEL_NONE)
		return time_of(w, w->tick);
	return time_of(w, first_tick(w, first_level(w)));
}

void mg_wheel_advance(struct mg_wheel *w, uint64_t now_ns)
{
	uint64_t to = mg_min_u64(mg_sub_sat_u64(now_ns, w->base_ns) >> w->shift, TICK_MAX - 1);

	while (w->tick < to) {
		uint32_t level = first_level(w);
		uint64_t at = level < MG_WHEEL_LEVELS ? first_tick(w, level) : UINT64_MAX;

		if (at > to) {
			w->tick = to;
			return;
		}
		w->tick = at;
		empty_slot(w, level);
	}
}

uint32_t mg_wheel_pop(struct mg_wheel *w)
{
	uint32_t id = w->head[EXPIRED];

	if (id == MG_WHEEL_NONE)
		return MG_WHEEL_NONE;
	list_unlink(w, id);
	w->nr_armed--;
	return id;
}
