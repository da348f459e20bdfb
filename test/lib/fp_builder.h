/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fp_builder.h - one fast-path engine with one flow in any state, for unit tests.
 *
 * Idea:    sequence numbers in tests are relative: 0 is the first byte of the stream in either direction, so
 *          that the same test runs with initial numbers next to 2^32. Payload is a pattern of the stream
 *          position; every frame that leaves is parsed back through proto/wire (so its checksums were right)
 *          and its payload compared with the pattern. After every step mg_fp_check() runs.
 * Use:     1. fb_open(&b, &(struct fb_conf){ ... })  2. fb_rx(), fb_app_write(), fb_run(), ...
 *          3. FB_TX(&b, .seq = , .len = , ...), FB_TX_NONE(&b)  4. fb_close()
 * Threads: one.
 */
#ifndef MG_TEST_FP_BUILDER_H
#define MG_TEST_FP_BUILDER_H
#include <stdbool.h>
#include <stdint.h>

#include "fastpath/core/engine.h"
#include "proto/shm/window.h"

#define FB_FRAMES 4096
#define FB_EVENTS 4096
#define FB_MS(n) ((uint64_t)(n)*1000000ull)
#define FB_US(n) ((uint64_t)(n)*1000ull)

/* Zero means the default in brackets. */
struct fb_conf {
	uint32_t iss;     /* [1000] */
	uint32_t irs;     /* [5000] */
	uint16_t mss;     /* [1000] */
	uint16_t flags;   /* enum mg_flow_opt_flag; as it is */
	uint32_t snd_wnd; /* [60000] */
	uint32_t syn_bytes; /* with MG_FLOW_SYN_RCVD: the first bytes of the stream came with the SYN */
	uint8_t snd_wscale;
	uint8_t rcv_wscale;
	uint32_t rx_bytes;     /* [65536] */
	uint32_t tx_bytes;     /* [65536] */
	uint32_t rx_max_bytes; /* how far the rings may grow [not at all] */
	uint32_t tx_max_bytes;
	uint32_t ring_idle_us; /* [never] */
	uint32_t spare_bytes;  /* of the region, behind the first two rings */
	uint32_t rcv_adv;      /* right edge offered, relative [rx_bytes, at most 65535] */
	uint32_t cwnd;         /* [10 * mss] */
	uint32_t restart;      /* after idling [10 * mss] */
	uint32_t srtt_us;      /* [0: none] */
	uint32_t delack_us;    /* [40000] */
	uint32_t txrecs_max;   /* [1024] */
	uint32_t ooo_max;      /* [256] */
	uint32_t gso_bytes;
	uint32_t challenge_per_s; /* [1000] */
	uint64_t pacing_Bps;
	bool tx_csum;
	bool lends;
	bool no_l2;
	bool v6;
	bool keep_quick; /* leave the quick ACKs of the start on */
};

/* A frame that left, parsed. */
struct fb_out {
	uint64_t at_ns;
	uint32_t seq; /* relative */
	uint32_t ack; /* relative */
	uint32_t len;
	uint32_t wnd; /* bytes */
	uint16_t flags;
	uint16_t gso;
	uint16_t urg;
	uint8_t ecn;
	bool ts;
	uint32_t tsval, tsecr;
	uint8_t nr_sack;
	struct mg_sack_block sack[MG_SACK_BLOCKS_MAX]; /* relative */
};

/* A segment to receive. */
struct fb_seg {
	uint32_t seq; /* relative */
	uint32_t ack; /* relative */
	uint32_t len;
	uint16_t flags; /* [ACK] */
	uint16_t wnd;   /* on the wire; 0 with wnd_zero, else [what was last used] */
	bool wnd_zero;
	bool no_ts;
	uint32_t tsval; /* [from the clock] */
	uint32_t tsecr; /* [from the clock] */
	uint16_t urg;
	uint8_t ecn;
	uint8_t nr_sack;
	struct mg_sack_block sack[MG_SACK_BLOCKS_MAX]; /* relative */
};

