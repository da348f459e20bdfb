/* SPDX-License-Identifier: Apache-2.0 */
/* pmtu.c - see pmtu.h. */
#include "slowpath/core/pmtu.h"

#include "proto/base/assert.h"
#include "proto/wire/ipv6.h"
#include "slowpath/core/engine.h"

#define MTU_WITHOUT_ROUTE 576
#define BLACK_HOLE_TIMEOUTS 3 /* in a row, of a segment that is larger than the base */
#define STEP_TIMEOUTS 2       /* and so many more until the next step down */
#define LOST_TRIES 2          /* losses of a probe until it is believed that it does not fit */
#define UNKNOWN_TRIES 8
#define RETRY_NS MG_NS_PER_S
#define WORTH_BYTES 8 /* no probe for less */

/* ---- What is known of destinations ---- */

static uint32_t set_of(const struct mg_slow *s, const struct mg_addr *dst)
{
	return (uint32_t)mg_siphash24(&s->key, dst->b, sizeof(dst->b)) % MG_PMTU_SETS;
}

uint32_t mg_pmtu_of_port(const struct mg_slow *s, const struct mg_addr *dst)
{
	struct mg_hop hop;

	if (mg_routes_find(&s->routes, dst, &hop) == 0)
		return s->routes.ports[hop.port].mtu;
	return mg_addr_is_v4(dst) ? MTU_WITHOUT_ROUTE : MG_IPV6_MTU_MIN;
}

static const struct mg_pmtu *find(const struct mg_slow *s, const struct mg_addr *dst)
{
	const struct mg_pmtu *set = s->pmtus.entries[set_of(s, dst)];

	for (uint32_t i = 0; i < MG_PMTU_WAYS; i++) {
		if (set[i].mtu != 0 && set[i].expire_ns > s->now_ns && mg_addr_eq(&set[i].dst, dst))
			return &set[i];
	}
	return NULL;
}

uint32_t mg_pmtu_of(const struct mg_slow *s, const struct mg_addr *dst)
{
	uint32_t mtu = mg_pmtu_of_port(s, dst);
	const struct mg_pmtu *p = find(s, dst);

	return p != NULL ? mg_min_u32(mtu, p->mtu) : mtu;
}

/* Into its old place, or a free one, or that of what would be forgotten first. */
static void learn(struct mg_slow *s, const struct mg_addr *dst, uint32_t mtu, bool fragment)
{
	struct mg_pmtu *set = s->pmtus.entries[set_of(s, dst)];
	struct mg_pmtu *p = &set[0];

	for (uint32_t i = 0; i < MG_PMTU_WAYS; i++) {
		if (set[i].mtu != 0 && mg_addr_eq(&set[i].dst, dst)) {
			p = &set[i];
			break;
		}
		if (set[i].expire_ns < p->expire_ns)
			p = &set[i];
	}
	*p = (struct mg_pmtu){
		.dst = *dst,
		.mtu = mtu,
		.fragment = fragment,
		.expire_ns = mg_time_after(s->now_ns,
					   (uint64_t)s->conf.pmtu_expire_s * MG_NS_PER_S),
	};
}

/* ---- Sizes of a connection ---- */

static uint16_t mss_at(const struct mg_slow *s, const struct mg_conn *c, uint32_t mtu)
{
	return mg_handshake_snd_mss_at(s, &c->node.tuple, &c->hs, c->mss_max, mtu);
}

static uint16_t full_mss(const struct mg_slow *s, const struct mg_conn *c)
{
	return mss_at(s, c, mg_pmtu_of_port(s, &c->node.tuple.raddr));
}

/* What an MTU of base_mss and its headers gives. */
static uint16_t base_mss(const struct mg_slow *s, const struct mg_conn *c)
{
	return mss_at(s, c, s->conf.base_mss + mg_handshake_headers(&c->node.tuple));
}

static uint32_t floor_of(const struct mg_slow *s, const struct mg_conn *c)
{
	return mg_addr_is_v4(&c->node.tuple.raddr) ? s->conf.pmtu_min : MG_IPV6_MTU_MIN;
}

