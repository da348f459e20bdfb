/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draw.c - scenarios from seeds.
 *
 * Idea:    a seed picks a family (what is wrong with this link) and within it sizes, delays and behaviours. The
 *          families are few and named, so that a failure's name says where to look.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/base/bits.h"
#include "proto/base/rng.h"
#include "proto/base/time.h"
#include "test/sim/scenario.h"

#define PPM_PER_PERCENT 10000u
#define MTU_MIN_V6 1280

static uint64_t between(struct mg_rng *r, uint64_t lo, uint64_t hi)
{
	return lo + mg_rng_u64(r) % (hi - lo + 1);
}

static bool one_in(struct mg_rng *r, uint32_t n)
{
	return mg_rng_below(r, n) == 0;
}

void mg_sim_scenario_plain(struct mg_sim_scenario *sc, uint64_t seed)
{
	static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };

	memset(sc, 0, sizeof(*sc));
	sc->seed = seed;
	for (int h = 0; h < 2; h++) {
		mg_stack_conf_default(&sc->host[h]);
		sc->host[h].addr = mg_addr_v4(0x0a4d0001u + (uint32_t)h);
		sc->host[h].addr6 = (struct mg_addr){ { 0xfd, 0x77, [15] = (uint8_t)(h + 1) } };
		memcpy(sc->host[h].mac.b, mac[h], 6);
		sc->host[h].seed = seed * 2 + (uint64_t)h;
		sc->link[h].delay_ns = MG_NS_PER_MS / 2;
	}
	sc->nr_clients = 1;
	for (uint32_t i = 0; i < MG_SIM_CLIENTS_MAX; i++)
		sc->client[i] = (struct mg_sim_plan){ .write_max = 4096,
						      .read_max = 65536,
						      .abort_at = MG_SIM_NEVER_ABORT };
	sc->server = sc->client[0];
}

void mg_sim_scenario_long_fat(struct mg_sim_scenario *sc, uint64_t bytes)
{
	mg_sim_scenario_plain(sc, 1);
	(void)snprintf(sc->family, sizeof(sc->family), "long-fat");
	for (int d = 0; d < 2; d++) {
		sc->link[d].delay_ns = 50 * MG_NS_PER_MS;
		sc->link[d].rate_Bps = 125000000;
		sc->link[d].queue_bytes = 64u << 20;
		sc->host[d].payload_bytes = 128u << 20;
		sc->host[d].tcp.window_scale = 14;
		sc->host[d].tcp.rcvbuf_max_bytes = 32u << 20;
		sc->host[d].tcp.sndbuf_max_bytes = 32u << 20;
	}
	sc->client[0].tx_bytes = bytes;
	sc->client[0].write_max = 1u << 20;
	sc->client[0].linger_ns = 20 * MG_NS_PER_S;
	sc->server.read_max = 1u << 20;
}

static void draw_lossy(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	for (int d = 0; d < 2; d++)
		sc->link[d].loss_ppm = (uint32_t)between(r, 100, 8 * PPM_PER_PERCENT);
}

static void draw_bursts(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	for (int d = 0; d < 2; d++) {
		sc->link[d].burst_ppm = (uint32_t)between(r, 500, PPM_PER_PERCENT);
		sc->link[d].burst_ns = between(r, 10000, 300 * MG_NS_PER_MS);
	}
}

static void draw_reorder(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	for (int d = 0; d < 2; d++) {
		sc->link[d].reorder_ppm = (uint32_t)between(r, PPM_PER_PERCENT / 2,
							    10 * PPM_PER_PERCENT);
		sc->link[d].reorder_ns = between(r, 1, sc->link[d].delay_ns * 2 + 1000);
		sc->link[d].jitter_ns = one_in(r, 2) ? between(r, 1, sc->link[d].delay_ns) : 0;
	}
}

static void draw_duplicate(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	for (int d = 0; d < 2; d++) {
		sc->link[d].dup_ppm = (uint32_t)between(r, PPM_PER_PERCENT, 20 * PPM_PER_PERCENT);
		sc->link[d].loss_ppm = (uint32_t)between(r, 0, PPM_PER_PERCENT);
	}
}

static void draw_corrupt(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	for (int d = 0; d < 2; d++)
		sc->link[d].corrupt_ppm = (uint32_t)between(r, 1000, 5 * PPM_PER_PERCENT);
}

