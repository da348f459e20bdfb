/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.h - the settings of one mangod, as a plain struct, and how they are read and changed.
 *
 * Idea:    one schema table (conf_schema.c) names every key with type, range, default, unit, help
 *          and whether it can change at run time. File, SET_CONFIG, GET_CONFIG, `mangod --help`,
 *          config/mangod.yaml and docs/config.md all come from that table. The struct mirrors the
 *          keys: the key "tcp.rto_min_ms" is the member tcp.rto_min_ms.
 * Use:     mg_conf_load() once at start; afterwards everything takes `const struct mg_conf *`.
 *          A change: mg_conf_set_many() on the control thread, then tell the paths what changed.
 * Errors:  every failing function fills a struct mg_conf_err whose `text` is one line for people:
 *          FILE:LINE: KEY: found "X", allowed: Y
 * Threads: a struct mg_conf is a plain value; it has one writer.
 * Memory:  fixed size, no pointers: copy it by assignment, compare it by key. It is large (some
 *          ten KiB): keep it on the heap or inside the daemon's struct.
 */
#ifndef MG_CONF_H
#define MG_CONF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/addr.h"
#include "proto/base/rule.h"

#define MG_CONF_NAME_MAX 32 /* names of instance, ports, users, with the terminating zero */
#define MG_CONF_PATH_MAX 96
#define MG_CONF_TEXT_MAX 192  /* vdev strings, endpoints */
#define MG_CONF_KEY_MAX 64    /* a key as text, rows included: "ports[0].interface" */
#define MG_CONF_VALUE_MAX 256 /* a value as text; only whole object lists ("ports") can be longer */
#define MG_CONF_PORTS_MAX 8
#define MG_CONF_PORT_ADDRS_MAX 8
#define MG_CONF_ROUTES_MAX 64
#define MG_CONF_NEIGHBORS_MAX 64
#define MG_CONF_ACCESS_MAX 32
#define MG_CONF_WORKERS_MAX 16 /* the shared memory has room for so many */
#define MG_CONF_BURST_MAX 32   /* packets that a port hands over at once */
#define MG_CONF_LISTEN_MAX 4
#define MG_CONF_RULES_MAX 16
#define MG_CONF_PROGRAMS_MAX 16
#define MG_CONF_FILE_MAX 262144 /* bytes of a configuration file */

#define MG_CONF_ANY_CORE UINT32_MAX /* slowpath.core: not pinned */

/* The same values as enum mg_log_level of proto/base/log.h. */
enum mg_conf_log_level {
	MG_CONF_LOG_ERROR,
	MG_CONF_LOG_WARN,
	MG_CONF_LOG_INFO,
	MG_CONF_LOG_DEBUG,
};
enum mg_conf_hugepages { MG_CONF_HUGE_AUTO, MG_CONF_HUGE_ON, MG_CONF_HUGE_OFF };
enum mg_conf_offloads { MG_CONF_OFFLOADS_KEEP, MG_CONF_OFFLOADS_ON };
enum mg_conf_driver { MG_CONF_AF_PACKET, MG_CONF_AF_XDP, MG_CONF_PACKET_GSO, MG_CONF_TAP };
enum mg_conf_slow_thread { MG_CONF_SLOW_OWN, MG_CONF_SLOW_INLINE };
enum mg_conf_cookies { MG_CONF_COOKIES_OFF, MG_CONF_COOKIES_AUTO, MG_CONF_COOKIES_ALWAYS };
enum mg_conf_probing { MG_CONF_PROBING_OFF, MG_CONF_PROBING_BLACK_HOLE, MG_CONF_PROBING_ALWAYS };
enum mg_conf_cc { MG_CONF_CC_RENO, MG_CONF_CC_CUBIC, MG_CONF_CC_DCTCP, MG_CONF_CC_BBR };
enum mg_conf_wildcard { MG_CONF_WILDCARD_BOTH, MG_CONF_WILDCARD_MANGO, MG_CONF_WILDCARD_KERNEL };
enum mg_conf_absent { MG_CONF_ABSENT_KERNEL, MG_CONF_ABSENT_REFUSE };
enum mg_conf_ecn { MG_CONF_ECN_OFF, MG_CONF_ECN_ON, MG_CONF_ECN_ACCEPT };

/* An address with the length of its prefix, counted within its family (0..32 for IPv4). */
struct mg_conf_prefix {
	struct mg_addr addr;
	uint8_t bits;
};

/* One row of ports[]. Exactly one of interface, pci and vdev is not empty. */
struct mg_conf_port {
	char name[MG_CONF_NAME_MAX];
	char interface[16];
	enum mg_conf_driver driver;     /* with interface only */
	enum mg_conf_offloads offloads; /* packet_gso only */
	char pci[MG_CONF_NAME_MAX];
	char vdev[MG_CONF_TEXT_MAX];
	uint32_t mtu;    /* 0: the interface's own */
	uint32_t queues; /* 0: one per worker if the port can */
	struct mg_conf_prefix addresses[MG_CONF_PORT_ADDRS_MAX];
	uint32_t addresses_count;
};

