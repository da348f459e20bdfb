/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb_test.c - control messages through protobuf and back: every type, both directions, both forms; and bytes that
 * are not what they should be.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mango.pb-c.h"
#include "proto/base/rng.h"
#include "proto/pb/convert.h"

static struct mg_ctl_msg in;
static struct mg_ctl_msg out;

/* Message types that travel by gRPC. */
static bool travels(uint16_t type)
{
	return type < MG_CTL_NR && type != MG_CTL_ATTACH && type != MG_CTL_CONTEXT_OPEN &&
	       type != MG_CTL_GUARD && type != MG_CTL_GUARDS;
}

static void text(char *buf, size_t size, const char *what, uint32_t i)
{
	int len = snprintf(buf, size, "%s-%u", what, i);

	assert_true(len > 0 && (size_t)len < size);
}

static void fill_info(struct mg_ctl_conn_info *c, uint32_t i)
{
	/* Every number is different, so that a swap of two fields shows. */
	uint32_t *words = (uint32_t *)(void *)&c->state;

	memset(c, 0, sizeof(*c));
	for (size_t w = 0; w < (offsetof(struct mg_ctl_conn_info, opts) -
				offsetof(struct mg_ctl_conn_info, state)) /
					       4 +
				       1;
	     w++)
		words[w] = (uint32_t)(i * 1000 + w + 1);
	c->tuple.laddr = mg_addr_v4(0x0a000001 + i);
	c->tuple.raddr = mg_addr_v4(0xc0a80001 + i);
	c->tuple.lport = (uint16_t)(i + 1);
	c->tuple.rport = 65535;
	c->rx_bytes = UINT64_MAX - i;
	c->tx_bytes = 2 + i;
	c->acked_bytes = 3 + i;
	c->pacing_Bps = 1ull << 40;
	c->age_ms = 5 + i;
	text(c->cc, sizeof(c->cc), "cc", i);
	text(c->cc_phase, sizeof(c->cc_phase), "phase", i);
	c->ecn = i & 1;
}

static void fill_kv(struct mg_ctl_kv *kv, uint32_t i, bool is_reply)
{
	text(kv->key, sizeof(kv->key), "key", i);
	memset(kv->value, 'v', sizeof(kv->value) - 1); /* as long as it may be */
	if (!is_reply)
		return;
	text(kv->deflt, sizeof(kv->deflt), "default", i);
	kv->flags = MG_CTL_KV_RUNTIME | (i % 2 != 0 ? (uint32_t)MG_CTL_KV_DEFAULT : 0);
}

static void fill_health(struct mg_ctl_health *h)
{
	h->serving = MG_CTL_DRAINING;
	h->pid = 1;
	h->uptime_ms = 1ull << 33;
	h->daemon_epoch = UINT64_MAX;
	h->nr_workers = 2;
	h->nr_sessions = 3;
	h->nr_connections = 4;
	h->nr_listeners = 5;
	text(h->version, sizeof(h->version), "v", 1);
	text(h->instance, sizeof(h->instance), "i", 1);
	text(h->attach_path, sizeof(h->attach_path), "/run/mango", 1);
	text(h->reason, sizeof(h->reason), "because", 1);
}

