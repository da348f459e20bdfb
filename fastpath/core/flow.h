/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow.h - one established connection as its worker sees it.
 *
 * Idea:    four cache lines that the common case touches - rd: the key and what never changes; rx: what
 *          arrives; tx: what leaves; stat: timers and states - and behind them what sending needs (header
 *          template, round-trip times, congestion samples) and what only loss, reordering and closing need.
 *          Sequence numbers are 32 bits as on the wire; positions are 64-bit counts of payload bytes as in
 *          the shared window. snd_una corresponds to position tx_una, rcv_nxt to rx_tail (a FIN follows).
 * Threads: one worker.
 * Memory:  the engine's array of flows; zeroed at each INSTALL.
 */
#ifndef MG_FLOW_H
#define MG_FLOW_H
#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/seq.h"
#include "proto/base/time.h"
#include "proto/path/app.h"
#include "proto/path/msg.h"
#include "proto/wire/seg.h"
#include "proto/wire/wire.h"

#define MG_FLOW_NONE UINT32_MAX /* no record, no interval, no flow */
#define MG_FLOW_DUPTHRESH 3
#define MG_FLOW_QUICKACKS 16
#define MG_FLOW_EVENTS_MAX 10

/* Life of the slot. */
enum mg_flow_run {
	MG_FLOW_FREE = 0,
	MG_FLOW_LIVE = 1,
	MG_FLOW_STOPPED = 2,  /* reset, aborted or broken: nothing moves, REMOVE is awaited */
	MG_FLOW_REMOVING = 3, /* REMOVED is still to be told */
};

/* mg_flow.flags */
enum mg_flow_flag {
	MG_FF_PENDING = 1 << 0,  /* on the engine's list of flows that have something to do */
	MG_FF_NOTIFY = 1 << 1,   /* the application is to get an entry */
	MG_FF_PUBLISH = 1 << 2,  /* the worker's line of the window is to be stored */
	MG_FF_ACK_NOW = 1 << 3,  /* an ACK must leave in this flush */
	MG_FF_PINGPONG = 1 << 4, /* the application answers: delay ACKs, the answer carries them */
	MG_FF_FIN_SEEN = 1 << 5, /* fin_seq is known, perhaps out of order */
	MG_FF_FIN_RCVD = 1 << 6, /* the peer's FIN was taken in sequence */
	MG_FF_FIN_QUEUED = 1 << 7, /* a FIN follows tx_head */
	MG_FF_FIN_SENT = 1 << 8,
	MG_FF_FIN_ACKED = 1 << 9,
	MG_FF_APP_CLOSED = 1 << 10, /* AF_CLOSE seen */
	MG_FF_SHUT_RD = 1 << 11,
	MG_FF_WANT_TX = 1 << 12, /* tell when tx space is free */
	MG_FF_TX_TOLD = 1 << 13, /* told, and the application has not written since */
	MG_FF_NODELAY = 1 << 14,
	MG_FF_CORK = 1 << 15,
	MG_FF_QUICKACK = 1 << 16,   /* the application's option */
	MG_FF_ECE = 1 << 17,        /* congestion was experienced: echo until CWR */
	MG_FF_CWR = 1 << 18,        /* tell the peer with the next new data */
	MG_FF_URG = 1 << 19,        /* urg_pos is valid */
	MG_FF_BLOCK_CWND = 1 << 20, /* the last look of output: what stopped it */
	MG_FF_BLOCK_WND = 1 << 21,
	MG_FF_BLOCK_HOLD = 1 << 22, /* Nagle or cork */
	MG_FF_BLOCK_PACE = 1 << 23,
	MG_FF_MORE = 1 << 24,     /* budget used up: go on in the next flush */
	MG_FF_REORDER = 1 << 25,  /* reordering was seen on this path (RFC 8985) */
	MG_FF_TLP = 1 << 26,      /* a tail loss probe is out */
	MG_FF_TLP_RETX = 1 << 27, /* ... and it was a retransmission */
	MG_FF_RTO_CC = 1 << 28,   /* after an RTO: a window of before it may still be on its way */
	MG_FF_WND_UPDATE = 1 << 29, /* the reader made room: consider a window update */
	MG_FF_OVERRIDE = 1
			 << 30, /* the hold timer ran out: send what there is (RFC 9293 3.8.6.2.1) */
};

/* Our SYN-ACK is not acknowledged: a connection that a SYN with data began (RFC 7413). In mg_flow.flags, too. */
#define MG_FF_SYN_RCVD (1u << 31)

