/* SPDX-License-Identifier: Apache-2.0 */
/* fastopen.c - see fastopen.h. */
#include "slowpath/core/fastopen.h"

#include <errno.h>

#include "proto/base/assert.h"
#include "proto/base/seq.h"
#include "slowpath/core/close.h"
#include "slowpath/core/engine.h"

#define SLOT_NS (20 * MG_NS_PER_S)

/* ---- Keys ---- */

static void draw_keys(struct mg_slow *s)
{
	uint64_t life_ns = s->conf.fastopen_key_life_s * MG_NS_PER_S;
	uint64_t epoch = life_ns != 0 ? s->now_ns / life_ns : 0;

	if (s->conf.fastopen_has_key || (s->tfo_drawn && s->tfo_epoch == epoch))
		return;
	mg_tfo_keys_draw(&s->key, epoch, &s->tfo_keys);
	s->tfo_epoch = epoch;
	s->tfo_drawn = true;
}

void mg_fastopen_configure(struct mg_slow *s, const struct mg_slow_conf *old)
{
	bool is_other = old == NULL || old->fastopen_has_key != s->conf.fastopen_has_key ||
			memcmp(old->fastopen_key, s->conf.fastopen_key, MG_TFO_KEY_BYTES) != 0;

	if (!is_other)
		return;
	if (s->conf.fastopen_has_key) {
		s->tfo_keys.before = s->tfo_keys.now;
		s->tfo_keys.has_before = old != NULL && (old->fastopen_has_key || s->tfo_drawn);
		mg_tfo_key_load(s->conf.fastopen_key, &s->tfo_keys.now);
	}
	s->tfo_drawn = false;
}

/* ---- The queue ---- */

/* Resets of more than a minute ago count no more. */
static void forget_resets(const struct mg_slow *s, struct mg_fastopen_queue *q)
{
	uint64_t slot = s->now_ns / SLOT_NS;

	if (slot - q->slot >= MG_FASTOPEN_SLOTS)
		memset(q->resets, 0, sizeof(q->resets));
	for (; q->slot < slot && slot - q->slot < MG_FASTOPEN_SLOTS; q->slot++)
		q->resets[(q->slot + 1) % MG_FASTOPEN_SLOTS] = 0;
	q->slot = slot;
}

static bool is_full(const struct mg_slow *s, struct mg_fastopen_queue *q, uint32_t max)
{
	uint32_t nr = q->nr;

	forget_resets(s, q);
	for (uint32_t i = 0; i < MG_FASTOPEN_SLOTS; i++)
		nr += q->resets[i];
	return nr >= max;
}

static uint32_t queue_max(const struct mg_slow *s, const struct mg_listener *l)
{
	if ((s->conf.fastopen & MG_FASTOPEN_SERVER) == 0)
		return 0;
	if (s->conf.fastopen & MG_FASTOPEN_SERVER_ALL && l->tfo.max == 0)
		return s->conf.fastopen_queue_max;
	return mg_min_u32(l->tfo.max, s->conf.fastopen_queue_max);
}

int mg_fastopen_set(struct mg_slow *s, const struct mg_slow_app *app, const struct mg_ctl_opt *opt)
{
	struct mg_listener *l = mg_listener_by_id(s, opt->window);

	if (l == NULL || l->app != app->slot)
		return -ENOENT;
	if (opt->value < 0 || opt->value > UINT32_MAX)
		return -EINVAL;
	if (opt->option == MG_CTL_OPT_LISTEN_FASTOPEN)
		l->tfo.max = (uint32_t)opt->value;
	else
		l->tfo.no_cookie = opt->value != 0;
	return 0;
}

/* ---- A connection before its handshake's end ---- */

static void send_synack(struct mg_slow *s, struct mg_conn *c, const struct mg_tfo_cookie *cookie)
{
	struct mg_synack a = {
		.tuple = &c->node.tuple,
		.hs = &c->hs,
		.rcvbuf_bytes = c->rcvbuf_bytes,
		.tsval = mg_tsval(s, c->hs.ts_offset),
		.data_bytes = c->syn_bytes,
		.cookie = cookie,
	};

	mg_handshake_send(s, &a);
}

static bool open_early(struct mg_slow *s, struct mg_listener *l, const struct mg_in *in,
		       uint32_t floor_iss, const struct mg_tfo_cookie *cookie)
{
	const struct mg_seg *seg = in->seg;
	struct mg_handshake hs = { 0 };
	struct mg_conn *c;

	mg_embryo_read_syn(s, l, seg, &hs);
	hs.iss = mg_embryo_iss(s, &seg->tuple, floor_iss);
	c = mg_embryo_conn(s, l, &hs, seg);
	if (c == NULL)
		return false;
	c->flags |= MG_CONN_TFO;
	c->tfo_listener = l->id;
	l->tfo.nr++;
	c->sent_ns = s->now_ns;
	mg_embryo_path(s, c, in);
	s->install_data = seg;
	mg_conn_install(s, c, seg, 0);
	s->install_data = NULL;
	if (c->syn_bytes > 0)
		c->flags |= MG_CONN_SYN_DATA;
	mg_conn_arm(s, c, MG_CONN_T_REXMT,
		    mg_time_after(s->now_ns, mg_embryo_rto_ns(s, c->retries)));
	send_synack(s, c, cookie);
	mg_listener_enqueue(s, l, c);
	return true;
}

