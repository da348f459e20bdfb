/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl.h - control messages between applications and mangod, as plain structs.
 *
 * Idea:    each request and each reply is one struct mg_ctl_msg: a fixed header and `count` fixed-size
 *          items of the type that the message names. The transports carry them: `local` sends the struct
 *          as one SEQPACKET datagram on the attach socket, gRPC converts it to and from mango.proto,
 *          iceoryx will loan it. One handler in the daemon serves them all.
 *          A reply repeats type and id, has MG_CTL_REPLY set, and carries `status` (0 or -errno); on an
 *          error `text` says why in one line.
 * Trust:   mg_ctl_check() looks at the lengths of a received message before anyone reads items; strings
 *          are terminated by it.
 * Threads: plain values.
 */
#ifndef MG_CTL_H
#define MG_CTL_H
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/addr.h"

/* The first nine are the public MANGO_IPC_MSG_* values, in their documented order. */
enum mg_ctl_type {
	MG_CTL_HEALTH_CHECK = 0, /* -> 1 health */
	MG_CTL_SET_CONFIG = 1,   /* n kv: all or nothing */
	MG_CTL_GET_CONFIG = 2,   /* kv[0].key: a key, a section ("tcp.") or "" for all -> n kv */
	MG_CTL_TCP_LISTEN = 3,   /* 1 listen -> 1 listen with id and port filled in */
	MG_CTL_TCP_ACCEPT = 4,   /* n accept: grants credits */
	MG_CTL_TCP_CONNECT =
		5, /* n connect -> n connect with window and gen filled in; outcome by event */
	MG_CTL_TCP_CLOSE = 6,        /* n conn_ref: graceful */
	MG_CTL_TCP_LISTEN_CLOSE = 7, /* n listener_ref */
	MG_CTL_TCP_ABORT = 8,        /* n conn_ref: RST */
	MG_CTL_TCP_SET_OPTION = 9,   /* n option */
	MG_CTL_TCP_GET_OPTION = 10,  /* n option -> n option with value filled in */
	MG_CTL_ATTACH = 11,          /* attach socket only: 1 attach -> 1 attached + descriptors */
	MG_CTL_CONTEXT_OPEN = 12,    /* attach socket only: -> 1 attached (index) + wake-ups */
	MG_CTL_CONNECTIONS = 13,     /* paged -> n conn_info */
	MG_CTL_LISTENERS = 14,       /* paged -> n listener_info */
	MG_CTL_STATS = 15,           /* paged -> n counter */
	MG_CTL_TCP_MOVE = 16,        /* n move: which contexts get a connection's events */
	MG_CTL_GUARD = 17,  /* attach socket only: n guard + n descriptors -> n guard with status */
	MG_CTL_GUARDS = 18, /* attach socket only: paged -> n guard, of this session's region */
	MG_CTL_SESSIONS = 19, /* paged -> n session_info */
	MG_CTL_NR,
};

#define MG_CTL_REPLY 0x8000u /* set in type */
#define MG_CTL_VERSION 1
#define MG_CTL_TOKEN_BYTES 16
#define MG_CTL_TEXT_MAX 240
#define MG_CTL_MSG_MAX 65536 /* bytes of a whole message */

struct mg_ctl_token {
	uint8_t b[MG_CTL_TOKEN_BYTES];
};

struct mg_ctl_hdr {
	uint32_t bytes;   /* header and items */
	uint16_t version; /* MG_CTL_VERSION */
	uint16_t type;    /* enum mg_ctl_type, | MG_CTL_REPLY */
	uint64_t id;      /* chosen by the requester; repeated in the reply */
	struct mg_ctl_token
		token;  /* the session; zero for HEALTH_CHECK, GET_CONFIG and the queries */
	int32_t status; /* replies: 0 or -errno */
	uint32_t count; /* items */
	uint32_t start; /* paged: index of the first item wanted / given */
	uint32_t more;  /* paged replies: 1 if items follow after start + count */
	char text[MG_CTL_TEXT_MAX]; /* replies: why it failed */
	uint64_t reserved;
};
static_assert(sizeof(struct mg_ctl_hdr) == 296, "items are aligned behind it");

enum mg_ctl_serving { MG_CTL_SERVING = 1, MG_CTL_DRAINING = 2, MG_CTL_UNHEALTHY = 3 };

struct mg_ctl_health {
	uint32_t serving; /* enum mg_ctl_serving */
	uint32_t pid;
	uint64_t uptime_ms;
	uint64_t daemon_epoch;
	uint32_t nr_workers;
	uint32_t nr_sessions;
	uint32_t nr_connections;
	uint32_t nr_listeners;
	char version[32];
	char instance[64];
	char attach_path[108]; /* the attach socket */
	char reason[116];      /* when not serving */
};

