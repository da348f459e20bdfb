/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/core/conn.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/core/iov.h"
#include "libclient/core/listener.h"
#include "libclient/core/share.h"

#define ERRNO_END 4096u /* errno values are below */

/* Locked. From here on events of the window reach the object. */
static void enter(struct mg_conn *conn)
{
	conn->src.ctx->slots[conn->w.index].conn = conn;
	/*
	 * Entries that came before had no owner and left the words set. What changed before these exchanges is
	 * seen by whoever looks from now on; what changes after them brings an entry.
	 */
	mg_window_take(&conn->w.shm->w_dirty);
	mg_window_take(&conn->w.shm->s_dirty);
	/* A doorbell of the window's last use may have set this after the daemon had zeroed it. */
	mg_window_take(&conn->w.shm->a_dirty);
}

static int conn_new(struct mg_ctx *ctx, uint32_t index, uint32_t gen, struct mg_conn **ret_conn)
{
	struct mg_client *client = ctx->client;
	struct mg_conn *conn;
	int err;

	if (index >= client->nr_windows)
		return -EPROTO;
	conn = calloc(1, sizeof(*conn));
	if (conn == NULL)
		return -ENOMEM;
	mg_source_init(&conn->src, ctx);
	err = mg_window_bind(&conn->w, client->region, client->region_bytes,
			     &client->windows[index], index, gen);
	if (err == 0 && conn->w.worker >= client->nr_workers)
		err = -EBADMSG;
	if (err < 0) {
		free(conn);
		return err;
	}
	*ret_conn = conn;
	return 0;
}

int mg_conn_adopt(struct mg_ctx *ctx, uint32_t index, uint32_t gen, struct mg_conn **ret_conn)
{
	int err = conn_new(ctx, index, gen, ret_conn);

	if (err == 0)
		enter(*ret_conn);
	return err;
}

static int request_connect(struct mg_ctx *ctx, const struct mg_conn_params *params,
			   uint32_t *ret_index, uint32_t *ret_gen)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_TCP_CONNECT, 1);
	struct mg_ctl_connect *item;
	int err;

	if (msg == NULL)
		return -ENOMEM;
	item = &msg->connect[0];
	item->tuple = params->tuple;
	item->context = ctx->index;
	item->cookie = MG_COOKIE_CONNECT;
	item->rcvbuf_bytes = params->rcvbuf_bytes;
	item->sndbuf_bytes = params->sndbuf_bytes;
	item->scope = params->scope;
	memcpy(item->congestion, params->congestion, sizeof(item->congestion));
	item->ttl = params->ttl;
	item->tos = params->tos;
	item->flags = params->flags;
	err = mg_client_request(ctx->client, msg);
	if (err == 0 && msg->hdr.count != 1)
		err = -EPROTO;
	if (err == 0)
		err = item->status <= 0 ? item->status : -EPROTO;
	*ret_index = item->window;
	*ret_gen = item->gen;
	free(msg);
	return err;
}

int mg_conn_connect(struct mg_ctx *ctx, const struct mg_conn_params *params,
		    struct mg_conn **ret_conn)
{
	uint32_t index = 0, gen = 0;
	int err;

	err = request_connect(ctx, params, &index, &gen);
	if (err < 0)
		return err;
	mg_ctx_lock(ctx);
	err = conn_new(ctx, index, gen, ret_conn);
	if (err == 0)
		enter(*ret_conn);
	else
		mg_ctx_reset(ctx, index, gen);
	mg_ctx_unlock(ctx);
	return err;
}

void mg_conn_free(struct mg_conn *conn)
{
	free(conn);
}

void mg_conn_release(struct mg_conn *conn, bool abort)
{
	if (conn->guarded && !abort) {
		mg_conn_drop(conn);
		return;
	}
	mg_conn_leave(conn, abort);
	mg_conn_free(conn);
}

void mg_conn_leave(struct mg_conn *conn, bool abort)
{
	struct mg_ctx *ctx = conn->src.ctx;

	/*
	 * The window is the daemon's again as soon as the worker sees the flag, and may come back as another
	 * connection at once: under the lock, so that its new owner enters after our last touch.
	 */
	mg_ctx_lock(ctx);
	ctx->slots[conn->w.index].conn = NULL;
	/* Dead may mean: we are a child of the process that has it. */
	if (!mg_client_is_dead(ctx->client)) {
		mg_window_set(&conn->w, abort ? MG_SHM_AF_ABORT : MG_SHM_AF_CLOSE);
		mg_ctx_ring_last(ctx, &conn->w);
	}
	mg_ctx_unlock(ctx);
}