static void draw_bottleneck(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	uint64_t rate = between(r, 50, 20000) * 1000; /* 0.4 to 160 Mbit/s */
	uint64_t bdp = rate * (sc->link[0].delay_ns + sc->link[1].delay_ns) / MG_NS_PER_S;

	for (int d = 0; d < 2; d++) {
		sc->link[d].rate_Bps = rate;
		sc->link[d].queue_bytes = (uint32_t)mg_max_u64(4 * 1514,
							       bdp * between(r, 10, 200) / 100);
	}
}

static void draw_outage(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	uint64_t from = 1000 * MG_NS_PER_S + between(r, 0, 2 * MG_NS_PER_S);
	uint64_t until = from + between(r, 10 * MG_NS_PER_MS, 20 * MG_NS_PER_S);
	uint32_t dirs = mg_rng_below(r, 3) + 1;

	for (int d = 0; d < 2; d++) {
		if ((dirs & (1u << d)) == 0)
			continue;
		sc->link[d].dead_from_ns = from;
		sc->link[d].dead_until_ns = until;
	}
}

static void draw_named_losses(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	for (int d = 0; d < 2; d++) {
		sc->nr_drop[d] = mg_rng_below(r, 6);
		for (uint32_t i = 0; i < sc->nr_drop[d]; i++)
			sc->drop_nth[d][i] = between(r, 0, 40);
	}
}

static void draw_starved(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	for (int h = 0; h < 2; h++)
		sc->starve[h] = (uint32_t)between(r, 2, 50);
}

static void draw_killed(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	int h = (int)mg_rng_below(r, 2);

	draw_lossy(sc, r);
	sc->kill_ns[h] = between(r, 1, 200 * MG_NS_PER_MS);
	sc->may_reset = true;
	for (uint32_t i = 0; i < MG_SIM_CLIENTS_MAX; i++)
		sc->client[i].tx_bytes += 200000;
}

/* The readers stop in the middle: zero windows and probes. */
static void draw_stall(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	for (uint32_t i = 0; i < MG_SIM_CLIENTS_MAX; i++) {
		sc->client[i].stall_at = between(r, 1, 100000);
		sc->client[i].stall_ns = between(r, MG_NS_PER_MS, 300 * MG_NS_PER_S);
	}
	sc->server.stall_at = between(r, 1, 100000);
	sc->server.stall_ns = between(r, MG_NS_PER_MS, 300 * MG_NS_PER_S);
	if (one_in(r, 2))
		draw_lossy(sc, r);
}

/* One side never reads, and leaves some day: whatever was unread makes that a reset. */
static void draw_never_reads(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	struct mg_sim_plan *p = one_in(r, 2) ? &sc->server : NULL;

	sc->may_reset = true;
	for (uint32_t i = 0; i < (p ? 1 : sc->nr_clients); i++) {
		struct mg_sim_plan *one = p ? p : &sc->client[i];

		one->stall_at = 0;
		one->start_ns = 0;
		one->read_gap_ns = 3600 * MG_NS_PER_S;
		one->read_max = 1;
		one->leave_ns = between(r, MG_NS_PER_S, 300 * MG_NS_PER_S);
	}
}

/* Nothing passes any more, for good: all must notice. */
static void draw_vanish(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	sc->vanish_ns = between(r, 1, 3 * MG_NS_PER_S);
	sc->may_reset = true;
	for (int d = 0; d < 2; d++) {
		sc->link[d].dead_from_ns = 1000 * MG_NS_PER_S + sc->vanish_ns;
		sc->link[d].dead_until_ns = MG_TIME_NEVER;
	}
}

/* The route changes to a smaller MTU, and the router says so. */
static void draw_path_mtu(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	for (int d = 0; d < 2; d++) {
		sc->link[d].mtu = (uint16_t)between(r, 552, 1500);
		sc->link[d].mtu_is_told = true;
		sc->link[d].mtu_from_ns = 1000 * MG_NS_PER_S + between(r, 0, 300 * MG_NS_PER_MS);
	}
	for (uint32_t i = 0; i < sc->nr_clients; i++) {
		sc->client[i].tx_bytes += 100000;
		sc->client[i].write_max = mg_max_u32(sc->client[i].write_max, 1000);
	}
}

/* ...or it does not (RFC 4821). */
static void draw_black_hole(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	draw_path_mtu(sc, r);
	for (int d = 0; d < 2; d++)
		sc->link[d].mtu_is_told = false;
}

static void draw_quiet(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	(void)sc;
	(void)r;
}

