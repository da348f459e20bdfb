/* SPDX-License-Identifier: Apache-2.0 */
/* bigframe.c - see bigframe.h. */
#include "test/lib/bigframe.h"

#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/endian.h"
#include "proto/wire/checksum.h"
#include "proto/wire/frame.h"
#include "proto/wire/tcp.h"

#define MERGED_MAX 65000

/* Lengths and checksums of a frame whose headers are otherwise right. */
static void finish(uint8_t *ip, uint32_t l3_len, uint32_t l4_len, bool is_v6)
{
	uint8_t *tcp = ip + l3_len;
	struct mg_addr src, dst;

	mg_store_be16(tcp + 16, 0);
	if (is_v6) {
		memcpy(src.b, ip + 8, 16);
		memcpy(dst.b, ip + 24, 16);
		mg_store_be16(ip + 4, (uint16_t)l4_len);
	} else {
		src = mg_addr_v4(mg_load_be32(ip + 12));
		dst = mg_addr_v4(mg_load_be32(ip + 16));
		mg_store_be16(ip + 2, (uint16_t)(l3_len + l4_len));
		mg_store_be16(ip + 10, 0);
		mg_csum_store(ip + 10, mg_csum_add(0, ip, l3_len));
	}
	mg_csum_store(tcp + 16,
		      mg_csum_add(mg_csum_pseudo(&src, &dst, MG_IPPROTO_TCP, l4_len), tcp, l4_len));
}

uint32_t mg_bigframe_flatten(const struct mg_fp_pkt *pkt, bool whole_csum, uint8_t *buf)
{
	uint8_t *ip = buf + pkt->l2_len;
	uint8_t *tcp = ip + pkt->l3_len;
	uint32_t len = pkt->len;

	memcpy(buf, pkt->data, pkt->len);
	for (uint32_t i = 0; i < 2 && pkt->lent[i].bytes != 0; i++) {
		MG_ASSERT(len + pkt->lent[i].bytes <= MG_BIGFRAME_BYTES);
		memcpy(buf + len, pkt->lent[i].data, pkt->lent[i].bytes);
		len += pkt->lent[i].bytes;
	}
	MG_ASSERT(pkt->part_csum || pkt->lent[0].bytes == 0);
	if (!pkt->part_csum)
		return len;
	if (whole_csum && !pkt->is_v6) {
		MG_ASSERT((ip[10] | ip[11]) == 0);
		mg_csum_store(ip + 10, mg_csum_add(0, ip, pkt->l3_len));
	}
	/* The field holds the pseudo-header's sum: what is added up is the whole. */
	mg_csum_store(tcp + 16, mg_csum_add(0, tcp, len - pkt->l2_len - pkt->l3_len));
	return len;
}

void mg_bigframe_split(const struct mg_fp_pkt *pkt, const uint8_t *frame, uint32_t len,
		       void (*tx)(void *ctx, const uint8_t *frame, uint32_t len), void *ctx)
{
	uint32_t hdr_len = (uint32_t)pkt->l2_len + pkt->l3_len + pkt->l4_len;
	uint32_t l4 = (uint32_t)pkt->l2_len + pkt->l3_len;
	uint32_t seq = mg_load_be32(frame + l4 + 4);
	uint16_t flags = mg_load_be16(frame + l4 + 12);
	uint16_t id = mg_load_be16(frame + pkt->l2_len + 4);
	uint8_t out[16384];

	if (pkt->gso_size == 0 || len - hdr_len <= pkt->gso_size) {
		tx(ctx, frame, len);
		return;
	}
	for (uint32_t at = hdr_len; at < len; at += pkt->gso_size) {
		uint32_t n = mg_min_u32(pkt->gso_size, len - at);
		bool last = at + n == len;

		MG_ASSERT(hdr_len + n <= sizeof(out));
		memcpy(out, frame, hdr_len);
		memcpy(out + hdr_len, frame + at, n);
		mg_store_be32(out + l4 + 4, seq + (at - hdr_len));
		mg_store_be16(out + l4 + 12,
			      (uint16_t)(flags & ~(last ? 0 : MG_TCP_PSH | MG_TCP_FIN) &
					 ~(at == hdr_len ? 0 : MG_TCP_CWR)));
		if (!pkt->is_v6)
			mg_store_be16(out + pkt->l2_len + 4, id++);
		finish(out + pkt->l2_len, pkt->l3_len, pkt->l4_len + n, pkt->is_v6);
		tx(ctx, out, hdr_len + n);
	}
}

