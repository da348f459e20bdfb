/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - a connection, without descriptors, blocking or errno.
 *
 * Idea:    a window of the region bound to an object. Data moves by copies between the caller's buffers and
 *          the payload rings; no call here waits for the network (connect and options wait for the daemon's
 *          reply). To wait: take mg_ctx_key(&conn->src.seq), try, and mg_ctx_wait() when it says -EAGAIN.
 * Threads: one receiver and one sender at a time; release by the last user.
 * Memory:  made by connect and adopt, freed by release.
 */
#ifndef MG_CONN_H
#define MG_CONN_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "libclient/core/ctx.h"

/* Readiness, in the values of POLLIN and so on. */
enum mg_ready {
	MG_READY_IN = 0x001,
	MG_READY_PRI = 0x002, /* urgent data that was not read, here or still on its way */
	MG_READY_OUT = 0x004,
	MG_READY_ERR = 0x008,
	MG_READY_HUP = 0x010,
	MG_READY_RDHUP = 0x2000,
};

struct mg_conn {
	struct mg_source src;
	struct mg_window w;
	_Atomic uint32_t
		tx_busy; /* 1: a thread writes into the transmit ring, or moves to another */
	struct mg_conn *next_former; /* the face's: a list of those that were left */
	bool guarded; /* share.h: it ends with its descriptor, not with our release */
};

struct mg_conn_params {
	struct mg_tuple tuple; /* laddr any and lport 0: chosen by the daemon */
	uint32_t rcvbuf_bytes; /* 0: default */
	uint32_t sndbuf_bytes;
	uint32_t scope; /* of a link-local raddr: a port of the daemon, from 1; 0: the only one */
	char congestion[16]; /* "": default */
	uint8_t ttl;         /* 0: default */
	uint8_t tos;
	uint32_t flags; /* enum mg_ctl_connect_flag */
};

/* Starts an active open. 0: under way, the outcome shows in the window; -errno. */
int mg_conn_connect(struct mg_ctx *ctx, const struct mg_conn_params *params,
		    struct mg_conn **ret_conn);
/* Takes over an accepted window. Locked. */
int mg_conn_adopt(struct mg_ctx *ctx, uint32_t index, uint32_t gen, struct mg_conn **ret_conn);
/* Lets go: gracefully (FIN), or by RST. Frees conn; its watches must be gone. */
void mg_conn_release(struct mg_conn *conn, bool abort);
/*
 * The process is about to end: when it has gone, the daemon ends the connection gracefully (or by RST). Takes no lock and makes
 * no call; the connection can be used until then.
 */
void mg_conn_leave_at_exit(struct mg_conn *conn, bool abort);
/* The two halves of it, for who may still be looked at: leave lets go of the window, which nobody may touch then. */
void mg_conn_leave(struct mg_conn *conn, bool abort);
void mg_conn_free(struct mg_conn *conn);

/*
 * Copies received bytes into the pieces. > 0: bytes; 0: end of the stream (or no room was given); -EAGAIN:
 * nothing there; -ECONNRESET and so on: why the connection ended. peek: leaves them unread.
 */
int64_t mg_conn_recv(struct mg_conn *conn, const struct iovec *iov, int nr, bool peek);
/* The worker offers a transmit ring of another size: moves there, unless a sender is at work, who will. */
void mg_conn_adopt_ring(struct mg_conn *conn);
/* Throws at most `max` received bytes away. As mg_conn_recv(). */
int64_t mg_conn_skip(struct mg_conn *conn, uint64_t max);
/*
 * For data that need not lie in a caller's buffer first: where the next bytes to send go, at most `max`, in one or
 * two pieces. > 0: room; -EAGAIN, -EPIPE, -errno as mg_conn_send(). mg_conn_commit() sends the first n of them.
 */
int64_t mg_conn_reserve(struct mg_conn *conn, uint64_t max, struct mg_span ret_spans[2]);
void mg_conn_commit(struct mg_conn *conn, uint32_t n);
/* Takes as many bytes as there is room for. > 0: bytes; -EAGAIN: no room; -EPIPE: shut down; -errno. */
int64_t mg_conn_send(struct mg_conn *conn, const struct iovec *iov, int nr);
/* The same; the stream is urgent up to the last byte taken (RFC 9293 3.8.5), replacing an earlier mark. */
int64_t mg_conn_send_urgent(struct mg_conn *conn, const struct iovec *iov, int nr);
/*
 * Has the peer sent urgent data? *ret_ahead: so many bytes behind the reading position the newest of it ends; <= 0:
 * it was read. The data stays in line. What BSD calls the out-of-band octet is the last one: its position is
 * *ret_ahead - 1, and the mark (SIOCATMARK) stands before it.
 */
bool mg_conn_urgent(const struct mg_conn *conn, int64_t *ret_ahead);
/* Copies the octet `off` bytes behind the reading position, which does not move. 0; -EAGAIN: it is not here. */
int mg_conn_peek_at(struct mg_conn *conn, uint64_t off, uint8_t *ret_octet);
/* MG_SHM_AF_SHUT_WR and/or MG_SHM_AF_SHUT_RD. 0, -ENOTCONN, -ECONNRESET. */
int mg_conn_shutdown(struct mg_conn *conn, uint32_t aflags);
/* Sets or clears an option bit (MG_SHM_AF_NODELAY, _CORK, _QUICKACK). */
void mg_conn_set_flag(struct mg_conn *conn, uint32_t aflag, bool on);
/* What of enum mg_ready holds. When OUT is wanted and does not hold, an event will come when it does. */
uint32_t mg_conn_ready(struct mg_conn *conn, uint32_t want);
/* Fast Open: the SYN leaves with the first bytes that are sent. As good as open until then. */
bool mg_conn_is_waiting(const struct mg_conn *conn);
/* 0: open or waiting; -EINPROGRESS: connecting; -errno: ended by an error; -ENOTCONN: ended. */
int mg_conn_status(const struct mg_conn *conn);
/* Everything we sent was acknowledged, our FIN too. */
bool mg_conn_is_flushed(const struct mg_conn *conn);

static inline const struct mg_tuple *mg_conn_tuple(const struct mg_conn *conn)
{
	return &conn->w.shm->tuple;
}
#endif
