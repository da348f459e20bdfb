/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - payload rings that grow and shrink while the connection lives.
 *
 * Idea:    Receiving: dynamic right-sizing. What the application reads in one round trip is what the ring must
 *          hold twice, or four times while it grows; so the window is not what limits a peer whose own window
 *          doubles per round trip. Sending: a ring that the application keeps more than half full holds twice the congestion
 *          window. After some idle time both return to what they started with.
 *          The worker asks the slow path for a ring of another size, and changes to it without a lock:
 *          receiving, at a moment when nothing is out of order, everything from rx_tail on goes to the new
 *          ring, and the old one is free when rx_head has passed that position. Sending, the new ring is
 *          offered; the library copies what is unacknowledged and says so (proto/shm/abi.h); then the old one is
 *          free. A direction makes one change at a time:
 *
 *            IDLE --ask--> ASKING --told--> ASKED --MG_CMD_RING--> NEXT --switch--> OLD ---> DONE --told--> IDLE
 *                                             |                     | OFFERED (tx) -----------^
 *                                             '--no room--> IDLE    '--too late--> REFUSING --told--> IDLE
 *
 *          After a ring shrank, the window that was offered before stands (SHLD-14), and the first data asks for the
 *          former size. What arrives within the window but beyond the ring meanwhile is trimmed as if it were
 *          lost. Only when the ring is full and still small is the window taken back, to nothing (rwnd.c): so that
 *          the peer probes instead of taking us for dead.
 * Threads: one worker.
 */
#ifndef MG_FP_RING_H
#define MG_FP_RING_H
#include "fastpath/core/flow.h"

struct mg_fp;

/* At INSTALL, behind the rings' first places. */
void mg_ring_init(struct mg_fp *fp, struct mg_flow *f, const struct mg_cmd_install *cmd);
/* MG_CMD_RING: the slow path's answer. */
void mg_ring_answer(struct mg_fp *fp, struct mg_flow *f, const struct mg_cmd_ring *cmd);
/* The library uses the transmit ring that was offered. False: with bytes that cannot be in it. */
bool mg_ring_adopted(struct mg_fp *fp, struct mg_flow *f);
/* Does what a direction waits for. */
void mg_ring_step(struct mg_fp *fp, struct mg_flow *f);
/* A period of the measurement is over. */
void mg_ring_measure(struct mg_fp *fp, struct mg_flow *f);
/* The congestion window is larger than half of the ring. */
void mg_ring_grow_tx(struct mg_fp *fp, struct mg_flow *f);
/* The idle deadline: gives back what is not needed, or looks again later. */
void mg_ring_idle(struct mg_fp *fp, struct mg_flow *f);
void mg_ring_check(const struct mg_flow *f);
#endif
