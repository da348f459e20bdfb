/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c - obeys the slow path; see command.h.
 */
#include "fastpath/core/command.h"

#include "fastpath/core/appwin.h"
#include "fastpath/core/engine.h"
#include "fastpath/core/frame.h"
#include "fastpath/core/mtuprobe.h"
#include "fastpath/core/notify.h"
#include "fastpath/core/output.h"
#include "fastpath/core/pacer.h"
#include "fastpath/core/recovery.h"
#include "fastpath/core/ring.h"
#include "fastpath/core/rtt.h"
#include "fastpath/core/rwnd.h"
#include "fastpath/core/timer.h"
#include "fastpath/core/wintab.h"

static struct mg_flow *find(const struct mg_fp *fp, const struct mg_msg *m)
{
	struct mg_flow *f;

	if (m->flow >= fp->conf.flows_max || fp->ids[m->flow] == 0)
		return NULL;
	f = &fp->flows[fp->ids[m->flow] - 1];
	return f->gen == m->gen && f->run != MG_FLOW_REMOVING ? f : NULL;
}

/* ---- INSTALL ---- */

/* Before the handshake's end: what the SYN brought is delivered already (RFC 7413 4.2.2). */
static void install_syn(struct mg_fp *fp, struct mg_flow *f, const struct mg_cmd_install *c)
{
	f->flags |= MG_FF_SYN_RCVD;
	if (c->syn_bytes == 0)
		return;
	memcpy(f->rx_ring, c + 1, c->syn_bytes);
	f->flags |= MG_FF_NOTIFY;
	mg_fp_count(fp, MG_FPS_RX_BYTES, c->syn_bytes);
}

static void install_rx(struct mg_fp *fp, struct mg_flow *f, const struct mg_cmd_install *c)
{
	f->rx_ring = c->app->base + c->rx_off;
	f->rx_mask = c->rx_bytes - 1;
	f->rcv_nxt = c->rcv_nxt;
	f->rx_tail = c->rcv_nxt - c->irs - 1;
	f->rx_head = 0;
	f->ts_recent = c->ts_recent;
	f->ts_recent_ms = fp->now_ms;
	f->last_ack_sent = c->last_ack_sent;
	f->ooo_head = MG_FLOW_NONE;
	f->rcv_mss = c->rcv_mss > UINT16_MAX ? UINT16_MAX : (uint16_t)mg_max_u32(c->rcv_mss, 1);
	f->rcv_seg = (uint16_t)mg_min_u32(f->rcv_mss, c->mss);
	f->quickacks = MG_FLOW_QUICKACKS;
	f->rcv_wscale = c->rcv_wscale;
	mg_rwnd_init(f, c->rcv_adv);
	if (mg_unlikely(c->flags & MG_FLOW_SYN_RCVD))
		install_syn(fp, f, c);
}

static void install_tx(struct mg_fp *fp, struct mg_flow *f, const struct mg_cmd_install *c)
{
	f->tx_ring = c->app->base + c->tx_off;
	f->tx_mask = c->tx_bytes - 1;
	f->snd_una = c->snd_una;
	f->snd_nxt = c->snd_nxt;
	f->tx_una = c->snd_una - c->iss - 1;
	f->tx_head = f->tx_una + (c->snd_nxt - c->snd_una);
	f->snd_wnd = c->snd_wnd;
	f->snd_wl1 = c->snd_wl1;
	f->snd_wl2 = c->snd_wl2;
	f->max_wnd = c->snd_wnd;
	f->snd_wscale = c->snd_wscale;
	f->snd_sml = c->snd_una;
	f->mss = c->mss;
	f->cwnd = mg_max_u32(c->cwnd_bytes, c->mss);
	f->cc_cwnd = f->cwnd;
	f->restart_cwnd = c->restart_bytes != 0 ? mg_max_u32(c->restart_bytes, c->mss) : 0;
	f->ssthresh = c->ssthresh_bytes;
	f->rec_head = MG_FLOW_NONE;
	f->rec_tail = MG_FLOW_NONE;
	f->delivered_ns = fp->now_ns;
	mg_recovery_init(f);
	f->rto_min_us = mg_max_u32(c->rto_min_us, 1000);
	f->rto_max_us = mg_max_u32(c->rto_max_us, f->rto_min_us);
	f->delack_us = c->delack_us;
	mg_rtt_init(f, c->srtt_us, c->rttvar_us, c->rto_us);
}

