/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - mangoctl: one table of commands, one file per command.
 *
 * Idea:    cli_run() reads the options, opens the daemon and calls the command, which prints a table
 *          for people or, with --json, one JSON object. mangoctl is an application like any other: it
 *          knows the daemon through the public library only; tests link a libmango of their own.
 * Exit:    0 right; 1 unhealthy or refused; 2 wrong usage; 3 the daemon is not reachable.
 * Threads: one.
 */
#ifndef MG_CLI_H
#define MG_CLI_H
#include <jansson.h>
#include <libmango.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum cli_exit { CLI_OK = 0, CLI_REFUSED = 1, CLI_USAGE = 2, CLI_UNREACHABLE = 3 };

struct cli {
	const char *address; /* NULL: MANGO_ADDRESS or local:mango */
	bool json;
	bool all;
	FILE *out, *err;
	mango_ipc_h ipc;
};

struct cli_command {
	const char *name;
	const char *args;
	const char *help;
	int (*run)(struct cli *cli, int argc, char **argv); /* argv[0] is the command's name */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_nr_commands;

/* The whole program. Returns an enum cli_exit. */
int cli_run(int argc, char **argv, FILE *out, FILE *err);

/* `mangoctl run ...`: becomes mango(1); returns only when that cannot be found. */
int cli_become_mango(char **argv);
int cli_health(struct cli *cli, int argc, char **argv);
int cli_config(struct cli *cli, int argc, char **argv);
int cli_connections(struct cli *cli, int argc, char **argv);
int cli_listeners(struct cli *cli, int argc, char **argv);
int cli_sessions(struct cli *cli, int argc, char **argv);
int cli_stats(struct cli *cli, int argc, char **argv);

/* "mangoctl: ..." on err; returns CLI_USAGE. */
int cli_usage(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says why a request failed (a negative errno, with the daemon's text) and which exit code that is. */
int cli_failed(struct cli *cli, const char *what, int error);
/* Prints the object, frees it. CLI_OK, or CLI_REFUSED when there was no memory for it (NULL). */
int cli_print_json_take(struct cli *cli, json_t *object);
#endif
