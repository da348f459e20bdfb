/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abi.h - the shared-memory ABI between mangod and an application.
 *
 * Idea:    one app region per attachment (a sealed memfd that only this application maps) holds the
 *          connection windows, the event and doorbell rings and the payload rings. Everything is an
 *          offset or an index; there are no pointers. Each cache line has one writer, but for the
 *          `dirty` words, which both sides exchange. Positions in the byte streams are absolute 64-bit
 *          counts that never wrap; position p lies at byte p & (ring_bytes - 1) of its ring.
 *
 *          Rings are level-triggered: an entry says "window X changed" and the window holds the truth.
 *          Publishing a change: 1. store positions and flags (release), 2. exchange `dirty` to 1,
 *          3. if it was 0, push an entry, 4. wake the consumer if it sleeps (proto/base/sleep.h).
 *          Consuming: 1. pop an entry, 2. exchange `dirty` to 0, 3. load positions and flags (acquire).
 *          So a ring of 2 entries per window cannot overflow while both sides are sane; when the other
 *          side is not, the producer drops the entry, counts it and sets `rescan`.
 *
 *          The library rings a window's doorbell when it moved tx_head, when it set a bit of a_flags, and
 *          when it moved rx_head and the peer may be waiting for window: a quarter of the ring was read
 *          since the last ring and less than half of the ring was open then (proto/shm/window.h). So the
 *          worker also loads rx_head whenever it builds an ACK, and never has to poll it. Clearing an
 *          option bit rings, clearing MG_SHM_AF_WANT_TX does not.
 *
 *          End of stream: the worker stores the last rx_tail first, then MG_SHM_WF_RX_FIN (release); the
 *          library loads w_flags (acquire) before it loads rx_tail, so that whoever sees the flag sees
 *          every byte. State MG_SHM_ST_CLOSED likewise comes after the worker's last stores.
 *
 *          A second, daemon-wide memfd (struct mg_shm_info), read-only to applications, tells which
 *          daemon threads sleep.
 *
 *          Rings change while a connection lives: a direction's ring number n lies in slot n & 3 of the window's
 *          rx_rings or tx_rings, and a counter in the worker's line names the newest. Receiving, the worker
 *          moves on by itself: bytes from `start` on lie in the newest ring, those before it in the one before
 *          it, and it waits with the next change until rx_head has reached `start`. Sending, a new number is an
 *          offer: the library copies [tx_una, tx_head) over and stores the number in tx_ring_used (release)
 *          before it moves tx_head; from then on every byte lies in the new ring alone.
 *
 * Trust:   the daemon believes nothing it reads here: it keeps its own copy of every offset, size and
 *          index, copies a word once, checks it, and uses the copy. The library treats the daemon's lines
 *          likewise in debug builds and otherwise trusts the daemon.
 * Version: MG_SHM_ABI_MAJOR changes with any incompatible layout; MG_SHM_ABI_HASH is a checksum of the
 *          headers in proto/shm made at build time; attach compares both. docs/shm-abi.md lists changes.
 */
#ifndef MG_SHM_ABI_H
#define MG_SHM_ABI_H
#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/addr.h"

#define MG_SHM_MAGIC 0x314f474e414d4700ull /* "\0GMANGO1" */
#define MG_SHM_ABI_MAJOR 2
#define MG_SHM_ABI_MINOR 2

#define MG_SHM_WORKERS_MAX 16
#define MG_SHM_CONTEXTS_MAX 32
/* Producers of events: the slow path is number 0, worker w is number w + 1. */
#define MG_SHM_PRODUCERS_MAX (MG_SHM_WORKERS_MAX + 1)
#define MG_SHM_PRODUCER_SLOW 0

enum mg_shm_section_id {
	MG_SHM_SEC_CONTEXTS = 0,  /* struct mg_shm_context */
	MG_SHM_SEC_EVENTS = 1,    /* rings of struct mg_shm_event; [context][producer] */
	MG_SHM_SEC_DOORBELLS = 2, /* rings of struct mg_shm_doorbell; [context][worker] */
	MG_SHM_SEC_WINDOWS = 3,   /* struct mg_shm_window; count = connections of this region */
	MG_SHM_SEC_PAYLOAD = 4,   /* bytes; handed out by the slow path as rings */
	MG_SHM_SEC_NR = 8,
};

