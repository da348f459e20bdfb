/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/fake_daemon.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/assert.h"
#include "proto/base/bits.h"
#include "proto/base/sleep.h"
#include "proto/ctl/ctl.h"
#include "proto/path/app.h"

#define SESSIONS_MAX 64
#define LISTENERS_MAX 64
#define PENDING_MAX 4096
#define KVS 3
#define COUNTERS 700
#define EPOCH 0x1122334455667788ull

struct session;

/* One end of a connection: the daemon's private side of a window. */
struct end {
	struct session *s;
	uint32_t index;
	uint32_t gen;
	uint32_t context;
	uint32_t worker;
	bool used;
	bool released; /* the application let go */
	bool flow;     /* connected (or connecting): not yet CLOSED */
	bool fin_sent;
	struct end *peer;
	uint64_t tx_una; /* our own copies */
	uint64_t rx_tail;
	int64_t opts[16];
	char congestion[16];
};

struct listener {
	bool used;
	struct session *s;
	uint32_t context;
	uint64_t cookie;
	uint16_t port;
	bool reuse;
	uint32_t backlog;
	uint32_t credits;
	struct end *pending[PENDING_MAX]; /* established, not announced */
	uint32_t nr_pending;
};

struct session {
	bool used;
	bool attached;
	int fd;
	uint32_t nr_contexts;
	uint8_t *base;
	int region_fd;
	struct mg_app app;
	int wake_view[MG_SHM_CONTEXTS_MAX]; /* what the application has of the wake fds */
	struct end *ends;                   /* [nr_windows] */
};

struct fake_daemon {
	struct fake_daemon_conf conf;
	char dir[64];
	char address[128];
	char path[108];
	int listen_fd;
	int quit_fd;
	int worker_fd[MG_SHM_WORKERS_MAX];
	int info_fd;
	struct mg_shm_info *info;
	pthread_t thread;
	struct session sessions[SESSIONS_MAX];
	struct listener listeners[LISTENERS_MAX];
	struct mg_ctl_msg msg;
	char kv_value[KVS][64];
	uint16_t next_port;
	uint32_t next_worker;
	_Atomic bool hold;
	_Atomic bool lose;
	_Atomic uint64_t wakes, doorbells, requests, app_wakes;
	_Atomic uint32_t windows, nr_listeners, nr_sessions;
	bool waking[SESSIONS_MAX][MG_SHM_CONTEXTS_MAX];
};

static const char *const kv_keys[KVS] = { "tcp.rto_min_ms", "tcp.nagle", "log.level" };

static struct mg_app_layout layout_of(const struct fake_daemon *d)
{
	return (struct mg_app_layout){
		.nr_windows = d->conf.nr_windows,
		.nr_contexts = d->conf.nr_contexts,
		.nr_workers = d->conf.nr_workers,
		.payload_bytes = 2ull * d->conf.nr_windows * d->conf.ring_bytes,
	};
}

/* ---------------------------------------------------------------- events */

static struct mg_shm_window *window_of(struct end *e)
{
	return &e->s->app.windows[e->index];
}

static void push(struct fake_daemon *d, struct session *s, uint32_t producer, uint32_t context,
		 struct mg_shm_event ev, _Atomic uint32_t *dirty)
{
	if (atomic_load(&d->lose)) {
		if (dirty != NULL)
			atomic_exchange(dirty, 1);
		atomic_fetch_add(&s->app.contexts[context].shm->rescan, 1);
		d->waking[s - d->sessions][context] = true;
	} else if (mg_app_notify(&s->app, producer, 1u << context, &ev, dirty) != 0) {
		d->waking[s - d->sessions][context] = true;
	}
}

static void notify(struct fake_daemon *d, struct end *e, bool slow)
{
	struct mg_shm_window *w = window_of(e);
	struct mg_shm_event ev = {
		.kind = MG_SHM_EV_CONN, .index = e->index, .gen = e->gen, .cookie = w->cookie
	};

	push(d, e->s, slow ? MG_SHM_PRODUCER_SLOW : e->worker + 1, e->context, ev,
	     slow ? &w->s_dirty : &w->w_dirty);
}

static void wake_apps(struct fake_daemon *d)
{
	const uint64_t one = 1;

	for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &d->sessions[i];

		for (uint32_t c = 0; s->attached && c < s->nr_contexts; c++) {
			if (!d->waking[i][c])
				continue;
			d->waking[i][c] = false;
			if (mg_sleep_claim_wake(&s->app.contexts[c].shm->sleeping)) {
				(void)!write(s->app.contexts[c].wake_fd, &one, sizeof(one));
				atomic_fetch_add(&d->app_wakes, 1);
			}
		}
	}
}

/* ---------------------------------------------------------------- connections */

static void fake_ring(struct mg_shm_ring *slot, uint64_t off, uint32_t bytes)
{
	atomic_store(&slot->start, 0);
	atomic_store(&slot->page, (uint32_t)(off / MG_SHM_PAGE_BYTES));
	atomic_store(&slot->bytes, bytes);
}