static bool install_ok(const struct mg_fp *fp, const struct mg_cmd_install *c)
{
	return c->msg.flow < fp->conf.flows_max && c->msg.port < fp->conf.nr_ports &&
	       c->app != NULL && c->app->id < fp->conf.apps_max &&
	       fp->apps[c->app->id].app == c->app && c->mss != 0 && mg_is_pow2(c->rx_bytes) &&
	       mg_is_pow2(c->tx_bytes) && c->rcv_wscale <= MG_TCP_WS_MAX &&
	       c->snd_wscale <= MG_TCP_WS_MAX && c->snd_una == c->snd_nxt &&
	       c->syn_bytes <= c->rx_bytes && c->msg.len >= sizeof(*c) + c->syn_bytes &&
	       c->window < c->app->nr_windows && (uint64_t)c->contexts >> c->app->nr_contexts == 0;
}

/* No place for it: the slow path learns that it is not here. */
static void refuse(struct mg_fp *fp, const struct mg_cmd_install *c)
{
	struct mg_ev_removed ev = {
		.msg = c->msg, .snd_una = c->snd_una, .snd_nxt = c->snd_nxt, .rcv_nxt = c->rcv_nxt
	};

	mg_fp_count(fp, MG_FPS_INSTALL_FULL, 1);
	ev.msg.type = MG_EV_REMOVED;
	ev.msg.len = sizeof(ev);
	if (!fp->env.event(fp->env.ctx, &ev.msg))
		mg_fp_count(fp, MG_FPS_EVENTS_FULL, 1);
}

static void install(struct mg_fp *fp, const struct mg_cmd_install *c)
{
	struct mg_flow *f;
	uint32_t idx;
	uint32_t gen;

	if (!install_ok(fp, c) || fp->ids[c->msg.flow] != 0 ||
	    mg_pool_alloc(&fp->pool, &idx, &gen) < 0) {
		refuse(fp, c);
		return;
	}
	f = &fp->flows[idx];
	memset(f, 0, sizeof(*f));
	f->tuple = c->tuple;
	f->hash = mg_tuple_hash(&c->tuple, fp->conf.hash_seed);
	f->opts = c->flags;
	f->run = MG_FLOW_LIVE;
	f->port = (uint8_t)c->msg.port;
	f->app = c->app;
	f->app_slot = c->app->id;
	f->win = &c->app->windows[c->window];
	f->id = c->msg.flow;
	f->gen = c->msg.gen;
	f->window = c->window;
	f->window_gen = c->window_gen;
	f->contexts = c->contexts;
	f->ts_offset = c->ts_offset;
	f->rtx_ns = MG_TIME_NEVER;
	f->delack_ns = MG_TIME_NEVER;
	f->aux_ns = MG_TIME_NEVER;
	f->armed_ns = MG_TIME_NEVER;
	f->last_rx_ns = fp->now_ns;
	f->neigh_ns = fp->now_ns;
	f->sample_ns = fp->now_ns;
	install_rx(fp, f, c);
	install_tx(fp, f, c);
	mg_ring_init(fp, f, c);
	mg_frame_template(fp, f, c);
	mg_pacer_set(f, c->pacing_Bps);
	fp->ids[f->id] = idx + 1;
	mg_table_insert(&fp->table, fp->flows, f);
	mg_wintab_insert(fp, f);
	fp->apps[f->app_slot].nr_flows++;
	mg_fp_count(fp, MG_FPS_INSTALLS, 1);
	f->flags |= MG_FF_PUBLISH;
	mg_fp_pend(fp, f);
	mg_appwin_look(fp, f); /* what was written before there was a flow here */
	/* A window larger than a SYN can say is told with the first ACK that is due anyway. */
	f->flags &= ~(uint32_t)MG_FF_ACK_NOW;
}

