/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmango.h - TCP connections of the mangod daemon, for C11 and C++.
 *
 * Three handles: an IPC handle is the control connection to one daemon; a TCP handle is a context of that
 * daemon's stack (event queues of its own); a socket is a connection or a listener in a TCP handle.
 *
 *	mango_ipc_open("local:mango", false, &ipc);
 *	mango_tcp_create(ipc, &tcp);
 *	mango_socket_create(tcp, &sock);
 *	mango_socket_connect(sock, (struct sockaddr *)&addr, sizeof(addr));
 *	mango_socket_send(sock, buf, len, NULL);
 *	mango_socket_destroy(sock); mango_tcp_destroy(tcp); mango_ipc_close(ipc);
 *
 * Errors: every function but mango_socket_get_fd() and the texts returns 0 or a negative errno value.
 * errno itself is not touched on purpose. A NULL handle gives -EBADF, other nonsense -EINVAL.
 * Blocking: sockets block by default; the option `nonblocking` makes calls return -EAGAIN (-EINPROGRESS for
 * connect) instead. Calls are restarted after signal handlers, but for mango_tcp_poll(), which returns -EINTR.
 * Threads: IPC and TCP handles may be used by any threads. The sockets of a TCP handle may be used by several
 * threads, each socket by one thread at a time; one thread may send while another receives, and any number may
 * accept on one listener. Destroying is for the last user. For servers with a thread per core, one TCP handle
 * per thread shares nothing between them (up to 32 per IPC handle, those of forked children included).
 * Signals: no signal is raised; a send after the end returns -EPIPE.
 * fork(): a child must not use its parent's handles, not even to destroy them; it opens its own. Memory and
 * descriptors of the parent's handles are left to exec or exit.
 * Death of the daemon: everything that was open returns -ECONNRESET, new sockets -ENOTCONN, blocked calls wake
 * at once. Close the handles and open new ones to go on with a new daemon.
 * The library prints nothing unless MANGO_LOG (error, warn, info, debug) is set.
 */
#ifndef LIBMANGO_H
#define LIBMANGO_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define MANGO_VERSION_MAJOR 0
#define MANGO_VERSION_MINOR 1

#if defined(__GNUC__)
#define MANGO_API __attribute__((visibility("default")))
#else
#define MANGO_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** The control connection to one daemon. */
typedef void *mango_ipc_h;
/** A context of the daemon's TCP stack. */
typedef void *mango_tcp_h;
/** A connection or a listener. */
typedef void *mango_socket_h;

/**
 * What functions return: 0, or a negative errno value. The names below are the ones to expect; others of
 * errno.h can occur and mean what errno.h says.
 */
