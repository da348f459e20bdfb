/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h - will the dynamic loader put our library into this program?
 *
 * Idea:    reads the file's first bytes: a script names its interpreter, an ELF file says its class, machine and
 *          loader; the file system says setuid, setgid and capabilities. Go programs make their own system calls.
 * Threads: any. Reads files only.
 */
#ifndef MG_RUN_PROGRAM_H
#define MG_RUN_PROGRAM_H
#include <stdbool.h>
#include <stddef.h>

enum mg_program_verdict {
	MG_PROGRAM_OK,
	MG_PROGRAM_MISSING, /* no such file */
	MG_PROGRAM_NOT_EXECUTABLE,
	MG_PROGRAM_UNKNOWN,       /* neither ELF nor a script */
	MG_PROGRAM_OTHER_MACHINE, /* 32 bits, or another processor */
	MG_PROGRAM_STATIC,        /* no dynamic loader */
	MG_PROGRAM_GO,            /* makes system calls without libc */
	MG_PROGRAM_PRIVILEGED, /* setuid, setgid or capabilities: the loader ignores LD_PRELOAD */
};

/* Finds a name in PATH as execvp() does. True: path holds it. */
bool mg_program_find(const char *name, char *path, size_t size);
/* Looks at the file, and through "#!" at its interpreter (whose path is left in `path`). */
enum mg_program_verdict mg_program_check(char *path, size_t size);
/* One line for people: what that means and what to do. */
const char *mg_program_advice(enum mg_program_verdict verdict);
#endif
