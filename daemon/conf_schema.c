/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_schema.c - the schema table: every key of mangod, once.
 *
 * Idea:    KEY(tcp.nagle, ...) derives the key's name and its place in struct mg_conf from the same
 *          tokens, so that they cannot differ. To add a setting: a member in conf.h and a row
 *          here; the file, SET_CONFIG, GET_CONFIG, --help, config/mangod.yaml and docs/config.md
 *          follow (`ninja config-docs` writes the last two; a unit test compares them).
 * Rule:    keys are stable. A key exists only for something that mangod does, but for the section preload: it is for
 *          the library of that name, which reads the same file; mangod only says what is wrong in it.
 */
#include "daemon/conf_key.h"

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))
#define MEMBER_SIZE(s, f) sizeof(((s *)0)->f)

#define ROW(s, f, t, ...)                                                    \
	{                                                                    \
		.name = #f, .type = MG_CONF_T_##t, .offset = offsetof(s, f), \
		.size = MEMBER_SIZE(s, f), __VA_ARGS__                       \
	}
#define ROW_LIST(s, f, t, ...)                                                \
	{                                                                     \
		.name = #f, .type = MG_CONF_T_##t, .offset = offsetof(s, f),  \
		.size = MEMBER_SIZE(s, f[0]), .list_max = NELEM(((s *)0)->f), \
		.count_offset = offsetof(s, f##_count), __VA_ARGS__           \
	}
#define KEY(f, t, ...) ROW(struct mg_conf, f, t, __VA_ARGS__)
#define LIST(f, t, ...) ROW_LIST(struct mg_conf, f, t, __VA_ARGS__)
#define OBJECTS(f, cols, ...) \
	LIST(f, OBJECTS, .columns = (cols), .nr_columns = NELEM(cols), __VA_ARGS__)

#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define LENGTH(f) .min = 0, .max = MEMBER_SIZE(struct mg_conf, f) - 1
#define LIVE .flags = MG_CONF_F_LIVE

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

static const char *const log_levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const hugepages[] = { "auto", "on", "off", NULL };
static const char *const drivers[] = { "af_packet", "af_xdp", "packet_gso", "tap", NULL };
static const char *const offloads[] = { "keep", "on", NULL };
static const char *const slow_threads[] = { "own", "inline", NULL };
static const char *const cookies[] = { "off", "auto", "always", NULL };
static const char *const algorithms[] = { "reno", "cubic", "dctcp", "bbr", NULL };
static const char *const ecn_modes[] = { "off", "on", "accept", NULL };
static const char *const wildcards[] = { "both", "mango", "kernel", NULL };
static const char *const absents[] = { "kernel", "refuse", NULL };
static const char *const probing[] = { "off", "black_hole", "always", NULL };

#define COL(f, t, ...) ROW(struct mg_conf_port, f, t, __VA_ARGS__)
static const struct mg_conf_key port_columns[] = {
	COL(name, NAME, .flags = MG_CONF_F_REQUIRED, RANGE(1, MG_CONF_NAME_MAX - 1),
	    .help = "Name of the port, for routes and messages."),
	COL(interface, NAME, RANGE(0, 15), .deflt = "",
	    .help = "Kernel interface to use (for tap: to create). One of interface, pci and "
		    "vdev is given."),
	COL(driver, ENUM, .names = drivers, .deflt = "af_packet",
	    .help = "How the interface is driven. packet_gso moves segments of up to 64 KiB and is "
		    "the fastest for bulk data; af_xdp takes the least time for small packets; "
		    "af_packet runs everywhere; tap makes an interface."),
	COL(offloads, ENUM, .names = offloads, .deflt = "keep",
	    .help = "packet_gso: the interface's checksums, segmentation and merging. keep: as they "
		    "are; on: switched on while mangod runs, as far as the device can."),
	COL(pci, PCI, RANGE(0, MG_CONF_NAME_MAX - 1), .deflt = "",
	    .help = "PCI address of a device that DPDK drives itself."),
	COL(vdev, TEXT, RANGE(0, MG_CONF_TEXT_MAX - 1), .deflt = "",
	    .help = "Any DPDK virtual device, as after --vdev, such as net_ring0."),
	COL(mtu, NUMBER, RANGE(576, 9000), .word = "auto", .word_value = 0, .deflt = "auto",
	    .unit = "bytes", .help = "Largest IP packet. auto: what the interface has."),
	COL(queues, NUMBER, RANGE(1, MG_CONF_WORKERS_MAX), .word = "auto", .word_value = 0,
	    .deflt = "auto", .unit = "queues",
	    .help = "Receive and transmit queues. auto: one per worker, if the port can; else "
		    "segments are "
		    "handed to their worker in software."),
	ROW_LIST(struct mg_conf_port, addresses, PREFIX, .deflt = "",
		 .help = "IPv4 and IPv6 addresses of the port, each with the length of its "
			 "subnet's prefix. A port whose MTU is 1280 or more also has a link-local "
			 "IPv6 address: the one given here, or one made of its MAC address."),
};
#undef COL

#define COL(f, t, ...) ROW(struct mg_conf_route, f, t, __VA_ARGS__)
static const struct mg_conf_key route_columns[] = {
	COL(to, PREFIX, .flags = MG_CONF_F_REQUIRED,
	    .help = "Destinations; 0.0.0.0/0 and ::/0 are the default routes."),
	COL(via, ADDR, .deflt = "0.0.0.0",
	    .help = "Next hop, of the same family; a link-local one needs the port too, if there "
		    "are several. 0.0.0.0 or ::: the destinations are on the link."),
	COL(port, NAME, RANGE(0, MG_CONF_NAME_MAX - 1), .deflt = "",
	    .help = "Name of the port. Empty: the port whose subnet holds the next hop."),
};
#undef COL

#define COL(f, t, ...) ROW(struct mg_conf_neighbor, f, t, __VA_ARGS__)
static const struct mg_conf_key neighbor_columns[] = {
	COL(address, ADDR, .flags = MG_CONF_F_REQUIRED, .help = "IP address of the neighbor."),
	COL(mac, MAC, .flags = MG_CONF_F_REQUIRED, .help = "Its Ethernet address; it never ages."),
	COL(port, NAME, RANGE(0, MG_CONF_NAME_MAX - 1), .deflt = "",
	    .help = "Name of the port. Empty: the port whose subnet holds the address."),
};
#undef COL

#define COL(f, t, ...) ROW(struct mg_conf_access, f, t, __VA_ARGS__)
#define AS_APP .word = "app", .word_value = 0, .deflt = "app"
static const struct mg_conf_key access_columns[] = {
	COL(user, USER, RANGE(0, MG_CONF_NAME_MAX - 1), .deflt = "",
	    .help = "User name or number, * for everyone; empty: this row is about a group."),
	COL(group, USER, RANGE(0, MG_CONF_NAME_MAX - 1), .deflt = "",
	    .help = "Group name or number of the process; empty: any."),
	COL(sessions_max, NUMBER, RANGE(1, 4096), AS_APP, .unit = "sessions",
	    .help = "Attachments of these users together. app: only app.sessions_max counts."),
	COL(connections_max, NUMBER, RANGE(1, 1048576), AS_APP, .unit = "connections",
	    .help = "Connections of one attachment. app: as app.connections_max."),
	COL(listeners_max, NUMBER, RANGE(1, 65535), AS_APP, .unit = "listeners",
	    .help = "Listeners of one attachment. app: as app.listeners_max."),
	COL(region_bytes, BYTES, RANGE(MIB(1), GIB(64)), AS_APP, .unit = "bytes",
	    .help = "Shared memory of one attachment. app: as app.region_bytes."),
};
#undef COL

const struct mg_conf_key mg_conf_keys[] = {
	KEY(instance, NAME, RANGE(1, MG_CONF_NAME_MAX - 1), .deflt = "mango",
	    .help = "Name of this daemon. Several daemons run side by side under different names; "
		    "clients reach "
		    "one by local:NAME."),
	KEY(runtime_dir, PATH, RANGE(1, MG_CONF_PATH_MAX - 1), .deflt = "/run/mango",
	    .help = "Directory of sockets; made if it is missing. Clients attach at "
		    "RUNTIME_DIR/INSTANCE/attach.sock."),

	KEY(log.level, ENUM, .names = log_levels, .deflt = "info", LIVE,
	    .help = "How much is logged, to standard error."),

	KEY(daemon.drain_ms, DURATION, RANGE(0, 600000), .deflt = "5000", .unit = "milliseconds",
	    LIVE,
	    .help = "On SIGTERM: how long open connections may finish before they are reset."),

	KEY(attach.user, NAME, LENGTH(attach.user), .deflt = "",
	    .help = "Owner of the attach socket, by name or number; empty: who runs the daemon."),
	KEY(attach.group, NAME, LENGTH(attach.group), .deflt = "",
	    .help = "Group of the attach socket; empty: that of the daemon."),
	KEY(attach.mode, MODE, RANGE(0, 0777), .deflt = "0660",
	    .help = "Mode of the attach socket. Who can open it must also pass the access list."),

	OBJECTS(access, access_columns,
		.help = "Who may attach, and with what limits; the first row that fits counts. "
			"Without rows: root "
			"and the user who runs the daemon.",
		.example = "- {user: root}\n- {group: www-data, sessions_max: 16, connections_max: "
			   "10000}\n"),

	KEY(app.sessions_max, NUMBER, RANGE(1, 4096), .deflt = "64", .unit = "sessions", LIVE,
	    .help = "Attachments at the same time."),
	KEY(app.connections_max, NUMBER, RANGE(1, 1048576), .deflt = "16384", .unit = "connections",
	    LIVE,
	    .help = "Connections of one attachment; fewer where they would take more than a quarter of "
		    "app.region_bytes. New attachments take a changed value."),
	KEY(app.listeners_max, NUMBER, RANGE(1, 65535), .deflt = "256", .unit = "listeners", LIVE,
	    .help = "Listeners of one attachment."),
	KEY(app.region_bytes, BYTES, RANGE(MIB(1), GIB(64)), .deflt = "2147483648", .unit = "bytes",
	    LIVE,
	    .help = "Shared memory of one attachment: its rings and the data of its connections. "
		    "Pages are taken "
		    "when they are first used. New attachments take a changed value."),

	KEY(memory.hugepages, ENUM, .names = hugepages, .deflt = "auto",
	    .help = "Huge pages for packet buffers. auto: when the system has enough of them "
		    "free."),
	KEY(memory.dpdk_mib, NUMBER, RANGE(16, 65536), .word = "auto", .word_value = 0,
	    .deflt = "auto", .unit = "MiB",
	    .help = "Memory for DPDK, packet buffers included. auto: what the ports need, with their "
		    "MTU and queues."),
	KEY(memory.buffers, NUMBER, RANGE(512, 4194304), .deflt = "16384", .unit = "packet buffers",
	    .help = "Packet buffers for all ports and workers together; each takes about 2.5 KiB. "
		    "With larger MTUs there are fewer in the same memory, but at least what the "
		    "drivers need."),

	OBJECTS(ports, port_columns,
		.help = "The network devices. Without ports the daemon answers control requests "
			"and moves nothing.",
		.example = "- name: p0\n  interface: eth1\n  driver: af_xdp\n  addresses: "
			   "[192.0.2.10/24, \"2001:db8::10/64\"]\n"),
	OBJECTS(routes, route_columns,
		.help = "Routes besides the subnets of the ports; the longest prefix wins.",
		.example = "- {to: 0.0.0.0/0, via: 192.0.2.1}\n"
			   "- {to: \"::/0\", via: \"2001:db8::1\"}\n"),
	OBJECTS(neighbors, neighbor_columns,
		.help = "Static neighbors; all others are found by ARP and neighbor discovery.",
		.example = "- {address: 192.0.2.1, mac: \"02:00:00:00:00:01\"}\n"),

	KEY(fastpath.workers, NUMBER, RANGE(1, MG_CONF_WORKERS_MAX), .deflt = "1",
	    .unit = "threads", .help = "Threads that move packets."),
	LIST(fastpath.cores, NUMBER, RANGE(0, 1023), .deflt = "", .unit = "core numbers",
	     .help = "Cores that the workers are pinned to, one each. Empty: the scheduler "
		     "places them."),
	KEY(fastpath.spin_us, DURATION, RANGE(0, 1000000), .deflt = "50", .unit = "microseconds",
	    LIVE,
	    .help = "How long a worker with nothing to do keeps polling before it sleeps. More: "
		    "lower latency, and "
		    "more of a core burnt."),
	KEY(fastpath.burst, NUMBER, RANGE(1, MG_CONF_BURST_MAX), .deflt = "32", .unit = "packets",
	    .help = "Packets taken from a queue at once."),

	KEY(slowpath.thread, ENUM, .names = slow_threads, .deflt = "own",
	    .help = "Where handshakes, timers and control run: in a thread of their own, or inline "
		    "in worker 0 "
		    "(better with few cores)."),
	KEY(slowpath.core, NUMBER, RANGE(0, 1023), .word = "any", .word_value = MG_CONF_ANY_CORE,
	    .deflt = "any", .unit = "core number", .help = "Core of the slow path's own thread."),

	KEY(tcp.connections_max, NUMBER, RANGE(16, 1048576), .deflt = "65536",
	    .unit = "connections", .help = "Connections of all applications together."),
	KEY(tcp.listeners_max, NUMBER, RANGE(1, 65535), .deflt = "1024", .unit = "listeners",
	    .help = "Listeners of all applications together."),
	KEY(tcp.embryos_max, NUMBER, RANGE(16, 1048576), .deflt = "4096", .unit = "handshakes",
	    .help = "Handshakes under way; past it SYN cookies answer, if they are on."),
	KEY(tcp.time_wait_max, NUMBER, RANGE(16, 1048576), .deflt = "32768", .unit = "connections",
	    .help = "Connections in TIME-WAIT; past it the oldest end early."),
	KEY(tcp.orphans_max, NUMBER, RANGE(1, 1048576), .deflt = "8192", .unit = "connections",
	    LIVE,
	    .help = "Connections that their application has closed and that are still sending; "
		    "past it new ones "
		    "are reset."),
	KEY(tcp.port_min, NUMBER, RANGE(1024, 65535), .deflt = "32768", .unit = "port", LIVE,
	    .help = "Lowest port for outgoing connections that do not choose one (RFC 6056)."),
	KEY(tcp.port_max, NUMBER, RANGE(1024, 65535), .deflt = "60999", .unit = "port", LIVE,
	    .help = "Highest port for outgoing connections."),
	KEY(tcp.mss, NUMBER, RANGE(88, 8960), .word = "auto", .word_value = 0, .deflt = "auto",
	    .unit = "bytes", LIVE,
	    .help = "Largest segment that is announced. auto: from the port's MTU (1460 on "
		    "Ethernet)."),
	KEY(tcp.window_scale, NUMBER, RANGE(0, 14), .deflt = "14", .unit = "bits", LIVE,
	    .help = "Largest window scale that is offered (RFC 7323): as much as tcp.rcvbuf_max_bytes "
		    "needs; 0 offers none."),
	KEY(tcp.timestamps, BOOL, .deflt = "true", LIVE,
	    .help = "Offer and accept timestamps (RFC 7323)."),
	KEY(tcp.sack, BOOL, .deflt = "true", LIVE,
	    .help = "Offer and accept selective acknowledgements (RFC 2018)."),
	KEY(tcp.ecn, ENUM, .names = ecn_modes, .deflt = "off", LIVE,
	    .help = "Explicit congestion notification (RFC 3168). on: asked for by connecting and "
		    "granted when accepting; accept: granted only. DCTCP asks for it in any case."),
	KEY(tcp.ecn_abe, BOOL, .deflt = "false", LIVE,
	    .help = "An ECN echo costs CUBIC and Reno less than a loss (RFC 8511)."),
	KEY(tcp.ecn_everywhere, BOOL, .deflt = "false", LIVE,
	    .help = "With DCTCP: SYNs, pure acknowledgements and retransmissions can be marked, too "
		    "(RFC 8257 3.5). Only where every switch marks."),
	KEY(tcp.congestion_control, ENUM, .names = algorithms, .deflt = "cubic", LIVE,
	    .help = "Algorithm of new connections, unless the application chooses."),
	KEY(tcp.slow_start_after_idle, BOOL, .deflt = "true", LIVE,
	    .help = "After a pause longer than the retransmission timeout a connection begins with "
		    "the initial window again (RFC 5681). BBR never does."),
	KEY(tcp.pacing, BOOL, .deflt = "false", LIVE,
	    .help = "Spread segments over the round trip instead of sending whole windows at "
		    "once. BBR does in any case."),
	KEY(tcp.initial_cwnd_segments, NUMBER, RANGE(1, 64), .deflt = "10", .unit = "segments",
	    LIVE, .help = "Congestion window at the start (RFC 6928)."),
	KEY(tcp.autotune, BOOL, .deflt = "true", LIVE,
	    .help = "Let buffers grow with what their connection needs, up to the largest; not those whose "
		    "size the application sets."),
	KEY(tcp.autotune_idle_ms, DURATION, RANGE(10, 3600000), .word = "off", .word_value = 0,
	    .deflt = "5000", .unit = "milliseconds", LIVE,
	    .help = "Without traffic for so long, grown buffers return to their first size."),
	KEY(tcp.rcvbuf_bytes, BYTES, RANGE(KIB(4), MIB(64)), .deflt = "65536", .unit = "bytes",
	    .flags = MG_CONF_F_LIVE | MG_CONF_F_POW2,
	    .help = "Receive buffer of a new connection."),
	KEY(tcp.rcvbuf_max_bytes, BYTES, RANGE(KIB(4), MIB(64)), .deflt = "8388608",
	    .unit = "bytes", .flags = MG_CONF_F_LIVE | MG_CONF_F_POW2,
	    .help = "Largest receive buffer: how far it grows, and what an application may ask for."),
	KEY(tcp.sndbuf_bytes, BYTES, RANGE(KIB(4), MIB(64)), .deflt = "65536", .unit = "bytes",
	    .flags = MG_CONF_F_LIVE | MG_CONF_F_POW2, .help = "Send buffer of a new connection."),
	KEY(tcp.sndbuf_max_bytes, BYTES, RANGE(KIB(4), MIB(64)), .deflt = "4194304",
	    .unit = "bytes", .flags = MG_CONF_F_LIVE | MG_CONF_F_POW2,
	    .help = "Largest send buffer: how far it grows, and what an application may ask for."),
	KEY(tcp.loopback, BOOL, .deflt = "false",
	    .help = "127.0.0.0/8 and ::1 are addresses of mangod, for connections between its applications. "
		    "They are never reachable from a port."),
	KEY(tcp.nagle, BOOL, .deflt = "true", LIVE,
	    .help = "Hold back small segments while data is unacknowledged; TCP_NODELAY turns it "
		    "off per connection."),
	KEY(tcp.delayed_ack_ms, DURATION, RANGE(0, 500), .deflt = "40", .unit = "milliseconds",
	    LIVE,
	    .help = "Longest delay of an acknowledgement; 0: every segment is acknowledged at "
		    "once."),
	KEY(tcp.rto_initial_ms, DURATION, RANGE(10, 60000), .deflt = "1000", .unit = "milliseconds",
	    LIVE, .help = "Retransmission timeout before the first round-trip sample (RFC 6298)."),
	KEY(tcp.rto_min_ms, DURATION, RANGE(1, 60000), .deflt = "200", .unit = "milliseconds", LIVE,
	    .help = "Smallest retransmission timeout; lower it inside a data centre."),
	KEY(tcp.rto_max_ms, DURATION, RANGE(1000, 600000), .deflt = "120000",
	    .unit = "milliseconds", LIVE, .help = "Largest retransmission timeout."),
	KEY(tcp.syn_retries, NUMBER, RANGE(0, 30), .deflt = "6", .unit = "retransmissions", LIVE,
	    .help = "SYNs sent again before an outgoing connection fails."),
	KEY(tcp.synack_retries, NUMBER, RANGE(0, 30), .deflt = "5", .unit = "retransmissions", LIVE,
	    .help = "SYN-ACKs sent again before an incoming handshake is forgotten."),
	KEY(tcp.syn_cookies, ENUM, .names = cookies, .deflt = "auto", LIVE,
	    .help = "SYN cookies. auto: when tcp.embryos_max or a backlog is full."),
	KEY(tcp.mtu_probing, ENUM, .names = probing, .deflt = "black_hole", LIVE,
	    .help = "Find the path MTU without routers' help (RFC 4821). black_hole: when full-sized "
		    "segments time out again and again; always: begin every connection with "
		    "tcp.base_mss."),
	KEY(tcp.base_mss, NUMBER, RANGE(512, 8960), .deflt = "1024", .unit = "bytes", LIVE,
	    .help = "Segment size that probing begins with."),
	KEY(tcp.retries2, NUMBER, RANGE(1, 30), .deflt = "15", .unit = "retransmissions", LIVE,
	    .help = "Timeouts in a row before a connection is given up (R2 of RFC 9293)."),
	KEY(tcp.user_timeout_ms, DURATION, RANGE(1, 86400000), .word = "off", .word_value = 0,
	    .deflt = "off", .unit = "milliseconds", LIVE,
	    .help = "Give a connection up when data stays unacknowledged for so long (RFC 5482). "
		    "off: tcp.retries2 "
		    "decides."),
	KEY(tcp.keepalive, BOOL, .deflt = "false", LIVE, .help = "Probe idle connections."),
	KEY(tcp.keepalive_idle_s, DURATION, RANGE(1, 32767), .deflt = "7200", .unit = "seconds",
	    LIVE, .help = "Idle time before the first probe."),
	KEY(tcp.keepalive_interval_s, DURATION, RANGE(1, 32767), .deflt = "75", .unit = "seconds",
	    LIVE, .help = "Time between probes."),
	KEY(tcp.keepalive_count, NUMBER, RANGE(1, 127), .deflt = "9", .unit = "probes", LIVE,
	    .help = "Unanswered probes before the connection is given up."),
	KEY(tcp.fin_timeout_ms, DURATION, RANGE(1000, 600000), .deflt = "60000",
	    .unit = "milliseconds", LIVE,
	    .help = "How long a closed connection waits for the peer's FIN (FIN-WAIT-2)."),
	KEY(tcp.time_wait_ms, DURATION, RANGE(0, 240000), .deflt = "60000", .unit = "milliseconds",
	    LIVE, .help = "Length of TIME-WAIT (2 MSL)."),
	KEY(tcp.challenge_ack_limit, NUMBER, RANGE(1, 1000000), .deflt = "1000",
	    .unit = "segments per second", LIVE,
	    .help = "Challenge ACKs of one worker (RFC 5961)."),
	KEY(tcp.fastopen, NUMBER, RANGE(0, 0x7ff), .deflt = "0", .unit = "bits", LIVE,
	    .help = "TCP Fast Open (RFC 7413), bits as of Linux' sysctl: 1 connecting sockets that ask for "
		    "it, 2 listeners that ask for it, 4 data in SYNs without a cookie, 512 data taken "
		    "without a cookie, 1024 all listeners. A SYN's data may reach the application twice."),
	KEY(tcp.fastopen_queue_max, NUMBER, RANGE(1, 65535), .deflt = "1024", .unit = "connections",
	    LIVE,
	    .help = "Most Fast Open connections of a listener whose handshake has not ended, whatever "
		    "TCP_FASTOPEN asks for."),
	KEY(tcp.fastopen_key, TEXT, LENGTH(tcp.fastopen_key), .deflt = "", LIVE,
	    .help = "Key of Fast Open cookies, 32 hexadecimal digits, the same on all servers behind one "
		    "address. When it changes, cookies of the key before stay good. Empty: drawn by mangod."),
	KEY(tcp.fastopen_key_life_s, DURATION, RANGE(60, 31536000), .deflt = "86400",
	    .unit = "seconds", LIVE,
	    .help = "A drawn key makes cookies for so long, which are good for as long again."),

	KEY(ip.ttl, NUMBER, RANGE(1, 255), .deflt = "64", .unit = "hops", LIVE,
	    .help = "Time to live of what is sent."),
	KEY(ip.dscp, NUMBER, RANGE(0, 63), .deflt = "0", .unit = "code point", LIVE,
	    .help = "Differentiated services code point of what is sent."),
	KEY(ip.fragments_max, NUMBER, RANGE(0, 4096), .deflt = "64", .unit = "packets",
	    .help = "Fragmented packets that are put together at a time; 0 drops fragments."),
	KEY(ip.pmtu_min, NUMBER, RANGE(68, 1500), .deflt = "552", .unit = "bytes", LIVE,
	    .help = "Smallest path MTU that a router is believed to have (IPv4; 1280 for IPv6)."),
	KEY(ip.pmtu_expire_s, NUMBER, RANGE(1, 86400), .deflt = "600", .unit = "seconds", LIVE,
	    .help = "A smaller path MTU is forgotten, and a larger one tried, after so long."),

	KEY(arp.age_ms, DURATION, RANGE(1000, 86400000), .deflt = "60000", .unit = "milliseconds",
	    LIVE,
	    .help = "A neighbor that was not confirmed for so long is asked again when it is "
		    "needed."),
	KEY(arp.retry_ms, DURATION, RANGE(10, 60000), .deflt = "1000", .unit = "milliseconds", LIVE,
	    .help = "Time between requests."),
	KEY(arp.retries, NUMBER, RANGE(1, 30), .deflt = "3", .unit = "requests", LIVE,
	    .help = "Unanswered requests before a neighbor counts as unreachable."),
	KEY(arp.entries_max, NUMBER, RANGE(16, 65536), .deflt = "1024", .unit = "neighbors",
	    .help = "Size of the neighbor table, for both families; past it the one unused for longest goes."),
	KEY(arp.queue_packets, NUMBER, RANGE(1, 64), .deflt = "8", .unit = "packets",
	    .help = "Packets kept per neighbor while its address is being asked for."),
	KEY(arp.gratuitous, BOOL, .deflt = "true",
	    .help = "Announce the ports' addresses at start."),

	KEY(nd.dad_ms, DURATION, RANGE(0, 10000), .deflt = "300", .unit = "milliseconds",
	    .help = "How long a port's IPv6 addresses are asked for at start, and not used, before "
		    "they count as ours alone (RFC 4862). 0: used at once."),

	KEY(ipc.grpc.enabled, BOOL, .deflt = "true",
	    .help = "Serve control requests by gRPC; the attach socket serves them always."),
	LIST(ipc.grpc.listen, ENDPOINT, .deflt = "localhost:32847,unix:%t/%i/grpc.sock",
	     .help = "Where gRPC listens: HOST:PORT on loopback, or unix:PATH. %t stands for "
		     "runtime_dir, %i for "
		     "instance."),

	LIST(preload.listen, RULE, .deflt = "auto",
	     .help = "Which listeners go to mangod; the first rule that fits decides, what none fits "
		     "goes to the kernel. auto: mangod's own addresses. A rule with ! is the "
		     "kernel's, and wants quotes."),
	LIST(preload.connect, RULE, .deflt = "auto",
	     .help = "Which connections go to mangod. auto: mangod's subnets and routes."),
	LIST(preload.programs, PROGRAM, .deflt = "",
	     .help = "Accelerate only these programs, or all but those with !. Empty: all."),
	KEY(preload.wildcard, ENUM, .names = wildcards, .deflt = "both",
	    .help = "Whose connections a listener on 0.0.0.0 or :: gets."),
	KEY(preload.loopback, BOOL, .deflt = "false",
	    .help = "127/8 and ::1 go to mangod, which needs tcp.loopback."),
	KEY(preload.absent, ENUM, .names = absents, .deflt = "kernel",
	    .help = "Without a daemon. kernel: the kernel serves; refuse: sockets fail."),
	KEY(preload.debug, BOOL, .deflt = "false", .help = "Tell each decision on stderr."),
};
const size_t mg_conf_nr_keys = NELEM(mg_conf_keys);

const struct mg_conf_section mg_conf_sections[] = {
	{ "", "The daemon as a whole" },
	{ "log", "Logging" },
	{ "daemon", "Life of the daemon" },
	{ "attach", "The attach socket" },
	{ "access", "Who may attach" },
	{ "app", "Limits of one application" },
	{ "memory", "Memory" },
	{ "ports", "Ports" },
	{ "routes", "Routes" },
	{ "neighbors", "Static neighbors" },
	{ "fastpath", "Fast path: the workers" },
	{ "slowpath", "Slow path" },
	{ "tcp", "TCP" },
	{ "ip", "IP" },
	{ "arp", "Neighbors: ARP, and neighbor discovery for IPv6" },
	{ "nd", "IPv6 neighbor discovery" },
	{ "ipc.grpc", "Control by gRPC" },
	{ "preload",
	  "Unmodified programs: read by libmango_preload.so (MANGO_CONFIG), checked by mangod" },
};
const size_t mg_conf_nr_sections = NELEM(mg_conf_sections);