typedef enum _mango_status {
	MANGO_STATUS_OK = 0,
	MANGO_STATUS_PERM = -EPERM,             /**< not allowed to this user */
	MANGO_STATUS_NOENT = -ENOENT,           /**< no such configuration key */
	MANGO_STATUS_INTR = -EINTR,             /**< a signal handler ran (mango_tcp_poll only) */
	MANGO_STATUS_BADF = -EBADF,             /**< not a handle, or closed */
	MANGO_STATUS_AGAIN = -EAGAIN,           /**< it would block, or a time-out option expired */
	MANGO_STATUS_NOMEM = -ENOMEM,           /**< no memory, here or in the daemon */
	MANGO_STATUS_ACCES = -EACCES,           /**< the daemon does not let this user in */
	MANGO_STATUS_FAULT = -EFAULT,           /**< a pointer that must not be NULL is */
	MANGO_STATUS_BUSY = -EBUSY,             /**< still in use */
	MANGO_STATUS_INVAL = -EINVAL,           /**< an argument or a state that makes no sense */
	MANGO_STATUS_PIPE = -EPIPE,             /**< sending after the end */
	MANGO_STATUS_RANGE = -ERANGE,           /**< the buffer is too small */
	MANGO_STATUS_PROTO = -EPROTO,           /**< library and daemon do not fit together */
	MANGO_STATUS_NOTSUP = -ENOTSUP,         /**< not available */
	MANGO_STATUS_MSGSIZE = -EMSGSIZE,       /**< more than can ever fit */
	MANGO_STATUS_NOPROTOOPT = -ENOPROTOOPT, /**< no such option */
	MANGO_STATUS_AFNOSUPPORT = -EAFNOSUPPORT, /**< address family */
	MANGO_STATUS_ADDRINUSE = -EADDRINUSE,     /**< the port is taken */
	MANGO_STATUS_ADDRNOTAVAIL =
		-EADDRNOTAVAIL, /**< not an address of the daemon, or no port left */
	MANGO_STATUS_NETUNREACH = -ENETUNREACH,   /**< no route */
	MANGO_STATUS_HOSTUNREACH = -EHOSTUNREACH, /**< no such host answers */
	MANGO_STATUS_CONNABORTED = -ECONNABORTED, /**< the listener was ended by the daemon */
	MANGO_STATUS_CONNRESET = -ECONNRESET,     /**< reset by the peer, or the daemon died */
	MANGO_STATUS_ISCONN = -EISCONN,           /**< connected already */
	MANGO_STATUS_NOTCONN = -ENOTCONN,   /**< not connected, or no daemon for a new socket */
	MANGO_STATUS_TIMEDOUT = -ETIMEDOUT, /**< the peer or the daemon did not answer */
	MANGO_STATUS_CONNREFUSED = -ECONNREFUSED, /**< refused by the peer, or no daemon there */
	MANGO_STATUS_ALREADY = -EALREADY,         /**< connecting already */
	MANGO_STATUS_INPROGRESS = -EINPROGRESS,   /**< connecting, in the background */
	MANGO_STATUS_LIBACC = -ELIBACC,           /**< the transport's module cannot be loaded */
	MANGO_STATUS_LIBBAD = -ELIBBAD, /**< the transport's module is of another version */
	MANGO_STATUS_MIN_ = -4095,      /**< no value is below this one */
} mango_status_e;

/** IPC protocols. */
typedef enum _mango_ipc_prot {
	MANGO_IPC_PROT_GRPC,
	MANGO_IPC_PROT_ICEORYX,
} mango_ipc_prot_e;

/** Messages between application and daemon; the library sends them. */
typedef enum _mango_ipc_msg {
	MANGO_IPC_MSG_HEALTH_CHECK,
	MANGO_IPC_MSG_SET_CONFIG,
	MANGO_IPC_MSG_GET_CONFIG,
	MANGO_IPC_MSG_TCP_LISTEN,
	MANGO_IPC_MSG_TCP_ACCEPT,
	MANGO_IPC_MSG_TCP_CONNECT,
	MANGO_IPC_MSG_TCP_CLOSE,
	MANGO_IPC_MSG_TCP_LISTEN_CLOSE,
	MANGO_IPC_MSG_TCP_ABORT,
} mango_ipc_msg_e;

/**
 * A short text for a status ("connection refused"); never NULL. Any thread; the text of an unknown status is
 * valid until this thread's next call.
 */
MANGO_API const char *mango_status_text(int status);

/* ---------------------------------------------------------------------------------------------- IPC */

enum mango_serving {
	MANGO_SERVING = 1,
	MANGO_DRAINING = 2,  /**< it is being stopped */
	MANGO_UNHEALTHY = 3, /**< see mango_health.reason */
};

struct mango_health {
	int serving; /**< enum mango_serving */
	uint32_t pid;
	uint64_t uptime_ms;
	uint64_t epoch; /**< random, another one after each start */
	uint32_t workers;
	uint32_t sessions;
	uint32_t connections;
	uint32_t listeners;
	char version[32];
	char instance[64];
	char attach_path[108];
	char reason[116];
	uint64_t reserved[8];
};

