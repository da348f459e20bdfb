/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.h - what a flow sends, and when.
 *
 * Idea:    one pass per flush: first what is marked lost, then new data, then, if nothing carried it, an ACK.
 *          New data obeys the peer's window, cwnd, pacing, Nagle as Minshall changed it, CORK, and sender SWS
 *          avoidance (RFC 9293 3.8.6.2.1); what stopped it is left in the BLOCK flags for the timers.
 * Threads: one worker.
 */
#ifndef MG_OUTPUT_H
#define MG_OUTPUT_H
#include "fastpath/core/flow.h"

struct mg_fp;

void mg_output_flow(struct mg_fp *fp, struct mg_flow *f);
/* An empty segment at `seq` below the peer's window: forces an ACK. False: no packet was free. */
bool mg_output_probe(struct mg_fp *fp, struct mg_flow *f, uint32_t seq);
bool mg_output_rst(struct mg_fp *fp, struct mg_flow *f);
/* A pure ACK now. */
bool mg_output_ack(struct mg_fp *fp, struct mg_flow *f);
#endif