enum mg_flow_recovery {
	MG_REC_OPEN = 0,
	MG_REC_FAST = 1, /* fast recovery */
	MG_REC_LOSS = 2, /* after a retransmission time-out */
};

/* What mg_flow.rtx_ns waits for; at most one at a time. */
enum mg_flow_timer {
	MG_RTX_NONE = 0,
	MG_RTX_RTO,
	MG_RTX_TLP,
	MG_RTX_REORDER,
	MG_RTX_PERSIST,
};

/* How far a change of a ring's size has come; see ring.h. */
enum mg_flow_ring_step {
	MG_RING_IDLE = 0,
	MG_RING_ASKING,   /* the slow path is to be told */
	MG_RING_ASKED,    /* its answer is awaited */
	MG_RING_NEXT,     /* receiving: until nothing is out of order */
	MG_RING_OFFERED,  /* sending: until the library uses it */
	MG_RING_OLD,      /* receiving: until the application has read what lies in the old ring */
	MG_RING_DONE,     /* the slow path is to be told that the old one is free */
	MG_RING_REFUSING, /* ... or the new one */
};

/* mg_flow.ring_busy */
enum mg_flow_ring_busy { MG_RING_BUSY = 1 << 0, MG_RING_TX_OFFERED = 1 << 1 };

/* One direction's. */
struct mg_flow_ring {
	uint64_t off; /* the successor, or what was last asked for */
	uint64_t start;
	uint64_t retry_ns;
	uint32_t bytes;
	uint32_t min_bytes;
	uint32_t max_bytes;
	uint32_t number;
	uint8_t step; /* enum mg_flow_ring_step */
	uint8_t reserved[7];
};

/* Accumulated for congestion control since the last sample went up. */
struct mg_flow_sample {
	uint32_t flags; /* enum mg_sample_flag */
	uint32_t acked_bytes;
	uint32_t lost_bytes;
	uint32_t ecn_bytes;
	uint32_t rtt_us; /* smallest; 0: none */
	uint32_t prior_inflight;
	uint32_t tx_inflight; /* of the newest range delivered: in flight when it was sent, ... */
	uint32_t tx_lost;     /* ... lost since */
	uint32_t loss_tx_inflight; /* the same of the newest range lost */
	uint32_t loss_tx_lost;
	uint64_t prior_delivered;
	uint64_t rate_bytes; /* largest delivery rate sample: bytes ... */
	uint64_t rate_ns;    /* ... in so long; 0: none */
};

struct mg_flow {
	/* rd: the key and constants. */
	alignas(64) struct mg_tuple tuple;
	uint32_t hash;
	uint32_t rx_mask;
	uint32_t tx_mask;
	uint16_t mss;
	uint16_t opts; /* enum mg_flow_opt_flag */
	uint8_t snd_wscale;
	uint8_t rcv_wscale;
	uint8_t run; /* enum mg_flow_run */
	uint8_t port;
	struct mg_shm_window *win;

	/* rx */
	alignas(64) uint8_t *rx_ring;
	uint64_t rx_tail; /* position of rcv_nxt */
	uint64_t rx_head; /* as last seen and checked */
	uint32_t rcv_nxt;
	uint32_t rcv_adv;  /* the largest right edge that any segment of ours carried */
	uint32_t rcv_edge; /* right edge we stand for: moves in steps of SWS avoidance, <= rcv_adv */
	uint32_t ts_recent;
	uint32_t ts_recent_ms; /* our clock when ts_recent was taken */
	uint32_t last_ack_sent;
	uint32_t rx_unacked; /* bytes in order since our last ACK */
	uint32_t ooo_head;   /* intervals beyond rcv_nxt, ascending */
	uint16_t rcv_mss;    /* our MSS as advertised */
	uint16_t rcv_seg;    /* largest segment seen: what "full-sized" means here */
	uint8_t quickacks;   /* left at the start of the connection */
	uint8_t nr_ooo;
	uint8_t mtup_state; /* enum mg_mtuprobe_state: of sending, but here is room */
	uint8_t ring_busy;  /* enum mg_flow_ring_busy */

	/* tx */
	alignas(64) uint8_t *tx_ring;
	uint64_t tx_una;  /* position of snd_una */
	uint64_t tx_head; /* as last seen and checked */
	uint32_t snd_una;
	uint32_t snd_nxt; /* highest ever sent + 1; never moves back */
	uint32_t snd_wnd;
	uint32_t snd_wl1;
	uint32_t snd_wl2;
	uint32_t max_wnd;  /* largest window the peer ever offered */
	uint32_t cwnd;     /* in force now: from the slow path, or PRR's */
	uint32_t rec_head; /* records of what is unacknowledged, by sequence */
	uint32_t rec_tail;
	uint32_t snd_sml; /* end of the last small segment sent (Minshall's Nagle) */