/* One row of routes[]. */
struct mg_conf_route {
	struct mg_conf_prefix to;
	struct mg_addr via;          /* any: the destinations are on the link */
	char port[MG_CONF_NAME_MAX]; /* empty: the port whose prefix holds `via` */
};

/* One row of neighbors[]: an entry that ARP and neighbor discovery leave alone. */
struct mg_conf_neighbor {
	struct mg_addr address;
	struct mg_mac mac;
	char port[MG_CONF_NAME_MAX]; /* empty: the port whose prefix holds `address` */
};

/* One row of access[]: who may attach, first match wins. Limits of 0 mean those of app.*. */
struct mg_conf_access {
	char user[MG_CONF_NAME_MAX]; /* name, number, or "*"; empty: any */
	char group[MG_CONF_NAME_MAX];
	uint32_t sessions_max;
	uint32_t connections_max;
	uint32_t listeners_max;
	uint64_t region_bytes;
};

struct mg_conf {
	char instance[MG_CONF_NAME_MAX];
	char runtime_dir[MG_CONF_PATH_MAX];
	struct {
		enum mg_conf_log_level level;
	} log;
	struct {
		uint32_t drain_ms;
	} daemon;
	struct {
		char user[MG_CONF_NAME_MAX];
		char group[MG_CONF_NAME_MAX];
		uint32_t mode;
	} attach;
	struct mg_conf_access access[MG_CONF_ACCESS_MAX];
	uint32_t access_count;
	struct {
		uint32_t sessions_max;
		uint32_t connections_max;
		uint32_t listeners_max;
		uint64_t region_bytes;
	} app;
	struct {
		enum mg_conf_hugepages hugepages;
		uint32_t dpdk_mib;
		uint32_t buffers;
	} memory;
	struct mg_conf_port ports[MG_CONF_PORTS_MAX];
	uint32_t ports_count;
	struct mg_conf_route routes[MG_CONF_ROUTES_MAX];
	uint32_t routes_count;
	struct mg_conf_neighbor neighbors[MG_CONF_NEIGHBORS_MAX];
	uint32_t neighbors_count;
	struct {
		uint32_t workers;
		uint32_t cores[MG_CONF_WORKERS_MAX];
		uint32_t cores_count;
		uint32_t spin_us;
		uint32_t burst;
	} fastpath;
	struct {
		enum mg_conf_slow_thread thread;
		uint32_t core;
	} slowpath;
	struct {
		uint32_t connections_max;
		uint32_t listeners_max;
		uint32_t embryos_max;
		uint32_t time_wait_max;
		uint32_t orphans_max;
		uint32_t port_min;
		uint32_t port_max;
		uint32_t mss;
		uint32_t window_scale;
		bool timestamps;
		bool sack;
		enum mg_conf_ecn ecn;
		bool ecn_abe;
		bool ecn_everywhere;
		bool slow_start_after_idle;
		enum mg_conf_cc congestion_control;
		bool pacing;
		uint32_t initial_cwnd_segments;
		bool autotune;
		uint32_t autotune_idle_ms;
		uint32_t rcvbuf_bytes;
		uint32_t rcvbuf_max_bytes;
		uint32_t sndbuf_bytes;
		uint32_t sndbuf_max_bytes;
		bool nagle;
		bool loopback;
		uint32_t delayed_ack_ms;
		uint32_t rto_initial_ms;
		uint32_t rto_min_ms;
		uint32_t rto_max_ms;
		uint32_t syn_retries;
		uint32_t synack_retries;
		enum mg_conf_cookies syn_cookies;
		enum mg_conf_probing mtu_probing;
		uint32_t base_mss;
		uint32_t retries2;
		uint32_t user_timeout_ms;
		bool keepalive;
		uint32_t keepalive_idle_s;
		uint32_t keepalive_interval_s;
		uint32_t keepalive_count;
		uint32_t fin_timeout_ms;
		uint32_t time_wait_ms;
		uint32_t challenge_ack_limit;
		uint32_t fastopen;
		uint32_t fastopen_queue_max;
		char fastopen_key[33];
		uint32_t fastopen_key_life_s;
	} tcp;
	struct {
		uint32_t ttl;
		uint32_t dscp;
		uint32_t fragments_max;
		uint32_t pmtu_min;
		uint32_t pmtu_expire_s;
	} ip;
	struct {
		uint32_t age_ms;
		uint32_t retry_ms;
		uint32_t retries;
		uint32_t entries_max;
		uint32_t queue_packets;
		bool gratuitous;
	} arp;
	struct {
		uint32_t dad_ms;
	} nd;
	struct {
		struct {
			bool enabled;
			char listen[MG_CONF_LISTEN_MAX][MG_CONF_TEXT_MAX];
			uint32_t listen_count;
		} grpc;
	} ipc;
	/* For libmango_preload.so, which reads the same file; mangod only checks it. */
	struct {
		char listen[MG_CONF_RULES_MAX][MG_RULE_TEXT_MAX];
		uint32_t listen_count;
		char connect[MG_CONF_RULES_MAX][MG_RULE_TEXT_MAX];
		uint32_t connect_count;
		char programs[MG_CONF_PROGRAMS_MAX][MG_CONF_NAME_MAX];
		uint32_t programs_count;
		enum mg_conf_wildcard wildcard;
		bool loopback;
		enum mg_conf_absent absent;
		bool debug;
	} preload;
};