/**
 * Connects to a daemon.
 *
 * @param address    "local:NAME" (instance NAME of this machine), "local:/PATH" (its attach socket),
 *                   "HOST:PORT" or "unix:/PATH" (gRPC), "iceoryx:NAME"; NULL or "": the environment variable
 *                   MANGO_ADDRESS, else "local:mango". Data always flows through memory shared with a daemon on
 *                   this machine; the address only chooses how requests travel.
 * @param is_server  false. The seed of this interface does not say what true means; here it would mean "be
 *                   the server of this address", which is mangod's job: -ENOTSUP.
 * @param ret_ipc    the handle
 * @return 0; -ECONNREFUSED at once when no daemon is there; -EINVAL: not an address; -ENOTSUP; -ETIMEDOUT;
 *         -ELIBACC, -ELIBBAD: the transport's module; -ENOMEM
 *
 * Blocks until the daemon answers, 5 s at most.
 */
MANGO_API mango_status_e mango_ipc_open(const char *address, bool is_server, mango_ipc_h *ret_ipc);

/**
 * Gives the handle back. TCP handles made from it go on working and keep the connection until they are
 * destroyed. NULL is allowed. Does not block.
 */
MANGO_API mango_status_e mango_ipc_close(mango_ipc_h ipc);

/** Asks the daemon how it is. Blocks for one round trip. -ECONNRESET: it is gone. */
MANGO_API mango_status_e mango_ipc_health_check(mango_ipc_h ipc, struct mango_health *ret_health);

/**
 * Sets one configuration key of the daemon at run time.
 *
 * @param key    as in the configuration file, with dots: "tcp.rto_min_ms"
 * @param value  as in the file
 * @return 0; -ENOENT: no such key; -EINVAL: not a value of it; -EPERM: not this user, or not at run time.
 *         mango_ipc_error_text() has the daemon's words.
 *
 * Blocks for one round trip.
 */
MANGO_API mango_status_e mango_ipc_set_config(mango_ipc_h ipc, const char *key, const char *value);

/** One `key = value`; for mango_ipc_set_configs() and mango_ipc_list_config(). */
struct mango_config {
	const char *key;
	const char *value;
	const char *deflt; /**< its default (lists only) */
	bool is_runtime;   /**< it can be changed while the daemon runs (lists only) */
	bool is_default;   /**< it has its default value (lists only) */
};

/** Sets several keys: all of them, or none and an error. At most 100. Blocks for one round trip. */
MANGO_API mango_status_e mango_ipc_set_configs(mango_ipc_h ipc, const struct mango_config *configs,
					       size_t nr);

/**
 * Reads one configuration key.
 *
 * @param buf      receives the value, with its end; may be NULL when len is 0
 * @param ret_len  the value's length without its end, also when it did not fit; may be NULL
 * @return 0; -ENOENT: no such key; -ERANGE: buf is too small (it holds what fits)
 *
 * Blocks for one round trip.
 */
MANGO_API mango_status_e mango_ipc_get_config(mango_ipc_h ipc, const char *key, char *buf,
					      size_t len, size_t *ret_len);

/** One entry of a list; what it points to is valid during the call. Not 0 ends the list and is returned. */
typedef int mango_config_cb(const struct mango_config *config, void *user);

/**
 * Lists keys with values: all for prefix NULL or "", a section for "tcp.", one key for its name.
 * Blocks; calls cb in the caller's thread. The callback may use the handle.
 */
MANGO_API mango_status_e mango_ipc_list_config(mango_ipc_h ipc, const char *prefix,
					       mango_config_cb *cb, void *user);

/** What mango_ipc_query() lists. */
enum mango_query {
	MANGO_QUERY_CONNECTIONS = 1, /**< struct mango_connection_info */
	MANGO_QUERY_LISTENERS = 2,   /**< struct mango_listener_info */
	MANGO_QUERY_STATS = 3,       /**< struct mango_counter */
	MANGO_QUERY_SESSIONS = 4,    /**< struct mango_session_info */
};

