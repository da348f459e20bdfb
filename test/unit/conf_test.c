/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_test.c - the settings: the table itself, wrong files and their messages, set and get.
 *
 * Use:     run anywhere; MANGO_SRC says where config/ and docs/ are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/conf_key.h"
#include "daemon/conf_near.h"
#include "daemon/conf_print.h"
#include "daemon/conf_value.h"
#include "proto/path/app.h"

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

static struct mg_conf conf; /* large */

static int parse(const char *text, struct mg_conf_err *err)
{
	return mg_conf_parse(text, strlen(text), "f.yaml", &conf, err);
}

/* --- the table --- */

static void check_column(const struct mg_conf_key *key, size_t struct_size)
{
	char text[MG_CONF_VALUE_MAX], allowed[320];
	size_t elements = key->list_max > 0 ? key->list_max : 1;

	assert_non_null(key->help);
	assert_true(strlen(key->help) > 10);
	assert_true(key->help[strlen(key->help) - 1] == '.');
	assert_true(key->offset + key->size * elements <= struct_size);
	assert_true(strlen(key->name) < MG_CONF_KEY_MAX);
	mg_conf_value_allowed(key, allowed, sizeof(allowed));
	assert_true(allowed[0] != '\0');
	if (key->type == MG_CONF_T_NUMBER || key->type == MG_CONF_T_BYTES ||
	    key->type == MG_CONF_T_DURATION) {
		assert_non_null(key->unit);
		assert_true(key->min < key->max);
		assert_true(key->size == 8 || (key->size == 4 && key->max <= UINT32_MAX));
	}
	if (key->type == MG_CONF_T_NAME || key->type == MG_CONF_T_TEXT ||
	    key->type == MG_CONF_T_PATH)
		assert_true(key->max < key->size);
	if (key->type == MG_CONF_T_OBJECTS || (key->flags & MG_CONF_F_REQUIRED) != 0)
		return;
	assert_non_null(key->deflt);
	assert_true(strlen(key->deflt) < sizeof(text));
}

static void table_is_sound(void **state)
{
	(void)state;
	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		const struct mg_conf_key *key = &mg_conf_keys[i];

		check_column(key, sizeof(struct mg_conf));
		for (size_t c = 0; c < key->nr_columns; c++)
			check_column(&key->columns[c], key->size);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(key->name, mg_conf_keys[j].name);
	}
}

/* Keys of one section stand together, and every section is described. */
static void sections_are_contiguous(void **state)
{
	size_t changes = 0;
	char last[MG_CONF_KEY_MAX] = "\n";

	(void)state;
	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		const char *name = mg_conf_keys[i].name, *dot = strrchr(name, '.');
		char section[MG_CONF_KEY_MAX] = "";

		mg_conf_append(section, sizeof(section), "%.*s",
			       (int)(dot != NULL ? dot - name : 0), name);
		if (mg_conf_keys[i].columns != NULL)
			mg_conf_append(section, sizeof(section), "%s", name);
		if (strcmp(section, last) != 0) {
			assert_true(changes < mg_conf_nr_sections);
			assert_string_equal(section, mg_conf_sections[changes].name);
			changes++;
		}
		memcpy(last, section, sizeof(last));
	}
	assert_int_equal(changes, mg_conf_nr_sections);
}

static void use_bytes(uint8_t *used, size_t offset, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		assert_int_equal(used[offset + i], 0);
		used[offset + i] = 1;
	}
}

/* No byte of the struct belongs to two keys, and what no key owns is padding at most. */
static void every_member_has_one_key(void **state)
{
	uint8_t *used = calloc(sizeof(struct mg_conf), sizeof(*used));
	size_t free_run = 0;

	(void)state;
	assert_non_null(used);
	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		const struct mg_conf_key *key = &mg_conf_keys[i];

		use_bytes(used, key->offset, key->size * (key->list_max > 0 ? key->list_max : 1));
		if (key->list_max > 0)
			use_bytes(used, key->count_offset, sizeof(uint32_t));
	}
	for (size_t i = 0; i < sizeof(struct mg_conf); i++) {
		free_run = used[i] != 0 ? 0 : free_run + 1;
		assert_true(free_run < sizeof(uint64_t));
	}
	free(used);
}

static void defaults_are_as_designed(void **state)
{
	(void)state;
	mg_conf_init(&conf);
	assert_int_equal(mg_conf_check(&conf, NULL), 0);
	assert_string_equal(conf.instance, "mango");
	assert_string_equal(conf.runtime_dir, "/run/mango");
	assert_int_equal(conf.attach.mode, 0660);
	assert_int_equal(conf.tcp.window_scale, 14);
	assert_int_equal(conf.tcp.initial_cwnd_segments, 10);
	assert_int_equal(conf.tcp.rto_initial_ms, 1000);
	assert_int_equal(conf.tcp.rto_min_ms, 200);
	assert_int_equal(conf.tcp.delayed_ack_ms, 40);
	assert_int_equal(conf.tcp.time_wait_ms, 60000);
	assert_int_equal(conf.tcp.syn_retries, 6);
	assert_int_equal(conf.tcp.congestion_control, MG_CONF_CC_CUBIC);
	assert_int_equal(conf.tcp.rcvbuf_bytes, 65536);
	assert_int_equal(conf.tcp.keepalive_idle_s, 7200);
	assert_int_equal(conf.tcp.keepalive_interval_s, 75);
	assert_int_equal(conf.tcp.keepalive_count, 9);
	assert_int_equal(conf.tcp.mss, 0);
	assert_int_equal(conf.slowpath.core, MG_CONF_ANY_CORE);
	assert_true(conf.tcp.nagle && conf.tcp.sack && conf.tcp.timestamps);
	assert_false(conf.tcp.keepalive);
	assert_int_equal(conf.tcp.ecn, MG_CONF_ECN_OFF);
	assert_int_equal(conf.ipc.grpc.listen_count, 2);
	assert_string_equal(conf.ipc.grpc.listen[0], "localhost:32847");
	assert_int_equal(conf.ports_count, 0);
}

/* --- right files --- */

static void empty_files_are_defaults(void **state)
{
	static const char *const texts[] = { "",
					     "\n",
					     "# nothing\n",
					     "---\n",
					     "~\n",
					     "tcp:\nlog: ~\nports:\n",
					     "tcp:\n  # nagle: false\n" };
	static struct mg_conf deflt;

	(void)state;
	mg_conf_init(&deflt);
	for (size_t i = 0; i < NELEM(texts); i++) {
		memset(&conf, 0xa5, sizeof(conf));
		assert_int_equal(parse(texts[i], NULL), 0);
		assert_memory_equal(&conf, &deflt, sizeof(conf));
	}
}

