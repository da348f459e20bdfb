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

static int open_raw(const char *interface)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE) };
	struct mg_netif netif;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE));
	int one = 1;

	assert_true(fd >= 0);
	assert_int_equal(mg_netif_get(interface, &netif), 0);
	addr.sll_ifindex = (int)netif.index;
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	(void)setsockopt(fd, SOL_PACKET, 23 /* PACKET_IGNORE_OUTGOING */, &one, sizeof(one));
	return fd;
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
