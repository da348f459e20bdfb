/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_world.h - a fake daemon and an application on it, for tests of libmango.
 *
 * Use:     world_up(&w, NULL, NULL); world_pair(&w); ... w.client and w.server are connected ... world_down(&w);
 */
#ifndef MG_CLIENT_WORLD_H
#define MG_CLIENT_WORLD_H
#include "libclient/include/libmango.h"
#include "test/lib/fake_daemon.h"

#define WORLD_PORT 7777

struct world {
	struct fake_daemon *d;
	mango_ipc_h ipc;
	mango_tcp_h tcp;
	mango_socket_h lst;
	mango_socket_h client;
	mango_socket_h server;
};

/* Asserts that everything works. options: of the listener and so of `server`; NULL: defaults. */
void world_up(struct world *w, const struct fake_daemon_conf *conf,
	      const struct mango_socket_options *options);
/* Connects w->client (blocking) and accepts w->server. */
void world_pair(struct world *w);
/* What the daemon and this connection share. */
struct mg_shm_window *world_window(mango_socket_h sock);
/* Destroys what is left. */
void world_down(struct world *w);
/* 127.0.0.1:port */
struct sockaddr_in world_addr(uint16_t port);
/* Monotonic milliseconds. */
uint64_t world_ms(void);
void world_sleep_ms(uint32_t ms);
#endif
