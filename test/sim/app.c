/* SPDX-License-Identifier: Apache-2.0 */
/* app.c - see app.h. */
#include "test/sim/app.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/time.h"
#include "proto/shm/window.h"

#define BITE_MAX 65536u

static void *element(const struct mg_app *app, enum mg_shm_section_id section, uint32_t i)
{
	const struct mg_shm_header *hdr = (const struct mg_shm_header *)app->base;

	return app->base + hdr->sections[section].off + i * hdr->sections[section].stride;
}

void mg_sim_app_init(struct mg_sim_app *app, struct mg_stack *stack, uint64_t seed)
{
	const struct mg_app *a = mg_stack_app(stack);
	const struct mg_shm_header *hdr = (const struct mg_shm_header *)a->base;

	memset(app, 0, sizeof(*app));
	app->stack = stack;
	app->seed = seed;
	for (uint32_t p = 0; p < 2; p++)
		mg_spsc_attach_consumer(&app->events[p], element(a, MG_SHM_SEC_EVENTS, p),
					hdr->sections[MG_SHM_SEC_EVENTS].entries,
					sizeof(struct mg_shm_event), 0);
	mg_spsc_attach_producer(&app->doorbell, element(a, MG_SHM_SEC_DOORBELLS, 0),
				hdr->sections[MG_SHM_SEC_DOORBELLS].entries,
				sizeof(struct mg_shm_doorbell), 0);
}

static struct mg_ctl_msg *new_msg(uint16_t type)
{
	struct mg_ctl_msg *msg = calloc(1, sizeof(*msg));

	MG_ASSERT(msg != NULL);
	mg_ctl_init(msg, type, 1, 1);
	return msg;
}

static int ask(struct mg_sim_app *app, struct mg_ctl_msg *msg, uint64_t now_ns)
{
	MG_ASSERT(mg_stack_request(app->stack, msg, now_ns));
	return msg->hdr.status;
}

int mg_sim_app_listen(struct mg_sim_app *app, uint16_t port, uint32_t backlog, uint64_t now_ns)
{
	struct mg_ctl_msg *msg = new_msg(MG_CTL_TCP_LISTEN);
	uint32_t listener;
	int err;

	/* :: takes both families */
	msg->listen[0] = (struct mg_ctl_listen){ .port = port, .backlog = backlog };
	err = ask(app, msg, now_ns);
	listener = msg->listen[0].listener;
	free(msg);
	if (err < 0)
		return err;
	msg = new_msg(MG_CTL_TCP_ACCEPT);
	msg->accept[0] = (struct mg_ctl_accept){ .listener = listener,
						 .credits = MG_SIM_CONNS_MAX };
	err = ask(app, msg, now_ns);
	free(msg);
	return err;
}

static struct mg_shm_window *window_of(const struct mg_sim_app *app, const struct mg_sim_conn *c)
{
	return &mg_stack_app(app->stack)->windows[c->window];
}

static struct mg_sim_conn *add_conn(struct mg_sim_app *app, uint32_t window, uint32_t gen,
				    const struct mg_sim_plan *plan)
{
	struct mg_sim_conn *c = &app->conns[app->nr_conns++];

	MG_ASSERT(app->nr_conns <= MG_SIM_CONNS_MAX);
	*c = (struct mg_sim_conn){ .in_use = true,
				   .window = window,
				   .gen = gen,
				   .plan = *plan,
				   .kicked = true,
				   .leave_ns = MG_TIME_NEVER,
				   .wake_ns = MG_TIME_NEVER };
	return c;
}

int mg_sim_app_connect(struct mg_sim_app *app, struct mg_addr to, uint16_t port,
		       const struct mg_sim_plan *plan, uint64_t now_ns)
{
	struct mg_ctl_msg *msg = new_msg(MG_CTL_TCP_CONNECT);
	int err;

	msg->connect[0].tuple = (struct mg_tuple){ .laddr = mg_addr_v4(0),
						   .raddr = to,
						   .rport = port };
	msg->connect[0].flags = plan->fastopen ? MG_CTL_CONNECT_FASTOPEN : 0;
	err = ask(app, msg, now_ns);
	if (err == 0)
		err = msg->connect[0].status;
	if (err == 0)
		add_conn(app, msg->connect[0].window, msg->connect[0].gen, plan)->is_client = true;
	free(msg);
	return err;
}

static void fail(struct mg_sim_app *app, struct mg_sim_conn *c, const char *what, uint64_t at)
{
	c->end = MG_SIM_FAILED;
	if (app->failure[0] == '\0')
		(void)snprintf(app->failure, sizeof(app->failure), "%s window %u: %s at byte %llu",
			       c->is_client ? "client" : "server", c->window, what,
			       (unsigned long long)at);
}

/* Byte `pos` of the stream that one end of connection `key` sends. */
static uint8_t pattern(uint64_t seed, uint64_t key, bool from_client, uint64_t pos)
{
	uint64_t x = (pos >> 3) * 0x9e3779b97f4a7c15ull ^ key * 0xff51afd7ed558ccdull ^ seed ^
		     (from_client ? 0x55 : 0);

	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return (uint8_t)(x >> (8 * (pos & 7)));
}

