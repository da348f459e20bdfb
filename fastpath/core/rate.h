/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate.h - delivery rate samples (draft-cheng-iccrg-delivery-rate-estimation).
 *
 * Idea:    each record remembers how much had been delivered, and when, at the time it was sent. When it is
 *          delivered itself, the difference over the longer of the send and the ACK interval is the rate
 *          at which the path delivers. Between two samples the largest is kept; the division is left to
 *          whoever sends it up.
 * Threads: pure functions of the flow.
 */
#ifndef MG_RATE_H
#define MG_RATE_H
#include "fastpath/core/ack.h"

/* Keeps the snapshot of the newest record that this ACK delivers. */
static inline void mg_rate_delivered(const struct mg_txrec *r, struct mg_ack *a)
{
	if (a->rate_sent_ns != 0 && r->delivered < a->rate_delivered)
		return;
	a->rate_delivered = r->delivered;
	a->rate_delivered_ns = r->delivered_ns;
	a->rate_sent_ns = r->sent_ns;
	a->rate_first_sent_ns = r->first_sent_ns;
	a->rate_tx_inflight = r->tx_inflight;
	a->rate_lost = r->lost;
	a->rate_app_limited = (r->flags & MG_TXREC_APP_LIMITED) != 0;
}

/* After all deliveries of one ACK. */
void mg_rate_sample(struct mg_flow *f, const struct mg_ack *a);
#endif
