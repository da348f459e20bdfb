/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - mangod's command line.
 *
 * Exit codes: 0 fine; 1 something failed at run time; 2 wrong arguments or a wrong file.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/conf.h"
#include "daemon/mangod.h"
#include "daemon/params.h"
#include "proto/base/log.h"

enum { EXIT_RUN = 1, EXIT_USAGE = 2 };

static const char help[] =
	"Usage: mangod -c FILE [-t]\n"
	"\n"
	"TCP in user space for other processes.\n"
	"\n"
	"  -c, --config FILE  read the configuration from FILE (YAML; docs/config.md lists every key)\n"
	"  -t, --test         check FILE and end: exit code 0 if it is right, 2 if not\n"
	"      --version      print the version and end\n"
	"  -h, --help         print this and end\n"
	"\n"
	"Signals: SIGTERM and SIGINT end it after connections had daemon.drain_ms to finish, a second one at once;\n"
	"SIGHUP reads FILE again. Exit codes: 0 fine, 1 failed while running, 2 wrong arguments or a wrong file.\n";

struct options {
	const char *conf_path;
	bool is_test;
	int exit_code; /* -1: go on */
};

static int usage(const char *text)
{
	fprintf(stderr, "mangod: %s; `mangod --help` lists the options\n", text);
	return EXIT_USAGE;
}

static struct options parse_args(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .exit_code = -1 };
	int c;

	while (o.exit_code < 0 && (c = getopt_long(argc, argv, "c:th", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.conf_path = optarg;
			break;
		case 't':
			o.is_test = true;
			break;
		case 'V':
			printf("mangod %s\n", MG_VERSION);
			o.exit_code = 0;
			break;
		case 'h':
			fputs(help, stdout);
			o.exit_code = 0;
			break;
		default:
			o.exit_code = EXIT_USAGE; /* getopt has said why */
			break;
		}
	}
	if (o.exit_code < 0 && optind < argc)
		o.exit_code = usage("too many arguments");
	else if (o.exit_code < 0 && o.conf_path == NULL)
		o.exit_code = usage("-c FILE is missing");
	return o;
}

/* Before any thread exists: they all inherit it. The control thread reads these signals as events. */
static void block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
	struct options options = parse_args(argc, argv);
	struct mg_log log = { .level = MG_LOG_INFO };
	struct mg_daemon_args args = { .conf_path = options.conf_path, .log = &log };
	struct mg_conf_err err;
	int res;

	if (options.exit_code >= 0)
		return options.exit_code;
	args.conf = malloc(sizeof(*args.conf));
	if (args.conf == NULL) {
		fprintf(stderr, "mangod: out of memory\n");
		return EXIT_RUN;
	}
	res = mg_conf_load(options.conf_path, args.conf, &err);
	if (res < 0) {
		fprintf(stderr, "mangod: %s\n", err.text);
		free(args.conf);
		return EXIT_USAGE;
	}
	if (!options.is_test) {
		log.level = mg_params_log_level(args.conf);
		block_signals();
		res = mg_daemon_run(&args);
	} else {
		printf("mangod: %s is right\n", options.conf_path);
	}
	free(args.conf);
	return res == 0 ? 0 : EXIT_RUN;
}
