/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_mangod.c - the fake daemon as a program: runs libmango programs against each other without a network.
 *
 * Use:     fake_mangod /tmp/x.sock &   MANGO_ADDRESS=local:/tmp/x.sock mango-echo-server ...
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "test/lib/fake_daemon.h"

int main(int argc, char **argv)
{
	struct fake_daemon_conf conf = { .nr_windows = 4096 };
	struct fake_daemon *d;
	sigset_t set;
	int sig, err;

	if (argc != 2) {
		fprintf(stderr, "usage: fake_mangod SOCKET\n");
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	conf.path = argv[1];
	err = fake_daemon_start(&conf, &d);
	if (err < 0) {
		fprintf(stderr, "fake_mangod: %s\n", strerror(-err));
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	sigwait(&set, &sig);
	fake_daemon_stop(d);
	return 0;
}
