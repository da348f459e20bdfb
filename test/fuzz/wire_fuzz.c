/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_fuzz.c - any bytes as a frame in several buffers, and what we write as a frame again.
 *
 * Idea:    three properties. How a frame is cut into buffers does not change what it says (as long as the
 *          first holds the headers). What the parser accepted as TCP, written out by our emitter and
 *          parsed again, says the same. An echo request that was accepted can be answered.
 *          Input: receive flags, two cut positions (16 bits each), then the frame.
 * Use:     scripts/fuzz wire
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/wire/frame.h"

#define HEAD 5
#define FRAME_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool right)
{
	if (!right)
		abort();
}

/* A block of exactly that size, so that AddressSanitizer sees one byte too many. */
static uint8_t *dup_bytes(const uint8_t *bytes, uint32_t len)
{
	uint8_t *p = malloc(len > 0 ? len : 1);

	require(p != NULL);
	memcpy(p, bytes, len);
	return p;
}

static void require_same(const struct mg_seg *a, const struct mg_seg *b)
{
	require(mg_tuple_eq(&a->tuple, &b->tuple) && a->seq == b->seq && a->ack == b->ack);
	require(a->payload_len == b->payload_len && a->wnd == b->wnd && a->flags == b->flags);
	require(a->opts == b->opts && a->urg == b->urg);
	if (a->opts & MG_SEG_OPT_TS)
		require(a->tsval == b->tsval && a->tsecr == b->tsecr);
	if (a->opts & MG_SEG_OPT_MSS)
		require(a->mss == b->mss);
	if (a->opts & MG_SEG_OPT_WS)
		require(a->ws == b->ws);
}

/* Cuts the frame behind its headers, and again behind that; both parts in blocks of their own. */
static void check_in_buffers(const struct mg_frame_view *whole, const uint8_t *frame, uint32_t len,
			     const uint8_t *head)
{
	uint32_t payload_at = (uint32_t)(whole->seg.payload.data - frame);
	uint32_t cut1 = payload_at + mg_load_be16(head + 1) % (len - payload_at + 1);
	uint32_t cut2 = cut1 + mg_load_be16(head + 3) % (len - cut1 + 1);
	uint8_t *b1 = dup_bytes(frame, cut1), *b2 = dup_bytes(frame + cut1, cut2 - cut1);
	uint8_t *b3 = dup_bytes(frame + cut2, len - cut2);
	const struct mg_chunk c3 = { .data = b3, .len = len - cut2 };
	const struct mg_chunk c2 = { .data = b2, .len = cut2 - cut1, .next = &c3 };
	const struct mg_frame_bytes in = {
		.data = b1, .len = cut1, .rx_flags = head[0], .more = &c2
	};
	static uint8_t one[FRAME_MAX], other[FRAME_MAX];
	struct mg_frame_view view;

	require(mg_wire_parse_packet(&in, &view) == 0 && view.kind == MG_FRAME_TCP);
	require_same(&whole->seg, &view.seg);
	mg_seg_copy(&whole->seg, 0, one, whole->seg.payload_len);
	mg_seg_copy(&view.seg, 0, other, view.seg.payload_len);
	require(memcmp(one, other, view.seg.payload_len) == 0);
	free(b1);
	free(b2);
	free(b3);
}

static void check_emit(const struct mg_seg *seg)
{
	struct mg_frame_spec spec = { .src = &seg->tuple.raddr,
				      .dst = &seg->tuple.laddr,
				      .ttl = seg->ttl,
				      .csum = MG_TX_CSUM_FULL,
				      .tcp = { .sport = seg->tuple.rport,
					       .dport = seg->tuple.lport,
					       .seq = seg->seq,
					       .ack = seg->ack,
					       .flags = seg->flags,
					       .wnd = seg->wnd,
					       .urg = seg->urg,
					       .opts = seg->opts,
					       .mss = seg->mss,
					       .ws = seg->ws,
					       .tsval = seg->tsval,
					       .tsecr = seg->tsecr,
					       .nr_sack = seg->nr_sack } };
	uint8_t buf[MG_WIRE_HDR_MAX];
	struct mg_frame_view view;
	uint32_t len = mg_wire_eth_ip_tcp_hdr_len(&spec);

	for (uint32_t i = 0; i < seg->nr_sack; i++)
		spec.tcp.sack[i] = seg->sack[i];
	require(mg_wire_emit_eth_ip_tcp(buf, &spec) == len && len <= sizeof(buf));
	require(mg_wire_parse_frame(buf, len, 0, &view) == 0 && view.kind == MG_FRAME_TCP);
	view.seg.payload_len = seg->payload_len; /* the one thing that was not written */
	require_same(seg, &view.seg);
}

static void check_echo(const struct mg_frame_view *view)
{
	bool v6 = view->ip.version == 6;
	uint32_t len = (v6 ? MG_IPV6_HLEN : MG_IPV4_HLEN) + view->ip.l4_len;
	uint8_t *reply;

	if (!view->icmp.is_echo)
		return;
	reply = malloc(len);
	require(reply != NULL);
	if (v6)
		require(mg_wire_icmp6_echo_reply(reply, &view->ip, &view->ip.dst, 64) == len);
	else
		require(mg_wire_icmp_echo_reply(reply, &view->ip, 64) == len);
	free(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_frame_view view;
	uint8_t *frame;
	uint32_t len;

	if (size < HEAD || size > HEAD + FRAME_MAX)
		return -1;
	len = (uint32_t)(size - HEAD);
	frame = dup_bytes(data + HEAD, len);
	memset(&view, 0, sizeof(view));
	if (mg_wire_parse_frame(frame, len, data[0], &view) == 0) {
		if (view.kind == MG_FRAME_TCP) {
			check_in_buffers(&view, frame, len, data);
			check_emit(&view.seg);
		} else if (view.kind == MG_FRAME_ICMP) {
			check_echo(&view);
		}
	}
	free(frame);
	return 0;
}
