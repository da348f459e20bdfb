/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.c - getsockopt() and setsockopt().
 *
 * Idea:    the holder takes every option first, so that what the kernel refuses is refused, with its errno, and what
 *          it keeps can be read back in its form. What matters to mangod goes there as well: window flags, options
 *          that the daemon keeps, our own blocking. Read from us is only what the holder cannot know: errors, TCP_INFO,
 *          the MSS.
 */
#include <errno.h>
#include <linux/tcp.h> /* the whole struct tcp_info, which netinet/tcp.h lacks */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
/* linux/tcp.h and netinet/tcp.h exclude each other. */
#define _NETINET_TCP_H 1
#include <netinet/in.h>

#include "libclient/preload/face.h"
#include "libclient/preload/real.h"
#include "libclient/preload/sock.h"
#include "libclient/preload/sys.h"
#include "proto/wire/seg.h"

#define TO_LIBC 1
#define RCVTIMEO_64 66 /* SO_RCVTIMEO_NEW */
#define SNDTIMEO_64 67

static int value_of(const struct mg_sockopt *opt)
{
	int value = 0;

	memcpy(&value, opt->val, *opt->len < sizeof(value) ? *opt->len : sizeof(value));
	return value;
}

static int put_bytes(const struct mg_sockopt *opt, const void *from, size_t bytes)
{
	if ((int)*opt->len < 0)
		return -EINVAL;
	*opt->len = *opt->len < bytes ? *opt->len : (socklen_t)bytes;
	memcpy(opt->val, from, *opt->len);
	return 0;
}

static int put_int(const struct mg_sockopt *opt, int value)
{
	return put_bytes(opt, &value, sizeof(value));
}

/* mangod's name of an option that it keeps; 0: none. */
static uint32_t daemon_option(int level, int name)
{
	static const struct {
		int level;
		int name;
		uint32_t option;
	} known[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, MG_CTL_OPT_KEEPALIVE },
		{ IPPROTO_TCP, TCP_KEEPIDLE, MG_CTL_OPT_KEEPIDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, MG_CTL_OPT_KEEPINTVL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, MG_CTL_OPT_KEEPCNT },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, MG_CTL_OPT_USER_TIMEOUT_MS },
		{ IPPROTO_TCP, TCP_CONGESTION, MG_CTL_OPT_CONGESTION },
		{ IPPROTO_TCP, TCP_MAXSEG, MG_CTL_OPT_MAXSEG },
		{ IPPROTO_IP, IP_TTL, MG_CTL_OPT_TTL },
		{ IPPROTO_IP, IP_TOS, MG_CTL_OPT_TOS },
		{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, MG_CTL_OPT_TTL },
		{ IPPROTO_IPV6, IPV6_TCLASS, MG_CTL_OPT_TOS },
	};

	for (size_t i = 0; i < MG_ARRAY_SIZE(known); i++) {
		if (known[i].level == level && known[i].name == name)
			return known[i].option;
	}
	return 0;
}

static void fill_item(const struct mg_sock *s, struct mg_ctl_opt *item, uint32_t option)
{
	memset(item, 0, sizeof(*item));
	item->window = s->conn->w.index;
	item->gen = s->conn->w.gen;
	item->option = option;
	item->value = s->daemon_value[option];
	if (option == MG_CTL_OPT_CONGESTION)
		memcpy(item->text, s->congestion, sizeof(item->text));
}

void mg_sock_send_options(struct mg_sock *s)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_SET_OPTION,
					       (uint32_t)__builtin_popcount(s->daemon_set));
	uint32_t n = 0;

	if (msg == NULL)
		return; /* the daemon's defaults stay */
	for (uint32_t option = 0; option < MG_SOCK_DAEMON_OPTS; option++) {
		if (s->daemon_set & 1u << option)
			fill_item(s, &msg->opt[n++], option);
	}
	(void)mg_client_send(s->conn->src.ctx->client, msg); /* as above */
	free(msg);
}

