/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - see table.h. */
#include "test/sim/table.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/time.h"
#include "slowpath/cc/cc.h"
#include "test/sim/app.h"
#include "test/sim/net.h"

#define PORT 7
#define START_NS (1000 * MG_NS_PER_S)
#define PAYLOAD 1448
#define FRAME (PAYLOAD + 66)
#define BUFFER (1u << 19)

struct cell {
	const char *algorithm[2]; /* of each connection; NULL: there is only one */
	bool ecn;
	bool gso; /* the sender's port takes frames of 64 KiB */
	uint32_t mbit;
	uint32_t rtt_ms;
	uint32_t buffer_percent; /* of the bandwidth-delay product */
	uint32_t mark_percent;
	uint32_t loss_ppm;
	uint32_t warm_s, measured_s;
};

struct outcome {
	uint32_t percent;    /* of what the link can carry */
	uint32_t share;      /* percent of it that the first connection had */
	uint32_t queue_ms;   /* mean depth of the queue */
	uint32_t lost_ppm;   /* of the frames sent */
	uint32_t resent_ppm; /* of the segments sent */
	uint32_t timeouts;
	uint32_t window; /* hundredths of a segment in the network on average */
};

struct world {
	struct mg_sim_net *net;
	struct mg_stack *stack[2];
	struct mg_sim_app app[2];
	struct side {
		struct world *w;
		int host;
	} side[2];
	uint64_t now_ns;
};

static void tx(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct side *side = ctx;

	mg_sim_net_send(side->w->net, side->host, frame, len, side->w->now_ns);
}

static void settle(struct world *w)
{
	for (int h = 0; h < 2; h++) {
		do
			mg_stack_turn(w->stack[h], w->now_ns);
		while (mg_sim_app_step(&w->app[h], w->now_ns));
		if (w->app[h].failure[0] != '\0') {
			(void)fprintf(stderr, "%s\n", w->app[h].failure);
			abort();
		}
	}
}

static void run_until(struct world *w, uint64_t until_ns)
{
	struct mg_sim_frame frame;

	for (;;) {
		uint64_t next = mg_sim_net_next_ns(w->net);

		for (int h = 0; h < 2; h++) {
			next = mg_min_u64(next, mg_stack_next_ns(w->stack[h]));
			next = mg_min_u64(next, mg_sim_app_next_ns(&w->app[h], w->now_ns));
		}
		if (next > until_ns)
			break;
		w->now_ns = mg_max_u64(next, w->now_ns + 1);
		while (mg_sim_net_recv(w->net, w->now_ns, &frame)) {
			mg_stack_rx(w->stack[frame.to], frame.bytes, frame.len, w->now_ns);
			free(frame.bytes);
		}
		settle(w);
	}
	w->now_ns = until_ns;
}

static uint64_t bdp(const struct cell *c)
{
	return (uint64_t)c->mbit * 125000 * c->rtt_ms / 1000;
}

static void make_link(struct world *w, const struct cell *c)
{
	struct mg_sim_link link[2] = { { .delay_ns = mg_ms_to_ns(c->rtt_ms) / 2 },
				       { .delay_ns = mg_ms_to_ns(c->rtt_ms) / 2 } };

	link[0].rate_Bps = (uint64_t)c->mbit * 125000;
	link[0].queue_bytes = (uint32_t)mg_max_u64(bdp(c) * c->buffer_percent / 100, 4 * FRAME);
	link[0].mark_bytes = (uint32_t)(bdp(c) * c->mark_percent / 100);
	link[0].loss_ppm = c->loss_ppm;
	w->net = mg_sim_net_new(4711, link);
}

static void make_host(struct world *w, const struct cell *c, int h)
{
	struct mg_stack_conf conf;

	mg_stack_conf_default(&conf);
	conf.addr = mg_addr_v4(0x0a4d0001 + (uint32_t)h);
	conf.prefix = 24;
	conf.mac = (struct mg_mac){ { 2, 0, 0, 0, 0, (uint8_t)(h + 1) } };
	conf.mtu = 1500;
	conf.seed = 99 + (uint64_t)h;
	conf.now_ns = START_NS;
	conf.conns_max = 16;
	conf.payload_bytes = 8u << 20;
	conf.tcp.autotune = false; /* what is compared is not theirs */
	conf.tcp.rcvbuf_bytes = BUFFER;
	conf.tcp.sndbuf_bytes = BUFFER;
	conf.tcp.pacing = false;
	conf.gso = c->gso;
	conf.tcp.ecn = c->ecn ? MG_SLOW_ECN_ON : MG_SLOW_ECN_OFF;
	/* The receiver's algorithm decides how it echoes. */
	(void)snprintf(conf.tcp.congestion_control, sizeof(conf.tcp.congestion_control), "%s",
		       c->algorithm[0]);
	w->side[h] = (struct side){ .w = w, .host = h };
	conf.ctx = &w->side[h];
	conf.tx = tx;
	w->stack[h] = mg_stack_new(&conf);
	mg_sim_app_init(&w->app[h], w->stack[h], 1);
}