struct mg_shm_section {
	uint64_t off;    /* from the start of the region */
	uint64_t stride; /* bytes from one element to the next */
	uint32_t count;
	uint32_t entries; /* rings: entries per ring, a power of two; else 0 */
};
static_assert(sizeof(struct mg_shm_section) == 24, "ABI");

/* First bytes of the region; written once by the daemon before the memfd is passed. */
struct mg_shm_header {
	_Atomic uint64_t magic; /* stored last, release */
	uint32_t abi_major;
	uint32_t abi_minor;
	uint64_t abi_hash;
	uint64_t total_bytes;
	uint64_t daemon_epoch; /* random per daemon start */
	uint32_t nr_workers;
	uint32_t nr_contexts;
	uint32_t nr_windows;
	uint32_t reserved0;
	struct mg_shm_section sections[MG_SHM_SEC_NR];
	uint8_t reserved[8];
};
static_assert(sizeof(struct mg_shm_header) == 256, "ABI");

/*
 * One consumer of events in the application (a thread, or a process after fork). Line 0 is written by the
 * application, line 1 by the daemon.
 */
struct mg_shm_context {
	/* 1: wake it after pushing events, by a datagram to the socket that it was given */
	alignas(64) _Atomic uint32_t sleeping;
	/* 1: it looks for events again and again and has nothing else to do; a worker on its core may do the same */
	_Atomic uint32_t polling;
	uint32_t reserved0[14];
	alignas(64) _Atomic uint32_t
		rescan; /* counts entries that found their ring full: look at every window */
	/*
	 * Odd: a process holds the context; moved on when it gets it and when it is gone. Who holds a lock word
	 * (below) under an older number is dead.
	 */
	_Atomic uint32_t life;
	uint32_t reserved1[14];
};
static_assert(sizeof(struct mg_shm_context) == 128, "ABI");

enum mg_shm_event_kind {
	MG_SHM_EV_CONN = 1,     /* window `index` changed */
	MG_SHM_EV_ACCEPTED = 2, /* window `index` is a new connection of `listener` */
	MG_SHM_EV_LISTENER = 3, /* `listener` ended; `index` holds the negated errno */
};

/*
 * mg_shm_window.claim: whose is a connection that came through a listener? Both sides move it by compare-exchange,
 * from OFFERED only, so that exactly one process gets the connection, or the daemon gets it back.
 */
enum mg_shm_claim {
	MG_SHM_CLAIM_NONE = 0,    /* not offered: made by connect, or in the listener's queue */
	MG_SHM_CLAIM_OFFERED = 1, /* an ACCEPTED entry is on its way: stored by the slow path */
	MG_SHM_CLAIM_TAKEN = 2,   /* the application accepted it */
};

struct mg_shm_event {
	uint16_t kind;
	uint16_t reserved;
	uint32_t index;
	uint32_t gen;      /* generation of the window; entries of an older one are stale: ignore */
	uint32_t listener; /* ACCEPTED, LISTENER: its id */
	uint64_t cookie;
};
static_assert(sizeof(struct mg_shm_event) == 24, "ABI");

/*
 * "window `index` changed": the worker looks at the application's line of the window. It takes `a_dirty` (exchange
 * to 0) whatever `gen` is: the entry may be the last one of the window's former use, sent a moment too late.
 */
struct mg_shm_doorbell {
	uint32_t index;
	uint32_t gen;
};
static_assert(sizeof(struct mg_shm_doorbell) == 8, "ABI");

