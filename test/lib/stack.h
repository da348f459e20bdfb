/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack.h - a whole mango host in one object: both cores, one worker, one application region.
 *
 * Idea:    what mangod does with threads, rings and ports, a stack does with calls: frames in, frames out,
 *          a clock that the caller owns. The same core objects as in the daemon; the app region is ordinary
 *          memory; the application's side of it is test/lib/sim_app. Used by the simulator and by tests that
 *          need both paths at once.
 * Use:     1. mg_stack_new()  2. mg_stack_request() to listen or connect  3. mg_stack_rx() for frames,
 *          mg_stack_turn() whenever something happened or mg_stack_next_ns() is due  4. mg_stack_free()
 * Threads: one.
 */
#ifndef MG_TEST_STACK_H
#define MG_TEST_STACK_H
#include <stdbool.h>
#include <stdint.h>

#include "fastpath/core/fp.h"
#include "slowpath/core/slow.h"

struct mg_stack_conf {
	struct mg_addr addr;
	uint8_t prefix;
	struct mg_addr
		addr6; /* any: no IPv6; else in a /64, and a link-local address comes with it */
	struct mg_mac mac;
	uint16_t mtu;
	bool gso; /* its port takes frames of up to 64 KiB, by reference (test/lib/bigframe) */
	bool gro; /* ... and merges what arrives between two turns */
	uint64_t seed;
	uint64_t now_ns;
	uint32_t conns_max;
	uint64_t payload_bytes; /* of the app region */
	struct mg_slow_conf tcp;
	/* A frame leaves. The bytes are the callee's to copy, not to keep. */
	void (*tx)(void *ctx, const uint8_t *frame, uint32_t len);
	void *ctx;
};

struct mg_stack;

/* Sensible parameters: the defaults of the configuration schema. */
void mg_stack_conf_default(struct mg_stack_conf *conf);
/* Aborts the test on failure. */
struct mg_stack *mg_stack_new(const struct mg_stack_conf *conf);
void mg_stack_free(struct mg_stack *s);

void mg_stack_rx(struct mg_stack *s, const uint8_t *frame, uint32_t len, uint64_t now_ns);
/* Runs everything that is ready at now_ns, until nothing moves any more. */
void mg_stack_turn(struct mg_stack *s, uint64_t now_ns);
uint64_t mg_stack_next_ns(const struct mg_stack *s);
/* Sends a control request; true if the reply is in msg already. */
bool mg_stack_request(struct mg_stack *s, struct mg_ctl_msg *msg, uint64_t now_ns);

struct mg_app *mg_stack_app(struct mg_stack *s);
struct mg_slow *mg_stack_slow(struct mg_stack *s);
struct mg_fp *mg_stack_fp(struct mg_stack *s);
/* Takes the application away as its death would (RST for what is open); true once everything is freed. */
void mg_stack_kill_app(struct mg_stack *s, uint64_t now_ns);
bool mg_stack_app_is_gone(const struct mg_stack *s);
/* Packets the engine asked for and never sent: must be 0 after every turn. */
uint32_t mg_stack_pkts_held(const struct mg_stack *s);
/* Every second allocation out of `n` fails from now on (0: none). */
void mg_stack_starve(struct mg_stack *s, uint32_t one_in_n);
/* Bytes of the region that payload rings take. */
uint64_t mg_stack_held_bytes(const struct mg_stack *stack);
void mg_stack_check(const struct mg_stack *s);
/* Value of a counter of either core by name; 0 when there is none. */
uint64_t mg_stack_counter(const struct mg_stack *s, const char *name);
#endif
