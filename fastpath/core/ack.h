/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ack.h - what an acknowledgment means to the sender's side of a flow.
 *
 * Idea:    struct mg_ack collects what one segment's ACK and SACK fields told: how much was newly delivered,
 *          the newest round trip, hints of duplication. Then the detectors (recovery.h) look at it once.
 * Threads: one worker.
 */
#ifndef MG_ACK_H
#define MG_ACK_H
#include <stdbool.h>
#include <stdint.h>

#include "fastpath/core/flow.h"
#include "fastpath/core/txrec.h"

struct mg_fp;

/* One segment's acknowledgment, digested. */
struct mg_ack {
	uint64_t now_ns;
	const struct mg_seg *seg;
	uint32_t prior_una;
	uint32_t acked;         /* sequence space cumulatively acknowledged */
	uint32_t delivered;     /* bytes newly known to have arrived */
	uint32_t sacked;        /* of these by SACK */
	uint32_t prior_lost;    /* lost_bytes before */
	uint32_t prior_fack;    /* highest SACKed before */
	uint64_t first_sent_ns; /* oldest never-retransmitted record acknowledged; 0: none */
	bool retx_acked;        /* a retransmitted range was among them: no sample (Karn) */
	bool orig_delivered; /* something of before the time-out that was sent only once, and never SACKed */
	bool dsack;
	bool dupack; /* RFC 5681 section 2 */
	bool wnd_changed;
	/* Newest record delivered, for the rate sample. */
	uint64_t rate_delivered;
	uint64_t rate_delivered_ns;
	uint64_t rate_sent_ns;
	uint64_t rate_first_sent_ns;
	uint32_t rate_tx_inflight;
	uint32_t rate_lost;
	bool rate_app_limited;
};

/* `len` bytes of the record, not SACKed so far, arrived. */
void mg_ack_deliver(struct mg_flow *f, const struct mg_txrec *r, uint32_t len, struct mg_ack *a);
/* The header-prediction case: seg->ack in (snd_una, snd_nxt], no SACK, no recovery, window unchanged. */
void mg_ack_fast(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg, uint64_t now_ns);
/* The general case; the caller checked snd_una - max_wnd <= seg->ack <= snd_nxt. */
void mg_ack_process(struct mg_fp *fp, struct mg_flow *f, const struct mg_seg *seg, uint64_t now_ns);
#endif