struct mango_connection_info {
	struct sockaddr_storage local;
	struct sockaddr_storage remote;
	const char *state;            /**< "established", ... */
	const char *congestion;       /**< algorithm */
	const char *congestion_phase; /**< what it does now: "slow start", "probe-bw-cruise", ... */
	uint32_t pid;                 /**< of the process that gets its events; 0: of none */
	uint32_t worker;
	uint32_t app; /**< number of the region */
	bool guarded; /**< ends with its last descriptor, not with its process */
	uint32_t srtt_us;
	uint32_t rttvar_us;
	uint32_t rto_us;
	uint32_t mss;
	uint32_t cwnd_bytes;
	uint32_t ssthresh_bytes;
	uint32_t snd_wnd_bytes;
	uint32_t rcv_wnd_bytes;
	uint32_t inflight_bytes;
	uint32_t retransmits;
	uint32_t snd_wscale;
	uint32_t rcv_wscale;
	bool timestamps;
	bool sack;
	bool ecn;
	uint64_t rx_bytes;
	uint64_t tx_bytes;
	uint64_t acked_bytes;
	uint64_t pacing_Bps;
	uint64_t age_ms;
};

struct mango_listener_info {
	struct sockaddr_storage local;
	uint32_t pid;
	uint32_t backlog;
	uint32_t pending;  /**< connected, waiting to be accepted */
	uint32_t embryos;  /**< handshakes under way */
	uint64_t accepted; /**< so far */
	uint64_t dropped;  /**< for want of room */
	uint32_t app;      /**< number of the region */
	uint32_t holders;  /**< processes and threads that ask for its connections now */
	uint32_t offered;  /**< of the accepted: announced to them, not taken yet */
	bool guarded;      /**< ends with its last descriptor, not with its process */
};

/** One attached process, and the region that it shares with others or has alone. */
struct mango_session_info {
	const char *program;
	uint32_t app; /**< number of the region: processes of one application have the same */
	uint32_t pid; /**< 0: no process is left, only guards */
	uint32_t uid;
	uint32_t contexts;  /**< of this process */
	uint32_t processes; /**< of the region, as the rest */
	uint32_t guards;
	uint32_t connections;
	uint32_t listeners;
	uint64_t region_bytes;
	uint64_t resident_bytes; /**< in memory, of what it may have */
	uint64_t age_ms;         /**< of the attachment */
};

struct mango_counter {
	const char *name;
	const char *help;
	uint64_t value;
};

/** One item of a query; valid during the call. Not 0 ends the list and is returned. */
typedef int mango_query_cb(const void *item, void *user);

/**
 * Lists what the daemon has (connections of all applications, as far as this user may see them).
 * Blocks; calls cb in the caller's thread. The list is made page by page while the daemon goes on.
 */
MANGO_API mango_status_e mango_ipc_query(mango_ipc_h ipc, enum mango_query what, mango_query_cb *cb,
					 void *user);

/**
 * Copies the daemon's own words about the last request it refused on this handle (a line, "" if it said
 * nothing); always terminated. Any thread.
 */
MANGO_API mango_status_e mango_ipc_error_text(mango_ipc_h ipc, char *buf, size_t len);

/* ---------------------------------------------------------------------------------------------- TCP */

/**
 * Makes a TCP handle. Two forms compile, in C and in C++:
 *
 *	mango_tcp_create(&tcp);        without a daemon yet: mango_tcp_set_ipc() gives it one
 *	mango_tcp_create(ipc, &tcp);   both at once
 *
 * @return 0; -ENOMEM; the second form also what mango_tcp_set_ipc() returns (and no handle then)
 */
MANGO_API mango_status_e mango_tcp_create(mango_tcp_h *ret_tcp);
/** The second form of mango_tcp_create(), by its name. */
MANGO_API mango_status_e mango_tcp_create_ipc(mango_ipc_h ipc, mango_tcp_h *ret_tcp);

/**
 * Attaches the handle to ipc's daemon (shares memory with it). Setting the same one again does nothing.
 *
 * @return 0; -EBUSY: it has another one already; -EPROTO: library and daemon were built apart;
 *         -EACCES: the daemon's configuration does not let this user in; -ENOMEM: the daemon has no room;
 *         -ECONNRESET, -ECONNREFUSED: it is gone
 *
 * Blocks for a round trip or two.
 */
MANGO_API mango_status_e mango_tcp_set_ipc(mango_tcp_h tcp, mango_ipc_h ipc);

/** Frees the handle. -EBUSY while it has sockets: destroy them first. NULL is allowed. */
MANGO_API mango_status_e mango_tcp_destroy(mango_tcp_h tcp);

