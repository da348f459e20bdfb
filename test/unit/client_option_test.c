/* SPDX-License-Identifier: Apache-2.0 */
/* libmango: mango_socket_set_option() and mango_socket_get_option(), and what closing means with them. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "test/lib/client_world.h"

static int get_int(mango_socket_h sock, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(mango_socket_get_option(sock, level, name, &value, &len), 0);
	assert_int_equal(len, sizeof(value));
	return value;
}

static int set_int(mango_socket_h sock, int level, int name, int value)
{
	return mango_socket_set_option(sock, level, name, &value, sizeof(value));
}

static void constants_are_told(void **state)
{
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(get_int(w.client, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	assert_int_equal(get_int(w.client, SOL_SOCKET, SO_DOMAIN), AF_INET);
	assert_int_equal(get_int(w.client, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	assert_int_equal(get_int(w.client, SOL_SOCKET, SO_ACCEPTCONN), 0);
	assert_int_equal(get_int(w.lst, SOL_SOCKET, SO_ACCEPTCONN), 1);
	assert_int_equal(get_int(w.client, SOL_SOCKET, SO_RCVBUF), 65536);
	assert_int_equal(get_int(w.client, IPPROTO_TCP, TCP_MAXSEG), 1460);
	assert_int_equal(set_int(w.client, SOL_SOCKET, SO_TYPE, 1), -ENOPROTOOPT);
	world_down(&w);
}

static void flags_are_kept(void **state)
{
	static const int names[] = { TCP_NODELAY, TCP_CORK, TCP_QUICKACK };
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get_int(w.client, IPPROTO_TCP, names[i]), 0);
		assert_int_equal(set_int(w.client, IPPROTO_TCP, names[i], 7), 0);
		assert_int_equal(get_int(w.client, IPPROTO_TCP, names[i]), 1);
		assert_int_equal(set_int(w.client, IPPROTO_TCP, names[i], 0), 0);
		assert_int_equal(get_int(w.client, IPPROTO_TCP, names[i]), 0);
	}
	assert_int_equal(set_int(w.client, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	assert_int_equal(get_int(w.client, SOL_SOCKET, SO_REUSEADDR), 1);
	world_down(&w);
}

static void wrong_ones_are_refused(void **state)
{
	char small = 0;
	socklen_t len = sizeof(small);
	struct timeval tv = { 0, 1000000 };
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(set_int(w.client, SOL_SOCKET, SO_BINDTODEVICE, 1), -ENOPROTOOPT);
	assert_int_equal(mango_socket_get_option(w.client, 1234, 1, &small, &len), -ENOPROTOOPT);
	assert_int_equal(mango_socket_set_option(w.client, IPPROTO_TCP, TCP_NODELAY, &small, 1),
			 -EINVAL);
	assert_int_equal(mango_socket_set_option(w.client, IPPROTO_TCP, TCP_NODELAY, NULL, 4),
			 -EFAULT);
	assert_int_equal(
		mango_socket_set_option(w.client, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), -EDOM);
	assert_int_equal(set_int(w.client, IPPROTO_IP, IP_TTL, 0), -EINVAL);
	assert_int_equal(set_int(w.client, IPPROTO_IP, IP_TTL, 256), -EINVAL);
	assert_int_equal(mango_socket_set_option(w.client, IPPROTO_TCP, TCP_CONGESTION, "none", 4),
			 -ENOENT);
	assert_int_equal(mango_socket_set_option(w.client, IPPROTO_TCP, TCP_CONGESTION,
						 "averyverylongname", 17),
			 -EINVAL);
	/* Short buffers get what fits, as from the kernel. */
	assert_int_equal(mango_socket_get_option(w.client, SOL_SOCKET, SO_TYPE, &small, &len), 0);
	assert_int_equal(len, 1);
	assert_int_equal(small, SOCK_STREAM);
	world_down(&w);
}

static void the_daemons_options_reach_it(void **state)
{
	static const struct {
		int level, name, value;
	} opts[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 10 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 11 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 3 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 500 },
		{ IPPROTO_IP, IP_TOS, 16 },
		{ IPPROTO_IP, IP_TTL, 33 },
	};
	char name[16] = "";
	socklen_t len = sizeof(name);
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
		assert_int_equal(set_int(w.client, opts[i].level, opts[i].name, opts[i].value), 0);
		assert_int_equal(get_int(w.client, opts[i].level, opts[i].name), opts[i].value);
		assert_int_equal(get_int(w.server, opts[i].level, opts[i].name), 0);
	}
	assert_int_equal(mango_socket_set_option(w.client, IPPROTO_TCP, TCP_CONGESTION, "reno", 4),
			 0);
	assert_int_equal(mango_socket_get_option(w.client, IPPROTO_TCP, TCP_CONGESTION, name, &len),
			 0);
	assert_string_equal(name, "reno");
	world_down(&w);
}

