/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cc.h - congestion control: samples in, window and rate out.
 *
 * Idea:    an algorithm is one file with one const table. It reads only the sample, writes only cwnd, ssthresh
 *          and pacing_Bps, keeps its state in `priv`, uses integers only, and cites its RFC. The list
 *          mg_cc_all[] is the only place that knows them all. Most let cc.c decide who is called for what
 *          (on_ack, on_loss, ...); one that governs itself gives on_sample and gets every sample as it is.
 * Use:     1. mg_cc_find()  2. mg_cc_init()  3. mg_cc_sample() for each sample of the worker.
 * Threads: owned by the slow path.
 */
#ifndef MG_CC_H
#define MG_CC_H
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#define MG_CC_NAME_MAX 16
#define MG_CC_PRIV_BYTES 328
#define MG_CC_SSTHRESH_INF UINT32_MAX

/* Deltas since the previous sample; flags are enum mg_sample_flag of proto/path/msg.h. */
struct mg_cc_sample {
	uint64_t now_ns;
	uint32_t flags;
	uint32_t acked_bytes;
	uint32_t lost_bytes;
	uint32_t ecn_bytes;
	uint32_t rtt_us; /* 0: none */
	uint32_t srtt_us;
	uint32_t inflight_bytes;
	uint32_t prior_inflight_bytes;
	uint64_t delivered_bytes;
	uint64_t delivery_Bps;           /* 0: none */
	uint64_t prior_delivered_bytes;  /* when the newest range delivered was sent */
	uint32_t rate_bytes;             /* delivered in the interval of delivery_Bps */
	uint32_t tx_inflight_bytes;      /* in flight when the newest range delivered was sent */
	uint32_t tx_lost_bytes;          /* lost since */
	uint32_t loss_tx_inflight_bytes; /* the same for the newest range lost; 0: none was */
	uint32_t loss_tx_lost_bytes;
};

struct mg_cc;

enum mg_cc_flag {
	MG_CC_PACED = 1 << 0,     /* pacing is part of it, whatever the configuration says */
	MG_CC_OWN_CWND = 1 << 1,  /* its cwnd holds in recovery and after idling: no PRR */
	MG_CC_EXACT_CE = 1 << 2,  /* the receiver echoes CE as RFC 8257 says */
	MG_CC_NEEDS_ECN = 1 << 3, /* asks for ECN, whatever the configuration says */
};

struct mg_cc_ops {
	char name[MG_CC_NAME_MAX];
	uint32_t flags;                                  /* enum mg_cc_flag */
	void (*init)(struct mg_cc *cc, uint64_t now_ns); /* required */
	void (*on_sample)(struct mg_cc *cc,
			  const struct mg_cc_sample *s);                /* instead of all below */
	void (*on_any)(struct mg_cc *cc, const struct mg_cc_sample *s); /* optional: every sample */
	void (*on_ack)(struct mg_cc *cc, const struct mg_cc_sample *s); /* required */
	void (*on_loss)(struct mg_cc *cc,
			const struct mg_cc_sample *s); /* required: recovery entered or ECE */
	void (*on_rto)(struct mg_cc *cc, const struct mg_cc_sample *s);       /* required */
	void (*on_recovered)(struct mg_cc *cc, const struct mg_cc_sample *s); /* optional */
	void (*on_undo)(struct mg_cc *cc, const struct mg_cc_sample *s);      /* optional */
	void (*on_idle)(struct mg_cc *cc,
			const struct mg_cc_sample *s); /* optional; default: restart window */
	const char *(*phase)(const struct mg_cc *cc);  /* optional: what it does now, for people */
};

struct mg_cc {
	const struct mg_cc_ops *ops;
	uint32_t mss;
	uint32_t cwnd;     /* bytes */
	uint32_t ssthresh; /* bytes */
	uint32_t iw_bytes;
	uint64_t pacing_Bps;
	/* Kept by mg_cc_sample() for all algorithms; they may read it. */
	uint64_t round_end; /* delivered_bytes at which the window of the last reduction has passed */
	uint64_t rto_delivered; /* delivered_bytes at the last time-out */
	uint32_t srtt_us;       /* 0: not known */
	uint32_t prior_cwnd;    /* before the last reduction, for undo */
	uint32_t prior_ssthresh;
	bool in_recovery; /* between LOSS and RECOVERED: no growth */
	bool in_rto;      /* a time-out happened and nothing was delivered since */
	bool in_cwr;      /* an echo was heard; no growth until round_end */
	bool abe;         /* an echo costs less than a loss (RFC 8511) */
	bool keep_idle;   /* no restart window after idling */
	alignas(8) uint8_t priv[MG_CC_PRIV_BYTES];
};

extern const struct mg_cc_ops *const mg_cc_all[]; /* NULL-terminated; the only list */

/* The algorithm of that name, or NULL. */
const struct mg_cc_ops *mg_cc_find(const char *name);
/* rtt_us: of the handshake; 0: not known. */
void mg_cc_init(struct mg_cc *cc, const struct mg_cc_ops *ops, uint32_t mss, uint32_t iw_bytes,
		uint32_t rtt_us, uint64_t now_ns);
/* Dispatches on the sample's flags; true if cwnd, ssthresh or pacing changed. */
bool mg_cc_sample(struct mg_cc *cc, const struct mg_cc_sample *s);
/* Keeps cwnd and ssthresh, changes the algorithm (TCP_CONGESTION on a live connection). */
void mg_cc_switch(struct mg_cc *cc, const struct mg_cc_ops *ops, uint64_t now_ns);
/* What the algorithm does now, in a word. */
const char *mg_cc_phase(const struct mg_cc *cc);
#endif
