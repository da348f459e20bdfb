/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cc_link.h - one congestion control over a modelled bottleneck: rate, delay, buffer, losses, CE marks.
 *
 * Idea:    a sender of whole segments obeys cwnd and, if the algorithm is paced, pacing_Bps; a queue sends them on
 *          at its rate; what finds it full is lost, what finds it deeper than a threshold is marked; ACKs come
 *          back after the delay. From this the samples are made that a worker would send up: aggregated to
 *          an eighth of a round trip or a quarter of the window, at once on a loss, with delivery rates.
 *          Repairing losses is not modelled: a lost segment is noticed when the next would have been
 *          acknowledged, and what it carried is nobody's concern.
 * Use:     1. ccl_new()  2. ccl_run() with the link's fields set as wanted  3. look at the books
 * Threads: one.
 */
#ifndef MG_TEST_CC_LINK_H
#define MG_TEST_CC_LINK_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/rng.h"
#include "slowpath/cc/cc.h"

#define CCL_MSS 1448
#define CCL_PACKETS (1u << 16)

struct ccl_packet {
	uint64_t sent_ns, first_sent_ns, delivered_ns; /* as a transmit record keeps them */
	uint64_t back_ns;                              /* when its ACK arrives */
	uint64_t delivered;
	uint32_t tx_inflight, lost;
	bool is_lost, is_marked, app_limited;
};

struct ccl {
	struct mg_cc cc;
	/* The link; may change between two runs. */
	uint64_t rate_Bps;
	uint64_t rtt_ns;
	uint32_t buffer_bytes;
	uint32_t loss_ppm;
	uint32_t mark_bytes; /* CE from this depth on; 0: never */
	uint64_t app_Bps;    /* the application offers no more; 0: everything */
	uint64_t now_ns;
	/* Books. */
	uint64_t delivered_bytes, lost_bytes, marked_bytes, sent_bytes;
	uint64_t queue_sum, queue_count; /* depth met by each segment */
	uint32_t queue_max;
	uint32_t reductions; /* samples with LOSS or ECE */
	uint32_t samples;
	/* Inside. */
	struct ccl_packet *ring;
	uint64_t head, tail; /* packets */
	uint64_t recover;    /* packet number that ends recovery */
	bool in_recovery;
	uint64_t ece_until;
	uint64_t busy_ns;
	uint64_t pace_ns;
	uint64_t app_credit_ns;
	uint64_t delivered_at_ns, first_sent_ns;
	uint32_t inflight, lost_total;
	uint64_t sample_ns;
	uint32_t srtt_us;
	uint64_t rate_bytes, rate_ns;
	struct mg_cc_sample samp; /* under way */
	struct mg_rng rng;
};

/* Aborts the test without memory. */
void ccl_new(struct ccl *l, const struct mg_cc_ops *ops, uint64_t rate_Bps, uint64_t rtt_ns,
	     uint32_t buffer_bytes);
void ccl_free(struct ccl *l);
void ccl_run(struct ccl *l, uint64_t ns);
/* A retransmission time-out: everything in flight is lost. */
void ccl_timeout(struct ccl *l);
/* The flow was idle for so long; everything in flight arrived. */
void ccl_idle(struct ccl *l, uint64_t ns);
/* Forgets the books. */
void ccl_books(struct ccl *l);
/* Delivered since, in thousandths of what the link could. */
uint32_t ccl_permille(const struct ccl *l, uint64_t since_ns);
uint64_t ccl_bdp(const struct ccl *l);
#endif