/* Life of a window, written by the slow path. */
enum mg_shm_state {
	MG_SHM_ST_FREE = 0,
	MG_SHM_ST_CONNECTING = 1, /* active open under way; becomes OPEN or CLOSED */
	MG_SHM_ST_OPEN = 2,       /* handshake done; half-closes show in the flags */
	MG_SHM_ST_CLOSED = 3,     /* no flow any more; `error` tells why (0: both sides closed) */
	MG_SHM_ST_WAITING = 4, /* active open that waits for bytes to send (AF_SYN); then CONNECTING */
};

/* mg_shm_window.w_flags: worker to application. */
enum mg_shm_wflag {
	MG_SHM_WF_RX_FIN = 1 << 0,  /* the stream ends at rx_tail */
	MG_SHM_WF_TX_DONE = 1 << 1, /* our FIN was acknowledged */
	MG_SHM_WF_URG = 1 << 2, /* urg_pos is valid: urgent data ends there, read or yet to come */
};

/* mg_shm_window.a_flags: application to worker; bits are only ever set, but for the option bits. */
enum mg_shm_aflag {
	MG_SHM_AF_SHUT_WR = 1 << 0, /* send FIN after tx_head */
	MG_SHM_AF_SHUT_RD = 1 << 1, /* arriving data is acknowledged and thrown away */
	MG_SHM_AF_CLOSE = 1
			  << 2, /* the application lets go: FIN (RST if data was unread) and free */
	MG_SHM_AF_ABORT = 1 << 3, /* RST now, and free */
	/*
	 * Tell me (an event) when a third of the transmit ring is free. The library sets it, rings, and looks at
	 * tx_una once more; the worker looks for it at each doorbell and whenever tx_una moves.
	 */
	MG_SHM_AF_WANT_TX = 1 << 4,
	MG_SHM_AF_SYN = 1 << 5,     /* in state WAITING: there are bytes, send the SYN with them */
	MG_SHM_AF_NODELAY = 1 << 8, /* option: no Nagle */
	MG_SHM_AF_CORK = 1 << 9,    /* option: only full segments */
	MG_SHM_AF_QUICKACK = 1 << 10, /* option: acknowledge at once */
};

/* Where a payload ring lies. Number n of a direction is in slot n % MG_SHM_RING_SLOTS. */
#define MG_SHM_RING_SLOTS 4
#define MG_SHM_PAGE_BYTES 4096u

struct mg_shm_ring {
	_Atomic uint64_t
		start; /* receiving: position of the first byte that lies here; sending: 0 */
	_Atomic uint32_t page;  /* offset from the region's start in pages of 4096 bytes */
	_Atomic uint32_t bytes; /* a power of two */
};
static_assert(sizeof(struct mg_shm_ring) == 16, "ABI");

/*
 * A connection as the application sees it.
 * Line 0: written by the owning worker. Line 1: written by the application. Lines 2 and 3: by the slow path.
 * Lines 4 and 5: by the slow path before the connection opens, then by the worker.
 * Both sides exchange w_dirty and a_dirty. Before a window is used again the slow path zeroes lines 0 and 1
 * and the dirty words, then fills lines 2 and 3, `state` last.
 */
struct mg_shm_window {
	alignas(64) _Atomic uint64_t
		rx_tail;         /* end of the readable bytes (release: payload is in the ring) */
	_Atomic uint64_t tx_una; /* bytes before this are acknowledged: their ring space is free */
	_Atomic uint64_t urg_pos;
	_Atomic uint32_t
		w_flags; /* enum mg_shm_wflag; stored (release) after rx_tail, tx_una and urg_pos */
	_Atomic uint32_t w_dirty; /* 1: an event entry of the worker is on its way */
	_Atomic uint32_t srtt_us; /* for TCP_INFO; no ordering with anything */
	_Atomic uint32_t rttvar_us;
	_Atomic uint32_t cwnd_bytes;
	_Atomic uint32_t snd_wnd_bytes;
	_Atomic uint32_t retrans; /* segments retransmitted so far */
	_Atomic uint32_t inflight_bytes;
	_Atomic uint32_t rx_ring; /* number of the newest ring; release: its slot is filled */
	_Atomic uint32_t tx_ring;

