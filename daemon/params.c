/* SPDX-License-Identifier: Apache-2.0 */
/*
 * params.c - see params.h.
 */
#include "daemon/params.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "proto/base/bits.h"

#define WSCALE_NONE 0xff
#define ARP_QUEUE_MAX 4096
#define APPS_SPARE 16 /* regions on their way out while new ones come in */
#define TXRECS_PER_FLOW 8
#define TXRECS_MIN 65536u
#define OOO_PER_FLOW 2
#define OOO_MIN 16384u

int mg_params_secrets(struct mg_secrets *ret_secrets)
{
	return getrandom(ret_secrets, sizeof(*ret_secrets), 0) == (ssize_t)sizeof(*ret_secrets)
		       ? 0
		       : -EIO;
}

static void set_timers(const struct mg_conf *conf, struct mg_slow_conf *tcp)
{
	tcp->rto_initial_ms = conf->tcp.rto_initial_ms;
	tcp->rto_min_ms = conf->tcp.rto_min_ms;
	tcp->rto_max_ms = conf->tcp.rto_max_ms;
	tcp->delayed_ack_ms = conf->tcp.delayed_ack_ms;
	tcp->keepalive_idle_ms = conf->tcp.keepalive_idle_s * 1000;
	tcp->keepalive_interval_ms = conf->tcp.keepalive_interval_s * 1000;
	tcp->keepalive_count = (uint8_t)conf->tcp.keepalive_count;
	tcp->user_timeout_ms = conf->tcp.user_timeout_ms;
	tcp->time_wait_ms = conf->tcp.time_wait_ms;
	tcp->fin_timeout_ms = conf->tcp.fin_timeout_ms;
	tcp->syn_retries = (uint8_t)conf->tcp.syn_retries;
	tcp->synack_retries = (uint8_t)conf->tcp.synack_retries;
	tcp->retries = conf->tcp.retries2;
	tcp->arp_reachable_ms = conf->arp.age_ms;
	tcp->arp_retry_ms = conf->arp.retry_ms;
}

static uint8_t hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0');
	return (uint8_t)((c | 0x20) - 'a' + 10);
}

/* Empty, or 32 digits: the schema's checks have seen to that. */
static void set_fastopen_key(const struct mg_conf *conf, struct mg_slow_conf *tcp)
{
	const char *text = conf->tcp.fastopen_key;

	tcp->fastopen_has_key = text[0] != '\0';
	for (uint32_t i = 0; i < sizeof(tcp->fastopen_key) && tcp->fastopen_has_key; i++)
		tcp->fastopen_key[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 |
						 hex_digit(text[2 * i + 1]));
}

void mg_params_tcp(const struct mg_conf *conf, struct mg_slow_conf *ret_tcp)
{
	struct mg_slow_conf tcp = {
		.mss = conf->tcp.mss,
		.window_scale = conf->tcp.window_scale == 0 ? WSCALE_NONE
							    : (uint8_t)conf->tcp.window_scale,
		.timestamps = conf->tcp.timestamps,
		.sack = conf->tcp.sack,
		.ecn = (uint8_t)conf->tcp.ecn, /* same order */
		.ecn_abe = conf->tcp.ecn_abe,
		.ecn_everywhere = conf->tcp.ecn_everywhere,
		.idle_restart = conf->tcp.slow_start_after_idle,
		.nagle = conf->tcp.nagle,
		.loopback = conf->tcp.loopback,
		.pacing = conf->tcp.pacing,
		.fastopen = conf->tcp.fastopen,
		.fastopen_queue_max = conf->tcp.fastopen_queue_max,
		.fastopen_key_life_s = conf->tcp.fastopen_key_life_s,
		.syn_cookies = conf->tcp.syn_cookies != MG_CONF_COOKIES_OFF,
		.syn_cookies_always = conf->tcp.syn_cookies == MG_CONF_COOKIES_ALWAYS,
		.keepalive = conf->tcp.keepalive,
		.ttl = (uint8_t)conf->ip.ttl,
		.dscp = (uint8_t)conf->ip.dscp,
		.initial_cwnd_segments = conf->tcp.initial_cwnd_segments,
		.orphans_max = conf->tcp.orphans_max,
		.autotune = conf->tcp.autotune,
		.autotune_idle_ms = conf->tcp.autotune_idle_ms,
		.rcvbuf_bytes = conf->tcp.rcvbuf_bytes,
		.rcvbuf_max_bytes = conf->tcp.rcvbuf_max_bytes,
		.sndbuf_bytes = conf->tcp.sndbuf_bytes,
		.sndbuf_max_bytes = conf->tcp.sndbuf_max_bytes,
		.ephemeral_first = (uint16_t)conf->tcp.port_min,
		.ephemeral_last = (uint16_t)conf->tcp.port_max,
		.challenge_ack_per_s = conf->tcp.challenge_ack_limit,
		.arp_retries = conf->arp.retries,
		.pmtu_min = conf->ip.pmtu_min,
		.pmtu_expire_s = conf->ip.pmtu_expire_s,
		.base_mss = (uint16_t)conf->tcp.base_mss,
		.mtu_probing = (uint8_t)conf->tcp.mtu_probing,
		.arp_gratuitous = conf->arp.gratuitous,
		.dad_ms = conf->nd.dad_ms,
	};

	set_timers(conf, &tcp);
	set_fastopen_key(conf, &tcp);
	/* Names of algorithms are short; the schema knows them all. */
	(void)mg_conf_get(conf, "tcp.congestion_control", tcp.congestion_control,
			  sizeof(tcp.congestion_control), NULL);
	*ret_tcp = tcp;
}