static uint8_t *fake_ring_at(const struct session *s, const struct mg_shm_ring *slot)
{
	return s->base + (uint64_t)slot->page * MG_SHM_PAGE_BYTES;
}

static struct end *end_new(struct fake_daemon *d, struct session *s, uint32_t context,
			   uint64_t cookie, const struct mg_tuple *tuple, uint32_t state)
{
	for (uint32_t i = 0; i < d->conf.nr_windows; i++) {
		struct end *e = &s->ends[i];
		struct mg_shm_window *w = &s->app.windows[i];
		uint32_t gen = e->gen + 1;

		if (e->used)
			continue;
		*e = (struct end){ .s = s,
				   .index = i,
				   .gen = gen,
				   .context = context,
				   .used = true,
				   .flow = true };
		e->worker = d->next_worker++ % d->conf.nr_workers;
		atomic_store(&w->rx_tail, 0);
		atomic_store(&w->tx_una, 0);
		atomic_store(&w->w_flags, 0);
		atomic_store(&w->w_dirty, 0);
		atomic_store(&w->rx_head, 0);
		atomic_store(&w->tx_head, 0);
		atomic_store(&w->tx_urg, 0);
		atomic_store(&w->urg_pos, 0);
		atomic_store(&w->a_flags, 0);
		atomic_store(&w->a_dirty, 0);
		atomic_store(&w->s_dirty, 0);
		atomic_store(&w->error, 0);
		w->gen = gen;
		w->worker = e->worker;
		atomic_store(&w->contexts, 1u << context);
		atomic_store(&w->claim, MG_SHM_CLAIM_NONE);
		w->cookie = cookie;
		w->mss = 1460;
		fake_ring(&w->rx_rings[0], s->app.payload_off + 2ull * i * d->conf.ring_bytes,
			  d->conf.ring_bytes);
		fake_ring(&w->tx_rings[0], s->app.payload_off + (2ull * i + 1) * d->conf.ring_bytes,
			  d->conf.ring_bytes);
		atomic_store(&w->rx_ring, 0);
		atomic_store(&w->tx_ring, 0);
		atomic_store(&w->tx_ring_used, 0);
		w->tuple = *tuple;
		atomic_store_explicit(&w->state, state, memory_order_release);
		atomic_fetch_add(&d->windows, 1);
		return e;
	}
	return NULL;
}

static void end_free(struct fake_daemon *d, struct end *e)
{
	if (!e->used || !e->released || e->flow)
		return;
	atomic_store_explicit(&window_of(e)->state, MG_SHM_ST_FREE, memory_order_release);
	e->used = false;
	atomic_fetch_sub(&d->windows, 1);
}

/* The connection is over for this end. */
static void end_close(struct fake_daemon *d, struct end *e, int error)
{
	struct mg_shm_window *w = window_of(e);

	if (!e->flow)
		return;
	e->flow = false;
	if (e->peer != NULL)
		e->peer->peer = NULL;
	e->peer = NULL;
	atomic_store(&w->error, (uint32_t)error);
	atomic_store_explicit(&w->state, MG_SHM_ST_CLOSED, memory_order_release);
	notify(d, e, true);
	end_free(d, e);
}

static void reset_peer(struct fake_daemon *d, struct end *e)
{
	if (e->peer != NULL)
		end_close(d, e->peer, ECONNRESET);
}

static uint32_t move_bytes(struct fake_daemon *d, struct end *from, struct end *to)
{
	struct mg_shm_window *a = window_of(from), *b = window_of(to);
	uint64_t head = atomic_load_explicit(&a->tx_head, memory_order_acquire);
	uint64_t room = d->conf.ring_bytes -
			(to->rx_tail - atomic_load_explicit(&b->rx_head, memory_order_acquire));
	uint64_t n = mg_min_u64(head - from->tx_una, room);
	uint32_t mask = d->conf.ring_bytes - 1;
	bool thrown = to->released || (atomic_load(&b->a_flags) & MG_SHM_AF_SHUT_RD) != 0;

	MG_ASSERT(head - from->tx_una <= d->conf.ring_bytes && room <= d->conf.ring_bytes);
	if (thrown)
		n = head - from->tx_una;
	for (uint64_t done = 0; done < n && !thrown;) {
		uint64_t at = (from->tx_una + done) & mask, to_at = (to->rx_tail + done) & mask;
		uint64_t piece = mg_min_u64(n - done, mg_min_u64(mask + 1 - at, mask + 1 - to_at));

		memcpy(fake_ring_at(to->s, &b->rx_rings[0]) + to_at,
		       fake_ring_at(from->s, &a->tx_rings[0]) + at, piece);
		done += piece;
	}
	if (n == 0)
		return 0;
	from->tx_una += n;
	atomic_store_explicit(&a->tx_una, from->tx_una, memory_order_release);
	if (!thrown) {
		to->rx_tail += n;
		atomic_store_explicit(&b->rx_tail, to->rx_tail, memory_order_release);
		notify(d, to, false);
	}
	return (uint32_t)n;
}

