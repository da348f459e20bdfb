/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synflood.c - sends SYNs from random addresses that do not exist: synflood ADDR PORT COUNT PER_SECOND.
 *
 * Idea:    raw IP packets, 64 with each system call, at a steady pace; sources are 198.18.0.0/15 (RFC 2544) with
 *          random ports and sequence numbers. Prints how many left. For namespaces made by tests only.
 * Threads: one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/addr.h"
#include "proto/base/rng.h"
#include "proto/base/time.h"
#include "proto/wire/tcp.h"

#define BATCH 64
#define SOURCES 0xc6120000u /* 198.18.0.0 */
#define SOURCES_MASK 0x1ffffu

struct flood {
	int fd;
	struct mg_addr dst;
	uint16_t port;
	struct sockaddr_in to;
	struct mg_rng rng;
	uint8_t packets[BATCH][MG_WIRE_HDR_MAX];
	struct iovec iov[BATCH];
	struct mmsghdr msgs[BATCH];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * MG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void make_syn(struct flood *f, uint32_t i)
{
	struct mg_addr src = mg_addr_v4(SOURCES | (mg_rng_u32(&f->rng) & SOURCES_MASK));
	struct mg_frame_spec spec = {
		.src = &src,
		.dst = &f->dst,
		.ttl = 64,
		.csum = MG_TX_CSUM_FULL,
		.tcp = { .sport = (uint16_t)(1024 + mg_rng_below(&f->rng, 60000)),
			 .dport = f->port,
			 .seq = mg_rng_u32(&f->rng),
			 .flags = MG_TCP_SYN,
			 .wnd = 64240,
			 .mss = 1460,
			 .ws = 7,
			 .tsval = mg_rng_u32(&f->rng),
			 .opts = MG_SEG_OPT_MSS | MG_SEG_OPT_WS | MG_SEG_OPT_SACK_PERM |
				 MG_SEG_OPT_TS },
	};

	f->iov[i] = (struct iovec){ f->packets[i], mg_wire_emit_ip_tcp(f->packets[i], &spec) };
	f->msgs[i].msg_hdr = (struct msghdr){ .msg_name = &f->to,
					      .msg_namelen = sizeof(f->to),
					      .msg_iov = &f->iov[i],
					      .msg_iovlen = 1 };
}

/* How many of n left. */
static uint32_t send_some(struct flood *f, uint32_t n)
{
	int sent;

	for (uint32_t i = 0; i < n; i++)
		make_syn(f, i);
	sent = sendmmsg(f->fd, f->msgs, n, 0);
	if (sent < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR) {
		perror("synflood: sendmmsg");
		exit(1);
	}
	return sent > 0 ? (uint32_t)sent : 0;
}

static void pause_until(uint64_t at_ns)
{
	struct timespec ts = { (time_t)(at_ns / MG_NS_PER_S), (long)(at_ns % MG_NS_PER_S) };

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL); /* early is early */
}

int main(int argc, char **argv)
{
	static struct flood f;
	uint64_t start_ns = now_ns();
	uint32_t count, per_s, sent = 0;

	if (argc != 5 || mg_addr_parse(argv[1], &f.dst) < 0 || !mg_addr_is_v4(&f.dst)) {
		(void)fprintf(stderr, "usage: synflood ADDR PORT COUNT PER_SECOND\n");
		return 2;
	}
	f.port = (uint16_t)strtoul(argv[2], NULL, 10);
	count = (uint32_t)strtoul(argv[3], NULL, 10);
	per_s = (uint32_t)strtoul(argv[4], NULL, 10);
	f.to = (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_addr = { htonl(mg_addr_to_v4(&f.dst)) } };
	mg_rng_init(&f.rng, start_ns);
	f.fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (f.fd < 0 || per_s == 0) {
		perror("synflood");
		return 1;
	}
	while (sent < count) {
		uint32_t n = count - sent < BATCH ? count - sent : BATCH;

		sent += send_some(&f, n);
		pause_until(start_ns + (uint64_t)sent * MG_NS_PER_S / per_s);
	}
	printf("%u in %.2f s\n", sent, (double)(now_ns() - start_ns) / 1e9);
	return 0;
}
