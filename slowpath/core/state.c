/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - see state.h. */
#include "slowpath/core/state.h"

#include "proto/base/assert.h"

#define TO(s) (1u << MG_TCP_##s)

static const uint16_t legal[MG_TCP_STATES] = {
	[MG_TCP_CLOSED] = TO(LISTEN) | TO(SYN_SENT),
	[MG_TCP_LISTEN] = TO(SYN_RECEIVED) | TO(SYN_SENT) | TO(CLOSED),
	[MG_TCP_SYN_SENT] = TO(SYN_RECEIVED) | TO(ESTABLISHED) | TO(CLOSED),
	[MG_TCP_SYN_RECEIVED] = TO(ESTABLISHED) | TO(LISTEN) | TO(FIN_WAIT_1) | TO(CLOSED),
	[MG_TCP_ESTABLISHED] = TO(FIN_WAIT_1) | TO(CLOSE_WAIT) | TO(CLOSED),
	[MG_TCP_CLOSE_WAIT] = TO(LAST_ACK) | TO(CLOSED),
	[MG_TCP_FIN_WAIT_1] = TO(FIN_WAIT_2) | TO(CLOSING) | TO(TIME_WAIT) | TO(CLOSED),
	[MG_TCP_CLOSING] = TO(TIME_WAIT) | TO(CLOSED),
	[MG_TCP_LAST_ACK] = TO(CLOSED),
	[MG_TCP_FIN_WAIT_2] = TO(TIME_WAIT) | TO(CLOSED),
	[MG_TCP_TIME_WAIT] = TO(CLOSED),
};

static const char *const names[MG_TCP_STATES] = {
	[MG_TCP_CLOSED] = "CLOSED",           [MG_TCP_LISTEN] = "LISTEN",
	[MG_TCP_SYN_SENT] = "SYN-SENT",       [MG_TCP_SYN_RECEIVED] = "SYN-RECEIVED",
	[MG_TCP_ESTABLISHED] = "ESTABLISHED", [MG_TCP_CLOSE_WAIT] = "CLOSE-WAIT",
	[MG_TCP_FIN_WAIT_1] = "FIN-WAIT-1",   [MG_TCP_CLOSING] = "CLOSING",
	[MG_TCP_LAST_ACK] = "LAST-ACK",       [MG_TCP_FIN_WAIT_2] = "FIN-WAIT-2",
	[MG_TCP_TIME_WAIT] = "TIME-WAIT",
};

const char *mg_state_name(uint32_t state)
{
	return state < MG_TCP_STATES ? names[state] : "?";
}

bool mg_state_is_legal(uint32_t from, uint32_t to)
{
	if (from >= MG_TCP_STATES || to >= MG_TCP_STATES)
		return false;
	return (legal[from] & 1u << to) != 0;
}

void mg_state_set(struct mg_state_counts *counts, uint8_t *state, enum mg_tcp_state to)
{
	MG_ASSERT(mg_state_is_legal(*state, to));
	*state = (uint8_t)to;
	counts->entered[to]++;
}