/* The mark goes ahead of the bytes, as the pointer does on the wire. */
static void pass_urgent(struct fake_daemon *d, struct end *from, struct end *to)
{
	struct mg_shm_window *w = window_of(to);
	uint64_t urg = atomic_load(&window_of(from)->tx_urg), pos;

	if (urg <= from->tx_una)
		return;
	pos = to->rx_tail + (urg - from->tx_una);
	if (pos <= atomic_load(&w->urg_pos))
		return;
	atomic_store(&w->urg_pos, pos);
	atomic_fetch_or(&w->w_flags, MG_SHM_WF_URG);
	notify(d, to, false);
}

static void pump(struct fake_daemon *d, struct end *from)
{
	struct mg_shm_window *w = window_of(from);
	struct end *to = from->peer;
	uint32_t flags;
	uint64_t used;

	if (to == NULL || atomic_load(&d->hold))
		return;
	flags = atomic_load_explicit(&w->a_flags, memory_order_acquire);
	pass_urgent(d, from, to);
	(void)move_bytes(d, from, to);
	used = atomic_load_explicit(&w->tx_head, memory_order_acquire) - from->tx_una;
	if ((flags & MG_SHM_AF_WANT_TX) != 0 &&
	    3 * (d->conf.ring_bytes - used) >= d->conf.ring_bytes)
		notify(d, from, false);
	if (used > 0 || from->fin_sent || (flags & (MG_SHM_AF_SHUT_WR | MG_SHM_AF_CLOSE)) == 0)
		return;
	from->fin_sent = true;
	atomic_fetch_or_explicit(&window_of(to)->w_flags, MG_SHM_WF_RX_FIN, memory_order_release);
	atomic_fetch_or_explicit(&w->w_flags, MG_SHM_WF_TX_DONE, memory_order_release);
	notify(d, to, false);
	notify(d, from, false);
	if (to->fin_sent) {
		end_close(d, to, 0);
		end_close(d, from, 0);
	}
}

static void look(struct fake_daemon *d, struct end *e)
{
	struct mg_shm_window *w = window_of(e);
	uint32_t flags = atomic_load_explicit(&w->a_flags, memory_order_acquire);
	bool unread;

	if ((flags & MG_SHM_AF_ABORT) != 0) {
		e->released = true;
		reset_peer(d, e);
		end_close(d, e, ECONNABORTED);
		end_free(d, e);
		return;
	}
	if ((flags & MG_SHM_AF_CLOSE) != 0 && !e->released) {
		e->released = true;
		unread = e->rx_tail != atomic_load(&w->rx_head);
		if (unread)
			reset_peer(d, e);
		if (unread || e->peer == NULL)
			end_close(d, e, 0);
		end_free(d, e);
	}
	if (e->used && e->peer != NULL) {
		pump(d, e);
		if (e->peer != NULL)
			pump(d, e->peer); /* room may be free */
	}
}

static uint32_t take_doorbells(struct fake_daemon *d, struct session *s)
{
	struct mg_shm_doorbell bell;
	uint32_t n = 0;

	for (uint32_t c = 0; s->attached && c < s->nr_contexts; c++) {
		for (uint32_t w = 0; w < d->conf.nr_workers; w++) {
			while (mg_spsc_pop(&s->app.contexts[c].doorbells[w], &bell) == 1) {
				n++;
				if (bell.index >= d->conf.nr_windows)
					continue;
				atomic_exchange_explicit(&s->app.windows[bell.index].a_dirty, 0,
							 memory_order_acq_rel);
				if (s->ends[bell.index].used)
					look(d, &s->ends[bell.index]);
			}
		}
	}
	atomic_fetch_add(&d->doorbells, n);
	return n;
}

/* ---------------------------------------------------------------- listeners */

static struct listener *find_listener(struct fake_daemon *d, uint16_t port)
{
	struct listener *best = NULL;

	for (uint32_t i = 0; i < LISTENERS_MAX; i++) {
		struct listener *l = &d->listeners[i];

		if (l->used && l->port == port &&
		    (best == NULL || l->nr_pending < best->nr_pending))
			best = l;
	}
	return best;
}

static void announce(struct fake_daemon *d, struct listener *l)
{
	uint32_t n = 0;

	while (n < l->nr_pending && l->credits > 0) {
		struct end *e = l->pending[n++];
		struct mg_shm_event ev = { .kind = MG_SHM_EV_ACCEPTED,
					   .index = e->index,
					   .gen = e->gen,
					   .cookie = l->cookie };

		l->credits--;
		atomic_store(&window_of(e)->claim, MG_SHM_CLAIM_OFFERED);
		push(d, l->s, MG_SHM_PRODUCER_SLOW, l->context, ev, NULL);
	}
	memmove(l->pending, l->pending + n, (l->nr_pending - n) * sizeof(l->pending[0]));
	l->nr_pending -= n;
}

