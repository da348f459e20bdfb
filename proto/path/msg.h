/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msg.h - what the fast path and the slow path say to each other.
 *
 * Idea:    commands go down to the worker that owns a flow, events come up. Both are variable-length records
 *          in SPSC byte rings (proto/base/msgring.h) inside the daemon; with the slow path inline, the same
 *          rings within one thread; in tests and in the embedded library a direct call. Both sides trust
 *          each other. Flow ids are chosen by the slow path (its connection index); `gen` tells a re-used
 *          id's lives apart: a message whose gen does not match is stale and ignored.
 *          Records start with struct mg_msg; `len` is the whole record.
 */
#ifndef MG_PATH_MSG_H
#define MG_PATH_MSG_H
#include <stdint.h>

#include "proto/base/addr.h"

struct mg_app;

enum mg_msg_type {
	/* Commands: slow path to worker. */
	MG_CMD_INSTALL = 1,     /* struct mg_cmd_install */
	MG_CMD_REMOVE = 2,      /* struct mg_cmd_remove; answered by MG_EV_REMOVED */
	MG_CMD_SET_CC = 3,      /* struct mg_cmd_set_cc */
	MG_CMD_SET_OPT = 4,     /* struct mg_cmd_set_opt */
	MG_CMD_SET_NEXTHOP = 5, /* struct mg_cmd_set_nexthop */
	MG_CMD_PROBE = 6, /* struct mg_cmd_flow: send a keepalive probe (SEQ = SND.NXT - 1, no data) */
	MG_CMD_REPORT = 7,    /* struct mg_cmd_flow: answer with MG_EV_REPORT */
	MG_CMD_TX_PACKET = 8, /* struct mg_msg_packet: transmit this frame as it is */
	MG_CMD_REINJECT =
		9, /* struct mg_msg_packet: treat as received now (the flow was just installed) */
	MG_CMD_APP_ADD = 10, /* struct mg_msg_app */
	MG_CMD_APP_DEL = 11, /* struct mg_msg_app; answered by MG_EV_APP_DEL after the last use */
	MG_CMD_SET_PMTU =
		12, /* struct mg_cmd_set_opt with value = new effective MSS: resegment and retransmit */
	MG_CMD_CLOSE =
		13, /* struct mg_cmd_flow: as if the application had set MG_SHM_AF_CLOSE (it asked by control) */
	MG_CMD_SET_CONTEXTS =
		14, /* struct mg_cmd_set_opt with value = bits: events go there; each of them gets one now */

	MG_CMD_RING = 40, /* struct mg_cmd_ring: the answer to MG_EV_RING with MG_RING_WANT */

	/* Events: worker to slow path. */
	MG_EV_PACKET =
		64, /* struct mg_msg_packet: not for an installed flow, or not the common case */
	MG_EV_SAMPLE = 65,    /* struct mg_ev_sample: input for congestion control */
	MG_EV_FIN_RCVD = 66,  /* struct mg_ev_flow: peer's FIN in sequence, acknowledged */
	MG_EV_FIN_SENT = 67,  /* struct mg_ev_flow: our FIN left for the first time */
	MG_EV_FIN_ACKED = 68, /* struct mg_ev_flow */
	MG_EV_RST_RCVD =
		69, /* struct mg_ev_flow: valid reset; the flow is stopped, REMOVE is awaited */
	MG_EV_TIMEOUT =
		70, /* struct mg_ev_flow: RTO or persist timer expired `count` times in a row; value: MG_TIMEOUT_PERSIST or bytes */
	MG_EV_APP_CLOSE = 71, /* struct mg_ev_flow: MG_SHM_AF_CLOSE seen; value: unread bytes left */
	MG_EV_APP_ABORT = 72, /* struct mg_ev_flow: MG_SHM_AF_ABORT seen */
	MG_EV_APP_BROKEN =
		73, /* struct mg_ev_flow: impossible positions: the application is to be detached */
	MG_EV_REMOVED = 74, /* struct mg_ev_removed */
	MG_EV_REPORT = 75,  /* struct mg_ev_removed, same contents, flow lives on */
	MG_EV_APP_DEL = 76, /* struct mg_msg_app */
	MG_EV_DATA_AFTER_CLOSE =
		77, /* struct mg_ev_flow: data for a closed application: reset it (RFC 9293 3.6.1) */
	MG_EV_NEIGH_CONFIRM =
		78, /* struct mg_ev_flow: forward progress: the next hop is alive (at most 1/s) */
	MG_EV_DOORBELL = 79, /* struct mg_ev_doorbell: a doorbell for a window that has no flow here */
	MG_EV_APP_RINGS =
		80, /* struct mg_msg_app: impossible ring indices: the application is to be detached */
	MG_EV_MTU_PROBE =
		81, /* struct mg_ev_flow: what became of MG_FLOW_OPT_MTU_PROBE; value: MG_MTU_PROBE_VALUE() */
	MG_EV_SYN_ACKED = 82, /* struct mg_ev_flow: of MG_FLOW_SYN_RCVD: the handshake is done */
	MG_EV_RING = 100,     /* struct mg_ev_ring: about a payload ring's size */
};

