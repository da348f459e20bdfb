/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - telling the slow path and the application.
 *
 * Idea:    events that the slow path must see, in their order, go up at once or, when its ring is full, wait in
 *          the flow until the next flush. Samples accumulate in the flow and go up at most as often as
 *          proto/path/msg.h allows. The worker's line of the window is stored, one entry pushed and each
 *          context woken at most once per flush.
 * Threads: one worker.
 */
#ifndef MG_NOTIFY_H
#define MG_NOTIFY_H
#include "fastpath/core/flow.h"

struct mg_fp;

/* MG_EV_FIN_*, MG_EV_RST_RCVD, MG_EV_APP_*, MG_EV_REPORT: never lost. */
void mg_notify_event(struct mg_fp *fp, struct mg_flow *f, uint16_t type, uint32_t value);
/* MG_EV_NEIGH_CONFIRM, MG_EV_DATA_AFTER_CLOSE: comes again by itself. */
void mg_notify_hint(struct mg_fp *fp, struct mg_flow *f, uint16_t type);
/* MG_EV_TIMEOUT; kind 0: retransmission, 1: persist. */
void mg_notify_timeout(struct mg_fp *fp, struct mg_flow *f, uint32_t kind);
/* Tries what waits; false: still some. */
bool mg_notify_retry(struct mg_fp *fp, struct mg_flow *f);
/* MG_EV_REMOVED. False: no room. */
bool mg_notify_removed(struct mg_fp *fp, struct mg_flow *f);
/* Sends the congestion sample up if it is time. */
void mg_notify_sample(struct mg_fp *fp, struct mg_flow *f);
/* Stores the worker's line of the window and pushes the entry, as the flags say. */
void mg_notify_app(struct mg_fp *fp, struct mg_flow *f);
/* From now on these contexts (a bit each) get the flow's events; each gets one now. */
void mg_notify_move(struct mg_fp *fp, struct mg_flow *f, uint32_t contexts);
/* Wakes the contexts that got entries. */
void mg_notify_wake(struct mg_fp *fp);
#endif
