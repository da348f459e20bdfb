/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.c - mango_socket_set_option() and mango_socket_get_option().
 *
 * Idea:    one table: each option is a level and a name with a function to set and one to get it; those that
 *          the daemon keeps share their functions and differ by enum mg_ctl_option. What is set before there is
 *          a connection is remembered in struct mg_sockopts and applied when it begins.
 */
#include <errno.h>
#include <linux/tcp.h> /* the whole struct tcp_info, which netinet/tcp.h lacks */
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* linux/tcp.h and netinet/tcp.h exclude each other. */
#define _NETINET_TCP_H 1
#include "libclient/mango/handle.h"
#include "proto/wire/seg.h"

struct opt_def;

/* A value on its way: `len` bytes at `p`. */
struct opt_value {
	void *p;
	socklen_t len;
};

typedef int opt_fn(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v);

struct opt_def {
	int level;
	int name;
	opt_fn *set; /* NULL: cannot be set */
	opt_fn *get;
	int arg; /* of the functions */
	int min;
	int max;
};

static int read_int(const struct opt_value *v, int *ret)
{
	if (v->len < sizeof(*ret))
		return -EINVAL;
	memcpy(ret, v->p, sizeof(*ret));
	return 0;
}

/* As the kernel does: cuts to the room there is. */
static int write_bytes(struct opt_value *v, const void *from, size_t len)
{
	v->len = v->len < len ? v->len : (socklen_t)len;
	memcpy(v->p, from, v->len);
	return 0;
}

static int write_int(struct opt_value *v, int value)
{
	return write_bytes(v, &value, sizeof(value));
}

/* Flags and sizes that live in struct mg_sockopts, named by these. */
enum {
	LOCAL_REUSEADDR,
	LOCAL_REUSEPORT,
	LOCAL_V6ONLY,
	LOCAL_NODELAY,
	LOCAL_CORK,
	LOCAL_QUICKACK,
	LOCAL_FASTOPEN_CONNECT,
	LOCAL_RCVBUF,
	LOCAL_SNDBUF
};

static bool *flag_of(struct mg_sockopts *o, int which)
{
	switch (which) {
	case LOCAL_REUSEADDR:
		return &o->reuseaddr;
	case LOCAL_REUSEPORT:
		return &o->reuseport;
	case LOCAL_V6ONLY:
		return &o->v6only;
	case LOCAL_NODELAY:
		return &o->nodelay;
	case LOCAL_CORK:
		return &o->cork;
	case LOCAL_FASTOPEN_CONNECT:
		return &o->fastopen_connect;
	default:
		return NULL;
	}
}

/* The window's bit of a flag that the worker obeys; 0: none. */
static uint32_t aflag_of(int which)
{
	switch (which) {
	case LOCAL_NODELAY:
		return MG_SHM_AF_NODELAY;
	case LOCAL_CORK:
		return MG_SHM_AF_CORK;
	case LOCAL_QUICKACK:
		return MG_SHM_AF_QUICKACK;
	default:
		return 0;
	}
}

static int set_flag(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	bool connected = sock->kind == MG_SOCK_CONN;
	bool *flag = flag_of(&sock->opts, def->arg);
	uint32_t aflag = aflag_of(def->arg);
	int value, err = read_int(v, &value);

	if (err < 0)
		return err;
	if (flag != NULL)
		*flag = value != 0;
	if (aflag != 0 && connected)
		mg_conn_set_flag(sock->conn, aflag, value != 0);
	return 0;
}

static int get_flag(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	bool connected = sock->kind == MG_SOCK_CONN;
	bool *flag = flag_of(&sock->opts, def->arg);
	uint32_t aflag = aflag_of(def->arg);

	if (flag != NULL)
		return write_int(v, *flag);
	return write_int(v, connected && (atomic_load_explicit(&sock->conn->w.shm->a_flags,
							       memory_order_relaxed) &
					  aflag) != 0);
}