/** Events; the values of EPOLLIN and so on. */
enum mango_event_bit {
	MANGO_EVENT_IN =
		0x001, /**< data, the end of the stream, an error, or a connection to accept */
	MANGO_EVENT_PRI = 0x002,    /**< urgent data that was not read, here or still on its way */
	MANGO_EVENT_OUT = 0x004,    /**< a third of the send buffer is free, or connect has ended */
	MANGO_EVENT_ERR = 0x008,    /**< ended by an error; always reported */
	MANGO_EVENT_HUP = 0x010,    /**< ended in both directions; always reported */
	MANGO_EVENT_RDHUP = 0x2000, /**< the peer sends no more; reported with IN */
};

struct mango_event {
	mango_socket_h sock;
	void *user_data; /**< of mango_socket_set_user_data() */
	uint32_t events; /**< enum mango_event_bit */
};

/**
 * Waits until watched sockets of the handle (mango_socket_watch()) are ready: the main loop of a server
 * with many connections. Level-triggered: a socket is reported again as long as it is ready. While there is
 * work no system call is made. Sockets are reported in turn, so that none starves.
 *
 * @param events      receives up to max of them
 * @param timeout_ms  0: only look; < 0: for ever
 * @param ret_n       how many; 0 after a time-out
 * @return 0; -EINTR: a signal handler ran; -ECONNRESET: the daemon is gone
 *
 * One thread at a time per handle.
 */
MANGO_API mango_status_e mango_tcp_poll(mango_tcp_h tcp, struct mango_event *events, int max,
					int timeout_ms, int *ret_n);

/**
 * With batching on, what the calling thread sends wakes a sleeping daemon only at this thread's next
 * mango_tcp_poll(), blocking call or mango_tcp_flush(): one wake-up for a whole batch. A promise goes with it:
 * the thread comes back to one of these soon and does not wait elsewhere in between. Off by default.
 * At most one thread per handle; a further call moves it to the caller.
 */
MANGO_API mango_status_e mango_tcp_set_batching(mango_tcp_h tcp, bool on);
/** Delivers now what batching holds back. Never blocks. */
MANGO_API mango_status_e mango_tcp_flush(mango_tcp_h tcp);

/* ------------------------------------------------------------------------------------------- socket */

/**
 * Options for mango_socket_open(). Fill with zeroes, set `size` to sizeof(struct mango_socket_options) and what
 * is wanted: 0 means the default everywhere. The struct grows at its end.
 */
struct mango_socket_options {
	size_t size;
	int nonblocking; /**< not 0: calls return -EAGAIN instead of waiting */
	int nodelay;     /**< not 0: small segments leave at once (TCP_NODELAY) */
	int keepalive;   /**< not 0: SO_KEEPALIVE */
	int reuseport;   /**< not 0: several listeners may share the port (SO_REUSEPORT) */
	uint32_t rcvbuf; /**< bytes of the receive buffer; the daemon rounds and limits them */
	uint32_t sndbuf; /**< bytes of the send buffer */
	int connect_timeout_ms; /**< how long a blocking connect waits; 0: as long as the daemon tries */
	int rcvtimeo_ms; /**< how long a blocking receive or accept waits (SO_RCVTIMEO); 0: for ever */
	int sndtimeo_ms;     /**< how long a blocking send waits (SO_SNDTIMEO); 0: for ever */
	char congestion[16]; /**< congestion control by name; "": the daemon's default */
};

/** Makes a socket. 0; -ENOTCONN: the handle has no (living) daemon; -ENOMEM. Never blocks. */
MANGO_API mango_status_e mango_socket_create(mango_tcp_h tcp, mango_socket_h *ret_sock);

/**
 * Sets options of a new socket (NULL: defaults). May be left out. Accepted sockets have their listener's options.
 * -EALREADY: it was opened, bound or connected before; -EINVAL.
 */
MANGO_API mango_status_e mango_socket_open(mango_socket_h sock,
					   const struct mango_socket_options *options);