/* Locked. One option of a connection: now, with the daemon's answer. */
static int request_option(struct mg_sock *s, uint16_t type, uint32_t option, struct mg_ctl_opt *ret)
{
	struct mg_ctl_msg *msg = mg_client_msg(type, 1);
	int err;

	if (msg == NULL)
		return -ENOMEM;
	fill_item(s, &msg->opt[0], option);
	err = mg_client_request(s->conn->src.ctx->client, msg);
	if (err == 0 && msg->hdr.count == 1)
		err = msg->opt[0].status <= 0 ? msg->opt[0].status : -EPROTO;
	if (ret != NULL)
		*ret = msg->opt[0];
	free(msg);
	return err;
}

static int64_t timeval_us(const struct mg_sockopt *opt)
{
	struct timeval tv = { 0, 0 };

	memcpy(&tv, opt->val, *opt->len < sizeof(tv) ? *opt->len : sizeof(tv));
	return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

static void set_flag(struct mg_sock *s, uint32_t aflag, bool on)
{
	if (mg_sock_kind(s) == MG_SOCK_CONN)
		mg_conn_set_flag(s->conn, aflag, on);
}

/* As a listener has it: 0 is the configured one. */
static int64_t listener_value(const struct mg_sock *s, uint32_t option)
{
	return s->daemon_value[option] > 0 ? s->daemon_value[option] : 0;
}

/* Of its SYN-ACKs; its connections begin with them. */
static void set_listener(struct mg_sock *s, uint32_t option)
{
	if (option == MG_CTL_OPT_TTL)
		(void)mg_lst_set_option(s->lst, MG_CTL_OPT_LISTEN_TTL, listener_value(s, option));
	else if (option == MG_CTL_OPT_TOS)
		(void)mg_lst_set_option(s->lst, MG_CTL_OPT_LISTEN_TOS, listener_value(s, option));
}

static void set_defer(struct mg_sock *s, const struct mg_sockopt *opt)
{
	s->defer_s = value_of(opt) > 0 ? (uint32_t)value_of(opt) : 0;
	if (mg_sock_kind(s) == MG_SOCK_LISTENER)
		(void)mg_lst_set_option(s->lst, MG_CTL_OPT_LISTEN_DEFER_S, s->defer_s);
}

void mg_sock_listen_options(const struct mg_sock *s, struct mg_lst_params *params)
{
	params->ttl = (uint8_t)listener_value(s, MG_CTL_OPT_TTL); /* the kernel has looked */
	params->tos = (uint8_t)listener_value(s, MG_CTL_OPT_TOS);
	params->defer_s = s->defer_s > UINT16_MAX ? UINT16_MAX : (uint16_t)s->defer_s;
}

static int set_daemon(struct mg_sock *s, const struct mg_sockopt *opt, uint32_t option)
{
	struct mg_ctl_msg *msg;
	int err = 0;

	if (option == MG_CTL_OPT_CONGESTION) {
		size_t len = strnlen(opt->val, *opt->len);

		if (len >= sizeof(s->congestion))
			return -ENOENT;
		memset(s->congestion, 0, sizeof(s->congestion));
		memcpy(s->congestion, opt->val, len);
	} else {
		s->daemon_value[option] = option == MG_CTL_OPT_KEEPALIVE ? value_of(opt) != 0
									 : value_of(opt);
	}
	s->daemon_set |= 1u << option;
	if (mg_sock_kind(s) == MG_SOCK_LISTENER)
		set_listener(s, option);
	if (mg_sock_kind(s) != MG_SOCK_CONN)
		return 0;
	if (option == MG_CTL_OPT_CONGESTION)
		return request_option(s, MG_CTL_TCP_SET_OPTION, option, NULL);
	msg = mg_client_msg(MG_CTL_TCP_SET_OPTION, 1);
	if (msg == NULL)
		return -ENOMEM;
	fill_item(s, &msg->opt[0], option);
	/* The kernel has found it right; what the daemon thinks of it need not be waited for. */
	(void)mg_client_send(s->conn->src.ctx->client, msg);
	free(msg);
	return err;
}

void mg_sock_tell_linger(struct mg_sock *s)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_SET_OPTION, 1);

	if (msg == NULL)
		return; /* it ends by FIN */
	fill_item(s, &msg->opt[0], MG_CTL_OPT_LINGER_MS);
	msg->opt[0].value = s->linger_on && s->linger_s == 0 ? 0 : -1;
	(void)mg_client_send(s->conn->src.ctx->client, msg); /* likewise */
	free(msg);
}

