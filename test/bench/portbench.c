/* SPDX-License-Identifier: Apache-2.0 */
/*
 * portbench.c - what a port can do at most: a loop that only swaps addresses.
 *
 * Idea:    mango's numbers on a kernel interface are bounded by the port under it. This opens one,
 *          echoes every frame of its own EtherType with the MAC addresses swapped, and lets a child
 *          in the peer's network namespace send frames by a raw socket: one in flight, many in
 *          flight, one after a pause; and then nothing.
 * Use:     ip netns exec DUT portbench DRIVER INTERFACE PEER_NETNS PEER_INTERFACE [SPIN_US [BUDGET]]
 *          DRIVER: af_packet, af_xdp, packet_gso, tap (PEER_NETNS "-": this one; a tap is its own peer).
 * Threads: two processes: the echo on the last CPU, the sender on the first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "fastpath/io/eal.h"
#include "fastpath/io/idle.h"
#include "fastpath/io/netif.h"
#include "fastpath/io/port.h"

#define ETHERTYPE 0x88b5 /* for local experiments */
#define FRAME_BYTES 64
#define SAMPLES_MAX 200000
#define PHASE_NS 1000000000ull
#define WAKE_ROUNDS 100
#define WAKE_GAP_US 10000

struct frame {
	uint8_t dst[6], src[6];
	uint16_t type;
	uint16_t pad[3];
	uint32_t seq;
	uint64_t sent_ns;
	uint8_t rest[FRAME_BYTES - 32];
};
static_assert(sizeof(struct frame) == FRAME_BYTES, "frame");

/* Shared by the two processes. */
struct shared {
	_Atomic int ready, stop;
	uint8_t mac[6];
	_Atomic uint64_t rx_calls, rx_empty, tx_calls, sleeps, wakes;
};

struct sender {
	int fd;
	struct frame frame;
	uint32_t oldest;
	uint32_t *rtt_ns;
	size_t nr_rtt;
	pid_t echo;
	struct shared *sh;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t cpu_ns(pid_t pid)
{
	struct timespec ts = { 0 };
	clockid_t clk;