/* What the cookie of a SYN says. False: an ordinary handshake, with *ret_cookie for the peer. */
static bool needs_no_cookie(const struct mg_slow *s, const struct mg_listener *l)
{
	return (s->conf.fastopen & MG_FASTOPEN_SERVER_NO_COOKIE) != 0 || l->tfo.no_cookie;
}

static bool is_proven(struct mg_slow *s, const struct mg_listener *l, const struct mg_seg *seg,
		      struct mg_tfo_cookie *ret_cookie)
{
	enum mg_tfo_match match = MG_TFO_NO_MATCH;

	if (needs_no_cookie(s, l))
		return true;
	draw_keys(s);
	if (seg->tfo_len > 0)
		match = mg_tfo_cookie_check(&s->tfo_keys, &seg->tuple, seg->tfo, seg->tfo_len);
	if (match != MG_TFO_MATCH)
		mg_tfo_cookie_make(&s->tfo_keys.now, &seg->tuple, ret_cookie);
	if (seg->tfo_len == 0)
		return false;
	s->stats.fastopen_passive_alt_key += match == MG_TFO_MATCH_BEFORE;
	s->stats.fastopen_passive_fail += match == MG_TFO_NO_MATCH;
	return match != MG_TFO_NO_MATCH;
}

bool mg_fastopen_syn(struct mg_slow *s, struct mg_listener *l, const struct mg_in *in,
		     uint32_t floor_iss, struct mg_tfo_cookie *ret_cookie)
{
	const struct mg_seg *seg = in->seg;
	uint32_t max = queue_max(s, l);

	ret_cookie->len = 0;
	if (max == 0)
		return false;
	if ((seg->opts & MG_SEG_OPT_TFO) == 0 && (seg->payload_len == 0 || !needs_no_cookie(s, l)))
		return false;
	s->stats.fastopen_cookie_reqd += (seg->opts & MG_SEG_OPT_TFO) != 0 && seg->tfo_len == 0;
	if (is_full(s, &l->tfo, max)) {
		s->stats.fastopen_listen_overflow++;
		return false;
	}
	if (!is_proven(s, l, seg, ret_cookie))
		return false;
	if (!open_early(s, l, in, floor_iss, ret_cookie)) {
		s->stats.fastopen_passive_fail++;
		return false;
	}
	s->stats.fastopen_passive++;
	return true;
}

static void repeat_synack(struct mg_slow *s, struct mg_conn *c)
{
	s->stats.syn_retrans_in++;
	if (!mg_input_may_challenge(s))
		return;
	s->stats.synack_retrans++;
	send_synack(s, c, NULL);
}

void mg_fastopen_input(struct mg_slow *s, struct mg_conn *c, const struct mg_in *in)
{
	const struct mg_seg *seg = in->seg;

	if (seg->flags & MG_TCP_SYN) {
		if (seg->seq == c->hs.irs)
			repeat_synack(s, c);
		return;
	}
	/* RFC 9293 3.10.7.4, SYN-RECEIVED: an ACK for what was never sent */
	s->stats.ack_invalid++;
	mg_input_reset(s, seg);
}

void mg_fastopen_timer(struct mg_slow *s, struct mg_conn *c)
{
	if (c->retries >= s->conf.synack_retries) {
		s->stats.embryos_timed_out++;
		mg_conn_end(s, c, ETIMEDOUT, false);
		return;
	}
	c->retries++;
	s->stats.synack_retrans++;
	mg_conn_arm(s, c, MG_CONN_T_REXMT,
		    mg_time_after(s->now_ns, mg_embryo_rto_ns(s, c->retries)));
	send_synack(s, c, NULL);
}

void mg_fastopen_acked(struct mg_slow *s, struct mg_conn *c)
{
	if ((c->flags & MG_CONN_TFO) == 0)
		return;
	mg_fastopen_over(s, c, false);
	mg_conn_arm(s, c, MG_CONN_T_REXMT, MG_TIME_NEVER);
	if (c->state == MG_TCP_SYN_RECEIVED) /* else its FIN has left already */
		mg_conn_set_state(s, c, MG_TCP_ESTABLISHED);
	s->stats.established_passive++;
	mg_keepalive_start(s, c);
}

void mg_fastopen_over(struct mg_slow *s, struct mg_conn *c, bool is_reset)
{
	struct mg_listener *l;

	if ((c->flags & MG_CONN_TFO) == 0)
		return;
	c->flags &= ~(uint32_t)MG_CONN_TFO;
	l = mg_listener_by_id(s, c->tfo_listener);
	if (l == NULL)
		return;
	MG_ASSERT(l->tfo.nr > 0);
	l->tfo.nr--;
	if (!is_reset)
		return;
	forget_resets(s, &l->tfo);
	l->tfo.resets[l->tfo.slot % MG_FASTOPEN_SLOTS]++;
}