enum mg_ctl_kv_flag {
	MG_CTL_KV_RUNTIME = 1 << 0 /* can change at run time */,
	MG_CTL_KV_DEFAULT = 1 << 1
};

struct mg_ctl_kv {
	char key[64];
	char value[256];
	char deflt[256]; /* replies */
	uint32_t flags;  /* enum mg_ctl_kv_flag */
	uint32_t reserved;
};

enum mg_ctl_listen_flag {
	MG_CTL_LISTEN_REUSEPORT = 1 << 0,
	MG_CTL_LISTEN_V6ONLY = 1 << 1, /* of ::, which else takes IPv4 as well (RFC 3493 5.3) */
	MG_CTL_LISTEN_TFO_NO_COOKIE = 1
				      << 2, /* Fast Open: data of SYNs is taken without a cookie */
};

struct mg_ctl_listen {
	struct mg_addr addr; /* any: all addresses of the family (of both for plain ::) */
	uint16_t port;       /* 0: an ephemeral one is chosen */
	uint16_t flags;
	uint32_t backlog;
	uint32_t context;      /* event ring for its connections */
	uint32_t listener;     /* reply: id */
	uint32_t rcvbuf_bytes; /* 0: configured default; rounded up to a power of two, clamped */
	uint32_t sndbuf_bytes;
	uint64_t cookie;
	char congestion[16]; /* algorithm of its connections; "": the configured one */
	uint8_t ttl;         /* of its SYN-ACKs and connections, as MG_CTL_OPT_LISTEN_TTL */
	uint8_t tos;         /* likewise, as MG_CTL_OPT_LISTEN_TOS */
	uint16_t defer_s;    /* as MG_CTL_OPT_LISTEN_DEFER_S */
	uint32_t fastopen;   /* most connections before their handshake's end (RFC 7413); 0: none */
};

enum mg_ctl_accept_flag {
	/*
	 * The context's credits become 0, and what was offered to it and is not taken (abi.h, claim) goes back to the
	 * listener, before `credits` are added.
	 */
	MG_CTL_ACCEPT_RETURN = 1 << 0,
};

struct mg_ctl_accept {
	uint32_t listener;
	uint32_t credits; /* added to those of the context */
	uint32_t context; /* one of the session's own: where its connections are announced */
	uint32_t flags;   /* enum mg_ctl_accept_flag */
};

enum mg_ctl_move_how {
	MG_CTL_MOVE_JOIN = 1,  /* the context gets the events, too; always one at once */
	MG_CTL_MOVE_LEAVE = 2, /* the context gets no more of them */
	MG_CTL_MOVE_TAKE = 3,  /* the context alone gets them; always one at once */
};

struct mg_ctl_move {
	uint32_t window;
	uint32_t gen;
	uint32_t context; /* one of the session's own */
	uint32_t how;     /* enum mg_ctl_move_how */
};

enum mg_ctl_guard_kind { MG_CTL_GUARD_CONN = 1, MG_CTL_GUARD_LISTENER = 2 };

/*
 * An object that lives as long as a descriptor that many processes may have: one end of a pair of stream sockets is
 * theirs, the other one is passed with this. When it hangs up, the object is closed. Everything behind `status` is
 * kept for whoever asks for GUARDS; only kind, id and gen mean anything to the daemon.
 */
struct mg_ctl_guard {
	uint32_t kind;       /* enum mg_ctl_guard_kind */
	uint32_t id;         /* window; listener */
	uint32_t gen;        /* of the window; 0 */
	int32_t status;      /* reply: 0 or -errno; -EEXIST: it has a guard already */
	uint64_t inode;      /* of the application's end */
	uint64_t cookie;     /* of the listener */
	struct mg_addr addr; /* of the listener */
	uint16_t port;
	uint16_t flags; /* the library's */
	uint32_t credits;
	uint8_t blob[32]; /* the application's own */
	uint64_t handle;  /* the daemon's, while the request is under way; 0 in messages */
};
#define MG_CTL_GUARDS_MAX 250 /* in one message: the kernel passes 253 descriptors at a time */

enum mg_ctl_connect_flag {
	/* RFC 7413: ask for a cookie, or, with one, wait with the SYN for data (abi.h: MG_SHM_ST_WAITING). */
	MG_CTL_CONNECT_FASTOPEN = 1 << 0,
	MG_CTL_CONNECT_TFO_NO_COOKIE = 1 << 1, /* ... wait in any case */
};