static void ring_doorbell(struct mg_sim_app *app, struct mg_sim_conn *c)
{
	struct mg_shm_doorbell bell = { .index = c->window, .gen = c->gen };

	if (atomic_exchange(&window_of(app, c)->a_dirty, 1) == 0)
		MG_ASSERT(mg_spsc_push(&app->doorbell, &bell) == 0);
}

static bool do_read(struct mg_sim_app *app, struct mg_sim_conn *c, uint64_t now_ns)
{
	const struct mg_shm_window *w = window_of(app, c);
	uint64_t tail = atomic_load_explicit(&w->rx_tail, memory_order_acquire);
	struct mg_span spans[MG_WINDOW_SPANS];
	uint32_t n = mg_window_peek(&c->w, 0, spans);
	uint32_t left = mg_min_u32(n, c->plan.read_max);
	uint64_t p = c->rx_pos;

	if (tail - c->rx_pos != n) {
		fail(app, c, "rx_tail is impossible", tail);
		return false;
	}
	if (now_ns < c->next_read_ns || left == 0)
		return false;
	for (int i = 0; i < MG_WINDOW_SPANS; i++) {
		for (uint32_t k = 0; k < spans[i].len && left > 0; k++, left--, p++) {
			if (spans[i].p[k] == pattern(app->seed, c->key, !c->is_client, p))
				continue;
			fail(app, c, "wrong byte", p);
			return false;
		}
	}
	app->moved_bytes += p - c->rx_pos;
	(void)mg_window_consume(&c->w, (uint32_t)(p - c->rx_pos)); /* the caller rings anyway */
	c->rx_pos = p;
	c->next_read_ns = now_ns + c->plan.read_gap_ns;
	if (c->plan.stall_ns != 0 && c->rx_pos >= c->plan.stall_at) {
		c->next_read_ns = now_ns + c->plan.stall_ns;
		c->plan.stall_ns = 0;
	}
	return true;
}

static bool do_write(struct mg_sim_app *app, struct mg_sim_conn *c, uint64_t now_ns)
{
	struct mg_shm_window *w = window_of(app, c);
	uint64_t una = atomic_load_explicit(&w->tx_una, memory_order_acquire);
	struct mg_span spans[2];
	uint64_t p = c->tx_pos;
	uint32_t n;

	if (una > c->tx_pos) {
		fail(app, c, "tx_una is impossible", una);
		return false;
	}
	if (now_ns < c->next_write_ns || c->tx_pos == c->plan.tx_bytes)
		return false;
	(void)mg_window_adopt(&c->w);
	n = mg_window_reserve(&c->w, mg_min_u64(c->plan.write_max, c->plan.tx_bytes - c->tx_pos),
			      spans);
	if (n == 0) { /* the ring is full: ask for an event, which may come at once */
		if ((atomic_fetch_or(&w->a_flags, MG_SHM_AF_WANT_TX) & MG_SHM_AF_WANT_TX) == 0)
			ring_doorbell(app, c);
		return false;
	}
	atomic_fetch_and(&w->a_flags, ~(uint32_t)MG_SHM_AF_WANT_TX);
	for (int i = 0; i < 2; i++)
		for (uint32_t k = 0; k < spans[i].len; k++)
			spans[i].p[k] = pattern(app->seed, c->key, c->is_client, p++);
	mg_window_commit(&c->w, n);
	if (atomic_load_explicit(&w->state, memory_order_acquire) == MG_SHM_ST_WAITING)
		atomic_fetch_or(&w->a_flags, MG_SHM_AF_SYN);
	c->tx_pos += n;
	c->next_write_ns = now_ns + c->plan.write_gap_ns;
	return true;
}

static void let_go(struct mg_sim_app *app, struct mg_sim_conn *c, uint32_t flag,
		   enum mg_sim_end end)
{
	atomic_fetch_or(&window_of(app, c)->a_flags, flag);
	ring_doorbell(app, c);
	c->end = end;
}

static bool step_open(struct mg_sim_app *app, struct mg_sim_conn *c, uint64_t now_ns)
{
	struct mg_shm_window *w = window_of(app, c);
	bool moved;

	if (now_ns >= c->leave_ns) {
		let_go(app, c, MG_SHM_AF_CLOSE, MG_SIM_LEFT);
		return true;
	}
	moved = do_read(app, c, now_ns);
	moved |= mg_window_adopt(&c->w); /* also when there is nothing to write */
	moved |= c->end == MG_SIM_OPEN && do_write(app, c, now_ns);
	if (c->end != MG_SIM_OPEN)
		return true;
	if (c->tx_pos >= c->plan.abort_at) {
		let_go(app, c, MG_SHM_AF_ABORT, MG_SIM_ABORTED);
		return true;
	}
	if (!c->eof &&
	    (atomic_load_explicit(&w->w_flags, memory_order_acquire) & MG_SHM_WF_RX_FIN) &&
	    atomic_load_explicit(&w->rx_tail, memory_order_acquire) == c->rx_pos)
		c->eof = moved = true;
	if (c->shut_ns == 0 && c->tx_pos == c->plan.tx_bytes)
		c->shut_ns = now_ns + c->plan.linger_ns;
	if (!c->shut && c->tx_pos == c->plan.tx_bytes && now_ns >= c->shut_ns &&
	    (!c->plan.shut_late || c->eof)) {
		atomic_fetch_or(&w->a_flags, MG_SHM_AF_SHUT_WR);
		c->shut = moved = true;
	}
	if (moved)
		ring_doorbell(app, c);
	if (c->eof && c->shut)
		let_go(app, c, MG_SHM_AF_CLOSE, MG_SIM_FINISHED);
	return moved || c->end != MG_SIM_OPEN;
}