/* What was wrong. `text` is the whole message in one line; the parts serve programs and tests. */
struct mg_conf_err {
	char file[128];
	unsigned line; /* 0: not in a file, or the key does not stand in it */
	char key[MG_CONF_KEY_MAX];
	char other[MG_CONF_KEY_MAX]; /* a second key that the message is about, or empty */
	char text[768];
};

/* One answer of mg_conf_each(). The texts live until the callback returns. */
struct mg_conf_item {
	const char *key;
	const char *value;
	const char *deflt;
	bool is_live; /* can change at run time */
	bool is_default;
};

struct mg_conf_pair {
	const char *key;
	const char *value;
};

enum mg_conf_when {
	MG_CONF_BOOT, /* before anything runs: every key may be set */
	MG_CONF_LIVE, /* at run time: only the keys marked so */
};

/* Every key gets its default. */
void mg_conf_init(struct mg_conf *ret_conf);

/*
 * Reads a file: defaults, then the file, then mg_conf_check(). `ret_conf` is written on success
 * only. Returns 0, -ENOENT/-EACCES/... (the file cannot be read), -EFBIG, -EINVAL (a wrong file),
 * -ENOMEM.
 */
int mg_conf_load(const char *path, struct mg_conf *ret_conf, struct mg_conf_err *err);

/* The same from memory; `name` stands for the file in messages. Any bytes are allowed (fuzzing). */
int mg_conf_parse(const char *buf, size_t len, const char *name, struct mg_conf *ret_conf,
		  struct mg_conf_err *err);

/* What one key's range cannot say: relations between keys, names that must exist, overlaps. */
int mg_conf_check(const struct mg_conf *conf, struct mg_conf_err *err);

/*
 * Sets one key from its text, then checks the whole; on error `conf` is as before.
 * Lists of values take "a,b,c"; lists of objects take the YAML of the file in one line.
 * Returns 0, -ENOENT (no such key), -EPERM (not at run time), -EINVAL, -ENOMEM.
 */
int mg_conf_set(struct mg_conf *conf, const char *key, const char *value, enum mg_conf_when when,
		struct mg_conf_err *err);

/* All pairs or none. The same errors. */
int mg_conf_set_many(struct mg_conf *conf, const struct mg_conf_pair *pairs, size_t n,
		     enum mg_conf_when when, struct mg_conf_err *err);

/*
 * The value of one key as text; `*ret_len` (may be NULL) is its length even when it does not fit.
 * Returns 0, -ENOENT, -ENOSPC. Rows are keys too: "ports[0].mtu".
 */
int mg_conf_get(const struct mg_conf *conf, const char *key, char *buf, size_t len,
		size_t *ret_len);

/*
 * Calls `fn` for every key that `what` names: NULL or "" all, "tcp" or "tcp." a section, or one
 * key; rows of object lists come one by one. Stops when `fn` returns non-zero and returns that;
 * -ENOENT: no such key or section.
 */
typedef int (*mg_conf_each_fn)(void *arg, const struct mg_conf_item *item);
int mg_conf_each(const struct mg_conf *conf, const char *what, mg_conf_each_fn fn, void *arg);

/* Copies `text` with %i (instance) and %t (runtime_dir) filled in. 0 or -ENAMETOOLONG. */
int mg_conf_expand(const struct mg_conf *conf, const char *text, char *buf, size_t len);

/* RUNTIME_DIR/INSTANCE/attach.sock, where clients attach. 0 or -ENAMETOOLONG. */
int mg_conf_attach_path(const struct mg_conf *conf, char *buf, size_t len);

/* The index of the port of that name, or -1. */
int mg_conf_port_index(const struct mg_conf *conf, const char *name);

/* The index of the port with an address whose prefix holds `addr`, or -1. */
int mg_conf_port_for(const struct mg_conf *conf, const struct mg_addr *addr);
#endif