static void fill_tcp(struct mg_ctl_msg *m, uint32_t i)
{
	switch (m->hdr.type & ~MG_CTL_REPLY) {
	case MG_CTL_TCP_LISTEN:
		m->listen[i] = (struct mg_ctl_listen){ mg_addr_v4(0x7f000001),
						       80,
						       MG_CTL_LISTEN_REUSEPORT |
							       MG_CTL_LISTEN_V6ONLY,
						       5,
						       6,
						       7,
						       8,
						       9,
						       UINT64_MAX,
						       "bbr",
						       10,
						       11,
						       UINT16_MAX,
						       12 };
		break;
	case MG_CTL_TCP_ACCEPT:
		m->accept[i] = (struct mg_ctl_accept){ i + 1, UINT32_MAX, i, 1 };
		break;
	case MG_CTL_TCP_MOVE:
		m->move[i] = (struct mg_ctl_move){ i, i + 1, 31, MG_CTL_MOVE_TAKE };
		break;
	case MG_CTL_TCP_CONNECT:
		m->connect[i] = (struct mg_ctl_connect){ { mg_addr_v4(1), mg_addr_v4(2), 3, 4 },
							 5,
							 6,
							 7,
							 8,
							 9,
							 10,
							 11,
							 -ENETUNREACH,
							 12,
							 13,
							 14,
							 0,
							 "dctcp" };
		break;
	case MG_CTL_TCP_CLOSE:
	case MG_CTL_TCP_ABORT:
		m->conn[i] = (struct mg_ctl_conn_ref){ i, i + 1 };
		break;
	case MG_CTL_TCP_LISTEN_CLOSE:
		m->listener[i] = (struct mg_ctl_listener_ref){ i, 0 };
		break;
	default:
		m->opt[i].window = i;
		m->opt[i].gen = i + 1;
		m->opt[i].option = i % 2 != 0 ? MG_CTL_OPT_INFO : MG_CTL_OPT_CONGESTION;
		m->opt[i].status = -EINVAL;
		m->opt[i].value = INT64_MIN;
		text(m->opt[i].text, sizeof(m->opt[i].text), "cubic", i);
		if (i % 2 != 0)
			fill_info(&m->opt[i].info, i);
		break;
	}
}

static void fill_table(struct mg_ctl_msg *m, uint32_t i)
{
	switch (m->hdr.type & ~MG_CTL_REPLY) {
	case MG_CTL_CONNECTIONS:
		fill_info(&m->conn_info[i], i);
		break;
	case MG_CTL_LISTENERS:
		m->listener_info[i] = (struct mg_ctl_listener_info){
			mg_addr_v4(0), 443, MG_CTL_LISTEN_REUSEPORT, 1, 2, 3, 4, 5, 6,
			UINT64_MAX,    7,   MG_CTL_OBJECT_GUARDED,   8, 9
		};
		break;
	case MG_CTL_SESSIONS:
		m->session[i] = (struct mg_ctl_session_info){ .app = i,
							      .pid = 1,
							      .uid = 2,
							      .contexts = 3,
							      .processes = 4,
							      .guards = 5,
							      .connections = 6,
							      .listeners = 7,
							      .region_bytes = UINT64_MAX,
							      .resident_bytes = 8,
							      .age_ms = 9 };
		text(m->session[i].program, sizeof(m->session[i].program), "nginx", i);
		break;
	default:
		text(m->counter[i].name, sizeof(m->counter[i].name), "rx.packets", i);
		text(m->counter[i].help, sizeof(m->counter[i].help), "Packets.", i);
		m->counter[i].value = UINT64_MAX - i;
		break;
	}
}

static void fill(struct mg_ctl_msg *m, uint16_t type, uint32_t count)
{
	memset(m, 0, sizeof(*m));
	mg_ctl_init(m, type, 0xabcdef0123456789ull, count);
	for (uint32_t i = 0; i < count; i++) {
		uint16_t plain = (uint16_t)(type & ~MG_CTL_REPLY);

		if (plain == MG_CTL_HEALTH_CHECK)
			fill_health(&m->health[0]);
		else if (plain == MG_CTL_GET_CONFIG && type == plain)
			text(m->kv[0].key, sizeof(m->kv[0].key), "tcp.", 0);
		else if (plain == MG_CTL_SET_CONFIG || plain == MG_CTL_GET_CONFIG)
			fill_kv(&m->kv[i], i, type != plain);
		else if (plain >= MG_CTL_CONNECTIONS && plain != MG_CTL_TCP_MOVE)
			fill_table(m, i);
		else
			fill_tcp(m, i);
	}
}

