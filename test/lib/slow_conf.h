/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_conf.h - what the tests' slow paths have in common: TCP as the daemon's defaults have it.
 *
 * Use:     struct mg_slow_conf c = test_slow_conf(); then the buffers, the algorithm and what the test is about.
 */
#ifndef MG_TEST_SLOW_CONF_H
#define MG_TEST_SLOW_CONF_H
#include "slowpath/core/slow.h"

static inline struct mg_slow_conf test_slow_conf(void)
{
	return (struct mg_slow_conf){
		.window_scale = 8,
		.timestamps = true,
		.sack = true,
		.nagle = true,
		.pacing = true,
		.syn_cookies = true,
		.ttl = 64,
		.syn_retries = 6,
		.synack_retries = 5,
		.retries = 15,
		.initial_cwnd_segments = 10,
		.rto_initial_ms = 1000,
		.pmtu_min = 552,
		.pmtu_expire_s = 600,
		.base_mss = 1024,
		.mtu_probing = MG_MTU_PROBING_BLACK_HOLE,
		.rto_min_ms = 200,
		.rto_max_ms = 120000,
		.delayed_ack_ms = 40,
		.keepalive_idle_ms = 7200000,
		.keepalive_interval_ms = 75000,
		.time_wait_ms = 60000,
		.fin_timeout_ms = 60000,
		.ephemeral_first = 32768,
		.ephemeral_last = 60999,
		.arp_reachable_ms = 30000,
		.arp_retry_ms = 1000,
		.arp_retries = 3,
		.arp_gratuitous = true,
		.challenge_ack_per_s = 1000,
	};
}
#endif