struct mg_msg {
	uint16_t type; /* enum mg_msg_type */
	uint16_t port; /* index of the port it concerns */
	uint32_t len;  /* bytes of the record */
	uint32_t flow; /* flow id, where one is meant */
	uint32_t gen;
};

enum mg_flow_opt_flag {
	MG_FLOW_TS = 1 << 0,      /* timestamps negotiated */
	MG_FLOW_SACK = 1 << 1,    /* SACK negotiated */
	MG_FLOW_ECN = 1 << 2,     /* ECN negotiated */
	MG_FLOW_NODELAY = 1 << 3, /* initial option */
	MG_FLOW_PACING = 1 << 4,  /* obey pacing_Bps */
	MG_FLOW_WS = 1 << 5,
	MG_FLOW_DCTCP = 1 << 6,    /* echo CE exactly (RFC 8257 3.2) instead of until CWR */
	MG_FLOW_OWN_CWND = 1 << 7, /* the algorithm's cwnd holds in recovery and after idling, too */
	MG_FLOW_ECT_ALL = 1 << 8,  /* ECT on pure ACKs and retransmissions as well (RFC 8257 3.5) */
	MG_FLOW_SYN_RCVD = 1 << 9, /* INSTALL: our SYN-ACK is not acknowledged (RFC 7413) */
};

/* What a change of congestion control changes. */
#define MG_FLOW_CC_MASK (MG_FLOW_PACING | MG_FLOW_DCTCP | MG_FLOW_OWN_CWND | MG_FLOW_ECT_ALL)

/* Everything the worker needs for an established connection. */
struct mg_cmd_install {
	struct mg_msg msg;
	struct mg_tuple tuple;
	struct mg_mac smac;
	struct mg_mac dmac;
	uint8_t ttl;
	uint8_t tos;
	uint8_t snd_wscale; /* shift of the peer's window */
	uint8_t rcv_wscale; /* shift of ours */
	uint16_t flags;     /* enum mg_flow_opt_flag */
	uint16_t mss;       /* largest payload we may send, options already taken off */
	uint32_t iss;
	uint32_t irs;
	uint32_t snd_una;
	uint32_t snd_nxt;
	uint32_t snd_wnd; /* scaled: bytes */
	uint32_t snd_wl1;
	uint32_t snd_wl2;
	uint32_t rcv_nxt;
	uint32_t ts_recent;
	uint32_t ts_offset; /* our TSval = now in ms + ts_offset */
	uint32_t last_ack_sent;
	uint32_t rcv_adv; /* right edge already offered in the handshake */
	uint32_t rcv_mss; /* our MSS as advertised: unit of receive-side rules */
	uint32_t cwnd_bytes;
	uint32_t ssthresh_bytes;
	uint64_t pacing_Bps;
	uint32_t srtt_us; /* from the handshake; 0: no sample yet */
	uint32_t rttvar_us;
	uint32_t rto_us;
	uint32_t rto_min_us;
	uint32_t rto_max_us;
	uint32_t delack_us;
	uint32_t restart_bytes; /* cwnd after idling is at most this (RFC 5681 4.1); 0: no limit */
	uint32_t flow_label;    /* IPv6 */
	struct mg_app *app;
	uint32_t window;   /* index in the app region */
	uint32_t contexts; /* whose event rings serve it: a bit each */
	uint32_t window_gen;
	uint32_t rx_bytes; /* payload rings: power-of-two sizes */
	uint32_t tx_bytes;
	uint32_t rx_max_bytes; /* they may grow up to here; 0: their sizes are fixed */
	uint32_t tx_max_bytes;
	uint32_t ring_idle_us; /* after so long they return to their first sizes; 0: never */
	uint32_t syn_bytes;    /* payload of the peer's SYN behind this struct, before rcv_nxt */
	uint64_t rx_off;       /* offsets in the region */
	uint64_t tx_off;
};