/* ---- REMOVE ---- */

static void remove_flow(struct mg_fp *fp, struct mg_flow *f, uint32_t how)
{
	if (how == MG_REMOVE_RST)
		(void)mg_output_rst(
			fp, f); /* without a packet the peer gets its RST when it sends next */
	else if (f->run == MG_FLOW_LIVE && mg_flow_has(f, MG_FF_ACK_NOW))
		(void)mg_output_ack(fp,
				    f); /* the last thing that we owe; the peer would ask again */
	mg_notify_app(fp, f);
	mg_table_remove(&fp->table, fp->flows, f);
	mg_wintab_remove(fp, f);
	mg_txrec_free_all(fp, f);
	mg_reass_free_all(fp, f);
	mg_wheel_cancel(&fp->wheel, mg_fp_local(fp, f));
	f->armed_ns = MG_TIME_NEVER;
	f->aux_ns = MG_TIME_NEVER;
	f->run = MG_FLOW_REMOVING;
	f->nr_ev = 0;
	mg_fp_count(fp, MG_FPS_REMOVES, 1);
	mg_fp_pend(fp, f);
}

void mg_command_finish_remove(struct mg_fp *fp, struct mg_flow *f, bool told)
{
	struct mg_fp_app_slot *slot = &fp->apps[f->app_slot];

	if (!told || !mg_notify_removed(fp, f)) {
		f->aux_ns = fp->now_ns + MG_FP_RETRY_NS;
		mg_timer_update(fp, f);
		return;
	}
	if (--slot->nr_flows == 0 && slot->deleting)
		fp->app_work = true;
	fp->ids[f->id] = 0;
	mg_wheel_cancel(&fp->wheel, mg_fp_local(fp, f));
	f->run = MG_FLOW_FREE;
	mg_pool_free(&fp->pool, mg_fp_local(fp, f));
}

/* ---- Applications ---- */

static void app_add(struct mg_fp *fp, const struct mg_msg_app *m)
{
	struct mg_fp_app_slot *slot;

	if (m->app->id >= fp->conf.apps_max || fp->apps[m->app->id].app != NULL)
		return;
	slot = &fp->apps[m->app->id];
	*slot = (struct mg_fp_app_slot){ .app = m->app };
	fp->nr_apps = mg_max_u32(fp->nr_apps, m->app->id + 1);
}

static void app_del(struct mg_fp *fp, const struct mg_msg_app *m)
{
	if (m->app->id >= fp->nr_apps || fp->apps[m->app->id].app != m->app)
		return;
	fp->apps[m->app->id].deleting = true;
	fp->app_work = true;
}

static bool tell(struct mg_fp *fp, const struct mg_fp_app_slot *slot, uint16_t type)
{
	struct mg_msg_app ev = { .msg = { .type = type, .len = sizeof(ev) }, .app = slot->app };

	return fp->env.event(fp->env.ctx, &ev.msg);
}

/* True: the slot has nothing more to tell. */
static bool app_tell(struct mg_fp *fp, struct mg_fp_app_slot *slot)
{
	if (slot->stash_valid && !slot->deleting && !fp->env.event(fp->env.ctx, &slot->stash.msg))
		return false;
	slot->stash_valid = false;
	if (slot->broken_untold && !slot->deleting && !tell(fp, slot, MG_EV_APP_RINGS))
		return false;
	slot->broken_untold = false;
	if (!slot->deleting || slot->nr_flows != 0)
		return true; /* the last flow to go comes back to it */
	if (!tell(fp, slot, MG_EV_APP_DEL))
		return false;
	*slot = (struct mg_fp_app_slot){ 0 };
	return true;
}

void mg_command_app_work(struct mg_fp *fp)
{
	bool more = false;

	for (uint32_t i = 0; i < fp->nr_apps; i++) {
		if (fp->apps[i].app != NULL && !app_tell(fp, &fp->apps[i]))
			more = true;
	}
	fp->app_work = more;
}

/* ---- Changes ---- */

