/* SPDX-License-Identifier: Apache-2.0 */
/* net.c - see net.h. */
#include "test/sim/net.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/rng.h"
#include "proto/base/time.h"
#include "proto/wire/checksum.h"

#define MILLION 1000000u
#define NTH_MAX 16
#define ETH_LEN 14

struct pending {
	uint64_t at_ns;
	uint64_t order; /* ties: first in, first out */
	struct mg_sim_frame frame;
};

struct direction {
	struct mg_sim_link cond;
	uint64_t busy_until_ns; /* the bottleneck sends until then */
	uint64_t burst_until_ns;
	uint64_t ip_frames;
	uint64_t nth[NTH_MAX];
	uint32_t nr_nth;
	uint64_t queue_sum, queue_count;
};

struct mg_sim_net {
	struct mg_rng rng;
	struct direction dir[2];
	struct pending *heap;
	uint32_t nr, room;
	uint64_t order;
	uint64_t frames, lost, marked;
	FILE *pcap;
};

struct mg_sim_net *mg_sim_net_new(uint64_t seed, const struct mg_sim_link conds[2])
{
	struct mg_sim_net *net = calloc(1, sizeof(*net));

	MG_ASSERT(net != NULL);
	mg_rng_init(&net->rng, seed);
	net->dir[0].cond = conds[0];
	net->dir[1].cond = conds[1];
	return net;
}

void mg_sim_net_free(struct mg_sim_net *net)
{
	if (net == NULL)
		return;
	for (uint32_t i = 0; i < net->nr; i++)
		free(net->heap[i].frame.bytes);
	free(net->heap);
	free(net);
}

void mg_sim_net_set(struct mg_sim_net *net, int from, const struct mg_sim_link *cond)
{
	net->dir[from].cond = *cond;
}

void mg_sim_net_capture(struct mg_sim_net *net, FILE *pcap)
{
	static const uint32_t header[6] = {
		0xa1b23c4d, 2 | 4 << 16, 0, 0, 65535, 1
	}; /* ns, Ethernet */

	net->pcap = pcap;
	(void)fwrite(header, sizeof(header), 1, pcap); /* a capture that fails is only missing */
}

void mg_sim_net_drop_nth(struct mg_sim_net *net, int from, uint64_t n)
{
	struct direction *d = &net->dir[from];

	MG_ASSERT(d->nr_nth < NTH_MAX);
	d->nth[d->nr_nth++] = n;
}

static void capture(struct mg_sim_net *net, const uint8_t *frame, uint32_t len, uint64_t now_ns)
{
	uint32_t record[4] = { (uint32_t)(now_ns / MG_NS_PER_S), (uint32_t)(now_ns % MG_NS_PER_S),
			       len, len };

	if (net->pcap == NULL)
		return;
	(void)fwrite(record, sizeof(record), 1, net->pcap);
	(void)fwrite(frame, len, 1, net->pcap);
}

