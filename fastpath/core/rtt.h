/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtt.h - round-trip time and retransmission time-out (RFC 6298, RFC 7323).
 *
 * Idea:    samples come from the send times in the transmit records, so they have microseconds; after a
 *          retransmission only a timestamp echo can tell (Karn), in milliseconds. SRTT is kept times 8,
 *          RTTVAR times 4.
 * Threads: pure functions of the flow.
 */
#ifndef MG_RTT_H
#define MG_RTT_H
#include "fastpath/core/flow.h"

/* Takes a valid sample: also ends the back-off (Karn). */
void mg_rtt_sample(struct mg_flow *f, uint32_t rtt_us);
/* Starts from what the handshake measured; srtt_us 0: nothing. */
void mg_rtt_init(struct mg_flow *f, uint32_t srtt_us, uint32_t rttvar_us, uint32_t rto_us);
/* The RTO in force: backed off and bounded. */
uint64_t mg_rtt_rto_ns(const struct mg_flow *f);
#endif