struct mg_ctl_connect {
	struct mg_tuple tuple; /* laddr any: chosen by route; lport 0: ephemeral (RFC 6056) */
	uint32_t context;
	uint64_t cookie;
	uint32_t rcvbuf_bytes;
	uint32_t sndbuf_bytes;
	uint32_t flags;  /* enum mg_ctl_connect_flag */
	uint32_t window; /* reply */
	uint32_t gen;    /* reply */
	int32_t status;  /* reply: 0 (under way) or -errno */
	uint32_t scope;  /* the link of a link-local raddr: a port, from 1; 0: the only one */
	uint8_t ttl; /* of the SYN and all that follows, as MG_CTL_OPT_TTL; 0: the configured one */
	uint8_t tos; /* likewise, as MG_CTL_OPT_TOS */
	uint16_t reserved;
	char congestion[16]; /* "": the configured one */
};

struct mg_ctl_conn_ref {
	uint32_t window;
	uint32_t gen;
};

struct mg_ctl_listener_ref {
	uint32_t listener;
	uint32_t reserved;
};

enum mg_ctl_option {
	MG_CTL_OPT_KEEPALIVE = 1, /* 0/1 */
	MG_CTL_OPT_KEEPIDLE_S = 2,
	MG_CTL_OPT_KEEPINTVL_S = 3,
	MG_CTL_OPT_KEEPCNT = 4,
	MG_CTL_OPT_USER_TIMEOUT_MS = 5,
	MG_CTL_OPT_CONGESTION = 6, /* text */
	MG_CTL_OPT_TTL = 7,        /* -1: the configured one */
	MG_CTL_OPT_TOS = 8,
	MG_CTL_OPT_MAXSEG = 9,
	MG_CTL_OPT_LINGER_MS = 10, /* -1: off; 0: RST on close */
	MG_CTL_OPT_INFO = 11,      /* get: fills `info` */
	MG_CTL_OPT_SOFT_ERROR =
		12, /* get: errno of the last soft error (RFC 9293 MUST-47), and forgets it */
	/* Set only; window: id of a listener. */
	MG_CTL_OPT_LISTEN_FASTOPEN = 13,           /* as mg_ctl_listen.fastopen */
	MG_CTL_OPT_LISTEN_FASTOPEN_NO_COOKIE = 14, /* 0/1 */
	MG_CTL_OPT_LISTEN_TTL = 15,                /* 0: the configured one */
	MG_CTL_OPT_LISTEN_TOS = 16,                /* likewise */
	MG_CTL_OPT_LISTEN_DEFER_S =
		17, /* a connection is ready when it brings data; after so long without; 0: at once */
};

/* Connections and listeners in the tables. */
enum mg_ctl_object_flag {
	MG_CTL_OBJECT_GUARDED = 1 << 0, /* ends with its last descriptor, not with its process */
};

/* A snapshot of one connection, for TCP_INFO and `mangoctl connections`. */
struct mg_ctl_conn_info {
	struct mg_tuple tuple;
	uint32_t state; /* enum mg_tcp_state */
	uint32_t window;
	uint32_t gen;
	uint32_t worker;
	uint32_t pid; /* of the process that gets its events; 0: of none */
	uint32_t srtt_us;
	uint32_t rttvar_us;
	uint32_t rto_us;
	uint32_t mss;
	uint32_t cwnd_bytes;
	uint32_t ssthresh_bytes;
	uint32_t snd_wnd_bytes;
	uint32_t rcv_wnd_bytes;
	uint32_t inflight_bytes;
	uint32_t retrans;
	uint32_t snd_wscale;
	uint32_t rcv_wscale;
	uint32_t opts; /* enum mg_seg_opt: negotiated */
	uint64_t rx_bytes;
	uint64_t tx_bytes;
	uint64_t acked_bytes;
	uint64_t pacing_Bps;
	uint64_t age_ms;
	uint32_t app;   /* number of the region */
	uint32_t flags; /* enum mg_ctl_object_flag */
	char cc[16];
	char cc_phase[16]; /* what the algorithm does now */
	uint32_t ecn;      /* 1: agreed */
	uint32_t reserved;
};

/* As a window of MG_CTL_OPT_CONGESTION: no connection. Set: is there such an algorithm? Get: the configured one. */
#define MG_CTL_WINDOW_NONE UINT32_MAX

struct mg_ctl_opt {
	uint32_t window;
	uint32_t gen;
	uint32_t option; /* enum mg_ctl_option */
	int32_t status;
	int64_t value;
	char text[16];
	struct mg_ctl_conn_info info;
};

struct mg_ctl_listener_info {
	struct mg_addr addr;
	uint16_t port;
	uint16_t flags;
	uint32_t listener;
	uint32_t pid;
	uint32_t backlog;
	uint32_t pending; /* established, waiting for accept */
	uint32_t embryos;
	uint64_t accepted;
	uint64_t dropped;
	uint32_t app;          /* number of the region */
	uint32_t object_flags; /* enum mg_ctl_object_flag */
	uint32_t holders;      /* contexts that have asked for connections */
	uint32_t offered;      /* announced to them, not taken yet (counted with the accepted) */
};

