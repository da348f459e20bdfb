/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sack.h - the sender's scoreboard: SACK blocks of the peer become marks on transmit records.
 *
 * Idea:    RFC 2018 blocks, checked against [snd_una, snd_nxt], split the records that they cut. The first
 *          block may be a D-SACK (RFC 2883): below the cumulative ACK, or inside the second block.
 * Threads: one worker.
 */
#ifndef MG_SACK_H
#define MG_SACK_H
#include "fastpath/core/ack.h"

/* After the cumulative part of the ACK was taken. */
void mg_sack_process(struct mg_fp *fp, struct mg_flow *f, struct mg_ack *a);
#endif
