/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/client_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "libclient/mango/handle.h"

struct sockaddr_in world_addr(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

uint64_t world_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void world_sleep_ms(uint32_t ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

void world_up(struct world *w, const struct fake_daemon_conf *conf,
	      const struct mango_socket_options *options)
{
	struct sockaddr_in addr = world_addr(WORLD_PORT);

	memset(w, 0, sizeof(*w));
	assert_int_equal(fake_daemon_start(conf, &w->d), 0);
	assert_int_equal(mango_ipc_open(fake_daemon_address(w->d), false, &w->ipc), 0);
	assert_int_equal(mango_tcp_create(w->ipc, &w->tcp), 0);
	assert_int_equal(mango_socket_create(w->tcp, &w->lst), 0);
	assert_int_equal(mango_socket_open(w->lst, options), 0);
	assert_int_equal(mango_socket_bind(w->lst, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(mango_socket_listen(w->lst, 64), 0);
}

void world_pair(struct world *w)
{
	struct sockaddr_in addr = world_addr(WORLD_PORT);

	assert_int_equal(mango_socket_create(w->tcp, &w->client), 0);
	assert_int_equal(mango_socket_connect(w->client, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	assert_int_equal(mango_socket_accept(w->lst, NULL, NULL, &w->server), 0);
}

struct mg_shm_window *world_window(mango_socket_h sock)
{
	return mg_socket_of(sock)->conn->w.shm;
}

void world_down(struct world *w)
{
	assert_int_equal(mango_socket_destroy(w->client), 0);
	assert_int_equal(mango_socket_destroy(w->server), 0);
	assert_int_equal(mango_socket_destroy(w->lst), 0);
	assert_int_equal(mango_tcp_destroy(w->tcp), 0);
	assert_int_equal(mango_ipc_close(w->ipc), 0);
	fake_daemon_stop(w->d);
}
