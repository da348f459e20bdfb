/* SPDX-License-Identifier: Apache-2.0 */
/* relay_link.c - see relay_link.h. */
#include "test/lib/relay_link.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/base/time.h"
#include "proto/wire/checksum.h"
#include "proto/wire/wire.h"

#define PPM 1000000u
#define QUEUE_DEFAULT_MS 100
#define ICMP_UNREACH 3
#define ICMP_FRAG_NEEDED 4
#define ICMP6_TOO_BIG 2
#define ICMP6_ND_FIRST 133
#define ICMP6_ND_LAST 137
#define IPV6_MTU_MIN 1280u
#define ICMP4_QUOTE_MAX 548u

enum kind { OTHER, V4, V6 };

void relay_link_init(struct relay_link *l, uint64_t seed)
{
	memset(l, 0, sizeof(*l));
	mg_rng_init(&l->rng, seed);
}

void relay_link_free(struct relay_link *l)
{
	for (uint32_t i = 0; i < l->nr; i++)
		free(l->heap[i]);
	free(l->heap);
	free(l->leave_ns);
}

bool relay_link_set(struct relay_link *l, const char *name, uint64_t value)
{
#define RELAY_X(setting, help)             \
	if (strcmp(name, #setting) == 0) { \
		l->conf.setting = value;   \
		return true;               \
	}
	RELAY_SETTINGS(RELAY_X)
#undef RELAY_X
	return false;
}

/* ---- The heap of what is under way ---- */

static bool is_before(const struct relay_frame *a, const struct relay_frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void swap(struct relay_link *l, uint32_t a, uint32_t b)
{
	struct relay_frame *f = l->heap[a];

	l->heap[a] = l->heap[b];
	l->heap[b] = f;
}

static void push(struct relay_link *l, const uint8_t *bytes, uint32_t len, uint64_t due_ns)
{
	struct relay_frame *f;
	uint32_t i = l->nr;

	if (l->held_bytes + len > RELAY_HELD_MAX) {
		l->stats.memory_lost++;
		return;
	}
	if (l->nr == l->room) {
		l->room = l->room != 0 ? 2 * l->room : 1024;
		l->heap = realloc(l->heap, l->room * sizeof(struct relay_frame *));
		MG_ASSERT(l->heap != NULL);
	}
	f = malloc(sizeof(*f) + len);
	MG_ASSERT(f != NULL);
	f->due_ns = due_ns;
	f->order = l->order++;
	f->len = len;
	memcpy(f->bytes, bytes, len);
	l->held_bytes += len;
	l->heap[l->nr++] = f;
	for (; i > 0 && is_before(l->heap[i], l->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(l, i, (i - 1) / 2);
}

struct relay_frame *relay_link_take(struct relay_link *l, uint64_t now_ns)
{
	struct relay_frame *f;
	uint32_t i = 0;

	if (l->nr == 0 || l->heap[0]->due_ns > now_ns)
		return NULL;
	f = l->heap[0];
	l->heap[0] = l->heap[--l->nr];
	for (;;) {
		uint32_t least = i;

		for (uint32_t c = 2 * i + 1; c <= 2 * i + 2 && c < l->nr; c++)
			if (is_before(l->heap[c], l->heap[least]))
				least = c;
		if (least == i)
			break;
		swap(l, i, least);
		i = least;
	}
	l->held_bytes -= f->len;
	l->stats.out++;
	l->stats.out_bytes += f->len;
	return f;
}

uint64_t relay_link_next_ns(const struct relay_link *l)
{
	return l->nr == 0 ? MG_TIME_NEVER : l->heap[0]->due_ns;
}

/* ---- What happens to a frame ---- */

static bool hits(struct relay_link *l, uint64_t ppm)
{
	return ppm != 0 && mg_rng_below(&l->rng, PPM) < ppm;
}

static enum kind kind_of(const uint8_t *frame, uint32_t len)
{
	uint16_t type = len >= MG_ETH_HLEN ? mg_load_be16(frame + 12) : 0;
	const uint8_t *ip = frame + MG_ETH_HLEN;

	if (type == MG_ETHERTYPE_IPV4 && len >= MG_ETH_HLEN + MG_IPV4_HLEN)
		return V4;
	if (type != MG_ETHERTYPE_IPV6 || len < MG_ETH_HLEN + MG_IPV6_HLEN)
		return OTHER;
	if (ip[6] == MG_IPPROTO_ICMPV6 && len > MG_ETH_HLEN + MG_IPV6_HLEN &&
	    ip[MG_IPV6_HLEN] >= ICMP6_ND_FIRST && ip[MG_IPV6_HLEN] <= ICMP6_ND_LAST)
		return OTHER; /* who is whose neighbour is no business of the path in between */
	return V6;
}

static bool is_lost(struct relay_link *l)
{
	if (l->conf.drop_nth != 0 && --l->conf.drop_nth == 0)
		return true;
	if (l->burst_left != 0) {
		l->burst_left--;
		return true;
	}
	if (hits(l, l->conf.burst_ppm)) {
		l->burst_left = l->conf.burst_len != 0 ? (uint32_t)l->conf.burst_len - 1 : 0;
		return true;
	}
	return hits(l, l->conf.loss_ppm);
}

/* Not Ethernet's header: that the links in between would find out. */
static void corrupt(struct relay_link *l, uint8_t *frame, uint32_t len)
{
	uint32_t at = MG_ETH_HLEN + mg_rng_below(&l->rng, len - MG_ETH_HLEN);

	frame[at] ^= (uint8_t)(1u << mg_rng_below(&l->rng, 8));
	l->stats.corrupted++;
}

/* Congestion experienced, if the packet's ends know what that is. */
static void mark(struct relay_link *l, uint8_t *frame, enum kind kind)
{
	uint8_t *ip = frame + MG_ETH_HLEN;
	uint8_t ecn = kind == V4 ? ip[1] & 3 : ip[1] >> 4 & 3;
	uint16_t old = mg_load_be16(ip);

	if (ecn != 1 && ecn != 2)
		return;
	ip[1] |= kind == V4 ? 0x03 : 0x30;
	if (kind == V4)
		mg_csum_update16(ip + 10, mg_be16(old), mg_be16(mg_load_be16(ip)));
	l->stats.ce_marked++;
}

static uint64_t wire_ns(const struct relay_link *l, uint64_t bytes)
{
	return bytes * 8 * MG_US_PER_S / l->conf.rate_kbit;
}

/* Packets that the bottleneck still holds; only kept when they are bounded. */
static bool packet_room(struct relay_link *l, uint64_t now_ns)
{
	if (l->conf.queue_packets == 0)
		return true;
	while (l->queued != 0 && l->leave_ns[l->leave_head] <= now_ns) {
		l->leave_head = (l->leave_head + 1) % l->leave_room;
		l->queued--;
	}
	return l->queued < l->conf.queue_packets;
}

static void note_leave(struct relay_link *l, uint64_t at_ns)
{
	if (l->conf.queue_packets == 0)
		return;
	if (l->leave_room < l->conf.queue_packets) { /* it grew: what is queued now is forgotten */
		free(l->leave_ns);
		l->leave_room = (uint32_t)mg_min_u64(l->conf.queue_packets, 1u << 24);
		l->leave_ns = calloc(l->leave_room, sizeof(uint64_t));
		MG_ASSERT(l->leave_ns != NULL);
		l->leave_head = l->queued = 0;
	}
	if (l->queued == l->leave_room)
		return;
	l->leave_ns[(l->leave_head + l->queued) % l->leave_room] = at_ns;
	l->queued++;
}

/* Through the bottleneck: when the frame has left it; MG_TIME_NEVER: it did not fit. */
static uint64_t squeeze(struct relay_link *l, uint8_t *frame, uint32_t len, enum kind kind,
			uint64_t now_ns)
{
	uint64_t rate = l->conf.rate_kbit;
	uint64_t most = l->conf.queue_bytes;
	uint64_t backlog;

	if (rate == 0)
		return now_ns;
	if (most == 0)
		most = mg_max_u64(rate * QUEUE_DEFAULT_MS / 8, 4 * 1514);
	backlog = l->free_ns > now_ns ? (l->free_ns - now_ns) * rate / (8 * MG_US_PER_S) : 0;
	if (backlog + len > most || !packet_room(l, now_ns)) {
		l->stats.queue_lost++;
		return MG_TIME_NEVER;
	}
	l->stats.queue_max_bytes = mg_max_u64(l->stats.queue_max_bytes, backlog + len);
	if (l->conf.ce_bytes != 0 && backlog + len > l->conf.ce_bytes && kind != OTHER)
		mark(l, frame, kind);
	l->free_ns = mg_max_u64(l->free_ns, now_ns) + wire_ns(l, len);
	note_leave(l, l->free_ns);
	return l->free_ns;
}

static void delay(struct relay_link *l, const uint8_t *frame, uint32_t len, enum kind kind,
		  uint64_t at_ns)
{
	uint64_t due_ns = at_ns + l->conf.delay_us * MG_NS_PER_US;

	if (l->conf.jitter_us != 0)
		due_ns += mg_rng_u64(&l->rng) % (l->conf.jitter_us * MG_NS_PER_US + 1);
	if (kind != OTHER && hits(l, l->conf.reorder_ppm)) {
		l->stats.reordered++;
		push(l, frame, len, due_ns + l->conf.reorder_us * MG_NS_PER_US);
		return;
	}
	l->last_ns = mg_max_u64(l->last_ns, due_ns);
	push(l, frame, len, l->last_ns);
}

/* ---- Too long ---- */

/* Back to where the frame came from, in the name of where it was going. */
static void turn(uint8_t *answer, const uint8_t *frame)
{
	memcpy(answer, frame + 6, 6);
	memcpy(answer + 6, frame, 6);
	memcpy(answer + 12, frame + 12, 2);
}

static uint32_t too_big_v4(uint8_t *answer, const uint8_t *frame, uint32_t len, uint32_t mtu)
{
	const uint8_t *was = frame + MG_ETH_HLEN;
	uint32_t quote = mg_min_u32(len - MG_ETH_HLEN, ICMP4_QUOTE_MAX);
	uint8_t *ip = answer + MG_ETH_HLEN, *icmp = ip + MG_IPV4_HLEN;

	if ((was[6] & 0x40) == 0)
		return 0; /* a router would cut it; we do not */
	memset(ip, 0, MG_IPV4_HLEN + 8);
	ip[0] = 0x45;
	mg_store_be16(ip + 2, (uint16_t)(MG_IPV4_HLEN + 8 + quote));
	ip[8] = 64;
	ip[9] = MG_IPPROTO_ICMP;
	memcpy(ip + 12, was + 16, 4);
	memcpy(ip + 16, was + 12, 4);
	mg_csum_store(ip + 10, mg_csum_add(0, ip, MG_IPV4_HLEN));
	icmp[0] = ICMP_UNREACH;
	icmp[1] = ICMP_FRAG_NEEDED;
	mg_store_be16(icmp + 6, (uint16_t)mtu);
	memcpy(icmp + 8, was, quote);
	mg_csum_store(icmp + 2, mg_csum_add(0, icmp, 8 + quote));
	return MG_ETH_HLEN + MG_IPV4_HLEN + 8 + quote;
}

static uint32_t too_big_v6(uint8_t *answer, const uint8_t *frame, uint32_t len, uint32_t mtu)
{
	const uint8_t *was = frame + MG_ETH_HLEN;
	uint32_t quote = mg_min_u32(len - MG_ETH_HLEN, IPV6_MTU_MIN - MG_IPV6_HLEN - 8);
	uint8_t *ip = answer + MG_ETH_HLEN, *icmp = ip + MG_IPV6_HLEN;
	struct mg_addr src, dst;

	memset(ip, 0, MG_IPV6_HLEN + 8);
	ip[0] = 0x60;
	mg_store_be16(ip + 4, (uint16_t)(8 + quote));
	ip[6] = MG_IPPROTO_ICMPV6;
	ip[7] = 64;
	memcpy(ip + 8, was + 24, 16);
	memcpy(ip + 24, was + 8, 16);
	icmp[0] = ICMP6_TOO_BIG;
	mg_store_be32(icmp + 4, mtu);
	memcpy(icmp + 8, was, quote);
	memcpy(src.b, ip + 8, 16);
	memcpy(dst.b, ip + 24, 16);
	mg_csum_store(icmp + 2,
		      mg_csum_add(mg_csum_pseudo(&src, &dst, MG_IPPROTO_ICMPV6, 8 + quote), icmp,
				  8 + quote));
	return MG_ETH_HLEN + MG_IPV6_HLEN + 8 + quote;
}

static uint32_t too_big(struct relay_link *l, const uint8_t *frame, uint32_t len, enum kind kind,
			uint8_t *answer)
{
	l->stats.too_big++;
	if (l->conf.icmp == 0)
		return 0;
	turn(answer, frame);
	return kind == V4 ? too_big_v4(answer, frame, len, (uint32_t)l->conf.mtu)
			  : too_big_v6(answer, frame, len, (uint32_t)l->conf.mtu);
}

uint32_t relay_link_offer(struct relay_link *l, const uint8_t *frame, uint32_t len, uint64_t now_ns,
			  uint8_t *answer)
{
	enum kind kind = kind_of(frame, len);
	uint8_t copy[65536 + MG_ETH_HLEN];
	uint64_t at_ns;

	l->stats.in++;
	l->stats.in_bytes += len;
	if (l->conf.down != 0 || (kind != OTHER && is_lost(l))) {
		l->stats.lost++;
		return 0;
	}
	if (len > sizeof(copy))
		return 0;
	if (kind != OTHER && l->conf.mtu != 0 && len - MG_ETH_HLEN > l->conf.mtu)
		return too_big(l, frame, len, kind, answer);
	memcpy(copy, frame, len);
	at_ns = squeeze(l, copy, len, kind, now_ns);
	if (at_ns == MG_TIME_NEVER)
		return 0;
	if (kind != OTHER && hits(l, l->conf.corrupt_ppm))
		corrupt(l, copy, len);
	delay(l, copy, len, kind, at_ns);
	if (kind != OTHER && hits(l, l->conf.dup_ppm)) {
		l->stats.duplicated++;
		delay(l, copy, len, kind, at_ns);
	}
	return 0;
}