static void set_mss(struct mg_slow *s, struct mg_conn *c, uint16_t mss, uint32_t cmd)
{
	c->snd_mss = mss;
	c->cc.mss = mss;
	if (c->flags & MG_CONN_WINDOW)
		s->apps[c->app].app->windows[c->window].mss = mss;
	mg_conn_command(s, c, cmd);
}

/* ---- Searching upwards ---- */

static void stop_search(struct mg_conn *c)
{
	c->mtup_bytes = 0;
	c->mtup_lost = 0;
	c->mtup_unknown = 0;
}

/* Nothing more to gain for now; what was found counts for others, too. */
static void end_search(struct mg_slow *s, struct mg_conn *c)
{
	uint32_t options = mg_handshake_headers(&c->node.tuple) +
			   (c->hs.opts & MG_SEG_OPT_TS ? 12u : 0u);

	stop_search(c);
	if (c->snd_mss >= full_mss(s, c))
		return;
	if (c->snd_mss > base_mss(s, c))
		learn(s, &c->node.tuple.raddr, c->snd_mss + options,
		      (c->flags & MG_CONN_FRAGMENT) != 0);
	mg_conn_arm(s, c, MG_CONN_T_PMTU,
		    mg_time_after(s->now_ns, (uint64_t)s->conf.pmtu_expire_s * MG_NS_PER_S));
}

static void probe(struct mg_slow *s, struct mg_conn *c, uint16_t bytes)
{
	c->mtup_bytes = bytes;
	s->stats.pmtu_probes++;
	mg_conn_command(s, c, MG_CONN_CMD_MTU_PROBE);
}

static void search_on(struct mg_slow *s, struct mg_conn *c)
{
	c->mtup_lost = 0;
	c->mtup_unknown = 0;
	if (c->mtup_high < c->snd_mss + WORTH_BYTES)
		end_search(s, c);
	else
		probe(s, c, (uint16_t)((c->snd_mss + c->mtup_high + 1) / 2));
}

static void begin_search(struct mg_slow *s, struct mg_conn *c, uint16_t high)
{
	stop_search(c);
	if (high <= c->snd_mss)
		return;
	c->mtup_high = high;
	probe(s, c, high);
}

static void fits(struct mg_slow *s, struct mg_conn *c, uint32_t bytes)
{
	s->stats.pmtu_raised++;
	set_mss(s, c, (uint16_t)bytes, MG_CONN_CMD_MSS);
	search_on(s, c);
}

static void too_large(struct mg_slow *s, struct mg_conn *c, uint32_t bytes)
{
	if (c->mtup_high >= bytes && ++c->mtup_lost < LOST_TRIES) {
		probe(s, c, (uint16_t)bytes);
		return;
	}
	c->mtup_high = (uint16_t)mg_min_u32(c->mtup_high, bytes - 1);
	search_on(s, c);
}

void mg_pmtu_probed(struct mg_slow *s, struct mg_conn *c, uint32_t value)
{
	uint32_t bytes = MG_MTU_PROBE_BYTES(value);

	if (c->flow != MG_CONN_FLOW_LIVE || bytes == 0 || bytes != c->mtup_bytes)
		return; /* of an older question */
	switch (MG_MTU_PROBE_OUTCOME(value)) {
	case MG_MTU_FITS:
		fits(s, c, bytes);
		break;
	case MG_MTU_TOO_LARGE:
		too_large(s, c, bytes);
		break;
	case MG_MTU_UNKNOWN:
		if (++c->mtup_unknown >= UNKNOWN_TRIES || (c->hs.opts & MG_SEG_OPT_SACK_PERM) == 0)
			end_search(s, c);
		else
			mg_conn_arm(s, c, MG_CONN_T_PMTU, mg_time_after(s->now_ns, RETRY_NS));
		break;
	}
}

/* ---- Downwards ---- */

