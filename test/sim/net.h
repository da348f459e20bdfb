/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - a simulated link between two hosts, on a virtual clock.
 *
 * Idea:    frames put in at one end come out at the other later, or not, or twice, or damaged, as a seeded
 *          generator says. Each direction has its own conditions and a bottleneck queue. All that is under
 *          way sits in one heap ordered by arrival; the clock jumps from one arrival to the next.
 * Threads: one.
 */
#ifndef MG_SIM_NET_H
#define MG_SIM_NET_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct mg_sim_link {
	uint64_t delay_ns;
	uint64_t jitter_ns; /* uniform; reorders when larger than the spacing */
	uint32_t loss_ppm;
	uint32_t burst_ppm;   /* with this probability of a frame nothing passes any more... */
	uint64_t burst_ns;    /* ...for so long */
	uint16_t mtu;         /* of a router on the way: larger IP packets vanish there; 0: none */
	bool mtu_is_told;     /* ...and an ICMP error says so (RFC 1191) */
	uint64_t mtu_from_ns; /* the route changes then */
	uint32_t dup_ppm;
	uint32_t reorder_ppm;  /* these frames are held back... */
	uint64_t reorder_ns;   /* ...this much longer */
	uint32_t corrupt_ppm;  /* one bit of the IP packet flips */
	uint64_t rate_Bps;     /* 0: infinite */
	uint32_t queue_bytes;  /* of the bottleneck; what does not fit is lost */
	uint32_t mark_bytes;   /* this deep it marks what can be marked (CE); 0: never */
	uint32_t mark_ppm;     /* these are marked by chance, if they can be */
	uint64_t dead_from_ns; /* nothing passes in this span (0, 0: never) */
	uint64_t dead_until_ns;
};

struct mg_sim_net;

struct mg_sim_frame {
	int to; /* 0 or 1 */
	uint32_t len;
	uint8_t *bytes;
};

struct mg_sim_net *mg_sim_net_new(uint64_t seed, const struct mg_sim_link conds[2]);
void mg_sim_net_free(struct mg_sim_net *net);
/* conds[d] holds for frames sent by host d. */
void mg_sim_net_set(struct mg_sim_net *net, int from, const struct mg_sim_link *cond);
/* Every frame that enters the link is written to this pcap file from now on. */
void mg_sim_net_capture(struct mg_sim_net *net, FILE *pcap);
/* Drops exactly the n-th (from 0) IP frame of a direction; call repeatedly for more (at most 16). */
void mg_sim_net_drop_nth(struct mg_sim_net *net, int from, uint64_t n);
void mg_sim_net_send(struct mg_sim_net *net, int from, const uint8_t *frame, uint32_t len,
		     uint64_t now_ns);
/* When does the next frame arrive? UINT64_MAX: none is under way. */
uint64_t mg_sim_net_next_ns(const struct mg_sim_net *net);
/* Takes a frame that has arrived by now_ns; the caller frees bytes. False: none. */
bool mg_sim_net_recv(struct mg_sim_net *net, uint64_t now_ns, struct mg_sim_frame *ret_frame);
uint64_t mg_sim_net_frames(const struct mg_sim_net *net);
uint64_t mg_sim_net_lost(const struct mg_sim_net *net);
uint64_t mg_sim_net_marked(const struct mg_sim_net *net);
/* Mean depth, in bytes, that the frames of a direction met at the bottleneck since this was last asked. */
uint64_t mg_sim_net_queue(struct mg_sim_net *net, int from);
#endif