void mg_conn_leave_at_exit(struct mg_conn *conn, bool abort)
{
	if (!mg_client_is_dead(conn->src.ctx->client))
		mg_window_set(&conn->w, abort ? MG_SHM_AF_ABORT : MG_SHM_AF_CLOSE);
}

static uint32_t aflags(const struct mg_conn *conn)
{
	return atomic_load_explicit(&conn->w.shm->a_flags, memory_order_relaxed);
}

/* Copies between a ring's pieces and the caller's, as far as both go. */
struct cursor {
	const struct iovec *iov;
	int nr;
	size_t off; /* in iov[0] */
};

/* To where bytes can be again; an empty piece may have no address. */
static void skip_done(struct cursor *c)
{
	while (c->nr > 0 && c->off == c->iov->iov_len) {
		c->iov++;
		c->nr--;
		c->off = 0;
	}
}

static uint32_t copy_span(struct cursor *c, const struct mg_span *span, bool to_ring)
{
	uint32_t done = 0;

	while (done < span->len && c->nr > 0) {
		size_t left = c->iov->iov_len - c->off;
		size_t n = left < span->len - done ? left : span->len - done;
		uint8_t *p = (uint8_t *)c->iov->iov_base + c->off;

		if (to_ring)
			memcpy(span->p + done, p, n);
		else
			memcpy(p, span->p + done, n);
		done += (uint32_t)n;
		c->off += n;
		skip_done(c);
	}
	return done;
}

static uint32_t copy_spans(const struct iovec *iov, int nr, const struct mg_span *spans,
			   int nr_spans, bool to_ring)
{
	struct cursor c = { iov, nr, 0 };
	uint32_t total = 0;

	skip_done(&c);
	for (int i = 0; i < nr_spans; i++) {
		uint32_t n = copy_span(&c, &spans[i], to_ring);

		total += n;
		if (n < spans[i].len)
			break;
	}
	return total;
}

/* Why it ended, negative; without a word `otherwise`. What is no errno must not pass for a count of bytes. */
static int end_error(const struct mg_conn *conn, int otherwise)
{
	uint32_t error = atomic_load_explicit(&conn->w.shm->error, memory_order_relaxed);

	return error != 0 && error < ERRNO_END ? -(int)error : otherwise;
}

/* Nothing was readable: why? 1: something is now. */
static int why_empty(const struct mg_conn *conn)
{
	/* In this order: whoever sees an end sees all bytes before it. */
	uint32_t state = mg_window_state(&conn->w);
	uint32_t wflags = mg_window_wflags(&conn->w);

	if (mg_window_readable(&conn->w) > 0)
		return 1;
	if ((wflags & MG_SHM_WF_RX_FIN) != 0 || (aflags(conn) & MG_SHM_AF_SHUT_RD) != 0)
		return 0;
	if (state == MG_SHM_ST_CLOSED)
		return end_error(conn, 0);
	return mg_client_probe(conn->src.ctx->client) ? -ECONNRESET : -EAGAIN;
}

/* 1: the spans hold bytes; else the reason why there are none. */
static int look(struct mg_conn *conn, struct mg_span spans[MG_WINDOW_SPANS])
{
	int end = 1;

	if (mg_client_is_dead(conn->src.ctx->client))
		return -ECONNRESET;
	while (end > 0 && mg_window_peek(&conn->w, 0, spans) == 0)
		end = why_empty(conn);
	return end;
}

static void consume(struct mg_conn *conn, uint32_t n)
{
	if (n > 0 && mg_window_consume(&conn->w, n))
		mg_ctx_ring(conn->src.ctx, &conn->w);
}

int64_t mg_conn_recv(struct mg_conn *conn, const struct iovec *iov, int nr, bool peek)
{
	struct mg_span spans[MG_WINDOW_SPANS];
	uint32_t n;
	int end = look(conn, spans);

	if (end <= 0)
		return end;
	n = copy_spans(iov, nr, spans, MG_WINDOW_SPANS, false);
	if (!peek)
		consume(conn, n);
	return n;
}

int64_t mg_conn_skip(struct mg_conn *conn, uint64_t max)
{
	struct mg_span spans[MG_WINDOW_SPANS];
	uint64_t n = 0;
	int end = look(conn, spans);

	if (end <= 0)
		return end;
	for (int i = 0; i < MG_WINDOW_SPANS; i++)
		n += spans[i].len;
	n = mg_min_u64(max, n);
	consume(conn, (uint32_t)n);
	return (int64_t)n;
}

