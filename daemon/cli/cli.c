/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.c - mangoctl without its main(): options, the table of commands, errors.
 */
#include "daemon/cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

const struct cli_command cli_commands[] = {
	{ "health", "", "is the daemon well? (exit code 1: no)", cli_health },
	{ "config", "get [KEY] | set KEY=VALUE...", "show or change settings", cli_config },
	{ "connections", "", "every TCP connection with its state and rates", cli_connections },
	{ "listeners", "", "every listener with its queue", cli_listeners },
	{ "sessions", "", "every attached process, what it shares, and its memory", cli_sessions },
	{ "stats", "[PREFIX]", "counters that are not 0 (--all: every counter)", cli_stats },
};
const size_t cli_nr_commands = sizeof(cli_commands) / sizeof(cli_commands[0]);

static void print_help(FILE *out)
{
	(void)fprintf(out, "usage: mangoctl [OPTIONS] COMMAND [ARGUMENTS]\n\ncommands:\n");
	for (size_t i = 0; i < cli_nr_commands; i++)
		(void)fprintf(out, "  %s %s\n      %s\n", cli_commands[i].name,
			      cli_commands[i].args, cli_commands[i].help);
	(void)fprintf(
		out,
		"  run [OPTIONS] PROGRAM [ARGUMENTS]\n"
		"      runs a program with its TCP sockets on mangod: mango(1)\n"
		"\noptions:\n"
		"  -a, --address ADDRESS  the daemon: local:INSTANCE, HOST:PORT or unix:PATH (gRPC);\n"
		"                         else $MANGO_ADDRESS, else local:mango\n"
		"  -j, --json             JSON for programs instead of a table\n"
		"      --all              stats: counters that are 0 too\n"
		"      --help, --version\n"
		"\nexit code: 0 right, 1 unhealthy or refused, 2 wrong usage, 3 daemon not reachable\n");
}

int cli_usage(struct cli *cli, const char *format, ...)
{
	va_list args;

	(void)fprintf(cli->err, "mangoctl: ");
	va_start(args, format);
	(void)vfprintf(cli->err, format, args);
	va_end(args);
	(void)fprintf(cli->err, " (see mangoctl --help)\n");
	return CLI_USAGE;
}

static const char *shown_address(const struct cli *cli)
{
	return cli->address != NULL ? cli->address : "the default address";
}

static bool is_unreachable(int error)
{
	return error == -ECONNREFUSED || error == -ECONNRESET || error == -ENOTCONN ||
	       error == -EPIPE || error == -ETIMEDOUT || error == -EHOSTUNREACH ||
	       error == -ENETUNREACH;
}

int cli_failed(struct cli *cli, const char *what, int error)
{
	char text[512] = "";

	(void)mango_ipc_error_text(cli->ipc, text, sizeof(text)); /* "" says as much */
	if (text[0] != '\0' && !is_unreachable(error)) {
		(void)fprintf(cli->err, "mangoctl: %s: %s\n", what, text);
		return CLI_REFUSED;
	}
	(void)fprintf(cli->err, "mangoctl: %s: %s\n", what, strerror(-error));
	return is_unreachable(error) ? CLI_UNREACHABLE : CLI_REFUSED;
}

int cli_print_json_take(struct cli *cli, json_t *object)
{
	int bad = object == NULL ? -1 : json_dumpf(object, cli->out, JSON_INDENT(2));

	json_decref(object);
	if (bad != 0) {
		(void)fprintf(cli->err,
			      "mangoctl: no memory for the answer, or nowhere to write it\n");
		return CLI_REFUSED;
	}
	(void)fprintf(cli->out, "\n");
	return CLI_OK;
}

static int open_failed(struct cli *cli, int error)
{
	if (error == -EINVAL || error == -ENAMETOOLONG)
		return cli_usage(cli, "%s is not an address of a daemon", shown_address(cli));
	if (error == -ELIBACC || error == -ELIBBAD)
		(void)fprintf(cli->err,
			      "mangoctl: %s: the module for this kind of address is not installed\n",
			      shown_address(cli));
	else
		(void)fprintf(cli->err, "mangoctl: cannot reach mangod at %s: %s%s\n",
			      shown_address(cli), strerror(-error),
			      error == -EACCES ? "" : " (is it running?)");
	return error == -EACCES || error == -EPERM ? CLI_REFUSED : CLI_UNREACHABLE;
}

static int run_command(struct cli *cli, const struct cli_command *command, int argc, char **argv)
{
	int error = mango_ipc_open(cli->address, false, &cli->ipc);
	int code;

	if (error < 0)
		return open_failed(cli, error);
	code = command->run(cli, argc, argv);
	(void)mango_ipc_close(cli->ipc); /* it was open */
	if (fflush(cli->out) != 0 && code == CLI_OK) {
		(void)fprintf(cli->err, "mangoctl: cannot write the answer: %s\n", strerror(errno));
		code = CLI_REFUSED;
	}
	return code;
}

/* 0: go on; else an exit code plus one. */
static int read_option(struct cli *cli, int option)
{
	switch (option) {
	case 'a':
		cli->address = optarg;
		return 0;
	case 'j':
		cli->json = true;
		return 0;
	case 'A':
		cli->all = true;
		return 0;
	case 'h':
		print_help(cli->out);
		return CLI_OK + 1;
	case 'V':
		(void)fprintf(cli->out, "mangoctl %s\n", MG_VERSION);
		return CLI_OK + 1;
	default:
		return cli_usage(cli, "there is no such option, or its argument is missing") + 1;
	}
}

int cli_run(int argc, char **argv, FILE *out, FILE *err)
{
	static const struct option options[] = {
		{ "address", required_argument, NULL, 'a' }, { "json", no_argument, NULL, 'j' },
		{ "all", no_argument, NULL, 'A' },           { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },       { NULL, 0, NULL, 0 },
	};
	struct cli cli = { .out = out, .err = err };
	int option, stop;

	optind = 0; /* start anew: tests call this many times */
	opterr = 0;
	while ((option = getopt_long(argc, argv, "a:jh", options, NULL)) != -1) {
		stop = read_option(&cli, option);
		if (stop > 0)
			return stop - 1;
	}
	if (optind >= argc) {
		print_help(err);
		return CLI_USAGE;
	}
	for (size_t i = 0; i < cli_nr_commands; i++) {
		if (strcmp(argv[optind], cli_commands[i].name) == 0)
			return run_command(&cli, &cli_commands[i], argc - optind, argv + optind);
	}
	return cli_usage(&cli, "there is no command %s", argv[optind]);
}
