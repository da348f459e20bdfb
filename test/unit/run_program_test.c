/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_program_test.c - what mango run says about programs that cannot be accelerated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libclient/run/program.h"

static char path[] = "/tmp/mango-run-test-XXXXXX";

static enum mg_program_verdict check_bytes(const void *bytes, size_t len, mode_t mode)
{
	char copy[4096];
	int fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	(void)snprintf(copy, sizeof(copy), "%s", path); /* fits */
	return mg_program_check(copy, sizeof(copy));
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void programs_of_the_system(void **state)
{
	char found[4096];

	(void)state;
	assert_true(mg_program_find("sh", found, sizeof(found)));
	assert_int_equal(mg_program_check(found, sizeof(found)), MG_PROGRAM_OK);
	assert_false(mg_program_find("no-such-program-here", found, sizeof(found)));
	assert_false(mg_program_find("/tmp", found, sizeof(found)));
}

static void elf_files(void **state)
{
	Elf64_Ehdr eh = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64 } };
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph;
	} whole = { .eh = eh };

	(void)state;
	eh.e_machine = EM_68K;
	assert_int_equal(check_bytes(&eh, sizeof(eh), 0700), MG_PROGRAM_OTHER_MACHINE);
#if defined(__x86_64__)
	whole.eh.e_machine = EM_X86_64;
	whole.eh.e_phnum = 1;
	whole.eh.e_phoff = sizeof(whole.eh);
	assert_int_equal(check_bytes(&whole, sizeof(whole), 0700), MG_PROGRAM_STATIC);
	whole.ph.p_type = PT_INTERP;
	assert_int_equal(check_bytes(&whole, sizeof(whole), 0700), MG_PROGRAM_OK);
	whole.eh.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(check_bytes(&whole, sizeof(whole), 0700), MG_PROGRAM_OTHER_MACHINE);
#endif
	assert_int_equal(check_bytes("junk, no program", 16, 0700), MG_PROGRAM_UNKNOWN);
	assert_int_equal(check_bytes("junk, no program", 16, 0600), MG_PROGRAM_NOT_EXECUTABLE);
}

static void scripts_are_their_interpreter(void **state)
{
	static const char sh[] = "#!/bin/sh -e\nexit 0\n", env[] = "#!/usr/bin/env -S A=1 sh\n";
	static const char none[] = "#!/no/such/interpreter\n";

	(void)state;
	assert_int_equal(check_bytes(sh, sizeof(sh) - 1, 0700), MG_PROGRAM_OK);
	assert_int_equal(check_bytes(env, sizeof(env) - 1, 0700), MG_PROGRAM_OK);
	assert_int_equal(check_bytes(none, sizeof(none) - 1, 0700), MG_PROGRAM_UNKNOWN);
}

static void every_verdict_has_advice(void **state)
{
	(void)state;
	for (int v = MG_PROGRAM_OK; v <= MG_PROGRAM_PRIVILEGED; v++)
		assert_true(strlen(mg_program_advice((enum mg_program_verdict)v)) > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_of_the_system),
		cmocka_unit_test(elf_files),
		cmocka_unit_test(scripts_are_their_interpreter),
		cmocka_unit_test(every_verdict_has_advice),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