static void a_whole_file(void **state)
{
	static const char
		text[] = "instance: a.b\n"
			 "access:\n"
			 "  - {user: www-data, connections_max: 100, region_bytes: 64MiB}\n"
			 "  - group: 1000\n"
			 "ports:\n"
			 "  - name: p0\n"
			 "    interface: eth1\n"
			 "    driver: af_xdp\n"
			 "    mtu: 9000\n"
			 "    addresses: [10.0.0.1/24, 10.0.1.1/24, fd00::1/64, fe80::1/64]\n"
			 "  - {name: p1, pci: \"0000:03:00.0\", addresses: [192.168.0.1/30]}\n"
			 "routes:\n"
			 "  - {to: 0.0.0.0/0, via: 10.0.0.254}\n"
			 "  - {to: 172.16.0.0/12, port: p1}\n"
			 "  - {to: \"::/0\", via: \"fe80::99\", port: p0}\n"
			 "  - {to: 2001:db8::/32, via: fd00::99}\n"
			 "neighbors:\n"
			 "  - {address: 10.0.0.254, mac: \"02:00:00:00:00:FE\"}\n"
			 "  - {address: fd00::254, mac: \"02:00:00:00:00:FD\"}\n"
			 "fastpath: {workers: 2, cores: [2, 3]}\n"
			 "slowpath: {thread: own, core: 1}\n"
			 "tcp:\n"
			 "  rto_min_ms: 5ms\n"
			 "  keepalive: on\n"
			 "  keepalive_idle_s: 2h\n"
			 "  rcvbuf_bytes: 256K\n"
			 "  user_timeout_ms: off\n"
			 "  congestion_control: reno\n"
			 "ipc: {grpc: {enabled: no, listen: []}}\n"
			 "preload:\n"
			 "  listen: [\"!:22\", auto]\n"
			 "  connect:\n"
			 "    - \"[fd00::1]:443\"\n"
			 "    - 10.0.0.0/8:80-90\n"
			 "  programs: [\"!sshd\"]\n"
			 "  absent: refuse\n";
	struct mg_conf_err err;
	struct mg_addr a = mg_addr_v4(0x0a0000fe);

	(void)state;
	if (parse(text, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(conf.instance, "a.b");
	assert_int_equal(conf.access_count, 2);
	assert_string_equal(conf.access[1].group, "1000");
	assert_int_equal(conf.access[0].region_bytes, 64 << 20);
	assert_int_equal(conf.access[0].sessions_max, 0);
	assert_int_equal(conf.ports_count, 2);
	assert_int_equal(conf.ports[0].driver, MG_CONF_AF_XDP);
	assert_int_equal(conf.ports[0].mtu, 9000);
	assert_int_equal(conf.ports[0].addresses_count, 4);
	assert_int_equal(conf.ports[0].addresses[2].bits, 64);
	assert_true(mg_addr_is_link_local(&conf.ports[0].addresses[3].addr));
	assert_int_equal(mg_addr_to_v4(&conf.ports[0].addresses[1].addr), 0x0a000101);
	assert_int_equal(conf.ports[0].addresses[1].bits, 24);
	assert_string_equal(conf.ports[1].pci, "0000:03:00.0");
	assert_int_equal(conf.routes_count, 4);
	assert_int_equal(conf.routes[2].to.bits, 0);
	assert_int_equal(mg_conf_port_for(&conf, &conf.routes[3].via), 0);
	assert_true(mg_addr_eq(&conf.routes[0].via, &a));
	assert_true(mg_addr_is_any(&conf.routes[1].via));
	assert_int_equal(conf.neighbors[0].mac.b[5], 0xfe);
	assert_int_equal(conf.fastpath.cores[1], 3);
	assert_int_equal(conf.slowpath.core, 1);
	assert_int_equal(conf.tcp.rto_min_ms, 5);
	assert_int_equal(conf.tcp.keepalive_idle_s, 7200);
	assert_int_equal(conf.tcp.rcvbuf_bytes, 262144);
	assert_int_equal(conf.tcp.user_timeout_ms, 0);
	assert_int_equal(conf.tcp.congestion_control, MG_CONF_CC_RENO);
	assert_true(conf.tcp.keepalive);
	assert_false(conf.ipc.grpc.enabled);
	assert_string_equal(conf.preload.listen[0], "!:22");
	assert_string_equal(conf.preload.connect[1], "10.0.0.0/8:80-90");
	assert_string_equal(conf.preload.programs[0], "!sshd");
	assert_int_equal(conf.preload.absent, MG_CONF_ABSENT_REFUSE);
	assert_int_equal(mg_conf_port_index(&conf, "p1"), 1);
	assert_int_equal(mg_conf_port_index(&conf, "p2"), -1);
	assert_int_equal(mg_conf_port_for(&conf, &a), 0);
}

static char *source_path(const char *file, char *buf, size_t len)
{
	const char *root = getenv("MANGO_SRC");

	(void)snprintf(buf, len, "%s/%s", root != NULL ? root : ".", file);
	return buf;
}

static void shipped_files_are_right(void **state)
{
	static struct mg_conf deflt;
	struct mg_conf_err err;
	char path[512];

	(void)state;
	mg_conf_init(&deflt);
	if (mg_conf_load(source_path("config/mangod.yaml", path, sizeof(path)), &conf, &err) != 0)
		fail_msg("%s", err.text);
	assert_memory_equal(&conf, &deflt, sizeof(conf));
	if (mg_conf_load(source_path("config/testbed.yaml", path, sizeof(path)), &conf, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(conf.instance, "testbed");
	assert_string_equal(conf.ports[0].interface, "mg0");
	assert_int_equal(conf.slowpath.thread, MG_CONF_SLOW_INLINE);
}

static void assert_same_file(const char *file, void (*print)(FILE *out))
{
	char path[512], *made = NULL, *found;
	size_t made_len = 0, found_len;
	FILE *out = open_memstream(&made, &made_len), *in;

	assert_non_null(out);
	print(out);
	assert_int_equal(fclose(out), 0);
	in = fopen(source_path(file, path, sizeof(path)), "r");
	if (in == NULL)
		fail_msg("%s is missing: ninja config-docs", path);
	found = calloc(1, made_len + 2);
	assert_non_null(found);
	found_len = fread(found, 1, made_len + 1, in);
	(void)fclose(in); /* was only read */
	if (found_len != made_len || memcmp(found, made, made_len) != 0)
		fail_msg("%s differs from the schema table: ninja config-docs", path);
	free(found);
	free(made);
}

static void generated_files_are_in_sync(void **state)
{
	(void)state;
	assert_same_file("docs/config.md", mg_conf_print_markdown);
	assert_same_file("config/mangod.yaml", mg_conf_print_yaml);
}

/* --- wrong files --- */

struct wrong {
	const char *text;
	const char *message;
};

static void assert_wrong(const struct wrong *w)
{
	static struct mg_conf before;
	struct mg_conf_err err;
	int rc;

	memset(&conf, 0x5a, sizeof(conf));
	before = conf;
	rc = parse(w->text, &err);
	if (rc != -EINVAL || strcmp(err.text, w->message) != 0)
		fail_msg("file:\n%s\nwanted:  %s\nis (%d): %s", w->text, w->message, rc,
			 rc != 0 ? err.text : "-");
	assert_memory_equal(&conf, &before, sizeof(conf)); /* nothing of it was taken */
	assert_null(strchr(err.text, '\n'));
	assert_string_equal(err.file, "f.yaml");
}

static void wrong_values(void **state)
{
	static const struct wrong wrongs[] = {
		{ "log:\n  level: info\n\ntcp:\n  nagle: true\n  rto_min_ms: abc\n",
		  "f.yaml:6: tcp.rto_min_ms: found \"abc\", allowed: 1..60000 (milliseconds)" },
		{ "tcp: {rto_min_ms: 0}",
		  "f.yaml:1: tcp.rto_min_ms: found \"0\", allowed: 1..60000 (milliseconds)" },
		{ "tcp: {rto_min_ms: 60001}",
		  "f.yaml:1: tcp.rto_min_ms: found \"60001\", allowed: 1..60000 (milliseconds)" },
		{ "tcp: {rto_min_ms: -1}",
		  "f.yaml:1: tcp.rto_min_ms: found \"-1\", allowed: 1..60000 (milliseconds)" },
		{ "tcp: {rto_min_ms: 200us}",
		  "f.yaml:1: tcp.rto_min_ms: found \"200us\", allowed: 1..60000 (milliseconds)" },
		{ "tcp: {rto_min_ms: 99999999999999999999999}",
		  "f.yaml:1: tcp.rto_min_ms: found \"99999999999999999999999\", allowed: 1..60000 "
		  "(milliseconds)" },
		{ "tcp: {rto_min_ms: 18446744073709551615h}",
		  "f.yaml:1: tcp.rto_min_ms: found \"18446744073709551615h\", allowed: 1..60000 "
		  "(milliseconds)" },
		{ "tcp: {rto_min_ms: 1e3}",
		  "f.yaml:1: tcp.rto_min_ms: found \"1e3\", allowed: 1..60000 (milliseconds)" },
		{ "tcp: {rto_min_ms: \"\"}",
		  "f.yaml:1: tcp.rto_min_ms: found \"\", allowed: 1..60000 (milliseconds)" },
		{ "tcp:\n  rto_min_ms:\n",
		  "f.yaml:2: tcp.rto_min_ms: found nothing, allowed: 1..60000 (milliseconds)" },
		{ "tcp: {mss: never}",
		  "f.yaml:1: tcp.mss: found \"never\", allowed: 88..8960 (bytes) or auto" },
		{ "tcp: {rcvbuf_bytes: 65537}",
		  "f.yaml:1: tcp.rcvbuf_bytes: found \"65537\", allowed: 4096..67108864 (bytes, a power of "
		  "two)" },
		{ "tcp: {nagle: maybe}",
		  "f.yaml:1: tcp.nagle: found \"maybe\", allowed: true or false" },
		{ "tcp: {congestion_control: vegas}",
		  "f.yaml:1: tcp.congestion_control: found \"vegas\", allowed: reno, cubic, dctcp or bbr" },
		{ "instance: a/b",
		  "f.yaml:1: instance: found \"a/b\", allowed: letters, digits, . _ and -, 1..31 characters" },
		{ "instance: \"\"",
		  "f.yaml:1: instance: found \"\", allowed: letters, digits, . _ and -, 1..31 characters" },
		{ "instance: ..",
		  "f.yaml:1: instance: found \"..\", allowed: letters, digits, . _ and -, 1..31 characters" },
		{ "runtime_dir: run",
		  "f.yaml:1: runtime_dir: found \"run\", allowed: an absolute path, 1..95 characters" },
		{ "attach: {mode: 0888}",
		  "f.yaml:1: attach.mode: found \"0888\", allowed: 0000..0777 (octal)" },
		{ "attach: {mode: 01777}",
		  "f.yaml:1: attach.mode: found \"01777\", allowed: 0000..0777 (octal)" },
		{ "instance: 01234567890123456789012345678901234567890123456789012345678901234567890123456789",
		  "f.yaml:1: instance: found "
		  "\"01234567890123456789012345678901234567890123456789012345678901234...\", allowed: letters, "
		  "digits, . _ and -, 1..31 characters" },
		{ "instance: \"a\\nb\\e\"",
		  "f.yaml:1: instance: found \"a?b?\", allowed: letters, digits, . _ and -, 1..31 characters" },
		{ "instance: \"a\\0b\"", "f.yaml:1: instance: found a zero byte, allowed: text" },
		{ "fastpath:\n  cores: [1, x]",
		  "f.yaml:2: fastpath.cores[1]: found \"x\", allowed: 0..1023 (core numbers)" },
		{ "fastpath:\n  cores:\n    - 1\n    - 1024",
		  "f.yaml:4: fastpath.cores[1]: found \"1024\", allowed: 0..1023 (core numbers)" },
		{ "ipc: {grpc: {listen: [nowhere]}}",
		  "f.yaml:1: ipc.grpc.listen[0]: found \"nowhere\", allowed: HOST:PORT or unix:/PATH" },
		{ "preload:\n  listen: [\":80\", \":90-3\"]\n",
		  "f.yaml:2: preload.listen[1]: found \":90-3\", allowed: auto, all, none, or "
		  "[!]ADDRESS[/BITS][:PORT[-PORT]]" },
		{ "preload:\n  programs: [/usr/sbin/nginx]\n",
		  "f.yaml:2: preload.programs[0]: found \"/usr/sbin/nginx\", allowed: a program's name, or "
		  "!NAME" },
		{ "preload: {wildcard: all}\n",
		  "f.yaml:1: preload.wildcard: found \"all\", allowed: both, mango or kernel" },
		{ "ipc: {grpc: {listen: [\"localhost:70000\"]}}",
		  "f.yaml:1: ipc.grpc.listen[0]: found \"localhost:70000\", allowed: HOST:PORT or unix:/PATH" },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(wrongs); i++)
		assert_wrong(&wrongs[i]);
}

static void wrong_rows(void **state)
{
	static const struct wrong wrongs[] = {
		{ "ports:\n  - interface: eth0\n",
		  "f.yaml:2: ports[0].name: found nothing, allowed: a value in every entry of ports" },
		{ "ports:\n  - name: a\n    interface: eth0\n    driver: e1000\n",
		  "f.yaml:4: ports[0].driver: found \"e1000\", allowed: af_packet, af_xdp, packet_gso or tap" },
		{ "ports:\n  - name: a\n    interface: eth0\n  - name: b\n    interface: eth1\n    mtu: 20\n",
		  "f.yaml:6: ports[1].mtu: found \"20\", allowed: 576..9000 (bytes) or auto" },
		{ "ports:\n  - {name: a, interface: interface-too-long}\n",
		  "f.yaml:2: ports[0].interface: found \"interface-too-long\", allowed: letters, digits, . _ and "
		  "-, at most 15 characters" },
		{ "ports:\n  - name: a\n    interface: eth0\n    addresses:\n      - 10.0.0.1/24\n      - 10.0.0.300/24\n",
		  "f.yaml:6: ports[0].addresses[1]: found \"10.0.0.300/24\", allowed: IP address and prefix length such as 192.0.2.10/24 or 2001:db8::10/64" },
		{ "ports: [{name: a, interface: e, addresses: [10.0.0.1]}]",
		  "f.yaml:1: ports[0].addresses[0]: found \"10.0.0.1\", allowed: IP address and prefix length such as 192.0.2.10/24 or 2001:db8::10/64" },
		{ "ports: [{name: a, interface: e, addresses: [fd00::1/129]}]",
		  "f.yaml:1: ports[0].addresses[0]: found \"fd00::1/129\", allowed: IP address and prefix length such as 192.0.2.10/24 or 2001:db8::10/64" },
		{ "ports: [{name: a, pci: \"03:00\"}]",
		  "f.yaml:1: ports[0].pci: found \"03:00\", allowed: a PCI address such as 0000:03:00.0" },
		{ "routes: [{to: 10.0.0.0}]",
		  "f.yaml:1: routes[0].to: found \"10.0.0.0\", allowed: IP address and prefix length such as "
		  "192.0.2.10/24 or 2001:db8::10/64" },
		{ "routes: [{to: 10.0.0.0/8, via: router}]",
		  "f.yaml:1: routes[0].via: found \"router\", allowed: an IP address such as 192.0.2.1 or "
		  "2001:db8::1" },
		{ "neighbors: [{address: 10.0.0.1, mac: \"ff:ff:ff:ff:ff:ff\"}]",
		  "f.yaml:1: neighbors[0].mac: found \"ff:ff:ff:ff:ff:ff\", allowed: a unicast MAC address such "
		  "as 02:00:00:00:00:01" },
		{ "ports:\n  name: a\n",
		  "f.yaml:2: ports: found a section (key: value), allowed: a list of at most 8 objects (- key: "
		  "value)" },
		{ "ports:\n  - eth0\n",
		  "f.yaml:2: ports[0]: found \"eth0\", allowed: an object (key: value, ...) per entry" },
		{ "ports:\n  -\n",
		  "f.yaml:2: ports[0]: found nothing, allowed: an object (key: value, ...) per "
		  "entry" },
		{ "ports:\n  - nam: a\n",
		  "f.yaml:2: ports[0].nam: found an unknown key, allowed: did you mean ports[0].name?" },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(wrongs); i++)
		assert_wrong(&wrongs[i]);
}

static void wrong_structure(void **state)
{
	static const struct wrong wrongs[] = {
		{ "tcp:\n  nagle: true\n  rto_mim_ms: 5\n",
		  "f.yaml:3: tcp.rto_mim_ms: found an unknown key, allowed: did you mean tcp.rto_min_ms?" },
		{ "tpc:\n  nagle: true\n",
		  "f.yaml:1: tpc: found an unknown key, allowed: did you mean tcp?" },
		{ "nagle: true\n",
		  "f.yaml:1: nagle: found an unknown key, allowed: did you mean tcp.nagle?" },
		{ "log: {frobnicate: 1}\n",
		  "f.yaml:1: log.frobnicate: found an unknown key, allowed: level" },
		{ "ip:\n  hoplimit: 3\n",
		  "f.yaml:2: ip.hoplimit: found an unknown key, allowed: ttl, dscp, fragments_max, pmtu_min, pmtu_expire_s" },
		{ "tcp:\n  nagle: true\nlog:\n  level: info\ntcp:\n  sack: true\n",
		  "f.yaml:5: tcp: found a second time (first in line 1), allowed: every key once" },
		{ "tcp:\n  nagle: true\n  nagle: false\n",
		  "f.yaml:3: tcp.nagle: found a second time (first in line 2), allowed: every key once" },
		{ "tcp: 5\n",
		  "f.yaml:1: tcp: found \"5\", allowed: a section (indented \"key: value\" lines)" },
		{ "tcp:\n  - nagle: true\n",
		  "f.yaml:2: tcp: found a list, allowed: a section (indented \"key: value\" lines)" },
		{ "tcp:\n  nagle:\n    on: true\n",
		  "f.yaml:3: tcp.nagle: found a section (key: value), allowed: true or false" },
		{ "tcp:\n  nagle: [true]\n",
		  "f.yaml:2: tcp.nagle: found a list, allowed: true or false" },
		{ "fastpath: {cores: 3}\n",
		  "f.yaml:1: fastpath.cores: found \"3\", allowed: a list of at most 16 entries ([a, b])" },
		{ "fastpath: {cores: [[1]]}\n",
		  "f.yaml:1: fastpath.cores[0]: found a list, allowed: one value per entry" },
		{ "ipc: {grpc: {listen: [\"a:1\", \"a:2\", \"a:3\", \"a:4\",\n \"a:5\"]}}\n",
		  "f.yaml:2: ipc.grpc.listen: found one entry more, allowed: a list of at most 4 entries ([a, "
		  "b])" },
		{ "- tcp\n",
		  "f.yaml:1: found a list, allowed: a section (indented \"key: value\" lines)" },
		{ "hello\n",
		  "f.yaml:1: found \"hello\", allowed: a section (indented \"key: value\" lines)" },
		{ "? [a, b]\n: c\n",
		  "f.yaml:1: found a list or an object where a key should be, allowed: key: value" },
		{ "log: {level: info}\n---\nlog: {level: info}\n",
		  "f.yaml:2: found a second document (---), allowed: one document" },
		{ "log: &x {level: info}\n",
		  "f.yaml:1: log: found an anchor or alias (& or *), allowed: values written out" },
		{ "tcp:\n\tnagle: true\n",
		  "f.yaml:2: found a tab before the key, allowed: spaces for indentation" },
		{ "tcp:\n  nagle: true\n sack: true\n",
		  "f.yaml:3: found text that is not YAML (while parsing a block mapping: did not find expected "
		  "key), allowed: \"key: value\" lines, indented by spaces" },
		{ "log: {level: info\n",
		  "f.yaml:2: found text that is not YAML (while parsing a flow mapping: did not find expected "
		  "',' or '}'), allowed: \"key: value\" lines, indented by spaces" },
		{ "log:\n  level: \"info\n",
		  "f.yaml:3: found text that is not YAML (while scanning a quoted scalar: found unexpected end "
		  "of stream), allowed: \"key: value\" lines, indented by spaces" },
		{ "log:\n  level: \xff\xfe\n",
		  "f.yaml:2: found bytes that are not text (invalid leading UTF-8 octet), allowed: UTF-8 text" },
		{ "log: *x\n",
		  "f.yaml:1: log: found an anchor or alias (& or *), allowed: values written out" },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(wrongs); i++)
		assert_wrong(&wrongs[i]);
}

/* The schema allows what the parts below it can take, and no more. */
static void largest_fast_path(void **state)
{
	static const struct wrong wrongs[] = {
		{ "fastpath: {workers: 17}\n",
		  "f.yaml:1: fastpath.workers: found \"17\", allowed: 1..16 (threads)" },
		{ "fastpath: {burst: 33}\n",
		  "f.yaml:1: fastpath.burst: found \"33\", allowed: 1..32 (packets)" },
		{ "ports: [{name: a, interface: e, queues: 17}]\n",
		  "f.yaml:1: ports[0].queues: found \"17\", allowed: 1..16 (queues) or auto" },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(wrongs); i++)
		assert_wrong(&wrongs[i]);
}

static void wrong_relations(void **state)
{
	static const struct wrong wrongs[] = {
		{ "tcp:\n  rto_min_ms: 5000\n  rto_max_ms: 3000\n",
		  "f.yaml:2: tcp.rto_min_ms: found 5000, allowed: at most tcp.rto_max_ms, which is 3000" },
		{ "log: {level: info}\ntcp:\n  port_max: 1024\n",
		  "f.yaml:3: tcp.port_min: found 32768, allowed: at most tcp.port_max, which is 1024" },
		{ "memory: {buffers: 1000000, dpdk_mib: 128}\n",
		  "f.yaml:1: memory.dpdk_mib: found 128, allowed: at least 2449 for 1000000 memory.buffers" },
		{ "app:\n  region_bytes: 1MiB\ntcp: {rcvbuf_bytes: 1MiB}\n",
		  "f.yaml:2: app.region_bytes: found 1048576, allowed: room for connections of tcp.rcvbuf_bytes "
		  "and tcp.sndbuf_bytes, at least 2229248" },
		{ "access: [{sessions_max: 3}]\n",
		  "f.yaml:1: access[0].user: found neither user nor group, "
		  "allowed: one of them or both" },
		{ "fastpath: {workers: 2, cores: [1]}\n",
		  "f.yaml:1: fastpath.cores: found 1, allowed: one for each of 2 fastpath.workers, or none" },
		{ "fastpath: {workers: 2, cores: [1, 1]}\n",
		  "f.yaml:1: fastpath.cores: found core 1 twice, allowed: once" },
		{ "slowpath: {thread: inline, core: 1}\n",
		  "f.yaml:1: slowpath.core: found a core, allowed: any, because slowpath.thread is inline" },
		{ "ipc: {grpc: {listen: []}}\n",
		  "f.yaml:1: ipc.grpc.listen: found no address, allowed: at least "
		  "one, or ipc.grpc.enabled: false" },
		{ "ipc: {grpc: {listen: [\"a:1\", \"a:1\"]}}\n",
		  "f.yaml:1: ipc.grpc.listen[1]: found a:1 twice, allowed: once" },
		{ "ports: [{name: a}]",
		  "f.yaml:1: ports[0]: found no device, allowed: exactly one of interface, "
		  "pci and vdev" },
		{ "ports: [{name: a, interface: e, vdev: net_ring0}]",
		  "f.yaml:1: ports[0]: found several devices, allowed: exactly one of interface, pci and vdev" },
		{ "ports:\n- {name: a, interface: e}\n- {name: a, interface: f}\n",
		  "f.yaml:3: ports[1]: found the name a twice (ports[0]), allowed: once" },
		{ "ports:\n- {name: a, interface: e}\n- {name: b, interface: e}\n",
		  "f.yaml:3: ports[1]: found the device of ports[0] again, allowed: once" },
		{ "ports: [{name: a, interface: e, queues: 2}]\n",
		  "f.yaml:1: ports[0]: found 2 queues, allowed: at most one for each of 1 fastpath.workers" },
		{ "ports: [{name: a, interface: e, addresses: [127.0.0.1/8]}]\n",
		  "f.yaml:1: ports[0].addresses[0]: found a loopback address, allowed: an address of a host" },
		{ "ports: [{name: a, interface: e, addresses: [10.0.0.0/24]}]\n",
		  "f.yaml:1: ports[0].addresses[0]: found the address of the subnet itself, allowed: an address "
		  "of a host" },
		{ "ports: [{name: a, interface: e, addresses: [10.0.0.255/24]}]\n",
		  "f.yaml:1: ports[0].addresses[0]: found the broadcast address of the subnet, allowed: an "
		  "address of a host" },
		{ "ports: [{name: a, interface: e, addresses: [224.0.0.1/24]}]\n",
		  "f.yaml:1: ports[0].addresses[0]: found a multicast or broadcast address, allowed: an address "
		  "of a host" },
		{ "ports: [{name: a, interface: e, addresses: [10.0.0.1/24, 10.0.0.1/25]}]\n",
		  "f.yaml:1: ports[0].addresses[1]: found 10.0.0.1, allowed: no overlap with "
		  "ports[0].addresses[0]" },
		{ "ports:\n- {name: a, interface: e, addresses: [10.0.0.1/16]}\n"
		  "- {name: b, interface: f, addresses: [10.0.3.1/24]}\n",
		  "f.yaml:3: ports[1].addresses[0]: found 10.0.3.1, allowed: no overlap with "
		  "ports[0].addresses[0]" },
		{ "routes: [{to: 10.0.0.0/8}]\n",
		  "f.yaml:1: routes[0]: found neither via nor port, allowed: one of them or both" },
		{ "routes: [{to: 10.0.0.0/8, port: x}]\n",
		  "f.yaml:1: routes[0].port: found x, allowed: the name of a port" },
		{ "routes: [{to: 0.0.0.0/0, via: 10.0.0.1}]\n",
		  "f.yaml:1: routes[0]: found 10.0.0.1, which is in no subnet of any port, allowed: an address in "
		  "a subnet of ports[].addresses" },
		{ "ports: [{name: a, interface: e, addresses: [10.0.0.1/24]}]\n"
		  "routes:\n  - {to: 10.1.0.0/16, via: 10.0.0.2}\n  - {to: 10.1.0.0/16, port: a}\n",
		  "f.yaml:4: routes[1]: found the destination of routes[0] again, allowed: once" },
		{ "ports: [{name: a, interface: e, addresses: [fd00::/64]}]\n",
		  "f.yaml:1: ports[0].addresses[0]: found the address of the subnet itself, allowed: an address "
		  "of a host" },
		{ "ports: [{name: a, interface: e, addresses: [ff02::1/64]}]\n",
		  "f.yaml:1: ports[0].addresses[0]: found a multicast or broadcast address, allowed: an address "
		  "of a host" },
		{ "ports: [{name: a, interface: e, addresses: [\"::1/128\"]}]\n",
		  "f.yaml:1: ports[0].addresses[0]: found a loopback address, allowed: an address of a host" },
		{ "ports: [{name: a, interface: e, mtu: 1279, addresses: [fd00::1/64]}]\n",
		  "f.yaml:1: ports[0].addresses[0]: found an IPv6 address, allowed: with a ports[0].mtu of 1280 "
		  "or more" },
		{ "ports:\n- {name: a, interface: e, addresses: [fe80::1/64, fd00::1/64]}\n"
		  "- {name: b, interface: f, addresses: [fe80::2/64, fd00::2/64]}\n",
		  "f.yaml:3: ports[1].addresses[1]: found fd00::2, allowed: no overlap with "
		  "ports[0].addresses[1]" },
		{ "ports: [{name: a, interface: e, addresses: [fd00::1/64]}]\n"
		  "routes: [{to: 10.0.0.0/8, via: fd00::2}]\n",
		  "f.yaml:2: routes[0]: found a via of the other family, allowed: IPv4 via IPv4, IPv6 via IPv6" },
		{ "ports:\n- {name: a, interface: e}\n- {name: b, interface: f}\n"
		  "routes: [{to: \"::/0\", via: fe80::1}]\n",
		  "f.yaml:4: routes[0].port: found none, allowed: the name of the port whose link has the "
		  "link-local address" },
		{ "neighbors: [{address: 10.0.0.1, mac: \"02:00:00:00:00:01\"}]\n",
		  "f.yaml:1: neighbors[0]: found 10.0.0.1, which is in no subnet of any port, allowed: an address "
		  "in a subnet of ports[].addresses" },
		{ "runtime_dir: /a23456789/a23456789/a23456789/a23456789/a23456789/a23456789/a23456789/a23456789\n"
		  "instance: i234567890123456789012345678901\n",
		  "f.yaml:1: runtime_dir: found a socket path of 124 characters "
		  "(/a23456789/a23456789/a23456789/a23456789/a23456789/a23456789...), allowed: at most 107" },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(wrongs); i++)
		assert_wrong(&wrongs[i]);
}

static void unreadable_files(void **state)
{
	struct mg_conf_err err;
	char path[] = "/tmp/conf_test.XXXXXX", text[256];
	int fd;

	(void)state;
	assert_int_equal(mg_conf_load("/nonexistent.yaml", &conf, &err), -ENOENT);
	assert_string_equal(
		err.text,
		"/nonexistent.yaml: cannot be opened: No such file or directory, allowed: a "
		"readable YAML file");
	assert_int_equal(mg_conf_load("/", &conf, &err), -EISDIR);
	assert_string_equal(err.text,
			    "/: cannot be read: Is a directory, allowed: a readable YAML file");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MG_CONF_FILE_MAX + 1), 0);
	assert_int_equal(mg_conf_load(path, &conf, &err), -EFBIG);
	(void)snprintf(text, sizeof(text),
		       "%s: found more than 262144 bytes, allowed: at most that", path);
	assert_string_equal(err.text, text);
	(void)close(fd); /* only its size mattered */
	assert_int_equal(unlink(path), 0);
}

/* Deep nesting costs libyaml quadratic time; the walk must stop at the first level. */
static void deep_nesting_ends_at_once(void **state)
{
	struct mg_conf_err err;
	char *text = malloc(MG_CONF_FILE_MAX);

	(void)state;
	assert_non_null(text);
	memset(text, '[', MG_CONF_FILE_MAX);
	assert_int_equal(mg_conf_parse(text, MG_CONF_FILE_MAX, "f", &conf, &err), -EINVAL);
	memset(text, '{', MG_CONF_FILE_MAX);
	assert_int_equal(mg_conf_parse(text, MG_CONF_FILE_MAX, "f", &conf, &err), -EINVAL);
	memcpy(text, "tcp: ", 5);
	assert_int_equal(mg_conf_parse(text, MG_CONF_FILE_MAX, "f", &conf, &err), -EINVAL);
	memset(text, 0, MG_CONF_FILE_MAX);
	assert_int_equal(mg_conf_parse(text, MG_CONF_FILE_MAX, "f", &conf, &err), -EINVAL);
	free(text);
}

/* Damaged files of every sort: any verdict, no crash (the sanitizers look on), text when it is wrong. */
static void damaged_files(void **state)
{
	char path[512], *text = calloc(1, MG_CONF_FILE_MAX);
	FILE *in = fopen(source_path("config/testbed.yaml", path, sizeof(path)), "r");
	struct mg_conf_err err;
	uint32_t seed = 1;
	size_t len;

	(void)state;
	assert_non_null(in);
	assert_non_null(text);
	len = fread(text, 1, MG_CONF_FILE_MAX, in);
	(void)fclose(in); /* was only read */
	assert_true(len > 0);
	for (size_t cut = 0; cut < len; cut++) {
		int rc = mg_conf_parse(text, cut, "f", &conf, &err);

		assert_true(rc == 0 || err.text[0] != '\0');
	}
	for (int round = 0; round < 2000; round++) {
		char c, *at;
		int rc;

		seed = seed * 1664525 + 1013904223;
		at = &text[(seed >> 8) % len];
		c = *at;
		*at = (char)"\t\n -:[]{}#&*!|>'\"%@`,?\x01\xff~"[(seed >> 3) % 25];
		rc = mg_conf_parse(text, len, "f", &conf, &err);
		assert_true(rc == 0 || err.text[0] != '\0');
		*at = c;
	}
	free(text);
}

/* --- set and get --- */

/* A value of the key that is right and not the default. */
static void other_value(const struct mg_conf_key *key, char *buf, size_t len)
{
	const uint64_t up = (key->flags & MG_CONF_F_POW2) != 0 ? key->min * 2 : key->min + 1;

	switch (key->type) {
	case MG_CONF_T_BOOL:
		(void)snprintf(buf, len, "%s", strcmp(key->deflt, "true") == 0 ? "false" : "true");
		break;
	case MG_CONF_T_ENUM:
		(void)snprintf(buf, len, "%s",
			       key->names[strcmp(key->deflt, key->names[0]) == 0 ? 1 : 0]);
		break;
	case MG_CONF_T_MODE:
		(void)snprintf(buf, len, "0600");
		break;
	case MG_CONF_T_NUMBER:
	case MG_CONF_T_BYTES:
	case MG_CONF_T_DURATION:
		(void)snprintf(buf, len, "%llu", (unsigned long long)up);
		break;
	case MG_CONF_T_PATH:
		(void)snprintf(buf, len, "/tmp/x");
		break;
	case MG_CONF_T_ENDPOINT:
		(void)snprintf(buf, len, "127.0.0.1:1,unix:/tmp/x");
		break;
	case MG_CONF_T_RULE:
		(void)snprintf(buf, len, "!:22,10.0.0.0/8:80-90");
		break;
	case MG_CONF_T_OBJECTS:
		(void)snprintf(buf, len, "%s",
			       strcmp(key->name, "access") == 0 ? "[{user: a}]" : "[]");
		break;
	default:
		(void)snprintf(buf, len, "x1");
		break;
	}
}

/* What must change along with a key so that its smallest value fits the others. */
static const struct mg_conf_pair *companion(const char *key)
{
	static const struct mg_conf_pair pairs[] = {
		{ "tcp.port_max", "60999" }, /* any pair that changes nothing */
		{ "tcp.port_min", "1024" },     { "tcp.rcvbuf_bytes", "4096" },
		{ "tcp.sndbuf_bytes", "4096" }, { "memory.buffers", "512" },
		{ "fastpath.workers", "1" },
	};
	static const char *const keys[] = { "",
					    "tcp.port_max",
					    "tcp.rcvbuf_max_bytes",
					    "tcp.sndbuf_max_bytes",
					    "memory.dpdk_mib",
					    "fastpath.cores" };

	for (size_t i = 1; i < NELEM(keys); i++) {
		if (strcmp(key, keys[i]) == 0)
			return &pairs[i];
	}
	return &pairs[0];
}

static void every_key_round_trips(void **state)
{
	char value[MG_CONF_VALUE_MAX], got[1024], was[1024];

	(void)state;
	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		const struct mg_conf_key *key = &mg_conf_keys[i];
		struct mg_conf_pair pairs[2] = { *companion(key->name), { key->name, value } };
		struct mg_conf_err err;

		mg_conf_init(&conf);
		other_value(key, value, sizeof(value));
		assert_int_equal(mg_conf_get(&conf, key->name, was, sizeof(was), NULL), 0);
		if (strcmp(key->name, "app.region_bytes") == 0)
			(void)snprintf(value, sizeof(value), "1048577");
		if (strcmp(key->name, "tcp.fastopen_key") == 0)
			(void)snprintf(value, sizeof(value), "0123456789abcdefABCDEF0123456789");
		if (mg_conf_set_many(&conf, pairs, 2, MG_CONF_BOOT, &err) != 0)
			fail_msg("%s=%s: %s", key->name, value, err.text);
		assert_int_equal(mg_conf_get(&conf, key->name, got, sizeof(got), NULL), 0);
		if (key->columns == NULL) {
			assert_string_equal(got, value);
			assert_string_not_equal(got, was);
		}
		/* What get says, set takes, and nothing changes by it. */
		assert_int_equal(mg_conf_set(&conf, key->name, got, MG_CONF_BOOT, &err), 0);
		assert_int_equal(mg_conf_get(&conf, key->name, was, sizeof(was), NULL), 0);
		assert_string_equal(got, was);
	}
}

static void every_key_refuses_nonsense(void **state)
{
	static struct mg_conf before;

	(void)state;
	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		struct mg_conf_err err;

		mg_conf_init(&conf);
		before = conf;
		assert_int_equal(mg_conf_set(&conf, mg_conf_keys[i].name, "\x01!", MG_CONF_BOOT,
					     &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, mg_conf_keys[i].name));
		assert_memory_equal(&conf, &before, sizeof(conf));
	}
}

