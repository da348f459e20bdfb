/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenario.h - one simulated world: two hosts, a link, connections with plans; and the oracle.
 *
 * Idea:    a seed makes a scenario (conditions, plans); running it moves the virtual clock from event to event
 *          until all connections have ended. On every step the oracle holds: bytes read are bytes written, both
 *          engines' invariants, progress (no silence longer than the longest back-off can explain), bounded
 *          retransmission; at the end everything that was taken is given back.
 * Threads: one.
 */
#ifndef MG_SIM_SCENARIO_H
#define MG_SIM_SCENARIO_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "test/sim/app.h"
#include "test/sim/net.h"

#define MG_SIM_CLIENTS_MAX 16

struct mg_sim_scenario {
	uint64_t seed;
	char family[24];
	struct mg_sim_link link[2];
	struct mg_stack_conf host[2]; /* 0: client, 1: server */
	struct mg_sim_plan client[MG_SIM_CLIENTS_MAX];
	bool client_v6[MG_SIM_CLIENTS_MAX]; /* connects by IPv6 */
	struct mg_sim_plan server;          /* of every accepted connection */
	uint32_t nr_clients;
	uint32_t starve[2]; /* one in n packet allocations fails */
	uint64_t drop_nth[2][16];
	uint32_t nr_drop[2];
	uint64_t kill_ns[2]; /* the application dies; 0: not */
	uint64_t vanish_ns;  /* the link is dead from then on; 0: not */
	bool may_reset;      /* resets and time-outs are legitimate ends */
	FILE *pcap;          /* NULL: no capture */
};

struct mg_sim_result {
	bool ok;
	char failure[256];
	uint64_t virtual_ns;
	uint64_t bytes; /* read by applications */
	uint64_t frames;
	uint64_t lost;
	uint64_t retrans;
	uint64_t rings_grown, rings_shrunk;
	uint64_t held_max_bytes[2]; /* payload rings of a host, at most ... */
	uint64_t held_idle_bytes[2]; /* ... and when the first connection had lingered, before its FIN */
	uint64_t moved_ns;           /* when the last byte was read */
};

/* Draws a scenario. */
void mg_sim_scenario_draw(struct mg_sim_scenario *sc, uint64_t seed);
/* A quiet 1 ms link, one client that sends and receives nothing yet: the base of hand-written scenarios. */
void mg_sim_scenario_plain(struct mg_sim_scenario *sc, uint64_t seed);
/* One connection sends `bytes` over 1 Gbit/s and 100 ms without loss, and waits a while before it closes. */
void mg_sim_scenario_long_fat(struct mg_sim_scenario *sc, uint64_t bytes);
void mg_sim_scenario_run(const struct mg_sim_scenario *sc, struct mg_sim_result *ret_result);
#endif
