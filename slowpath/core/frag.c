/* SPDX-License-Identifier: Apache-2.0 */
/* frag.c - see frag.h. */
#include "slowpath/core/frag.h"

#include "proto/base/assert.h"
#include "proto/base/endian.h"
#include "proto/wire/frame.h"
#include "slowpath/core/engine.h"

#define LIFE_V4_NS (30 * MG_NS_PER_S) /* RFC 1122 3.3.2 says 60 to 120, Linux 30 */
#define LIFE_V6_NS (60 * MG_NS_PER_S) /* RFC 8200 4.5 */
#define ND_FIRST 133
#define ND_LAST 137
#define TOLD_PER_S 10 /* RFC 4443 2.4 (f) */
#define SHARE 4       /* of the table, for one source: one in so many */

static void forget(struct mg_slow *s, struct mg_frag *f)
{
	f->expire_ns = 0;
	s->frags.nr_used--;
}

static bool is_of(const struct mg_frag *f, const struct mg_ip_view *ip)
{
	return f->expire_ns != 0 && f->id == ip->id && f->version == ip->version &&
	       (f->version == 6 || f->proto == ip->proto) && mg_addr_eq(&f->src, &ip->src) &&
	       mg_addr_eq(&f->dst, &ip->dst);
}

static struct mg_frag *find(struct mg_slow *s, const struct mg_ip_view *ip)
{
	for (uint32_t i = 0; i < s->frags.count; i++) {
		if (is_of(&s->frags.entries[i], ip))
			return &s->frags.entries[i];
	}
	return NULL;
}

/* A place for a new packet: its source's oldest if that has its share, else a free one, else the oldest. */
static struct mg_frag *make_room(struct mg_slow *s, const struct mg_addr *src)
{
	uint32_t share = mg_max_u32(s->frags.count / SHARE, 1), nr_own = 0;
	struct mg_frag *own = NULL, *place = NULL;

	for (uint32_t i = 0; i < s->frags.count; i++) {
		struct mg_frag *f = &s->frags.entries[i];

		if (place == NULL || f->expire_ns < place->expire_ns)
			place = f; /* a free one expired at 0 */
		if (f->expire_ns == 0 || !mg_addr_eq(&f->src, src))
			continue;
		nr_own++;
		if (own == NULL || f->expire_ns < own->expire_ns)
			own = f;
	}
	if (nr_own >= share)
		place = own;
	if (place != NULL && place->expire_ns != 0) {
		s->stats.frag_evicted++;
		forget(s, place);
	}
	return place;
}

static struct mg_frag *begin(struct mg_slow *s, const struct mg_ip_view *ip, uint16_t port)
{
	struct mg_frag *f = make_room(s, &ip->src);
	uint64_t expire_ns = mg_time_after(s->now_ns, ip->version == 6 ? LIFE_V6_NS : LIFE_V4_NS);

	if (f == NULL)
		return NULL;
	memset(f, 0, offsetof(struct mg_frag, piece));
	f->src = ip->src;
	f->dst = ip->dst;
	f->id = ip->id;
	f->version = ip->version;
	f->proto = ip->proto;
	f->port = port;
	f->expire_ns = expire_ns;
	s->frags.next_ns = s->frags.nr_used == 0 ? expire_ns
						 : mg_min_u64(s->frags.next_ns, expire_ns);
	s->frags.nr_used++;
	return f;
}

/* RFC 6980 5: neighbour discovery does not come in pieces. */
static bool is_discovery(const struct mg_frag *f)
{
	return f->proto == MG_IPPROTO_ICMPV6 && f->data[0] >= ND_FIRST && f->data[0] <= ND_LAST;
}

/* What somebody here would read. */
static bool is_of_use(const struct mg_ip_view *ip)
{
	return ip->proto == MG_IPPROTO_TCP ||
	       ip->proto == (ip->version == 4 ? MG_IPPROTO_ICMP : MG_IPPROTO_ICMPV6);
}

