/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - mangoctl.
 */
#include "daemon/cli/cli.h"

int main(int argc, char **argv)
{
	return cli_run(argc, argv, stdout, stderr);
}