static void round_trip(uint16_t type, uint32_t count, enum mg_pb_form form)
{
	uint8_t *buf;
	size_t len;

	fill(&in, type, count);
	if (form == MG_PB_UNARY)
		in.hdr.id = 0; /* has no place there */
	if (form == MG_PB_STREAM && (type & MG_CTL_REPLY) == 0)
		memset(in.hdr.token.b, 0x5a, sizeof(in.hdr.token.b));
	if (form == MG_PB_STREAM && (type & MG_CTL_REPLY) != 0) {
		in.hdr.status = -EINVAL;
		(void)snprintf(in.hdr.text, sizeof(in.hdr.text), "why");
	}
	if (type == MG_CTL_CONNECTIONS || type == (MG_CTL_STATS | MG_CTL_REPLY))
		in.hdr.start = 7;
	if (type == (MG_CTL_STATS | MG_CTL_REPLY))
		in.hdr.more = 1;
	assert_int_equal(mg_pb_pack(&in, form, &buf, &len), 0);
	memset(&out, 0xee, sizeof(out));
	assert_int_equal(mg_pb_unpack(buf, len, form,
				      form == MG_PB_UNARY ? type : type & MG_CTL_REPLY, &out),
			 0);
	free(buf);
	assert_int_equal(out.hdr.bytes, in.hdr.bytes);
	assert_memory_equal(&out, &in, in.hdr.bytes);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (uint16_t plain = 0; plain < MG_CTL_NR; plain++) {
		for (int dir = 0; dir < 2; dir++) {
			uint16_t type = (uint16_t)(plain | (dir != 0 ? MG_CTL_REPLY : 0));
			uint32_t max = mg_ctl_item_bytes(type) == 0 ? 0 : mg_ctl_items_max(type);
			bool is_one = plain == MG_CTL_HEALTH_CHECK || type == MG_CTL_GET_CONFIG;

			if (!travels(plain))
				continue;
			round_trip(type, max == 0 ? 0 : 1, MG_PB_STREAM);
			round_trip(type, max == 0 ? 0 : 1, MG_PB_UNARY);
			if (!is_one && max > 0) {
				round_trip(type, 0, MG_PB_STREAM);
				round_trip(type, max, MG_PB_STREAM);
				round_trip(type, max, MG_PB_UNARY);
			}
		}
	}
}

static void test_error_reply(void **state)
{
	uint8_t *buf;
	size_t len;

	(void)state;
	mg_ctl_init(&in, MG_CTL_HEALTH_CHECK | MG_CTL_REPLY, 3, 0);
	in.hdr.status = -ESHUTDOWN;
	assert_int_equal(mg_pb_pack(&in, MG_PB_STREAM, &buf, &len), 0);
	assert_int_equal(mg_pb_unpack(buf, len, MG_PB_STREAM, MG_CTL_REPLY, &out), 0);
	assert_int_equal(out.hdr.status, -ESHUTDOWN);
	free(buf);
}

static void test_not_by_grpc(void **state)
{
	uint8_t *buf;
	size_t len;

	(void)state;
	mg_ctl_init(&in, MG_CTL_ATTACH, 1, 1);
	assert_int_equal(mg_pb_pack(&in, MG_PB_STREAM, &buf, &len), -EPROTO);
	assert_int_equal(mg_pb_unpack((const uint8_t *)"", 0, MG_PB_UNARY, MG_CTL_ATTACH, &out),
			 -EPROTO);
	assert_int_equal(mg_pb_unpack((const uint8_t *)"", 0, MG_PB_UNARY, 99, &out), -EPROTO);
	assert_int_equal(mg_pb_unpack((const uint8_t *)"", 0, MG_PB_STREAM, 0, &out),
			 -EPROTO); /* no body */
}

/* Packs a Request that our own code would never make. */
static int unpack(Mango__V1__Request *request)
{
	size_t len = mango__v1__request__get_packed_size(request);
	uint8_t *buf = malloc(len);
	int err;

	mango__v1__request__pack(request, buf);
	err = mg_pb_unpack(buf, len, MG_PB_STREAM, 0, &out);
	free(buf);
	return err;
}

