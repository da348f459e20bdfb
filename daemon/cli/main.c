/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - mangoctl.
 */
#include "daemon/cli/cli.h"

#include <string.h>

int main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "run") == 0)
		return cli_become_mango(argv);
	return cli_run(argc, argv, stdout, stderr);
}
