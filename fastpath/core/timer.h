/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.h - the deadlines of a flow.
 *
 * Idea:    three deadlines in the flow: rtx_ns (retransmission, tail loss probe, reordering or persist; at most
 *          one is meaningful at a time), delack_ns, and aux_ns (pacing, hold override, retry). The wheel has
 *          one entry per flow and is told only when the earliest deadline moves forward in time, that is,
 *          nearer: a deadline that moves away lets the entry fire early, find nothing due, and move.
 * Threads: one worker.
 */
#ifndef MG_TIMER_H
#define MG_TIMER_H
#include "fastpath/core/flow.h"

struct mg_fp;

/* After anything changed: chooses rtx_ns and arms the wheel. */
void mg_timer_update(struct mg_fp *fp, struct mg_flow *f);
/* The flow's wheel entry fired. */
void mg_timer_fire(struct mg_fp *fp, struct mg_flow *f);
#endif