static void only_live_keys_change_at_run_time(void **state)
{
	struct mg_conf_err err;
	char value[1024];

	(void)state;
	for (size_t i = 0; i < mg_conf_nr_keys; i++) {
		const struct mg_conf_key *key = &mg_conf_keys[i];
		bool is_live = (key->flags & MG_CONF_F_LIVE) != 0;

		mg_conf_init(&conf);
		assert_int_equal(mg_conf_get(&conf, key->name, value, sizeof(value), NULL), 0);
		assert_int_equal(mg_conf_set(&conf, key->name, value, MG_CONF_LIVE, &err),
				 is_live ? 0 : -EPERM);
	}
	assert_int_equal(mg_conf_set(&conf, "instance", "x", MG_CONF_LIVE, &err), -EPERM);
	assert_string_equal(
		err.text,
		"instance: found a change at run time, allowed: in the file, with a restart of "
		"mangod");
}

static void all_or_nothing(void **state)
{
	static const struct mg_conf_pair bad[] = { { "tcp.nagle", "false" },
						   { "tcp.rto_min_ms", "abc" } };
	static const struct mg_conf_pair against[] = { { "tcp.nagle", "false" },
						       { "tcp.rto_max_ms", "1000" },
						       { "tcp.rto_min_ms", "2000" } };
	static const struct mg_conf_pair good[] = { { "tcp.rto_min_ms", "50s" },
						    { "tcp.rto_max_ms", "1min" } };
	struct mg_conf_err err;

	(void)state;
	mg_conf_init(&conf);
	assert_int_equal(mg_conf_set_many(&conf, bad, NELEM(bad), MG_CONF_LIVE, &err), -EINVAL);
	assert_string_equal(err.text,
			    "tcp.rto_min_ms: found \"abc\", allowed: 1..60000 (milliseconds)");
	assert_true(conf.tcp.nagle);
	assert_int_equal(mg_conf_set_many(&conf, against, NELEM(against), MG_CONF_LIVE, &err),
			 -EINVAL);
	assert_string_equal(
		err.text,
		"tcp.rto_min_ms: found 2000, allowed: at most tcp.rto_max_ms, which is 1000");
	assert_true(conf.tcp.nagle);
	assert_int_equal(mg_conf_set_many(&conf, good, NELEM(good), MG_CONF_LIVE, &err), 0);
	assert_int_equal(conf.tcp.rto_min_ms, 50000);
	assert_int_equal(conf.tcp.rto_max_ms, 60000);
	assert_int_equal(mg_conf_set(&conf, "tcp.rto_mim_ms", "1", MG_CONF_LIVE, &err), -ENOENT);
	assert_string_equal(
		err.text,
		"\"tcp.rto_mim_ms\": found an unknown key, allowed: did you mean tcp.rto_min_ms?");
	assert_int_equal(mg_conf_set(&conf, "zzzzzz", "1", MG_CONF_LIVE, NULL), -ENOENT);
}

