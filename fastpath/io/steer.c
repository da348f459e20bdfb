/* SPDX-License-Identifier: Apache-2.0 */
/* steer.c - see steer.h. */
#include "fastpath/io/steer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_ring.h>

#include "proto/base/sleep.h"
#include "proto/shm/abi.h"

#define RING_PACKETS 1024

struct mg_steer {
	uint32_t nr_workers;
	struct rte_ring *ring[MG_STEER_WAYS][MG_SHM_WORKERS_MAX][MG_SHM_WORKERS_MAX];
	struct mg_steer_bell bell[MG_SHM_WORKERS_MAX];
	/* Line `from` is written by that worker only. */
	struct {
		alignas(64) uint32_t given; /* bit mask of workers that got something */
	} from[MG_SHM_WORKERS_MAX];
};

static int new_ring(const char *name, enum mg_steer_way way, uint32_t from, uint32_t to,
		    struct rte_ring **ret_ring)
{
	char full[RTE_RING_NAMESIZE];

	(void)snprintf(full, sizeof(full), "%.12s-%c%u-%u", name, way == MG_STEER_RX ? 'r' : 't',
		       from, to);
	*ret_ring = rte_ring_create(full, RING_PACKETS, SOCKET_ID_ANY,
				    RING_F_SP_ENQ | RING_F_SC_DEQ);
	return *ret_ring != NULL ? 0 : -rte_errno;
}

int mg_steer_new(const char *name, uint32_t nr_workers, struct mg_steer **ret_steer)
{
	struct mg_steer *s;
	int err;

	if (nr_workers == 0 || nr_workers > MG_SHM_WORKERS_MAX)
		return -EINVAL;
	s = aligned_alloc(64, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	*s = (struct mg_steer){ .nr_workers = nr_workers };
	for (uint32_t i = 0; i < MG_STEER_WAYS * nr_workers * nr_workers; i++) {
		uint32_t way = i % MG_STEER_WAYS, from = i / MG_STEER_WAYS % nr_workers;
		uint32_t to = i / MG_STEER_WAYS / nr_workers;

		if (from == to)
			continue;
		err = new_ring(name, (enum mg_steer_way)way, from, to, &s->ring[way][from][to]);
		if (err < 0) {
			mg_steer_free(s);
			return err;
		}
	}
	*ret_steer = s;
	return 0;
}

static void free_ring(struct rte_ring *ring)
{
	void *pkt;

	if (ring == NULL)
		return;
	while (rte_ring_sc_dequeue(ring, &pkt) == 0)
		rte_pktmbuf_free(pkt);
	rte_ring_free(ring);
}

void mg_steer_free(struct mg_steer *s)
{
	if (s == NULL)
		return;
	for (uint32_t way = 0; way < MG_STEER_WAYS; way++)
		for (uint32_t from = 0; from < s->nr_workers; from++)
			for (uint32_t to = 0; to < s->nr_workers; to++)
				free_ring(s->ring[way][from][to]);
	free(s);
}

void mg_steer_set_bell(struct mg_steer *s, uint32_t worker, struct mg_steer_bell bell)
{
	s->bell[worker] = bell;
}

bool mg_steer_give(struct mg_steer *s, enum mg_steer_way way, uint32_t from, uint32_t to,
		   struct rte_mbuf *pkt)
{
	if (rte_ring_sp_enqueue(s->ring[way][from][to], pkt) < 0)
		return false;
	s->from[from].given |= 1u << to;
	return true;
}

uint32_t mg_steer_take(struct mg_steer *s, enum mg_steer_way way, uint32_t to,
		       struct rte_mbuf **pkts, uint32_t n)
{
	uint32_t got = 0;

	for (uint32_t from = 0; from < s->nr_workers && got < n; from++)
		if (from != to)
			got += rte_ring_sc_dequeue_burst(s->ring[way][from][to],
							 (void **)(pkts + got), n - got, NULL);
	return got;
}

bool mg_steer_is_pending(const struct mg_steer *s, uint32_t to)
{
	for (uint32_t from = 0; from < s->nr_workers; from++) {
		if (from == to)
			continue;
		for (uint32_t way = 0; way < MG_STEER_WAYS; way++)
			if (!rte_ring_empty(s->ring[way][from][to]))
				return true;
	}
	return false;
}

void mg_steer_ring(struct mg_steer *s, uint32_t from)
{
	uint64_t one = 1;

	for (uint32_t given = s->from[from].given; given != 0; given &= given - 1) {
		const struct mg_steer_bell *bell = &s->bell[__builtin_ctz(given)];

		if (mg_sleep_should_wake(bell->sleeping))
			(void)!write(bell->fd, &one, sizeof(one)); /* full: it is ringing already */
	}
	s->from[from].given = 0;
}