static void set_linger(struct mg_sock *s, const struct mg_sockopt *opt)
{
	struct linger l;

	memcpy(&l, opt->val, sizeof(l)); /* the kernel has looked at the length */
	s->linger_on = l.l_onoff != 0;
	s->linger_s = l.l_linger;
	if (s->guarded && mg_sock_kind(s) == MG_SOCK_CONN)
		mg_sock_tell_linger(s);
}

static void note_socket_level(struct mg_sock *s, const struct mg_sockopt *opt)
{
	switch (opt->name) {
	case SO_RCVTIMEO:
	case RCVTIMEO_64:
		s->rcvtimeo_us = timeval_us(opt);
		break;
	case SO_SNDTIMEO:
	case SNDTIMEO_64:
		s->sndtimeo_us = timeval_us(opt);
		break;
	case SO_LINGER:
		set_linger(s, opt);
		break;
	case SO_RCVLOWAT:
		s->lowat = value_of(opt) < 1 ? 1 : (uint32_t)value_of(opt);
		break;
	case SO_OOBINLINE:
		s->oobinline = value_of(opt) != 0;
		break;
	case SO_RCVBUF:
		s->rcvbuf = (uint32_t)value_of(opt);
		break;
	case SO_SNDBUF:
		s->sndbuf = (uint32_t)value_of(opt);
		break;
	default:
		break;
	}
}

/* Of a listener, before or after listen(). The kernel has found it right; a daemon without it serves without. */
static void note_fastopen(struct mg_sock *s, const struct mg_sockopt *opt)
{
	uint32_t option = MG_CTL_OPT_LISTEN_FASTOPEN;

	if (opt->name == TCP_FASTOPEN) {
		s->fastopen = (uint32_t)value_of(opt);
	} else {
		s->fastopen_no_cookie = value_of(opt) != 0;
		option = MG_CTL_OPT_LISTEN_FASTOPEN_NO_COOKIE;
	}
	if (mg_sock_kind(s) == MG_SOCK_LISTENER)
		(void)mg_lst_set_option(s->lst, option, (uint32_t)value_of(opt));
}

static void note_tcp_level(struct mg_sock *s, const struct mg_sockopt *opt)
{
	switch (opt->name) {
	case TCP_NODELAY:
		s->nodelay = value_of(opt) != 0;
		set_flag(s, MG_SHM_AF_NODELAY, s->nodelay);
		break;
	case TCP_CORK:
		s->cork = value_of(opt) != 0;
		set_flag(s, MG_SHM_AF_CORK, s->cork);
		break;
	case TCP_DEFER_ACCEPT:
		set_defer(s, opt);
		break;
	case TCP_QUICKACK:
		set_flag(s, MG_SHM_AF_QUICKACK, value_of(opt) != 0);
		break;
	case TCP_FASTOPEN_CONNECT:
		s->fastopen_connect = value_of(opt) != 0;
		break;
	case TCP_FASTOPEN:
	case TCP_FASTOPEN_NO_COOKIE:
		note_fastopen(s, opt);
		break;
	default:
		break;
	}
}

/* Accepted sockets take the option over: their holders get it when somebody asks for it. */
static void remember(struct mg_sock *s, const struct mg_sockopt *opt)
{
	uint32_t i;

	if (*opt->len != sizeof(int))
		return;
	for (i = 0; i < s->nr_opts; i++) {
		if (s->opts[i].level == opt->level && s->opts[i].name == opt->name)
			break;
	}
	if (i == MG_SOCK_OPTS_MAX)
		return;
	s->opts[i] = (struct mg_sock_opt){ (int16_t)opt->level, (int16_t)opt->name, value_of(opt) };
	if (i == s->nr_opts)
		s->nr_opts++;
}

static void replay(int fd, struct mg_sock *s)
{
	if (mg_likely(!s->must_replay))
		return;
	s->must_replay = false;
	for (uint32_t i = 0; i < s->nr_opts; i++)
		(void)mg_sys(SYS_setsockopt, fd, s->opts[i].level, s->opts[i].name,
			     &s->opts[i].value, sizeof(int)); /* it was right on the listener */
}

