/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay_link.h - one direction of a bad network: what happens to each frame, and when it comes out.
 *
 * Idea:    a frame is lost, damaged, marked, doubled or held back as a seeded generator says, passes a bottleneck
 *          with a bounded queue, and waits for its delay. What is under way lies in a heap by time. The order
 *          of frames alone moves the generator: the same frames and seed give the same fate.
 *          Only IP frames are touched; ARP and neighbour discovery of the links in between pass delayed, but whole.
 * Use:     relay_link_offer() for each frame that comes in, relay_link_take() for what is due.
 * Threads: one.
 * Memory:  frames are copied; at most RELAY_HELD_MAX bytes.
 */
#ifndef MG_RELAY_LINK_H
#define MG_RELAY_LINK_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/rng.h"

#define RELAY_HELD_MAX (512u << 20)

/* X(name, help): settings of a direction, all numbers. */
#define RELAY_SETTINGS(X)                                                               \
	X(delay_us, "delay of each frame")                                              \
	X(jitter_us, "random addition to it; frames stay in order")                     \
	X(loss_ppm, "frames lost, in a million")                                        \
	X(burst_ppm, "frames that begin a burst of losses ...")                         \
	X(burst_len, "... of so many frames")                                           \
	X(reorder_ppm, "frames that are held back ...")                                 \
	X(reorder_us, "... for so much longer, and overtaken")                          \
	X(dup_ppm, "frames that come twice")                                            \
	X(corrupt_ppm, "frames in which a bit of the IP packet flips")                  \
	X(rate_kbit, "bottleneck, thousand bits a second with link headers; 0: none")   \
	X(queue_bytes, "its queue; what does not fit is lost; 0: 100 ms of the rate")   \
	X(queue_packets, "another bound of it; 0: none")                                \
	X(ce_bytes, "a longer queue marks ECN-capable packets; 0: never")               \
	X(mtu, "longer IP packets are lost; 0: none are")                               \
	X(icmp, "1: and the sender is told so (if it is IPv6, or said Don't Fragment)") \
	X(drop_nth, "the n-th IP frame from now on is lost, counted from 1; 0: none")   \
	X(down, "1: nothing passes")

/* X(name): counters of a direction. */
#define RELAY_COUNTERS(X) \
	X(in)             \
	X(in_bytes)       \
	X(out)            \
	X(out_bytes)      \
	X(lost)           \
	X(queue_lost)     \
	X(duplicated)     \
	X(reordered)      \
	X(corrupted)      \
	X(ce_marked)      \
	X(too_big)        \
	X(memory_lost)    \
	X(send_failed)    \
	X(queue_max_bytes)

struct relay_conf {
#define RELAY_X(name, help) uint64_t name;
	RELAY_SETTINGS(RELAY_X)
#undef RELAY_X
};

struct relay_stats {
#define RELAY_X(name) uint64_t name;
	RELAY_COUNTERS(RELAY_X)
#undef RELAY_X
};

struct relay_frame {
	uint64_t due_ns;
	uint64_t order; /* of frames due at the same time */
	uint32_t len;
	uint8_t bytes[];
};

struct relay_link {
	struct relay_conf conf;
	struct relay_stats stats;
	struct mg_rng rng;
	uint64_t free_ns; /* when the bottleneck has sent what it holds */
	uint64_t last_ns; /* due time of the last frame in order */
	uint64_t order;
	uint64_t held_bytes;
	uint32_t burst_left;
	uint32_t queued; /* a bound of packets in the bottleneck: times they leave it, oldest first */
	uint64_t *leave_ns;
	uint32_t leave_head, leave_room;
	struct relay_frame **heap;
	uint32_t nr, room;
};

void relay_link_init(struct relay_link *l, uint64_t seed);
void relay_link_free(struct relay_link *l);
/* Sets one setting by name; false: there is none. */
bool relay_link_set(struct relay_link *l, const char *name, uint64_t value);
/*
 * A frame came in. Returns the length of an ICMP frame for its sender in `answer` (RELAY_ANSWER_MAX bytes), or 0.
 */
#define RELAY_ANSWER_MAX 1300
uint32_t relay_link_offer(struct relay_link *l, const uint8_t *frame, uint32_t len, uint64_t now_ns,
			  uint8_t *answer);
/* When is the next frame due? UINT64_MAX: none is under way. */
uint64_t relay_link_next_ns(const struct relay_link *l);
/* Takes a frame that is due; the caller frees it. NULL: none. */
struct relay_frame *relay_link_take(struct relay_link *l, uint64_t now_ns);
#endif