	/* stat: states and timers. */
	alignas(64) uint64_t rtx_ns; /* deadlines; MG_TIME_NEVER: none */
	uint64_t delack_ns;
	uint64_t aux_ns;   /* pacing, hold override, or a retry */
	uint64_t armed_ns; /* what the wheel knows: may be earlier than needed, never later */
	uint64_t last_rx_ns;
	struct mg_flow *pend_next;
	uint32_t flags; /* enum mg_flow_flag */
	uint32_t sacked_bytes;
	uint32_t lost_bytes; /* marked lost, not retransmitted yet */
	uint8_t recovery;    /* enum mg_flow_recovery */
	uint8_t rtx_kind;    /* enum mg_flow_timer */
	uint8_t dupacks;
	uint8_t rto_backoff;

	/* Sending: header template, times, samples. */
	alignas(64) uint8_t tmpl[96]; /* link, IP and TCP header, timestamp option */
	uint8_t tmpl_len;
	uint8_t l2_len;
	uint8_t l3_len;
	uint8_t is_v6;
	uint16_t ip_id;
	uint8_t tx_urgent; /* tx_urg was set: look at it */
	uint8_t ip_reserved;
	uint64_t pseudo_sum; /* pseudo-header without length */
	uint64_t ip_sum;     /* IPv4 header with length, id, checksum 0 */

	uint64_t rto_base_ns; /* the RTO runs from here */
	uint64_t sample_ns;   /* last sample */
	uint64_t delivered;   /* bytes in total, cumulatively or by SACK */
	uint64_t delivered_ns;
	uint64_t first_sent_ns;
	uint64_t last_sent_ns; /* data */
	uint32_t lost_total;   /* bytes ever marked lost; wraps */
	uint32_t cc_reserved;
	uint64_t app_limited; /* rates are application-limited until so much is delivered; 0: they are not */
	uint32_t srtt8_us;   /* smoothed RTT times 8; 0: no sample yet */
	uint32_t rttvar4_us; /* times 4 */
	uint32_t rto_us;     /* without back-off */
	uint32_t min_rtt_us; /* UINT32_MAX: none */
	uint32_t ts_offset;
	uint32_t reno_sacked; /* bytes that duplicate ACKs stand for, without SACK */
	struct mg_flow_sample samp;

	uint64_t pace_next_ns;
	uint64_t pacing_Bps;
	uint32_t pace_ns_q10; /* ns per byte times 1024; 0: not paced */
	uint32_t pace_burst_ns;

	/* Constants of rare use. */
	uint32_t rto_min_us;
	uint32_t rto_max_us;
	uint32_t delack_us;
	uint32_t id;
	uint32_t gen;
	uint32_t window;
	uint32_t window_gen;
	uint32_t contexts; /* of the application that get its events: a bit each */
	uint32_t app_slot;
	uint32_t win_next; /* chain of the window table */
	uint32_t ovf_next; /* chain of the flow table's overflow */
	struct mg_app *app;

	/* Loss recovery. */
	uint64_t rack_xmit_ns; /* newest transmission known delivered (RFC 8985) */
	uint64_t rack_reo_ns; /* when a reordered segment becomes a lost one; MG_TIME_NEVER: none */
	uint32_t rack_end;
	uint32_t rack_rtt_us;
	uint32_t rack_mult;      /* reo_wnd in units of min_rtt / 4 */
	uint32_t rack_persist;   /* recoveries until it shrinks again */
	uint32_t rack_dsack_end; /* one widening per round trip */
	uint32_t sack_hint;      /* record to start from */
	uint32_t fack;           /* highest sequence number SACKed */
	uint32_t recover;        /* recovery ends when this is acknowledged */
	uint32_t ssthresh;
	uint32_t recover_fs; /* RFC 9937 */
	uint32_t prr_delivered;
	uint32_t prr_out;
	uint32_t cc_cwnd;      /* the slow path's last word */
	uint32_t restart_cwnd; /* at most this after idling; 0: no limit */
	uint32_t prior_cwnd;   /* before the reduction, for undo */
	uint32_t prior_ssthresh;
	uint32_t undo_una;     /* snd_una when recovery began */
	uint32_t undo_retrans; /* retransmissions not yet proven needless; 0: none */
	uint32_t undo_ts;      /* our TSval at the first retransmission */
	uint32_t undo_end;     /* after recovery: a D-SACK is heard until this is acknowledged */
	uint32_t tlp_end;
	uint32_t ecn_recover; /* one reduction per window (RFC 3168) */
	uint32_t retrans;     /* segments retransmitted in total */
	uint32_t timeouts;    /* RTO or persist expiries in a row without an answer */
	uint8_t undo_valid;
	uint8_t echo_asked; /* an echo waits for the slow path's answer */
	uint8_t nr_ev;
	uint8_t nr_sack;
	uint8_t dsack_valid;
	uint8_t oow_tokens;             /* ACKs left for out-of-window segments */
	uint8_t mtup_outcome;           /* enum mg_mtu_outcome, to be told */
	uint8_t frto;                   /* enum mg_frto */
	uint8_t ev[MG_FLOW_EVENTS_MAX]; /* events the slow path's ring had no room for, oldest first */
	uint16_t mtup_bytes;            /* payload of the probe */
	uint32_t mtup_start;            /* its place in the stream */
	uint32_t ev_value;
	uint64_t oow_ns;
	uint64_t neigh_ns; /* last NEIGH_CONFIRM */