static void rows_by_key(void **state)
{
	static const char ports[] = "[{name: p0, interface: mg0, addresses: [10.0.0.1/24]}]";
	char text[1024];
	size_t len;

	(void)state;
	mg_conf_init(&conf);
	assert_int_equal(mg_conf_set(&conf, "ports", ports, MG_CONF_BOOT, NULL), 0);
	assert_int_equal(mg_conf_get(&conf, "ports[0].addresses", text, sizeof(text), NULL), 0);
	assert_string_equal(text, "10.0.0.1/24");
	assert_int_equal(mg_conf_set(&conf, "ports[0].mtu", "1400", MG_CONF_BOOT, NULL), 0);
	assert_int_equal(conf.ports[0].mtu, 1400);
	assert_int_equal(mg_conf_set(&conf, "ports[0].mtu", "1400", MG_CONF_LIVE, NULL), -EPERM);
	assert_int_equal(mg_conf_set(&conf, "ports[1].mtu", "1400", MG_CONF_BOOT, NULL), -ENOENT);
	assert_int_equal(mg_conf_set(&conf, "ports[0].mtu", "1", MG_CONF_BOOT, NULL), -EINVAL);
	assert_int_equal(mg_conf_get(&conf, "ports[x].mtu", text, sizeof(text), NULL), -ENOENT);
	assert_int_equal(mg_conf_get(&conf, "ports[0]", text, sizeof(text), NULL), -ENOENT);
	assert_int_equal(mg_conf_get(&conf, "ports[99999999999999999999].mtu", text, sizeof(text),
				     NULL),
			 -ENOENT);
	assert_int_equal(mg_conf_get(&conf, "ports", text, sizeof(text), &len), 0);
	assert_string_equal(
		text,
		"[{\"name\": \"p0\", \"interface\": \"mg0\", \"driver\": \"af_packet\", \"offloads\": \"keep\", \"pci\": \"\", "
		"\"vdev\": \"\", \"mtu\": \"1400\", \"queues\": \"auto\", \"addresses\": "
		"[\"10.0.0.1/24\"]}]");
	assert_int_equal(len, strlen(text));
	assert_int_equal(mg_conf_get(&conf, "ports", text, len, &len), -ENOSPC);
	assert_int_equal(len, strlen(text) + 1);
	assert_int_equal(mg_conf_set(&conf, "ports", "[]\ntcp: {nagle: false}", MG_CONF_BOOT, NULL),
			 -EINVAL);
	assert_true(conf.tcp.nagle);
}