static void handshake(struct fake_daemon *d, struct end *active, struct listener *l)
{
	struct mg_tuple t = window_of(active)->tuple, back = { t.raddr, t.laddr, t.rport, t.lport };
	struct end *passive;

	if (l->nr_pending >= PENDING_MAX || l->nr_pending >= l->backlog + 1)
		return; /* dropped; the test's time-out */
	passive = end_new(d, l->s, l->context, l->cookie, &back, MG_SHM_ST_OPEN);
	if (passive == NULL)
		return;
	active->peer = passive;
	passive->peer = active;
	atomic_store_explicit(&window_of(active)->state, MG_SHM_ST_OPEN, memory_order_release);
	notify(d, active, true);
	l->pending[l->nr_pending++] = passive;
	announce(d, l);
}

static void listener_free(struct fake_daemon *d, struct listener *l)
{
	for (uint32_t i = 0; i < l->nr_pending; i++) {
		struct end *e = l->pending[i];

		e->released = true;
		reset_peer(d, e);
		end_close(d, e, 0);
		end_free(d, e);
	}
	memset(l, 0, sizeof(*l));
	atomic_fetch_sub(&d->nr_listeners, 1);
}

/* ---------------------------------------------------------------- control */

static void do_health(struct fake_daemon *d)
{
	struct mg_ctl_health *h = &d->msg.health[0];

	memset(h, 0, sizeof(*h));
	h->serving = MG_CTL_SERVING;
	h->pid = (uint32_t)getpid();
	h->daemon_epoch = EPOCH;
	h->nr_workers = d->conf.nr_workers;
	h->nr_sessions = atomic_load(&d->nr_sessions);
	h->nr_connections = atomic_load(&d->windows);
	h->nr_listeners = atomic_load(&d->nr_listeners);
	(void)snprintf(h->version, sizeof(h->version), "fake");
	(void)snprintf(h->instance, sizeof(h->instance), "test");
	(void)snprintf(h->attach_path, sizeof(h->attach_path), "%s", d->path);
	mg_ctl_set_count(&d->msg, 1);
}

static int key_index(const char *key)
{
	for (int i = 0; i < KVS; i++) {
		if (strcmp(kv_keys[i], key) == 0)
			return i;
	}
	return -1;
}

static int do_set_config(struct fake_daemon *d, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (key_index(d->msg.kv[i].key) < 0) {
			(void)snprintf(d->msg.hdr.text, sizeof(d->msg.hdr.text), "%s: no such key",
				       d->msg.kv[i].key);
			return -ENOENT;
		}
	}
	for (uint32_t i = 0; i < count; i++)
		(void)snprintf(d->kv_value[key_index(d->msg.kv[i].key)], sizeof(d->kv_value[0]),
			       "%.63s", d->msg.kv[i].value);
	return 0;
}

static int do_get_config(struct fake_daemon *d)
{
	char prefix[64];
	uint32_t n = 0;

	(void)snprintf(prefix, sizeof(prefix), "%.63s", d->msg.kv[0].key);
	for (int i = 0; i < KVS; i++) {
		struct mg_ctl_kv *kv = &d->msg.kv[n];
		size_t len = strlen(prefix);
		bool section = len == 0 || prefix[len - 1] == '.';

		if (section ? strncmp(kv_keys[i], prefix, len) != 0
			    : strcmp(kv_keys[i], prefix) != 0)
			continue;
		memset(kv, 0, sizeof(*kv));
		(void)snprintf(kv->key, sizeof(kv->key), "%s", kv_keys[i]);
		memcpy(kv->value, d->kv_value[i], sizeof(d->kv_value[i]));
		(void)snprintf(kv->deflt, sizeof(kv->deflt), "d%d", i);
		kv->flags = MG_CTL_KV_RUNTIME;
		n++;
	}
	mg_ctl_set_count(&d->msg, n);
	return n > 0 ? 0 : -ENOENT;
}

static int do_listen(struct fake_daemon *d, struct session *s)
{
	struct mg_ctl_listen *item = &d->msg.listen[0];
	bool reuse = (item->flags & MG_CTL_LISTEN_REUSEPORT) != 0;
	struct listener *l = item->port != 0 ? find_listener(d, item->port) : NULL;

	if (l != NULL && !(l->reuse && reuse))
		return -EADDRINUSE;
	if (item->port == 0)
		item->port = d->next_port++;
	for (uint32_t i = 0; i < LISTENERS_MAX; i++) {
		l = &d->listeners[i];
		if (l->used)
			continue;
		*l = (struct listener){ .used = true,
					.s = s,
					.context = item->context,
					.cookie = item->cookie,
					.port = item->port,
					.reuse = reuse,
					.backlog = item->backlog };
		item->listener = i;
		atomic_fetch_add(&d->nr_listeners, 1);
		mg_ctl_set_count(&d->msg, 1);
		return 0;
	}
	return -ENOMEM;
}