static int set_size(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	int value, err = read_int(v, &value);

	if (err < 0)
		return err;
	if (value < 0)
		return -EINVAL;
	/* The rings of a connection are what they are; the kernel accepts a call without effect as well. */
	if (def->arg == LOCAL_RCVBUF)
		sock->opts.rcvbuf = (uint32_t)value;
	else
		sock->opts.sndbuf = (uint32_t)value;
	return 0;
}

static int get_size(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	bool is_rx = def->arg == LOCAL_RCVBUF;

	if (sock->kind == MG_SOCK_CONN)
		return write_int(v, (int)(is_rx ? mg_window_rx_bytes(&sock->conn->w)
						: mg_window_tx_bytes(&sock->conn->w)));
	return write_int(v, (int)(is_rx ? sock->opts.rcvbuf : sock->opts.sndbuf));
}

static int64_t *timeout_of(struct mg_sockopts *o, int name)
{
	return name == SO_RCVTIMEO ? &o->rcvtimeo_us : &o->sndtimeo_us;
}

static int set_timeout(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	struct timeval tv;

	if (v->len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, v->p, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000 || tv.tv_sec < 0 || tv.tv_sec > INT32_MAX)
		return -EDOM;
	*timeout_of(&sock->opts, def->name) = (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
	return 0;
}

static int get_timeout(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	int64_t us = *timeout_of(&sock->opts, def->name);
	struct timeval tv = { us / 1000000, us % 1000000 };

	return write_bytes(v, &tv, sizeof(tv));
}

static int set_linger(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	struct linger l;

	(void)def; /* the only one of its kind */
	if (v->len < sizeof(l))
		return -EINVAL;
	memcpy(&l, v->p, sizeof(l));
	sock->opts.linger_on = l.l_onoff != 0;
	sock->opts.linger_s = l.l_linger < 0 ? INT32_MAX : l.l_linger;
	return 0;
}

static int get_linger(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	struct linger l = { sock->opts.linger_on, sock->opts.linger_s };

	(void)def; /* the only one of its kind */
	return write_bytes(v, &l, sizeof(l));
}

/* Options that the daemon keeps. Values over the wire: KEEPALIVE 0/1, seconds, counts, ms, text. */

static void fill_opt(const struct mg_socket *sock, struct mg_ctl_opt *item, uint32_t option)
{
	item->window = sock->kind == MG_SOCK_CONN ? sock->conn->w.index : MG_CTL_WINDOW_NONE;
	item->gen = sock->kind == MG_SOCK_CONN ? sock->conn->w.gen : 0;
	item->option = option;
	item->value = sock->opts.daemon_value[option];
	if (option == MG_CTL_OPT_CONGESTION)
		memcpy(item->text, sock->opts.congestion, sizeof(item->text));
}

static int request_set(struct mg_socket *sock, uint32_t option)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_SET_OPTION, 1);
	int err;

	if (msg == NULL)
		return -ENOMEM;
	fill_opt(sock, &msg->opt[0], option);
	err = mg_client_request(sock->tcp->ctx->client, msg);
	if (err == 0 && msg->hdr.count == 1 && msg->opt[0].status < 0)
		err = msg->opt[0].status;
	free(msg);
	return err;
}

int mg_option_apply(struct mg_socket *sock)
{
	struct mg_ctl_msg *msg;
	uint32_t set = sock->opts.daemon_set, n = 0;
	int err;

	if (set == 0)
		return 0;
	msg = mg_client_msg(MG_CTL_TCP_SET_OPTION, (uint32_t)__builtin_popcount(set));
	if (msg == NULL)
		return -ENOMEM;
	for (uint32_t option = 0; option < MG_ARRAY_SIZE(sock->opts.daemon_value); option++) {
		if (set & 1u << option)
			fill_opt(sock, &msg->opt[n++], option);
	}
	/* What the next segment has to show is waited for; the rest takes effect soon. */
	if (set & (1u << MG_CTL_OPT_TTL | 1u << MG_CTL_OPT_TOS))
		err = mg_client_request(sock->tcp->ctx->client, msg);
	else
		err = mg_client_send(sock->tcp->ctx->client, msg);
	free(msg);
	return err;
}