static void allow_fragments(struct mg_slow *s, struct mg_conn *c)
{
	if (c->flags & MG_CONN_FRAGMENT)
		return;
	s->stats.pmtu_fragments++;
	c->flags |= MG_CONN_FRAGMENT;
	mg_conn_command(s, c, MG_CONN_CMD_FRAGMENT);
}

/* Smaller segments than ip.pmtu_min help attackers more than paths (RFC 1191 3): below, routers may cut ours. */
void mg_pmtu_narrow(struct mg_slow *s, struct mg_conn *c, uint32_t mtu)
{
	bool is_v4 = mg_addr_is_v4(&c->node.tuple.raddr);
	bool fragment = is_v4 && mtu < s->conf.pmtu_min;
	uint16_t mss;

	mtu = mg_max_u32(mtu, floor_of(s, c));
	if (fragment || mtu < mg_pmtu_of(s, &c->node.tuple.raddr))
		learn(s, &c->node.tuple.raddr, mtu, fragment);
	if (fragment)
		allow_fragments(s, c);
	mss = mss_at(s, c, mtu);
	if (c->mtup_bytes != 0)
		c->mtup_high = (uint16_t)mg_min_u32(c->mtup_high, mss);
	if (mss >= c->snd_mss)
		return;
	s->stats.pmtu_updates++;
	stop_search(c);
	set_mss(s, c, mss, MG_CONN_CMD_PMTU);
	mg_conn_arm(s, c, MG_CONN_T_PMTU,
		    mg_time_after(s->now_ns, (uint64_t)s->conf.pmtu_expire_s * MG_NS_PER_S));
}

void mg_pmtu_timed_out(struct mg_slow *s, struct mg_conn *c, const struct mg_ev_flow *ev)
{
	uint32_t over = ev->count - BLACK_HOLE_TIMEOUTS;
	uint16_t high = full_mss(s, c);
	uint32_t mss = base_mss(s, c);

	if (s->conf.mtu_probing == MG_MTU_PROBING_OFF || ev->value == MG_TIMEOUT_PERSIST ||
	    ev->count < BLACK_HOLE_TIMEOUTS || over % STEP_TIMEOUTS != 0)
		return;
	if (over != 0)
		mss = mg_min_u32(mss, mg_max_u32(c->snd_mss / 2u, mss_at(s, c, floor_of(s, c))));
	if (mss >= c->snd_mss || mss >= ev->value)
		return; /* it was small enough */
	s->stats.pmtu_black_holes++;
	set_mss(s, c, (uint16_t)mss, MG_CONN_CMD_PMTU);
	begin_search(s, c, high); /* when data gets through again */
}

void mg_pmtu_start(struct mg_slow *s, struct mg_conn *c)
{
	uint16_t high = c->snd_mss, base = base_mss(s, c);
	const struct mg_pmtu *known = find(s, &c->node.tuple.raddr);

	if (known != NULL && known->fragment)
		allow_fragments(s, c);
	if (s->conf.mtu_probing == MG_MTU_PROBING_ALWAYS && base < high) {
		set_mss(s, c, base, MG_CONN_CMD_MSS);
		begin_search(s, c, high);
	} else if (high < full_mss(s, c)) {
		mg_conn_arm(s, c, MG_CONN_T_PMTU,
			    mg_time_after(s->now_ns,
					  (uint64_t)s->conf.pmtu_expire_s * MG_NS_PER_S));
	}
}

/* RFC 1191 6.3: what was learned is old. Without SACK a probe would say nothing: the router has to. */
void mg_pmtu_timer(struct mg_slow *s, struct mg_conn *c)
{
	uint16_t full = full_mss(s, c);

	if (c->flow != MG_CONN_FLOW_LIVE || c->snd_mss >= full)
		return;
	if (c->mtup_bytes != 0)
		probe(s, c, c->mtup_bytes);
	else if (c->hs.opts & MG_SEG_OPT_SACK_PERM && s->conf.mtu_probing != MG_MTU_PROBING_OFF)
		begin_search(s, c, full);
	else
		set_mss(s, c, full, MG_CONN_CMD_MSS);
}