static void choose(struct world *w, const char *algorithm)
{
	const struct mg_sim_conn *conn = &w->app[0].conns[w->app[0].nr_conns - 1];
	struct mg_ctl_msg *msg = calloc(1, sizeof(*msg));

	MG_ASSERT(msg != NULL);
	mg_ctl_init(msg, MG_CTL_TCP_SET_OPTION, 1, 1);
	msg->opt[0] = (struct mg_ctl_opt){ .window = conn->window,
					   .gen = conn->gen,
					   .option = MG_CTL_OPT_CONGESTION };
	(void)snprintf(msg->opt[0].text, sizeof(msg->opt[0].text), "%s", algorithm);
	MG_ASSERT(mg_stack_request(w->stack[0], msg, w->now_ns));
	MG_ASSERT(msg->hdr.status == 0 && msg->opt[0].status == 0);
	free(msg);
}

static void connect(struct world *w, const char *algorithm)
{
	static const struct mg_sim_plan bulk = { .tx_bytes = UINT64_MAX,
						 .write_max = 65536,
						 .read_max = 65536,
						 .abort_at = MG_SIM_NEVER_ABORT };

	MG_ASSERT(mg_sim_app_connect(&w->app[0], mg_addr_v4(0x0a4d0002), PORT, &bulk, w->now_ns) ==
		  0);
	choose(w, algorithm);
	settle(w);
}

static void received(const struct world *w, uint64_t ret_bytes[2])
{
	for (uint32_t i = 0; i < 2; i++) {
		const struct mg_sim_app *server = &w->app[1];

		ret_bytes[i] = 0;
		for (uint32_t k = 0; k < server->nr_conns && i < w->app[0].nr_conns; k++)
			if (server->conns[k].key == w->app[0].conns[i].key)
				ret_bytes[i] = server->conns[k].rx_pos;
	}
}

static uint64_t counter(const struct world *w, const char *name)
{
	return mg_stack_counter(w->stack[0], name);
}

static struct outcome measure(struct world *w, const struct cell *c)
{
	uint64_t from[2], to[2], all, segs = counter(w, "tx_segments");
	uint64_t resent = counter(w, "tx_retransmits"), lost = mg_sim_net_lost(w->net);
	uint64_t rtos = counter(w, "rto_expiries");
	uint64_t could = (uint64_t)c->mbit * 125000 * c->measured_s * PAYLOAD / FRAME;
	struct outcome o;

	received(w, from);
	(void)mg_sim_net_queue(w->net, 0);
	run_until(w, w->now_ns + c->measured_s * MG_NS_PER_S);
	received(w, to);
	all = to[0] + to[1] - from[0] - from[1];
	segs = mg_max_u64(counter(w, "tx_segments") - segs, 1);
	o.percent = (uint32_t)(all * 100 / could);
	o.window = (uint32_t)(all * 100 / PAYLOAD * c->rtt_ms / 1000 / c->measured_s);
	o.share = (uint32_t)((to[0] - from[0]) * 100 / mg_max_u64(all, 1));
	o.queue_ms = (uint32_t)(mg_sim_net_queue(w->net, 0) * 1000 / (c->mbit * 125000));
	o.lost_ppm = (uint32_t)((mg_sim_net_lost(w->net) - lost) * 1000000 / segs);
	o.resent_ppm = (uint32_t)((counter(w, "tx_retransmits") - resent) * 1000000 / segs);
	o.timeouts = (uint32_t)(counter(w, "rto_expiries") - rtos);
	return o;
}

static struct outcome run(const struct cell *c)
{
	struct world *w = calloc(1, sizeof(*w));
	struct outcome o;

	MG_ASSERT(w != NULL);
	w->now_ns = START_NS;
	make_link(w, c);
	for (int h = 0; h < 2; h++)
		make_host(w, c, h);
	w->app[1].accept_plan = (struct mg_sim_plan){ .tx_bytes = 0,
						      .write_max = 1,
						      .read_max = UINT32_MAX,
						      .shut_late = true,
						      .abort_at = MG_SIM_NEVER_ABORT };
	MG_ASSERT(mg_sim_app_listen(&w->app[1], PORT, 8, START_NS) == 0);
	connect(w, c->algorithm[0]);
	if (c->algorithm[1] != NULL) { /* it comes later, when the first has all */
		run_until(w, START_NS + 3 * MG_NS_PER_S);
		connect(w, c->algorithm[1]);
	}
	run_until(w, START_NS + c->warm_s * MG_NS_PER_S);
	o = measure(w, c);
	mg_stack_free(w->stack[0]);
	mg_stack_free(w->stack[1]);
	mg_sim_net_free(w->net);
	free(w);
	return o;
}

static void print_one(FILE *out, const struct cell *c, const char *name)
{
	struct outcome o = run(c);

	(void)fprintf(out,
		      "%-11s %4u %5u %7u%% %5u.%02u%% | %4u%% %5u ms %3u.%02u%% %3u.%02u%% %4u\n",
		      name, c->mbit, c->rtt_ms, c->buffer_percent, c->loss_ppm / 10000,
		      c->loss_ppm / 100 % 100, o.percent, o.queue_ms, o.lost_ppm / 10000,
		      o.lost_ppm / 100 % 100, o.resent_ppm / 10000, o.resent_ppm / 100 % 100,
		      o.timeouts);
}

