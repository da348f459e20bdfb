/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share.h - one application of several processes: guards, children, joining, locks.
 *
 * Idea:    processes that share sockets (by fork, exec or SCM_RIGHTS) share one region of the daemon. Each is
 *          attached by itself and has contexts (event and doorbell rings) of its own. A connection or listener
 *          that several may have is *guarded*: the application's descriptor of it is one end of a pair of
 *          stream sockets whose other end the daemon has; it is closed when the kernel says that the last
 *          descriptor is gone. Whoever uses a guarded object joins it: from then on his context gets its events,
 *          too, or, of a listener, its share of the connections.
 * Use:     parent: make the pair, dup3() one end over the application's number, mg_client_guard(), close the other
 *                  end, set conn->guarded, or mg_lst_share(); mg_client_spare(); fork().
 *          child of fork: mg_client_forget(), then mg_client_open_child() or _fd(), mg_ctx_open(), mg_conn_join().
 *          after exec:    mg_client_open_session(), mg_client_guards() tells which descriptor (inode) is what.
 *          Two processes that use one connection hold mg_conn_lock() around each call.
 * Threads: as each function says.
 */
#ifndef MG_CLIENT_SHARE_H
#define MG_CLIENT_SHARE_H
#include <stddef.h>
#include <stdint.h>

#include "libclient/core/conn.h"
#include "libclient/core/listener.h"

#define MG_GUARD_CONN MG_CTL_GUARD_CONN
#define MG_GUARD_LISTENER MG_CTL_GUARD_LISTENER
#define MG_GUARD_BLOB_BYTES 32

struct mg_guard {
	uint32_t kind;   /* MG_GUARD_CONN, MG_GUARD_LISTENER */
	uint32_t id;     /* conn->w.index; lst->id */
	uint32_t gen;    /* conn->w.gen; 0 */
	int fd;          /* the daemon's end: the caller closes it afterwards, whatever came out */
	uint64_t inode;  /* st_ino of the application's end */
	uint64_t cookie; /* lst->cookie */
	struct mg_addr addr; /* of the listener */
	uint16_t port;
	uint8_t blob[MG_GUARD_BLOB_BYTES]; /* the face's own; comes back with mg_client_guards() */
	int32_t status;                    /* 0; -EEXIST: is guarded already; -ENOENT: it is gone */
};

/*
 * Makes guards; waits for the daemon. Any thread. 0, or the first failure (each item has its own status); -EDQUOT: too
 * many guards; -ENOTCONN: not attached; -EOPNOTSUPP: the client has no attach socket of its own.
 */
int mg_client_guard(struct mg_client *client, struct mg_guard *items, uint32_t nr);
/* Every guard of the region, whoever made it; `each` returns not 0 to stop. 0, what it returned, or -errno. */
int mg_client_guards(struct mg_client *client,
		     int (*each)(const struct mg_ctl_guard *guard, void *arg), void *arg);

/* Like mg_client_open(), but attaching joins the region whose share token (client->share) this is. */
int mg_client_open_child(const char *address, const struct mg_ctl_token *share,
			 struct mg_client **ret_client);
/* The same over a connection that somebody else opened (mg_client_spare()); takes fd, also on failure. */
int mg_client_open_child_fd(int fd_take, const struct mg_ctl_token *share,
			    struct mg_client **ret_client);
/* A connection to the attach socket for a child that may not open one itself (another user, chroot). CLOEXEC. */
int mg_client_spare(const struct mg_client *client, int *ret_fd);
/* "PATH:TOKEN" for the environment of a program to come. 0, -ENOTCONN, -ENAMETOOLONG. */
int mg_client_session(const struct mg_client *client, char *buf, size_t len);
/* Opens by such a text and attaches. -EINVAL: it is none; -ENOENT: the region is gone. */
int mg_client_open_session(const char *text, struct mg_client **ret_client);
/*
 * In a child of fork: gives back what was inherited - descriptors, mappings, contexts, connections and listeners -
 * without a word to the daemon and without any lock. The parent's are not touched.
 */
void mg_client_forget(struct mg_client *client);

/* A guarded connection of this region: its events come to ctx, too. Waits. -ENOTCONN: it is gone. */
int mg_conn_join(struct mg_ctx *ctx, uint32_t window, uint32_t gen, struct mg_conn **ret_conn);
/* Lets go of our part of a guarded connection: no FIN. Frees conn. mg_conn_release() does so, too, when it is guarded. */
void mg_conn_drop(struct mg_conn *conn);
/* A guarded listener of this region; a few connections come to ctx. Waits. -ENOENT: it is gone. */
int mg_lst_join(struct mg_ctx *ctx, uint32_t id, struct mg_lst **ret_lst);

enum mg_conn_lock_kind { MG_LOCK_RX = 0, MG_LOCK_TX = 1 };

/*
 * Locks a side of a connection against other processes (and other threads that do so), and takes over where they left
 * it. Blocks; a holder that died is passed by. 0; -ECONNRESET: the daemon is gone.
 */
int mg_conn_lock(struct mg_conn *conn, enum mg_conn_lock_kind kind);
void mg_conn_unlock(struct mg_conn *conn, enum mg_conn_lock_kind kind);
#endif
