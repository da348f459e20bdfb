/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.c - options of one connection: SET_OPTION and GET_OPTION.
 */
#include <errno.h>

#include "slowpath/core/close.h"
#include "slowpath/core/engine.h"

static int64_t seconds(uint32_t ms)
{
	return ms / 1000;
}

void mg_option_get(struct mg_slow *s, struct mg_conn *c, struct mg_ctl_opt *opt)
{
	(void)s;
	opt->status = 0;
	switch (opt->option) {
	case MG_CTL_OPT_KEEPALIVE:
		opt->value = (c->flags & MG_CONN_KEEPALIVE) != 0;
		break;
	case MG_CTL_OPT_KEEPIDLE_S:
		opt->value = seconds(c->ka_idle_ms);
		break;
	case MG_CTL_OPT_KEEPINTVL_S:
		opt->value = seconds(c->ka_intvl_ms);
		break;
	case MG_CTL_OPT_KEEPCNT:
		opt->value = c->ka_count;
		break;
	case MG_CTL_OPT_USER_TIMEOUT_MS:
		opt->value = c->user_timeout_ms;
		break;
	case MG_CTL_OPT_CONGESTION:
		memset(opt->text, 0, sizeof(opt->text));
		memcpy(opt->text, mg_conn_cc(s, c)->name, sizeof(opt->text) - 1);
		break;
	case MG_CTL_OPT_TTL:
		opt->value = c->ttl;
		break;
	case MG_CTL_OPT_TOS:
		opt->value = c->tos;
		break;
	case MG_CTL_OPT_MAXSEG:
		opt->value = c->snd_mss;
		break;
	case MG_CTL_OPT_LINGER_MS:
		opt->value = c->linger_ms;
		break;
	case MG_CTL_OPT_SOFT_ERROR:
		opt->value = c->soft_error;
		c->soft_error = 0;
		break;
	default:
		opt->status = -ENOPROTOOPT;
		break;
	}
}

static bool in_range(const struct mg_ctl_opt *opt, int64_t lo, int64_t hi)
{
	return opt->value >= lo && opt->value <= hi;
}

static int set_keepalive(struct mg_slow *s, struct mg_conn *c, const struct mg_ctl_opt *opt)
{
	switch (opt->option) {
	case MG_CTL_OPT_KEEPALIVE:
		c->flags &= ~(uint32_t)MG_CONN_KEEPALIVE;
		if (opt->value != 0)
			c->flags |= MG_CONN_KEEPALIVE;
		break;
	case MG_CTL_OPT_KEEPIDLE_S:
		if (!in_range(opt, 1, 32767))
			return -EINVAL;
		c->ka_idle_ms = (uint32_t)opt->value * 1000;
		break;
	case MG_CTL_OPT_KEEPINTVL_S:
		if (!in_range(opt, 1, 32767))
			return -EINVAL;
		c->ka_intvl_ms = (uint32_t)opt->value * 1000;
		break;
	default:
		if (!in_range(opt, 1, 127))
			return -EINVAL;
		c->ka_count = (uint8_t)opt->value;
		break;
	}
	if (c->flow == MG_CONN_FLOW_LIVE || c->flow == MG_CONN_FLOW_INSTALLING)
		mg_keepalive_start(s, c);
	return 0;
}

/* There is no connection yet: is the algorithm known, which is the configured one? */
int mg_option_none(const struct mg_slow *s, struct mg_ctl_opt *opt, bool set)
{
	if (opt->option != MG_CTL_OPT_CONGESTION || opt->window != MG_CTL_WINDOW_NONE)
		return -ENOTCONN;
	opt->text[sizeof(opt->text) - 1] = '\0';
	if (set)
		return mg_cc_find(opt->text) != NULL ? 0 : -ENOENT;
	memset(opt->text, 0, sizeof(opt->text));
	memcpy(opt->text, s->conf.congestion_control, sizeof(opt->text) - 1);
	return 0;
}

static int set_congestion(struct mg_slow *s, struct mg_conn *c, const struct mg_ctl_opt *opt)
{
	char name[sizeof(opt->text)];
	const struct mg_cc_ops *ops;

	memcpy(name, opt->text, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	ops = mg_cc_find(name);
	if (ops == NULL)
		return -ENOENT;
	if (c->flow != MG_CONN_FLOW_INSTALLING && c->flow != MG_CONN_FLOW_LIVE) {
		c->cc.ops = ops; /* takes effect with the connection */
		return 0;
	}
	if (c->cc.ops == ops)
		return 0;
	mg_cc_switch(&c->cc, ops, s->now_ns);
	mg_conn_command(s, c, MG_CONN_CMD_CC);
	return 0;
}

static int set_maxseg(struct mg_slow *s, struct mg_conn *c, const struct mg_ctl_opt *opt)
{
	if (!in_range(opt, MG_MSS_MIN, UINT16_MAX))
		return -EINVAL;
	c->mss_max = (uint32_t)opt->value;
	c->snd_mss = mg_handshake_snd_mss(s, &c->node.tuple, &c->hs, c->mss_max);
	if (c->cc.ops != NULL)
		c->cc.mss = c->snd_mss;
	mg_conn_command(s, c, MG_CONN_CMD_MSS);
	return 0;
}

int mg_option_set(struct mg_slow *s, struct mg_conn *c, const struct mg_ctl_opt *opt)
{
	switch (opt->option) {
	case MG_CTL_OPT_KEEPALIVE:
	case MG_CTL_OPT_KEEPIDLE_S:
	case MG_CTL_OPT_KEEPINTVL_S:
	case MG_CTL_OPT_KEEPCNT:
		return set_keepalive(s, c, opt);
	case MG_CTL_OPT_USER_TIMEOUT_MS:
		if (!in_range(opt, 0, INT32_MAX))
			return -EINVAL;
		c->user_timeout_ms = (uint32_t)opt->value;
		return 0;
	case MG_CTL_OPT_CONGESTION:
		return set_congestion(s, c, opt);
	case MG_CTL_OPT_TTL:
		if (opt->value != -1 && !in_range(opt, 1, 255))
			return -EINVAL;
		c->ttl = opt->value == -1 ? s->conf.ttl : (uint8_t)opt->value;
		mg_conn_command(s, c, MG_CONN_CMD_TTL);
		return 0;
	case MG_CTL_OPT_TOS:
		if (!in_range(opt, 0, 255))
			return -EINVAL;
		c->tos = (uint8_t)opt->value & 0xfc; /* the low bits are ECN's */
		mg_conn_command(s, c, MG_CONN_CMD_TOS);
		return 0;
	case MG_CTL_OPT_MAXSEG:
		return set_maxseg(s, c, opt);
	case MG_CTL_OPT_LINGER_MS:
		if (!in_range(opt, -1, INT32_MAX))
			return -EINVAL;
		c->linger_ms = (int32_t)opt->value;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}