static int do_accept(struct fake_daemon *d, struct session *s, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct mg_ctl_accept *a = &d->msg.accept[i];

		if (a->listener >= LISTENERS_MAX || !d->listeners[a->listener].used ||
		    d->listeners[a->listener].s != s)
			return -EINVAL;
		d->listeners[a->listener].credits += a->credits;
		announce(d, &d->listeners[a->listener]);
	}
	return 0;
}

static int do_connect(struct fake_daemon *d, struct session *s, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct mg_ctl_connect *item = &d->msg.connect[i];
		struct listener *l = find_listener(d, item->tuple.rport);
		struct end *e;

		if (mg_addr_is_any(&item->tuple.laddr))
			item->tuple.laddr = mg_addr_v4(0x7f000001);
		if (item->tuple.lport == 0)
			item->tuple.lport = d->next_port++;
		e = end_new(d, s, item->context, item->cookie, &item->tuple, MG_SHM_ST_CONNECTING);
		item->status = e == NULL ? -ENOBUFS : 0;
		if (e == NULL)
			continue;
		item->window = e->index;
		item->gen = e->gen;
		if (l != NULL)
			handshake(d, e, l);
		else if (item->tuple.rport != FAKE_PORT_SILENT)
			end_close(d, e, ECONNREFUSED);
	}
	mg_ctl_set_count(&d->msg, count);
	return 0;
}

static int do_option(struct fake_daemon *d, struct session *s, uint32_t count, bool set)
{
	for (uint32_t i = 0; i < count; i++) {
		struct mg_ctl_opt *o = &d->msg.opt[i];
		struct end *e = o->window < d->conf.nr_windows ? &s->ends[o->window] : NULL;

		if (o->window == MG_CTL_WINDOW_NONE && o->option == MG_CTL_OPT_CONGESTION) {
			o->status = set && strcmp(o->text, "none") == 0 ? -ENOENT : 0;
			if (!set)
				memcpy(o->text, "cubic", sizeof("cubic"));
			continue;
		}
		if (e == NULL || !e->used || e->gen != o->gen ||
		    o->option >= MG_ARRAY_SIZE(e->opts)) {
			o->status = -ENOTCONN;
			continue;
		}
		if (set)
			e->opts[o->option] = o->value;
		if (set && o->option == MG_CTL_OPT_CONGESTION)
			memcpy(e->congestion, o->text, sizeof(e->congestion));
		memcpy(o->text, e->congestion, sizeof(o->text));
		o->value = e->opts[o->option];
		o->status = set && o->option == MG_CTL_OPT_CONGESTION &&
					    strcmp(o->text, "none") == 0
				    ? -ENOENT
				    : 0;
		o->info.state = 4;
		o->info.srtt_us = 1234;
		o->info.mss = 1460;
		o->info.cwnd_bytes = 14600;
	}
	mg_ctl_set_count(&d->msg, count);
	return 0;
}

static void do_stats(struct fake_daemon *d)
{
	uint32_t start = d->msg.hdr.start, n = 0;

	while (n < mg_ctl_items_max(d->msg.hdr.type) && start + n < COUNTERS) {
		struct mg_ctl_counter *c = &d->msg.counter[n];

		memset(c, 0, sizeof(*c));
		(void)snprintf(c->name, sizeof(c->name), "counter.%u", start + n);
		c->value = start + n;
		n++;
	}
	d->msg.hdr.more = start + n < COUNTERS;
	mg_ctl_set_count(&d->msg, n);
}

static void do_connections(struct fake_daemon *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SESSIONS_MAX * d->conf.nr_windows; i++) {
		struct session *s = &d->sessions[i / d->conf.nr_windows];
		struct end *e = s->attached ? &s->ends[i % d->conf.nr_windows] : NULL;
		struct mg_ctl_conn_info *info = &d->msg.conn_info[n];

		if (e == NULL || !e->used || n >= mg_ctl_items_max(d->msg.hdr.type))
			continue;
		memset(info, 0, sizeof(*info));
		info->tuple = window_of(e)->tuple;
		info->state = 4;
		(void)snprintf(info->cc, sizeof(info->cc), "cubic");
		n++;
	}
	mg_ctl_set_count(&d->msg, n);
}

static void do_listeners(struct fake_daemon *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < LISTENERS_MAX; i++) {
		struct mg_ctl_listener_info *info = &d->msg.listener_info[n];

		if (!d->listeners[i].used)
			continue;
		memset(info, 0, sizeof(*info));
		info->addr = mg_addr_v4(0);
		info->port = d->listeners[i].port;
		info->backlog = d->listeners[i].backlog;
		n++;
	}
	mg_ctl_set_count(&d->msg, n);
}

static void listen_close(struct fake_daemon *d, struct session *s, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = d->msg.listener[i].listener;

		if (id < LISTENERS_MAX && d->listeners[id].used && d->listeners[id].s == s)
			listener_free(d, &d->listeners[id]);
	}
}

