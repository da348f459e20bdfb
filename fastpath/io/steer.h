/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steer.h - hands packets between workers.
 *
 * Idea:    a ring of packet buffers for each ordered pair of workers and each direction: received packets
 *          go to the worker that has the flow, packets to send go to the worker that has a queue of the
 *          port. The buffer's own `port` field says which port.
 * Threads: ring [from][to] has worker `from` as its producer and `to` as its consumer; the rest is constant
 *          after new.
 */
#ifndef MG_IO_STEER_H
#define MG_IO_STEER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

struct mg_steer;

enum mg_steer_way { MG_STEER_RX, MG_STEER_TX, MG_STEER_WAYS };

/* How worker `to` is called when it sleeps. */
struct mg_steer_bell {
	_Atomic uint32_t *sleeping;
	int fd;
};

/* 0 or -errno. `name` makes the rings' names unique in the process. */
int mg_steer_new(const char *name, uint32_t nr_workers, struct mg_steer **ret_steer);
/* Frees the packets that are still under way, too. */
void mg_steer_free(struct mg_steer *steer);
/* Before any worker runs. */
void mg_steer_set_bell(struct mg_steer *steer, uint32_t worker, struct mg_steer_bell bell);

/* False: the ring is full and the packet still the caller's. */
bool mg_steer_give(struct mg_steer *steer, enum mg_steer_way way, uint32_t from, uint32_t to,
		   struct rte_mbuf *pkt);
/* Up to n packets for worker `to`, from all others in turn. */
uint32_t mg_steer_take(struct mg_steer *steer, enum mg_steer_way way, uint32_t to,
		       struct rte_mbuf **pkts, uint32_t n);
bool mg_steer_is_pending(const struct mg_steer *steer, uint32_t to);
/* Wakes the workers that `from` gave something since the last call and that sleep. */
void mg_steer_ring(struct mg_steer *steer, uint32_t from);
#endif