static void options_of_a_listener_are_inherited(void **state)
{
	struct mango_socket_options opts = { .size = sizeof(opts), .nodelay = 1, .keepalive = 1 };
	struct world w;

	(void)state;
	world_up(&w, NULL, &opts);
	assert_int_equal(set_int(w.lst, IPPROTO_TCP, TCP_KEEPIDLE, 77), 0);
	assert_int_equal(get_int(w.lst, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	world_pair(&w);
	assert_int_equal(get_int(w.server, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(get_int(w.server, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(get_int(w.server, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_int_equal(get_int(w.client, IPPROTO_TCP, TCP_NODELAY), 0);
	world_down(&w);
}

static void open_takes_old_and_new_structs(void **state)
{
	struct {
		struct mango_socket_options known;
		char later[64];
	} newer = { .known = { .size = sizeof(newer), .nodelay = 1 } };
	struct mango_socket_options opts = { .size = offsetof(struct mango_socket_options,
							      keepalive),
					     .nodelay = 1,
					     .rcvtimeo_ms = -5 /* not looked at */ };
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_socket_create(w.tcp, &w.client), 0);
	assert_int_equal(mango_socket_open(w.client, &opts), 0);
	assert_int_equal(get_int(w.client, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(mango_socket_open(w.client, &newer.known), 0);
	opts.size = sizeof(opts);
	assert_int_equal(mango_socket_open(w.client, &opts), -EINVAL);
	opts.size = 0;
	assert_int_equal(mango_socket_open(w.client, &opts), -EINVAL);
	assert_int_equal(mango_socket_open(w.lst, NULL), -EALREADY);
	world_down(&w);
}

static void tcp_info_is_filled(void **state)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_get_option(w.client, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(len, sizeof(info));
	assert_int_equal(info.tcpi_state, TCP_ESTABLISHED);
	assert_int_equal(info.tcpi_rtt, 1234);
	assert_int_equal(info.tcpi_snd_cwnd, 10);
	assert_int_equal(mango_socket_get_option(w.lst, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(info.tcpi_state, TCP_LISTEN);
	world_down(&w);
}

static void linger_zero_resets(void **state)
{
	struct linger l = { 1, 0 };
	struct world w;
	size_t n;
	char c;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_set_option(w.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l)),
			 0);
	assert_int_equal(mango_socket_close(w.client), 0);
	assert_int_equal(mango_socket_recv(w.server, &c, 1, &n), -ECONNRESET);
	world_down(&w);
}

static void linger_waits_for_acknowledgement(void **state)
{
	struct linger l = { 1, 1 };
	struct world w;
	uint64_t start;

	(void)state;
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_set_option(w.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l)),
			 0);
	assert_int_equal(mango_socket_set_option(w.server, SOL_SOCKET, SO_LINGER, &l, sizeof(l)),
			 0);
	start = world_ms();
	assert_int_equal(mango_socket_send(w.client, "x", 1, NULL), 0);
	assert_int_equal(mango_socket_close(w.client), 0);
	assert_in_range(world_ms() - start, 0, 500);
	world_down(&w);
	world_up(&w, NULL, NULL);
	world_pair(&w);
	assert_int_equal(mango_socket_set_option(w.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l)),
			 0);
	fake_daemon_hold(w.d, true);
	start = world_ms();
	assert_int_equal(mango_socket_close(w.client), 0); /* nobody acknowledges */
	assert_in_range(world_ms() - start, 950, 3000);
	fake_daemon_hold(w.d, false);
	world_down(&w);
}

static void a_failed_connect_is_told_once(void **state)
{
	struct mango_socket_options opts = { .size = sizeof(opts), .nonblocking = 1 };
	struct sockaddr_in addr = world_addr(4321);
	struct mango_event ev[1];
	struct world w;
	int n = 0, err;

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_socket_create(w.tcp, &w.client), 0);
	assert_int_equal(mango_socket_open(w.client, &opts), 0);
	assert_int_equal(mango_socket_watch(w.client, MANGO_EVENT_OUT), 0);
	err = mango_socket_connect(w.client, (struct sockaddr *)&addr, sizeof(addr));
	if (err == -EINPROGRESS) {
		assert_int_equal(mango_tcp_poll(w.tcp, ev, 1, 1000, &n), 0);
		assert_int_equal(n, 1);
		assert_true((ev[0].events & MANGO_EVENT_ERR) != 0);
		assert_int_equal(get_int(w.client, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
		assert_int_equal(get_int(w.client, SOL_SOCKET, SO_ERROR), 0);
	} else {
		assert_int_equal(err, -ECONNREFUSED);
	}
	world_down(&w);
}

static struct sockaddr_in6 in6(const char *text, uint16_t port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET6, text, &sa.sin6_addr), 1);
	return sa;
}

static void ipv6_options(void **state)
{
	struct sockaddr_in6 any = in6("::", 0), mapped = in6("::ffff:10.0.0.1", 80);
	mango_socket_h sock;
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	assert_int_equal(mango_socket_create(w.tcp, &sock), 0);
	assert_int_equal(get_int(sock, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	assert_int_equal(set_int(sock, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	assert_int_equal(get_int(sock, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	assert_int_equal(set_int(sock, IPPROTO_IPV6, IPV6_TCLASS, 256), -EINVAL);
	assert_int_equal(set_int(sock, IPPROTO_IPV6, IPV6_TCLASS, 0xb8), 0);
	assert_int_equal(get_int(sock, IPPROTO_IPV6, IPV6_TCLASS), 0xb8);
	assert_int_equal(set_int(sock, IPPROTO_IPV6, IPV6_TCLASS, -1), 0);
	assert_int_equal(get_int(sock, IPPROTO_IPV6, IPV6_TCLASS), 0);
	assert_int_equal(set_int(sock, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 0), -EINVAL);
	assert_int_equal(set_int(sock, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 3), 0);
	assert_int_equal(get_int(sock, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 3);
	/* RFC 3493 5.3: then nothing of IPv4 */
	assert_int_equal(mango_socket_bind(sock, (struct sockaddr *)&mapped, sizeof(mapped)),
			 -EINVAL);
	assert_int_equal(mango_socket_bind(sock, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(set_int(sock, IPPROTO_IPV6, IPV6_V6ONLY, 0), -EINVAL);
	assert_int_equal(mango_socket_connect(sock, (struct sockaddr *)&mapped, sizeof(mapped)),
			 -ENETUNREACH);
	assert_int_equal(mango_socket_listen(sock, 1), 0);
	assert_int_equal(get_int(sock, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	assert_int_equal(mango_socket_destroy(sock), 0);
	world_down(&w);
}

static void link_local_addresses_have_a_scope(void **state)
{
	struct sockaddr_in6 sa = in6("fe80::1", 80), got;
	struct sockaddr_in6 far = in6("2001:db8::1", 80);
	socklen_t len = sizeof(got);
	mango_socket_h sock;
	struct world w;

	(void)state;
	world_up(&w, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in6 *to = i == 0 ? &sa : &far;

		to->sin6_scope_id = 2;
		assert_int_equal(mango_socket_create(w.tcp, &sock), 0);
		assert_int_equal(mango_socket_bind(sock, (struct sockaddr *)to, sizeof(*to)), 0);
		assert_int_equal(mango_socket_getsockname(sock, (struct sockaddr *)&got, &len), 0);
		assert_int_equal(len, sizeof(got));
		assert_memory_equal(&got.sin6_addr, &to->sin6_addr, 16);
		assert_int_equal(got.sin6_scope_id, i == 0 ? 2 : 0);
		assert_int_equal(mango_socket_destroy(sock), 0);
	}
	world_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constants_are_told),
		cmocka_unit_test(flags_are_kept),
		cmocka_unit_test(ipv6_options),
		cmocka_unit_test(link_local_addresses_have_a_scope),
		cmocka_unit_test(wrong_ones_are_refused),
		cmocka_unit_test(the_daemons_options_reach_it),
		cmocka_unit_test(options_of_a_listener_are_inherited),
		cmocka_unit_test(open_takes_old_and_new_structs),
		cmocka_unit_test(tcp_info_is_filled),
		cmocka_unit_test(linger_zero_resets),
		cmocka_unit_test(linger_waits_for_acknowledgement),
		cmocka_unit_test(a_failed_connect_is_told_once),
	};

	return cmocka_run_group_tests_name("client_option", tests, NULL, NULL);
}
