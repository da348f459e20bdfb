/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery.h - finds losses and governs sending until they are repaired.
 *
 * Idea:    with SACK the detector is RACK (RFC 8985): a segment is lost when one sent sufficiently later has
 *          arrived; three segments' worth of SACKs make "sufficiently" zero, so that the classic threshold
 *          still counts. Without SACK it is NewReno (RFC 6582). In fast recovery PRR (RFC 9937) sets cwnd, from
 *          the slow path's ssthresh or, until that comes, from half the flight. A tail loss probe turns
 *          losses of the last segments into SACKs. A retransmission time-out marks everything lost, also
 *          what was SACKed (the peer may have reneged). Reductions that prove needless - by
 *          timestamps (RFC 4015), D-SACKs (RFC 3708) or F-RTO (frto.h) - are undone.
 * Threads: one worker.
 */
#ifndef MG_RECOVERY_H
#define MG_RECOVERY_H
#include "fastpath/core/ack.h"

void mg_recovery_init(struct mg_flow *f);
/* A record was delivered. */
void mg_recovery_rack_update(struct mg_flow *f, const struct mg_txrec *r, const struct mg_ack *a);
/* After an ACK was digested. */
void mg_recovery_on_ack(struct mg_fp *fp, struct mg_flow *f, struct mg_ack *a);
/* The peer got `b` twice. */
void mg_recovery_dsack(struct mg_fp *fp, struct mg_flow *f, const struct mg_sack_block *b,
		       const struct mg_ack *a);
/* Has the ACK settled the tail loss probe? */
void mg_recovery_tlp_acked(struct mg_fp *fp, struct mg_flow *f, const struct mg_ack *a);
/* The flow's timers ran out. */
void mg_recovery_rto(struct mg_fp *fp, struct mg_flow *f, uint64_t now_ns);
void mg_recovery_reorder_timeout(struct mg_fp *fp, struct mg_flow *f, uint64_t now_ns);
/* Marks the last segment lost so that it leaves again as a probe (RFC 8985 7.3). */
void mg_recovery_tlp(struct mg_fp *fp, struct mg_flow *f, uint64_t now_ns);
/*
 * Is what the left edge stands at SACKed? An honest receiver would have acknowledged it: it took back what it had
 * (RFC 2018 section 8). After a moment's grace that is a time-out.
 */
bool mg_recovery_is_reneged(const struct mg_fp *fp, const struct mg_flow *f);
uint64_t mg_recovery_reneged_ns(const struct mg_flow *f);
/* May a tail loss probe be scheduled, and how long after the last sign of life? */
bool mg_recovery_tlp_allowed(const struct mg_flow *f);
uint64_t mg_recovery_pto_ns(const struct mg_flow *f);
/* ECE was heard, the first in this window; `flight`: in flight before its ACK. */
void mg_recovery_echo(struct mg_flow *f, uint32_t flight);
/* The slow path's word. */
void mg_recovery_set_cc(struct mg_flow *f, const struct mg_cmd_set_cc *cmd);
/* The path carries less than we thought: send everything again in smaller pieces, without blame. */
void mg_recovery_resend_all(struct mg_fp *fp, struct mg_flow *f);
#endif