static bool before(const struct pending *a, const struct pending *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void heap_push(struct mg_sim_net *net, const struct pending *p)
{
	uint32_t i = net->nr++;

	if (net->nr > net->room) {
		net->room = net->room ? net->room * 2 : 64;
		net->heap = realloc(net->heap, net->room * sizeof(*net->heap));
		MG_ASSERT(net->heap != NULL);
	}
	for (; i > 0 && before(p, &net->heap[(i - 1) / 2]); i = (i - 1) / 2)
		net->heap[i] = net->heap[(i - 1) / 2];
	net->heap[i] = *p;
}

static struct pending heap_pop(struct mg_sim_net *net)
{
	struct pending top = net->heap[0], last = net->heap[--net->nr];
	uint32_t i = 0, child;

	for (child = 1; child < net->nr; child = 2 * i + 1) {
		if (child + 1 < net->nr && before(&net->heap[child + 1], &net->heap[child]))
			child++;
		if (!before(&net->heap[child], &last))
			break;
		net->heap[i] = net->heap[child];
		i = child;
	}
	net->heap[i] = last;
	return top;
}

static bool chance(struct mg_sim_net *net, uint32_t ppm)
{
	return ppm != 0 && mg_rng_below(&net->rng, MILLION) < ppm;
}

static bool is_named(const struct direction *d, uint64_t n)
{
	for (uint32_t i = 0; i < d->nr_nth; i++)
		if (d->nth[i] == n)
			return true;
	return false;
}

static bool is_lost(struct mg_sim_net *net, struct direction *d, bool is_ip, uint64_t now_ns)
{
	const struct mg_sim_link *c = &d->cond;

	if (is_ip && is_named(d, d->ip_frames++))
		return true;
	if (now_ns >= c->dead_from_ns && now_ns < c->dead_until_ns)
		return true;
	if (now_ns < d->burst_until_ns)
		return true;
	if (chance(net, c->burst_ppm)) {
		d->burst_until_ns = now_ns + c->burst_ns;
		return true;
	}
	return chance(net, c->loss_ppm);
}

/* When the bottleneck has sent the frame; false: its queue is full. deep: it is to be marked. */
static bool shape(struct direction *d, uint32_t len, uint64_t now_ns, uint64_t *ret_ns,
		  bool *ret_deep)
{
	const struct mg_sim_link *c = &d->cond;
	uint64_t start, queue;

	*ret_ns = now_ns;
	*ret_deep = false;
	if (c->rate_Bps == 0)
		return true;
	start = d->busy_until_ns > now_ns ? d->busy_until_ns : now_ns;
	queue = (start - now_ns) * c->rate_Bps / MG_NS_PER_S;
	d->queue_sum += queue;
	d->queue_count++;
	if (queue + len > c->queue_bytes)
		return false;
	*ret_deep = c->mark_bytes != 0 && queue >= c->mark_bytes;
	d->busy_until_ns = start + len * MG_NS_PER_S / c->rate_Bps;
	*ret_ns = d->busy_until_ns;
	return true;
}

static void deliver(struct mg_sim_net *net, int from, const uint8_t *frame, uint32_t len,
		    uint64_t sent_ns)
{
	const struct mg_sim_link *c = &net->dir[from].cond;
	struct pending p = { .at_ns = sent_ns + c->delay_ns,
			     .order = net->order++,
			     .frame = { .to = 1 - from, .len = len } };

	if (c->jitter_ns != 0)
		p.at_ns += mg_rng_u64(&net->rng) % c->jitter_ns;
	if (chance(net, c->reorder_ppm))
		p.at_ns += c->reorder_ns;
	p.frame.bytes = malloc(len);
	MG_ASSERT(p.frame.bytes != NULL);
	memcpy(p.frame.bytes, frame, len);
	heap_push(net, &p);
}

/* "Fragmentation needed" from the router, back to the sender (RFC 792, RFC 1191). */
static void tell_mtu(struct mg_sim_net *net, int from, const uint8_t *frame, uint64_t now_ns)
{
	static const uint32_t quote = 20 + 8;
	const uint8_t *ip = frame + ETH_LEN;
	uint8_t out[ETH_LEN + 20 + 8 + 28] = { 0 }, *o = out + ETH_LEN;
	uint16_t mtu = net->dir[from].cond.mtu;

	memcpy(out, frame + 6, 6);
	memcpy(out + 6, frame, 6);
	out[12] = 0x08;
	o[0] = 0x45;
	o[3] = 20 + 8 + 28;
	o[8] = 64;
	o[9] = 1;
	memcpy(o + 12, ip + 16, 4); /* as if the far host were the router */
	memcpy(o + 16, ip + 12, 4);
	mg_csum_store(o + 10, mg_csum_add(0, o, 20));
	o[20] = 3;
	o[21] = 4;
	o[26] = (uint8_t)(mtu >> 8);
	o[27] = (uint8_t)mtu;
	memcpy(o + 28, ip, quote);
	mg_csum_store(o + 22, mg_csum_add(0, o + 20, 8 + quote));
	capture(net, out, sizeof(out), now_ns);
	deliver(net, 1 - from, out, sizeof(out), now_ns);
}

/* "Packet too big" likewise (RFC 4443 3.2). */
static void tell_mtu6(struct mg_sim_net *net, int from, const uint8_t *frame, uint64_t now_ns)
{
	static const uint32_t icmp_len = 8 + 40 + 20;
	const uint8_t *ip = frame + ETH_LEN;
	uint8_t out[ETH_LEN + 40 + 8 + 40 + 20] = { 0 }, *o = out + ETH_LEN;
	uint16_t mtu = net->dir[from].cond.mtu;
	struct mg_addr src, dst;

	memcpy(out, frame + 6, 6);
	memcpy(out + 6, frame, 6);
	out[12] = 0x86;
	out[13] = 0xdd;
	o[0] = 0x60;
	o[5] = (uint8_t)icmp_len;
	o[6] = 58;
	o[7] = 64;
	memcpy(o + 8, ip + 24, 16); /* as if the far host were the router */
	memcpy(o + 24, ip + 8, 16);
	memcpy(src.b, o + 8, 16);
	memcpy(dst.b, o + 24, 16);
	o[40] = 2;
	o[46] = (uint8_t)(mtu >> 8);
	o[47] = (uint8_t)mtu;
	memcpy(o + 48, ip, 40 + 20);
	mg_csum_store(o + 42,
		      mg_csum_add(mg_csum_pseudo(&src, &dst, 58, icmp_len), o + 40, icmp_len));
	capture(net, out, sizeof(out), now_ns);
	deliver(net, 1 - from, out, sizeof(out), now_ns);
}

/* Does a router on the way refuse the frame for its size? */
static bool is_too_big(struct mg_sim_net *net, int from, const uint8_t *frame, uint32_t len,
		       uint64_t now_ns)
{
	const struct mg_sim_link *c = &net->dir[from].cond;

	if (c->mtu == 0 || now_ns < c->mtu_from_ns || len <= (uint32_t)c->mtu + ETH_LEN)
		return false;
	if (c->mtu_is_told && frame[12] == 0x86)
		tell_mtu6(net, from, frame, now_ns);
	else if (c->mtu_is_told)
		tell_mtu(net, from, frame, now_ns);
	return true;
}

/* ECT becomes CE (RFC 3168 5); what is not ECN-capable stays as it is. False: it was not. */
static bool mark(uint8_t *frame)
{
	uint8_t *ip = frame + ETH_LEN;
	uint32_t sum;

	if (frame[12] == 0x86) {
		if ((ip[1] & 0x30) == 0)
			return false;
		ip[1] |= 0x30;
		return true;
	}
	if ((ip[1] & 3) == 0)
		return false;
	/* RFC 1624: the checksum moves against the change of its word */
	sum = (uint32_t)(uint16_t) ~(ip[10] << 8 | ip[11]) + (3u - (ip[1] & 3));
	sum = (sum & 0xffff) + (sum >> 16);
	ip[1] |= 3;
	ip[10] = (uint8_t)(~sum >> 8);
	ip[11] = (uint8_t)~sum;
	return true;
}

/* What ARP and neighbour discovery say is not counted among the packets, and not damaged. */
static bool is_packet(const uint8_t *frame, uint32_t len)
{
	const uint8_t *ip = frame + ETH_LEN;

	if (len <= ETH_LEN + 40)
		return len > ETH_LEN && frame[12] == 0x08 && frame[13] == 0x00;
	if (frame[12] == 0x86 && frame[13] == 0xdd)
		return ip[6] != 58 || ip[40] < 133 || ip[40] > 137;
	return frame[12] == 0x08 && frame[13] == 0x00;
}

void mg_sim_net_send(struct mg_sim_net *net, int from, const uint8_t *frame, uint32_t len,
		     uint64_t now_ns)
{
	struct direction *d = &net->dir[from];
	bool is_ip = is_packet(frame, len);
	uint8_t damaged[16384];
	uint64_t sent_ns;
	bool deep;

	MG_ASSERT(len <= sizeof(damaged));
	net->frames++;
	capture(net, frame, len, now_ns);
	if (is_lost(net, d, is_ip, now_ns) ||
	    (is_ip && is_too_big(net, from, frame, len, now_ns)) ||
	    !shape(d, len, now_ns, &sent_ns, &deep)) {
		net->lost++;
		return;
	}
	if (is_ip && (deep || chance(net, d->cond.mark_ppm))) {
		memcpy(damaged, frame, len);
		if (mark(damaged))
			net->marked++;
		frame = damaged;
	}
	if (is_ip && chance(net, d->cond.corrupt_ppm)) { /* ARP has no checksum to catch it */
		memmove(damaged, frame, len);
		damaged[ETH_LEN + mg_rng_below(&net->rng, len - ETH_LEN)] ^=
			(uint8_t)(1u << mg_rng_below(&net->rng, 8));
		frame = damaged;
	}
	deliver(net, from, frame, len, sent_ns);
	if (chance(net, d->cond.dup_ppm))
		deliver(net, from, frame, len, sent_ns);
}

uint64_t mg_sim_net_next_ns(const struct mg_sim_net *net)
{
	return net->nr > 0 ? net->heap[0].at_ns : MG_TIME_NEVER;
}

bool mg_sim_net_recv(struct mg_sim_net *net, uint64_t now_ns, struct mg_sim_frame *ret_frame)
{
	if (net->nr == 0 || net->heap[0].at_ns > now_ns)
		return false;
	*ret_frame = heap_pop(net).frame;
	return true;
}

uint64_t mg_sim_net_frames(const struct mg_sim_net *net)
{
	return net->frames;
}

uint64_t mg_sim_net_lost(const struct mg_sim_net *net)
{
	return net->lost;
}

uint64_t mg_sim_net_marked(const struct mg_sim_net *net)
{
	return net->marked;
}

uint64_t mg_sim_net_queue(struct mg_sim_net *net, int from)
{
	struct direction *d = &net->dir[from];
	uint64_t mean = d->queue_count == 0 ? 0 : d->queue_sum / d->queue_count;

	d->queue_sum = 0;
	d->queue_count = 0;
	return mean;
}
