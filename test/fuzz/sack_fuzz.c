/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sack_fuzz.c - the sender's scoreboard against a naive model: one byte of memory per byte in flight.
 *
 * Idea:    the application writes, time passes, and ACKs with any blocks arrive. The model marks byte by byte what a
 *          valid block says (RFC 2018; a first block below the ACK or inside the second is a D-SACK, RFC 2883).
 *          After every operation the records marked SACKED must cover exactly the model's bytes, and their sum
 *          must be sacked_bytes. A time-out forgets the marks on both sides: the peer may have reneged.
 */
#include <string.h>

#include "test/lib/fp_builder.h"

#define RING 8192u
#define STREAM (1u << 17)

#define INPUT_MAX 512 /* bytes: one run stays short */

struct in {
	const uint8_t *p;
	size_t left;
};

static struct fb b;
static uint8_t sacked[STREAM]; /* by stream position */

static uint32_t u8(struct in *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static uint32_t u16(struct in *in)
{
	uint32_t hi = u8(in);

	return hi << 8 | u8(in);
}

static uint32_t rel(uint32_t seq)
{
	return seq - b.conf.iss - 1;
}

static uint32_t una(void)
{
	return rel(b.flow->snd_una);
}

static uint32_t nxt(void)
{
	return rel(b.flow->snd_nxt);
}

static void check(void)
{
	const struct mg_txrec *recs = b.fp->recs.recs;
	uint32_t sum = 0;

	for (uint32_t i = b.flow->rec_head; i != MG_FLOW_NONE; i = recs[i].next) {
		bool is_sacked = (recs[i].flags & MG_TXREC_SACKED) != 0;

		for (uint32_t p = rel(recs[i].start); p != rel(recs[i].end); p++) {
			MG_ASSERT((sacked[p] != 0) == is_sacked);
			sum += is_sacked;
		}
	}
	MG_ASSERT(sum == b.flow->sacked_bytes);
}

static bool is_dsack(const struct fb_seg *seg)
{
	const struct mg_sack_block *s = seg->sack;

	return (int32_t)(s[0].end - seg->ack) <= 0 ||
	       (seg->nr_sack > 1 && (int32_t)(s[0].start - s[1].start) >= 0 &&
		(int32_t)(s[1].end - s[0].end) >= 0);
}

/* Blocks below SND.UNA are old news; blocks beyond SND.NXT, empty and backward ones are nonsense. */
static void model(const struct fb_seg *seg, uint32_t new_una, uint32_t end)
{
	for (uint32_t i = 0; i < seg->nr_sack; i++) {
		int32_t from = (int32_t)seg->sack[i].start, to = (int32_t)seg->sack[i].end;

		if (from >= to || to > (int32_t)end || (i == 0 && is_dsack(seg)))
			continue;
		for (int32_t p = from < (int32_t)new_una ? (int32_t)new_una : from; p < to; p++)
			sacked[p] = 1;
	}
}

static void op_ack(struct in *in)
{
	uint32_t how = u8(in), flight = nxt() - una();
	struct fb_seg seg = { .ack = una(), .nr_sack = (uint8_t)(how & 3) + 1 };
	uint32_t timeouts = b.flow->timeouts, end = nxt();

	if (how & 4)
		seg.ack += u16(in) % (flight + 1);
	for (uint32_t i = 0; i < seg.nr_sack; i++) {
		/* Beyond the ACK by a byte at least: a block that begins at it contradicts it (reneging). */
		seg.sack[i].start = seg.ack + 1 + u16(in) % (flight + 3);
		if (u8(in) % 8 == 0)
			seg.sack[i].start = seg.ack - u8(in);
		seg.sack[i].end = seg.sack[i].start + u16(in) % (flight + 2);
		if (seg.sack[i].start == seg.ack || (int32_t)(seg.sack[i].start - seg.ack) < 0)
			seg.sack[i].end = seg.ack - u8(in) % 16; /* below it altogether */
	}
	model(&seg, seg.ack, end);
	fb_rx_seg(&b, &seg);
	MG_ASSERT(b.flow->timeouts <= timeouts);
	check();
	fb_flush(&b);
	check();
}

static void op_time(struct in *in)
{
	uint64_t before = fb_stat(&b, MG_FPS_RTOS);

	fb_run(&b, FB_US(u16(in)) << u8(in) % 6);
	if (fb_stat(&b, MG_FPS_RTOS) != before)
		memset(sacked, 0, sizeof(sacked));
	check();
}

static void op_write(struct in *in)
{
	uint32_t room = RING - (uint32_t)(b.app_written - una());

	if (b.app_written + RING < STREAM)
		fb_app_write(&b, mg_min_u32(room, 1 + u16(in)));
	fb_set_cc(&b, 400 + u16(in) % 8192, 400 + u16(in) % 8192);
	check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size < INPUT_MAX ? size : INPUT_MAX };
	struct fb_conf conf = { .iss = 0xffff8000u,
				.flags = MG_FLOW_SACK,
				.mss = 200,
				.snd_wnd = 60000,
				.tx_bytes = RING,
				.cwnd = 6000,
				.srtt_us = 20000,
				.txrecs_max = 8192 };

	memset(sacked, 0, sizeof(sacked));
	fb_open(&b, &conf);
	fb_app_write(&b, 7000);
	while (in.left != 0) {
		switch (u8(&in) % 8) {
		case 0:
			op_time(&in);
			break;
		case 1:
			op_write(&in);
			break;
		default:
			op_ack(&in);
			break;
		}
		fb_tx_clear(&b);
		b.nr_ev = 0;
	}
	fb_close(&b);
	return 0;
}
