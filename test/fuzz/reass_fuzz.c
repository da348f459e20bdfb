/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reass_fuzz.c - reassembly against a naive model: one byte of memory per byte of sequence space.
 *
 * Idea:    the input is a list of segments beyond a gap and of moves of rcv_nxt. The model remembers each byte;
 *          after every operation the intervals must be the model's runs, the duplicate verdict must be the
 *          model's, and every SACK block that would be sent must be one whole run, the newest first (RFC 2018).
 */
#include <stdlib.h>
#include <string.h>

#include "fastpath/core/engine.h"

#define SPAN 8192u
#define POOL 64u
#define BASE 0xfffff000u /* the numbers wrap on the way */

struct in {
	const uint8_t *p;
	size_t left;
};

static struct mg_fp fp;
static struct mg_flow flow;
static struct mg_reass items[POOL];
static uint8_t have[1u << 17]; /* [sequence number - BASE] */

static uint32_t u16(struct in *in)
{
	uint32_t v = 0;

	for (int i = 0; i < 2; i++) {
		v = v << 8 | (in->left > 0 ? *in->p : 0);
		if (in->left > 0) {
			in->p++;
			in->left--;
		}
	}
	return v;
}

static uint32_t at(uint32_t seq)
{
	MG_ASSERT(seq - BASE < sizeof(have));
	return seq - BASE;
}

static bool is_all_there(uint32_t start, uint32_t end)
{
	for (uint32_t s = start; s != end; s++)
		if (!have[at(s)])
			return false;
	return true;
}

/* [start, end) is a whole run of the model. */
static bool is_run(uint32_t start, uint32_t end)
{
	return start != end && is_all_there(start, end) && !have[at(start - 1)] && !have[at(end)];
}

static uint32_t count_runs(void)
{
	uint32_t runs = 0;

	for (uint32_t s = flow.rcv_nxt; s != flow.rcv_nxt + SPAN; s++)
		runs += have[at(s)] && !have[at(s - 1)];
	return runs;
}

static void check(void)
{
	struct mg_sack_block blocks[MG_SACK_BLOCKS_MAX];
	uint8_t n = mg_reass_sacks(&fp, &flow, MG_SACK_BLOCKS_MAX, blocks);
	uint32_t runs = count_runs();

	mg_reass_check(&fp, &flow);
	MG_ASSERT(flow.nr_ooo == runs);
	for (uint32_t i = flow.ooo_head; i != MG_FLOW_NONE; i = items[i].next)
		MG_ASSERT(is_run(items[i].start, items[i].end));
	MG_ASSERT(n <= runs);
	for (uint8_t i = 0; i < n; i++) {
		MG_ASSERT(is_run(blocks[i].start, blocks[i].end));
		for (uint8_t k = 0; k < i; k++)
			MG_ASSERT(blocks[k].start != blocks[i].start);
	}
}

static void op_insert(struct in *in)
{
	uint32_t start = flow.rcv_nxt + 1 + u16(in) % (SPAN - 2);
	uint32_t room = flow.rcv_nxt + SPAN - 1 - start;
	uint32_t end = start + 1 + u16(in) % mg_max_u32(room, 1);
	bool was_there = is_all_there(start, end), dup = false;
	struct mg_sack_block first;

	if (!mg_reass_insert(&fp, &flow, start, end, &dup)) {
		MG_ASSERT(fp.ooos.nr_used == POOL || flow.nr_ooo == MG_FP_OOO_PER_FLOW);
		return;
	}
	MG_ASSERT(dup == was_there);
	for (uint32_t s = start; s != end; s++)
		have[at(s)] = 1;
	MG_ASSERT(mg_reass_sacks(&fp, &flow, 1, &first) == 1);
	MG_ASSERT(mg_seq_leq(first.start, start) && mg_seq_leq(end, first.end));
}

static void op_advance(struct in *in)
{
	uint32_t seq = flow.rcv_nxt + 1 + u16(in) % SPAN, expected = seq, got;

	if (at(seq) + 3 * SPAN > sizeof(have))
		return;
	while (have[at(expected)])
		expected++;
	got = mg_reass_advance(&fp, &flow, seq);
	MG_ASSERT(got == expected);
	memset(&have[at(flow.rcv_nxt)], 0, got - flow.rcv_nxt);
	flow.rcv_nxt = got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size };

	memset(&flow, 0, sizeof(flow));
	memset(have, 0, sizeof(have));
	mg_reass_init(&fp.ooos, items, POOL);
	flow.rcv_nxt = BASE + 1;
	flow.rx_mask = 2 * SPAN - 1;
	flow.ooo_head = MG_FLOW_NONE;
	flow.opts = MG_FLOW_SACK;
	while (in.left != 0) {
		if (*in.p % 8 < 6)
			op_insert(&in);
		else
			op_advance(&in);
		check();
	}
	mg_reass_free_all(&fp, &flow);
	MG_ASSERT(fp.ooos.nr_used == 0);
	return 0;
}
