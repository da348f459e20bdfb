/* SPDX-License-Identifier: Apache-2.0 */
/* local.c - see local.h. */
#include "fastpath/io/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/base/sleep.h"
#include "proto/shm/abi.h"
#include "proto/wire/frame.h"

#define RING_BYTES (1u << 20)

struct bell {
	_Atomic uint32_t *sleeping;
	int fd;
};

struct mg_local {
	uint32_t nr_workers;
	uint8_t *mem;
	struct bell bell[MG_SHM_WORKERS_MAX];
	struct {
		alignas(64) uint32_t told; /* the sender's: a bit per worker */
		uint8_t room[MG_LOCAL_MTU];
	} from[MG_SHM_WORKERS_MAX];
	struct mg_msgring rings[]; /* [from][to] */
};

static size_t mem_bytes(uint32_t nr_workers)
{
	return (size_t)nr_workers * nr_workers * RING_BYTES;
}

static struct mg_msgring *ring_of(struct mg_local *l, uint32_t from, uint32_t to)
{
	return &l->rings[from * l->nr_workers + to];
}

int mg_local_new(uint32_t nr_workers, struct mg_local **ret_local)
{
	uint32_t nr = nr_workers * nr_workers;
	size_t bytes = mg_align_up(sizeof(struct mg_local) + nr * sizeof(struct mg_msgring), 64);
	struct mg_local *l = aligned_alloc(64, bytes);

	if (l == NULL)
		return -ENOMEM;
	memset(l, 0, bytes);
	l->nr_workers = nr_workers;
	l->mem = mmap(NULL, mem_bytes(nr_workers), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (l->mem == MAP_FAILED) {
		free(l);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < nr; i++)
		mg_msgring_init(&l->rings[i], l->mem + (size_t)i * RING_BYTES, RING_BYTES);
	*ret_local = l;
	return 0;
}

void mg_local_free(struct mg_local *l)
{
	if (l == NULL)
		return;
	(void)munmap(l->mem, mem_bytes(l->nr_workers)); /* ours, whole: cannot fail */
	free(l);
}

void mg_local_set_bell(struct mg_local *l, uint32_t worker, _Atomic uint32_t *sleeping, int fd)
{
	l->bell[worker] = (struct bell){ sleeping, fd };
}

uint8_t *mg_local_room(struct mg_local *l, uint32_t from)
{
	return l->from[from].room;
}

/* The worker of the receiving end; -1: no TCP segment. */
static int home_of(const struct mg_local *l, const struct mg_fp_pkt *pkt, uint64_t hash_seed)
{
	struct mg_frame_view view;
	const struct mg_frame_bytes in = {
		.data = pkt->data,
		.len = pkt->len,
		.rx_flags = MG_RX_NO_L2 | MG_RX_L3_CSUM_OK | MG_RX_L4_CSUM_OK,
	};

	if (mg_wire_parse_packet(&in, &view) < 0 || view.kind != MG_FRAME_TCP)
		return -1;
	return (int)(mg_tuple_hash(&view.seg.tuple, hash_seed) % l->nr_workers);
}

bool mg_local_send(struct mg_local *l, uint32_t from, const struct mg_fp_pkt *pkt,
		   uint64_t hash_seed)
{
	uint32_t len = pkt->len;
	int to = home_of(l, pkt, hash_seed);
	struct mg_msgring *ring;
	uint8_t *at;

	if (to < 0)
		return false;
	ring = ring_of(l, from, (uint32_t)to);
	at = len <= mg_msgring_max_len(ring) ? mg_msgring_reserve(ring, len) : NULL;
	if (at == NULL)
		return false;
	memcpy(at, pkt->data, len);
	mg_msgring_commit(ring, len);
	l->from[from].told |= 1u << to;
	return true;
}

const uint8_t *mg_local_peek(struct mg_local *l, uint32_t from, uint32_t to, uint32_t *ret_len)
{
	return mg_msgring_peek(ring_of(l, from, to), ret_len);
}

void mg_local_done(struct mg_local *l, uint32_t from, uint32_t to)
{
	mg_msgring_release(ring_of(l, from, to));
}

bool mg_local_is_pending(const struct mg_local *l, uint32_t to)
{
	for (uint32_t from = 0; from < l->nr_workers; from++)
		if (!mg_msgring_is_empty(&l->rings[from * l->nr_workers + to]))
			return true;
	return false;
}

void mg_local_ring(struct mg_local *l, uint32_t from)
{
	const uint64_t one = 1;
	uint32_t told = l->from[from].told & ~(1u << from);

	l->from[from].told = 0;
	for (; told != 0; told &= told - 1) {
		const struct bell *bell = &l->bell[__builtin_ctz(told)];

		if (bell->sleeping != NULL && mg_sleep_should_wake(bell->sleeping))
			(void)!write(bell->fd, &one, sizeof(one)); /* full: it is ringing */
	}
}
