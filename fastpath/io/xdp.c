/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xdp.c - see xdp.h.
 *
 * The program is libxdp's default one (xsk_def_prog): redirect to the socket of the packet's queue,
 * pass when there is none. libxdp, inside DPDK's driver, looks for a program of that name on the
 * interface and, finding ours, only adds its sockets to the map.
 */
#include "fastpath/io/xdp.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "fastpath/io/errtext.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

#define PROBE_FRAMES 16
#define PROBE_FRAME_BYTES 4096

struct mg_xdp {
	struct bpf_object *obj;
	struct bpf_link *link;
};

struct attached {
	uint32_t id;    /* 0: nothing attached */
	uint32_t flags; /* how, for the detach call */
	char name[BPF_OBJ_NAME_LEN];
};

static const char *const object_dirs[] = {
	"/usr/lib/bpf",
	"/usr/lib64/bpf",
	"/usr/local/lib/bpf",
	"/usr/lib/x86_64-linux-gnu/bpf",
	"/usr/lib/aarch64-linux-gnu/bpf",
};

/* ---- what is on the interface ---------------------------------------------------------------- */

static void get_prog_name(uint32_t id, char *ret_name)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	ret_name[0] = '\0';
	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
		memcpy(ret_name, info.name, BPF_OBJ_NAME_LEN);
	close(fd);
}

static int query(unsigned int ifindex, struct attached *ret_att)
{
	struct bpf_xdp_query_opts opts = { .sz = sizeof(opts) };
	int rc;

	memset(ret_att, 0, sizeof(*ret_att));
	rc = bpf_xdp_query((int)ifindex, 0, &opts);
	if (rc < 0)
		return rc;
	if (opts.drv_prog_id != 0) {
		ret_att->id = opts.drv_prog_id;
		ret_att->flags = XDP_FLAGS_DRV_MODE;
	} else if (opts.skb_prog_id != 0) {
		ret_att->id = opts.skb_prog_id;
		ret_att->flags = XDP_FLAGS_SKB_MODE;
	} else {
		ret_att->id = opts.prog_id;
	}
	if (ret_att->id != 0)
		get_prog_name(ret_att->id, ret_att->name);
	return 0;
}

static bool is_af_xdp_prog(const struct attached *att)
{
	return strcmp(att->name, "xsk_def_prog") == 0 || strcmp(att->name, "xdp_dispatcher") == 0;
}

/* ---- is an XDP socket bound to a queue? ------------------------------------------------------ */

static int set_ring(int fd, int opt, int entries)
{
	return setsockopt(fd, SOL_XDP, opt, &entries, sizeof(entries)) < 0 ? -errno : 0;
}

static int bind_probe(int fd, void *area, unsigned int ifindex, unsigned int queue)
{
	const struct xdp_umem_reg reg = {
		.addr = (uintptr_t)area,
		.len = PROBE_FRAMES * PROBE_FRAME_BYTES,
		.chunk_size = PROBE_FRAME_BYTES,
	};
	const struct sockaddr_xdp addr = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_COPY,
		.sxdp_ifindex = ifindex,
		.sxdp_queue_id = queue,
	};

	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) < 0)
		return -errno;
	if (set_ring(fd, XDP_UMEM_FILL_RING, PROBE_FRAMES) < 0 ||
	    set_ring(fd, XDP_UMEM_COMPLETION_RING, PROBE_FRAMES) < 0 ||
	    set_ring(fd, XDP_RX_RING, PROBE_FRAMES) < 0)
		return -ENOMEM;
	return bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
}

/* Only the kernel knows, and tells only by refusing. */
static bool queue_busy(unsigned int ifindex, unsigned int queue)
{
	const size_t bytes = (size_t)PROBE_FRAMES * PROBE_FRAME_BYTES;
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	bool busy = false;
	void *area;

	if (fd < 0)
		return false;
	area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area != MAP_FAILED) {
		busy = bind_probe(fd, area, ifindex, queue) == -EBUSY;
		(void)munmap(area, bytes);
	}
	close(fd);
	return busy;
}