static int unpack_listen(Mango__V1__Listen *item, size_t n)
{
	Mango__V1__Request request = MANGO__V1__REQUEST__INIT;
	Mango__V1__TcpListen body = MANGO__V1__TCP_LISTEN__INIT;
	Mango__V1__Listen **items = calloc(n, sizeof(*items));
	int err;

	for (size_t i = 0; i < n; i++)
		items[i] = item;
	body.items = items;
	body.n_items = n;
	request.body_case = MANGO__V1__REQUEST__BODY_TCP_LISTEN;
	request.tcp_listen = &body;
	err = unpack(&request);
	free(items);
	return err;
}

static void test_bad_contents(void **state)
{
	Mango__V1__Listen item;
	Mango__V1__Request request = MANGO__V1__REQUEST__INIT;
	Mango__V1__GetConfigRequest get;
	Mango__V1__HealthCheckRequest health = MANGO__V1__HEALTH_CHECK_REQUEST__INIT;
	char bad_addr[] = "10.0.0.256";
	char v6_addr[] = "fd00::1";
	char key[65];

	(void)state;
	mango__v1__listen__init(&item);
	mango__v1__get_config_request__init(&get);
	assert_int_equal(unpack_listen(&item, 1), 0);
	assert_true(mg_addr_is_any(&out.listen[0].addr));
	item.port = 65536;
	assert_int_equal(unpack_listen(&item, 1), -EBADMSG);
	item.port = 65535;
	item.address = bad_addr;
	assert_int_equal(unpack_listen(&item, 1), -EBADMSG);
	item.address = v6_addr;
	assert_int_equal(unpack_listen(&item, 1), 0);
	assert_int_equal(unpack_listen(&item, mg_ctl_items_max(MG_CTL_TCP_LISTEN)), 0);
	assert_int_equal(unpack_listen(&item, mg_ctl_items_max(MG_CTL_TCP_LISTEN) + 1), -EBADMSG);
	memset(key, 'k', sizeof(key));
	key[64] = '\0';
	get.key = key;
	request.body_case = MANGO__V1__REQUEST__BODY_GET_CONFIG;
	request.get_config = &get;
	assert_int_equal(unpack(&request), -EBADMSG);
	key[63] = '\0';
	assert_int_equal(unpack(&request), 0);
	request.body_case = MANGO__V1__REQUEST__BODY_HEALTH_CHECK;
	request.health_check = &health;
	request.token.data = (uint8_t *)key;
	request.token.len = 15;
	assert_int_equal(unpack(&request), -EBADMSG);
	request.token.len = 16;
	assert_int_equal(unpack(&request), 0);
}

/* Cut short, or with bits turned over: any answer, but never a message that does not pass the check. */
static void test_damaged(void **state)
{
	struct mg_rng rng;
	uint8_t *buf;
	size_t len;

	(void)state;
	mg_rng_init(&rng, 1);
	fill(&in, MG_CTL_CONNECTIONS | MG_CTL_REPLY, 20);
	assert_int_equal(mg_pb_pack(&in, MG_PB_STREAM, &buf, &len), 0);
	for (size_t cut = 0; cut < len; cut++)
		(void)mg_pb_unpack(buf, cut, MG_PB_STREAM, MG_CTL_REPLY, &out);
	for (int i = 0; i < 20000; i++) {
		uint32_t at = mg_rng_below(&rng, (uint32_t)len);
		uint8_t bit = (uint8_t)(1u << mg_rng_below(&rng, 8));
		uint16_t dir = i % 3 == 0 ? 0 : MG_CTL_REPLY;

		buf[at] ^= bit;
		if (mg_pb_unpack(buf, len, MG_PB_STREAM, dir, &out) == 0)
			assert_int_equal(mg_ctl_check(&out, out.hdr.bytes), 0);
		if (i % 4 != 0)
			buf[at] ^= bit;
	}
	free(buf);
	buf = calloc(1, MG_PB_BYTES_MAX + 1);
	assert_int_equal(mg_pb_unpack(buf, MG_PB_BYTES_MAX + 1, MG_PB_STREAM, 0, &out), -EBADMSG);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_error_reply),
		cmocka_unit_test(test_not_by_grpc), cmocka_unit_test(test_bad_contents),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests_name("pb", tests, NULL, NULL);
}