/* What a listener's SYN-ACKs show as well. */
static int set_listener(struct mg_socket *sock, uint32_t option)
{
	int32_t value = sock->opts.daemon_value[option];

	if (option == MG_CTL_OPT_TTL)
		return mg_lst_set_option(sock->lst, MG_CTL_OPT_LISTEN_TTL, value);
	if (option == MG_CTL_OPT_TOS)
		return mg_lst_set_option(sock->lst, MG_CTL_OPT_LISTEN_TOS, value);
	return 0;
}

/* Of a listener only: its connections are not asked for it. */
static int set_defer(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	int value, err = read_int(v, &value);

	if (err < 0)
		return err;
	value = value < 0 ? 0 : value;
	sock->opts.daemon_value[def->arg] = value;
	return sock->kind == MG_SOCK_LISTENER
		       ? mg_lst_set_option(sock->lst, (uint32_t)def->arg, value)
		       : 0;
}

static int get_defer(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	return write_int(v, sock->opts.daemon_value[def->arg]);
}

static int remember(struct mg_socket *sock, uint32_t option)
{
	sock->opts.daemon_set |= 1u << option;
	if (sock->kind == MG_SOCK_LISTENER)
		return set_listener(sock, option);
	return sock->kind == MG_SOCK_CONN ? request_set(sock, option) : 0;
}

static int set_daemon(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	int value, err = read_int(v, &value);

	if (err < 0)
		return err;
	if (def->max == 1)
		value = value != 0;
	if (value < def->min || value > def->max)
		return -EINVAL;
	sock->opts.daemon_value[def->arg] = value;
	return remember(sock, (uint32_t)def->arg);
}

/* Of IPv6: -1 takes back what was set; a connection that has begun keeps what it has. */
static int set_daemon6(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	int value, err = read_int(v, &value);

	if (err < 0)
		return err;
	if (value != -1)
		return set_daemon(sock, def, v);
	sock->opts.daemon_set &= ~(1u << def->arg);
	sock->opts.daemon_value[def->arg] = 0;
	return 0;
}

/* RFC 3493 5.3: before the socket is bound, whose meaning it changes. */
static int set_v6only(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	if (sock->kind != MG_SOCK_NEW || sock->is_bound)
		return -EINVAL;
	return set_flag(sock, def, v);
}

static int request_get(struct mg_socket *sock, uint32_t option, struct mg_ctl_opt *ret_opt)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_GET_OPTION, 1);
	int err;

	if (msg == NULL)
		return -ENOMEM;
	fill_opt(sock, &msg->opt[0], option);
	err = mg_client_request(sock->tcp->ctx->client, msg);
	if (err == 0 && msg->hdr.count != 1)
		err = -EPROTO;
	if (err == 0)
		err = msg->opt[0].status <= 0 ? msg->opt[0].status : -EPROTO;
	*ret_opt = msg->opt[0];
	free(msg);
	return err;
}

static int get_daemon(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	struct mg_ctl_opt opt;
	int err;

	if (sock->kind != MG_SOCK_CONN)
		return write_int(v, sock->opts.daemon_value[def->arg]);
	err = request_get(sock, (uint32_t)def->arg, &opt);
	return err < 0 ? err : write_int(v, (int)opt.value);
}

static int set_congestion(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	size_t len = strnlen(v->p, v->len);
	char before[sizeof(sock->opts.congestion)];
	int err;

	(void)def; /* the only one of its kind */
	if (len == 0 || len >= sizeof(sock->opts.congestion))
		return -EINVAL;
	memcpy(before, sock->opts.congestion, sizeof(before));
	memset(sock->opts.congestion, 0, sizeof(sock->opts.congestion));
	memcpy(sock->opts.congestion, v->p, len);
	err = request_set(sock,
			  MG_CTL_OPT_CONGESTION); /* before the connection: is there such a one? */
	if (err < 0)
		memcpy(sock->opts.congestion, before, sizeof(before));
	else
		sock->opts.daemon_set |= 1u << MG_CTL_OPT_CONGESTION;
	return err;
}