static void set_mss(struct mg_fp *fp, struct mg_flow *f, uint32_t mss, bool resend)
{
	uint32_t old = f->mss;

	if (mss < 8 || mss > UINT16_MAX)
		return;
	if (mss < old)
		mg_mtuprobe_cancel(f);
	f->mss = (uint16_t)mss;
	f->cwnd = mg_max_u32(f->cwnd, f->mss);
	if (resend && mss < old)
		mg_recovery_resend_all(fp, f);
}

static void set_opt(struct mg_fp *fp, struct mg_flow *f, const struct mg_cmd_set_opt *c)
{
	switch ((enum mg_flow_opt)c->opt) {
	case MG_FLOW_OPT_TTL:
		mg_frame_set_ttl(f, (uint8_t)c->value);
		break;
	case MG_FLOW_OPT_TOS:
		mg_frame_set_tos(f, (uint8_t)c->value);
		break;
	case MG_FLOW_OPT_MSS:
		set_mss(fp, f, c->value, false);
		break;
	case MG_FLOW_OPT_RTO_MIN_US:
		f->rto_min_us = mg_clamp_u32(c->value, 1000, f->rto_max_us);
		f->rto_us = mg_max_u32(f->rto_us, f->rto_min_us);
		break;
	case MG_FLOW_OPT_DELACK_US:
		f->delack_us = mg_min_u32(c->value, 500 * 1000); /* MUST-40 */
		break;
	case MG_FLOW_OPT_FRAGMENT:
		mg_frame_allow_fragments(f);
		mg_recovery_resend_all(fp, f);
		break;
	case MG_FLOW_OPT_MTU_PROBE:
		mg_mtuprobe_ask(fp, f, c->value);
		break;
	}
}

static void obey_flow(struct mg_fp *fp, struct mg_flow *f, const struct mg_msg *cmd)
{
	const void *body = cmd;

	switch (cmd->type) {
	case MG_CMD_REMOVE:
		remove_flow(fp, f, ((const struct mg_cmd_remove *)body)->how);
		return;
	case MG_CMD_SET_CC:
		mg_recovery_set_cc(f, body);
		mg_pacer_set(f, ((const struct mg_cmd_set_cc *)body)->pacing_Bps);
		break;
	case MG_CMD_SET_OPT:
		set_opt(fp, f, body);
		break;
	case MG_CMD_SET_NEXTHOP:
		mg_frame_set_nexthop(fp, f, body);
		break;
	case MG_CMD_SET_PMTU:
		set_mss(fp, f, ((const struct mg_cmd_set_opt *)body)->value, true);
		break;
	case MG_CMD_PROBE:
		if (f->run == MG_FLOW_LIVE)
			(void)mg_output_probe(fp, f,
					      f->snd_nxt - 1); /* keepalive repeats it by itself */
		break;
	case MG_CMD_CLOSE:
		mg_appwin_close(fp, f);
		break;
	case MG_CMD_RING:
		mg_ring_answer(fp, f, body);
		break;
	case MG_CMD_SET_CONTEXTS:
		mg_notify_move(fp, f, ((const struct mg_cmd_set_opt *)body)->value);
		mg_appwin_recover(fp, f);
		break;
	case MG_CMD_REPORT:
		mg_notify_event(fp, f, MG_EV_REPORT, 0);
		break;
	default:
		break;
	}
	mg_fp_pend(fp, f);
}

void mg_command_obey(struct mg_fp *fp, const struct mg_msg *cmd)
{
	const void *body = cmd;
	struct mg_flow *f;

	switch (cmd->type) {
	case MG_CMD_INSTALL:
		install(fp, body);
		return;
	case MG_CMD_APP_ADD:
		app_add(fp, body);
		return;
	case MG_CMD_APP_DEL:
		app_del(fp, body);
		return;
	case MG_CMD_TX_PACKET:
	case MG_CMD_REINJECT:
		return; /* the caller's */
	default:
		break;
	}
	f = find(fp, cmd);
	if (f == NULL)
		mg_fp_count(fp, MG_FPS_COMMANDS_STALE, 1);
	else
		obey_flow(fp, f, cmd);
}
