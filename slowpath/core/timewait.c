/* SPDX-License-Identifier: Apache-2.0 */
/* timewait.c - see timewait.h. */
#include "slowpath/core/timewait.h"

#include "proto/base/assert.h"
#include "proto/base/seq.h"
#include "slowpath/core/engine.h"

static void push_back(struct mg_slow *s, uint32_t idx)
{
	struct mg_timewaits *t = &s->timewaits;

	t->entries[idx].prev = t->tail;
	t->entries[idx].next = MG_TIMEWAIT_NONE;
	if (t->tail == MG_TIMEWAIT_NONE)
		t->head = idx;
	else
		t->entries[t->tail].next = idx;
	t->tail = idx;
	t->entries[idx].expire_ns = mg_time_after(s->now_ns, mg_ms_to_ns(s->conf.time_wait_ms));
}

static void unlink_entry(struct mg_slow *s, uint32_t idx)
{
	struct mg_timewaits *t = &s->timewaits;
	const struct mg_timewait *w = &t->entries[idx];

	if (w->prev == MG_TIMEWAIT_NONE)
		t->head = w->next;
	else
		t->entries[w->prev].next = w->next;
	if (w->next == MG_TIMEWAIT_NONE)
		t->tail = w->prev;
	else
		t->entries[w->next].prev = w->prev;
}

void mg_timewait_drop(struct mg_slow *s, uint32_t idx)
{
	mg_tuples_remove(&s->tuples, mg_tuples_ref(MG_TUPLES_TIMEWAIT, idx));
	mg_state_set(&s->states, &s->timewaits.entries[idx].state, MG_TCP_CLOSED);
	unlink_entry(s, idx);
	mg_pool_free(&s->timewaits.pool, idx);
}

static void answer(struct mg_slow *s, const struct mg_timewait *w)
{
	struct mg_handshake hs = {
		.ts_recent = w->ts_recent,
		.ts_offset = w->ts_offset,
		.opts = w->has_ts ? MG_SEG_OPT_TS : 0,
	};

	if (!mg_input_may_challenge(s))
		return;
	s->stats.time_wait_acks++;
	mg_handshake_send_ack(s, &w->node.tuple, &hs, w->snd_nxt, w->rcv_nxt, UINT16_MAX);
}

void mg_timewait_add(struct mg_slow *s, const struct mg_timewait_spec *spec)
{
	struct mg_timewaits *t = &s->timewaits;
	struct mg_timewait *w;
	uint32_t idx, gen;

	if (mg_pool_alloc(&t->pool, &idx, &gen) < 0) {
		s->stats.time_wait_evicted++;
		if (t->head == MG_TIMEWAIT_NONE)
			return;
		mg_timewait_drop(s, t->head);
		MG_ASSERT(mg_pool_alloc(&t->pool, &idx, &gen) == 0);
	}
	w = &t->entries[idx];
	*w = (struct mg_timewait){
		.snd_nxt = spec->snd_nxt,
		.rcv_nxt = spec->rcv_nxt,
		.rcv_wnd = spec->rcv_wnd,
		.snd_wnd = spec->snd_wnd,
		.ts_recent = spec->ts_recent,
		.ts_offset = spec->ts_offset,
		.has_ts = spec->has_ts,
		.entered_ns = s->now_ns,
		.state = MG_TCP_TIME_WAIT,
	};
	mg_tuples_add(&s->tuples, mg_tuples_ref(MG_TUPLES_TIMEWAIT, idx), spec->tuple);
	push_back(s, idx);
	s->stats.time_waits++;
}

/* RFC 6191 2 with both sides' timestamps, else RFC 9293 MAY-2: surely a new incarnation? */
static bool is_new_syn(const struct mg_timewait *w, const struct mg_seg *seg)
{
	if (w->has_ts && (seg->opts & MG_SEG_OPT_TS) != 0) {
		if (mg_seq_gt(seg->tsval, w->ts_recent))
			return true;
		if (seg->tsval != w->ts_recent)
			return false;
	}
	return mg_seq_gt(seg->seq, w->rcv_nxt);
}

void mg_timewait_input(struct mg_slow *s, uint32_t idx, const struct mg_in *in)
{
	struct mg_timewait *w = &s->timewaits.entries[idx];
	const struct mg_seg *seg = in->seg;
	bool is_old = w->has_ts && (seg->opts & MG_SEG_OPT_TS) != 0 &&
		      mg_seq_lt(seg->tsval, w->ts_recent);

	if (seg->flags & MG_TCP_RST) {
		s->stats.time_wait_rst_ignored++; /* RFC 1337 fix F1 */
		return;
	}
	if ((seg->flags & (MG_TCP_SYN | MG_TCP_ACK)) == MG_TCP_SYN) {
		uint32_t floor_iss = w->snd_nxt + UINT16_MAX + 2;

		if (!is_new_syn(w, seg)) {
			answer(s, w);
			return;
		}
		s->stats.time_wait_reused++;
		mg_timewait_drop(s, idx);
		mg_input_listen(s, in, floor_iss);
		return;
	}
	if (!is_old && (seg->flags & MG_TCP_FIN) != 0 && seg->seq + mg_seg_len(seg) == w->rcv_nxt) {
		unlink_entry(s, idx); /* our ACK was lost: once more, and 2 MSL from now */
		push_back(s, idx);
		answer(s, w);
		return;
	}
	if (is_old || (seg->flags & MG_TCP_SYN) != 0 ||
	    !mg_input_is_acceptable(seg, w->rcv_nxt, w->rcv_wnd)) {
		answer(s, w);
		return;
	}
	if ((seg->flags & MG_TCP_ACK) == 0)
		return;
	if (mg_seq_gt(seg->ack, w->snd_nxt) ||
	    mg_seq_lt(seg->ack,
		      w->snd_nxt - mg_min_u32(w->snd_wnd, INT32_MAX))) { /* RFC 5961 5.2 */
		answer(s, w);
	} else if (seg->flags & MG_TCP_FIN) {
		unlink_entry(s, idx);
		push_back(s, idx);
	}
}

void mg_timewait_expire(struct mg_slow *s)
{
	while (s->timewaits.head != MG_TIMEWAIT_NONE && mg_timewait_next_ns(s) <= s->now_ns)
		mg_timewait_drop(s, s->timewaits.head);
}

uint64_t mg_timewait_next_ns(const struct mg_slow *s)
{
	const struct mg_timewaits *t = &s->timewaits;

	return t->head == MG_TIMEWAIT_NONE ? MG_TIME_NEVER : t->entries[t->head].expire_ns;
}

bool mg_timewait_may_reuse(const struct mg_slow *s, uint32_t idx)
{
	const struct mg_timewait *w = &s->timewaits.entries[idx];

	return w->has_ts && s->conf.timestamps && s->now_ns >= w->entered_ns + MG_NS_PER_S;
}
