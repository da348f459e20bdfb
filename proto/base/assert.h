/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert.h - assertions on our own mistakes, never on input.
 *
 * Idea:    MG_ASSERT stays in release builds (caller mistakes, impossible states). MG_DASSERT is for
 *          costly checks in loops and exists in debug, sanitizer, fuzz and simulator builds only; its
 *          expression is always compiled, so that it cannot rot.
 * Threads: any.
 */
#ifndef MG_ASSERT_H
#define MG_ASSERT_H
#include <assert.h> /* static_assert */

#ifndef MG_DEBUG
#define MG_DEBUG 0
#endif

/* Prints one line to stderr and aborts. */
__attribute__((noreturn, cold)) void mg_assert_fail(const char *expr, const char *file, int line,
						    const char *func);

#define MG_ASSERT(expr)                                                                     \
	(__builtin_expect(!(expr), 0) ? mg_assert_fail(#expr, __FILE__, __LINE__, __func__) \
				      : (void)0)

#define MG_DASSERT(expr)                                               \
	((MG_DEBUG) && __builtin_expect(!(expr), 0)                    \
		 ? mg_assert_fail(#expr, __FILE__, __LINE__, __func__) \
		 : (void)0)
#endif
