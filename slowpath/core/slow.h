/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow.h - the slow path's core: everything of TCP/IP that is rare or slow, without I/O.
 *
 * Idea:    one engine owns connections (the state machine of RFC 9293 3.3.2), embryos, listeners, the
 *          TIME-WAIT table, neighbours, routes, local ports, congestion control, and the windows and payload
 *          rings of the app regions. Events of the workers, requests of the control thread and the clock go
 *          in; commands, packets, replies and application notifications come out through `struct mg_slow_env`.
 *          It never reads a clock, blocks or logs.
 * Use:     1. mg_slow_event() for each record of each worker, mg_slow_request() for each control request
 *          2. mg_slow_timers()   3. mg_slow_flush()   4. come back at mg_slow_next_ns() or when more comes.
 * Threads: one (its own, or worker 0 when inline).
 * Memory:  all from mg_slow_init()'s caller, sized by mg_slow_bytes(); none is taken later.
 */
#ifndef MG_SLOW_H
#define MG_SLOW_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ctl/ctl.h"
#include "proto/path/app.h"
#include "proto/path/msg.h"

struct mg_slow;

/* RFC 9293 figure 5, in an order that makes comparisons mean something. */
enum mg_tcp_state {
	MG_TCP_CLOSED = 0,
	MG_TCP_LISTEN,
	MG_TCP_SYN_SENT,
	MG_TCP_SYN_RECEIVED,
	MG_TCP_ESTABLISHED,
	MG_TCP_CLOSE_WAIT,
	MG_TCP_FIN_WAIT_1,
	MG_TCP_CLOSING,
	MG_TCP_LAST_ACK,
	MG_TCP_FIN_WAIT_2,
	MG_TCP_TIME_WAIT,
	MG_TCP_STATES,
};

/*
 * A request of the control thread. For MG_SLOW_REQ_CTL the engine answers through env->reply with the same
 * `msg` object, filled in as a reply; the caller keeps it alive until then. Several may be under way.
 */
enum mg_slow_req_type {
	MG_SLOW_REQ_CTL =
		1, /* msg: any TCP_*, CONNECTIONS, LISTENERS; STATS for the engine's own counters */
	MG_SLOW_REQ_APP_ADD = 2, /* app joins; no reply */
	MG_SLOW_REQ_APP_DEL =
		3, /* app leaves: abort its connections (RST), close its listeners; env->app_gone when done */
	MG_SLOW_REQ_CONF = 4, /* tcp parameters changed: conf is copied */
	MG_SLOW_REQ_DRAIN =
		5, /* close listeners, finish connections until value (ns of grace), then RST; env->drained */
	MG_SLOW_REQ_HOLDER_GONE =
		6, /* a process is gone, not the last one: value: its contexts; no reply */
	MG_SLOW_REQ_UNGUARD =
		7, /* a guard hung up: close the object; arg: its kind, value: id << 32 | gen; no reply */
};

struct mg_slow_conf;

struct mg_slow_req {
	uint32_t type; /* enum mg_slow_req_type */
	uint32_t arg; /* CTL: most listeners of the app, 0: no limit; UNGUARD: enum mg_ctl_guard_kind */
	struct mg_app *app; /* the session's region; NULL for queries of everything */
	struct mg_ctl_msg *msg;
	const struct mg_slow_conf *conf;
	uint64_t value; /* CTL: contexts of the process that asks, a bit each; 0: any */
	void *cookie;   /* the caller's own; handed back with the reply */
};

struct mg_slow_env {
	void *ctx;
	/* Copies the record into the worker's command ring. False: full (the engine retries from its timers). */
	bool (*command)(void *ctx, uint32_t worker, const struct mg_msg *cmd);
	void (*reply)(void *ctx, const struct mg_slow_req *req);
	void (*app_gone)(void *ctx, struct mg_app *app);
	void (*drained)(void *ctx);
	/* An entry was pushed for this context and it sleeps: make it runnable. */
	void (*wake)(void *ctx, struct mg_app *app, uint32_t context);
	/* A worker found impossible positions in this region: detach it (REQ_APP_DEL). May be NULL. */
	void (*app_broken)(void *ctx, struct mg_app *app);
	/* Gives the memory behind a payload ring back (punch a hole); may be NULL. */
	void (*ring_freed)(void *ctx, struct mg_app *app, uint64_t off, uint32_t bytes);
};