struct seen {
	size_t n, live, changed;
	char last[MG_CONF_KEY_MAX];
};

static int see(void *arg, const struct mg_conf_item *item)
{
	struct seen *seen = arg;

	seen->n++;
	seen->live += item->is_live;
	seen->changed += !item->is_default;
	(void)snprintf(seen->last, sizeof(seen->last), "%s", item->key);
	return 0;
}

static int stop(void *arg, const struct mg_conf_item *item)
{
	(void)item;
	return ++*(int *)arg == 3 ? -EPIPE : 0;
}

static void keys_can_be_listed(void **state)
{
	struct seen seen = { 0 };
	int n = 0;

	(void)state;
	mg_conf_init(&conf);
	assert_int_equal(mg_conf_each(&conf, NULL, see, &seen), 0);
	assert_int_equal(seen.n, mg_conf_nr_keys);
	assert_int_equal(seen.changed, 0);
	seen = (struct seen){ 0 };
	assert_int_equal(mg_conf_each(&conf, "ip.", see, &seen), 0);
	assert_int_equal(seen.n, 5);
	seen = (struct seen){ 0 };
	assert_int_equal(mg_conf_each(&conf, "ip", see, &seen), 0);
	assert_int_equal(seen.n, 5); /* and not ipc */
	seen = (struct seen){ 0 };
	assert_int_equal(mg_conf_set(&conf, "ip.ttl", "3", MG_CONF_LIVE, NULL), 0);
	assert_int_equal(mg_conf_each(&conf, "ip.ttl", see, &seen), 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.live, 1);
	assert_int_equal(seen.changed, 1);
	assert_int_equal(
		mg_conf_set(&conf, "access", "[{user: a}, {group: b}]", MG_CONF_BOOT, NULL), 0);
	seen = (struct seen){ 0 };
	assert_int_equal(mg_conf_each(&conf, "access", see, &seen), 0);
	assert_int_equal(seen.n, 12);
	assert_string_equal(seen.last, "access[1].region_bytes");
	assert_int_equal(mg_conf_each(&conf, "access[1].group", see, &seen), 0);
	assert_int_equal(mg_conf_each(&conf, "nothing", see, &seen), -ENOENT);
	assert_int_equal(mg_conf_each(&conf, "", stop, &n), -EPIPE);
	assert_int_equal(n, 3);
}

