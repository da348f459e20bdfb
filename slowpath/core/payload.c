/* SPDX-License-Identifier: Apache-2.0 */
/* payload.c - see payload.h. */
#include "slowpath/core/payload.h"

#include <errno.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"

#define NONE UINT32_MAX
#define FREE 0x80u

static uint32_t units_of(uint64_t bytes)
{
	return (uint32_t)(bytes / MG_PAYLOAD_UNIT_BYTES);
}

size_t mg_payload_bytes(uint64_t section_bytes_max)
{
	size_t units = units_of(section_bytes_max);

	return mg_align_up(units * (2 * sizeof(uint32_t) + 1), 64);
}

static void push_free(struct mg_payload *p, uint32_t unit, uint32_t order)
{
	p->next[unit] = p->free[order];
	p->prev[unit] = NONE;
	if (p->free[order] != NONE)
		p->prev[p->free[order]] = unit;
	p->free[order] = unit;
	p->head[unit] = (uint8_t)((order + 1) | FREE);
}

static void take_free(struct mg_payload *p, uint32_t unit, uint32_t order)
{
	MG_DASSERT(p->head[unit] == ((order + 1) | FREE));
	if (p->prev[unit] != NONE)
		p->next[p->prev[unit]] = p->next[unit];
	else
		p->free[order] = p->next[unit];
	if (p->next[unit] != NONE)
		p->prev[p->next[unit]] = p->prev[unit];
	p->head[unit] = 0;
}

/* The largest order whose block is aligned at `unit` and ends within the section. */
static uint32_t seed_order(const struct mg_payload *p, uint32_t unit)
{
	uint32_t order = 0;

	while (order + 1 < MG_PAYLOAD_ORDERS && (unit & ((2u << order) - 1)) == 0 &&
	       (uint64_t)unit + (2u << order) <= p->nr_units)
		order++;
	return order;
}

void mg_payload_init(struct mg_payload *p, void *mem, uint64_t section_bytes_max,
		     uint64_t section_bytes)
{
	uint32_t max = units_of(section_bytes_max);

	MG_ASSERT(section_bytes <= section_bytes_max);
	memset(p, 0, sizeof(*p));
	p->next = mem;
	p->prev = p->next + max;
	p->head = (uint8_t *)(p->prev + max);
	p->nr_units = units_of(section_bytes);
	p->nr_free_units = p->nr_units;
	memset(p->head, 0, p->nr_units);
	for (uint32_t order = 0; order < MG_PAYLOAD_ORDERS; order++)
		p->free[order] = NONE;
	for (uint32_t unit = 0; unit < p->nr_units;) {
		uint32_t order = seed_order(p, unit);

		push_free(p, unit, order);
		unit += 1u << order;
	}
}

int mg_payload_alloc(struct mg_payload *p, uint32_t bytes, uint64_t *ret_off)
{
	uint32_t want, order, unit;

	MG_ASSERT(mg_is_pow2(bytes) && bytes >= MG_PAYLOAD_UNIT_BYTES);
	want = mg_log2_u32(bytes / MG_PAYLOAD_UNIT_BYTES);
	for (order = want; order < MG_PAYLOAD_ORDERS && p->free[order] == NONE;)
		order++;
	if (order >= MG_PAYLOAD_ORDERS)
		return -ENOSPC;
	unit = p->free[order];
	take_free(p, unit, order);
	while (order > want) {
		order--;
		push_free(p, unit + (1u << order), order);
	}
	p->head[unit] = (uint8_t)(want + 1);
	p->nr_free_units -= 1u << want;
	*ret_off = (uint64_t)unit * MG_PAYLOAD_UNIT_BYTES;
	return 0;
}

void mg_payload_free(struct mg_payload *p, uint64_t off, uint32_t bytes)
{
	uint32_t unit = units_of(off);
	uint32_t order = mg_log2_u32(bytes / MG_PAYLOAD_UNIT_BYTES);

	MG_ASSERT(unit < p->nr_units && p->head[unit] == order + 1);
	p->nr_free_units += 1u << order;
	p->head[unit] = 0;
	while (order + 1 < MG_PAYLOAD_ORDERS) {
		uint32_t buddy = unit ^ 1u << order;

		if (buddy >= p->nr_units || p->head[buddy] != ((order + 1) | FREE))
			break;
		take_free(p, buddy, order);
		unit &= ~(1u << order);
		order++;
	}
	push_free(p, unit, order);
}

bool mg_payload_is_whole(const struct mg_payload *p)
{
	return p->nr_free_units == p->nr_units;
}
