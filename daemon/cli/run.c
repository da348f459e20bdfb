/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - `mangoctl run`: becomes the launcher `mango run`, beside this program or in PATH. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/cli/cli.h"

int cli_become_mango(char **argv)
{
	/* as installed; in a build */
	static const char *const places[] = { "mango", "../../libclient/run/mango" };
	char self[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n < 0 ? 0 : n] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && slash != NULL; i++) {
		(void)snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - self), self,
			       places[i]); /* fits */
		execv(path, argv);
	}
	execvp("mango", argv);
	perror("mangoctl: mango");
	return CLI_USAGE;
}