/* ---------------------------------------------------------------- attaching */

static int make_memfd(uint64_t bytes, int *ret_fd, void **ret_map)
{
	int fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	MG_ASSERT(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	*ret_map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MG_ASSERT(*ret_map != MAP_FAILED);
	*ret_fd = fd;
	return 0;
}

static void open_wake(struct session *s, uint32_t context)
{
	int pair[2] = { -1, -1 };

	(void)socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
	s->app.contexts[context].wake_fd = pair[0];
	s->wake_view[context] = pair[1];
}

static int do_attach(struct fake_daemon *d, struct session *s, int *fds, uint32_t *nr)
{
	struct mg_app_layout layout = layout_of(d);
	struct mg_ctl_attached *a = &d->msg.attached[0];
	void *map;

	if (s->attached)
		return -EALREADY;
	if (d->conf.refuse) {
		(void)snprintf(d->msg.hdr.text, sizeof(d->msg.hdr.text),
			       "attach: user is not allowed");
		return -EACCES;
	}
	(void)make_memfd(mg_app_region_bytes(&layout), &s->region_fd, &map);
	s->base = map;
	mg_app_region_format(s->base, &layout, EPOCH);
	if (d->conf.wrong_hash)
		((struct mg_shm_header *)map)->abi_hash ^= 1;
	mg_app_bind(&s->app, s->base, &layout);
	s->ends = calloc(d->conf.nr_windows, sizeof(*s->ends));
	open_wake(s, 0);
	s->nr_contexts = 1;
	s->attached = true;
	memset(a, 0, sizeof(*a));
	a->token.b[0] = 42;
	a->nr_workers = d->conf.nr_workers;
	a->region_bytes = s->app.total_bytes;
	a->daemon_epoch = EPOCH;
	a->connections_max = d->conf.nr_windows;
	fds[0] = s->region_fd;
	fds[1] = d->info_fd;
	fds[2] = s->wake_view[0];
	for (uint32_t w = 0; w < d->conf.nr_workers; w++)
		fds[3 + w] = d->worker_fd[w];
	*nr = 3 + d->conf.nr_workers;
	mg_ctl_set_count(&d->msg, 1);
	return 0;
}

static int do_context(struct fake_daemon *d, struct session *s, int *fds, uint32_t *nr)
{
	struct mg_ctl_attached *a = &d->msg.attached[0];
	uint32_t c = s->nr_contexts;

	if (c >= d->conf.nr_contexts)
		return -ENOSPC;
	open_wake(s, c);
	s->nr_contexts++;
	memset(a, 0, sizeof(*a));
	a->context = c;
	fds[0] = s->wake_view[c];
	*nr = 1;
	mg_ctl_set_count(&d->msg, 1);
	return 0;
}

static int handle(struct fake_daemon *d, struct session *s, uint16_t type, uint32_t count, int *fds,
		  uint32_t *nr)
{
	if (type == MG_CTL_ATTACH)
		return do_attach(d, s, fds, nr);
	if (type == MG_CTL_HEALTH_CHECK) {
		do_health(d);
		return 0;
	}
	if (type == MG_CTL_GET_CONFIG)
		return do_get_config(d);
	if (type == MG_CTL_STATS) {
		do_stats(d);
		return 0;
	}
	if (type == MG_CTL_CONNECTIONS || type == MG_CTL_LISTENERS) {
		type == MG_CTL_CONNECTIONS ? do_connections(d) : do_listeners(d);
		return 0;
	}
	if (type == MG_CTL_SET_CONFIG)
		return do_set_config(d, count);
	if (!s->attached)
		return -EPERM;
	switch (type) {
	case MG_CTL_CONTEXT_OPEN:
		return do_context(d, s, fds, nr);
	case MG_CTL_TCP_LISTEN:
		return do_listen(d, s);
	case MG_CTL_TCP_ACCEPT:
		return do_accept(d, s, count);
	case MG_CTL_TCP_CONNECT:
		return do_connect(d, s, count);
	case MG_CTL_TCP_LISTEN_CLOSE:
		listen_close(d, s, count);
		return 0;
	case MG_CTL_TCP_SET_OPTION:
	case MG_CTL_TCP_GET_OPTION:
		return do_option(d, s, count, type == MG_CTL_TCP_SET_OPTION);
	default:
		return -ENOSYS;
	}
}

static void reply(struct fake_daemon *d, struct session *s, const int *fds, uint32_t nr)
{
	char control[CMSG_SPACE(sizeof(int) * 32)] = { 0 };
	struct iovec iov = { &d->msg, d->msg.hdr.bytes };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (nr > 0) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nr);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nr);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nr);
	}
	(void)!sendmsg(s->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void session_end(struct fake_daemon *d, struct session *s)
{
	close(s->fd);
	for (uint32_t i = 0; i < LISTENERS_MAX; i++) {
		if (d->listeners[i].used && d->listeners[i].s == s)
			listener_free(d, &d->listeners[i]);
	}
	for (uint32_t i = 0; s->attached && i < d->conf.nr_windows; i++) {
		if (!s->ends[i].used)
			continue;
		s->ends[i].released = true;
		reset_peer(d, &s->ends[i]);
		end_close(d, &s->ends[i], 0);
		end_free(d, &s->ends[i]);
	}
	if (s->attached) {
		for (uint32_t c = 0; c < s->nr_contexts; c++) {
			close(s->app.contexts[c].wake_fd);
			close(s->wake_view[c]);
		}
		munmap(s->base, s->app.total_bytes);
		close(s->region_fd);
		free(s->ends);
	}
	memset(s, 0, sizeof(*s));
	atomic_fetch_sub(&d->nr_sessions, 1);
}

static void session_input(struct fake_daemon *d, struct session *s)
{
	ssize_t len = recv(s->fd, &d->msg, sizeof(d->msg), MSG_DONTWAIT);
	int fds[32], err;
	uint32_t nr = 0, count;
	uint16_t type;

	if (len < 0 && errno == EAGAIN)
		return;
	if (len <= 0) {
		session_end(d, s);
		return;
	}
	atomic_fetch_add(&d->requests, 1);
	err = mg_ctl_check(&d->msg, (size_t)len);
	MG_ASSERT(err == 0);
	type = d->msg.hdr.type;
	count = d->msg.hdr.count;
	d->msg.hdr.type |= MG_CTL_REPLY;
	memset(d->msg.hdr.text, 0, sizeof(d->msg.hdr.text));
	d->msg.hdr.more = 0;
	err = handle(d, s, type, count, fds, &nr);
	d->msg.hdr.status = err;
	if (err < 0 || mg_ctl_item_bytes(d->msg.hdr.type) == 0)
		mg_ctl_set_count(&d->msg, 0);
	reply(d, s, fds, nr);
}

static void session_new(struct fake_daemon *d)
{
	int fd = accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	for (uint32_t i = 0; fd >= 0 && i < SESSIONS_MAX; i++) {
		if (d->sessions[i].used)
			continue;
		d->sessions[i].used = true;
		d->sessions[i].fd = fd;
		atomic_fetch_add(&d->nr_sessions, 1);
		return;
	}
	if (fd >= 0)
		close(fd);
}

/* ---------------------------------------------------------------- the thread */

static uint32_t turn(struct fake_daemon *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &d->sessions[i];

		if (!s->attached)
			continue;
		n += take_doorbells(d, s);
	}
	wake_apps(d);
	return n;
}

