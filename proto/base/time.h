/* SPDX-License-Identifier: Apache-2.0 */
/*
 * time.h - units of time. Time is uint64_t nanoseconds on a monotonic clock, handed in by the caller.
 *
 * Idea:    this header reads no clock; "never" is MG_TIME_NEVER in every deadline.
 * Threads: plain values.
 */
#ifndef MG_TIME_H
#define MG_TIME_H
#include <stdint.h>

#define MG_NS_PER_US 1000ull
#define MG_NS_PER_MS 1000000ull
#define MG_NS_PER_S 1000000000ull
#define MG_US_PER_S 1000000ull
#define MG_MS_PER_S 1000ull

#define MG_TIME_NEVER UINT64_MAX

static inline uint64_t mg_us_to_ns(uint64_t us)
{
	return us * MG_NS_PER_US;
}

static inline uint64_t mg_ms_to_ns(uint64_t ms)
{
	return ms * MG_NS_PER_MS;
}

static inline uint64_t mg_s_to_ns(uint64_t s)
{
	return s * MG_NS_PER_S;
}

/* These round down. */
static inline uint64_t mg_ns_to_us(uint64_t ns)
{
	return ns / MG_NS_PER_US;
}

static inline uint64_t mg_ns_to_ms(uint64_t ns)
{
	return ns / MG_NS_PER_MS;
}

static inline uint64_t mg_ns_to_s(uint64_t ns)
{
	return ns / MG_NS_PER_S;
}

/* now + delta, but never past MG_TIME_NEVER. */
static inline uint64_t mg_time_after(uint64_t now_ns, uint64_t delta_ns)
{
	return delta_ns > MG_TIME_NEVER - now_ns ? MG_TIME_NEVER : now_ns + delta_ns;
}
#endif