/* By itself: could an honest host have sent it? */
static bool is_honest(const struct mg_ip_view *ip)
{
	uint32_t end = ip->frag_off + ip->l4_len;

	if (ip->l4_len == 0 || (ip->more_fragments && ip->l4_len % 8 != 0) ||
	    end > MG_FRAG_BYTES_MAX)
		return false;
	if (ip->proto != MG_IPPROTO_TCP)
		return true;
	/* The TCP header lies in the first one, whole (RFC 1858 3, RFC 3128, RFC 7112). */
	return ip->frag_off == 0 ? ip->l4_len >= MG_TCP_HLEN : ip->frag_off >= MG_TCP_HLEN;
}

enum fit { FIT_NEW, FIT_AGAIN, FIT_OVERLAP };

static enum fit fit_in(const struct mg_frag *f, uint32_t off, uint32_t end)
{
	for (uint32_t i = 0; i < f->nr; i++) {
		if (f->piece[i].off == off && f->piece[i].end == end)
			return FIT_AGAIN; /* the network repeats itself (RFC 8200 4.5, errata) */
		if (off < f->piece[i].end && end > f->piece[i].off)
			return FIT_OVERLAP;
	}
	return FIT_NEW;
}

/* False: it contradicts what is known of the end. */
static bool take_end(struct mg_frag *f, const struct mg_ip_view *ip, uint32_t end)
{
	if (!ip->more_fragments) {
		if (f->total != 0 && f->total != end)
			return false;
		f->total = end;
		for (uint32_t i = 0; i < f->nr; i++) {
			if (f->piece[i].end > end)
				return false;
		}
	}
	return f->total == 0 || end <= f->total;
}

static void copy_in(struct mg_frag *f, const struct mg_ip_view *ip)
{
	uint32_t at = ip->frag_off, left = ip->l4_len - ip->l4_first_len;

	memcpy(f->data + at, ip->l4, ip->l4_first_len);
	at += ip->l4_first_len;
	for (const struct mg_chunk *c = ip->more; c != NULL && left > 0; c = c->next) {
		uint32_t n = mg_min_u32(c->len, left);

		memcpy(f->data + at, c->data, n);
		at += n;
		left -= n;
	}
}

/* Takes a piece. False: the packet is void from now on. */
static bool take(struct mg_slow *s, struct mg_frag *f, const struct mg_frame_view *fv,
		 const uint8_t *frame)
{
	const struct mg_ip_view *ip = &fv->ip;
	uint32_t end = ip->frag_off + ip->l4_len;
	enum fit fit = fit_in(f, ip->frag_off, end);

	if (fit == FIT_AGAIN)
		return true;
	if (fit == FIT_OVERLAP || !take_end(f, ip, end)) {
		s->stats.frag_overlaps++;
		return false;
	}
	if (f->nr == MG_FRAG_PIECES_MAX) {
		s->stats.frag_bad++;
		return false;
	}
	f->piece[f->nr++] = (struct mg_frag_piece){ .off = ip->frag_off, .end = (uint16_t)end };
	f->have += ip->l4_len;
	f->ecn_seen |= (uint8_t)(1u << ip->ecn);
	copy_in(f, ip);
	if (ip->frag_off == 0) {
		f->has_first = true;
		f->proto = ip->proto;
		f->ttl = ip->ttl;
		f->dscp = ip->dscp;
		f->l2_len = fv->l2_len <= MG_FRAG_L2_MAX ? fv->l2_len : 0;
		memcpy(f->l2, frame, f->l2_len);
		f->first_bytes = ip->l4_len;
		f->l3_len = ip->hdr_len <= MG_FRAG_L3_MAX ? (uint8_t)ip->hdr_len : 0;
		memcpy(f->l3, ip->l3, f->l3_len);
	}
	return true;
}

/* RFC 3168 5.3: a mark on any of them is a mark on the whole; one that could not be marked must not be. */
static bool ecn_of(const struct mg_frag *f, uint8_t *ret_ecn)
{
	bool ce = (f->ecn_seen & 1u << MG_ECN_CE) != 0;

	*ret_ecn = MG_ECN_NOT_ECT;
	if (ce)
		*ret_ecn = MG_ECN_CE;
	else if (f->ecn_seen == 1u << MG_ECN_ECT0)
		*ret_ecn = MG_ECN_ECT0;
	else if (f->ecn_seen == 1u << MG_ECN_ECT1)
		*ret_ecn = MG_ECN_ECT1;
	return !ce || (f->ecn_seen & 1u << MG_ECN_NOT_ECT) == 0;
}

