/* SPDX-License-Identifier: Apache-2.0 */
/*
 * appwin.h - what the application wrote into its line of the window.
 *
 * Idea:    a look copies flags and positions once, checks the copies against what can be, and only then lets
 *          them change the flow. Impossible positions stop the flow and are reported; nothing else of the
 *          daemon can be harmed by them, because ring offsets and sizes are our own.
 * Threads: one worker; the application may write at any time.
 */
#ifndef MG_APPWIN_H
#define MG_APPWIN_H
#include "fastpath/core/flow.h"

struct mg_fp;

void mg_appwin_look(struct mg_fp *fp, struct mg_flow *f);
/* Looks as if the application had set MG_SHM_AF_CLOSE: it asked by a control message, or died closing. */
void mg_appwin_close(struct mg_fp *fp, struct mg_flow *f);
/* Looks, after a process may have died between marking the window and ringing. */
void mg_appwin_recover(struct mg_fp *fp, struct mg_flow *f);
/* Only how far it has read: for an ACK that would offer little by what we knew. */
void mg_appwin_refresh_rx(struct mg_fp *fp, struct mg_flow *f);
/* Takes doorbells of one context; returns how many. */
uint32_t mg_appwin_doorbells(struct mg_fp *fp, struct mg_app *app, uint32_t context,
			     uint32_t budget);
/* Nothing moves any more until REMOVE. */
void mg_appwin_stop(struct mg_fp *fp, struct mg_flow *f);
#endif
