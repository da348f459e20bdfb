/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mtuprobe.h - asks the path whether it carries larger segments (RFC 4821), with the stream's own data.
 *
 * Idea:    the slow path says which size to try. When there is data enough, and a window wide enough that the loss
 *          of one segment is noticed by what follows, the next segment of new data has that size. Acknowledged
 *          without having been sent again, it got through; found lost alone, it did not, and is sent again in
 *          ordinary pieces without blame (7.7): congestion is not what stopped it. Anything else says nothing.
 *          Only with SACK, which tells which segment it was.
 * Threads: one worker.
 */
#ifndef MG_MTUPROBE_H
#define MG_MTUPROBE_H
#include "fastpath/core/ack.h"

enum mg_mtuprobe_state {
	MG_MTUPROBE_NONE = 0,
	MG_MTUPROBE_ASKED, /* waits for data and window */
	MG_MTUPROBE_OUT,
};

/* The slow path's wish: payload bytes; 0: none any more. */
void mg_mtuprobe_ask(struct mg_fp *fp, struct mg_flow *f, uint32_t bytes);
/* The path was found to be narrower: whatever was under way is void. */
void mg_mtuprobe_cancel(struct mg_flow *f);
/* May the next segment be the probe? `avail` bytes wait, and `room` of them may leave now. */
bool mg_mtuprobe_is_due(const struct mg_flow *f, uint32_t avail, uint32_t room);
/* It leaves now, at snd_nxt. */
void mg_mtuprobe_sent(struct mg_fp *fp, struct mg_flow *f);
/* After an ACK: did it arrive? */
void mg_mtuprobe_on_ack(struct mg_fp *fp, struct mg_flow *f);
/* Something was found lost: true if it is the probe and nothing else. It is settled then. */
bool mg_mtuprobe_is_lost(struct mg_fp *fp, struct mg_flow *f);
/* A retransmission time-out says nothing about sizes. */
void mg_mtuprobe_timeout(struct mg_fp *fp, struct mg_flow *f);
#endif