static const struct {
	const char *name;
	void (*draw)(struct mg_sim_scenario *sc, struct mg_rng *r);
} families[] = {
	{ "quiet", draw_quiet },
	{ "lossy", draw_lossy },
	{ "bursts", draw_bursts },
	{ "reorder", draw_reorder },
	{ "duplicate", draw_duplicate },
	{ "corrupt", draw_corrupt },
	{ "bottleneck", draw_bottleneck },
	{ "outage", draw_outage },
	{ "named", draw_named_losses },
	{ "starved", draw_starved },
	{ "killed", draw_killed },
	{ "stall", draw_stall },
	{ "never-reads", draw_never_reads },
	{ "vanish", draw_vanish },
	{ "path-mtu", draw_path_mtu },
	{ "black-hole", draw_black_hole },
};

static void draw_plan(struct mg_sim_plan *p, struct mg_rng *r)
{
	static const uint32_t sizes[] = { 0, 1, 100, 1448, 1449, 20000, 65536, 200000, 600000 };

	p->tx_bytes = sizes[mg_rng_below(r, MG_ARRAY_SIZE(sizes))];
	p->write_max = one_in(r, 4) ? (uint32_t)between(r, 1, 200)
				    : (uint32_t)between(r, 1000, 65536);
	p->read_max = one_in(r, 4) ? (uint32_t)between(r, 1, 500) : 65536;
	p->write_gap_ns = one_in(r, 4) ? between(r, 1, 5 * MG_NS_PER_MS) : 0;
	p->read_gap_ns = one_in(r, 4) ? between(r, 1, 10 * MG_NS_PER_MS) : 0;
	p->start_ns = one_in(r, 4) ? between(r, 1, 3 * MG_NS_PER_S) : 0;
	p->nodelay = one_in(r, 2);
	if (p->write_max < 1000)
		p->tx_bytes = mg_min_u64(p->tx_bytes, 20000); /* tiny writes take long enough */
	if (p->read_max < 1000 && p->read_gap_ns != 0)
		p->read_gap_ns = mg_min_u64(p->read_gap_ns, MG_NS_PER_MS);
}

static void draw_host(struct mg_sim_scenario *sc, struct mg_rng *r, int h)
{
	static const char *const algorithms[] = { "reno", "cubic", "dctcp", "bbr" };
	struct mg_slow_conf *tcp = &sc->host[h].tcp;

	tcp->sack = !one_in(r, 4);
	tcp->timestamps = !one_in(r, 4);
	tcp->window_scale = one_in(r, 4) ? 0xff : (uint8_t)between(r, 0, 8);
	tcp->pacing = !one_in(r, 4);
	(void)snprintf(tcp->congestion_control, sizeof(tcp->congestion_control), "%s",
		       algorithms[mg_rng_below(r, MG_ARRAY_SIZE(algorithms))]);
	tcp->ecn = (uint8_t)mg_rng_below(r, 3);
	tcp->ecn_abe = one_in(r, 2);
	tcp->ecn_everywhere = one_in(r, 4);
	tcp->idle_restart = !one_in(r, 4);
	if (one_in(r, 4))
		sc->link[h].mark_ppm = (uint32_t)between(r, 1000, 500000);
	tcp->rcvbuf_bytes = 4096u << mg_rng_below(r, 6);
	tcp->sndbuf_bytes = 4096u << mg_rng_below(r, 6);
	tcp->rcvbuf_max_bytes = mg_max_u32(tcp->rcvbuf_max_bytes, tcp->rcvbuf_bytes);
	if (one_in(r, 4)) {
		sc->host[h].mtu = (uint16_t)between(r, 576, 1500);
		sc->host[1 - h].mtu = sc->host[h].mtu;
	}
	if (one_in(r, 8))
		tcp->mtu_probing = MG_MTU_PROBING_ALWAYS;
}

/* Of its own source, so that it moves nothing else that a seed draws. */
static void draw_buffers(struct mg_sim_scenario *sc, uint64_t seed)
{
	struct mg_rng r;

	mg_rng_init(&r, seed ^ 0x627566666572ull);
	for (int h = 0; h < 2; h++) {
		sc->host[h].tcp.autotune = !one_in(&r, 8);
		sc->host[h].tcp.autotune_idle_ms = one_in(&r, 4) ? 0
								 : (uint32_t)between(&r, 10, 1000);
		/* Sometimes there is not room for all. */
		if (one_in(&r, 4))
			sc->host[h].payload_bytes = MG_SIM_CLIENTS_MAX * 512u << 10;
	}
}

static void draw_behaviour(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	bool late = one_in(r, 3);

	sc->nr_clients = one_in(r, 2) ? 1 : (uint32_t)between(r, 2, MG_SIM_CLIENTS_MAX);
	for (uint32_t i = 0; i < sc->nr_clients; i++) {
		draw_plan(&sc->client[i], r);
		if (one_in(r, 16)) {
			sc->client[i].abort_at = between(r, 0, sc->client[i].tx_bytes);
			sc->may_reset = true;
		}
	}
	draw_plan(&sc->server, r);
	sc->server.shut_late = late;
}