static int get_congestion(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	struct mg_ctl_opt opt;
	int err;

	(void)def; /* the only one of its kind */
	if (sock->kind != MG_SOCK_CONN && sock->opts.congestion[0] != '\0')
		return write_bytes(v, sock->opts.congestion, sizeof(sock->opts.congestion));
	err = request_get(sock, MG_CTL_OPT_CONGESTION, &opt);
	return err < 0 ? err : write_bytes(v, opt.text, sizeof(opt.text));
}

static int get_error(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	int err = 0;

	(void)def; /* the only one of its kind */
	if (sock->kind == MG_SOCK_CONN) {
		err = mg_conn_status(sock->conn);
		err = err == -EINPROGRESS || err == -ENOTCONN ? 0 : err;
		if (err == 0 && mg_window_state(&sock->conn->w) != MG_SHM_ST_CONNECTING)
			sock->is_connecting = false;
	} else if (sock->kind == MG_SOCK_LISTENER) {
		err = mg_client_is_dead(sock->tcp->ctx->client) ? -ECONNRESET : 0;
	}
	if (sock->error == -err)
		return write_int(v, 0); /* was told */
	sock->error = -err;
	return write_int(v, -err);
}

static int get_constant(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	(void)sock; /* the same for all */
	return write_int(v, def->arg);
}

static int get_domain(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	(void)def; /* the only one of its kind */
	return write_int(v, sock->family);
}

static int get_acceptconn(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	(void)def; /* the only one of its kind */
	return write_int(v, sock->kind == MG_SOCK_LISTENER);
}

/* enum mg_tcp_state (RFC 9293's order) to the kernel's numbers. */
static uint8_t kernel_state(uint32_t state)
{
	static const uint8_t map[] = { 7, 10, 2, 3, 1, 8, 4, 11, 9, 5, 6 };

	return state < MG_ARRAY_SIZE(map) ? map[state] : 0;
}

/* What the handshake agreed on, in the kernel's bits. */
static uint8_t kernel_options(const struct mg_ctl_conn_info *from)
{
	return (uint8_t)((from->opts & MG_SEG_OPT_TS ? TCPI_OPT_TIMESTAMPS : 0) |
			 (from->opts & MG_SEG_OPT_SACK_PERM ? TCPI_OPT_SACK : 0) |
			 (from->opts & MG_SEG_OPT_WS ? TCPI_OPT_WSCALE : 0) |
			 (from->opts & MG_SEG_OPT_TFO ? TCPI_OPT_SYN_DATA : 0) |
			 (from->ecn != 0 ? TCPI_OPT_ECN : 0));
}

