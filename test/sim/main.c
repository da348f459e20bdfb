/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - runs simulated worlds by seed; TAP on standard output.
 *
 * Use:     sim [--seeds N] [--from S]     runs S .. S+N-1, one TAP line per 25 seeds
 *          sim --seed S [--pcap FILE] [-v] replays one
 *          sim --table                     prints throughput and fairness (test/sim/table.txt)
 * A failing seed prints itself, what went wrong, the command that replays it, and writes a capture.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/scenario.h"
#include "test/sim/table.h"

#define BLOCK 25

static const char *self;

static void describe(const struct mg_sim_scenario *sc, const struct mg_sim_result *res)
{
	printf("# seed %llu family %s: %s; %u clients, %llu bytes, %llu frames, %llu lost, %llu retransmitted, %.3f s\n",
	       (unsigned long long)sc->seed, sc->family, res->ok ? "ok" : res->failure,
	       sc->nr_clients, (unsigned long long)res->bytes, (unsigned long long)res->frames,
	       (unsigned long long)res->lost, (unsigned long long)res->retrans,
	       (double)res->virtual_ns / 1e9);
}

static bool run(uint64_t seed, const char *pcap, bool verbose)
{
	struct mg_sim_scenario *sc = calloc(1, sizeof(*sc));
	struct mg_sim_result res;

	if (sc == NULL)
		exit(1);
	mg_sim_scenario_draw(sc, seed);
	if (pcap != NULL)
		sc->pcap = fopen(pcap, "wb");
	mg_sim_scenario_run(sc, &res);
	if (sc->pcap != NULL)
		(void)fclose(sc->pcap);
	if (verbose || !res.ok)
		describe(sc, &res);
	free(sc);
	return res.ok;
}

static bool run_and_explain(uint64_t seed)
{
	char pcap[64];

	if (run(seed, NULL, false))
		return true;
	(void)snprintf(pcap, sizeof(pcap), "sim-%llu.pcap", (unsigned long long)seed);
	(void)run(seed, pcap, false);
	printf("# replay: %s --seed %llu -v --pcap %s (written)\n", self, (unsigned long long)seed,
	       pcap);
	return false;
}

static int run_many(uint64_t from, uint64_t count)
{
	uint64_t blocks = (count + BLOCK - 1) / BLOCK;
	int failed = 0;

	printf("1..%llu\n", (unsigned long long)blocks);
	for (uint64_t b = 0; b < blocks; b++) {
		uint64_t first = from + b * BLOCK, last = first + BLOCK - 1;
		bool ok = true;

		if (last >= from + count)
			last = from + count - 1;
		for (uint64_t s = first; s <= last; s++)
			ok &= run_and_explain(s);
		printf("%s %llu - seeds %llu to %llu\n", ok ? "ok" : "not ok",
		       (unsigned long long)b + 1, (unsigned long long)first,
		       (unsigned long long)last);
		(void)fflush(stdout);
		failed += !ok;
	}
	return failed > 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seeds", 1, NULL, 'n' }, { "from", 1, NULL, 'f' },  { "seed", 1, NULL, 's' },
		{ "pcap", 1, NULL, 'p' },  { "table", 0, NULL, 't' }, { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	uint64_t from = 1, count = 500, seed = 0;
	const char *pcap = NULL;
	bool one = false, verbose = false;
	int c;

	self = argv[0];
	while ((c = getopt_long(argc, argv, "n:f:s:p:vh", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			count = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			from = strtoull(optarg, NULL, 10);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 10);
			one = true;
			break;
		case 'p':
			pcap = optarg;
			break;
		case 't':
			mg_sim_table(stdout);
			return 0;
		case 'v':
			verbose = true;
			break;
		default:
			printf("usage: sim [--seeds N] [--from S] | --seed S [--pcap FILE] [-v] | --table\n");
			return c == 'h' ? 0 : 2;
		}
	}
	return one ? !run(seed, pcap, verbose) : run_many(from, count);
}
