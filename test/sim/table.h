/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - how fast and how fair: bulk transfers through a bottleneck, as a table that is checked in.
 *
 * Idea:    a cell is a small world with one or two bulk connections, an algorithm each, and a link; what arrives in
 *          its last seconds is measured. Virtual clock and seeded network: the same program prints the same
 *          table on every machine, so that `diff` with test/sim/table.txt shows each change of behaviour.
 * Threads: one.
 */
#ifndef MG_SIM_TABLE_H
#define MG_SIM_TABLE_H
#include <stdio.h>

/* Writes the table. */
void mg_sim_table(FILE *out);
#endif
