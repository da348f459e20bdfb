/* SPDX-License-Identifier: Apache-2.0 */
/*
 * challenge.h - limits on the ACKs that a stranger can make us send.
 *
 * Idea:    RFC 5961 section 7 with the lesson of CVE-2016-5696: the budget of a second is of random size, so
 *          that counting our challenge ACKs tells nothing about other connections; and each flow has a small
 *          budget of its own, which answers out-of-window segments (keepalives, probes) as well.
 * Threads: one worker.
 */
#ifndef MG_CHALLENGE_H
#define MG_CHALLENGE_H
#include "fastpath/core/flow.h"

struct mg_fp;

/* A challenge ACK leaves in this flush if the limits allow. */
void mg_challenge(struct mg_fp *fp, struct mg_flow *f);
/* Likewise an ACK for an empty segment outside the window: the flow's limit only. */
void mg_challenge_oow(struct mg_fp *fp, struct mg_flow *f);
#endif