static int why_not_open(const struct mg_conn *conn, uint32_t state)
{
	return state == MG_SHM_ST_CONNECTING ? -EAGAIN : end_error(conn, -EPIPE);
}

/* Between two threads of the application: a move to another ring waits for nobody, a sender only for a move. */
static bool try_tx(struct mg_conn *conn)
{
	/* acquire: pairs with leave_tx()'s release */
	return atomic_exchange_explicit(&conn->tx_busy, 1, memory_order_acquire) == 0;
}

static void enter_tx(struct mg_conn *conn)
{
	while (mg_unlikely(!try_tx(conn)))
		(void)sched_yield(); /* always succeeds on Linux */
}

static void leave_tx(struct mg_conn *conn)
{
	/* release: pairs with try_tx()'s acquire */
	atomic_store_explicit(&conn->tx_busy, 0, memory_order_release);
}

void mg_conn_adopt_ring(struct mg_conn *conn)
{
	bool moved;

	if (!mg_window_is_offered(&conn->w) || !try_tx(conn))
		return;
	moved = mg_window_adopt(&conn->w);
	leave_tx(conn);
	if (moved)
		mg_ctx_ring(conn->src.ctx, &conn->w);
}

int64_t mg_conn_reserve(struct mg_conn *conn, uint64_t max, struct mg_span ret_spans[2])
{
	uint32_t flags = aflags(conn), state = mg_window_state(&conn->w);
	uint32_t n;

	if (mg_client_is_dead(conn->src.ctx->client))
		return -ECONNRESET;
	if (mg_unlikely((flags & MG_SHM_AF_SHUT_WR) != 0))
		return -EPIPE;
	if (mg_unlikely(state != MG_SHM_ST_OPEN && state != MG_SHM_ST_WAITING))
		return why_not_open(conn, state);
	if (max == 0)
		return 0;
	enter_tx(conn);
	(void)mg_window_adopt(&conn->w); /* the doorbell for the next bytes tells */
	n = mg_window_reserve(&conn->w, max, ret_spans);
	if (n != 0)
		return n;
	leave_tx(conn);
	return mg_client_probe(conn->src.ctx->client) ? -ECONNRESET : -EAGAIN;
}

bool mg_conn_is_waiting(const struct mg_conn *conn)
{
	return mg_window_state(&conn->w) == MG_SHM_ST_WAITING;
}

/* What was committed is to be sent. */
static void ring_sent(struct mg_conn *conn)
{
	/* Asked for and had; the next time there is no room it is asked for anew. */
	if (mg_unlikely((aflags(conn) & MG_SHM_AF_WANT_TX) != 0))
		mg_window_clear(&conn->w, MG_SHM_AF_WANT_TX);
	if (mg_unlikely(mg_conn_is_waiting(conn)))
		mg_window_set(&conn->w, MG_SHM_AF_SYN);
	mg_ctx_ring(conn->src.ctx, &conn->w);
}

void mg_conn_commit(struct mg_conn *conn, uint32_t n)
{
	mg_window_commit(&conn->w, n);
	leave_tx(conn);
	ring_sent(conn);
}

static int64_t send_bytes(struct mg_conn *conn, const struct iovec *iov, int nr, bool urgent)
{
	struct mg_span spans[2] = { { NULL, 0 } };
	int64_t n = mg_conn_reserve(conn, mg_iov_bytes(iov, nr), spans);

	if (n <= 0)
		return n;
	(void)copy_spans(iov, nr, spans, 2, true); /* exactly n bytes: there are at least so many */
	if (mg_unlikely(urgent))
		mg_window_commit_urgent(&conn->w, (uint32_t)n);
	else
		mg_window_commit(&conn->w, (uint32_t)n);
	leave_tx(conn);
	ring_sent(conn);
	return n;
}

int64_t mg_conn_send(struct mg_conn *conn, const struct iovec *iov, int nr)
{
	return send_bytes(conn, iov, nr, false);
}

int64_t mg_conn_send_urgent(struct mg_conn *conn, const struct iovec *iov, int nr)
{
	return send_bytes(conn, iov, nr, true);
}

bool mg_conn_urgent(const struct mg_conn *conn, int64_t *ret_ahead)
{
	uint64_t pos;

	if (!mg_window_urgent(&conn->w, &pos))
		return false;
	*ret_ahead = (int64_t)(pos - mg_window_rx_head(&conn->w));
	return true;
}

