/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.h - system calls without libc, for the library's own descriptors.
 *
 * Idea:    the library defines read(), close() and so on for the program, so it must not call them itself. What
 *          it does for itself goes straight to the kernel: no symbol look-up, no cancellation point, safe in a
 *          signal handler and in a child after vfork().
 * Use:     r = mg_sys(SYS_close, fd): the result, or -errno. MG_SYS_RET() gives libc's form of it.
 * Threads: any.
 */
#ifndef MG_PRELOAD_SYS_H
#define MG_PRELOAD_SYS_H
#include <errno.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
/* Registers are set last, from plain values: a sanitizer's call in between would overwrite them. */
static inline long mg_sys6(long nr, const long args[6])
{
	long a = args[0], b = args[1], c = args[2], d = args[3], e = args[4], f = args[5];
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long mg_sys6(long nr, const long args[6])
{
	long a = args[0], b = args[1], c = args[2], d = args[3], e = args[4], f = args[5];
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return x0;
}
#else
#error "no system call sequence for this machine"
#endif

#define MG_SYS_N(_0, _1, _2, _3, _4, _5, _6, N, ...) N
#define MG_SYS_0(nr) mg_sys6(nr, (const long[6]){ 0 })
#define MG_SYS_1(nr, a) mg_sys6(nr, (const long[6]){ (long)(a) })
#define MG_SYS_2(nr, a, b) mg_sys6(nr, (const long[6]){ (long)(a), (long)(b) })
#define MG_SYS_3(nr, a, b, c) mg_sys6(nr, (const long[6]){ (long)(a), (long)(b), (long)(c) })
#define MG_SYS_4(nr, a, b, c, d) \
	mg_sys6(nr, (const long[6]){ (long)(a), (long)(b), (long)(c), (long)(d) })
#define MG_SYS_5(nr, a, b, c, d, e) \
	mg_sys6(nr, (const long[6]){ (long)(a), (long)(b), (long)(c), (long)(d), (long)(e) })
#define MG_SYS_6(nr, a, b, c, d, e, f)                                                      \
	mg_sys6(nr, (const long[6]){ (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), \
				     (long)(f) })
/* The result, or -errno. */
#define mg_sys(...)                                                                       \
	MG_SYS_N(__VA_ARGS__, MG_SYS_6, MG_SYS_5, MG_SYS_4, MG_SYS_3, MG_SYS_2, MG_SYS_1, \
		 MG_SYS_0)                                                                \
	(__VA_ARGS__)

/* libc's form: -1 and errno. */
static inline long mg_sys_ret(long r)
{
	if (r < 0 && r > -4096) {
		errno = (int)-r;
		return -1;
	}
	return r;
}
/* gcc wants an alias to have its target's attributes; clang does not know how to say so. */
#if __has_attribute(copy)
#define MG_COPY(of) , copy(of)
#else
#define MG_COPY(of)
#endif

#endif