struct fb {
	struct fb_conf conf;
	struct mg_fp *fp;
	struct mg_flow *flow;
	void *mem;
	uint8_t *region;
	struct mg_app app;
	struct mg_shm_window *win;
	struct mg_window w;    /* the application's side */
	struct mg_spsc bells;  /* the application's side */
	struct mg_spsc events; /* of the worker, the application's side */
	uint64_t now;
	uint16_t peer_wnd;
	uint64_t app_written;
	uint64_t app_read;
	struct fb_out out[FB_FRAMES];
	uint32_t out_head, out_tail;
	struct {
		uint16_t type;
		uint32_t count, value, flags;
		struct mg_ev_sample sample;
		struct mg_ev_ring ring;
	} ev[FB_EVENTS];
	uint32_t nr_ev;
	uint32_t wakes;
	uint32_t to_slow; /* segments that the engine declined */
	uint32_t starve;  /* so many packet allocations fail */
	uint32_t ev_full; /* so many events find no room */
	uint8_t buf[70000];
	uint8_t last_frame[70000];
	uint32_t last_len;
};

void fb_open(struct fb *b, const struct fb_conf *conf);
void fb_close(struct fb *b);

uint8_t fb_rx_pattern(uint64_t pos);
uint8_t fb_tx_pattern(uint64_t pos);

/* Receives without flushing. */
void fb_rx_seg(struct fb *b, const struct fb_seg *seg);
/* Flush, and check. */
void fb_flush(struct fb *b);
/* Receives and flushes. */
#define FB_RX(b, ...)                                          \
	do {                                                   \
		fb_rx_seg(b, &(struct fb_seg){ __VA_ARGS__ }); \
		fb_flush(b);                                   \
	} while (0)
/* Lets time pass, running timers at their times. */
void fb_run(struct fb *b, uint64_t ns);
/* The application writes n bytes of pattern (they must fit) and rings. */
void fb_app_write(struct fb *b, uint32_t n);
/* The same, as urgent data. */
void fb_app_write_urgent(struct fb *b, uint32_t n);
/* Reads n bytes and compares; rings if asked. */
void fb_app_read(struct fb *b, uint32_t n, bool ring);
void fb_app_flags(struct fb *b, uint32_t a_flags);
void fb_ring(struct fb *b);
uint32_t fb_app_readable(struct fb *b);
/* Takes an entry of the worker's event ring; false: none. */
bool fb_app_event(struct fb *b);
void fb_command(struct fb *b, const struct mg_msg *cmd);
void fb_set_cc(struct fb *b, uint32_t cwnd, uint32_t ssthresh);
/* The same as the answer to an echo. */
void fb_answer_echo(struct fb *b, uint32_t cwnd, uint32_t ssthresh);

/* The next frame, or NULL. */
const struct fb_out *fb_tx(struct fb *b);
uint32_t fb_tx_pending(const struct fb *b);
void fb_tx_clear(struct fb *b);
/* Takes the oldest event of this type; the test fails without one. Returns its index in b->ev. */
uint32_t fb_event(struct fb *b, uint16_t type);
uint32_t fb_events(const struct fb *b, uint16_t type);
uint64_t fb_stat(const struct fb *b, enum mg_fp_stat stat);

/* The next frame has these fields; flags without regard to PSH unless PSH is asked for. */
#define FB_TX(b, s, l, f)                                                              \
	do {                                                                           \
		const struct fb_out *o_ = fb_tx(b);                                    \
		assert_non_null(o_);                                                   \
		assert_int_equal(o_->seq, (uint32_t)(s));                              \
		assert_int_equal(o_->len, (uint32_t)(l));                              \
		assert_int_equal(o_->flags & ~((f)&MG_TCP_PSH ? 0 : MG_TCP_PSH), (f)); \
	} while (0)
#define FB_TX_ACK(b, a)                                   \
	do {                                              \
		const struct fb_out *o_ = fb_tx(b);       \
		assert_non_null(o_);                      \
		assert_int_equal(o_->len, 0);             \
		assert_int_equal(o_->flags, MG_TCP_ACK);  \
		assert_int_equal(o_->ack, (uint32_t)(a)); \
	} while (0)
#define FB_TX_NONE(b) assert_int_equal(fb_tx_pending(b), 0)
#endif
