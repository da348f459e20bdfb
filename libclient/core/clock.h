/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - the monotonic clock and deadlines of the client library.
 *
 * Threads: any.
 */
#ifndef MG_CLOCK_H
#define MG_CLOCK_H
#include <stdint.h>
#include <time.h>

#include "proto/base/time.h"

static inline uint64_t mg_clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
	return (uint64_t)ts.tv_sec * MG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* timeout_ms from now; < 0: never. */
static inline uint64_t mg_clock_deadline(int64_t timeout_ms)
{
	if (timeout_ms < 0)
		return MG_TIME_NEVER;
	return mg_time_after(mg_clock_ns(), (uint64_t)timeout_ms * MG_NS_PER_MS);
}

/* What is left until the deadline; 0 when it has passed. */
static inline struct timespec mg_clock_left(uint64_t deadline_ns)
{
	uint64_t now = mg_clock_ns();
	uint64_t left = deadline_ns > now ? deadline_ns - now : 0;

	return (struct timespec){ (time_t)(left / MG_NS_PER_S), (long)(left % MG_NS_PER_S) };
}
#endif