int mg_conn_peek_at(struct mg_conn *conn, uint64_t off, uint8_t *ret_octet)
{
	struct mg_span spans[MG_WINDOW_SPANS];

	if (off > UINT32_MAX || mg_window_peek(&conn->w, (uint32_t)off, spans) == 0)
		return -EAGAIN;
	*ret_octet = spans[0].len != 0 ? spans[0].p[0] : spans[2].p[0];
	return 0;
}

int mg_conn_shutdown(struct mg_conn *conn, uint32_t flags)
{
	if (mg_client_is_dead(conn->src.ctx->client))
		return -ECONNRESET;
	if (mg_window_state(&conn->w) != MG_SHM_ST_OPEN)
		return -ENOTCONN;
	mg_window_set(&conn->w, flags);
	mg_ctx_ring(conn->src.ctx, &conn->w);
	/* Our own waits and watches see a new end of the stream. */
	mg_ctx_lock(conn->src.ctx);
	mg_ctx_changed(&conn->src);
	mg_ctx_unlock(conn->src.ctx);
	return 0;
}

void mg_conn_set_flag(struct mg_conn *conn, uint32_t aflag, bool on)
{
	if (on)
		mg_window_set(&conn->w, aflag);
	else
		mg_window_clear(&conn->w, aflag);
	mg_ctx_ring(conn->src.ctx, &conn->w);
}

/* Room, or an event when there is. */
static bool is_writable(struct mg_conn *conn)
{
	mg_conn_adopt_ring(conn);
	if (mg_window_is_roomy(&conn->w))
		return true;
	if ((aflags(conn) & MG_SHM_AF_WANT_TX) == 0) {
		mg_window_set(&conn->w, MG_SHM_AF_WANT_TX);
		mg_ctx_ring(conn->src.ctx, &conn->w);
	}
	return mg_window_is_roomy(&conn->w);
}

uint32_t mg_conn_ready(struct mg_conn *conn, uint32_t want)
{
	/* States and flags before positions; see why_empty(). */
	uint32_t state = mg_window_state(&conn->w);
	uint32_t wflags = mg_window_wflags(&conn->w);
	uint32_t flags = aflags(conn);
	uint32_t ready = 0;
	int64_t ahead;

	if (mg_client_is_dead(conn->src.ctx->client))
		return MG_READY_IN | MG_READY_OUT | MG_READY_ERR | MG_READY_HUP | MG_READY_RDHUP;
	if (state == MG_SHM_ST_CONNECTING)
		return 0;
	if (state == MG_SHM_ST_WAITING)
		return want & MG_READY_OUT;
	if (mg_unlikely((wflags & MG_SHM_WF_URG) != 0) && mg_conn_urgent(conn, &ahead) && ahead > 0)
		ready |= MG_READY_PRI;
	if ((wflags & MG_SHM_WF_RX_FIN) != 0 || (flags & MG_SHM_AF_SHUT_RD) != 0)
		ready |= MG_READY_IN | MG_READY_RDHUP;
	if ((ready & MG_READY_RDHUP) != 0 && (flags & MG_SHM_AF_SHUT_WR) != 0)
		ready |= MG_READY_HUP;
	if (mg_window_readable(&conn->w) > 0)
		ready |= MG_READY_IN;
	if (state == MG_SHM_ST_CLOSED) {
		ready |= MG_READY_IN | MG_READY_OUT | MG_READY_HUP | MG_READY_RDHUP;
		if (atomic_load_explicit(&conn->w.shm->error, memory_order_relaxed) != 0)
			ready |= MG_READY_ERR;
	} else if ((want & MG_READY_OUT) != 0 &&
		   ((flags & MG_SHM_AF_SHUT_WR) != 0 || is_writable(conn))) {
		ready |= MG_READY_OUT;
	}
	return ready;
}

int mg_conn_status(const struct mg_conn *conn)
{
	uint32_t state = mg_window_state(&conn->w);

	if (mg_client_is_dead(conn->src.ctx->client))
		return -ECONNRESET;
	if (state == MG_SHM_ST_OPEN || state == MG_SHM_ST_WAITING)
		return 0;
	if (state == MG_SHM_ST_CONNECTING)
		return -EINPROGRESS;
	return end_error(conn, -ENOTCONN);
}

bool mg_conn_is_flushed(const struct mg_conn *conn)
{
	return (mg_window_wflags(&conn->w) & MG_SHM_WF_TX_DONE) != 0 ||
	       mg_window_state(&conn->w) == MG_SHM_ST_CLOSED ||
	       mg_client_is_dead(conn->src.ctx->client);
}
