/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_test.c - ports over kernel interfaces: open, receive, send, sleep, close without a trace.
 *
 * Runs in a network namespace of its own (needs root): a veth pair v0-v1, the port on v0, a raw socket
 * of ours on v1; for tap the raw socket is on the interface that the port makes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fastpath/io/eal.h"
#include "fastpath/io/idle.h"
#include "fastpath/io/netif.h"
#include "fastpath/io/port.h"

#define ETHERTYPE 0x88b5
#define SKIPPED 77

/* DPDK's driver forgets what libxdp gave it for each XDP socket: 80 bytes that we cannot reach. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create\n";
}

static void sh(const char *cmd)
{
	assert_int_equal(system(cmd), 0);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int open_raw_type(const char *interface, uint16_t type)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(type) };
	struct mg_netif netif;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(type));
	int one = 1;

	assert_true(fd >= 0);
	assert_int_equal(mg_netif_get(interface, &netif), 0);
	addr.sll_ifindex = (int)netif.index;
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	(void)setsockopt(fd, SOL_PACKET, 23 /* PACKET_IGNORE_OUTGOING */, &one, sizeof(one));
	return fd;
}

static int open_raw(const char *interface)
{
	return open_raw_type(interface, ETHERTYPE);
}

static void fill_frame(uint8_t *frame, const uint8_t *dst, uint8_t tag)
{
	static const uint8_t src[6] = { 2, 0, 0, 0, 0, 9 };

	memset(frame, tag, 60);
	memcpy(frame, dst, 6);
	memcpy(frame + 6, src, 6);
	frame[12] = ETHERTYPE >> 8;
	frame[13] = ETHERTYPE & 0xff;
}

/* The next frame of the raw socket's kind, NULL when none comes within 300 ms. */
static struct rte_mbuf *next_frame(struct mg_port *port, uint16_t *queue)
{
	uint64_t end = now_ns() + 300000000u;
	struct rte_mbuf *m;

	while (now_ns() < end) {
		for (*queue = 0; *queue < port->nr_queues; (*queue)++) {
			if (mg_port_rx(port, *queue, &m, 1) == 0)
				continue;
			if (rte_pktmbuf_mtod(m, uint8_t *)[12] == ETHERTYPE >> 8)
				return m;
			rte_pktmbuf_free(m);
		}
	}
	return NULL;
}

static void drain(struct mg_port *port)
{
	struct rte_mbuf *m;

	for (uint16_t q = 0; q < port->nr_queues; q++)
		while (mg_port_rx(port, q, &m, 1) == 1)
			rte_pktmbuf_free(m);
}

/* The kernel's own packets (router solicitations) may come in between: look again. */
static unsigned int sleep_until_port(struct mg_idle *idle, uint64_t ms)
{
	return mg_idle_wait(idle, now_ns(), now_ns() + ms * 1000000u);
}

static void exchange(struct mg_port *port, const char *peer)
{
	int raw = open_raw(peer);
	uint8_t frame[60], got[64];
	struct mg_idle idle;
	struct rte_mbuf *m;
	uint16_t q;

	assert_int_equal(mg_idle_init(&idle, 0), 0);
	for (q = 0; q < port->nr_queues; q++) {
		assert_true(port->rx_fd[q] >= 0);
		assert_int_equal(mg_idle_add(&idle, port->rx_fd[q]), 0);
	}
	usleep(50000);
	drain(port);
	for (uint8_t i = 1; i <= 100; i++) {
		fill_frame(frame, port->mac, i);
		assert_int_equal(send(raw, frame, sizeof(frame), 0), sizeof(frame));
		assert_true((sleep_until_port(&idle, 1000) & MG_IDLE_PORT) != 0);
		m = next_frame(port, &q);
		assert_non_null(m);
		assert_int_equal(rte_pktmbuf_mtod(m, uint8_t *)[59], i);
		assert_int_equal(mg_port_tx(port, q, &m, 1), 1);
		mg_port_flush(port, q);
		assert_int_equal(recv(raw, got, sizeof(got), 0), sizeof(frame));
		assert_int_equal(got[59], i);
		drain(port);
	}
	mg_idle_fini(&idle);
	close(raw);
}