static bool step_conn(struct mg_sim_app *app, struct mg_sim_conn *c, uint64_t now_ns)
{
	struct mg_shm_window *w = window_of(app, c);
	uint32_t state = atomic_load_explicit(&w->state, memory_order_acquire);

	if (!c->in_use || c->end != MG_SIM_OPEN || w->gen != c->gen)
		return false;
	if (state == MG_SHM_ST_CONNECTING)
		return false;
	if (c->key == 0) {
		MG_ASSERT(mg_window_bind(&c->w, mg_stack_app(app->stack)->base,
					 mg_stack_app(app->stack)->total_bytes, w, c->window,
					 c->gen) == 0);
		c->key = c->is_client ? w->tuple.lport : w->tuple.rport;
		if (c->plan.nodelay)
			atomic_fetch_or(&w->a_flags, MG_SHM_AF_NODELAY);
		c->next_read_ns = c->next_write_ns = now_ns + c->plan.start_ns;
		if (c->plan.leave_ns != 0)
			c->leave_ns = now_ns + c->plan.leave_ns;
	}
	c->opened |= state == MG_SHM_ST_OPEN;
	if (state == MG_SHM_ST_CLOSED && atomic_load(&w->error) != 0) {
		c->error = (int)atomic_load(&w->error);
		let_go(app, c, MG_SHM_AF_CLOSE, MG_SIM_RESET);
		return true;
	}
	return step_open(app, c, now_ns);
}

static void kick(struct mg_sim_app *app, uint32_t window, uint32_t gen)
{
	for (uint32_t i = 0; i < app->nr_conns; i++)
		if (app->conns[i].window == window && app->conns[i].gen == gen)
			app->conns[i].kicked = true;
}

static void take_events(struct mg_sim_app *app)
{
	struct mg_app *a = mg_stack_app(app->stack);
	struct mg_shm_event ev;

	for (uint32_t p = 0; p < 2; p++) {
		while (mg_spsc_pop(&app->events[p], &ev) == 1) {
			struct mg_shm_window *w = &a->windows[ev.index];

			atomic_exchange(p == MG_SHM_PRODUCER_SLOW ? &w->s_dirty : &w->w_dirty, 0);
			if (ev.kind != MG_SHM_EV_ACCEPTED)
				kick(app, ev.index, ev.gen);
			else if (mg_window_claim(w))
				(void)add_conn(app, ev.index, ev.gen, &app->accept_plan);
		}
	}
}

/* The plan's own next moment after now; UINT64_MAX: it waits for the stack. */
static uint64_t next_moment(const struct mg_sim_conn *c, uint64_t now_ns)
{
	uint64_t next = MG_TIME_NEVER;

	if (c->end != MG_SIM_OPEN || c->key == 0)
		return next;
	if (c->next_read_ns > now_ns)
		next = c->next_read_ns;
	if (c->shut_ns > now_ns)
		next = mg_min_u64(next, c->shut_ns);
	if (c->next_write_ns > now_ns && c->tx_pos < c->plan.tx_bytes)
		next = mg_min_u64(next, c->next_write_ns);
	return mg_min_u64(next, c->leave_ns);
}

bool mg_sim_app_step(struct mg_sim_app *app, uint64_t now_ns)
{
	bool moved = false;

	take_events(app);
	for (uint32_t i = 0; i < app->nr_conns; i++) {
		struct mg_sim_conn *c = &app->conns[i];

		if (!c->kicked && now_ns < c->wake_ns)
			continue;
		c->kicked = step_conn(app, c, now_ns);
		c->wake_ns = next_moment(c, now_ns);
		moved |= c->kicked;
	}
	return moved;
}

uint64_t mg_sim_app_next_ns(const struct mg_sim_app *app, uint64_t now_ns)
{
	uint64_t next = MG_TIME_NEVER;

	for (uint32_t i = 0; i < app->nr_conns; i++)
		if (app->conns[i].wake_ns > now_ns)
			next = mg_min_u64(next, app->conns[i].wake_ns);
	return next;
}

uint32_t mg_sim_app_open(const struct mg_sim_app *app)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < app->nr_conns; i++)
		n += app->conns[i].end == MG_SIM_OPEN;
	return n;
}
