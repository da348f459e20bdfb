/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mango - runs unmodified programs on mangod.
 *
 *	mango run [OPTIONS] PROGRAM [ARGUMENTS]
 *	mango check PROGRAM
 *
 * Idea:    sets LD_PRELOAD and MANGO_*, and becomes the program. What the loader would not do is found out before
 *          and said plainly.
 * Exit:    the program's; 125: wrong usage or no library; 126: it cannot be accelerated or executed; 127: not found.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libclient/run/program.h"

#define LIBRARY "libmango_preload.so"

enum { EXIT_WRONG = 125, EXIT_CANNOT = 126, EXIT_MISSING = 127 };

/* Options that only set a variable. */
static const struct {
	const char *option;
	const char *variable;
} settings[] = {
	{ "address", "MANGO_ADDRESS" },   { "config", "MANGO_CONFIG" },
	{ "listen", "MANGO_LISTEN" },     { "connect", "MANGO_CONNECT" },
	{ "programs", "MANGO_PROGRAMS" }, { "wildcard", "MANGO_WILDCARD" },
	{ "spin-us", "MANGO_SPIN_US" },   { "log", "MANGO_LOG" },
};

enum { OPT_LOOPBACK = 256, OPT_REQUIRE, OPT_FORCE, OPT_HELP, OPT_VERSION, OPT_SETTING };

static const struct option options[] = {
	{ "address", required_argument, NULL, OPT_SETTING + 0 },
	{ "config", required_argument, NULL, OPT_SETTING + 1 },
	{ "listen", required_argument, NULL, OPT_SETTING + 2 },
	{ "connect", required_argument, NULL, OPT_SETTING + 3 },
	{ "programs", required_argument, NULL, OPT_SETTING + 4 },
	{ "wildcard", required_argument, NULL, OPT_SETTING + 5 },
	{ "spin-us", required_argument, NULL, OPT_SETTING + 6 },
	{ "log", required_argument, NULL, OPT_SETTING + 7 },
	{ "debug", no_argument, NULL, 'd' },
	{ "loopback", no_argument, NULL, OPT_LOOPBACK },
	{ "require", no_argument, NULL, OPT_REQUIRE },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "dry-run", no_argument, NULL, 'n' },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

struct run {
	bool force;
	bool dry;
};

static void print_help(FILE *out)
{
	(void)fprintf(
		out,
		"usage: mango run [OPTIONS] PROGRAM [ARGUMENTS]\n"
		"       mango check PROGRAM\n\n"
		"Runs a program with its TCP sockets on mangod (LD_PRELOAD).\n\n"
		"  -a, --address ADDRESS  the daemon (local:mango)\n"
		"  -c, --config FILE      settings: the section preload of a YAML file\n"
		"      --listen RULES     what to listen on through mangod: auto, all, none, or\n"
		"      --connect RULES    [!]ADDRESS[/PREFIX][:PORT[-PORT]],... ; and where to connect\n"
		"      --programs NAMES   accelerate only these (children have other names)\n"
		"      --wildcard WHO     0.0.0.0 serves both, mango or kernel\n"
		"      --loopback         127/8 and ::1 go to mangod, too\n"
		"      --require          without a daemon fail instead of using the kernel\n"
		"      --spin-us N        how long a blocked call polls before it sleeps\n"
		"      --log LEVEL, -d, --debug   what the library says on stderr\n"
		"  -n, --dry-run          print the environment and the command\n"
		"      --force            run it although it cannot be accelerated\n");
}

static int set(const char *name, const char *value)
{
	if (setenv(name, value, 1) < 0) {
		(void)fprintf(stderr, "mango: %s\n", strerror(errno));
		return EXIT_WRONG;
	}
	return 0;
}

/* The library beside this program: in a build, in an installation; else the loader's own search. */
static void find_library(char *path, size_t size)
{
	static const char *const places[] = { "../" LIBRARY,
					      "../lib/" LIBRARY,
					      "../lib/x86_64-linux-gnu/" LIBRARY,
					      "../lib/aarch64-linux-gnu/" LIBRARY,
					      "../lib64/" LIBRARY,
					      LIBRARY };
	const char *named = getenv("MANGO_PRELOAD_LIBRARY");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	(void)snprintf(path, size, "%s", named != NULL ? named : LIBRARY); /* cut: not found */
	if (named != NULL || n < 0)
		return;
	self[n] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && slash != NULL; i++) {
		char candidate[PATH_MAX + 64], *real;

		(void)snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)(slash - self), self,
			       places[i]); /* fits */
		real = realpath(candidate, NULL);
		if (real != NULL) {
			(void)snprintf(path, size, "%s", real); /* cut: not found */
			free(real);
			return;
		}
	}
}

