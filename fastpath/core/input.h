/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input.h - one segment for an established connection.
 *
 * Idea:    header prediction first: the next segment in sequence, with nothing unusual about it, when nothing
 *          unusual is under way. Otherwise the steps of RFC 9293 3.10.7.4 in their order: timestamp
 *          (RFC 7323), sequence number, RST and SYN (RFC 5961), ACK, URG, payload, FIN. Nothing is sent from
 *          here; the flags say what the flush owes.
 * Threads: one worker.
 */
#ifndef MG_INPUT_H
#define MG_INPUT_H
#include "fastpath/core/flow.h"

struct mg_fp;

/* False: before the handshake's end, the slow path is to have a look at it. */
bool mg_input_segment(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg);
#endif
