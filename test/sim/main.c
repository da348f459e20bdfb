/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - runs simulated worlds by seed; TAP on standard output.
 *
 * Use:     sim [--seeds N] [--from S]     runs S .. S+N-1, one TAP line per 25 seeds
 *          sim --seed S [--pcap FILE] [-v] replays one
 *          sim --table                     prints throughput and fairness (test/sim/table.txt)
 *          sim --long-fat MIB              one connection over 1 Gbit/s and 100 ms: buffers grow, and shrink
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
	printf("# seed %llu family %s: %s; %u clients, %llu bytes, %llu frames, %llu lost, %llu retransmitted, %.3f s, %llu rings grew, %llu shrank\n",
	       (unsigned long long)sc->seed, sc->family, res->ok ? "ok" : res->failure,
	       sc->nr_clients, (unsigned long long)res->bytes, (unsigned long long)res->frames,
	       (unsigned long long)res->lost, (unsigned long long)res->retrans,
	       (double)res->virtual_ns / 1e9, (unsigned long long)res->rings_grown,
	       (unsigned long long)res->rings_shrunk);
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

static bool check(int nr, bool ok, const char *what)
{
	printf("%s %d - %s\n", ok ? "ok" : "not ok", nr, what);
	return ok;
}

/* Filled: 95 % of the rate, from the moment when slow start must be over. */
static int run_long_fat(uint64_t bytes)
{
	struct mg_sim_scenario *sc = calloc(1, sizeof(*sc));
	struct mg_sim_result res;
	double s;
	bool ok;

	if (sc == NULL)
		exit(1);
	mg_sim_scenario_long_fat(sc, bytes);
	mg_sim_scenario_run(sc, &res);
	describe(sc, &res);
	s = (double)res.moved_ns / 1e9;
	printf("# %.3f s, %.0f Mbit/s; %llu rings grew, %llu shrank; memory held at most %llu and %llu, idle %llu and %llu\n",
	       s, (double)res.bytes * 8 / s / 1e6, (unsigned long long)res.rings_grown,
	       (unsigned long long)res.rings_shrunk, (unsigned long long)res.held_max_bytes[0],
	       (unsigned long long)res.held_max_bytes[1],
	       (unsigned long long)res.held_idle_bytes[0],
	       (unsigned long long)res.held_idle_bytes[1]);
	printf("1..4\n");
	ok = check(1, res.ok, "the bytes arrive");
	ok &= check(2, s < (double)bytes / 1448 * 1514 / 125e6 / 0.95 + 1.5,
		    "one connection fills 1 Gbit/s and 100 ms");
	ok &= check(3, res.held_max_bytes[0] > 8u << 20 && res.held_max_bytes[1] > 8u << 20,
		    "both buffers grew to what the path holds");
	ok &= check(4, res.held_idle_bytes[0] == 131072 && res.held_idle_bytes[1] == 131072,
		    "an idle connection holds what it began with");
	free(sc);
	return !ok;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seeds", 1, NULL, 'n' },    { "from", 1, NULL, 'f' }, { "seed", 1, NULL, 's' },
		{ "long-fat", 1, NULL, 'l' }, { "pcap", 1, NULL, 'p' }, { "table", 0, NULL, 't' },
		{ "help", 0, NULL, 'h' },     { NULL, 0, NULL, 0 }
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
		case 'l':
			return run_long_fat(strtoull(optarg, NULL, 10) << 20);
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