static void fill_info(struct tcp_info *to, const struct mg_ctl_conn_info *from)
{
	uint32_t mss = from->mss != 0 ? from->mss : 1;

	memset(to, 0, sizeof(*to));
	to->tcpi_state = kernel_state(from->state);
	to->tcpi_options = kernel_options(from);
	to->tcpi_snd_wscale = from->snd_wscale & 0xfu;
	to->tcpi_rcv_wscale = from->rcv_wscale & 0xfu;
	to->tcpi_rto = from->rto_us;
	to->tcpi_snd_mss = from->mss;
	to->tcpi_rcv_mss = from->mss;
	to->tcpi_unacked = from->inflight_bytes / mss + (from->inflight_bytes % mss != 0);
	to->tcpi_rtt = from->srtt_us;
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

static int get_info(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	struct mg_ctl_opt opt;
	struct tcp_info info;
	int err;

	(void)def; /* the only one of its kind */
	if (sock->kind != MG_SOCK_CONN) {
		memset(&info, 0, sizeof(info));
		info.tcpi_state = kernel_state(sock->kind == MG_SOCK_LISTENER ? 1 : 0);
		return write_bytes(v, &info, sizeof(info));
	}
	err = request_get(sock, MG_CTL_OPT_INFO, &opt);
	if (err < 0)
		return err;
	fill_info(&info, &opt.info);
	return write_bytes(v, &info, sizeof(info));
}

static int get_maxseg(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	return write_int(v, sock->kind == MG_SOCK_CONN ? (int)sock->conn->w.shm->mss
						       : sock->opts.daemon_value[def->arg]);
}

/* TCP_FASTOPEN of a listener, before or after listen(); connections know nothing of it. */
static int set_fastopen(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	int value, err = read_int(v, &value);

	(void)def; /* the only one of its kind */
	if (err < 0)
		return err;
	if (value < 0 || sock->kind == MG_SOCK_CONN)
		return -EINVAL;
	sock->opts.fastopen = value;
	if (sock->kind != MG_SOCK_LISTENER)
		return 0;
	return mg_lst_set_option(sock->lst, MG_CTL_OPT_LISTEN_FASTOPEN, (uint32_t)value);
}

static int get_fastopen(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	(void)def; /* the only one of its kind */
	return write_int(v, sock->opts.fastopen);
}

static int set_no_cookie(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	int value, err = read_int(v, &value);

	(void)def; /* the only one of its kind */
	if (err < 0)
		return err;
	if (value < 0 || value > 1 || sock->kind == MG_SOCK_CONN)
		return -EINVAL;
	sock->opts.fastopen_no_cookie = value != 0;
	if (sock->kind != MG_SOCK_LISTENER)
		return 0;
	return mg_lst_set_option(sock->lst, MG_CTL_OPT_LISTEN_FASTOPEN_NO_COOKIE, (uint32_t)value);
}

static int get_no_cookie(struct mg_socket *sock, const struct opt_def *def, struct opt_value *v)
{
	(void)def; /* the only one of its kind */
	return write_int(v, sock->opts.fastopen_no_cookie);
}

static const struct opt_def defs[] = {
	{ SOL_SOCKET, SO_REUSEADDR, set_flag, get_flag, LOCAL_REUSEADDR, 0, 0 },
	{ SOL_SOCKET, SO_REUSEPORT, set_flag, get_flag, LOCAL_REUSEPORT, 0, 0 },
	{ SOL_SOCKET, SO_RCVBUF, set_size, get_size, LOCAL_RCVBUF, 0, 0 },
	{ SOL_SOCKET, SO_SNDBUF, set_size, get_size, LOCAL_SNDBUF, 0, 0 },
	{ SOL_SOCKET, SO_RCVTIMEO, set_timeout, get_timeout, 0, 0, 0 },
	{ SOL_SOCKET, SO_SNDTIMEO, set_timeout, get_timeout, 0, 0, 0 },
	{ SOL_SOCKET, SO_LINGER, set_linger, get_linger, 0, 0, 0 },
	{ SOL_SOCKET, SO_KEEPALIVE, set_daemon, get_daemon, MG_CTL_OPT_KEEPALIVE, 0, 1 },
	{ SOL_SOCKET, SO_ERROR, NULL, get_error, 0, 0, 0 },
	{ SOL_SOCKET, SO_TYPE, NULL, get_constant, SOCK_STREAM, 0, 0 },
	{ SOL_SOCKET, SO_PROTOCOL, NULL, get_constant, IPPROTO_TCP, 0, 0 },
	{ SOL_SOCKET, SO_DOMAIN, NULL, get_domain, 0, 0, 0 },
	{ SOL_SOCKET, SO_ACCEPTCONN, NULL, get_acceptconn, 0, 0, 0 },
	{ IPPROTO_TCP, TCP_NODELAY, set_flag, get_flag, LOCAL_NODELAY, 0, 0 },
	{ IPPROTO_TCP, TCP_CORK, set_flag, get_flag, LOCAL_CORK, 0, 0 },
	{ IPPROTO_TCP, TCP_QUICKACK, set_flag, get_flag, LOCAL_QUICKACK, 0, 0 },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, set_defer, get_defer, MG_CTL_OPT_LISTEN_DEFER_S, 0, 0 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, set_daemon, get_daemon, MG_CTL_OPT_KEEPIDLE_S, 1, 32767 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, set_daemon, get_daemon, MG_CTL_OPT_KEEPINTVL_S, 1, 32767 },
	{ IPPROTO_TCP, TCP_KEEPCNT, set_daemon, get_daemon, MG_CTL_OPT_KEEPCNT, 1, 127 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, set_daemon, get_daemon, MG_CTL_OPT_USER_TIMEOUT_MS, 0,
	  INT32_MAX },
	{ IPPROTO_TCP, TCP_MAXSEG, set_daemon, get_maxseg, MG_CTL_OPT_MAXSEG, 88, 32767 },
	{ IPPROTO_TCP, TCP_CONGESTION, set_congestion, get_congestion, 0, 0, 0 },
	{ IPPROTO_TCP, MANGO_TCP_SOFT_ERROR, NULL, get_daemon, MG_CTL_OPT_SOFT_ERROR, 0, 0 },
	{ IPPROTO_TCP, TCP_FASTOPEN, set_fastopen, get_fastopen, 0, 0, 0 },
	{ IPPROTO_TCP, TCP_FASTOPEN_CONNECT, set_flag, get_flag, LOCAL_FASTOPEN_CONNECT, 0, 0 },
	{ IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, set_no_cookie, get_no_cookie, 0, 0, 0 },
	{ IPPROTO_TCP, TCP_INFO, NULL, get_info, 0, 0, 0 },
	{ IPPROTO_IP, IP_TOS, set_daemon, get_daemon, MG_CTL_OPT_TOS, 0, 255 },
	{ IPPROTO_IP, IP_TTL, set_daemon, get_daemon, MG_CTL_OPT_TTL, 1, 255 },
	{ IPPROTO_IPV6, IPV6_V6ONLY, set_v6only, get_flag, LOCAL_V6ONLY, 0, 0 },
	{ IPPROTO_IPV6, IPV6_TCLASS, set_daemon6, get_daemon, MG_CTL_OPT_TOS, 0, 255 },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, set_daemon6, get_daemon, MG_CTL_OPT_TTL, 1, 255 },
};