/* After a hold everything has to be looked at. */
static void look_at_all(struct fake_daemon *d)
{
	for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
		for (uint32_t w = 0; d->sessions[i].attached && w < d->conf.nr_windows; w++) {
			if (d->sessions[i].ends[w].used)
				look(d, &d->sessions[i].ends[w]);
		}
	}
}

static bool bells_pending(struct fake_daemon *d)
{
	for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &d->sessions[i];

		for (uint32_t c = 0; s->attached && c < s->nr_contexts; c++) {
			for (uint32_t w = 0; w < d->conf.nr_workers; w++) {
				if (!mg_spsc_is_empty(&s->app.contexts[c].doorbells[w]))
					return true;
			}
		}
	}
	return false;
}

static void set_sleeping(struct fake_daemon *d, bool on)
{
	for (uint32_t w = 0; w < d->conf.nr_workers; w++) {
		if (on && !d->conf.no_sleeps)
			atomic_fetch_add_explicit(&d->info->worker[w].sleeps, 1,
						  memory_order_release);
		if (on)
			mg_sleep_prepare(&d->info->worker[w].sleeping);
		else
			mg_sleep_cancel(&d->info->worker[w].sleeping);
	}
}

static uint32_t gather(struct fake_daemon *d, struct pollfd *pfd, struct session **who)
{
	uint32_t n = 0;

	pfd[n++] = (struct pollfd){ .fd = d->quit_fd, .events = POLLIN };
	pfd[n++] = (struct pollfd){ .fd = d->listen_fd, .events = POLLIN };
	for (uint32_t w = 0; w < d->conf.nr_workers; w++)
		pfd[n++] = (struct pollfd){ .fd = d->worker_fd[w], .events = POLLIN };
	for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
		if (!d->sessions[i].used)
			continue;
		who[n] = &d->sessions[i];
		pfd[n++] = (struct pollfd){ .fd = d->sessions[i].fd, .events = POLLIN };
	}
	return n;
}

static void woken(struct fake_daemon *d, const struct pollfd *pfd, uint32_t n, struct session **who)
{
	uint64_t count;

	if (pfd[1].revents != 0)
		session_new(d);
	for (uint32_t i = 2; i < n; i++) {
		if (pfd[i].revents == 0)
			continue;
		if (i < 2 + d->conf.nr_workers) {
			atomic_fetch_add(&d->wakes, 1);
			(void)!read(pfd[i].fd, &count, sizeof(count));
		} else {
			session_input(d, who[i]);
		}
	}
}

