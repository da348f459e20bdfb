/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.h - packets between two connections of this daemon: they go from one worker's hand into another's.
 *
 * Idea:    a port that is no device: its frames begin with the IP header, need no checksums, and lie in one ring per
 *          ordered pair of workers, a worker's own included, until the receiver's next turn. All of TCP holds on
 *          it as on a wire; a full ring loses packets.
 *          Nothing of a wire gets in here: whoever has 127.0.0.1 as its source is on this machine.
 * Threads: each ring has one producer and one consumer.
 * Memory:  touched as far as it is used.
 */
#ifndef MG_IO_LOCAL_H
#define MG_IO_LOCAL_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fastpath/core/fp.h"
#include "proto/base/msgring.h"

/* Largest frame. Small enough for the slow path, which may have to hand it on to a flow that is being made. */
#define MG_LOCAL_MTU 9216

struct mg_local;

/* 0 or -ENOMEM. */
int mg_local_new(uint32_t nr_workers, struct mg_local **ret_local);
void mg_local_free(struct mg_local *local);
/* How `worker` is called when it sleeps; before any runs. */
void mg_local_set_bell(struct mg_local *local, uint32_t worker, _Atomic uint32_t *sleeping, int fd);
/* Where the next packet of `from` is written; MG_LOCAL_MTU bytes. */
uint8_t *mg_local_room(struct mg_local *local, uint32_t from);
/* Sends it; headers and payload are contiguous. False: lost. */
bool mg_local_send(struct mg_local *local, uint32_t from, const struct mg_fp_pkt *pkt,
		   uint64_t hash_seed);
/* The next packet for `to` from `from`; NULL: none. mg_local_done() gives it back. */
const uint8_t *mg_local_peek(struct mg_local *local, uint32_t from, uint32_t to, uint32_t *ret_len);
void mg_local_done(struct mg_local *local, uint32_t from, uint32_t to);
bool mg_local_is_pending(const struct mg_local *local, uint32_t to);
/* Wakes the workers that `from` sent something since the last call and that sleep. */
void mg_local_ring(struct mg_local *local, uint32_t from);
#endif