static const struct opt_def *find(int level, int name)
{
	for (size_t i = 0; i < MG_ARRAY_SIZE(defs); i++) {
		if (defs[i].level == level && defs[i].name == name)
			return &defs[i];
	}
	return NULL;
}

mango_status_e mango_socket_set_option(mango_socket_h h, int level, int name, const void *val,
				       socklen_t len)
{
	struct mg_socket *sock = mg_socket_of(h);
	const struct opt_def *def = find(level, name);
	struct opt_value v = { (void *)(uintptr_t)val, len };

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (def == NULL || def->set == NULL)
		return -ENOPROTOOPT;
	if (val == NULL)
		return -EFAULT;
	return def->set(sock, def, &v);
}

mango_status_e mango_socket_get_option(mango_socket_h h, int level, int name, void *ret_val,
				       socklen_t *len)
{
	struct mg_socket *sock = mg_socket_of(h);
	const struct opt_def *def = find(level, name);
	struct opt_value v;
	int err;

	if (sock == NULL || sock->kind == MG_SOCK_CLOSED)
		return -EBADF;
	if (def == NULL)
		return -ENOPROTOOPT;
	if (ret_val == NULL || len == NULL)
		return -EFAULT;
	v = (struct opt_value){ ret_val, *len };
	err = def->get(sock, def, &v);
	if (err == 0)
		*len = v.len;
	return err;
}