static void *run(void *arg)
{
	struct fake_daemon *d = arg;
	struct pollfd pfd[2 + MG_SHM_WORKERS_MAX + SESSIONS_MAX];
	struct session *who[2 + MG_SHM_WORKERS_MAX + SESSIONS_MAX];
	uint64_t count;
	uint32_t n;

	do {
		while (turn(d) > 0)
			;
		set_sleeping(d, true);
		n = gather(d, pfd, who);
		(void)poll(pfd, n, bells_pending(d) ? 0 : -1);
		set_sleeping(d, false);
		woken(d, pfd, n, who);
		if (pfd[0].revents != 0 && read(d->quit_fd, &count, sizeof(count)) > 0 &&
		    count >= 1u << 20)
			break;
		if (pfd[0].revents != 0)
			look_at_all(d);
	} while (true);
	return NULL;
}

static int listen_on(struct fake_daemon *d)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (d->conf.path != NULL) {
		(void)snprintf(d->path, sizeof(d->path), "%s", d->conf.path);
	} else {
		(void)snprintf(d->dir, sizeof(d->dir), "/tmp/fake-mangod-XXXXXX");
		if (mkdtemp(d->dir) == NULL)
			return -errno;
		(void)snprintf(d->path, sizeof(d->path), "%s/attach.sock", d->dir);
	}
	(void)snprintf(d->address, sizeof(d->address), "local:%s", d->path);
	memcpy(sa.sun_path, d->path, sizeof(d->path));
	(void)unlink(d->path);
	d->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(d->listen_fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(d->listen_fd, 64) < 0)
		return -errno;
	return 0;
}

int fake_daemon_start(const struct fake_daemon_conf *conf, struct fake_daemon **ret_daemon)
{
	struct fake_daemon *d = calloc(1, sizeof(*d));
	void *map;
	int err;

	d->conf = conf != NULL ? *conf : (struct fake_daemon_conf){ 0 };
	d->conf.nr_windows = d->conf.nr_windows != 0 ? d->conf.nr_windows : 256;
	d->conf.nr_contexts = d->conf.nr_contexts != 0 ? d->conf.nr_contexts : 4;
	d->conf.nr_workers = d->conf.nr_workers != 0 ? d->conf.nr_workers : 1;
	d->conf.ring_bytes = d->conf.ring_bytes != 0 ? d->conf.ring_bytes : 65536;
	d->next_port = 40000;
	for (int i = 0; i < KVS; i++)
		(void)snprintf(d->kv_value[i], sizeof(d->kv_value[i]), "v%d", i);
	err = listen_on(d);
	if (err < 0)
		return err;
	d->quit_fd = eventfd(0, EFD_CLOEXEC);
	for (uint32_t w = 0; w < d->conf.nr_workers; w++)
		d->worker_fd[w] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	(void)make_memfd(sizeof(*d->info), &d->info_fd, &map);
	d->info = map;
	d->info->daemon_epoch = EPOCH;
	d->info->nr_workers = d->conf.nr_workers;
	atomic_store(&d->info->magic, MG_SHM_MAGIC);
	err = -pthread_create(&d->thread, NULL, run, d);
	*ret_daemon = d;
	return err;
}

const char *fake_daemon_address(const struct fake_daemon *d)
{
	return d->address;
}

void fake_daemon_stop(struct fake_daemon *d)
{
	const uint64_t quit = 1u << 20;

	if (d == NULL)
		return;
	(void)!write(d->quit_fd, &quit, sizeof(quit));
	pthread_join(d->thread, NULL);
	close(d->listen_fd);
	for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
		if (d->sessions[i].used)
			session_end(d, &d->sessions[i]);
	}
	close(d->quit_fd);
	for (uint32_t w = 0; w < d->conf.nr_workers; w++)
		close(d->worker_fd[w]);
	close(d->info_fd);
	munmap(d->info, sizeof(*d->info));
	(void)unlink(d->path);
	if (d->dir[0] != '\0')
		(void)rmdir(d->dir);
	free(d);
}

void fake_daemon_hold(struct fake_daemon *d, bool hold)
{
	const uint64_t one = 1;

	atomic_store(&d->hold, hold);
	(void)!write(d->quit_fd, &one, sizeof(one));
}

void fake_daemon_lose_events(struct fake_daemon *d, bool lose)
{
	atomic_store(&d->lose, lose);
}

void fake_daemon_stats(struct fake_daemon *d, struct fake_daemon_stats *ret_stats)
{
	ret_stats->wakes = atomic_load(&d->wakes);
	ret_stats->doorbells = atomic_load(&d->doorbells);
	ret_stats->requests = atomic_load(&d->requests);
	ret_stats->app_wakes = atomic_load(&d->app_wakes);
	ret_stats->windows = atomic_load(&d->windows);
	ret_stats->listeners = atomic_load(&d->nr_listeners);
	ret_stats->sessions = atomic_load(&d->nr_sessions);
}