static int remove_leftover(const char *interface, unsigned int ifindex, unsigned int nr_queues,
			   char *err, size_t errlen)
{
	struct attached att;

	if (query(ifindex, &att) < 0 || att.id == 0)
		return 0;
	if (!is_af_xdp_prog(&att))
		return mg_errtext(err, errlen, -EBUSY,
				  "interface %s: the XDP program \"%s\" (id %u) "
				  "is attached; remove it (ip link set dev %s xdp off) or use "
				  "driver: af_packet",
				  interface, att.name, att.id, interface);
	for (unsigned int q = 0; q < nr_queues; q++)
		if (queue_busy(ifindex, q))
			return mg_errtext(err, errlen, -EBUSY,
					  "interface %s: another process uses "
					  "its queue %u by AF_XDP; stop it or use another "
					  "interface",
					  interface, q);
	if (bpf_xdp_detach((int)ifindex, att.flags, NULL) < 0)
		return mg_errtext(err, errlen, -EBUSY,
				  "interface %s: another process holds its XDP "
				  "program; stop it or use another interface",
				  interface);
	return 0;
}

/* ---- attach ---------------------------------------------------------------------------------- */

static struct bpf_object *open_object(void)
{
	char path[128];

	for (size_t i = 0; i < sizeof(object_dirs) / sizeof(object_dirs[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/xsk_def_xdp_prog.o", object_dirs[i]);
		if (access(path, R_OK) == 0)
			return bpf_object__open_file(path, NULL);
	}
	return NULL;
}

static int load_and_attach(struct mg_xdp *xdp, unsigned int ifindex, unsigned int nr_queues)
{
	struct bpf_map *map = bpf_object__find_map_by_name(xdp->obj, "xsks_map");
	struct bpf_program *prog = bpf_object__find_program_by_name(xdp->obj, "xsk_def_prog");
	int rc;

	if (map == NULL || prog == NULL)
		return -ENOEXEC;
	if (bpf_map__max_entries(map) < nr_queues) {
		rc = bpf_map__set_max_entries(map, nr_queues);
		if (rc < 0)
			return rc;
	}
	rc = bpf_object__load(xdp->obj);
	if (rc < 0)
		return rc;
	xdp->link = bpf_program__attach_xdp(prog, (int)ifindex);
	return xdp->link == NULL ? -errno : 0;
}

static int explain(int code, const char *interface, char *err, size_t errlen)
{
	switch (code) {
	case -ENOSPC:
		return mg_errtext(
			err, errlen, code,
			"interface %s: has fewer receive queues than its "
			"veth peer has transmit queues, which XDP does not allow; make them "
			"equal (ethtool -L)",
			interface);
	case -EPERM:
	case -EACCES:
		return mg_errtext(err, errlen, code,
				  "interface %s: not permitted to load an XDP "
				  "program; run as root or with CAP_NET_ADMIN and CAP_BPF",
				  interface);
	default:
		return mg_errtext(err, errlen, code,
				  "interface %s: cannot attach an XDP program: %s; "
				  "use driver: af_packet",
				  interface, strerror(-code));
	}
}

int mg_xdp_attach(const char *interface, unsigned int ifindex, unsigned int nr_queues,
		  struct mg_xdp **ret_xdp, char *err, size_t errlen)
{
	struct mg_xdp *xdp;
	int rc;

	/* Both print to stderr what the driver's error says anyway, from inside the driver, too. */
	(void)libbpf_set_print(NULL);
	(void)libxdp_set_print(NULL);
	*ret_xdp = NULL;
	rc = remove_leftover(interface, ifindex, nr_queues, err, errlen);
	if (rc < 0)
		return rc;
	xdp = calloc(1, sizeof(*xdp));
	if (xdp == NULL)
		return explain(-ENOMEM, interface, err, errlen);
	xdp->obj = open_object();
	if (xdp->obj ==
	    NULL) { /* no libxdp files here: the driver has its own way, or says why not */
		free(xdp);
		return 0;
	}
	rc = load_and_attach(xdp, ifindex, nr_queues);
	if (rc < 0) {
		bpf_object__close(xdp->obj);
		free(xdp);
		return explain(rc, interface, err, errlen);
	}
	*ret_xdp = xdp;
	return 0;
}

void mg_xdp_detach(struct mg_xdp *xdp, unsigned int ifindex)
{
	struct attached att;

	if (xdp != NULL) {
		(void)bpf_link__destroy(xdp->link); /* its descriptor is closed in any case */
		bpf_object__close(xdp->obj);
		free(xdp);
	} else if (query(ifindex, &att) == 0 && att.id != 0 && is_af_xdp_prog(&att)) {
		(void)bpf_xdp_detach((int)ifindex, att.flags, NULL); /* gone already: fine */
	}
}