/* One connection. */
static void alone(FILE *out)
{
	static const uint32_t losses[] = { 0, 1000, 10000 };
	static const uint32_t rtts[] = { 20, 100 };
	static const uint32_t buffers[] = { 20, 100 };

	(void)fprintf(
		out,
		"# One bulk transfer. Filled: payload that arrived, of what the link carries.\n"
		"# algorithm Mbit RTT/ms buffer     loss | filled   queue    lost   resent RTOs\n");
	for (uint32_t i = 0; mg_cc_all[i] != NULL; i++) {
		for (uint32_t k = 0; k < 12; k++) {
			struct cell c = { .algorithm = { mg_cc_all[i]->name },
					  .mbit = 10,
					  .rtt_ms = rtts[k / 2 % 2],
					  .buffer_percent = buffers[k % 2],
					  .loss_ppm = losses[k / 4],
					  .warm_s = 4,
					  .measured_s = 12 };

			print_one(out, &c, mg_cc_all[i]->name);
		}
	}
}

/* Random losses and no queue: the window that follows from them (RFC 9438 5.2: Reno's, which CUBIC has on short paths). */
static void by_formula(FILE *out)
{
	static const struct {
		uint32_t loss_ppm, window;
	} losses[] = { { 1000, 3873 }, { 10000, 1225 } };

	(void)fprintf(out,
		      "\n# Random losses, 1 Gbit/s: segments in the network beside sqrt(3 / 2p).\n"
		      "# algorithm frames RTT/ms     loss | segments formula\n");
	for (uint32_t i = 0; i < 16; i++) {
		struct cell c = { .algorithm = { i & 8 ? "cubic" : "reno" },
				  .gso = (i & 4) != 0,
				  .mbit = 1000,
				  .rtt_ms = i & 2 ? 50 : 10,
				  .buffer_percent = 100,
				  .loss_ppm = losses[i & 1].loss_ppm,
				  .warm_s = 4,
				  .measured_s = i & 2 ? 60 : 30 };
		uint32_t formula = losses[i & 1].window;
		struct outcome o = run(&c);

		(void)fprintf(out, "%-11s %6s %6u %5u.%02u%% | %5u.%02u %4u.%02u\n", c.algorithm[0],
			      c.gso ? "large" : "single", c.rtt_ms, c.loss_ppm / 10000,
			      c.loss_ppm / 100 % 100, o.window / 100, o.window % 100, formula / 100,
			      formula % 100);
	}
}

/* A switch that marks. */
static void marked(FILE *out)
{
	static const char *const who[] = { "reno", "cubic", "bbr", "dctcp" };

	(void)fprintf(
		out,
		"\n# The same with ECN, marked from a fifth of the bandwidth-delay product on.\n"
		"# algorithm Mbit RTT/ms buffer     loss | filled   queue    lost   resent RTOs\n");
	for (uint32_t i = 0; i < 8; i++) {
		struct cell c = { .algorithm = { who[i / 2] },
				  .ecn = true,
				  .mbit = i % 2 ? 10 : 100,
				  .rtt_ms = i % 2 ? 40 : 2,
				  .buffer_percent = 400,
				  .mark_percent = 20,
				  .warm_s = 3,
				  .measured_s = i % 2 ? 12 : 2 };
		char name[24];

		(void)snprintf(name, sizeof(name), "%s+ecn", who[i / 2]);
		print_one(out, &c, name);
	}
}

/* Two connections; the second begins three seconds later. */
static void together(FILE *out)
{
	static const char *const pairs[][2] = {
		{ "reno", "reno" },  { "cubic", "cubic" }, { "bbr", "bbr" },  { "dctcp", "dctcp" },
		{ "reno", "cubic" }, { "cubic", "bbr" },   { "reno", "bbr" },
	};
	static const uint32_t buffers[] = { 50, 100, 300 };

	(void)fprintf(
		out,
		"\n# Two bulk transfers; the second begins 3 s after the first. Share: the first one's.\n"
		"# first second  Mbit RTT/ms buffer | filled share   queue   resent RTOs\n");
	for (uint32_t i = 0; i < MG_ARRAY_SIZE(pairs) * 3; i++) {
		struct cell c = { .algorithm = { pairs[i / 3][0], pairs[i / 3][1] },
				  .mbit = 10,
				  .rtt_ms = 40,
				  .buffer_percent = buffers[i % 3],
				  .warm_s = 10,
				  .measured_s = 20 };
		struct outcome o = run(&c);

		(void)fprintf(out, "%-7s %-7s %4u %6u %5u%% | %5u%% %4u%% %4u ms %3u.%02u%% %4u\n",
			      c.algorithm[0], c.algorithm[1], c.mbit, c.rtt_ms, c.buffer_percent,
			      o.percent, o.share, o.queue_ms, o.resent_ppm / 10000,
			      o.resent_ppm / 100 % 100, o.timeouts);
	}
}

void mg_sim_table(FILE *out)
{
	alone(out);
	by_formula(out);
	marked(out);
	together(out);
}