/* One attached process, and the region that it shares with others or has alone. */
struct mg_ctl_session_info {
	uint32_t app; /* number of the region: processes of one application have the same */
	uint32_t pid; /* 0: no process is left, only guards */
	uint32_t uid;
	uint32_t contexts;  /* of this process */
	uint32_t processes; /* of the region, as the rest */
	uint32_t guards;
	uint32_t connections;
	uint32_t listeners;
	uint64_t region_bytes;
	uint64_t resident_bytes; /* pages in memory, of what the region may have */
	uint64_t age_ms;         /* of the attachment */
	char program[64];
};

struct mg_ctl_counter {
	char name[64];
	uint64_t value;
	char help[104];
};

/* Attach socket only. */
struct mg_ctl_attach {
	uint32_t abi_major;
	uint32_t abi_minor;
	uint64_t abi_hash;
	struct mg_ctl_token parent; /* to share a region: its token `share`; else zero */
	char program[64];           /* for logs */
};

/*
 * With SCM_RIGHTS, in this order: region memfd, info memfd, the context's wake-ups (a datagram socket: a datagram
 * arrives when the daemon wakes it), one doorbell per worker (an eventfd of this attachment's own).
 * CONTEXT_OPEN passes the context's wake-ups only.
 */
struct mg_ctl_attached {
	struct mg_ctl_token token;
	struct mg_ctl_token share; /* with it another process of this user may join the region */
	uint32_t context;
	uint32_t nr_workers;
	uint64_t region_bytes;
	uint64_t daemon_epoch;
	uint32_t connections_max;
	uint32_t app; /* number of the region */
};

/* How many items of a type fit behind the header of one message. */
#define MG_CTL_FIT(type) ((MG_CTL_MSG_MAX - sizeof(struct mg_ctl_hdr)) / sizeof(type))

struct mg_ctl_msg {
	struct mg_ctl_hdr hdr;
	union {
		struct mg_ctl_health health[MG_CTL_FIT(struct mg_ctl_health)];
		struct mg_ctl_kv kv[MG_CTL_FIT(struct mg_ctl_kv)];
		struct mg_ctl_listen listen[MG_CTL_FIT(struct mg_ctl_listen)];
		struct mg_ctl_accept accept[MG_CTL_FIT(struct mg_ctl_accept)];
		struct mg_ctl_connect connect[MG_CTL_FIT(struct mg_ctl_connect)];
		struct mg_ctl_conn_ref conn[MG_CTL_FIT(struct mg_ctl_conn_ref)];
		struct mg_ctl_listener_ref listener[MG_CTL_FIT(struct mg_ctl_listener_ref)];
		struct mg_ctl_opt opt[MG_CTL_FIT(struct mg_ctl_opt)];
		struct mg_ctl_conn_info conn_info[MG_CTL_FIT(struct mg_ctl_conn_info)];
		struct mg_ctl_listener_info listener_info[MG_CTL_FIT(struct mg_ctl_listener_info)];
		struct mg_ctl_counter counter[MG_CTL_FIT(struct mg_ctl_counter)];
		struct mg_ctl_move move[MG_CTL_FIT(struct mg_ctl_move)];
		struct mg_ctl_guard guard[MG_CTL_FIT(struct mg_ctl_guard)];
		struct mg_ctl_session_info session[MG_CTL_FIT(struct mg_ctl_session_info)];
		struct mg_ctl_attach attach[MG_CTL_FIT(struct mg_ctl_attach)];
		struct mg_ctl_attached attached[MG_CTL_FIT(struct mg_ctl_attached)];
		uint8_t items[MG_CTL_MSG_MAX - sizeof(struct mg_ctl_hdr)];
	};
};
static_assert(sizeof(struct mg_ctl_msg) <= MG_CTL_MSG_MAX + 8, "one datagram");

/* Bytes of one item of a request / a reply of this type; 0: no items. */
uint32_t mg_ctl_item_bytes(uint16_t type);
/* How many items fit into one message. */
uint32_t mg_ctl_items_max(uint16_t type);
/* Starts a message: zeroes the header and sets type, id, count and bytes. */
void mg_ctl_init(struct mg_ctl_msg *msg, uint16_t type, uint64_t id, uint32_t count);
/* Sets count and bytes of a message whose items grew or shrank. */
void mg_ctl_set_count(struct mg_ctl_msg *msg, uint32_t count);
/*
 * Checks a received message of `len` bytes: version, type, count, lengths; terminates its strings.
 * 0, -EPROTO (version or type unknown), -EBADMSG (lengths do not fit).
 */
int mg_ctl_check(struct mg_ctl_msg *msg, size_t len);
/* "TCP_LISTEN" and so on, for logs. */
const char *mg_ctl_type_name(uint16_t type);
#endif