enum mg_remove_how {
	MG_REMOVE_QUIET = 0, /* nothing is sent */
	MG_REMOVE_RST = 1,   /* RST (seq snd_nxt, with ACK) leaves first */
};

struct mg_cmd_remove {
	struct mg_msg msg;
	uint32_t how; /* enum mg_remove_how */
	uint32_t reserved;
};

struct mg_cmd_flow {
	struct mg_msg msg;
};

struct mg_cmd_set_cc {
	struct mg_msg msg;
	uint32_t cwnd_bytes;
	uint32_t ssthresh_bytes;
	uint64_t pacing_Bps; /* 0: not paced */
	uint32_t flags;      /* of enum mg_flow_opt_flag those in MG_FLOW_CC_MASK */
	uint32_t echo;       /* 1: knows of the last sample with MG_SAMPLE_ECE */
};

enum mg_flow_opt {
	MG_FLOW_OPT_TTL = 1,
	MG_FLOW_OPT_TOS,
	MG_FLOW_OPT_MSS,
	MG_FLOW_OPT_RTO_MIN_US,
	MG_FLOW_OPT_DELACK_US,
	MG_FLOW_OPT_FRAGMENT, /* routers may cut its packets (IPv4); what is in flight goes again */
	MG_FLOW_OPT_MTU_PROBE, /* payload bytes of one segment to try (RFC 4821); 0: do not */
};

struct mg_cmd_set_opt {
	struct mg_msg msg;
	uint32_t opt; /* enum mg_flow_opt */
	uint32_t value;
};

struct mg_cmd_set_nexthop {
	struct mg_msg msg;
	struct mg_mac smac;
	struct mg_mac dmac;
	uint16_t port;
	uint16_t reserved;
};

/* A whole frame follows, from the first byte of the link-layer header (or of the IP header on ports without). */
enum mg_packet_flag {
	MG_PKT_CSUM_OK = 1 << 0, /* checksums are known good (received) */
};
enum mg_packet_reason {
	MG_PKT_NO_FLOW = 0,
	MG_PKT_NOT_TCP = 1,
	MG_PKT_EXCEPTION = 2,
	MG_PKT_FLOW_STOPPED = 3
};

struct mg_msg_packet {
	struct mg_msg msg;
	uint32_t bytes;  /* of the frame */
	uint16_t flags;  /* enum mg_packet_flag */
	uint16_t reason; /* enum mg_packet_reason */
	uint8_t data[];
};

struct mg_msg_app {
	struct mg_msg msg;
	struct mg_app *app;
};

struct mg_ev_flow {
	struct mg_msg msg;
	uint32_t count;
	uint32_t value;
};

/* mg_ev_flow.value of MG_EV_TIMEOUT: the persist timer, or the bytes of the segment that was not acknowledged. */
#define MG_TIMEOUT_PERSIST UINT32_MAX

/* What became of a path MTU probe. */
enum mg_mtu_outcome {
	MG_MTU_UNKNOWN = 0, /* other losses, or it could not be sent */
	MG_MTU_FITS,
	MG_MTU_TOO_LARGE,
};

#define MG_MTU_PROBE_VALUE(bytes, outcome) ((uint32_t)(bytes) | (uint32_t)(outcome) << 16)
#define MG_MTU_PROBE_BYTES(value) ((value)&0xffff)
#define MG_MTU_PROBE_OUTCOME(value) ((enum mg_mtu_outcome)((value) >> 16))

/*
 * The application let go of (or aborted) a window without an installed flow: connecting, or ended. Sent only
 * when MG_SHM_AF_CLOSE, MG_SHM_AF_ABORT or MG_SHM_AF_SYN is set. If the flow's INSTALL is still on its way down, the slow path
 * ignores this: the worker looks at the window once when it installs. Window and gen are untrusted.
 */
struct mg_ev_doorbell {
	struct mg_msg msg;
	struct mg_app *app;
	uint32_t window;
	uint32_t gen;
	uint32_t a_flags; /* enum mg_shm_aflag */
	uint32_t reserved;
};