static void names_are_filled_in(void **state)
{
	char buf[64];

	(void)state;
	mg_conf_init(&conf);
	assert_int_equal(mg_conf_expand(&conf, "unix:%t/%i-grpc.sock", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "unix:/run/mango/mango-grpc.sock");
	assert_int_equal(mg_conf_expand(&conf, "%x%", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "%x%");
	assert_int_equal(mg_conf_expand(&conf, "%t/%t", buf, 8), -ENAMETOOLONG);
	assert_int_equal(mg_conf_attach_path(&conf, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/run/mango/mango/attach.sock");
}

/* With the default of everything an attachment has memory for 10,000 connections, which it need not all use. */
static void test_default_region_carries_ten_thousand(void **state)
{
	struct mg_app_layout layout = { .nr_contexts = MG_SHM_CONTEXTS_MAX, .nr_workers = 1 };
	struct mg_conf deflt;
	uint64_t fixed;

	(void)state;
	mg_conf_init(&deflt);
	layout.nr_windows = deflt.app.connections_max;
	fixed = mg_app_region_bytes(&layout);
	assert_in_range(fixed, 1, deflt.app.region_bytes / 4); /* else there are fewer windows */
	assert_in_range((deflt.app.region_bytes - fixed) /
				(deflt.tcp.rcvbuf_bytes + deflt.tcp.sndbuf_bytes),
			10000, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_sound),
		cmocka_unit_test(sections_are_contiguous),
		cmocka_unit_test(every_member_has_one_key),
		cmocka_unit_test(defaults_are_as_designed),
		cmocka_unit_test(empty_files_are_defaults),
		cmocka_unit_test(a_whole_file),
		cmocka_unit_test(shipped_files_are_right),
		cmocka_unit_test(generated_files_are_in_sync),
		cmocka_unit_test(wrong_values),
		cmocka_unit_test(wrong_rows),
		cmocka_unit_test(wrong_structure),
		cmocka_unit_test(largest_fast_path),
		cmocka_unit_test(wrong_relations),
		cmocka_unit_test(unreadable_files),
		cmocka_unit_test(deep_nesting_ends_at_once),
		cmocka_unit_test(damaged_files),
		cmocka_unit_test(every_key_round_trips),
		cmocka_unit_test(every_key_refuses_nonsense),
		cmocka_unit_test(only_live_keys_change_at_run_time),
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(rows_by_key),
		cmocka_unit_test(keys_can_be_listed),
		cmocka_unit_test(names_are_filled_in),
		cmocka_unit_test(test_default_region_carries_ten_thousand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