void mg_sock_inherit(struct mg_sock *child, const struct mg_sock *parent)
{
	child->nodelay = parent->nodelay;
	child->cork = parent->cork;
	child->oobinline = parent->oobinline;
	child->linger_on = parent->linger_on;
	child->linger_s = parent->linger_s;
	child->lowat = parent->lowat;
	child->rcvtimeo_us = parent->rcvtimeo_us;
	child->sndtimeo_us = parent->sndtimeo_us;
	child->rcvbuf = parent->rcvbuf;
	child->sndbuf = parent->sndbuf;
	child->daemon_set = parent->daemon_set;
	memcpy(child->daemon_value, parent->daemon_value, sizeof(child->daemon_value));
	memcpy(child->congestion, parent->congestion, sizeof(child->congestion));
	child->nr_opts = parent->nr_opts;
	memcpy(child->opts, parent->opts, sizeof(child->opts));
	child->must_replay = parent->nr_opts > 0;
}

static int set_locked(int fd, struct mg_sock *s, const struct mg_sockopt *opt)
{
	uint32_t option = daemon_option(opt->level, opt->name);
	long err;

	replay(fd, s);
	if (opt->level == SOL_SOCKET && opt->name == SO_ZEROCOPY)
		return -EOPNOTSUPP; /* there would be no completions */
	err = mg_sys(SYS_setsockopt, fd, opt->level, opt->name, opt->val, *opt->len);
	if (err < 0) {
		if (option == MG_CTL_OPT_CONGESTION && mg_sock_kind(s) == MG_SOCK_CONN)
			return set_daemon(s, opt, option); /* mangod may know it all the same */
		mg_face_debug("setsockopt(%d, %d, %d): %s", fd, opt->level, opt->name,
			      strerror((int)-err));
		return (int)err;
	}
	if (opt->val == NULL)
		return 0;
	remember(s, opt);
	if (opt->level == SOL_SOCKET)
		note_socket_level(s, opt);
	else if (opt->level == IPPROTO_TCP)
		note_tcp_level(s, opt);
	return option != 0 ? set_daemon(s, opt, option) : 0;
}

int mg_sock_setsockopt(int fd, struct mg_sock *s, const struct mg_sockopt *opt)
{
	int err, saved = errno;

	if (mg_sock_kind(s) == MG_SOCK_KERNEL)
		return TO_LIBC;
	pthread_mutex_lock(&s->lock);
	err = set_locked(mg_sock_holder(s, fd), s, opt);
	pthread_mutex_unlock(&s->lock);
	errno = saved;
	return err;
}

/* enum mg_tcp_state (RFC 9293's order) to the kernel's numbers. */
static uint8_t kernel_state(uint32_t state)
{
	static const uint8_t map[] = { 7, 10, 2, 3, 1, 8, 4, 11, 9, 5, 6 };

	return state < MG_ARRAY_SIZE(map) ? map[state] : 0;
}

/* Of the headers of a full segment. */
static uint32_t headers_of(const struct mg_ctl_conn_info *info)
{
	return (mg_addr_is_v4(&info->tuple.raddr) ? 40u : 60u) +
	       ((info->opts & MG_SEG_OPT_TS) != 0 ? 12u : 0u);
}