enum mg_ring_dir { MG_RING_RX = 0, MG_RING_TX = 1 };

enum mg_ring_what {
	MG_RING_WANT = 0,     /* a ring of `bytes` is asked for; answered by MG_CMD_RING */
	MG_RING_OLD_FREE = 1, /* the one before the last MG_CMD_RING is no longer used */
	MG_RING_NEW_FREE = 2, /* the one of the last MG_CMD_RING will not be used */
};

/* One change of a direction's ring is under way at a time: WANT, MG_CMD_RING, one of the others. */
struct mg_ev_ring {
	struct mg_msg msg;
	uint32_t dir;  /* enum mg_ring_dir */
	uint32_t what; /* enum mg_ring_what */
	uint32_t bytes;
	uint32_t reserved;
};

struct mg_cmd_ring {
	struct mg_msg msg;
	uint32_t dir;   /* enum mg_ring_dir */
	uint32_t bytes; /* a power of two; 0: there is no room */
	uint64_t off;   /* in the region, a multiple of 4096 */
};

enum mg_sample_flag {
	MG_SAMPLE_CWND_LIMITED = 1 << 0, /* the window, not the application, held sending back */
	MG_SAMPLE_LOSS = 1 << 1,         /* loss recovery was entered: one reduction */
	MG_SAMPLE_RTO = 1 << 2,          /* retransmission time-out */
	MG_SAMPLE_ECE = 1 << 3,       /* congestion echoed: one reduction per window (RFC 3168) */
	MG_SAMPLE_RECOVERED = 1 << 4, /* recovery ended: cwnd = ssthresh */
	MG_SAMPLE_UNDO = 1 << 5,      /* the last reduction was spurious */
	MG_SAMPLE_IDLE =
		1 << 6, /* sending resumes after an idle time longer than the RTO (RFC 5681 4.1) */
	MG_SAMPLE_APP_LIMITED_RATE = 1 << 7, /* delivery_Bps was taken while application-limited */
	MG_SAMPLE_PACE_LIMITED = 1 << 8,     /* the pacer held sending back */
};

/* Deltas since the previous sample of this flow. */
struct mg_ev_sample {
	struct mg_msg msg;
	uint64_t now_ns;
	uint32_t flags;       /* enum mg_sample_flag */
	uint32_t acked_bytes; /* newly delivered: cumulatively or by SACK */
	uint32_t lost_bytes;  /* newly marked lost */
	uint32_t ecn_bytes;   /* acknowledged with ECE */
	uint32_t rtt_us;      /* smallest sample in the interval; 0: none */
	uint32_t srtt_us;
	uint32_t inflight_bytes;       /* now */
	uint32_t prior_inflight_bytes; /* when a LOSS, RTO or ECE happened: FlightSize for ssthresh */
	uint64_t delivered_bytes;      /* in total */
	uint64_t delivery_Bps;         /* largest rate sample of the interval; 0: none */
	uint64_t prior_delivered_bytes; /* in total, when the newest range delivered was sent */
	uint32_t rate_bytes;            /* delivered within the rate sample's interval */
	uint32_t tx_inflight_bytes;     /* in flight when the newest range delivered was sent ... */
	uint32_t tx_lost_bytes;         /* ... and what was lost since */
	uint32_t loss_tx_inflight_bytes; /* the same for the newest range lost; 0: none was */
	uint32_t loss_tx_lost_bytes;
	uint32_t min_rtt_us; /* of the flow's life; 0: none */
};

/* A flow's books, at its end or on request. */
struct mg_ev_removed {
	struct mg_msg msg;
	uint32_t snd_una, snd_nxt, rcv_nxt;
	uint32_t snd_wnd, rcv_wnd;
	uint32_t srtt_us, rttvar_us, rto_us;
	uint32_t cwnd_bytes, ssthresh_bytes;
	uint32_t inflight_bytes;
	uint32_t retrans;
	uint32_t ts_recent;
	uint32_t flags; /* bit 0: FIN received, bit 1: FIN sent, bit 2: FIN acknowledged */
	uint64_t rx_bytes, tx_bytes, acked_bytes;
	uint64_t pacing_Bps;
	uint64_t last_rx_ns; /* anything valid heard from the peer */
};

enum mg_removed_flag { MG_REMOVED_FIN_RCVD = 1, MG_REMOVED_FIN_SENT = 2, MG_REMOVED_FIN_ACKED = 4 };
#endif