#define MG_SLOW_PORTS_MAX 16
#define MG_SLOW_ADDRS_MAX 64
#define MG_SLOW_ROUTES_MAX 256
#define MG_SLOW_NEIGHBOURS_STATIC_MAX 64

/* tcp.mtu_probing (RFC 4821), as Linux counts them. */
enum mg_mtu_probing {
	MG_MTU_PROBING_OFF = 0,
	MG_MTU_PROBING_BLACK_HOLE = 1, /* when full-sized segments time out again and again */
	MG_MTU_PROBING_ALWAYS = 2,     /* begin small */
};

struct mg_slow_port {
	struct mg_mac mac;
	uint16_t mtu;
	bool has_l2;
	bool is_local; /* no device: whatever is for one of our own addresses goes out and comes in there */
	bool tx_csum; /* unused by the slow path: it always computes checksums itself */
};

struct mg_slow_addr {
	struct mg_addr addr;
	uint8_t prefix; /* within the family */
	uint16_t port;
};

struct mg_slow_route {
	struct mg_addr net;
	uint8_t prefix;
	uint16_t port;
	struct mg_addr via; /* any: on link */
};

struct mg_slow_neighbour {
	struct mg_addr addr;
	struct mg_mac mac;
	uint16_t port;
};

enum mg_slow_ecn {
	MG_SLOW_ECN_OFF = 0,
	MG_SLOW_ECN_ON = 1,     /* asked for, and granted */
	MG_SLOW_ECN_ACCEPT = 2, /* granted */
};

/* TCP and IP parameters; all may change at run time (for new connections, where it cannot be for old ones). */
struct mg_slow_conf {
	uint32_t mss;         /* upper bound of what we advertise and send; 0: from the MTU */
	uint8_t window_scale; /* largest shift offered; 0xff: none offered */
	bool timestamps;
	bool sack;
	uint8_t ecn;         /* enum mg_slow_ecn */
	bool ecn_abe;        /* an echo costs less than a loss (RFC 8511) */
	bool ecn_everywhere; /* with DCTCP: ECT on SYNs, pure ACKs and retransmissions, too */
	bool idle_restart;   /* the initial window after idling (RFC 5681 4.1) */
	bool nagle;
	bool pacing;
	bool syn_cookies;             /* when there is no room for a handshake */
	bool syn_cookies_always;      /* ... and also when there is */
	uint32_t fastopen;            /* enum mg_fastopen_bit; 0: off */
	uint32_t fastopen_queue_max;  /* most handshakes that a listener's queue may hold */
	uint32_t fastopen_key_life_s; /* of a key that is drawn; 0: as long as the engine */
	bool fastopen_has_key;
	uint8_t fastopen_key[16];
	bool loopback;  /* 127.0.0.0/8 and ::1 are our own addresses */
	bool keepalive; /* default of new connections */
	uint8_t ttl;
	uint8_t dscp;
	uint8_t syn_retries;
	uint8_t synack_retries;
	uint8_t keepalive_count;
	uint32_t retries; /* R2: retransmissions of data before giving up; RFC 9293 3.8.3 */
	uint32_t initial_cwnd_segments;
	uint32_t rto_initial_ms;
	uint32_t rto_min_ms;
	uint32_t rto_max_ms;
	uint32_t delayed_ack_ms;
	uint32_t keepalive_idle_ms;
	uint32_t keepalive_interval_ms;
	uint32_t user_timeout_ms; /* 0: by `retries` */
	uint32_t time_wait_ms;
	uint32_t fin_timeout_ms; /* FIN-WAIT-2 of closed applications */
	uint32_t orphans_max;
	bool autotune;             /* buffers grow from the first size up to the largest */
	uint32_t autotune_idle_ms; /* ... and back after so long without traffic; 0: never */
	uint32_t rcvbuf_bytes, rcvbuf_max_bytes;
	uint32_t sndbuf_bytes, sndbuf_max_bytes;
	uint16_t ephemeral_first, ephemeral_last;
	uint32_t arp_reachable_ms; /* ageing */
	uint32_t arp_retry_ms;
	uint32_t arp_retries; /* requests without an answer before a neighbour has failed */
	bool arp_gratuitous;  /* mg_slow_start() announces the addresses */
	uint32_t dad_ms;      /* IPv6: addresses are tentative for so long; 0: used at once */
	uint32_t challenge_ack_per_s;
	uint32_t pmtu_min;      /* IPv4: a router that says less is taken to say this */
	uint32_t pmtu_expire_s; /* what was learned of a path is tried anew after so long */
	uint16_t base_mss;      /* where probing begins */
	uint8_t mtu_probing;    /* enum mg_mtu_probing */
	char congestion_control[16];
};