	if (clock_getcpuclockid(pid, &clk) != 0 || clock_gettime(clk, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void pin(int last)
{
	cpu_set_t set;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	CPU_ZERO(&set);
	CPU_SET((size_t)(last ? cpus - 1 : 0), &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* ---- echo ------------------------------------------------------------------------------------ */

static uint16_t swap_all(struct rte_mbuf **in, uint16_t n, struct rte_mbuf **out)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(in[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		struct frame *f = rte_pktmbuf_mtod(in[i], struct frame *);
		uint8_t mac[6];

		if (f->type != htons(ETHERTYPE)) {
			rte_pktmbuf_free(in[i]);
			continue;
		}
		memcpy(mac, f->dst, 6);
		memcpy(f->dst, f->src, 6);
		memcpy(f->src, mac, 6);
		out[kept++] = in[i];
	}
	return kept;
}

static void echo_loop(struct mg_port *port, struct mg_idle *idle, struct shared *sh)
{
	struct rte_mbuf *in[MG_PORT_BURST], *out[MG_PORT_BURST];
	uint64_t hz = rte_get_tsc_hz();

	while (atomic_load_explicit(&sh->stop, memory_order_relaxed) == 0) {
		uint64_t now = (uint64_t)((__uint128_t)rte_rdtsc() * 1000000000u / hz);
		uint16_t n = mg_port_rx(port, 0, in, MG_PORT_BURST);

		sh->rx_calls++;
		if (n == 0) {
			sh->rx_empty++;
			if (mg_idle_should_sleep(idle, now)) {
				mg_port_flush(port, 0);
				mg_idle_wait(idle, now, now + 100000000u);
				sh->sleeps = idle->sleeps;
				sh->wakes = idle->wakes_port;
				mg_idle_busy(idle, (uint64_t)((__uint128_t)rte_rdtsc() *
							      1000000000u / hz));
			}
			continue;
		}
		mg_idle_busy(idle, now);
		n = swap_all(in, n, out);
		if (n > 0) {
			uint16_t sent = mg_port_tx(port, 0, out, n);

			sh->tx_calls++;
			for (; sent < n; sent++)
				rte_pktmbuf_free(out[sent]);
		}
	}
}

/* ---- sender ---------------------------------------------------------------------------------- */

static int enter_netns(const char *name)
{
	char path[128];
	int fd, rc;

	if (strcmp(name, "-") == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/var/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int open_sender(struct sender *s, const char *interface)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE) };
	struct timeval tv = { .tv_usec = 200000 };
	struct mg_netif netif;
	int one = 1;

	if (mg_netif_get(interface, &netif) < 0)
		return -ENODEV;
	s->fd = socket(AF_PACKET, SOCK_RAW, htons(ETHERTYPE));
	if (s->fd < 0)
		return -errno;
	addr.sll_ifindex = (int)netif.index;
	if (bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	(void)setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(s->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	memcpy(s->frame.dst, s->sh->mac, 6);
	memcpy(s->frame.src, netif.mac, 6);
	s->frame.type = htons(ETHERTYPE);
	s->rtt_ns = calloc(SAMPLES_MAX, sizeof(*s->rtt_ns));
	return s->rtt_ns == NULL ? -ENOMEM : 0;
}

static void send_one(struct sender *s)
{
	s->frame.seq++;
	s->frame.sent_ns = now_ns();
	(void)!send(s->fd, &s->frame, sizeof(s->frame), 0);
}

static int recv_one(struct sender *s, int flags)
{
	struct frame f;

	do {
		if (recv(s->fd, &f, sizeof(f), flags) != (ssize_t)sizeof(f))
			return 0;
	} while (f.seq < s->oldest); /* given up already */
	if (s->nr_rtt < SAMPLES_MAX)
		s->rtt_ns[s->nr_rtt++] = (uint32_t)(now_ns() - f.sent_ns);
	return 1;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile_us(struct sender *s, double p)
{
	if (s->nr_rtt == 0)
		return 0;
	qsort(s->rtt_ns, s->nr_rtt, sizeof(*s->rtt_ns), by_value);
	return s->rtt_ns[(size_t)((double)(s->nr_rtt - 1) * p)] / 1e3;
}

static void window_phase(struct sender *s, int window)
{
	uint64_t cpu = cpu_ns(s->echo), start = now_ns(), got = 0, lost = 0, took;
	uint64_t calls = s->sh->rx_calls, tx = s->sh->tx_calls, sleeps = s->sh->sleeps;
	int flying = 0;

	s->nr_rtt = 0;
	while (now_ns() - start < PHASE_NS) {
		for (; flying < window; flying++)
			send_one(s);
		if (recv_one(s, 0)) {
			got++;
			flying--;
		} else {
			lost += (uint64_t)flying;
			flying = 0;
			s->oldest = s->frame.seq + 1;
		}
	}
	while (flying-- > 0 && recv_one(s, 0))
		;
	took = now_ns() - start;
	printf("  %3d in flight: %7.0f frames/s  p50 %6.1f us  p99 %6.1f us  lost %lu  cpu %3.0f%%"
	       "  per frame: %.2f rx calls %.2f tx calls %.2f sleeps\n",
	       window, (double)got * 1e9 / (double)took, percentile_us(s, 0.5),
	       percentile_us(s, 0.99), lost, (double)(cpu_ns(s->echo) - cpu) * 100.0 / (double)took,
	       (double)(s->sh->rx_calls - calls) / (double)got,
	       (double)(s->sh->tx_calls - tx) / (double)got,
	       (double)(s->sh->sleeps - sleeps) / (double)got);
}

/* The sender does not sleep while it waits: what is measured is the sleeping port. */
static int spin_for_one(struct sender *s)
{
	uint64_t start = now_ns();

	while (now_ns() - start < 100000000u)
		if (recv_one(s, MSG_DONTWAIT))
			return 1;
	return 0;
}

static void wake_phase(struct sender *s)
{
	int lost = 0;

	s->nr_rtt = 0;
	for (int i = 0; i < WAKE_ROUNDS; i++) {
		usleep(WAKE_GAP_US);
		send_one(s);
		if (!spin_for_one(s)) {
			lost++;
			s->oldest = s->frame.seq + 1;
		}
	}
	printf("  after %d ms pause:  p50 %6.1f us  p99 %6.1f us  max %6.1f us  lost %d\n",
	       WAKE_GAP_US / 1000, percentile_us(s, 0.5), percentile_us(s, 0.99),
	       percentile_us(s, 1.0), lost);
}

static void idle_phase(struct sender *s)
{
	uint64_t cpu = cpu_ns(s->echo), start = now_ns();

	sleep(1);
	printf("  idle: %.3f %% of a core\n",
	       (double)(cpu_ns(s->echo) - cpu) * 100.0 / (double)(now_ns() - start));
}

static int sender_main(struct shared *sh, pid_t echo, const char *netns, const char *interface)
{
	struct sender s = { .sh = sh, .echo = echo };
	int rc;

	while (sh->ready == 0)
		usleep(1000);
	if (sh->ready < 0)
		return 1;
	pin(0);
	rc = enter_netns(netns);
	if (rc == 0)
		rc = open_sender(&s, interface);
	if (rc < 0) {
		fprintf(stderr, "portbench: peer %s %s: %s\n", netns, interface, strerror(-rc));
		sh->stop = 1;
		return 1;
	}
	window_phase(&s, 1);
	window_phase(&s, 64);
	wake_phase(&s);
	idle_phase(&s);
	sh->stop = 1;
	free(s.rtt_ns);
	close(s.fd);
	return 0;
}

static int fail(struct shared *sh, const char *err)
{
	fprintf(stderr, "portbench: %s\n", err);
	sh->ready = -1;
	return 1;
}

static void say(void *ctx, enum mg_eal_log_level level, const char *line)
{
	(void)ctx;
	if (level != MG_EAL_LOG_DEBUG || getenv("PORTBENCH_DEBUG") != NULL)
		fprintf(stderr, "dpdk: %s\n", line);
}

static int echo_main(struct shared *sh, const struct mg_port_conf *conf, uint64_t spin_ns)
{
	const struct mg_eal_conf eal = { .instance = "portbench", .log = say };
	struct mg_port_stats st;
	struct mg_port port;
	struct mg_idle idle;
	char err[256];

	if (mg_eal_init(&eal, err, sizeof(err)) < 0 ||
	    mg_port_open(conf, &port, err, sizeof(err)) < 0)
		return fail(sh, err);
	if (mg_idle_init(&idle, spin_ns) < 0 || mg_idle_add(&idle, port.rx_fd[0]) < 0)
		return fail(sh, "no doorbell");
	pin(1);
	memcpy(sh->mac, port.mac, 6);
	printf("port %s: %02x:%02x:%02x:%02x:%02x:%02x mtu %u queues %u caps 0x%x fd %d link %s\n",
	       port.name, port.mac[0], port.mac[1], port.mac[2], port.mac[3], port.mac[4],
	       port.mac[5], port.mtu, port.nr_queues, port.caps, port.rx_fd[0],
	       mg_port_link_up(&port) ? "up" : "down");
	fflush(stdout);
	sh->ready = 1;
	echo_loop(&port, &idle, sh);
	mg_port_stats(&port, &st);
	printf("  rx %lu missed %lu  tx %lu errors %lu\n", st.rx_packets, st.rx_missed,
	       st.tx_packets, st.tx_errors);
	mg_port_close(&port);
	mg_idle_fini(&idle);
	mg_eal_cleanup();
	return 0;
}

static int parse_driver(const char *name, enum mg_port_driver *ret)
{
	if (strcmp(name, "af_packet") == 0)
		*ret = MG_PORT_AF_PACKET;
	else if (strcmp(name, "af_xdp") == 0)
		*ret = MG_PORT_AF_XDP;
	else if (strcmp(name, "packet_gso") == 0)
		*ret = MG_PORT_PACKET_GSO;
	else if (strcmp(name, "tap") == 0)
		*ret = MG_PORT_TAP;
	else
		return -EINVAL;
	return 0;
}

int main(int argc, char **argv)
{
	struct mg_port_conf conf = { .name = "bench" };
	struct shared *sh;
	pid_t echo = getpid(), child;
	int rc, status = 0;

	if (argc < 5 || parse_driver(argv[1], &conf.driver) < 0) {
		fprintf(stderr,
			"usage: portbench af_packet|af_xdp|packet_gso|tap INTERFACE PEER_NETNS "
			"PEER_INTERFACE [SPIN_US [BUSY_BUDGET]]\n");
		return 2;
	}
	conf.interface = argv[2];
	conf.busy_budget = argc > 6 ? (uint16_t)atoi(argv[6]) : 0;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED)
		return 1;
	child = fork();
	if (child == 0)
		return sender_main(sh, echo, argv[3], argv[4]);
	rc = echo_main(sh, &conf, argc > 5 ? strtoull(argv[5], NULL, 10) * 1000u : 50000u);
	(void)waitpid(child, &status, 0);
	return rc != 0 ? rc : WEXITSTATUS(status);
}