/* A third of the worlds speaks IPv6, alone or beside IPv4; there no link may take less than 1280 bytes. */
static void draw_families(struct mg_sim_scenario *sc, struct mg_rng *r)
{
	bool mixed = one_in(r, 3), dad = one_in(r, 4);

	if (!one_in(r, 3))
		return;
	for (uint32_t i = 0; i < sc->nr_clients; i++)
		sc->client_v6[i] = !mixed || one_in(r, 2);
	for (int h = 0; h < 2; h++) {
		sc->host[h].tcp.dad_ms = dad ? 300 : 0;
		sc->host[h].mtu = (uint16_t)mg_max_u32(sc->host[h].mtu, MTU_MIN_V6);
		if (sc->link[h].mtu != 0)
			sc->link[h].mtu = (uint16_t)mg_max_u32(sc->link[h].mtu, MTU_MIN_V6);
	}
}

/* A reset that is lost leaves a silent peer behind; keepalives find out. */
static void keep_alive(struct mg_sim_scenario *sc)
{
	for (int h = 0; h < 2; h++) {
		sc->host[h].tcp.keepalive = true;
		sc->host[h].tcp.keepalive_idle_ms = 60000;
		sc->host[h].tcp.keepalive_interval_ms = 10000;
		sc->host[h].tcp.keepalive_count = 5;
	}
}

/* A third of the worlds have ports with large segments, on either side; drawn apart from all else. */
static void draw_ports(struct mg_sim_scenario *sc, uint64_t seed)
{
	struct mg_rng r;

	mg_rng_init(&r, seed ^ 0x6750);
	for (int h = 0; h < 2; h++) {
		sc->host[h].gso = one_in(&r, 3);
		sc->host[h].gro = one_in(&r, 3);
	}
}

/*
 * A quarter of the worlds opens fast, without cookies: nobody has one at the start. Not where frames are sent twice: a
 * late copy of a SYN with data may begin a connection once more (RFC 7413 6.3.1). Drawn apart from all else.
 */
static void draw_fastopen(struct mg_sim_scenario *sc, uint64_t seed)
{
	struct mg_rng r;

	mg_rng_init(&r, seed ^ 0x74666f);
	if (!one_in(&r, 4) || sc->link[0].dup_ppm != 0)
		return;
	for (int h = 0; h < 2; h++) {
		sc->host[h].tcp.fastopen = 0x607;
		sc->host[h].tcp.fastopen_queue_max = (uint32_t)between(&r, 1, MG_SIM_CLIENTS_MAX);
	}
	for (uint32_t i = 0; i < sc->nr_clients; i++) {
		sc->client[i].fastopen = sc->client[i].tx_bytes > 0 && !one_in(&r, 8);
		if (i > 0 && !one_in(&r, 4)) /* the first one finds the neighbour */
			sc->client[i].start_ns += between(&r, MG_NS_PER_MS, 300 * MG_NS_PER_MS);
	}
}

void mg_sim_scenario_draw(struct mg_sim_scenario *sc, uint64_t seed)
{
	struct mg_rng r;
	uint32_t family;

	mg_rng_init(&r, seed);
	mg_sim_scenario_plain(sc, seed);
	family = mg_rng_below(&r, MG_ARRAY_SIZE(families));
	for (int d = 0; d < 2; d++)
		sc->link[d].delay_ns = one_in(&r, 3) ? between(&r, 5000, 100000)
						     : between(&r, 100000, 60 * MG_NS_PER_MS);
	draw_host(sc, &r, 0);
	draw_host(sc, &r, 1);
	draw_buffers(sc, seed);
	draw_behaviour(sc, &r);
	draw_ports(sc, seed);
	(void)snprintf(sc->family, sizeof(sc->family), "%s", families[family].name);
	families[family].draw(sc, &r);
	draw_families(sc, &r);
	draw_fastopen(sc, seed);
	if (sc->may_reset || one_in(&r, 4))
		keep_alive(sc);
	if (sc->link[0].loss_ppm > 5 * PPM_PER_PERCENT ||
	    sc->link[0].corrupt_ppm > 3 * PPM_PER_PERCENT) {
		for (uint32_t i = 0; i < sc->nr_clients; i++)
			sc->client[i].tx_bytes = mg_min_u64(sc->client[i].tx_bytes, 100000);
	}
}
