/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip6ext.c - see ip6ext.h.
 */
#include "proto/wire/ip6ext.h"

#include <string.h>

#include "proto/base/endian.h"
#include "proto/wire/wire.h"

#define HOP_BY_HOP 0
#define ROUTING 43
#define FRAGMENT 44
#define AUTHENTICATION 51
#define NO_NEXT 59
#define DESTINATION 60
#define MOBILITY 135
#define HIP 139
#define SHIM6 140

#define OPT_PAD1 0
#define OPT_PADN 1
#define FRAGMENT_HLEN 8

/* Options that are to be skipped when unknown have 00 on top; we know none but padding. */
static int check_options(const uint8_t *p, uint32_t len)
{
	uint32_t nr = 0;

	while (len > 0) {
		uint32_t n = 1;

		if (p[0] != OPT_PAD1) {
			if (len < 2 || p[1] + 2u > len)
				return -MG_DROP_IP6_OPTION;
			n = p[1] + 2u;
			if (p[0] != OPT_PADN && (p[0] >> 6 != 0 || ++nr > MG_IP6EXT_OPTIONS_MAX))
				return -MG_DROP_IP6_OPTION;
		}
		p += n;
		len -= n;
	}
	return 0;
}

static int check_routing(const uint8_t *p)
{
	/* With none left it has done its work and is ignored (RFC 8200 4.4), but type 0 never (RFC 5095 3). */
	return p[2] == 0 || p[3] != 0 ? -MG_DROP_IP6_ROUTING : 0;
}

/* Ends the walk for real fragments. */
static int read_fragment(const uint8_t *p, struct mg_ip6ext_view *ext)
{
	uint16_t off = mg_load_be16(p + 2);

	ext->frag_off = off & 0xfff8;
	ext->more_fragments = (off & 1) != 0;
	ext->frag_id = mg_load_be32(p + 4);
	ext->is_fragment = ext->frag_off != 0 || ext->more_fragments;
	return 0;
}

/* *ret_len: of this header. */
static int read_header(uint8_t kind, const uint8_t *p, uint32_t left, struct mg_ip6ext_view *ext,
		       uint32_t *ret_len)
{
	uint32_t len = FRAGMENT_HLEN;

	if (left < 8)
		return -MG_DROP_IP_SHORT;
	if (kind != FRAGMENT)
		len = (p[1] + 1u) * 8;
	if (len > left)
		return -MG_DROP_IP_SHORT;
	*ret_len = len;
	switch (kind) {
	case HOP_BY_HOP:
	case DESTINATION:
		return check_options(p + 2, len - 2);
	case ROUTING:
		return check_routing(p);
	case FRAGMENT:
		return read_fragment(p, ext);
	default:
		return -MG_DROP_IP6_EXT; /* authentication and others: nobody here can judge them */
	}
}

static bool is_extension(uint8_t next)
{
	switch (next) {
	case HOP_BY_HOP:
	case ROUTING:
	case FRAGMENT:
	case AUTHENTICATION:
	case DESTINATION:
	case MOBILITY:
	case HIP:
	case SHIM6:
		return true;
	default:
		return false;
	}
}

int mg_wire_ip6ext_walk(uint8_t next, const uint8_t *p, uint32_t len,
			struct mg_ip6ext_view *ret_ext)
{
	memset(ret_ext, 0, sizeof(*ret_ext));
	for (uint32_t i = 0; is_extension(next) && !ret_ext->is_fragment; i++) {
		uint32_t n = 0;
		int err;

		if (i == MG_IP6EXT_HEADERS_MAX || (next == HOP_BY_HOP && i > 0))
			return -MG_DROP_IP6_CHAIN;
		err = read_header(next, p + ret_ext->len, len - ret_ext->len, ret_ext, &n);
		if (err < 0)
			return err;
		next = p[ret_ext->len];
		ret_ext->len += n;
		if (ret_ext->len > MG_IP6EXT_BYTES_MAX)
			return -MG_DROP_IP6_CHAIN;
	}
	ret_ext->proto = next;
	return next == NO_NEXT && !ret_ext->is_fragment ? -MG_DROP_IP6_EXT : 0;
}
