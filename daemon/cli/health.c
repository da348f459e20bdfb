/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health.c - mangoctl health.
 */
#include "daemon/cli/cli.h"
#include "daemon/cli/table.h"

static const char *serving_name(int serving)
{
	switch (serving) {
	case MANGO_SERVING:
		return "serving";
	case MANGO_DRAINING:
		return "draining";
	default:
		return "unhealthy";
	}
}

static int print_json(struct cli *cli, const struct mango_health *h)
{
	return cli_print_json_take(
		cli,
		json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "status",
			  serving_name(h->serving), "reason", h->reason, "instance", h->instance,
			  "version", h->version, "pid", (json_int_t)h->pid, "uptime_ms",
			  (json_int_t)h->uptime_ms, "workers", (json_int_t)h->workers, "sessions",
			  (json_int_t)h->sessions, "connections", (json_int_t)h->connections,
			  "listeners", (json_int_t)h->listeners, "attach_path", h->attach_path));
}

static void print_text(struct cli *cli, const struct mango_health *h)
{
	char uptime[CLI_SHORT_MAX];

	(void)fprintf(cli->out, "%s: %s%s%s\n", h->instance, serving_name(h->serving),
		      h->reason[0] != '\0' ? ": " : "", h->reason);
	(void)fprintf(cli->out, "  version      %s\n", h->version);
	(void)fprintf(cli->out, "  pid          %u, up %s\n", h->pid,
		      cli_table_time_us(h->uptime_ms * 1000, uptime));
	(void)fprintf(cli->out, "  attach       %s\n", h->attach_path);
	(void)fprintf(cli->out, "  workers      %u\n", h->workers);
	(void)fprintf(cli->out, "  sessions     %u\n", h->sessions);
	(void)fprintf(cli->out, "  connections  %u\n", h->connections);
	(void)fprintf(cli->out, "  listeners    %u\n", h->listeners);
}

int cli_health(struct cli *cli, int argc, char **argv)
{
	struct mango_health health;
	int error;

	(void)argv; /* there must be none */
	if (argc > 1)
		return cli_usage(cli, "health takes no arguments");
	error = mango_ipc_health_check(cli->ipc, &health);
	if (error < 0)
		return cli_failed(cli, "health", error);
	if (cli->json) {
		error = print_json(cli, &health);
		if (error != CLI_OK)
			return error;
	} else {
		print_text(cli, &health);
	}
	return health.serving == MANGO_SERVING ? CLI_OK : CLI_REFUSED;
}