static void no_xdp_left(const char *interface)
{
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "! ip link show dev %s | grep -q xdp", interface);
	sh(cmd);
}

static void run_driver(enum mg_port_driver driver, const char *interface, const char *peer,
		       uint16_t nr_queues)
{
	const struct mg_port_conf conf = {
		.name = "t",
		.driver = driver,
		.interface = interface,
		.nr_queues = nr_queues,
	};
	struct mg_port port;
	char err[256] = "";

	for (int i = 0; i < 3; i++) {
		int rc = mg_port_open(&conf, &port, err, sizeof(err));

		if (rc != 0)
			fail_msg("%s", err);
		assert_true(mg_port_link_up(&port));
		assert_int_equal(port.mtu, 1500);
		exchange(&port, peer);
		mg_port_close(&port);
		no_xdp_left("v0");
	}
}

static void test_af_packet(void **state)
{
	(void)state;
	run_driver(MG_PORT_AF_PACKET, "v0", "v1", 1);
}

static void test_af_packet_two_queues(void **state)
{
	(void)state;
	run_driver(MG_PORT_AF_PACKET, "v0", "v1", 2);
}

static void test_af_xdp(void **state)
{
	(void)state;
	run_driver(MG_PORT_AF_XDP, "v0", "v1", 0);
}

static void test_packet_gso(void **state)
{
	(void)state;
	run_driver(MG_PORT_PACKET_GSO, "v0", "v1", 1);
}

static void test_packet_gso_two_queues(void **state)
{
	(void)state;
	run_driver(MG_PORT_PACKET_GSO, "v0", "v1", 2);
}