/* The largest limits that any row of the access list gives. */
static void app_limits(const struct mg_conf *conf, uint32_t *ret_connections, uint64_t *ret_bytes)
{
	uint32_t connections = conf->app.connections_max;
	uint64_t bytes = conf->app.region_bytes;

	for (uint32_t i = 0; i < conf->access_count; i++) {
		connections = mg_max_u32(connections, conf->access[i].connections_max);
		if (conf->access[i].region_bytes > bytes)
			bytes = conf->access[i].region_bytes;
	}
	*ret_connections = connections;
	*ret_bytes = bytes;
}

void mg_params_limits(const struct mg_conf *conf, const struct mg_secrets *secrets,
		      struct mg_slow_limits *ret_limits)
{
	uint32_t arp_queue = conf->arp.entries_max * conf->arp.queue_packets;
	struct mg_slow_limits limits = {
		.nr_workers = conf->fastpath.workers,
		.conns_max = mg_pow2_up_u32(conf->tcp.connections_max),
		.listeners_max = conf->tcp.listeners_max,
		.embryos_max = conf->tcp.embryos_max,
		.time_waits_max = conf->tcp.time_wait_max,
		.frags_max = conf->ip.fragments_max,
		.neighbours_max = conf->arp.entries_max,
		.arp_queue_max = mg_min_u32(arp_queue, ARP_QUEUE_MAX),
		.arp_queue_each_max = conf->arp.queue_packets,
		.apps_max = conf->app.sessions_max + APPS_SPARE,
		.hash_seed = secrets->hash_seed,
	};
	uint32_t connections;

	app_limits(conf, &connections, &limits.app_payload_bytes_max);
	limits.app_windows_max = mg_pow2_up_u32(connections);
	memcpy(limits.secret, secrets->slow, sizeof(limits.secret));
	*ret_limits = limits;
}

void mg_params_fp(const struct mg_conf *conf, const struct mg_slow_limits *limits,
		  struct mg_fp_conf *ret_fp)
{
	/* Hashing spreads flows unevenly; a worker may get twice its share. */
	uint32_t share = limits->nr_workers == 1 ? limits->conns_max
						 : 2 * limits->conns_max / limits->nr_workers;

	*ret_fp = (struct mg_fp_conf){
		.flows_max = limits->conns_max,
		.flows_local_max = mg_min_u32(share, limits->conns_max),
		.txrecs_max = mg_max_u32(TXRECS_PER_FLOW * share, TXRECS_MIN),
		.ooo_max = mg_max_u32(OOO_PER_FLOW * share, OOO_MIN),
		.apps_max = limits->apps_max,
		.challenge_ack_per_s = conf->tcp.challenge_ack_limit,
		.hash_seed = limits->hash_seed,
	};
}

enum mg_log_level mg_params_log_level(const struct mg_conf *conf)
{
	switch (conf->log.level) {
	case MG_CONF_LOG_ERROR:
		return MG_LOG_ERROR;
	case MG_CONF_LOG_WARN:
		return MG_LOG_WARN;
	case MG_CONF_LOG_INFO:
		return MG_LOG_INFO;
	case MG_CONF_LOG_DEBUG:
		break;
	}
	return MG_LOG_DEBUG;
}