/**
 * Sets the local address: one of the daemon's, or the wildcard; port 0: any. A listener on the IPv6 wildcard takes
 * IPv4 as well (peers look like ::ffff:192.0.2.1), unless IPV6_V6ONLY was set before. Scope ids of link-local
 * addresses count the daemon's ports from 1, in every call; with one port any scope id means that one.
 The daemon checks it when the
 * socket listens or connects; -EINVAL: bound or connected already; -EAFNOSUPPORT.
 */
MANGO_API mango_status_e mango_socket_bind(mango_socket_h sock, const struct sockaddr *addr,
					   socklen_t len);

/**
 * Makes it a listener.
 *
 * @param backlog  how many connections may wait to be accepted; < 1: 1
 * @return 0; -EADDRINUSE; -EADDRNOTAVAIL: not an address of the daemon
 *
 * Blocks for one round trip. A second call changes nothing and returns 0.
 */
MANGO_API mango_status_e mango_socket_listen(mango_socket_h sock, int backlog);

/**
 * Takes a connection from a listener.
 *
 * @param ret_addr  the peer's address, if not NULL; *len is its size, and becomes the address' size
 * @param ret_sock  the new socket, with the listener's options; the caller destroys it
 * @return 0; -EAGAIN: none there (non-blocking, or the receive time-out); -EINVAL: not a listener, or shut
 *         down; -ECONNABORTED: the daemon ended the listener; -ECONNRESET: the daemon is gone
 */
MANGO_API mango_status_e mango_socket_accept(mango_socket_h sock, struct sockaddr *ret_addr,
					     socklen_t *len, mango_socket_h *ret_sock);

/**
 * Connects. Blocks until the connection stands or fails.
 *
 * @return 0; -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH; -EADDRNOTAVAIL: no free port, or a local
 *         address that is not the daemon's; -EISCONN; -EALREADY: connecting.
 *         Non-blocking: -EINPROGRESS; MANGO_EVENT_OUT tells when it has ended, SO_ERROR (or another connect) how.
 */
MANGO_API mango_status_e mango_socket_connect(mango_socket_h sock, const struct sockaddr *addr,
					      socklen_t len);

/**
 * Sends bytes: they are copied into the send buffer, acknowledged by the peer some time later.
 *
 * @param ret_sent  how many were taken; may be NULL
 * @return 0: blocking sockets took all of them, non-blocking ones at least one. -EAGAIN: no room (non-blocking,
 *         or the send time-out and nothing was taken); -EPIPE: shut down; -ECONNRESET, -ETIMEDOUT, ...: why the
 *         connection ended; -ENOTCONN.
 *         Non-blocking with ret_sent NULL: all or nothing; -EMSGSIZE if it can never fit.
 *         If an error comes after some bytes were taken, 0 is returned with their number, and the error by the
 *         next call; with ret_sent NULL the error is returned at once.
 */
MANGO_API mango_status_e mango_socket_send(mango_socket_h sock, const void *buf, size_t len,
					   size_t *ret_sent);

/**
 * mango_socket_send(), and the stream up to the last byte taken is urgent (MSG_OOB): the peer learns at once that
 * something urgent is coming, even while its window is closed (RFC 9293 3.8.5). A later call replaces the mark. New
 * applications should not use it (RFC 6093).
 */
MANGO_API mango_status_e mango_socket_send_urgent(mango_socket_h sock, const void *buf, size_t len,
						  size_t *ret_sent);

/**
 * Has the peer sent urgent data? It stays in the stream, and mango_socket_recv() reads it in its turn (SO_OOBINLINE);
 * mango_tcp_poll() reports MANGO_EVENT_PRI while some of it was not read. Not shown by mango_socket_get_fd().
 *
 * @param ret_ahead  so many bytes from what is read next to the end of the newest urgent data, of which not all need
 *                   be here yet; <= 0: all of it was read. The byte before that end is the one that BSD sockets take
 *                   out of band, and where their mark (SIOCATMARK) stands.
 * @return 0; -EAGAIN: no urgent data so far; -ENOTCONN. Never blocks.
 */
MANGO_API mango_status_e mango_socket_urgent(mango_socket_h sock, int64_t *ret_ahead);