/* The one's complement sum of a segment, pseudo-header included: 0xffff when its checksum is right. */
static uint16_t segment_sum(const uint8_t *ip)
{
	uint32_t len = ((uint32_t)ip[2] << 8 | ip[3]) - 20, sum = 6 + len;

	for (uint32_t i = 12; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)ip[20 + i] << 8 : ip[20 + i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

#define BIG_SEGS 5
#define BIG_MSS 1000
#define BIG_HEADERS (14 + 20 + 20)
#define BIG_TAIL 300 /* of the last segment */

/* One TCP frame of several segments: headers in one buffer, the payload, which is ours, in the next. */
static struct rte_mbuf *big_frame(const struct mg_port *port, struct rte_mbuf_ext_shared_info *lent,
				  uint8_t *payload, uint16_t bytes)
{
	static const uint8_t headers[BIG_HEADERS] = {
		2, 0,  0,    0, 0,  1,   2, 0, 0,  0,   0,    9,    8,  0, 0x45, 0, 0, 0,
		0, 7,  0x40, 0, 64, 6,   0, 0, 10, 0,   0,    1,    10, 0, 0,    2, 0, 80,
		0, 81, 0,    0, 0,  100, 0, 0, 0,  200, 0x50, 0x19, 1,  0, 0,    0, 0, 0,
	};
	struct rte_mbuf *m = rte_pktmbuf_alloc(port->pool[0]);
	struct rte_mbuf *more = rte_pktmbuf_alloc(port->pool[0]);
	uint8_t *h;
	uint32_t sum, len = 40u + bytes;

	assert_non_null(m);
	assert_non_null(more);
	h = (uint8_t *)rte_pktmbuf_append(m, BIG_HEADERS);
	memcpy(h, headers, BIG_HEADERS);
	h[16] = (uint8_t)(len >> 8);
	h[17] = (uint8_t)len;
	/* The pseudo-header's sum, for the port to start from. */
	sum = 0x0a00 + 1 + 0x0a00 + 2 + 6 + len - 20;
	sum = (sum & 0xffff) + (sum >> 16);
	h[50] = (uint8_t)(sum >> 8);
	h[51] = (uint8_t)sum;
	rte_mbuf_ext_refcnt_update(lent, 1);
	rte_pktmbuf_attach_extbuf(more, payload, RTE_BAD_IOVA, bytes, lent);
	more->data_len = bytes;
	more->pkt_len = bytes;
	assert_int_equal(rte_pktmbuf_chain(m, more), 0);
	m->tx_offload = rte_mbuf_tx_offload(14, 20, 20, BIG_MSS, 0, 0, 0);
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
	return m;
}

static void keep(void *addr, void *opaque)
{
	(void)addr;
	(void)opaque;
}

/* The next IPv4 frame of the raw socket. */
static ssize_t next_ip(int raw, uint8_t *got, size_t len)
{
	struct pollfd pfd = { .fd = raw, .events = POLLIN };

	assert_int_equal(poll(&pfd, 1, 1000), 1);
	return recv(raw, got, len, 0);
}

/* Without segmentation in the device the kernel cuts a frame: every segment arrives, and is right. */
static void test_packet_gso_segments(void **state)
{
	const struct mg_port_conf conf = { .name = "t",
					   .driver = MG_PORT_PACKET_GSO,
					   .interface = "v0" };
	static uint8_t payload[(BIG_SEGS - 1) * BIG_MSS + BIG_TAIL];
	struct rte_mbuf_ext_shared_info lent = { .free_cb = keep };
	uint8_t got[2048];
	struct mg_port port;
	struct rte_mbuf *m;
	char err[256] = "";
	int raw;

	(void)state;
	sh("ethtool -K v0 tso off gso off tx off sg off >/dev/null; ethtool -K v1 gro off >/dev/null");
	assert_int_equal(mg_port_open(&conf, &port, err, sizeof(err)), 0);
	raw = open_raw_type("v1", 0x0800);
	for (uint32_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / BIG_MSS);
	rte_mbuf_ext_refcnt_set(&lent, 1);
	m = big_frame(&port, &lent, payload, sizeof(payload));
	assert_int_equal(mg_port_tx(&port, 0, &m, 1), 1);
	assert_int_equal(rte_mbuf_ext_refcnt_read(&lent), 1);
	for (uint32_t i = 0; i < BIG_SEGS; i++) {
		uint32_t len = i == BIG_SEGS - 1 ? BIG_TAIL : BIG_MSS;

		assert_int_equal(next_ip(raw, got, sizeof(got)), BIG_HEADERS + len);
		assert_memory_equal(got + BIG_HEADERS, payload + i * BIG_MSS, len);
		assert_int_equal((uint32_t)got[40] << 8 | got[41], 100 + i * BIG_MSS);
		/* PSH and FIN only on the last. */
		assert_int_equal(got[47], i == BIG_SEGS - 1 ? 0x19 : 0x10);
		assert_int_equal(segment_sum(got + 14), 0xffff);
	}
	close(raw);
	mg_port_close(&port);
}

static void test_tap(void **state)
{
	struct mg_netif netif;

	(void)state;
	run_driver(MG_PORT_TAP, "mt0", "mt0", 1);
	assert_int_equal(mg_netif_get("mt0", &netif), -ENODEV);
}

static void refused(const struct mg_port_conf *conf, int code, const char *words)
{
	struct mg_port port;
	char err[256] = "";

	assert_int_equal(mg_port_open(conf, &port, err, sizeof(err)), code);
	if (strstr(err, words) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", err, words);
	print_message("%s\n", err);
}

static void test_refusals(void **state)
{
	(void)state;
	refused(&(struct mg_port_conf){ .name = "a", .interface = "nope" }, -ENODEV,
		"does not exist");
	refused(&(struct mg_port_conf){ .name = "a",
					.interface = "v0",
					.driver = MG_PORT_AF_XDP,
					.nr_queues = 2 },
		-EINVAL, "set queues: 1");
	refused(&(struct mg_port_conf){ .name = "a", .interface = "v0", .driver = MG_PORT_TAP },
		-EEXIST, "exists already");
	refused(&(struct mg_port_conf){ .name = "a", .interface = "v0", .nr_bufs = 4000000 },
		-ENOMEM, "raise memory.dpdk_mib");
	refused(&(struct mg_port_conf){ .name = "a", .interface = "lo" }, -EINVAL, "not Ethernet");
	refused(&(struct mg_port_conf){ .name = "a",
					.driver = MG_PORT_PCI,
					.device = "0000:99:00.0" },
		-ENODEV, "vfio-pci");
	refused(&(struct mg_port_conf){ .name = "a", .driver = MG_PORT_VDEV, .device = "net_none0" },
		-EIO, "refused");
	sh("ethtool -L v0 rx 2 tx 2");
	refused(&(struct mg_port_conf){ .name = "a", .driver = MG_PORT_AF_XDP, .interface = "v0" },
		-EINVAL, "not combined");
	sh("ethtool -L v0 rx 1 tx 1");
	sh("ethtool -L v1 rx 2 tx 2");
	refused(&(struct mg_port_conf){ .name = "a", .driver = MG_PORT_AF_XDP, .interface = "v0" },
		-ENOSPC, "ethtool -L");
	sh("ethtool -L v1 rx 1 tx 1");
}

/* An AF_XDP program that someone left, and one that is none of our business. */
static void test_xdp_leftover(void **state)
{
	const char *dir = access("/usr/lib/bpf/xsk_def_xdp_prog.o", R_OK) == 0
				  ? "/usr/lib/bpf"
				  : "/usr/lib/x86_64-linux-gnu/bpf";
	const struct mg_port_conf conf = { .name = "t",
					   .driver = MG_PORT_AF_XDP,
					   .interface = "v0" };
	char cmd[256];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "ip link set dev v0 xdp obj %s/xsk_def_xdp_prog.o sec xdp",
		       dir);
	sh(cmd);
	run_driver(MG_PORT_AF_XDP, "v0", "v1", 0);
	(void)snprintf(cmd, sizeof(cmd),
		       "ip link set dev v0 xdp obj %s/xdpfilt_alw_all.o sec xdp/fail"
		       " 2>/dev/null || ip link set dev v0 xdp obj %s/xdpdump_xdp.o sec xdp",
		       dir, dir);
	if (system(cmd) != 0)
		skip();
	refused(&conf, -EBUSY, "ip link set dev v0 xdp off");
	sh("ip link set dev v0 xdp off");
}

/* The interface comes back to what it was. */
static void test_restores_interface(void **state)
{
	struct mg_port_conf conf = { .name = "t", .interface = "v0", .mtu = 1400 };
	struct mg_netif netif;
	struct mg_port port;
	char err[256] = "";

	(void)state;
	sh("ip link set v0 down");
	assert_int_equal(mg_port_open(&conf, &port, err, sizeof(err)), 0);
	assert_int_equal(port.mtu, 1400);
	assert_int_equal(mg_netif_get("v0", &netif), 0);
	assert_int_equal(netif.mtu, 1400);
	assert_true(netif.up);
	mg_port_close(&port);
	assert_int_equal(mg_netif_get("v0", &netif), 0);
	assert_int_equal(netif.mtu, 1500);
	assert_false(netif.up);
	sh("ip link set v0 up");
}

static void say(void *ctx, enum mg_eal_log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	if (getenv("PORT_TEST_DEBUG") != NULL)
		print_message("dpdk: %s\n", line);
}

static int set_up(void **state)
{
	const struct mg_eal_conf conf = { .instance = "port_test", .log = say };
	char err[256] = "";

	(void)state;
	if (mg_eal_init(&conf, err, sizeof(err)) != 0) {
		print_error("%s\n", err);
		return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mg_eal_cleanup();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_af_packet),
		cmocka_unit_test(test_af_packet_two_queues),
		cmocka_unit_test(test_af_xdp),
		cmocka_unit_test(test_packet_gso),
		cmocka_unit_test(test_packet_gso_two_queues),
		cmocka_unit_test(test_packet_gso_segments),
		cmocka_unit_test(test_tap),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_xdp_leftover),
		cmocka_unit_test(test_restores_interface),
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 ||
	    system("ip link add v0 type veth peer name v1 && "
		   "sysctl -qw net.ipv6.conf.all.disable_ipv6=1; "
		   "ip link set v0 up && ip link set v1 up") != 0) {
		printf("needs root and network namespaces\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