static void fill_info(struct tcp_info *to, const struct mg_ctl_conn_info *from)
{
	uint32_t mss = from->mss != 0 ? from->mss : 1;

	to->tcpi_state = kernel_state(from->state);
	to->tcpi_snd_wscale = from->snd_wscale & 0xfu;
	to->tcpi_rcv_wscale = from->rcv_wscale & 0xfu;
	to->tcpi_rto = from->rto_us;
	to->tcpi_ato = 40000;
	to->tcpi_snd_mss = from->mss;
	to->tcpi_rcv_mss = from->mss;
	to->tcpi_unacked = from->inflight_bytes / mss + (from->inflight_bytes % mss != 0);
	to->tcpi_pmtu = from->mss + headers_of(from);
	to->tcpi_options = (uint8_t)(((from->opts & MG_SEG_OPT_TS) != 0 ? TCPI_OPT_TIMESTAMPS : 0) |
				     ((from->opts & MG_SEG_OPT_SACK_PERM) != 0 ? TCPI_OPT_SACK
									       : 0) |
				     ((from->opts & MG_SEG_OPT_WS) != 0 ? TCPI_OPT_WSCALE : 0) |
				     ((from->opts & MG_SEG_OPT_TFO) != 0 ? TCPI_OPT_SYN_DATA : 0) |
				     (from->ecn != 0 ? TCPI_OPT_ECN : 0));
	to->tcpi_rtt = from->srtt_us;
	to->tcpi_min_rtt = from->srtt_us;
	to->tcpi_rttvar = from->rttvar_us;
	to->tcpi_snd_ssthresh = from->ssthresh_bytes / mss;
	to->tcpi_snd_cwnd = from->cwnd_bytes / mss;
	to->tcpi_advmss = from->mss;
	to->tcpi_rcv_space = from->rcv_wnd_bytes;
	to->tcpi_total_retrans = from->retrans;
	to->tcpi_pacing_rate = from->pacing_Bps;
	to->tcpi_bytes_acked = from->acked_bytes;
	to->tcpi_bytes_received = from->rx_bytes;
	to->tcpi_bytes_sent = from->tx_bytes;
}

static int get_mtu(struct mg_sock *s, const struct mg_sockopt *opt)
{
	struct mg_ctl_opt answer;
	int err = request_option(s, MG_CTL_TCP_GET_OPTION, MG_CTL_OPT_INFO, &answer);

	return err < 0 ? -ENOTCONN
		       : put_int(opt, (int)(answer.info.mss + headers_of(&answer.info)));
}

static int get_info(struct mg_sock *s, const struct mg_sockopt *opt)
{
	struct tcp_info info = { 0 };
	struct mg_ctl_opt answer;
	int err = request_option(s, MG_CTL_TCP_GET_OPTION, MG_CTL_OPT_INFO, &answer);

	if (err == 0)
		fill_info(&info, &answer.info);
	else
		info.tcpi_state = kernel_state(0); /* gone: closed */
	return put_bytes(opt, &info, sizeof(info));
}

static int get_congestion(struct mg_sock *s, const struct mg_sockopt *opt)
{
	struct mg_ctl_opt answer;
	int err = request_option(s, MG_CTL_TCP_GET_OPTION, MG_CTL_OPT_CONGESTION, &answer);

	return err < 0 ? TO_LIBC : put_bytes(opt, answer.text, sizeof(answer.text));
}

/* What the holder of a connection cannot know. */
static int get_conn(struct mg_sock *s, const struct mg_sockopt *opt)
{
	if (opt->level == SOL_SOCKET && opt->name == SO_ERROR)
		return put_int(opt, mg_sock_take_error(s));
	if (opt->level == IPPROTO_TCP) {
		if (opt->name == TCP_INFO)
			return get_info(s, opt);
		if (opt->name == TCP_MAXSEG)
			return put_int(opt, (int)s->conn->w.shm->mss);
		if (opt->name == TCP_CONGESTION)
			return get_congestion(s, opt);
	}
	if ((opt->level == IPPROTO_IP && opt->name == IP_MTU) ||
	    (opt->level == IPPROTO_IPV6 && opt->name == IPV6_MTU))
		return get_mtu(s, opt);
	return TO_LIBC;
}

int mg_sock_getsockopt(int fd, struct mg_sock *s, const struct mg_sockopt *opt)
{
	int err = TO_LIBC;

	if (mg_sock_kind(s) == MG_SOCK_KERNEL)
		return TO_LIBC;
	pthread_mutex_lock(&s->lock);
	replay(mg_sock_holder(s, fd), s);
	if (mg_sock_kind(s) == MG_SOCK_CONN && opt->val != NULL && opt->len != NULL)
		err = get_conn(s, opt);
	if (err == TO_LIBC && s->shadow >= 0) /* behind the number is a guard */
		err = (int)mg_sys(SYS_getsockopt, s->shadow, opt->level, opt->name, opt->val,
				  opt->len);
	pthread_mutex_unlock(&s->lock);
	return err;
}
