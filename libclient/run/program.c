/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/run/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define INTERPRETERS_MAX 4
#define HEADERS_MAX 128

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#define OUR_MACHINE EM_NONE
#endif

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool mg_program_find(const char *name, char *path, size_t size)
{
	const char *list = getenv("PATH");
	size_t len;

	if (strchr(name, '/') != NULL)
		return (size_t)snprintf(path, size, "%s", name) < size && is_file(path);
	if (list == NULL)
		list = "/usr/local/bin:/usr/bin:/bin";
	for (; *list != '\0'; list += len + (list[len] == ':')) {
		int n;

		len = strcspn(list, ":");
		n = snprintf(path, size, "%.*s/%s", len == 0 ? 1 : (int)len, len == 0 ? "." : list,
			     name);
		if (n > 0 && (size_t)n < size && is_file(path) && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static bool is_privileged(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || geteuid() == 0)
		/* root gains nothing by setuid root; another user's setuid still counts */
		return stat(path, &st) == 0 &&
		       (((st.st_mode & S_ISUID) != 0 && st.st_uid != geteuid()) ||
			((st.st_mode & S_ISGID) != 0 && st.st_gid != getegid()));
	return ((st.st_mode & S_ISUID) != 0 && st.st_uid != getuid()) ||
	       ((st.st_mode & S_ISGID) != 0 && st.st_gid != getgid()) ||
	       getxattr(path, "security.capability", NULL, 0) > 0;
}

/* Does the section header string table name this section? */
static bool has_section(int fd, const Elf64_Ehdr *eh, const char *name)
{
	Elf64_Shdr strings, section;
	char found[32];

	if (eh->e_shentsize != sizeof(section) || eh->e_shstrndx >= eh->e_shnum ||
	    pread(fd, &strings, sizeof(strings),
		  (off_t)(eh->e_shoff + (uint64_t)eh->e_shstrndx * sizeof(strings))) !=
		    (ssize_t)sizeof(strings))
		return false;
	for (uint32_t i = 0; i < eh->e_shnum && i < HEADERS_MAX; i++) {
		if (pread(fd, &section, sizeof(section),
			  (off_t)(eh->e_shoff + i * sizeof(section))) != (ssize_t)sizeof(section))
			return false;
		memset(found, 0, sizeof(found));
		if (pread(fd, found, sizeof(found) - 1,
			  (off_t)(strings.sh_offset + section.sh_name)) > 0 &&
		    strcmp(found, name) == 0)
			return true;
	}
	return false;
}

static bool has_interpreter(int fd, const Elf64_Ehdr *eh)
{
	Elf64_Phdr ph;

	for (uint32_t i = 0; i < eh->e_phnum && i < HEADERS_MAX; i++) {
		if (pread(fd, &ph, sizeof(ph), (off_t)(eh->e_phoff + i * sizeof(ph))) !=
		    (ssize_t)sizeof(ph))
			return false;
		if (ph.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static enum mg_program_verdict check_elf(int fd, const Elf64_Ehdr *eh)
{
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_machine != OUR_MACHINE)
		return MG_PROGRAM_OTHER_MACHINE;
	if (has_section(fd, eh, ".note.go.buildid") || has_section(fd, eh, ".go.buildinfo"))
		return MG_PROGRAM_GO;
	return has_interpreter(fd, eh) ? MG_PROGRAM_OK : MG_PROGRAM_STATIC;
}

/* "#!/usr/bin/env python3" -> python3 in PATH; "#!/bin/sh -e" -> /bin/sh. False: there is none. */
static bool take_interpreter(char *line, char *path, size_t size)
{
	char *rest, *word = strtok_r(line + 2, " \t\n", &rest), *name;

	if (word == NULL)
		return false;
	name = strrchr(word, '/');
	if (name != NULL && strcmp(name, "/env") == 0) {
		do {
			word = strtok_r(NULL, " \t\n", &rest);
		} while (word != NULL && (word[0] == '-' || strchr(word, '=') != NULL));
		if (word == NULL)
			return false;
	}
	return mg_program_find(word, path, size);
}

/* One file: *ret_script when it names another to look at. */
static enum mg_program_verdict check_one(char *path, size_t size, bool *ret_script)
{
	union {
		Elf64_Ehdr eh;
		char text[256];
	} head = { .text = "" };
	enum mg_program_verdict verdict = MG_PROGRAM_UNKNOWN;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	*ret_script = false;
	if (fd < 0)
		return errno == ENOENT ? MG_PROGRAM_MISSING : MG_PROGRAM_OK; /* exec will tell */
	n = read(fd, &head, sizeof(head) - 1);
	if (n > 2 && head.text[0] == '#' && head.text[1] == '!') {
		head.text[n] = '\0';
		*strchrnul(head.text, '\n') = '\0';
		*ret_script = take_interpreter(head.text, path, size);
		verdict = *ret_script ? MG_PROGRAM_OK : MG_PROGRAM_UNKNOWN;
	} else if (n >= (ssize_t)sizeof(head.eh) && memcmp(head.text, ELFMAG, SELFMAG) == 0) {
		verdict = check_elf(fd, &head.eh);
	}
	close(fd);
	if (verdict == MG_PROGRAM_OK && is_privileged(path))
		verdict = MG_PROGRAM_PRIVILEGED;
	return verdict;
}

enum mg_program_verdict mg_program_check(char *path, size_t size)
{
	enum mg_program_verdict verdict = MG_PROGRAM_OK;
	bool script = true;

	if (access(path, X_OK) < 0)
		return errno == ENOENT ? MG_PROGRAM_MISSING : MG_PROGRAM_NOT_EXECUTABLE;
	for (int i = 0; i < INTERPRETERS_MAX && script && verdict == MG_PROGRAM_OK; i++)
		verdict = check_one(path, size, &script);
	return verdict;
}

const char *mg_program_advice(enum mg_program_verdict verdict)
{
	static const char *const text[] = {
		[MG_PROGRAM_OK] = "can be accelerated",
		[MG_PROGRAM_MISSING] = "not found",
		[MG_PROGRAM_NOT_EXECUTABLE] = "is not executable",
		[MG_PROGRAM_UNKNOWN] = "is neither an ELF program nor a script with an interpreter",
		[MG_PROGRAM_OTHER_MACHINE] =
			"is for another machine or for 32 bits: the library cannot be loaded into it",
		[MG_PROGRAM_STATIC] = "is linked statically: there is no dynamic loader that could "
				      "load the library; link it dynamically, or use libmango",
		[MG_PROGRAM_GO] = "is a Go program: it makes system calls without libc, so its "
				  "sockets stay the kernel's",
		[MG_PROGRAM_PRIVILEGED] =
			"is setuid, setgid or has capabilities: the loader ignores LD_PRELOAD then; "
			"run a copy without them as the right user",
	};

	return text[verdict];
}