static int set_preload(void)
{
	const char *before = getenv("LD_PRELOAD");
	char library[PATH_MAX], all[2 * PATH_MAX];

	find_library(library, sizeof(library));
	if (strchr(library, '/') != NULL && access(library, R_OK) < 0) {
		(void)fprintf(stderr, "mango: %s: %s\n", library, strerror(errno));
		return EXIT_WRONG;
	}
	if (before == NULL || before[0] == '\0' || strstr(before, LIBRARY) != NULL)
		return set("LD_PRELOAD", before != NULL && before[0] != '\0' ? before : library);
	(void)snprintf(all, sizeof(all), "%s:%s", before, library); /* cut: the loader says so */
	return set("LD_PRELOAD", all);
}

static int check(const char *name, bool quiet)
{
	char path[PATH_MAX];
	enum mg_program_verdict verdict = MG_PROGRAM_MISSING;

	if (mg_program_find(name, path, sizeof(path)))
		verdict = mg_program_check(path, sizeof(path));
	if (verdict == MG_PROGRAM_OK) {
		if (!quiet)
			(void)printf("%s: %s\n", name, mg_program_advice(verdict));
		return 0;
	}
	(void)fprintf(stderr, "mango: %s %s\n", verdict == MG_PROGRAM_MISSING ? name : path,
		      mg_program_advice(verdict));
	return verdict == MG_PROGRAM_MISSING ? EXIT_MISSING : EXIT_CANNOT;
}

static void print_dry(char *const *argv)
{
	extern char **environ;

	for (char **e = environ; *e != NULL; e++) {
		if (strncmp(*e, "MANGO_", 6) == 0 || strncmp(*e, "LD_PRELOAD=", 11) == 0)
			(void)printf("%s ", *e);
	}
	for (; *argv != NULL; argv++)
		(void)printf("%s%s", *argv, argv[1] != NULL ? " " : "\n");
}

/* One option; 0: go on, else the exit code plus 1. */
static int take_option(int opt, struct run *run)
{
	switch (opt) {
	case 'a':
		return set("MANGO_ADDRESS", optarg);
	case 'c':
		return set("MANGO_CONFIG", optarg);
	case 'd':
		return set("MANGO_DEBUG", "1");
	case 'n':
		run->dry = true;
		return 0;
	case OPT_LOOPBACK:
		return set("MANGO_LOOPBACK", "1");
	case OPT_REQUIRE:
		return set("MANGO_ABSENT", "refuse");
	case OPT_FORCE:
		run->force = true;
		return 0;
	case OPT_HELP:
		print_help(stdout);
		exit(0);
	case OPT_VERSION:
		(void)printf("mango %s\n", MG_VERSION);
		exit(0);
	default:
		if (opt >= OPT_SETTING)
			return set(settings[opt - OPT_SETTING].variable, optarg);
		(void)fprintf(stderr, "mango: see mango --help\n");
		return EXIT_WRONG;
	}
}

static int run_program(int argc, char **argv)
{
	struct run run = { 0 };
	int opt, err = 0;

	while (err == 0 && (opt = getopt_long(argc, argv, "+a:c:dn", options, NULL)) != -1)
		err = take_option(opt, &run);
	if (err == 0 && optind == argc) {
		(void)fprintf(stderr, "mango: which program? (see mango --help)\n");
		err = EXIT_WRONG;
	}
	if (err == 0 && !run.force)
		err = check(argv[optind], true);
	if (err == 0)
		err = set_preload();
	if (err != 0)
		return err;
	if (run.dry) {
		print_dry(argv + optind);
		return 0;
	}
	execvp(argv[optind], argv + optind);
	err = errno;
	(void)fprintf(stderr, "mango: %s: %s\n", argv[optind], strerror(err));
	return err == ENOENT ? EXIT_MISSING : EXIT_CANNOT;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "run") == 0)
		return run_program(argc - 1, argv + 1);
	if (argc == 3 && strcmp(argv[1], "check") == 0)
		return check(argv[2], false);
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
		print_help(stdout);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)printf("mango %s\n", MG_VERSION);
		return 0;
	}
	print_help(stderr);
	return EXIT_WRONG;
}
