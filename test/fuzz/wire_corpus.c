/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_corpus.c - writes the seeds of wire_fuzz: one good frame of each kind.
 *
 * Use:     wire_corpus DIR
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/bits.h"
#include "proto/wire/checksum.h"
#include "proto/wire/frame.h"

static const struct mg_addr v4a = { .b = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 1 } };
static const struct mg_addr v4b = { .b = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 2 } };
static const struct mg_addr v6a = { .b = { 0xfd, [15] = 1 } };
static const struct mg_addr v6b = { .b = { 0xfd, [15] = 2 } };
/* Receive flags: nothing verified; cuts in the middle of things. */
static const uint8_t head[] = { 0, 0, 3, 0, 5 };

static const struct {
	const char *name;
	uint16_t flags;
	uint8_t opts;
	uint8_t v6;
	uint32_t payload;
} tcp_seeds[] = {
	{ "syn", MG_TCP_SYN, MG_SEG_OPT_MSS | MG_SEG_OPT_SACK_PERM | MG_SEG_OPT_TS | MG_SEG_OPT_WS,
	  0, 0 },
	{ "syn_ack", MG_TCP_SYN | MG_TCP_ACK, MG_SEG_OPT_MSS | MG_SEG_OPT_SACK_PERM | MG_SEG_OPT_WS,
	  0, 0 },
	{ "ack", MG_TCP_ACK, 0, 0, 0 },
	{ "data", MG_TCP_ACK | MG_TCP_PSH, MG_SEG_OPT_TS, 0, 33 },
	{ "sack", MG_TCP_ACK, MG_SEG_OPT_TS | MG_SEG_OPT_SACK, 0, 0 },
	{ "fin", MG_TCP_FIN | MG_TCP_ACK, MG_SEG_OPT_TS, 0, 1 },
	{ "rst", MG_TCP_RST, 0, 0, 0 },
	{ "v6_data", MG_TCP_ACK, MG_SEG_OPT_TS, 1, 20 },
};

static int write_seed(const char *dir, const char *name, const uint8_t *frame, uint32_t len)
{
	char path[512];
	FILE *f;
	int err;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name); /* a path cut short does not open */
	f = fopen(path, "wb");
	if (f == NULL) {
		perror(path);
		return -1;
	}
	err = fwrite(head, 1, sizeof(head), f) != sizeof(head) || fwrite(frame, 1, len, f) != len;
	return fclose(f) != 0 || err ? -1 : 0;
}

static uint32_t build_tcp(uint8_t *buf, size_t seed)
{
	struct mg_frame_spec spec = { .dmac = { .b = { 2, 0, 0, 0, 0, 2 } },
				      .smac = { .b = { 2, 0, 0, 0, 0, 1 } },
				      .src = tcp_seeds[seed].v6 ? &v6a : &v4a,
				      .dst = tcp_seeds[seed].v6 ? &v6b : &v4b,
				      .ttl = 64,
				      .csum = MG_TX_CSUM_FULL,
				      .payload_len = tcp_seeds[seed].payload,
				      .tcp = { .sport = 1000,
					       .dport = 80,
					       .seq = 1,
					       .ack = 2,
					       .flags = tcp_seeds[seed].flags,
					       .wnd = 65535,
					       .opts = tcp_seeds[seed].opts,
					       .mss = 1460,
					       .ws = 8,
					       .tsval = 3,
					       .tsecr = 4,
					       .nr_sack = 2,
					       .sack = { { 10, 20 }, { 30, 40 } } } };
	uint32_t hdr = mg_wire_eth_ip_tcp_hdr_len(&spec);

	memset(buf + hdr, 'x', spec.payload_len);
	spec.payload_sum = mg_csum_add(0, buf + hdr, spec.payload_len);
	return mg_wire_emit_eth_ip_tcp(buf, &spec) + spec.payload_len;
}

static uint32_t build_echo(uint8_t *buf)
{
	static const struct mg_mac mac;
	const struct mg_ip_spec ip = {
		.src = &v4a, .dst = &v4b, .l4_len = 16, .proto = 1, .ttl = 64
	};
	uint8_t *icmp = buf + MG_ETH_HLEN + MG_IPV4_HLEN;

	mg_wire_eth_emit(buf, &mac, &mac, MG_ETHERTYPE_IPV4);
	mg_wire_ip_emit(buf + MG_ETH_HLEN, &ip);
	memset(icmp, 0, 16);
	icmp[0] = MG_ICMP_ECHO;
	mg_csum_store(icmp + 2, mg_csum_add(0, icmp, 16));
	return MG_ETH_HLEN + MG_IPV4_HLEN + 16;
}

/* Echo over IPv6, behind hop-by-hop options, a routing header that has done its work, and destination options. */
static uint32_t build_echo6(uint8_t *buf)
{
	static const uint8_t ext[] = { 43, 0, 5, 2, 0,  0, 0, 0, 60, 0, 2, 0,
				       0,  0, 0, 0, 58, 0, 1, 4, 0,  0, 0, 0 };
	static const struct mg_mac mac;
	const struct mg_ip_spec ip = {
		.src = &v6a, .dst = &v6b, .l4_len = sizeof(ext) + 16, .proto = 0, .ttl = 64
	};
	uint8_t *icmp = buf + MG_ETH_HLEN + MG_IPV6_HLEN + sizeof(ext);

	mg_wire_eth_emit(buf, &mac, &mac, MG_ETHERTYPE_IPV6);
	mg_wire_ip_emit(buf + MG_ETH_HLEN, &ip);
	memcpy(icmp - sizeof(ext), ext, sizeof(ext));
	memset(icmp, 0, 16);
	icmp[0] = MG_ICMP6_ECHO;
	mg_csum_store(icmp + 2,
		      mg_csum_add(mg_csum_pseudo(&v6a, &v6b, MG_IPPROTO_ICMPV6, 16), icmp, 16));
	return (uint32_t)(icmp - buf) + 16;
}

static uint32_t build_nd(uint8_t *buf, uint8_t type)
{
	static const struct mg_mac mac = { { 2 } };
	const struct mg_nd_spec nd = { .type = type,
				       .src = &v6a,
				       .dst = &v6b,
				       .target = &v6b,
				       .smac = &mac,
				       .dmac = &mac,
				       .mac = &mac,
				       .flags = MG_ND_SOLICITED };

	return mg_wire_nd_emit_frame(buf, &nd);
}

int main(int argc, char **argv)
{
	const struct mg_arp_view arp = { .op = MG_ARP_REQUEST, .spa = v4a, .tpa = v4b };
	uint8_t buf[256];
	int err = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: wire_corpus DIR\n");
		return 2;
	}
	for (size_t i = 0; i < MG_ARRAY_SIZE(tcp_seeds); i++)
		err |= write_seed(argv[1], tcp_seeds[i].name, buf, build_tcp(buf, i));
	err |= write_seed(argv[1], "echo", buf, build_echo(buf));
	err |= write_seed(argv[1], "echo6", buf, build_echo6(buf));
	err |= write_seed(argv[1], "nd_solicit", buf, build_nd(buf, MG_ICMP6_NEIGHBOR_SOLICIT));
	err |= write_seed(argv[1], "nd_advert", buf, build_nd(buf, MG_ICMP6_NEIGHBOR_ADVERT));
	err |= write_seed(argv[1], "arp", buf, mg_wire_arp_emit_frame(buf, &arp));
	return err == 0 ? 0 : 1;
}
