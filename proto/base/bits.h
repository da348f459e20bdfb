/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bits.h - small integer helpers and the few compiler words that everybody needs.
 *
 * Threads: plain values.
 */
#ifndef MG_BITS_H
#define MG_BITS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MG_CACHE_LINE 64

#define mg_likely(x) __builtin_expect(!!(x), 1)
#define mg_unlikely(x) __builtin_expect(!!(x), 0)

#define MG_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The object of `type` whose `member` is at `ptr`. */
#define mg_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Zero is no power of two. */
static inline bool mg_is_pow2(uint64_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

/* The next multiple of `align`, a power of two. */
static inline uint64_t mg_align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

static inline uint64_t mg_align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

/* floor(log2(v)); v must not be 0. */
static inline uint32_t mg_log2_u32(uint32_t v)
{
	return 31u - (uint32_t)__builtin_clz(v);
}

static inline uint32_t mg_log2_u64(uint64_t v)
{
	return 63u - (uint32_t)__builtin_clzll(v);
}

/* The smallest power of two >= v; 1 for 0. v <= 2^31 and v <= 2^63 respectively. */
static inline uint32_t mg_pow2_up_u32(uint32_t v)
{
	return v <= 1 ? 1 : 1u << (mg_log2_u32(v - 1) + 1);
}

static inline uint64_t mg_pow2_up_u64(uint64_t v)
{
	return v <= 1 ? 1 : 1ull << (mg_log2_u64(v - 1) + 1);
}

static inline uint32_t mg_div_up_u32(uint32_t v, uint32_t by)
{
	return v / by + (v % by != 0);
}

static inline uint32_t mg_min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t mg_max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline uint32_t mg_clamp_u32(uint32_t v, uint32_t lo, uint32_t hi)
{
	return mg_min_u32(mg_max_u32(v, lo), hi);
}

static inline uint64_t mg_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t mg_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t mg_clamp_u64(uint64_t v, uint64_t lo, uint64_t hi)
{
	return mg_min_u64(mg_max_u64(v, lo), hi);
}

/* a - b, but never below zero; a + b, but never past the top. */
static inline uint32_t mg_sub_sat_u32(uint32_t a, uint32_t b)
{
	return a > b ? a - b : 0;
}

static inline uint64_t mg_sub_sat_u64(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static inline uint64_t mg_add_sat_u64(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}
#endif
