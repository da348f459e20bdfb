/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - the states of a connection and the legal ways between them (RFC 9293 figure 5).
 *
 * Idea:    one function changes states; it asserts that the edge is in the table and counts the entry. The
 *          states are spread over several records (a listener, an embryo, a connection, a TIME-WAIT
 *          entry); each of them goes through here.
 * Threads: the slow path.
 */
#ifndef MG_STATE_H
#define MG_STATE_H
#include <stdbool.h>
#include <stdint.h>

#include "slowpath/core/slow.h"

struct mg_state_counts {
	uint64_t entered[MG_TCP_STATES];
};

/* "ESTABLISHED"; "?" for what is no state. */
const char *mg_state_name(uint32_t state);
bool mg_state_is_legal(uint32_t from, uint32_t to);
/* Asserts that the edge is legal. */
void mg_state_set(struct mg_state_counts *counts, uint8_t *state, enum mg_tcp_state to);
#endif
