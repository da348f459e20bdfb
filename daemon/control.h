/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - the control thread: sessions, requests, signals, and the end of the daemon.
 *
 * Idea:    one event loop over the attach socket and its clients, the gRPC sockets, gRPC's requests, the slow
 *          path's answers and the signals. It sleeps when nothing comes; it owns no timer that ticks.
 * Life:    mg_control_open() takes the instance's folder and sockets, mg_control_start() gets to know the rest of
 *          the daemon; mg_control_run() serves until a SIGTERM or SIGINT: then no new sessions and listeners, health says so, connections may finish
 *          for daemon.drain_ms (a second signal ends that at once), sessions are hung up on, and when
 *          the slow path has let go of every region it returns. SIGHUP calls conf->reload().
 * Threads: all functions on one thread, which becomes the control thread. Signals must be blocked in all.
 */
#ifndef MG_CONTROL_H
#define MG_CONTROL_H
#include <stddef.h>
#include <stdint.h>

#include "daemon/access.h"
#include "daemon/attach.h"
#include "daemon/conf.h"
#include "daemon/grpc_listen.h"
#include "daemon/grpc_server.h"
#include "daemon/handler.h"
#include "daemon/info.h"
#include "daemon/instance.h"
#include "daemon/loop.h"
#include "daemon/request.h"
#include "daemon/session.h"
#include "daemon/slow_link.h"
#include "daemon/closer.h"
#include "daemon/guard.h"
#include "proto/base/log.h"

struct mg_control_conf {
	const struct mg_log *log;
	struct mg_conf *conf; /* changed by SET_CONFIG */
	void *ctx;            /* of the functions below */
	void (*conf_changed)(void *ctx);
	void (*reload)(void *ctx);
	bool (*counter)(void *ctx, uint32_t i, struct mg_ctl_counter *ret_counter);
	/* Serving, draining ("STOPPING=1"), for the service manager; may be NULL. */
	void (*notify)(void *ctx, const char *state);
};

/* The rest of the daemon, as the control thread sees it. */
struct mg_control_parts {
	const struct mg_slow_limits *limits; /* that the slow path was made with */
	const struct mg_slow_link *link;
	uint64_t daemon_epoch;
	const struct mg_info *info;
	struct mg_doorbells doorbells;
	uint32_t nr_workers;
};

enum mg_control_phase {
	MG_CONTROL_OPENED,
	MG_CONTROL_SERVING,
	MG_CONTROL_DRAINING, /* connections may finish */
	MG_CONTROL_LEAVING,  /* sessions are ended, their regions come back */
};

struct mg_outgoing;

struct mg_control {
	struct mg_control_conf conf;
	struct mg_control_parts parts;
	enum mg_control_phase phase;
	uint64_t start_ns;
	struct mg_loop loop;
	struct mg_loop_source signals;
	struct mg_loop_source answers;
	struct mg_loop_source requests;
	struct mg_loop_timer deadline; /* of the phase */
	struct mg_loop_timer retry;    /* of the outbox */
	struct mg_request_queue queue;
	struct mg_outgoing *outbox; /* requests that the slow path had no room for */
	struct mg_outgoing **outbox_end;
	struct mg_instance instance;
	struct mg_access access;
	struct mg_sessions sessions;
	struct mg_closer *closer;
	struct mg_guards guards;
	struct mg_handler handler;
	struct mg_attach attach;
	struct mg_grpc_listen grpc_listen;
	struct mg_grpc_server *grpc; /* NULL: not enabled */
	char attach_path[108];       /* sockaddr_un.sun_path */
	bool has_attach_path;        /* the file is ours */
	int attach_fd;               /* -1: not bound, or the attach server's */
};

/*
 * Takes the lock of the instance and binds all sockets; nobody is served yet. 0 or -errno with one line in err;
 * nothing is left behind then. The struct must be zeroed.
 */
int mg_control_open(struct mg_control *control, const struct mg_control_conf *conf, char *err,
		    size_t errlen);
/* From now on mg_control_run() serves. 0 or -errno with one line in err; mg_control_close() is still due. */
int mg_control_start(struct mg_control *control, const struct mg_control_parts *parts, char *err,
		     size_t errlen);
/* 0 after an orderly end, or -errno. */
int mg_control_run(struct mg_control *control);
/* As if the first signal had come. */
void mg_control_stop(struct mg_control *control);
/* To the slow path, in order, never refused. */
void mg_control_slow(struct mg_control *control, const struct mg_slow_req *req);
/* The slow path must have stopped. Also after a failed open. */
void mg_control_close(struct mg_control *control);
#endif