	/* Receiving: SACK blocks to send, newest first (RFC 2018), D-SACK (RFC 2883). */
	struct mg_sack_block sack[MG_SACK_BLOCKS_MAX];
	struct mg_sack_block dsack;
	uint32_t fin_seq;
	uint32_t remove_how;

	/* Sizes of the rings. */
	uint64_t rs_next_ns; /* the measurement's period ends; MG_TIME_NEVER: the size is fixed */
	uint64_t rs_ns;      /* it began */
	uint64_t rs_head;    /* rx_head then */
	uint64_t rs_bytes;   /* read in the period before it */
	uint32_t rs_edge;    /* the right edge then */
	uint32_t rs_rtt_us;  /* round trip by windows, where there is no other */
	uint32_t rs_former_bytes; /* the receive ring before it shrank; 0: it did not */
	uint32_t ring_idle_us;
	uint64_t ring_idle_ns;       /* deadline */
	struct mg_flow_ring ring[2]; /* by enum mg_ring_dir */
	uint64_t urg_pos;
	uint64_t tx_urg; /* SND.UP: what lies before this position is urgent */
};

static_assert(offsetof(struct mg_flow, rx_ring) == 64, "rd is one cache line");
static_assert(offsetof(struct mg_flow, tx_ring) == 128, "rx is one cache line");
static_assert(offsetof(struct mg_flow, rtx_ns) == 192, "tx is one cache line");
static_assert(offsetof(struct mg_flow, tmpl) == 256, "the hot state is four cache lines");
static_assert(sizeof(((struct mg_flow *)0)->tmpl) >= MG_ETH_HLEN + MG_IPV6_HLEN + MG_TCP_HLEN + 12,
	      "template");

/* Sequence number behind the last byte the application wrote. */
static inline uint32_t mg_flow_tx_end(const struct mg_flow *f)
{
	return f->snd_una + (uint32_t)(f->tx_head - f->tx_una);
}

/* Sequence space in flight, FIN included. */
static inline uint32_t mg_flow_flight(const struct mg_flow *f)
{
	return f->snd_nxt - f->snd_una;
}

/* RFC 6675's pipe: what we believe is in the network. */
static inline uint32_t mg_flow_pipe(const struct mg_flow *f)
{
	uint32_t out = f->sacked_bytes + f->lost_bytes + f->reno_sacked;
	uint32_t flight = mg_flow_flight(f);

	return flight > out ? flight - out : 0;
}

/* Urgent mode (RFC 9293 3.8.5): some of the urgent data is not acknowledged. */
static inline bool mg_flow_is_urgent(const struct mg_flow *f)
{
	return f->tx_urgent != 0 && f->tx_urg > f->tx_una;
}

static inline bool mg_flow_has(const struct mg_flow *f, uint32_t flags)
{
	return (f->flags & flags) != 0;
}

/* Ring space that is neither readable nor promised for a byte in flight beyond it. */
static inline uint32_t mg_flow_rx_free(const struct mg_flow *f)
{
	return f->rx_mask + 1 - (uint32_t)(f->rx_tail - f->rx_head);
}

static inline uint32_t mg_flow_rcv_wnd(const struct mg_flow *f)
{
	return mg_seq_gt(f->rcv_adv, f->rcv_nxt) ? f->rcv_adv - f->rcv_nxt : 0;
}

static inline uint32_t mg_flow_srtt_us(const struct mg_flow *f)
{
	return f->srtt8_us >> 3;
}

/* Asserts every invariant that a flow satisfies by itself. */
void mg_flow_check(const struct mg_flow *f);
#endif
