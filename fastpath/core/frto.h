/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frto.h - was the retransmission time-out needless? (RFC 5682)
 *
 * Idea:    after a time-out only the first segment leaves again. With SACK, data that was sent once and arrives
 *          now was not lost: the time-out was spurious (section 3). Without SACK, when the first ACK moves the
 *          left edge, new data goes out instead of more retransmissions; if the next ACK moves it again,
 *          what it acknowledges are the originals (section 2.1). Anything else is an ordinary recovery.
 * Threads: one worker.
 */
#ifndef MG_FRTO_H
#define MG_FRTO_H
#include "fastpath/core/ack.h"

/* mg_flow.frto */
enum mg_frto {
	MG_FRTO_OFF = 0,
	MG_FRTO_FIRST = 1, /* the first ACK after the time-out is awaited */
	MG_FRTO_NEW = 2,   /* new data leaves, not what counts as lost; the second is awaited */
};

/* A time-out; again: not the first one without an answer. Before the flow's recovery changes. */
void mg_frto_timeout(struct mg_flow *f);
/* True: it was spurious. */
bool mg_frto_on_ack(struct mg_flow *f, const struct mg_ack *a);
#endif