	alignas(64) _Atomic uint64_t
		rx_head;          /* bytes before this were read; when to ring: see above */
	_Atomic uint64_t tx_head; /* end of the bytes to send (release: payload is in the ring) */
	_Atomic uint32_t a_flags; /* enum mg_shm_aflag */
	_Atomic uint32_t a_dirty; /* 1: a doorbell entry is on its way */
	_Atomic uint32_t claim;   /* enum mg_shm_claim */
	/*
	 * Of the application alone, for processes that share the connection: 0, or MG_SHM_LOCK_*. A futex.
	 * The receiver's side and the sender's.
	 */
	_Atomic uint32_t rx_lock;
	_Atomic uint32_t tx_lock;
	_Atomic uint32_t tx_ring_used; /* number of the ring that tx_head's bytes lie in (release) */
	_Atomic uint64_t
		tx_urg; /* the urgent data ends before this position; 0: none. Before tx_head */
	uint64_t reserved1[2];

	alignas(64) _Atomic uint32_t state; /* enum mg_shm_state; release: publishes lines 2 and 3 */
	_Atomic uint32_t error;             /* positive errno of the end of the connection */
	uint32_t gen;                       /* generation of this use of the window */
	uint32_t worker;                    /* which doorbell ring serves it */
	_Atomic uint32_t s_dirty;           /* 1: an event entry of the slow path is on its way */
	_Atomic uint32_t contexts;          /* whose event rings serve it: a bit each */
	uint64_t cookie;                    /* the application's own word, from connect or listen */
	uint32_t mss;                       /* effective send MSS */
	uint32_t scope; /* the link of link-local addresses: a port, from 1; else 0 */
	uint32_t reserved2[4];

	alignas(64) struct mg_tuple tuple;
	uint32_t reserved3[7];

	/* Written by the slow path before `state` (number 0), later by the worker. */
	alignas(64) struct mg_shm_ring rx_rings[MG_SHM_RING_SLOTS];
	alignas(64) struct mg_shm_ring tx_rings[MG_SHM_RING_SLOTS];
};
static_assert(sizeof(struct mg_shm_window) == 384, "ABI");
static_assert(offsetof(struct mg_shm_window, rx_head) == 64, "ABI: the application's line");
static_assert(offsetof(struct mg_shm_window, state) == 128, "ABI: the slow path's line");
static_assert(offsetof(struct mg_shm_window, tuple) == 192, "ABI: the slow path's second line");
static_assert(offsetof(struct mg_shm_window, rx_rings) == 256, "ABI: a line for each direction");
static_assert(offsetof(struct mg_shm_window, tx_rings) == 320, "ABI: a line for each direction");

/* A lock word: the holder's context and its `life`, and whether somebody waits. */
#define MG_SHM_LOCK_WAITERS 1u
#define MG_SHM_LOCK_LIFE_MASK 0x7fffffu
#define MG_SHM_LOCK_OWNER(context, life) \
	(((uint32_t)(context) + 1u) << 24 | ((uint32_t)(life)&MG_SHM_LOCK_LIFE_MASK) << 1)

/* One for the whole daemon, mapped read-only by applications. */
struct mg_shm_info {
	_Atomic uint64_t magic;
	uint64_t daemon_epoch;
	uint32_t nr_workers;
	uint32_t reserved[11];
	struct {
		alignas(64) _Atomic uint32_t
			sleeping; /* 1: write the doorbell for this worker after ringing */
		/*
		 * Counts the worker's sleeps: moved on before each `sleeping = 1`, so that an application
		 * wakes it once per sleep and not once per doorbell. Stays 0 in a worker that does not count.
		 */
		_Atomic uint32_t sleeps;
		uint32_t reserved[14];
	} worker[MG_SHM_WORKERS_MAX];
};
static_assert(sizeof(struct mg_shm_info) == 64 + 64 * MG_SHM_WORKERS_MAX, "ABI");

/* Checksum of the headers in proto/shm, made at build time. */
uint64_t mg_shm_abi_hash(void);

static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
	      "shared memory needs lock-free atomics");
#endif