/* The whole packet as one frame, received now. */
static void receive(struct mg_slow *s, uint32_t worker, const struct mg_frag *f)
{
	struct mg_msg_packet *pkt = (struct mg_msg_packet *)(void *)s->frag_out;
	struct mg_ip_spec spec = {
		.src = &f->src,
		.dst = &f->dst,
		.l4_len = f->total,
		.proto = f->proto,
		.ttl = f->ttl,
	};
	uint32_t len = f->l2_len;
	uint8_t ecn;

	static_assert(MG_FRAG_L2_MAX + MG_IPV6_HLEN + MG_FRAG_BYTES_MAX <= MG_SLOW_FRAME_MAX,
		      "the whole fits");
	if (!ecn_of(f, &ecn) || is_discovery(f)) {
		s->stats.frag_bad++;
		return;
	}
	spec.tos = (uint8_t)(f->dscp << 2 | ecn);
	memcpy(pkt->data, f->l2, f->l2_len);
	len += mg_wire_ip_emit(pkt->data + len, &spec);
	memcpy(pkt->data + len, f->data, f->total);
	len += f->total;
	*pkt = (struct mg_msg_packet){
		.msg = { .type = MG_EV_PACKET,
			 .port = f->port,
			 .len = (uint32_t)sizeof(*pkt) + len },
		.bytes = len,
		.reason = MG_PKT_NO_FLOW,
	};
	s->stats.frag_reassembled++;
	mg_input_packet(s, worker, pkt);
}

void mg_frag_input(struct mg_slow *s, uint32_t worker, const struct mg_frame_view *fv,
		   const struct mg_msg_packet *pkt)
{
	const struct mg_ip_view *ip = &fv->ip;
	struct mg_frag *f;

	s->stats.frag_in++;
	if (!mg_routes_is_local(&s->routes, &ip->dst)) {
		s->stats.drop_not_ours++;
		return;
	}
	if (!is_of_use(ip)) {
		s->stats.drop_ip_other++;
		return;
	}
	f = find(s, ip);
	if (!is_honest(ip)) {
		s->stats.frag_bad++;
		if (f != NULL)
			f->is_void = true;
		return;
	}
	if (f == NULL)
		f = begin(s, ip, pkt->msg.port);
	if (f == NULL || f->is_void) {
		s->stats.frag_bad++;
		return;
	}
	if (!take(s, f, fv, pkt->data)) {
		f->is_void = true;
		return;
	}
	if (f->total == 0 || f->have != f->total || !f->has_first)
		return;
	forget(s, f); /* first: what it carries may bring fragments of its own */
	receive(s, worker, f);
}

/* RFC 792, RFC 8200 4.5: its source is told, if the first fragment came; never in answer to an error (RFC 1122 3.2.2). */
static void tell(struct mg_slow *s, const struct mg_frag *f)
{
	bool v6 = f->version == 6;

	if (f->is_void || f->l3_len == 0)
		return;
	if (f->proto != MG_IPPROTO_TCP && f->data[0] != (v6 ? MG_ICMP6_ECHO : MG_ICMP_ECHO))
		return;
	if (mg_limit_pass(&s->frags.told, TOLD_PER_S, s->now_ns) && mg_icmp_exceeded(s, f))
		s->stats.frag_told++;
}

void mg_frag_expire(struct mg_slow *s)
{
	uint64_t next_ns = MG_TIME_NEVER;

	if (s->frags.nr_used == 0 || s->frags.next_ns > s->now_ns)
		return;
	for (uint32_t i = 0; i < s->frags.count; i++) {
		struct mg_frag *f = &s->frags.entries[i];

		if (f->expire_ns == 0)
			continue;
		if (f->expire_ns > s->now_ns) {
			next_ns = mg_min_u64(next_ns, f->expire_ns);
			continue;
		}
		s->stats.frag_timed_out += !f->is_void;
		tell(s, f);
		forget(s, f);
	}
	s->frags.next_ns = next_ns;
}

uint64_t mg_frag_next_ns(const struct mg_slow *s)
{
	return s->frags.nr_used == 0 ? MG_TIME_NEVER : s->frags.next_ns;
}