/**
 * Receives what is there, up to len bytes; blocks while nothing is.
 *
 * @param ret_received  how many bytes; 0 at the end of the stream (the peer closed or shut down). May be NULL.
 * @return 0; -EAGAIN: nothing there (non-blocking, or the receive time-out); -ECONNRESET, ...: why the
 *         connection ended (after all data that came before); -ENOTCONN
 */
MANGO_API mango_status_e mango_socket_recv(mango_socket_h sock, void *buf, size_t len,
					   size_t *ret_received);

/**
 * Ends one direction or both: SHUT_WR sends the end after all data (FIN), SHUT_RD throws arriving data away.
 * On a listener it wakes those who accept, with -EINVAL. Never blocks. -ENOTCONN; -EINVAL: not a `how`.
 */
MANGO_API mango_status_e mango_socket_shutdown(mango_socket_h sock, int how);

/**
 * Closes gracefully: data that was sent is still delivered, then FIN (RST if received data was left unread). A
 * listener stops listening; connections nobody accepted are reset. With SO_LINGER and a time, blocks until
 * everything is acknowledged or the time is over; otherwise never blocks. The handle stays valid for
 * mango_socket_destroy(); other calls return -EBADF.
 */
MANGO_API mango_status_e mango_socket_close(mango_socket_h sock);
/** Closes at once: RST; data not yet delivered is lost. */
MANGO_API mango_status_e mango_socket_abort(mango_socket_h sock);
/** Frees the handle; closes gracefully if it is open. NULL is allowed. */
MANGO_API mango_status_e mango_socket_destroy(mango_socket_h sock);

/**
 * Options as setsockopt() has them. SOL_SOCKET: SO_RCVTIMEO, SO_SNDTIMEO, SO_LINGER, SO_KEEPALIVE, SO_REUSEADDR
 * (accepted; a port in TIME-WAIT never stands in the way), SO_REUSEPORT, SO_RCVBUF and SO_SNDBUF (before listen
 * or connect). IPPROTO_TCP: TCP_NODELAY, TCP_CORK, TCP_QUICKACK, TCP_DEFER_ACCEPT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT,
 * TCP_USER_TIMEOUT (INT_MAX: for ever), TCP_CONGESTION, TCP_MAXSEG. IPPROTO_IP: IP_TOS, IP_TTL. IPPROTO_IPV6: IPV6_V6ONLY (before
 * bind), IPV6_TCLASS, IPV6_UNICAST_HOPS (-1: the default).
 *
 * TCP_FASTOPEN of a listener, before or after listen (RFC 7413): so many connections may begin with the data of their
 * SYN, before their handshake has ended; 0: none. It needs the daemon's tcp.fastopen. Such a request may arrive twice.
 * TCP_FASTOPEN_NO_COOKIE: from peers without a cookie, too.
 *
 * TCP_FASTOPEN_CONNECT before connect: to a server whose cookie the daemon has, connect succeeds at once, and the SYN
 * leaves with the first bytes that are sent; without them it does not leave. How it ends is told by later calls. To
 * others it asks for a cookie. TCP_FASTOPEN_NO_COOKIE: without cookies, to servers that are known to take that.
 *
 * SO_RCVBUF and SO_SNDBUF fix the size of a buffer, which otherwise grows with the path. They count payload bytes: the
 * daemon rounds up to a power of two and limits; it does not double, as Linux does for its own book-keeping. What a
 * connected socket returns is the size that the buffer has now.
 *
 * TCP_CONGESTION takes and gives a name: "reno", "cubic", "dctcp" or "bbr". The daemon is asked at once, connected or
 * not; set before connect or listen it holds from the handshake on (DCTCP asks for ECN there).
 *
 * @return 0; -ENOPROTOOPT: any other; -EINVAL: wrong size or value; -ENOENT: no such congestion control
 *
 * Those that the daemon keeps (all but time-outs, linger, NODELAY, CORK) block for one round trip once the socket
 * is connected; before that they are remembered and applied then. Those set on a listener go to the
 * connections accepted later.
 */
MANGO_API mango_status_e mango_socket_set_option(mango_socket_h sock, int level, int name,
						 const void *val, socklen_t len);