/* Is it data, of the ordinary kind? Fills where its payload begins. */
static bool mergeable(const uint8_t *frame, uint32_t len, struct mg_frame_view *v,
		      uint32_t *ret_hdr)
{
	if (mg_wire_parse_frame(frame, len, 0, v) < 0 || v->kind != MG_FRAME_TCP)
		return false;
	if (v->seg.payload_len == 0 || (v->seg.flags & ~(uint32_t)MG_TCP_PSH) != MG_TCP_ACK)
		return false;
	*ret_hdr = (uint32_t)(v->seg.payload.data - frame);
	return *ret_hdr + v->seg.payload_len == len; /* no padding behind it */
}

/* All but lengths, identification, numbers and checksums alike; options byte by byte. */
static bool alike(const struct mg_bigmerge *m, const uint8_t *f, uint32_t hdr, bool v4)
{
	const uint8_t *a = m->frame;
	uint32_t l4 = hdr - (uint32_t)(f[14 + (v4 ? 20 : 40) + 12] >> 4) * 4;

	if (hdr != m->hdr_len || memcmp(a, f, 16) != 0)
		return false;
	if (v4 && (memcmp(a + 20, f + 20, 4) != 0 || memcmp(a + 26, f + 26, 8) != 0))
		return false;
	if (!v4 && memcmp(a + 20, f + 20, 34) != 0)
		return false;
	return memcmp(a + l4, f + l4, 4) == 0 && memcmp(a + l4 + 8, f + l4 + 8, 5) == 0 &&
	       memcmp(a + l4 + 14, f + l4 + 14, 2) == 0 &&
	       memcmp(a + l4 + 20, f + l4 + 20, hdr - l4 - 20) == 0;
}

static void begin(struct mg_bigmerge *m, const uint8_t *frame, uint32_t len,
		  const struct mg_frame_view *v, uint32_t hdr)
{
	memcpy(m->frame, frame, len);
	m->len = len;
	m->hdr_len = hdr;
	m->payload = v->seg.payload_len;
	m->gso_size = (uint16_t)v->seg.payload_len;
	m->end = v->seg.seq + v->seg.payload_len;
	m->closed = (v->seg.flags & MG_TCP_PSH) != 0;
}

bool mg_bigmerge_add(struct mg_bigmerge *m, const uint8_t *frame, uint32_t len)
{
	struct mg_frame_view v;
	uint32_t hdr;
	bool v4;

	if (!mergeable(frame, len, &v, &hdr))
		return false;
	if (m->len == 0) {
		begin(m, frame, len, &v, hdr);
		return true;
	}
	v4 = mg_addr_is_v4(&v.seg.tuple.raddr);
	if (m->closed || v.seg.seq != m->end || v.seg.payload_len > m->gso_size ||
	    m->len + v.seg.payload_len > MERGED_MAX || !alike(m, frame, hdr, v4))
		return false;
	memcpy(m->frame + m->len, frame + hdr, v.seg.payload_len);
	m->len += v.seg.payload_len;
	m->payload += v.seg.payload_len;
	m->end += v.seg.payload_len;
	m->closed = (v.seg.flags & MG_TCP_PSH) != 0 || v.seg.payload_len < m->gso_size;
	if (v.seg.flags & MG_TCP_PSH)
		m->frame[hdr - ((uint32_t)(frame[14 + (v4 ? 20 : 40) + 12] >> 4) * 4) +
			 13] |= MG_TCP_PSH;
	finish(m->frame + 14, v4 ? 20 : 40, m->len - 14 - (v4 ? 20 : 40), !v4);
	return true;
}