struct mg_slow_limits {
	uint32_t nr_workers;
	uint32_t conns_max; /* power of two; flow ids are 0..conns_max-1 */
	uint32_t listeners_max;
	uint32_t embryos_max;
	uint32_t time_waits_max;
	uint32_t frags_max; /* IP packets being put together; 0: fragments are dropped */
	uint32_t neighbours_max;
	uint32_t arp_queue_max;      /* packets waiting for a neighbour, all together */
	uint32_t arp_queue_each_max; /* ... and for one; at most 255 */
	uint32_t apps_max;
	uint32_t app_windows_max;       /* windows of one region */
	uint64_t app_payload_bytes_max; /* payload section of one region */
	/* Flow to worker: mg_tuple_hash(tuple, hash_seed) % nr_workers, here and in fastpath/io. */
	uint64_t hash_seed;
	uint8_t secret[16]; /* ISN, ports, cookies */
	uint64_t now_ns;
};

size_t mg_slow_bytes(const struct mg_slow_limits *limits);
int mg_slow_init(void *mem, const struct mg_slow_limits *limits, const struct mg_slow_conf *conf,
		 const struct mg_slow_env *env, struct mg_slow **ret_slow);
/* Before the first event. 0, -ENOSPC, -EINVAL. */
int mg_slow_add_port(struct mg_slow *slow, const struct mg_slow_port *port, uint16_t *ret_port);
int mg_slow_add_addr(struct mg_slow *slow, const struct mg_slow_addr *addr);
int mg_slow_add_route(struct mg_slow *slow, const struct mg_slow_route *route);
int mg_slow_add_neighbour(struct mg_slow *slow, const struct mg_slow_neighbour *neigh);
/* Announces the addresses, if arp_gratuitous, and begins to detect duplicates; call once the ports are up. */
void mg_slow_start(struct mg_slow *slow, uint64_t now_ns);

void mg_slow_event(struct mg_slow *slow, uint32_t worker, const struct mg_msg *ev, uint64_t now_ns);
void mg_slow_request(struct mg_slow *slow, const struct mg_slow_req *req, uint64_t now_ns);
void mg_slow_timers(struct mg_slow *slow, uint64_t now_ns);
/* Wakes contexts that got entries, retries commands that found a ring full. */
void mg_slow_flush(struct mg_slow *slow, uint64_t now_ns);
uint64_t mg_slow_next_ns(const struct mg_slow *slow);

/* Counters (slowpath/core/slow_stats.def): name, value; false past the end. */
bool mg_slow_counter(const struct mg_slow *slow, uint32_t i, const char **ret_name,
		     const char **ret_help, uint64_t *ret_value);
struct mg_slow_totals {
	uint32_t connections, listeners, embryos, time_waits;
};
void mg_slow_totals(const struct mg_slow *slow, struct mg_slow_totals *ret_totals);
void mg_slow_check(const struct mg_slow *slow);
#endif
