/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - descriptors of the library's own in the program's table.
 *
 * Idea:    they sit at high numbers, close on exec, and are marked in the table (table.h), so that the program
 *          neither meets nor closes them. The client core uses plain names (close, read, ...); the linker turns
 *          those into __wrap_*() of internal.c, which are system calls.
 * Threads: any.
 */
#ifndef MG_PRELOAD_INTERNAL_H
#define MG_PRELOAD_INTERNAL_H

/* Moves a fresh descriptor up and marks it; returns the new number (the old one when there is no room). */
int mg_internal_fd(int fd);
/* Closes one of ours. */
void mg_internal_close(int fd);
/* An eventfd of the calling thread's own, for waits; -errno. Kept until the thread ends. */
int mg_internal_wake_fd(void);
#endif