/** Level IPPROTO_TCP, int, get: errno of the last ICMP error that did not end the connection, and forgets it. */
#define MANGO_TCP_SOFT_ERROR 0x4d01

/**
 * Options as getsockopt() has them: the above and SO_ERROR (reads and clears), SO_TYPE, SO_DOMAIN, SO_PROTOCOL,
 * SO_ACCEPTCONN, TCP_INFO (struct tcp_info; fields that mango does not have are 0), MANGO_TCP_SOFT_ERROR.
 *
 * @param len  in: size of ret_val; out: size of the value
 */
MANGO_API mango_status_e mango_socket_get_option(mango_socket_h sock, int level, int name,
						 void *ret_val, socklen_t *len);

/** The local address; before listen or connect: what was bound. At most *len bytes; *len becomes its size. */
MANGO_API mango_status_e mango_socket_getsockname(mango_socket_h sock, struct sockaddr *ret_addr,
						  socklen_t *len);
/** The peer's address. -ENOTCONN. */
MANGO_API mango_status_e mango_socket_getpeername(mango_socket_h sock, struct sockaddr *ret_addr,
						  socklen_t *len);

/** Hands `user_data` back with the socket's events. NULL at first. */
MANGO_API mango_status_e mango_socket_set_user_data(mango_socket_h sock, void *user_data);
/**
 * Which events mango_tcp_poll() reports of this socket: bits of enum mango_event_bit, 0: none (as at first).
 * May be called before connect and at any time. Never blocks.
 */
MANGO_API mango_status_e mango_socket_watch(mango_socket_h sock, uint32_t events);

/**
 * A kernel descriptor that shows the socket's readiness to poll(), epoll and select(): POLLIN, POLLOUT, POLLRDHUP,
 * POLLHUP. It is for waiting, and for mango_posix_*(): read() and write() on it would move bytes of its own.
 *
 * @return the descriptor, the same one at each call; or a negative errno value (-EMFILE, -EBADF)
 *
 * The descriptor belongs to the socket and is closed with it (do not close it). The first call starts one thread
 * per TCP handle that keeps descriptors up to date: readiness shows some microseconds after the fact, so a socket
 * that shows ready may return -EAGAIN for a moment; set it non-blocking. Errors show as POLLHUP without POLLERR.
 * An unconnected socket shows POLLOUT. mango_tcp_poll() is several times cheaper.
 */
MANGO_API int mango_socket_get_fd(mango_socket_h sock);

/* -------------------------------------------------------------------------------------------- posix */

/**
 * read(2) on a descriptor of mango_socket_get_fd(): mango_socket_recv() on its socket.
 *
 * @param ret  bytes read; 0 at the end of the stream; may be NULL
 * @return 0; -EBADF: not such a descriptor; else as mango_socket_recv()
 */
MANGO_API mango_status_e mango_posix_read(int fd, void *buf, size_t len, size_t *ret);
/** readv(2), likewise. -EINVAL: iovcnt out of range. */
MANGO_API mango_status_e mango_posix_readv(int fd, const struct iovec *iov, int iovcnt,
					   size_t *ret);
/** write(2), likewise: mango_socket_send(). */
MANGO_API mango_status_e mango_posix_write(int fd, const void *buf, size_t len, size_t *ret);
/** writev(2), likewise. */
MANGO_API mango_status_e mango_posix_writev(int fd, const struct iovec *iov, int iovcnt,
					    size_t *ret);

#ifdef __cplusplus
}
/* The two-argument form of mango_tcp_create(). */
static inline mango_status_e mango_tcp_create(mango_ipc_h ipc, mango_tcp_h *ret_tcp)
{
	return mango_tcp_create_ipc(ipc, ret_tcp);
}
#elif !defined(MANGO_NO_MACROS)
/* Picks the function by the number of arguments. */
#define MANGO_TCP_CREATE_PICK_(a, b, name, ...) name
#define mango_tcp_create(...)                                                            \
	MANGO_TCP_CREATE_PICK_(__VA_ARGS__, mango_tcp_create_ipc, (mango_tcp_create), 0) \
	(__VA_ARGS__)
#endif

#endif
